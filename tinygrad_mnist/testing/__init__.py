"""Gradient tests for your own operations: a checker, and strategies for hypothesis."""

from typing import TYPE_CHECKING, Any

from ..errors import GradcheckError as GradcheckError
from ..errors import GradientMismatch as GradientMismatch
from ..errors import NonDeterministicError as NonDeterministicError
from ..errors import NonDifferentiableError as NonDifferentiableError
from .gradcheck import gradcheck as gradcheck

_STRATEGIES = ("away_from", "broadcastable", "labels", "shapes", "tensors")

if TYPE_CHECKING:
    from .strategies import away_from as away_from
    from .strategies import broadcastable as broadcastable
    from .strategies import labels as labels
    from .strategies import shapes as shapes
    from .strategies import tensors as tensors
else:  # a type checker would accept any name of a module with __getattr__

    def __getattr__(name: str) -> Any:
        if name not in _STRATEGIES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from . import strategies  # imported here because hypothesis is only installed for testing

        return getattr(strategies, name)


def _register() -> None:
    """Let `st.from_type(Tensor)` return `tensors()`. Hypothesis calls this as an entry point."""
    from hypothesis import strategies as st

    from ..tensor import Tensor

    def strategy(_: object) -> Any:
        # Not earlier, because hypothesis may still be importing when it calls _register.
        from .strategies import tensors

        return tensors()

    st.register_type_strategy(Tensor, strategy)
