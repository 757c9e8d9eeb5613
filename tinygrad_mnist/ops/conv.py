"""Convolution and pooling of images in (N, C, H, W), with PyTorch's conventions.

The memory behind a result lies in the order (C, H, W, N), seen through a transpose: a convolution
is then one matrix product for the whole batch, and each element of the kernel meets long unbroken
runs of pixels.
"""

from collections.abc import Iterable
from typing import Any, TypeAlias

import numpy as np

from ..arrays import Array, add_into, floating
from ..errors import ShapeError
from ..pool import empty
from ..tensor import Forward, Grads, Needs, Tensor, TensorLike, apply

__all__ = ["avg_pool2d", "conv2d", "max_pool2d"]

Pair: TypeAlias = int | tuple[int, int]
_INSIDE, _OUTSIDE = (1, 2, 3, 0), (3, 0, 1, 2)  # from (N, C, H, W) to (C, H, W, N), and back


def _pair(op: str, name: str, value: Any, least: int) -> tuple[int, int]:
    pair = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(pair) != 2 or not all(isinstance(v, (int, np.integer)) and v >= least for v in pair):
        raise ValueError(
            f"{op}: expected {name} as an integer of at least {least}, or two (rows, columns), got {value!r}"
        )
    return int(pair[0]), int(pair[1])


def window(op: str, kernel: Pair, stride: Pair, padding: Pair) -> tuple[tuple[int, int], ...]:
    """Return the kernel's size, the stride and the padding as pairs; ValueError where one is no integer, or too small."""
    return (
        _pair(op, "kernel_size", kernel, 1),
        _pair(op, "stride", stride, 1),
        _pair(op, "padding", padding, 0),
    )


def pool_window(
    op: str, kernel: Pair, stride: Pair | None, padding: Pair
) -> tuple[tuple[int, int], ...]:
    """Return the same of a pool, whose stride is the kernel's size by default, and whose padding is at most half of that."""
    size, step, around = window(op, kernel, kernel if stride is None else stride, padding)
    if any(2 * p > k for p, k in zip(around, size, strict=True)):
        raise ValueError(
            f"{op}: expected a padding of at most half the kernel {size}, got {around}"
        )
    return size, step, around


def _full(shape: tuple[int, ...], value: float, dtype: np.dtype[Any]) -> Array:
    out = empty(shape, dtype)
    out.fill(value)
    return out


class _Windows:
    """A kernel that slides over padded images: `views` of what each element of it meets, and the way back, `add_up`."""

    def __init__(
        self,
        op: str,
        x: Array,
        kernel: tuple[int, int],
        stride: tuple[int, int],
        padding: tuple[int, int],
    ) -> None:
        if x.ndim != 4:
            raise ShapeError(f"{op}: expected images of shape (N, C, H, W), got {x.shape}")
        self.kernel, (sh, sw), self.padding = kernel, stride, padding
        n, c, *sides = x.shape
        padded = [side + 2 * p for side, p in zip(sides, self.padding, strict=True)]
        if any(k > side for k, side in zip(self.kernel, padded, strict=True)):
            raise ShapeError(
                f"{op}: a kernel of {self.kernel} does not fit images {x.shape} padded by {self.padding}"
            )
        rows, columns = (
            (side - k) // s + 1 for side, k, s in zip(padded, self.kernel, (sh, sw), strict=True)
        )
        self.shape, self.padded_shape = (c, rows, columns, n), (c, *padded, n)
        self.inside = (
            slice(None),
            *(slice(p, p + side) for p, side in zip(self.padding, sides, strict=True)),
        )
        self.indices = [  # for each element of the kernel, of the pixels that it meets as it slides
            (
                slice(None),
                slice(i, i + sh * (rows - 1) + 1, sh),
                slice(j, j + sw * (columns - 1) + 1, sw),
            )
            for i, j in np.ndindex(self.kernel)
        ]

    def views(self, x: Array, fill: float = 0.0) -> list[Array]:
        """Return the pixels that each element of the kernel meets, in the order (C, H, W, N), of the padded images x."""
        x = x.transpose(_INSIDE)
        if self.padding == (0, 0):
            padded = np.ascontiguousarray(x)
        else:
            padded = _full(self.padded_shape, fill, x.dtype)
            padded[self.inside] = x
        return [padded[index] for index in self.indices]

    def add_up(self, parts: Iterable[Array], dtype: np.dtype[Any]) -> Array:
        """Return the gradient of the images from those of their views."""
        total = _full(self.padded_shape, 0, dtype)
        for index, part in zip(self.indices, parts, strict=True):
            total[index] += part
        images: Array = total[self.inside].transpose(_OUTSIDE)
        return images


def _conv2d(
    x: Array, weight: Array, bias: Array | None = None, *, stride: Pair, padding: Pair
) -> Forward:
    if weight.ndim != 4 or x.ndim != 4 or x.shape[1] != weight.shape[1]:
        raise ShapeError(
            f"conv2d: expected x (N, C, H, W) and weight (O, C, KH, KW), got {x.shape} and {weight.shape}"
        )
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ShapeError(f"conv2d: expected a bias of shape {weight.shape[:1]}, got {bias.shape}")
    windows = _Windows("conv2d", x, *window("conv2d", weight.shape[2:], stride, padding))
    channels, rows, columns, n = windows.shape
    places = rows * columns * n
    kernels = weight.reshape(len(weight), -1)
    patches = empty((channels, len(windows.indices), rows, columns, n), x.dtype)
    for k, view in enumerate(windows.views(x)):
        patches[:, k] = view
    matrix = patches.reshape(kernels.shape[1], places)
    y = np.matmul(
        kernels, matrix, out=empty((len(weight), places), np.result_type(kernels, matrix))
    )
    if bias is not None:
        y = add_into(y, bias[:, np.newaxis])

    def vjp(g: Array, needs: Needs) -> Grads:
        g = g.transpose(_INSIDE).reshape(len(weight), places)
        gx = None
        if needs[0]:
            spread = np.matmul(
                kernels.T, g, out=empty(matrix.shape, np.result_type(kernels, g))
            ).reshape(patches.shape)
            gx = windows.add_up(spread.swapaxes(0, 1), spread.dtype)
        gw = (g @ matrix.T).reshape(weight.shape) if needs[1] else None
        return (gx, gw) if bias is None else (gx, gw, g.sum(axis=1) if needs[2] else None)

    return y.reshape(len(weight), rows, columns, n).transpose(_OUTSIDE), vjp


def conv2d(
    x: TensorLike,
    weight: TensorLike,
    bias: TensorLike | None = None,
    *,
    stride: Pair = 1,
    padding: Pair = 0,
) -> Tensor:
    """Cross-correlation of images with kernels: y[n,o,i,j] = bias[o] + sum over c,k,l of x[n,c,i*s+k,j*s+l] * weight[o,c,k,l].

    Parameters
    ----------
    x : Tensor of shape (N, C, H, W)
    weight : Tensor of shape (O, C, KH, KW)
    bias : Tensor of shape (O,), optional
    stride, padding : int or (rows, columns)
        Pixels between windows, and pixels of zeros around the images.

    Returns
    -------
    Tensor of shape (N, O, (H + 2 * padding - KH) // stride + 1, ...)

    Raises
    ------
    ShapeError
        If the shapes are not these, or the kernel is larger than the padded images.
    ValueError
        If stride or padding is out of range.
    """
    inputs = (x, weight) if bias is None else (x, weight, bias)
    return apply(_conv2d, *inputs, stride=stride, padding=padding)


def _max_pool2d(x: Array, *, kernel: Pair, stride: Pair | None, padding: Pair) -> Forward:
    x = floating(x)
    windows = _Windows("max_pool2d", x, *pool_window("max_pool2d", kernel, stride, padding))
    views = windows.views(x, -np.inf)
    best = _full(windows.shape, -np.inf, x.real.dtype)
    for view in views:
        np.maximum(best, view.real, out=best)
    y: Array = best
    if x.dtype.kind == "c":  # the mean of the ties, as the gradient has it
        ties = [view.real == best for view in views]
        y = sum(
            np.where(tie, view, 0) for tie, view in zip(ties, views, strict=True)
        ) / np.add.reduce(ties)

    def vjp(g: Array, needs: Needs) -> Grads:
        ties = [view.real == best for view in views]
        count = np.add.reduce(ties, dtype=x.real.dtype)
        share = np.divide(g.transpose(_INSIDE), count, out=empty(windows.shape, g.dtype))
        return (windows.add_up((share * tie for tie in ties), g.dtype),)

    return y.transpose(_OUTSIDE), vjp


def max_pool2d(
    x: TensorLike, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0
) -> Tensor:
    """Largest value of each window; ties share the gradient equally.

    Parameters
    ----------
    x : Tensor of shape (N, C, H, W)
    kernel_size : int or (rows, columns)
    stride : int or (rows, columns), optional
        By default the kernel's size.
    padding : int or (rows, columns)
        Pixels of minus infinity around the images, at most half the kernel.

    Raises
    ------
    ShapeError
        If x is not (N, C, H, W), or the kernel is larger than the padded images.
    ValueError
        If a size is out of range.
    """
    return apply(_max_pool2d, x, kernel=kernel_size, stride=stride, padding=padding)


def _avg_pool2d(x: Array, *, kernel: Pair, stride: Pair | None, padding: Pair) -> Forward:
    x = floating(x)
    windows = _Windows("avg_pool2d", x, *pool_window("avg_pool2d", kernel, stride, padding))
    y, count = _full(windows.shape, 0, x.dtype), len(windows.indices)
    for view in windows.views(x):
        y += view
    y /= count

    def vjp(g: Array, needs: Needs) -> Grads:
        share = g.transpose(_INSIDE) / count
        return (windows.add_up([share] * count, g.dtype),)

    return y.transpose(_OUTSIDE), vjp


def avg_pool2d(
    x: TensorLike, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0
) -> Tensor:
    """Mean of each window, zeros of the padding counted; parameters and errors as in `max_pool2d`."""
    return apply(_avg_pool2d, x, kernel=kernel_size, stride=stride, padding=padding)
