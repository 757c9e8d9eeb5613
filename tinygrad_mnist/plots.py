"""Pictures of digits, of training and of graphs, as matplotlib Figures (`draw_graph` writes a file); none touches pyplot."""

import io
import math
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from .arrays import Array
from .errors import ShapeError, at_least

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "confusion_matrix", "draw_graph", "first_layer_weights", "graph_dot", "graph_figure",
    "learning_curves", "mistakes", "predictions", "probabilities", "samples",
]  # fmt: skip

Labels: TypeAlias = Sequence[int] | Array

_TRAIN, _VALIDATION, _WRONG = (
    "#0072B2",
    "#D55E00",
    "#D55E00",
)  # colours that the colour-blind can tell apart


def _figure(width: float, height: float, title: str) -> "Figure":
    from matplotlib.figure import Figure

    def png() -> bytes:
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=80)
        return buffer.getvalue()

    figure = Figure(figsize=(width, height), layout="constrained")
    figure.suptitle(title, fontsize=13)
    figure._repr_png_ = png  # type: ignore[attr-defined]  # a notebook shows it by this, without pyplot
    return figure


def _images(images: npt.ArrayLike) -> Array:
    array = np.asarray(images)
    if array.ndim == 2 and array.shape[1] == 784:
        array = array.reshape(-1, 28, 28)
    if array.ndim != 3 or len(array) == 0:
        raise ShapeError(
            f"plots: expected images of shape (N, 28, 28) or (N, 784), at least one, got {array.shape}"
        )
    return array


def _same_number(images: Array, **others: Any) -> None:
    for name, other in others.items():
        if other is not None and len(other) != len(images):
            raise ShapeError(
                f"plots: expected as many {name} as images, got {len(other)} and {len(images)}"
            )


def _grid(
    title: str,
    images: Array,
    rows: int,
    columns: int,
    titles: Sequence[str],
    wrong: Sequence[int] = (),
    **style: Any,
) -> "Figure":
    """Draw the first images in a grid, each with its title; those at the places in `wrong` are framed, their titles bold."""
    at_least(1, "plots", rows=rows, columns=columns)
    count = min(len(images), rows * columns)
    columns = min(columns, count)
    rows = math.ceil(count / columns)
    figure = _figure(1.05 * columns + 0.4, 1.35 * rows + 0.7, title)
    for i, axes in enumerate(figure.subplots(rows, columns, squeeze=False).flat):
        axes.set(xticks=[], yticks=[], visible=i < count)
        if i < count:
            axes.imshow(images[i], **{"cmap": "gray_r", **style})
            axes.set_title(titles[i], fontsize=9)
        if i in wrong:
            axes.title.set(color=_WRONG, fontweight="bold")
            axes.spines[:].set(color=_WRONG, linewidth=2.5)
    return figure


def samples(
    images: npt.ArrayLike, labels: Labels | None = None, *, rows: int = 5, columns: int = 10
) -> "Figure":
    """Draw the first images in a grid, with their labels as titles."""
    pictures = _images(images)
    _same_number(pictures, labels=labels)
    titles = (
        [""] * len(pictures)
        if labels is None
        else [str(int(label)) for label in labels[: rows * columns]]
    )
    return _grid("Samples", pictures, rows, columns, titles)


def predictions(
    images: npt.ArrayLike,
    predicted: Labels,
    labels: Labels | None = None,
    *,
    rows: int = 4,
    columns: int = 8,
) -> "Figure":
    """Draw images with the predicted digit beside the true one; errors are framed and say so."""
    pictures = _images(images)
    _same_number(pictures, predictions=predicted, labels=labels)
    if labels is None:
        return _grid(
            "Predictions", pictures, rows, columns, [str(int(digit)) for digit in predicted]
        )
    pairs = [(int(p), int(t)) for p, t in zip(predicted, labels, strict=True)][: rows * columns]
    titles = [f"{p} = {t}" if p == t else f"{p}, not {t}" for p, t in pairs]
    wrong = [i for i, (p, t) in enumerate(pairs) if p != t]
    title = f"Predicted = true digit: {len(wrong)} of these {len(pairs)} wrong (framed)"
    return _grid(title, pictures, rows, columns, titles, wrong)


def mistakes(
    images: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    labels: Labels,
    *,
    rows: int = 2,
    columns: int = 8,
) -> "Figure":
    """Draw the wrong predictions that the model was most confident of, with the probability it gave them.

    Raises
    ------
    ShapeError
        If the numbers of images, labels and rows of probabilities differ.
    ValueError
        If no prediction is wrong.
    """
    pictures, p, true = _images(images), np.asarray(probabilities), np.asarray(labels)
    if p.ndim != 2 or true.ndim != 1:
        raise ShapeError(
            f"mistakes: expected probabilities (N, C) and labels (N,), got {p.shape} and {true.shape}"
        )
    _same_number(pictures, probabilities=p, labels=true)
    predicted = p.argmax(axis=1)
    wrong = np.flatnonzero(predicted != true)
    if len(wrong) == 0:
        raise ValueError("mistakes: expected at least one wrong prediction, got none")
    worst = wrong[np.argsort(-p[wrong, predicted[wrong]], kind="stable")][: rows * columns]
    titles = [f"{predicted[i]} ({p[i, predicted[i]]:.0%}), not {true[i]}" for i in worst]
    figure = _grid(
        f"Most confident of {len(wrong)} mistakes", pictures[worst], rows, columns, titles
    )
    figure.set_figwidth(1.5 * min(columns, len(worst)) + 0.4)
    return figure


def learning_curves(
    history: Mapping[str, Sequence[float]], *, title: str = "Learning curves"
) -> "Figure":
    """Draw loss and accuracy over the epochs, of training and (where there is any) of validation, its best epoch marked.

    Parameters
    ----------
    history : mapping of `train_loss train_accuracy val_loss val_accuracy` to lists
        The `History` that `fit` returns.
    title : str
    """
    if not len(history.get("train_loss", ())):
        raise ValueError("learning_curves: expected a history of at least one epoch, got none")
    figure = _figure(10, 4, title)
    for axes, (kind, best) in zip(
        figure.subplots(1, 2), (("loss", np.nanargmin), ("accuracy", np.nanargmax)), strict=True
    ):
        for part, name, colour, style in (
            ("train", "training", _TRAIN, "-"),
            ("val", "validation", _VALIDATION, "--"),
        ):
            values = np.asarray(history.get(f"{part}_{kind}", ()), float)
            if np.isnan(values).all():  # or there are none
                continue
            epochs, marker = np.arange(1, len(values) + 1), "o" if len(values) <= 30 else None
            axes.plot(epochs, values, style, color=colour, label=name, marker=marker, markersize=4)
            if part == "val":
                i = int(best(values))
                axes.plot(
                    epochs[i],
                    values[i],
                    "*",
                    color=colour,
                    markersize=14,
                    label=f"best, epoch {i + 1}: {values[i]:.4g}",
                )
        axes.set(xlabel="epoch", ylabel=kind, title=kind.capitalize())
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend()
    return figure


def confusion_matrix(
    confusion: npt.ArrayLike, class_names: Sequence[str] | None = None
) -> "Figure":
    """Draw counts of true classes (rows) by predicted ones (columns), shaded by the share of the row."""
    counts = np.asarray(confusion)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or counts.size == 0:
        raise ShapeError(f"confusion_matrix: expected counts of shape (C, C), got {counts.shape}")
    names = [str(i) for i in range(len(counts))] if class_names is None else list(class_names)
    if len(names) != len(counts):
        raise ShapeError(f"confusion_matrix: expected {len(counts)} class names, got {len(names)}")
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure = _figure(
        7,
        6.4,
        f"Confusion matrix: {np.trace(counts) / max(counts.sum(), 1):.2%} of {counts.sum():,} right",
    )
    axes = figure.subplots()
    picture = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for (i, j), count in np.ndenumerate(counts):
        if count:
            axes.text(
                j,
                i,
                f"{count}",
                ha="center",
                va="center",
                fontsize=9,
                color="white" if share[i, j] > 0.5 else "black",
            )
    axes.set(xlabel="predicted", ylabel="true")
    axes.set_xticks(range(len(names)), names)
    axes.set_yticks(range(len(names)), names)
    figure.colorbar(picture, label="share of the true class")
    return figure


def first_layer_weights(
    weight: npt.ArrayLike, shape: tuple[int, int] = (28, 28), *, count: int = 32
) -> "Figure":
    """Draw the rows of a first layer's weight as images: what each hidden unit looks for, red for ink and blue against it."""
    w = np.asarray(weight)
    if w.ndim != 2 or w.shape[1] != shape[0] * shape[1] or len(w) == 0:
        raise ShapeError(
            f"first_layer_weights: expected a weight of shape (units, {shape[0] * shape[1]}), got {w.shape}"
        )
    strongest = np.argsort(-np.square(w).sum(axis=1), kind="stable")[:count]
    limit = float(np.abs(w[strongest]).max()) or 1.0
    title = f"The {len(strongest)} strongest of {len(w)} first-layer units"
    pictures, titles = w[strongest].reshape(-1, *shape), [str(i) for i in strongest]
    figure = _grid(title, pictures, count, 8, titles, cmap="RdBu_r", vmin=-limit, vmax=limit)
    figure.set_figwidth(figure.get_figwidth() + 1)  # for the bar
    figure.colorbar(figure.axes[0].images[0], ax=figure.axes, label="weight", shrink=0.8)
    return figure


def probabilities(
    image: npt.ArrayLike, probability: npt.ArrayLike, *, title: str = "What the model saw"
) -> "Figure":
    """Draw one image beside the probability of each class."""
    picture, p = np.asarray(image), np.asarray(probability)
    if picture.size != 784 or p.ndim != 1 or p.size == 0:
        raise ShapeError(
            f"probabilities: expected an image (28, 28) and a vector, got {picture.shape} and {p.shape}"
        )
    figure = _figure(7, 3, title)
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.6))
    left.imshow(picture.reshape(28, 28), cmap="gray_r")
    left.set(xticks=[], yticks=[], title="input, 28 x 28")
    best = int(p.argmax())
    bars = right.bar(
        range(len(p)), p, color=["#bbbbbb" if i != best else _TRAIN for i in range(len(p))]
    )
    right.bar_label(bars, [f"{v:.0%}" if v >= 0.005 else "" for v in p], fontsize=8)
    right.set(xticks=range(len(p)), ylim=(0, 1.1), xlabel="digit", ylabel="probability")
    right.set_title(f"predicted: {best} ({p[best]:.1%})")
    return figure


def _graph(
    tensor: Any, names: Mapping[str, Any] | None
) -> tuple[dict[Any, str], list[tuple[Any, Any]]]:
    """Return the nodes of a Tensor's graph with their labels, and the edges from parent to node, as they were created."""
    if not hasattr(tensor, "node"):
        raise TypeError(f"plots: expected a Tensor, got {type(tensor).__name__}")
    found, stack = set(), [tensor.node]
    while stack:
        node = stack.pop()
        if node is not None and node not in found:
            found.add(node)
            stack.extend(node.parents)
    nodes = sorted(found, key=lambda node: node.number)
    called = {t.node: name for name, t in (names or {}).items()}
    labels = {
        n: f"{called.get(n) or n.name or 'leaf'}\n{'x'.join(map(str, n.shape)) or 'scalar'}"
        for n in nodes
    }
    return labels, [
        (parent, node) for node in nodes for parent in node.parents if parent is not None
    ]


def graph_dot(tensor: Any, *, names: Mapping[str, Any] | None = None) -> str:
    r"""Return the graph behind a Tensor as Graphviz DOT text: boxes for operations, ellipses for leaves.

    Parameters
    ----------
    tensor : Tensor
    names : mapping of names to Tensors, optional
        What to call some of them, for example `dict(model.named_parameters())`.

    Examples
    --------
    >>> from tinygrad_mnist import Tensor
    >>> x = Tensor(3.0, requires_grad=True)
    >>> print(graph_dot(x * x, names={"x": x}))  # doctest: +ELLIPSIS
    digraph {
      rankdir=LR
      ... [shape=ellipse label="x\nscalar"]
      ... [shape=box label="multiply\nscalar"]
      ... -> ...
    }
    """
    labels, edges = _graph(tensor, names)
    lines = ["digraph {", "  rankdir=LR"]
    for node, label in labels.items():
        text = label.replace('"', r"\"").replace("\n", r"\n")
        lines.append(
            f'  n{node.number} [shape={"ellipse" if node.is_leaf else "box"} label="{text}"]'
        )
    lines += [f"  n{parent.number} -> n{node.number}" for parent, node in edges]
    return "\n".join([*lines, "}"])


def draw_graph(tensor: Any, path: str | Path, *, names: Mapping[str, Any] | None = None) -> None:
    """Write the graph behind a Tensor as an SVG, drawn by Graphviz.

    Raises
    ------
    FileNotFoundError
        If Graphviz' program `dot` is not installed.
    """
    program = shutil.which("dot")
    if program is None:
        raise FileNotFoundError(
            "draw_graph: needs Graphviz' program dot; install graphviz, or use graph_figure or graph_dot"
        )
    text = graph_dot(tensor, names=names).encode()
    subprocess.run([program, "-Tsvg", "-o", str(path)], input=text, check=True, capture_output=True)


def graph_figure(tensor: Any, *, names: Mapping[str, Any] | None = None) -> "Figure":
    """Draw the graph behind a Tensor with matplotlib alone: leaves to the left, the result to the right."""
    labels, edges = _graph(tensor, names)
    depth = dict.fromkeys(labels, 0)
    for parent, node in edges:  # parents come first
        depth[node] = max(depth[node], depth[parent] + 1)
    for leaf in (node for node in labels if node.is_leaf):  # it stands just before its first use
        depth[leaf] = min((depth[node] for parent, node in edges if parent is leaf), default=1) - 1
    layers: dict[int, list[Any]] = {}
    for node in labels:
        layers.setdefault(depth[node], []).append(node)
    place = {
        n: (d, -(i - (len(layer) - 1) / 2))
        for d, layer in layers.items()
        for i, n in enumerate(layer)
    }
    tall = max(map(len, layers.values()), default=1)
    figure = _figure(max(1.7 * len(layers), 4), 1 + 1.1 * tall, "Computational graph")
    axes = figure.add_subplot(frameon=False, xticks=[], yticks=[])
    boxes = {}
    for node, label in labels.items():
        box = {
            "boxstyle": f"{'round' if node.is_leaf else 'square'},pad=0.5",
            "fc": "#fff3d6" if node.is_leaf else "#dcebf7",
        }
        boxes[node] = axes.text(
            *place[node], label, ha="center", va="center", fontsize=9, bbox=box
        ).get_bbox_patch()
    for parent, node in edges:
        ends = {"patchA": boxes[parent], "patchB": boxes[node], "shrinkA": 0, "shrinkB": 1}
        axes.annotate(
            "",
            place[node],
            place[parent],
            arrowprops={"arrowstyle": "->", "color": "#555555", **ends},
        )
    axes.set(xlim=(-0.6, max(layers, default=0) + 0.6), ylim=(-tall / 2 - 0.1, tall / 2 + 0.1))
    return figure
