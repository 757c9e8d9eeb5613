"""Find the label and the pixels of a table by the names of its columns."""

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..errors import DataError
from .parts import SIDE

__all__ = ["PIXELS", "Columns", "by_name", "is_index", "is_label"]

PIXELS = SIDE * SIDE

_LABELS = ("label", "labels", "class", "target", "y")
_INDICES = ("", "index", "id", "unnamed: 0", "__index_level_0__")  # the last two are pandas'


class Columns(NamedTuple):
    """Which column of a table holds the label, and which ones hold the pixels."""

    label: int | None
    """The column of the labels; None if there is none."""
    pixels: list[int]
    """The 784 columns of the pixels, row by row of the image."""


def _plain(name: str) -> str:
    return name.strip().strip("'\"").lstrip("#").strip().lower()  # savetxt's headers start with #


def is_label(name: str) -> bool:
    """Say whether a column of this name holds the labels."""
    return _plain(name) in _LABELS


def is_index(name: str) -> bool:
    """Say whether a column of this name only numbers the rows, as pandas writes one."""
    return _plain(name) in _INDICES


def by_name(names: Sequence[str], place: str) -> Columns:
    """Find the label and the order of the pixels.

    Raises
    ------
    DataError
        If there are other columns, or the names do not tell the order of the pixels.
    """
    labels = [i for i, name in enumerate(names) if is_label(name)]
    pixels = [i for i, name in enumerate(names) if not is_label(name) and not is_index(name)]
    if len(labels) > 1:
        found = ", ".join(repr(names[i]) for i in labels)
        raise DataError(f"{place}: expected one column of labels, got {found}")
    if not labels and len(pixels) == PIXELS + 1:
        other = next((names[i] for i in pixels if not re.search(r"\d", names[i])), names[pixels[0]])
        raise DataError(
            f"{place}: expected a first column named label, got {other!r}; a column named class,"
            " target or y will do, too, in any place"
        )
    if len(pixels) != PIXELS:
        beside = " beside the label" if labels else ""
        raise DataError(f"{place}: expected {PIXELS} pixels{beside}, got {len(pixels)} columns")
    order = _order([_plain(names[i]) for i in pixels], place)
    return Columns(labels[0] if labels else None, [pixels[i] for i in order])


def _order(names: list[str], place: str) -> list[int]:
    """Return the positions of the pixels in `names`, in the order of the image's rows."""
    numbers = [re.findall(r"\d+", name) for name in names]
    if not any(numbers):
        return list(range(PIXELS))
    table = np.zeros((0, 0))
    if len({len(found) for found in numbers}) == 1 and all(
        len(n) < 10 for found in numbers for n in found
    ):
        table = np.array(numbers).astype(np.int64)
        table = table[:, (table != table[0]).any(0)]  # without numbers that are in every name
        table -= table.min(0)
    if table.shape[1] == 1:
        rank = table[:, 0]
    elif table.shape[1] == 2 and table.max() < SIDE:
        rank = table[:, 0] * SIDE + table[:, 1]
        if (table[:, 1] * SIDE + table[:, 0] == np.arange(PIXELS)).all():
            raise DataError(
                f"{place}: expected pixels row by row, got {names[0]!r} followed by {names[1]!r}:"
                " the images may be transposed"
            )
    else:
        rank = np.zeros(PIXELS, np.int64)
    if sorted(rank.tolist()) != list(range(PIXELS)):
        raise DataError(
            f"{place}: expected names of pixels that say their order, such as pixel0 to pixel783 or"
            f" 1x1 to 28x28, got {names[0]!r} to {names[-1]!r}"
        )
    return [int(i) for i in np.argsort(rank)]
