"""Pictures of the inside of a model: weights, filters of a convolution, and feature maps."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..arrays import Array
from ..errors import ShapeError, check_size
from .canvas import as_image, draw_grid, intensities

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["feature_maps", "filters", "first_layer_weights"]


def _strongest(weights: Array, count: int) -> Array:
    """Return the indices of the `count` rows with the largest sums of squares, largest first."""
    strength = np.square(weights.reshape(len(weights), -1)).sum(axis=1)
    places: Array = np.argsort(-strength, kind="stable")[:count]
    return places


def _strongest_of(shown: int, of: int, what: str) -> str:
    return f"All {of} {what}" if shown == of else f"The {shown} strongest of {of} {what}"


def _center_on_white(values: Array) -> dict[str, Any]:
    """Return options of `imshow` for weights: 0 is white, positive is red, negative is blue."""
    limit = float(np.abs(values).max()) or 1.0
    return {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit}


def _as_colours(weights: Array) -> Array:
    """Return weights (..., 3) as colours: 0 is grey, and the largest weight is a full colour."""
    limit = float(np.abs(weights).max()) or 1.0
    colours: Array = 0.5 + 0.5 * weights / limit
    return colours


def _add_bar(figure: "Figure", axes: "Axes", label: str) -> None:
    """Add the colour bar of the picture in `axes`."""
    figure.set_figwidth(figure.get_figwidth() + 1)
    figure.colorbar(axes.images[0], ax=figure.axes, label=label, shrink=0.8)


def first_layer_weights(
    weight: npt.ArrayLike,
    shape: tuple[int, int] | tuple[int, int, int] = (28, 28),
    *,
    count: int = 32,
) -> "Figure":
    """Draw the rows of a first layer's weight as images: what each hidden unit looks for.

    Ink on red pixels increases the unit's output, and ink on blue pixels decreases it.

    Parameters
    ----------
    weight : array_like of shape (units, pixels)
    shape : (H, W), (H, W, 3) or (3, H, W)
        The shape of the images. Weights for colour images are drawn in colours, with grey for 0.
    count : int
        How many units to draw at most. The units with the largest weights are drawn.

    Raises
    ------
    ShapeError
        If the weight has another shape.
    """
    w, pixels = np.asarray(weight), math.prod(shape)
    if w.ndim != 2 or w.shape[1] != pixels or len(w) == 0:
        raise ShapeError(
            f"first_layer_weights: expected a weight of shape (units, {pixels}), got {w.shape}"
        )
    check_size("first_layer_weights", "count", count)
    strongest = _strongest(w, count)
    pictures = w[strongest].reshape(-1, *shape)
    title = _strongest_of(len(strongest), len(w), "first-layer units")
    return _draw_weights(title, pictures, [str(i) for i in strongest], 8)


def filters(weight: npt.ArrayLike, *, count: int = 32, columns: int = 8) -> "Figure":
    """Draw the filters of a convolution: positive weights in red, negative weights in blue.

    Filters with one channel are drawn as images, and those with three channels in colours (grey
    for 0). Filters with more channels get a row each, with one image for each of the first
    `columns` channels.

    Parameters
    ----------
    weight : array_like of shape (out_channels, in_channels, KH, KW), or (out, in, K) of a Conv1d
    count : int
        How many filters to draw at most. The filters with the largest weights are drawn.
    columns : int
        How many images there are in a row.

    Raises
    ------
    ShapeError
        If the weight has another shape.

    Examples
    --------
    >>> from tinygrad_mnist import nn, plots
    >>> figure = plots.filters(nn.Conv2d(1, 16, 5, rng=0).weight.data)
    """
    w = np.asarray(weight)
    if w.ndim == 3:
        w = w[:, :, np.newaxis, :]
    if w.ndim != 4 or w.size == 0:
        raise ShapeError(
            "filters: expected a weight of shape (out_channels, in_channels, KH, KW), got"
            f" {w.shape}"
        )
    check_size("filters", "count", count)
    check_size("filters", "columns", columns)
    strongest = _strongest(w, count)
    title = _strongest_of(len(strongest), len(w), "filters")
    w, channels = w[strongest], w.shape[1]
    if channels in (1, 3):
        pictures = w[:, 0] if channels == 1 else w
        return _draw_weights(title, pictures, [str(i) for i in strongest], columns)
    columns = min(columns, channels)
    titles = [f"{i}, from {c}" for i in strongest for c in range(columns)]
    pictures = w[:, :columns].reshape(-1, *w.shape[2:])
    if columns < channels:
        title += f", by the first {columns} of {channels} channels"
    return _draw_weights(title, pictures, titles, columns)


def _draw_weights(title: str, pictures: Array, titles: list[str], columns: int) -> "Figure":
    """Draw weights (N, H, W) with a colour bar, or weights of three channels in colours."""
    if pictures.ndim == 4:
        if pictures.shape[3] != 3:
            pictures = np.moveaxis(pictures, 1, 3)
        return draw_grid(title, _as_colours(pictures), titles, [{}] * len(pictures), columns)
    styles = [_center_on_white(pictures)] * len(pictures)
    figure = draw_grid(title, pictures, titles, styles, columns)
    _add_bar(figure, figure.axes[0], "weight")
    return figure


def feature_maps(
    activations: npt.ArrayLike,
    image: npt.ArrayLike | None = None,
    *,
    count: int = 32,
    columns: int = 8,
) -> "Figure":
    """Draw the output of a convolution or a later layer for one image, one picture per channel.

    Parameters
    ----------
    activations : array_like of shape (C, H, W) or (1, C, H, W)
        A layer's output for one image.
    image : array_like, optional
        The image itself, which is drawn first.
    count : int
        How many channels to draw at most.
    columns : int
        How many pictures there are in a row.

    Raises
    ------
    ShapeError
        If the activations are not those of one image.

    Examples
    --------
    >>> import numpy as np
    >>> from tinygrad_mnist import Tensor, nn, plots
    >>> digit = np.random.default_rng(0).random((28, 28), dtype=np.float32)
    >>> layer = nn.Conv2d(1, 8, 3, padding=1, rng=0)
    >>> figure = plots.feature_maps(layer(Tensor(digit.reshape(1, 1, 28, 28))).data, digit)
    """
    maps = np.asarray(activations)
    if maps.ndim == 4 and len(maps) == 1:
        maps = maps[0]
    if maps.ndim != 3 or maps.size == 0:
        raise ShapeError(
            "feature_maps: expected the activations of one image, (C, H, W) or (1, C, H, W), got"
            f" {maps.shape}"
        )
    check_size("feature_maps", "count", count)
    check_size("feature_maps", "columns", columns)
    shown = maps[:count]
    titles = [f"channel {i}" for i in range(len(shown))]
    how_many = "All" if len(shown) == len(maps) else f"The first {len(shown)} of"
    title = f"{how_many} {len(maps)} feature maps, {maps.shape[1]} x {maps.shape[2]}"
    # The output of a ReLU is never negative, so it does not need a colour for negative values.
    style = _center_on_white(shown) if shown.min() < 0 else intensities(shown)[1]
    pictures, styles = list(shown), [style] * len(shown)
    if image is not None:
        own, own_style = intensities(as_image(image, "feature_maps")[np.newaxis])
        pictures, styles = [own[0], *pictures], [own_style, *styles]
        titles = ["the image", *titles]
    figure = draw_grid(title, pictures, titles, styles, columns)
    _add_bar(figure, figure.axes[len(pictures) - len(shown)], "activation")
    return figure
