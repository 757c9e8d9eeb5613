"""Types as a user sees them: mypy and pyright on user_code.py, the stubs of the methods beside the functions."""

import ast
import importlib.util
import inspect
import json
import re
import subprocess
import sys

import pytest
from helpers import ROOT

from tinygrad_mnist import Tensor, ops

CODE = ROOT / "tests" / "user_code.py"
WRONG = {number for number, line in enumerate(CODE.read_text().splitlines(), 1) if line.endswith("# wrong")}


def run(module, *options):
    """Run a type checker as a user would, on the file alone; skip where it is not installed."""
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"checks types: pip install {'pyright[nodejs]' if module == 'pyright' else module}")
    command = [sys.executable, "-m", module, *options, str(CODE)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout


def compare(errors):
    """Compare {line: message} with the lines that are marked."""
    unexpected = [f"{CODE.name}:{line}: {text}" for line, text in sorted(errors.items()) if line not in WRONG]
    assert not unexpected, "\n".join(unexpected)
    lines = CODE.read_text().splitlines()
    assert not WRONG - errors.keys(), [lines[n - 1].strip() for n in sorted(WRONG - errors.keys())]


def test_mypy_sees_what_users_are_promised():
    output = run("mypy", "--strict", "--no-error-summary", "--hide-error-context")
    found = [re.fullmatch(r"(.*?):(\d+): error: (.*)", line) for line in output.splitlines() if ": error: " in line]
    assert all(match and match[1].endswith(CODE.name) for match in found), output
    compare({int(match[2]): match[3] for match in found})


def test_pyright_sees_what_users_are_promised():
    output = run("pyright", "--outputjson", "--pythonpath", sys.executable)
    if not output.startswith("{"):
        pytest.skip("checks types: pyright found no node, pip install 'pyright[nodejs]'")
    report = json.loads(output)
    found = [problem for problem in report["generalDiagnostics"] if problem["severity"] == "error"]
    compare({problem["range"]["start"]["line"] + 1: problem["message"] for problem in found})


def stubs():
    tree = ast.parse((ROOT / "tinygrad_mnist" / "methods.py").read_text())
    found = {node.name: node.args for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Name):  # __radd__ = ... = __add__
            found |= {target.id: found[node.value.id] for target in node.targets}
    return found


def bound():
    """What `ops` has put on Tensor, by name."""
    return {name: f for name, f in vars(Tensor).items() if getattr(f, "__module__", "").startswith(ops.__name__)}


def test_every_method_has_a_stub_and_every_stub_a_method():
    assert stubs().keys() - {"__hash__"} == bound().keys()
    assert len(bound()) > 60


@pytest.mark.parametrize("name", sorted(name for name in bound() if not name.startswith("__")))
def test_a_stub_takes_what_the_function_takes(name):
    function = bound()[name]
    tree = ast.parse(inspect.getsource(function)).body[0]
    tree.args.args[0] = ast.arg("self")
    assert ast.unparse(stubs()[name]) == ast.unparse(tree.args)  # names, kinds, defaults and annotations
    assert list(inspect.signature(getattr(Tensor(0.0), name)).parameters) == [
        a.arg for a in ast.walk(tree.args) if isinstance(a, ast.arg) and a.arg != "self"
    ]
