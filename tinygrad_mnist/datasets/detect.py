"""Find out what kind of file it is from its content."""

import re
import zipfile

from ..errors import DataError
from .files import GZIP, File

__all__ = ["is_picture_name", "kind_of", "separator_of", "text_of"]

_HEAD = 1 << 16  # bytes to look at: a quoted header of 785 names takes 9,000
_WIDE = 300  # a text with this many columns or more is meant as a table of pixels

_SIGNATURES = (
    (b"\x93NUMPY", "npy"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),  # one without members
    (b"PAR1", "parquet"),
    (b"\x89PNG", "image"),
    (b"\xff\xd8\xff", "image"),
    (b"version https://git-lfs", "lfs"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"Rar!", "rar"),
    (b"\x89HDF\r\n", "hdf5"),
    (b"MATLAB 7.3", "hdf5"),
    (b"MATLAB ", "mat"),
    (GZIP, "gzip twice"),
    (b"\xff\xfe\x00\x00", "utf-32"),
)
_IDX = re.compile(rb"\x00\x00[\x08\x09\x0b-\x0e][\x01-\x04]")
_PICKLE = re.compile(rb"\x80[\x02-\x05]|\((?:dp|lp)\d|c(?:numpy|copy_reg|_codecs)")
_REFUSED_ENDINGS = {"pkl": "pickle", "pickle": "pickle", "pt": "torch", "pth": "torch"}
_REFUSED_ENDINGS |= {"mat": "mat", "h5": "hdf5", "hdf5": "hdf5"}
_SEPARATORS = (";", "\t", "|", ",", " ")  # the comma is late because it may be a decimal comma


def is_picture_name(name: str) -> bool:
    """Return whether a file's name has the ending of a picture."""
    return name.lower().endswith((".png", ".jpg", ".jpeg", ".bmp"))


def kind_of(file: File) -> str:
    """Return the kind of the file's content.

    Returns
    -------
    str
        If there is a reader for it: idx, npy, npz, zip, table, arff, parquet or image. If it is
        refused: a key of `refusals`, "text" for other text, "damaged" for a broken gzip file, or
        "unknown".
    """
    try:
        kind = _kind_of_content(file, file.head(_HEAD))
    except DataError:
        return "damaged"
    ending = file.name.lower().removesuffix(".gz").rpartition(".")[2]
    if kind in ("pickle", "text", "unknown"):  # some pickles look like text
        return _REFUSED_ENDINGS.get(ending, kind)
    return kind


def _kind_of_content(file: File, head: bytes) -> str:
    if not head:
        return "empty"
    for signature, kind in _SIGNATURES:
        if head.startswith(signature):
            return _kind_of_zip(file) if kind == "zip" else kind
    if _IDX.match(head):
        return "idx"
    if head[257:262] == b"ustar":
        return "tar"
    if _PICKLE.match(head):
        return "pickle"
    return _kind_of_text(text_of(head))


def text_of(head: bytes) -> str:
    """Decode the start of a text: as UTF-16 if it has that mark, else in a code for any byte."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return head[: len(head) // 2 * 2].decode("utf-16", "replace")
    return head.decode("latin-1").removeprefix("\xef\xbb\xbf")


def _kind_of_zip(file: File) -> str:
    try:
        with file.random_access() as stream, zipfile.ZipFile(stream) as archive:
            names = archive.namelist()
    except Exception:  # zipfile raises a dozen kinds; the reader reports it
        return "zip"
    if any(name.endswith("/data.pkl") for name in names):
        return "torch"
    return "npz" if names and all(name.endswith(".npy") for name in names) else "zip"


def _kind_of_text(text: str) -> str:
    start = text.lstrip()
    if not start:
        return "blank"
    if start.startswith("<"):
        return "html" if re.search("<(?:!doctype )?html", start, re.IGNORECASE) else "xml"
    lines = (line.strip() for line in start.splitlines())
    first = next((line for line in lines if line and not line.startswith("%")), "")
    if re.match("@(?:relation|attribute|data)", first, re.IGNORECASE):
        return "arff"
    if _columns(start.splitlines()[0]) >= _WIDE:
        return "table"
    return "unknown" if "\0" in text else "text"


def _columns(line: str) -> int:
    separator = separator_of(line)
    return len(line.split(separator if separator != " " else None))


def separator_of(line: str) -> str:
    r"""Return the separator of a line's columns: one of `;`, `\t`, `|`, `,`, or a space."""
    many = [separator for separator in _SEPARATORS if line.count(separator) >= _WIDE]
    return many[0] if many else max(_SEPARATORS, key=line.count)
