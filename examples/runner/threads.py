"""How many threads BLAS uses for a matrix product, and how many cores are available for them.

A BLAS thread that waits for other threads keeps its core busy. If there are more threads than
cores, it thereby delays other work, and even the threads that it is waiting for.
"""

import math
import os
import warnings
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")


def count_cores(cgroup=CGROUP):
    """Return how many cores this process may use, according to its affinity and container quota."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    quota = read_quota(cgroup)
    return cores if quota is None else max(1, min(cores, math.ceil(quota)))


def read_quota(cgroup):
    """Return how many cores a container allows its processes, or None without a limit."""
    try:
        if (cgroup / "cpu.max").exists():  # version 2 of Linux's control groups
            time, period = (cgroup / "cpu.max").read_text().split()
        else:
            time = (cgroup / "cpu" / "cpu.cfs_quota_us").read_text()
            period = (cgroup / "cpu" / "cpu.cfs_period_us").read_text()
        return int(time) / int(period) if int(time) > 0 else None
    except (OSError, ValueError, ZeroDivisionError):  # there is no limit, or it is "max"
        return None


def add_threads(parser):
    """Add the flag --threads to a program's flags."""
    parser.add_argument(
        "--threads",
        type=int,
        help="how many threads BLAS uses (default: one per core); 1 is best on a busy machine",
    )


def set_threads(count):
    """Let BLAS use `count` threads. With None it chooses, and we warn if it chose too many."""
    if count is not None and count < 1:
        raise SystemExit(f"--threads: expected at least 1, got {count}")
    try:
        from threadpoolctl import threadpool_info, threadpool_limits
    except ImportError:
        if count is None:
            return
        raise SystemExit("--threads needs threadpoolctl: pip install threadpoolctl") from None
    if count is not None:
        threadpool_limits(limits=count, user_api="blas")
        return
    threads = max(
        (p["num_threads"] for p in threadpool_info() if p["user_api"] == "blas"), default=1
    )
    cores = count_cores()
    if threads > cores:
        warnings.warn(
            f"BLAS has {threads} threads, but this process may use {cores} "
            f"core{'s' * (cores != 1)}: threads that wait for a core slow the others down; pass "
            f"--threads {cores}",
            stacklevel=2,
        )
