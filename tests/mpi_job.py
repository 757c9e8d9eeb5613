"""What test_parallel.py runs under mpiexec: mpi_job.py TASK [ARGUMENT]."""

import json
import os
import signal
import sys

import numpy as np

import tinygrad_mnist as tg
from tinygrad_mnist import nn, optim
from tinygrad_mnist.datasets import Batches
from tinygrad_mnist.parallel import DistributedOptimizer, communicator
from tinygrad_mnist.train import EarlyStopping, evaluate, fit


def network(dtype, seed, hidden=8):
    rng = np.random.default_rng(seed)
    return nn.Sequential(
        nn.Linear(5, hidden, rng=rng), nn.Tanh(), nn.Linear(hidden, 3, rng=rng)
    ).astype(dtype)


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
        return {
            "state": {k: v.ravel().tolist() for k, v in model.state_dict().items()},
            "epoch": first,
        }
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
        {
            "state": {k: v.ravel().tolist() for k, v in model.state_dict().items()},
            "history": history,
        }
        if comm.rank == 0
        else None
    )


def layers(comm, path):
    """Dropout and BatchNorm, whose generator also shuffles, validation and early stopping; stopped and resumed, or not."""

    def run(path, epochs, resume):
        rng = np.random.default_rng(comm.rank)
        model = nn.Sequential(
            nn.Linear(5, 8, rng=rng), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5, rng=rng), nn.Linear(8, 3, rng=rng)
        )  # fmt: skip
        optimizer = DistributedOptimizer(optim.Adam(model.parameters(), 0.01), model, comm)
        x, y = problem(np.float32)
        history = fit(
            model, tg.softmax_cross_entropy, optimizer, (x[:40], y[:40]), validation=(x[40:], y[40:]), epochs=epochs,
            batch_size=8, early_stopping=EarlyStopping(6), checkpoint=path, resume=resume, progress=False, rng=rng,
        )  # fmt: skip
        state = {name: a.ravel().tolist() for name, a in model.state_dict().items()}
        together = optimizer.evaluate(
            model, tg.softmax_cross_entropy, (x[:3], y[:3])
        )  # fewer examples than some have ranks
        alone = evaluate(model, tg.softmax_cross_entropy, (x[:3], y[:3]))
        np.testing.assert_allclose(together.loss, alone.loss, rtol=1e-6)
        np.testing.assert_array_equal(together.confusion, alone.confusion)
        assert together.accuracy == alone.accuracy
        for n, m in ((0, 0), (4, 3)):
            try:
                optimizer.evaluate(model, tg.softmax_cross_entropy, (x[:n], y[:m]))
            except ValueError as error:
                assert f"got {n} and {m}" in str(error)
            else:
                raise AssertionError("no error, on this rank")
        mask = model[3](tg.Tensor(np.ones((1, 64), np.float32))).data.tolist()
        return {"state": state, "history": history, "masks": comm.allgather(mask)}

    whole = run(f"{path}/whole.safetensors", 6, False)
    run(f"{path}/parts.safetensors", 3, False)
    parts = run(f"{path}/parts.safetensors", 6, True)
    return {"whole": comm.allgather(whole), "parts": comm.allgather(parts)}


def unused(comm):
    """A parameter without a gradient on any rank, and one with a gradient on rank 0 alone."""
    model = network(np.float32, 0)
    model.spare, model.rare = (
        tg.Tensor(np.ones(2), requires_grad=True, dtype=np.float32) for _ in range(2)
    )
    optimizer = DistributedOptimizer(
        optim.SGD(model.parameters(), 0.5, weight_decay=1.0), model, comm
    )
    x, y = problem(np.float32)
    loss = tg.softmax_cross_entropy(model(tg.from_numpy(x)), y)
    (loss + model.rare.sum() if comm.rank == 0 else loss).backward()
    optimizer.step()
    return {"spare": model.spare.data.tolist(), "rare": model.rare.data.tolist()}


def main():
    task, *rest = sys.argv[1:]
    comm = communicator()
    if task == "steps":
        result = steps(np.dtype(rest[0]), comm)
    elif task == "fit":
        result = whole(comm, rest[0])
    elif task == "layers":
        result = layers(comm, rest[0])
    elif task == "unused":
        result = unused(comm)
    elif task == "blind":
        model = network(np.float32, 0)
        optimizer = DistributedOptimizer(optim.SGD(model.parameters(), 0.1), model, comm)
        path = f"{rest[0]}/{comm.rank}.safetensors"
        for epochs in (
            1,
            2,
        ):  # the second time there is a file to resume from, which each rank sees under another name
            fit(
                model, tg.softmax_cross_entropy, optimizer, problem(np.float32), epochs=epochs, batch_size=8, checkpoint=path,
                resume=True, progress=False,
            )  # fmt: skip
            comm.Barrier()
    elif task == "kill":
        if comm.rank == comm.size - 1:
            os.kill(os.getpid(), signal.SIGKILL)
        comm.Barrier()
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
