"""The readers: every layout gives the same digits; every damage is a DataError that says where."""

import gzip
import io
import struct
import threading
import tracemalloc
import warnings
import zipfile

import numpy as np
import pytest
from helpers import idx_bytes, write_idx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tinygrad_mnist import DataError
from tinygrad_mnist.datasets import load_mnist, read_csv
from tinygrad_mnist.datasets.idx import parse_idx, read_idx
from tinygrad_mnist.datasets.npz import read_npz
from tinygrad_mnist.datasets.tables import read_arff

rng = np.random.default_rng(0)
IMAGES, LABELS = rng.integers(0, 256, (14, 28, 28)).astype(np.uint8), np.arange(14) % 10
TRAIN, TEST = slice(0, 12), slice(12, 14)
PIXEL_NAMES = ",".join(f"{i}x{j}" for i in range(1, 29) for j in range(1, 29))


def rows(images, labels=None, label_last=False):
    table = images.reshape(len(images), 784).tolist()
    if labels is not None:
        table = [
            r + [int(y)] if label_last else [int(y), *r] for r, y in zip(table, labels, strict=True)
        ]
    return "".join(",".join(map(str, r)) + "\n" for r in table)


def arff(body):
    attributes = "".join(f"@ATTRIBUTE pixel{i} real\n" for i in range(1, 785))
    return f"% a comment\n@RELATION mnist_784\n\n{attributes}@ATTRIBUTE class {{0,1,2,3,4,5,6,7,8,9}}\n@DATA\n{body}"


def idx(folder, suffix="", dot=False):
    for part, chosen in (("train", TRAIN), ("t10k", TEST)):
        for kind, array in (("images-idx3", IMAGES), ("labels-idx1", LABELS)):
            name = f"{part}-{kind}-ubyte{suffix}"
            write_idx(folder / (name.replace("-idx", ".idx") if dot else name), array[chosen])


def npz(folder):
    np.savez(
        folder / "mnist.npz",
        x_train=IMAGES[TRAIN],
        y_train=LABELS[TRAIN].astype(np.uint8),
        x_test=IMAGES[TEST],
        y_test=LABELS[TEST],
    )


def kaggle(folder, header=True, end="\n"):
    for part, chosen in (("train", TRAIN), ("test", TEST)):
        text = (f"label,{PIXEL_NAMES}\n" if header else "") + rows(IMAGES[chosen], LABELS[chosen])
        (folder / f"mnist_{part}.csv").write_bytes(text.replace("\n", end).encode())


def digit_recognizer(folder):
    names = ",".join(f"pixel{i}" for i in range(784))
    (folder / "train.csv").write_text(f"label,{names}\n" + rows(IMAGES[TRAIN], LABELS[TRAIN]))
    (folder / "test.csv").write_text(f"{names}\n" + rows(IMAGES[TEST]))


LAYOUTS = {
    "idx": (idx, "train-images-idx3-ubyte"),
    "idx gzip": (lambda f: idx(f, ".gz"), "t10k-labels-idx1-ubyte.gz"),
    "idx dot": (lambda f: idx(f, dot=True), "train-images.idx3-ubyte"),
    "npz": (npz, "mnist.npz"),
    "kaggle": (kaggle, "mnist_train.csv"),
    "kaggle without header": (lambda f: kaggle(f, header=False), "mnist_test.csv"),
    "kaggle from windows": (lambda f: kaggle(f, end="\r\n"), "mnist_train.csv"),
    "digit recognizer": (digit_recognizer, "train.csv"),
    "kaggle from a spreadsheet": (
        lambda f: [
            (f / f"mnist_{part}.csv").write_text(
                "\ufeff"
                + (f'"label",{PIXEL_NAMES}\n' if part == "train" else "")
                + rows(IMAGES[chosen], LABELS[chosen]).replace(",", '", "')
                + "\n\n",
                "utf-8",
            )
            for part, chosen in (("train", TRAIN), ("test", TEST))
        ],
        "mnist_train.csv",
    ),
    "arff": (
        lambda f: (f / "mnist_784.arff").write_text(arff(rows(IMAGES, LABELS, label_last=True))),
        "mnist_784.arff",
    ),
    "arff gzip": (
        lambda f: (f / "mnist_784.arff.gz").write_bytes(
            gzip.compress(arff(rows(IMAGES, LABELS, label_last=True)).encode())
        ),
        "mnist_784.arff.gz",
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("by_file", [False, True])
def test_every_layout_gives_the_same_digits(tmp_path, layout, by_file):
    write, name = LAYOUTS[layout]
    write(tmp_path)
    data = load_mnist(tmp_path / name if by_file else str(tmp_path))
    for split, chosen in ((data.train, TRAIN), (data.test, TEST)):
        np.testing.assert_array_equal(split.images, IMAGES[chosen])
        assert split.images.dtype == np.uint8
        if layout == "digit recognizer" and chosen is TEST:
            assert split.labels is None
        else:
            np.testing.assert_array_equal(split.labels, LABELS[chosen])
            assert split.labels.dtype == np.int64


@pytest.mark.parametrize("layout", ["idx", "idx gzip", "npz", "kaggle", "arff"])
def test_the_arrays_may_be_written_to(tmp_path, layout):
    LAYOUTS[layout][0](tmp_path)
    for array in (data := load_mnist(tmp_path)).train + data.test:
        array += 0


def test_the_environment_names_the_folder(tmp_path, monkeypatch):
    idx(tmp_path)
    monkeypatch.setenv("TINYGRAD_MNIST_DATA", str(tmp_path))
    assert len(load_mnist().train.images) == 12


def test_the_real_files_have_their_digits(mnist):
    assert mnist.train.images.shape == (60000, 28, 28)
    assert mnist.test.labels[:5].tolist() == [7, 2, 1, 0, 4]
    assert np.bincount(mnist.train.labels).tolist() == [
        5923,
        6742,
        5958,
        6131,
        5842,
        5421,
        5918,
        6265,
        5851,
        5949,
    ]


GOOD = idx_bytes(IMAGES)
GOOD_ROWS = rows(IMAGES[:2], LABELS[:2])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "magic number 00000803 at byte 0, got an empty file"),
        (b"\x00\x00\x08\x01" + GOOD[4:], "magic number 00000803 at byte 0, got 00000801"),
        (b"\x00\x00\x0d\x03" + GOOD[4:], "got 00000d03"),
        (GOOD[:10], "header of 16 bytes, got 10"),
        (GOOD[:-1], "truncated"),
        (GOOD + b"\x00", "trailing bytes"),
        (gzip.compress(GOOD) + b"\x00", "1 trailing bytes"),
        (GOOD[:4] + struct.pack(">3I", 0, 28, 28), r"shape \(0, 28, 28\)"),
        (GOOD[:4] + struct.pack(">3I", 2**31, 28, 28) + GOOD[16:], "truncated"),
        (gzip.compress(GOOD)[:-9], "breaks? off|damaged"),
        (gzip.compress(GOOD)[:40] + b"\xff" * 40 + gzip.compress(GOOD)[80:], "damaged"),
    ],
)
def test_damaged_idx(content, words):
    with pytest.raises(DataError, match=words):
        parse_idx(content, "images.gz", 3)


def first_pixel(text):
    cells = GOOD_ROWS.split("\n")[1].split(",")
    return GOOD_ROWS.split("\n")[0] + "\n" + ",".join([cells[0], text, *cells[2:]]) + "\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "line 1: expected 784 or 785 columns, got 1"),
        (first_pixel("256"), "line 2, column 2: expected an integer from 0 to 255, got '256'"),
        (first_pixel("-1"), "line 2, column 2: .*got '-1'"),
        (first_pixel("0.5"), "line 2, column 2: .*got '0.5'"),
        (first_pixel(""), "line 2, column 2: .*got ''"),
        (first_pixel("300"), "got '300'"),
        (first_pixel("1234"), "got '1234'"),
        (first_pixel("x"), "got 'x'"),
        (first_pixel("1,2"), "line 2: expected 785 columns, got 786"),
        (GOOD_ROWS + "1,2,3\n", "line 3: expected 785 columns, got 3"),
        (GOOD_ROWS.replace("\n", "\n\n", 1), "line 2: expected 785 columns, got 1"),
        (
            "label," + PIXEL_NAMES[: PIXEL_NAMES.rindex(",")] + "\n",
            "expected 784 pixels beside the label",
        ),
        ("digit," + PIXEL_NAMES + "\n" + GOOD_ROWS, "first column named label, got 'digit'"),
        ("label," + PIXEL_NAMES + "\n", "expected rows of 785 numbers, got none"),
        ("17" + GOOD_ROWS[1:], "line 1: expected a label from 0 to 9, got 17"),
        (GOOD_ROWS[:-1] + "\x00", "expected"),
    ],
)
def test_damaged_csv(tmp_path, text, words):
    path = tmp_path / "mnist_train.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=words) as caught:
        read_csv(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (arff(""), "got none"),
        (arff(rows(IMAGES[:1])), "expected 785 columns, got 784"),
        (arff(rows(IMAGES[:1], [11], True)), "label from 0 to 9, got 11"),
        (arff("{0 1}\n"), "expected 785 columns"),
        ("@RELATION x\n@DATA\n1\n", "expected 785 attributes"),
        ("@RELATION x\n", "expected @data, got the end"),
        ("hello\n", "expected @attribute, @data"),
    ],
)
def test_damaged_arff(tmp_path, text, words):
    path = tmp_path / "mnist_784.arff"
    path.write_text(text)
    with pytest.raises(DataError, match=words):
        read_arff(path)


def test_tables_read_in_threads_leave_no_filter_of_warnings(tmp_path):
    path, before = tmp_path / "mnist.csv", list(warnings.filters)
    path.write_text(rows(np.tile(IMAGES, (20, 1, 1)), np.tile(LABELS, 20)))
    threads = [
        threading.Thread(target=lambda: [read_csv(path) for _ in range(5)]) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert warnings.filters == before


def test_quoted_classes_and_gzip(tmp_path):
    path = tmp_path / "mnist_784.arff"
    path.write_text(arff(rows(IMAGES[:1], ["7"], True).replace(",7\n", ",'7'\n")))
    assert read_arff(path)[1].tolist() == [7]
    packed = tmp_path / "digits.csv.gz"
    packed.write_bytes(gzip.compress(rows(IMAGES[:3]).encode()))
    images, labels = read_csv(packed)
    assert labels is None
    np.testing.assert_array_equal(images, IMAGES[:3])
    packed.write_bytes(packed.read_bytes()[:-20])
    with pytest.raises(DataError, match="breaks off or is damaged"):
        read_csv(packed)


def write_npz(path, **members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)


def npy(array, allow_pickle=False):
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=allow_pickle)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (npy(IMAGES)[:-5], "x_train: .* expected 10976 bytes"),
        (npy(IMAGES) + b"x", r"x_train: .* more bytes than the shape \(14, 28, 28\) takes"),
        (
            npy(IMAGES.astype(float)),
            "x_train: expected a npz file of integers: TypeError: got float64",
        ),
        (
            npy(np.array([{}], object), True),
            "x_train: expected a npz file of integers: ValueError: Object arrays cannot be loaded",
        ),
        (b"nonsense", "x_train: expected a npz file of integers: .* magic string"),
        (npy(np.zeros(3, np.uint8)).replace(b"(3,), ", b"(999999999999999,), ")[:500], "expected"),
    ],
)
def test_damaged_npz(tmp_path, x, words):
    path = tmp_path / "mnist.npz"
    write_npz(path, x_train=x, y_train=npy(LABELS), x_test=npy(IMAGES), y_test=npy(LABELS))
    with pytest.raises(DataError, match=words):
        read_npz(path)
    write_npz(path, x_train=npy(IMAGES))
    with pytest.raises(DataError, match="missing y_train"):
        read_npz(path)
    for content in (b"PK\x03\x04 no zip", b"<html>", npy(IMAGES)):
        path.write_bytes(content)
        with pytest.raises(DataError, match="expected a npz file of integers: BadZipFile"):
            read_npz(path)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda f: None, "expected the IDX files .* got none of them"),
        (
            lambda f: idx(f) or (f / "t10k-labels-idx1-ubyte").unlink(),
            "missing t10k-labels-idx1-ubyte",
        ),
        (
            lambda f: idx(f) or write_idx(f / "train-labels-idx1-ubyte", LABELS),
            r"train labels of shape \(N,\), as many as images, got \(14,\), \(12, 28, 28\)",
        ),
        (
            lambda f: idx(f) or write_idx(f / "train-labels-idx1-ubyte", LABELS[TRAIN] + 5),
            "train-labels-idx1-ubyte: position 5, byte 13: expected a label from 0 to 9, got 10",
        ),
        (
            lambda f: write_npz(
                f / "mnist.npz",
                **dict.fromkeys(("x_train", "x_test"), npy(IMAGES)),
                y_train=npy(LABELS + 1),
                y_test=npy(LABELS),
            ),
            "position 9 of the train labels: expected a label from 0 to 9, got 10",
        ),
        (
            lambda f: kaggle(f) or (f / "mnist_test.csv").write_text(rows(IMAGES)),
            "mnist_test.csv: line 1: expected 785 columns, a label and 784 pixels, got 784",
        ),
        (
            lambda f: idx(f) or write_idx(f / "train-images-idx3-ubyte", np.zeros((12, 20, 20))),
            r"\(N, 28, 28\), N > 0, uint8, got \(12, 20, 20\)",
        ),
    ],
)
def test_contradictory_folders(tmp_path, make, words):
    make(tmp_path)
    with pytest.raises(DataError, match=words):
        load_mnist(tmp_path)


def test_paths_that_lead_nowhere(tmp_path):
    with pytest.raises(DataError, match="got nothing there"):
        load_mnist(tmp_path / "none")
    (tmp_path / "mnist.txt").write_text("")
    with pytest.raises(DataError, match="ends in ubyte, .npz, .csv or .arff"):
        load_mnist(tmp_path / "mnist.txt")
    digit_recognizer(tmp_path)
    (tmp_path / "train.csv").unlink()
    with pytest.raises(DataError, match="images without labels"):
        load_mnist(tmp_path / "test.csv")


def mutated(content):
    """A valid file with some bytes changed, cut out or repeated."""
    place = st.integers(0, len(content) - 1)
    change = st.tuples(st.sampled_from(["set", "cut", "repeat"]), place, st.integers(0, 255))

    def build(changes):
        data = bytearray(content)
        for kind, at, value in changes:
            at = min(at, len(data) - 1)
            if at < 0:
                break
            if kind == "set":
                data[at] = value
            elif kind == "cut":
                del data[at : at + value]
            else:
                data[at:at] = data[at : at + value]
        return bytes(data)

    return st.lists(change, min_size=1, max_size=4).map(build)


def npz_bytes():
    stream = io.BytesIO()
    np.savez_compressed(
        stream, x_train=IMAGES[:2], y_train=LABELS[:2], x_test=IMAGES[:1], y_test=LABELS[:1]
    )
    return stream.getvalue()


SEEDS = {
    "idx.gz": (gzip.compress(idx_bytes(IMAGES[:3])), lambda path: read_idx(path, 3)),
    "idx": (idx_bytes(IMAGES[:3]), lambda path: read_idx(path, 3)),
    "mnist.npz": (npz_bytes(), read_npz),
    "mnist.csv": (
        ("label," + PIXEL_NAMES + "\n" + rows(IMAGES[:2], LABELS[:2])).encode(),
        read_csv,
    ),
    "mnist.arff": (arff(rows(IMAGES[:2], LABELS[:2], True)).encode(), read_arff),
}


@pytest.mark.parametrize("kind", SEEDS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_fuzzed_files_raise_nothing_but_data_errors(tmp_path, kind, data):
    content, read = SEEDS[kind]
    path = tmp_path / kind
    path.write_bytes(data.draw(mutated(content)))
    try:
        read(path)
    except DataError as error:
        assert str(path) in str(error)


@pytest.mark.parametrize(
    "content",
    [
        idx_bytes(np.zeros((1, 28, 28)))[:4] + struct.pack(">3I", 2**32 - 1, 2**32 - 1, 28),
        gzip.compress(idx_bytes(np.zeros((1, 28, 28)))[:4] + struct.pack(">3I", 2**31, 28, 28)),
    ],
)
def test_a_headers_promise_takes_no_memory(content):
    tracemalloc.start()
    with pytest.raises(DataError):
        parse_idx(content, "x", 3)
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()
