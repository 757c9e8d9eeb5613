"""A recurrent network that writes: a GRU learns the text of Python's manual letter by letter."""

import argparse
import re

import numpy as np

from tinygrad_mnist import Tensor, nn, no_grad, optim, sigmoid, softmax_cross_entropy, stack, tanh


class GRU(nn.Module):
    """A gated recurrent unit (Cho et al. 2014) that reads letters and predicts the next one."""

    def __init__(self, letters, hidden, rng):
        self.embed = Tensor(
            rng.normal(0, 0.5, (letters, 32)).astype(np.float32), requires_grad=True
        )
        self.gates = nn.Linear(32 + hidden, 2 * hidden, rng=rng, weight_init=nn.init.xavier_uniform)
        self.candidate = nn.Linear(32 + hidden, hidden, rng=rng, weight_init=nn.init.xavier_uniform)
        self.readout = nn.Linear(hidden, letters, rng=rng)
        self._hidden = hidden

    def start(self, batch):
        return Tensor(np.zeros((batch, self._hidden), np.float32))

    def step(self, letters, h):
        """Read one letter of each row of the batch; return the new state."""
        x = self.embed[letters]
        gates = sigmoid(self.gates(np.concatenate([x, h], axis=1)))
        update, reset = gates[:, : self._hidden], gates[:, self._hidden :]
        new = tanh(self.candidate(np.concatenate([x, reset * h], axis=1)))
        return h + update * (new - h)

    def forward(self, text, h):
        """Return logits (T * N, letters) of the next letters of text (N, T), and the last state."""
        states = []
        for t in range(text.shape[1]):
            h = self.step(text[:, t], h)
            states.append(h)
        return self.readout(stack(states).reshape(-1, self._hidden)), h


def corpus(size):
    """Return Python's manual as the numbers of lower-case letters, and the alphabet."""
    from pydoc_data.topics import topics

    text = re.sub(
        r"[^a-z ,.()'\n]+", " ", "\n".join(topics[name] for name in sorted(topics)).lower()
    )
    text = re.sub(r" +", " ", re.sub(r"\s*\n\s*", "\n", text))[:size]
    alphabet = sorted(set(text))
    return np.array([alphabet.index(c) for c in text]), alphabet


def write(model, alphabet, start, length, rng, temperature=0.5):
    """Let the model continue a text by sampling one letter at a time."""
    out = [alphabet.index(c) for c in start]
    with no_grad():
        h = model.start(1)
        for i in range(len(start) + length - 1):
            h = model.step(np.array([out[i]]), h)
            if i >= len(start) - 1:
                p = (model.readout(h) / temperature).softmax().numpy()[0].astype(np.float64)
                out.append(int(rng.choice(len(alphabet), p=p / p.sum())))
    return "".join(alphabet[i] for i in out)


def main(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--hidden", type=int, default=160)
    parser.add_argument("--size", type=int, default=400_000, help="number of letters in the corpus")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    rng = np.random.default_rng(options.seed)
    letters, alphabet = corpus(options.size)
    held_out, letters = letters[-len(letters) // 20 :], letters[: -len(letters) // 20]
    frequency = np.bincount(letters, minlength=len(alphabet)) / len(letters)
    unigram = -np.log2(frequency[held_out]).mean()
    print(
        f"{len(letters):,} letters of {len(alphabet)}; "
        f"by their frequency alone {unigram:.2f} bits each"
    )

    model = GRU(len(alphabet), options.hidden, rng)
    optimizer = optim.Adam(model.parameters(), lr=0.004)
    schedule = optim.CosineLR(optimizer, options.steps)
    batch, span = 32, 48
    rows = letters[: len(letters) // batch * batch].reshape(batch, -1)
    h, place = model.start(batch), 0
    for step in range(1, options.steps + 1):
        if place + span + 1 > rows.shape[1]:
            h, place = model.start(batch), 0
        window = rows[:, place : place + span + 1]
        logits, h = model(window[:, :-1], h.detach())  # keep the state, cut the graph
        loss = softmax_cross_entropy(logits, window[:, 1:].T.reshape(-1))
        optimizer.zero_grad()
        loss.backward()
        optim.clip_grad_norm(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        place += span
        if step % max(options.steps // 10, 1) == 0:
            print(f"step {step}: {loss.item() / np.log(2):.2f} bits a letter")
    with no_grad():
        logits, _ = model(held_out[np.newaxis, :-1], model.start(1))
        bits = softmax_cross_entropy(logits, held_out[1:]).item() / np.log(2)
    print(f"held-out text: {bits:.2f} bits a letter")
    print("\n" + write(model, alphabet, "the value of ", 300, rng))
    return bits


if __name__ == "__main__":
    main()
