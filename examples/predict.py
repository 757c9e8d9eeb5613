"""Predict with a saved model: python examples/predict.py runs/mnist_mlp digit.png.

It reads photos, scans and drawings of digits, folders of these, CSVs of images, or images of MNIST
(--indices). It prints the predictions in the same order.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from runner.data import list_classes, prepare_inputs
from runner.folder import write_figure, write_json, write_submission
from runner.models import find_probabilities, load_model
from runner.pictures import read_indices, read_pictures

from tinygrad_mnist import CheckpointError, DataError, plots
from tinygrad_mnist.train import predict


def parse(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "model",
        type=Path,
        help="a run's folder, or a model.safetensors of mnist_mlp.py or mnist_cnn.py",
    )
    parser.add_argument(
        "inputs", nargs="*", type=Path, help="image files, folders of them, or CSVs of images"
    )
    parser.add_argument(
        "--indices", type=int, nargs="+", help="the numbers of images in MNIST's test set"
    )
    parser.add_argument("--data", help="where MNIST is, for --indices")
    parser.add_argument(
        "--out", type=Path, help="the folder for the results (default: beside the model)"
    )
    options = parser.parse_args(arguments)
    if bool(options.inputs) == (options.indices is not None):
        parser.error("expected either image files, folders or CSVs, or --indices")
    return options


def main(arguments=None):
    options = parse(arguments)
    model, settings = load_model(options.model)
    if options.inputs:
        pictures = read_pictures(options.inputs)
    else:
        pictures = read_indices(options.indices, options.data)
    check_labels(pictures.labels, settings["classes"])
    outputs = predict(model, prepare_inputs(pictures.images, settings))
    probabilities = find_probabilities(outputs, settings)
    digits = probabilities.argmax(axis=1)

    if len(digits) <= 20:
        print_each(pictures, probabilities, list_classes(settings))
    if pictures.labels is not None:
        print(f"accuracy {np.mean(digits == pictures.labels):.4f}")
    out = options.out or (options.model if options.model.is_dir() else options.model.parent)
    out.mkdir(parents=True, exist_ok=True)
    write_figure(out / "predicted.png", draw(pictures, probabilities, settings))
    answers = {
        "digits": digits.tolist(),
        "probabilities": probabilities.astype(float).round(6).tolist(),
        "inputs": pictures.names,
    }
    write_json(out / "predicted.json", answers)
    write_submission(out / "submission.csv", digits)
    print(
        f"{len(digits):,} predicted; what it saw is in {out / 'predicted.png'}, "
        f"the labels in {out / 'submission.csv'}"
    )
    return 0


def check_labels(labels, classes):
    """Raise a DataError if there are labels that the model does not know."""
    if labels is not None and labels.max() >= classes:
        raise DataError(
            f"expected labels from 0 to {classes - 1}, which the model knows, got {labels.max()}"
        )


def print_each(pictures, probabilities, classes):
    """Print a line for each picture: the prediction, the true class if known, the best three."""
    for i, (name, p) in enumerate(zip(pictures.names, probabilities, strict=True)):
        truth = "" if pictures.labels is None else f", truly {classes[pictures.labels[i]]}"
        best = ", ".join(f"{classes[k]}: {p[k]:.1%}" for k in np.argsort(-p)[:3])
        print(f"{name}: {classes[p.argmax()]}{truth}  ({best})")


def draw(pictures, probabilities, settings):
    """Return a figure of the pictures and the model's predictions."""
    images, names = pictures.images, settings.get("class_names")
    if len(images) == 1:
        return plots.probabilities(images[0], probabilities[0], class_names=names)
    digits = probabilities.argmax(axis=1)
    return plots.predictions(images, digits, pictures.labels, class_names=names)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (DataError, CheckpointError) as problem:  # the user can fix it
        sys.exit(f"{type(problem).__name__}: {problem}")
