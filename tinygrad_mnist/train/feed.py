"""Feeds of training and evaluation: batches of arrays, or of an iterable that yields batches."""

import zlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np

from ..arrays import Array, as_array
from ..datasets import Batches
from ..errors import check_size
from ..optim.ranks import ALONE, Ranks
from ..tensor import Tensor

__all__ = [
    "ArrayFeed",
    "BatchFeed",
    "BatchSource",
    "Data",
    "Feed",
    "Share",
    "as_arrays",
    "make_feed",
]

# An array, or a tuple of arrays for a model that has several inputs or several targets.
Arrays: TypeAlias = Array | tuple[Array, ...]
Batch: TypeAlias = tuple[Any, Any]  # (inputs, targets): arrays, lists or Tensors


class BatchSource(Protocol):
    """An iterable of batches with a length.

    It has a `__hash__`, as objects have by default. An ndarray has none, so a type checker can tell
    an array from a source of batches.
    """

    def __iter__(self) -> Iterator[Batch]: ...
    def __len__(self) -> int: ...
    def __hash__(self) -> int: ...


Data: TypeAlias = tuple[Any, Any] | Sequence[Batch] | BatchSource


class Share(NamedTuple):
    """One rank's share of a batch."""

    inputs: tuple[Array, ...]
    """The arguments of the model."""
    targets: Arrays
    own: int
    """The number of examples in this share; it may be 0 if there are more ranks than examples."""
    total: int
    """The number of examples in the whole batch."""


class ArrayFeed:
    """Arrays of examples in batches, of which each rank sees its share."""

    def __init__(
        self, inputs: tuple[Array, ...], targets: Arrays, batches: Batches, ranks: Ranks
    ) -> None:
        self.inputs, self.targets, self.batches, self.ranks = inputs, targets, batches, ranks

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Share]:
        order = self.ranks.from_first(self.batches.order())
        inputs, targets, size = self.inputs, self.targets, self.batches.batch_size
        examples, rank, ranks = len(inputs[0]), self.ranks.rank, self.ranks.size
        for start in range(0, len(self) * size, size):
            stop = min(start + size, examples)
            mine = slice(start + rank, stop, ranks)
            rows = mine if order is None else order[mine]
            taken = tuple([a[rows] for a in inputs])
            yield Share(taken, _take(targets, rows), len(taken[0]), stop - start)

    def single(self) -> Share | None:
        """Return one example if some rank's share of the last batch is a single one, else None."""
        size, ranks = self.batches.batch_size, self.ranks.size
        last = min(len(self.inputs[0]) - (len(self) - 1) * size, size)
        shares = {last // ranks, -(-last // ranks)}
        if len(self) == 1 or 1 not in shares:
            return None
        return Share(tuple(a[:1] for a in self.inputs), _take(self.targets, slice(0, 1)), 1, 1)

    def fingerprint(self) -> int:
        """Return a checksum of the data, so that ranks can compare their data."""
        targets = self.targets if isinstance(self.targets, tuple) else (self.targets,)
        found = len(self)
        for a in (*self.inputs, *targets):
            found = zlib.crc32(f"{a.dtype}{a.shape}".encode(), found)
            for start in range(0, len(a), 1024):
                found = zlib.crc32(np.ascontiguousarray(a[start : start + 1024]).data, found)
        return found


class BatchFeed:
    """The batches of an iterable, in its own order; each rank takes its share of each batch."""

    targets = None  # not known in advance

    def __init__(self, op: str, source: BatchSource | Sequence[Batch], ranks: Ranks) -> None:
        self.op, self.source, self.ranks = op, source, ranks

    def __len__(self) -> int:
        return len(self.source)

    def __iter__(self) -> Iterator[Share]:
        mine, count, seen = self.ranks.share, 0, 0
        for batch in self.source:
            count += 1
            if count > len(self):
                raise ValueError(f"{self.op}: expected {len(self)} batches, its len, got more")
            inputs, targets = self._read(batch)
            if self.ranks.size > 1:  # comparing only the first example is cheap
                seen = zlib.crc32(np.ascontiguousarray(inputs[0][:1]).data, seen)
            taken = tuple(a[mine] for a in inputs)
            yield Share(taken, _take(targets, mine), len(taken[0]), len(inputs[0]))
        if count < len(self):
            raise ValueError(f"{self.op}: expected {len(self)} batches, its len, got {count}")
        self.ranks.require_same(self.op, batches=seen)

    def _read(self, batch: Any) -> tuple[tuple[Array, ...], Arrays]:
        if not isinstance(batch, (tuple, list)) or len(batch) != 2:
            got = type(batch).__name__
            got += f" of {len(batch)}" if isinstance(batch, (tuple, list)) else ""
            raise TypeError(
                f"{self.op}: expected each batch to be a pair (inputs, targets), got a {got}; "
                "several inputs go into a tuple of their own"
            )
        inputs, targets = as_arrays(batch[0]), as_arrays(batch[1])
        inputs = inputs if isinstance(inputs, tuple) else (inputs,)
        if any(a.ndim == 0 or len(a) == 0 for a in inputs):
            shapes = ", ".join(str(a.shape) for a in inputs)
            raise ValueError(f"{self.op}: expected batches of examples, got inputs of {shapes}")
        return inputs, targets

    def single(self) -> None:
        """Return None, because the sizes of the batches are not known in advance."""

    def fingerprint(self) -> int:
        """Return the number of batches; their contents are compared during the epoch."""
        return len(self)


Feed: TypeAlias = ArrayFeed | BatchFeed


def make_feed(
    op: str,
    data: Data,
    batch_size: int | None,
    *,
    ranks: Ranks = ALONE,
    shuffle: bool = False,
    rng: np.random.Generator | None = None,
    drop_last: bool = False,
) -> Feed:
    """Return a feed of `data`: a pair (inputs, targets) of arrays, or an iterable of batches.

    Raises
    ------
    TypeError
        If `data` is neither.
    ValueError
        If there are no examples, or inputs and targets differ in number.
    """
    if isinstance(data, Batches):
        if len(data) == 0:
            raise ValueError(f"{op}: expected at least one example, got Batches without a batch")
        return ArrayFeed((data.inputs,), data.targets, data, ranks)
    if not _is_pair(data):
        return _make_batch_feed(op, data, ranks, drop_last)
    inputs, targets = (as_arrays(part) for part in data)
    inputs = inputs if isinstance(inputs, tuple) else (inputs,)
    each = (*inputs, *(targets if isinstance(targets, tuple) else (targets,)))
    if any(a.ndim == 0 for a in each) or len({len(a) for a in each}) > 1:
        got = " and ".join(str(a.shape if a.ndim == 0 else len(a)) for a in each)
        raise ValueError(f"{op}: expected as many inputs as targets, got {got}")
    examples = len(inputs[0])
    if examples == 0:
        raise ValueError(f"{op}: expected at least one example, got 0 and 0")
    size = examples if batch_size is None else check_size(op, "batch_size", batch_size)
    shuffle = shuffle and size < examples  # the order within a single batch does not matter
    batches = Batches(each[0], each[-1], size, shuffle=shuffle, rng=rng, drop_last=drop_last)
    if len(batches) == 0:
        raise ValueError(
            f"{op}: expected a whole batch, got {examples} examples with batch_size={size} and "
            "drop_last=True"
        )
    return ArrayFeed(inputs, targets, batches, ranks)


def _make_batch_feed(op: str, data: Any, ranks: Ranks, drop_last: bool) -> BatchFeed:
    kind = type(data).__name__
    if isinstance(data, (np.ndarray, Tensor, str)) or not hasattr(data, "__iter__"):
        raise TypeError(
            f"{op}: expected (inputs, targets), or an iterable of batches, got a {kind}"
        )
    if not hasattr(data, "__len__"):
        raise TypeError(
            f"{op}: expected an iterable of batches with a length, got a {kind}; "
            "give its class a __len__, or make it a list"
        )
    if drop_last:
        raise ValueError(f"{op}: drop_last is for arrays; a {kind} makes batches of its own")
    if len(data) == 0:
        raise ValueError(f"{op}: expected at least one example, got 0 batches")
    return BatchFeed(op, data, ranks)


def _is_pair(data: Any) -> bool:
    """Whether `data` is a pair (inputs, targets) of arrays, rather than a list of two batches."""
    if isinstance(data, tuple):
        return len(data) == 2
    return isinstance(data, list) and len(data) == 2 and isinstance(data[0], (np.ndarray, Tensor))


def as_arrays(part: Any) -> Arrays:
    """Return an array, or a tuple of arrays for a tuple."""
    return tuple(map(_as_array, part)) if isinstance(part, tuple) else _as_array(part)


def _as_array(a: Any) -> Array:
    if isinstance(a, np.ma.MaskedArray):
        raise TypeError("expected arrays without a mask, which would be lost; use .filled()")
    if isinstance(a, Tensor):
        return a.data
    if isinstance(a, dict):
        raise TypeError(
            "expected arrays, or a tuple of them for several inputs or targets, got a dict"
        )
    return as_array(a) if isinstance(a, (list, float)) else np.asarray(a)  # float32 for floats


def _take(part: Arrays, rows: slice | Array) -> Arrays:
    return tuple(a[rows] for a in part) if isinstance(part, tuple) else part[rows]
