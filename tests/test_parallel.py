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
