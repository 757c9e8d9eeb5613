"""Activations, elementwise, and the smooth functions that they are made of."""

import math

import numpy as np

from ..arrays import Array, floating, is_array, keep_where, unbroadcast, values
from ..graph import Forward, Grads, Needs
from ..tensor import Tensor, TensorLike, apply, run
from .dtype import apply_wide

__all__ = [
    "elu", "erf", "gelu", "leaky_relu", "log_sigmoid", "logaddexp", "relu", "sigmoid", "silu",
    "softplus",
]  # fmt: skip


def _relu(x: Array) -> Forward:
    # With two bounds clip is four times as fast as np.maximum(x, 0); integers have no infinity.
    y = x.clip(0, np.inf if x.dtype.kind == "f" else None)
    return y, lambda g, needs: (keep_where(g, values(y) > 0),)


def relu(x: TensorLike) -> Tensor:
    """Rectifier max(x, 0), elementwise; its slope at 0 is taken as 0."""
    return apply(_relu, x)


def _leaky_relu(x: Array, *, negative_slope: float) -> Forward:
    x = floating(x)
    one = x.dtype.type(1)
    slope = np.where(values(x) > 0, one, x.dtype.type(negative_slope))

    def vjp(g: Array, needs: Needs) -> Grads:
        g *= slope
        return (g,)

    return x * slope, vjp


def leaky_relu(x: TensorLike, negative_slope: float = 0.01) -> Tensor:
    """Leaky rectifier: x where x > 0, else negative_slope * x, elementwise."""
    return apply(_leaky_relu, x, negative_slope=negative_slope)


def _elu(x: Array, *, alpha: float) -> Forward:
    x = floating(x)
    positive = values(x) > 0
    y = np.where(positive, x, alpha * np.expm1(np.where(positive, 0, x)))

    def vjp(g: Array, needs: Needs) -> Grads:
        g *= np.where(positive, 1, y + alpha)
        return (g,)

    return y, vjp


def elu(x: TensorLike, alpha: float = 1.0) -> Tensor:
    """Exponential linear unit: x where x > 0, else alpha * (e**x - 1), elementwise.

    References
    ----------
    Clevert et al. (2016), Fast and accurate deep network learning by exponential linear units.
    """
    return apply(_elu, x, alpha=float(alpha))


def _sigmoid(x: Array) -> Forward:
    y = logistic(x)

    def vjp(g: Array, needs: Needs) -> Grads:
        g *= y
        g *= 1 - y
        return (g,)

    return y, vjp


def logistic(x: Array) -> Array:
    """Return 1 / (1 + e**-x)."""
    if not is_array(x):
        # The operation itself, because at -1000 the derivative of its formula would be inf * 0.
        return run(_sigmoid, x)
    with np.errstate(over="ignore"):  # exp(-x) = inf gives the right limit, 0
        return 1 / (1 + np.exp(-floating(x)))


def sigmoid(x: TensorLike) -> Tensor:
    """Logistic function 1 / (1 + e**-x), elementwise; it does not overflow."""
    return apply(_sigmoid, x)


def _silu(x: Array) -> Forward:
    s = logistic(x)

    def vjp(g: Array, needs: Needs) -> Grads:
        g *= s * (1 + x * (1 - s))
        return (g,)

    return x * s, vjp


def silu(x: TensorLike) -> Tensor:
    """Sigmoid linear unit x * sigmoid(x), elementwise, also known as swish."""
    return apply(_silu, x)


def _softplus(x: Array) -> Forward:
    x = floating(x)
    y = log1p_exp(x)

    def vjp(g: Array, needs: Needs) -> Grads:
        g *= logistic(x)
        return (g,)

    return y, vjp


def log1p_exp(x: Array) -> Array:
    """Return log(1 + e**x) without overflow."""
    if not is_array(x):
        return run(_softplus, x)
    positive = x > 0
    return np.where(positive, x, 0) + np.log1p(np.exp(np.where(positive, -x, x)))


def softplus(x: TensorLike) -> Tensor:
    """Smooth rectifier log(1 + e**x), elementwise; it does not overflow."""
    return apply(_softplus, x)


def _log_sigmoid(x: Array) -> Forward:
    x = floating(x)
    numbers = values(x)
    y = np.minimum(numbers, 0) - np.log1p(np.exp(-np.abs(numbers)))

    def vjp(g: Array, needs: Needs) -> Grads:
        g *= logistic(-x)
        return (g,)

    return y, vjp


def log_sigmoid(x: TensorLike) -> Tensor:
    """Logarithm of the logistic function, -log(1 + e**-x), elementwise; it does not overflow.

    Examples
    --------
    >>> log_sigmoid(Tensor([-1000.0, 1000.0]))
    Tensor([-1000.,     0.])
    """
    return apply(_log_sigmoid, x)


def _logaddexp(x: Array, y: Array) -> Forward:
    x, y = floating(x), floating(y)
    a, b = values(x), values(y)

    def vjp(g: Array, needs: Needs) -> Grads:
        # Equal infinities share the gradient equally; their difference would be nan.
        same = (a == b) & np.isinf(a)
        difference = np.where(same, 0, x - y)
        gx = unbroadcast(g * logistic(difference), x.shape) if needs[0] else None
        gy = unbroadcast(g * logistic(-difference), y.shape) if needs[1] else None
        return gx, gy

    return np.logaddexp(a, b), vjp


def logaddexp(x: TensorLike, y: TensorLike) -> Tensor:
    """Logarithm of the sum of exponentials, log(e**x + e**y), elementwise with broadcasting.

    It does not overflow.

    Raises
    ------
    ShapeError
        If the shapes do not broadcast.

    Examples
    --------
    >>> logaddexp(Tensor([0.0, 1000.0]), 0.0).round(4)
    Tensor([6.931e-01, 1.000e+03])
    """
    return apply(_logaddexp, x, y)


# The error function. Near 0 it is a Taylor series. Elsewhere it is 1 - erfc, and that comes from a
# Chebyshev series of exp(z*z) * erfc(z) in s = (2 - z) / (2 + z), which maps z >= 0 to (-1, 1]. The
# coefficients were computed from the values at the Chebyshev nodes in 50 digits (mpmath). Both
# series are cut where their terms pass double precision.
_SLOPE_AT_0 = 2 / math.sqrt(math.pi)
_TAYLOR = [_SLOPE_AT_0 * (-1) ** n / (math.factorial(n) * (2 * n + 1)) for n in range(18)]
_SERIES = (
    0.3773760996258595, 0.4825091196506807, 0.12232459533097705, 0.017831149719276792,
    0.00032117365249439837, -0.0003503952564796157, -2.243880650620326e-05, 1.0537433119356064e-05,
    5.671331132647553e-07, -4.297681576665876e-07, 5.104952512865141e-09, 1.8899699318179606e-08,
    -2.242755529856193e-09, -6.855254370550185e-10, 2.1487959525733994e-10, 5.515409718485674e-12,
    -1.3477495048063454e-11, 2.0863894672105998e-12, 4.481881445148597e-13, -2.2684175777875652e-13,
    1.8505867519748427e-14, 1.1509611397547722e-14, -4.00989014707125e-15, 1.398284570577713e-16,
    2.635380772175244e-16,
)  # fmt: skip


def _erfc(x: Array) -> Forward:
    y = _erfc_of_array(x) if is_array(x) else run(_erfc, x)

    def vjp(g: Array, needs: Needs) -> Grads:
        g *= _bell(x) * -_SLOPE_AT_0
        return (g,)

    return y, vjp


def _erfc_of_array(x: Array) -> Array:
    """Return 2/sqrt(pi) * the integral of exp(-t*t) from x to infinity; its error is near 1e-14."""
    right = x >= 0
    # erfc(30) is 0 in double precision; infinity would be mapped to nan.
    z = np.where(right, x, -x).clip(None, 30)
    s = (2 - z) / (2 + z)
    b = previous = np.zeros_like(s)
    for coefficient in _SERIES[:0:-1]:  # Clenshaw's recurrence
        b, previous = 2 * s * b - previous + coefficient, b
    y = (s * b - previous + _SERIES[0]) * np.exp(-z * z)
    return np.where(right, y, 2 - y)


def _bell(x: Array) -> Array:
    """Return exp(-x * x). Where that is 0 in any case, x is bounded, so that no inf * 0 follows."""
    bounded = x.clip(-30, 30)
    return np.exp(-(bounded * bounded))


def _erf(x: Array) -> Forward:
    x = floating(x)

    def vjp(g: Array, needs: Needs) -> Grads:
        g *= _bell(x) * _SLOPE_AT_0
        return (g,)

    return _erf_of_array(values(x)), vjp


def _erf_of_array(x: Array) -> Array:
    size = np.abs(x)
    small = size < 1
    squared = np.square(np.where(small, x, 0))
    near = np.zeros_like(squared)
    for coefficient in _TAYLOR[::-1]:  # Horner's rule
        near = near * squared + coefficient
    return np.where(small, near * x, np.sign(x) * (1 - _erfc_of_array(size)))


def erf(x: TensorLike) -> Tensor:
    """Error function 2 / sqrt(pi) * (the integral of e**(-t*t) from 0 to x), elementwise.

    Examples
    --------
    >>> erf(Tensor([0.0, 1.0, np.inf])).round(4)
    Tensor([0.    , 0.8427, 1.    ])
    """
    return apply_wide(_erf, x)


def _gelu(x: Array) -> Forward:
    x = floating(x)
    cdf = 0.5 * run(_erfc, x * -(0.5**0.5))

    def vjp(g: Array, needs: Needs) -> Grads:
        density = np.exp(-0.5 * x * x) * (0.5 / np.pi) ** 0.5
        g *= cdf + x * density
        return (g,)

    return x * cdf, vjp


def _gelu_tanh(x: Array) -> Forward:
    x = floating(x)
    # Beyond 10, tanh is 1 and its slope 0: x is bounded there, so that no power of it overflows.
    z = x.clip(-10, 10)
    t = np.tanh((z + 0.044715 * z * z * z) * (2 / np.pi) ** 0.5)

    def vjp(g: Array, needs: Needs) -> Grads:
        inner = (1 + 3 * 0.044715 * z * z) * (2 / np.pi) ** 0.5
        g *= 0.5 * (1 + t + x * (1 - t * t) * inner)
        return (g,)

    return 0.5 * x * (1 + t), vjp


def gelu(x: TensorLike, approximate: str = "none") -> Tensor:
    """Gaussian error linear unit x * Phi(x), elementwise.

    Phi is the distribution function of the standard normal distribution.

    Parameters
    ----------
    x : Tensor
    approximate : {"none", "tanh"}
        With "tanh" it is 0.5 * x * (1 + tanh(sqrt(2/pi) * (x + 0.044715 * x**3))), which is within
        0.0005 of it. Networks such as GPT-2 were trained with that.

    Raises
    ------
    ValueError
        If `approximate` is neither of the two.

    Examples
    --------
    >>> gelu(Tensor([-1.0, 0.0, 1.0])).round(4)
    Tensor([-0.1587,  0.    ,  0.8413])
    >>> gelu(Tensor([-1.0, 0.0, 1.0]), approximate="tanh").round(4)
    Tensor([-0.1588,  0.    ,  0.8412])
    """
    if approximate not in ("none", "tanh"):
        raise ValueError(f'gelu: expected approximate "none" or "tanh", got {approximate!r}')
    return apply_wide(_gelu if approximate == "none" else _gelu_tanh, x)
