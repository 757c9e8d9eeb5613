"""The helpers below everything: undoing a broadcast, dtypes of operands."""

import numpy as np
import pytest

from tinygrad_mnist.arrays import as_array, constants, span, unbroadcast


@pytest.mark.parametrize(
    ("shape", "target"),
    [
        ((2, 3), (3,)),
        ((2, 3), (2, 1)),
        ((2, 3), ()),
        ((4, 2, 3), (1, 3)),
        ((0, 3), (3,)),
        ((2, 3), (2, 3)),
    ],
)
def test_unbroadcast_is_the_transpose_of_broadcast(shape, target, rng):
    g, x = rng.standard_normal(shape), rng.standard_normal(target)
    assert np.sum(g * np.broadcast_to(x, shape)) == pytest.approx(
        np.sum(unbroadcast(g, target) * x)
    )
    assert unbroadcast(g, target).shape == target


def test_unbroadcast_gives_the_same_array_or_a_new_one():
    g = np.ones((1, 3))
    assert unbroadcast(g, (1, 3)) is g
    assert not np.shares_memory(unbroadcast(g, (3,)), g)


def test_the_span_of_a_view_is_the_memory_that_it_covers():
    a = np.arange(12, dtype=np.int64)
    start, stop = span(a)
    assert stop - start == 96
    assert span(a[2:4]) == (start + 16, start + 32)
    assert span(a[::-1]) == (start, stop)
    assert span(a.reshape(3, 4)[1:].T) == (start + 32, stop)


def test_a_number_takes_the_dtype_of_the_arrays_beside_it():
    assert [a.dtype for a in constants([np.ones(2, np.float32), 2.0, 3])] == [np.float32] * 3
    assert constants([np.ones(2, np.float32), 1j])[1].dtype == np.complex64
    assert [a.dtype for a in constants([np.arange(2), 2])] == [np.int64] * 2
    assert as_array([1.0]).dtype == np.float32
    assert as_array(np.ones(1)).dtype == np.float64
