"""The graph: no recursion, no leaks, the order of the walk, the contract with kernels, a machine that builds random graphs."""

import functools
import gc
import resource
import subprocess
import sys
import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

import tinygrad_mnist as tg
from tinygrad_mnist import GraphError, ShapeError, Tensor, apply, nn, no_grad, optim
from tinygrad_mnist.testing import gradcheck


def test_a_chain_of_100_000_nodes_goes_backward_and_away():
    x = Tensor(1.0, requires_grad=True)
    y = x
    for _ in range(100_000):
        y = y + 0.0
    y.backward()
    assert x.grad == 1
    y = x
    for _ in range(100_000):
        y = y * 1.0
    del y  # never went backward: the chain is taken apart node by node
    code = "import sys; sys.setrecursionlimit(200); import tinygrad_mnist as tg; x = y = tg.Tensor(1.0, requires_grad=True)\n"
    code += "for _ in range(20000): y = y.exp().log()\ny.backward(retain_graph=True); del y; print(float(x.grad))"
    assert float(
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout
    ) == pytest.approx(1, abs=0.1)


def test_10_000_training_steps_hold_memory_flat_without_the_garbage_collector():
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Linear(8, 8, rng=rng), nn.ReLU(), nn.Linear(8, 3, rng=rng))
    optimizer = optim.SGD(model.parameters(), 0.01, momentum=0.9)
    x, labels = Tensor(rng.standard_normal((4, 8)).astype(np.float32)), np.array([0, 1, 2, 0])

    def steps(count):
        for _ in range(count):
            optimizer.zero_grad()
            tg.softmax_cross_entropy(model(x), labels).backward()
            optimizer.step()

    gc.disable()
    try:
        tracemalloc.start()
        steps(1000)  # fills the caches of Python and NumPy
        before, _ = tracemalloc.get_traced_memory()
        steps(1000)
        after, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        steps(8000)
        assert gc.collect() < 50  # no cycles were waiting for the collector
    finally:
        gc.enable()
    assert after - before < 100_000  # a leaked node or array a step would be more


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_100_000_steps_take_no_more_memory_than_the_first():
    rng = np.random.default_rng(0)
    model = nn.Linear(4, 3, rng=rng)
    optimizer = optim.Adam(model.parameters(), 0.01)
    x, labels = Tensor(rng.standard_normal((2, 4)).astype(np.float32)), np.array([0, 1])

    def steps(count):
        for _ in range(count):
            optimizer.zero_grad()
            tg.softmax_cross_entropy(model(x), labels).backward()
            optimizer.step()
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

    before = steps(5000)
    assert steps(95_000) - before < 1 << 20


def test_a_value_waits_for_the_gradients_of_all_that_used_it():
    x = Tensor(np.array(0.3), requires_grad=True)
    a = tg.exp(x)
    (a * tg.sin(a)).backward()  # the path through sin is the longer one
    np.testing.assert_allclose(
        x.grad, np.exp(0.3) * (np.sin(np.exp(0.3)) + np.exp(0.3) * np.cos(np.exp(0.3)))
    )


@given(
    st.lists(
        st.tuples(
            st.sampled_from([tg.add, tg.subtract, tg.multiply]), st.integers(0), st.integers(0)
        ),
        min_size=1,
        max_size=12,
    )
)
def test_the_gradient_of_any_graph_sums_over_its_paths(steps):
    def f(x):
        values = [x]
        for op, i, j in steps:
            values.append(op(tg.sin(values[i % len(values)]), values[j % len(values)]))
        return values[-1]

    gradcheck(f, np.array(0.3), method="complex")


def test_the_first_layers_input_gradient_is_not_computed():
    asked = []

    def _spy(x, w):
        def vjp(g, needs):
            asked.append(list(needs))
            return None, g * x

        return x * w, vjp

    apply(_spy, np.ones(3), Tensor(np.ones(3), requires_grad=True)).sum().backward()
    assert asked == [[False, True]]


def test_a_failing_vjp_leaves_every_gradient_as_it_was():
    def _fails(x):
        def vjp(g, needs):
            raise ZeroDivisionError

        return x * 1, vjp

    x = Tensor(np.ones(3), requires_grad=True)
    with pytest.raises(ZeroDivisionError):
        (apply(_fails, x) + x * 2).sum().backward()
    assert x.grad is None


def test_a_vjp_of_the_wrong_shape_or_number_is_named():
    def _wrong_shape(x):
        return x * 1, lambda g, needs: (g[:1],)

    def _wrong_number(x):
        return x * 1, lambda g, needs: (g, g)

    x = Tensor(np.ones(3), requires_grad=True)
    with pytest.raises(ShapeError, match=r"wrong_shape.*\(1,\).*\(3,\)"):
        apply(_wrong_shape, x).sum().backward()
    with pytest.raises(GraphError, match="wrong_number.*2 gradients for 1"):
        apply(_wrong_number, x).sum().backward()


def test_errors_of_a_kernel_name_the_operation():
    def _picky(x, *, power):
        raise ValueError(f"power {power} is odd")

    with pytest.raises(ValueError, match=r"picky: power 3 is odd.*float32\[2\]"):
        apply(_picky, Tensor([1.0, 2.0]), power=3)


def test_threads_train_their_models_to_the_same_bits():
    def train(seed, out):
        rng = np.random.default_rng(seed)
        model = nn.Sequential(nn.Linear(6, 16, rng=rng), nn.Tanh(), nn.Linear(16, 3, rng=rng))
        optimizer = optim.Adam(model.parameters(), 0.01)
        x, labels = Tensor(rng.standard_normal((8, 6)).astype(np.float32)), rng.integers(0, 3, 8)
        for _ in range(100):
            optimizer.zero_grad()
            tg.softmax_cross_entropy(model(x), labels).backward()
            optimizer.step()
            with no_grad():
                model(x)
        out[seed] = model.state_dict()

    alone, together = {}, {}
    for seed in range(8):
        train(seed, alone)
    threads = [threading.Thread(target=train, args=(seed, together)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed in range(8):
        for name, value in alone[seed].items():
            assert value.tobytes() == together[seed][name].tobytes()


class Graphs(RuleBasedStateMachine):
    """Random graphs with shared nodes, detached ones and no_grad; their gradients against a sum over all paths."""

    tensors = Bundle("tensors")

    @initialize()
    def start(self):
        self.leaves: list[Tensor] = []
        self.expected: dict[int, float] = {}
        self.edges: dict[
            int, list[tuple[Tensor, float]]
        ] = {}  # tensor -> its inputs and the local slopes
        self.kept: list[Tensor] = []

    def made(self, y, *inputs):
        self.kept.append(y)  # ids stay unique
        self.edges[id(y)] = [(x, slope) for x, slope in inputs] if y.requires_grad else []
        return y

    @rule(target=tensors, value=st.floats(-2, 2), requires_grad=st.booleans())
    def leaf(self, value, requires_grad):
        x = Tensor(np.float64(value), requires_grad=requires_grad)
        if requires_grad:
            self.leaves.append(x)
            self.expected[id(x)] = 0.0
        return self.made(x)

    @rule(target=tensors, a=tensors, b=tensors)
    def add(self, a, b):
        return self.made(a + b, (a, 1.0), (b, 1.0))

    @rule(target=tensors, a=tensors, b=tensors)
    def multiply(self, a, b):
        return self.made(a * b * 0.5, (a, b.item() * 0.5), (b, a.item() * 0.5))

    @rule(target=tensors, a=tensors)
    def tanh(self, a):
        y = a.tanh()
        return self.made(y, (a, 1 - y.item() ** 2))

    @rule(target=tensors, a=tensors)
    def detach(self, a):
        return self.made(a.detach())

    @rule(target=tensors, a=tensors, b=tensors)
    def without_a_graph(self, a, b):
        with no_grad():
            return self.made(a * b)

    def paths(self, y, x):
        """The derivative of y by x: the sum over all paths of the product of the slopes on them."""
        if y is x:
            return 1.0
        return sum(slope * self.paths(parent, x) for parent, slope in self.edges[id(y)])

    def depth(self, y, limit=10):
        return (
            1 + max((self.depth(p, limit - 1) for p, _ in self.edges[id(y)]), default=0)
            if limit
            else 1
        )

    @rule(y=tensors, seed=st.floats(-2, 2))
    def backward(self, y, seed):
        if not y.requires_grad:
            with pytest.raises(GraphError):
                y.backward()
            return
        if self.depth(y) > 9:  # the oracle walks every path
            return
        y.backward(np.float64(seed), retain_graph=True)
        for x in self.leaves:
            self.expected[id(x)] += seed * self.paths(y, x)

    @rule(x=tensors)
    def zero(self, x):
        x.zero_grad()
        if id(x) in self.expected:
            self.expected[id(x)] = 0.0

    @rule(y=consumes(tensors))
    def forget(self, y):
        pass

    @invariant()
    def gradients_agree(self):
        for x in getattr(self, "leaves", ()):
            found = 0.0 if x.grad is None else float(x.grad)
            assert found == pytest.approx(self.expected[id(x)], rel=1e-9, abs=1e-9)


Graphs.TestCase.settings = settings(stateful_step_count=25)
TestGraphs = Graphs.TestCase


class VJPObject:
    def __init__(self, x):
        self.x = x

    def __call__(self, g, needs):
        return (2 * g * self.x,)


@pytest.mark.parametrize(
    "make",
    [
        lambda x: lambda g, needs: (2 * g * x,),
        lambda x: lambda g, needs, x=x: (2 * g * x,),
        lambda x: lambda g, needs, *, x=x: (2 * g * x,),
        lambda x: functools.partial(lambda x, g, needs: (2 * g * x,), x),
        lambda x: functools.partial(lambda g, needs, x: (2 * g * x,), x=x),
        lambda x: functools.partial(lambda g, needs: (2 * g * x,)),
        lambda x: (lambda saved: lambda g, needs: (2 * g * saved["x"],))({"x": x}),
        lambda x: VJPObject(x),
    ],
)
def test_a_change_in_place_is_found_wherever_a_vjp_keeps_the_array(make):
    def _op(x):
        return x * x, make(x)

    x = Tensor([1.0, 2.0], requires_grad=True)
    y = apply(_op, x).sum()
    x.data -= 1.0
    with pytest.raises(GraphError, match="op saved an array"):
        y.backward()


class Slotted:
    __slots__ = ("x",)

    def __init__(self, x):
        self.x = x

    def vjp(self, g, needs):
        return (2 * g * self.x,)


class Holder:
    def __init__(self, x):
        self.hidden = Slotted(x)


def windows_of(x):
    return np.lib.stride_tricks.sliding_window_view(x, 2)


@pytest.mark.parametrize(
    "make",
    [
        lambda x: Slotted(x).vjp,
        lambda x: VJPObject(x).__call__,
        lambda x: (lambda held: lambda g, needs: (2 * g * held.x,))(Slotted(x)),
        lambda x: (lambda held: lambda g, needs: (2 * g * held.hidden.x,))(Holder(x)),
        lambda x: (lambda seen: lambda g, needs: (2 * g * np.append(seen[:, 0], seen[-1:, 1]),))(
            windows_of(x)
        ),
        lambda x: (lambda other: lambda g, needs: (2 * g * other,))(
            np.frombuffer(memoryview(x), x.dtype)
        ),
        lambda x: (lambda reverse: lambda g, needs: (2 * g * reverse[::-1],))(x[::-1]),
    ],
    ids=["method", "call", "slots", "deep", "windows", "buffer", "reversed"],
)
def test_a_change_is_found_where_the_search_cannot_look(make):
    def _op(x):
        return x * x, make(x)

    x = Tensor([1.0, 2.0, 3.0], requires_grad=True)
    other = Tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = apply(_op, x).sum()
    other.data -= 1.0
    y.backward(retain_graph=True)  # a change elsewhere is no reason to refuse
    np.testing.assert_array_equal(x.grad, [2.0, 4.0, 6.0])
    x.data -= 1.0
    with pytest.raises(GraphError, match="op saved an array"):
        y.backward()


def test_two_arrays_over_one_buffer_are_one_memory():
    memory = bytearray(np.ones(4, np.float32).tobytes())
    first, second = np.frombuffer(memory, np.float32), np.frombuffer(memory, np.float32)[1:3]
    x, y = tg.from_numpy(first, requires_grad=True), tg.from_numpy(second, requires_grad=True)
    product = (x * x).sum()
    y.data *= 3.0
    with pytest.raises(GraphError, match="multiply saved an array"):
        product.backward()


def test_a_change_beside_a_saved_view_is_not_a_change_of_it():
    flat = np.ones(6, np.float32)
    w, b = tg.from_numpy(flat[:4], requires_grad=True), tg.from_numpy(flat[4:], requires_grad=True)
    y = (w * w).sum() + b.sum()
    b.data -= 1.0  # two parameters in one array, as flat optimizers keep them
    y.backward()
    np.testing.assert_array_equal(w.grad, 2 * np.ones(4))


def test_a_sum_goes_backward_after_its_terms_have_changed():
    x, p = Tensor([1.0, 2.0], requires_grad=True), Tensor([3.0, 4.0], requires_grad=True)
    y = (x + p).sum() + (x - p).sum()
    p.data *= 0.0
    x.data *= 0.0
    y.backward()
    np.testing.assert_array_equal(x.grad, [2.0, 2.0])
    np.testing.assert_array_equal(p.grad, [0.0, 0.0])


def test_records_of_changes_end_with_the_memory_they_are_about():
    from tinygrad_mnist import graph

    gc.collect()
    before = len(graph._changes)
    for _ in range(100):
        x = Tensor(np.ones(3), requires_grad=True)
        x.data -= 1.0
        graph.mark_changed(x.data[1:])
    del x
    gc.collect()
    assert len(graph._changes) == before


def test_changes_in_many_threads_are_never_lost():
    parameters = [Tensor(np.ones(2), requires_grad=True) for _ in range(8)]
    missed = []

    def work(p):
        for _ in range(300):
            y = (p * p).sum()
            p.data *= 1.0
            try:
                y.backward()
            except GraphError:
                continue
            missed.append(p)

    threads = [threading.Thread(target=work, args=(p,)) for p in parameters]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not missed


def test_threads_that_add_to_one_gradient_lose_nothing():
    x = Tensor(np.zeros(1000), requires_grad=True)

    def work():
        for _ in range(200):
            (x * 1.0).sum().backward()

    threads = [threading.Thread(target=work) for _ in range(8)]
    switch = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(switch)
    np.testing.assert_array_equal(x.grad, np.full(1000, 1600.0))


def test_the_vjps_of_our_own_operations_hide_nothing():
    """So `apply` need not search them; what a user's vjp may hide, it keeps in mind."""
    from op_table import TABLE

    from tinygrad_mnist.graph import Watch, can_hide_arrays, watching

    class Search(Watch):
        def forward(self, kernel, arrays, y, node):
            if node is not None and node.name not in known:
                assert not can_hide_arrays(node.vjp), node.name

    # They hold a plan of slices, which holds no arrays.
    known = {"conv1d", "conv2d", "max_pool2d", "avg_pool2d", "unfold", "fold"}
    rng = np.random.default_rng(0)
    with watching(Search()):
        for row in TABLE.values():
            for case in row.cases:
                *shapes, last = case
                params = last if isinstance(last, dict) else {}
                shapes = shapes if isinstance(last, dict) else case
                inputs = [Tensor(rng.uniform(*row.domain, s), requires_grad=True) for s in shapes]
                row.op(*inputs, **params)


@pytest.mark.parametrize(
    ("kernel", "words"),
    [
        (lambda x: x * 2, "a tuple"),
        (lambda x: (x * 2,), r"got \(ndarray"),
        (lambda x: (x * 2, None), "a tuple"),
        (lambda x: [x, x, x], "got list"),
    ],
)
def test_a_kernel_without_a_vjp_is_refused(kernel, words):
    for size in (2, 3):  # two elements could be taken for a result and its vjp
        with pytest.raises(TypeError, match=r"returns its result and its vjp.*" + words):
            apply(kernel, Tensor(np.ones(size)))


def test_a_vjp_that_returns_no_tuple_is_refused():
    def _bare(x):
        return x * 2, lambda g, needs: g * 2

    for size in (1, 2):
        with pytest.raises(GraphError, match="bare: its vjp must return a tuple .* got ndarray"):
            apply(_bare, Tensor(np.ones(size), requires_grad=True)).sum().backward()


class UnluckyError(Exception):
    def __init__(self, a, b):
        super().__init__(f"{a} and {b}")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ValueError("unknown broadcast station"), ValueError),
        (ZeroDivisionError("by 0"), ZeroDivisionError),
        (KeyError("shape"), KeyError),
        (UnluckyError(1, 2), UnluckyError),
        (OSError(2, "no such file"), FileNotFoundError),
    ],
)
def test_an_error_of_a_users_kernel_keeps_its_type(error, kind):
    def _fails(x):
        raise error

    with pytest.raises(kind) as caught:
        apply(_fails, Tensor([1.0, 2.0]))
    assert type(caught.value) is kind
    said = " ".join([str(caught.value), *getattr(caught.value, "__notes__", [])])
    assert "fails" in said
    assert "float32[2]" in said


def test_a_tensor_that_a_kernel_gets_past_apply_is_refused():
    factor = Tensor([2.0, 3.0], requires_grad=True)

    def _scaled(x, *, factor):
        return x * factor, lambda g, needs: (g * factor,)

    with pytest.raises(TypeError, match="scaled: its kernel computed with a Tensor"):
        apply(_scaled, Tensor([1.0, 1.0], requires_grad=True), factor=factor)
