"""The transformer and the variational autoencoder among the examples, on little data."""

import ast
import importlib.util
import re
import sys

import numpy as np
import pytest
from helpers import ROOT
from test_examples import run

EXAMPLES = ROOT / "examples"


def load(name):
    """Import an example as a module."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def numbers(text, before):
    """Return the numbers that a program printed after some words."""
    return [float(found) for found in re.findall(re.escape(before) + r"\s*([\d.]+\d)", text)]


@pytest.mark.parametrize("name", ["char_gpt", "vae"])
def test_the_example_stands_alone_and_is_short(name):
    source = (EXAMPLES / f"{name}.py").read_text()
    assert len(source.splitlines()) < 120
    first = ast.get_docstring(ast.parse(source)).split("\n")[0]
    assert first.endswith(".")
    imported = {
        alias.name.split(".")[0]
        for node in ast.walk(ast.parse(source))
        for alias in (
            node.names
            if isinstance(node, ast.Import)
            else [ast.alias(node.module)]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported <= sys.stdlib_module_names | {"numpy", "matplotlib", "tinygrad_mnist"}


def test_the_transformer_learns_more_than_letter_frequencies():
    done = run("char_gpt.py", "--steps", 150, "--width", 48, "--size", 20000)
    letters, alphabet = load("char_gpt").corpus(20000)
    counts = np.bincount(letters, minlength=len(alphabet)) / len(letters)
    by_frequency = -(counts * np.log2(counts)).sum()
    (bits,) = numbers(done.stdout, "held-out text:")
    assert bits < by_frequency - 0.5
    written = done.stdout[done.stdout.index("the value of ") :].rstrip("\n")
    assert set(written) <= set(alphabet)


def test_the_transformer_sees_no_later_letter_and_every_earlier_one():
    char_gpt = load("char_gpt")
    model = char_gpt.GPT(7, 16, span=12, rng=np.random.default_rng(0))
    text = np.random.default_rng(1).integers(7, size=(1, 12))
    before = model(text).data[0]
    for place in (0, 5, 11):
        changed = text.copy()
        changed[0, place] = (text[0, place] + 1) % 7
        difference = np.abs(model(changed).data[0] - before).max(axis=-1)
        assert (difference[:place] < 1e-6).all()
        assert (difference[place:] > 1e-6).all()


def test_the_bits_of_a_text_count_each_letter_once():
    char_gpt = load("char_gpt")
    model = char_gpt.GPT(8, 16, span=8, rng=np.random.default_rng(0))
    # A readout of zeros finds all letters as likely, so each costs log2(8) bits.
    model.readout.weight.data[...] = 0
    model.readout.bias.data[...] = 0
    letters = np.random.default_rng(1).integers(8, size=61)
    assert char_gpt.measure(model, letters) == pytest.approx(3.0, abs=1e-5)
    # If one letter is certain, its share of the guessed letters decides the loss.
    model.readout.bias.data[3] = 50.0
    windows = (len(letters) - 8 - 1) // 4 + 1
    guessed = letters[1 : 8 + 4 * (windows - 1) + 1]
    expected = (guessed != 3).mean() * 50.0 / np.log(2)
    assert char_gpt.measure(model, letters) == pytest.approx(expected, rel=1e-4)


def test_the_autoencoder_learns_digits_and_leaves_a_picture(digits, tmp_path):
    done = run("vae.py", "--data", digits, "--epochs", 40, "--hidden", 64, "--out", tmp_path)
    pixels = numbers(done.stdout, "pixels")
    assert len(pixels) == 40
    assert pixels[-1] < 0.8 * pixels[0]
    (unseen,) = numbers(done.stdout, "not seen:")
    assert unseen < pixels[0]
    assert (tmp_path / "digits.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "digits.png").stat().st_size > 5_000


def test_the_two_parts_of_the_autoencoders_loss_are_what_they_say():
    vae = load("vae")
    model = vae.VAE(3, 4, np.random.default_rng(0))
    for parameter in model.parameters():
        parameter.data[...] = 0
    x = np.random.default_rng(1).random((5, 784), np.float32)
    pixels, distance = vae.losses(model, x, np.random.default_rng(2))
    assert pixels.item() == pytest.approx(784 * np.log(2), rel=1e-5)
    assert distance.item() == 0
    mean, variance = np.array([1.0, -2.0, 0.5]), np.array([1.0, 0.25, 4.0])
    model.encoder[-1].bias.data[...] = [*mean, *np.log(variance)]
    _, distance = vae.losses(model, x, np.random.default_rng(2))
    # the divergence by its definition: the integral of q log(q / p)
    t = np.linspace(-40, 40, 400_001)[:, np.newaxis]
    log_q = -0.5 * ((t - mean) ** 2 / variance + np.log(2 * np.pi * variance))
    log_p = -0.5 * (t**2 + np.log(2 * np.pi))
    expected = (np.exp(log_q) * (log_q - log_p)).sum() * (t[1, 0] - t[0, 0])
    assert distance.item() == pytest.approx(expected, rel=1e-5)


def test_the_noise_of_the_autoencoder_comes_from_its_rng():
    vae = load("vae")
    model = vae.VAE(3, 4, np.random.default_rng(0))
    x = np.random.default_rng(1).random((5, 784), np.float32)
    same = [vae.losses(model, x, np.random.default_rng(2))[0].item() for _ in range(2)]
    other = vae.losses(model, x, np.random.default_rng(3))[0].item()
    assert same[0] == same[1] != other
