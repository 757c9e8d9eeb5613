"""Writes the same images in every layout in which MNIST and its relatives circulate."""

import gzip
import io
import struct
import zipfile
from pathlib import Path

import numpy as np
from helpers import write_idx

PIXEL_NAMES = [f"{i}x{j}" for i in range(1, 29) for j in range(1, 29)]


def random_set(count, seed=0, classes=10):
    """Random images, and labels that have each class at least twice as far as `count` goes."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (count, 28, 28)).astype(np.uint8)
    return images, np.arange(count) % classes


def flat(images):
    return images.reshape(len(images), 784)


def rows(images, labels=None, *, last=False, separator=",", decimals="", index=False, end="\n"):
    """Lines of a table, with the label first or last."""
    lines = []
    for i, image in enumerate(flat(images).tolist()):
        cells = [f"{pixel}{decimals}" for pixel in image]
        if labels is not None:
            cells.insert(len(cells) if last else 0, f"{int(labels[i])}{decimals}")
        if index:
            cells.insert(0, str(i))
        lines.append(separator.join(cells) + end)
    return "".join(lines)


def header(*, last=False, separator=",", index=False, names=PIXEL_NAMES, label="label"):
    cells = [*names, label] if last else [label, *names]
    return separator.join([""] * index + cells) + "\n"


def write_pair(folder, train, test, name, text):
    """Write a file for each part; `text` makes its content of images and labels."""
    for part, chosen in (("train", train), ("test", test)):
        content = text(*chosen)
        path = folder / name.format(part)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


def idx(folder, train, test, name="{}-{}-idx{}-ubyte", test_word="t10k"):
    for part, (images, labels) in (("train", train), (test_word, test)):
        for role, ndim, array in (("images", 3, images), ("labels", 1, labels)):
            path = folder / name.format(part, role, ndim)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_idx(path, array)


def kaggle_folders(folder, train, test):
    idx(folder, train, test, "{0}-{1}-idx{2}-ubyte/{0}-{1}-idx{2}-ubyte")


def qmnist_labels(labels):
    """IDX of 8 columns of big-endian int32; the first is the class."""
    table = np.arange(8) * 1000 + np.asarray(labels)[:, None]
    return bytes([0, 0, 0x0C, 2]) + struct.pack(">2I", *table.shape) + table.astype(">i4").tobytes()


def qmnist(folder, train, test):
    for part, (images, labels) in (("train", train), ("test", test)):
        write_idx(folder / f"qmnist-{part}-images-idx3-ubyte", images)
        (folder / f"qmnist-{part}-labels-idx2-int").write_bytes(qmnist_labels(labels))


def arrays(train, test, names=("x_train", "y_train", "x_test", "y_test")):
    return dict(zip(names, (*train, *test), strict=True))


def npz(folder, train, test, name="mnist.npz", save=np.savez, **names):
    # Keras' own file: images and labels of uint8, in a zip file without compression
    named = arrays(train, test, **names)
    save(folder / name, **{key: value.astype(np.uint8) for key, value in named.items()})


def kmnist_npz(folder, train, test):
    for part, (images, labels) in (("train", train), ("test", test)):
        np.savez_compressed(folder / f"kmnist-{part}-imgs.npz", images)
        np.savez_compressed(folder / f"kmnist-{part}-labels.npz", labels.astype(np.uint8))


def npy(folder, train, test, change=lambda a: a, **names):
    for name, array in arrays(train, test, **names).items():
        np.save(folder / f"{name}.npy", change(array))


def csv(name="mnist_{}.csv", head=None, pack=lambda text: text, **how):
    def write(folder, train, test):
        write_pair(folder, train, test, name, lambda x, y: pack((head or "") + rows(x, y, **how)))

    return write


def quoted(text):
    return "".join(
        ",".join(f'"{cell}"' for cell in line.split(",")) + "\n" for line in text.splitlines()
    )


def by_columns_in_another_order(images, labels):
    """A table whose columns, label and pixels, stand in a random order that the header tells."""
    order = np.random.default_rng(1).permutation(785)
    names = np.array(["label", *(f"pixel{i}" for i in range(784))])[order]
    table = np.c_[labels, flat(images)][:, order]
    return "\n".join([",".join(names), *(",".join(map(str, row)) for row in table.tolist())])


def digit_recognizer(folder, train, test):
    names = [f"pixel{i}" for i in range(784)]
    (folder / "train.csv").write_text(header(names=names) + rows(*train))
    (folder / "test.csv").write_text(",".join(names) + "\n" + rows(test[0]))
    (folder / "sample_submission.csv").write_text("ImageId,Label\n1,0\n2,0\n")


def arff(images, labels, *, first=False, quote="", nominal=True):
    pixels = [f"@ATTRIBUTE pixel{i} real" for i in range(1, 785)]
    values = "{" + ",".join(f"{quote}{i}{quote}" for i in range(64)) + "}" if nominal else "integer"
    label = [f"@ATTRIBUTE class {values}"]
    attributes = "\n".join(label + pixels if first else pixels + label)
    table = rows(images, labels, last=not first)
    if quote:
        table = "".join(
            line.rpartition(",")[0] + f",{quote}{line.rpartition(',')[2]}{quote}\n"
            for line in table.splitlines()
        )
    return f"% a comment\n@RELATION mnist_784\n\n{attributes}\n@DATA\n{table}"


def png(image, kind="PNG"):
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(image).save(stream, kind)
    return stream.getvalue()


def hugging_face(images, labels, class_names=None, column=("image", "label")):
    """A table as Hugging Face's library writes it: PNG files in a struct, and the class."""
    import json

    import pyarrow as pa
    import pyarrow.parquet as pq

    pictures = [{"bytes": png(image), "path": None} for image in images]
    kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    names = class_names or [str(i) for i in range(10)]
    features = {
        column[0]: {"_type": "Image"},
        column[1]: {"names": names, "_type": "ClassLabel"},
    }
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    table = pa.table(
        {column[0]: pa.array(pictures, kind), column[1]: pa.array(labels.tolist(), pa.int64())}
    ).replace_schema_metadata(metadata)
    stream = io.BytesIO()
    pq.write_table(table, stream)
    return stream.getvalue()


def openml_parquet(images, labels, dtype="uint8", classes="dictionary"):
    """A table as OpenML packs mnist_784: 784 columns of pixels, and the class as a category."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {f"pixel{i + 1}": flat(images)[:, i].astype(dtype) for i in range(784)}
    words = pa.array([str(label) for label in labels])
    columns["class"] = words.dictionary_encode() if classes == "dictionary" else labels
    stream = io.BytesIO()
    pq.write_table(pa.table(columns), stream)
    return stream.getvalue()


def shards(folder, train, test):
    half = len(train[1]) // 2
    (folder / "train-00000-of-00002.parquet").write_bytes(hugging_face(*(a[:half] for a in train)))
    (folder / "train-00001-of-00002.parquet").write_bytes(hugging_face(*(a[half:] for a in train)))
    (folder / "test-00000-of-00001.parquet").write_bytes(hugging_face(*test))


def pictures(folder, train, test, parts=("training/{}", "testing/{}"), names=None):
    """A folder of PNG files for each class, as in mnist_png."""
    for where, (images, labels) in zip(parts, (train, test), strict=True):
        for i, (image, label) in enumerate(zip(images, labels, strict=True)):
            path = folder / where.format(names[label] if names else label) / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(png(image))


def zipped(folder, inside=""):
    """A zip archive of everything in a folder, below `inside`, with a Mac's additions."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(Path(folder).rglob("*")):
            if path.is_file():
                archive.write(path, f"{inside}{path.relative_to(folder).as_posix()}")
        archive.writestr("__MACOSX/._mnist.csv", b"\0\5\x16\7")
    return stream.getvalue()


def packed(text):
    return gzip.compress(text.encode())


# name: (what writes it, a file of the set)
PAIRS = {
    "IDX": (idx, "train-images-idx3-ubyte"),
    "IDX, gzipped": (
        lambda *a: idx(*a, "{}-{}-idx{}-ubyte.gz"),
        "t10k-labels-idx1-ubyte.gz",
    ),
    "IDX with dots": (lambda *a: idx(*a, "{}-{}.idx{}-ubyte"), "train-labels.idx1-ubyte"),
    "EMNIST": (
        lambda *a: idx(*a, "emnist-digits-{}-{}-idx{}-ubyte", "test"),
        "emnist-digits-test-images-idx3-ubyte",
    ),
    "EMNIST, gzipped": (
        lambda *a: idx(*a, "emnist-letters-{}-{}-idx{}-ubyte.gz", "test"),
        "emnist-letters-train-images-idx3-ubyte.gz",
    ),
    "Fashion with a prefix": (
        lambda *a: idx(*a, "fashion-{}-{}-idx{}-ubyte"),
        "fashion-t10k-labels-idx1-ubyte",
    ),
    "QMNIST": (qmnist, "qmnist-train-labels-idx2-int"),
    "torchvision": (
        lambda *a: idx(*a, "MNIST/raw/{}-{}-idx{}-ubyte"),
        "MNIST/raw/t10k-images-idx3-ubyte",
    ),
    "Kaggle's folders": (
        kaggle_folders,
        "train-images-idx3-ubyte/train-images-idx3-ubyte",
    ),
    "npz": (npz, "mnist.npz"),
    "npz, compressed": (lambda *a: npz(*a, save=np.savez_compressed), "mnist.npz"),
    "npz with other names": (
        lambda *a: npz(
            *a, "d.npz", names=("train_images", "train_labels", "test_images", "test_labels")
        ),
        "d.npz",
    ),
    "KMNIST's npz": (kmnist_npz, "kmnist-test-imgs.npz"),
    "npy": (npy, "x_train.npy"),
    "npy of floats, flat, with other names": (
        lambda *a: npy(
            *a,
            change=lambda x: x.reshape(len(x), -1).astype(np.float32),
            names=("train_images", "train_labels", "test_images", "test_labels"),
        ),
        "test_labels.npy",
    ),
    "npy with a channel, by columns": (
        lambda *a: npy(
            *a,
            change=lambda x: np.asfortranarray(x[..., np.newaxis].astype(np.int64)),
            names=("X_train", "y_train", "X_test", "y_test"),
        ),
        "X_train.npy",
    ),
    "CSV": (csv(head=header()), "mnist_train.csv"),
    "CSV without header": (csv(), "mnist_test.csv"),
    "CSV without header, label last": (csv(last=True), "mnist_train.csv"),
    "CSV with header, label last": (csv(last=True, head=header(last=True)), "mnist_train.csv"),
    "CSV with header, class last": (
        csv("{}.csv", last=True, head=header(last=True, label="class")),
        "train.csv",
    ),
    "CSV whose columns are in any order": (
        lambda *a: write_pair(*a, "mnist_{}.csv", by_columns_in_another_order),
        "mnist_train.csv",
    ),
    "CSV of pandas, with its index": (csv(index=True, head=header(index=True)), "mnist_test.csv"),
    "CSV of pandas, with numbers for names": (
        csv(head=",".join(map(str, range(785))) + "\n"),
        "mnist_test.csv",
    ),
    "CSV of savetxt": (csv("{}.csv", decimals=".000e+00", head="# " + header()), "train.csv"),
    "CSV with semicolons": (csv(separator=";", head=header(separator=";")), "mnist_train.csv"),
    "CSV with tabs": (csv("mnist_{}.tsv", separator="\t"), "mnist_train.tsv"),
    "CSV with spaces": (csv("mnist_{}.txt", separator=" "), "mnist_train.txt"),
    "CSV with bars": (csv("{}", separator="|", head=header(separator="|")), "test"),
    "CSV with commas and spaces": (csv(separator=", "), "mnist_train.csv"),
    "CSV of floats": (csv(decimals=".0", head=header()), "mnist_train.csv"),
    "CSV with quotes": (csv(head=header(), pack=quoted), "mnist_train.csv"),
    "CSV from Windows": (csv(end="\r\n", head=header()), "mnist_train.csv"),
    "CSV from an old Mac": (csv(end="\r", head=header()), "mnist_train.csv"),
    "CSV from a spreadsheet": (
        csv(head=header(), pack=lambda text: "\ufeff" + quoted(text) + "\n\n"),
        "mnist_train.csv",
    ),
    "CSV with quotes and spaces, some of them missing": (
        csv(head=header(), pack=lambda text: text.replace(",", '", "') + "\n  \n"),
        "mnist_train.csv",
    ),
    "CSV in UTF-16": (
        csv(head=header(separator="\t"), separator="\t", pack=lambda text: text.encode("utf-16")),
        "mnist_train.csv",
    ),
    "CSV, gzipped": (csv("mnist_{}.csv.gz", head=header(), pack=packed), "mnist_train.csv.gz"),
    "CSV, gzipped without saying so": (csv("mnist_{}.csv", pack=packed), "mnist_train.csv"),
    "ARFF in two files": (
        lambda *a: write_pair(*a, "mnist_{}.arff", arff),
        "mnist_train.arff",
    ),
    "ARFF, class first": (
        lambda *a: write_pair(*a, "d_{}.arff", lambda x, y: arff(x, y, first=True)),
        "d_train.arff",
    ),
    "Hugging Face": (
        lambda *a: write_pair(*a, "mnist/{}-00000-of-00001.parquet", hugging_face),
        "mnist/train-00000-of-00001.parquet",
    ),
    "Hugging Face, in shards": (shards, "train-00001-of-00002.parquet"),
    "Parquet of pixels": (
        lambda *a: write_pair(*a, "{}.parquet", openml_parquet),
        "train.parquet",
    ),
    "Parquet of floats, gzipped": (
        lambda *a: write_pair(
            *a,
            "{}.pq.gz",
            lambda x, y: gzip.compress(openml_parquet(x, y, "float64", "numbers")),
        ),
        "test.pq.gz",
    ),
}

# one file that is cut
SINGLES = {
    "digits.csv": lambda x, y: (header() + rows(x, y)).encode(),
    "digits_last.csv": lambda x, y: rows(x, y, last=True).encode(),
    "mnist_784.arff": lambda x, y: arff(x, y).encode(),
    "mnist_784.arff.gz": lambda x, y: packed(arff(x, y, quote="'")),
    "mnist_784_first.arff": lambda x, y: arff(x, y, first=True, nominal=False).encode(),
    "dataset_554.pq": openml_parquet,
    "all.parquet": hugging_face,
    "digits.npz": lambda x, y: npz_bytes(images=flat(x), labels=y.astype(float)),
    "sklearn.npz": lambda x, y: npz_bytes(data=flat(x).astype(float), target=y),
}


def npz_bytes(save=np.savez, **named):
    stream = io.BytesIO()
    save(stream, **named)
    return stream.getvalue()


def npy_bytes(array, allow_pickle=False):
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=allow_pickle)
    return stream.getvalue()


def zip_bytes(how=zipfile.ZIP_DEFLATED, **members):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", how) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


__all__ = [name for name in dir() if not name.startswith("_")]
