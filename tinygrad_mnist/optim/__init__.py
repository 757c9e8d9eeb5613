"""Optimizers, and schedules of their learning rates."""

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
