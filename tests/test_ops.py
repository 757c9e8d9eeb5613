"""Every operation against its row of the table: values, derivatives, dtypes, sizes, extremes."""

import functools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from op_table import TABLE, Row

import tinygrad_mnist as tg
from tinygrad_mnist import Tensor, hessian, hvp, vjp
from tinygrad_mnist.graph import watching
from tinygrad_mnist.ops import OPS
from tinygrad_mnist.tensor import gradients
from tinygrad_mnist.testing import away_from, broadcastable, gradcheck, shapes, tensors


def split(case):
    """The shapes and the parameters of a case."""
    return (case[:-1], case[-1]) if case and isinstance(case[-1], dict) else (case, {})


CASES = [
    pytest.param(row, *split(case), id=f"{name}-{i}")
    for name, row in TABLE.items()
    for i, case in enumerate(row.cases)
]
ELEMENTWISE = [name for name, row in TABLE.items() if row.operands]


def draw(row: Row, shapes, rng):
    """Inputs from the row's domain, clear of its kinks."""
    inputs = [np.asarray(rng.uniform(*row.domain, shape)) for shape in shapes]
    for kink in row.away:
        x = inputs[0] - inputs[1] if row.operands == 2 else inputs[0]
        shift = np.where(np.abs(x - kink) < 0.02, 0.05, 0.0)
        if np.shape(shift) == np.shape(inputs[0]):
            inputs[0] = inputs[0] + shift
    return inputs


def test_every_op_has_a_row():
    assert set(TABLE) == set(OPS), (
        "each operation has one row in op_table.py, and each row an operation"
    )


def test_every_op_is_public():
    # x[i], x.astype(dtype) and x.copy(): as functions of the package their names say too little.
    methods = {"getitem", "astype", "copy"}
    assert {name for name in OPS if getattr(tg, name, None) is not OPS[name]} == methods


@pytest.mark.parametrize(("row", "shapes", "params"), CASES)
def test_value_is_numpys(row, shapes, params, rng):
    inputs = draw(row, shapes, rng)
    y = row.op(*(Tensor(x) for x in inputs), **params)
    expected = np.asarray(row.reference(*inputs, **params))
    assert y.shape == expected.shape
    assert y.dtype == np.float64
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize(("row", "shapes", "params"), CASES)
def test_derivatives_to_second_order(row, shapes, params, rng):
    gradcheck(lambda *x: row.op(*x, **params), *draw(row, shapes, rng), order=2)


@pytest.mark.parametrize(("row", "shapes", "params"), CASES)
def test_gradient_by_a_complex_step(row, shapes, params, rng):
    if not row.analytic:
        pytest.skip("its kernel is for real numbers only")
    gradcheck(lambda *x: row.op(*x, **params), *draw(row, shapes, rng), method="complex")


THIRD = set(np.random.default_rng(0).choice(sorted(TABLE), len(TABLE) // 3, replace=False))


@pytest.mark.parametrize(
    ("row", "shapes", "params"),
    [case for case in CASES if case.id.rpartition("-")[0] in THIRD],
)
def test_a_third_of_the_table_to_third_order(row, shapes, params, rng):
    inputs = draw(row, shapes, rng)
    gradcheck(lambda *x: row.op(*x, **params), *inputs, order=3, fast=True)


@pytest.mark.parametrize(("row", "shapes", "params"), CASES)
def test_float32_stays_float32_and_agrees(row, shapes, params, rng):
    wide = [Tensor(x, requires_grad=True) for x in draw(row, shapes, rng)]
    narrow = [Tensor(x.numpy(), requires_grad=True, dtype=np.float32) for x in wide]
    y, y32 = row.op(*wide, **params), row.op(*narrow, **params)
    if row is not TABLE["astype"]:
        assert y32.dtype == np.float32
    np.testing.assert_allclose(y32.numpy(), y.numpy(), rtol=2e-5, atol=2e-5)
    for g, g32 in zip(gradients(y, wide), gradients(y32, narrow), strict=True):
        assert g32.dtype == np.float32
        np.testing.assert_allclose(g32, g, rtol=2e-4, atol=2e-4)


class RawGradients:
    """Sees what each vjp returns, before the engine casts anything."""

    def __init__(self):
        self.wrong = []

    def forward(self, kernel, arrays, y, node):
        pass

    def before_vjp(self, node):
        pass

    def after_vjp(self, node, gradients):
        pairs = zip(gradients, node.parents, strict=True)
        self.wrong += [
            (node.name, g.dtype, p.dtype)
            for g, p in pairs
            if p is not None and np.asarray(g).dtype != p.dtype
        ]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("row", "shapes", "params"), CASES)
def test_a_vjp_itself_keeps_the_dtype(row, shapes, params, dtype, rng):
    inputs = [Tensor(x, requires_grad=True, dtype=dtype) for x in draw(row, shapes, rng)]
    watch = RawGradients()
    with watching(watch):
        y = row.op(*inputs, **params)
        gradients(y, inputs, np.ones(y.shape, y.dtype))
    assert watch.wrong == []


@pytest.mark.parametrize(("row", "shapes", "params"), CASES)
def test_inputs_and_kept_results_are_never_written_to(row, shapes, params, rng):
    inputs = [Tensor(x, requires_grad=True) for x in draw(row, shapes, rng)]
    before = [x.numpy().copy() for x in inputs]
    y = row.op(*inputs, **params)
    value, seed = y.numpy().copy(), rng.standard_normal(y.shape)
    first = gradients(y, inputs, seed, retain_graph=True)
    for x, b in zip(inputs, before, strict=True):
        np.testing.assert_array_equal(x.numpy(), b)
    np.testing.assert_array_equal(y.numpy(), value)
    for g in first:
        g[...] = np.nan  # what backward gave is the caller's
    for g in gradients(y, inputs, seed):
        assert not np.isnan(g).any()


EXTREMES = [
    pytest.param(row, *extreme, id=f"{name}-{i}")
    for name, row in TABLE.items()
    for i, extreme in enumerate(row.extremes)
]


@pytest.mark.parametrize(("row", "inputs", "expected", "slopes"), EXTREMES)
def test_extremes_without_a_warning(row, inputs, expected, slopes):
    leaves = [
        Tensor(np.asarray(x, float), requires_grad=True)
        for x in (inputs if isinstance(inputs, tuple) else (inputs,))
    ]
    y = row.op(*leaves)
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-12)
    if slopes is not None:
        found = gradients(y, leaves)
        for g, wanted in zip(
            found, slopes if isinstance(slopes, tuple) else (slopes,), strict=True
        ):
            known = [w is not None for w in wanted]
            np.testing.assert_allclose(g[known], [w for w in wanted if w is not None], rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("row", "inputs", "expected", "slopes"), EXTREMES)
def test_extremes_to_second_order(row, inputs, expected, slopes, dtype):
    with np.errstate(over="ignore"):  # 3e200 is infinite in float32
        points = [np.asarray(x).astype(dtype) for x in in_tuple(inputs)]
    leaves = [Tensor(x, requires_grad=True) for x in points]
    y, pull = vjp(row.op, *leaves)
    seed = Tensor(np.ones(y.shape, dtype), requires_grad=True)
    recorded = in_tuple(pull(seed))
    on_arrays = in_tuple(vjp(row.op, *points)[1](seed.data))
    for g, plain in zip(recorded, on_arrays, strict=True):
        np.testing.assert_array_equal(g.numpy(), plain)
        if not np.isfinite(plain).all():
            continue
        for second in gradients(g.sum(), [*leaves, seed], retain_graph=True):
            assert not np.isnan(second).any(), "no 0 * inf behind a finite slope"


def in_tuple(found):
    return found if isinstance(found, tuple) else (found,)


@pytest.mark.parametrize(
    ("f", "x", "second"),
    [
        (tg.sigmoid, [-1000.0, -800.0, 0.0, 1000.0], [0, 0, 0, 0]),
        (tg.softplus, [-1000.0, 0.0, 1000.0], [0, 0.25, 0]),
        (tg.silu, [-1000.0, 0.0, 1000.0], [0, 0.5, 0]),
        (tg.gelu, [-1000.0, -40.0, 0.0, 1000.0], [0, 0, (2 / np.pi) ** 0.5, 0]),
        (tg.tanh, [-1000.0, 0.0, np.inf], [0, 0, 0]),
        (tg.relu, [-np.inf, -1.0, 0.0, 1.0, np.inf], [0] * 5),
        (lambda x: tg.relu(x) ** 2, [-1.0, 0.0, 3.0], [0, 0, 2]),
        (tg.abs, [-1.0, 0.0, 1.0], [0] * 3),
        (lambda x: tg.elu(x, 2.0), [-1000.0, 0.0, 1.0], [0, 2, 0]),
        (lambda x: tg.clip(x, -1, 1) ** 2, [-2.0, -1.0, 0.0, 1.0, 2.0], [0, 2, 2, 2, 0]),
        (tg.sqrt, [0.0, 4.0, np.inf], [-np.inf, -1 / 32, 0]),
        (lambda x: tg.sqrt(tg.relu(x)), [-1.0, 4.0], [0, -1 / 32]),
        (lambda x: tg.sqrt(tg.clip(x, 0.0)), [-1.0, 4.0], [0, -1 / 32]),
        (lambda x: tg.sqrt(tg.maximum(x, 0.0)), [-1.0, 4.0], [0, -1 / 32]),
        (lambda x: tg.log(tg.where(x > 0, x, 1.0)), [0.0, 2.0], [0, -0.25]),
        (lambda x: x**0, [0.0, 2.0], [0, 0]),
        (lambda x: x**1, [0.0, -2.0], [0, 0]),
        (lambda x: x**2, [0.0, -2.0], [2, 2]),
        (lambda x: x**3, [0.0, -2.0], [0, -12]),
        (lambda x: x ** np.array([0.0, 1.0, 2.0, 3.0]), [0.0] * 4, [0, 0, 2, 0]),
        (lambda x: tg.power(x, Tensor([1.0, 2.0, 3.0])), [0.0] * 3, [0, 2, 0]),
    ],
)
def test_second_derivatives_at_ends_and_kinks(f, x, second):
    x = np.array(x)
    found = hvp(lambda t: f(t).sum(), x, np.ones_like(x))
    np.testing.assert_allclose(found, second, rtol=1e-12, atol=1e-300)


P = np.array([0.0, 1 / (1 + np.e), np.e / (1 + np.e)])  # softmax of (-inf, 0, 1)
CENTRED = np.eye(3) - 1 / 3  # the matrix that takes the mean away
STD = (2 / 3) ** 0.5  # of (1, 2, 3)
APART = np.array([[1.0, -1.0, 0.0], [-1.0, 1.0, 0.0], [0.0, 0.0, 0.0]])  # of (x[0] - x[1])**2 / 2


@pytest.mark.parametrize(
    ("f", "x", "second"),
    [
        (tg.var, [2.0, 2.0, 2.0], CENTRED * 2 / 3),
        (tg.std, [2.0, 2.0, 2.0], np.zeros((3, 3))),
        (
            tg.std,
            [1.0, 2.0, 3.0],
            CENTRED / (3 * STD) - np.outer([1, 0, -1], [1, 0, -1]) / (9 * STD**3),
        ),
        (tg.logsumexp, [-np.inf, 0.0, 1.0], np.diag(P) - np.outer(P, P)),
        (tg.logsumexp, [1e4, 1e4, 0.0], APART / 4),
        (lambda x: tg.softmax(x)[0], [1.0, 0.0, -np.inf], P[2] * P[1] * (P[1] - P[2]) * APART),
        (lambda x: tg.softmax(x).square().sum(), [1e4, 1e4, -1e4], APART / 4),
        (
            lambda x: tg.softmax_cross_entropy(x[None], [1]),
            [-np.inf, 0.0, 1.0],
            np.diag(P) - np.outer(P, P),
        ),
        (tg.prod, [0.0, 2.0, 3.0], [[0, 3, 2], [3, 0, 0], [2, 0, 0]]),
        (tg.prod, [0.0, 0.0, 3.0], [[0, 3, 0], [3, 0, 0], [0, 0, 0]]),
        (lambda x: tg.cumprod(x).sum(), [2.0, 0.0, 3.0], [[0, 4, 0], [4, 0, 2], [0, 2, 0]]),
        (lambda x: tg.max(x) ** 2, [1.0, 3.0, 3.0], [[0, 0, 0], [0, 0.5, 0.5], [0, 0.5, 0.5]]),
    ],
)
def test_hessians_at_ends_and_ties(f, x, second):
    np.testing.assert_allclose(hessian(f)(np.array(x)), second, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", ELEMENTWISE)
@given(data=st.data())
def test_any_shapes_and_strides(name, data):
    row = TABLE[name]
    low, high = row.domain
    elements = away_from(*(row.away if row.operands == 1 else ()), low=low, high=high, gap=0.02)
    if row.operands == 1:
        inputs = [data.draw(tensors(shapes(), elements=elements))]
    else:
        inputs = list(data.draw(broadcastable(2, elements=elements)))
        if row.away:  # a kink where the operands meet: keep them on different sides
            inputs[1] = Tensor(inputs[1].numpy() + 2 * (high - low), requires_grad=True)
    expected = row.reference(*(x.numpy() for x in inputs))
    np.testing.assert_allclose(row.op(*inputs).numpy(), expected, rtol=1e-11, atol=1e-13)
    gradcheck(row.op, *inputs, method="complex" if row.analytic else "central", order=2)


@pytest.mark.parametrize("name", ["sum", "mean", "max", "min", "prod", "logsumexp", "var"])
@given(data=st.data())
def test_reductions_over_any_axes(name, data):
    x = data.draw(tensors(shapes(min_dims=1, min_side=1), elements=st.floats(0.5, 2.0)))
    axes = data.draw(
        st.lists(st.integers(-x.ndim, x.ndim - 1), unique_by=lambda a: a % x.ndim).map(tuple)
        | st.none()
    )
    params = {"axis": axes, "keepdims": data.draw(st.booleans())}
    row = TABLE[name]
    np.testing.assert_allclose(
        row.op(x, **params).numpy(), row.reference(x.numpy(), **params), rtol=1e-11, atol=1e-13
    )
    if axes != () and name not in ("max", "min"):  # ties, which hypothesis loves, are kinks
        gradcheck(lambda t: row.op(t, **params), x, method="complex", order=2)


@given(data=st.data())
def test_matmul_of_any_shapes(data):
    n, k, m = (data.draw(st.integers(0, 3)) for _ in range(3))
    batch = data.draw(broadcastable(2, max_dims=2, max_side=3))
    x, y = (
        Tensor(np.ones((*b.shape, *side)) * 0.5, requires_grad=True)
        for b, side in zip(batch, ((n, k), (k, m)), strict=True)
    )
    np.testing.assert_allclose((x @ y).numpy(), x.numpy() @ y.numpy())
    gradcheck(tg.matmul, x, y, method="complex", order=2)


def test_few_rows_through_a_large_weight(rng):
    x, w, bias = (
        rng.standard_normal((2, 256)),
        rng.standard_normal((9, 256)),
        rng.standard_normal(9),
    )
    t = Tensor(np.zeros((2, 9)), requires_grad=True)
    tg.matmul(t, w).backward(x)
    for product in (tg.linear(x, w, bias).data - bias, t.grad):
        np.testing.assert_allclose(product, x @ w.T, rtol=1e-12, atol=1e-12)
        assert product.flags.c_contiguous


LETTERS = {"a": 9, "b": 17, "c": 33, "d": 21, "e": 1}


@pytest.mark.parametrize(
    "subscripts",
    [
        "ac,cd->ad", "ac,cd->da", "bac,bcd->bad", "bac,bcd->dab", "abc,bcd->ad", "bca,dcb->abd",
        "aecb,edcb->bade", "abc,cd->abd", "cd,abc->abd", "abc,dc->abd", "abc,abd->acd",
        "abc,bd->ad", "acc,cd->ad", "abc,abcd->abd", "eac,ecd->ead",
    ],
)  # fmt: skip
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_einsum_of_large_operands_is_numpys(subscripts, dtype, rng):
    terms = subscripts.partition("->")[0]
    a, b = (rng.standard_normal([LETTERS[c] for c in t]).astype(dtype) for t in terms.split(","))
    b = b[..., ::-1]
    x, y = Tensor(a, requires_grad=True), Tensor(b, requires_grad=True)
    z = tg.einsum(subscripts, x, y)
    close = functools.partial(np.testing.assert_allclose, rtol=1e3 * np.finfo(dtype).eps)
    close(z.numpy(), np.einsum(subscripts, a, b), atol=1e3 * np.finfo(dtype).eps)
    assert z.dtype == dtype
    seed, u, v = (rng.standard_normal(s).astype(dtype) for s in (z.shape, a.shape, b.shape))
    z.backward(seed)
    # Along u the slope of the einsum, which is linear in each operand, is the einsum of u.
    for slope, moved in (((x.grad * u).sum(), (u, b)), ((y.grad * v).sum(), (a, v))):
        close(slope, (seed * np.einsum(subscripts, *moved)).sum(), atol=1e5 * np.finfo(dtype).eps)


@given(data=st.data())
def test_indexing_is_numpys(data):
    from hypothesis.extra.numpy import basic_indices

    x = data.draw(tensors(shapes(min_dims=1, min_side=1)))
    index = data.draw(basic_indices(x.shape, allow_newaxis=True, allow_ellipsis=True))
    np.testing.assert_array_equal(x[index].numpy(), x.numpy()[index])
    gradcheck(lambda t: t[index] * t[index], x, method="complex", order=2)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize(
    ("shape", "index"),
    [
        ((30, 60), lambda rng: rng.integers(-30, 30, 50)),
        ((300, 7), lambda rng: rng.integers(0, 255, (20, 30)).astype(np.uint8)),
        ((30, 60), lambda rng: (rng.integers(-30, 30, (5, 9)).astype(np.int8),)),
        ((30, 60), lambda rng: [3, 3, -1] * 20),
        ((50, 40), lambda rng: (slice(None, None, -1), rng.integers(0, 40, (5, 9)))),
        ((50, 40), lambda rng: (rng.integers(0, 50, 2000), rng.integers(-40, 40, 2000))),
        ((50, 40, 3), lambda rng: (..., rng.integers(0, 3, 70))),
        ((50, 40), lambda rng: (None, rng.integers(0, 50, 90))),
        ((9000, 2), lambda rng: (rng.integers(0, 9000, 600), [1])),
        ((90000, 2), lambda rng: (rng.integers(0, 90000, 1200), [1])),
        ((5000,), lambda rng: rng.integers(-5000, 5000, 3000)),
    ],
)
def test_many_places_get_the_sum_of_their_gradients(shape, index, dtype, rng):
    places = index(rng)
    x = Tensor(np.asfortranarray(rng.standard_normal(shape)), requires_grad=True, dtype=dtype)
    g = np.asfortranarray(rng.standard_normal(x[places].shape)).astype(dtype)
    expected = np.zeros(shape, np.promote_types(dtype, np.float32))
    np.add.at(expected, tuple(places) if isinstance(places, tuple) else places, g)
    x[places].backward(g)
    np.testing.assert_array_equal(x.grad, expected.astype(dtype))


def test_maximum_of_equal_numbers_halves_the_gradient():
    x, y = (Tensor([1.0, 2.0], requires_grad=True) for _ in range(2))
    tg.maximum(x, y).sum().backward()
    np.testing.assert_array_equal(x.grad, [0.5, 0.5])
    np.testing.assert_array_equal(y.grad, [0.5, 0.5])


@pytest.mark.parametrize(
    "cut",
    [
        tg.relu,
        lambda x: tg.clip(x, 0.0),
        lambda x: tg.maximum(x, 0.0),
        lambda x: -tg.minimum(-x, 0.0),
    ],
)
@pytest.mark.parametrize("shape", [(3,), (1, 3), ()])
def test_an_infinite_slope_behind_a_cut_leaves_no_nan(cut, shape):
    x = Tensor(
        np.broadcast_to(np.array([-1.0, -2.0, 4.0]), shape) if shape else np.array(-1.0),
        requires_grad=True,
    )
    tg.sqrt(cut(x)).sum().backward()
    np.testing.assert_array_equal(
        x.grad, np.broadcast_to([0.0, 0.0, 0.25], shape) if shape else 0.0
    )


def test_clip_by_one_bound():
    for bounds, slope in (((None, 1.0), [1.0, 1.0, 0.0]), ((1.0, None), [0.0, 1.0, 1.0])):
        x = Tensor([-3.0, 1.0, 2.0], requires_grad=True)
        y = tg.clip(x, *bounds)
        np.testing.assert_array_equal(y.numpy(), np.clip(x.numpy(), *bounds))
        y.sum().backward()
        np.testing.assert_array_equal(x.grad, slope)


def test_a_constant_exponent_takes_no_logarithm():
    x = Tensor([-2.0, -1.0, 0.0], requires_grad=True)
    (x**3).sum().backward()
    np.testing.assert_array_equal(x.grad, [12.0, 3.0, 0.0])


@pytest.mark.parametrize("p", [-4, -3, -2, 3, 4, np.float64(3)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_small_whole_powers_are_right_at_every_size(p, dtype):
    limits = np.finfo(dtype)
    points = [0.0, -0.0, np.inf, -np.inf, np.nan, 2.5, -2.5, 1e-7, limits.max, limits.tiny, -1e-3]
    x = Tensor(np.array(points, dtype)[::-1], requires_grad=True)
    with np.errstate(all="ignore"):
        y = x**p
        wide = x.numpy().astype(np.longdouble)
        expected = (wide**p).astype(dtype), (p * wide ** (p - 1)).astype(dtype)
    y.backward(np.ones(y.shape, dtype))
    for found, wanted in zip((y.numpy(), x.grad), expected, strict=True):
        assert found.dtype == dtype
        np.testing.assert_allclose(found, wanted, 6 * limits.eps, 3 * limits.smallest_subnormal)
        known = ~np.isnan(wanted)
        np.testing.assert_array_equal(np.signbit(found[known]), np.signbit(wanted[known]))


def test_the_slope_of_a_constant_power_is_zero_everywhere():
    x = Tensor([0.0, 2.0], requires_grad=True)
    (x**0).sum().backward()
    np.testing.assert_array_equal(x.grad, [0.0, 0.0])


def test_bounds_of_clip_broadcast():
    x = Tensor([0.5, 2.0, -3.0], requires_grad=True)
    y = tg.clip(x, np.array([[-1.0], [0.0]]), np.array([[1.0], [3.0]]))
    np.testing.assert_array_equal(y.numpy(), [[0.5, 1.0, -1.0], [0.5, 2.0, 0.0]])
    y.sum().backward()
    np.testing.assert_array_equal(x.grad, [2.0, 1.0, 0.0])
    with pytest.raises(ValueError, match="a lower bound, an upper bound or both"):
        tg.clip(x)


def test_ties_of_a_pool_share_the_gradient():
    x = Tensor(np.array([[1.0, 1.0], [0.0, 1.0]])[None, None], requires_grad=True)
    (tg.max_pool2d(x, 2) * 6.0).sum().backward()
    np.testing.assert_array_equal(x.grad[0, 0], [[2.0, 2.0], [0.0, 2.0]])
    assert hvp(
        lambda t: (tg.max_pool2d(t, 2) ** 2).sum(), x.numpy(), np.ones((1, 1, 2, 2))
    ).sum() == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (
            lambda x: tg.max_pool2d(x, 2, padding=2),
            ValueError,
            r"at most half the kernel \(2, 2\), got \(2, 2\)",
        ),
        (lambda x: tg.max_pool2d(x, 3, padding=2), ValueError, "at most half"),
        (
            lambda x: tg.avg_pool2d(x, 9),
            tg.ShapeError,
            r"kernel of \(9, 9\) does not fit images \(2, 3, 4, 4\)",
        ),
        (lambda x: tg.conv2d(x, np.ones((1, 3, 5, 1))), tg.ShapeError, "does not fit"),
        (
            lambda x: tg.conv2d(x, np.ones((1, 2, 1, 1))),
            tg.ShapeError,
            r"\(2, 3, 4, 4\) and \(1, 2, 1, 1\)",
        ),
        (
            lambda x: tg.conv2d(x, np.ones((1, 3, 1, 1)), np.ones(2)),
            tg.ShapeError,
            r"bias of shape \(1,\), got \(2,\)",
        ),
        (lambda x: tg.conv2d(x, np.ones((1, 3, 1, 1)), stride=0), ValueError, "stride"),
        (lambda x: tg.conv2d(x, np.ones((1, 3, 1, 1)), padding=-1), ValueError, "padding"),
        (lambda x: tg.conv2d(x, np.ones((1, 3, 1, 1)), stride=(1, 2, 3)), ValueError, "two"),
        (lambda x: tg.max_pool2d(x[0], 2), tg.ShapeError, r"\(N, C, H, W\), got \(3, 4, 4\)"),
        (
            lambda x: np.dot(x, np.ones((2, 3, 4))),
            tg.ShapeError,
            r"dot: the inner sizes of .* differ",
        ),
        (lambda x: tg.einsum("ij,jk", x), tg.ShapeError, "names 2 operands, got 1"),
        (lambda x: tg.einsum("ij", x), tg.ShapeError, r"'ij' .* does not fit shape \(2, 3, 4, 4\)"),
        (
            lambda x: tg.einsum(x, x),
            TypeError,
            "subscripts as a string .* got Tensor",
        ),
        (lambda x: tg.linear(x, np.ones((2, 3))), tg.ShapeError, r"\(2, 3, 4, 4\) and \(2, 3\)"),
        (
            lambda x: tg.linear(x, np.ones((2, 4)), np.ones(3)),
            tg.ShapeError,
            r"bias of shape \(2,\), got \(3,\)",
        ),
        (lambda x: tg.matmul(x, 2.0), tg.ShapeError, "inner sizes"),
        (lambda x: tg.layer_norm(x, 3), tg.ShapeError, r"\(..., 3\), got \(2, 3, 4, 4\)"),
        (lambda x: tg.layer_norm(x, 4, np.ones(3)), tg.ShapeError, r"shape \(4,\), got \(3,\)"),
        (lambda x: tg.layer_norm(x, 4, bias=np.ones(4)), ValueError, "needs a weight"),
        (
            lambda x: tg.batch_norm(x[0, 0, 0], None, None),
            tg.ShapeError,
            r"\(N, C, ...\), got \(4,\)",
        ),
        (
            lambda x: tg.batch_norm(x, np.ones(2), np.ones(3)),
            tg.ShapeError,
            r"running_mean of shape \(3,\)",
        ),
        (lambda x: tg.batch_norm(x, None, None), ValueError, "needs running_mean"),
        (lambda x: tg.dropout(x, 1.0), ValueError, r"\[0, 1\), got 1.0"),
        (lambda x: tg.pad(x, 1, mode="edge"), ValueError, "constant"),
        (lambda x: tg.sum(x, axis=(0, 0)), ValueError, "sum: duplicate value in .axis."),
        (lambda x: tg.sum(x, axis=-5), ValueError, "sum: axis -5"),
    ],
)
def test_wrong_calls_say_what_was_expected(call, error, words):
    with pytest.raises(error, match=words):
        call(Tensor(np.ones((2, 3, 4, 4)), requires_grad=True))


def test_gather_of_repeated_indices_adds_up():
    x = Tensor([1.0, 2.0, 3.0], requires_grad=True)
    x[np.array([0, 0, 2])].sum().backward()
    np.testing.assert_array_equal(x.grad, [2.0, 0.0, 1.0])


def test_the_widths_of_a_pad_may_have_a_small_dtype():
    x = Tensor(np.ones(300), requires_grad=True)
    tg.pad(x, np.array([1, 2], np.int8)).sum().backward()
    np.testing.assert_array_equal(x.grad, np.ones(300))


def test_statistics_without_freedom_are_not_finite():
    x = Tensor([3.0], requires_grad=True)
    with np.errstate(all="ignore"):
        y = x.var(ddof=1)
    assert not np.isfinite(y.item())
    y.backward()
    assert np.isnan(x.grad).all()


def test_dropout_keeps_everything_at_zero_and_draws_from_its_source():
    x = Tensor(np.ones(50, np.float32))
    assert tg.dropout(x, 0.0) is x
    np.testing.assert_array_equal(
        tg.dropout(x, 0.5, rng=3).numpy(), tg.dropout(x, 0.5, rng=3).numpy()
    )


def test_batch_norm_needs_two_values_a_channel():
    assert tg.batch_norm(
        Tensor(np.array([[1.0], [3.0]])), None, None, training=True
    ).numpy() == pytest.approx(np.array([[-1.0], [1.0]]), rel=1e-4)
    with pytest.raises(ValueError, match="more than one value a channel"):
        tg.batch_norm(Tensor(np.ones((1, 3))), None, None, training=True)


def test_second_derivatives_go_through_a_cast():
    np.testing.assert_allclose(
        hvp(
            lambda t: (t.astype(np.float64) ** 2).sum(), np.array([1.0, 2.0]), np.array([1.0, 3.0])
        ),
        [2.0, 6.0],
    )


def test_ties_of_complex_extremes_are_averaged():
    assert hvp(
        lambda t: (t.max() ** 2).sum(), np.array([1.0, 1.0]), np.array([1.0, 0.0])
    ) == pytest.approx([0.5, 0.5])


def test_dropout_is_the_identity_in_evaluation_and_keeps_the_mean():
    x = Tensor(np.ones(20000, np.float32))
    assert tg.dropout(x, 0.3, training=False) is x
    dropped = tg.dropout(x, 0.3, rng=0).numpy()
    assert set(np.unique(dropped)) == {np.float32(0), np.float32(1 / 0.7)}
    assert abs(dropped.mean() - 1) < 0.02


def test_batch_norm_tracks_the_unbiased_variance(rng):
    x = rng.standard_normal((8, 3, 2))
    mean, var = np.zeros(3), np.ones(3)
    tg.batch_norm(Tensor(x), mean, var, training=True, momentum=0.25)
    np.testing.assert_allclose(mean, 0.25 * x.mean((0, 2)))
    np.testing.assert_allclose(var, 0.75 + 0.25 * x.var((0, 2), ddof=1))


INTEGERS = np.array([[0, 1, 200], [3, 2, 1]], np.uint8)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, bool])
@pytest.mark.parametrize(
    "op",
    [
        tg.sigmoid, tg.silu, tg.softplus, tg.softmax, tg.log_softmax, tg.logsumexp, tg.elu, tg.gelu,
        lambda x: tg.leaky_relu(-1 * x), lambda x: tg.leaky_relu(x, 0.1),
        lambda x: tg.dropout(x, 0.4, rng=0),
        lambda x: tg.mse(x, np.full((2, 3), 0.5)), lambda x: tg.mse(x, x[::-1]),
        lambda x: tg.mse(x, Tensor(np.full((2, 3), 0.5))),
        lambda x: tg.softmax_cross_entropy(x, [2, 0], weight=[0.5, 0.25, 1.5], label_smoothing=0.1),
        lambda x: tg.softmax_cross_entropy(x, np.full((2, 3), 0.25)),
        lambda x: tg.avg_pool2d(x.reshape(1, 1, 2, 3), 2),
        lambda x: tg.max_pool2d(x.reshape(1, 1, 2, 3), 2, padding=1),
    ],
)  # fmt: skip
def test_integers_and_bools_are_floats_where_they_would_wrap_or_be_cut(op, dtype):
    x = INTEGERS.astype(dtype)
    y = op(Tensor(x))
    assert y.dtype.kind == "f"
    np.testing.assert_allclose(
        y.numpy(),
        op(Tensor(x.astype(float))).numpy(),
        rtol=1e-3 if op in (tg.elu, tg.gelu) else 1e-6,
        atol=1e-12,
    )


# Second derivatives where formulas would multiply infinity by 0

ENDS = np.array([-np.inf, -1e4, 0.0, 1e4, np.inf])


@pytest.mark.parametrize(
    ("f", "expected"),
    [
        (tg.erf, [0.0] * 5),
        (tg.log_sigmoid, [0.0, 0.0, -0.25, 0.0, 0.0]),
        (tg.softplus, [0.0, 0.0, 0.25, 0.0, 0.0]),
        (tg.sigmoid, [0.0] * 5),
        (tg.arctan, [0.0, 2e-12, 0.0, -2e-12, 0.0]),
        (lambda x: tg.arctan2(x, 1.0), [0.0, 2e-12, 0.0, -2e-12, 0.0]),
        (lambda x: tg.arctan2(x, 0.0), [0.0] * 5),
        (lambda x: tg.logaddexp(x, 0.0), [0.0, 0.0, 0.25, 0.0, 0.0]),
        (lambda x: tg.logaddexp(x, ENDS), [0.0, 0.25, 0.25, 0.25, 0.0]),
        (tg.reciprocal, [0.0, -2e-12, np.inf, 2e-12, 0.0]),
        (lambda x: tg.l1(x, np.zeros(5), reduction="sum"), [0.0] * 5),
        (lambda x: tg.huber(x, np.zeros(5), reduction="sum"), [0.0, 0.0, 1.0, 0.0, 0.0]),
        (lambda x: tg.sigmoid_cross_entropy(x, [0, 1, 1, 0, 1], reduction="sum"), [0.0, 0.0, 0.25, 0.0, 0.0]),
        (lambda x: tg.gelu(tg.clip(x, -1e20, 1e20), approximate="tanh"), [0.0, 0.0, (2 / np.pi) ** 0.5, 0.0, 0.0]),
        (tg.sign, [0.0] * 5),
        (tg.floor, [0.0] * 5),
    ],
)  # fmt: skip
def test_second_derivatives_at_the_ends(f, expected):
    with np.errstate(all="ignore"):  # the value itself may be infinity minus infinity
        found = hvp(lambda x: f(x).sum(), ENDS, np.ones(5))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_huber_bends_at_delta_and_is_straight_beyond():
    x = np.array([0.5, 2.0, -2.0, 2.5])
    slopes = tg.grad(lambda t: tg.huber(t, np.zeros(4), reduction="sum", delta=2.0))(x)
    np.testing.assert_array_equal(slopes, [0.5, 2.0, -2.0, 2.0])
    bend = hvp(lambda t: tg.huber(t, np.zeros(4), reduction="sum", delta=2.0), x, np.ones(4))
    np.testing.assert_array_equal(bend, [1.0, 1.0, 1.0, 0.0])


@pytest.mark.parametrize("axis", [None, 0, 1])
def test_the_norm_of_zeros_has_no_slope_and_no_bend(axis):
    x = np.zeros((2, 3))
    np.testing.assert_array_equal(tg.grad(lambda t: tg.norm(t, axis).sum())(x), x)
    np.testing.assert_array_equal(hvp(lambda t: tg.norm(t, axis).sum(), x, np.ones((2, 3))), x)
    # beside a row that is not zero
    mixed = np.array([[0.0, 0.0], [3.0, 4.0]])
    found = hvp(lambda t: tg.norm(t, 1).sum(), mixed, np.ones((2, 2)))
    np.testing.assert_allclose(found, [[0, 0], [(1 - 7 * 3 / 25) / 5, (1 - 7 * 4 / 25) / 5]])


def test_arctan2_in_every_quadrant(rng):
    y, x = rng.uniform(0.5, 2, (2, 4)) * [[1, 1, -1, -1], [1, -1, 1, -1]]
    np.testing.assert_allclose(tg.arctan2(y, x).numpy(), np.arctan2(y, x))
    gradcheck(tg.arctan2, y, x)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_erf_is_exact_to_its_dtype(dtype):
    from math import erf

    x = np.concatenate([np.linspace(-6, 6, 2001), np.geomspace(1e-30, 1, 200)]).astype(dtype)
    expected = np.array([erf(float(v)) for v in x])
    np.testing.assert_allclose(
        tg.erf(x).numpy(), expected, rtol=8 * float(np.finfo(dtype).eps), atol=0
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gelu_keeps_digits_in_its_left_tail(dtype):
    from math import erfc

    x = np.concatenate([np.linspace(-8, 6, 701), np.geomspace(1e-30, 1, 50)]).astype(dtype)[::-1]
    expected = np.array([0.5 * float(v) * erfc(-float(v) / 2**0.5) for v in x])
    np.testing.assert_allclose(
        tg.gelu(x).numpy(), expected, rtol=64 * float(np.finfo(dtype).eps), atol=0
    )


@pytest.mark.parametrize("approximate", ["none", "tanh"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gelu_of_the_largest_numbers_has_the_slope_of_its_ends(approximate, dtype):
    largest = np.finfo(dtype).max
    x = Tensor(np.array([-largest, -1e4, 1e4, largest], dtype), requires_grad=True)
    y = tg.gelu(x, approximate)
    y.backward(np.ones(4, dtype))
    np.testing.assert_array_equal(y.numpy(), np.maximum(x.numpy(), 0))
    np.testing.assert_array_equal(x.grad, [0, 0, 1, 1])


# NumPy's names


@pytest.mark.parametrize(
    "name", sorted(name for name, row in TABLE.items() if hasattr(np, name) and row.op is OPS[name])
)
def test_numpys_name_records_the_operation(name, rng):
    row = TABLE[name]
    shapes, params = split(row.cases[0])
    inputs = [Tensor(x, requires_grad=True) for x in draw(row, shapes, rng)]
    if name == "reshape":  # whose second parameter is called newshape in NumPy 2.0
        inputs, params = [*inputs, params["shape"]], {}
    y = getattr(np, name)(*inputs, **params)
    assert isinstance(y, Tensor)
    assert y.requires_grad
    np.testing.assert_array_equal(y.numpy(), row.op(*inputs, **params).numpy())


def test_numpys_names_with_arguments_of_its_own(rng):
    x = Tensor(rng.standard_normal((4, 3)), requires_grad=True)
    a = x.numpy()
    for ours, theirs in (
        (np.linalg.norm(x), np.linalg.norm(a)),
        (np.linalg.norm(x, axis=1, keepdims=True), np.linalg.norm(a, axis=1, keepdims=True)),
        (np.linalg.norm(x, 2, 0), np.linalg.norm(a, 2, 0)),
        (np.linalg.norm(x, "fro"), np.linalg.norm(a, "fro")),
        (np.linalg.norm(x[0], 2), np.linalg.norm(a[0], 2)),
        (np.linalg.norm(x, np.inf, axis=0), np.linalg.norm(a, np.inf, axis=0)),
        (np.around(x, 1), np.around(a, 1)),
        (np.split(x, [1], axis=1)[1], np.split(a, [1], axis=1)[1]),
        (np.concatenate(np.split(x, 2)), a),
        (np.acos(np.clip(x, -1, 1)), np.acos(np.clip(a, -1, 1))),
    ):
        assert ours.requires_grad
        np.testing.assert_allclose(ours.numpy(), theirs)
    for call in (
        lambda: np.linalg.norm(x, 2),  # of a matrix, that is its largest singular value
        lambda: np.linalg.norm(x, "nuc"),
    ):
        with pytest.raises(TypeError, match=r"np\.linalg\.norm on a Tensor: expected ord to be"):
            call()


# Attention


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "f",
    [
        tg.softmax,
        tg.log_softmax,
        lambda x: tg.layer_norm(x, x.shape[-1], np.arange(x.shape[-1]), np.ones(x.shape[-1])),
        lambda x: tg.layer_norm(x, x.shape[-1]),
        lambda x: tg.scaled_dot_product_attention(x, x, x),
    ],
)
@pytest.mark.parametrize("size", [15, 48])
def test_many_rows_at_once_are_as_right_as_few(f, dtype, size, rng):
    numbers = rng.standard_normal((128, 4, size)).astype(dtype)
    numbers[3, 2, 5], numbers[7, 1] = np.nan, 1e3
    many = Tensor(numbers[:, ::-1], requires_grad=True)
    seed = rng.standard_normal(many.shape).astype(dtype)
    with np.errstate(all="ignore"):
        y = f(Tensor(np.ascontiguousarray(numbers)))
        reversed_y = f(many) if f in (tg.softmax, tg.log_softmax) else None
        for one, expected in zip(numbers, y.numpy(), strict=True):
            found = f(Tensor(one)).numpy()
            np.testing.assert_allclose(found, expected, 100 * np.finfo(dtype).eps, 1e-5)
    if reversed_y is not None:
        np.testing.assert_allclose(reversed_y.numpy()[:, ::-1], y.numpy(), rtol=1e-5)
        reversed_y.backward(seed)
        part = Tensor(numbers[4], requires_grad=True)
        f(part).backward(seed[4, ::-1])
        np.testing.assert_allclose(many.grad[4, ::-1], part.grad, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("norm", "shape"),
    [
        (lambda x, w, b: tg.layer_norm(x, 4, w, b), (4,)),
        (lambda x, w, b: tg.layer_norm(x, 4, w, b), (1, 4)),
        (lambda x, w, b: tg.layer_norm(x, 4, w, b), (3, 4)),
        (lambda x, w, b: tg.batch_norm(x, np.zeros(4), np.ones(4), w, b), (1, 4)),
        (lambda x, w, b: tg.batch_norm(x, np.zeros(4), np.ones(4), w, b), (1, 4, 1)),
    ],
)
def test_the_gradient_of_a_bias_is_that_of_the_result(norm, shape, rng):
    x, w, b = (Tensor(rng.standard_normal(s), requires_grad=True) for s in (shape, 4, 4))
    seed = rng.standard_normal(shape)
    norm(x, w, b).backward(seed)
    np.testing.assert_allclose(b.grad, seed.reshape(-1, 4).sum(0))
    gradcheck(norm, *(t.numpy() for t in (x, w, b)))


def test_causal_attention_counts_from_the_first_key(rng):
    q, k, v = (rng.standard_normal((n, 4)) for n in (2, 5, 5))
    y = tg.scaled_dot_product_attention(q, k, v, causal=True).numpy()
    np.testing.assert_allclose(y[0], v[0])
    k[2:], v[2:] = np.nan, 7.0  # the second query sees two keys
    np.testing.assert_array_equal(tg.scaled_dot_product_attention(q, k, v, causal=True).numpy(), y)


@pytest.mark.parametrize("mask", [np.zeros((2, 3), bool), np.full((2, 3), -np.inf)])
def test_a_query_that_may_look_nowhere_gets_zeros(mask, rng):
    mask[0, 1] = 1
    inputs = [rng.standard_normal((n, 2)) for n in (2, 3, 3)]

    def f(*qkv):
        return (tg.scaled_dot_product_attention(*qkv, mask=mask) ** 2).sum()

    y = tg.scaled_dot_product_attention(*inputs, mask=mask).numpy()
    np.testing.assert_array_equal(y, [inputs[2][1], [0.0, 0.0]])
    for k in range(3):
        slope = tg.grad(f, k)(*inputs)
        assert np.isfinite(slope).all()
        direction = np.ones_like(inputs[k])
        bend = tg.hvp(f, *inputs[:1], direction, *inputs[1:], argnums=k)
        assert np.isfinite(bend).all()
        if k == 0:
            np.testing.assert_array_equal(slope[1], [0.0, 0.0])


def test_masks_of_numpys_float64_keep_float32(rng):
    q, k, v = (Tensor(rng.standard_normal((3, 2)).astype(np.float32)) for _ in range(3))
    mask = np.triu(np.full((3, 3), -np.inf), 1)
    y = tg.scaled_dot_product_attention(q, k, v, mask=mask)
    assert y.dtype == np.float32
    causal = tg.scaled_dot_product_attention(q, k, v, causal=True)
    np.testing.assert_allclose(y.numpy(), causal.numpy(), rtol=1e-6)
    half = [t.astype(np.float16) for t in (q, k, v)]
    y = tg.scaled_dot_product_attention(*half, mask=np.where(np.isinf(mask), -1e9, 0.0))
    assert y.dtype == np.float16
    np.testing.assert_allclose(y.numpy(), causal.numpy(), rtol=1e-2, atol=1e-2)


# Wrong calls of the operations above

M = np.arange(12.0).reshape(3, 4)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda t: tg.take(t, [3], axis=0), IndexError, "take: index 3 is out of bounds .* size 3"),
        (lambda t: tg.take(t, 12), IndexError, "take: index 12"),
        (lambda t: tg.take(t, [True, False], axis=0), TypeError, r"take: .* got bools; for a mask use x\[mask\]"),
        (lambda t: tg.take(t, [0.0]), TypeError, "take: expected integers as indices, got float64"),
        (lambda t: tg.take(t, [0], axis=2), np.exceptions.AxisError, "take: axis 2"),
        (lambda t: tg.take_along_axis(t, np.array([[4]]), 1), IndexError, "take_along_axis: index 4"),
        (lambda t: tg.take_along_axis(t, np.array([[0], [1], [0]]), 5), np.exceptions.AxisError, "axis 5 is out of bounds"),
        (lambda t: tg.take_along_axis(t, np.array([0]), 1), tg.ShapeError, "take_along_axis: "),
        (lambda t: tg.take_along_axis(t, np.zeros((2, 1), int), 1), tg.ShapeError, "take_along_axis: operands could not be broadcast together"),
        (lambda t: tg.repeat(t, -1), ValueError, "repeat: expected numbers of at least 0, got -1"),
        (lambda t: tg.repeat(t, [1, 2], axis=0), tg.ShapeError, r"one for each of 3 elements, got \(2,\)"),
        (lambda t: tg.repeat(t, 1.5), TypeError, "repeat: expected integers as repeats, got float64"),
        (lambda t: tg.repeat(t, 2, axis=2), np.exceptions.AxisError, "repeat: axis 2"),
        (lambda t: tg.tile(t, (2, -1)), ValueError, r"tile: expected reps\[1\] of at least 0, got -1"),
        (lambda t: tg.tile(t, 1.5), TypeError, "tile: expected reps.* integer, got 1.5"),
        (lambda t: tg.split(t, 2), tg.ShapeError, "split: .* divides the size 3 of axis 0, got 2"),
        (lambda t: tg.split(t, 0), ValueError, "split: expected sections of at least 1, got 0"),
        (lambda t: tg.split(t, 2, axis=2), np.exceptions.AxisError, "split: axis 2"),
        (lambda t: tg.moveaxis(t, 0, 2), np.exceptions.AxisError, "moveaxis: "),
        (lambda t: tg.moveaxis(t, (0, 1), 0), tg.ShapeError, "moveaxis: "),
        (lambda t: tg.roll(t, 1, axis=2), np.exceptions.AxisError, "roll: axis 2"),
        (lambda t: tg.flip(t, axis=2), np.exceptions.AxisError, "flip: axis 2"),
        (lambda t: tg.sort(t, axis=2), np.exceptions.AxisError, "sort: axis 2"),
        (lambda t: tg.tril(t[0, 0]), tg.ShapeError, "tril: expected at least one axis"),
        (lambda t: tg.triu(t[0, 0]), tg.ShapeError, "triu: expected at least one axis"),
        (lambda t: tg.diagonal(t[0]), tg.ShapeError, r"diagonal: expected at least two axes, got shape \(4,\)"),
        (lambda t: tg.trace(t[0]), tg.ShapeError, r"trace: expected at least two axes, got shape \(4,\)"),
        (lambda t: tg.diagonal(t, axis1=0, axis2=-2), tg.ShapeError, "diagonal: expected two different axes"),
        (lambda t: tg.diagonal(t, 0.5), TypeError, "diagonal: 'float'"),
        (lambda t: tg.dot(t, t), tg.ShapeError, r"dot: the inner sizes of shapes \(3, 4\) and \(3, 4\)"),
        (lambda t: tg.gelu(t, approximate="erf"), ValueError, 'gelu: expected approximate "none" or "tanh"'),
        (lambda t: tg.arctan2(t, np.ones(3)), tg.ShapeError, "arctan2: "),
        (lambda t: tg.logaddexp(t, np.ones(3)), tg.ShapeError, "logaddexp: "),
        (lambda t: tg.norm(t, axis=2), np.exceptions.AxisError, "norm: axis 2"),
        (lambda t: tg.conv1d(t[None], np.ones((2, 4, 1))), tg.ShapeError, r"conv1d: expected x \(N, C, L\) and weight \(O, C, K\)"),
        (lambda t: tg.conv1d(t[None], np.ones((2, 3, 9))), tg.ShapeError, "conv1d: a kernel that reaches over 9 places"),
        (lambda t: tg.conv1d(t[None], np.ones((2, 3, 3)), dilation=2), tg.ShapeError, "reaches over 5 places"),
        (lambda t: tg.conv1d(t[None], np.ones((2, 3, 1)), stride=0), ValueError, "conv1d: expected stride of at least 1"),
        (lambda t: tg.conv1d(t[None], np.ones((2, 3, 1)), padding=-1), ValueError, "conv1d: expected padding of at least 0"),
        (lambda t: tg.conv1d(t[None], np.ones((2, 3, 1)), groups=1.5), TypeError, "conv1d: expected groups to be an integer"),
        (lambda t: tg.conv2d(t[None, None], np.ones((2, 1, 2, 2)), dilation=4), tg.ShapeError, r"dilated by \(4, 4\)"),
        (lambda t: tg.conv2d(t[None, None], np.ones((2, 1, 1, 1)), dilation=0), ValueError, "dilation as an integer of at least 1"),
        (lambda t: tg.conv2d(t[None, None], np.ones((2, 1, 1, 1)), groups=2), tg.ShapeError, r"\(O, C / 2, KH, KW\)"),
        (lambda t: tg.conv2d(np.ones((1, 4, 2, 2)), np.ones((3, 2, 1, 1)), groups=2), tg.ShapeError, "that 2 groups divide"),
        (lambda t: tg.scaled_dot_product_attention(t, t[:, :2], t), tg.ShapeError, r"q \(..., L, E\), k \(..., S, E\)"),
        (lambda t: tg.scaled_dot_product_attention(t, t, t[:2]), tg.ShapeError, r"\(3, 4\), \(3, 4\) and \(2, 4\)"),
        (lambda t: tg.scaled_dot_product_attention(t[0], t, t), tg.ShapeError, "scaled_dot_product_attention: expected"),
        (lambda t: tg.scaled_dot_product_attention(t, t, t, mask=np.ones((3, 3), int)), TypeError, r"mask of bools, .* got int64; convert with .astype\(bool\)"),
        (lambda t: tg.scaled_dot_product_attention(t, t, t, mask=np.ones((3, 4), bool)), tg.ShapeError, r"\(3, 3\) of the scores, got \(3, 4\)"),
        (lambda t: tg.scaled_dot_product_attention(t, t, t, mask=np.ones((2, 3, 3), bool)), tg.ShapeError, r"got \(2, 3, 3\)"),
    ],
)  # fmt: skip
def test_wrong_calls_of_more_operations(call, error, words):
    with pytest.raises(error, match=words):
        call(Tensor(M, requires_grad=True))


# Their manners


def test_split_gives_a_list_of_recorded_parts():
    x = Tensor(np.arange(6.0), requires_grad=True)
    parts = tg.split(x, [1, 4])
    assert type(parts) is list
    assert [p.numpy().tolist() for p in parts] == [[0.0], [1.0, 2.0, 3.0], [4.0, 5.0]]
    assert all(p.requires_grad for p in parts)
    (parts[0].sum() * 2 + parts[2].sum() * 3).backward()
    np.testing.assert_array_equal(x.grad, [2, 0, 0, 0, 3, 3])
    q, k, v = tg.split(np.ones((2, 6)), 3, axis=-1)  # of an array, too
    assert q.shape == k.shape == v.shape == (2, 2)


def test_sort_sends_the_gradient_to_the_place_of_origin():
    x = Tensor([2.0, 1.0, 1.0, 3.0], requires_grad=True)
    (tg.sort(x) * np.array([1.0, 10.0, 100.0, 1000.0])).sum().backward()
    np.testing.assert_array_equal(x.grad, [100.0, 1.0, 10.0, 1000.0])  # ties keep their order
    assert x.numpy().tolist() == [2.0, 1.0, 1.0, 3.0]


def test_places_that_are_named_twice_get_both_gradients():
    for op, expected in (
        (lambda t: tg.take(t, [2, 0, 2, -1]), [1, 0, 3]),
        (lambda t: tg.take_along_axis(t, np.array([1, 1])), [0, 2, 0]),
        (lambda t: tg.repeat(t, [0, 3, 1]), [0, 3, 1]),
        (lambda t: tg.tile(t, (2, 2)), [4, 4, 4]),
    ):
        x = Tensor([1.0, 2.0, 3.0], requires_grad=True)
        op(x).sum().backward()
        np.testing.assert_array_equal(x.grad, expected)


def test_ravel_and_flatten_are_methods():
    x = Tensor(M, requires_grad=True)
    for y in (x.ravel(), x.flatten(), x.T.ravel().reshape(4, 3).T.ravel()):
        assert y.requires_grad
        np.testing.assert_array_equal(y.numpy(), M.ravel())
    assert Tensor(2.0).ravel().shape == Tensor(2.0).flatten().shape == (1,)


@pytest.mark.parametrize(
    ("op", "shape", "expected"),
    [
        (tg.softmax, (3, 0), np.zeros((3, 0))),
        (tg.log_softmax, (3, 0), np.zeros((3, 0))),
        (lambda x: tg.softmax(x, 0), (0, 2), np.zeros((0, 2))),
        (lambda x: tg.norm(x, 1), (3, 0), np.zeros(3)),
        (lambda x: tg.logsumexp(x, 1), (3, 0), np.full(3, -np.inf)),
        (lambda x: tg.layer_norm(x, 0), (3, 0), np.zeros((3, 0))),
        (lambda x: tg.sum(x, 1), (3, 0), np.zeros(3)),
        (lambda x: tg.prod(x, 1), (3, 0), np.ones(3)),
        (lambda x: tg.cumsum(x, 1), (3, 0), np.zeros((3, 0))),
        (lambda x: tg.cumprod(x, 1), (3, 0), np.zeros((3, 0))),
        (tg.trace, (3, 0), 0.0),
        (lambda x: x @ x.T, (3, 0), np.zeros((3, 3))),
        (lambda x: tg.scaled_dot_product_attention(np.ones((2, 1)), x.T, x.T), (1, 0), np.zeros((2, 1))),
        (lambda x: tg.scaled_dot_product_attention(x, x, [[0.0], [2.0], [4.0]]), (3, 0), np.full((3, 1), 2.0)),
    ],
)  # fmt: skip
def test_an_empty_axis_gives_what_numpy_or_pytorch_give(op, shape, expected):
    x = Tensor(np.zeros(shape), requires_grad=True)
    y = op(x)
    np.testing.assert_array_equal(y.numpy(), expected)
    y.sum().backward()
    assert x.grad.shape == shape


def moves(draw, ndim, shape):
    """An operation that moves elements, with parameters for a shape of some axes, and NumPy's."""
    axis = draw(st.integers(-ndim, ndim - 1))
    size = shape[axis]
    numbers = st.integers(-4, 4)
    some_axes = st.lists(st.integers(-ndim, ndim - 1), unique_by=lambda a: a % ndim).map(tuple)
    name = draw(
        st.sampled_from(
            ["flip", "roll", "repeat", "tile", "moveaxis", "take", "split", "sort", "tril", "triu", "diagonal", "trace"]
        )
    )  # fmt: skip
    params = {}
    if name == "flip":
        params = {"axis": draw(st.none() | some_axes)}
    elif name == "roll":
        axes = draw(st.none() | some_axes)
        shift = draw(numbers) if not axes else tuple(draw(numbers) for _ in axes)
        params = {"shift": shift, "axis": axes}
    elif name == "repeat":
        counts = st.integers(0, 3) | st.lists(st.integers(0, 3), min_size=size, max_size=size)
        params = {"repeats": draw(counts), "axis": axis}
    elif name == "tile":
        params = {"reps": draw(st.integers(0, 3) | st.lists(st.integers(0, 2), max_size=3))}
    elif name == "moveaxis":
        sources = draw(some_axes)
        places = draw(st.permutations(range(ndim)))[: len(sources)]
        params = {"source": sources, "destination": tuple(places)}
    elif name == "take":
        places = st.integers(-size, size - 1) if size else st.nothing()
        params = {"indices": np.array(draw(st.lists(places, max_size=4)), int), "axis": axis}
    elif name == "split":
        params = {"indices_or_sections": draw(st.lists(numbers, max_size=3)), "axis": axis}
    elif name == "sort":
        params = {"axis": draw(st.none() | st.just(axis))}
    elif name in ("tril", "triu"):
        params = {"k": draw(numbers)}
    elif ndim > 1:
        first, second = draw(st.permutations(range(ndim)))[:2]
        params = {"offset": draw(numbers), "axis1": first, "axis2": second}
    else:
        name, params = "flip", {}
    return name, params


@given(data=st.data())
def test_moves_of_any_shape_are_numpys_and_their_vjps_their_transposes(data):
    x = data.draw(tensors(shapes(min_dims=1, max_dims=3, max_side=4)))
    name, params = moves(data.draw, x.ndim, x.shape)
    ours, theirs = OPS[name](x, **params), getattr(np, name)(x.numpy(), **params)
    if name == "split":
        ours, theirs = tg.concatenate(ours, params["axis"]), np.concatenate(theirs, params["axis"])
    np.testing.assert_array_equal(ours.numpy(), theirs)
    g = np.random.default_rng(0).standard_normal(ours.shape)
    [back] = gradients(ours, [x], g)
    assert back.shape == x.shape
    # The inner product of g with the result is that of its gradient with x.
    np.testing.assert_allclose((g * theirs).sum(), (back * x.numpy()).sum(), rtol=1e-9, atol=1e-9)


@given(data=st.data())
def test_convolutions_of_any_kind_are_the_reference(data):
    groups, outputs, channels = (data.draw(st.integers(1, 3)) for _ in range(3))
    pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))
    kernel, stride, dilation = (data.draw(pairs) for _ in range(3))
    padding = data.draw(st.tuples(st.integers(0, 2), st.integers(0, 2)))
    reach = [d * (k - 1) + 1 - 2 * p for k, d, p in zip(kernel, dilation, padding, strict=True)]
    sides = [max(r, 1) + data.draw(st.integers(0, 2)) for r in reach]
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, groups * channels, *sides))
    w = rng.standard_normal((groups * outputs, channels, *kernel))
    b = rng.standard_normal(groups * outputs)
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    row = TABLE["conv2d"]
    np.testing.assert_allclose(
        row.op(x, w, b, **options).numpy(), row.reference(x, w, b, **options), atol=1e-12
    )
    gradcheck(lambda *a: row.op(*a, **options), x, w, b, fast=True)


class Kind(np.ndarray):
    """An array whose results are of its kind, as those of one are that writes down each call."""

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **options):
        into = {"out": tuple(map(plain, out))} if out else {}
        result = getattr(ufunc, method)(*map(plain, inputs), **into, **options)
        return out[0] if out else np.asarray(result).view(Kind)

    def __array_function__(self, function, types, args, options):
        result = function(*plain(args), **{key: plain(value) for key, value in options.items()})
        return result if isinstance(result, (bool, tuple)) else np.asarray(result).view(Kind)


def method(name):
    def call(self, *args, **options):
        return np.asarray(getattr(plain(self), name)(*plain(args), **options)).view(Kind)

    return call


for name in ("sum", "mean", "max", "min", "prod", "take", "clip", "squeeze", "__getitem__"):
    setattr(Kind, name, method(name))


def plain(x):
    if isinstance(x, (tuple, list)):
        return type(x)(map(plain, x))
    return x.view(np.ndarray) if isinstance(x, Kind) else x


@pytest.mark.parametrize(("row", "shapes", "params"), CASES)
def test_a_kernel_keeps_the_kind_of_array(row, shapes, params, rng):
    results = []

    class Results:
        def forward(self, kernel, arrays, y, node):
            results.append((kernel.__name__, type(y)))

    inputs = [Tensor(x) for x in draw(row, shapes, rng)]
    for x in inputs:
        x._array = x._array.view(Kind)
    with watching(Results()):
        row.op(*inputs, **params)
    assert {kind for _, kind in results} == {Kind}, results


def test_the_padding_of_a_max_pool_takes_no_gradient():
    x = Tensor(np.full((1, 1, 2, 2), -np.inf), requires_grad=True)
    tg.max_pool2d(x, 2, padding=1).backward(np.ones((1, 1, 2, 2)))
    np.testing.assert_array_equal(x.grad, np.ones((1, 1, 2, 2)))
