"""Time each operation, forward and backward, beside PyTorch and JAX.

python tests/benchmarks/ops.py [--only NAME ...] [--size small|large] [--threads N] [--rounds N]

A step is the operation, then backward of a given gradient. PyTorch runs eagerly and JAX compiled,
with as many threads as ours. Values and gradients of all three must agree before they are timed. A
ratio is the peer's time divided by ours: above 1, ours is faster.

The program ends with status 1 if an operation of the package has no case in op_cases.py, or if
values disagree.
"""

import argparse
import inspect
import json
import math

import numpy as np
from op_cases import CASES, DESIGNED
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
RTOL = 1e-4


class OpJob(Job):
    """Runs the cases in one system."""

    def prepare(self, number):
        """Make the step of a case; return [value, *gradients], or None if the system lacks it."""
        case = CASES[number]
        text = getattr(case, self.system)
        if text is None:
            return None
        rng = np.random.default_rng(number)
        arrays = {name: given.make(rng) for name, given in case.inputs.items()}
        leaves = [name for name, given in case.inputs.items() if given.is_leaf]
        self.step, results = getattr(self, self.system + "_step")(text, arrays, leaves, rng)
        if case.compared is not None:
            return case.compared(list(arrays.values()), results)
        return results

    def function(self, text, names, **modules):
        return eval(f"lambda {', '.join(names)}: {text}", {"np": np, "math": math, **modules})

    def ours_step(self, text, arrays, leaves, rng):
        import tinygrad_mnist as tg

        f = self.function(text, arrays, tg=tg, rng=np.random.default_rng(0))
        args = [tg.Tensor(a, requires_grad=True) if k in leaves else a for k, a in arrays.items()]
        tensors = [x for x, name in zip(args, arrays, strict=True) if name in leaves]
        y = f(*args)
        seed = _seed(rng, y)
        y.backward(seed)

        def step():
            for x in tensors:
                x.zero_grad()
            f(*args).backward(seed)

        return step, [y.numpy(), *(x.grad for x in tensors)]

    def torch_step(self, text, arrays, leaves, rng):
        import torch

        f = self.function(text, arrays, torch=torch, F=torch.nn.functional)
        args = [torch.tensor(a, requires_grad=k in leaves) for k, a in arrays.items()]
        tensors = [x for x, name in zip(args, arrays, strict=True) if name in leaves]
        y = f(*args)
        seed = torch.from_numpy(_seed(rng, y.detach().numpy()))
        y.backward(seed)
        results = [y.detach().numpy(), *(x.grad.numpy() for x in tensors)]

        def step():
            for x in tensors:
                x.grad = None
            f(*args).backward(seed)

        return step, results

    def jax_step(self, text, arrays, leaves, rng):
        import jax

        f = self.function(text, arrays, jax=jax, jnp=jax.numpy, lax=jax.lax, key=jax.random.key(0))
        names = list(arrays)
        args = [jax.numpy.array(a) for a in arrays.values()]

        @jax.jit
        def both(seed, *args):
            given = dict(zip(names, args, strict=True))
            y, pull = jax.vjp(
                lambda *xs: f(**(given | dict(zip(leaves, xs, strict=True)))),
                *(given[name] for name in leaves),
            )
            return y, pull(seed)

        seed = jax.numpy.array(_seed(rng, jax.eval_shape(f, *args)))
        y, gradients = both(seed, *args)

        def step():
            jax.block_until_ready(both(seed, *args))

        return step, [np.asarray(y), *map(np.asarray, gradients)]


def _seed(rng, y):
    return np.asarray(rng.uniform(0.5, 1.5, y.shape), y.dtype)


def missing(case):
    """Return what the package lacks for a case, or an empty string."""
    import tinygrad_mnist as tg
    from tinygrad_mnist.ops import OPS

    op = OPS.get(case.op) or getattr(tg, case.op, None)
    if op is None:
        return case.op
    if case.keyword and case.keyword not in inspect.signature(op).parameters:
        return f"{case.op}({case.keyword}=)"
    return ""


def uncovered():
    """Return the operations of the package, and of its design, that have no case."""
    from tinygrad_mnist.ops import OPS

    return sorted({*OPS, *DESIGNED} - {case.op for case in CASES})


def differences(results):
    """Return what differs between our arrays and those of the peers, as sentences."""
    found = []
    for peer, arrays in results.items():
        for place, (mine, theirs) in enumerate(zip(results["ours"], arrays, strict=True)):
            what = f"gradient {place}" if place else "the value"
            if mine.shape != theirs.shape:
                found.append(f"{what} has shape {mine.shape}, {peer} says {theirs.shape}")
            elif not np.allclose(mine, theirs, RTOL, RTOL * 0.1 * np.abs(theirs).max(initial=0)):
                worst = np.abs(mine - theirs).max()
                found.append(f"{what} differs from {peer}'s by up to {worst:.3g}")
    return found


def run(numbers, options):
    """Time the cases; return {(label, size): {system: seconds}} and the complaints."""
    names = ("ours", *available(PEERS))
    processes = {name: Process(OpJob, name, options.threads, options.cpu_time) for name in names}
    peers = [n for n in PEERS if n in names]
    table = Table(
        ["operation", "ours, us", *(f"{p}, us" for p in peers), *(f"{p} / ours" for p in peers)],
        options.markdown,
    )
    times, complaints = {}, []
    for number in numbers:
        case = CASES[number]
        label = f"{case.label}, {case.size}"
        results = {name: process.ask("prepare", number) for name, process in processes.items()}
        results = {name: r for name, r in results.items() if r is not None}
        if found := differences(results):
            complaints += [f"{label}: {sentence}" for sentence in found]
            continue
        best = measure({name: processes[name] for name in results}, options.rounds)
        times[number] = best
        table.row([label, *times_and_ratios(best, peers)])
    for process in processes.values():
        process.close()
    for heading, chosen in groups(times):
        means = [
            geometric_mean([ratios(times[n], [p])[p] for n in chosen if p in times[n]])
            for p in peers
        ]
        table.row([heading, "", *[""] * len(peers), *(f"{m:.2f}" for m in means)])
    return times, complaints


def groups(times):
    """Return (heading, cases) for the geometric means: by family, by size, all."""
    for family in dict.fromkeys(CASES[n].family for n in times):
        yield f"geometric mean, {family}", [n for n in times if CASES[n].family == family]
    for size in ("small", "large"):
        yield f"geometric mean, {size}", [n for n in times if CASES[n].size == size]
    yield "geometric mean", list(times)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--only", nargs="+", metavar="NAME", help="operations, by name")
    parser.add_argument("--size", choices=("small", "large"))
    add_options(parser, rounds=5)
    options = parser.parse_args()
    for name in options.only or ():
        if name not in {case.op for case in CASES}:
            parser.error(f"{name} has no case in op_cases.py")
    chosen = [
        n
        for n, case in enumerate(CASES)
        if (not options.only or case.op in options.only) and options.size in (None, case.size)
    ]
    skipped = dict.fromkeys(filter(None, (missing(CASES[n]) for n in chosen)))
    print(describe(options.threads))
    times, complaints = run([n for n in chosen if not missing(CASES[n])], options)
    if skipped:
        print("Skipped, because the package does not have them yet: " + ", ".join(skipped) + ".")
    if options.out:
        named = {f"{CASES[n].label}, {CASES[n].size}": best for n, best in times.items()}
        options.out.write_text(json.dumps(named, indent=1))
    complaints += [f"{op} has no case in op_cases.py" for op in uncovered()]
    for complaint in complaints:
        print("WRONG:", complaint)
    return bool(complaints)


if __name__ == "__main__":
    raise SystemExit(main())
