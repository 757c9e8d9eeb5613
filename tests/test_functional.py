"""grad, value_and_grad, hvp, hessian: closed forms, argnums, errors."""

import numpy as np
import pytest

import tinygrad_mnist as tg
from tinygrad_mnist import (
    GraphError,
    ShapeError,
    Tensor,
    apply,
    grad,
    hessian,
    hvp,
    nn,
    value_and_grad,
)


def test_grad_by_one_or_several_arguments(rng):
    x, y = rng.standard_normal(3), rng.standard_normal(3)

    def f(a, b):
        return (a * a * b).sum()

    np.testing.assert_allclose(grad(f)(x, y), 2 * x * y)
    np.testing.assert_allclose(grad(f, 1)(x, y), x * x)
    gx, gy = grad(f, argnums=(0, 1))(x, y)
    np.testing.assert_allclose((gx, gy), (2 * x * y, x * x))
    value, (gy,) = value_and_grad(f, [1])(x, y)
    np.testing.assert_allclose(value, (x * x * y).sum())
    assert isinstance(value, np.ndarray)
    np.testing.assert_allclose(gy, x * x)


def test_a_no_grad_around_the_call_does_not_make_the_gradient_zero():
    with tg.no_grad():
        assert grad(lambda x: x * x)(3.0) == 6
        assert hvp(lambda x: x**3, 2.0, 1.0) == 12
        assert not (Tensor(1.0, requires_grad=True) * 2).requires_grad
    assert grad(lambda x: x * tg.no_grad()(lambda: x * 1)())(3.0) == 3, "one within f holds"


def test_gradients_of_captured_parameters_are_left_alone():
    w = Tensor(3.0, requires_grad=True)
    assert grad(lambda x: x * w)(2.0) == 3
    assert w.grad is None
    assert grad(lambda x: w * 2.0)(1.0) == 0


def test_hessians_in_closed_form(rng):
    a = rng.standard_normal((4, 4))
    x = rng.standard_normal(4)
    np.testing.assert_allclose(hessian(lambda t: (t @ a @ t) * 0.5, x), (a + a.T) / 2, atol=1e-10)
    np.testing.assert_allclose(hessian(lambda t: t.exp().sum(), x), np.diag(np.exp(x)), atol=1e-10)
    p = np.exp(x - x.max())
    p /= p.sum()
    np.testing.assert_allclose(
        hessian(lambda t: t.logsumexp(), x), np.diag(p) - np.outer(p, p), atol=1e-10
    )
    # Rosenbrock's function at (1, 2)
    rosenbrock = hessian(
        lambda t: (1 - t[0]) ** 2 + 100 * (t[1] - t[0] ** 2) ** 2, np.array([1.0, 2.0])
    )
    np.testing.assert_allclose(rosenbrock, [[1200 - 800 + 2, -400], [-400, 200]], atol=1e-10)
    assert hessian(lambda t: (t**3).sum(), rng.standard_normal((2, 3))).shape == (2, 3, 2, 3)


def test_hvp_of_a_network_is_the_hessian_times_the_vector(rng):
    model = nn.Sequential(nn.Linear(3, 4, rng=0), nn.Tanh(), nn.Linear(4, 2, rng=1)).astype(
        np.float64
    )
    x, v = rng.standard_normal((5, 3)), rng.standard_normal((5, 3))

    def f(t):
        return tg.softmax_cross_entropy(model(t), np.array([0, 1, 0, 1, 1]))

    h = hessian(f, x).reshape(15, 15)
    np.testing.assert_allclose(h, h.T, atol=1e-12)
    np.testing.assert_allclose(hvp(f, x, v).ravel(), h @ v.ravel(), atol=1e-12)
    assert all(p.grad is None for p in model.parameters())


def test_hvp_keeps_the_dtype_and_takes_other_arguments():
    x = np.array([1.0, 2.0], np.float32)
    assert hvp(lambda t: (t**4).sum(), x, np.ones(2)).dtype == np.float32
    np.testing.assert_allclose(
        hvp(lambda s, t: (s * t**2).sum(), np.ones(2), np.ones(2), np.array([3.0, 4.0]), argnums=1),
        [2.0, 2.0],
    )


def _modulus(x):
    def vjp(g, needs):
        return (g * np.sign(x.real),)

    return np.abs(x), vjp


def _floor(x):
    return np.floor(x), lambda g, needs: (g * 0,)


@pytest.mark.parametrize(
    ("kernel", "words"), [(_modulus, "modulus: not analytic"), (_floor, "floor")]
)
def test_what_is_not_analytic_has_no_second_derivative(kernel, words):
    with pytest.raises(GraphError, match=words):
        hvp(lambda x: apply(kernel, x * x).sum(), np.array([1.0, -2.0]), np.ones(2))


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (
            lambda: grad(lambda x: x * 2)(np.ones(2)),
            GraphError,
            r"scalar Tensor, got a Tensor of shape \(2,\)",
        ),
        (lambda: grad(lambda x: 3.0)(np.ones(2)), GraphError, "got float"),
        (lambda: grad(lambda x: x.sum(), 1)(np.ones(2)), ValueError, "argnums"),
        (lambda: grad(lambda x: x.sum())(np.arange(2)), TypeError, "floats"),
        (lambda: hvp(lambda x: x.sum(), np.ones(2), np.ones(3)), ShapeError, r"\(2,\), got \(3,\)"),
        (lambda: hvp(lambda x: x.sum(), np.arange(2), np.ones(2)), TypeError, "floats"),
        (lambda: hessian(lambda x: x.sum(), np.ones(2), argnums=3), ValueError, "argnums"),
    ],
)
def test_errors(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_argnums_may_be_a_numpy_integer():
    assert grad(lambda x, y: x * y, argnums=np.int64(1))(3.0, 4.0) == 3.0
