"""Reductions over axes, and cumulative sums and products."""

import math
from typing import Never

import numpy as np

from ..arrays import Array, add_up, floating, is_array, spread, values
from ..graph import Forward, Grads, Needs
from ..tensor import Axis, Tensor, TensorLike, apply, run
from .dtype import apply_wide
from .foreign import refuse

__all__ = [
    "cumprod", "cumsum", "logsumexp", "max_", "mean", "min_", "norm", "prod", "std", "sum_", "var",
]  # fmt: skip


def _as_axes(axis: Axis, x: Array) -> tuple[int, ...]:
    """Return the axes as a tuple.

    NumPy's reduction raises an error if an axis is missing or repeated.
    """
    if axis is None:
        return tuple(range(x.ndim))
    return tuple(axis) if isinstance(axis, (tuple, list)) else (axis,)


def _count(x: Array, axes: tuple[int, ...]) -> int:
    return math.prod(x.shape[axis] for axis in axes)


def _keep_dims(g: Array, axes: tuple[int, ...], keepdims: bool) -> Array:
    """Put the reduced axes back into `g`, with size 1, unless they are still there."""
    return g if keepdims else np.expand_dims(g, axes)


def _sum(x: Array, *, axis: Axis, keepdims: bool) -> Forward:
    shape, axes = x.shape, _as_axes(axis, x)
    y = add_up(x, axes, keepdims)
    return y, lambda g, needs: (spread(_keep_dims(g, axes, keepdims), shape),)


def sum_(x: TensorLike, axis: Axis = None, keepdims: bool = False, **foreign: Never) -> Tensor:
    """Sum over axes (all by default).

    The result has the shape of x without these axes. With `keepdims` the axes stay, with size 1.
    The same holds for the other reductions.

    Examples
    --------
    >>> Tensor([[1.0, 2.0], [3.0, 4.0]]).sum(axis=0)
    Tensor([4., 6.])
    """
    refuse("sum", foreign)
    return apply(_sum, x, axis=axis, keepdims=keepdims)


def _mean(x: Array, *, axis: Axis, keepdims: bool) -> Forward:
    shape, axes = x.shape, _as_axes(axis, x)
    y = x.mean(axis=axes, keepdims=keepdims)
    count = _count(x, axes)
    return y, lambda g, needs: (spread(_keep_dims(g, axes, keepdims) / count, shape),)


def mean(x: TensorLike, axis: Axis = None, keepdims: bool = False, **foreign: Never) -> Tensor:
    """Arithmetic mean sum(x) / n over axes (all by default).

    Examples
    --------
    >>> mean(Tensor([[1.0, 2.0], [3.0, 4.0]]), axis=1)
    Tensor([1.5, 3.5])
    """
    refuse("mean", foreign)
    return apply_wide(_mean, x, axis=axis, keepdims=keepdims)


def _var(x: Array, *, axis: Axis, ddof: int, keepdims: bool) -> Forward:
    axes = _as_axes(axis, x)
    centred = x - x.mean(axis=axes, keepdims=True)
    free = max(_count(x, axes) - ddof, 0)
    y = (centred * centred).sum(axis=axes, keepdims=keepdims) / free
    scale = 2 / free if free else np.nan
    return y, lambda g, needs: (_keep_dims(g, axes, keepdims) * centred * scale,)


def var(
    x: TensorLike, axis: Axis = None, ddof: int = 0, keepdims: bool = False, **foreign: Never
) -> Tensor:
    """Variance sum((x - mean(x))**2) / (n - ddof) over axes (all by default).

    Examples
    --------
    >>> var(Tensor([1.0, 3.0])), var(Tensor([1.0, 3.0]), ddof=1)
    (Tensor(1.), Tensor(2.))
    """
    refuse("var", foreign)
    return apply_wide(_var, x, axis=axis, ddof=int(ddof), keepdims=keepdims)


def _std(x: Array, *, axis: Axis, ddof: int, keepdims: bool) -> Forward:
    variance, var_vjp = _var(x, axis=axis, ddof=ddof, keepdims=keepdims)
    constant = values(variance) == 0

    def vjp(g: Array, needs: Needs) -> Grads:
        # The root of 1 instead of 0, so that no infinite slope is ever multiplied by 0.
        root = np.sqrt(np.where(constant, 1, variance))
        return var_vjp(g * np.where(constant, 0, 0.5 / root), needs)

    return np.sqrt(variance), vjp


def std(
    x: TensorLike, axis: Axis = None, ddof: int = 0, keepdims: bool = False, **foreign: Never
) -> Tensor:
    """Standard deviation, the root of `var`, over axes (all by default).

    Its slope where all elements are equal is taken as 0.

    Examples
    --------
    >>> std(Tensor([[1.0, 3.0], [2.0, 2.0]]), axis=1)
    Tensor([1., 0.])
    """
    refuse("std", foreign)
    return apply_wide(_std, x, axis=axis, ddof=int(ddof), keepdims=keepdims)


def _extreme(choose: np.ufunc, x: Array, axis: Axis, keepdims: bool) -> Forward:
    numbers, axes = values(x), _as_axes(axis, x)
    best = np.asanyarray(choose.reduce(numbers, axis=axes, keepdims=True))
    ties = numbers == best
    count = ties.sum(axis=axes, keepdims=True, dtype=numbers.dtype)
    y = best if keepdims else best.squeeze(axes)
    return y, lambda g, needs: (_keep_dims(g, axes, keepdims) * ties / count,)


def _max(x: Array, *, axis: Axis, keepdims: bool) -> Forward:
    return _extreme(np.maximum, x, axis, keepdims)


def max_(x: TensorLike, axis: Axis = None, keepdims: bool = False, **foreign: Never) -> Tensor:
    """Largest element over axes (all by default); ties share the gradient equally.

    Examples
    --------
    >>> Tensor([[1.0, 2.0], [4.0, 3.0]]).max(axis=1)
    Tensor([2., 4.])
    """
    refuse("max", foreign)
    return apply_wide(_max, x, axis=axis, keepdims=keepdims)


def _min(x: Array, *, axis: Axis, keepdims: bool) -> Forward:
    return _extreme(np.minimum, x, axis, keepdims)


def min_(x: TensorLike, axis: Axis = None, keepdims: bool = False, **foreign: Never) -> Tensor:
    """Smallest element over axes (all by default); ties share the gradient equally.

    Examples
    --------
    >>> Tensor([[1.0, 2.0], [4.0, 3.0]]).min(axis=1)
    Tensor([1., 3.])
    """
    refuse("min", foreign)
    return apply_wide(_min, x, axis=axis, keepdims=keepdims)


def _prod(x: Array, *, axis: Axis, keepdims: bool) -> Forward:
    axes = _as_axes(axis, x)

    def vjp(g: Array, needs: Needs) -> Grads:
        # The product of the others, without a division, so zeros are not a special case.
        others = [axis for axis in range(x.ndim) if axis not in [a % x.ndim for a in axes]]
        order = (*others, *(a % x.ndim for a in axes))
        moved = x.transpose(order)
        rows = moved.reshape(*moved.shape[: len(others)], _count(x, axes))
        product = _product_of_others(rows).reshape(moved.shape).transpose(np.argsort(order))
        return (_keep_dims(g, axes, keepdims) * product,)

    return x.prod(axis=axes, keepdims=keepdims), vjp


def _product_of_others(rows: Array) -> Array:
    """Return for each element of a row the product of all the others.

    A tree multiplies halves of rows by each other until one column is left. On the way back each
    product hands to its two factors what it got, times the other factor. That takes a quarter of
    the time of cumulative products from both ends.
    """
    levels = [rows]
    while levels[-1].shape[-1] > 1:
        row = levels[-1]
        half = row.shape[-1] // 2
        products = row[..., :half] * row[..., half : 2 * half]
        levels.append(np.concatenate([products, row[..., 2 * half :]], axis=-1))
    others = np.ones_like(values(levels.pop()))
    for row in reversed(levels):
        half = row.shape[-1] // 2
        above, alone = others[..., :half], others[..., half:]
        parts = [above * row[..., half : 2 * half], above * row[..., :half], alone]
        others = np.concatenate(parts, axis=-1)
    return others


def _shift(rows: Array) -> Array:
    """Return rows that begin with 1 and lack their last element."""
    return np.concatenate([np.ones_like(values(rows)[..., :1]), rows], axis=-1)[..., :-1]


def prod(x: TensorLike, axis: Axis = None, keepdims: bool = False, **foreign: Never) -> Tensor:
    """Product over axes (all by default); zeros among the factors have exact gradients.

    Examples
    --------
    >>> prod(Tensor([[1.0, 2.0], [3.0, 4.0]]), axis=1)
    Tensor([ 2., 12.])
    """
    refuse("prod", foreign)
    return apply_wide(_prod, x, axis=axis, keepdims=keepdims)


def _norm(x: Array, *, axis: Axis, keepdims: bool) -> Forward:
    x = floating(x)
    axes = _as_axes(axis, x)
    length = _length(x, axes)
    zero = values(length) == 0

    def vjp(g: Array, needs: Needs) -> Grads:
        direction = np.where(zero, 0, x / np.where(zero, 1, length))
        return (_keep_dims(g, axes, keepdims) * direction,)

    return length if keepdims else length.squeeze(axes), vjp


def _length(x: Array, axes: tuple[int, ...]) -> Array:
    """Return sqrt(sum(x * x)) with the axes kept; no square overflows or vanishes."""
    if not is_array(x):
        # The operation itself, because at 0 the derivative of its formula would be 0 / 0.
        return run(_norm, x, axis=axes, keepdims=True)
    largest = np.abs(x).max(axis=axes, keepdims=True, initial=0)
    scale = np.where((largest > 0) & np.isfinite(largest), largest, 1)
    return np.sqrt(np.square(x / scale).sum(axis=axes, keepdims=True)) * scale


def norm(x: TensorLike, axis: Axis = None, keepdims: bool = False, **foreign: Never) -> Tensor:
    """Euclidean length sqrt(sum(x**2)) over axes (all by default).

    Its slope x / norm(x) at 0 is taken as 0.

    Parameters
    ----------
    x : Tensor
    axis : int or tuple of ints, optional
    keepdims : bool
        Whether the axes stay, with size 1.

    Examples
    --------
    >>> norm(Tensor([[3.0, 4.0], [0.0, 0.0]]), axis=1)
    Tensor([5., 0.])
    """
    refuse("norm", foreign)
    return apply_wide(_norm, x, axis=axis, keepdims=keepdims)


def _cumsum(x: Array, *, axis: int | None) -> Forward:
    shape, along = x.shape, 0 if axis is None else axis

    def vjp(g: Array, needs: Needs) -> Grads:
        reverse = (slice(None),) * (along % g.ndim) + (slice(None, None, -1),)
        return (np.cumsum(g[reverse], along)[reverse].reshape(shape),)

    return np.cumsum(x, axis), vjp


def cumsum(x: TensorLike, axis: int | None = None, **foreign: Never) -> Tensor:
    """Cumulative sum y[i] = x[0] + ... + x[i] along an axis; by default, of the flattened x.

    Examples
    --------
    >>> cumsum(Tensor([1.0, 2.0, 3.0]))
    Tensor([1., 3., 6.])
    """
    refuse("cumsum", foreign)
    return apply_wide(_cumsum, x, axis=axis)


def _cumprod(x: Array, *, axis: int | None) -> Forward:
    shape = x.shape
    rows = x.reshape(-1) if axis is None else x.swapaxes(axis, -1)
    y = np.cumprod(rows, axis=-1)

    def vjp(g: Array, needs: Needs) -> Grads:
        # Element i has the slope before_i * sum over j >= i of g_j * (the product of x from i + 1
        # to j). The sums are one recurrence from the end, without a division by a zero.
        g = g if axis is None else g.swapaxes(axis, -1)
        sums = [g[..., -1:]]
        for i in range(rows.shape[-1] - 2, -1, -1):
            sums.append(g[..., i : i + 1] + rows[..., i + 1 : i + 2] * sums[-1])
        before = np.cumprod(_shift(rows), axis=-1)
        gx = before * np.concatenate(sums[::-1], axis=-1)
        return ((gx if axis is None else gx.swapaxes(axis, -1)).reshape(shape),)

    return y if axis is None else y.swapaxes(axis, -1), vjp


def cumprod(x: TensorLike, axis: int | None = None, **foreign: Never) -> Tensor:
    """Cumulative product y[i] = x[0] * ... * x[i] along an axis; by default, of the flattened x.

    Zeros among the factors have exact gradients.

    Examples
    --------
    >>> cumprod(Tensor([1.0, 2.0, 3.0]))
    Tensor([1., 2., 6.])
    """
    refuse("cumprod", foreign)
    return apply_wide(_cumprod, x, axis=axis)


def _logsumexp(x: Array, *, axis: Axis, keepdims: bool) -> Forward:
    x = floating(x)
    axes = _as_axes(axis, x)
    top = values(x).max(axis=axes, keepdims=True, initial=-np.inf)
    # inf - inf is nan: leave infinities to exp and log.
    top = np.where(np.isfinite(top), top, 0).astype(x.dtype)
    with np.errstate(divide="ignore", over="ignore"):
        e = np.exp(x - top)
        total = e.sum(axis=axes, keepdims=True)
        y = np.log(total) + top
    if not keepdims:
        y = y.squeeze(axes)
    return y, lambda g, needs: (_keep_dims(g, axes, keepdims) * (e / total),)


def logsumexp(x: TensorLike, axis: Axis = None, keepdims: bool = False, **foreign: Never) -> Tensor:
    """Logarithm of the sum of exponentials, log(sum(e**x)), over axes (all by default).

    It does not overflow.

    Examples
    --------
    >>> logsumexp(Tensor([1000.0, 1000.0])).round(4)
    Tensor(1000.6932)
    """
    refuse("logsumexp", foreign)
    return apply_wide(_logsumexp, x, axis=axis, keepdims=keepdims)
