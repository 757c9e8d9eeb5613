"""float32 stays float32 beside numbers, integers and masks; float16 is a dtype to store, not to add up in."""

import numpy as np
import pytest

import tinygrad_mnist as tg
from tinygrad_mnist import Tensor, nn

SCORES = np.array([[0.5, -1.0, 2.0], [1.5, 0.25, -0.5]], np.float32)
NUMBERS = np.arange(3)
MASK = SCORES > 0


@pytest.mark.parametrize(
    "expression",
    [
        lambda t: t / np.sqrt(64),
        lambda t: np.sqrt(64) * t,
        lambda t: t * np.arange(3),
        lambda t: np.arange(3) - t,
        lambda t: t * np.float64(2),
        lambda t: t * np.float64(2) + 1,
        lambda t: t - t.numpy().astype(np.float64).mean(),
        lambda t: t / t.numpy().std(),
        lambda t: t ** np.int64(2),
        lambda t: t * MASK,
        lambda t: (t > 0) * t,
        lambda t: t * Tensor([1, 2, 3]),
        lambda t: t + np.ones((2, 3), np.uint8),
        lambda t: tg.where(MASK, t, np.float64(-np.inf)),
        lambda t: tg.where(MASK, t, 0),
        lambda t: tg.maximum(t, np.float64(0)),
        lambda t: tg.clip(t, np.float64(-1), np.float64(1)),
        lambda t: tg.clip(t, NUMBERS - 2, [1, 1, 1]),
        lambda t: tg.clip(t, [0.5, 0.5, 0.5]),
        lambda t: t.mean(axis=0) * NUMBERS,
        lambda t: t.var(ddof=np.int64(1)),
        lambda t: t.std(ddof=np.int64(1)),
        lambda t: t @ np.eye(3, dtype=int),
        lambda t: tg.einsum("ij,j->i", t, NUMBERS),
        lambda t: tg.concatenate([t, np.zeros((1, 3), int)]),
        lambda t: tg.elu(t, np.float64(1.5)),
        lambda t: tg.leaky_relu(t, np.float64(0.1)),
        lambda t: tg.layer_norm(t, 3, eps=np.float64(1e-5)),
        lambda t: tg.batch_norm(t, None, None, training=True, eps=np.float64(1e-5)),
        lambda t: tg.dropout(t, np.float64(0.5), rng=0),
        lambda t: tg.logaddexp(t, np.float64(0)),
        lambda t: tg.arctan2(t, NUMBERS),
        lambda t: tg.outer(t, NUMBERS),
        lambda t: tg.dot(t, NUMBERS),
        lambda t: tg.pad(t, 1, constant_values=np.float64(2)),
        lambda t: tg.mse(t, SCORES.astype(float)),
        lambda t: tg.l1(t, SCORES.astype(float).tolist()),
        lambda t: tg.huber(t, np.zeros((2, 3), int), delta=np.float64(2)),
        lambda t: tg.sigmoid_cross_entropy(t, MASK, pos_weight=np.ones(3)),
        lambda t: tg.softmax_cross_entropy(t, [0, 1], label_smoothing=np.float64(0.1), weight=np.ones(3)),
    ],
)  # fmt: skip
def test_an_everyday_expression_keeps_float32(expression):
    t = Tensor(SCORES, requires_grad=True)
    y = expression(t)
    assert y.dtype == np.float32
    y.sum().backward()
    assert t.grad.dtype == np.float32
    # and the numbers are those of double precision
    wide = expression(Tensor(SCORES, dtype=np.float64))
    np.testing.assert_allclose(y.numpy(), wide.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "expression",
    [
        lambda t: t + np.array(1.0),  # a 0-d array is an array
        lambda t: t * np.ones(3),
        lambda t: t @ np.eye(3),
        lambda t: t * Tensor(np.float64(2) * np.ones(3)),
        lambda t: tg.clip(t, np.zeros(3)),
        lambda t: t * np.asarray(t.numpy().astype(np.float64).mean()),
    ],
)
def test_a_floating_array_of_a_wider_dtype_widens(expression):
    t = Tensor(SCORES, requires_grad=True)
    y = expression(t)
    assert y.dtype == np.float64
    y.sum().backward()
    assert t.grad.dtype == np.float32


def test_a_bound_or_a_weight_that_requires_grad_is_refused():
    t = Tensor(SCORES)
    bound = Tensor(np.ones(3, np.float32), requires_grad=True)
    for call in (
        lambda: tg.clip(t, bound),
        lambda: tg.softmax_cross_entropy(t, [0, 1], weight=bound),
        lambda: tg.sigmoid_cross_entropy(t, MASK, pos_weight=bound),
    ):
        with pytest.raises(TypeError, match="requires grad"):
            call()


# float16


def half(*shape, fill=1.0):
    return Tensor(np.full(shape, fill, np.float16), requires_grad=True)


@pytest.mark.parametrize(
    ("op", "value", "slope"),
    [
        (tg.mean, 0.5, 1 / 70_000),
        (tg.max, 0.5, 1 / 70_000),
        (tg.min, 0.5, 1 / 70_000),
        (tg.sum, 35_000, 1),
        (tg.norm, 0.5 * 70_000**0.5, 70_000**-0.5),
        (tg.logsumexp, 0.5 + np.log(70_000), 1 / 70_000),
        (lambda x: tg.cumsum(x)[-1], 35_000, 1),
        (lambda x: tg.mse(x, np.zeros(70_000)), 0.25, 1 / 70_000),
        (lambda x: tg.l1(x, np.zeros(70_000)), 0.5, 1 / 70_000),
        (lambda x: tg.huber(x, np.zeros(70_000)), 0.125, 0.5 / 70_000),
        (lambda x: tg.sigmoid_cross_entropy(x, np.zeros(70_000)), 0.9741, 0.6225 / 70_000),
        (lambda x: tg.einsum("i->", x), 35_000, 1),
        (lambda x: tg.einsum("i,i->", x, x), 17_500, 1),
        (lambda x: x @ x, 17_500, 1),
        (lambda x: tg.avg_pool2d(x.reshape(1, 1, 280, 250), (280, 250)).sum(), 0.5, 1 / 70_000),
        (lambda x: tg.max_pool2d(x.reshape(1, 1, 280, 250), (280, 250)).sum(), 0.5, 1 / 70_000),
        (lambda x: tg.trace(tg.broadcast_to(x[:2], (20_000, 2)).reshape(200, 200)), 100, None),
    ],
)  # fmt: skip
def test_float16_adds_up_many_elements(op, value, slope):
    x = half(70_000, fill=0.5)
    y = op(x)
    assert y.dtype == np.float16
    assert y.item() == pytest.approx(value, rel=1e-3)
    y.backward()
    assert x.grad.dtype == np.float16
    if slope is not None:
        np.testing.assert_allclose(x.grad, slope, rtol=2e-2)


def test_float16_variance_of_many_elements(rng):
    a = rng.standard_normal(70_000)
    x = Tensor(a.astype(np.float16), requires_grad=True)
    assert (x.var().item(), x.std().item()) == pytest.approx((a.var(), a.std()), rel=1e-2)
    x.std().backward()
    np.testing.assert_allclose(x.grad, (a - a.mean()) / a.std() / 70_000, rtol=0.1, atol=1e-6)


@pytest.mark.parametrize(
    ("op", "shapes"),
    [
        (lambda x, b: x + b, [(5_000, 2), (2,)]),
        (lambda x, b: tg.linear(x, np.eye(2, dtype=np.float16), b), [(5_000, 2), (2,)]),
        (lambda x, b: tg.conv2d(x.reshape(50, 2, 10, 10), np.ones((2, 2, 1, 1), np.float16), b), [(10_000,), (2,)]),
        (lambda x, b: x + tg.broadcast_to(b, (5_000, 2)), [(5_000, 2), (2,)]),
        (lambda x, b: x + tg.tile(b, (5_000, 1)), [(5_000, 2), (2,)]),
        (lambda x, b: x + tg.take(b.reshape(1, 2), np.zeros(5_000, int), axis=0), [(5_000, 2), (2,)]),
        (lambda x, b: x + b.reshape(1, 2)[np.zeros(5_000, int)], [(5_000, 2), (2,)]),
        (lambda x, b: x + tg.repeat(b.reshape(1, 2), 5_000, axis=0), [(5_000, 2), (2,)]),
    ],
)  # fmt: skip
def test_the_gradient_of_a_float16_bias_counts_every_example(op, shapes):
    x, bias = (half(*shape) for shape in shapes)
    op(x, bias).backward(np.ones(op(x, bias).shape))
    np.testing.assert_array_equal(bias.grad, [5_000, 5_000])  # it stopped at 2,048


def test_float16_softmax_over_a_long_axis_sums_to_one():
    x = half(4_096, 3, fill=0.0)
    y = tg.softmax(x, axis=0)
    assert y.dtype == np.float16
    np.testing.assert_allclose(y.numpy().astype(float).sum(0), 1.0, rtol=1e-3)
    np.testing.assert_allclose(tg.log_softmax(x, axis=0).numpy(), -np.log(4_096), rtol=1e-3)


def test_float16_cross_entropy_over_many_classes_and_examples():
    x = half(3_000, 4_096, fill=0.0)
    labels = np.zeros(3_000, int)
    loss = tg.softmax_cross_entropy(x, labels)
    assert (loss.dtype, loss.item()) == (np.float16, pytest.approx(np.log(4_096), rel=1e-3))
    for options in ({"label_smoothing": 0.1}, {"weight": np.ones(4_096)}, {"ignore_index": 1}):
        loss = tg.softmax_cross_entropy(x, labels, **options)
        assert (loss.dtype, loss.item()) == (np.float16, pytest.approx(np.log(4_096), rel=1e-3))
    uniform = Tensor(np.full((3, 4_096), 1 / 4_096, np.float16))
    loss = tg.softmax_cross_entropy(x[:3], uniform, reduction="none")
    np.testing.assert_allclose(loss.numpy(), np.log(4_096), rtol=1e-3)


@pytest.mark.parametrize("running", [np.float16, np.float32])
def test_float16_batch_norm_keeps_finite_statistics(running, rng):
    x = Tensor((300 * rng.standard_normal((5_000, 2))).astype(np.float16), requires_grad=True)
    mean, var = np.zeros(2, running), np.ones(2, running)
    y = tg.batch_norm(x, mean, var, training=True, momentum=1.0)
    assert y.dtype == np.float16
    np.testing.assert_allclose(y.numpy().astype(float).std(0), 1, rtol=1e-2)
    largest = 65_504 if running == np.float16 else np.inf  # the largest number of float16
    np.testing.assert_allclose(var, np.minimum(x.numpy().astype(float).var(0), largest), rtol=1e-2)
    y = tg.batch_norm(x, mean, var)
    assert y.dtype == np.float16
    assert np.isfinite(y.numpy()).all()
    (y * y).sum().backward()
    assert np.isfinite(x.grad).all()


def test_float16_layers(rng):
    layer = nn.LayerNorm(5_000).astype(np.float16)
    x = Tensor((100 * rng.standard_normal((2, 5_000))).astype(np.float16))
    y = layer(x)
    assert y.dtype == np.float16
    np.testing.assert_allclose(y.numpy().astype(float).std(1), 1, rtol=1e-2)
    q = Tensor(np.zeros((1, 2), np.float16))
    y = tg.scaled_dot_product_attention(q, half(5_000, 2), half(5_000, 2))
    assert (y.dtype, y.numpy().tolist()) == (np.float16, [[1.0, 1.0]])


def test_float16_beside_float32_is_float32():
    x = half(4, 3)
    weight = Tensor(np.ones(3, np.float32), requires_grad=True)
    y = tg.layer_norm(x, 3, weight)
    assert y.dtype == np.float32
    assert tg.einsum("ij,j->i", x, weight).dtype == np.float32
    assert tg.mse(x, Tensor(np.ones((4, 3), np.float32))).dtype == np.float32
    y.sum().backward()
    assert (x.grad.dtype, weight.grad.dtype) == (np.float16, np.float32)


def test_float16_is_as_exact_as_its_digits_allow(rng):
    x = rng.standard_normal(200).astype(np.float16)
    for op in (tg.erf, tg.gelu, lambda t: tg.gelu(t, "tanh"), tg.softmax, tg.log_softmax):
        exact = op(x.astype(np.float64)).numpy()
        np.testing.assert_array_equal(op(x).numpy(), exact.astype(np.float16))


def test_second_derivatives_of_float16():
    x = np.full(70_000, 0.5, np.float16)
    bend = tg.hvp(lambda t: (t * t).mean() * 1e3, x, np.ones(70_000, np.float16))
    assert bend.dtype == np.float16
    np.testing.assert_allclose(bend, 2e3 / 70_000, rtol=1e-2)
