"""Reader of IDX, the format of the original MNIST files."""

import math

import numpy as np

from ..arrays import Array
from ..errors import DataError
from .files import File, read_into
from .parts import check_digits

__all__ = ["read_idx"]

_BYTES, _INTS = 0x08, 0x0C  # the third byte of the file tells the type of its numbers
_QMNIST_COLUMNS = 8


def read_idx(file: File, role: str) -> Array:
    """Read a file of images or of labels, depending on `role`.

    Returns
    -------
    ndarray
        Images: uint8, shape (N, rows, columns). Labels: uint8, shape (N,). Labels of QMNIST are
        int32, because its files have 8 columns of integers. The first column is the label.

    Raises
    ------
    DataError
        If the file is damaged, or contains something else.
    """
    with file.open() as stream:
        magic = stream.read(4)
        kind, ndim = _read_kind(magic, role, file)
        start = 4 + 4 * ndim
        head = stream.read(4 * ndim)
        if len(head) < 4 * ndim:
            raise DataError(
                f"{file.place}: expected a header of {start} bytes, got {4 + len(head)}"
            )
        shape = tuple(np.frombuffer(head, ">u4").tolist())
        dtype = np.dtype(np.uint8 if kind == _BYTES else ">i4")
        promised = math.prod(shape) * dtype.itemsize
        if promised == 0 or promised > file.limit:
            raise DataError(
                f"{file.place}: expected the bytes of an array after the header, got the shape"
                f" {shape}: a truncated file"
            )
        array = np.empty(shape, dtype)
        there = read_into(stream, array)
        if there < promised or stream.read(1):
            got = f"{there}: a truncated file" if there < promised else "more: trailing bytes"
            raise DataError(
                f"{file.place}: expected {promised} bytes after the header of shape {shape}, got"
                f" {got}"
            )
    if role == "images":
        return array
    if ndim == 2 and shape[1] != _QMNIST_COLUMNS:
        raise DataError(
            f"{file.place}: expected {_QMNIST_COLUMNS} columns of labels, as QMNIST has them, got"
            f" {shape[1]}"
        )
    labels: Array = array if ndim == 1 else np.ascontiguousarray(array[:, 0], np.int32)
    if file.digits:
        check_digits(labels, lambda i: f"{file.place}: position {i}, byte {start + i}")
    return labels


def _read_kind(magic: bytes, role: str, file: File) -> tuple[int, int]:
    """Return the type of the numbers and the dimensions, or raise DataError if the role differs."""
    wanted = bytes([0, 0, _BYTES, 3 if role == "images" else 1])
    of_qmnist = bytes([0, 0, _INTS, 2])
    if magic == wanted or (role == "labels" and magic == of_qmnist):
        return magic[2], magic[3]
    raise DataError(
        f"{file.place}: expected the magic number {wanted.hex()} at byte 0, got"
        f" {magic.hex() or 'an empty file'}"
    )
