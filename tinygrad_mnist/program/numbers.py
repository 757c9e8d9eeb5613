"""Recorded numbers: Python floats and integers that record the arithmetic done with them."""

import operator
from typing import Any

import numpy as np

from .calls import active, call_ufunc, plain, refuse
from .tape import Bare, Line, Value, find_place

__all__ = ["Count", "Number", "as_number"]


class _Arithmetic(Bare):
    """The arithmetic of recorded numbers, which records each operation."""

    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **options: Any
    ) -> Any:
        return call_ufunc(ufunc, method, inputs, out, options)

    def __bool__(self) -> bool:
        return _decide(bool(self.bare), "bool", self)

    def _read(self, what: str) -> Any:
        if active() is not None:
            raise refuse(what)
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


def as_number(number: Any, value: Value) -> Any:
    """Return a Python number as a recorded number for a value. A bool is returned unchanged."""
    if isinstance(number, bool) or not isinstance(number, (int, float)):
        return number
    kind: Any = Number if isinstance(number, float) else Count
    recorded = kind(number)
    recorded.value, recorded.bare = value, number
    return recorded


def _decide(answer: bool, call: str, *args: Any) -> bool:
    """Return the answer to a question about numbers, and record the question."""
    tape = active()
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
    tape = active()
    if tape is None:
        return result
    if is_question:
        return _decide(bool(result), symbol, *args)
    value = Value("computed")
    value.hint = find_place().target
    tape.values.append(value)
    tape.append(Line("number", symbol, tuple(tape.written(args)), result=value, place=find_place()))
    return as_number(result, value)


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
for _name, _one, _symbol in (("neg", operator.neg, "-"), ("abs", abs, "abs")):
    _add_operator(_name, _one, _symbol, False)
for _kind in (Number, Count):
    _kind.__hash__ = lambda self: hash(self.bare)  # type: ignore[method-assign]
