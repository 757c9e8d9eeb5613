"""Distorted digits, as a layer: small random shifts, turns, shears and elastic waves."""

import numpy as np

from tinygrad_mnist import Tensor, from_numpy, nn

SIDE = 28


class Distort(nn.Module):
    """In training, move the pixels of each image (N, 784) by a random smooth vector field.

    The field is an affine map (a turn, a stretch and a shear of about `angle` radians, a shift of
    `shift` pixels) and an elastic wave: noise of `wave` pixels on a coarse grid, spread by
    Gaussians (after Simard, Steinkraus & Platt 2003).
    """

    def __init__(self, angle=0.13, shift=1.2, wave=1.1, grid=6, rng=None):
        self.angle, self.shift, self.wave = angle, shift, wave
        self.rng = np.random.default_rng(rng)
        pixels = np.arange(SIDE)[:, None] / (SIDE - 1)
        spread = np.exp(-0.5 * ((pixels - np.linspace(0, 1, grid)) * grid) ** 2)
        self._spread = (spread / np.sqrt(np.square(spread).sum(axis=1, keepdims=True))).astype(
            np.float32
        )
        centred = np.arange(SIDE, dtype=np.float32) - (SIDE - 1) / 2
        self._rows, self._columns = np.broadcast_arrays(centred[:, None], centred[None, :])

    def forward(self, x: Tensor) -> Tensor:
        return from_numpy(self.distort(x.data)) if self.training else x

    def distort(self, images):
        n, grid = len(images), self._spread.shape[1]
        noise = self.rng.standard_normal((n, 2, grid, grid), dtype=np.float32)
        field = self._spread @ (noise * np.float32(self.wave)) @ self._spread.T
        a = self.rng.standard_normal((n, 2, 3), dtype=np.float32) * np.float32(
            [self.angle, self.angle, self.shift]
        )
        for k in range(2):
            field[:, k] += (
                a[:, k, :1, None] * self._rows
                + a[:, k, 1:2, None] * self._columns
                + a[:, k, 2:, None]
            )
        place = np.stack([self._rows, self._columns]) + field + np.float32((SIDE - 1) / 2)
        return _bilinear(images, np.clip(place, 0, SIDE - 1.001))


def _bilinear(images, place):
    """Return the images read at fractional (row, column) places, of shape (N, 2, 28, 28)."""
    whole = place.astype(np.int32)  # this rounds down, because no value is negative
    part = place - whole.astype(np.float32)  # float32 with int32 would be float64
    first = (
        whole[:, 0] * SIDE
        + whole[:, 1]
        + (np.arange(len(images), dtype=np.int32) * SIDE * SIDE)[:, None, None]
    )
    flat, (row, column) = images.reshape(-1), (part[:, 0], part[:, 1])
    top = flat.take(first) * (1 - column) + flat.take(first + 1) * column
    bottom = flat.take(first + SIDE) * (1 - column) + flat.take(first + SIDE + 1) * column
    return (top + (bottom - top) * row).reshape(len(images), -1)
