"""The pages in docs/ build into a site without a warning, and every public name stands in its API reference."""

import importlib
import inspect
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import ROOT

import tinygrad_mnist


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    for package in ("sphinx", "myst_nb", "pydata_sphinx_theme"):
        pytest.importorskip(
            package, reason=f"builds the site, which needs {package}: pip install '.[docs]'"
        )
    # a copy, since the build writes the tutorial beside its sources
    root = tmp_path_factory.mktemp("site")
    for part in ("docs", "examples", "tinygrad_mnist"):
        shutil.copytree(
            ROOT / part,
            root / part,
            ignore=shutil.ignore_patterns("_build", "__pycache__", "tutorial.ipynb", "runs"),
        )
    command = [sys.executable, "-m", "sphinx", "-W", "-E", "-q", "-b", "html", "docs", "html"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return root / "html"


def test_it_has_the_pages_and_fetches_nothing_from_the_network(site):
    for page in (ROOT / "docs").rglob("*.md"):
        name = page.relative_to(ROOT / "docs").with_suffix(".html")
        if "_build" not in name.parts:
            text = (site / name).read_text()
            assert not re.findall(r'<(?:script|link|img)[^>]* (?:src|href)="https?:[^"]*"', text), (
                name
            )
    assert (site / "tutorial.html").exists()


def test_the_page_that_runs_without_python_is_embedded(site):
    text = (site / "playground.html").read_text()
    [frame] = re.findall(r'<iframe src="([^"]*)"', text)
    assert (site / frame).read_text() == (ROOT / "docs" / "_static" / "playground.html").read_text()


ROOMS = (
    "",
    ".nn",
    ".nn.init",
    ".optim",
    ".datasets",
    ".train",
    ".checkpoint",
    ".parallel",
    ".plots",
    ".testing",
)


def public_names():
    """What each room offers: its `__all__`, or what its `__init__` imports as itself; modules left out."""
    for room in ROOMS:
        module = importlib.import_module(f"tinygrad_mnist{room}")
        names = re.findall(r"import (\w+) as \1$", Path(module.__file__).read_text(), re.MULTILINE)
        for name in {*names, *getattr(module, "__all__", ())}:
            thing = getattr(module, name)
            if not inspect.ismodule(thing):
                top = (
                    getattr(tinygrad_mnist, name, None) is thing
                )  # documented there, under the shorter name
                yield f"tinygrad_mnist.{name}" if top else f"{module.__name__}.{name}"


def test_every_public_name_stands_in_the_reference(site):
    text = "".join(page.read_text() for page in (site / "api").glob("*.html"))
    documented = set(re.findall(r'<dt[^>]* id="([\w.]+)"', text))
    missing = [name for name in public_names() if name not in documented]
    assert not missing, "each needs a line in docs/api/"
    assert len(documented) > 150
