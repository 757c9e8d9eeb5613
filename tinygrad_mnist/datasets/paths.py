"""From a path to the images and labels that it leads to."""

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
    """Read the set that a path leads to.

    Parameters
    ----------
    path : Path
        Of a folder, an archive or a file.
    notes : list of str
        Gets what the user should know.

    Returns
    -------
    parts : dict
        The parts train and test; or one of them, or "" for one that no name calls so.
    name : str
        What these data are and where they lie.

    Raises
    ------
    DataError
        Naming the file, the place and what was expected.
    """
    path = expand_home(path)
    if os.path.isdir(path):
        found = find(list_folder(path), str(path), notes)
    elif os.path.exists(path):  # False, not an error, where it may not look
        found = _set_around(path)
    else:
        raise DataError(f"{path}: expected a folder or a file of MNIST, got nothing there")
    parts = read(found, str(path), notes)
    return parts, _describe(path, found)


def _set_around(path: Path) -> FileSet:
    """Return the set of one file."""
    found = examine(from_disk(path, digits=is_own(path.name)))
    file, kind = found.file, found.kind
    if kind == "zip":
        with open_archive(file):  # it is whole
            pass
        if not _promises_another_format(path.name):
            return FileSet((found,))
    if is_refused(kind):
        raise refusal(file, kind)
    if kind == "damaged":
        file.head(1 << 16)  # says how it is damaged
    if kind in ("text", "unknown"):
        _read_what_the_name_says(found)
    return set_of(path, found)


def _promises_another_format(name: str) -> bool:
    """Say whether a file's name promises something else than a zip archive."""
    ending = name.lower().removesuffix(".gz").rpartition(".")[2]
    return "ubyte" in name or ending in ("csv", "tsv", "npz", "npy", "arff", "parquet", "pq")


def _read_what_the_name_says(found: Found) -> None:
    """Raise the DataError that says most about a file whose content is not data."""
    if found.is_array:
        read_idx(found.file, found.name.role or "images")
    elif found.file.name.lower().endswith((".csv", ".tsv", ".csv.gz")):
        read_tables([found.file], [])
    raise refusal(found.file, found.kind)


def _describe(path: Path, found: FileSet | list[File]) -> str:
    """Return the name of a set: what it is, where it lies, and which files it has."""
    names = [file.name for file in found] if isinstance(found, list) else found.names
    is_mnist = isinstance(found, FileSet) and any(m.file.digits for m in found.members)
    kind = "MNIST" if is_mnist and not is_relative(str(path)) else "images"
    transposed = "; EMNIST's files store images transposed" if "emnist" in names[0].lower() else ""
    if names == [path.name]:
        return f"{kind} in {path}{transposed}"
    files = f"{names[0]} and {len(names) - 1} more files" if len(names) > 2 else ", ".join(names)
    return f"{kind} in {path if path.is_dir() else path.parent} ({files}{transposed})"
