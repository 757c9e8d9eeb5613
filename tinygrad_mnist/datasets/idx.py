"""The IDX format of the original MNIST files, raw or gzipped."""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from ..arrays import Array
from ..errors import DataError

__all__ = ["inflate", "parse_idx", "read_idx"]


def inflate(content: bytes, name: object) -> bytes:
    """Return the bytes behind a gzip file's content, or the content itself if it is not gzipped.

    Raises
    ------
    DataError
        If the gzip stream is damaged or ends early.
    """
    if content[:2] != b"\x1f\x8b":
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"{name}: expected a whole gzip file, got {len(content)} bytes that break off or are damaged: {error}"
        ) from error


def read_idx(path: Path, ndim: int) -> Array:
    """Read an IDX file of unsigned bytes: images (ndim 3) or labels (ndim 1).

    Raises
    ------
    DataError
        If the file is missing, damaged, or of another kind; it names the file, the place and what was expected.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: expected an IDX file: {error}") from error
    return parse_idx(inflate(content, path), path, ndim)


def parse_idx(content: bytes, name: object, ndim: int) -> Array:
    """Return the array in the bytes of an IDX file; see `read_idx`."""
    magic = bytes([0, 0, 8, ndim])
    if content[:4] != magic:
        raise DataError(
            f"{name}: expected the magic number {magic.hex()} at byte 0, got {content[:4].hex() or 'an empty file'}"
        )
    start = 4 + 4 * ndim
    if len(content) < start:
        raise DataError(f"{name}: expected a header of {start} bytes, got {len(content)}")
    shape = tuple(int(n) for n in np.frombuffer(content, ">u4", ndim, 4))
    promised, there = math.prod(shape), len(content) - start
    if there != promised:
        what = "trailing bytes" if there > promised else "a truncated file"
        raise DataError(f"{name}: expected {promised} bytes after the header of shape {shape}, got {there}: {what}")
    return np.frombuffer(content, np.uint8, promised, start).reshape(shape)
