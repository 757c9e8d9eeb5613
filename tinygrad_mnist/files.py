"""Read and write safetensors files: written completely or not at all, with a checksum."""

import contextlib
import errno
import hashlib
import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from .arrays import Array
from .errors import CheckpointError

try:
    import fcntl as _fcntl

    fcntl: Any = _fcntl
except ImportError:  # Windows
    fcntl = None

__all__ = ["check_path", "damaged", "read_tensors", "write_tensors"]

LARGEST_HEADER = 100_000_000  # bytes: readers of safetensors files refuse a longer header
# A temporary file whose last write was this many seconds ago was left by a killed process: RECENT
# if nobody holds a lock on it, ABANDONED in any case.
RECENT, ABANDONED = 10, 3600
UNSIGNED = "0" * 64
DTYPES = {  # the format's names, by NumPy's kind and size
    "b1": "BOOL", "u1": "U8", "u2": "U16", "u4": "U32", "u8": "U64", "i1": "I8", "i2": "I16",
    "i4": "I32", "i8": "I64", "f2": "F16", "f4": "F32", "f8": "F64", "c8": "C64",
}  # fmt: skip


def write_tensors(path: Path, tensors: Mapping[str, Array], notes: Mapping[str, str]) -> None:
    """Write tensors and notes to a file, with a checksum.

    The data go to a temporary file in the same folder, which is flushed to disk and then renamed.
    So the path always holds one complete file, the previous or a new one, even with several
    writers.

    Raises
    ------
    CheckpointError
        If the format cannot hold a tensor's dtype or name, or the notes are too long.
    OSError
        If the file cannot be written. The previous one is still there.
    """
    _check_folder(path)
    header, parts = _pack(path, tensors, notes)
    temporary = _temporary(path)
    try:
        with ExitStack() as lock:
            with temporary.open("xb") as file:
                lock.enter_context(_lock(file))
                _write_signed(file, header, parts)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    _remove_remains(path)
    if hasattr(os, "O_DIRECTORY"):  # make the rename itself last through a power cut
        folder = os.open(path.parent, os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def read_tensors(path: Path) -> tuple[dict[str, Array], dict[str, str]]:
    """Return the tensors and the notes of a file, after checking its checksum if it has one.

    Raises
    ------
    CheckpointError
        If the file is missing or damaged.
    """
    from safetensors.numpy import load as unpack

    try:
        content = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: expected a checkpoint: {error.strerror}") from error
    try:
        tensors = unpack(content)
        size = 8 + int.from_bytes(content[:8], "little")
        notes = json.loads(content[8:size]).get("__metadata__") or {}
    except KeyError as error:
        raise CheckpointError(
            f"{path}: expected tensors of NumPy's dtypes, got some of {error}; convert them first"
        ) from error
    except Exception as error:  # from the package, from JSON, or from impossible numbers
        raise CheckpointError(
            f"{path}: expected a safetensors file, got {len(content)} other bytes: {error}"
        ) from error
    signature = notes.get("sha256")
    if signature is not None:
        header = content[:size].replace(_sign(signature), _sign(UNSIGNED), 1)
        checksum = hashlib.sha256(header)
        checksum.update(memoryview(content)[size:])
        if checksum.hexdigest() != signature:
            raise damaged(path)
    return tensors, notes


def damaged(path: Path) -> CheckpointError:
    """Return the error of a file that was changed after it was written."""
    return CheckpointError(f"{path}: its content does not match its checksum; the file is damaged")


def check_path(path: str | os.PathLike[str]) -> None:
    """Raise now, before hours of training, the error that `save` would raise for this path.

    Raises
    ------
    OSError
        If the folder is missing or cannot be written to, or the path is itself a folder.
    """
    path = Path(path)
    _check_folder(path)
    trial = _temporary(path)
    try:
        trial.touch(exist_ok=False)
    except OSError as error:
        reason = f"cannot write to the folder {path.parent}: {error.strerror}"
        raise type(error)(error.errno, reason, str(path)) from error
    trial.unlink(missing_ok=True)


def _check_folder(path: Path) -> None:
    folder, name = path.parent, str(path)
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "expected the path of a file, got a folder", name)
    if not folder.exists():
        reason = f"the folder {folder} does not exist; make it before saving"
        raise FileNotFoundError(errno.ENOENT, reason, name)
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, f"{folder} is not a folder", name)


def _pack(
    path: Path, tensors: Mapping[str, Array], notes: Mapping[str, str]
) -> tuple[bytes, list[Array]]:
    """Return the unsigned header of a safetensors file and the arrays that follow it.

    The package safetensors could also write the file, but it would first copy all tensors.
    """
    wrong = [f"{name} of {a.dtype}" for name, a in tensors.items() if _code(a) not in DTYPES]
    if wrong:
        raise CheckpointError(
            f"{path}: expected numbers of at most 8 bytes, which safetensors holds, "
            f"got {', '.join(wrong)}"
        )
    header: dict[str, Any] = {"__metadata__": {**notes, "sha256": UNSIGNED}}
    parts, place = [], 0
    # The widest dtypes come first, so that every array starts at a multiple of its item size.
    for name in sorted(tensors, key=lambda name: (-tensors[name].itemsize, name)):
        array = tensors[name]
        end = place + array.nbytes
        shape, code = list(array.shape), DTYPES[_code(array)]
        header[name] = {"dtype": code, "shape": shape, "data_offsets": [place, end]}
        parts.append(array)
        place = end
    try:
        text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError as error:
        raise CheckpointError(f"{path}: expected names in Unicode: {error}") from error
    text += b" " * (-len(text) % 8)
    if len(text) > LARGEST_HEADER:
        raise CheckpointError(
            f"{path}: the metadata and names take {len(text):,} bytes; a safetensors file holds at "
            f"most {LARGEST_HEADER:,} of them"
        )
    return len(text).to_bytes(8, "little") + text, parts


def _code(array: Array) -> str:
    return f"{array.dtype.kind}{array.dtype.itemsize}"


def _sign(signature: str) -> bytes:
    """Return a checksum as the header contains it; a note cannot match it, as its quotes differ."""
    return f'"sha256":"{signature}"'.encode()


def _write_signed(file: BinaryIO, header: bytes, parts: list[Array]) -> None:
    """Write the header and the arrays, and then their checksum into the header."""
    file.write(header)
    # The checksum covers every byte of the file, with zeros in the place of the checksum itself.
    checksum = hashlib.sha256(header)
    for array in parts:
        if array.size:
            little = array.dtype.newbyteorder("<")
            data = np.asarray(array, little, order="C").reshape(-1).view(np.uint8).data
            checksum.update(data)
            file.write(data)
    file.seek(0)
    file.write(header.replace(_sign(UNSIGNED), _sign(checksum.hexdigest()), 1))


def _temporary(path: Path) -> Path:
    """Return a name beside the path that no other writer uses."""
    return path.with_name(f"{path.name}.{os.urandom(8).hex()}.tmp")


@contextlib.contextmanager
def _lock(file: BinaryIO) -> Iterator[None]:
    """Hold a lock while this process writes the file; the system drops it if the process dies."""
    if fcntl is None:
        yield
        return
    with contextlib.suppress(OSError):  # a file system without locks
        fcntl.flock(file, fcntl.LOCK_EX)
    held = os.dup(file.fileno())  # so that it lasts until the file is renamed
    try:
        yield
    finally:
        os.close(held)


def _remove_remains(path: Path) -> None:
    """Remove temporary files of this path whose writers were killed."""
    name = re.compile(re.escape(path.name) + r"\.[0-9a-f]{16}\.tmp")
    with contextlib.suppress(OSError), os.scandir(path.parent) as entries:
        for entry in entries:
            if name.fullmatch(entry.name):
                with contextlib.suppress(OSError):  # another writer has renamed or removed it
                    age = time.time() - entry.stat().st_mtime
                    if age > ABANDONED or (age > RECENT and _is_unlocked(entry.path)):
                        os.unlink(entry.path)


def _is_unlocked(path: str) -> bool:
    if fcntl is None:
        return False
    with open(path, "rb") as file, contextlib.suppress(OSError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False
