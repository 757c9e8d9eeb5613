"""The recorded graph and the walk back through it. It knows arrays and nodes, but not Tensors.

The contract between a kernel and this engine
---------------------------------------------
A kernel takes arrays and returns `(y, vjp)`; `vjp(g, needs)` returns one gradient for each input.

1. `g`, the gradient of `y`, belongs to the vjp. It may change `g` in place, and it may return `g`
   itself or views of `g` that do not overlap, but each part only once.
2. A vjp never changes an input or anything that the kernel saved, because with `retain_graph` it
   runs again. It returns only arrays that it owns.
3. Where `needs[i]` is false it returns None for input i and does not spend time on it.
4. A gradient has its input's shape and dtype. Only `arrays.unbroadcast` undoes a broadcast. Where
   float32 met float64, the walk casts the gradient back.
5. The caller's seed is copied. The walk visits the nodes from newest to oldest, and frees them.
6. A kernel is plain NumPy code, and a Tensor answers to NumPy. So a kernel also runs on Tensors. To
   differentiate a gradient, the walk runs the kernel again on the Tensors that it was given, and
   records what the new vjp computes. Therefore a kernel computes only with NumPy's functions,
   operators and methods. It works in place only through Python's augmented assignment:
   `g *= slope` changes an array and rebinds a Tensor. Where a kernel makes a choice, it looks at
   `arrays.values`. It does not draw random numbers or change any state.
"""

import functools
import heapq
import itertools
import threading
import types
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeAlias

import numpy as np

from .arrays import Array, span, values
from .errors import GraphError, ShapeError

__all__ = [
    "OWN_OPERATIONS",
    "VJP",
    "Forward",
    "Grads",
    "Kernel",
    "Mode",
    "Needs",
    "Node",
    "Rerun",
    "Watch",
    "backward",
    "backward_recorded",
    "can_hide_arrays",
    "mark_all_changed",
    "mark_changed",
    "mode",
    "op_name",
    "saved_arrays",
    "switched",
    "watching",
]  # fmt: skip

Needs: TypeAlias = Sequence[bool]
Grads: TypeAlias = Sequence[Array | None]
VJP: TypeAlias = Callable[[Array, Needs], Grads]
Forward: TypeAlias = tuple[Array, VJP]  # what a kernel returns
Kernel: TypeAlias = Callable[..., Forward]
Parents: TypeAlias = Sequence["Node | None"]

_count = itertools.count(1).__next__  # one counter for nodes and in-place changes, to compare them


# Nodes


class Rerun(Protocol):
    """An object that runs a node's kernel again, on its original Tensors."""

    arrays: Sequence[Array]
    """The inputs: a second run reads all of them, so they count as saved."""

    def __call__(self) -> Callable[[Any, Needs], Sequence[Any]]:
        """Return a vjp that takes and returns Tensors, and whose work is recorded."""
        ...


class Node:
    """One value of the graph: a leaf, or a kernel's result with the vjp that leads back."""

    __slots__ = (
        "__weakref__", "dtype", "grad", "keeps_grad", "kernel", "number", "origin", "parents",
        "rerun", "saved", "shape", "vjp",
    )  # fmt: skip

    def __init__(
        self,
        y: Array,
        kernel: Kernel | None = None,
        vjp: VJP | None = None,
        parents: "Parents" = (),
        rerun: Rerun | None = None,
    ) -> None:
        self.number, self.shape, self.dtype = _count(), y.shape, y.dtype
        self.kernel, self.vjp, self.parents, self.rerun = kernel, vjp, parents, rerun
        self.saved: Sequence[Array] = ()  # arrays that may be hidden inside the vjp
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


def op_name(kernel: Kernel) -> str:
    """Return a kernel's name as users know it: `sigmoid` for `_sigmoid`."""
    name = kernel.__name__ if isinstance(kernel, types.FunctionType) else type(kernel).__name__
    return name.strip("_")


# The modules that define the library's own kernels, in contrast to a user's; `ops` fills it.
OWN_OPERATIONS: set[str] = set()


# The mode: what operations do besides computing


class Watch:
    """An observer of every operation inside `with watching(watch)`, such as `detect_anomaly`."""

    def forward(self, kernel: Kernel, arrays: list[Array], y: Array, node: Node | None) -> None:
        """See a kernel's result, and its node if it was recorded."""

    def before_vjp(self, node: Node) -> None:
        """See a node before its vjp runs."""

    def after_vjp(self, node: Node, gradients: Grads) -> None:
        """See what a node's vjp returned."""


@dataclass(frozen=True, slots=True)
class Mode:
    """The settings of this thread or asyncio task, in one object so that they change together."""

    recording: bool = True
    """Whether operations on Tensors that require grad make nodes."""
    differentiating: bool = False
    """Whether a derivative is being taken, so that derivatives inside it return Tensors."""
    rerunnable: bool = False
    """Whether nodes keep their inputs, so that a gradient can itself be differentiated."""
    rerunning: bool = False
    """Whether kernels run on Tensors, so that a number taken out of one would lose its slope."""
    watch: Watch | None = None


_mode: ContextVar[Mode] = ContextVar("tinygrad_mnist.mode", default=Mode())  # noqa: B039 - frozen
mode = _mode.get


@contextmanager
def switched(**fields: Any) -> Iterator[None]:
    """Set fields of the mode inside the `with` block, in this thread or task only."""
    before = mode()
    _mode.set(replace(before, **fields))
    try:
        yield
    finally:
        # Not reset(token): the block of a generator may end in another context than it began in.
        _mode.set(before)


def watching(watch: Watch) -> Any:
    """Let a `Watch` see every operation inside the `with` block, in this thread or task only.

    Examples
    --------
    >>> import tinygrad_mnist as tg
    >>> class Names(Watch):
    ...     def forward(self, kernel, arrays, y, node):
    ...         print(op_name(kernel), y.shape)
    >>> with watching(Names()):
    ...     tg.Tensor([1.0, 2.0]).exp().sum()
    exp (2,)
    sum ()
    Tensor(10.107338)
    """
    return switched(watch=watch)


# The walk back


def backward(
    root: Node, seed: Array, *, retain_graph: bool = False, first: int = 0
) -> dict[Node, Array]:
    """Return the gradients of the leaves and of nodes with `keeps_grad`, given that of the root.

    The walk does not store gradients on the nodes, so an error leaves every `.grad` unchanged.

    Parameters
    ----------
    root : Node
    seed : ndarray
        The gradient of the root. The walk may overwrite it.
    retain_graph : bool
        Whether to keep the graph, so that backward can run again.
    first : int
        Nodes with a smaller number count as constants.

    Raises
    ------
    GraphError
        If a part of the graph was freed, or an array that it saved was changed in place.
    ShapeError
        If a vjp returns a gradient whose shape differs from its input's.
    """
    # Only this function owns gradients, so it may sum them in place. Then it keeps each gradient or
    # hands it to exactly one vjp, which may overwrite it.
    pending = {root: seed}
    kept: dict[Node, Array] = {}
    queue = [(-root.number, root)]
    watch = mode().watch
    with np.errstate(all="ignore"):  # an infinite slope (sqrt at 0) is a correct answer
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
                _check_unchanged(node, saved_arrays(node))
            if watch is not None:
                watch.before_vjp(node)
            if first:
                needs = [p is not None and p.number >= first for p in parents]
            else:
                needs = [p is not None for p in parents]
            gradients = vjp(g, needs)
            if type(gradients) is not tuple or len(gradients) != len(parents):
                _check_number(node, gradients, parents)
            if watch is not None:
                watch.after_vjp(node, gradients)
            if not retain_graph:
                node.vjp, node.parents, node.saved = _freed, (), ()
            # The lengths are equal, and strict= would cost time here.
            for parent, need, gradient in zip(parents, needs, gradients):  # noqa: B905
                if parent is None or not need or gradient is None:
                    continue
                if type(gradient) is not np.ndarray:  # 0-d arrays become NumPy's scalars
                    gradient = np.asanyarray(gradient)
                if gradient.shape != parent.shape:
                    raise _wrong_shape(node, gradient.shape, parent)
                if gradient.dtype != parent.dtype:
                    gradient = gradient.astype(parent.dtype)
                # A leaf has no parents, so the walk does not have to visit it.
                sums = kept if parent.vjp is None else pending
                if parent in sums:
                    sums[parent] += gradient
                else:
                    sums[parent] = gradient
                    if sums is pending:
                        heapq.heappush(queue, (-parent.number, parent))
    return kept


def backward_recorded(root: Node, seed: Any, *, first: int) -> dict[Node, Any]:
    """Walk back like `backward`, but on Tensors, so that the gradients are part of the graph.

    Each kernel runs again on its original Tensors, and the vjp of that second run computes the
    gradients. Therefore the gradients can be differentiated like any other recorded result. Every
    node from number `first` on must be rerunnable.
    """
    pending = {root: seed}
    kept: dict[Node, Any] = {}
    queue = [(-root.number, root)]
    watch = mode().watch
    with switched(rerunning=True), np.errstate(all="ignore"):
        while queue:
            node = heapq.heappop(queue)[1]
            g = pending.pop(node)
            if node.vjp is None or node.keeps_grad:
                kept[node] = g
            needs = [p is not None and p.number >= first for p in node.parents]
            if not any(needs):
                continue
            if node.rerun is None:
                raise GraphError(
                    f"{node.name} was recorded outside of a derivative, so its gradient cannot be "
                    "differentiated; compute it inside the function that grad, vjp or hvp is given"
                )
            if node.number < _last_change:
                _check_unchanged(node, [*saved_arrays(node), *node.rerun.arrays])
            if watch is not None:
                watch.before_vjp(node)
            try:
                gradients = node.rerun()(g, needs)
            except (GraphError, MemoryError):
                raise
            except Exception as error:
                raise GraphError(
                    f"{node.name} cannot be differentiated twice, because its kernel does not run "
                    f"on Tensors: {error}"
                ) from error
            _check_number(node, gradients, node.parents)
            if watch is not None:
                arrays = [None if h is None else np.asarray(values(h)) for h in gradients]
                watch.after_vjp(node, arrays)
            for parent, needed, gradient in zip(node.parents, needs, gradients, strict=True):
                if parent is None or gradient is None or not needed:
                    continue
                if gradient.shape != parent.shape:
                    raise _wrong_shape(node, gradient.shape, parent)
                if gradient.dtype != parent.dtype:
                    gradient = gradient.astype(parent.dtype)
                if parent in pending:
                    # Not in place, because recorded operations may still need both parts.
                    pending[parent] = pending[parent] + gradient
                else:
                    pending[parent] = gradient
                    heapq.heappush(queue, (-parent.number, parent))
    return kept


def _check_number(node: Node, gradients: object, parents: Parents) -> None:
    if not isinstance(gradients, (tuple, list)):
        raise GraphError(
            f"{node.name}: its vjp must return a tuple with one gradient for each input, "
            f"got {type(gradients).__name__}"
        )
    if len(gradients) != len(parents):
        raise GraphError(
            f"{node.name}: its vjp gave {len(gradients)} gradients for {len(parents)} inputs"
        )


def _wrong_shape(node: Node, shape: tuple[int, ...], parent: Node) -> ShapeError:
    return ShapeError(
        f"{node.name}: its vjp gave a gradient of shape {shape} for an input of shape "
        f"{parent.shape}"
    )


def _freed(g: Array, needs: Needs) -> Grads:
    raise GraphError(
        "backward: an earlier backward has freed this graph; pass retain_graph=True to that, or "
        "compute it anew"
    )


# The guard against changes in place. A graph that saved an array must not go backward after the
# library (an optimizer, `p.data -= ...`) has written into the memory of that array.


class _Change:
    """The last change of one piece of memory, from address `start` to before `stop`."""

    __slots__ = ("number", "start", "stop")

    def __init__(self, array: Array) -> None:
        self.start, self.stop = span(array)
        self.number = 0


# The key is the id of an array that owns its memory, or the addresses that a view covers.
_changes: dict[object, _Change] = {}
_last_change = 0
_change_lock = threading.Lock()


def mark_changed(array: Array) -> None:
    """Note that `array` was overwritten, so that graphs that saved it refuse to go backward."""
    global _last_change
    with _change_lock:  # otherwise a slow thread could replace a newer number by an older one
        _find_change(array).number = _last_change = _count()


def mark_all_changed(arrays: Sequence[Array]) -> Callable[[], None]:
    """Return a function that marks several arrays as changed; it keeps the arrays alive.

    One call takes a tenth of the time of marking the arrays one by one.
    """
    kept = list(arrays)
    with _change_lock:
        changes = [_find_change(array) for array in kept]

    def mark() -> None:
        global _last_change
        with _change_lock:
            _last_change = number = _count()
            for change in changes:
                change.number = number

    mark.__dict__["arrays"] = kept
    return mark


def _find_change(array: Array) -> _Change:
    """Return the record of changes to an array's memory."""
    if array.base is None:  # it owns its memory, as parameters do
        return _changes.get(id(array)) or _remember(id(array), array)
    addresses = span(array)
    return _changes.get(addresses) or _remember(addresses, array)


def _remember(key: object, array: Array) -> _Change:
    """Start a record of changes to an array's memory; it lasts as long as the memory does."""
    change = _changes[key] = _Change(array)
    owner = array
    while isinstance(owner.base, np.ndarray):
        owner = owner.base
    if owner.base is None:
        weakref.finalize(owner, _changes.pop, key, None).atexit = False
    # Otherwise the memory belongs to a buffer that is not an ndarray, so we do not notice when it
    # is freed. The record stays. This is harmless, because a saved array keeps its memory alive: a
    # change at the same addresses after the node was made can only be a change of that array.
    return change


def _check_unchanged(node: Node, saved: Sequence[Array]) -> None:
    if not saved:
        return
    changes = [change for change in list(_changes.values()) if change.number > node.number]
    for array in saved if changes else ():
        start, stop = span(array)
        if any(change.start < stop and start < change.stop for change in changes):
            raise GraphError(
                f"backward: {node.name} saved an array of shape {array.shape} that was changed in "
                "place since (p.data -= ..., or an optimizer step); call backward before that"
            )


def saved_arrays(node: Node) -> list[Array]:
    """Return the arrays that a node's vjp holds, as far as they can be found.

    These are the arrays in its closure, defaults and attributes. If the search meets an object that
    it cannot look into, the kernel's inputs and result count as saved, too. The object cannot hold
    any other array that the library changes in place.
    """
    return [*_search(node.vjp)[0], *node.saved]


def can_hide_arrays(vjp: VJP) -> bool:
    """Return whether a vjp may hold arrays where `saved_arrays` cannot find them.

    The vjps of our own operations cannot, as a test confirms. They are not searched again for each
    node, because that would cost a fifth of the time that a node takes.
    """
    return _search(vjp)[1]


_PLAIN = (
    bool, int, float, complex, str, bytes, type(None), type(Ellipsis), slice, range, type,
    np.generic, np.dtype, np.ufunc, types.BuiltinFunctionType, types.ModuleType,
)  # fmt: skip


def _search(vjp: object) -> tuple[list[Array], bool]:
    """Return the arrays that a vjp reaches, and whether it reaches an object that is opaque."""
    arrays: list[Array] = []
    opaque = False
    stack: list[object] = [vjp]
    seen: set[int] = set()
    while stack:
        thing = stack.pop()
        if id(thing) in seen or isinstance(thing, _PLAIN):
            continue
        seen.add(id(thing))
        if isinstance(thing, np.ndarray):
            arrays.append(thing)
        elif isinstance(thing, types.FunctionType):
            stack += _cell_contents(thing)
            stack += (thing.__defaults__, thing.__kwdefaults__, vars(thing))
        elif isinstance(thing, functools.partial):
            stack += (thing.func, thing.args, thing.keywords)
        elif isinstance(thing, (tuple, list, set, frozenset)):
            stack += thing
        elif isinstance(thing, dict):
            stack += thing.values()
        elif isinstance(thing, types.MethodType):
            stack += (thing.__func__, thing.__self__)
        else:
            opaque = True
            stack.append(getattr(thing, "__dict__", None))
    return arrays, opaque


def _cell_contents(function: types.FunctionType) -> list[object]:
    contents = []
    for cell in function.__closure__ or ():
        with suppress(ValueError):  # the variable has no value yet
            contents.append(cell.cell_contents)
    return contents
