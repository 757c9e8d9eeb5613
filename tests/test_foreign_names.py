"""Names of PyTorch and TensorFlow: an error that gives ours, and nothing that hides a signature."""

import copy
import inspect
import pickle
import re

import numpy as np
import pytest

import tinygrad_mnist as tg
from tinygrad_mnist import Tensor, nn, optim
from tinygrad_mnist.nn.foreign import INITIALISERS, LAYERS, MODULE
from tinygrad_mnist.ops import OPS
from tinygrad_mnist.ops.foreign import FUNCTIONS, METHODS
from tinygrad_mnist.optim.foreign import METHODS as OPTIMIZER_METHODS
from tinygrad_mnist.optim.foreign import OPTIMIZERS

T = Tensor(np.ones((2, 3)), requires_grad=True)
LAYER = nn.Linear(3, 2, rng=0)
OPT = optim.SGD(LAYER.parameters(), lr=0.1)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: T.view(3, 2), r"'Tensor' object has no attribute 'view'; use t.reshape\(shape\)"),
        (lambda: T.unsqueeze(0), r"use t.expand_dims\(axis\)"),
        (lambda: T.permute(1, 0), r"use t.transpose\(axes\)"),
        (lambda: T.clamp(0, 1), r"use t.clip\(low, high\)"),
        (lambda: T.numel(), "use t.size"),
        (lambda: T.split(2), r"use tinygrad_mnist.split\(t, sections, axis\), which counts parts"),
        (lambda: T.to("cpu"), r"use t.astype\(dtype\)"),
        (lambda: T.add_(1), "none works in place"),
        (lambda: tg.cat([T, T]), r"has no attribute 'cat'; use concatenate\(tensors, axis\)"),
        (lambda: tg.cross_entropy(T, [0, 1]), r"use softmax_cross_entropy\(logits, labels\)"),
        (lambda: tg.reduce_sum(T), r"use sum\(x, axis\)"),
        (lambda: tg.zeros((2, 3)), r"use Tensor\(np.zeros\(shape, np.float32\)\)"),
        (lambda: T.viewpoint, "'Tensor' object has no attribute 'viewpoint'$"),
        (lambda: tg.catalogue, "module 'tinygrad_mnist' has no attribute 'catalogue'$"),
    ],
)
def test_a_foreign_name_gives_ours(call, words):
    with pytest.raises(AttributeError, match=words):
        call()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: T.sum(dim=1), "sum has no argument 'dim'; use axis"),
        (lambda: T.mean(1, keepdim=True), "mean has no argument 'keepdim'; use keepdims"),
        (lambda: tg.var(T, unbiased=False), "var has no argument 'unbiased'; use ddof"),
        (lambda: tg.std(T, correction=1), "use ddof"),
        (lambda: tg.max(T, dim=0), "max has no argument 'dim'; use axis"),
        (lambda: tg.min(T, dim=0), "min has no argument 'dim'; use axis"),
        (lambda: tg.prod(T, dim=0), "prod has no argument 'dim'; use axis"),
        (lambda: tg.norm(T, dim=0), "norm has no argument 'dim'; use axis"),
        (lambda: tg.logsumexp(T, dim=0), "logsumexp has no argument 'dim'; use axis"),
        (lambda: tg.cumsum(T, dim=0), "cumsum has no argument 'dim'; use axis"),
        (lambda: tg.cumprod(T, dim=0), "cumprod has no argument 'dim'; use axis"),
        (lambda: T.softmax(dim=-1), "softmax has no argument 'dim'; use axis"),
        (lambda: tg.log_softmax(T, dim=-1), "log_softmax has no argument 'dim'; use axis"),
        (lambda: tg.concatenate([T, T], dim=0), "concatenate has no argument 'dim'; use axis"),
        (lambda: tg.stack([T, T], dim=0), "stack has no argument 'dim'; use axis"),
        (lambda: tg.split(T, 2, dim=0), "split has no argument 'dim'; use axis"),
        (lambda: T.squeeze(dim=0), "squeeze has no argument 'dim'; use axis"),
        (lambda: T.expand_dims(dim=0, axis=0), "expand_dims has no argument 'dim'; use axis"),
        (lambda: T.flip(dims=(0,)), "flip has no argument 'dims'; use axis"),
        (lambda: T.roll(1, dims=0), "roll has no argument 'dims'; use axis"),
        (lambda: T.sort(dim=0), "sort has no argument 'dim'; use axis"),
        (lambda: T.repeat(2, dim=0), "repeat has no argument 'dim'; use axis"),
        (lambda: T.take([0], dim=0), "take has no argument 'dim'; use axis"),
        (lambda: T.take_along_axis([[0]], dim=0), "take_along_axis has no argument 'dim'; use axis"),
        (lambda: T.swapaxes(0, 1, dim0=0), "swapaxes has no argument 'dim0'; use axis1"),
        (lambda: T.sum(axes=1), "sum has no argument 'axes'$"),
        (lambda: np.sum(T, dtype=float), r"np.sum on a Tensor: sum .* 'dtype'; use x.astype\(dtype\)"),
    ],
)  # fmt: skip
def test_a_foreign_keyword_gives_ours(call, words):
    with pytest.raises(TypeError, match=words):
        call()


TABLES = {
    "Tensor": (METHODS, lambda name: hasattr(T, name)),
    "package": (FUNCTIONS, lambda name: hasattr(tg, name)),
    "nn": (LAYERS, lambda name: hasattr(nn, name)),
    "nn.init": (INITIALISERS, lambda name: hasattr(nn.init, name)),
    "Module": (MODULE, lambda name: hasattr(nn.Linear(2, 2, rng=0), name)),
    "optim": (OPTIMIZERS, lambda name: hasattr(optim, name)),
    "Optimizer": (
        OPTIMIZER_METHODS, lambda name: hasattr(optim.SGD([T], lr=0.1), name),
    ),
}  # fmt: skip


def reaches(start, path):
    """Whether the names of a dotted path lead from an object to another."""
    for name in path.split("."):
        if not hasattr(start, name):
            return False
        start = getattr(start, name)
    return True


@pytest.mark.parametrize("where", TABLES)
def test_every_foreign_name_is_missing_and_every_advice_leads_somewhere(where):
    table, exists = TABLES[where]
    starts = {"t": T, "tinygrad_mnist": tg, "nn": nn, "optim": optim, "np": np, "train": tg.train,
              "checkpoint": tg.checkpoint, "datasets": tg.datasets, "model": nn.Linear(2, 2, rng=0),
              "rng": np.random.default_rng(0), "optimizer": optim.SGD([T], lr=0.1)}  # fmt: skip
    for name, advice in table.items():
        assert not exists(name), name
        for start, path in re.findall(
            rf"(?<![\w.])({'|'.join(starts)})\.([a-zA-Z_][\w.]*)", advice
        ):
            if start == "t" and path in ("backward",):
                continue
            assert reaches(starts[start], path.rstrip(".")), f"{name}: {advice}"
    if where == "package":
        for name, advice in table.items():
            ours = re.match(r"([a-zA-Z_]\w*)\(", advice)
            assert not ours or ours[1] in ("isinstance", "list") or hasattr(tg, ours[1]), name


EVERYDAY = """
nn.CrossEntropyLoss() | nn.MSELoss() | nn.BCEWithLogitsLoss() | nn.functional.relu(T) | nn.cross_entropy(T, [0, 1])
nn.relu(T) | nn.softmax(T, dim=1) | nn.one_hot([0], 2) | nn.Parameter(T) | nn.ModuleList([]) | nn.Dense(3)
nn.Conv2D(1, 1, 3) | nn.LogSoftmax(dim=1) | nn.RNN(3, 4) | nn.AdaptiveAvgPool2d(1) | nn.ConvTranspose2d(1, 1, 2)
nn.Linear(3, 4, device="cpu") | nn.Linear(3, units=2) | nn.Softmax(dim=1) | nn.Conv2d(1, 1, 3, padding_mode="zeros")
nn.init.xavier_uniform_(T) | nn.init.kaiming_normal_(T) | nn.utils.clip_grad_norm_([T], 1.0)
optim.lr_scheduler.StepLR(OPT, 3) | optim.Adagrad([T]) | optim.Adam([T], learning_rate=1e-3) | OPT.minimize(T)
OPT.zero_grad(set_to_none=True) | OPT.add_param_group({}) | OPT.learning_rate | LAYER.zero_grad(set_to_none=True)
LAYER.to("cpu") | LAYER.cuda() | LAYER.float() | LAYER.children() | LAYER.register_buffer("a", 1) | LAYER.fit(T, T)
LAYER.predict(T) | LAYER.compile() | LAYER.trainable_variables | LAYER.save("x") | LAYER.requires_grad_(False)
tg.tensor([1.0]) | tg.tensor([1.0], device="cpu") | tg.zeros_like(T) | tg.randint(0, 2) | tg.float32 | tg.long
tg.cuda.is_available() | tg.device("cpu") | tg.autograd.grad(T, T) | tg.utils.data.DataLoader([]) | tg.compile(T)
tg.set_grad_enabled(False) | tg.vmap(T) | tg.linalg.norm(T) | tg.hstack([T, T]) | tg.isnan(T) | tg.pi | tg.fit(T)
tg.flatten(T) | tg.nll_loss(T, T) | tg.kl_div(T, T) | tg.keras.Sequential() | tg.losses.mse | tg.random.normal()
T.to("cuda") | T.cuda() | T.float() | T.clone() | T.view(-1) | T.mean(dim=1) | T.norm(p=2)
T.flatten(1) | T.flatten(start_dim=1) | T.sort(descending=True) | T.register_hook(print) | T.mT | T.median()
T.sum().backward(create_graph=True) | T.item() | float(T) | np.array([T, T]) | np.zeros((2, 3)) + T.unfold(0, 1, 1)
"""


@pytest.mark.parametrize("call", re.split(r"\s*[|\n]\s*", EVERYDAY.strip()))
def test_everyday_expressions_of_other_libraries_end_in_advice(call):
    names = {"nn": nn, "optim": optim, "tg": tg, "np": np, "T": T, "LAYER": LAYER, "OPT": OPT}
    with pytest.raises((AttributeError, TypeError, ValueError), match=r"; use |; join Tensors"):
        eval(call, names)


def test_a_decorator_without_parentheses_says_so():
    with pytest.raises(TypeError, match=r"no_grad needs parentheses; write `.*no_grad\(\)"):

        @tg.no_grad
        def f(x):
            return x


def test_what_pytorch_and_we_write_alike_works():
    loss = (LAYER(T) ** 2).sum()
    loss.backward(retain_graph=True)
    loss.backward()
    OPT.zero_grad()
    assert T.size == 6


def test_python_says_itself_what_else_is_missing():
    class Broken(nn.Module):
        @property
        def value(self):
            return self.valeu

    with pytest.raises(AttributeError, match="'Broken' object has no attribute 'valeu'"):
        print(Broken().value)
    with pytest.raises(AttributeError, match="'Linear' object has no attribute 'weigth'$"):
        print(LAYER.weigth)
    with pytest.raises(AttributeError, match="'tinygrad_mnist.nn' has no attribute 'Linaer'$"):
        print(nn.Linaer)


def test_signatures_are_those_of_the_functions():
    assert list(inspect.signature(tg.sum).parameters)[:3] == ["x", "axis", "keepdims"]
    for name, op in OPS.items():
        assert inspect.isfunction(op)
        assert not hasattr(op, "__wrapped__")
        parameters = inspect.signature(op).parameters
        assert not {"dim", "keepdim", "dims"} & set(parameters), name
        assert "axis" not in parameters or "foreign" in parameters, name


def test_python_still_finds_its_own_protocols():
    plain = Tensor([1.0, 2.0])
    assert not hasattr(plain, "__len_hint__")
    assert getattr(plain, "shape_", None) is None
    for clone in (copy.copy(plain), copy.deepcopy(plain), pickle.loads(pickle.dumps(plain))):
        np.testing.assert_array_equal(clone.numpy(), plain.numpy())
    assert "view" not in dir(plain)
