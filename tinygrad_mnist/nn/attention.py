"""MultiheadAttention: several attentions side by side, with PyTorch's names and shapes."""

import math
from typing import Any

import numpy as np

from ..arrays import Array, Rng, refuse_mask
from ..errors import ShapeError, check_size
from ..ops.arithmetic import where
from ..ops.attention import scaled_dot_product_attention
from ..ops.linear import linear
from ..ops.norm import dropout, softmax
from ..tensor import Tensor, TensorLike, unwrap
from . import init
from .dense import Linear
from .module import Module
from .parameters import check_probability, make_parameter

__all__ = ["MultiheadAttention"]


class MultiheadAttention(Module):
    """Attention with several heads, each of which looks at its own projection of the inputs.

    Head i computes softmax(Q_i K_i.T / sqrt(E / heads)) V_i, where Q_i, K_i and V_i are blocks of
    linear maps of query, key and value. A last linear map joins the heads. The parameters are
    PyTorch's: `in_proj_weight` (3E, E), `in_proj_bias`, `out_proj.weight` and `out_proj.bias`.

    Parameters
    ----------
    embed_dim : int
        The size E of an input and an output.
    num_heads : int
        The number of heads, which must divide `embed_dim`.
    dropout : float in [0, 1)
        Probability of dropping an attention weight in training.
    bias : bool
    batch_first : bool
        Whether inputs are (N, L, E) rather than (L, N, E).
    rng : numpy Generator or seed

    References
    ----------
    Vaswani et al. (2017), Attention is all you need.

    Examples
    --------
    >>> attention = MultiheadAttention(8, 2, batch_first=True, rng=0)
    >>> x = Tensor(np.ones((3, 5, 8), np.float32))
    >>> attention(x, x, x, causal=True).shape
    (3, 5, 8)
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        batch_first: bool = False,
        *,
        rng: Rng = None,
    ) -> None:
        self.embed_dim = check_size("MultiheadAttention", "embed_dim", embed_dim)
        self.num_heads = check_size("MultiheadAttention", "num_heads", num_heads)
        if embed_dim % num_heads:
            raise ValueError(
                f"MultiheadAttention: expected num_heads to divide embed_dim, got {num_heads} "
                f"and {embed_dim}"
            )
        self.dropout = check_probability("MultiheadAttention", "dropout", dropout)
        self.batch_first = batch_first
        self.rng = np.random.default_rng(rng)
        self.in_proj_weight = make_parameter(
            init.xavier_uniform((3 * embed_dim, embed_dim), self.rng)
        )
        self.in_proj_bias = make_parameter(np.zeros(3 * embed_dim)) if bias else None
        self.out_proj = Linear(embed_dim, embed_dim, bias, rng=self.rng)
        if self.out_proj.bias is not None:
            self.out_proj.bias.data[...] = 0

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        *,
        mask: TensorLike | None = None,
        causal: bool = False,
        **refused: Any,
    ) -> Tensor:
        """Return the outputs, of the shape of `query`.

        Parameters
        ----------
        query : Tensor of shape (L, N, E), (N, L, E) with `batch_first`, or (L, E)
        key, value : Tensors of shape (S, N, E), (N, S, E) or (S, E)
        mask : array_like of bools, optional
            True where a query may look: of shape (L, S), (N, L, S) or (N, heads, L, S).
        causal : bool
            Whether query i may look at the keys 0 to i only.

        Raises
        ------
        ShapeError
            If the inputs have other shapes.
        TypeError
            If PyTorch's `attn_mask` or `key_padding_mask` is given.
        """
        if refused:
            raise TypeError(_refusal(refused))
        single = query.ndim == 2
        if single:
            query, key, value = (x.reshape(1, *x.shape) for x in (query, key, value))
        elif not self.batch_first:
            query, key, value = (x.swapaxes(0, 1) for x in (query, key, value))
        self._check_shapes(query, key, value)
        q, k, v = (self._project(x, block) for block, x in enumerate((query, key, value)))
        heads = self._attend(q, k, v, self._as_allowed(mask, q, k, causal))
        count, _, length, _ = heads.shape
        joined = heads.swapaxes(1, 2).reshape(count, length, self.embed_dim)
        y = self.out_proj(joined)
        if single:
            return y.reshape(length, self.embed_dim)
        return y if self.batch_first else y.swapaxes(0, 1)

    def _check_shapes(self, query: Tensor, key: Tensor, value: Tensor) -> None:
        shapes = [x.shape for x in (query, key, value)]
        fits = all(len(s) == 3 and s[-1] == self.embed_dim for s in shapes)
        if not fits or key.shape != value.shape or query.shape[0] != key.shape[0]:
            raise ShapeError(
                f"MultiheadAttention: expected query (N, L, {self.embed_dim}), and key and value "
                f"(N, S, {self.embed_dim}), got {', '.join(map(str, shapes))}"
            )

    def _project(self, x: Tensor, block: int) -> Tensor:
        """Return the heads (N, heads, L, E / heads) of one of the three input projections."""
        rows = slice(block * self.embed_dim, (block + 1) * self.embed_dim)
        bias = None if self.in_proj_bias is None else self.in_proj_bias[rows]
        y = linear(x, self.in_proj_weight[rows], bias)
        count, length, size = y.shape
        return y.reshape(count, length, self.num_heads, size // self.num_heads).swapaxes(1, 2)

    def _as_allowed(
        self, mask: TensorLike | None, q: Tensor, k: Tensor, causal: bool
    ) -> Array | None:
        """Return where queries may look, of a shape that broadcasts to (N, heads, L, S)."""
        scores = (q.shape[0], self.num_heads, q.shape[2], k.shape[2])
        allowed = np.tri(scores[2], scores[3], dtype=bool) if causal else None
        if mask is None:
            return allowed
        given: Array = np.asanyarray(refuse_mask(unwrap(mask)))
        if given.dtype.kind != "b":
            raise TypeError(
                "MultiheadAttention: expected a mask of bools, true where a query may look, got "
                f"{given.dtype}"
            )
        if given.ndim == 3:
            given = given[:, np.newaxis]
        fitting = (scores, scores[2:], (scores[0], 1, *scores[2:]))
        if given.shape not in fitting:
            raise ShapeError(
                f"MultiheadAttention: expected a mask of shape {scores[2:]}, "
                f"{(scores[0], *scores[2:])} or {scores}, got {np.shape(mask)}"
            )
        return given if allowed is None else given & allowed

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, allowed: Array | None) -> Tensor:
        if not (self.dropout and self.training):
            return scaled_dot_product_attention(q, k, v, mask=allowed)
        scores = q @ k.swapaxes(-1, -2) / math.sqrt(q.shape[-1])
        if allowed is not None:
            scores = where(allowed, scores, np.finfo(scores.dtype).min)
        weights = softmax(scores)
        if allowed is not None:  # a query that may look nowhere gets zeros
            weights = where(allowed, weights, 0.0)
        return dropout(weights, self.dropout, rng=self.rng) @ v


def _refusal(names: dict[str, Any]) -> str:
    opposite = [name for name in names if name in ("attn_mask", "key_padding_mask")]
    if opposite:
        return (
            f"MultiheadAttention: {opposite[0]} is refused, because in PyTorch it is true where a "
            "query may NOT look; pass mask=, which is true where a query may look (the opposite: "
            f"mask=~{opposite[0]})"
        )
    return f"MultiheadAttention: unexpected arguments {', '.join(names)}"
