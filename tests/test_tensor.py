"""Tensor: dtypes, NumPy on either side, gradients on leaves, errors."""

import asyncio
import copy
import pickle
import threading

import numpy as np
import pytest

import tinygrad_mnist as tg
from tinygrad_mnist import GraphError, ShapeError, Tensor, from_numpy, no_grad


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        (1.5, np.float32), ([1.5, 2], np.float32), ([[1.0]], np.float32), (2, np.int64), ([1, 2], np.int64), (True, np.bool_),
        (np.ones(2), np.float64), (np.ones(2, np.float16), np.float16), (np.float64(1), np.float64), (np.arange(3, dtype=np.uint8), np.uint8),
    ],
)  # fmt: skip
def test_dtype_of_new_tensors(data, dtype):
    assert Tensor(data).dtype == dtype


def test_tensor_copies_and_from_numpy_shares():
    a = np.ones(3)
    copied, shared = Tensor(a), from_numpy(a)
    a[0] = 7
    assert copied.data[0] == 1
    assert shared.data[0] == 7


@pytest.mark.parametrize("data", [2, [1, 2], np.arange(3), True, np.array([True])])
def test_integers_cannot_require_grad(data):
    with pytest.raises(TypeError, match="pass floats"):
        Tensor(data, requires_grad=True)


@pytest.mark.parametrize("data", ["a", None, object(), [[1.0], [1.0, 2.0]], {"a": 1}])
def test_what_is_no_number_is_a_type_error(data):
    with pytest.raises(TypeError, match="expected numbers"):
        Tensor(data)


def test_format_of_one_number_is_a_numbers():
    loss = Tensor(0.125, requires_grad=True)
    assert f"{loss:.2f} {loss * 2:6.3f} {loss}" == "0.12  0.250 Tensor(0.125, requires_grad=True)"
    with pytest.raises(TypeError, match="unsupported format string"):
        f"{Tensor([1.0, 2.0]):.2f}"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("number", [2, 2.5, True])
def test_python_numbers_never_change_the_dtype(dtype, number):
    for shape in ((), (3,)):
        t = Tensor(np.ones(shape, dtype), requires_grad=True)
        for y in (
            t * number,
            number * t,
            t + number,
            number - t,
            t / number,
            number / t,
            t**number,
            number**t,
            tg.maximum(t, number),
        ):
            assert y.dtype == dtype


def test_numpy_on_either_side():
    t = Tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    a = np.array([[0.5, 1.0], [2.0, 4.0]], np.float32)
    for y, expected in [
        (a * t, a * t.data), (t * a, a * t.data), (a - t, a - t.data), (a / t, a / t.data), (a @ t, a @ t.data), (t @ a, t.data @ a),
        (np.float64(2) * t, 2 * t.data), (np.float32(2) - t, 2 - t.data), ([[1.0, 1.0], [1.0, 1.0]] + t, 1 + t.data),
        (np.exp(t), np.exp(t.data)), (np.matmul(a, t), a @ t.data), (np.sum(t, axis=0), t.data.sum(0)), (np.concatenate([t, a]), np.concatenate([t.data, a])),
        (np.where(a > 1, t, a), np.where(a > 1, t.data, a)), (np.maximum(t, a), np.maximum(t.data, a)), (np.mean(t), t.data.mean()),
        (np.stack([t, t]), np.stack([t.data, t.data])), (np.transpose(t), t.data.T), (np.reshape(t, (4,)), t.data.reshape(4)), (np.abs(t), t.data),
        (np.clip(t, 2, 3), np.clip(t.data, 2, 3)), (np.clip(t, a_min=2, a_max=3), np.clip(t.data, 2, 3)), (np.clip(t, None, 2), np.clip(t.data, None, 2)),
        (np.amax(t, axis=0), t.data.max(0)), (np.amin(t), t.data.min()), (np.einsum("ij->j", t), t.data.sum(0)), (np.dot(a, t), a @ t.data), (np.square(t), t.data**2),
        (np.expand_dims(t, 0), t.data[None]), (np.squeeze(np.expand_dims(t, 0)), t.data), (np.pad(t, 1), np.pad(t.data, 1)), (np.std(t), t.data.std()),
    ]:  # fmt: skip
        assert isinstance(y, Tensor)
        assert y.requires_grad
        np.testing.assert_allclose(y.numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda t: np.fft.fft(t), "fft"), (lambda t: np.linalg.eig(t), "np.linalg.eig"), (lambda t: np.spacing(t), "spacing"), (lambda t: np.add.reduce(t), "np.add.reduce"),
        (lambda t: np.exp(t, out=np.ones(2)), "out"), (lambda t: np.sum(t, dtype=float), "np.sum"),
        (lambda t: np.sum(t, 0, np.float64), "np.sum on a Tensor takes neither dtype nor out"), (lambda t: np.max(t, 0, None), "np.max"),
        (lambda t: np.var(t, 0, 1), "np.var"), (lambda t: np.median(t), "median"),
    ],
)  # fmt: skip
def test_an_unsupported_numpy_function_is_named(call, name):
    with pytest.raises(TypeError, match=name):
        call(Tensor([1.0, 2.0], requires_grad=True))


@pytest.mark.skipif(
    np.lib.NumpyVersion(np.__version__) < "2.1.0",
    reason="np.clip knows min and max since NumPy 2.1",
)
def test_np_clip_by_its_newer_names():
    t = Tensor([1.0, 3.0])
    np.testing.assert_array_equal(np.clip(t, max=2).numpy(), [1.0, 2.0])
    np.testing.assert_array_equal(np.clip(t, min=2).numpy(), [2.0, 3.0])


def test_in_place_on_an_ndarray_is_refused():
    a = np.ones(2, np.float32)
    with pytest.raises(TypeError, match="out"):
        a += Tensor([1.0, 2.0])


def test_comparisons_are_constants():
    t = Tensor([1.0, 2.0], requires_grad=True)
    assert (t > 1.5).data.tolist() == [False, True]
    assert (np.array([1.0, 2.0]) == t).data.all()
    assert not (t != t).requires_grad
    assert np.argmax(t) == 1
    assert np.allclose(t, b=t)
    assert np.argmax(a=t) == 1


def test_grad_accumulates_until_zeroed():
    t = Tensor([1.0, 2.0], requires_grad=True)
    assert t.grad is None
    for times in (1, 2):
        (t * 3).sum().backward()
        np.testing.assert_array_equal(t.grad, [3.0 * times] * 2)
    t.zero_grad()
    assert t.grad is None


def test_only_leaves_hold_a_gradient_unless_asked():
    x = Tensor([1.0, 2.0], requires_grad=True)
    y = x * 2
    z = (y * y).sum()
    z.backward(retain_graph=True)
    assert y.grad is None
    y.retain_grad()
    z.backward()
    np.testing.assert_array_equal(y.grad, 2 * y.data)


def test_a_kept_gradient_is_not_the_one_that_the_vjp_overwrites():
    x = Tensor([1.0, 2.0], requires_grad=True)
    y = -x
    y.retain_grad()
    (y * 3.0).sum().backward()
    np.testing.assert_array_equal(y.grad, [3.0, 3.0])
    np.testing.assert_array_equal(x.grad, [-3.0, -3.0])


def test_the_seed_is_copied_and_left_alone():
    x = Tensor(np.ones(3), requires_grad=True)
    seed = np.array([1.0, 2.0, 3.0])
    (-x).backward(seed)
    np.testing.assert_array_equal(seed, [1.0, 2.0, 3.0])
    x.backward(seed)
    np.testing.assert_array_equal(x.grad, [0.0, 0.0, 0.0])
    x.grad[:] = 9
    np.testing.assert_array_equal(seed, [1.0, 2.0, 3.0])


def test_gradients_of_two_leaves_never_alias():
    x, y = Tensor(np.ones(3), requires_grad=True), Tensor(np.ones(3), requires_grad=True)
    (x + y).sum().backward()
    assert not np.shares_memory(x.grad, y.grad)
    (x + x).sum().backward()
    np.testing.assert_array_equal(x.grad, [3.0, 3.0, 3.0])


def test_float32_and_float64_meet_and_each_gradient_keeps_its_dtype():
    x, y = Tensor([1.0, 2.0], requires_grad=True), Tensor(np.ones(2), requires_grad=True)
    (x * y).sum().backward()
    assert (x.grad.dtype, y.grad.dtype) == (np.float32, np.float64)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda x: (x * 2).backward(), GraphError, r"\(2,\)"),
        (lambda x: x.detach().sum().backward(), GraphError, "requires no grad"),
        (lambda x: (x * 2).backward(np.ones(3)), ShapeError, r"\(2,\), got \(3,\)"),
        (lambda x: x.detach().retain_grad(), GraphError, "requires no grad"),
        (lambda x: setattr(x * 2, "requires_grad", True), GraphError, "leaf"),
        (lambda x: x.__setitem__(0, 1.0), TypeError, "where, concatenate or stack"),
        (lambda x: np.asarray(x), TypeError, r"\.numpy\(\)"),
        (lambda x: x + np.ones(3), ShapeError, r"add: .*\(2,\), \(3,\)"),
        (lambda x: x @ np.ones((3, 2)), ShapeError, r"matmul: .*\(2,\) and \(3, 2\)"),
        (lambda x: x.reshape(3), ShapeError, r"reshape: .*\(2,\)"),
        (lambda x: x.sum(axis=1), ValueError, "sum: axis 1"),
        (lambda x: x[5], IndexError, "out of bounds"),
        (lambda x: bool(x), ValueError, "neither true nor false"),
        (lambda x: x.item(), ValueError, "one element"),
        (lambda x: len(x.sum()), TypeError, "0-d"),
        (lambda x: from_numpy([1.0]), TypeError, "ndarray"),
        (lambda x: tg.concatenate([]), ShapeError, "at least one"),
        (lambda x: tg.stack([x, x.reshape(1, 2)]), ShapeError, "stack"),
        (lambda x: setattr(x, "data", np.ones(3)), ShapeError, r"\(2,\), got \(3,\)"),
        (lambda x: setattr(x, "grad", np.ones(3)), ShapeError, r"\(2,\), got \(3,\)"),
    ],
)
def test_errors_say_what_was_expected(make, error, words):
    x = Tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(error, match=words):
        make(x)
    assert x.grad is None


def test_a_freed_graph_names_retain_graph():
    x = Tensor(2.0, requires_grad=True)
    y = x * x
    y.backward(retain_graph=True)
    y.backward()
    with pytest.raises(GraphError, match="retain_graph=True"):
        y.backward()
    assert x.grad == 8


def test_backward_after_a_change_in_place_is_refused_only_where_it_matters():
    x = Tensor([1.0, 2.0], requires_grad=True)
    product, total = (x * x).sum(), (x + 1).sum()
    x.data -= 0.5
    with pytest.raises(GraphError, match="multiply saved an array .* changed in place"):
        product.backward()
    total.backward()  # a sum saved nothing of x
    np.testing.assert_array_equal(x.grad, [1.0, 1.0])
    (x * x).sum().backward()  # a graph made after the change
    np.testing.assert_array_equal(x.grad, [2.0, 4.0])


def test_a_change_through_a_view_or_a_detached_tensor_counts():
    for alias in (lambda t: t.detach(), lambda t: t.reshape(2, 1), lambda t: t.T):
        x = Tensor([1.0, 2.0], requires_grad=True)
        y = x.exp().sum() + (x * x).sum()
        alias(x).data *= 2
        with pytest.raises(GraphError, match="in place"):
            y.backward()


def test_an_optimizer_step_counts_as_a_change_in_place():
    w = Tensor([1.0, 2.0], requires_grad=True)
    loss = (w * w).sum()
    loss.backward(retain_graph=True)
    tg.optim.SGD([w], 0.1).step()
    with pytest.raises(GraphError, match="optimizer step"):
        loss.backward()


def test_assigning_data_writes_into_the_memory_and_keeps_the_dtype():
    a = np.ones(2, np.float32)
    t = from_numpy(a)
    t.data = np.array([3.0, 4.0])
    assert a.tolist() == [3.0, 4.0]
    assert t.dtype == np.float32


def test_no_grad_nests_and_survives_exceptions_and_decorates():
    x = Tensor(1.0, requires_grad=True)
    with no_grad():
        with pytest.raises(ZeroDivisionError), no_grad():
            raise ZeroDivisionError
        assert not (x * 2).requires_grad
    assert (x * 2).requires_grad

    @no_grad()
    def double(t):
        return t * 2

    assert not double(x).requires_grad


def test_no_grad_is_for_one_thread():
    x, seen, inside, done = (
        Tensor(1.0, requires_grad=True),
        [],
        threading.Event(),
        threading.Event(),
    )

    def other():
        inside.wait()
        seen.append((x * 2).requires_grad)
        done.set()

    thread = threading.Thread(target=other)
    thread.start()
    with no_grad():
        inside.set()
        done.wait()
    thread.join()
    assert seen == [True]


def test_freezing_a_leaf_drops_its_gradient():
    x, y = Tensor(1.0, requires_grad=True), Tensor(2.0, requires_grad=True)
    (x * y).backward()
    x.requires_grad = False
    assert x.grad is None
    (x * y).backward()
    assert (x.grad, y.grad) == (None, 2.0)


def test_copies_and_pickles_of_leaves():
    x = Tensor([1.0, 2.0], requires_grad=True)
    for other in (copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        assert other.requires_grad
        other.data += 1
        np.testing.assert_array_equal(x.data, [1.0, 2.0])
    with pytest.raises(GraphError, match="detach"):
        copy.deepcopy(x * 2)


def test_asarray_of_a_constant_is_its_array():
    t = Tensor([1.0, 2.0])
    assert np.shares_memory(np.asarray(t), t.data)
    assert np.asarray(t, np.float64).dtype == np.float64


def test_small_things():
    t = Tensor([[1.0, 2.0, 3.0]], requires_grad=True)
    assert (t.shape, t.ndim, t.size, t.T.shape, len(t), t.is_leaf, (t * 2).is_leaf) == (
        (1, 3),
        2,
        3,
        (3, 1),
        1,
        True,
        False,
    )
    assert [row.shape for row in t] == [(3,)]
    assert float(t.sum()) == 6
    assert "requires_grad=True" in repr(t)
    assert "made by multiply" in repr(t * 2)
    assert {t: 1}[t] == 1
    assert Tensor(3).item() == 3
    assert [10, 20][Tensor(1)] == 20
    assert t.astype(np.float64).dtype == np.float64


def test_no_grad_covers_the_steps_of_a_generator_and_no_more():
    x = Tensor(1.0, requires_grad=True)

    @no_grad()
    def count(limit):
        for i in range(limit):
            sent = yield x * i
            assert not (x * 2).requires_grad
            if sent:
                return "done"

    steps = count(3)
    assert not next(steps).requires_grad
    assert (x * 2).requires_grad, "between two steps the caller records as usual"
    assert not next(steps).requires_grad
    with pytest.raises(StopIteration) as stop:
        steps.send(True)
    assert stop.value.value == "done"
    assert len(list(count(3))) == 3

    @no_grad()
    def fragile():
        try:
            yield 1
        except KeyError:
            yield (x * 2).requires_grad

    steps = fragile()
    next(steps)
    assert steps.throw(KeyError("x")) is False
    steps.close()


def test_no_grad_is_for_one_asyncio_task():
    x = Tensor(1.0, requires_grad=True)
    seen = {}

    @no_grad()
    async def quiet():
        await asyncio.sleep(0.02)
        seen["quiet"] = (x * 2).requires_grad

    async def overlapping(name, wait):
        with no_grad():
            await asyncio.sleep(wait)
            seen[name] = (x * 2).requires_grad

    async def recording():
        await asyncio.sleep(0.01)
        seen["recording"] = (x * 2).requires_grad

    async def main():
        await asyncio.gather(overlapping("a", 0.02), overlapping("b", 0.03), recording(), quiet())

    asyncio.run(main())
    assert seen == {"a": False, "b": False, "quiet": False, "recording": True}
    assert (x * 2).requires_grad


def test_one_no_grad_object_serves_overlapping_tasks():
    x, block = Tensor(1.0, requires_grad=True), no_grad()
    seen = {}

    async def work(name, first, second):
        await asyncio.sleep(first)
        with block:
            await asyncio.sleep(second)
            seen[name, "inside"] = (x * 2).requires_grad
        seen[name, "after"] = (x * 2).requires_grad

    async def main():
        with no_grad():
            inner = asyncio.create_task(work("within another", 0.01, 0.02))
        await asyncio.gather(inner, work("alone", 0.0, 0.02))

    asyncio.run(main())
    assert seen == {
        ("within another", "inside"): False,
        ("within another", "after"): False,
        ("alone", "inside"): False,
        ("alone", "after"): True,
    }
    assert (x * 2).requires_grad


def test_one_no_grad_object_serves_many_threads_and_nests():
    x, block, seen = Tensor(1.0, requires_grad=True), no_grad(), []

    def work():
        for _ in range(200):
            with block, block:
                seen.append((x * 2).requires_grad)
            seen.append(not (x * 2).requires_grad)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not any(seen)


@pytest.mark.parametrize(
    "call",
    [
        lambda m, t: m * t, lambda m, t: t * m, lambda m, t: m + t, lambda m, t: t @ m,
        lambda m, t: np.where(m > 1, m, t), lambda m, t: tg.maximum(t, m),
        lambda m, t: tg.mse(t, m), lambda m, t: np.concatenate([t, m]), lambda m, t: Tensor(m),
        lambda m, t: tg.from_numpy(m),
        # numbers that no gradient flows to: choices, labels, places, weights, seeds
        lambda m, t: tg.where(m, t, t), lambda m, t: np.where(m > 1, t, t), lambda m, t: t[m > 1],
        lambda m, t: t[m.astype(int)], lambda m, t: t[(m.astype(int),)],
        lambda m, t: tg.take(t, m.astype(int)), lambda m, t: t < m, lambda m, t: np.less(m, t.detach()),
        lambda m, t: np.bitwise_and(m > 1, t.detach() > 1), lambda m, t: (t > 1) & (m > 1),
        lambda m, t: tg.softmax_cross_entropy(tg.stack([t, t]), m.astype(int) - 1),
        lambda m, t: tg.softmax_cross_entropy(tg.stack([t, t]), [0, 1], weight=m),
        lambda m, t: tg.sigmoid_cross_entropy(t, [0.0, 1.0], pos_weight=m),
        lambda m, t: tg.nn.Embedding(3, 2, rng=0)(m.astype(int)),
        lambda m, t: tg.nn.Linear(1, 2, rng=0).load_state_dict({"bias": m}, strict=False),
        lambda m, t: tg.scaled_dot_product_attention(*[tg.stack([t, t])] * 3, mask=m * np.ones((2, 2)) > 1),
        lambda m, t: (t * 2).backward(m), lambda m, t: setattr(t, "grad", m),
        lambda m, t: setattr(t, "data", m), lambda m, t: tg.vjp(tg.exp, t.data)[1](m),
        lambda m, t: tg.jvp(tg.exp, t.data, m), lambda m, t: tg.datasets.one_hot(m.astype(int)),
        lambda m, t: tg.datasets.normalize(m), lambda m, t: tg.datasets.Batches(m, m, 1),
    ],
)  # fmt: skip
def test_a_masked_array_beside_a_tensor_is_refused(call):
    masked = np.ma.masked_array([1.0, 2.0], mask=[False, True])
    with pytest.raises(TypeError, match="mask|Tensor that requires grad"):
        call(masked, Tensor([1.0, 2.0], requires_grad=True))


def test_a_leaf_changes_in_place_inside_no_grad_only():
    p = Tensor([1.0, 2.0], requires_grad=True)
    before, memory = p, p.data
    product = (p * p).sum()
    with no_grad():
        p -= 0.5 * np.ones(2)
        p *= 2.0
    assert p is before
    assert p.data is memory
    np.testing.assert_array_equal(p.data, [1.0, 3.0])
    assert p.dtype == np.float32
    with pytest.raises(GraphError, match="in place"):
        product.backward()
    with pytest.raises(GraphError, match=r"p -= .* `with no_grad\(\):`"):
        p -= 1.0
    with no_grad(), pytest.raises(ShapeError, match=r"\(2,\) cannot hold .* \(3, 2\)"):
        p += np.ones((3, 2))
    np.testing.assert_array_equal(p.data, [1.0, 3.0])


def test_augmented_assignment_elsewhere_makes_a_new_tensor():
    p = Tensor([1.0, 2.0], requires_grad=True)
    y = q = p * 2
    y += 1
    assert y is not q
    y.sum().backward()
    np.testing.assert_array_equal(p.grad, [2.0, 2.0])
    constant = other = Tensor([1.0, 2.0])
    constant /= 2
    np.testing.assert_array_equal(other.data, [1.0, 2.0])
    np.testing.assert_array_equal(constant.data, [0.5, 1.0])


@pytest.mark.parametrize(
    "make",
    [
        lambda t: t / np.sqrt(64), lambda t: t * np.arange(3), lambda t: t * np.float64(2),
        lambda t: t + np.ones(3, bool), lambda t: np.float64(2) - t, lambda t: np.int64(3) * t,
        lambda t: t * Tensor([1, 2, 3]), lambda t: t * Tensor([True, False, True]),
        lambda t: t * [0.5, 1.0, 2.0], lambda t: np.arange(3) / t, lambda t: t ** np.float64(2),
        lambda t: np.maximum(t, np.float64(0)), lambda t: t * (t > 1), lambda t: t * t.data.mean(),
        lambda t: np.where(t > 1, t, np.float64(0)), lambda t: tg.where(t > 1, t, np.arange(3)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_only_floating_point_arrays_change_the_dtype(make, dtype):
    t = Tensor(np.array([1.0, 2.0, 3.0], dtype), requires_grad=True)
    y = make(t)
    assert y.dtype == dtype
    y.sum().backward()
    assert t.grad.dtype == dtype
    assert (t * np.asarray(t.data.mean(dtype=np.float64))).dtype == np.float64
    assert (t * np.ones(3)).dtype == np.float64


def test_bools_have_their_operators():
    a, b = Tensor([True, True, False]), np.array([True, False, False])
    assert (a & b).data.tolist() == [True, False, False]
    assert (b | a).data.tolist() == [True, True, False]
    assert (~a).data.tolist() == [False, False, True]


def test_complex_numbers_have_no_gradients():
    with pytest.raises(TypeError, match="real floating-point data, got complex128"):
        Tensor(np.ones(2, complex), requires_grad=True)
    with pytest.raises(TypeError, match="multiply: its result is complex"):
        Tensor([1.0, 2.0], requires_grad=True) * 1j


def test_convert_changes_the_dtype_of_a_leaf_in_place():
    p, frozen, counts = Tensor([1.5], requires_grad=True), Tensor([2.0]), Tensor([1, 2])
    p.grad = [1.0]
    for t in (p, frozen, counts):
        t.convert_(np.float64)
    assert (p.dtype, frozen.dtype, counts.dtype) == (np.float64,) * 3
    assert (p.requires_grad, p.is_parameter, p.grad) == (True, True, None)
    assert not frozen.is_parameter
    (p * p).sum().backward()
    assert p.grad.tolist() == [3.0]
    assert p.grad.dtype == np.float64


def test_convert_refuses_what_it_would_break():
    p = Tensor([1.5], requires_grad=True)
    y = (p * p).sum()
    with pytest.raises(GraphError, match="only a leaf"):
        y.convert_(np.float64)
    with pytest.raises(TypeError, match="floating-point dtype"):
        p.convert_(np.int32)
    p.requires_grad = False
    assert p.is_parameter, "a frozen parameter is still one"
    with pytest.raises(TypeError, match="floating-point dtype"):
        p.convert_(np.int32)
    assert p.dtype == np.float32
    p.requires_grad = True
    p.convert_(np.float64)
    with pytest.raises(GraphError, match="changed in place"):
        y.backward()
