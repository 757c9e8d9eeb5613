"""Numeric slopes: central differences that tell kinks from bugs, and complex steps."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from ..arrays import Array
from ..errors import GradcheckError, NonDifferentiableError
from .function import Checked

__all__ = ["Central", "Complex", "Found", "place", "seeds_by_size"]

_EPS = float(np.finfo(np.float64).eps)
_STEPS = (64, 8, 1, 1 / 16, 1 / 256)  # tried when the usual step (1) disagrees


@dataclass(frozen=True)
class Found:
    """A numeric slope, the step that gave it, and its possible error."""

    slope: float
    step: float
    uncertainty: float


@dataclass(frozen=True)
class Sides:
    """The slopes to the right and to the left with one step, for the outputs times one seed."""

    step: float
    right: float
    left: float
    rounding: float
    """How much the slopes change if the last digits of the outputs that move change."""
    total: float
    """What the slopes would be if all outputs had the same sign."""

    @property
    def slope(self) -> float:
        """The central difference."""
        return (self.right + self.left) / 2


class Central:
    """Slopes by central differences, with a step scaled to each entry.

    The values of a function have rounding errors, and a difference divides these by the step. Only
    outputs that change with the entry count as a source of rounding. Otherwise a large constant
    output would hide an error.

    Parameters
    ----------
    y : the value of the function
    seeds : what y is multiplied by before its elements are summed
    floors : for each seed, how large a difference rounding may cause when large terms cancel
    """

    eps = _EPS ** (1 / 3)
    rtol = 1e-5

    def __init__(
        self,
        checked: Checked,
        y: Array,
        seeds: Sequence[Array],
        floors: Sequence[float],
        *,
        eps: float | None = None,
        rtol: float | None = None,
        atol: float | None = None,
    ) -> None:
        self.checked, self.y = checked, y.ravel()
        self.seeds = np.array([seed.ravel() for seed in seeds])
        self.floors = floors
        self.eps = self.eps if eps is None else eps
        self.rtol = self.rtol if rtol is None else rtol
        self.atols = floors if atol is None else [atol] * len(seeds)

    def first_difference(
        self, k: int, direction: Any, expected: Sequence[float]
    ) -> tuple[float, Found] | None:
        """Return the first pair of analytic and numeric slopes that differ, or None.

        The slopes are with respect to an entry of array k, or along a direction in it. `expected`
        has the analytic slope for each seed.
        """
        __tracebackhide__ = True
        for g, found in enumerate(self.slopes(k, direction, expected)):
            if not self.agrees(g, found, expected[g]):
                return expected[g], found
        return None

    def agrees(self, g: int, found: Found, expected: float) -> bool:
        """Return whether a numeric slope agrees with the analytic one, for seed g."""
        larger = max(abs(found.slope), abs(expected))
        allowed = self.rtol * larger + self.atols[g] + found.uncertainty
        return abs(found.slope - expected) <= allowed

    def slopes(self, k: int, direction: Any, expected: Sequence[float]) -> list[Found]:
        """Return the slope for each seed. If it agrees, one pair of evaluations is enough."""
        __tracebackhide__ = True
        step = self.eps * _size(self.checked.arrays[k], direction)
        found = [_at_once(sides) for sides in self.smooth_sides(k, direction, step)]
        if all(self.agrees(g, f, e) for g, (f, e) in enumerate(zip(found, expected, strict=True))):
            return found
        tried = [self.sides(k, direction, step * factor) for factor in _STEPS]
        return [
            _of_several_steps(f, [sides[g] for sides in tried], expected[g])
            for g, f in enumerate(found)
        ]

    def sides(self, k: int, direction: Any, step: float) -> list[Sides]:
        """Return the slopes to the right and to the left, for each seed."""
        __tracebackhide__ = True
        arrays = list(self.checked.arrays)
        ends = []
        for signed in (step, -step):
            arrays[k] = _moved(self.checked.arrays[k], direction, signed)
            ends.append(self.checked.value(arrays).ravel())
        # An infinite output that stays the same has slope 0, but inf - inf would be nan.
        changes = [np.where(end == self.y, 0.0, end - self.y) for end in ends]
        moving = (changes[0] != 0) | (changes[1] != 0)
        sizes = np.where(moving, np.maximum(np.abs(ends[0]), np.abs(ends[1])), 0.0)
        weights = np.abs(self.seeds)
        found = [
            self.seeds @ changes[0] / step,
            self.seeds @ changes[1] / -step,
            weights @ sizes * (_EPS / step),
            weights @ np.abs(changes[0]) / step,
        ]
        return [Sides(step, *numbers) for numbers in np.array(found).T.tolist()]

    def smooth_sides(self, k: int, direction: Any, step: float) -> list[Sides]:
        """Return what `sides` returns, or raise NonDifferentiableError at a kink."""
        __tracebackhide__ = True
        found = self.sides(k, direction, step)
        near: list[Sides] = []
        for g, here in enumerate(found):
            gap = abs(here.right - here.left)
            larger = max(abs(here.right), abs(here.left))
            if gap <= 1e-3 * larger + 100 * here.rounding + 10 * self.floors[g] < math.inf:
                continue
            near = near or self.sides(k, direction, step / 8)
            # On a smooth curve the gap between the two slopes shrinks with the step.
            if not abs(near[g].right - near[g].left) < gap / 2:
                raise NonDifferentiableError(
                    f"{self.checked.name}: not differentiable by {self.checked.labels[k]} at "
                    f"{place(self.checked.arrays[k], direction)}: slope {here.right:.6g} to the "
                    f"right and {here.left:.6g} to the left; move the point away, or see "
                    "away_from()"
                )
        return found


def _noise(sides: Sides) -> float:
    """Return the error that a difference with the usual step can have at best.

    The first part is the rounding error at the largest step that may be tried. The second part is
    the error from the curvature when outputs with large slopes cancel.
    """
    return 4 / _STEPS[0] * sides.rounding + 1e-9 * sides.total


def _at_once(sides: Sides) -> Found:
    return Found(sides.slope, sides.step, _noise(sides))


def _of_several_steps(usual: Found, tried: Sequence[Sides], expected: float) -> Found:
    """Return the slope from the two neighbouring steps whose slopes are closest.

    A large step is wrong if the curve bends or a kink is near. A small step is wrong if rounding
    dominates. If two steps agree, both are good, and their difference is the uncertainty.
    """
    # A large step may leave the function's domain.
    inside = [s for s in tried if math.isfinite(s.slope) and math.isfinite(s.rounding)]
    if len(inside) < 2:
        return usual
    # Measured at the largest step, because with a small one outputs may seem not to change.
    rounding = inside[0].rounding * inside[0].step
    pairs = [
        (abs(a.slope - b.slope) + rounding / b.step, i) for i, (a, b) in enumerate(pairwise(inside))
    ]
    uncertainty, i = min(pairs)
    best = min(inside[i : i + 2], key=lambda sides: abs(sides.slope - expected))
    return Found(best.slope, best.step, uncertainty + usual.uncertainty)


class Complex(Central):
    """Slopes by a complex step, which needs analytic kernels.

    A complex step does not notice a kink, so two real steps are taken as well.
    """

    eps = 1e-100
    rtol = 1e-9

    def slopes(self, k: int, direction: Any, expected: Sequence[float]) -> list[Found]:
        """Return the slope for each seed, or raise an error if the function is not analytic."""
        __tracebackhide__ = True
        self._look_for_a_kink(k, direction)
        arrays = list(self.checked.arrays)
        arrays[k] = _moved(arrays[k].astype(np.complex128), direction, 1j * self.eps)
        change = self._imaginary(k, direction, arrays) / self.eps
        sizes = np.where(change != 0, np.abs(self.y), 0.0) + np.abs(change)
        underflow = float(np.finfo(np.float64).tiny) / self.eps
        noise = np.abs(self.seeds) @ sizes * (1000 * _EPS) + underflow
        numeric = self.seeds @ change
        found = [
            Found(s, self.eps, n) for s, n in zip(numeric.tolist(), noise.tolist(), strict=True)
        ]
        if not all(
            self.agrees(g, f, e) for g, (f, e) in enumerate(zip(found, expected, strict=True))
        ):
            self._compare_with_differences(k, direction, found)
        return found

    def _look_for_a_kink(self, k: int, direction: Any) -> None:
        __tracebackhide__ = True
        size = _size(self.checked.arrays[k], direction)
        try:
            # The step is so small that only a kink exactly at this point is noticed.
            self.smooth_sides(k, direction, 1e-9 * size)
        except NonDifferentiableError:  # it may be rounding, so try the usual step
            self.smooth_sides(k, direction, Central.eps * size)

    def _imaginary(self, k: int, direction: Any, arrays: Sequence[Array]) -> Array:
        """Return the imaginary part that a complex step gives the value."""
        __tracebackhide__ = True
        try:
            y = self.checked.value(arrays)
        except TypeError as error:
            raise self._not_analytic(str(error)) from error
        if y.dtype.kind != "c":
            step = Central.eps * _size(self.checked.arrays[k], direction)
            if any(sides.rounding for sides in self.sides(k, direction, step)):
                raise self._not_analytic("its result lost the complex step")
            return np.zeros(y.size)  # the result does not depend on this input
        imaginary: Array = y.imag.ravel()
        return imaginary

    def _compare_with_differences(self, k: int, direction: Any, found: Sequence[Found]) -> None:
        """Raise an error if the complex step and real differences give different slopes."""
        __tracebackhide__ = True
        real = Central(self.checked, self.y, list(self.seeds), self.floors, rtol=1e-4)
        differing = real.first_difference(k, direction, [each.slope for each in found])
        if differing is not None:
            raise self._not_analytic(
                f"by {self.checked.labels[k]} at {place(self.checked.arrays[k], direction)} the "
                f"complex step gives {differing[0]:.6g}, and real differences "
                f"{differing[1].slope:.6g}"
            )

    def _not_analytic(self, reason: str) -> GradcheckError:
        return GradcheckError(f'{self.checked.name}: not analytic ({reason}); use method="central"')


def seeds_by_size(checked: Checked, seed: Array) -> list[Array]:
    """Split a seed into several, one for each group of outputs with slopes of similar size.

    In one sum, an output with slopes of 1e6 would hide an error in an output with slopes of 1,
    because the error would be smaller than the tolerance.
    """
    __tracebackhide__ = True
    rng = np.random.default_rng(2)
    directions = [rng.choice([-1.0, 1.0], a.shape) for a in checked.arrays]
    ends = []
    for sign in (1.0, -1.0):
        moved = [
            np.asarray(a + sign * Central.eps * np.maximum(1.0, np.abs(a)) * direction)
            for a, direction in zip(checked.arrays, directions, strict=True)
        ]
        ends.append(checked.value(moved))
    sizes = np.abs(ends[0] - ends[1])
    largest = float(sizes[np.isfinite(sizes)].max(initial=0.0))
    if largest == 0.0:
        return [seed]
    levels = np.floor(np.log10(largest / sizes) / 3)  # one level for each factor of 1000
    levels = np.where(np.isfinite(sizes), levels.clip(0, 3), 0)
    return [np.where(levels == level, seed, 0.0) for level in np.unique(levels)]


def _size(a: Array, direction: Any) -> float:
    entries = a if isinstance(direction, np.ndarray) else a[direction]
    return float(np.abs(entries).max(initial=1.0))


def _moved(a: Array, direction: Any, step: complex) -> Array:
    if isinstance(direction, np.ndarray):
        return np.asarray(a + step * direction)
    moved: Array = a.copy()
    moved[direction] += step
    return moved


def place(a: Array, direction: Any) -> str:
    """Return a description of an index or a direction in an array, for a message."""
    if isinstance(direction, np.ndarray):
        return "a random direction"
    return f"index {direction} (value {a[direction]:.6g})"
