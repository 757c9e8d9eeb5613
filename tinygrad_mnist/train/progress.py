"""The progress of a run: a bar of its steps, and a line every so many epochs."""

import math
import sys
import time
from types import TracebackType
from typing import Self

from .run import Run
from .scores import Tally

__all__ = ["Progress"]


class Progress:
    """A bar and lines, only on rank 0; it shows nothing if `progress` is false."""

    def __init__(self, run: Run, progress: bool | int) -> None:
        from tqdm import tqdm

        plan = run._plan
        every = math.ceil(plan.epochs / 20) if progress is True else int(progress)
        self.every = every if run._ranks.rank == 0 else 0
        self.epochs, self.printed, self.since = plan.epochs, run.epoch, time.perf_counter()
        self.bar = tqdm(
            total=plan.epochs * plan.steps_per_epoch,
            initial=run.epoch * plan.steps_per_epoch,
            disable=not self.every,
            unit="step",
            mininterval=0.1 if sys.stderr.isatty() else 10,  # so that a log file does not fill up
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.bar.close()

    def show_step(self, tally: Tally) -> None:
        """Move the bar on by a step, and show the means of the epoch so far."""
        if self.every:
            means = f"loss {tally.mean_loss():.4f}"
            if tally.answers:
                means += f", accuracy {tally.accuracy():.4f}"
            self.bar.set_postfix_str(means, refresh=False)
            self.bar.update()

    def show_epoch(self, run: Run) -> None:
        """Print a line about the last epoch, every `every` epochs and at the end."""
        if not self.every or (run.epoch % self.every and run.epoch != self.epochs):
            return
        now = time.perf_counter()
        seconds = (now - self.since) / (run.epoch - self.printed)
        self.printed, self.since = run.epoch, now
        name = f"epoch {run.epoch}/{self.epochs}".ljust(len(f"epoch {self.epochs}/{self.epochs}"))
        self.bar.write(f"{name}  {run.history.last()}  {seconds:.2f} s an epoch")
