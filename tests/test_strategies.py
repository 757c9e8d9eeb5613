"""The strategies give what they promise, and shrink to small things."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import find, given
from hypothesis import strategies as st

from tinygrad_mnist import Tensor, testing
from tinygrad_mnist.testing import away_from, broadcastable, gradcheck, labels, shapes, tensors


@given(shapes(1, 2, 2, 3))
def test_shapes(shape):
    assert 1 <= len(shape) <= 2
    assert all(2 <= n <= 3 for n in shape)


@given(tensors((2, 3), dtype=np.float32, elements=away_from(0)))
def test_tensors(t):
    assert (t.shape, t.dtype, t.requires_grad) == ((2, 3), np.float32, True)
    assert (np.abs(t.data) >= 0.00999).all()


@given(broadcastable(3))
def test_broadcastable(found):
    assert len(found) == 3
    np.broadcast_shapes(*(t.shape for t in found))


@given(broadcastable(2, elements=[away_from(0.0), st.floats(1, 2)], dtype=np.float32))
def test_broadcastable_with_elements_of_each(found):
    base, exponent = found
    assert (np.abs(base.data) >= 0.00999).all()
    assert ((exponent.data >= 1) & (exponent.data <= 2)).all()
    np.broadcast_shapes(base.shape, exponent.shape)


def test_broadcastable_wants_elements_for_each():
    with pytest.raises(ValueError, match="for each of 3 Tensors, got 2"):
        broadcastable(3, elements=[away_from(0.0)] * 2)


@given(labels(5, 3))
def test_labels(y):
    assert (y.shape, y.dtype) == ((5,), np.int64)
    assert ((y >= 0) & (y < 3)).all()


@given(away_from(0, 1, gap=0.1, low=-2, high=2))
def test_away_from(v):
    assert abs(v) >= 0.1 - 1e-12
    assert abs(v - 1) >= 0.1 - 1e-12
    assert -2 <= v <= 2


def test_away_from_everything_is_an_error():
    with pytest.raises(ValueError, match="no number in .* away from each of"):
        away_from(0.0, low=-0.001, high=0.001)


@given(away_from(5.0, -3.0, low=-2, high=2))
def test_away_from_points_outside(v):
    assert -2 <= v <= 2


def test_they_shrink_to_small_things():
    assert find(tensors(), lambda t: True).shape == ()
    smallest = find(tensors(), lambda t: t.size >= 2)
    assert smallest.size == 2
    assert (smallest.data == 0).all()
    assert find(tensors(requires_grad=False), lambda t: True).requires_grad is False


def test_from_type():
    testing._register()  # as hypothesis does by itself where the package is installed

    @given(st.from_type(Tensor))
    def holds(t):
        assert isinstance(t, Tensor)

    holds()


@given(tensors())
def test_a_users_whole_property_test_is_three_lines(x):
    gradcheck(lambda t: t.sin() * t, x, order=2)


def test_importing_the_checker_does_not_import_hypothesis():
    code = (
        "import sys, tinygrad_mnist.testing as t; t.gradcheck\n"
        "assert 'hypothesis' not in sys.modules\n"
        "t.tensors\n"
        "assert 'hypothesis' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    import tinygrad_mnist.testing

    with pytest.raises(AttributeError, match="nothing"):
        tinygrad_mnist.testing.nothing  # noqa: B018
