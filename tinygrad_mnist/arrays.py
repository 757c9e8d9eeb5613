"""ndarray helpers that every other file may use: dtype rules, undoing a broadcast, who owns a piece of memory."""

import cmath
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = [
    "Array", "Rng", "add_into", "as_array", "constants", "floating", "masked", "owner", "unbroadcast",
]  # fmt: skip

# npt.NDArray[Any] but for the second Any, without which pyright knows no .real of it
Array: TypeAlias = np.ndarray[tuple[Any, ...], Any]

# What the library accepts as a source of randomness. Quoted, because evaluating it would import
# numpy.random, which `import numpy` leaves for its first use.
Rng: TypeAlias = "np.random.Generator | int | None"

_NUMBERS = (
    bool,
    int,
    float,
    complex,
)  # compared by exact type: np.float64 is a float, yet has a dtype of its own


def as_array(data: object, dtype: npt.DTypeLike | None = None) -> Array:
    """Return `data` as an ndarray, without a copy where it is one; Python floats and lists of them become float32.

    Raises
    ------
    TypeError
        If the data are not numbers.
    """
    try:
        array = np.asarray(data)
    except ValueError as error:
        raise TypeError(
            f"expected numbers in a rectangular array, got {type(data).__name__}: {error}"
        ) from error
    if array.dtype.kind not in "fciub":
        raise TypeError(f"expected numbers, got {type(data).__name__} of dtype {array.dtype}")
    if dtype is not None and np.dtype(dtype).kind not in "fciub":
        raise TypeError(f"expected a dtype of numbers, got {np.dtype(dtype)}")
    if (
        dtype is None and array.dtype.kind in "fc" and not hasattr(data, "__array__")
    ):  # Python's own numbers
        dtype = np.float32 if array.dtype.kind == "f" else np.complex64
    return array if dtype is None else array.astype(dtype, copy=False)


def constants(values: list[Any]) -> list[Array]:
    """Return the operands of one operation as arrays; a Python number takes the dtype of the arrays beside it."""
    kinds = [value.dtype for value in values if hasattr(value, "dtype")]
    beside = np.result_type(*kinds) if kinds else None
    arrays = []
    for value in values:
        if type(value) not in _NUMBERS or beside is None or beside.kind not in "fc":
            arrays.append(as_array(value))
        elif type(value) is complex:
            arrays.append(np.asarray(value, np.result_type(beside, np.complex64)))
        else:
            arrays.append(np.asarray(value, beside))
    return arrays


def floating(a: Array) -> Array:
    """Return `a` as floats or complex numbers: integers would wrap around, or cut the constants beside them."""
    return a if a.dtype.kind in "fc" else a.astype(np.result_type(a, np.float32))


def add_into(total: Array, a: Array) -> Array:
    """Return total + a, in the memory of `total` where its dtype and shape can hold it."""
    same = total.dtype == a.dtype or total.dtype == np.result_type(total, a)
    return (
        np.add(total, a, out=total) if same and type(total) is np.ndarray else np.asarray(total + a)
    )


def masked(g: Array, keep: Array) -> Array:
    """Return g where `keep` is true, else 0, in the memory of g."""
    np.multiply(g, keep, out=g)  # twenty times as fast as a choice by element
    if not cmath.isfinite(np.add.reduce(g, axis=None)):  # but infinity times 0 is nan
        g[~keep] = 0
    return g


def unbroadcast(g: Array, shape: tuple[int, ...]) -> Array:
    """Sum `g` over the axes along which an array of `shape` was broadcast: `g` itself, or a new array."""
    if g.shape == shape:
        return g
    added = g.ndim - len(shape)
    stretched = [added + i for i, size in enumerate(shape) if size == 1 and g.shape[added + i] != 1]
    total: Array = np.asarray(g.sum(axis=(*range(added), *stretched), keepdims=True))
    return total.reshape(shape)


def owner(array: Array) -> Array:
    """Return the array whose memory `array` views: two arrays overlap only if their owners are one."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array
