"""Read the images and labels at a path."""

import os
from pathlib import Path

from ..errors import DataError
from .archives import list_folder, open_archive
from .files import File, expand_home, from_disk
from .idx import read_idx
from .layouts import find, set_of
from .names import is_own, is_relative
from .parts import Part
from .readers import read
from .refusals import is_refused, refusal
from .sets import FileSet, Found, examine
from .tables import read_tables

__all__ = ["read_path"]


def read_path(path: Path, notes: list[str]) -> tuple[dict[str, Part], str]:
    """Read the set at a path.

    Parameters
    ----------
    path : Path
        The path of a folder, an archive or a file.
    notes : list of str
        Warnings for the user are appended here.

    Returns
    -------
    parts : dict
        The parts train and test, or only one of them, or "" if no name says which part it is.
    name : str
        What these data are, and where they are stored.

    Raises
    ------
    DataError
        If a file is wrong. The message names the file, the place and what was expected.
    """
    path = expand_home(path)
    if os.path.isdir(path):
        found = find(list_folder(path), str(path), notes)
    elif os.path.exists(path):  # False if access is denied, unlike Path.exists
        found = _set_around(path)
    else:
        raise DataError(f"{path}: expected a folder or a file of MNIST, got nothing there")
    parts = read(found, str(path), notes)
    return parts, _describe(path, found)


def _set_around(path: Path) -> FileSet:
    """Return the set that one file belongs to."""
    found = examine(from_disk(path, digits=is_own(path.name)))
    file, kind = found.file, found.kind
    if kind == "zip":
        with open_archive(file):  # to check that it is not damaged
            pass
        if not _promises_another_format(path.name):
            return FileSet((found,))
    if is_refused(kind):
        raise refusal(file, kind)
    if kind == "damaged":
        file.head(1 << 16)  # raises the error that says how it is damaged
    if kind in ("text", "unknown"):
        _read_what_the_name_says(found)
    return set_of(path, found)


def _promises_another_format(name: str) -> bool:
    """Return whether a file's name says that it is not a zip archive."""
    ending = name.lower().removesuffix(".gz").rpartition(".")[2]
    return "ubyte" in name or ending in ("csv", "tsv", "npz", "npy", "arff", "parquet", "pq")


def _read_what_the_name_says(found: Found) -> None:
    """Raise the most helpful DataError for a file whose content is not data."""
    if found.is_array:
        read_idx(found.file, found.name.role or "images")
    elif found.file.name.lower().endswith((".csv", ".tsv", ".csv.gz")):
        read_tables([found.file], [])
    raise refusal(found.file, found.kind)


def _describe(path: Path, found: FileSet | list[File]) -> str:
    """Return the name of a set: what it is, where it is stored, and which files it has."""
    names = [file.name for file in found] if isinstance(found, list) else found.names
    is_mnist = isinstance(found, FileSet) and any(m.file.digits for m in found.members)
    kind = "MNIST" if is_mnist and not is_relative(str(path)) else "images"
    transposed = "; EMNIST's files store images transposed" if "emnist" in names[0].lower() else ""
    if names == [path.name]:
        return f"{kind} in {path}{transposed}"
    files = f"{names[0]} and {len(names) - 1} more files" if len(names) > 2 else ", ".join(names)
    return f"{kind} in {path if path.is_dir() else path.parent} ({files}{transposed})"
