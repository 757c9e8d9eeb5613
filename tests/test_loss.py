"""The losses: finite for any finite logits, strict about shapes and labels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tinygrad_mnist import ShapeError, Tensor, mse, softmax_cross_entropy


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(data=st.data())
def test_cross_entropy_is_finite_for_any_finite_logits(dtype, data):
    finite = st.floats(width=np.dtype(dtype).itemsize * 8, allow_nan=False, allow_infinity=False)
    logits = Tensor(data.draw(hnp.arrays(dtype, (3, 4), elements=finite)), requires_grad=True)
    labels = data.draw(hnp.arrays(np.int64, 3, elements=st.integers(0, 3)))
    reduction, weight = (
        data.draw(st.sampled_from(["mean", "sum", "none"])),
        data.draw(st.sampled_from([None, [3.0, 0.5, 1.0, 2.0]])),
    )
    options = {
        "label_smoothing": data.draw(st.sampled_from([0.0, 0.1])),
        "reduction": reduction,
        "weight": weight,
    }
    loss = softmax_cross_entropy(logits, labels, **options)
    loss.backward(np.ones(loss.shape))
    assert np.isfinite(loss.numpy()).all()
    assert (loss.numpy() >= 0).all()
    assert np.isfinite(logits.grad).all()
    np.testing.assert_allclose(logits.grad.sum(axis=1), 0, atol=1e-6)


def test_a_loss_beyond_the_dtypes_reach_is_its_largest_number():
    far = Tensor([[3e38, -3e38], [3e38, -3e38]])
    assert softmax_cross_entropy(far, [1, 1]).item() > 3e38
    assert 3e38 < softmax_cross_entropy(far, [1, 1], reduction="sum").item() < np.inf
    assert 3e38 < softmax_cross_entropy(far, [1, 1], weight=[1.0, 2.0]).item() < np.inf


def test_cross_entropy_keeps_an_infinite_loss_infinite():
    assert softmax_cross_entropy(Tensor([[-np.inf, 0.0]]), [0]).item() == np.inf
    assert softmax_cross_entropy(Tensor([[-np.inf, 0.0]]), [1]).item() == 0


@pytest.mark.parametrize(
    ("labels", "error", "words"),
    [
        ([0, 3], ValueError, r"\[0, 3\), got 3 at position 1"),
        ([-1, 0], ValueError, r"got -1 at position 0"),
        ([0.0, 1.0], TypeError, "integer labels"),
        ([[0], [1]], ShapeError, r"\(2,\)"),
        ([0], ShapeError, r"\(2,\)"),
        (np.zeros((2, 2)), ShapeError, r"\(2, 3\), got float64 \(2, 2\)"),
        ([True, False], TypeError, "bool"),
    ],
)
def test_bad_labels(labels, error, words):
    with pytest.raises(error, match=words):
        softmax_cross_entropy(Tensor(np.zeros((2, 3))), labels)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.uint64])
def test_labels_of_any_integer_type(dtype):
    logits = Tensor(np.arange(6.0).reshape(2, 3))
    labels = np.array([2, 0])
    assert (
        softmax_cross_entropy(logits, labels.astype(dtype)).item()
        == softmax_cross_entropy(logits, labels).item()
    )
    with pytest.raises(ValueError, match="got 3 at position 1"):
        softmax_cross_entropy(logits, np.array([2, 3], dtype))


def test_an_empty_batch_has_no_mean_but_a_sum():
    with pytest.raises(ValueError, match="empty batch"):
        softmax_cross_entropy(Tensor(np.zeros((0, 3))), [])
    with pytest.raises(ValueError, match="empty batch"):
        mse(Tensor(np.zeros((0, 3))), np.zeros((0, 3)))
    assert softmax_cross_entropy(Tensor(np.zeros((0, 3))), [], reduction="sum").item() == 0
    assert mse(Tensor(np.zeros((0, 3))), np.zeros((0, 3)), reduction="sum").item() == 0


def test_mse_never_broadcasts():
    with pytest.raises(ShapeError, match=r"\(3,\), got \(3, 1\)"):
        mse(Tensor([1.0, 2.0, 3.0]), np.zeros((3, 1)))


def test_losses_of_float32_stay_float32_beside_float64_targets():
    assert mse(Tensor([1.0]), np.zeros(1)).dtype == np.float32
    assert softmax_cross_entropy(Tensor([[1.0, 2.0]]), np.array([[0.5, 0.5]])).dtype == np.float32


@pytest.mark.parametrize(
    "wrong", [{"reduction": "average"}, {"label_smoothing": 1.5}, {"weight": [1.0]}]
)
def test_bad_options(wrong):
    with pytest.raises(ValueError, match="expected"):
        softmax_cross_entropy(Tensor(np.zeros((2, 3))), [0, 1], **wrong)


def test_float16_loses_no_large_batch_silently():
    n = 100_000
    prediction = Tensor(np.zeros(n, np.float16), requires_grad=True)
    loss = mse(prediction, np.ones(n))
    loss.backward()
    assert (loss.dtype, loss.item()) == (np.float16, 1.0)
    np.testing.assert_allclose(prediction.grad[0], -2 / n, rtol=1e-2)
    loss = softmax_cross_entropy(np.zeros((n, 2), np.float16), np.zeros(n, int))
    assert loss.dtype == np.float16
    assert loss.item() == pytest.approx(0.693, rel=1e-2)
