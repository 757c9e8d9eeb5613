"""The helpers below everything: undoing a broadcast, dtypes of operands."""

import numpy as np
import pytest

from tinygrad_mnist.arrays import (
    as_array,
    choose,
    constants,
    keep_where,
    span,
    unbroadcast,
)


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


EVERYTHING = [0.0, -0.0, np.inf, -np.inf, np.nan, 1.5, -2.0, 1e-7]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble, np.complex64])
@pytest.mark.parametrize("shape", [(2, 4), (1, 4), (2, 1), (), (0, 4)])
def test_a_choice_by_bits_is_that_of_where(dtype, shape, rng):
    numbers = np.array(EVERYTHING, dtype)
    x, y = rng.choice(numbers, (2, 4)).T.copy().T, rng.choice(numbers, (4, 2)).T[::-1]
    condition = rng.random(shape) < 0.5
    for a, b in ((x, y), (x, y[0]), (x[:, :1], np.array(-np.inf, dtype)), (x[0, 0], y)):
        if shape == (0, 4):
            a, b = a[:0] if np.ndim(a) else a, b[:0] if b.ndim == 2 else b
        found, expected = choose(condition, a, b), np.where(condition, a, b)
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, expected)
        if expected.dtype.kind == "f":
            np.testing.assert_array_equal(np.signbit(found), np.signbit(expected))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble, np.complex64])
def test_what_is_not_kept_is_zero_even_if_it_was_infinite(dtype, rng):
    g = rng.choice(np.array(EVERYTHING, dtype), (6, 4))
    for keep in (rng.random((6, 4)) < 0.5, rng.random((6, 4)) < 0.5, rng.random(4) < 0.5):
        expected = np.where(keep, g, 0)
        for part in (g.copy(), g.copy().T.copy().T):
            np.testing.assert_array_equal(keep_where(part, keep), expected)
    assert keep_where(np.array(np.inf, dtype), np.array(False)) == 0
