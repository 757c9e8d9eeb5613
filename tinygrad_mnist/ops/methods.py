"""The operations as a Tensor has them: its methods and operators, which the package binds to it at the end of this import."""

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from ..tensor import Tensor, TensorLike, from_numpy, unwrap
from . import arithmetic as a
from . import conv, loss, norm
from . import elementwise as e
from . import linear as m
from . import reduce as r
from . import shape as s

__all__ = ["Methods"]


def _reflected(
    op: Callable[[TensorLike, TensorLike], Tensor],
) -> Callable[[Any, TensorLike], Tensor]:
    return lambda self, other: op(other, self)


def _compare(ufunc: np.ufunc) -> Callable[[Any, TensorLike], Tensor]:
    def compare(x: Any, y: TensorLike) -> Tensor:
        """Compare elementwise; the result is a constant of bools."""
        return from_numpy(np.asarray(ufunc(unwrap(x), unwrap(y))))

    return compare


class Methods:
    """What every Tensor can do; see the function of the same name in the package for each."""

    add, subtract, multiply, divide = a.add, a.subtract, a.multiply, a.divide
    negative, power, square, clip = a.negative, a.power, a.square, a.clip
    maximum, minimum = a.maximum, a.minimum
    exp, expm1, log, log1p = e.exp, e.expm1, e.log, e.log1p
    sqrt, abs, sin, cos, tanh = e.sqrt, e.abs, e.sin, e.cos, e.tanh
    relu, leaky_relu, elu, gelu = e.relu, e.leaky_relu, e.elu, e.gelu
    silu, softplus, sigmoid = e.silu, e.softplus, e.sigmoid
    sum, mean, var, std = r.sum, r.mean, r.var, r.std
    max, min, prod, cumsum, logsumexp = r.max, r.min, r.prod, r.cumsum, r.logsumexp
    reshape, transpose, swapaxes, squeeze = s.reshape, s.transpose, s.swapaxes, s.squeeze
    expand_dims, broadcast_to, pad, astype = s.expand_dims, s.broadcast_to, s.pad, s.astype
    softmax, log_softmax = norm.softmax, norm.log_softmax
    linear, matmul = m.linear, m.matmul
    conv2d, max_pool2d, avg_pool2d = conv.conv2d, conv.max_pool2d, conv.avg_pool2d
    softmax_cross_entropy, mse = loss.softmax_cross_entropy, loss.mse

    __add__, __radd__ = a.add, _reflected(a.add)
    __sub__, __rsub__ = a.subtract, _reflected(a.subtract)
    __mul__, __rmul__ = a.multiply, _reflected(a.multiply)
    __truediv__, __rtruediv__ = a.divide, _reflected(a.divide)
    __pow__, __rpow__ = a.power, _reflected(a.power)
    __matmul__, __rmatmul__ = m.matmul, _reflected(m.matmul)
    __neg__, __abs__, __getitem__ = a.negative, e.abs, s.getitem
    __lt__, __le__ = _compare(np.less), _compare(np.less_equal)
    __gt__, __ge__ = _compare(np.greater), _compare(np.greater_equal)
    __eq__: ClassVar[Callable[[Any, TensorLike], Tensor]] = _compare(np.equal)  # type: ignore[assignment]
    __ne__: ClassVar[Callable[[Any, TensorLike], Tensor]] = _compare(np.not_equal)  # type: ignore[assignment]
    __hash__ = object.__hash__  # == is elementwise, as in NumPy and PyTorch
