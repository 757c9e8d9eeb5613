"""A model that mnist_mlp.py or mnist_cnn.py saved, for this page."""

from mnist_mlp import probabilities
from predict import as_inputs, load_model

from tinygrad_mnist import nn

from .inside import Reader


def open_run(path):
    """Return the Reader of a run's folder, or of its model.safetensors, and the run's settings."""
    model, settings = load_model(path)
    layers = list(model)
    if settings.get("augment"):
        layers = layers[1:]  # it distorts digits, and only in training
    reader = Reader(
        nn.Sequential(*layers).eval(),
        lambda images: as_inputs(images, settings),
        lambda outputs: probabilities(outputs, settings),
    )
    return reader, settings
