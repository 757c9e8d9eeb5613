"""List the files in a folder or a zip archive, those in the outermost folders first."""

import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from ..errors import DataError
from .detect import is_picture_name
from .files import File, from_disk, limit_of
from .names import is_own

__all__ = ["by_depth", "list_folder", "open_archive"]

_DEPTH = 5  # how many levels of folders to search below the given one
_MOST = 1_000_000  # the most files to list, because EMNIST as pictures has 814,255


def _is_junk(path: str) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in path.split("/"))


def list_folder(folder: Path) -> Iterator[list[File]]:
    """Yield the files directly in a folder, then those one folder deeper, and so on.

    Raises
    ------
    DataError
        If the folder cannot be read, or holds too many files.
    """
    level, count = [""], 0
    for _ in range(_DEPTH):
        files, deeper = [], []
        for inner in level:
            for entry in _entries(folder, inner):
                name = f"{inner}/{entry.name}" if inner else entry.name
                if entry.is_dir():
                    deeper.append(name)
                elif entry.is_file():
                    files.append(from_disk(folder / name, name, _promises_digits(name)))
        count += len(files)
        if count > _MOST:
            raise DataError(
                f"{folder}: expected a folder of data, got one of more than {_MOST:,} files: pass a"
                " folder inside it"
            )
        yield files
        level = deeper


def _entries(folder: Path, inner: str) -> list["os.DirEntry[str]"]:
    """Return what is in a folder, sorted by name, without the junk that systems put there."""
    try:
        with os.scandir(folder / inner) as entries:
            found = [entry for entry in entries if not _is_junk(entry.name)]
    except OSError as error:
        if inner:
            return []
        raise DataError(f"{folder}: expected a folder to read: {error}") from error
    return sorted(found, key=lambda entry: entry.name)


def _promises_digits(name: str) -> bool:
    return not is_picture_name(name) and is_own(name)


def by_depth(files: list[File]) -> Iterator[list[File]]:
    """Yield the files of an archive level by level, as `list_folder` does for a folder."""
    deepest = max((file.name.count("/") for file in files), default=0)
    for depth in range(deepest + 1):
        yield [file for file in files if file.name.count("/") == depth]


@contextmanager
def open_archive(file: File) -> Iterator[list[File]]:
    """Open a zip archive and yield the files in it. An npz file is a zip archive, too.

    Raises
    ------
    DataError
        If the archive is damaged. A member that is encrypted, expands too far or is compressed in
        an unusual way is an error when it is opened.
    """
    with file.random_access() as stream:
        try:
            archive = zipfile.ZipFile(stream)
            members = [info for info in archive.infolist() if not info.is_dir()]
        except Exception as error:  # zipfile raises a dozen kinds for damaged bytes
            raise DataError(
                f"{file.place}: expected a zip archive, got one that is damaged: {error}"
            ) from error
        with archive:
            names = [info.filename.replace("\\", "/") for info in members]
            yield [
                _member(file, archive, info, name)
                for info, name in zip(members, names, strict=True)
                if not _is_junk(name)
            ]


def _member(file: File, archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str) -> File:
    place = f"{file.place}: {name.removesuffix('.npy')}"  # as np.load names the arrays of an npz
    # A gzipped file inside an archive is compressed twice, but its limit must not grow twice.
    limit = min(limit_of(info.compress_size), file.limit)

    def open_member() -> IO[bytes]:
        if info.flag_bits & 1:
            raise DataError(f"{place}: expected a file without a password, got an encrypted one")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            # zipfile would decompress these a whole block at a time, however large the block gets.
            raise DataError(
                f"{place}: expected a member that is stored or deflated, got one compressed by"
                f" method {info.compress_type}, such as bzip2: pack the archive again"
            )
        if info.file_size > limit:
            raise DataError(
                f"{place}: expected at most {limit:,} bytes, got {info.compress_size:,}"
                f" that expand to {info.file_size:,}"
            )
        try:
            return archive.open(info)
        except Exception as error:  # zipfile raises a dozen kinds for damaged bytes
            raise DataError(
                f"{place}: expected a whole member of an archive, got a damaged one: {error}"
            ) from error

    digits = file.digits if name.endswith(".npy") else _promises_digits(name)
    return File(place, name, info.compress_size, limit, open_member, digits)
