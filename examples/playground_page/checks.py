"""Check what a page asks for before anything is done."""

import math

from runner.web import RequestError


def read_number(content, name, low, high):
    """Return a number of the object, from `low` to `high`."""
    value = content.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise RequestError(f"{name}: expected a number from {low} to {high}, got {value!r}")
    if not low <= value <= high:
        raise RequestError(f"{name}: expected a number from {low} to {high}, got {value}")
    return value


def read_whole(content, name, low, high):
    """Return a whole number of the object, from `low` to `high`."""
    value = read_number(content, name, low, high)
    if value != int(value):
        raise RequestError(f"{name}: expected a whole number, got {value}")
    return int(value)


def read_choice(content, name, choices):
    """Return a text of the object, which must be one of the choices."""
    value = content.get(name)
    if not isinstance(value, str) or value not in choices:
        raise RequestError(f"{name}: expected one of {', '.join(choices)}, got {value!r}")
    return value
