"""Sequential: layers one after the other."""

from collections.abc import Callable, Iterator
from typing import Any, overload

from ..tensor import Tensor
from .module import Module

__all__ = ["Sequential"]


class Sequential(Module):
    """Layers one after the other; parameters are named by position, such as `0.weight`.

    Parameters
    ----------
    *layers : Module or function of one Tensor

    Examples
    --------
    >>> from tinygrad_mnist.nn import Linear, ReLU
    >>> model = Sequential(Linear(4, 3, rng=0), ReLU(), Linear(3, 2, rng=1))
    >>> model(Tensor([[1.0, 2.0, 3.0, 4.0]])).shape
    (1, 2)
    >>> model[:2]
    Sequential(
      (0): Linear(in_features=4, out_features=3)
      (1): ReLU()
    )
    """

    def __init__(self, *layers: Module | Callable[[Tensor], Tensor]) -> None:
        for i, layer in enumerate(layers):
            _check_layer(i, layer)
            setattr(self, str(i), layer)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self:
            x = layer(x)
        return x

    def __iter__(self) -> Iterator[Any]:
        attributes = list(vars(self).items())  # a copy: another thread may call train() meanwhile
        return iter([layer for name, layer in attributes if name.isdigit()])

    def _shown(self) -> list[tuple[str, Any]]:
        """Return the layers with their positions, including functions."""
        return [(str(i), layer) for i, layer in enumerate(self)]

    def __len__(self) -> int:
        return sum(1 for _ in self)

    @overload
    def __getitem__(self, index: int) -> Any: ...

    @overload
    def __getitem__(self, index: slice) -> "Sequential": ...

    def __getitem__(self, index: int | slice) -> Any:
        """Return the layer at a position; for a slice, return a Sequential of these layers."""
        found = list(self)[index]
        if not isinstance(index, slice):
            return found
        part = Sequential(*found)
        part._training = self._training
        return part


def _check_layer(position: int, layer: Any) -> None:
    kind = type(layer).__name__
    if isinstance(layer, type) and issubclass(layer, Module):
        raise TypeError(
            f"Sequential: expected a layer at position {position}, got the class {layer.__name__}; "
            f"write {layer.__name__}() with parentheses"
        )
    if isinstance(layer, (list, tuple)):
        raise TypeError(
            f"Sequential: expected modules or functions, got a {kind} at position {position}; "
            "write Sequential(*layers)"
        )
    if not callable(layer):
        raise TypeError(
            f"Sequential: expected modules or functions, got {kind} at position {position}"
        )
