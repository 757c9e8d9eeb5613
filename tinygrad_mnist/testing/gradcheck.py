"""gradcheck: compare a function's gradient with finite differences or a complex step, and check the vjp's manners."""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..arrays import Array
from ..errors import GradcheckError, GradientMismatch, GraphError, NonDeterministicError, ShapeError
from ..graph import Grads, Kernel, Node, Watch, op_name, saved_arrays, switched
from ..nn import Module
from ..tensor import Tensor, from_numpy, gradients, unwrap
from .numeric import Central, Complex, place

__all__ = ["gradcheck"]


class _Manners(Watch):
    """Watch that holds every vjp to the contract of `tinygrad_mnist.graph`, before the engine casts or sums anything."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def forward(self, kernel: Kernel, arrays: list[Array], y: Array, node: Node | None) -> None:
        self.names.append(op_name(kernel))

    def before_vjp(self, node: Node) -> None:
        self.saved = saved_arrays(node)

    def after_vjp(self, node: Node, gradients: Grads) -> None:
        mixed = len({p.dtype for p in node.parents if p is not None} | {node.dtype}) > 1
        pairs = enumerate(zip(gradients, node.parents, strict=False))
        given = [(i, np.asarray(g), parent) for i, (g, parent) in pairs if g is not None and parent]
        for i, g, parent in given:
            if g.shape != parent.shape:
                raise GradcheckError(
                    f"{node.name}: gradient {i} has shape {g.shape}, its input {parent.shape}"
                )
            if g.dtype != parent.dtype and not mixed:
                raise GradcheckError(
                    f"{node.name}: gradient {i} has dtype {g.dtype}, its input {parent.dtype}"
                )
            if any(np.shares_memory(g, array) for array in self.saved):
                raise GradcheckError(
                    f"{node.name}: gradient {i} aliases an array that the vjp saved; return a copy"
                )
            for j, other, _ in given:
                if j < i and np.shares_memory(g, other):
                    raise GradcheckError(
                        f"{node.name}: gradients {j} and {i} alias each other; return a copy of one"
                    )


class _Function:
    """The function under test with everything that it is differentiated by as a flat list of float64 arrays."""

    def __init__(self, f: Callable[..., Any], inputs: Sequence[Any]) -> None:
        modules: dict[int, Any] = {
            id(m): copy.deepcopy(m) for m in (f, *inputs) if isinstance(m, Module)
        }
        self.f: Callable[..., Any] = modules.get(id(f), f)
        self.inputs: list[Any] = [modules.get(id(x), x) for x in inputs]
        self.name = getattr(f, "__name__", type(f).__name__)
        found: list[tuple[int | Tensor, str, Array]] = []
        self.constants: list[tuple[str, Array]] = []
        wanted = any(isinstance(x, Tensor) and x.requires_grad for x in inputs)
        for k, x in enumerate(self.inputs):
            if isinstance(x, (Tensor, np.ndarray, np.floating, float)):
                data = np.array(unwrap(x))
                constant = isinstance(x, Tensor) and wanted and not x.requires_grad
                if data.dtype.kind == "f" and not constant:
                    found.append((k, f"input {k}", data))
                else:
                    self.inputs[k] = from_numpy(data) if isinstance(x, Tensor) else data
                    self.constants.append((f"input {k}", data))
        for module in modules.values():
            for name, parameter in module.named_parameters():
                if parameter.requires_grad:
                    found.append((parameter, f"parameter {name}", parameter.data))
        if not found:
            raise ValueError(
                "gradcheck: nothing to differentiate by; expected floating-point inputs, or a Module's parameters"
            )
        self.slots = [
            slot for slot, _, _ in found
        ]  # each a position in the inputs, or a parameter of a module
        self.labels = [label for _, label, _ in found]
        self.arrays: list[Array] = [np.array(data, np.float64, order="C") for _, _, data in found]

    def __call__(
        self, arrays: Sequence[Array], needs: Sequence[bool] | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        args, leaves = list(self.inputs), []
        for k, (slot, array) in enumerate(zip(self.slots, arrays, strict=True)):
            leaf = from_numpy(array, requires_grad=needs is not None and needs[k])
            if isinstance(slot, Tensor):
                slot._array, slot._node = leaf._array, leaf._node
            else:
                args[slot] = leaf
            leaves.append(leaf)
        y = self.f(*args)
        if not isinstance(y, Tensor) or y.dtype.kind not in "fc":
            got = y.dtype if isinstance(y, Tensor) else type(y).__name__
            raise GradcheckError(
                f"{self.name}: expected a floating-point Tensor as its result, got {got}"
            )
        return y, leaves

    def pull(self, arrays: Sequence[Array], needs: Sequence[bool], seed: Array) -> list[Array]:
        """Return the gradients, of a first and a second backward through one graph if they agree."""
        y, leaves = self(arrays, needs)
        first = gradients(y, leaves, seed, retain_graph=True)
        second = gradients(y, leaves, seed)
        for label, a, b in zip(self.labels, first, second, strict=True):
            if not np.array_equal(a, b, equal_nan=True):
                raise GradcheckError(
                    f"{self.name}: a second backward differs in {label}; a vjp mutates what it saved"
                )
        return first


def gradcheck(
    f: Callable[..., Any],
    *inputs: Any,
    method: str = "central",
    eps: float | None = None,
    rtol: float | None = None,
    atol: float | None = None,
    fast: bool = False,
) -> bool:
    """Check the gradient of a function of Tensors, entry by entry, in float64.

    The result is contracted with a fixed random seed u, and the gradient of sum(u * f(x)) compared
    with (F(x + h) - F(x - h)) / 2h, or with imag F(x + ih) / h. The vjps on the way are held to the
    engine's contract, too: nothing mutated, no aliases, right shapes and dtypes, the same answer
    for other `needs`, strides, and a second time.

    Parameters
    ----------
    f : function of Tensors that returns a Tensor, or a Module
        A Module's parameters are checked as well.
    *inputs : Tensors, arrays, Modules
        Floating-point ones are differentiated by (of Tensors those that require grad, if any does);
        integers, such as labels, are constants. They and their `.grad` are left as they were: the
        check works on float64 copies.
    method : {"central", "complex"}
        The complex step is exact to rounding, but needs analytic operations.
    eps : float, optional
        The step; by default the cube root of the machine epsilon, scaled by the entry's size
        (1e-100 for a complex step).
    rtol, atol : float, optional
        By default 1e-5 and 1e-7 (complex: 1e-9 and 1e-11); atol is scaled by the size of the
        result.
    fast : bool
        Compare three random directions of each input instead of every entry, for large inputs.

    Returns
    -------
    bool
        True.

    Raises
    ------
    GradientMismatch
        If an entry differs; it names operation, input, index, step, both values, and a small call
        that shows it.
    NonDifferentiableError
        If there is a kink at the point.
    NonDeterministicError
        If two runs differ.
    GradcheckError
        If an array is mutated or aliased, a gradient has a wrong shape or dtype or depends on
        `needs` or strides.
    ValueError
        If there is nothing to differentiate by, or the method is unknown.

    Examples
    --------
    >>> gradcheck(lambda x: (x * x).sum(), np.array([1.0, 2.0]))
    True
    """
    if method not in ("central", "complex"):
        raise ValueError(f'gradcheck: expected method "central" or "complex", got {method!r}')
    function = _Function(f, inputs)
    watch = _Manners()
    try:
        with switched(watch=watch, recording=True):
            y, seed, analytic = _behaviour(function)
    except (ShapeError, GraphError) as error:
        raise GradcheckError(f"{function.name}: {error}") from error
    rtol = (1e-5 if method == "central" else 1e-9) if rtol is None else rtol
    atol = (1e-7 if method == "central" else 1e-11) if atol is None else atol
    scale = max(1.0, float(np.abs(np.where(np.isfinite(y), seed * y, 0)).sum()))
    numeric = (Central if method == "central" else Complex)(
        function, y, seed, eps, rtol, atol * scale
    )
    rng = np.random.default_rng(1)
    with np.errstate(all="ignore"):
        for k, array in enumerate(function.arrays):
            directions: Any = (
                [rng.standard_normal(array.shape) for _ in range(3)]
                if fast
                else np.ndindex(array.shape)
            )
            for direction in directions:
                expected = (
                    float((analytic[k] * direction).sum())
                    if fast
                    else float(analytic[k][direction])
                )
                slope, step = numeric.slope(k, direction, expected)
                if (
                    not abs(slope - expected)
                    <= rtol * max(abs(slope), abs(expected)) + atol * scale
                ):
                    options = {"method": method, "eps": eps, "rtol": rtol, "atol": atol}
                    raise _mismatch(
                        function, watch.names, k, direction, step, expected, slope, options
                    )
    return True


def _behaviour(function: _Function) -> tuple[Array, Array, list[Array]]:
    """Check everything but the values; return the result, the seed and the gradients."""
    name, arrays = function.name, function.arrays
    watched = [
        (label, a, a.copy())
        for label, a in (*zip(function.labels, arrays, strict=True), *function.constants)
    ]
    every = [True] * len(arrays)
    y = function(arrays)[0].numpy().copy()
    _check_unchanged(name, watched)
    if not np.array_equal(y, function(arrays)[0].numpy(), equal_nan=True):
        raise NonDeterministicError(
            f"{name}: two runs on the same inputs gave different results; fix its seed, or call eval()"
        )
    rng = np.random.default_rng(0)
    seed = rng.uniform(0.5, 1.5, y.shape) * rng.choice([-1.0, 1.0], y.shape)
    watched.append(("the seed", seed, seed.copy()))
    analytic = function.pull(arrays, every, seed)
    _check_unchanged(name, watched)
    again = function.pull(arrays, every, seed)
    alone = [
        function.pull(arrays, [i == k for i in range(len(arrays))], seed)[k]
        for k in range(len(arrays))
    ]
    spread = [_strided(a) for a in arrays]
    strided_y = function(spread)[0].numpy()
    strided = function.pull(spread, every, seed)
    for k, (label, g) in enumerate(zip(function.labels, analytic, strict=True)):
        if not np.array_equal(g, again[k], equal_nan=True):
            raise NonDeterministicError(
                f"{name}: two backward runs gave different gradients of {label}"
            )
        if not np.allclose(g, alone[k], rtol=1e-10, atol=1e-12, equal_nan=True):
            raise GradcheckError(
                f"{name}: the gradient of {label} depends on `needs`: alone it differs"
            )
        if any(np.shares_memory(g, a) for a in arrays) or any(
            np.shares_memory(g, other) for other in analytic[:k]
        ):
            raise GradcheckError(
                f"{name}: the gradient of {label} aliases an input or another gradient; return a copy"
            )
        if not np.allclose(g, strided[k], rtol=1e-8, atol=1e-10, equal_nan=True):
            raise GradcheckError(
                f"{name}: the gradient of {label} differs for inputs that are not contiguous"
            )
    if not np.allclose(y, strided_y, rtol=1e-8, atol=1e-10, equal_nan=True):
        raise GradcheckError(f"{name}: the result differs for inputs that are not contiguous")
    return y, seed, analytic


def _check_unchanged(name: str, watched: Sequence[tuple[str, Array, Array]]) -> None:
    for label, a, before in watched:
        if not np.array_equal(a, before, equal_nan=a.dtype.kind in "fc"):
            raise GradcheckError(f"{name}: {label} was mutated")


def _strided(a: Array) -> Array:
    """Return an equal array that is neither contiguous nor in C order."""
    wide = np.full([2 * n for n in a.shape[::-1]], np.nan)
    every_other: tuple[Any, ...] = (*[slice(None, None, -2)] * a.ndim, ...)
    view: Array = wide[every_other].transpose()
    view[...] = a
    return view


def _mismatch(
    function: _Function,
    names: list[str],
    k: int,
    direction: Any,
    step: float,
    analytic: float,
    numeric: float,
    options: Any,
) -> GradientMismatch:
    index = () if isinstance(direction, np.ndarray) else direction
    error = abs(analytic - numeric) / max(abs(analytic), abs(numeric), 1e-300)
    return GradientMismatch(
        f"{function.name}: wrong gradient (operations: {', '.join(dict.fromkeys(names)) or 'none'})\n"
        f"  by         {function.labels[k]}, {place(function.arrays[k], direction)}\n"
        f"  step       {step:.3g} ({options['method']})\n"
        f"  analytic   {analytic:.12g}\n"
        f"  numeric    {numeric:.12g}\n"
        f"  difference {error:.3g} relative\n"
        f"  reproduce  {_smallest_call(function, k, index, options)}",
        k,
        index,
        step,
        analytic,
        numeric,
    )


def _smallest_call(function: _Function, k: int, index: tuple[int, ...], options: Any) -> str:
    """Return a call that fails: that of one entry by itself, if all inputs have its shape and it fails as well."""
    arrays, shape = function.arrays, function.arrays[k].shape
    alike = all(
        isinstance(slot, int) and a.shape == shape
        for slot, a in zip(function.slots, arrays, strict=True)
    )
    if alike and index and arrays[k].size > 1:
        alone = [np.array([a[index]]) for a in arrays]
        inputs = list(function.inputs)
        for slot, a in zip(function.slots, alone, strict=True):
            inputs[int(slot)] = a
        try:
            gradcheck(function.f, *inputs, **options)
        except GradientMismatch:
            arrays = alone
        except Exception:  # the function does not take one entry: keep the whole call
            pass
    args: list[str] = [getattr(x, "__name__", type(x).__name__) for x in function.inputs]
    for slot, a in zip(function.slots, arrays, strict=True):
        if isinstance(slot, int):
            args[slot] = (
                f"np.array({a.tolist()})" if a.size <= 12 else f"<array of shape {a.shape}>"
            )
    return f"gradcheck({', '.join([function.name, *args])}, method={options['method']!r})"
