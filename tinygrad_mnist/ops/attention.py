"""Attention: each query reads a weighted mean of the values whose keys it matches."""

import math

import numpy as np

from ..arrays import (
    Array,
    constants,
    dot_over,
    floating,
    max_along,
    refuse_mask,
    sum_over,
    unbroadcast,
    values,
)
from ..errors import ShapeError
from ..graph import Forward, Grads, Needs
from ..tensor import Tensor, TensorLike, unwrap
from .dtype import apply_wide

__all__ = ["scaled_dot_product_attention"]


def _scaled_dot_product_attention(
    q: Array, k: Array, v: Array, bias: Array | None = None, *, allowed: Array | None
) -> Forward:
    q, k, v = floating(q), floating(k), floating(v)
    scale = 1 / math.sqrt(max(q.shape[-1], 1))
    scores = q @ k.swapaxes(-1, -2)
    scores *= scale
    if bias is not None:
        scores = scores + bias
    if allowed is not None:
        scores = np.where(allowed, scores, -np.inf)
    p = _softmax_or_zeros(scores)

    def vjp(g: Array, needs: Needs) -> Grads:
        gq = gk = gv = gb = None
        if needs[2]:
            gv = unbroadcast(p.swapaxes(-1, -2) @ g, v.shape)
        if needs[0] or needs[1] or (bias is not None and needs[3]):
            gp = g @ v.swapaxes(-1, -2)
            gp -= dot_over(gp, p, (-1,))
            gp *= p  # now the gradient of the scores
            if bias is not None and needs[3]:
                gb = unbroadcast(gp.copy(), bias.shape)
            gp *= scale
            if needs[0]:
                gq = unbroadcast(gp @ k, q.shape)
            if needs[1]:
                gk = unbroadcast(gp.swapaxes(-1, -2) @ q, k.shape)
        return (gq, gk, gv, gb)[: len(needs)]

    return p @ v, vjp


def _softmax_or_zeros(scores: Array) -> Array:
    """Return the softmax over the last axis; zeros where every score is minus infinity."""
    top = max_along(values(scores), -1)
    e = np.exp(scores - np.where(np.isfinite(top), top, 0))
    total = sum_over(e, (-1,))
    e /= np.where(values(total) == 0, 1, total)
    return e


def scaled_dot_product_attention(
    q: TensorLike,
    k: TensorLike,
    v: TensorLike,
    *,
    mask: TensorLike | None = None,
    causal: bool = False,
) -> Tensor:
    """Attention softmax(q @ k.T / sqrt(E)) @ v of queries q to keys k with values v.

    It is PyTorch's function of this name. A query that may look nowhere gets zeros.

    Parameters
    ----------
    q : Tensor of shape (..., L, E)
    k : Tensor of shape (..., S, E)
    v : Tensor of shape (..., S, D)
        The axes in front (batch and heads) broadcast.
    mask : array_like of bools or floats that broadcasts to (..., L, S), optional
        Bools are true where a query may look. Floats are added to the scores before the softmax,
        and may require grad.
    causal : bool
        Whether query i may look at the keys 0 to i only. It counts from the first query and the
        first key, also where L and S differ. With a mask, both must allow it.

    Returns
    -------
    Tensor of shape (..., L, D)

    Raises
    ------
    ShapeError
        If the shapes are not these.
    TypeError
        If the mask is of integers.

    References
    ----------
    Vaswani et al. (2017), Attention is all you need.

    Examples
    --------
    >>> q = k = Tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> v = Tensor([[1.0], [3.0]])
    >>> scaled_dot_product_attention(q, k, v, causal=True).round(4)
    Tensor([[1.    ],
            [2.3395]])
    """
    shape = _check_shapes(np.shape(q), np.shape(k), np.shape(v))
    inputs, allowed = [q, k, v], None
    if mask is not None:
        array = np.asanyarray(refuse_mask(unwrap(mask)))
        _check_mask(array, shape)
        if array.dtype.kind == "b":
            allowed = array
        else:
            inputs.append(mask if isinstance(mask, Tensor) else _in_dtype_of(inputs, array))
    if causal:
        earlier = np.tri(shape[-2], shape[-1], dtype=np.bool_)
        allowed = earlier if allowed is None else allowed & earlier
    return apply_wide(_scaled_dot_product_attention, *inputs, allowed=allowed)


def _check_shapes(q: tuple[int, ...], k: tuple[int, ...], v: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of the scores."""
    wrong = ShapeError(
        "scaled_dot_product_attention: expected q (..., L, E), k (..., S, E) and v (..., S, D) "
        f"with axes in front that broadcast, got {q}, {k} and {v}"
    )
    if min(len(q), len(k), len(v)) < 2 or q[-1] != k[-1] or k[-2] != v[-2]:
        raise wrong
    try:
        front = np.broadcast_shapes(q[:-2], k[:-2], v[:-2])
    except ValueError:
        raise wrong from None
    return (*front, q[-2], k[-2])


def _in_dtype_of(inputs: list[TensorLike], mask: Array) -> Array:
    """Return a mask of numbers in the dtype of the inputs: NumPy makes it of float64."""
    dtype = np.result_type(*constants([unwrap(x) for x in inputs]))
    with np.errstate(over="ignore"):  # -1e9 is minus infinity in float16, and means the same
        return mask.astype(dtype) if dtype.kind == "f" else mask


def _check_mask(mask: Array, scores: tuple[int, ...]) -> None:
    if mask.dtype.kind not in "bf":
        raise TypeError(
            "scaled_dot_product_attention: expected a mask of bools, true where a query may look, "
            f"or of floats that are added to the scores, got {mask.dtype}; convert with "
            ".astype(bool)"
        )
    try:
        fits = np.broadcast_shapes(mask.shape, scores) == scores
    except ValueError:
        fits = False
    if not fits:
        raise ShapeError(
            "scaled_dot_product_attention: expected a mask that broadcasts to the shape "
            f"{scores} of the scores, got {mask.shape}"
        )
