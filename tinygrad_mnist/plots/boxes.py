"""Read the graph behind a Tensor as boxes: operations, leaves, constants and whole modules."""

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..arrays import Array
from ..errors import GraphError
from ..graph import Node
from ..tensor import Tensor, unwrap
from .recording import Input, Operation, Recording, describe, find_recording

if TYPE_CHECKING:
    from ..nn import Module

__all__ = ["Box", "Boxes", "edges_of", "fold_chains", "group_modules", "read_graph"]

_SHORTEST_RUN = 4  # this many equal operations in a row are folded into one box
_LARGEST_GROUP = 8  # the most operations that fit into the box of one module


@dataclass(slots=True)
class Box:
    """What is drawn for one value of the graph."""

    kind: str
    """`operation`, `leaf`, `constant` or `module`."""
    title: str
    shape: tuple[int, ...] = ()
    value: str = ""
    gradient: str = ""
    inputs: list[int] = field(default_factory=list)
    parts: "list[Box]" = field(default_factory=list)
    """For a module: its parameters and operations."""


Boxes = dict[int, Box]  # inputs first; the keys are node numbers, or below 0 for constants


def edges_of(boxes: Boxes) -> list[tuple[int, int]]:
    """Return the pairs (input, user) of all boxes."""
    return [(start, end) for end, box in boxes.items() for start in box.inputs]


def read_graph(
    tensor: Tensor, names: Mapping[str, Any] | None, model: "Module | None", op: str
) -> Boxes:
    """Return the boxes of the graph behind a Tensor.

    Raises
    ------
    TypeError
        If it is not a Tensor, or a name belongs to something other than a Tensor or an ndarray.
    GraphError
        If backward has freed the graph, and it was not recorded.
    """
    if not isinstance(tensor, Tensor):
        raise TypeError(f"{op}: expected a Tensor, got {type(tensor).__name__}")
    if tensor.node is None:
        return {}
    called = {} if model is None else dict(model.named_parameters())
    reader = _Reader([*called.items(), *(names or {}).items()], tensor, op)
    reader.read(tensor.node)
    return reader.finish()


class _Step(NamedTuple):
    """A node to visit. It is alive, or known only from a recording."""

    number: int
    node: Node | None
    record: Recording | None = None
    link: Input | None = None


class _Reader:
    """The walk from a result to the leaves. It uses recordings where the graph was freed."""

    def __init__(self, called: Iterable[tuple[str, Any]], root: Tensor, op: str) -> None:
        self.op = op
        self.boxes: Boxes = {}
        # What the caller knows, by the numbers of nodes. Constants do not have a node.
        self.names: dict[int, str] = {}
        self.arrays: dict[int, Array] = {}
        self.named_constants: list[tuple[Array, str]] = []
        # What the walk finds, by the numbers of nodes.
        self.nodes: dict[int, Node] = {}
        self.values: dict[int, tuple[str, int]] = {}  # with the operation that saw the value
        self.arrived: dict[int, Array] = {}  # sum of what recorded operations sent
        self.unsure: set[int] = set()  # nodes whose gradient may have unrecorded parts
        self.constants: dict[tuple[int, str], int] = {}  # keys of boxes, by identity and value
        for name, thing in called:
            self._call(name, thing)
        if root.node is not None:
            self.arrays[root.node.number] = root.data

    def _call(self, name: str, thing: Any) -> None:
        array = unwrap(thing)
        if not isinstance(array, np.ndarray):
            raise TypeError(
                f"{self.op}: expected names of Tensors or ndarrays, got {type(thing).__name__} for"
                f" {name!r}"
            )
        if isinstance(thing, Tensor) and thing.node is not None:
            self.names[thing.node.number] = name
            self.arrays[thing.node.number] = array
        else:
            self.named_constants.append((array, name))

    def read(self, root: Node) -> None:
        """Make a box of each node."""
        if not root.is_leaf and not root.parents and find_recording(root) is None:
            raise GraphError(
                f"{self.op}: backward has freed this graph; draw it before backward, pass"
                " retain_graph=True to backward, or compute it inside plots.recording()"
            )
        stack: list[_Step] = [_Step(root.number, root)]
        while stack:
            step = stack.pop()
            if step.number in self.boxes:
                continue
            if step.node is not None:
                self.nodes[step.number] = step.node
            record = find_recording(step.node) or step.record
            operation = None if record is None else record.operations.get(step.number)
            if operation is not None:
                self._add_recorded(step.number, operation)
                links = [link for link in operation.inputs if link.number]
                stack += [_Step(link.number, link.find_node(), record, link) for link in links]
            elif step.node is not None:
                self._add_node(step.node)
                stack += [_Step(p.number, p) for p in step.node.parents if p is not None]
            elif step.link is not None:
                self._add_lost(step.number, step.link)

    def _add_recorded(self, number: int, operation: Operation) -> None:
        inputs = []
        for link, gradient in zip(operation.inputs, operation.gradients, strict=True):
            inputs.append(link.number or self._constant(link))
            if link.number:
                self._note_value(link.number, link.value, number)
            if gradient is not None:
                before = self.arrived.get(link.number)
                self.arrived[link.number] = gradient if before is None else before + gradient
        self._note_value(number, operation.value, number)
        self.boxes[number] = Box("operation", operation.name, operation.shape, inputs=inputs)

    def _note_value(self, number: int, value: str, seen_by: int) -> None:
        """Keep the value that the last operation saw, because a parameter may have changed."""
        if seen_by >= self.values.get(number, ("", 0))[1]:
            self.values[number] = (value, seen_by)

    def _add_lost(self, number: int, link: Input) -> None:
        """Add a node that was made before the recording began and has been freed since then."""
        kind, title = ("operation", f"… {link.name}") if link.name else ("leaf", "leaf")
        self.boxes[number] = Box(kind, title, link.shape)

    def _constant(self, link: Input) -> int:
        """Return the key of a constant's box. All uses of the same array share one box."""
        key = self.constants.get((id(link.array), link.value))
        if key is None:
            key = -1 - len(self.constants)
            self.constants[id(link.array), link.value] = key
            name = next((n for array, n in self.named_constants if array is link.array), "constant")
            self.boxes[key] = Box("constant", name, link.shape, link.value)
        return key

    def _add_node(self, node: Node) -> None:
        """Add a node that was not recorded. The values of its constants are unknown."""
        inputs = [parent.number for parent in node.parents if parent is not None]
        self.unsure.update(inputs)
        if node.is_leaf:
            self.boxes[node.number] = Box("leaf", "leaf", node.shape)
            return
        title = node.name
        if not node.parents:
            title += " (freed)"
        elif None in node.parents:
            title += f"({', '.join('constant' if p is None else '·' for p in node.parents)})"
        self.boxes[node.number] = Box("operation", title, node.shape, inputs=inputs)

    def finish(self) -> Boxes:
        """Return the boxes with names, values and gradients. Inputs come before their users."""
        for number, box in self.boxes.items():
            if box.kind == "constant":
                continue
            name = self.names.get(number)
            if name is not None:
                box.title = name if box.kind == "leaf" else f"{name} = {box.title}"
            box.value = self.values.get(number, ("", 0))[0]
            if not box.value and number in self.arrays:
                box.value = describe(self.arrays[number])
            box.gradient = self._gradient(number)
        return _sort(self.boxes)

    def _gradient(self, number: int) -> str:
        node = self.nodes.get(number)
        stored = None if node is None else node.grad
        if number in self.arrived and (number not in self.unsure or stored is None):
            return describe(self.arrived[number])
        return "" if stored is None else describe(stored)


def _sort(boxes: Boxes) -> Boxes:
    """Sort the boxes by the order of creation, with each constant just before its first use."""
    first_use: dict[int, int] = {}
    for key, box in boxes.items():
        for i in box.inputs:
            first_use[i] = min(key, first_use.get(i, key))
    order = sorted(boxes, key=lambda key: (first_use[key], 0, -key) if key < 0 else (key, 1, 0))
    return {key: boxes[key] for key in order}


def _users(boxes: Boxes) -> dict[int, list[int]]:
    users: dict[int, list[int]] = {key: [] for key in boxes}
    for start, end in edges_of(boxes):
        users[start].append(end)
    return users


def fold_chains(boxes: Boxes) -> Boxes:
    """Replace each run of equal operations by one box that says how many operations there were.

    Operations are equal if they have the same name, shape and constants. Their other input must
    come from the operation before, and nothing else may use it.
    """
    users = _users(boxes)
    runs: dict[int, list[int]] = {}  # the key is the last operation of the run
    for key, box in boxes.items():
        if box.kind != "operation":
            continue
        runs[key] = [key]
        before = _only_value(box)
        if before in runs and len(users[before]) == 1 and _alike(boxes, before, key):
            runs[key] = [*runs.pop(before), key]
    folded = dict(boxes)
    for run in runs.values():
        if len(run) >= _SHORTEST_RUN:
            last = folded[run[-1]]
            title = f"{last.title} × {len(run):,}"
            folded[run[-1]] = replace(last, title=title, inputs=folded[run[0]].inputs)
            for key in run[:-1]:
                del folded[key]
    used = {i for box in folded.values() for i in box.inputs}
    return {key: box for key, box in folded.items() if key > 0 or key in used}


def _only_value(box: Box) -> int:
    """Return the only input of an operation that is not a constant, or 0 if there are several."""
    values = [i for i in box.inputs if i > 0]
    return values[0] if len(values) == 1 else 0


def _alike(boxes: Boxes, first: int, second: int) -> bool:
    def signature(box: Box) -> list[Any]:
        constants = [boxes[i] if i < 0 else None for i in box.inputs]
        return [box.title, box.shape, *(c and (c.title, c.shape, c.value) for c in constants)]

    return bool(_only_value(boxes[first]) and signature(boxes[first]) == signature(boxes[second]))


def group_modules(boxes: Boxes, model: "Module") -> Boxes:
    """Put the parameters and the operations of each module into one box.

    A module's operations are those that use its parameters, and all operations between them. If
    operations of other modules lie in between, or there are too many (a cell that runs over a
    sequence), each operation keeps its own box. So does a parameter that others use as well.
    """
    owners = _owners(boxes, model)
    users = _users(boxes)
    uses: dict[str, set[int]] = {}  # the operations that use a module's parameters
    for parameter, path in owners.items():
        uses.setdefault(path, set()).update(users[parameter])
    groups: list[tuple[str, set[int]]] = []
    for path, own in uses.items():
        between = _between(boxes, users, own)
        others = set().union(*(other for name, other in uses.items() if name != path))
        if between & others or len(between) > _LARGEST_GROUP:
            groups += [(path, {key}) for key in sorted(own)]
        else:
            groups.append((path, between))
    classes = _class_names(model)
    grouped, home = dict(boxes), dict.fromkeys(boxes, 0)
    for path, operations in groups:
        parameters = [p for p in owners if owners[p] == path and set(users[p]) <= operations]
        if parameters and not any(home[key] for key in operations):
            _merge(grouped, home, sorted([*parameters, *operations]), max(operations))
            box = grouped[max(operations)]
            box.title = f"{path}: {classes[path]}" if path in classes else path
            for part in box.parts:
                part.title = part.title.removeprefix(f"{path}.")
    for box in grouped.values():
        box.inputs = [home[i] or i for i in box.inputs]
    return _in_topological_order(grouped, list(boxes))


def _owners(boxes: Boxes, model: "Module") -> dict[int, str]:
    """Return the path of each parameter's module. Parameters of the model itself are left out."""
    owners = {}
    for name, parameter in model.named_parameters():
        path = name.rpartition(".")[0]
        if path and parameter.node is not None and parameter.node.number in boxes:
            owners[parameter.node.number] = path
    return owners


def _class_names(model: "Module") -> dict[str, str]:
    """Return the class names of the modules that hold parameters themselves, by their paths."""
    path_of = {id(p): name.rpartition(".")[0] for name, p in model.named_parameters()}
    return {
        path_of[id(thing)]: type(module).__name__
        for module in model.modules()
        for thing in vars(module).values()
        if id(thing) in path_of
    }


def _between(boxes: Boxes, users: dict[int, list[int]], own: set[int]) -> set[int]:
    """Return the given operations and all operations on a path from one of them to another."""
    below, above = set(own), set(own)
    for key, box in boxes.items():
        if any(i in below for i in box.inputs):
            below.add(key)
    for key in reversed(boxes):
        if any(user in above for user in users[key]):
            above.add(key)
    return below & above


def _merge(boxes: Boxes, home: dict[int, int], members: list[int], place: int) -> None:
    """Put the members in one box at `place`, which takes over their inputs from outside."""
    parts = [boxes.pop(key) for key in members]
    inputs = dict.fromkeys(i for part in parts for i in part.inputs if i not in members)
    last = parts[members.index(place)]
    boxes[place] = Box("module", "", last.shape, last.value, last.gradient, list(inputs), parts)
    home.update(dict.fromkeys(members, place))


def _in_topological_order(boxes: Boxes, order: Sequence[int]) -> Boxes:
    """Sort the boxes with inputs first by Kahn's method. If there is a choice, follow `order`."""
    place = {key: i for i, key in enumerate(order)}
    users = _users(boxes)
    missing = {key: len(box.inputs) for key, box in boxes.items()}
    ready = [place[key] for key in boxes if not missing[key]]
    heapq.heapify(ready)
    found: Boxes = {}
    while ready:
        key = order[heapq.heappop(ready)]
        found[key] = boxes[key]
        for user in users[key]:
            missing[user] -= 1
            if not missing[user]:
                heapq.heappush(ready, place[user])
    return found
