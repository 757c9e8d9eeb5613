"""Print, for each operation, how far its gradient is from both numeric ones: python tests/accuracy.py."""

import numpy as np
from op_table import TABLE

from tinygrad_mnist.errors import GradcheckError
from tinygrad_mnist.testing import gradcheck, numeric


def worst(row, method):
    """Return the largest relative error over the row's cases, by a checker whose every comparison is written down."""
    errors = []
    kind = {"central": numeric.Central, "complex": numeric.Complex}[method]
    plain = kind.slope

    def slope(self, k, direction, expected):
        found = plain(self, k, direction, expected)
        errors.append(abs(found[0] - expected) / max(abs(expected), abs(found[0]), 1e-3))
        return found

    kind.slope = slope
    rng = np.random.default_rng(0)
    try:
        for case in row.cases:
            shapes, params = (
                (case[:-1], case[-1]) if case and isinstance(case[-1], dict) else (case, {})
            )
            inputs = [np.asarray(rng.uniform(*row.domain, shape)) for shape in shapes]
            try:
                gradcheck(lambda *x, params=params: row.op(*x, **params), *inputs, method=method)
            except GradcheckError as error:
                print(error)
    finally:
        kind.slope = plain
    return max(errors, default=0.0)


def main():
    print("| operation | central differences | complex step |\n|---|---|---|")
    for name, row in TABLE.items():
        print(f"| `{name}` | {worst(row, 'central'):.0e} | {worst(row, 'complex'):.0e} |")


if __name__ == "__main__":
    main()
