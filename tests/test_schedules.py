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
