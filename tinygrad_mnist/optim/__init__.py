"""Optimizers, and schedules for their learning rates."""

import typing as _typing

from ..ops.foreign import missing as _missing
from . import foreign as _foreign
from .adam import Adam as Adam
from .adam import AdamW as AdamW
from .adam import RMSprop as RMSprop
from .base import Optimizer as Optimizer
from .base import clip_grad_norm as clip_grad_norm
from .groups import Group as Group
from .groups import Pair as Pair
from .groups import Range as Range
from .ranks import Ranks as Ranks
from .schedules import CosineLR as CosineLR
from .schedules import OneCycleLR as OneCycleLR
from .schedules import Schedule as Schedule
from .schedules import StepLR as StepLR
from .sgd import SGD as SGD

if not _typing.TYPE_CHECKING:  # because a module with a __getattr__ accepts every name

    def __getattr__(name: str) -> _typing.NoReturn:
        """Raise the error for an unknown name, with our name for it if other libraries have it."""
        raise AttributeError(_missing(f"module {__name__!r}", name, _foreign.OPTIMIZERS), name=name)
