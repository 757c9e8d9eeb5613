"""What a case of ops.py is: one operation on one size of inputs, as each system writes it.

Expressions are text, because a process imports only the system that it times. They see the inputs
by name, beside `tg` and `rng`, or `torch` and `F`, or `jax`, `jnp`, `lax` and `key`; all see `np`
and `math`. Inputs of floats are differentiated by unless they are constants; all else is constant.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

Shape: TypeAlias = tuple[int, ...]


@dataclass(frozen=True)
class Input:
    """A random array: uniform floats in [low, high), integers below `high`, or coins (bools)."""

    shape: Shape
    low: float = -2.0
    high: float = 2.0
    kind: str = "floats"
    constant: bool = False

    def make(self, rng: np.random.Generator) -> np.ndarray:
        if self.kind == "integers":
            return rng.integers(0, int(self.high), self.shape)
        if self.kind == "coins":
            return rng.random(self.shape) < 0.5
        return rng.uniform(self.low, self.high, self.shape).astype(np.float32)

    @property
    def is_leaf(self) -> bool:
        return self.kind == "floats" and not self.constant


def constant(shape: Shape, low: float = -2.0, high: float = 2.0) -> Input:
    return Input(shape, low, high, constant=True)


def integers(shape: Shape, below: int) -> Input:
    return Input(shape, high=below, kind="integers")


def coins(shape: Shape) -> Input:
    return Input(shape, kind="coins")


Inputs: TypeAlias = dict[str, Input | Shape]


@dataclass(frozen=True)
class Case:
    """One operation on inputs of one size, and how each system writes it (None: it cannot)."""

    op: str
    label: str
    family: str
    size: str
    inputs: dict[str, Input]
    ours: str
    torch: str | None
    jax: str | None
    keyword: str = ""
    """An argument of the operation that this case needs."""
    compared: Callable[[list[np.ndarray], list[np.ndarray]], list[np.ndarray]] | None = None
    """What of (inputs, [value, *gradients]) must agree; by default the value and the gradients."""


class Family(list[Case]):
    """The cases of related operations."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def case(
        self,
        op: str,
        small: Inputs,
        large: Inputs,
        *,
        label: str = "",
        ours: str = "tg.{call}",
        torch: str | None = "torch.{call}",
        jax: str | None = "jnp.{call}",
        **options: Any,
    ) -> None:
        """Add an operation on small and on large inputs; {call} stands for name(inputs)."""

        def spelled(text: str | None) -> Any:
            return text and text.replace("{call}", f"{op}({', '.join(large)})")

        texts = {"ours": spelled(ours), "torch": spelled(torch), "jax": spelled(jax)}
        for size, inputs in (("small", small), ("large", large)):
            made = {k: v if isinstance(v, Input) else Input(v) for k, v in inputs.items()}
            self.append(Case(op, label or op, self.name, size, made, **texts, **options))

    def unary(self, op: str, low: float = -2.0, high: float = 2.0, **options: Any) -> None:
        """Add a function of one number, on 32 x 32 and 512 x 512."""
        self._on(op, {"x": Input((32, 32), low, high)}, (512, 512), options)

    def rows(self, op: str, low: float = -2.0, high: float = 2.0, **options: Any) -> None:
        """Add an operation along rows or columns, on 32 x 32 and 1,536 x 128."""
        self._on(op, {"x": Input((32, 32), low, high)}, (1536, 128), options)

    def binary(self, op: str, low: float = -2.0, high: float = 2.0, **options: Any) -> None:
        """Add a function of two numbers, on 32 x 32 and 512 x 512."""
        both = Input((32, 32), low, high)
        self._on(op, {"x": both, "y": both}, (512, 512), options)

    def _on(self, op: str, small: dict[str, Input], shape: Shape, options: dict[str, Any]) -> None:
        large = {name: replace(given, shape=shape) for name, given in small.items()}
        self.case(op, {**small}, {**large}, **options)
