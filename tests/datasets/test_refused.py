"""What is refused, and in what words: damaged files, other files under a data file's name."""

import gzip
import io
import pickle
import struct
import subprocess
import sys
import tarfile
import zipfile

import numpy as np
import pytest
from helpers import idx_bytes, write_idx
from made_files import (
    PIXEL_NAMES,
    arff,
    csv,
    flat,
    header,
    hugging_face,
    idx,
    npy_bytes,
    npz_bytes,
    openml_parquet,
    pictures,
    png,
    random_set,
    rows,
    zip_bytes,
)

from tinygrad_mnist import DataError
from tinygrad_mnist.datasets import load_mnist, read_csv

TRAIN, TEST = random_set(23, 1), random_set(12, 2)


def tar_bytes():
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("train/0/1.png"))
    return stream.getvalue()


HTML = b"\n<!DOCTYPE html>\n<html><head><title>404 Not Found</title></head></html>"
XML = b"<?xml version='1.0' encoding='UTF-8'?><Error><Code>AccessDenied</Code></Error>"
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 9912422\n"
OTHERS = {
    "a web page": (HTML, r"got a web page \(HTML\).*: download it again"),
    "a web page, lower case": (b"<html lang=en><body>Sign in", "web page"),
    "a web page, gzipped": (gzip.compress(HTML), "web page"),
    "a web page with a byte order mark": (b"\xef\xbb\xbf" + HTML, "web page"),
    "XML": (XML, "got an XML document, .* error: download it again"),
    "a Git LFS pointer": (LFS, "got a Git LFS pointer .*git lfs pull"),
    "a zip archive": (zip_bytes(readme=b"hello"), "a zip archive"),
    "an empty file": (b"", "got an empty file: download it again"),
    "blank lines": (b"\r\n" * 9, "nothing but blank lines"),
    "bzip2": (b"BZh91AY&SY", "compressed by bzip2: unpack"),
    "xz": (b"\xfd7zXZ\0\0", "compressed by xz: unpack"),
    "Zstandard": (b"\x28\xb5\x2f\xfd\0", "compressed by Zstandard: unpack"),
    "gzip twice": (gzip.compress(gzip.compress(b"x")), "gzipped twice"),
    "7z": (b"7z\xbc\xaf\x27\x1c\0", "a 7z archive: unpack"),
    "RAR": (b"Rar!\x1a\x07\x01\0", "a RAR archive: unpack"),
    "tar": (tar_bytes(), "a tar archive: unpack it with tar xf"),
    "a picture": (png(TRAIN[0][0]), "a single picture: pass the folder"),
    "a pickle": (pickle.dumps({"x_train": 1}), "a pickle, .* any program .*convert"),
    "an old pickle": (pickle.dumps([1], 0), "a pickle"),
    "a pickle, gzipped": (gzip.compress(pickle.dumps(1)), "a pickle"),
    "a PyTorch file": (zip_bytes(**{"training/data.pkl": b"x"}), "a PyTorch file, .* pickle"),
    "MATLAB": (b"MATLAB 5.0 MAT-file, Platform: GLNXA64" + b" " * 90, "MATLAB file, .*SciPy"),
    "HDF5": (b"\x89HDF\r\n\x1a\n\0", "HDF5 file, .*h5py"),
    "UTF-32": ("1,2".encode("utf-32"), "UTF-32: save it as UTF-8"),
}


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize(
    "name",
    ["train-images-idx3-ubyte.gz", "mnist.npz", "mnist_train.csv", "mnist_784.arff", "d.parquet"],
)
def test_another_file_under_a_data_files_name(tmp_path, other, name):
    content, words = OTHERS[other]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=f"(?s){name}: expected data, .*{words}"):
        load_mnist(tmp_path / name)
    if name == "mnist_train.csv" and content.strip():
        with pytest.raises(DataError, match=f"(?s){name}: expected data, .*{words}"):
            read_csv(tmp_path / name)


@pytest.mark.parametrize("other", OTHERS)
def test_another_file_among_the_four(tmp_path, other):
    content, words = OTHERS[other]
    idx(tmp_path, TRAIN, TEST, "{}-{}-idx{}-ubyte.gz")
    (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(content)
    for path in (tmp_path, tmp_path / "train-images-idx3-ubyte.gz"):
        with pytest.raises(DataError, match=f"(?s)t10k-images-idx3-ubyte.gz: expected .*{words}"):
            load_mnist(path)


@pytest.mark.parametrize("other", ["a web page", "XML", "a Git LFS pointer", "a zip archive"])
def test_another_file_for_a_table_to_test_on(tmp_path, other):
    content, words = OTHERS[other]
    csv()(tmp_path, TRAIN, TEST)
    (tmp_path / "mnist_test.csv").write_bytes(content)
    for path in (tmp_path, tmp_path / "mnist_train.csv"):
        with pytest.raises(DataError, match=f"mnist_test.csv: expected .*{words}"):
            load_mnist(path)


@pytest.mark.parametrize("other", ["a pickle", "MATLAB", "HDF5", "tar", "a web page"])
def test_a_folder_with_nothing_else(tmp_path, other):
    content, words = OTHERS[other]
    (tmp_path / "some.data").write_bytes(content)
    with pytest.raises(DataError, match=f"(?s)some.data: expected data, .*{words}"):
        load_mnist(tmp_path)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("mnist.pkl", "a pickle"),
        ("mnist.pkl.gz", "a pickle"),
        ("training.pt", "a PyTorch file"),
        ("mnist-original.mat", "a MATLAB file"),
        ("mnist.h5", "an HDF5 file"),
    ],
)
@pytest.mark.parametrize("content", [b"(i__main__\nMNIST\n", pickle.dumps([1], 4), b"\x01\x02\x00"])
def test_endings_of_what_is_refused(tmp_path, name, words, content):
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    if content == pickle.dumps([1], 4) and name.endswith(("mat", "h5")):
        words = f"({words}|a pickle)"
    for path in (tmp_path, tmp_path / name):
        with pytest.raises(DataError, match=f"(?s){name}: expected data, got {words}.*np.savez"):
            load_mnist(path)


def run_conversion(error, before=""):
    """Run the two lines that the message gives."""
    lines = str(error).split(":\n")[1].splitlines()
    assert len(lines) == 2
    code = "\n".join([before, *lines])
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def assert_loads(path):
    data = load_mnist(path)
    np.testing.assert_array_equal(data.train.images, TRAIN[0])
    np.testing.assert_array_equal(data.train.labels, TRAIN[1])
    np.testing.assert_array_equal(data.test.images, TEST[0])


def test_the_conversion_of_a_pickle(tmp_path):
    names = ("training_images", "training_labels", "test_images", "test_labels")
    content = dict(zip(names, (flat(TRAIN[0]), TRAIN[1], flat(TEST[0]), TEST[1]), strict=True))
    (tmp_path / "mnist.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(DataError, match="a pickle") as caught:
        load_mnist(tmp_path / "mnist.pkl")
    run_conversion(caught.value)
    assert_loads(tmp_path / "mnist.npz")


def test_the_conversion_of_the_pickle_of_deeplearning_net(tmp_path):
    parts = [(flat(x).astype(np.float32) / 256, y) for x, y in (TRAIN, TEST, TEST)]
    (tmp_path / "mnist.pkl.gz").write_bytes(gzip.compress(pickle.dumps(tuple(parts), 2)))
    with pytest.raises(DataError, match="a pickle") as caught:
        load_mnist(tmp_path)
    run_conversion(caught.value)
    assert_loads(tmp_path / "mnist.npz")


def test_the_conversion_of_mnist_original(tmp_path):
    io_of_scipy = pytest.importorskip("scipy.io")
    images, labels = random_set(70, 3)
    io_of_scipy.savemat(
        tmp_path / "mnist-original.mat",
        {"data": flat(images).T, "label": labels[None].astype(float)},
    )
    with pytest.raises(DataError, match="MATLAB") as caught:
        load_mnist(tmp_path / "mnist-original.mat")
    run_conversion(caught.value)
    data = load_mnist(tmp_path / "mnist-original.npz")
    np.testing.assert_array_equal(data.train.images, images[:60])
    np.testing.assert_array_equal(data.train.labels, labels[:60])


def test_the_conversion_of_emnists_matlab_file(tmp_path):
    io_of_scipy = pytest.importorskip("scipy.io")
    parts = {
        part: {"images": flat(x), "labels": y[:, None], "writers": y[:, None]}
        for part, (x, y) in (("train", TRAIN), ("test", TEST))
    }
    io_of_scipy.savemat(tmp_path / "emnist-letters.mat", {"dataset": parts})
    with pytest.raises(DataError, match="MATLAB") as caught:
        load_mnist(tmp_path / "emnist-letters.mat")
    run_conversion(caught.value)
    assert_loads(tmp_path / "emnist-letters.npz")


# Stand-ins for libraries that the tests do not install: what the two lines use of them.
TORCH = """
import pickle, sys, types
sys.modules["torch"] = types.SimpleNamespace(load=lambda path: pickle.load(open(path, "rb")))
"""
H5PY = """
import pickle, sys, types
sys.modules["h5py"] = types.SimpleNamespace(File=lambda path: pickle.load(open(path, "rb")))
"""


def test_the_conversion_of_torchvisions_old_files(tmp_path):
    for name, split in (("training.pt", TRAIN), ("test.pt", TEST)):
        (tmp_path / name).write_bytes(pickle.dumps(split))
    with pytest.raises(DataError, match="a PyTorch file") as caught:
        load_mnist(tmp_path / "training.pt")
    run_conversion(caught.value, TORCH)
    assert_loads(tmp_path / "training.npz")


def test_the_conversion_of_hdf5(tmp_path):
    names = ("x_train", "y_train", "x_test", "y_test")
    arrays = dict(zip(names, (*TRAIN, *TEST), strict=True))
    (tmp_path / "mnist.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    with pytest.raises(DataError, match="an HDF5 file") as caught:
        load_mnist(tmp_path / "mnist.h5")
    (tmp_path / "mnist.h5").write_bytes(pickle.dumps(arrays))
    run_conversion(caught.value, H5PY)
    assert_loads(tmp_path / "mnist.npz")


# damaged IDX files

GOOD = idx_bytes(TRAIN[0])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\x00\x00\x08\x01" + GOOD[4:], "magic number 00000803 at byte 0, got 00000801"),
        (b"\x00\x00\x0d\x03" + GOOD[4:], "got 00000d03"),
        (b"\x00\x00\x0c\x02" + GOOD[4:], "got 00000c02"),
        (GOOD[:10], "header of 16 bytes, got 10"),
        (GOOD[:-1], "truncated"),
        (GOOD + b"\x00", "trailing bytes"),
        (gzip.compress(GOOD) + b"\x00\x01", "one with trailing bytes"),
        (gzip.compress(GOOD)[:-9], "breaks off or is damaged"),
        (gzip.compress(GOOD)[:40] + b"\xff" * 40 + gzip.compress(GOOD)[80:], "damaged"),
        (gzip.compress(GOOD)[:-8] + b"1234" + gzip.compress(GOOD)[-4:], "CRC check failed"),
        (GOOD[:4] + struct.pack(">3I", 0, 28, 28), r"shape \(0, 28, 28\)"),
        (GOOD[:4] + struct.pack(">3I", 2**31, 28, 28) + GOOD[16:], "truncated"),
        (GOOD[:4] + struct.pack(">3I", 23, 14, 56) + GOOD[16:], r"got \(23, 14, 56\)"),
    ],
)
def test_damaged_idx(tmp_path, content, words):
    idx(tmp_path, TRAIN, TEST)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(content)
    for path in (tmp_path, tmp_path / "train-images-idx3-ubyte"):
        with pytest.raises(DataError, match=f"train-images-idx3-ubyte: .*{words}"):
            load_mnist(path)


def test_labels_of_qmnist_need_their_eight_columns(tmp_path):
    idx(tmp_path, TRAIN, TEST)
    content = bytes([0, 0, 0x0C, 2]) + struct.pack(">2I", 23, 7) + bytes(23 * 7 * 4)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(content)
    with pytest.raises(DataError, match="expected 8 columns of labels"):
        load_mnist(tmp_path)


# damaged tables

GOOD_ROWS = rows(TRAIN[0][:2], TRAIN[1][:2])


def first_pixel(text):
    head, line, _ = GOOD_ROWS.split("\n")
    cells = line.split(",")
    return head + "\n" + ",".join([cells[0], text, *cells[2:]]) + "\n"


BAD_TABLES = [
    ("", "line 1: expected 784 or 785 columns, got 1"),
    ("1,2,3\n", r"line 1: expected 784 or 785 columns, got 3, separated by ',': '1,2,3'"),
    ("1;2;3;4\n", r"got 4, separated by ';'"),
    ("1\t2\n", r"got 2, separated by '\\t'"),
    (first_pixel("256"), "line 2, column 2: expected an integer from 0 to 255, got '256'"),
    (first_pixel("-1"), "line 2, column 2: .*got '-1'"),
    (first_pixel("0.5"), "line 2, column 2: .*got '0.5'"),
    (first_pixel("1e400"), "line 2, column 2: .*got '1e400'"),
    (first_pixel("nan"), "line 2, column 2: .*got 'nan'"),
    (first_pixel("1_0"), "line 2, column 2: .*got '1_0'"),
    (first_pixel("0x1"), "line 2, column 2: .*got '0x1'"),
    (first_pixel("\u0663"), "line 2, column 2: .*got"),
    (first_pixel(""), "line 2, column 2: .*got ''"),
    (first_pixel("99999999999999999999"), "line 2, column 2: .*got '9999"),
    (first_pixel("x"), "line 2, column 2: .*got 'x'"),
    (first_pixel('"1"2"'), "line 2, column 2: .*got '1\"2'"),
    (first_pixel("1,2"), "line 2: expected 785 columns, got 786"),
    (first_pixel('"1,2"'), "line 2: expected 785 columns, got 786"),
    (GOOD_ROWS + "1,2,3\n", "line 3: expected 785 columns, got 3"),
    (GOOD_ROWS.replace("\n", "\n\n", 1), "line 2: expected 785 columns, got 1"),
    ("x" + GOOD_ROWS, "line 1, column 1: .*got 'x0'"),
    ("label," + ",".join(PIXEL_NAMES[:-1]) + "\n", "expected 784 pixels beside the label"),
    ("digit," + ",".join(PIXEL_NAMES) + "\n" + GOOD_ROWS, "column named label, got 'digit'"),
    (",".join(PIXEL_NAMES) + ",x785\n", "column named label, got '1x1'"),
    ("label,class," + ",".join(PIXEL_NAMES) + "\n", "one column of labels, got 'label', 'class'"),
    ("label,mean," + ",".join(PIXEL_NAMES) + "\n", "784 pixels beside the label, got 785 columns"),
    (header(), "expected rows of 785 numbers, got none"),
    (GOOD_ROWS[:-1] + "\x00", "line 2, column 785"),
    (rows(TRAIN[0], index=True, labels=TRAIN[1]), "expected 784 or 785 columns, got 786"),
]


@pytest.mark.parametrize(("text", "words"), BAD_TABLES)
def test_damaged_csv(tmp_path, text, words):
    path = tmp_path / "digits.csv"
    path.write_text(text, "utf-8")
    with pytest.raises(DataError, match=words) as caught:
        read_csv(path)
    assert str(path) in str(caught.value)
    if text:
        with pytest.raises(DataError, match=words):
            load_mnist(path)


def test_a_decimal_comma_is_refused(tmp_path):
    (tmp_path / "d.csv").write_text(rows(*TRAIN, separator=";", decimals=",0"))
    with pytest.raises(DataError, match="line 1, column 1: expected an integer .* got '0,0'"):
        read_csv(tmp_path / "d.csv")


@pytest.mark.parametrize("name", ["no.csv", "."])
def test_a_table_that_is_not_there(tmp_path, name):
    with pytest.raises(DataError, match="expected a file, got (nothing there|a folder)"):
        read_csv(tmp_path / name)


def test_read_csv_of_another_format(tmp_path):
    (tmp_path / "x.csv").write_bytes(GOOD)
    with pytest.raises(DataError, match="x.csv: expected data, got a file of the format idx"):
        read_csv(tmp_path / "x.csv")


def test_a_table_that_breaks_off(tmp_path):
    packed = tmp_path / "digits.csv.gz"
    packed.write_bytes(gzip.compress(rows(TRAIN[0]).encode()))
    images, labels = read_csv(packed)
    assert labels is None
    np.testing.assert_array_equal(images, TRAIN[0])
    packed.write_bytes(packed.read_bytes()[:-20])
    with pytest.raises(DataError, match="breaks off or is damaged"):
        read_csv(packed)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (arff(TRAIN[0][:0], []), "got none"),
        (arff(TRAIN[0][:1], None), "line 790: expected 785 columns, got 784"),
        (arff(TRAIN[0][:1], [11]), "line 790: expected a label from 0 to 9, got 11"),
        (
            arff(TRAIN[0][:1], [0]).replace("@DATA\n", "@DATA\n{0 1}\n"),
            "785 columns, .*sparse ARFF",
        ),
        (arff(TRAIN[0][:1], [0]).replace("@DATA\n", "@DATA\n?,"), "expected 785 columns, got 786"),
        (arff(TRAIN[0][:1], [0]).replace(",0\n", ",five\n"), "column 785: .* got 'five'"),
        ("@RELATION x\n@DATA\n1\n", "expected 785 attributes, .* got 0"),
        ("@RELATION x\n", "expected @data, got the end"),
        ("@RELATION x\nhello\n", "line 2: expected @attribute, @data .* got 'hello'"),
        (arff(*TRAIN).replace("@ATTRIBUTE class", "@ATTRIBUTE rank"), "^"),
    ],
)
def test_damaged_arff(tmp_path, text, words):
    path = tmp_path / "mnist_784.arff"
    path.write_text(text)
    if words == "^":  # the only attribute with a list of values is the class
        assert load_mnist(path).num_classes == 10
        return
    with pytest.raises(DataError, match=words) as caught:
        load_mnist(path)
    assert str(path) in str(caught.value)


# damaged npz, Parquet and picture files


def four(**changed):
    good = {"x_train": TRAIN[0], "y_train": TRAIN[1], "x_test": TEST[0], "y_test": TEST[1]}
    return {f"{name}.npy": changed.get(name, npy_bytes(a)) for name, a in good.items()}


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (npy_bytes(TRAIN[0])[:-5], r"mnist.npz: x_train: expected 18032 bytes .* got 18027"),
        (npy_bytes(TRAIN[0]) + b"x", r"x_train: expected 18032 bytes .* got more"),
        (npy_bytes(TRAIN[0] / 3), "x_train: position .*: expected a whole number"),
        (npy_bytes(np.array([{}], object), True), "x_train: expected numbers, got Python objects"),
        (npy_bytes(np.zeros(3, "U3")), "x_train: expected numbers, got <U3"),
        (npy_bytes(np.zeros(3, "i4,f4")), "x_train: expected numbers, got"),
        (npy_bytes(np.array(3)), r"x_train: expected images of shape .*got \(\)"),
        (b"nonsense", "x_train: expected an array of NumPy's"),
        (npy_bytes(TRAIN[0]).replace(b"(23, ", b"(9**9"), "x_train: .*header that is damaged"),
    ],
)
def test_damaged_npz(tmp_path, x, words):
    path = tmp_path / "mnist.npz"
    path.write_bytes(zip_bytes(**four(x_train=x)))
    with pytest.raises(DataError, match=words):
        load_mnist(path)


def test_npz_files_that_lack_something(tmp_path):
    path = tmp_path / "mnist.npz"
    path.write_bytes(npz_bytes(x_train=TRAIN[0]))
    with pytest.raises(DataError, match="mnist.npz, an npz file: .* missing y_train.npy, x_test"):
        load_mnist(path)
    path.write_bytes(npz_bytes(a=TRAIN[0], b=TRAIN[1]))
    with pytest.raises(
        DataError, match="mnist.npz, an npz file: .* none of them, but a.npy, b.npy"
    ):
        load_mnist(path)
    for content in (b"PK\x03\x04 no zip", npz_bytes(x=TRAIN[0])[:-30]):
        path.write_bytes(content)
        with pytest.raises(DataError, match="mnist.npz: expected a zip archive, got .* damaged"):
            load_mnist(path)


def test_an_encrypted_member(tmp_path):
    content = bytearray(zip_bytes(**four()))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = content.find(signature)
        content[at + offset] |= 1
    (tmp_path / "mnist.npz").write_bytes(content)
    with pytest.raises(DataError, match="x_train: expected a file without a password"):
        load_mnist(tmp_path)


def test_a_zip_under_another_name_is_read_if_the_name_promises_nothing_else(tmp_path):
    idx(tmp_path / "data", TRAIN, TEST)
    from made_files import zipped

    for name in ("mnist.zip", "download", "mnist.dat"):
        (tmp_path / name).write_bytes(zipped(tmp_path / "data"))
        assert_loads(tmp_path / name)
    for name in ("mnist.csv", "mnist.npz", "train-images-idx3-ubyte.gz"):
        (tmp_path / name).write_bytes(zipped(tmp_path / "data"))
        with pytest.raises(DataError, match=f"{name}: .* a zip archive: .* ends in .zip"):
            load_mnist(tmp_path / name)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (hugging_face(*TRAIN)[:-100], "expected a Parquet file, got one that is damaged"),
        (b"PAR1" + hugging_face(*TRAIN)[300:], "train.parquet"),
        (hugging_face(TRAIN[0][:, :20], TRAIN[1]), "row 0: .* 28 x 28 pixels, got 28 x 20"),
        (openml_parquet(TRAIN[0] / 2, TRAIN[1], "float64"), "expected a whole number"),
        (openml_parquet(TRAIN[0], np.array(["five"] * 23)), "row 0: .* got 'five'"),
        (openml_parquet(TRAIN[0][:0], TRAIN[1][:0]), "got none"),
    ],
)
def test_damaged_parquet(tmp_path, content, words):
    (tmp_path / "train.parquet").write_bytes(content)
    with pytest.raises(DataError, match=words):
        load_mnist(tmp_path / "train.parquet")


def test_a_shard_that_is_missing(tmp_path):
    (tmp_path / "train-00000-of-00002.parquet").write_bytes(hugging_face(*TRAIN))
    (tmp_path / "test-00000-of-00001.parquet").write_bytes(hugging_face(*TEST))
    with pytest.raises(DataError, match="expected 2 shards, missing number 1"):
        load_mnist(tmp_path)


def test_parquet_without_pyarrow_says_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "train.parquet").write_bytes(hugging_face(*TRAIN))
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(
        DataError, match=r"train.parquet: .*pip install 'tinygrad-mnist\[parquet\]'"
    ):
        load_mnist(tmp_path)


def write_picture(path, change, kind="PNG"):
    from PIL import Image

    change(Image.fromarray(TRAIN[0][0])).save(path, kind)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda image: image.resize((20, 28)), "28 x 28 pixels, got 20 x 28"),
        (lambda image: image.convert("I;16"), "8 bits a pixel, got one of the mode I;16"),
        (lambda image: image.convert("LA").rotate(45), "opaque picture"),
        (lambda image: image.convert("RGBA").rotate(45), "opaque picture"),
    ],
)
def test_pictures_that_are_refused(tmp_path, change, words):
    pictures(tmp_path, TRAIN, TEST)
    write_picture(tmp_path / "training" / "3" / "x.png", change)
    with pytest.raises(DataError, match=f"training/3/x.png: .*{words}"):
        load_mnist(tmp_path)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P", "1"])
def test_pictures_of_other_kinds_are_read_as_grey(tmp_path, mode):
    from PIL import Image

    image = TRAIN[0][0] // 128 * 255 if mode == "1" else TRAIN[0][0]
    for label in (0, 0, 1, 1):
        folder = tmp_path / str(label)
        folder.mkdir(exist_ok=True)
        path = folder / f"{len(list(folder.iterdir()))}.png"
        Image.fromarray(image).convert(mode).save(path)
    np.testing.assert_array_equal(load_mnist(tmp_path).train.images, [image, image])


def test_pictures_that_are_damaged_or_in_no_folder(tmp_path):
    pictures(tmp_path, TRAIN, TEST)
    (tmp_path / "training" / "3" / "x.png").write_bytes(png(TRAIN[0][0])[:-40])
    with pytest.raises(DataError, match="x.png: expected a picture, got one that is damaged"):
        load_mnist(tmp_path)
    (tmp_path / "training" / "3" / "x.png").rename(tmp_path / "training" / "x.png")
    with pytest.raises(DataError, match="training/x.png: expected pictures in a folder for each"):
        load_mnist(tmp_path)
    (tmp_path / "flat").mkdir()
    (tmp_path / "flat" / "1.png").write_bytes(png(TRAIN[0][0]))
    with pytest.raises(DataError, match="expected pictures in a folder for each class"):
        load_mnist(tmp_path / "flat")


# folders and paths


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda f: None, "expected the IDX files .* got none of them"),
        (
            lambda f: idx(f, TRAIN, TEST) or (f / "t10k-labels-idx1-ubyte").unlink(),
            "missing t10k-labels-idx1-ubyte",
        ),
        (
            lambda f: idx(f, TRAIN, TEST) or write_idx(f / "train-labels-idx1-ubyte", TEST[1]),
            r"train labels of shape \(N,\), as many as images, got \(12,\), \(23, 28, 28\)",
        ),
        (
            lambda f: idx(f, TRAIN, TEST) or write_idx(f / "train-labels-idx1-ubyte", TRAIN[1] + 5),
            "train-labels-idx1-ubyte: position 5, byte 13: expected a label from 0 to 9, got 10",
        ),
        (
            lambda f: csv()(f, TRAIN, TEST) or (f / "mnist_test.csv").write_text(rows(TEST[0])),
            "mnist_test.csv: line 1: expected 785 columns, a label and 784 pixels, got 784",
        ),
        (
            lambda f: csv("{}.csv")(f, TRAIN, TEST) or (f / "train.csv").write_text(rows(TEST[0])),
            "expected labels to train on, got images alone",
        ),
        (
            lambda f: (
                idx(f, TRAIN, TEST)
                or write_idx(f / "train-images-idx3-ubyte", np.zeros((12, 20, 20)))
            ),
            r"\(N, 28, 28\), N > 0, uint8, got \(12, 20, 20\)",
        ),
        (lambda f: (f / "x.csv").write_text(rows(TEST[0])), "got images without labels"),
    ],
)
def test_contradictory_folders(tmp_path, make, words):
    make(tmp_path)
    with pytest.raises(DataError, match=words):
        load_mnist(tmp_path)


def test_an_archive_in_an_archive(tmp_path):
    (tmp_path / "d.zip").write_bytes(zip_bytes(**{"mnist.zip": zip_bytes(a=b"1")}))
    with pytest.raises(DataError, match="d.zip: mnist.zip: expected data, got a zip archive"):
        load_mnist(tmp_path / "d.zip")
    (tmp_path / "d.zip").write_bytes(zip_bytes(**{"mnist.npz": zip_bytes(**four())}))
    assert_loads(tmp_path / "d.zip")  # an npz file is data


@pytest.mark.parametrize("path", ["a" * 5_000, "a\0b", "mnist.npz/x", ""])
def test_paths_that_cannot_be(tmp_path, path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mnist.npz").write_bytes(b"")
    with pytest.raises(DataError):
        load_mnist(path)
    with pytest.raises(DataError):
        read_csv(path)


def test_paths_that_lead_nowhere(tmp_path):
    with pytest.raises(DataError, match="got nothing there"):
        load_mnist(tmp_path / "none")
    with pytest.raises(DataError, match="ends in ubyte, .npz, .csv or .arff.*got other text"):
        load_mnist(__file__)
    (tmp_path / "digits.idx").write_bytes(GOOD)
    with pytest.raises(DataError, match="expected a name that says what is in the file"):
        load_mnist(tmp_path / "digits.idx")
    with pytest.raises(DataError, match="nobody-of-this-name"):
        load_mnist("~nobody-of-this-name/data")
    with pytest.raises(DataError, match="nobody-of-this-name"):
        read_csv("~nobody-of-this-name/data.csv")


def test_a_pipe_is_no_file(tmp_path):
    import os

    if not hasattr(os, "mkfifo"):
        pytest.skip("needs named pipes")
    os.mkfifo(tmp_path / "mnist.csv")
    with pytest.raises(DataError, match="mnist.csv: expected a file"):
        load_mnist(tmp_path / "mnist.csv")
    with pytest.raises(DataError, match="got none of them"):
        load_mnist(tmp_path)


def test_members_with_one_name(tmp_path):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("mnist_train.csv", rows(*TRAIN))
        archive.writestr("mnist_test.csv", rows(*TEST))
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("mnist_test.csv", rows(*TRAIN))
    (tmp_path / "d.zip").write_bytes(stream.getvalue())
    with pytest.raises(DataError, match="mnist_test.csv: expected the same content"):
        load_mnist(tmp_path / "d.zip")
