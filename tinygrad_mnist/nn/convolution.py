"""Layers for images and sequences: convolutions, pooling, Flatten."""

import math

from ..arrays import Rng
from ..errors import check_size
from ..ops.conv import Pair, as_pair, avg_pool2d, conv1d, conv2d, max_pool2d, pool_window
from ..ops.shape import reshape
from ..tensor import Tensor
from .module import Module
from .parameters import Initializer, make_affine

__all__ = ["AvgPool2d", "Conv1d", "Conv2d", "Flatten", "MaxPool2d"]


class Conv1d(Module):
    """Convolution of sequences (N, in_channels, L) with kernels.

    The weight has the shape (out_channels, in_channels / groups, K).

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size, stride, padding, dilation : int
        `dilation` is the distance between the elements that a kernel is multiplied with.
    groups : int
        The number of groups. Each group of output channels sees only its own group of input
        channels.
    bias : bool
    rng : numpy Generator or seed
    weight_init : function of (shape, rng), optional
        As in `Linear`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        padding: int = 0,
        dilation: int = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        rng: Rng = None,
        weight_init: Initializer | None = None,
    ) -> None:
        self.in_channels, self.out_channels, self.groups = _check_channels(
            "Conv1d", in_channels, out_channels, groups
        )
        self.kernel_size = check_size("Conv1d", "kernel_size", kernel_size)
        self.stride = check_size("Conv1d", "stride", stride)
        self.padding = check_size("Conv1d", "padding", padding, least=0)
        self.dilation = check_size("Conv1d", "dilation", dilation)
        shape = (out_channels, in_channels // groups, kernel_size)
        self.weight, self.bias = make_affine(shape, bias, rng, weight_init)

    def forward(self, x: Tensor) -> Tensor:
        return conv1d(
            x,
            self.weight,
            self.bias,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            groups=self.groups,
        )

    def extra_repr(self) -> str:
        """Return the settings; dilation and groups are left out if they have their defaults."""
        return _describe(self)


class Conv2d(Module):
    """Convolution of images (N, in_channels, H, W) with kernels.

    The weight has the shape (out_channels, in_channels / groups, KH, KW).

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size, stride, padding, dilation : int or (int, int)
        One number, or one for rows and one for columns. `dilation` is the distance between the
        pixels that a kernel is multiplied with.
    groups : int
        The number of groups. Each group of output channels sees only its own group of input
        channels.
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
        dilation: Pair = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        rng: Rng = None,
        weight_init: Initializer | None = None,
    ) -> None:
        self.in_channels, self.out_channels, self.groups = _check_channels(
            "Conv2d", in_channels, out_channels, groups
        )
        self.kernel_size = as_pair("Conv2d", "kernel_size", kernel_size, 1)
        self.stride = as_pair("Conv2d", "stride", stride, 1)
        self.padding = as_pair("Conv2d", "padding", padding, 0)
        self.dilation = as_pair("Conv2d", "dilation", dilation, 1)
        shape = (out_channels, in_channels // groups, *self.kernel_size)
        self.weight, self.bias = make_affine(shape, bias, rng, weight_init)

    def forward(self, x: Tensor) -> Tensor:
        return conv2d(
            x,
            self.weight,
            self.bias,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            groups=self.groups,
        )

    def extra_repr(self) -> str:
        """Return the settings; dilation and groups are left out if they have their defaults."""
        return _describe(self)


def _describe(layer: Conv1d | Conv2d) -> str:
    names = ["in_channels", "out_channels", "kernel_size", "stride", "padding"]
    if layer.dilation not in (1, (1, 1)):
        names.append("dilation")
    if layer.groups != 1:
        names.append("groups")
    return ", ".join(f"{name}={vars(layer)[name]}" for name in names)


def _check_channels(
    layer: str, in_channels: int, out_channels: int, groups: int
) -> tuple[int, int, int]:
    inputs = check_size(layer, "in_channels", in_channels)
    outputs = check_size(layer, "out_channels", out_channels)
    count = check_size(layer, "groups", groups)
    if inputs % count or outputs % count:
        raise ValueError(
            f"{layer}: expected groups to divide in_channels and out_channels, got {groups} for "
            f"{in_channels} and {out_channels}"
        )
    return inputs, outputs, count


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
        return max_pool2d(x, self.kernel_size, self.stride, self.padding)


class AvgPool2d(_Pool2d):
    """The mean of each window of images (N, C, H, W); zeros from the padding count, too.

    The stride is the window's size by default.
    """

    def forward(self, x: Tensor) -> Tensor:
        return avg_pool2d(x, self.kernel_size, self.stride, self.padding)


class Flatten(Module):
    """Joins all axes except the first into one: (N, ...) to (N, D)."""

    def forward(self, x: Tensor) -> Tensor:
        return reshape(x, (x.shape[0], math.prod(x.shape[1:])))
