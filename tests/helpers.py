"""What several test files use."""

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parent.parent


def idx_bytes(array: Any) -> bytes:
    """An IDX file of unsigned bytes."""
    a = np.asarray(array)
    return (
        bytes([0, 0, 8, a.ndim])
        + struct.pack(f">{a.ndim}I", *a.shape)
        + a.astype(np.uint8).tobytes()
    )


def write_idx(path: Path, array: Any) -> None:
    content = idx_bytes(array)
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
