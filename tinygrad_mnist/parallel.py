"""Data-parallel training over MPI: n ranks with batches of B/n step as one process would."""

import atexit
import functools
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, TypeVar

import numpy as np

from .arrays import Array
from .datasets import Batches
from .nn import Module
from .optim import Optimizer, Ranks
from .pool import empty
from .tensor import Tensor
from .train import Metrics, evaluate
from .train.feed import ArrayFeed, Data
from .train.scores import Loss

__all__ = [
    "DistributedOptimizer",
    "MPIRanks",
    "ShardedBatches",
    "broadcast",
    "communicator",
    "share_cores",
]

T = TypeVar("T")


def communicator() -> Any:
    """Return MPI's world communicator; from now on, a rank that fails ends the whole job.

    A rank that raises an error, in any thread, prints its traceback and ends the job. A rank that
    exits in another way, for instance by `sys.exit`, also ends the job if another rank waits for it
    in a collective of this communicator.

    Raises
    ------
    ImportError
        If mpi4py is not installed. The message names the extra to install.
    """
    try:
        from mpi4py import MPI
    except ImportError as error:
        raise ImportError(
            "parallel training needs MPI: pip install 'tinygrad-mnist[mpi]', and run under mpiexec"
        ) from error
    world = _attend(MPI.COMM_WORLD)
    if world.size > 1:
        _end_job_on_errors(world)
    return world


def _end_job_on_errors(world: Any) -> None:
    """End the job at an uncaught exception in any thread, or other ranks would wait for ever."""

    def end_job(error: BaseException) -> None:
        text = "".join(traceback.format_exception(error))
        _abort(world, f"rank {world.rank} of {world.size}:\n{text}")

    def end_job_for_thread(error: BaseException | None) -> None:
        if error is not None and not isinstance(error, SystemExit):  # it ends a thread quietly
            end_job(error)

    if sys.excepthook is sys.__excepthook__:
        sys.excepthook = lambda kind, error, trace: end_job(error)
    if threading.excepthook is threading.__excepthook__:
        threading.excepthook = lambda found: end_job_for_thread(found.exc_value)


def _abort(comm: Any, text: str) -> None:
    print(text, file=sys.stderr, flush=True)
    time.sleep(0.3)  # gives mpiexec time to print the text before it ends all ranks
    comm.Abort(1)


# Ranks that end
#
# When a rank has ended, others could wait for ever in a collective that it will never enter. So
# each rank counts the collectives that it enters, in memory that the others can read. A rank that
# ends stays until all have ended, and looks at the counts. If another rank has entered more
# collectives, that rank waits in vain, and the job is aborted.

_COLLECTIVES = (
    "Barrier", "Bcast", "Gather", "Gatherv", "Scatter", "Scatterv", "Allgather", "Allgatherv",
    "Alltoall", "Alltoallv", "Alltoallw", "Reduce", "Allreduce", "Reduce_scatter",
    "Reduce_scatter_block", "Scan", "Exscan",
    "barrier", "bcast", "gather", "scatter", "allgather", "alltoall", "reduce", "allreduce", "scan",
    "exscan",
    "Ibarrier", "Ibcast", "Igather", "Igatherv", "Iscatter", "Iscatterv", "Iallgather",
    "Iallgatherv", "Ialltoall", "Ialltoallv", "Ialltoallw", "Ireduce", "Iallreduce",
    "Ireduce_scatter", "Ireduce_scatter_block", "Iscan", "Iexscan",
    "Dup", "Clone", "Split", "Split_type", "Create",
)  # fmt: skip
_ENTERED, _ENDED = 0, 1  # the numbers that each rank shows to the others


class _Attendance:
    """How many collectives each rank of a communicator has entered, and whether it has ended."""

    def __init__(self, comm: Any) -> None:
        from mpi4py import MPI

        self.comm = comm
        self.window = MPI.Win.Allocate(16, 8, comm=comm)
        memory: Any = self.window.tomemory()
        self.mine = np.frombuffer(memory, np.int64)
        self.mine[:] = 0
        self.window.Lock_all(MPI.MODE_NOCHECK)  # others may read while this rank writes
        comm.Barrier()  # nobody reads before all have written

    def read(self, rank: int) -> tuple[int, bool]:
        """Return another rank's count of collectives, and whether the rank has ended."""
        shown = np.zeros(2, np.int64)
        self.window.Get(shown, rank)
        self.window.Flush(rank)
        return int(shown[_ENTERED]), bool(shown[_ENDED])

    def find_waiting(self) -> tuple[list[int], bool]:
        """Return the ranks that wait for this ended rank, and whether all ranks have ended."""
        shown = [self.read(rank) for rank in range(self.comm.size)]
        entered = int(self.mine[_ENTERED])
        waiting = [rank for rank, (count, _) in enumerate(shown) if count > entered]
        return waiting, all(ended for _, ended in shown)

    def close(self) -> None:
        """Free the window; all ranks must do so together."""
        self.window.Unlock_all()
        self.window.Free()


_attended: dict[int, tuple[Any, _Attendance]] = {}  # MPI's handle -> communicator and its counts


@functools.cache
def _counting_class() -> Any:
    """Return the class of communicators that count the collectives they enter."""
    from mpi4py import MPI

    def count(method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            self.counts[_ENTERED] += 1
            return method(self, *args, **kwargs)

        return call

    methods = {name: count(getattr(MPI.Intracomm, name)) for name in _COLLECTIVES}
    # a communicator that is split off from one of these has its own counts, which nobody reads
    return type("Intracomm", (MPI.Intracomm,), {**methods, "counts": np.zeros(2, np.int64)})


def _attend(comm: Any) -> Any:
    """Return a communicator that counts its collectives, if there are other ranks."""
    if comm.size == 1:
        return comm
    key = comm.handle
    if key not in _attended:
        attendance = _Attendance(comm)
        counting = _counting_class()(comm)
        counting.counts = attendance.mine
        _attended[key] = counting, attendance
    return _attended[key][0]


def _is_one_of_several() -> bool:
    """Whether mpiexec started this process beside others; MPI itself may not have begun yet."""
    try:
        # a process that a rank has started inherits the variables, but not the open file
        os.fstat(int(os.environ["PMI_FD"]))
        return int(os.environ["PMI_SIZE"]) > 1
    except (KeyError, ValueError, OSError):
        return False


_PROCESS = os.getpid()


def _leave() -> None:
    """Stay until the other ranks have ended too; abort the job if one waits for this rank."""
    if os.getpid() != _PROCESS:  # a fork of a rank
        return
    if not _attended:
        if not _is_one_of_several() or find_spec("mpi4py") is None:
            return
        communicator()  # the others may already wait in it
    from mpi4py import MPI

    if MPI.Is_finalized():
        return
    for _, attendance in _attended.values():
        attendance.mine[_ENDED] = 1
    present = [attendance for _, attendance in _attended.values()]
    while present:
        for attendance in list(present):
            waiting, all_ended = attendance.find_waiting()
            if waiting:
                comm = attendance.comm
                about = f"rank {comm.rank} of {comm.size} has ended, and rank(s) {waiting} wait"
                _abort(MPI.COMM_WORLD, f"{about} for it in a collective; this ends the job")
            if all_ended:
                present.remove(attendance)
        time.sleep(0.02)
    for _, attendance in _attended.values():
        attendance.close()


# Registered here, not in communicator(): a rank may fail before it gets there.
atexit.register(_leave)


# Training together


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
            f"broadcast: the model of rank(s) {others} differs from that of rank 0 in names, "
            "shapes or dtypes"
        )
    for a in state.values():
        comm.Bcast(a, root=0)
    model.load_state_dict(state)


class MPIRanks(Ranks):
    """The ranks of an MPI communicator.

    Parameters
    ----------
    comm : mpi4py communicator

    Attributes
    ----------
    weight : float
        The weight of this rank's gradients. It is 1 for a rank with an equal share of the batch.
        `ShardedBatches` sets it to the rank's share times the number of ranks.
    """

    def __init__(self, comm: Any) -> None:
        self.comm, self.weight = _attend(comm), 1.0
        self.rank, self.size = comm.rank, comm.size

    def gather(self, value: T) -> list[T]:
        """Return the value of each rank, in their order."""
        return list(self.comm.allgather(value)) if self.size > 1 else [value]

    def from_first(self, value: T) -> T:
        """Return the value of rank 0."""
        first: T = self.comm.bcast(value) if self.size > 1 else value
        return first

    def average_gradients(self, params: Sequence[Tensor]) -> None:
        """Give each parameter the weighted mean of the ranks' gradients.

        For each dtype, one buffer holds all gradients, and one Allreduce sums them.
        """
        trained = [p for p in params if p.requires_grad]
        for dtype in dict.fromkeys(p.dtype for p in trained) if self.size > 1 else ():
            self._average([p for p in trained if p.dtype == dtype], dtype)

    def _average(self, params: list[Tensor], dtype: Any) -> None:
        from mpi4py import MPI

        # A rank whose share of a batch is empty has no gradients, so it adds zeros. The flags at
        # the end tell which parameters have a gradient on some rank. A parameter that has no
        # gradient on any rank still has none afterwards, as in a single process.
        flags = np.array([p.grad is not None for p in params], dtype)
        parts = [np.zeros(p.size, dtype) if (g := p.grad) is None else g.ravel() for p in params]
        size = sum(p.size for p in params)
        packed = np.concatenate([*parts, flags], out=empty((size + len(params),), dtype))
        packed[:size] *= dtype.type(self.weight / self.size)
        self.comm.Allreduce(MPI.IN_PLACE, packed)
        *means, flags = np.split(packed, np.cumsum([p.size for p in params]))
        for p, mean, live in zip(params, means, flags != 0, strict=True):
            if p.grad is not None:
                np.copyto(p.grad, mean.reshape(p.shape))
            elif live:
                p.grad = mean.reshape(p.shape)

    def start_epoch(self, model: Module) -> None:
        """Let each rank draw different random numbers, by jumping far ahead of rank 0's."""
        for _, generator in model.named_generators():
            bits: Any = generator.bit_generator
            bits.state = self.from_first(bits.state)
            if self.rank:
                bits.state = bits.jumped(self.rank).state

    def end_epoch(self, model: Module) -> None:
        """Average the float buffers, such as running statistics; copy rank 0's other buffers."""
        for _, buffer in model.named_buffers():
            if self.size > 1 and buffer.dtype.kind in "fc":
                buffer[...] = self.comm.allreduce(buffer) / self.size
            else:
                buffer[...] = self.from_first(buffer)


class DistributedOptimizer(Optimizer):
    """An optimizer whose steps use the mean of all ranks' gradients.

    Parameters
    ----------
    optimizer : Optimizer
        The two optimizers share their parameters, hyper-parameters and state, so what is set in
        one is also set in the other.
    model : Module
        All ranks immediately get the parameters and buffers of rank 0.
    comm : mpi4py communicator, optional
        By default MPI's world communicator.

    Raises
    ------
    ValueError
        On every rank, if the models or the hyper-parameters differ between ranks.

    Notes
    -----
    A layer that computes over the batch, as `BatchNorm1d` computes its means, uses only the rank's
    share of the batch. Running statistics are averaged over the ranks after each epoch. `Dropout`
    draws different numbers on each rank.
    """

    ranks: MPIRanks

    def __init__(self, optimizer: Optimizer, model: Module, comm: Any = None) -> None:
        self.optimizer, self.model = optimizer, model
        self.params, self.param_groups = optimizer.params, optimizer.param_groups
        ranks = MPIRanks(communicator() if comm is None else comm)
        self.ranks = ranks  # pyright: ignore[reportIncompatibleVariableOverride]
        self.comm = self.ranks.comm
        if self.ranks.size > 1:
            broadcast(model, self.comm)
        settings = [dict(group.settings) for group in self.param_groups]
        self.ranks.require_same("DistributedOptimizer", hyper_parameters=settings)

    @property
    def alone(self) -> Optimizer:
        """The optimizer that this one wraps."""
        return self.optimizer

    def update(self) -> None:
        """Update every parameter from this rank's gradient, without averaging over the ranks."""
        self.optimizer.update()

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the wrapped optimizer."""
        return self.optimizer.state_dict()

    def load_state_dict(self, state: Any) -> None:
        """Restore the state of the wrapped optimizer."""
        self.optimizer.load_state_dict(state)

    def __repr__(self) -> str:
        where = f"rank {self.ranks.rank} of {self.ranks.size}"
        return f"DistributedOptimizer({self.optimizer!r}, {where})"

    def shard(self, batches: Batches) -> "ShardedBatches":
        """Return this rank's share of each batch, for a training loop that you write yourself."""
        return ShardedBatches(batches, self)

    def evaluate(self, model: Module, loss: Loss, data: Data) -> Metrics:
        """Measure as `train.evaluate` does, where each rank works on its share of the data.

        Every rank gets the same answer.
        """
        return evaluate(model, loss, data, ranks=self.ranks)


class ShardedBatches:
    """Batches that are divided among the ranks: one rank sees each example, once an epoch.

    Rank 0 shuffles for all. Rank r takes every n-th example of each batch, and the ranks' `weight`
    is set so that uneven shares count by their size.

    Parameters
    ----------
    batches : Batches
        The global batches, with the same examples on every rank.
    optimizer : DistributedOptimizer
    """

    def __init__(self, batches: Batches, optimizer: DistributedOptimizer) -> None:
        self.batches, self.optimizer = batches, optimizer

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[tuple[Array, Array]]:
        ranks, model = self.optimizer.ranks, self.optimizer.model
        batches = self.batches
        ranks.start_epoch(model)
        try:
            for share in ArrayFeed((batches.inputs,), batches.targets, batches, ranks):
                ranks.weight = share.own * ranks.size / share.total
                yield share.inputs[0], np.asarray(share.targets)
        finally:
            ranks.weight = 1.0
        ranks.end_epoch(model)


@contextmanager
def share_cores(comm: Any) -> Iterator[None]:
    """Share the cores of this machine between its ranks: each rank's BLAS gets its part.

    Each rank's BLAS gets at least one thread.
    """
    from mpi4py import MPI
    from threadpoolctl import threadpool_limits

    here = comm.Split_type(MPI.COMM_TYPE_SHARED).size
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    with threadpool_limits(max(cores // here, 1), user_api="blas"):
        yield
