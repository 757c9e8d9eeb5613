"""A small transformer learns the text of Python's own manual: python examples/char_gpt.py.

Each letter looks at the letters before it and predicts the next one. The text is char_rnn.py's.
"""

import argparse
import re
from pydoc_data.topics import topics

import numpy as np

from tinygrad_mnist import concatenate, nn, no_grad, optim, softmax_cross_entropy


class Block(nn.Module):
    """A layer of the transformer: attention and a small network. Each adds to its input."""

    def __init__(self, width, rng):
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, 4, batch_first=True, rng=rng)
        self.network = nn.Sequential(
            nn.Linear(width, 4 * width, rng=rng), nn.ReLU(), nn.Linear(4 * width, width, rng=rng)
        )

    def forward(self, x):
        y = self.norm1(x)
        x = x + self.attention(y, y, y, causal=True)
        return x + self.network(self.norm2(x))


class GPT(nn.Module):
    """Two blocks over windows of at most `span` letters."""

    def __init__(self, letters, width, span, rng):
        self.span = span
        self.letter = nn.Embedding(letters, width, rng=rng)
        self.place = nn.Embedding(span, width, rng=rng)
        # Each place starts from its last three letters, so attention can soon look further back.
        self.join = nn.Linear(3 * width, width, rng=rng, weight_init=nn.init.xavier_uniform)
        self.blocks = [Block(width, rng), Block(width, rng)]
        self.norm = nn.LayerNorm(width)
        self.readout = nn.Linear(width, letters, rng=rng, weight_init=nn.init.xavier_uniform)

    def forward(self, text):
        """Return the logits (N, L, letters) of the next letters of text (N, L)."""
        near = self.letter(np.pad(text, ((0, 0), (2, 0))))
        three = concatenate([near[:, :-2], near[:, 1:-1], near[:, 2:]], axis=-1)
        x = self.join(three) + self.place(np.arange(text.shape[1]))
        for block in self.blocks:
            x = block(x)
        return self.readout(self.norm(x))


def corpus(size):
    """Return Python's manual as the numbers of lower-case letters, and the alphabet."""
    text = "\n".join(topics[name] for name in sorted(topics)).lower()
    text = re.sub(r"[^a-z ,.()'\n]+", " ", text)
    text = re.sub(r" +", " ", re.sub(r"\s*\n\s*", "\n", text))[:size]
    alphabet = sorted(set(text))
    return np.array([alphabet.index(c) for c in text]), alphabet


def train(model, letters, steps, rng):
    """Train the model on windows of letters, with much weight decay as it reads them 8 times."""
    optimizer = optim.AdamW(model.parameters(), lr=4e-3, betas=(0.9, 0.99), weight_decay=0.25)
    schedule = optim.OneCycleLR(optimizer, 4e-3, steps, pct_start=0.1)
    for step in range(1, steps + 1):
        begins = rng.integers(len(letters) - model.span, size=(16, 1))
        window = letters[begins + np.arange(model.span + 1)]
        loss = softmax_cross_entropy(model(window[:, :-1]), window[:, 1:])
        optimizer.zero_grad()
        loss.backward()
        optim.clip_grad_norm(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % max(steps // 10, 1) == 0:
            print(f"step {step}: {loss.item() / np.log(2):.2f} bits a letter", flush=True)


def measure(model, letters):
    """Return the bits per letter of a text, read in windows that overlap by half."""
    half = model.span // 2
    begins = np.arange(0, len(letters) - model.span, half)[:, np.newaxis]
    windows = letters[begins + np.arange(model.span + 1)]
    labels = windows[:, 1:].copy()
    labels[1:, :half] = -1  # the window before has predicted them
    with no_grad():
        loss = softmax_cross_entropy(model(windows[:, :-1]), labels, ignore_index=-1)
    return loss.item() / np.log(2)


def write(model, alphabet, start, length, rng, temperature=0.5):
    """Let the model continue a text by sampling one letter at a time."""
    text = [alphabet.index(c) for c in start]
    for _ in range(length):
        with no_grad():
            logits = model(np.array([text[-model.span :]]))[0, -1]
        p = (logits / temperature).softmax().numpy().astype(np.float64)
        text.append(int(rng.choice(len(alphabet), p=p / p.sum())))
    return "".join(alphabet[i] for i in text)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=2900)
    parser.add_argument("--width", type=int, default=96)
    parser.add_argument("--size", type=int, default=400_000, help="number of letters in the corpus")
    options = parser.parse_args(arguments)
    rng = np.random.default_rng(0)
    letters, alphabet = corpus(options.size)
    held_out, letters = letters[-len(letters) // 20 :], letters[: -len(letters) // 20]
    model = GPT(len(alphabet), options.width, span=64, rng=rng)
    train(model, letters, options.steps, rng)
    print(f"held-out text: {measure(model, held_out):.2f} bits a letter\n")
    print(write(model, alphabet, "the value of ", 300, rng))


if __name__ == "__main__":
    main()
