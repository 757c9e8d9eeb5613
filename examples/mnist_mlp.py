"""Train a multi-layer perceptron on MNIST: progress, accuracy, pictures, the saved model.

Try --help, or --recipe best. The code that it shares with the other programs is in runner/.
A shorter program without flags is mnist.py, which has forty lines.
"""

import sys
import time

import numpy as np
from runner.data import load_digits, prepare
from runner.folder import start_clean, write_json
from runner.models import build_perceptron
from runner.numpy_script import write_numpy
from runner.report import Trained, report
from runner.settings import as_json, parse
from runner.threads import set_threads
from runner.training import make_optimizer, train

from tinygrad_mnist import AnomalyError, DataError, mse, softmax_cross_entropy
from tinygrad_mnist.datasets import train_val_split


def make_loss(model, settings):
    """Return the loss that the settings name. Labels are smoothed in training only."""
    if settings["loss"] == "mse":
        return mse

    def cross_entropy(outputs, targets):
        smoothing = settings["label_smoothing"] if model.training else 0.0
        return softmax_cross_entropy(outputs, targets, label_smoothing=smoothing)

    return cross_entropy


def main(arguments=None):
    started = time.perf_counter()
    settings = parse(__doc__, arguments)
    set_threads(settings["threads"])
    data, settings = load_digits(settings)

    # A separate generator for each purpose, so that a change to one does not affect the others.
    split_rng, model_rng, order_rng = np.random.default_rng(settings["seed"]).spawn(3)
    inputs, targets = prepare(data.train, settings)
    limit = settings["limit"] or len(inputs)
    training, validation = train_val_split(
        inputs[:limit], targets[:limit], settings["validation"], split_rng
    )
    print(f"{data.name}: {len(training[0]):,} to train on, {len(validation[0]):,} to validate")
    model = build_perceptron(settings, model_rng)
    print(model)
    loss = make_loss(model, settings)
    optimizer, schedule = make_optimizer(model, settings, len(training[0]))

    if settings["write_numpy"]:
        write_numpy(settings["write_numpy"], model, loss, optimizer, training, settings)
        print(f"wrote {settings['write_numpy']}")
        return 0

    # Change the folder only now, because the data and the settings turned out to be good.
    if not settings["resume"]:
        start_clean(settings["out"])
    write_json(settings["out"] / "settings.json", as_json(settings))
    history, interrupted = train(
        model,
        loss,
        optimizer,
        schedule,
        training,
        validation if len(validation[0]) else None,
        settings,
        order_rng,
    )
    if interrupted:
        print(f"--resume {settings['out']} goes on from there")
    seconds = time.perf_counter() - started
    report(Trained(model, history, seconds, interrupted), loss, data, settings)
    return 130 if interrupted else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (DataError, AnomalyError, ValueError) as problem:  # the user can fix it
        sys.exit(f"{type(problem).__name__}: {problem}")
