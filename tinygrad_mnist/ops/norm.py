"""Normalisation: softmax and its logarithm, batch and layer normalisation, dropout."""

import math
from collections.abc import Sequence
from typing import Never

import numpy as np

from ..arrays import (
    Array,
    Recorded,
    Rng,
    add_into,
    dot_over,
    floating,
    max_along,
    refuse_mask,
    sum_over,
    unbroadcast,
    values,
)
from ..errors import GraphError, ShapeError
from ..graph import Forward, Grads, Needs
from ..tensor import Tensor, TensorLike, apply, unwrap
from .dtype import apply_wide, as_tensor
from .foreign import refuse

__all__ = ["batch_norm", "dropout", "layer_norm", "log_softmax", "softmax"]


def _softmax(x: Array, *, axis: int) -> Forward:
    x = floating(x)
    y = np.exp(x - max_along(values(x), axis))
    y /= sum_over(y, (axis,))

    def vjp(g: Array, needs: Needs) -> Grads:
        g -= dot_over(g, y, (axis,))
        g *= y
        return (g,)

    return y, vjp


def softmax(x: TensorLike, axis: int = -1, **foreign: Never) -> Tensor:
    """Softmax e**x / sum(e**x) along an axis; no overflow at any finite x.

    Examples
    --------
    >>> softmax(Tensor([0.0, 0.0, 1.0])).round(4)
    Tensor([0.2119, 0.2119, 0.5761])
    """
    refuse("softmax", foreign)
    return apply_wide(_softmax, x, axis=axis)


def _log_softmax(x: Array, *, axis: int) -> Forward:
    x = floating(x)
    y = x - max_along(values(x), axis)
    e = np.exp(y)
    total = sum_over(e, (axis,))
    with np.errstate(divide="ignore"):  # over an empty axis the sum is 0
        y -= np.log(total)

    def vjp(g: Array, needs: Needs) -> Grads:
        g -= e * (sum_over(g, (axis,)) / total)
        return (g,)

    return y, vjp


def log_softmax(x: TensorLike, axis: int = -1, **foreign: Never) -> Tensor:
    """Logarithm of the softmax, x - log(sum(e**x)), along an axis; no overflow at any finite x.

    Examples
    --------
    >>> log_softmax(Tensor([0.0, 0.0, 1.0])).round(4)
    Tensor([-1.5514, -1.5514, -0.5514])
    """
    refuse("log_softmax", foreign)
    return apply_wide(_log_softmax, x, axis=axis)


def _normalize(
    x: Array,
    weight: Array | None = None,
    bias: Array | None = None,
    *,
    axes: tuple[int, ...],
    shape: tuple[int, ...],
    eps: float,
    given: tuple[Array, Array] | None = None,
) -> Forward:
    """Centre and scale x, by its own mean and variance over `axes` or by given ones.

    Then multiply by a weight and add a bias, each reshaped to `shape`.
    """
    mean, var = (None, None) if given is None else given
    centred = x - (_mean(x, axes) if mean is None else mean)
    if var is None:
        var = _mean_of_product(centred, centred, axes)
    scale = 1 / np.sqrt(var + eps)
    unit = centred
    unit *= scale
    y = unit if weight is None else unit * weight.reshape(shape)
    if bias is not None:
        y = add_into(y, bias.reshape(shape))

    def vjp(g: Array, needs: Needs) -> Grads:
        gx = gw = gb = None
        if bias is not None and needs[2]:
            gb = g.copy() if g.shape == shape else unbroadcast(g, shape)  # g is overwritten below
            gb = gb.reshape(bias.shape)
        if weight is not None and needs[1]:
            gw = unbroadcast(g * unit, shape).reshape(weight.shape)
        if needs[0]:
            gx = g
            if weight is not None:
                gx *= weight.reshape(shape)
            if given is None:
                # The statistics depend on x, too: take out the parts of g along 1 and along x.
                along_one, along_x = _mean(gx, axes), _mean_of_product(gx, unit, axes)
                gx -= along_one
                gx -= unit * along_x
            gx *= scale
        return (gx, gw, gb)[: len(needs)]

    return y, vjp


def _mean(x: Array, axes: tuple[int, ...]) -> Array:
    """Return the mean over axes, which stay; of no elements it is 0, without NumPy's warning."""
    return sum_over(x, axes) / _count(x, axes)


def _mean_of_product(x: Array, y: Array, axes: tuple[int, ...]) -> Array:
    """Return the mean of x * y over axes, which stay."""
    return dot_over(x, y, axes) / _count(x, axes)


def _count(x: Array, axes: tuple[int, ...]) -> int:
    return max(math.prod(x.shape[axis] for axis in axes), 1)


def _affine(
    op: str,
    shape: tuple[int, ...],
    weight: TensorLike | None,
    bias: TensorLike | None,
    **statistics: Array | None,
) -> list[TensorLike]:
    """Return the weight and the bias that there are; all of them must have the shape."""
    for name, a in {"weight": weight, "bias": bias, **statistics}.items():
        if a is not None and np.shape(a) != shape:
            raise ShapeError(f"{op}: expected {name} of shape {shape}, got {np.shape(a)}")
    if weight is None and bias is not None:
        raise ValueError(f"{op}: a bias needs a weight beside it")
    return [a for a in (weight, bias) if a is not None]


def batch_norm(
    x: TensorLike,
    running_mean: Array | None,
    running_var: Array | None,
    weight: TensorLike | None = None,
    bias: TensorLike | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalise each channel over the batch: (x - mean) / sqrt(var + eps) * weight + bias.

    Parameters
    ----------
    x : Tensor of shape (N, C) or (N, C, ...)
    running_mean, running_var : ndarrays of shape (C,), or None
        Used in evaluation; in training updated in place, by `momentum`, with the mean and the
        unbiased variance of the batch.
    weight, bias : Tensors of shape (C,), optional
    training : bool
        Whether to normalise by the batch's own statistics.
    momentum : float
        The share of the new batch in the running statistics.
    eps : float
        Added to the variance.

    Raises
    ------
    ShapeError
        If the shapes are not these.
    TypeError
        If running statistics are not ndarrays.
    ValueError
        If a training batch has only one value in each channel, or evaluation has no running
        statistics.

    Examples
    --------
    >>> x = Tensor([[0.0, 1.0], [2.0, 5.0]])
    >>> batch_norm(x, None, None, training=True).round(4)
    Tensor([[-1., -1.],
            [ 1.,  1.]])
    """
    data: Array = np.asanyarray(unwrap(x))
    eps = float(eps)
    if data.ndim < 2:
        raise ShapeError(f"batch_norm: expected x of shape (N, C, ...), got {data.shape}")
    channels = data.shape[1]
    affine = _affine(
        "batch_norm", (channels,), weight, bias, running_mean=running_mean, running_var=running_var
    )
    for a in (running_mean, running_var):
        if not isinstance(refuse_mask(a), (np.ndarray, type(None))):  # they change in place
            raise TypeError(
                f"batch_norm: expected running statistics as ndarrays, got {type(a).__name__}"
            )
    axes, shape = (0, *range(2, data.ndim)), (1, channels, *(1,) * (data.ndim - 2))
    wide = data.astype(np.float32) if data.dtype == np.float16 else data
    if training:
        if data.size < 2 * max(channels, 1):
            raise ValueError(
                "batch_norm: expected more than one value a channel in training, got x of "
                f"shape {data.shape}"
            )
        y = apply_wide(_normalize, x, *affine, axes=axes, shape=shape, eps=eps)
        batch_mean = _mean(wide, axes)
        if running_mean is not None:
            _move(running_mean, batch_mean.reshape(channels), float(momentum))
        if running_var is not None:
            centred = wide - batch_mean
            batch_var = dot_over(centred, centred, axes) / (_count(wide, axes) - 1)
            _move(running_var, batch_var.reshape(channels), float(momentum))
        return y
    if running_mean is None or running_var is None:
        raise ValueError("batch_norm: evaluation needs running_mean and running_var")
    # copies: the statistics move on in place while this graph may still go backward
    mean, var = (a.astype(wide.dtype).reshape(shape) for a in (running_mean, running_var))
    return apply_wide(_normalize, x, *affine, axes=axes, shape=shape, eps=eps, given=(mean, var))


def _move(running: Array, batch: Array, momentum: float) -> None:
    """Move a running statistic towards that of a batch, in place."""
    with np.errstate(over="ignore"):
        running += momentum * (batch - running)
    if running.dtype == np.float16:  # its largest number instead of an infinity that never leaves
        largest = np.finfo(np.float16).max
        np.clip(running, -largest, largest, out=running)


def layer_norm(
    x: TensorLike,
    normalized_shape: int | Sequence[int],
    weight: TensorLike | None = None,
    bias: TensorLike | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Normalise over the last axes: (x - mean) / sqrt(var + eps) * weight + bias (Ba et al. 2016).

    Parameters
    ----------
    x : Tensor whose shape ends in `normalized_shape`
    normalized_shape : int or sequence of ints
    weight, bias : Tensors of shape `normalized_shape`, optional
    eps : float
        Added to the variance.

    Raises
    ------
    ShapeError
        If the shapes are not these.

    Examples
    --------
    >>> layer_norm(Tensor([[1.0, 3.0], [2.0, 8.0]]), 2).round(4)
    Tensor([[-1.,  1.],
            [-1.,  1.]])
    """
    shape = (
        (normalized_shape,)
        if isinstance(normalized_shape, (int, np.integer))
        else tuple(normalized_shape)
    )
    whole = np.shape(x)
    if not shape or whole[-len(shape) :] != shape:
        raise ShapeError(
            f"layer_norm: expected x of shape (..., {', '.join(map(str, shape))}), got {whole}"
        )
    axes = tuple(range(len(whole) - len(shape), len(whole)))
    affine = _affine("layer_norm", shape, weight, bias)
    return apply_wide(_normalize, x, *affine, axes=axes, shape=shape, eps=float(eps))


def _dropout(x: Array, *, mask: Array) -> Forward:
    def vjp(g: Array, needs: Needs) -> Grads:
        g *= mask
        return (g,)

    return x * mask, vjp


def dropout(x: TensorLike, p: float = 0.5, training: bool = True, *, rng: Rng = None) -> Tensor:
    """Zero each element with probability p and scale the others by 1 / (1 - p).

    Outside training it returns x.

    Parameters
    ----------
    x : Tensor
    p : float in [0, 1)
    training : bool
    rng : numpy Generator or seed
        Where the randomness comes from; None takes fresh entropy, which cannot be reproduced.

    Raises
    ------
    ValueError
        If p is outside [0, 1).

    Examples
    --------
    >>> dropout(Tensor([1.0, 2.0, 3.0, 4.0]), 0.5, rng=0)
    Tensor([2., 4., 6., 0.])
    """
    if not 0 <= p < 1:
        raise ValueError(f"dropout: expected a probability p in [0, 1), got {p}")
    x = as_tensor(x)
    if not training or p == 0:
        return x
    dtype = floating(x.data).dtype
    if rng is None and isinstance(x.data, Recorded):
        raise GraphError(
            "dropout: without rng each call draws fresh entropy, and a captured step cannot; "
            "pass a generator"
        )
    keep = np.random.default_rng(rng).random(x.shape, dtype=np.float32) >= p
    return apply(_dropout, x, mask=keep.astype(dtype) / dtype.type(1 - p))
