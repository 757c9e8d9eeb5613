"""Pictures of the graph behind a Tensor: as a figure, as SVG, and as text for Graphviz."""

import html
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import GraphError
from ..tensor import Tensor
from .boxes import Box, Boxes, edges_of, fold_chains, group_modules, read_graph
from .canvas import new_figure, shorten
from .layout import Arrow, Point, lay_out

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..nn import Module

__all__ = ["draw_graph", "graph_dot", "graph_figure", "graph_svg", "tensor_html"]

_FILL = {"operation": "#dcebf7", "module": "#e8e4f3", "leaf": "#fff3d6", "constant": "#eeeeee"}
_BORDER, _ARROW, _TEXT, _SHAPE, _GRADIENT = "#444444", "#777777", "#111111", "#666666", "#a03c00"
_LETTER, _LINE, _PADDING = 7.2, 15.0, 8.0  # in pixels, for letters 12 pixels high
_MARGIN = 10.0
_WIDEST = 1100.0  # a picture that would be wider is drawn downwards instead
_MOST_BOXES, _MOST_IN_A_NOTEBOOK = 300, 24
_LONGEST_LINE = 48


@dataclass(frozen=True, slots=True)
class _Line:
    """One line of text in a box."""

    text: str
    colour: str = _TEXT
    bold: bool = False


def _lines(box: Box) -> list[_Line]:
    """Return the text in a box: name, shape, value and gradient, if they are known."""
    lines = [_Line(box.title, bold=box.kind != "constant")]
    if box.parts:
        for part in box.parts:
            lines.append(_Line(f"{part.title}  {part.shape or ''}".rstrip()))
            lines += [_Line(f"    {line.text}", line.colour) for line in _numbers(part)]
        return lines
    if box.shape:
        lines.append(_Line(str(box.shape), _SHAPE))
    elif not box.value:
        lines.append(_Line("scalar", _SHAPE))
    return [*lines, *_numbers(box)]


def _numbers(box: Box) -> list[_Line]:
    lines = []
    if box.value:
        text = box.value if box.kind == "constant" else f"value {box.value}"
        lines.append(_Line(text))
    if box.gradient:
        lines.append(_Line(f"gradient {box.gradient}", _GRADIENT))
    return lines


def _boxes(
    tensor: Tensor,
    names: Mapping[str, Any] | None,
    model: "Module | None",
    fold: bool,
    op: str,
) -> Boxes:
    boxes = read_graph(tensor, names, model, op)
    if fold:
        boxes = fold_chains(boxes)
    return boxes if model is None else group_modules(boxes, model)


def _size(lines: list[_Line]) -> Point:
    """Return the width and the height of a box around lines of text."""
    widest = max(len(line.text) * (1.1 if line.bold else 1.0) for line in lines)
    return widest * _LETTER + 2 * _PADDING, len(lines) * _LINE + 2 * _PADDING


@dataclass(frozen=True, slots=True)
class _Picture:
    """Boxes (lines of text, centres, sizes) and arrows, in pixels. The y axis points down."""

    boxes: Boxes
    lines: dict[int, list[_Line]]
    sizes: dict[int, Point]
    places: dict[int, Point]
    arrows: "list[list[tuple[str, list[Point]]]]"
    width: float
    height: float

    def left_top(self, key: int) -> Point:
        """Return the upper left corner of a box."""
        (x, y), (width, height) = self.places[key], self.sizes[key]
        return x - width / 2, y - height / 2

    def anchor(self, key: int) -> float:
        """Return the x of a box's text: the middle of the box, or the left side for a module."""
        left, _ = self.left_top(key)
        return left + _PADDING if self.boxes[key].parts else self.places[key][0]


def _arrange(boxes: Boxes, op: str) -> _Picture:
    """Lay out the boxes from left to right, or downwards if that would be too wide."""
    if len(boxes) > _MOST_BOXES:
        raise ValueError(
            f"{op}: expected a graph of at most {_MOST_BOXES} boxes, got {len(boxes):,}; pass a"
            " Tensor nearer to the leaves, or use graph_dot"
        )
    lines = {
        key: [
            _Line(shorten(line.text, _LONGEST_LINE), line.colour, line.bold) for line in _lines(b)
        ]
        for key, b in boxes.items()
    }
    sizes = {key: _size(text) for key, text in lines.items()}
    edges = edges_of(boxes)
    layout = lay_out(sizes, edges)
    down = layout.along > _WIDEST
    if down:
        layout = lay_out({key: (height, width) for key, (width, height) in sizes.items()}, edges)

    def point(along: float, across: float) -> Point:
        x, y = (across, along) if down else (along, across)
        return x + _MARGIN, y + _MARGIN

    places = {key: point(*place) for key, place in layout.places.items()}
    arrows = [
        [(c, [point(*p) for p in points]) for c, points in _strokes(a)] for a in layout.arrows
    ]
    width, height = point(layout.along, layout.across)
    return _Picture(boxes, lines, sizes, places, arrows, width + _MARGIN, height + _MARGIN)


def _strokes(arrow: Arrow) -> list[tuple[str, list[Point]]]:
    """Return an arrow as path commands: M moves, L draws a line, C draws a curve."""
    strokes = [("M", [arrow[0]])]
    for i, ((x, y), (end_x, end_y)) in enumerate(pairwise(arrow)):
        if i % 2 == 1 and abs(end_y - y) > 0.5:
            middle = (x + end_x) / 2
            strokes.append(("C", [(middle, y), (middle, end_y), (end_x, end_y)]))
        elif end_x - x > 0.5:  # a shorter line would not give the head a direction
            strokes.append(("L", [(end_x, end_y)]))
    return strokes


def graph_figure(
    tensor: Tensor,
    *,
    names: Mapping[str, Any] | None = None,
    model: "Module | None" = None,
    fold: bool = True,
) -> "Figure":
    """Draw the graph behind a Tensor with matplotlib: leaves first, the result last.

    Operations are blue, leaves yellow, constants grey. The boxes show values and gradients if they
    are known. If the graph was computed inside `recording`, all of them are known, even after
    `backward`. For other graphs, the picture shows the values of the result and of named leaves,
    and the gradients in `.grad`.

    Parameters
    ----------
    tensor : Tensor
    names : mapping of names to Tensors, optional
        The names of leaves, results and constants.
    model : Module, optional
        Its parameters are drawn with their names. Each of its modules gets a violet box with the
        module's parameters and operations.
    fold : bool
        Whether four or more equal operations in a row are drawn as one box.

    Raises
    ------
    GraphError
        If `backward` has freed the graph, and it was not recorded.
    ValueError
        If there are more than 300 boxes.
    """
    from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
    from matplotlib.path import Path as Curve

    boxes = _boxes(tensor, names, model, fold, "graph_figure")
    picture = _arrange(boxes, "graph_figure")
    title = "Computational graph" if boxes else "A constant has no graph"
    above = 34
    figure = new_figure(picture.width / 96, (picture.height + above) / 96, title, layout=None)
    axes = figure.add_axes((0, 0, 1, picture.height / (picture.height + above)))
    spare = (figure.get_figwidth() * 96 - picture.width) / 2
    axes.set(xlim=(-spare, picture.width + spare), ylim=(picture.height, 0))
    axes.set_axis_off()
    codes = {"M": Curve.MOVETO, "L": Curve.LINETO, "C": Curve.CURVE4}
    for arrow in picture.arrows:
        path = Curve(
            [point for _, points in arrow for point in points],
            [codes[command] for command, points in arrow for _ in points],
        )
        axes.add_patch(
            FancyArrowPatch(
                path=path,
                arrowstyle="-|>",
                mutation_scale=9,
                shrinkA=0,
                shrinkB=0,
                color=_ARROW,
                linewidth=1.1,
            )
        )
    for key, box in boxes.items():
        (left, top), (width, height) = picture.left_top(key), picture.sizes[key]
        rounding = {"operation": 0, "module": 4}.get(box.kind, 10)
        shape = f"round,pad=0,rounding_size={rounding}" if rounding else "square,pad=0"
        axes.add_patch(
            FancyBboxPatch(
                (left, top), width, height, boxstyle=shape, fc=_FILL[box.kind], ec=_BORDER, lw=1
            )
        )
        _write_lines(axes, picture, key)
    return figure


def _write_lines(axes: "Axes", picture: _Picture, key: int) -> None:
    _, top = picture.left_top(key)
    for i, line in enumerate(picture.lines[key]):
        axes.text(
            picture.anchor(key),
            top + _PADDING + (i + 0.5) * _LINE,
            line.text,
            ha="left" if picture.boxes[key].parts else "center",
            va="center_baseline",
            fontsize=9,
            color=line.colour,
            fontweight="bold" if line.bold else "normal",
        )


def graph_svg(
    tensor: Tensor,
    *,
    names: Mapping[str, Any] | None = None,
    model: "Module | None" = None,
    fold: bool = True,
) -> str:
    """Return the picture of `graph_figure` as SVG text, made without matplotlib.

    Each box is a `<g>` of the class `operation`, `leaf`, `constant` or `module`, whose `data-node`
    is the number of its node, so that a page can find the box again. The paths of an arrow have
    the class `arrow`. The numbers of both ends are in `data-from` and `data-to`.

    Parameters
    ----------
    tensor, names, model, fold
        As for `graph_figure`.

    Raises
    ------
    GraphError
        If `backward` has freed the graph, and it was not recorded.
    ValueError
        If there are more than 300 boxes.

    Examples
    --------
    >>> from tinygrad_mnist import Tensor
    >>> x = Tensor(3.0, requires_grad=True)
    >>> graph_svg(x * x)[:4]
    '<svg'
    """
    return _svg(_boxes(tensor, names, model, fold, "graph_svg"), "graph_svg")


def _svg(boxes: Boxes, op: str) -> str:
    picture = _arrange(boxes, op)
    width, height = math.ceil(picture.width), math.ceil(picture.height)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"'
        f' viewBox="0 0 {width} {height}" style="max-width: 100%; height: auto"'
        ' font-family="DejaVu Sans, Verdana, sans-serif" font-size="12">',
        "<title>Computational graph</title>",
    ]
    for (start, end), arrow in zip(edges_of(boxes), picture.arrows, strict=True):
        path = " ".join(c + " ".join(f"{x:.1f},{y:.1f}" for x, y in points) for c, points in arrow)
        ends = f'class="arrow" data-from="{start}" data-to="{end}"'
        parts.append(f'<path {ends} d="{path}" fill="none" stroke="{_ARROW}" stroke-width="1.3"/>')
        parts.append(f'<path {ends} d="{_head(arrow)}" fill="{_ARROW}"/>')
    for key, box in boxes.items():
        parts += [f'<g class="{box.kind}" data-node="{key}">', _svg_box(picture, key)]
        parts += [*_svg_lines(picture, key), "</g>"]
    return "\n".join([*parts, "</svg>\n"])


def _head(arrow: list[tuple[str, list[Point]]]) -> str:
    """Return the triangle at the end of an arrow."""
    points = [point for _, points in arrow for point in points]
    (before_x, before_y), (x, y) = points[-2:]
    length = math.hypot(x - before_x, y - before_y)
    dx, dy = 7 * (x - before_x) / length, 7 * (y - before_y) / length
    base_x, base_y = x - dx, y - dy
    left = f"{base_x - dy / 2:.1f},{base_y + dx / 2:.1f}"
    right = f"{base_x + dy / 2:.1f},{base_y - dx / 2:.1f}"
    return f"M{x:.1f},{y:.1f} L{left} L{right} Z"


def _svg_box(picture: _Picture, key: int) -> str:
    (left, top), (width, height) = picture.left_top(key), picture.sizes[key]
    kind = picture.boxes[key].kind
    rounding = {"operation": 0, "module": 4}.get(kind, 10)
    return (
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}"'
        f' rx="{rounding}" fill="{_FILL[kind]}" stroke="{_BORDER}"/>'
    )


def _svg_lines(picture: _Picture, key: int) -> list[str]:
    x, (_, top) = picture.anchor(key), picture.left_top(key)
    align = "start" if picture.boxes[key].parts else "middle"
    lines = []
    for i, line in enumerate(picture.lines[key]):
        y = top + _PADDING + (i + 0.75) * _LINE
        bold = ' font-weight="bold"' if line.bold else ""
        lines.append(
            f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{align}" xml:space="preserve"'
            f' fill="{line.colour}"{bold}>{html.escape(line.text)}</text>'
        )
    return lines


def draw_graph(
    tensor: Tensor,
    path: str | os.PathLike[str],
    *,
    names: Mapping[str, Any] | None = None,
    model: "Module | None" = None,
    fold: bool = True,
) -> None:
    """Write the picture of `graph_figure` to an SVG file, without matplotlib or Graphviz.

    Parameters
    ----------
    tensor : Tensor
    path : path
        The file to write.
    names, model, fold
        As for `graph_figure`.
    """
    text = _svg(_boxes(tensor, names, model, fold, "draw_graph"), "draw_graph")
    Path(path).write_text(text, encoding="utf-8")


def tensor_html(tensor: Tensor) -> str | None:
    """Return HTML with a Tensor's values and graph for notebooks, or None if `repr` is enough.

    `repr` is enough for leaves and constants, for a graph that was freed, and for a graph that is
    too large to understand at a glance.
    """
    if tensor.is_leaf:
        return None
    try:
        boxes = _boxes(tensor, None, None, True, "tensor_html")
    except GraphError:
        return None
    if len(boxes) > _MOST_IN_A_NOTEBOOK:
        return None
    return f"<pre>{html.escape(repr(tensor))}</pre>\n{_svg(boxes, 'tensor_html')}"


def graph_dot(
    tensor: Tensor,
    *,
    names: Mapping[str, Any] | None = None,
    model: "Module | None" = None,
    fold: bool = False,
    values: bool = False,
) -> str:
    r"""Return the graph behind a Tensor as Graphviz DOT text, with ellipses for leaves.

    Parameters
    ----------
    tensor, names, model, fold
        As for `graph_figure`, but nothing is folded unless you ask for it, and the number of boxes
        is not limited.
    values : bool
        Whether the boxes show values and gradients, if they are known.

    Raises
    ------
    GraphError
        If `backward` has freed the graph, and it was not recorded.

    Examples
    --------
    >>> from tinygrad_mnist import Tensor
    >>> x = Tensor([3.0, 4.0], requires_grad=True)
    >>> print(graph_dot((x * x).sum(), names={"x": x}))  # doctest: +ELLIPSIS
    digraph {
      rankdir=LR
      ... [shape=ellipse label="x\n2"]
      ... [shape=box label="multiply\n2"]
      ... [shape=box label="sum\nscalar"]
      ... -> ...
    }
    """
    boxes = _boxes(tensor, names, model, fold, "graph_dot")
    lines = ["digraph {", "  rankdir=LR"]
    for key, box in boxes.items():
        lines_of_box = [line.text for line in _lines(box)] if values else _names_and_shapes(box)
        text = r"\n".join(lines_of_box).replace('"', r"\"")
        outline = "box" if box.kind in ("operation", "module") else "ellipse"
        lines.append(f'  {_dot_name(key)} [shape={outline} label="{text}"]')
    lines += [f"  {_dot_name(start)} -> {_dot_name(end)}" for start, end in edges_of(boxes)]
    return "\n".join([*lines, "}"])


def _names_and_shapes(box: Box) -> list[str]:
    if box.parts:
        inside = [f"{part.title} {'x'.join(map(str, part.shape))}".rstrip() for part in box.parts]
        return [box.title, *inside]
    return [box.title, "x".join(map(str, box.shape)) or "scalar"]


def _dot_name(key: int) -> str:
    return f"n{key}" if key > 0 else f"c{-key}"
