"""What gradcheck varies: a function, with its inputs and parameters in one flat list of arrays."""

import copy
import functools
import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arrays import Array, as_array
from ..derivatives import vjp
from ..errors import GradcheckError
from ..graph import Node, switched
from ..nn import Module
from ..ops.shape import concatenate
from ..tensor import Tensor, from_numpy, unwrap

__all__ = ["Call", "Checked", "function_name", "pullback"]


@dataclass(frozen=True)
class Checked:
    """A function of Tensors, and the point where its derivatives are checked."""

    f: Callable[..., Tensor]
    """Takes one Tensor for each array of the point."""
    name: str
    labels: list[str]
    """The names of the point's arrays in messages."""
    arrays: list[Array]
    """The point, in float64."""
    again: Callable[..., Tensor] | None = None
    """Another way to compute the same result, if there is one."""

    def value(self, arrays: Sequence[Array]) -> Array:
        """Return the value at a point. A vjp inside is computed on arrays and is not recorded."""
        __tracebackhide__ = True
        with switched(recording=False):
            return self.f(*map(from_numpy, arrays)).numpy()

    def recorded(
        self, arrays: Sequence[Array], needs: Sequence[bool]
    ) -> tuple[Tensor, list[Tensor]]:
        """Return the value at a point and the leaves. `needs` tells which leaves require grad."""
        __tracebackhide__ = True
        leaves = [from_numpy(a, need) for a, need in zip(arrays, needs, strict=True)]
        return self.f(*leaves), leaves


def pullback(checked: Checked, cotangent: Array) -> Checked:
    """Return the vjp of a function as a function of the point and the cotangent.

    Its value is one vector, the concatenated gradients with respect to all arrays of the point.
    """

    def together(*points: Tensor) -> Tensor:
        __tracebackhide__ = True
        *inner, seed = points
        slopes = vjp(checked.f, *inner)[1](seed)
        return _joined([slopes] if len(inner) == 1 else slopes)

    def one_by_one(*points: Tensor) -> Tensor:
        __tracebackhide__ = True
        *inner, seed = points

        def by(k: int) -> Callable[..., Tensor]:
            return lambda x: checked.f(*inner[:k], x, *inner[k + 1 :])

        return _joined([vjp(by(k), x)[1](seed) for k, x in enumerate(inner)])

    count = sum("cotangent" in label for label in checked.labels)
    label = f"cotangent {count + 1}" if count else "the cotangent"
    return Checked(
        together,
        f"the vjp of {checked.name}",
        [*checked.labels, label],
        [*checked.arrays, cotangent],
        one_by_one if len(checked.arrays) > 1 else None,
    )


def _joined(slopes: Iterable[Tensor]) -> Tensor:
    return concatenate([slope.reshape(-1) for slope in slopes])


class Call:
    """The user's call of the function under test, on float64 copies of the arguments."""

    def __init__(self, f: Callable[..., Any], inputs: Sequence[Any]) -> None:
        self.originals = [m for m in (f, *inputs) if isinstance(m, Module)]
        # Copied together, so that a parameter shared by two modules remains one parameter.
        self.copies = copy.deepcopy(self.originals)
        swap = {id(m): c for m, c in zip(self.originals, self.copies, strict=True)}
        self.name = function_name(f)
        self.f: Callable[..., Any] = swap.get(id(f), f)
        self.inputs: list[Any] = [swap.get(id(x), x) for x in inputs]
        self.constants: list[tuple[str, Array]] = []
        self.positions: list[int] = []  # which inputs to differentiate with respect to
        self.labels: list[str] = []
        self.arrays: list[Array] = []
        self._take_inputs()
        self.parameters: list[Tensor] = []
        for module in self.copies:
            self._take_parameters(module)
        self.places = _places(self.copies, {id(p) for p in self.parameters})
        if not self.arrays:
            raise ValueError(
                "gradcheck: nothing to differentiate by; expected floating-point inputs, or a "
                "Module's parameters"
            )

    def _take_inputs(self) -> None:
        """Sort the inputs: gradients are taken for floats, and other numbers are constants."""
        wanted = any(isinstance(x, Tensor) and x.requires_grad for x in self.inputs)
        for k, x in enumerate(self.inputs):
            if not isinstance(x, (Tensor, np.ndarray, np.floating, float)):
                _refuse_hidden_tensors(k, x)
                continue
            masked = isinstance(x, np.ma.MaskedArray)
            data = np.array(as_array(x) if masked else unwrap(x))
            is_constant = isinstance(x, Tensor) and wanted and not x.requires_grad
            if data.dtype.kind == "f" and not is_constant:
                self.positions.append(k)
                self._add(f"input {k}", data)
            else:
                self.inputs[k] = from_numpy(data) if isinstance(x, Tensor) else data
                self.constants.append((f"input {k}", data))

    def _take_parameters(self, module: Module) -> None:
        for name, parameter in module.named_parameters():
            known = any(parameter is other for other in self.parameters)
            if parameter.requires_grad and not known:
                self.parameters.append(parameter)
                self._add(f"parameter {name}", parameter.data)

    def _add(self, label: str, data: Array) -> None:
        self.labels.append(label)
        self.arrays.append(np.array(data, np.float64, order="C"))

    def unvaried(self) -> dict[Node, str]:
        """Return the nodes of parameters that the check does not vary, with their names.

        A module need not hold such a parameter in its attributes. For example, a function in it may
        close over the parameter. Then both slopes in the comparison would be 0, and nobody would
        notice that the parameter was not checked.
        """
        found = {}
        for module in (*self.originals, *self.copies):
            for name, parameter in module.named_parameters():
                if parameter.node is not None:
                    found[parameter.node] = f"parameter {name}"
        return found

    def checked(self) -> Checked:
        """Return the call as a function of its floating-point inputs and its parameters."""
        return Checked(self._call, self.name, self.labels, self.arrays)

    def _call(self, *points: Tensor) -> Tensor:
        __tracebackhide__ = True
        args = list(self.inputs)
        for position, point in zip(self.positions, points, strict=False):
            args[position] = point
        rest = points[len(self.positions) :]
        swap = {id(p): point for p, point in zip(self.parameters, rest, strict=True)}
        for holder, key, held in self.places:
            if isinstance(holder, Module):
                setattr(holder, key, _swapped(held, swap))
            else:
                holder[key] = _swapped(held, swap)
        y = self.f(*args)
        if not isinstance(y, Tensor) or y.dtype.kind not in "fc":
            got = y.dtype if isinstance(y, Tensor) else type(y).__name__
            raise GradcheckError(
                f"{self.name}: expected a floating-point Tensor as its result, got {got}"
            )
        return y


def _refuse_hidden_tensors(k: int, x: Any) -> None:
    parts = x.values() if isinstance(x, dict) else x if isinstance(x, (list, tuple)) else ()
    if any(isinstance(part, Tensor) and part.requires_grad for part in parts):
        raise ValueError(
            f"gradcheck: input {k} is a {type(x).__name__} of Tensors, which would not be varied; "
            "pass them one by one, to a function that puts them together"
        )


def function_name(f: Callable[..., Any]) -> str:
    """Return the public name of a function, or of a callable object's class."""
    while isinstance(f, functools.partial):
        f = f.func
    name = f.__name__ if inspect.isroutine(f) else type(f).__name__
    return name.rstrip("_") or name  # our own abs_ and sum_ are exported as abs and sum


# The places where a module holds its parameters. Each call puts other Tensors there.


def _places(modules: Iterable[Module], wanted: set[int]) -> list[tuple[Any, Any, Any]]:
    """Return (holder, key, value) for each Tensor in `wanted`, and for each tuple that has one.

    A parameter that is held in several places is returned several times.
    """
    places: list[tuple[Any, Any, Any]] = []
    stack: list[Any] = list(modules)
    seen: set[int] = set()
    while stack:
        holder = stack.pop()
        if id(holder) in seen:
            continue
        seen.add(id(holder))
        held = vars(holder) if isinstance(holder, Module) else holder
        for key, value in held.items() if isinstance(held, dict) else enumerate(held):
            if isinstance(value, (Module, list, tuple, dict)):
                stack.append(value)
            if not isinstance(holder, tuple) and _holds(value, wanted):
                places.append((holder, key, value))
    return places


def _holds(value: Any, wanted: set[int]) -> bool:
    if isinstance(value, tuple):
        return any(_holds(part, wanted) for part in value)
    return id(value) in wanted


def _swapped(held: Any, swap: dict[int, Tensor]) -> Any:
    """Return what a place should hold after its Tensors are replaced."""
    if isinstance(held, tuple):
        parts = [_swapped(part, swap) for part in held]
        return tuple(parts) if type(held) is tuple else type(held)(*parts)  # a named tuple
    return swap.get(id(held), held)
