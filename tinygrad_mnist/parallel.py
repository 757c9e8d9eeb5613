"""Data-parallel training over MPI: n ranks with batches of B/n take the step of one process with batches of B."""

import os
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from .arrays import Array
from .datasets import Batches
from .errors import CheckpointError
from .nn import Module
from .optim import Optimizer
from .pool import empty
from .train import Data, Loss, Metrics, evaluate

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
        raise ImportError(
            "parallel training needs MPI: pip install 'tinygrad-mnist[mpi]', and run under mpiexec"
        ) from error
    world = MPI.COMM_WORLD
    if world.size > 1 and sys.excepthook is sys.__excepthook__:

        def abort(_kind: Any, error: BaseException, _trace: Any) -> None:
            text = "".join(traceback.format_exception(error))
            print(f"rank {world.rank} of {world.size}:\n{text}", file=sys.stderr, flush=True)
            time.sleep(0.3)  # for mpiexec to pass the text on, before it ends all that it started
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
    described = comm.allgather([(name, a.shape, a.dtype.str) for name, a in state.items()])
    others = [rank for rank, description in enumerate(described) if description != described[0]]
    if others:
        raise ValueError(
            f"broadcast: the model of rank(s) {others} differs from that of rank 0 in names, shapes or dtypes"
        )
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
    Gradients are packed into one buffer a dtype and summed by one Allreduce. A rank's gradients are
    weighted by `weight` (1 by default), the share of the global batch that it has seen times the
    number of ranks: see `ShardedBatches`.

    What a layer computes over its batch, as `BatchNorm1d` does its means, it computes over the
    rank's share. Running statistics are averaged over the ranks after each epoch, and each rank's
    `Dropout` draws numbers of its own.
    """

    lr: float  # the optimizer's own

    def __init__(self, optimizer: Optimizer, model: Module, comm: Any = None) -> None:
        self.optimizer, self.model = optimizer, model
        self.comm = communicator() if comm is None else comm
        self.weight = 1.0
        if self.comm.size > 1:
            broadcast(model, self.comm)

    def __getattr__(self, name: str) -> Any:
        return getattr(
            object.__getattribute__(self, "optimizer"), name
        )  # no endless search where there is none yet

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in vars(self) and hasattr(vars(self).get("optimizer"), name):
            setattr(self.optimizer, name, value)  # a rate, a momentum: they are used there
        else:
            object.__setattr__(self, name, value)

    def zero_grad(self) -> None:
        """Set the gradient of every parameter to None."""
        self.optimizer.zero_grad()

    def step(self) -> None:
        """Average the gradients over the ranks, and update."""
        if self.comm.size > 1:
            self._average_gradients()
        self.optimizer.step()

    def _average_gradients(self) -> None:
        from mpi4py import MPI

        trained = [p for p in self.optimizer.params if p.requires_grad]
        for dtype in dict.fromkeys(p.dtype for p in trained):
            params = [p for p in trained if p.dtype == dtype]
            # a rank whose share of a batch is empty has no gradients, and adds zeros; the flags at
            # the end tell which parameters have a gradient on some rank: one that has none anywhere
            # keeps none, as in a single process
            flags = np.array([p.grad is not None for p in params], dtype)
            parts = [
                *(np.zeros(p.size, dtype) if (g := p.grad) is None else g.ravel() for p in params),
                flags,
            ]
            packed = np.concatenate(parts, out=empty((sum(map(len, parts)),), dtype))
            packed[: -len(params)] *= dtype.type(self.weight / self.comm.size)
            self.comm.Allreduce(MPI.IN_PLACE, packed)
            *means, flags = np.split(packed, np.cumsum([p.size for p in params]))
            for p, mean, live in zip(params, means, flags != 0, strict=True):
                if p.grad is not None:
                    np.copyto(p.grad, mean.reshape(p.shape))
                elif live:
                    p.grad = mean.reshape(p.shape)

    # What `fit` asks for by itself

    def shard(self, batches: Batches) -> "ShardedBatches":
        """Return this rank's share of each batch."""
        return ShardedBatches(batches, self)

    def evaluate(self, model: Module, loss: Loss, data: Data) -> Metrics:
        """Measure as `train.evaluate` does, each rank its share of the data; every rank gets the same answer."""
        if (
            self.comm.size == 1 or len(data[0]) == 0 or len(data[0]) != len(data[1])
        ):  # which is an error, on every rank
            return evaluate(model, loss, data)
        mine = slice(self.comm.rank, None, self.comm.size)
        x, y = data[0][mine], data[1][mine]
        measured = (
            evaluate(model, loss, (x, y)) if len(x) else None
        )  # there may be fewer examples than ranks
        shares = [(n, m) for n, m in self.comm.allgather((len(x), measured)) if m is not None]
        total = sum(n for n, _ in shares)
        counts = [m.confusion for _, m in shares if m.confusion is not None]
        confusion = np.sum(counts, axis=0) if counts else None
        accuracy = np.nan if confusion is None else float(np.trace(confusion) / total)
        return Metrics(sum(n * m.loss for n, m in shares) / total, accuracy, confusion)

    def exists(self, path: str | os.PathLike[str]) -> bool:
        """Return whether a file is there, for every rank; an error if only some can see it."""
        found = self.comm.allgather(os.path.exists(path))
        if len(set(found)) > 1:
            blind = [rank for rank, there in enumerate(found) if not there]
            raise CheckpointError(
                f"{path}: expected a file that all ranks can read, but rank(s) {blind} cannot see it"
            )
        return bool(found[0])


class ShardedBatches:
    """Batches of which each rank sees its own share: every example once an epoch, on one rank.

    Rank 0 shuffles for all. Rank r takes every n-th example of each batch, and the optimizer's
    `weight` is set so that uneven shares count by their size.

    Parameters
    ----------
    batches : Batches
        The global ones, of the same examples on every rank.
    optimizer : DistributedOptimizer
    """

    def __init__(self, batches: Batches, optimizer: DistributedOptimizer) -> None:
        self.batches, self.optimizer = batches, optimizer

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[tuple[Array, Array]]:
        comm, (x, y), size = (
            self.optimizer.comm,
            (self.batches.inputs, self.batches.targets),
            self.batches.batch_size,
        )
        order = comm.bcast(
            self.batches.order()
        )  # rank 0's: Dropout may draw from the same generator, differently on each rank
        for (
            _,
            generator,
        ) in (
            self.optimizer.model.named_generators()
        ):  # to numbers of each rank's own, far ahead of rank 0's
            bits: Any = generator.bit_generator
            bits.state = comm.bcast(bits.state)
            if comm.rank:
                bits.state = bits.jumped(comm.rank).state
        order = np.arange(len(x)) if order is None else order
        for start in range(0, len(self) * size, size):
            batch = order[start : start + size]
            mine = batch[comm.rank :: comm.size]
            self.optimizer.weight = len(mine) * comm.size / len(batch)
            yield x[mine], y[mine]
        for (
            _,
            buffer,
        ) in (
            self.optimizer.model.named_buffers()
        ):  # running statistics: from now on the same everywhere
            if buffer.dtype.kind in "fc":
                buffer[...] = comm.allreduce(buffer) / comm.size
            else:
                buffer[...] = comm.bcast(buffer)


@contextmanager
def share_cores(comm: Any) -> Iterator[None]:
    """Share the cores between the ranks of this machine: each rank's BLAS gets its part, at least one thread."""
    from mpi4py import MPI
    from threadpoolctl import threadpool_limits

    here = comm.Split_type(MPI.COMM_TYPE_SHARED).size
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    with threadpool_limits(max(cores // here, 1), user_api="blas"):
        yield
