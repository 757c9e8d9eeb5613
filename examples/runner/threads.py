"""How many threads BLAS takes for a product of matrices, and how many cores there are for them.

A BLAS thread that waits for the others spins. On a core that has other work to do, it so keeps that
work, and the threads that it waits for, from going on.
"""

import math
import os
import warnings
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")


def count_cores(cgroup=CGROUP):
    """Return how many cores this process may use: by its affinity, and by its container's quota."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    quota = read_quota(cgroup)
    return cores if quota is None else max(1, min(cores, math.ceil(quota)))


def read_quota(cgroup):
    """Return how many cores' time a container gives its processes; None if it sets no limit."""
    try:
        if (cgroup / "cpu.max").exists():  # version 2 of Linux's control groups
            time, period = (cgroup / "cpu.max").read_text().split()
        else:
            time = (cgroup / "cpu" / "cpu.cfs_quota_us").read_text()
            period = (cgroup / "cpu" / "cpu.cfs_period_us").read_text()
        return int(time) / int(period) if int(time) > 0 else None
    except (OSError, ValueError, ZeroDivisionError):  # there is none, or it says "max"
        return None


def add_threads(parser):
    """Add the flag --threads to a program's flags."""
    parser.add_argument(
        "--threads",
        type=int,
        help="how many threads BLAS takes, if not one for each core; 1 is best on a busy machine",
    )


def set_threads(count):
    """Let BLAS take `count` threads; by default as many as it likes, with a warning if too many."""
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
