"""Systems that are timed in turns, each in a process of its own: what ops.py and models.py share.

The threads of a system that has just run may spin on for a while, so a pause comes before each
turn. Each turn is a few short windows, and only the best window of all turns counts: some windows
are free of other work on the machine. Times differ from machine to machine, so quote the ratios.

Where other work takes one of the cores, OpenMP's threads (PyTorch's) wait for each other a hundred
times as long as they compute, unless OMP_WAIT_POLICY=passive is set. Better, use one thread, and
count the processor's time instead of the clock's: it leaves out the time of other processes.
"""

import importlib.util
import math
import multiprocessing
import os
import platform
import time
import traceback
from pathlib import Path

import numpy as np

WINDOW, WINDOWS, PAUSE = 0.004, 5, 0.03  # seconds, windows in a turn, seconds


def usable_cores():
    """Return how many cores this process may use."""
    return (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    )


def available(names):
    """Return the names of the systems that are installed; "ours" always is."""
    return [name for name in names if name == "ours" or importlib.util.find_spec(name)]


def add_options(parser, rounds):
    """Add to a parser the options that all benchmarks have."""
    parser.add_argument("--threads", type=int, default=usable_cores())
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--cpu-time", action="store_true", help="not the clock's; for one thread")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--out", type=Path, help="a JSON file for the times")


def describe(threads):
    """Return one line that says on what the times were taken."""
    from importlib.metadata import version

    peers = " ".join(f"{name} {version(name)}," for name in available(("torch", "jax")))
    machine = f"{platform.machine()}, {usable_cores()} cores, threads: {threads}"
    return f"{machine}, {peers} NumPy {np.__version__}"


class Job:
    """What runs inside a process: `prepare`, of a subclass, sets `self.step`, which is timed."""

    step = None

    def __init__(self, system, threads, cpu_time):
        self.system = system
        self.clock = time.process_time if cpu_time else time.perf_counter
        if system == "torch":
            import torch

            torch.set_num_threads(threads)

    def calls(self):
        """Return how many calls of the step fill one window."""
        self.turn(1, 2)
        return max(1, math.ceil(WINDOW / self.turn(3, 1)))

    def turn(self, windows, calls):
        """Return the seconds of one call in the best of several windows."""
        best, step, clock = math.inf, self.step, self.clock
        for _ in range(windows):
            started = clock()
            for _ in range(calls):
                step()
            best = min(best, clock() - started)
        return best / calls


class Process:
    """A Job in another process; `process.ask("turn", 5, 10)` calls a method of it there."""

    def __init__(self, job, system, threads, cpu_time=False):
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        names = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
        os.environ |= dict.fromkeys(names, str(threads))  # the new process inherits them
        self.process = context.Process(
            target=_serve, args=(job, system, threads, cpu_time, theirs), daemon=True
        )
        self.process.start()

    def ask(self, method, *args):
        self.pipe.send((method, args))
        failed, answer = self.pipe.recv()
        if failed:
            raise RuntimeError(answer)
        return answer

    def close(self):
        self.pipe.send(None)
        self.process.join()


def _serve(job, system, threads, cpu_time, pipe):
    if threads < usable_cores() and hasattr(os, "sched_setaffinity"):
        # JAX has no setting for its threads: it takes as many as there are cores
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-threads:])
    job = job(system, threads, cpu_time)
    while (request := pipe.recv()) is not None:
        method, args = request
        try:
            pipe.send((False, getattr(job, method)(*args)))
        except Exception:
            pipe.send((True, f"{system}: {traceback.format_exc()}"))


def measure(processes, rounds):
    """Return {system: seconds of its best window} for jobs that are prepared."""
    calls = {name: process.ask("calls") for name, process in processes.items()}
    best = dict.fromkeys(processes, math.inf)
    for _ in range(rounds):
        for name, process in processes.items():
            time.sleep(PAUSE)
            best[name] = min(best[name], process.ask("turn", WINDOWS, calls[name]))
    return best


def geometric_mean(values):
    """Return the geometric mean, nan of nothing."""
    return math.exp(np.mean(np.log(values))) if values else math.nan


def ratios(best, peers):
    """Return {peer: its time / ours}: above 1, ours is faster."""
    return {peer: best[peer] / best["ours"] for peer in peers if peer in best}


class Table:
    """Rows of a table, printed as they come: in columns for a terminal, or in Markdown."""

    def __init__(self, head, markdown):
        self.markdown, self.head = markdown, head
        self.row(head)
        if markdown:
            print("|" + "---|" * len(head))

    def row(self, cells):
        if self.markdown:
            print("| " + " | ".join(cells) + " |", flush=True)
        else:
            print(
                f"{cells[0]:50}" + "".join(f"{cell:>13}" for cell in cells[1:]).rstrip(), flush=True
            )


def times_and_ratios(best, peers):
    """Return the cells of a row: microseconds of all, and the ratios of the peers."""
    cells = [f"{best[n] * 1e6:.4g}" if n in best else "" for n in ("ours", *peers)]
    return cells + [f"{r:.2f}" if (r := ratios(best, [n]).get(n)) else "" for n in peers]
