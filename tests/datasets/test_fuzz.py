"""Damaged files of every kind raise nothing but DataErrors that name them, or load.

`python tests/datasets/test_fuzz.py SECONDS` fuzzes each kind for so long and counts.
"""

import gzip
import random
import sys
import tempfile
import time
import warnings
from pathlib import Path

if __name__ == "__main__":  # pytest's conftest files do this otherwise
    sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]

import numpy as np
import pytest
from helpers import idx_bytes
from hypothesis import given
from hypothesis import strategies as st
from made_files import (
    arff,
    flat,
    header,
    hugging_face,
    idx,
    npy,
    npy_bytes,
    npz_bytes,
    openml_parquet,
    pictures,
    png,
    qmnist,
    qmnist_labels,
    quoted,
    random_set,
    rows,
    zip_bytes,
    zipped,
)

from tinygrad_mnist import DataError
from tinygrad_mnist.datasets import load_mnist

TRAIN, TEST = random_set(4, 1, classes=2), random_set(2, 2)


def alone(folder):
    """Write nothing beside the file."""


def beside_pictures(folder):
    pictures(folder, TRAIN, TEST)


def four():
    return {"x_train": TRAIN[0], "y_train": TRAIN[1], "x_test": TEST[0], "y_test": TEST[1]}


def zip_of(write):
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), TRAIN, TEST)
        return zipped(folder)


IMAGES, LABELS = TRAIN
# kind: (the file's name, its content, what writes the files beside it)
SEEDS = {
    "IDX": (
        "train-images-idx3-ubyte",
        lambda: idx_bytes(IMAGES),
        lambda f: idx(f, TRAIN, TEST),
    ),
    "IDX, gzipped": (
        "train-images-idx3-ubyte.gz",
        lambda: gzip.compress(idx_bytes(IMAGES)),
        lambda f: idx(f, TRAIN, TEST, "{}-{}-idx{}-ubyte.gz"),
    ),
    "labels": (
        "train-labels-idx1-ubyte",
        lambda: idx_bytes(LABELS),
        lambda f: idx(f, TRAIN, TEST),
    ),
    "labels of QMNIST": (
        "qmnist-train-labels-idx2-int",
        lambda: qmnist_labels(LABELS),
        lambda f: qmnist(f, TRAIN, TEST),
    ),
    "npy": ("x_train.npy", lambda: npy_bytes(IMAGES), lambda f: npy(f, TRAIN, TEST)),
    "npy of floats": (
        "x_train.npy",
        lambda: npy_bytes(np.asfortranarray(IMAGES.astype(float))),
        lambda f: npy(f, TRAIN, TEST),
    ),
    "npz": ("mnist.npz", lambda: npz_bytes(**four()), alone),
    "npz, compressed": ("mnist.npz", lambda: npz_bytes(np.savez_compressed, **four()), alone),
    "CSV": ("digits.csv", lambda: (header() + rows(*TRAIN)).encode(), alone),
    "CSV without header": ("digits.csv", lambda: rows(*TRAIN).encode(), alone),
    "CSV of floats": ("mnist.csv", lambda: rows(*TRAIN, decimals=".0").encode(), alone),
    "CSV with quotes": ("d.csv", lambda: quoted(header() + rows(*TRAIN)).encode(), alone),
    "CSV with spaces": ("d.csv", lambda: rows(*TRAIN, separator=" ").encode(), alone),
    "CSV of pandas": (
        "d.csv",
        lambda: (header(index=True) + rows(*TRAIN, index=True)).encode(),
        alone,
    ),
    "CSV in UTF-16": ("d.csv", lambda: rows(*TRAIN).encode("utf-16"), alone),
    "CSV, gzipped": ("d.csv.gz", lambda: gzip.compress(rows(*TRAIN).encode()), alone),
    "ARFF": ("mnist_784.arff", lambda: arff(*TRAIN, quote="'").encode(), alone),
    "Hugging Face": ("d.parquet", lambda: hugging_face(*TRAIN), alone),
    "Parquet of pixels": ("d.parquet", lambda: openml_parquet(*TRAIN), alone),
    "PNG": ("training/1/1.png", lambda: png(IMAGES[0]), beside_pictures),
    "JPEG": ("training/1/1.jpg", lambda: png(IMAGES[0], "JPEG"), beside_pictures),
    "BMP": ("training/1/1.bmp", lambda: png(IMAGES[0], "BMP"), beside_pictures),
    "zip of IDX": ("mnist.zip", lambda: zip_of(idx), alone),
    "zip of pictures": ("mnist.zip", lambda: zip_of(pictures), alone),
    "zip of CSV": (
        "mnist.zip",
        lambda: zip_bytes(**{"a/train.csv": rows(*TRAIN), "a/test.csv": rows(flat(TEST[0]))}),
        alone,
    ),
}


def changed(content, changes):
    """Set, cut out, repeat or add bytes, and cut off the end."""
    data = bytearray(content)
    for kind, at, value in changes:
        at = min(at, max(len(data) - 1, 0))
        if kind == "set":
            data[at : at + 1] = bytes([value])
        elif kind == "flip":
            data[at : at + 1] = bytes(byte ^ (1 << value % 8) for byte in data[at : at + 1])
        elif kind == "cut":
            del data[at : at + value]
        elif kind == "repeat":
            data[at:at] = data[at : at + value]
        elif kind == "insert":
            data[at:at] = bytes([value]) * (value % 5 + 1)
        else:
            del data[at:]
    return bytes(data)


KINDS = ("set", "flip", "cut", "repeat", "insert", "end")


def check(folder, name, content):
    """Load the damaged file by its path and by its folder; return whether it loaded."""
    (folder / name).write_bytes(content)
    path = folder if "/" in name else folder / name
    loaded = False
    for place in {path, folder}:
        try:
            data = load_mnist(place)
        except DataError as error:
            assert str(folder) in str(error)
        else:
            loaded = True
            for images, labels in (data.train, data.test):
                assert images.shape[1:] == (28, 28)
                assert images.dtype == np.uint8
                assert labels is None or (labels.shape, labels.dtype) == (images.shape[:1], "int64")
    return loaded


@pytest.mark.parametrize("kind", SEEDS)
@given(data=st.data())
def test_damaged_files_raise_nothing_but_data_errors(kind, data):
    name, make, beside = SEEDS[kind]
    content = make()
    change = st.tuples(
        st.sampled_from(KINDS), st.integers(0, len(content) - 1), st.integers(0, 255)
    )
    changes = data.draw(st.lists(change, min_size=1, max_size=4))
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        beside(Path(folder))
        check(Path(folder), name, changed(content, changes))


@pytest.mark.parametrize("kind", SEEDS)
def test_the_undamaged_files_load(kind, tmp_path):
    name, make, beside = SEEDS[kind]
    beside(tmp_path)
    assert check(tmp_path, name, make())


def fuzz(kind, seconds, seed):
    """Damage one kind of file again and again; print how many were tried, and how many loaded."""
    name, make, beside = SEEDS[kind]
    content, rng = make(), random.Random(seed)
    tried = loaded = 0
    end = time.monotonic() + seconds
    with tempfile.TemporaryDirectory() as folder:
        beside(Path(folder))
        while time.monotonic() < end:
            changes = [
                (rng.choice(KINDS), rng.randrange(len(content)), rng.randrange(256))
                for _ in range(rng.randint(1, 4))
            ]
            tried += 1
            damaged = changed(content, changes)
            try:
                loaded += check(Path(folder), name, damaged)
            except BaseException:
                Path("fuzzed").write_bytes(damaged)
                print(f"{kind}: failed after {tried}; the file is ./fuzzed")
                raise
    print(f"{kind}: {tried} tried, {loaded} loaded", flush=True)
    return tried


if __name__ == "__main__":
    warnings.simplefilter("ignore", UserWarning)
    for argument in sys.argv[1:2]:
        total = sum(fuzz(kind, float(argument), time.time_ns()) for kind in SEEDS)
        print(f"{total} in all")
