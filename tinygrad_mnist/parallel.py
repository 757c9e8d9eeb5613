"""Data-parallel training over MPI: n ranks with batches of B/n take the step of one process with batches of B."""

import hashlib
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from .arrays import Array
from .datasets import Batches
from .nn import Module
from .optim import Optimizer

__all__ = ["DistributedOptimizer", "ShardedBatches", "broadcast", "communicator", "share_cores"]


def communicator() -> Any:
    """Return MPI's world communicator; on any rank that raises, the whole job is aborted with its traceback.

    Raises
    ------
    ImportError
        Naming the extra to install, if mpi4py is not there.
    """
    try:
        from mpi4py import MPI
    except ImportError as error:
        raise ImportError("parallel training needs MPI: pip install 'tinygrad-mnist[mpi]', and run under mpiexec") from error
    world = MPI.COMM_WORLD
    if world.size > 1 and sys.excepthook is sys.__excepthook__:

        def abort(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
            print(f"rank {world.rank} of {world.size}:", file=sys.stderr)
            traceback.print_exception(kind, error, trace)
            sys.stderr.flush()
            world.Abort(1)  # else the other ranks would wait for this one for ever

        sys.excepthook = abort
    return world


def broadcast(model: Module, comm: Any) -> None:
    """Give every rank the parameters and buffers of rank 0.

    Raises
    ------
    ValueError
        On every rank, if the names, shapes or dtypes differ between ranks.
    """
    state = model.state_dict()
    description = repr([(name, a.shape, a.dtype.str) for name, a in state.items()])
    digests = comm.allgather(hashlib.sha256(description.encode()).hexdigest())
    if len(set(digests)) > 1:
        others = [rank for rank, digest in enumerate(digests) if digest != digests[0]]
        raise ValueError(f"broadcast: the model of rank(s) {others} differs from that of rank 0 in names, shapes or dtypes")
    for a in state.values():
        comm.Bcast(a, root=0)
    model.load_state_dict(state)


class DistributedOptimizer:
    """An optimizer whose steps use the mean of all ranks' gradients; the rest of it is the optimizer's own.

    Parameters
    ----------
    optimizer : Optimizer
    model : Module
        What rank 0 has of it is given to all ranks at once.
    comm : mpi4py communicator, optional
        By default the world.

    Notes
    -----
    Gradients are packed into one buffer a dtype and summed by one Allreduce. A rank's gradients are weighted by `weight`
    (1 by default), the share of the global batch that it has seen times the number of ranks: see `ShardedBatches`.
    """

    def __init__(self, optimizer: Optimizer, model: Module, comm: Any = None) -> None:
        self.optimizer = optimizer
        self.comm = communicator() if comm is None else comm
        self.weight = 1.0
        if self.comm.size > 1:
            broadcast(model, self.comm)

    if TYPE_CHECKING:

        def zero_grad(self) -> None: ...  # noqa: D102

    def __getattr__(self, name: str) -> Any:
        return getattr(self.optimizer, name)

    @property
    def lr(self) -> float:
        """The learning rate of the optimizer within."""
        return self.optimizer.lr

    @lr.setter
    def lr(self, value: float) -> None:
        self.optimizer.lr = value

    def shard(self, batches: Batches) -> "ShardedBatches":
        """Return this rank's share of each batch; `fit` asks for it by itself."""
        return ShardedBatches(batches, self)

    def step(self) -> None:
        """Average the gradients over the ranks, and update."""
        if self.comm.size > 1:
            self._reduce()
        self.optimizer.step()

    def _reduce(self) -> None:
        by_dtype: dict[np.dtype[Any], list[Any]] = {}
        for p in self.optimizer.params:
            if p.requires_grad:  # a rank whose share of a batch is empty has no gradients: it adds zeros
                by_dtype.setdefault(p.dtype, []).append(p)
        for dtype, params in by_dtype.items():
            packed = np.concatenate([np.zeros(p.size, dtype) if p.grad is None else p.grad.ravel() for p in params])
            packed *= dtype.type(self.weight / self.comm.size)
            total = np.empty_like(packed)
            self.comm.Allreduce(packed, total)
            place = 0
            for p in params:
                p.grad = total[place : place + p.size].reshape(p.shape)
                place += p.size


class ShardedBatches:
    """Batches of which each rank sees its own share: every example once an epoch, on one rank.

    All ranks shuffle with the same seed, so they agree on each global batch; rank r takes every n-th of its examples,
    and the optimizer's `weight` is set so that uneven shares count by their size.

    Parameters
    ----------
    batches : Batches
        The global ones, with the same seed on every rank.
    optimizer : DistributedOptimizer
    """

    def __init__(self, batches: Batches, optimizer: DistributedOptimizer) -> None:
        self.batches, self.optimizer = batches, optimizer

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[tuple[Array, Array]]:
        comm = self.optimizer.comm
        for x, y in self.batches:
            mine = slice(comm.rank, None, comm.size)
            self.optimizer.weight = len(x[mine]) * comm.size / len(x)
            yield x[mine], y[mine]


@contextmanager
def share_cores(comm: Any) -> Iterator[None]:
    """Share the cores between the ranks of this machine: each rank's BLAS gets its part, at least one thread."""
    from mpi4py import MPI
    from threadpoolctl import threadpool_limits

    here = comm.Split_type(MPI.COMM_TYPE_SHARED).size
    with threadpool_limits(max((os.cpu_count() or 1) // here, 1), user_api="blas"):
        yield
