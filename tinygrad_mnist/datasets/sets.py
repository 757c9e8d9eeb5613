"""Group files by their names: the four IDX files, or the tables for training and testing."""

import os
import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

from ..errors import DataError
from .archives import open_archive
from .detect import kind_of
from .files import GZIP, File
from .names import Name, is_own, is_relative, parse

__all__ = [
    "ARRAYS",
    "PARTS",
    "TABLES",
    "FileSet",
    "Found",
    "canonical_folder",
    "examine",
    "group_files",
]

ARRAYS = ("idx", "npy")
TABLES = ("table", "arff", "parquet")
PARTS = ("train", "test")
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Found:
    """A file, the kind of its content, and what its name says."""

    file: File
    kind: str
    """The result of `detect.kind_of`."""
    name: Name
    is_array: bool
    """Whether it is one array (images or labels), so that other files must complete the set."""

    @property
    def is_data(self) -> bool:
        """Whether the file is data, or at least has a name as data of MNIST have."""
        if self.is_array:
            return bool(self.name.role)
        return self.kind in TABLES or self.kind == "npz" or _promises_data(self.file.name)


def _promises_data(path: str) -> bool:
    name = path.rpartition("/")[2].lower()
    is_table = is_own(name) or name in ("train.csv", "test.csv")
    return parse(name, roles=True).is_idx or (is_table and not name.endswith(".zip"))


def _is_own(path: str) -> bool:
    """Return whether the names of a file and its folders say that it belongs to MNIST itself."""
    folder, _, name = path.rpartition("/")
    is_own_name = is_own(name) or name.lower() in ("train.csv", "test.csv")
    return is_own_name and not is_relative(folder)


def examine(file: File) -> Found:
    """Look at a file's content and name."""
    kind = kind_of(file)
    with_role, whole = parse(file.name, roles=True), parse(file.name, roles=False)
    if kind in ARRAYS:
        return Found(file, kind, with_role, True)
    if kind == "npz":
        with open_archive(file) as members:
            inside = [parse(member.name, roles=True) for member in members]
        if len(inside) == 1 and not inside[0].role:
            return Found(file, kind, with_role, True)
        if any(name.part for name in inside):  # the archive is a complete set
            return Found(file, kind, Name(file.name, "", "", None), False)
    if kind not in TABLES and (with_role.is_idx or file.name.endswith(".npy")):
        return Found(file, kind, with_role, True)
    return Found(file, kind, whole, False)


def canonical_folder(path: str) -> str:
    """Return the folder of a file, without a last folder named like the file, as on Kaggle."""
    folder, _, name = path.rpartition("/")
    outer, _, inner = folder.rpartition("/")
    plain = re.sub(r"[-._]", "-", name.lower())
    same = inner and re.sub(r"[-._]", "-", inner.lower()) in (plain, plain.rpartition("-")[0])
    return outer if same else folder


@dataclass(frozen=True)
class FileSet:
    """Files that should make up one set. Some of them may be missing."""

    members: tuple[Found, ...]

    @property
    def is_array(self) -> bool:
        """Whether images and labels are in separate files."""
        return self.members[0].is_array

    @property
    def is_own(self) -> bool:
        """Whether these files have names of MNIST itself."""
        return any(_is_own(found.file.name) for found in self.members)

    @property
    def title(self) -> str:
        """The file that represents the set in messages."""
        return self.names[0]

    @property
    def names(self) -> list[str]:
        """The names of the files without gzipped copies of others. Training files come first."""
        ordered = sorted(self.members, key=lambda f: (f.name.part != "train", f.file.name))
        names = [found.file.name for found in ordered]
        copies = [f"{name}.gz" for name in names]
        return [name for name in names if name not in copies]

    @property
    def parts(self) -> list[str]:
        """The parts to read: train and test, or one of them, or the only part, such as ""."""
        there = {found.name.part for found in self.members}
        return [part for part in (*PARTS, "") if part in there] or ["validation"]

    @property
    def unread(self) -> list[str]:
        """The names of the members that are not read, because they are for validation."""
        members = (found for found in self.members if found.name.part not in self.parts)
        return [found.file.name for found in members]

    @property
    def is_paired(self) -> bool:
        """Whether the set has all files for training and for testing."""
        return not self.missing() and (self.parts != ["train"] and self.parts != ["test"])

    def missing(self) -> list[str]:
        """Return the names of the missing files. A table is complete without a partner."""
        if not self.is_array:
            return []
        there = {(found.name.part, found.name.role) for found in self.members}
        named = self.parts != [""]
        return [
            self._spell(part, role)
            for part in (PARTS if named else [""])
            for role in ("images", "labels")
            if (part, role) not in there
        ]

    def _spell(self, part: str, role: str) -> str:
        """Return the name that a member should have."""
        name = self.members[0].name
        is_own = name.loose == "PART-ROLE-idx-ubyte"
        word = "t10k" if is_own and part == "test" else part
        text = name.template.replace("PART", word).replace("ROLE", role)
        if name.is_idx:
            text = text.replace("idx", "idx3" if role == "images" else "idx1")
        return text.replace("XY", "x" if role == "images" else "y")

    def files(self, part: str, role: str = "") -> list[File]:
        """Return the file for a part and a role, or its shards in order.

        Raises
        ------
        DataError
            If a shard is missing, or two copies of one file differ.
        """
        found = [f for f in self.members if (f.name.part, f.name.role) == (part, role)]
        if any(f.name.shard for f in found):
            return _shards(found)
        found.sort(key=lambda f: f.name.template.endswith(".gz"))
        for other in found[1:]:
            if _fingerprint(found[0].file) != _fingerprint(other.file):
                raise DataError(
                    f"{found[0].file.place}: expected the same content as in"
                    f" {other.file.place}, got something else: pass the path of the one you want"
                )
        return [found[0].file]


def _shards(found: Iterable[Found]) -> list[File]:
    numbered = {f.name.shard: f.file for f in found if f.name.shard}
    count = max(of for _, of in numbered)
    missing = [i for i in range(count) if (i, count) not in numbered]
    if missing or len(numbered) != count:
        raise DataError(
            f"{next(iter(numbered.values())).place}: expected {count} shards, missing number"
            f" {', '.join(map(str, missing)) or 'none, but there are others, too'}"
        )
    return [numbered[i, count] for i in range(count)]


def _fingerprint(file: File) -> tuple[int, int]:
    """Return the CRC-32 of the content and its length modulo 2**32, which gzip stores, too."""
    with file.raw() as stream:
        if stream.read(len(GZIP)) == GZIP:
            stream.seek(-8, os.SEEK_END)
            end = stream.read(8)
            return int.from_bytes(end[:4], "little"), int.from_bytes(end[4:], "little")
        stream.seek(0)
        crc, length = 0, 0
        while block := stream.read(_BLOCK):
            crc, length = zlib.crc32(block, crc), length + len(block)
        return crc, length % 2**32


def group_files(found: Iterable[Found]) -> list[FileSet]:
    """Group the files whose names differ only in part, role, shard or `.gz`."""
    sets: dict[tuple[str, bool, str], list[Found]] = {}
    for f in found:
        key = (canonical_folder(f.file.name), f.is_array, f.name.loose)
        sets.setdefault(key, []).append(f)
    return _with_partners([FileSet(tuple(members)) for members in sets.values()])


def _with_partners(sets: list[FileSet]) -> list[FileSet]:
    """Join a training table and a test table with less similar names if there are no others."""
    alone: dict[tuple[str, str], list[FileSet]] = {}
    for s in sets:
        if not s.is_array and s.parts in (["train"], ["test"]):
            first = s.members[0]
            key = (canonical_folder(first.file.name), first.name.prefix)
            alone.setdefault(key, []).append(s)
    for pair in alone.values():
        if sorted(s.parts[0] for s in pair) == ["test", "train"]:
            sets = [s for s in sets if s not in pair]
            sets.append(FileSet(pair[0].members + pair[1].members))
    return sets
