"""Save the results of a run in its folder: the model, its metrics, its pictures."""

import math
from typing import NamedTuple

from tinygrad_mnist import checkpoint, nn, plots
from tinygrad_mnist.train import History, evaluate, predict

from .data import prepare
from .folder import write_figure, write_json, write_submission
from .models import find_probabilities
from .settings import as_json


class Trained(NamedTuple):
    """A model after its training."""

    model: nn.Module
    history: History
    seconds: float
    """The time from the start of the program to the end of the training."""
    interrupted: bool = False


def report(trained, loss, data, settings):
    """Measure the model on the test set, save all results, and print where they are."""
    out, model = settings["out"], trained.model
    inputs, targets = prepare(data.test, settings)
    outputs = predict(model, inputs)
    test = None if targets is None else evaluate(model, loss, (inputs, targets))
    metrics = collect_metrics(trained, test, data, settings)
    about = {"settings": as_json(settings), "metrics": metrics}
    checkpoint.save(out / "model.safetensors", model, metadata=about)
    write_json(out / "history.json", without_nan(trained.history))
    write_json(out / "metrics.json", metrics)
    for name, figure in draw_figures(trained, test, data, outputs, settings):
        write_figure(out / f"{name}.png", figure)
    if test is None:
        write_submission(out / "submission.csv", outputs.argmax(axis=1))
    else:
        print(
            f"test accuracy {test.accuracy:.4f}, test loss {test.loss:.4f} "
            f"on {len(inputs):,} digits, after {trained.seconds:.1f} s"
        )
    print(f"data: {data.name}; the model, metrics, history and pictures are in {out}/")


def collect_metrics(trained, test, data, settings):
    """Return the numbers of a run, with None for what was not measured."""
    metrics = {
        "test_accuracy": None if test is None else test.accuracy,
        "test_loss": None if test is None else test.loss,
        "data": data.name,
        "train_examples": len(data.train.images),
        "seed": settings["seed"],
        "seconds": round(trained.seconds, 2),
        "epochs": len(trained.history["lr"]),
        "interrupted": trained.interrupted,
        "recipe": settings["recipe"],
    }
    validation = trained.history["val_accuracy"]
    if validation and not math.isnan(validation[-1]):
        metrics["validation_accuracy"] = validation[-1]
    return metrics


def without_nan(history):
    """Return the history for strict JSON, with None for what was not measured."""
    return {
        name: [None if math.isnan(value) else value for value in values]
        for name, values in history.items()
    }


def draw_figures(trained, test, data, outputs, settings):
    """Yield the name and the figure of each picture."""
    images, labels, names = data.test.images, data.test.labels, settings["class_names"]
    digits = outputs.argmax(axis=1)
    yield "predictions", plots.predictions(images, digits, labels, class_names=names)
    if trained.history["lr"]:
        yield "learning_curves", plots.learning_curves(trained.history)
    if test is not None:
        yield "confusion", plots.confusion_matrix(test.confusion, class_names=names)
        if test.accuracy < 1:
            p = find_probabilities(outputs, settings)
            yield "mistakes", plots.mistakes(images, p, labels, class_names=names)
    weight = next(p for name, p in trained.model.named_parameters() if name.endswith("weight"))
    if weight.ndim == 2:
        yield "weights", plots.first_layer_weights(weight.data)
