"""Conversion to Tensors and between dtypes; float16 as a dtype to store, not to compute in."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..arrays import Array, constants, floating
from ..graph import Forward, Kernel
from ..tensor import Tensor, TensorLike, apply, from_numpy, unwrap

__all__ = ["astype"]

_HALF = np.dtype(np.float16)


def as_tensor(x: TensorLike) -> Tensor:
    """Return x as a Tensor, itself if it is one."""
    return x if isinstance(x, Tensor) else Tensor(x)


def as_tensors(operands: Sequence[TensorLike]) -> list[Tensor]:
    """Return Tensors; numbers and lists take the dtype of the arrays beside them."""
    arrays = constants([unwrap(x) for x in operands])
    pairs = zip(operands, arrays, strict=True)
    return [x if isinstance(x, Tensor) else from_numpy(array) for x, array in pairs]


def as_floats(x: TensorLike) -> Tensor:
    """Return x as a Tensor of floats, because integers wrap around and bools have no opposite."""
    tensor = as_tensor(x)
    return tensor if tensor.data.dtype.kind in "fc" else from_numpy(floating(tensor.data))


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
