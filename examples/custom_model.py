"""A model of your own with an operation of your own: a ReLU with a learnt softness, on spirals."""

import numpy as np

from tinygrad_mnist import Tensor, apply, nn, optim, softmax_cross_entropy
from tinygrad_mnist.testing import gradcheck
from tinygrad_mnist.train import evaluate, fit


def _swish(x, beta):  # the kernel: arrays in, the result and its vector-Jacobian product out
    s = 0.5 * (1 + np.tanh(0.5 * beta * x))  # the logistic function of beta * x
    y = x * s

    def vjp(g, needs):
        slope = s * (1 - s)
        gx = g * (s + beta * x * slope) if needs[0] else None
        gbeta = (g * x * x * slope).sum(axis=0) if needs[1] else None
        return gx, gbeta

    return y, vjp


def swish(x, beta):
    """Return x / (1 + exp(-beta * x)), with a sharpness beta for each unit."""
    return apply(_swish, x, beta)


class SpiralNet(nn.Module):
    def __init__(self, hidden=32, rng=None):
        rng = np.random.default_rng(rng)
        self.inside = nn.Linear(2, hidden, rng=rng)
        self.beta = Tensor(np.ones(hidden, np.float32), requires_grad=True)  # a parameter, too
        self.outside = nn.Linear(hidden, 2, rng=rng)

    def forward(self, x):
        return self.outside(swish(self.inside(x), self.beta))


def spirals(n=400, rng=None):
    """Return the points (2n, 2) of two spirals, and the spiral that each point belongs to."""
    angle = np.random.default_rng(rng).uniform(0.5, 3, n)[:, None] * np.pi
    one = np.hstack([angle * np.cos(angle), angle * np.sin(angle)]) / 10
    return np.vstack([one, -one]).astype(np.float32), np.repeat([0, 1], n)


def main():
    # First check that the vjp is right.
    gradcheck(swish, np.random.default_rng(0).standard_normal((3, 4)), np.ones(4))
    model, loss = SpiralNet(rng=0), softmax_cross_entropy
    optimizer = optim.Adam(model.parameters(), lr=0.02)
    fit(model, loss, optimizer, spirals(rng=1), epochs=150, batch_size=64, progress=30, rng=2)
    print(f"accuracy on new points: {evaluate(model, loss, spirals(rng=3)).accuracy:.1%}")


if __name__ == "__main__":
    main()
