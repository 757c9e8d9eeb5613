"""Reader of ARFF, the text format of OpenML and Weka: a header of attributes, then a table."""

import re
from typing import IO

from ..errors import DataError
from .columns import PIXELS, by_name, is_label
from .files import File
from .parts import Part
from .rows import BLOCK, blocks, parse_numbers, text_stream
from .tables import Table, part_of_table

__all__ = ["read_arff"]

_MOST_LINES = 100_000  # the most lines that a header may have
_ATTRIBUTE = re.compile(r"@attribute\s+('[^']*'|\"[^\"]*\"|[^\s{]+)\s*(.*)", re.IGNORECASE)


def read_arff(file: File) -> Part:
    """Read a table of 784 pixels and a class. The names of the attributes tell their order.

    Raises
    ------
    DataError
        If the table is wrong. The message names the file, the line, the column and what was
        expected.
    """
    with file.open() as stream, text_stream(stream, file) as text:
        attributes, line = _read_header(text, file)
        names = [name for name, _ in attributes]
        nominal = [i for i, (_, values) in enumerate(attributes) if values.startswith("{")]
        if len(nominal) == 1 and not any(is_label(name) for name in names):
            names[nominal[0]] = "class"
        if len(names) != PIXELS + 1:
            raise DataError(
                f"{file.place}: line {line}: expected {PIXELS + 1} attributes, pixels and a class,"
                f" got {len(names)}"
            )
        columns = by_name(names, f"{file.place}: line {line}")
        if columns.label is None:
            raise DataError(f"{file.place}: line {line}: expected a class among the attributes")
        line, row = _first_row(text, line)
        if row.startswith("{"):
            raise DataError(
                f"{file.place}: line {line}: expected {PIXELS + 1} columns, got a row of sparse"
                " ARFF: save it as dense ARFF"
            )
        values = parse_numbers(file, blocks(text, file, line, row), ",", len(names))
    return part_of_table(Table(file, values, columns, line))


def _read_header(text: IO[str], file: File) -> tuple[list[tuple[str, str]], int]:
    """Return the names of the attributes with their types, and the line of @data."""
    attributes: list[tuple[str, str]] = []
    for number in range(1, _MOST_LINES):
        content = text.readline(BLOCK)
        line = content.strip()
        word = line.lower()
        if word.startswith("@data"):
            return attributes, number
        if found := _ATTRIBUTE.match(line):
            attributes.append((found[1], found[2]))
        elif not content:
            raise DataError(f"{file.place}: expected @data, got the end of the file")
        elif line and not word.startswith(("%", "@relation")):
            raise DataError(
                f"{file.place}: line {number}: expected @attribute, @data or another @ or % line,"
                f" got {line[:40]!r}"
            )
    raise DataError(f"{file.place}: expected @data in the first {_MOST_LINES:,} lines")


def _first_row(text: IO[str], line: int) -> tuple[int, str]:
    """Return the line of the first row and its text, past comments and blank lines."""
    row = "\n"
    while row.isspace() or row.startswith("%"):
        row, line = text.readline(BLOCK), line + 1
    return line, row
