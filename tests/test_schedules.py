"""Learning-rate schedules: PyTorch's rates, ends, state, errors."""

import json
import math

import numpy as np
import pytest
from helpers import ROOT

from tinygrad_mnist import Tensor, nn, optim

RECORDED = json.loads((ROOT / "tests/recorded/torch.json").read_text())
P = [Tensor(1.0, requires_grad=True)]


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
    for make, end in (
        (lambda o: optim.CosineLR(o, 3, 0.01), 0.01),
        (lambda o: optim.CosineLR(o, 3), 0),
        (lambda o: optim.OneCycleLR(o, 1.0, 3, final_div_factor=4), 0.01),
    ):
        optimizer = optim.SGD([Tensor(0.0, requires_grad=True)], lr=0.1)
        schedule = make(optimizer)
        for _ in range(4):
            schedule.step()
        assert optimizer.lr == end


@pytest.mark.parametrize("pct_start", [0.1, 0.3, 0.9])
def test_onecycle_of_any_length_stays_in_its_bounds(pct_start):
    for total_steps in range(1, 40):
        optimizer = optim.SGD([Tensor(0.0, requires_grad=True)], lr=0.1)
        schedule = optim.OneCycleLR(optimizer, 1.0, total_steps, pct_start=pct_start)
        rates = [optimizer.lr]
        for _ in range(total_steps):
            schedule.step()
            rates.append(optimizer.lr)
        assert rates[-1] == rates[-2] == pytest.approx(1 / 25 / 1e4)
        assert min(rates) == rates[-1]
        assert max(rates) <= 1
        assert (
            rates[0] == 1 or pct_start * total_steps != 1
        )  # a rise of no steps is at its peak at once
        top = rates.index(max(rates))
        assert rates == sorted(rates[:top]) + sorted(rates[top:], reverse=True)


class Warmup(optim.Schedule):
    """What a user writes: the numbers first, then the base's __init__."""

    def __init__(self, opt, over):
        self.over = over
        super().__init__(opt)

    def rate(self, steps):
        return self.base_lr * min((steps + 1) / self.over, 1)


def test_a_schedule_of_ones_own():
    optimizer = optim.SGD([Tensor(0.0, requires_grad=True)], lr=0.4)
    schedule = Warmup(optimizer, 4)
    rates = [optimizer.lr]
    for _ in range(4):
        schedule.step()
        rates.append(optimizer.lr)
    np.testing.assert_allclose(rates, [0.1, 0.2, 0.3, 0.4, 0.4])


def test_a_damaged_schedule_changes_nothing():
    optimizer = optim.SGD(P, lr=0.5)
    schedule = optim.StepLR(optimizer, np.int64(3), np.float32(0.5))
    state = json.loads(json.dumps(schedule.state_dict()))
    for steps in ("x", -1):
        with pytest.raises(ValueError, match="StepLR cannot load this state"):
            schedule.load_state_dict(state | {"steps": steps})
    assert (optimizer.lr, schedule.state_dict()) == (0.5, state)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: optim.StepLR(optim.SGD(P), 0), ValueError, "step_size"),
        (lambda: optim.StepLR(optim.SGD(P), 5, -1), ValueError, "gamma"),
        (lambda: optim.CosineLR(optim.SGD(P), 0), ValueError, "total_steps"),
        (lambda: optim.CosineLR(optim.SGD(P), 5, -1), ValueError, "min_lr"),
        (lambda: optim.OneCycleLR(optim.SGD(P), 1.0, 0), ValueError, "total_steps"),
        (lambda: optim.OneCycleLR(optim.SGD(P), -1.0, 5), ValueError, "max_lr"),
        (lambda: optim.OneCycleLR(optim.SGD(P), 1.0, 5, pct_start=1.5), ValueError, "pct_start"),
        (lambda: optim.StepLR(nn.Linear(2, 2), 5), TypeError, "an optimizer, got Linear"),
        (lambda: optim.CosineLR(optim.SGD(P), 2.5), TypeError, "integer, got 2.5"),
        (lambda: optim.OneCycleLR(optim.SGD(P), 1.0, 5, div_factor=math.nan), ValueError, "nan"),
        (lambda: optim.OneCycleLR(optim.SGD(P), 1.0, 5, div_factor=0), ValueError, "above 0"),
        (lambda: optim.OneCycleLR(optim.SGD(P), 1.0, 5, div_factor=math.inf), ValueError, "finite"),
        (lambda: optim.OneCycleLR(optim.SGD(P), 1.0, 5, final_div_factor=0), ValueError, "above 0"),
        (
            lambda: optim.OneCycleLR(optim.SGD(P), 1.0, 5, final_div_factor=math.inf),
            ValueError,
            "finite",
        ),
    ],
)
def test_errors(make, error, words):
    with pytest.raises(error, match=words):
        make()


def rates_of(make, steps, lr=0.4):
    optimizer = optim.SGD([Tensor(0.0, requires_grad=True)], lr=lr)
    schedule = make(optimizer)
    found = [optimizer.lr]
    for _ in range(steps):
        schedule.step()
        found.append(optimizer.lr)
    return found


def test_warmup_rises_along_a_line_and_counts_as_part_of_the_whole():
    line = [0.1, 0.2, 0.3, 0.4]
    cosine = rates_of(lambda o: optim.CosineLR(o, 10, 0.1, warmup=4), 12)
    np.testing.assert_allclose(cosine[:5], [*line, 0.4])
    np.testing.assert_allclose(cosine[4:11], rates_of(lambda o: optim.CosineLR(o, 6, 0.1), 6))
    np.testing.assert_allclose(cosine[10:], [0.1, 0.1, 0.1])
    stairs = rates_of(lambda o: optim.StepLR(o, 6, 0.5, warmup=4), 12)
    np.testing.assert_allclose(stairs, [*line, 0.4, 0.4, *[0.2] * 6, 0.1])
    cycle = rates_of(lambda o: optim.OneCycleLR(o, 0.4, 10, warmup=4), 12)
    np.testing.assert_allclose(cycle[:4], line)
    assert cycle[3:10] == sorted(cycle[3:10], reverse=True)
    assert cycle[9] == cycle[12] == pytest.approx(0.4 / 25 / 1e4)
    assert rates_of(lambda o: optim.CosineLR(o, 10, warmup=1), 1)[0] == 0.4, "one step is at lr"


def test_warmup_of_one_step_less_than_all():
    found = rates_of(lambda o: optim.CosineLR(o, 4, warmup=3), 5)
    np.testing.assert_allclose(found, [0.4 / 3, 0.8 / 3, 0.4, 0.4, 0, 0], atol=1e-12)


@pytest.mark.parametrize("make", [optim.CosineLR, lambda o, n, **k: optim.OneCycleLR(o, 1, n, **k)])
def test_warmup_out_of_range(make):
    for warmup, error in ((5, ValueError), (-1, ValueError), (1.5, TypeError)):
        with pytest.raises(error, match="warmup"):
            make(optim.SGD(P), 5, warmup=warmup)


def test_a_schedule_scales_the_rate_of_each_group():
    a, b = Tensor(0.0, requires_grad=True), Tensor(0.0, requires_grad=True)
    optimizer = optim.SGD([{"params": a}, {"params": b, "lr": 0.01}], lr=0.1)
    schedule = optim.CosineLR(optimizer, 10)
    alone = rates_of(lambda o: optim.CosineLR(o, 10), 10, lr=0.1)
    for rate in alone[1:]:
        schedule.step()
        assert optimizer.param_groups[0]["lr"] == rate
        assert optimizer.param_groups[1]["lr"] == pytest.approx(rate / 10)
    optimizer = optim.SGD([{"params": a}, {"params": b, "lr": 0.0}], lr=0.1)
    optim.OneCycleLR(optimizer, 1.0, 10)
    assert optimizer.param_groups[1]["lr"] == 0
    with pytest.raises(ValueError, match="the first group to have a rate above 0"):
        optim.StepLR(optim.SGD([{"params": a, "lr": 0.0}, {"params": b}], lr=0.1), 3)


@pytest.mark.parametrize(
    "make",
    [lambda o, n: optim.CosineLR(o, n, 0.01), lambda o, n: optim.OneCycleLR(o, 0.3, n, warmup=2)],
)
def test_a_longer_horizon_is_followed(make):
    short = optim.SGD([Tensor(0.0, requires_grad=True)], lr=0.1)
    schedule = make(short, 8)
    for _ in range(8):
        schedule.step()
    longer = optim.SGD([Tensor(0.0, requires_grad=True)], lr=0.1)
    resumed = make(longer, 20)
    resumed.load_state_dict(json.loads(json.dumps(schedule.state_dict())))
    whole = rates_of(lambda o: make(o, 20), 20, lr=0.1)
    found = [longer.lr]
    for _ in range(12):
        resumed.step()
        found.append(longer.lr)
    np.testing.assert_allclose(found, whole[8:])
    assert short.lr < found[0]


def test_what_was_given_to_a_schedule_stays_and_what_it_reached_is_restored():
    optimizer = optim.SGD([Tensor(0.0, requires_grad=True)], lr=0.8)
    schedule = optim.StepLR(optimizer, 2, 0.5)
    for _ in range(4):
        schedule.step()
    other = optim.StepLR(optim.SGD([Tensor(0.0, requires_grad=True)], lr=9.0), 4, 0.25)
    other.load_state_dict(schedule.state_dict())
    assert (other.steps, other.gamma, other.step_size, other.base_lr) == (4, 0.25, 4, 0.8)
    assert other.opt.lr == 0.2


def test_a_state_of_other_groups_changes_nothing():
    a, b = Tensor(0.0, requires_grad=True), Tensor(0.0, requires_grad=True)
    two = optim.StepLR(optim.SGD([{"params": a}, {"params": b}], lr=0.5), 3)
    one = optim.StepLR(optim.SGD([a], lr=0.25), 3)
    for _ in range(3):
        two.step()
    for state in (two.state_dict(), one.state_dict() | {"base_lrs": ["x"]}):
        with pytest.raises(ValueError, match="StepLR cannot load this state"):
            one.load_state_dict(state)
    assert (one.steps, one.base_lrs, one.opt.lr) == (0, [0.25], 0.25)
    assert repr(one) == "StepLR(step_size=3, gamma=0.1, warmup=0, steps=0)"
