"""Tensor: an array that records how it was made; `apply` is how every operation makes one."""

import inspect
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ContextDecorator
from contextvars import ContextVar
from functools import wraps
from types import ModuleType
from typing import TYPE_CHECKING, Any, Never, NoReturn, TypeAlias, TypeVar, Union, cast

import numpy as np
import numpy.typing as npt

from . import graph
from .arrays import Array, Recorded, as_array, constants, copy_of, refuse_mask, values
from .errors import GraphError, ShapeError, explain
from .graph import (
    OWN_OPERATIONS,
    Kernel,
    Needs,
    Node,
    can_hide_arrays,
    mark_changed,
    mode,
    op_name,
    switched,
)

if TYPE_CHECKING:
    from .ops.methods import Methods
else:
    Methods = object  # `ops` adds the methods later, because it needs Tensor first

__all__ = [
    "NUMPY_FUNCTIONS", "Axis", "Tensor", "TensorLike", "apply", "exchange", "from_numpy",
    "gradients", "no_grad", "run", "unwrap",
]  # fmt: skip

Axis: TypeAlias = int | tuple[int, ...] | None
TensorLike: TypeAlias = Union["Tensor", npt.ArrayLike]

F = TypeVar("F", bound=Callable[..., Any])  # a decorator returns a function of the same type

# The operation to run when a NumPy function (or ufunc) is called on a Tensor; `ops` fills it.
NUMPY_FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {}

_grad_lock = threading.Lock()  # two threads may add to the gradient of one leaf


class _TensorModule(ModuleType):
    """The type of this module: calling it as tensor(data), as in PyTorch, explains the mistake."""

    def __call__(self, *args: object, **kwargs: object) -> NoReturn:
        raise TypeError("tinygrad_mnist.tensor is a file, not a function; use Tensor(data)")


_this_file = sys.modules[__name__]
_this_file.__class__ = _TensorModule


class Tensor(Methods):
    """An n-dimensional array that can remember the operations on it, and run them backward.

    Parameters
    ----------
    data : array_like
        Copied. Python floats, and lists of them, become float32; arrays keep their dtype.
    requires_grad : bool
        Whether `backward` leaves a gradient in `.grad`; for real floating-point data only.
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

    __slots__ = ("__weakref__", "_array", "_is_parameter", "_node")

    _array: Array
    _node: Node | None
    _is_parameter: bool

    def __init__(
        self,
        data: TensorLike,
        requires_grad: bool = False,
        dtype: npt.DTypeLike | None = None,
    ) -> None:
        self._array = copy_of(as_array(unwrap(data), dtype))
        self._node, self._is_parameter = None, False
        self.requires_grad = requires_grad

    # What it is

    @property
    def data(self) -> Array:
        """The values, as the ndarray itself; assigning writes into it and keeps its dtype."""
        return self._array

    @data.setter
    def data(self, value: TensorLike) -> None:
        # `t.data -= ...` ends by assigning the array to itself: the work is already done in place.
        if value is not self._array:
            new: Array = np.asanyarray(refuse_mask(unwrap(value)))
            if new.shape not in ((), self._array.shape):
                raise ShapeError(f"data: expected an array of shape {self.shape}, got {new.shape}")
            self._array[...] = new
        mark_changed(self._array)

    @property
    def grad(self) -> Array | None:
        """The sum of the gradients of all `backward` calls since `zero_grad`, or None.

        It has the tensor's shape and dtype.
        """
        return None if self._node is None else self._node.grad

    @grad.setter
    def grad(self, value: npt.ArrayLike | None) -> None:
        if value is None:
            return self.zero_grad()
        if self._node is None:
            raise GraphError("grad: this tensor does not require grad, so it holds no gradient")
        array = copy_of(refuse_mask(value), self.dtype)
        if array.shape != self.shape:
            raise ShapeError(f"grad: expected an array of shape {self.shape}, got {array.shape}")
        self._node.grad = array

    @property
    def node(self) -> Node | None:
        """The node of this tensor in the graph; None for a constant."""
        return self._node

    @property
    def requires_grad(self) -> bool:
        """Whether `backward` computes a gradient for this tensor.

        Set it to False to freeze a parameter. This also drops the parameter's gradient.
        """
        return self._node is not None

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if not self.is_leaf:
            raise GraphError(
                "requires_grad: only a leaf can change it; use detach() to cut a result from its "
                "graph"
            )
        if not value:
            self._node = None
        elif self._array.dtype.kind != "f":
            raise TypeError(
                f"requires_grad needs real floating-point data, got {self.dtype}; pass floats, or "
                "dtype=np.float32"
            )
        elif self._node is None:
            self._node, self._is_parameter = Node(self._array), True

    @property
    def is_leaf(self) -> bool:
        """Whether the user made this tensor, rather than a recorded operation."""
        return self._node is None or self._node.is_leaf

    @property
    def is_parameter(self) -> bool:
        """Whether this tensor is a leaf that requires grad, or did so until it was frozen."""
        return self._is_parameter

    @property
    def shape(self) -> tuple[int, ...]:
        """Its size along each axis."""
        return self._array.shape

    @property
    def ndim(self) -> int:
        """The number of its axes."""
        return self._array.ndim

    @property
    def size(self) -> int:
        """The number of its elements."""
        return self._array.size

    @property
    def dtype(self) -> np.dtype[Any]:
        """The NumPy dtype of its elements."""
        dtype: np.dtype[Any] = self._array.dtype
        return dtype

    @property
    def T(self) -> "Tensor":  # noqa: N802 - NumPy's name
        """The tensor with its axes in reverse order."""
        return self.transpose()

    # What it does

    def backward(
        self,
        gradient: npt.ArrayLike | None = None,
        retain_graph: bool = False,
        **foreign: Never,
    ) -> None:
        """Add the gradient of this tensor to the `.grad` of every leaf that it was made from.

        Parameters
        ----------
        gradient : array_like, optional
            The gradient of some scalar with respect to this tensor. It has the tensor's shape, and
            may be left out only if the tensor has one element.
        retain_graph : bool
            Keep the graph for another call. By default, `backward` frees the graph as it goes.

        Raises
        ------
        GraphError
            If this tensor does not require grad, if it has several elements and no `gradient` is
            given, if its graph was freed, or if an array that the graph saved was changed in place.
        ShapeError
            If `gradient` has another shape.
        """
        for name in foreign:
            raise TypeError(
                f"backward has no argument {name!r}; use "
                "tinygrad_mnist.grad(f), which nests, for derivatives of derivatives"
            )
        if self._node is None:
            raise GraphError(
                "backward: this tensor requires no grad; make a leaf that it depends on with "
                "requires_grad=True, and look for .numpy(), .data, detach() or no_grad() on the "
                "way from there, because each of them cuts the graph"
            )
        array = self._array
        if gradient is None:
            if array.size != 1:
                raise GraphError(
                    f"backward: a tensor of shape {array.shape} is not a scalar; pass a gradient "
                    "of that shape"
                )
            seed = np.array(1, array.dtype, ndmin=array.ndim)
        else:
            seed = copy_of(refuse_mask(unwrap(gradient)), array.dtype)
            if seed.shape != array.shape:
                raise ShapeError(
                    f"backward: expected a gradient of shape {array.shape}, got {seed.shape}"
                )
        found = graph.backward(self._node, seed, retain_graph=retain_graph)
        with _grad_lock:
            for node, g in found.items():
                node.grad = g if node.grad is None else np.add(node.grad, g, out=node.grad)

    def retain_grad(self) -> None:
        """Make `backward` store a gradient in this tensor's `.grad`, although it is not a leaf."""
        if self._node is None:
            raise GraphError("retain_grad: this tensor requires no grad")
        self._node.keeps_grad = True

    def zero_grad(self) -> None:
        """Set `.grad` to None."""
        if self._node is not None:
            self._node.grad = None

    def convert_(self, dtype: npt.DTypeLike) -> None:
        """Convert this Tensor itself to another dtype; its data move to new memory.

        The gradient is dropped, because it had the old dtype. `astype` returns a new Tensor
        instead.

        Raises
        ------
        GraphError
            If this tensor is the result of an operation, because its graph needs the old values.
        TypeError
            If this tensor requires grad, and the dtype is not a floating-point one.
        """
        if not self.is_leaf:
            raise GraphError("convert_: only a leaf can change its dtype; astype() returns a copy")
        if self._is_parameter and np.dtype(dtype).kind != "f":
            raise TypeError(f"convert_: a parameter needs a floating-point dtype, got {dtype}")
        mark_changed(self._array)  # an older graph would put its gradient into the old node
        self._array = self._array.astype(dtype)
        if self._node is not None:
            self._node = Node(self._array)

    def detach(self) -> "Tensor":
        """Return the same values, in the same memory, as a constant."""
        return _make(self._array, None)

    # Conversions to NumPy and Python

    def numpy(self) -> Array:
        """Return the values as an ndarray that shares their memory."""
        return self._array

    def item(self) -> Any:
        """Return the value of a tensor of one element as a Python number."""
        if self._array.size != 1:
            raise ValueError(
                f"item: expected a Tensor of one element, got shape {self.shape}; use "
                ".numpy().tolist() for all of them"
            )
        if self._node is not None and mode().rerunning:
            raise TypeError(
                "a number that is taken out of a Tensor has no slope; compute with NumPy's "
                "functions, and take values only to choose by them, with arrays.values"
            )
        return self._array.item()

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        return self._array.__index__()

    def __bool__(self) -> bool:
        if self._array.size != 1:
            raise ValueError(
                f"a Tensor of shape {self.shape} is neither true nor false; use .numpy().any() or "
                ".numpy().all()"
            )
        return bool(self._array)

    def __len__(self) -> int:
        if not self._array.shape:
            raise TypeError("a 0-d Tensor has no length")
        return len(self._array)

    def __iter__(self) -> "Iterator[Tensor]":
        return (self[i] for i in range(len(self)))

    def __setitem__(self, index: NoReturn, value: NoReturn) -> NoReturn:
        raise TypeError(
            "a Tensor takes no item assignment; build a new one with where, concatenate or stack"
        )

    def __repr__(self) -> str:
        text = np.array2string(self._array, separator=", ", prefix="Tensor(")
        dtype = "" if self.dtype == np.float32 else f", dtype={self.dtype}"
        made = "" if self._node is None else f", made by {self._node.name}"
        if self._node is not None and self._node.is_leaf:
            made = ", requires_grad=True"
        return f"Tensor({text}{dtype}{made})"

    def __format__(self, spec: str) -> str:
        return format(self._array, spec) if spec else str(self)

    def _repr_html_(self) -> str | None:
        """Return what a notebook shows: the values, and the graph that made them if it is small."""
        from .plots import tensor_html

        return tensor_html(self)

    def __getstate__(self) -> tuple[Array, bool, bool]:
        if self._node is not None and not self._node.is_leaf:
            raise GraphError(
                f"a Tensor made by {self._node.name} cannot be copied or pickled; detach() it first"
            )
        return self._array, self._is_parameter, self.requires_grad

    def __setstate__(self, state: tuple[Array, bool, bool]) -> None:
        self._array, self._is_parameter, requires_grad = state
        self._node = Node(self._array) if requires_grad else None

    # NumPy's protocols: how its functions and operators meet a Tensor

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> Array:
        if self._node is not None:
            raise TypeError(
                "a Tensor that requires grad does not turn into an array by itself, because its "
                "gradient would be lost; join Tensors with stack() or concatenate(), or use "
                ".numpy() for the values alone"
            )
        if copy is None:
            same = dtype is None or np.dtype(dtype) == self._array.dtype
            return self._array if same else np.asarray(self._array, dtype)
        return np.array(self._array, dtype, copy=copy)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        name = f"np.{ufunc.__name__}" + ("" if method == "__call__" else f".{method}")
        if "out" in kwargs:
            raise TypeError(
                f"{name}: an array cannot take a Tensor, because its gradient would be lost; write "
                "a = a + t rather than a += t or out=a"
            )
        if kwargs:
            raise TypeError(f"{name} on a Tensor takes no {', '.join(kwargs)}")
        if method != "__call__" or ufunc not in NUMPY_FUNCTIONS:
            raise _unsupported(name)
        return NUMPY_FUNCTIONS[ufunc](*inputs)

    def __array_function__(
        self, func: Any, types: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        name = f"{func.__module__}.{func.__name__}".replace("numpy", "np", 1)
        if func not in NUMPY_FUNCTIONS:
            raise _unsupported(name)
        op = NUMPY_FUNCTIONS[func]
        # The third argument of NumPy's reductions is dtype or out, but ours is keepdims or ddof.
        if len(args) > 2 and [*op.__annotations__][2] in ("keepdims", "ddof"):
            raise TypeError(
                f"{name} on a Tensor takes neither dtype nor out; pass keepdims or ddof by keyword"
            )
        try:
            return op(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{name} on a Tensor: {error}") from error


def _unsupported(name: str) -> TypeError:
    return TypeError(
        f"{name} is not supported on a Tensor; write it with the operations of tinygrad_mnist, or "
        "apply it to t.numpy(), which gives the values without a gradient"
    )


def _make(array: Array, node: Node | None) -> Tensor:
    tensor = Tensor.__new__(Tensor)
    tensor._array, tensor._node, tensor._is_parameter = array, node, False
    return tensor


def exchange(tensor: Tensor, array: Array) -> Array:
    """Replace the array of a Tensor, and return the previous array.

    Both arrays must share the same memory. `program` captures a step in this way.
    """
    before, tensor._array = tensor._array, array
    return before


def unwrap(x: Any) -> Any:
    """Return the array of a Tensor; return anything else unchanged."""
    return x._array if isinstance(x, Tensor) else x


def from_numpy(a: Array, requires_grad: bool = False) -> Tensor:
    """Return a Tensor that shares the memory of the ndarray `a`, as PyTorch's `from_numpy` does.

    Raises
    ------
    TypeError
        If `a` is not an ndarray of numbers, or holds integers or bools and `requires_grad=True`.
    """
    if not isinstance(a, np.ndarray):
        raise TypeError(f"from_numpy: expected an ndarray, got {type(a).__name__}")
    array = as_array(a)
    keeps_kind = type(array) is np.ndarray or isinstance(array, Recorded)
    tensor = _make(array if keeps_kind else array.view(np.ndarray), None)
    tensor.requires_grad = requires_grad
    return tensor


def apply(kernel: Kernel, /, *inputs: TensorLike, **params: Any) -> Tensor:
    """Run a kernel on Tensors (or constants) and record it: every operation is made this way.

    Parameters
    ----------
    kernel : callable
        `kernel(*arrays, **params) -> (y, vjp)`, arrays in and out; `vjp(g, needs)` returns one
        gradient for each input, None where `needs` is false. The contract between kernel and
        engine is in `tinygrad_mnist.graph`.
    *inputs : Tensor or array_like
        The arguments to differentiate by. Anything that is not a Tensor is a constant.
    **params
        Passed to the kernel unchanged.

    Raises
    ------
    ShapeError
        If the kernel finds that the shapes of its inputs do not fit.
    TypeError
        If the kernel returns anything but `(y, vjp)`.

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
    requires_grad = mixed = False
    for x in inputs:
        if isinstance(x, Tensor):
            node, array = x._node, x._array
            arrays.append(array)
            parents.append(node)
            if node is not None:
                requires_grad = True
            elif array.dtype.kind != "f":
                mixed = True
        else:
            arrays.append(x)  # type: ignore[arg-type]
            parents.append(None)
            if type(x) is not np.ndarray or x.dtype.kind != "f":
                mixed = True
    try:
        if mixed:
            arrays = constants(arrays)
        result = kernel(*arrays, **params)
    except Exception as error:
        is_own = kernel.__module__ in OWN_OPERATIONS
        explained = explain(error, op_name(kernel), is_own, arrays)
        if explained is error:
            raise
        raise explained from error
    try:
        y, vjp = result
    except (TypeError, ValueError):
        raise _not_a_forward(kernel, result) from None
    if not callable(vjp):
        raise _not_a_forward(kernel, result)
    if type(y) is not np.ndarray:
        y = _as_result(kernel, y)
    now, node = mode(), None
    if requires_grad and now.recording:
        if y.dtype.kind == "f":
            rerun = _Rerun(kernel, inputs, params, arrays, y) if now.rerunnable else None
            node = Node(y, kernel, vjp, parents, rerun)
            if vjp.__module__ not in OWN_OPERATIONS and can_hide_arrays(vjp):
                node.saved = (*arrays, y)
        elif y.dtype.kind == "c":
            raise TypeError(
                f"{op_name(kernel)}: its result is complex, and the gradient would be lost; keep "
                "real and imaginary parts as two Tensors"
            )
    if now.watch is not None:
        now.watch.forward(kernel, arrays, y, node)
    return _make(y, node)


def _as_result(kernel: Kernel, y: object) -> Array:
    """Return a kernel's result as an array, because arithmetic on 0-d arrays gives scalars."""
    try:
        return np.asanyarray(y)
    except TypeError as error:
        raise TypeError(
            f"{op_name(kernel)}: its kernel computed with a Tensor, whose gradient would be lost; "
            "pass Tensors as inputs of apply, not as keyword arguments or from outside"
        ) from error


def _not_a_forward(kernel: Kernel, result: object) -> TypeError:
    got = type(result).__name__
    if isinstance(result, tuple):
        got = f"({', '.join(type(part).__name__ for part in result)})"
    return TypeError(
        f"{op_name(kernel)}: a kernel returns its result and its vjp, as a tuple (y, vjp); "
        f"got {got}"
    )


class _Rerun:
    """Run a kernel again on its original Tensors, so that the work of its vjp is recorded."""

    __slots__ = ("arrays", "inputs", "kernel", "params", "y")

    def __init__(
        self,
        kernel: Kernel,
        inputs: Sequence[TensorLike],
        params: dict[str, Any],
        arrays: list[Array],
        y: Array,
    ) -> None:
        self.kernel, self.inputs, self.params, self.y = kernel, inputs, params, y
        self.arrays: Sequence[Array] = arrays

    def __call__(self) -> Callable[[Any, Needs], Sequence[Any]]:
        tensors = [
            x if isinstance(x, Tensor) and x._array is array else _make(array, None)
            for x, array in zip(self.inputs, self.arrays, strict=True)
        ]
        y, vjp = self.kernel(*tensors, **self.params)
        if not _agree(values(y), self.y):
            name = op_name(self.kernel)
            raise GraphError(
                f"{name} cannot be differentiated twice, because its kernel gave another result "
                "when it ran again; a kernel draws no random numbers (pass them in as a parameter) "
                "and changes no state"
            )
        return vjp


def _agree(a: Array, b: Array) -> bool:
    """Return whether two runs of a kernel gave the same numbers, up to rounding."""
    if np.shape(a) != b.shape:
        return False
    if (a == b).all():
        return True
    tolerance = float(np.finfo(b.dtype).eps) ** 0.5
    largest = float(np.abs(b[np.isfinite(b)]).max(initial=0))
    return np.allclose(a, b, rtol=tolerance, atol=tolerance * largest, equal_nan=True)


def run(kernel: Kernel, /, *inputs: Any, **params: Any) -> Any:
    """Run a kernel inside another kernel or a vjp; on Tensors, the call is recorded.

    In this way two kernels can be each other's vjp, as gather and scatter are. This helps where
    a vjp cannot be written as a formula of NumPy's functions.
    """
    if any(isinstance(x, Tensor) for x in inputs):
        return apply(kernel, *inputs, **params)
    return kernel(*inputs, **params)[0]


def gradients(
    y: Tensor,
    leaves: Sequence[Tensor],
    seed: npt.ArrayLike | None = None,
    retain_graph: bool = False,
) -> list[Array]:
    """Return the gradient of y with respect to each leaf, without storing it in `.grad`.

    The gradient is zero if y does not depend on the leaf.
    """
    seed = np.ones(y.shape, y.dtype) if seed is None else np.array(seed, y.dtype)
    found = {} if y._node is None else graph.backward(y._node, seed, retain_graph=retain_graph)
    return [found[x._node] if x._node in found else np.zeros(x.shape, x.dtype) for x in leaves]


# The blocks of no_grad that this thread, or asyncio task, has entered.
_entered: ContextVar[tuple[Any, ...]] = ContextVar("entered", default=())


class no_grad(ContextDecorator):  # noqa: N801 - PyTorch's name
    """Record nothing inside the `with` block or the decorated function.

    This affects only the current thread or asyncio task. The decorator also works on generators
    and coroutines. What their callers do between two steps is recorded as usual.

    Examples
    --------
    >>> x = Tensor(2.0, requires_grad=True)
    >>> with no_grad():
    ...     y = x * x
    >>> y.requires_grad
    False
    """

    def __init__(self, *decorated: Never) -> None:
        if decorated:
            raise TypeError("no_grad needs parentheses; write `@no_grad()` above a function")
        self._blocks: list[Any] = []

    def __enter__(self) -> None:
        block = switched(recording=False)
        block.__enter__()
        self._blocks.append(block)
        _entered.set((*_entered.get(), block))

    def __exit__(self, *error: Any) -> None:
        # Several tasks may be inside blocks of the same object, so each task leaves the block that
        # it entered last. A generator's block may end in another context than it began in.
        own = [block for block in self._blocks if block in _entered.get()] or self._blocks
        block = own[-1]
        self._blocks.remove(block)
        _entered.set(tuple(other for other in _entered.get() if other is not block))
        block.__exit__(*error)

    def __call__(self, function: F) -> F:
        """Decorate a function, a generator function or a coroutine function."""
        return cast(F, self._decorate(function))

    def _decorate(self, function: Any) -> Any:
        if inspect.isgeneratorfunction(function):
            return _step_without_grad(function)
        if inspect.isasyncgenfunction(function):
            raise TypeError(
                f"no_grad does not decorate the async generator {function.__name__}; use `with "
                "no_grad():` around the steps inside it"
            )
        if inspect.iscoroutinefunction(function):

            @wraps(function)
            async def awaited(*args: Any, **kwargs: Any) -> Any:
                with no_grad():
                    return await function(*args, **kwargs)

            return awaited

        @wraps(function)
        def called(*args: Any, **kwargs: Any) -> Any:
            with no_grad():
                return function(*args, **kwargs)

        return called


def _step_without_grad(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a generator function: each of its steps runs inside `no_grad`."""

    @wraps(function)
    def stepped(*args: Any, **kwargs: Any) -> Any:
        generator = function(*args, **kwargs)
        step, sent = generator.send, None
        while True:
            try:
                with no_grad():
                    value = step(sent)
            except StopIteration as stop:
                return stop.value
            try:
                step, sent = generator.send, (yield value)
            except GeneratorExit:
                generator.close()
                raise
            except BaseException as error:  # the caller threw it into the generator
                step, sent = generator.throw, error

    return stepped
