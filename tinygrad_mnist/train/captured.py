"""Captured: takes the steps of `fit` by a captured program, for all batches of the full size."""

from collections.abc import Callable
from typing import Any

from ..arrays import Array, is_finite
from ..program import Program, program
from ..tensor import from_numpy
from .feed import Share
from .run import Run
from .scores import map_outputs

__all__ = ["Captured", "NotFinite"]


class NotFinite(Exception):  # noqa: N818 - fit makes an AnomalyError of it
    """The loss is infinite or nan, and nothing has changed."""


class Captured:
    """Takes steps by a program, which is captured at the second full batch.

    The eager step takes the first batch of a run, because it makes some checks there. It also takes
    batches of other shapes, such as the last one of an epoch.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._program: Program | None = None
        self._shapes: Any = None

    def take(self, share: Share) -> tuple[float, Any] | None:
        """Take one step and return its loss and outputs; None if the program cannot take it."""
        targets = share.targets if isinstance(share.targets, tuple) else (share.targets,)
        arrays = (*share.inputs, *targets)
        shapes = [(a.shape, a.dtype) for a in arrays]
        if self._program is None:
            if not self._run._checked or (self._shapes is not None and self._shapes != shapes):
                return None
            self._shapes = shapes
            self._program = program(self._make_step(share), *arrays)
        if shapes != self._shapes:
            return None
        loss, outputs = self._program(*arrays)
        return float(loss), map_outputs(from_numpy, outputs)

    def _make_step(self, share: Share) -> Callable[..., Any]:
        """Return the step as a function of the arrays of a batch."""
        plan = self._run._plan
        model, optimizer, loss = self._run.model, self._run.optimizer, plan.loss
        count, clip_norm = len(share.inputs), plan.clip_norm
        several = isinstance(share.targets, tuple)

        def step(*arrays: Array) -> Any:
            optimizer.zero_grad()
            outputs = model(*map(from_numpy, arrays[:count]))
            targets = arrays[count:] if several else arrays[count]
            value = loss(outputs, targets)
            if not is_finite(value.data):
                raise NotFinite(value.item())
            value.backward()
            optimizer.step(clip_norm=clip_norm)
            return value, outputs

        return step
