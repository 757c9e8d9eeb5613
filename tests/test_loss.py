"""The losses: finite for any finite logits, strict about shapes and labels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tinygrad_mnist import (
    ShapeError,
    Tensor,
    grad,
    huber,
    l1,
    mse,
    sigmoid_cross_entropy,
    softmax_cross_entropy,
)

PAIRED = [mse, l1, huber, sigmoid_cross_entropy]  # losses of two arrays of equal shape


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


@pytest.mark.parametrize("loss", PAIRED)
def test_no_loss_broadcasts(loss):
    name = loss.__name__
    with pytest.raises(ShapeError, match=rf"{name}: expected a target of .* \(3,\), got \(3, 1\)"):
        loss(Tensor([1.0, 2.0, 3.0]), np.zeros((3, 1)))
    with pytest.raises(ShapeError, match=rf"{name}: .* \(2, 3\), got \(\)"):
        loss(Tensor(np.ones((2, 3))), 1.0)


@pytest.mark.parametrize("loss", PAIRED)
def test_targets_take_gradients_too(loss, rng):
    x, t = rng.uniform(0.1, 0.9, (2, 2, 3))
    gx, gt = grad(lambda a, b: loss(a, b), argnums=(0, 1))(x, t)
    assert np.abs(gx).min() > 0
    assert np.abs(gt).min() > 0
    if loss is not sigmoid_cross_entropy:
        np.testing.assert_array_equal(gt, -gx)
    alone = Tensor(t, requires_grad=True)
    loss(x, alone).backward()  # the prediction may be a plain array
    np.testing.assert_array_equal(alone.grad, gt)


@pytest.mark.parametrize("loss", PAIRED)
def test_every_loss_over_nothing(loss):
    empty = Tensor(np.zeros((0, 3)), requires_grad=True)
    with pytest.raises(ValueError, match=f"{loss.__name__}: the mean over an empty batch"):
        loss(empty, np.zeros((0, 3)))
    total = loss(empty, np.zeros((0, 3)), reduction="sum")
    assert total.item() == 0
    total.backward()
    assert empty.grad.shape == (0, 3)
    assert loss(empty, np.zeros((0, 3)), reduction="none").shape == (0, 3)
    with pytest.raises(ValueError, match=f'{loss.__name__}: expected reduction "mean", "sum"'):
        loss(empty, np.zeros((0, 3)), reduction="average")


@pytest.mark.parametrize("loss", PAIRED)
@pytest.mark.parametrize("targets", [[1, 0, 1], [True, False, True], np.array([1, 0, 1], np.uint8)])
def test_targets_of_any_kind_of_number(loss, targets):
    x = Tensor([0.5, -1.0, 2.0], requires_grad=True)
    y = loss(x, targets)
    assert y.dtype == np.float32
    assert y.item() == pytest.approx(loss(x, np.array(targets, float)).item())
    assert y.item() == pytest.approx(loss(x, Tensor(np.array(targets))).item())
    with pytest.raises(TypeError, match="numbers"):
        loss(x, ["a", "b", "c"])


@pytest.mark.parametrize("delta", [0, -1.0, float("nan")])
def test_huber_wants_a_delta_above_0(delta):
    with pytest.raises(ValueError, match="huber: expected delta above 0"):
        huber(Tensor([1.0]), [0.0], delta=delta)


def test_classes_are_not_answers_of_yes_or_no():
    x = Tensor(np.zeros((2, 3)))
    with pytest.raises(
        ValueError, match="0 or 1, got numbers from 0 to 7; for classes use softmax"
    ):
        sigmoid_cross_entropy(x, [[0, 1, 7], [1, 1, 1]])
    with pytest.raises(ValueError, match="got numbers from -1 to 1"):
        sigmoid_cross_entropy(x, [[0, 1, 1], [1, -1, 1]])
    sigmoid_cross_entropy(x, np.full((2, 3), 0.5))


@pytest.mark.parametrize("pos_weight", [np.ones(2), np.ones((2, 2, 3)), np.ones((3, 1))])
def test_a_pos_weight_fits_the_logits(pos_weight):
    with pytest.raises(ShapeError, match=r"pos_weight that broadcasts to .* \(2, 3\), got \("):
        sigmoid_cross_entropy(Tensor(np.zeros((2, 3))), np.ones((2, 3)), pos_weight=pos_weight)


def test_a_pos_weight_counts_the_yes_part():
    x, yes, no = Tensor([[0.3, -2.0]]), np.ones((1, 2)), np.zeros((1, 2))
    weighted = sigmoid_cross_entropy(x, yes, pos_weight=[3.0, 0.5], reduction="none").numpy()
    plain = sigmoid_cross_entropy(x, yes, reduction="none").numpy()
    np.testing.assert_allclose(weighted, plain * [[3.0, 0.5]], rtol=1e-6)
    assert (
        sigmoid_cross_entropy(x, no, pos_weight=9.0).item() == sigmoid_cross_entropy(x, no).item()
    )


@given(data=st.data())
def test_sigmoid_cross_entropy_is_finite_for_any_finite_logits(data):
    finite = st.floats(-1e300, 1e300)
    x = Tensor(data.draw(hnp.arrays(float, 4, elements=finite)), requires_grad=True)
    answers = data.draw(hnp.arrays(float, 4, elements=st.sampled_from([0.0, 0.3, 1.0])))
    loss = sigmoid_cross_entropy(x, answers)
    loss.backward()
    assert np.isfinite(loss.item())
    assert loss.item() >= 0
    assert np.isfinite(x.grad).all()
