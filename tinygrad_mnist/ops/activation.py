"""Activations, elementwise, and the smooth functions that they are made of."""

import math
from collections.abc import Sequence

import numpy as np

from ..arrays import Array, choose, floating, is_array, keep_where, unbroadcast, values
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
    """Rectifier max(x, 0), elementwise; its slope at 0 is taken as 0.

    Examples
    --------
    >>> relu(Tensor([-1.0, 0.0, 2.0]))
    Tensor([0., 0., 2.])
    """
    return apply(_relu, x)


def _leaky_relu(x: Array, *, negative_slope: float) -> Forward:
    x = floating(x)
    one, other = np.array(1, x.dtype), np.array(negative_slope, x.dtype)
    slope = choose(values(x) > 0, one, other)

    def vjp(g: Array, needs: Needs) -> Grads:
        g *= slope
        return (g,)

    return x * slope, vjp


def leaky_relu(x: TensorLike, negative_slope: float = 0.01) -> Tensor:
    """Leaky rectifier: x where x > 0, else negative_slope * x, elementwise.

    Examples
    --------
    >>> leaky_relu(Tensor([-1.0, 2.0]), 0.1)
    Tensor([-0.1,  2. ])
    """
    return apply(_leaky_relu, x, negative_slope=negative_slope)


def _elu(x: Array, *, alpha: float) -> Forward:
    x = floating(x)
    positive = values(x) > 0
    y = choose(positive, x, alpha * np.expm1(keep_where(x.copy(), ~positive)))

    def vjp(g: Array, needs: Needs) -> Grads:
        g *= choose(positive, np.array(1, x.dtype), y + alpha)
        return (g,)

    return y, vjp


def elu(x: TensorLike, alpha: float = 1.0) -> Tensor:
    """Exponential linear unit: x where x > 0, else alpha * (e**x - 1), elementwise.

    References
    ----------
    Clevert et al. (2016), Fast and accurate deep network learning by exponential linear units.

    Examples
    --------
    >>> elu(Tensor([-1.0, 2.0])).round(4)
    Tensor([-0.6321,  2.    ])
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
        y = np.exp(-floating(x))
    y += 1
    return 1 / y


def sigmoid(x: TensorLike) -> Tensor:
    """Logistic function 1 / (1 + e**-x), elementwise; it does not overflow.

    Examples
    --------
    >>> sigmoid(Tensor([-1.0, 0.0, 1.0])).round(4)
    Tensor([0.2689, 0.5   , 0.7311])
    """
    return apply(_sigmoid, x)


def _silu(x: Array) -> Forward:
    s = logistic(x)

    def vjp(g: Array, needs: Needs) -> Grads:
        slope = 1 - s
        slope *= x
        slope += 1
        slope *= s
        g *= slope
        return (g,)

    return x * s, vjp


def silu(x: TensorLike) -> Tensor:
    """Sigmoid linear unit x * sigmoid(x), elementwise, also known as swish.

    Examples
    --------
    >>> silu(Tensor([-1.0, 0.0, 1.0])).round(4)
    Tensor([-0.2689,  0.    ,  0.7311])
    """
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
    return keep_where(x.copy(), positive) + np.log1p(np.exp(choose(positive, -x, x)))


def softplus(x: TensorLike) -> Tensor:
    """Smooth rectifier log(1 + e**x), elementwise; it does not overflow.

    Examples
    --------
    >>> softplus(Tensor([-1.0, 0.0, 1.0])).round(4)
    Tensor([0.3133, 0.6931, 1.3133])
    """
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
    same = (a == b) & np.isinf(a)
    with np.errstate(invalid="ignore"):
        # Equal infinities share the gradient equally; their difference would be nan.
        difference = keep_where(x - y, ~same)

    def vjp(g: Array, needs: Needs) -> Grads:
        gx = unbroadcast(g * logistic(difference), x.shape) if needs[0] else None
        gy = unbroadcast(g * logistic(-difference), y.shape) if needs[1] else None
        return gx, gy

    # np.logaddexp itself takes five times as long.
    curve = np.log1p(np.exp(-np.abs(values(difference))))
    return np.maximum(a, b) + curve, vjp


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

# float32 takes less. Of the Chebyshev series it needs ten terms, here as a polynomial in s. And
# everywhere erf(x) = tanh(x * P(x * x)) with the second polynomial P, to 1e-7 of erf(x): it was
# fitted to atanh(erf(x)) / x. Its last coefficient is positive, so the ends come out right.
_SHORT = (
    0.255395683887, 0.427186064265, 0.241657754665, 0.0789741724403, 0.00373719323038,
    -0.00697217645715, -0.000863227885194, 0.000921942178455, 7.25930384979e-05,
    -0.000110020648363,
)  # fmt: skip
_TANH_OF_ERF = (
    1.1283792743069327, 0.10276905578907518, -0.00019183079976737956, -0.0006197846578334536,
    8.763732640753863e-05, -5.66847549836081e-06, 1.4185222934092055e-07,
)  # fmt: skip


def _horner(x: Array, coefficients: Sequence[float]) -> Array:
    """Return the polynomial of x with these coefficients, the constant one first."""
    y = x * coefficients[-1]
    for coefficient in coefficients[-2:0:-1]:
        y += coefficient
        y *= x
    y += coefficients[0]
    return y


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
    if x.dtype == np.float32:
        with np.errstate(over="ignore"):
            return np.tanh(x * _horner(x * x, _TANH_OF_ERF))
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


def _normal_cdf(x: Array) -> Forward:
    y = _normal_cdf_of_array(x) if is_array(x) else run(_normal_cdf, x)

    def vjp(g: Array, needs: Needs) -> Grads:
        g *= _normal_density(x)
        return (g,)

    return y, vjp


def _normal_cdf_of_array(x: Array) -> Array:
    """Return the distribution function of the standard normal distribution, erfc(-x/sqrt(2)) / 2.

    It is exact to a few digits of its own size in the left tail, too.
    """
    if x.dtype != np.float32:
        return 0.5 * _erfc_of_array(x * -(0.5**0.5))
    with np.errstate(over="ignore"):
        bell = np.exp(x * x * -0.5)
    s = np.abs(x)
    s *= 0.5**0.5
    s += 2
    s = 4 / s  # less 1 this is (2 - z) / (2 + z), but not inf / inf at infinity
    s -= 1
    tail = _horner(s, _SHORT)
    tail *= bell
    tail *= 0.5
    # On the right it is 1 - tail. A choice by element would take as long as all the rest.
    right = (x > 0).astype(x.dtype)
    tail *= 1 - 2 * right
    tail += right
    return tail


def _normal_density(x: Array) -> Array:
    density = x * x
    density *= -0.5
    density = np.exp(density)
    density *= (0.5 / np.pi) ** 0.5
    return density


def _gelu(x: Array) -> Forward:
    x = floating(x)
    cdf = run(_normal_cdf, x)

    def vjp(g: Array, needs: Needs) -> Grads:
        slope = _normal_density(x)
        slope *= x
        slope += cdf
        g *= slope
        return (g,)

    return x * cdf, vjp


def _gelu_tanh(x: Array) -> Forward:
    x = floating(x)
    # Beyond 10, tanh is 1 and its slope 0: x is bounded there, so that no power of it overflows.
    z = x.clip(-10, 10)
    scale, cubic = _TANH_OF_GELU
    inner = z * z
    inner *= cubic
    inner += scale
    inner *= z
    share = np.tanh(inner)
    share *= 0.5
    share += 0.5

    def vjp(g: Array, needs: Needs) -> Grads:
        slope = z * z
        slope *= 6 * cubic
        slope += 2 * scale
        slope *= z
        slope *= share
        slope *= 1 - share
        slope += share
        g *= slope
        return (g,)

    return x * share, vjp


# gelu's approximation takes the hyperbolic tangent of scale * x + cubic * x**3.
_TANH_OF_GELU = math.sqrt(2 / math.pi), 0.044715 * math.sqrt(2 / math.pi)


def gelu(x: TensorLike, approximate: str = "none") -> Tensor:
    """Gaussian error linear unit x * Phi(x), elementwise.

    Phi is the distribution function of the standard normal distribution.

    Parameters
    ----------
    x : Tensor
    approximate : {"none", "tanh"}
        "tanh" computes 0.5 * x * (1 + tanh(sqrt(2/pi) * (x + 0.044715 * x**3))) instead. The two
        differ by less than 0.0005. Networks such as GPT-2 were trained with "tanh".

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
