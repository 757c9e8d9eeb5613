"""Choose names for the values of a program that say what the values are."""

import keyword
import re
from collections import Counter
from collections.abc import Iterable

import numpy as np

from ..arrays import Array
from .tape import Value

__all__ = ["Names", "last_of", "name_constant"]

# Names for the results of operations.
_RESULTS = {
    "linear": "z", "matmul": "z", "conv2d": "z", "conv1d": "z", "relu": "h", "sigmoid": "h",
    "tanh": "h", "gelu": "h", "silu": "h", "elu": "h", "leaky_relu": "h", "softplus": "h",
    "softmax_cross_entropy_of_labels": "loss", "softmax_cross_entropy_of_probabilities": "loss",
    "mse": "loss",
    "sigmoid_cross_entropy": "loss", "l1": "loss", "huber": "loss", "max_pool2d": "pooled",
    "avg_pool2d": "pooled", "normalize": "normal", "dropout": "dropped",
    "scaled_dot_product_attention": "attended", "take": "rows_taken", "getitem": "part",
    "add": "added", "subtract": "difference", "multiply": "product", "divide": "quotient",
    "reshape": "reshaped", "swapaxes": "turned", "transpose": "turned", "sum": "total",
    "exp": "e", "concatenate": "joined", "stack": "stacked", "gru": "states", "lstm": "states",
}  # fmt: skip


def _as_name(text: str) -> str:
    name = re.sub(r"\W+", "_", text).strip("_")
    if not name or name[0].isdigit():
        name = f"v{name}"
    return name + "_" if keyword.iskeyword(name) or name in ("np", "step", "range") else name


class Names:
    """Gives each value a unique name that says what it is."""

    def __init__(self, given: Iterable[Value]) -> None:
        self.names: dict[Value, str] = {}
        self.taken: set[str] = {"np", "step"}
        for value in given:
            self.names[value] = self.free(_as_name(value.name))

    def free(self, name: str) -> str:
        """Return a name that is not used yet, and reserve it."""
        found, number = name, 1
        while found in self.taken:
            number += 1
            found = f"{name}_{number}" if name[-1].isdigit() else f"{name}{number}"
        self.taken.add(found)
        return found

    def name_results(self, values: list[Value], latest: dict[Value, Value]) -> None:
        """Name values in the order of computation, with numbers for several of the same kind."""
        bases = {value: _base(value) for value in values}
        counts = Counter(base for v, base in bases.items() if v.hint.startswith("result of"))
        numbers: Counter[str] = Counter()
        later = []
        first_of = {last_of(value, latest): value for value in values}
        for value in values:
            base = bases[value]
            if value.gradient_of is not None:
                later.append(value)
                continue
            if counts[base] > 1 and base in {"z", "h"} and value.hint.startswith("result of"):
                self.names[value] = self.free(f"{base}{numbers[base]}")
                numbers[base] += 1
            else:
                self.names[value] = self.free(base)
        for value in later:
            target = value.gradient_of
            assert target is not None
            of = self.names.get(target, "")
            if not of:
                first = first_of.get(last_of(target, latest))
                of = self.names.get(value if first is None else first, "x")
            self.names[value] = self.free(f"g{of}{'T' if value.is_turned else ''}")


def _base(value: Value) -> str:
    hint = value.hint
    if hint.startswith("result of "):
        operation = hint.removeprefix("result of ")
        return _as_name(_RESULTS.get(operation, operation))
    return _as_name(hint) if hint else "part"


def name_constant(array: Array) -> str:
    """Return a name for a constant array."""
    if array.ndim == 1 and array.dtype.kind in "iu" and array.size:
        return "rows" if (array == np.arange(array.size)).all() else "places"
    return "mask" if array.dtype == np.bool_ else "constant"


def last_of(value: Value, latest: dict[Value, Value]) -> Value:
    """Return the last of the values that use the same name one after the other."""
    while value in latest:
        value = latest[value]
    return value
