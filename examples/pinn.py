"""A network solves a differential equation: python examples/pinn.py.

A mass on a spring swings in oil: u'' + 2 u' + 25 u = 0. It starts at u(0) = 1, at rest. The network
never sees the solution. Its loss is the residual of the equation, which contains the second
derivative of the network with respect to its input. Training differentiates this loss with respect
to every weight.
"""

import argparse
from pathlib import Path

import numpy as np

from tinygrad_mnist import Tensor, grad, nn, optim

DAMPING, STIFFNESS, END = 2.0, 25.0, 2.0


def exact(t):
    """Return the solution of the damped oscillator, to compare with."""
    half = DAMPING / 2
    speed = np.sqrt(STIFFNESS - half * half)
    return np.exp(-half * t) * (np.cos(speed * t) + half / speed * np.sin(speed * t))


class Motion(nn.Module):
    """The position u(t) = 1 + tanh(2 t)**2 * network(t), which starts at 1 and at rest."""

    def __init__(self, width, rng):
        rng = np.random.default_rng(rng)
        self.network = nn.Sequential(
            *(nn.Linear(1, width, rng=rng), nn.Tanh()),
            *(nn.Linear(width, width, rng=rng), nn.Tanh()),
            nn.Linear(width, 1, rng=rng),
        )

    def forward(self, t):
        begins = (2.0 * t).tanh()
        return 1.0 + begins * begins * self.network(3.0 * t - 3.0)


def residual(motion, t):
    """Return u'' + 2 u' + 25 u at times t of shape (N, 1), in units of the stiffness."""
    # Each u depends only on its own time, so the gradient of their sum contains every u'.
    velocity = grad(lambda t: motion(t).sum())
    acceleration = grad(lambda t: velocity(t).sum())
    return acceleration(t) / STIFFNESS + velocity(t) * (DAMPING / STIFFNESS) + motion(t)


def solve(steps, rng):
    """Train a network on the residual, and return it together with the loss of every step."""
    motion = Motion(width=32, rng=rng)
    optimizer = optim.Adam(motion.parameters(), lr=1e-2)
    schedule = optim.CosineLR(optimizer, steps, min_lr=1e-5)
    t = Tensor(np.linspace(0, END, 128, dtype=np.float32)[:, np.newaxis])
    losses = []
    for step in range(1, steps + 1):
        optimizer.zero_grad()
        loss = residual(motion, t).square().mean()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        if step % 500 == 0:
            print(f"step {step}/{steps}  residual {loss.item() ** 0.5:.1e}")
    return motion, losses


def draw(t, found, losses, path):
    """Save a picture of the found motion, the exact motion, and the loss during training."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(t, exact(t), color="0.7", linewidth=4, label="exact")
    left.plot(t, found, color="C3", linewidth=1.5, label="network")
    left.set(xlabel="time", ylabel="position", title="A damped oscillator")
    left.legend()
    right.semilogy(losses, linewidth=0.7)
    right.set(xlabel="step", ylabel="loss", title="What the equation leaves over")
    figure.savefig(path, dpi=120)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--out", type=Path, default=Path("runs/pinn"))
    options = parser.parse_args(arguments)
    motion, losses = solve(options.steps, rng=0)
    t = np.linspace(0, END, 1001)
    found = motion(Tensor(t[:, np.newaxis], dtype=np.float32)).numpy()[:, 0]
    print(f"largest error {np.abs(found - exact(t)).max():.2%} of the first swing")
    options.out.mkdir(parents=True, exist_ok=True)
    draw(t, found, losses, options.out / "motion.png")
    print(f"picture in {options.out / 'motion.png'}")


if __name__ == "__main__":
    main()
