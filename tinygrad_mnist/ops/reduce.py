"""Reductions over axes: sum, mean, variance, extremes, products, the logarithm of a sum of exponentials; and cumsum."""

import math

import numpy as np

from ..arrays import Array, floating
from ..tensor import Axis, Forward, Grads, Needs, Tensor, TensorLike, apply

__all__ = ["cumsum", "logsumexp", "max", "mean", "min", "prod", "std", "sum", "var"]


def _axes(axis: Axis, x: Array) -> tuple[int, ...]:
    """Return the axes as a tuple; whether x has them, and has none of them twice, NumPy's reduction finds out."""
    if axis is None:
        return tuple(range(x.ndim))
    return tuple(axis) if isinstance(axis, (tuple, list)) else (axis,)


def _spread(g: Array, axes: tuple[int, ...], keepdims: bool) -> Array:
    """Put the reduced axes back into `g`, with size 1, where they are not kept."""
    return g if keepdims else np.expand_dims(g, axes)


def _sum(x: Array, *, axis: Axis, keepdims: bool) -> Forward:
    shape, axes = x.shape, _axes(axis, x)
    y = x.sum(axis=axes, keepdims=keepdims)
    return y, lambda g, needs: (np.full(shape, _spread(g, axes, keepdims), g.dtype),)


def sum(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Sum over axes (all by default)."""
    return apply(_sum, x, axis=axis, keepdims=keepdims)


def _mean(x: Array, *, axis: Axis, keepdims: bool) -> Forward:
    shape, axes = x.shape, _axes(axis, x)
    y = x.mean(axis=axes, keepdims=keepdims)
    count = math.prod(shape[i] for i in axes)
    return y, lambda g, needs: (np.full(shape, _spread(g, axes, keepdims) / count, g.dtype),)


def mean(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Arithmetic mean over axes (all by default)."""
    return apply(_mean, x, axis=axis, keepdims=keepdims)


def _var(x: Array, *, axis: Axis, ddof: int, keepdims: bool) -> Forward:
    axes = _axes(axis, x)
    centred = x - x.mean(axis=axes, keepdims=True)
    free = math.prod(x.shape[i] for i in axes) - ddof
    y = (centred * centred).sum(axis=axes, keepdims=keepdims) / (free if free > 0 else 0)
    return y, lambda g, needs: (
        _spread(g, axes, keepdims) * centred * (2 / free if free > 0 else np.nan),
    )


def var(x: TensorLike, axis: Axis = None, ddof: int = 0, keepdims: bool = False) -> Tensor:
    """Variance sum((x - mean(x))**2) / (n - ddof) over axes (all by default)."""
    return apply(_var, x, axis=axis, ddof=ddof, keepdims=keepdims)


def _std(x: Array, *, axis: Axis, ddof: int, keepdims: bool) -> Forward:
    variance, var_vjp = _var(x, axis=axis, ddof=ddof, keepdims=keepdims)
    y = np.sqrt(variance)
    return y, lambda g, needs: var_vjp(g * np.where(y == 0, 0, 0.5 / y), needs)


def std(x: TensorLike, axis: Axis = None, ddof: int = 0, keepdims: bool = False) -> Tensor:
    """Standard deviation, the root of `var`, over axes (all by default); its slope where all are equal is taken as 0."""
    return apply(_std, x, axis=axis, ddof=ddof, keepdims=keepdims)


def _extreme(choose: np.ufunc, x: Array, axis: Axis, keepdims: bool) -> Forward:
    axes = _axes(axis, x)
    best = np.asarray(choose.reduce(x.real, axis=axes, keepdims=True))
    ties = x.real == best
    count = ties.sum(axis=axes, keepdims=True)
    if x.dtype.kind == "c":  # the mean of the ties, as the gradient has it
        best = np.where(ties, x, 0).sum(axis=axes, keepdims=True) / count
    y = best if keepdims else best.squeeze(axes)
    return y, lambda g, needs: (_spread(g, axes, keepdims) * ties / count.astype(x.real.dtype),)


def _max(x: Array, *, axis: Axis, keepdims: bool) -> Forward:
    return _extreme(np.maximum, x, axis, keepdims)


def max(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Largest element over axes (all by default); ties share the gradient equally."""
    return apply(_max, x, axis=axis, keepdims=keepdims)


def _min(x: Array, *, axis: Axis, keepdims: bool) -> Forward:
    return _extreme(np.minimum, x, axis, keepdims)


def min(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Smallest element over axes (all by default); ties share the gradient equally."""
    return apply(_min, x, axis=axis, keepdims=keepdims)


def _prod(x: Array, *, axis: Axis, keepdims: bool) -> Forward:
    axes = _axes(axis, x)

    def vjp(g: Array, needs: Needs) -> Grads:
        # the product of the others, without a division, so that zeros are no special case
        last = tuple(range(-len(axes), 0))
        moved = np.moveaxis(x, axes, last)
        rows = moved.reshape(
            *moved.shape[: x.ndim - len(axes)], math.prod(x.shape[i] for i in axes)
        )
        ones = np.ones_like(rows[..., :1])
        before = np.cumprod(np.concatenate([ones, rows], axis=-1), axis=-1)[..., :-1]
        after = np.cumprod(np.concatenate([ones, rows[..., ::-1]], axis=-1), axis=-1)[..., -2::-1]
        others = np.moveaxis((before * after).reshape(moved.shape), last, axes)
        return (_spread(g, axes, keepdims) * others,)

    return x.prod(axis=axes, keepdims=keepdims), vjp


def prod(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Product over axes (all by default); zeros among the factors have exact gradients."""
    return apply(_prod, x, axis=axis, keepdims=keepdims)


def _cumsum(x: Array, *, axis: int | None) -> Forward:
    shape, along = x.shape, 0 if axis is None else axis
    return np.cumsum(x, axis), lambda g, needs: (
        np.flip(np.cumsum(np.flip(g, along), along), along).reshape(shape),
    )


def cumsum(x: TensorLike, axis: int | None = None) -> Tensor:
    """Cumulative sum along an axis, or of the flattened tensor by default."""
    return apply(_cumsum, x, axis=axis)


def _logsumexp(x: Array, *, axis: Axis, keepdims: bool) -> Forward:
    x, axes = floating(x), _axes(axis, x)
    top = x.real.max(axis=axes, keepdims=True, initial=-np.inf)
    top = np.where(np.isfinite(top), top, 0).astype(
        x.real.dtype
    )  # inf - inf is nan: leave infinities to exp and log
    with np.errstate(divide="ignore", over="ignore"):
        e = np.exp(x - top)
        total = e.sum(axis=axes, keepdims=True)
        y = np.log(total) + top
    return y if keepdims else y.squeeze(axes), lambda g, needs: (
        _spread(g, axes, keepdims) * (e / total),
    )


def logsumexp(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Logarithm of the sum of exponentials log(sum(e**x)) over axes (all by default); no overflow at any x."""
    return apply(_logsumexp, x, axis=axis, keepdims=keepdims)
