"""Keras' `mnist.npz`: four arrays in a zip file, read without pickle."""

import io
import math
import zipfile
from pathlib import Path

import numpy as np

from ..arrays import Array
from ..errors import DataError

__all__ = ["read_npz"]

_HEAD = 1 << 14  # bytes in which the header of an array must end
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
        stream = io.BytesIO(head := file.read(_HEAD))
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(stream)
        if dtype.kind not in "iu" or fortran:
            raise DataError(
                f"{path}: {name}: expected integers in C order, got {dtype}{' in Fortran order' if fortran else ''}"
            )
        promised = math.prod(shape) * dtype.itemsize
        # no more than the header promises, and no more than there is: a byte too many shows that it lied
        content = head[stream.tell() :]
        content += file.read(max(promised + 1 - len(content), 0))
    if len(content) != promised:
        got = f"{len(content)}" if len(content) < promised else "more"
        raise DataError(f"{path}: {name}: expected {promised} bytes for shape {shape}, got {got}")
    return np.array(np.frombuffer(content, dtype).reshape(shape))  # a copy, which may be written to
