"""Derivatives of functions: gradients, and second order by a complex step through the same rules."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, overload

import numpy as np
import numpy.typing as npt

from .arrays import Array, as_array
from .errors import GraphError, ShapeError
from .tensor import Kernel, Node, Tensor, Watch, gradients, op_name, switched, unwrap

__all__ = ["grad", "hessian", "hvp", "value_and_grad"]

Scalar: TypeAlias = Callable[..., Tensor]  # a function of Tensors whose value is a scalar Tensor

# sqrt of the smallest normal double, about: small enough for an exact derivative, large enough
# never to underflow
_STEP = 1e-100


def _evaluate(
    f: Scalar, args: Sequence[Any], argnums: int | Sequence[int]
) -> tuple[Tensor, list[Tensor]]:
    """Call f with the chosen arguments as leaves and the other arrays as constants; return its value and the leaves."""
    chosen = [argnums] if isinstance(argnums, (int, np.integer)) else list(argnums)
    name = getattr(f, "__name__", "f")
    inputs = [
        Tensor(a) if isinstance(a, (np.ndarray, np.generic, float, list)) else a for a in args
    ]
    for k in chosen:
        inputs[k] = Tensor(_argument(name, args, k), requires_grad=True)
    with switched(
        recording=True
    ):  # a no_grad() around the call is the caller's affair, as in PyTorch
        y = f(*inputs)
    if not isinstance(y, Tensor) or y.shape != ():
        got = f"a Tensor of shape {y.shape}" if isinstance(y, Tensor) else type(y).__name__
        raise GraphError(f"{name}: expected a function that returns a scalar Tensor, got {got}")
    return y, [inputs[k] for k in chosen]


@overload
def value_and_grad(f: Scalar, argnums: int = 0) -> Callable[..., tuple[Array, Array]]: ...
@overload
def value_and_grad(
    f: Scalar, argnums: Sequence[int]
) -> Callable[..., tuple[Array, tuple[Array, ...]]]: ...
def value_and_grad(f: Scalar, argnums: int | Sequence[int] = 0) -> Callable[..., tuple[Array, Any]]:
    """Return a function that gives the value of f, and its gradient with respect to the arguments `argnums`.

    Parameters
    ----------
    f : function of Tensors that returns a scalar Tensor
    argnums : int or sequence of ints
        Which arguments to differentiate by; a sequence gives a tuple of gradients, as in JAX.

    Returns
    -------
    function of arrays
        It returns (value, gradient) as ndarrays, and leaves every `.grad` as it was.

    Raises
    ------
    GraphError
        If f returns anything but a scalar Tensor.

    Examples
    --------
    >>> value_and_grad(lambda x: (x * x).sum())(np.array([1.0, 2.0]))
    (array(5.), array([2., 4.]))
    """

    def derivative(*args: Any) -> tuple[Array, Any]:
        y, leaves = _evaluate(f, args, argnums)
        found = gradients(y, leaves)
        return y.numpy(), found[0] if isinstance(argnums, (int, np.integer)) else tuple(found)

    return derivative


@overload
def grad(f: Scalar, argnums: int = 0) -> Callable[..., Array]: ...
@overload
def grad(f: Scalar, argnums: Sequence[int]) -> Callable[..., tuple[Array, ...]]: ...
def grad(f: Scalar, argnums: int | Sequence[int] = 0) -> Callable[..., Any]:
    """Return a function that gives the gradient of f with respect to the arguments `argnums`; see `value_and_grad`.

    Examples
    --------
    >>> grad(lambda x, y: x * y, argnums=1)(3.0, 4.0)
    array(3., dtype=float32)
    """
    both: Callable[..., Any] = value_and_grad(f, argnums)
    return lambda *args: both(*args)[1]


class _Analytic(Watch):
    """Watch for an operation that drops the complex step."""

    def forward(self, kernel: Kernel, arrays: list[Array], y: Array, node: Node | None) -> None:
        if y.dtype.kind == "f" and any(a.dtype.kind == "c" for a in arrays):
            raise GraphError(
                f"{op_name(kernel)}: not analytic, so no second derivative: a complex input gave a real result"
            )


def hvp(f: Scalar, x: npt.ArrayLike, v: npt.ArrayLike, *others: Any, argnums: int = 0) -> Array:
    """Product H v of the Hessian of f at x with a vector v: the imaginary part of grad f(x + i h v) / h, exact to rounding.

    Parameters
    ----------
    f : function of Tensors that returns a scalar Tensor
    x : array_like
        The first argument of f; `others` are the rest.
    v : array_like
        The direction, of the shape of argument `argnums`.
    argnums : int
        Which argument the Hessian is of.

    Returns
    -------
    ndarray of the shape of v

    Raises
    ------
    GraphError
        If f is no scalar, or an operation on the way is not analytic, so that a complex step cannot
        pass.
    ShapeError
        If v has another shape than the argument.

    References
    ----------
    Martins, Sturdza & Alonso (2003), The complex-step derivative approximation.

    Examples
    --------
    >>> hvp(lambda x: (x**3).sum(), np.array([1.0, 2.0]), np.array([1.0, 0.0]))
    array([6., 0.])
    """
    args = [x, *others]
    point, direction = _argument("hvp", args, argnums), as_array(unwrap(v))
    if point.shape != direction.shape:
        raise ShapeError(
            f"hvp: expected v of the argument's shape {point.shape}, got {direction.shape}"
        )
    if point.dtype.kind != "f":
        raise TypeError(
            f"hvp: expected real floating-point arguments, got {point.dtype}; pass floats"
        )
    args[argnums] = point.astype(np.complex128) + 1j * _STEP * direction.astype(np.float64)
    try:
        with switched(watch=_Analytic()):
            y, leaves = _evaluate(f, args, argnums)
    except TypeError as error:  # a ufunc that has no complex form
        raise GraphError(
            f"hvp: a complex step cannot pass an operation that is not analytic: {error}"
        ) from error
    return (gradients(y, leaves)[0].imag / _STEP).astype(point.dtype)


def hessian(f: Scalar, x: npt.ArrayLike, *others: Any, argnums: int = 0) -> Array:
    """Hessian of f at x: second derivatives by every pair of elements, of shape x.shape + x.shape; one `hvp` an element.

    Examples
    --------
    >>> hessian(lambda x: x[0] * x[1], np.array([5.0, 7.0]))
    array([[0., 1.],
           [1., 0.]])
    """
    point = _argument("hessian", [x, *others], argnums)
    directions = np.eye(point.size).reshape(point.size, *point.shape)
    rows = [hvp(f, x, direction, *others, argnums=argnums) for direction in directions]
    return np.array(rows, point.dtype).reshape(point.shape * 2)


def _argument(name: str, args: Sequence[Any], k: int) -> Array:
    if not isinstance(k, (int, np.integer)) or not -len(args) <= k < len(args):
        raise ValueError(
            f"{name}: expected argnums as one number below {len(args)}, the number of arguments, got {k}"
        )
    return as_array(unwrap(args[k]))
