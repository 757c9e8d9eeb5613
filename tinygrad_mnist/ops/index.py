"""Operations that take elements by their places: indexing, take, repeat, sort and diagonals.

Each of them is an indexing x[index] at heart, and its gradient a `put` into zeros.
"""

import math
import operator
from collections.abc import Sequence
from typing import Any, Never

import numpy as np
import numpy.typing as npt

from ..arrays import (
    Array,
    Recorded,
    is_array,
    keep_where,
    refuse_mask,
    spread,
    unbroadcast,
    values,
)
from ..errors import ShapeError
from ..graph import Forward, Grads, Needs
from ..tensor import Tensor, TensorLike, apply, run, unwrap
from .dtype import apply_wide
from .foreign import refuse
from .reduce import sum_

__all__ = [
    "diagonal", "getitem", "repeat", "sort", "take", "take_along_axis", "trace", "tril", "triu",
]  # fmt: skip


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
    # float16 has too few digits for sums of many elements.
    dtype = np.float32 if g.dtype == np.float16 else None
    parts = [np.asanyarray(part) for part in (index if isinstance(index, tuple) else (index,))]
    like = next((part for part in parts if isinstance(part, Recorded)), g)
    out = np.zeros_like(like, shape=shape, dtype=dtype or g.dtype, order="C")
    if any(part.dtype.kind in "iu" and part.ndim for part in parts):
        _add_at(out, index, g)  # several integers may name an element twice
    else:
        out[index] = g
    return out.astype(g.dtype, copy=False)


# np.add.at has a fast loop for one flat index only. With the places of the elements in flat memory
# it takes a quarter of the time, and adds in the same order. These are the limits of the gain: the
# least size of g, and how many times larger the whole may be whose places are all written down.
_MANY, _SPARSE = 1 << 10, 16


def _add_at(out: Array, index: Any, g: Array) -> None:
    """Add g to a contiguous array at an index."""
    rows = index[0] if isinstance(index, tuple) and len(index) == 1 else index
    if g.size < _MANY:
        np.add.at(out, index, g)
    elif isinstance(rows, np.ndarray) and rows.dtype.kind in "iu":
        row = math.prod(out.shape[1:])
        first = _count_from_start(rows.reshape(-1), len(out)) * row
        _add_at_places(out, first if row == 1 else first[:, np.newaxis] + np.arange(row), g)
    elif g.size * _SPARSE >= out.size:
        _add_at_places(out, np.arange(out.size).reshape(out.shape)[index], g)
    else:
        np.add.at(out, index, g)


def _add_at_places(out: Array, places: Array, g: Array) -> None:
    np.add.at(out.reshape(-1), places.reshape(-1), g.reshape(-1))


def getitem(x: TensorLike, index: Any) -> Tensor:
    """Take the elements x[index], with all that NumPy takes as an index.

    That is slices, integers, None, ..., arrays of integers, and masks.
    """
    if isinstance(index, tuple):
        return apply(_getitem, x, index=tuple(refuse_mask(unwrap(i)) for i in index))
    return apply(_getitem, x, index=refuse_mask(unwrap(index)))


def _as_integers(op: str, name: str, numbers: TensorLike) -> Array:
    array = np.asanyarray(refuse_mask(unwrap(numbers)))
    if not array.size:
        array = array.astype(np.intp)  # an empty list has no dtype
    if array.dtype.kind == "b" and name == "indices":
        raise TypeError(f"{op}: expected integers as indices, got bools; for a mask use x[mask]")
    if array.dtype.kind not in "iu":
        raise TypeError(f"{op}: expected integers as {name}, got {array.dtype}")
    return array


def _take(x: Array, *, indices: Array, axis: int | None) -> Forward:
    y = np.take(x, indices, axis)
    before = x.shape
    along = 0 if axis is None else axis % x.ndim
    shape = (x.size,) if axis is None else before
    index = (*(slice(None),) * along, indices)

    def vjp(g: Array, needs: Needs) -> Grads:
        return (run(put, g, index=index, shape=shape).reshape(before),)

    return y, vjp


def take(x: TensorLike, indices: TensorLike, axis: int | None = None, **foreign: Never) -> Tensor:
    """Take elements by their places along an axis: the rows of a table, for example.

    Parameters
    ----------
    x : Tensor
    indices : integers of any shape
        Negative ones count from the end. A place that is named twice gets both gradients.
    axis : int, optional
        By default, the places are those of the flattened x.

    Returns
    -------
    Tensor of the shape of x, with the shape of `indices` instead of the axis

    Raises
    ------
    IndexError
        If an index is out of range.
    TypeError
        If the indices are not integers.

    Examples
    --------
    >>> take(Tensor([[1.0, 2.0], [3.0, 4.0]]), [1, 1, 0], axis=0)
    Tensor([[3., 4.],
            [3., 4.],
            [1., 2.]])
    """
    refuse("take", foreign)
    return apply(_take, x, indices=_as_integers("take", "indices", indices), axis=axis)


def _take_along_axis(x: Array, *, indices: Array, axis: int | None) -> Forward:
    before = x.shape
    if axis is None:
        x, axis = x.reshape(-1), 0
    along = np.lib.array_utils.normalize_axis_index(axis, x.ndim, "take_along_axis")
    places = _places_along(indices, x.shape, along)
    shape = (x.size,)

    def vjp(g: Array, needs: Needs) -> Grads:
        return (run(put, g, index=(places,), shape=shape).reshape(before),)

    return np.take(x.reshape(-1), places), vjp


def _places_along(indices: Array, shape: tuple[int, ...], axis: int) -> Array:
    """Return where the elements x[i, indices[i, j]] of an x of a shape stand in the flattened x."""
    size = shape[axis]
    if indices.ndim != len(shape):
        raise ShapeError(
            f"take_along_axis: expected indices of {len(shape)} axes as x of shape {shape} has, "
            f"got shape {indices.shape}"
        )
    if indices.size and not (-size <= indices.min() and indices.max() < size):
        wrong = indices[(indices < -size) | (indices >= size)][0]
        raise IndexError(
            f"take_along_axis: index {wrong} is out of bounds for axis {axis} with size {size}"
        )
    places = _count_from_start(indices, size) * math.prod(shape[axis + 1 :])
    for k, count in enumerate(shape):
        if k != axis:  # every place along this axis, to broadcast with the indices
            step = math.prod(shape[k + 1 :])
            along = np.arange(0, count) * step
            places = places + along.reshape(count, *(1,) * (len(shape) - k - 1))
    return places


def _count_from_start(indices: Array, size: int) -> Array:
    """Return the indices of an axis as integers of at least 0."""
    indices = indices.astype(np.intp, copy=False)
    negative = indices < 0
    # One look is faster than a remainder of each.
    return np.where(negative, indices + size, indices) if negative.any() else indices


def take_along_axis(
    x: TensorLike, indices: TensorLike, axis: int | None = -1, **foreign: Never
) -> Tensor:
    """Take from each row along an axis by its own indices: y[i, j] = x[i, indices[i, j]].

    It goes with `np.argsort` and the like.

    Parameters
    ----------
    x : Tensor
    indices : integers
        As many axes as x has; those beside `axis` broadcast with the ones of x.
    axis : int or None
        None takes from the flattened x.

    Raises
    ------
    IndexError
        If an index is out of range.
    ShapeError
        If the shapes do not fit.
    TypeError
        If the indices are not integers.

    Examples
    --------
    >>> x = Tensor([[3.0, 1.0, 2.0], [4.0, 6.0, 5.0]])
    >>> take_along_axis(x, np.argmax(x, axis=1, keepdims=True), axis=1)
    Tensor([[3.],
            [6.]])
    """
    refuse("take_along_axis", foreign)
    array = _as_integers("take_along_axis", "indices", indices)
    return apply(_take_along_axis, x, indices=array, axis=axis)


def _repeat(x: Array, *, indices: Array, axis: int | None) -> Forward:
    return _take(x, indices=indices, axis=axis)


def _repeat_all(x: Array, *, count: int, axis: int | None) -> Forward:
    """Repeat each slice along an axis equally often: its gradient is a sum without a scatter."""
    before = x.shape
    shape, along = ((x.size,), 0) if axis is None else (before, axis)

    def vjp(g: Array, needs: Needs) -> Grads:
        groups = g.reshape(*shape[: along + 1], count, *shape[along + 1 :])
        return (groups.sum(axis=along + 1).reshape(before),)

    return np.repeat(x, count, axis), vjp


def repeat(
    x: TensorLike, repeats: int | npt.ArrayLike, axis: int | None = None, **foreign: Never
) -> Tensor:
    """Repeat each element, or each slice along an axis, a number of times in a row.

    Parameters
    ----------
    x : Tensor
    repeats : int, or ints that broadcast to the size of the axis
        How often each of them stands in the result.
    axis : int, optional
        By default, x is flattened first.

    Raises
    ------
    ShapeError
        If there are several numbers, but not one for each element.
    ValueError
        If a number is negative.

    Examples
    --------
    >>> repeat(Tensor([1.0, 2.0]), 2)
    Tensor([1., 1., 2., 2.])
    >>> repeat(Tensor([[1.0], [2.0]]), [2, 1], axis=0)
    Tensor([[1.],
            [1.],
            [2.]])
    """
    refuse("repeat", foreign)
    size = np.size(x)
    if axis is not None:
        axis = np.lib.array_utils.normalize_axis_index(axis, np.ndim(x), "repeat")
        size = np.shape(x)[axis]
    counts = _as_integers("repeat", "repeats", repeats)
    if (counts < 0).any():
        raise ValueError(f"repeat: expected numbers of at least 0, got {counts.min()}")
    if counts.ndim > 1 or counts.size not in (1, size):
        raise ShapeError(
            f"repeat: expected one number, or one for each of {size} elements, got {counts.shape}"
        )
    if counts.size == 1:
        return apply_wide(_repeat_all, x, count=int(counts.item()), axis=axis)
    return apply(_repeat, x, indices=np.repeat(np.arange(size), counts), axis=axis)


def _sort(x: Array, *, axis: int | None) -> Forward:
    before = x.shape
    if axis is None:
        x, axis = x.reshape(-1), 0
    order = np.argsort(values(x), axis=axis, kind="stable")
    back = np.argsort(order, axis=axis)
    y = np.take_along_axis(x, order, axis)
    return y, lambda g, needs: (np.take_along_axis(g, back, axis).reshape(before),)


def sort(x: TensorLike, axis: int | None = -1, **foreign: Never) -> Tensor:
    """Sort along an axis, in ascending order; the result is a new tensor.

    The gradient of each element of the result goes to the element that stands there. Equal ones
    keep their order. As in NumPy, nan comes last.

    Parameters
    ----------
    x : Tensor
    axis : int or None
        None sorts the flattened x.

    Examples
    --------
    >>> sort(Tensor([[3.0, 1.0, 2.0], [0.0, -1.0, 5.0]]))
    Tensor([[ 1.,  2.,  3.],
            [-1.,  0.,  5.]])
    """
    refuse("sort", foreign)
    return apply(_sort, x, axis=axis)


def _diagonal(x: Array, *, offset: int, axis1: int, axis2: int) -> Forward:
    offset = operator.index(offset)
    rows, columns = x.shape[axis1], x.shape[axis2]
    start = max(-offset, 0)
    count = max(min(rows - start, columns - max(offset, 0)), 0)
    i = np.arange(start, start + count)
    index = (..., i, i + offset)
    moved = np.moveaxis(x, (axis1, axis2), (-2, -1))
    shape = moved.shape

    def vjp(g: Array, needs: Needs) -> Grads:
        whole = run(put, g, index=index, shape=shape)
        return (np.moveaxis(whole, (-2, -1), (axis1, axis2)),)

    return moved[index], vjp


def diagonal(x: TensorLike, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """Take the diagonal of two axes, x[i, i + offset], as the last axis of the result.

    Parameters
    ----------
    x : Tensor of at least two axes
    offset : int
        Positive above the main diagonal, negative below it.
    axis1 : int
        The axis of the rows.
    axis2 : int
        The axis of the columns.

    Raises
    ------
    ShapeError
        If x has fewer than two axes, or both axes are the same.

    Examples
    --------
    >>> diagonal(Tensor([[1.0, 2.0], [3.0, 4.0]]))
    Tensor([1., 4.])
    >>> diagonal(Tensor([[1.0, 2.0], [3.0, 4.0]]), offset=1)
    Tensor([2.])
    """
    return _diagonal_of("diagonal", x, offset, axis1, axis2)


def _diagonal_of(op: str, x: TensorLike, offset: int, axis1: int, axis2: int) -> Tensor:
    ndim = np.ndim(x)
    if ndim < 2:
        raise ShapeError(f"{op}: expected at least two axes, got shape {np.shape(x)}")
    first, second = (
        np.lib.array_utils.normalize_axis_index(axis, ndim, op) for axis in (axis1, axis2)
    )
    if first == second:
        raise ShapeError(f"{op}: expected two different axes, got {axis1} and {axis2}")
    return apply(_diagonal, x, offset=offset, axis1=first, axis2=second)


def trace(x: TensorLike, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """Sum of the diagonal of two axes, sum over i of x[i, i + offset].

    Parameters and errors are those of `diagonal`.

    Examples
    --------
    >>> trace(Tensor([[1.0, 2.0], [3.0, 4.0]]))
    Tensor(5.)
    """
    return sum_(_diagonal_of("trace", x, offset, axis1, axis2), -1)


def _keep(x: Array, mask: Array) -> Forward:
    # Where x has a single axis, each row of the mask meets it, as in NumPy.
    shape = x.shape
    y = keep_where(spread(x, np.broadcast_shapes(shape, mask.shape)), mask)
    return y, lambda g, needs: (unbroadcast(keep_where(g, mask), shape),)


def _lower(op: str, shape: Sequence[int], k: int) -> Array:
    """Return a mask that is true on the diagonal k and below it."""
    if len(shape) == 0:
        raise ShapeError(f"{op}: expected at least one axis, got a single number")
    return np.tri(*shape[-2:], k=k, dtype=np.bool_)  # type: ignore[call-overload]


def _tril(x: Array, *, k: int) -> Forward:
    return _keep(x, _lower("tril", x.shape, k))


def tril(x: TensorLike, k: int = 0) -> Tensor:
    """Lower triangle of the last two axes: 0 above the diagonal `k`.

    Examples
    --------
    >>> tril(Tensor([[1.0, 2.0], [3.0, 4.0]]))
    Tensor([[1., 0.],
            [3., 4.]])
    """
    return apply(_tril, x, k=k)


def _triu(x: Array, *, k: int) -> Forward:
    return _keep(x, ~_lower("triu", x.shape, k - 1))


def triu(x: TensorLike, k: int = 0) -> Tensor:
    """Upper triangle of the last two axes: 0 below the diagonal `k`.

    Examples
    --------
    >>> triu(Tensor([[1.0, 2.0], [3.0, 4.0]]), k=1)
    Tensor([[0., 2.],
            [0., 0.]])
    """
    return apply(_triu, x, k=k)
