"""All exceptions, each derived from the built-in error that a caller expects; shared checks."""

from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = [
    "AnomalyError", "CheckpointError", "DataError", "GradcheckError", "GradientMismatch",
    "GraphError", "NonDeterministicError", "NonDifferentiableError", "ShapeError", "check_size",
    "explain",
]  # fmt: skip


class ShapeError(ValueError):
    """Arrays whose shapes do not fit the operation, or each other."""


class GraphError(RuntimeError):
    """A backward pass, or an optimizer step, that the recorded graph cannot support."""


class AnomalyError(FloatingPointError):
    """A NaN or an infinity, or a saved array that changed without the library's knowledge."""


class DataError(ValueError):
    """A data file that is damaged, incomplete, or not in the format that it claims."""


class CheckpointError(ValueError):
    """A checkpoint that is damaged, or that belongs to another model."""


class GradcheckError(AssertionError):
    """A gradient check that failed; the base of the errors in `tinygrad_mnist.testing`."""


class GradientMismatch(GradcheckError):  # noqa: N818 - the public name
    """The gradient differs from the numeric one.

    Its attributes `input index step analytic numeric` say where and by how much.
    """

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


def check_size(op: str, name: str, value: Any, least: int = 1) -> int:
    """Return a size, or another number that counts something, as an integer.

    It raises a TypeError if the value is not an integer, and a ValueError if it is below `least`.
    """
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool):
        raise TypeError(f"{op}: expected {name} to be an integer, got {value!r}")
    if value < least:
        raise ValueError(f"{op}: expected {name} of at least {least}, got {value}")
    return int(value)


def explain(error: Exception, name: str, own: bool, arrays: Sequence[Any]) -> Exception:
    """Add the name of an operation and its inputs to an error that its kernel raised.

    Our own kernels check values first. So if NumPy raises a plain ValueError in one of them, the
    shapes do not fit, and the error becomes a ShapeError. An error of a user's kernel keeps its
    type.
    """
    text = str(error)
    if text.startswith(f"{name}:"):
        return error
    if not all(isinstance(a, np.ndarray) for a in arrays):
        return TypeError(f"{name}: {text}")
    kinds = ", ".join(f"{a.dtype}{list(a.shape)}" for a in arrays)
    explained = f"{name}: {text}, with inputs {kinds}"
    if own and type(error) is ValueError:
        shapes = ", ".join(str(a.shape) for a in arrays)
        return ShapeError(f"{name}: {text}, with inputs of shapes {shapes}")
    if own and isinstance(error, np.exceptions.AxisError):
        return np.exceptions.AxisError(explained)
    if own and isinstance(error, TypeError):  # among them NumPy's subclasses for ufuncs
        return TypeError(explained)
    return _extend(error, explained, f"in the operation {name}, with inputs {kinds}")


def _extend(error: Exception, message: str, note: str) -> Exception:
    """Replace the message of an error if it is a plain one; otherwise add a note to the error."""
    if len(error.args) == 1 and error.args[0] == str(error):
        error.args = (message,)
    else:
        error.add_note(note)
    return error
