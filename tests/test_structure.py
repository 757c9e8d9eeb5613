"""The house: imports go one way, importing costs little more than NumPy, randomness is never global."""

import ast
import subprocess
import sys

import pytest
from helpers import ROOT

PACKAGE = ROOT / "tinygrad_mnist"
ORDER = [
    "errors", "arrays", "pool", "graph", "interop", "tensor", "anomaly", "functional",
    "ops", "nn", "optim", "testing", "train", "parallel",
]  # fmt: skip
SIDE_ROOMS = {
    "datasets": {"arrays", "errors"},
    "files": {"arrays", "errors"},
    "checkpoint": {"arrays", "errors", "files"},
    "plots": {"arrays", "errors"},
}
FILES = sorted(PACKAGE.rglob("*.py"))
HEAVY = {"matplotlib", "hypothesis", "mpi4py", "safetensors", "tqdm", "pandas", "sklearn", "PIL"}


def room(path):
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imports(tree):
    """Every module imported when it runs, as (level, dotted name, imported names, whether at the top of the file)."""
    top = set(map(id, tree.body))
    for_checkers = {
        id(inner) for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for statement in node.body for inner in ast.walk(statement)
    }  # fmt: skip
    for node in ast.walk(tree):
        if id(node) in for_checkers:
            continue
        if isinstance(node, ast.Import):
            yield from ((0, alias.name, (), id(node) in top) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (
                node.level,
                node.module or "",
                tuple(alias.name for alias in node.names),
                id(node) in top,
            )


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_one_way(path):
    mine = room(path)
    for level, module, names, top in imports(ast.parse(path.read_text())):
        if level == 0:
            assert not (top and module.split(".")[0] in HEAVY) or path.name == "strategies.py", (
                f"{module} belongs inside a function"
            )
            continue
        base = (
            PACKAGE,
            *path.relative_to(PACKAGE).parts[: len(path.relative_to(PACKAGE).parts) - level],
        )
        rooms = {(*base[1:], *module.split(".")[:1])[0]} if module or len(base) > 1 else set(names)
        for other in rooms - {mine, ""}:
            if path in (PACKAGE / "__init__.py", PACKAGE / "__main__.py") or other == "__init__":
                continue
            if mine in SIDE_ROOMS:
                assert other in SIDE_ROOMS[mine], f"{mine} imports {other}"
            elif other in SIDE_ROOMS:
                assert mine in ("train", "parallel"), f"{mine} imports {other}"
            else:
                assert ORDER.index(other) < ORDER.index(mine), f"{mine} imports {other}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_files_say_their_purpose(path):
    assert ast.get_docstring(ast.parse(path.read_text())), "the first line says what it is for"


def test_no_global_randomness_and_no_pickle():
    for path in FILES:
        text = path.read_text()
        for word in (
            "np.random.seed",
            "np.random.rand(",
            "np.random.randn",
            "import random",
            "import pickle",
            "allow_pickle=True",
        ):
            assert word not in text, f"{path.name}: {word}"


def test_importing_the_package_imports_numpy_and_nothing_heavier():
    code = (
        "import sys, numpy; before = set(sys.modules); import tinygrad_mnist\n"
        "assert 'numpy.random' not in set(sys.modules) - before\n"
        "print(*sorted({m.split('.')[0] for m in set(sys.modules) - before}))"
    )
    loaded = set(
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.split()
    )
    assert not loaded & HEAVY
    assert not {m for m in loaded if m not in sys.stdlib_module_names} - {"tinygrad_mnist", "numpy"}


def test_every_public_name_is_documented():
    import tinygrad_mnist

    for name in dir(tinygrad_mnist):
        if not name.startswith("_"):
            assert getattr(tinygrad_mnist, name).__doc__, name
