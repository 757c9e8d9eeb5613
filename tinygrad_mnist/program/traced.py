"""Recorded arrays: ndarrays that record what is done with them while a step is captured."""

import functools
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from ..arrays import Recorded
from ..tensor import Tensor
from .calls import VARYING, active, call_ufunc, key_of, plain, refuse
from .numbers import as_number
from .tape import Line, Value, find_place, in_user_code, values_in

__all__ = ["Traced"]

# These depend only on shapes and dtypes, so they run without being recorded.
_STATIC = {
    np.shape, np.ndim, np.size, np.result_type, np.can_cast, np.may_share_memory,
    np.shares_memory, np.iscomplexobj, np.isrealobj, np.common_type, np.min_scalar_type,
}  # fmt: skip
# Functions that change their first argument.
_IN_PLACE = {np.copyto, np.put, np.place, np.putmask, np.fill_diagonal, np.put_along_axis}
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


class Traced(Recorded):
    """An array that records what is done with it while a step is captured."""

    value: Value | None

    def __array_finalize__(self, parent: Any) -> None:
        self.value = None

    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **options: Any
    ) -> Any:
        return call_ufunc(ufunc, method, inputs, out, options)

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        if any(issubclass(kind, Tensor) for kind in types):
            return NotImplemented
        run: Callable[..., Any] = functools.partial(
            function, *plain(args), **{name: plain(value) for name, value in options.items()}
        )
        tape = active()
        if tape is None or function in _STATIC:
            return run()
        name = f"{function.__module__}.{function.__name__}".replace("numpy", "np", 1)
        if function in VARYING:
            raise refuse(f"the shape of what {name} returns")
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
        tape = active()
        result = plain(self)[plain(index)]
        if tape is None:
            return result
        line = Line("item", "", (tape.value_of(self), tape.written(index)))
        if any(v.dtype == np.bool_ for v in values_in(line.args[1:])):
            raise refuse("the shape of what a mask takes")
        return tape.record(line, result)

    def __setitem__(self, index: Any, value: Any) -> None:
        tape = active()
        if isinstance(value, Tensor):
            value = value.data
        if tape is None:
            plain(self)[plain(index)] = plain(value)
            return
        # After `a[i] += b`, Python also assigns the view to a[i], although it has already changed.
        if isinstance(value, Traced) and value.value is not None:
            target = plain(self)[plain(index)]
            if isinstance(target, np.ndarray) and key_of(target) == key_of(plain(value)):
                return
        line = Line("put", "", (tape.value_of(self), tape.written(index), tape.written(value)))
        plain(self)[plain(index)] = plain(value)
        tape.record_change(line, self)

    # Attributes and methods that a subclass of ndarray cannot intercept in another way

    @property
    def T(self) -> Any:  # noqa: N802 - NumPy's name
        """The array with its axes in reverse order."""
        tape = active()
        result = plain(self).T
        if tape is None:
            return result
        return tape.record(Line("attribute", "T", (tape.value_of(self),)), result)

    @property
    def mT(self) -> Any:  # noqa: N802 - NumPy's name
        """The array with its last two axes exchanged."""
        return self.swapaxes(-1, -2)

    def view(  # pyright: ignore[reportIncompatibleMethodOverride] - NumPy overloads it
        self, dtype: Any = None, type: Any = None
    ) -> Any:
        """Return the memory as another dtype. Another array class is ignored."""
        tape = active()
        kind = dtype if type is None else type
        if _is_class(kind) and issubclass(kind, np.ndarray):
            return self if tape is not None else np.ndarray.view(self, kind)
        result = plain(self).view(dtype)
        if tape is None:
            return result
        return tape.record(Line("method", "view", (tape.value_of(self), dtype)), result)

    def item(self, *index: Any) -> Any:
        """Return an element as a recorded Python number that the library may compute with."""
        tape = active()
        if tape is None:
            return plain(self).item(*index)
        if in_user_code():
            raise refuse(".item()")
        source = self[index] if index else self
        value = Value("computed")
        value.hint = find_place().target
        tape.values.append(value)
        line = Line("number", "item", (tape.value_of(source),), result=value, place=find_place())
        tape.append(line)
        return as_number(plain(source).item(), value)

    def __bool__(self) -> bool:
        answer = bool(plain(self))
        tape = active()
        if tape is not None:
            if in_user_code():
                raise refuse("a branch or a loop")
            tape.check(tape.value_of(self), answer)
        return answer

    def _read(self, what: str, read: Callable[[Any], Any]) -> Any:
        if active() is not None:
            raise refuse(what)
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
        """Refuse, because changes through it cannot be recorded."""
        return self._read("flat", lambda a: a.flat)


def _is_class(x: Any) -> bool:
    return isinstance(x, type)


def _add_in_place(name: str, ufunc: np.ufunc) -> None:
    """Let `a += b` make a new number if NumPy would have a number there and not an array."""

    def change(self: Any, other: Any) -> Any:
        if isinstance(other, Tensor):
            return NotImplemented
        if self.value is not None and self.value.is_scalar and active() is not None:
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
        tape = active()
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
