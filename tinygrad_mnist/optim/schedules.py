"""Learning-rate schedules: each sets the rates of its optimizer, and steps after the optimizer."""

import copy
import math
from typing import Any, ClassVar

from ..errors import check_size
from .base import Optimizer
from .groups import Range

__all__ = ["CosineLR", "OneCycleLR", "Schedule", "StepLR"]


class Schedule:
    """The base of the schedules: a subclass writes `rate`, the rate after a number of steps.

    The subclass's `__init__` first sets the numbers that `rate` needs, and then calls this class's
    `__init__`, because that sets the first rate. `settings` names the numbers that never change
    afterwards. Loading a state does not change them, either.

    `rate` gives the rate of the optimizer's first group. The rates of the other groups stay in
    proportion to it.

    Parameters
    ----------
    opt : Optimizer
        Its current rates are the base rates.

    Attributes
    ----------
    base_lrs : list of float
        The base rate of each group; `base_lr` is the first.
    """

    settings: ClassVar[tuple[str, ...]] = ()

    def __init__(self, opt: Optimizer) -> None:
        kind = type(self).__name__
        if not isinstance(opt, Optimizer):
            raise TypeError(f"{kind}: expected an optimizer, got {type(opt).__name__}")
        self.opt, self.steps = opt, 0
        self.base_lrs = [float(group["lr"]) for group in opt.param_groups]
        if self.base_lrs[0] == 0 and any(self.base_lrs):
            raise ValueError(
                f"{kind}: expected the first group to have a rate above 0, because the others keep "
                f"their proportion to it; got {self.base_lrs}"
            )
        self._set_rates()

    @property
    def base_lr(self) -> float:
        """The base rate of the first group."""
        return self.base_lrs[0]

    def rate(self, steps: int) -> float:
        """Return the learning rate after so many steps."""
        raise NotImplementedError(
            f"{type(self).__name__} has no rate(); a Schedule's subclass writes one"
        )

    def step(self) -> None:
        """Move on by one step and set the learning rates."""
        self.steps += 1
        self._set_rates()

    def set_base_rate(self, group: int, lr: float) -> None:
        """Give one group a new base rate, from now on."""
        self.base_lrs[group] = float(Range().check(type(self).__name__, "lr", lr))
        self._set_rates()

    def _set_rates(self) -> None:
        rate, first = self.rate(self.steps), self.base_lrs[0]
        for group, base in zip(self.opt.param_groups, self.base_lrs, strict=True):
            group["lr"] = rate if base == first else rate * (base / first)

    def state_dict(self) -> dict[str, Any]:
        """Return every number of the schedule, in a form that JSON can hold."""
        return {
            name: list(value) if isinstance(value, list) else value
            for name, value in vars(self).items()
            if name != "opt"
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore how far a schedule has gone, and set the optimizer's rates accordingly.

        This schedule keeps the settings that it was made with. For example, one with more
        `total_steps` than the saved one continues over the larger number.

        Raises
        ------
        ValueError
            If the state is damaged or of another kind of schedule. Then nothing has changed.
        """
        kind, own = type(self).__name__, self.state_dict()
        if state.keys() != own.keys():
            raise ValueError(f"{kind}: expected {sorted(own)}, got {sorted(state)}")
        new = copy.copy(self)
        vars(new).update({name: state[name] for name in state if name not in self.settings})
        lr = Range()
        try:
            check_size(kind, "steps", new.steps, least=0)
            new.base_lrs = [float(lr.check(kind, "base_lrs", base)) for base in new.base_lrs]
            if len(new.base_lrs) != len(self.base_lrs):
                raise ValueError(f"expected {len(self.base_lrs)} groups, got {len(new.base_lrs)}")
            lr.check(kind, "the rate", new.rate(new.steps))
        except (TypeError, ValueError, ArithmeticError) as error:
            raise ValueError(f"{kind} cannot load this state: {error}") from error
        vars(self).update(vars(new))
        self._set_rates()

    def __repr__(self) -> str:
        shown = "".join(f"{name}={getattr(self, name)}, " for name in self.settings)
        return f"{type(self).__name__}({shown}steps={self.steps})"


class StepLR(Schedule):
    """Staircase: the base rate times gamma ** (steps // step_size).

    Parameters
    ----------
    opt : Optimizer
    step_size : int
    gamma : float
    warmup : int
        The number of steps at the start in which the rate rises linearly from lr / warmup to lr.
    """

    settings: ClassVar[tuple[str, ...]] = ("step_size", "gamma", "warmup")

    def __init__(
        self, opt: Optimizer, step_size: int, gamma: float = 0.1, *, warmup: int = 0
    ) -> None:
        self.step_size = check_size("StepLR", "step_size", step_size)
        self.gamma = float(Range().check("StepLR", "gamma", gamma))
        self.warmup = check_size("StepLR", "warmup", warmup, least=0)
        super().__init__(opt)

    def rate(self, steps: int) -> float:
        """Return the rate after so many steps."""
        if steps < self.warmup:
            return _rise(self.base_lr, steps, self.warmup)
        return float(self.base_lr * self.gamma ** (steps // self.step_size))


class CosineLR(Schedule):
    """Half a cosine from the base rate to `min_lr` over `total_steps`; then the rate stays.

    Parameters
    ----------
    opt : Optimizer
    total_steps : int
    min_lr : float
    warmup : int
        The number of steps at the start in which the rate rises linearly from lr / warmup to lr.
        The cosine covers the remaining steps.

    References
    ----------
    Loshchilov & Hutter (2017), SGDR: stochastic gradient descent with warm restarts.
    """

    settings: ClassVar[tuple[str, ...]] = ("total_steps", "min_lr", "warmup")

    def __init__(
        self, opt: Optimizer, total_steps: int, min_lr: float = 0.0, *, warmup: int = 0
    ) -> None:
        self.total_steps = check_size("CosineLR", "total_steps", total_steps)
        self.min_lr = float(Range().check("CosineLR", "min_lr", min_lr))
        self.warmup = _check_warmup("CosineLR", warmup, self.total_steps)
        super().__init__(opt)

    def rate(self, steps: int) -> float:
        """Return the rate after so many steps."""
        if steps < self.warmup:
            return _rise(self.base_lr, steps, self.warmup)
        share = (steps - self.warmup) / (self.total_steps - self.warmup)
        return _cosine(self.base_lr, self.min_lr, min(share, 1.0))


class OneCycleLR(Schedule):
    """One cycle: up from max_lr / 25 to max_lr, then down to max_lr / 250,000, along cosines.

    The rate rises during 30% of the steps. The rates are those of PyTorch. PyTorch may also cycle
    the momentum, but this class does not change it. After `total_steps` the rate stays constant.

    Parameters
    ----------
    opt : Optimizer
    max_lr : float
    total_steps : int
    pct_start : float in (0, 1)
        The fraction of the steps in which the rate rises.
    div_factor, final_div_factor : float
        The first rate is max_lr / div_factor. The last rate is the first / final_div_factor.
    warmup : int
        If above 0, it replaces `pct_start`: in this number of steps the rate rises linearly from
        max_lr / warmup to max_lr.

    References
    ----------
    Smith & Topin (2018), Super-convergence.
    """

    settings: ClassVar[tuple[str, ...]] = (
        "max_lr", "total_steps", "pct_start", "div_factor", "final_div_factor", "warmup",
    )  # fmt: skip

    def __init__(
        self,
        opt: Optimizer,
        max_lr: float,
        total_steps: int,
        *,
        pct_start: float = 0.3,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        warmup: int = 0,
    ) -> None:
        self.total_steps = check_size("OneCycleLR", "total_steps", total_steps)
        self.max_lr = float(Range().check("OneCycleLR", "max_lr", max_lr))
        if (
            not 0 < pct_start < 1
            or not 0 < div_factor < math.inf
            or not 0 < final_div_factor < math.inf
        ):
            got = f"{pct_start}, {div_factor} and {final_div_factor}"
            raise ValueError(
                f"OneCycleLR: expected pct_start in (0, 1) and finite factors above 0, got {got}"
            )
        self.pct_start, self.div_factor = float(pct_start), float(div_factor)
        self.final_div_factor = float(final_div_factor)
        self.warmup = _check_warmup("OneCycleLR", warmup, self.total_steps)
        super().__init__(opt)

    def rate(self, steps: int) -> float:
        """Return the rate after so many steps."""
        if steps < self.warmup:
            return _rise(self.max_lr, steps, self.warmup)
        first = self.max_lr / self.div_factor
        peak, last = self.pct_start * self.total_steps - 1, self.total_steps - 1
        if self.warmup:
            peak = self.warmup - 1
        if steps <= peak:
            return _cosine(first, self.max_lr, steps / peak if peak > 0 else 1.0)
        share = min((steps - peak) / (last - peak), 1.0) if last > peak else 1.0
        return _cosine(self.max_lr, first / self.final_div_factor, share)


def _check_warmup(kind: str, warmup: int, total_steps: int) -> int:
    checked = check_size(kind, "warmup", warmup, least=0)
    if checked >= total_steps:
        raise ValueError(f"{kind}: expected warmup below total_steps, {total_steps}, got {warmup}")
    return checked


def _rise(peak: float, steps: int, warmup: int) -> float:
    return float(peak * (steps + 1) / warmup)


def _cosine(start: float, end: float, share: float) -> float:
    return float(end + (start - end) / 2 * (1 + math.cos(math.pi * share)))
