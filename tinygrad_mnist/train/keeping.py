"""A run on disk: the checkpoint after each epoch, the best epoch, and resuming from them."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .. import checkpoint as checkpoints
from ..errors import CheckpointError
from ..optim import Ranks
from .history import History
from .run import Best, Files, Run

_ORDER = "order of the examples"  # the name of the generator that fit keeps

__all__ = ["exists_for_all", "keep_epoch", "name_files", "restore_best", "resume"]


def name_files(path: Any) -> Files | None:
    """Return a run's files: `run.safetensors`, and `run.best.safetensors` for its best epoch."""
    if path is None:
        return None
    checkpoint = Path(path)
    return Files(checkpoint, checkpoint.with_suffix(".best" + checkpoint.suffix))


def exists_for_all(path: Path, ranks: Ranks) -> bool:
    """Return whether all ranks can see a file; raise an error if only some of them can."""
    found = ranks.gather(path.exists())
    if len(set(found)) > 1:
        blind = [rank for rank, there in enumerate(found) if not there]
        raise CheckpointError(
            f"{path}: expected a file that all ranks can read, but rank(s) {blind} cannot see it"
        )
    return found[0]


def keep_epoch(run: Run) -> None:
    """Write the checkpoint, and note the parameters of the best epoch if it is this one.

    The checkpoint is written first. If the process dies between the two files, the best epoch is
    the last one, and the checkpoint itself contains it.
    """
    files = run._plan.files
    improved = _is_best_last(run)
    if improved:
        run._best = _note_best(run)
    if files is None or run._ranks.rank != 0:
        return
    checkpoints.save(
        files.checkpoint,
        run.model,
        optimizer=run.optimizer.alone,
        schedule=run._plan.schedule,
        generators={_ORDER: run._plan.rng},
        metadata={
            "epoch": run.epoch,
            "step": run.step,
            "history": run.history,
            "given": run._given,
            "best": None if run._best is None else run._best[:2],
        },
    )
    if improved:
        _write_best(run)


def _note_best(run: Run) -> Best:
    state = run.model.state_dict()
    digest = hashlib.sha256()
    for name, array in state.items():
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return Best(run.epoch, digest.hexdigest(), state)


def _write_best(run: Run) -> None:
    best, files = run._best, run._plan.files
    if best is not None and files is not None and run._ranks.rank == 0:
        note = {"epoch": best.epoch, "digest": best.digest}
        checkpoints.save(files.best, run.model, metadata=note)


def restore_best(run: Run) -> None:
    """Give the model the parameters of the best epoch, if early stopping has kept them."""
    stopping = run._plan.early_stopping
    if stopping is not None and stopping.restore_best and run._best is not None:
        run.model.load_state_dict(run._best.state)


class _Saved(NamedTuple):
    """What `fit` wrote into a checkpoint's metadata, checked."""

    epoch: int
    step: int
    history: History
    given: Sequence[Mapping[str, Any]] | None
    best: tuple[int, str] | None


def resume(run: Run, path: Path) -> None:
    """Continue from a checkpoint, as if training had never stopped.

    Everything is read and checked before anything changes.

    Raises
    ------
    CheckpointError
        If a file is missing, damaged, or of another run. Then nothing has changed.
    """
    _, about = checkpoints.read(path)
    saved = _read_metadata(path, about.get("metadata", {}), run)
    best = _read_best(run, saved)
    checkpoints.load(
        path,
        run.model,
        optimizer=run.optimizer.alone,
        schedule=run._plan.schedule,
        generators={_ORDER: run._plan.rng},
    )
    run.epoch, run.step, run.history = saved.epoch, saved.step, saved.history
    run._best = best
    if _is_best_last(run):  # its file may be missing, if the process died before it was written
        run._best = _note_best(run)
        _write_best(run)
    _follow_new_settings(run, saved)


def _is_best_last(run: Run) -> bool:
    """Whether the last epoch is the best, and the model should end with the best."""
    stopping = run._plan.early_stopping
    keeps = stopping is not None and stopping.restore_best and run.epoch > 0
    return keeps and stopping is not None and stopping.best(run.history) == run.epoch - 1


def _read_metadata(path: Path, about: Any, run: Run) -> _Saved:
    if not isinstance(about, Mapping) or "history" not in about:
        got = sorted(about) if isinstance(about, Mapping) else about
        raise CheckpointError(
            f"{path}: expected a checkpoint that fit wrote, got metadata of {got}"
        )
    history = _read_history(path, about["history"], run)
    epoch = len(history["lr"])
    step = about.get("step", epoch * run._plan.steps_per_epoch)
    given, best = about.get("given"), about.get("best")
    try:
        given = None if given is None else [dict(settings) for settings in given]
        best = None if best is None else (int(best[0]), str(best[1]))
        return _Saved(epoch, int(step), history, given, best)
    except (ValueError, TypeError, KeyError, IndexError, OverflowError) as error:
        raise CheckpointError(f"{path}: expected the notes of fit: {error}") from error


def _read_history(path: Path, values: Any, run: Run) -> History:
    """Return the saved history, with nan for metrics that were not measured before."""
    try:
        kept = {str(name): [float(v) for v in column] for name, column in values.items()}
        epochs = len(kept["lr"])
    except (AttributeError, TypeError, ValueError, KeyError) as error:
        raise CheckpointError(f"{path}: expected the history of a run: {error!r}") from error
    if any(len(column) != epochs for column in kept.values()):
        raise CheckpointError(f"{path}: expected a history of {epochs} epochs in each column")
    new = {name: [math.nan] * epochs for name in run.history if name not in kept}
    return History({**kept, **new})


def _read_best(run: Run, saved: _Saved) -> Best | None:
    """Return the best epoch of the run, after a check that its file belongs to this run.

    The result is None if the best epoch is the last one, because that is in the checkpoint itself.
    It is also None if no best epoch was kept, because early stopping is new.
    """
    stopping, files = run._plan.early_stopping, run._plan.files
    if stopping is None or not stopping.restore_best or files is None or not saved.epoch:
        return None
    epoch = stopping.best(saved.history) + 1
    if epoch == saved.epoch or saved.best is None or saved.best[0] != epoch:
        return None
    state, about = checkpoints.read(files.best)
    if about.get("metadata", {}).get("digest") != saved.best[1]:
        raise CheckpointError(
            f"{files.best}: expected the best epoch, {epoch}, of the run in {files.checkpoint}, "
            "got that of another run"
        )
    return Best(epoch, saved.best[1], state)


def _follow_new_settings(run: Run, saved: _Saved) -> None:
    """Use the hyper-parameters that the user has changed since the previous run."""
    schedule, groups = run._plan.schedule, run.optimizer.param_groups
    if saved.given is None or len(saved.given) != len(groups):
        return
    for i, (group, now, then) in enumerate(zip(groups, run._given, saved.given, strict=True)):
        for name, value in now.items():
            before = then.get(name)
            before = tuple(before) if isinstance(before, list) else before
            if value == before:
                continue
            group[name] = value
            if name == "lr" and schedule is not None:
                schedule.set_base_rate(i, value)
