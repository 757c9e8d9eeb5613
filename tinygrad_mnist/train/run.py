"""Run: a training run as it stands; Plan: what was asked of it."""

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
    """Where a run is kept."""

    checkpoint: Path
    best: Path


class Best(NamedTuple):
    """The parameters of the best epoch so far, and by what its file is known to be this run's."""

    epoch: int
    digest: str
    state: dict[str, Array]


@dataclass(frozen=True)
class Plan:
    """What `fit` was asked to do."""

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
        """How many steps the optimizer takes in an epoch."""
        return math.ceil(len(self.feed) / self.accumulate)


class Run:
    """A training run as it stands: what `fit` hands to `on_step` and `on_epoch`.

    Attributes
    ----------
    model : Module
    optimizer : Optimizer
        The one that `fit` was given.
    history : History
        The epochs that have ended.
    epoch : int
        The present epoch; the first is 1, those before a resume counted.
    step : int
        How many steps the optimizer has taken since the first epoch; the first is 1.
    loss : float
        The loss of the last step, the mean over its examples, before the step.
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
        """End the training after this step or epoch; an epoch that is cut short is recorded."""
        self._stopping = True

    @property
    def _ranks(self) -> Ranks:
        return self.optimizer.ranks

    def __repr__(self) -> str:
        return f"Run(epoch={self.epoch}, step={self.step}, loss={self.loss:.4g})"


def _given_settings(optimizer: Optimizer, schedule: Schedule | None) -> list[dict[str, Any]]:
    """Return each group's hyper-parameters as the user gave them, before any schedule's change."""
    given = [dict(group.settings) for group in optimizer.param_groups]
    if schedule is not None:
        for settings, lr in zip(given, schedule.base_lrs, strict=True):
            settings["lr"] = lr
    return given
