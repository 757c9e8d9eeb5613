"""fit, evaluate, predict: the same bits from the same seed, resumed or not; early stopping; losses that blow up."""

import math

import numpy as np
import pytest

from tinygrad_mnist import (
    AnomalyError,
    CheckpointError,
    Tensor,
    checkpoint,
    mse,
    nn,
    optim,
    softmax_cross_entropy,
)
from tinygrad_mnist.train import EarlyStopping, History, evaluate, fit, predict


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
