"""Shared by all pictures: a figure that notebooks display, colours, and a grid of images."""

import io
import math
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from ..arrays import Array
from ..errors import ShapeError, check_size

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "BLUE",
    "GREY",
    "ORANGE",
    "as_image",
    "as_images",
    "draw_first",
    "draw_grid",
    "intensities",
    "new_figure",
    "shorten",
]

# Two colours that colour-blind people can tell apart, and one for what is less important.
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#bbbbbb"

_COLOUR_CHANNELS = (3, 4)  # RGB, and RGB with opacity
_TITLE_LETTER, _LABEL_LETTER = 0.108, 0.072  # width in inches of letters of 13 and 9 points


def new_figure(
    width: float,
    height: float,
    title: str,
    *,
    layout: Literal["constrained", "compressed"] | None = "constrained",
) -> "Figure":
    """Return an empty Figure of the given size in inches, at least as wide as its title.

    `layout` is passed to matplotlib. With None the caller places the axes, and the title is at the
    top.
    """
    from matplotlib.figure import Figure

    def png() -> bytes:
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=80)
        return buffer.getvalue()

    width = max(width, 0.4 + _TITLE_LETTER * max(map(len, title.split("\n"))))
    figure = Figure(figsize=(width, height), layout=layout)
    place = {"y": 1 - 0.08 / height} if layout is None else {}
    figure.suptitle(title, fontsize=13, va="top", **place)
    figure._repr_png_ = png  # type: ignore[attr-defined]  # notebooks call this
    return figure


def shorten(text: str, length: int) -> str:
    """Return the text. If it is longer than `length`, leave out its middle."""
    if len(text) <= length:
        return text
    head = length // 2
    return f"{text[:head]}…{text[len(text) - (length - head - 1) :]}"


def as_images(images: npt.ArrayLike, op: str) -> Array:
    """Return images as an array (N, H, W), or (N, H, W, channels) if they have colours."""
    array = np.asarray(images)
    if array.ndim == 2 and array.shape[1] == 784:
        array = array.reshape(-1, 28, 28)
    if array.ndim == 4:
        array = _channels_last(array, op)
    if array.ndim not in (3, 4) or array.size == 0:
        raise ShapeError(
            f"{op}: expected images of shape (N, 28, 28), (N, 784), (N, H, W), (N, H, W, 3) or"
            f" (N, 3, H, W), at least one, got {array.shape}"
        )
    return array


def as_image(image: npt.ArrayLike, op: str) -> Array:
    """Return one image as an array (H, W), or (H, W, channels) if it has colours."""
    array = np.asarray(image)
    if array.size == 784:
        array = array.reshape(28, 28)
    square = array.ndim == 2 and array.shape[0] == array.shape[1]  # otherwise it may be a batch
    if array.size == 0 or not (square or array.ndim == 3):
        raise ShapeError(
            f"{op}: expected one image of shape (28, 28), (784,), (H, H), (H, W, 3) or (3, H, W),"
            f" got {array.shape}"
        )
    picture: Array = as_images(array[np.newaxis], op)[0]
    return picture


def _channels_last(array: Array, op: str) -> Array:
    """Move the channels of (N, ...) images to the last axis, and drop a single channel."""
    last = array.shape[3] in (1, *_COLOUR_CHANNELS)
    first = array.shape[1] in (1, 3)
    if first and last:
        raise ShapeError(
            f"{op}: expected images whose shape shows where the channels are, got {array.shape},"
            " which may be (N, channels, H, W) or (N, H, W, channels)"
        )
    if not (first or last):
        raise ShapeError(
            f"{op}: expected images of 1 or 3 channels, (N, H, W, 3) or (N, 3, H, W), got"
            f" {array.shape}"
        )
    if first:
        array = np.moveaxis(array, 1, 3)
    return array[..., 0] if array.shape[3] == 1 else array


def intensities(images: Array) -> tuple[Array, dict[str, Any]]:
    """Return images and options for `imshow`, so that all images share one scale.

    For grey images the scale goes from the smallest value of all images (white) to the largest
    (dark). Colours are used unchanged if they are bytes or lie in [0, 1]. Otherwise they are
    stretched to [0, 1].
    """
    finite = images[np.isfinite(images)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    if images.ndim == 3:
        return images, {"cmap": "gray_r", "vmin": low, "vmax": high if high > low else low + 1}
    if images.dtype != np.uint8:
        if low < 0 or high > 1:
            images = (images - low) / (high - low or 1.0)
        images = np.nan_to_num(images.astype(np.float64), posinf=1.0, neginf=0.0)
    return images, {}


def draw_first(
    title: str,
    images: Array,
    titles: Sequence[str],
    *,
    rows: int,
    columns: int,
    framed: Collection[int] = (),
    op: str,
) -> "Figure":
    """Draw the first images that fit into the rows and columns, all on one scale."""
    check_size(op, "rows", rows)
    check_size(op, "columns", columns)
    shown, style = intensities(images[: rows * columns])
    return draw_grid(title, shown, titles, [style] * len(shown), columns, framed)


def draw_grid(
    title: str,
    images: Sequence[Array] | Array,
    titles: Sequence[str],
    styles: Sequence[dict[str, Any]],
    columns: int,
    framed: Collection[int] = (),
) -> "Figure":
    """Draw images in a grid. Each has its own title and its own options for `imshow`.

    Images whose indices are in `framed` get a frame and a bold title.
    """
    count = len(images)
    columns = min(columns, count)
    rows = math.ceil(count / columns)
    lines = [line for text in titles for line in text.split("\n")]
    width = max(1.05, 0.15 + _LABEL_LETTER * max(map(len, lines), default=0))
    height = 1.2 + 0.16 * max((text.count("\n") + 1 for text in titles), default=0)
    figure = new_figure(width * columns + 0.4, height * rows + 0.7, title)
    for i, axes in enumerate(figure.subplots(rows, columns, squeeze=False).flat):
        axes.set(xticks=[], yticks=[], visible=i < count)
        if i < count:
            axes.imshow(images[i], **styles[i])
            axes.set_title(titles[i], fontsize=9)
        if i in framed:
            axes.title.set(color=ORANGE, fontweight="bold")
            axes.spines[:].set(color=ORANGE, linewidth=2.5)
    return figure
