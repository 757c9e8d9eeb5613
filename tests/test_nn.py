"""Modules: what they hold, how they load and save, layers as PyTorch has them, initial weights."""

import copy
import pickle

import numpy as np
import pytest

import tinygrad_mnist as tg
from tinygrad_mnist import Tensor, nn


class Block(nn.Module):
    def __init__(self, rng):  # no super().__init__(): it is not required
        self.weight = Tensor(np.ones(2), requires_grad=True)
        self.scale = np.ones(2)
        self._cache = np.zeros(99)

    def forward(self, x):
        return x * self.weight


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = [Block(0), Block(1)]
        self.heads = {
            "a": nn.Linear(2, 1, rng=0),
            "b": (nn.Linear(2, 1, rng=1), nn.Dropout(0.5, rng=2)),
        }
        self.tied = self.blocks[0].weight
        self.fixed = Tensor([1.0])

    def forward(self, x):
        return self.heads["a"](self.blocks[1](self.blocks[0](x)))


NAMES = [
    "blocks.0.weight",
    "blocks.1.weight",
    "heads.a.weight",
    "heads.a.bias",
    "heads.b.0.weight",
    "heads.b.0.bias",
]


def test_parameters_are_found_through_lists_and_dicts_and_count_once():
    net = Net()
    assert [name for name, _ in net.named_parameters()] == NAMES
    assert len(list(net.parameters())) == len(NAMES)
    assert [name for name, _ in net.named_buffers()] == [
        "blocks.0.scale",
        "blocks.1.scale",
        "fixed",
    ]
    assert [name for name, _ in net.named_generators()] == ["heads.b.1.rng"]
    assert len(list(net.modules())) == 6


def test_train_and_eval_reach_every_module():
    net = Net()
    assert net.eval() is net
    assert not any(m.training for m in net.modules())
    net.train()
    assert all(m.training for m in net.modules())


def test_state_goes_out_as_copies_and_comes_back_cast():
    net, other = Net(), Net()
    state = net.state_dict()
    assert list(state) == [*NAMES, "tied", "blocks.0.scale", "blocks.1.scale", "fixed"]
    state["blocks.0.weight"] += 1
    assert state["tied"][0] == 2, "the copy of a shared parameter is shared"
    assert net.blocks[0].weight.data[0] == 1
    other.load_state_dict({k: v.astype(np.float16) for k, v in state.items()})
    assert other.blocks[0].weight.data[0] == 2
    assert other.blocks[0].weight.dtype == np.float64


def test_a_graph_from_before_a_load_refuses_to_go_backward():
    net, x = Net(), Tensor(np.ones(2), requires_grad=True)
    net.buffer = np.ones(2)
    for saved in (net.fixed, net.blocks[0].weight, net.buffer):
        y = (x * saved).sum()
        net.load_state_dict(net.state_dict())
        with pytest.raises(tg.GraphError, match="multiply saved an array .* changed in place"):
            y.backward()


def test_a_bad_load_lists_everything_and_changes_nothing():
    net = Net()
    before, state = net.state_dict(), net.state_dict()
    del state["fixed"]
    del state["tied"]
    state["more"] = np.ones(1)
    state["heads.a.bias"] = np.ones(3)
    state["blocks.0.weight"] = np.full(2, 9.0)
    with pytest.raises(
        ValueError,
        match=r"missing fixed; unexpected more; heads.a.bias of shape \(3,\), expected \(1,\)",
    ):
        net.load_state_dict(state)
    for name, value in net.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
    state.pop("heads.a.bias")
    net.load_state_dict(state, strict=False)
    assert net.blocks[0].weight.data[0] == 9


def test_frozen_parameters_are_still_parameters():
    layer = nn.Linear(2, 2, rng=0)
    for p in layer.parameters():
        p.requires_grad = False
    assert len(list(layer.parameters())) == 2
    assert not layer(Tensor(np.ones((1, 2)))).requires_grad
    for p in layer.parameters():
        p.requires_grad = True
    layer(Tensor(np.ones((1, 2)))).sum().backward()
    assert layer.weight.grad is not None
    layer.zero_grad()
    assert layer.weight.grad is None


def test_astype_converts_in_place_and_returns_the_module():
    net = nn.Sequential(nn.Linear(2, 2, rng=0), nn.BatchNorm1d(2))
    weight = net[0].weight
    net[0].bias.requires_grad = False
    assert net.astype(np.float64) is net
    assert net[0].weight is weight
    assert {p.dtype for p in net.parameters()} == {np.dtype(np.float64)}
    assert net[1].running_mean.dtype == np.float64
    assert net[1].num_batches_tracked.dtype == np.int64
    assert [p.requires_grad for p in net.parameters()] == [True, False, True, True]


@pytest.mark.parametrize(
    ("dtype", "words"),
    [(np.int32, "floating-point dtype, got int32"), (np.float64, "pair.0 is in a tuple")],
)
def test_astype_that_cannot_be_changes_nothing(dtype, words):
    net = nn.Sequential(nn.Linear(2, 2, rng=0))
    net.pair = (np.zeros(2, np.float32), 3)
    with pytest.raises(TypeError, match=words):
        net.astype(dtype)
    assert {a.dtype for a in net.state_dict().values()} == {np.dtype(np.float32)}
    assert all(p.requires_grad for p in net.parameters())


def test_modules_copy_and_pickle():
    net = Net()
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        other.blocks[0].weight.data += 1
        assert net.blocks[0].weight.data[0] == 1
        assert other.tied is other.blocks[0].weight


def test_names_shapes_and_reprs_are_pytorchs():
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1, rng=0),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(16, 3, rng=0),
    )
    shapes = {name: a.shape for name, a in net.state_dict().items()}
    assert shapes == {
        "0.weight": (4, 1, 3, 3), "0.bias": (4,), "1.weight": (4,), "1.bias": (4,), "4.weight": (3, 16), "4.bias": (3,),
        "1.running_mean": (4,), "1.running_var": (4,), "1.num_batches_tracked": (),
    }  # fmt: skip
    assert repr(net[4]) == "Linear(in_features=16, out_features=3)"
    assert (
        "  (0): Conv2d(in_channels=1, out_channels=4, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))\n"
        in repr(net)
    )
    assert repr(nn.Linear(16, 3, bias=False)) == "Linear(in_features=16, out_features=3, bias=None)"
    assert (len(net), net[-1].weight.shape) == (5, (3, 16))


@pytest.mark.parametrize(
    ("layer", "function"),
    [
        (nn.ReLU(), tg.relu), (nn.LeakyReLU(0.2), lambda x: tg.leaky_relu(x, 0.2)), (nn.Sigmoid(), tg.sigmoid), (nn.Tanh(), tg.tanh),
        (nn.GELU(), tg.gelu), (nn.LayerNorm(4), lambda x: tg.layer_norm(x, 4)), (nn.Flatten(), lambda x: x.reshape(2, 64)),
        (nn.MaxPool2d(2), lambda x: tg.max_pool2d(x, 2)), (nn.AvgPool2d(3, 2, 1), lambda x: tg.avg_pool2d(x, 3, 2, 1)),
    ],
)  # fmt: skip
def test_layers_are_their_functions(layer, function, rng):
    x = Tensor(rng.standard_normal((2, 4, 4, 4)))
    np.testing.assert_array_equal(layer(x).numpy(), function(x).numpy())


def test_a_slice_of_a_sequential_is_a_sequential_of_the_same_layers():
    model = nn.Sequential(nn.Linear(3, 4, rng=0), nn.ReLU(), nn.Linear(4, 2, rng=1))
    head, tail = model[:2], model[-1:]
    assert type(head) is type(tail) is nn.Sequential
    assert head[0] is model[0]
    assert list(head.state_dict()) == list(tail.state_dict()) == ["0.weight", "0.bias"]
    x = Tensor(np.ones((5, 3), np.float32))
    np.testing.assert_array_equal(tail(head(x)).numpy(), model(x).numpy())
    assert [type(layer) for layer in model[::-2]] == [nn.Linear, nn.Linear]
    assert len(model[5:]) == 0
    assert model[5:](x) is x
    assert not model.eval()[1:].training
    with pytest.raises(IndexError):
        model[3]


def test_dropout_and_batch_norm_know_training_from_evaluation(rng):
    x = Tensor(rng.standard_normal((64, 3)).astype(np.float32))
    dropout, norm = nn.Dropout(0.5, rng=0), nn.BatchNorm1d(3)
    assert (dropout(x).numpy() == 0).any()
    np.testing.assert_allclose(norm(x).numpy().mean(0), 0, atol=1e-6)
    assert norm.num_batches_tracked == 1
    assert dropout.eval()(x) is x
    np.testing.assert_allclose(
        norm.eval()(x).numpy(),
        (x.numpy() - norm.running_mean) / np.sqrt(norm.running_var + 1e-5),
        rtol=1e-4,
    )
    assert norm.num_batches_tracked == 1


def test_randomness_comes_from_the_given_source_only():
    state = np.random.get_state()[1].copy()
    same = [nn.Linear(5, 4, rng=3).weight.data for _ in range(2)]
    np.testing.assert_array_equal(*same)
    generator = np.random.default_rng(3)
    differ = [nn.Linear(5, 4, rng=generator).weight.data for _ in range(2)]
    assert (differ[0] != differ[1]).any()
    nn.Linear(5, 4)
    np.testing.assert_array_equal(np.random.get_state()[1], state)


@pytest.mark.parametrize(
    ("make", "std"),
    [
        (nn.init.xavier_uniform, np.sqrt(2 / 700)), (nn.init.xavier_normal, np.sqrt(2 / 700)), (nn.init.he_uniform, np.sqrt(2 / 300)),
        (nn.init.he_normal, np.sqrt(2 / 300)), (nn.init.normal, np.sqrt(1 / 300)), (nn.init.zeros, 0.0),
    ],
)  # fmt: skip
def test_initial_weights_have_their_deviation(make, std):
    weight = make((400, 300), 0)
    assert (weight.shape, weight.dtype) == ((400, 300), np.float32)
    assert weight.std() == pytest.approx(std, rel=0.02)
    assert abs(weight.mean()) < 0.001
    assert nn.init.fans((8, 4, 3, 3)) == (36, 72)


def test_repr_reaches_modules_in_nested_lists():
    class Branches(nn.Module):
        def __init__(self):
            self.branches = [[nn.ReLU()], {"a": nn.Tanh()}]

    assert repr(Branches()) == "Branches(\n  (branches.0.0): ReLU()\n  (branches.1.a): Tanh()\n)"


def test_sizes_may_be_numpys_integers():
    side = np.int64(3)
    assert repr(nn.Conv2d(1, 2, side)) == repr(nn.Conv2d(1, 2, (3, 3)))
    assert nn.LayerNorm(side)(Tensor(np.ones((2, 3)))).shape == (2, 3)
    assert Tensor(np.ones((2, 3))).transpose(np.int64(1), np.int64(0)).shape == (3, 2)


def test_default_weights_lie_within_pytorchs_bounds():
    layer = nn.Linear(100, 50, rng=0)
    for p in layer.parameters():
        assert 0.09 < np.abs(p.data).max() <= 0.1


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: nn.Linear(0, 3), ValueError, "in_features of at least 1, got 0"),
        (lambda: nn.Linear(3, 2.5), TypeError, "out_features"),
        (lambda: nn.Conv2d(1, 0, 3), ValueError, "out_channels"),
        (
            lambda: nn.Conv2d(1, 1, 2.5),
            ValueError,
            "Conv2d: expected kernel_size as an integer of at least 1.* got 2.5",
        ),
        (lambda: nn.Conv2d(1, 1, 3, stride=1.5), ValueError, "Conv2d: expected stride .* got 1.5"),
        (
            lambda: nn.Conv2d(1, 1, 3, padding=-1),
            ValueError,
            "Conv2d: expected padding as an integer of at least 0.* got -1",
        ),
        (lambda: nn.MaxPool2d(0), ValueError, "MaxPool2d: expected kernel_size .* got 0"),
        (lambda: nn.MaxPool2d(2, stride=0), ValueError, "MaxPool2d: expected stride .* got 0"),
        (
            lambda: nn.AvgPool2d(2, padding=0.5),
            ValueError,
            "AvgPool2d: expected padding .* got 0.5",
        ),
        (
            lambda: nn.Conv2d(1, 1, (3, 3, 3)),
            ValueError,
            r"Conv2d: expected kernel_size .* got \(3, 3, 3\)",
        ),
        (
            lambda: nn.Conv2d(1, 1, 3, padding=[1]),
            ValueError,
            r"Conv2d: expected padding .* got \[1\]",
        ),
        (
            lambda: nn.LayerNorm(-1),
            ValueError,
            "LayerNorm: expected normalized_shape of at least 1, got -1",
        ),
        (
            lambda: nn.LayerNorm((2, 2.5)),
            TypeError,
            "LayerNorm: expected normalized_shape to be an integer, got 2.5",
        ),
        (lambda: nn.Dropout(1.0), ValueError, r"\[0, 1\)"),
        (lambda: nn.Sequential(nn.ReLU(), 3), TypeError, "position 1"),
        (
            lambda: nn.Sequential([nn.ReLU()]),
            TypeError,
            r"got a list at position 0; write .*\(\*layers",
        ),
        (
            lambda: nn.Sequential(nn.Flatten(), nn.ReLU),
            TypeError,
            r"a layer at position 1, got the class ReLU; write ReLU\(\)",
        ),
        (lambda: nn.ReLU(Tensor([1.0])), TypeError, r"no arguments .* write ReLU\(\)\(x\)"),
        (lambda: nn.Flatten(Tensor([1.0])), TypeError, r"write Flatten\(\)\(x\)"),
        (lambda: nn.Dropout(Tensor([0.1])), TypeError, r"p to be a number, got Tensor"),
        (lambda: nn.LeakyReLU(Tensor([0.1])), TypeError, r"make it first, as LeakyReLU\(\)\(x\)"),
        (lambda: nn.BatchNorm1d(3)(Tensor(np.ones((2, 3, 4, 4)))), tg.ShapeError, "BatchNorm1d"),
        (lambda: nn.BatchNorm1d(3)(Tensor(np.ones((1, 3)))), ValueError, "more than one value"),
        (lambda: nn.Linear(3, 2)(Tensor(np.ones((2, 4)))), tg.ShapeError, r"\(2, 4\) and \(2, 3\)"),
        (lambda: nn.Module()(1), NotImplementedError, "forward"),
        (lambda: nn.init.he_normal((3,)), ValueError, "two axes"),
    ],
)
def test_errors(make, error, words):
    with pytest.raises(error, match=words):
        make()


def test_repr_shows_numbers_and_shapes_alone():
    class Text(nn.Module):
        def __init__(self):
            self.words, self.name, self.size, self.pair, self.scale = (
                ("a", "b"),
                "two\nlines",
                np.float32(0.5),
                (1, None),
                None,
            )

    assert repr(Text()) == "Text(size=0.5, pair=(1, None), scale=None)"


@pytest.mark.parametrize("kind", [list, Tensor])
def test_running_statistics_that_cannot_be_updated_in_place_are_an_error(kind):
    with pytest.raises(
        TypeError, match=f"batch_norm: expected running statistics as ndarrays, got {kind.__name__}"
    ):
        tg.batch_norm(np.arange(6.0).reshape(3, 2), np.zeros(2), kind([1.0, 1.0]), training=True)
