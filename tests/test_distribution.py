"""The wheel and the sdist: what is in them, what they say of themselves, and that they work where they are unpacked."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from email.parser import Parser
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from helpers import ROOT

import tinygrad_mnist

NAME = f"tinygrad_mnist-{tinygrad_mnist.__version__}"
LEFT_BEHIND = (
    "runs/mnist_mlp/model.safetensors",
    "train-images-idx3-ubyte.gz",
    "notes.txt",
    "tests/__pycache__/x.pyc",
)


def run(*command, cwd):
    """Run a program that sees nothing of this checkout, and return what it prints."""
    hidden = ("PYTHONPATH", "PYTEST_ADDOPTS", "COV_CORE_SOURCE")
    environment = {
        **{k: v for k, v in os.environ.items() if k not in hidden},
        "OPENBLAS_NUM_THREADS": "1",
    }
    done = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A folder with the sdist, and the wheel that was built from it, of a checkout with the litter that work leaves."""
    for module in ("build", "hatchling"):
        pytest.importorskip(module, reason=f"builds the distributions: pip install {module}")
    folder = tmp_path_factory.mktemp("distribution")
    litter = shutil.ignore_patterns(
        ".git", ".venv*", "__pycache__", "runs", ".*_cache", ".hypothesis"
    )
    checkout = shutil.copytree(ROOT, folder / "checkout", ignore=litter)
    for name in LEFT_BEHIND:
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).write_text("litter")
    run(
        sys.executable,
        "-m",
        "build",
        "--no-isolation",
        "--outdir",
        folder / "dist",
        checkout,
        cwd=folder,
    )
    return folder / "dist"


@pytest.fixture(scope="module")
def wheel(built):
    return built / f"{NAME}-py3-none-any.whl"


@pytest.fixture(scope="module")
def unpacked(built, tmp_path_factory):
    """The folder of the unpacked sdist."""
    folder = tmp_path_factory.mktemp("sdist")
    with tarfile.open(built / f"{NAME}.tar.gz") as archive:
        archive.extractall(
            folder, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {})
        )
    return folder / NAME


def files_of(folder):
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }


def test_the_wheel_holds_the_package_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    package = {name for name in names if not name.startswith(f"{NAME}.dist-info/")}
    assert package == {f"tinygrad_mnist/{name}" for name in files_of(ROOT / "tinygrad_mnist")}
    assert "tinygrad_mnist/py.typed" in package
    assert f"{NAME}.dist-info/licenses/LICENSE" in names


def test_the_sdist_holds_tests_docs_and_examples_and_no_data(unpacked):
    held = files_of(unpacked)
    for folder in ("tinygrad_mnist", "tests", "docs", "examples"):
        ours = {
            f"{folder}/{name}"
            for name in files_of(ROOT / folder)
            if not name.startswith((".", "_build", "tutorial"))
        }
        ours = {
            name
            for name in ours
            if not {"runs", ".hypothesis", ".ipynb_checkpoints"} & set(PurePosixPath(name).parts)
        }
        assert ours <= held
    assert {"README.md", "LICENSE", "pyproject.toml", "PKG-INFO"} <= held
    assert {PurePosixPath(name).parts[0] for name in held} <= {
        "tinygrad_mnist", "tests", "docs", "examples", "README.md", "LICENSE", "pyproject.toml", "PKG-INFO", ".gitignore",
    }  # fmt: skip
    assert not held & set(LEFT_BEHIND)
    assert sum((unpacked / name).stat().st_size for name in held) < 5_000_000


def test_the_metadata_say_what_it_is(wheel, unpacked):
    with zipfile.ZipFile(wheel) as archive:
        text = archive.read(f"{NAME}.dist-info/METADATA").decode()
        assert (
            "[hypothesis]\ntinygrad_mnist"
            in archive.read(f"{NAME}.dist-info/entry_points.txt").decode()
        )
    about = Parser().parsestr(text)
    assert (about["Name"], about["Version"]) == ("tinygrad-mnist", tinygrad_mnist.__version__)
    assert (about["License-Expression"], about["Requires-Python"]) == ("MIT", ">=3.11")
    classifiers = about.get_all("Classifier")
    assert not [
        name for name in classifiers if name.startswith("License")
    ]  # PEP 639: the expression alone
    assert {"Typing :: Typed", "Programming Language :: Python :: 3 :: Only"} <= set(classifiers)
    links = [line.split(", ")[0] for line in about.get_all("Project-URL")]
    assert links == ["Homepage", "Source", "Issues", "Documentation", "Changelog"]
    needed = {line for line in about.get_all("Requires-Dist") if "extra ==" not in line}
    assert {line.split(">")[0] for line in needed} == {"numpy", "matplotlib", "tqdm", "safetensors"}
    assert about.get_payload().startswith("# tinygrad_mnist")
    assert Parser().parsestr((unpacked / "PKG-INFO").read_text())["Version"] == about["Version"]


PROGRAM = """
import importlib.metadata, sys, tinygrad_mnist as tg
from tinygrad_mnist import nn
assert tg.__file__.startswith(sys.prefix), tg.__file__
assert importlib.metadata.version("tinygrad-mnist") == tg.__version__
x = tg.Tensor([[1.0, 2.0]])
model = nn.Sequential(nn.Linear(2, 3, rng=0), nn.Tanh())
model(x).sum().backward()
print(model[0].weight.grad.shape)
"""


def test_the_wheel_installs_and_runs_in_a_fresh_environment(wheel, tmp_path):
    pytest.importorskip("pip", reason="installs the wheel: needs pip")
    home = tmp_path / "fresh"
    venv.create(home, symlinks=os.name != "nt")
    python = home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    quiet = ("--no-deps", "--no-index", "--no-input", "--disable-pip-version-check", "-q")
    run(sys.executable, "-m", "pip", "--python", python, "install", *quiet, wheel, cwd=tmp_path)
    site = Path(
        run(
            python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=tmp_path
        ).strip()
    )
    # NumPy and the others come from here, after what was installed there: no network is needed
    places = {
        sysconfig.get_path("purelib"),
        sysconfig.get_path("platlib"),
        str(Path(np.__file__).parent.parent),
    }
    (site / "borrowed.pth").write_text("\n".join(places))
    assert run(python, "-W", "error", "-c", PROGRAM, cwd=tmp_path).strip() == "(3, 2)"
    report = run(python, "-W", "error", "-m", "tinygrad_mnist", cwd=tmp_path)
    assert f"{tinygrad_mnist.__version__} in {site.resolve()}" in report


def test_the_tests_of_the_sdist_run_where_it_is_unpacked(unpacked):
    options = ("-q", "-x", "-p", "no:cacheprovider", "-k", "relu")
    assert " passed" in run(
        sys.executable, "-m", "pytest", *options, "tests/test_ops.py", cwd=unpacked
    )
    where = run(
        sys.executable, "-c", "import tinygrad_mnist; print(tinygrad_mnist.__file__)", cwd=unpacked
    )
    assert Path(where.strip()).is_relative_to(unpacked)
