"""The layers: each holds parameters under PyTorch's names and shapes, and calls one operation."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias, overload

import numpy as np

from .. import ops
from ..arrays import Array, Rng
from ..errors import ShapeError, at_least
from ..ops.conv import Pair, pool_window, window
from ..tensor import Tensor, from_numpy
from . import init
from .module import Module

__all__ = [
    "GELU", "AvgPool2d", "BatchNorm1d", "BatchNorm2d", "Conv2d", "Dropout", "Flatten", "LayerNorm",
    "LeakyReLU", "Linear", "MaxPool2d", "ReLU", "Sequential", "Sigmoid", "Tanh",
]  # fmt: skip

Initializer: TypeAlias = Callable[[Sequence[int], Rng], Array]


def _affine(
    shape: tuple[int, ...], bias: bool, rng: Rng, weight_init: Initializer | None
) -> tuple[Tensor, Tensor | None]:
    """Make a weight and a bias, or None for it.

    By default both are uniform in +-1/sqrt(fan in), as in PyTorch; else the bias is zeros.
    """
    rng = np.random.default_rng(rng)
    if weight_init is not None:
        weight = _parameter(weight_init(shape, rng))
        return weight, _parameter(np.zeros(shape[0])) if bias else None
    bound = 1 / math.sqrt(init.fans(shape)[0])
    weight = _parameter(rng.uniform(-bound, bound, shape))
    return weight, _parameter(rng.uniform(-bound, bound, shape[0])) if bias else None


def _number(layer: str, name: str, value: Any) -> Any:
    """Return a setting that is a number; TypeError for anything else, such as an input."""
    if isinstance(value, (int, float, np.number)):
        return value
    raise TypeError(
        f"{layer}: expected {name} to be a number, got {type(value).__name__}; "
        f"to call a layer, make it first, as {layer}()(x)"
    )


def _parameter(a: Array) -> Tensor:
    return from_numpy(np.ascontiguousarray(a, np.float32), requires_grad=True)


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
        self.in_features, self.out_features = at_least(
            1, "Linear", in_features=in_features, out_features=out_features
        )
        self.weight, self.bias = _affine((out_features, in_features), bias, rng, weight_init)

    def forward(self, x: Tensor) -> Tensor:
        return ops.linear.linear(x, self.weight, self.bias)


class Conv2d(Module):
    """Convolution of images (N, in_channels, H, W) with kernels.

    Its weight has the shape (out_channels, in_channels, KH, KW).

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size, stride, padding : int or (int, int)
        Rows and columns.
    bias : bool
    rng : numpy Generator or seed
    weight_init : function of (shape, rng), optional
        As in `Linear`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        stride: Pair = 1,
        padding: Pair = 0,
        bias: bool = True,
        *,
        rng: Rng = None,
        weight_init: Initializer | None = None,
    ) -> None:
        self.in_channels, self.out_channels = at_least(
            1, "Conv2d", in_channels=in_channels, out_channels=out_channels
        )
        self.kernel_size, self.stride, self.padding = window("Conv2d", kernel_size, stride, padding)
        self.weight, self.bias = _affine(
            (out_channels, in_channels, *self.kernel_size), bias, rng, weight_init
        )

    def forward(self, x: Tensor) -> Tensor:
        return ops.conv.conv2d(x, self.weight, self.bias, stride=self.stride, padding=self.padding)


class _BatchNorm(Module):
    ndims: tuple[int, ...] = ()  # how many axes an input may have

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float = 0.1) -> None:
        [self.num_features] = at_least(1, type(self).__name__, num_features=num_features)
        self.weight, self.bias = (
            _parameter(np.ones(num_features)),
            _parameter(np.zeros(num_features)),
        )
        self.running_mean = np.zeros(num_features, np.float32)
        self.running_var = np.ones(num_features, np.float32)
        # PyTorch's files hold it, though nothing here reads it.
        self.num_batches_tracked = np.zeros((), np.int64)
        self.eps, self.momentum = eps, momentum

    def forward(self, x: Tensor) -> Tensor:
        kind, training = type(self).__name__, self.training
        if x.ndim not in self.ndims:
            raise ShapeError(f"{kind}: expected an input of {self.ndims} axes, got shape {x.shape}")
        y = ops.norm.batch_norm(
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
        The share of each training batch in the running statistics that evaluation uses.
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
            at_least(1, "LayerNorm", normalized_shape=size)[0] for size in sizes
        )
        self.eps = eps
        self.weight, self.bias = (
            _parameter(np.ones(self.normalized_shape)),
            _parameter(np.zeros(self.normalized_shape)),
        )

    def forward(self, x: Tensor) -> Tensor:
        return ops.norm.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)


class Dropout(Module):
    """In training, zero each element with probability p and scale the rest by 1 / (1 - p).

    In evaluation it changes nothing.

    Parameters
    ----------
    p : float in [0, 1)
    rng : numpy Generator or seed
    """

    def __init__(self, p: float = 0.5, *, rng: Rng = None) -> None:
        if not 0 <= _number("Dropout", "p", p) < 1:
            raise ValueError(f"Dropout: expected a probability p in [0, 1), got {p}")
        self.p, self.rng = p, np.random.default_rng(rng)

    def forward(self, x: Tensor) -> Tensor:
        return ops.norm.dropout(x, self.p, self.training, rng=self.rng)


class _Pool2d(Module):
    def __init__(self, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0) -> None:
        self.kernel_size, self.stride, self.padding = pool_window(
            type(self).__name__, kernel_size, stride, padding
        )


class MaxPool2d(_Pool2d):
    """The largest value of each window of images (N, C, H, W).

    The stride is the window's size by default.
    """

    def forward(self, x: Tensor) -> Tensor:
        return ops.conv.max_pool2d(x, self.kernel_size, self.stride, self.padding)


class AvgPool2d(_Pool2d):
    """The mean of each window of images (N, C, H, W), padding counted.

    The stride is the window's size by default.
    """

    def forward(self, x: Tensor) -> Tensor:
        return ops.conv.avg_pool2d(x, self.kernel_size, self.stride, self.padding)


class Flatten(Module):
    """All axes but the first made one: (N, ...) to (N, D)."""

    def forward(self, x: Tensor) -> Tensor:
        return ops.shape.reshape(x, (x.shape[0], math.prod(x.shape[1:])))


class ReLU(Module):
    """The rectifier max(x, 0)."""

    def forward(self, x: Tensor) -> Tensor:
        return ops.elementwise.relu(x)


class LeakyReLU(Module):
    """The leaky rectifier: x where x > 0, else negative_slope * x."""

    def __init__(self, negative_slope: float = 0.01) -> None:
        self.negative_slope = _number("LeakyReLU", "negative_slope", negative_slope)

    def forward(self, x: Tensor) -> Tensor:
        return ops.elementwise.leaky_relu(x, self.negative_slope)


class Sigmoid(Module):
    """The logistic function 1 / (1 + e**-x)."""

    def forward(self, x: Tensor) -> Tensor:
        return ops.elementwise.sigmoid(x)


class Tanh(Module):
    """The hyperbolic tangent."""

    def forward(self, x: Tensor) -> Tensor:
        return ops.elementwise.tanh(x)


class GELU(Module):
    """The Gaussian error linear unit x * Phi(x)."""

    def forward(self, x: Tensor) -> Tensor:
        return ops.elementwise.gelu(x)


class Sequential(Module):
    """Layers one after the other; parameters are named by position, as `0.weight`.

    Parameters
    ----------
    *layers : Module or function of one Tensor

    Examples
    --------
    >>> model = Sequential(Linear(4, 3, rng=0), ReLU(), Linear(3, 2, rng=1))
    >>> model(Tensor([[1.0, 2.0, 3.0, 4.0]])).shape
    (1, 2)
    >>> model[:2]
    Sequential(
      (0): Linear(in_features=4, out_features=3)
      (1): ReLU()
    )
    """

    def __init__(self, *layers: Module | Callable[[Tensor], Tensor]) -> None:
        for i, layer in enumerate(layers):
            _check_layer(i, layer)
            setattr(self, str(i), layer)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self:
            x = layer(x)
        return x

    def __iter__(self) -> Iterator[Any]:
        attributes = list(vars(self).items())  # at once: another thread may call train() meanwhile
        return (layer for name, layer in attributes if name.isdigit())

    def __len__(self) -> int:
        return sum(1 for _ in self)

    @overload
    def __getitem__(self, index: int) -> Any: ...

    @overload
    def __getitem__(self, index: slice) -> "Sequential": ...

    def __getitem__(self, index: int | slice) -> Any:
        """Return the layer at a position; of a slice, a Sequential of the same layers."""
        found = list(self)[index]
        if not isinstance(index, slice):
            return found
        part = Sequential(*found)
        part._training = self._training
        return part


def _check_layer(position: int, layer: Any) -> None:
    kind = type(layer).__name__
    if isinstance(layer, type) and issubclass(layer, Module):
        raise TypeError(
            f"Sequential: expected a layer at position {position}, got the class {layer.__name__}; "
            f"write {layer.__name__}() with parentheses"
        )
    if isinstance(layer, (list, tuple)):
        raise TypeError(
            f"Sequential: expected modules or functions, got a {kind} at position {position}; "
            "write Sequential(*layers)"
        )
    if not callable(layer):
        raise TypeError(
            f"Sequential: expected modules or functions, got {kind} at position {position}"
        )
