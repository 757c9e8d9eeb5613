"""Operations that move elements and compute nothing: reshape, transpose, join, index, pad, cast."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..arrays import Array, is_array, unbroadcast, values
from ..errors import ShapeError
from ..graph import Forward, Grads, Needs
from ..tensor import Axis, Tensor, TensorLike, apply, run, unwrap

__all__ = [
    "astype", "broadcast_to", "concatenate", "copy", "expand_dims", "getitem", "pad",
    "reshape", "squeeze", "stack", "swapaxes", "transpose",
]  # fmt: skip


def _reshape(x: Array, *, shape: Any) -> Forward:
    before = x.shape
    try:
        y = x.reshape(shape)
    except ValueError as error:
        raise ShapeError(
            f"reshape: expected a shape for the {x.size} elements of shape {before}, got {shape}"
        ) from error
    return y, lambda g, needs: (g.reshape(before),)


def reshape(x: TensorLike, shape: int | Sequence[int], *more: int) -> Tensor:
    """Give the elements, in C order, another shape, of which one size may be -1."""
    return apply(_reshape, x, shape=(shape, *more) if more else shape)


def _transpose(x: Array, *, axes: Sequence[int]) -> Forward:
    y = x.transpose(axes)
    back = np.argsort([axis % x.ndim for axis in axes])
    return y, lambda g, needs: (g.transpose(tuple(back)),)


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
    return _reshape(x, shape=values(x).squeeze(axis).shape)


def squeeze(x: TensorLike, axis: Axis = None) -> Tensor:
    """Drop axes of size 1: the given ones, or all."""
    return apply(_squeeze, x, axis=axis)


def _expand_dims(x: Array, *, axis: int | tuple[int, ...]) -> Forward:
    return _reshape(x, shape=np.expand_dims(values(x), axis).shape)


def expand_dims(x: TensorLike, axis: int | tuple[int, ...]) -> Tensor:
    """Insert axes of size 1 at the given places of the result."""
    return apply(_expand_dims, x, axis=axis)


def _broadcast_to(x: Array, *, shape: Any) -> Forward:
    before = x.shape
    try:
        y = np.broadcast_to(x, shape)
    except ValueError as error:
        raise ShapeError(
            f"broadcast_to: expected a shape to which {before} broadcasts, got {shape}"
        ) from error
    return y.copy(), lambda g, needs: (unbroadcast(g, before),)


def broadcast_to(x: TensorLike, shape: int | Sequence[int]) -> Tensor:
    """Repeat along new axes and axes of size 1, up to the given shape."""
    return apply(_broadcast_to, x, shape=shape)


def _concatenate(*arrays: Array, axis: int | None) -> Forward:
    shapes = [a.shape for a in arrays]
    try:
        y = np.concatenate(arrays, axis)
    except np.exceptions.AxisError:
        raise
    except ValueError as error:
        raise ShapeError(
            f"concatenate: expected shapes that differ along axis {axis} only, got "
            f"{', '.join(map(str, shapes))}"
        ) from error
    along = 0 if axis is None else axis % y.ndim
    sizes = [math.prod(shape) if axis is None else shape[along] for shape in shapes]
    starts = [sum(sizes[:i]) for i in range(len(sizes))]

    def vjp(g: Array, needs: Needs) -> Grads:
        before = (slice(None),) * along
        return tuple(
            g[(*before, slice(start, start + size))].reshape(shape) if need else None
            for start, size, shape, need in zip(starts, sizes, shapes, needs, strict=True)
        )

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
    shapes = [a.shape for a in arrays]
    if len(set(shapes)) > 1:
        raise ShapeError(f"stack: expected equal shapes, got {', '.join(map(str, shapes))}")
    y = np.stack(arrays, axis)
    before = (slice(None),) * (axis % y.ndim)

    def vjp(g: Array, needs: Needs) -> Grads:
        indices: list[Any] = [(*before, i, ...) for i in range(len(shapes))]
        return tuple(g[i] if need else None for i, need in zip(indices, needs, strict=True))

    return y, vjp


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
    pairs = np.broadcast_to(np.asarray(width, int), (x.ndim, 2))  # a small dtype would overflow
    if (pairs < 0).any():
        raise ValueError(f"pad: expected widths of at least 0, got {width}")
    y = np.pad(x, width, constant_values=value)
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
    """Surround with a constant, as `numpy.pad` does.

    `pad_width` is a number of elements, or (before, after), or one such pair for each axis.

    Raises
    ------
    ValueError
        If `mode` is not "constant".
    """
    if mode != "constant":
        raise ValueError(f'pad: expected mode="constant", got {mode!r}')
    return apply(_pad, x, width=pad_width, value=constant_values)


def _getitem(x: Array, *, index: Any) -> Forward:
    shape = x.shape
    return x[index], lambda g, needs: (run(put, g, index=index, shape=shape),)


def put(g: Array, *, index: Any, shape: tuple[int, ...]) -> Forward:
    """Add the elements of g to zeros of a shape, at an index: the transpose of `_getitem`."""
    if is_array(g):
        out = _put_array(g, index, shape)
    else:
        out = run(put, g, index=index, shape=shape)
    return out, lambda h, needs: (h[index],)


def _put_array(g: Array, index: Any, shape: tuple[int, ...]) -> Array:
    out = np.zeros_like(g, shape=shape)
    parts = map(np.asarray, index if isinstance(index, tuple) else (index,))
    if any(part.dtype.kind in "iu" and part.ndim for part in parts):
        np.add.at(out, index, g)  # several integers may name an element twice
    else:
        out[index] = g
    return out


def getitem(x: TensorLike, index: Any) -> Tensor:
    """Take the elements x[index], with all that NumPy takes as an index.

    That is slices, integers, None, ..., arrays of integers, and masks.
    """
    return apply(
        _getitem, x, index=tuple(map(unwrap, index)) if isinstance(index, tuple) else unwrap(index)
    )


def _astype(x: Array, *, dtype: npt.DTypeLike) -> Forward:
    before = x.dtype
    return x.astype(dtype), lambda g, needs: (g.astype(before),)


def astype(x: TensorLike, dtype: npt.DTypeLike) -> Tensor:
    """Convert to another dtype; the gradient is converted back."""
    return apply(_astype, x, dtype=dtype)


def _copy(x: Array) -> Forward:
    return x.copy(), lambda g, needs: (g,)


def copy(x: TensorLike) -> Tensor:
    """Return the same values in memory of their own, as a part of the graph."""
    return apply(_copy, x)
