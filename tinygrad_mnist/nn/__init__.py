"""Modules and layers, and initialisers for their weights."""

import typing as _typing

from ..ops.foreign import missing as _missing
from . import foreign as _foreign
from . import init as init
from .activations import ELU as ELU
from .activations import GELU as GELU
from .activations import Identity as Identity
from .activations import LeakyReLU as LeakyReLU
from .activations import ReLU as ReLU
from .activations import Sigmoid as Sigmoid
from .activations import SiLU as SiLU
from .activations import Softmax as Softmax
from .activations import Softplus as Softplus
from .activations import Tanh as Tanh
from .attention import MultiheadAttention as MultiheadAttention
from .convolution import AvgPool2d as AvgPool2d
from .convolution import Conv1d as Conv1d
from .convolution import Conv2d as Conv2d
from .convolution import Flatten as Flatten
from .convolution import MaxPool2d as MaxPool2d
from .dense import Embedding as Embedding
from .dense import Linear as Linear
from .module import Module as Module
from .normalization import BatchNorm1d as BatchNorm1d
from .normalization import BatchNorm2d as BatchNorm2d
from .normalization import Dropout as Dropout
from .normalization import LayerNorm as LayerNorm
from .recurrent import GRU as GRU
from .recurrent import LSTM as LSTM
from .sequential import Sequential as Sequential

if not _typing.TYPE_CHECKING:  # because a module with a __getattr__ accepts every name

    def __getattr__(name: str) -> _typing.NoReturn:
        """Raise the error for an unknown name, with our name for it if other libraries have it."""
        raise AttributeError(
            _missing(f"module {__name__!r}", name, _foreign.advice_for_layer(name)), name=name
        )
