"""Checkpoints: safetensors files with JSON metadata and a checksum, written whole or not at all. No pickle."""

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from .arrays import Array
from .errors import CheckpointError

__all__ = ["load", "save"]

VERSION = 1
_OPTIMIZER = (
    "optimizer/"  # before the names of an optimizer's arrays, so that the model's keep their own
)
_UNSIGNED = "0" * 64


class Stateful(Protocol):
    """What a checkpoint asks of an optimizer or a schedule."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: Any) -> None: ...


class Model(Stateful, Protocol):
    """What a checkpoint asks of a model; every `nn.Module` has it."""

    def named_generators(self) -> Any: ...


def save(
    path: str | os.PathLike[str],
    model: Model,
    *,
    optimizer: Stateful | None = None,
    schedule: Stateful | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """Write the model's tensors under their own names, and all else that training needs to go on, to one file.

    The file is written beside its place, flushed to disk and renamed: whatever happens, the
    previous one or the new one is there, whole. Any program that reads safetensors reads the
    tensors.

    Parameters
    ----------
    path : path
        Its folder must exist.
    model : Module
        Its parameters, buffers and random generators are kept.
    optimizer, schedule : optional
    metadata : mapping, optional
        Anything that JSON can hold; `load` returns it.

    Raises
    ------
    TypeError
        If the metadata are not for JSON.
    CheckpointError
        If a tensor is of a dtype that safetensors does not hold.
    OSError
        If the file cannot be written; the previous one is still there.

    References
    ----------
    https://huggingface.co/docs/safetensors
    """
    from safetensors.numpy import save as pack

    path = Path(path)
    tensors = dict(model.state_dict())
    about: dict[str, Any] = {
        "version": VERSION,
        "model": type(model).__name__,
        "metadata": dict(metadata or {}),
    }
    about["generators"] = {name: g.bit_generator.state for name, g in model.named_generators()}
    if optimizer is not None:
        about["optimizer"] = {"kind": type(optimizer).__name__, **optimizer.state_dict()}
        tensors |= {
            _OPTIMIZER + name: array for name, array in about["optimizer"].pop("arrays").items()
        }
    tensors = {
        name: np.asarray(array, order="C") for name, array in tensors.items()
    }  # which safetensors writes as they lie
    wrong = [
        f"{name} of {a.dtype}"
        for name, a in tensors.items()
        if a.dtype.kind not in "biufc" or a.dtype.itemsize > 8
    ]
    if wrong:
        raise CheckpointError(
            f"{path}: expected numbers of at most 8 bytes, which safetensors holds, got {', '.join(wrong)}"
        )
    if schedule is not None:
        about["schedule"] = {"kind": type(schedule).__name__, **schedule.state_dict()}
    text = json.dumps(about, default=_plain)
    # The checksum covers every byte of the file, itself written as zeros.
    content = pack(tensors, {"tinygrad_mnist": text, "sha256": _UNSIGNED})
    _write(path, _signed(content, _UNSIGNED, hashlib.sha256(content).hexdigest()))


def _plain(value: Any) -> Any:
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    raise TypeError(f"checkpoint: expected metadata that JSON can hold, got {type(value).__name__}")


def _signed(content: bytes, old: str, new: str) -> bytes:
    """Put a checksum in the place of another; inside the metadata's own text the quotes would be escaped."""
    return content.replace(f'"sha256":"{old}"'.encode(), f'"sha256":"{new}"'.encode(), 1)


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_name(path.name + ".tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    if hasattr(os, "O_DIRECTORY"):  # make the rename itself last through a power cut
        folder = os.open(path.parent, os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def read(path: str | os.PathLike[str]) -> tuple[dict[str, Array], dict[str, Any]]:
    """Return the tensors of a safetensors file and what `save` noted about them ({} for another program's file)."""
    from safetensors import SafetensorError
    from safetensors.numpy import load as unpack

    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: expected a checkpoint: {error.strerror}") from error
    try:
        size = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + size])
        notes = header.get("__metadata__", {})
        tensors = unpack(content)
        about = json.loads(notes["tinygrad_mnist"]) if "tinygrad_mnist" in notes else {}
    except KeyError as error:
        raise CheckpointError(
            f"{path}: expected tensors of NumPy's dtypes, got some of {error}; convert them first"
        ) from error
    except (SafetensorError, ValueError, AttributeError, TypeError, RecursionError) as error:
        raise CheckpointError(
            f"{path}: expected a safetensors file, got {len(content)} other bytes: {error}"
        ) from error
    if "tinygrad_mnist" in notes or "sha256" in notes:
        signature = str(notes.get("sha256"))
        unsigned = _signed(content, signature, _UNSIGNED)
        if hashlib.sha256(unsigned).hexdigest() != signature or "tinygrad_mnist" not in notes:
            raise CheckpointError(
                f"{path}: its content does not match its checksum; the file is damaged"
            )
        if about.get("version") != VERSION:
            raise CheckpointError(f"{path}: expected version {VERSION}, got {about.get('version')}")
    return tensors, about


def load(
    path: str | os.PathLike[str],
    model: Model,
    *,
    optimizer: Stateful | None = None,
    schedule: Stateful | None = None,
) -> dict[str, Any]:
    """Read a checkpoint into a model (and an optimizer, and a schedule), and return the metadata it was saved with.

    A safetensors file of PyTorch's loads, too, as far as its names, shapes and dtypes are the
    model's.

    Raises
    ------
    CheckpointError
        If the file is missing, damaged, of another version, or of another model, optimizer or
        schedule; nothing has changed then.
    """
    tensors, about = read(path)
    state = {name: a for name, a in tensors.items() if not name.startswith(_OPTIMIZER)}
    arrays = {
        name[len(_OPTIMIZER) :]: a for name, a in tensors.items() if name.startswith(_OPTIMIZER)
    }
    own = model.state_dict()
    for name in own.keys() & state.keys():
        mine, its = own[name].dtype, state[name].dtype
        if mine != its:
            raise CheckpointError(
                f"{path}: {name} is {its}, expected {mine}; convert the model with astype()"
            )
    parts: list[tuple[Stateful, dict[str, Any]]] = [(model, state)]
    for key, part in (("optimizer", optimizer), ("schedule", schedule)):
        if part is not None:
            saved = dict(about.get(key, {}))
            kind = saved.pop("kind", None)
            if kind != type(part).__name__:
                raise CheckpointError(
                    f"{path}: expected the state of {type(part).__name__} as its {key}, got {kind}"
                )
            parts.append((part, {**saved, "arrays": arrays} if key == "optimizer" else saved))
    try:
        with ExitStack() as undo:  # what is loaded before an error is put back
            for part, saved in parts:
                previous = part.state_dict()
                part.load_state_dict(saved)
                undo.callback(part.load_state_dict, previous)
            for name, generator in model.named_generators():
                if name in about.get("generators", {}):
                    undo.callback(
                        setattr, generator.bit_generator, "state", generator.bit_generator.state
                    )
                    generator.bit_generator.state = about["generators"][name]
            undo.pop_all()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path}: {error}") from error
    return dict(about.get("metadata", {}))
