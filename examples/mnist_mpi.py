"""Train on several processes: mpiexec -n 2 python examples/mnist_mpi.py; rank 0 alone prints, draws and writes."""

import argparse
import time
from pathlib import Path

import numpy as np
from mnist_mlp import report

from tinygrad_mnist import nn, optim, softmax_cross_entropy
from tinygrad_mnist.datasets import load_mnist, normalize
from tinygrad_mnist.parallel import DistributedOptimizer, communicator, share_cores
from tinygrad_mnist.train import evaluate, fit, predict


def main(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=128, help="of all ranks together")
    parser.add_argument("--lr", type=float, default=0.002)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", help="a folder or file of MNIST")
    parser.add_argument("--out", type=Path, default=Path("runs/mnist_mpi"))
    settings = {**vars(parser.parse_args(arguments)), "loss": "cross-entropy", "recipe": "mpi"}
    started = time.perf_counter()

    comm = communicator()
    data = load_mnist(settings["data"])
    inputs = normalize(data.train.images).reshape(-1, 784)
    rng = np.random.default_rng(
        settings["seed"]
    )  # the same on every rank: they agree on each batch
    model = nn.Sequential(
        nn.Linear(784, settings["hidden"], rng=rng),
        nn.ReLU(),
        nn.Linear(settings["hidden"], 10, rng=rng),
    )
    optimizer = DistributedOptimizer(
        optim.Adam(model.parameters(), settings["lr"]), model, comm
    )  # all that changes
    with share_cores(comm):
        history = fit(
            model, softmax_cross_entropy, optimizer, (inputs, data.train.labels),
            epochs=settings["epochs"], batch_size=settings["batch_size"], rng=rng,
        )  # fmt: skip
    if comm.rank == 0:
        settings["out"].mkdir(parents=True, exist_ok=True)
        images = normalize(data.test.images).reshape(-1, 784)
        test = evaluate(model, softmax_cross_entropy, (images, data.test.labels))
        report(
            model,
            history,
            data,
            test,
            predict(model, images),
            settings,
            time.perf_counter() - started,
            False,
        )


if __name__ == "__main__":
    main()
