"""An expression like a*b + tanh(c), read without running it as Python.

Python's own parser turns the text into a tree. After that, only what the tables below list is
accepted: numbers, names of variables, operators and functions of this library. Anything else is an
error. Nothing in the text is ever run as Python.
"""

import ast
import operator
import re
from dataclasses import dataclass, field

import numpy as np
from runner.web import RequestError

import tinygrad_mnist as tg
from tinygrad_mnist import Tensor

LONGEST, MOST_OPERATIONS, MOST_VARIABLES = 200, 40, 8
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,9}", re.ASCII)

OPERATORS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.USub: operator.neg,
}
FUNCTIONS = {  # the number of arguments of each function
    "abs": (tg.abs, 1),
    "cos": (tg.cos, 1),
    "exp": (tg.exp, 1),
    "gelu": (tg.gelu, 1),
    "log": (tg.log, 1),
    "maximum": (tg.maximum, 2),
    "minimum": (tg.minimum, 2),
    "relu": (tg.relu, 1),
    "sigmoid": (tg.sigmoid, 1),
    "sin": (tg.sin, 1),
    "softplus": (tg.softplus, 1),
    "sqrt": (tg.sqrt, 1),
    "square": (tg.square, 1),
    "tanh": (tg.tanh, 1),
}


@dataclass
class Expression:
    """An expression, with its variables in the order in which they appear."""

    tree: ast.expr
    variables: list[str] = field(default_factory=list)

    def evaluate(self, values):
        """Return the result as a Tensor, and the variables as Tensors that require grad."""
        leaves = {name: Tensor(np.float64(values[name]), True) for name in self.variables}
        return compute(self.tree, leaves), leaves


def read_expression(text):
    """Return the Expression in a text.

    Raises
    ------
    RequestError
        If the text is not an expression, or contains anything that the tables do not list.
    """
    if not isinstance(text, str) or not 0 < len(text.strip()) <= LONGEST:
        raise RequestError(f"expected an expression of 1 to {LONGEST} letters, such as a*b + c")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        place = f" near letter {error.offset}" if isinstance(error, SyntaxError) else ""
        raise RequestError(f"this is not an expression{place}; try a*b + tanh(c)") from None
    found = Expression(tree)
    nodes = list(walk(tree))
    if sum(isinstance(node, (ast.BinOp, ast.UnaryOp, ast.Call)) for node in nodes) > (
        MOST_OPERATIONS
    ):
        raise RequestError(f"expected at most {MOST_OPERATIONS} operations; shorten it")
    names = [node.id for node in nodes if isinstance(node, ast.Name)]
    found.variables = list(dict.fromkeys(names))
    if not found.variables:
        raise RequestError("there is nothing to take a gradient by; use a variable, such as a")
    if len(found.variables) > MOST_VARIABLES:
        raise RequestError(f"expected at most {MOST_VARIABLES} variables; reuse some")
    return found


def walk(tree):
    """Yield each part of the tree, operands from left to right. Refuse parts not in the tables."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += reversed(list_operands(node))


def list_operands(node):
    """Return the operands of one node, or refuse a node that is not in the tables."""
    if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
        return [node.left, node.right]
    if isinstance(node, ast.UnaryOp) and type(node.op) in OPERATORS:
        return [node.operand]
    if isinstance(node, ast.Call):
        return list_arguments(node)
    if isinstance(node, ast.Name):
        if not NAME.fullmatch(node.id):
            raise RequestError(f"expected short names of letters, such as a or x1, got {node.id}")
        if node.id in FUNCTIONS:
            raise RequestError(f"{node.id} is a function; write {node.id}(a)")
        return []
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return []
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitXor):
        raise RequestError("write powers with two stars: a**2")
    raise RequestError(
        f"expected numbers, variables, + - * / ** and functions ({', '.join(FUNCTIONS)}), "
        f"got {ast.unparse(node)[:40]}"
    )


def list_arguments(call):
    """Return the arguments of a call, or refuse a function that is not in the tables."""
    name = call.func.id if isinstance(call.func, ast.Name) else ast.unparse(call.func)[:40]
    if name not in FUNCTIONS:
        raise RequestError(f"expected one of the functions {', '.join(FUNCTIONS)}, got {name}")
    count = FUNCTIONS[name][1]
    if call.keywords or len(call.args) != count:
        raise RequestError(f"expected {count} argument{'s' * (count > 1)} of {name}")
    return call.args


def compute(tree, leaves):
    """Return the value of a tree that `read_expression` has checked."""
    if isinstance(tree, ast.Constant):
        return Tensor(np.float64(float(tree.value)))
    if isinstance(tree, ast.Name):
        return leaves[tree.id]
    operands = [compute(part, leaves) for part in list_operands(tree)]
    if isinstance(tree, ast.Call):
        return FUNCTIONS[tree.func.id][0](*operands)
    return OPERATORS[type(tree.op)](*operands)
