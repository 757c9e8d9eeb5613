"""Memory stays in proportion to the file, a fork beside a reader goes on, imports stay light."""

import gzip
import io
import os
import struct
import subprocess
import sys
import threading
import tracemalloc
import warnings
import zipfile

import numpy as np
import pytest
from helpers import idx_bytes
from made_files import (
    arff,
    header,
    hugging_face,
    idx,
    npy_bytes,
    npz_bytes,
    png,
    random_set,
    rows,
    zip_bytes,
)

from tinygrad_mnist import DataError
from tinygrad_mnist.datasets import load_mnist, read_csv

TRAIN, TEST = random_set(23, 1), random_set(12, 2)
MEGABYTE = 1 << 20


def npy_header(shape):
    return npy_bytes(np.zeros(1, np.uint8)).replace(b"(1,), ", f"({shape}), ".encode())[:128]


def zeros(count, compress):
    """Compressed zeros, made a megabyte at a time."""
    packer = compress()
    return b"".join([packer.compress(bytes(MEGABYTE)) for _ in range(count)]) + packer.flush()


def gzipped_zeros(start, megabytes):
    import zlib

    packer = zlib.compressobj(9, wbits=31)
    blocks = [packer.compress(start)]
    blocks += [packer.compress(bytes(MEGABYTE)) for _ in range(megabytes)]
    return b"".join([*blocks, packer.flush()])


def npz_bomb(how, megabytes):
    """An npz file whose images are zeros alone."""
    stream = io.BytesIO()
    shape = f"{megabytes * MEGABYTE // 784}, 28, 28"
    count = megabytes * MEGABYTE // 784 * 784
    with zipfile.ZipFile(stream, "w", how) as archive:
        with archive.open("x_train.npy", "w", force_zip64=True) as member:
            member.write(npy_header(shape))
            for _ in range(count // MEGABYTE):
                member.write(bytes(MEGABYTE))
            member.write(bytes(count % MEGABYTE))
        archive.writestr("y_train.npy", npy_bytes(TRAIN[1]))
        archive.writestr("x_test.npy", npy_bytes(TEST[0]))
        archive.writestr("y_test.npy", npy_bytes(TEST[1]))
    return stream.getvalue()


def many_rows_of_one_picture(count):
    """A Parquet file in which one blank picture is written once, and meant `count` times."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    table = pa.table(
        {
            "image": pa.array([{"bytes": png(TRAIN[0][0] * 0), "path": None}] * count, kind),
            "label": pa.array([0] * count),
        }
    )
    stream = io.BytesIO()
    pq.write_table(table, stream)
    return stream.getvalue()


IDX_HEAD = idx_bytes(np.zeros((1, 28, 28)))[:4]
BOMBS = {
    "an IDX header that promises 3 TB": (
        "train-images-idx3-ubyte",
        lambda: IDX_HEAD + struct.pack(">3I", 2**32 - 1, 28, 28),
    ),
    "a gzipped one": (
        "train-images-idx3-ubyte",
        lambda: gzip.compress(IDX_HEAD + struct.pack(">3I", 2**31, 28, 28)),
    ),
    "80 MB of zeros in gzip": (
        "train-images-idx3-ubyte",
        lambda: gzipped_zeros(IDX_HEAD + struct.pack(">3I", 80 * MEGABYTE // 784, 28, 28), 80),
    ),
    "an npy header that promises 78 TB": ("x_train.npy", lambda: npy_header("10**11, 28, 28")),
    "an npy header of 78 GB": ("x_train.npy", lambda: npy_header("100000000, 28, 28")),
    "80 MB in an npz file, deflated": (
        "mnist.npz",
        lambda: npz_bomb(zipfile.ZIP_DEFLATED, 80),
    ),
    "80 MB in an npz file, by bzip2": ("mnist.npz", lambda: npz_bomb(zipfile.ZIP_BZIP2, 80)),
    "80 MB in an npz file, by xz": ("mnist.npz", lambda: npz_bomb(zipfile.ZIP_LZMA, 80)),
    "80 MB of newlines in gzip": (
        "mnist_train.csv.gz",
        lambda: gzip.compress(rows(*TRAIN).encode() + b"\n" * (80 * MEGABYTE)),
    ),
    "100 MB in one line": ("d.csv", lambda: b"0," * (50 * MEGABYTE)),
    "100 MB in one line of ARFF": ("d.arff", lambda: b"@relation " + b"x" * (100 * MEGABYTE)),
    "a quoted cell of 100 MB": (
        "d.csv",
        lambda: rows(*TRAIN).encode() + b'"' + b"0" * (100 * MEGABYTE),
    ),
    "an npz file in an archive": (
        "d.zip",
        # 60 KB that expand to 60 MB, which alone they may, and take a few hundred bytes here
        lambda: zip_bytes(**{"mnist.npz": npz_bomb(zipfile.ZIP_DEFLATED, 60)}),
    ),
    "a gzipped file in an archive": (
        "d.zip",
        lambda: zip_bytes(
            **{
                "train-images-idx3-ubyte.gz": gzipped_zeros(
                    IDX_HEAD + struct.pack(">3I", 80 * MEGABYTE // 784, 28, 28), 80
                )
            }
        ),
    ),
}


def four_but(folder, name, content):
    """Write a whole set in which one file is another."""
    if "ubyte" in name:
        idx(folder, TRAIN, TEST)
    if name == "x_train.npy":
        for other, array in (("y_train", TRAIN[1]), ("x_test", TEST[0]), ("y_test", TEST[1])):
            np.save(folder / f"{other}.npy", array)
    (folder / name).write_bytes(content)


@pytest.mark.parametrize("bomb", BOMBS)
def test_memory_stays_in_proportion_to_the_file(tmp_path, bomb):
    name, make = BOMBS[bomb]
    content = make()
    four_but(tmp_path, name, content)
    limit = 3 * len(content) + 16 * MEGABYTE
    del content
    tracemalloc.start()
    try:
        with pytest.raises(DataError):
            load_mnist(tmp_path / name)
        assert tracemalloc.get_traced_memory()[1] < limit
    finally:
        tracemalloc.stop()


def test_a_table_that_repeats_one_picture_is_refused_before_it_is_read(tmp_path):
    (tmp_path / "d.parquet").write_bytes(many_rows_of_one_picture(100_000))
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="that expand to 78,400,000"):
            load_mnist(tmp_path / "d.parquet")
        assert tracemalloc.get_traced_memory()[1] < 16 * MEGABYTE
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("count", [400, 60_000])
def test_blank_images_are_no_bomb(tmp_path, count):
    blank = np.zeros((count, 28, 28), np.uint8)
    content = npz_bytes(
        np.savez_compressed,
        x_train=blank,
        y_train=np.zeros(count, np.uint8),
        x_test=TEST[0],
        y_test=TEST[1],
    )
    (tmp_path / "mnist.npz").write_bytes(content)
    with pytest.warns(UserWarning, match="0 alone"):
        assert load_mnist(tmp_path).train.images.shape == (count, 28, 28)


@pytest.mark.parametrize(
    ("start", "words"),
    [
        ("", "nothing but blank lines|blank line"),
        (rows(*TRAIN), None),
        (rows(*TRAIN) + "\n", "line 24: expected a row, got a blank line"),
        ("@relation x\n", "expected @data in the first 100,000 lines"),
        (arff(*TRAIN), None),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n", " \n"])
def test_40_megabytes_of_blank_lines(tmp_path, start, end, words):
    # measured: 0.2 s; line by line it took 22 s
    path = tmp_path / ("d.arff" if "@" in start else "d.csv")
    blank = end * (40 * MEGABYTE // len(end))
    path.write_text(start + blank + ("1,2\n" if words and "row" in words else ""), newline="")
    if words:
        with pytest.raises(DataError, match=words):
            load_mnist(path)
    else:
        data = load_mnist(path)
        assert len(data.train.labels) + len(data.test.labels) == 23


def test_many_lines_of_one_cell_end_at_the_first(tmp_path):
    (tmp_path / "d.csv").write_text(rows(*TRAIN) + "1\n" * (10 * MEGABYTE))
    with pytest.raises(DataError, match="line 24: expected 785 columns, got 1"):
        read_csv(tmp_path / "d.csv")


# threads and processes


def read_again_and_again(path, stop):
    while not stop.is_set():
        read_csv(path)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("kind", ["csv", "arff", "parquet"])
def test_a_fork_beside_a_thread_that_reads_does_not_hang(tmp_path, kind):
    path = tmp_path / f"d.{kind}"
    content = {
        "csv": lambda: (header() + rows(*random_set(200))).encode(),
        "arff": lambda: arff(*random_set(200)).encode(),
        "parquet": lambda: hugging_face(*random_set(200)),
    }[kind]()
    path.write_bytes(content)
    code = f"""
import os, signal, threading, warnings
warnings.simplefilter("ignore")  # newer Pythons warn of any fork beside a thread
from tinygrad_mnist.datasets import load_mnist
path = {str(path)!r}
load_mnist(path)
stop = threading.Event()
def read():
    while not stop.is_set():
        load_mnist(path)
threads = [threading.Thread(target=read) for _ in range(2)]
for thread in threads:
    thread.start()
for _ in range(15):
    child = os.fork()
    if child == 0:
        signal.alarm(20)  # ends a child that hangs
        load_mnist(path)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0, "the child hangs"
stop.set()
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=400)


def test_tables_read_in_threads_leave_no_filter_of_warnings(tmp_path):
    path, before = tmp_path / "d.csv", list(warnings.filters)
    path.write_text(header() + rows(*random_set(200)))
    expected = read_csv(path)[0]
    right = []

    def read():
        right.extend(np.array_equal(read_csv(path)[0], expected) for _ in range(5))

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert warnings.filters == before
    assert right == [True] * 20


def test_importing_the_readers_imports_no_library_of_theirs():
    code = (
        "import sys, tinygrad_mnist, tinygrad_mnist.datasets\n"
        "found = {name.split('.')[0] for name in sys.modules}\n"
        "assert not found & {'pyarrow', 'PIL', 'matplotlib', 'pandas', 'scipy', 'ssl'}, found"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
