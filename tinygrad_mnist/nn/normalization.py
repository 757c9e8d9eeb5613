"""Normalising layers: batch and layer normalisation, and Dropout."""

from collections.abc import Sequence

import numpy as np

from ..arrays import Rng
from ..errors import ShapeError, check_size
from ..ops.norm import batch_norm, dropout, layer_norm
from ..tensor import Tensor
from .module import Module
from .parameters import check_number, check_probability, make_parameter

__all__ = ["BatchNorm1d", "BatchNorm2d", "Dropout", "LayerNorm"]


class _BatchNorm(Module):
    ndims: tuple[int, ...] = ()  # how many axes an input may have

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float = 0.1) -> None:
        self.num_features = check_size(type(self).__name__, "num_features", num_features)
        self.weight = make_parameter(np.ones(num_features))
        self.bias = make_parameter(np.zeros(num_features))
        self.running_mean = np.zeros(num_features, np.float32)
        self.running_var = np.ones(num_features, np.float32)
        # Nothing here reads this number, but PyTorch's files contain it.
        self.num_batches_tracked = np.zeros((), np.int64)
        self.eps, self.momentum = eps, momentum

    def forward(self, x: Tensor) -> Tensor:
        kind, training = type(self).__name__, self.training
        if x.ndim not in self.ndims:
            raise ShapeError(f"{kind}: expected an input of {self.ndims} axes, got shape {x.shape}")
        y = batch_norm(
            x,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            training,
            self.momentum,
            self.eps,
        )
        if training:  # an evaluation must write nothing, because another thread may be training
            self.num_batches_tracked += 1
        return y


class BatchNorm1d(_BatchNorm):
    """Batch normalisation of (N, C) or (N, C, L).

    Each channel gets mean 0 and variance 1 over the batch, and is then scaled and shifted.

    Parameters
    ----------
    num_features : int
        The number of channels C.
    eps : float
        Added to the variance.
    momentum : float
        The weight of each training batch in the running statistics, which evaluation uses.
    """

    ndims = (2, 3)


class BatchNorm2d(_BatchNorm):
    """Batch normalisation of images (N, C, H, W); see `BatchNorm1d`."""

    ndims = (4,)


class LayerNorm(Module):
    """Normalisation over the last axes, of shape `normalized_shape`.

    Each element is then scaled and shifted by a weight and a bias of that shape.
    """

    def __init__(self, normalized_shape: int | Sequence[int], eps: float = 1e-5) -> None:
        sizes = (
            normalized_shape
            if isinstance(normalized_shape, (Sequence, np.ndarray))
            else (normalized_shape,)
        )
        self.normalized_shape = tuple(
            check_size("LayerNorm", "normalized_shape", size) for size in sizes
        )
        self.eps = check_number("LayerNorm", "eps", eps)
        self.weight = make_parameter(np.ones(self.normalized_shape))
        self.bias = make_parameter(np.zeros(self.normalized_shape))

    def forward(self, x: Tensor) -> Tensor:
        return layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)


class Dropout(Module):
    """In training, zero each element with probability p and scale the rest by 1 / (1 - p).

    In evaluation it changes nothing.

    Parameters
    ----------
    p : float in [0, 1)
    rng : numpy Generator or seed
    """

    def __init__(self, p: float = 0.5, *, rng: Rng = None) -> None:
        self.p = check_probability("Dropout", "p", p)
        self.rng = np.random.default_rng(rng)

    def forward(self, x: Tensor) -> Tensor:
        return dropout(x, self.p, self.training, rng=self.rng)
