"""The operations that ops.py times, a call each; the expressions are explained in cases.py."""

import numpy as np
from cases import Family, Inputs, Shape, coins, constant, integers

# Every operation of the design. Where the package lacks one, its cases are skipped, with a note.
DESIGNED = set(
    """
    add subtract multiply divide negative power matmul einsum dot outer exp expm1 log log1p log2
    log10 sqrt square reciprocal abs sin cos tan arcsin arccos arctan arctan2 sinh cosh tanh
    logaddexp maximum minimum where clip sum mean var std max min prod cumsum cumprod norm reshape
    transpose swapaxes moveaxis squeeze expand_dims broadcast_to concatenate stack split pad flip
    roll repeat tile tril triu trace diagonal sort take take_along_axis getitem astype copy sign
    floor ceil round relu leaky_relu elu gelu silu softplus sigmoid log_sigmoid erf logsumexp
    softmax log_softmax linear conv1d conv2d max_pool2d avg_pool2d dropout batch_norm layer_norm
    scaled_dot_product_attention softmax_cross_entropy sigmoid_cross_entropy l1 huber mse
    """.split()  # noqa: SIM905 - a hundred quoted names are harder to read
)

# Arithmetic

arithmetic = Family("arithmetic")
row: tuple[Inputs, Inputs] = ({"x": (32, 32), "y": (32,)}, {"x": (512, 512), "y": (512,)})
arithmetic.binary("add")
arithmetic.case("add", *row, label="add, a row")
arithmetic.binary("subtract")
arithmetic.binary("multiply")
arithmetic.case("multiply", *row, label="multiply, by a row")
arithmetic.binary("divide", 0.5, 3.0)
arithmetic.unary("negative")
arithmetic.unary("square")
arithmetic.unary("reciprocal", 0.5, 3.0)
arithmetic.unary("power", label="x**3", ours="x**3", torch="x**3", jax="x**3")
arithmetic.unary("power", 0.3, 2.5, label="x**2.5", ours="x**2.5", torch="x**2.5", jax="x**2.5")
arithmetic.binary("power", 0.3, 2.5, label="x**y", torch="torch.pow(x, y)")
arithmetic.binary("maximum")
arithmetic.binary("minimum")
arithmetic.unary(
    "clip",
    ours="tg.clip(x, -1.0, 1.5)",
    torch="torch.clip(x, -1.0, 1.5)",
    jax="jnp.clip(x, -1.0, 1.5)",
)
arithmetic.case(
    "where",
    {"c": coins((32, 32)), "x": (32, 32), "y": (32, 32)},
    {"c": coins((512, 512)), "x": (512, 512), "y": (512, 512)},
)
arithmetic.binary("arctan2")
arithmetic.binary("logaddexp")

# Functions of one number

elementwise = Family("elementwise")
for op in ("exp", "expm1", "sin", "cos", "arctan", "sinh", "cosh", "tanh"):
    elementwise.unary(op)
for op in ("log", "log2", "log10", "sqrt"):
    elementwise.unary(op, 0.2, 3.0)
elementwise.unary("log1p", -0.8, 3.0)
elementwise.unary("tan", -1.0, 1.0)
for op in ("arcsin", "arccos"):
    elementwise.unary(op, -0.9, 0.9)
for op in ("abs", "sign", "floor", "ceil", "round"):
    elementwise.unary(op)
elementwise.unary("erf", jax="lax.erf(x)")
for op in ("relu", "leaky_relu", "elu", "silu", "softplus"):
    elementwise.unary(op, torch="F.{call}", jax="jax.nn.{call}")
elementwise.unary("sigmoid", jax="jax.nn.sigmoid(x)")
elementwise.unary("log_sigmoid", torch="F.logsigmoid(x)", jax="jax.nn.log_sigmoid(x)")
elementwise.unary("gelu", -4.0, 4.0, torch="F.gelu(x)", jax="jax.nn.gelu(x, approximate=False)")
elementwise.unary(
    "gelu",
    -4.0,
    4.0,
    label="gelu, tanh",
    keyword="approximate",
    ours='tg.gelu(x, approximate="tanh")',
    torch='F.gelu(x, approximate="tanh")',
    jax="jax.nn.gelu(x)",
)

# Reductions

reductions = Family("reductions")


def along_rows(op: str, torch: str, jax: str, low: float = -2.0, high: float = 2.0) -> None:
    reductions.rows(
        op, low, high, label=f"{op}, rows", ours=f"tg.{op}(x, -1)", torch=torch, jax=jax
    )


for op, theirs in (("sum", "sum"), ("mean", "mean"), ("max", "amax"), ("min", "amin")):
    reductions.unary(op, label=f"{op}, all", torch=f"torch.{theirs}(x)")
    along_rows(op, f"x.{theirs}(-1)", f"x.{op}(-1)")
    reductions.rows(
        op,
        label=f"{op}, columns",
        ours=f"tg.{op}(x, 0)",
        torch=f"x.{theirs}(0)",
        jax=f"x.{op}(0)",
    )
for op in ("var", "std"):
    along_rows(op, f"x.{op}(-1, correction=0)", f"x.{op}(-1)")
along_rows("prod", "x.prod(-1)", "x.prod(-1)", 0.9, 1.1)
along_rows("cumsum", "x.cumsum(-1)", "x.cumsum(-1)")
along_rows("cumprod", "x.cumprod(-1)", "x.cumprod(-1)", 0.9, 1.1)
along_rows("norm", "torch.linalg.vector_norm(x, dim=-1)", "jnp.linalg.norm(x, axis=-1)")
along_rows("logsumexp", "x.logsumexp(-1)", "jax.nn.logsumexp(x, -1)")
reductions.unary("norm", label="norm, all", torch="torch.linalg.norm(x)", jax="jnp.linalg.norm(x)")

# Products

products = Family("products")
products.binary("matmul")
products.case(
    "matmul",
    {"x": (2, 2, 8, 8), "y": (2, 2, 8, 8)},
    {"x": (32, 4, 48, 48), "y": (32, 4, 48, 32)},
    label="matmul, batch",
)
products.binary("dot", label="dot, matrices", torch="x @ y")
products.case("dot", {"x": (100,), "y": (100,)}, {"x": (9999,), "y": (9999,)}, label="dot, vectors")
products.case("outer", {"x": (32,), "y": (32,)}, {"x": (512,), "y": (512,)})


def einsum(subscripts: str, small: tuple[Shape, Shape], large: tuple[Shape, Shape]) -> None:
    call = f'einsum("{subscripts}", x, y)'
    products.case(
        "einsum",
        {"x": small[0], "y": small[1]},
        {"x": large[0], "y": large[1]},
        label=f"einsum {subscripts}",
        ours=f"tg.{call}",
        torch=f"torch.{call}",
        jax=f"jnp.{call}",
    )


heads, weights = (32, 4, 48, 32), (32, 4, 48, 48)
einsum("ij,jk->ik", ((32, 32), (32, 32)), ((512, 512), (512, 512)))
einsum("ij,ij->i", ((32, 32), (32, 32)), ((1536, 128), (1536, 128)))
einsum("bhqd,bhkd->bhqk", ((2, 2, 8, 8), (2, 2, 8, 8)), (heads, heads))
einsum("bhqk,bhkd->bhqd", ((2, 2, 8, 8), (2, 2, 8, 8)), (weights, heads))


def linear(label: str, small: Shape, large: Shape) -> None:
    """Add an affine map; the shapes are those of x, with the number of outputs behind."""
    inputs: list[Inputs] = [
        {"x": (*x, into), "w": (out, into), "b": (out,)} for *x, into, out in (small, large)
    ]
    products.case("linear", *inputs, label=label, torch="F.linear(x, w, b)", jax="x @ w.T + b")


linear("linear", (8, 32, 32), (128, 784, 512))
linear("linear, one example", (1, 32, 32), (1, 784, 512))
linear("linear, sequences", (2, 8, 16, 32), (32, 48, 128, 512))

# What moves elements

shapes = Family("shapes")
shapes.rows(
    "reshape", ours="tg.reshape(x, (-1, 16))", torch="x.reshape(-1, 16)", jax="x.reshape(-1, 16)"
)
shapes.rows("transpose", torch="x.T")
shapes.rows("copy", ours="x.copy()", torch="x.clone()", jax="jnp.copy(x)")
for op in ("swapaxes", "moveaxis"):
    call = f"{op}(x, 0, 1)"
    shapes.rows(op, ours=f"tg.{call}", torch=f"torch.{call}", jax=f"jnp.{call}")
shapes.case("squeeze", {"x": (32, 1, 32)}, {"x": (1536, 1, 128)})
shapes.rows("expand_dims", ours="tg.expand_dims(x, 1)", torch="x.unsqueeze(1)", jax="x[:, None]")
shapes.case(
    "broadcast_to",
    {"x": (32, 1)},
    {"x": (1536, 1)},
    ours="tg.broadcast_to(x, (len(x), 128))",
    torch="x.expand(len(x), 128)",
    jax="jnp.broadcast_to(x, (len(x), 128))",
)
shapes.case(
    "concatenate",
    {"x": (32, 32), "y": (32, 32)},
    {"x": (1536, 128), "y": (1536, 128)},
    ours="tg.concatenate([x, y], -1)",
    torch="torch.cat([x, y], -1)",
    jax="jnp.concatenate([x, y], -1)",
)
shapes.case(
    "stack",
    {"x": (32, 32), "y": (32, 32)},
    {"x": (1536, 128), "y": (1536, 128)},
    ours="tg.stack([x, y])",
    torch="torch.stack([x, y])",
    jax="jnp.stack([x, y])",
)
shapes.rows(
    "split",
    label="split, concatenate",
    ours="tg.concatenate(tg.split(x, [8, 24], axis=1)[::-1], 1)",
    torch="torch.cat(torch.tensor_split(x, (8, 24), 1)[::-1], 1)",
    jax="jnp.concatenate(jnp.split(x, [8, 24], 1)[::-1], 1)",
)
shapes.rows("pad", ours="tg.pad(x, 1)", torch="F.pad(x, (1, 1, 1, 1))", jax="jnp.pad(x, 1)")
shapes.rows("flip", ours="tg.flip(x, 1)", torch="x.flip(1)", jax="jnp.flip(x, 1)")
shapes.rows("roll", ours="tg.roll(x, 3, 1)", torch="x.roll(3, 1)", jax="jnp.roll(x, 3, 1)")
shapes.rows(
    "repeat",
    ours="tg.repeat(x, 2, axis=0)",
    torch="x.repeat_interleave(2, 0)",
    jax="jnp.repeat(x, 2, axis=0)",
)
shapes.rows("tile", ours="tg.tile(x, (2, 1))", torch="x.tile(2, 1)", jax="jnp.tile(x, (2, 1))")
for op in ("tril", "triu", "trace", "diagonal"):
    shapes.unary(op)
shapes.rows("sort", ours="tg.sort(x, axis=-1)", torch="x.sort(-1).values", jax="jnp.sort(x, -1)")
lookup: tuple[Inputs, Inputs] = (
    {"x": (50, 16), "i": integers((40,), below=50)},
    {"x": (5000, 64), "i": integers((1536,), below=5000)},
)
shapes.case(
    "take",
    *lookup,
    ours="tg.take(x, i, axis=0)",
    torch="F.embedding(i, x)",
    jax="jnp.take(x, i, axis=0)",
)
shapes.case("getitem", *lookup, label="x[integers]", ours="x[i]", torch="x[i]", jax="x[i]")
shapes.case(
    "getitem",
    {"x": (32, 32), "c": coins((32,))},
    {"x": (1536, 128), "c": coins((1536,))},
    label="x[mask]",
    ours="x[c]",
    torch="x[c]",
    jax=None,  # it cannot compile a shape that depends on values
)
for index in ("1:, ::2", "0"):
    text = f"x[{index}]"
    shapes.rows("getitem", label=text, ours=text, torch=text, jax=text)
shapes.case(
    "take_along_axis",
    {"x": (32, 32), "i": integers((32, 32), below=32)},
    {"x": (1536, 128), "i": integers((1536, 128), below=128)},
    ours="tg.take_along_axis(x, i, axis=1)",
    torch="x.gather(1, i)",
    jax="jnp.take_along_axis(x, i, 1)",
)
shapes.unary(
    "astype", label="astype, float64", ours="x.astype(np.float64)", torch="x.double()", jax=None
)  # JAX has no float64 unless the whole process has

# Normalisation

normalisation = Family("normalisation")
for op in ("softmax", "log_softmax"):
    texts = {"torch": f"torch.{op}(x, -1)", "jax": f"jax.nn.{op}(x)"}
    normalisation.case(op, {"x": (2, 2, 8, 8)}, {"x": weights}, label=f"{op}, attention", **texts)
    normalisation.rows(op, label=f"{op}, rows", **texts)
normalisation.case(
    "layer_norm",
    {"x": (32, 32), "w": (32,), "b": (32,)},
    {"x": (1536, 128), "w": (128,), "b": (128,)},
    ours="tg.layer_norm(x, w.shape, w, b)",
    torch="F.layer_norm(x, w.shape, w, b)",
    jax="(x - x.mean(-1, keepdims=True)) * lax.rsqrt(x.var(-1, keepdims=True) + 1e-5) * w + b",
)


def batch_norm(label: str, small: Shape, large: Shape) -> None:
    """Add a batch norm in training, which also updates running statistics (JAX' does not)."""
    inputs: list[Inputs] = [
        {
            "x": shape,
            "w": shape[1:2],
            "b": shape[1:2],
            "m": constant(shape[1:2]),
            "v": constant(shape[1:2], 0.5, 1.5),
        }
        for shape in (small, large)
    ]
    axes, wide = (0, *range(2, len(large))), "[:" + ", None" * (len(large) - 2) + "]"
    mean, var = (f"x.{statistic}({axes}, keepdims=True)" for statistic in ("mean", "var"))
    normalisation.case(
        "batch_norm",
        *inputs,
        label=label,
        ours="tg.batch_norm(x, m, v, w, b, training=True)",
        torch="F.batch_norm(x, m, v, w, b, training=True)",
        jax=f"(x - {mean}) * lax.rsqrt({var} + 1e-5) * w{wide} + b{wide}",
    )


batch_norm("batch_norm, images", (8, 4, 7, 7), (64, 32, 14, 14))
batch_norm("batch_norm, rows", (32, 32), (512, 512))


def common_to_dropouts(inputs: list[np.ndarray], results: list[np.ndarray]) -> list[np.ndarray]:
    """Return the factors by which x may be multiplied, and about how many elements are kept."""
    [x], [y, gx] = inputs, results
    factors = np.round(y / x, 3)
    assert np.array_equal(factors == 0, gx == 0)
    return [np.unique(factors), np.round((factors != 0).mean(), 1)]


normalisation.unary(
    "dropout",
    0.5,
    2.0,
    ours="tg.dropout(x, 0.5, rng=rng)",
    torch="F.dropout(x, 0.5)",
    jax="jnp.where(jax.random.bernoulli(key, 0.5, x.shape), x / 0.5, 0)",
    compared=common_to_dropouts,
)

# Losses

losses = Family("losses")
for n, classes in ((512, 10), (1024, 65)):
    losses.case(
        "softmax_cross_entropy",
        {"x": (n // 32, classes), "t": integers((n // 32,), below=classes)},
        {"x": (n, classes), "t": integers((n,), below=classes)},
        label=f"softmax_cross_entropy, {classes} classes",
        torch="F.cross_entropy(x, t)",
        jax="-jnp.take_along_axis(jax.nn.log_softmax(x), t[:, None], 1).mean()",
    )
for op, torch, jax in (
    ("mse", "F.mse_loss(x, t)", "((x - t) ** 2).mean()"),
    ("l1", "F.l1_loss(x, t)", "jnp.abs(x - t).mean()"),
    (
        "huber",
        "F.huber_loss(x, t)",
        "jnp.where(abs(x - t) < 1, 0.5 * (x - t) ** 2, abs(x - t) - 0.5).mean()",
    ),
):
    losses.case(
        op,
        {"x": (32, 32), "t": (32, 32)},
        {"x": (512, 512), "t": (512, 512)},
        torch=torch,
        jax=jax,
    )
losses.case(
    "sigmoid_cross_entropy",
    {"x": (32, 32), "t": constant((32, 32), 0.0, 1.0)},
    {"x": (128, 784), "t": constant((128, 784), 0.0, 1.0)},
    torch="F.binary_cross_entropy_with_logits(x, t)",
    jax="(jax.nn.softplus(x) - x * t).mean()",
)

# Attention and images

images = Family("attention and images")
scores = "q @ k.swapaxes(-1, -2) / math.sqrt(q.shape[-1])"
mask = "jnp.tril(jnp.ones((q.shape[2], k.shape[2]), bool))"
for label, causal, jax in (
    ("attention", False, f"jax.nn.softmax({scores}) @ v"),
    ("attention, causal", True, f"jax.nn.softmax(jnp.where({mask}, {scores}, -jnp.inf)) @ v"),
):
    images.case(
        "scaled_dot_product_attention",
        {"q": (2, 2, 8, 8), "k": (2, 2, 8, 8), "v": (2, 2, 8, 8)},
        {"q": heads, "k": heads, "v": heads},
        label=label,
        ours=f"tg.scaled_dot_product_attention(q, k, v, causal={causal})",
        torch=f"F.scaled_dot_product_attention(q, k, v, is_causal={causal})",
        jax=jax,
    )


def convolution(
    label: str,
    small: tuple[Shape, Shape],
    large: tuple[Shape, Shape],
    arguments: str,
    jax: str,
    keyword: str = "",
) -> None:
    """Add a convolution of images with kernels of these shapes; `jax` are lax' own arguments."""
    inputs: list[Inputs] = [{"x": x, "w": w, "b": w[:1]} for x, w in (small, large)]
    sides = len(large[0]) - 2
    op, wide, letters = f"conv{sides}d", "[:" + ", None" * sides + "]", "HW"[:sides]
    layouts = f'("NC{letters}", "OI{letters}", "NC{letters}")'
    images.case(
        op,
        *inputs,
        label=label,
        keyword=keyword,
        ours=f"tg.{op}(x, w, b{arguments})",
        torch=f"F.{op}(x, w, b{arguments})",
        jax=f"lax.conv_general_dilated(x, w, {jax}, dimension_numbers={layouts}) + b{wide}",
    )


few, many = ((4, 3, 8, 8), (4, 3, 3, 3)), ((64, 32, 14, 14), (64, 32, 3, 3))
convolution("conv2d, 3 x 3", few, many, ", padding=1", "(1, 1), ((1, 1), (1, 1))")
convolution(
    "conv2d, 5 x 5",
    ((4, 1, 8, 8), (4, 1, 5, 5)),
    ((64, 1, 28, 28), (32, 1, 5, 5)),
    "",
    "(1, 1), ((0, 0), (0, 0))",
)
convolution("conv2d, stride 2", few, many, ", stride=2, padding=1", "(2, 2), ((1, 1), (1, 1))")
convolution(
    "conv2d, dilation 2",
    few,
    many,
    ", padding=2, dilation=2",
    "(1, 1), ((2, 2), (2, 2)), rhs_dilation=(2, 2)",
    keyword="dilation",
)
convolution(
    "conv2d, depthwise",
    ((4, 4, 8, 8), (4, 1, 3, 3)),
    ((64, 32, 14, 14), (32, 1, 3, 3)),
    ", padding=1, groups=len(w)",
    "(1, 1), ((1, 1), (1, 1)), feature_group_count=len(w)",
    keyword="groups",
)
convolution(
    "conv1d",
    ((4, 3, 16), (4, 3, 5)),
    ((64, 32, 128), (64, 32, 5)),
    ", padding=2",
    "(1,), ((2, 2),)",
)


def pools(label: str, arguments: str, side: int, step: int, padding: int) -> None:
    """Add both pools, with windows of side x side."""
    window, steps, around = (
        (1, 1, side, side),
        (1, 1, step, step),
        ((0, 0),) * 2 + ((padding,) * 2,) * 2,
    )
    for op, start, share in (
        ("max_pool2d", "-jnp.inf, lax.max", ""),
        ("avg_pool2d", "0.0, lax.add", f" / {side * side}"),
    ):
        images.case(
            op,
            {"x": (4, 3, 8, 8)},
            {"x": (64, 32, 28, 28)},
            label=f"{op}, {label}",
            ours=f"tg.{op}(x, {arguments})",
            torch=f"F.{op}(x, {arguments})",
            jax=f"lax.reduce_window(x, {start}, {window}, {steps}, {around}){share}",
        )


pools("2 x 2", "2", 2, 2, 0)
pools("3 x 3, stride 2", "3, 2, 1", 3, 2, 1)

CASES = [
    *arithmetic,
    *elementwise,
    *reductions,
    *products,
    *shapes,
    *normalisation,
    *losses,
    *images,
]
