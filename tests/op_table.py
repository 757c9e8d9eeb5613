"""The op table: a row an operation, which buys it every check in test_ops.py."""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import tinygrad_mnist as tg

inf, nan = np.inf, np.nan


@dataclass(frozen=True)
class Row:
    """An operation, what NumPy says of it, and where to try it."""

    op: Callable[..., Any]
    reference: Callable[..., Any]
    cases: Sequence[tuple[Any, ...]] = ()
    """Shapes of the inputs, then a dict of parameters if any."""
    domain: tuple[float, float] = (-2.0, 2.0)
    away: tuple[float, ...] = ()
    """Kinks, from which finite differences stay clear; for two operands, of their difference."""
    operands: int = 0
    """1 or 2 for an elementwise operation, tried on any shapes (that broadcast)."""
    analytic: bool = True
    """Whether the kernel also computes with complex numbers, so that a complex step can pass."""
    extremes: Sequence[tuple[Any, Any, Any]] = ()
    """(input or inputs, expected value, expected gradient or gradients; None where it is not checked)."""


def unary(op: Any, reference: Any, **options: Any) -> Row:
    return Row(op, reference, [((),), ((3,),), ((2, 3),), ((0, 2),)], operands=1, **options)


def binary(op: Any, reference: Any, **options: Any) -> Row:
    cases = [
        ((), ()),
        ((2, 3), (2, 3)),
        ((2, 3), (3,)),
        ((2, 1), (1, 3)),
        ((), (2, 3)),
        ((2, 0), (1,)),
    ]
    return Row(op, reference, cases, operands=2, **options)


def reduction(op: Any, reference: Any, empty: bool = True, **options: Any) -> Row:
    cases = [
        ((),), ((4,),), ((2, 3),), ((2, 3), {"axis": 0}), ((2, 3), {"axis": -1, "keepdims": True}),
        ((2, 3, 2), {"axis": (0, 2)}), ((2, 3, 2), {"axis": (-1, 0), "keepdims": True}), ((2, 3), {"axis": ()}),
    ]  # fmt: skip
    cases += [((0, 2), {"axis": 1})]
    cases += [((0,),), ((2, 0), {"axis": 1}), ((0, 2), {"axis": ()})] if empty else []
    return Row(op, reference, cases, **options)


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def softmax(x: Any, axis: int = -1) -> Any:
    e = np.exp(x - x.max(axis, keepdims=True, initial=-inf))
    return e / e.sum(axis, keepdims=True)


def erf(x: Any) -> Any:
    return np.vectorize(math.erf, otypes=[float])(x)


def gelu(x: Any, approximate: str = "none") -> Any:
    if approximate == "tanh":
        return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    return x * 0.5 * (1 + erf(x / math.sqrt(2)))


def normalize(x: Any, axes: tuple[int, ...], eps: float = 1e-5) -> Any:
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + eps)


def conv2d(
    x: Any,
    w: Any,
    b: Any = 0.0,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    (sh, sw), (ph, pw) = np.broadcast_to(stride, 2), np.broadcast_to(padding, 2)
    dh, dw = np.broadcast_to(dilation, 2)
    x = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)))
    kh, kw = dh * (w.shape[2] - 1) + 1, dw * (w.shape[3] - 1) + 1
    oh, ow = (x.shape[2] - kh) // sh + 1, (x.shape[3] - kw) // sw + 1
    y = np.empty((len(x), len(w), oh, ow))
    for i, j, o in itertools.product(range(oh), range(ow), range(len(w))):
        first = o // (len(w) // groups) * w.shape[1]
        patch = x[
            :, first : first + w.shape[1], i * sh : i * sh + kh : dh, j * sw : j * sw + kw : dw
        ]
        y[:, o, i, j] = (patch * w[o]).sum((1, 2, 3))
    return y + np.reshape(b, (-1, 1, 1))


def conv1d(
    x: Any,
    w: Any,
    b: Any = 0.0,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
    groups: int = 1,
) -> Any:
    y = conv2d(x[:, :, None], w[:, :, None], b, (1, stride), (0, padding), (1, dilation), groups)
    return y[:, :, 0]


def attention(
    q: Any, k: Any, v: Any, bias: Any = 0.0, mask: Any = True, causal: bool = False
) -> Any:
    scores = q @ np.swapaxes(k, -1, -2) / np.sqrt(q.shape[-1]) + bias
    looks = np.broadcast_to(mask, scores.shape) & (
        np.tri(*scores.shape[-2:]) > 0 if causal else True
    )
    p = np.exp(scores) * looks
    return p / np.maximum(p.sum(-1, keepdims=True), 1e-300) @ v


def pool(x: Any, kernel: Any, stride: Any, padding: Any, reduce: Any, fill: float) -> Any:
    (kh, kw), (ph, pw) = np.broadcast_to(kernel, 2), np.broadcast_to(padding, 2)
    sh, sw = np.broadcast_to(kernel if stride is None else stride, 2)
    x = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)), constant_values=fill)
    oh, ow = (x.shape[2] - kh) // sh + 1, (x.shape[3] - kw) // sw + 1
    y = np.empty((*x.shape[:2], oh, ow))
    for i, j in itertools.product(range(oh), range(ow)):
        y[:, :, i, j] = reduce(x[:, :, i * sh : i * sh + kh, j * sw : j * sw + kw], axis=(2, 3))
    return y


LABELS = np.array([0, 2, 1, 2])
PROBABILITIES = np.array([[0.2, 0.5, 0.3], [1, 0, 0], [0.1, 0.1, 0.8], [0.3, 0.3, 0.4]])
WEIGHT = np.array([0.5, 2.0, 1.0])


def cross_entropy(
    x: Any,
    labels: Any = LABELS,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    weight: Any = None,
) -> Any:
    classes = x.shape[1]
    w = np.ones(classes) if weight is None else weight
    hard = np.ndim(labels) == 1
    target = np.eye(classes)[labels] if hard else labels
    target = target * (1 - label_smoothing) + label_smoothing / classes
    losses = -(target * w * np.log(softmax(x))).sum(1)
    if reduction == "none":
        return losses
    return losses.sum() / (1 if reduction == "sum" else w[labels].sum() if hard else len(x))


def reduced(losses: Any, reduction: str) -> Any:
    return {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction](losses)


def mse(x: Any, t: Any, reduction: str = "mean") -> Any:
    return reduced((x - t) ** 2, reduction)


def l1(x: Any, t: Any, reduction: str = "mean") -> Any:
    return reduced(np.abs(x - t), reduction)


def huber(x: Any, t: Any, reduction: str = "mean", delta: float = 1.0) -> Any:
    d = np.abs(x - t)
    return reduced(np.where(d <= delta, d * d / 2, delta * (d - delta / 2)), reduction)


def sigmoid_cross_entropy(x: Any, t: Any, reduction: str = "mean", pos_weight: Any = 1.0) -> Any:
    losses = pos_weight * t * np.log1p(np.exp(-x)) + (1 - t) * np.log1p(np.exp(x))
    return reduced(losses, reduction)


LOSS_CASES = [
    ((2, 3), (2, 3)), ((2, 3), (2, 3), {"reduction": "sum"}), ((2,), (2,), {"reduction": "none"}), ((), ()),
    ((0, 2), (0, 2), {"reduction": "sum"}), ((2, 0), (2, 0), {"reduction": "none"}),
]  # fmt: skip
CONDITION = np.array([[True, False, True], [False, False, True]])
TAKE = np.array([0, 2, 2, 0])
MASK = np.array([[True, False, True], [False, True, True]])
BLIND = np.array(
    [[True, False, True], [False, False, False], [False, True, True]]
)  # the second may look nowhere
MEAN, VAR = np.array([0.1, -0.2, 0.3]), np.array([0.5, 1.5, 1.0])

TABLE: dict[str, Row] = {
    # arithmetic
    "add": binary(tg.add, np.add),
    "subtract": binary(tg.subtract, np.subtract),
    "multiply": binary(tg.multiply, np.multiply),
    "divide": binary(tg.divide, np.divide, domain=(0.5, 3.0)),
    "power": binary(
        tg.power, np.power, domain=(0.3, 2.5), extremes=[(([0.0, 0.0], [2.0, 0.0]), [0.0, 1.0], ([0.0, 0.0], [0.0, 0.0]))]
    ),
    "reciprocal": unary(
        tg.reciprocal, np.reciprocal, domain=(0.3, 3.0), extremes=[([-inf, inf, -2.0], [0.0, 0.0, -0.5], [0.0, 0.0, -0.25])]
    ),
    "negative": unary(tg.negative, np.negative),
    "square": unary(tg.square, np.square, extremes=[([inf, nan], [inf, nan], [inf, nan])]),
    "maximum": binary(
        tg.maximum, np.maximum, away=(0.0,), extremes=[(([1.0, nan, 1.0], [1.0, 0.0, nan]), [1.0, nan, nan], ([0.5, 1, 0], [0.5, 0, 1]))]
    ),
    "minimum": binary(
        tg.minimum, np.minimum, away=(0.0,), extremes=[(([1.0, nan, 1.0], [1.0, 0.0, nan]), [1.0, nan, nan], ([0.5, 1, 0], [0.5, 0, 1]))]
    ),
    "where": Row(
        lambda x, y: tg.where(CONDITION, x, y), lambda x, y: np.where(CONDITION, x, y),
        [((2, 3), (2, 3)), ((3,), (2, 1)), ((), (2, 3)), ((1, 2, 3), (3,))],
    ),
    "clip": unary(
        lambda x: tg.clip(x, -1.0, 1.5), lambda x: np.clip(x, -1.0, 1.5), away=(-1.0, 1.5),
        extremes=[([-inf, -1.0, 1.5, inf, nan], [-1.0, -1.0, 1.5, 1.5, nan], [0.0, 1.0, 1.0, 0.0, None])],
    ),
    # elementwise
    "exp": unary(tg.exp, np.exp, extremes=[([-inf, -1e4, inf], [0.0, 0.0, inf], [0.0, 0.0, inf])]),
    "expm1": unary(tg.expm1, np.expm1, extremes=[([-inf, 1e-15], [-1.0, 1e-15], [0.0, 1.0])]),
    "log": unary(tg.log, np.log, domain=(0.2, 3.0), extremes=[([inf], [inf], [0.0])]),
    "log1p": unary(tg.log1p, np.log1p, domain=(-0.8, 3.0), extremes=[([1e-15, inf], [1e-15, inf], [1.0, 0.0])]),
    "log2": unary(tg.log2, np.log2, domain=(0.2, 3.0), extremes=[([8.0, inf], [3.0, inf], [0.125 / math.log(2), 0.0])]),
    "log10": unary(tg.log10, np.log10, domain=(0.2, 3.0), extremes=[([1e3, inf], [3.0, inf], [1e-3 / math.log(10), 0.0])]),
    "sqrt": unary(tg.sqrt, np.sqrt, domain=(0.2, 3.0), extremes=[([0.0, inf], [0.0, inf], [inf, 0.0])]),
    "abs": unary(tg.abs, np.abs, away=(0.0,), analytic=False, extremes=[([-inf, 0.0, inf], [inf, 0.0, inf], [-1.0, 0.0, 1.0])]),
    "sign": unary(
        tg.sign, np.sign, away=(0.0,), analytic=False, extremes=[([-inf, 0.0, inf, nan], [-1.0, 0.0, 1.0, nan], [0.0] * 4)],
    ),
    "floor": unary(
        tg.floor, np.floor, away=(-2.0, -1.0, 0.0, 1.0, 2.0), analytic=False,
        extremes=[([-inf, -0.5, 1.0, inf, nan], [-inf, -1.0, 1.0, inf, nan], [0.0] * 5)],
    ),
    "ceil": unary(
        tg.ceil, np.ceil, away=(-2.0, -1.0, 0.0, 1.0, 2.0), analytic=False,
        extremes=[([-inf, -0.5, 1.0, inf, nan], [-inf, -0.0, 1.0, inf, nan], [0.0] * 5)],
    ),
    "round": Row(
        tg.round, np.round, [((),), ((3,),), ((2, 3),), ((0, 2),), ((2, 3), {"decimals": 1}), ((2, 3), {"decimals": -1})],
        away=(-1.5, -0.5, 0.5, 1.5), operands=1, analytic=False,
        extremes=[([0.5, 1.5, 2.5, -0.5, inf, nan], [0.0, 2.0, 2.0, -0.0, inf, nan], [0.0] * 6)],
    ),
    "sin": unary(tg.sin, np.sin),
    "cos": unary(tg.cos, np.cos),
    "tan": unary(tg.tan, np.tan, domain=(-1.3, 1.3)),
    "arcsin": unary(tg.arcsin, np.arcsin, domain=(-0.9, 0.9), extremes=[([-1.0, 1.0], [-math.pi / 2, math.pi / 2], [inf, inf])]),
    "arccos": unary(tg.arccos, np.arccos, domain=(-0.9, 0.9), extremes=[([-1.0, 1.0], [math.pi, 0.0], [-inf, -inf])]),
    "arctan": unary(
        tg.arctan, np.arctan, analytic=False,
        extremes=[([-inf, -1e200, 1e10, inf], [-math.pi / 2, -math.pi / 2, math.pi / 2 - 1e-10, math.pi / 2], [0.0, 0.0, 1e-20, 0.0])],
    ),
    "arctan2": binary(
        tg.arctan2, np.arctan2, domain=(0.3, 2.5), analytic=False,
        extremes=[
            (([0.0, 0.0, 1.0, -1.0], [0.0, -1.0, -1.0, 0.0]), [0.0, math.pi, 0.75 * math.pi, -math.pi / 2],
             ([0.0, -1.0, -0.5, 0.0], [0.0, 0.0, -0.5, 1.0])),
            (([3e200, 3e-200, inf, 1.0], [4e200, 4e-200, inf, -inf]), [math.atan(0.75), math.atan(0.75), math.pi / 4, math.pi],
             ([0.16e-200, 0.16e200, 0.0, 0.0], [-0.12e-200, -0.12e200, 0.0, 0.0])),
        ],
    ),
    "sinh": unary(tg.sinh, np.sinh, extremes=[([-inf, inf], [-inf, inf], [inf, inf])]),
    "cosh": unary(tg.cosh, np.cosh, extremes=[([-inf, inf], [inf, inf], [-inf, inf])]),
    "tanh": unary(tg.tanh, np.tanh, extremes=[([-inf, -1e4, 1e4, inf], [-1, -1, 1, 1], [0.0] * 4)]),
    "relu": unary(
        tg.relu, lambda x: np.maximum(x, 0), away=(0.0,),
        extremes=[([-inf, 0.0, inf, nan], [0.0, 0.0, inf, nan], [0.0, 0.0, 1.0, None])],
    ),
    "leaky_relu": unary(
        lambda x: tg.leaky_relu(x, 0.1), lambda x: np.where(x > 0, x, 0.1 * x), away=(0.0,),
        extremes=[([-inf, 0.0, inf], [-inf, 0.0, inf], [0.1, 0.1, 1.0])],
    ),
    "elu": unary(
        lambda x: tg.elu(x, 1.5), lambda x: np.where(x > 0, x, 1.5 * np.expm1(x)), away=(0.0,),
        extremes=[([-inf, -1e4, 0.0, 1e4], [-1.5, -1.5, 0.0, 1e4], [0.0, 0.0, 1.5, 1.0])],
    ),
    "gelu": Row(
        tg.gelu, gelu, [((),), ((3,),), ((2, 3),), ((0, 2),), ((2, 3), {"approximate": "tanh"}), ((), {"approximate": "tanh"})],
        domain=(-6.0, 6.0), operands=1, extremes=[([-1e4, -40.0, 1e4], [0.0, 0.0, 1e4], [0.0, 0.0, 1.0])],
    ),
    "silu": unary(tg.silu, lambda x: x * sigmoid(x), extremes=[([-1e4, 1e4], [0.0, 1e4], [0.0, 1.0])]),
    "softplus": unary(
        tg.softplus, lambda x: np.log1p(np.exp(x)), extremes=[([-inf, -1e4, 1e4, inf], [0.0, 0.0, 1e4, inf], [0, 0, 1, 1])]
    ),
    "sigmoid": unary(
        tg.sigmoid, sigmoid,
        extremes=[([-inf, -1e4, -50.0, 1e4, inf], [0.0, 0.0, 1.9287498479639178e-22, 1.0, 1.0], [0, 0, 1.9287498479639178e-22, 0, 0])],
    ),
    "log_sigmoid": unary(
        tg.log_sigmoid, lambda x: -np.log1p(np.exp(-x)), analytic=False,
        extremes=[([-inf, -1e4, 1e4, inf], [-inf, -1e4, 0.0, 0.0], [1.0, 1.0, 0.0, 0.0])],
    ),
    "logaddexp": binary(
        tg.logaddexp, np.logaddexp, analytic=False,
        extremes=[(([inf, -inf, 1e4, -1e4, inf, 1e4], [inf, -inf, 0.0, 0.0, -inf, 1e4]), [inf, -inf, 1e4, 0.0, inf, 1e4 + math.log(2)],
                   ([0.5, 0.5, 1.0, 0.0, 1.0, 0.5], [0.5, 0.5, 0.0, 1.0, 0.0, 0.5]))],
    ),
    "erf": unary(
        tg.erf, erf, domain=(-4.0, 4.0), analytic=False,
        extremes=[([-inf, -1e4, 0.0, 1e-20, 1e4, inf], [-1.0, -1.0, 0.0, 2e-20 / math.sqrt(math.pi), 1.0, 1.0],
                   [0.0, 0.0, 2 / math.sqrt(math.pi), 2 / math.sqrt(math.pi), 0.0, 0.0])],
    ),
    # reduce
    "sum": reduction(tg.sum, np.sum),
    "mean": reduction(tg.mean, np.mean, empty=False),
    "var": Row(tg.var, np.var, [((4,),), ((2, 3), {"axis": 0}), ((2, 3), {"ddof": 1}), ((2, 3, 2), {"axis": (0, 2), "keepdims": True})]),
    "std": Row(
        tg.std, np.std, [((4,),), ((2, 3), {"axis": 0}), ((2, 3), {"ddof": 1}), ((2, 3, 2), {"axis": (0, 2), "keepdims": True})],
        extremes=[([2.0, 2.0], 0.0, [0.0, 0.0])],
    ),
    "max": reduction(tg.max, np.max, empty=False, extremes=[([1.0, 3.0, 3.0], 3.0, [0.0, 0.5, 0.5]), ([-inf, inf], inf, [0.0, 1.0])]),
    "min": reduction(tg.min, np.min, empty=False, extremes=[([1.0, 1.0, 3.0], 1.0, [0.5, 0.5, 0.0]), ([-inf, inf], -inf, [1.0, 0.0])]),
    "prod": reduction(
        tg.prod, np.prod,
        extremes=[([0.0, 2.0, 3.0], 0.0, [6.0, 0.0, 0.0]), ([0.0, 0.0, 3.0], 0.0, [0.0, 0.0, 0.0])],
    ),
    "norm": reduction(
        tg.norm, lambda x, **k: np.sqrt((x * x).sum(**k)), domain=(0.5, 2.0), analytic=False,
        extremes=[([0.0, 0.0], 0.0, [0.0, 0.0]), ([3e200, -4e200], 5e200, [0.6, -0.8]), ([3e-200, 4e-200], 5e-200, [0.6, 0.8])],
    ),
    "cumsum": Row(tg.cumsum, np.cumsum, [((4,),), ((2, 3),), ((2, 3), {"axis": 0}), ((2, 3), {"axis": -1}), ((0,),), ((),)]),
    "cumprod": Row(
        tg.cumprod, np.cumprod, [((4,),), ((2, 3),), ((2, 3), {"axis": 0}), ((2, 3, 2), {"axis": -2}), ((0,),), ((),)],
        extremes=[([2.0, 0.0, 3.0], [2.0, 0.0, 0.0], [1.0, 8.0, 0.0]), ([0.0, 0.0, 3.0], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0])],
    ),
    "logsumexp": Row(
        tg.logsumexp, lambda x, **k: np.log(np.exp(x).sum(**k)),
        [((),), ((4,),), ((2, 3), {"axis": 0}), ((2, 3), {"axis": -1, "keepdims": True}), ((2, 3, 2), {"axis": (0, 2)}), ((0, 2), {"axis": 1})],
        extremes=[([1e4, 1e4], 1e4 + math.log(2), [0.5, 0.5]), ([-inf, 0.0], 0.0, [0.0, 1.0]), ([-inf, -inf], -inf, None), ([inf, 0.0], inf, None)],
    ),
    # shape
    "reshape": Row(tg.reshape, lambda x, shape: np.reshape(x, shape), [((2, 3), {"shape": (3, 2)}), ((2, 3), {"shape": -1}), ((), {"shape": (1, 1)}), ((0, 2), {"shape": (2, 0)})]),
    "transpose": Row(tg.transpose, np.transpose, [((2, 3),), ((2, 3, 4), {"axes": (1, -1, 0)}), ((),), ((0, 2),)]),
    "swapaxes": Row(tg.swapaxes, np.swapaxes, [((2, 3, 4), {"axis1": 0, "axis2": -1}), ((0, 2), {"axis1": 0, "axis2": 1})]),
    "moveaxis": Row(
        tg.moveaxis, np.moveaxis,
        [((2, 3, 4), {"source": 0, "destination": -1}), ((2, 3, 4), {"source": (0, 1), "destination": (2, 0)}), ((0, 2), {"source": -1, "destination": 0})],
    ),
    "squeeze": Row(tg.squeeze, np.squeeze, [((1, 3, 1),), ((1, 3, 1), {"axis": 0}), ((1, 3, 1), {"axis": (0, -1)}), ((1, 0),)]),
    "expand_dims": Row(tg.expand_dims, np.expand_dims, [((2, 3), {"axis": 1}), ((), {"axis": 0}), ((3,), {"axis": (0, -1)})]),
    "broadcast_to": Row(
        tg.broadcast_to, np.broadcast_to, [((3,), {"shape": (2, 3)}), ((2, 1), {"shape": (4, 2, 3)}), ((), {"shape": (2,)}), ((1,), {"shape": (0,)})]
    ),
    "concatenate": Row(
        lambda *x, **k: tg.concatenate(x, **k), lambda *x, **k: np.concatenate(x, **k),
        [((2, 3), (1, 3)), ((2, 3), (2, 1), (2, 2), {"axis": -1}), ((2,), (2, 2), {"axis": None}), ((0, 2), (1, 2))],
    ),
    "stack": Row(
        lambda *x, **k: tg.stack(x, **k), lambda *x, **k: np.stack(x, **k),
        [((2, 3), (2, 3)), ((2, 3), (2, 3), (2, 3), {"axis": -1}), ((), ()), ((0, 2), (0, 2), {"axis": 1})],
    ),
    "split": Row(
        lambda x, part, **k: tg.split(x, **k)[part], lambda x, part, **k: np.split(x, **k)[part],
        [((4,), {"indices_or_sections": 2, "part": 1}), ((5, 2), {"indices_or_sections": [1, 3], "part": 1}),
         ((2, 6), {"indices_or_sections": 3, "axis": -1, "part": 0}), ((3,), {"indices_or_sections": (2, 2, 9), "part": 1}),
         ((4,), {"indices_or_sections": [-1], "part": 0}), ((0, 2), {"indices_or_sections": 2, "axis": 1, "part": 1})],
    ),
    "pad": Row(
        tg.pad, np.pad,
        [((2, 3), {"pad_width": 1}), ((2, 3), {"pad_width": ((1, 0), (0, 2)), "constant_values": 7.0}), ((3,), {"pad_width": (2, 1)})],
    ),
    "getitem": Row(
        lambda x, index: x[index], lambda x, index: x[index],
        [((3, 4), {"index": index}) for index in (
            1, (0, -1), slice(None, None, -1), (slice(1, 3), slice(0, 4, 2)), (..., None, 0), TAKE, (TAKE, slice(1, 3)), ([0, 0], [1, 1]), ((0, 0),),
        )] + [((2, 3), {"index": MASK}), ((), {"index": ()}), ((0, 2), {"index": slice(0, 0)})],
    ),
    "flip": Row(tg.flip, np.flip, [((3,),), ((2, 3),), ((2, 3), {"axis": -1}), ((2, 3, 4), {"axis": (0, 2)}), ((),), ((0, 2), {"axis": 1})]),
    "roll": Row(
        tg.roll, np.roll,
        [((4,), {"shift": 1}), ((2, 3), {"shift": -2}), ((2, 3), {"shift": 7, "axis": 1}), ((2, 3), {"shift": (1, 2), "axis": (0, 1)}),
         ((2, 3), {"shift": 1, "axis": (0, 1)}), ((0, 2), {"shift": 1}), ((), {"shift": 1})],
    ),
    "repeat": Row(
        tg.repeat, np.repeat,
        [((3,), {"repeats": 2}), ((2, 3), {"repeats": 2}), ((2, 3), {"repeats": 3, "axis": 0}), ((2, 3), {"repeats": [2, 0, 1], "axis": -1}),
         ((2, 3), {"repeats": np.array([2])}), ((3,), {"repeats": 0}), ((), {"repeats": 2}), ((0, 2), {"repeats": 2, "axis": 0})],
    ),
    "tile": Row(
        tg.tile, np.tile,
        [((3,), {"reps": 2}), ((2, 3), {"reps": 2}), ((2, 3), {"reps": (2, 1)}), ((3,), {"reps": (2, 2)}), ((2, 3), {"reps": [2]}),
         ((2, 3), {"reps": (2, 1, 3)}), ((), {"reps": 3}), ((2,), {"reps": 0}), ((2, 3), {"reps": ()}), ((0, 2), {"reps": 2})],
    ),
    "tril": Row(tg.tril, np.tril, [((3, 3),), ((2, 4), {"k": 1}), ((4, 2), {"k": -1}), ((2, 3, 3),), ((3,),), ((0, 2),)]),
    "triu": Row(tg.triu, np.triu, [((3, 3),), ((2, 4), {"k": 1}), ((4, 2), {"k": -1}), ((2, 3, 3),), ((3,),), ((0, 2),)]),
    "diagonal": Row(
        tg.diagonal, np.diagonal,
        [((3, 3),), ((2, 4), {"offset": 1}), ((4, 2), {"offset": -2}), ((2, 3, 4), {"axis1": 2, "axis2": 0}), ((2, 3, 4), {"offset": -1, "axis1": -2, "axis2": -1}),
         ((2, 3), {"offset": 5}), ((2, 3), {"offset": -5}), ((0, 2),)],
    ),
    "trace": Row(tg.trace, np.trace, [((3, 3),), ((2, 4), {"offset": 1}), ((2, 3, 4), {"offset": -1, "axis1": 2, "axis2": 0}), ((0, 2),)]),
    "sort": Row(
        tg.sort, np.sort, [((4,),), ((2, 3),), ((3, 2), {"axis": 0}), ((2, 3, 2), {"axis": -2}), ((2, 3), {"axis": None}), ((0, 2),), ((2, 0),)],
        extremes=[([2.0, nan, -inf, inf], [-inf, 2.0, inf, nan], [1.0] * 4)],
    ),
    "take": Row(
        tg.take, np.take,
        [((4,), {"indices": TAKE}), ((3, 2), {"indices": TAKE, "axis": 0}), ((2, 3), {"indices": [[0, -1], [1, 0]], "axis": 1}), ((2, 3), {"indices": 4}),
         ((2, 3), {"indices": 1, "axis": -1}), ((2, 3), {"indices": []}), ((3, 0), {"indices": [1, 1], "axis": 0}), ((), {"indices": [0, 0]})],
    ),
    "take_along_axis": Row(
        tg.take_along_axis, np.take_along_axis,
        [((2, 3), {"indices": np.array([[0, 0], [2, -1]]), "axis": 1}), ((2, 3), {"indices": np.array([[1, 0, 1]]), "axis": 0}),
         ((2, 3, 2), {"indices": np.array([[[2], [0]]]), "axis": -2}), ((2, 3), {"indices": np.array([5, 0, 5]), "axis": None}),
         ((1, 3), {"indices": np.array([[2], [1]]), "axis": 1}), ((0, 3), {"indices": np.zeros((0, 1), int), "axis": 1})],
    ),
    "astype": Row(lambda x: x.astype(np.float64), lambda x: x.astype(np.float64), [((2, 3),)], analytic=False),
    "copy": Row(lambda x: x.copy(), np.copy, [((2, 3),), ((),), ((0, 2),)]),
    # linear
    "matmul": Row(
        tg.matmul, np.matmul,
        [((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 2)), ((2, 3), (3, 4)), ((2, 2, 3), (3, 2)), ((2, 3), (4, 3, 2)), ((3,), (2, 3, 2)),
         ((2, 1, 2, 3), (4, 3, 2)), ((2, 2, 3), (3,)), ((0, 3), (3, 2)), ((2, 0), (0, 3))],
    ),
    "dot": Row(
        tg.dot, np.dot,
        [((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 2)), ((2, 3), (3, 4)), ((), (2, 3)), ((2,), ()), ((2, 2, 3), (3, 2)), ((2, 3), (2, 3, 4)),
         ((3,), (2, 3, 2)), ((2, 2, 3), (2, 1, 3, 2)), ((2, 0), (0, 3)), ((2, 0), (2, 0, 3)), ((0, 3), (3,))],
    ),
    "outer": Row(tg.outer, np.outer, [((2,), (3,)), ((2, 2), (3,)), ((), (2,)), ((0,), (3,)), ((), ())]),
    "linear": Row(
        tg.linear, lambda x, w, b=0.0: x @ w.T + b,
        [((2, 3), (4, 3), (4,)), ((1, 3), (4, 3), (4,)), ((2, 3), (4, 3)), ((3,), (4, 3), (4,)), ((2, 5, 3), (4, 3), (4,)), ((0, 3), (4, 3), (4,)), ((2, 5, 3), (0, 3)), ((2, 5, 0), (4, 0), (4,)), ((0,), (4, 0))],
    ),
    "einsum": Row(
        lambda *x, subscripts: tg.einsum(subscripts, *x), lambda *x, subscripts: np.einsum(subscripts, *x),
        [((2, 3), (3, 4), {"subscripts": "ij,jk->ik"}), ((2, 3), (3, 4), {"subscripts": "ij,jk"}), ((3, 3), {"subscripts": "ii"}),
         ((3, 3), {"subscripts": "ii->i"}), ((2, 3), {"subscripts": "ij->j"}), ((2, 3), {"subscripts": "ij->"}), ((2, 3), {"subscripts": "ji"}),
         ((2, 3, 4), (4, 2), {"subscripts": "...j,jk->...k"}), ((2, 3), (3,), (2,), {"subscripts": "ij,j,i->"}), ((2,), (3,), {"subscripts": "i,j->ij"}),
         ((3, 3), (3,), {"subscripts": "ii,i->i"}), ((2, 3), (2, 3), {"subscripts": "...,..."}), ((2, 3), (1, 3), {"subscripts": "ij,ij->i"}),
         ((2, 3), (4,), {"subscripts": "ij,k->i"}), ((2, 3), (4, 2, 3), {"subscripts": "...j,...j->..."}), ((3,), (2, 3), {"subscripts": "...,...->..."}), ((3,), (2, 3), {"subscripts": "...j,...j->..."}), ((), (2, 3), {"subscripts": ",ij->ij"}), ((2,), (), {"subscripts": "i,"})],
    ),
    # norm
    "softmax": Row(
        tg.softmax, softmax, [((4,),), ((2, 3),), ((2, 3), {"axis": 0}), ((0, 3),), ((0, 3), {"axis": 0})],
        extremes=[([1e4, 1e4, -1e4], [0.5, 0.5, 0.0], [0.0, 0.0, 0.0]), ([-inf, 0.0], [0.0, 1.0], [0.0, 0.0])],
    ),
    "log_softmax": Row(
        tg.log_softmax, lambda x, axis=-1: np.log(softmax(x, axis)), [((4,),), ((2, 3),), ((2, 3), {"axis": 0}), ((0, 3),)],
        extremes=[([1e4, 0.0], [0.0, -1e4], [-1.0, 1.0])],
    ),
    "batch_norm": Row(
        lambda x, *a, training=True: tg.batch_norm(x, MEAN.copy(), VAR.copy(), *a, training=training),
        lambda x, w=1.0, b=0.0, training=True: np.moveaxis(
            np.moveaxis(
                normalize(x, (0, *range(2, x.ndim))) if training
                else np.moveaxis((np.moveaxis(x, 1, -1) - MEAN) / np.sqrt(VAR + 1e-5), -1, 1), 1, -1) * w + b, -1, 1),
        [((4, 3), (3,), (3,)), ((4, 3),), ((4, 3), (3,)), ((2, 3, 2, 2), (3,), (3,)), ((2, 3, 4), (3,), (3,)),
         ((4, 3), (3,), (3,), {"training": False}), ((2, 3, 2), {"training": False})],
        analytic=False,
    ),
    "layer_norm": Row(
        lambda x, *a, shape: tg.layer_norm(x, shape, *a),
        lambda x, w=1.0, b=0.0, shape=(): normalize(x, tuple(range(-len(shape), 0))) * w + b,
        [((2, 3), (3,), (3,), {"shape": (3,)}), ((2, 3), {"shape": (3,)}), ((2, 3, 4), (3, 4), (3, 4), {"shape": (3, 4)}), ((0, 3), (3,), {"shape": (3,)})],
    ),
    "dropout": Row(
        lambda x: tg.dropout(x, 0.4, rng=0), lambda x: x * (np.random.default_rng(0).random(x.shape, np.float32) >= 0.4) / 0.6,
        [((2, 3),), ((40,),), ((),), ((0, 2),)],
    ),
    # attention
    "scaled_dot_product_attention": Row(
        lambda q, k, v, bias=None, **o: tg.scaled_dot_product_attention(q, k, v, **{"mask": bias, **o}), attention,
        [((3, 4), (5, 4), (5, 2)), ((2, 3, 4), (2, 3, 4), (2, 3, 4), {"causal": True}), ((2, 2, 3, 4), (2, 2, 5, 4), (2, 2, 5, 3), {"causal": True}),
         ((3, 4), (2, 4), (2, 4), {"causal": True}), ((2, 1, 3, 4), (3, 5, 4), (5, 2)), ((3, 4), (5, 4), (2, 5, 2)), ((2, 3, 4), (2, 3, 4), (2, 3, 2), {"mask": MASK[:, None, :]}),
         ((3, 4), (3, 4), (3, 2), {"mask": BLIND}), ((3, 4), (3, 4), (3, 2), {"mask": BLIND, "causal": True}), ((3, 4), (3, 4), (3, 2), (3, 3)),
         ((2, 3, 4), (2, 5, 4), (2, 5, 2), (5,)), ((2, 3, 4), (2, 3, 4), (2, 3, 2), (2, 1, 3), {"causal": True}), ((0, 4), (3, 4), (3, 2)), ((3, 4), (0, 4), (0, 2))],
        analytic=False,
    ),
    # loss
    "softmax_cross_entropy": Row(
        lambda x, labels=LABELS, **k: tg.softmax_cross_entropy(x, labels, **k), cross_entropy,
        [((4, 3), k) for k in (
            {}, {"reduction": "sum"}, {"reduction": "none"}, {"label_smoothing": 0.1}, {"weight": WEIGHT},
            {"weight": WEIGHT, "label_smoothing": 0.1, "reduction": "none"}, {"weight": WEIGHT, "label_smoothing": 0.3}, {"labels": PROBABILITIES},
            {"labels": PROBABILITIES, "weight": WEIGHT, "label_smoothing": 0.2}, {"labels": PROBABILITIES, "reduction": "none"},
        )] + [((0, 3), {"labels": LABELS[:0], "reduction": "sum"}), ((4, 3), (4, 3)), ((4, 3), (4, 3), {"weight": WEIGHT, "label_smoothing": 0.2})],
        analytic=False,
    ),
    "sigmoid_cross_entropy": Row(
        tg.sigmoid_cross_entropy, sigmoid_cross_entropy,
        [*LOSS_CASES, ((2, 3), (2, 3), {"pos_weight": 2.5}), ((2, 3), (2, 3), {"pos_weight": WEIGHT, "reduction": "none"}), ((2, 3), (2, 3), {"pos_weight": WEIGHT[:2, None]})],
        analytic=False,
        extremes=[(([-1e4, 1e4, -1e4, 1e4], [0.0, 1.0, 1.0, 0.0]), 5e3, ([0.0, 0.0, -0.25, 0.25], [2500.0, -2500.0, 2500.0, -2500.0])),
                  (([-inf, inf], [0.0, 1.0]), 0.0, ([0.0, 0.0], [inf, -inf]))],
    ),
    "mse": Row(tg.mse, mse, LOSS_CASES),
    "l1": Row(tg.l1, l1, LOSS_CASES, analytic=False, extremes=[(([1.0, 2.0, inf], [1.0, 5.0, 0.0]), inf, ([0.0, -1 / 3, 1 / 3], [0.0, 1 / 3, -1 / 3]))]),
    "huber": Row(
        tg.huber, huber, [*LOSS_CASES, ((2, 3), (2, 3), {"delta": 0.5}), ((2, 3), (2, 3), {"delta": 3.0, "reduction": "none"})],
        extremes=[(([1.0, 3.0, 0.0, 1e200], [0.0, 0.0, 0.0, 0.0]), 2.5e199, ([0.25, 0.25, 0.0, 0.25], [-0.25, -0.25, 0.0, -0.25]))],
    ),
    # conv
    "conv2d": Row(
        tg.conv2d, conv2d,
        [((2, 2, 4, 4), (3, 2, 2, 2), (3,)), ((1, 1, 2, 3), (2, 1, 2, 3)), ((1, 1, 5, 4), (2, 1, 3, 2), {"stride": (2, 1), "padding": (1, 0)}),
         ((2, 1, 3, 3), (1, 1, 3, 3), (1,), {"padding": 1}), ((0, 1, 3, 3), (2, 1, 2, 2), (2,)), ((1, 2, 5, 5), (2, 2, 1, 1), {"stride": 2}),
         ((2, 1, 5, 4), (2, 1, 2, 2), (2,), {"dilation": 2}), ((1, 2, 6, 5), (1, 2, 2, 3), {"dilation": (3, 1), "stride": (1, 2), "padding": (0, 1)}),
         ((2, 4, 3, 3), (2, 2, 2, 2), (2,), {"groups": 2}), ((1, 3, 4, 3), (6, 1, 2, 2), (6,), {"groups": 3, "padding": 1}),
         ((2, 4, 4, 4), (4, 2, 2, 2), {"groups": 2, "dilation": 2, "padding": 1}), ((2, 2, 3, 3), (0, 2, 2, 2), (0,))],
    ),
    "conv1d": Row(
        tg.conv1d, conv1d,
        [((2, 3, 5), (4, 3, 2), (4,)), ((1, 1, 6), (1, 1, 3), {"stride": 2}), ((2, 2, 5), (3, 2, 3), (3,), {"padding": 1, "dilation": 2}),
         ((2, 4, 4), (2, 2, 2), (2,), {"groups": 2}), ((1, 3, 4), (3, 1, 2), {"groups": 3, "stride": 2, "padding": 1}), ((0, 1, 3), (2, 1, 2), (2,))],
    ),
    "max_pool2d": Row(
        tg.max_pool2d, lambda x, kernel_size, stride=None, padding=0: pool(x, kernel_size, stride, padding, np.max, -inf),
        [((2, 2, 4, 4), {"kernel_size": 2}), ((1, 1, 5, 4), {"kernel_size": (3, 2), "stride": (1, 2)}),
         ((1, 2, 5, 5), {"kernel_size": 3, "stride": 2, "padding": 1}), ((1, 1, 5, 5), {"kernel_size": 2}), ((1, 1, 3, 4), {"kernel_size": 2, "padding": 1}), ((0, 1, 4, 4), {"kernel_size": 2})],
    ),
    "avg_pool2d": Row(
        tg.avg_pool2d, lambda x, kernel_size, stride=None, padding=0: pool(x, kernel_size, stride, padding, np.mean, 0.0),
        [((2, 2, 4, 4), {"kernel_size": 2}), ((1, 1, 5, 4), {"kernel_size": (3, 2), "stride": (1, 2)}),
         ((1, 2, 5, 5), {"kernel_size": 3, "stride": 2, "padding": 1}), ((1, 1, 5, 5), {"kernel_size": 2}), ((1, 1, 3, 4), {"kernel_size": 2, "padding": 1}), ((0, 1, 4, 4), {"kernel_size": 2})],
    ),
}  # fmt: skip
