"""The training loop: fit, evaluate, predict, and what they report."""

from .history import EarlyStopping as EarlyStopping
from .history import History as History
from .loop import fit as fit
from .measure import Metrics as Metrics
from .measure import evaluate as evaluate
from .measure import predict as predict
from .run import Run as Run
