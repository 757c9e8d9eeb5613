"""Pictures of training: learning curves, also during training, and the confusion matrix."""

import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..arrays import Array
from ..errors import ShapeError
from .canvas import BLUE, ORANGE, new_figure, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["confusion_matrix", "learning_curves", "live"]

Curves = Mapping[str, Sequence[float]]

_LOG_RATIO = 20  # a curve with a larger ratio of values is easier to read on a log axis
_BEST = {"loss": np.argmin, "accuracy": np.argmax}  # for other metrics the best is not known


def _select_measured(history: Curves) -> dict[str, dict[str, Array]]:
    """Return what was measured, as `{"loss": {"train": values, "val": values}, ...}`.

    A metric that is nan in every epoch was not measured. Infinities become nan, because they
    cannot be drawn.
    """
    found: dict[str, dict[str, Array]] = {}
    for name, values in history.items():
        part, _, metric = name.partition("_")
        curve = np.asarray(values, dtype=float)
        curve = np.where(np.isfinite(curve), curve, np.nan)
        if part in ("train", "val") and metric and not np.isnan(curve).all():
            found.setdefault(metric, {})[part] = curve
    order = [metric for metric in ("loss", "accuracy") if metric in found]
    return {metric: found[metric] for metric in (*order, *(m for m in found if m not in order))}


def _wants_log(curves: Mapping[str, Array]) -> bool:
    """Return whether the curves are positive and change by more than a factor of `_LOG_RATIO`."""
    values = np.concatenate([curve[~np.isnan(curve)] for curve in curves.values()])
    return bool(values.min() > 0 and values.max() > _LOG_RATIO * values.min())


def learning_curves(
    history: Curves, *, title: str = "Learning curves", log: bool | None = None
) -> "Figure":
    """Draw loss, accuracy and all other metrics of training and validation over the epochs.

    Each metric has its own panel. A metric that was never measured does not have one, for example
    the accuracy of a regression. For loss and accuracy the best epoch of validation is marked.

    Parameters
    ----------
    history : mapping of `train_loss val_loss train_accuracy val_accuracy ...` to lists
        The `History` that `fit` returns. `train_<name>` and `val_<name>` share a panel.
    title : str
    log : bool, optional
        Whether the value axes are logarithmic. By default the axis of a metric is logarithmic if
        all values are above 0 and the largest is more than 20 times the smallest. The axis of the
        accuracy is never logarithmic by default.

    Raises
    ------
    ValueError
        If the history does not contain an epoch, or does not contain a finite value.
    """
    if not len(history.get("train_loss", ())):
        raise ValueError("learning_curves: expected a history of at least one epoch, got none")
    measured = _select_measured(history)
    if not measured:
        raise ValueError("learning_curves: expected a history with finite values, got none")
    columns = min(len(measured), 3)
    rows = math.ceil(len(measured) / columns)
    figure = new_figure(5 * columns, 3.7 * rows + 0.3, title)
    panels = figure.subplots(rows, columns, squeeze=False).flat
    for axes, (metric, curves) in zip(panels, measured.items(), strict=False):
        _draw_curves(axes, metric, curves)
        if log or (log is None and metric != "accuracy" and _wants_log(curves)):
            _use_log_axis(axes)
    for axes in figure.axes[len(measured) :]:
        axes.remove()
    return figure


def _use_log_axis(axes: "Axes") -> None:
    """Make the value axis logarithmic, with plain numbers at 1, 2 and 5 or at powers of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_yscale("log")
    low, high = axes.get_ylim()
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 1000 * low else (1,)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _draw_curves(axes: "Axes", metric: str, curves: Mapping[str, Array]) -> None:
    from matplotlib.ticker import MaxNLocator

    for part, name, colour, style in (
        ("train", "training", BLUE, "-"),
        ("val", "validation", ORANGE, "--"),
    ):
        if part not in curves:
            continue
        seen = np.flatnonzero(~np.isnan(curves[part]))
        epochs, values = seen + 1, curves[part][seen]
        marker = "o" if len(values) <= 30 else None
        axes.plot(epochs, values, style, color=colour, label=name, marker=marker, markersize=4)
        if part == "val" and metric in _BEST:
            i = int(_BEST[metric](values))
            label = f"best, epoch {epochs[i]}: {values[i]:.4g}"
            axes.plot(epochs[i], values[i], "*", color=colour, markersize=14, label=label)
    readable = metric.replace("_", " ")
    axes.set(xlabel="epoch", ylabel=readable, title=readable.capitalize())
    longest = max(map(len, curves.values()))
    axes.set_xlim(0.5, longest + max(0.5, 0.03 * longest))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(alpha=0.3)
    axes.legend()


class _Shown:
    """The figure that a notebook shows at the moment, with its history and its cell."""

    history: Curves | None = None
    cell: int | None = None
    handle: Any = None


_shown = _Shown()


def live(history: Curves, *, title: str = "Learning curves", log: bool | None = None) -> "Figure":
    """Draw the learning curves. In a notebook, update one figure in place.

    Call it after each epoch. The first call of a cell shows the figure, and later calls with the
    same history replace it. Outside a notebook nothing is shown, but you can save the figure.

    Parameters
    ----------
    history, title, log
        As for `learning_curves`.

    Examples
    --------
    As the hook of `fit` that runs after each epoch::

        fit(model, loss, optimizer, data, epochs=10, batch_size=64,
            on_epoch=lambda run: plots.live(run.history))

    >>> figure = live({"train_loss": [2.0, 1.0]})
    """
    figure = learning_curves(history, title=title, log=log)
    ipython = sys.modules.get("IPython")  # a notebook has always imported it
    shell = None if ipython is None else ipython.get_ipython()
    if shell is None:
        return figure
    if _shown.history is history and _shown.cell == shell.execution_count:
        _shown.handle.update(figure)
    else:
        from IPython.display import display

        _shown.handle = display(figure, display_id=True)  # type: ignore[no-untyped-call]
        _shown.history, _shown.cell = history, shell.execution_count
    return figure


def confusion_matrix(
    confusion: npt.ArrayLike, class_names: Sequence[str] | None = None
) -> "Figure":
    """Draw the counts of true classes (rows) and predicted classes (columns).

    Right answers on the diagonal are blue, by their share of the row. Errors are orange. They have
    their own scale, which ends at the largest error, so that even a few errors are visible.

    Parameters
    ----------
    confusion : array_like of shape (C, C)
        For example the `confusion` that `evaluate` returns.
    class_names : sequence of C str, optional

    Raises
    ------
    ShapeError
        If the counts are not square, or there are not C names.
    ValueError
        If a count is negative, or not finite.
    """
    counts = _check_counts(confusion)
    names = _class_names(class_names, len(counts))
    row_sums = counts.sum(axis=1, keepdims=True)
    share = counts / np.where(row_sums == 0, 1, row_sums)
    diagonal = np.eye(len(counts), dtype=bool)
    right = np.where(diagonal, share, np.nan)
    wrong = np.where(diagonal | (counts == 0), np.nan, share)  # a cell without errors is white
    worst = float(share[~diagonal].max(initial=0)) or 1.0

    longest = max(map(len, names))
    turned = longest > 2 and len(names) * longest > 40
    side, labels = max(4.4, 0.27 * len(names)), 0.5 + 0.08 * longest
    height = side + 1.0 + (labels if turned else 0.5)
    title = _confusion_title(counts, names)
    figure = new_figure(side + labels + 2.2, height, title, layout="compressed")
    axes = figure.subplots()
    blue = axes.imshow(right, cmap="Blues", vmin=0, vmax=1)
    orange = axes.imshow(wrong, cmap="Oranges", vmin=0, vmax=worst)
    _write_counts(axes, counts, np.where(diagonal, share, share / worst))
    axes.set(xlabel="predicted", ylabel="true")
    axes.set_xticks(range(len(names)), names, rotation=90 if turned else 0)
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(labelsize=10 if len(names) <= 20 else 8)
    for picture, what in ((blue, "right"), (orange, "wrong")):
        bar = figure.colorbar(picture, fraction=0.25 / side, pad=0.02, aspect=25, shrink=0.8)
        bar.set_label(f"{what}: share of the true class")
    return figure


def _check_counts(confusion: npt.ArrayLike) -> Array:
    counts = np.asarray(confusion)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or counts.size == 0:
        raise ShapeError(f"confusion_matrix: expected counts of shape (C, C), got {counts.shape}")
    bad = ~np.isfinite(counts) | (counts < 0)
    if bad.any():
        raise ValueError(
            f"confusion_matrix: expected finite counts of at least 0, got {counts[bad][0]}"
        )
    return counts


def _class_names(class_names: Sequence[str] | None, number: int) -> list[str]:
    names = range(number) if class_names is None else class_names
    if len(names) != number:
        raise ShapeError(f"confusion_matrix: expected {number} class names, got {len(names)}")
    return [shorten(str(name), 18) for name in names]


def _are_whole(counts: Array) -> bool:
    return bool((counts == np.round(counts)).all())


def _confusion_title(counts: Array, names: Sequence[str]) -> str:
    """Return a title with the share of right answers and the most frequent error."""
    total = counts.sum()
    if total == 0:
        return "Confusion matrix of no predictions"
    title = f"Confusion matrix: {np.trace(counts) / total:.2%}"
    title += f" of {int(total):,} right" if _are_whole(counts) else " right"
    errors = np.where(np.eye(len(counts), dtype=bool), 0, counts)
    true, predicted = divmod(int(errors.argmax()), len(counts))
    if errors[true, predicted] == 0:
        return title
    return f"{title}\nmost frequent error: {names[true]} taken for {names[predicted]}"


def _cells(counts: Array) -> Iterator[tuple[int, int, str]]:
    """Yield (row, column, text) for the counts above 0, or only the errors of a large matrix."""
    whole = _are_whole(counts)
    for (i, j), count in np.ndenumerate(counts):
        if count and (i != j or len(counts) <= 30):
            yield i, j, f"{int(count)}" if whole else f"{count:.2g}"


def _write_counts(axes: "Axes", counts: Array, darkness: Array) -> None:
    size = 9 if len(counts) <= 15 else 6.5
    for i, j, text in _cells(counts):
        colour = "white" if darkness[i, j] > 0.6 else "black"
        axes.text(j, i, text, ha="center", va="center", fontsize=size, color=colour)
