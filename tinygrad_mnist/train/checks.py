"""Checks that `fit` makes as early as possible, before it trains for hours in vain."""

import copy
import math
import warnings
from collections.abc import Mapping
from typing import Any

from ..nn import Module
from ..optim import Optimizer, Schedule
from ..tensor import Tensor, from_numpy, no_grad
from .feed import Share, make_feed
from .history import EarlyStopping, History
from .run import Run

__all__ = [
    "check_answers",
    "check_arguments",
    "check_first_loss",
    "check_measured",
    "check_model_and_loss",
    "check_run",
]


def check_model_and_loss(op: str, model: Any, loss: Any) -> None:
    """Raise a TypeError if the model or the loss is of the wrong kind."""
    if isinstance(model, type):
        name = model.__name__
        raise TypeError(f"{op}: expected a model, got the class {name}; make one by {name}(...)")
    if not isinstance(model, Module):
        raise TypeError(f"{op}: expected a model, an nn.Module, got a {type(model).__name__}")
    if not callable(loss) or isinstance(loss, type):
        got = loss.__name__ if isinstance(loss, type) else repr(loss)
        raise TypeError(
            f"{op}: expected the loss to be a function of (outputs, targets), such as "
            f"tinygrad_mnist.mse, got {got}"
        )


def check_arguments(
    optimizer: Any,
    schedule: Any,
    early_stopping: Any,
    clip_norm: float | None,
    metrics: Mapping[str, Any],
    callbacks: Mapping[str, Any],
) -> None:
    """Raise an error if an argument of `fit` is of the wrong kind, or out of range."""
    kinds = (
        ("optimizer", optimizer, Optimizer),
        ("schedule", schedule, Schedule),
        ("early_stopping", early_stopping, EarlyStopping),
    )
    for name, value, kind in kinds:
        if not isinstance(value, kind) and (value is not None or kind is Optimizer):
            advice = ""
            if kind is Optimizer:
                advice = "; make one, by optim.Adam(model.parameters()) for example"
            raise TypeError(
                f"fit: expected {name} of the class {kind.__name__}, got {value!r}{advice}"
            )
    if clip_norm is not None and not clip_norm > 0:
        raise ValueError(f"fit: expected clip_norm above 0, got {clip_norm}")
    if not isinstance(metrics, Mapping):
        raise TypeError(
            "fit: expected metrics to be a dict of names and functions of (outputs, targets), got "
            f"a {type(metrics).__name__}"
        )
    for name, metric in metrics.items():
        if not isinstance(name, str) or not callable(metric):
            raise TypeError(
                "fit: expected metrics to map names to functions of (outputs, targets), "
                f"got {name!r}: {metric!r}"
            )
        if f"train_{name}" in History.NAMES:
            raise ValueError(f"fit: expected other names of metrics than fit's own, got {name!r}")
    for name, callback in callbacks.items():
        if callback is not None and not callable(callback):
            raise TypeError(f"fit: expected {name} to be a function of a Run, got {callback!r}")


def check_run(run: Run) -> None:
    """Raise an error or warn if a run cannot succeed with these arguments."""
    plan = run._plan
    _check_optimizer(run)
    if plan.schedule is not None and plan.schedule.opt.alone is not run.optimizer.alone:
        raise ValueError(
            "fit: expected a schedule of this optimizer, got one of another, which it would not "
            "change"
        )
    if plan.validation is not None:
        make_feed("fit", plan.validation, batch_size=None)  # raises now, not after an epoch
    _check_metric(run)
    _check_folder(run)
    single = plan.feed.single()
    if single is not None:
        _try_single_example(run.model, single)
    _check_ranks(run)


def _check_optimizer(run: Run) -> None:
    held = {id(p) for p in run.optimizer.params}
    named = list(run.model.named_parameters())
    missing = [name for name, p in named if id(p) not in held]
    kind = type(run.optimizer.alone).__name__
    if named and len(missing) == len(named):
        raise ValueError(
            f"fit: the optimizer has none of the model's {len(named)} parameters; make it of "
            f"this model, by {kind}(model.parameters(), ...)"
        )
    missing = [name for name, p in named if p.requires_grad and name in missing]
    if missing and run._ranks.rank == 0:
        warnings.warn(
            f"fit: the optimizer does not have the parameter(s) {', '.join(missing)}, which stay "
            "as they are; give it model.parameters(), or freeze them by requires_grad = False",
            stacklevel=4,
        )


def _check_metric(run: Run) -> None:
    stopping = run._plan.early_stopping
    if stopping is None:
        return
    if stopping.metric not in run.history:
        measured = ", ".join(name for name in run.history if name != "lr")
        raise ValueError(
            f"fit: early stopping by {stopping.metric} needs a metric that is measured, "
            f"which are {measured}"
        )
    if stopping.metric.startswith("val") and run._plan.validation is None:
        raise ValueError(f"fit: early stopping by {stopping.metric} needs validation data")


def check_measured(run: Run) -> None:
    """Raise a ValueError if early stopping waits for a metric that is nan from the start."""
    stopping = run._plan.early_stopping
    if stopping is not None and all(map(math.isnan, run.history[stopping.metric])):
        raise ValueError(
            f"fit: early stopping by {stopping.metric} needs a number, but it is nan after epoch "
            f"{run.epoch}"
        )


def check_answers(run: Run) -> None:
    """Raise a ValueError: early stopping waits for an accuracy, but the targets have no classes."""
    stopping = run._plan.early_stopping
    if stopping is not None and stopping.metric in ("train_accuracy", "val_accuracy"):
        raise ValueError(
            f"fit: early stopping by {stopping.metric} needs classes, but these targets have "
            "none, so an accuracy is never measured; choose a loss"
        )


def _check_folder(run: Run) -> None:
    files, ranks = run._plan.files, run._ranks
    if files is not None and not ranks.from_first(files.checkpoint.parent.is_dir()):
        raise FileNotFoundError(
            f"fit: expected the folder {files.checkpoint.parent} for the checkpoint, and it does "
            "not exist; make it first"
        )


def _try_single_example(model: Module, single: Share) -> None:
    """Raise a ValueError if the model fails on a single example, as an epoch's last batch may be.

    The test runs a copy of the model, so that running statistics and generators do not change.
    """
    try:
        trial = copy.deepcopy(model).train()
    except Exception:  # a model that cannot be copied is not tried
        return
    try:
        with no_grad():
            trial(*map(from_numpy, single.inputs))
    except Exception as error:
        raise ValueError(
            f"fit: the last batch leaves a single example, and the model fails on it: {error}. "
            "Pass drop_last=True, or another batch_size"
        ) from error


def _check_ranks(run: Run) -> None:
    """Raise a ValueError on every rank if the arguments of `fit` differ between ranks."""
    ranks, plan = run._ranks, run._plan
    if ranks.size == 1:
        return
    stopping = plan.early_stopping
    ranks.require_same(
        "fit",
        hyper_parameters=run._given,
        epochs=plan.epochs,
        accumulate=plan.accumulate,
        clip_norm=plan.clip_norm,
        metrics=list(plan.metrics),
        early_stopping=None if stopping is None else vars(stopping),
        schedule=None if plan.schedule is None else repr(plan.schedule.state_dict()),
        training_data=plan.feed.fingerprint(),
    )


def check_first_loss(run: Run, value: Tensor) -> None:
    """Warn if the loss has a wider dtype than the parameters, because that makes `fit` slow."""
    widest = max(p.dtype.itemsize for p in run.optimizer.params)
    if value.dtype.itemsize > widest and run._ranks.rank == 0:
        dtype = max((p.dtype for p in run.optimizer.params), key=lambda d: d.itemsize)
        warnings.warn(
            f"fit: the loss is {value.dtype} though the parameters are {dtype}, which takes twice "
            f"the time; convert inputs and targets by .astype(np.{dtype})",
            stacklevel=6,
        )
