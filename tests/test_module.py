"""What counts as a module's state, how it is shared, loaded and converted, and how it looks."""

import asyncio
import copy
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import tinygrad_mnist as tg
from tinygrad_mnist import GraphError, Tensor, from_numpy, nn, optim
from tinygrad_mnist.nn.module import evaluating
from tinygrad_mnist.train import evaluate, fit, predict

X = Tensor(np.arange(6, dtype=np.float32).reshape(3, 2))


def parameter(value=1.0):
    return Tensor([value], requires_grad=True)


class Recurrent(nn.Module):
    """Keeps its hidden state, and what it computed on the way, in every manner that people use."""

    def __init__(self):
        self.cell = nn.Linear(4, 2, rng=0)
        self.h = None
        self.steps = 0
        self.kept = []
        self.slots = [None, None]
        self.cache = {"deep": {"h": None}}
        self.mean = np.zeros(2, np.float32)
        self.scales = {"a": np.ones(2, np.float32)}

    def forward(self, x):
        h = Tensor(np.zeros((len(x), 2), np.float32)) if self.h is None else self.h
        h = tg.tanh(self.cell(tg.concatenate([x, h], axis=1)))
        self.h = h.detach()
        self.array = h.data
        self.kept.append(h)
        self.slots[1] = h.detach()
        self.cache["deep"]["h"] = h.data
        self.cache["tuple"] = (h.data, {"x": h.detach()})
        self.trace = [h.data]
        self.trace.append(h.detach())
        self.cell.seen = h.data
        self.mean = 0.9 * self.mean + 0.1 * h.data.mean(axis=0)
        self.scales["a"] = self.scales["a"] * 1.5
        return h


STATE = ["cell.weight", "cell.bias", "mean", "scales.a"]


@pytest.mark.parametrize("call", ["call", "predict", "evaluating"])
def test_what_forward_leaves_on_self_is_not_state(call):
    model, fresh = Recurrent(), Recurrent()
    for _ in range(3):
        model.h = None
        if call == "call":
            model(X).sum().backward()
        elif call == "predict":
            predict(model, X.data, batch_size=3)
        else:
            with tg.no_grad(), evaluating():
                model(X)
    assert list(model.state_dict()) == STATE == list(fresh.state_dict())
    assert [name for name, _ in model.named_buffers()] == ["mean", "scales.a"]
    assert model.state_dict()["scales.a"].tolist() == [3.375] * 2, "a buffer that forward replaces"
    fresh.load_state_dict(model.state_dict())
    for twin in (copy.deepcopy(fresh), pickle.loads(pickle.dumps(fresh))):
        twin(X)
        assert list(twin.state_dict()) == STATE


def test_a_buffer_without_axes_stays_one_through_arithmetic():
    class Counting(nn.Module):
        def __init__(self):
            self.calls, self.scale = np.zeros((), np.int64), np.ones((), np.float32)

        def forward(self, x):
            self.calls = self.calls + 1
            self.scale = self.scale * 0.5
            self.last = x.data.max()
            return x * 1.0

    model = Counting()
    for _ in range(3):
        model(X)
    state = model.state_dict()
    assert {name: (a.item(), a.dtype) for name, a in state.items()} == {
        "calls": (3, np.int64), "scale": (0.125, np.float32),
    }  # fmt: skip
    Counting().load_state_dict(state)


def test_a_container_that_forward_makes_and_then_fills_is_not_state():
    class Fills(nn.Module):
        def __init__(self, watched):
            self.layer = nn.Linear(2, 2, rng=0)
            if watched:
                self.other = []

        def forward(self, x):
            self.cache = {}
            self.cache["x"] = x.data
            self.cache["more"] = [x.data]
            self.cache["more"].append(x.detach())
            return self.layer(x)

    for watched in (False, True):
        model = Fills(watched)
        for _ in range(3):
            model(X)
            assert list(model.state_dict()) == ["layer.weight", "layer.bias"]


def test_a_hidden_state_that_the_loop_detaches_or_resets_is_still_not_state():
    model = Recurrent()
    model(X)
    model.h = model.h.detach()
    model.array = np.zeros(5)
    model.kept = []
    model.trace = []
    assert list(model.state_dict()) == STATE
    model.h = np.zeros((3, 2), np.float32)
    assert list(model.state_dict()) == STATE


def test_arrays_parameters_and_modules_count_wherever_they_are_assigned_outside_forward():
    model = Recurrent()
    model(X)
    model.buffer = np.ones(2)
    model.extra = nn.Linear(2, 1, rng=0)
    model.gain = parameter()
    model.scales["b"] = np.ones(1)
    model(X)
    model.trace = [np.ones(2), parameter()]
    assert set(model.state_dict()) == {
        *STATE, "buffer", "extra.weight", "extra.bias", "gain", "scales.b", "trace.1",
    }  # fmt: skip


def test_a_parameter_may_take_the_name_of_something_that_forward_left():
    class Late(nn.Module):
        def forward(self, x):
            if not hasattr(self, "scale"):
                self.scale = x.data.copy()
            return x * 1.0

    model = Late()
    model(X)
    assert list(model.state_dict()) == []
    model.scale = parameter(3.0)
    assert list(model.state_dict()) == ["scale"]
    assert [p.item() for p in model.parameters()] == [3.0]


class Lazy(nn.Module):
    def __init__(self, make):
        self.make = make
        self.layers, self.table, self.nested, self.none = [], {}, [[]], [None]
        self.first = nn.Linear(2, 2, rng=0)

    def forward(self, x):
        self.make(self)
        return x * 1.0


@pytest.mark.parametrize("call", [lambda m: m(X), lambda m: m.forward(X)])
@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda m: setattr(m, "w", parameter()), "parameter w"),
        (lambda m: setattr(m, "layer", nn.Linear(2, 2)), "module layer"),
        (lambda m: setattr(m, "act", nn.ReLU()), "module act"),
        (lambda m: setattr(m, "both", [np.ones(2), parameter()]), r"parameter both\.1"),
        (lambda m: setattr(m, "first", nn.Linear(2, 2)), "module first"),
        (lambda m: setattr(m.first, "weight", parameter()), "Linear: the parameter weight"),
    ],
)
def test_a_parameter_or_module_that_first_appears_during_forward_is_an_error(make, words, call):
    model = Lazy(make)
    before = set(model.state_dict())
    for _ in range(2):
        with pytest.raises(GraphError, match=f"the {words.split('the ')[-1]} first .* __init__"):
            call(model)
    assert set(model.state_dict()) == before


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda m: m.layers.append(nn.Linear(2, 2)), r"module layers\.0"),
        (lambda m: m.table.update(w=parameter()), r"parameter table\.w"),
        (lambda m: m.nested[0].append(parameter()), r"parameter nested\.0\.0"),
        (lambda m: m.none.__setitem__(0, nn.ReLU()), r"module none\.0"),
    ],
)
def test_one_that_forward_puts_into_a_container_is_an_error_too(make, words):
    model = Lazy(make)
    with pytest.raises(GraphError, match=f"the {words} first appears .* make it in __init__"):
        model(X)


def test_forward_may_refer_to_what_the_model_has():
    class Router(nn.Module):
        def __init__(self):
            self.experts = [nn.Linear(2, 2, rng=0), nn.Linear(2, 2, rng=1)]
            self.path = []

        def forward(self, x):
            self.current = self.experts[1]
            self.weight = self.current.weight
            self.path.append(self.experts[0])
            self.pair = (self.experts[0], self.weight)
            return self.current(x)

    model = Router()
    for _ in range(2):
        model(X)
    assert list(model.state_dict()) == list(Router().state_dict())
    assert len(list(model.modules())) == 3


def test_layers_made_and_used_within_a_forward_are_nobodys_state():
    class Functional(nn.Module):
        def __init__(self):
            self.layer = nn.Linear(2, 2, rng=0)

        def forward(self, x):
            norm = nn.BatchNorm1d(2)
            inner = nn.Sequential(nn.ReLU(), norm, nn.Dropout(0.5, rng=0))
            y = inner(self.layer(x))
            assert list(inner.state_dict()) == [
                "1.weight", "1.bias", "1.running_mean", "1.running_var", "1.num_batches_tracked",
            ]  # fmt: skip
            return y

    model = Functional()
    model(X)
    assert list(model.state_dict()) == ["layer.weight", "layer.bias"]


def test_a_run_that_keeps_activations_resumes(tmp_path):
    path, data = tmp_path / "c.safetensors", (np.ones((8, 2), np.float32), np.arange(8) % 2)

    class Kept(Recurrent):
        def forward(self, x):
            self.h = None
            return super().forward(x)

    def run(epochs, **options):
        model = Kept()
        optimizer = optim.Adam(model.parameters())
        fit(
            model, tg.softmax_cross_entropy, optimizer, data, epochs=epochs, batch_size=4, rng=0,
            progress=False, validation=data, **options,
        )  # fmt: skip
        return {name: a.tobytes() for name, a in model.state_dict().items()}

    whole = run(4)
    run(2, checkpoint=path)
    assert run(4, checkpoint=path, resume=True) == whole


def test_threads_that_share_a_model_agree_on_what_is_state():
    model = Recurrent()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: predict(model, X.data, batch_size=3), range(200)))
    assert list(model.state_dict()) == STATE


@pytest.mark.parametrize(
    "make",
    [
        lambda m: setattr(m, "table", {1: parameter(), "1": parameter()}),
        lambda m: setattr(m, "table", {1: np.ones(2), "1": parameter()}),
        lambda m: setattr(m, "table", {1: nn.Linear(1, 1), "1": nn.Linear(1, 1)}),
        lambda m: setattr(m, "table", {None: np.ones(1), "None": np.ones(1)}),
        lambda m: (setattr(m, "a", {"b": parameter()}), setattr(m, "a.b", parameter())),
        lambda m: setattr(m, "a", {"b.c": parameter(), "b": [0, {"c": 1}, 2], 1: 0, "b.2": 1} | {"b": {"c": parameter()}}),
    ],
)  # fmt: skip
def test_two_entries_of_one_name_are_an_error(make):
    model = nn.Module()
    make(model)
    for use in (
        model.state_dict,
        lambda: list(model.parameters()),
        lambda: model.load_state_dict({}),
    ):
        with pytest.raises(ValueError, match="two entries have the name .*rename"):
            use()


def tied():
    model = nn.Sequential(nn.Linear(3, 3, rng=0), nn.Tanh(), nn.Linear(3, 3, rng=1))
    model[2].weight = model[0].weight
    return model


def test_a_shared_parameter_is_listed_once_and_saved_under_every_name():
    model = tied()
    assert [n for n, _ in model.named_parameters()] == ["0.weight", "0.bias", "2.bias"]
    assert list(model.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert len(optim.SGD(model.parameters()).params) == 3


@pytest.mark.parametrize("given", [("0.weight",), ("2.weight",), ("0.weight", "2.weight")])
def test_a_state_may_have_one_or_all_of_the_names(given):
    model, value = tied(), np.full((3, 3), 7.0, np.float32)
    state = {"0.bias": np.zeros(3), "2.bias": np.zeros(3), **dict.fromkeys(given, value)}
    model.load_state_dict(state)
    assert (model[2].weight.data == 7).all()
    assert model[2].weight is model[0].weight


def test_two_values_for_one_array_or_none_are_an_error():
    model = tied()
    state = model.state_dict()
    state["2.weight"] = state["2.weight"] + 1
    for strict in (True, False):
        with pytest.raises(ValueError, match=r"0\.weight and 2\.weight differ, but are one array"):
            model.load_state_dict(state, strict)
    with pytest.raises(ValueError, match=r": missing 0\.weight$"):
        model.load_state_dict({"0.bias": np.zeros(3), "2.bias": np.zeros(3)})
    state["2.weight"] = state["0.weight"] = np.full((3, 3), np.nan, np.float32)
    model.load_state_dict(state)
    assert np.isnan(model[0].weight.data).all()


def test_modules_and_buffers_are_shared_under_every_name_too():
    model = nn.Module()
    model.a = nn.BatchNorm1d(2)
    model.b = [model.a]
    model.mean = model.a.running_mean
    names = list(model.state_dict())
    assert len(names) == 11
    assert {"a.weight", "b.0.weight", "a.running_mean", "b.0.running_mean", "mean"} <= set(names)
    assert len(list(model.named_buffers())) == 3
    state = model.state_dict()
    model.load_state_dict({n: a for n, a in state.items() if n.startswith("b.0.")})
    with pytest.raises(ValueError, match="missing a.weight$"):
        model.load_state_dict({n: a for n, a in state.items() if not n.endswith("weight")})


def test_modules_that_refer_to_each_other_end():
    class Node(nn.Module):
        def __init__(self, weight):
            self.weight = parameter(weight)

    a, b = Node(1.0), Node(2.0)
    a.next, b.next, a.myself = b, a, [a]
    assert list(a.state_dict()) == ["weight", "next.weight"]
    assert (
        repr(a) == "Node(\n  (next): Node(\n    (next): Node(...)\n  )\n  (myself.0): Node(...)\n)"
    )
    assert "2 parameters" in a.summary()
    assert a._repr_html_().count("<tr>") == 3
    loop = [parameter()]
    loop.append(loop)
    a.loop = loop
    assert list(a.state_dict()) == ["weight", "next.weight", "loop.0"]
    assert [m.training for m in a.eval().modules()] == [False, False]


def test_a_thousand_modules_within_each_other():
    model = nn.Sequential(nn.Linear(1, 1, rng=0))
    for _ in range(1000):
        model = nn.Sequential(model)
    assert len(list(model.modules())) == 1002
    assert [name.count(".") for name in model.state_dict()] == [1001, 1001]
    assert repr(model).count("Sequential(") == 1001
    assert "2 parameters" in model.summary()


def test_a_read_only_array_is_an_error_that_changes_nothing():
    for i, name in enumerate(["0.weight", "0.bias", "1.running_var"]):
        model = nn.Sequential(nn.Linear(2, 2, rng=0), nn.BatchNorm1d(2))
        before = model.state_dict()
        array = [model[0].weight.data, model[0].bias.data, model[1].running_var][i]
        array.flags.writeable = False
        with pytest.raises(ValueError, match=f": {name} is read-only in this model$"):
            model.load_state_dict({n: a + 1 for n, a in before.items()})
        for n, a in model.state_dict().items():
            np.testing.assert_array_equal(a, before[n])
        rest = {n: a + 1 for n, a in before.items() if n != name}
        model.load_state_dict(rest, strict=False)
        assert model.state_dict()["0.bias" if i != 1 else "0.weight"].flat[0] != before[
            "0.bias" if i != 1 else "0.weight"
        ].flat[0]  # fmt: skip


def test_a_state_of_views_of_the_models_own_arrays():
    model = nn.Module()
    model.a, model.b = parameter(1.0), parameter(2.0)
    model.load_state_dict({"a": model.b.data, "b": model.a.data[::-1]})
    assert (model.a.item(), model.b.item()) == (2.0, 1.0)
    model.load_state_dict(dict(model.named_parameters()))
    assert (model.a.item(), model.b.item()) == (2.0, 1.0)


@pytest.mark.parametrize(
    ("state", "error", "words"),
    [
        ({"w": "one"}, ValueError, "w of shape"),
        ({"w": [[1.0], [2.0, 3.0]]}, ValueError, "w is not an array"),
        ({"w": np.array([None])}, ValueError, "w of dtype object, expected float32"),
        ({"w": np.ones(1, complex)}, ValueError, "w of dtype complex128, expected float32"),
        ({"w": [1.0], "n": [300]}, ValueError, "n has values that uint8 does not hold"),
        ({"w": [1.0], "n": [-1]}, ValueError, "n has values that uint8 does not hold"),
        ({"w": [1.0], "n": [1.0]}, ValueError, "n of dtype float64, expected uint8"),
        (
            "model.safetensors",
            TypeError,
            r"a mapping .* got str; checkpoint\.load\(\) reads a file",
        ),
        ([("w", 1)], TypeError, "a mapping .* got list"),
        ({"w": [1.0], 3: [1]}, ValueError, "missing n; unexpected 3"),
    ],
)
def test_states_that_do_not_fit(state, error, words):
    model = nn.Module()
    model.w, model.n = parameter(5.0), np.zeros(1, np.uint8)
    with pytest.raises(error, match=words):
        model.load_state_dict(state)
    assert model.w.item() == 5
    model.load_state_dict({"w": [True], "n": [255]})
    assert (model.w.item(), model.n[0]) == (1, 255)


def test_a_value_too_large_for_the_dtype_changes_nothing():
    model = nn.Module()
    model.a, model.b = parameter(1.0), parameter(2.0)
    with pytest.raises(RuntimeWarning, match="overflow"):  # warnings are errors in these tests
        model.load_state_dict({"a": np.ones(1) * 9, "b": np.array([1e300])})
    assert (model.a.item(), model.b.item()) == (1, 2)


def test_astype_keeps_what_is_shared():
    model = nn.Module()
    mean = np.ones(2, np.float32)
    model.a, model.b, model.table = mean, [mean], {"c": mean}
    model.weight = from_numpy(mean, requires_grad=True)
    model.once, model.twice = (model.weight,), [model.weight]
    model.astype(np.float64)
    arrays = [model.a, model.b[0], model.table["c"], model.weight.data]
    assert all(a is arrays[0] for a in arrays)
    assert arrays[0].dtype == np.float64
    assert model.once[0] is model.twice[0] is model.weight
    assert {a.dtype for a in model.state_dict().values()} == {np.dtype(np.float64)}


def test_astype_converts_constant_tensors_and_leaves_the_rest():
    model = Recurrent()
    model.fixed, model.count = Tensor([1.0]), np.arange(3)
    model(X)
    model.astype(np.float64)
    dtypes = {name: a.dtype.name for name, a in model.state_dict().items()}
    assert dtypes == {**dict.fromkeys([*STATE, "fixed"], "float64"), "count": "int64"}


def test_forward_without_a_result_is_an_error_that_says_so():
    class Forgot(nn.Module):
        def forward(self, x):
            x * 2

    with pytest.raises(TypeError, match=r"Forgot.forward returned None; .* return statement"):
        Forgot()(X)
    with pytest.raises(TypeError, match="Forgot.forward returned None"):
        nn.Sequential(nn.ReLU(), Forgot())(X)


# Training and evaluation at the same time


def network():
    rng = np.random.default_rng(0)
    return nn.Sequential(
        nn.Linear(4, 16, rng=rng), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3, rng=rng),
        nn.Linear(16, 3, rng=rng),
    )  # fmt: skip


def problem(n=64):
    rng = np.random.default_rng(1)
    return rng.standard_normal((n, 4)).astype(np.float32), rng.integers(0, 3, n)


def everything(model):
    state = {name: a.tobytes() for name, a in model.state_dict().items()}
    return state, [str(g.bit_generator.state) for _, g in model.named_generators()]


def in_threads(works):
    """Run functions at the same time, and raise what any of them raises."""
    with ThreadPoolExecutor(len(works)) as pool:
        return [future.result() for future in [pool.submit(work) for work in works]]


def test_eight_threads_evaluate_as_one_does():
    model, (x, y) = network(), problem()
    model(Tensor(x))  # statistics of some training
    before = everything(model)
    alone, measured = predict(model, x), evaluate(model, tg.softmax_cross_entropy, (x, y))

    def work():
        return [
            (
                np.array_equal(predict(model, x, batch_size=7), alone_in_sevens),
                evaluate(model, tg.softmax_cross_entropy, (x, y)).loss == measured.loss,
                np.array_equal(predict(model, x), alone),
            )
            for _ in range(25)
        ]

    alone_in_sevens = predict(model, x, batch_size=7)
    for results in in_threads([work] * 8):
        assert results == [(True, True, True)] * 25
    assert everything(model) == before
    assert all(module.training for module in model.modules())


def test_evaluations_do_not_disturb_a_fit_nor_it_their_mode():
    x, y = problem()

    def train(model):
        return fit(
            model, tg.softmax_cross_entropy, optim.Adam(model.parameters(), 0.01), (x, y),
            validation=(x, y), epochs=8, batch_size=16, rng=0, progress=False,
        )  # fmt: skip

    alone, shared, end = network(), network(), threading.Event()
    expected, modes = train(alone), []

    class Seen(nn.Module):
        def forward(self, x):
            modes.append(self.training)
            return x

    seen = Seen()

    def work():
        while not end.is_set():
            predict(nn.Sequential(shared, seen), x)
            evaluate(shared, tg.softmax_cross_entropy, (x, y), batch_size=16)

    threads = [threading.Thread(target=work) for _ in range(7)]
    for thread in threads:
        thread.start()
    try:
        history = train(shared)
    finally:
        end.set()
        for thread in threads:
            thread.join()
    assert history == expected
    assert everything(shared) == everything(alone)
    assert modes
    assert not any(modes)


def test_train_and_eval_mean_the_same_for_every_thread():
    model = network()
    with evaluating():
        model.train()
        assert not model.training
        assert in_threads([lambda: model.training]) == [True], "another thread"
        model.eval()
    assert not model.training
    assert in_threads([lambda: model.training]) == [False]
    model.training = True
    assert model.training
    assert not model[1].training
    with pytest.raises(KeyError), evaluating(), evaluating():
        raise KeyError
    assert model.training


def test_asyncio_tasks_evaluate_and_train_side_by_side():
    model, found = network(), []

    async def evaluation():
        with evaluating():
            await asyncio.sleep(0)
            found.append(model.training)
            await asyncio.sleep(0)

    async def training():
        for _ in range(4):
            found.append(model.training)
            await asyncio.sleep(0)

    async def both():
        await asyncio.gather(evaluation(), training(), evaluation())

    asyncio.run(both())
    assert sorted(found) == [False] * 2 + [True] * 4


# How a module looks


class Branches(nn.Module):
    def __init__(self):
        self.left, self.right = nn.Linear(4, 3, rng=0), [nn.Linear(4, 3, rng=1), nn.ReLU()]
        self.scale = Tensor(np.ones(3, np.float32), requires_grad=True)
        self.right[0].weight = self.left.weight
        self.unused = nn.Linear(100, 100)

    def forward(self, x, times=1):
        y = self.right[1](self.right[0](x)) * self.scale
        return {"sum": (self.left(x) + y, y[:, 0]), "times": times}


def test_a_summary_shows_layers_outputs_and_parameters():
    model = Branches()
    model.left.bias.requires_grad = False
    text = model.summary(np.ones((5, 4), np.float32), 2)
    assert isinstance(text, str)
    assert repr(text) == str(text)
    assert text.splitlines() == [
        "layer              output                             parameters",
        "Branches           {sum: [(5, 3), (5,)], times: int}           3",
        "  left: Linear     (5, 3)                                     15",
        "  right.0: Linear  (5, 3)                                      3",
        "  right.1: ReLU    (5, 3)                                      0",
        "  unused: Linear   not called                             10,100",
        "10,121 parameters, 10,118 of them trained, 40,484 bytes",
    ]
    assert "output" not in model.summary()
    assert "  left: Linear             15\n" in model.summary()


def test_a_summary_changes_nothing_and_sees_its_own_thread_only():
    model, (x, _) = network(), problem()
    before = everything(model)
    end = threading.Event()

    def work():
        while not end.is_set():
            model(Tensor(x[:7])).sum()

    model.eval()
    thread = threading.Thread(target=work)
    thread.start()
    try:
        texts = {model.summary(x[:5]) for _ in range(200)}
    finally:
        end.set()
        thread.join()
    assert len(texts) == 1
    assert "(5, 16)" in texts.pop()
    model.train().summary(Tensor(x))
    assert everything(model) == before
    assert model.training


@pytest.mark.parametrize("shape", [(5, 4), [5, 4]])
def test_a_summary_of_a_shape_says_what_to_pass(shape):
    with pytest.raises(
        TypeError, match=r"example inputs, got the shape .* pass an array, as np.zeros"
    ):
        network().summary(shape)


def test_the_html_of_a_module_is_escaped():
    model = nn.Module()
    model.parts = {"<script>alert(1)</script>": nn.Linear(3, 2, rng=0), "a&b": nn.Dropout(0.25)}
    page = model._repr_html_()
    assert "<script>" not in page
    assert "parts.&lt;script&gt;alert(1)&lt;/script&gt;: Linear" in page
    assert "a&amp;b: Dropout" in page
    assert "<td>p=0.25</td>" in page
    assert "<td>in_features=3, out_features=2</td><td>(2, 3), (2,)</td><td>8</td>" in page
    assert "8 parameters, 8 of them trained, 32 bytes" in page
    assert page.count("<tr>") == page.count("</tr>") == 4


def test_shared_modules_are_shown_each_time_and_counted_once():
    act, block = nn.ReLU(), nn.Sequential(nn.Linear(2, 2, rng=0))
    model = nn.Sequential(block, act, block, act)
    assert repr(model) == (
        "Sequential(\n  (0): Sequential(\n    (0): Linear(in_features=2, out_features=2)\n  )\n"
        "  (1): ReLU()\n  (2): Sequential(...)\n  (3): ReLU()\n)"
    )
    assert model.summary(X).splitlines()[-1] == "6 parameters, 6 of them trained, 24 bytes"


def test_a_sequential_shows_its_functions_too():
    model = nn.Sequential(nn.ReLU(), tg.tanh, nn.Sequential(lambda x: x, np.square))
    assert repr(model) == (
        "Sequential(\n  (0): ReLU()\n  (1): tanh\n  (2): Sequential(\n    (0): <lambda>\n"
        "    (1): ufunc\n  )\n)"
    )


def test_a_module_that_shows_itself():
    class Named(nn.Module):
        def __repr__(self):
            return "Named(\n  a\n)"

    model = nn.Sequential(nn.Sequential(Named()), nn.ReLU())
    assert repr(model) == (
        "Sequential(\n  (0): Sequential(\n    (0): Named(\n      a\n    )\n  )\n  (1): ReLU()\n)"
    )
    assert "trained" in Named().summary()
