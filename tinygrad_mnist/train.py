"""The training loop: fit, evaluate, predict, and what they report."""

import math
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np

from . import checkpoint as checkpoints
from .arrays import Array, Rng
from .datasets import Batches
from .errors import AnomalyError, CheckpointError, at_least
from .nn import Module
from .nn.module import evaluating
from .optim import Schedule
from .tensor import Tensor, from_numpy, no_grad

__all__ = ["EarlyStopping", "History", "Metrics", "evaluate", "fit", "predict"]

Data: TypeAlias = tuple[Array, Array]
Loss: TypeAlias = Callable[[Tensor, Any], Tensor]


class History(dict[str, list[float]]):
    """What `fit` saw, lists of an entry an epoch: `train_loss train_accuracy val_loss val_accuracy lr`.

    Accuracies are fractions; what does not exist (validation without data, the accuracy of a
    regression) is nan.
    """

    NAMES = ("train_loss", "train_accuracy", "val_loss", "val_accuracy", "lr")

    def __init__(self, values: dict[str, list[float]] | None = None) -> None:
        super().__init__({name: list((values or {}).get(name, [])) for name in self.NAMES})

    def last(self) -> str:
        """Return the last epoch in one line, without what does not exist."""
        return "  ".join(
            f"{k} {v[-1]:.4g}" for k, v in self.items() if k != "lr" and not math.isnan(v[-1])
        )


class Metrics(NamedTuple):
    """What `evaluate` measures."""

    loss: float
    """The mean of the loss over all examples."""
    accuracy: float
    """The fraction of examples whose largest output is the true class; nan where the targets are no classes."""
    confusion: Array | None
    """Counts of shape (C, C): rows are true classes, columns predicted ones; None where the targets are no classes."""


class Stepper(Protocol):
    """What `fit` asks of an optimizer: an `Optimizer` has it, and a `parallel.DistributedOptimizer`."""

    lr: float

    def zero_grad(self) -> None: ...
    def step(self) -> None: ...


class EarlyStopping:
    """Stop when a metric has not improved for `patience` epochs.

    Parameters
    ----------
    patience : int
        How many epochs without improvement to allow.
    min_delta : float
        The least change that counts as an improvement.
    metric : str
        A name of `History`; an accuracy is to rise, a loss to fall.
    restore_best : bool
        Whether the model ends with the parameters of the best epoch.

    Raises
    ------
    ValueError
        If a value is out of range, or the metric unknown.
    """

    def __init__(
        self,
        patience: int,
        min_delta: float = 0.0,
        metric: str = "val_loss",
        restore_best: bool = True,
    ) -> None:
        if not (patience >= 1 and min_delta >= 0):
            raise ValueError(
                f"EarlyStopping: expected patience >= 1 and min_delta >= 0, got {patience} and {min_delta}"
            )
        if metric not in History.NAMES[:4]:
            raise ValueError(
                f"EarlyStopping: expected a metric of {History.NAMES[:4]}, got {metric!r}"
            )
        self.patience, self.min_delta, self.metric, self.restore_best = (
            patience,
            min_delta,
            metric,
            restore_best,
        )

    def best(self, history: History) -> int:
        """Return the epoch (from 0) of the last improvement."""
        sign = 1 if self.metric.endswith("accuracy") else -1
        best, epoch = -math.inf, 0
        for i, value in enumerate(history[self.metric]):
            if sign * value > best + self.min_delta:
                best, epoch = sign * value, i
        return epoch

    def wants_stop(self, history: History) -> bool:
        """Return whether the last improvement is `patience` epochs ago."""
        return len(history[self.metric]) - 1 - self.best(history) >= self.patience


def _classes(outputs: Array, targets: Array) -> Array | None:
    """Return the true classes of a batch, from labels or rows of probabilities; None where there are no classes."""
    if outputs.ndim != 2 or outputs.shape[1] < 2:
        return None
    if targets.dtype.kind in "iu" and targets.ndim == 1:
        return targets.astype(
            np.intp
        )  # a small dtype would overflow where evaluate counts pairs of classes
    return (
        targets.argmax(axis=1)
        if targets.shape == outputs.shape and targets.dtype.kind == "f"
        else None
    )


def fit(
    model: Module,
    loss: Loss,
    optimizer: Stepper,
    data: Data,
    *,
    validation: Data | None = None,
    epochs: int,
    batch_size: int | None,
    schedule: Schedule | None = None,
    early_stopping: EarlyStopping | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    resume: bool = False,
    progress: bool | int = True,
    rng: Rng = None,
) -> History:
    """Train a model by gradient descent over shuffled batches; the same seed gives the same bits.

    Parameters
    ----------
    model : Module
    loss : function of (outputs, targets) that returns a scalar Tensor, the mean over the batch
    optimizer : Optimizer, or parallel.DistributedOptimizer
    data : (inputs, targets), arrays of equal length
    validation : (inputs, targets), optional
        Evaluated after each epoch.
    epochs : int
        How many passes over the data, those before a resume counted.
    batch_size : int or None
        Examples a step: 1 for one at a time, None for all at once.
    schedule : Schedule, optional
        Stepped after each step of the optimizer.
    early_stopping : EarlyStopping, optional
    checkpoint : path, optional
        Written after each epoch, whole or not at all.
    resume : bool
        Whether to go on from `checkpoint`, if it exists, as if training had never stopped.
    progress : bool or int
        Whether to show a bar, and a line every so many epochs (True: about twenty lines in all).
    rng : numpy Generator or seed
        The order of the examples.

    Raises
    ------
    AnomalyError
        If the loss is no longer finite; `checkpoint` still holds the last good epoch.
    ValueError
        If sizes do not fit or are out of range.
    """
    from tqdm import tqdm

    at_least(0, "fit", epochs=epochs)
    if resume and checkpoint is None:
        raise ValueError("fit: resume=True needs the path of a checkpoint")
    if (
        early_stopping is not None
        and early_stopping.metric.startswith("val")
        and validation is None
    ):
        raise ValueError(f"fit: early stopping by {early_stopping.metric} needs validation data")
    inputs, targets = data
    rng = np.random.default_rng(rng)
    size = max(len(inputs), 1) if batch_size is None else batch_size
    batches: Any = Batches(
        inputs, targets, size, shuffle=size < len(inputs), rng=rng
    )  # one batch needs no order
    if len(batches) == 0:
        raise ValueError("fit: expected at least one example, got none")
    # a parallel.DistributedOptimizer knows its ranks: each has its share of each batch, rank 0
    # alone writes and prints
    ranks: Any = optimizer
    comm, inner = getattr(ranks, "comm", None), getattr(ranks, "optimizer", ranks)
    if schedule is not None and schedule.opt is not ranks and schedule.opt is not inner:
        raise ValueError(
            "fit: expected a schedule of this optimizer, got one of another, which it would not change"
        )
    first, exists, measure = True, os.path.exists, evaluate
    if comm is not None:
        first, exists, measure, batches = (
            comm.rank == 0,
            ranks.exists,
            ranks.evaluate,
            ranks.shard(batches),
        )
    # the best epoch so far is kept beside the checkpoint, too, so that it outlives the process
    best_path = (
        None
        if checkpoint is None
        else Path(checkpoint).with_suffix(".best" + Path(checkpoint).suffix)
    )
    restore_best = early_stopping is not None and early_stopping.restore_best
    best: dict[str, Array] | None = None
    history = History()
    if resume and checkpoint is not None and exists(checkpoint):
        about = checkpoints.load(checkpoint, model, optimizer=inner, schedule=schedule)
        if not about.keys() >= {"history", "rng"}:
            raise CheckpointError(
                f"{checkpoint}: expected a checkpoint that fit wrote, got metadata of {sorted(about)}"
            )
        history = History(about["history"])
        rng.bit_generator.state = about["rng"]
        if (
            restore_best and best_path is not None and best_path.exists()
        ):  # else none was kept before
            best = checkpoints.read(best_path)[0]
    done, steps = len(history["lr"]), len(batches)
    every = (math.ceil(epochs / 20) if progress is True else int(progress)) if first else 0
    interval = 0.1 if sys.stderr.isatty() else 10  # a log file is no screen
    with tqdm(
        total=epochs * steps,
        initial=done * steps,
        disable=not every,
        unit="step",
        mininterval=interval,
    ) as bar:
        for epoch in range(done + 1, epochs + 1):
            if early_stopping is not None and early_stopping.wants_stop(history):
                break
            sums = _epoch(model, loss, optimizer, schedule, batches, bar)
            mean_loss, accuracy = _means(sums if comm is None else comm.allreduce(sums))
            measured = (
                measure(model, loss, validation)
                if validation is not None
                else Metrics(math.nan, math.nan, None)
            )
            for name, value in zip(
                History.NAMES, (mean_loss, accuracy, *measured[:2], optimizer.lr), strict=True
            ):
                history[name].append(float(value))
            if (
                early_stopping is not None
                and restore_best
                and early_stopping.best(history) == epoch - 1
            ):
                best = model.state_dict()
                if best_path is not None and first:
                    checkpoints.save(best_path, model)
            if checkpoint is not None and first:
                about = {"epoch": epoch, "history": history, "rng": rng.bit_generator.state}
                checkpoints.save(
                    checkpoint, model, optimizer=inner, schedule=schedule, metadata=about
                )
            if every and (epoch % every == 0 or epoch == epochs):
                bar.write(f"epoch {epoch}/{epochs}  {history.last()}")
    if best is not None:
        model.load_state_dict(best)
    return history


def _epoch(
    model: Module, loss: Loss, optimizer: Stepper, schedule: Schedule | None, batches: Any, bar: Any
) -> Array:
    """Run one pass of training; return sums of losses and right answers, numbers of examples and of those with a class."""
    model.train()
    sums = np.zeros(4)
    for x, y in batches:
        optimizer.zero_grad()
        if len(x):  # a rank's share of a small batch may be empty
            outputs = model(from_numpy(x))
            value = loss(outputs, y)
            number = float(value.item())
            if not math.isfinite(number):
                advice = (
                    "try a lower learning rate, clip_grad_norm, or a step inside detect_anomaly()"
                )
                raise AnomalyError(
                    f"fit: the loss is {number} after {int(sums[2])} examples of this epoch; {advice}"
                )
            value.backward()
            classes = _classes(outputs.data, y)
            right = 0 if classes is None else int((outputs.data.argmax(axis=1) == classes).sum())
            sums += number * len(x), right, len(x), 0 if classes is None else len(x)
        optimizer.step()
        if schedule is not None:
            schedule.step()
        if not bar.disable:
            bar.set_postfix_str("loss {:.4f}, accuracy {:.4f}".format(*_means(sums)), refresh=False)
            bar.update()
    return sums


def _means(sums: Array) -> tuple[float, float]:
    losses, right, examples, classified = sums.tolist()
    return (
        losses / examples if examples else math.nan,
        right / classified if classified else math.nan,
    )


@contextmanager
def _evaluating(model: Module) -> Iterator[Module]:
    """Put all modules in evaluation mode, recording no graph, in this thread or task only."""
    with no_grad(), evaluating():
        yield model


def evaluate(model: Module, loss: Loss, data: Data, *, batch_size: int = 1024) -> Metrics:
    """Measure the loss, the accuracy and the confusion matrix on some data, in evaluation mode, recording no graph.

    Parameters
    ----------
    model : Module
    loss : function of (outputs, targets) that returns a scalar Tensor, the mean over the batch
    data : (inputs, targets), arrays of equal length
    batch_size : int

    Raises
    ------
    ValueError
        If there are no examples, or inputs and targets differ in number.
    """
    inputs, targets = data
    if len(inputs) != len(targets) or len(inputs) == 0:
        raise ValueError(
            f"evaluate: expected as many inputs as targets, and some, got {len(inputs)} and {len(targets)}"
        )
    total, confusion = 0.0, None
    with _evaluating(model):
        for x, y in Batches(inputs, targets, batch_size, shuffle=False):
            outputs = model(from_numpy(x))
            total += float(loss(outputs, y).item()) * len(x)
            classes = _classes(outputs.data, y)
            if classes is not None:
                size = outputs.shape[1]
                pairs = np.bincount(
                    classes * size + outputs.data.argmax(axis=1), minlength=size * size
                )
                confusion = pairs.reshape(size, size) + (0 if confusion is None else confusion)
    right = math.nan if confusion is None else float(np.trace(confusion))
    return Metrics(total / len(inputs), right / len(inputs), confusion)


def predict(model: Module, inputs: Array, *, batch_size: int = 1024) -> Array:
    """Return the model's raw outputs (N, ...) for inputs (N, ...), in evaluation mode, recording no graph."""
    batches = [x for x, _ in Batches(inputs, inputs, batch_size, shuffle=False)] or [
        inputs
    ]  # no inputs are a batch, too
    with _evaluating(model):
        return np.concatenate([model(from_numpy(x)).data for x in batches])
