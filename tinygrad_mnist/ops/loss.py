"""Losses that compare numbers with numbers, and the checks that all losses share."""

from typing import Any

import numpy as np

from ..arrays import Array, as_array, values
from ..errors import ShapeError
from ..graph import Forward, Grads, Kernel, Needs
from ..tensor import Tensor, TensorLike
from .dtype import apply_wide, as_floats

__all__ = ["huber", "l1", "mse"]


def as_targets(op: str, target: TensorLike, prediction: Tensor) -> TensorLike:
    """Return targets of the prediction's shape; an array of them takes the prediction's dtype.

    Raises
    ------
    ShapeError
        If the shapes differ.
    """
    if not isinstance(target, Tensor):
        target = as_array(target, prediction.dtype)
    if target.shape != prediction.shape:
        raise ShapeError(
            f"{op}: expected a target of the prediction's shape {prediction.shape}, got "
            f"{target.shape}"
        )
    return target


def check_reduction(op: str, reduction: str, examples: int) -> None:
    """Raise a ValueError unless the reduction is known, and the mean is over something."""
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f'{op}: expected reduction "mean", "sum" or "none", got {reduction!r}')
    if reduction == "mean" and not examples:
        raise ValueError(
            f"{op}: the mean over an empty batch is undefined; expected at least one example"
        )


def reduce_losses(losses: Array, reduction: str) -> Array:
    """Return the losses themselves, their sum, or their mean."""
    if reduction == "none":
        return losses
    return losses.sum() / _share(losses, reduction)


def _share(losses: Array, reduction: str) -> int:
    """Return by what each loss is divided."""
    return losses.size if reduction == "mean" else 1


def _compare(
    op: str, kernel: Kernel, prediction: TensorLike, target: TensorLike, **params: Any
) -> Tensor:
    x = as_floats(prediction)
    t = as_targets(op, target, x)
    check_reduction(op, params["reduction"], x.size)
    return apply_wide(kernel, x, t, **params)


def _to_both(slope: Array, needs: Needs) -> Grads:
    """Return the gradients of a function of prediction - target."""
    return slope if needs[0] else None, -slope if needs[1] else None


def _mse(prediction: Array, target: Array, *, reduction: str) -> Forward:
    difference = prediction - target
    losses = difference * difference

    def vjp(g: Array, needs: Needs) -> Grads:
        return _to_both(difference * (g * (2 / _share(losses, reduction))), needs)

    return reduce_losses(losses, reduction), vjp


def mse(prediction: TensorLike, target: TensorLike, *, reduction: str = "mean") -> Tensor:
    """Mean squared error, mean((prediction - target)**2) over all elements.

    Parameters
    ----------
    prediction, target : Tensors of equal shape
        They never broadcast: that is nearly always a mistake in the shape of one of them. Both may
        require grad.
    reduction : {"mean", "sum", "none"}

    Raises
    ------
    ShapeError
        If the shapes differ.
    ValueError
        If the mean is taken over no elements.

    Examples
    --------
    >>> mse(Tensor([1.0, 2.0]), [1.0, 5.0])
    Tensor(4.5)
    """
    return _compare("mse", _mse, prediction, target, reduction=reduction)


def _l1(prediction: Array, target: Array, *, reduction: str) -> Forward:
    difference = prediction - target
    losses = np.abs(difference)

    def vjp(g: Array, needs: Needs) -> Grads:
        return _to_both(np.sign(values(difference)) * (g / _share(losses, reduction)), needs)

    return reduce_losses(losses, reduction), vjp


def l1(prediction: TensorLike, target: TensorLike, *, reduction: str = "mean") -> Tensor:
    """Mean absolute error, mean(abs(prediction - target)) over all elements.

    Its slope where they are equal is taken as 0. Parameters and errors are those of `mse`.

    Examples
    --------
    >>> l1(Tensor([1.0, 2.0]), [1.0, 5.0])
    Tensor(1.5)
    """
    return _compare("l1", _l1, prediction, target, reduction=reduction)


def _huber(prediction: Array, target: Array, *, reduction: str, delta: float) -> Forward:
    difference = prediction - target
    bounded = difference.clip(-delta, delta)  # the slope, too
    losses = bounded * (difference - 0.5 * bounded)

    def vjp(g: Array, needs: Needs) -> Grads:
        return _to_both(bounded * (g / _share(losses, reduction)), needs)

    return reduce_losses(losses, reduction), vjp


def huber(
    prediction: TensorLike, target: TensorLike, *, reduction: str = "mean", delta: float = 1.0
) -> Tensor:
    """Mean of Huber's loss: a parabola for small errors and straight lines for large ones.

    With d = prediction - target it is d**2 / 2 where abs(d) <= delta, else
    delta * (abs(d) - delta / 2).

    Parameters
    ----------
    prediction, target : Tensors of equal shape
    reduction : {"mean", "sum", "none"}
    delta : float
        Where the parabola ends; above 0.

    Raises
    ------
    ShapeError
        If the shapes differ.
    ValueError
        If delta is not above 0, or the mean is taken over no elements.

    Examples
    --------
    >>> huber(Tensor([1.0, 2.0]), [1.0, 5.0])
    Tensor(1.25)
    """
    if not delta > 0:
        raise ValueError(f"huber: expected delta above 0, got {delta}")
    return _compare("huber", _huber, prediction, target, reduction=reduction, delta=float(delta))
