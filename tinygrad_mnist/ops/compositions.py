"""NumPy's shorthands of arrays, each written out of other operations: np.vstack, np.diff, ...

They have no names in the package: NumPy's own functions reach them when they meet a Tensor.
Functions of single numbers, such as np.hypot, stand in numbers.py.
"""

import math
import string
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..errors import ShapeError, check_size
from ..tensor import Tensor, TensorLike, unwrap
from .arithmetic import clip, multiply, subtract, where
from .dtype import as_tensor, as_tensors
from .index import diagonal, take_along_axis
from .linear import einsum, matmul
from .shape import (
    broadcast_to,
    concatenate,
    expand_dims,
    flip,
    moveaxis,
    pad,
    reshape,
    split,
    stack,
    swapaxes,
    transpose,
)

__all__ = ["COMPOSITIONS"]


def _as_axis(op: str, axis: int, ndim: int) -> int:
    """Return an axis that counts from the front; one that is missing is NumPy's AxisError."""
    return int(np.lib.array_utils.normalize_axis_index(axis, ndim, op))


def _as_axes(op: str, axes: Any, ndim: int) -> list[int]:
    """Return different axes that count from the front."""
    return list(np.lib.array_utils.normalize_axis_tuple(axes, ndim, op))


# Joining and splitting


def _atleast(ndim: int, x: TensorLike) -> Tensor:
    """Return x with at least so many axes, added where NumPy adds them."""
    t = as_tensor(x)
    if t.ndim >= ndim:
        return t
    places = {(1, 0): (1,), (2, 0): (1, 1), (2, 1): (1, t.size)}
    places |= {(3, 0): (1, 1, 1), (3, 1): (1, t.size, 1), (3, 2): (*t.shape, 1)}
    return t.reshape(places[ndim, t.ndim])


def atleast_1d(*tensors: TensorLike) -> Any:
    found = tuple(_atleast(1, x) for x in tensors)
    return found[0] if len(found) == 1 else found


def atleast_2d(*tensors: TensorLike) -> Any:
    found = tuple(_atleast(2, x) for x in tensors)
    return found[0] if len(found) == 1 else found


def atleast_3d(*tensors: TensorLike) -> Any:
    found = tuple(_atleast(3, x) for x in tensors)
    return found[0] if len(found) == 1 else found


def _convert(op: str, t: Tensor, dtype: Any, casting: Any) -> Tensor:
    """Give the result of a join the dtype that NumPy's functions may be asked for."""
    if dtype is None:
        return t
    if not np.can_cast(t.dtype, dtype, casting):
        raise TypeError(f"{op}: cannot cast {t.dtype} to {np.dtype(dtype)} by the rule {casting!r}")
    return t.astype(dtype)


def vstack(tup: Sequence[TensorLike], *, dtype: Any = None, casting: str = "same_kind") -> Tensor:
    joined = concatenate([_atleast(2, x) for x in as_tensors(tup)], axis=0)
    return _convert("vstack", joined, dtype, casting)


def hstack(tup: Sequence[TensorLike], *, dtype: Any = None, casting: str = "same_kind") -> Tensor:
    parts = [_atleast(1, x) for x in as_tensors(tup)]
    joined = concatenate(parts, axis=0 if parts and parts[0].ndim == 1 else 1)
    return _convert("hstack", joined, dtype, casting)


def dstack(tup: Sequence[TensorLike]) -> Tensor:
    return concatenate([_atleast(3, x) for x in as_tensors(tup)], axis=2)


def column_stack(tup: Sequence[TensorLike]) -> Tensor:
    columns = [x.reshape(x.size, 1) if x.ndim < 2 else x for x in as_tensors(tup)]
    return concatenate(columns, axis=1)


def append(arr: TensorLike, values: TensorLike, axis: int | None = None) -> Tensor:
    return concatenate([arr, values], axis=axis)


def array_split(
    ary: TensorLike, indices_or_sections: int | Sequence[int], axis: int = 0
) -> list[Tensor]:
    if not isinstance(indices_or_sections, (int, np.integer)):
        return split(ary, indices_or_sections, axis)
    parts = int(indices_or_sections)
    if parts < 1:
        raise ValueError(f"array_split: expected at least one section, got {parts}")
    axis = _as_axis("array_split", axis, np.ndim(ary))
    each, more = divmod(np.shape(ary)[axis], parts)
    sizes = [each + 1] * more + [each] * (parts - more)
    return split(ary, [int(end) for end in np.cumsum(sizes)[:-1]], axis)


def vsplit(ary: TensorLike, indices_or_sections: int | Sequence[int]) -> list[Tensor]:
    _check_axes("vsplit", ary, 2)
    return split(ary, indices_or_sections, 0)


def hsplit(ary: TensorLike, indices_or_sections: int | Sequence[int]) -> list[Tensor]:
    _check_axes("hsplit", ary, 1)
    return split(ary, indices_or_sections, 0 if np.ndim(ary) == 1 else 1)


def dsplit(ary: TensorLike, indices_or_sections: int | Sequence[int]) -> list[Tensor]:
    _check_axes("dsplit", ary, 3)
    return split(ary, indices_or_sections, 2)


def _check_axes(op: str, x: TensorLike, least: int) -> None:
    if np.ndim(x) < least:
        raise ShapeError(f"{op}: expected at least {least} axes, got shape {np.shape(x)}")


# Moving elements


def ravel(a: TensorLike, order: str = "C") -> Tensor:
    _check_order("ravel", order)
    return reshape(a, (np.size(a),))


def _check_order(op: str, order: str) -> None:
    if order != "C":
        raise TypeError(f"{op}: expected order='C' on a Tensor, got {order!r}; transpose it first")


def fliplr(m: TensorLike) -> Tensor:
    _check_axes("fliplr", m, 2)
    return flip(m, 1)


def flipud(m: TensorLike) -> Tensor:
    _check_axes("flipud", m, 1)
    return flip(m, 0)


def rot90(m: TensorLike, k: int = 1, axes: tuple[int, int] = (0, 1)) -> Tensor:
    _check_axes("rot90", m, 2)
    first, second = _as_axes("rot90", axes, np.ndim(m))
    turns = k % 4
    if turns == 0:
        return as_tensor(m)
    if turns == 2:
        return flip(flip(m, first), second)
    if turns == 1:
        return swapaxes(flip(m, second), first, second)
    return flip(swapaxes(m, first, second), second)


def rollaxis(a: TensorLike, axis: int, start: int = 0) -> Tensor:
    ndim = np.ndim(a)
    axis = _as_axis("rollaxis", axis, ndim)
    start = _as_axis("rollaxis", start, ndim + 1) if start >= 0 else start + ndim
    return moveaxis(a, axis, start - 1 if axis < start else start)


def diag(v: TensorLike, k: int = 0) -> Tensor:
    """Return the diagonal of a matrix, or the matrix with a vector as its diagonal."""
    t = as_tensor(v)
    if t.ndim == 2:
        return diagonal(t, k)
    if t.ndim != 1:
        raise ShapeError(f"diag: expected one or two axes, got shape {t.shape}")
    column = pad(t, (max(-k, 0), max(k, 0))).reshape(-1, 1)  # row i has one element at most
    return where(np.eye(column.size, k=k, dtype=bool), column, np.zeros((), t.dtype))


# Sums and products


def diff(
    a: TensorLike,
    n: int = 1,
    axis: int = -1,
    prepend: TensorLike | None = None,
    append: TensorLike | None = None,
) -> Tensor:
    """Return the differences of neighbours along an axis, n times over.

    What `prepend` and `append` give is put before and behind the elements first.
    """
    if n < 0:
        raise ValueError(f"diff: expected n of at least 0, got {n}")
    t = as_tensor(a)
    axis = _as_axis("diff", axis, t.ndim)
    if n and (prepend is not None or append is not None):
        ends = [_as_end(t, axis, prepend), t, _as_end(t, axis, append)]
        t = concatenate([part for part in ends if part is not None], axis)
    before = (slice(None),) * axis
    for _ in range(n):
        t = subtract(t[(*before, slice(1, None))], t[(*before, slice(None, -1))])
    return t


def _as_end(t: Tensor, axis: int, end: TensorLike | None) -> TensorLike | None:
    """Return a number as one more slice of t along an axis, and anything else as it is."""
    if end is None or np.ndim(end) > 0:
        return end
    _, one = as_tensors([t, end])
    return broadcast_to(one, (*t.shape[:axis], 1, *t.shape[axis + 1 :]))


def tensordot(a: TensorLike, b: TensorLike, axes: Any = 2) -> Tensor:
    """Return the sum of products over pairs of axes: one product of matrices."""
    x, y = as_tensors([a, b])
    if isinstance(axes, (int, np.integer)):
        of_x: list[int] = list(range(x.ndim - int(axes), x.ndim))
        of_y: list[int] = list(range(int(axes)))
    else:
        of_x, of_y = (list(np.atleast_1d(part)) for part in axes)
    of_x, of_y = _as_axes("tensordot", of_x, x.ndim), _as_axes("tensordot", of_y, y.ndim)
    if [x.shape[i] for i in of_x] != [y.shape[i] for i in of_y]:
        raise ShapeError(
            f"tensordot: the summed sizes of shapes {x.shape} and {y.shape} differ, along axes "
            f"{of_x} and {of_y}"
        )
    kept_x = [i for i in range(x.ndim) if i not in of_x]
    kept_y = [i for i in range(y.ndim) if i not in of_y]
    summed = math.prod(x.shape[i] for i in of_x)
    shape_x, shape_y = [x.shape[i] for i in kept_x], [y.shape[i] for i in kept_y]
    left = transpose(x, [*kept_x, *of_x]).reshape(math.prod(shape_x), summed)
    right = transpose(y, [*of_y, *kept_y]).reshape(summed, math.prod(shape_y))
    return matmul(left, right).reshape((*shape_x, *shape_y))


def inner(a: TensorLike, b: TensorLike) -> Tensor:
    """Return the sum of products over the last axes."""
    if np.ndim(a) == 0 or np.ndim(b) == 0:
        return multiply(a, b)
    return tensordot(a, b, axes=(-1, -1))


def kron(a: TensorLike, b: TensorLike) -> Tensor:
    """Return the Kronecker product: a copy of b for each element of a, times that element."""
    x, y = as_tensors([a, b])
    ndim = max(x.ndim, y.ndim)
    x = x.reshape((1,) * (ndim - x.ndim) + x.shape)
    y = y.reshape((1,) * (ndim - y.ndim) + y.shape)
    pairs = expand_dims(x, tuple(range(1, 2 * ndim, 2))) * expand_dims(
        y, tuple(range(0, 2 * ndim, 2))
    )
    return pairs.reshape(tuple(m * n for m, n in zip(x.shape, y.shape, strict=True)))


def cross(
    a: TensorLike,
    b: TensorLike,
    axisa: int = -1,
    axisb: int = -1,
    axisc: int = -1,
    axis: int | None = None,
) -> Tensor:
    """Return the vector product of vectors with three components."""
    if axis is not None:
        axisa = axisb = axisc = axis
    x, y = as_tensors([a, b])
    x, y = moveaxis(x, axisa, -1), moveaxis(y, axisb, -1)
    if x.shape[-1] != 3 or y.shape[-1] != 3:
        raise ShapeError(
            f"cross: expected vectors of three components, got shapes {np.shape(a)}, {np.shape(b)}"
        )
    x0, x1, x2 = (x[..., i] for i in range(3))
    y0, y1, y2 = (y[..., i] for i in range(3))
    return stack([x1 * y2 - x2 * y1, x2 * y0 - x0 * y2, x0 * y1 - x1 * y0], axis=axisc)


# Slopes and steps along an axis


def gradient(f: TensorLike, *varargs: TensorLike, axis: Any = None, edge_order: int = 1) -> Any:
    """Return the slopes of samples along each axis: central differences, one-sided at the ends.

    `varargs` are the distances: none (1), a number for all axes, or for each axis a number or the
    coordinates of its samples.
    """
    t = as_tensor(f)
    if t.dtype.kind != "f":
        t = t.astype(np.float64)
    axes = range(t.ndim) if axis is None else _as_axes("gradient", axis, t.ndim)
    if edge_order not in (1, 2):
        raise ValueError(f"gradient: expected edge_order 1 or 2, got {edge_order}")
    distances = list(varargs) or [1.0]
    if len(distances) == 1 and np.ndim(distances[0]) == 0:
        distances *= len(axes)
    if len(distances) != len(axes):
        raise TypeError(
            f"gradient: expected a distance for each of the {len(axes)} axes, got {len(distances)}"
        )
    slopes = tuple(
        _slopes(t, along, _gaps(t, along, distance), edge_order)
        for along, distance in zip(axes, distances, strict=True)
    )
    return slopes[0] if len(slopes) == 1 else slopes


def _gaps(t: Tensor, axis: int, distance: TensorLike) -> Any:
    """Return the gaps between the samples of t along an axis, shaped to multiply its slices."""
    size = t.shape[axis]
    if np.ndim(distance) > 1 or (np.ndim(distance) == 1 and np.size(distance) != size):
        raise ShapeError(
            f"gradient: expected a number or {size} coordinates for axis {axis}, got shape "
            f"{np.shape(distance)}"
        )
    if np.ndim(distance) == 1:
        gaps = diff(as_tensors([t, distance])[1])
        gaps = gaps if gaps.requires_grad else gaps.astype(t.dtype)
    else:
        gaps = broadcast_to(as_tensors([t, distance])[1], (max(size - 1, 0),))
    return gaps.reshape(-1, *(1,) * (t.ndim - 1))


def _slopes(t: Tensor, axis: int, gaps: Tensor, edge_order: int) -> Tensor:
    """Return the slopes along one axis.

    They are those of the parabola through three samples, or at an end of the line through two.
    """
    x = moveaxis(t, axis, 0)
    if len(x) < edge_order + 1:
        raise ShapeError(
            f"gradient: expected at least {edge_order + 1} samples along axis {axis}, got {len(x)}"
        )
    lines = (x[1:] - x[:-1]) / gaps
    first, last = lines[:1], lines[-1:]
    left, right = gaps[:-1], gaps[1:]
    middle = (lines[:-1] * right + lines[1:] * left) / (left + right)
    if np.all(gaps.data == gaps.data[:1]):  # then the sample between the two must not count
        middle = (x[2:] - x[:-2]) / (2 * left)
    if edge_order == 2:
        first = lines[:1] + (lines[:1] - lines[1:2]) * (gaps[:1] / (gaps[:1] + gaps[1:2]))
        last = lines[-1:] + (lines[-1:] - lines[-2:-1]) * (gaps[-1:] / (gaps[-1:] + gaps[-2:-1]))
    return moveaxis(concatenate([first, middle, last]), 0, axis)


def linspace(
    start: TensorLike,
    stop: TensorLike,
    num: int = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: Any = None,
    axis: int = 0,
) -> Any:
    """Return `num` numbers in equal steps from start to stop, along a new axis."""
    count = check_size("linspace", "num", num, least=0)
    whole = subtract(stop, start)
    kind = whole.dtype if whole.dtype.kind == "f" else np.dtype(np.float64)
    steps = count - 1 if endpoint else count
    part = (np.arange(count) / max(steps, 1)).astype(kind).reshape(-1, *(1,) * whole.ndim)
    y = moveaxis(multiply(start, 1 - part) + multiply(stop, part), 0, axis)
    y = y if dtype is None else y.astype(dtype)
    return (y, whole / steps if steps else whole * np.nan) if retstep else y


# Choices


def select(
    condlist: Sequence[TensorLike], choicelist: Sequence[TensorLike], default: TensorLike = 0
) -> Tensor:
    """Return at each place the choice of the first condition that is true, else the default."""
    if len(condlist) != len(choicelist) or len(condlist) == 0:
        raise ValueError(
            f"select: expected a choice for each of one or more conditions, got {len(condlist)} "
            f"conditions and {len(choicelist)} choices"
        )
    chosen = default
    for condition, choice in zip(condlist[::-1], choicelist[::-1], strict=True):
        bools = np.asanyarray(unwrap(condition))
        if bools.dtype.kind != "b":
            raise TypeError(f"select: expected conditions of bools, got {bools.dtype}")
        chosen = where(bools, choice, chosen)
    return as_tensor(chosen)


def partition(
    a: TensorLike,
    kth: Any,
    axis: int | None = -1,
    kind: str = "introselect",
    order: None = None,
) -> Tensor:
    """Return the elements in an order that has the k-th smallest at its place, see np.partition."""
    t = as_tensor(a)
    if axis is None:
        t, axis = t.reshape(t.size), 0
    return take_along_axis(t, np.argpartition(t.data, kth, axis), axis)


def where_by_numpys_rules(condition: TensorLike, *choices: TensorLike) -> Any:
    """Return where(condition, x, y); with the condition alone, the places where it is true."""
    if not choices:
        return np.nonzero(unwrap(condition))
    return where(condition, *choices)


def full_like(
    a: TensorLike,
    fill_value: TensorLike,
    dtype: Any = None,
    order: str = "K",
    subok: bool = True,
    shape: Any = None,
) -> Any:
    """Return an array full of a value, or a Tensor if the value is one."""
    if not isinstance(fill_value, Tensor):
        return np.full_like(unwrap(a), fill_value, dtype=dtype, shape=shape)
    kind = unwrap(a).dtype if dtype is None else dtype
    return broadcast_to(fill_value, np.shape(a) if shape is None else shape).astype(kind)


# Other arguments than those of our function of that name


def einsum_of_lists(*operands: Any, optimize: object = False) -> Tensor:
    """Return np.einsum in either form: subscripts, or a list of numbers behind each operand.

    `optimize` is ignored, because it does not change the result.
    """
    if isinstance(operands[0], str):
        return einsum(*operands)

    def spell(numbers: Sequence[Any]) -> str:
        return "".join("..." if i is Ellipsis else _letter(i) for i in numbers)

    pairs = len(operands) // 2
    terms = ",".join(spell(operands[2 * i + 1]) for i in range(pairs))
    arrow = f"->{spell(operands[-1])}" if len(operands) % 2 else ""
    return einsum(terms + arrow, *operands[: 2 * pairs : 2])


def _letter(number: int) -> str:
    """Return the letter that stands for a number among einsum's, in NumPy's order: A to z."""
    letters = string.ascii_uppercase + string.ascii_lowercase
    if not 0 <= number < len(letters):
        raise ValueError(f"einsum: expected axes numbered from 0 to 51, got {number}")
    return letters[number]


def clip_by_numpys_names(
    a: TensorLike, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None
) -> Tensor:
    return clip(a, a_min if min is None else min, a_max if max is None else max)


COMPOSITIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    np.atleast_1d: atleast_1d, np.atleast_2d: atleast_2d, np.atleast_3d: atleast_3d,
    np.vstack: vstack, np.hstack: hstack, np.dstack: dstack, np.column_stack: column_stack,
    np.append: append, np.array_split: array_split, np.vsplit: vsplit, np.hsplit: hsplit,
    np.dsplit: dsplit, np.ravel: ravel, np.fliplr: fliplr, np.flipud: flipud, np.rot90: rot90,
    np.rollaxis: rollaxis, np.diag: diag, np.diff: diff, np.tensordot: tensordot, np.inner: inner,
    np.kron: kron, np.cross: cross, np.gradient: gradient, np.linspace: linspace,
    np.select: select, np.partition: partition, np.full_like: full_like,
    np.where: where_by_numpys_rules,
    np.einsum: einsum_of_lists, np.clip: clip_by_numpys_names,
}  # fmt: skip
