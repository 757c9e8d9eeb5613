"""The IDX format of the original MNIST files, raw or gzipped."""

import math
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..arrays import Array
from ..errors import DataError

__all__ = ["check_digits", "inflate", "parse_idx", "read_idx"]


def inflate(content: bytes, name: object, most: int) -> bytes:
    """Return the first `most` bytes behind a gzip file's content, or of the content itself if it is not gzipped.

    Raises
    ------
    DataError
        If the gzip stream is damaged, ends early, or is followed by anything.
    """
    if content[:2] != b"\x1f\x8b":
        return content[:most]
    decompressor = zlib.decompressobj(wbits=31)
    try:
        out = decompressor.decompress(content, most)
    except zlib.error as error:
        raise DataError(
            f"{name}: expected a whole gzip file, got {len(content)} bytes that are damaged: {error}"
        ) from error
    if len(out) < most and not decompressor.eof:  # the checksum at its end included
        raise DataError(
            f"{name}: expected a whole gzip file, got {len(content)} bytes that break off"
        )
    if decompressor.unused_data:
        raise DataError(
            f"{name}: expected a gzip file, got one with {len(decompressor.unused_data)} trailing bytes"
        )
    return out


def read_idx(path: Path, ndim: int) -> Array:
    """Read an IDX file of unsigned bytes: images (ndim 3) or labels (ndim 1).

    Raises
    ------
    DataError
        If the file is missing, damaged, or of another kind; it names the file, the place and what
        was expected.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: expected an IDX file: {error}") from error
    return parse_idx(content, path, ndim)


def parse_idx(content: bytes, name: object, ndim: int) -> Array:
    """Return the array in the bytes of an IDX file, raw or gzipped; see `read_idx`."""
    magic, start = bytes([0, 0, 8, ndim]), 4 + 4 * ndim
    head = inflate(content, name, start)
    if head[:4] != magic:
        raise DataError(
            f"{name}: expected the magic number {magic.hex()} at byte 0, got {head[:4].hex() or 'an empty file'}"
        )
    if len(head) < start:
        raise DataError(f"{name}: expected a header of {start} bytes, got {len(head)}")
    shape = tuple(np.frombuffer(head, ">u4", ndim, 4).tolist())
    promised = math.prod(shape)
    if promised == 0 or promised > 1032 * len(content):  # gzip makes no more of a byte
        raise DataError(
            f"{name}: expected the bytes of an array after the header, got the shape {shape}: a truncated file"
        )
    there = len(body := inflate(content, name, start + promised + 1)) - start
    if there != promised:
        got = "more: trailing bytes" if there > promised else f"{there}: a truncated file"
        raise DataError(
            f"{name}: expected {promised} bytes after the header of shape {shape}, got {got}"
        )
    array = np.array(
        np.frombuffer(body, np.uint8, promised, start).reshape(shape)
    )  # a copy, which may be written to
    if ndim == 1:
        check_digits(array, lambda i: f"{name}: position {i}, byte {start + i}")
    return array


def check_digits(labels: Array, place: Callable[[int], str]) -> None:
    """Raise DataError at the first label that is no digit; `place` names the file, and where in it a position is."""
    wrong = np.flatnonzero((labels < 0) | (labels > 9))
    if len(wrong):
        raise DataError(
            f"{place(int(wrong[0]))}: expected a label from 0 to 9, got {labels[wrong[0]]}"
        )
