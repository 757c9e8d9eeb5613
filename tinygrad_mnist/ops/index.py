"""Operations that take elements by their places."""

from typing import Any

import numpy as np

from ..arrays import Array, is_array
from ..graph import Forward
from ..tensor import Tensor, TensorLike, apply, run, unwrap

__all__ = ["getitem"]


def _getitem(x: Array, *, index: Any) -> Forward:
    shape = x.shape
    return x[index], lambda g, needs: (run(put, g, index=index, shape=shape),)


def put(g: Array, *, index: Any, shape: tuple[int, ...]) -> Forward:
    """Add the elements of g to zeros of a shape, at an index: the transpose of `_getitem`."""
    if is_array(g):
        out = _put_array(g, index, shape)
    else:
        out = run(put, g, index=index, shape=shape)
    return out, lambda h, needs: (h[index],)


def _put_array(g: Array, index: Any, shape: tuple[int, ...]) -> Array:
    out = np.zeros_like(g, shape=shape)
    parts = map(np.asarray, index if isinstance(index, tuple) else (index,))
    if any(part.dtype.kind in "iu" and part.ndim for part in parts):
        np.add.at(out, index, g)  # several integers may name an element twice
    else:
        out[index] = g
    return out


def getitem(x: TensorLike, index: Any) -> Tensor:
    """Take the elements x[index], with all that NumPy takes as an index.

    That is slices, integers, None, ..., arrays of integers, and masks.
    """
    return apply(
        _getitem, x, index=tuple(map(unwrap, index)) if isinstance(index, tuple) else unwrap(index)
    )
