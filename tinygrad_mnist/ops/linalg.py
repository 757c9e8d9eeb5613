"""np.linalg under NumPy's names only: norm, and of square matrices solve, inv, det and slogdet."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..arrays import Array, unbroadcast
from ..graph import Forward, Grads, Needs
from ..tensor import Tensor, TensorLike, apply
from .arithmetic import power, where
from .dtype import as_floats, as_tensor
from .elementwise import abs_
from .reduce import max_, min_, norm, sum_
from .shape import expand_dims, squeeze

__all__ = ["LINALG"]


def _transpose(x: Array) -> Array:
    return x.swapaxes(-1, -2)


def _inv(x: Array) -> Forward:
    y = np.linalg.inv(x)
    return y, lambda g, needs: (-(_transpose(y) @ g @ _transpose(y)),)


def inv(a: TensorLike) -> Tensor:
    """Inverse of square matrices."""
    return apply(_inv, a)


def _solve(a: Array, b: Array) -> Forward:
    x = np.linalg.solve(a, b)

    def vjp(g: Array, needs: Needs) -> Grads:
        gb = np.linalg.solve(_transpose(a), g)
        ga = unbroadcast(-(gb @ _transpose(x)), a.shape) if needs[0] else None
        return ga, unbroadcast(gb, b.shape) if needs[1] else None

    return x, vjp


def solve(a: TensorLike, b: TensorLike) -> Tensor:
    """Solution x of a @ x = b, for matrices a and a vector or matrices b."""
    if np.ndim(b) == 1:
        return squeeze(apply(_solve, a, expand_dims(b, 1)), -1)
    return apply(_solve, a, b)


def _det(x: Array) -> Forward:
    y = np.linalg.det(x)

    def vjp(g: Array, needs: Needs) -> Grads:
        return (np.expand_dims(g * y, (-2, -1)) * _transpose(np.linalg.inv(x)),)

    return y, vjp


def det(a: TensorLike) -> Tensor:
    """Determinant of square matrices; its gradient needs matrices that are not singular."""
    return apply(_det, a)


def _log_of_det(x: Array) -> Forward:
    y = np.linalg.slogdet(x)[1]

    def vjp(g: Array, needs: Needs) -> Grads:
        return (np.expand_dims(g, (-2, -1)) * _transpose(np.linalg.inv(x)),)

    return y, vjp


def slogdet(a: TensorLike) -> Any:
    """Sign and logarithm of the absolute value of the determinant; the sign has no slope."""
    x = as_tensor(a)
    kind = type(np.linalg.slogdet(np.eye(1)))
    return kind(Tensor(np.linalg.slogdet(x.data)[0]), apply(_log_of_det, x))


def norm_of_order(x: TensorLike, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """Norm of vectors of any order but 0, or the Frobenius, 1 and infinity norms of matrices."""
    t = as_floats(x)  # the smallest integer has no opposite
    axes = tuple(range(t.ndim)) if axis is None else axis
    axes = np.lib.array_utils.normalize_axis_tuple(axes, t.ndim)
    if ord is None or (ord == "fro" and len(axes) == 2):
        return norm(t, axes, keepdims)
    if len(axes) == 1 and isinstance(ord, (int, float, np.number)) and ord != 0:
        return _vector_norm(t, float(ord), axes, keepdims)
    if len(axes) == 2 and ord in (1, -1, np.inf, -np.inf):
        summed, kept = axes if abs(ord) == 1 else axes[::-1]
        sums = sum_(abs_(t), summed, keepdims=True)
        y = (max_ if ord > 0 else min_)(sums, kept, keepdims=True)
        return y if keepdims else squeeze(y, axes)
    kinds = {1: "a number but 0", 2: "None, 'fro', 1, -1, np.inf or -np.inf"}
    raise TypeError(
        f"expected ord to be {kinds.get(len(axes), 'None')} for {len(axes)} axes, got {ord!r}"
    )


def _vector_norm(t: Tensor, ord: float, axes: tuple[int, ...], keepdims: bool) -> Tensor:
    """Return sum(abs(t)**ord) ** (1 / ord), or its limit; its slope at 0 is taken as 0."""
    if ord == 2:
        return norm(t, axes, keepdims)
    sizes = abs_(t)
    if np.isinf(ord):
        return (max_ if ord > 0 else min_)(sizes, axes, keepdims)
    if ord == 1:
        return sum_(sizes, axes, keepdims)
    largest = np.abs(t.data).max(axis=axes, keepdims=True, initial=0)
    scale = np.where((largest > 0) & np.isfinite(largest), largest, 1)  # so that no power overflows
    total = sum_(power(sizes / scale, ord), axes, keepdims=True)
    zero = total.data == 0
    y = where(zero, 0.0, power(where(zero, 1.0, total), 1 / ord) * scale)
    return y if keepdims else squeeze(y, axes)


LINALG: dict[Callable[..., Any], Callable[..., Any]] = {
    np.linalg.inv: inv, np.linalg.solve: solve, np.linalg.det: det, np.linalg.slogdet: slogdet,
    np.linalg.norm: norm_of_order,
}  # fmt: skip
