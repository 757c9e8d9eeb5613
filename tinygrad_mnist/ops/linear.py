"""Products of vectors and matrices: matmul, dot, outer, einsum, `linear` of a dense layer."""

import math
import string
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..arrays import Array, add_into, add_up, is_array, spread, unbroadcast
from ..errors import ShapeError
from ..graph import Forward, Grads, Needs
from ..tensor import Tensor, TensorLike, apply
from .arithmetic import multiply
from .dtype import apply_wide
from .shape import moveaxis, reshape

__all__ = ["dot", "einsum", "linear", "matmul", "outer"]


def _times_transposed(a: Array, b: Array) -> Array:
    """Return a @ b.T, of stacks of matrices too.

    BLAS copies its second operand first. When `a` has few rows, that copy costs more than the
    product, so the small matrix is made the second one. That does not pay where rows are short,
    because the copy of the result takes 2 to 10 times as long as the product.
    """
    few_rows = a.ndim == b.ndim == 2 and 1 < len(a) <= 64 and 4 * len(a) <= len(b)
    if few_rows and a.shape[1] >= 256 and is_array(a) and is_array(b):
        return (b @ a.T).T.copy()
    return a @ b.swapaxes(-1, -2)


def _matmul(x: Array, y: Array) -> Forward:
    if x.ndim == 0 or y.ndim == 0 or x.shape[-1] != y.shape[-2 if y.ndim > 1 else 0]:
        raise ShapeError(f"matmul: the inner sizes of shapes {x.shape} and {y.shape} differ")

    def vjp(g: Array, needs: Needs) -> Grads:
        gx = gy = None
        # A vector is a row on the left, and a column on the right.
        a = x.reshape(1, x.size) if x.ndim == 1 else x
        b = y.reshape(y.size, 1) if y.ndim == 1 else y
        stack = g.shape[: g.ndim - (x.ndim > 1) - (y.ndim > 1)]
        g = g.reshape(*stack, a.shape[-2], b.shape[-1])
        if needs[0]:
            gx = unbroadcast(_times_transposed(g, b), a.shape).reshape(x.shape)
        if needs[1]:
            gy = unbroadcast(a.swapaxes(-1, -2) @ g, b.shape).reshape(y.shape)
        return gx, gy

    return x @ y, vjp


def matmul(x: TensorLike, y: TensorLike) -> Tensor:
    """Matrix product x @ y, with NumPy's rules for vectors and for leading axes.

    Shapes (..., n, k) and (..., k, m) give (..., n, m); the leading axes broadcast.

    Raises
    ------
    ShapeError
        If the inner sizes differ, an operand is 0-d, or the leading axes do not broadcast.

    Examples
    --------
    >>> matmul(Tensor([[1.0, 2.0], [3.0, 4.0]]), Tensor([1.0, 1.0]))
    Tensor([3., 7.])
    """
    return apply(_matmul, x, y)


def dot(x: TensorLike, y: TensorLike) -> Tensor:
    """Product as in `numpy.dot`: sums over the last axis of x and the last but one of y.

    For vectors and matrices it is `matmul`, and beside a number it is `multiply`. With more axes it
    differs from `matmul`, because it pairs each matrix of x with each matrix of y: the result has
    all axes of both, except the two that are summed over.

    Raises
    ------
    ShapeError
        If the sizes of the two axes differ.

    Examples
    --------
    >>> dot(Tensor([1.0, 2.0]), Tensor([3.0, 4.0]))
    Tensor(11.)
    >>> dot(np.ones((2, 3, 4)), np.ones((5, 4, 6))).shape
    (2, 3, 5, 6)
    """
    x_shape, y_shape = np.shape(x), np.shape(y)
    if not x_shape or not y_shape:
        return multiply(x, y)
    if x_shape[-1] != y_shape[-2 if len(y_shape) > 1 else 0]:
        raise ShapeError(f"dot: the inner sizes of shapes {x_shape} and {y_shape} differ")
    if len(y_shape) <= 2:
        return matmul(x, y)
    columns = y_shape[:-2] + y_shape[-1:]
    matrix = reshape(moveaxis(y, -2, 0), (y_shape[-2], math.prod(columns)))
    return reshape(matmul(x, matrix), x_shape[:-1] + columns)


def outer(x: TensorLike, y: TensorLike) -> Tensor:
    """Product of each element of x with each of y: x[i] * y[j], of shape (x.size, y.size).

    Both are flattened first, as in NumPy.

    Examples
    --------
    >>> outer(Tensor([1.0, 2.0]), Tensor([3.0, 4.0, 5.0]))
    Tensor([[ 3.,  4.,  5.],
            [ 6.,  8., 10.]])
    """
    return multiply(reshape(x, (np.size(x), 1)), reshape(y, (1, np.size(y))))


def _outer_of_rows(a: Array, b: Array) -> Array:
    """Return the outer product of two vectors (1, m) and (1, n), as a product of matrices.

    The inner size is 2, and half of it zeros. From fastest to slowest: this product, a broadcast
    multiply (2x slower), BLAS with an inner size of 1 (12x slower).
    """
    if not (is_array(a) and is_array(b)):
        return a.T @ b
    # `like` keeps the kind of array, as zeros_like does, which takes 2 us longer.
    left = np.zeros((a.size, 2), a.dtype, like=a)
    right = np.zeros((2, b.size), b.dtype, like=b)
    left[:, 0], right[0] = a, b
    return left @ right


def _linear(x: Array, weight: Array, bias: Array | None = None) -> Forward:
    if weight.ndim != 2 or x.ndim == 0 or x.shape[-1] != weight.shape[1]:
        hint = ""
        if x.ndim > 2 and math.prod(x.shape[1:]) == weight.shape[-1]:
            hint = "; flatten each example first, by nn.Flatten() or x.reshape(len(x), -1)"
        raise ShapeError(
            f"linear: expected x of shape (..., in) and weight (out, in), got {x.shape} and "
            f"{weight.shape}{hint}"
        )
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ShapeError(f"linear: expected a bias of shape {weight.shape[:1]}, got {bias.shape}")
    if not is_array(x):
        y: Any = linear(x, weight, bias)
    elif bias is None:
        y = _times_transposed(x, weight)
    else:
        y = add_into(_times_transposed(x, weight), bias)

    def vjp(g: Array, needs: Needs) -> Grads:
        rows, x_rows = g, x
        if x.ndim != 2:
            count = math.prod(x.shape[:-1])  # NumPy cannot infer a size of -1 without elements
            rows, x_rows = g.reshape(count, weight.shape[0]), x.reshape(count, weight.shape[1])
        gx = g @ weight if needs[0] else None
        gw = gb = None
        if needs[1]:
            gw = _outer_of_rows(rows, x_rows) if len(rows) == 1 else rows.T @ x_rows
        if bias is None:
            return gx, gw
        if needs[2]:
            gb = rows[0] if len(rows) == 1 else add_up(rows, 0, keepdims=False)
        return gx, gw, gb

    return y, vjp


def linear(x: TensorLike, weight: TensorLike, bias: TensorLike | None = None) -> Tensor:
    """Affine map x @ weight.T + bias.

    Parameters
    ----------
    x : Tensor of shape (..., in)
    weight : Tensor of shape (out, in)
    bias : Tensor of shape (out,), optional

    Returns
    -------
    Tensor of shape (..., out)

    Raises
    ------
    ShapeError
        If the shapes are not these.

    Examples
    --------
    >>> linear(Tensor([[1.0, 2.0]]), Tensor([[3.0, 4.0]]), Tensor([0.5]))
    Tensor([[11.5]])
    """
    return apply(_linear, x, weight) if bias is None else apply(_linear, x, weight, bias)


def _explicit(subscripts: str, operands: Sequence[Array]) -> tuple[list[str], str]:
    """Return the subscripts of each operand and of the result, with ellipses written out."""
    inputs, arrow, output = subscripts.replace(" ", "").partition("->")
    terms = inputs.split(",")
    if len(terms) != len(operands):
        raise ShapeError(f"einsum: {subscripts!r} names {len(terms)} operands, got {len(operands)}")
    spare = [c for c in string.ascii_letters if c not in subscripts]
    hidden = [
        max(a.ndim - len(t.replace("...", "")), 0) if "..." in t else 0
        for t, a in zip(terms, operands, strict=True)
    ]
    rest = "".join(spare[: max(hidden)])
    terms = [t.replace("...", rest[len(rest) - n :]) for t, n in zip(terms, hidden, strict=True)]
    for term, a in zip(terms, operands, strict=True):
        if len(term) != a.ndim:
            raise ShapeError(
                f"einsum: the term {term!r} of {subscripts!r} does not fit shape {a.shape}"
            )
    if not arrow:
        letters = "".join(terms)
        output = rest + "".join(
            sorted(c for c in set(letters) - set(rest) if letters.count(c) == 1)
        )
    return terms, output.replace("...", rest)


def _sizes(subscripts: str, terms: list[str], operands: Sequence[Array]) -> dict[str, int]:
    """Return the size that belongs to each letter; an error where two do not fit."""
    sizes: dict[str, int] = {}
    for term, a in zip(terms, operands, strict=True):
        for c, size in zip(term, a.shape, strict=True):
            known = sizes.setdefault(c, size)
            if known == 1:
                sizes[c] = size
            elif size not in (1, known):
                shapes = ", ".join(str(b.shape) for b in operands)
                raise ShapeError(
                    f"einsum: the sizes of {c!r} in {subscripts!r} do not fit: {known} and {size}, "
                    f"with inputs of shapes {shapes}"
                )
    return sizes


def _einsum(*operands: Array, subscripts: str) -> Forward:
    terms, output = _explicit(subscripts, operands)
    sizes = _sizes(subscripts, terms, operands)
    y = _contract(terms, output, operands)

    def vjp(g: Array, needs: Needs) -> Grads:
        # The gradient of one operand is the product of g with the other operands, summed over the
        # axes that this operand does not have.
        return tuple(
            _gradient_of(i, g, terms, output, operands, sizes) if need else None
            for i, need in enumerate(needs)
        )

    return y, vjp


def _contract(terms: list[str], output: str, operands: Sequence[Array]) -> Array:
    subscripts = f"{','.join(terms)}->{output}"
    if all(map(is_array, operands)):
        if _is_a_product_of_matrices(terms, output, operands):
            return _multiply_matrices(terms, output, operands)
        return np.einsum(subscripts, *operands, optimize=len(operands) > 2)
    return np.einsum(subscripts, *operands)


# So many products of numbers take np.einsum less time than it takes Python to arrange the matrices.
_FEW_PRODUCTS = 1 << 15


def _is_a_product_of_matrices(terms: list[str], output: str, operands: Sequence[Array]) -> bool:
    """Return whether two operands have letters of their own, and others that are summed over.

    Letters that both have and that stay number the matrices. None may be repeated, broadcast, or
    in one operand only without a place in the result.
    """
    if len(operands) != 2 or operands[0].dtype.kind not in "fc":
        return False
    x, y = map(set, terms)
    z = set(output)
    if [len(x), len(y), len(z)] != [*map(len, terms), len(output)]:
        return False
    if not (x - y and y - x and (x & y) - z and x ^ y <= z <= x | y):
        return False
    sizes = dict(zip(terms[0], operands[0].shape, strict=True))
    for c, n in zip(terms[1], operands[1].shape, strict=True):
        if sizes.setdefault(c, n) != n:
            return False
    products: int = math.prod(sizes.values())
    return products > _FEW_PRODUCTS


def _multiply_matrices(terms: list[str], output: str, operands: Sequence[Array]) -> Array:
    """Compute the einsum of two operands with a stacked matmul: BLAS is ten times as fast."""
    (x, y), (a, b) = terms, operands
    if output[-1] in x and output[-1] not in y:  # then the result needs no transposition
        x, y, a, b = y, x, b, a
    sizes = dict(zip(x + y, a.shape + b.shape, strict=True))
    stack = [c for c in output if c in x and c in y]
    rows = [c for c in output if c not in y]
    columns = [c for c in output if c not in x]
    inner = [c for c in x if c in y and c not in output]

    def count(letters: list[str]) -> int:
        return math.prod(sizes[c] for c in letters)

    def as_matrices(a: Array, term: str, left: list[str], right: list[str]) -> Array:
        moved = a.transpose([term.index(c) for c in stack + left + right])
        return moved.reshape(*(sizes[c] for c in stack), count(left), count(right))

    product = as_matrices(a, x, rows, inner) @ as_matrices(b, y, inner, columns)
    order = stack + rows + columns
    return product.reshape([sizes[c] for c in order]).transpose([order.index(c) for c in output])


def _gradient_of(
    i: int,
    g: Array,
    terms: list[str],
    output: str,
    operands: Sequence[Array],
    sizes: dict[str, int],
) -> Array:
    shape = operands[i].shape
    others = [output, *terms[:i], *terms[i + 1 :]]
    factors = [g, *operands[:i], *operands[i + 1 :]]
    # A repeated letter takes a diagonal: elements beside it have no slope. An identity matrix
    # for each repetition, with a new letter, says so.
    spare = (c for c in string.ascii_letters if c not in "".join([*terms, output]))
    term = ""
    for c in terms[i]:
        new = next(spare) if c in term else c
        if new != c:
            others.append(c + new)
            factors.append(np.eye(sizes[c], dtype=g.dtype))
        term += new
    # A letter that only this operand has was summed over: its gradient is the same all along it.
    known = "".join(c for c in term if any(c in other for other in others))
    part = _contract(others, known, factors)
    part = np.expand_dims(part, tuple(k for k, c in enumerate(term) if c not in known))
    # Where the operand was broadcast, its gradient is a sum.
    summed = tuple(k for k, n in enumerate(shape) if n == 1 and part.shape[k] != 1)
    if summed:
        part = add_up(part, summed)
    return part if part.shape == shape else spread(part, shape)


def einsum(subscripts: str, *operands: TensorLike) -> Tensor:
    """Sum of products over named axes, with NumPy's notation: "ij,jk->ik", "ii", "b...->...".

    Raises
    ------
    ShapeError
        If the subscripts do not fit the operands.

    Examples
    --------
    >>> x = Tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> einsum("ij,ij->i", x, x)  # the squared length of each row
    Tensor([ 5., 25.])
    """
    if not isinstance(subscripts, str):
        raise TypeError(
            'einsum: expected the subscripts as a string such as "ij,jk->ik", got '
            f"{type(subscripts).__name__}"
        )
    return apply_wide(_einsum, *operands, subscripts=subscripts)
