"""Display of a module: the tree of its layers for `repr`, and a table of them as text or HTML."""

from collections.abc import Iterator, Mapping
from html import escape
from types import FunctionType
from typing import Any, NamedTuple

import numpy as np

from ..tensor import Tensor
from .holder import Holder

__all__ = ["Text", "describe", "html", "summary", "tree"]


class Text(str):
    """A string that Python's prompt and a notebook show with its line breaks."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def tree(root: Any) -> str:
    """Return the layers of a module, one on each line, indented below the module that holds them.

    A module with layers below it is written out once. If it appears again, for example because
    modules refer to each other, it is shown as `Name(...)`.
    """
    lines: list[str] = []
    written: set[int] = set()
    todo: list[Any] = [("", "", root)]
    while todo:
        item = todo.pop()
        if isinstance(item, str):
            lines.append(item)
            continue
        indent, label, module = item
        if not _is_module(module):  # a function in a Sequential, such as tanh
            name = module.__name__ if isinstance(module, FunctionType) else type(module).__name__
            lines.append(f"{indent}{label}{name}")
            continue
        kind, children = type(module).__name__, module._shown()
        if type(module).__repr__ is not type(root).__repr__:  # a class that shows itself
            lines.append(f"{indent}{label}{module!r}".replace("\n", f"\n{indent}"))
        elif not children:
            lines.append(f"{indent}{label}{kind}({module.extra_repr()})")
        elif id(module) in written:
            lines.append(f"{indent}{label}{kind}(...)")
        else:
            written.add(id(module))
            lines.append(f"{indent}{label}{kind}(")
            todo.append(f"{indent})")
            todo += [(indent + "  ", f"({name}): ", child) for name, child in reversed(children)]
    return "\n".join(lines)


def _is_module(layer: Any) -> bool:
    return isinstance(layer, Holder)


class _Layer(NamedTuple):
    """A row of the tables."""

    depth: int
    label: str
    module: Any
    parameters: list[Tensor]  # its own, except those listed with an earlier layer


def _layers(root: Any) -> Iterator[_Layer]:
    """Yield a module and all modules below it, each once."""
    listed = {id(root)}
    counted: set[int] = set()
    todo = [(0, type(root).__name__, root)]
    while todo:
        depth, label, module = todo.pop()
        own = [p for p in module._own_parameters() if id(p) not in counted]
        counted.update(map(id, own))
        yield _Layer(depth, label, module, own)
        for name, child in reversed(module._children()):
            if id(child) not in listed:
                listed.add(id(child))
                todo.append((depth + 1, f"{name}: {type(child).__name__}", child))


def _count(parameters: list[Tensor]) -> int:
    return sum(p.size for p in parameters)


def _totals(root: Any) -> str:
    parameters = list(root.parameters())
    trained = _count([p for p in parameters if p.requires_grad])
    size = sum(p.data.nbytes for p in parameters)
    return f"{_count(parameters):,} parameters, {trained:,} of them trained, {size:,} bytes"


def summary(root: Any, outputs: Mapping[int, str] | None) -> Text:
    """Return a table of the layers; `outputs` maps a module's id to the shape of its output."""
    rows = [("layer", "output", "parameters")]
    for layer in _layers(root):
        shape = "" if outputs is None else outputs.get(id(layer.module), "not called")
        rows.append(("  " * layer.depth + layer.label, shape, f"{_count(layer.parameters):,}"))
    first, second, third = (max(map(len, column)) for column in zip(*rows, strict=True))
    lines = [f"{a:{first}}  {b:{second}}  {c:>{third}}" for a, b, c in rows]
    if outputs is None:
        lines = [f"{a:{first}}  {c:>{third}}" for a, _, c in rows]
    return Text("\n".join([*lines, _totals(root)]))


def describe(outputs: Any) -> str:
    """Return the shapes of a module's outputs, also inside tuples, lists and dicts."""
    if isinstance(outputs, (Tensor, np.ndarray)):
        return str(outputs.shape)
    if isinstance(outputs, dict):
        inside = ", ".join(f"{name}: {describe(value)}" for name, value in outputs.items())
        return f"{{{inside}}}"
    if isinstance(outputs, (tuple, list)):
        return f"[{', '.join(map(describe, outputs))}]"
    return type(outputs).__name__


def html(root: Any) -> str:
    """Return a table of the layers, with their settings and the shapes of their parameters."""
    rows = []
    for layer in _layers(root):
        leaf = not layer.module._children()
        cells = (
            layer.label,
            layer.module.extra_repr() if leaf else "",
            ", ".join(str(p.shape) for p in layer.parameters),
            f"{_count(layer.parameters):,}",
        )
        indent = f"padding-left: {layer.depth + 0.5}em; text-align: left"
        first, *others = (escape(cell) for cell in cells)
        rows.append(
            f'<tr><td style="{indent}">{first}</td>'
            + "".join(f"<td>{cell}</td>" for cell in others)
            + "</tr>"
        )
    heads = "".join(f"<th>{head}</th>" for head in ("layer", "settings", "shapes", "parameters"))
    return (
        f"<table><thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
        f"<p>{escape(_totals(root))}</p>"
    )
