"""Operations and layers against PyTorch's recorded figures: values, gradients, second derivatives."""

import json

import numpy as np
import pytest
from helpers import ROOT

import tinygrad_mnist as tg
from tinygrad_mnist import Tensor, nn

RECORDED = json.loads((ROOT / "tests/recorded/torch_operations.json").read_text())["operations"]
CASES = [pytest.param(row, id=f"{row['name']}-{i}") for i, row in enumerate(RECORDED)]


def call(row, *inputs):
    """Our operation; the fourth input of attention is a mask of numbers."""
    options = dict(row["options"])
    if row["name"] == "scaled_dot_product_attention" and len(inputs) == 4:
        *inputs, options["mask"] = inputs
    return getattr(tg, row["name"])(*inputs, **options)


def arrays(row, key):
    return [np.array(a) for a in row[key]]


@pytest.mark.parametrize("row", CASES)
def test_value_and_gradients_are_pytorchs(row):
    leaves = [Tensor(x, requires_grad=True) for x in arrays(row, "inputs")]
    y = call(row, *leaves)
    np.testing.assert_allclose(y.numpy(), row["y"], rtol=1e-11, atol=1e-12)
    y.backward(np.array(row["cotangent"]))
    for leaf, expected in zip(leaves, arrays(row, "first"), strict=True):
        np.testing.assert_allclose(leaf.grad, expected, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("row", CASES)
def test_second_derivatives_are_pytorchs(row):
    inputs, directions = arrays(row, "inputs"), arrays(row, "directions")
    everything = tuple(range(len(inputs)))

    def slope_along_directions(*xs):
        first = tg.grad(lambda *ys: (call(row, *ys) * np.array(row["cotangent"])).sum(), everything)
        products = [(g * d).sum() for g, d in zip(first(*xs), directions, strict=True)]
        return sum(products[1:], products[0])

    found = tg.grad(slope_along_directions, everything)(*inputs)
    for second, expected in zip(found, arrays(row, "second"), strict=True):
        np.testing.assert_allclose(second, expected, rtol=1e-9, atol=1e-11)


LAYERS = json.loads((ROOT / "tests/recorded/torch_plain_layers.json").read_text())


@pytest.mark.parametrize(
    "row", [pytest.param(row, id=f"{row['kind']}-{i}") for i, row in enumerate(LAYERS)]
)
def test_a_layer_with_pytorchs_state_gives_its_outputs_gradients_and_statistics(row):
    arguments = [tuple(a) if isinstance(a, list) else a for a in row["arguments"]]
    options = {k: tuple(v) if isinstance(v, list) else v for k, v in row["options"].items()}
    layer = getattr(nn, row["kind"])(*arguments, **options).astype(np.float64)
    layer.train(row["training"])
    assert layer.state_dict().keys() == row["state"].keys()
    layer.load_state_dict({name: np.array(a) for name, a in row["state"].items()})
    is_differentiable = row["slope"] is not None
    x = Tensor(np.array(row["x"]), requires_grad=is_differentiable)
    y = layer(x)
    close = {"rtol": 1e-11, "atol": 1e-12}
    np.testing.assert_allclose(y.numpy(), row["y"], **close)
    (y * y).sum().backward()
    if is_differentiable:
        np.testing.assert_allclose(x.grad, row["slope"], **close)
    for name, p in layer.named_parameters():
        np.testing.assert_allclose(p.grad, row["parameter_slopes"][name], err_msg=name, **close)
    after = layer.state_dict()
    for name, expected in row["after"].items():
        np.testing.assert_allclose(after[name], expected, err_msg=name, **close)


def test_every_layer_is_recorded():
    layers = {name for name in dir(nn) if isinstance(getattr(nn, name), type)}
    over_time = {"GRU", "LSTM", "MultiheadAttention"}  # in test_sequences.py
    recorded = {row["kind"] for row in LAYERS} | over_time | {"Module", "Sequential"}
    assert layers == recorded
