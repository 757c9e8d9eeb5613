"""Profiles of hypothesis, the tiny data that examples train on, and real MNIST where it is at hand."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

sys.path.insert(
    0, str(Path(__file__).parent)
)  # for op_table and helpers, whatever folder pytest starts in

# ci: the same examples each time, a few minutes in all. nightly: pytest --hypothesis-profile
# nightly
settings.register_profile("ci", max_examples=60, deadline=None, derandomize=True, database=None)
settings.register_profile("nightly", max_examples=1500, deadline=None)
settings.load_profile("ci")


collect_ignore_glob = [
    "recorded/*",
    "benchmarks/*",
    "mutation.py",
    "accuracy.py",
    "mpi_job.py",
]  # programs, run by hand


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def mnist():
    """The full MNIST; the test skips where TINYGRAD_MNIST_DATA does not lead to it."""
    if not os.environ.get("TINYGRAD_MNIST_DATA"):
        pytest.skip("needs the full MNIST: set TINYGRAD_MNIST_DATA to a folder with its files")
    from tinygrad_mnist.datasets import load_mnist

    return load_mnist()


@pytest.fixture(scope="session")
def digits(tmp_path_factory):
    """A folder with 200 made-up digits to train on and 50 to test on, as IDX files: blocks of ink whose place is the class."""
    from helpers import write_idx

    folder = tmp_path_factory.mktemp("digits")
    generator = np.random.default_rng(0)
    for part, count in (("train", 200), ("t10k", 50)):
        labels = np.arange(count) % 10
        images = generator.integers(0, 60, (count, 28, 28))
        for image, label in zip(images, labels, strict=True):
            image[
                2 + 5 * (label // 2) : 7 + 5 * (label // 2),
                3 + 12 * (label % 2) : 13 + 12 * (label % 2),
            ] += 180
        write_idx(folder / f"{part}-images-idx3-ubyte", images)
        write_idx(folder / f"{part}-labels-idx1-ubyte", labels)
    return folder


@pytest.fixture(scope="module")
def examples():
    """Let tests import what the examples share."""
    from helpers import ROOT

    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "examples"))
        yield


@pytest.fixture
def trainer(examples):
    """The training of a playground that nobody watches."""
    from playground_page.training import Trainer
    from served import Silent

    trainer = Trainer(Silent())
    yield trainer
    trainer.close()


@pytest.fixture(scope="module")
def on_digits(examples, digits):
    """A playground whose model has learned made-up digits a little."""
    from served import get, serving, wait_until

    with serving(mnist=digits) as server:
        get(server, "/reset", {"data": "mnist", "hidden": [16, 8], "rate": 0.01, "seed": 3})
        get(server, "/start")
        wait_until(lambda: server.trainer.step > 60)
        get(server, "/pause")
        yield server
