"""Nothing is wrong in silence: what can be read in two ways is decided by evidence, or said."""

import warnings

import numpy as np
import pytest
from made_files import (
    PIXEL_NAMES,
    arff,
    csv,
    flat,
    header,
    idx,
    npy,
    npz,
    npz_bytes,
    openml_parquet,
    random_set,
    rows,
    write_pair,
    zipped,
)

from tinygrad_mnist import DataError
from tinygrad_mnist.datasets import load_mnist, read_csv

TRAIN, TEST = random_set(23, 1), random_set(12, 2)


def blank_corners(count, seed=0):
    """Images like those of MNIST: nothing on the border."""
    images, labels = random_set(count, seed)
    images[:, [0, -1], :] = 0
    images[:, :, [0, -1]] = 0
    return images, labels


def read(tmp_path, text, **options):
    path = tmp_path / "digits.csv"
    path.write_text(text)
    return read_csv(path, **options)


# where the label stands in a table without a header


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("make", [random_set, blank_corners])
@pytest.mark.parametrize("count", [2, 5, 40])
def test_the_label_is_found_first_or_last(tmp_path, last, make, count):
    images, labels = make(count, 7)
    found = read(tmp_path, rows(images, labels, last=last))
    np.testing.assert_array_equal(found[0], images)
    np.testing.assert_array_equal(found[1], labels)


@pytest.mark.parametrize("last", [False, True])
def test_a_table_sorted_by_class_is_not_shifted(tmp_path, last):
    images, labels = blank_corners(50)
    order = np.argsort(labels, kind="stable")
    found = read(tmp_path, rows(images[order], labels[order], last=last))
    np.testing.assert_array_equal(found[0], images[order])
    np.testing.assert_array_equal(found[1], labels[order])


def test_letters_are_found_beside_blank_corners(tmp_path):
    images, _ = blank_corners(62)
    found = read(tmp_path, rows(images, np.arange(62), last=True))
    np.testing.assert_array_equal(found[1], np.arange(62))
    np.testing.assert_array_equal(found[0], images)


def test_one_class_alone_is_found(tmp_path):
    images, _ = random_set(12)
    found = read(tmp_path, rows(images, np.full(12, 3)))
    np.testing.assert_array_equal(found[0], images)
    np.testing.assert_array_equal(found[1], np.full(12, 3))


def test_a_label_that_may_stand_at_either_end_is_said(tmp_path):
    images, _ = blank_corners(3)
    with pytest.warns(UserWarning, match="first column or the last; the first is taken"):
        found = read(tmp_path, rows(images, [0, 0, 0]))
    np.testing.assert_array_equal(found[0], images)
    images[:, 0, 0] = [30, 0, 2]
    images[:, -1, -1] = [0, 3, 9]
    with pytest.warns(UserWarning, match="the last is taken: .* header"):
        read(tmp_path, rows(images, [2, 5, 8], last=True))


def test_columns_that_are_no_labels_are_refused(tmp_path):
    images, _ = random_set(20)
    with pytest.raises(
        DataError, match=r"label in the first or the last column, got numbers up to"
    ):
        read(tmp_path, rows(images, np.arange(20) * 10))


def test_the_caller_may_say_where_the_label_stands(tmp_path):
    images, labels = blank_corners(4)
    text = rows(images, labels, last=True)
    np.testing.assert_array_equal(read(tmp_path, text, label_first=False)[1], labels)
    np.testing.assert_array_equal(read(tmp_path, text, label_first=True)[1], [0, 0, 0, 0])


def test_a_pair_of_tables_is_judged_together(tmp_path):
    train = random_set(23, 1)
    test = blank_corners(12)[0], np.zeros(12, int)  # alone, its label may stand at either end
    write_pair(tmp_path, train, test, "mnist_{}.csv", lambda x, y: rows(x, y, last=True))
    data = load_mnist(tmp_path)
    np.testing.assert_array_equal(data.test.images, test[0])
    np.testing.assert_array_equal(data.test.labels, test[1])


def test_tables_of_which_one_has_its_label_first_and_one_last_are_refused(tmp_path):
    (tmp_path / "mnist_train.csv").write_text(rows(*TRAIN))
    (tmp_path / "mnist_test.csv").write_text(rows(*TEST, last=True))
    with pytest.raises(DataError, match="label in the first or the last column"):
        load_mnist(tmp_path)


# the order of the columns


@pytest.mark.parametrize("where", [0, 300, 784])
@pytest.mark.parametrize("label", ["label", "Class", '"target"', " y ", "Labels"])
def test_a_named_label_stands_anywhere(tmp_path, where, label):
    images, labels = TRAIN
    table = np.insert(flat(images), where, labels, axis=1)
    names = list(PIXEL_NAMES)
    names.insert(where, label)
    text = "\n".join([",".join(names), *(",".join(map(str, row)) for row in table.tolist())])
    found = read(tmp_path, text)
    np.testing.assert_array_equal(found[0], images)
    np.testing.assert_array_equal(found[1], labels)


@pytest.mark.parametrize(
    "name",
    ["pixel{}", "{}", "p_{}_of_784", "28x28_{}", "pixel {}"],
)
@pytest.mark.parametrize("start", [0, 1])
def test_numbered_pixels_are_put_in_their_order(tmp_path, name, start):
    images, labels = TRAIN
    order = np.random.default_rng(5).permutation(784)
    names = [name.format(i + start) for i in order]
    found = read(tmp_path, header(names=names) + rows(flat(images)[:, order], labels))
    np.testing.assert_array_equal(found[0], images)
    np.testing.assert_array_equal(found[1], labels)


def test_pixels_named_by_row_and_column_are_put_in_their_order(tmp_path):
    images, _ = TRAIN
    order = np.random.default_rng(6).permutation(784)
    names = [f"r{i // 28}c{i % 28}" for i in order]
    found = read(tmp_path, ",".join(names) + "\n" + rows(flat(images)[:, order]))
    np.testing.assert_array_equal(found[0], images)
    assert found[1] is None


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ([f"{j}x{i}" for i in range(28) for j in range(28)], "images may be transposed"),
        (["a1"] * 784, "say their order"),
        ([f"pixel{i // 2}" for i in range(784)], "say their order"),
        ([*(f"pixel{i}" for i in range(783)), "mean"], "say their order"),
        ([f"{i}x{j}" for i in range(14) for j in range(56)], "say their order"),
    ],
)
def test_names_that_leave_the_order_open_are_refused(tmp_path, names, words):
    with pytest.raises(DataError, match=f"digits.csv: line 1: .*{words}"):
        read(tmp_path, header(names=names) + rows(*TRAIN))


def test_an_arff_file_whose_class_comes_first(tmp_path):
    (tmp_path / "mnist_784.arff").write_text(arff(*random_set(70), first=True))
    data = load_mnist(tmp_path)
    assert np.bincount(data.test.labels).tolist() == [1] * 10
    np.testing.assert_array_equal(data.train.images[0], random_set(70)[0][0])


def test_parquet_columns_in_another_order(tmp_path):
    import io

    import pyarrow.parquet as pq

    table = pq.read_table(io.BytesIO(openml_parquet(*random_set(70))))
    order = np.random.default_rng(8).permutation(785).tolist()
    pq.write_table(table.select(order), tmp_path / "dataset.pq")
    data = load_mnist(tmp_path)
    np.testing.assert_array_equal(data.train.images[0], random_set(70)[0][0])
    assert np.bincount(data.test.labels).tolist() == [1] * 10


# labels


def zip_the_folder(folder, name):
    content = zipped(folder)
    for path in folder.iterdir():
        path.unlink()
    (folder / name).write_bytes(content)


@pytest.mark.parametrize(
    ("write", "place"),
    [
        (idx, "train-labels-idx1-ubyte: position 9, byte 17"),
        (
            lambda *a: idx(*a) or zip_the_folder(a[0], "some.zip"),
            "some.zip: train-labels-idx1-ubyte: position 9, byte 17",
        ),
        (
            lambda *a: npz(*a) or zip_the_folder(a[0], "some.zip"),
            "some.zip: mnist.npz: y_train: position 9 of the train labels",
        ),
        (npz, "position 9 of the train labels"),
        (csv(), "mnist_train.csv: line 10"),
        (csv(head=header()), "mnist_train.csv: line 11"),
        (
            lambda *a: write_pair(*a, "mnist_{}.arff", arff),
            "mnist_train.arff: line 799",
        ),
        (
            lambda *a: write_pair(*a, "mnist_{}.parquet", openml_parquet),
            "position 9 of the train labels",
        ),
    ],
)
def test_a_label_above_9_under_mnists_own_names_is_an_error(tmp_path, write, place):
    write(tmp_path, (TRAIN[0], TRAIN[1] + 1), TEST)
    with pytest.raises(DataError, match=f"{place}: expected a label from 0 to 9, got 10"):
        load_mnist(tmp_path)


@pytest.mark.parametrize(
    "write",
    [
        lambda *a: idx(*a, "k49-{}-{}-idx{}-ubyte"),
        lambda *a: npz(*a, "letters.npz"),
        npy,
        csv("letters_{}.csv"),
        csv("mnist_letters_{}.csv"),
        lambda *a: write_pair(*a, "emnist_{}.arff", arff),
        lambda *a: write_pair(*a, "{}.parquet", openml_parquet),
    ],
)
def test_a_label_above_9_under_another_name_loads(tmp_path, write):
    write(tmp_path, (TRAIN[0], TRAIN[1] + 39), TEST)
    data = load_mnist(tmp_path)
    np.testing.assert_array_equal(data.train.labels, TRAIN[1] + 39)
    assert data.num_classes == 49


def test_read_csv_holds_to_the_same_rule(tmp_path):
    for name in ("mnist_train.csv", "letters.csv"):
        (tmp_path / name).write_text(header() + rows(TRAIN[0], TRAIN[1] + 10))
    assert read_csv(tmp_path / "letters.csv")[1].max() == 19
    with pytest.raises(DataError, match="line 2: expected a label from 0 to 9, got 10"):
        read_csv(tmp_path / "mnist_train.csv")


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (np.array([0.5] * 23), "position 0: expected a whole number from 0 to 65535, got 0.5"),
        (np.array([0] * 22 + [-1]), "position 22: expected a whole number .* got -1"),
        (np.array([np.nan] * 23), "got nan"),
        (np.array([0] * 22 + [70000]), "got 70000"),
        (np.eye(23), r"shape \(N,\), got \(23, 23\), float64: .*argmax"),
        (np.array(["7"] * 23), "expected numbers, got <U1"),
        (np.zeros(22), r"as many as images, got \(22,\), \(23, 28, 28\)"),
    ],
)
def test_labels_that_are_none_are_refused(tmp_path, labels, words):
    npy(tmp_path, (TRAIN[0], labels), TEST)
    with pytest.raises(DataError, match=words):
        load_mnist(tmp_path)


# pixels


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (TRAIN[0] // 128, "train images: expected pixels from 0 to 255, got 0 and 1 alone"),
        (TRAIN[0] * 0, "train images: expected pixels from 0 to 255, got 0 alone"),
    ],
)
@pytest.mark.parametrize("write", [idx, npz, npy, csv(head=header())])
def test_pixels_of_0_and_1_are_said(tmp_path, images, words, write):
    write(tmp_path, (images, TRAIN[1]), TEST)
    with pytest.warns(UserWarning, match=words):
        data = load_mnist(tmp_path)
    np.testing.assert_array_equal(data.train.images, images)


def test_read_csv_says_so_too(tmp_path):
    with pytest.warns(UserWarning, match="digits.csv: .* 0 and 1 alone"):
        read(tmp_path, header() + rows(TRAIN[0] // 128, TRAIN[1]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read(tmp_path, header() + rows(TRAIN[0] // 100, TRAIN[1]))


def test_the_warning_names_the_callers_line(tmp_path):
    idx(tmp_path, (TRAIN[0] * 0, TRAIN[1]), TEST)
    with pytest.warns(UserWarning, match="0 alone") as caught:
        load_mnist(tmp_path)
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda a: a / 255, "position 0, 0, 0: expected a whole number from 0 to 255, got 0.4"),
        (lambda a: a / 255, "multiply pixels from 0 to 1 by 255"),
        (lambda a: a.astype(int) * 2, "expected a whole number from 0 to 255, got"),
        (lambda a: a.astype(np.int8), "expected a whole number from 0 to 255, got -"),
        (lambda a: a.astype(complex), "expected numbers, got complex128"),
        (lambda a: a[:, :20, :20], r"\(N, 28, 28\), N > 0, uint8, got \(23, 20, 20\)"),
        (lambda a: a[:0], r"N > 0, uint8, got \(0, 28, 28\)"),
        (lambda a: np.stack([a] * 3, -1), r"got \(23, 28, 28, 3\)"),
        (lambda a: a.reshape(23, 784).T, r"got \(784, 23\)"),
    ],
)
def test_images_that_are_none_are_refused(tmp_path, change, words):
    npy(tmp_path, (change(TRAIN[0]), TRAIN[1]), TEST)
    with pytest.raises(DataError, match=words):
        load_mnist(tmp_path)


@pytest.mark.parametrize("dtype", ["<i2", ">i4", "<f2", ">f8", "uint64", "bool"])
def test_whole_pixels_of_any_dtype_load(tmp_path, dtype):
    images = (TRAIN[0] // 128 if dtype == "bool" else TRAIN[0]).astype(dtype)
    (tmp_path / "d.npz").write_bytes(
        npz_bytes(x_train=images, y_train=TRAIN[1], x_test=TEST[0], y_test=TEST[1])
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore" if dtype == "bool" else "error")
        data = load_mnist(tmp_path / "d.npz")
    np.testing.assert_array_equal(data.train.images, images.astype(np.uint8))
