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
else:  # to a type checker, a module with a __getattr__ has every name

    def __getattr__(name: str) -> Any:
        if name not in _STRATEGIES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from . import strategies  # hypothesis is only needed, and only installed, by those who test

        return getattr(strategies, name)


def _register() -> None:
    """Let `st.from_type(Tensor)` give `tensors()`; hypothesis calls this by an entry point."""
    from hypothesis import strategies as st

    from ..tensor import Tensor

    def strategy(_: object) -> Any:
        # Not before: hypothesis may be half-way through the import that this file began.
        from .strategies import tensors

        return tensors()

    st.register_type_strategy(Tensor, strategy)
