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
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def gelu(x: Any) -> Any:
    return x * 0.5 * np.vectorize(lambda v: 1 + math.erf(v / math.sqrt(2)), otypes=[float])(x)


def normalize(x: Any, axes: tuple[int, ...], eps: float = 1e-5) -> Any:
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + eps)


def conv2d(x: Any, w: Any, b: Any = 0.0, stride: Any = 1, padding: Any = 0) -> Any:
    (sh, sw), (ph, pw) = np.broadcast_to(stride, 2), np.broadcast_to(padding, 2)
    x = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)))
    oh, ow = (x.shape[2] - w.shape[2]) // sh + 1, (x.shape[3] - w.shape[3]) // sw + 1
    y = np.empty((len(x), len(w), oh, ow))
    for i, j in itertools.product(range(oh), range(ow)):
        patch = x[:, :, i * sh : i * sh + w.shape[2], j * sw : j * sw + w.shape[3]]
        y[:, :, i, j] = np.einsum("nchw,ochw->no", patch, w) + b
    return y


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


def mse(x: Any, t: Any, reduction: str = "mean") -> Any:
    return {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction]((x - t) ** 2)


CONDITION = np.array([[True, False, True], [False, False, True]])
TAKE = np.array([0, 2, 2, 0])
MASK = np.array([[True, False, True], [False, True, True]])
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
    "sqrt": unary(tg.sqrt, np.sqrt, domain=(0.2, 3.0), extremes=[([0.0, inf], [0.0, inf], [inf, 0.0])]),
    "abs": unary(tg.abs, np.abs, away=(0.0,), analytic=False, extremes=[([-inf, 0.0, inf], [inf, 0.0, inf], [-1.0, 0.0, 1.0])]),
    "sin": unary(tg.sin, np.sin),
    "cos": unary(tg.cos, np.cos),
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
    "gelu": unary(tg.gelu, gelu, domain=(-6.0, 6.0), extremes=[([-1e4, -40.0, 1e4], [0.0, 0.0, 1e4], [0.0, 0.0, 1.0])]),
    "silu": unary(tg.silu, lambda x: x * sigmoid(x), extremes=[([-1e4, 1e4], [0.0, 1e4], [0.0, 1.0])]),
    "softplus": unary(
        tg.softplus, lambda x: np.log1p(np.exp(x)), extremes=[([-inf, -1e4, 1e4, inf], [0.0, 0.0, 1e4, inf], [0, 0, 1, 1])]
    ),
    "sigmoid": unary(
        tg.sigmoid, sigmoid,
        extremes=[([-inf, -1e4, -50.0, 1e4, inf], [0.0, 0.0, 1.9287498479639178e-22, 1.0, 1.0], [0, 0, 1.9287498479639178e-22, 0, 0])],
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
    "astype": Row(lambda x: x.astype(np.float64), lambda x: x.astype(np.float64), [((2, 3),)], analytic=False),
    "copy": Row(lambda x: x.copy(), np.copy, [((2, 3),), ((),), ((0, 2),)]),
    # linear
    "matmul": Row(
        tg.matmul, np.matmul,
        [((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 2)), ((2, 3), (3, 4)), ((2, 2, 3), (3, 2)), ((2, 3), (4, 3, 2)), ((3,), (2, 3, 2)),
         ((2, 1, 2, 3), (4, 3, 2)), ((2, 2, 3), (3,)), ((0, 3), (3, 2)), ((2, 0), (0, 3))],
    ),
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
        tg.softmax, softmax, [((4,),), ((2, 3),), ((2, 3), {"axis": 0}), ((0, 3),)],
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
    "mse": Row(tg.mse, mse, [((2, 3), (2, 3)), ((2, 3), (2, 3), {"reduction": "sum"}), ((2,), (2,), {"reduction": "none"}), ((), ())]),
    # conv
    "conv2d": Row(
        tg.conv2d, conv2d,
        [((2, 2, 4, 4), (3, 2, 2, 2), (3,)), ((1, 1, 2, 3), (2, 1, 2, 3)), ((1, 1, 5, 4), (2, 1, 3, 2), {"stride": (2, 1), "padding": (1, 0)}),
         ((2, 1, 3, 3), (1, 1, 3, 3), (1,), {"padding": 1}), ((0, 1, 3, 3), (2, 1, 2, 2), (2,)), ((1, 2, 5, 5), (2, 2, 1, 1), {"stride": 2})],
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
