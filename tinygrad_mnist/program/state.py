"""Find what a step can reach: parameters, buffers, optimizers, generators, and numbers."""

import dis
import functools
import inspect
import sys
import types
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from ..arrays import Array
from ..errors import GraphError
from ..nn import Module
from ..optim import Optimizer
from ..tensor import Tensor

__all__ = ["Entry", "Found", "Number", "Setting", "Slot", "find"]

_NUMBERS = (int, float, str, bool, type(None))
_LIBRARY = __name__.split(".")[0]
# The folder of the library's code. A module's name is not enough, because doctests use that, too.
_FOLDER = __file__.rpartition("program")[0]
_MANY = 64  # if a list or a dict has more numbers, only their count is checked
_MOST = 100_000  # limit of visited objects, so that the search ends even for a huge program


class Entry(NamedTuple):
    """A place that holds an object: an entry of a dict or a list, or an attribute."""

    holder: Any
    key: Any

    def get(self) -> Any:
        """Return the object in this place."""
        if isinstance(self.holder, (dict, list)):
            return self.holder[self.key]
        return getattr(self.holder, self.key)

    def put(self, value: Any) -> None:
        """Put another object in this place."""
        if isinstance(self.holder, (dict, list)):
            self.holder[self.key] = value
        else:
            setattr(self.holder, self.key, value)


class Slot(NamedTuple):
    """An array or a generator, its name, and the place that holds it."""

    name: str
    entry: Entry
    thing: Any


class Number(NamedTuple):
    """A number, a string or None that the step may read, and the place that holds it."""

    name: str
    entry: Entry
    number: Any


class Setting(NamedTuple):
    """A hyper-parameter: an entry of a group's settings, or of a pair in these settings."""

    name: str
    settings: dict[str, Any]
    key: str
    place: int | None

    def read(self) -> Any:
        """Return its current value."""
        value = self.settings[self.key]
        return value if self.place is None else value[self.place]


class Found:
    """The objects that a step can reach."""

    def __init__(self) -> None:
        self.tensors: list[tuple[str, Tensor]] = []
        self.arrays: list[Slot] = []
        self.lasting: list[tuple[str, Array]] = []  # in tuples and defaults, which stay fixed
        self.own_arrays: list[Slot] = []  # without the slots of optimizers
        self.generators: list[Slot] = []
        self.numbers: list[Number] = []
        self.held: list[Slot] = []  # modules and Tensors; they must not be replaced
        self.settings: list[Setting] = []
        self.optimizers: list[Optimizer] = []
        self.attributes: list[tuple[str, dict[str, Any], frozenset[str]]] = []  # of objects
        self.containers: list[tuple[str, Any, int]] = []  # with their lengths


def find(step: Any) -> Found:
    """Return what a function can reach through its variables, directly or indirectly."""
    found = Found()
    _Walk(found).run(step)
    _name_slots(found)
    return found


class _Walk:
    """A walk over variables, attributes and containers, without recursion."""

    def __init__(self, found: Found) -> None:
        self.found = found
        self.seen: dict[int, Any] = {}
        self.layers = 0
        self.optimizers: list[Optimizer] = []  # visited last, so that models name parameters

    def run(self, step: Any) -> None:
        self.walk(iter([("step", None, step)]))
        for optimizer in self.optimizers:
            self.walk(self.enter_optimizer(optimizer))

    def walk(self, things: Iterator[tuple[str, Entry | None, Any]]) -> None:
        stack = [things]
        while stack:
            for name, entry, thing in stack[-1]:
                inner = self.visit(name, entry, thing)
                if inner is not None:
                    stack.append(inner)
                    break
            else:
                stack.pop()

    def visit(self, name: str, entry: Entry | None, thing: Any) -> Any:
        """Note one object, and return an iterator over the objects that it holds, or None."""
        found = self.found
        if isinstance(thing, _NUMBERS):
            if entry is not None and not name.startswith("__"):
                found.numbers.append(Number(name, entry, thing))
            return None
        if entry is not None and isinstance(thing, (Tensor, Module, Optimizer)):
            found.held.append(Slot(name, entry, thing))
        # Note every place of an array or a generator, because the step may use any of them.
        if isinstance(thing, np.ndarray):
            if type(thing) is np.ndarray and thing.dtype.kind in "fciub":
                if entry is None:
                    found.lasting.append((name, thing))
                else:
                    found.arrays.append(Slot(name, entry, thing))
            return None
        if _is_generator(thing):
            if entry is not None:
                found.generators.append(Slot(name, entry, thing))
            return None
        if id(thing) in self.seen or len(self.seen) > _MOST:
            return None
        self.seen[id(thing)] = thing
        if isinstance(thing, Tensor):
            found.tensors.append((name, thing))
            return None
        if isinstance(thing, Optimizer):
            self.optimizers.append(thing)
            return None
        return self.enter(name, thing)

    def enter(self, name: str, thing: Any) -> Any:
        if isinstance(thing, types.FunctionType):
            return _variables(thing)
        if isinstance(thing, types.MethodType):
            return iter([(name, None, thing.__self__), (name, None, thing.__func__)])
        if isinstance(thing, functools.partial):
            return iter(
                (name, None, part) for part in (thing.func, *thing.args, *thing.keywords.values())
            )
        if isinstance(thing, (dict, list)) and _is_table(thing):
            self.found.containers.append((name, thing, len(thing)))
            return None
        if isinstance(thing, dict):
            self.found.containers.append((name, thing, len(thing)))
            return iter([(str(key), Entry(thing, key), part) for key, part in thing.items()])
        if isinstance(thing, list):
            self.found.containers.append((name, thing, len(thing)))
            return iter([(f"{name}{i}", Entry(thing, i), part) for i, part in enumerate(thing)])
        if isinstance(thing, (tuple, set, frozenset)):
            return iter([(f"{name}{i}", None, part) for i, part in enumerate(thing)])
        if isinstance(thing, (type, types.ModuleType)) or not _is_ours_or_the_users(type(thing)):
            return None
        return self.enter_object(thing)

    def enter_object(self, thing: Any) -> Any:
        suffix = ""
        if isinstance(thing, Module) and _holds_weights(thing):
            suffix, self.layers = str(self.layers), self.layers + 1
        attributes = getattr(thing, "__dict__", {})
        self.found.attributes.append((type(thing).__name__, attributes, frozenset(attributes)))
        short = {"weight": "w", "bias": "b"} if suffix else {}
        parts: list[Any] = [
            (f"{short[key]}{suffix}" if key in short else key, Entry(attributes, key), part)
            for key, part in attributes.items()
            if not key.startswith("_")
        ]
        if isinstance(thing, Module):
            parts.append(("the training mode", Entry(thing, "_training"), thing.training))
        for kind in type(thing).__mro__:
            parts += [
                (key, Entry(thing, key), getattr(thing, key))
                for key in _as_names(vars(kind).get("__slots__", ()))
                if hasattr(thing, key) and not key.startswith("__")
            ]
            if not _is_library(kind) and kind.__module__ != "builtins":
                parts += [
                    (name, None, part)
                    for name, part in vars(kind).items()
                    if isinstance(part, types.FunctionType)
                ]
        return iter(parts)

    def enter_optimizer(self, optimizer: Optimizer) -> Any:
        """Note an optimizer's hyper-parameters. Its slots are added when the names are known."""
        if optimizer.ranks.size > 1:
            raise GraphError(
                "program: the optimizer of several processes talks to the others, which a program "
                "cannot; capture the step of one process"
            )
        found = self.found
        optimizer = optimizer.alone
        if optimizer in found.optimizers:
            return iter(())
        found.optimizers.append(optimizer)
        parts: list[Any] = []
        for i, group in enumerate(optimizer.param_groups):
            number = "" if len(optimizer.param_groups) == 1 else str(i)
            for key, value in group.settings.items():
                if isinstance(value, tuple):
                    found.settings += [
                        Setting(f"{key.removesuffix('s')}{k + 1}{number}", group.settings, key, k)
                        for k in range(len(value))
                    ]
                elif isinstance(value, (int, float)) and not isinstance(value, bool):
                    found.settings.append(Setting(key + number, group.settings, key, None))
                else:
                    found.numbers.append(Number(key, Entry(group.settings, key), value))
            parts += [(f"p{k}", None, p) for k, p in enumerate(group.params)]
        parts += [
            (key, Entry(vars(optimizer), key), part)
            for key, part in vars(optimizer).items()
            if not key.startswith("_") and key not in ("params", "param_groups", "ranks")
        ]
        return iter(parts)


def _is_table(container: Any) -> bool:
    """Return whether it holds so many numbers or words that checking them would be slow."""
    parts = container.values() if isinstance(container, dict) else container
    return len(container) > _MANY and all(isinstance(part, _NUMBERS) for part in parts)


def _holds_weights(module: Module) -> bool:
    weight = vars(module).get("weight")
    return isinstance(weight, Tensor)


def _name_slots(found: Found) -> None:
    """Add the arrays that optimizers keep for each parameter, under the parameters' names."""
    found.own_arrays = list(found.arrays)
    names = {id(tensor): name for name, tensor in found.tensors}
    for optimizer in found.optimizers:
        for p, arrays in optimizer.named_slots():
            for key, array in arrays.items():
                found.arrays.append(Slot(f"{key}_{names[id(p)]}", Entry(arrays, key), array))


def _is_generator(thing: Any) -> bool:
    random = sys.modules.get("numpy.random")
    return random is not None and isinstance(thing, random.Generator)


def _as_names(names: Any) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


def _top(module: str | None) -> str:
    return (module or "").split(".")[0]


def _is_library(kind: Any) -> bool:
    return _top(kind.__module__) == _LIBRARY


_FOREIGN = {"numpy", "matplotlib", "tqdm", "builtins", "hypothesis", "pytest", "_pytest", "mpi4py"}


def _is_ours_or_the_users(kind: type) -> bool:
    top = _top(kind.__module__)
    if kind is types.SimpleNamespace or top == "__main__":
        return True
    return top not in _FOREIGN and top not in sys.stdlib_module_names


def _variables(function: types.FunctionType) -> Any:
    """Return what a function reads: closure variables, defaults and globals."""
    if not _is_ours_or_the_users(function):  # type: ignore[arg-type]
        return iter(())
    found: list[Any] = []
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            found.append((name, Entry(cell, "cell_contents"), cell.cell_contents))
        except ValueError:  # the variable does not have a value yet
            continue
    defaults = list(
        zip(_arguments_with_defaults(function), function.__defaults__ or (), strict=True)
    )
    found += [(name, None, part) for name, part in defaults]
    keywords = function.__kwdefaults__ or {}
    found += [(name, Entry(keywords, name), part) for name, part in keywords.items()]
    # The library's own globals are functions and constants.
    is_library = function.__code__.co_filename.startswith(_FOLDER)
    names = [] if is_library else _names_in(function.__code__)
    scope = function.__globals__
    for name in names:
        part = scope.get(name)
        if isinstance(part, types.ModuleType):
            if _top(part.__name__) not in _FOREIGN | {_LIBRARY} | sys.stdlib_module_names:
                inner = vars(part)
                read = function.__code__.co_names  # this includes attributes
                found += [(n, Entry(inner, n), inner[n]) for n in read if n in inner]
        elif name in scope:
            found.append((name, Entry(scope, name), part))
    return iter(found)


def _arguments_with_defaults(function: types.FunctionType) -> list[str]:
    count = len(function.__defaults__ or ())
    names = function.__code__.co_varnames[: function.__code__.co_argcount]
    return list(names[len(names) - count :])


def _names_in(code: types.CodeType) -> list[str]:
    """Return the names of globals that a function or a function inside it reads."""
    loaded = (i for i in dis.get_instructions(code) if i.opname in ("LOAD_GLOBAL", "LOAD_NAME"))
    names = dict.fromkeys(instruction.argval for instruction in loaded)
    for constant in code.co_consts:
        if inspect.iscode(constant):
            names |= dict.fromkeys(_names_in(constant))
    return list(names)
