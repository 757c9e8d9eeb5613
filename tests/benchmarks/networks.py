"""The models that models.py trains, each written for this library, for PyTorch and for JAX.

A network has `batch(rng)`, the arrays that its loss takes; `ours(rng, p)` and `torch(p)`, which
return a model and its loss, a function of (model, *batch); and `jax(weights, key, p, *batch)`, the
loss itself, of weights by PyTorch's names. All use the same names and shapes of parameters, and p
is the probability of the dropout. A network's docstring says what a step is.
"""

import math

import numpy as np

EPS = 1e-5  # of batch_norm and layer_norm


def digits(rng, n=64):
    """Return random images and labels."""
    return rng.random((n, 1, 28, 28), dtype=np.float32), rng.integers(0, 10, n)


def letters(rng, n, length, classes=65):
    """Return random texts, and the texts that are one letter further."""
    text = rng.integers(0, classes, (n, length + 1))
    return text[:, :-1].copy(), text[:, 1:].copy()


class Classifier:
    """A network whose loss is the cross-entropy of its outputs."""

    def ours(self, rng, p):
        import tinygrad_mnist as tg

        def loss(model, x, labels):
            z = model(x)
            return tg.softmax_cross_entropy(z.reshape(-1, z.shape[-1]), labels.reshape(-1))

        return self.our_model(rng, p), loss

    def torch(self, p):
        import torch

        def loss(model, x, labels):
            return torch.nn.functional.cross_entropy(model(x).flatten(0, -2), labels.flatten())

        return self.torch_model(p), loss

    def jax(self, w, key, p, x, labels):
        import jax
        from jax import numpy as jnp

        logp = jax.nn.log_softmax(self.jax_model(w, key, p, x))
        return -jnp.take_along_axis(logp, labels[..., None], -1).mean()


class MLP(Classifier):
    """784-2048-2048-10, ReLU, a batch of 128, Adam."""

    title, optimizer, lr = "784-2048-2048-10, Adam", "Adam", 1e-3
    sizes = (784, 2048, 2048, 10)

    def batch(self, rng):
        x, labels = digits(rng, 128)
        return x.reshape(128, 784), labels

    def our_model(self, rng, p):
        from tinygrad_mnist import nn

        a, b, c, d = self.sizes
        return nn.Sequential(
            nn.Linear(a, b, rng=rng), nn.ReLU(), nn.Linear(b, c, rng=rng), nn.ReLU(),
            nn.Linear(c, d, rng=rng),
        )  # fmt: skip

    def torch_model(self, p):
        from torch import nn

        a, b, c, d = self.sizes
        return nn.Sequential(
            nn.Linear(a, b), nn.ReLU(), nn.Linear(b, c), nn.ReLU(), nn.Linear(c, d)
        )

    def jax_model(self, w, key, p, x):
        for i in (0, 2):
            x = jax_relu(jax_linear(w, str(i), x))
        return jax_linear(w, "4", x)


class LeNet(Classifier):
    """Two convolutions with pools and three dense layers, a batch of 64, SGD."""

    title, optimizer, lr = "LeNet, SGD", "SGD", 0.01

    def batch(self, rng):
        return digits(rng)

    def our_model(self, rng, p):
        from tinygrad_mnist import nn

        return nn.Sequential(
            nn.Conv2d(1, 6, 5, padding=2, rng=rng), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(6, 16, 5, rng=rng), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
            nn.Linear(400, 120, rng=rng), nn.ReLU(), nn.Linear(120, 84, rng=rng), nn.ReLU(),
            nn.Linear(84, 10, rng=rng),
        )  # fmt: skip

    def torch_model(self, p):
        from torch import nn

        return nn.Sequential(
            nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
            nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
        )  # fmt: skip

    def jax_model(self, w, key, p, x):
        x = jax_max_pool(jax_relu(jax_conv(w, "0", x, 2)))
        x = jax_max_pool(jax_relu(jax_conv(w, "3", x, 0))).reshape(len(x), -1)
        for name in ("7", "9"):
            x = jax_relu(jax_linear(w, name, x))
        return jax_linear(w, "11", x)


class CNN(Classifier):
    """Two convolutions with batch norm, two dense layers with dropout, a batch of 64, Adam."""

    title, optimizer, lr = "CNN with batch norm and dropout, Adam", "Adam", 1e-3

    def batch(self, rng):
        return digits(rng)

    def our_model(self, rng, p):
        from tinygrad_mnist import nn

        return nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1, rng=rng), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1, rng=rng), nn.BatchNorm2d(32), nn.ReLU(),
            nn.MaxPool2d(2), nn.Flatten(), nn.Dropout(p, rng=rng),
            nn.Linear(1568, 128, rng=rng), nn.ReLU(), nn.Dropout(p, rng=rng),
            nn.Linear(128, 10, rng=rng),
        )  # fmt: skip

    def torch_model(self, p):
        from torch import nn

        return nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Dropout(p),
            nn.Linear(1568, 128), nn.ReLU(), nn.Dropout(p), nn.Linear(128, 10),
        )  # fmt: skip

    def jax_model(self, w, key, p, x):
        import jax

        first, second = jax.random.split(key)
        for conv, norm in (("0", "1"), ("4", "5")):
            x = jax_normalize(w, norm, jax_conv(w, conv, x, 1), (0, 2, 3), (-1, 1, 1))
            x = jax_max_pool(jax_relu(x))
        x = jax_dropout(first, p, x.reshape(len(x), -1))
        x = jax_dropout(second, p, jax_relu(jax_linear(w, "10", x)))
        return jax_linear(w, "13", x)


class GRU(Classifier):
    """A GRU of width 128 over 48 letters, a batch of 32, Adam."""

    title, optimizer, lr = "GRU over 48 steps, Adam", "Adam", 1e-3
    width, classes = 128, 65

    def batch(self, rng):
        return letters(rng, 32, 48)

    def our_model(self, rng, p):
        import networks_ours

        return networks_ours.LetterGRU(self.classes, self.width, rng)

    def torch_model(self, p):
        from torch import nn

        class LetterGRU(nn.Module):
            def __init__(self, classes, width):
                super().__init__()
                self.embedding = nn.Embedding(classes, width)
                self.gru = nn.GRU(width, width, batch_first=True)
                self.head = nn.Linear(width, classes)

            def forward(self, x):
                return self.head(self.gru(self.embedding(x))[0])

        return LetterGRU(self.classes, self.width)

    def jax_model(self, w, key, p, x):
        import jax
        from jax import numpy as jnp

        inputs = w["embedding.weight"][x] @ w["gru.weight_ih_l0"].T + w["gru.bias_ih_l0"]

        def step(h, gates):
            mine = h @ w["gru.weight_hh_l0"].T + w["gru.bias_hh_l0"]
            (r, z, n), (hr, hz, hn) = jnp.split(gates, 3, 1), jnp.split(mine, 3, 1)
            r, z = jax.nn.sigmoid(r + hr), jax.nn.sigmoid(z + hz)
            n = jnp.tanh(n + r * hn)
            h = n + z * (h - n)
            return h, h

        start = jnp.zeros((len(x), self.width), jnp.float32)
        _, states = jax.lax.scan(step, start, inputs.swapaxes(0, 1))
        return jax_linear(w, "head", states.swapaxes(0, 1))


class GPT(Classifier):
    """Two layers of width 128 with 4 heads over 16 texts of 64 letters, Adam."""

    title, optimizer, lr = "GPT of two layers, Adam", "Adam", 1e-3
    width, heads, length, classes, layers = 128, 4, 64, 65, 2

    def batch(self, rng):
        return letters(rng, 16, self.length)

    def our_model(self, rng, p):
        import networks_ours

        return networks_ours.GPT(self, rng)

    def torch_model(self, p):
        import torch
        from torch import nn

        class Block(nn.Module):
            def __init__(self, width, heads):
                super().__init__()
                self.heads = heads
                self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
                self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
                self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

            def forward(self, x):
                n, length, width = x.shape
                qkv = self.qkv(self.norm1(x)).reshape(n, length, 3, self.heads, -1)
                q, k, v = qkv.permute(2, 0, 3, 1, 4)
                y = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
                x = x + self.out(y.transpose(1, 2).reshape(n, length, width))
                return x + self.down(nn.functional.gelu(self.up(self.norm2(x))))

        class Model(nn.Module):
            def __init__(self, shape):
                super().__init__()
                self.letters = nn.Embedding(shape.classes, shape.width)
                self.places = nn.Embedding(shape.length, shape.width)
                self.blocks = nn.ModuleList(
                    Block(shape.width, shape.heads) for _ in range(shape.layers)
                )
                self.norm = nn.LayerNorm(shape.width)
                self.head = nn.Linear(shape.width, shape.classes)

            def forward(self, x):
                y = self.letters(x) + self.places(torch.arange(x.shape[1]))
                for block in self.blocks:
                    y = block(y)
                return self.head(self.norm(y))

        return Model(self)

    def jax_model(self, w, key, p, x):
        import jax
        from jax import numpy as jnp

        n, length = x.shape
        may_look = jnp.tril(jnp.ones((length, length), bool))
        y = w["letters.weight"][x] + w["places.weight"]
        for i in range(self.layers):
            block = f"blocks.{i}."
            z = jax_linear(w, block + "qkv", jax_normalize(w, block + "norm1", y))
            q, k, v = z.reshape(n, length, 3, self.heads, -1).transpose(2, 0, 3, 1, 4)
            scores = q @ k.swapaxes(-1, -2) / math.sqrt(q.shape[-1])
            z = jax.nn.softmax(jnp.where(may_look, scores, -jnp.inf)) @ v
            y += jax_linear(w, block + "out", z.swapaxes(1, 2).reshape(y.shape))
            z = jax_linear(w, block + "up", jax_normalize(w, block + "norm2", y))
            y += jax_linear(w, block + "down", jax.nn.gelu(z, approximate=False))
        return jax_linear(w, "head", jax_normalize(w, "norm", y))


class VAE:
    """A variational autoencoder, 784-400-20-400-784, a batch of 128, Adam."""

    title, optimizer, lr = "VAE, Adam", "Adam", 1e-3

    @property
    def sizes(self):
        """Return the inputs and outputs of each dense layer."""
        wide, middle, narrow = 784, 400, 20
        return {
            "hidden": (wide, middle),
            "mean": (middle, narrow),
            "logvar": (middle, narrow),
            "up": (narrow, middle),
            "out": (middle, wide),
        }

    def batch(self, rng):
        x = rng.random((128, 784), dtype=np.float32)
        return x, rng.standard_normal((128, 20), dtype=np.float32)

    def ours(self, rng, p):
        import networks_ours

        return networks_ours.VAE(self.sizes, rng), networks_ours.vae_loss

    def torch(self, p):
        import torch
        from torch import nn
        from torch.nn import functional as F  # noqa: N812 - everybody's name for it

        class Model(nn.Module):
            def __init__(self, sizes):
                super().__init__()
                for name, (into, out) in sizes.items():
                    setattr(self, name, nn.Linear(into, out))

            def forward(self, x, noise):
                h = F.relu(self.hidden(x))
                mean, logvar = self.mean(h), self.logvar(h)
                z = mean + torch.exp(0.5 * logvar) * noise
                return self.out(F.relu(self.up(z))), mean, logvar

        def loss(model, x, noise):
            logits, mean, logvar = model(x, noise)
            error = F.binary_cross_entropy_with_logits(logits, x, reduction="sum")
            divergence = -0.5 * (1 + logvar - mean.square() - logvar.exp()).sum()
            return (error + divergence) / len(x)

        return Model(self.sizes), loss

    def jax(self, w, key, p, x, noise):
        import jax
        from jax import numpy as jnp

        h = jax_relu(jax_linear(w, "hidden", x))
        mean, logvar = jax_linear(w, "mean", h), jax_linear(w, "logvar", h)
        z = mean + jnp.exp(0.5 * logvar) * noise
        logits = jax_linear(w, "out", jax_relu(jax_linear(w, "up", z)))
        error = (jax.nn.softplus(logits) - logits * x).sum()
        divergence = -0.5 * (1 + logvar - mean**2 - jnp.exp(logvar)).sum()
        return (error + divergence) / len(x)


NETWORKS = {
    "lenet": LeNet(), "cnn": CNN(), "gpt": GPT(), "gru": GRU(), "mlp": MLP(), "vae": VAE(),
}  # fmt: skip


# The layers for JAX


def jax_relu(x):
    import jax

    return jax.nn.relu(x)


def jax_linear(w, name, x):
    return x @ w[name + ".weight"].T + w[name + ".bias"]


def jax_conv(w, name, x, padding):
    from jax import lax

    y = lax.conv_general_dilated(
        x,
        w[name + ".weight"],
        (1, 1),
        ((padding,) * 2,) * 2,
        dimension_numbers=("NCHW", "OIHW", "NCHW"),
    )
    return y + w[name + ".bias"][:, None, None]


def jax_max_pool(x):
    from jax import lax

    return lax.reduce_window(x, -np.inf, lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")


def jax_normalize(w, name, x, axes=(-1,), shape=(-1,)):
    from jax import lax

    unit = (x - x.mean(axes, keepdims=True)) * lax.rsqrt(x.var(axes, keepdims=True) + EPS)
    return unit * w[name + ".weight"].reshape(shape) + w[name + ".bias"].reshape(shape)


def jax_dropout(key, p, x):
    import jax

    return jax.numpy.where(jax.random.bernoulli(key, 1 - p, x.shape), x / (1 - p), 0)
