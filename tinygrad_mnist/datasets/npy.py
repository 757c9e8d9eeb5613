"""Reader of one NumPy array: a .npy file, or a member of an npz file. It refuses pickles."""

import math

import numpy as np

from ..arrays import Array
from ..errors import DataError
from .files import File, read_into

__all__ = ["read_npy"]


def read_npy(file: File) -> Array:
    """Read an array of numbers.

    Raises
    ------
    DataError
        If the file is damaged or contains something else, such as Python objects.
    """
    with file.open() as stream:
        try:
            version = np.lib.format.read_magic(stream)
            read_header = {
                (1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0,
            }[version]
            shape, by_columns, dtype = read_header(stream)
        except Exception as error:  # parsing the header as Python can fail in a dozen ways
            raise DataError(
                f"{file.place}: expected an array of NumPy's, got a header that is damaged: {error}"
            ) from error
        if dtype.hasobject:
            raise DataError(
                f"{file.place}: expected numbers, got Python objects, which are pickled, and a"
                " pickle can run any program when it is read: save it with a dtype of numbers"
            )
        if dtype.kind not in "uifb":
            raise DataError(f"{file.place}: expected numbers, got {dtype}")
        promised = math.prod(shape) * dtype.itemsize
        largest = math.prod(max(size, 1) for size in shape) * dtype.itemsize
        if largest > file.limit or any(size < 0 for size in shape):
            raise DataError(
                f"{file.place}: expected the bytes of an array of shape {shape}, which the file"
                " cannot hold"
            )
        array = np.empty(shape[::-1] if by_columns else shape, dtype)
        there = read_into(stream, array) if promised else 0
        if there < promised or stream.read(1):
            got = f"{there}" if there < promised else "more"
            raise DataError(
                f"{file.place}: expected {promised} bytes for the shape {shape}, got {got}"
            )
    return array.T if by_columns else array
