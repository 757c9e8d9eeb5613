"""recording(): keep what a picture of a graph shows, so that it can be drawn after backward."""

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

import numpy as np

from ..arrays import Array
from ..graph import Grads, Kernel, Node, Watch, mode, op_name, watching

__all__ = ["Input", "Operation", "Recording", "describe", "find_recording", "recording"]


def describe(array: Array) -> str:
    """Return an array's values in a few letters: all of them, or the least and the greatest."""
    if array.size == 0 or array.dtype.kind not in "fiub":
        return ""
    if array.size == 1:
        return _number(array.item(), 4)
    if array.ndim == 1 and array.size <= 4:
        return f"[{', '.join(_number(v, 3) for v in array.tolist())}]"
    finite = array[np.isfinite(array)]
    if finite.size == 0:
        return "not finite"
    least, greatest = _number(finite.min().item(), 3), _number(finite.max().item(), 3)
    some = "" if finite.size == array.size else ", some not finite"
    return f"{least} … {greatest}{some}" if least != greatest else f"all {least}{some}"


def _number(value: float, digits: int) -> str:
    if isinstance(value, int):  # bools too
        return str(value)
    return f"{value:.{digits}g}"


@dataclass(slots=True)
class Input:
    """One input of a recorded operation: a constant, or a value of the graph."""

    shape: tuple[int, ...]
    value: str
    number: int = 0
    """The number of its node; 0 for a constant."""
    name: str = ""
    """The operation that made it; empty for a leaf or a constant."""
    node: "weakref.ref[Node] | None" = None
    array: Array | None = None
    """A constant's array: the Recording keeps it, so that its identity stays its own."""

    def find_node(self) -> Node | None:
        """Return its node, if that is still alive."""
        return None if self.node is None else self.node()


@dataclass(slots=True)
class Operation:
    """One recorded operation, without its Node: so the memory of the graph is free to go."""

    name: str
    shape: tuple[int, ...]
    value: str
    inputs: list[Input]
    gradients: list[Array | None] = field(default_factory=list)
    """What backward sent to each input so far."""


class Recording(Watch):
    """What was recorded in one `with` block: its operations by the number of their nodes."""

    def __init__(self, around: Watch) -> None:
        self.operations: dict[int, Operation] = {}
        self.around = around  # such as that of detect_anomaly(), which sees everything as well

    def forward(self, kernel: Kernel, arrays: list[Array], y: Array, node: Node | None) -> None:
        """Note an operation's values, and let its result keep its gradient."""
        self.around.forward(kernel, arrays, y, node)
        if node is None:
            return
        node.keeps_grad = (
            True  # without this nobody would know the gradient that backward starts with
        )
        inputs = [
            _constant(array) if parent is None else _value(array, parent)
            for array, parent in zip(arrays, node.parents, strict=True)
        ]
        self.operations[node.number] = Operation(
            op_name(kernel), y.shape, describe(y), inputs, [None] * len(inputs)
        )
        _recordings[node] = self

    def before_vjp(self, node: Node) -> None:
        """Let the watch around this one see the node."""
        self.around.before_vjp(node)

    def after_vjp(self, node: Node, gradients: Grads) -> None:
        """Add up what a vjp sent to each input, of an operation that an earlier block noted too.

        What a derivative (`grad`, `hvp`) sends is not what `backward` would leave in `.grad`.
        """
        self.around.after_vjp(node, gradients)
        if mode().differentiating:
            return
        record = find_recording(node)
        if record is None or not isinstance(gradients, (tuple, list)):
            return  # of a vjp that returns something else, the walk complains
        operation = record.operations[node.number]
        for i, gradient in enumerate(gradients[: len(operation.gradients)]):
            if gradient is not None:
                before, new = operation.gradients[i], np.array(gradient)
                operation.gradients[i] = new if before is None else before + new


def _constant(array: Array) -> Input:
    return Input(array.shape, describe(array), array=array)


def _value(array: Array, node: Node) -> Input:
    return Input(array.shape, describe(array), node.number, node.name, weakref.ref(node))


# A Recording holds no Node, so it lives as long as one of its results does, and no longer.
_recordings: WeakKeyDictionary[Node, Recording] = WeakKeyDictionary()


def find_recording(node: Node | None) -> Recording | None:
    """Return the Recording in which a node was made, if there is one."""
    return None if node is None else _recordings.get(node)


@contextmanager
def recording() -> Iterator[None]:
    """Inside the `with` block, keep what a picture of the graph shows, past `backward`.

    `backward` frees the graph that it passes. What is computed in this block can be drawn
    afterwards all the same, with the value and the gradient of every operation and with its
    constants. It also keeps its gradient in `.grad`, as after `retain_grad()`. Every operation
    costs a look at its values, and all constants and gradients stay in memory as long as a result
    does: use it for one step, not for training.

    Examples
    --------
    >>> from tinygrad_mnist import Tensor, plots
    >>> with plots.recording():
    ...     w = Tensor(2.0, requires_grad=True)
    ...     loss = (w * 3.0 - 5.0) ** 2
    ...     loss.backward()
    >>> figure = plots.graph_figure(loss, names={"w": w})
    """
    around = mode().watch or Watch()
    with watching(around if isinstance(around, Recording) else Recording(around)):
        yield
