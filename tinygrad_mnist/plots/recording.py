"""recording(): keep what a picture of a graph needs, so that it can be drawn after backward."""

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
    """Return an array's values as a short text: all of them, or the smallest and the largest."""
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
    if isinstance(value, int):  # this includes bool
        return str(value)
    return f"{value:.{digits}g}"


@dataclass(slots=True)
class Input:
    """One input of a recorded operation: a constant, or a value of the graph."""

    shape: tuple[int, ...]
    value: str
    number: int = 0
    """The number of its node, or 0 for a constant."""
    name: str = ""
    """The operation that made it, or "" for a leaf or a constant."""
    node: "weakref.ref[Node] | None" = None
    array: Array | None = None
    """A constant's array. It is kept alive so that no other array can get the same id."""

    def find_node(self) -> Node | None:
        """Return its node if that is still alive."""
        return None if self.node is None else self.node()


@dataclass(slots=True)
class Operation:
    """One recorded operation. It does not hold its Node, so that the graph can be freed."""

    name: str
    shape: tuple[int, ...]
    value: str
    inputs: list[Input]
    gradients: list[Array | None] = field(default_factory=list)
    """The gradient that backward has sent to each input so far."""


class Recording(Watch):
    """The operations recorded in one `with` block, by the numbers of their nodes."""

    def __init__(self, around: Watch) -> None:
        self.operations: dict[int, Operation] = {}
        self.around = around  # an outer watch, such as detect_anomaly(), which also sees everything

    def forward(self, kernel: Kernel, arrays: list[Array], y: Array, node: Node | None) -> None:
        """Record an operation's values, and let its result keep its gradient."""
        self.around.forward(kernel, arrays, y, node)
        if node is None:
            return
        node.keeps_grad = True  # otherwise the gradient that backward starts with would be unknown
        inputs = [
            _constant(array) if parent is None else _value(array, parent)
            for array, parent in zip(arrays, node.parents, strict=True)
        ]
        self.operations[node.number] = Operation(
            op_name(kernel), y.shape, describe(y), inputs, [None] * len(inputs)
        )
        _recordings[node] = self

    def before_vjp(self, node: Node) -> None:
        """Pass the node on to the outer watch."""
        self.around.before_vjp(node)

    def after_vjp(self, node: Node, gradients: Grads) -> None:
        """Add up what a vjp sent to each input, even if an earlier block recorded the operation.

        What a derivative (`grad`, `hvp`) sends is left out, because it does not go into `.grad`.
        """
        self.around.after_vjp(node, gradients)
        if mode().differentiating:
            return
        record = find_recording(node)
        if record is None or not isinstance(gradients, (tuple, list)):
            return  # the backward pass itself reports a vjp that returns something else
        operation = record.operations[node.number]
        for i, gradient in enumerate(gradients[: len(operation.gradients)]):
            if gradient is not None:
                before, new = operation.gradients[i], np.array(gradient)
                operation.gradients[i] = new if before is None else before + new


def _constant(array: Array) -> Input:
    return Input(array.shape, describe(array), array=array)


def _value(array: Array, node: Node) -> Input:
    return Input(array.shape, describe(array), node.number, node.name, weakref.ref(node))


# A Recording does not hold Nodes, so it is freed together with the last of its results.
_recordings: WeakKeyDictionary[Node, Recording] = WeakKeyDictionary()


def find_recording(node: Node | None) -> Recording | None:
    """Return the Recording in which a node was made, or None."""
    return None if node is None else _recordings.get(node)


@contextmanager
def recording() -> Iterator[None]:
    """Inside the `with` block, keep what a picture of the graph needs, even after `backward`.

    `backward` frees the graph. A graph that was computed in this block can still be drawn
    afterwards, with its constants and with the value and the gradient of every operation. Each
    result also keeps its gradient in `.grad`, as after `retain_grad()`. Use it for one step and
    not for training, because it reads the values of every operation, and keeps all constants and
    gradients in memory as long as a result exists.

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
