"""Pictures of digits or other images, and of a model's predictions for them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ..arrays import Array
from ..errors import ShapeError
from .canvas import BLUE, GREY, as_image, as_images, draw_first, intensities, new_figure, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["mistakes", "predictions", "probabilities", "samples"]

Labels: TypeAlias = Sequence[int] | Sequence[str] | Array
Names: TypeAlias = Sequence[str] | None

_LONGEST_NAME = 18  # the most letters of a class name that fit into a title
_MOST_BARS = 12  # the most classes whose bars fit beside each other


def _check_same_number(op: str, images: Array, **others: Any) -> None:
    for name, other in others.items():
        if other is not None and len(other) != len(images):
            raise ShapeError(
                f"{op}: expected as many {name} as images, got {len(other)} and {len(images)}"
            )


def _name(label: Any, class_names: Names, op: str) -> str:
    """Return the name of a label's class, or its number if the classes have no names."""
    if isinstance(label, str):
        return shorten(label, _LONGEST_NAME)
    if np.ndim(label) != 0:
        raise ShapeError(
            f"{op}: expected one label an image, got an array of shape {np.shape(label)}; pass"
            " labels.argmax(axis=1)"
        )
    number = int(label)
    if number != label:
        raise ValueError(f"{op}: expected labels that are whole numbers, got {label}")
    if class_names is None:
        return str(number)
    if not 0 <= number < len(class_names):
        raise ValueError(
            f"{op}: expected labels from 0 to {len(class_names) - 1}, one for each of the class"
            f" names, got {number}"
        )
    return shorten(str(class_names[number]), _LONGEST_NAME)


def _in_lines(first: str, second: str) -> str:
    """Return both texts in one line if that is short, otherwise in two lines."""
    separator = " " if len(first) + len(second) < _LONGEST_NAME else "\n"
    return f"{first}{separator}{second}"


def samples(
    images: npt.ArrayLike,
    labels: Labels | None = None,
    *,
    rows: int = 5,
    columns: int = 10,
    class_names: Names = None,
) -> "Figure":
    """Draw the first images in a grid, with their labels as titles.

    Parameters
    ----------
    images : array_like of shape (N, 28, 28), (N, 784), (N, H, W), (N, H, W, 3) or (N, 3, H, W)
    labels : sequence of N integers or names, optional
    rows, columns : int
        How many to draw at most.
    class_names : sequence of str, optional
        What to call class 0, class 1 and so on.

    Raises
    ------
    ShapeError
        If the images have another shape, or their number and that of the labels differ.
    ValueError
        If a label has no class name.
    """
    pictures = as_images(images, "samples")
    _check_same_number("samples", pictures, labels=labels)
    titles = [""] * len(pictures)
    if labels is not None:
        titles = [_name(t, class_names, "samples") for t in labels[: max(rows * columns, 0)]]
    return draw_first("Samples", pictures, titles, rows=rows, columns=columns, op="samples")


def predictions(
    images: npt.ArrayLike,
    predicted: Labels,
    labels: Labels | None = None,
    *,
    rows: int = 4,
    columns: int = 8,
    class_names: Names = None,
) -> "Figure":
    """Draw images with the predicted and the true class. Errors have a frame and are named.

    Parameters
    ----------
    images : array_like, as for `samples`
    predicted : sequence of N integers or names
    labels : sequence of N integers or names, optional
        The true classes.
    rows, columns : int
        How many to draw at most.
    class_names : sequence of str, optional

    Raises
    ------
    ShapeError
        If the images have another shape, or the numbers differ.
    ValueError
        If a label has no class name.
    """
    pictures = as_images(images, "predictions")
    _check_same_number("predictions", pictures, predictions=predicted, labels=labels)
    count = min(len(pictures), max(rows * columns, 0))
    first = list(predicted[:count])
    guesses = [_name(p, class_names, "predictions") for p in first]
    title, wrong = "Predictions", []
    if labels is not None:
        first_true = list(labels[:count])
        truth = [_name(t, class_names, "predictions") for t in first_true]
        wrong = [i for i in range(count) if first[i] != first_true[i]]
        title = f"Predicted = true: {len(wrong)} of these {count} wrong (framed)"
        guesses = [
            _in_lines(f"{p},", f"not {t}") if i in wrong else _in_lines(f"{p} =", t)
            for i, (p, t) in enumerate(zip(guesses, truth, strict=True))
        ]
    return draw_first(
        title, pictures, guesses, rows=rows, columns=columns, framed=wrong, op="predictions"
    )


def mistakes(
    images: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    labels: Labels,
    *,
    rows: int = 2,
    columns: int = 8,
    class_names: Names = None,
) -> "Figure":
    """Draw the wrong predictions that the model was most sure of, with their probability.

    Parameters
    ----------
    images : array_like, as for `samples`
    probabilities : array_like of shape (N, C)
        The model's probability for each class, for example the softmax of its outputs.
    labels : N integers
        The true classes.
    rows, columns : int
        How many to draw at most.
    class_names : sequence of str, optional

    Raises
    ------
    ShapeError
        If the numbers of images, labels and rows of probabilities differ.
    ValueError
        If no prediction is wrong, or a class has no name.
    """
    pictures, p, true = as_images(images, "mistakes"), np.asarray(probabilities), np.asarray(labels)
    if p.ndim != 2 or true.ndim != 1:
        raise ShapeError(
            "mistakes: expected probabilities (N, C) and labels (N,), got"
            f" {p.shape} and {true.shape}"
        )
    _check_same_number("mistakes", pictures, probabilities=p, labels=true)
    predicted = p.argmax(axis=1)
    wrong = np.flatnonzero(predicted != true)
    if len(wrong) == 0:
        raise ValueError("mistakes: expected at least one wrong prediction, got none")
    confidence = p[wrong, predicted[wrong]]
    worst = wrong[np.argsort(-confidence, kind="stable")][: max(rows * columns, 0)]
    titles = []
    for i in worst:
        guess, truth = (_name(c, class_names, "mistakes") for c in (predicted[i], true[i]))
        titles.append(_in_lines(f"{guess} ({p[i, predicted[i]]:.0%}),", f"not {truth}"))
    title = f"Most confident of {len(wrong):,} mistakes"
    return draw_first(title, pictures[worst], titles, rows=rows, columns=columns, op="mistakes")


def probabilities(
    image: npt.ArrayLike,
    probability: npt.ArrayLike,
    *,
    title: str = "What the model saw",
    class_names: Names = None,
) -> "Figure":
    """Draw one image and the probability of each class, or of the ten most likely classes.

    Parameters
    ----------
    image : array_like of shape (28, 28), (784,), (H, H), (H, W, 3) or (3, H, W)
    probability : array_like of shape (C,)
    title : str
    class_names : sequence of C str, optional

    Raises
    ------
    ShapeError
        If the shapes are not these, or there are not C names.
    """
    picture, p = as_image(image, "probabilities"), np.asarray(probability)
    if p.ndim != 1 or p.size == 0:
        raise ShapeError(
            f"probabilities: expected a vector of probabilities, one a class, got shape {p.shape}"
        )
    if class_names is not None and len(class_names) != len(p):
        raise ShapeError(f"probabilities: expected {len(p)} class names, got {len(class_names)}")
    names = [_name(c, class_names, "probabilities") for c in range(len(p))]
    figure = new_figure(7, 3, title)
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.6))
    shown, style = intensities(picture[np.newaxis])
    left.imshow(shown[0], **style)
    left.set(xticks=[], yticks=[], title=f"input, {picture.shape[0]} x {picture.shape[1]}")
    if len(p) <= _MOST_BARS and max(map(len, names)) <= 2:
        _draw_columns(right, p, names)
    else:
        _draw_rows(right, p, names)
    best = int(p.argmax())
    right.set_title(f"predicted: {names[best]} ({p[best]:.1%})")
    return figure


def _bar_labels(values: Array) -> list[str]:
    return [f"{v:.0%}" if v >= 0.005 else "" for v in values]


def _draw_columns(axes: "Axes", p: Array, names: list[str]) -> None:
    """Draw each class's probability as a column, in the order of the classes."""
    best = int(p.argmax())
    colours = [BLUE if i == best else GREY for i in range(len(p))]
    bars = axes.bar(range(len(p)), p, color=colours)
    axes.bar_label(bars, _bar_labels(p), fontsize=8)
    axes.set_xticks(range(len(p)), names)
    axes.set(ylim=(0, 1.1), xlabel="class", ylabel="probability")


def _draw_rows(axes: "Axes", p: Array, names: list[str]) -> None:
    """Draw the most likely classes as rows from the top, because long names fit into rows."""
    order = np.argsort(-p, kind="stable")[:10]
    colours = [BLUE, *[GREY] * (len(order) - 1)]
    bars = axes.barh(range(len(order)), p[order], color=colours)
    axes.bar_label(bars, _bar_labels(p[order]), fontsize=8, padding=2)
    axes.set_yticks(range(len(order)), [names[i] for i in order], fontsize=8)
    axes.invert_yaxis()
    some = "" if len(order) == len(p) else f" of the {len(order)} likeliest of {len(p)} classes"
    axes.set(xlim=(0, 1.15), xlabel=f"probability{some}")
