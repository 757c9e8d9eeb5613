"""Keras' `mnist.npz`: four arrays in a zip file, read without pickle."""

from pathlib import Path

import numpy as np

from ..arrays import Array
from ..errors import DataError

__all__ = ["read_npz"]

_KEYS = ("x_train", "y_train", "x_test", "y_test")


def read_npz(path: Path) -> dict[str, Array]:
    """Return the arrays `x_train y_train x_test y_test` of a npz file.

    Raises
    ------
    DataError
        If the file is missing or damaged, lacks an array, or holds anything but integers.
    """
    try:
        with open(path, "rb") as file, np.load(file) as archive:
            arrays = {key: np.asarray(archive[key]) for key in _KEYS if key in archive}
    except Exception as error:  # zipfile and the npy header's parser raise a dozen kinds for damaged bytes
        raise DataError(f"{path}: expected a npz file of integers: {type(error).__name__}: {error}") from error
    missing = [key for key in _KEYS if key not in arrays]
    if missing:
        raise DataError(f"{path}: expected the arrays {', '.join(_KEYS)}, missing {', '.join(missing)}")
    for key, array in arrays.items():
        if array.dtype.kind not in "iu":
            raise DataError(f"{path}: {key}: expected an array of integers, got {array.dtype}")
    return arrays
