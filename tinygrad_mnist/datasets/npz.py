"""Keras' `mnist.npz`: four arrays in a zip file, read without pickle."""

import io
import math
import zipfile
from pathlib import Path

import numpy as np

from ..arrays import Array
from ..errors import DataError

__all__ = ["read_npz"]

_MOST = 1 << 30  # bytes of one array; MNIST's largest has 47 million
_KEYS = ("x_train", "y_train", "x_test", "y_test")


def read_npz(path: Path) -> dict[str, Array]:
    """Return the arrays `x_train y_train x_test y_test` of a npz file.

    Raises
    ------
    DataError
        If the file is missing or damaged, lacks an array, or holds anything but integers.
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            names = [f"{key}.npy" for key in _KEYS]
            missing = [name for name in names if name not in archive.namelist()]
            if missing:
                raise DataError(f"{path}: expected the arrays {', '.join(_KEYS)}, missing {', '.join(missing)}")
            return {key: _member(archive, name, path) for key, name in zip(_KEYS, names, strict=True)}
    except DataError:
        raise
    except Exception as error:  # zipfile and the npy header's parser raise a dozen kinds for damaged bytes
        raise DataError(f"{path}: expected a npz file of integers: {type(error).__name__}: {error}") from error


def _member(archive: zipfile.ZipFile, name: str, path: Path) -> Array:
    with archive.open(name) as file:
        # bounded by what deflate can make of the file, whatever the headers promise
        content = file.read(min(_MOST, 1032 * path.stat().st_size) + 1)
    stream = io.BytesIO(content)
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(stream)
    start = stream.tell()
    if dtype.kind not in "iu" or fortran:
        raise DataError(f"{path}: {name}: expected integers in C order, got {dtype}{' in Fortran order' if fortran else ''}")
    if len(content) - start != math.prod(shape) * dtype.itemsize:
        raise DataError(
            f"{path}: {name}: expected {math.prod(shape) * dtype.itemsize} bytes for shape {shape}, got {len(content) - start}"
        )
    return np.frombuffer(content, dtype, offset=start).reshape(shape)
