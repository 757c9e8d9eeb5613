"""The recorder: arrays, numbers and generators that write down every call made on them."""

import operator
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from ..arrays import Array, Recorded
from ..errors import GraphError
from ..graph import Grads, Kernel, Node, Watch, mode, op_name, switched
from ..tensor import Tensor
from .tape import Line, Value, find_place, in_user_code, user_line, values_in

__all__ = ["Count", "Number", "Recorder", "Traced", "active", "plain", "recording"]

_active: ContextVar["Recorder | None"] = ContextVar("tinygrad_mnist.recorder", default=None)

active = _active.get  # the recorder of this thread, or None

_SMALL = 1 << 20  # bytes of a constant of which a copy is kept

# What depends on shapes and dtypes alone: it runs, and nothing is written down.
_STATIC = {
    np.shape, np.ndim, np.size, np.result_type, np.can_cast, np.may_share_memory,
    np.shares_memory, np.iscomplexobj, np.isrealobj, np.common_type, np.min_scalar_type,
}  # fmt: skip
# What changes its first argument.
_IN_PLACE = {np.copyto, np.put, np.place, np.putmask, np.fill_diagonal, np.put_along_axis}
# What gives an array whose shape depends on the numbers.
_VARYING = {
    np.nonzero, np.argwhere, np.flatnonzero, np.unique, np.extract, np.compress, np.delete,
    np.trim_zeros, np.intersect1d, np.union1d, np.setdiff1d, np.bincount, np.select, np.piecewise,
}  # fmt: skip
_METHODS = (
    "all", "any", "argmax", "argmin", "argsort", "astype", "clip", "conj", "conjugate", "copy",
    "cumprod", "cumsum", "diagonal", "dot", "flatten", "max", "mean", "min", "prod", "ravel",
    "repeat", "reshape", "round", "searchsorted", "squeeze", "std", "sum", "swapaxes", "take",
    "trace", "transpose", "var",
)  # fmt: skip
_CHANGING_METHODS = ("fill", "sort", "partition", "put", "itemset")
_REFUSED_METHODS = (
    "choose", "compress", "nonzero", "tolist", "tobytes", "tofile", "dump", "dumps", "byteswap",
    "getfield", "setfield", "resize", "argpartition",
)  # fmt: skip


def plain(x: Any) -> Any:
    """Return the array or number behind a recorded one; also inside tuples and lists."""
    if isinstance(x, np.ndarray):
        return np.ndarray.view(x, np.ndarray) if isinstance(x, Traced) else x
    if isinstance(x, (Number, Count)):
        return x.bare
    if isinstance(x, (tuple, list)) and type(x) in (tuple, list):
        return type(x)(map(plain, x))
    if isinstance(x, slice):
        return slice(plain(x.start), plain(x.stop), plain(x.step))
    return x


def _owner(array: Array) -> Array:
    """Return the array that owns the memory of a view."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def _key(array: Array) -> tuple[Any, ...]:
    """Return what tells a view of memory from others, as long as that memory lives."""
    return (array.__array_interface__["data"][0], array.shape, array.strides, array.dtype)


class Recorder:
    """Writes down the calls of one step."""

    def __init__(self, keeps_results: bool = False) -> None:
        self.keeps_results = keeps_results
        self.lines: list[Line] = []
        self.values: list[Value] = []
        self.constants: dict[Value, int] = {}  # with a checksum of each
        self._by_memory: dict[tuple[Any, ...], Value] = {}
        self._homes: dict[int, Value] = {}  # by the id of the array that owns the memory
        self._viewed: set[Value] = set()  # homes of which there are views
        self._owners: list[Array] = []
        self.of_nodes: dict[Node, Value] = {}  # what the nodes of the graph stand for
        self.operations: dict[str, str] = {}  # by their kernels' names

    # Values

    def add(self, role: Any, array: Array, name: str = "") -> "Traced":
        """Let an array from outside take part, under a name."""
        value = Value(role, plain(array), name)
        self._remember(value)
        return self._wrap(value)

    def add_number(self, role: Any, number: Any, name: str) -> Any:
        """Let a Python number from outside take part, under a name."""
        value = Value(role, None, name)
        self.values.append(value)
        return _as_number(number, value)

    def known(self, array: Array) -> "Traced | None":
        """Return an array that already takes part as a recorded one."""
        value = self._by_memory.get(_key(array))
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
        self._by_memory[_key(value.array)] = value
        self.values.append(value)

    def _wrap(self, value: Value) -> "Traced":
        assert value.array is not None
        traced = value.array.view(Traced)
        traced.value = value
        return traced

    def value_of(self, x: Array) -> Value:
        """Return the value that an array holds."""
        value = x.value if isinstance(x, Traced) else None
        if value is not None:
            return value
        known = self._by_memory.get(_key(x))
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
        """Return whether a constant is what it was when it was met first, so that it is the same."""
        return constant in self.constants or constant.array.tobytes() == x.tobytes()  # type: ignore[union-attr]

    def written(self, x: Any) -> Any:
        """Return an argument as the tape holds it: values in place of arrays and numbers."""
        if isinstance(x, np.ndarray):
            return self.value_of(x)
        if isinstance(x, (Number, Count)):
            return x.value
        if isinstance(x, (tuple, list)):
            return type(x)(map(self.written, x)) if type(x) in (tuple, list) else x
        if isinstance(x, slice):
            return slice(*map(self.written, (x.start, x.stop, x.step)))
        return x

    def written_options(self, options: dict[str, Any]) -> dict[str, Any]:
        """Return keyword arguments as the tape holds them."""
        return {name: self.written(value) for name, value in options.items()}

    # Lines

    def append(self, line: Line) -> None:
        """Write down a line."""
        line.number = len(self.lines)
        shown = line.changes[0] if line.changes else line.result
        if self.keeps_results and shown is not None and shown.array is not None:
            line.after = shown.array.copy()
        self.lines.append(line)

    def release(self) -> None:
        """Forget the arrays, which told the values apart; constants keep theirs."""
        for value in self.values:
            if value.role == "computed":
                value.array = None
        self._by_memory.clear()
        self._homes.clear()
        self._owners.clear()
        self.of_nodes.clear()

    def record(self, line: Line, result: Any) -> Any:
        """Write down a line, and return its result as a recorded one."""
        line.place = find_place()
        if isinstance(result, (tuple, list)):
            return self._record_several(line, result)
        if not isinstance(result, (np.ndarray, np.generic)):
            raise GraphError(
                f"program: {line.call} reads the values of an array, so the program could not be "
                f"the same for others; in {user_line()}"
            )
        array = np.asarray(result)
        known = self._by_memory.get(_key(array)) if isinstance(result, np.ndarray) else None
        if known is not None and known.home in {value.home for value in line.reads()}:
            return self._wrap(known)  # such as a reshape to the same shape
        value = Value("computed", array)
        value.hint = line.place.target
        value.is_scalar = isinstance(result, np.generic)
        value.varies = line.function in _VARYING or any(v.varies for v in line.reads())
        self._remember(value)
        line.result = value
        self.append(line)
        return self._wrap(value)

    def _record_several(self, line: Line, results: Any) -> Any:
        """Write down a call that returns several arrays, and what takes each of them."""
        whole = Value("computed")
        whole.hint = line.place.target or "parts"
        self.values.append(whole)
        line.result = whole
        self.append(line)
        parts = [self.record(Line("item", "", (whole, i)), part) for i, part in enumerate(results)]
        return type(results)(parts) if type(results) in (tuple, list) else type(results)(*parts)

    def record_change(self, line: Line, target: Array) -> None:
        """Write down a line that changes an array."""
        line.place = find_place()
        value = target.value if isinstance(target, Traced) else None
        # Not value_of: the target has changed already, which is no new constant.
        value = value or self._by_memory.get(_key(target)) or self.value_of(target)
        if value.home.role == "constant":
            value = self._thaw(value, target, line)
        line.changes = (value,)
        self.append(line)

    def before_change(self, target: Array) -> None:
        """Keep what a constant holds before a call changes it."""
        value = self._by_memory.get(_key(target))
        if value is not None and value.role == "constant" and value in self.constants:
            value.array = target.copy()
            del self.constants[value]

    def _thaw(self, value: Value, target: Array, line: Line) -> Value:
        """Give the program a copy of a constant that it changes."""
        fresh = Value("computed", value.array)
        fresh.hint = line.place.target
        assert value.array is not None
        fresh.array = plain(target)
        self._by_memory[_key(target)] = fresh
        self._homes[id(_owner(plain(target)))] = fresh
        self.values.append(fresh)
        if isinstance(target, Traced):
            target.value = fresh
        self.append(Line("thaw", "", (value,), result=fresh, place=line.place))
        line.args = _replaced(line.args, value, fresh)
        return fresh

    def _rename(self, old: Value, new: Value, target: Array) -> None:
        """Let the memory of one value be that of another from now on."""
        assert old.array is not None
        new.home = new
        self._homes[id(_owner(old.array))] = new
        self._by_memory[_key(old.array)] = new
        self.values.append(new)
        if isinstance(target, Traced):
            target.value = new

    def record_out(self, line: Line, target: Array) -> None:
        """Write down a ufunc that writes into an array; where it fills all of it, as a new value.

        Then the program is free to choose the memory.
        """
        known = target.value if isinstance(target, Traced) else None
        known = known or self._by_memory.get(_key(target))
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
        """Return whether a line overwrites all of a computed value that nothing else looks at."""
        if target.role != "computed" or target.home is not target or target in self._viewed:
            return False
        return all(value.home is not target for value in line.reads())

    def tell_gradient(self, value: Value, parent: Value) -> None:
        """Note on the line that computed it that a value is now the gradient of another."""
        for line in reversed(self.lines):
            if line.result is value or value in line.changes:
                line.gradient_of = parent
                return

    def check(self, value: Value, expected: bool) -> None:
        """Write down that a branch of the library was taken because a value was `expected`."""
        self.append(Line("check", "", (value,), place=find_place(), expected=expected))

    def finish(self) -> None:
        """Raise a GraphError if a constant was changed where the recorder could not see it."""
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
    """Let recorded arrays write down their calls inside the `with` block, in this thread."""
    token = _active.set(recorder)
    try:
        with switched(watch=_Names(recorder, mode().watch)):
            yield
    finally:
        _active.reset(token)


class _Names(Watch):
    """Tells values what they are: the result of an operation, the gradient of something."""

    def __init__(self, recorder: Recorder, outer: Watch | None) -> None:
        self.recorder, self.outer = recorder, outer

    def forward(self, kernel: Kernel, arrays: list[Array], y: Array, node: Node | None) -> None:
        if isinstance(y, Traced) and y.value is not None:
            if y.value.role == "computed":
                y.value.hint = f"result of {op_name(kernel)}"
                self.recorder.operations[op_name(kernel)] = find_place().section
            if node is not None:
                self.recorder.of_nodes[node] = y.value
        elif node is not None:
            raise GraphError(
                f"program: {op_name(kernel)} computed with a parameter that was not found, in "
                f"{user_line()}; let the step reach it by a variable, an attribute or a list"
            )
        if self.outer is not None:
            self.outer.forward(kernel, arrays, y, node)

    def before_vjp(self, node: Node) -> None:
        if self.outer is not None:
            self.outer.before_vjp(node)

    def after_vjp(self, node: Node, gradients: Grads) -> None:
        for parent, gradient in zip(node.parents, gradients, strict=False):
            value = gradient.value if isinstance(gradient, Traced) else None
            if value is not None and parent in self.recorder.of_nodes:
                self.recorder.tell_gradient(value, self.recorder.of_nodes[parent])
        if self.outer is not None:
            self.outer.after_vjp(node, gradients)


def _refuse(what: str) -> GraphError:
    return GraphError(
        f"program: {what} depends on the values of an array, so the program would not be the same "
        f"for other values, in {user_line()}; use where() or another operation on whole arrays, or "
        "do it outside of the captured step"
    )


# Arrays


def _call_ufunc(
    ufunc: np.ufunc, method: str, inputs: tuple[Any, ...], out: Any, options: dict[str, Any]
) -> Any:
    if any(isinstance(x, Tensor) for x in (*inputs, *(out or ()))):
        return NotImplemented
    run: Callable[..., Any] = getattr(ufunc, method)
    tape = _active.get()
    where = {"out": tuple(map(plain, out))} if out else {}
    # What the arrays hold is written down before they change.
    bare = {name: plain(value) for name, value in options.items()}
    if tape is None:
        result = run(*map(plain, inputs), **where, **bare)
        return out[0] if out else result
    name = f"np.{ufunc.__name__}" + ("" if method == "__call__" else f".{method}")
    line = Line("function", name, tape.written(inputs), tape.written_options(options))
    line.function = ufunc if method == "__call__" else None
    for target in out or (inputs[:1] if method == "at" else ()):
        tape.before_change(target)
    result = run(*map(plain, inputs), **where, **bare)
    if method == "at":
        tape.record_change(line, inputs[0])
        return None
    if out:
        if len(out) > 1:
            raise GraphError(f"program: {name} with several arrays as out, in {user_line()}")
        tape.record_out(line, out[0])
        return out[0] if isinstance(out[0], Traced) else tape.known(out[0])
    return tape.record(line, result)


class Traced(Recorded):
    """An array that writes down what is done with it, while a step is recorded."""

    value: Value | None

    def __array_finalize__(self, parent: Any) -> None:
        self.value = None

    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **options: Any
    ) -> Any:
        return _call_ufunc(ufunc, method, inputs, out, options)

    def __array_function__(
        self, function: Any, types: Any, args: tuple[Any, ...], options: dict[str, Any]
    ) -> Any:
        if any(issubclass(kind, Tensor) for kind in types):
            return NotImplemented
        run = lambda: function(*plain(args), **{k: plain(v) for k, v in options.items()})  # noqa: E731
        tape = _active.get()
        if tape is None or function in _STATIC:
            return run()
        name = f"{function.__module__}.{function.__name__}".replace("numpy", "np", 1)
        if function in _VARYING:
            raise _refuse(f"the shape of what {name} returns")
        line = Line("function", name, tape.written(args), tape.written_options(options))
        line.function = function
        out = line.options.pop("out", None)
        if function in _IN_PLACE:
            tape.before_change(args[0])
        result = run()
        if function in _IN_PLACE:
            tape.record_change(line, args[0])
            return None
        if out is not None:
            target = options["out"][0] if isinstance(options["out"], tuple) else options["out"]
            tape.record_out(line, target)
            return target if isinstance(target, Traced) else tape.known(target)
        return tape.record(line, result)

    # Indexing

    def __getitem__(self, index: Any) -> Any:
        tape = _active.get()
        result = plain(self)[plain(index)]
        if tape is None:
            return result
        line = Line("item", "", (tape.value_of(self), tape.written(index)))
        if any(v.dtype == np.bool_ for v in values_in(line.args[1:])):
            raise _refuse("the shape of what a mask takes")
        return tape.record(line, result)

    def __setitem__(self, index: Any, value: Any) -> None:
        tape = _active.get()
        if isinstance(value, Tensor):
            value = value.data
        if tape is None:
            plain(self)[plain(index)] = plain(value)
            return
        # After `a[i] += b`, Python assigns the view that has already changed to its own place.
        if isinstance(value, Traced) and value.value is not None:
            target = plain(self)[plain(index)]
            if isinstance(target, np.ndarray) and _key(target) == _key(plain(value)):
                return
        line = Line("put", "", (tape.value_of(self), tape.written(index), tape.written(value)))
        plain(self)[plain(index)] = plain(value)
        tape.record_change(line, self)

    # Attributes and methods that the class of arrays does not let a subclass see

    @property
    def T(self) -> Any:  # noqa: N802 - NumPy's name
        """The array with its axes in reverse order."""
        tape = _active.get()
        result = plain(self).T
        if tape is None:
            return result
        return tape.record(Line("attribute", "T", (tape.value_of(self),)), result)

    @property
    def mT(self) -> Any:  # noqa: N802 - NumPy's name
        """The array with its last two axes exchanged."""
        return self.swapaxes(-1, -2)

    def view(self, dtype: Any = None, type: Any = None) -> Any:  # noqa: A002 - NumPy's name
        """Return the memory as another dtype; another class of arrays is ignored."""
        tape = _active.get()
        kind = dtype if type is None else type
        if _is_class(kind) and issubclass(kind, np.ndarray):
            return self if tape is not None else np.ndarray.view(self, kind)
        result = plain(self).view(dtype)
        if tape is None:
            return result
        return tape.record(Line("method", "view", (tape.value_of(self), dtype)), result)

    def item(self, *index: Any) -> Any:
        """Return an element as a Python number, which the library may compute with."""
        tape = _active.get()
        if tape is None:
            return plain(self).item(*index)
        if in_user_code():
            raise _refuse(".item()")
        source = self[index] if index else self
        value = Value("computed")
        value.hint = find_place().target
        tape.values.append(value)
        line = Line("number", "item", (tape.value_of(source),), result=value, place=find_place())
        tape.append(line)
        return _as_number(plain(source).item(), value)

    def __bool__(self) -> bool:
        answer = bool(plain(self))
        tape = _active.get()
        if tape is not None:
            if in_user_code():
                raise _refuse("a branch or a loop")
            tape.check(tape.value_of(self), answer)
        return answer

    def _read(self, what: str, read: Callable[[Any], Any]) -> Any:
        if _active.get() is not None:
            raise _refuse(what)
        return read(plain(self))

    def __float__(self) -> float:
        return self._read("float()", float)

    def __int__(self) -> int:
        return self._read("int()", int)

    def __complex__(self) -> complex:
        return self._read("complex()", complex)

    def __index__(self) -> int:
        return self._read("an index", operator.index)

    def __contains__(self, x: Any) -> bool:
        return self._read("`in`", lambda a: x in a)

    def __repr__(self) -> str:
        return self._read("what is printed", repr)

    def __str__(self) -> str:
        return self._read("what is printed", str)

    def __format__(self, spec: str) -> str:
        return self._read("what is printed", lambda a: format(a, spec))

    @property
    def flat(self) -> Any:
        """Refuse: what it does cannot be seen."""
        return self._read("flat", lambda a: a.flat)


def _is_class(x: Any) -> bool:
    return isinstance(x, type)


def _add_in_place(name: str, ufunc: np.ufunc) -> None:
    """Let `a += b` make a new number where NumPy would have had a number rather than an array."""

    def change(self: Any, other: Any) -> Any:
        if isinstance(other, Tensor):
            return NotImplemented
        if self.value is not None and self.value.is_scalar and _active.get() is not None:
            return ufunc(self, other)
        return ufunc(self, other, out=(self,))

    setattr(Traced, name, change)


for _name, _ufunc in {
    "__iadd__": np.add, "__isub__": np.subtract, "__imul__": np.multiply,
    "__itruediv__": np.true_divide, "__ifloordiv__": np.floor_divide, "__imod__": np.remainder,
    "__iand__": np.bitwise_and, "__ior__": np.bitwise_or, "__ixor__": np.bitwise_xor,
}.items():  # fmt: skip
    _add_in_place(_name, _ufunc)


def _add_method(name: str) -> None:
    def call(self: Any, *args: Any, **options: Any) -> Any:
        tape = _active.get()
        run: Callable[..., Any] = getattr(plain(self), name)
        bare = {key: plain(value) for key, value in options.items()}
        if tape is None:
            return run(*plain(args), **bare)
        written = (tape.value_of(self), *tape.written(args))
        line = Line("method", name, written, tape.written_options(options))
        out = line.options.pop("out", None)
        result = run(*plain(args), **bare)
        if name in _CHANGING_METHODS:
            tape.record_change(line, self)
            return None
        if out is not None:
            tape.record_out(line, options["out"])
            return options["out"]
        return tape.record(line, result)

    setattr(Traced, name, call)


def _add_refusal(name: str) -> None:
    def call(self: Any, *args: Any, **options: Any) -> Any:
        return self._read(f".{name}()", lambda a: getattr(a, name)(*args, **options))

    setattr(Traced, name, call)


for _name in (*_METHODS, *_CHANGING_METHODS):
    _add_method(_name)
for _name in _REFUSED_METHODS:
    _add_refusal(_name)


# Python numbers: hyper-parameters, counts of steps, and what is computed from them


class _Arithmetic:
    """What recorded numbers do: arithmetic writes itself down."""

    value: Value
    bare: Any

    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **options: Any
    ) -> Any:
        return _call_ufunc(ufunc, method, inputs, out, options)

    def __bool__(self) -> bool:
        return _decide(bool(self.bare), "bool", self)

    def _read(self, what: str) -> Any:
        if _active.get() is not None:
            raise _refuse(what)
        return self.bare

    def __repr__(self) -> str:
        return repr(self.bare)

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format(self.bare, spec)

    def __reduce__(self) -> Any:
        return type(self.bare), (self.bare,)

    def __deepcopy__(self, memo: Any) -> Any:
        return self.bare


class Number(_Arithmetic, float):
    """A recorded float."""


class Count(_Arithmetic, int):
    """A recorded integer."""

    def __index__(self) -> int:
        return int(self._read("an index"))


def _as_number(number: Any, value: Value) -> Any:
    if isinstance(number, bool) or not isinstance(number, (int, float)):
        return number
    kind: Any = Number if isinstance(number, float) else Count
    recorded = kind(number)
    recorded.value, recorded.bare = value, number
    return recorded


def _decide(answer: bool, call: str, *args: Any) -> bool:
    """Return the answer to a question about numbers, and write down that it was asked."""
    tape = _active.get()
    if tape is not None:
        value = Value("computed")
        tape.values.append(value)
        written = tape.written(args)
        tape.append(Line("number", call, tuple(written), result=value, place=find_place()))
        tape.check(value, answer)
    return answer


def _add_operator(name: str, function: Any, symbol: str, is_question: bool) -> None:
    def forward(self: Any, *others: Any) -> Any:
        return _compute(function, symbol, is_question, (self, *others))

    def backward(self: Any, other: Any) -> Any:
        return _compute(function, symbol, is_question, (other, self))

    for kind in (Number, Count):
        setattr(kind, f"__{name}__", forward)
        if not is_question:
            setattr(kind, f"__r{name}__", backward)


def _compute(function: Any, symbol: str, is_question: bool, args: tuple[Any, ...]) -> Any:
    if not all(isinstance(x, (int, float)) for x in args):
        return NotImplemented
    result = function(*map(plain, args))
    tape = _active.get()
    if tape is None:
        return result
    if is_question:
        return _decide(bool(result), symbol, *args)
    value = Value("computed")
    value.hint = find_place().target
    tape.values.append(value)
    tape.append(Line("number", symbol, tuple(tape.written(args)), result=value, place=find_place()))
    return _as_number(result, value)


for _name, _function, _symbol in (
    ("add", operator.add, "+"), ("sub", operator.sub, "-"), ("mul", operator.mul, "*"),
    ("truediv", operator.truediv, "/"), ("floordiv", operator.floordiv, "//"),
    ("mod", operator.mod, "%"), ("pow", operator.pow, "**"),
):  # fmt: skip
    _add_operator(_name, _function, _symbol, False)
for _name, _function, _symbol in (
    ("lt", operator.lt, "<"), ("le", operator.le, "<="), ("gt", operator.gt, ">"),
    ("ge", operator.ge, ">="), ("eq", operator.eq, "=="), ("ne", operator.ne, "!="),
):  # fmt: skip
    _add_operator(_name, _function, _symbol, True)
for _name, _function, _symbol in (("neg", operator.neg, "-"), ("abs", abs, "abs")):
    _add_operator(_name, _function, _symbol, False)
for _kind in (Number, Count):
    _kind.__hash__ = lambda self: hash(self.bare)  # type: ignore[method-assign,assignment]
