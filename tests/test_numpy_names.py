"""NumPy's names on Tensors: values as NumPy's, gradients to second order, true names in errors."""

import itertools

import numpy as np
import pytest

import tinygrad_mnist as tg
from tinygrad_mnist import Tensor
from tinygrad_mnist.tensor import NUMPY_FUNCTIONS
from tinygrad_mnist.testing import gradcheck

RNG = np.random.default_rng(0)
V, W = RNG.uniform(0.3, 0.9, 3), RNG.uniform(0.3, 0.9, 3)
M, N = RNG.uniform(0.3, 0.9, (3, 4)), RNG.uniform(0.3, 0.9, (3, 4))
S = np.eye(3) + 0.3 * RNG.uniform(-1, 1, (3, 3))
STACK = np.eye(2) + 0.3 * RNG.uniform(-1, 1, (4, 2, 2))
CUBE = RNG.uniform(0.3, 0.9, (2, 3, 4))
COORDINATES = np.array([0.0, 1.0, 1.5, 3.0])

CASES = {
    "vstack": (lambda a, b: np.vstack([a, b]), V, W),
    "vstack of matrices": (lambda a, b: np.vstack([a, b]), M, N),
    "hstack": (lambda a, b: np.hstack([a, b]), V, W),
    "hstack of matrices": (lambda a, b: np.hstack([a, b]), M, N),
    "dstack": (lambda a, b: np.dstack([a, b]), V, W),
    "dstack of matrices": (lambda a, b: np.dstack([a, b]), M, N),
    "column_stack": (lambda a, b: np.column_stack([a, b]), V, M),
    "append": (lambda a, b: np.append(a, b), M, V),
    "append along an axis": (lambda a, b: np.append(a, b, axis=1), M, N),
    "atleast_1d": (np.atleast_1d, np.array(0.5)),
    "atleast_2d": (np.atleast_2d, V),
    "atleast_3d of a number": (np.atleast_3d, np.array(0.5)),
    "atleast_3d of a vector": (np.atleast_3d, V),
    "atleast_3d of a matrix": (np.atleast_3d, M),
    "ravel": (np.ravel, M),
    "fliplr": (np.fliplr, M),
    "flipud": (np.flipud, V),
    **{f"rot90 {k}": (lambda a, k=k: np.rot90(a, k), M) for k in (-1, 0, 1, 2, 3)},
    "rot90 in other axes": (lambda a: np.rot90(a, 1, (1, 2)), CUBE),
    **{
        f"rollaxis {axis} {start}": (lambda a, x=axis, s=start: np.rollaxis(a, x, s), CUBE)
        for axis, start in ((2, 0), (0, 2), (1, 3), (-1, 1))
    },
    "array_split": (lambda a: np.array_split(a, 3, axis=1)[0] * 2, M),
    "array_split at": (lambda a: np.array_split(a, [1, 3], axis=1)[1], M),
    "vsplit": (lambda a: np.vsplit(a, 3)[2], M),
    "hsplit": (lambda a: np.hsplit(a, 2)[1], M),
    "hsplit of a vector": (lambda a: np.hsplit(a, 3)[1], V),
    "dsplit": (lambda a: np.dsplit(a, 2)[1], CUBE),
    "diff": (np.diff, M),
    "diff twice": (lambda a: np.diff(a, 2, axis=0), M),
    "inner": (np.inner, M, N),
    "inner of vectors": (np.inner, V, W),
    "inner with a number": (np.inner, V, np.array(2.0)),
    "kron": (np.kron, M, S),
    "kron of unequal ndim": (np.kron, V, S),
    "tensordot": (np.tensordot, CUBE, CUBE.transpose(1, 2, 0)),
    "tensordot of axes": (lambda a, b: np.tensordot(a, b, axes=([0, 2], [2, 0])), CUBE, CUBE.T),
    "tensordot without axes": (lambda a, b: np.tensordot(a, b, axes=0), V, W),
    "cross": (np.cross, V, W),
    "cross along an axis": (lambda a, b: np.cross(a, b, axis=0), M, N),
    "diag of a vector": (lambda a: np.diag(a, -1), V),
    "diag of a matrix": (lambda a: np.diag(a, 1), M),
    "hypot": (np.hypot, M, V[:, None]),
    "exp2": (np.exp2, V),
    "arcsinh": (np.arcsinh, np.array([-2.0, -1e-3, 0.0, 1e-3, 2.0])),
    "arccosh": (np.arccosh, 1 + V),
    "arctanh": (np.arctanh, V),
    "sinc": (np.sinc, np.array([-1.5, -0.32, 0.0, 1e-9, 0.3, 1.0])),
    "logaddexp2": (np.logaddexp2, V, W),
    "deg2rad": (np.deg2rad, V),
    "radians": (np.radians, V),
    "rad2deg": (np.rad2deg, V),
    "degrees": (np.degrees, V),
    "fabs": (np.fabs, V - 2),
    "fmax": (np.fmax, V, W + 1),
    "fmin": (np.fmin, V, W + 1),
    "nan_to_num": (np.nan_to_num, V),
    "remainder": (np.remainder, np.array([5.5, -5.5, 2.25]), np.array([2.0, 2.0, -1.0])),
    "percent": (lambda a, b: a % b, np.array([5.5, -5.5]), np.array([2.0, 3.0])),
    "percent of a number": (lambda b: 7.5 % b, np.array([2.0, 3.0])),
    "real": (np.real, V),
    "conjugate": (np.conjugate, V),
    "einsum with lists": (lambda a, b: np.einsum(a, [0, 1], b, [0, 1], [0]), M, N),
    "einsum with lists, implicit": (lambda a, b: np.einsum(a, [0, 1], b, [0, 2]), M, S),
    "einsum with an ellipsis": (lambda a: np.einsum(a, [..., 0], [...]), CUBE),
    "inv": (np.linalg.inv, S),
    "inv of a stack": (np.linalg.inv, STACK),
    "solve": (np.linalg.solve, S, M),
    "solve for a vector": (np.linalg.solve, S, V),
    "solve for a stack": (np.linalg.solve, STACK, STACK + 1),
    "det": (np.linalg.det, S),
    "det of a stack": (np.linalg.det, STACK),
    "slogdet": (lambda a: np.linalg.slogdet(a)[1], STACK),
    "norm": (np.linalg.norm, M),
    **{
        f"norm of order {p}": (lambda a, p=p: np.linalg.norm(a, p, axis=1, keepdims=True), M)
        for p in (-np.inf, -1, 0.5, 1, 2, 3, np.inf)
    },
    **{
        f"matrix norm {p}": (lambda a, p=p: np.linalg.norm(a, p, axis=(2, 0)), CUBE)
        for p in ("fro", 1, -1, np.inf, -np.inf)
    },
    "gradient": (np.gradient, V),
    "gradient with parabolas at the ends": (
        lambda a: np.gradient(a, 0.5, axis=-1, edge_order=2),
        M,
    ),
    "gradient of two axes": (lambda a: np.gradient(a, axis=(0, -1))[1], CUBE),
    "gradient by coordinates": (lambda a: np.gradient(a, 2.0, COORDINATES)[1], M),
    "gradient with respect to coordinates": (
        lambda a, c: np.gradient(a, c, axis=1, edge_order=2),
        M,
        COORDINATES,
    ),
    "gradient with respect to a step": (lambda a, h: np.gradient(a, h), V, np.array(0.3)),
    "linspace": (lambda a, b: np.linspace(a, b, 5), np.array(0.1), np.array(0.7)),
    "linspace of vectors": (lambda a, b: np.linspace(a, b, 4, axis=-1), V, W),
    "linspace without its end": (lambda a, b: np.linspace(a, b, 4, endpoint=False), V, W),
    "linspace of one": (lambda a: np.linspace(a, 3.0, 1), V),
    "the step of linspace": (lambda a: np.linspace(a, 3.0, 4, retstep=True)[1], V),
    "select": (lambda a, b: np.select([M > 0.7, M > 0.5], [a, b[:, None]], default=1.5), M, V),
    "partition": (lambda a: np.partition(a, [0, 2], axis=1), M),
    "partition of all": (lambda a: np.partition(a, 4, axis=None), M),
    "diff with ends": (
        lambda a, b: np.diff(a, 2, axis=0, prepend=b, append=1.5),
        M,
        N,
    ),
    "diff with a number": (lambda a, b: np.diff(a, prepend=b), M, np.array(0.5)),
    "a large diag": (lambda a: np.diag(a, 2)[1], V),
    "einsum with optimize": (lambda a: np.einsum("ij,ij->i", a, a, optimize=True), M),
    "vstack with a dtype": (lambda a: np.vstack([a, a], dtype=a.dtype), V),
    "positive": (np.positive, V),
    "real_if_close": (np.real_if_close, V),
    "full_like": (lambda a: np.full_like(a, a[1]), V),
    "clip": (lambda a: np.clip(a, 0.4, None), M + 0.2),
}


@pytest.mark.parametrize("name", CASES)
def test_a_name_of_numpys_gives_its_value_and_a_gradient(name):
    f, *inputs = CASES[name]
    y = f(*(Tensor(x, requires_grad=True) for x in inputs))
    assert isinstance(y, Tensor)
    np.testing.assert_allclose(y.numpy(), f(*inputs), rtol=1e-12, atol=1e-15)
    assert y.requires_grad
    narrow = f(*(Tensor(x, requires_grad=True, dtype=np.float32) for x in inputs))
    assert narrow.dtype == np.float32
    gradcheck(f, *inputs, order=2, fast=True)


def test_what_nan_and_infinity_become_has_no_slope():
    x = Tensor(np.array([np.nan, np.inf, 1.0]), requires_grad=True)
    y = np.nan_to_num(x, nan=7.0, posinf=8.0)
    np.testing.assert_array_equal(y.numpy(), [7.0, 8.0, 1.0])
    y.sum().backward()
    np.testing.assert_array_equal(x.grad, [0, 0, 1])
    a = Tensor(np.array([np.nan, 2.0, np.nan]), requires_grad=True)
    np.testing.assert_array_equal(np.fmax(a, [1.0, np.nan, np.nan]).numpy(), [1.0, 2.0, np.nan])


def test_hypot_neither_overflows_nor_has_a_nan_slope_at_the_origin():
    x, y = (Tensor(np.array([0.0, 3e200]), requires_grad=True) for _ in range(2))
    z = np.hypot(x, y)
    np.testing.assert_allclose(z.numpy(), [0.0, 3e200 * 2**0.5])
    z.sum().backward()
    np.testing.assert_allclose(x.grad, [0.0, 0.5**0.5])


def test_a_remainder_is_numpys_where_the_quotient_rounds():
    x, y = np.array([1.0, 5.0, -5.0, 1e17]), np.array([0.1, np.inf, np.inf, 3.0])
    np.testing.assert_array_equal((Tensor(x) % Tensor(y)).numpy(), x % y)


@pytest.mark.parametrize(
    ("f", "x"),
    [
        (np.arcsinh, [-np.inf, -1e300, 1e200, np.inf, np.nan]),
        (np.arccosh, [0.5, 1.0, 1 + 1e-12, 1e200, np.inf]),
        (np.arctanh, [-1.0, 1e-20, 1.0, 2.0]),
        (np.exp2, [-1074.0, 3.0, 1024.0, -np.inf, np.inf]),
        (np.sinc, [0.0, 1e-300, 0.3, 1e5, np.nan]),
    ],
)
def test_values_are_numpys_at_the_ends_of_the_range(f, x):
    with np.errstate(all="ignore"):
        found, expected = f(Tensor(np.array(x))).numpy(), f(np.array(x))
    np.testing.assert_allclose(found, expected, rtol=1e-14)


A_THIRD = 1 / 3  # float32 keeps 7 of its digits


@pytest.mark.parametrize(
    "f",
    [
        lambda t: np.hypot(t, A_THIRD),
        lambda t: np.logaddexp2(A_THIRD, t),
        lambda t: np.fmax(t, A_THIRD),
        lambda t: t % A_THIRD,
        lambda t: t // A_THIRD,
        lambda t: np.vstack([t, [A_THIRD] * 3]),
        lambda t: np.hstack([t, [A_THIRD]]),
        lambda t: np.dstack([t, [A_THIRD] * 3]),
        lambda t: np.column_stack([t, [A_THIRD] * 3]),
        lambda t: np.append(t, A_THIRD),
        lambda t: np.inner(t, [A_THIRD] * 3),
        lambda t: np.inner(t, A_THIRD),
        lambda t: np.kron([A_THIRD] * 2, t),
        lambda t: np.cross(t, [A_THIRD, 0.1, 2.0]),
        lambda t: np.tensordot(t, [A_THIRD] * 3, 1),
        lambda t: np.diff(t, prepend=A_THIRD),
        lambda t: np.gradient(t, A_THIRD),
        lambda t: np.gradient(t, [0.0, A_THIRD, 1.0]),
        lambda t: np.linspace(t, A_THIRD, 3),
        lambda t: np.linspace(A_THIRD, t, 4)[1],
        lambda t: np.select([V > 0.5], [t], A_THIRD),
        lambda t: np.linalg.norm(t, A_THIRD),
    ],
)
def test_numbers_and_lists_take_the_dtype_beside_them(f):
    exact = f(V)
    wide = f(Tensor(V))
    assert wide.dtype == np.float64
    np.testing.assert_allclose(wide.numpy(), exact, rtol=1e-14)
    assert f(Tensor(V.astype(np.float32))).dtype == np.float32


def test_a_numpy_number_does_not_widen():
    t = Tensor(V.astype(np.float32))
    two = np.float64(2)
    for y in (np.hypot(t, two), np.logaddexp2(t, two), t % two, t // two, np.gradient(t, two),
              np.linspace(t, two, 3), np.diff(t, prepend=two), np.inner(t, two)):  # fmt: skip
        assert y.dtype == np.float32


def test_sinc_has_the_slopes_of_its_series_near_zero():
    slope = tg.grad(lambda x: np.sinc(x).sum())
    x = np.array([1e-9, 1e-4], np.float32)
    np.testing.assert_allclose(slope(x), -(np.pi**2) / 3 * x, rtol=1e-5)
    second = tg.grad(lambda x: slope(x).sum())(x.astype(float))
    np.testing.assert_allclose(second, -(np.pi**2) / 3, rtol=1e-6)


def test_a_long_vector_makes_a_diagonal_matrix_in_the_memory_of_one():
    v = Tensor(np.ones(2000, np.float32), requires_grad=True)  # n**3 numbers would be 32 GB
    np.diag(v).sum().backward()
    np.testing.assert_array_equal(v.grad, np.ones(2000))


def test_a_norm_of_zeros_has_slope_zero_and_large_numbers_do_not_overflow():
    x = Tensor(np.array([[0.0, 0.0], [3e200, 4e200]]), requires_grad=True)
    y = np.linalg.norm(x, 3, axis=1)
    np.testing.assert_allclose(y.numpy(), [0.0, 91 ** (1 / 3) * 1e200])
    y.sum().backward()
    np.testing.assert_array_equal(x.grad[0], [0.0, 0.0])
    assert np.isfinite(x.grad).all()


def test_where_with_a_condition_alone_gives_its_places():
    t = Tensor(np.array([[1.0, -1.0], [-2.0, 3.0]]), requires_grad=True)
    np.testing.assert_array_equal(np.where(t > 0), [[0, 1], [0, 1]])


def test_the_other_operators_of_numbers_work():
    t = Tensor(np.array([2.7, -2.7]), requires_grad=True)
    assert (+t).requires_grad
    assert round(t).requires_grad
    np.testing.assert_array_equal((t // 2).numpy(), [1.0, -2.0])
    np.testing.assert_array_equal((7 // t).numpy(), [2.0, -3.0])
    np.testing.assert_array_equal(round(t, 1).numpy(), [2.7, -2.7])


@pytest.mark.parametrize(
    "f",
    [
        np.angle, np.isreal, np.iscomplex, np.trunc, np.rint, np.argwhere, np.flatnonzero,
        lambda t: np.argpartition(t, 1), lambda t: np.isin(t, [2.0]),
        np.argmax, np.argsort, np.isnan, np.any, np.all, np.nonzero, np.count_nonzero, np.isposinf,
        lambda t: np.logical_and(t, t), np.logical_not, lambda t: np.floor_divide(t, 2.0),
        lambda t: np.searchsorted(t, 0.5), np.signbit, np.imag, lambda t: np.linalg.slogdet(np.diag(t))[0],
    ],
)  # fmt: skip
def test_functions_without_a_gradient_give_plain_values(f):
    t = Tensor(np.array([0.1, 0.7, 2.0]), requires_grad=True)
    found, expected = f(t), f(t.numpy())
    assert not isinstance(found, Tensor) or not found.requires_grad
    np.testing.assert_array_equal(found, expected)


KEYWORDS = {
    "where": S > 0.2, "initial": 5.0, "out": np.zeros((3, 3)), "dtype": np.float32, "order": "F",
    "casting": "unsafe", "mean": 0.0, "kind": "stable", "mode": "edge", "optimize": True,
}  # fmt: skip


@pytest.mark.parametrize("keyword", KEYWORDS)
@pytest.mark.filterwarnings("ignore")
def test_a_keyword_of_numpys_is_honoured_or_refused(keyword):
    """Never ignored: what a function returns with it is what NumPy's returns."""
    option = {keyword: KEYWORDS[keyword]}
    for function, count in itertools.product(NUMPY_FUNCTIONS, (1, 2)):
        try:
            y = function(*[Tensor(S)] * count, **option)
        except (TypeError, ValueError, AttributeError):
            continue
        expected = function(*[S] * count, **option)
        if function not in (np.empty_like, np.linalg.slogdet):
            np.testing.assert_allclose(np.asarray(y), expected, err_msg=function.__name__)
            assert np.asarray(y).dtype == np.asarray(expected).dtype, function.__name__


NONE, ROW = np.zeros(0), np.zeros((0, 3))
STACK_OF_NONE = np.zeros((0, 2, 2))


@pytest.mark.parametrize(
    ("f", "inputs"),
    [
        (lambda a: np.vstack([a, a]), [ROW]),
        (lambda a: np.hstack([a, a]), [NONE]),
        (np.diff, [NONE]),
        (lambda a: np.diff(a, 3), [np.zeros((2, 2))]),
        (np.kron, [np.zeros((0, 2)), np.ones((2, 3))]),
        (np.inner, [np.zeros((2, 0)), np.zeros((3, 0))]),
        (lambda a, b: np.tensordot(a, b, 1), [np.zeros((2, 0)), ROW]),
        (np.diag, [NONE]),
        (lambda a: np.diag(a, 2), [NONE]),
        (np.rot90, [ROW]),
        (np.cross, [ROW, ROW]),
        (np.hypot, [NONE, NONE]),
        (np.remainder, [NONE, NONE]),
        (np.sinc, [NONE]),
        (lambda a: np.linspace(a, 1.0, 3), [NONE]),
        (lambda a: np.linspace(a, 1.0, 0), [V]),
        (lambda a: np.select([a > 0], [a], 1.0), [ROW]),
        (lambda a: np.array_split(a, 5)[4], [np.zeros(2)]),
        (lambda a: np.linalg.norm(a, 3, axis=0), [ROW]),
        (lambda a: np.partition(a, 0), [ROW]),
        (lambda a: np.gradient(a, axis=0), [np.zeros((3, 0))]),
        (np.linalg.inv, [STACK_OF_NONE]),
        (np.linalg.det, [np.zeros((0, 0))]),
    ],
)
def test_empty_arrays_are_numpys(f, inputs):
    tensors = [Tensor(x, requires_grad=True) for x in inputs]
    y = f(*tensors)
    np.testing.assert_array_equal(y.numpy(), f(*inputs))
    assert y.shape == f(*inputs).shape
    y.sum().backward()
    for x in tensors:
        assert x.grad is None or x.grad.shape == x.shape


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda t: np.linalg.eig(t), TypeError, "np.linalg.eig"),
        (lambda t: np.fft.fft(t), TypeError, "np.fft.fft"),
        (lambda t: np.linalg.norm(t, "nuc"), TypeError, "np.linalg.norm .* ord .* got 'nuc'"),
        (lambda t: np.diff(t, axis=2), np.exceptions.AxisError, "diff: axis 2"),
        (lambda t: np.rollaxis(t, 2), np.exceptions.AxisError, "rollaxis: axis 2"),
        (lambda t: np.rot90(t, 1, (0, 0)), ValueError, "repeated axis in `rot90`"),
        (lambda t: np.tensordot(t, t, ([2], [0])), np.exceptions.AxisError, "tensordot: axis 2"),
        (lambda t: np.tensordot(t, t, 3), ValueError, "repeated axis in `tensordot`"),
        (lambda t: np.gradient(t[:1], axis=0), tg.ShapeError, "at least 2 samples along axis 0"),
        (
            lambda t: np.gradient(t, [1.0, 2.0]),
            TypeError,
            "a distance for each of the 2 axes, got 1",
        ),
        (lambda t: np.gradient(t, 1.0, [1.0, 2.0]), tg.ShapeError, "3 coordinates for axis 1"),
        (lambda t: np.select([S], [t]), TypeError, "conditions of bools, got float64"),
        (lambda t: np.select([S > 0], [t, t]), ValueError, "1 conditions and 2 choices"),
        (lambda t: np.linspace(t, 1.0, -1), ValueError, "num of at least 0"),
        (lambda t: np.unique(t), TypeError, "np.unique .* without a gradient"),
        (lambda t: np.full_like(S, t), TypeError, "np.copyto .* without a gradient"),
        (lambda t: np.array([t, t]), TypeError, r"join Tensors with stack\(\) or concatenate\(\)"),
        (lambda t: np.exp(t, out=np.zeros((3, 3))), TypeError, r"np.exp: .* write a = a \+ t"),
        (lambda t: np.tensordot(t, np.ones((2, 2)), axes=1), tg.ShapeError, "tensordot"),
        (lambda t: np.cross(t[:, :2], t[:, :2]), tg.ShapeError, "three components"),
        (lambda t: np.ravel(t, order="F"), TypeError, "order='C'"),
        (lambda t: np.median(t), TypeError, "np.median"),
    ],
)
def test_what_is_not_supported_says_its_true_name(call, error, words):
    with pytest.raises(error, match=words):
        call(Tensor(S, requires_grad=True))


def test_the_middle_sample_of_a_gradient_does_not_count():
    f = Tensor(np.array([1, 1e8, 2], np.float32), requires_grad=True)
    y = np.gradient(f)
    assert y.numpy()[1] == 0.5
    y[1].backward()
    np.testing.assert_array_equal(f.grad, [-0.5, 0, 0.5])
    assert np.gradient(Tensor(np.array([1.0, np.nan, 2.0])), 2.0).numpy()[1] == 0.25


def test_einsum_numbers_letters_as_numpy_does():
    a = np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(np.einsum(Tensor(a), [27, 1]).numpy(), np.einsum(a, [27, 1]))
    for wrong in ([-1, 1], [52, 1]):
        with pytest.raises(ValueError, match="from 0 to 51"):
            np.einsum(Tensor(a), wrong)


def test_integers_do_not_wrap_around_under_numpys_names():
    a = np.array([-128, 3, 127], np.int8)
    for order in (1, np.inf, -np.inf, 3):
        ours = np.linalg.norm(Tensor(a), order)
        assert ours.item() == pytest.approx(np.linalg.norm(a.astype(float), order), rel=1e-6)
    assert np.fabs(Tensor(a)).numpy()[0] == 128
    with np.errstate(divide="ignore"):
        assert np.arctanh(Tensor(np.array([1], np.uint8))).numpy()[0] == np.inf
    assert np.arcsinh(Tensor(np.array([-32768], np.int16))).numpy()[0] == pytest.approx(-11.09035)


@pytest.mark.parametrize(
    "f", [lambda t, x: t * x, lambda t, x: x + t, lambda t, x: np.maximum(t, x)]
)
def test_a_number_beside_integers_keeps_its_digits(f):
    ours = f(Tensor(np.array([1, 2])), np.pi).numpy()
    assert ours.dtype == np.float64
    np.testing.assert_array_equal(ours, f(np.array([1, 2]), np.pi))
