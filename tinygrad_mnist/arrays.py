"""ndarray helpers that every other file may use: dtype rules, undoing a broadcast, memory."""

import math
import string
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = [
    "Array", "Recorded", "Rng", "add_into", "add_up", "as_array", "choose", "constants",
    "copy_of", "dot_over", "floating", "is_array", "is_finite", "keep_where", "max_along",
    "refuse_mask", "rows_of", "span", "spread", "sum_over", "unbroadcast", "values",
]  # fmt: skip

# Like npt.NDArray[Any], with a second Any: without it, pyright does not find an array's attributes.
Array: TypeAlias = np.ndarray[tuple[Any, ...], Any]

# What the library accepts as a source of randomness. It is quoted, because evaluating it would
# import numpy.random, which NumPy imports only when it is first used.
Rng: TypeAlias = "np.random.Generator | int | None"


class Recorded(np.ndarray):
    """An array that records the calls made on it while `program` captures a step.

    It is defined here because functions in this file that drop subclasses of ndarray must keep it.
    """


# From what users pass to arrays


def as_array(data: object, dtype: npt.DTypeLike | None = None) -> Array:
    """Return `data` as an ndarray, without a copy if it is one already.

    Python floats and lists of them become float32.

    Raises
    ------
    TypeError
        If the data are not numbers, or are a masked array, because its mask would be lost.
    """
    try:
        array: Array = np.asanyarray(refuse_mask(data))
    except ValueError as error:
        raise TypeError(
            f"expected numbers in a rectangular array, got {type(data).__name__}: {error}"
        ) from error
    if isinstance(array, np.matrix):  # because its * is a matrix product
        array = np.asarray(array)
    if array.dtype.kind not in "fciub":
        raise TypeError(f"expected numbers, got {type(data).__name__} of dtype {array.dtype}")
    if dtype is not None and np.dtype(dtype).kind not in "fciub":
        raise TypeError(f"expected a dtype of numbers, got {np.dtype(dtype)}")
    if dtype is None and array.dtype.kind in "fc" and not hasattr(data, "__array__"):
        dtype = np.float32 if array.dtype.kind == "f" else np.complex64
    return array if dtype is None else array.astype(dtype, copy=False)


def refuse_mask(data: Any) -> Any:
    """Return `data`, unless it is a masked array: its mask would be lost.

    Raises
    ------
    TypeError
        If it is a masked array.
    """
    if isinstance(data, np.ma.MaskedArray):
        raise TypeError(
            "a masked array would lose its mask beside a Tensor; pass its .filled(value), or "
            "choose by the mask with where()"
        )
    return data


def constants(operands: list[Any]) -> list[Array]:
    """Return the operands of one operation as arrays of dtypes that fit together.

    Only floating-point arrays decide the dtype of the result. A Python number, a NumPy scalar, a
    list, or an array of integers or bools takes the dtype of the floating-point arrays beside it.
    """
    arrays = [as_array(operand) for operand in operands]
    yields = [_yields(*pair) for pair in zip(operands, arrays, strict=True)]
    deciding = [a.dtype for a, gives_way in zip(arrays, yields, strict=True) if not gives_way]
    if deciding:
        beside = np.result_type(*deciding)
    elif any(a.dtype.kind == "f" for a in arrays):  # a float beside integers keeps all its digits
        beside = np.result_type(*(a.dtype for a in arrays))
        yields = [array.dtype.kind == "f" for array in arrays]
    else:
        return arrays
    for i, operand in enumerate(operands):
        if yields[i]:
            is_complex = arrays[i].dtype.kind == "c"
            dtype = np.result_type(beside, np.complex64) if is_complex else beside
            if isinstance(operand, np.ndarray):
                arrays[i] = arrays[i].astype(dtype, copy=False)
            elif type(operand) in (int, float, bool):
                arrays[i] = np.asarray(operand, dtype)
            else:  # `like` also records the conversion of a recorded number
                like = next((a for a in arrays if isinstance(a, Recorded)), None)
                arrays[i] = np.asarray(operand, dtype, like=like)
    return arrays


def _yields(operand: object, array: Array) -> bool:
    """Return whether an operand takes the dtype of the arrays beside it."""
    is_number = isinstance(operand, np.generic) or not hasattr(operand, "__array__")
    return is_number or array.dtype.kind not in "fc"


def copy_of(data: object, dtype: npt.DTypeLike | None = None) -> Array:
    """Copy the numbers of an array to new memory, in C order, as a plain ndarray.

    A `Recorded` array stays a `Recorded` array.
    """
    if isinstance(data, Recorded):
        return data.copy() if dtype is None else data.astype(dtype, order="C")
    return np.array(data, dtype, order="C", subok=False)


def floating(a: Array) -> Array:
    """Return `a` as floats, because integers would overflow or truncate constants beside them."""
    return a if a.dtype.kind in "fc" else a.astype(np.result_type(a.dtype, np.float32))


_HALF = np.dtype(np.float16)


# Inside kernels: these helpers take arrays and Tensors alike


def is_array(x: Any) -> bool:
    """Return whether x holds plain numbers, as an array or one of NumPy's scalars does.

    If not, it is a Tensor, whose operations are being recorded.
    """
    return isinstance(x, (np.ndarray, np.generic))


def values(x: Any) -> Any:
    """Return the numbers of an array or a Tensor as an array.

    A kernel makes its choices from them (a mask, the place of a maximum), because a choice has no
    slope.
    """
    return x if isinstance(x, (np.ndarray, np.generic)) else x.numpy()


def is_finite(number: Any) -> bool:
    """Return whether a single number is neither infinite nor nan."""
    if isinstance(number, np.ndarray):
        return bool(np.isfinite(number))
    return math.isfinite(number)


def rows_of(table: Array, indices: Array) -> Array:
    """Return table[indices]; this also works if the indices are recorded and the table is not."""
    if not isinstance(table, Recorded):
        table = np.asarray(table, like=indices)
    rows: Array = table[indices]
    return rows


def add_up(x: Array, axes: int | tuple[int, ...], keepdims: bool = True) -> Array:
    """Return the sum of x over axes; float16, which has few digits, is summed in float32."""
    if x.dtype == _HALF:
        return x.astype(np.float32).sum(axis=axes, keepdims=keepdims).astype(np.float16)
    total: Array = x.sum(axis=axes, keepdims=keepdims)
    return total


# NumPy's sum and max set up a loop for each row. For a short row, this costs more than the row
# itself, so einsum and reduceat take only a quarter to a half of the time.
_FEW = 1 << 12  # elements of an array: einsum pays only above this number
_SHORT = 1 << 10  # elements of a row: up to this number einsum pays, and is as exact as a sum


def _is_large(x: Array) -> bool:
    """Return whether x is an array of floats that is large enough for einsum to pay."""
    return isinstance(x, np.ndarray) and x.size > _FEW and x.dtype in (np.float32, np.float64)


def _innermost(x: Array, axes: Sequence[int]) -> list[int]:
    """Return the given axes that are innermost in memory, up to _SHORT elements together."""
    inner: list[int] = []
    count = 1
    for axis in sorted(range(x.ndim), key=lambda k: abs(x.strides[k])):
        count *= x.shape[axis]
        if (axis not in axes and axis - x.ndim not in axes) or count > _SHORT:
            break
        inner.append(axis)
    return inner


def _subscripts(x: Array, inner: list[int]) -> tuple[str, str]:
    """Return einsum's letters for every axis of x, and for those that are not summed over."""
    every = string.ascii_letters[: x.ndim]
    return every, "".join(c for k, c in enumerate(every) if k not in inner)


def sum_over(x: Array, axes: Sequence[int]) -> Array:
    """Return the sum of x over axes, which stay with size 1."""
    inner = _innermost(x, axes) if _is_large(x) else []
    if inner:
        every, kept = _subscripts(x, inner)
        x = np.expand_dims(np.einsum(f"{every}->{kept}", x), inner)
    return x if len(inner) == len(axes) else x.sum(axis=tuple(axes), keepdims=True)


def dot_over(x: Array, y: Array, axes: Sequence[int]) -> Array:
    """Return the sum of x * y, of equal shapes, over axes, which stay with size 1."""
    inner = _innermost(x, axes) if _is_large(x) and is_array(y) else []
    if not inner:
        return (x * y).sum(axis=tuple(axes), keepdims=True)
    every, kept = _subscripts(x, inner)
    products = np.expand_dims(np.einsum(f"{every},{every}->{kept}", x, y), inner)
    return products if len(inner) == len(axes) else products.sum(axis=tuple(axes), keepdims=True)


def max_along(x: Array, axis: int) -> Array:
    """Return the maximum of x along an axis, which stays; minus infinity if the axis is empty."""
    n = x.shape[-1] if x.ndim else 0
    rows_lie_together = axis in (-1, x.ndim - 1) and 16 <= n <= _SHORT
    if rows_lie_together and _is_large(x) and x.flags.c_contiguous:
        rows = np.maximum.reduceat(x.reshape(-1), np.arange(0, x.size, n))
        return rows.reshape(*x.shape[:-1], 1)
    largest: Array = x.max(axis=axis, keepdims=True, initial=-np.inf)
    return largest


def unbroadcast(g: Array, shape: tuple[int, ...]) -> Array:
    """Sum `g` over the axes along which an array of `shape` was broadcast.

    Returns `g` itself if there are no such axes.
    """
    if g.shape == shape:
        return g
    added = g.ndim - len(shape)
    stretched = [added + i for i, size in enumerate(shape) if size == 1 and g.shape[added + i] != 1]
    return add_up(g, (*range(added), *stretched)).reshape(shape)


def spread(g: Array, shape: tuple[int, ...]) -> Array:
    """Return `g` broadcast to a shape, in new memory."""
    if not is_array(g):
        return np.broadcast_to(g, shape)
    out = np.empty_like(g, shape=shape, order="C", subok=True)
    out[...] = g
    return out


_FEW_CHOICES = 1 << 10  # up to this number of elements, np.where alone is faster
_BITS = {2: np.int16, 4: np.int32, 8: np.int64}


def _has_bits(x: Any) -> bool:
    """Return whether x is a plain array of floats that can be viewed as integers.

    A recorded array records the call of np.where instead, which gives the same bits.
    """
    if not isinstance(x, np.ndarray) or isinstance(x, Recorded):
        return False
    return x.dtype.kind == "f" and x.dtype.itemsize in _BITS


def _all_bits_where(condition: Array) -> Array:
    """Return small integers: all bits are 1 where the condition is true, else 0.

    Choosing with them by `&` and `^` keeps infinities and nan. It takes a tenth of the time of
    np.where, because np.where branches at each element.
    """
    condition = np.asanyarray(condition, np.bool_)
    # NumPy widens them as it goes, so a mask of a byte an element is enough.
    return np.negative(condition.view(np.int8))


def keep_where(g: Array, keep: Array) -> Array:
    """Return g where `keep` is true, else 0. `keep` may broadcast. It may overwrite an array g."""
    if g.size <= _FEW_CHOICES or not _has_bits(g) or isinstance(keep, Recorded):
        return np.where(keep, g, False if g.dtype.kind == "b" else 0)
    bits = g.view(_BITS[g.dtype.itemsize])
    bits &= _all_bits_where(keep)
    return g


def choose(condition: Array, x: Array, y: Array) -> Array:
    """Return x where a condition is true, else y, as np.where does; all three broadcast."""
    have_bits = _has_bits(x) and _has_bits(y) and not isinstance(condition, Recorded)
    if not have_bits or x.dtype != y.dtype:
        return np.where(condition, x, y)
    x_bits, y_bits = x.view(_BITS[x.dtype.itemsize]), y.view(_BITS[x.dtype.itemsize])
    bits = _all_bits_where(condition) & (x_bits ^ y_bits)
    chosen: Array = (bits ^ y_bits).view(x.dtype)
    return chosen


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
