"""Losses: softmax cross-entropy and mean squared error."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from ..arrays import Array, floating, is_array, values
from ..errors import ShapeError
from ..graph import Forward, Grads, Needs
from ..tensor import Tensor, TensorLike, apply, from_numpy, run, unwrap
from .norm import log_softmax, softmax
from .shape import put

__all__ = ["mse", "softmax_cross_entropy"]


def _as_floats(x: TensorLike) -> Tensor:
    tensor = x if isinstance(x, Tensor) else Tensor(x)
    return tensor if tensor.data.dtype.kind in "fc" else from_numpy(floating(tensor.data))


def _check_reduction(op: str, reduction: str, examples: int) -> None:
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f'{op}: expected reduction "mean", "sum" or "none", got {reduction!r}')
    if reduction == "mean" and not examples:
        raise ValueError(
            f"{op}: the mean over an empty batch is undefined; expected at least one example"
        )


# Softmax cross-entropy. Both kernels see logits of shape (N, C), and compute with the classes on
# the first axis, because NumPy reduces a short last axis ten times as slowly.


def _cross_entropy_of_labels(
    logits: Array, *, labels: Array, factor: Array | None, scale: float, reduction: str
) -> Forward:
    """Losses -log p[label], each times its `factor`; together over `scale`."""
    p, log_p = _softmax_by_class(logits)
    chosen = (labels, np.arange(len(labels)))

    def losses_of(log_p: Array) -> Array:
        losses = -log_p[chosen]
        return losses if factor is None else losses * factor

    def vjp(g: Array, needs: Needs) -> Grads:
        # Softmax minus one-hot, over n.
        each = g / scale if factor is None else g / scale * factor
        return (_subtract_at(p * each, chosen, each).T,)

    return _reduce(losses_of, logits, log_p, scale, reduction), vjp


def _cross_entropy_of_probabilities(
    logits: Array,
    target: Array,
    *,
    smoothing: float,
    weight: Array | None,
    factor: Array | None,
    scale: float,
    reduction: str,
) -> Forward:
    """Losses -sum_c t_c log p_c, with t the smoothed and weighted target of shape (N, C)."""
    p, log_p = _softmax_by_class(logits)
    t = target.T * (1 - smoothing) + smoothing / target.shape[1]
    if weight is not None:
        t = t * weight[:, np.newaxis]
    if factor is not None:
        t = t * factor

    def losses_of(log_p: Array) -> Array:
        # A probability of 0 adds nothing, though 0 * log(0) would be nan.
        terms = np.where(values(t) == 0, 0, values(t) * log_p)
        return -terms.sum(axis=0)

    def vjp(g: Array, needs: Needs) -> Grads:
        gx = gt = None
        if needs[0]:
            gx = ((p * t.sum(axis=0) - t) * (g / scale)).T
        if needs[1]:
            slope = log_p * (g / scale * (smoothing - 1))
            if weight is not None:
                slope = slope * weight[:, np.newaxis]
            if factor is not None:
                slope = slope * factor
            gt = slope.T
        return gx, gt

    return _reduce(losses_of, logits, log_p, scale, reduction), vjp


def _softmax_by_class(logits: Array) -> tuple[Any, Any]:
    """Return the softmax of logits (N, C) and its logarithm, both of shape (C, N)."""
    if not is_array(logits):
        z = logits.T
        return softmax(z, axis=0), log_softmax(z, axis=0)
    z = logits.T.copy()
    with np.errstate(all="ignore"):
        log_p = z - z.max(axis=0, initial=-np.inf)
        p = np.exp(log_p)
        total = p.sum(axis=0)
        p /= total
        log_p -= np.log(total)
    return p, log_p


def _reduce(losses_of: Any, logits: Array, log_p: Array, scale: float, reduction: str) -> Array:
    """Return the loss, as a value: no vjp needs the way to it."""
    with np.errstate(all="ignore"):
        losses = losses_of(values(log_p))
        y = losses.sum() / scale
        if not np.isfinite(y):
            losses, y = _bound(losses_of, values(logits).T, values(log_p), scale)
    return losses if reduction == "none" else np.asarray(y)


def _bound(losses_of: Any, z: Array, log_p: Array, scale: float) -> tuple[Array, Array]:
    """Keep the loss of finite logits finite, though their differences may overflow their dtype."""
    lowest = z.dtype.type(0.99 * np.finfo(z.dtype).min)
    losses = losses_of(np.where(np.isfinite(z) & (log_p < lowest), lowest, log_p))
    y = (losses / scale).sum()
    if np.isfinite(z).all():  # a weight, or the sum of several losses, may still be out of reach
        losses, y = np.minimum(losses, -lowest), np.minimum(y, -lowest)
    return losses, y


def _subtract_at(a: Array, index: Any, b: Array) -> Array:
    """Return `a` less `b` at some of its places; an array in its own memory."""
    if is_array(a):
        a[index] -= b
        return a
    at_places = np.broadcast_to(b, index[0].shape)
    return a - run(put, at_places, index=index, shape=a.shape)


def softmax_cross_entropy(
    logits: TensorLike,
    labels: TensorLike,
    *,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    weight: npt.ArrayLike | None = None,
    ignore_index: int | None = None,
) -> Tensor:
    """Cross-entropy of the softmax of `logits`: -sum_c t_c w_c log softmax(logits)_c.

    It is PyTorch's `cross_entropy`, with the classes on the last axis.

    Parameters
    ----------
    logits : Tensor of shape (..., C)
        Unnormalised log-probabilities; any finite ones give a finite loss.
    labels : integers of shape (...), or floats of shape (..., C)
        Classes in [0, C), or a probability for each class.
    reduction : {"mean", "sum", "none"}
        The mean over labels with a `weight` divides by the sum of their weights.
    label_smoothing : float in [0, 1]
        The share of the target that is spread over all classes.
    weight : array_like of shape (C,), optional
        A factor for each class.
    ignore_index : int, optional
        Examples with this label count nothing, in the mean either.

    Raises
    ------
    ShapeError
        If labels have neither the shape (...) nor, as floats, (..., C).
    TypeError
        If labels of shape (...) are not integers.
    ValueError
        If a label is outside [0, C), if the mean is asked of an empty batch, or of examples that
        are all ignored.

    Examples
    --------
    >>> softmax_cross_entropy(Tensor([[0.0, 0.0]]), [1]).item()  # log 2
    0.6931471824645996
    """
    x = _as_floats(logits)
    shape, dtype = x.shape, x.dtype
    if dtype.itemsize == 2:  # float16 has too few digits for sums over many classes or examples
        y = softmax_cross_entropy(
            x.astype(np.float32),
            labels,
            reduction=reduction,
            label_smoothing=label_smoothing,
            weight=weight,
            ignore_index=ignore_index,
        )
        return y.astype(np.float16)
    _check_logits(shape, label_smoothing)
    count, classes = math.prod(shape[:-1]), shape[-1]
    rows = x if len(shape) == 2 else x.reshape(count, classes)
    _check_reduction("softmax_cross_entropy", reduction, count)
    weights = None if weight is None else _check_weight(weight, classes, dtype)
    target = np.asarray(unwrap(labels))
    if target.dtype.kind == "f" and target.shape == shape:
        if ignore_index is not None:
            raise ValueError(
                "softmax_cross_entropy: ignore_index is for integer labels, got probabilities"
            )
        probabilities = labels if isinstance(labels, Tensor) else Tensor(target, dtype=dtype)
        y = apply(
            _cross_entropy_of_probabilities,
            rows,
            probabilities if len(shape) == 2 else probabilities.reshape(rows.shape),
            smoothing=label_smoothing,
            weight=weights,
            factor=None,
            scale=count if reduction == "mean" else 1,
            reduction=reduction,
        )
    else:
        target = _check_labels(target, shape, ignore_index)
        y = _of_labels(rows, target.ravel(), label_smoothing, weights, ignore_index, reduction)
    return y.reshape(shape[:-1]) if reduction == "none" and len(shape) != 2 else y


def _of_labels(
    rows: Tensor,
    labels: Array,
    smoothing: float,
    weight: Array | None,
    ignore_index: int | None,
    reduction: str,
) -> Tensor:
    """Choose the kernel for integer labels, and how much each example counts."""
    kept = None
    if ignore_index is not None:
        kept = (labels != ignore_index).astype(rows.dtype)
        if reduction == "mean" and not kept.any():
            raise ValueError(
                "softmax_cross_entropy: the mean over no examples is undefined, and all of the "
                f"labels are the ignored {ignore_index}"
            )
        labels = np.where(kept, labels, 0)
    factor = kept
    if weight is not None:
        factor = weight[labels] if kept is None else weight[labels] * kept
    scale = 1.0
    if reduction == "mean":  # as in PyTorch: over the weights of the labels
        scale = len(labels) if factor is None else float(factor.sum())
    if not smoothing:
        return apply(
            _cross_entropy_of_labels,
            rows,
            labels=labels,
            factor=factor,
            scale=scale,
            reduction=reduction,
        )
    one_hot = np.eye(rows.shape[1], dtype=rows.dtype)[labels]
    return apply(
        _cross_entropy_of_probabilities,
        rows,
        one_hot,
        smoothing=smoothing,
        weight=weight,
        factor=kept,
        scale=scale,
        reduction=reduction,
    )


def _check_logits(shape: tuple[int, ...], smoothing: float) -> None:
    if not shape:
        raise ShapeError("softmax_cross_entropy: expected logits of shape (..., C), got ()")
    if not 0 <= smoothing <= 1:
        raise ValueError(
            f"softmax_cross_entropy: expected label_smoothing in [0, 1], got {smoothing}"
        )


def _check_weight(weight: npt.ArrayLike, classes: int, dtype: np.dtype[Any]) -> Array:
    weights: Array = np.asarray(unwrap(weight), dtype)
    if weights.shape != (classes,):
        raise ShapeError(
            f"softmax_cross_entropy: expected a weight of shape ({classes},), got {weights.shape}"
        )
    return weights


def _check_labels(labels: Array, logits: tuple[int, ...], ignore_index: int | None) -> Array:
    """Return integer labels that fit logits of a shape; an error that says what does not."""
    *shape, classes = logits
    is_integer = labels.dtype.kind in "iu" or not labels.size  # an empty list has no dtype
    if not is_integer or labels.shape != logits[:-1]:
        expected = (
            f"softmax_cross_entropy: expected integer labels of shape {tuple(shape)}, or float "
            f"probabilities of shape {logits}, got {labels.dtype} {labels.shape}"
        )
        if labels.shape == logits[:-1]:
            raise TypeError(f"{expected}; convert labels with .astype(int)")
        raise ShapeError(expected)
    labels = labels.astype(np.intp, copy=False)
    counted = labels if ignore_index is None else labels[labels != ignore_index]
    if counted.size and counted.view(np.uintp).max() >= classes:  # below 0 is a huge unsigned one
        wrong = (labels < 0) | (labels >= classes)
        if ignore_index is not None:
            wrong &= labels != ignore_index
        place = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise ValueError(
            f"softmax_cross_entropy: expected labels in [0, {classes}), got {labels[place]} at "
            f"position {place[0] if len(place) == 1 else place}"
        )
    return labels


def _mse(prediction: Array, target: Array, *, reduction: str) -> Forward:
    difference = prediction - target
    scale = prediction.size if reduction == "mean" else 1

    def vjp(g: Array, needs: Needs) -> Grads:
        gx = difference * (g * (2 / scale))
        gt = -gx if needs[1] else None
        return gx if needs[0] else None, gt

    y = difference * difference
    return y if reduction == "none" else y.sum() / scale, vjp


def mse(prediction: TensorLike, target: TensorLike, *, reduction: str = "mean") -> Tensor:
    """Mean squared error mean((prediction - target)**2) over all elements.

    Parameters
    ----------
    prediction, target : Tensors of equal shape
        They never broadcast: that is nearly always a mistake in the shape of one of them.
    reduction : {"mean", "sum", "none"}

    Raises
    ------
    ShapeError
        If the shapes differ.
    ValueError
        If the mean is asked of no elements.
    """
    x = _as_floats(prediction)
    t = target if isinstance(target, Tensor) else Tensor(target, dtype=x.dtype)
    if x.shape != t.shape:
        raise ShapeError(
            f"mse: expected a target of the prediction's shape {x.shape}, got {t.shape}"
        )
    _check_reduction("mse", reduction, x.size)
    if x.dtype == np.float16:  # it has too few digits for the sum of many squares
        return mse(x.astype(np.float32), t, reduction=reduction).astype(np.float16)
    return apply(_mse, x, t, reduction=reduction)
