"""Scores of outputs: the loss, the number of right answers, the confusion matrix, and metrics."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ..arrays import Array
from ..errors import ShapeError
from ..graph import Kernel, Node, Watch, mode, op_name, watching
from ..tensor import Tensor

__all__ = ["Loss", "Metric", "Scorer", "Tally", "count_confusion", "map_outputs"]

Loss: TypeAlias = Callable[[Any, Any], Tensor]
Metric: TypeAlias = Callable[[Any, Any], Any]
Answers: TypeAlias = tuple[Array, Array]  # the true and the predicted class of each

_MOST_CLASSES = 1000  # in a confusion matrix

# The names of the kernel that checks labels itself, and of the kernel that takes logits.
_CHECKS_LABELS, _TAKES_LOGITS = "softmax_cross_entropy_of_labels", "sigmoid_cross_entropy"


class Tally:
    """Sums over the examples seen so far, from which the means are computed."""

    def __init__(self, metrics: int = 0) -> None:
        self.loss, self.examples = 0.0, 0
        self.right, self.answers = 0, 0
        self.unanswered = 0  # examples without a right and a wrong answer
        self.metrics = [0.0] * metrics

    def mean_loss(self) -> float:
        """Return the mean loss; nan without examples."""
        return self.loss / self.examples if self.examples else np.nan

    def accuracy(self) -> float:
        """Return the fraction of right answers; nan unless each example has a right answer."""
        return self.right / self.answers if self.answers and not self.unanswered else np.nan

    def mean_metrics(self) -> list[float]:
        """Return the mean of each metric; nan without examples."""
        return [total / self.examples if self.examples else np.nan for total in self.metrics]

    def merge(self, others: "list[Tally]") -> "Tally":
        """Return the sums of several tallies, added in their order."""
        merged = Tally(len(self.metrics))
        for other in others:
            merged.loss += other.loss
            merged.examples += other.examples
            merged.right += other.right
            merged.answers += other.answers
            merged.unanswered += other.unanswered
            merged.metrics = [a + b for a, b in zip(merged.metrics, other.metrics, strict=True)]
        return merged


class _Task(NamedTuple):
    """How outputs answer: "labels" of classes, "rows" of probabilities, "binary", or no answer."""

    kind: str
    ignores: bool = False  # whether labels that are not classes occur, and do not count


_LABELS = _Task("labels")


class Scorer:
    """Scores outputs against targets by a loss, by right answers, and by metrics.

    Parameters
    ----------
    op : str
        The name of the caller, for messages.
    loss : function of (outputs, targets)
    metrics : mapping of names to functions of (outputs, targets)
    targets : array, optional
        All targets, if they are known, because a single batch may look like classes by chance.
    """

    def __init__(
        self,
        op: str,
        loss: Loss,
        metrics: Mapping[str, Metric],
        targets: Array | tuple[Array, ...] | None = None,
    ) -> None:
        self.op, self._loss, self.metrics = op, loss, metrics
        self._targets = targets
        self._loss_ops: set[str] | None = None  # the operations of the loss, once it has run
        self._task: _Task | None = None
        self._settled = False  # whether this is the task of all batches

    def compute_loss(self, outputs: Any, targets: Any) -> Tensor:
        """Return the loss; only the first one is checked.

        Raises
        ------
        TypeError
            If the loss is not a Tensor.
        ShapeError
            If the loss is not a scalar.
        """
        if self._loss_ops is not None:
            return self._loss(outputs, targets)
        seen = _SeenOps(mode().watch)
        with watching(seen):
            value: Any = self._loss(outputs, targets)
        if not isinstance(value, Tensor):
            kind = type(value).__name__
            raise TypeError(f"{self.op}: expected the loss to return a Tensor, got a {kind}")
        if value.size != 1:
            raise ShapeError(
                f"{self.op}: expected the loss to return a scalar, got shape {value.shape}; "
                "take its mean"
            )
        self._loss_ops = seen.names
        return value

    def find_answers(self, outputs: Any, targets: Any) -> Answers | None:
        """Return the true and the predicted class of each answer; None if there are no classes.

        Call `compute_loss` before this.

        Raises
        ------
        ValueError
            If a label is not one of the classes, and the loss does not check labels itself.
        """
        task = self._find_task(outputs, targets)
        return None if task is None else self._answer(task, outputs.data, targets)

    def _answer(self, task: "_Task", values: Array, targets: Array) -> Answers:
        if task.kind == "binary":
            threshold = 0.0 if _TAKES_LOGITS in self._known_ops() else 0.5
            return targets.ravel().astype(np.intp), (values.ravel() > threshold).astype(np.intp)
        predicted = values.argmax(axis=-1).ravel()
        if task.kind == "rows":
            return targets.argmax(axis=-1).ravel(), predicted
        true = targets.ravel()
        if task.ignores:
            counts = _in_range(true, values.shape[-1])
            true, predicted = true[counts], predicted[counts]
        return true.astype(np.intp, copy=False), predicted

    def _find_task(self, outputs: Any, targets: Any) -> _Task | None:
        if self._settled:
            return self._task
        if not isinstance(outputs, Tensor):
            return None
        if not isinstance(self._targets, np.ndarray):
            return self._judge(outputs.shape, targets)
        self._task = self._judge((len(self._targets), *outputs.shape[1:]), self._targets)
        self._settled = True
        return self._task

    def _judge(self, shape: tuple[int, ...], targets: Any) -> _Task | None:
        if not isinstance(targets, np.ndarray):
            return None
        kind = _name_kind(shape, targets)
        if kind != "labels":
            return None if kind is None else _Task(kind)
        fits = _in_range(targets, shape[-1])
        if fits.all():
            return _LABELS
        if _CHECKS_LABELS in self._known_ops():  # it has refused any other label
            return _Task(kind, ignores=True)
        raise ValueError(
            f"{self.op}: expected labels in [0, {shape[-1]}), got {targets[~fits].flat[0]}"
        )

    def _known_ops(self) -> set[str]:
        return self._loss_ops or set()

    def add(self, tally: Tally, loss: float, examples: int, outputs: Any, targets: Any) -> None:
        """Add a batch and its loss to a tally. The errors are those of `find_answers`."""
        tally.loss += loss * examples
        tally.examples += examples
        task = self._task if self._settled else self._find_task(outputs, targets)
        if task is _LABELS:  # the most common task, and the fastest to count
            tally.right += int(np.count_nonzero(outputs.data.argmax(axis=-1) == targets))
            tally.answers += targets.size
        elif task is None:
            tally.unanswered += examples
        else:
            true, predicted = self._answer(task, outputs.data, targets)
            tally.right += int(np.count_nonzero(true == predicted))
            tally.answers += len(true)
        if self.metrics:
            constant = map_outputs(Tensor.detach, outputs)
            for i, (name, metric) in enumerate(self.metrics.items()):
                value = np.asarray(_as_value(metric(constant, targets)))
                if value.dtype.kind not in "fiub" or value.size not in (1, examples):
                    raise TypeError(
                        f"{self.op}: expected the metric {name!r} to return a number, or one for "
                        f"each example, got {value.dtype} of shape {value.shape}"
                    )
                tally.metrics[i] += float(np.mean(value)) * examples


class _SeenOps(Watch):
    """Notes the names of the operations that run, and passes them on to the outer watch."""

    def __init__(self, outer: Watch | None) -> None:
        self.outer, self.names = outer, set[str]()

    def forward(self, kernel: Kernel, arrays: list[Array], y: Array, node: Node | None) -> None:
        self.names.add(op_name(kernel))
        if self.outer is not None:
            self.outer.forward(kernel, arrays, y, node)


def _name_kind(outputs: tuple[int, ...], targets: Array) -> str | None:
    """Return the kind of the answers: "labels", "rows" or "binary"; None if there are none."""
    if targets.dtype.kind not in "iubf" or not outputs:
        return None
    if outputs[1:] in ((), (1,)) and targets.shape[1:] in ((), (1,)):
        return "binary" if bool(((targets == 0) | (targets == 1)).all()) else None
    if len(outputs) < 2 or outputs[-1] < 2:
        return None
    if targets.dtype.kind in "iu" and targets.shape == outputs[:-1]:
        return "labels"
    return "rows" if targets.shape == outputs and _are_classes(targets) else None


def _are_classes(rows: Array) -> bool:
    """Whether rows are probabilities, or each row has one high entry and equal low ones."""
    if rows.dtype.kind != "f" or not rows.size:
        return False
    if len(rows) > 100 and not _are_classes(rows[:100]):  # a few rows are usually enough
        return False
    low, high = rows.min(), rows.max()
    if low >= 0 and bool((abs(rows.sum(axis=-1, dtype=np.float64) - 1) < 1e-3).all()):
        return True
    marked = rows == high
    return low < high and bool((marked.sum(axis=-1) == 1).all() and (marked | (rows == low)).all())


def _in_range(labels: Array, classes: int) -> Array:
    fits: Array = (labels >= 0) & (labels < classes)
    return fits


def _as_value(found: Any) -> Any:
    return found.data if isinstance(found, Tensor) else found


def map_outputs(f: Callable[[Any], Any], outputs: Any) -> Any:
    """Return a model's outputs with f applied to each part of a tuple, a list or a dict."""
    if isinstance(outputs, Mapping):
        return {name: f(part) for name, part in outputs.items()}
    return tuple(map(f, outputs)) if isinstance(outputs, (tuple, list)) else f(outputs)


def count_confusion(answers: Answers, outputs: Array) -> Array | None:
    """Return counts (C, C), where rows are true classes; None for more than 1,000 classes."""
    true, predicted = answers
    classes = max(outputs.shape[-1], 2) if outputs.ndim > 1 else 2
    if classes > _MOST_CLASSES:
        return None
    pairs = np.bincount(true * classes + predicted, minlength=classes * classes)
    return pairs.reshape(classes, classes)
