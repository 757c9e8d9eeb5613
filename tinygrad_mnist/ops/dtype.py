"""Conversion between dtypes."""

import numpy.typing as npt

from ..arrays import Array
from ..graph import Forward
from ..tensor import Tensor, TensorLike, apply

__all__ = ["astype"]


def _astype(x: Array, *, dtype: npt.DTypeLike) -> Forward:
    before = x.dtype
    return x.astype(dtype), lambda g, needs: (g.astype(before),)


def astype(x: TensorLike, dtype: npt.DTypeLike) -> Tensor:
    """Convert to another dtype; the gradient is converted back."""
    return apply(_astype, x, dtype=dtype)
