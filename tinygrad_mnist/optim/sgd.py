"""Optimizer, the base of all, and SGD."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ..arrays import Array
from ..errors import GraphError
from ..tensor import Tensor

__all__ = ["SGD", "Optimizer", "clip_grad_norm"]


class Optimizer:
    """The base of the optimizers: a subclass names its hyper-parameters and its slots, and writes `_update`.

    Parameters
    ----------
    params : iterable of Tensors
        Those to update; `model.parameters()`. One given twice counts once.
    lr : float
        The learning rate; assign to `.lr` to change it.
    **hyperparameters : float or pair of floats
        Kept as attributes of the same names.

    Raises
    ------
    TypeError
        If `params` are not Tensors.
    ValueError
        If there are no parameters, or a hyper-parameter is out of range.
    """

    slots: tuple[str, ...] = ()

    def __init__(self, params: Iterable[Tensor], lr: float, **hyperparameters: Any) -> None:
        kind = type(self).__name__
        if isinstance(params, Tensor) or not isinstance(params, Iterable):
            raise TypeError(f"{kind}: expected an iterable of Tensors, as model.parameters(), got {type(params).__name__}")
        self.params = list({id(p): p for p in params}.values())
        for p in self.params:
            if not isinstance(p, Tensor):
                raise TypeError(f"{kind}: expected Tensors, as model.parameters(), got {type(p).__name__}")
        if not self.params:
            raise ValueError(f"{kind}: expected at least one parameter, got none")
        self.lr = lr
        self._names = ("lr", *hyperparameters)
        for name, value in hyperparameters.items():
            setattr(self, name, value)
        for name in self._names:
            _check(kind, name, getattr(self, name))
        self.steps = 0
        self._state: list[dict[str, Array]] = [{} for _ in self.params]
        self._scratch: dict[tuple[int, tuple[int, ...], np.dtype[Any]], Array] = {}

    def step(self) -> None:
        """Update every parameter that has a gradient, and leave the gradient as it is.

        Raises
        ------
        GraphError
            If no parameter has a gradient: backward was not called, or reached none of them.
        """
        live = [(p, g, state) for p, state in zip(self.params, self._state, strict=True) if (g := p.grad) is not None]
        if not live:
            raise GraphError(
                f"{type(self).__name__}: none of the {len(self.params)} parameters has a gradient; call backward first"
            )
        self.steps += 1
        for p, g, state in live:
            w = p.data
            if self.slots and not state:
                state.update({name: np.zeros_like(w) for name in self.slots}, steps=np.zeros((), np.int64))
            if state:
                state["steps"] += 1
            self._update(w, g, state)
            p.data = w  # changed in place: graphs that saved it must not go backward any more

    def _update(self, w: Array, g: Array, state: dict[str, Array]) -> None:
        raise NotImplementedError(f"{type(self).__name__} has no _update(); an Optimizer's subclass writes one")

    def _buffer(self, like: Array, number: int = 0) -> Array:
        """Return scratch memory of the shape and dtype of `like`, shared by all parameters: a step allocates nothing."""
        key = (number, like.shape, like.dtype)
        buffer = self._scratch.get(key)
        if buffer is None:
            whole = self._scratch.setdefault(
                (number, (-1,), like.dtype), np.empty(max(p.size for p in self.params), like.dtype)
            )
            buffer = self._scratch[key] = whole[: like.size].reshape(like.shape)
        return buffer

    def zero_grad(self) -> None:
        """Set the gradient of every parameter to None."""
        for p in self.params:
            p.zero_grad()

    def state_dict(self) -> dict[str, Any]:
        """Return all that training needs to go on: numbers under "hyperparameters" and "steps", copies of the "arrays"."""
        return {
            "hyperparameters": {name: getattr(self, name) for name in self._names},
            "steps": self.steps,
            "arrays": {f"{i}.{name}": a.copy() for i, state in enumerate(self._state) for name, a in state.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned.

        Raises
        ------
        ValueError
            Listing what does not fit; nothing has changed then.
        """
        known = {f"{i}.{name}" for i in range(len(self.params)) for name in (*self.slots, "steps")}
        hyper, arrays = dict(state["hyperparameters"]), {k: np.array(a) for k, a in state["arrays"].items()}
        wrong = [f"unexpected {name}" for name in arrays if name not in known]
        wrong += [f"unexpected hyper-parameter {name}" for name in hyper if name not in self._names]
        wrong += [f"missing hyper-parameter {name}" for name in self._names if name not in hyper]
        new: list[dict[str, Array]] = []
        for i, p in enumerate(self.params):
            mine = {name: arrays[f"{i}.{name}"] for name in (*self.slots, "steps") if f"{i}.{name}" in arrays}
            if mine and len(mine) != len(self.slots) + 1:
                wrong.append(f"of parameter {i} only {', '.join(mine)}")
            wrong += [
                f"{i}.{name} {a.dtype}{list(a.shape)}, expected {p.dtype}{list(p.shape)}"
                for name, a in mine.items()
                if name != "steps" and (a.shape, a.dtype) != (p.shape, p.dtype)
            ]
            new.append(mine)
        if wrong:
            raise ValueError(f"{type(self).__name__} cannot load this state: {'; '.join(wrong)}")
        for name, value in hyper.items():
            setattr(self, name, tuple(value) if isinstance(value, list) else value)
        self.steps, self._state = int(state["steps"]), new


def _check(kind: str, name: str, value: Any) -> None:
    for v in value if isinstance(value, tuple) else (value,):
        if isinstance(v, bool):
            continue
        if not isinstance(v, (int, float, np.floating, np.integer)):
            raise TypeError(f"{kind}: expected {name} to be a number, got {v!r}")
        if name in ("momentum", "betas", "alpha"):
            if not 0 <= v < 1:
                raise ValueError(f"{kind}: expected {name} in [0, 1), got {v}")
        elif not 0 <= v < np.inf:
            raise ValueError(f"{kind}: expected a finite {name} of at least 0, got {v}")


class SGD(Optimizer):
    """Stochastic gradient descent: v = momentum * v + g, w -= lr * v, where g includes weight_decay * w.

    Parameters
    ----------
    params : iterable of Tensors
    lr : float
    momentum : float in [0, 1)
        0 keeps no velocity.
    nesterov : bool
        Step along g + momentum * v instead of v.
    weight_decay : float
        Factor of the L2 penalty's gradient.

    References
    ----------
    Sutskever et al. (2013), On the importance of initialization and momentum in deep learning, in PyTorch's form.

    Examples
    --------
    >>> w = Tensor([1.0], requires_grad=True)
    >>> optimizer = SGD([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.data
    array([0.8], dtype=float32)
    """

    momentum: float
    nesterov: bool
    weight_decay: float

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 1e-3,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, lr, momentum=momentum, nesterov=nesterov, weight_decay=weight_decay)
        if nesterov and momentum == 0:
            raise ValueError("SGD: nesterov needs a momentum above 0, got 0")
        if momentum:
            self.slots = ("velocity",)

    def _update(self, w: Array, g: Array, state: dict[str, Array]) -> None:
        scratch = self._buffer(w)
        if self.weight_decay:
            g = np.add(g, np.multiply(w, self.weight_decay, out=scratch), out=scratch)
        if self.momentum:
            velocity = state["velocity"]
            np.add(np.multiply(velocity, self.momentum, out=velocity), g, out=velocity)
            if self.nesterov:
                ahead = np.multiply(velocity, self.momentum, out=self._buffer(w, 1))
                g = np.add(ahead, g, out=ahead)
            else:
                g = velocity
        np.subtract(w, np.multiply(g, self.lr, out=scratch), out=w)


def clip_grad_norm(params: Iterable[Tensor], max_norm: float) -> float:
    """Scale all gradients in place by one factor, so that their joint Euclidean norm is at most `max_norm`.

    Parameters
    ----------
    params : iterable of Tensors
    max_norm : float

    Returns
    -------
    float
        The norm before; where it is not finite, the gradients are nan afterwards, as in PyTorch.

    Raises
    ------
    ValueError
        If `max_norm` is negative or nan.
    """
    if not max_norm >= 0:
        raise ValueError(f"clip_grad_norm: expected max_norm of at least 0, got {max_norm}")
    found = [g for g in (p.grad for p in params) if g is not None]
    norm = float(np.sqrt(sum(float(np.square(g, dtype=np.float64).sum()) for g in found)))
    factor = min(max_norm / (norm + 1e-6), 1.0) if np.isfinite(norm) else 0.0 if norm == np.inf else np.nan
    if factor != 1:
        with np.errstate(invalid="ignore"):
            for g in found:
                np.multiply(g, factor, out=g)
    return norm
