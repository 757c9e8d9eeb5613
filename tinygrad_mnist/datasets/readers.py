"""Read the files of a set with the reader for their format."""

from ..arrays import Array
from ..errors import DataError
from .archives import by_depth, open_archive
from .arff import read_arff
from .columns import PIXELS
from .detect import kind_of
from .files import File
from .idx import read_idx
from .images import read_folders
from .layouts import find
from .npy import read_npy
from .parquet import read_parquet
from .parts import Part, as_images, as_labels, check_digits, join_parts
from .refusals import is_refused, refusal
from .sets import FileSet
from .tables import read_tables

__all__ = ["read"]


def read(found: FileSet | list[File], place: str, notes: list[str]) -> dict[str, Part]:
    """Read a set of files, or pictures.

    Parameters
    ----------
    found : what `layouts.find` returns
    place : str
        The name of the folder, the archive or the file in error messages.
    notes : list of str
        Warnings for the user are appended here.

    Returns
    -------
    dict
        The parts train and test, or only one of them, or "" if no name says which part it is.

    Raises
    ------
    DataError
        If a file is wrong. The message names the file, the place and what was expected.
    """
    if isinstance(found, list):
        return read_folders(found, place)
    if found.unread:
        notes.append(f"{place}: {', '.join(found.unread)}: for validation, and not used")
    if found.is_array:
        return {part: _read_arrays(found, part) for part in found.parts}
    files = {part: found.files(part) for part in found.parts}
    every = [file for shards in files.values() for file in shards]
    kinds = [kind_of(file) for file in every]
    if len(every) == 1 and kinds[0] in ("npz", "zip"):
        return _read_archive(every[0], notes)
    if set(kinds) == {"table"}:  # together, because all of them show where the labels are
        parts = iter(read_tables(every, notes))
    else:
        parts = (_read_whole(file, kind, notes) for file, kind in zip(every, kinds, strict=True))
    whole = {}
    for part, shards in files.items():
        whole[part] = join_parts([next(parts) for _ in shards], shards[0].place)
        _check_promise(shards[0], part, whole[part].labels)
    return whole


def _check_promise(file: File, part: str, labels: Array | None) -> None:
    """Raise DataError if a file named as MNIST's does not have digits as labels."""
    if not file.digits:
        return
    if labels is None:
        raise DataError(
            f"{file.place}: line 1: expected {PIXELS + 1} columns, a label and {PIXELS} pixels, got"
            f" {PIXELS}"
        )
    check_digits(labels, lambda i: f"{file.place}: position {i} of the {part} labels")


def _read_arrays(found: FileSet, part: str) -> Part:
    [images_file], [labels_file] = found.files(part, "images"), found.files(part, "labels")
    images = as_images(_read_array(images_file, "images"), images_file.place)
    labels = as_labels(_read_array(labels_file, "labels"), labels_file.place)
    _check_promise(labels_file, part, labels)
    return Part(images, labels)


def _read_array(file: File, role: str) -> Array:
    kind = kind_of(file)
    if kind == "npy" or (file.name.endswith(".npy") and not is_refused(kind)):
        return read_npy(file)
    if kind == "npz":
        with open_archive(file) as [member]:
            return read_npy(member)
    if is_refused(kind):
        raise refusal(file, kind)
    return read_idx(file, role)


def _read_whole(file: File, kind: str, notes: list[str]) -> Part:
    """Read a file that contains images and labels."""
    if kind == "arff":
        return read_arff(file)
    if kind == "parquet":
        return read_parquet(file)
    if kind == "npz":
        parts = _read_archive(file, notes)
        if list(parts) != [""]:
            raise DataError(f"{file.place}: expected images and labels, got {', '.join(parts)}")
        return parts[""]
    if is_refused(kind):
        raise refusal(file, kind)
    [part] = read_tables([file], notes)
    return part


def _read_archive(file: File, notes: list[str]) -> dict[str, Part]:
    place = f"{file.place}, {'an npz file' if kind_of(file) == 'npz' else 'a zip archive'}"
    with open_archive(file) as members:
        found = find(by_depth(members), place, notes)
        if isinstance(found, FileSet) and found.members[0].kind == "zip":
            raise refusal(found.members[0].file, "zip")
        return read(found, place, notes)
