"""Sphinx configuration: python -m sphinx -W -E -b html docs docs/_build/html."""

import re
import shutil
import sys
from importlib import import_module
from pathlib import Path

from sphinx.addnodes import pending_xref
from sphinx.domains.python import PyXRefRole
from sphinx.pycode import ModuleAnalyzer

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
shutil.copyfile(HERE.parent / "examples" / "mnist_tutorial.ipynb", HERE / "tutorial.ipynb")

import tinygrad_mnist  # noqa: E402 - from this folder's parent, installed or not

project = html_title = "tinygrad_mnist"
author = copyright = "The tinygrad_mnist authors"
release = tinygrad_mnist.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
]
exclude_patterns = ["_build"]
nb_execution_mode = "off"
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
highlight_language = "python"
copybutton_prompt_text = r">>> |\.\.\. |\$ "  # copied without the prompt, and without the output
copybutton_prompt_is_regexp = True

autodoc_typehints = "none"  # the docstrings say it in words
autodoc_preserve_defaults = True
autodoc_member_order = "bysource"
napoleon_google_docstring = napoleon_use_rtype = False
add_module_names = False
toc_object_entries_show_parents = "hide"
default_role = "name"
suppress_warnings = ["ref.python"]  # a name that several classes have: any of them will do

html_theme = "pydata_sphinx_theme"
html_theme_options = {
    "show_prev_next": True,
    "navbar_end": ["theme-switcher"],
    "footer_start": ["copyright"],
    "footer_end": [],
}
html_sidebars = {"index": [], "quickstart": []}  # no pages below them
html_static_path = ["_static"]
html_css_files = ["wide.css"]
html_copy_source = html_show_sourcelink = False


class Name(PyXRefRole):
    """Single backticks in docstrings: a link if they hold a name, else code."""

    def process_link(self, env, refnode, has_explicit_title, title, target):
        """Look a class up anywhere, a function only in the module or class at hand."""
        super().process_link(env, refnode, has_explicit_title, title, target)
        refnode["refdomain"], refnode["reftype"] = "py", "obj"
        refnode.attributes.pop("refspecific", None)
        if re.fullmatch(r"[A-Z]\w+", title):
            refnode["refspecific"] = True
        return title, target if re.fullmatch(r"[\w.]+", target) else ""


def unlink_words(app, doctree):
    """Leave words of a type, as in "ndarray of shape (N, ...)", as words: only classes link."""
    for reference in list(doctree.findall(pending_xref)):
        if reference["reftype"] == "class" and reference["reftarget"].islower():
            reference.replace_self(reference.children)


def find_source(app, modname):
    """Let [source] find what the package exports under another name, such as `sum_` as `sum`."""
    analyzer = ModuleAnalyzer.for_module(modname)
    analyzer.analyze()
    tags = dict(analyzer.tags)
    functions = vars(import_module(modname))
    for name, thing in vars(tinygrad_mnist).items():
        own = getattr(thing, "__name__", name)
        if own in tags and functions.get(own) is thing:
            tags.setdefault(name, tags[own])
    return analyzer.code, tags


def setup(app):
    """Add what this file defines to Sphinx."""
    app.add_role("name", Name())
    app.connect("doctree-read", unlink_words)
    app.connect("viewcode-find-source", find_source)
