"""Operations that move whole arrays about: reshape, transpose, join, split, pad, roll, tile."""

import math
from collections.abc import Sequence
from typing import Any, Never

import numpy as np

from ..arrays import Array, add_up, unbroadcast, values
from ..errors import ShapeError, check_size
from ..graph import Forward, Grads, Needs
from ..tensor import Axis, Tensor, TensorLike, apply, unwrap
from .foreign import refuse
from .index import getitem

__all__ = [
    "broadcast_to", "concatenate", "copy", "expand_dims", "flip", "moveaxis", "pad", "reshape",
    "roll", "split", "squeeze", "stack", "swapaxes", "tile", "transpose",
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
    """Give the elements another shape, in C order.

    One size may be -1; it is then computed from the others.

    Examples
    --------
    >>> reshape(Tensor([1.0, 2.0, 3.0, 4.0]), (2, -1))
    Tensor([[1., 2.],
            [3., 4.]])
    """
    return apply(_reshape, x, shape=(shape, *more) if more else shape)


def _transpose(x: Array, *, axes: Sequence[int]) -> Forward:
    y = x.transpose(axes)
    back = np.argsort([axis % x.ndim for axis in axes])
    return y, lambda g, needs: (g.transpose(tuple(back)),)


def transpose(x: TensorLike, axes: int | Sequence[int] | None = None, *more: int) -> Tensor:
    """Permute the axes: axis i of the result is axis axes[i] of x. By default, reverse them.

    Examples
    --------
    >>> transpose(Tensor([[1.0, 2.0], [3.0, 4.0]]))
    Tensor([[1., 3.],
            [2., 4.]])
    """
    if axes is None:
        axes = tuple(range(np.ndim(x)))[::-1]
    return apply(
        _transpose, x, axes=(axes, *more) if isinstance(axes, (int, np.integer)) else tuple(axes)
    )


def _swapaxes(x: Array, *, axis1: int, axis2: int) -> Forward:
    return x.swapaxes(axis1, axis2), lambda g, needs: (g.swapaxes(axis1, axis2),)


def swapaxes(x: TensorLike, axis1: int, axis2: int, **foreign: Never) -> Tensor:
    """Exchange two axes: a matrix becomes its transpose.

    Examples
    --------
    >>> swapaxes(Tensor(np.zeros((2, 3, 4))), 1, 2).shape
    (2, 4, 3)
    """
    refuse("swapaxes", foreign)
    return apply(_swapaxes, x, axis1=axis1, axis2=axis2)


def _moveaxis(x: Array, *, source: Any, destination: Any) -> Forward:
    y = np.moveaxis(x, source, destination)
    return y, lambda g, needs: (np.moveaxis(g, destination, source),)


def moveaxis(
    x: TensorLike, source: int | Sequence[int], destination: int | Sequence[int]
) -> Tensor:
    """Move axes to other places; the rest keep their order.

    Parameters
    ----------
    x : Tensor
    source : int or sequence of ints
        The axes to move.
    destination : int or sequence of ints
        The place of each of them in the result.

    Raises
    ------
    ShapeError
        If an axis is named twice, or there are more sources than destinations.

    Examples
    --------
    >>> images = Tensor(np.zeros((8, 28, 20, 3)))
    >>> moveaxis(images, -1, 1).shape
    (8, 3, 28, 20)
    """
    return apply(_moveaxis, x, source=source, destination=destination)


def _squeeze(x: Array, *, axis: Axis) -> Forward:
    return _reshape(x, shape=values(x).squeeze(axis).shape)


def squeeze(x: TensorLike, axis: Axis = None, **foreign: Never) -> Tensor:
    """Drop axes of size 1: the given ones, or all.

    Examples
    --------
    >>> squeeze(Tensor([[1.0, 2.0]]), axis=0)
    Tensor([1., 2.])
    """
    refuse("squeeze", foreign)
    return apply(_squeeze, x, axis=axis)


def _expand_dims(x: Array, *, axis: int | tuple[int, ...]) -> Forward:
    return _reshape(x, shape=np.expand_dims(values(x), axis).shape)


def expand_dims(x: TensorLike, axis: int | tuple[int, ...], **foreign: Never) -> Tensor:
    """Insert axes of size 1 at the given places of the result.

    Examples
    --------
    >>> expand_dims(Tensor([1.0, 2.0]), axis=1)
    Tensor([[1.],
            [2.]])
    """
    refuse("expand_dims", foreign)
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
    """Repeat x along new axes and along axes of size 1, so that it gets the given shape.

    Examples
    --------
    >>> broadcast_to(Tensor([1.0, 2.0]), (2, 2))
    Tensor([[1., 2.],
            [1., 2.]])
    """
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


def concatenate(tensors: Sequence[TensorLike], axis: int | None = 0, **foreign: Never) -> Tensor:
    """Join tensors along an existing axis: shapes (2, 3) and (4, 3) give (6, 3).

    With `axis=None` they are flattened first.

    Raises
    ------
    ShapeError
        If there are none, or their shapes differ along another axis.

    Examples
    --------
    >>> concatenate([Tensor([1.0, 2.0]), Tensor([3.0])])
    Tensor([1., 2., 3.])
    """
    refuse("concatenate", foreign)
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


def stack(tensors: Sequence[TensorLike], axis: int = 0, **foreign: Never) -> Tensor:
    """Join tensors of equal shape along a new axis: two of shape (3, 4) give (2, 3, 4).

    Raises
    ------
    ShapeError
        If there are none, or their shapes differ.

    Examples
    --------
    >>> stack([Tensor([1.0, 2.0]), Tensor([3.0, 4.0])])
    Tensor([[1., 2.],
            [3., 4.]])
    """
    refuse("stack", foreign)
    if len(tensors) == 0:
        raise ShapeError("stack: expected at least one tensor, got none")
    return apply(_stack, *tensors, axis=axis)


def split(
    x: TensorLike,
    indices_or_sections: int | Sequence[int],
    axis: int = 0,
    **foreign: Never,
) -> list[Tensor]:
    """Cut into a list of tensors along an axis.

    Parameters
    ----------
    x : Tensor
    indices_or_sections : int or sequence of ints
        A number of equal parts; or the places to cut at, so that [2, 3] gives x[:2], x[2:3], x[3:].
    axis : int

    Raises
    ------
    ShapeError
        If the axis does not divide into so many equal parts.

    Examples
    --------
    >>> split(Tensor([1.0, 2.0, 3.0, 4.0]), 2)
    [Tensor([1., 2.]), Tensor([3., 4.])]
    >>> split(Tensor([1.0, 2.0, 3.0, 4.0]), [1])
    [Tensor([1.]), Tensor([2., 3., 4.])]
    """
    refuse("split", foreign)
    shape = np.shape(x)
    along = np.lib.array_utils.normalize_axis_index(axis, len(shape), "split")
    cuts: list[int | None]
    if np.ndim(indices_or_sections) == 0:
        parts = check_size("split", "sections", indices_or_sections)
        if shape[along] % parts:
            raise ShapeError(
                f"split: expected a number of parts that divides the size {shape[along]} of axis "
                f"{axis}, got {parts}; pass the places to cut at for unequal parts"
            )
        cuts = [shape[along] // parts * i for i in range(1, parts)]
    else:
        cuts = list(unwrap(indices_or_sections))
    before = (slice(None),) * along
    ends = [*cuts, None]
    return [
        getitem(x, (*before, slice(start, stop)))
        for start, stop in zip([None, *cuts], ends, strict=True)
    ]


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

    Examples
    --------
    >>> pad(Tensor([1.0, 2.0]), (1, 2))
    Tensor([0., 1., 2., 0., 0.])
    """
    if mode != "constant":
        raise ValueError(f'pad: expected mode="constant", got {mode!r}')
    return apply(_pad, x, width=pad_width, value=constant_values)


def _flip(x: Array, *, axis: Axis) -> Forward:
    return np.flip(x, axis), lambda g, needs: (np.flip(g, axis),)


def flip(x: TensorLike, axis: Axis = None, **foreign: Never) -> Tensor:
    """Reverse the order of the elements along axes (all by default).

    Examples
    --------
    >>> flip(Tensor([[1.0, 2.0], [3.0, 4.0]]), axis=1)
    Tensor([[2., 1.],
            [4., 3.]])
    """
    refuse("flip", foreign)
    return apply(_flip, x, axis=axis)


def _roll(x: Array, *, shift: Any, axis: Axis) -> Forward:
    back = tuple(-s for s in shift) if isinstance(shift, tuple) else -shift
    return np.roll(x, shift, axis), lambda g, needs: (np.roll(g, back, axis),)


def roll(x: TensorLike, shift: int | Sequence[int], axis: Axis = None, **foreign: Never) -> Tensor:
    """Shift the elements along axes; what leaves at the end comes in again at the beginning.

    Parameters
    ----------
    x : Tensor
    shift : int or sequence of ints
        By how many places, for all axes or for each of them.
    axis : int or tuple of ints, optional
        By default, x is shifted as if it were flat.

    Examples
    --------
    >>> roll(Tensor([1.0, 2.0, 3.0, 4.0]), 1)
    Tensor([4., 1., 2., 3.])
    """
    refuse("roll", foreign)
    steps = tuple(shift) if isinstance(shift, (Sequence, np.ndarray)) else shift
    return apply(_roll, x, shift=steps, axis=axis)


def _tile(x: Array, *, reps: tuple[int, ...]) -> Forward:
    before = x.shape
    axes = max(len(reps), len(before))
    counts = (*(1,) * (axes - len(reps)), *reps)
    sizes = (*(1,) * (axes - len(before)), *before)
    # In g each axis counts the copies, then the elements of each copy.
    pairs = tuple(n for pair in zip(counts, sizes, strict=True) for n in pair)
    copies = tuple(range(0, 2 * axes, 2))

    def vjp(g: Array, needs: Needs) -> Grads:
        return (add_up(g.reshape(pairs), copies, keepdims=False).reshape(before),)

    return np.tile(x, reps), vjp


def tile(x: TensorLike, reps: int | Sequence[int]) -> Tensor:
    """Lay copies of the whole array side by side.

    Parameters
    ----------
    x : Tensor
    reps : int or sequence of ints
        How many copies along each axis. A single number is for the last axis. If there are more
        numbers than axes, x gets new axes in front.

    Raises
    ------
    ValueError
        If a number is negative.

    Examples
    --------
    >>> tile(Tensor([1.0, 2.0]), 2)
    Tensor([1., 2., 1., 2.])
    >>> tile(Tensor([1.0, 2.0]), (2, 1))
    Tensor([[1., 2.],
            [1., 2.]])
    """
    numbers = list(reps) if isinstance(reps, (Sequence, np.ndarray)) else [reps]
    counts = [check_size("tile", f"reps[{i}]", n, least=0) for i, n in enumerate(numbers)]
    return apply(_tile, x, reps=tuple(counts))


def _copy(x: Array) -> Forward:
    return x.copy(), lambda g, needs: (g,)


def copy(x: TensorLike) -> Tensor:
    """Return the same values in memory of their own, as a part of the graph."""
    return apply(_copy, x)
