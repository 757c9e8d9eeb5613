"""What training reports for each epoch, and when to stop early."""

import html
import math
from collections.abc import Iterable, Mapping, Sequence

from ..errors import check_size

__all__ = ["EarlyStopping", "History"]


class History(dict[str, list[float]]):
    """What `fit` measured: lists with an entry for each epoch.

    Its keys are `train_loss train_accuracy val_loss val_accuracy lr`, and `train_<name>` and
    `val_<name>` for each metric that `fit` was given. Accuracies are fractions. What does not
    exist (validation without data, the accuracy of a regression) is nan. `lr` is the rate of the
    epoch's last step.
    """

    NAMES = ("train_loss", "train_accuracy", "val_loss", "val_accuracy", "lr")

    def __init__(
        self, values: Mapping[str, Sequence[float]] | None = None, names: Iterable[str] = ()
    ) -> None:
        kept = values or {}
        every = dict.fromkeys((*self.NAMES, *kept, *names))
        super().__init__({name: list(kept.get(name, [])) for name in every})

    def last(self) -> str:
        """Return the last epoch in one line, without nan; the lines of several epochs align."""
        return "  ".join(
            f"{name} {values[-1]:<#10.4g}"
            for name, values in self.items()
            if name != "lr" and not math.isnan(values[-1])
        )

    def _repr_html_(self) -> str:
        """Return a table with a row for each epoch, which a notebook shows."""
        shown = [name for name, column in self.items() if not all(map(math.isnan, column))]
        names = "".join(f"<th>{html.escape(name)}</th>" for name in shown)
        rows = "".join(
            f"<tr><th>{i}</th>{''.join(f'<td>{self[name][i - 1]:.4g}</td>' for name in shown)}</tr>"
            for i in range(1, len(self["lr"]) + 1)
        )
        return f"<table><tr><th>epoch</th>{names}</tr>{rows}</table>"


_FALLING = ("loss", "error", "mae", "mse", "rmse")  # metrics whose names end like this should fall


class EarlyStopping:
    """Stop when a metric has not improved for `patience` epochs.

    Parameters
    ----------
    patience : int
        How many epochs without improvement to allow.
    min_delta : float
        The smallest change that counts as an improvement.
    metric : str
        A key of `History` that begins with `train_` or `val_`.
    restore_best : bool
        Whether the model ends with the parameters of the best epoch.
    mode : {"max", "min"}, optional
        Whether the metric should rise or fall. An accuracy should rise and a loss should fall. If
        the name of the metric does not tell, `mode` is required.

    Raises
    ------
    ValueError
        If a value is out of range, or the metric is unknown.
    """

    def __init__(
        self,
        patience: int,
        min_delta: float = 0.0,
        metric: str = "val_loss",
        restore_best: bool = True,
        *,
        mode: str | None = None,
    ) -> None:
        if not (patience >= 1 and min_delta >= 0):
            raise ValueError(
                "EarlyStopping: expected patience >= 1 and min_delta >= 0, "
                f"got {patience} and {min_delta}"
            )
        if not metric.startswith(("train_", "val_")):
            raise ValueError(
                f"EarlyStopping: expected a metric of {History.NAMES[:4]}, or train_<name> or "
                f"val_<name> of a metric that fit is given, got {metric!r}"
            )
        self.patience = check_size("EarlyStopping", "patience", patience)
        self.min_delta, self.metric, self.restore_best = min_delta, metric, restore_best
        self.mode = _find_mode(metric) if mode is None else mode
        if self.mode not in ("max", "min"):
            raise ValueError(f'EarlyStopping: expected mode "max" or "min", got {mode!r}')

    def best(self, history: Mapping[str, Sequence[float]]) -> int:
        """Return the epoch (from 0) of the last improvement."""
        sign = 1 if self.mode == "max" else -1
        best, epoch = -math.inf, 0
        for i, value in enumerate(history[self.metric]):
            if sign * value > best + self.min_delta:
                best, epoch = sign * value, i
        return epoch

    def wants_stop(self, history: Mapping[str, Sequence[float]]) -> bool:
        """Return whether the last improvement was at least `patience` epochs ago."""
        return len(history[self.metric]) - 1 - self.best(history) >= self.patience


def _find_mode(metric: str) -> str:
    if metric.endswith("accuracy"):
        return "max"
    if metric.endswith(_FALLING):
        return "min"
    raise ValueError(
        f'EarlyStopping: expected mode="max" or mode="min" for {metric}, whose name does not say '
        "whether it is to rise or to fall"
    )
