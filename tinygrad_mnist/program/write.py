"""Write the lines of a tape as Python for people to read."""

import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..arrays import Array
from .names import Names, last_of, name_constant
from .simplify import drop_unused, fold, without_changes, without_setting_checks
from .tape import Line, Value

__all__ = ["Spelling", "spell_constant", "spell_result", "values_in_result", "write"]

# The operator of each ufunc, and how tightly it binds.
_OPERATORS = {
    "add": ("+", 11), "subtract": ("-", 11), "multiply": ("*", 12), "true_divide": ("/", 12),
    "divide": ("/", 12), "floor_divide": ("//", 12), "remainder": ("%", 12), "matmul": ("@", 12),
    "greater": (">", 7), "greater_equal": (">=", 7), "less": ("<", 7), "less_equal": ("<=", 7),
    "equal": ("==", 7), "not_equal": ("!=", 7), "bitwise_and": ("&", 10), "bitwise_or": ("|", 8),
    "bitwise_xor": ("^", 9),
}  # fmt: skip
_NUMBER_OPERATORS = {
    "+": 11, "-": 11, "*": 12, "/": 12, "//": 12, "%": 12, "**": 14,
    "<": 7, "<=": 7, ">": 7, ">=": 7, "==": 7, "!=": 7,
}  # fmt: skip
_REDUCTIONS = {"sum", "max", "min", "mean", "prod", "all", "any", "std", "var"}
_UNARY = {"negative": "-", "invert": "~"}
_TIGHT, _LOOSE = 20, 0

Spelled = tuple[str, int]


class Spelling:
    """Spells values and lines with the given names of values."""

    def __init__(self, names: dict[Value, str], inside: dict[Value, Line] | None = None) -> None:
        self.names = names
        self.inside = inside or {}  # lines that are written where their result is used

    def value(self, value: Value, binding: int = _LOOSE) -> str:
        """Return a value's name or its expression, with brackets if necessary."""
        if value in self.inside:
            text, tightness = self.expression(self.inside[value])
            return text if tightness >= binding else f"({text})"
        if value.role == "constant" and value not in self.names:
            assert value.array is not None
            return spell_constant(value.array)
        return self.names[value]

    def argument(self, x: Any, binding: int = _LOOSE) -> str:
        """Return any argument as Python."""
        if isinstance(x, Value):
            return self.value(x, binding)
        if isinstance(x, tuple):
            inner = ", ".join(map(self.argument, x))
            return f"({inner},)" if len(x) == 1 else f"({inner})"
        if isinstance(x, list):
            return f"[{', '.join(map(self.argument, x))}]"
        text = _spell_plain(x)
        return f"({text})" if text.startswith("-") and binding > 11 else text

    def index(self, index: Any) -> str:
        """Return an index as it is written between square brackets."""
        if isinstance(index, tuple) and index:
            inner = ", ".join(
                self.argument(part) if isinstance(part, tuple) else self.index(part)
                for part in index
            )
            return f"{inner}," if len(index) == 1 else inner
        if isinstance(index, slice):
            start, stop, step = (
                "" if part is None else self.argument(part)
                for part in (index.start, index.stop, index.step)
            )
            return f"{start}:{stop}" + (f":{step}" if step else "")
        return "..." if index is Ellipsis else self.argument(index)

    def expression(self, line: Line) -> Spelled:
        """Return the expression that computes a line's result."""
        args, form = line.args, line.form
        if form == "function":
            return self.function(line)
        if line.call == "swapaxes" and len(args[0].shape) == 2:
            return f"{self.value(args[0], _TIGHT)}.T", _TIGHT
        if form in ("method", "draw"):
            options = _plainly(line.options) if line.call in _REDUCTIONS else line.options
            inner = self.arguments(args[1:], options)
            return f"{self.value(args[0], _TIGHT)}.{line.call}({inner})", _TIGHT
        if form == "item":
            return f"{self.value(args[0], _TIGHT)}[{self.index(args[1])}]", _TIGHT
        if form == "attribute":
            return f"{self.value(args[0], _TIGHT)}.{line.call}", _TIGHT
        if form == "thaw":
            if args[0].shape == ():
                return f"np.array({self.value(args[0])})", _TIGHT
            return f"{self.value(args[0], _TIGHT)}.copy()", _TIGHT
        return self.number(line)

    def function(self, line: Line) -> Spelled:
        """Return the call of a NumPy function, written as an operator if there is one."""
        name = line.call.removeprefix("np.")
        is_ufunc = isinstance(line.function, np.ufunc)
        if is_ufunc and name in _OPERATORS and len(line.args) == 2 and not line.options:
            symbol, binding = _OPERATORS[name]
            left = self.argument(line.args[0], binding)
            return f"{left} {symbol} {self.argument(line.args[1], binding + 1)}", binding
        if is_ufunc and name in _UNARY and len(line.args) == 1 and not line.options:
            return f"{_UNARY[name]}{self.argument(line.args[0], 13)}", 13
        return f"{line.call}({self.arguments(line.args, line.options)})", _TIGHT

    def number(self, line: Line) -> Spelled:
        """Return arithmetic of Python numbers."""
        args, call = line.args, line.call
        if call == "item":
            return f"{self.value(args[0], _TIGHT)}.item()", _TIGHT
        if call == "bool":
            return self.argument(args[0]), _LOOSE
        if len(args) == 1:
            if call == "-":
                return f"-{self.argument(args[0], 13)}", 13
            return f"{call}({self.argument(args[0])})", _TIGHT
        binding = _NUMBER_OPERATORS[call]
        left, right = (binding + 1, binding) if call == "**" else (binding, binding + 1)
        space = "" if call == "**" else " "
        first, second = self.argument(args[0], left), self.argument(args[1], right)
        return f"{first}{space}{call}{space}{second}", binding

    def arguments(self, args: Sequence[Any], options: dict[str, Any]) -> str:
        """Return the arguments of a call."""
        named = [f"{name}={self.argument(value)}" for name, value in options.items()]
        return ", ".join([*map(self.argument, args), *named])

    def statement(self, line: Line, earlier: Value | None = None) -> str:
        """Return a line as a statement. `earlier` is the value whose name its result takes over."""
        if line.form == "put":
            return self.assignment(line)
        if line.form == "check":
            return self.check(line)
        name = line.call.removeprefix("np.")
        if line.changes:
            target = line.changes[0]
            symbol = _OPERATORS.get(name, ("", 0))[0]
            options = {key: x for key, x in line.options.items() if key != "out"}
            in_place = symbol and len(line.args) == 2 and not options and symbol not in "<=>=!="
            if in_place and line.args[0] is target and isinstance(line.function, np.ufunc):
                return f"{self.value(target)} {symbol}= {self.argument(line.args[1])}"
            return self.expression(line)[0]
        assert line.result is not None
        result = self.names[line.result]
        if earlier is not None and earlier not in self.inside and line.args[0] is earlier:
            symbol = _OPERATORS.get(name, ("", 0))[0]
            if symbol and len(line.args) == 2 and not line.options:
                return f"{result} {symbol}= {self.argument(line.args[1])}"
        return f"{result} = {self.expression(line)[0]}"

    def assignment(self, line: Line) -> str:
        """Return an assignment to a part of an array, written as `a[i] -= b` if possible."""
        array, index, value = line.args
        place = f"{self.value(array, _TIGHT)}[{self.index(index)}]"
        inner = self.inside.get(value) if isinstance(value, Value) else None
        if inner is not None and isinstance(inner.function, np.ufunc) and len(inner.args) == 2:
            taken = self.inside.get(inner.args[0]) if isinstance(inner.args[0], Value) else None
            if taken is not None and taken.form == "item" and taken.args == (array, index):
                symbol = _OPERATORS.get(inner.call.removeprefix("np."), ("", 0))[0]
                if symbol:
                    return f"{place} {symbol}= {self.argument(inner.args[1])}"
        return f"{place} = {self.argument(value)}"

    def check(self, line: Line) -> str:
        """Return the statement that stops the program if the library would take another branch."""
        condition = self.value(line.args[0], 5)
        negated = f"not {condition}" if line.expected else self.value(line.args[0])
        what = line.place.section or "the step"
        return (
            f"if {negated}:\n"
            f'    raise ValueError("{what}: such values need the library, not this program")'
        )


def _plainly(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options of a sum or a maximum as a person would write them."""
    found = {name: x for name, x in options.items() if (name, x) != ("keepdims", False)}
    axis = found.get("axis")
    if isinstance(axis, tuple) and len(axis) == 1:
        found["axis"] = axis[0]
    return found


def _spell_plain(x: Any) -> str:
    if x is Ellipsis:
        return "..."
    if isinstance(x, np.dtype):
        return f"np.{x.name}"
    if isinstance(x, type):
        return x.__name__ if x in (int, float, bool) else f"np.{np.dtype(x).name}"
    if isinstance(x, (np.ufunc,)):
        return f"np.{x.__name__}"
    if isinstance(x, np.generic):
        return spell_constant(np.asarray(x))
    if isinstance(x, float) and not np.isfinite(x):
        return {"inf": "np.inf", "-inf": "-np.inf"}.get(str(x), "np.nan")
    if isinstance(x, slice):
        return f"slice({x.start}, {x.stop}, {x.step})"
    return repr(x)


def spell_constant(array: Array) -> str:
    """Return a Python expression that makes an array."""
    kind = f"np.{array.dtype.name}" if array.dtype.name != "bool" else "bool"
    if array.ndim == 0:
        text = _spell_plain(array.item())
        if array.dtype.kind == "f" and np.isfinite(array):
            text = str(array[()])  # the shortest text for this number in its dtype
        return text if array.dtype == np.bool_ else f"{kind}({text})"
    shape = array.shape[0] if array.ndim == 1 else array.shape
    if array.size and (array == array.flat[0]).all() and not np.signbit(np.float64(array.flat[0])):
        first = array.flat[0].item()
        if first == 0:
            return f"np.zeros({shape}, {kind})"
        return f"np.full({shape}, {_spell_plain(first)}, {kind})"
    is_range = array.ndim == 1 and array.size and array.dtype.kind in "iu"
    if is_range and np.array_equal(array, np.arange(array.size)):
        short = "" if array.dtype == np.int64 else f", dtype={kind}"
        return f"np.arange({array.size}{short})"
    if array.ndim == 2 and array.size:
        if (array == np.eye(*array.shape)).all():
            return f"np.eye({array.shape[0]}, {array.shape[1]}, dtype={kind})"
        if (array == np.tri(*array.shape)).all():
            return f"np.tri({array.shape[0]}, {array.shape[1]}, dtype={kind})"
    flat = array.reshape(-1)
    if array.size <= 64:
        inner = ", ".join(_spell_plain(x) for x in flat.tolist())
        text = f"np.array([{inner}], {kind})"
    else:
        text = f'np.frombuffer(bytes.fromhex("{flat.tobytes().hex()}"), {kind})'
    return text if array.ndim == 1 else f"{text}.reshape({array.shape})"


# The program


def write(
    lines: list[Line],
    arguments: list[Value],
    others: list[Value],
    defaults: dict[Value, Any],
    result: Any,
    gradients: list[Value],
) -> tuple[str, dict[int, Line]]:
    """Return the program as Python, and the source line of each call.

    Parameters
    ----------
    lines : the calls that the program needs
    arguments : the inputs of a step
    others : parameters, state and generators, in the order in which they are found
    defaults : the values of hyper-parameters when the step was captured
    result : what the step returns, with values in place of arrays
    gradients : the gradients that exist after the step; they keep their names
    """
    wanted = [*values_in_result(result), *gradients]
    lines = drop_unused(without_setting_checks(lines), wanted)
    lines, earlier = without_changes(lines)
    read = {value for line in lines for value in line.reads()}
    defaults = {value: number for value, number in defaults.items() if value in read}
    latest = {old: new for new, old in earlier.items()}
    final = {last_of(value, latest) for value in wanted}
    folded = fold(lines, final, earlier)
    inside = {line.result: line for line in lines if line.result in folded}
    firsts = [
        line.result
        for line in lines
        if line.result is not None
        and line.result not in folded
        and earlier.get(line.result) in (None, *folded)
    ]
    _tell_what_they_are(firsts, latest, inside)
    names = Names([*arguments, *others, *defaults])
    constants = _large_constants(lines, values_in_result(result))
    for constant in constants:
        assert constant.array is not None
        names.names[constant] = names.free(name_constant(constant.array))
    names.name_results(firsts, latest)
    for value in (line.result for line in lines):  # a changed value keeps its name
        if value is not None and value not in names.names and value not in folded:
            names.names[value] = names.names[earlier[value]]
    spelling = Spelling(names.names, inside)
    body: list[str] = []
    where: dict[int, Line] = {}
    heading = _signature(names.names, arguments, others, defaults)
    setup = [
        f"{names.names[value]} = {spell_constant(value.array)}"
        for value in constants
        if value.array is not None
    ]
    top = ['"""One training step, written out in NumPy."""', "", "import numpy as np", ""]
    top += [*setup, ""] if setup else []
    top += ["", *heading]
    section = phase = ""
    for line in lines:
        if line.result in folded:
            continue
        if line.place.phase != phase and line.place.phase == "backward":
            body.append("    # backward: the same operations in reverse")
        if (line.place.section, line.place.phase) != (section, phase):
            section, phase = line.place.section, line.place.phase
            if section:
                body.append(f"    # {_comment(section, phase)}")
        text = spelling.statement(line, earlier.get(line.result) if line.result else None)
        where[len(top) + len(body) + 1] = line
        body += textwrap.indent(text, "    ").split("\n")
    answer = spell_result(result, lambda value: spelling.value(last_of(value, latest)))
    body.append(f"    return {answer}")
    return "\n".join([*top, *body, ""]), where


def _tell_what_they_are(
    firsts: list[Value], latest: dict[Value, Value], inside: dict[Value, Line]
) -> None:
    """Tell values what they become by changes in place, or through a transpose."""
    for value in firsts:
        last = last_of(value, latest)
        value.gradient_of = value.gradient_of or last.gradient_of
        if last.hint.startswith("result of"):
            value.hint = last.hint
    shown = {last_of(first, latest): first for first in firsts}
    for view, line in inside.items():
        source = shown.get(line.args[0]) if line.args and isinstance(line.args[0], Value) else None
        if view.gradient_of is not None and source is not None and line.call == "T":
            source.gradient_of, source.is_turned = view.gradient_of, True


def _comment(section: str, phase: str) -> str:
    return f"gradient of {section}" if phase == "backward" else section


def values_in_result(result: Any) -> list[Value]:
    """Return the values in a step's result."""
    if isinstance(result, Value):
        return [result]
    if isinstance(result, dict):
        return [value for part in result.values() for value in values_in_result(part)]
    if isinstance(result, (tuple, list)):
        return [value for part in result for value in values_in_result(part)]
    return []


def spell_result(result: Any, name: Any) -> str:
    """Return a step's result as Python, with a name for each value."""
    if isinstance(result, Value):
        return str(name(result))
    if isinstance(result, dict):
        return "{" + ", ".join(f"{k!r}: {spell_result(v, name)}" for k, v in result.items()) + "}"
    if isinstance(result, list):
        return f"[{', '.join(spell_result(part, name) for part in result)}]"
    if isinstance(result, tuple):
        return f"({', '.join(spell_result(part, name) for part in result)},)"
    return _spell_plain(result)


def _large_constants(lines: list[Line], others: list[Value]) -> list[Value]:
    used = [*(value for line in lines for value in line.reads()), *others]
    return list(dict.fromkeys(v for v in used if v.role == "constant" and v.shape != ()))


def _signature(
    names: dict[Value, str],
    arguments: list[Value],
    others: list[Value],
    defaults: dict[Value, Any],
) -> list[str]:
    parts = [names[value] for value in (*arguments, *others)]
    parts += [f"{names[value]}={_spell_plain(number)}" for value, number in defaults.items()]
    line = f"def step({', '.join(parts)}):"
    if len(line) <= 96:
        return [line]
    inner = textwrap.wrap(", ".join(parts), 92)
    return ["def step(", *(f"    {row}" for row in inner[:-1]), f"    {inner[-1]}", "):"]
