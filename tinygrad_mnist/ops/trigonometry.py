"""Trigonometric and hyperbolic functions, elementwise."""

import numpy as np

from ..arrays import Array
from ..graph import Forward, Grads, Needs
from ..tensor import Tensor, TensorLike, apply

__all__ = ["cos", "sin", "tanh"]


def _sin(x: Array) -> Forward:
    y = np.sin(x)

    def vjp(g: Array, needs: Needs) -> Grads:
        g *= np.cos(x)
        return (g,)

    return y, vjp


def sin(x: TensorLike) -> Tensor:
    """Sine of x in radians, elementwise."""
    return apply(_sin, x)


def _cos(x: Array) -> Forward:
    y = np.cos(x)

    def vjp(g: Array, needs: Needs) -> Grads:
        g *= -np.sin(x)
        return (g,)

    return y, vjp


def cos(x: TensorLike) -> Tensor:
    """Cosine of x in radians, elementwise."""
    return apply(_cos, x)


def _tanh(x: Array) -> Forward:
    y = np.tanh(x)

    def vjp(g: Array, needs: Needs) -> Grads:
        g *= 1 - y * y
        return (g,)

    return y, vjp


def tanh(x: TensorLike) -> Tensor:
    """Hyperbolic tangent, elementwise."""
    return apply(_tanh, x)
