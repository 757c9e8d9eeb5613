"""Arithmetic with broadcasting, and the choices maximum, minimum, where and clip."""

from typing import Any

import numpy as np
import numpy.typing as npt

from ..arrays import Array, choose, constants, keep_where, refuse_mask, unbroadcast, values
from ..graph import Forward, Grads, Needs
from ..tensor import Tensor, TensorLike, apply, unwrap

__all__ = [
    "add", "clip", "divide", "maximum", "minimum", "multiply", "negative", "power", "square",
    "subtract", "where",
]  # fmt: skip


def _add(x: Array, y: Array) -> Forward:
    x_shape, y_shape = x.shape, y.shape  # only the shapes, because a sum need not keep its terms

    def vjp(g: Array, needs: Needs) -> Grads:
        gx = unbroadcast(g, x_shape) if needs[0] else None
        gy = unbroadcast(g, y_shape) if needs[1] else None
        if gy is not None and gy is gx:
            gy = gy.copy()
        return gx, gy

    return x + y, vjp


def add(x: TensorLike, y: TensorLike) -> Tensor:
    """Sum x + y, elementwise with broadcasting.

    Examples
    --------
    >>> add(Tensor([1.0, 2.0]), 10.0)
    Tensor([11., 12.])
    """
    return apply(_add, x, y)


def _subtract(x: Array, y: Array) -> Forward:
    x_shape, y_shape = x.shape, y.shape

    def vjp(g: Array, needs: Needs) -> Grads:
        gy = -unbroadcast(g, y_shape) if needs[1] else None
        return unbroadcast(g, x_shape) if needs[0] else None, gy

    return x - y, vjp


def subtract(x: TensorLike, y: TensorLike) -> Tensor:
    """Difference x - y, elementwise with broadcasting.

    Examples
    --------
    >>> subtract(Tensor([1.0, 2.0]), 10.0)
    Tensor([-9., -8.])
    """
    return apply(_subtract, x, y)


def _multiply(x: Array, y: Array) -> Forward:
    def vjp(g: Array, needs: Needs) -> Grads:
        gx = unbroadcast(g * y, x.shape) if needs[0] else None
        if not needs[1]:
            return gx, None
        g *= x
        return gx, unbroadcast(g, y.shape)

    return x * y, vjp


def multiply(x: TensorLike, y: TensorLike) -> Tensor:
    """Product x * y, elementwise with broadcasting.

    Examples
    --------
    >>> multiply(Tensor([[1.0], [2.0]]), Tensor([3.0, 4.0]))
    Tensor([[3., 4.],
            [6., 8.]])
    """
    return apply(_multiply, x, y)


def _divide(x: Array, y: Array) -> Forward:
    x_shape, quotient = x.shape, x / y

    def vjp(g: Array, needs: Needs) -> Grads:
        gx = g / y
        gy = unbroadcast(-gx * quotient, y.shape) if needs[1] else None
        return unbroadcast(gx, x_shape) if needs[0] else None, gy

    return quotient, vjp


def divide(x: TensorLike, y: TensorLike) -> Tensor:
    """Quotient x / y, elementwise with broadcasting.

    Examples
    --------
    >>> divide(Tensor([1.0, 2.0]), 4.0)
    Tensor([0.25, 0.5 ])
    """
    return apply(_divide, x, y)


def _negative(x: Array) -> Forward:
    return -x, lambda g, needs: (-g,)


def negative(x: TensorLike) -> Tensor:
    """Opposite -x, elementwise.

    Examples
    --------
    >>> negative(Tensor([1.0, -2.0]))
    Tensor([-1.,  2.])
    """
    return apply(_negative, x)


def _as_exponent(x: Array, p: Array) -> Any:
    """Return a 0-d array of exponents as a Python number, for which NumPy has fast paths."""
    if isinstance(p, np.ndarray) and p.ndim == 0 and np.result_type(x.dtype, p.dtype) == x.dtype:
        return p.item()
    return p


def _raise(x: Array, p: Any) -> Array:
    """Return x**p, for the small whole numbers from -4 to 4 by multiplication.

    NumPy has fast paths for -1, 0, 1 and 2, but x**3 goes through the C library's pow(), which
    takes a hundred times as long. float16 has too few digits for the products in between.
    """
    if not isinstance(p, (int, float)) or p not in (-4, -3, -2, 3, 4):
        return x**p
    if x.dtype.kind != "f" or x.dtype.itemsize < 4:
        return x**p
    base = x if p > 0 else 1 / x  # first, so that nothing overflows on the way to a small result
    squared = base * base
    if abs(p) == 2:
        return squared
    squared *= base if abs(p) == 3 else squared
    return squared


def _power(x: Array, p: Array) -> Forward:
    exponent = _as_exponent(x, p)
    if x.dtype.kind in "iu" and (values(p) < 0).any():
        raise ValueError(
            "power: integers to negative powers are not integers; convert with .astype(np.float32)"
        )
    y = _raise(x, exponent)

    def vjp(g: Array, needs: Needs) -> Grads:
        gx = gp = None
        if needs[1]:
            # As x goes to 0, so does x**p * log(x), though log(0) is infinite.
            safe = np.where((values(x) == 0) & (values(p) >= 0), 1, x)
            gp = unbroadcast(g * y * np.log(safe), p.shape)
        if needs[0]:
            lower = exponent - 1
            if np.any(values(p) == 0):
                # The slope of x**0 is 0 at x = 0, too, though 0 * 0**-1 is nan.
                lower = np.where((values(x) == 0) & (values(p) == 0), 1, p - 1)
            g *= exponent * _raise(x, lower)
            gx = unbroadcast(g, x.shape)
        return gx, gp

    return y, vjp


def power(x: TensorLike, p: TensorLike) -> Tensor:
    """Power x**p, elementwise with broadcasting.

    A constant exponent never takes a logarithm, so x may be negative.

    Examples
    --------
    >>> power(Tensor([-2.0, 3.0]), 2)
    Tensor([4., 9.])
    """
    return apply(_power, x, p)


def _square(x: Array) -> Forward:
    def vjp(g: Array, needs: Needs) -> Grads:
        g *= 2 * x
        return (g,)

    return x * x, vjp


def square(x: TensorLike) -> Tensor:
    """Square x * x, elementwise.

    Examples
    --------
    >>> square(Tensor([-2.0, 3.0]))
    Tensor([4., 9.])
    """
    return apply(_square, x)


def _pick(x: Array, y: Array, first: Array) -> Forward:
    """Take x where `first` is true, else y; the gradient goes where the value came from.

    At ties, each side gets half of it.
    """
    ties = values(x) == values(y)
    x_shape, y_shape = x.shape, y.shape

    def vjp(g: Array, needs: Needs) -> Grads:
        g *= 1 - 0.5 * ties.astype(g.dtype)
        return _share(g, first | ties, ~first, x_shape, y_shape, needs)

    return choose(first, x, y), vjp


def _share(
    g: Array,
    first: Array,
    second: Array,
    x_shape: tuple[int, ...],
    y_shape: tuple[int, ...],
    needs: Needs,
) -> Grads:
    """Return the parts of g that belong to x and to y. Masks times g would make nan of inf * 0."""
    gx = gy = None
    if needs[0]:
        gx = unbroadcast(keep_where(g.copy() if needs[1] else g, first), x_shape)
    if needs[1]:
        gy = unbroadcast(keep_where(g, second), y_shape)
    return gx, gy


def _maximum(x: Array, y: Array) -> Forward:
    a, b = values(x), values(y)
    return _pick(x, y, (a > b) | np.isnan(a))


def maximum(x: TensorLike, y: TensorLike) -> Tensor:
    """Larger of x and y, elementwise with broadcasting.

    The result is nan where x or y is nan. A tie gives half of the gradient to each.

    Examples
    --------
    >>> maximum(Tensor([1.0, 5.0]), 3.0)
    Tensor([3., 5.])
    """
    return apply(_maximum, x, y)


def _minimum(x: Array, y: Array) -> Forward:
    a, b = values(x), values(y)
    return _pick(x, y, (a < b) | np.isnan(a))


def minimum(x: TensorLike, y: TensorLike) -> Tensor:
    """Smaller of x and y, elementwise with broadcasting.

    The result is nan where x or y is nan. A tie gives half of the gradient to each.

    Examples
    --------
    >>> minimum(Tensor([1.0, 5.0]), 3.0)
    Tensor([1., 3.])
    """
    return apply(_minimum, x, y)


def _where(x: Array, y: Array, *, condition: Array) -> Forward:
    x_shape, y_shape = x.shape, y.shape

    def vjp(g: Array, needs: Needs) -> Grads:
        return _share(g, condition, ~condition, x_shape, y_shape, needs)

    return choose(condition, x, y), vjp


def where(condition: TensorLike, x: TensorLike, y: TensorLike) -> Tensor:
    """Choose x where `condition` is true, else y, elementwise with broadcasting of all three.

    Examples
    --------
    >>> where([True, False], Tensor([1.0, 2.0]), 0.0)
    Tensor([1., 0.])
    """
    return apply(_where, x, y, condition=np.asanyarray(refuse_mask(condition)).astype(bool))


def _clip(x: Array, *, low: Any, high: Any) -> Forward:
    numbers, shape = values(x), x.shape
    above = True if low is None else numbers >= low
    below = True if high is None else numbers <= high
    inside = np.asanyarray(above & below)
    y = choose(inside, x, np.clip(numbers, low, high))
    return y, lambda g, needs: (unbroadcast(keep_where(g, inside), shape),)


def clip(
    x: TensorLike, low: npt.ArrayLike | None = None, high: npt.ArrayLike | None = None
) -> Tensor:
    """Limit x to the interval [low, high], elementwise.

    The bounds are constants, and the slope is 1 at them.

    Raises
    ------
    ValueError
        If both bounds are None.

    Examples
    --------
    >>> clip(Tensor([-2.0, 0.5, 2.0]), -1.0, 1.0)
    Tensor([-1. ,  0.5,  1. ])
    """
    if low is None and high is None:
        raise ValueError("clip: expected a lower bound, an upper bound or both, got neither")
    return apply(_clip, x, low=_as_bound(low, x), high=_as_bound(high, x))


def _as_bound(bound: npt.ArrayLike | None, x: TensorLike) -> Any:
    """Return a bound as a Python number, or as an array that widens x only if its dtype says so."""
    if isinstance(bound, np.generic):
        return bound.item()
    if bound is None or isinstance(bound, (int, float)):
        return bound
    if isinstance(bound, Tensor):
        bound = np.asanyarray(bound)  # an error if it requires grad, which would be lost
    return constants([unwrap(x), bound])[1]
