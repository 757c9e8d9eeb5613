"""A small reverse-mode autograd framework on NumPy, with gradient tests that users can import."""

import typing as _typing
from importlib import import_module as _import_module

from . import nn as nn
from . import optim as optim
from .anomaly import detect_anomaly as detect_anomaly
from .derivatives import grad as grad
from .derivatives import hessian as hessian
from .derivatives import hvp as hvp
from .derivatives import jacobian as jacobian
from .derivatives import jvp as jvp
from .derivatives import value_and_grad as value_and_grad
from .derivatives import vjp as vjp
from .errors import AnomalyError as AnomalyError
from .errors import CheckpointError as CheckpointError
from .errors import DataError as DataError
from .errors import GradcheckError as GradcheckError
from .errors import GraphError as GraphError
from .errors import ShapeError as ShapeError
from .ops import foreign as _foreign
from .ops.activation import elu as elu
from .ops.activation import erf as erf
from .ops.activation import gelu as gelu
from .ops.activation import leaky_relu as leaky_relu
from .ops.activation import log_sigmoid as log_sigmoid
from .ops.activation import logaddexp as logaddexp
from .ops.activation import relu as relu
from .ops.activation import sigmoid as sigmoid
from .ops.activation import silu as silu
from .ops.activation import softplus as softplus
from .ops.arithmetic import add as add
from .ops.arithmetic import clip as clip
from .ops.arithmetic import divide as divide
from .ops.arithmetic import maximum as maximum
from .ops.arithmetic import minimum as minimum
from .ops.arithmetic import multiply as multiply
from .ops.arithmetic import negative as negative
from .ops.arithmetic import power as power
from .ops.arithmetic import square as square
from .ops.arithmetic import subtract as subtract
from .ops.arithmetic import where as where
from .ops.attention import scaled_dot_product_attention as scaled_dot_product_attention
from .ops.conv import avg_pool2d as avg_pool2d
from .ops.conv import conv1d as conv1d
from .ops.conv import conv2d as conv2d
from .ops.conv import max_pool2d as max_pool2d
from .ops.cross_entropy import sigmoid_cross_entropy as sigmoid_cross_entropy
from .ops.cross_entropy import softmax_cross_entropy as softmax_cross_entropy
from .ops.elementwise import abs_ as abs
from .ops.elementwise import ceil as ceil
from .ops.elementwise import exp as exp
from .ops.elementwise import expm1 as expm1
from .ops.elementwise import floor as floor
from .ops.elementwise import log as log
from .ops.elementwise import log1p as log1p
from .ops.elementwise import log2 as log2
from .ops.elementwise import log10 as log10
from .ops.elementwise import reciprocal as reciprocal
from .ops.elementwise import round_ as round
from .ops.elementwise import sign as sign
from .ops.elementwise import sqrt as sqrt
from .ops.index import diagonal as diagonal
from .ops.index import repeat as repeat
from .ops.index import sort as sort
from .ops.index import take as take
from .ops.index import take_along_axis as take_along_axis
from .ops.index import trace as trace
from .ops.index import tril as tril
from .ops.index import triu as triu
from .ops.linear import dot as dot
from .ops.linear import einsum as einsum
from .ops.linear import linear as linear
from .ops.linear import matmul as matmul
from .ops.linear import outer as outer
from .ops.loss import huber as huber
from .ops.loss import l1 as l1
from .ops.loss import mse as mse
from .ops.norm import batch_norm as batch_norm
from .ops.norm import dropout as dropout
from .ops.norm import layer_norm as layer_norm
from .ops.norm import log_softmax as log_softmax
from .ops.norm import softmax as softmax
from .ops.reduce import cumprod as cumprod
from .ops.reduce import cumsum as cumsum
from .ops.reduce import logsumexp as logsumexp
from .ops.reduce import max_ as max
from .ops.reduce import mean as mean
from .ops.reduce import min_ as min
from .ops.reduce import norm as norm
from .ops.reduce import prod as prod
from .ops.reduce import std as std
from .ops.reduce import sum_ as sum
from .ops.reduce import var as var
from .ops.shape import broadcast_to as broadcast_to
from .ops.shape import concatenate as concatenate
from .ops.shape import expand_dims as expand_dims
from .ops.shape import flip as flip
from .ops.shape import moveaxis as moveaxis
from .ops.shape import pad as pad
from .ops.shape import reshape as reshape
from .ops.shape import roll as roll
from .ops.shape import split as split
from .ops.shape import squeeze as squeeze
from .ops.shape import stack as stack
from .ops.shape import swapaxes as swapaxes
from .ops.shape import tile as tile
from .ops.shape import transpose as transpose
from .ops.trigonometry import arccos as arccos
from .ops.trigonometry import arcsin as arcsin
from .ops.trigonometry import arctan as arctan
from .ops.trigonometry import arctan2 as arctan2
from .ops.trigonometry import cos as cos
from .ops.trigonometry import cosh as cosh
from .ops.trigonometry import sin as sin
from .ops.trigonometry import sinh as sinh
from .ops.trigonometry import tan as tan
from .ops.trigonometry import tanh as tanh
from .program import Program as Program
from .program import program as program
from .tensor import Tensor as Tensor
from .tensor import apply as apply
from .tensor import from_numpy as from_numpy
from .tensor import no_grad as no_grad

__version__ = "0.1.0"

_ROOMS = ("checkpoint", "datasets", "parallel", "plots", "testing", "train")

if _typing.TYPE_CHECKING:
    from . import checkpoint as checkpoint
    from . import datasets as datasets
    from . import parallel as parallel
    from . import plots as plots
    from . import testing as testing
    from . import train as train
else:  # hidden from type checkers, because a module with a __getattr__ accepts every name

    def __getattr__(name: str) -> _typing.Any:
        """Import a subpackage when it is first used, so that the engine loads as fast as NumPy."""
        if name in _ROOMS:
            return _import_module(f".{name}", __name__)
        raise AttributeError(
            _foreign.missing(f"module {__name__!r}", name, _foreign.FUNCTIONS), name=name
        )
