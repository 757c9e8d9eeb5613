"""Shared by all recorded objects: the recorder of a thread, and how a ufunc is recorded."""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import numpy as np

from ..arrays import Array, Recorded
from ..errors import GraphError
from ..tensor import Tensor
from .tape import Bare, Line, user_line

__all__ = ["VARYING", "active", "call_ufunc", "key_of", "plain", "refuse", "set_active"]

# The Recorder of this thread or task. Typed as Any, because its class imports this file.
_active: ContextVar[Any] = ContextVar("tinygrad_mnist.recorder", default=None)
active = _active.get
set_active = _active.set

# Functions whose result has a shape that depends on the values.
VARYING = {
    np.nonzero, np.argwhere, np.flatnonzero, np.unique, np.extract, np.compress, np.delete,
    np.trim_zeros, np.intersect1d, np.union1d, np.setdiff1d, np.bincount, np.select, np.piecewise,
}  # fmt: skip


def plain(x: Any) -> Any:
    """Return the plain array or number behind a recorded one, also inside tuples and lists."""
    if isinstance(x, np.ndarray):
        return np.ndarray.view(x, np.ndarray) if isinstance(x, Recorded) else x
    if isinstance(x, Bare):
        return x.bare
    if isinstance(x, (tuple, list)) and type(x) in (tuple, list):
        return type(x)(map(plain, x))
    if isinstance(x, slice):
        return slice(plain(x.start), plain(x.stop), plain(x.step))
    return x


def key_of(array: Array) -> tuple[Any, ...]:
    """Return a key that identifies a view of memory as long as that memory exists."""
    return (array.__array_interface__["data"][0], array.shape, array.strides, array.dtype)


def refuse(what: str) -> GraphError:
    """Return the error for an operation that depends on the values of an array."""
    return GraphError(
        f"program: {what} depends on the values of an array, so the program would not be the same "
        f"for other values, in {user_line()}; use where() or another operation on whole arrays, or "
        "do it outside of the captured step"
    )


def call_ufunc(
    ufunc: np.ufunc, method: str, inputs: tuple[Any, ...], out: Any, options: dict[str, Any]
) -> Any:
    """Run and record a ufunc. NumPy calls this for recorded arrays and numbers."""
    if any(isinstance(x, Tensor) for x in (*inputs, *(out or ()))):
        return NotImplemented
    run: Callable[..., Any] = getattr(ufunc, method)
    tape = active()
    where = {"out": tuple(map(plain, out))} if out else {}
    # Record what the arrays hold before they change.
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
        return out[0] if isinstance(out[0], Recorded) else tape.known(out[0])
    return tape.record(line, result)
