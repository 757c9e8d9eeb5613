"""What happens in a model that sees a digit: activations, and gradients at the pixels."""

from typing import Any, NamedTuple

import numpy as np
from runner.web import RequestError

from tinygrad_mnist import GraphError, Tensor, from_numpy, grad, nn, no_grad, softmax

from .data import as_rows

ACTIVATIONS = (nn.ReLU, nn.Tanh, nn.Sigmoid, nn.GELU, nn.LeakyReLU)
SIDE = 28  # pixels of a digit
STEPS = 60  # how many steps the search for an exciting image takes


class Reader(NamedTuple):
    """A model of digits. It knows how to prepare images and how to get probabilities."""

    model: Any
    prepare: Any = as_rows
    find_probabilities: Any = lambda outputs: softmax(Tensor(outputs)).numpy()
    names: Any = None
    """The names of the classes, if they are not just the digits."""


def look(reader, image, chosen=None):
    """Return each layer's output for an image, and which pixels support the chosen digit.

    The support is the gradient of the digit's output with respect to the pixels. By default the
    digit is the one that the model predicts.
    """
    x = reader.prepare(image[np.newaxis])
    layers, outputs = run_layers(reader.model, x)
    probabilities = reader.find_probabilities(outputs)[0]
    answer = int(probabilities.argmax())
    chosen = answer if chosen is None else min(chosen, len(probabilities) - 1)
    slopes = grad(lambda pixels: reader.model(pixels)[0, chosen])(x)
    return {
        "probabilities": as_numbers(probabilities),
        "answer": answer,
        "chosen": chosen,
        "slopes": as_numbers(slopes),
        "layers": layers,
        "names": reader.names,
    }


def run_layers(model, x):
    """Return the name, shape and output of each layer, and the outputs of the last layer."""
    x = from_numpy(x)
    described = []
    with no_grad():
        for layer in model:
            x = layer(x)
            if isinstance(layer, nn.Dropout):
                continue  # because it does nothing outside of training
            shape = x.shape[1:] if x.ndim == 4 else (x.shape[1], 1, 1)
            name = describe(layer)
            described.append({"name": name, "shape": shape, "values": as_numbers(x.data)})
    return described, x.data


def describe(layer):
    """Return a layer's name in words that fit into one line."""
    if isinstance(layer, nn.Linear):
        return f"Linear {layer.in_features} → {layer.out_features}"
    return type(layer).__name__


def as_numbers(array):
    """Return a flat list of numbers for JSON, which does not allow nan or infinity."""
    return np.nan_to_num(array).ravel().astype(float).round(5).tolist()


def look_at_unit(reader, layer, unit):
    """Return an image that excites a unit and, for the first layer, its weights as an image."""
    layers = [one for one in reader.model if not isinstance(one, nn.Dropout)]
    if not 0 <= layer < len(layers):
        raise RequestError(f"layer: expected a number from 0 to {len(layers) - 1}, got {layer}")
    shape = run_layers(reader.model, reader.prepare(np.zeros((1, SIDE, SIDE), np.uint8)))[0]
    units = shape[layer]["shape"][0]
    if not 0 <= unit < units:
        raise RequestError(f"unit: expected a number from 0 to {units - 1}, got {unit}")
    weights = find_weights(layers[: layer + 1], unit)
    return {
        "weights": None if weights is None else as_numbers(weights),
        "side": None if weights is None else weights.shape[-1],
        "image": as_numbers(find_exciting(reader, layers[: layer + 1], unit)),
    }


def find_weights(layers, unit):
    """Return the weights (H, W) of a unit in the first layer with weights, or None."""
    weighted = [layer for layer in layers if isinstance(layer, (nn.Linear, nn.Conv2d))]
    if len(weighted) != 1:
        return None
    weights = weighted[0].weight.data[unit]
    return weights.reshape(SIDE, SIDE) if weights.ndim == 1 else weights[0]


def find_exciting(reader, layers, unit):
    """Search for an image (28, 28), from 0 to 1, that excites a unit as much as possible.

    The search follows the gradient with respect to the pixels. Each step also smooths the image a
    little, because strokes are wider than a pixel. If the last layer is an activation, the search
    excites its input instead, because a ReLU has no slope below zero.
    """
    before = layers[:-1] if isinstance(layers[-1], ACTIVATIONS) else layers

    def excitement(x):
        for layer in before:
            x = layer(x)
        return x[0, unit].sum()

    climb = grad(excitement)
    x = reader.prepare(np.full((1, SIDE, SIDE), 64, np.uint8))
    low, high = reader.prepare(np.uint8([[[0]], [[255]]]).repeat(SIDE, 1).repeat(SIDE, 2))
    for _ in range(STEPS):
        try:
            slope = climb(x)
        except GraphError:  # the unit does not depend on the pixels
            break
        most = float(np.abs(slope).max())
        if not most > 0:
            break
        x = np.clip(smooth(x + slope * np.float32(0.1 / most)), low, high)
    return ((x - low) / (high - low)).reshape(SIDE, SIDE)


def smooth(x):
    """Return images in which each pixel is spread a little to its neighbours."""
    image = np.pad(x.reshape(SIDE, SIDE), 1, mode="edge")
    around = image[:-2, 1:-1] + image[2:, 1:-1] + image[1:-1, :-2] + image[1:-1, 2:]
    return (0.76 * image[1:-1, 1:-1] + 0.06 * around).reshape(x.shape)
