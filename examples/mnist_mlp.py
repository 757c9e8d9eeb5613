"""Train a multi-layer perceptron on MNIST: progress, accuracy, pictures, the saved model. Try --help, or --recipe best."""

import argparse
import itertools
import json
import math
import signal
import sys
import time
from pathlib import Path

import numpy as np
from augment import Distort
from recipes import DEFAULT, RECIPES

from tinygrad_mnist import (
    AnomalyError,
    DataError,
    Tensor,
    checkpoint,
    mse,
    nn,
    optim,
    plots,
    softmax,
    softmax_cross_entropy,
)
from tinygrad_mnist.datasets import load_mnist, normalize, one_hot, train_val_split
from tinygrad_mnist.train import History, evaluate, fit, predict

ACTIVATIONS = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "gelu": nn.GELU}
INITIALISERS = {
    name: getattr(nn.init, name)
    for name in ("he_normal", "he_uniform", "xavier_normal", "xavier_uniform", "normal")
}
OPTIMIZERS = {
    "sgd": lambda params, lr, l2: optim.SGD(params, lr, weight_decay=l2),
    "momentum": lambda params, lr, l2: optim.SGD(params, lr, momentum=0.9, weight_decay=l2),
    "nesterov": lambda params, lr, l2: optim.SGD(
        params, lr, momentum=0.9, nesterov=True, weight_decay=l2
    ),
    "adam": lambda params, lr, l2: optim.Adam(params, lr, weight_decay=l2),
    "adamw": lambda params, lr, l2: optim.AdamW(params, lr, weight_decay=l2),
    "rmsprop": lambda params, lr, l2: optim.RMSprop(params, lr, weight_decay=l2),
}
SCHEDULES = {
    "constant": lambda optimizer, steps: None,
    "cosine": lambda optimizer, steps: optim.CosineLR(optimizer, steps),
    "onecycle": lambda optimizer, steps: optim.OneCycleLR(optimizer, optimizer.lr, steps),
}


def parse(arguments=None):
    """Return the settings: the defaults, then the recipe's, then the command line's; or those of a run to resume."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument(
        "--recipe", choices=RECIPES, help="a named set of the flags below, see recipes.py"
    )
    parser.add_argument("--hidden", type=int, nargs="*", help="sizes of the hidden layers")
    parser.add_argument("--activation", choices=ACTIVATIONS)
    parser.add_argument("--loss", choices=("cross-entropy", "mse"))
    parser.add_argument(
        "--one-hot",
        action=argparse.BooleanOptionalAction,
        help="one-hot labels for the cross-entropy",
    )
    parser.add_argument("--bias", action=argparse.BooleanOptionalAction)
    parser.add_argument("--init", choices=INITIALISERS)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--batch-size", type=int, help="0 for all examples at once")
    parser.add_argument("--optimizer", choices=OPTIMIZERS)
    parser.add_argument("--lr", type=float, help="the learning rate, or its peak")
    parser.add_argument("--schedule", choices=SCHEDULES)
    parser.add_argument(
        "--l2", type=float, help="weight decay: the factor of the L2 penalty's gradient"
    )
    parser.add_argument("--dropout", type=float)
    parser.add_argument("--label-smoothing", type=float)
    parser.add_argument(
        "--augment", action=argparse.BooleanOptionalAction, help="distort the training images"
    )
    parser.add_argument("--pixels", type=float, nargs=2, help="the range that pixels are mapped to")
    parser.add_argument(
        "--targets", type=float, nargs=2, help="the values of wrong and right classes for the mse"
    )
    parser.add_argument("--validation", type=float, help="share of the training data held out")
    parser.add_argument("--print-every", type=int, help="epochs between lines")
    parser.add_argument(
        "--limit", type=int, default=0, help="use only so many training examples (0: all)"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--data", help="a folder or file of MNIST; see tinygrad_mnist.datasets.load_mnist"
    )
    parser.add_argument(
        "--out", type=Path, help="the folder for what it writes (default: runs/<recipe>)"
    )
    parser.add_argument(
        "--resume",
        type=Path,
        metavar="RUN",
        help="go on with the run in this folder, as if it had never stopped",
    )
    parser.set_defaults(**DEFAULT)
    parser.set_defaults(**RECIPES.get(parser.parse_known_args(arguments)[0].recipe, {}))
    settings = vars(parser.parse_args(arguments))
    if settings["resume"]:
        out = settings["resume"]
        try:
            settings = {**json.loads((out / "settings.json").read_text()), "resume": True}
        except (OSError, ValueError) as error:
            parser.error(f"--resume {out}: expected a run's folder with its settings.json: {error}")
        settings["out"] = out
    settings["out"] = Path(settings["out"] or Path("runs") / (settings["recipe"] or "mnist_mlp"))
    return settings


def build(settings, rng):
    """Return the model that the settings describe."""
    sizes = [784, *settings["hidden"], 10]
    layers = [Distort(rng=rng)] if settings["augment"] else []
    for i, (into, out) in enumerate(itertools.pairwise(sizes)):
        if i:
            layers.append(ACTIVATIONS[settings["activation"]]())
            if settings["dropout"]:
                layers.append(nn.Dropout(settings["dropout"], rng=rng))
        layers.append(
            nn.Linear(
                into, out, settings["bias"], rng=rng, weight_init=INITIALISERS[settings["init"]]
            )
        )
    if settings["loss"] == "mse":
        layers.append(nn.Sigmoid())
    return nn.Sequential(*layers)


def prepare(images, labels, settings):
    """Return inputs (N, 784) and targets as the settings ask for them."""
    inputs = normalize(images, *settings["pixels"]).reshape(len(images), 784)
    if labels is None or (settings["loss"] == "cross-entropy" and not settings["one_hot"]):
        return inputs, labels
    low, high = settings["targets"]
    return inputs, one_hot(labels, 10, low, high)


def probabilities(outputs, settings):
    """Return what the outputs say as probabilities of the ten digits."""
    return (
        outputs / outputs.sum(axis=1, keepdims=True)
        if settings["loss"] == "mse"
        else softmax(Tensor(outputs)).numpy()
    )


def run(model, loss, optimizer, training, validation, settings, rng, schedule):
    """Fit the model; Ctrl-C and SIGTERM end it with what was trained. Return the history and whether it was interrupted."""
    out = settings["out"]
    path = out / "checkpoint.safetensors"
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # both raise KeyboardInterrupt,
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # also where a shell started this in the background
    try:
        history = fit(
            model, loss, optimizer, training, validation=validation, epochs=settings["epochs"],
            batch_size=settings["batch_size"] or None, schedule=schedule, checkpoint=path, resume=bool(settings.get("resume")),
            progress=settings["print_every"], rng=rng,
        )  # fmt: skip
        return history, False
    except KeyboardInterrupt:
        history = History()
        if path.exists():
            history = History(
                checkpoint.load(path, model, optimizer=optimizer, schedule=schedule)["history"]
            )
        epochs = len(history["lr"])
        print(
            f"\ninterrupted after {epochs} whole epochs; keeping what they trained, --resume {out} goes on from there"
        )
        return history, True


def report(model, history, data, test, outputs, settings, seconds, interrupted):
    """Write the pictures, the model, the history and the metrics, and say where they lie."""
    out, truth = settings["out"], data.test.labels
    metrics = {
        "test_accuracy": test.accuracy if test else None, "test_loss": test.loss if test else None, "data": data.name,
        "train_examples": len(data.train.images), "seed": settings["seed"], "seconds": round(seconds, 2),
        "epochs": len(history["lr"]), "interrupted": interrupted, "recipe": settings.get("recipe"),
    }  # fmt: skip
    if history["val_accuracy"] and not math.isnan(history["val_accuracy"][-1]):
        metrics["validation_accuracy"] = history["val_accuracy"][-1]
    checkpoint.save(
        out / "model.safetensors",
        model,
        metadata={"settings": {**settings, "out": str(out)}, "metrics": metrics},
    )
    # strict JSON knows no nan, which stands for what was not measured
    rows = {
        name: [None if math.isnan(v) else v for v in values] for name, values in history.items()
    }
    (out / "history.json").write_text(json.dumps(rows, indent=1) + "\n")
    (out / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n")
    figures = {"predictions": plots.predictions(data.test.images, outputs.argmax(axis=1), truth)}
    if len(history["lr"]):
        figures["learning_curves"] = plots.learning_curves(history)
    if truth is not None:
        figures["confusion"] = plots.confusion_matrix(test.confusion)
        if test.accuracy < 1:
            figures["mistakes"] = plots.mistakes(
                data.test.images, probabilities(outputs, settings), truth
            )
    first = next(p for name, p in model.named_parameters() if name.endswith("weight"))
    if first.ndim == 2:
        figures["weights"] = plots.first_layer_weights(first.data)
    for name, figure in figures.items():
        figure.savefig(out / f"{name}.png", dpi=120)
    if truth is None:
        rows = [f"{i},{digit}\n" for i, digit in enumerate(outputs.argmax(axis=1), 1)]
        (out / "submission.csv").write_text("ImageId,Label\n" + "".join(rows))
    else:
        print(
            f"test accuracy {test.accuracy:.4f}, test loss {test.loss:.4f} on {len(truth):,} digits, after {seconds:.1f} s"
        )
    print(f"data: {data.name}; the model, metrics, history and pictures are in {out}/")


def main(arguments=None):
    settings = parse(arguments)
    started = time.perf_counter()
    settings["out"].mkdir(parents=True, exist_ok=True)
    kept = {k: str(v) if isinstance(v, Path) else v for k, v in settings.items() if k != "resume"}
    (settings["out"] / "settings.json").write_text(json.dumps(kept, indent=1))

    data = load_mnist(settings["data"])
    inputs, targets = prepare(*data.train, settings)
    if targets is None:
        raise DataError(f"{data.name}: expected labels to train on, got none")
    # a stream of randomness for each purpose, so that a change to one leaves the others as they are
    split_rng, model_rng, order_rng = np.random.default_rng(settings["seed"]).spawn(3)
    if settings["limit"]:
        inputs, targets = inputs[: settings["limit"]], targets[: settings["limit"]]
    training, validation = train_val_split(inputs, targets, settings["validation"], split_rng)
    validation = validation if len(validation[0]) else None

    def loss(outputs, y):
        if settings["loss"] == "mse":
            return mse(outputs, y)
        return softmax_cross_entropy(
            outputs, y, label_smoothing=settings["label_smoothing"] if model.training else 0.0
        )

    model = build(settings, model_rng)
    print(
        f"{data.name}: {len(training[0]):,} to train on, {0 if validation is None else len(validation[0]):,} to validate"
    )
    print(model)
    optimizer = OPTIMIZERS[settings["optimizer"]](
        model.parameters(), settings["lr"], settings["l2"]
    )
    steps = max(
        settings["epochs"] * -(-len(training[0]) // (settings["batch_size"] or len(training[0]))), 1
    )
    schedule = SCHEDULES[settings["schedule"]](optimizer, steps)
    history, interrupted = run(
        model, loss, optimizer, training, validation, settings, order_rng, schedule
    )
    seconds = time.perf_counter() - started

    test_inputs, test_targets = prepare(*data.test, settings)
    test = None if test_targets is None else evaluate(model, loss, (test_inputs, test_targets))
    report(model, history, data, test, predict(model, test_inputs), settings, seconds, interrupted)
    return 130 if interrupted else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (
        DataError,
        AnomalyError,
        ValueError,
    ) as problem:  # what the user can mend: the message says how
        sys.exit(f"{type(problem).__name__}: {problem}")
