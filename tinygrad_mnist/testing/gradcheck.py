"""gradcheck: compare derivatives with finite differences or a complex step, to any order."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..arrays import Array
from ..errors import GradcheckError, GradientMismatch, GraphError, ShapeError, check_size
from ..graph import Node, switched
from ..tensor import gradients
from .function import Call, Checked, function_name, pullback
from .manners import Behaved, Manners, check_behaviour, check_linear
from .numeric import Central, Complex, Found, place, seeds_by_size

__all__ = ["gradcheck"]


@dataclass(frozen=True)
class Options:
    """The options of the comparison, as given by the user."""

    method: str
    order: int = 1
    eps: float | None = None
    rtol: float | None = None
    atol: float | None = None
    fast: bool = False

    def __str__(self) -> str:
        """Return the options as arguments of a call, without default values."""
        usual = asdict(Options(self.method))
        given = {name: value for name, value in asdict(self).items() if value != usual[name]}
        return ", ".join(f"{name}={v!r}" for name, v in {"method": self.method, **given}.items())

    def numeric(self, order: int, *point: Any) -> Central:
        """Return the object that computes the numeric slopes of one order."""
        if self.method == "central":
            return Central(*point, eps=self.eps, rtol=self.rtol, atol=self.atol)
        if order == 1:
            return Complex(*point, eps=self.eps, rtol=self.rtol, atol=self.atol)
        # A vjp takes only real numbers, so use differences. The user's tolerances are not used
        # here, because they are meant for the complex step.
        return Central(*point)


def gradcheck(
    f: Callable[..., Any],
    *inputs: Any,
    method: str = "central",
    order: int = 1,
    eps: float | None = None,
    rtol: float | None = None,
    atol: float | None = None,
    fast: bool = False,
) -> bool:
    """Check the derivatives of a function of Tensors, entry by entry, in float64.

    The check multiplies the result by fixed random numbers u and sums: F(x) = sum(u * f(x)). It
    compares the gradient of F with (F(x + h) - F(x - h)) / 2h, or with imag F(x + ih) / h. Outputs
    whose slopes have very different sizes get separate sums, because a large slope would hide an
    error in a small one.

    The vjps must also keep the engine's contract. They must not mutate or alias arrays. Shapes and
    dtypes must be right. The gradients must be proportional to the given gradient, and must not
    depend on `needs` or strides, or change in a second run.

    Parameters
    ----------
    f : function of Tensors that returns a Tensor, or a Module
        A Module's parameters are checked as well.
    *inputs : Tensors, arrays, Modules
        Gradients are checked for floating-point inputs. If any Tensor requires grad, only the
        Tensors that require grad are checked. Integers, such as labels, are constants. The inputs
        and their `.grad` do not change, because the check works on float64 copies.
    method : {"central", "complex"}
        The complex step is exact up to rounding, but needs analytic operations. It is used for
        order 1 only. Higher orders are always checked by central differences.
    order : int
        With 2, the vjp itself is checked after order 1, as a function of the inputs and of the
        cotangent (the gradient that it receives). With 3, the vjp of the vjp is checked, and so on.
    eps : float, optional
        The step. By default it is the cube root of the machine epsilon, scaled by the entry's size
        (1e-100 for a complex step). If the slopes disagree, steps of 64, 8, 1/16 and 1/256 times
        this size are tried as well.
    rtol, atol : float, optional
        An entry passes if abs(analytic - numeric) <= rtol * (the larger of both) + atol + noise.
        By default rtol is 1e-5 (complex: 1e-9), and atol is 1e-10 times the largest slope or
        value (where a value above 1 counts as 1).
        The noise is the error that rounding can cause in the numeric slope. Only outputs that
        change with the entry add to it. If several steps were tried, the difference between the two
        that agree best is added.
    fast : bool
        Compare three random directions of each input instead of every entry, for large inputs.

    Returns
    -------
    bool
        True.

    Raises
    ------
    GradientMismatch
        If an entry differs. The message names the operation, the input, the index, the step, both
        values, and a small call that fails in the same way.
    NonDifferentiableError
        If there is a kink at the point.
    NonDeterministicError
        If two runs differ.
    GradcheckError
        If an array is mutated or aliased, if a gradient has a wrong shape or dtype or depends on
        `needs` or strides, or if an operation cannot be differentiated as often as `order` says.
    ValueError
        If there is no input or parameter to check, the method is unknown, or the order is below 1.

    Examples
    --------
    >>> gradcheck(lambda x: (x * x).sum(), np.array([1.0, 2.0]), order=2)
    True
    """
    __tracebackhide__ = True
    if method not in ("central", "complex"):
        raise ValueError(f'gradcheck: expected method "central" or "complex", got {method!r}')
    check_size("gradcheck", "order", order)
    call = Call(f, inputs)
    options = Options(method, order, eps, rtol, atol, fast)
    try:
        _check_all_orders(call, options)
    except GradcheckError as error:
        # The message is complete, so the traceback does not need to show the checker or the engine.
        raise error.with_traceback(None) from error.__cause__
    return True


def _check_all_orders(call: Call, options: Options) -> None:
    __tracebackhide__ = True
    checked = call.checked()
    unvaried: Mapping[Node, str] = call.unvaried()
    operations: list[str] = []
    scale = 0.0
    for order in range(1, options.order + 1):
        watch = Manners(call.name, unvaried)
        try:
            with switched(watch=watch, recording=True):
                behaved = check_behaviour(checked, call.constants)
        except (ShapeError, GraphError) as error:
            raise GradcheckError(f"{checked.name}: {error}") from error
        # Keep the names of order 1, because the vjp of a vjp does not run the user's operations.
        operations = operations or list(dict.fromkeys(watch.operations))
        scale = max(scale, min(1.0, _largest([behaved.y])))
        with np.errstate(all="ignore"):
            wrong = _first_difference(checked, behaved, options, order, scale)
        if wrong is not None:
            raise _mismatch(call, checked, wrong, operations, options, order)
        with switched(recording=True):
            check_linear(checked, behaved)
        checked = pullback(checked, behaved.seed)
        unvaried = {}


@dataclass(frozen=True)
class Difference:
    """An entry (or a direction) whose analytic and numeric slopes differ."""

    k: int
    direction: Any
    analytic: float
    numeric: Found


def _first_difference(
    checked: Checked, behaved: Behaved, options: Options, order: int, scale: float
) -> Difference | None:
    """Compare every entry, and return the first one that differs."""
    __tracebackhide__ = True
    seeds = seeds_by_size(checked, behaved.seed)
    analytic = [behaved.slopes] if len(seeds) == 1 else _gradients_of_each(checked, seeds)
    numeric = options.numeric(order, checked, behaved.y, seeds, _floors(analytic, scale))
    for k, array in enumerate(checked.arrays):
        for direction in _directions(array, options.fast, k):
            expected = [_along(each[k], direction) for each in analytic]
            found = numeric.first_difference(k, direction, expected)
            if found is not None:
                return Difference(k, direction, *found)
    return None


def _floors(analytic: Sequence[Sequence[Array]], scale: float) -> list[float]:
    """Return for each seed how large a difference rounding may cause when large terms cancel.

    It is relative to the seed's largest slope. If all slopes of the seed may be rounding errors,
    the largest slope of all seeds counts instead. The values count as well, because a slope of 0
    may be the difference of terms as large as the values.
    """
    largest = [_largest(slopes) for slopes in analytic]
    overall = max(largest)
    return [1e-10 * max(scale, own if own > 1e-9 * overall else overall) for own in largest]


def _largest(arrays: Iterable[Array]) -> float:
    return max(float(np.abs(a[np.isfinite(a)]).max(initial=0.0)) for a in arrays)


def _gradients_of_each(checked: Checked, seeds: Sequence[Array]) -> list[list[Array]]:
    __tracebackhide__ = True
    with switched(recording=True):
        y, leaves = checked.recorded(checked.arrays, [True] * len(checked.arrays))
    return [gradients(y, leaves, seed, retain_graph=True) for seed in seeds]


def _directions(array: Array, fast: bool, k: int) -> Iterable[Any]:
    """Return what to vary: each index separately, or three random directions."""
    if not fast:
        return np.ndindex(array.shape)
    rng = np.random.default_rng([1, k])
    return [rng.standard_normal(array.shape) for _ in range(3)]


def _along(gradient: Array, direction: Any) -> float:
    if isinstance(direction, np.ndarray):
        return float((gradient * direction).sum())
    return float(gradient[direction])


# The message


def _mismatch(
    call: Call,
    checked: Checked,
    wrong: Difference,
    operations: Sequence[str],
    options: Options,
    order: int,
) -> GradientMismatch:
    k, analytic, numeric = wrong.k, wrong.analytic, wrong.numeric.slope
    index = () if isinstance(wrong.direction, np.ndarray) else wrong.direction
    error = abs(analytic - numeric) / max(abs(analytic), abs(numeric), 1e-300)
    method = options.method if order == 1 else "central"
    return GradientMismatch(
        f"{checked.name}: wrong gradient (operations: {', '.join(operations) or 'none'})\n"
        f"  by         {checked.labels[k]}, {place(checked.arrays[k], wrong.direction)}\n"
        f"  step       {wrong.numeric.step:.3g} ({method})\n"
        f"  analytic   {analytic:.12g}\n"
        f"  numeric    {numeric:.12g}\n"
        f"  difference {error:.3g} relative\n"
        f"  reproduce  {_smallest_call(call, checked.arrays[k].shape, index, options)}",
        k,
        index,
        wrong.numeric.step,
        analytic,
        numeric,
    )


def _smallest_call(
    call: Call, shape: tuple[int, ...], index: tuple[int, ...], options: Options
) -> str:
    """Return a failing call, with only one entry if that is possible and also fails."""
    arrays = call.arrays[: len(call.positions)]
    alike = not call.parameters and all(a.shape == shape for a in arrays)
    if alike and index and arrays[0].size > 1:
        alone = [np.array([a[index]]) for a in arrays]
        if _fails(call, alone, options):
            arrays = alone
    args = [_written(x) for x in call.inputs]
    for position, a in zip(call.positions, arrays, strict=True):
        args[position] = (
            f"np.array({a.tolist()})" if a.size <= 12 else f"<array of shape {a.shape}>"
        )
    return f"gradcheck({', '.join([call.name, *args, str(options)])})"


def _fails(call: Call, arrays: Sequence[Array], options: Options) -> bool:
    inputs = list(call.inputs)
    for position, a in zip(call.positions, arrays, strict=True):
        inputs[position] = a
    try:
        gradcheck(call.f, *inputs, **asdict(options))
    except GradientMismatch:
        return True
    except Exception:  # the function does not accept a single entry
        return False
    return False


def _written(x: Any) -> str:
    return function_name(x) if callable(x) else type(x).__name__
