"""Time the default recipe of mnist_mlp.py and the same in PyTorch, process by process.

python tests/benchmarks/end_to_end.py

First from start to saved pictures, then from start to 98 % of the test set, which is tried after
each epoch.
"""

import math
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "examples")]


def setting():
    """Return the settings of the default recipe, and its training, validation and test arrays."""
    import numpy as np
    from runner.data import load_digits, prepare
    from runner.settings import parse

    from tinygrad_mnist.datasets import train_val_split

    data, settings = load_digits(parse(__doc__, []))
    split, model, order = np.random.default_rng(0).spawn(3)
    training, validation = train_val_split(
        *prepare(data.train, settings), settings["validation"], split
    )
    return settings, training, validation, prepare(data.test, settings), data, model, order


def ours(out, to):
    import mnist_mlp
    from runner.models import build_perceptron

    if to is None:
        return mnist_mlp.main(["--out", out])
    from tinygrad_mnist import from_numpy, optim, softmax_cross_entropy
    from tinygrad_mnist.datasets import Batches
    from tinygrad_mnist.train import evaluate

    settings, training, _, test, _, rng, order = setting()
    model = build_perceptron(settings, rng)
    batches = Batches(*training, settings["batch_size"], rng=order)
    optimizer = optim.Adam(model.parameters(), settings["lr"])
    schedule = optim.OneCycleLR(optimizer, settings["lr"], settings["epochs"] * len(batches))
    for epoch in range(settings["epochs"]):
        for x, y in batches:
            optimizer.zero_grad()
            softmax_cross_entropy(model(from_numpy(x)), y).backward()
            optimizer.step()
            schedule.step()
        if evaluate(model, softmax_cross_entropy, test).accuracy >= to:
            return print(f"{epoch + 1} epochs")
    return None


def pytorch(out, to):
    import numpy as np
    import torch

    from tinygrad_mnist import plots
    from tinygrad_mnist.train import History

    settings, *splits, data, _, _ = setting()
    training, validation, test = ([torch.from_numpy(a) for a in pair] for pair in splits)
    torch.manual_seed(0)
    sizes, layers = [784, *settings["hidden"], 10], []
    for i in range(len(sizes) - 1):
        layers += [torch.nn.ReLU(), torch.nn.Dropout(settings["dropout"])] if i else []
        layers.append(torch.nn.Linear(sizes[i], sizes[i + 1]))
        torch.nn.init.kaiming_normal_(layers[-1].weight, nonlinearity="relu")
        torch.nn.init.zeros_(layers[-1].bias)
    model, size = torch.nn.Sequential(*layers), settings["batch_size"]
    steps = settings["epochs"] * math.ceil(len(training[0]) / size)
    optimizer = torch.optim.Adam(model.parameters(), settings["lr"])
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, settings["lr"], steps, cycle_momentum=False
    )
    cross_entropy = torch.nn.functional.cross_entropy

    def outputs(x):
        model.eval()
        with torch.no_grad():
            return torch.cat([model(part) for part in x.split(1024)])

    def measure(pair):
        z = outputs(pair[0])
        return cross_entropy(z, pair[1]).item(), (z.argmax(1) == pair[1]).float().mean().item()

    history = History()
    for epoch in range(settings["epochs"]):
        model.train()
        total = right = 0.0
        for chosen in torch.randperm(len(training[0])).split(
            size
        ):  # indices, for a DataLoader would be slower
            x, y = training[0][chosen], training[1][chosen]
            optimizer.zero_grad()
            z = model(x)
            loss = cross_entropy(z, y)
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item() * len(x)
            right += (z.argmax(1) == y).sum().item()
        if to is not None:
            if measure(test)[1] >= to:
                return print(f"{epoch + 1} epochs")
            continue
        n, (val_loss, val_accuracy) = len(training[0]), measure(validation)
        history.add(
            train_loss=total / n, train_accuracy=right / n,
            val_loss=val_loss, val_accuracy=val_accuracy,
            lr=schedule.get_last_lr()[0],
        )  # fmt: skip
        torch.save([model.state_dict(), optimizer.state_dict()], f"{out}/checkpoint.pt")
    if to is not None:
        return None
    z, truth, images = outputs(test[0]), data.test.labels, data.test.images
    digits = z.argmax(1).numpy()
    counts = np.bincount(truth * 10 + digits, minlength=100).reshape(10, 10)
    figures = [
        plots.predictions(images, digits, truth), plots.learning_curves(history),
        plots.confusion_matrix(counts), plots.mistakes(images, torch.softmax(z, 1).numpy(), truth),
        plots.first_layer_weights(model[0].weight.detach().numpy()),
    ]  # fmt: skip
    for i, figure in enumerate(figures):
        figure.savefig(f"{out}/{i}.png", dpi=120)
    print(f"test accuracy {measure(test)[1]:.4f}")
    return None


def main():
    if len(sys.argv) > 1:
        system, to = {"ours": ours, "pytorch": pytorch}[sys.argv[1]], float(sys.argv[2]) or None
        with tempfile.TemporaryDirectory() as out:
            return system(out, to)
    for to, what in ((0, "start to saved pictures"), (0.98, "start to 98 % of the test set")):
        best, said = {}, {}
        for _ in range(3):
            for system in ("ours", "pytorch"):
                time.sleep(1)
                started = time.perf_counter()
                command = [sys.executable, __file__, system, str(to)]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                best[system] = min(best.get(system, math.inf), time.perf_counter() - started)
                said[system] = next(
                    line
                    for line in done.stdout.splitlines()
                    if "epochs" in line or "test accuracy" in line
                )
        print(
            f"{what}: "
            + "; ".join(f"{system} {s:.2f} s ({said[system]})" for system, s in best.items()),
            end="; ",
        )
        print(f"ratio {best['pytorch'] / best['ours']:.2f}")
    return None


if __name__ == "__main__":
    main()
