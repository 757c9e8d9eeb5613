"""Memory for the results of lines. It is allocated once and reused where possible."""

import math

import numpy as np

from ..arrays import Array
from .tape import Line, Value

__all__ = ["COPIES", "EMPTY", "FILLED", "Buffers"]

_METHODS_WITH_OUT = {
    "clip", "sum", "max", "min", "prod", "take", "cumsum", "cumprod", "argmax", "argmin", "round",
    "any", "all",
}  # fmt: skip
_FUNCTIONS_WITH_OUT = {
    "np.einsum", "np.concatenate", "np.stack", "np.take", "np.cumsum", "np.cumprod", "np.sum",
    "np.max", "np.min", "np.clip", "np.dot", "np.round", "np.prod",
}  # fmt: skip
COPIES = {"copy", "astype", "flatten"}
FILLED = {"np.zeros_like": "0", "np.zeros": "0", "np.ones_like": "1", "np.ones": "1"}
EMPTY = {"np.empty_like", "np.empty"}


class Buffers:
    """Memory for the results of lines. Results that are never needed together share memory."""

    def __init__(self, lines: list[Line], fixed: set[Value], lasting: set[Value]) -> None:
        self.lines = lines
        self.arrays: dict[Value, Array] = {}
        self.last: dict[Value, int] = {}
        for i, line in enumerate(lines):
            self.last |= {used.home: i for used in (*line.reads(), *line.changes)}
        self.lasting = lasting
        self.last |= {value.home: len(lines) for value in lasting}
        self._blocks: list[tuple[int, Array, int]] = []  # last line that needs it, memory, number
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
            # An array that owns its memory, because then its references tell who else holds it.
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
        """Return the memory of an operand that is no longer needed, for an elementwise result."""
        elementwise = isinstance(line.function, np.ufunc) and line.function.signature is None
        if not elementwise and not (line.form == "method" and line.call == "clip"):
            return None
        layout = (value.shape, value.strides)
        homes = [operand.home for operand in line.reads()]
        for operand in line.reads():
            home = operand.home
            ends_here = home in self._of and self.last[home] == i and homes.count(home) == 1
            if ends_here and (operand.shape, operand.strides) == layout and _fills(operand, value):
                return self._of[home]
        return None

    def _find(self, i: int, value: Value) -> Array:
        assert value.dtype is not None
        size = math.prod(value.shape) * value.dtype.itemsize
        free = [b for b in self._blocks if b[0] < i and size <= b[1].size <= 2 * size]
        if free:
            return min(free, key=lambda b: b[1].size)[1]
        return np.empty(size, np.uint8)


def _fills(operand: Value, value: Value) -> bool:
    """Return whether an operand covers all of its memory, with elements of the result's size."""
    kinds = (operand.dtype, value.dtype, operand.home.dtype)
    sizes = {None if kind is None else kind.itemsize for kind in kinds}
    return len(sizes) == 1 and math.prod(operand.shape) == math.prod(operand.home.shape)


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
        return is_method or name in _FUNCTIONS_WITH_OUT or name in FILLED or name in EMPTY
    if line.form == "method":
        return line.call in _METHODS_WITH_OUT or line.call in COPIES
    return line.form == "thaw"


def _strides_of(value: Value) -> tuple[int, ...]:
    """Return the strides of an array with this value's shape in C order."""
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
