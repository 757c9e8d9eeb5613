"""Operations that move elements and compute nothing: reshape, transpose, concatenate, indexing, padding, casts."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..arrays import Array, unbroadcast
from ..errors import ShapeError
from ..tensor import Axis, Forward, Grads, Needs, Tensor, TensorLike, apply, unwrap

__all__ = [
    "astype", "broadcast_to", "concatenate", "expand_dims", "getitem", "pad",
    "reshape", "squeeze", "stack", "swapaxes", "transpose",
]  # fmt: skip


def _reshape(x: Array, *, shape: Any) -> Forward:
    before = x.shape
    return x.reshape(shape), lambda g, needs: (g.reshape(before),)


def reshape(x: TensorLike, shape: int | Sequence[int], *more: int) -> Tensor:
    """Give the elements, in C order, another shape, of which one size may be -1."""
    return apply(_reshape, x, shape=(shape, *more) if more else shape)


def _transpose(x: Array, *, axes: Sequence[int]) -> Forward:
    y = x.transpose(axes)
    back = np.argsort([axis % x.ndim for axis in axes])
    return y, lambda g, needs: (g.transpose(back),)


def transpose(x: TensorLike, axes: int | Sequence[int] | None = None, *more: int) -> Tensor:
    """Permute the axes; by default, reverse them."""
    if axes is None:
        axes = tuple(range(np.ndim(x)))[::-1]
    return apply(
        _transpose, x, axes=(axes, *more) if isinstance(axes, (int, np.integer)) else tuple(axes)
    )


def _swapaxes(x: Array, *, axis1: int, axis2: int) -> Forward:
    return x.swapaxes(axis1, axis2), lambda g, needs: (g.swapaxes(axis1, axis2),)


def swapaxes(x: TensorLike, axis1: int, axis2: int) -> Tensor:
    """Exchange two axes."""
    return apply(_swapaxes, x, axis1=axis1, axis2=axis2)


def _squeeze(x: Array, *, axis: Axis) -> Forward:
    return _reshape(x, shape=x.squeeze(axis).shape)


def squeeze(x: TensorLike, axis: Axis = None) -> Tensor:
    """Drop axes of size 1: the given ones, or all."""
    return apply(_squeeze, x, axis=axis)


def _expand_dims(x: Array, *, axis: int | tuple[int, ...]) -> Forward:
    return _reshape(x, shape=np.expand_dims(x, axis).shape)


def expand_dims(x: TensorLike, axis: int | tuple[int, ...]) -> Tensor:
    """Insert axes of size 1 at the given places of the result."""
    return apply(_expand_dims, x, axis=axis)


def _broadcast_to(x: Array, *, shape: Any) -> Forward:
    before = x.shape
    return np.broadcast_to(x, shape).copy(), lambda g, needs: (unbroadcast(g, before),)


def broadcast_to(x: TensorLike, shape: int | Sequence[int]) -> Tensor:
    """Repeat along new axes and axes of size 1, up to the given shape."""
    return apply(_broadcast_to, x, shape=shape)


def _concatenate(*arrays: Array, axis: int | None) -> Forward:
    shapes = [a.shape for a in arrays]
    y = np.concatenate(arrays, axis)
    ends = np.cumsum([a.size if axis is None else a.shape[axis] for a in arrays])[:-1]

    def vjp(g: Array, needs: Needs) -> Grads:
        parts = np.split(g, ends, axis or 0)
        return [
            part.reshape(shape) if need else None
            for part, shape, need in zip(parts, shapes, needs, strict=True)
        ]

    return y, vjp


def concatenate(tensors: Sequence[TensorLike], axis: int | None = 0) -> Tensor:
    """Join tensors along an existing axis (flattened, if None).

    Raises
    ------
    ShapeError
        If there are none, or their shapes differ along another axis.
    """
    if len(tensors) == 0:
        raise ShapeError("concatenate: expected at least one tensor, got none")
    return apply(_concatenate, *tensors, axis=axis)


def _stack(*arrays: Array, axis: int) -> Forward:
    def vjp(g: Array, needs: Needs) -> Grads:
        parts = np.moveaxis(g, axis, 0)
        return [parts[i, ...] if need else None for i, need in enumerate(needs)]

    return np.stack(arrays, axis), vjp


def stack(tensors: Sequence[TensorLike], axis: int = 0) -> Tensor:
    """Join tensors of equal shape along a new axis.

    Raises
    ------
    ShapeError
        If there are none, or their shapes differ.
    """
    if len(tensors) == 0:
        raise ShapeError("stack: expected at least one tensor, got none")
    return apply(_stack, *tensors, axis=axis)


def _pad(x: Array, *, width: Any, value: float) -> Forward:
    y = np.pad(x, width, constant_values=value)
    pairs = np.broadcast_to(
        np.asarray(width, int), (x.ndim, 2)
    )  # a small dtype would overflow below
    inner = tuple(
        slice(before, before + size) for (before, _), size in zip(pairs, x.shape, strict=True)
    )
    return y, lambda g, needs: (g[inner],)


def pad(
    x: TensorLike,
    pad_width: int | Sequence[Any],
    mode: str = "constant",
    constant_values: float = 0.0,
) -> Tensor:
    """Surround with a constant: `pad_width` elements, or (before, after), or one such pair an axis, as in `numpy.pad`.

    Raises
    ------
    ValueError
        If `mode` is not "constant".
    """
    if mode != "constant":
        raise ValueError(f'pad: expected mode="constant", got {mode!r}')
    return apply(_pad, x, width=pad_width, value=constant_values)


def _getitem(x: Array, *, index: Any) -> Forward:
    y = x[index]
    shape = x.shape
    parts = map(np.asarray, index if isinstance(index, tuple) else (index,))
    repeats = any(
        part.dtype.kind in "iu" and part.ndim for part in parts
    )  # several integers may name an element twice

    def vjp(g: Array, needs: Needs) -> Grads:
        out = np.zeros(shape, g.dtype)
        if repeats:
            np.add.at(out, index, g)
        else:
            out[index] = g
        return (out,)

    return y, vjp


def getitem(x: TensorLike, index: Any) -> Tensor:
    """Take the elements x[index] as NumPy does: slices, integers, None, ..., arrays of integers, masks."""
    return apply(
        _getitem, x, index=tuple(map(unwrap, index)) if isinstance(index, tuple) else unwrap(index)
    )


def _astype(x: Array, *, dtype: npt.DTypeLike) -> Forward:
    before = x.dtype
    if before.kind == "c" and np.dtype(dtype).kind == "f":
        dtype = np.result_type(
            dtype, np.complex64
        )  # a complex step goes through a cast, at the precision asked for
    return x.astype(dtype), lambda g, needs: ((g if before.kind == "c" else g.real).astype(before),)


def astype(x: TensorLike, dtype: npt.DTypeLike) -> Tensor:
    """Convert to another dtype; the gradient is converted back."""
    return apply(_astype, x, dtype=dtype)
