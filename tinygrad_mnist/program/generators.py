"""Generators whose draws are recorded. A separate file, because it imports numpy.random."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import GraphError
from .calls import active, plain
from .numbers import as_number
from .tape import Line, Value, find_place, user_line

__all__ = ["DrawnFrom", "stand_in"]


class DrawnFrom(np.random.Generator):
    """A generator whose draws are recorded. It shares its state with the original generator."""

    value: Value


def stand_in(generator: np.random.Generator, value: Value) -> DrawnFrom:
    """Return a generator that draws the same numbers as the given one, and records the draws."""
    drawn = DrawnFrom(generator.bit_generator)
    drawn.value = value
    return drawn


def _add_draw(name: str) -> None:
    def draw(self: Any, *args: Any, **options: Any) -> Any:
        run: Callable[..., Any] = getattr(np.random.Generator, name)
        result = run(self, *plain(args), **{k: plain(v) for k, v in options.items()})
        tape = active()
        if tape is None:
            return result
        if result is None or "out" in options:
            raise GraphError(
                f"program: rng.{name} changes an array, which cannot be followed, in "
                f"{user_line()}; use rng.permutation"
            )
        line = Line("draw", name, (self.value, *tape.written(args)), tape.written_options(options))
        if isinstance(result, (float, int)):  # a Python number, which does not widen dtypes
            line.result, line.place = Value("computed"), find_place()
            line.result.hint = line.place.target
            tape.values.append(line.result)
            tape.append(line)
            return as_number(result, line.result)
        return tape.record(line, result)

    setattr(DrawnFrom, name, draw)


for _name in dir(np.random.Generator):
    if not _name.startswith("_") and _name not in ("bit_generator", "spawn"):
        _add_draw(_name)
