"""Optimizers: PyTorch's trajectories, state, errors."""

import copy
import json
import pickle
import tracemalloc

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


@pytest.mark.parametrize(
    ("kind", "options", "expected", "every"),
    [(*row, 1) for row in RECORDED["optimizers"]] + [(*row, 3) for row in RECORDED["intermittent"]],
)
def test_a_hundred_steps_are_pytorchs(kind, options, expected, every):
    params, x = start()
    optimizer = getattr(optim, kind)(params, **options_of(options))
    for i in range(100):
        optimizer.zero_grad()
        loss(params, x).backward()
        if i % every:
            params[1].grad = None  # skipped, and its own steps alone count for it
        gradients = [p.grad if p.grad is None else p.grad.copy() for p in params]
        optimizer.step()
        for p, g in zip(params, gradients, strict=True):
            np.testing.assert_array_equal(p.grad, g, "a step never modifies a gradient")
        if i % 10 == 9:
            found = np.concatenate([p.data.ravel() for p in params])
            np.testing.assert_allclose(found, expected[i // 10], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(("max_norm", "last", "norm", "expected"), RECORDED["clipped"])
def test_clipped_gradients_are_pytorchs(max_norm, last, norm, expected):
    params, x = start()
    loss(params, x).backward()
    if last is not None:
        params[1].grad[1] = last
    np.testing.assert_allclose(optim.clip_grad_norm(params, max_norm), norm, rtol=1e-12)
    np.testing.assert_allclose(
        np.concatenate([p.grad.ravel() for p in params]), expected, rtol=1e-12
    )


class SignSGD(optim.Optimizer):
    """What a user writes: an optimizer with a slot."""

    slots = ("mean",)

    def __init__(self, params, lr, beta):
        super().__init__(params, lr, beta=beta)

    def _update(self, w, g, state):
        mean = state["mean"]
        mean[...] = self.beta * mean + (1 - self.beta) * g
        w -= self.lr * np.sign(mean)


def test_an_optimizer_of_ones_own():
    w = Tensor([1.0, -1.0], requires_grad=True)
    optimizer = SignSGD([w], lr=0.25, beta=0.5)
    w.square().sum().backward()
    optimizer.step()
    np.testing.assert_array_equal(w.data, [0.75, -0.75])
    other = SignSGD([w], lr=1, beta=0)
    other.load_state_dict(optimizer.state_dict())
    assert (other.lr, other.beta) == (0.25, 0.5)


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


@pytest.mark.parametrize("options", RECORDED["optimizers"], ids=lambda row: row[0])
def test_a_step_allocates_nothing(options, rng):
    kind, options, _ = options
    w = Tensor(rng.standard_normal((200, 200)), requires_grad=True)
    optimizer = getattr(optim, kind)([w], **options_of(options))
    w.grad = rng.standard_normal(w.shape)
    optimizer.step()
    tracemalloc.start()
    try:
        optimizer.step()
        assert tracemalloc.get_traced_memory()[1] < w.data.nbytes / 10
    finally:
        tracemalloc.stop()


def test_hyperparameters_are_attributes_to_assign_to():
    w = Tensor([1.0], requires_grad=True)
    optimizer = optim.SGD([w], lr=1.0)
    w.grad = np.ones(1)
    optimizer.step()
    optimizer.momentum = 0.5  # from now on
    optimizer.step()
    optimizer.step()
    np.testing.assert_array_equal(w.data, [1 - 1 - 1 - 1.5])
    optimizer.lr = np.float64(0.1)
    assert (
        type(optimizer.lr) is float
    )  # NumPy's own would compute a float32 step in float64, until a checkpoint's reload
    with pytest.raises(ValueError, match=r"SGD: expected lr in \[0, inf\), got nan"):
        optimizer.lr = float("nan")
    with pytest.raises(TypeError, match="Adam: expected each of betas to be a number, got 'a'"):
        optim.Adam([w]).betas = ("a", 0.9)
    assert optimizer.lr == 0.1


def test_centered_rmsprop_stays_finite_where_the_variance_vanishes():
    w = Tensor(np.ones(100), requires_grad=True)
    optimizer = optim.RMSprop([w], 1e-9, alpha=0.5, centered=True)
    w.grad = np.linspace(0.1, 3, 100)
    for _ in range(100):
        optimizer.step()
    assert np.isfinite(w.data).all()


def test_a_step_invalidates_graphs_that_saved_the_parameter():
    w = Tensor([1.0, 2.0], requires_grad=True)
    y = (w * w).sum()
    w.grad = np.ones(2)
    optim.SGD([w], 0.1).step()
    with pytest.raises(GraphError, match="changed in place"):
        y.backward()


@pytest.mark.parametrize(
    "make",
    [
        lambda p: optim.SGD(p, 0.1, momentum=0.9),
        lambda p: optim.SGD(p, np.float64(1 / 3)),
        lambda p: optim.Adam(p, 0.1),
        lambda p: optim.RMSprop(p),
        lambda p: optim.RMSprop(p, momentum=0.5, centered=True),
    ],
)
def test_state_goes_on_bit_for_bit(make):
    (params, x), (others, _) = start(), start()
    one, two = make(params), type(make(others))(others)
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
    saved = one.state_dict()["arrays"]
    kept = copy.deepcopy(saved)
    for optimizer, these in ((one, params), (two, others)):
        for _ in range(5):
            optimizer.zero_grad()
            loss(these, x).backward()
            optimizer.step()
    for p, q in zip(params, others, strict=True):
        assert p.data.tobytes() == q.data.tobytes()
    np.testing.assert_equal(saved, kept, "a state is a copy")


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
        (
            lambda: optim.SGD([Tensor(1.0, requires_grad=True)]).step(),
            GraphError,
            "call backward first",
        ),
        (lambda: optim.clip_grad_norm(P, -1), ValueError, "max_norm"),
        (lambda: optim.clip_grad_norm(P[0], 1), TypeError, "iterable of Tensors"),
        (lambda: optim.clip_grad_norm([np.ones(2)], 1), TypeError, "ndarray"),
        (lambda: optim.SGD([P[0] * 2]), ValueError, "parameter 0 .* not a leaf"),
        (lambda: optim.SGD(P, momentum=True), ValueError, "momentum"),
        (lambda: optim.Adam(P, betas=0.9), ValueError, "two numbers"),
        (lambda: optim.Adam(P, betas=(0.9, 0.9, 0.9)), ValueError, "two numbers"),
        (
            lambda: optim.SGD(P).load_state_dict(optim.Adam(P).state_dict()),
            ValueError,
            "hyper-parameters lr, betas, eps, weight_decay, expected lr, momentum",
        ),
    ],
)
def test_errors(make, error, words):
    with pytest.raises(error, match=words):
        make()


def stepped(shape=(2,), kind=optim.Adam, **options):
    w = Tensor(np.ones(shape, np.float32), requires_grad=True)
    optimizer = kind([w], **options)
    w.grad = np.ones(shape)
    optimizer.step()
    return optimizer


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda s: s | stepped((3,)).state_dict(),
            r"shapes \[\[3\]\], expected \[\[2\]\].*0.mean float32\[3\], expected float32\[2\]",
        ),
        (lambda s: stepped(kind=optim.AdamW).state_dict(), "optimizer AdamW, expected Adam"),
        (lambda s: s | {"shapes": [[2], [2]]}, r"shapes \[\[2\], \[2\]\], expected"),
        (lambda s: s["hyperparameters"].update(lr=-1) or s, r"lr in \[0, inf\), got -1"),
        (lambda s: s["hyperparameters"].update(betas=[0.9]) or s, "two numbers"),
        (
            lambda s: s["hyperparameters"].pop("eps") and s,
            "hyper-parameters lr, betas, weight_decay, expected lr, betas, eps, weight_decay",
        ),
        (
            lambda s: s["arrays"].pop("0.mean") is not None and s,
            "of parameter 0 only square, steps",
        ),
        (
            lambda s: s["arrays"].update({"0.steps": np.ones(2)}) or s,
            r"0.steps float64\[2\], expected int64\[\]",
        ),
        (
            lambda s: s["arrays"].update({"7.mean": np.ones(2)}) or s,
            r"7.mean float64\[2\], expected nothing",
        ),
        (lambda s: {}, r"what state_dict\(\) returns"),
    ],
)
def test_a_bad_state_changes_nothing(change, words):
    optimizer = stepped(lr=0.5)
    before = copy.deepcopy(optimizer.state_dict())
    with pytest.raises(ValueError, match=words):
        optimizer.load_state_dict(change(stepped(lr=0.1).state_dict()))
    after = optimizer.state_dict()
    optimizer.load_state_dict(
        optim.Adam(optimizer.params).state_dict()
    )  # a fresh one is a good one
    assert optimizer.state_dict()["arrays"] == {}
    np.testing.assert_equal(after.pop("arrays"), before.pop("arrays"))
    assert after == before


def test_clip_grad_norm_scales_all_gradients_by_one_factor():
    a, b = Tensor([3.0], requires_grad=True), Tensor([0.0], requires_grad=True)
    (a * 3 + b * 4).sum().backward()
    assert optim.clip_grad_norm([a, b], 1.0) == pytest.approx(5)
    np.testing.assert_allclose([a.grad[0], b.grad[0]], [0.6, 0.8], rtol=1e-5)
    assert optim.clip_grad_norm([a, b, a], 10.0) == pytest.approx(1)
    np.testing.assert_allclose([a.grad[0], b.grad[0]], [0.6, 0.8], rtol=1e-5)


# Groups of parameters


def two_groups():
    a, b, c = (Tensor(np.full(2, 4.0), requires_grad=True) for _ in range(3))
    for p in (a, b, c):
        p.grad = np.ones(2)
    return a, b, c


def test_a_group_steps_by_its_own_hyperparameters():
    a, b, c = two_groups()
    optimizer = optim.SGD(
        [{"params": [a]}, {"params": [b, c], "lr": 0.5, "weight_decay": 0.25}], lr=1.0
    )
    optimizer.step()
    np.testing.assert_array_equal([p.data[0] for p in (a, b, c)], [3.0, 3.0, 3.0])
    optimizer.param_groups[1]["lr"] = 0.0
    optimizer.step()
    np.testing.assert_array_equal([p.data[0] for p in (a, b, c)], [2.0, 3.0, 3.0])
    assert [group["params"] for group in optimizer.param_groups] == [[a], [b, c]]
    assert optimizer.params == [a, b, c]


@pytest.mark.parametrize("kind", ["SGD", "Adam", "AdamW", "RMSprop"])
def test_groups_are_as_many_optimizers(kind):
    (params, x), (others, _) = start(), start()
    make = getattr(optim, kind)
    together = make([{"params": params[0], "lr": 0.01}, {"params": iter(params[1:])}], lr=0.1)
    apart = make(others[:1], lr=0.01), make(others[1:], lr=0.1)
    for _ in range(5):
        together.zero_grad()
        loss(params, x).backward()
        together.step()
        for p in others:
            p.zero_grad()
        loss(others, x).backward()
        for optimizer in apart:
            optimizer.step()
    for p, q in zip(params, others, strict=True):
        assert p.data.tobytes() == q.data.tobytes()


def test_an_attribute_is_the_first_groups_and_sets_all_that_agree():
    a, b, c = two_groups()
    optimizer = optim.SGD([{"params": a, "lr": 0.5}, {"params": [b, c]}], lr=1.0, momentum=0.5)
    assert (optimizer.lr, optimizer.momentum) == (0.5, 0.5)
    optimizer.momentum = 0.25
    assert [group["momentum"] for group in optimizer.param_groups] == [0.25, 0.25]
    with pytest.raises(ValueError, match=r"SGD: the groups differ in lr \(\[0.5, 1.0\]\)"):
        optimizer.lr = 0.1
    assert [group["lr"] for group in optimizer.param_groups] == [0.5, 1.0]
    optimizer.step()
    assert optimizer.lr == 0.5, "what _update read of the other group is gone"


def test_an_error_in_a_step_leaves_the_attributes_the_first_groups():
    class Failing(optim.Optimizer):
        def _update(self, w, g, state):
            raise ZeroDivisionError(self.lr)

    a, b, _ = two_groups()
    a.grad = None
    optimizer = Failing([{"params": a, "lr": 0.5}, {"params": b}], 1.0)
    with pytest.raises(ZeroDivisionError, match="1.0"):
        optimizer.step()
    assert optimizer.lr == 0.5


def test_the_state_of_groups_goes_on_and_knows_its_groups():
    (params, x), (others, _) = start(), start()
    one = optim.Adam([{"params": params[0], "lr": 0.01}, {"params": params[1]}])
    loss(params, x).backward()
    one.step()
    one.param_groups[1]["betas"] = (0.5, 0.6)
    state = json.loads(json.dumps({k: v for k, v in one.state_dict().items() if k != "arrays"})) | {
        "arrays": one.state_dict()["arrays"]
    }
    two = optim.Adam([{"params": others[0]}, {"params": others[1]}])
    two.load_state_dict(state)
    assert [g["lr"] for g in two.param_groups] == [0.01, 0.001]
    assert two.param_groups[1]["betas"] == (0.5, 0.6)
    before = two.state_dict()
    with pytest.raises(ValueError, match="2 groups, expected 1"):
        optim.Adam(others).load_state_dict(state)
    with pytest.raises(ValueError, match="a group of other parameters, expected 2 of them"):
        optim.Adam(
            [{"params": others}, {"params": Tensor(1.0, requires_grad=True)}]
        ).load_state_dict(state)
    np.testing.assert_equal(two.state_dict(), before)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda p: optim.SGD([{"lr": 1.0}]), TypeError, 'a dict with "params", got dict'),
        (lambda p: optim.SGD([{"params": [p]}, p]), TypeError, '"params", got Tensor'),
        (
            lambda p: optim.SGD([{"params": p, "rate": 1, "l2": 0}]),
            ValueError,
            "to be of lr, momentum, nesterov, weight_decay, got l2, rate",
        ),
        (lambda p: optim.SGD([{"params": p, "lr": -1}]), ValueError, r"lr in \[0, inf\), got -1"),
        (lambda p: optim.SGD([{"params": p}, {"params": [p]}]), ValueError, "one in two groups"),
        (lambda p: optim.SGD([{"params": []}]), ValueError, "at least one parameter"),
        (
            lambda p: optim.SGD([{"params": p, "nesterov": True}]),
            ValueError,
            "nesterov needs a momentum",
        ),
        (
            lambda p: optim.SGD([p]).param_groups[0].__setitem__("rate", 1),
            ValueError,
            "one of lr, momentum, nesterov, weight_decay to set, got 'rate'",
        ),
        (
            lambda p: optim.SGD([p]).param_groups[0].__setitem__("momentum", 1),
            ValueError,
            r"momentum in \[0, 1\)",
        ),
        (lambda p: optim.SGD([p]).param_groups[0].pop("lr"), TypeError, "a group keeps its lr"),
    ],
)
def test_errors_of_groups(make, error, words):
    with pytest.raises(error, match=words):
        make(Tensor(1.0, requires_grad=True))


def test_an_empty_group_is_no_obstacle():
    a, _, _ = two_groups()
    optimizer = optim.Adam([{"params": []}, {"params": a}])
    optimizer.step()
    optimizer.load_state_dict(optimizer.state_dict())
    assert a.data[0] < 4


# Slots


@pytest.mark.parametrize(
    "make",
    [
        lambda p: optim.SGD(p, 0.1, momentum=0.9),
        lambda p: optim.Adam(p),
        lambda p: optim.RMSprop(p, momentum=0.5, centered=True),
    ],
)
def test_slots_stay_in_place_from_the_start(make):
    params, x = start()
    optimizer = make(params)
    places = [id(a) for states in optimizer._state for s in states for a in s.values()]
    assert places, "they are there before the first step"
    assert optimizer.state_dict()["arrays"] == {}, "zeros need not be saved"
    loss(params, x).backward()
    optimizer.step()
    stepped = optimizer.state_dict()
    optimizer.step()
    optimizer.load_state_dict(stepped)
    np.testing.assert_equal(optimizer.state_dict(), stepped)
    optimizer.load_state_dict(make(params).state_dict())
    assert optimizer.state_dict()["arrays"] == {}
    assert [id(a) for states in optimizer._state for s in states for a in s.values()] == places


def test_a_slot_that_is_asked_for_later_begins_at_zero():
    a, b, _ = two_groups()
    optimizer = optim.SGD([a, b], 1.0)
    optimizer.step()
    optimizer.momentum = 0.5
    b.grad = None
    optimizer.step()  # of a alone
    saved = optimizer.state_dict()
    b.grad = np.ones(2)
    optimizer.step()
    assert (a.data[0], b.data[0]) == (4 - 1 - 1 - 1.5, 4 - 1 - 1)
    fresh = optim.SGD([a, b], 1.0)
    fresh.load_state_dict(saved)
    fresh.step()  # b has no slot in the state, and gets one
    assert (a.data[0], b.data[0]) == (0.5 - 1.5, 2 - 1)


def test_an_optimizer_made_before_astype_says_so():
    model = nn.Linear(2, 2, rng=0)
    optimizer = optim.Adam(model.parameters())
    model.astype(np.float64)
    model(Tensor(np.ones((1, 2)))).sum().backward()
    with pytest.raises(TypeError, match="is float64, but the optimizer was made for float32; make"):
        optimizer.step()


def test_negative_steps_are_no_state():
    optimizer = stepped()
    state = optimizer.state_dict()
    state["arrays"]["0.steps"] = np.array(-1)
    with pytest.raises(ValueError, match="0.steps -1, expected at least 0"):
        optimizer.load_state_dict(state)


# The rest


def test_a_step_that_clips_is_a_clipped_step():
    (params, x), (others, _) = start(), start()
    one, two = optim.SGD(params, 0.1), optim.SGD(others, 0.1)
    loss(params, x).backward()
    loss(others, x).backward()
    one.step(clip_norm=0.5)
    optim.clip_grad_norm(others, 0.5)
    two.step()
    for p, q in zip(params, others, strict=True):
        assert p.data.tobytes() == q.data.tobytes()


def test_an_optimizer_says_what_it_is():
    a, b, c = two_groups()
    assert (
        repr(optim.Adam([a, b]))
        == "Adam(2 parameters of 4 elements, lr=0.001, betas=(0.9, 0.999), "
        "eps=1e-08, weight_decay=0.0)"
    )
    assert repr(SignSGD([{"params": a}, {"params": [b, c], "lr": 1}], 0.5, 0.25)) == (
        "SignSGD(\n"
        "  (0): 1 parameter of 2 elements, lr=0.5, beta=0.25\n"
        "  (1): 2 parameters of 4 elements, lr=1, beta=0.25\n"
        ")"
    )


@pytest.mark.parametrize("twin", [copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))])
def test_a_copy_steps_by_itself(twin):
    a, _, _ = two_groups()
    optimizer = optim.Adam([a], 0.5)
    other = twin(optimizer)
    other.lr = 0.25
    other.params[0].grad = np.ones(2)
    other.step()
    assert (optimizer.lr, other.lr, a.data[0]) == (0.5, 0.25, 4)
    assert other.params[0].data[0] == pytest.approx(3.75)


def test_a_hyperparameter_that_the_class_has_too_is_refused():
    class Shadowed(optim.Optimizer):
        beta = 0.5

    with pytest.raises(TypeError, match="Shadowed: beta is an attribute of the class"):
        Shadowed([Tensor(1.0, requires_grad=True)], 0.1, beta=0.9)
    with pytest.raises(AttributeError, match="'SGD' object has no attribute 'rate'"):
        optim.SGD(P).rate  # noqa: B018
