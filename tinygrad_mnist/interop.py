"""What a Tensor has of an ndarray, and how NumPy and Python's own functions meet it: ufuncs, np.sum, numbers, sequences."""

from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from .arrays import Array

__all__ = ["NUMPY_FUNCTIONS", "Interop"]

# Filled by `ops`: which operation stands for a NumPy function (or ufunc) when it meets a Tensor.
NUMPY_FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {}


class Interop:
    """The attributes of an ndarray, and the protocols of NumPy and of Python, that a Tensor answers to."""

    __slots__ = ()

    _data: Array
    _node: Any

    @property
    def shape(self) -> tuple[int, ...]:
        """Its size along each axis."""
        return self._data.shape

    @property
    def ndim(self) -> int:
        """The number of its axes."""
        return self._data.ndim

    @property
    def size(self) -> int:
        """The number of its elements."""
        return self._data.size

    @property
    def dtype(self) -> np.dtype[Any]:
        """The NumPy dtype of its elements."""
        dtype: np.dtype[Any] = self._data.dtype
        return dtype

    def numpy(self) -> Array:
        """Return the values as an ndarray that shares their memory."""
        return self._data

    def item(self) -> Any:
        """Return the value of a tensor of one element as a Python number."""
        return self._data.item()

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> Array:
        if self._node is not None:
            raise TypeError(
                "a Tensor that requires grad does not turn into an array by itself; use .numpy()"
            )
        return (
            np.asarray(self._data, dtype)
            if copy is None
            else np.array(self._data, dtype, copy=copy)
        )

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        name = f"np.{ufunc.__name__}" + ("" if method == "__call__" else f".{method}")
        if kwargs:
            raise TypeError(f"{name} on a Tensor takes no {', '.join(kwargs)}")
        if method != "__call__" or ufunc not in NUMPY_FUNCTIONS:
            raise TypeError(
                f"{name} is not supported on a Tensor; use .numpy(), or the ops of tinygrad_mnist"
            )
        return NUMPY_FUNCTIONS[ufunc](*inputs)

    def __array_function__(
        self, func: Any, types: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        if func not in NUMPY_FUNCTIONS:
            raise TypeError(
                f"np.{func.__name__} is not supported on a Tensor; use .numpy(), or the ops of tinygrad_mnist"
            )
        op = NUMPY_FUNCTIONS[func]
        if (
            len(args) > 2 and "keepdims" in op.__annotations__
        ):  # a reduction: where ours has keepdims or ddof
            raise TypeError(
                f"np.{func.__name__} on a Tensor takes neither dtype nor out; pass keepdims or ddof by keyword"
            )
        try:
            return op(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"np.{func.__name__} on a Tensor: {error}") from error

    def __setitem__(self, index: NoReturn, value: NoReturn) -> NoReturn:
        raise TypeError(
            "a Tensor takes no item assignment; build a new one with where, concatenate or stack"
        )

    def __len__(self) -> int:
        if not self._data.shape:
            raise TypeError("a 0-d Tensor has no length")
        return len(self._data)

    def __bool__(self) -> bool:
        return bool(self._data)

    def __format__(self, spec: str) -> str:
        return format(self._data, spec) if spec else str(self)

    def __float__(self) -> float:
        return float(self._data.item())

    def __int__(self) -> int:
        return int(self._data.item())

    def __index__(self) -> int:
        return self._data.__index__()
