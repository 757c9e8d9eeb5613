"""Wrong calls, one a line: the exact error, and the words that its message must hold."""

import numpy as np
import pytest

import tinygrad_mnist as tg
from tinygrad_mnist import (
    CheckpointError,
    DataError,
    GradcheckError,
    GraphError,
    ShapeError,
    Tensor,
    checkpoint,
    nn,
    optim,
    plots,
)
from tinygrad_mnist.datasets import (
    Batches,
    load_mnist,
    normalize,
    one_hot,
    read_csv,
    train_val_split,
)
from tinygrad_mnist.testing import gradcheck
from tinygrad_mnist.train import EarlyStopping, History, evaluate, fit, predict

AxisError = np.exceptions.AxisError
X = np.arange(12.0).reshape(3, 4)
IMAGES = np.ones((2, 3, 6, 6))
ONES = np.ones(3)


def t(a=X):
    return Tensor(a, requires_grad=True)


def net():
    return nn.Sequential(nn.Linear(4, 5, rng=0), nn.ReLU(), nn.Linear(5, 3, rng=1))


def train(data=None, model=None, **options):
    model = net() if model is None else model
    data = (X.astype(np.float32), np.array([0, 1, 2])) if data is None else data
    settings = {"epochs": 1, "batch_size": 2, "progress": False, **options}
    return fit(
        model, tg.softmax_cross_entropy, optim.SGD(model.parameters(), 0.1), data, **settings
    )


CALLS = [
    # making tensors
    (lambda: Tensor("1.0"), TypeError, "expected numbers, got str"),
    (lambda: Tensor(None), TypeError, "NoneType"),
    (lambda: Tensor([1.0, "a"]), TypeError, "numbers"),
    (lambda: Tensor([[1.0], [1.0, 2.0]]), TypeError, "rectangular"),
    (lambda: Tensor({1.0}), TypeError, "set"),
    (lambda: Tensor(np.array(["a"])), TypeError, "numbers"),
    (lambda: Tensor(np.array([None])), TypeError, "object"),
    (lambda: Tensor(1, requires_grad=True), TypeError, "pass floats"),
    (lambda: Tensor(np.ones(2, bool), requires_grad=True), TypeError, "got bool"),
    (lambda: Tensor(1.0, dtype=object), TypeError, "a dtype of numbers, got object"),
    (lambda: Tensor([1.0], dtype="U3"), TypeError, "a dtype of numbers, got <U3"),
    (lambda: t() + None, TypeError, "^add: expected numbers, got NoneType"),
    (lambda: tg.concatenate([t(), "a"]), TypeError, "^concatenate: expected numbers, got str"),
    (lambda: -Tensor(True), TypeError, r"^negative: .*bool\[\]"),
    (lambda: t()[5], IndexError, r"^getitem: index 5 is out of bounds .*float64\[3, 4\]"),
    (lambda: t()["a"], IndexError, "^getitem: only integers"),
    (lambda: tg.from_numpy(3.0), TypeError, "ndarray, got float"),
    (lambda: tg.from_numpy(np.arange(2), requires_grad=True), TypeError, "int64"),
    # using them
    (lambda: t().backward(), GraphError, r"shape \(3, 4\) is not a scalar"),
    (lambda: Tensor(1.0).backward(), GraphError, "requires no grad"),
    (lambda: t().sum().backward(ONES), ShapeError, r"shape \(\), got \(3,\)"),
    (lambda: t().backward(np.ones((4, 3))), ShapeError, r"\(3, 4\), got \(4, 3\)"),
    (lambda: Tensor(1.0).retain_grad(), GraphError, "no grad"),
    (lambda: t().item(), ValueError, "one element"),
    (lambda: bool(t()), ValueError, "neither true nor false"),
    (lambda: float(t()), ValueError, "one element"),
    (lambda: len(Tensor(1.0)), TypeError, "0-d"),
    (lambda: list(Tensor(1.0)), TypeError, "0-d"),
    (lambda: np.asarray(t()), TypeError, r"\.numpy\(\)"),
    (lambda: t().__setitem__(0, 1.0), TypeError, "where, concatenate or stack"),
    (lambda: setattr(t(), "data", ONES), ShapeError, r"\(3, 4\), got \(3,\)"),
    (lambda: setattr(t(), "grad", ONES), ShapeError, r"\(3, 4\), got \(3,\)"),
    (lambda: setattr(Tensor(1.0), "grad", 1.0), GraphError, "does not require grad"),
    (lambda: setattr(t() * 2, "requires_grad", False), GraphError, "leaf"),
    (lambda: setattr(Tensor([1, 2]), "requires_grad", True), TypeError, "int64"),
    (lambda: t().data.__setitem__(5, 0), IndexError, "out of bounds"),
    (lambda: np.fft.fft(t()), TypeError, "np.fft"),
    (
        lambda: tg.conv2d(np.ones((5, 8, 8)), np.ones((2, 1, 3, 3))),
        ShapeError,
        r"expand_dims\(x, 1\)",
    ),
    (
        lambda: tg.conv2d(np.ones((5, 8, 8, 3)), np.ones((2, 3, 3, 3))),
        ShapeError,
        r"moveaxis\(x, -1, 1\)",
    ),
    (lambda: tg.linear(np.ones((5, 2, 4)), np.ones((3, 8))), ShapeError, r"nn.Flatten\(\)"),
    (lambda: np.linalg.norm(t(), ord="nuc"), TypeError, "expected ord to be .* got 'nuc'"),
    (lambda: np.frexp(t()), TypeError, "np.frexp"),
    (lambda: np.multiply.outer(t(), ONES), TypeError, "np.multiply.outer"),
    (lambda: np.exp(t(), where=X > 0), TypeError, "where"),
    (lambda: np.mean(t(), dtype=float), TypeError, "np.mean"),
    # arithmetic and shapes
    (lambda: t() + ONES, ShapeError, r"add: .*\(3, 4\), \(3,\)"),
    (lambda: t() - ONES, ShapeError, "subtract"),
    (lambda: t() * ONES, ShapeError, "multiply"),
    (lambda: t() / ONES, ShapeError, "divide"),
    (lambda: t() ** ONES, ShapeError, "power"),
    (lambda: tg.maximum(t(), ONES), ShapeError, "maximum"),
    (lambda: tg.where(ONES > 0, t(), t()), ShapeError, "where"),
    (lambda: t() + "a", TypeError, "numbers"),
    (lambda: t() @ X, ShapeError, r"inner sizes of shapes \(3, 4\) and \(3, 4\)"),
    (lambda: t() @ 2.0, ShapeError, "matmul"),
    (lambda: t(np.ones((2, 3, 4))) @ np.ones((3, 4, 5)), ShapeError, "matmul"),
    (lambda: tg.clip(t()), ValueError, "a lower bound, an upper bound or both"),
    (lambda: t().reshape(5), ShapeError, r"reshape: .*\(3, 4\)"),
    (lambda: t().reshape(-1, -1), ShapeError, "reshape"),
    (lambda: t().transpose(0, 0), ShapeError, "transpose"),
    (lambda: t().transpose(0), ShapeError, "transpose"),
    (lambda: t().swapaxes(0, 2), AxisError, "swapaxes: axis"),
    (lambda: t().squeeze(0), ShapeError, "squeeze"),
    (lambda: t().expand_dims(5), AxisError, "expand_dims: axis 5"),
    (lambda: t().broadcast_to((4, 4)), ShapeError, "broadcast_to"),
    (lambda: tg.concatenate([]), ShapeError, "at least one"),
    (lambda: tg.concatenate([t(), t(ONES)]), ShapeError, "concatenate"),
    (lambda: tg.concatenate([t()], axis=2), AxisError, "concatenate: axis 2"),
    (lambda: tg.stack([]), ShapeError, "at least one"),
    (lambda: tg.stack([t(), t(ONES)]), ShapeError, "stack"),
    (lambda: tg.pad(t(), -1), ValueError, "pad: index can't contain negative|pad"),
    (lambda: tg.pad(t(), 1, mode="wrap"), ValueError, "'wrap'"),
    (lambda: t()[3], IndexError, "out of bounds"),
    (lambda: t()["a"], IndexError, "integers"),
    (lambda: t()[0, 0, 0], IndexError, "too many indices"),
    (lambda: t().sum(axis=2), AxisError, "sum: axis 2"),
    (lambda: t().mean(axis=(0, 0)), ShapeError, "mean: duplicate value in .axis."),
    (lambda: t().max(axis=-3), AxisError, "max: axis -3"),
    (lambda: t(np.ones(0)).max(), ShapeError, "max: zero-size"),
    (lambda: t().var(axis=2), AxisError, "var"),
    (lambda: t().prod(axis="a"), TypeError, "prod"),
    (lambda: t().cumsum(axis=2), AxisError, "cumsum"),
    (lambda: tg.softmax(t(), axis=2), AxisError, "softmax"),
    (lambda: tg.logsumexp(t(), axis=3), AxisError, "logsumexp"),
    (lambda: tg.einsum("ij,jk", t()), ShapeError, "names 2 operands, got 1"),
    (lambda: tg.einsum("i", t()), ShapeError, "does not fit shape"),
    (lambda: tg.einsum("ij,ij", t(), t(X.T)), ShapeError, "einsum"),
    (lambda: tg.linear(t(), np.ones((2, 3))), ShapeError, r"\(3, 4\) and \(2, 3\)"),
    (
        lambda: tg.linear(t(), np.ones((2, 4)), ONES),
        ShapeError,
        r"bias of shape \(2,\), got \(3,\)",
    ),
    (lambda: tg.linear(t(), ONES), ShapeError, "linear"),
    (lambda: t().astype("no such dtype"), TypeError, "no such dtype"),
    # images and normalisation
    (lambda: tg.conv2d(t(), np.ones((1, 1, 2, 2))), ShapeError, r"\(N, C, H, W\)"),
    (
        lambda: tg.conv2d(t(IMAGES), np.ones((1, 2, 2, 2))),
        ShapeError,
        r"\(2, 3, 6, 6\) and \(1, 2, 2, 2\)",
    ),
    (lambda: tg.conv2d(t(IMAGES), np.ones((1, 3, 7, 7))), ShapeError, "does not fit images"),
    (lambda: tg.conv2d(t(IMAGES), np.ones((1, 3, 2, 2)), ONES), ShapeError, "bias"),
    (lambda: tg.conv2d(t(IMAGES), np.ones((1, 3, 2, 2)), stride=0), ValueError, "stride"),
    (lambda: tg.conv2d(t(IMAGES), np.ones((1, 3, 2, 2)), padding=1.5), ValueError, "padding"),
    (lambda: tg.max_pool2d(t(IMAGES), 0), ValueError, "kernel_size"),
    (lambda: tg.max_pool2d(t(IMAGES), 7), ShapeError, "does not fit"),
    (lambda: tg.max_pool2d(t(IMAGES), 2, padding=2), ValueError, "half the kernel"),
    (lambda: tg.avg_pool2d(t(), 2), ShapeError, r"got \(3, 4\)"),
    (lambda: tg.avg_pool2d(t(IMAGES), (1, 2, 3)), ValueError, "two"),
    (lambda: tg.batch_norm(t(ONES), None, None, training=True), ShapeError, r"\(N, C, ...\)"),
    (lambda: tg.batch_norm(t(), None, None), ValueError, "running_mean"),
    (lambda: tg.batch_norm(t(), ONES, ONES), ShapeError, "running_mean"),
    (
        lambda: tg.batch_norm(t(np.ones((1, 4))), None, None, training=True),
        ValueError,
        "more than one value",
    ),
    (lambda: tg.layer_norm(t(), 3), ShapeError, r"\(..., 3\), got \(3, 4\)"),
    (lambda: tg.layer_norm(t(), 4, ONES), ShapeError, r"\(4,\), got \(3,\)"),
    (lambda: tg.dropout(t(), -0.1), ValueError, r"\[0, 1\), got -0.1"),
    (lambda: tg.dropout(t(), 1.0), ValueError, "got 1.0"),
    # losses
    (lambda: tg.softmax_cross_entropy(t(), [0, 1]), ShapeError, r"\(3,\)"),
    (
        lambda: tg.softmax_cross_entropy(t(), [0, 1, 4]),
        ValueError,
        r"\[0, 4\), got 4 at position 2",
    ),
    (lambda: tg.softmax_cross_entropy(t(), [0, -1, 2]), ValueError, "got -1 at position 1"),
    (lambda: tg.softmax_cross_entropy(t(), ONES), TypeError, "integer labels"),
    (lambda: tg.softmax_cross_entropy(t(), [[0], [1], [2]]), ShapeError, r"\(3, 1\)"),
    (
        lambda: tg.softmax_cross_entropy(t(), np.ones((3, 3))),
        ShapeError,
        r"\(3, 4\), got float64 \(3, 3\)",
    ),
    (
        lambda: tg.softmax_cross_entropy(t(ONES), [0]),
        ShapeError,
        r"labels of shape \(\), .*, got int64 \(1,\)",
    ),
    (lambda: tg.softmax_cross_entropy(t(), [0, 1, 2], reduction="avg"), ValueError, "'avg'"),
    (
        lambda: tg.softmax_cross_entropy(t(), [0, 1, 2], label_smoothing=2),
        ValueError,
        "label_smoothing",
    ),
    (
        lambda: tg.softmax_cross_entropy(t(), [0, 1, 2], weight=ONES),
        ShapeError,
        r"weight of shape \(4,\)",
    ),
    (lambda: tg.softmax_cross_entropy(t(np.ones((0, 4))), []), ValueError, "empty batch"),
    (lambda: tg.mse(t(), ONES), ShapeError, r"\(3, 4\), got \(3,\)"),
    (lambda: tg.mse(t(np.ones(0)), np.ones(0)), ValueError, "empty batch"),
    (lambda: tg.mse(t(), X, reduction="max"), ValueError, "'max'"),
    # functional forms and the checker
    (lambda: tg.grad(lambda x: x)(X), GraphError, "scalar"),
    (lambda: tg.grad(lambda x: 1.0)(X), GraphError, "got float"),
    (lambda: tg.grad(lambda x: x.sum(), 2)(X), ValueError, "argnums"),
    (lambda: tg.grad(lambda x: x.sum())(np.arange(3)), TypeError, "floats"),
    (lambda: tg.hvp(lambda x: x.sum(), X, ONES), ShapeError, r"\(3, 4\), got \(3,\)"),
    (lambda: tg.hessian(lambda x: x.sum())(np.arange(3)), TypeError, "floats"),
    (lambda: gradcheck(lambda x: x, 3), ValueError, "nothing to differentiate"),
    (lambda: gradcheck(tg.exp, X, method="backward"), ValueError, "'backward'"),
    (lambda: gradcheck(lambda x: x.numpy(), X), GradcheckError, "ndarray"),
    # layers and modules
    (lambda: nn.Linear(0, 1), ValueError, "in_features"),
    (lambda: nn.Linear(1, -1), ValueError, "out_features"),
    (lambda: nn.Linear("a", 1), TypeError, "'a'"),
    (lambda: nn.Linear(True, 1), TypeError, "True"),
    (lambda: nn.Conv2d(1, 1, 0), ValueError, "kernel_size"),
    (
        lambda: nn.Conv2d(1, 1, 3, stride=0),
        ValueError,
        "stride as an integer of at least 1.*, got 0",
    ),
    (lambda: nn.BatchNorm1d(0), ValueError, "num_features"),
    (lambda: nn.BatchNorm2d(3)(t()), ShapeError, "BatchNorm2d"),
    (lambda: nn.Dropout(2), ValueError, "Dropout"),
    (lambda: nn.Sequential(1), TypeError, "position 0"),
    (lambda: net()(t(X.T)), ShapeError, "linear"),
    (lambda: nn.Module()(1), NotImplementedError, "forward"),
    (lambda: net().load_state_dict({}), ValueError, "missing 0.weight; missing 0.bias"),
    (lambda: net().load_state_dict({**net().state_dict(), "x": ONES}), ValueError, "unexpected x"),
    (
        lambda: net().load_state_dict({**net().state_dict(), "0.bias": ONES}),
        ValueError,
        r"0.bias of shape \(3,\), expected \(5,\)",
    ),
    (
        lambda: net().load_state_dict({**net().state_dict(), "0.bias": np.ones(5) * 1j}),
        ValueError,
        "complex",
    ),
    (lambda: nn.init.xavier_uniform((3,)), ValueError, "two axes"),
    # optimizers
    (lambda: optim.SGD([]), ValueError, "at least one"),
    (lambda: optim.SGD(net()), TypeError, "Sequential|Tensors"),
    (lambda: optim.SGD([X]), TypeError, "ndarray"),
    (lambda: optim.SGD(t()), TypeError, "Tensor"),
    (lambda: optim.SGD([t()], -1.0), ValueError, "lr"),
    (lambda: optim.SGD([t()], np.inf), ValueError, r"lr in \[0, inf\)"),
    (lambda: optim.SGD([t()], momentum=1), ValueError, r"\[0, 1\)"),
    (lambda: optim.SGD([t()], nesterov=True), ValueError, "momentum above 0"),
    (lambda: optim.Adam([t()], betas=(1.0, 0.9)), ValueError, "betas"),
    (lambda: optim.Adam([t()], eps=-1e-8), ValueError, "eps"),
    (lambda: optim.AdamW([t()], weight_decay=-1), ValueError, "weight_decay"),
    (lambda: optim.RMSprop([t()], alpha=1.0), ValueError, "alpha"),
    (lambda: optim.SGD([t()]).step(), GraphError, "backward first"),
    (lambda: optim.StepLR(optim.SGD([t()]), -1), ValueError, "step_size"),
    (lambda: optim.CosineLR(optim.SGD([t()]), 0), ValueError, "total_steps"),
    (lambda: optim.OneCycleLR(optim.SGD([t()]), -1, 5), ValueError, "max_lr"),
    (
        lambda: optim.StepLR(optim.SGD([t()]), 1).load_state_dict({"a": 1}),
        ValueError,
        r"got \['a'\]",
    ),
    (lambda: optim.clip_grad_norm([t()], np.nan), ValueError, "max_norm"),
    # data
    (lambda: load_mnist("no/such/place"), DataError, "nothing there"),
    (lambda: load_mnist(__file__), DataError, "ends in ubyte"),
    (lambda: read_csv("no/such/file.csv"), DataError, "no/such/file.csv"),
    (lambda: one_hot([10]), ValueError, r"\[0, 10\), got 10"),
    (lambda: one_hot([0.5]), TypeError, "float64"),
    (lambda: one_hot([[1]]), ValueError, r"\(1, 1\)"),
    (lambda: normalize("abc"), TypeError, "normalize: expected pixels"),
    (lambda: train_val_split(X, ONES, 2.0), ValueError, "fraction"),
    (lambda: train_val_split(X, np.ones(2)), ValueError, "got 3 and 2"),
    (lambda: Batches(X, np.ones(2), 1), ValueError, "got 3 and 2"),
    (lambda: Batches(X, ONES, 0), ValueError, "batch_size"),
    (lambda: Batches(X, ONES, 1.5), TypeError, "1.5"),
    # training, files, pictures
    (lambda: train(epochs=-1), ValueError, "epochs"),
    (lambda: train(batch_size=-2), ValueError, "batch_size"),
    (lambda: train((X[:0], ONES[:0])), ValueError, "at least one example"),
    (lambda: train((X, np.ones(2))), ValueError, "got 3 and 2"),
    (lambda: train((X.astype(np.float32), np.array([0, 1, 3]))), ValueError, r"\[0, 3\), got 3"),
    (lambda: train((X * np.nan, np.array([0, 1, 2]))), tg.AnomalyError, "loss is nan"),
    (lambda: train(resume=True), ValueError, "checkpoint"),
    (lambda: EarlyStopping(0), ValueError, "patience"),
    (lambda: EarlyStopping(1, metric="loss"), ValueError, "'loss'"),
    (lambda: evaluate(net(), tg.mse, (X, np.ones(2))), ValueError, "got 3 and 2"),
    (lambda: predict(net(), X, batch_size=0), ValueError, "batch_size"),
    (lambda: checkpoint.load("no/such/file", net()), CheckpointError, "No such file"),
    (lambda: checkpoint.load(__file__, net()), CheckpointError, "expected a safetensors file"),
    (lambda: checkpoint.save("no/such/folder/file", net()), FileNotFoundError, "no/such/folder"),
    (lambda: checkpoint.save("x", net(), metadata={"a": {1}}), TypeError, "set"),
    (lambda: plots.samples(X), ShapeError, r"\(3, 4\)"),
    (lambda: plots.confusion_matrix(X), ShapeError, r"\(C, C\), got \(3, 4\)"),
    (lambda: plots.learning_curves(History()), ValueError, "at least one epoch"),
    (
        lambda: plots.mistakes(np.ones((1, 28, 28)), [[0.0, 1.0]], [1]),
        ValueError,
        "wrong prediction",
    ),
    (
        lambda: nn.Linear(4, 2, np.random.default_rng(0)),
        TypeError,
        "bias to be True or False, got Generator; .* rng=",
    ),
    (lambda: nn.Linear(4, 2, 0), TypeError, "Linear: expected bias to be True or False, got int"),
    (lambda: nn.GRU(4, 2, 1, "no"), TypeError, "GRU: expected bias to be True or False, got str"),
    (lambda: nn.LayerNorm(4, "a"), TypeError, "LayerNorm: expected eps to be a number, got str"),
    (
        lambda: nn.Embedding(5, 4, np.random.default_rng(0)),
        TypeError,
        "padding_idx to be an integer",
    ),
    (
        lambda: tg.softmax_cross_entropy(X, np.zeros((3, 1), int)),
        ShapeError,
        r"labels with \.reshape\(-1\)",
    ),
    (
        lambda: tg.softmax_cross_entropy(X, np.eye(3, 4, dtype=int)),
        ShapeError,
        r"one-hot rows with \.argmax\(-1\)",
    ),
    (lambda: tg.softmax_cross_entropy(np.zeros(3), X), ShapeError, "the logits come first"),
    (
        lambda: checkpoint.save("x.safetensors", {}),
        TypeError,
        "expected the path and then the model itself, got dict",
    ),
    (lambda: optim.SGD([], 0.1), ValueError, "attributes without an underscore in front"),
    (
        lambda: gradcheck(lambda x: tg.apply(lambda a: (a * a, lambda g, needs: 2 * g * a), x), X),
        GradcheckError,
        "must return a tuple",
    ),
]


@pytest.mark.parametrize(("call", "error", "words"), CALLS, ids=range(len(CALLS)))
def test_a_wrong_call(call, error, words):
    with pytest.raises(error, match=words) as caught:
        call()
    assert caught.type is error, "the exact type, not a class below it"


def test_there_are_enough_of_them():
    assert len(CALLS) >= 150
