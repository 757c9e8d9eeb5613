"""The checker finds every kind of fault, and no fault where there is none."""

import functools
from collections import namedtuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_mnist as tg
from tinygrad_mnist import Tensor, apply, grad, hvp, nn
from tinygrad_mnist.arrays import unbroadcast, values
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
    with pytest.raises(
        GradcheckError,
        match=r"gradient 1 has shape \(2, 3\), its input \(3,\); .*"
        r"arrays\.unbroadcast\(gradient, \(3,\)\)",
    ):
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
        (
            op(lambda x: x * 1.0, lambda g, needs, x: (g[:1],)),
            r"shape \(1, 3\), its input \(2, 3\)$",
        ),
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


def test_a_rule_that_is_right_for_positive_gradients_only_fails():
    modulus = op(lambda x: x * x, lambda g, needs, x: (2 * np.abs(g) * x,))
    with pytest.raises(GradientMismatch):
        gradcheck(modulus, X)
    with pytest.raises(GradcheckError, match="of input 0 is not proportional to the gradient of"):
        gradcheck(modulus, np.array(1.5))
    halved = op(lambda x: x * x, lambda g, needs, x: (2 * g * x * np.where(g < 0.6, 0.5, 1),))
    with pytest.raises(GradcheckError, match="of input 0 is not proportional to the gradient of"):
        gradcheck(halved, np.array(1.5))


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
    softsign = op(lambda x: x / (1 + np.abs(x)), lambda g, needs, x: (g / (1 + np.abs(x)) ** 2,))
    inner = grad(lambda t: (t**3).sum())
    for function in (modulus, softsign, lambda x: inner(x)):
        assert gradcheck(function, X)
        with pytest.raises(GradcheckError, match='not analytic.*method="central"'):
            gradcheck(function, X, method="complex")


# Tolerances


def square(factor=1.0):
    """An operation whose rule is wrong by a factor."""
    return op(lambda x: x * x, lambda g, needs, x: (factor * 2 * g * x,))


HUGE = [1e6, -1e8]


@pytest.mark.parametrize("options", [{}, {"method": "complex"}, {"fast": True}])
@pytest.mark.parametrize(
    "beside",
    [
        lambda f, c, x, z: f(x) + c,
        lambda f, c, x, z: f(x).sum() + c,
        lambda f, c, x, z: f(x).mean() + c,
        lambda f, c, x, z: tg.concatenate([f(x), 0 * x + c]),
        lambda f, c, x, z: tg.stack([f(x).sum(), Tensor(c)]),
        lambda f, c, x, z: tg.concatenate([f(x), c * x]),
        lambda f, c, x, z: tg.concatenate([f(x), c * z]),
        lambda f, c, x, z: tg.concatenate([f(x), z + c]),
        lambda f, c, x, z: f(x).sum() + c * z.sum(),
        lambda f, c, x, z: f(x) * np.array([1.0, 1.0, c]),
        lambda f, c, x, z: f(x) / c,
        lambda f, c, x, z: f(x) * 1e-150,
        lambda f, c, x, z: f(x * c),
        lambda f, c, x, z: f(x / c),
    ],
)
def test_a_rule_that_is_wrong_by_a_twentieth_is_found_beside_huge_numbers(beside, options):
    for c in HUGE:
        assert gradcheck(functools.partial(beside, square(), c), X, X + 1, **options)
        with pytest.raises(GradientMismatch):
            gradcheck(functools.partial(beside, square(1.05), c), X, X + 1, **options)


@pytest.mark.parametrize("order", [1, 2])
def test_outputs_that_stay_infinite_are_no_noise(order):
    def masked(f):
        return lambda x: tg.where(np.eye(2, 3) == 1, -np.inf, f(x))

    def filled(f):
        return lambda x: tg.concatenate([f(x), np.full((1, 3), -1e30)])

    for around in (masked, filled):
        assert gradcheck(around(square()), X, order=order)
        with pytest.raises(GradientMismatch):
            gradcheck(around(square(1.001)), X, order=order)


def test_tolerances_are_the_callers():
    off = op(lambda x: x * x, lambda g, needs, x: (2 * g * x * 1.001,))
    assert gradcheck(off, X, rtol=1e-2)
    assert gradcheck(off, X, atol=1e-2)
    for options in ({"rtol": 1e-4}, {"atol": 1e-4}, {"rtol": 0, "atol": 0}):
        with pytest.raises(GradientMismatch):
            gradcheck(off, X, **options)
    assert gradcheck(square(), X, eps=1e-3)
    with pytest.raises(GradientMismatch) as caught:
        gradcheck(square(1.1), X, eps=1e-3)
    assert caught.value.step in [1e-3 * factor for factor in (64, 8, 1, 1 / 16, 1 / 256)]


@pytest.mark.parametrize(
    ("f", "x"),
    [
        (lambda x: (x + 1e8) - 1e8, X),
        (lambda x: (x + 1e6).square() - 1e12, X),
        (lambda x: x**3, np.zeros(2)),
        (lambda x: 1 - x.cos(), np.array([0.0, 1e-20])),
        (lambda x: (100 * x).sin(), np.array([np.pi / 200, 0.0])),
        (lambda x: x - x.mean(), X),
        (lambda x: x / (x * x).sqrt(), X),
        (lambda x: 1e-9 * x / (x * x).sqrt(), X),
        (lambda x: tg.softmax(x) * 1e9, X),
        (lambda x: tg.softmax(x * 1e3), X),
        (lambda x: (-100 * x * x).exp(), X),
        (tg.log, np.array([1e-4, 1e4])),
        (lambda x: tg.log(tg.exp(x).sum()) - x[0, 0], X),
        (lambda x: tg.layer_norm(x, 3), X * 1e-3),
    ],
)
@pytest.mark.parametrize("order", [1, 2])
def test_rounding_and_flat_places_are_no_bugs(f, x, order):
    assert gradcheck(f, x, order=order)


def test_a_complex_step_below_the_smallest_number_is_no_bug():
    assert gradcheck(tg.cos, np.array([1e-236]), method="complex")


# Second order


def lost(x):
    """x as a constant: what a rule must not take it for."""
    return values(x).copy()


def on_arrays_only(g, needs, x):
    return (2 * g * (x if isinstance(x, np.ndarray) else 1.1 * x),)


WRONG_TWICE = [
    (lambda x: x**3, lambda g, needs, x: (3 * g * lost(x) ** 2,), "by         input 0"),
    (lambda x: x**3, lambda g, needs, x: (3 * g * x * lost(x),), "by         input 0"),
    (lambda x: x * np.abs(x), lambda g, needs, x: (2 * g * np.abs(lost(x)),), "by         input 0"),
    (lambda x: np.where(x > 0, x * x, 0), lambda g, needs, x: (2 * g * lost(x).clip(0),), "input 0"),
    (lambda x: x**3, lambda g, needs, x: (3 * lost(g) * x**2,), "by         the cotangent"),
    (lambda x: x**3, lambda g, needs, x: (3 * g * g / lost(g) * x**2,), "by         the cotangent"),
    (lambda x: x**3, lambda g, needs, x: (3 * g * np.sqrt(lost(x) ** 4),), "by         input 0"),
]  # fmt: skip


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize(("forward", "backward", "words"), WRONG_TWICE)
def test_a_rule_that_is_right_once_and_wrong_twice_fails(forward, backward, words, fast):
    wrong = op(forward, backward)
    assert gradcheck(wrong, X)
    with pytest.raises(GradientMismatch, match=words):
        gradcheck(wrong, X, order=2, fast=fast)
    with pytest.raises(GradientMismatch, match=words):
        gradcheck(lambda x: (wrong(x * 2.0) + 1e6).sum(), X, order=2, fast=fast)


def test_a_wrong_rule_of_one_of_two_inputs_is_named():
    half = op(lambda x, y: x * y * y, lambda g, needs, x, y: (g * y * y, 2 * g * lost(x) * y))
    with pytest.raises(GradientMismatch) as caught:
        gradcheck(half, X, X + 1, order=2)
    assert caught.value.input == 0, "the slope by input 1 depends on input 0"
    assert gradcheck(half, X, X + 1)


def test_second_order_does_all_of_first_order_first():
    with pytest.raises(GradientMismatch, match="^<lambda>: wrong gradient"):
        gradcheck(square(1.05), X, order=2)
    with pytest.raises(NonDifferentiableError, match="^relu: not differentiable"):
        gradcheck(tg.relu, np.array([0.0]), order=2)


def test_a_kink_of_the_gradient_is_found_at_second_order():
    def huber(x):
        return tg.where(abs(x) < 1, x * x / 2, abs(x) - 0.5)

    assert gradcheck(huber, np.array([1.0]))
    with pytest.raises(NonDifferentiableError, match="the vjp of huber: not differentiable by inp"):
        gradcheck(huber, np.array([1.0]), order=2)
    assert gradcheck(huber, np.array([0.9, 1.1]), order=2)


def test_the_message_of_second_order_says_all_that_a_repair_needs():
    def cubed(x):
        return op(lambda a: a**3, lambda g, needs, a: (3 * g * lost(a) * a,))(x)

    with pytest.raises(GradientMismatch) as caught:
        gradcheck(cubed, X, order=2, method="complex")
    text = str(caught.value)
    assert text.startswith("the vjp of cubed: wrong gradient (operations: op)\n")
    assert "input 0, index (0, 0) (value 0.5)" in text
    assert "(central)" in text
    assert caught.value.numeric / caught.value.analytic == pytest.approx(2, rel=1e-4)
    assert "gradcheck(cubed, np.array([0.5]), method='complex', order=2)" in text
    with pytest.raises(GradientMismatch) as caught:
        gradcheck(cubed, X, order=2, rtol=1e-4, fast=True)
    assert str(caught.value).endswith("method='central', order=2, rtol=0.0001, fast=True)")


@pytest.mark.parametrize(
    ("backward", "words"),
    [
        (lambda g, needs, x: (np.multiply(g, 2 * x, out=g),), "does not run on Tensors"),
        (lambda g, needs, x: (2 * g * np.asarray(x),), "does not run on Tensors"),
        (on_arrays_only, "its value differs where it is recorded"),
    ],
)
def test_a_kernel_that_does_not_run_on_tensors_fails_at_second_order(backward, words):
    wrong = op(lambda x: x * x, backward)
    assert gradcheck(wrong, X)
    with pytest.raises(GradcheckError, match=f"^the vjp of <lambda>: .*{words}"):
        gradcheck(wrong, X, order=2)


def test_a_rule_that_loses_an_input_where_that_needs_no_gradient_fails_at_second_order():
    def backward(g, needs, x, y):
        return (g * y if needs[0] else None), (g * (x if needs[0] else lost(x)))

    product = op(lambda x, y: x * y, backward)
    assert gradcheck(product, X, X + 1)
    with pytest.raises(
        GradcheckError, match="^the vjp of .* gradient of input 0 depends on `needs`"
    ):
        gradcheck(product, X, X + 1, order=2)


def test_any_order():
    def tangent(g, needs, x):  # to 4 * x**3, at the point
        at = lost(x)
        return (g * (4 * at**3 + 12 * at**2 * (x - at)),)

    fourth_power = op(lambda x: x**4, tangent)
    assert gradcheck(tg.sin, X, order=4)
    assert gradcheck(fourth_power, X, order=2)
    with pytest.raises(GradientMismatch, match="the vjp of the vjp of <lambda>"):
        gradcheck(fourth_power, X, order=3)
    for order, error in ((0, ValueError), (1.5, TypeError), ("2", TypeError), (True, TypeError)):
        with pytest.raises(error, match="expected order"):
            gradcheck(tg.sin, X, order=order)


def test_derivatives_inside_the_function_are_checked_too():
    def energy(t):
        return (t**3).sum()

    assert gradcheck(grad(energy), X, order=2)
    assert gradcheck(lambda x, v: hvp(energy, x, v), X, X + 1, order=2)


def test_second_order_leaves_inputs_alone_and_works_inside_no_grad():
    x = Tensor(X, requires_grad=True, dtype=np.float32)
    before = x.data.copy()
    with tg.no_grad():
        assert gradcheck(tg.exp, x, order=2)
        with pytest.raises(GradientMismatch):
            gradcheck(op(lambda x: x**3, lambda g, needs, x: (3 * g * lost(x) ** 2,)), x, order=2)
    np.testing.assert_array_equal(x.data, before)
    assert (x.grad, x.dtype) == (None, np.float32)


# Modules


Pair = namedtuple("Pair", "left right")


class Tied(nn.Module):
    """One parameter in every kind of place."""

    def __init__(self, places, combine=tg.multiply):
        self.w = Tensor([0.5, 1.5, -1.0], requires_grad=True)
        self.more = [self.w, {"w": (self.w, (self.w, 1.0))}]
        self.pair = Pair(self.w, 2.0)
        self._hidden = self.w
        self.itself = [self]
        self.places, self.combine = places, combine

    def forward(self, x):
        found = {
            "attribute": self.w,
            "list": self.more[0],
            "tuple in a dict": self.more[1]["w"][0],
            "tuple in a tuple": self.more[1]["w"][1][0],
            "named tuple": self.pair.left,
            "private attribute": self._hidden,
            "cycle": self.itself[0].itself[0].w,
        }
        for place in self.places:
            x = self.combine(x, found[place]).tanh()
        return x


PLACES = [
    "attribute", "list", "tuple in a dict", "tuple in a tuple", "named tuple", "private attribute",
    "cycle",
]  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_a_parameter_is_varied_wherever_a_module_holds_it(place):
    assert gradcheck(Tied([place]), X, order=2)

    def backward(g, needs, x, y):
        return g * y, unbroadcast(1.1 * g * x, y.shape)

    with pytest.raises(GradientMismatch, match="by         parameter w"):
        gradcheck(Tied([place], op(lambda x, y: x * y, backward)), X)


def test_tied_parameters_are_checked_together():
    assert gradcheck(Tied(PLACES), X, order=2)
    encoder = nn.Linear(3, 3, rng=0)
    decoder = nn.Sequential(encoder, nn.Tanh())
    assert gradcheck(lambda a, b, x: b(a(x)), encoder, decoder, X, order=2)


@pytest.mark.parametrize(
    "model",
    [
        nn.Sequential(nn.Linear(3, 4, rng=0), nn.Tanh(), nn.Linear(4, 2, rng=1)),
        nn.Sequential(nn.Linear(3, 4, rng=0), nn.BatchNorm1d(4), nn.GELU()),
        nn.Sequential(nn.LayerNorm(3), nn.Linear(3, 2, rng=0), nn.Sigmoid()),
        nn.Sequential(nn.Linear(3, 4, rng=0), nn.Dropout(0.5, rng=0)).eval(),
    ],
)
def test_modules_to_second_order(model):
    before = model.state_dict()
    assert gradcheck(model, X, order=2)
    assert gradcheck(lambda m, x: m(x).square().sum(), model, X.astype(np.float32), order=2)
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
        assert value.dtype == before[name].dtype


def test_a_wrong_second_derivative_by_a_parameter_fails():
    class Wrong(nn.Module):
        def __init__(self):
            self.scale = Tensor([2.0], requires_grad=True)

        def forward(self, x):
            return op(
                lambda x, s: x * s * s,
                lambda g, needs, x, s: (g * lost(s) * s, unbroadcast(2 * g * x * s, s.shape)),
            )(x, self.scale)

    assert gradcheck(Wrong(), X)
    with pytest.raises(
        GradientMismatch, match="the vjp of Wrong: (?s:.*)by         parameter scale"
    ):
        gradcheck(Wrong(), X, order=2)


def test_a_gradient_penalty_is_checked_by_the_parameters():
    model = nn.Sequential(nn.Linear(3, 4, rng=0), nn.Tanh(), nn.Linear(4, 1, rng=1))
    assert gradcheck(lambda m, x: grad(lambda t: m(t).sum())(x).square().sum(), model, X, order=2)


def test_a_parameter_that_the_check_cannot_vary_is_refused():
    class Closure(nn.Module):
        def __init__(self):
            self.w = Tensor([2.0], requires_grad=True)
            self.f = lambda x: x * self.w

        def forward(self, x):
            return self.f(x)

    model = Closure()
    for call in ((model, X), (lambda m, x: m(x), model, X), (lambda m, x: x * model.w, model, X)):
        with pytest.raises(GradcheckError, match="multiply gets parameter w from elsewhere"):
            gradcheck(*call)
    assert gradcheck(lambda x: model(x), X), "a module that the check does not see is a constant"


def test_state_that_moves_is_found_in_a_module():
    class Counts(nn.Module):
        def __init__(self):
            self.calls, self.w = 0, Tensor([2.0], requires_grad=True)

        def forward(self, x):
            self.calls += 1
            return x * self.w * self.calls

    for model in (Counts(), nn.Sequential(nn.Linear(3, 2, rng=0), nn.Dropout(0.5, rng=0))):
        with pytest.raises(NonDeterministicError, match="eval"):
            gradcheck(model, X)


def test_tensors_that_would_not_be_varied_are_refused():
    x = Tensor(X, requires_grad=True)
    for hidden in ([x], (x, 1), {"x": x}):
        with pytest.raises(ValueError, match="input 1 is a .* pass them one by one"):
            gradcheck(lambda a, b: a * 1, X, hidden)
    with pytest.raises(TypeError, match="masked array would lose its mask"):
        gradcheck(tg.exp, np.ma.masked_array([1.0, 2.0], [True, False]))


# What a failure looks like


@pytest.mark.parametrize(
    ("f", "points", "options"),
    [
        (square(1.1), [X], {}),
        (square(1.1), [X], {"method": "complex"}),
        (op(lambda x: x**3, lambda g, needs, x: (3 * g * lost(x) ** 2,)), [X], {"order": 2}),
        (
            op(lambda x: x * x, lambda g, needs, x: (np.multiply(g, 2 * x, out=g),)), [X],
            {"order": 2},
        ),
        (op(lambda x: x * 1.0, lambda g, needs, x: (x,)), [X], {}),
        (op(lambda x, y: x + y, lambda g, needs, x, y: (g, g.copy())), [X, X[0]], {}),
        (tg.relu, [np.zeros(1)], {}),
        (op(mutates, lambda g, needs, x: (g,)), [X], {}),
        (op(np.abs, lambda g, needs, x: (g * np.sign(x),)), [X], {"method": "complex"}),
    ],
)  # fmt: skip
def test_pytest_shows_the_message_and_the_callers_line(f, points, options):
    with pytest.raises(GradcheckError) as caught:
        gradcheck(f, *[p.copy() for p in points], **options)
    assert "/testing/" not in str(caught.getrepr(style="long")), "nor does what it was caused by"
    shown = str(caught.getrepr(style="long", chain=False))
    assert str(caught.value).splitlines()[0] in shown
    assert "gradcheck(f, *[p.copy() for p in points], **options)" in shown
    assert "/tinygrad_mnist/" not in shown, "neither the checker's source nor the engine's"
    assert "__tracebackhide__" not in shown


def test_an_error_of_the_users_own_shows_the_users_line():
    def broken(x):
        return x.no_such_method()

    with pytest.raises(AttributeError) as caught:
        gradcheck(broken, X)
    shown = str(caught.getrepr(style="long"))
    assert "return x.no_such_method()" in shown
    assert "/testing/" not in shown


@pytest.mark.parametrize(
    ("f", "name"),
    [
        (tg.abs, "abs"),
        (tg.max, "max"),
        (functools.partial(tg.min, axis=0), "min"),
        (nn.ReLU(), "ReLU"),
    ],
)
def test_functions_are_named_as_users_know_them(f, name):
    with pytest.raises(NonDifferentiableError, match=f"^{name}: not"):
        gradcheck(f, np.zeros((2, 3)))


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
