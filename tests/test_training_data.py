"""What fit, evaluate and predict take and score: arrays and batches, several inputs and outputs, answers, metrics."""

import functools
import math

import numpy as np
import pytest

import tinygrad_mnist as tg
from tinygrad_mnist import ShapeError, Tensor, apply, mse, nn, optim, softmax_cross_entropy
from tinygrad_mnist.datasets import Batches
from tinygrad_mnist.train import EarlyStopping, evaluate, fit, predict


def problem(n=60, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, 4)).astype(np.float32)
    return x, (x[:, 0] + x[:, 1] > 0).astype(np.int64) + (x[:, 2] > 1)


def network(seed=0, out=3):
    rng = np.random.default_rng(seed)
    return nn.Sequential(nn.Linear(4, 8, rng=rng), nn.Tanh(), nn.Linear(8, out, rng=rng))


def train(data, model=None, loss=softmax_cross_entropy, lr=0.1, **options):
    model = network() if model is None else model
    options = {"epochs": 2, "batch_size": 10, "progress": False, "rng": 3, **options}
    return model, fit(model, loss, optim.SGD(model.parameters(), lr), data, **options)


def bits(model):
    return {name: a.tobytes() for name, a in model.state_dict().items()}


# Where batches come from


class Loader:
    """What a user writes: something that yields batches, and knows how many."""

    def __init__(self, batches, length=None):
        self.batches, self.length = batches, len(batches) if length is None else length

    def __iter__(self):
        yield from self.batches

    def __len__(self):
        return self.length


def in_batches(x, y, size=10):
    return [(x[i : i + size], y[i : i + size]) for i in range(0, len(x), size)]


def unshuffled(x, y, epochs=2):
    """The same training by hand."""
    model = network()
    optimizer = optim.SGD(model.parameters(), 0.1)
    for _ in range(epochs):
        for a, b in in_batches(x, y):
            optimizer.zero_grad()
            softmax_cross_entropy(model(Tensor(a)), b).backward()
            optimizer.step()
    return model


@pytest.mark.parametrize(
    "make",
    [
        lambda x, y: in_batches(x, y),
        lambda x, y: tuple(in_batches(x, y)),
        lambda x, y: Loader(in_batches(x, y)),
        lambda x, y: Loader([(x[:10].tolist(), y[:10].tolist()), *in_batches(x, y)[1:]]),
        lambda x, y: Loader([(Tensor(a), Tensor(b)) for a, b in in_batches(x, y)]),
        lambda x, y: Loader([[(a,), b] for a, b in in_batches(x, y)]),
        lambda x, y: Batches(x, y, 10, shuffle=False),
    ],
)
def test_any_iterable_of_batches_is_taken_as_it_comes(make):
    x, y = problem(55)
    model, history = train(make(x, y), validation=make(x, y), metrics={"size": lambda o, t: len(t)})
    by_hand = unshuffled(x, y)
    for name, a in by_hand.state_dict().items():
        np.testing.assert_allclose(model.state_dict()[name], a, rtol=1e-5, atol=1e-6)
    assert history["train_size"] == [(5 * 10 * 10 + 5 * 5) / 55] * 2, "a mean over examples"
    assert history["val_loss"][-1] == pytest.approx(
        float(softmax_cross_entropy(model(Tensor(x)), y).item()), rel=1e-5
    )


def test_shuffled_batches_are_the_arrays(tmp_path):
    x, y = problem()
    whole, history = train((x, y), epochs=4, rng=5)
    again, same = train(Batches(x, y, 10, rng=5), epochs=4, rng=None)
    assert bits(whole) == bits(again)
    assert history == same
    files = {"checkpoint": tmp_path / "c.safetensors"}
    train(Batches(x, y, 10, rng=5), **files)
    resumed, _ = train(Batches(x, y, 10, rng=99), epochs=4, resume=True, **files)
    assert bits(whole) == bits(resumed), "the generator of Batches is kept"


@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        (np.ones((4, 4)), TypeError, r"expected \(inputs, targets\), or an iterable of batches"),
        (Tensor(np.ones((4, 4))), TypeError, "got a Tensor"),
        (5, TypeError, "got a int"),
        ("mnist", TypeError, "got a str"),
        (iter([]), TypeError, "batches with a length, got a list_iterator; give its class a __len"),
        ((b for b in ()), TypeError, "got a generator"),
        ([], ValueError, "at least one example, got 0 batches"),
        ([np.ones((2, 4))], TypeError, r"a pair \(inputs, targets\), got a ndarray"),
        (
            [(np.ones((2, 4)), np.ones(2), np.ones(2))],
            TypeError,
            "got a tuple of 3; several inputs",
        ),
        ([(np.ones((0, 4)), np.ones(0))], ValueError, r"inputs of \(0, 4\)"),
        ([(np.float32(3), 1)], ValueError, r"batches of examples, got inputs of \(\)"),
        (Loader(in_batches(*problem()), 7), ValueError, "expected 7 batches, its len, got 6"),
        (Loader(in_batches(*problem()), 5), ValueError, "expected 5 batches, its len, got more"),
        ((problem()[0], problem()[1][:59]), ValueError, "got 60 and 59"),
        (((problem()[0], problem()[0][:5]), problem()[1]), ValueError, "got 60 and 5 and 60"),
        ((np.float32(1), np.float32(1)), ValueError, r"as many inputs as targets, got \(\) and"),
        ((np.ma.masked_array(problem()[0]), problem()[1]), TypeError, "mask, which would be lost"),
        (Batches(np.ones((0, 4)), np.ones(0), 2), ValueError, "at least one example"),
    ],
)
def test_wrong_data(data, error, words):
    with pytest.raises(error, match=words):
        train(data)


def test_a_pair_of_lists_is_data_and_a_list_of_two_arrays_too():
    x, y = problem()
    expected = bits(train((x, y))[0])
    assert bits(train(([row.tolist() for row in x], y.tolist()))[0]) == expected
    assert bits(train([x, y])[0]) == expected


def test_drop_last_leaves_out_the_smaller_batch():
    steps = []
    _, history = train(problem(59), drop_last=True, on_step=lambda run: steps.append(run.step))
    assert steps == list(range(1, 11))
    assert len(history["lr"]) == 2
    with pytest.raises(ValueError, match="got 9 examples with batch_size=10 and drop_last=True"):
        train(problem(9), drop_last=True)
    with pytest.raises(
        ValueError, match="drop_last is for arrays; a list makes batches of its own"
    ):
        train(in_batches(*problem()), drop_last=True)


# Several inputs, several outputs


class Two(nn.Module):
    """Two inputs, two outputs."""

    def __init__(self, kind=tuple):
        self.a, self.b, self.kind = nn.Linear(4, 3, rng=0), nn.Linear(2, 1, rng=1), kind

    def forward(self, left, right):
        outputs = self.a(left), self.b(right)
        if self.kind is dict:
            return dict(zip(("class", "value"), outputs, strict=True))
        return self.kind(outputs)


def two_losses(outputs, targets):
    first, second = outputs.values() if isinstance(outputs, dict) else outputs
    return softmax_cross_entropy(first, targets[0]) + mse(second, targets[1])


@pytest.mark.parametrize("kind", [tuple, list, dict])
@pytest.mark.parametrize("as_batches", [False, True])
def test_several_inputs_outputs_and_targets(kind, as_batches):
    x, y = problem()
    right = x[:, 2:] * 2
    data = ((x, right), (y, right[:, :1]))
    if as_batches:
        data = [
            ((a, b), (c, d))
            for a, b, c, d in zip(
                *(np.split(v, 6) for v in (x, right, y, right[:, :1])), strict=True
            )
        ]
    seen = []

    def second(outputs, targets):
        part = outputs["value"] if kind is dict else outputs[1]
        seen.append(part.requires_grad)
        return mse(part, targets[1])

    model, history = train(
        data, Two(kind), two_losses, epochs=10, validation=data, metrics={"value_mse": second}
    )
    assert history["train_loss"][-1] < history["train_loss"][0] / 2
    assert math.isnan(history["val_accuracy"][0]), "of two outputs, none is the answer"
    assert not any(seen), "a metric gets Tensors without a graph"
    found = evaluate(model, two_losses, data, batch_size=7)
    assert found.loss == pytest.approx(history["val_loss"][-1], rel=1e-5)
    assert found.confusion is None
    outputs = predict(model, (x, right), batch_size=7)
    first, value = outputs.values() if kind is dict else outputs
    assert (first.shape, value.shape) == ((60, 3), (60, 1))
    np.testing.assert_allclose(value, model.b(Tensor(right)).data, rtol=1e-5)


def test_predict_checks_its_inputs():
    with pytest.raises(ValueError, match=r"of one length, got shapes \(2, 4\), \(3, 2\)"):
        predict(Two(), (np.ones((2, 4)), np.ones((3, 2))))
    assert predict(network(), np.ones((0, 4), np.float32)).shape == (0, 3)


# Accuracy


def _sigmoid_cross_entropy(z, *, y):
    p = 1 / (1 + np.exp(-z))
    n = z.size

    def vjp(g, needs):
        return ((p - y) * (g / n),)

    return np.asarray(np.mean(np.logaddexp(0, z) - y * z), z.dtype), vjp


def sigmoid_loss(logits, targets):
    return apply(_sigmoid_cross_entropy, logits, y=targets)


BINARY_LOSSES = [(sigmoid_loss, 0.0), (lambda o, y: sigmoid_loss(o, y) * 2.0, 0.0), (mse, 0.5)]
if hasattr(tg, "sigmoid_cross_entropy"):
    BINARY_LOSSES += [
        (tg.sigmoid_cross_entropy, 0.0),
        (functools.partial(tg.sigmoid_cross_entropy, reduction="mean"), 0.0),
        (lambda o, y: tg.sigmoid_cross_entropy(o, y, reduction="sum") / len(y), 0.0),
    ]


@pytest.mark.parametrize(("loss", "threshold"), BINARY_LOSSES)
@pytest.mark.parametrize("as_batches", [False, True])
def test_one_output_with_binary_targets_has_an_accuracy(loss, threshold, as_batches):
    x, y = problem()
    y = (y > 0).astype(np.float32)[:, np.newaxis]
    data = in_batches(x, y) if as_batches else (x, y)
    model, history = train(data, network(out=1), loss, lr=0.0, validation=data)
    outputs = predict(model, x)
    right = ((outputs > threshold) == y).mean()
    assert 0 < right < 1
    assert right != ((outputs > 0.5 - threshold) == y).mean(), "else this shows nothing"
    assert history["train_accuracy"][0] == pytest.approx(right)
    assert history["val_accuracy"][0] == right
    found = evaluate(model, loss, data)
    assert found.accuracy == right
    assert found.confusion.sum() == 60
    assert found.confusion[1, 1] == ((outputs > threshold) & (y == 1)).sum()


def test_outputs_without_a_second_axis_are_binary_too():
    class Flat(nn.Module):
        def __init__(self):
            self.linear = nn.Linear(4, 1, rng=0)

        def forward(self, x):
            return self.linear(x).reshape(-1)

    x, y = problem()
    for dtype in (np.float32, np.int64, bool):
        targets = (y > 0).astype(dtype)
        found = evaluate(Flat(), lambda o, t: mse(o, t.astype(np.float32)), (x, targets))
        assert found.accuracy == ((predict(Flat(), x) > 0.5) == targets).mean()


@pytest.mark.parametrize("columns", [1, 2])
@pytest.mark.parametrize("as_batches", [False, True])
def test_a_regression_has_no_accuracy(columns, as_batches):
    x, _ = problem()
    y = x[:, :columns] * 2
    y[0] = 1  # by chance, a batch of one may look like classes
    data = in_batches(x, y, 4) if as_batches else (x, y)
    _, history = train(data, network(out=columns), mse, validation=data, batch_size=4)
    assert np.isnan(history["train_accuracy"]).all()
    assert np.isnan(history["val_accuracy"]).all()


def test_rows_are_classes_where_they_are_probabilities_or_have_one_high_entry():
    x, y = problem()
    for rows in (np.eye(3)[y], np.eye(3)[y] * 2 - 1, np.eye(3)[y] * 0.7 + 0.1):
        found = evaluate(network(), mse, (x, rows.astype(np.float32)))
        assert found.accuracy == (predict(network(), x).argmax(axis=1) == y).mean()
    several = np.eye(3)[y] + np.eye(3)[::-1][y]
    assert math.isnan(evaluate(network(), mse, (x, several.astype(np.float32))).accuracy)


class ByPosition(nn.Module):
    """Logits (N, T, C), as of a sequence."""

    def __init__(self):
        self.linear = nn.Linear(4, 3, rng=0)

    def forward(self, x):
        return self.linear(x)


def sequence_loss(logits, labels, ignore=None):
    flat, y = logits.reshape(-1, 3), labels.ravel()
    kept = np.flatnonzero(y != ignore)
    return softmax_cross_entropy(flat[kept], y[kept])


def test_sequences_count_each_position_and_leave_out_what_the_loss_ignores():
    x, y = problem()
    x, y = x.reshape(12, 5, 4), y.reshape(12, 5)
    right = predict(ByPosition(), x).argmax(axis=-1) == y
    found = evaluate(ByPosition(), sequence_loss, (x, y), batch_size=5)
    assert found.accuracy == right.mean()
    assert found.confusion.sum() == 60
    padded = y.copy()
    padded[:, -1] = -1
    loss = functools.partial(sequence_loss, ignore=-1)
    found = evaluate(ByPosition(), loss, (x, padded))
    assert found.accuracy == right[:, :-1].mean()
    assert found.confusion.sum() == 48
    _, history = train((x, padded), ByPosition(), loss, lr=0.0, batch_size=12)
    assert history["train_accuracy"][0] == right[:, :-1].mean()


@pytest.mark.parametrize("label", [-1, 3, 100])
def test_a_label_that_is_none_of_the_classes_is_named(label):
    x, y = problem()
    y[7] = label

    def careless(outputs, targets):
        return (outputs * 0.5).mean()

    before = bits(network())
    for run in (evaluate, lambda model, loss, data: train(data, model, loss)):
        model = network()
        with pytest.raises(ValueError, match=rf"expected labels in \[0, 3\), got {label}"):
            run(model, careless, (x, y))
        with pytest.raises(ValueError, match=rf"labels in \[0, 3\), got {label} at position 7"):
            evaluate(model, softmax_cross_entropy, (x, y))
        assert bits(model) == before


def test_a_confusion_matrix_of_very_many_classes_is_left_out():
    model = nn.Linear(4, 1001, rng=0)
    x, y = problem()
    found = evaluate(model, softmax_cross_entropy, (x, y))
    assert found.confusion is None
    assert found.accuracy == (predict(model, x).argmax(axis=1) == y).mean()


# Means


def test_a_mean_weighted_by_class_does_not_depend_on_the_batch_size():
    x, y = problem()
    loss = functools.partial(softmax_cross_entropy, weight=[0.1, 1.0, 20.0])
    expected = float(loss(network()(Tensor(x)), y).item())
    for size in (1, 7, 60, 1000):
        assert evaluate(network(), loss, (x, y), batch_size=size).loss == pytest.approx(
            expected, rel=1e-6
        )
    assert evaluate(network(), loss, in_batches(x, y, 11)).loss == pytest.approx(expected, rel=1e-6)


def test_outputs_of_several_shapes_are_measured_batch_by_batch():
    class PerPosition(nn.Module):
        def __init__(self):
            self.linear = nn.Linear(4, 3, rng=0)

        def forward(self, x):
            return self.linear(x)

    rng = np.random.default_rng(0)
    batches = [
        (rng.standard_normal((n, t, 4)).astype(np.float32), rng.integers(0, 3, (n, t)))
        for n, t in ((4, 2), (2, 5))
    ]
    losses = [sequence_loss(PerPosition()(Tensor(x)), y).item() for x, y in batches]
    found = evaluate(PerPosition(), sequence_loss, batches)
    assert found.loss == pytest.approx((4 * losses[0] + 2 * losses[1]) / 6)
    assert found.confusion.sum() == 18
    _, history = train(batches, PerPosition(), sequence_loss)
    assert len(history["train_accuracy"]) == 2


def test_outputs_that_do_not_begin_with_the_examples_are_not_joined():
    class TimeFirst(nn.Module):
        def forward(self, x):
            return x.transpose(1, 0, 2)

    x = np.random.default_rng(0).standard_normal((6, 4, 2)).astype(np.float32)
    found = evaluate(
        TimeFirst(), lambda o, t: (o.transpose(1, 0, 2) - t).abs().mean(), (x, x * 2), batch_size=4
    )
    assert found.loss == pytest.approx(np.abs(x).mean(), rel=1e-5)


def test_metrics_are_means_over_examples():
    x, y = problem(35)

    def share_of_ones(outputs, targets):
        return (np.argmax(outputs, axis=1) == 1).astype(float)  # one number for each example

    model, history = train(
        (x, y),
        lr=0.0,
        validation=problem(40, 1),
        metrics={
            "ones": share_of_ones,
            "labels": lambda o, t: float(np.mean(t)),
            "spread": lambda o, t: o.max() - o.min(),
        },
    )
    predicted = predict(model, x).argmax(axis=1)
    assert history["train_ones"][0] == pytest.approx((predicted == 1).mean())
    assert history["train_labels"][1] == pytest.approx(y.mean())
    assert history["val_labels"][1] == pytest.approx(problem(40, 1)[1].mean())
    assert history["val_spread"][0] == pytest.approx(np.ptp(predict(model, problem(40, 1)[0])))
    assert "val_ones" in history.last()


@pytest.mark.parametrize(
    ("metrics", "error", "words"),
    [
        ({"accuracy": max}, ValueError, "other names of metrics than fit's own, got 'accuracy'"),
        ({"f1": 0.5}, TypeError, "functions of .outputs, targets., got 'f1': 0.5"),
        ({1: max}, TypeError, "map names to functions"),
        (
            {"m": lambda o, t: np.ones((3, 2))},
            TypeError,
            r"'m' to return a number, or one for each example, .* \(3, 2\)",
        ),
        ({"m": lambda o, t: np.ones((len(t), len(t)))}, TypeError, "one for each example"),
    ],
)
def test_wrong_metrics(metrics, error, words):
    with pytest.raises(error, match=words):
        train(problem(), metrics=metrics)


def test_early_stopping_by_a_metric_of_ones_own():
    values = iter([1.0, 3.0, 2.0, 1.0, 0.5, 0.25])

    def metric(outputs, targets):
        return next(values)

    stopping = EarlyStopping(2, metric="train_score", mode="max", restore_best=False)
    _, history = train(
        problem(), metrics={"score": metric}, epochs=6, batch_size=None, early_stopping=stopping
    )
    assert history["train_score"] == [1.0, 3.0, 2.0, 1.0]
    with pytest.raises(ValueError, match="by val_f1 needs a metric that is measured, which are tr"):
        train(problem(), early_stopping=EarlyStopping(2, metric="val_f1", mode="max"))
    with pytest.raises(ValueError, match='mode="max" or mode="min" for val_f1'):
        EarlyStopping(2, metric="val_f1")
    assert EarlyStopping(2, metric="val_rmse").mode == "min"
    with pytest.raises(ValueError, match="'up'"):
        EarlyStopping(2, mode="up")


# Wrong kinds


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (
            lambda m, d: fit(m, "mse", optim.SGD(m.parameters()), d, epochs=1, batch_size=2),
            TypeError,
            r"function of \(outputs, targets\), such as tinygrad_mnist.mse, got 'mse'",
        ),
        (
            lambda m, d: evaluate(m, nn.ReLU, d),
            TypeError,
            "evaluate: expected the loss .* got ReLU",
        ),
        (lambda m, d: evaluate(nn.Linear, mse, d), TypeError, r"the class Linear; make one by Lin"),
        (
            lambda m, d: evaluate(len, mse, d),
            TypeError,
            "expected a model, an nn.Module, got a bui",
        ),
        (lambda m, d: train(d, m, lambda o, t: 0.5), TypeError, "to return a Tensor, got a float"),
        (lambda m, d: train(d, m, lambda o, t: None), TypeError, "return a Tensor, got a NoneType"),
        (lambda m, d: train(d, m, lambda o, t: o), ShapeError, r"a scalar, got shape \(10, 3\)"),
        (
            lambda m, d: fit(m, mse, "adam", d, epochs=1, batch_size=2),
            TypeError,
            "optimizer of the class Optimizer, got 'adam'",
        ),
        (
            lambda m, d: train(d, m, schedule="cosine"),
            TypeError,
            "schedule of the class Schedule, got 'cosine'",
        ),
        (
            lambda m, d: train(d, m, early_stopping=3),
            TypeError,
            "early_stopping of the class EarlyStopping, got 3",
        ),
        (
            lambda m, d: train(d, m, on_step=3),
            TypeError,
            "on_step to be a function of a Run, got 3",
        ),
        (lambda m, d: train(d, m, clip_norm=0), ValueError, "clip_norm above 0, got 0"),
        (lambda m, d: train(d, m, accumulate=0), ValueError, "accumulate of at least 1"),
        (lambda m, d: train(d, m, accumulate=1.5), TypeError, "1.5"),
    ],
)
def test_wrong_kinds_are_one_sentence(call, error, words):
    model = network()
    before = bits(model)
    with pytest.raises(error, match=words) as caught:
        call(model, problem())
    assert caught.type is error
    assert bits(model) == before


def test_a_loss_wider_than_the_parameters_is_a_warning():
    x, y = problem()
    with pytest.warns(
        UserWarning, match="the loss is float64 though the parameters are float32"
    ) as seen:
        train((x.astype(np.float64), y))
    assert len(seen) == 1
    assert seen[0].filename == __file__
