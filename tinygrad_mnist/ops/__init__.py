"""The operations; each is a kernel with its vjp and a public function beside it. Binds them to Tensor and to NumPy."""

from typing import Any

import numpy as np

from ..interop import NUMPY_FUNCTIONS
from ..tensor import Tensor, TensorLike, from_numpy, unwrap
from . import arithmetic, conv, elementwise, linear, loss, norm, reduce, shape

FAMILIES = (arithmetic, conv, elementwise, linear, loss, norm, reduce, shape)

OPS = {name: getattr(family, name) for family in FAMILIES for name in family.__all__}


def _reflected(op: Any) -> Any:
    return lambda self, other: op(other, self)


def _compare(ufunc: np.ufunc) -> Any:
    def compare(x: Any, y: Any) -> Tensor:
        """Compare elementwise; the result is a constant of bools."""
        return from_numpy(np.asarray(ufunc(unwrap(x), unwrap(y))))

    return compare


def _constant(function: Any) -> Any:
    return lambda *args, **kwargs: function(*map(unwrap, args), **{name: unwrap(value) for name, value in kwargs.items()})


def _dot(x: TensorLike, y: TensorLike) -> Tensor:
    if np.ndim(x) == 0 or np.ndim(y) == 0:
        return arithmetic.multiply(x, y)
    if np.ndim(y) > 2:
        raise TypeError("use np.matmul or np.einsum for operands of more than two axes")
    return linear.matmul(x, y)


def _clip(x: TensorLike, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None) -> Tensor:
    return arithmetic.clip(x, a_min if min is None else min, a_max if max is None else max)


_NOT_METHODS = {"concatenate", "stack", "where", "einsum", "getitem", "dropout", "batch_norm", "layer_norm"}
for _name, _op in OPS.items():
    if _name not in _NOT_METHODS:
        setattr(Tensor, _name, _op)
    if hasattr(np, _name):
        NUMPY_FUNCTIONS[getattr(np, _name)] = _op
NUMPY_FUNCTIONS |= {np.dot: _dot, np.clip: _clip, np.amax: reduce.max, np.amin: reduce.min}  # NumPy's other names

for _operator, _op in {
    "add": arithmetic.add, "sub": arithmetic.subtract, "mul": arithmetic.multiply,
    "truediv": arithmetic.divide, "pow": arithmetic.power, "matmul": linear.matmul,
}.items():  # fmt: skip
    setattr(Tensor, f"__{_operator}__", _op)
    setattr(Tensor, f"__r{_operator}__", _reflected(_op))
for _operator, _op in {"neg": arithmetic.negative, "abs": elementwise.abs, "getitem": shape.getitem}.items():
    setattr(Tensor, f"__{_operator}__", _op)
for _operator, _ufunc in {
    "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal,
}.items():  # fmt: skip
    NUMPY_FUNCTIONS[_ufunc] = _compare(_ufunc)
    setattr(Tensor, f"__{_operator}__", NUMPY_FUNCTIONS[_ufunc])

# What NumPy computes of the values alone, without a gradient to speak of.
for _function in (np.shape, np.ndim, np.size, np.argmax, np.argmin, np.isfinite, np.isnan, np.isinf, np.sign,
                  np.allclose, np.array_equal, np.isclose, np.zeros_like, np.ones_like, np.array_repr):  # fmt: skip
    NUMPY_FUNCTIONS[_function] = _constant(_function)
