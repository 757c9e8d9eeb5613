"""ndarray helpers that every other file may use: dtype rules, undoing a broadcast, memory."""

import math
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = [
    "Array", "Rng", "add_into", "add_up", "as_array", "constants", "floating", "is_array",
    "keep_where", "span", "spread", "unbroadcast", "values",
]  # fmt: skip

# npt.NDArray[Any] but for the second Any, without which pyright finds no attributes of it
Array: TypeAlias = np.ndarray[tuple[Any, ...], Any]

# What the library accepts as a source of randomness. Quoted, because evaluating it would import
# numpy.random, which `import numpy` leaves for its first use.
Rng: TypeAlias = "np.random.Generator | int | None"


# From what users pass to arrays


def as_array(data: object, dtype: npt.DTypeLike | None = None) -> Array:
    """Return `data` as an ndarray, without a copy where it is one.

    Python floats and lists of them become float32.

    Raises
    ------
    TypeError
        If the data are not numbers, or a masked array, whose mask would be lost.
    """
    if isinstance(data, np.ma.MaskedArray):
        raise TypeError(
            "a masked array would lose its mask in a Tensor; pass its .filled(value), or choose by "
            "the mask with where()"
        )
    try:
        array: Array = np.asanyarray(data)
    except ValueError as error:
        raise TypeError(
            f"expected numbers in a rectangular array, got {type(data).__name__}: {error}"
        ) from error
    if isinstance(array, np.matrix):  # whose * is a matrix product
        array = np.asarray(array)
    if array.dtype.kind not in "fciub":
        raise TypeError(f"expected numbers, got {type(data).__name__} of dtype {array.dtype}")
    if dtype is not None and np.dtype(dtype).kind not in "fciub":
        raise TypeError(f"expected a dtype of numbers, got {np.dtype(dtype)}")
    if dtype is None and array.dtype.kind in "fc" and not hasattr(data, "__array__"):
        dtype = np.float32 if array.dtype.kind == "f" else np.complex64
    return array if dtype is None else array.astype(dtype, copy=False)


def constants(operands: list[Any]) -> list[Array]:
    """Return the operands of one operation as arrays of dtypes that fit together.

    Only floating-point arrays decide the dtype of the result. A Python number, a NumPy scalar, a
    list, or an array of integers or bools takes the dtype of the floating-point arrays beside it.
    """
    arrays = [as_array(operand) for operand in operands]
    yields = [_yields(*pair) for pair in zip(operands, arrays, strict=True)]
    deciding = [a.dtype for a, gives_way in zip(arrays, yields, strict=True) if not gives_way]
    if not deciding:
        return arrays
    beside = np.result_type(*deciding)
    for i, operand in enumerate(operands):
        if yields[i]:
            is_complex = arrays[i].dtype.kind == "c"
            dtype = np.result_type(beside, np.complex64) if is_complex else beside
            arrays[i] = np.asarray(operand, dtype)
    return arrays


def _yields(operand: object, array: Array) -> bool:
    """Return whether an operand takes the dtype of the arrays beside it."""
    is_number = isinstance(operand, np.generic) or not hasattr(operand, "__array__")
    return is_number or array.dtype.kind not in "fc"


def floating(a: Array) -> Array:
    """Return `a` as floats: integers would wrap around, or cut the constants beside them."""
    return a if a.dtype.kind in "fc" else a.astype(np.result_type(a.dtype, np.float32))


_HALF = np.dtype(np.float16)


# Inside kernels: these helpers take arrays and Tensors alike


def is_array(x: Any) -> bool:
    """Return whether x holds plain numbers, as an array or one of NumPy's scalars does.

    If not, it is a Tensor, whose operations are being recorded.
    """
    return isinstance(x, (np.ndarray, np.generic))


def values(x: Any) -> Array:
    """Return the numbers of an array or a Tensor as an array.

    A kernel makes its choices from them (a mask, the place of a maximum), because a choice has no
    slope.
    """
    return x if is_array(x) else x.numpy()


def add_up(x: Array, axes: int | tuple[int, ...], keepdims: bool = True) -> Array:
    """Return the sum of x over axes; float16, which has few digits, is summed in float32."""
    if x.dtype == _HALF:
        return x.astype(np.float32).sum(axis=axes, keepdims=keepdims).astype(np.float16)
    total: Array = x.sum(axis=axes, keepdims=keepdims)
    return total


def unbroadcast(g: Array, shape: tuple[int, ...]) -> Array:
    """Sum `g` over the axes along which an array of `shape` was broadcast.

    Returns `g` itself where there are none.
    """
    if g.shape == shape:
        return g
    added = g.ndim - len(shape)
    stretched = [added + i for i, size in enumerate(shape) if size == 1 and g.shape[added + i] != 1]
    return add_up(g, (*range(added), *stretched)).reshape(shape)


def spread(g: Array, shape: tuple[int, ...]) -> Array:
    """Return `g` broadcast to a shape, in memory of its own."""
    if not is_array(g):
        return np.broadcast_to(g, shape)
    out = np.empty_like(g, shape=shape, order="C", subok=True)
    out[...] = g
    return out


def keep_where(g: Array, keep: Array) -> Array:
    """Return g where `keep` is true, else 0; an array in its own memory."""
    if not is_array(g):
        return np.where(keep, g, 0)
    g *= keep  # twenty times as fast as a choice by element
    if not math.isfinite(np.add.reduce(g, axis=None)):  # but infinity times 0 is nan
        g[~keep] = 0
    return g


def add_into(total: Array, a: Array) -> Array:
    """Return the sum of two arrays, in the memory of `total` if its dtype can hold the sum."""
    if total.dtype != a.dtype and total.dtype != np.result_type(total, a):
        return total + a
    total += a
    return total


# Memory


def span(array: Array) -> tuple[int, int]:
    """Return the addresses of an array's memory: of its first byte, and of the first after it."""
    start, stop = np.lib.array_utils.byte_bounds(array)
    return int(start), int(stop)
