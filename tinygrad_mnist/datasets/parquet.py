"""Reader of Parquet with pyarrow: images as Hugging Face stores them, or pixels as on OpenML."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..arrays import Array
from ..errors import DataError
from .columns import PIXELS, by_name, is_label
from .files import File
from .images import decode
from .parts import SIDE, Part, as_images, as_labels

__all__ = ["read_parquet"]

# How many rows to convert at a time: fewer with pictures, because a picture may be large.
_PICTURES, _ROWS = 256, 4096


def read_parquet(file: File) -> Part:
    """Read a table that has a picture in each row, or one column for each of 784 pixels.

    Raises
    ------
    DataError
        If pyarrow is not installed, or the file is damaged or contains something else.
    """
    try:
        from pyarrow.parquet import ParquetFile  # here, because it may not be installed
    except ImportError as error:
        raise DataError(
            f"{file.place}: reading Parquet takes pyarrow: pip install 'tinygrad-mnist[parquet]'"
        ) from error
    with file.random_access() as stream:
        try:
            table = ParquetFile(stream, pre_buffer=False)
            _check_size(file, table.metadata)
            return _read(file, table)
        except DataError:
            raise
        except Exception as error:  # pyarrow raises a dozen kinds for damaged bytes
            raise DataError(
                f"{file.place}: expected a Parquet file, got one that is damaged:"
                f" {type(error).__name__}: {error}"
            ) from error


def _check_size(file: File, metadata: Any) -> None:
    """Raise DataError if the pixels, or a group of rows, need more memory than is allowed."""
    groups = [metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups)]
    most = max(metadata.num_rows * PIXELS, *groups, 0)
    if most > file.limit:
        raise DataError(
            f"{file.place}: expected at most {file.limit:,} bytes, got {file.stored:,} that expand"
            f" to {most:,}"
        )


def _read(file: File, table: Any) -> Part:
    schema = table.schema_arrow
    pictures = [field.name for field in schema if _bytes_in(field.type) is not None]
    if not pictures:
        return _read_pixels(file, table, schema.names)
    label = [name for name in schema.names if is_label(name)]
    if len(pictures) > 1 or len(label) > 1:
        found = ", ".join(pictures + label)
        raise DataError(
            f"{file.place}: expected one column of pictures and one of labels, got {found}"
        )
    images = np.empty((table.metadata.num_rows, SIDE, SIDE), np.uint8)
    labels: list[Any] = []
    row = 0
    for batch in table.iter_batches(_PICTURES, columns=pictures + label, use_threads=False):
        for content in _pictures_of(batch.column(pictures[0])):
            images[row] = _decode(content, f"{file.place}: row {row}")
            row += 1
        if label:
            labels += batch.column(label[0]).to_pylist()
    checked = as_images(images[:row], file.place)
    if not label:
        return Part(checked, None)
    return Part(checked, _labels(labels, file), _class_names(schema.metadata, label[0]))


def _bytes_in(column: Any) -> Any:
    """Return the type of the picture bytes in a column, or None if it does not hold pictures."""
    import pyarrow.types as types

    if types.is_struct(column):
        inner = [field.type for field in column if field.name == "bytes"]
        return inner[0] if inner else None
    return column if types.is_binary(column) or types.is_large_binary(column) else None


def _pictures_of(column: Any) -> Iterator[bytes | None]:
    import pyarrow.types as types

    inside = column.field("bytes") if types.is_struct(column.type) else column
    return (value.as_py() for value in inside)


def _decode(content: bytes | None, place: str) -> Array:
    if content is None:
        raise DataError(f"{place}: expected a picture, got none, or one in a file of its own")
    return decode(content, place)


def _read_pixels(file: File, table: Any, names: list[str]) -> Part:
    columns = by_name(names, file.place)
    images: list[Array] = []
    labels: list[Any] = []
    for batch in table.iter_batches(_ROWS, use_threads=False):
        pixels = [batch.column(i).to_numpy(zero_copy_only=False) for i in columns.pixels]
        images.append(as_images(np.stack(pixels, axis=1), file.place))
        if columns.label is not None:
            labels += batch.column(columns.label).to_pylist()
    if not images:
        raise DataError(f"{file.place}: expected rows of {len(names)} numbers, got none")
    found = None if columns.label is None else _labels(labels, file)
    return Part(np.concatenate(images), found)


def _labels(values: list[Any], file: File) -> Array:
    """Return the labels, which are numbers, or text with numbers as on OpenML."""
    for i, value in enumerate(values):
        if not isinstance(value, (int, float)) and not (isinstance(value, str) and value.isdigit()):
            raise DataError(f"{file.place}: row {i}: expected a whole number, got {value!r}")
    return as_labels(np.array([int(v) if isinstance(v, str) else v for v in values]), file.place)


def _class_names(metadata: dict[bytes, bytes] | None, label: str) -> tuple[str, ...] | None:
    """Return the names of the classes, which Hugging Face's library stores in the metadata."""
    try:
        features = json.loads((metadata or {})[b"huggingface"])["info"]["features"]
        names = tuple(str(name) for name in features[label]["names"])
    except (KeyError, TypeError, ValueError):  # other metadata, or none at all
        return None
    return None if names == tuple(map(str, range(len(names)))) else names
