"""Recorder: records the calls of one step, and knows which array holds which value."""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from ..arrays import Array
from ..errors import GraphError
from ..graph import Grads, Kernel, Node, Watch, mode, op_name, switched
from .calls import VARYING, key_of, plain, set_active
from .numbers import as_number
from .tape import Bare, Line, Value, find_place, user_line
from .traced import Traced

__all__ = ["Recorder", "recording"]

_SMALL = 1 << 20  # bytes; a copy is kept of constants up to this size


def _owner(array: Array) -> Array:
    """Return the array that owns the memory of a view."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


class Recorder:
    """Records the calls of one step."""

    def __init__(self, keeps_results: bool = False) -> None:
        self.keeps_results = keeps_results
        self.lines: list[Line] = []
        self.values: list[Value] = []
        self.constants: dict[Value, int] = {}  # with a checksum of each
        self._by_memory: dict[tuple[Any, ...], Value] = {}
        self._homes: dict[int, Value] = {}  # the key is the id of the array that owns the memory
        self._viewed: set[Value] = set()  # homes that have views
        self._owners: list[Array] = []
        self.of_nodes: dict[Node, Value] = {}  # the value of each node of the graph
        self.section = ""  # the operation whose vjp is running

    # Values

    def add(self, role: Any, array: Array, name: str = "") -> Traced:
        """Add an array from outside the step under a name."""
        value = Value(role, plain(array), name)
        self._remember(value)
        return self._wrap(value)

    def add_number(self, role: Any, number: Any, name: str) -> Any:
        """Add a Python number from outside the step under a name."""
        value = Value(role, None, name)
        self.values.append(value)
        return as_number(number, value)

    def known(self, array: Array) -> Traced | None:
        """Return the recorded array for an array that was already added, or None."""
        value = self._by_memory.get(key_of(array))
        return None if value is None else self._wrap(value)

    def _remember(self, value: Value) -> None:
        assert value.array is not None
        owner = _owner(value.array)
        home = self._homes.setdefault(id(owner), value)
        self._owners.append(owner)
        if value.role != "constant" and home.role != "constant":
            value.home = home
        if value.home is not value:
            self._viewed.add(home)
        self._by_memory[key_of(value.array)] = value
        self.values.append(value)

    def _wrap(self, value: Value) -> Traced:
        assert value.array is not None
        traced = value.array.view(Traced)
        traced.value = value
        return traced

    def value_of(self, x: Array) -> Value:
        """Return the value that an array holds."""
        value = x.value if isinstance(x, Traced) else None
        if value is not None:
            return value
        known = self._by_memory.get(key_of(x))
        if known is not None and (known.role != "constant" or self._is_unchanged(known, x)):
            return known
        home = self._homes.get(id(_owner(x)))
        if isinstance(x, Traced) or (home is not None and home.role != "constant"):
            raise GraphError(
                f"program: an array of shape {x.shape} was made from a recorded one by a call that "
                f"cannot be followed; index, reshape or transpose instead, in {user_line()}"
            )
        value = Value("constant", x)
        self._remember(value)
        if x.nbytes <= _SMALL:
            value.array = x.copy()
        else:
            self.constants[value] = _checksum(x)
        return value

    def _is_unchanged(self, constant: Value, x: Array) -> bool:
        """Return whether a constant has not changed since its first use."""
        assert constant.array is not None
        return constant in self.constants or constant.array.tobytes() == x.tobytes()

    def written(self, x: Any) -> Any:
        """Return an argument for the tape, with values in place of arrays and numbers."""
        if isinstance(x, np.ndarray):
            return self.value_of(x)
        if isinstance(x, Bare):
            return x.value
        if isinstance(x, (tuple, list)):
            return type(x)(map(self.written, x)) if type(x) in (tuple, list) else x
        if isinstance(x, slice):
            return slice(*map(self.written, (x.start, x.stop, x.step)))
        return x

    def written_options(self, options: dict[str, Any]) -> dict[str, Any]:
        """Return keyword arguments for the tape."""
        return {name: self.written(value) for name, value in options.items()}

    # Lines

    def append(self, line: Line) -> None:
        """Append a line to the tape."""
        line.number = len(self.lines)
        if line.place.phase == "backward" and self.section:
            line.place = replace(line.place, section=self.section)
        shown = line.changes[0] if line.changes else line.result
        if self.keeps_results and shown is not None and shown.array is not None:
            line.after = shown.array.copy()
        self.lines.append(line)

    def release(self) -> None:
        """Forget the arrays that identified the values. Only constants keep their arrays."""
        for value in self.values:
            if value.role == "computed":
                value.array = None
        self._by_memory.clear()
        self._homes.clear()
        self._owners.clear()
        self.of_nodes.clear()

    def record(self, line: Line, result: Any) -> Any:
        """Record a line, and return its result as a recorded array or number."""
        line.place = find_place()
        if isinstance(result, (tuple, list)):
            return self._record_several(line, result)
        if not isinstance(result, (np.ndarray, np.generic)):
            raise GraphError(
                f"program: {line.call} reads the values of an array, so the program could not be "
                f"the same for others; in {user_line()}"
            )
        array = np.asarray(result)
        known = self._by_memory.get(key_of(array)) if isinstance(result, np.ndarray) else None
        if known is not None and known.home in {value.home for value in line.reads()}:
            return self._wrap(known)  # such as a reshape to the same shape
        value = Value("computed", array)
        value.hint = line.place.target
        value.is_scalar = isinstance(result, np.generic)
        value.varies = line.function in VARYING or any(v.varies for v in line.reads())
        self._remember(value)
        line.result = value
        self.append(line)
        return self._wrap(value)

    def _record_several(self, line: Line, results: Any) -> Any:
        """Record a call that returns several arrays, and one line that takes each array."""
        whole = Value("computed")
        whole.hint = line.place.target or "parts"
        self.values.append(whole)
        line.result = whole
        self.append(line)
        parts = [self.record(Line("item", "", (whole, i)), part) for i, part in enumerate(results)]
        return type(results)(parts) if type(results) in (tuple, list) else type(results)(*parts)

    def record_change(self, line: Line, target: Array) -> None:
        """Record a line that changes an array."""
        line.place = find_place()
        value = target.value if isinstance(target, Traced) else None
        # Look up the memory first: value_of would take the changed array for a new constant.
        value = value or self._by_memory.get(key_of(target)) or self.value_of(target)
        if value.home.role == "constant":
            value = self._thaw(value, target, line)
        line.changes = (value,)
        self.append(line)

    def before_change(self, target: Array) -> None:
        """Keep the content of a constant before a call changes it."""
        value = self._by_memory.get(key_of(target))
        if value is not None and value.role == "constant" and value in self.constants:
            value.array = target.copy()
            del self.constants[value]

    def _thaw(self, value: Value, target: Array, line: Line) -> Value:
        """Give the program its own copy of a constant that it changes."""
        fresh = Value("computed", value.array)
        fresh.hint = line.place.target
        assert value.array is not None
        fresh.array = plain(target)
        self._by_memory[key_of(target)] = fresh
        self._homes[id(_owner(plain(target)))] = fresh
        self.values.append(fresh)
        if isinstance(target, Traced):
            target.value = fresh
        self.append(Line("thaw", "", (value,), result=fresh, place=line.place))
        line.args = _replaced(line.args, value, fresh)
        return fresh

    def _rename(self, old: Value, new: Value, target: Array) -> None:
        """From now on, treat the memory of one value as the memory of another value."""
        assert old.array is not None
        new.home = new
        self._homes[id(_owner(old.array))] = new
        self._by_memory[key_of(old.array)] = new
        self.values.append(new)
        if isinstance(target, Traced):
            target.value = new

    def record_out(self, line: Line, target: Array) -> None:
        """Record a ufunc that writes into an array.

        If it fills the whole array, the result becomes a new value, so that the program is free to
        choose its memory.
        """
        known = target.value if isinstance(target, Traced) else None
        known = known or self._by_memory.get(key_of(target))
        fresh = known is None and id(_owner(target)) not in self._homes
        if fresh or (known is not None and self._fills(line, known)):
            line.place = find_place()
            value = Value("computed", plain(target))
            value.hint = line.place.target
            if known is None:
                self._remember(value)
                if isinstance(target, Traced):
                    target.value = value
            else:
                self._rename(known, value, target)
            line.result = value
            self.append(line)
            return
        self.record_change(line, target)
        line.options["out"] = line.changes[0]

    def _fills(self, line: Line, target: Value) -> bool:
        """Return whether a line overwrites all of a computed value that does not have views."""
        if target.role != "computed" or target.home is not target or target in self._viewed:
            return False
        return all(value.home is not target for value in line.reads())

    def tell_gradient(self, value: Value, parent: Value) -> None:
        """Note that a value is the gradient of another, on the line that computed the value."""
        for line in reversed(self.lines):
            if line.result is value or value in line.changes:
                line.gradient_of = parent
                return

    def check(self, value: Value, expected: bool) -> None:
        """Record that the library took a branch because a value was `expected`."""
        self.append(Line("check", "", (value,), place=find_place(), expected=expected))

    def finish(self) -> None:
        """Raise a GraphError if a constant was changed without the recorder noticing."""
        for value, checksum in self.constants.items():
            if value.array is not None and _checksum(value.array) != checksum:
                raise GraphError(
                    f"program: an array of shape {value.shape} was changed by plain NumPy while "
                    "the step was recorded; make it from a recorded one, by zeros_like"
                )


def _replaced(args: tuple[Any, ...], old: Value, new: Value) -> tuple[Any, ...]:
    return tuple(new if x is old else x for x in args)


def _checksum(array: Array) -> int:
    return zlib.crc32(np.ascontiguousarray(array).tobytes())


@contextmanager
def recording(recorder: Recorder) -> Iterator[None]:
    """Record the calls of recorded arrays inside the `with` block, in this thread."""
    token = set_active(recorder)
    try:
        with switched(watch=_Names(recorder, mode().watch)):
            yield
    finally:
        token.var.reset(token)


def _not_found(operation: str) -> GraphError:
    return GraphError(
        f"program: {operation} computes with a parameter that was not found, in {user_line()}; let "
        "the step reach it by a variable, an attribute or a list"
    )


class _Names(Watch):
    """Notes on each value what it is: the result of an operation, or a gradient."""

    def __init__(self, recorder: Recorder, outer: Watch | None) -> None:
        self.recorder, self.outer = recorder, outer
        self.sections: dict[Node, str] = {}  # the names of operations as users know them

    def forward(self, kernel: Kernel, arrays: list[Array], y: Array, node: Node | None) -> None:
        if isinstance(y, Traced) and y.value is not None:
            if y.value.role == "computed":
                y.value.hint = f"result of {op_name(kernel)}"
            if node is not None:
                self.recorder.of_nodes[node] = y.value
        if node is not None:
            self.sections[node] = find_place().section
            for parent, array in zip(node.parents, arrays, strict=True):
                is_known = parent in self.recorder.of_nodes or isinstance(array, Traced)
                if parent is not None and parent.is_leaf and not is_known:
                    raise _not_found(op_name(kernel))
        if self.outer is not None:
            self.outer.forward(kernel, arrays, y, node)

    def before_vjp(self, node: Node) -> None:
        self.recorder.section = self.sections.get(node, "")
        if self.outer is not None:
            self.outer.before_vjp(node)

    def after_vjp(self, node: Node, gradients: Grads) -> None:
        for parent, gradient in zip(node.parents, gradients, strict=False):
            value = gradient.value if isinstance(gradient, Traced) else None
            if value is not None and parent in self.recorder.of_nodes:
                self.recorder.tell_gradient(value, self.recorder.of_nodes[parent])
        if self.outer is not None:
            self.outer.after_vjp(node, gradients)
