"""The digits of a run, and how they become a model's inputs and targets."""

import hashlib
import os

import numpy as np

from tinygrad_mnist import DataError
from tinygrad_mnist.datasets import load_mnist, normalize, one_hot


def load_digits(settings):
    """Return the data of a run, and the settings with what is now known about the data.

    The settings remember the path of the data, their SHA-256 and their classes. A run that is
    resumed must find the same data, because its history would otherwise mix two data sets.
    """
    data = load_mnist(settings["data"])
    if data.train.labels is None:
        raise DataError(f"{data.name}: expected labels to train on, got none")
    digest = hash_digits(data)
    if settings.get("data_sha256", digest) != digest:
        raise DataError(
            f"--resume {settings['out']}: expected the data that the run began with, "
            f"{settings['data_name']}, got {data.name}, whose content differs; "
            "name the first ones with --data"
        )
    place = settings["data"] or os.environ.get("TINYGRAD_MNIST_DATA") or None
    known = {
        "data": None if place is None else os.path.abspath(os.path.expanduser(place)),
        "data_name": data.name,
        "data_sha256": digest,
        "classes": data.num_classes,
        "class_names": data.class_names,
    }
    return data, {**settings, **known}


def list_classes(settings):
    """Return the names of the classes, or their numbers if they do not have names."""
    return list(settings.get("class_names") or map(str, range(settings["classes"])))


def hash_digits(data):
    """Return the SHA-256 of all images and labels."""
    digest = hashlib.sha256()
    for part in (data.train, data.test):
        for array in part:
            digest.update(b"none" if array is None else np.ascontiguousarray(array).data)
    return digest.hexdigest()


def prepare_inputs(images, settings):
    """Return images (N, 28, 28) as model inputs: rows, or images with a channel for a CNN."""
    inputs = normalize(images, *settings["pixels"])
    return inputs[:, np.newaxis] if settings["recipe"] == "cnn" else inputs.reshape(-1, 784)


def prepare_targets(labels, settings):
    """Return labels in the form that the loss takes. None stays None."""
    if labels is None or (settings["loss"] == "cross-entropy" and not settings["one_hot"]):
        return labels
    return one_hot(labels, settings["classes"], *settings["targets"])


def prepare(split, settings):
    """Return the inputs and the targets of one part of the data."""
    return prepare_inputs(split.images, settings), prepare_targets(split.labels, settings)
