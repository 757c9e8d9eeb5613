"""Optimizers and schedules: PyTorch's trajectories, state, errors."""

import json

import numpy as np
import pytest
from helpers import ROOT

import tinygrad_mnist as tg
from tinygrad_mnist import GraphError, Tensor, nn, optim

RECORDED = json.loads((ROOT / "tests/recorded/torch.json").read_text())


def start():
    rng = np.random.default_rng(0)
    params = [Tensor(rng.standard_normal(s), requires_grad=True) for s in ((3, 2), (2,))]
    return params, rng.standard_normal((4, 3))


def loss(params, x):
    w, b = params
    return (x @ w + b).tanh().square().sum() + 0.1 * (w**4).sum()


def options_of(options):
    return {k: tuple(v) if isinstance(v, list) else v for k, v in options.items()}


@pytest.mark.parametrize(("kind", "options", "expected"), RECORDED["optimizers"])
def test_a_hundred_steps_are_pytorchs(kind, options, expected):
    params, x = start()
    optimizer = getattr(optim, kind)(params, **options_of(options))
    for i in range(100):
        optimizer.zero_grad()
        loss(params, x).backward()
        gradients = [p.grad.copy() for p in params]
        optimizer.step()
        for p, g in zip(params, gradients, strict=True):
            np.testing.assert_array_equal(p.grad, g, "a step never modifies a gradient")
        if i % 10 == 9:
            np.testing.assert_allclose(
                np.concatenate([p.data.ravel() for p in params]), expected[i // 10], rtol=1e-6, atol=1e-9
            )


@pytest.mark.parametrize("kind", RECORDED["schedules"])
def test_learning_rates_are_pytorchs(kind):
    options, expected = RECORDED["schedules"][kind]
    optimizer = optim.SGD([Tensor(0.0, requires_grad=True)], lr=0.1)
    schedule = getattr(optim, kind)(optimizer, **options)
    found = [optimizer.lr]
    for _ in range(100):
        schedule.step()
        found.append(optimizer.lr)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-12)


def test_cosine_and_onecycle_stay_at_their_end():
    for make in (lambda o: optim.CosineLR(o, 3, 0.01), lambda o: optim.OneCycleLR(o, 1.0, 3)):
        optimizer = optim.SGD([Tensor(0.0, requires_grad=True)], lr=0.1)
        schedule = make(optimizer)
        for _ in range(4):
            schedule.step()
        end = optimizer.lr
        schedule.step()
        assert optimizer.lr == end


@pytest.mark.parametrize("kind", ["SGD", "Adam", "AdamW", "RMSprop"])
def test_large_and_strided_and_scalar_parameters_step_like_small_ones(kind, rng):
    values = rng.standard_normal((300, 200))
    whole = Tensor(values, requires_grad=True)
    strided = tg.from_numpy(values.copy().T, requires_grad=True)
    scalar = Tensor(values[0, 0], requires_grad=True)
    optimizer = getattr(optim, kind)([whole, strided, scalar], lr=0.1, weight_decay=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        (whole.sin().sum() + strided.sin().sum() + scalar.sin()).backward()
        optimizer.step()
    np.testing.assert_array_equal(whole.data, strided.data.T)
    assert scalar.item() == whole.data[0, 0]


@pytest.mark.parametrize(
    "make", [lambda p: optim.SGD(p, 0.1, momentum=0.9), lambda p: optim.Adam(p, 0.1), lambda p: optim.RMSprop(p)]
)
def test_state_goes_on_bit_for_bit(make):
    (params, x), (others, _) = start(), start()
    one, two = make(params), make(others)
    for _ in range(5):
        one.zero_grad()
        loss(params, x).backward()
        one.step()
    one.lr = 0.033
    for p, q in zip(params, others, strict=True):
        q.data = p.data
    two.load_state_dict(
        json.loads(json.dumps({k: v for k, v in one.state_dict().items() if k != "arrays"}))
        | {"arrays": one.state_dict()["arrays"]}
    )
    for optimizer, these in ((one, params), (two, others)):
        for _ in range(5):
            optimizer.zero_grad()
            loss(these, x).backward()
            optimizer.step()
    for p, q in zip(params, others, strict=True):
        assert p.data.tobytes() == q.data.tobytes()


def test_frozen_parameters_and_those_without_a_gradient_are_skipped():
    a, b = Tensor(1.0, requires_grad=True), Tensor(1.0, requires_grad=True)
    optimizer = optim.SGD([a, b], 0.1, weight_decay=0.5)
    a.backward()
    b.requires_grad = False
    optimizer.step()
    assert (a.item(), b.item()) == (pytest.approx(0.85), 1.0)


def test_a_parameter_given_twice_counts_once():
    a = Tensor(1.0, requires_grad=True)
    optimizer = optim.SGD([a, a], 0.1)
    a.backward()
    optimizer.step()
    assert a.item() == pytest.approx(0.9)


P = [Tensor(1.0, requires_grad=True)]


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: optim.SGD([]), ValueError, "at least one parameter"),
        (lambda: optim.SGD(nn.Linear(2, 2)), TypeError, r"model.parameters\(\)"),
        (lambda: optim.SGD([np.ones(2)]), TypeError, "ndarray"),
        (lambda: optim.SGD(P[0]), TypeError, "Tensor"),
        (lambda: optim.SGD(P, -0.1), ValueError, "lr .*-0.1"),
        (lambda: optim.SGD(P, float("nan")), ValueError, "lr"),
        (lambda: optim.SGD(P, "fast"), TypeError, "lr"),
        (lambda: optim.SGD(P, momentum=1.0), ValueError, r"momentum in \[0, 1\)"),
        (lambda: optim.SGD(P, momentum=-0.1), ValueError, "momentum"),
        (lambda: optim.SGD(P, nesterov=True), ValueError, "nesterov"),
        (lambda: optim.SGD(P, weight_decay=-1), ValueError, "weight_decay"),
        (lambda: optim.Adam(P, betas=(0.9, 1.0)), ValueError, "betas"),
        (lambda: optim.Adam(P, eps=-1), ValueError, "eps"),
        (lambda: optim.RMSprop(P, alpha=1.5), ValueError, "alpha"),
        (lambda: optim.StepLR(optim.SGD(P), 0), ValueError, "step_size"),
        (lambda: optim.StepLR(optim.SGD(P), 5, -1), ValueError, "gamma"),
        (lambda: optim.CosineLR(optim.SGD(P), 0), ValueError, "total_steps"),
        (lambda: optim.CosineLR(optim.SGD(P), 5, -1), ValueError, "min_lr"),
        (lambda: optim.OneCycleLR(optim.SGD(P), 1.0, 0), ValueError, "total_steps"),
        (lambda: optim.OneCycleLR(optim.SGD(P), -1.0, 5), ValueError, "max_lr"),
        (lambda: optim.OneCycleLR(optim.SGD(P), 1.0, 5, pct_start=1.5), ValueError, "pct_start"),
        (lambda: optim.SGD([Tensor(1.0, requires_grad=True)]).step(), GraphError, "call backward first"),
        (lambda: optim.clip_grad_norm(P, -1), ValueError, "max_norm"),
        (lambda: optim.SGD(P).load_state_dict(optim.Adam(P).state_dict()), ValueError, "unexpected hyper-parameter betas"),
    ],
)
def test_errors(make, error, words):
    with pytest.raises(error, match=words):
        make()


def test_a_state_of_another_shape_changes_nothing():
    a, b = Tensor([1.0, 2.0], requires_grad=True), Tensor([1.0], requires_grad=True)
    one, two = optim.Adam([a]), optim.Adam([b], lr=0.5)
    a.sum().backward()
    one.step()
    with pytest.raises(ValueError, match=r"0.mean float32\[2\], expected float32\[1\]"):
        two.load_state_dict(one.state_dict())
    assert two.lr == 0.5


def test_clip_grad_norm_scales_all_gradients_by_one_factor():
    a, b = Tensor([3.0], requires_grad=True), Tensor([0.0], requires_grad=True)
    (a * 3 + b * 4).sum().backward()
    assert optim.clip_grad_norm([a, b], 1.0) == pytest.approx(5)
    np.testing.assert_allclose([a.grad[0], b.grad[0]], [0.6, 0.8], rtol=1e-5)
    assert optim.clip_grad_norm([a, b], 10.0) == pytest.approx(1)
    np.testing.assert_allclose([a.grad[0], b.grad[0]], [0.6, 0.8], rtol=1e-5)
