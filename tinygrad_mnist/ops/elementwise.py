"""Functions of one number, elementwise: exponentials, roots, trigonometry and the activations."""

import numpy as np

from ..arrays import Array, floating, masked
from ..tensor import Forward, Grads, Needs, Tensor, TensorLike, apply

__all__ = [
    "abs", "cos", "elu", "exp", "expm1", "gelu", "leaky_relu", "log", "log1p",
    "relu", "sigmoid", "silu", "sin", "softplus", "sqrt", "tanh",
]  # fmt: skip


def _exp(x: Array) -> Forward:
    y = np.exp(x)
    return y, lambda g, needs: (np.multiply(g, y, out=g),)


def exp(x: TensorLike) -> Tensor:
    """Exponential e**x, elementwise."""
    return apply(_exp, x)


def _expm1(x: Array) -> Forward:
    y = np.expm1(x)
    return y, lambda g, needs: (np.multiply(g, y + 1, out=g),)


def expm1(x: TensorLike) -> Tensor:
    """Exponential less one e**x - 1, elementwise, exact near 0."""
    return apply(_expm1, x)


def _log(x: Array) -> Forward:
    return np.log(x), lambda g, needs: (np.divide(g, x, out=g),)


def log(x: TensorLike) -> Tensor:
    """Natural logarithm log(x), elementwise."""
    return apply(_log, x)


def _log1p(x: Array) -> Forward:
    return np.log1p(x), lambda g, needs: (np.divide(g, 1 + x, out=g),)


def log1p(x: TensorLike) -> Tensor:
    """Natural logarithm log(1 + x), elementwise, exact near 0."""
    return apply(_log1p, x)


def _sqrt(x: Array) -> Forward:
    y = np.sqrt(x)
    return y, lambda g, needs: (np.divide(g, y + y, out=g),)


def sqrt(x: TensorLike) -> Tensor:
    """Square root, elementwise; its slope at 0 is infinite."""
    return apply(_sqrt, x)


def _abs(x: Array) -> Forward:
    sign = np.sign(x.real)
    y = x * sign if x.dtype.kind == "c" else np.abs(x)
    return y, lambda g, needs: (np.multiply(g, sign, out=g),)


def abs(x: TensorLike) -> Tensor:
    """Absolute value, elementwise; its slope at 0 is taken as 0."""
    return apply(_abs, x)


def _sin(x: Array) -> Forward:
    return np.sin(x), lambda g, needs: (np.multiply(g, np.cos(x), out=g),)


def sin(x: TensorLike) -> Tensor:
    """Sine of x in radians, elementwise."""
    return apply(_sin, x)


def _cos(x: Array) -> Forward:
    return np.cos(x), lambda g, needs: (np.multiply(g, -np.sin(x), out=g),)


def cos(x: TensorLike) -> Tensor:
    """Cosine of x in radians, elementwise."""
    return apply(_cos, x)


def _tanh(x: Array) -> Forward:
    y = np.tanh(x)
    return y, lambda g, needs: (np.multiply(g, 1 - y * y, out=g),)


def tanh(x: TensorLike) -> Tensor:
    """Hyperbolic tangent, elementwise."""
    return apply(_tanh, x)


def _relu(x: Array) -> Forward:
    # clip is vectorised, where NumPy's maximum with a scalar is not: four times as fast
    y: Array = x.clip(0, np.inf) if x.dtype.kind == "f" else np.where(x.real > 0, x, 0)
    return y, lambda g, needs: (masked(g, y.real > 0),)


def relu(x: TensorLike) -> Tensor:
    """Rectifier max(x, 0), elementwise; its slope at 0 is taken as 0."""
    return apply(_relu, x)


def _leaky_relu(x: Array, *, negative_slope: float) -> Forward:
    x = floating(x)
    slope = np.where(x.real > 0, x.real.dtype.type(1), x.real.dtype.type(negative_slope))
    return x * slope, lambda g, needs: (np.multiply(g, slope, out=g),)


def leaky_relu(x: TensorLike, negative_slope: float = 0.01) -> Tensor:
    """Leaky rectifier: x where x > 0, else negative_slope * x, elementwise."""
    return apply(_leaky_relu, x, negative_slope=negative_slope)


def _elu(x: Array, *, alpha: float) -> Forward:
    positive = x.real > 0
    y = np.where(positive, x, alpha * np.expm1(np.where(positive, 0, x)))
    return y, lambda g, needs: (np.multiply(g, np.where(positive, 1, y + alpha), out=g),)


def elu(x: TensorLike, alpha: float = 1.0) -> Tensor:
    """Exponential linear unit: x where x > 0, else alpha * (e**x - 1), elementwise (Clevert et al. 2016)."""
    return apply(_elu, x, alpha=alpha)


def _logistic(x: Array) -> Array:
    x = floating(x)
    if (
        x.dtype.kind == "c"
    ):  # a complex exp overflows to nan; at a real part of -700 the value is 1e-304 already
        x = np.where(x.real > -700, x, -700)
    with np.errstate(over="ignore"):  # exp(-x) = inf gives the right limit, 0
        y: Array = 1 / (1 + np.exp(-x))
    return y


def _sigmoid(x: Array) -> Forward:
    y = _logistic(x)
    return y, lambda g, needs: (np.multiply(np.multiply(g, y, out=g), 1 - y, out=g),)


def sigmoid(x: TensorLike) -> Tensor:
    """Logistic function 1 / (1 + e**-x), elementwise; no overflow at any x."""
    return apply(_sigmoid, x)


def _silu(x: Array) -> Forward:
    s = _logistic(x)
    return x * s, lambda g, needs: (np.multiply(g, s * (1 + x * (1 - s)), out=g),)


def silu(x: TensorLike) -> Tensor:
    """Sigmoid linear unit x * sigmoid(x), elementwise, also known as swish."""
    return apply(_silu, x)


def _softplus(x: Array) -> Forward:
    x = floating(x)
    positive = x.real > 0
    y = np.where(positive, x, 0) + np.log1p(np.exp(np.where(positive, -x, x)))
    return y, lambda g, needs: (np.multiply(g, _logistic(x), out=g),)


def softplus(x: TensorLike) -> Tensor:
    """Smooth rectifier log(1 + e**x), elementwise; no overflow at any x."""
    return apply(_softplus, x)


# Chebyshev series of exp(z*z) * erfc(z) in s = (2 - z) / (2 + z), which maps z >= 0 to (-1, 1]:
# computed from its values at the Chebyshev nodes in 50 digits (mpmath), cut where the terms pass
# double precision.
_SERIES = (
    0.3773760996258595, 0.4825091196506807, 0.12232459533097705, 0.017831149719276792,
    0.00032117365249439837, -0.0003503952564796157, -2.243880650620326e-05, 1.0537433119356064e-05,
    5.671331132647553e-07, -4.297681576665876e-07, 5.104952512865141e-09, 1.8899699318179606e-08,
    -2.242755529856193e-09, -6.855254370550185e-10, 2.1487959525733994e-10, 5.515409718485674e-12,
    -1.3477495048063454e-11, 2.0863894672105998e-12, 4.481881445148597e-13, -2.2684175777875652e-13,
    1.8505867519748427e-14, 1.1509611397547722e-14, -4.00989014707125e-15, 1.398284570577713e-16,
    2.635380772175244e-16,
)  # fmt: skip


def _erfc(x: Array) -> Array:
    """Complementary error function 2/sqrt(pi) * integral from x to infinity of exp(-t*t) dt; analytic, error near 1e-14."""
    right = x.real >= 0
    z: Array = np.where(right, x, -x)
    z = np.where(
        z.real < 30, z, x.real.dtype.type(30)
    )  # erfc(30) is 0 in double precision, and infinity maps to nan
    s = (2 - z) / (2 + z)
    b = previous = np.zeros_like(s)
    for coefficient in _SERIES[:0:-1]:  # Clenshaw's recurrence
        b, previous = 2 * s * b - previous + coefficient, b
    y = (s * b - previous + _SERIES[0]) * np.exp(-z * z)
    return np.asarray(np.where(right, y, 2 - y))


def _gelu(x: Array) -> Forward:
    cdf = 0.5 * _erfc(x * -(0.5**0.5))

    def vjp(g: Array, needs: Needs) -> Grads:
        density = np.exp(-0.5 * x * x) * (0.5 / np.pi) ** 0.5
        return (np.multiply(g, cdf + x * density, out=g),)

    return x * cdf, vjp


def gelu(x: TensorLike) -> Tensor:
    """Gaussian error linear unit x * Phi(x), Phi the standard normal distribution function, elementwise (exact, no tanh)."""
    return apply(_gelu, x)
