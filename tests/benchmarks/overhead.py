"""What the engine itself costs: a node on 2 x 2 arrays, depth, one example at a time, import."""

import subprocess
import sys
import time

import numpy as np

import tinygrad_mnist as tg
from tinygrad_mnist import nn, optim


def best(f, rounds=9):
    """Return the shortest of several runs, in seconds."""
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        f()
        times.append(time.perf_counter() - started)
    return min(times)


def nodes(count=1000):
    """Print what a node costs beyond its NumPy call, forward and backward."""
    x = tg.Tensor(np.ones((2, 2), np.float32), requires_grad=True)
    g = np.ones((2, 2), np.float32)

    def forward():
        y = x
        for _ in range(count):
            y = tg.negative(y)
        return y

    def bare():
        y = g
        for _ in range(count):
            y = -y
        for _ in range(count):
            np.negative(y, out=y)

    both = best(lambda: forward().backward(g))
    print(
        f"a node (negative, 2 x 2): {both / count * 1e6:.2f} us, "
        f"of which NumPy's two calls {best(bare) / count * 1e6:.2f} us"
    )


def depth():
    """Print the time per node of chains of 1 to 100,000 nodes."""
    x = tg.Tensor(np.ones((2, 2), np.float32), requires_grad=True)
    for count in (1, 10, 100, 1000, 10_000, 100_000):

        def run(count=count):
            y = x
            for _ in range(count):
                y = y * 1.0
            y.sum().backward()

        print(f"chain of {count:>6}: {best(run, 3) / count * 1e6:.2f} us a node")


def per_example():
    """Print the time of one step of the sigmoid-mse recipe, and of JAX' jit if it is installed."""
    rng = np.random.default_rng(0)
    first, second = (
        nn.Linear(784, 100, bias=False, rng=rng),
        nn.Linear(100, 10, bias=False, rng=rng),
    )
    model = nn.Sequential(first, nn.Sigmoid(), second, nn.Sigmoid())
    optimizer = optim.SGD(model.parameters(), 0.5)
    x, t = rng.random((1, 784), dtype=np.float32), rng.random((1, 10), dtype=np.float32)
    weights = [first.weight.data.copy(), second.weight.data.copy()]

    def ours():
        for _ in range(300):
            loss = tg.mse(model(tg.from_numpy(x)), t)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    systems = {"ours": ours}
    try:
        import jax
        from jax import numpy as jnp
    except ImportError:
        print("jax is not installed: its part is left out")
    else:
        params = [jnp.array(w.T) for w in weights]

        def loss(params, x, t):
            return ((jax.nn.sigmoid(jax.nn.sigmoid(x @ params[0]) @ params[1]) - t) ** 2).mean()

        step = jax.jit(
            lambda params, x, t: [
                p - 0.5 * g for p, g in zip(params, jax.grad(loss)(params, x, t), strict=True)
            ]
        )

        def theirs():
            nonlocal params
            for _ in range(300):
                params = step(params, x, t)
            jax.block_until_ready(params)

        systems["jax"] = theirs
        theirs()
    times = {name: float("inf") for name in systems}
    for _ in range(15):
        for name, run in systems.items():
            times[name] = min(times[name], best(run, 1))
    print(
        "one example, 784-100-10 sigmoid, mse: "
        + ", ".join(f"{n} {s / 300 * 1e6:.1f} us" for n, s in times.items())
    )


def imports():
    """Print the import time beside NumPy's own, interleaved."""
    times = {"numpy": float("inf"), "tinygrad_mnist": float("inf")}
    for _ in range(10):
        for name in times:
            clock = "time.perf_counter()"
            code = f"import time; t = {clock}; import {name}; print({clock} - t)"
            done = subprocess.run(
                [sys.executable, "-c", code], capture_output=True, text=True, check=True
            )
            times[name] = min(times[name], float(done.stdout))
    ratio = times["tinygrad_mnist"] / times["numpy"]
    print(
        f"import: numpy {times['numpy'] * 1e3:.0f} ms, "
        f"tinygrad_mnist with it {times['tinygrad_mnist'] * 1e3:.0f} ms: {ratio:.2f}"
    )


if __name__ == "__main__":
    nodes()
    depth()
    per_example()
    imports()
