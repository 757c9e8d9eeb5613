"""Functions of one number, elementwise: exponentials, roots, trigonometry and the activations."""

import numpy as np

from ..arrays import Array, floating, is_array, keep_where, values
from ..graph import Forward, Grads, Needs
from ..tensor import Tensor, TensorLike, apply, run

__all__ = [
    "abs_", "cos", "elu", "exp", "expm1", "gelu", "leaky_relu", "log", "log1p", "relu", "sigmoid",
    "silu", "sin", "softplus", "sqrt", "tanh",
]  # fmt: skip


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


def _sin(x: Array) -> Forward:
    y = np.sin(x)

    def vjp(g: Array, needs: Needs) -> Grads:
        g *= np.cos(x)
        return (g,)

    return y, vjp


def sin(x: TensorLike) -> Tensor:
    """Sine of x in radians, elementwise."""
    return apply(_sin, x)


def _cos(x: Array) -> Forward:
    y = np.cos(x)

    def vjp(g: Array, needs: Needs) -> Grads:
        g *= -np.sin(x)
        return (g,)

    return y, vjp


def cos(x: TensorLike) -> Tensor:
    """Cosine of x in radians, elementwise."""
    return apply(_cos, x)


def _tanh(x: Array) -> Forward:
    y = np.tanh(x)

    def vjp(g: Array, needs: Needs) -> Grads:
        g *= 1 - y * y
        return (g,)

    return y, vjp


def tanh(x: TensorLike) -> Tensor:
    """Hyperbolic tangent, elementwise."""
    return apply(_tanh, x)


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
    return apply(_elu, x, alpha=alpha)


def _sigmoid(x: Array) -> Forward:
    y = _logistic(x)

    def vjp(g: Array, needs: Needs) -> Grads:
        g *= y
        g *= 1 - y
        return (g,)

    return y, vjp


def _logistic(x: Array) -> Array:
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
    s = _logistic(x)

    def vjp(g: Array, needs: Needs) -> Grads:
        g *= s * (1 + x * (1 - s))
        return (g,)

    return x * s, vjp


def silu(x: TensorLike) -> Tensor:
    """Sigmoid linear unit x * sigmoid(x), elementwise, also known as swish."""
    return apply(_silu, x)


def _softplus(x: Array) -> Forward:
    x = floating(x)
    positive = values(x) > 0
    y = np.where(positive, x, 0) + np.log1p(np.exp(np.where(positive, -x, x)))

    def vjp(g: Array, needs: Needs) -> Grads:
        g *= _logistic(x)
        return (g,)

    return y, vjp


def softplus(x: TensorLike) -> Tensor:
    """Smooth rectifier log(1 + e**x), elementwise; it does not overflow."""
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


def _erfc(x: Array) -> Forward:
    y = _erfc_of_array(x) if is_array(x) else run(_erfc, x)

    def vjp(g: Array, needs: Needs) -> Grads:
        g *= np.exp(-(x * x)) * (-2 / np.pi**0.5)
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


def _gelu(x: Array) -> Forward:
    cdf = 0.5 * run(_erfc, x * -(0.5**0.5))

    def vjp(g: Array, needs: Needs) -> Grads:
        density = np.exp(-0.5 * x * x) * (0.5 / np.pi) ** 0.5
        g *= cdf + x * density
        return (g,)

    return x * cdf, vjp


def gelu(x: TensorLike) -> Tensor:
    """Gaussian error linear unit x * Phi(x), elementwise, exact (not by tanh).

    Phi is the distribution function of the standard normal distribution.
    """
    return apply(_gelu, x)
