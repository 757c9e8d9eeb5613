"""Find the set to load in a folder or an archive, or the set that one file belongs to."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..errors import DataError
from .archives import list_folder
from .detect import is_picture_name
from .files import File
from .names import parse
from .refusals import refusal
from .sets import ARRAYS, PARTS, TABLES, FileSet, Found, canonical_folder, examine, group_files

__all__ = ["FORMATS", "find", "set_of"]

FORMATS = (
    "the IDX files (train-images-idx3-ubyte and so on, raw or .gz), mnist.npz, x_train.npy and so"
    " on, mnist_train.csv and mnist_test.csv, train.csv and test.csv, mnist_784.arff, Parquet"
    " files, a folder of pictures for each class, or a zip archive of these"
)
_ORDER = (*ARRAYS, "npz", *TABLES)  # the preferred formats, if MNIST is there in several
_NOT_DATA = re.compile(
    r"\.(?:py|ipynb|pyc|c|h|cpp|java|js|sh|md|rst|html?|css|json|ya?ml|toml|log|pdf|docx|svg"
    r"|safetensors|onnx)$"
)


def find(levels: Iterable[list[File]], place: str, notes: list[str]) -> FileSet | list[File]:
    """Return the set that is in a folder or an archive, or all pictures in it.

    Parameters
    ----------
    levels : lists of files
        First the files directly in the folder, then those one folder deeper, and so on.
    place : str
        The name of the folder in error messages.
    notes : list of str
        Warnings for the user are appended here.

    Raises
    ------
    DataError
        If there is no set, or there are several and none has MNIST's own names.
    """
    seen: list[Found] = []
    pictures: list[File] = []
    for files in levels:
        pictures += [file for file in files if is_picture_name(file.name)]
        others = [file for file in files if not is_picture_name(file.name)]
        level = [examine(file) for file in others if not _NOT_DATA.search(file.name.lower())]
        if sets := group_files(found for found in level if found.is_data):
            return _chosen(sets, place, notes)
        seen += level
    if pictures:
        return pictures
    archives = [found for found in seen if found.kind == "zip"]
    if len(archives) == 1:
        return FileSet((archives[0],))
    for found in seen:
        if found.kind in ("pickle", "torch", "mat", "hdf5", "html", "xml", "lfs", "zip", "tar"):
            raise refusal(found.file, found.kind)
    names = [found.file.name for found in seen]
    got = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    raise DataError(f"{place}: expected {FORMATS}; got none of them, but {got or 'no files'}")


def _chosen(sets: list[FileSet], place: str, notes: list[str]) -> FileSet:
    """Choose one of the sets, and note the choice if there are others."""
    whole = [s for s in sets if s.is_paired] or [s for s in sets if not s.missing()]
    if not whole:
        sets.sort(key=lambda s: len(s.missing()))
        missing = ", ".join(sets[0].missing())
        raise DataError(
            f"{place}: expected the files that belong to {sets[0].title}, missing {missing}"
        )
    own = sorted((s for s in whole if s.is_own), key=_rank)
    candidates = own or whole
    titles = ", ".join(s.title for s in candidates)
    if len(candidates) > 1 and not own:
        raise DataError(
            f"{place}: expected one set of images, got several: {titles}; pass the path of a file"
            " of the one that you want"
        )
    chosen = candidates[0]
    others = [s.title for s in sets if s is not chosen and s.title != chosen.title]
    if others:
        notes.append(
            f"{place}: loading the set of {chosen.title}; there are others, too"
            f" ({', '.join(others)}): pass the path of a file to load its set"
        )
    return chosen


def _rank(found: FileSet) -> int:
    """Return the position of a set's format in the order of preference."""
    kind = found.members[0].kind
    return _ORDER.index(kind) if kind in _ORDER else len(_ORDER)


def set_of(path: Path, found: Found) -> FileSet:
    """Return the set that one file belongs to: files in its folder with its prefix and ending.

    Raises
    ------
    DataError
        If it is not clear what is in the file, or which other file is its partner.
    """
    name = found.name
    if found.is_array and not name.role:
        raise DataError(
            f"{path}: expected a name that says what is in the file, such as"
            f" train-images-idx3-ubyte or x_train.npy, got {path.name}"
        )
    if not found.is_array and name.part not in PARTS:
        return FileSet((found,))
    beside = [
        Found(file, found.kind, parse(file.name, roles=found.is_array), found.is_array)
        for file in _neighbours(path)
        if not is_picture_name(file.name)
    ]
    members = [other for other in beside if other.name.template == name.template]
    if not found.is_array and {other.name.part for other in members} == {name.part}:
        members += _partner(path, found, beside)
    chosen = FileSet(tuple(members))
    if missing := chosen.missing():
        raise DataError(
            f"{path.parent}: expected the files that belong to {path.name}, missing"
            f" {', '.join(missing)}"
        )
    return chosen


def _neighbours(path: Path) -> list[File]:
    """Return the files in a file's folder, and those beside that folder if it has its name."""
    if canonical_folder(f"{path.parent.name}/{path.name}"):
        return next(list_folder(path.parent))
    levels: Iterator[list[File]] = list_folder(path.parent.parent)
    return next(levels) + [file for file in next(levels) if not canonical_folder(file.name)]


def _partner(path: Path, found: Found, beside: list[Found]) -> list[Found]:
    """Return the other table (train or test) if its name differs in more than the part."""
    others = [
        other
        for other in beside
        if other.name.part in PARTS
        and other.name.part != found.name.part
        and other.name.prefix == found.name.prefix
        and examine(other.file).is_data
    ]
    same_ending = [other for other in others if _ending(other) == _ending(found)]
    if len(same_ending) == 1:
        return same_ending
    if others:
        names = ", ".join(other.file.name for other in others)
        raise DataError(
            f"{path}: expected a partner of the same name but for train and test, got {names}:"
            " rename the one that belongs to it, or move the others away"
        )
    return []


def _ending(found: Found) -> str:
    ending = re.search(r"(?:\.[a-z]+)?(?:\.gz)?$", found.name.template)
    return ending[0] if ending else ""
