"""Holder, the base of Module: finds a module's state, and tells what only `forward` has stored."""

import sys
from collections.abc import Iterator, Mapping, Set
from types import FrameType
from typing import Any, TypeAlias

import numpy as np

from ..errors import GraphError
from ..tensor import Tensor

__all__ = ["Contents", "Entry", "Holder", "entries", "is_buffer", "is_parameter"]

# One object that a module holds: its path from the module, the container that holds it, the key in
# that container, and the object itself.
Entry: TypeAlias = tuple[str, Any, Any, Any]

# Lists, dicts and tuples that a module holds: path from the module, container, copy of it.
Contents: TypeAlias = list[tuple[str, Any, Any]]

CONTAINERS = (list, tuple, dict)
PLAIN = {int, float, bool, str, type(None)}  # types of settings, which most attributes are


class Holder:
    """An object that finds the tensors, arrays and other holders among its attributes."""

    _transient: Set[str] = frozenset()  # paths of what first appeared while forward ran
    _filled: tuple[str, ...] = ()  # names of lists and dicts, which forward may fill

    def __setattr__(self, name: str, value: Any) -> None:
        if type(value) not in PLAIN and not name.startswith("_"):
            if isinstance(value, np.generic) and isinstance(vars(self).get(name), np.ndarray):
                value = np.asarray(value)  # because arithmetic on a 0-d array gives a scalar
            self._assign(name, value)
        object.__setattr__(self, name, value)

    def _walk(self, *, every_name: bool = False) -> Iterator[Entry]:
        """Yield everything that this holder and those below it hold, depth first, with full names.

        A shared object comes once, under its first name; with `every_name` it comes under each of
        its names. If a holder refers back to one that contains it, that one is not entered again.
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
                    break  # continue with the contents of this holder
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
        """Decide whether the new value of an attribute is state."""
        old = vars(self).get(name)
        if value is old or (_is_array(value) and _is_array(old)):
            return  # the first value of this name has decided already
        if _is_mutable(value) and name not in self._filled:
            self._filled = (*self._filled, name)
        new = {path: v for path, *_, v in _entries_of(name, vars(self), name, value)}
        if new and any(self is holder for one in _running() for holder in _below(one)):
            before = {path: v for path, *_, v in _entries_of(name, vars(self), name, old)}
            self._settle(before, new)
        elif self._transient:  # parameters and modules set outside forward are state from now on
            self._transient = {p for p in self._transient if not _must_last(new.get(p))}

    def _contents(self) -> Contents:
        """Return this holder's mutable containers, and those inside them, with a copy of each."""
        attributes = vars(self)
        found: Contents = []
        for name in self._filled:
            container = attributes.get(name)
            if isinstance(container, CONTAINERS):
                found.append((name, container, _copy(container)))
        for path, _, copy in found:  # the list grows while the loop runs
            for value in copy.values() if isinstance(copy, dict) else copy:
                if isinstance(value, CONTAINERS):
                    found += _inner(path, copy, found)
                    break
        return found

    def _settle_contents(self, names: tuple[str, ...], before: Contents) -> None:
        """Note what was added to this holder's containers since they were as in `before`."""
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
        """Note what appeared while forward ran, given the value of each path before and after.

        A path that did not exist before is transient: its value is not state. A parameter or a
        module must not first appear in this way, unless the module also holds it elsewhere.
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
    """Return the containers inside a container, except those that contain it."""
    around = [outer for name, outer, _ in found if f"{path}.".startswith(f"{name}.")]
    return [
        (f"{path}.{key}", value, _copy(value))
        for key, value in (copy.items() if isinstance(copy, dict) else enumerate(copy))
        if isinstance(value, CONTAINERS) and not any(value is outer for outer in around)
    ]


def _is_equal(container: Any, copy: Any) -> bool:
    """Return whether a container still holds the same objects; usually it does, and this is fast.

    Python does not look inside two objects that are identical. Different arrays compare element by
    element, and raise an error when they are asked for one answer.
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
    """Yield what a holder itself holds, also in containers, but not what holders in it hold."""
    attributes, transient = vars(holder), holder._transient
    for name, value in list(attributes.items()):
        if type(value) not in PLAIN and not name.startswith("_"):
            for entry in _entries_of(name, attributes, name, value):
                if entry[0] not in transient:
                    yield entry


def _entries_of(
    path: str, container: Any, key: Any, value: Any, around: tuple[int, ...] = ()
) -> Iterator[Entry]:
    """Yield a value if it counts as state, or the values that do so inside a container.

    `around` are the ids of the containers around it, because a container may contain itself.
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
    """Return whether a value is a Tensor that requires grad, or did so until it was frozen."""
    return isinstance(value, Tensor) and value.is_parameter


def is_buffer(value: Any) -> bool:
    """Return whether a value is an array or a constant Tensor."""
    return _is_array(value) and (isinstance(value, np.ndarray) or value.is_leaf)


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray) or (isinstance(value, Tensor) and not value.is_parameter)


def _must_last(value: Any) -> bool:
    """Return whether an optimizer or a checkpoint must know of a value."""
    return isinstance(value, Holder) or is_parameter(value)


def _is_mutable(value: Any) -> bool:
    """Return whether a value, or a part of it, can be filled without assignment to an attribute."""
    if isinstance(value, tuple):
        return any(_is_mutable(v) for v in value)
    return isinstance(value, (list, dict))


def _running() -> list[Holder]:
    """Return the modules whose forward is running in this thread.

    They are found on the call stack. So a call of a module does not have to record itself, and only
    the rare assignment of something new during a forward pays for the search.
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
