"""The same lines as Python that runs fast: results go into buffers that are made once."""

import math
import textwrap
from collections.abc import Callable
from typing import Any

import numpy as np

from ..arrays import Array
from .names import Names
from .simplify import settings_first
from .state import Setting
from .tape import Line, Value
from .write import Spelling, spell_result, values_in_result

__all__ = ["Elsewhere", "compile_lines", "with_bits"]


class Elsewhere(Exception):  # noqa: N818 - it is not an error
    """The values need another branch of the library than the one that was captured."""


_METHODS_WITH_OUT = {
    "clip", "sum", "max", "min", "mean", "prod", "take", "cumsum", "cumprod", "argmax", "argmin",
    "round", "std", "var", "any", "all",
}  # fmt: skip
_FUNCTIONS_WITH_OUT = {
    "np.einsum", "np.concatenate", "np.stack", "np.take", "np.cumsum", "np.cumprod", "np.sum",
    "np.max", "np.min", "np.mean", "np.clip", "np.dot", "np.round", "np.prod",
}  # fmt: skip
_COPIES = {"copy", "astype", "flatten"}
_FILLED = {"np.zeros_like": "0", "np.zeros": "0", "np.ones_like": "1", "np.ones": "1"}
_EMPTY = {"np.empty_like", "np.empty"}
_INTEGERS = {2: np.int16, 4: np.int32, 8: np.int64}


class _Buffers:
    """Memory for the results of lines, shared by those that are never needed at the same time."""

    def __init__(self, lines: list[Line], fixed: set[Value], lasting: set[Value]) -> None:
        self.lines = lines
        self.arrays: dict[Value, Array] = {}
        self.last: dict[Value, int] = {}
        for i, line in enumerate(lines):
            self.last |= {used.home: i for used in (*line.reads(), *line.changes)}
        self.lasting = lasting
        self.last |= {value.home: len(lines) for value in lasting}
        self._blocks: list[tuple[int, Array, int]] = []  # until which line, memory, number
        self._of: dict[Value, Array] = {}
        for i, line in enumerate(lines):
            value = line.result
            if (
                value is not None
                and value.home is value
                and value not in fixed
                and _takes_out(line)
            ):
                self._place(i, line, value)

    def _place(self, i: int, line: Line, value: Value) -> None:
        order = _dense_order(value)
        if order is None or value.dtype is None:
            return
        if value in self.lasting and value.strides == _strides_of(value):
            # An array that owns its memory: so one can tell whether others hold it, too.
            self.arrays[value] = np.empty(value.shape, value.dtype)
            return
        block = self._take_over(i, line, value)
        if block is None:
            block = self._find(i, value)
        self._of[value] = block
        self.arrays[value] = _shaped(block, value, order)
        self._blocks = [b for b in self._blocks if b[1] is not block]
        self._blocks.append((self.last.get(value, i), block, i))

    def _take_over(self, i: int, line: Line, value: Value) -> Array | None:
        """Return the memory of an operand that is needed no more, for an elementwise result."""
        elementwise = isinstance(line.function, np.ufunc) and line.function.signature is None
        if not elementwise and not (line.form == "method" and line.call == "clip"):
            return None
        layout = (value.shape, value.dtype, value.strides)
        homes = [operand.home for operand in line.reads()]
        for operand in line.reads():
            ends_here = operand in self._of and self.last[operand] == i
            fits = (operand.shape, operand.dtype, operand.strides) == layout
            if ends_here and fits and homes.count(operand) == 1:
                return self._of[operand]
        return None

    def _find(self, i: int, value: Value) -> Array:
        assert value.dtype is not None
        size = math.prod(value.shape) * value.dtype.itemsize
        free = [b for b in self._blocks if b[0] < i and size <= b[1].size <= 2 * size]
        if free:
            return min(free, key=lambda b: b[1].size)[1]
        return np.empty(size, np.uint8)


def _takes_out(line: Line) -> bool:
    value = line.result
    assert value is not None
    if value.role != "computed" or not value.is_array or value.varies or not math.prod(value.shape):
        return False
    if not value.shape:
        return False
    if line.form == "function":
        name = line.call
        if isinstance(line.function, np.ufunc):
            return line.function.nout == 1
        is_method = name.count(".") == 2 and name.rpartition(".")[2] in ("reduce", "reduceat")
        return is_method or name in _FUNCTIONS_WITH_OUT or name in _FILLED or name in _EMPTY
    if line.form == "method":
        return line.call in _METHODS_WITH_OUT or line.call in _COPIES
    return line.form == "thaw"


def _strides_of(value: Value) -> tuple[int, ...]:
    """Return the strides that an array of this shape has in C order."""
    assert value.dtype is not None
    sizes = [math.prod(value.shape[k + 1 :]) for k in range(len(value.shape))]
    return tuple(size * value.dtype.itemsize for size in sizes)


def _dense_order(value: Value) -> list[int] | None:
    """Return the axes from the outermost in memory to the innermost; None if there are gaps."""
    assert value.dtype is not None
    order = sorted(range(len(value.shape)), key=lambda k: (-value.strides[k], k))
    step = value.dtype.itemsize
    for axis in reversed(order):
        if value.shape[axis] != 1 and value.strides[axis] != step:
            return None
        step *= value.shape[axis]
    return order


def _shaped(block: Array, value: Value, order: list[int]) -> Array:
    assert value.dtype is not None
    flat = block[: math.prod(value.shape) * value.dtype.itemsize].view(value.dtype)
    return flat.reshape([value.shape[k] for k in order]).transpose(np.argsort(order))


class _Writer:
    """Writes the function that runs; names stand for arrays in its scope."""

    def __init__(self, lines: list[Line], names: Names, buffers: _Buffers) -> None:
        self.names, self.buffers = names, buffers
        self.spelling = Spelling(names.names)
        self.scope: dict[str, Any] = {"np": np, "Elsewhere": Elsewhere, "isfinite": math.isfinite}
        self.fixed: dict[Value, Array] = {}  # whose memory is the same in each call
        self.changed: set[Value] = set()  # values that later lines change in place
        for value, array in buffers.arrays.items():
            self.fix(value, array)
        self.body = [text for line in lines for text in self.statements(line)]

    def fix(self, value: Value, array: Array) -> None:
        """Let a name stand for an array in each call."""
        self.fixed[value] = self.scope[self.names.names[value]] = array

    def put(self, name: str, thing: Any) -> str:
        """Let a new name stand for a thing."""
        free = self.names.free(name)
        self.scope[free] = thing
        return free

    def statements(self, line: Line) -> list[str]:
        value = line.result
        if line.function is np.isfinite and value is not None and line.args[0].is_scalar:
            return [f"{self.names.names[value]} = isfinite({self.spelling.value(line.args[0])})"]
        if line.form == "check":
            name = self.names.names[line.args[0]]
            return [f"if {'not ' if line.expected else ''}{name}: raise Elsewhere"]
        if value is not None and self.is_fixed_view(line, value):
            text, _ = self.spelling.expression(line)
            self.fix(value, eval(text, self.scope))
            return []
        if value is None or value not in self.buffers.arrays:
            if line.changes and isinstance(line.function, np.ufunc) and "out" in line.options:
                return [self.spelling.expression(line)[0]]
            if value in self.changed and value is not None and value.shape == ():
                return [
                    f"{self.names.names[value]} = np.asarray({self.spelling.expression(line)[0]})"
                ]
            return [self.spelling.statement(line)]
        return self.into_buffer(line, value)

    def is_fixed_view(self, line: Line, value: Value) -> bool:
        """Return whether a line shows memory that is the same in each call."""
        if value.home is value or line.form not in ("attribute", "item", "method"):
            return False
        return all(v in self.fixed for v in line.reads()) and line.args[0].home.role != "argument"

    def into_buffer(self, line: Line, value: Value) -> list[str]:
        name = self.names.names[value]
        if line.call in _EMPTY:
            return []
        if line.call in _FILLED:
            return [f"{name}.fill({_FILLED[line.call]})"]
        if line.form == "thaw" or (line.form == "method" and line.call in _COPIES):
            source = self.spelling.value(line.args[0])
            return [f'np.copyto({name}, {source}, casting="unsafe")']
        kept = {**line.options, "out": value}
        if line.form == "method":
            inner = self.spelling.arguments(line.args[1:], kept)
            return [f"{self.spelling.value(line.args[0], 20)}.{line.call}({inner})"]
        return [f"{line.call}({self.spelling.arguments(line.args, kept)})"]


def with_bits(lines: list[Line]) -> list[Line]:
    """Return the lines with np.where(c, x, 0) as a product of the bits of x with c.

    It gives the same bits, those of x or none, and does not wait for a branch at each element.
    """
    found = []
    for line in lines:
        value = line.result
        if line.call != "np.where" or value is None or not _chooses_or_zero(line, value):
            found.append(line)
            continue
        condition, x, _ = line.args
        assert value.dtype is not None
        integers = _INTEGERS[value.dtype.itemsize]
        bits, product = _as_integers(x, integers), _as_integers(value, integers)
        bits.home = x.home
        found.append(Line("method", "view", (x, integers), result=bits))
        multiply = Line("function", "np.multiply", (bits, condition), result=product)
        multiply.function = np.multiply
        found.append(multiply)
        # From now on the result is a view of the product, with which it shares its memory.
        for other in lines:
            for shown in (other.result, *other.reads(), *other.changes):
                if shown is not None and shown.home is value and shown is not value:
                    shown.home = product
        value.home = product
        found.append(Line("method", "view", (product, value.dtype), result=value))
    return found


def _as_integers(value: Value, integers: Any) -> Value:
    bits = Value("computed")
    bits.shape, bits.strides, bits.dtype = value.shape, value.strides, np.dtype(integers)
    bits.is_array = True
    return bits


def _chooses_or_zero(line: Line, value: Value) -> bool:
    if len(line.args) != 3 or line.options or value.home is not value or value.dtype is None:
        return False
    condition, x, zero = line.args
    if (
        not isinstance(x, Value)
        or not isinstance(condition, Value)
        or type(zero) is not int
        or zero
    ):
        return False
    same = x.dtype == value.dtype and x.shape == value.shape
    integers = x.is_array and value.shape and value.dtype.kind == "f"
    return bool(
        same and integers and condition.dtype == np.bool_ and value.dtype.itemsize in _INTEGERS
    )


def compile_lines(
    lines: list[Line],
    arguments: list[Value],
    others: dict[Value, Any],
    settings: dict[Value, Setting],
    result: Any,
    gradients: list[tuple[Any, Value | None]],
) -> tuple[Callable[..., Any], list[tuple[Any, Array]]]:
    """Return a function of the step's arguments that runs the lines, and what it leaves behind.

    These are nodes with their gradients, as far as they are in memory of the program's own.

    Parameters
    ----------
    lines : the calls that the program needs
    arguments : the inputs of a step
    others : the arrays and generators that it finds, by their values
    settings : where the hyper-parameters are read
    result : what the step returns, with values in place of arrays
    gradients : for each parameter's node, the value of its gradient after the step, or None
    """
    first, lines = settings_first(lines)
    returned = values_in_result(result)
    lasting = {value for _, value in gradients if value is not None}
    buffers = _Buffers(lines, {value.home for value in returned}, lasting)
    names = Names([])
    for value in [*arguments, *others, *settings]:
        names.names[value] = names.free(value.name)
    constants = [*_constants(lines), *(v for v in (*returned, *lasting) if v.role == "constant")]
    for value in constants:
        names.names[value] = names.free("k")
    for line in [*first, *lines]:
        if line.result is not None:
            names.names[line.result] = names.free("v")
    scope_first = _Writer([], names, buffers)
    writer = scope_first
    for value, thing in others.items():
        writer.scope[names.names[value]] = thing
        if isinstance(thing, np.ndarray):
            writer.fixed[value] = thing
    for value in constants:
        assert value.array is not None
        writer.fix(value, value.array)
    body = [
        f"{names.names[value]} = {writer.put('settings', setting.settings)}[{setting.key!r}]"
        + ("" if setting.place is None else f"[{setting.place}]")
        for value, setting in settings.items()
    ]
    body += dict.fromkeys(text for line in first for text in writer.statements(line))
    writer.changed = {value.home for line in lines for value in line.changes}
    main = [text for line in lines for text in writer.statements(line)]
    body += _guarded(main, lines, writer, others)
    for node, gradient in gradients:
        body.append(f"{writer.put('node', node)}.grad = {_gradient(gradient, names)}")
    answer = spell_result(result, lambda value: _returned(value, names.names[value]))
    body.append(f"return {answer}")
    head = ", ".join(names.names[value] for value in arguments)
    text = f"def run({head}):\n" + textwrap.indent("\n".join(body), "    ") + "\n"
    exec(compile(text, "<captured step>", "exec"), writer.scope)
    run: Callable[..., Any] = writer.scope["run"]
    run.__doc__ = text
    left = [
        (node, buffers.arrays[value])
        for node, value in gradients
        if value is not None and value in buffers.arrays
    ]
    return run, left


def _gradient(value: Value | None, names: Names) -> str:
    if value is None:
        return "None"
    # Others may write into a gradient, so it must not be a constant.
    name = names.names[value]
    return (
        f"{name}.copy()"
        if value.role == "constant"
        else f"np.asarray({name})"
        if value.is_scalar
        else name
    )


def _returned(value: Value, name: str) -> str:
    if value.dtype is None:
        return name
    return f"{name}.copy()" if value.home.role != "computed" else f"np.asarray({name})"


def _constants(lines: list[Line]) -> list[Value]:
    found = {v: None for line in lines for v in line.reads() if v.role == "constant"}
    return list(found)


def _guarded(
    main: list[str], lines: list[Line], writer: _Writer, others: dict[Value, Any]
) -> list[str]:
    """Return the body so that a failed check leaves the state as it was."""
    checks = [i for i, line in enumerate(lines) if line.form == "check"]
    before = lines[: checks[-1]] if checks else []
    changed = {v.home: None for line in before for v in line.changes if v.home.role == "state"}
    drawn = {line.args[0]: None for line in before if line.form == "draw"}
    if not changed and not drawn:
        return main
    names = writer.names.names
    save, restore = [], []
    for i, value in enumerate(changed):
        save.append(f"saved{i} = {names[value]}.copy()")
        restore.append(f"    {names[value]}[...] = saved{i}")
    for i, value in enumerate(drawn):
        save.append(f"drawn{i} = {names[value]}.bit_generator.state")
        restore.append(f"    {names[value]}.bit_generator.state = drawn{i}")
    inside = [f"    {row}" for row in main]
    return [*save, "try:", *inside, "except Elsewhere:", *restore, "    raise"]
