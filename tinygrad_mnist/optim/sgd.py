"""Optimizer, the base of all, and SGD."""

import copy
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import numpy as np

from ..arrays import Array
from ..errors import GraphError
from ..tensor import Tensor

__all__ = ["SGD", "Optimizer", "clip_grad_norm"]


class Optimizer:
    """The base of the optimizers: a subclass names its hyper-parameters and its slots, and writes `_update`.

    A slot is an array kept for each parameter, zero at first. `slots` are always kept;
    `optional_slots` maps others to the hyper-parameter that asks for them. A hyper-parameter
    `weight_decay` adds the gradient of an L2 penalty, weight_decay * w, to what `_update` gets,
    unless the class is `decoupled`.

    Parameters
    ----------
    params : iterable of Tensors
        Those to update; `model.parameters()`. One given twice counts once.
    lr : float
        The learning rate; assign to `.lr` to change it.
    **hyperparameters : float, or a pair of floats as `betas`
        Kept as attributes of the same names, which are checked whenever they are assigned to.

    Raises
    ------
    TypeError
        If `params` are not Tensors, or a hyper-parameter is no number.
    ValueError
        If there are no parameters, one is the result of an operation, or a hyper-parameter is out
        of range.
    """

    slots: ClassVar[tuple[str, ...]] = ()
    optional_slots: ClassVar[Mapping[str, str]] = {}
    _names: tuple[str, ...] = ()
    lr: float
    weight_decay: float = 0.0
    decoupled: ClassVar[bool] = False

    def __init__(self, params: Iterable[Tensor], lr: float, **hyperparameters: Any) -> None:
        kind = type(self).__name__
        self.params = _tensors(kind, params)
        if not self.params:
            raise ValueError(f"{kind}: expected at least one parameter, got none")
        for i, p in enumerate(self.params):
            if not p.is_leaf:
                raise ValueError(
                    f"{kind}: parameter {i} of shape {p.shape} is the result of an operation, not a leaf"
                )
        self._names = ("lr", *hyperparameters)
        for name, value in {"lr": lr, **hyperparameters}.items():
            setattr(self, name, value)
        self._state: list[dict[str, Array]] = [{} for _ in self.params]
        self._scratch: dict[tuple[int, np.dtype[Any]], Array] = {}

    def __setattr__(self, name: str, value: Any) -> None:
        object.__setattr__(
            self, name, checked(type(self).__name__, name, value) if name in self._names else value
        )

    def step(self) -> None:
        """Update every parameter that has a gradient, and leave the gradient as it is.

        Raises
        ------
        GraphError
            If no parameter has a gradient: backward was not called, or reached none of them.
        """
        live = [
            (p, g, state)
            for p, state in zip(self.params, self._state, strict=True)
            if (g := p.grad) is not None
        ]
        if not live:
            raise GraphError(
                f"{type(self).__name__}: none of {len(self.params)} parameters has a gradient; call backward first"
            )
        slots = [
            *self.slots,
            *[slot for slot, name in self.optional_slots.items() if getattr(self, name)],
        ]
        for p, g, state in live:
            w = p.data
            if slots:
                for name in slots:
                    if name not in state:
                        state[name] = np.zeros_like(w)
                if "steps" not in state:
                    state["steps"] = np.zeros((), np.int64)
                state["steps"] += 1
            if self.weight_decay and not self.decoupled:
                decayed = np.multiply(w, self.weight_decay, out=self._buffer(w, 1))
                g = np.add(g, decayed, out=decayed)
            self._update(w, g, state)
            p.data = w  # changed in place: graphs that saved it must not go backward any more

    def _update(self, w: Array, g: Array, state: dict[str, Array]) -> None:
        raise NotImplementedError(
            f"{type(self).__name__} has no _update(); an Optimizer's subclass writes one"
        )

    def _buffer(self, like: Array, number: int = 0) -> Array:
        """Return scratch memory of the shape and dtype of `like`, shared by all parameters: a step allocates nothing."""
        key = (number, like.dtype)
        if key not in self._scratch:
            self._scratch[key] = np.empty(max(p.size for p in self.params), like.dtype)
        return self._scratch[key][: like.size].reshape(like.shape)

    def zero_grad(self) -> None:
        """Set the gradient of every parameter to None."""
        for p in self.params:
            p.zero_grad()

    def state_dict(self) -> dict[str, Any]:
        """Return all that training needs to go on: copies of the "arrays", and for the rest what JSON can hold."""
        return {
            "optimizer": type(self).__name__,
            "shapes": [list(p.shape) for p in self.params],
            "hyperparameters": {name: getattr(self, name) for name in self._names},
            "arrays": {
                f"{i}.{name}": a.copy()
                for i, state in enumerate(self._state)
                for name, a in state.items()
            },
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned.

        Raises
        ------
        ValueError
            Listing what does not fit; nothing has changed then.
        """
        kind = type(self).__name__
        hyper, arrays = (
            state.get(part) if isinstance(state, Mapping) else None
            for part in ("hyperparameters", "arrays")
        )
        if not isinstance(hyper, Mapping) or not isinstance(arrays, Mapping):
            raise ValueError(f"{kind} cannot load this state: expected what state_dict() returns")
        own = {"optimizer": kind, "shapes": [list(p.shape) for p in self.params]}
        wrong = [
            f"{part} {state.get(part)}, expected {mine}"
            for part, mine in own.items()
            if state.get(part) != mine
        ]
        if hyper.keys() != set(self._names):
            wrong.append(
                f"hyper-parameters {', '.join(map(str, hyper))}, expected {', '.join(self._names)}"
            )
        new = copy.copy(self)  # takes the state, and gives it to self if all of it fits
        for name in filter(hyper.__contains__, self._names):
            try:
                setattr(new, name, hyper[name])
            except (TypeError, ValueError) as error:
                wrong.append(str(error))
        new._state = [{} for _ in self.params]
        expected: dict[str, str] = {}
        for i, p in enumerate(self.params):
            expected |= {
                f"{i}.{slot}": f"{p.dtype.newbyteorder('=')}{list(p.shape)}"
                for slot in (*self.slots, *self.optional_slots)
            }
            expected[f"{i}.steps"] = "int64[]"
        for key, value in arrays.items():
            array = np.array(value)
            dtype = array.dtype.newbyteorder("=")  # either byte order will do
            got, due = f"{dtype}{list(array.shape)}", expected.get(key, "nothing")
            if got == due:
                number, name = key.split(".")
                new._state[int(number)][name] = array
            else:
                wrong.append(f"{key} {got}, expected {due}")
        for i, mine in enumerate(new._state):
            if mine and not mine.keys() >= {*self.slots, "steps"}:
                wrong.append(f"of parameter {i} only {', '.join(mine)}")
        if wrong:
            raise ValueError(f"{kind} cannot load this state: {'; '.join(wrong)}")
        vars(self).update(vars(new))


def _tensors(kind: str, params: Iterable[Tensor]) -> list[Tensor]:
    """Return the parameters, each once."""
    if isinstance(params, Tensor) or not isinstance(params, Iterable):
        raise TypeError(
            f"{kind}: expected an iterable of Tensors, as model.parameters(), got {type(params).__name__}"
        )
    found = list({id(p): p for p in params}.values())
    for p in found:
        if not isinstance(p, Tensor):
            raise TypeError(
                f"{kind}: expected Tensors, as model.parameters(), got {type(p).__name__}"
            )
    return found


def checked(kind: str, name: str, value: Any) -> Any:
    """Return a hyper-parameter as a Python number: one of NumPy's would compute float32 steps in float64."""
    if name == "betas":
        pair = tuple(value) if isinstance(value, (tuple, list, np.ndarray)) else ()
        if len(pair) != 2:
            raise ValueError(f"{kind}: expected betas to be two numbers, got {value!r}")
        return tuple(checked(kind, "each of betas", beta) for beta in pair)
    if isinstance(value, np.generic):
        value = value.item()
    if not isinstance(value, (int, float)):
        raise TypeError(f"{kind}: expected {name} to be a number, got {value!r}")
    limit = 1 if name in ("momentum", "each of betas", "alpha") else np.inf
    if not 0 <= value < limit:
        raise ValueError(f"{kind}: expected {name} in [0, {limit}), got {value}")
    return value


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
    Sutskever et al. (2013), On the importance of initialization and momentum in deep learning, in
    PyTorch's form.

    Examples
    --------
    >>> w = Tensor([1.0], requires_grad=True)
    >>> optimizer = SGD([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.data
    array([0.8], dtype=float32)
    """

    optional_slots: ClassVar[Mapping[str, str]] = {"velocity": "momentum"}
    momentum: float
    nesterov: bool

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 1e-3,
        *,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(
            params, lr, momentum=momentum, nesterov=nesterov, weight_decay=weight_decay
        )
        if nesterov and momentum == 0:
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


def clip_grad_norm(params: Iterable[Tensor], max_norm: float) -> float:
    """Scale all gradients in place by one factor, so that their joint Euclidean norm is at most `max_norm`.

    Parameters
    ----------
    params : iterable of Tensors
    max_norm : float

    Returns
    -------
    float
        The norm before, 0 where there is no gradient. Where it is not finite, neither are the
        gradients afterwards, as in PyTorch: a nan makes all of them nan; an infinity becomes nan
        and all others 0.

    Raises
    ------
    TypeError
        If `params` are not Tensors.
    ValueError
        If `max_norm` is negative or nan.

    References
    ----------
    Pascanu et al. (2013), On the difficulty of training recurrent neural networks.
    """
    if not max_norm >= 0:
        raise ValueError(f"clip_grad_norm: expected max_norm of at least 0, got {max_norm}")
    found = [g for p in _tensors("clip_grad_norm", params) if (g := p.grad) is not None]
    with np.errstate(over="ignore", invalid="ignore"):
        norm = float(np.sqrt(sum(float(np.square(g, dtype=np.float64).sum()) for g in found)))
        factor = float(np.minimum(np.float64(max_norm) / (norm + 1e-6), 1.0))
        if factor != 1:
            for g in found:
                np.multiply(g, factor, out=g)
    return norm
