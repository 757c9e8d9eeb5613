"""Derivatives of functions: closed forms, any order, what is recorded, argnums, errors."""

import math

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
    jacobian,
    jvp,
    nn,
    optim,
    value_and_grad,
    vjp,
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
    np.testing.assert_allclose(hessian(lambda t: (t @ a @ t) * 0.5)(x), (a + a.T) / 2, atol=1e-10)
    np.testing.assert_allclose(hessian(lambda t: t.exp().sum())(x), np.diag(np.exp(x)), atol=1e-10)
    p = np.exp(x - x.max())
    p /= p.sum()
    np.testing.assert_allclose(
        hessian(lambda t: t.logsumexp())(x), np.diag(p) - np.outer(p, p), atol=1e-10
    )
    # Rosenbrock's function at (1, 2)
    rosenbrock = hessian(lambda t: (1 - t[0]) ** 2 + 100 * (t[1] - t[0] ** 2) ** 2)
    np.testing.assert_allclose(
        rosenbrock(np.array([1.0, 2.0])), [[1200 - 800 + 2, -400], [-400, 200]], atol=1e-10
    )
    assert hessian(lambda t: (t**3).sum())(rng.standard_normal((2, 3))).shape == (2, 3, 2, 3)


def test_hvp_of_a_network_is_the_hessian_times_the_vector(rng):
    model = nn.Sequential(nn.Linear(3, 4, rng=0), nn.Tanh(), nn.Linear(4, 2, rng=1)).astype(
        np.float64
    )
    x, v = rng.standard_normal((5, 3)), rng.standard_normal((5, 3))

    def f(t):
        return tg.softmax_cross_entropy(model(t), np.array([0, 1, 0, 1, 1]))

    h = hessian(f)(x).reshape(15, 15)
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


def cubes(t):
    return (t**3).sum()


X = np.array([2.0])


@pytest.mark.parametrize(
    ("derivative", "expected"),
    [
        (lambda x: grad(lambda x: (x * grad(cubes)(x)).sum())(x), 36.0),
        (lambda x: grad(lambda x: hvp(cubes, x, np.ones(1)).sum() * x.sum())(x), 24.0),
        (lambda x: grad(lambda x: (x * hvp(cubes, x, x)).sum())(x), 72.0),
        (lambda x: hessian(lambda x: (x * x.detach()).sum())(x), 0.0),
        (lambda x: hessian(lambda x: (x * tg.no_grad()(lambda: x * 1)()).sum())(x), 0.0),
        (lambda x: hessian(lambda x: (x * x.data).sum())(x), 0.0),
        (lambda x: hvp(lambda x: (x.astype(np.float32) ** 2).sum(), x, np.ones(1)), 2.0),
        (lambda x: hessian(lambda x: tg.where(x == 2, x**3, x).sum())(x), 12.0),
        (lambda x: grad(lambda x: jvp(lambda t: t**3, x, np.ones(1))[1].sum())(x), 12.0),
        (lambda x: grad(lambda v: jvp(lambda t: t**3, X, v)[1].sum())(x), 12.0),
        (lambda x: grad(lambda x: vjp(lambda t: t**3, x)[1](x).sum())(x), 36.0),
        (lambda x: grad(lambda x: jacobian(lambda t: t**3)(x).sum())(x), 12.0),
        (lambda x: grad(lambda x: hessian(cubes)(x).sum())(x), 6.0),
        (lambda x: grad(lambda x: value_and_grad(cubes)(x)[0])(x), 12.0),
        (lambda x: grad(lambda x: grad(lambda t: (t * x).sum())(np.ones(1)).sum())(x), 1.0),
    ],
)
def test_derivatives_of_derivatives(derivative, expected):
    np.testing.assert_allclose(np.ravel(derivative(X)), [expected])


def test_a_guarded_formula_has_its_derivatives_at_the_guarded_point():
    def sinc(x):
        at_zero = x == 0
        safe = tg.where(at_zero, 1.0, x)
        return tg.where(at_zero, 1.0 - x * x / 6, tg.sin(safe) / safe)

    assert hessian(sinc)(0.0) == pytest.approx(-1 / 3)


def test_keyword_arguments_are_passed_on():
    def f(x, *, power):
        return (x**power).sum()

    assert grad(f)(X, power=3) == 12.0
    assert value_and_grad(f)(X, power=3)[0] == 8.0
    assert jacobian(f)(X, power=3) == 12.0
    assert hessian(f)(X, power=3) == 12.0


def test_nesting_to_fourth_order(rng):
    f, x = tg.sin, rng.standard_normal()
    expected = [np.sin(x), np.cos(x), -np.sin(x), -np.cos(x), np.sin(x)]
    for value in expected:
        np.testing.assert_allclose(f(Tensor(np.float64(x))).numpy(), value, rtol=1e-12)
        f = grad(f)
    np.testing.assert_allclose(grad(grad(grad(grad(lambda x: x**5))))(3.0), 360.0, rtol=1e-6)


def test_arrays_come_out_unless_a_tensor_goes_in():
    assert type(grad(cubes)(X)) is np.ndarray
    assert all(type(part) is np.ndarray for part in (*jvp(tg.exp, X, X), vjp(tg.exp, X)[0]))
    for point in (Tensor(X), Tensor(X, requires_grad=True)):
        assert isinstance(grad(cubes)(point), Tensor)
        assert isinstance(hvp(cubes, point, X), Tensor)
        assert isinstance(jvp(tg.exp, point, X)[1], Tensor)
        assert isinstance(jacobian(tg.exp)(point), Tensor)
        y, pull = vjp(tg.exp, point)
        assert isinstance(y, Tensor)
        assert isinstance(pull(X), Tensor)
        with tg.no_grad():
            assert not grad(cubes)(point).requires_grad
    assert isinstance(vjp(tg.exp, X)[1](Tensor(X)), Tensor)
    assert grad(cubes)(X.astype(np.float32)).dtype == np.float32
    assert hessian(cubes)(X.astype(np.float32)).dtype == np.float32


def test_jvp_and_vjp_are_transposes(rng):
    w = rng.standard_normal((3, 4))

    def f(x):
        return tg.tanh(x @ w).cumsum(axis=0)

    x, v, u = (rng.standard_normal(s) for s in ((2, 3), (2, 3), (2, 4)))
    y, along = jvp(f, x, v)
    value, pull = vjp(f, x)
    np.testing.assert_allclose(y, value)
    np.testing.assert_allclose((along * u).sum(), (v * pull(u)).sum())
    np.testing.assert_allclose(pull(2 * u), 2 * pull(u), err_msg="pull may be called again")
    np.testing.assert_allclose(along, np.tensordot(jacobian(f)(x), v, axes=2))
    two = vjp(lambda a, b: a * b, x, v)[1](np.ones((2, 3)))
    np.testing.assert_allclose(two, (v, x))


def test_jacobians_by_several_arguments_and_of_empty_results():
    a, b = jacobian(lambda x, y: x * y.sum(), (0, 1))(np.ones(2), np.array([3.0, 4.0, 5.0]))
    np.testing.assert_allclose(a, 12 * np.eye(2))
    np.testing.assert_allclose(b, np.ones((2, 3)))
    assert jacobian(lambda x: x[:0])(np.ones(3)).shape == (0, 3)
    rows = hessian(lambda x, y: (x * x * y).sum(), (0, 1))(np.ones(2), np.full(2, 3.0))
    np.testing.assert_allclose(rows[0][0], 6 * np.eye(2))
    np.testing.assert_allclose(rows[0][1], 2 * np.eye(2))
    np.testing.assert_allclose(rows[1][1], np.zeros((2, 2)))


def test_a_gradient_penalty_reaches_the_weights(rng):
    model = nn.Sequential(nn.Linear(3, 5, rng=0), nn.Tanh(), nn.Linear(5, 1, rng=1))
    model = model.astype(np.float64)
    x = rng.standard_normal((4, 3))

    def penalty():
        slopes = grad(lambda t: model(t).sum())(Tensor(x))
        return ((slopes * slopes).sum(axis=1) - 1.0).square().mean()

    penalty().backward()
    for parameter in model.parameters():
        if parameter.grad is None:  # the last bias: no slope by x depends on it
            continue
        index = (0,) * parameter.ndim
        sides = []
        for step in (1e-6, -1e-6):
            parameter.data[index] += step
            sides.append(penalty().item())
            parameter.data[index] -= step
        assert parameter.grad[index] == pytest.approx((sides[0] - sides[1]) / 2e-6, rel=1e-5)
    assert model[0].weight.grad is not None


def test_an_inner_step_of_maml(rng):
    x, y = rng.standard_normal((5, 3)), rng.standard_normal(5)

    def loss(w, x, y):
        return tg.mse(tg.tanh(x @ w), y)

    def outer(w):
        return loss(w - 0.1 * grad(lambda v: loss(v, x[:3], y[:3]))(w), x[3:], y[3:])

    w = rng.standard_normal(3)
    slope = grad(outer)(w)
    for k in range(3):
        step = 1e-6 * np.eye(3)[k]
        sides = [outer(Tensor(w + sign * step)).item() for sign in (1, -1)]
        assert slope[k] == pytest.approx((sides[0] - sides[1]) / 2e-6, rel=1e-6)


def test_newton_steps_on_a_logistic_regression(rng):
    x = rng.standard_normal((40, 3))
    labels = (x @ [1.0, -2.0, 0.5] + 0.5 * rng.standard_normal(40) > 0).astype(float)

    def loss(w):
        z = tg.matmul(x, w)
        return (tg.softplus(z) - labels * z).mean() + 0.01 * (w * w).sum()

    w = np.zeros(3)
    for _ in range(6):
        w = w - np.linalg.solve(hessian(loss)(w), grad(loss)(w))
    np.testing.assert_allclose(grad(loss)(w), 0, atol=1e-14)


def test_training_by_the_residual_of_a_differential_equation_sees_every_weight(rng):
    net = nn.Sequential(nn.Linear(1, 8, rng=0), nn.Tanh(), nn.Linear(8, 1, rng=1))
    t = Tensor(np.linspace(0, 1, 9, dtype=np.float32)[:, None])

    def u(t):
        return net(t).sum()

    def residual():
        return (grad(lambda t: grad(u)(t).sum())(t) + net(t)).square().mean()

    optimizer = optim.Adam(net.parameters(), 1e-2)
    first = residual().item()
    for _ in range(60):
        optimizer.zero_grad()
        residual().backward()
        optimizer.step()
    assert residual().item() < first / 5


def _softsign(x):
    def vjp(g, needs):
        size = 1 + np.abs(x)
        return (g / (size * size),)

    return x / (1 + np.abs(x)), vjp


def test_a_kernel_with_a_modulus_has_a_second_derivative():
    x = np.array([1.0, -2.0])
    slopes = hvp(lambda t: apply(_softsign, t).sum(), x, np.ones(2))
    np.testing.assert_allclose(slopes, -2 * np.sign(x) / (1 + np.abs(x)) ** 3)


def _noisy(x):
    mask = np.random.default_rng().random(x.shape) < 0.5
    return x * mask, lambda g, needs: (g * mask,)


def _counts(x, *, calls):
    calls.append(1)
    return x * len(calls), lambda g, needs: (g * len(calls),)


def _writes_with_out(x):
    return x * x, lambda g, needs: (np.multiply(g, 2 * x, out=g),)


def _drops_the_graph(x):
    return x * x, lambda g, needs: (g * 2 * np.asarray(x),)


def _takes_a_number(x):
    return x * x, lambda g, needs: (g * 2 * float(x.sum()),)


def _takes_an_item(x):
    return x * x, lambda g, needs: (g * 2 * x.sum().item(),)


def _leaves_numpy(x):
    y = math.tanh(x.sum())
    return x * y, lambda g, needs: (g * y,)


@pytest.mark.parametrize(
    ("kernel", "params", "words"),
    [
        (_noisy, {}, "noisy cannot be differentiated twice.* draws no random numbers"),
        (_counts, {"calls": []}, "counts cannot .* changes no state"),
        (
            _writes_with_out,
            {},
            "writes_with_out .* does not run on Tensors: .*cannot take a Tensor",
        ),
        (_drops_the_graph, {}, r"drops_the_graph .* use \.numpy"),
        (_takes_a_number, {}, "takes_a_number cannot .* has no slope"),
        (_takes_an_item, {}, "takes_an_item cannot .* has no slope"),
        (_leaves_numpy, {}, "leaves_numpy cannot .* has no slope"),
    ],
)
def test_a_kernel_that_cannot_run_again_is_refused(kernel, params, words):
    with pytest.raises(GraphError, match=words):
        hvp(lambda x: apply(kernel, x * x, **params).sum(), np.arange(1.0, 41.0), np.ones(40))


def test_a_walk_beyond_the_variables_stops_there():
    w = Tensor(3.0, requires_grad=True)
    before = w * w

    def f(x, y):
        return (x * before + y * y * x) * w

    gx, gy = grad(f, (0, 1))(Tensor(2.0), Tensor(5.0))
    assert (gx.item(), gy.item()) == (9 * 3 + 25 * 3, 2 * 5 * 2 * 3)
    (gx + gy).backward()  # through `before`, whose graph is still there
    assert w.grad == 27 + 25 + 20


def test_in_a_recorded_walk_all_inputs_count_as_saved():
    w = Tensor(np.array([1.0, 2.0]), requires_grad=True)

    def f(t):
        return (t + w).sum()

    first_order, recorded = vjp(f, np.ones(2))[1], vjp(f, Tensor(np.ones(2)))[1]
    w.data -= 1.0
    np.testing.assert_array_equal(first_order(1.0), [1.0, 1.0])  # a sum saves nothing
    with pytest.raises(GraphError, match="add saved an array .* in place"):
        recorded(1.0)  # but its kernel would run again on other numbers


def test_a_seed_and_a_point_are_left_as_they_were(rng):
    x, v = rng.standard_normal(3), rng.standard_normal(3)
    before = x.copy(), v.copy()
    hvp(lambda t: t.exp().sum(), x, v)
    jvp(tg.exp, x, v)
    vjp(tg.exp, x)[1](v)
    np.testing.assert_array_equal((x, v), before)
    seed = Tensor(np.ones(3), requires_grad=True)
    vjp(lambda t: -t, Tensor(x))[1](seed).sum().backward()
    np.testing.assert_array_equal(seed.grad, -np.ones(3))
    np.testing.assert_array_equal(seed.data, np.ones(3))


def test_memory_of_inputs_is_kept_only_while_a_derivative_needs_it():
    x = Tensor(np.ones(3), requires_grad=True)
    assert (x + x).node.rerun is None
    seen = []
    grad(lambda t: seen.append((t + t).node) or t.sum())(np.ones(3))
    assert seen[0].rerun is None
    grad(lambda t: seen.append((t + t).node) or t.sum())(x)
    assert seen[1].rerun is not None


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
        (lambda: hvp(lambda x: x * 2, np.ones(2), np.ones(2)), GraphError, "scalar Tensor"),
        (lambda: hvp(lambda x: x, 1.0, 1.0, argnums=(0,)), TypeError, "one number"),
        (lambda: jvp(tg.exp, np.ones(2), np.ones(3)), ShapeError, r"\(2,\), got \(3,\)"),
        (lambda: vjp(tg.exp, np.ones(2))[1](np.ones(3)), ShapeError, r"\(2,\), got \(3,\)"),
        (lambda: jacobian(lambda x: 3.0)(np.ones(2)), GraphError, "got float"),
        (lambda: grad(lambda x, y: x * y, (0, 0))(1.0, 2.0), ValueError, "once in argnums"),
        (lambda: grad(lambda x: x)(np.ma.masked_array([1.0], [True])), TypeError, "masked"),
        (lambda: grad(lambda x: x.sum())(np.ones(2, complex)), TypeError, "real"),
        (lambda: hessian(lambda x: x.sum(), argnums=3)(np.ones(2)), ValueError, "argnums"),
    ],
)
def test_errors(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_argnums_may_be_a_numpy_integer():
    assert grad(lambda x, y: x * y, argnums=np.int64(1))(3.0, 4.0) == 3.0
