"""Readers for MNIST and similar data sets in all common file layouts, and batches."""

from .batches import Batches as Batches
from .batches import normalize as normalize
from .batches import one_hot as one_hot
from .batches import train_val_split as train_val_split
from .download import cache_folder as cache_folder
from .mnist import MNIST as MNIST
from .mnist import Split as Split
from .mnist import load_mnist as load_mnist
from .tables import read_csv as read_csv
