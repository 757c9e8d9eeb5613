"""Convolution and pooling of images (N, C, H, W) and sequences, with PyTorch's conventions.

The memory behind a result lies in the order (C, H, W, N), seen through a transpose: a convolution
is then one matrix product for the whole batch, and each element of the kernel meets long unbroken
runs of pixels.
"""

import math
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np

from ..arrays import Array, Recorded, add_into, add_up, floating, is_array, values
from ..errors import ShapeError, check_size
from ..graph import Forward, Grads, Needs
from ..pool import empty
from ..tensor import Tensor, TensorLike, run
from .dtype import apply_wide

__all__ = ["avg_pool2d", "conv1d", "conv2d", "max_pool2d"]

Pair: TypeAlias = int | tuple[int, int]
_INSIDE, _OUTSIDE = (1, 2, 3, 0), (3, 0, 1, 2)  # from (N, C, H, W) to (C, H, W, N), and back


def as_pair(op: str, name: str, value: Any, least: int) -> tuple[int, int]:
    """Return a setting for rows and columns as two integers of at least `least`."""
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
        as_pair(op, "kernel_size", kernel, 1),
        as_pair(op, "stride", stride, 1),
        as_pair(op, "padding", padding, 0),
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
        dilation: tuple[int, int] = (1, 1),
    ) -> None:
        if len(images) != 4:
            raise ShapeError(f"{op}: expected images of shape (N, C, H, W), got {images}")
        n, c, *sides = images
        padded = [side + 2 * p for side, p in zip(sides, padding, strict=True)]
        reach = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
        if any(k > side for k, side in zip(reach, padded, strict=True)):
            dilated = "" if dilation == (1, 1) else f", dilated by {dilation},"
            raise ShapeError(
                f"{op}: a kernel of {kernel}{dilated} does not fit images {images} padded by "
                f"{padding}"
            )
        rows, columns = (
            (side - k) // step + 1 for side, k, step in zip(padded, reach, stride, strict=True)
        )
        self.padding = padding
        self.places = (c, rows, columns, n)
        self.padded_shape = (c, *padded, n)
        self.inside = (
            slice(None),
            *(slice(p, p + side) for p, side in zip(padding, sides, strict=True)),
        )
        # For each element of the kernel, the pixels that it meets.
        starts = [(dilation[0] * i, dilation[1] * j) for i, j in np.ndindex(kernel)]
        self.indices = [
            (
                slice(None),
                slice(i, i + stride[0] * (rows - 1) + 1, stride[0]),
                slice(j, j + stride[1] * (columns - 1) + 1, stride[1]),
            )
            for i, j in starts
        ]
        # Which of them are pixels of the image and not of the padding, for any channel and image.
        real = np.zeros((1, *padded, 1), np.bool_)
        real[self.inside] = True
        self.real = [real[index] for index in self.indices]

    def views(self, x: Array, fill: float = 0.0) -> list[Array]:
        """Return the pixels (C, rows, columns, N) that each element of the kernel meets."""
        x = x.transpose(_INSIDE)
        if self.padding == (0, 0):
            padded = x if x.flags.c_contiguous else x.copy()
        else:
            padded = _fill(x, self.padded_shape, fill)
            padded[self.inside] = x
        return [padded[index] for index in self.indices]

    def add_up(self, parts: Iterable[Array], like: Array) -> Array:
        """Return images, of the kind of `like`, in which a pixel is the sum of all views of it."""
        total = _fill(like, self.padded_shape, 0)
        for index, part in zip(self.indices, parts, strict=True):
            total[index] += part
        images: Array = total[self.inside].transpose(_OUTSIDE)
        return images


# A step of training asks for the same windows again and again.
_find_windows = lru_cache(maxsize=256)(Windows)


def _empty(like: Array, shape: tuple[int, ...]) -> Array:
    """Return an uninitialised array, in memory that was used before: new memory is slow."""
    if isinstance(like, Recorded):
        return np.empty_like(like, shape=shape, order="C")
    out = empty(shape, like.dtype)
    return out if type(like) is type(out) else out.view(type(like))


def _fill(like: Array, shape: tuple[int, ...], value: float) -> Array:
    out = _empty(like, shape)
    out[...] = value
    return out


def _unfold(x: Array, *, windows: Windows) -> Forward:
    """Copy what each window sees: images (N, C, H, W) to patches (C, KH * KW, rows, columns, N)."""
    if is_array(x):
        channels, *places = windows.places
        patches = _empty(x, (channels, len(windows.indices), *places))
        for k, view in enumerate(windows.views(x)):
            patches[:, k] = view
    else:
        patches = run(_unfold, x, windows=windows)
    return patches, lambda g, needs: (run(_fold, g, windows=windows),)


def _fold(patches: Array, *, windows: Windows) -> Forward:
    """Add patches up where their windows lie: the transpose of `_unfold`."""
    if is_array(patches):
        images = windows.add_up(patches.swapaxes(0, 1), patches)
    else:
        images = run(_fold, patches, windows=windows)
    return images, lambda g, needs: (run(_unfold, g, windows=windows),)


def _product(a: Array, b: Array) -> Array:
    """Return a @ b, of stacks of matrices; of arrays in memory that was used before."""
    # BLAS takes several times as long as a broadcast multiply for an inner size of 1.
    multiply = np.multiply if a.shape[-1] == 1 else np.matmul
    if is_array(a) and is_array(b) and a.dtype == b.dtype:
        return multiply(a, b, out=_empty(b, (*a.shape[:-1], b.shape[-1])))
    product: Array = multiply(a, b)
    return product


def _check_convolution(
    op: str, x: Array, weight: Array, bias: Array | None, groups: int, sizes: str
) -> None:
    """Raise a ShapeError unless images, kernels and bias fit; `sizes` is "H, W" or "L"."""
    ndim = 2 + len(sizes.split(", "))
    kernel = ", ".join(f"K{side}" if ndim > 3 else "K" for side in sizes.split(", "))
    channels = "C" if groups == 1 else f"C / {groups}"
    if weight.ndim != ndim or x.ndim != ndim or x.shape[1] != groups * weight.shape[1]:
        hint = ""
        if x.ndim == ndim - 1 and weight.ndim == ndim and groups * weight.shape[1] == 1:
            hint = "; give the one channel an axis, by np.expand_dims(x, 1)"
        elif x.ndim == weight.ndim == ndim and x.shape[-1] == groups * weight.shape[1]:
            hint = "; put the channels second, by np.moveaxis(x, -1, 1)"
        raise ShapeError(
            f"{op}: expected x (N, C, {sizes}) and weight (O, {channels}, {kernel}), got {x.shape} "
            f"and {weight.shape}{hint}"
        )
    if weight.shape[0] % groups:
        raise ShapeError(
            f"{op}: expected a number of output channels that {groups} groups divide, got a weight "
            f"of shape {weight.shape}"
        )
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ShapeError(f"{op}: expected a bias of shape {weight.shape[:1]}, got {bias.shape}")


def _convolve(
    x: Array, weight: Array, bias: Array | None, windows: Windows, groups: int
) -> Forward:
    """Convolve images (N, C, H, W): one matrix product for each group of channels."""
    outputs = weight.shape[0]
    _, rows, columns, n = windows.places
    each, places = math.prod(weight.shape[1:]), rows * columns * n
    kernels = weight.reshape(groups, outputs // groups, each)
    patches = run(_unfold, x, windows=windows)
    matrix = patches.reshape(groups, each, places)
    y = _product(kernels, matrix)
    if bias is not None:
        shift = bias.reshape(groups, outputs // groups, 1)
        y = add_into(y, shift) if is_array(y) else y + shift

    def vjp(g: Array, needs: Needs) -> Grads:
        g = g.transpose(_INSIDE).reshape(groups, outputs // groups, places)
        gx = gw = gb = None
        if needs[0]:
            by_patch = _product(kernels.swapaxes(1, 2), g)
            gx = run(_fold, by_patch.reshape(patches.shape), windows=windows)
        if needs[1]:
            gw = (g @ matrix.swapaxes(1, 2)).reshape(weight.shape)
        if bias is not None and needs[2]:
            gb = add_up(g, 2, keepdims=False).reshape(outputs)
        return (gx, gw, gb)[: len(needs)]

    return y.reshape(outputs, rows, columns, n).transpose(_OUTSIDE), vjp


def _conv2d(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    *,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
) -> Forward:
    _check_convolution("conv2d", x, weight, bias, groups, "H, W")
    kernel, step, around = window("conv2d", weight.shape[2:], stride, padding)
    spacing = as_pair("conv2d", "dilation", dilation, 1)
    windows = _find_windows("conv2d", x.shape, kernel, step, around, spacing)
    return _convolve(x, weight, bias, windows, groups)


def conv2d(
    x: TensorLike,
    weight: TensorLike,
    bias: TensorLike | None = None,
    *,
    stride: Pair = 1,
    padding: Pair = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> Tensor:
    """Cross-correlation of images with kernels.

    y[n,o,i,j] = bias[o] + sum over c, k, l of x[n, c, i*s + k*d, j*s + l*d] * weight[o,c,k,l], with
    s the stride and d the dilation.

    Parameters
    ----------
    x : Tensor of shape (N, C, H, W)
    weight : Tensor of shape (O, C / groups, KH, KW)
    bias : Tensor of shape (O,), optional
    stride : int or (rows, columns)
        Pixels from one window to the next.
    padding : int or (rows, columns)
        Pixels of zeros on each side of the images.
    dilation : int or (rows, columns)
        Pixels from one element of the kernel to the next.
    groups : int
        The number of groups into which the channels are divided. Each group of outputs sees only
        its own group of inputs. With C groups, each kernel sees one channel.

    Returns
    -------
    Tensor of shape (N, O, (H + 2 * padding - dilation * (KH - 1) - 1) // stride + 1, ...)

    Raises
    ------
    ShapeError
        If the shapes are not these, or the kernel is larger than the padded images.
    ValueError
        If stride, padding, dilation or groups is out of range.

    Examples
    --------
    >>> x = Tensor(np.arange(9.0).reshape(1, 1, 3, 3))
    >>> conv2d(x, np.ones((1, 1, 2, 2))).data
    array([[[[ 8., 12.],
             [20., 24.]]]])
    """
    groups = check_size("conv2d", "groups", groups)
    return apply_wide(
        _conv2d,
        *((x, weight) if bias is None else (x, weight, bias)),
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
    )


def _conv1d(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    *,
    stride: int,
    padding: int,
    dilation: int,
    groups: int,
) -> Forward:
    _check_convolution("conv1d", x, weight, bias, groups, "L")
    reach = dilation * (weight.shape[2] - 1) + 1
    if not 0 < reach <= x.shape[2] + 2 * padding:
        raise ShapeError(
            f"conv1d: a kernel that reaches over {reach} places does not fit sequences {x.shape} "
            f"padded by {padding}"
        )
    # Images of one row, and kernels of one row.
    images, kernels = np.expand_dims(x, 2), np.expand_dims(weight, 2)
    windows = _find_windows(
        "conv1d", images.shape, kernels.shape[2:], (1, stride), (0, padding), (1, dilation)
    )
    y, vjp_2d = _convolve(images, kernels, bias, windows, groups)

    def vjp(g: Array, needs: Needs) -> Grads:
        gx, gw, *gb = vjp_2d(np.expand_dims(g, 2), needs)
        return (None if gx is None else gx.squeeze(2), None if gw is None else gw.squeeze(2), *gb)

    return y.squeeze(2), vjp


def conv1d(
    x: TensorLike,
    weight: TensorLike,
    bias: TensorLike | None = None,
    *,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
    groups: int = 1,
) -> Tensor:
    """Cross-correlation of sequences with kernels.

    y[n,o,i] = bias[o] + sum over c, k of x[n, c, i*stride + k*dilation] * weight[o,c,k].

    Parameters
    ----------
    x : Tensor of shape (N, C, L)
    weight : Tensor of shape (O, C / groups, K)
    bias : Tensor of shape (O,), optional
    stride, padding, dilation, groups : int
        As in `conv2d`.

    Returns
    -------
    Tensor of shape (N, O, (L + 2 * padding - dilation * (K - 1) - 1) // stride + 1)

    Raises
    ------
    ShapeError
        If the shapes are not these, or the kernel is larger than the padded sequences.
    ValueError
        If stride, padding, dilation or groups is out of range.

    Examples
    --------
    >>> x = Tensor([[[1.0, 2.0, 4.0, 8.0]]])
    >>> conv1d(x, Tensor([[[-1.0, 1.0]]]))
    Tensor([[[1., 2., 4.]]])
    """
    stride = check_size("conv1d", "stride", stride)
    dilation = check_size("conv1d", "dilation", dilation)
    groups = check_size("conv1d", "groups", groups)
    padding = check_size("conv1d", "padding", padding, least=0)
    return apply_wide(
        _conv1d,
        *((x, weight) if bias is None else (x, weight, bias)),
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
    )


def _max_pool2d(x: Array, *, kernel: Pair, stride: Pair | None, padding: Pair) -> Forward:
    x = floating(x)
    windows = _find_windows(
        "max_pool2d", x.shape, *pool_window("max_pool2d", kernel, stride, padding)
    )
    views = windows.views(values(x), -np.inf)
    y = _fill(values(x), windows.places, -np.inf)
    for view in views:
        np.maximum(y, view, out=y)

    def vjp(g: Array, needs: Needs) -> Grads:
        ties = [view == y for view in views]
        if windows.padding != (0, 0):  # a window of minus infinities does not tie with the padding
            ties = [tie & real for tie, real in zip(ties, windows.real, strict=True)]
        count = np.zeros_like(ties[0], np.min_scalar_type(len(ties)))
        for tie in ties:
            count += tie
        share = g.transpose(_INSIDE) / count.astype(x.dtype)
        return (_add_windows(share, (share * tie for tie in ties), windows),)

    return y.transpose(_OUTSIDE), vjp


def _add_windows(share: Array, parts: Iterable[Array], windows: Windows) -> Array:
    """Add up what each element of the kernel gives to its pixels; of arrays one by one."""
    if is_array(share):
        return windows.add_up(parts, share)
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

    Returns
    -------
    Tensor of shape (N, C, (H + 2 * padding - KH) // stride + 1, ...)

    Raises
    ------
    ShapeError
        If x is not (N, C, H, W), or the kernel is larger than the padded images.
    ValueError
        If a size is out of range.

    Examples
    --------
    >>> x = Tensor(np.arange(16.0).reshape(1, 1, 4, 4))
    >>> max_pool2d(x, 2).data
    array([[[[ 5.,  7.],
             [13., 15.]]]])
    """
    return apply_wide(_max_pool2d, x, kernel=kernel_size, stride=stride, padding=padding)


def _avg_pool2d(x: Array, *, kernel: Pair, stride: Pair | None, padding: Pair) -> Forward:
    x = floating(x)
    windows = _find_windows(
        "avg_pool2d", x.shape, *pool_window("avg_pool2d", kernel, stride, padding)
    )
    y, count = _fill(values(x), windows.places, 0), len(windows.indices)
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

    Examples
    --------
    >>> x = Tensor(np.arange(16.0).reshape(1, 1, 4, 4))
    >>> avg_pool2d(x, 2).data
    array([[[[ 2.5,  4.5],
             [10.5, 12.5]]]])
    """
    return apply_wide(_avg_pool2d, x, kernel=kernel_size, stride=stride, padding=padding)
