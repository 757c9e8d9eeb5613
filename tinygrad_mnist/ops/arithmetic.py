"""Arithmetic with broadcasting: add, subtract, multiply, divide, power, and the choices maximum, minimum, where, clip."""

from typing import Any

import numpy as np
import numpy.typing as npt

from ..arrays import Array, masked, unbroadcast
from ..tensor import Forward, Grads, Needs, Tensor, TensorLike, apply

__all__ = [
    "add",
    "clip",
    "divide",
    "maximum",
    "minimum",
    "multiply",
    "negative",
    "power",
    "square",
    "subtract",
    "where",
]


def _add(x: Array, y: Array) -> Forward:
    x_shape, y_shape = x.shape, y.shape  # not the arrays: a sum has no need to keep them alive

    def vjp(g: Array, needs: Needs) -> Grads:
        gx = unbroadcast(g, x_shape) if needs[0] else None
        gy = unbroadcast(g, y_shape) if needs[1] else None
        return gx, gy.copy() if gy is not None and gy is gx else gy

    return x + y, vjp


def add(x: TensorLike, y: TensorLike) -> Tensor:
    """Sum x + y, elementwise with broadcasting."""
    return apply(_add, x, y)


def _subtract(x: Array, y: Array) -> Forward:
    x_shape, y_shape = x.shape, y.shape

    def vjp(g: Array, needs: Needs) -> Grads:
        gy = np.negative(unbroadcast(g, y_shape)) if needs[1] else None
        return unbroadcast(g, x_shape) if needs[0] else None, gy

    return x - y, vjp


def subtract(x: TensorLike, y: TensorLike) -> Tensor:
    """Difference x - y, elementwise with broadcasting."""
    return apply(_subtract, x, y)


def _multiply(x: Array, y: Array) -> Forward:
    def vjp(g: Array, needs: Needs) -> Grads:
        gx = unbroadcast(g * y, x.shape) if needs[0] else None
        return gx, unbroadcast(np.multiply(g, x, out=g), y.shape) if needs[1] else None

    return x * y, vjp


def multiply(x: TensorLike, y: TensorLike) -> Tensor:
    """Product x * y, elementwise with broadcasting."""
    return apply(_multiply, x, y)


def _divide(x: Array, y: Array) -> Forward:
    x_shape, quotient = x.shape, x / y

    def vjp(g: Array, needs: Needs) -> Grads:
        gx = g / y
        gy = unbroadcast(-gx * quotient, y.shape) if needs[1] else None
        return unbroadcast(gx, x_shape) if needs[0] else None, gy

    return quotient, vjp


def divide(x: TensorLike, y: TensorLike) -> Tensor:
    """Quotient x / y, elementwise with broadcasting."""
    return apply(_divide, x, y)


def _negative(x: Array) -> Forward:
    return -x, lambda g, needs: (np.negative(g, out=g),)


def negative(x: TensorLike) -> Tensor:
    """Opposite -x, elementwise."""
    return apply(_negative, x)


def _power(x: Array, p: Array) -> Forward:
    # NumPy has its fast paths (x * x, a root) for a Python number as the exponent only
    exponent = p.item() if p.ndim == 0 and np.result_type(x, p) == x.dtype else p
    y = np.asarray(x**exponent)

    def vjp(g: Array, needs: Needs) -> Grads:
        gx = gp = None
        if needs[0]:
            slope = exponent * x ** (exponent - 1)
            if (p == 0).any():  # the slope of x**0 is 0, though 0 * 0**-1 is nan
                slope = np.where(p == 0, 0, slope)
            gx = unbroadcast(g * slope, x.shape)
        if needs[1]:  # as x goes to 0, x**p * log(x) goes to 0, though log(0) is infinite
            gp = unbroadcast(g * y * np.log(np.where((x == 0) & (p.real >= 0), 1, x)), p.shape)
        return gx, gp

    return y, vjp


def power(x: TensorLike, p: TensorLike) -> Tensor:
    """Power x**p, elementwise with broadcasting; a constant exponent never takes a logarithm, so x may be negative."""
    return apply(_power, x, p)


def _square(x: Array) -> Forward:
    return x * x, lambda g, needs: (np.multiply(g, x + x, out=g),)


def square(x: TensorLike) -> Tensor:
    """Square x * x, elementwise."""
    return apply(_square, x)


def _dealt(
    g: Array, needs: Needs, takers: tuple[Array, Array], shapes: tuple[tuple[int, ...], ...]
) -> Grads:
    """Give g to each input where that takes it; not by a product: an infinite g must leave no nan where it does not go."""
    zero = g.dtype.type(0)
    both = zip(takers, shapes, needs, strict=True)
    return [
        unbroadcast(np.where(takes, g, zero), shape) if need else None
        for takes, shape, need in both
    ]


def _pick(x: Array, y: Array, first: Array) -> Forward:
    """Take x where `first` is true, else y; the gradient goes where the value came from, halved at ties."""
    ties, shapes, z = x.real == y.real, (x.shape, y.shape), np.where(first, x, y)
    return z, lambda g, needs: _dealt(
        np.where(ties, g * 0.5, g), needs, (first | ties, ~first), shapes
    )


def _maximum(x: Array, y: Array) -> Forward:
    return _pick(x, y, (x.real > y.real) | np.isnan(x))


def maximum(x: TensorLike, y: TensorLike) -> Tensor:
    """Larger of x and y, elementwise with broadcasting; nan where either is; a tie halves the gradient."""
    return apply(_maximum, x, y)


def _minimum(x: Array, y: Array) -> Forward:
    return _pick(x, y, (x.real < y.real) | np.isnan(x))


def minimum(x: TensorLike, y: TensorLike) -> Tensor:
    """Smaller of x and y, elementwise with broadcasting; nan where either is; a tie halves the gradient."""
    return apply(_minimum, x, y)


def _where(x: Array, y: Array, *, condition: Array) -> Forward:
    shapes = (x.shape, y.shape)
    return np.where(condition, x, y), lambda g, needs: _dealt(
        g, needs, (condition, ~condition), shapes
    )


def where(condition: TensorLike, x: TensorLike, y: TensorLike) -> Tensor:
    """Choose x where `condition` is true, else y, elementwise with broadcasting of all three."""
    return apply(_where, x, y, condition=np.asarray(condition).astype(bool))


def _clip(x: Array, *, low: Any, high: Any) -> Forward:
    inside: Array = (x.real >= (-np.inf if low is None else low)) & (
        x.real <= (np.inf if high is None else high)
    )
    y = np.where(inside, x, np.clip(x.real, low, high))
    return y, lambda g, needs: (unbroadcast(masked(g, inside), x.shape),)


def clip(
    x: TensorLike, low: npt.ArrayLike | None = None, high: npt.ArrayLike | None = None
) -> Tensor:
    """Limit x to the interval [low, high], elementwise; the bounds are constants, and the slope is 1 at them.

    Raises
    ------
    ValueError
        If both bounds are None.
    """
    if low is None and high is None:
        raise ValueError("clip: expected a lower bound, an upper bound or both, got neither")
    bounds = [b if b is None or isinstance(b, (int, float)) else np.asarray(b) for b in (low, high)]
    return apply(_clip, x, low=bounds[0], high=bounds[1])
