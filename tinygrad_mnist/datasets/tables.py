"""Reader of CSV and similar text tables of pixels, with or without a header and labels."""

import itertools
import math
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..arrays import Array
from ..errors import DataError
from .columns import PIXELS, Columns, by_name, is_index, is_label
from .detect import kind_of, separator_of
from .files import File, expand_home, from_disk
from .names import is_own
from .parts import SIDE, Part, check_digits, warning_about_pixels
from .refusals import refusal
from .rows import Block, blocks, cells_of, parse_numbers, text_stream

__all__ = ["Table", "part_of_table", "read_csv", "read_tables"]

_CLASSES = 62  # EMNIST has the most classes, so a column with larger numbers holds pixels
_MANY = 10  # with this many rows, a column of zeros is taken for the pixels in a corner


class Table(NamedTuple):
    """The numbers of a table, and what its header says about the columns."""

    file: File
    values: Array
    """uint8, shape (rows, columns)."""
    columns: Columns | None
    """None if there are 785 columns without a header. The label is then the first or the last."""
    line: int
    """The line of the first row."""


def read_csv(
    path: str | os.PathLike[str], *, label_first: bool | None = None
) -> tuple[Array, Array | None]:
    """Read a table with one image in each line: 784 pixels, or a label and 784 pixels.

    The separator may be a comma, a semicolon, a tab, `|` or spaces. If there is a header, its names
    say which column is the label and which pixel is where. The file may be gzipped.

    Parameters
    ----------
    path : path
        A CSV file; `~` stands for the home folder.
    label_first : bool, optional
        Whether the label is the first or the last column of a file without a header. By default it
        is guessed from the numbers, because labels are small and are not all equal.

    Returns
    -------
    images : ndarray of uint8, shape (N, 28, 28)
    labels : ndarray of int64, shape (N,), or None

    Raises
    ------
    DataError
        If the table is wrong. The message names the file, the line, the column and what was
        expected.

    Warns
    -----
    UserWarning
        If no pixel is above 1, or both the first and the last column may be the label.
    """
    path = expand_home(Path(path))
    file = from_disk(path, digits=is_own(path.name))
    kind = kind_of(file)
    if kind not in ("table", "text", "unknown", "empty", "blank", "damaged"):
        raise refusal(file, kind)
    notes: list[str] = []
    [part] = read_tables([file], notes, label_first)
    if note := warning_about_pixels(part.images, str(path)):
        notes.append(note)
    for note in notes:
        warnings.warn(note, stacklevel=2)
    return part.images, part.labels


def read_tables(
    files: Sequence[File], notes: list[str], label_first: bool | None = None
) -> list[Part]:
    """Read the tables of one set, and append warnings for the user to `notes`.

    If no header names the label, the numbers in all tables decide which column it is.
    """
    tables = [_read(file) for file in files]
    unnamed = [table for table in tables if table.columns is None]
    if unnamed and label_first is None:
        label_first = _is_label_first(unnamed, notes)
    return [part_of_table(table, bool(label_first)) for table in tables]


def part_of_table(table: Table, label_first: bool = True) -> Part:
    """Return the images and the labels in a table."""
    values, columns = table.values, table.columns
    if columns is None:
        start = int(label_first)
        columns = Columns(0 if label_first else PIXELS, list(range(start, start + PIXELS)))
    first, last = columns.pixels[0], columns.pixels[-1]
    if columns.pixels == list(range(first, last + 1)):
        pixels = values[:, first : last + 1]
    else:
        pixels = values[:, columns.pixels]
    images = np.array(pixels).reshape(-1, SIDE, SIDE)
    if columns.label is None:
        return Part(images, None)
    labels = values[:, columns.label].astype(np.int64)
    if table.file.digits:
        check_digits(labels, lambda i: f"{table.file.place}: line {table.line + i}")
    return Part(images, labels)


def _is_label_first(tables: Sequence[Table], notes: list[str]) -> bool:
    """Guess whether the label is the first column: labels are small and not all equal."""
    first = np.concatenate([table.values[:, 0] for table in tables])
    last = np.concatenate([table.values[:, -1] for table in tables])
    highest_first, highest_last = int(first.max()), int(last.max())
    advice = "give it a header with a column named label, or use read_csv(path, label_first=...)"
    if min(highest_first, highest_last) >= _CLASSES:
        raise DataError(
            f"{tables[0].file.place}: expected a label in the first or the last column, got numbers"
            f" up to {highest_first} and {highest_last}: {advice}"
        )
    if max(highest_first, highest_last) >= _CLASSES:
        return highest_first < _CLASSES
    if 0 in (highest_first, highest_last) and max(highest_first, highest_last) > 0:
        # In most images the corner pixel is 0, so a column of zeros holds pixels.
        answer = highest_first > 0
        sure = max(highest_first, highest_last) < 10 or len(first) >= _MANY
    else:
        answer = highest_first < 10 or highest_last >= 10
        sure = highest_first < 10 <= highest_last
    if not sure:
        notes.append(
            f"{tables[0].file.place}: the label may be the first column or the last; the"
            f" {'first' if answer else 'last'} is taken: if that is wrong, {advice}"
        )
    return answer


def _read(file: File) -> Table:
    with file.open() as stream, text_stream(stream, file) as text:
        found = blocks(text, file)
        line, body = next(found, Block(1, ""))
        head, _, body = body.partition("\n")
        separator = separator_of(head)
        names = cells_of(head, separator)
        columns, skipped, is_header = _understand(names, separator, f"{file.place}: line {line}")
        if is_header:
            line += 1
        else:
            body = f"{head}\n{body}" if body else head
        first_block = [Block(line, body)] if body else []
        values = parse_numbers(
            file, itertools.chain(first_block, found), separator, len(names), skipped
        )
    return Table(file, values, columns, line)


def _understand(
    names: list[str], separator: str, place: str
) -> tuple[Columns | None, list[int], bool]:
    """Return what the columns mean, which ones to skip, and whether the line is a header."""
    is_header = _is_header(names)
    skipped = [i for i, name in enumerate(names) if is_index(name)] if is_header else []
    kept = [name for i, name in enumerate(names) if i not in skipped]
    is_named = is_header and not _count_up(kept)
    if len(kept) < PIXELS - 1 or (not is_named and len(kept) not in (PIXELS, PIXELS + 1)):
        by = f", separated by {separator!r}" if len(kept) > 1 else ""
        raise DataError(
            f"{place}: expected {PIXELS} or {PIXELS + 1} columns, got {len(kept)}{by}:"
            f" {separator.join(names)[:40]!r}"
        )
    if is_named:
        return by_name(kept, place), skipped, True
    unlabelled = Columns(None, list(range(PIXELS)))
    return unlabelled if len(kept) == PIXELS else None, skipped, is_header


def _is_header(names: list[str]) -> bool:
    """Return whether the first line is a header. A cell that is not a number may be an error."""
    if any(is_label(name) for name in names):
        return True
    worded = sum(not _is_number(name) and any(map(str.isalpha, name)) for name in names)
    return 2 * worded > len(names) or _count_up(names[names[0] == "" :])


def _is_number(name: str) -> bool:
    """Return whether a cell is a number, such as 1.0e+00."""
    try:
        return math.isfinite(float(name))
    except ValueError:
        return False


def _count_up(names: list[str]) -> bool:
    """Return whether the names are whole numbers that count up by one."""
    if not all(name.isascii() and name.isdigit() and len(name) < 6 for name in names):
        return False
    numbers = [int(name) for name in names]
    return len(numbers) > 1 and numbers == list(range(numbers[0], numbers[0] + len(numbers)))
