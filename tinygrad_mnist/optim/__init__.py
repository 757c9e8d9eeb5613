"""Optimizers, and schedules of their learning rates."""

from .adam import Adam as Adam
from .adam import AdamW as AdamW
from .adam import RMSprop as RMSprop
from .schedules import CosineLR as CosineLR
from .schedules import OneCycleLR as OneCycleLR
from .schedules import Schedule as Schedule
from .schedules import StepLR as StepLR
from .sgd import SGD as SGD
from .sgd import Optimizer as Optimizer
from .sgd import clip_grad_norm as clip_grad_norm
