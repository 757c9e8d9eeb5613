"""The helpers below everything: undoing a broadcast, dtypes of operands."""

import numpy as np
import pytest

from tinygrad_mnist.arrays import (
    as_array,
    choose,
    constants,
    dot_over,
    keep_where,
    max_along,
    span,
    sum_over,
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


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int64])
@pytest.mark.parametrize("order", [(0, 1, 2, 3), (1, 2, 3, 0), (3, 2, 1, 0), (2, 0, 3, 1)])
@pytest.mark.parametrize("axes", [(-1,), (0,), (1,), (0, 2, 3), (2, 3), (1, 3), (0, 1, 2, 3), ()])
def test_sums_over_axes_of_any_layout(dtype, order, axes, rng):
    shape = (7, 9, 20, 40)
    memory = rng.integers(-4, 5, [shape[k] for k in order]).astype(dtype)
    x = memory.transpose(np.argsort(order))
    y = rng.integers(-4, 5, shape).astype(dtype)[::-1]
    for part in (x, x[:, ::-1], x[:1], x[:0], x[..., ::2]):
        other = y[: len(part), ..., : part.shape[-1]]
        total = part.sum(axis=axes, keepdims=True)
        np.testing.assert_array_equal(sum_over(part, axes), total)
        np.testing.assert_array_equal(
            dot_over(part, other, axes), (part * other).sum(axis=axes, keepdims=True)
        )
        assert sum_over(part, axes).shape == total.shape
    if dtype != np.int64:
        np.testing.assert_array_equal(max_along(x, -1), x.max(-1, keepdims=True))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_infinities_and_nan_pass_through_sums_and_maxima(dtype):
    x = np.ones((300, 20), dtype)
    x[1, 3], x[2, 5], x[3], x[4, :2] = np.inf, np.nan, -np.inf, (np.inf, -np.inf)
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(sum_over(x, (1,)), x.sum(1, keepdims=True))
        np.testing.assert_array_equal(dot_over(x, x, (1,)), (x * x).sum(1, keepdims=True))
        np.testing.assert_array_equal(max_along(x, 1), x.max(1, keepdims=True))


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
