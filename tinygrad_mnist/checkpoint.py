"""Checkpoints: everything that training needs to continue, in one safetensors file, not pickle."""

import copy
import json
import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np

from .arrays import Array
from .errors import CheckpointError
from .files import damaged, read_tensors, write_tensors

__all__ = ["load", "read", "save"]

VERSION = 1

# Prefixes for the names of an optimizer's arrays and of the caller's generators. The model's own
# names have no prefix, because other programs read them.
_OPTIMIZER, _CALLER = "optimizer/", "caller/"
Generators: TypeAlias = Mapping[str, "np.random.Generator"]


class Stateful(Protocol):
    """What a checkpoint needs from an optimizer."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: Any) -> None: ...


class Model(Stateful, Protocol):
    """What a checkpoint needs from a model; every `nn.Module` has it."""

    def named_generators(self) -> Any: ...


class Schedule(Stateful, Protocol):
    """What a checkpoint needs from a schedule, including the optimizer whose rate it sets."""

    opt: Any


def save(
    path: str | os.PathLike[str],
    model: Model,
    *,
    optimizer: Stateful | None = None,
    schedule: Stateful | None = None,
    generators: Generators | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """Write the model, and everything else that training needs to continue, to one file.

    The data go to a temporary file in the same folder, which is flushed to disk and then renamed.
    Therefore the path always holds one complete file, the previous or a new one, even after a crash
    or with several writers. Any program that reads safetensors can read the tensors, under the
    model's own names.

    Parameters
    ----------
    path : path
        Its folder must exist.
    model : Module
        Its parameters, buffers and random generators are kept.
    optimizer, schedule : optional
    generators : mapping of names to numpy Generators, optional
        Your own generators, outside the model.
    metadata : mapping, optional
        Anything that JSON can hold; `load` returns it.

    Raises
    ------
    TypeError
        If JSON cannot hold the metadata.
    ValueError
        If two of the model's entries, or two keys of the metadata, would get the same name.
    CheckpointError
        If safetensors does not support a tensor's dtype, or the metadata are too large.
    OSError
        If the file cannot be written. The previous one is still there.

    References
    ----------
    https://huggingface.co/docs/safetensors
    """
    path = Path(path)
    if isinstance(model, (Mapping, str, os.PathLike)):
        raise TypeError(
            "checkpoint.save: expected the path and then the model itself, got "
            f"{type(model).__name__} as the model"
        )
    tensors = dict(model.state_dict())
    reserved = [name for name in tensors if name.startswith(_OPTIMIZER)]
    if reserved:
        raise CheckpointError(
            f"{path}: the model's names must not begin with {_OPTIMIZER}, got {', '.join(reserved)}"
        )
    about: dict[str, Any] = {
        "version": VERSION,
        "model": type(model).__name__,
        "metadata": dict(metadata or {}),
    }
    found = _all_generators(model, generators)
    about["generators"] = {name: g.bit_generator.state for name, g in found.items()}
    about["seeds"] = {name: _seed(g) for name, g in found.items()}
    if optimizer is not None:
        about["optimizer"] = {"kind": type(optimizer).__name__, **optimizer.state_dict()}
        arrays = about["optimizer"].pop("arrays")
        tensors |= {_OPTIMIZER + name: array for name, array in arrays.items()}
    if schedule is not None:
        about["schedule"] = {"kind": type(schedule).__name__, **schedule.state_dict()}
    write_tensors(path, tensors, {"tinygrad_mnist": _as_json(about)})


def read(path: str | os.PathLike[str]) -> tuple[dict[str, Array], dict[str, Any]]:
    """Return the tensors of a safetensors file, and what `save` noted about them.

    The notes are {} if another program wrote the file.

    Raises
    ------
    CheckpointError
        If the file is missing, damaged, or of another version.
    """
    path = Path(path)
    tensors, notes = read_tensors(path)
    ours = notes.keys() & {"tinygrad_mnist", "sha256"}
    if not ours:
        return tensors, {}
    if len(ours) == 1:
        raise damaged(path)
    try:
        about = json.loads(notes["tinygrad_mnist"])
    except Exception as error:  # not JSON, or nested too deeply, or with numbers too long
        raise damaged(path) from error
    _check_notes(path, about)
    return tensors, about


def load(
    path: str | os.PathLike[str],
    model: Model,
    *,
    optimizer: Stateful | None = None,
    schedule: Schedule | None = None,
    generators: Generators | None = None,
    check: Callable[[dict[str, Any]], None] | None = None,
) -> dict[str, Any]:
    """Read a checkpoint into a model, and return the metadata that it was saved with.

    A safetensors file from PyTorch also loads if its names, shapes and dtypes match the model's.

    Parameters
    ----------
    path : path
    model : Module
    optimizer, schedule : optional
        The ones that were saved, made in the same way as then.
    generators : mapping of names to numpy Generators, optional
        Your own generators that were saved.
    check : function of the metadata, optional
        Called before anything has changed. An error that it raises reaches the caller.

    Raises
    ------
    CheckpointError
        If the file is missing, damaged, of another version, or of another model, optimizer,
        schedule or kind of generator. In that case nothing has changed.
    """
    path = Path(path)
    tensors, about = read(path)
    state, arrays = _split(tensors)
    own = model.state_dict()
    for name in own.keys() & state.keys():
        mine, its = own[name].dtype.newbyteorder("="), state[name].dtype
        if mine != its:
            raise CheckpointError(
                f"{path}: {name} is {its}, expected {mine}; convert the model with astype()"
            )
    parts: list[tuple[Stateful, Any]] = [(model, state)]
    if optimizer is not None:
        parts.append(
            (optimizer, {**_get_state(path, about, "optimizer", optimizer), "arrays": arrays})
        )
    if schedule is not None:
        parts.append((schedule, _get_state(path, about, "schedule", schedule)))
    found = _saved_generators(path, about, model, generators)
    metadata = dict(about.get("metadata", {}))
    if check is not None:
        check(metadata)
    others: list[Stateful] = [part for part, _ in parts[1:]]
    if schedule is not None and optimizer is None:
        others.insert(0, schedule.opt)  # because the schedule sets its rate
    try:
        with ExitStack() as undo:
            undo.callback(_put_back, model, own)
            for part in others:
                undo.callback(_put_back, part, part.state_dict())
            for bits, _ in found:
                undo.callback(_set_state, bits, bits.__getstate__())
            for part, saved in parts:
                part.load_state_dict(saved)
            for bits, saved in found:
                _set_state(bits, saved)
            undo.pop_all()
    except Exception as error:
        raise CheckpointError(f"{path}: {_reason(error)}") from error
    return metadata


# The notes


def _as_json(about: dict[str, Any]) -> str:
    """Return the notes as JSON that `read` can read again."""
    text = json.dumps(about, default=_plain)
    json.loads(text, object_pairs_hook=_without_twins)
    return text


def _plain(value: Any) -> Any:
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    raise TypeError(f"checkpoint: expected metadata that JSON can hold, got {type(value).__name__}")


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"checkpoint: two keys of metadata are {key!r} in JSON; rename one")
        found[key] = value
    return found


def _check_notes(path: Path, about: Any) -> None:
    """Raise a CheckpointError unless the notes have the form that `save` gives them."""
    version = about.get("version") if isinstance(about, dict) else None
    if version != VERSION:
        raise CheckpointError(f"{path}: expected version {VERSION}, got {version}")
    for part in ("metadata", "generators", "seeds", "optimizer", "schedule"):
        if not isinstance(about.get(part, {}), dict):
            kind = type(about[part]).__name__
            raise CheckpointError(f"{path}: expected its {part} as a mapping, got {kind}")


def _get_state(path: Path, about: dict[str, Any], key: str, part: Stateful) -> dict[str, Any]:
    """Return the saved state of an optimizer or a schedule, after a check of its kind."""
    saved = dict(about.get(key, {}))
    kind = saved.pop("kind", None)
    if kind != type(part).__name__:
        raise CheckpointError(
            f"{path}: expected the state of {type(part).__name__} as its {key}, got {kind}"
        )
    return saved


def _split(tensors: dict[str, Array]) -> tuple[dict[str, Array], dict[str, Array]]:
    """Return the model's tensors and the optimizer's."""
    size = len(_OPTIMIZER)
    ours = {name: a for name, a in tensors.items() if not name.startswith(_OPTIMIZER)}
    return ours, {name[size:]: a for name, a in tensors.items() if name not in ours}


def _put_back(part: Stateful, previous: Any) -> None:
    """Load a previous state, unless nothing has changed since."""
    if not _same(part.state_dict(), previous):
        part.load_state_dict(previous)


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(_same(a[name], b[name]) for name in a)
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    return bool(a == b)


def _reason(error: Exception) -> str:
    kind = "" if isinstance(error, (ValueError, TypeError)) else f"{type(error).__name__}: "
    return f"{kind}{error}"


# Random generators


def _all_generators(model: Model, generators: Generators | None) -> dict[str, Any]:
    own = {_CALLER + name: generator for name, generator in (generators or {}).items()}
    return {**dict(model.named_generators()), **own}


def _seed(generator: "np.random.Generator") -> dict[str, Any] | None:
    """Return the seed of the generator's children, and how many it has spawned so far."""
    sequence = generator.bit_generator.seed_seq
    if not isinstance(sequence, np.random.SeedSequence):
        return None
    return {
        "entropy": sequence.entropy,
        "spawn_key": sequence.spawn_key,
        "pool_size": sequence.pool_size,
        "n_children_spawned": sequence.n_children_spawned,
    }


def _saved_generators(
    path: Path, about: dict[str, Any], model: Model, own: Generators | None
) -> list[tuple[Any, Any]]:
    """Return the bit generators whose states are in the file, each with its new state."""
    states, seeds = about.get("generators", {}), about.get("seeds", {})
    found = []
    for name, generator in _all_generators(model, own).items():
        if name not in states:
            if name.startswith(_CALLER):
                raise CheckpointError(
                    f"{path}: expected the state of the generator {name.removeprefix(_CALLER)}, "
                    f"got those of {sorted(states)}"
                )
            continue
        bits = generator.bit_generator
        try:
            state = _new_state(bits, states[name], seeds.get(name))
        except Exception as error:
            raise CheckpointError(
                f"{path}: its state of the generator {name.removeprefix(_CALLER)} does not fit a "
                f"{type(bits).__name__}: {_reason(error)}"
            ) from error
        found.append((bits, state))
    return found


def _new_state(bits: Any, state: Any, seed: Any) -> Any:
    """Return a state for `_set_state`, after a trial on a copy of the bit generator."""
    sequence = bits.seed_seq
    if seed is not None and isinstance(sequence, np.random.SeedSequence):
        if not 4 <= seed["pool_size"] <= 1024:  # a forged size would take all memory
            raise ValueError(f"expected a pool of 4 to 1024 words, got {seed['pool_size']}")
        sequence = np.random.SeedSequence(**seed)
    new = state, sequence
    _set_state(copy.deepcopy(bits), new)
    return new


def _set_state(bits: Any, state: Any) -> None:
    """Set the state of a bit generator and its seed sequence, in place, as unpickling does."""
    bits.__setstate__(state)
