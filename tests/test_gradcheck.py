"""The checker finds every kind of fault, and no fault where there is none."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_mnist as tg
from tinygrad_mnist import Tensor, apply, nn
from tinygrad_mnist.arrays import unbroadcast
from tinygrad_mnist.testing import (
    GradcheckError,
    GradientMismatch,
    NonDeterministicError,
    NonDifferentiableError,
    gradcheck,
)

X = np.array([[0.5, -1.2, 2.0], [1.5, 0.3, -0.7]])


def op(forward, backward):
    """An operation of one or more inputs from a formula and its (perhaps wrong) vjp."""

    def _op(*arrays):
        return forward(*arrays), lambda g, needs: backward(g, needs, *arrays)

    return lambda *tensors: apply(_op, *tensors)


@pytest.mark.parametrize("method", ["central", "complex"])
@pytest.mark.parametrize(
    "wrong",
    [
        lambda g, needs, x: (g * 2.002 * x,),  # by 0.1%
        lambda g, needs, x: (-2 * g * x,),  # a sign
        lambda g, needs, x: (2 * g,),
        lambda g, needs, x: (g * 0,),
        lambda g, needs, x: (None,),
        lambda g, needs, x: (
            2 * g * x * (np.arange(x.size).reshape(x.shape) < x.size - 1),
        ),  # the last entry only
        lambda g, needs, x: (2 * g * x + 1e-3,),
    ],
)
def test_a_wrong_gradient_fails(wrong, method):
    with pytest.raises(GradientMismatch):
        gradcheck(op(lambda x: x * x, wrong), X, method=method)
    assert gradcheck(op(lambda x: x * x, lambda g, needs, x: (2 * g * x,)), X, method=method)


def test_a_missing_unbroadcast_or_transpose_fails():
    y = np.array([1.0, 2.0, 3.0])
    with pytest.raises(GradcheckError, match=r"gradient 1 has shape \(2, 3\), its input \(3,\)"):
        gradcheck(op(lambda x, y: x + y, lambda g, needs, x, y: (g, g.copy())), X, y)
    assert gradcheck(
        op(lambda x, y: x + y, lambda g, needs, x, y: (g, unbroadcast(g, y.shape).copy())), X, y
    )
    square = X[:, :2]
    with pytest.raises(GradientMismatch, match="input 0"):
        gradcheck(
            op(lambda a, b: a @ b, lambda g, needs, a, b: (g @ b, a.T @ g)), square, square + 1
        )


def test_the_message_says_all_that_a_repair_needs():
    def tripled(x):
        return op(lambda a: a**2, lambda g, needs, a: (3 * g * a,))(x)

    with pytest.raises(GradientMismatch) as caught:
        gradcheck(tripled, X)
    error, text = caught.value, str(caught.value)
    assert (error.input, error.index) == (0, (0, 0))
    assert error.analytic / error.numeric == pytest.approx(1.5, rel=1e-4)
    for word in (
        "tripled",
        "operations: op",
        "input 0",
        "index (0, 0)",
        "step",
        "analytic",
        "numeric",
        "0.333 relative",
    ):
        assert word in text
    assert "reproduce  gradcheck(tripled, np.array([0.5]), method='central')" in text


def mutates(x):
    x[...] = 1.0
    return x * 1


@pytest.mark.parametrize(
    ("f", "words"),
    [
        (op(mutates, lambda g, needs, x: (g,)), "input 0 was mutated"),
        (op(lambda x: x * 3.0, lambda g, needs, x: (mutates(x) * 3 * g,)), "mutated|mutates"),
        (op(lambda x: x * 1.0, lambda g, needs, x: (x,)), "aliases an array that the vjp saved"),
        (
            op(lambda x: x * 1.0, lambda g, needs, x: (g.astype(np.float32),)),
            "dtype float32, its input float64",
        ),
        (op(lambda x: x * 1.0, lambda g, needs, x: (g[:1],)), r"shape \(1, 3\)"),
        (
            lambda x: op(lambda a, b: a + b, lambda g, needs, a, b: (g, g))(x * 1, x * 2),
            "alias each other",
        ),
    ],
)
def test_bad_manners_fail(f, words):
    with pytest.raises(GradcheckError, match=words):
        gradcheck(f, X.copy())


def test_a_mutated_input_is_named_whatever_it_is():
    def shifts(x):
        x.numpy()[0] += 1.0
        return x * 1.0

    with pytest.raises(GradcheckError, match="shifts: input 0 was mutated"):
        gradcheck(shifts, X.copy())

    def relabels(x, labels):
        np.asarray(labels)[:] = 0
        return tg.softmax_cross_entropy(x, labels)

    for constant in (np.array([1, 2]), Tensor([1, 2])):
        with pytest.raises(GradcheckError, match="relabels: input 1 was mutated"):
            gradcheck(relabels, X, constant)
        np.testing.assert_array_equal(np.asarray(constant), [1, 2])


def test_a_vjp_with_too_few_gradients_fails():
    with pytest.raises(GradcheckError, match="1 gradients for 2 inputs"):
        gradcheck(op(lambda a, b: a * b, lambda g, needs, a, b: (g * b,)), X, X + 1)


def test_it_works_inside_no_grad():
    with tg.no_grad():
        assert gradcheck(tg.exp, X)
        assert not (Tensor(X, requires_grad=True) * 1).requires_grad


def test_dependence_on_needs_fails():
    def backward(g, needs, a, b):
        return (g * b if needs[0] else None), (
            g * a * (1 if all(needs) else 2) if needs[1] else None
        )

    with pytest.raises(GradcheckError, match="input 1 depends on `needs`"):
        gradcheck(op(lambda a, b: a * b, backward), X, X + 1)


def test_a_saved_array_spoiled_by_the_vjp_fails():
    def _spoils(x):
        y = x * x

        def vjp(g, needs):
            np.multiply(x2, 1, out=x2)
            g *= x2
            x2[...] = 0
            return (g,)

        x2 = 2 * x
        return y, vjp

    with pytest.raises(GradcheckError, match="second backward"):
        gradcheck(lambda t: apply(_spoils, t), X)


def test_a_kernel_that_only_works_on_contiguous_inputs_fails():
    def _flat(x):
        return x.ravel("K").reshape(x.shape) * 2, lambda g, needs: (
            g * 2,
        )  # "K": in the order of the memory

    with pytest.raises(GradcheckError, match="not contiguous"):
        gradcheck(lambda t: apply(_flat, t), X)


@pytest.mark.parametrize(
    ("f", "point"),
    [
        (tg.abs, 0.0),
        (tg.relu, 0.0),
        (lambda x: tg.clip(x, -1.0, 1.0), 1.0),
        (lambda x: tg.maximum(x, 0.0), 0.0),
        (tg.sqrt, 0.0),
        (lambda x: tg.max(tg.stack([x, 0 * x + 2.0]), axis=0), 2.0),
    ],
)
@pytest.mark.parametrize("method", ["central", "complex"])
def test_a_kink_is_no_bug(f, point, method):
    if f is tg.abs and method == "complex":
        pytest.skip("np.abs of a complex number is real, so a complex step cannot pass")
    with (
        np.errstate(all="ignore"),
        pytest.raises(NonDifferentiableError, match=r"input 0 at index \(1,\)"),
    ):
        gradcheck(f, np.array([3.0, point]), method=method)


@pytest.mark.parametrize(
    ("f", "x"),
    [
        (lambda x: (x * 1e4).tanh(), np.array([1e-5, 0.3])),
        (lambda x: x * 1e9, np.array([1e6, 1e-6])),
        (lambda x: (x * 30).sin(), np.array([100.0, 1.0])),
        (tg.relu, np.array([1e-4, -1e-4])),
        (tg.sqrt, np.array([1e-3, 1e3])),
        (lambda x: x.sum() * 0.0, X),
        (tg.exp, np.zeros((0, 3))),
    ],
)
def test_steep_large_and_empty_but_smooth_functions_pass(f, x):
    assert gradcheck(f, x)


def test_randomness_is_found():
    generator = np.random.default_rng(0)
    with pytest.raises(NonDeterministicError, match="two runs"):
        gradcheck(lambda x: x * generator.random(), X)
    assert gradcheck(lambda x: tg.dropout(x, 0.5, rng=0), X)


def test_modules_are_checked_with_all_their_parameters():
    model = nn.Sequential(nn.Linear(3, 4, rng=0), nn.Tanh(), nn.Linear(4, 2, rng=1))
    assert gradcheck(model, X.astype(np.float32))
    assert gradcheck(lambda m, x: m(x).square().sum(), model, X)
    assert {p.dtype for p in model.parameters()} == {np.dtype(np.float32)}

    class Wrong(nn.Module):
        def __init__(self):
            self.scale = Tensor([2.0], requires_grad=True)

        def forward(self, x):
            return x * self.scale.detach() + 0.0 * self.scale

    with pytest.raises(GradientMismatch, match="parameter scale"):
        gradcheck(Wrong(), X)


def test_inputs_and_their_gradients_are_left_as_they_were():
    x = Tensor(X, requires_grad=True, dtype=np.float32)
    x.sum().backward()
    before, grad = x.data.copy(), x.grad
    assert gradcheck(lambda t: t.exp(), x)
    np.testing.assert_array_equal(x.data, before)
    assert x.grad is grad
    assert x.dtype == np.float32


def test_labels_are_constants_and_so_are_tensors_that_require_no_grad():
    assert gradcheck(tg.softmax_cross_entropy, X, np.array([0, 2]))
    assert gradcheck(lambda x, c: x * c.detach(), Tensor(X, requires_grad=True), Tensor(X))
    with pytest.raises(ValueError, match="nothing to differentiate"):
        gradcheck(lambda x: x, np.arange(3))
    with pytest.raises(ValueError, match="method"):
        gradcheck(tg.exp, X, method="forward")
    with pytest.raises(GradcheckError, match="expected a floating-point Tensor"):
        gradcheck(lambda x: 3.0, X)


def test_fast_compares_random_directions():
    x = np.random.default_rng(0).standard_normal((50, 40))
    assert gradcheck(tg.tanh, x, fast=True)
    assert gradcheck(tg.tanh, x, fast=True, method="complex")
    with pytest.raises(GradientMismatch):
        gradcheck(
            op(np.tanh, lambda g, needs, a: (g * 1.001 * (1 - np.tanh(a) ** 2),)), x, fast=True
        )


def test_what_is_not_analytic_needs_central_differences():
    modulus = op(np.abs, lambda g, needs, x: (g * np.sign(x),))
    assert gradcheck(modulus, X)
    with pytest.raises(GradcheckError, match='not analytic.*method="central"'):
        gradcheck(modulus, X, method="complex")


@given(
    factor=st.floats(0.2, 3),
    wrong_by=st.sampled_from([1e-3, -1e-3, 0.1]),
    x=st.floats(-3, 3).filter(lambda v: abs(v) > 0.1),
)
def test_any_scale_error_of_a_thousandth_is_found(factor, wrong_by, x):
    right = op(lambda a: np.sin(factor * a), lambda g, needs, a: (g * factor * np.cos(factor * a),))
    wrong = op(
        lambda a: np.sin(factor * a),
        lambda g, needs, a: (g * factor * (1 + wrong_by) * np.cos(factor * a),),
    )
    assert gradcheck(right, np.array([x]))
    if abs(np.cos(factor * x)) > 0.05:
        with pytest.raises(GradientMismatch):
            gradcheck(wrong, np.array([x]))
