"""The networks of networks.py that need a class of their own in this library.

Layers and operations that the package may not have yet are written from public operations here;
where the package has them, its own are taken.
"""

import math

import numpy as np

import tinygrad_mnist as tg
from tinygrad_mnist import nn


def parameter(rng, *shape):
    """Return a parameter, uniform in +-1/sqrt(last axis)."""
    bound = 1 / math.sqrt(shape[-1])
    return tg.Tensor(rng.uniform(-bound, bound, shape).astype(np.float32), requires_grad=True)


class Embedding(nn.Module):
    """A table of rows, looked up by integers."""

    def __init__(self, count, width, rng):
        self.weight = parameter(rng, count, width)

    def forward(self, x):
        return self.weight[x]


class GRU(nn.Module):
    """One layer of PyTorch's GRU, the batch first; it returns all states and the last."""

    def __init__(self, into, width, rng):
        self.width = width
        self.weight_ih_l0, self.weight_hh_l0 = (
            parameter(rng, 3 * width, into),
            parameter(rng, 3 * width, width),
        )
        self.bias_ih_l0, self.bias_hh_l0 = parameter(rng, 3 * width), parameter(rng, 3 * width)

    def forward(self, x):
        w = self.width
        inputs = tg.linear(x, self.weight_ih_l0, self.bias_ih_l0)
        h, states = tg.Tensor(np.zeros((len(x), w), np.float32)), []
        for t in range(x.shape[1]):
            gates = inputs[:, t]
            mine = tg.linear(h, self.weight_hh_l0, self.bias_hh_l0)
            both = tg.sigmoid(gates[:, : 2 * w] + mine[:, : 2 * w])
            r, z = both[:, :w], both[:, w:]
            n = tg.tanh(gates[:, 2 * w :] + r * mine[:, 2 * w :])
            h = n + z * (h - n)
            states.append(h)
        return tg.stack(states, axis=1), h


def embedding(count, width, rng):
    return (
        nn.Embedding(count, width, rng=rng)
        if hasattr(nn, "Embedding")
        else Embedding(count, width, rng)
    )


def gru(into, width, rng):
    if hasattr(nn, "GRU"):
        return nn.GRU(into, width, batch_first=True, rng=rng)
    return GRU(into, width, rng)


def attention(q, k, v):
    """Return causal attention."""
    if hasattr(tg, "scaled_dot_product_attention"):
        return tg.scaled_dot_product_attention(q, k, v, causal=True)
    length = q.shape[-2]
    hidden = np.triu(np.full((length, length), -np.inf, np.float32), 1)
    scores = q @ k.swapaxes(-1, -2) * (1 / math.sqrt(q.shape[-1])) + hidden
    return tg.softmax(scores) @ v


class LetterGRU(nn.Module):
    def __init__(self, classes, width, rng):
        self.embedding = embedding(classes, width, rng)
        self.gru = gru(width, width, rng)
        self.head = nn.Linear(width, classes, rng=rng)

    def forward(self, x):
        return self.head(self.gru(self.embedding(x))[0])


class Block(nn.Module):
    def __init__(self, width, heads, rng):
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = (
            nn.Linear(width, 3 * width, rng=rng),
            nn.Linear(width, width, rng=rng),
        )
        self.up, self.down = (
            nn.Linear(width, 4 * width, rng=rng),
            nn.Linear(4 * width, width, rng=rng),
        )

    def forward(self, x):
        n, length, width = x.shape
        qkv = self.qkv(self.norm1(x)).reshape(n, length, 3, self.heads, -1)
        q, k, v = qkv.transpose(2, 0, 3, 1, 4)
        x = x + self.out(attention(q, k, v).swapaxes(1, 2).reshape(n, length, width))
        return x + self.down(tg.gelu(self.up(self.norm2(x))))


class GPT(nn.Module):
    def __init__(self, shape, rng):
        self.letters = embedding(shape.classes, shape.width, rng)
        self.places = embedding(shape.length, shape.width, rng)
        self.blocks = [Block(shape.width, shape.heads, rng) for _ in range(shape.layers)]
        self.norm = nn.LayerNorm(shape.width)
        self.head = nn.Linear(shape.width, shape.classes, rng=rng)

    def forward(self, x):
        y = self.letters(x) + self.places(np.arange(x.shape[1]))
        for block in self.blocks:
            y = block(y)
        return self.head(self.norm(y))


class VAE(nn.Module):
    def __init__(self, sizes, rng):
        for name, (into, out) in sizes.items():
            setattr(self, name, nn.Linear(into, out, rng=rng))

    def forward(self, x, noise):
        h = self.hidden(x).relu()
        mean, logvar = self.mean(h), self.logvar(h)
        z = mean + tg.exp(0.5 * logvar) * noise
        return self.out(self.up(z).relu()), mean, logvar


def vae_loss(model, x, noise):
    logits, mean, logvar = model(x, noise)
    if hasattr(tg, "sigmoid_cross_entropy"):
        error = tg.sigmoid_cross_entropy(logits, x, reduction="sum")
    else:
        error = (tg.softplus(logits) - logits * x).sum()
    divergence = -0.5 * (1 + logvar - tg.square(mean) - tg.exp(logvar)).sum()
    return (error + divergence) / len(x)
