"""Time one training step in this library and its peers.

python tests/benchmarks/steps.py [--rounds N]

Each system runs in a process of its own; the rounds are interleaved, and the best window of each
system's rounds counts: a window is about ten milliseconds, so that some are free of other work on
the machine. The ratio to ours is what to quote. Before the timing the losses of all systems, which
begin with the same weights, must agree.
"""

import argparse
import importlib.util
import json
import math
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

SIZES = ((784, 128, 10), (784, 512, 10))
BATCHES = (1, 32, 128, 512)
CELLS = [(sizes, batch, "sgd") for sizes in SIZES for batch in BATCHES] + [
    (sizes, 128, "adam") for sizes in SIZES
]
DEEP = ((784, *[64] * 9, 10), 64, "sgd")


def worker(name):
    """Answer requests on standard input: prepare a cell, run a round, say the loss, the memory."""
    from systems import SYSTEMS, initial

    step = loss = None
    for line in sys.stdin:
        request = json.loads(line)
        if request["do"] == "prepare":
            rng = np.random.default_rng(1)
            x = rng.random((request["batch"], request["sizes"][0]), dtype=np.float32)
            labels = rng.integers(0, request["sizes"][-1], request["batch"])
            try:
                step, loss = SYSTEMS[name](
                    initial(request["sizes"]), x, labels, request["optimizer"]
                )
                step()
                answer = True
            except AssertionError:
                answer = False  # this system does not take part in this cell
        elif request["do"] == "round":
            answer = math.inf
            for _ in range(request["windows"]):
                started = time.perf_counter()
                for _ in range(request["steps"]):
                    step()
                answer = min(answer, (time.perf_counter() - started) / request["steps"])
        elif request["do"] == "memory":
            import resource

            answer = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        else:
            answer = loss()
        print(json.dumps(answer), flush=True)


class Process:
    """One system's process."""

    def __init__(self, name):
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "2", "OMP_NUM_THREADS": "2"}
        command = [sys.executable, __file__, "--worker", name]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def ask(self, **request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def measure(names, sizes, batch, optimizer, rounds):
    """Return {system: seconds of its best round} and {system: loss after the same few steps}."""
    taking_part, best, losses = {}, {}, {}
    for name in names:
        process = Process(name)
        if process.ask(do="prepare", sizes=sizes, batch=batch, optimizer=optimizer):
            taking_part[name], best[name] = process, math.inf
            # Early, because rounding errors grow from step to step where there are many layers.
            process.ask(do="round", windows=1, steps=20)
            losses[name] = process.ask(do="loss")
        else:
            process.close()
    steps = {
        name: max(int(0.01 / p.ask(do="round", windows=3, steps=3)), 2)
        for name, p in taking_part.items()
    }
    for _ in range(rounds):
        for name, process in taking_part.items():
            # the threads of the last system spin on for a while: this one must not be charged
            time.sleep(0.25)
            best[name] = min(best[name], process.ask(do="round", windows=5, steps=steps[name]))
    for process in taking_part.values():
        process.close()
    return best, losses


def memory(names):
    """Return each system's peak memory in MiB, after training the larger network at batch 512."""
    peaks = {}
    for name in names:
        process = Process(name)
        if process.ask(do="prepare", sizes=SIZES[1], batch=512, optimizer="sgd"):
            process.ask(do="round", windows=1, steps=20)
            peaks[name] = process.ask(do="memory") / 1024
        process.close()
    return peaks


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worker")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--systems", nargs="*")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.worker:
        return worker(options.worker)
    from systems import SYSTEMS

    peers = ("jax", "torch", "mygrad", "autograd", "sklearn")
    names = options.systems or [n for n in SYSTEMS if n not in peers or importlib.util.find_spec(n)]
    kernels = os.environ.get("OPENBLAS_CORETYPE", "those that OpenBLAS chooses")
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, NumPy {np.__version__}, "
        f"BLAS kernels: {kernels}"
    )
    print("microseconds, (ratio to ours: above 1, ours is faster)")
    print("| network, batch, optimizer | " + " | ".join(names) + " |")
    print("|" + "---|" * (len(names) + 1))
    table = {}
    for sizes, batch, optimizer in [*CELLS, DEEP]:
        best, losses = measure(names, sizes, batch, optimizer, options.rounds)
        label = (
            f"{'-'.join(map(str, sizes)) if len(sizes) < 5 else '10 layers'}, {batch}, {optimizer}"
        )
        table[label] = best
        row = [
            f"{best[n] * 1e6:.0f} ({best[n] / best['ours']:.2f})" if n in best else ""
            for n in names
        ]
        print(f"| {label} | " + " | ".join(row) + " |", flush=True)
        known = [v for v in losses.values() if not math.isnan(v)]
        assert max(known) - min(known) < 2e-3 * max(1.0, max(known)), f"the losses differ: {losses}"
    grid = [
        best
        for label, best in table.items()
        if label.endswith("sgd") and not label.startswith("10")
    ]
    means = {
        n: math.exp(np.mean([math.log(best[n] / best["ours"]) for best in grid])) for n in names
    }
    print("| geometric mean over the grid | " + " | ".join(f"{means[n]:.2f}" for n in names) + " |")
    print("peak memory, MiB: " + ", ".join(f"{n} {m:.0f}" for n, m in memory(names).items()))
    if options.out:
        options.out.write_text(json.dumps({"table": table, "means": means}, indent=1))


if __name__ == "__main__":
    main()
