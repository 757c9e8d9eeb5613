"""The complementary error function, which NumPy lacks and `gelu` needs."""

import numpy as np

from ..arrays import Array

__all__ = ["erfc"]

# Chebyshev series of exp(z*z) * erfc(z) in s = (2 - z) / (2 + z), which maps z >= 0 to (-1, 1]: computed from its
# values at the Chebyshev nodes in 50 digits (mpmath), cut where the terms pass double precision.
_SERIES = (
    0.3773760996258595, 0.4825091196506807, 0.12232459533097705, 0.017831149719276792,
    0.00032117365249439837, -0.0003503952564796157, -2.243880650620326e-05, 1.0537433119356064e-05,
    5.671331132647553e-07, -4.297681576665876e-07, 5.104952512865141e-09, 1.8899699318179606e-08,
    -2.242755529856193e-09, -6.855254370550185e-10, 2.1487959525733994e-10, 5.515409718485674e-12,
    -1.3477495048063454e-11, 2.0863894672105998e-12, 4.481881445148597e-13, -2.2684175777875652e-13,
    1.8505867519748427e-14, 1.1509611397547722e-14, -4.00989014707125e-15, 1.398284570577713e-16,
    2.635380772175244e-16,
)  # fmt: skip


def erfc(x: Array) -> Array:
    """Complementary error function 2/sqrt(pi) * integral from x to infinity of exp(-t*t) dt; analytic, error near 1e-14."""
    right = x.real >= 0
    z: Array = np.where(right, x, -x)
    z = np.where(z.real < 30, z, x.real.dtype.type(30))  # erfc(30) is 0 in double precision, and infinity maps to nan
    s = (2 - z) / (2 + z)
    b = previous = np.zeros_like(s)
    for coefficient in _SERIES[:0:-1]:  # Clenshaw's recurrence
        b, previous = 2 * s * b - previous + coefficient, b
    y = (s * b - previous + _SERIES[0]) * np.exp(-z * z)
    return np.asarray(np.where(right, y, 2 - y))
