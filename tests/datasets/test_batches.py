"""normalize, one_hot, train_val_split, Batches."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_mnist.datasets import Batches, normalize, one_hot, train_val_split


def test_normalize_maps_the_ends_of_the_range():
    images = np.array([[[0, 255], [51, 102]]], np.uint8)
    out = normalize(images)
    assert (out.dtype, out.shape) == (np.float32, (1, 2, 2))
    np.testing.assert_allclose(out, [[[0, 1], [0.2, 0.4]]], rtol=1e-6)
    np.testing.assert_allclose(normalize(images, 0.01, 1.0).ravel()[:2], [0.01, 1.0], rtol=1e-6)
    np.testing.assert_allclose(normalize(images, -1, 1).ravel()[:2], [-1, 1], rtol=1e-6)


def test_one_hot():
    np.testing.assert_array_equal(one_hot([0, 2], 3), [[1, 0, 0], [0, 0, 1]])
    out = one_hot(np.array([1]), 2, 0.01, 0.99)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, [[0.01, 0.99]])
    assert one_hot([], 3).shape == (0, 3)


@pytest.mark.parametrize(
    ("labels", "error", "words"),
    [
        ([0, 3], ValueError, r"\[0, 3\), got 0 to 3"),
        ([-1], ValueError, "got -1"),
        ([0.0], TypeError, "float64"),
        ([[0]], ValueError, r"\(1, 1\)"),
    ],
)
def test_one_hot_of_bad_labels(labels, error, words):
    with pytest.raises(error, match=words):
        one_hot(labels, 3)


@given(st.integers(0, 40), st.floats(0, 1), st.integers(0, 3))
def test_a_split_has_every_example_once(n, fraction, seed):
    x = np.arange(n)
    (a, ya), (b, yb) = train_val_split(x, x * 2, fraction, seed)
    assert sorted([*a, *b]) == list(range(n))
    assert len(b) == round(n * fraction)
    np.testing.assert_array_equal(np.concatenate([ya, yb]), 2 * np.concatenate([a, b]))
    np.testing.assert_array_equal(train_val_split(x, x, fraction, seed)[1][0], b)


def test_a_split_takes_lists_and_refuses_scalars():
    (a, _), (b, _) = train_val_split([1, 2, 3, 4], [1, 2, 3, 4], 0.5, 0)
    assert sorted([*a, *b]) == [1, 2, 3, 4]
    with pytest.raises(ValueError, match=r"arrays of examples, got the shapes \(\) and \(\)"):
        train_val_split(1, 2)


@given(st.integers(0, 30), st.integers(1, 35), st.booleans(), st.booleans())
def test_batches_have_every_example_once(n, size, shuffle, drop_last):
    x = np.arange(n)
    batches = Batches(x, x * 2, size, shuffle=shuffle, rng=0, drop_last=drop_last)
    found = list(batches)
    assert len(found) == len(batches)
    seen = [int(i) for a, b in found for i in a]
    assert all((b == 2 * a).all() for a, b in found)
    assert len(set(seen)) == len(seen) == (n - n % size if drop_last else n)
    if not shuffle:
        assert seen == sorted(seen)


def test_each_pass_is_another_shuffle_and_each_seed_another_order():
    x = np.arange(100)
    batches = Batches(x, x, 100, rng=1)
    (first, _), (second, _) = next(iter(batches)), next(iter(batches))
    assert (first != second).any()
    np.testing.assert_array_equal(next(iter(Batches(x, x, 100, rng=1)))[0], first)
    assert np.shares_memory(next(iter(Batches(x, x, 10, shuffle=False)))[0], x)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda x: Batches(x, x[1:], 2), ValueError, "got 4 and 3"), (lambda x: Batches(x, x, 0), ValueError, "at least 1, got 0"),
        (lambda x: Batches(x, x, 2.0), TypeError, "2.0"), (lambda x: train_val_split(x, x[1:]), ValueError, "got 4 and 3"),
        (lambda x: train_val_split(x, x, 1.5), ValueError, r"\[0, 1\], got 1.5"),
    ],
)  # fmt: skip
def test_errors(make, error, words):
    with pytest.raises(error, match=words):
        make(np.arange(4))
