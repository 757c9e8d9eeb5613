"""Products of matrices: matmul, einsum, and the fused `linear` of a dense layer."""

import math
import string

import numpy as np

from ..arrays import Array, add_into, unbroadcast
from ..errors import ShapeError
from ..tensor import Forward, Grads, Needs, Tensor, TensorLike, apply

__all__ = ["einsum", "linear", "matmul"]


def _times_transposed(a: Array, b: Array) -> Array:
    """Return a @ b.T, of stacks of matrices too; where `a` has few rows and `b` many long ones as the transpose of b @ a.T.

    BLAS repacks its second operand, by columns twice as slowly, and few rows do not repay that: let
    the small one be it. Short rows do not repay the copy of the result: with 4 columns it takes 2
    to 10 times as long as the product.
    """
    if a.ndim == b.ndim == 2 and 1 < len(a) <= 64 and 4 * len(a) <= len(b) and a.shape[1] >= 256:
        return np.ascontiguousarray((b @ a.T).T)
    product: Array = a @ b.swapaxes(-1, -2)
    return product


def _matmul(x: Array, y: Array) -> Forward:
    if x.ndim == 0 or y.ndim == 0 or x.shape[-1] != y.shape[-2 if y.ndim > 1 else 0]:
        raise ShapeError(f"matmul: the inner sizes of shapes {x.shape} and {y.shape} differ")

    def vjp(g: Array, needs: Needs) -> Grads:
        gx = gy = None
        a = (
            x[np.newaxis, :] if x.ndim == 1 else x
        )  # a vector is a row on the left, a column on the right
        b = y[:, np.newaxis] if y.ndim == 1 else y
        g = g.reshape(*g.shape[: g.ndim - (x.ndim > 1) - (y.ndim > 1)], a.shape[-2], b.shape[-1])
        if needs[0]:
            gx = unbroadcast(_times_transposed(g, b), a.shape).reshape(x.shape)
        if needs[1]:
            gy = unbroadcast(a.swapaxes(-1, -2) @ g, b.shape).reshape(y.shape)
        return gx, gy

    return x @ y, vjp


def matmul(x: TensorLike, y: TensorLike) -> Tensor:
    """Matrix product x @ y, with NumPy's rules for vectors and for leading axes.

    Raises
    ------
    ShapeError
        If the inner sizes differ, an operand is 0-d, or the leading axes do not broadcast.
    """
    return apply(_matmul, x, y)


def _outer(a: Array, b: Array) -> Array:
    """Return the outer product of two vectors, as a product of matrices with an inner size of 2, half of it zeros.

    BLAS does that twice as fast as NumPy's broadcast multiply writes it, and that six times as fast
    as BLAS with size 1.
    """
    left, right = np.zeros((len(a), 2), a.dtype), np.zeros((2, len(b)), b.dtype)
    left[:, 0], right[0] = a, b
    return left @ right


def _linear(x: Array, weight: Array, bias: Array | None = None) -> Forward:
    if weight.ndim != 2 or x.ndim == 0 or x.shape[-1] != weight.shape[1]:
        raise ShapeError(
            f"linear: expected x of shape (..., in) and weight (out, in), got {x.shape} and {weight.shape}"
        )
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ShapeError(f"linear: expected a bias of shape {weight.shape[:1]}, got {bias.shape}")
    y = _times_transposed(x, weight)
    if bias is not None:
        y = add_into(y, bias)

    def vjp(g: Array, needs: Needs) -> Grads:
        rows, x_rows = g, x
        if x.ndim != 2:
            places = math.prod(
                x.shape[:-1]
            )  # not -1, which NumPy cannot tell where there are no elements
            rows, x_rows = g.reshape(places, weight.shape[0]), x.reshape(places, weight.shape[1])
        gw = None
        if needs[1]:
            gw = _outer(rows[0], x_rows[0]) if len(rows) == 1 else rows.T @ x_rows
        gx = g @ weight if needs[0] else None
        return (gx, gw) if bias is None else (gx, gw, rows.sum(axis=0) if needs[2] else None)

    return y, vjp


def linear(x: TensorLike, weight: TensorLike, bias: TensorLike | None = None) -> Tensor:
    """Affine map x @ weight.T + bias.

    Parameters
    ----------
    x : Tensor of shape (..., in)
    weight : Tensor of shape (out, in)
    bias : Tensor of shape (out,), optional

    Raises
    ------
    ShapeError
        If the shapes are not these.
    """
    return apply(_linear, x, weight) if bias is None else apply(_linear, x, weight, bias)


def _explicit(subscripts: str, operands: tuple[Array, ...]) -> tuple[list[str], str]:
    """Return the subscripts of each operand and of the result, ellipses and the arrow written out."""
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


def _einsum(*operands: Array, subscripts: str) -> Forward:
    terms, output = _explicit(subscripts, operands)
    y = np.einsum(f"{','.join(terms)}->{output}", *operands, optimize=len(operands) > 2)

    def vjp(g: Array, needs: Needs) -> Grads:
        gradients: list[Array | None] = []
        for i, (term, a) in enumerate(zip(terms, operands, strict=True)):
            if not needs[i]:
                gradients.append(None)
                continue
            side = dict(zip(term, a.shape, strict=True))
            letters, shape = (
                "".join(side),
                tuple(side.values()),
            )  # once each: a repeated letter takes a diagonal
            others = [output, *terms[:i], *terms[i + 1 :]]
            known = "".join(c for c in letters if any(c in t for t in others))
            part = np.einsum(f"{','.join(others)}->{known}", g, *operands[:i], *operands[i + 1 :])
            # a letter that only this operand has was summed over: its gradient is the same all
            # along it
            part = np.expand_dims(part, tuple(k for k, c in enumerate(letters) if c not in known))
            part = unbroadcast(np.broadcast_to(part, np.broadcast_shapes(part.shape, shape)), shape)
            out = np.zeros(a.shape, g.dtype)
            diagonal = (
                np.einsum(f"{term}->{letters}", out) if term else out
            )  # a writeable view of it
            diagonal[...] = part
            gradients.append(out)
        return gradients

    return np.asarray(y), vjp


def einsum(subscripts: str, *operands: TensorLike) -> Tensor:
    """Sum of products over named axes, with NumPy's notation: "ij,jk->ik", "ii", "b...->...".

    Raises
    ------
    ShapeError
        If the subscripts do not fit the operands.
    """
    if not isinstance(subscripts, str):
        raise TypeError(
            f'einsum: expected the subscripts as a string such as "ij,jk->ik", got {type(subscripts).__name__}'
        )
    return apply(_einsum, *operands, subscripts=subscripts)
