"""What the page shows about a training: frames many times a second, scores less often."""

import base64
import functools

import numpy as np

from tinygrad_mnist import Tensor, from_numpy, no_grad, sigmoid, softmax, softmax_cross_entropy
from tinygrad_mnist.train import predict

GRID, REACH = 44, 1.3  # the plane is shown as GRID x GRID answers, from -REACH to REACH
UNIT_GRID, MOST_UNITS = 22, 16  # the same for the units of the first layer
MOST_WEIGHTS = 32  # the most units whose weights are shown as images
SCORED_TRAIN, SCORED_TEST = 500, 1000  # how many examples the scores are measured on
WORST = 10


def make_frame(model, kind):
    """Return the picture of a model: its outputs on the plane, or its first layer's weights."""
    return draw_plane(model) if kind == "plane" else draw_weights(model)


def draw_plane(model):
    """Return the probability of class 1 at each point, and the output of each first-layer unit."""
    outputs = predict(model, make_grid(GRID))
    # For two classes the softmax is the sigmoid of their difference, which is faster to compute.
    probabilities = sigmoid(Tensor(outputs[:, 1] - outputs[:, 0])).numpy()
    first = run_first_units(model, make_grid(UNIT_GRID))[:, :MOST_UNITS].T
    return {
        "plane": encode_bytes(np.nan_to_num(probabilities) * 255),
        "units": encode_signed(first, axis=1),
        "count": len(first),
    }


@functools.cache
def make_grid(side):
    """Return points (side * side, 2) of the plane, row by row from the top."""
    along = np.linspace(-REACH, REACH, side, dtype=np.float32)
    return np.stack(np.meshgrid(along, along[::-1]), axis=-1).reshape(-1, 2)


def run_first_units(model, inputs):
    """Return the output of the first layer, after its activation if it has one."""
    layers = list(model)
    with no_grad():
        outputs = layers[0](from_numpy(inputs))
        return (layers[1](outputs) if len(layers) > 1 else outputs).data


def draw_weights(model):
    """Return the weights of the first units as signed bytes, on one scale."""
    weights = next(iter(model.parameters())).data[:MOST_WEIGHTS]
    return {"weights": encode_signed(weights), "count": len(weights)}


def make_scores(model, data):
    """Return loss and accuracy on training and held-out examples, and the errors for digits."""
    outputs, labels = run_some(model, data.test, SCORED_TEST)
    train = score(*run_some(model, data.train, SCORED_TRAIN))
    scores = {"train": train, "test": score(outputs, labels)}
    if data.images is None:
        return scores
    return {
        **scores,
        "confusion": count_confusion(outputs, labels).tolist(),
        "worst": find_worst(outputs, labels, data.images),
    }


def run_some(model, part, count):
    """Return a model's outputs for the first examples, and their labels."""
    return predict(model, part.inputs[:count]), part.labels[:count]


def score(outputs, labels):
    """Return loss and accuracy. The loss is None if it is not finite."""
    loss = softmax_cross_entropy(outputs, labels).item()
    accuracy = float(np.mean(outputs.argmax(axis=1) == labels))
    return {"loss": loss if np.isfinite(loss) else None, "accuracy": accuracy}


def count_confusion(outputs, labels):
    """Return how often each digit (row) was taken for each digit (column)."""
    pairs = np.bincount(labels * 10 + outputs.argmax(axis=1), minlength=100)
    return pairs.reshape(10, 10)


def find_worst(outputs, labels, images):
    """Return the wrong predictions that the model is most sure of."""
    probabilities = softmax(Tensor(np.nan_to_num(outputs))).numpy()
    answers, sure = probabilities.argmax(axis=1), probabilities.max(axis=1)
    wrong = np.flatnonzero(answers != labels)
    worst = wrong[np.argsort(-sure[wrong], kind="stable")[:WORST]]
    return [
        {
            "number": int(i),
            "image": encode_bytes(images[i]),
            "label": int(labels[i]),
            "answer": int(answers[i]),
            "sure": round(float(sure[i]), 4),
        }
        for i in worst
    ]


def encode_bytes(values):
    """Return numbers from 0 to 255 as base64 text."""
    return base64.b64encode(np.asarray(values).astype(np.uint8).tobytes()).decode()


def encode_signed(values, axis=None):
    """Return numbers of either sign as base64 text of signed bytes.

    The largest one becomes 127 or -127; with an axis, the largest one along that axis.
    """
    finite = np.nan_to_num(values)
    most = np.abs(finite).max(axis=axis, keepdims=True)
    scale = 127 / np.where(most > 0, most, 1)
    return base64.b64encode(np.rint(finite * scale).astype(np.int8).tobytes()).decode()


class Curve:
    """The scores of the past, thinned out so that there are never too many."""

    MOST = 600

    def __init__(self):
        self.points = []  # [step, loss of training, held out, accuracy of training, held out]
        self.every = 1
        self.seen = 0

    def add(self, step, scores):
        self.seen += 1
        if self.seen % self.every:
            return
        train, test = scores["train"], scores["test"]
        point = [step, train["loss"], test["loss"], train["accuracy"], test["accuracy"]]
        if self.points and self.points[-1][0] == step:
            self.points.pop()
        self.points.append(point)
        if len(self.points) > self.MOST:
            self.points = self.points[::2]
            self.every *= 2
