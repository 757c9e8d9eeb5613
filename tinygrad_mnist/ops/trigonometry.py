"""Trigonometric and hyperbolic functions, elementwise."""

import numpy as np

from ..arrays import Array, choose, floating, keep_where, unbroadcast, values
from ..graph import Forward, Grads, Needs
from ..tensor import Tensor, TensorLike, apply

__all__ = [
    "arccos", "arcsin", "arctan", "arctan2", "cos", "cosh", "sin", "sinh", "tan", "tanh",
]  # fmt: skip


def _sin(x: Array) -> Forward:
    y = np.sin(x)

    def vjp(g: Array, needs: Needs) -> Grads:
        g *= np.cos(x)
        return (g,)

    return y, vjp


def sin(x: TensorLike) -> Tensor:
    """Sine of x in radians, elementwise.

    Examples
    --------
    >>> sin(Tensor([0.0, np.pi / 2])).round(4)
    Tensor([0., 1.])
    """
    return apply(_sin, x)


def _cos(x: Array) -> Forward:
    y = np.cos(x)

    def vjp(g: Array, needs: Needs) -> Grads:
        g *= -np.sin(x)
        return (g,)

    return y, vjp


def cos(x: TensorLike) -> Tensor:
    """Cosine of x in radians, elementwise.

    Examples
    --------
    >>> cos(Tensor([0.0, np.pi])).round(4)
    Tensor([ 1., -1.])
    """
    return apply(_cos, x)


def _tan(x: Array) -> Forward:
    y = np.tan(x)

    def vjp(g: Array, needs: Needs) -> Grads:
        g *= 1 + y * y
        return (g,)

    return y, vjp


def tan(x: TensorLike) -> Tensor:
    """Tangent of x in radians, elementwise.

    Examples
    --------
    >>> tan(Tensor([0.0, np.pi / 4])).round(4)
    Tensor([0., 1.])
    """
    return apply(_tan, x)


def _arcsin(x: Array) -> Forward:
    y = np.arcsin(x)

    def vjp(g: Array, needs: Needs) -> Grads:
        g /= _cosine_of_arcsin(x)
        return (g,)

    return y, vjp


def _cosine_of_arcsin(x: Array) -> Array:
    """Return sqrt(1 - x * x), without a loss of digits near -1 and 1."""
    return np.sqrt((1 - x) * (1 + x))


def arcsin(x: TensorLike) -> Tensor:
    """Angle in [-pi/2, pi/2] whose sine is x, elementwise; nan outside [-1, 1].

    Its slope 1 / sqrt(1 - x**2) is infinite at -1 and 1.

    Examples
    --------
    >>> (arcsin(Tensor([0.0, 0.5])) / np.pi).round(4)
    Tensor([0.    , 0.1667])
    """
    return apply(_arcsin, x)


def _arccos(x: Array) -> Forward:
    y = np.arccos(x)

    def vjp(g: Array, needs: Needs) -> Grads:
        g /= -_cosine_of_arcsin(x)
        return (g,)

    return y, vjp


def arccos(x: TensorLike) -> Tensor:
    """Angle in [0, pi] whose cosine is x, elementwise; nan outside [-1, 1].

    Its slope -1 / sqrt(1 - x**2) is infinite at -1 and 1.

    Examples
    --------
    >>> (arccos(Tensor([1.0, 0.0])) / np.pi).round(4)
    Tensor([0. , 0.5])
    """
    return apply(_arccos, x)


def _arctan(x: Array) -> Forward:
    x = floating(x)
    y = np.arctan(x)

    def vjp(g: Array, needs: Needs) -> Grads:
        # 1 / (1 + x * x). Of a large x it is computed from 1 / x, because the derivative of this
        # formula at infinity would be 0 times infinity.
        large, one = np.abs(values(x)) > 1, np.array(1, x.dtype)
        inverse = 1 / choose(large, x, one)
        small = choose(large, inverse, x)
        squared = small * small
        g *= choose(large, squared, one) / (1 + squared)
        return (g,)

    return y, vjp


def arctan(x: TensorLike) -> Tensor:
    """Angle in [-pi/2, pi/2] whose tangent is x, elementwise.

    Examples
    --------
    >>> (arctan(Tensor([1.0, np.inf])) / np.pi).round(4)
    Tensor([0.25, 0.5 ])
    """
    return apply(_arctan, x)


def _arctan2(y: Array, x: Array) -> Forward:
    y, x = floating(y), floating(x)

    def vjp(g: Array, needs: Needs) -> Grads:
        # The slopes are x / r**2 and -y / r**2. Both are divided by the larger of them first, so
        # that no square overflows or vanishes. At 0 and at infinity they are taken as 0.
        largest = np.maximum(np.abs(values(y)), np.abs(values(x)))
        flat = (largest == 0) | np.isinf(largest)
        one = np.array(1, largest.dtype)
        scale = choose(flat, one, largest)
        b, a = (keep_where(side / scale, ~flat) for side in (y, x))
        g = g / (choose(flat, one, a * a + b * b) * scale)
        gy = unbroadcast(g * a, y.shape) if needs[0] else None
        return gy, unbroadcast(-g * b, x.shape) if needs[1] else None

    return np.arctan2(values(y), values(x)), vjp


def arctan2(y: TensorLike, x: TensorLike) -> Tensor:
    """Angle in [-pi, pi] from the first axis to the point (x, y), elementwise with broadcasting.

    Its slopes are x / (x**2 + y**2) by y and -y / (x**2 + y**2) by x. At the point (0, 0) they are
    taken as 0.

    Raises
    ------
    ShapeError
        If the shapes do not broadcast.

    Examples
    --------
    >>> (arctan2(Tensor([1.0, 0.0]), Tensor([1.0, -1.0])) / np.pi).round(4)
    Tensor([0.25, 1.  ])
    """
    return apply(_arctan2, y, x)


def _sinh(x: Array) -> Forward:
    y = np.sinh(x)

    def vjp(g: Array, needs: Needs) -> Grads:
        g *= np.cosh(x)
        return (g,)

    return y, vjp


def sinh(x: TensorLike) -> Tensor:
    """Hyperbolic sine (e**x - e**-x) / 2, elementwise.

    Examples
    --------
    >>> sinh(Tensor([0.0, 1.0])).round(4)
    Tensor([0.    , 1.1752])
    """
    return apply(_sinh, x)


def _cosh(x: Array) -> Forward:
    y = np.cosh(x)

    def vjp(g: Array, needs: Needs) -> Grads:
        g *= np.sinh(x)
        return (g,)

    return y, vjp


def cosh(x: TensorLike) -> Tensor:
    """Hyperbolic cosine (e**x + e**-x) / 2, elementwise.

    Examples
    --------
    >>> cosh(Tensor([0.0, 1.0])).round(4)
    Tensor([1.    , 1.5431])
    """
    return apply(_cosh, x)


def _tanh(x: Array) -> Forward:
    y = np.tanh(x)

    def vjp(g: Array, needs: Needs) -> Grads:
        g *= 1 - y * y
        return (g,)

    return y, vjp


def tanh(x: TensorLike) -> Tensor:
    """Hyperbolic tangent (e**x - e**-x) / (e**x + e**-x), elementwise.

    Examples
    --------
    >>> tanh(Tensor([-1.0, 0.0, 1.0])).round(4)
    Tensor([-0.7616,  0.    ,  0.7616])
    """
    return apply(_tanh, x)
