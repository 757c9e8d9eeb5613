"""Memory for large arrays: reused when nothing refers to it, and given back when it is idle."""

import contextlib
import ctypes
import gc
import math
import mmap
import sys
import threading
import time
import weakref
from typing import Any

import numpy as np
import numpy.typing as npt

from .arrays import Array

__all__ = ["empty", "release"]

LARGE = 1 << 17  # bytes: smaller arrays come from NumPy, which keeps small blocks itself
MOST = 1 << 28  # bytes that the pool of one thread may hold
IDLE = 2.0  # seconds: a block that was not handed out in this time is forgotten


def _keep_freed_memory() -> None:
    """Let glibc's malloc keep up to 64 MiB of freed memory for the arrays that come next.

    Otherwise it gives memory back to the system when a step frees a few arrays of a megabyte, and
    gets it again page by page in the next step. A GPT with two layers spent a quarter of its time
    on this. glibc raises the limit to twice the size of the largest block below 32 MiB that was
    ever freed. So this function frees such a block once. Nothing is written to the block, so it
    does not use real memory. Other C libraries do not have this limit, and there nothing happens.
    """
    np.empty((1 << 25) - (1 << 16), np.uint8)


_keep_freed_memory()


def empty(shape: tuple[int, ...], dtype: npt.DTypeLike) -> Array:
    """Return an uninitialised array; a large one may reuse the memory of an earlier array.

    The operating system hands out new memory page by page, which often costs more than the
    computation itself. So each thread keeps a pool of large blocks. A block is free when only the
    pool refers to it. Every view of a block counts as a reference.

    The pool forgets a block that was not used for two seconds, and all of a thread's blocks when
    the thread ends. Forgotten memory goes back to the operating system as soon as the last array
    in it is gone.

    Parameters
    ----------
    shape : tuple of ints
    dtype : numpy dtype

    Examples
    --------
    >>> empty((3, 4), np.float32).shape
    (3, 4)
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if size < LARGE:
        return np.empty(shape, dtype)
    memory = _thread.pool.take(size)
    _forget_idle_blocks()
    return memory.view(dtype).reshape(shape)


def release() -> None:
    """Forget every block of every thread now, for example when a training run has ended."""
    _forget(math.inf)


class _Block:
    """Memory of the pool, and when it was handed out last."""

    __slots__ = ("memory", "used")

    def __init__(self, memory: Array) -> None:
        self.memory, self.used = memory, time.monotonic()


def _pages(size: int) -> Array:
    """Return memory that goes back to the system at the moment when it is freed.

    NumPy gets its memory from malloc. glibc's malloc gives back the main thread's memory on request
    (see `_trim`), but another thread's memory only when that thread ends. The main thread still
    uses malloc for its blocks, because then malloc also keeps the pages of smaller arrays between
    them from one step to the next. This saves a tenth of a convolution's time.
    """
    if sys.platform == "win32":
        return np.empty(size, np.uint8)
    try:
        pages = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except OSError:  # not enough memory: NumPy raises the right error, or finds some
        return np.empty(size, np.uint8)
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # a kernel without large pages
            pages.madvise(mmap.MADV_HUGEPAGE)  # as NumPy does for its own large arrays
    return np.frombuffer(pages, np.uint8)


class _Pool:
    """The blocks of one thread, by size.

    Only the thread itself takes blocks. Any thread may replace `blocks` by a dict with fewer
    blocks, and does not need a lock for it. If the owner takes a block from the old dict at that
    moment, or adds one to it, the pool merely forgets that block. The block then lives as long as
    the array that uses it.
    """

    def __init__(self) -> None:
        self.blocks: dict[int, list[_Block]] = {}
        self.in_main_thread = threading.current_thread() is threading.main_thread()

    def take(self, size: int) -> Array:
        """Return a free block, or a new one, as an array of bytes."""
        blocks = self.blocks
        same_size = blocks.setdefault(size, [])
        for block in same_size:
            # There are two references, the block's and the argument, so no array uses this memory.
            if sys.getrefcount(block.memory) == 2:
                block.used = time.monotonic()
                return block.memory
        if size + sum(each * len(kept) for each, kept in blocks.items()) > MOST:
            return np.empty(size, np.uint8)
        block = _Block(np.empty(size, np.uint8) if self.in_main_thread else _pages(size))
        same_size.append(block)
        return block.memory

    def forget(self, before: float) -> bool:
        """Forget the blocks that were last handed out before a time, and say if there were any."""
        old = list(self.blocks.items())
        kept = {size: [b for b in blocks if b.used >= before] for size, blocks in old}
        self.blocks = {size: blocks for size, blocks in kept.items() if blocks}
        return any(len(kept[size]) < len(blocks) for size, blocks in old)


class _Thread(threading.local):
    """Gives each thread its own pool, which Python drops when the thread ends."""

    def __init__(self) -> None:
        self.pool = _Pool()
        _pools[id(self.pool)] = self.pool


_pools: weakref.WeakValueDictionary[int, _Pool] = weakref.WeakValueDictionary()
_thread = _Thread()
_next_look = 0.0  # when to look for idle blocks again


def _forget_idle_blocks() -> None:
    """Look for idle blocks in the pools of all threads, if the last look was a while ago."""
    global _next_look
    now = time.monotonic()
    if now >= _next_look:
        _next_look = now + IDLE / 2
        _forget(now - IDLE)


def _forget(before: float) -> None:
    found = False
    for reference in _pools.valuerefs():
        pool = reference()
        if pool is not None:
            found |= pool.forget(before)
    if found:
        _trim()


def _trim() -> None:
    """Ask malloc to give freed memory back to the system, because glibc's malloc keeps much."""
    with contextlib.suppress(OSError, AttributeError, TypeError):  # other C libraries lack it
        ctypes.CDLL(None).malloc_trim(0)


# A thread that waits cannot clean up its own pool, and a program that makes no more large arrays
# never calls `empty` again. The pool does not have its own thread for this. But Python collects
# garbage now and then in every busy program, and calls this function each time.
def _after_garbage_collection(phase: str, info: dict[str, Any]) -> None:
    if phase == "stop":
        _forget_idle_blocks()


gc.callbacks.append(_after_garbage_collection)
