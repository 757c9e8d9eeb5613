"""From pixels to batches: normalize, one_hot, train_val_split, Batches."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from ..arrays import Array, Rng, refuse_mask
from ..errors import check_size

__all__ = ["Batches", "normalize", "one_hot", "train_val_split"]


def normalize(images: npt.ArrayLike, low: float = 0.0, high: float = 1.0) -> Array:
    """Map pixels from 0..255 to [low, high]: low + pixel / 255 * (high - low).

    Parameters
    ----------
    images : integers of any shape
    low, high : float

    Returns
    -------
    ndarray of float32, of the same shape

    Raises
    ------
    TypeError
        If the images are not numbers.
    """
    pixels = np.asarray(refuse_mask(images))
    if pixels.dtype.kind not in "uif":
        raise TypeError(f"normalize: expected pixels from 0 to 255, got {pixels.dtype}")
    out: Array = np.multiply(pixels, np.float32((high - low) / 255), dtype=np.float32)
    if low:
        out += np.float32(low)
    return out


def one_hot(
    labels: npt.ArrayLike, num_classes: int = 10, low: float = 0.0, high: float = 1.0
) -> Array:
    """Return one row for each label, with `high` at the label's index and `low` elsewhere.

    Parameters
    ----------
    labels : integers of shape (N,), in [0, num_classes)
    num_classes : int
    low, high : float

    Returns
    -------
    ndarray of float32, shape (N, num_classes)

    Raises
    ------
    TypeError
        If the labels are not integers.
    ValueError
        If they are out of range, or not of shape (N,).
    """
    y = np.asarray(refuse_mask(labels))
    if y.size and y.dtype.kind not in "iu":
        raise TypeError(f"one_hot: expected integer labels, got {y.dtype}")
    if y.ndim != 1:
        raise ValueError(f"one_hot: expected labels of shape (N,), got {y.shape}")
    if y.size and (y.min() < 0 or y.max() >= num_classes):
        raise ValueError(
            f"one_hot: expected labels in [0, {num_classes}), got {y.min()} to {y.max()}"
        )
    out = np.full((len(y), num_classes), low, np.float32)
    out[np.arange(len(y)), y.astype(np.intp)] = high
    return out


def _equal_length(what: str, inputs: Array, targets: Array) -> None:
    if inputs.ndim == 0 or targets.ndim == 0:
        raise ValueError(
            f"{what}: expected arrays of examples, got the shapes {inputs.shape} and"
            f" {targets.shape}"
        )
    if len(inputs) != len(targets):
        raise ValueError(
            f"{what}: expected as many inputs as targets, got {len(inputs)} and {len(targets)}"
        )


def train_val_split(
    inputs: Array, targets: Array, fraction: float = 0.1, rng: Rng = None
) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """Hold out a random share of the examples for validation.

    Parameters
    ----------
    inputs, targets : arrays of equal length
    fraction : float in [0, 1]
        The share to hold out, rounded to a whole number of examples.
    rng : numpy Generator or seed
        With None the split is different each time and cannot be reproduced.

    Returns
    -------
    train, validation
        Each an (inputs, targets) pair.

    Raises
    ------
    ValueError
        If the lengths differ, or the fraction is out of range.
    """
    inputs, targets = np.asarray(inputs), np.asarray(targets)
    _equal_length("train_val_split", inputs, targets)
    if not 0 <= fraction <= 1:
        raise ValueError(f"train_val_split: expected a fraction in [0, 1], got {fraction}")
    order = np.random.default_rng(rng).permutation(len(inputs))
    held = round(len(inputs) * fraction)
    validation, train = order[:held], order[held:]
    return (inputs[train], targets[train]), (inputs[validation], targets[validation])


class Batches:
    """Iterates over the examples in batches, in a new random order at each pass.

    Parameters
    ----------
    inputs, targets : arrays of equal length
    batch_size : int
    shuffle : bool
        Whether each pass uses a new random order. If False, the batches are views of the arrays.
    rng : numpy Generator or seed
        The generator that draws the order. It is kept as `.rng`, so that you can save and restore
        its `bit_generator.state`. With None the order cannot be reproduced.
    drop_last : bool
        Whether to leave out a last batch that is smaller than the others.

    Raises
    ------
    ValueError
        If the lengths differ, or `batch_size` is below 1.
    TypeError
        If `batch_size` is not an integer.

    Examples
    --------
    >>> [len(x) for x, y in Batches(np.zeros((10, 784)), np.zeros(10), 4)]
    [4, 4, 2]
    """

    def __init__(
        self,
        inputs: Array,
        targets: Array,
        batch_size: int,
        *,
        shuffle: bool = True,
        rng: Rng = None,
        drop_last: bool = False,
    ) -> None:
        self.inputs, self.targets = map(np.asarray, map(refuse_mask, (inputs, targets)))
        _equal_length("Batches", self.inputs, self.targets)
        self.batch_size = check_size("Batches", "batch_size", batch_size)
        self.shuffle, self.drop_last, self.rng = shuffle, drop_last, np.random.default_rng(rng)

    def __len__(self) -> int:
        whole, rest = divmod(len(self.inputs), self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    def order(self) -> Array | None:
        """Draw the order of a pass as indices of the examples, or None if they stay in order."""
        return self.rng.permutation(len(self.inputs)) if self.shuffle else None

    def __iter__(self) -> Iterator[tuple[Array, Array]]:
        order = self.order()
        for start in range(0, len(self) * self.batch_size, self.batch_size):
            batch = slice(start, start + self.batch_size)
            chosen = batch if order is None else order[batch]
            yield self.inputs[chosen], self.targets[chosen]
