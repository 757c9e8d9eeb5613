"""Captured: the steps of `fit` as a program, for batches of the size that most of them have."""

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
    """The loss is an infinity or nan; nothing has changed."""


class Captured:
    """Takes steps by a program, which is captured at the second batch of a full size.

    The first batch of a run is left to the eager step, which checks what it can see there; so are
    batches of other shapes, as the last one of an epoch.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._program: Program | None = None
        self._shapes: Any = None

    def take(self, share: Share) -> tuple[float, Any] | None:
        """Take one step; return its loss and outputs, or None if it is not for a program."""
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
