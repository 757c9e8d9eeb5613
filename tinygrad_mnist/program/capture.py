"""Record a step: run it once on recorded arrays, and then restore everything."""

import inspect
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import numpy as np

from ..arrays import Array
from ..errors import GraphError
from ..graph import Node
from ..tensor import Tensor, exchange, from_numpy, unwrap
from .calls import plain
from .recorder import Recorder, recording
from .state import Found, Setting
from .tape import Bare, Value
from .traced import Traced

__all__ = ["Example", "Recording", "Snapshot", "record", "values_of"]

_LARGE = 1 << 26  # bytes: larger arrays, such as a data set, are neither copied nor changed


class Example:
    """One argument of the step: its name, and an array, a float or a fixed object."""

    def __init__(self, name: str, given: Any) -> None:
        self.name, self.is_tensor = name, isinstance(given, Tensor)
        if isinstance(given, Tensor) and given.requires_grad:
            raise TypeError(
                f"program: the example {name} requires grad; pass an array, and let the step make "
                "what it differentiates"
            )
        thing: Any = unwrap(given)
        if isinstance(thing, np.generic):
            thing = np.asarray(thing)
        if not isinstance(thing, (np.ndarray, int, float, str, type(None))):
            raise TypeError(
                f"program: expected the example {name} as an array or a number, got a "
                f"{type(given).__name__}; pass arrays as arguments of their own"
            )
        self.thing: Any = thing
        self.is_array = isinstance(thing, np.ndarray)
        self.is_number = isinstance(thing, float)
        if isinstance(thing, np.ndarray) and thing.dtype.kind not in "fciub":
            raise TypeError(f"program: expected arrays of numbers, got {name} of {thing.dtype}")

    def forget(self) -> None:
        """Keep the shape and the dtype of an array, but not its numbers."""
        if self.is_array:
            nothing = np.zeros((), self.thing.dtype)
            self.thing = np.broadcast_to(nothing, self.thing.shape)


def name_examples(step: Callable[..., Any], given: tuple[Any, ...]) -> list[Example]:
    """Return the examples with the names of the step's arguments."""
    try:
        parameters = inspect.signature(step).bind(*given).arguments
    except (TypeError, ValueError) as error:
        raise TypeError(f"program: the step does not take these examples: {error}") from error
    names: list[str] = []
    kinds = inspect.signature(step).parameters
    for name, value in parameters.items():
        if kinds[name].kind is inspect.Parameter.VAR_POSITIONAL:
            names += [f"{name}{i}" for i in range(len(value))]
        else:
            names.append(name)
    return [Example(name, value) for name, value in zip(names, given, strict=True)]


class Snapshot:
    """The saved state of everything that a step can reach, so that it can be restored."""

    def __init__(self, found: Found) -> None:
        self.found = found
        arrays = [t.data for _, t in found.tensors] + [slot.thing for slot in found.arrays]
        arrays += [array for _, array in found.lasting]
        self.arrays = list({id(a): a for a in arrays if not is_data_set(a, found)}.values())
        self.copies = [a.copy() for a in self.arrays]
        nodes = [t.node for _, t in found.tensors if t.node is not None and t.node.is_leaf]
        self.gradients: list[tuple[Node, Array | None]] = [(node, node.grad) for node in nodes]
        self.generators = {id(s.thing): s.thing for s in found.generators}.values()
        self.draws = [generator.bit_generator.state for generator in self.generators]
        self.settings = [setting.read() for setting in found.settings]
        self.contents = [(c, c.copy()) for _, c, _ in found.containers]
        self.contents += [(attributes, attributes.copy()) for _, attributes, _ in found.attributes]

    def restore(self) -> None:
        """Restore the saved state of every array, gradient and generator."""
        for array, copy in zip(self.arrays, self.copies, strict=True):
            if array.flags.writeable:
                array[...] = copy
        for node, gradient in self.gradients:
            node.grad = gradient
        for generator, state in zip(self.generators, self.draws, strict=True):
            generator.bit_generator.state = state
        for setting, value in zip(self.found.settings, self.settings, strict=True):
            write_setting(setting, value)
        for container, content in self.contents:
            if len(container) != len(content):
                container.clear()
                (container.update if isinstance(container, dict) else container.extend)(content)
        for entry, thing in [
            *((number.entry, number.number) for number in self.found.numbers),
            *((slot.entry, slot.thing) for slot in self.found.held),
        ]:
            if entry.get() is not thing:
                entry.put(thing)

    def read(self) -> list[Array]:
        """Return copies of the current arrays and gradients."""
        gradients = [np.zeros(0) if n.grad is None else n.grad for n, _ in self.gradients]
        return [plain(a).copy() for a in (*self.arrays, *gradients)]

    def draws_now(self) -> list[Any]:
        """Return the current states of the generators."""
        return [generator.bit_generator.state for generator in self.generators]


def write_setting(setting: Setting, value: Any) -> None:
    """Set a hyper-parameter without checking its range."""
    if setting.place is None:
        setting.settings[setting.key] = value
        return
    pair = list(setting.settings[setting.key])
    pair[setting.place] = value
    setting.settings[setting.key] = tuple(pair)


class Recording:
    """What was recorded in one run of a step."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.arguments: list[Value] = []
        self.fixed: dict[int, Any] = {}  # arguments that are neither arrays nor floats
        self.others: dict[Value, Any] = {}  # arrays and generators that the step found
        self.settings: dict[Value, Setting] = {}
        self.result: Any = None
        self.gradients: list[tuple[Node, Value | None]] = []


def record(
    step: Callable[..., Any],
    examples: list[Example],
    things: list[Any],
    found: Found,
    keeps_results: bool = False,
) -> Recording:
    """Run a step on recorded arrays. The caller restores the state afterwards."""
    recording_ = Recording(Recorder(keeps_results))
    with ExitStack() as stack:
        arguments = [
            _lend_argument(recording_, example, thing)
            for example, thing in zip(examples, things, strict=True)
        ]
        lent = _lend(recording_, found, stack)
        with recording(recording_.recorder):
            result = step(*arguments)
            recording_.result = values_of(result, recording_.recorder)
        _note_gradients(recording_, found)
        _check_places(found, lent)
    recording_.recorder.finish()
    return recording_


def _lend_argument(recording_: Recording, example: Example, thing: Any) -> Any:
    tape = recording_.recorder
    if example.is_number:
        number = tape.add_number("argument", thing, example.name)
        recording_.arguments.append(number.value)
        return number
    if not example.is_array:
        value = Value("argument", None, example.name)
        recording_.arguments.append(value)
        return thing
    traced = tape.add("argument", thing, example.name)
    assert traced.value is not None
    recording_.arguments.append(traced.value)
    return from_numpy(traced) if example.is_tensor else traced


def _lend(recording_: Recording, found: Found, stack: ExitStack) -> dict[int, Any]:
    """Replace the arrays, numbers and generators that the step uses by recorded ones, for one run.

    Return what was put in each place of an array or a generator.
    """
    tape = recording_.recorder
    lent: dict[int, Any] = {}
    for name, tensor in found.tensors:
        traced = _as_state(recording_, tensor.data, name, is_data_set(tensor.data, found))
        if tensor.node is not None and traced.value is not None:
            tape.of_nodes[tensor.node] = traced.value
        stack.callback(exchange, tensor, exchange(tensor, traced))
    for i, slot in enumerate(found.arrays):
        lent[i] = _as_state(recording_, slot.thing, slot.name, is_data_set(slot.thing, found))
        stack.callback(slot.entry.put, slot.thing)
        slot.entry.put(lent[i])
    for name, array in found.lasting:
        _as_state(recording_, array, name, is_data_set(array, found))
    for setting in found.settings:
        before = setting.read()
        number = tape.add_number("setting", before, setting.name)
        recording_.settings[number.value] = setting
        stack.callback(write_setting, setting, before)
        write_setting(setting, number)
    if found.generators:
        _lend_generators(recording_, found, stack)
    return lent


def is_data_set(array: Array, found: Found) -> bool:
    """Return whether an array is large, and does not belong to a parameter or an optimizer."""
    if array.nbytes <= _LARGE:
        return False
    kept = [t.data for _, t in found.tensors if t.node is not None]
    kept += [slot.thing for slot in found.arrays[len(found.own_arrays) :]]
    return all(array is not one for one in kept)


def _as_state(recording_: Recording, array: Array, name: str, is_data: bool = False) -> Traced:
    tape = recording_.recorder
    traced = tape.known(array)
    if traced is None:
        shown = array
        if is_data:
            shown = array.view()
            shown.flags.writeable = False
        traced = tape.add("state", shown, name)
        assert traced.value is not None
        recording_.others[traced.value] = array
    return traced


def _lend_generators(recording_: Recording, found: Found, stack: ExitStack) -> None:
    from .generators import stand_in  # here, because it imports numpy.random, which is slow

    drawn: dict[int, Any] = {}
    for slot in found.generators:
        if id(slot.thing) not in drawn:
            value = Value("state", None, slot.name)
            recording_.others[value] = slot.thing
            drawn[id(slot.thing)] = stand_in(slot.thing, value)
        stack.callback(slot.entry.put, slot.thing)
        slot.entry.put(drawn[id(slot.thing)])


def _note_gradients(recording_: Recording, found: Found) -> None:
    for _, tensor in found.tensors:
        node = tensor.node
        if node is None or not node.is_leaf:
            continue
        if node.grad is None:
            recording_.gradients.append((node, None))
        elif isinstance(node.grad, Traced):
            recording_.gradients.append((node, recording_.recorder.value_of(node.grad)))


def _check_places(found: Found, lent: dict[int, Any]) -> None:
    """Raise a GraphError if the step has changed anything other than the content of arrays."""
    for i, slot in enumerate(found.arrays):
        if slot.entry.get() is not lent[i] and plain(slot.entry.get()).base is not slot.thing:
            held = slot.entry.get()
            same = isinstance(held, Traced) and held.value is lent[i].value
            if not same:
                raise _changed(slot.name, "an array; write into the one that is there")
    for number in found.numbers:
        now = number.entry.get()
        if now is not number.number and not (
            now == number.number and type(now) is type(number.number)
        ):
            raise _changed(
                number.name, "a Python number, which a program cannot count; do it outside"
            )
    for slot in found.held:
        if slot.entry.get() is not slot.thing:
            raise _changed(slot.name, "a Tensor or a module; write into its data")
    for name, container, length in found.containers:
        if len(container) != length:
            raise _changed(name, "the length of a list or a dict; do it outside")
    for owner, attributes, known in found.attributes:
        new = [name for name in attributes if name not in known and not name.startswith("_")]
        if new:
            raise _changed(f"{owner}.{new[0]}", "an attribute that is new; return it instead")


def _changed(name: str, what: str) -> GraphError:
    return GraphError(
        f"program: the step assigns to {name}, and a captured step would not; it changes {what}"
    )


def values_of(result: Any, tape: Recorder) -> Any:
    """Replace Tensors, arrays and recorded numbers in a step's result by their values."""
    if isinstance(result, (Tensor, np.ndarray)):
        return tape.value_of(unwrap(result))
    if isinstance(result, Bare):
        return result.value
    if isinstance(result, dict):
        return {key: values_of(part, tape) for key, part in result.items()}
    if isinstance(result, (tuple, list)):
        parts = [values_of(part, tape) for part in result]
        return parts if isinstance(result, list) else tuple(parts)
    if isinstance(result, (int, float, str, type(None), np.generic)):
        return result
    raise GraphError(
        f"program: expected the step to return Tensors, arrays or numbers, got a "
        f"{type(result).__name__}"
    )
