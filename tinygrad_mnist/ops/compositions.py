"""NumPy's shorthands, each written out of other operations: np.vstack, np.diff, np.tensordot, ...

They have no names in the package: NumPy's own functions reach them when they meet a Tensor.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..errors import ShapeError
from ..tensor import Tensor, TensorLike, from_numpy, unwrap
from .activation import logaddexp
from .arithmetic import clip, maximum, minimum, subtract, where
from .elementwise import exp, floor, log, log1p, sqrt
from .index import diagonal
from .linear import einsum, matmul
from .reduce import norm
from .shape import (
    broadcast_to,
    concatenate,
    expand_dims,
    flip,
    moveaxis,
    reshape,
    split,
    stack,
    swapaxes,
    transpose,
)
from .trigonometry import sin

__all__ = ["COMPOSITIONS", "remainder"]


def _as_tensor(x: TensorLike) -> Tensor:
    return x if isinstance(x, Tensor) else Tensor(x)


# Joining and splitting


def _atleast(ndim: int, x: TensorLike) -> Tensor:
    """Return x with at least so many axes, added where NumPy adds them."""
    t = _as_tensor(x)
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


def vstack(tup: Sequence[TensorLike]) -> Tensor:
    return concatenate([_atleast(2, x) for x in tup], axis=0)


def hstack(tup: Sequence[TensorLike]) -> Tensor:
    parts = [_atleast(1, x) for x in tup]
    return concatenate(parts, axis=0 if parts and parts[0].ndim == 1 else 1)


def dstack(tup: Sequence[TensorLike]) -> Tensor:
    return concatenate([_atleast(3, x) for x in tup], axis=2)


def column_stack(tup: Sequence[TensorLike]) -> Tensor:
    columns = [x.reshape(x.size, 1) if x.ndim < 2 else x for x in map(_as_tensor, tup)]
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
    first, second = axes
    turns = k % 4
    if turns == 0:
        return _as_tensor(m)
    if turns == 2:
        return flip(flip(m, first), second)
    if turns == 1:
        return swapaxes(flip(m, second), first, second)
    return flip(swapaxes(m, first, second), second)


def rollaxis(a: TensorLike, axis: int, start: int = 0) -> Tensor:
    ndim = np.ndim(a)
    axis, start = axis % ndim, start + ndim if start < 0 else start
    return moveaxis(a, axis, start - 1 if axis < start else start)


def diag(v: TensorLike, k: int = 0) -> Tensor:
    """Return the diagonal of a matrix, or the matrix with a vector as its diagonal."""
    t = _as_tensor(v)
    if t.ndim == 2:
        return diagonal(t, k)
    if t.ndim != 1:
        raise ShapeError(f"diag: expected one or two axes, got shape {t.shape}")
    size = t.size + abs(k)
    # Row i of the vector's column meets column i + k.
    place = np.zeros((t.size, size, size), t.dtype)
    rows = np.arange(t.size) + max(-k, 0)
    place[np.arange(t.size), rows, rows + k] = 1
    return einsum("i,ijk->jk", t, place)


# Sums and products


def diff(a: TensorLike, n: int = 1, axis: int = -1) -> Tensor:
    """Return the differences of neighbours along an axis, n times over."""
    if n < 0:
        raise ValueError(f"diff: expected n of at least 0, got {n}")
    t = _as_tensor(a)
    before = (slice(None),) * (axis % t.ndim)
    for _ in range(n):
        t = subtract(t[(*before, slice(1, None))], t[(*before, slice(None, -1))])
    return t


def tensordot(a: TensorLike, b: TensorLike, axes: Any = 2) -> Tensor:
    """Return the sum of products over pairs of axes: one product of matrices."""
    x, y = _as_tensor(a), _as_tensor(b)
    if isinstance(axes, (int, np.integer)):
        of_x: list[int] = list(range(x.ndim - int(axes), x.ndim))
        of_y: list[int] = list(range(int(axes)))
    else:
        of_x, of_y = (list(np.atleast_1d(part)) for part in axes)
    of_x, of_y = [i % x.ndim for i in of_x], [i % y.ndim for i in of_y]
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
        return _as_tensor(a) * b
    return tensordot(a, b, axes=(-1, -1))


def kron(a: TensorLike, b: TensorLike) -> Tensor:
    """Return the Kronecker product: a copy of b for each element of a, times that element."""
    x, y = _as_tensor(a), _as_tensor(b)
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
    x, y = moveaxis(a, axisa, -1), moveaxis(b, axisb, -1)
    if x.shape[-1] != 3 or y.shape[-1] != 3:
        raise ShapeError(
            f"cross: expected vectors of three components, got shapes {np.shape(a)}, {np.shape(b)}"
        )
    x0, x1, x2 = (x[..., i] for i in range(3))
    y0, y1, y2 = (y[..., i] for i in range(3))
    return stack([x1 * y2 - x2 * y1, x2 * y0 - x0 * y2, x0 * y1 - x1 * y0], axis=axisc)


# Functions of one or two numbers


def hypot(x: TensorLike, y: TensorLike) -> Tensor:
    """Return sqrt(x**2 + y**2), without overflow; its slope at (0, 0) is taken as 0."""
    shape = np.broadcast_shapes(np.shape(x), np.shape(y))
    return norm(stack([broadcast_to(x, shape), broadcast_to(y, shape)]), axis=0)


def exp2(x: TensorLike) -> Tensor:
    return exp(_as_tensor(x) * math.log(2))


def arcsinh(x: TensorLike) -> Tensor:
    t = _as_tensor(x)
    negative = t.data < 0
    size = where(negative, -t, t)  # not abs, whose slope at 0 is 0
    y = log1p(size + size * size / (1 + sqrt(1 + size * size)))
    return where(negative, -y, y)


def arccosh(x: TensorLike) -> Tensor:
    t = _as_tensor(x)
    return log(t + sqrt(t - 1) * sqrt(t + 1))


def arctanh(x: TensorLike) -> Tensor:
    t = _as_tensor(x)
    return (log1p(t) - log1p(-t)) * 0.5


def sinc(x: TensorLike) -> Tensor:
    """Return sin(pi x) / (pi x), and its first terms 1 - (pi x)**2 / 6 at 0."""
    t = _as_tensor(x) * math.pi
    at_zero = t.data == 0
    safe = where(at_zero, 1.0, t)
    return where(at_zero, 1 - t * t / 6, sin(safe) / safe)


def logaddexp2(x: TensorLike, y: TensorLike) -> Tensor:
    a, b = _as_tensor(x) * math.log(2), _as_tensor(y) * math.log(2)
    return logaddexp(a, b) / math.log(2)


def deg2rad(x: TensorLike) -> Tensor:
    return _as_tensor(x) * (math.pi / 180)


def rad2deg(x: TensorLike) -> Tensor:
    return _as_tensor(x) * (180 / math.pi)


def fabs(x: TensorLike) -> Tensor:
    return abs(_as_tensor(x))


def fmax(x: TensorLike, y: TensorLike) -> Tensor:
    """Return the larger of x and y, or the one of them that is a number."""
    best = maximum(x, y)
    return where(np.isnan(unwrap(x)), y, where(np.isnan(unwrap(y)), x, best))


def fmin(x: TensorLike, y: TensorLike) -> Tensor:
    """Return the smaller of x and y, or the one of them that is a number."""
    best = minimum(x, y)
    return where(np.isnan(unwrap(x)), y, where(np.isnan(unwrap(y)), x, best))


def remainder(x: TensorLike, y: TensorLike) -> Tensor:
    """Return x % y = x - y * floor(x / y): the sign is that of y."""
    return _as_tensor(x) - _as_tensor(y) * floor(_as_tensor(x) / y).detach()


def nan_to_num(
    x: TensorLike,
    copy: bool = True,
    nan: float = 0.0,
    posinf: float | None = None,
    neginf: float | None = None,
) -> Tensor:
    """Return x with numbers in place of nan and of the infinities; these have no slope."""
    t = _as_tensor(x)
    numbers = np.nan_to_num(t.data, nan=nan, posinf=posinf, neginf=neginf)
    return where(np.isfinite(t.data), t, numbers)


def real(val: TensorLike) -> Tensor:
    return _as_tensor(val)


def imag(val: TensorLike) -> Tensor:
    return from_numpy(np.zeros_like(unwrap(val)))


def einsum_of_lists(*operands: Any) -> Tensor:
    """Return np.einsum in either form: subscripts, or a list of numbers behind each operand."""
    if isinstance(operands[0], str):
        return einsum(*operands)
    letters = [chr(ord("a") + i) for i in range(26)] + [chr(ord("A") + i) for i in range(26)]

    def spell(numbers: Sequence[Any]) -> str:
        return "".join("..." if i is Ellipsis else letters[i] for i in numbers)

    pairs = len(operands) // 2
    terms = ",".join(spell(operands[2 * i + 1]) for i in range(pairs))
    arrow = f"->{spell(operands[-1])}" if len(operands) % 2 else ""
    return einsum(terms + arrow, *operands[: 2 * pairs : 2])


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
    np.kron: kron, np.cross: cross, np.hypot: hypot, np.exp2: exp2, np.arcsinh: arcsinh,
    np.arccosh: arccosh, np.arctanh: arctanh, np.sinc: sinc, np.logaddexp2: logaddexp2,
    np.deg2rad: deg2rad, np.radians: deg2rad, np.rad2deg: rad2deg, np.degrees: rad2deg,
    np.fabs: fabs, np.fmax: fmax, np.fmin: fmin, np.remainder: remainder,
    np.nan_to_num: nan_to_num, np.real: real, np.imag: imag, np.conjugate: real,
    np.einsum: einsum_of_lists, np.clip: clip_by_numpys_names,
}  # fmt: skip
