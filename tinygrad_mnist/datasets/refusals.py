"""Error messages for files that are not data, or that only another library can read."""

from pathlib import PurePath

from ..errors import DataError
from .files import File

__all__ = ["is_refused", "refusal"]

_WORDS = {
    "empty": "an empty file: download it again",
    "blank": "nothing but blank lines: download it again",
    "html": "a web page (HTML) instead of the data: download it again",
    "xml": "an XML document, such as a server sends with an error: download it again",
    "lfs": "a Git LFS pointer instead of the file it points to: run git lfs pull, or download it"
    " again",
    "zip": "a zip archive: unpack it, or give it a name that ends in .zip",
    "bzip2": "a file compressed by bzip2: unpack it with bunzip2",
    "xz": "a file compressed by xz: unpack it with unxz",
    "zstd": "a file compressed by Zstandard: unpack it with unzstd",
    "gzip twice": "a file that was gzipped twice: unpack it once with gunzip",
    "7z": "a 7z archive: unpack it",
    "rar": "a RAR archive: unpack it",
    "tar": "a tar archive: unpack it with tar xf",
    "text": "other text",
    "unknown": "bytes of an unknown format",
    "utf-32": "text in UTF-32: save it as UTF-8",
    "image": "a single picture: pass the folder that has a folder of pictures for each class",
    "pickle": "a pickle, which is refused because it can run any program when it is read",
    "torch": "a PyTorch file, which is refused because it is a pickle, and can run any program when"
    " it is read",
    "mat": "a MATLAB file, which only SciPy can read",
    "hdf5": "an HDF5 file, which only h5py can read",
}

# For each kind that another library reads: two lines of Python that convert it to a known format.
# The names inside such files vary; these are the names in the copies of MNIST that circulate.
_CONVERSIONS = {
    "pickle": (
        "import numpy as np, pickle",
        "np.savez({npz!r}, **pickle.load(open({place!r}, 'rb')))  # if it holds a dict of arrays",
    ),
    "pickle, gzipped": (
        "import gzip, numpy as np, pickle; (x, y), _, (a, b) ="
        " pickle.load(gzip.open({place!r}), encoding='latin1')",
        "np.savez({npz!r}, x_train=(256 * x).round(), y_train=y, x_test=(256 * a).round(),"
        " y_test=b)",
    ),
    "torch": (
        "import torch, numpy as np; (x, y), (a, b) ="
        " torch.load({folder!r} + '/training.pt'), torch.load({folder!r} + '/test.pt')",
        "np.savez({npz!r}, x_train=x, y_train=y, x_test=a, y_test=b)",
    ),
    "mat": (
        "import numpy as np, scipy.io; d = scipy.io.loadmat({place!r})",
        "np.savez({npz!r}, images=d['data'].T, labels=d['label'].ravel())",
    ),
    "mat of emnist": (
        "import numpy as np, scipy.io; d = scipy.io.loadmat({place!r}, simplify_cells=True)",
        "np.savez({npz!r}, **{{f'{{k}}_{{p}}': d['dataset'][p][k] for p in ('train', 'test')"
        " for k in ('images', 'labels')}})",
    ),
    "hdf5": (
        "import h5py, numpy as np; d = h5py.File({place!r})",
        "np.savez({npz!r}, **{{k: d[k][:] for k in ('x_train', 'y_train', 'x_test', 'y_test')}})",
    ),
}


def is_refused(kind: str) -> bool:
    """Return whether a file of this kind is certainly not data that we can read."""
    return kind in _WORDS and kind not in ("text", "unknown")


def refusal(file: File, kind: str) -> DataError:
    """Return the error that says what the file is, and how to convert it."""
    if kind in ("empty", "text", "unknown"):
        return DataError(
            f"{file.place}: expected data, such as a file that ends in ubyte, .npz, .csv or .arff,"
            f" got {_WORDS[kind]}"
        )
    found = f"{file.place}: expected data, got {_WORDS.get(kind, f'a file of the format {kind}')}"
    if kind not in ("pickle", "torch", "mat", "hdf5"):
        return DataError(found)
    return DataError(f"{found}; convert it first:\n{_conversion(file, kind)}")


def _conversion(file: File, kind: str) -> str:
    """Return two lines of Python that write the file's data to an npz file beside it."""
    if kind == "pickle" and file.name.endswith(".gz"):
        kind = "pickle, gzipped"
    if kind == "mat" and "emnist" in file.name.lower():
        kind = "mat of emnist"
    path = PurePath(file.place)
    npz = path.with_name(path.name.split(".", 1)[0] + ".npz")
    return "\n".join(_CONVERSIONS[kind]).format(
        place=path.as_posix(), npz=npz.as_posix(), folder=path.parent.as_posix()
    )
