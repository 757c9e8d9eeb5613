"""fit, evaluate, predict: the same bits from the same seed, resumed or not; early stopping; losses that blow up."""

import itertools
import math
import re
import threading

import numpy as np
import pytest

from tinygrad_mnist import (
    AnomalyError,
    CheckpointError,
    Tensor,
    checkpoint,
    detect_anomaly,
    mse,
    nn,
    optim,
    softmax_cross_entropy,
)
from tinygrad_mnist.train import EarlyStopping, History, Run, evaluate, fit, predict


def problem(n=60, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, 4)).astype(np.float32)
    return x, (x[:, 0] + x[:, 1] > 0).astype(np.int64) + (x[:, 2] > 1)


def network(seed=0):
    rng = np.random.default_rng(seed)
    return nn.Sequential(
        nn.Linear(4, 16, rng=rng),
        nn.BatchNorm1d(16),
        nn.ReLU(),
        nn.Dropout(0.2, rng=rng),
        nn.Linear(16, 3, rng=rng),
    )


def run(epochs=4, model=None, **options):
    model = network() if model is None else model
    optimizer = optim.Adam(model.parameters(), 0.02)
    schedule = optim.OneCycleLR(optimizer, 0.02, 6 * 6)
    options = {
        "validation": problem(40, 1),
        "batch_size": 10,
        "schedule": schedule,
        "progress": False,
        "rng": 5,
        **options,
    }
    return model, fit(model, softmax_cross_entropy, optimizer, problem(), epochs=epochs, **options)


def same(a, b):
    return all(
        v.tobytes() == w.tobytes()
        for v, w in zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    )


def test_the_schedule_of_another_optimizer_is_refused():
    other = optim.StepLR(optim.SGD(network().parameters(), 0.1), 1, 0.5)
    with pytest.raises(ValueError, match="schedule of this optimizer, got one of another"):
        run(1, schedule=other)


def test_it_learns_and_says_so():
    model, history = run(6)
    assert set(history) == set(History.NAMES)
    assert all(len(values) == 6 for values in history.values())
    assert history["train_loss"][-1] < history["train_loss"][0]
    metrics = evaluate(model, softmax_cross_entropy, problem(40, 1))
    assert metrics.loss == pytest.approx(history["val_loss"][-1], rel=1e-6)
    assert metrics.accuracy == history["val_accuracy"][-1] > 0.6


def test_the_same_seed_gives_the_same_bits_and_another_seed_others():
    (a, ha), (b, hb), (c, _) = run(), run(), run(rng=6)
    assert same(a, b)
    assert ha == hb
    assert not same(a, c)


@pytest.mark.parametrize("stop_after", [1, 3, 6])
def test_a_resumed_run_has_the_same_bits(tmp_path, stop_after):
    whole, history = run(6)
    run(stop_after, checkpoint=tmp_path / "c.safetensors")
    resumed, again = run(
        6, model=network(9), checkpoint=tmp_path / "c.safetensors", resume=True, rng=99
    )
    assert same(whole, resumed)
    assert again == history


def test_resume_without_a_file_starts_afresh(tmp_path):
    assert same(run(2, checkpoint=tmp_path / "none", resume=True)[0], run(2)[0])
    with pytest.raises(ValueError, match="path of a checkpoint"):
        run(2, resume=True)


@pytest.mark.parametrize("resumed", [False, True])
def test_early_stopping_restores_the_best_epoch(tmp_path, resumed):
    path = tmp_path / "c.safetensors"
    validation = (
        problem(40, 1)[0],
        np.random.default_rng(3).integers(0, 3, 40),
    )  # nothing to learn: it gets worse
    options = {"validation": validation, "early_stopping": EarlyStopping(2), "checkpoint": path}
    if resumed:
        run(2, **options)
    model, history = run(30, **options, resume=resumed)
    best = int(np.argmin(history["val_loss"]))
    assert len(history["lr"]) == best + 3 < 30
    assert evaluate(model, softmax_cross_entropy, validation).loss == pytest.approx(
        history["val_loss"][best], rel=1e-6
    )


def test_early_stopping_may_be_added_at_a_resume(tmp_path):
    options = {"validation": problem(40, 1), "checkpoint": tmp_path / "c.safetensors"}
    run(2, **options)
    assert len(run(4, **options, early_stopping=EarlyStopping(3), resume=True)[1]["lr"]) == 4


def test_early_stopping_counts_improvements():
    history = History({"val_loss": [1.0, 0.5, 0.49, 0.48], "train_accuracy": [0.1, 0.5, 0.4, 0.4]})
    assert EarlyStopping(2, min_delta=0.1).best(history) == 1
    assert EarlyStopping(2, min_delta=0.1).wants_stop(history)
    assert not EarlyStopping(2).wants_stop(history)
    assert EarlyStopping(9, metric="train_accuracy").best(history) == 1


def test_a_loss_that_blows_up_stops_and_keeps_the_last_good_epoch(tmp_path):
    path = tmp_path / "c.safetensors"
    x, y = problem()
    model = nn.Linear(4, 3, rng=0)
    calls = []

    def loss(outputs, targets):
        calls.append(1)
        return softmax_cross_entropy(
            outputs * (1.0 if len(calls) <= 6 else np.float32(np.nan)), targets
        )

    with pytest.raises(AnomalyError, match="the loss is nan.*lower learning rate"):
        fit(
            model,
            loss,
            optim.SGD(model.parameters(), 0.1),
            (x, y),
            epochs=3,
            batch_size=10,
            checkpoint=path,
            progress=False,
        )
    other = nn.Linear(4, 3, rng=1)
    assert checkpoint.load(path, other)["epoch"] == 1
    assert same(model, other)


def test_full_batch_per_example_and_regression():
    x, _ = problem(20)
    target = x[:, :1] * 2
    for batch_size in (None, 1):
        model = nn.Linear(4, 1, rng=0)
        history = fit(
            model,
            mse,
            optim.SGD(model.parameters(), 0.05),
            (x, target),
            epochs=60,
            batch_size=batch_size,
            progress=False,
            rng=0,
        )
        assert history["train_loss"][-1] < 0.05 * history["train_loss"][0]
        assert math.isnan(history["train_accuracy"][0])
        assert evaluate(model, mse, (x, target)).confusion is None


def test_evaluate_counts_classes_from_labels_and_from_one_hot_rows():
    model = nn.Linear(3, 3, bias=False, rng=0).astype(np.float64)
    model.weight.data = np.eye(3)
    x = np.eye(3)[[0, 1, 2, 2]]
    labels = np.array([0, 1, 2, 1])
    expected = [[1, 0, 0], [0, 1, 1], [0, 0, 1]]
    for targets in (labels, np.eye(3, dtype=np.float32)[labels]):
        metrics = evaluate(model, softmax_cross_entropy, (x, targets), batch_size=3)
        assert metrics.accuracy == 0.75
        assert metrics.confusion.tolist() == expected


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.uint64])
def test_labels_of_any_integer_dtype_count_the_same(dtype):
    x, model = problem()[0], nn.Linear(4, 100, rng=0)
    labels = np.random.default_rng(1).integers(0, 100, 60)
    expected, found = (
        evaluate(model, softmax_cross_entropy, (x, y)) for y in (labels, labels.astype(dtype))
    )
    assert (found.loss, found.accuracy) == (expected.loss, expected.accuracy)
    np.testing.assert_array_equal(found.confusion, expected.confusion)


def test_a_checkpoint_without_a_history_does_not_resume(tmp_path):
    path, model = tmp_path / "c.safetensors", network()
    optimizer = optim.Adam(model.parameters())
    checkpoint.save(path, model, optimizer=optimizer, metadata={"epoch": 1})
    with pytest.raises(
        CheckpointError,
        match=r"c\.safetensors: expected a checkpoint that fit wrote, got metadata of \['epoch'\]",
    ):
        run(1, model=model, checkpoint=path, resume=True, schedule=None)


def test_evaluation_changes_nothing_and_records_nothing():
    model = network()
    before = model.state_dict()
    model[3].eval()
    outputs = predict(model, problem()[0], batch_size=7)
    assert outputs.shape == (60, 3)
    np.testing.assert_allclose(outputs, predict(model, problem()[0]), rtol=1e-5, atol=1e-6)
    assert [m.training for m in model.modules()] == [True, True, True, True, False, True]
    assert all((before[k] == v).all() for k, v in model.state_dict().items())


def test_progress_prints_every_so_many_epochs(capsys):
    run(4, progress=2)
    out = capsys.readouterr()
    assert [line.split("  ")[0] for line in out.out.splitlines() if line.startswith("epoch")] == [
        "epoch 2/4",
        "epoch 4/4",
    ]
    assert "val_accuracy" in out.out
    assert "step" in out.err
    run(1)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: run(-1), "epochs of at least 0"),
        (lambda: run(1, batch_size=0), "batch_size of at least 1"),
        (
            lambda: fit(
                network(),
                mse,
                optim.SGD([Tensor(1.0)]),
                (np.ones((0, 4)), np.ones(0)),
                epochs=1,
                batch_size=1,
            ),
            "at least one example",
        ),
        (
            lambda: fit(
                network(),
                mse,
                optim.SGD([Tensor(1.0)]),
                (np.ones((3, 4)), np.ones(2)),
                epochs=1,
                batch_size=1,
            ),
            "got 3 and 2",
        ),
        (lambda: evaluate(network(), mse, (np.ones((0, 4)), np.ones(0))), "got 0 and 0"),
        (lambda: predict(network(), np.ones((2, 4)), batch_size=0), "batch_size"),
        (lambda: EarlyStopping(0), "patience"),
        (lambda: EarlyStopping(1, min_delta=-1), "min_delta"),
        (lambda: EarlyStopping(1, min_delta=math.nan), "min_delta"),
        (
            lambda: run(1, validation=None, early_stopping=EarlyStopping(1)),
            "val_loss needs validation data",
        ),
        (lambda: EarlyStopping(1, metric="f1"), "f1"),
    ],
)
def test_errors(call, words):
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.parametrize(
    ("metrics", "targets", "words"),
    [
        ([softmax_cross_entropy], np.zeros(4, int), "metrics to be a dict of names .* got a list"),
        ({"top": lambda o, t: "x"}, np.zeros(4, int), "the metric 'top' to return a number"),
        ({"top": lambda o, t: None}, np.zeros(4, int), "the metric 'top' to return a number"),
        ({}, {"a": np.zeros(4, int)}, "a tuple of them for several inputs or targets, got a dict"),
    ],
)
def test_metrics_and_targets_of_a_wrong_kind_are_named(metrics, targets, words):
    with pytest.raises(TypeError, match=words):
        fit_plain((np.ones((4, 4)), targets), metrics=metrics)


# Steps: accumulation, clipping, what on_step and on_epoch see


def plain(seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    layers = nn.Linear(4, 8, rng=rng), nn.Tanh(), nn.Linear(8, 3, rng=rng)
    return nn.Sequential(*layers).astype(dtype)


def fit_plain(data, make=lambda p: optim.SGD(p, 0.5, momentum=0.9), **options):
    model = plain()
    options = {"epochs": 3, "batch_size": 10, "progress": False, "rng": 1, **options}
    return model, fit(model, softmax_cross_entropy, make(model.parameters()), data, **options)


def double(data):
    return data[0].astype(np.float64), data[1]


def close(a, b):
    for name, array in a.state_dict().items():
        np.testing.assert_allclose(array, b.state_dict()[name], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("n", [60, 64, 55])
@pytest.mark.parametrize("clip_norm", [None, 0.1])
def test_accumulated_batches_are_one_big_batch(n, clip_norm):
    """Also where the last step of an epoch has fewer batches, or a smaller one."""
    data = double(problem(n))
    one, whole = fit_plain(data, batch_size=15, clip_norm=clip_norm)
    parts, accumulated = fit_plain(data, batch_size=5, accumulate=3, clip_norm=clip_norm)
    close(one, parts)
    np.testing.assert_allclose(accumulated["train_loss"], whole["train_loss"], rtol=1e-10)
    assert accumulated["train_accuracy"] == whole["train_accuracy"]


def test_optimizer_schedule_and_on_step_act_once_every_k_batches():
    seen, optimizers = [], []

    def make(params):
        optimizers.append(optim.SGD(params, 0.5, momentum=0.5))
        return optimizers[0]

    model = plain()
    optimizer = make(model.parameters())
    schedule = optim.StepLR(optimizer, 1, 0.5)
    fit(
        model, softmax_cross_entropy, optimizer, double(problem(58)), epochs=2, batch_size=10, accumulate=4,
        schedule=schedule, progress=False, on_step=lambda run: seen.append((run.epoch, run.step, schedule.steps)),
    )  # fmt: skip
    assert seen == [(1, 1, 1), (1, 2, 2), (2, 3, 3), (2, 4, 4)]
    assert optimizer.state_dict()["arrays"]["0.steps"] == 4


def test_clipping_is_that_of_a_loop_by_hand():
    x, y = double(problem(20))
    model, _ = fit_plain((x, y), batch_size=None, clip_norm=0.05)
    other = plain()
    optimizer = optim.SGD(other.parameters(), 0.5, momentum=0.9)
    for _ in range(3):
        optimizer.zero_grad()
        softmax_cross_entropy(other(Tensor(x)), y).backward()
        assert optim.clip_grad_norm(other.parameters(), 0.05) > 0.05
        optimizer.step()
    assert same(model, other)


def test_what_on_step_and_on_epoch_see():
    steps, epochs = [], []

    def on_step(run):
        steps.append((run.epoch, run.step, run.loss))
        assert isinstance(run, Run)
        assert len(run.history["lr"]) == run.epoch - 1

    def on_epoch(run):
        epochs.append((run.epoch, run.step, run.history["train_loss"][-1]))
        assert len(run.history["lr"]) == run.epoch
        assert f"epoch={run.epoch}, step={run.step}" in repr(run)

    model = network()
    optimizer = optim.SGD(model.parameters(), 0.1)
    history = fit(
        model, softmax_cross_entropy, optimizer, problem(), epochs=2, batch_size=20, progress=False,
        on_step=on_step, on_epoch=lambda run: (on_epoch(run), epochs.append((run.model, run.optimizer))),
    )  # fmt: skip
    assert [pair[:2] for pair in steps] == [(1, 1), (1, 2), (1, 3), (2, 4), (2, 5), (2, 6)]
    means = [np.mean([loss for epoch, _, loss in steps if epoch == e]) for e in (1, 2)]
    np.testing.assert_allclose(history["train_loss"], means)
    assert [e[:2] for e in epochs[::2]] == [(1, 3), (2, 6)]
    assert epochs[1] == (model, optimizer)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_the_loss_of_a_step_is_the_mean_over_its_examples(accumulate):
    losses = []
    _, history = fit_plain(
        double(problem(25)),
        epochs=1,
        accumulate=accumulate,
        on_step=lambda run: losses.append(run.loss),
    )
    sizes = [10, 10, 5] if accumulate == 1 else [20, 5]
    assert np.average(losses, weights=sizes) == pytest.approx(history["train_loss"][0])


def test_stop_ends_the_training_after_the_step_or_the_epoch(tmp_path):
    path = tmp_path / "c.safetensors"
    taken = []

    def stop_at_4(run):
        taken.append(run.step)
        if run.step == 4:
            run.stop()

    model, history = run(9, batch_size=20, on_step=stop_at_4, checkpoint=path)
    assert taken == [1, 2, 3, 4]
    assert len(history["lr"]) == 2, "an epoch that is cut short is recorded"
    assert all(math.isfinite(column[-1]) for column in history.values())
    _, history = run(9, on_epoch=lambda r: r.stop() if r.epoch == 3 else None)
    assert len(history["lr"]) == 3
    model, history = run(3, model=model, batch_size=20, checkpoint=path, resume=True)
    assert len(history["lr"]) == 3, "a run that was stopped goes on when it is resumed"


def test_an_error_in_a_callback_is_the_users():
    def fail(run):
        raise ZeroDivisionError("on purpose")

    for name in ("on_step", "on_epoch"):
        with pytest.raises(ZeroDivisionError, match="on purpose"):
            run(1, **{name: fail})


def test_the_rate_of_history_is_that_of_the_epochs_last_step():
    model = network()
    optimizer = optim.SGD(model.parameters(), 0.8)
    used = []
    step = optimizer.update
    optimizer.update = lambda: (used.append(optimizer.lr), step())
    history = fit(
        model, softmax_cross_entropy, optimizer, problem(), epochs=3, batch_size=20, progress=False,
        schedule=optim.StepLR(optimizer, 1, 0.5),
    )  # fmt: skip
    assert used == [0.8 * 0.5**i for i in range(9)]
    assert history["lr"] == used[2::3]


# What fit says before it begins


def untouched(call, model):
    """Return the state before, and assert that the call leaves it."""
    before = model.state_dict()
    generators = [g.bit_generator.state for _, g in model.named_generators()]
    call()
    assert all((model.state_dict()[k] == v).all() for k, v in before.items())
    assert [g.bit_generator.state for _, g in model.named_generators()] == generators


def test_an_optimizer_of_another_model_is_refused():
    model, other = network(), network()
    with pytest.raises(
        ValueError, match=r"none of the model's 6 parameters; make it of this model, by Adam\("
    ):
        fit(
            model, softmax_cross_entropy, optim.Adam(other.parameters()), problem(), epochs=1, batch_size=10,
            progress=False,
        )  # fmt: skip


def test_parameters_that_the_optimizer_does_not_have_are_a_warning_unless_frozen():
    def train(frozen):
        model = network()
        for p in model[0].parameters():
            p.requires_grad = not frozen
        before = model[0].weight.data.copy()
        optimizer = optim.SGD([*model[1].parameters(), *model[4].parameters()], 0.1)
        fit(
            model,
            softmax_cross_entropy,
            optimizer,
            problem(),
            epochs=1,
            batch_size=10,
            progress=False,
        )
        assert (model[0].weight.data == before).all()

    train(frozen=True)
    with pytest.warns(
        UserWarning, match="does not have the parameter.s. 0.weight, 0.bias, which"
    ) as seen:
        train(frozen=False)
    assert seen[0].filename == __file__


@pytest.mark.parametrize("as_batches", [False, True])
def test_a_metric_that_is_never_measured_ends_before_the_first_step(as_batches):
    x, _ = problem()
    y = x[:, :1] * 2
    data = [(x, y)] if as_batches else (x, y)
    model = nn.Linear(4, 1, rng=0)

    def train(metric):
        fit(
            model, mse, optim.SGD(model.parameters(), 0.1), data, validation=data, epochs=9, batch_size=10,
            progress=False, early_stopping=EarlyStopping(3, metric=metric),
        )  # fmt: skip

    for metric in ("val_accuracy", "train_accuracy"):
        with pytest.raises(
            ValueError, match=f"by {metric} needs classes, but these targets have none"
        ):
            untouched(lambda metric=metric: train(metric), model)
    train("val_loss")


def test_a_metric_of_ones_own_that_is_nan_from_the_start_is_never_measured():
    stopping = EarlyStopping(2, metric="train_f", mode="max")
    with pytest.raises(ValueError, match="by train_f needs a number, but it is nan after epoch 1"):
        run(9, metrics={"f": lambda o, t: math.nan}, early_stopping=stopping)
    values = iter([0.5, *[math.nan] * 40])
    _, history = run(
        9, metrics={"f": lambda o, t: next(values)}, early_stopping=stopping, batch_size=None
    )
    assert len(history["lr"]) == 3, "later, it is an epoch without improvement"


def test_validation_data_are_looked_at_before_the_first_epoch():
    model = network()
    x, y = problem()
    for validation, error in (
        ((x, y[:5]), ValueError),
        (x, TypeError),
        ((x[:0], y[:0]), ValueError),
    ):
        with pytest.raises(error, match="^fit: expected"):
            untouched(lambda v=validation: run(1, model=model, validation=v), model)


def test_a_single_example_left_over_is_refused_where_the_model_fails_on_it():
    model = network()
    with pytest.raises(
        ValueError, match="a single example, and the model fails on it: .*drop_last=True"
    ):
        untouched(lambda: run(1, model=model, batch_size=59), model)
    for options in ({"batch_size": 59, "drop_last": True}, {"batch_size": 58}):
        _, history = run(2, **options)
        assert len(history["lr"]) == 2
    plain = nn.Linear(4, 3, rng=0)  # a batch of one is nothing special to it
    optimizer = optim.Adam(plain.parameters(), 0.1)
    assert fit(
        plain, softmax_cross_entropy, optimizer, problem(), epochs=1, batch_size=59, progress=False
    )


def test_batch_norm_over_places_takes_a_single_example():
    rng = np.random.default_rng(0)
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3, rng=rng), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 2, rng=rng)
    )
    x = rng.standard_normal((5, 1, 4, 4)).astype(np.float32)
    history = fit(
        model, softmax_cross_entropy, optim.SGD(model.parameters(), 0.1), (x, np.arange(5) % 2), epochs=1,
        batch_size=4, progress=False,
    )  # fmt: skip
    assert len(history["lr"]) == 1


def test_a_missing_folder_is_noticed_before_the_first_epoch(tmp_path):
    model = network()
    with pytest.raises(FileNotFoundError, match="expected the folder .*nowhere for the checkpoint"):
        untouched(lambda: run(1, model=model, checkpoint=tmp_path / "nowhere/c"), model)


def test_lines_of_progress_align_and_say_how_long_an_epoch_takes(capsys):
    values = itertools.cycle([-12345.678, 0.5, -1e-5, 0])
    run(12, progress=1, validation=None, metrics={"f": lambda o, t: next(values)}, batch_size=None)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("epoch")]
    assert len(lines) == 12
    assert all(line.endswith(" s an epoch") for line in lines)
    for word in ("train_loss", "train_accuracy", "train_f", r"\d+\.\d\d s an epoch"):
        assert len({re.search(word, line).start() for line in lines}) == 1, word
    assert lines[0].split("  ")[0] == "epoch 1/12"


def test_a_notebook_shows_a_history_as_a_table():
    history = History({"train_<b>": [0.25], "lr": [0.1], "val_loss": [math.nan]}, ["val_x"])
    html = history._repr_html_()
    assert html.count("<tr>") == 2
    assert "<th>train_&lt;b&gt;</th>" in html
    assert "<td>0.25</td>" in html
    assert "val_loss" not in html, "what was never measured is left out"
    assert "<table>" in History()._repr_html_()


def test_other_threads_may_predict_and_evaluate_meanwhile():
    """Neither the training nor their answers feel it."""
    alone, history = run(4)
    other, still = run(1)[0], predict(run(1)[0], problem()[0])
    model, wrong, done = network(), [], threading.Event()

    def ask():
        while not done.is_set():
            predict(model, problem()[0])
            evaluate(model, softmax_cross_entropy, problem())
            if not np.array_equal(predict(other, problem()[0]), still):
                wrong.append("another answer")

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        _, found = run(4, model=model)
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert same(model, alone)
    assert found == history
    assert not wrong


def test_the_first_loss_is_seen_by_detect_anomaly_too():
    model = plain()
    optimizer = optim.SGD(model.parameters(), 0.1)
    with detect_anomaly(), pytest.raises(AnomalyError, match="log: forward gave -inf"):
        fit(model, lambda o, t: (o * 0).log().sum(), optimizer, problem(), epochs=1, batch_size=9)
