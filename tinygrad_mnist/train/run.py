"""Run: the current state of a training run; Plan: the arguments that `fit` was given."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..arrays import Array
from ..nn import Module
from ..optim import Optimizer, Ranks, Schedule
from .feed import Data, Feed
from .history import EarlyStopping, History
from .scores import Loss, Metric, Scorer

__all__ = ["Best", "Callback", "Files", "Plan", "Run"]

Callback = Callable[["Run"], object]


class Files(NamedTuple):
    """The files in which a run is saved."""

    checkpoint: Path
    best: Path


class Best(NamedTuple):
    """The parameters of the best epoch so far, and a digest that identifies their file."""

    epoch: int
    digest: str
    state: dict[str, Array]


@dataclass(frozen=True)
class Plan:
    """The arguments that `fit` was given."""

    loss: Loss
    feed: Feed
    validation: Data | None
    epochs: int
    schedule: Schedule | None
    early_stopping: EarlyStopping | None
    files: Files | None
    rng: np.random.Generator
    clip_norm: float | None
    accumulate: int
    metrics: Mapping[str, Metric]
    on_step: Callback | None
    on_epoch: Callback | None
    capture: bool

    @property
    def steps_per_epoch(self) -> int:
        """The number of steps that the optimizer takes in an epoch."""
        return math.ceil(len(self.feed) / self.accumulate)


class Run:
    """The current state of a training run, which `fit` passes to `on_step` and `on_epoch`.

    Attributes
    ----------
    model : Module
    optimizer : Optimizer
        The one that `fit` was given.
    history : History
        The epochs that have ended.
    epoch : int
        The current epoch, including those before a resume; the first is 1.
    step : int
        The number of steps that the optimizer has taken since the first epoch; the first is 1.
    loss : float
        The mean loss over the examples of the last step, computed before that step.
    """

    model: Module
    optimizer: Optimizer
    history: History
    epoch: int
    step: int
    loss: float

    def __init__(self, plan: Plan, model: Module, optimizer: Optimizer) -> None:
        self.model, self.optimizer = model, optimizer
        names = [f"{part}_{name}" for name in plan.metrics for part in ("train", "val")]
        self.history = History(names=names)
        self.epoch = self.step = 0
        self.loss = math.nan
        self._plan = plan
        self._scorer = Scorer("fit", plan.loss, plan.metrics, plan.feed.targets)
        self._given = _given_settings(optimizer, plan.schedule)
        self._lr = optimizer.lr  # of the last step
        self._best: Best | None = None
        self._stopping = False
        self._checked = False  # whether the first loss has been looked at

    def stop(self) -> None:
        """End the training after this step or epoch; a shortened epoch is recorded, too."""
        self._stopping = True

    @property
    def _ranks(self) -> Ranks:
        return self.optimizer.ranks

    def __repr__(self) -> str:
        return f"Run(epoch={self.epoch}, step={self.step}, loss={self.loss:.4g})"


def _given_settings(optimizer: Optimizer, schedule: Schedule | None) -> list[dict[str, Any]]:
    """Return each group's hyper-parameters as the user gave them, before a schedule's changes."""
    given = [dict(group.settings) for group in optimizer.param_groups]
    if schedule is not None:
        for settings, lr in zip(given, schedule.base_lrs, strict=True):
            settings["lr"] = lr
    return given
