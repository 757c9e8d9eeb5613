"""The recorded graph and the walk back through it; knows arrays and nodes, never a Tensor.

The contract between a kernel and this engine
---------------------------------------------
A kernel takes ndarrays and returns `(y, vjp)`; `vjp(g, needs)` returns one gradient an input.

1. The vjp owns `g`, the gradient of `y`: it may overwrite it, and return it, or disjoint views of
   it, once.
2. It never mutates an input or what it saved (with `retain_graph` it runs again), and never returns
   an array that it does not own.
3. Where `needs[i]` is false it returns None for input i, and spends nothing on it.
4. A gradient has its input's shape and dtype. Only `arrays.unbroadcast` undoes a broadcast; where
   float32 met float64, the walk casts the gradient back.
5. The user's seed is copied. Nodes are visited by falling creation number, and freed as they are
   passed.
6. Kernels stay complex-analytic wherever the mathematics is: comparisons look at real parts,
   nothing conjugates.
"""

import functools
import gc
import heapq
import itertools
import threading
import types
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np

from .arrays import Array, owner
from .errors import GraphError, ShapeError

__all__ = [
    "VJP", "Forward", "Grads", "Kernel", "Needs", "Node", "Watch",
    "backward", "mark_changed", "mode", "op_name", "saved_arrays", "switched",
]  # fmt: skip

Needs: TypeAlias = Sequence[bool]
Grads: TypeAlias = Sequence[Array | None]
VJP: TypeAlias = Callable[[Array, Needs], Grads]
Forward: TypeAlias = tuple[Array, VJP]  # what a kernel returns
Kernel: TypeAlias = Callable[..., Forward]
Parents: TypeAlias = Sequence["Node | None"]

_count = itertools.count(1).__next__
_changes: dict[
    int, tuple[int, weakref.ref[Array]]
] = {}  # id of the memory's owner -> number of its last change
_last_change = 0


class Node:
    """One value of the graph: a leaf, or the result of a kernel with the vjp that leads back to its parents."""

    __slots__ = (
        "__weakref__",
        "dtype",
        "grad",
        "keeps_grad",
        "kernel",
        "number",
        "origin",
        "parents",
        "shape",
        "vjp",
    )

    def __init__(
        self,
        y: Array,
        kernel: Kernel | None = None,
        vjp: VJP | None = None,
        parents: "Parents" = (),
    ) -> None:
        self.number, self.shape, self.dtype = _count(), y.shape, y.dtype
        self.kernel, self.vjp, self.parents = kernel, vjp, parents
        self.keeps_grad = False  # set by retain_grad(); a leaf keeps its gradient in any case
        self.grad: Array | None = None
        self.origin = ""  # the user's line, filled in by detect_anomaly()

    @property
    def is_leaf(self) -> bool:
        """Whether no operation made this value."""
        return self.kernel is None

    @property
    def name(self) -> str:
        """The operation's name, empty for a leaf."""
        return "" if self.kernel is None else op_name(self.kernel)


class Watch:
    """What sees every operation while it is set as `mode.watch`: an anomaly detector, a gradient checker."""

    def forward(self, kernel: Kernel, arrays: list[Array], y: Array, node: Node | None) -> None:
        """See a kernel's result, and its node if it was recorded."""

    def before_vjp(self, node: Node) -> None:
        """See a node before its vjp runs."""

    def after_vjp(self, node: Node, gradients: Grads) -> None:
        """See what a node's vjp returned."""


class _Mode(threading.local):
    recording = True
    watch: Watch | None = None


mode = _Mode()


@contextmanager
def switched(**fields: Any) -> Iterator[None]:
    """Set fields of `mode` inside the `with` block, in this thread."""
    before = {name: getattr(mode, name) for name in fields}
    try:
        for name, value in fields.items():
            setattr(mode, name, value)
        yield
    finally:
        for name, value in before.items():
            setattr(mode, name, value)


def op_name(kernel: Kernel) -> str:
    """Return the name under which users know a kernel: `sigmoid` for `_sigmoid`."""
    return getattr(kernel, "__name__", type(kernel).__name__).strip("_")


def backward(root: Node, seed: Array, *, retain_graph: bool = False) -> dict[Node, Array]:
    """Return the gradient of every value that keeps one (the leaves), for a gradient `seed` of the root.

    Nothing is stored on a node before the walk has ended well, so an error on the way loses
    nothing.

    Raises
    ------
    GraphError
        If a part of the graph was freed, or an array that it saved was changed in place.
    ShapeError
        If a vjp returns a gradient whose shape is not its input's.
    """
    # the one place where gradients are owned: summed in place, then kept or handed to one vjp
    pending = {root: seed}
    kept: dict[Node, Array] = {}
    queue = [(-root.number, root)]
    watch = mode.watch
    with np.errstate(all="ignore"):  # an infinite slope (sqrt at 0) is an answer here, not a mishap
        while queue:
            node = heapq.heappop(queue)[1]
            g = pending.pop(node)
            vjp, parents = node.vjp, node.parents
            if vjp is None:  # the root is a leaf
                kept[node] = g
                continue
            if node.keeps_grad:
                kept[node] = g.copy()
            if node.number < _last_change:
                _check_unchanged(node)
            if watch is not None:
                watch.before_vjp(node)
            gradients = vjp(g, [parent is not None for parent in parents])
            if watch is not None:
                watch.after_vjp(node, gradients)
            if not retain_graph:
                node.vjp, node.parents = _freed, ()
            if len(gradients) != len(parents):
                raise GraphError(
                    f"{node.name}: its vjp gave {len(gradients)} gradients for {len(parents)} inputs"
                )
            for parent, gradient in zip(parents, gradients):  # noqa: B905 - checked above; strict= costs time here
                if parent is None or gradient is None:
                    continue
                if (
                    type(gradient) is not np.ndarray
                ):  # NumPy's scalars, from arithmetic on 0-d arrays
                    gradient = np.asarray(gradient)
                if gradient.shape != parent.shape:
                    shapes = (
                        f"a gradient of shape {gradient.shape} for an input of shape {parent.shape}"
                    )
                    raise ShapeError(f"{node.name}: its vjp gave {shapes}")
                if gradient.dtype != parent.dtype:
                    gradient = (gradient if parent.dtype.kind == "c" else np.real(gradient)).astype(
                        parent.dtype
                    )
                sums = (
                    kept if parent.vjp is None else pending
                )  # nothing lies behind a leaf: it need not be visited
                if parent in sums:
                    total = sums[parent]
                    np.add(total, gradient, out=total)
                else:
                    sums[parent] = gradient
                    if sums is pending:
                        heapq.heappush(queue, (-parent.number, parent))
    return kept


def _freed(g: Array, needs: Needs) -> Grads:
    raise GraphError(
        "backward: an earlier backward has freed this graph; pass retain_graph=True to that, or compute it anew"
    )


def mark_changed(array: Array) -> None:
    """Note that the memory of `array` was overwritten, so that graphs which saved it refuse to go backward."""
    global _last_change
    memory = owner(array)
    key = id(memory)
    _last_change = _count()
    known = _changes.get(key)
    reference = known[1] if known else weakref.ref(memory, lambda _: _changes.pop(key, None))
    _changes[key] = (_last_change, reference)


def _check_unchanged(node: Node) -> None:
    for array in saved_arrays(node.vjp):
        number, _ = _changes.get(id(owner(array)), (0, None))
        if number > node.number:
            change = "was changed in place since (p.data -= ..., or an optimizer step); call backward before that"
            raise GraphError(
                f"backward: {node.name} saved an array of shape {array.shape} that {change}"
            )


def saved_arrays(vjp: object) -> Iterator[Array]:
    """Yield the arrays in a vjp's closure, defaults or attributes, through tuples, lists, dicts and inner functions."""
    stack: list[object] = [vjp, getattr(vjp, "__dict__", None)]
    seen: set[int] = set()
    while stack:
        thing = stack.pop()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        if isinstance(thing, np.ndarray):
            yield thing
        elif isinstance(
            thing, types.FunctionType
        ):  # its referents would include the globals of its module
            stack += (thing.__closure__, thing.__defaults__, thing.__kwdefaults__)
        elif isinstance(thing, dict):  # of an object's own, gc sees no values since Python 3.13
            stack += thing.values()
        elif isinstance(thing, (tuple, list, functools.partial, types.CellType, types.MethodType)):
            stack += gc.get_referents(thing)
