"""Find the lines of a tape that a program needs, and fold lines into those that use them."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from .tape import Line, Value

__all__ = ["drop_unused", "fold", "settings_first", "without_changes", "without_setting_checks"]


def drop_unused(lines: list[Line], wanted: Iterable[Value]) -> list[Line]:
    """Return the lines on which the wanted values, the state and the checks depend.

    All draws of generators are kept, because the next step continues with the generator's state.
    """
    values = set(wanted)
    homes = {value.home for value in values}
    kept = []
    for line in reversed(lines):
        changes_what_counts = any(
            value.home in homes or value.home.role == "state" for value in line.changes
        )
        if line.form in ("check", "draw") or line.result in values or changes_what_counts:
            kept.append(line)
            used = [*line.reads(), *line.changes]
            values.update(used)
            homes.update(value.home for value in used)
    return kept[::-1]


def settings_first(lines: list[Line]) -> tuple[list[Line], list[Line]]:
    """Separate the lines that depend only on hyper-parameters from the other lines."""
    known: set[Value] = set()
    asked: dict[tuple[Any, ...], Value] = {}
    same: dict[Value, Value] = {}
    first, rest = [], []
    for line in lines:
        reads = line.reads()
        if line.form in ("number", "check") and all(
            value.role == "setting" or value in known for value in reads
        ):
            question = (line.form, line.call, _renamed(line.args, same))
            if line.result is not None:
                known.add(line.result)
                same[line.result] = asked.get(question, line.result)
            if question not in asked:  # an optimizer asks again for each parameter
                first.append(replace(line, args=_renamed(line.args, same)))
                asked[question] = line.result or line.args[0]
        else:
            rest.append(replace(line, args=_renamed(line.args, same)))
    return first, rest


def without_setting_checks(lines: list[Line]) -> list[Line]:
    """Return the lines without an optimizer's checks of its hyper-parameters."""
    known: set[Value] = set()
    kept = []
    for line in lines:
        if line.form == "number" and all(v.role == "setting" or v in known for v in line.reads()):
            assert line.result is not None
            known.add(line.result)
        elif line.form == "check" and line.args[0] in known:
            continue
        kept.append(line)
    return kept


# In-place operations, treated as if each made a new value under the same name


def without_changes(lines: list[Line]) -> tuple[list[Line], dict[Value, Value]]:
    """Replace `a += b` by the definition of a new value, where this makes no difference.

    It makes no difference if the memory does not have views. Also return, for each new value, the
    value whose name it takes over.
    """
    viewed: set[Value] = set()
    hints: dict[Value, str] = {}
    latest: dict[Value, Value] = {}
    earlier: dict[Value, Value] = {}
    found = []
    for line in lines:
        line = replace(
            line, args=_renamed(line.args, latest), options=_renamed(line.options, latest)
        )
        target = line.changes[0] if line.changes else None
        if target is not None and _is_whole_ufunc(line, target) and target not in viewed:
            new = target.twin()
            new.hint = hints.setdefault(target, target.hint)
            new.gradient_of = line.gradient_of
            before = latest.get(target, target)
            if before.hint.startswith("result of"):
                before.hint = ""  # only the value after this change is the result
            earlier[new] = latest.get(target, target)
            latest[target] = new
            options = {name: x for name, x in line.options.items() if name != "out"}
            line = replace(line, result=new, changes=(), options=options)
            new.home = target
        elif line.result is not None:
            line.result.gradient_of = line.gradient_of
            if line.result.home is not line.result:
                viewed.add(line.result.home)
        found.append(line)
    return found, earlier


def _is_whole_ufunc(line: Line, target: Value) -> bool:
    if (
        not isinstance(line.function, np.ufunc)
        or target.role != "computed"
        or target.home is not target
    ):
        return False
    types = [v.dtype for v in line.reads() if v.dtype is not None]
    return bool(types) and np.result_type(*types) == target.dtype


def _renamed(thing: Any, latest: dict[Value, Value]) -> Any:
    if isinstance(thing, Value):
        return latest.get(thing, thing)
    if isinstance(thing, (tuple, list)):
        return type(thing)([_renamed(part, latest) for part in thing])
    if isinstance(thing, dict):
        return {name: _renamed(part, latest) for name, part in thing.items()}
    if isinstance(thing, slice):
        return slice(*(_renamed(part, latest) for part in (thing.start, thing.stop, thing.step)))
    return thing


# Expressions: find the lines that are written inside the line that uses their result

_MOST_PARTS = 6
_VIEWS = ("T", "swapaxes", "transpose")


def fold(lines: list[Line], named: set[Value], earlier: dict[Value, Value]) -> set[Value]:
    """Return the values that do not need a name, because they are written where they are used.

    These are values that are also part of a larger expression or of a return statement in the
    library's source, and transposes. The values in `named` keep their names in any case.
    """
    uses: dict[Value, list[int]] = defaultdict(list)
    for i, line in enumerate(lines):
        for used in line.reads():
            uses[used].append(i)
    lands = list(range(len(lines)))  # the line inside which each line is finally written
    parts = [1] * len(lines)
    reads = [{value.home for value in line.reads()} for line in lines]
    folded: set[Value] = set()
    for i in reversed(range(len(lines))):
        line, value = lines[i], lines[i].result
        if value is None or value in named or line.form == "thaw" or line.changes:
            continue
        places = [lands[u] for u in uses[value]]
        if line.form == "draw" and any(
            other.form == "draw" for other in lines[i + 1 : max([*places, i]) + 1]
        ):
            continue  # because the order of draws must not change
        is_view = value.home is not value and value not in earlier
        if not (is_view and line.call in _VIEWS):
            most = _MOST_PARTS if line.form != "number" else 2 * _MOST_PARTS
            if len(places) != 1 or parts[places[0]] + parts[i] > most:
                continue
            if not _is_passing(line, value, lines[uses[value][0]]):
                continue
            if not is_view and _is_disturbed(lines, i, places[0], reads[i]):
                continue
        folded.add(value)
        for place in set(places):
            parts[place] += parts[i]
            reads[place] |= reads[i]
        if places:
            lands[i] = places[0]
    return folded


def _is_passing(line: Line, value: Value, user: Line) -> bool:
    """Return whether a value has no name or only a technical one in the library's source."""
    if value.gradient_of is not None or value.hint.startswith("result of"):
        return False
    if line.place.section != user.place.section or line.place.phase != user.place.phase:
        return False
    same_statement = line.place.statement == user.place.statement
    return not line.place.target or same_statement or line.form == "item"


def _is_disturbed(lines: list[Line], start: int, stop: int, homes: set[Value]) -> bool:
    """Return whether a line in between changes memory that an expression reads."""
    between = lines[start + 1 : stop]
    return any(value.home in homes for line in between for value in line.changes)
