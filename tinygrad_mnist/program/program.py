"""Program: a training step as straight-line NumPy, with a check that it does the same."""

import functools
import os
import sys
import threading
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import Any

import numpy as np

from ..errors import GraphError, ShapeError
from ..graph import mark_all_changed, mode
from ..tensor import from_numpy, unwrap
from .calls import active
from .capture import Recording, Snapshot, name_examples, record
from .checks import Trial, bare, first_difference
from .run import Elsewhere, Parts, compile_lines, with_bits
from .simplify import drop_unused
from .state import find
from .write import values_in_result, write

__all__ = ["Program", "program"]


def program(step: Callable[..., Any], *examples: Any) -> "Program":
    """Capture one call of `step` as a straight-line NumPy program.

    The step may run the model, compute a loss, call `backward`, clip gradients and step an
    optimizer. It runs a few times on copies of the state, and once on special arrays that record
    every NumPy call. Parameters, buffers, optimizers and generators are found through the variables
    that the step uses. Afterwards their state is the same as before.

    Parameters
    ----------
    step : function of arrays
        It may change parameters and state only in place, as optimizers and layers do.
    *examples : arrays, Tensors or floats
        Arguments of the step. Later arguments must have the same shapes and dtypes.

    Returns
    -------
    Program
        Call it in place of the step.

    Raises
    ------
    GraphError
        If the step reads the values of arrays (`if loss < 1`, `.item()`), changes Python numbers or
        lists, or does anything else that cannot be recorded, because the program would then give
        other results than the step.
    TypeError
        If an example requires grad, or does not contain numbers.

    Examples
    --------
    >>> from tinygrad_mnist import Tensor, optim
    >>> w = Tensor([1.0, 2.0], requires_grad=True)
    >>> optimizer = optim.SGD([w], lr=0.1)
    >>> def step(x):
    ...     optimizer.zero_grad()
    ...     loss = (w * x).sum()
    ...     loss.backward()
    ...     optimizer.step()
    ...     return loss
    >>> captured = program(step, np.ones(2, np.float32))
    >>> captured(np.array([3.0, 4.0], np.float32))
    array(11., dtype=float32)
    >>> w.data
    array([0.7, 1.6], dtype=float32)
    """
    return Program(step, examples)


class Program:
    """A captured step: call it with arrays of the shapes and dtypes of the examples.

    It returns what the step returns, but with arrays instead of Tensors. It updates the same
    parameters, gradients, optimizer state and generators in place, so captured and eager steps can
    alternate. Hyper-parameters of optimizers are read at each call. Some values need another branch
    of the library than the captured one (labels out of range, a loss that is not finite). For these
    values the step itself runs instead.

    Attributes
    ----------
    source : str
        The program as a Python function that imports only NumPy.

    Raises
    ------
    GraphError
        If something that the step depends on has been replaced or changed since the capture: a
        parameter, a number, the mode of a model. Then capture the step again.
    ShapeError
        If an argument has another shape than the example.
    TypeError
        If an argument has another dtype than the example.
    """

    source: str

    def __init__(self, step: Callable[..., Any], examples: tuple[Any, ...]) -> None:
        self._step = step
        self._mode = mode()
        self._lock = threading.Lock()
        self._examples = name_examples(step, examples)
        self._found = find(step)
        self._memory = {id(t): t.data for _, t in self._found.tensors}
        self._nodes = {id(t): t.node for _, t in self._found.tensors}
        self._leaves = [n for n in self._nodes.values() if n is not None and n.is_leaf]
        snapshot = Snapshot(self._found)
        try:
            self._capture(snapshot)
        finally:
            snapshot.restore()
            for optimizer in self._found.optimizers:
                optimizer.forget_scratch()  # because a program has its own scratch memory
        for example in self._examples:
            example.forget()

    def _capture(self, snapshot: Snapshot) -> None:
        things = [example.thing for example in self._examples]
        for node, _ in snapshot.gradients:
            node.grad = None
        recording = record(self._step, self._examples, things, self._found)
        snapshot.restore()
        self._build(recording)
        recording.recorder.release()
        self._check(recording, Trial(self._step, self._examples, self._found, snapshot))

    def _build(self, recording: Recording) -> None:
        """Write the program, and compile it."""
        gradients = [value for _, value in recording.gradients if value is not None]
        wanted = [*values_in_result(recording.result), *gradients]
        lines = drop_unused(recording.recorder.lines, wanted)
        used = {v for line in lines for v in (*line.reads(), *line.changes)} | set(wanted)
        numbers = {v for line in lines for v in line.reads()}
        others = {value: thing for value, thing in recording.others.items() if value in used}
        settings = {v: setting for v, setting in recording.settings.items() if v in numbers}
        self.source, self._where = write(
            lines,
            recording.arguments,
            list(others),
            {value: setting.read() for value, setting in settings.items()},
            recording.result,
            gradients,
        )
        changed = {v.home for line in lines for v in line.changes}
        self._changed = [others[value] for value in others if value.home in changed]
        self._others = list(others.values())
        fast = with_bits(lines)
        parts = Parts(recording.arguments, others, settings, recording.result, recording.gradients)
        self._compile = functools.partial(compile_lines, fast, parts)
        self._renew()

    def _renew(self) -> None:
        """Compile the program with new buffers that nobody else holds."""
        self._run, self._left = self._compile()
        self._call = self._make_call()

    def _check(self, recording: Recording, trial: Trial) -> None:
        """Raise a GraphError unless step and program agree on other inputs and another state."""
        expected = trial.choose()
        calls = recording.recorder.lines
        self._starts_from_none = False
        try:
            trial.compare_calls(calls, gradients=True)
        except GraphError:
            self._starts_from_none = True  # because the step adds to existing gradients
        if self._starts_from_none:
            trial.compare_calls(calls, gradients=False)
        if not trial.compare(self._run, expected):
            raise GraphError(
                "program: the program would not do what the step does; "
                f"the first line that differs is {self._find_difference(trial)}"
            )

    def _find_difference(self, trial: Trial) -> str:
        lines = trial.record(gradients=False, keeps_results=True).recorder.lines
        trial.prepare()
        others = [a.copy() if isinstance(a, np.ndarray) else a for a in self._others]
        settings = {setting.name: setting.read() for setting in self._found.settings}
        inputs = [x.copy() if isinstance(x, np.ndarray) else x for x in trial.inputs]
        with np.errstate(all="ignore"):
            return first_difference(self.source, self._where, [*inputs, *others], settings, lines)

    # A call

    def _make_call(self) -> Callable[..., Any]:
        """Return a function that checks arguments and dependencies and then runs the program."""
        condition, scope = self._found_unchanged()
        heads, checks = [], []
        for i, example in enumerate(self._examples):
            name = f"x{i}"
            heads.append(name)
            if not example.is_array:
                checks.append(f"    {name} = accept({i}, {name})")
                continue
            scope |= {f"shape{i}": example.thing.shape, f"dtype{i}": example.thing.dtype}
            checks.append(
                f"    if {name}.__class__ is not ndarray or {name}.shape != shape{i} "
                f"or {name}.dtype is not dtype{i}: {name} = accept({i}, {name})"
            )
        scope |= {
            "ndarray": np.ndarray, "accept": self._accept, "explain": self._explain_change,
            "mode": mode, "captured": self._mode, "acquire": self._lock.acquire,
            "release": self._lock.release, "run": self._run, "step": self._run_step,
            "refs": sys.getrefcount, "renew": self._call_anew, "Elsewhere": Elsewhere,
            "quietly": _make_quiet_context().run,
            "mark": mark_all_changed([a for a in self._changed if isinstance(a, np.ndarray)]),
        }  # fmt: skip
        # If someone still holds a gradient of an earlier step, this step would overwrite it.
        count = range(len(self._left))
        scope |= {f"m{i}": self._left[i][0] for i in count}
        scope |= {f"g{i}": self._left[i][1] for i in count}
        held = " or ".join(f"refs(g{i}) > r{i} + (m{i}.grad is g{i})" for i in count) or "False"
        arguments = ", ".join(heads)
        lines = [
            f"def call({arguments}):",
            *checks,
            f"    if not ({condition}): explain()",
            f"    if {held}: return renew({arguments})",
            f"    if mode() is not captured or not acquire(False): return step({arguments})",
            "    try:",
            f"        return quietly(run, {arguments})",
            "    except Elsewhere:",
            f"        return step({arguments})",
            "    finally:",
            "        release()",
            "        mark()",
            *(f"r{i} = refs(g{i})" for i in count),  # the count without other holders
        ]
        exec(compile("\n".join(lines), "<call of a captured step>", "exec"), scope)
        call: Callable[..., Any] = scope["call"]
        return call

    def _call_anew(self, *arguments: Any) -> Any:
        self._renew()
        return self._call(*arguments)

    def _found_unchanged(self) -> tuple[str, dict[str, Any]]:
        """Return a condition that nothing the step found has changed, and the condition's scope."""
        found = self._found
        held = [(n.entry, n.number) for n in found.numbers]
        held += [(s.entry, s.thing) for s in (*found.held, *found.own_arrays, *found.generators)]
        scope: dict[str, Any] = {}
        parts = []
        for i, (entry, thing) in enumerate(held):
            scope |= {f"h{i}": entry.holder, f"t{i}": thing}
            place = (
                f"[{entry.key!r}]" if isinstance(entry.holder, (dict, list)) else f".{entry.key}"
            )
            parts.append(f"h{i}{place} is t{i}")
        for i, (_, tensor) in enumerate(found.tensors):
            scope |= {f"p{i}": tensor, f"d{i}": tensor.data, f"n{i}": tensor.node}
            parts += [f"p{i}.data is d{i}", f"p{i}.node is n{i}"]
        for i, (_, container, length) in enumerate(found.containers):
            scope[f"c{i}"] = container
            parts.append(f"len(c{i}) == {length}")
        return " and ".join(parts) or "True", scope

    def _explain_change(self) -> None:
        """Raise a GraphError that names the changed thing that the step depends on."""
        found = self._found
        for number in found.numbers:
            now = _get(number.entry)
            if type(now) is not type(number.number) or now != number.number:
                raise _outdated(f"{number.name} was {number.number!r} and is {now!r} now")
        for slot in (*found.held, *found.own_arrays, *found.generators):
            if _get(slot.entry) is not slot.thing:
                raise _outdated(f"{slot.name} is another object now")
        for name, container, length in found.containers:
            if len(container) != length:
                raise _outdated(f"{name} had {length} entries and has {len(container)} now")
        for name, tensor in found.tensors:
            if (
                tensor.data is not self._memory[id(tensor)]
                or tensor.node is not self._nodes[id(tensor)]
            ):
                raise _outdated(f"{name} has got another dtype, or was frozen or freed")

    def _accept(self, i: int, given: Any) -> Any:
        """Convert an argument for the program, or raise an error that says what is wrong."""
        example = self._examples[i]
        thing = unwrap(given)
        if example.is_number:
            return float(thing)
        if not example.is_array:
            if type(thing) is not type(example.thing) or thing != example.thing:
                raise GraphError(
                    f"program: {example.name} was {example.thing!r} when the step was captured, "
                    f"got {thing!r}; capture the step again for it"
                )
            return thing
        if isinstance(thing, np.ma.MaskedArray) or not isinstance(thing, (np.ndarray, np.generic)):
            raise TypeError(
                f"program: expected {example.name} as an array of {example.thing.dtype}, got a "
                f"{type(given).__name__}"
            )
        array = np.asarray(thing)
        if array.shape != example.thing.shape:
            raise ShapeError(
                f"program: expected {example.name} of shape {example.thing.shape}, for which the "
                f"step was captured, got {array.shape}"
            )
        if array.dtype != example.thing.dtype:
            raise TypeError(
                f"program: expected {example.name} of {example.thing.dtype}, for which the step "
                f"was captured, got {array.dtype}"
            )
        return array

    def _run_step(self, *things: Any) -> Any:
        """Run the step itself, and return arrays as the program does."""
        arguments = [
            from_numpy(thing) if example.is_tensor else thing
            for example, thing in zip(self._examples, things, strict=True)
        ]
        return bare(self._step(*arguments))

    def __call__(self, *arguments: Any) -> Any:
        """Run one step."""
        if len(arguments) != len(self._examples):
            raise TypeError(
                f"program: expected {len(self._examples)} arguments, got {len(arguments)}"
            )
        if active() is not None:  # another step that calls this one is being captured
            return self._run_step(*map(unwrap, arguments))
        if self._starts_from_none and any(node.grad is not None for node in self._leaves):
            raise GraphError(
                "program: the step adds to gradients that are there before, and when it was "
                "captured there were none; call zero_grad() before, or in the step"
            )
        return self._call(*arguments)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the source to a file."""
        with open(path, "w", encoding="utf-8") as file:
            file.write(self.source)

    def __repr__(self) -> str:
        names = ", ".join(example.name for example in self._examples)
        return f"Program of {getattr(self._step, '__name__', 'a step')}({names})"


def _make_quiet_context() -> Context:
    """Return a context in which NumPy does not warn. Entering it is almost free."""
    context = copy_context()
    context.run(np.seterr, all="ignore")
    return context


def _get(entry: Any) -> Any:
    try:
        return entry.get()
    except (KeyError, IndexError, AttributeError, ValueError):
        return None


def _outdated(what: str) -> GraphError:
    return GraphError(
        f"program: since the step was captured, {what}, so the program is out of date; capture it "
        "again"
    )
