"""Operations against PyTorch's recorded figures: values, gradients and second derivatives."""

import json

import numpy as np
import pytest
from helpers import ROOT

import tinygrad_mnist as tg
from tinygrad_mnist import Tensor

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
