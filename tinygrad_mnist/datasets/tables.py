"""Tables of pixels as text: Kaggle's CSV files, with or without a header and labels, and OpenML's ARFF."""

import gzip
import itertools
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

from ..arrays import Array
from ..errors import DataError

__all__ = ["PIXELS", "read_arff", "read_csv"]

PIXELS = 784
_CHUNK = 1 << 23  # bytes at a time
_COMMA, _NEWLINE, _ZERO = 44, 10, 48


def _open(path: Path) -> IO[bytes]:
    try:
        return gzip.open(path) if path.suffix == ".gz" else path.open("rb")  # type: ignore[return-value]
    except OSError as error:
        raise DataError(f"{path}: expected a table: {error}") from error


def _lines(file: IO[bytes], path: Path) -> Iterator[bytes]:
    """Yield the rest of the file in chunks that end with a whole line; see `_clean`. Blank lines at the end do not count."""
    rest = b""
    while True:
        try:
            read = file.read(_CHUNK)
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"{path}: expected a whole file, got one that breaks off or is damaged: {error}") from error
        chunk = rest + read
        if not read:
            chunk = chunk.rstrip()
            if chunk:
                yield _clean(chunk + b"\n")
            return
        cut = chunk.rstrip().rfind(b"\n") + 1  # blank lines wait: the file may end with them
        chunk, rest = chunk[:cut], chunk[cut:]
        if len(rest) > _CHUNK:
            raise DataError(f"{path}: expected lines of {PIXELS + 1} numbers, got one of more than {_CHUNK} bytes")
        if chunk:
            yield _clean(chunk)


def _clean(chunk: bytes) -> bytes:
    """Make line ends equal, and drop spaces and quotes around a number; those inside one stay, to be found there."""
    chunk = chunk.replace(b"\r\n", b"\n")
    if any(mark in chunk for mark in (b" ", b"'", b'"')):
        chunk = re.sub(rb"(?<!\d)[ '\"]+|[ '\"]+(?!\d)", b"", chunk)
    return chunk


def _numbers(chunk: bytes, columns: int, path: Path, first_line: int) -> Array:
    """Return the numbers (0 to 255) of whole lines as an array of (lines, columns): vectorised, digit by digit."""
    text = np.frombuffer(chunk, np.uint8)
    ends = np.flatnonzero((text == _COMMA) | (text == _NEWLINE))
    line_ends = np.flatnonzero(text[ends] == _NEWLINE)

    def fail(field: int) -> DataError:
        line = int(np.searchsorted(line_ends, field))
        column = field - (int(line_ends[line - 1]) + 1 if line else 0)
        got = chunk[int(ends[field - 1]) + 1 if field else 0 : int(ends[field])].decode("latin-1")[:40]
        where = f"{path}: line {first_line + line}, column {column + 1}"
        return DataError(f"{where}: expected an integer from 0 to 255, got {got!r}")

    widths = np.diff(line_ends, prepend=-1)
    if (widths != columns).any():
        line = int(np.flatnonzero(widths != columns)[0])
        raise DataError(f"{path}: line {first_line + line}: expected {columns} columns, got {widths[line]}")
    digits = text - _ZERO  # wraps around for anything below "0", so that one comparison finds every stranger
    lengths = np.diff(ends, prepend=-1) - 1
    strangers = digits > 9
    strangers[ends] = False
    if strangers.any():
        raise fail(int(np.searchsorted(ends, np.flatnonzero(strangers)[0])))
    if lengths.min() < 1 or lengths.max() > 3:
        raise fail(int(np.flatnonzero((lengths < 1) | (lengths > 3))[0]))
    values = digits[ends - 1].astype(np.uint16)
    for digit, worth in ((2, 10), (3, 100)):
        longer = np.flatnonzero(lengths >= digit)
        values[longer] += digits[ends[longer] - digit] * np.uint16(worth)
    if values.max() > 255:
        raise fail(int(np.flatnonzero(values > 255)[0]))
    return values.astype(np.uint8).reshape(-1, columns)


def _table(chunks: Iterator[bytes], columns: int, path: Path, first_line: int) -> Array:
    parts: list[Array] = []
    for chunk in chunks:
        parts.append(_numbers(chunk, columns, path, first_line))
        first_line += len(parts[-1])
    if not parts:
        raise DataError(f"{path}: expected rows of {columns} numbers, got none")
    return np.concatenate(parts)


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
    with _open(path) as file:
        chunks = _lines(file, path)
        first = next(chunks, b"").removeprefix(b"\xef\xbb\xbf")  # a byte order mark, as Excel writes it
        head, _, _ = first.partition(b"\n")
        columns = head.count(b",") + 1
        if columns not in (PIXELS, PIXELS + 1):
            raise DataError(f"{path}: line 1: expected {PIXELS} or {PIXELS + 1} columns, got {columns}")
        names = head.decode("latin-1").lower().split(",")
        line = 1
        # a header has a letter in each name, or numbers after the label; anything else is a row, and its errors are errors
        if names[0] == "label" or all(any(letter.isalpha() for letter in name) for name in names):
            first, line = first[len(head) + 1 :], 2
            if columns == PIXELS + 1 and names[0] != "label":
                raise DataError(f"{path}: line 1: expected a first column named label, got {names[0]!r}")
            if columns == PIXELS and "label" in names:
                raise DataError(f"{path}: line 1: expected {PIXELS} pixels beside the label, got {PIXELS - 1} columns")
        table = _table(filter(None, itertools.chain([first], chunks)), columns, path, line)
    if columns == PIXELS:
        return table.reshape(-1, 28, 28), None
    labels, pixels = (table[:, 0], table[:, 1:]) if label_first else (table[:, -1], table[:, :-1])
    return pixels.reshape(-1, 28, 28), _digits(labels, path, line)


def _digits(labels: Array, path: Path, first_line: int) -> Array:
    if labels.max() > 9:
        row = int(np.flatnonzero(labels > 9)[0])
        raise DataError(f"{path}: line {first_line + row}: expected a label from 0 to 9, got {labels[row]}")
    return labels.astype(np.int64)


def read_arff(path: Path) -> tuple[Array, Array]:
    """Read OpenML's `mnist_784.arff`: 784 pixels and the class on each line after @data.

    Raises
    ------
    DataError
        Naming file, line, column and what was expected.
    """
    path = Path(path)
    with _open(path) as file:
        attributes, line = 0, 0
        while True:
            try:
                text = file.readline(_CHUNK)
            except (OSError, EOFError, zlib.error) as error:
                raise DataError(f"{path}: expected a whole file, got one that is damaged: {error}") from error
            line += 1
            word = text.strip().lower()
            if not text:
                raise DataError(f"{path}: line {line}: expected @data, got the end of the file")
            if word.startswith(b"@data"):
                break
            if word.startswith(b"@attribute"):
                attributes += 1
            elif word and not word.startswith((b"%", b"@relation")):
                raise DataError(f"{path}: line {line}: expected @relation, @attribute, @data or a % comment, got {text[:40]!r}")
        if attributes != PIXELS + 1:
            raise DataError(
                f"{path}: line {line}: expected {PIXELS + 1} attributes, {PIXELS} pixels and the class, got {attributes}"
            )
        table = _table(_lines(file, path), attributes, path, line + 1)
    return table[:, :-1].reshape(-1, 28, 28), _digits(table[:, -1], path, line + 1)
