"""Read the pictures for predict.py: image files, folders of them, CSVs, MNIST's test set."""

from typing import NamedTuple

import numpy as np
from PIL import Image

from tinygrad_mnist import DataError
from tinygrad_mnist.datasets import load_mnist, read_csv

from .photo import read_photo

TABLES = (".csv", ".csv.gz")
APPLE = (".heic", ".heif")  # iPhone formats that Pillow does not read


class Pictures(NamedTuple):
    """Images in the format of MNIST, with what is known about them."""

    images: np.ndarray
    """uint8 of shape (N, 28, 28)."""
    labels: np.ndarray | None
    """The true classes, shape (N,), or None if they are not known."""
    names: list[str]
    """The source of each image: a file, a row of a file, or an index."""


def read_pictures(paths):
    """Return the pictures of files and folders, in their order.

    Raises
    ------
    DataError
        If files cannot be read or do not show a digit. The message names all of them.
    """
    files = [file for path in paths for file in list_files(path)]
    parts, troubles = [], []
    for file in files:
        try:
            parts.append(read_table(file) if is_table(file) else read_picture(file))
        except DataError as trouble:
            troubles.append(str(trouble))
    if troubles:
        raise DataError("\n".join(troubles))
    labels = [part.labels for part in parts]
    return Pictures(
        np.concatenate([part.images for part in parts]),
        None if any(part is None for part in labels) else np.concatenate(labels),
        [name for part in parts for name in part.names],
    )


def list_files(path):
    """Return the path itself, or the image files of a folder in the order of their names."""
    if not path.is_dir():
        return [path]
    formats = Image.registered_extensions()  # some of these formats Pillow can only write
    known = {ending for ending, name in formats.items() if name in Image.OPEN}
    known.update(APPLE)  # so that they are refused and not ignored
    files = [file for file in sorted(path.iterdir()) if file.suffix.lower() in known]
    if not files:
        raise DataError(f"{path}: expected a folder with image files, got none in it")
    return files


def is_table(file):
    return file.name.lower().endswith(TABLES)


def read_table(file):
    """Return the images of a CSV, one in each row."""
    images, labels = read_csv(file)
    return Pictures(images, labels, [f"{file}, image {i}" for i in range(len(images))])


def read_picture(file):
    """Return the one digit in an image file."""
    if file.name.lower().endswith(APPLE):
        raise DataError(
            f"{file}: expected an image file that Pillow reads, got HEIC; save it as JPEG "
            "(an iPhone takes JPEG under Settings, Camera, Formats, Most Compatible)"
        )
    return Pictures(read_photo(file)[np.newaxis], None, [str(file)])


def read_indices(indices, where):
    """Return the images of MNIST's test set with these indices."""
    test = load_mnist(where).test
    wrong = [i for i in indices if not 0 <= i < len(test.images)]
    if wrong:
        raise DataError(
            f"--indices: expected numbers from 0 to {len(test.images) - 1}, got {wrong}"
        )
    labels = None if test.labels is None else test.labels[indices]
    return Pictures(test.images[indices], labels, [f"test image {i}" for i in indices])
