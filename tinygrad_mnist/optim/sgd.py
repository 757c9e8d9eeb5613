"""Stochastic gradient descent, with two kinds of momentum."""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from ..arrays import Array
from .base import Optimizer
from .groups import Params, Range

__all__ = ["SGD"]


class SGD(Optimizer):
    """Stochastic gradient descent: v = momentum * v + g, w -= lr * v.

    g includes weight_decay * w.

    Parameters
    ----------
    params : iterable of Tensors, or list of groups
    lr : float
    momentum : float in [0, 1)
        0 keeps no velocity.
    nesterov : bool
        Step along g + momentum * v instead of v.
    weight_decay : float
        The factor of the L2 penalty.

    References
    ----------
    Sutskever et al. (2013), On the importance of initialization and momentum in deep learning, in
    PyTorch's form.

    Examples
    --------
    >>> from tinygrad_mnist import Tensor
    >>> w = Tensor([1.0], requires_grad=True)
    >>> optimizer = SGD([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.data
    array([0.8], dtype=float32)
    """

    optional_slots: ClassVar[Mapping[str, str]] = {"velocity": "momentum"}
    ranges: ClassVar[Mapping[str, Range]] = {"momentum": Range(below=1)}
    momentum: float
    nesterov: bool
    weight_decay: float

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        *,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(
            params, lr, momentum=momentum, nesterov=nesterov, weight_decay=weight_decay
        )
        if any(group["nesterov"] and group["momentum"] == 0 for group in self.param_groups):
            raise ValueError("SGD: nesterov needs a momentum above 0, got 0")

    def _update(self, w: Array, g: Array, state: dict[str, Array]) -> None:
        if self.momentum:
            velocity = state["velocity"]
            np.add(np.multiply(velocity, self.momentum, out=velocity), g, out=velocity)
            if self.nesterov:
                ahead = np.multiply(velocity, self.momentum, out=self._buffer(w))
                g = np.add(ahead, g, out=ahead)
            else:
                g = velocity
        np.subtract(w, np.multiply(g, self.lr, out=self._buffer(w)), out=w)
