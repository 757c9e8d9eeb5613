"""Print how far each operation's derivatives are from numeric ones: python tests/accuracy.py."""

from unittest import mock

import numpy as np
from op_table import TABLE

from tinygrad_mnist.errors import GradcheckError
from tinygrad_mnist.testing import gradcheck, numeric


def worst(row, kind, order, **options):
    """Return the largest relative error of one order, over the row's cases."""
    errors = [0.0]
    plain = kind.slopes

    def slopes(self, k, direction, expected):
        found = plain(self, k, direction, expected)
        if self.checked.name.count("the vjp of") == order - 1:
            errors.extend(
                abs(f.slope - e) / max(abs(e), abs(f.slope), 1e-3)
                for f, e in zip(found, expected, strict=True)
            )
        return found

    rng = np.random.default_rng(0)
    with mock.patch.object(kind, "slopes", slopes):
        for case in row.cases:
            *shapes, params = case if case and isinstance(case[-1], dict) else (*case, {})
            inputs = [np.asarray(rng.uniform(*row.domain, shape)) for shape in shapes]
            try:
                gradcheck(
                    lambda *x, params=params: row.op(*x, **params), *inputs, order=order, **options
                )
            except GradcheckError as error:
                print(error)
    return max(errors)


def main():
    print("| operation | central differences | complex step | second order, central |")
    print("|---|---|---|---|")
    for name, row in TABLE.items():
        first = f"{worst(row, numeric.Central, 1):.0e}"
        second = f"{worst(row, numeric.Central, 2):.0e}"
        exact = f"{worst(row, numeric.Complex, 1, method='complex'):.0e}" if row.analytic else ""
        print(f"| `{name}` | {first} | {exact} | {second} |")


if __name__ == "__main__":
    main()
