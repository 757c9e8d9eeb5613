"""Every Python block of the README and of docs/ runs and prints what its page says, and every link leads somewhere."""

import doctest
import inspect
import re
import tomllib

import pytest
from helpers import ROOT

import tinygrad_mnist
from tinygrad_mnist.ops import activation

PAGES = [
    ROOT / "README.md",
    *(
        page
        for page in sorted((ROOT / "docs").rglob("*.md"))
        if "_build" not in page.relative_to(ROOT).parts
    ),
]
# a block of Python, and what it prints, if a block of text follows it at once
BLOCK = re.compile(r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```)?", re.DOTALL | re.MULTILINE)
BLOCKS = {
    str(page.relative_to(ROOT)): found
    for page in PAGES
    if (found := BLOCK.findall(page.read_text()))
}


@pytest.mark.parametrize("page", BLOCKS)
def test_blocks_run_in_order_and_print_what_the_page_says(
    page, digits, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TINYGRAD_MNIST_DATA", str(digits))
    namespace = {"__name__": "block"}
    for i, (code, expected) in enumerate(BLOCKS[page]):
        exec(compile(code, f"{page}, block {i}", "exec"), namespace)
        printed = capsys.readouterr().out
        if expected:
            options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
            assert doctest.OutputChecker().check_output(expected, printed, options), (
                f"{page}, block {i} prints\n{printed}"
            )


def test_the_readme_says_what_its_first_block_prints(capsys):
    code = BLOCKS["README.md"][0][0]
    exec(compile(code, "block", "exec"), {})
    assert capsys.readouterr().out.strip() == re.findall(r"# (loss .*)", code)[-1]


def test_the_example_of_an_operation_is_the_real_one():
    page = (ROOT / "docs" / "contributing.md").read_text()
    kernel, relu = map(inspect.getsource, (activation._relu, activation.relu))
    assert f"{kernel}\n\n{relu}" in page
    row = re.search(
        r'^    "relu": .*?^    \),\n',
        (ROOT / "tests" / "op_table.py").read_text(),
        re.DOTALL | re.MULTILINE,
    )
    assert row[0] in page


def test_every_operation_of_the_reference_has_an_example():
    page = (ROOT / "docs" / "api" / "ops.md").read_text()
    operations = re.findall(r"autofunction:: (\w+)", page)
    assert len(operations) > 90
    without = [name for name in operations if ">>> " not in getattr(tinygrad_mnist, name).__doc__]
    assert not without


def prose(page):
    """A page without its blocks of code."""
    return re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)


def anchors(page):
    """The names of a page's headings in links, as GitHub and MyST make them."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_of_the_pages_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        place = page.parent / path if path else page
        assert place.exists(), f"{page.name}: {target}"
        if anchor:
            assert anchor in anchors(place), f"{page.name}: {target}"


def test_the_readme_shows_its_pictures_on_pypi_too():
    """PyPI knows no relative address, so each is the repository's, of a file that is in it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    raw = project["urls"]["Source"].replace("//github.com/", "//raw.githubusercontent.com/")
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]*)\)", (ROOT / "README.md").read_text())
    assert len(pictures) >= 2
    for address in pictures:
        assert address.startswith(f"{raw}/main/")
        assert (ROOT / address.removeprefix(f"{raw}/main/")).is_file()
