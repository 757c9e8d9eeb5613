"""Tensor: an array that records how it was made; `apply` is how every operation makes one."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias, Union

import numpy as np
import numpy.typing as npt

from . import graph
from .arrays import Array, as_array, constants
from .errors import GraphError, ShapeError, explained
from .graph import (
    Forward,
    Grads,
    Kernel,
    Needs,
    Node,
    Watch,
    mark_changed,
    mode,
    op_name,
    saved_arrays,
    switched,
)
from .interop import Interop

if TYPE_CHECKING:
    from .ops.methods import Methods
else:
    Methods = object  # `ops`, which needs Tensor first, gives them to it

__all__ = [
    "Axis", "Forward", "Grads", "Kernel", "Needs", "Node", "Tensor", "TensorLike", "Watch", "apply", "from_numpy", "gradients",
    "mark_changed", "mode", "no_grad", "op_name", "saved_arrays", "switched", "unwrap",
]  # fmt: skip

Axis: TypeAlias = int | tuple[int, ...] | None
TensorLike: TypeAlias = Union["Tensor", npt.ArrayLike]


class Tensor(Interop, Methods):
    """An n-dimensional array that can remember the operations on it, and run them backward.

    Parameters
    ----------
    data : array_like
        Copied. Python floats, and lists of them, become float32; arrays keep their dtype.
    requires_grad : bool
        Whether `backward` shall leave a gradient in `.grad`; floating-point (or complex) data only.
    dtype : numpy dtype, optional
        The dtype to convert to.

    Raises
    ------
    TypeError
        If the data are not numbers, or are integers or bools with `requires_grad=True`.

    Examples
    --------
    >>> x = Tensor([1.0, 2.0, 3.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    array([2., 4., 6.], dtype=float32)
    """

    __slots__ = ("__weakref__", "_data", "_is_parameter", "_node")

    _data: Array
    _node: Node | None
    _is_parameter: bool  # a leaf that requires grad, or did until it was frozen

    def __init__(
        self, data: TensorLike, requires_grad: bool = False, dtype: npt.DTypeLike | None = None
    ) -> None:
        self._data = np.array(as_array(unwrap(data), dtype), order="C", subok=False)
        self._node, self._is_parameter = None, False
        self.requires_grad = requires_grad

    # What it is

    @property
    def data(self) -> Array:
        """The values, as the ndarray itself; assigning to it writes into that memory, whose shape and dtype stay."""
        return self._data

    @data.setter
    def data(self, value: TensorLike) -> None:
        if value is not self._data:  # else it is the end of `t.data -= ...`, already done in place
            value = np.asarray(unwrap(value))
            if value.shape not in ((), self._data.shape):
                raise ShapeError(
                    f"data: expected an array of shape {self.shape}, got {value.shape}"
                )
            self._data[...] = value
        mark_changed(self._data)

    @property
    def grad(self) -> Array | None:
        """The gradient summed over the calls of `backward` since `zero_grad`, or None; of the same shape and dtype."""
        return None if self._node is None else self._node.grad

    @grad.setter
    def grad(self, value: npt.ArrayLike | None) -> None:
        if value is None:
            return self.zero_grad()
        if self._node is None:
            raise GraphError("grad: this tensor does not require grad, so it holds no gradient")
        array = np.array(value, self.dtype)
        if array.shape != self.shape:
            raise ShapeError(f"grad: expected an array of shape {self.shape}, got {array.shape}")
        self._node.grad = array

    @property
    def requires_grad(self) -> bool:
        """Whether `backward` reaches it; set it to False on a parameter to freeze it (which drops its gradient)."""
        return self._node is not None

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if not self.is_leaf:
            raise GraphError(
                "requires_grad: only a leaf can change it; use detach() to cut a result from its graph"
            )
        if not value:
            self._node = None
        elif self._data.dtype.kind not in "fc":
            raise TypeError(
                f"requires_grad needs floating-point data, got {self.dtype}; pass floats, or dtype=np.float32"
            )
        elif self._node is None:
            self._node, self._is_parameter = Node(self._data), True

    @property
    def is_leaf(self) -> bool:
        """Whether it was made by the user rather than by an operation that recorded it."""
        return self._node is None or self._node.is_leaf

    @property
    def is_parameter(self) -> bool:
        """Whether it is a leaf that requires grad, or one that did until it was frozen."""
        return self._is_parameter

    # What it does

    def backward(self, gradient: npt.ArrayLike | None = None, retain_graph: bool = False) -> None:
        """Add the gradient of this tensor to the `.grad` of every leaf that it was made from.

        Parameters
        ----------
        gradient : array_like, optional
            The gradient of some scalar with respect to this tensor, of its shape; needed unless it
            has one element.
        retain_graph : bool
            Keep the graph for another call; by default it is freed on the way.

        Raises
        ------
        GraphError
            If this tensor requires no grad, has several elements and no `gradient` is given, if its
            graph was freed, or if an array that the graph saved was changed in place.
        ShapeError
            If `gradient` has another shape.
        """
        if self._node is None:
            raise GraphError(
                "backward: this tensor requires no grad; make a leaf it depends on with requires_grad=True"
            )
        if gradient is None and self.size != 1:
            raise GraphError(
                f"backward: a tensor of shape {self.shape} is not a scalar; pass a gradient of that shape"
            )
        seed = (
            np.array(1, self.dtype, ndmin=self.ndim)
            if gradient is None
            else np.array(unwrap(gradient), self.dtype)
        )
        if seed.shape != self.shape:
            raise ShapeError(
                f"backward: expected a gradient of shape {self.shape}, got {seed.shape}"
            )
        for node, g in graph.backward(self._node, seed, retain_graph=retain_graph).items():
            node.grad = g if node.grad is None else np.add(node.grad, g, out=node.grad)

    def retain_grad(self) -> None:
        """Let `backward` leave a gradient in this tensor's `.grad` though it is no leaf."""
        if self._node is None:
            raise GraphError("retain_grad: this tensor requires no grad")
        self._node.keeps_grad = True

    def zero_grad(self) -> None:
        """Set `.grad` to None."""
        if self._node is not None:
            self._node.grad = None

    def convert_(self, dtype: npt.DTypeLike) -> None:
        """Convert the values to another dtype, in place: the same Tensor, with its data in new memory.

        The gradient is dropped, because it had the old dtype. `astype` returns a new Tensor
        instead.

        Raises
        ------
        GraphError
            If it is the result of an operation, which its graph needs as it is.
        TypeError
            If it requires grad, and the dtype is not a floating-point one.
        """
        if not self.is_leaf:
            raise GraphError("convert_: only a leaf can change its dtype; astype() returns a copy")
        if self._is_parameter and np.dtype(dtype).kind not in "fc":
            raise TypeError(f"convert_: a parameter needs a floating-point dtype, got {dtype}")
        mark_changed(self._data)  # a graph from before would leave its gradient in the old node
        self._data = self._data.astype(dtype)
        if self._node is not None:
            self._node = Node(self._data)

    def detach(self) -> "Tensor":
        """Return the same values, in the same memory, as a constant."""
        return _make(self._data, None)

    # Conversions; the other attributes and protocols of an ndarray are in interop.py

    @property
    def T(self) -> "Tensor":  # noqa: N802 - NumPy's name
        """The tensor with its axes in reverse order."""
        return self.transpose()

    def __iter__(self) -> "Iterator[Tensor]":
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        text = np.array2string(self._data, separator=", ", prefix="Tensor(")
        dtype = "" if self.dtype == np.float32 else f", dtype={self.dtype}"
        made = (
            ""
            if self._node is None
            else ", requires_grad=True"
            if self.is_leaf
            else f", made by {self._node.name}"
        )
        return f"Tensor({text}{dtype}{made})"

    def __getstate__(self) -> tuple[Array, bool, bool]:
        if self._node is not None and not self._node.is_leaf:
            raise GraphError(
                f"a Tensor made by {self._node.name} cannot be copied or pickled; detach() it first"
            )
        return self._data, self._is_parameter, self.requires_grad

    def __setstate__(self, state: tuple[Array, bool, bool]) -> None:
        self._data, self._is_parameter, requires_grad = state
        self._node = Node(self._data) if requires_grad else None


def _make(data: Array, node: Node | None) -> Tensor:
    tensor = Tensor.__new__(Tensor)
    tensor._data, tensor._node, tensor._is_parameter = data, node, False
    return tensor


def unwrap(x: Any) -> Any:
    """Return the array of a Tensor, and anything else as it is."""
    return x._data if isinstance(x, Tensor) else x


def from_numpy(a: Array, requires_grad: bool = False) -> Tensor:
    """Return a Tensor that shares the memory of the ndarray `a`, as PyTorch's `from_numpy` does.

    Raises
    ------
    TypeError
        If `a` is no ndarray of numbers, or of integers or bools with `requires_grad=True`.
    """
    if not isinstance(a, np.ndarray):
        raise TypeError(f"from_numpy: expected an ndarray, got {type(a).__name__}")
    tensor = _make(as_array(a).view(np.ndarray), None)
    tensor.requires_grad = requires_grad
    return tensor


def apply(kernel: Kernel, /, *inputs: TensorLike, **params: Any) -> Tensor:
    """Run a kernel on Tensors (or constants) and record it: how each operation of the library, or of yours, is made.

    Parameters
    ----------
    kernel : callable
        `kernel(*arrays, **params) -> (y, vjp)`, ndarrays in and out; `vjp(g, needs)` returns one
        gradient an input, None where `needs` is false. The contract between the two is in
        `tinygrad_mnist.graph`.
    *inputs : Tensor or array_like
        What the kernel is differentiated by; anything but a Tensor is a constant.
    **params
        Passed on to the kernel as they are.

    Raises
    ------
    ShapeError
        If the kernel finds that the shapes of its inputs do not fit.

    Examples
    --------
    >>> def _cube(x):
    ...     def vjp(g, needs):
    ...         return (3 * g * x * x,)
    ...     return x**3, vjp
    >>> x = Tensor(2.0, requires_grad=True)
    >>> apply(_cube, x).backward()
    >>> x.grad
    array(12., dtype=float32)
    """
    arrays: list[Array] = []
    parents: list[Node | None] = []
    record = plain = False
    for x in inputs:
        if isinstance(x, Tensor):
            arrays.append(x._data)
            node = x._node
            parents.append(node)
            if node is not None:
                record = True
        else:
            arrays.append(x)  # type: ignore[arg-type]
            parents.append(None)
            if type(x) is not np.ndarray or x.dtype.kind not in "fciub":
                plain = True
    try:
        if plain:
            arrays = constants(arrays)
        y, vjp = kernel(*arrays, **params)
    except (ValueError, TypeError, IndexError) as error:
        raise explained(error, op_name(kernel), arrays) from error
    if type(y) is not np.ndarray:  # NumPy's scalars, from arithmetic on 0-d arrays
        y = np.asarray(y)
    if record and mode.recording and y.dtype.kind in "fc":
        node = Node(y, kernel, vjp, parents)
    else:
        node = None
    if mode.watch is not None:
        mode.watch.forward(kernel, arrays, y, node)
    return _make(y, node)


def gradients(
    y: Tensor, leaves: Sequence[Tensor], seed: Array | None = None, retain_graph: bool = False
) -> list[Array]:
    """Return the gradient of y with respect to each leaf (zeros where y does not depend on it), and store none of them."""
    seed = np.ones(y.shape, y.dtype) if seed is None else np.array(seed, y.dtype)
    found = {} if y._node is None else graph.backward(y._node, seed, retain_graph=retain_graph)
    return [found[x._node] if x._node in found else np.zeros(x.shape, x.dtype) for x in leaves]


@contextmanager
def no_grad() -> Iterator[None]:
    """Record nothing inside the `with` block (or the decorated function), in this thread.

    Examples
    --------
    >>> x = Tensor(2.0, requires_grad=True)
    >>> with no_grad():
    ...     y = x * x
    >>> y.requires_grad
    False
    """
    with switched(recording=False):
        yield
