"""Print what a bug report needs: versions, the machine, the data (python -m tinygrad_mnist)."""

import os
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


if __name__ == "__main__":
    rows = {"tinygrad_mnist": f"{__version__} in {Path(__file__).resolve().parent}"}
    rows |= {
        name: _version(name)
        for name in ("matplotlib", "tqdm", "safetensors", "hypothesis", "mpi4py", "mlxtend")
    }
    rows["cores"] = str(
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    )
    blas = np.show_config(mode="dicts").get("Build Dependencies", {}).get("blas", {})
    rows["BLAS"] = f"built with {blas.get('name', 'unknown')} {blas.get('version', '')}"
    rows["TINYGRAD_MNIST_DATA"] = os.environ.get("TINYGRAD_MNIST_DATA") or "not set"
    rows["cache"] = str(cache_folder())
    for name, what in rows.items():
        print(f"{name:<20} {what}")
    # NumPy and Python, the machine, and (where threadpoolctl is installed) the loaded BLAS with its
    # threads
    np.show_runtime()
