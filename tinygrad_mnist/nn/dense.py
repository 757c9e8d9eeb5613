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
        Where the initial weights come from; layers that share a Generator differ, layers given one
        seed do not.
    weight_init : function of (shape, rng), optional
        One of `nn.init`, with a bias of zeros; by default both are uniform in
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
    """A table with a row for each of `num_embeddings` things: indices (...) to rows (..., D).

    Parameters
    ----------
    num_embeddings : int
        How many rows there are; the indices lie in [0, num_embeddings).
    embedding_dim : int
        The size D of a row.
    padding_idx : int, optional
        A row of zeros that stands for nothing. It is not trained.
    rng : numpy Generator or seed
        Where the initial rows come from: the standard normal distribution, as in PyTorch.

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
