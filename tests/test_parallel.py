"""Data-parallel training, in real mpiexec jobs on this machine."""

import copy
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from helpers import ROOT

pytest.importorskip("mpi4py", reason="runs MPI jobs: pip install 'tinygrad-mnist[mpi]'")
MPIEXEC = shutil.which(
    "mpiexec", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
)
pytestmark = pytest.mark.skipif(MPIEXEC is None, reason="runs MPI jobs: needs mpiexec")


def mpi(ranks, *task, script=ROOT / "tests/mpi_job.py", timeout=120):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
    command = [MPIEXEC, "-n", str(ranks), sys.executable, str(script), *map(str, task)]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=timeout, check=False
    )


def result(done):
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.split("RESULT")[1])


@pytest.fixture(scope="module", params=["float32", "float64"])
def one_process(request):
    return request.param, result(mpi(1, "steps", request.param))


@pytest.mark.parametrize("ranks", [2, 3, 4])
def test_n_ranks_take_the_steps_of_one_process(one_process, ranks):
    dtype, alone = one_process
    together = result(mpi(ranks, "steps", dtype))
    for name, expected in alone["state"].items():
        scale = np.abs(expected).max()
        np.testing.assert_allclose(
            together["state"][name],
            expected,
            rtol=0,
            atol=scale * (1e-5 if dtype == "float32" else 1e-12),
        )
    assert together["epoch"] == alone["epoch"], "each example once an epoch"
    assert len(alone["epoch"]) == 50


def test_fit_with_a_wrapped_optimizer(tmp_path):
    one, two = (result(mpi(n, "fit", tmp_path / f"{n}.safetensors")) for n in (1, 2))
    for name, expected in one["state"].items():
        np.testing.assert_allclose(two["state"][name], expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(
        two["history"]["train_loss"], one["history"]["train_loss"], rtol=1e-4
    )
    assert two["history"]["train_accuracy"] == one["history"]["train_accuracy"]
    assert sorted(os.listdir(tmp_path)) == ["1.safetensors", "2.safetensors"]


def test_one_rank_has_the_bits_of_no_mpi_at_all(tmp_path):
    import mpi_job

    import tinygrad_mnist as tg
    from tinygrad_mnist import optim
    from tinygrad_mnist.train import fit

    model = mpi_job.network(np.float32, 0)
    optimizer = optim.Adam(model.parameters(), 0.01)
    fit(
        model,
        tg.softmax_cross_entropy,
        optimizer,
        mpi_job.problem(np.float32),
        epochs=3,
        batch_size=8,
        progress=False,
        rng=2,
    )
    alone = result(mpi(1, "fit", tmp_path / "c"))["state"]
    assert {k: v.ravel().tolist() for k, v in model.state_dict().items()} == alone


@pytest.mark.parametrize("ranks", [2, 3])
def test_layers_with_a_state_and_a_resume(tmp_path, ranks):
    found = result(mpi(ranks, "layers", tmp_path))
    first, *others = found["whole"]
    for other in others:
        assert other["state"] == first["state"], "weights and running statistics, on all ranks"
        assert other["history"] == first["history"]
    assert len({str(mask) for mask in first["masks"]}) == ranks, "each rank drops units of its own"
    assert found["parts"] == found["whole"], "resumed, the same bits as never stopped"


@pytest.mark.parametrize("ranks", [1, 2])
def test_a_parameter_without_a_gradient_is_left_alone(ranks):
    found = result(mpi(ranks, "unused"))
    assert found["spare"] == [1.0, 1.0]
    assert found["rare"] == [1 - 0.5 * (1 / ranks + 1)] * 2


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ("raise", "ZeroDivisionError: on purpose"),
        ("mismatch", "differs from that of rank 0"),
        ("blind", r"expected a file that all ranks can read, but rank(s) [1, 2] cannot see it"),
        ("kill", "BAD TERMINATION"),
    ],
)
def test_a_rank_that_fails_ends_the_job_within_seconds(tmp_path, task, words):
    started = time.monotonic()
    done = mpi(3, task, tmp_path, timeout=60)
    assert done.returncode != 0
    assert words in done.stderr + done.stdout
    assert time.monotonic() - started < 30


def test_all_of_fit_on_several_ranks_is_one_process():
    alone = result(mpi(1, "everything"))["all"][0]
    assert len(alone["arrays"]["history"]["lr"]) == 4, "stopped in the fourth epoch of five"
    for ranks in (2, 3):
        together = result(mpi(ranks, "everything"))["all"]
        for name, one in alone.items():
            for rank in together:
                for part in ("state", "history"):
                    for key, values in one[part].items():
                        np.testing.assert_allclose(
                            rank[name][part][key], values, rtol=1e-9, atol=1e-11, err_msg=key
                        )
                assert rank[name]["weighted"] == pytest.approx(one["weighted"], rel=1e-12)
                assert rank[name]["history"] == together[0][name]["history"], "the same bits"


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("rate", "DistributedOptimizer: expected the same hyper parameters on all ranks"),
        ("data", "fit: expected the same training data on all ranks, but that of rank(s) [1]"),
        ("epochs", "fit: expected the same epochs"),
        ("schedule", "fit: expected the same schedule"),
        ("callback", "fit: expected the same learning rate"),
        ("batches", "fit: expected the same batches"),
    ],
)
def test_ranks_that_were_not_started_alike_are_found_out(what, words):
    done = mpi(2, "differ", what, timeout=60)
    assert done.returncode != 0
    assert words in done.stderr + done.stdout


@pytest.mark.parametrize(
    "how",
    [
        "exit",
        "status",
        "return",
        "thread",
        "excepthook",
        "in fit",
        "own communicator",
        "raise before",
        "exit before",
    ],
)
def test_a_rank_that_ends_while_others_wait_ends_the_job(how):
    done = mpi(3, "end", how, timeout=30)
    assert done.returncode != 0
    said = done.stderr + done.stdout
    assert "ZeroDivisionError" in said or "rank 2 of 3 has ended" in said
    assert ("hook of my own" in said) == (how == "excepthook")


def test_a_rank_that_ends_after_the_last_collective_lets_the_others_take_their_time():
    done = mpi(3, "end", "after", timeout=30)
    assert (done.returncode, done.stdout.count("took my time"), done.stderr) == (0, 2, "")
    assert mpi(3, "end", "status after", timeout=30).returncode == 3


def test_a_program_that_a_rank_starts_is_no_rank():
    """It inherits the variables of mpiexec."""
    code = (
        "import subprocess, sys; from tinygrad_mnist.parallel import communicator; communicator()\n"
        "child = 'import tinygrad_mnist.parallel; print(123)'\n"
        "done = subprocess.run([sys.executable, '-c', child], timeout=20, check=True)"
    )
    done = mpi(2, code, script="-c", timeout=60)
    assert (done.returncode, done.stdout.count("123")) == (0, 2)


def test_the_example_prints_once(digits, tmp_path):
    done = mpi(
        2,
        "--data",
        digits,
        "--out",
        tmp_path,
        "--epochs",
        8,
        "--batch-size",
        20,
        script=ROOT / "examples/mnist_mpi.py",
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("test accuracy") == 1
    assert json.loads((tmp_path / "metrics.json").read_text())["test_accuracy"] > 0.8


def test_what_is_set_on_the_wrapper_reaches_the_optimizer():
    from tinygrad_mnist import nn, optim
    from tinygrad_mnist.parallel import DistributedOptimizer

    model = nn.Linear(2, 2, rng=0)
    inner = optim.SGD(model.parameters(), 0.1)
    wrapper = DistributedOptimizer(inner, model)
    wrapper.momentum, wrapper.lr = 0.5, 0.2
    assert (inner.momentum, inner.lr, wrapper.lr, copy.copy(wrapper).lr) == (0.5, 0.2, 0.2, 0.2)
    with pytest.raises(ValueError, match="momentum"):
        wrapper.momentum = 2.0
    wrapper.param_groups[0]["lr"] = 0.3
    assert (inner.lr, wrapper.lr) == (0.3, 0.3)
    assert repr(wrapper) == f"DistributedOptimizer({inner!r}, rank 0 of 1)"
    assert wrapper.params == inner.params


def test_the_wrappers_state_is_the_optimizers():
    from tinygrad_mnist import Tensor, nn, optim
    from tinygrad_mnist.parallel import DistributedOptimizer

    model = nn.Linear(2, 2, rng=0)
    inner = optim.Adam(model.parameters(), 0.1)
    wrapper = DistributedOptimizer(inner, model)
    model(Tensor(np.ones((1, 2), np.float32))).sum().backward()
    wrapper.step(clip_norm=1.0)
    np.testing.assert_equal(wrapper.state_dict(), inner.state_dict())
    assert inner.state_dict()["arrays"]["0.steps"] == 1
    wrapper.load_state_dict(optim.Adam(model.parameters(), 0.5).state_dict())
    assert (inner.lr, inner.state_dict()["arrays"]) == (0.5, {})
    wrapper.zero_grad()
    assert model.weight.grad is None


def test_without_mpi4py_the_error_names_the_extra():
    code = "import sys; sys.modules['mpi4py'] = None; from tinygrad_mnist.parallel import communicator; communicator()"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert "pip install 'tinygrad-mnist[mpi]'" in done.stderr
