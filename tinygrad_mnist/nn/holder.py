"""Holder, the base of Module: finds what a module holds, and what only a forward has left there."""

import sys
from collections.abc import Iterator, Mapping, Set
from types import FrameType
from typing import Any, TypeAlias

import numpy as np

from ..errors import GraphError
from ..tensor import Tensor

__all__ = ["Contents", "Entry", "Holder", "entries", "is_buffer", "is_parameter"]

# One thing that a module holds: its path from the module, the container it stands in, the key
# there, and the thing itself.
Entry: TypeAlias = tuple[str, Any, Any, Any]

# Lists, dicts and tuples that a module holds: the path from the module, the container, a copy.
Contents: TypeAlias = list[tuple[str, Any, Any]]

CONTAINERS = (list, tuple, dict)
PLAIN = {int, float, bool, str, type(None)}  # settings: most attributes are, so they go first


class Holder:
    """Something with attributes among which tensors, arrays and other holders are found."""

    _transient: Set[str] = frozenset()  # paths of what first appeared while forward ran
    _filled: tuple[str, ...] = ()  # names of lists and dicts, into which forward may put something

    def __setattr__(self, name: str, value: Any) -> None:
        if type(value) not in PLAIN and not name.startswith("_"):
            if isinstance(value, np.generic) and isinstance(vars(self).get(name), np.ndarray):
                value = np.asarray(value)  # arithmetic on a 0-d array has made a scalar of it
            self._assign(name, value)
        object.__setattr__(self, name, value)

    def _walk(self, *, every_name: bool = False) -> Iterator[Entry]:
        """Yield all that this holder and those below it hold, depth first, with full names.

        A shared thing comes once, under its first name, or with `every_name` under each. A holder
        that refers back to one it is part of is not entered again.
        """
        seen = {id(self)}
        names = set()
        stack: list[tuple[str, Holder, Iterator[Entry]]] = [("", self, entries(self))]
        while stack:
            prefix, holder, held = stack[-1]
            for path, container, key, value in held:
                if id(value) in seen:
                    continue
                name = prefix + path
                if isinstance(value, Holder):
                    seen.add(id(value))
                    stack.append((name + ".", value, entries(value)))
                    yield name, container, key, value
                    break  # and on with what that one holds
                if not every_name:
                    seen.add(id(value))
                if name in names:
                    raise ValueError(
                        f"{type(self).__name__}: two entries have the name {name}, as the keys 1 "
                        "and '1' of a dict would; rename one of them"
                    )
                names.add(name)
                yield name, container, key, value
            else:
                stack.pop()
                if every_name:
                    seen.discard(id(holder))

    def _assign(self, name: str, value: Any) -> None:
        """Settle whether what an attribute is about to hold is state."""
        old = vars(self).get(name)
        if value is old or (_is_array(value) and _is_array(old)):
            return  # what a name first held has decided
        if _is_mutable(value) and name not in self._filled:
            self._filled = (*self._filled, name)
        new = {path: v for path, *_, v in _entries_of(name, vars(self), name, value)}
        if new and any(self is holder for one in _running() for holder in _below(one)):
            before = {path: v for path, *_, v in _entries_of(name, vars(self), name, old)}
            self._settle(before, new)
        elif self._transient:  # set outside forward, parameters and modules count from now on
            self._transient = {p for p in self._transient if not _must_last(new.get(p))}

    def _contents(self) -> Contents:
        """Return its containers that can change, and those in them, with a copy of each."""
        attributes = vars(self)
        found: Contents = []
        for name in self._filled:
            container = attributes.get(name)
            if isinstance(container, CONTAINERS):
                found.append((name, container, _copy(container)))
        for path, _, copy in found:  # which grows
            for value in copy.values() if isinstance(copy, dict) else copy:
                if isinstance(value, CONTAINERS):
                    found += _inner(path, copy, found)
                    break
        return found

    def _settle_contents(self, names: tuple[str, ...], before: Contents) -> None:
        """Note what has come into its containers since their names, and contents, were these."""
        attributes = vars(self)
        changed = names != self._filled
        for path, container, copy in before:
            replaced = path in names and attributes.get(path) is not container
            if changed or replaced or not _is_equal(container, copy):
                changed = True
                break
        if changed:
            self._settle(_by_path(before), _by_path(self._contents()))

    def _settle(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        """Note what has come while forward ran, from what stood under each path before and after.

        A path that held nothing before is transient: what stands there is not state. Only a
        parameter or a module must not come this way, unless it is known from elsewhere.
        """
        appeared = {path: v for path, v in after.items() if before.get(path) is not v}
        # In one step: another thread may be adding paths of the same module.
        vars(self).setdefault("_transient", set()).update(appeared.keys() - before.keys())
        for path, value in appeared.items():
            if _must_last(value) and not any(
                value is held for one in (self, *_running()) for held in _below(one)
            ):
                kind = "module" if isinstance(value, Holder) else "parameter"
                raise GraphError(
                    f"{type(self).__name__}: the {kind} {path} first appears during forward, where "
                    "no optimizer or checkpoint sees it; make it in __init__"
                )


def _copy(container: Any) -> Any:
    return container if isinstance(container, tuple) else container.copy()


def _inner(path: str, copy: Any, found: Contents) -> Contents:
    """Return the containers in a container, but for those that it is in itself."""
    around = [outer for name, outer, _ in found if f"{path}.".startswith(f"{name}.")]
    return [
        (f"{path}.{key}", value, _copy(value))
        for key, value in (copy.items() if isinstance(copy, dict) else enumerate(copy))
        if isinstance(value, CONTAINERS) and not any(value is outer for outer in around)
    ]


def _is_equal(container: Any, copy: Any) -> bool:
    """Return whether a container holds what it held; fast where it does, which is the rule.

    Python compares things that are the very same without a look inside them. Arrays that are not
    compare element by element, and raise an error when asked for one answer.
    """
    try:
        return bool(container == copy)
    except Exception:
        return False


def _by_path(contents: Contents) -> dict[str, Any]:
    return {
        f"{path}.{key}": value
        for path, _, copy in contents
        for key, value in (copy.items() if isinstance(copy, dict) else enumerate(copy))
        if isinstance(value, (Holder, Tensor, np.ndarray, np.random.Generator))
    }


def entries(holder: Holder) -> Iterator[Entry]:
    """Yield what a holder holds itself, through containers, but not what holders in it hold."""
    attributes, transient = vars(holder), holder._transient
    for name, value in list(attributes.items()):
        if type(value) not in PLAIN and not name.startswith("_"):
            for entry in _entries_of(name, attributes, name, value):
                if entry[0] not in transient:
                    yield entry


def _entries_of(
    path: str, container: Any, key: Any, value: Any, around: tuple[int, ...] = ()
) -> Iterator[Entry]:
    """Yield a value that counts as state, or those inside a container.

    `around` are the ids of the containers that it is in: one may contain itself.
    """
    if isinstance(value, (Holder, Tensor, np.ndarray, np.random.Generator)):
        yield path, container, key, value
    elif isinstance(value, CONTAINERS) and id(value) not in around:
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for inner, v in list(items):
            if type(v) not in PLAIN:
                yield from _entries_of(f"{path}.{inner}", value, inner, v, (*around, id(value)))


def _below(holder: Holder) -> Iterator[Any]:
    yield holder
    yield from (value for *_, value in holder._walk())


def is_parameter(value: Any) -> bool:
    """Return whether it is a Tensor that requires grad, or did until it was frozen."""
    return isinstance(value, Tensor) and value.is_parameter


def is_buffer(value: Any) -> bool:
    """Return whether it is an array, or a constant Tensor."""
    return _is_array(value) and (isinstance(value, np.ndarray) or value.is_leaf)


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray) or (isinstance(value, Tensor) and not value.is_parameter)


def _must_last(value: Any) -> bool:
    """Return whether it is something that an optimizer or a checkpoint must know of."""
    return isinstance(value, Holder) or is_parameter(value)


def _is_mutable(value: Any) -> bool:
    """Return whether something can be put into it, or into a part of it, without assignment."""
    if isinstance(value, tuple):
        return any(_is_mutable(v) for v in value)
    return isinstance(value, (list, dict))


def _running() -> list[Holder]:
    """Return the modules whose forward runs at the moment, in this thread.

    The call stack knows them. So the call of a module need not take notes, and only the rare
    assignment of something new during a forward takes the time to look.
    """
    found = []
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        if code.co_name in ("forward", "__call__") and code.co_argcount:
            first = frame.f_locals.get(code.co_varnames[0])
            if isinstance(first, Holder):
                found.append(first)
        frame = frame.f_back
    return found
