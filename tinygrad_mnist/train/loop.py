"""fit: trains a model for several epochs, and measures, saves and reports each epoch."""

import math
import os
from collections.abc import Callable, Iterator, Mapping
from itertools import islice

import numpy as np

from ..arrays import Array, Rng
from ..datasets import Batches
from ..errors import AnomalyError, check_size
from ..nn import Module
from ..optim import Optimizer, Schedule
from ..tensor import from_numpy
from .captured import Captured, NotFinite
from .checks import (
    check_answers,
    check_arguments,
    check_first_loss,
    check_measured,
    check_model_and_loss,
    check_run,
)
from .feed import Data, Share, make_feed
from .history import EarlyStopping, History
from .keeping import exists_for_all, keep_epoch, name_files, restore_best
from .keeping import resume as resume_run
from .measure import measure
from .progress import Progress
from .run import Plan, Run
from .scores import Loss, Metric, Tally

__all__ = ["fit"]

_ADVICE = "try a lower learning rate, clip_norm, or a step inside detect_anomaly()"


def fit(
    model: Module,
    loss: Loss,
    optimizer: Optimizer,
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
    drop_last: bool = False,
    clip_norm: float | None = None,
    accumulate: int = 1,
    metrics: Mapping[str, Metric] | None = None,
    on_step: Callable[[Run], object] | None = None,
    on_epoch: Callable[[Run], object] | None = None,
    capture: bool = False,
) -> History:
    """Train a model by gradient descent over shuffled batches; the same seed gives the same bits.

    Parameters
    ----------
    model : Module
        A tuple of inputs is passed to it as several arguments. It may return several outputs.
    loss : function of (outputs, targets) that returns a scalar Tensor, the mean over the batch
    optimizer : Optimizer, or parallel.DistributedOptimizer
    data : (inputs, targets), or an iterable of such batches with a length
        A pair contains arrays of equal length, or tuples of such arrays. An iterable is iterated
        again in each epoch; it decides itself about the order and any randomness.
    validation : as data, optional
        Evaluated after each epoch.
    epochs : int
        The number of passes over the data, including those before a resume.
    batch_size : int or None
        The number of examples in a batch; None puts all examples into one batch. It does not change
        the batches of an iterable.
    schedule : Schedule, optional
        Stepped after each step of the optimizer.
    early_stopping : EarlyStopping, optional
    checkpoint : path, optional
        The file that is written after each epoch, completely or not at all.
    resume : bool
        Whether to continue from `checkpoint`, if it exists, as if training had never stopped. If a
        hyper-parameter of the optimizer now has another value than in the previous run, the new
        value is used from now on. A schedule also uses the numbers that it is given now.
    progress : bool or int
        Whether to show a bar and lines. A number n gives a line every n epochs, and True gives
        about twenty lines in all.
    rng : numpy Generator or seed
        It decides the order of the examples.
    drop_last : bool
        Whether to leave out a last batch that is smaller than the others.
    clip_norm : float, optional
        The largest joint norm of the gradients of a step; larger gradients are scaled down.
    accumulate : int
        The number of batches in a step. The gradient is the mean over all their examples. The last
        step of an epoch may have fewer batches.
    metrics : mapping of names to functions of (outputs, targets), optional
        Their means over the examples are kept as `train_<name>` and `val_<name>`. The outputs are
        Tensors without a graph.
    on_step, on_epoch : function of a `Run`, optional
        `on_step` is called after each step. `on_epoch` is called after each epoch, when it is in
        the history but not yet saved.
    capture : bool
        Whether to capture the step as a `program`, which gives the same bits in less time if the
        model is small. The program takes only the full batches. Other batches, such as a shorter
        last one, run without it.

    Raises
    ------
    AnomalyError
        If a loss, or a parameter after an epoch, is not finite. `checkpoint` then holds the last
        epoch whose parameters and losses were finite.
    ValueError
        If sizes do not fit or are out of range, if the optimizer has none of the model's
        parameters, if early stopping waits for a metric that is never measured, or if the last
        batch is a single example and the model fails on it.
    TypeError
        If an argument is of the wrong kind.
    GraphError
        With `capture`, if the step cannot be captured.
    CheckpointError
        If `resume` finds a file that does not fit. Then nothing has changed.

    Warns
    -----
    UserWarning
        If the optimizer does not have all of the model's parameters, or the loss has a wider dtype
        than the parameters.

    Notes
    -----
    Accuracy is measured for labels and for rows of probabilities. It is also measured if the model
    has one output and the targets are 0 or 1. In this case an output above a threshold means 1. The
    threshold is 0 if the loss contains `sigmoid_cross_entropy`, else 0.5.
    """
    epochs = check_size("fit", "epochs", epochs, least=0)
    accumulate = check_size("fit", "accumulate", accumulate)
    metrics = {} if metrics is None else metrics
    check_model_and_loss("fit", model, loss)
    callbacks = {"on_step": on_step, "on_epoch": on_epoch}
    check_arguments(optimizer, schedule, early_stopping, clip_norm, metrics, callbacks)
    if resume and checkpoint is None:
        raise ValueError("fit: resume=True needs the path of a checkpoint")
    rng = data.rng if isinstance(data, Batches) else np.random.default_rng(rng)
    plan = Plan(
        loss=loss,
        feed=make_feed(
            "fit",
            data,
            batch_size,
            ranks=optimizer.ranks,
            shuffle=True,
            rng=rng,
            drop_last=drop_last,
        ),
        validation=validation,
        epochs=epochs,
        schedule=schedule,
        early_stopping=early_stopping,
        files=name_files(checkpoint),
        rng=rng,
        clip_norm=clip_norm,
        accumulate=accumulate,
        metrics=metrics,
        on_step=on_step,
        on_epoch=on_epoch,
        capture=capture,
    )
    if capture and (accumulate > 1 or optimizer.ranks.size > 1):
        raise ValueError(
            "fit: capture=True needs accumulate=1 and a single process, because a program is one "
            "whole step"
        )
    run = Run(plan, model, optimizer)
    check_run(run)
    if resume and plan.files and exists_for_all(plan.files.checkpoint, optimizer.ranks):
        resume_run(run, plan.files.checkpoint)
    captured = Captured(run) if capture else None
    with Progress(run, progress) as bar:
        while _goes_on(run):
            run.epoch += 1
            _record(run, _train_epoch(run, bar, captured))
            if on_epoch is not None:
                on_epoch(run)
            _agree_to_stop(run)
            keep_epoch(run)
            bar.show_epoch(run)
    restore_best(run)
    return run.history


def _goes_on(run: Run) -> bool:
    """Whether there is another epoch to train."""
    stopping = run._plan.early_stopping
    if run._stopping or run.epoch >= run._plan.epochs:
        return False
    return stopping is None or not stopping.wants_stop(run.history)


def _train_epoch(run: Run, bar: Progress, captured: Captured | None) -> Tally:
    """Take the steps of an epoch; return this rank's sums of losses and right answers."""
    plan, ranks = run._plan, run._ranks
    watched = any(ranks.gather(plan.on_step is not None))
    tally = Tally(len(plan.metrics))
    run.model.train()
    ranks.start_epoch(run.model)
    shares = iter(plan.feed)
    for _ in range(plan.steps_per_epoch):
        if captured is None:
            _take_step(run, islice(shares, plan.accumulate), tally)
        else:
            _take_captured_step(run, captured, next(shares), tally)
        if bar.every:
            bar.show_step(tally)
        if plan.on_step is not None:
            plan.on_step(run)
        if watched and _agree_to_stop(run):
            break
    else:
        next(shares, None)  # so that the feed finishes, and checks its number of batches
    ranks.end_epoch(run.model)
    return tally


def _take_captured_step(run: Run, captured: Captured, share: Share, tally: Tally) -> None:
    """Take one step by the program, or an eager step if the program cannot take this batch."""
    try:
        taken = captured.take(share)
    except NotFinite as error:
        raise _not_finite(error.args[0], tally, share) from None
    if taken is None:
        return _take_step(run, iter([share]), tally)
    run.loss, outputs = taken
    run._scorer.add(tally, run.loss, share.own, outputs, share.targets)
    _end_step(run)


def _end_step(run: Run) -> None:
    """Count a step, and let the schedule step, too."""
    run.step += 1
    run._lr = run.optimizer.param_groups[0].settings["lr"]
    if run._plan.schedule is not None:
        run._plan.schedule.step()


def _not_finite(loss: float, tally: Tally, share: Share) -> AnomalyError:
    about = f"the loss is {loss} after {tally.examples} examples of this epoch"
    if not all(np.isfinite(x).all() for x in share.inputs):
        return AnomalyError(f"fit: {about}, because its inputs are not all finite")
    return AnomalyError(f"fit: {about}; {_ADVICE}")


def _take_step(run: Run, shares: Iterator[Share], tally: Tally) -> None:
    """Take one step along the mean gradient of some batches."""
    plan, optimizer = run._plan, run.optimizer
    optimizer.zero_grad()
    losses, own, examples, unit = 0.0, 0, 0, 0
    for share in shares:
        unit = unit or share.total  # gradients are summed in units of the first batch's size
        examples += share.total
        if share.own:
            weight = share.own * optimizer.ranks.size / unit
            losses += _learn(run, share, weight, tally) * share.own
            own += share.own
    if examples != unit:
        _scale_gradients(optimizer, unit / examples)
    if plan.clip_norm is None:
        optimizer.step()
    else:
        optimizer.step(clip_norm=plan.clip_norm)
    run.loss = losses / own if own else math.nan
    _end_step(run)


def _learn(run: Run, share: Share, weight: float, tally: Tally) -> float:
    """Go forward and backward through one batch, with `weight` as the seed; return the loss."""
    scorer = run._scorer
    outputs = run.model(*map(from_numpy, share.inputs))
    value = scorer.compute_loss(outputs, share.targets)
    number = float(value.item())
    if not math.isfinite(number):
        raise _not_finite(number, tally, share)
    scorer.add(tally, number, share.own, outputs, share.targets)
    if not run._checked:
        run._checked = True
        check_first_loss(run, value)
        if tally.unanswered:
            check_answers(run)
    if weight == 1:
        value.backward()
    else:
        value.backward(np.full(value.shape, weight, value.dtype))
    return number


def _scale_gradients(optimizer: Optimizer, factor: float) -> None:
    for p in optimizer.params:
        if p.grad is not None:
            np.multiply(p.grad, factor, out=p.grad)


def _agree_to_stop(run: Run) -> bool:
    """Let all ranks stop if one of them wants to; return whether they stop."""
    run._stopping = any(run._ranks.gather(run._stopping))
    return run._stopping


def _record(run: Run, mine: Tally) -> None:
    """Add an epoch to the history.

    Raises
    ------
    AnomalyError
        If the validation loss or a parameter is not finite after the epoch.
    """
    plan, ranks, history = run._plan, run._ranks, run.history
    tally = mine.merge(ranks.gather(mine))
    ranks.require_same("fit", learning_rate=run._lr)
    _check_parameters(run)
    found = {"train_loss": tally.mean_loss(), "train_accuracy": tally.accuracy(), "lr": run._lr}
    for name, value in zip(plan.metrics, tally.mean_metrics(), strict=True):
        found[f"train_{name}"] = value
    if plan.validation is not None:
        measured, others = measure(
            "fit", run.model, plan.loss, plan.validation, metrics=plan.metrics, ranks=ranks
        )
        if not math.isfinite(measured.loss):
            raise AnomalyError(
                f"fit: the validation loss is {measured.loss} after epoch {run.epoch}; {_ADVICE}"
            )
        found |= {"val_loss": measured.loss, "val_accuracy": measured.accuracy}
        found |= {f"val_{name}": value for name, value in others.items()}
    for name, column in history.items():
        column.append(float(found.get(name, math.nan)))
    check_measured(run)


def _check_parameters(run: Run) -> None:
    with np.errstate(all="ignore"):  # if a sum overflows, _is_finite looks at each element
        finite = [_is_finite(p.data) for p in run.optimizer.params]
    for i, p in enumerate(run.optimizer.params):
        if not finite[i]:
            raise AnomalyError(
                f"fit: parameter {i} of the optimizer, of shape {p.shape}, is not finite after "
                f"epoch {run.epoch}; {_ADVICE}"
            )


def _is_finite(a: Array) -> bool:
    return bool(np.isfinite(np.add.reduce(a, axis=None)) or np.isfinite(a).all())
