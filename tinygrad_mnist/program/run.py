"""Compile the lines to fast Python, which writes results into buffers that are made once."""

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from ..arrays import Array
from .buffers import COPIES, EMPTY, FILLED, Buffers
from .names import Names
from .simplify import settings_first
from .state import Setting
from .tape import Line, Value
from .write import Spelling, spell_result, values_in_result

__all__ = ["Elsewhere", "Parts", "compile_lines", "with_bits"]


class Elsewhere(Exception):  # noqa: N818 - it is not an error
    """The values need another branch of the library than the one that was captured."""


_INTEGERS = {2: np.int16, 4: np.int32, 8: np.int64}


class Parts(NamedTuple):
    """The parts of a program other than its lines."""

    arguments: list[Value]
    """The inputs of the step."""
    others: dict[Value, Any]
    """The arrays and generators that the step finds outside, by their values."""
    settings: dict[Value, Setting]
    """The places where the hyper-parameters are read."""
    result: Any
    """What the step returns, with values in place of arrays."""
    gradients: list[tuple[Any, Value | None]]
    """For each parameter's node, the value of its gradient after the step, or None."""

    @property
    def lasting(self) -> set[Value]:
        """The gradients that exist after the step."""
        return {value for _, value in self.gradients if value is not None}


class _Writer:
    """Writes the function that runs. In its scope, names refer to arrays."""

    def __init__(self, names: Names, buffers: Buffers) -> None:
        self.names, self.buffers = names, buffers
        self.spelling = Spelling(names.names)
        self.scope: dict[str, Any] = {"np": np, "Elsewhere": Elsewhere, "isfinite": math.isfinite}
        self.fixed: dict[Value, Array] = {}  # values with the same memory in each call
        self.changed: set[Value] = set()  # values that later lines change in place
        for value, array in buffers.arrays.items():
            self.fix(value, array)

    def fix(self, value: Value, array: Array) -> None:
        """Give a value the same array in each call."""
        self.fixed[value] = self.scope[self.names.names[value]] = array

    def put(self, name: str, thing: Any) -> str:
        """Add an object to the scope under a new name."""
        free = self.names.free(name)
        self.scope[free] = thing
        return free

    def put_parts(self, parts: Parts, constants: list[Value]) -> None:
        """Add the objects from outside the step to the scope."""
        for value, thing in parts.others.items():
            self.scope[self.names.names[value]] = thing
            if isinstance(thing, np.ndarray):
                self.fixed[value] = thing
        for value in constants:
            assert value.array is not None
            self.fix(value, value.array)

    def read_settings(self, settings: dict[Value, Setting]) -> Iterator[str]:
        """Yield lines that read the hyper-parameters."""
        for value, setting in settings.items():
            place = "" if setting.place is None else f"[{setting.place}]"
            group = self.put("settings", setting.settings)
            yield f"{self.names.names[value]} = {group}[{setting.key!r}]{place}"

    def leave_gradients(self, gradients: list[tuple[Any, Value | None]]) -> Iterator[str]:
        """Yield lines that put the gradients where `backward` puts them."""
        for node, value in gradients:
            yield f"{self.put('node', node)}.grad = {_gradient(value, self.names)}"

    def statements(self, line: Line) -> list[str]:
        """Return the statements of a line: usually one, none for a view of fixed memory."""
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
        """Return whether a line is a view of memory that is the same in each call."""
        if value.home is value or line.form not in ("attribute", "item", "method"):
            return False
        return all(v in self.fixed for v in line.reads()) and line.args[0].home.role != "argument"

    def into_buffer(self, line: Line, value: Value) -> list[str]:
        name = self.names.names[value]
        if line.call in EMPTY:
            return []
        if line.call in FILLED:
            return [f"{name}.fill({FILLED[line.call]})"]
        if line.form == "thaw" or (line.form == "method" and line.call in COPIES):
            source = self.spelling.value(line.args[0])
            return [f'np.copyto({name}, {source}, casting="unsafe")']
        kept = {**line.options, "out": value}
        if line.form == "method":
            inner = self.spelling.arguments(line.args[1:], kept)
            return [f"{self.spelling.value(line.args[0], 20)}.{line.call}({inner})"]
        return [f"{line.call}({self.spelling.arguments(line.args, kept)})"]


def with_bits(lines: list[Line]) -> list[Line]:
    """Replace np.where(c, x, 0) by a product of c with the bits of x.

    The result is the same to the bit. It is faster because it does not branch at each element.
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
        bits, product = x.twin(integers), value.twin(integers)
        bits.home = x.home
        found.append(Line("method", "view", (x, integers), result=bits))
        multiply = Line("function", "np.multiply", (bits, condition), result=product)
        multiply.function = np.multiply
        found.append(multiply)
        # The result is now a view of the product, so it shares the product's memory.
        for other in lines:
            for shown in (other.result, *other.reads(), *other.changes):
                if shown is not None and shown.home is value and shown is not value:
                    shown.home = product
        value.home = product
        found.append(Line("method", "view", (product, value.dtype), result=value))
    return found


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
    lines: list[Line], parts: Parts
) -> tuple[Callable[..., Any], list[tuple[Any, Array]]]:
    """Return a function of the step's arguments that runs the lines, and the gradients it leaves.

    The gradients are given with their nodes, if they are in the program's own memory.
    """
    first, lines = settings_first(lines)
    returned = values_in_result(parts.result)
    buffers = Buffers(lines, {value.home for value in returned}, parts.lasting)
    constants = [v for line in lines for v in line.reads() if v.role == "constant"]
    constants += [v for v in (*returned, *parts.lasting) if v.role == "constant"]
    names = _name_values([*first, *lines], parts, constants)
    writer = _Writer(names, buffers)
    writer.changed = {value.home for line in lines for value in line.changes}
    writer.put_parts(parts, constants)
    body = [
        *writer.read_settings(parts.settings),
        *dict.fromkeys(text for line in first for text in writer.statements(line)),
        *_guarded([text for line in lines for text in writer.statements(line)], lines, writer),
        *writer.leave_gradients(parts.gradients),
    ]
    answer = spell_result(parts.result, lambda value: _returned(value, names.names[value]))
    arguments = ", ".join(names.names[value] for value in parts.arguments)
    text = "\n    ".join([f"def run({arguments}):", *body, f"return {answer}"])
    exec(compile(text, "<captured step>", "exec"), writer.scope)
    run: Callable[..., Any] = writer.scope["run"]
    run.__doc__ = text
    left = [
        (node, buffers.arrays[value])
        for node, value in parts.gradients
        if value is not None and value in buffers.arrays
    ]
    return run, left


def _name_values(lines: list[Line], parts: Parts, constants: list[Value]) -> Names:
    """Give each value a name. In this code a name need not say what the value is."""
    names = Names([*parts.arguments, *parts.others, *parts.settings])
    for value in dict.fromkeys(constants):
        names.names[value] = names.free("k")
    for line in lines:
        if line.result is not None:
            names.names[line.result] = names.free("v")
    return names


def _gradient(value: Value | None, names: Names) -> str:
    if value is None:
        return "None"
    # The user may write into a gradient, so it must not share memory with a constant.
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


def _guarded(main: list[str], lines: list[Line], writer: _Writer) -> list[str]:
    """Return the body, extended so that a failed check restores the state."""
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
