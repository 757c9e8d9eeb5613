"""Tables of pixels as text: Kaggle's CSV files, with or without a header and labels, and OpenML's ARFF."""

import gzip
import itertools
import re
import threading
import warnings
import zlib
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np

from ..arrays import Array
from ..errors import DataError
from .idx import check_digits

__all__ = ["PIXELS", "read_arff", "read_csv"]

PIXELS = 784
_one_at_a_time = threading.Lock()  # the filters of warnings are all threads'
_LONGEST = (
    1 << 20
)  # characters of a line; the rest of a longer one counts as the next, and has too few columns


def _lines(path: Path) -> Generator[tuple[int, str], None, None]:
    """Yield each line with its number, without spaces and quotes around its values. Blank lines at the end do not count."""
    last = 0  # that was yielded: blank ones wait, for the file may end with them
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
            for number, content in enumerate(iter(lambda: file.readline(_LONGEST), b""), 1):
                line = (
                    content.decode("latin-1").removeprefix("\xef\xbb\xbf").strip()
                )  # a byte order mark, as Excel writes it
                if any(mark in line for mark in " '\""):
                    line = ",".join(value.strip(" '\"") for value in line.split(","))
                if line:
                    yield from ((blank, "") for blank in range(last + 1, number))
                    yield number, line
                    last = number
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"{path}: expected a table, got no file, or one that breaks off or is damaged: {error}"
        ) from error


def _table(lines: Iterable[tuple[int, str]], columns: int, path: Path) -> Array:
    """Return the numbers (0 to 255) in the lines as an array of (lines, columns)."""
    number, line = 0, ""

    def rows() -> Iterator[str]:
        nonlocal number, line
        for number, line in lines:
            if line.count(",") != columns - 1:
                raise DataError(
                    f"{path}: line {number}: expected {columns} columns, got {line.count(',') + 1}"
                )
            yield line

    try:
        with _one_at_a_time, warnings.catch_warnings():
            warnings.filterwarnings(
                "error", "loadtxt"
            )  # of no rows, and older NumPys of numbers that are no integers
            return np.loadtxt(rows(), np.uint8, delimiter=",", comments=None, ndmin=2)
    except DataError:
        raise
    except (ValueError, Warning) as error:
        for column, value in enumerate(line.split(",") if number else (), 1):
            if not re.fullmatch("[0-9]{1,3}", value) or int(value) > 255:
                where = f"{path}: line {number}, column {column}"
                raise DataError(
                    f"{where}: expected an integer from 0 to 255, got {value[:40]!r}"
                ) from error
        raise DataError(f"{path}: expected rows of {columns} numbers, got none") from error


def read_csv(path: Path, *, label_first: bool = True) -> tuple[Array, Array | None]:
    """Read a CSV of images, one a line: 784 pixels, or a label and 784 pixels; a header line is optional.

    Parameters
    ----------
    path : path
        Gzipped if it ends in .gz.
    label_first : bool
        Where the label stands, in a file without a header.

    Returns
    -------
    images : ndarray of uint8, shape (N, 28, 28)
    labels : ndarray of int64, shape (N,), or None

    Raises
    ------
    DataError
        Naming file, line, column and what was expected.
    """
    path = Path(path)
    with closing(_lines(path)) as lines:
        _, head = next(lines, (1, ""))
        names = head.lower().split(",")
        columns = len(names)
        if columns not in (PIXELS, PIXELS + 1):
            raise DataError(
                f"{path}: line 1: expected {PIXELS} or {PIXELS + 1} columns, got {columns}"
            )
        # a header has a letter in each name, or numbers after the label; anything else is a row,
        # and its errors are errors
        header = names[0] == "label" or all(
            any(letter.isalpha() for letter in name) for name in names
        )
        if header and columns == PIXELS + 1 and names[0] != "label":
            raise DataError(
                f"{path}: line 1: expected a first column named label, got {names[0]!r}"
            )
        if header and columns == PIXELS and "label" in names:
            raise DataError(
                f"{path}: line 1: expected {PIXELS} pixels beside the label, got {PIXELS - 1} columns"
            )
        table = _table(lines if header else itertools.chain([(1, head)], lines), columns, path)
    if columns == PIXELS:
        return table.reshape(-1, 28, 28), None
    labels, pixels = (table[:, 0], table[:, 1:]) if label_first else (table[:, -1], table[:, :-1])
    check_digits(labels, lambda i: f"{path}: line {1 + header + i}")
    return pixels.reshape(-1, 28, 28), labels.astype(np.int64)


def read_arff(path: Path) -> tuple[Array, Array]:
    """Read OpenML's `mnist_784.arff`: 784 pixels and the class on each line after @data.

    Raises
    ------
    DataError
        Naming file, line, column and what was expected.
    """
    path = Path(path)
    attributes = 0
    with closing(_lines(path)) as lines:
        for number, line in lines:
            word = line.lower()
            if word.startswith("@data"):
                break
            if word.startswith("@attribute"):
                attributes += 1
            elif word and not word.startswith(("%", "@relation")):
                raise DataError(
                    f"{path}: line {number}: expected @attribute, @data or another @ or % line, got {line[:40]!r}"
                )
        else:
            raise DataError(f"{path}: expected @data, got the end of the file")
        if attributes != PIXELS + 1:
            raise DataError(
                f"{path}: line {number}: expected {PIXELS + 1} attributes, pixels and the class, got {attributes}"
            )
        table = _table(lines, attributes, path)
    check_digits(table[:, -1], lambda i: f"{path}: line {number + 1 + i}")
    return table[:, :-1].reshape(-1, 28, 28), table[:, -1].astype(np.int64)
