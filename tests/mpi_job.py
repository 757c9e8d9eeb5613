"""What test_parallel.py runs under mpiexec: mpi_job.py TASK [ARGUMENT]."""

import json
import sys

import numpy as np

import tinygrad_mnist as tg
from tinygrad_mnist import nn, optim
from tinygrad_mnist.datasets import Batches
from tinygrad_mnist.parallel import DistributedOptimizer, communicator
from tinygrad_mnist.train import fit


def network(dtype, seed, hidden=8):
    rng = np.random.default_rng(seed)
    return nn.Sequential(nn.Linear(5, hidden, rng=rng), nn.Tanh(), nn.Linear(hidden, 3, rng=rng)).astype(dtype)


def problem(dtype):
    rng = np.random.default_rng(0)
    return rng.standard_normal((50, 5)).astype(dtype), rng.integers(0, 3, 50)


def steps(dtype, comm):
    """100 steps on uneven batches; each rank began with other weights, so the broadcast matters."""
    model = network(dtype, comm.rank)
    optimizer = DistributedOptimizer(optim.SGD(model.parameters(), 0.1, momentum=0.9), model, comm)
    batches = optimizer.shard(Batches(*problem(dtype), 7, rng=1))
    seen, count = [], 0
    while count < 100:
        for x, y in batches:
            optimizer.zero_grad()
            if len(x):
                tg.softmax_cross_entropy(model(tg.from_numpy(x)), y).backward()
            optimizer.step()
            seen += x[:, 0].tolist() if count < len(batches) else []
            count += 1
            if count == 100:
                break
    everything = comm.gather(seen)
    if comm.rank == 0:
        first = sorted(v for part in everything for v in part)
        return {"state": {k: v.ravel().tolist() for k, v in model.state_dict().items()}, "epoch": first}
    return None


def whole(comm, path):
    """The loop of the library with a wrapped optimizer."""
    model = network(np.float32, comm.rank)
    optimizer = DistributedOptimizer(optim.Adam(model.parameters(), 0.01), model, comm)
    history = fit(
        model,
        tg.softmax_cross_entropy,
        optimizer,
        problem(np.float32),
        epochs=3,
        batch_size=8,
        checkpoint=path,
        progress=1,
        rng=2,
    )
    return (
        {"state": {k: v.ravel().tolist() for k, v in model.state_dict().items()}, "history": history}
        if comm.rank == 0
        else None
    )


def main():
    task, *rest = sys.argv[1:]
    comm = communicator()
    if task == "steps":
        result = steps(np.dtype(rest[0]), comm)
    elif task == "fit":
        result = whole(comm, rest[0])
    elif task == "raise":
        if comm.rank == comm.size - 1:
            raise ZeroDivisionError("on purpose")
        comm.Barrier()
    elif task == "mismatch":
        model = network(np.float32, 0, hidden=8 + comm.rank)
        DistributedOptimizer(optim.SGD(model.parameters(), 0.1), model, comm)
    if comm.rank == 0:
        print("RESULT" + json.dumps(result))


if __name__ == "__main__":
    main()
