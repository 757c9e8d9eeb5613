"""Names of PyTorch and TensorFlow: an error that gives ours, and nothing that hides a signature."""

import copy
import inspect
import pickle
import re

import numpy as np
import pytest

import tinygrad_mnist as tg
from tinygrad_mnist import Tensor
from tinygrad_mnist.ops import OPS
from tinygrad_mnist.ops.foreign import FUNCTIONS, METHODS

T = Tensor(np.ones((2, 3)), requires_grad=True)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: T.view(3, 2), r"'Tensor' object has no attribute 'view'; use t.reshape\(shape\)"),
        (lambda: T.unsqueeze(0), r"use t.expand_dims\(axis\)"),
        (lambda: T.permute(1, 0), r"use t.transpose\(axes\)"),
        (lambda: T.clamp(0, 1), r"use t.clip\(low, high\)"),
        (lambda: T.numel(), "use t.size"),
        (lambda: T.split(2), r"use tinygrad_mnist.split\(t, sections, axis\), which counts parts"),
        (lambda: T.to("cpu"), r"use t.astype\(dtype\)"),
        (lambda: T.add_(1), "none works in place"),
        (lambda: tg.cat([T, T]), r"has no attribute 'cat'; use concatenate\(tensors, axis\)"),
        (lambda: tg.cross_entropy(T, [0, 1]), r"use softmax_cross_entropy\(logits, labels\)"),
        (lambda: tg.reduce_sum(T), r"use sum\(x, axis\)"),
        (lambda: tg.zeros((2, 3)), r"use Tensor\(np.zeros\(shape, np.float32\)\)"),
        (lambda: T.viewpoint, "'Tensor' object has no attribute 'viewpoint'$"),
        (lambda: tg.catalogue, "module 'tinygrad_mnist' has no attribute 'catalogue'$"),
    ],
)
def test_a_foreign_name_gives_ours(call, words):
    with pytest.raises(AttributeError, match=words):
        call()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: T.sum(dim=1), "sum has no argument 'dim'; use axis"),
        (lambda: T.mean(1, keepdim=True), "mean has no argument 'keepdim'; use keepdims"),
        (lambda: tg.var(T, unbiased=False), "var has no argument 'unbiased'; use ddof"),
        (lambda: tg.std(T, correction=1), "use ddof"),
        (lambda: tg.max(T, dim=0), "max has no argument 'dim'; use axis"),
        (lambda: tg.min(T, dim=0), "min has no argument 'dim'; use axis"),
        (lambda: tg.prod(T, dim=0), "prod has no argument 'dim'; use axis"),
        (lambda: tg.norm(T, dim=0), "norm has no argument 'dim'; use axis"),
        (lambda: tg.logsumexp(T, dim=0), "logsumexp has no argument 'dim'; use axis"),
        (lambda: tg.cumsum(T, dim=0), "cumsum has no argument 'dim'; use axis"),
        (lambda: tg.cumprod(T, dim=0), "cumprod has no argument 'dim'; use axis"),
        (lambda: T.softmax(dim=-1), "softmax has no argument 'dim'; use axis"),
        (lambda: tg.log_softmax(T, dim=-1), "log_softmax has no argument 'dim'; use axis"),
        (lambda: tg.concatenate([T, T], dim=0), "concatenate has no argument 'dim'; use axis"),
        (lambda: tg.stack([T, T], dim=0), "stack has no argument 'dim'; use axis"),
        (lambda: tg.split(T, 2, dim=0), "split has no argument 'dim'; use axis"),
        (lambda: T.squeeze(dim=0), "squeeze has no argument 'dim'; use axis"),
        (lambda: T.expand_dims(dim=0, axis=0), "expand_dims has no argument 'dim'; use axis"),
        (lambda: T.flip(dims=(0,)), "flip has no argument 'dims'; use axis"),
        (lambda: T.roll(1, dims=0), "roll has no argument 'dims'; use axis"),
        (lambda: T.sort(dim=0), "sort has no argument 'dim'; use axis"),
        (lambda: T.repeat(2, dim=0), "repeat has no argument 'dim'; use axis"),
        (lambda: T.take([0], dim=0), "take has no argument 'dim'; use axis"),
        (lambda: T.take_along_axis([[0]], dim=0), "take_along_axis has no argument 'dim'; use axis"),
        (lambda: T.swapaxes(0, 1, dim0=0), "swapaxes has no argument 'dim0'; use axis1"),
        (lambda: T.sum(axes=1), "sum has no argument 'axes'$"),
        (lambda: np.sum(T, dtype=float), r"np.sum on a Tensor: sum .* 'dtype'; use x.astype\(dtype\)"),
    ],
)  # fmt: skip
def test_a_foreign_keyword_gives_ours(call, words):
    with pytest.raises(TypeError, match=words):
        call()


def test_every_foreign_name_is_missing_and_every_advice_leads_somewhere():
    for name, advice in METHODS.items():
        assert not hasattr(T, name), name
        for ours in re.findall(r"\bt\.([a-zA-Z_]+)", advice):
            assert hasattr(T, ours), f"{name}: {advice}"
        for ours in re.findall(r"tinygrad_mnist\.(\w+)", advice):
            assert hasattr(tg, ours), f"{name}: {advice}"
        for ours in re.findall(r"np\.(\w+)\(t", advice):
            getattr(np, ours)(T)
    for name, advice in FUNCTIONS.items():
        assert not hasattr(tg, name), name
        ours = re.match(r"[a-zA-Z_]\w*", advice)
        assert not ours or ours[0] in ("rng", "np", "list") or hasattr(tg, ours[0]), advice


def test_signatures_are_those_of_the_functions():
    assert list(inspect.signature(tg.sum).parameters)[:3] == ["x", "axis", "keepdims"]
    for name, op in OPS.items():
        assert inspect.isfunction(op)
        assert not hasattr(op, "__wrapped__")
        parameters = inspect.signature(op).parameters
        assert not {"dim", "keepdim", "dims"} & set(parameters), name
        assert "axis" not in parameters or "foreign" in parameters, name


def test_python_still_finds_its_own_protocols():
    plain = Tensor([1.0, 2.0])
    assert not hasattr(plain, "__len_hint__")
    assert getattr(plain, "shape_", None) is None
    for clone in (copy.copy(plain), copy.deepcopy(plain), pickle.loads(pickle.dumps(plain))):
        np.testing.assert_array_equal(clone.numpy(), plain.numpy())
    assert "view" not in dir(plain)
