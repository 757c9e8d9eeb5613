"""Transfer learning: features learned on digits 0 to 4 classify 5 to 9 from a few examples."""

import argparse

import numpy as np

from tinygrad_mnist import nn, optim, softmax_cross_entropy
from tinygrad_mnist.datasets import load_mnist, normalize
from tinygrad_mnist.train import evaluate, fit


def build_features(rng):
    """Return convolutions that turn images (N, 1, 28, 28) into features (N, 384)."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 5, rng=rng, weight_init=nn.init.he_normal),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Conv2d(8, 24, 5, rng=rng, weight_init=nn.init.he_normal),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Flatten(),
    )


def add_head(features, rng):
    """Return the features, followed by new dense layers that classify five digits."""
    return nn.Sequential(
        *features,
        nn.Linear(384, 96, rng=rng, weight_init=nn.init.he_normal),
        nn.ReLU(),
        nn.Dropout(0.25, rng=rng),
        nn.Linear(96, 5, rng=rng),
    )


def train(model, data, epochs, batch_size, lr, rng, progress=False):
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = optim.Adam(parameters, lr)
    schedule = optim.OneCycleLR(optimizer, lr, epochs * -(-len(data[0]) // batch_size))
    fit(
        model,
        softmax_cross_entropy,
        optimizer,
        data,
        epochs=epochs,
        batch_size=batch_size,
        schedule=schedule,
        progress=progress,
        rng=rng,
    )


def few(data, count, rng):
    """Return `count` examples of each class."""
    chosen = np.concatenate(
        [rng.choice(np.flatnonzero(data[1] == c), count, replace=False) for c in np.unique(data[1])]
    )
    return data[0][chosen], data[1][chosen]


def main(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--examples", type=int, default=10, help="examples of each new digit")
    parser.add_argument("--epochs", type=int, default=2, help="epochs on the old digits")
    parser.add_argument(
        "--draws",
        type=int,
        default=5,
        help="how many random choices of the examples to average over",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", help="a folder or file of MNIST")
    options = parser.parse_args(arguments)

    data = load_mnist(options.data)
    old, new, unseen = (
        (normalize(part.images[keep])[:, np.newaxis], part.labels[keep] % 5)
        for part, keep in (
            (data.train, data.train.labels < 5),
            (data.train, data.train.labels >= 5),
            (data.test, data.test.labels >= 5),
        )
    )
    rng = np.random.default_rng(options.seed)
    features = build_features(rng)
    print(f"{data.name}: learning features from {len(old[0]):,} digits 0 to 4")
    train(add_head(features, rng), old, options.epochs, 64, 0.003, rng, progress=True)
    for p in features.parameters():
        p.requires_grad = False  # frozen: no gradient, no step

    results = {"frozen features": [], "from scratch": []}
    for _ in range(options.draws):
        examples = few(new, options.examples, rng)
        for name, model in (
            ("frozen features", add_head(features, rng)),
            ("from scratch", add_head(build_features(rng), rng)),
        ):
            train(model, examples, 60, 10, 0.003, rng)
            results[name].append(evaluate(model, softmax_cross_entropy, unseen).accuracy)
    for name, accuracies in results.items():
        spread = f"{np.mean(accuracies):.1%} (+- {np.std(accuracies):.1%})"
        print(
            f"{name}: {spread} of {len(unseen[0]):,} digits 5 to 9, from {options.examples} of each"
        )
    return results


if __name__ == "__main__":
    main()
