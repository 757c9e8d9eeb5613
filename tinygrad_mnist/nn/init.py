"""Initial weights: functions of a shape (out, in, ...) and a random generator or seed.

Each returns a float32 array.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from ..arrays import Array, Rng
from ..ops.foreign import missing
from .foreign import INITIALISERS

__all__ = ["fans", "he_normal", "he_uniform", "normal", "xavier_normal", "xavier_uniform", "zeros"]


def fans(shape: Sequence[int]) -> tuple[int, int]:
    """Return (fan in, fan out), the numbers of connections into and out of a unit.

    The weight has the shape (out, in, ...).
    """
    if len(shape) < 2:
        raise ValueError(
            f"init: expected a shape of at least two axes (out, in, ...), got {tuple(shape)}"
        )
    receptive = math.prod(shape[2:])
    return shape[1] * receptive, shape[0] * receptive


def _uniform(shape: Sequence[int], rng: Rng, bound: float) -> Array:
    return np.random.default_rng(rng).uniform(-bound, bound, shape).astype(np.float32)


def _normal(shape: Sequence[int], rng: Rng, std: float) -> Array:
    return (np.random.default_rng(rng).standard_normal(shape) * std).astype(np.float32)


def xavier_uniform(shape: Sequence[int], rng: Rng = None, *, gain: float = 1.0) -> Array:
    """Uniform in +-gain * sqrt(6 / (fan in + fan out)) (Glorot & Bengio 2010)."""
    return _uniform(shape, rng, gain * math.sqrt(6 / max(sum(fans(shape)), 1)))


def xavier_normal(shape: Sequence[int], rng: Rng = None, *, gain: float = 1.0) -> Array:
    """Normal with standard deviation gain * sqrt(2 / (fan in + fan out)) (Glorot & Bengio 2010)."""
    return _normal(shape, rng, gain * math.sqrt(2 / max(sum(fans(shape)), 1)))


def he_uniform(shape: Sequence[int], rng: Rng = None, *, gain: float = math.sqrt(2)) -> Array:
    """Uniform in +-gain * sqrt(3 / fan in), for ReLU (He et al. 2015)."""
    return _uniform(shape, rng, gain * math.sqrt(3 / max(fans(shape)[0], 1)))


def he_normal(shape: Sequence[int], rng: Rng = None, *, gain: float = math.sqrt(2)) -> Array:
    """Normal with standard deviation gain / sqrt(fan in), for ReLU (He et al. 2015)."""
    return _normal(shape, rng, gain / math.sqrt(max(fans(shape)[0], 1)))


def normal(shape: Sequence[int], rng: Rng = None, *, std: float | None = None) -> Array:
    """Normal with the given standard deviation, by default 1 / sqrt(fan in) (LeCun et al. 1998)."""
    return _normal(shape, rng, 1 / math.sqrt(max(fans(shape)[0], 1)) if std is None else std)


def zeros(shape: Sequence[int], rng: Rng = None) -> Array:
    """Zeros; it takes an `rng` only so that it can replace the other functions."""
    return np.zeros(shape, np.float32)


if not TYPE_CHECKING:  # because a module with a __getattr__ accepts every name

    def __getattr__(name: str) -> NoReturn:
        """Raise the error for an unknown name, with our name for it if other libraries have it."""
        raise AttributeError(missing(f"module {__name__!r}", name, INITIALISERS), name=name)
