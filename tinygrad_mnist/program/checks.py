"""Check at capture that program and step agree, on other inputs and with another state."""

import ast
from collections.abc import Callable
from typing import Any

import numpy as np

from ..arrays import Array
from ..errors import GraphError
from ..tensor import Tensor, from_numpy
from .capture import Example, Recording, Snapshot, record, write_setting
from .run import Elsewhere
from .state import Found
from .tape import Line, Value

__all__ = ["Trial", "are_same", "bare", "check_same_calls", "first_difference"]


def are_same(a: Any, b: Any) -> bool:
    """Return whether two results have the same bits. All nan values count as the same."""
    if isinstance(a, (np.ndarray, np.generic)) and isinstance(b, (np.ndarray, np.generic)):
        x, y = np.asarray(a), np.asarray(b)
        if x.shape != y.shape or x.dtype != y.dtype:
            return False
        if x.tobytes() == y.tobytes():
            return True
        if x.dtype.kind not in "fc":
            return False
        return bool(((x == y) & (np.signbit(x) == np.signbit(y)) | (x != x) & (y != y)).all())
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(are_same(a[key], b[key]) for key in a)
    if isinstance(a, (tuple, list)) and isinstance(b, (tuple, list)):
        return len(a) == len(b) and all(map(are_same, a, b))
    return bool(a == b) or (a != a and b != b)


def bare(result: Any) -> Any:
    """Replace the Tensors in a step's result by arrays."""
    if isinstance(result, Tensor):
        return result.data
    if isinstance(result, dict):
        return {key: bare(part) for key, part in result.items()}
    if isinstance(result, (tuple, list)):
        return (
            type(result)(map(bare, result))
            if type(result) in (tuple, list)
            else tuple(map(bare, result))
        )
    return result


class Trial:
    """Runs step and program on the same inputs and state, which differ from the captured ones."""

    def __init__(
        self, step: Callable[..., Any], examples: list[Example], found: Found, snapshot: Snapshot
    ) -> None:
        self.step, self.examples, self.found, self.snapshot = step, examples, found, snapshot
        self.inputs: list[Any] = []
        self.state: list[Array] = []
        self.share = 1.0  # a factor for the hyper-parameters
        self.gradients: list[Array | None] = []

    def choose(self) -> tuple[Any, list[Array], list[Any]]:
        """Choose inputs and a state for which the step runs, and return its result for them.

        Inputs that differ more from the captured ones reveal more. But a step may refuse inputs, or
        give nan for a state that never occurs in training.
        """
        for level in (2, 1, 0):
            self.inputs = [_other_input(example, level) for example in self.examples]
            self.state = [_other_state(a, level) for a in self.snapshot.copies]
            self.share = 0.99 if level == 2 else 1.0
            self.prepare()
            try:
                with np.errstate(all="ignore"):
                    result = bare(self.step(*self.arguments()))
            except Exception:
                if level == 0:
                    raise
                continue
            state, draws = self.snapshot.read(), self.snapshot.draws_now()
            if level == 0 or all(np.isfinite(a).all() for a in state if a.dtype.kind == "f"):
                return result, state, draws
        raise AssertionError

    def arguments(self) -> list[Any]:
        """Return the arguments as the step expects them."""
        return [
            from_numpy(thing) if example.is_tensor else thing
            for example, thing in zip(self.examples, self.inputs, strict=True)
        ]

    def prepare(self, gradients: bool = False) -> None:
        """Put the chosen state in place. If `gradients`, add gradients of an earlier step."""
        snapshot = self.snapshot
        snapshot.restore()
        for array, other in zip(snapshot.arrays, self.state, strict=True):
            if array.flags.writeable:
                array[...] = other
        for setting, value in zip(self.found.settings, snapshot.settings, strict=True):
            write_setting(setting, value * self.share if isinstance(value, float) else value)
        for node, _ in snapshot.gradients:
            node.grad = np.full(node.shape, 0.5, node.dtype) if gradients else None

    def record(self, gradients: bool, keeps_results: bool = False) -> Recording:
        """Record the step with the chosen inputs and state."""
        self.prepare(gradients)
        return record(self.step, self.examples, self.inputs, self.found, keeps_results)

    def compare_calls(self, calls: list[Line], gradients: bool) -> None:
        """Raise a GraphError unless the step makes the same calls with the chosen state."""
        recording = self.record(gradients)
        recording.recorder.release()
        check_same_calls(calls, recording.recorder.lines)

    def compare(
        self, run: Callable[..., Any], expected: tuple[Any, list[Array], list[Any]]
    ) -> bool:
        """Return whether the program changes the state and returns results as the step does."""
        self.prepare()
        try:
            with np.errstate(all="ignore"):
                result = run(*self.inputs)
        except Elsewhere:
            return True  # because for such values the step itself runs
        return (
            are_same(result, expected[0])
            and are_same(self.snapshot.read(), expected[1])
            and _same_draws(self.snapshot.draws_now(), expected[2])
        )


def _same_draws(a: list[Any], b: list[Any]) -> bool:
    return repr(a) == repr(b)


def _other_input(example: Example, level: int) -> Any:
    """Return another input. Its rows have another order, and at level 2 other numbers."""
    thing = example.thing
    if example.is_number:
        return thing * 0.99 if level == 2 else thing
    if not example.is_array or level == 0:
        return thing
    other = thing[::-1].copy() if thing.ndim and len(thing) > 1 else thing.copy()
    if thing.dtype.kind == "f" and level == 2:
        return _other_state(other, level)
    if thing.dtype.kind in "iu" and level == 2 and thing.size and (other == thing).all():
        other += np.where(other > 0, -1, 1).astype(other.dtype)
    return other


def _other_state(array: Array, level: int) -> Array:
    """Return an array with other numbers, which are a little larger than the original ones."""
    if level < 2 or not array.size or array.nbytes > 1 << 26:
        return array.copy()
    if array.dtype.kind == "f":
        noise = np.resize(np.sin(np.arange(1, 998, dtype=array.dtype)) ** 2, array.shape)
        other = array * noise
        other *= 0.01
        other += array
        noise *= 0.001
        return np.asarray(other + noise, array.dtype)
    if array.dtype.kind in "iu":
        return np.asarray(array + 1 if array.ndim == 0 else np.roll(array, 1, 0)).astype(
            array.dtype
        )
    return array.copy()


def check_same_calls(first: list[Line], second: list[Line]) -> None:
    """Raise a GraphError unless two recordings made the same calls with the same constants."""
    partner: dict[Value, Value] = {}
    for one, other in zip(first, second, strict=False):
        if (one.form, one.call, one.expected) != (other.form, other.call, other.expected):
            raise _diverges(one)
        if not _match(one.args, other.args, partner) or not _match(
            one.options, other.options, partner
        ):
            raise GraphError(
                "program: a number or an array was computed from values where recording cannot "
                f"see it (np.asarray, float(), math functions), and would be frozen: it is used by "
                f"{one.call or one.form} at {one.place.user}"
            )
        if one.result is not None and other.result is not None:
            partner[one.result] = other.result
    if len(first) != len(second):
        longer = first if len(first) > len(second) else second
        raise _diverges(longer[min(len(first), len(second))])


def _diverges(line: Line) -> GraphError:
    return GraphError(
        "program: the step made other calls for other values, so no program stands for it; the "
        f"first that differs is {line.call or line.form} at {line.place.user}"
    )


def _match(a: Any, b: Any, partner: dict[Value, Value]) -> bool:
    if isinstance(a, Value) and isinstance(b, Value):
        if a.role == "constant" and b.role == "constant":
            return are_same(a.array, b.array)
        known = partner.setdefault(a, b)
        return known is b and a.role == b.role and a.name == b.name and a.shape == b.shape
    if isinstance(a, (tuple, list)) and isinstance(b, (tuple, list)):
        return len(a) == len(b) and all(_match(x, y, partner) for x, y in zip(a, b, strict=True))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_match(a[key], b[key], partner) for key in a)
    if isinstance(a, slice) and isinstance(b, slice):
        return _match((a.start, a.stop, a.step), (b.start, b.stop, b.step), partner)
    if type(a) is not type(b):
        return False
    try:
        return are_same(a, b)
    except Exception:
        return a is b


def first_difference(
    source: str,
    where: dict[int, Line],
    inputs: list[Any],
    settings: dict[str, Any],
    lines: list[Line],
) -> str:
    """Return the first line of the program whose result differs from the step's.

    Parameters
    ----------
    source : the program
    where : which line of the source belongs to which call
    inputs : the arguments of the program
    settings : the hyper-parameters, by name
    lines : the calls of the step on these inputs, with their results
    """
    *top, function = ast.parse(source).body
    assert isinstance(function, ast.FunctionDef)
    text = source.splitlines()
    arguments = [argument.arg for argument in function.args.args]
    names = {**dict(zip(arguments, inputs, strict=False)), **settings}
    for node in [*top, *function.body]:
        if isinstance(node, ast.Return):
            break
        exec(compile(ast.Module([node], []), "<program>", "exec"), names)
        line = where.get(node.lineno)
        shown = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if line is None or line.number < 0 or not isinstance(shown, ast.Name):
            continue
        expected = lines[line.number].after
        if expected is not None and not are_same(names[shown.id], expected):
            return f"line {node.lineno}: {text[node.lineno - 1].strip()}"
    return "what it returns, or in how it is compiled"
