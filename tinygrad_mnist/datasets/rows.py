"""Read lines of numbers a megabyte at a time, for CSV and ARFF files."""

import io
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, NamedTuple

import numpy as np

from ..arrays import Array
from ..errors import DataError
from .files import File

__all__ = ["BLOCK", "Block", "blocks", "cells_of", "parse_numbers", "text_stream"]

BLOCK = 1 << 20  # characters to parse at a time; longer lines are refused


class Block(NamedTuple):
    """Some complete lines of a text."""

    line: int
    """The number of the first line."""
    text: str
    """The lines, joined by newlines. The last line is not blank."""


def text_stream(stream: IO[bytes], file: File) -> io.TextIOWrapper:
    r"""Return the content as text without a byte order mark. All lines end in \n."""
    utf_16 = file.head(2) in (b"\xff\xfe", b"\xfe\xff")
    encoding = "utf-16" if utf_16 else "utf-8-sig"
    return io.TextIOWrapper(stream, encoding, errors="replace")


def _whole_lines(text: IO[str], rest: str, file: File) -> Iterator[str]:
    while chunk := text.read(BLOCK):
        whole, newline, rest = (rest + chunk).rpartition("\n")
        if newline:
            yield whole
        elif len(rest) > BLOCK:
            raise DataError(f"{file.place}: expected rows, got a line of {len(rest):,} characters")
    if rest:
        yield rest


def blocks(text: IO[str], file: File, line: int = 1, start: str = "") -> Iterator[Block]:
    """Yield the lines of a text in blocks. There may be blank lines at its end.

    Parameters
    ----------
    text : text stream
    file : File
        The file to name in error messages.
    line : int
        The number of the first line.
    start : str
        Text that was already read from the stream, and belongs to the first block.

    Raises
    ------
    DataError
        If a line is longer than a block, or a row comes after blank lines.
    """
    blank = 0  # the line where blank lines began, because no row may come after them
    for whole in _whole_lines(text, start, file):
        body = whole.rstrip()
        if body and blank:
            raise DataError(f"{file.place}: line {blank}: expected a row, got a blank line")
        if body:
            yield Block(line, body)
        if "\n" in whole[len(body) :] or not body:
            blank = blank or line + (body.count("\n") + 1 if body else 0)
        line += whole.count("\n") + 1


def cells_of(line: str, separator: str) -> list[str]:
    """Return the texts between the separators, without the quotes and spaces around them."""
    cells = line.split() if separator == " " else line.split(separator)
    return [cell.strip(" \t'\"") for cell in cells] or [""]


def parse_numbers(
    file: File,
    found: Iterable[Block],
    separator: str,
    columns: int,
    skipped: Sequence[int] = (),
) -> Array:
    """Return the whole numbers from 0 to 255 in the lines.

    Parameters
    ----------
    file : File
        The file to name in error messages.
    found : blocks of lines
    separator : str
        A space means any white space.
    columns : int
        How many columns each line must have.
    skipped : columns to leave out

    Returns
    -------
    ndarray of uint8, shape (lines, columns that are not skipped)

    Raises
    ------
    DataError
        If a value is wrong. The message names the file, the line, the column and what was
        expected.
    """
    kept = [i for i in range(columns) if i not in skipped] if skipped else None
    arrays = [_parse(file, block, separator, columns, kept) for block in found]
    if not arrays:
        raise DataError(f"{file.place}: expected rows of {columns} numbers, got none")
    return np.concatenate(arrays)


def _parse(
    file: File, block: Block, separator: str, columns: int, kept: Sequence[int] | None
) -> Array:
    """Return the numbers of a block. Plain digits are fast; other spellings go through float64."""
    values = None
    bare = _bare(block.text, separator)
    digits = bare
    if "." in bare:
        digits = bare.replace(f".0{separator}", separator).replace(".0\n", "\n").removesuffix(".0")
    if not digits.encode("ascii", "replace").translate(None, b"0123456789\n" + separator.encode()):
        values = _load_numbers(digits, np.uint8, separator, columns, kept)
    if values is None:
        values = _load_numbers(bare, np.float64, separator, columns, kept)
    if values is None or (values.dtype != np.uint8 and not _whole(values).all()):
        raise _complaint(file, block, separator, columns, kept)
    return values.astype(np.uint8, copy=False)


def _bare(text: str, separator: str) -> str:
    """Return the lines without the quotes and the spaces around each value."""
    if '"' in text:  # a faster way, for tables in which every value is in quotes
        text = text.replace(f'"{separator}"', separator).replace('"\n"', "\n")
        if text.startswith('"') and text.endswith('"'):
            text = text[1:-1]
    marks = "'\"" if separator == " " else " '\""
    if any(mark in text for mark in marks):
        between = rf"[{marks}]*([\n{re.escape(separator)}])[{marks}]*"
        text = re.sub(between, r"\1", text).strip(marks)
    return text


def _load_numbers(
    text: str, dtype: type, separator: str, columns: int, kept: Sequence[int] | None
) -> Array | None:
    """Return the numbers in the lines, or None if a line has wrong values or a wrong count."""
    lines = text.split("\n")
    if kept is not None and any(_count(line, separator) != columns for line in lines):
        return None  # loadtxt with usecols would silently ignore extra columns
    try:
        values: Array = np.loadtxt(
            lines,
            dtype,
            delimiter=None if separator == " " else separator,
            comments=None,
            usecols=kept,
            ndmin=2,
        )
    except ValueError:
        return None
    return values if values.shape == (len(lines), len(kept or range(columns))) else None


def _count(line: str, separator: str) -> int:
    return len(line.split()) if separator == " " else line.count(separator) + 1


def _whole(values: Array) -> Array:
    right: Array = (values >= 0) & (values <= 255) & (values == np.floor(values))
    return right


def _complaint(
    file: File, block: Block, separator: str, columns: int, kept: Sequence[int] | None
) -> DataError:
    """Return the error that names the first wrong place in the block."""
    for number, line in enumerate(block.text.split("\n"), block.line):
        cells = cells_of(line, separator)
        if len(cells) != columns:
            return DataError(
                f"{file.place}: line {number}: expected {columns} columns, got {len(cells)}"
            )
        for column in range(columns) if kept is None else kept:
            if not _is_pixel(cells[column]):
                return DataError(
                    f"{file.place}: line {number}, column {column + 1}: expected an integer from 0"
                    f" to 255, got {cells[column][:40]!r}"
                )
    return DataError(
        f"{file.place}: line {block.line}: expected rows of {columns} numbers, got something else"
    )


def _is_pixel(cell: str) -> bool:
    try:
        return cell.isascii() and "_" not in cell and bool(_whole(np.array(float(cell))))
    except ValueError:
        return False
