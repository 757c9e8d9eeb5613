"""Dense layers: Linear, and Embedding, which is a table of rows."""

import numpy as np

from ..arrays import Rng
from ..errors import check_size
from ..ops.arithmetic import where
from ..ops.index import take
from ..ops.linear import linear
from ..tensor import Tensor, TensorLike, unwrap
from .module import Module
from .parameters import Initializer, check_switch, make_affine, make_parameter

__all__ = ["Embedding", "Linear"]


class Linear(Module):
    """Dense layer x @ weight.T + bias, for x of shape (..., in_features).

    Parameters
    ----------
    in_features, out_features : int
    bias : bool
    rng : numpy Generator or seed
        The source of the initial weights. Layers that share a Generator get different weights, but
        layers that are given the same seed get the same weights.
    weight_init : function of (shape, rng), optional
        A function of `nn.init`; the bias is then zero. By default, weight and bias are uniform in
        +-1/sqrt(in_features), as in PyTorch.

    Examples
    --------
    >>> Linear(784, 10, rng=0)
    Linear(in_features=784, out_features=10)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        rng: Rng = None,
        weight_init: Initializer | None = None,
    ) -> None:
        self.in_features = check_size("Linear", "in_features", in_features)
        self.out_features = check_size("Linear", "out_features", out_features)
        bias = check_switch("Linear", "bias", bias)
        self.weight, self.bias = make_affine((out_features, in_features), bias, rng, weight_init)

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight, self.bias)


class Embedding(Module):
    """A table with `num_embeddings` rows, which maps indices (...) to rows (..., D).

    Parameters
    ----------
    num_embeddings : int
        How many rows there are; the indices lie in [0, num_embeddings).
    embedding_dim : int
        The size D of a row.
    padding_idx : int, optional
        The index of a row of zeros for padding. This row is not trained.
    rng : numpy Generator or seed
        The source of the initial rows, which are standard normal as in PyTorch.

    Examples
    --------
    >>> Embedding(5, 3, rng=0)([[0, 4], [1, 1]]).shape
    (2, 2, 3)
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        *,
        rng: Rng = None,
    ) -> None:
        self.num_embeddings = check_size("Embedding", "num_embeddings", num_embeddings)
        self.embedding_dim = check_size("Embedding", "embedding_dim", embedding_dim)
        table = np.random.default_rng(rng).standard_normal((num_embeddings, embedding_dim))
        self.padding_idx = padding_idx
        if padding_idx is not None:
            padding_idx = check_size("Embedding", "padding_idx", padding_idx, least=-num_embeddings)
            if not -num_embeddings <= padding_idx < num_embeddings:
                raise ValueError(
                    f"Embedding: expected padding_idx below {num_embeddings}, got {padding_idx}"
                )
            self.padding_idx = padding_idx % num_embeddings
            table[padding_idx] = 0
        self.weight = make_parameter(table)

    def forward(self, indices: TensorLike) -> Tensor:
        rows = take(self.weight, indices, axis=0)
        if self.padding_idx is None:
            return rows
        is_real = np.expand_dims(np.asanyarray(unwrap(indices)) != self.padding_idx, -1)
        return where(is_real, rows, rows.detach())
