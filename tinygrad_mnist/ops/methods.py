"""The operations as a Tensor has them: its methods and operators."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Never, NoReturn, TypeAlias

import numpy as np

from ..arrays import constants, refuse_mask
from ..errors import GraphError, ShapeError
from ..graph import mark_changed, mode
from ..tensor import Tensor, TensorLike, from_numpy, unwrap
from . import activation as f
from . import arithmetic as a
from . import conv, cross_entropy, dtype, loss
from . import elementwise as e
from . import index as i
from . import linear as m
from . import norm as n
from . import reduce as r
from . import shape as s
from . import trigonometry as t
from .foreign import METHODS, missing
from .numbers import positive, remainder

__all__ = ["Methods"]


_Comparison: TypeAlias = Callable[[Any, TensorLike], Tensor]


def _reflect(
    op: Callable[[TensorLike, TensorLike], Tensor],
) -> Callable[[Any, TensorLike], Tensor]:
    return lambda self, other: op(other, self)


def _compare(ufunc: np.ufunc) -> Callable[[Any, TensorLike], Tensor]:
    def compare(x: Any, y: TensorLike) -> Tensor:
        """Compare elementwise; the result is a constant of bools."""
        return from_numpy(np.asanyarray(ufunc(refuse_mask(unwrap(x)), refuse_mask(unwrap(y)))))

    return compare


def _logical(ufunc: np.ufunc) -> Callable[[Any, TensorLike], Tensor]:
    def combine(x: Any, y: TensorLike) -> Tensor:
        """Combine bools (or the bits of integers) elementwise; the result is a constant."""
        return from_numpy(np.asanyarray(ufunc(refuse_mask(unwrap(x)), refuse_mask(unwrap(y)))))

    return combine


def _invert(x: Any) -> Tensor:
    """Return the opposite of bools (or of the bits of integers); the result is a constant."""
    return from_numpy(np.asanyarray(np.invert(unwrap(x))))


def _floor_divide(x: Any, y: TensorLike) -> Tensor:
    """Return the whole part of x / y; the result is a constant, because its slope is 0."""
    return from_numpy(np.asanyarray(np.floor_divide(*constants([unwrap(x), unwrap(y)]))))


def _assign(op: Callable[[TensorLike, TensorLike], Tensor], sign: str) -> Any:
    def assign(x: Any, y: TensorLike) -> Tensor:
        """Make a new Tensor; but inside no_grad(), change a leaf that requires grad in place."""
        if not (x.requires_grad and x.is_leaf):
            return op(x, y)
        if mode().recording:
            raise GraphError(
                f"p {sign}= ... would change a leaf that requires grad while operations on it are "
                f"recorded; put it inside `with no_grad():`, or write q = p {sign} ..."
            )
        result = op(x, y).data
        if result.shape != x.shape:
            raise ShapeError(
                f"p {sign}= ...: a leaf of shape {x.shape} cannot hold a result of shape "
                f"{result.shape}"
            )
        np.copyto(x.data, result, casting="same_kind")
        mark_changed(x.data)
        return x

    return assign


def _ravel(x: Any) -> Tensor:
    """Return all elements along one axis, in C order."""
    return s.reshape(x, (x.size,))


def _flatten(x: Any, *args: Never, **foreign: Never) -> Tensor:
    """Return all elements along one axis, in C order.

    To keep the first axis, as a layer does that comes before a dense one, use nn.Flatten, or
    reshape(len(x), -1).
    """
    if args or foreign:
        raise TypeError(
            "flatten takes no arguments, because it gives one axis; use t.reshape(len(t), -1) to "
            "keep the first axis"
        )
    return s.reshape(x, (x.size,))


class Methods:
    """What every Tensor can do; see the function of the same name in the package for each."""

    add, subtract, multiply, divide = a.add, a.subtract, a.multiply, a.divide
    negative, power, square, clip = a.negative, a.power, a.square, a.clip
    maximum, minimum = a.maximum, a.minimum
    exp, expm1, log, log1p = e.exp, e.expm1, e.log, e.log1p
    log2, log10, sqrt, reciprocal = e.log2, e.log10, e.sqrt, e.reciprocal
    abs, sign, floor, ceil, round = e.abs_, e.sign, e.floor, e.ceil, e.round_
    sin, cos, tan, sinh, cosh, tanh = t.sin, t.cos, t.tan, t.sinh, t.cosh, t.tanh
    arcsin, arccos, arctan, arctan2 = t.arcsin, t.arccos, t.arctan, t.arctan2
    relu, leaky_relu, elu, gelu = f.relu, f.leaky_relu, f.elu, f.gelu
    silu, softplus, sigmoid = f.silu, f.softplus, f.sigmoid
    log_sigmoid, logaddexp, erf = f.log_sigmoid, f.logaddexp, f.erf
    sum, mean, var, std = r.sum_, r.mean, r.var, r.std
    max, min, prod, logsumexp, norm = r.max_, r.min_, r.prod, r.logsumexp, r.norm
    cumsum, cumprod = r.cumsum, r.cumprod
    reshape, transpose, swapaxes, moveaxis = s.reshape, s.transpose, s.swapaxes, s.moveaxis
    squeeze, expand_dims, broadcast_to = s.squeeze, s.expand_dims, s.broadcast_to
    pad, flip, roll, tile, copy = s.pad, s.flip, s.roll, s.tile, s.copy
    ravel, flatten = _ravel, _flatten
    take, take_along_axis, repeat, sort = i.take, i.take_along_axis, i.repeat, i.sort
    diagonal, trace, tril, triu = i.diagonal, i.trace, i.tril, i.triu
    astype = dtype.astype
    softmax, log_softmax = n.softmax, n.log_softmax
    linear, matmul, dot, outer = m.linear, m.matmul, m.dot, m.outer
    conv1d, conv2d = conv.conv1d, conv.conv2d
    max_pool2d, avg_pool2d = conv.max_pool2d, conv.avg_pool2d
    softmax_cross_entropy = cross_entropy.softmax_cross_entropy
    sigmoid_cross_entropy = cross_entropy.sigmoid_cross_entropy
    mse, l1, huber = loss.mse, loss.l1, loss.huber

    __add__, __radd__ = a.add, _reflect(a.add)
    __sub__, __rsub__ = a.subtract, _reflect(a.subtract)
    __mul__, __rmul__ = a.multiply, _reflect(a.multiply)
    __truediv__, __rtruediv__ = a.divide, _reflect(a.divide)
    __pow__, __rpow__ = a.power, _reflect(a.power)
    __mod__, __rmod__ = remainder, _reflect(remainder)
    __floordiv__, __rfloordiv__ = _floor_divide, _reflect(_floor_divide)
    __matmul__, __rmatmul__ = m.matmul, _reflect(m.matmul)
    __neg__, __pos__, __abs__, __round__ = a.negative, positive, e.abs_, e.round_
    __getitem__ = i.getitem
    __iadd__, __isub__ = _assign(a.add, "+"), _assign(a.subtract, "-")
    __imul__, __itruediv__ = _assign(a.multiply, "*"), _assign(a.divide, "/")
    __ipow__, __imatmul__ = _assign(a.power, "**"), _assign(m.matmul, "@")
    __and__, __or__, __invert__ = _logical(np.bitwise_and), _logical(np.bitwise_or), _invert
    __rand__, __ror__ = _logical(np.bitwise_and), _logical(np.bitwise_or)
    __lt__, __le__ = _compare(np.less), _compare(np.less_equal)
    __gt__, __ge__ = _compare(np.greater), _compare(np.greater_equal)
    __eq__: ClassVar[_Comparison] = _compare(np.equal)  # type: ignore[assignment]
    __ne__: ClassVar[_Comparison] = _compare(np.not_equal)  # type: ignore[assignment]
    __hash__ = object.__hash__  # == is elementwise, as in NumPy and PyTorch

    if not TYPE_CHECKING:  # to a type checker, a class with a __getattr__ has every attribute

        def __getattr__(self, name: str) -> NoReturn:
            """Raise the error for a missing attribute; Python calls this where it found none."""
            raise AttributeError(missing("'Tensor' object", name, METHODS), name=name, obj=self)
