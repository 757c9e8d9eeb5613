"""The operations, each a kernel with its vjp; this file binds them to Tensor and to NumPy."""

from typing import Any

import numpy as np

from ..graph import OWN_OPERATIONS
from ..tensor import NUMPY_FUNCTIONS, Tensor, unwrap
from . import (
    activation,
    arithmetic,
    attention,
    conv,
    cross_entropy,
    dtype,
    elementwise,
    index,
    linalg,
    linear,
    loss,
    norm,
    recurrent,
    reduce,
    shape,
    trigonometry,
)
from .compositions import COMPOSITIONS
from .linalg import LINALG
from .methods import Methods
from .numbers import FUNCTIONS_OF_NUMBERS

FAMILIES = (
    activation,
    arithmetic,
    attention,
    conv,
    cross_entropy,
    dtype,
    elementwise,
    index,
    linear,
    loss,
    norm,
    reduce,
    shape,
    trigonometry,
)

OWN_OPERATIONS |= {family.__name__ for family in (*FAMILIES, linalg, recurrent)}

# By their public names: a trailing underscore keeps a function apart from the builtin of its name.
OPS = {name.strip("_"): vars(family)[name] for family in FAMILIES for name in family.__all__}


def _constant(function: Any) -> Any:
    return lambda *args, **kwargs: function(
        *map(unwrap, args), **{name: unwrap(value) for name, value in kwargs.items()}
    )


for _name, _method in vars(Methods).items():
    if callable(_method) and "annotate" not in _name:  # which Python 3.14 adds
        setattr(Tensor, _name, _method)

NUMPY_FUNCTIONS |= {getattr(np, name): op for name, op in OPS.items() if hasattr(np, name)}
NUMPY_FUNCTIONS |= COMPOSITIONS | FUNCTIONS_OF_NUMBERS | LINALG
# NumPy's other names, and the functions of it that take other arguments than ours.
NUMPY_FUNCTIONS |= {
    np.around: elementwise.round_,
    np.amax: reduce.max_,
    np.amin: reduce.min_,
    np.less: Methods.__lt__,
    np.less_equal: Methods.__le__,
    np.equal: Methods.__eq__,
    np.greater: Methods.__gt__,
    np.greater_equal: Methods.__ge__,
    np.not_equal: Methods.__ne__,
    np.bitwise_and: Methods.__and__,
    np.bitwise_or: Methods.__or__,
    np.invert: Methods.__invert__,
}

# What NumPy computes of the values alone, because it has no gradient.
for _function in (
    np.shape, np.ndim, np.size, np.argmax, np.argmin, np.argsort, np.nonzero, np.count_nonzero,
    np.searchsorted, np.floor_divide, np.isfinite, np.isnan, np.isinf, np.isposinf, np.isneginf,
    np.signbit, np.any, np.all, np.logical_and, np.logical_or, np.logical_not, np.logical_xor,
    np.allclose, np.array_equal, np.isclose, np.zeros_like, np.ones_like,
    np.array_repr, np.iscomplexobj, np.isrealobj, np.result_type, np.iscomplex, np.isreal,
    np.angle, np.argpartition, np.argwhere, np.flatnonzero, np.isin, np.digitize, np.empty_like,
    np.shares_memory, np.may_share_memory,
    np.array_equiv, np.array_str, np.array2string, np.trunc, np.fix, np.rint,
):  # fmt: skip
    NUMPY_FUNCTIONS[_function] = _constant(_function)
