"""The runner's threads: what a process may use, and the warning where BLAS takes more."""

import os

import pytest
from helpers import ROOT

threadpoolctl = pytest.importorskip("threadpoolctl", reason="limits the threads of BLAS")


@pytest.fixture(autouse=True)
def keep_threads(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "examples")
    with threadpoolctl.threadpool_limits():
        yield


def blas_threads():
    return max(
        pool["num_threads"]
        for pool in threadpoolctl.threadpool_info()
        if pool["user_api"] == "blas"
    )


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({}, None),
        ({"cpu.max": "max 100000"}, None),
        ({"cpu.max": "150000 100000"}, 1.5),
        ({"cpu.max": "garbage"}, None),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        ({"cpu/cpu.cfs_quota_us": "50000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 0.5),
    ],
)
def test_the_quota_of_a_container_is_read(tmp_path, files, cores):
    from runner import threads

    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert threads.read_quota(tmp_path) == cores
    if cores is not None:
        assert 1 <= threads.count_cores(tmp_path) <= 2


def test_a_process_is_told_when_blas_has_more_threads_than_it_has_cores(monkeypatch, recwarn):
    from runner import threads

    if blas_threads() < 2:
        pytest.skip("needs a BLAS with two threads")
    monkeypatch.setattr(threads, "count_cores", lambda: blas_threads())
    threads.set_threads(None)
    assert not recwarn.list
    monkeypatch.setattr(threads, "count_cores", lambda: 1)
    with pytest.warns(UserWarning, match="may use 1 core: .* pass --threads 1"):
        threads.set_threads(None)


def test_threads_are_limited():
    from runner import threads

    threads.set_threads(1)
    assert blas_threads() == 1
    with pytest.raises(SystemExit, match="at least 1, got 0"):
        threads.set_threads(0)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs Linux")
def test_affinity_counts():
    from runner import threads

    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert threads.count_cores() == 1
    finally:
        os.sched_setaffinity(0, before)
