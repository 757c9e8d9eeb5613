"""The pool of large blocks: memory is used again when it is free, and given back when it is idle."""

import gc
import mmap
import os
import platform
import subprocess
import sys
import threading
import tracemalloc
import weakref
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import tinygrad_mnist as tg
from tinygrad_mnist import Tensor, pool
from tinygrad_mnist.pool import empty, release

MB = 1 << 20


def address(a):
    return a.__array_interface__["data"][0]


@pytest.fixture(autouse=True)
def _empty_pool():
    release()
    yield
    release()


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until a test moves it."""
    now = SimpleNamespace(time=1000.0)
    monkeypatch.setattr(pool, "time", SimpleNamespace(monotonic=lambda: now.time))
    monkeypatch.setattr(pool, "_next_look", 0.0)
    return now


@pytest.fixture
def resident():
    """A function that returns how many more megabytes of memory this process has by now."""
    statm = Path("/proc/self/statm")
    if not statm.exists():
        pytest.skip("reads /proc/self/statm")

    def megabytes():
        return int(statm.read_text().split()[1]) * mmap.PAGESIZE / MB

    gc.collect()
    before = megabytes()
    return lambda: megabytes() - before


def fill(megabytes):
    """An array of the pool whose pages are all there."""
    a = empty((megabytes * MB,), np.uint8)
    a.fill(1)
    return a


@pytest.fixture
def held():
    """A function that returns how many megabytes the arrays of this thread hold by now."""
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    yield lambda: (tracemalloc.get_traced_memory()[0] - before) / MB
    tracemalloc.stop()


def test_memory_is_used_again_only_when_nothing_refers_to_it():
    shape = (1000, 97)
    first = empty(shape, np.float32)
    place, view = address(first), first[3:5].T
    second = empty(shape, np.float32)
    assert address(second) != place
    del first
    third = empty(shape, np.float32)
    assert address(third) != place, "a view of it is still there"
    del view
    again = empty(shape, np.float32)
    assert address(again) == place
    assert (other := empty(shape, np.float64)).shape == again.shape == shape
    assert (other.dtype, again.dtype) == (np.float64, np.float32)


def test_small_arrays_are_left_to_numpy():
    assert empty((2, 3), np.float64).base is None
    assert empty((), np.float32).shape == ()
    assert empty((0, 5), np.float32).shape == (0, 5)


def test_a_thread_keeps_no_more_than_its_share(held):
    arrays = [empty((32 * MB,), np.uint8) for _ in range(12)]
    assert held() == pytest.approx(384, abs=1)
    assert len({address(a) for a in arrays}) == 12
    arrays.clear()
    assert held() == pytest.approx(256, abs=1)


def test_a_block_that_nobody_asks_for_goes_back_to_the_system(held, clock):
    places = [address(empty((size * MB,), np.uint8)) for size in (3, 5)]
    assert held() == pytest.approx(8, abs=0.1)
    clock.time += pool.IDLE * 0.7
    assert address(empty((3 * MB,), np.uint8)) == places[0]
    clock.time += pool.IDLE * 0.7
    assert address(empty((3 * MB,), np.uint8)) == places[0], "it was in use all the time"
    assert held() == pytest.approx(3, abs=0.1), "and the other was not"


def test_idle_blocks_go_back_while_the_program_does_something_else(held, clock):
    empty((4 * MB,), np.uint8)
    gc.collect()
    assert held() == pytest.approx(4, abs=0.1)
    clock.time += 2 * pool.IDLE
    gc.collect()
    assert held() == pytest.approx(0, abs=0.1)


def test_an_array_outlives_the_pools_memory_of_it(clock):
    a = empty((MB,), np.float32)
    a[:] = 7
    for _ in range(3):
        clock.time += 2 * pool.IDLE
        other = empty((MB,), np.float32)
        assert not np.shares_memory(a, other)
        other[:] = 1
    release()
    empty((MB,), np.float32)[:] = 2
    assert (a == 7).all()


def test_the_memory_of_a_thread_goes_back_when_it_ends(resident):
    results = []

    def work():
        fill(40)
        results.append(fill(20))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert resident() == pytest.approx(20, abs=5), "what it returned, and no more"
    results.clear()
    assert resident() == pytest.approx(0, abs=5)


@contextmanager
def waiting_threads(count, megabytes):
    """Threads that have worked, and wait for more to do."""
    done, end = threading.Barrier(count + 1), threading.Event()

    def work():
        fill(megabytes)
        done.wait(60)
        end.wait(60)

    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    done.wait(60)
    yield
    end.set()
    for thread in threads:
        thread.join()


def test_the_memory_of_threads_that_wait_goes_back_too(resident, clock):
    with waiting_threads(16, 6):
        assert resident() == pytest.approx(96, abs=10)
        clock.time += 2 * pool.IDLE
        fill(1)  # in this thread
        assert resident() == pytest.approx(0, abs=10)


def test_release_empties_the_pools_of_all_threads(resident):
    with waiting_threads(2, 20):
        fill(30)
        assert resident() == pytest.approx(70, abs=5)
        release()
        assert resident() == pytest.approx(0, abs=5)


def test_threads_that_forget_each_others_blocks_never_share_memory(monkeypatch):
    """Eight threads fill arrays while every call of each of them empties the pools of all."""
    monkeypatch.setattr(pool, "IDLE", 0.0)
    wrong = []

    def work(number):
        mine = []
        for step in range(400):
            a = empty((MB // 4,), np.uint8)
            a[::4096] = number
            mine.append(a)
            if any((b[::4096] != number).any() for b in mine):
                wrong.append((number, step))
            if step % 3 == 0:
                mine.clear()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_convolution_takes_its_memory_from_the_pool_and_gives_it_back(held, clock):
    x = np.random.default_rng(0).standard_normal((16, 8, 32, 32)).astype(np.float32)
    weight = Tensor(np.ones((8, 8, 3, 3), np.float32), requires_grad=True)
    before = held()
    for _ in range(2):
        tg.conv2d(x, weight, padding=1).sum().backward()
    assert held() > before + 4
    clock.time += 2 * pool.IDLE
    gc.collect()
    assert held() < before + 0.5


def test_a_pool_dies_with_its_thread():
    pools = []
    thread = threading.Thread(target=lambda: pools.append(weakref.ref(pool._thread.pool)))
    thread.start()
    thread.join()
    assert pools[0]() is None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_and_an_ending_program_are_quiet():
    code = (
        "import os, threading\n"
        "import numpy as np\n"
        "from tinygrad_mnist.pool import empty\n"
        "a = empty((1 << 20,), np.uint8)\n"
        "stop = threading.Event()\n"
        "def work():\n"
        "    while not stop.is_set():\n"
        "        empty((1 << 20,), np.uint8)\n"
        "thread = threading.Thread(target=work); thread.start()\n"
        "pid = os.fork()\n"
        "b = empty((1 << 20,), np.uint8)\n"
        "if pid == 0:\n"
        "    os._exit(0)\n"
        "status = os.waitpid(pid, 0)[1]\n"
        "stop.set(); thread.join()\n"
        "print('status', status)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", code],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("status 0\n", "")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no limit")
def test_the_arrays_of_the_next_step_find_the_memory_of_the_last():
    code = """
import resource
import numpy as np
import tinygrad_mnist

def step():
    return [np.ones(1 << 20, np.uint8) for _ in range(20)]

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

step(), step()
before = faults()
step(), step()
print(faults() - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 1000  # 20 MB have 5,120 pages
