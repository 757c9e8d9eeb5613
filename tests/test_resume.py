"""Runs that end early and go on: the last good epoch, the same bits, new settings, and two files that belong together."""

import math
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from helpers import ROOT

from tinygrad_mnist import (
    AnomalyError,
    CheckpointError,
    checkpoint,
    mse,
    nn,
    optim,
    softmax_cross_entropy,
)
from tinygrad_mnist.train import EarlyStopping, evaluate, fit

PATH = "c.safetensors"


def problem(n=60, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, 4)).astype(np.float32)
    return x, (x[:, 0] + x[:, 1] > 0).astype(np.int64) + (x[:, 2] > 1)


def network(seed=0):
    rng = np.random.default_rng(seed)
    return nn.Sequential(
        nn.Linear(4, 16, rng=rng), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2, rng=rng), nn.Linear(16, 3, rng=rng)
    )  # fmt: skip


NOISE = (
    problem(40, 1)[0],
    np.random.default_rng(3).integers(0, 3, 40),
)  # nothing to learn: it gets worse


def run(folder, epochs, seed=0, make=None, schedule=None, **options):
    """Train, with all that has a state."""
    model = network(seed)
    optimizer = optim.AdamW(model.parameters(), 0.02) if make is None else make(model.parameters())
    options = {
        "validation": problem(40, 1), "batch_size": 10, "accumulate": 4, "progress": False, "rng": 5,
        "checkpoint": None if folder is None else folder / PATH, **options,
    }  # fmt: skip
    if schedule is not None:
        options["schedule"] = schedule(optimizer)
    history = fit(model, softmax_cross_entropy, optimizer, problem(), epochs=epochs, **options)
    return model, history, optimizer


def bits(model):
    return {name: a.tobytes() for name, a in model.state_dict().items()}


def same_numbers(a, b):
    np.testing.assert_equal(dict(a), dict(b))


# The last good epoch


def full_batch(folder, lr, epochs=400, **options):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((20, 3)).astype(np.float32)
    model = nn.Linear(3, 1, rng=0)
    return fit(
        model, mse, optim.SGD(model.parameters(), lr), (x, x[:, :1] * 2), epochs=epochs, batch_size=None,
        checkpoint=folder / PATH, progress=False, **options,
    )  # fmt: skip


@pytest.mark.parametrize("lr", [10.0, 1e3, 1e18, 1e30, 3e38])
def test_after_an_anomaly_the_checkpoint_has_finite_parameters_and_losses(tmp_path, lr):
    """In one epoch of one step, the loss is finite before the step, and the parameters may not be after it."""
    by_hand, x = (
        nn.Linear(3, 1, rng=0),
        np.random.default_rng(0).standard_normal((20, 3)).astype(np.float32),
    )
    optimizer, good = optim.SGD(by_hand.parameters(), lr), 0
    states = [by_hand.state_dict()]
    with np.errstate(all="ignore"):
        while True:
            optimizer.zero_grad()
            loss = mse(by_hand(np.asarray(x)), x[:, :1] * 2)
            if not math.isfinite(loss.item()):
                break
            loss.backward()
            optimizer.step()
            if not all(np.isfinite(p.data).all() for p in by_hand.parameters()):
                break
            good += 1
            states.append(by_hand.state_dict())
        with pytest.raises(AnomalyError, match="lower learning rate"):
            full_batch(tmp_path, lr)
    model = nn.Linear(3, 1, rng=9)
    if good == 0:
        assert not (tmp_path / PATH).exists()
        return
    about = checkpoint.load(tmp_path / PATH, model)
    assert about["epoch"] == good
    np.testing.assert_equal(model.state_dict(), states[good])
    assert np.isfinite(about["history"]["train_loss"]).all()


def test_parameters_after_the_last_step_are_looked_at(tmp_path):
    def spoil(run):
        if run.step == 12:
            run.model[0].weight.data[0, 0] = np.nan

    with pytest.raises(
        AnomalyError, match="parameter 0 of the optimizer, of shape .*after epoch 2"
    ):
        run(tmp_path, 3, accumulate=1, on_step=spoil)
    model = network(9)
    assert checkpoint.load(tmp_path / PATH, model)["epoch"] == 1
    assert all(np.isfinite(p.data).all() for p in model.parameters())


def test_large_finite_parameters_are_no_anomaly():
    model = nn.Linear(4, 3, bias=False, rng=0)
    model.weight.data[...] = 3e38  # whose sum is infinite
    optimizer = optim.SGD(model.parameters(), 0.0)
    fit(
        model,
        lambda o, t: (o * 0).sum(),
        optimizer,
        (np.zeros((4, 4), np.float32), np.zeros(4, int)),
        epochs=1,
        batch_size=2,
        progress=False,
    )


def test_a_validation_loss_that_is_not_finite_is_an_anomaly(tmp_path):
    calls = []

    def loss(outputs, targets):
        value = softmax_cross_entropy(outputs, targets)
        if len(targets) == 40:
            calls.append(1)
            return value * (np.float32(np.nan) if len(calls) == 3 else 1.0)
        return value

    model = network()
    with pytest.raises(AnomalyError, match="validation loss is nan after epoch 3"):
        fit(
            model, loss, optim.SGD(model.parameters(), 0.1), problem(), validation=problem(40, 1), epochs=9,
            batch_size=10, progress=False, checkpoint=tmp_path / PATH, early_stopping=EarlyStopping(2),
        )  # fmt: skip
    assert checkpoint.load(tmp_path / PATH, network(9))["epoch"] == 2


# The same bits, with everything that has a state


SETTINGS = {
    "early stopping": {"early_stopping": EarlyStopping(3), "validation": NOISE},
    "schedule": {"schedule": lambda o: optim.OneCycleLR(o, 0.02, 12, warmup=2)},
    "callbacks": {"on_epoch": lambda r: setattr(r.optimizer, "lr", 0.9 * r.optimizer.lr)},
    "groups": {
        "make": lambda p: optim.SGD([{"params": q, "lr": 0.1 / (i + 1)} for i, q in enumerate(p)], 0.1, momentum=0.9)
    },
    "metrics": {"metrics": {"spread": lambda o, t: o.max() - o.min()}, "clip_norm": 0.1, "drop_last": True},
}  # fmt: skip


@pytest.mark.parametrize("name", SETTINGS)
def test_stopped_after_any_epoch_a_run_goes_on_with_the_same_bits(tmp_path, name):
    settings = SETTINGS[name]
    whole, history, _ = run(None, 6, **settings)
    for stop_after in range(1, 6):
        run(tmp_path, stop_after, **settings)
        resumed, again, _ = run(tmp_path, 6, seed=9, resume=True, **{**settings, "rng": 99})
        assert bits(resumed) == bits(whole)
        same_numbers(again, history)
        for file in tmp_path.iterdir():
            file.unlink()


def test_stopped_again_and_again(tmp_path):
    whole, history, _ = run(None, 6, **SETTINGS["early stopping"])
    for epochs in range(1, 7):
        model, again, _ = run(
            tmp_path, epochs, seed=epochs - 1, resume=True, **SETTINGS["early stopping"]
        )
    assert bits(model) == bits(whole)
    same_numbers(again, history)


IMPROVING = {"early_stopping": EarlyStopping(9, metric="train_loss"), "rng": 6}


@pytest.mark.parametrize("survive", range(1, 12))
def test_killed_between_any_two_writes_a_run_goes_on_with_the_same_bits(
    tmp_path, monkeypatch, survive
):
    """With early stopping, two files are written; a kill may leave one of them an epoch behind."""
    whole, history, _ = run(None, 8, **IMPROVING)
    save, left = checkpoint.save, [survive]

    def dying(*args, **options):
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        save(*args, **options)

    monkeypatch.setattr(checkpoint, "save", dying)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, 8, **IMPROVING)
    monkeypatch.setattr(checkpoint, "save", save)
    model, again, _ = run(tmp_path, 8, seed=9, resume=True, **IMPROVING)
    assert bits(model) == bits(whole)
    same_numbers(again, history)


PROGRAM = """
import sys
from pathlib import Path

sys.path.insert(0, sys.argv[2])
from test_resume import LONG, run

run(Path(sys.argv[1]), 150, resume=True, **LONG)
"""
LONG = {"early_stopping": EarlyStopping(1000)}


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_killed_at_random_a_run_goes_on_with_the_same_bits(tmp_path):
    whole, history, _ = run(None, 150, **LONG)
    command = [sys.executable, "-c", PROGRAM, str(tmp_path), str(ROOT / "tests")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
    generator, kills = np.random.default_rng(0), 0
    for _ in range(8):
        process = subprocess.Popen(command, env=environment)
        path = tmp_path / PATH
        before = path.stat().st_mtime_ns if path.exists() else 0
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            if path.exists() and path.stat().st_mtime_ns != before:
                break
            time.sleep(0.002)
        time.sleep(generator.uniform(0, 0.02))
        process.kill()
        kills += process.wait() == -signal.SIGKILL
    assert kills == 8
    model, again, _ = run(tmp_path, 150, seed=9, resume=True, **LONG)
    assert bits(model) == bits(whole)
    same_numbers(again, history)


# Settings that are given anew


def test_a_longer_schedule_is_followed(tmp_path):
    def cosine(steps):
        return lambda o: optim.CosineLR(o, steps)

    run(tmp_path, 3, accumulate=1, schedule=cosine(18))
    _, history, _ = run(tmp_path, 6, accumulate=1, schedule=cosine(36), resume=True)
    expected = [0.02 * (1 + math.cos(math.pi * (6 * e - 1) / 36)) / 2 for e in (4, 5, 6)]
    np.testing.assert_allclose(history["lr"][3:], expected)


def test_a_new_rate_or_weight_decay_counts_from_the_resume_on(tmp_path):
    run(tmp_path, 2, make=lambda p: optim.AdamW(p, 0.02, weight_decay=0.1))
    _, history, optimizer = run(
        tmp_path, 4, make=lambda p: optim.AdamW(p, 0.005, weight_decay=0.0), resume=True
    )
    assert history["lr"] == [0.02, 0.02, 0.005, 0.005]
    assert (optimizer.lr, optimizer.weight_decay, optimizer.betas) == (0.005, 0.0, (0.9, 0.999))
    _, history, optimizer = run(
        tmp_path,
        5,
        make=lambda p: optim.AdamW(p, 0.005, betas=(0.5, 0.999), weight_decay=0.0),
        resume=True,
    )
    assert (history["lr"][-1], optimizer.betas) == (0.005, (0.5, 0.999))


def test_a_rate_that_a_callback_has_changed_goes_on(tmp_path):
    halve = {"on_epoch": lambda r: setattr(r.optimizer, "lr", r.optimizer.lr / 2)}
    run(tmp_path, 2, **halve)
    _, history, _ = run(tmp_path, 3, resume=True)
    assert history["lr"] == [0.02, 0.01, 0.005]


def test_a_new_rate_under_a_schedule_is_its_base(tmp_path):
    def stairs(optimizer):
        return optim.StepLR(optimizer, 3, 0.5)  # two steps an epoch

    run(tmp_path, 2, schedule=stairs)
    _, history, _ = run(
        tmp_path, 4, schedule=stairs, resume=True, make=lambda p: optim.AdamW(p, 0.4)
    )
    np.testing.assert_allclose(history["lr"], [0.02, 0.01, 0.4 * 0.5, 0.4 * 0.25])


def test_metrics_may_come_and_go(tmp_path):
    run(tmp_path, 1, metrics={"one": lambda o, t: 1.0})
    _, history, _ = run(tmp_path, 2, metrics={"two": lambda o, t: 2.0}, resume=True)
    np.testing.assert_equal(history["train_one"], [1.0, math.nan])
    np.testing.assert_equal(history["val_two"], [math.nan, 2.0])


# Files of another run, and damage


def test_the_best_epoch_of_another_run_is_not_this_ones(tmp_path):
    noisy = {"validation": NOISE, "early_stopping": EarlyStopping(2)}
    other, history, _ = run(tmp_path, 20, **noisy)  # leaves its best epoch behind
    assert (tmp_path / "c.best.safetensors").exists()
    epochs = len(history["lr"])
    run(tmp_path, epochs, validation=NOISE, seed=3)  # a fresh run, without early stopping
    model, again, _ = run(tmp_path, epochs, resume=True, **noisy)
    assert bits(model) != bits(other)
    assert len(again["lr"]) == epochs
    expected, _, _ = run(None, epochs, validation=NOISE, seed=3)
    assert bits(model) == bits(expected), "its best epoch was not kept, so it ends with the last"


def test_a_best_file_that_is_lost_or_another_runs_is_an_error_that_changes_nothing(tmp_path):
    settings = SETTINGS["early stopping"]
    first, second = tmp_path / "first", tmp_path / "second"
    for folder, seed in ((first, 0), (second, 3)):
        folder.mkdir()
        run(folder, 20, seed=seed, **settings)
    shutil.copy(second / "c.best.safetensors", first / "c.best.safetensors")
    for words in ("the best epoch, .*, of the run in .*got that of another", "No such file"):
        model = network(7)
        before = bits(model)
        optimizer = optim.AdamW(model.parameters(), 0.5)
        with pytest.raises(CheckpointError, match=rf"c\.best\.safetensors: .*{words}"):
            fit(
                model, softmax_cross_entropy, optimizer, problem(), epochs=30, batch_size=10, progress=False,
                checkpoint=first / PATH, resume=True, **settings,
            )  # fmt: skip
        assert bits(model) == before
        assert (optimizer.lr, optimizer.state_dict()["arrays"]) == (0.5, {})
        (first / "c.best.safetensors").unlink(missing_ok=True)


def save_with(path, **changes):
    """Write a checkpoint as fit does, with some of its notes changed."""
    model = network()
    optimizer = optim.AdamW(model.parameters(), 0.02)
    notes = {
        "epoch": 1, "step": 2, "given": None, "best": None,
        "history": {name: [0.5] for name in ("train_loss", "train_accuracy", "val_loss", "val_accuracy", "lr")},
    }  # fmt: skip
    order = changes.pop("order", np.random.default_rng(0))
    generators = {"order of the examples": order} if order else {}
    checkpoint.save(
        path, model, optimizer=optimizer, generators=generators, metadata={**notes, **changes}
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"order": np.random.Generator(np.random.MT19937(0))},
        {"order": None},
        {"history": 5},
        {"history": {}},
        {"history": {"lr": [1.0], "val_loss": []}},
        {"history": {"lr": [[]]}},
        {"step": "x"},
        {"given": [5]},
        {"best": [1]},
        {"best": ["x", "y"]},
    ],
)
def test_notes_that_do_not_fit_are_an_error_that_changes_nothing(tmp_path, changes):
    save_with(tmp_path / PATH, **changes)
    model, rng = network(7), np.random.default_rng(7)
    optimizer = optim.AdamW(model.parameters(), 0.5)
    before, order = bits(model), rng.bit_generator.state
    generators = [g.bit_generator.state for _, g in model.named_generators()]
    with pytest.raises(CheckpointError, match=r"c\.safetensors: (expected|its state)"):
        fit(
            model, softmax_cross_entropy, optimizer, problem(), epochs=2, batch_size=10, progress=False, rng=rng,
            checkpoint=tmp_path / PATH, resume=True,
        )  # fmt: skip
    assert bits(model) == before
    assert rng.bit_generator.state == order
    assert [g.bit_generator.state for _, g in model.named_generators()] == generators
    assert (optimizer.lr, optimizer.state_dict()["arrays"]) == (0.5, {})


def test_notes_without_what_later_editions_write_are_read(tmp_path):
    save_with(tmp_path / PATH)
    assert run(tmp_path, 2, resume=True)[1]["train_loss"][0] == 0.5


def test_early_stopping_that_is_new_keeps_from_then_on(tmp_path):
    run(tmp_path, 3, validation=NOISE)
    model, history, _ = run(tmp_path, 30, resume=True, **SETTINGS["early stopping"])
    best = EarlyStopping(3).best(history)
    found = evaluate(model, softmax_cross_entropy, NOISE).loss
    if best >= 2:
        assert found == pytest.approx(history["val_loss"][best], rel=1e-6)
    else:
        assert found == pytest.approx(history["val_loss"][-1], rel=1e-6)
