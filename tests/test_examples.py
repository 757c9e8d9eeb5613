"""The examples, as a user runs them, on tiny made-up digits."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from helpers import ROOT, write_idx

EXAMPLES = ROOT / "examples"
# They share runner/; every other example stands alone.
WITH_RUNNER = {
    "mnist_mlp.py", "mnist_cnn.py", "mnist_mpi.py", "predict.py", "draw_digit.py", "playground.py"
}  # fmt: skip
ALONE = {
    "mnist.py": [],
    "custom_model.py": [],
    "char_rnn.py": ["--steps", 3, "--hidden", 8, "--size", 20000],
    "char_gpt.py": ["--help"],
    "pinn.py": ["--steps", 3],
    "vae.py": ["--help"],
    "transfer.py": ["--epochs", 1, "--draws", 1, "--examples", 3],
    "export_onnx.py": ["--help"],
    "test_my_op.py": ["-m", "pytest", "-q", "-p", "no:cacheprovider", "test_my_op.py"],
}


def run(*args, check=True, cwd=EXAMPLES, environment=()):
    done = subprocess.run(
        [sys.executable, *map(str, args)],
        cwd=cwd,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "PYTHONWARNINGS": "error",
            "OPENBLAS_NUM_THREADS": "1",
            **dict(environment),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert not check or done.returncode == 0, done.stderr[-3000:]
    return done


@pytest.fixture
def examples(monkeypatch):
    """Let a test import the examples."""
    monkeypatch.syspath_prepend(str(EXAMPLES))


def test_every_example_is_known_here():
    assert {path.name for path in EXAMPLES.glob("*.py")} == WITH_RUNNER | ALONE.keys()


@pytest.mark.parametrize("name", ALONE)
def test_an_example_runs_as_a_copy_in_an_empty_folder(name, digits, tmp_path):
    shutil.copy(EXAMPLES / name, tmp_path)
    arguments = ALONE[name] if "-m" in ALONE[name] else [name, *ALONE[name]]
    run(*arguments, cwd=tmp_path, environment={"TINYGRAD_MNIST_DATA": str(digits)})


def test_the_first_example_is_forty_lines_and_leaves_two_pictures(digits, tmp_path):
    assert len((EXAMPLES / "mnist.py").read_text().splitlines()) <= 40
    shutil.copy(EXAMPLES / "mnist.py", tmp_path)
    done = run("mnist.py", cwd=tmp_path, environment={"TINYGRAD_MNIST_DATA": str(digits)})
    assert float(done.stdout.split("test accuracy ")[1].split()[0]) > 0.9
    pictures = sorted(path.name for path in (tmp_path / "runs/mnist").iterdir())
    assert pictures == ["learning_curves.png", "predictions.png"]


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


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A folder with pictures of a bar and a ring, and files that are not pictures."""
    from PIL import Image, ImageDraw

    folder = tmp_path_factory.mktemp("pictures")
    for name, shape in (("b.png", "line"), ("a.JPG", "ellipse"), ("c.tiff", "line")):
        picture = Image.new("L", (90, 120), 240)
        draw = ImageDraw.Draw(picture)
        if shape == "line":
            draw.line([45, 30, 45, 90], fill=20, width=8)
        else:
            draw.ellipse([25, 30, 65, 90], outline=20, width=8)
        picture.save(folder / name)
    (folder / "notes.txt").write_text("not a picture")
    (folder / "older").mkdir()
    return folder


def predicted(folder):
    return json.loads((folder / "predicted.json").read_text())


def test_predict_answers_several_pictures_and_folders_in_their_order(trained, pictures, tmp_path):
    out, _ = trained
    each = {}
    for name in ("a.JPG", "b.png", "c.tiff"):
        run("predict.py", out, pictures / name, "--out", tmp_path)
        [each[name]] = predicted(tmp_path)["digits"]
    assert each["a.JPG"] != each["b.png"] == each["c.tiff"]
    for inputs, order in (
        (
            [pictures / "c.tiff", pictures / "a.JPG", pictures / "b.png"],
            ["c.tiff", "a.JPG", "b.png"],
        ),
        ([pictures], ["a.JPG", "b.png", "c.tiff"]),
        ([pictures / "b.png", pictures], ["b.png", "a.JPG", "b.png", "c.tiff"]),
    ):
        done = run("predict.py", out, *inputs, "--out", tmp_path)
        answers = predicted(tmp_path)
        assert answers["digits"] == [each[name] for name in order]
        assert answers["inputs"] == [str(pictures / name) for name in order]
        assert [np.argmax(p) for p in answers["probabilities"]] == answers["digits"]
        assert f"{len(order)} predicted" in done.stdout


def test_predict_names_every_picture_that_it_cannot_read_and_writes_nothing(
    trained, pictures, tmp_path
):
    from PIL import Image

    out, _ = trained
    Image.new("L", (50, 50), 200).save(tmp_path / "empty.png")
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "cut.jpg").write_bytes((pictures / "a.JPG").read_bytes()[:600])
    (tmp_path / "apple.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
    done = run("predict.py", out, pictures, tmp_path, tmp_path / "none.png", check=False)
    assert done.returncode == 1
    for words in (
        "empty.png: expected a digit, got an empty image of 50 x 50 pixels",
        "text.png: expected an image file",
        "cut.jpg: expected an image file",
        "apple.HEIC: expected an image file that Pillow reads, got HEIC",
        "none.png: expected an image file",
    ):
        assert words in done.stderr
    assert "a.JPG" not in done.stderr
    assert "Traceback" not in done.stderr
    assert not (out / "predicted.json").exists()


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["--indices", 99999], 1, "expected numbers from 0 to 49, got [99999]"),
        (["--indices", 3, -1], 1, "expected numbers from 0 to 49, got [-1]"),
        ([], 2, "expected either image files, folders or CSVs, or --indices"),
        (["digit.png", "--indices", 1], 2, "expected either image files"),
        ([ROOT / "docs"], 1, "expected a folder with image files, got none in it"),
    ],
)
def test_predict_says_what_it_expected(trained, arguments, status, words, digits):
    done = run("predict.py", trained[0], *arguments, "--data", digits, check=False)
    assert done.returncode == status
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_the_number_of_outputs_comes_from_the_data(tmp_path):
    generator = np.random.default_rng(0)
    for part, count in (("train", 60), ("t10k", 20)):
        labels = np.arange(count) % 3
        images = generator.integers(0, 60, (count, 28, 28))
        images[labels == 1, 4:9] += 180
        images[labels == 2, 18:23] += 180
        write_idx(tmp_path / f"{part}-images-idx3-ubyte", images)
        write_idx(tmp_path / f"{part}-labels-idx1-ubyte", labels)
    data = ["--data", tmp_path]
    for loss in (["--loss", "mse"], []):
        run(
            "mnist_mlp.py",
            *data,
            "--out",
            tmp_path / "mlp",
            "--epochs",
            8,
            "--batch-size",
            8,
            *loss,
        )
    run("mnist_cnn.py", *data, "--out", tmp_path / "cnn", "--epochs", 2, "--batch-size", 8)
    for name in ("mlp", "cnn"):
        out = tmp_path / name
        assert json.loads((out / "settings.json").read_text())["classes"] == 3
        run("predict.py", out, "--indices", 0, 1, 2, *data)
        assert np.shape(predicted(out)["probabilities"]) == (3, 3)
    assert json.loads((tmp_path / "mlp/metrics.json").read_text())["test_accuracy"] == 1
    assert predicted(tmp_path / "mlp")["digits"] == [0, 1, 2]


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
    settings = ["--data", digits, "--hidden", 16, "--batch-size", 10, "--epochs", 200, "--augment"]
    run("mnist_mlp.py", *settings, "--out", tmp_path / "whole")
    killed = tmp_path / "killed"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "mnist_mlp.py", *map(str, settings), "--out", str(killed)]
    generator = np.random.default_rng(0)
    kills = 0
    for _ in range(8):
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
    assert kills == 8
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


def test_classes_have_the_names_that_the_data_give_them(tmp_path):
    from PIL import Image

    generator = np.random.default_rng(0)
    for part, count in (("train", 30), ("test", 10)):
        for place, name in ((4, "hat"), (18, "shoe")):
            (tmp_path / "data" / part / name).mkdir(parents=True)
            for i in range(count):
                image = generator.integers(0, 60, (28, 28)).astype(np.uint8)
                image[place : place + 5] += 180
                Image.fromarray(image).save(tmp_path / "data" / part / name / f"{i}.png")
    out = tmp_path / "run"
    flags = ["--data", tmp_path / "data", "--epochs", 8, "--batch-size", 8]
    run("mnist_mlp.py", *flags, "--out", out)
    assert json.loads((out / "settings.json").read_text())["class_names"] == ["hat", "shoe"]
    done = run("predict.py", out, "--indices", 0, 19, "--data", tmp_path / "data")
    assert "test image 0: hat, truly hat  (hat: " in done.stdout
    assert "test image 19: shoe, truly shoe" in done.stdout
    assert predicted(out)["digits"] == [0, 1]
    header = ",".join(["label", *(f"pixel{i}" for i in range(784))])
    rows = "\n".join(",".join([label, *["7", "200"] * 392]) for label in "105")
    (tmp_path / "images.csv").write_text(f"{header}\n{rows}\n")
    done = run("predict.py", out, tmp_path / "images.csv", check=False)
    assert done.returncode == 1
    assert "expected labels from 0 to 1, which the model knows, got 5" in done.stderr


@pytest.fixture(scope="module")
def short_run(digits, tmp_path_factory):
    """The flags of a short run, and its folder, which no test changes."""
    flags = ["--data", str(digits), "--hidden", "8", "--batch-size", "20", "--epochs", "2"]
    flags += ["--schedule", "constant"]
    out = tmp_path_factory.mktemp("short")
    run("mnist_mlp.py", *flags, "--out", out)
    return flags, out


@pytest.fixture
def small_run(short_run, tmp_path):
    """The flags of a short run, and a folder with what it left."""
    flags, out = short_run
    return flags, shutil.copytree(out, tmp_path / "run")


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize(
    "wrong", [["--data", "nowhere"], ["--lr", "-1"], ["--dropout", "2"], ["--resume", "nowhere"]]
)
def test_a_run_that_cannot_start_leaves_the_folder_as_it_was(small_run, wrong):
    flags, out = small_run
    before = content(out)
    assert run("mnist_mlp.py", *flags, "--out", out, *wrong, check=False).returncode != 0
    assert content(out) == before
    fresh = out.parent / "fresh"
    assert run("mnist_mlp.py", *flags, "--out", fresh, *wrong, check=False).returncode != 0
    assert not fresh.exists()


@pytest.fixture
def interrupted(examples, monkeypatch):
    """Let every fit be interrupted at once, and keep this process's own signals."""
    import runner.training

    def interrupt(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(runner.training, "fit", interrupt)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_an_interrupted_run_never_reports_the_run_that_was_there_before(small_run, interrupted):
    import mnist_mlp

    flags, out = small_run
    (out / "submission.csv").write_text("of the run before")
    (out / "notes.txt").write_text("of the user")
    assert mnist_mlp.main([*flags, "--lr", "0.5", "--out", str(out)]) == 130
    assert json.loads((out / "settings.json").read_text())["lr"] == 0.5
    metrics = json.loads((out / "metrics.json").read_text())
    assert (metrics["interrupted"], metrics["epochs"]) == (True, 0)
    assert not any(json.loads((out / "history.json").read_text()).values())
    left = set(content(out))
    assert not left & {"checkpoint.safetensors", "learning_curves.png", "submission.csv"}
    assert "notes.txt" in left


def test_a_file_of_a_run_is_written_whole_or_not_at_all(examples, monkeypatch, tmp_path):
    from runner import folder

    path = tmp_path / "settings.json"
    folder.write_json(path, {"lr": 1})
    for broken in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(folder.os, broken, lambda *args: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                folder.write_json(path, {"lr": 2})
        assert content(tmp_path) == {"settings.json": b'{\n "lr": 1\n}\n'}
    with pytest.raises(ValueError, match="JSON"):
        folder.write_json(path, {"lr": float("nan")})
    assert json.loads(path.read_text()) == {"lr": 1}


def test_resume_names_the_flags_that_it_cannot_honour(small_run, tmp_path):
    flags, out = small_run
    before = content(out)
    wrong = ["--lr", "0.5", "--hidden", "9", "9", "--recipe", "best", "--out", str(tmp_path)]
    done = run("mnist_mlp.py", "--resume", out, *flags[:2], *wrong, check=False)
    assert done.returncode == 2
    assert "cannot honour --hidden (the run had [8])" in done.stderr
    for words in ("--lr (the run had 0.002)", "--recipe (the run had None)", f"--out {tmp_path}"):
        assert words in done.stderr
    assert "--data" not in done.stderr.split("cannot honour")[1]
    assert content(out) == before
    # the same flags again are honoured, and how often it prints
    run("mnist_mlp.py", "--resume", out, *flags, "--out", out, "--print-every", 2)


def test_resume_goes_on_for_more_epochs_where_no_schedule_forbids_it(small_run, digits, tmp_path):
    flags, out = small_run
    run("mnist_mlp.py", *flags, "--epochs", 4, "--out", tmp_path / "whole")
    run("mnist_mlp.py", "--resume", out, "--epochs", 4)
    assert (out / "history.json").read_text() == (tmp_path / "whole/history.json").read_text()
    assert json.loads((out / "settings.json").read_text())["epochs"] == 4
    cosine = tmp_path / "cosine"
    run("mnist_mlp.py", *flags, "--schedule", "cosine", "--out", cosine)
    done = run("mnist_mlp.py", "--resume", cosine, "--epochs", 4, check=False)
    assert done.returncode == 2
    assert "cannot honour --epochs (the run had 2)" in done.stderr


def test_resume_remembers_its_data_and_refuses_others(digits, tmp_path):
    from tinygrad_mnist.datasets import load_mnist

    out, moved, other = tmp_path / "run", tmp_path / "moved", tmp_path / "other"
    flags = ["--hidden", 8, "--epochs", 1, "--schedule", "constant", "--out", out]
    run(
        "mnist_mlp.py",
        *flags,
        environment={"TINYGRAD_MNIST_DATA": os.path.relpath(digits, EXAMPLES)},
    )
    known = json.loads((out / "settings.json").read_text())
    assert known["data"] == str(digits)
    shutil.copytree(digits, moved)
    shutil.copytree(digits, other)
    images = load_mnist(digits).test.images.copy()
    images[7, 3, 3] ^= 1  # a single bit of a single pixel
    write_idx(other / "t10k-images-idx3-ubyte", images)
    # without the variable, in another folder; then from where the same data have moved to
    run(EXAMPLES / "mnist_mlp.py", "--resume", out, cwd=tmp_path)
    run("mnist_mlp.py", "--resume", out, "--data", moved)
    done = run("mnist_mlp.py", "--resume", out, "--data", other, check=False)
    assert done.returncode == 1
    assert f"expected the data that the run began with, MNIST in {moved}" in done.stderr
    assert f"got MNIST in {other}" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("settings", ["", "[1]", "3", '{"lr": 1}', "\ufffd"])
def test_resume_names_damaged_settings(settings, tmp_path):
    (tmp_path / "settings.json").write_text(settings)
    done = run("mnist_mlp.py", "--resume", tmp_path, check=False)
    assert done.returncode == 2
    assert "expected a run's folder with its settings.json" in done.stderr


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
