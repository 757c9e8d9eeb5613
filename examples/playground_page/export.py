"""Write the page as one file that runs without Python. It contains a small trained model."""

import base64
import json

import numpy as np
from runner.web import RequestError, make_policy

from tinygrad_mnist import nn, optim, softmax_cross_entropy
from tinygrad_mnist.train import evaluate, fit

from .frames import encode_bytes

MARK = "<!-- The exported model stands here. -->"
TOP = '<meta charset="utf-8">'
HIDDEN, EPOCHS = (32, 16), 10
DIGITS = 40  # how many digits the file contains for the user to look at
ACTIVATIONS = {nn.ReLU: "relu", nn.Tanh: "tanh", nn.Sigmoid: "sigmoid", nn.GELU: "gelu"}


def train_small(data):
    """Return a small perceptron trained on digits, and its accuracy on the held-out digits."""
    rng = np.random.default_rng(0)
    layers, width = [], data.train.inputs.shape[1]
    for units in HIDDEN:
        layers += [nn.Linear(width, units, rng=rng), nn.ReLU()]
        width = units
    model = nn.Sequential(*layers, nn.Linear(width, 10, rng=rng))
    steps = EPOCHS * -(-len(data.train.inputs) // 64)
    optimizer = optim.Adam(model.parameters(), 0.003)
    fit(
        model,
        softmax_cross_entropy,
        optimizer,
        data.train,
        epochs=EPOCHS,
        batch_size=64,
        schedule=optim.CosineLR(optimizer, steps),
        rng=0,
    )
    return model, evaluate(model, softmax_cross_entropy, data.test).accuracy


def write_page(page, model, data, *, about, pixels=(0.0, 1.0), outputs="softmax", names=None):
    """Return the page with a perceptron and some digits in it.

    Parameters
    ----------
    page : str
        The page as the server sends it.
    model : Sequential
        Dense layers, and activations between them.
    data : Data
        The data that the digits are taken from.
    about : str
        What the page says about the model.
    pixels : (float, float)
        The model's input values for background and ink.
    outputs : {"softmax", "share"}
        How the model's outputs become probabilities.
    names : list of str, optional
        The names of the classes, if they are not just the digits.
    """
    content = {
        "about": about,
        "pixels": list(pixels),
        "outputs": outputs,
        "names": names,
        "layers": pack_layers(model),
        "digits": [
            {"pixels": encode_bytes(image), "label": int(label)}
            for image, label in zip(data.images[:DIGITS], data.test.labels[:DIGITS], strict=True)
        ],
    }
    text = json.dumps(content).replace("</", "<\\/")  # so that no text ends the script early
    policy = make_policy(page, may_ask="'none'")
    rule = f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    block = f'<script type="application/json" id="exported">{text}</script>'
    return page.replace(MARK, block).replace(TOP, f"{TOP}\n{rule}")


def pack_layers(model):
    """Return the dense layers for JSON: weights, biases, and the activation that follows."""
    packed = []
    for layer in model:
        if isinstance(layer, nn.Linear):
            packed.append({**pack_weights(layer), "activation": None})
        elif type(layer) in ACTIVATIONS and packed and packed[-1]["activation"] is None:
            packed[-1]["activation"] = ACTIVATIONS[type(layer)]
        elif not isinstance(layer, nn.Dropout):
            raise RequestError(
                "--export: expected a perceptron, of dense layers and activations alone, got one "
                f"with {type(layer).__name__}"
            )
    return packed


def pack_weights(layer):
    """Return a layer's weights as 16-bit numbers with a scale, which takes half of the space."""
    weights = layer.weight.data
    scale = (float(np.abs(weights).max()) or 1.0) / 32767
    whole = np.round(weights / scale).astype("<i2")
    bias = np.zeros(len(weights)) if layer.bias is None else layer.bias.data
    return {
        "weights": base64.b64encode(whole.tobytes()).decode(),
        "scale": scale,
        "shape": list(weights.shape),
        "bias": bias.astype(float).round(6).tolist(),
    }
