"""evaluate and predict: the outputs of a model in evaluation mode, and their scores."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, cast

import numpy as np

from ..arrays import Array
from ..errors import check_size
from ..nn import Module
from ..nn.module import evaluating
from ..optim.ranks import ALONE, Ranks
from ..tensor import from_numpy, no_grad
from .checks import check_model_and_loss
from .feed import Data, Share, as_arrays, make_feed
from .scores import Loss, Metric, Scorer, Tally, count_confusion, map_outputs

__all__ = ["Metrics", "evaluate", "measure", "predict"]


class Metrics(NamedTuple):
    """What `evaluate` measures."""

    loss: float
    """The loss over all examples."""
    accuracy: float
    """The fraction of examples whose largest output is the true class.

    nan if the targets are not classes.
    """
    confusion: Array | None
    """Counts of shape (C, C): rows are true classes, columns predicted ones.

    None if the targets are not classes, or there are more than 1,000 classes.
    """


@contextmanager
def _evaluating() -> Iterator[None]:
    """Evaluation mode for all modules, without a graph, in this thread or task only."""
    with no_grad(), evaluating():
        yield


def evaluate(
    model: Module,
    loss: Loss,
    data: Data,
    *,
    batch_size: int = 1024,
    ranks: Ranks = ALONE,
) -> Metrics:
    """Measure the loss, the accuracy and the confusion matrix, in evaluation mode.

    Parameters
    ----------
    model : Module
    loss : function of (outputs, targets) that returns a scalar Tensor
        It is called once, with the outputs for all examples, so that the result does not depend on
        `batch_size`. If outputs have different shapes, so that they do not fit into one array, they
        are measured batch by batch and averaged over their examples.
    data : (inputs, targets), or an iterable of such batches with a length
        As in `fit`.
    batch_size : int
        The number of examples that the model gets at once.
    ranks : Ranks
        Pass `optimizer.ranks` to let each rank run its share. Every rank gets the same result.

    Raises
    ------
    ValueError
        If there are no examples, if inputs and targets differ in number, or if a label is not one
        of the classes.
    """
    return measure("evaluate", model, loss, data, batch_size=batch_size, ranks=ranks)[0]


def measure(
    op: str,
    model: Module,
    loss: Loss,
    data: Data,
    *,
    metrics: Mapping[str, Metric] | None = None,
    batch_size: int = 1024,
    ranks: Ranks = ALONE,
) -> tuple[Metrics, dict[str, float]]:
    """Return the result of `evaluate`, and the value of each metric."""
    check_model_and_loss(op, model, loss)
    metrics = {} if metrics is None else metrics
    feed = make_feed(op, data, batch_size, ranks=ranks)
    scorer, tally = Scorer(op, loss, metrics), Tally(len(metrics))
    confusion: Array | None = None
    with _evaluating():
        mine = [_run_batch(model, share) for share in feed if share.own]
        for outputs, targets, examples in _join([b for part in ranks.gather(mine) for b in part]):
            tensors = map_outputs(from_numpy, outputs)
            value = float(scorer.compute_loss(tensors, targets).item())
            scorer.add(tally, value, examples, tensors, targets)
            answers = scorer.find_answers(tensors, targets)
            if answers is not None:
                counts = count_confusion(answers, outputs)
                confusion = counts if confusion is None or counts is None else confusion + counts
    found = Metrics(tally.mean_loss(), tally.accuracy(), confusion)
    return found, dict(zip(metrics, tally.mean_metrics(), strict=True))


# outputs, targets, and the number of examples
_Answered = tuple[Any, Any, int]


def _run_batch(model: Module, share: Share) -> _Answered:
    outputs = model(*map(from_numpy, share.inputs))
    return map_outputs(lambda t: t.data, outputs), share.targets, share.own


def _join(batches: Sequence[_Answered]) -> Sequence[_Answered]:
    """Return all batches as one, if their arrays fit together."""
    if not all(_is_by_example(batch, batches[0]) for batch in batches):
        return batches
    outputs = _concatenate([outputs for outputs, _, _ in batches])
    targets = _concatenate([targets for _, targets, _ in batches])
    return [(outputs, targets, sum(examples for _, _, examples in batches))]


def _is_by_example(batch: _Answered, first: _Answered) -> bool:
    """Whether each array of a batch has an entry for each example, like those of the first."""
    mine, others = _list_arrays(batch[:2]), _list_arrays(first[:2])
    return len(mine) == len(others) and all(
        a.ndim > 0 and len(a) == batch[2] and a.shape[1:] == b.shape[1:] and a.dtype == b.dtype
        for a, b in zip(mine, others, strict=True)
    )


def _list_arrays(part: Any) -> list[Array]:
    if isinstance(part, Mapping):
        part = tuple(part.values())
    if isinstance(part, tuple):
        return [a for inner in part for a in _list_arrays(inner)]
    return [part]


def _concatenate(parts: list[Any]) -> Any:
    first = parts[0]
    if len(parts) == 1:
        return first
    if isinstance(first, Mapping):
        return {name: _concatenate([part[name] for part in parts]) for name in first}
    if isinstance(first, tuple):
        return tuple(_concatenate(list(column)) for column in zip(*parts, strict=True))
    return np.concatenate(parts)


def predict(model: Module, inputs: Array | tuple[Array, ...], *, batch_size: int = 1024) -> Array:
    """Return the model's raw outputs (N, ...) for inputs (N, ...), in evaluation mode.

    Parameters
    ----------
    model : Module
    inputs : array, or a tuple of arrays, which are passed as several arguments
    batch_size : int

    Returns
    -------
    ndarray
        If the model has several outputs, the result is what it returns, with arrays instead of
        Tensors.
    """
    size = check_size("predict", "batch_size", batch_size)
    arrays = as_arrays(inputs)
    arrays = arrays if isinstance(arrays, tuple) else (arrays,)
    if any(a.ndim == 0 for a in arrays) or len({len(a) for a in arrays}) != 1:
        shapes = ", ".join(str(a.shape) for a in arrays)
        raise ValueError(f"predict: expected inputs (N, ...) of one length, got shapes {shapes}")
    starts = range(0, len(arrays[0]), size) or [0]  # without examples, predict an empty batch
    with _evaluating():
        outputs = [
            map_outputs(lambda t: t.data, model(*(from_numpy(a[i : i + size]) for a in arrays)))
            for i in starts
        ]
    return cast(Array, _concatenate(outputs))  # it is a tuple for several outputs
