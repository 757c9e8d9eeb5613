"""The tape: the NumPy calls of one step, one line for each, and the values that they compute."""

import ast
import functools
import linecache
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Literal

import numpy as np

from ..arrays import Array

__all__ = [
    "Bare",
    "Line",
    "Place",
    "Role",
    "Value",
    "find_place",
    "in_user_code",
    "user_line",
    "values_in",
]

Role = Literal["argument", "state", "setting", "constant", "computed"]


class Value:
    """An object with a name in the program: an array, a Python number or a generator."""

    def __init__(self, role: Role, array: Array | None = None, name: str = "") -> None:
        self.role: Role = role
        self.array = array  # kept during recording, because memory identifies values
        self.shape: tuple[int, ...] = () if array is None else array.shape
        self.dtype = None if array is None else array.dtype
        self.strides: tuple[int, ...] = () if array is None else array.strides
        self.is_array = array is not None
        self.home: Value = self  # the value that owns the memory
        self.name = name
        self.hint = ""  # its name in the kernel
        self.gradient_of: Value | None = None  # as known so far on the tape
        self.is_turned = False  # whether it is the transpose of that gradient
        self.is_scalar = False  # whether NumPy returns a number instead of an array
        self.varies = False  # whether its shape depends on the numbers in an array

    def twin(self, dtype: Any = None) -> "Value":
        """Return a new computed value with the same layout, and another dtype if one is given."""
        other = Value("computed")
        other.shape, other.strides, other.is_array = self.shape, self.strides, self.is_array
        other.dtype = self.dtype if dtype is None else np.dtype(dtype)
        return other

    def __repr__(self) -> str:
        return self.name or self.hint or f"<{self.role} {self.dtype}{list(self.shape)}>"


class Bare:
    """Represents a Python number, and knows its value on the tape."""

    value: Value
    bare: Any


@dataclass(frozen=True)
class Place:
    """The place in the source where a call was made."""

    section: str = ""
    """The operation or the optimizer that made the call."""
    phase: str = "forward"
    target: str = ""
    """The name that the source gives the result."""
    statement: tuple[str, int] = ("", 0)
    """The file, and the line where the statement begins."""
    user: str = ""
    """The line in the user's code."""


@dataclass(eq=False)
class Line:
    """One call.

    `form` says how it is written:

    function    np.add(a, b), np.zeros_like(a), ...; args and options are its arguments
    method      a.reshape(3); args[0] is a
    item        a[index]
    put         a[index] = b, which changes a
    attribute   a.T
    number      a * b of Python numbers, which `call` names
    draw        rng.random(3); args[0] is rng
    check       a branch was taken because args[0] was `expected`
    thaw        a copy of a constant, because a later line changes it
    """

    form: str
    call: str
    args: tuple[Any, ...]
    options: dict[str, Any] = field(default_factory=dict)
    result: Value | None = None
    changes: tuple[Value, ...] = ()
    place: Place = Place()
    function: Any = None
    expected: bool = True
    number: int = -1  # its place on the tape
    after: Any = None  # a copy of its result or of what it changed, if requested
    gradient_of: Value | None = None  # what the result (or the changed value) is the gradient of

    def reads(self) -> list[Value]:
        """Return the values among its arguments."""
        return [*values_in(self.args), *values_in(tuple(self.options.values()))]


def values_in(thing: Any) -> Iterator[Value]:
    """Yield the values in an argument."""
    if isinstance(thing, Value):
        yield thing
    elif isinstance(thing, (tuple, list)):
        for part in thing:
            yield from values_in(part)
    elif isinstance(thing, slice):
        yield from values_in((thing.start, thing.stop, thing.step))


# Find out from the call stack where a call was made.

_PACKAGE = os.path.join(os.path.dirname(os.path.dirname(__file__)), "")
_HERE = os.path.join(os.path.dirname(__file__), "")
_NUMPY = os.path.join(os.path.dirname(np.__file__), "")
_OPS, _OPTIM = _PACKAGE + "ops" + os.sep, _PACKAGE + "optim" + os.sep
_TENSOR, _GRAPH = _PACKAGE + "tensor.py", _PACKAGE + "graph.py"
_READERS = {"item", "__float__", "__int__", "__index__", "__bool__", "__repr__", "__format__"}


def _frames() -> Iterator[FrameType]:
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        name = frame.f_code.co_filename
        if not name.startswith((_HERE, _NUMPY)):
            yield frame
        frame = frame.f_back


def in_user_code() -> bool:
    """Return whether the user's code reads a value, and not one of the library's kernels."""
    for frame in _frames():
        name, function = frame.f_code.co_filename, frame.f_code.co_name
        if name == _TENSOR and function in _READERS:
            continue  # because it acts for its caller
        return not name.startswith(_PACKAGE)
    return True


def user_line() -> str:
    """Return the line of the user's code that is running."""
    for frame in _frames():
        if not frame.f_code.co_filename.startswith(_PACKAGE):
            return _describe(frame)
    return "a line of the library"


def _describe(frame: FrameType) -> str:
    code = frame.f_code
    text = linecache.getline(code.co_filename, frame.f_lineno).strip()
    shown = f": {text}" if text else ""
    return f'File "{code.co_filename}", line {frame.f_lineno}, in {code.co_name}{shown}'


def find_place() -> Place:
    """Return the place where the current call was made."""
    section, phase, target, statement, inner = "", "forward", "", ("", 0), None
    frames = list(_frames())
    for frame, caller in zip(frames, [*frames[1:], None], strict=True):
        code = frame.f_code
        name = code.co_filename
        in_library = name.startswith(_PACKAGE)
        if inner is None and (not in_library or name.startswith((_OPS, _OPTIM))):
            inner = frame
            begins, target = _statements(name).get(frame.f_lineno, (frame.f_lineno, ""))
            statement = (name, begins)
        if name.startswith(_OPTIM):
            owner = frame.f_locals.get("self")
            section = code.co_name if owner is None else type(owner).__name__
            phase = "update"
        elif name.startswith(_OPS):
            section = code.co_qualname.split(".")[0].strip("_")
            if caller is not None and caller.f_code.co_filename == _GRAPH:
                phase = "backward"
                break
        elif name == _TENSOR and code.co_name == "backward":
            phase = "backward"
        if not in_library:
            return Place(section, phase, target, statement, _describe(frame))
    for frame in frames:
        if not frame.f_code.co_filename.startswith(_PACKAGE):
            return Place(section, phase, target, statement, _describe(frame))
    return Place(section, phase, target, statement)


@functools.cache
def _statements(file: str) -> dict[int, tuple[int, str]]:
    """Return for each line of a file where its statement begins, and which name it assigns."""
    found: dict[int, tuple[int, str]] = {}
    try:
        tree = ast.parse("".join(linecache.getlines(file)))
    except SyntaxError:  # such as a notebook with magic commands
        return found
    for node in ast.walk(tree):
        if not isinstance(node, (ast.Assign, ast.AugAssign, ast.Return, ast.Expr)):
            continue
        targets = node.targets if isinstance(node, ast.Assign) else []
        name = targets[0].id if len(targets) == 1 and isinstance(targets[0], ast.Name) else ""
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1):
            found[line] = (node.lineno, name)
    return found
