"""Train a LeNet-sized convolutional network on MNIST; reports and files as in mnist_mlp.py."""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
from runner.data import load_digits, prepare
from runner.folder import start_clean, write_json
from runner.models import build_cnn
from runner.recipes import DEFAULT
from runner.report import Trained, report
from runner.settings import as_json
from runner.threads import add_threads, set_threads
from runner.training import make_optimizer, train

from tinygrad_mnist import AnomalyError, DataError, softmax_cross_entropy
from tinygrad_mnist.datasets import train_val_split


def parse(arguments=None):
    """Return the settings of a run: those of mnist_mlp.py, changed by this program's flags."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--lr", type=float, default=0.003, help="the highest learning rate")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", help="a folder or file of MNIST")
    parser.add_argument("--out", type=Path, default=Path("runs/mnist_cnn"))
    parser.add_argument("--print-every", type=int, default=1, help="epochs between progress lines")
    add_threads(parser)
    flags = vars(parser.parse_args(arguments))
    return {**DEFAULT, "dropout": 0.25, "recipe": "cnn", "resume": None, **flags}


def main(arguments=None):
    started = time.perf_counter()
    settings = parse(arguments)
    set_threads(settings["threads"])
    data, settings = load_digits(settings)
    split_rng, model_rng, order_rng = np.random.default_rng(settings["seed"]).spawn(3)
    training, validation = train_val_split(*prepare(data.train, settings), 0.02, split_rng)
    print(f"{data.name}: {len(training[0]):,} to train on, {len(validation[0]):,} to validate")
    model = build_cnn(settings, model_rng)
    print(model)
    optimizer, schedule = make_optimizer(model, settings, len(training[0]))
    start_clean(settings["out"])
    write_json(settings["out"] / "settings.json", as_json(settings))
    history, interrupted = train(
        model, softmax_cross_entropy, optimizer, schedule, training, validation, settings, order_rng
    )
    seconds = time.perf_counter() - started
    trained = Trained(model, history, seconds, interrupted)
    report(trained, softmax_cross_entropy, data, settings)
    return 130 if interrupted else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (DataError, AnomalyError, ValueError) as problem:  # the user can fix it
        sys.exit(f"{type(problem).__name__}: {problem}")
