"""Losses: softmax cross-entropy and mean squared error."""

import numpy as np
import numpy.typing as npt

from ..arrays import Array, floating
from ..errors import ShapeError
from ..tensor import Forward, Grads, Needs, Tensor, TensorLike, apply, from_numpy, unwrap

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


def _softmax_cross_entropy(
    logits: Array,
    probabilities: Array | None = None,
    *,
    labels: Array | None = None,
    weight: Array | None,
    smoothing: float,
    reduction: str,
) -> Forward:
    n, classes = logits.shape
    z: Array = np.ascontiguousarray(
        logits.T
    )  # classes first: NumPy reduces a short last axis ten times as slowly
    examples = np.arange(n)
    # how much each class counts: None for bare labels, the common case, which needs no matrix
    target = None if probabilities is None else probabilities.T
    if labels is not None and (smoothing or weight is not None):
        target = np.zeros(z.shape, z.real.dtype)
        target[labels, examples] = 1
    if target is not None and smoothing:
        target = target * (1 - smoothing) + smoothing / classes
    if target is not None and weight is not None:
        target = target * weight[:, np.newaxis]
    scale: float = 1
    if (
        reduction == "mean"
    ):  # as PyTorch: by the labels' weights, but by N where there are probabilities
        scale = n if labels is None or weight is None else float(weight[labels].sum())

    def losses_of(logp: Array) -> Array:
        picked: Array = (
            logp[labels, examples]
            if target is None
            else np.where(target == 0, 0, target * logp).sum(axis=0)
        )
        return np.negative(picked, out=picked)  # the where: 0 * log(0) counts nothing

    with np.errstate(all="ignore"):
        logp = z - z.real.max(axis=0, initial=-np.inf)
        softmax = np.exp(logp)
        total = softmax.sum(axis=0)
        softmax /= total
        logp -= np.log(total, out=total)
        losses = losses_of(logp)
        y = losses.sum() / scale
        if not np.isfinite(
            y
        ):  # finite logits can lie further apart than the dtype reaches, and so can their sum
            lowest = z.real.dtype.type(0.99 * np.finfo(z.dtype).min)
            logp = np.where(np.isfinite(z) & (logp.real < lowest), lowest, logp)
            losses = losses_of(logp)
            y = (losses / scale).sum()
            if np.isfinite(
                z
            ).all():  # a weight, or the sum of several, may still have carried it out of reach
                losses, y = np.minimum(losses, -lowest), np.minimum(y, -lowest)

    def vjp(g: Array, needs: Needs) -> Grads:
        factor = g / scale
        gx = gp = None
        if needs[0]:
            gx = (
                softmax * factor
                if target is None
                else (softmax * target.sum(axis=0) - target) * factor
            )
            if target is None:
                gx[labels, examples] -= factor
            gx = gx.T
        if probabilities is not None and needs[1]:
            gp = (logp * (factor * (smoothing - 1))).T * (1 if weight is None else weight)
        return (gx,) if probabilities is None else (gx, gp)

    return losses if reduction == "none" else np.asarray(y), vjp


def softmax_cross_entropy(
    logits: TensorLike,
    labels: TensorLike,
    *,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    weight: npt.ArrayLike | None = None,
) -> Tensor:
    """Cross-entropy of the softmax of `logits`: -sum_c t_c w_c log softmax(logits)_c, the formula of PyTorch's `cross_entropy`.

    Parameters
    ----------
    logits : Tensor of shape (N, C)
        Unnormalised log-probabilities; any finite ones give a finite loss.
    labels : integers of shape (N,), or floats of shape (N, C)
        Classes in [0, C), or a probability for each class.
    reduction : {"mean", "sum", "none"}
        The mean over labels with a `weight` divides by the sum of their weights.
    label_smoothing : float in [0, 1]
        The share of the target that is spread over all classes.
    weight : array_like of shape (C,), optional
        A factor for each class.

    Raises
    ------
    ShapeError
        If logits are not (N, C), or labels neither (N,) integers nor (N, C) floats.
    TypeError
        If labels of shape (N,) are not integers.
    ValueError
        If a label is outside [0, C), or the mean is asked of an empty batch.

    Examples
    --------
    >>> softmax_cross_entropy(Tensor([[0.0, 0.0]]), [1]).item()  # log 2
    0.6931471824645996
    """
    op = "softmax_cross_entropy"
    x = _as_floats(logits)
    if x.ndim != 2:
        raise ShapeError(f"{op}: expected logits of shape (N, C), got {x.shape}")
    n, classes = x.shape
    _check_reduction(op, reduction, n)
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"{op}: expected label_smoothing in [0, 1], got {label_smoothing}")
    if reduction == "mean" and x.dtype == np.float16 and n > 65504:
        raise ValueError(
            f"{op}: float16 cannot count beyond 65504, got {n} examples; convert with .astype(np.float32)"
        )
    if weight is not None:
        weight = np.asarray(weight, x.data.real.dtype)
        if weight.shape != (classes,):
            raise ShapeError(f"{op}: expected a weight of shape ({classes},), got {weight.shape}")
    y = np.asarray(unwrap(labels))
    params = {"weight": weight, "smoothing": label_smoothing, "reduction": reduction}
    if y.dtype.kind in "fc" and y.shape == x.shape:
        return apply(
            _softmax_cross_entropy,
            x,
            labels if isinstance(labels, Tensor) else y.astype(x.data.real.dtype),
            **params,
        )
    if y.shape != (n,) or (n and y.dtype.kind not in "iu"):  # an empty list has no dtype of its own
        expected = f"{op}: expected integer labels of shape ({n},), or float probabilities of shape {x.shape}"
        if y.ndim == 1 and y.dtype.kind not in "iu":
            raise TypeError(
                f"{expected}, got {y.dtype} {y.shape}; convert labels with .astype(int)"
            )
        raise ShapeError(f"{expected}, got {y.dtype} {y.shape}")
    y = y.astype(np.intp, copy=False)
    if n and y.view(np.uintp).max() >= classes:  # a negative label is a huge unsigned one
        bad = int(np.flatnonzero((y < 0) | (y >= classes))[0])
        raise ValueError(f"{op}: expected labels in [0, {classes}), got {y[bad]} at position {bad}")
    return apply(_softmax_cross_entropy, x, labels=y, **params)


def _mse(prediction: Array, target: Array, *, reduction: str) -> Forward:
    difference = prediction - target
    scale = prediction.size if reduction == "mean" else 1
    y = difference * difference

    def vjp(g: Array, needs: Needs) -> Grads:
        gx = difference * (g * (2 / scale))
        gt = np.negative(gx) if needs[1] else None
        return (gx if needs[0] else None), gt

    if reduction == "none":
        return y, vjp
    total = (
        y.sum(dtype=np.float32) if y.dtype == np.float16 else y.sum()
    )  # float16 has no room for many squares
    return np.asarray(total / scale, y.dtype), vjp


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
    t = target if isinstance(target, Tensor) else np.asarray(target, x.data.real.dtype)
    if x.shape != t.shape:
        raise ShapeError(
            f"mse: expected a target of the prediction's shape {x.shape}, got {t.shape}"
        )
    _check_reduction("mse", reduction, x.size)
    return apply(_mse, x, t, reduction=reduction)
