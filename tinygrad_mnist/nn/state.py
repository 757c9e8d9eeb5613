"""Copy a module's state (arrays by name) out, and copy a state in, completely or not at all."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ..arrays import Array, refuse_mask
from ..graph import mark_changed
from ..tensor import unwrap

__all__ = ["copy_in", "copy_out", "place"]


def place(array: Array) -> Any:
    """Return a key that is the same for two arrays if they are the same memory."""
    if array.size == 0:
        return id(array)
    return array.__array_interface__["data"][0], array.shape, array.strides, array.dtype.str


def copy_out(own: Mapping[str, Array]) -> dict[str, Array]:
    """Return copies under the same names; arrays that are the same memory share a copy."""
    copies: dict[Any, Array] = {}
    for array in own.values():
        if place(array) not in copies:
            copies[place(array)] = array.copy()
    return {name: copies[place(array)] for name, array in own.items()}


def copy_in(
    kind: str, own: Mapping[str, Array], state: Mapping[str, npt.ArrayLike], strict: bool
) -> None:
    """Copy the arrays of a state into the module's arrays of the same names.

    Raises
    ------
    TypeError
        If the state is not a mapping.
    ValueError
        If something does not fit; the message lists everything. In that case nothing has changed.
    """
    if not isinstance(state, Mapping):
        raise TypeError(
            f"{kind}: expected a mapping of names to arrays, as state_dict() returns, "
            f"got {type(state).__name__}; checkpoint.load() reads a file"
        )
    given = {name: _as_array(kind, name, value) for name, value in state.items()}
    complaints = _names_that_differ(own, given) if strict else []
    new: dict[Any, tuple[str, Array]] = {}  # by the place of the module's array
    for name in (name for name in own if name in given):
        misfit = _misfit(given[name], own[name])
        if misfit:
            complaints.append(f"{name} {misfit}")
            continue
        array = given[name].astype(own[name].dtype, copy=False)
        first, other = new.setdefault(place(own[name]), (name, array))
        if not np.array_equal(array, other, equal_nan=array.dtype.kind in "fc"):
            complaints.append(f"{first} and {name} differ, but are one array here")
    if complaints:
        raise ValueError(f"{kind} cannot load this state: {'; '.join(complaints)}")
    # A state may contain views of the module's arrays, which change during the copying below.
    mine = list(own.values())
    copied = [
        (name, a.copy() if any(np.may_share_memory(a, array) for array in mine) else a)
        for name, a in new.values()
    ]
    for name, array in copied:
        own[name][...] = array
        mark_changed(own[name])  # graphs that saved it must not go backward any more


def _as_array(kind: str, name: str, value: Any) -> Array:
    try:
        return np.asarray(refuse_mask(unwrap(value)))
    except ValueError as error:
        raise ValueError(
            f"{kind} cannot load this state: {name} is not an array: {error}"
        ) from error


def _names_that_differ(own: Mapping[str, Array], given: Mapping[str, Array]) -> list[str]:
    """Return complaints about missing and unexpected names; a shared array needs only one name."""
    found = {place(array) for name, array in own.items() if name in given}
    missing: dict[Any, str] = {}
    for name, array in own.items():
        if place(array) not in found:
            missing.setdefault(place(array), name)
    unexpected = sorted(str(name) for name in given if name not in own)
    return [f"missing {name}" for name in missing.values()] + [
        f"unexpected {name}" for name in unexpected
    ]


def _misfit(array: Array, mine: Array) -> str:
    """Return why an array cannot be copied into another, or an empty string."""
    if array.shape != mine.shape:
        return f"of shape {array.shape}, expected {mine.shape}"
    if not mine.flags.writeable:
        return "is read-only in this model"
    if array.dtype.kind in "iub":  # also into a smaller integer dtype, if the values fit
        if mine.dtype.kind in "iub" and not np.array_equal(array.astype(mine.dtype), array):
            return f"has values that {mine.dtype} does not hold"
    elif not np.can_cast(array.dtype, mine.dtype, "same_kind"):
        return f"of dtype {array.dtype}, expected {mine.dtype}"
    return ""
