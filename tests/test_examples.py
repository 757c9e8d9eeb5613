"""The examples, as a user runs them, on tiny made-up digits."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from helpers import ROOT

EXAMPLES = ROOT / "examples"


def run(*args, check=True, **options):
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "error",
        "OPENBLAS_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [sys.executable, *map(str, args)],
        cwd=EXAMPLES,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        **options,
    )
    assert not check or done.returncode == 0, done.stderr[-3000:]
    return done


@pytest.fixture(scope="module")
def trained(digits, tmp_path_factory):
    out = tmp_path_factory.mktemp("run")
    done = run(
        "mnist_mlp.py",
        "--data",
        digits,
        "--out",
        out,
        "--hidden",
        32,
        "--epochs",
        6,
        "--batch-size",
        20,
        "--lr",
        0.01,
    )
    return out, done


def test_the_mlp_learns_and_leaves_everything_it_promises(trained):
    out, done = trained
    assert "test accuracy" in done.stdout
    assert str(out) in done.stdout
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["test_accuracy"] > 0.9
    assert metrics["test_loss"] < 1
    assert {"data", "seed", "seconds"} <= set(metrics)
    history = json.loads((out / "history.json").read_text())
    assert len(history["train_loss"]) == len(history["val_accuracy"]) == 6
    for name in ("learning_curves.png", "predictions.png", "confusion.png", "weights.png"):
        assert (out / name).read_bytes().startswith(b"\x89PNG")
    assert (out / "model.safetensors").exists()


def test_predict_answers_as_the_saved_model_did(trained, digits, tmp_path):
    out, _ = trained
    run("predict.py", out, "--indices", *range(50), "--data", digits, "--out", tmp_path)
    predicted = json.loads((tmp_path / "predicted.json").read_text())["digits"]
    labels = np.arange(50) % 10
    accuracy = json.loads((out / "metrics.json").read_text())["test_accuracy"]
    assert np.mean(np.array(predicted) == labels) == pytest.approx(accuracy)
    lines = (tmp_path / "submission.csv").read_text().splitlines()
    assert lines[0] == "ImageId,Label"
    assert [int(line.split(",")[1]) for line in lines[1:]] == predicted


def test_predict_reads_images_light_or_dark_of_any_size_and_csv(trained, digits, tmp_path):
    from PIL import Image, ImageDraw

    out, _ = trained
    answers = []
    for ground, ink, size in (("white", "black", 90), ("black", "white", 300)):
        picture = Image.new("RGB", (size, size + 20), ground)
        ImageDraw.Draw(picture).rectangle(
            [size // 3, size // 3, size // 2, size * 2 // 3], fill=ink
        )
        picture.save(tmp_path / "digit.png")
        run("predict.py", out, tmp_path / "digit.png", "--out", tmp_path)
        answers.append(json.loads((tmp_path / "predicted.json").read_text())["digits"])
    assert answers[0] == answers[1]
    (tmp_path / "images.csv").write_text((",".join(["7"] * 784) + "\n") * 3)
    assert (
        "3 predicted" in run("predict.py", out, tmp_path / "images.csv", "--out", tmp_path).stdout
    )
    Image.new("L", (50, 50), 200).save(tmp_path / "empty.png")
    for arguments, words in (
        ((tmp_path / "empty.png",), "expected a digit, got an empty image"),
        (("--indices", 99999, "--data", digits), "expected numbers from 0"),
    ):
        done = run("predict.py", out, *arguments, check=False)
        assert done.returncode == 1
        assert words in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "recipe", ["relu-l2", "deep-xavier", "saved-params", "sigmoid-mse", "minibatch", "best"]
)
def test_every_recipe_runs(recipe, digits, tmp_path):
    run(
        "mnist_mlp.py",
        "--recipe",
        recipe,
        "--data",
        digits,
        "--out",
        tmp_path,
        "--epochs",
        1,
        "--hidden",
        8,
    )
    assert json.loads((tmp_path / "metrics.json").read_text())["recipe"] == recipe


def test_flags_override_the_recipe_and_an_unlabelled_test_file_gets_a_submission(digits, tmp_path):
    from tinygrad_mnist.datasets import load_mnist

    data = load_mnist(digits)
    train = np.hstack([data.train.labels[:, None], data.train.images.reshape(-1, 784)])
    np.savetxt(
        tmp_path / "train.csv",
        train,
        "%d",
        ",",
        header="label," + ",".join(f"pixel{i}" for i in range(784)),
        comments="",
    )
    np.savetxt(
        tmp_path / "test.csv",
        data.test.images.reshape(-1, 784),
        "%d",
        ",",
        header=",".join(f"pixel{i}" for i in range(784)),
        comments="",
    )
    run(
        "mnist_mlp.py",
        "--recipe",
        "deep-xavier",
        "--data",
        tmp_path,
        "--out",
        tmp_path,
        "--epochs",
        2,
        "--activation",
        "tanh",
    )
    assert json.loads((tmp_path / "settings.json").read_text())["activation"] == "tanh"
    assert len((tmp_path / "submission.csv").read_text().splitlines()) == 51
    assert json.loads((tmp_path / "metrics.json").read_text())["test_accuracy"] is None


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_an_interrupt_saves_what_was_trained_and_the_run_can_go_on(stop, digits, tmp_path):
    settings = ["--data", digits, "--hidden", 16, "--batch-size", 5]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
    command = [
        sys.executable,
        "mnist_mlp.py",
        *map(str, settings),
        "--epochs",
        "100000",
        "--schedule",
        "constant",
        "--out",
        str(tmp_path),
    ]
    process = subprocess.Popen(
        command,
        cwd=EXAMPLES,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "checkpoint.safetensors").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(stop)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output[-2000:]
    assert "interrupted after" in output
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["interrupted"] is True
    assert metrics["epochs"] >= 1
    assert (tmp_path / "model.safetensors").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_killed_run_resumes_to_the_same_bits(digits, tmp_path):
    settings = ["--data", digits, "--hidden", 16, "--batch-size", 10, "--epochs", 500, "--augment"]
    run("mnist_mlp.py", *settings, "--out", tmp_path / "whole")
    killed = tmp_path / "killed"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "mnist_mlp.py", *map(str, settings), "--out", str(killed)]
    generator = np.random.default_rng(0)
    kills = 0
    for _ in range(20):
        process = subprocess.Popen(
            command,
            cwd=EXAMPLES,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 60
        before = (
            (killed / "checkpoint.safetensors").stat().st_mtime_ns
            if (killed / "checkpoint.safetensors").exists()
            else 0
        )
        while process.poll() is None and time.monotonic() < deadline:
            path = killed / "checkpoint.safetensors"
            if path.exists() and path.stat().st_mtime_ns != before:
                break
            time.sleep(0.002)
        time.sleep(generator.uniform(0, 0.03))  # often inside the next save
        process.kill()
        kills += process.wait() == -signal.SIGKILL
        command = [sys.executable, "mnist_mlp.py", "--resume", str(killed)]
    assert kills == 20
    run("mnist_mlp.py", "--resume", killed)
    for name in ("history.json",):
        assert (killed / name).read_text() == (tmp_path / "whole" / name).read_text()
    from safetensors.numpy import load_file

    whole, resumed = (
        load_file(folder / "model.safetensors") for folder in (tmp_path / "whole", killed)
    )
    assert {k: v.tobytes() for k, v in whole.items()} == {
        k: v.tobytes() for k, v in resumed.items()
    }


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--data", "nowhere"], "DataError: nowhere: expected a folder or a file"),
        (["--lr", "-1"], "expected lr in [0, inf)"),
        (["--resume", "nowhere"], "expected a run's folder"),
        (["--dropout", "1.5", "--epochs", "1"], "expected a probability"),
    ],
)
def test_wrong_flags_say_what_was_expected(arguments, words, digits, tmp_path):
    done = run("mnist_mlp.py", "--data", digits, "--out", tmp_path, *arguments, check=False)
    assert done.returncode != 0
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_the_custom_model_is_short_and_learns():
    assert len((EXAMPLES / "custom_model.py").read_text().splitlines()) < 60
    done = run("custom_model.py")
    assert float(done.stdout.rsplit(":", 1)[1].strip().rstrip("%")) > 95


def test_the_tutorial_runs_from_top_to_bottom_and_its_saved_outputs_are_of_the_full_mnist(digits):
    pytest.importorskip("nbclient", reason="runs the notebook: pip install 'tinygrad-mnist[test]'")
    saved = json.loads((EXAMPLES / "mnist_tutorial.ipynb").read_text())
    outputs = [o for cell in saved["cells"] for o in cell.get("outputs", ())]
    assert any("60,000 digits to train on" in "".join(o.get("text", ())) for o in outputs)
    assert sum("image/png" in o.get("data", {}) for o in outputs) >= 6
    assert not any(o["output_type"] == "error" for o in outputs)
    code = (
        "import nbformat; from nbclient import NotebookClient; import sys\n"
        "notebook = nbformat.read('mnist_tutorial.ipynb', 4)\n"
        "NotebookClient(notebook, timeout=300, kernel_name='python3').execute()"
    )
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "TINYGRAD_MNIST_DATA": str(digits),
        "OPENBLAS_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=EXAMPLES,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]


def test_the_cnn_runs_and_leaves_what_the_mlp_does(digits, tmp_path):
    done = run(
        "mnist_cnn.py", "--data", digits, "--out", tmp_path, "--epochs", 6, "--batch-size", 20
    )
    assert json.loads((tmp_path / "metrics.json").read_text())["test_accuracy"] > 0.8
    assert (tmp_path / "learning_curves.png").exists()
    assert "Conv2d(in_channels=1, out_channels=8" in done.stdout


def test_transfer_compares_frozen_features_with_a_fresh_start(digits):
    done = run("transfer.py", "--data", digits, "--epochs", 1, "--draws", 1, "--examples", 5)
    assert "frozen features: " in done.stdout
    assert "from scratch: " in done.stdout


def test_the_recurrent_network_learns_more_than_letter_frequencies():
    done = run("char_rnn.py", "--steps", 200, "--hidden", 32, "--size", 20000)
    by_frequency = float(done.stdout.split("alone ")[1].split(" bits")[0])
    assert float(done.stdout.split("held-out text: ")[1].split(" bits")[0]) < by_frequency - 0.5
    assert len((EXAMPLES / "char_rnn.py").read_text().splitlines()) < 120


def test_a_network_solves_a_differential_equation(tmp_path):
    done = run("pinn.py", "--steps", "1000", "--out", tmp_path)
    error = float(done.stdout.split("largest error ")[1].split("%")[0])
    assert error < 1.0, "percent of the first swing, from the exact solution"
    assert (tmp_path / "motion.png").stat().st_size > 10_000
