"""Functions that the layers share: they make parameters and check settings."""

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from ..arrays import Array, Rng
from ..tensor import Tensor, from_numpy
from . import init

__all__ = [
    "Initializer",
    "check_number",
    "check_probability",
    "check_switch",
    "make_affine",
    "make_parameter",
]

Initializer: TypeAlias = Callable[[Sequence[int], Rng], Array]


def make_parameter(a: Array) -> Tensor:
    """Return a parameter of float32 that holds the array."""
    return from_numpy(np.ascontiguousarray(a, np.float32), requires_grad=True)


def make_affine(
    shape: tuple[int, ...], bias: bool, rng: Rng, weight_init: Initializer | None = None
) -> tuple[Tensor, Tensor | None]:
    """Make a weight of shape (out, in, ...) and a bias of shape (out,), or None without a bias.

    By default both are uniform in +-1/sqrt(fan in), as in PyTorch. With `weight_init`, the bias is
    zero.
    """
    rng = np.random.default_rng(rng)
    if weight_init is not None:
        weight = make_parameter(weight_init(shape, rng))
        return weight, make_parameter(np.zeros(shape[0])) if bias else None
    bound = 1 / math.sqrt(init.fans(shape)[0])
    weight = make_parameter(rng.uniform(-bound, bound, shape))
    return weight, make_parameter(rng.uniform(-bound, bound, shape[0])) if bias else None


def check_switch(layer: str, name: str, value: Any) -> bool:
    """Return a setting that is true or false; TypeError for anything else, such as an rng."""
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    raise TypeError(
        f"{layer}: expected {name} to be True or False, got {type(value).__name__}; a generator or "
        "seed goes by its keyword, rng="
    )


def check_number(layer: str, name: str, value: Any) -> Any:
    """Return a setting that is a number; TypeError for anything else, such as an input."""
    if isinstance(value, (int, float, np.number)):
        return value
    raise TypeError(
        f"{layer}: expected {name} to be a number, got {type(value).__name__}; "
        f"to call a layer, make it first, as {layer}()(x)"
    )


def check_probability(layer: str, name: str, value: Any) -> float:
    """Return a probability in [0, 1)."""
    if not 0 <= check_number(layer, name, value) < 1:
        raise ValueError(f"{layer}: expected a probability {name} in [0, 1), got {value}")
    return float(value)
