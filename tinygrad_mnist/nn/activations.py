"""Layers without parameters: the activations, Softmax and Identity."""

from ..ops.activation import elu, gelu, leaky_relu, relu, sigmoid, silu, softplus
from ..ops.norm import softmax
from ..ops.trigonometry import tanh
from ..tensor import Tensor
from .module import Module
from .parameters import check_number

__all__ = [
    "ELU", "GELU", "Identity", "LeakyReLU", "ReLU", "SiLU", "Sigmoid", "Softmax", "Softplus",
    "Tanh",
]  # fmt: skip


class ReLU(Module):
    """The rectifier max(x, 0)."""

    def forward(self, x: Tensor) -> Tensor:
        return relu(x)


class LeakyReLU(Module):
    """The leaky rectifier: x where x > 0, else negative_slope * x."""

    def __init__(self, negative_slope: float = 0.01) -> None:
        self.negative_slope = check_number("LeakyReLU", "negative_slope", negative_slope)

    def forward(self, x: Tensor) -> Tensor:
        return leaky_relu(x, self.negative_slope)


class Sigmoid(Module):
    """The logistic function 1 / (1 + e**-x)."""

    def forward(self, x: Tensor) -> Tensor:
        return sigmoid(x)


class Tanh(Module):
    """The hyperbolic tangent."""

    def forward(self, x: Tensor) -> Tensor:
        return tanh(x)


class ELU(Module):
    """The exponential linear unit: x where x > 0, else alpha * (e**x - 1)."""

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = check_number("ELU", "alpha", alpha)

    def forward(self, x: Tensor) -> Tensor:
        return elu(x, self.alpha)


class GELU(Module):
    """The Gaussian error linear unit x * Phi(x), exact or by PyTorch's formula with tanh."""

    def __init__(self, approximate: str = "none") -> None:
        if approximate not in ("none", "tanh"):
            raise ValueError(f'GELU: expected approximate "none" or "tanh", got {approximate!r}')
        self.approximate = approximate

    def forward(self, x: Tensor) -> Tensor:
        return gelu(x, self.approximate)


class SiLU(Module):
    """The sigmoid linear unit x * sigmoid(x), also known as swish."""

    def forward(self, x: Tensor) -> Tensor:
        return silu(x)


class Softplus(Module):
    """The smooth rectifier log(1 + e**x)."""

    def forward(self, x: Tensor) -> Tensor:
        return softplus(x)


class Softmax(Module):
    """The softmax e**x / sum(e**x) along an axis.

    `softmax_cross_entropy` takes logits, so a model that is trained with it does not need Softmax.
    """

    def __init__(self, axis: int = -1) -> None:
        self.axis = check_number("Softmax", "axis", axis)

    def forward(self, x: Tensor) -> Tensor:
        return softmax(x, axis=self.axis)


class Identity(Module):
    """Returns its input unchanged; a placeholder in a model."""

    def forward(self, x: Tensor) -> Tensor:
        return x
