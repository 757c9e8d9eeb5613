"""Numeric slopes: central differences that tell kinks from bugs, and complex steps."""

from typing import Any

import numpy as np

from ..arrays import Array
from ..errors import GradcheckError, NonDifferentiableError

__all__ = ["Central", "Complex", "place"]

_EPS = float(np.finfo(np.float64).eps)


class Central:
    """Slopes by central differences, the step scaled to each entry; tells kinks by one-sided slopes at two steps."""

    eps = _EPS ** (1 / 3)

    def __init__(
        self, function: Any, y: Array, seed: Array, eps: float | None, rtol: float, atol: float
    ) -> None:
        self.function, self.y, self.seed, self.rtol, self.atol = function, y, seed, rtol, atol
        self.eps = self.eps if eps is None else eps

    def sides(self, k: int, direction: Any, step: float) -> tuple[float, float]:
        """Return the slopes to the right and to the left."""
        arrays = list(self.function.arrays)
        slopes = []
        for sign in (1.0, -1.0):
            arrays[k] = _moved(self.function.arrays[k], direction, sign * step)
            change = self.seed * (self.function(arrays)[0].numpy() - self.y)
            slopes.append(sign * float(change.sum()) / step)
        return slopes[0], slopes[1]

    def smooth_sides(self, k: int, direction: Any, step: float) -> tuple[float, float]:
        """Return the slopes to the right and to the left, which raise NonDifferentiableError where they meet in a kink."""
        right, left = self.sides(k, direction, step)
        noise = 100 * _EPS * float(np.abs(self.seed * self.y).sum())
        gap = abs(right - left)
        if not np.isfinite(right - left) or gap > 1e-3 * max(abs(right), abs(left)) + noise / step:
            near = self.sides(k, direction, step / 8)
            if (
                not abs(near[0] - near[1]) < gap / 2
            ):  # on a smooth curve the gap shrinks with the step
                where = f"{self.function.labels[k]} at {place(self.function.arrays[k], direction)}"
                sides = f"slope {right:.6g} to the right and {left:.6g} to the left; move the point away, or see away_from()"
                raise NonDifferentiableError(
                    f"{self.function.name}: not differentiable by {where}: {sides}"
                )
        return right, left

    def slope(self, k: int, direction: Any, expected: float) -> tuple[float, float]:
        """Return the slope by entry (or along direction) of array k, and the step that gave it."""
        step = self.eps * _size(self.function.arrays[k], direction)
        right, left = self.smooth_sides(k, direction, step)
        best = (right + left) / 2
        for finer in (step / 16, step / 256, step * 8):  # a kink close by, or a steep curve
            if abs(best - expected) <= self.rtol * max(abs(best), abs(expected)) + self.atol:
                break
            other = sum(self.sides(k, direction, finer)) / 2
            if abs(other - expected) < abs(best - expected):
                best, step = other, finer
        return best, step


class Complex(Central):
    """Slopes by a complex step; two real ones beside it look for a kink, on either side of which it is blind."""

    eps = 1e-100

    def slope(self, k: int, direction: Any, expected: float) -> tuple[float, float]:
        """Return the slope by entry (or along direction) of array k, and the step that gave it."""
        arrays = list(self.function.arrays)
        size = _size(arrays[k], direction)
        try:
            self.smooth_sides(
                k, direction, 1e-9 * size
            )  # so small that only a kink right here counts
        except NonDifferentiableError:  # or rounding, which the usual step does not see
            self.smooth_sides(k, direction, Central.eps * size)
        arrays[k] = _moved(arrays[k].astype(np.complex128), direction, 1j * self.eps)
        try:
            y = self.function(arrays)[0].numpy()
        except TypeError as error:
            raise GradcheckError(
                f'{self.function.name}: not analytic ({error}); use method="central"'
            ) from error
        if y.dtype.kind != "c":
            raise GradcheckError(
                f'{self.function.name}: not analytic (its result lost the complex step); use method="central"'
            )
        return float((self.seed * y.imag).sum() / self.eps), self.eps


def _size(a: Array, direction: Any) -> float:
    return max(
        1.0,
        float(np.abs(a).max()) if isinstance(direction, np.ndarray) else abs(float(a[direction])),
    )


def _moved(a: Array, direction: Any, step: complex) -> Array:
    if isinstance(direction, np.ndarray):
        return np.asarray(a + step * direction)
    out: Array = a.copy()
    out[direction] += step
    return out


def place(a: Array, direction: Any) -> str:
    """Return where in an array a direction points, for a message."""
    return (
        "a random direction"
        if isinstance(direction, np.ndarray)
        else f"index {direction} (value {a[direction]:.6g})"
    )
