"""Functions of one number, elementwise: exponentials, logarithms, roots and rounding."""

import math

import numpy as np

from ..arrays import Array, keep_where, values
from ..graph import Forward, Grads, Needs
from ..tensor import Tensor, TensorLike, apply

__all__ = [
    "abs_",
    "ceil",
    "exp",
    "expm1",
    "floor",
    "log",
    "log1p",
    "log2",
    "log10",
    "reciprocal",
    "round_",
    "sign",
    "sqrt",
]  # fmt: skip


def _exp(x: Array) -> Forward:
    y = np.exp(x)

    def vjp(g: Array, needs: Needs) -> Grads:
        g *= y
        return (g,)

    return y, vjp


def exp(x: TensorLike) -> Tensor:
    """Exponential e**x, elementwise.

    Examples
    --------
    >>> exp(Tensor([0.0, 1.0])).round(4)
    Tensor([1.    , 2.7183])
    """
    return apply(_exp, x)


def _expm1(x: Array) -> Forward:
    y = np.expm1(x)

    def vjp(g: Array, needs: Needs) -> Grads:
        g *= y + 1
        return (g,)

    return y, vjp


def expm1(x: TensorLike) -> Tensor:
    """Exponential less one, e**x - 1, elementwise; accurate near 0.

    Examples
    --------
    >>> expm1(Tensor([0.0, 1e-6]))
    Tensor([0.0000000e+00, 1.0000005e-06])
    """
    return apply(_expm1, x)


def _log(x: Array) -> Forward:
    y = np.log(x)

    def vjp(g: Array, needs: Needs) -> Grads:
        g /= x
        return (g,)

    return y, vjp


def log(x: TensorLike) -> Tensor:
    """Natural logarithm log(x), elementwise.

    Examples
    --------
    >>> log(Tensor([1.0, 10.0])).round(4)
    Tensor([0.    , 2.3026])
    """
    return apply(_log, x)


def _log1p(x: Array) -> Forward:
    y = np.log1p(x)

    def vjp(g: Array, needs: Needs) -> Grads:
        g /= 1 + x
        return (g,)

    return y, vjp


def log1p(x: TensorLike) -> Tensor:
    """Natural logarithm log(1 + x), elementwise; accurate near 0.

    Examples
    --------
    >>> log1p(Tensor([0.0, 1e-6]))
    Tensor([0.000000e+00, 9.999995e-07])
    """
    return apply(_log1p, x)


def _log2(x: Array) -> Forward:
    y = np.log2(x)

    def vjp(g: Array, needs: Needs) -> Grads:
        g /= x * math.log(2)
        return (g,)

    return y, vjp


def log2(x: TensorLike) -> Tensor:
    """Logarithm to base 2, log(x) / log(2), elementwise.

    Examples
    --------
    >>> log2(Tensor([1.0, 8.0])).round(4)
    Tensor([0., 3.])
    """
    return apply(_log2, x)


def _log10(x: Array) -> Forward:
    y = np.log10(x)

    def vjp(g: Array, needs: Needs) -> Grads:
        g /= x * math.log(10)
        return (g,)

    return y, vjp


def log10(x: TensorLike) -> Tensor:
    """Logarithm to base 10, log(x) / log(10), elementwise.

    Examples
    --------
    >>> log10(Tensor([1.0, 1000.0])).round(4)
    Tensor([0., 3.])
    """
    return apply(_log10, x)


def _sqrt(x: Array) -> Forward:
    y = np.sqrt(x)

    def vjp(g: Array, needs: Needs) -> Grads:
        g /= 2 * y
        return (g,)

    return y, vjp


def sqrt(x: TensorLike) -> Tensor:
    """Square root, elementwise; its slope at 0 is infinite.

    Examples
    --------
    >>> sqrt(Tensor([4.0, 9.0]))
    Tensor([2., 3.])
    """
    return apply(_sqrt, x)


def _reciprocal(x: Array) -> Forward:
    y = 1 / x

    def vjp(g: Array, needs: Needs) -> Grads:
        g *= -(y * y)
        return (g,)

    return y, vjp


def reciprocal(x: TensorLike) -> Tensor:
    """Reciprocal 1 / x, elementwise; the reciprocal of an integer is a float.

    Examples
    --------
    >>> reciprocal(Tensor([2.0, -4.0]))
    Tensor([ 0.5 , -0.25])
    """
    return apply(_reciprocal, x)


def _abs(x: Array) -> Forward:
    y = np.abs(x)

    def vjp(g: Array, needs: Needs) -> Grads:
        g *= np.sign(values(x))
        return (g,)

    return y, vjp


def abs_(x: TensorLike) -> Tensor:
    """Absolute value, elementwise; its slope at 0 is taken as 0.

    Examples
    --------
    >>> Tensor([-1.5, 2.0]).abs()
    Tensor([1.5, 2. ])
    """
    return apply(_abs, x)


# Steps: constant almost everywhere. Their slope is 0, also where they jump.


def _step(y: Array) -> Forward:
    # Multiplying g by 0 would turn infinity into nan.
    return y, lambda g, needs: (keep_where(g, np.array(False)),)


def _sign(x: Array) -> Forward:
    return _step(np.sign(values(x)))


def sign(x: TensorLike) -> Tensor:
    """Sign of x, elementwise: -1, 0 or 1; its slope is 0.

    Examples
    --------
    >>> sign(Tensor([-3.0, 0.0, 0.5]))
    Tensor([-1.,  0.,  1.])
    """
    return apply(_sign, x)


def _floor(x: Array) -> Forward:
    return _step(np.floor(values(x)))


def floor(x: TensorLike) -> Tensor:
    """Largest whole number that is at most x, elementwise; its slope is 0.

    Examples
    --------
    >>> floor(Tensor([-1.5, 1.5]))
    Tensor([-2.,  1.])
    """
    return apply(_floor, x)


def _ceil(x: Array) -> Forward:
    return _step(np.ceil(values(x)))


def ceil(x: TensorLike) -> Tensor:
    """Smallest whole number that is at least x, elementwise; its slope is 0.

    Examples
    --------
    >>> ceil(Tensor([-1.5, 1.5]))
    Tensor([-1.,  2.])
    """
    return apply(_ceil, x)


def _round(x: Array, *, decimals: int) -> Forward:
    return _step(np.round(values(x), decimals))


def round_(x: TensorLike, decimals: int = 0) -> Tensor:
    """Nearest number with so many decimals, elementwise; its slope is 0.

    If two are equally near, it takes the even one, as NumPy does. `decimals` may be negative.

    Examples
    --------
    >>> round_(Tensor([0.5, 1.5, 2.5]))
    Tensor([0., 2., 2.])
    >>> round_(Tensor([1.234, 5.678]), 1)
    Tensor([1.2, 5.7])
    """
    return apply(_round, x, decimals=decimals)
