"""Conversion between dtypes, and float16 as a dtype to store rather than to compute in."""

from typing import Any

import numpy as np
import numpy.typing as npt

from ..arrays import Array
from ..graph import Forward, Kernel
from ..tensor import Tensor, TensorLike, apply

__all__ = ["astype"]

_HALF = np.dtype(np.float16)


def _astype(x: Array, *, dtype: npt.DTypeLike) -> Forward:
    before = x.dtype
    return x.astype(dtype), lambda g, needs: (g.astype(before),)


def astype(x: TensorLike, dtype: npt.DTypeLike) -> Tensor:
    """Convert to another dtype; the gradient is converted back."""
    return apply(_astype, x, dtype=dtype)


def apply_wide(kernel: Kernel, /, *inputs: TensorLike, **params: Any) -> Tensor:
    """Run a kernel that combines many numbers: like `apply`, but float16 goes through float32.

    float16 has 11 bits, so a sum of ones would stop at 2048. The result is float16 again, unless an
    input has a wider dtype.
    """
    for x in inputs:
        if _is_half(x):
            return _apply_to_float32(kernel, inputs, params)
    return apply(kernel, *inputs, **params)


def _is_half(x: object) -> bool:
    return isinstance(x, (Tensor, np.ndarray)) and x.dtype == _HALF


def _apply_to_float32(
    kernel: Kernel, inputs: tuple[TensorLike, ...], params: dict[str, Any]
) -> Tensor:
    wide = [astype(x, np.float32) if _is_half(x) else x for x in inputs]
    y = apply(kernel, *wide, **params)
    floats = [x for x in inputs if isinstance(x, (Tensor, np.ndarray)) and x.dtype.kind == "f"]
    return astype(y, np.float16) if all(map(_is_half, floats)) else y
