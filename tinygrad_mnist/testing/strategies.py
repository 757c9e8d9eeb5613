"""Hypothesis strategies for Tensors: shapes, tensors, broadcastable, labels, away_from."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ..arrays import Array
from ..tensor import Tensor

__all__ = ["away_from", "broadcastable", "labels", "shapes", "tensors"]

Strategy = st.SearchStrategy

# Moderate sizes, so that operations do not overflow and finite differences are exact enough.
_NUMBERS: Strategy[Any] = st.floats(-8, 8).map(lambda v: round(v, 4))


def shapes(
    min_dims: int = 0, max_dims: int = 3, min_side: int = 0, max_side: int = 4
) -> Strategy[tuple[int, ...]]:
    """Return a strategy of shapes, which shrinks to few and short axes."""
    return hnp.array_shapes(
        min_dims=min_dims, max_dims=max_dims, min_side=min_side, max_side=max_side
    )


def tensors(
    shape: tuple[int, ...] | Strategy[tuple[int, ...]] | None = None,
    dtype: npt.DTypeLike = np.float64,
    elements: Strategy[Any] | None = None,
    requires_grad: bool = True,
) -> Strategy[Tensor]:
    """Return a strategy of Tensors.

    Parameters
    ----------
    shape : tuple of ints, or strategy of them, optional
        By default `shapes()`.
    dtype : numpy dtype
    elements : strategy of numbers, optional
        By default between -8 and 8. Use `away_from(0)` to avoid a kink at 0.
    requires_grad : bool
    """
    kind = np.dtype(dtype)
    # Round the numbers to the precision of the dtype.
    fitting = (_NUMBERS if elements is None else elements).map(lambda v: kind.type(v).item())
    arrays = hnp.arrays(kind, shapes() if shape is None else shape, elements=fitting)
    return arrays.map(lambda a: Tensor(a, requires_grad=requires_grad))


def broadcastable(
    n: int,
    dtype: npt.DTypeLike = np.float64,
    elements: Strategy[Any] | Sequence[Strategy[Any]] | None = None,
    requires_grad: bool = True,
    max_dims: int = 3,
    max_side: int = 4,
) -> Strategy[tuple[Tensor, ...]]:
    """Return a strategy of tuples of n Tensors whose shapes broadcast with each other.

    Parameters
    ----------
    n : int
    dtype : numpy dtype
    elements : strategy of numbers, or a sequence of n of them, optional
        As in `tensors`. A sequence has one strategy for each Tensor, for example if only the
        exponents must be positive.
    requires_grad : bool
    max_dims, max_side : int
        Limits of the shapes.

    Raises
    ------
    ValueError
        If the sequence does not have n strategies.
    """
    each = list(elements) if isinstance(elements, Sequence) else [elements] * n
    if len(each) != n:
        raise ValueError(
            f"broadcastable: expected one strategy of elements for each of {n} Tensors, got "
            f"{len(each)}"
        )
    together = hnp.mutually_broadcastable_shapes(
        num_shapes=n, max_dims=max_dims, max_side=max_side, min_side=0
    )
    return together.flatmap(
        lambda found: st.tuples(
            *(
                tensors(shape, dtype, its_elements, requires_grad)
                for shape, its_elements in zip(found.input_shapes, each, strict=True)
            )
        )
    )


def labels(n: int, num_classes: int) -> Strategy[Array]:
    """Return a strategy of n integer labels in [0, num_classes), as an int64 array."""
    return hnp.arrays(np.int64, (n,), elements=st.integers(0, num_classes - 1))


def away_from(
    *points: float, gap: float = 0.01, low: float = -8.0, high: float = 8.0
) -> Strategy[float]:
    """Return a strategy of numbers in [low, high] at least `gap` from each point.

    Use it to keep elements away from the kinks of a function.

    Raises
    ------
    ValueError
        If no number is left.
    """
    starts = [low, *(point + gap for point in sorted(points))]
    ends = [*(point - gap for point in sorted(points)), high]
    limited = [(max(a, low), min(b, high)) for a, b in zip(starts, ends, strict=True)]
    between = [(a, b) for a, b in limited if a <= b]
    if not between:
        raise ValueError(
            f"away_from: no number in [{low}, {high}] is at least {gap} away from each of {points}"
        )
    # Hypothesis shrinks to the first interval, so the one nearest to 0 comes first (positive wins).
    between.sort(key=lambda e: (0 if e[0] <= 0 <= e[1] else min(abs(e[0]), abs(e[1])), e[1] < 0))
    return st.one_of(*(st.floats(a, b, allow_subnormal=False) for a, b in between))
