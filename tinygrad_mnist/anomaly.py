"""detect_anomaly(): find the operation behind the first NaN, or behind a secretly changed array."""

import os
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakKeyDictionary

import numpy as np

from .arrays import Array
from .errors import AnomalyError
from .graph import Grads, Kernel, Node, Watch, mode, op_name, saved_arrays, watching

__all__ = ["detect_anomaly"]

_PACKAGE = os.path.join(
    os.path.dirname(__file__), ""
)  # with the separator, so that tinygrad_mnist_app is not part of it


class _Detector(Watch):
    def __init__(self) -> None:
        self.checksums: WeakKeyDictionary[Node, list[tuple[Array, int]]] = WeakKeyDictionary()

    def forward(self, kernel: Kernel, arrays: list[Array], y: Array, node: Node | None) -> None:
        origin = _user_line()
        if node is not None:
            node.origin = origin
            self.checksums[node] = [(a, _checksum(a)) for a in saved_arrays(node)]
        if not np.isfinite(y).all():
            shapes = ", ".join(f"{a.dtype}{list(a.shape)}" for a in arrays)
            raise AnomalyError(
                f"{op_name(kernel)}: forward gave {_first(y)} from inputs {shapes}; "
                f"created at {origin}"
            )

    def before_vjp(self, node: Node) -> None:
        for array, checksum in self.checksums.get(node, ()):
            if _checksum(array) != checksum:
                saved = f"an array of shape {array.shape} that it saved"
                raise AnomalyError(
                    f"{node.name}: {saved} was changed before backward; created at {node.origin}"
                )

    def after_vjp(self, node: Node, gradients: Grads) -> None:
        for i, gradient in enumerate(gradients):
            if gradient is not None and not np.isfinite(gradient).all():
                origin = node.origin or "a line outside detect_anomaly()"
                found = _first(np.asarray(gradient))
                raise AnomalyError(
                    f"{node.name}: backward gave {found} for input {i}; created at {origin}"
                )


def _first(a: Array) -> str:
    index = tuple(int(i) for i in np.argwhere(~np.isfinite(a))[0])
    return f"{a[index]} at index {index} of shape {a.shape}"


def _checksum(a: Array) -> int:
    return zlib.crc32(np.ascontiguousarray(a).data)


def _user_line() -> str:
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    return f'File "{frame.f_code.co_filename}", line {frame.f_lineno}, in {frame.f_code.co_name}'


@contextmanager
def detect_anomaly() -> Iterator[None]:
    """Raise AnomalyError at the first NaN or infinity inside the `with` block, in this thread.

    It checks results and gradients. The error names the operation and the line of your code that
    created it. The check also finds an array that a graph saved and that your code then changed
    without the library's knowledge (`t.data[0] = 1`). Use it only for debugging, because it reads
    every array once more.

    Raises
    ------
    AnomalyError

    Examples
    --------
    >>> from tinygrad_mnist import Tensor, detect_anomaly
    >>> with detect_anomaly():
    ...     Tensor([1.0, 0.0]).log()
    Traceback (most recent call last):
    tinygrad_mnist.errors.AnomalyError: log: forward gave -inf at index (1,) of shape (2,) from
    inputs float32[2]; ...
    """
    # A nested detect_anomaly() reuses the outer one's records.
    now = mode().watch
    watch = now if isinstance(now, _Detector) else _Detector()
    with watching(watch), np.errstate(all="ignore"):  # the error says more than NumPy's warning
        yield
