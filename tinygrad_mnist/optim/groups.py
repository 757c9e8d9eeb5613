"""Groups of parameters that share hyper-parameters, and the range of each hyper-parameter."""

import math
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from ..tensor import Tensor

__all__ = ["Group", "Pair", "Params", "Range", "list_tensors", "make_groups"]

# What an optimizer takes: model.parameters(), or a list of groups as PyTorch writes them.
Params: TypeAlias = Iterable[Tensor | Mapping[str, Any]]


@dataclass(frozen=True)
class Range:
    """The range of a hyper-parameter that is a number: [0, below)."""

    below: float = math.inf

    def check(self, owner: str, name: str, value: Any) -> Any:
        """Return the value as a Python number; TypeError or ValueError if it is out of range."""
        if isinstance(value, np.generic):  # a NumPy scalar would turn a float32 step into float64
            value = value.item()
        if not isinstance(value, (int, float)):
            raise TypeError(f"{owner}: expected {name} to be a number, got {value!r}")
        if not 0 <= value < self.below:
            raise ValueError(f"{owner}: expected {name} in [0, {self.below}), got {value}")
        return value


_ANY_NUMBER = Range()


@dataclass(frozen=True)
class Pair(Range):
    """The range of a hyper-parameter that is two numbers, each in [0, below)."""

    def check(self, owner: str, name: str, value: Any) -> tuple[Any, Any]:
        """Return the value as a tuple; TypeError or ValueError if it is out of range."""
        values = tuple(value) if isinstance(value, (tuple, list, np.ndarray)) else ()
        if len(values) != 2:
            raise ValueError(f"{owner}: expected {name} to be two numbers, got {value!r}")
        first, second = (super(Pair, self).check(owner, f"each of {name}", v) for v in values)
        return first, second


class Group(MutableMapping[str, Any]):
    """Parameters that share hyper-parameters, as a mapping with the keys of PyTorch's groups.

    `group["lr"] = 0.1` checks the value. `group["params"]` is the list of parameters, and cannot be
    replaced.
    """

    def __init__(
        self,
        owner: str,
        ranges: Mapping[str, Range],
        params: list[Tensor],
        settings: Mapping[str, Any],
    ) -> None:
        self.owner, self.ranges, self.params = owner, ranges, params
        self.settings = {name: self.check(name, value) for name, value in settings.items()}

    def check(self, name: str, value: Any) -> Any:
        """Return the value in the form that is kept; TypeError or ValueError if out of range."""
        return self.ranges.get(name, _ANY_NUMBER).check(self.owner, name, value)

    def __getitem__(self, name: str) -> Any:
        return self.params if name == "params" else self.settings[name]

    def __setitem__(self, name: str, value: Any) -> None:
        if name not in self.settings:
            expected = ", ".join(self.settings)
            raise ValueError(f"{self.owner}: expected one of {expected} to set, got {name!r}")
        self.settings[name] = self.check(name, value)

    def __delitem__(self, name: str) -> None:
        raise TypeError(f"{self.owner}: a group keeps its {name}; assign another value instead")

    def __iter__(self) -> Iterator[str]:
        yield from ("params", *self.settings)

    def __len__(self) -> int:
        return 1 + len(self.settings)

    def __repr__(self) -> str:
        count, elements = len(self.params), sum(p.size for p in self.params)
        settings = "".join(f", {name}={value}" for name, value in self.settings.items())
        return f"{count} parameter{'s' * (count != 1)} of {elements:,} elements{settings}"


def make_groups(
    owner: str, ranges: Mapping[str, Range], params: Params, common: Mapping[str, Any]
) -> list[Group]:
    """Return the groups that `params` describes; `common` are the hyper-parameters of all groups.

    Raises
    ------
    TypeError
        If a parameter is not a Tensor, or a hyper-parameter is not a number.
    ValueError
        If there are no parameters, if a parameter is the result of an operation or is in two
        groups, or if a hyper-parameter is unknown or out of range.
    """
    listed = params if isinstance(params, Tensor) or not isinstance(params, Iterable) else [*params]
    if isinstance(listed, list) and any(isinstance(entry, Mapping) for entry in listed):
        groups = [_read_group(owner, ranges, entry, common) for entry in listed]
    else:
        groups = [Group(owner, ranges, list_tensors(owner, listed), common)]
    _check_parameters(owner, [p for group in groups for p in group.params])
    return groups


def _read_group(
    owner: str, ranges: Mapping[str, Range], entry: Any, common: Mapping[str, Any]
) -> Group:
    if not isinstance(entry, Mapping) or "params" not in entry:
        kind = type(entry).__name__
        raise TypeError(f'{owner}: expected each group to be a dict with "params", got {kind}')
    own = {name: value for name, value in entry.items() if name != "params"}
    unknown = own.keys() - common.keys()
    if unknown:
        raise ValueError(
            f"{owner}: expected the hyper-parameters of a group to be of {', '.join(common)}, "
            f"got {', '.join(sorted(map(str, unknown)))}"
        )
    members = entry["params"]
    members = [members] if isinstance(members, Tensor) else list_tensors(owner, members)
    return Group(owner, ranges, members, {**common, **own})


def list_tensors(owner: str, params: Any) -> list[Tensor]:
    """Return the Tensors of an iterable, each once; TypeError if it is anything else."""
    if isinstance(params, Tensor) or not isinstance(params, Iterable):
        kind = type(params).__name__
        raise TypeError(
            f"{owner}: expected an iterable of Tensors, as model.parameters(), got {kind}"
        )
    found = list({id(p): p for p in params}.values())
    for p in found:
        if not isinstance(p, Tensor):
            kind = type(p).__name__
            raise TypeError(f"{owner}: expected Tensors, as model.parameters(), got {kind}")
    return found


def _check_parameters(owner: str, params: list[Tensor]) -> None:
    if not params:
        raise ValueError(
            f"{owner}: expected at least one parameter, got none; a model finds its layers in "
            "attributes without an underscore in front, and in lists, tuples and dicts of them"
        )
    for i, p in enumerate(params):
        if not p.is_leaf:
            about = f"parameter {i} of shape {p.shape}"
            raise ValueError(f"{owner}: {about} is the result of an operation, not a leaf")
    if len({id(p) for p in params}) < len(params):
        raise ValueError(f"{owner}: expected each parameter in one group, got one in two groups")
