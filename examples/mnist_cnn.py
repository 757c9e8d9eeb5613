"""Train a LeNet-sized convolutional network on MNIST; the flags are those of mnist_mlp.py, as far as they apply."""

import argparse
import itertools
import sys
import time
from pathlib import Path

import numpy as np
from mnist_mlp import report, run

from tinygrad_mnist import AnomalyError, DataError, nn, optim, softmax_cross_entropy
from tinygrad_mnist.datasets import load_mnist, normalize, train_val_split
from tinygrad_mnist.train import evaluate, predict


def build(rng, channels=(8, 24), hidden=96, dropout=0.25):
    """Return two convolutions with pooling, and two dense layers: about 45,000 weights, as many as LeNet's."""
    layers = []
    for into, out in itertools.pairwise((1, *channels)):
        layers += [
            nn.Conv2d(into, out, 5, rng=rng, weight_init=nn.init.he_normal),
            nn.MaxPool2d(2),
            nn.ReLU(),
        ]
    dense = nn.Linear(channels[-1] * 4 * 4, hidden, rng=rng, weight_init=nn.init.he_normal)
    return nn.Sequential(
        *layers,
        nn.Flatten(),
        dense,
        nn.ReLU(),
        nn.Dropout(dropout, rng=rng),
        nn.Linear(hidden, 10, rng=rng),
    )


def main(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--lr", type=float, default=0.003, help="the peak of the learning rate")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", help="a folder or file of MNIST")
    parser.add_argument("--out", type=Path, default=Path("runs/mnist_cnn"))
    parser.add_argument("--print-every", type=int, default=1, help="epochs between lines")
    settings = {**vars(parser.parse_args(arguments)), "loss": "cross-entropy", "recipe": "cnn"}
    started = time.perf_counter()
    settings["out"].mkdir(parents=True, exist_ok=True)

    data = load_mnist(settings["data"])
    if data.train.labels is None or data.test.labels is None:
        raise DataError(f"{data.name}: expected labels, got none")
    split_rng, model_rng, order_rng = np.random.default_rng(settings["seed"]).spawn(3)
    inputs = normalize(data.train.images)[:, np.newaxis]
    training, validation = train_val_split(inputs, data.train.labels, 0.02, split_rng)
    model = build(model_rng)
    print(
        f"{data.name}: {len(training[0]):,} to train on, {len(validation[0]):,} to validate\n{model}"
    )
    optimizer = optim.Adam(model.parameters(), settings["lr"])
    steps = max(settings["epochs"] * -(-len(training[0]) // settings["batch_size"]), 1)
    schedule = optim.OneCycleLR(optimizer, settings["lr"], steps)
    history, interrupted = run(
        model, softmax_cross_entropy, optimizer, training, validation, settings, order_rng, schedule
    )
    seconds = time.perf_counter() - started

    images = normalize(data.test.images)[:, np.newaxis]
    test = evaluate(model, softmax_cross_entropy, (images, data.test.labels))
    report(model, history, data, test, predict(model, images), settings, seconds, interrupted)
    return 130 if interrupted else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (DataError, AnomalyError, ValueError) as problem:
        sys.exit(f"{type(problem).__name__}: {problem}")
