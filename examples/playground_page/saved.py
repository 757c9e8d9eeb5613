"""Opens a model that mnist_mlp.py or mnist_cnn.py saved."""

from runner.augment import Distort
from runner.data import prepare_inputs
from runner.models import find_probabilities, load_model

from tinygrad_mnist import nn

from .inside import Reader


def open_run(path):
    """Return the Reader of a run's folder, or of its model.safetensors, and the run's settings."""
    model, settings = load_model(path)
    layers = [layer for layer in model if not isinstance(layer, Distort)]  # only for training
    reader = Reader(
        nn.Sequential(*layers).eval(),
        lambda images: prepare_inputs(images, settings),
        lambda outputs: find_probabilities(outputs, settings),
        settings.get("class_names"),
    )
    return reader, settings
