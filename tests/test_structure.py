"""The house: imports go one way, rooms keep their private names, importing costs little, lines fit."""

import ast
import builtins
import subprocess
import sys

import pytest
from helpers import ROOT

PACKAGE = ROOT / "tinygrad_mnist"
# Each room imports from rooms before it only.
ORDER = [
    "errors", "arrays", "pool", "graph", "tensor", "anomaly", "derivatives", "ops", "nn", "optim",
    "datasets", "files", "checkpoint", "program", "testing", "train", "plots", "parallel",
]  # fmt: skip
# These rooms stand apart: they work with arrays and files, so they can be read by themselves.
APART = {
    "datasets": {"arrays", "errors"},
    "checkpoint": {"arrays", "errors", "files"},
    "files": {"arrays", "errors"},
    "plots": {"arrays", "errors", "graph", "tensor", "nn"},
}
# A notebook asks a Tensor for a picture of itself, and only then is the room with pictures opened.
LATER = {("tensor", "plots")}
FILES = sorted(PACKAGE.rglob("*.py"))
HEAVY = {
    "matplotlib", "hypothesis", "mpi4py", "safetensors", "tqdm", "pandas", "sklearn", "PIL",
    "pyarrow",
}  # fmt: skip


def parse(path):
    return ast.parse(path.read_text())


def room(path):
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def inside_type_checking(tree):
    """The nodes that only type checkers see."""
    return {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for statement in node.body
        for inner in ast.walk(statement)
    }


def imports(tree):
    """Every module imported when it runs: (level, dotted name, imported names, at the top?)."""
    top, for_checkers = set(map(id, tree.body)), inside_type_checking(tree)
    for node in ast.walk(tree):
        if id(node) in for_checkers:
            continue
        if isinstance(node, ast.Import):
            yield from ((0, alias.name, (), id(node) in top) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names = tuple(alias.name for alias in node.names)
            yield node.level, node.module or "", names, id(node) in top


def imported_files(path):
    """The files of this package from which a file imports names, with those names."""
    parts = path.relative_to(PACKAGE).parts
    for level, module, names, _ in imports(parse(path)):
        if level == 0:
            continue
        folder = PACKAGE.joinpath(*parts[: len(parts) - level], *filter(None, module.split(".")))
        if folder.with_suffix(".py").exists():
            yield folder.with_suffix(".py"), names
        else:
            for name in names:
                file = folder / f"{name}.py"
                yield (file, ()) if file.exists() else (folder / "__init__.py", (name,))


def defined(tree):
    """The names that a file itself defines at its top level."""
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                yield from (n.id for n in ast.walk(target) if isinstance(n, ast.Name))
        elif isinstance(node, (ast.If, ast.Try, ast.For, ast.With)):
            yield from defined(ast.Module(body=node.body, type_ignores=[]))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_one_way(path):
    mine = room(path)
    for level, module, _, top in imports(parse(path)):
        heavy = level == 0 and top and module.split(".")[0] in HEAVY
        assert not heavy or path.name == "strategies.py", f"{module} belongs inside a function"
    if path.parent == PACKAGE and path.name.startswith("__"):
        return
    for file, _ in imported_files(path):
        other = room(file)
        if other in (mine, "__init__") or (mine, other) in LATER:
            continue
        if mine in APART:
            assert other in APART[mine], f"{mine} imports {other}"
        assert ORDER.index(other) < ORDER.index(mine), f"{mine} imports {other}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_names_are_imported_from_where_they_are_defined(path):
    for file, names in imported_files(path):
        if file.name != "__init__.py":
            found = set(defined(parse(file)))
            assert set(names) <= found, f"{set(names) - found} are not defined in {file.name}"


def is_private(name):
    return name.startswith("_") and not (name.startswith("__") and name.endswith("__"))


def private_names_made_in(mine):
    """The private names that the files of a room define, or give to their objects."""
    for path in FILES:
        if room(path) != mine:
            continue
        for node in ast.walk(parse(path)):
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                yield node.name
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                yield node.id
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                if isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"):
                    yield node.attr
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value  # in __slots__


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_private_names_stay_in_their_room(path):
    own = set(private_names_made_in(room(path)))
    allowed = {"_getframe", "_asdict", "_replace", "_repr_png_"}  # of Python's own objects
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            assert node.attr in own | allowed, f"line {node.lineno}: {ast.unparse(node)}"
        elif isinstance(node, ast.ImportFrom) and path != PACKAGE / "__init__.py":
            foreign = [a.name for a in node.names if is_private(a.name) and a.name not in own]
            assert not foreign, f"line {node.lineno}: {foreign}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_files_say_their_purpose_and_lines_fit(path):
    text = path.read_text()
    assert ast.get_docstring(ast.parse(text)), "the first line says what the file is for"
    wide = [i for i, line in enumerate(text.splitlines(), 1) if len(line) > 100]
    assert not wide, f"lines wider than 100 columns: {wide}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_no_builtin_is_shadowed_inside_a_modules_own_code(path):
    if path.name == "__init__.py":  # the table of contents exports names as users know them
        return
    assert not set(defined(parse(path))) & set(dir(builtins)) - {"__doc__", "__all__"}


def test_no_global_randomness_and_no_pickle():
    forbidden = [
        "np.random.seed", "np.random.rand(", "np.random.randn", "import random", "import pickle",
        "allow_pickle=True",
    ]  # fmt: skip
    for path in FILES:
        text = path.read_text()
        assert not [word for word in forbidden if word in text], path.name


def test_importing_the_package_imports_numpy_and_nothing_heavier():
    code = (
        "import sys, numpy; before = set(sys.modules); import tinygrad_mnist\n"
        "assert 'numpy.random' not in set(sys.modules) - before\n"
        "print(*sorted({m.split('.')[0] for m in set(sys.modules) - before}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not loaded & HEAVY
    third_party = {m for m in loaded if m not in sys.stdlib_module_names}
    assert third_party <= {"tinygrad_mnist", "numpy"}


def test_every_public_name_is_documented():
    import tinygrad_mnist

    for name in dir(tinygrad_mnist):
        if not name.startswith("_"):
            assert getattr(tinygrad_mnist, name).__doc__, name
