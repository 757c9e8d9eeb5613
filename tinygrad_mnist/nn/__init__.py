"""Modules and layers, and the initialisers of their weights."""

from . import init as init
from .layers import *  # noqa: F403 - the layers, which its __all__ lists
from .module import Module as Module
