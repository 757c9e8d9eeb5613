"""Programs: a training step captured as straight-line NumPy."""

from .program import Program as Program
from .program import program as program
