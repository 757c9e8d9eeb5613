"""What test_parallel.py runs under mpiexec: mpi_job.py TASK [ARGUMENT]."""

import functools
import json
import os
import signal
import sys
import threading
import time

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


def everything(comm):
    """All that fit can do at once: accumulation, clipping, groups, metrics, weighted validation, a stop, batches."""
    x, y = problem(np.float64)
    weighted = functools.partial(tg.softmax_cross_entropy, weight=[0.1, 1.0, 20.0])
    found = {}
    batches = [(x[i : i + 7], y[i : i + 7]) for i in range(0, 50, 7)]
    for name, data in (("arrays", (x, y)), ("batches", batches)):
        model = network(np.float64, comm.rank)
        groups = [{"params": model[0].parameters()}, {"params": model[2].parameters(), "lr": 0.05}]
        optimizer = DistributedOptimizer(optim.SGD(groups, 0.2, momentum=0.9), model, comm)
        history = fit(
            model, tg.softmax_cross_entropy, optimizer, data, validation=(x[:11], y[:11]), epochs=5, batch_size=7,
            rng=2 + comm.rank, accumulate=3, clip_norm=0.1, schedule=optim.CosineLR(optimizer, 20, warmup=3),
            metrics={"spread": lambda o, t: (o.max(axis=1) - o.min(axis=1)).mean()}, progress=False,
            on_step=(lambda run: run.stop() if run.step == 11 else None) if comm.rank == comm.size - 1 else None,
        )  # fmt: skip
        state = {k: v.ravel().tolist() for k, v in model.state_dict().items()}
        weighted_loss = optimizer.evaluate(model, weighted, (x, y)).loss
        found[name] = {"state": state, "history": history, "weighted": weighted_loss}
    return {"all": comm.allgather(found)}


def differ(comm, what):
    """Ranks that were not started alike."""
    last = comm.rank == comm.size - 1
    model = network(np.float32, 0)
    lr = 0.2 if what == "rate" and last else 0.1
    optimizer = DistributedOptimizer(optim.SGD(model.parameters(), lr), model, comm)
    x, y = problem(np.float32)
    if what == "data" and last:
        x = x.copy()
        x[17, 3] += 1
    options = {"epochs": 3 if what == "epochs" and last else 2, "batch_size": 8, "progress": False}
    if what == "schedule":
        options["schedule"] = optim.StepLR(optimizer, 3, 0.2 if last else 0.1)
    if what == "callback" and last:
        options["on_step"] = lambda run: setattr(run.optimizer, "lr", 0.01)
    data = (x, y)
    if what == "batches":
        data = [(x[i : i + 8], y[i : i + 8]) for i in range(0, 50, 8)]
        data = data[::-1] if last else data
    fit(model, tg.softmax_cross_entropy, optimizer, data, **options)


def fail():
    raise ZeroDivisionError("on purpose")


def end(how, comm=None):
    """End the last rank in some way, while the others wait for it, or after they did."""
    if comm is None:  # before communicator()
        if is_last():
            sys.exit(0) if how == "exit before" else fail()
        comm = communicator()
    last = comm.rank == comm.size - 1
    if how in ("exit", "status"):
        if last:
            sys.exit({"exit": 0, "status": 3}[how])
    elif how == "thread" and last:
        thread = threading.Thread(target=fail)
        thread.start()
        thread.join()
        time.sleep(60)
    elif how == "return" and last:
        try:
            fail()
        except ZeroDivisionError:
            return
    elif how == "excepthook":
        sys.excepthook = lambda kind, error, trace: print("hook of my own:", error, file=sys.stderr)
        if last:
            fail()
    elif how == "in fit":
        model = network(np.float32, 0)
        optimizer = DistributedOptimizer(optim.SGD(model.parameters(), 0.1), model)
        fit(
            model, tg.softmax_cross_entropy, optimizer, problem(np.float32), epochs=2, batch_size=8, progress=False,
            on_step=lambda run: sys.exit(0) if last and run.step == 3 else None,
        )  # fmt: skip
    elif how == "own communicator":
        from mpi4py import MPI

        model = network(np.float32, 0)
        optimizer = DistributedOptimizer(optim.SGD(model.parameters(), 0.1), model, MPI.COMM_WORLD)
        if last:
            sys.exit(0)
        optimizer.evaluate(model, tg.softmax_cross_entropy, problem(np.float32))
    elif how == "after":  # the last collective: the others may take their time
        comm.bcast("x", root=comm.size - 1)
        if not last:
            time.sleep(1.5)
            print("took my time")
        sys.exit(0)
    elif how == "status after":
        comm.Barrier()
        if last:
            sys.exit(3)
        time.sleep(0.5)
        return
    comm.Barrier()


def is_last():
    """Whether this is the last rank, as mpiexec has it, before MPI begins."""
    return int(os.environ["PMI_RANK"]) == int(os.environ["PMI_SIZE"]) - 1


def main():
    task, *rest = sys.argv[1:]
    if task == "end" and rest[0].endswith("before"):
        end(rest[0])
    comm = communicator()
    result = None
    if task == "steps":
        result = steps(np.dtype(rest[0]), comm)
    elif task == "fit":
        result = whole(comm, rest[0])
    elif task == "layers":
        result = layers(comm, rest[0])
    elif task == "unused":
        result = unused(comm)
    elif task == "everything":
        result = everything(comm)
    elif task == "differ":
        differ(comm, rest[0])
    elif task == "end":
        end(rest[0], comm)
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
