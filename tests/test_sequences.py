"""Layers for sequences against PyTorch's recorded figures: Embedding, GRU, LSTM, attention."""

import json

import numpy as np
import pytest
from helpers import ROOT

import tinygrad_mnist as tg
from tinygrad_mnist import ShapeError, Tensor, nn, optim
from tinygrad_mnist.ops import recurrent
from tinygrad_mnist.testing import gradcheck

RECORDED = json.loads((ROOT / "tests" / "recorded" / "torch_layers.json").read_text())
SIZES = {"GRU": (3, 4), "LSTM": (3, 4), "MultiheadAttention": (6, 2)}


def in_tuple(y):
    return tuple(part for p in y for part in in_tuple(p)) if isinstance(y, tuple) else (y,)


@pytest.mark.parametrize("name", RECORDED)
def test_a_layer_loads_pytorchs_state_and_gives_its_outputs_and_gradients(name):
    case = RECORDED[name]
    layer = getattr(nn, case["kind"])(*SIZES[case["kind"]], **case["options"], rng=0)
    state = {key: np.array(value, np.float32) for key, value in case["state"].items()}
    layer.load_state_dict(state)
    assert layer.state_dict().keys() == state.keys()
    inputs = [Tensor(np.array(x, np.float32), requires_grad=True) for x in case["inputs"]]
    call = {}
    if case["kind"] == "MultiheadAttention":
        mask = None if case["mask"] is None else np.array(case["mask"])
        call = {"causal": case["causal"], "mask": mask}
    outputs = in_tuple(layer(*inputs, **call))
    for y, expected in zip(outputs, case["outputs"], strict=True):
        np.testing.assert_allclose(y.numpy(), expected, atol=1e-5)
    total = outputs[0].square().sum()
    for y in outputs[1:]:
        total = total + y.square().sum()
    total.backward()
    for x, expected in zip(inputs, case["slopes"], strict=True):
        np.testing.assert_allclose(x.grad, expected, atol=1e-4)
    for key, parameter in layer.named_parameters():
        np.testing.assert_allclose(parameter.grad, case["parameter_slopes"][key], atol=1e-4)


@pytest.mark.parametrize("kind", [nn.GRU, nn.LSTM])
def test_a_recurrent_layer_goes_on_from_its_last_state(kind, rng):
    layer = kind(3, 4, rng=0)
    x = Tensor(rng.standard_normal((6, 2, 3)).astype(np.float32))
    whole, last = layer(x)
    first, state = layer(x[:4])
    second, end = layer(x[4:], state)
    np.testing.assert_allclose(
        np.concatenate([first.numpy(), second.numpy()]), whole.numpy(), rtol=1e-5
    )
    for a, b in zip(in_tuple(end), in_tuple(last), strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5)


@pytest.mark.parametrize(
    "layer",
    [nn.GRU(2, 3, rng=0), nn.LSTM(2, 3, rng=0, bidirectional=True), nn.GRU(2, 2, 2, rng=1)],
)
def test_recurrent_gradients_to_second_order(layer, rng):
    gradcheck(lambda x: layer(x)[0], rng.standard_normal((3, 2, 2)), order=2, fast=True)


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", ["gru", "lstm"])
def test_a_sweep_is_right_to_second_order_in_all_that_it_is_given(kind, bias, backward, rng):
    """With different steps, weights and states, so that a mistake in the order of steps shows."""
    gates, sweep = (3, recurrent.gru) if kind == "gru" else (4, recurrent.lstm)
    shapes = [(3, 2, gates * 2), (2, 2), *[(2, 2)] * (kind == "lstm"), (gates * 2, 2)]
    if bias:
        shapes.append((gates * 2,))
    inputs = [rng.standard_normal(shape) for shape in shapes]

    def f(*inputs):
        return sweep(*inputs, *([] if bias else [None]), backward=backward)

    gradcheck(f, *inputs)
    gradcheck(f, *inputs, order=2, fast=True)


@pytest.mark.parametrize("kind", [nn.GRU, nn.LSTM])
def test_a_recurrent_layer_keeps_float16_and_computes_in_float32(kind, rng):
    layer = kind(3, 4, rng=0)
    x = rng.standard_normal((30, 2, 3)).astype(np.float16)
    expected = layer(Tensor(x.astype(np.float32)))[0].numpy()
    y = layer.astype(np.float16)(Tensor(x))[0]
    assert y.dtype == np.float16
    np.testing.assert_allclose(y.numpy(), expected, atol=5e-3)


def test_dropout_lies_between_recurrent_layers_in_training_only():
    layer = nn.GRU(2, 3, num_layers=2, dropout=0.5, rng=0)
    x = Tensor(np.ones((4, 2, 2), np.float32))
    assert not np.array_equal(layer(x)[0].numpy(), layer(x)[0].numpy())
    layer.eval()
    np.testing.assert_array_equal(layer(x)[0].numpy(), layer(x)[0].numpy())


def test_an_embedding_looks_rows_up_and_adds_their_gradients():
    table = nn.Embedding(4, 2, rng=0)
    y = table(np.array([[0, 3], [3, 3]]))
    np.testing.assert_array_equal(y.numpy()[0, 1], table.weight.data[3])
    y.sum().backward()
    np.testing.assert_array_equal(table.weight.grad, [[1, 1], [0, 0], [0, 0], [3, 3]])
    with pytest.raises(IndexError):
        table([4])
    with pytest.raises(TypeError, match="integers"):
        table(np.array([0.5]))


def test_the_padding_row_of_an_embedding_is_zero_and_stays():
    table = nn.Embedding(4, 2, padding_idx=-3, rng=0)
    y = table([0, 1, 1])
    np.testing.assert_array_equal(y.numpy()[1:], 0)
    y.sum().backward()
    np.testing.assert_array_equal(table.weight.grad[1], 0)
    np.testing.assert_array_equal(table.weight.grad[0], 1)


def test_attention_sees_only_what_its_mask_allows(rng):
    layer = nn.MultiheadAttention(6, 3, batch_first=True, rng=0)
    x = rng.standard_normal((2, 4, 6)).astype(np.float32)
    changed = x.copy()
    changed[:, 3] += 1.0
    before, after = (
        layer(Tensor(a), Tensor(a), Tensor(a), causal=True).numpy() for a in (x, changed)
    )
    np.testing.assert_allclose(before[:, :3], after[:, :3], rtol=1e-5)
    assert not np.allclose(before[:, 3], after[:, 3])
    per_example = np.ones((2, 4, 4), bool)
    per_example[0, :, 3] = False
    t = Tensor(x)
    y = layer(t, t, t, mask=per_example).numpy()
    np.testing.assert_allclose(y[1], layer(t, t, t).numpy()[1], rtol=1e-5)
    assert not np.allclose(y[0], layer(t, t, t).numpy()[0])


def test_attention_with_dropout_keeps_the_mask_and_is_random_in_training():
    layer = nn.MultiheadAttention(4, 2, dropout=0.5, batch_first=True, rng=0)
    x = Tensor(np.ones((1, 5, 4), np.float32))
    nowhere = np.zeros((5, 5), bool)
    bias = layer.out_proj.bias.data
    np.testing.assert_allclose(
        layer(x, x, x, mask=nowhere).numpy(), np.broadcast_to(bias, (1, 5, 4))
    )
    assert not np.array_equal(layer(x, x, x).numpy(), layer(x, x, x).numpy())
    layer.eval()
    np.testing.assert_array_equal(layer(x, x, x).numpy(), layer(x, x, x).numpy())


X = Tensor(np.ones((2, 4, 6), np.float32))


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: nn.MultiheadAttention(6, 4), ValueError, "num_heads to divide embed_dim, got 4 and 6"),
        (lambda: nn.MultiheadAttention(6, 2)(X, X, X, attn_mask=None), TypeError, "true where a query may NOT look"),
        (lambda: nn.MultiheadAttention(6, 2)(X, X, X, key_padding_mask=None), TypeError, "key_padding_mask is refused"),
        (lambda: nn.MultiheadAttention(6, 2)(X, X, X, need_weights=True), TypeError, "need_weights"),
        (lambda: nn.MultiheadAttention(8, 2)(X, X, X), ShapeError, r"\(N, L, 8\)"),
        (lambda: nn.MultiheadAttention(6, 2)(X, X, X, mask=np.ones((2, 2))), TypeError, "bools"),
        (lambda: nn.MultiheadAttention(6, 2)(X, X, X, mask=np.ones((3, 3), bool)), ShapeError, "mask of shape"),
        (lambda: nn.GRU(3, 4)(X), ShapeError, r"\(L, N, 3\) or \(L, 3\).*got \(2, 4, 6\)"),
        (lambda: nn.GRU(6, 4)(X, Tensor(np.ones((1, 2, 4)))), ShapeError, r"\(1, 4, 4\), got \(1, 2, 4\)"),
        (lambda: nn.LSTM(6, 4)(X, Tensor(np.ones((1, 4, 4)))), TypeError, r"pair \(h, c\)"),
        (lambda: nn.GRU(0, 4), ValueError, "input_size of at least 1"),
        (lambda: nn.LSTM(2, 4, dropout=1.0), ValueError, r"\[0, 1\)"),
        (lambda: nn.Embedding(3, 2, padding_idx=3), ValueError, "below 3"),
        (lambda: nn.Conv2d(4, 6, 3, groups=4), ValueError, "groups to divide"),
    ],
)  # fmt: skip
def test_wrong_calls_of_sequence_layers(call, error, words):
    with pytest.raises(error, match=words):
        call()


@pytest.mark.parametrize(
    ("layer", "op", "shape"),
    [
        (nn.Conv1d(2, 4, 3, padding=1, dilation=2, groups=2, rng=0), tg.conv1d, (2, 2, 7)),
        (nn.Conv2d(2, 4, 3, padding=1, dilation=2, groups=2, rng=0), tg.conv2d, (2, 2, 7, 6)),
    ],
)
def test_convolution_layers_pass_their_settings_on(layer, op, shape, rng):
    x = Tensor(rng.standard_normal(shape).astype(np.float32))
    expected = op(x, layer.weight, layer.bias, padding=1, dilation=2, groups=2)
    np.testing.assert_array_equal(layer(x).numpy(), expected.numpy())
    assert layer.weight.shape[:2] == (4, 1)


@pytest.mark.parametrize(
    ("layer", "op"),
    [
        (nn.ELU(0.5), lambda x: tg.elu(x, 0.5)), (nn.SiLU(), tg.silu), (nn.Softplus(), tg.softplus),
        (nn.Softmax(0), lambda x: tg.softmax(x, axis=0)), (nn.Identity(), lambda x: x),
        (nn.GELU("tanh"), lambda x: tg.gelu(x, "tanh")), (nn.GELU(), tg.gelu),
    ],
)  # fmt: skip
def test_layers_without_parameters(layer, op, rng):
    x = Tensor(rng.standard_normal((3, 4)).astype(np.float32))
    np.testing.assert_array_equal(layer(x).numpy(), op(x).numpy())
    assert not list(layer.parameters())


def test_a_small_transformer_learns_to_copy(rng):
    class Copier(nn.Module):
        def __init__(self):
            self.embed = nn.Embedding(5, 16, rng=0)
            self.place = nn.Embedding(8, 16, rng=1)
            self.attend = nn.MultiheadAttention(16, 2, batch_first=True, rng=2)
            self.norm = nn.LayerNorm(16)
            self.out = nn.Linear(16, 5, rng=3)

        def forward(self, tokens):
            x = self.embed(tokens) + self.place(np.arange(tokens.shape[1]))
            y = self.norm(x)
            return self.out(x + self.attend(y, y, y))

    model, tokens = Copier(), rng.integers(0, 5, (16, 8))
    optimizer = optim.Adam(model.parameters(), 0.01)
    shifted = np.roll(tokens, 1, axis=1)  # each place is to name the token before it
    for _ in range(60):
        loss = tg.softmax_cross_entropy(model(tokens), shifted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.3
