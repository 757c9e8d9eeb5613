"""Optimizers that scale the step of each element by its past gradients: Adam, AdamW, RMSprop."""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from ..arrays import Array
from .base import Optimizer
from .groups import Pair, Params, Range

__all__ = ["Adam", "AdamW", "RMSprop"]


class Adam(Optimizer):
    """Adam: w -= lr * m' / (sqrt(v') + eps).

    m and v are the running means of g and g**2. m' and v' are corrected for the start of m and v
    at 0.

    Parameters
    ----------
    params : iterable of Tensors, or list of groups
    lr : float
    betas : (float, float) in [0, 1)
        The fractions of the running means of g and g**2 that each step keeps.
    eps : float
    weight_decay : float
        The factor of the L2 penalty. Its gradient, weight_decay * w, is added to g.

    References
    ----------
    Kingma & Ba (2015), Adam: a method for stochastic optimization, in PyTorch's form.
    """

    slots: ClassVar[tuple[str, ...]] = ("mean", "square")
    ranges: ClassVar[Mapping[str, Range]] = {"betas": Pair(below=1)}
    betas: tuple[float, float]
    eps: float
    weight_decay: float

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, lr, betas=betas, eps=eps, weight_decay=weight_decay)

    def _update(self, w: Array, g: Array, state: dict[str, Array]) -> None:
        mean, square = state["mean"], state["square"]
        steps = state["steps"].item()
        beta1, beta2 = self.betas
        scratch = self._buffer(w)
        if self.decoupled and self.weight_decay:
            np.multiply(w, 1 - self.lr * self.weight_decay, out=w)
        np.multiply(mean, beta1, out=mean)
        np.add(mean, np.multiply(g, 1 - beta1, out=scratch), out=mean)
        np.multiply(g, g, out=scratch)
        np.multiply(scratch, 1 - beta2, out=scratch)
        np.add(np.multiply(square, beta2, out=square), scratch, out=square)
        # The step is lr * (m / c1) / (sqrt(v / c2) + eps). The corrections c1 and c2 are moved
        # into the scalars, because this saves two passes over the arrays.
        root = (1 - beta2**steps) ** 0.5
        np.add(np.sqrt(square, out=scratch), self.eps * root, out=scratch)
        np.divide(mean, scratch, out=scratch)
        np.subtract(
            w, np.multiply(scratch, self.lr * root / (1 - beta1**steps), out=scratch), out=w
        )


class AdamW(Adam):
    """Adam with decoupled weight decay: `w *= 1 - lr * weight_decay` before Adam's step.

    Parameters
    ----------
    params, lr, betas, eps
        As in `Adam`.
    weight_decay : float

    References
    ----------
    Loshchilov & Hutter (2019), Decoupled weight decay regularization.
    """

    decoupled: ClassVar[bool] = True

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(params, lr, betas=betas, eps=eps, weight_decay=weight_decay)


class RMSprop(Optimizer):
    """RMSprop: w -= lr * g / (sqrt(v) + eps), where v is the running mean of g**2.

    With momentum, u = momentum * u + g / (sqrt(v) + eps) and w -= lr * u.

    Parameters
    ----------
    params : iterable of Tensors, or list of groups
    lr : float
    alpha : float in [0, 1)
        The fraction of the running mean that each step keeps.
    eps : float
    weight_decay : float
        The factor of the L2 penalty. Its gradient, weight_decay * w, is added to g.
    momentum : float in [0, 1)
    centered : bool
        Whether v is the running variance: the square of the running mean of g is subtracted.

    References
    ----------
    Hinton (2012), Neural networks for machine learning, lecture 6, in PyTorch's form.
    """

    slots: ClassVar[tuple[str, ...]] = ("square",)
    optional_slots: ClassVar[Mapping[str, str]] = {"velocity": "momentum", "mean": "centered"}
    ranges: ClassVar[Mapping[str, Range]] = {"alpha": Range(below=1), "momentum": Range(below=1)}
    alpha: float
    eps: float
    weight_decay: float
    momentum: float
    centered: bool

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        *,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
    ) -> None:
        super().__init__(
            params,
            lr,
            alpha=alpha,
            eps=eps,
            weight_decay=weight_decay,
            momentum=momentum,
            centered=centered,
        )

    def _update(self, w: Array, g: Array, state: dict[str, Array]) -> None:
        square, scratch = state["square"], self._buffer(w)
        np.multiply(np.multiply(g, 1 - self.alpha, out=scratch), g, out=scratch)
        np.add(np.multiply(square, self.alpha, out=square), scratch, out=square)
        if self.centered:
            mean = state["mean"]
            np.add(
                np.multiply(mean, self.alpha, out=mean),
                np.multiply(g, 1 - self.alpha, out=scratch),
                out=mean,
            )
            np.subtract(square, np.multiply(mean, mean, out=scratch), out=scratch)
            square = np.maximum(scratch, 0, out=scratch)  # rounding can leave a variance below 0
        np.sqrt(square, out=scratch)
        step = np.divide(g, np.add(scratch, self.eps, out=scratch), out=self._buffer(w, 1))
        if self.momentum:
            velocity = state["velocity"]
            step = np.add(np.multiply(velocity, self.momentum, out=velocity), step, out=velocity)
        np.subtract(w, np.multiply(step, self.lr, out=self._buffer(w, 1)), out=w)
