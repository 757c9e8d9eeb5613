"""Random expressions against other libraries: values and gradients to 1e-10 in float64, where they are installed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_mnist as tg
from tinygrad_mnist import Tensor
from tinygrad_mnist.tensor import gradients

UNARY = [
    "exp",
    "sin",
    "cos",
    "tanh",
    "square",
    "negative",
    "sum",
    "mean",
    "T",
    "logsumexp",
    "index",
    "sigmoid",
    "var",
]
BINARY = ["add", "subtract", "multiply", "divide", "maximum", "where", "matmul", "concatenate"]
SHAPE = (3, 3)

# A program is a list of (operation, operand, operand): each result, cut down to moderate size,
# joins the values.
programs = st.lists(
    st.tuples(st.sampled_from(UNARY + BINARY), st.integers(0, 99), st.integers(0, 99)),
    min_size=1,
    max_size=12,
)


def evaluate(program, leaves, lib):
    """Run a program with one library's functions; every value has SHAPE."""
    values = list(leaves)
    for name, i, j in program:
        x, y = values[i % len(values)], values[j % len(values)]
        z = lib[name](x, y) if name in BINARY else lib[name](x)
        values.append(lib["tanh"](z + 0.1 * x))  # back to SHAPE, and to numbers of moderate size
    total = values[0]
    for value in values[1:]:
        total = total + value
    return lib["sum"](total)


MASK = np.eye(3, dtype=bool)

OURS = {
    "exp": tg.exp, "sin": tg.sin, "cos": tg.cos, "tanh": tg.tanh, "square": tg.square, "negative": tg.negative, "sum": tg.sum, "mean": tg.mean,
    "T": lambda x: x.T, "logsumexp": lambda x: tg.logsumexp(x, axis=1, keepdims=True), "index": lambda x: x[[2, 0, 0], 1:2], "sigmoid": tg.sigmoid,
    "var": lambda x: tg.var(x, axis=0), "add": tg.add, "subtract": tg.subtract, "multiply": tg.multiply, "divide": lambda x, y: x / (y * y + 1.0),
    "maximum": tg.maximum, "where": lambda x, y: tg.where(MASK, x, y), "matmul": tg.matmul, "concatenate": lambda x, y: tg.concatenate([x[:1], y[:2]]),
}  # fmt: skip


def with_autograd():
    anp = pytest.importorskip(
        "autograd.numpy", reason="compares with autograd: pip install autograd"
    )
    from autograd import value_and_grad

    lib = {
        "exp": anp.exp, "sin": anp.sin, "cos": anp.cos, "tanh": anp.tanh, "square": anp.square, "negative": anp.negative, "sum": anp.sum, "mean": anp.mean,
        "T": lambda x: x.T, "logsumexp": lambda x: anp.log(anp.sum(anp.exp(x), axis=1, keepdims=True)), "index": lambda x: x[[2, 0, 0], 1:2],
        "sigmoid": lambda x: 1 / (1 + anp.exp(-x)), "var": lambda x: anp.var(x, axis=0), "add": anp.add, "subtract": anp.subtract, "multiply": anp.multiply,
        "divide": lambda x, y: x / (y * y + 1.0), "maximum": anp.maximum, "where": lambda x, y: anp.where(MASK, x, y), "matmul": anp.matmul,
        "concatenate": lambda x, y: anp.concatenate([x[:1], y[:2]]),
    }  # fmt: skip
    return lambda program, leaves: value_and_grad(
        lambda *x: evaluate(program, x, lib), argnum=tuple(range(len(leaves)))
    )(*leaves)


def with_torch():
    torch = pytest.importorskip("torch", reason="compares with PyTorch: pip install torch")
    lib = {
        "exp": torch.exp, "sin": torch.sin, "cos": torch.cos, "tanh": torch.tanh, "square": torch.square, "negative": torch.negative, "sum": torch.sum,
        "mean": torch.mean, "T": lambda x: x.T, "logsumexp": lambda x: torch.logsumexp(x, 1, True), "index": lambda x: x[[2, 0, 0], 1:2],
        "sigmoid": torch.sigmoid, "var": lambda x: torch.var(x, 0, correction=0), "add": torch.add, "subtract": torch.subtract, "multiply": torch.multiply,
        "divide": lambda x, y: x / (y * y + 1.0), "maximum": torch.maximum, "where": lambda x, y: torch.where(torch.from_numpy(MASK), x, y),
        "matmul": torch.matmul, "concatenate": lambda x, y: torch.cat([x[:1], y[:2]]),
    }  # fmt: skip

    def run(program, leaves):
        x = [torch.tensor(leaf, requires_grad=True) for leaf in leaves]
        y = evaluate(program, x, lib)
        return y.item(), [g.numpy() for g in torch.autograd.grad(y, x, materialize_grads=True)]

    return run


def with_jax():
    jax = pytest.importorskip("jax", reason="compares with JAX: pip install jax")
    jax.config.update("jax_enable_x64", True)
    jnp = jax.numpy
    lib = {
        "exp": jnp.exp, "sin": jnp.sin, "cos": jnp.cos, "tanh": jnp.tanh, "square": jnp.square, "negative": jnp.negative, "sum": jnp.sum, "mean": jnp.mean,
        "T": lambda x: x.T, "logsumexp": lambda x: jax.nn.logsumexp(x, axis=1, keepdims=True), "index": lambda x: x[jnp.array([2, 0, 0]), 1:2],
        "sigmoid": jax.nn.sigmoid, "var": lambda x: jnp.var(x, axis=0), "add": jnp.add, "subtract": jnp.subtract, "multiply": jnp.multiply,
        "divide": lambda x, y: x / (y * y + 1.0), "maximum": jnp.maximum, "where": lambda x, y: jnp.where(MASK, x, y), "matmul": jnp.matmul,
        "concatenate": lambda x, y: jnp.concatenate([x[:1], y[:2]]),
    }  # fmt: skip
    return lambda program, leaves: jax.value_and_grad(
        lambda *x: evaluate(program, x, lib), argnums=tuple(range(len(leaves)))
    )(*leaves)


@pytest.mark.parametrize("other", [with_autograd, with_torch, with_jax])
def test_random_expressions(other):
    theirs = other()

    @given(program=programs, seed=st.integers(0, 2**16))
    def check(program, seed):
        rng = np.random.default_rng(seed)
        leaves = [rng.uniform(-1, 1, SHAPE) for _ in range(2)]
        ours = [Tensor(leaf, requires_grad=True) for leaf in leaves]
        y = evaluate(program, ours, OURS)
        value, slopes = theirs(program, leaves)
        np.testing.assert_allclose(y.item(), value, rtol=1e-10, atol=1e-10)
        for mine, expected in zip(gradients(y, ours), slopes, strict=True):
            np.testing.assert_allclose(mine, expected, rtol=1e-10, atol=1e-10)

    check()
