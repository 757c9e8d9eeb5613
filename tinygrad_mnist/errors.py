"""Every exception of the library, each also the built-in error that a caller would expect; and checks that raise them."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = [
    "AnomalyError", "CheckpointError", "DataError", "GradcheckError", "GradientMismatch",
    "GraphError", "NonDeterministicError", "NonDifferentiableError", "ShapeError", "at_least", "explained",
]  # fmt: skip


class ShapeError(ValueError):
    """Arrays whose shapes do not fit the operation, or each other."""


class GraphError(RuntimeError):
    """A backward pass, or an optimizer step, that the recorded graph cannot support."""


class AnomalyError(FloatingPointError):
    """A NaN or an infinity, or a saved array that changed behind the library's back."""


class DataError(ValueError):
    """A data file that is damaged, incomplete, or not of the format that it claims."""


class CheckpointError(ValueError):
    """A checkpoint that is damaged, or that belongs to another model."""


class GradcheckError(AssertionError):
    """A gradient check that failed; the base of the errors in `tinygrad_mnist.testing`."""


class GradientMismatch(GradcheckError):  # noqa: N818 - the public name
    """The gradient differs from the numeric one; `input index step analytic numeric` are its attributes."""

    def __init__(
        self,
        message: str,
        input: int,
        index: tuple[int, ...],
        step: float,
        analytic: float,
        numeric: float,
    ) -> None:
        super().__init__(message)
        self.input, self.index, self.step, self.analytic, self.numeric = (
            input,
            index,
            step,
            analytic,
            numeric,
        )


class NonDifferentiableError(GradcheckError):
    """The function has a kink (or a jump, or an end of its domain) at the point."""


class NonDeterministicError(GradcheckError):
    """Two runs on the same inputs gave different results."""


def at_least(least: int, op: str, **values: Any) -> list[int]:
    """Return the values as integers; TypeError for one that is none, ValueError for one below `least`."""
    for name, value in values.items():
        if not isinstance(value, (int, np.integer)) or isinstance(value, bool):
            raise TypeError(f"{op}: expected {name} to be an integer, got {value!r}")
        if value < least:
            raise ValueError(f"{op}: expected {name} of at least {least}, got {value}")
    return [int(value) for value in values.values()]


_ABOUT_SHAPES = re.compile(
    "broadcast|mismatch|shape|dimension|axis|axes|zero-size|subscript|sequence"
)


def explained(error: Exception, name: str, arrays: Sequence[Any]) -> Exception:
    """Return the error of an operation's kernel with the name of the operation and its inputs' shapes in it."""
    text = str(error)
    if text.startswith(f"{name}:"):
        return error
    if not all(isinstance(a, np.ndarray) for a in arrays):
        return TypeError(f"{name}: {text}")
    about_shapes = (
        f"{name}: {text}, with inputs of shapes {', '.join(str(a.shape) for a in arrays)}"
    )
    if type(error) is ValueError and _ABOUT_SHAPES.search(text):
        return ShapeError(about_shapes)
    if isinstance(error, np.exceptions.AxisError):
        return np.exceptions.AxisError(about_shapes)
    kinds = ", ".join(f"{a.dtype}{list(a.shape)}" for a in arrays)
    kind = (
        TypeError
        if isinstance(error, TypeError) and type(error).__module__.startswith("numpy")
        else type(error)
    )
    return (
        kind(f"{name}: {text}, with inputs {kinds}")
        if kind in (TypeError, ValueError, IndexError)
        else error
    )
