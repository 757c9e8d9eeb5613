"""Test the tests: break ops/, graph.py and arrays.py one place at a time, and see whether the tests notice.

    python tests/mutation.py [--every N] [--again LOG] [FILE ...]

Each mutant is a copy of the package with one change (a sign, an operand, a constant by 0.1 %, a
comparison, a dropped unbroadcast, transpose or copy). The tests of its own family run first, then
all the quick ones. Survivors are printed with their line, and left for a person to judge:
docs/mutants.md explains those that are equivalent.
"""

import argparse
import ast
import copy
import os
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "tinygrad_mnist"
TARGETS = [*sorted((PACKAGE / "ops").glob("*.py")), PACKAGE / "graph.py", PACKAGE / "arrays.py"]
QUICK = [
    "test_arrays.py", "test_ops.py", "test_loss.py", "test_tensor.py", "test_wrong_calls.py",
    "test_derivatives.py", "test_gradcheck.py", "test_nn.py", "test_engine.py", "test_dtypes.py",
    "test_recorded.py",
]  # fmt: skip
OPERATORS = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.Pow: ast.Mult,
}
COMPARISONS = {
    ast.Lt: [ast.LtE, ast.Gt], ast.LtE: [ast.Lt, ast.GtE], ast.Gt: [ast.GtE, ast.Lt], ast.GtE: [ast.Gt, ast.LtE],
    ast.Eq: [ast.NotEq], ast.NotEq: [ast.Eq],
}  # fmt: skip
DROPPED = {"unbroadcast", "np.negative", "np.conj", "np.flip", "np.expand_dims", "_spread"}
DROPPED_METHODS = {"T", "transpose", "swapaxes", "copy", "astype", "squeeze", "reshape"}


def mutations(node):
    """Yield (description, replacement) for one node of the syntax tree."""
    if isinstance(node, ast.BinOp):
        if type(node.op) in OPERATORS and not any(
            isinstance(side, ast.JoinedStr) for side in (node.left, node.right)
        ):
            other = OPERATORS[type(node.op)]
            yield (
                f"{type(node.op).__name__} -> {other.__name__}",
                ast.BinOp(node.left, other(), node.right),
            )
        if isinstance(node.op, (ast.Sub, ast.Div, ast.MatMult, ast.Pow)):
            yield "operands swapped", ast.BinOp(node.right, node.op, node.left)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        yield "sign dropped", node.operand
    elif isinstance(node, ast.Constant) and type(node.value) in (int, float) and node.value != 0:
        changed = node.value * 1.001 if isinstance(node.value, float) else node.value + 1
        yield f"{node.value} -> {changed}", ast.Constant(changed)
    elif isinstance(node, ast.Compare) and type(node.ops[0]) in COMPARISONS:
        for other in COMPARISONS[type(node.ops[0])]:
            yield (
                f"{type(node.ops[0]).__name__} -> {other.__name__}",
                ast.Compare(node.left, [other()], node.comparators),
            )
    elif isinstance(node, ast.Call) and ast.unparse(node.func) in DROPPED and node.args:
        yield f"{ast.unparse(node.func)} dropped", node.args[0]
    elif (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in DROPPED_METHODS
    ):
        if not ast.unparse(node.func).startswith("np."):
            yield f".{node.func.attr}() dropped", node.func.value
    elif isinstance(node, ast.Attribute) and node.attr == "T":
        yield ".T dropped", node.value


def skipped(node, parents):
    """Types, messages, names and the lines that only bind functions to names are not what these tests are for."""
    return any(isinstance(parent, (ast.Raise, ast.arguments, ast.JoinedStr)) for parent in parents)


def mutants(path):
    """Yield (line, description, source) for each mutant of a file."""
    tree = ast.parse(path.read_text())
    places = []

    def walk(node, parents, trail):
        for field, value in ast.iter_fields(node):
            for i, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
                if isinstance(child, ast.AST):
                    here = [*trail, (field, i)]
                    annotation = field in ("annotation", "returns")
                    if not annotation and not skipped(child, [*parents, node]):
                        places.extend((here, k) for k, _ in enumerate(mutations(child)))
                    if not annotation:
                        walk(child, [*parents, node], here)

    walk(tree, [], [])
    for trail, k in places:
        fresh = copy.deepcopy(tree)
        holder = fresh
        for field, i in trail[:-1]:
            holder = getattr(holder, field) if i is None else getattr(holder, field)[i]
        field, i = trail[-1]
        node = getattr(holder, field) if i is None else getattr(holder, field)[i]
        description, new = list(mutations(node))[k]
        if i is None:
            setattr(holder, field, new)
        else:
            getattr(holder, field)[i] = new
        yield (
            node.lineno,
            f"{description}: {ast.unparse(node)[:60]}",
            ast.unparse(ast.fix_missing_locations(fresh)),
        )


def broken(folder, arguments, seconds=240):
    """Run pytest in a fork of this process, which has NumPy, pytest and hypothesis loaded, on the package in `folder`."""
    child = os.fork()
    if child == 0:
        os.setsid()
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        import pytest

        os.chdir(ROOT)
        sys.path.insert(0, str(folder))
        os.environ["PYTHONPATH"] = str(folder)
        options = [
            "-W",
            "ignore::pytest.PytestAssertRewriteWarning",
            "-x",
            "-q",
            "-p",
            "no:cacheprovider",
            "-o",
            f"pythonpath={folder}",
            "-o",
            "addopts=--import-mode=importlib",
        ]
        try:
            os._exit(int(pytest.main([*options, *arguments])))
        except BaseException:
            os._exit(1)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status != 0
        time.sleep(0.01)
    os.killpg(child, 9)
    os.waitpid(child, 0)
    return True  # it hangs: that is noticed, too


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="*", type=Path, default=TARGETS)
    parser.add_argument("--every", type=int, default=1, help="try only every Nth mutant")
    parser.add_argument(
        "--again", type=Path, help="try only the survivors in the output of an earlier run"
    )
    options = parser.parse_args()
    wanted = options.again and set(
        re.findall(r"^survived (.*)$", options.again.read_text(), re.MULTILINE)
    )
    import hypothesis.extra.numpy
    import hypothesis.stateful  # noqa: F401
    import numpy
    import numpy.random  # noqa: F401
    import pytest  # noqa: F401

    assert "tinygrad_mnist" not in sys.modules, (
        "uninstall the package: the forks must import the mutated copy"
    )
    everything = [
        *(str(ROOT / "tests" / name) for name in QUICK),
        "-k",
        "not 100_000 and not 10_000",
    ]
    killed, survivors = 0, []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        shutil.copytree(
            PACKAGE, folder / "tinygrad_mnist", ignore=shutil.ignore_patterns("__pycache__")
        )
        assert not broken(folder, everything), "the tests fail on the package as it is"
        for path in map(Path.resolve, options.files):
            place = folder / path.relative_to(ROOT)
            own = [str(ROOT / "tests/test_tensor.py")]
            if path.parent.name == "ops" and path.name not in ("__init__.py", "methods.py"):
                names = re.findall(
                    r'"(\w+)"', path.read_text().split("__all__ = [")[1].split("]")[0]
                )
                own = [
                    str(ROOT / "tests/test_ops.py"),
                    "-k",
                    " or ".join(f"{name}-" for name in names),
                ]
            for number, (line, description, source) in enumerate(mutants(path)):
                name = f"{path.relative_to(PACKAGE)}:{line}: {description}"
                if number % options.every or (wanted and name not in wanted):
                    continue
                place.write_text(source)
                if broken(folder, own) or broken(folder, everything):
                    killed += 1
                else:
                    survivors.append(name)
                    print("survived", name, flush=True)
            shutil.copy(path, place)
            print(
                f"{path.relative_to(PACKAGE)} done: {killed} killed, {len(survivors)} survived so far",
                flush=True,
            )
    print(
        f"{killed} killed, {len(survivors)} survived: {killed / max(killed + len(survivors), 1):.1%}"
    )


if __name__ == "__main__":
    main()
