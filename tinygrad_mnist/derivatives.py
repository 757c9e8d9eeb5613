"""Derivatives of functions, of any order: gradients, Jacobians, Hessians, and products with them.

Each of them calls a function on fresh variables and walks back from its value. A derivative inside
another one records its own walk, so the outer one differentiates it by the same rules.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeAlias, overload

import numpy as np
import numpy.typing as npt

from . import graph
from .arrays import Array, as_array, refuse_mask
from .errors import GraphError, ShapeError
from .graph import Forward, Node, mode, switched
from .tensor import Tensor, apply, from_numpy, unwrap

__all__ = ["grad", "hessian", "hvp", "jacobian", "jvp", "value_and_grad", "vjp"]

Function: TypeAlias = Callable[..., Tensor]
Argnums: TypeAlias = int | Sequence[int]


@overload
def value_and_grad(f: Function, argnums: int = 0) -> Callable[..., tuple[Array, Array]]: ...
@overload
def value_and_grad(
    f: Function, argnums: Sequence[int]
) -> Callable[..., tuple[Array, tuple[Array, ...]]]: ...
def value_and_grad(f: Function, argnums: Argnums = 0) -> Callable[..., tuple[Array, Any]]:
    """Return a function that gives f's value and its gradient with respect to `argnums`.

    Parameters
    ----------
    f : function of Tensors that returns a scalar Tensor
    argnums : int or sequence of ints
        Which arguments to differentiate by; a sequence gives a tuple of gradients, as in JAX.

    Returns
    -------
    function of arrays
        It returns (value, gradient) as ndarrays, and does not change any `.grad`. Keyword arguments
        are passed to f unchanged. If an argument is a Tensor, or the call is inside another
        derivative, then the function returns Tensors. They are part of the graph, so they can be
        differentiated again.

    Raises
    ------
    GraphError
        If f returns anything but a scalar Tensor.
    TypeError
        If an argument to differentiate by does not hold floats.

    Examples
    --------
    >>> value_and_grad(lambda x: (x * x).sum())(np.array([1.0, 2.0]))
    (array(5.), array([2., 4.]))
    """

    def derivative(*args: Any, **options: Any) -> tuple[Array, Any]:
        point = _Point(_name(f), f, args, argnums, options)
        if point.y.shape != ():
            raise GraphError(
                f"{point.name}: expected a function that returns a scalar Tensor, got a Tensor of "
                f"shape {point.y.shape}; take its sum or mean, or use jacobian"
            )
        slopes = point.pull(1.0, once=True)
        return point.value(), slopes[0] if _is_one(argnums) else tuple(slopes)

    return derivative


@overload
def grad(f: Function, argnums: int = 0) -> Callable[..., Array]: ...
@overload
def grad(f: Function, argnums: Sequence[int]) -> Callable[..., tuple[Array, ...]]: ...
def grad(f: Function, argnums: Argnums = 0) -> Callable[..., Any]:
    """Return a function that gives the gradient of f with respect to the arguments `argnums`.

    Parameters, results and errors are those of `value_and_grad`.

    Examples
    --------
    >>> grad(lambda x, y: x * y, argnums=1)(3.0, 4.0)
    array(3., dtype=float32)

    Derivatives nest: this is the second derivative of x**3, which is 6 x.

    >>> grad(grad(lambda x: x**3))(2.0)
    array(12., dtype=float32)
    """
    both: Callable[..., Any] = value_and_grad(f, argnums)
    return lambda *args, **options: both(*args, **options)[1]


def vjp(f: Function, *args: Any) -> tuple[Any, Callable[[Any], Any]]:
    """Return `f(*args)`, and the function `pull` that takes its gradient back to the arguments.

    `pull(v)` is the product of v with the Jacobian of f, which is never built.

    Parameters
    ----------
    f : function of Tensors that returns a Tensor
    *args : arrays of floats, or Tensors
        The point.

    Returns
    -------
    y : the value of f
    pull : function of v
        v has the shape of y. The result is one gradient, or a tuple for several arguments. `pull`
        may be called any number of times.

    Raises
    ------
    GraphError
        If f does not return a Tensor.
    ShapeError
        If v has another shape than y.

    Examples
    --------
    >>> y, pull = vjp(lambda x: x * x, np.array([1.0, 2.0]))
    >>> pull(np.array([1.0, 10.0]))
    array([ 2., 40.])
    """
    # Always rerunnable, because the caller may pass a Tensor to `pull` and differentiate by it.
    point = _Point("vjp", f, args, range(len(args)), rerunnable=True)

    def pull(v: Any) -> Any:
        slopes = point.pull(v)
        return slopes[0] if len(args) == 1 else tuple(slopes)

    return point.value(), pull


def jvp(f: Function, x: Any, v: Any) -> tuple[Any, Any]:
    """Return f(x), and its derivative along v: the product of the Jacobian of f with v.

    The function `pull` of `vjp` is linear in its argument. The vjp of `pull` is this product.

    Parameters
    ----------
    f : function of a Tensor that returns a Tensor
    x : array of floats, or Tensor
    v : array or Tensor of the shape of x
        The direction.

    Raises
    ------
    GraphError
        If f does not return a Tensor.
    ShapeError
        If v has another shape than x.

    Examples
    --------
    >>> jvp(lambda x: x * x, np.array([1.0, 2.0]), np.array([1.0, 0.5]))
    (array([1., 4.]), array([2., 2.]))
    """
    _check_direction("jvp", x, v)
    point = _Point("jvp", f, [x], 0, rerunnable=True, tensors=isinstance(v, Tensor))
    zeros = np.zeros(point.y.shape, point.y.dtype)
    back = _Point("jvp", lambda u: point.pull(u)[0], [zeros], 0, tensors=point.tensors)
    return point.value(), back.pull(v)[0]


@overload
def hvp(f: Function, x: Tensor, v: Any, *others: Any, argnums: int = 0) -> Tensor: ...
@overload
def hvp(f: Function, x: npt.ArrayLike, v: Any, *others: Any, argnums: int = 0) -> Array: ...
def hvp(f: Function, x: Any, v: Any, *others: Any, argnums: int = 0) -> Any:
    """Return the product H v of the Hessian of f at x with a vector v; H is never built.

    H v is the gradient of the scalar product of v and the gradient of f. It costs about as much as
    four evaluations of f.

    Parameters
    ----------
    f : function of Tensors that returns a scalar Tensor
    x : array of floats, or Tensor
        The first argument of f; `others` are the rest.
    v : array or Tensor
        The direction, of the shape of argument `argnums`.
    argnums : int
        Which argument the Hessian is of.

    Returns
    -------
    ndarray of the shape of v
        Or a Tensor, in the cases where `value_and_grad` returns Tensors.

    Raises
    ------
    GraphError
        If f does not return a scalar Tensor, or an operation on the way cannot be differentiated
        twice.
    ShapeError
        If v has another shape than the argument.

    References
    ----------
    Pearlmutter (1994), Fast exact multiplication by the Hessian.

    Examples
    --------
    >>> hvp(lambda x: (x**3).sum(), np.array([1.0, 2.0]), np.array([1.0, 0.0]))
    array([6., 0.])
    """
    args = [x, *others]
    if not _is_one(argnums):
        raise TypeError(f"hvp: expected argnums as one number, got {argnums!r}")
    [k] = _positions("hvp", argnums, len(args))
    _check_direction("hvp", args[k], v)
    return _Point("hvp", grad(f, k), args, k, tensors=isinstance(v, Tensor)).pull(v)[0]


@overload
def jacobian(f: Function, argnums: int = 0) -> Callable[..., Array]: ...
@overload
def jacobian(f: Function, argnums: Sequence[int]) -> Callable[..., tuple[Array, ...]]: ...
def jacobian(f: Function, argnums: Argnums = 0) -> Callable[..., Any]:
    """Return a function that gives the Jacobian of f: derivatives of each output by each input.

    Its shape is y.shape + x.shape. Computing it takes one walk back for each element of y.

    Parameters
    ----------
    f : function of Tensors that returns a Tensor
    argnums : int or sequence of ints
        Which arguments to differentiate by; a sequence gives a tuple of Jacobians.

    Raises
    ------
    GraphError
        If f does not return a Tensor.

    Examples
    --------
    >>> jacobian(lambda x: x * x)(np.array([1.0, 2.0]))
    array([[2., 0.],
           [0., 4.]])
    """

    def derivative(*args: Any, **options: Any) -> Any:
        point = _Point(_name(f), f, args, argnums, options)
        size, shape = point.y.size, point.y.shape
        directions = np.eye(size, dtype=point.y.dtype).reshape(size, *shape)
        rows = [point.pull(direction) for direction in directions]
        jacobians: list[Any] = []
        for k, variable in enumerate(point.variables):
            if rows:
                stacked = np.stack([row[k] for row in rows])
                jacobians.append(stacked.reshape(shape + variable.shape))
            else:
                empty = np.zeros(shape + variable.shape, variable.dtype)
                jacobians.append(from_numpy(empty) if point.tensors else empty)
        return jacobians[0] if _is_one(argnums) else tuple(jacobians)

    return derivative


@overload
def hessian(f: Function, argnums: int = 0) -> Callable[..., Array]: ...
@overload
def hessian(
    f: Function, argnums: Sequence[int]
) -> Callable[..., tuple[tuple[Array, ...], ...]]: ...
def hessian(f: Function, argnums: Argnums = 0) -> Callable[..., Any]:
    """Return a function that gives the Hessian of f: second derivatives by each pair of elements.

    Its shape is x.shape + x.shape. Computing it takes one Hessian-vector product for each element
    of x.

    Parameters
    ----------
    f : function of Tensors that returns a scalar Tensor
    argnums : int or sequence of ints
        Which argument the Hessian is of. A sequence gives a tuple of tuples: entry [i][j] holds
        the derivatives by arguments i and j.

    Raises
    ------
    GraphError
        If f does not return a scalar Tensor.

    Examples
    --------
    >>> hessian(lambda x: x[0] * x[1])(np.array([5.0, 7.0]))
    array([[0., 1.],
           [1., 0.]])
    """
    if isinstance(argnums, (int, np.integer)):
        return jacobian(_slope(f, int(argnums)), int(argnums))
    rows = [jacobian(_slope(f, int(k)), argnums) for k in argnums]
    return lambda *args, **options: tuple(row(*args, **options) for row in rows)


def _slope(f: Function, k: int) -> Callable[..., Any]:
    """Return grad(f, k) for use inside another derivative, where it maps Tensors to Tensors."""
    return grad(f, k)


class _Point:
    """A function at one point: its value there, and the way back to its variables."""

    def __init__(
        self,
        name: str,
        f: Callable[..., Any],
        args: Sequence[Any],
        argnums: Argnums,
        options: Mapping[str, Any] = MappingProxyType({}),
        *,
        rerunnable: bool = False,
        tensors: bool = False,
    ) -> None:
        now = mode()
        self.name = name
        # Whether the caller gets Tensors, because the result is part of a larger computation.
        self.tensors = tensors or now.differentiating or any(isinstance(a, Tensor) for a in args)
        # Inside no_grad() the results are constants, so there is no need to record their history.
        self.rerunnable = rerunnable or (self.tensors and now.recording)
        inputs = [_as_constant(a) for a in args]
        self.variables: list[Tensor] = []
        for k in _positions(name, argnums, len(args)):
            inputs[k] = _as_variable(name, args[k])
            self.variables.append(inputs[k])
        self.nodes = [_node(variable) for variable in self.variables]
        # Nodes that are older than the variables cannot depend on them, so they are constants here.
        self.first = min((node.number for node in self.nodes), default=0)
        # A no_grad() around the call concerns the caller's graph, not the derivative itself.
        with switched(recording=True, differentiating=True, rerunnable=self.rerunnable):
            y = f(*inputs, **options)
        if not isinstance(y, Tensor):
            raise GraphError(
                f"{name}: expected a function that returns a Tensor, got {type(y).__name__}"
            )
        self.y = y

    def value(self) -> Any:
        """Return the value of the function as the caller wants it."""
        if not self.tensors:
            return self.y.numpy()
        return self.y if mode().recording else self.y.detach()

    def pull(self, seed: Any, *, once: bool = False) -> list[Any]:
        """Return the gradient by each variable, given the gradient `seed` of the value.

        With `once`, the walk frees the graph as it goes.
        """
        now = mode()
        tensors = self.tensors or now.differentiating or isinstance(seed, Tensor)
        if np.shape(seed) != self.y.shape:
            raise ShapeError(
                f"{self.name}: expected a gradient of the result's shape {self.y.shape}, got "
                f"{np.shape(seed)}"
            )
        root = self.y.node
        if root is None or root.number < self.first:  # it does not depend on the variables
            found: dict[Node, Any] = {}
        elif tensors and now.recording:
            seed = _as_seed(seed, self.y.dtype)
            with switched(differentiating=True):
                found = graph.backward_recorded(root, seed, first=self.first)
        else:
            seed = np.array(refuse_mask(unwrap(seed)), self.y.dtype)
            found = graph.backward(root, seed, retain_graph=not once, first=self.first)
        slopes = []
        for node, variable in zip(self.nodes, self.variables, strict=True):
            slope = found[node] if node in found else np.zeros(variable.shape, variable.dtype)
            slopes.append(from_numpy(slope) if tensors and isinstance(slope, np.ndarray) else slope)
        return slopes


def _same(x: Array) -> Forward:
    """Return x itself, as a new node at which a derivative begins or a seed enters the graph."""
    return x, lambda g, needs: (g if needs[0] else None,)


def _as_constant(argument: Any) -> Any:
    """Return arrays and numbers as constant Tensors; return anything else unchanged."""
    if isinstance(argument, (np.ndarray, np.generic, float, list)):
        return from_numpy(as_array(argument))
    return argument


def _as_variable(name: str, argument: Any) -> Tensor:
    """Return a Tensor that stands for an argument: a new leaf, or a new node of its graph."""
    array = as_array(unwrap(argument))
    if array.dtype.kind != "f":
        raise TypeError(
            f"{name}: expected real floating-point arguments to differentiate by, got "
            f"{array.dtype}; pass floats"
        )
    if isinstance(argument, Tensor) and argument.requires_grad and mode().recording:
        return apply(_same, argument)
    return from_numpy(array, requires_grad=True)


def _node(variable: Tensor) -> Node:
    """Return the node of a variable, which from now on keeps the gradient that reaches it."""
    node = variable.node
    assert node is not None
    node.keeps_grad = True
    return node


def _as_seed(seed: Any, dtype: npt.DTypeLike) -> Tensor:
    """Return the seed of a recorded walk as a Tensor that a vjp cannot overwrite."""
    if not isinstance(seed, Tensor):
        return from_numpy(np.array(refuse_mask(seed), dtype))
    if seed.requires_grad:
        # Pass it through an operation: `g *= slope` rebinds the result, but would change a leaf.
        seed = apply(_same, seed)
    return seed if seed.dtype == dtype else seed.astype(dtype)


def _is_one(argnums: Argnums) -> bool:
    return isinstance(argnums, (int, np.integer))


def _positions(name: str, argnums: Argnums, count: int) -> list[int]:
    """Return which arguments are meant, counted from 0."""
    chosen = [argnums] if isinstance(argnums, (int, np.integer)) else list(argnums)
    for k in chosen:
        if not isinstance(k, (int, np.integer)) or not -count <= k < count:
            raise ValueError(
                f"{name}: expected argnums as numbers below {count}, the number of arguments, got "
                f"{argnums}"
            )
    found = [int(k) % count for k in chosen]
    if len(set(found)) < len(found):
        raise ValueError(f"{name}: expected each argument once in argnums, got {argnums}")
    return found


def _check_direction(name: str, x: Any, v: Any) -> None:
    if np.shape(v) != np.shape(x):
        raise ShapeError(
            f"{name}: expected v of the argument's shape {np.shape(x)}, got {np.shape(v)}"
        )


def _name(f: Callable[..., Any]) -> str:
    """Return the name of a function, or of a callable object's class, for messages."""
    name = getattr(f, "__name__", type(f).__name__)
    return str(name)
