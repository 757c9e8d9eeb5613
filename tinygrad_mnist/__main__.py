"""What a bug report needs to name: python -m tinygrad_mnist prints the versions, the machine and where the data are."""

import os
import platform
from importlib import metadata
from pathlib import Path

import numpy as np

from . import __version__
from .datasets import cache_folder


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _blas() -> str:
    blas = np.show_config(mode="dicts").get("Build Dependencies", {}).get("blas", {})
    built = f"{blas.get('name', 'unknown')} {blas.get('version', '')}"
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return f"{built}; loaded: not known without threadpoolctl"
    loaded = [f"{x['internal_api']} {x['version']}, threads: {x['num_threads']}" for x in threadpool_info()]
    return f"{built}; loaded: {'; '.join(loaded) or 'none that threadpoolctl knows'}"


def _files(folder: Path) -> str:
    try:
        return ", ".join(sorted(path.name for path in folder.iterdir())) or "empty"
    except OSError as error:
        return error.strerror or type(error).__name__


if __name__ == "__main__":
    rows = {"tinygrad_mnist": f"{__version__} in {Path(__file__).resolve().parent}"}
    rows["Python"] = f"{platform.python_implementation()} {platform.python_version()} on {platform.platform()}"
    rows["cores"] = str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count())
    rows |= {"NumPy": np.__version__, "BLAS": _blas()}
    rows |= {name: _version(name) for name in ("matplotlib", "tqdm", "safetensors", "hypothesis", "mpi4py", "mlxtend")}
    rows["TINYGRAD_MNIST_DATA"] = os.environ.get("TINYGRAD_MNIST_DATA") or "not set"
    rows["cache"] = f"{cache_folder()}: {_files(cache_folder())}"
    for name, what in rows.items():
        print(f"{name:<20} {what}")
