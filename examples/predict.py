"""Ask a saved model: python examples/predict.py runs/mnist_mlp digit.png; an image, a CSV of images, or MNIST's --indices."""

import argparse
import json
import sys
from pathlib import Path

import mnist_cnn
import mnist_mlp
import numpy as np

from tinygrad_mnist import CheckpointError, DataError, checkpoint, plots
from tinygrad_mnist.datasets import load_mnist, normalize, read_csv
from tinygrad_mnist.train import predict


def load_model(run):
    """Return the model of a run's folder (or of its model.safetensors) and the settings that it was trained with."""
    path = run / "model.safetensors" if run.is_dir() else run
    settings = checkpoint.read(path)[1].get("metadata", {}).get("settings")
    if settings is None:
        raise CheckpointError(
            f"{path}: expected a model that mnist_mlp.py saved, got one without its settings"
        )
    try:
        model = (
            mnist_cnn.build(0) if settings.get("recipe") == "cnn" else mnist_mlp.build(settings, 0)
        )
    except (KeyError, TypeError) as error:
        raise CheckpointError(
            f"{path}: expected a model of mnist_mlp.py or mnist_cnn.py, got one of other settings"
        ) from error
    checkpoint.load(path, model)
    return model, settings


def as_inputs(images, settings):
    """Return images as the model of these settings takes them: flat for a perceptron, planes for convolutions."""
    if settings.get("recipe") == "cnn":
        return normalize(images)[:, np.newaxis]
    return mnist_mlp.prepare(images, None, settings)[0]


def read_image(path):
    """Return an image file as one of MNIST's, by `as_digit`."""
    from PIL import Image  # comes with matplotlib

    try:
        picture = Image.open(path)
        picture = picture.convert("RGBA")
    except OSError as error:
        raise DataError(f"{path}: expected an image file: {error}") from error
    on_white = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    try:
        return as_digit(np.asarray(on_white.convert("L"), np.float32))
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


def as_digit(grey):
    """Return greys (H, W) as one of MNIST's images: light ink on a dark ground, 28 x 28, the digit 20 high, centred by mass."""
    from PIL import Image

    border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    ink = (
        grey - np.median(border) if np.median(border) < 128 else np.median(border) - grey
    )  # which of the two is the ground?
    ink = np.clip(ink, 0, None)
    if ink.max() < 16:
        raise DataError(
            f"expected a digit, got an empty image of {grey.shape[1]} x {grey.shape[0]} pixels"
        )
    ink *= 255 / ink.max()
    rows, columns = (np.flatnonzero(ink.max(axis=axis) > 64) for axis in (1, 0))
    box = Image.fromarray(
        ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].astype(np.uint8)
    )
    scale = 20 / max(box.size)
    small = np.asarray(
        box.resize([max(round(s * scale), 1) for s in box.size], Image.Resampling.LANCZOS),
        np.float32,
    )
    out = np.zeros((28, 28), np.uint8)
    centre = [(small.sum(axis=1 - k) @ np.arange(small.shape[k])) / small.sum() for k in (0, 1)]
    top, left = (
        int(np.clip(round(13.5 - c), 0, 28 - n)) for c, n in zip(centre, small.shape, strict=True)
    )
    out[top : top + small.shape[0], left : left + small.shape[1]] = small.astype(np.uint8)
    return out


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "model",
        type=Path,
        help="a run's folder, or a model.safetensors of mnist_mlp.py or mnist_cnn.py",
    )
    parser.add_argument(
        "input", nargs="?", type=Path, help="an image file, or a CSV of images without labels"
    )
    parser.add_argument(
        "--indices", type=int, nargs="+", help="images of MNIST's test set, by number"
    )
    parser.add_argument("--data", help="where MNIST is, for --indices")
    parser.add_argument(
        "--out", type=Path, help="the folder for what it writes (default: beside the model)"
    )
    options = parser.parse_args(arguments)
    if (options.input is None) == (options.indices is None):
        parser.error("expected either an image or CSV file, or --indices")
    model, settings = load_model(options.model)
    out = options.out or (options.model if options.model.is_dir() else options.model.parent)
    out.mkdir(parents=True, exist_ok=True)

    labels = None
    if options.indices is not None:
        test = load_mnist(options.data).test
        wrong = [i for i in options.indices if not 0 <= i < len(test.images)]
        if wrong:
            raise DataError(
                f"--indices: expected numbers from 0 to {len(test.images) - 1}, got {wrong}"
            )
        images = test.images[options.indices]
        labels = None if test.labels is None else test.labels[options.indices]
    elif options.input.name.endswith((".csv", ".csv.gz")):
        images, labels = read_csv(options.input)
    else:
        images = read_image(options.input)[None]
    p = mnist_mlp.probabilities(predict(model, as_inputs(images, settings)), settings)
    digits = p.argmax(axis=1)

    if len(images) <= 20:
        for i, (digit, row) in enumerate(zip(digits, p, strict=True)):
            others = ", ".join(f"{k}: {row[k]:.1%}" for k in np.argsort(-row)[:3])
            truth = "" if labels is None else f", truly {labels[i]}"
            print(f"{i}: {digit}{truth}  ({others})")
    figure = (
        plots.probabilities(images[0], p[0])
        if len(images) == 1
        else plots.predictions(images, digits, labels)
    )
    figure.savefig(out / "predicted.png", dpi=120)
    (out / "predicted.json").write_text(
        json.dumps({"digits": digits.tolist(), "probabilities": p.round(6).tolist()})
    )
    # the layout of Kaggle's Digit Recognizer
    lines = [f"{i},{digit}\n" for i, digit in enumerate(digits, 1)]
    (out / "submission.csv").write_text("ImageId,Label\n" + "".join(lines))
    print(
        f"{len(images):,} predicted; what it saw is in {out / 'predicted.png'}, the labels in {out / 'submission.csv'}"
    )
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (DataError, CheckpointError) as problem:
        sys.exit(f"{type(problem).__name__}: {problem}")
