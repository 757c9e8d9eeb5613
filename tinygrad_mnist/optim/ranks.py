"""The processes that train one model together, and how they exchange values."""

from collections.abc import Sequence
from typing import Any, TypeVar

from ..nn import Module
from ..tensor import Tensor

__all__ = ["ALONE", "Ranks"]

T = TypeVar("T")


class Ranks:
    """The processes that train one model together; this class is for a single one, rank 0 of 1.

    Every optimizer has a `Ranks` object. For several processes it is a `parallel.MPIRanks`, whose
    methods talk to the other ranks. In this class they return what they are given.
    """

    rank: int = 0
    size: int = 1

    @property
    def share(self) -> slice:
        """The examples of a batch that belong to this rank: every `size`-th one."""
        return slice(self.rank, None, self.size)

    def gather(self, value: T) -> list[T]:
        """Return the values of all ranks, in the order of the ranks."""
        return [value]

    def from_first(self, value: T) -> T:
        """Return the value of rank 0."""
        return value

    def require_same(self, op: str, **values: Any) -> None:
        """Raise a ValueError on every rank if a value differs between ranks."""
        first, *others = self.gather(values)
        for name, expected in first.items():
            differing = [rank for rank, other in enumerate(others, 1) if other[name] != expected]
            if differing:
                raise ValueError(
                    f"{op}: expected the same {name.replace('_', ' ')} on all ranks, but that of "
                    f"rank(s) {differing} differs from rank 0's"
                )

    def average_gradients(self, params: Sequence[Tensor]) -> None:
        """Give each parameter the mean of the ranks' gradients."""

    def start_epoch(self, model: Module) -> None:
        """Let each rank draw different random numbers."""

    def end_epoch(self, model: Module) -> None:
        """Make buffers, such as running statistics, the same on all ranks."""


ALONE = Ranks()
