"""Types as a user sees them: mypy and pyright on user_code.py; the methods are the functions."""

import importlib.util
import json
import re
import subprocess
import sys

import pytest
from helpers import ROOT

from tinygrad_mnist import Tensor
from tinygrad_mnist.ops import OPS

CODE = ROOT / "tests" / "user_code.py"
WRONG = {
    number
    for number, line in enumerate(CODE.read_text().splitlines(), 1)
    if line.endswith("# wrong")
}


def run(module, *options):
    """Run a type checker as a user would, on the file alone; skip where it is not installed."""
    if importlib.util.find_spec(module) is None:
        pytest.skip(
            f"checks types: pip install {'pyright[nodejs]' if module == 'pyright' else module}"
        )
    command = [sys.executable, "-m", module, *options, str(CODE)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout


def compare(errors):
    """Compare {line: message} with the lines that are marked."""
    unexpected = [
        f"{CODE.name}:{line}: {text}" for line, text in sorted(errors.items()) if line not in WRONG
    ]
    assert not unexpected, "\n".join(unexpected)
    lines = CODE.read_text().splitlines()
    assert not WRONG - errors.keys(), [lines[n - 1].strip() for n in sorted(WRONG - errors.keys())]


def test_mypy_sees_what_users_are_promised():
    # The library is found as source here, so the exception that it makes for NumPy's stubs
    # must hold here too: --strict would undo it.
    quiet = ("--no-error-summary", "--hide-error-context")
    output = run("mypy", "--strict", "--no-warn-return-any", *quiet)
    found = [
        re.fullmatch(r"(.*?):(\d+): error: (.*)", line)
        for line in output.splitlines()
        if ": error: " in line
    ]
    assert all(match and match[1].endswith(CODE.name) for match in found), output
    compare({int(match[2]): match[3] for match in found})


def test_pyright_sees_what_users_are_promised():
    output = run("pyright", "--outputjson", "--pythonpath", sys.executable)
    if not output.startswith("{"):
        pytest.skip("checks types: pyright found no node, pip install 'pyright[nodejs]'")
    report = json.loads(output)
    found = [problem for problem in report["generalDiagnostics"] if problem["severity"] == "error"]
    compare({problem["range"]["start"]["line"] + 1: problem["message"] for problem in found})


def test_a_method_is_the_function_of_its_name():
    functions_alone = {
        "concatenate",
        "scaled_dot_product_attention",
        "split",
        "stack",
        "where",
        "einsum",
        "getitem",
        "dropout",
        "batch_norm",
        "layer_norm",
    }
    bound = {
        name: f
        for name, f in vars(Tensor).items()
        if f in OPS.values() and not name.startswith("__")
    }
    assert bound == {name: f for name, f in OPS.items() if name not in functions_alone}
