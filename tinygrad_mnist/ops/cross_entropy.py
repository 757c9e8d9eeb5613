"""Cross-entropy: the losses of classifiers, computed from unnormalised log-probabilities."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from ..arrays import (
    Array,
    choose,
    is_array,
    is_finite,
    keep_where,
    refuse_mask,
    rows_of,
    values,
)
from ..errors import ShapeError
from ..graph import Forward, Grads, Needs
from ..tensor import Tensor, TensorLike, apply, unwrap
from .activation import log1p_exp, logistic
from .dtype import apply_wide, as_floats
from .loss import as_targets, check_reduction, reduce_losses
from .norm import log_softmax, softmax

__all__ = ["sigmoid_cross_entropy", "softmax_cross_entropy"]


# Softmax cross-entropy. Both kernels see logits of shape (N, C), and compute with the classes on
# the first axis, because NumPy reduces a short last axis ten times as slowly.


def _softmax_cross_entropy_of_labels(
    logits: Array, *, labels: Array, factor: Array | None, scale: float, reduction: str
) -> Forward:
    """Losses -log p[label], each times its `factor`; together over `scale`."""
    chosen = (labels, np.arange(len(labels)))

    def losses_of(log_p: Array) -> Array:
        losses = -log_p[chosen]
        return losses if factor is None else losses * factor

    def vjp(g: Array, needs: Needs) -> Grads:
        # Softmax minus one-hot, over n.
        each = g / scale if factor is None else g / scale * factor
        return (_subtract_at(p * each, chosen, each).T,)

    with np.errstate(all="ignore"):  # infinities are dealt with below
        p, log_p = _softmax_by_class(logits)
        y = _reduce(losses_of, logits, log_p, scale, reduction)
    return y, vjp


def _softmax_cross_entropy_of_probabilities(
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

    with np.errstate(all="ignore"):  # infinities are dealt with below
        p, log_p = _softmax_by_class(logits)
        y = _reduce(losses_of, logits, log_p, scale, reduction)
    return y, vjp


def _softmax_by_class(logits: Array) -> tuple[Any, Any]:
    """Return the softmax of logits (N, C) and its logarithm, both of shape (C, N)."""
    if not is_array(logits):
        z = logits.T
        return softmax(z, axis=0), log_softmax(z, axis=0)
    z = logits.T.copy()
    log_p = z - z.max(axis=0, initial=-np.inf)
    p = np.exp(log_p)
    total = p.sum(axis=0)
    p /= total
    log_p -= np.log(total)
    return p, log_p


def _reduce(losses_of: Any, logits: Array, log_p: Array, scale: float, reduction: str) -> Array:
    """Return the loss, as a value: no vjp needs the way to it."""
    losses = losses_of(values(log_p))
    y = losses.sum() / scale
    if not is_finite(y):
        losses, y = _bound(losses_of, values(logits).T, values(log_p), scale)
    return losses if reduction == "none" else np.asanyarray(y)


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
    one_hot = np.zeros(a.shape, a.dtype)
    one_hot[index] = 1
    return a - one_hot * b


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
        Examples with this label are left out, and the mean does not count them.

    Raises
    ------
    ShapeError
        If labels have neither the shape (...) nor, as floats, (..., C).
    TypeError
        If labels of shape (...) are not integers.
    ValueError
        If a label is outside [0, C), or the mean is taken over an empty batch or over examples that
        are all ignored.

    Examples
    --------
    >>> softmax_cross_entropy(Tensor([[0.0, 0.0]]), [1]).item()  # log 2
    0.6931471824645996
    """
    x = as_floats(logits)
    shape, dtype = x.shape, x.dtype
    half = dtype.itemsize == 2
    if half:  # float16 has too few digits for sums over many classes or examples
        x, dtype = x.astype(np.float32), np.dtype(np.float32)
    label_smoothing = float(label_smoothing)
    _check_logits(shape, label_smoothing)
    count, classes = math.prod(shape[:-1]), shape[-1]
    rows = x if len(shape) == 2 else x.reshape(count, classes)
    check_reduction("softmax_cross_entropy", reduction, count)
    weights = None if weight is None else _check_weight(weight, classes, dtype)
    target = np.asanyarray(refuse_mask(unwrap(labels)))
    if target.dtype.kind == "f" and target.shape == shape:
        if ignore_index is not None:
            raise ValueError(
                "softmax_cross_entropy: ignore_index is for integer labels, got probabilities"
            )
        probabilities = labels if isinstance(labels, Tensor) else target.astype(dtype)
        y = apply_wide(
            _softmax_cross_entropy_of_probabilities,
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
    if reduction == "none" and len(shape) != 2:
        y = y.reshape(shape[:-1])
    return y.astype(np.float16) if half else y


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
        each = rows_of(weight, labels)
        factor = each if kept is None else each * kept
    scale = 1.0
    if reduction == "mean":  # as in PyTorch: over the weights of the labels
        scale = len(labels) if factor is None else factor.sum().item()
    if not smoothing:
        return apply(
            _softmax_cross_entropy_of_labels,
            rows,
            labels=labels,
            factor=factor,
            scale=scale,
            reduction=reduction,
        )
    one_hot = rows_of(np.eye(rows.shape[1], dtype=rows.dtype), labels)
    return apply(
        _softmax_cross_entropy_of_probabilities,
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
    weights: Array = np.asanyarray(refuse_mask(weight))  # an error if it requires grad
    if weights.shape != (classes,):
        raise ShapeError(
            f"softmax_cross_entropy: expected a weight of shape ({classes},), got {weights.shape}"
        )
    return weights.astype(dtype)


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
        if labels.shape == logits:
            expected += "; convert one-hot rows with .argmax(-1) or .astype(float)"
        elif labels.shape == (*shape, 1):
            expected += "; convert labels with .reshape(-1)"
        elif not shape and labels.ndim == 2:
            expected += "; the logits come first, the labels second"
        raise ShapeError(expected)
    labels = labels.astype(np.intp, copy=False)
    counted = labels if ignore_index is None else np.where(labels == ignore_index, 0, labels)
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


# Sigmoid cross-entropy


def _sigmoid_cross_entropy(
    logits: Array, targets: Array, *, factor: Array | float, reduction: str
) -> Forward:
    """Losses -(factor * t * log p + (1 - t) * log(1 - p)), with p the logistic function."""
    x, t = values(logits), values(targets)
    # -log p is log(1 + e**-x), and -log(1 - p) is log(1 + e**x). A target of 0 or 1 leaves one of
    # the terms, though 0 times infinity would be nan.
    no, yes = _log1p_exp_of_both(x)
    with np.errstate(invalid="ignore"):
        losses = keep_where(factor * t * yes, t != 0)
        losses += keep_where((1 - t) * no, t != 1)
    scale = losses.size if reduction == "mean" else 1

    def vjp(g: Array, needs: Needs) -> Grads:
        gx = gt = None
        g = g / scale
        if needs[0]:
            gx = ((1 - targets) * logistic(logits) - factor * targets * logistic(-logits)) * g
        if needs[1]:
            gt = (factor * log1p_exp(-logits) - log1p_exp(logits)) * g
        return gx, gt

    return reduce_losses(losses, reduction), vjp


def _log1p_exp_of_both(x: Array) -> tuple[Array, Array]:
    """Return log1p_exp of x and of -x, which share their logarithm: that is most of the work."""
    positive = x > 0
    curve = np.log1p(np.exp(choose(positive, -x, x)))
    return keep_where(x.copy(), positive) + curve, keep_where(-x, ~positive) + curve


def sigmoid_cross_entropy(
    logits: TensorLike,
    targets: TensorLike,
    *,
    reduction: str = "mean",
    pos_weight: npt.ArrayLike | None = None,
) -> Tensor:
    """Cross-entropy of independent yes-or-no answers, with p = sigmoid(logits) for yes.

    The loss of each is -(pos_weight * t * log p + (1 - t) * log(1 - p)), computed without overflow.
    It is PyTorch's `binary_cross_entropy_with_logits`.

    Parameters
    ----------
    logits : Tensor
        Unnormalised log-odds.
    targets : Tensor of the shape of logits
        0 for no, 1 for yes, or a probability. They may require grad.
    reduction : {"mean", "sum", "none"}
        The mean is over all elements.
    pos_weight : array_like that broadcasts to the shape of logits, optional
        A factor for the yes-part of the loss, such as one for each class on the last axis.

    Raises
    ------
    ShapeError
        If the shapes of logits and targets differ, or pos_weight does not broadcast to them.
    ValueError
        If integer targets are not all 0 or 1, or the mean is taken over no elements.

    Examples
    --------
    >>> sigmoid_cross_entropy(Tensor([0.0, 50.0]), [1, 1], reduction="none").round(4)
    Tensor([0.6931, 0.    ])
    """
    op = "sigmoid_cross_entropy"
    x = as_floats(logits)
    t = as_targets(op, targets, x)
    _check_answers(np.asanyarray(unwrap(targets)))
    check_reduction(op, reduction, x.size)
    factor = 1.0 if pos_weight is None else _check_pos_weight(pos_weight, x)
    return apply_wide(_sigmoid_cross_entropy, x, t, factor=factor, reduction=reduction)


def _check_answers(targets: Array) -> None:
    """Raise a ValueError if integers are not answers but, for example, classes."""
    if targets.dtype.kind in "iu" and targets.size and (targets.min() < 0 or targets.max() > 1):
        raise ValueError(
            "sigmoid_cross_entropy: expected integer targets 0 or 1, got numbers from "
            f"{targets.min()} to {targets.max()}; for classes use softmax_cross_entropy"
        )


def _check_pos_weight(pos_weight: npt.ArrayLike, x: Tensor) -> Array:
    factor: Array = np.asanyarray(refuse_mask(pos_weight))  # an error if it requires grad
    try:
        fits = np.broadcast_shapes(factor.shape, x.shape) == x.shape
    except ValueError:
        fits = False
    if not fits:
        raise ShapeError(
            "sigmoid_cross_entropy: expected a pos_weight that broadcasts to the logits' shape "
            f"{x.shape}, got {factor.shape}"
        )
    return factor.astype(np.float32 if x.dtype == np.float16 else x.dtype)
