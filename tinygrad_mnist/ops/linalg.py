"""np.linalg of square matrices: solve, inv, det and slogdet, under NumPy's names only."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..arrays import Array, unbroadcast
from ..graph import Forward, Grads, Needs
from ..tensor import Tensor, TensorLike, apply
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
    x = a if isinstance(a, Tensor) else Tensor(a)
    kind = type(np.linalg.slogdet(np.eye(1)))
    return kind(Tensor(np.linalg.slogdet(x.data)[0]), apply(_log_of_det, x))


LINALG: dict[Callable[..., Any], Callable[..., Any]] = {
    np.linalg.inv: inv, np.linalg.solve: solve, np.linalg.det: det, np.linalg.slogdet: slogdet,
}  # fmt: skip
