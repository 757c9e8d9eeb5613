"""A file to read: on disk, in memory or inside a zip archive, gzipped or not."""

import gzip
import io
import os
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from ..arrays import Array
from ..errors import DataError

__all__ = ["GZIP", "File", "expand_home", "from_bytes", "from_disk", "limit_of", "read_into"]

GZIP = b"\x1f\x8b"

# A file may expand to 100 times the bytes that it takes where it is stored. Real sets expand to 5
# to 20 times. Small ones may expand further, up to 64 MB, because a set of blank images does.
# Nothing expands to more than gzip's own limit, 1032 times.
_EXPANSION, _FLOOR, _GZIP_LIMIT = 100, 1 << 26, 1032
_BLOCK = 1 << 20


@dataclass(frozen=True)
class File:
    """One file: how to open it, and what else the readers need to know about it."""

    place: str
    """What messages call it, for example `/home/me/mnist.zip: train.csv`."""
    name: str
    """Its path inside the folder or the archive that is searched, with `/`."""
    stored: int
    """How many bytes it takes where it is stored: compressed ones, inside a zip archive."""
    limit: int
    """How many bytes its content may expand to."""
    raw: Callable[[], IO[bytes]]
    """Opens the file as it is stored, without decompressing it."""
    digits: bool = False
    """Whether it has one of MNIST's own names. Then a label above 9 is an error."""

    @contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        """Open the content, decompressed if it is gzipped.

        Raises
        ------
        DataError
            If the file cannot be opened or read to its end, or expands past `limit`.
        """
        try:
            with self.raw() as stream:
                if not self._is_gzipped(stream):
                    yield stream
                    return
                with gzip.GzipFile(fileobj=stream) as content:
                    yield io.BufferedReader(_Bounded(content, self), 1 << 16)
        except (OSError, EOFError, zlib.error, zipfile.BadZipFile) as error:
            raise DataError(
                f"{self.place}: expected a whole file, got one that is missing, breaks off or"
                f" is damaged: {error}"
            ) from error

    @contextmanager
    def random_access(self) -> Iterator[IO[bytes]]:
        """Open the content as `open` does, with cheap seeking. This may load it into memory."""
        with self.open() as stream:
            cheap = stream.seekable() and not isinstance(stream, zipfile.ZipExtFile)
            yield stream if cheap else io.BytesIO(stream.read())

    def _is_gzipped(self, stream: IO[bytes]) -> bool:
        start = stream.read(len(GZIP))
        stream.seek(0)
        return start == GZIP

    def head(self, count: int) -> bytes:
        """Return the first `count` bytes of the content, or all of it if it is shorter."""
        with self.open() as stream:
            return stream.read(count)


def limit_of(stored: int) -> int:
    """Return how many bytes a file of `stored` bytes may expand to."""
    return min(_GZIP_LIMIT * stored, max(_FLOOR, _EXPANSION * stored))


class _Bounded(io.RawIOBase):
    """A decompressed stream that raises an error if the file expands beyond its limit."""

    def __init__(self, stream: gzip.GzipFile, file: File) -> None:
        self._stream, self._file, self._left = stream, file, file.limit

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "bytearray | memoryview") -> int:  # type: ignore[override]
        try:
            content = self._stream.read(min(len(buffer), _BLOCK))
        except gzip.BadGzipFile as error:
            if str(error).startswith("Not a gzipped file"):  # bytes after the end of the gzip data
                raise DataError(
                    f"{self._file.place}: expected a gzip file, got one with trailing bytes"
                ) from error
            raise
        self._left -= len(content)
        if self._left < 0:
            raise DataError(
                f"{self._file.place}: expected at most {self._file.limit:,} bytes, got a file of"
                f" {self._file.stored:,} bytes that expands to more"
            )
        buffer[: len(content)] = content
        return len(content)


def expand_home(path: Path) -> Path:
    """Replace `~` by the home folder. Raise DataError if the user does not have one."""
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise DataError(f"{path}: expected a path, got one of a user without a home") from error


def from_disk(path: Path, name: str = "", digits: bool = False) -> File:
    """Return a file on disk. Raise DataError if it does not exist or is not a regular file."""
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: expected a file, got nothing there: {error}") from error
    if not stat.S_ISREG(status.st_mode):
        raise DataError(f"{path}: expected a file, got a folder, a pipe or a device")
    size = status.st_size
    return File(
        str(path), name or path.name, size, limit_of(size), lambda: open(path, "rb"), digits
    )


def from_bytes(content: bytes, name: str, digits: bool = False) -> File:
    """Return a file whose content is already in memory."""
    limit = limit_of(len(content))
    return File(name, name, len(content), limit, lambda: io.BytesIO(content), digits)


def read_into(stream: IO[bytes], array: Array) -> int:
    """Fill a contiguous array from the stream, and return how many bytes were read."""
    view = array.reshape(-1).view(np.uint8).data
    filled = 0
    while filled < len(view):
        block = stream.read(min(len(view) - filled, _BLOCK))
        if not block:
            break
        view[filled : filled + len(block)] = block
        filled += len(block)
    return filled
