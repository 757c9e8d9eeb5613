"""What a user writes, with the types that it must have: mypy and pyright check this file, in test_typing.py; nothing runs it.

A line that ends in "# wrong" is one that both of them must reject.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

import tinygrad_mnist as tg
from tinygrad_mnist import Tensor, apply, checkpoint, from_numpy, nn, no_grad, optim, plots
from tinygrad_mnist.datasets import Batches, load_mnist, normalize, one_hot, train_val_split
from tinygrad_mnist.parallel import DistributedOptimizer
from tinygrad_mnist.testing import away_from, gradcheck, tensors
from tinygrad_mnist.train import EarlyStopping, History, Metrics, Run, evaluate, fit, predict

if TYPE_CHECKING:
    from typing import assert_type

    from hypothesis.strategies import SearchStrategy
    from matplotlib.figure import Figure

    from tinygrad_mnist.arrays import Array
    from tinygrad_mnist.graph import Forward, Grads, Needs


def making(a: npt.NDArray[np.float64], u: npt.NDArray[np.uint8]) -> None:
    Tensor([1, 2.5], requires_grad=True)
    Tensor([[1.0], [2.0]], dtype=np.float64)
    Tensor(a)
    Tensor(Tensor(a), dtype="float32")
    assert_type(from_numpy(u), Tensor)
    Tensor(a, requires_grad="yes")  # wrong
    Tensor(a, grad=True)  # wrong
    Tensor()  # wrong
    from_numpy([1.0])  # wrong


def functions(t: Tensor, a: npt.NDArray[np.float32]) -> None:
    assert_type(tg.relu(t), Tensor)
    assert_type(tg.relu(a), Tensor)
    assert_type(tg.relu(2.0), Tensor)
    assert_type(tg.add(t, a), Tensor)
    assert_type(tg.where(t > 0, t, 0.0), Tensor)
    assert_type(tg.einsum("ij,jk->ik", t, a), Tensor)
    assert_type(tg.concatenate([t, a], axis=0), Tensor)
    assert_type(tg.softmax_cross_entropy(t, [1, 2], label_smoothing=0.1), Tensor)
    assert_type(tg.conv2d(t, a, stride=(1, 2)), Tensor)
    assert_type(tg.split(t, [1, 3], axis=-1), list[Tensor])
    assert_type(tg.take(t, [[0, 1]], axis=0).sort().norm(axis=1), Tensor)
    assert_type(tg.scaled_dot_product_attention(t, t, a, mask=t > 0, causal=True), Tensor)
    tg.relu("x")  # text is array_like in NumPy's stubs, so this passes, and fails when it runs
    tg.relu(None)  # wrong
    tg.relu(t, 0.1)  # wrong
    tg.rellu(t)  # wrong
    tg.add(t)  # wrong
    tg.sum(t, axis="rows")  # wrong
    tg.sum(t, dim=0)  # wrong
    tg.cat([t, t])  # wrong
    tg.scaled_dot_product_attention(t, t, t, a > 0)  # wrong
    tg.conv2d(t, a, None, 2)  # wrong
    tg.dropout(t, 0.5, True, 0)  # wrong


def operators(t: Tensor, a: npt.NDArray[np.float32], s: np.float64) -> None:
    assert_type(t + t, Tensor)
    assert_type(2 * t, Tensor)
    assert_type(1 / t - 1, Tensor)
    assert_type(2.0**t, Tensor)
    assert_type(t @ a, Tensor)
    assert_type(t * a, Tensor)
    assert_type(t * s, Tensor)
    assert_type(t + [1.0, 2.0], Tensor)
    assert_type(-abs(t), Tensor)
    assert_type(t > 0, Tensor)
    assert_type(t == a, Tensor)
    assert_type(t != 0, Tensor)
    assert_type(t[0], Tensor)
    assert_type(t[1:, None, ..., np.array([0, 1])], Tensor)
    assert_type(t[t > 0], Tensor)
    for row in t:
        assert_type(row, Tensor)
    assert_type(len(t), int)
    assert_type(float(t), float)
    assert_type(hash(t), int)
    t + None  # wrong
    t[0] = 1.0  # wrong
    t.sum() + t.grad  # wrong


def array_on_the_left(a: npt.NDArray[np.float32], t: Tensor) -> Tensor:
    # A Tensor at run time. NumPy's stubs see something array_like, and say that it is an ndarray:
    # write t * a, or tg.multiply
    left: Tensor = a * t  # wrong
    left = a @ t  # wrong
    left = np.exp(t)  # wrong
    return tg.multiply(a, t) + tg.matmul(a, t) + tg.exp(t) + left


def methods(t: Tensor, a: npt.NDArray[np.float32]) -> None:
    assert_type(t.relu(), Tensor)
    assert_type(t.sum(), Tensor)
    assert_type(t.sum(axis=0), Tensor)
    assert_type(t.mean((0, 1), keepdims=True), Tensor)
    assert_type(t.reshape(2, -1), Tensor)
    assert_type(t.reshape((2, 3)), Tensor)
    assert_type(t.transpose(), Tensor)
    assert_type(t.astype(np.float64), Tensor)
    assert_type(t.matmul(a), Tensor)
    assert_type(t.clip(low=0), Tensor)
    assert_type(t.detach(), Tensor)
    assert_type(t.numpy(), Array)
    assert_type(t.T, Tensor)
    assert_type(t.T.relu().sum(0) * 2, Tensor)
    t.backward()
    t.backward(np.ones(3), retain_graph=True)
    t.backward(t)
    t.rellu()  # wrong
    t.view(2, 3)  # wrong
    t.sum(axis=1.5)  # wrong
    t.reshape("2, 3")  # wrong
    t.softmax_cross_entropy([1], smoothing=0.1)  # wrong
    t.leaky_relu(slope=0.1)  # wrong


def properties(t: Tensor) -> None:
    assert_type(t.data, Array)
    real: Array = t.data.real
    assert_type(t.grad, "Array | None")
    assert_type(t.shape, tuple[int, ...])
    assert_type(t.dtype, np.dtype[Any])
    assert_type(t.ndim, int)
    assert_type(t.size, int)
    assert_type(t.requires_grad, bool)
    assert_type(t.is_leaf, bool)
    t.data = real if real.size else [1.0, 2.0]
    t.data -= 0.1 * t.data
    t.grad.sum()  # wrong
    if t.grad is not None:
        t.data -= 0.1 * t.grad
    t.grad = None
    t.requires_grad = False
    t.shape = (2, 3)  # wrong
    t.requires_grad = "yes"  # wrong
    t.gradient = None  # wrong


def _cube(x: Array) -> Forward:
    def vjp(g: Array, needs: Needs) -> Grads:
        return (3 * g * x * x,)

    return x**3, vjp


def _no_vjp(x: Array) -> Array:
    return x**3


def own_operation(t: Tensor) -> None:
    assert_type(apply(_cube, t), Tensor)
    assert_type(apply(_cube, 2.0), Tensor)
    apply(_no_vjp, t)  # wrong
    apply(t, _cube)  # wrong


class Branches(nn.Module):
    def __init__(self, width: int) -> None:
        self.left = nn.Linear(4, width, rng=0)
        self.right = nn.Sequential(nn.Linear(4, width), nn.ReLU(), tg.square, lambda x: x * 2)
        self.scale = Tensor(np.ones(width), requires_grad=True)

    def forward(self, x: Tensor, times: int = 1) -> tuple[Tensor, Tensor]:
        return self.left(x) * self.scale, self.right(x) * times


class Wider(nn.Linear):
    def forward(self, x: Tensor, shift: float = 0.0) -> Tensor:
        return super().forward(x) + shift


def modules(t: Tensor, a: npt.NDArray[np.float32], unknown: nn.Module) -> None:
    model = Branches(3)
    assert_type(model(t, times=2), tuple[Tensor, Tensor])
    assert_type(Wider(2, 3)(t, 1.0), Tensor)
    assert_type(nn.Linear(4, 3)(t), Tensor)
    assert_type(nn.Linear(4, 3)(a), Tensor)
    assert_type(nn.Sequential(nn.Flatten(), nn.Dropout(0.1))(t), Tensor)
    assert_type(unknown(t), Any)
    assert_type(model.left.weight, Tensor)
    assert_type(model.left.bias, "Tensor | None")
    assert_type(model.right[0], Any)
    assert_type(model.parameters(), Iterator[Tensor])
    assert_type(model.named_parameters(), Iterator[tuple[str, Tensor]])
    assert_type(model.named_buffers(), Iterator[tuple[str, Array]])
    assert_type(model.modules(), Iterator[nn.Module])
    assert_type(model.state_dict(), dict[str, Array])
    assert_type(model.eval(), Branches)
    assert_type(model.train().astype(np.float64), Branches)
    model.load_state_dict(model.state_dict())
    nn.Linear(4, "3")  # wrong
    nn.Linear(4, 3, True, 0)  # wrong
    nn.Sequential([nn.ReLU()])  # wrong
    nn.Conv2d(1, 8, kernel_size=(3, 3, 3))  # wrong


def optimizers(model: nn.Module) -> None:
    sgd = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    adam = optim.Adam([Tensor(1.0, requires_grad=True)], betas=(0.9, 0.99))
    assert_type(sgd.lr, float)
    assert_type(adam.betas, tuple[float, float])
    sgd.lr = 0.01
    sgd.lr *= 0.5
    assert_type(sgd.state_dict(), dict[str, Any])
    assert_type(optim.clip_grad_norm(model.parameters(), 1.0), float)
    schedule: optim.Schedule = optim.CosineLR(adam, total_steps=100)
    schedule.step()
    assert_type(schedule.rate(3), float)
    optim.SGD(model.parameters(), lr="a")  # wrong
    optim.SGD(model.parameters(), 0.1, 0.9)  # wrong
    optim.SGD(model, lr=0.1)  # wrong
    optim.Adam(model.parameters(), momentum=0.9)  # wrong
    optim.Adam(model.parameters(), betas=0.9)  # wrong
    optim.StepLR(0.1, 10)  # wrong
    sgd.lr = "fast"  # wrong


def training(path: Path) -> None:
    data = load_mnist()
    assert_type(data.train.images, Array)
    images, labels = normalize(data.train.images).reshape(-1, 784), data.train.labels
    train, validation = train_val_split(images, labels, rng=0)
    assert_type(train, tuple[Array, Array])
    assert_type(one_hot(labels, 10), Array)
    for x, y in Batches(images, labels, 64, rng=0):
        assert_type(x, Array)
        assert_type(y, Array)
    model = nn.Sequential(nn.Linear(784, 10))
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    loss = tg.softmax_cross_entropy
    history = fit(
        model, loss, optimizer, train, validation=validation, epochs=2, batch_size=32,
        early_stopping=EarlyStopping(2), checkpoint=path, rng=0,
    )  # fmt: skip
    assert_type(history, History)
    fit(model, loss, DistributedOptimizer(optimizer, model), train, epochs=2, batch_size=None)
    assert_type(history["val_loss"], list[float])
    metrics = evaluate(model, loss, (data.test.images, data.test.labels))
    assert_type(metrics, Metrics)
    assert_type(metrics.loss, float)
    assert_type(metrics.accuracy, float)
    assert_type(metrics.confusion, "Array | None")
    assert_type(predict(model, images), Array)
    checkpoint.save(path, model, optimizer=optimizer, metadata={"epoch": 3})
    assert_type(checkpoint.load(str(path), model), dict[str, Any])
    fit(model, loss, optimizer, train, batch_size=32)  # wrong
    fit(model, loss, optimizer, train, epochs=2)  # wrong
    fit(model, loss, optimizer, train, validation, 2, 32)  # wrong
    fit(model, "mse", optimizer, train, epochs=2, batch_size=32)  # wrong
    fit(model, loss, "adam", train, epochs=2, batch_size=32)  # wrong
    fit(model, loss, optimizer, images, epochs=2, batch_size=32)  # wrong
    evaluate(model, loss, train, 64)  # wrong
    predict(model, images, batch_size="all")  # wrong
    Batches(images, labels)  # wrong
    checkpoint.load(path)  # wrong
    load_mnist(None, False)  # wrong


class Loader:
    def __iter__(self) -> Iterator[tuple[Array, Array]]:
        yield np.ones((2, 3)), np.ones(2)

    def __len__(self) -> int:
        return 1


def training_further(model: nn.Linear, x: Array, y: Array) -> None:
    optimizer = optim.SGD([{"params": model.parameters(), "lr": 0.1}, {"params": []}], lr=0.2)
    assert_type(optimizer.param_groups[0]["lr"], Any)
    optimizer.step(clip_norm=1.0)
    schedule = optim.CosineLR(optimizer, 10, warmup=2)

    def log(run: Run) -> None:
        assert_type(run.epoch, int)
        assert_type(run.loss, float)
        assert_type(run.model, nn.Module)
        run.stop()
        run.halt()  # wrong

    def error(outputs: Tensor, targets: Array) -> float:
        return float((outputs - targets).abs().mean().item())

    for data in (Loader(), [(x, y)], ((x, x), y)):
        fit(
            model, tg.mse, optimizer, data, epochs=1, batch_size=None, schedule=schedule, drop_last=False,
            clip_norm=1.0, accumulate=2, metrics={"error": error}, on_step=log, on_epoch=log,
        )  # fmt: skip
        evaluate(model, tg.mse, data)
    predict(model, (x, x))
    optimizer.rate = 0.1  # wrong
    fit(model, tg.mse, optimizer, Loader(), epochs=1, batch_size=None, clip_norm="1")  # wrong
    fit(model, tg.mse, optimizer, Loader(), epochs=1, batch_size=None, on_step=error)  # wrong
    evaluate(model, tg.mse, x)  # wrong


def _loss(w: Tensor) -> Tensor:
    return (w * w).sum()


def derivatives(a: npt.NDArray[np.float64], t: Tensor) -> None:
    assert_type(tg.grad(_loss)(a), Array)
    assert_type(tg.grad(_loss, argnums=(0, 1))(a, a), tuple[Array, ...])
    assert_type(tg.value_and_grad(_loss)(a), tuple[Array, Array])
    assert_type(tg.value_and_grad(_loss, [0])(a), tuple[Array, tuple[Array, ...]])
    assert_type(tg.hvp(_loss, a, a), Array)
    assert_type(tg.hessian(lambda x: x.prod())(a), Array)
    assert_type(gradcheck(tg.relu, a), bool)
    assert_type(gradcheck(_loss, t, method="complex", fast=True), bool)
    assert_type(tensors(), SearchStrategy[Tensor])
    assert_type(away_from(0.0), SearchStrategy[float])
    tg.grad(a)  # wrong
    tg.hvp(_loss, a)  # wrong
    gradcheck(_loss, a, tolerance=1e-3)  # wrong


@no_grad()
def _guess(x: Tensor, scale: float = 1.0) -> list[Tensor]:
    return [x * scale]


def contexts(t: Tensor) -> None:
    with no_grad():
        t.relu()
    with tg.detect_anomaly():
        t.log()
    assert_type(_guess(t, scale=2.0), list[Tensor])
    keeps: Callable[[Tensor, float], list[Tensor]] = _guess
    keeps(t, 1.0)
    _guess("x")  # wrong
    _guess(t, factor=2.0)  # wrong


def pictures(a: npt.NDArray[np.uint8], history: History) -> None:
    assert_type(plots.samples(a), Figure)
    assert_type(plots.learning_curves(history), Figure)
    assert_type(plots.confusion_matrix(a), Figure)
    plots.samples(a).savefig("samples.png")
    plots.learning_curves([1.0, 2.0])  # wrong


def rooms(t: Tensor, a: npt.NDArray[np.float64], history: History) -> None:
    """Attributes of the package that are imported when they are first asked for."""
    assert_type(tg.nn.Linear(2, 3), nn.Linear)
    assert_type(tg.optim.SGD([t]).lr, float)
    assert_type(tg.plots.learning_curves(history), Figure)
    assert_type(tg.datasets.load_mnist().name, str)
    assert_type(tg.testing.gradcheck(tg.relu, a), bool)
    assert_type(tg.train.History().last(), str)
    tg.checkpoint.save("model.safetensors", tg.nn.ReLU())
    tg.parallel.communicator()
    tg.plot.samples(a)  # wrong
    tg.testing.tensor()  # wrong
