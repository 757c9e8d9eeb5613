"""Time one training step of whole models beside PyTorch and JAX.

python tests/benchmarks/models.py [--only NAME ...] [--threads N] [--rounds N]

A step is forward, loss, backward and the optimizer's update. PyTorch runs eagerly and JAX compiled,
with as many threads as ours. All begin with the same weights, and before anything is timed their
losses must agree, at the start and after five steps (with a dropout of p = 0; the timing has
p = 0.25). A ratio is the peer's time divided by ours: above 1, ours is faster.

The program ends with status 1 if losses differ.
"""

import argparse
import json

import numpy as np
from networks import NETWORKS
from turns import (
    Job,
    Process,
    Table,
    add_options,
    available,
    describe,
    geometric_mean,
    measure,
    ratios,
    times_and_ratios,
)

PEERS = ("torch", "jax")
STEPS, P = 5, 0.25
BEFORE, AFTER = 1e-5, 1e-3  # how far the losses may differ, relatively: at the start, and then


class ModelJob(Job):
    """Trains the networks in one system."""

    def prepare(self, name, p, weights=None):
        """Make the step of a network; return our initial weights, which the peers are given."""
        network = NETWORKS[name]
        batch = network.batch(np.random.default_rng(1))
        make = {"ours": self.train_ours, "torch": self.train_torch, "jax": self.train_jax}
        self.step, self.loss, weights = make[self.system](network, p, batch, weights)
        return weights

    def losses(self):
        """Return the loss at the start and after some steps."""
        before = self.loss()
        for _ in range(STEPS):
            self.step()
        return before, self.loss()

    def train_ours(self, network, p, batch, weights):
        import tinygrad_mnist as tg
        from tinygrad_mnist import optim

        model, loss_of = network.ours(np.random.default_rng(0), p)
        batch = [tg.from_numpy(a) if a.dtype.kind == "f" else a for a in batch]
        optimizer = getattr(optim, network.optimizer)(model.parameters(), network.lr)
        trained = {name for name, _ in model.named_parameters()}
        weights = {k: (np.array(v), k in trained) for k, v in model.state_dict().items()}

        def step():
            loss = loss_of(model, *batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

        return step, lambda: loss_of(model, *batch).item(), weights

    def train_torch(self, network, p, batch, weights):
        import torch

        model, loss_of = network.torch(p)
        model.load_state_dict({name: torch.tensor(a) for name, (a, _) in weights.items()})
        batch = [torch.from_numpy(a) for a in batch]
        optimizer = getattr(torch.optim, network.optimizer)(model.parameters(), network.lr)

        def step():
            loss = loss_of(model, *batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

        return step, lambda: loss_of(model, *batch).item(), None

    def train_jax(self, network, p, batch, weights):
        import jax

        batch = [jax.numpy.array(a) for a in batch]
        start = {name: jax.numpy.array(a) for name, (a, trained) in weights.items() if trained}
        update = {"SGD": jax_sgd, "Adam": jax_adam}[network.optimizer]
        zeros = jax.tree.map(jax.numpy.zeros_like, start)
        state = start, zeros, zeros, jax.numpy.zeros((), int)
        key = jax.random.key(0)

        @jax.jit
        def after_a_step(state, batch):
            now = jax.random.fold_in(key, state[3])
            slopes = jax.grad(lambda w: network.jax(w, now, p, *batch))(state[0])
            return update(network.lr, state, slopes)

        def step():
            nonlocal state
            state = jax.block_until_ready(after_a_step(state, batch))

        return step, lambda: float(network.jax(state[0], key, p, *batch)), None


def jax_sgd(lr, state, slopes):
    import jax

    weights, m, v, t = state
    return jax.tree.map(lambda w, g: w - lr * g, weights, slopes), m, v, t + 1


def jax_adam(lr, state, slopes):
    import jax

    weights, m, v, t = state
    t = t + 1
    m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, slopes)
    v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, slopes)

    def updated(w, m, v):
        return w - lr * (m / (1 - 0.9**t)) / (jax.numpy.sqrt(v / (1 - 0.999**t)) + 1e-8)

    return jax.tree.map(updated, weights, m, v), m, v, t


def prepare(processes, name, p):
    """Make the steps of a network, with the same weights in all systems."""
    weights = processes["ours"].ask("prepare", name, p)
    for system, process in processes.items():
        if system != "ours":
            process.ask("prepare", name, p, weights)


def differences(losses):
    """Return how the losses of the peers differ from ours, as sentences."""
    when = ("at the start", BEFORE), (f"after {STEPS} steps", AFTER)
    for system, pair in losses.items():
        for (moment, limit), mine, theirs in zip(when, losses["ours"], pair, strict=True):
            if not abs(mine - theirs) <= limit * abs(theirs):
                yield f"the loss {moment} is {mine:.6g}, {system}'s {theirs:.6g}"


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    add_options(parser, rounds=10)
    options = parser.parse_args()
    names = ("ours", *available(PEERS))
    peers = names[1:]
    print(describe(options.threads))
    processes = {name: Process(ModelJob, name, options.threads, options.cpu_time) for name in names}
    head = ["one step", "ours, us", *(f"{p}, us" for p in peers), *(f"{p} / ours" for p in peers)]
    table = Table(head, options.markdown)
    times, complaints = {}, []
    for name in options.only:
        title = NETWORKS[name].title
        prepare(processes, name, 0.0)
        losses = {system: process.ask("losses") for system, process in processes.items()}
        complaints += [f"{title}: {sentence}" for sentence in differences(losses)]
        prepare(processes, name, P)
        times[title] = measure(processes, options.rounds)
        table.row([title, *times_and_ratios(times[title], peers)])
    means = [geometric_mean([ratios(best, [p])[p] for best in times.values()]) for p in peers]
    table.row(["geometric mean", "", *[""] * len(peers), *(f"{m:.2f}" for m in means)])
    for process in processes.values():
        process.close()
    if options.out:
        options.out.write_text(json.dumps(times, indent=1))
    for complaint in complaints:
        print("WRONG:", complaint)
    return bool(complaints)


if __name__ == "__main__":
    raise SystemExit(main())
