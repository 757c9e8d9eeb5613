"""Property-based tests of an operation of your own: pytest examples/test_my_op.py."""

import numpy as np
from hypothesis import given, settings

from tinygrad_mnist import apply
from tinygrad_mnist.arrays import values
from tinygrad_mnist.testing import away_from, broadcastable, gradcheck, tensors


def _huber(x, *, delta):
    small = np.abs(values(x)) <= delta  # a plain array, because a choice does not have a slope
    sign = np.sign(values(x))

    def vjp(g, needs):
        return (g * np.where(small, x, delta * sign),)

    return np.where(small, 0.5 * x * x, delta * (x * sign - 0.5 * delta)), vjp


def huber(x, delta=1.0):
    """Return x**2 / 2 near 0, and straight lines beyond delta."""
    return apply(_huber, x, delta=delta)


@settings(deadline=None)  # a slow machine is not a failure
@given(tensors(elements=away_from(-1.0, 1.0)))  # the slope has kinks at -1 and 1
def test_huber(x):
    gradcheck(huber, x, order=2)


@settings(deadline=None)  # a slow machine is not a failure
@given(broadcastable(2, elements=away_from(0.0, low=-3, high=3)))
def test_huber_of_a_ratio(pair):
    gradcheck(lambda x, y: huber(x / (2 + y * y), delta=10.0), *pair, order=2)
