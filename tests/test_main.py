"""`python -m tinygrad_mnist`: the report has what a bug report needs, and prints it without importing what it names."""

import os
import platform
import subprocess
import sys
from importlib import metadata

import numpy as np
import pytest
from helpers import ROOT

import tinygrad_mnist


def report(*options, **environment):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error", **environment}
    command = [sys.executable, *options, "-m", "tinygrad_mnist"]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stderr
    ours, numpys = done.stdout[: done.stdout.index("[{")], done.stdout[done.stdout.index("[{") :]
    return dict(line.split(None, 1) for line in ours.rstrip().splitlines()), numpys, done.stderr


def test_it_names_the_versions_the_machine_and_the_data(tmp_path):
    rows, numpys, _ = report(
        XDG_CACHE_HOME=str(tmp_path), LOCALAPPDATA=str(tmp_path), TINYGRAD_MNIST_DATA="some/where"
    )
    assert (
        rows["tinygrad_mnist"]
        == f"{tinygrad_mnist.__version__} in {ROOT.resolve() / 'tinygrad_mnist'}"
    )
    assert rows["hypothesis"] == metadata.version("hypothesis")
    assert 1 <= int(rows["cores"]) <= os.cpu_count()
    assert rows["TINYGRAD_MNIST_DATA"] == "some/where"
    assert rows["cache"] == str(tmp_path / "tinygrad_mnist")
    for part in (
        platform.python_version(),
        platform.machine(),
        f"'numpy_version': '{np.__version__}'",
    ):
        assert part in numpys


def test_the_threads_of_the_loaded_blas_are_those_that_it_was_given():
    pytest.importorskip("threadpoolctl", reason="asks the BLAS: pip install threadpoolctl")
    _, numpys, _ = report(OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")
    assert "'num_threads': 1" in numpys
    assert "'user_api': 'blas'" in numpys


def test_what_is_missing_is_said_to_be(tmp_path):
    rows, _, _ = report(
        "-c",
        "import sys, runpy; from importlib import metadata\n"
        "def missing(name): raise metadata.PackageNotFoundError(name)\n"
        "metadata.version = missing; sys.modules['threadpoolctl'] = None\n"
        "runpy.run_module('tinygrad_mnist', run_name='__main__')",
        TINYGRAD_MNIST_DATA="",
    )  # fmt: skip
    assert {
        rows[name]
        for name in ("matplotlib", "tqdm", "safetensors", "hypothesis", "mpi4py", "mlxtend")
    } == {"not installed"}
    assert rows["TINYGRAD_MNIST_DATA"] == "not set"
    assert rows["BLAS"].startswith("built with ")


def test_it_imports_none_of_the_packages_that_it_names():
    *_, imported = report("-X", "importtime")
    names = {line.rsplit("|", 1)[-1].strip().split(".")[0] for line in imported.splitlines()}
    assert "numpy" in names
    assert not names & {
        "matplotlib",
        "tqdm",
        "safetensors",
        "hypothesis",
        "mpi4py",
        "mlxtend",
        "pandas",
        "scipy",
    }
