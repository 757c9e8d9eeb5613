"""Every exception of the library; each is also the built-in error that a caller would expect."""

__all__ = [
    "AnomalyError", "CheckpointError", "DataError", "GradcheckError", "GradientMismatch",
    "GraphError", "NonDeterministicError", "NonDifferentiableError", "ShapeError",
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

    def __init__(self, message: str, input: int, index: tuple[int, ...], step: float, analytic: float, numeric: float) -> None:
        super().__init__(message)
        self.input, self.index, self.step, self.analytic, self.numeric = input, index, step, analytic, numeric


class NonDifferentiableError(GradcheckError):
    """The function has a kink (or a jump, or an end of its domain) at the point."""


class NonDeterministicError(GradcheckError):
    """Two runs on the same inputs gave different results."""
