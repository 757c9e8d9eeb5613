"""Convolution and pooling of images in (N, C, H, W), with PyTorch's conventions.

The memory behind a result lies in the order (C, H, W, N), seen through a transpose: a convolution
is then one matrix product for the whole batch, and each element of the kernel meets long unbroken
runs of pixels.
"""

import math
from collections.abc import Iterable
from typing import Any, TypeAlias

import numpy as np

from ..arrays import Array, add_into, add_up, floating, is_array, values
from ..errors import ShapeError
from ..graph import Forward, Grads, Needs
from ..pool import empty
from ..tensor import Tensor, TensorLike, apply, run

__all__ = ["avg_pool2d", "conv2d", "max_pool2d"]

Pair: TypeAlias = int | tuple[int, int]
_INSIDE, _OUTSIDE = (1, 2, 3, 0), (3, 0, 1, 2)  # from (N, C, H, W) to (C, H, W, N), and back


def _pair(op: str, name: str, value: Any, least: int) -> tuple[int, int]:
    pair = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(pair) != 2 or not all(isinstance(v, (int, np.integer)) and v >= least for v in pair):
        raise ValueError(
            f"{op}: expected {name} as an integer of at least {least}, or two (rows, columns), got "
            f"{value!r}"
        )
    return int(pair[0]), int(pair[1])


def window(op: str, kernel: Pair, stride: Pair, padding: Pair) -> tuple[tuple[int, int], ...]:
    """Return the kernel's size, the stride and the padding as pairs of (rows, columns)."""
    return (
        _pair(op, "kernel_size", kernel, 1),
        _pair(op, "stride", stride, 1),
        _pair(op, "padding", padding, 0),
    )


def pool_window(
    op: str, kernel: Pair, stride: Pair | None, padding: Pair
) -> tuple[tuple[int, int], ...]:
    """Like `window`, for pooling.

    The stride defaults to the kernel size, and the padding may be at most half of it.
    """
    size, step, around = window(op, kernel, kernel if stride is None else stride, padding)
    if any(2 * p > k for p, k in zip(around, size, strict=True)):
        raise ValueError(
            f"{op}: expected a padding of at most half the kernel {size}, got {around}"
        )
    return size, step, around


class Windows:
    """Where a kernel meets the pixels of padded images as it slides over them."""

    def __init__(
        self,
        op: str,
        images: tuple[int, ...],
        kernel: tuple[int, int],
        stride: tuple[int, int],
        padding: tuple[int, int],
    ) -> None:
        if len(images) != 4:
            raise ShapeError(f"{op}: expected images of shape (N, C, H, W), got {images}")
        n, c, *sides = images
        padded = [side + 2 * p for side, p in zip(sides, padding, strict=True)]
        if any(k > side for k, side in zip(kernel, padded, strict=True)):
            raise ShapeError(
                f"{op}: a kernel of {kernel} does not fit images {images} padded by {padding}"
            )
        rows, columns = (
            (side - k) // step + 1 for side, k, step in zip(padded, kernel, stride, strict=True)
        )
        self.padding = padding
        self.places = (c, rows, columns, n)
        self.padded_shape = (c, *padded, n)
        self.inside = (
            slice(None),
            *(slice(p, p + side) for p, side in zip(padding, sides, strict=True)),
        )
        # For each element of the kernel, the pixels that it meets.
        self.indices = [
            (
                slice(None),
                slice(i, i + stride[0] * (rows - 1) + 1, stride[0]),
                slice(j, j + stride[1] * (columns - 1) + 1, stride[1]),
            )
            for i, j in np.ndindex(kernel)
        ]

    def views(self, x: Array, fill: float = 0.0) -> list[Array]:
        """Return the pixels (C, rows, columns, N) that each element of the kernel meets."""
        x = x.transpose(_INSIDE)
        if self.padding == (0, 0):
            padded = x if x.flags.c_contiguous else x.copy()
        else:
            padded = _filled(self.padded_shape, fill, x.dtype)
            padded[self.inside] = x
        return [padded[index] for index in self.indices]

    def add_up(self, parts: Iterable[Array], dtype: np.dtype[Any]) -> Array:
        """Return images in which each pixel is the sum of its values in the views."""
        total = _filled(self.padded_shape, 0, dtype)
        for index, part in zip(self.indices, parts, strict=True):
            total[index] += part
        images: Array = total[self.inside].transpose(_OUTSIDE)
        return images


def _filled(shape: tuple[int, ...], value: float, dtype: np.dtype[Any]) -> Array:
    out = empty(shape, dtype)
    out.fill(value)
    return out


def _unfold(x: Array, *, windows: Windows) -> Forward:
    """Copy what each window sees: images (N, C, H, W) to patches (C, KH * KW, rows, columns, N)."""
    if is_array(x):
        channels, *places = windows.places
        patches = empty((channels, len(windows.indices), *places), x.dtype)
        for k, view in enumerate(windows.views(x)):
            patches[:, k] = view
    else:
        patches = run(_unfold, x, windows=windows)
    return patches, lambda g, needs: (run(_fold, g, windows=windows),)


def _fold(patches: Array, *, windows: Windows) -> Forward:
    """Add patches up where their windows lie: the transpose of `_unfold`."""
    if is_array(patches):
        images = windows.add_up(patches.swapaxes(0, 1), patches.dtype)
    else:
        images = run(_fold, patches, windows=windows)
    return images, lambda g, needs: (run(_unfold, g, windows=windows),)


def _product(a: Array, b: Array) -> Array:
    """Return a @ b; of arrays in memory that was used before, because new memory is slow."""
    if is_array(a) and is_array(b):
        out = empty((len(a), b.shape[1]), np.result_type(a, b))
        return np.matmul(a, b, out=out)
    return a @ b


def _conv2d(
    x: Array, weight: Array, bias: Array | None = None, *, stride: Pair, padding: Pair
) -> Forward:
    if weight.ndim != 4 or x.ndim != 4 or x.shape[1] != weight.shape[1]:
        raise ShapeError(
            f"conv2d: expected x (N, C, H, W) and weight (O, C, KH, KW), got {x.shape} and "
            f"{weight.shape}"
        )
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ShapeError(f"conv2d: expected a bias of shape {weight.shape[:1]}, got {bias.shape}")
    windows = Windows("conv2d", x.shape, *window("conv2d", weight.shape[2:], stride, padding))
    outputs = weight.shape[0]
    _, rows, columns, n = windows.places
    kernels = weight.reshape(outputs, math.prod(weight.shape[1:]))
    patches = run(_unfold, x, windows=windows)
    matrix = patches.reshape(kernels.shape[1], rows * columns * n)
    y = _product(kernels, matrix)
    if bias is not None:
        shift = bias.reshape(outputs, 1)
        y = add_into(y, shift) if is_array(y) else y + shift

    def vjp(g: Array, needs: Needs) -> Grads:
        g = g.transpose(_INSIDE).reshape(outputs, rows * columns * n)
        gx = gw = gb = None
        if needs[0]:
            gx = run(_fold, _product(kernels.T, g).reshape(patches.shape), windows=windows)
        if needs[1]:
            gw = (g @ matrix.T).reshape(weight.shape)
        if bias is not None and needs[2]:
            gb = add_up(g, 1, keepdims=False)
        return (gx, gw, gb)[: len(needs)]

    return y.reshape(outputs, rows, columns, n).transpose(_OUTSIDE), vjp


def conv2d(
    x: TensorLike,
    weight: TensorLike,
    bias: TensorLike | None = None,
    *,
    stride: Pair = 1,
    padding: Pair = 0,
) -> Tensor:
    """Cross-correlation of images with kernels.

    y[n,o,i,j] = bias[o] + sum over c, k, l of x[n, c, i*s + k, j*s + l] * weight[o,c,k,l], with s
    the stride.

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
    windows = Windows("max_pool2d", x.shape, *pool_window("max_pool2d", kernel, stride, padding))
    views = windows.views(values(x), -np.inf)
    y = _filled(windows.places, -np.inf, x.dtype)
    for view in views:
        np.maximum(y, view, out=y)

    def vjp(g: Array, needs: Needs) -> Grads:
        ties = [view == y for view in views]
        if windows.padding != (0, 0):  # a window of minus infinities does not tie with the padding
            real = windows.views(np.ones_like(values(x), dtype=bool))
            ties = [tie & pixels for tie, pixels in zip(ties, real, strict=True)]
        share = g.transpose(_INSIDE) / np.add.reduce(ties, dtype=x.dtype)
        return (_add_windows(share, (share * tie for tie in ties), windows),)

    return y.transpose(_OUTSIDE), vjp


def _add_windows(share: Array, parts: Iterable[Array], windows: Windows) -> Array:
    """Add up what each element of the kernel gives to its pixels; of arrays one by one."""
    if is_array(share):
        return windows.add_up(parts, share.dtype)
    return run(_fold, np.stack(list(parts), axis=1), windows=windows)


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
    windows = Windows("avg_pool2d", x.shape, *pool_window("avg_pool2d", kernel, stride, padding))
    y, count = _filled(windows.places, 0, x.dtype), len(windows.indices)
    for view in windows.views(values(x)):
        y += view
    y /= count

    def vjp(g: Array, needs: Needs) -> Grads:
        share = g.transpose(_INSIDE) / count
        return (_add_windows(share, [share] * count, windows),)

    return y.transpose(_OUTSIDE), vjp


def avg_pool2d(
    x: TensorLike, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0
) -> Tensor:
    """Mean of each window; zeros of the padding count.

    Parameters and errors are those of `max_pool2d`.
    """
    return apply(_avg_pool2d, x, kernel=kernel_size, stride=stride, padding=padding)
