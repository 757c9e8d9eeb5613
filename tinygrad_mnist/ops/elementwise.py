"""Functions of one number, elementwise: exponentials, logarithms, roots and absolute values."""

import numpy as np

from ..arrays import Array, values
from ..graph import Forward, Grads, Needs
from ..tensor import Tensor, TensorLike, apply

__all__ = ["abs_", "exp", "expm1", "log", "log1p", "sqrt"]


def _exp(x: Array) -> Forward:
    y = np.exp(x)

    def vjp(g: Array, needs: Needs) -> Grads:
        g *= y
        return (g,)

    return y, vjp


def exp(x: TensorLike) -> Tensor:
    """Exponential e**x, elementwise."""
    return apply(_exp, x)


def _expm1(x: Array) -> Forward:
    y = np.expm1(x)

    def vjp(g: Array, needs: Needs) -> Grads:
        g *= y + 1
        return (g,)

    return y, vjp


def expm1(x: TensorLike) -> Tensor:
    """Exponential less one, e**x - 1, elementwise; exact near 0."""
    return apply(_expm1, x)


def _log(x: Array) -> Forward:
    y = np.log(x)

    def vjp(g: Array, needs: Needs) -> Grads:
        g /= x
        return (g,)

    return y, vjp


def log(x: TensorLike) -> Tensor:
    """Natural logarithm log(x), elementwise."""
    return apply(_log, x)


def _log1p(x: Array) -> Forward:
    y = np.log1p(x)

    def vjp(g: Array, needs: Needs) -> Grads:
        g /= 1 + x
        return (g,)

    return y, vjp


def log1p(x: TensorLike) -> Tensor:
    """Natural logarithm log(1 + x), elementwise; exact near 0."""
    return apply(_log1p, x)


def _sqrt(x: Array) -> Forward:
    y = np.sqrt(x)

    def vjp(g: Array, needs: Needs) -> Grads:
        g /= 2 * y
        return (g,)

    return y, vjp


def sqrt(x: TensorLike) -> Tensor:
    """Square root, elementwise; its slope at 0 is infinite."""
    return apply(_sqrt, x)


def _abs(x: Array) -> Forward:
    y = np.abs(x)

    def vjp(g: Array, needs: Needs) -> Grads:
        g *= np.sign(values(x))
        return (g,)

    return y, vjp


def abs_(x: TensorLike) -> Tensor:
    """Absolute value, elementwise; its slope at 0 is taken as 0."""
    return apply(_abs, x)
