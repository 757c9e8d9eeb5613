"""Part, which every reader returns: checked images and labels. Also how to split a Part."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from ..arrays import Array
from ..errors import DataError

__all__ = [
    "SIDE",
    "Part",
    "as_images",
    "as_labels",
    "check_digits",
    "cut_by_class",
    "join_parts",
    "warning_about_pixels",
]

SIDE = 28
_CLASSES = 1 << 16  # a number this large is not a label
_ROWS = 4096  # images to convert at a time, because a copy of all in a wide dtype would be large


class Part(NamedTuple):
    """Images with their labels: a training set, a test set, or a set to be split into both."""

    images: Array
    """uint8, shape (N, 28, 28)."""
    labels: Array | None
    """int64, shape (N,); None for images without labels."""
    class_names: tuple[str, ...] | None = None
    """The names of the classes 0, 1, ... if the file has them."""


def as_images(values: Array, place: str) -> Array:
    """Return pixels as uint8 of shape (N, 28, 28).

    Parameters
    ----------
    values : whole numbers from 0 to 255 of any dtype
        Shape (N, 28, 28) or (N, 784). There may be a channel axis of length 1.
    place : str
        The name of the array in error messages.

    Raises
    ------
    DataError
        If the shape or a value is wrong.
    """
    count = len(values) if values.ndim else 0
    rest = tuple(size for size in values.shape[1:] if size != 1)
    if count == 0 or rest not in ((SIDE, SIDE), (SIDE * SIDE,)):
        raise DataError(
            f"{place}: expected images of shape (N, {SIDE}, {SIDE}), N > 0, uint8, got"
            f" {values.shape}, {values.dtype}"
        )
    return _as_whole(values, place, 255, np.dtype(np.uint8)).reshape(count, SIDE, SIDE)


def as_labels(values: Array, place: str) -> Array:
    """Return labels, whole numbers of shape (N,) or (N, 1), as int64 of shape (N,)."""
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1:
        advice = ": turn one-hot rows into labels by .argmax(1)" if values.ndim == 2 else ""
        raise DataError(
            f"{place}: expected labels of shape (N,), got {values.shape}, {values.dtype}{advice}"
        )
    return _as_whole(values, place, _CLASSES - 1, np.dtype(np.int64))


def _as_whole(values: Array, place: str, most: int, dtype: "np.dtype[np.generic]") -> Array:
    """Convert the values to another dtype. Raise DataError for a value not in 0, 1, ..., `most`."""
    if values.dtype.kind not in "uifb":
        raise DataError(f"{place}: expected whole numbers, got {values.dtype}")
    out = np.empty(values.shape, dtype)
    for start in range(0, len(values), _ROWS):
        block = values[start : start + _ROWS]
        if block.dtype != np.uint8 or most < 255:
            right = (block >= 0) & (block <= most)
            if block.dtype.kind == "f":
                right &= block == np.floor(block)
            if not right.all():
                index = tuple(np.argwhere(~right)[0].tolist())
                raise DataError(
                    _not_whole(block[index], place, most, (start + index[0], *index[1:]))
                )
        out[start : start + _ROWS] = block
    return out


def _not_whole(value: object, place: str, most: int, index: tuple[int, ...]) -> str:
    where = f"{place}: position {', '.join(map(str, index))}"
    advice = ""
    if most == 255 and isinstance(value, np.floating) and 0 < value < 1:
        advice = ": multiply pixels from 0 to 1 by 255 and round them, before you save them"
    return f"{where}: expected a whole number from 0 to {most}, got {value}{advice}"


def check_digits(labels: Array, place: Callable[[int], str]) -> None:
    """Raise DataError at the first label that is not a digit; `place` describes its position."""
    wrong = np.flatnonzero((labels < 0) | (labels > 9))
    if len(wrong):
        raise DataError(
            f"{place(int(wrong[0]))}: expected a label from 0 to 9, got {labels[wrong[0]]}"
        )


def warning_about_pixels(images: Array, place: str) -> str | None:
    """Return a warning if no pixel is above 1, because fractions may have been rounded to that."""
    highest = int(images.max(initial=0))
    if highest > 1:
        return None
    found = "0 alone" if highest == 0 else "0 and 1 alone"
    return (
        f"{place}: expected pixels from 0 to 255, got {found}: if they were scaled to 0..1,"
        " multiply them by 255 before you make them integers"
    )


def join_parts(parts: Sequence[Part], place: str) -> Part:
    """Join the shards of one part."""
    if len(parts) == 1:
        return parts[0]
    labels = [part.labels for part in parts if part.labels is not None]
    if len(labels) not in (0, len(parts)) or len({part.class_names for part in parts}) > 1:
        raise DataError(f"{place}: expected shards of one kind, got some with other classes")
    images = np.concatenate([part.images for part in parts])
    return Part(images, np.concatenate(labels) if labels else None, parts[0].class_names)


def cut_by_class(labels: Array, place: str) -> Array:
    """Choose the test set: the last seventh of each class, at least one image if there are two.

    Returns
    -------
    ndarray of bool, shape (N,)
        True for images of the test set. A seventh is also the share of MNIST's own test set.

    Raises
    ------
    DataError
        If no class has two images.
    """
    test = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        of_class = np.flatnonzero(labels == label)
        if len(of_class) > 1:
            test[of_class[-max(1, round(len(of_class) / 7)) :]] = True
    if not test.any():
        raise DataError(
            f"{place}: expected two images of a class at least, to train on one and test on the"
            f" other, got {len(labels)} of as many classes"
        )
    return test
