"""NumPy's names on Tensors: values as NumPy's, gradients to second order, true names in errors."""

import numpy as np
import pytest

import tinygrad_mnist as tg
from tinygrad_mnist import Tensor
from tinygrad_mnist.testing import gradcheck

RNG = np.random.default_rng(0)
V, W = RNG.uniform(0.3, 0.9, 3), RNG.uniform(0.3, 0.9, 3)
M, N = RNG.uniform(0.3, 0.9, (3, 4)), RNG.uniform(0.3, 0.9, (3, 4))
S = np.eye(3) + 0.3 * RNG.uniform(-1, 1, (3, 3))
STACK = np.eye(2) + 0.3 * RNG.uniform(-1, 1, (4, 2, 2))
CUBE = RNG.uniform(0.3, 0.9, (2, 3, 4))

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
    "sinc": (np.sinc, np.array([-1.5, 0.0, 0.3, 1.0])),
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


@pytest.mark.parametrize(
    "f",
    [
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


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda t: np.linalg.eig(t), TypeError, "np.linalg.eig"),
        (lambda t: np.fft.fft(t), TypeError, "np.fft.fft"),
        (lambda t: np.linalg.norm(t, 1), TypeError, "np.linalg.norm .* ord"),
        (lambda t: np.tensordot(t, np.ones((2, 2)), axes=1), tg.ShapeError, "tensordot"),
        (lambda t: np.cross(t[:, :2], t[:, :2]), tg.ShapeError, "three components"),
        (lambda t: np.ravel(t, order="F"), TypeError, "order='C'"),
        (lambda t: np.median(t), TypeError, "np.median"),
    ],
)
def test_what_is_not_supported_says_its_true_name(call, error, words):
    with pytest.raises(error, match=words):
        call(Tensor(S, requires_grad=True))
