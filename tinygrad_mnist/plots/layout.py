"""Place the boxes and arrows of a graph in layers, so that no arrow goes through a box.

The steps are those of Sugiyama's method. Each box is placed one layer after the last of its inputs.
An arrow that crosses a layer gets a waypoint there, which takes up space like a box. The boxes of a
layer are ordered as their neighbours are. Then each box moves as close to its neighbours as the
order allows.

`along` is the direction of the arrows, and `across` is the other direction. The caller decides
which of them is x and which is y.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

__all__ = ["Arrow", "Layout", "Point", "lay_out"]

Point: TypeAlias = tuple[float, float]  # (along, across)
Edge: TypeAlias = tuple[int, int]
Arrow: TypeAlias = list[Point]
"""Points of one arrow: straight from the first to the second, curved to the third, and so on."""

_GAP_ALONG, _GAP_ACROSS, _WAYPOINT_GAP = 44.0, 18.0, 10.0
_PORT_GAP = 14.0  # distance between the heads of two arrows at a box
_SWEEPS = 12


@dataclass
class Layout:
    """The centre of each box, the points of each arrow, and the size of the whole picture."""

    places: dict[int, Point]
    arrows: list[Arrow]
    along: float
    across: float


def lay_out(sizes: Mapping[int, Point], edges: Sequence[Edge]) -> Layout:
    """Place boxes of the given sizes (along, across). In `sizes`, inputs come before their users.

    An edge is a pair (input, user). The result has one arrow for each edge, in the same order.
    """
    layer = _assign_layers(list(sizes), edges)
    paths = [_path(edge, layer) for edge in edges]
    columns = _fill_layers(layer, paths)
    neighbours = _Neighbours(paths)
    _order(columns, neighbours)
    across = _spread(columns, neighbours, sizes)
    along, total = _column_places(columns, sizes)

    places = {key: (along[layer[key]][0], across[key]) for key in sizes}
    arrows = [_arrow(path, places, sizes, across, along, layer) for path in paths]
    _share_heads(arrows, edges, sizes)
    top = min((across[key] - sizes[key][1] / 2 for key in sizes), default=0.0)
    bottom = max((across[key] + sizes[key][1] / 2 for key in sizes), default=0.0)
    for arrow in arrows:
        top = min(top, *(y for _, y in arrow))
        bottom = max(bottom, *(y for _, y in arrow))
    places = {key: (x, y - top) for key, (x, y) in places.items()}
    arrows = [[(x, y - top) for x, y in arrow] for arrow in arrows]
    return Layout(places, arrows, total, bottom - top)


Place: TypeAlias = Hashable  # a box's key, or a waypoint: (the box that the arrow left, the layer)


def _assign_layers(keys: Sequence[int], edges: Sequence[Edge]) -> dict[int, int]:
    inputs: dict[int, list[int]] = {key: [] for key in keys}
    users: dict[int, list[int]] = {key: [] for key in keys}
    for start, end in edges:
        inputs[end].append(start)
        users[start].append(end)
    layer: dict[int, int] = {}
    for key in keys:
        layer[key] = 1 + max((layer[i] for i in inputs[key]), default=-1)
    for key in keys:  # a box without inputs goes just before its first use
        if not inputs[key] and users[key]:
            layer[key] = min(layer[user] for user in users[key]) - 1
    return layer


def _path(edge: Edge, layer: Mapping[int, int]) -> list[Place]:
    """Return the places that an edge passes. Edges from the same box share their waypoints."""
    start, end = edge
    return [start, *((start, i) for i in range(layer[start] + 1, layer[end])), end]


def _fill_layers(layer: Mapping[int, int], paths: Sequence[Sequence[Place]]) -> list[list[Place]]:
    columns: list[list[Place]] = [[] for _ in range(max(layer.values(), default=-1) + 1)]
    for key, i in layer.items():
        columns[i].append(key)
    waypoints = dict.fromkeys(place for path in paths for place in path[1:-1])
    for waypoint in waypoints:
        assert isinstance(waypoint, tuple)
        columns[waypoint[1]].append(waypoint)
    return columns


class _Neighbours:
    """The places before and after each place. Those before are in the order of the inputs."""

    def __init__(self, paths: Sequence[Sequence[Place]]) -> None:
        self.before: dict[Place, list[Place]] = {}
        self.after: dict[Place, list[Place]] = {}
        steps = dict.fromkeys(step for path in paths for step in pairwise(path))
        for start, end in steps:
            self.before.setdefault(end, []).append(start)
            self.after.setdefault(start, []).append(end)

    def port(self, start: Place, end: Place) -> float:
        """Return the position of an input among the inputs of `end`, from -0.5 to 0.5."""
        inputs = self.before[end]
        return (inputs.index(start) + 1) / (len(inputs) + 1) - 0.5


def _order(columns: list[list[Place]], neighbours: _Neighbours) -> None:
    """Sort the columns by the mean place of the neighbours, back and forth. Keep the best order."""
    best, fewest = [list(column) for column in columns], _crossings(columns, neighbours)
    for sweep in range(_SWEEPS):
        back = sweep % 2 == 0  # first from the result to the leaves, in operand order
        for column in columns[-2::-1] if back else columns[1:]:
            rank = {place: i for c in columns for i, place in enumerate(c)}
            wish = {place: _wish(place, rank, neighbours, back) for place in column}
            column.sort(key=wish.__getitem__)
        crossings = _crossings(columns, neighbours)
        if crossings < fewest or sweep == 0:
            best, fewest = [list(column) for column in columns], crossings
    columns[:] = best


def _wish(place: Place, rank: Mapping[Place, int], neighbours: _Neighbours, back: bool) -> float:
    if back:
        ends = neighbours.after.get(place, [])
        wishes = [rank[end] + neighbours.port(place, end) for end in ends]
    else:
        wishes = [float(rank[start]) for start in neighbours.before.get(place, [])]
    return sum(wishes) / len(wishes) if wishes else float(rank[place])


def _crossings(columns: Sequence[Sequence[Place]], neighbours: _Neighbours) -> int:
    """Count the pairs of arrows that cross each other."""
    count = 0
    for left, right in pairwise(columns):
        rank = {place: i for i, place in enumerate(right)}
        steps = [
            (i, rank[end])
            for i, start in enumerate(left)
            for end in neighbours.after.get(start, [])
        ]
        for n, (i, j) in enumerate(steps):
            count += sum((i - k) * (j - m) < 0 for k, m in steps[n + 1 :])
    return count


def _breadth(place: Place, sizes: Mapping[int, Point]) -> float:
    return sizes[place][1] + _GAP_ACROSS if isinstance(place, int) else _WAYPOINT_GAP


def _spread(
    columns: Sequence[Sequence[Place]], neighbours: _Neighbours, sizes: Mapping[int, Point]
) -> dict[Place, float]:
    """Return the centre of each place across: near its neighbours, in order, not overlapping."""
    across: dict[Place, float] = {}
    for column in columns:
        offsets = _offsets(column, sizes)
        middle = offsets[-1] / 2 if offsets else 0.0
        across.update({p: offset - middle for p, offset in zip(column, offsets, strict=True)})
    for sweep in range(_SWEEPS):
        back = sweep % 2 == 1
        for column in columns[-2::-1] if back else columns[1:]:
            near = neighbours.after if back else neighbours.before
            wishes = []
            for place in column:
                ends = near.get(place) or [place]
                wishes.append(sum(across[end] for end in ends) / len(ends))
            across.update(zip(column, _separate(wishes, _offsets(column, sizes)), strict=True))
    return across


def _offsets(column: Sequence[Place], sizes: Mapping[int, Point]) -> list[float]:
    """Return the smallest allowed distance of each place in a column from the first place."""
    offsets = [0.0] if column else []
    for a, b in pairwise(column):
        offsets.append(offsets[-1] + (_breadth(a, sizes) + _breadth(b, sizes)) / 2)
    return offsets


def _separate(wishes: Sequence[float], offsets: Sequence[float]) -> list[float]:
    """Return the positions closest to the wishes that keep the distances given by the offsets.

    After the offsets are subtracted, the positions must not decrease. This is isotonic regression:
    neighbours in the wrong order are replaced by their mean.
    """
    pools: list[tuple[float, int]] = []  # (mean, how many)
    for wish, offset in zip(wishes, offsets, strict=True):
        mean, count = wish - offset, 1
        while pools and pools[-1][0] > mean:
            other, n = pools.pop()
            mean, count = (mean * count + other * n) / (count + n), count + n
        pools.append((mean, count))
    means = [mean for mean, count in pools for _ in range(count)]
    return [mean + offset for mean, offset in zip(means, offsets, strict=True)]


def _column_places(
    columns: Sequence[Sequence[Place]], sizes: Mapping[int, Point]
) -> tuple[list[tuple[float, float]], float]:
    """Return (centre, length) of each column in the direction along, and the total length."""
    places, start = [], 0.0
    for column in columns:
        length = max((sizes[place][0] for place in column if isinstance(place, int)), default=0.0)
        places.append((start + length / 2, length))
        start += length + _GAP_ALONG
    return places, max(start - _GAP_ALONG, 0.0)


def _arrow(
    path: Sequence[Place],
    places: Mapping[int, Point],
    sizes: Mapping[int, Point],
    across: Mapping[Place, float],
    along: Sequence[tuple[float, float]],
    layer: Mapping[int, int],
) -> Arrow:
    """Return the points of an arrow. It is straight inside columns and curved between columns."""
    start, end = path[0], path[-1]
    assert isinstance(start, int)
    assert isinstance(end, int)
    (x, y), (end_x, _) = places[start], places[end]
    arrow = [(x + sizes[start][0] / 2, y)]
    for i, place in enumerate(path, layer[start]):
        centre, length = along[i]
        if place != start:
            arrow.append((centre - length / 2, across[place]))
        if place != end:
            arrow.append((centre + length / 2, across[place]))
    arrow.append((end_x - sizes[end][0] / 2, across[end]))
    return arrow


def _share_heads(arrows: list[Arrow], edges: Sequence[Edge], sizes: Mapping[int, Point]) -> None:
    """Separate the heads of arrows that end at the same box, in the order in which they arrive."""
    heads: dict[int, list[Arrow]] = {}
    for arrow, (_, end) in zip(arrows, edges, strict=True):
        heads.setdefault(end, []).append(arrow)
    for end, group in heads.items():
        group.sort(key=lambda arrow: arrow[-3][1])  # the start of the last curve
        gap = min(_PORT_GAP, sizes[end][1] / (len(group) + 1))
        for i, arrow in enumerate(group):
            shift = (i - (len(group) - 1) / 2) * gap
            arrow[-2:] = [(x, y + shift) for x, y in arrow[-2:]]
