"""Random programs against other libraries, to second order, to 1e-10 in float64."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_mnist as tg

UNARY = [
    "exp", "sin", "cos", "tanh", "square", "negative", "sum", "mean", "T", "logsumexp", "index",
    "sigmoid", "var", "std", "sqrt", "power", "prod", "cumsum", "softmax", "expand",
]  # fmt: skip
BINARY = [
    "add", "subtract", "multiply", "divide", "maximum", "where", "matmul", "concatenate", "einsum",
    "minimum",
]  # fmt: skip
SHAPE = (3, 3)
MASK = np.eye(3, dtype=bool)
TAKE = np.array([2, 0, 0])

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
    return total


def numpy_like(m):
    """The operations of a library that has NumPy's names."""
    return {
        **{name: vars(m)[name] for name in ("exp", "sin", "cos", "tanh", "square", "negative")},
        **{name: vars(m)[name] for name in ("add", "subtract", "multiply", "maximum", "minimum")},
        "sum": m.sum,
        "mean": m.mean,
        "T": lambda x: x.T,
        "logsumexp": lambda x: m.log(m.sum(m.exp(x), axis=1, keepdims=True)),
        "index": lambda x: x[TAKE, 1:2],
        "sigmoid": lambda x: 1 / (1 + m.exp(-x)),
        "var": lambda x: m.var(x, axis=0),
        "std": lambda x: m.sqrt(m.var(apart(m, x), axis=1)),
        "sqrt": lambda x: m.sqrt(x * x + 0.5),
        "power": lambda x: (x * x + 0.5) ** 1.5,
        "prod": lambda x: m.prod(x, axis=0),
        "cumsum": lambda x: m.cumsum(x, axis=1),
        "softmax": lambda x: m.exp(x) / m.sum(m.exp(x), axis=1, keepdims=True),
        "expand": lambda x: m.sum(m.expand_dims(x, 1) * x, axis=0),
        "divide": lambda x, y: x / (y * y + 1.0),
        "where": lambda x, y: m.where(MASK, x, y),
        "matmul": m.matmul,
        "concatenate": lambda x, y: m.concatenate([x[:1], y[:2]]),
        "einsum": lambda x, y: m.einsum("ij,ki->jk", x, y),
    }


def apart(m, x):
    """The elements moved apart from each other, because equal ones have no standard deviation."""
    return x + 2.0 * m.cumsum(0.0 * x + 1.0, axis=1)


OURS = {
    **numpy_like(tg),
    "logsumexp": lambda x: tg.logsumexp(x, axis=1, keepdims=True),
    "sigmoid": tg.sigmoid,
    "std": lambda x: tg.std(apart(tg, x), axis=1),
    "softmax": tg.softmax,
    "einsum": lambda x, y: tg.einsum("ij,ki->jk", x, y),
}


def ours(program, x, v):
    """Value and gradient of the sum; the Hessian of the sum, and the Jacobian, times v."""

    def f(x):
        return evaluate(program, (x[0], x[1]), OURS)

    def total(x):
        return f(x).sum()

    return *tg.value_and_grad(total)(x), tg.hvp(total, x, v), tg.jvp(f, x, v)[1]


def with_autograd():
    anp = pytest.importorskip(
        "autograd.numpy", reason="compares with autograd: pip install autograd"
    )
    from autograd import grad, make_jvp, value_and_grad

    lib = numpy_like(anp)

    def run(program, x, v):
        def f(x):
            return evaluate(program, (x[0], x[1]), lib)

        def total(x):
            return anp.sum(f(x))

        second = grad(lambda x: anp.sum(grad(total)(x) * v))(x)
        return *value_and_grad(total)(x), second, make_jvp(f)(x)(v)[1]

    return run


def with_torch():
    torch = pytest.importorskip("torch", reason="compares with PyTorch: pip install torch")
    names = SimpleNamespace(
        **{name: vars(torch)[name] for name in ("exp", "sin", "cos", "tanh", "square", "negative")},
        **{name: vars(torch)[name] for name in ("add", "subtract", "multiply", "matmul", "sqrt")},
        **{name: vars(torch)[name] for name in ("maximum", "minimum", "log", "mean", "einsum")},
        sum=lambda x, axis=None, keepdims=False: torch.sum(x, axis, keepdims),
        var=lambda x, axis: torch.var(x, axis, correction=0),
        prod=lambda x, axis: torch.prod(x, axis),
        cumsum=lambda x, axis: torch.cumsum(x, axis),
        expand_dims=torch.unsqueeze,
        where=lambda mask, x, y: torch.where(torch.from_numpy(mask), x, y),
        concatenate=torch.cat,
    )
    lib = numpy_like(names)

    def run(program, x, v):
        def f(x):
            return evaluate(program, (x[0], x[1]), lib)

        point, v = torch.tensor(x, requires_grad=True), torch.tensor(v)
        y = f(point)
        [g] = torch.autograd.grad(y.sum(), point, create_graph=True)
        [second] = torch.autograd.grad((g * v).sum(), point, materialize_grads=True)
        along = torch.autograd.functional.jvp(f, torch.tensor(x), v)[1]
        return y.sum().item(), g.detach().numpy(), second.numpy(), along.numpy()

    return run


def with_jax():
    jax = pytest.importorskip("jax", reason="compares with JAX: pip install jax")
    jax.config.update("jax_enable_x64", True)
    lib = numpy_like(jax.numpy)

    def run(program, x, v):
        def f(x):
            return evaluate(program, (x[0], x[1]), lib)

        def total(x):
            return f(x).sum()

        second = jax.jvp(jax.grad(total), (x,), (v,))[1]
        return *jax.value_and_grad(total)(x), second, jax.jvp(f, (x,), (v,))[1]

    return run


@pytest.mark.parametrize("other", [with_autograd, with_torch, with_jax])
def test_random_programs(other):
    theirs = other()

    @given(program=programs, seed=st.integers(0, 2**16))
    def check(program, seed):
        rng = np.random.default_rng(seed)
        x, v = rng.uniform(-1, 1, (2, 2, *SHAPE))
        names = ("value", "gradient", "Hessian times v", "Jacobian times v")
        pairs = zip(names, ours(program, x, v), theirs(program, x, v), strict=True)
        for name, mine, expected in pairs:
            np.testing.assert_allclose(mine, expected, rtol=1e-10, atol=1e-10, err_msg=name)

    check()
