"""Who this process is among those that train one model together, and what they tell each other."""

from collections.abc import Sequence
from typing import Any, TypeVar

from ..nn import Module
from ..tensor import Tensor

__all__ = ["ALONE", "Ranks"]

T = TypeVar("T")


class Ranks:
    """The processes that train one model together; this class is for one alone, rank 0 of 1.

    An optimizer carries its ranks. Those of several processes are `parallel.MPIRanks`, whose
    methods talk to the other ranks; here they return what they are given.
    """

    rank: int = 0
    size: int = 1

    @property
    def share(self) -> slice:
        """Which examples of a batch are this rank's: every `size`-th."""
        return slice(self.rank, None, self.size)

    def gather(self, value: T) -> list[T]:
        """Return the value of each rank, in their order."""
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
        """Let each rank draw random numbers of its own."""

    def end_epoch(self, model: Module) -> None:
        """Make buffers, such as running statistics, the same on all ranks."""


ALONE = Ranks()
