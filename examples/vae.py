"""A variational autoencoder draws digits from noise: python examples/vae.py.

An encoder describes each digit by a few numbers, and says how sure it is of each number. A decoder
draws a digit from such numbers. The loss keeps the numbers close to a standard normal distribution.
Therefore random numbers from that distribution become new digits that nobody wrote.
"""

import argparse
from pathlib import Path

import numpy as np

from tinygrad_mnist import Tensor, exp, nn, no_grad, optim, sigmoid, sigmoid_cross_entropy
from tinygrad_mnist.datasets import Batches, load_mnist, normalize


class VAE(nn.Module):
    """An encoder from digits to `code` uncertain numbers, and a decoder from these to pixels."""

    def __init__(self, code, hidden, rng):
        self.encoder = nn.Sequential(
            *(nn.Linear(784, hidden, rng=rng), nn.ReLU()),
            nn.Linear(hidden, 2 * code, rng=rng, weight_init=nn.init.xavier_uniform),
        )
        self.decoder = nn.Sequential(
            *(nn.Linear(code, hidden, rng=rng), nn.ReLU()),
            nn.Linear(hidden, 784, rng=rng, weight_init=nn.init.xavier_uniform),
        )
        self.code = code

    def encode(self, x):
        """Return the means and the logarithms of the variances, both (N, code)."""
        both = self.encoder(x)
        return both[:, : self.code], both[:, self.code :]

    def forward(self, x, noise):
        """Return the logits of the pixels, and the means and log-variances they were drawn from."""
        mean, log_variance = self.encode(x)
        return self.decoder(mean + exp(0.5 * log_variance) * noise), mean, log_variance


def losses(model, x, rng):
    """Return both parts of the loss in nats per digit: for the pixels and for the distance."""
    noise = rng.standard_normal((len(x), model.code), np.float32)
    logits, mean, log_variance = model(Tensor(x), noise)
    pixels = sigmoid_cross_entropy(logits, x, reduction="sum") / len(x)
    # The Kullback-Leibler divergence is the distance of the numbers from standard normal noise.
    distance = 0.5 * (mean * mean + exp(log_variance) - log_variance - 1.0).sum() / len(x)
    return pixels, distance


def train(model, images, epochs, rng):
    """Train the model to draw the images that it sees."""
    batches = Batches(images, images, 128, rng=rng)
    optimizer = optim.Adam(model.parameters(), lr=2e-3)
    schedule = optim.CosineLR(optimizer, epochs * len(batches))
    for epoch in range(1, epochs + 1):
        total = np.zeros(2)
        for x, _ in batches:
            pixels, distance = losses(model, x, rng)
            optimizer.zero_grad()
            (pixels + distance).backward()
            optimizer.step()
            schedule.step()
            total += pixels.item(), distance.item()
        pixels, distance = total / len(batches)
        print(f"epoch {epoch}/{epochs}  pixels {pixels:.1f} + distance {distance:.1f} nats a digit")


def draw(model, digits, rng, path):
    """Save a picture: digits, the model's copies of them, and digits that it draws from noise."""
    from matplotlib.figure import Figure

    with no_grad():
        mean, _ = model.encode(Tensor(digits))
        copies = sigmoid(model.decoder(mean)).numpy()
        noise = Tensor(rng.standard_normal((4 * len(digits), model.code), np.float32))
        drawn = sigmoid(model.decoder(noise)).numpy()
    figure = Figure(figsize=(7, 3.6), layout="constrained")
    parts = {"written by hand": digits, "copied": copies, "drawn from noise": drawn}
    rows = [len(part) // len(digits) for part in parts.values()]
    panels = figure.subplots(3, 1, gridspec_kw={"height_ratios": rows})
    for panel, (title, part) in zip(panels, parts.items(), strict=True):
        grid = part.reshape(-1, len(digits), 28, 28).swapaxes(1, 2)
        panel.imshow(grid.reshape(-1, 28 * len(digits)), cmap="gray_r", vmin=0, vmax=1)
        panel.set_title(title)
        panel.axis("off")
    figure.savefig(path, dpi=120)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--code", type=int, default=10, help="how many numbers describe a digit")
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--data", help="a folder or file of MNIST, as load_mnist takes it")
    parser.add_argument("--out", type=Path, default=Path("runs/vae"))
    options = parser.parse_args(arguments)
    rng = np.random.default_rng(0)
    data = load_mnist(options.data)
    images, unseen = (normalize(part.images).reshape(-1, 784) for part in (data.train, data.test))
    print(f"{data.name}: {len(images):,} digits to learn from")
    model = VAE(options.code, options.hidden, rng)
    train(model, images, options.epochs, rng)
    with no_grad():
        bound = sum(part.item() for part in losses(model, unseen, rng))
    print(f"digits that it has not seen: {bound:.1f} nats each")
    options.out.mkdir(parents=True, exist_ok=True)
    draw(model, unseen[:16], rng, options.out / "digits.png")
    print(f"picture in {options.out / 'digits.png'}")


if __name__ == "__main__":
    main()
