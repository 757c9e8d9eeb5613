"""Read from a file's name which part of a set it is, and whether it has images or labels."""

import re
from functools import lru_cache
from typing import NamedTuple

__all__ = ["Name", "is_own", "is_relative", "parse", "part_of"]

_TRAIN = r"train(?:ing)?"
_TEST = r"test(?:ing)?|t10k"
_VALIDATION = r"val(?:id(?:ation)?)?"
_PART = re.compile(rf"(?<![a-z])(?:({_TRAIN})|({_TEST})|({_VALIDATION}))(?![a-z])")
_ROLES = (  # the most certain words first, because only the first match counts
    (re.compile(r"(?<![a-z])(?:(images?|imgs?)|(labels?|lbls?))(?![a-z])"), "ROLE"),
    (re.compile(r"(?<![a-z0-9])(?:(x)|(y))(?![a-z0-9])"), "XY"),
    (re.compile(r"(?<![a-z])(?:(data|pixels|features)|(targets?|classes|class))(?![a-z])"), "ROLE"),
)
_SHARD = re.compile(r"(\d{5})-of-(\d{5})(?:-[0-9a-f]{8,})?")
_IDX = re.compile(r"([-._])idx[123]?([-._])(?:u?byte|int)")
_IDX_END = re.compile(r"[-._]idx[-._]ubyte")
_RELATIVE = re.compile(r"(?:fashion|kuzushiji|not|(?<![a-z])[ekqx])[-_ ]?mnist")
_OWN_WORDS = {"mnist", "784", "5", "k", "small", "full"}
_ENDINGS = {"csv", "npz", "npy", "arff", "parquet", "pq", "zip", "gz"}


class Name(NamedTuple):
    """A file's name, taken apart."""

    template: str
    """The name with PART, ROLE (or XY), SHARD and idx-ubyte in place of what differs in a set."""
    part: str
    """train, test, validation, or "" if the name does not say it."""
    role: str
    """images, labels, or "" if the name does not say it."""
    shard: tuple[int, int] | None
    """The number of this shard and how many there are, as in 00000-of-00002."""

    @property
    def loose(self) -> str:
        """The template without `.gz` and with -idx-ubyte. All copies of a file have the same."""
        return _IDX_END.sub("-idx-ubyte", self.template).removesuffix(".gz")

    @property
    def is_idx(self) -> bool:
        """Whether the name says that the format is IDX."""
        return _IDX_END.search(self.template) is not None

    @property
    def prefix(self) -> str:
        """The text before PART."""
        return self.template.partition("PART")[0]


def parse(name: str, roles: bool) -> Name:
    """Take a file's name apart. If `roles` is true, look for images and labels in it, too."""
    text = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.rsplit("/", 1)[-1]).lower()
    text = re.sub(r"(?<![a-z0-9])([xy])(?=train|test)", r"\1_", text)  # xtrain
    text = re.sub(r"(train|test)(?=[xy](?![a-z0-9]))", r"\1_", text)  # trainx
    shard = _SHARD.search(text)
    text = _SHARD.sub("SHARD", text)
    part = _part(text)
    if part:
        text = _PART.sub("PART", text)
    text, role = _take_role(text) if roles else (text, "")
    if role:
        text = _IDX.sub(r"\1idx\2ubyte", text)
    return Name(text, part, role, (int(shard[1]), int(shard[2])) if shard else None)


def _part(text: str) -> str:
    found = {
        "train" if train else "test" if test else "validation"
        for train, test, _ in _PART.findall(text)
    }
    return found.pop() if len(found) == 1 else ""  # train_test.csv is not one part


def _take_role(text: str) -> tuple[str, str]:
    for pattern, placeholder in _ROLES:
        found = {"images" if images else "labels" for images, _ in pattern.findall(text)}
        if len(found) == 1:
            return pattern.sub(placeholder, text), found.pop()
    return text, ""


@lru_cache(1024)  # because thousands of pictures are in the same few folders
def part_of(folder: str) -> str:
    """Return the part in a folder's name: train, test, validation, or "" if there is none."""
    return parse(folder, roles=False).part


def is_relative(path: str) -> bool:
    """Return whether a path names a data set like MNIST, such as FashionMNIST."""
    return _RELATIVE.search(path.lower()) is not None


def is_own(name: str) -> bool:
    """Return whether a file is named as part of MNIST itself, such as mnist_train.csv."""
    if parse(name, roles=True).loose == "PART-ROLE-idx-ubyte":
        return True
    words = set(re.findall(r"[a-z]+|\d+", parse(name, roles=True).template.lower()))
    return "mnist" in words and words <= _OWN_WORDS | _ENDINGS | {"part", "role", "xy"}
