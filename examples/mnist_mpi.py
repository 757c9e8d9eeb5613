"""Train on several processes: mpiexec -n 2 python examples/mnist_mpi.py.

Only rank 0 prints, draws and writes files.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from runner.data import load_digits, prepare
from runner.folder import start_clean, write_json
from runner.recipes import DEFAULT
from runner.report import Trained, report
from runner.settings import as_json

from tinygrad_mnist import nn, optim, softmax_cross_entropy
from tinygrad_mnist.parallel import DistributedOptimizer, communicator, share_cores
from tinygrad_mnist.train import fit


def parse(arguments=None):
    """Return the settings of a run: those of mnist_mlp.py, changed by this program's flags."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=128, help="size over all ranks together")
    parser.add_argument("--lr", type=float, default=0.002)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", help="a folder or file of MNIST")
    parser.add_argument("--out", type=Path, default=Path("runs/mnist_mpi"))
    flags = vars(parser.parse_args(arguments))
    flags["hidden"] = [flags["hidden"]]
    return {**DEFAULT, "dropout": 0.0, "validation": 0.0, "recipe": "mpi", **flags}


def main(arguments=None):
    started = time.perf_counter()
    settings = parse(arguments)
    comm = communicator()
    data, settings = load_digits(settings)
    [hidden] = settings["hidden"]
    # Every rank uses the same seed, so that all ranks agree on each batch.
    rng = np.random.default_rng(settings["seed"])
    model = nn.Sequential(
        nn.Linear(784, hidden, rng=rng),
        nn.ReLU(),
        nn.Linear(hidden, settings["classes"], rng=rng),
    )
    # Only this wrapper differs from training in one process.
    adam = optim.Adam(model.parameters(), settings["lr"])
    optimizer = DistributedOptimizer(adam, model, comm)
    if comm.rank == 0:
        start_clean(settings["out"])
        write_json(settings["out"] / "settings.json", as_json(settings))
    with share_cores(comm):
        history = fit(
            model,
            softmax_cross_entropy,
            optimizer,
            prepare(data.train, settings),
            epochs=settings["epochs"],
            batch_size=settings["batch_size"],
            rng=rng,
        )
    if comm.rank == 0:
        seconds = time.perf_counter() - started
        report(Trained(model, history, seconds), softmax_cross_entropy, data, settings)


if __name__ == "__main__":
    main()
