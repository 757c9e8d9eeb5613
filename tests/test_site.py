"""The pages in docs/ build into a site without a warning, and every public name stands in its API reference."""

import importlib
import inspect
import json
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
    for package in ("sphinx", "myst_nb", "pydata_sphinx_theme", "sphinx_copybutton"):
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


def test_functions_and_classes_lead_to_their_source(site):
    text = "".join(page.read_text() for page in (site / "api").glob("*.html"))
    signatures = re.findall(r'<dt class="sig[^>]* id="([\w.]+)">(.*?)</dt>', text, re.DOTALL)
    linked = {name for name, signature in signatures if "viewcode-link" in signature}
    missing = [
        name
        for name in public_names()
        if name not in linked and name != "tinygrad_mnist.__version__"
    ]
    assert not missing
    # The function sum_ is exported as sum. Its link leads to the function, not to the whole file.
    assert 'href="../_modules/tinygrad_mnist/ops/reduce.html#sum"' in text
    source = (site / "_modules" / "tinygrad_mnist" / "ops" / "reduce.html").read_text()
    assert "sum_" in source.split('id="sum">')[1][:300]


def test_blocks_of_code_have_a_copy_button_that_leaves_out_prompts(site):
    assert "copybutton.js" in (site / "quickstart.html").read_text()
    assert ">>> " in (site / "_static" / "copybutton.js").read_text()


@pytest.mark.parametrize(
    ("stem", "page"),
    [
        ("embed", "sequences"),
        ("attent", "sequences"),
        ("callback", "models"),
        ("parquet", "data"),
    ],
)
def test_the_search_finds_what_users_look_for(site, stem, page):
    text = (site / "searchindex.js").read_text()
    index = json.loads(text[text.index("(") + 1 : text.rindex(")")])
    found = index["terms"].get(stem, [])
    titles = index["titleterms"].get(stem, [])
    numbers = [n for part in (found, titles) for n in (part if isinstance(part, list) else [part])]
    assert page in {index["docnames"][number] for number in numbers}
