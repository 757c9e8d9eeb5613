"""Files under attack: several writers, kills, forged notes, too many of them, folders that are not there."""

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import tracemalloc

import numpy as np
import pytest
from helpers import ROOT
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tinygrad_mnist as tg
from tinygrad_mnist import CheckpointError, Tensor, checkpoint, files, nn, optim
from tinygrad_mnist.files import check_path

ZEROS = "0" * 64


def parts(seed=0):
    rng = np.random.default_rng(seed)
    model = nn.Sequential(
        nn.Linear(3, 4, rng=rng), nn.BatchNorm1d(4), nn.Dropout(0.5, rng=rng),
        nn.Linear(4, 2, rng=np.random.Generator(np.random.MT19937(seed))),
    )  # fmt: skip
    model.noise = np.random.Generator(np.random.MT19937(seed))
    optimizer = optim.AdamW(model.parameters(), 0.1)
    schedule = optim.OneCycleLR(optimizer, 0.1, 50)
    for _ in range(2):
        optimizer.zero_grad()
        x = rng.standard_normal((6, 3)).astype(np.float32)
        tg.softmax_cross_entropy(model(Tensor(x)), [0, 1, 0, 1, 1, 0]).backward()
        optimizer.step()
        schedule.step()
    return model, optimizer, schedule


def everything(model, optimizer=None, schedule=None, generators=()):
    """All that a load could change, in a form that compares."""
    found = [{n: (a.dtype.str, a.tobytes()) for n, a in model.state_dict().items()}]
    for g in [g for _, g in model.named_generators()] + list(generators):
        seed = g.bit_generator.seed_seq
        found.append((repr(g.bit_generator.state), repr(seed and seed.state)))
    if optimizer is not None:
        state = optimizer.state_dict()
        found.append({n: a.tobytes() for n, a in state.pop("arrays").items()})
        found.append(repr(state))
    if schedule is not None:
        found += [schedule.state_dict(), schedule.opt.lr]
    return found


def forge(content, change):
    """Return a checkpoint whose notes were changed, with a checksum that is right again."""
    size = int.from_bytes(content[:8], "little")
    header, data = json.loads(content[8 : 8 + size]), content[8 + size :]
    about = change(json.loads(header["__metadata__"]["tinygrad_mnist"]))
    text = about if isinstance(about, str) else json.dumps(about)
    header["__metadata__"] = {"tinygrad_mnist": text, "sha256": ZEROS}
    text = json.dumps(header, separators=(",", ":")).encode()
    unsigned = len(text).to_bytes(8, "little") + text + data
    checksum = hashlib.sha256(unsigned).hexdigest()
    return unsigned.replace(f'"sha256":"{ZEROS}"'.encode(), f'"sha256":"{checksum}"'.encode(), 1)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "c.safetensors"
    model, optimizer, schedule = parts()
    rng = np.random.default_rng(5)
    checkpoint.save(
        path, model, optimizer=optimizer, schedule=schedule, generators={"rng": rng},
        metadata={"epoch": 1},
    )  # fmt: skip
    return path.read_bytes()


def load_into_another(path, content, seed=3):
    """Load a content; return whether it was refused, after a look that nothing has changed then."""
    path.write_bytes(content)
    model, optimizer, schedule = parts(seed)
    rng = np.random.default_rng(seed)
    before = everything(model, optimizer, schedule, [rng])
    try:
        checkpoint.load(
            path, model, optimizer=optimizer, schedule=schedule, generators={"rng": rng}
        )
    except CheckpointError as error:
        assert str(path) in str(error)
        assert everything(model, optimizer, schedule, [rng]) == before
        return True
    return False


def test_the_forger_of_these_tests_is_believed(tmp_path, saved):
    assert not load_into_another(tmp_path / "f", forge(saved, lambda about: about))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("version", "1"), ("version", None), ("version", [1]), ("metadata", [1]), ("metadata", "x"), ("metadata", None),
        ("generators", []), ("generators", "x"), ("generators", {"2.rng": 3}), ("generators", {"2.rng": {}}),
        ("generators", {"2.rng": {"bit_generator": "PCG64", "state": {"state": -1, "inc": 2**200}, "has_uint32": 0, "uinteger": 0}}),
        ("generators", {"2.rng": {"bit_generator": "PCG64", "state": {"state": 1, "inc": 1}, "has_uint32": 2**80, "uinteger": "a"}}),
        ("generators", {"noise": {"bit_generator": "MT19937", "state": {"key": [1, 2], "pos": 3}}}),
        ("seeds", [1]), ("seeds", {"2.rng": {"entropy": 1, "spawn_key": [], "pool_size": 10**9, "n_children_spawned": 0}}),
        ("seeds", {"2.rng": {"entropy": -1, "spawn_key": [], "pool_size": 4, "n_children_spawned": 0}}),
        ("seeds", {"2.rng": {"entropy": 1, "spawn_key": "a", "pool_size": 4, "n_children_spawned": 0}}),
        ("seeds", {"2.rng": {"entropy": 1, "spawn_key": [], "pool_size": 4, "n_children_spawned": -1}}),
        ("seeds", {"2.rng": {"entropy": 1, "spawn_key": [], "pool_size": 4, "n_children_spawned": 2**99}}),
        ("seeds", {"2.rng": [1]}), ("optimizer", "Adam"), ("optimizer", []), ("optimizer", {"kind": "AdamW"}),
        ("optimizer", {"kind": "AdamW", "optimizer": "AdamW", "shapes": 1, "hyperparameters": {"lr": 10**400}}),
        ("schedule", 3), ("schedule", {"kind": "OneCycleLR"}), ("schedule", {"kind": ["OneCycleLR"]}),
    ],
)  # fmt: skip
def test_forged_notes_with_a_right_checksum_are_an_error(tmp_path, saved, key, value):
    assert load_into_another(tmp_path / "f", forge(saved, lambda about: {**about, key: value}))


@pytest.mark.parametrize(
    "text", ["", "[]", "3", "null", "{", "{}", '"x"', "[" * 100_000, "1" * 5000, '{"version": 1e999}']
)  # fmt: skip
def test_forged_notes_of_any_form_are_an_error(tmp_path, saved, text):
    assert load_into_another(tmp_path / "f", forge(saved, lambda about: text))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_change_of_the_notes_loads_or_changes_nothing(tmp_path, saved, data):
    def change(about):
        place = about
        while True:
            keys = sorted(place) if isinstance(place, dict) else range(len(place))
            key = data.draw(st.sampled_from(list(keys)))
            inner = place[key]
            if not isinstance(inner, (dict, list)) or not inner or data.draw(st.booleans()):
                place[key] = data.draw(JSON)
                return about
            place = inner

    with np.errstate(all="ignore"):
        load_into_another(tmp_path / "f", forge(saved, change))


def test_an_unsigned_file_of_ours_is_damaged(tmp_path, saved):
    for old, new in ((b'"sha256"', b'"sha25_"'), (b'"tinygrad_mnist"', b'"tinygrad_mnisT"')):
        assert load_into_another(tmp_path / "f", saved.replace(old, new))


class Stubborn:
    """A part that changes, and then fails, with any error."""

    def __init__(self, error):
        self.error, self.value = error, 1

    def state_dict(self):
        return {"value": self.value, "arrays": {}}

    def load_state_dict(self, state):
        self.value = state["value"]
        if self.value == 2:
            raise self.error


@pytest.mark.parametrize(
    "error",
    [ValueError("v"), KeyError("k"), OverflowError("o"), ZeroDivisionError("z"), RuntimeError("r"), OSError(5, "o"), MemoryError(),
     AssertionError(), StopIteration()],
)  # fmt: skip
@pytest.mark.parametrize("role", ["optimizer", "schedule"])
def test_an_error_of_any_type_changes_nothing(tmp_path, error, role):
    model, optimizer, schedule = parts()
    part = Stubborn(error)
    part.opt, part.value = optimizer, 2
    others = {"optimizer": part, "schedule": schedule} if role == "optimizer" else {
        "optimizer": optimizer, "schedule": part}  # fmt: skip
    checkpoint.save(tmp_path / "c", model, **others)
    model, optimizer, schedule = parts(4)
    part.value, part.opt = 1, optimizer
    if role == "optimizer":
        others = {"optimizer": part, "schedule": schedule}
    else:
        others = {"optimizer": optimizer, "schedule": part}
    before = everything(model, optimizer, schedule)
    with pytest.raises(CheckpointError, match=re.escape(str(error)) or type(error).__name__):
        checkpoint.load(tmp_path / "c", model, **others)
    assert everything(model, optimizer, schedule) == before
    assert part.value == 1


def test_an_interrupted_load_changes_nothing(tmp_path):
    model, optimizer, _ = parts()
    part = Stubborn(KeyboardInterrupt())
    part.opt, part.value = optimizer, 2
    checkpoint.save(tmp_path / "c", model, optimizer=optimizer, schedule=part)
    model, optimizer, schedule = parts(4)
    part.opt, part.value = optimizer, 1
    before = everything(model, optimizer, schedule)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.load(tmp_path / "c", model, optimizer=optimizer, schedule=part)
    assert everything(model, optimizer, schedule) == before


def test_a_schedule_alone_that_fails_leaves_the_rate_of_its_optimizer(tmp_path):
    model, _, schedule = parts()
    checkpoint.save(tmp_path / "c", model, schedule=schedule)
    content = (tmp_path / "c").read_bytes()
    (tmp_path / "c").write_bytes(
        forge(content, lambda about: {**about, "schedule": {**about["schedule"], "steps": -1}})
    )
    other, optimizer, schedule = parts(4)
    optimizer.lr = 0.777
    before = everything(other, optimizer, schedule)
    with pytest.raises(CheckpointError, match="steps of at least 0"):
        checkpoint.load(tmp_path / "c", other, schedule=schedule)
    assert everything(other, optimizer, schedule) == before
    assert optimizer.lr == 0.777


def test_a_read_only_parameter_changes_nothing(tmp_path, saved):
    (tmp_path / "c").write_bytes(saved)
    model, optimizer, schedule = parts(3)
    model[3].bias.data.flags.writeable = False
    before = everything(model, optimizer, schedule)
    with pytest.raises(CheckpointError, match=r"3\.bias is read-only"):
        checkpoint.load(tmp_path / "c", model, optimizer=optimizer, schedule=schedule)
    assert everything(model, optimizer, schedule) == before


def test_a_graph_from_before_a_refused_load_may_still_go_backward(tmp_path, saved):
    (tmp_path / "c").write_bytes(
        forge(saved, lambda about: {**about, "optimizer": {"kind": "AdamW"}})
    )
    model, optimizer, _ = parts()
    loss = model(Tensor(np.ones((2, 3), np.float32))).sum()
    with pytest.raises(CheckpointError):
        checkpoint.load(tmp_path / "c", nn.Linear(2, 2), optimizer=optimizer)
    (tmp_path / "d").write_bytes(saved)
    with pytest.raises(CheckpointError):
        checkpoint.load(tmp_path / "d", model, optimizer=optim.SGD(model.parameters()))
    loss.backward()


# Random generators

KINDS = ["PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_generator_and_its_children_go_on(tmp_path, kind):
    def make(seed):
        model = nn.Module()
        model.rng = np.random.Generator(getattr(np.random, kind)(seed))
        return model, np.random.Generator(getattr(np.random, kind)(seed + 1))

    def draw(model, own):
        return [
            [*g.random(3), *g.standard_normal(2, np.float32), *g.spawn(2)[1].random(2), g.spawn(1)[0].random()]
            for g in (model.rng, own)
        ]  # fmt: skip

    model, own = make(3)
    draw(model, own)
    checkpoint.save(tmp_path / "c", model, generators={"own": own})
    expected = draw(model, own)
    for other, rng in (make(3), make(99), (model, own)):
        draw(other, rng)
        held = other.rng.bit_generator
        checkpoint.load(tmp_path / "c", other, generators={"own": rng})
        assert draw(other, rng) == expected
        assert other.rng.bit_generator is held


@pytest.mark.parametrize(
    "seed",
    [
        None,
        5,
        [1, 2, 3],
        np.array([4, 5]),
        np.random.SeedSequence(7, spawn_key=(1, 2), pool_size=8),
    ],
)
def test_seeds_of_any_form_go_on(tmp_path, seed):
    model, other = nn.Module(), nn.Module()
    model.rng, other.rng = np.random.default_rng(seed), np.random.default_rng(0)
    model.rng.spawn(3)
    checkpoint.save(tmp_path / "c", model)
    checkpoint.load(tmp_path / "c", other)
    assert other.rng.spawn(1)[0].random() == model.rng.spawn(1)[0].random()


@pytest.mark.parametrize("where", ["model", "caller"])
def test_another_kind_of_generator_changes_nothing(tmp_path, where):
    model, own = nn.Linear(2, 2, rng=0), np.random.default_rng(0)
    model.rng = np.random.default_rng(1)
    checkpoint.save(tmp_path / "c", model, generators={"own": own})
    other, rng = nn.Linear(2, 2, rng=5), np.random.default_rng(8)
    other.rng = np.random.default_rng(9)
    if where == "model":
        other.rng = np.random.Generator(np.random.Philox(3))
    else:
        rng = np.random.Generator(np.random.Philox(3))
    before = everything(other, generators=[rng])
    name = "rng" if where == "model" else "own"
    with pytest.raises(CheckpointError, match=f"the generator {name} does not fit a Philox"):
        checkpoint.load(tmp_path / "c", other, generators={"own": rng})
    assert everything(other, generators=[rng]) == before


def test_a_generator_that_was_not_saved_is_named(tmp_path):
    checkpoint.save(tmp_path / "c", nn.Linear(2, 2, rng=0))
    with pytest.raises(CheckpointError, match=r"state of the generator order, got those of \[\]"):
        checkpoint.load(
            tmp_path / "c", nn.Linear(2, 2), generators={"order": np.random.default_rng()}
        )


def test_a_look_at_the_metadata_comes_before_any_change(tmp_path):
    model = nn.Linear(2, 2, rng=0)
    checkpoint.save(tmp_path / "c", model, metadata={"epoch": 3})
    other = nn.Linear(2, 2, rng=1)
    before = everything(other)

    def check(metadata):
        assert metadata == {"epoch": 3}
        raise LookupError("no history")

    with pytest.raises(LookupError, match="no history"):
        checkpoint.load(tmp_path / "c", other, check=check)
    assert everything(other) == before
    assert checkpoint.load(tmp_path / "c", other, check=lambda metadata: None) == {"epoch": 3}


# What can be saved


@pytest.mark.parametrize("dtype", ["<f4", ">f4", ">f8", ">f2", "<f8"])
def test_either_byte_order_saves_and_loads(tmp_path, dtype):
    def build(value):
        model = nn.Module()
        model.w = Tensor(np.array([1.5, -2.25]) * value, requires_grad=True, dtype=dtype)
        model.counts = np.array([1, 258], np.dtype(">i4")) * value
        return model, optim.Adam([model.w], 0.1)

    model, optimizer = build(1)
    (model.w * model.w).sum().backward()
    optimizer.step()
    checkpoint.save(tmp_path / "c", model, optimizer=optimizer)
    other, optimizer2 = build(7)
    checkpoint.load(tmp_path / "c", other, optimizer=optimizer2)
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(other.state_dict()[name], array)
        assert other.state_dict()[name].dtype == array.dtype
    native, _ = build(7)
    native.astype(np.dtype(dtype).newbyteorder("="))
    checkpoint.load(tmp_path / "c", native)
    np.testing.assert_array_equal(native.w.data, model.w.data)
    for m, o in ((model, optimizer), (other, optimizer2)):
        o.zero_grad()
        (m.w * m.w).sum().backward()
        o.step()
    np.testing.assert_array_equal(other.w.data, model.w.data)


@pytest.mark.parametrize(
    "dtype", ["bool", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8", "c8"]
)
@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1,), (2, 3, 4)])
def test_other_programs_read_every_dtype_and_shape(tmp_path, dtype, shape):
    from safetensors.numpy import load, load_file, save

    model = nn.Module()
    model.a = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    model.turned = np.asfortranarray(np.ones((2, 3), dtype)).T[::-1]
    checkpoint.save(tmp_path / "c", model)
    for stored in (load_file(tmp_path / "c"), load((tmp_path / "c").read_bytes())):
        for name, array in model.state_dict().items():
            assert stored[name].dtype == array.dtype
            np.testing.assert_array_equal(stored[name], array)
    (tmp_path / "theirs").write_bytes(save(model.state_dict()))
    assert checkpoint.load(tmp_path / "theirs", model) == {}


def test_tensors_lie_at_multiples_of_their_size(tmp_path):
    model = nn.Module()
    model.a, model.b, model.c = np.ones(3, np.uint8), np.ones(3), np.ones(5, np.float16)
    checkpoint.save(tmp_path / "c", model)
    content = (tmp_path / "c").read_bytes()
    size = int.from_bytes(content[:8], "little")
    for name, entry in json.loads(content[8 : 8 + size]).items():
        if name != "__metadata__":
            assert (8 + size + entry["data_offsets"][0]) % getattr(model, name).itemsize == 0


def test_tied_weights_cross_over_to_pytorch_and_back(tmp_path):
    from safetensors.numpy import load_file, save_file

    def tied(seed):
        model = nn.Sequential(nn.Linear(3, 3, rng=seed), nn.Linear(3, 3, rng=seed + 1))
        model[1].weight = model[0].weight
        return model

    model = tied(0)
    checkpoint.save(tmp_path / "c", model)
    stored = load_file(tmp_path / "c")
    assert set(stored) == {"0.weight", "0.bias", "1.weight", "1.bias"}, "as PyTorch has them"
    for missing in ([], ["0.weight"], ["1.weight"]):  # its save_file, and its save_model
        some = {name: a for name, a in stored.items() if name not in missing}
        save_file(some, tmp_path / "some")
        other = tied(5)
        checkpoint.load(tmp_path / "some", other)
        assert everything(other) == everything(model)
        assert other[0].weight is other[1].weight
    save_file({**stored, "1.weight": stored["1.weight"] + 1}, tmp_path / "two")
    with pytest.raises(CheckpointError, match=r"0\.weight and 1\.weight differ"):
        checkpoint.load(tmp_path / "two", other)
    assert everything(other) == everything(model)


def test_names_that_collide_are_an_error_that_writes_nothing(tmp_path):
    model = nn.Module()
    model.table = {1: np.ones(1), "1": np.zeros(1)}
    with pytest.raises(ValueError, match=r"two entries have the name table\.1"):
        checkpoint.save(tmp_path / "c", model)
    model = nn.Module()
    setattr(model, "optimizer/0.mean", np.ones(1))
    with pytest.raises(CheckpointError, match="must not begin with optimizer/"):
        checkpoint.save(tmp_path / "c", model)
    model = nn.Module()
    model.table = {"\ud800": np.ones(1)}
    with pytest.raises(CheckpointError, match="names in Unicode"):
        checkpoint.save(tmp_path / "c", model)
    for metadata in ({1: 2, "1": 3}, {"a": [{"b": {None: 1, "null": 2}}]}):
        with pytest.raises(ValueError, match="two keys of metadata"):
            checkpoint.save(tmp_path / "c", nn.Linear(1, 1), metadata=metadata)
    assert os.listdir(tmp_path) == []


def test_names_of_any_alphabet_are_kept(tmp_path):
    model, other = nn.Module(), nn.Module()
    for m in (model, other):
        m.table = {
            "größe": np.ones(1),
            "重み": np.zeros(2),
            'a"b\\c\n': np.ones(3),
            "sha256": np.ones(1),
        }
    checkpoint.save(tmp_path / "c", model, metadata={"note": '"sha256":"' + ZEROS + '"'})
    assert checkpoint.load(tmp_path / "c", other) == {"note": '"sha256":"' + ZEROS + '"'}


def test_more_metadata_than_a_file_holds_are_refused_before_the_good_file_is_touched(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(files, "LARGEST_HEADER", 100_000)
    path, model = tmp_path / "c", nn.Linear(2, 2, rng=0)
    checkpoint.save(path, model, metadata={"text": "good"})
    good = path.read_bytes()
    with pytest.raises(
        CheckpointError, match="metadata and names take 100,... bytes; .* holds at most 100,000 of"
    ):
        checkpoint.save(path, model, metadata={"text": "x" * 100_000})
    assert path.read_bytes() == good
    assert os.listdir(tmp_path) == ["c"]
    checkpoint.save(path, model, metadata={"text": "x" * 99_000})
    assert len(checkpoint.load(path, model)["text"]) == 99_000


def test_the_limit_of_metadata_is_that_of_the_readers(tmp_path):
    for more, refused in ((0, False), (8, True)):
        header = b"{}" + b" " * (files.LARGEST_HEADER + more - 2)
        (tmp_path / "c").write_bytes(len(header).to_bytes(8, "little") + header)
        if refused:
            with pytest.raises(CheckpointError, match="expected a safetensors file"):
                checkpoint.read(tmp_path / "c")
        else:
            assert checkpoint.read(tmp_path / "c") == ({}, {})


def test_saving_takes_one_copy_of_all_and_loading_two_and_a_half(tmp_path):
    model = nn.Sequential(nn.Linear(1000, 1000, rng=0), nn.Linear(1000, 1000, rng=0))
    optimizer = optim.SGD(model.parameters(), momentum=0.9)
    model(Tensor(np.ones((1, 1000), np.float32))).sum().backward()
    optimizer.step()
    size = sum(2 * a.nbytes for a in model.state_dict().values())  # as much of the optimizer's
    checkpoint.save(tmp_path / "c", model, optimizer=optimizer)
    for work, most in (
        (lambda: checkpoint.save(tmp_path / "c", model, optimizer=optimizer), 1.1),
        (lambda: checkpoint.load(tmp_path / "c", model, optimizer=optimizer), 2.6),
    ):
        tracemalloc.start()
        work()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < most * size


# Folders


@pytest.mark.parametrize("use", [check_path, lambda path: checkpoint.save(path, nn.Linear(1, 1))])
def test_a_path_that_cannot_be_written_is_named_early(tmp_path, use):
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    for path, error, words in (
        (tmp_path / "none" / "c", FileNotFoundError, "the folder .*none does not exist; make it"),
        (tmp_path / "file" / "c", NotADirectoryError, "file is not a folder"),
        (tmp_path / "folder", IsADirectoryError, "expected the path of a file, got a folder"),
    ):
        with pytest.raises(error, match=words) as found:
            use(path)
        assert found.value.filename == str(path)
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]
    assert use(tmp_path / "folder" / "c") is None


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere"
)
def test_a_folder_that_is_closed_to_us_is_named_early(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError, match="cannot write to the folder"):
        check_path(tmp_path / "c")
    tmp_path.chmod(0o700)


def test_a_check_leaves_nothing_behind(tmp_path):
    check_path(str(tmp_path / "c"))
    assert os.listdir(tmp_path) == []


# Writers


def test_a_file_has_the_permissions_of_any_other(tmp_path):
    (tmp_path / "other").write_bytes(b"")
    checkpoint.save(tmp_path / "c", nn.Linear(1, 1))
    assert (tmp_path / "c").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_threads_that_save_to_one_path_leave_a_whole_file(tmp_path):
    path, errors, end = tmp_path / "c", [], threading.Event()

    def constant(value):
        model = nn.Linear(50, 50)
        for p in model.parameters():
            p.data[...] = value
        return model

    def write(value):
        model = constant(value)
        try:
            while not end.is_set():
                checkpoint.save(path, model, metadata={"value": value})
        except BaseException as error:
            errors.append(error)

    checkpoint.save(path, constant(0), metadata={"value": 0})
    threads = [threading.Thread(target=write, args=(value,)) for value in range(1, 5)]
    for thread in threads:
        thread.start()
    reader = constant(9)
    seen = set()
    try:
        while not errors and not seen >= {1, 2, 3, 4}:
            value = checkpoint.load(path, reader)["value"]
            assert all((a == value).all() for a in reader.state_dict().values())
            seen.add(value)
    finally:
        end.set()
        for thread in threads:
            thread.join()
    assert not errors
    assert os.listdir(tmp_path) == ["c"]


WRITER = """
import sys
from tinygrad_mnist import checkpoint, nn
model = nn.Linear(300, 300)
for value in range(int(sys.argv[2]), 10**9, 1000):
    for p in model.parameters():
        p.data[...] = value
    checkpoint.save(sys.argv[1], model, metadata={"value": value})
    print(value, flush=True)
"""


def start_writer(path, first):
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), str(first)], cwd=ROOT, stdout=subprocess.PIPE
    )


def check_whole(path):
    model = nn.Linear(300, 300)
    value = checkpoint.load(path, model)["value"]
    assert all((a == value).all() for a in model.state_dict().values())
    return value


def test_two_processes_that_save_to_one_path_survive_each_other_and_kills(tmp_path):
    path = tmp_path / "c"
    steady = start_writer(path, 1)
    steady.stdout.readline()
    last = 0
    for kill in range(8):
        other = start_writer(path, 2 + kill)
        other.stdout.readline()
        for _ in range(kill):
            other.stdout.readline()
            last = max(last, check_whole(path) // 1000)
        other.send_signal(signal.SIGKILL)
        other.wait()
        other.stdout.close()
        check_whole(path)
    assert steady.poll() is None, "no other writer has disturbed it"
    steady.kill()
    steady.wait()
    steady.stdout.close()
    check_whole(path)
    assert last > 0


@pytest.mark.parametrize("locks", [True, False])
def test_what_a_killed_writer_leaves_is_removed(tmp_path, monkeypatch, locks):
    path = tmp_path / "c"
    if not locks or files.fcntl is None:
        locks = False
        monkeypatch.setattr(files, "fcntl", None)
    names = ["dead", "living", "fresh", "old"]
    dead, living, fresh, old = (
        tmp_path / f"c.{digit * 16}.tmp" for digit, _ in zip("abcd", names, strict=True)
    )
    others = [tmp_path / name for name in ("c.tmp", "c.backup.tmp", "d.aaaaaaaaaaaaaaaa.tmp")]
    for file in (dead, living, fresh, old, *others):
        file.write_bytes(b"")
    now = time.time()
    for file, age in ((dead, 60), (living, 60), (old, 7200), *((other, 7200) for other in others)):
        os.utime(file, (now - age, now - age))
    with living.open("rb+") as writer, files._lock(writer):
        checkpoint.save(path, nn.Linear(1, 1))
        kept = {living, fresh} if locks else {dead, living, fresh}
        assert set(tmp_path.iterdir()) == {path, *kept, *others}
    checkpoint.save(path, nn.Linear(1, 1))
    kept = {fresh} if locks else {dead, living, fresh}
    assert set(tmp_path.iterdir()) == {path, *kept, *others}


def test_kills_leave_nothing_but_the_file(tmp_path, monkeypatch):
    path = tmp_path / "c"
    for kill in range(4):
        writer = start_writer(path, kill)
        while not [p for p in tmp_path.iterdir() if p != path]:
            pass
        writer.kill()
        writer.wait()
        writer.stdout.close()
    monkeypatch.setattr(files, "RECENT", -1)
    checkpoint.save(path, nn.Linear(1, 1))
    assert os.listdir(tmp_path) == (["c"] if files.fcntl else sorted(os.listdir(tmp_path)))
