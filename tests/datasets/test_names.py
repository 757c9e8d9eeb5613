"""What the names of files say, and what their content says."""

import pytest

from tinygrad_mnist.datasets.names import is_own, is_relative, parse


@pytest.mark.parametrize(
    ("name", "template", "part", "role"),
    [
        ("train-images-idx3-ubyte", "PART-ROLE-idx-ubyte", "train", "images"),
        ("a/b/t10k-labels.idx1-ubyte.gz", "PART-ROLE.idx-ubyte.gz", "test", "labels"),
        ("qmnist-test-labels-idx2-int", "qmnist-PART-ROLE-idx-ubyte", "test", "labels"),
        ("x_train.npy", "XY_PART.npy", "train", "images"),
        ("Y_Test.npy", "XY_PART.npy", "test", "labels"),
        ("xtrain.npy", "XY_PART.npy", "train", "images"),
        ("testy.npy", "PART_XY.npy", "test", "labels"),
        ("trainImages.npy", "PART_ROLE.npy", "train", "images"),
        ("kmnist-test-imgs.npz", "kmnist-PART-ROLE.npz", "test", "images"),
        ("validation_labels.npy", "PART_ROLE.npy", "validation", "labels"),
        ("target.npy", "ROLE.npy", "", "labels"),
        ("contest.npy", "contest.npy", "", ""),
        ("x_train_test.npy", "XY_train_test.npy", "", "images"),
    ],
)
def test_names_are_taken_apart(name, template, part, role):
    found = parse(name, roles=True)
    assert (found.template, found.part, found.role) == (template, part, role)


def test_shards_are_counted():
    found = parse("data/train-00001-of-00003-0a1b2c3d4e5f6789.parquet", roles=False)
    assert (found.template, found.shard) == ("PART-SHARD.parquet", (1, 3))


@pytest.mark.parametrize(
    "name",
    [
        "train-images-idx3-ubyte", "t10k-labels.idx1-ubyte.gz", "mnist.npz", "MNIST.npz", "mnist_train.csv", "mnist_test.csv.gz",
        "mnist_train_small.csv", "mnist_784.arff", "mnist.csv", "mnist-train-images.npy", "mnist_784.parquet",
    ],
)  # fmt: skip
def test_mnists_own_names(name):
    assert is_own(name)


@pytest.mark.parametrize(
    "name",
    [
        "emnist-mnist-train-images-idx3-ubyte", "fashion-mnist_train.csv", "kmnist.npz", "mnist_letters.csv", "train.csv", "letters.npz",
        "emnist-letters-train-labels-idx1-ubyte.gz", "qmnist-train-labels-idx2-int", "notmnist.npz", "mnist_c.npz", "mnist_rotated.npz",
    ],
)  # fmt: skip
def test_names_of_relatives(name):
    assert not is_own(name)


def test_folders_of_relatives():
    for path in (
        "data/FashionMNIST/raw",
        "KMNIST",
        "fashion-mnist",
        "EMNIST/raw",
        "notMNIST_small",
    ):
        assert is_relative(path)
    for path in ("MNIST/raw", "tinygrad_mnist", "my_mnist", "mnist_png", "data/mnist"):
        assert not is_relative(path)
