"""Losses that compare numbers, and the checks that all losses share."""

import numpy as np

from ..arrays import Array, floating
from ..errors import ShapeError
from ..graph import Forward, Grads, Needs
from ..tensor import Tensor, TensorLike, apply, from_numpy

__all__ = ["mse"]


def as_floats(x: TensorLike) -> Tensor:
    tensor = x if isinstance(x, Tensor) else Tensor(x)
    return tensor if tensor.dtype.kind in "fc" else from_numpy(floating(tensor.data))


def check_reduction(op: str, reduction: str, examples: int) -> None:
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f'{op}: expected reduction "mean", "sum" or "none", got {reduction!r}')
    if reduction == "mean" and not examples:
        raise ValueError(
            f"{op}: the mean over an empty batch is undefined; expected at least one example"
        )


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
    x = as_floats(prediction)
    t = target if isinstance(target, Tensor) else Tensor(target, dtype=x.dtype)
    if x.shape != t.shape:
        raise ShapeError(
            f"mse: expected a target of the prediction's shape {x.shape}, got {t.shape}"
        )
    check_reduction("mse", reduction, x.size)
    if x.dtype == np.float16:  # it has too few digits for the sum of many squares
        return mse(x.astype(np.float32), t, reduction=reduction).astype(np.float16)
    return apply(_mse, x, t, reduction=reduction)
