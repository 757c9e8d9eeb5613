"""Checkpoints: whole or not at all, every damage found, files that cross over to PyTorch and back."""

import json
import os
import pickle

import numpy as np
import pytest
from helpers import ROOT
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tinygrad_mnist as tg
from tinygrad_mnist import CheckpointError, Tensor, checkpoint, nn, optim


def network(seed=0, out=2):
    rng = np.random.default_rng(seed)
    return nn.Sequential(
        nn.Linear(3, 4, rng=rng),
        nn.BatchNorm1d(4),
        nn.Dropout(0.5, rng=rng),
        nn.Linear(4, out, rng=rng),
    )


def parts(seed=0):
    model = network(seed)
    optimizer = optim.Adam(model.parameters(), 0.1)
    return model, optimizer, optim.CosineLR(optimizer, 50)


def train(model, optimizer, schedule, steps):
    x = np.random.default_rng(1).standard_normal((6, 3)).astype(np.float32)
    for _ in range(steps):
        optimizer.zero_grad()
        tg.softmax_cross_entropy(model(Tensor(x)), [0, 1, 0, 1, 1, 0]).backward()
        optimizer.step()
        schedule.step()


def bits(model):
    return {name: a.tobytes() for name, a in model.state_dict().items()}


def test_training_goes_on_bit_for_bit(tmp_path):
    path = tmp_path / "c.safetensors"
    model, optimizer, schedule = parts()
    train(model, optimizer, schedule, 5)
    checkpoint.save(
        path, model, optimizer=optimizer, schedule=schedule, metadata={"epoch": 3, "note": "0" * 64}
    )
    train(model, optimizer, schedule, 5)
    other, optimizer2, schedule2 = parts(7)
    assert checkpoint.load(path, other, optimizer=optimizer2, schedule=schedule2) == {
        "epoch": 3,
        "note": "0" * 64,
    }
    train(other, optimizer2, schedule2, 5)
    assert bits(other) == bits(model)
    assert optimizer2.lr == optimizer.lr


def test_the_tensors_keep_their_own_names(tmp_path):
    from safetensors.numpy import load_file

    model = network()
    checkpoint.save(tmp_path / "m.safetensors", model)
    stored = load_file(tmp_path / "m.safetensors")
    assert set(stored) == set(model.state_dict())
    np.testing.assert_array_equal(stored["0.weight"], model[0].weight.data)


def test_a_network_of_pytorchs_loads_and_answers_as_it_did_there():
    recorded = json.loads((ROOT / "tests/recorded/torch.json").read_text())["network"]
    model = nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(48, 5), nn.LayerNorm(5), nn.GELU(), nn.Linear(5, 2),
    ).eval()  # fmt: skip
    assert checkpoint.load(ROOT / "tests/recorded/torch_network.safetensors", model) == {}
    np.testing.assert_allclose(
        model(Tensor(recorded["x"])).numpy(), recorded["y"], rtol=1e-5, atol=1e-6
    )


def test_pytorch_loads_ours(tmp_path):
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file

    model = nn.Sequential(nn.Linear(3, 4, rng=0), nn.Tanh(), nn.Linear(4, 2, rng=1))
    checkpoint.save(tmp_path / "m.safetensors", model)
    theirs = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2))
    theirs.load_state_dict(load_file(tmp_path / "m.safetensors"))
    x = np.ones((2, 3), np.float32)
    np.testing.assert_allclose(
        theirs(torch.from_numpy(x)).detach().numpy(), model(Tensor(x)).numpy(), rtol=1e-5, atol=1e-6
    )


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "c.safetensors"
    model, optimizer, schedule = parts()
    train(model, optimizer, schedule, 2)
    checkpoint.save(path, model, optimizer=optimizer, schedule=schedule, metadata={"epoch": 1})
    return path.read_bytes()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_one_flipped_bit_anywhere_is_found(tmp_path, saved, data):
    place = data.draw(st.integers(0, len(saved) * 8 - 1))
    damaged = bytearray(saved)
    damaged[place // 8] ^= 1 << place % 8
    refused(tmp_path, bytes(damaged))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(0, 5000), tail=st.binary(max_size=20))
def test_a_truncated_or_continued_file_is_found(tmp_path, saved, cut, tail):
    if cut or tail:
        refused(tmp_path, saved[: max(len(saved) - cut, 0)] + tail)


@given(content=st.binary(max_size=200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_garbage_is_found(tmp_path, content):
    refused(tmp_path, content)
    refused(tmp_path, (2**40).to_bytes(8, "little") + content)


def refused(folder, content):
    path = folder / "damaged.safetensors"
    path.write_bytes(content)
    model, optimizer, schedule = parts(3)
    before = bits(model)
    with pytest.raises(CheckpointError, match="damaged.safetensors"):
        checkpoint.load(path, model, optimizer=optimizer, schedule=schedule)
    assert bits(model) == before
    assert optimizer.state_dict()["arrays"] == {}


def test_a_pickle_is_refused_unread(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "exploded"),))

    refused(tmp_path, pickle.dumps(Bomb()))
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: (network(out=5), None, None), r"3.weight of shape \(2, 4\), expected \(5, 4\)"),
        (
            lambda: (nn.Linear(3, 4), None, None),
            "missing weight, |missing weight; .*unexpected 0.weight",
        ),
        (
            lambda: (network().astype(np.float64), None, None),
            "is float32, expected float64; convert the model",
        ),
        (
            lambda: (network(), optim.SGD(network().parameters()), None),
            "state of SGD as its optimizer, got Adam",
        ),
        (
            lambda: (m := network(), optim.Adam(list(m.parameters())[:2]), None),
            "2.mean .* expected nothing",
        ),
        (
            lambda: (m := network(), o := optim.Adam(m.parameters()), optim.StepLR(o, 3)),
            "state of StepLR as its schedule, got CosineLR",
        ),
    ],
)
def test_a_file_of_another_model_changes_nothing(tmp_path, saved, make, words):
    (tmp_path / "c.safetensors").write_bytes(saved)
    model, optimizer, schedule = make()
    before, generator = bits(model), [g.bit_generator.state for _, g in model.named_generators()]
    with pytest.raises(CheckpointError, match=words):
        checkpoint.load(tmp_path / "c.safetensors", model, optimizer=optimizer, schedule=schedule)
    assert bits(model) == before
    assert [g.bit_generator.state for _, g in model.named_generators()] == generator


def test_a_checkpoint_without_an_optimizer_says_so(tmp_path):
    checkpoint.save(tmp_path / "c.safetensors", network())
    model, optimizer, _ = parts()
    with pytest.raises(CheckpointError, match="state of Adam as its optimizer, got None"):
        checkpoint.load(tmp_path / "c.safetensors", model, optimizer=optimizer)
    with pytest.raises(CheckpointError, match="expected a checkpoint: No such file"):
        checkpoint.load(tmp_path / "none", model)


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_checkpoint(tmp_path, monkeypatch, failing):
    path = tmp_path / "c.safetensors"
    checkpoint.save(path, network())
    old = path.read_bytes()

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint.os, failing, full)
    with pytest.raises(OSError, match="No space left"):
        checkpoint.save(path, network(1))
    assert path.read_bytes() == old
    assert os.listdir(tmp_path) == ["c.safetensors"]


def test_metadata_that_json_cannot_hold_write_nothing(tmp_path):
    with pytest.raises(TypeError, match="JSON"):
        checkpoint.save(tmp_path / "c.safetensors", network(), metadata={"a": object()})
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("dtype", ["complex128", "U3"])
def test_a_dtype_that_safetensors_lacks_is_named(tmp_path, dtype):
    model = nn.Linear(2, 2, rng=0)
    model.extra = np.zeros(3, dtype)
    with pytest.raises(CheckpointError, match=r"c\.safetensors: .* got extra of "):
        checkpoint.save(tmp_path / "c.safetensors", model)
    assert os.listdir(tmp_path) == []


def test_a_dtype_that_numpy_lacks_is_named(tmp_path):
    header = b'{"weight":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}}'
    (tmp_path / "b").write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    with pytest.raises(CheckpointError, match="NumPy's dtypes, got some of 'BF16'"):
        checkpoint.load(tmp_path / "b", nn.Linear(2, 2, rng=0))


def test_a_folder_is_no_checkpoint(tmp_path):
    with pytest.raises(CheckpointError, match="expected a checkpoint: Is a directory"):
        checkpoint.load(tmp_path, nn.Linear(2, 2, rng=0))
