"""Time Allreduce, the steps of 1 and 2 ranks, and what overlap would give.

python tests/benchmarks/mpi.py

Each line is a job of mpiexec; the jobs of a comparison take turns, and the best round of each
counts.
"""

import functools
import itertools
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

NETWORKS = [
    ((784, 128, 10), 128),
    ((784, 512, 10), 128),
    ((784, 512, 10), 512),
    ((784, 1024, 1024, 10), 1024),
]
MESSAGES = [1, 1 << 10, 1 << 14, 1 << 17, 1 << 20, 1 << 22]  # float32 numbers


def best(comm, f, count, rounds=7):
    """Return the seconds of a call on the slowest rank, in the best of the rounds."""
    f()
    times = []
    for _ in range(rounds):
        comm.Barrier()
        started = time.perf_counter()
        for _ in range(count):
            f()
        times.append((time.perf_counter() - started) / count)
    return min(max(both) for both in zip(*comm.allgather(times), strict=True))


def steps(comm):
    """Seconds of a training step at the same global batch, whole and without communication."""
    import tinygrad_mnist as tg
    from tinygrad_mnist import nn, optim
    from tinygrad_mnist.parallel import DistributedOptimizer

    found = {}
    for sizes, batch in NETWORKS:
        rng = np.random.default_rng(comm.rank)
        layers = [
            layer
            for a, b in itertools.pairwise(sizes)
            for layer in (nn.Linear(a, b, rng=rng), nn.ReLU())
        ][:-1]
        model = nn.Sequential(*layers)
        inner = optim.SGD(model.parameters(), 0.01)
        mine = batch // comm.size
        x, y = tg.from_numpy(rng.random((mine, 784), dtype=np.float32)), rng.integers(0, 10, mine)

        def step(optimizer, model=model, x=x, y=y):
            loss = tg.softmax_cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

        together = DistributedOptimizer(inner, model, comm)
        count = max(20_000 // (batch * sizes[1] // 128), 5)
        size = sum(p.size for p in model.parameters()) * 4
        label = f"{'-'.join(map(str, sizes))}, batch {batch}, {size / 1e6:.2f} MB"
        found[label] = [
            best(comm, functools.partial(step, optimizer), count) for optimizer in (together, inner)
        ]
    return found


def messages(comm):
    """Seconds of an Allreduce in place, by its number of float32."""
    from mpi4py import MPI

    found = {}
    for size in MESSAGES:
        a = np.zeros(size, np.float32)
        found[size] = best(
            comm, lambda a=a: comm.Allreduce(MPI.IN_PLACE, a), max(2_000_000 // (size + 1000), 5)
        )
    return found


def overlap(comm, layers=6, width=1024, batch=256):
    """Seconds of a backward pass by hand: reduced at its end in one message, or meanwhile."""
    from mpi4py import MPI

    rng = np.random.default_rng(0)
    weights = [rng.standard_normal((width, width), dtype=np.float32) / 32 for _ in range(layers)]
    inputs = [rng.random((batch, width), dtype=np.float32) for _ in range(layers)]
    seed = rng.random((batch, width), dtype=np.float32)
    packed = np.zeros((layers, width, width), np.float32)

    def backward(final):
        g = seed
        for i in reversed(range(layers)):
            np.matmul(g.T, inputs[i], out=packed[i])
            final(i)
            g = g @ weights[i]

    def at_the_end():
        backward(lambda i: None)
        comm.Allreduce(MPI.IN_PLACE, packed)

    def meanwhile():
        requests = []
        backward(lambda i: requests.append(comm.Iallreduce(MPI.IN_PLACE, packed[i])))
        MPI.Request.Waitall(requests)

    return [best(comm, f, 5) for f in (lambda: backward(lambda i: None), at_the_end, meanwhile)]


def worker(task):
    from threadpoolctl import threadpool_limits

    from tinygrad_mnist.parallel import communicator, share_cores

    comm = communicator()
    with (
        share_cores(comm),
        threadpool_limits(int(os.environ.get("BENCHMARK_THREADS") or 0) or None),
    ):
        found = {"steps": steps, "messages": messages, "overlap": overlap}[task](comm)
    if comm.rank == 0:
        print(json.dumps(found))


def job(ranks, task, **environment):
    mpiexec = shutil.which(
        "mpiexec", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    )
    command = [mpiexec, "-n", str(ranks), sys.executable, __file__, task]
    return json.loads(
        subprocess.run(
            command, env={**os.environ, **environment}, check=True, capture_output=True
        ).stdout
    )


def main():
    if sys.argv[1:]:
        return worker(sys.argv[1])
    print(
        "Allreduce of 2 ranks: "
        + ", ".join(f"{4 * int(n):,} bytes {s * 1e6:.1f} us" for n, s in job(2, "messages").items())
    )
    end, meanwhile = {}, {}
    for threads in (0, 1):
        rounds = [job(2, "overlap", MPICH_ASYNC_PROGRESS=str(threads)) for _ in range(3)]
        alone, end[threads], meanwhile[threads] = (
            min(column) for column in zip(*rounds, strict=True)
        )
        print(
            f"backward of 6 layers of 1,024{', a progress thread' if threads else ''}: "
            f"{alone * 1e3:.2f} ms alone, reduced at its end {end[threads] * 1e3:.2f}, "
            f"meanwhile {meanwhile[threads] * 1e3:.2f}: {meanwhile[threads] / end[threads]:.2f}"
        )
    kinds = {"1 rank, 1 core": (1, "1"), "1 rank, all cores": (1, ""), "2 ranks": (2, "")}
    times = {kind: {} for kind in kinds}
    for _ in range(5):
        for kind, (ranks, threads) in kinds.items():
            for label, found in job(ranks, "steps", **({"BENCHMARK_THREADS": threads})).items():
                times[kind][label] = [
                    min(pair) for pair in zip(times[kind].get(label, found), found, strict=True)
                ]
    print(
        "| network, global batch, message | "
        + " | ".join(kinds)
        + " | of it, communication |\n|---|"
        + "---|" * 4
    )
    for label, (whole, silent) in times["2 ranks"].items():
        row = [
            f"{times[kind][label][0] * 1e3:.2f} ms ({times[kind][label][0] / whole:.2f})"
            for kind in kinds
        ]
        print(f"| {label} | {' | '.join(row)} | {(whole - silent) * 1e3:.2f} ms |")


if __name__ == "__main__":
    main()
