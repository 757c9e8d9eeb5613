"""Learning-rate schedules; each sets its optimizer's `lr`, and is stepped after each of the optimizer's steps."""

import copy
import math
from typing import Any

from ..errors import at_least
from .sgd import Optimizer, checked

__all__ = ["CosineLR", "OneCycleLR", "Schedule", "StepLR"]


class Schedule:
    """The base of the schedules: a subclass writes `rate`, the learning rate after a number of steps.

    Its `__init__` sets the numbers that `rate` needs before it calls this one, which sets the first
    rate.

    Parameters
    ----------
    opt : Optimizer
        Its present `lr` is the base rate.
    """

    def __init__(self, opt: Optimizer) -> None:
        if not hasattr(opt, "lr"):
            raise TypeError(
                f"{type(self).__name__}: expected an optimizer, got {type(opt).__name__}"
            )
        self.opt, self.base_lr, self.steps = opt, float(opt.lr), 0
        opt.lr = self.rate(0)

    def rate(self, steps: int) -> float:
        """Return the learning rate after so many steps."""
        raise NotImplementedError(
            f"{type(self).__name__} has no rate(); a Schedule's subclass writes one"
        )

    def step(self) -> None:
        """Move on by one step and set the optimizer's learning rate."""
        self.steps += 1
        self.opt.lr = self.rate(self.steps)

    def state_dict(self) -> dict[str, Any]:
        """Return every number of the schedule, for JSON."""
        return {name: value for name, value in vars(self).items() if name != "opt"}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned, and the optimizer's learning rate with it.

        Raises
        ------
        ValueError
            If it is the state of another kind of schedule, or damaged; nothing has changed then.
        """
        kind = type(self).__name__
        if state.keys() != self.state_dict().keys():
            raise ValueError(f"{kind}: expected {sorted(self.state_dict())}, got {sorted(state)}")
        new = copy.copy(self)
        vars(new).update(state)
        try:
            if new.steps < 0:
                raise ValueError(f"expected steps of at least 0, got {new.steps}")
            self.opt.lr = new.rate(new.steps)
        except (TypeError, ValueError, ArithmeticError) as error:
            raise ValueError(f"{kind} cannot load this state: {error}") from error
        vars(self).update(state)


class StepLR(Schedule):
    """Staircase: the base rate times gamma ** (steps // step_size)."""

    def __init__(self, opt: Optimizer, step_size: int, gamma: float = 0.1) -> None:
        [self.step_size] = at_least(1, "StepLR", step_size=step_size)
        self.gamma = float(checked("StepLR", "gamma", gamma))
        super().__init__(opt)

    def rate(self, steps: int) -> float:
        """Return the rate after so many steps."""
        return float(self.base_lr * self.gamma ** (steps // self.step_size))


class CosineLR(Schedule):
    """Half a cosine from the base rate to `min_lr` over `total_steps`, and `min_lr` after it (Loshchilov & Hutter 2017)."""

    def __init__(self, opt: Optimizer, total_steps: int, min_lr: float = 0.0) -> None:
        [self.total_steps] = at_least(1, "CosineLR", total_steps=total_steps)
        self.min_lr = float(checked("CosineLR", "min_lr", min_lr))
        super().__init__(opt)

    def rate(self, steps: int) -> float:
        """Return the rate after so many steps."""
        return _cosine(self.base_lr, self.min_lr, min(steps / self.total_steps, 1.0))


class OneCycleLR(Schedule):
    """One cycle: up from max_lr / 25 to max_lr over 30% of the steps, then down to max_lr / 250,000, along cosines.

    The rates are PyTorch's; the momentum, which PyTorch may cycle too, is left alone. After
    `total_steps` the rate stays.

    Parameters
    ----------
    opt : Optimizer
    max_lr : float
    total_steps : int
    pct_start : float in (0, 1)
        The share of the steps that go up.
    div_factor, final_div_factor : float
        The first rate is max_lr / div_factor, the last the first / final_div_factor.

    References
    ----------
    Smith & Topin (2018), Super-convergence.
    """

    def __init__(
        self,
        opt: Optimizer,
        max_lr: float,
        total_steps: int,
        *,
        pct_start: float = 0.3,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
    ) -> None:
        [self.total_steps] = at_least(1, "OneCycleLR", total_steps=total_steps)
        self.max_lr = float(checked("OneCycleLR", "max_lr", max_lr))
        if (
            not 0 < pct_start < 1
            or not 0 < div_factor < math.inf
            or not 0 < final_div_factor < math.inf
        ):
            got = f"{pct_start}, {div_factor} and {final_div_factor}"
            raise ValueError(
                f"OneCycleLR: expected pct_start in (0, 1) and finite factors above 0, got {got}"
            )
        self.pct_start, self.div_factor, self.final_div_factor = (
            float(pct_start),
            float(div_factor),
            float(final_div_factor),
        )
        super().__init__(opt)

    def rate(self, steps: int) -> float:
        """Return the rate after so many steps."""
        first = self.max_lr / self.div_factor
        peak, last = self.pct_start * self.total_steps - 1, self.total_steps - 1
        if steps <= peak:
            return _cosine(first, self.max_lr, steps / peak if peak > 0 else 1.0)
        share = min((steps - peak) / (last - peak), 1.0) if last > peak else 1.0
        return _cosine(self.max_lr, first / self.final_div_factor, share)


def _cosine(start: float, end: float, share: float) -> float:
    return float(end + (start - end) / 2 * (1 + math.cos(math.pi * share)))
