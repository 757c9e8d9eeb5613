"""Check that a function and its vjps keep the engine's contract, whatever their values are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..arrays import Array
from ..errors import GradcheckError, NonDeterministicError
from ..graph import Grads, Kernel, Node, Watch, op_name, saved_arrays
from ..tensor import gradients
from .function import Checked

__all__ = ["Behaved", "Manners", "check_behaviour", "check_linear"]


class Manners(Watch):
    """Checks each vjp against the contract in `graph`, before the engine casts or sums anything."""

    def __init__(self, name: str, unvaried: Mapping[Node, str]) -> None:
        self.name, self.unvaried = name, unvaried
        self.operations: list[str] = []

    def forward(self, kernel: Kernel, arrays: list[Array], y: Array, node: Node | None) -> None:
        """Record the operation's name, and refuse a parameter that the check does not vary."""
        __tracebackhide__ = True
        self.operations.append(op_name(kernel))
        for parent in () if node is None else node.parents:
            if parent is not None and parent in self.unvaried:
                raise GradcheckError(
                    f"{self.name}: {op_name(kernel)} gets {self.unvaried[parent]} from elsewhere "
                    "than the attributes, lists, tuples and dicts of the module (a closure or "
                    "another object holds it), so the check cannot vary it; take it from the module"
                )

    def before_vjp(self, node: Node) -> None:
        """Remember the arrays that the vjp saved, because gradients must not share their memory."""
        self.saved = saved_arrays(node)

    def after_vjp(self, node: Node, gradients: Grads) -> None:
        """Check the shapes, the dtypes and the memory of the gradients."""
        __tracebackhide__ = True
        is_mixed = len({p.dtype for p in node.parents if p is not None} | {node.dtype}) > 1
        pairs = enumerate(zip(gradients, node.parents, strict=False))
        given = [(i, np.asarray(g), parent) for i, (g, parent) in pairs if g is not None and parent]
        for i, g, parent in given:
            if g.shape != parent.shape:
                raise GradcheckError(_wrong_shape(node.name, i, g.shape, parent.shape))
            if g.dtype != parent.dtype and not is_mixed:
                raise GradcheckError(
                    f"{node.name}: gradient {i} has dtype {g.dtype}, its input {parent.dtype}; "
                    "a gradient keeps the dtype of its input"
                )
            if any(np.shares_memory(g, array) for array in self.saved):
                raise GradcheckError(
                    f"{node.name}: gradient {i} aliases an array that the vjp saved; return a copy"
                )
            for j, other, _ in given:
                if j < i and np.shares_memory(g, other):
                    raise GradcheckError(
                        f"{node.name}: gradients {j} and {i} alias each other; return a copy of one"
                    )


def _wrong_shape(name: str, i: int, shape: tuple[int, ...], expected: tuple[int, ...]) -> str:
    found = f"{name}: gradient {i} has shape {shape}, its input {expected}"
    try:
        is_broadcast = np.broadcast_shapes(shape, expected) == shape
    except ValueError:
        is_broadcast = False
    if not is_broadcast:
        return found
    return (
        f"{found}; the input was broadcast, so sum its gradient back with "
        f"arrays.unbroadcast(gradient, {expected})"
    )


@dataclass(frozen=True)
class Behaved:
    """The results of a function that passed the checks of behaviour."""

    y: Array
    seed: Array
    """The gradient of y that the backward pass began with."""
    slopes: list[Array]
    """The gradients with respect to all arrays of the point, for this seed."""


def check_behaviour(checked: Checked, constants: Sequence[tuple[str, Array]]) -> Behaved:
    """Check everything but the values of the gradients.

    Nothing may be mutated. The result must be the same in a second run, in a second backward pass
    through the same graph, in a run for one input alone, and for inputs that are not contiguous.
    """
    __tracebackhide__ = True
    name, arrays = checked.name, checked.arrays
    every = [True] * len(arrays)
    watched = [
        (label, a, a.copy()) for label, a in (*zip(checked.labels, arrays, strict=True), *constants)
    ]
    y = checked.value(arrays).copy()
    _check_unchanged(name, watched)
    if not np.array_equal(y, checked.value(arrays), equal_nan=True):
        raise NonDeterministicError(
            f"{name}: two runs on the same inputs gave different results; fix its seed, or call "
            "eval()"
        )
    seed = _random_seed(y.shape)
    watched.append(("the seed", seed, seed.copy()))
    recorded_y, slopes = _pull(checked, arrays, every, seed)
    _check_unchanged(name, watched)
    if not _agree(recorded_y, y):
        raise GradcheckError(
            f"{name}: its value differs where it is recorded; a kernel must give the same for "
            "arrays and for Tensors"
        )
    _check_own_memory(checked, slopes)
    _check_again(checked, seed, slopes)
    _check_alone(checked, seed, slopes)
    if checked.again is not None:
        _check_one_by_one(replace(checked, f=checked.again), seed, y, slopes)
    _check_strided(checked, seed, y, slopes)
    return Behaved(y, seed, slopes)


def check_linear(checked: Checked, behaved: Behaved) -> None:
    """Check that multiplying the seed by -1/2 does the same to the gradients."""
    __tracebackhide__ = True
    needs = [True] * len(behaved.slopes)
    turned = _pull(checked, checked.arrays, needs, -0.5 * behaved.seed)[1]
    for label, g, other in zip(checked.labels, behaved.slopes, turned, strict=True):
        if not _agree(-2.0 * other, g):
            raise GradcheckError(
                f"{checked.name}: the gradient of {label} is not proportional to the gradient of "
                "the result, as a vjp is"
            )


def _random_seed(shape: tuple[int, ...]) -> Array:
    """Return random numbers of moderate size and both signs, the same ones each time."""
    sizes = np.asarray(np.random.default_rng(0).uniform(0.5, 1.5, shape))
    signs = 1.0 - 2.0 * (np.arange(sizes.size) % 2)
    return np.asarray(sizes * signs.reshape(shape))


def _pull(
    checked: Checked, arrays: Sequence[Array], needs: Sequence[bool], seed: Array
) -> tuple[Array, list[Array]]:
    """Return the value and the gradients. Two backward passes through one graph must agree."""
    __tracebackhide__ = True
    y, leaves = checked.recorded(arrays, needs)
    first = gradients(y, leaves, seed, retain_graph=True)
    second = gradients(y, leaves, seed)
    for label, a, b in zip(checked.labels, first, second, strict=True):
        if not np.array_equal(a, b, equal_nan=True):
            raise GradcheckError(
                f"{checked.name}: a second backward differs in {label}; a vjp mutates what it saved"
            )
    return y.numpy(), first


def _check_own_memory(checked: Checked, slopes: Sequence[Array]) -> None:
    __tracebackhide__ = True
    for k, (label, g) in enumerate(zip(checked.labels, slopes, strict=True)):
        if any(np.shares_memory(g, other) for other in (*checked.arrays, *slopes[:k])):
            raise GradcheckError(
                f"{checked.name}: the gradient of {label} aliases an input or another gradient; "
                "return a copy"
            )


def _check_again(checked: Checked, seed: Array, slopes: Sequence[Array]) -> None:
    __tracebackhide__ = True
    again = _pull(checked, checked.arrays, [True] * len(slopes), seed)[1]
    for label, g, other in zip(checked.labels, slopes, again, strict=True):
        if not np.array_equal(g, other, equal_nan=True):
            raise NonDeterministicError(
                f"{checked.name}: two backward runs gave different gradients of {label}"
            )


def _check_alone(checked: Checked, seed: Array, slopes: Sequence[Array]) -> None:
    __tracebackhide__ = True
    if len(slopes) == 1:
        return
    for k, label in enumerate(checked.labels):
        needs = [i == k for i in range(len(slopes))]
        if not _agree(_pull(checked, checked.arrays, needs, seed)[1][k], slopes[k]):
            raise GradcheckError(
                f"{checked.name}: the gradient of {label} depends on `needs`: alone it differs"
            )


def _check_one_by_one(checked: Checked, seed: Array, y: Array, slopes: Sequence[Array]) -> None:
    """Check the vjp for one input at a time, when the other inputs do not need a gradient."""
    __tracebackhide__ = True
    same_y, same = _pull(checked, checked.arrays, [True] * len(slopes), seed)
    for label, g, other in zip(
        ("value", *checked.labels), (y, *slopes), (same_y, *same), strict=True
    ):
        if not _agree(other, g):
            what = "value" if label == "value" else f"gradient of {label}"
            raise GradcheckError(
                f"{checked.name}: its {what} depends on `needs`: by one input alone it differs"
            )


def _check_strided(checked: Checked, seed: Array, y: Array, slopes: Sequence[Array]) -> None:
    __tracebackhide__ = True
    spread = [_strided(a) for a in checked.arrays]
    strided_y, strided = _pull(checked, spread, [True] * len(slopes), seed)
    for label, g, other in zip(checked.labels, slopes, strided, strict=True):
        if not _agree(other, g):
            raise GradcheckError(
                f"{checked.name}: the gradient of {label} differs for inputs that are not "
                "contiguous"
            )
    if not _agree(strided_y, y):
        raise GradcheckError(
            f"{checked.name}: the result differs for inputs that are not contiguous"
        )


def _agree(a: Array, b: Array) -> bool:
    """Return whether two arrays, computed in different ways, agree up to rounding."""
    if np.array_equal(a, b, equal_nan=True):
        return True
    largest = float(np.abs(b[np.isfinite(b)]).max(initial=1.0))
    return np.allclose(a, b, rtol=1e-8, atol=1e-10 * largest, equal_nan=True)


def _check_unchanged(name: str, watched: Sequence[tuple[str, Array, Array]]) -> None:
    __tracebackhide__ = True
    for label, a, before in watched:
        if not np.array_equal(a, before, equal_nan=a.dtype.kind in "fc"):
            raise GradcheckError(f"{name}: {label} was mutated; a kernel must not write into it")


def _strided(a: Array) -> Array:
    """Return an equal array that is neither contiguous nor in C order."""
    wide = np.full([2 * n for n in a.shape[::-1]], np.nan)
    every_other: tuple[Any, ...] = (*[slice(None, None, -2)] * a.ndim, ...)
    view: Array = wide[every_other].transpose()
    view[...] = a
    return view
