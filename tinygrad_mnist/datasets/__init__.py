"""Readers of MNIST in every format that it comes in, and batches of it."""

from .batches import Batches as Batches
from .batches import normalize as normalize
from .batches import one_hot as one_hot
from .batches import train_val_split as train_val_split
from .mnist import MNIST as MNIST
from .mnist import Split as Split
from .mnist import cache_folder as cache_folder
from .mnist import load_mnist as load_mnist
from .tables import read_csv as read_csv
