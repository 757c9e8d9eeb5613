"""NumPy's functions of one or two numbers, each written out of other operations: np.hypot, ...

Like the shorthands in compositions.py, they have no names in the package.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..arrays import Array, unbroadcast, values
from ..graph import Forward, Grads, Needs
from ..tensor import Tensor, TensorLike, apply, from_numpy, unwrap
from .activation import logaddexp
from .arithmetic import maximum, minimum, power, where
from .dtype import as_floats, as_tensor, as_tensors
from .elementwise import log1p, sqrt
from .reduce import norm
from .shape import broadcast_to, stack
from .trigonometry import sin

__all__ = ["FUNCTIONS_OF_NUMBERS", "positive", "remainder"]


def hypot(x: TensorLike, y: TensorLike) -> Tensor:
    """Return sqrt(x**2 + y**2), without overflow; its slope at (0, 0) is taken as 0."""
    x, y = as_tensors([x, y])
    shape = np.broadcast_shapes(x.shape, y.shape)
    return norm(stack([broadcast_to(x, shape), broadcast_to(y, shape)]), axis=0)


def exp2(x: TensorLike) -> Tensor:
    return power(2.0, x)


def arcsinh(x: TensorLike) -> Tensor:
    t = as_floats(x)
    negative, infinite = t.data < 0, np.isinf(t.data)
    size = where(negative, -t, t)  # not abs, whose slope at 0 is 0
    size = where(infinite, 0.0, size)  # inf / inf would be nan
    y = log1p(size + size * (size / (1 + hypot(1.0, size))))
    return where(infinite, t.data, where(negative, -y, y))


def arccosh(x: TensorLike) -> Tensor:
    t = as_floats(x)
    return log1p(t - 1 + sqrt(t - 1) * sqrt(t + 1))  # exact near 1


def arctanh(x: TensorLike) -> Tensor:
    t = as_floats(x)
    return (log1p(t) - log1p(-t)) * 0.5


def sinc(x: TensorLike) -> Tensor:
    """Return sin(pi x) / (pi x); near 0 by its power series, whose slopes are exact there."""
    t = as_tensor(x) * math.pi
    near = np.abs(t.data) < 1
    safe = where(near, 1.0, t)
    return where(near, _sinc_near_zero(where(near, t, 0.0)), sin(safe) / safe)


def _sinc_near_zero(t: Tensor) -> Tensor:
    """Return 1 - t**2 / 3! + t**4 / 5! - ..., for abs(t) < 1."""
    square = t * t
    y = 1.0 + 0.0 * square
    for k in range(20, 0, -2):  # 1 / 21! is below the precision of float64
        y = 1 - y * square / (k * (k + 1))
    return y


def logaddexp2(x: TensorLike, y: TensorLike) -> Tensor:
    a, b = as_tensors([x, y])
    return logaddexp(a * math.log(2), b * math.log(2)) / math.log(2)


def deg2rad(x: TensorLike) -> Tensor:
    return as_tensor(x) * (math.pi / 180)


def rad2deg(x: TensorLike) -> Tensor:
    return as_tensor(x) * (180 / math.pi)


def fabs(x: TensorLike) -> Tensor:
    return abs(as_floats(x))


def fmax(x: TensorLike, y: TensorLike) -> Tensor:
    """Return the larger of x and y, or the one of them that is a number."""
    best = maximum(x, y)
    return where(np.isnan(unwrap(x)), y, where(np.isnan(unwrap(y)), x, best))


def fmin(x: TensorLike, y: TensorLike) -> Tensor:
    """Return the smaller of x and y, or the one of them that is a number."""
    best = minimum(x, y)
    return where(np.isnan(unwrap(x)), y, where(np.isnan(unwrap(y)), x, best))


def _remainder(x: Array, y: Array) -> Forward:
    # Not the formula x - y * floor(x / y): that rounds, so 1 % 0.1 would be 0 and 5 % inf nan.
    quotient = np.floor_divide(values(x), values(y))

    def vjp(g: Array, needs: Needs) -> Grads:
        gy = unbroadcast(-g * quotient, y.shape) if needs[1] else None
        return unbroadcast(g, x.shape) if needs[0] else None, gy

    return np.remainder(x, y), vjp


def remainder(x: TensorLike, y: TensorLike) -> Tensor:
    """Return x % y = x - y * floor(x / y): the sign is that of y."""
    return apply(_remainder, x, y)


def nan_to_num(
    x: TensorLike,
    copy: bool = True,
    nan: float = 0.0,
    posinf: float | None = None,
    neginf: float | None = None,
) -> Tensor:
    """Return x with numbers in place of nan and of the infinities; these have no slope."""
    t = as_tensor(x)
    numbers = np.nan_to_num(t.data, nan=nan, posinf=posinf, neginf=neginf)
    return where(np.isfinite(t.data), t, numbers)


def positive(x: TensorLike) -> Tensor:
    """Return +x, which is x itself."""
    return as_tensor(x)


def real(val: TensorLike) -> Tensor:
    return as_tensor(val)


def real_if_close(a: TensorLike, tol: float = 100) -> Tensor:
    return as_tensor(a)


def imag(val: TensorLike) -> Tensor:
    return from_numpy(np.zeros_like(unwrap(val)))


FUNCTIONS_OF_NUMBERS: dict[Callable[..., Any], Callable[..., Any]] = {
    np.hypot: hypot, np.exp2: exp2, np.arcsinh: arcsinh, np.arccosh: arccosh, np.arctanh: arctanh,
    np.sinc: sinc, np.logaddexp2: logaddexp2, np.deg2rad: deg2rad, np.radians: deg2rad,
    np.rad2deg: rad2deg, np.degrees: rad2deg, np.fabs: fabs, np.fmax: fmax, np.fmin: fmin,
    np.remainder: remainder, np.nan_to_num: nan_to_num, np.real: real, np.imag: imag,
    np.conjugate: real, np.real_if_close: real_if_close, np.positive: positive,
}  # fmt: skip
