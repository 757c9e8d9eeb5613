"""Keras' `mnist.npz`: four arrays in a zip file, read without pickle."""

import zipfile
from pathlib import Path

import numpy as np

from ..arrays import Array
from ..errors import DataError

__all__ = ["read_npz"]

_KEYS = ("x_train", "y_train", "x_test", "y_test")


def read_npz(path: Path) -> dict[str, Array]:
    """Read the four arrays of Keras' `mnist.npz`.

    Raises
    ------
    DataError
        If the file is missing or damaged, lacks an array, or holds anything but integers.
    """
    place = str(path)
    arrays: dict[str, Array] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for key in (key for key in _KEYS if f"{key}.npy" in archive.namelist()):
                place = f"{path}: {key}"
                with archive.open(
                    f"{key}.npy"
                ) as file:  # not np.load, which passes over bytes after the array
                    arrays[key] = np.lib.format.read_array(file)
                    if file.read(1):
                        raise ValueError(f"more bytes than the shape {arrays[key].shape} takes")
                    if arrays[key].dtype.kind not in "iu":
                        raise TypeError(f"got {arrays[key].dtype}")
    except (
        Exception
    ) as error:  # zipfile and the npy header's parser raise a dozen kinds for damaged bytes
        raise DataError(
            f"{place}: expected a npz file of integers: {type(error).__name__}: {error}"
        ) from error
    missing = [key for key in _KEYS if key not in arrays]
    if missing:
        raise DataError(
            f"{path}: expected the arrays {', '.join(_KEYS)}, missing {', '.join(missing)}"
        )
    return arrays
