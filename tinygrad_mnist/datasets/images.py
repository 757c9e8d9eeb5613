"""Reader of pictures with Pillow: one folder for each class, or picture bytes inside a table."""

import io
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from ..arrays import Array
from ..errors import DataError
from .files import File
from .names import parse, part_of
from .parts import SIDE, Part

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["decode", "read_folders"]

_MOST_BYTES = 1 << 20  # limit for a file with one picture of 28 x 28 pixels, metadata included
_MODES = ("1", "L", "LA", "P", "RGB", "RGBA")  # the modes with at most 8 bits for each channel


def read_folders(files: Sequence[File], place: str) -> dict[str, Part]:
    """Read pictures from folders named by class, inside folders named by part.

    Parameters
    ----------
    files : Files
        Their names are, for example, `train/5/1.png` or `5/1.png`. A picture without a label is
        named like `test/1.png`.
    place : str
        The name of the outermost folder in error messages.

    Returns
    -------
    dict
        The parts train and test, or only one of them, or "" if no folder is named by its part.

    Raises
    ------
    DataError
        If a picture or a folder is wrong. The message names it, and says what was expected.
    """
    by_part = _by_part(files, place)
    labelled = {part: group for part, group in by_part.items() if _class_of(group[0])}
    labels, names = _labels_of({_class_of(f) for group in labelled.values() for f in group})
    parts = {}
    for part, group in by_part.items():
        if part not in labelled:
            parts[part] = Part(_read(sorted(group, key=_split_numbers)), None)
            continue
        group.sort(key=lambda file: (labels[_class_of(file)], _split_numbers(file)))
        found = np.array([labels[_class_of(file)] for file in group])
        parts[part] = Part(_read(group), found, names)
    return parts


def _folders(file: File) -> list[str]:
    """Return the folders that a picture is in. A folder inside one of the same name is skipped."""
    folders = file.name.split("/")[:-1]
    return [name for i, name in enumerate(folders) if i == 0 or name != folders[i - 1]]


def _class_of(file: File) -> str:
    """Return the name of a picture's folder, or "" if that name is a part, such as test."""
    folders = _folders(file)
    return folders[-1] if folders and not part_of(folders[-1]) else ""


def _split_numbers(file: File) -> list[tuple[int, str]]:
    """Return a key that sorts names by their numbers: 2.png comes before 10.png."""
    return [(int(digits or 0), word) for word, digits in re.findall(r"(\D*)(\d*)", file.name)]


def _by_part(files: Sequence[File], place: str) -> dict[str, list[File]]:
    """Return the pictures of each part. Raise DataError for several sets, or without classes."""
    found: dict[str, dict[str, list[File]]] = {}
    for file in files:
        folders = _folders(file)
        around = folders[:-1] if _class_of(file) else folders
        part = part_of(around[-1]) if around else ""
        root = "/".join(_root(tuple(around)) if part else around)
        found.setdefault(root, {}).setdefault(part, []).append(file)
    paired = [parts for parts in found.values() if {"train", "test"} <= set(parts)]
    candidates = paired or list(found.values())
    if len(candidates) > 1:
        first = ", ".join(next(iter(parts.values()))[0].name for parts in candidates)
        raise DataError(
            f"{place}: expected one set of pictures, got several, with {first}: pass the folder of"
            " the one that you want"
        )
    [parts] = candidates
    for part, group in parts.items():
        with_class = [file for file in group if _class_of(file)]
        unlabelled_test = part == "test" and not with_class
        if len(with_class) < len(group) and not unlabelled_test:
            wrong = next(file for file in group if not _class_of(file))
            raise DataError(
                f"{wrong.place}: expected pictures in a folder for each class, such as 0 to 9"
            )
    return parts


@lru_cache(1024)
def _root(folders: tuple[str, ...]) -> list[str]:
    """Replace train or test by PART in the last folder, so that both parts have the same path."""
    return [*folders[:-1], parse(folders[-1], roles=False).template]


def _labels_of(classes: set[str]) -> tuple[dict[str, int], tuple[str, ...] | None]:
    """Return the label of each class, and the names of the classes unless they are numbers.

    If all folders have numbers as names, these are the labels. Otherwise the labels are 0, 1, ...
    in the alphabetical order of the names, as in torchvision's ImageFolder.
    """
    if all(re.fullmatch("[0-9]{1,3}", name) for name in classes):
        return {name: int(name) for name in classes}, None
    return {name: i for i, name in enumerate(sorted(classes))}, tuple(sorted(classes))


def _read(files: Sequence[File]) -> Array:
    images = np.empty((len(files), SIDE, SIDE), np.uint8)
    for i, file in enumerate(files):
        images[i] = decode(file.head(_MOST_BYTES), file.place)
    return images


def decode(content: bytes, place: str) -> Array:
    """Return the grey values of one picture, uint8 of shape (28, 28).

    Raises
    ------
    DataError
        If the picture is damaged or transparent, or has another size or more than 8 bits.
    """
    try:
        from PIL import Image  # here, because importing it takes as long as importing NumPy
    except ImportError as error:
        raise DataError(f"{place}: reading pictures takes Pillow: pip install pillow") from error

    try:
        with Image.open(io.BytesIO(content), formats=("PNG", "JPEG", "BMP")) as picture:
            return _grey(picture, place)
    except DataError:
        raise
    except Exception as error:  # Pillow raises a dozen kinds for damaged bytes
        raise DataError(
            f"{place}: expected a picture, got one that is damaged: {type(error).__name__}: {error}"
        ) from error


def _grey(picture: "Image.Image", place: str) -> Array:
    if picture.size != (SIDE, SIDE):
        columns, rows = picture.size
        raise DataError(
            f"{place}: expected a picture of {SIDE} x {SIDE} pixels, got {columns} x {rows}"
        )
    if picture.mode not in _MODES:
        raise DataError(
            f"{place}: expected a picture of 8 bits a pixel, got one of the mode {picture.mode}"
        )
    if picture.mode in ("LA", "RGBA") or "transparency" in picture.info:
        opacity = np.asarray(picture.convert("RGBA"))[..., 3]
        if opacity.min() < 255:
            raise DataError(
                f"{place}: expected an opaque picture, got a transparent one: lay it on black first"
            )
    return np.array(picture if picture.mode == "L" else picture.convert("L"))
