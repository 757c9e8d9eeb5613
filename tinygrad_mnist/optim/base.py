"""Optimizer, the base of all optimizers: its step over the parameters, and its state."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import TYPE_CHECKING, Any, ClassVar, Never, Self

import numpy as np

from ..arrays import Array, Recorded
from ..errors import GraphError
from ..graph import mark_changed
from ..ops.foreign import missing, refuse
from ..tensor import Tensor
from .foreign import METHODS
from .groups import Group, Params, Range, list_tensors, make_groups
from .ranks import ALONE, Ranks

__all__ = ["Optimizer", "clip_grad_norm"]


class Optimizer:
    """The base of the optimizers: a subclass names its slots, and writes `__init__` and `_update`.

    A slot is an array that is kept for each parameter, and is zero at first. `slots` are always
    kept. `optional_slots` maps the name of a slot to the hyper-parameter that turns it on. `ranges`
    says which values a hyper-parameter may have; one that is not listed is a number of at least 0.
    If there is a hyper-parameter `weight_decay`, the gradient of an L2 penalty, weight_decay * w,
    is added to the gradient that `_update` gets, unless the class is `decoupled`.

    Parameters
    ----------
    params : iterable of Tensors, or list of dicts
        The Tensors to update, usually `model.parameters()`. A Tensor that is given twice counts
        once. A dict is a group: its "params" are Tensors, and its other entries are
        hyper-parameters of this group alone.
    lr : float
        The learning rate. Assign to `.lr` to change it.
    **hyperparameters : float, or a pair of floats such as `betas`
        The values for every group that does not have its own. They can be read like attributes: in
        `_update` as those of the current group, elsewhere as those of the first group. Assigning to
        such an attribute sets the value in every group. It raises a ValueError if the groups have
        different values; `param_groups[i]["lr"] = ...` sets it in one group. Each assignment is
        checked.

    Attributes
    ----------
    params : list of Tensors
        The parameters of all groups.
    param_groups : list of mappings
        The groups, each with "params", "lr" and the other hyper-parameters.
    ranks : Ranks
        The processes that train together; only this one without `parallel.DistributedOptimizer`.

    Raises
    ------
    TypeError
        If `params` are not Tensors, or a hyper-parameter is not a number.
    ValueError
        If there are no parameters, if a parameter is the result of an operation or is in two
        groups, or if a hyper-parameter is unknown or out of range.
    """

    slots: ClassVar[tuple[str, ...]] = ()
    optional_slots: ClassVar[Mapping[str, str]] = {}
    ranges: ClassVar[Mapping[str, Range]] = {}
    decoupled: ClassVar[bool] = False
    ranks: Ranks = ALONE
    params: list[Tensor]
    param_groups: list[Group]
    lr: float

    def __init__(
        self,
        params: Params,
        lr: float,
        **hyperparameters: Any,
    ) -> None:
        kind = type(self).__name__
        values = {"lr": lr, **hyperparameters}
        for name in values:
            if hasattr(type(self), name):  # Python would then not look into the groups
                raise TypeError(f"{kind}: {name} is an attribute of the class; annotate it alone")
        groups = make_groups(kind, self.ranges, params, values)
        self.params = [p for group in groups for p in group.params]
        # the slots of each parameter, by group
        self._state: list[list[dict[str, Array]]] = [[{} for _ in group.params] for group in groups]
        for group, states in zip(groups, self._state, strict=True):
            self._add_slots(group, states)
        self._scratch: dict[tuple[Any, ...], Array] = {}
        self.param_groups = groups

    if not TYPE_CHECKING:  # because a class with these methods accepts every name

        def __new__(cls, *args: Any, **kwargs: Any) -> Self:
            """Say what Keras' keyword is called here, so that subclasses do not have to."""
            if "learning_rate" in kwargs:
                raise TypeError(f"{cls.__name__} has no argument 'learning_rate'; use lr")
            return super().__new__(cls)

        def __getattr__(self, name: str) -> Any:
            groups = vars(self).get("param_groups")  # it does not exist before __init__ has ended
            if groups and name in groups[0].settings:
                return groups[0].settings[name]
            raise AttributeError(missing(f"{type(self).__name__!r} object", name, METHODS))

        def __setattr__(self, name: str, value: Any) -> None:
            groups: list[Group] = vars(self).get("param_groups", [])
            if not groups or name not in groups[0].settings:
                object.__setattr__(self, name, value)
                return
            present = [group[name] for group in groups]
            if any(one != present[0] for one in present):
                raise ValueError(
                    f"{type(self).__name__}: the groups differ in {name} ({present}); "
                    f'set it in each by param_groups[i]["{name}"]'
                )
            for group in groups:
                group[name] = value

    @property
    def alone(self) -> "Optimizer":
        """The optimizer without other ranks: this one, or the one that `parallel` has wrapped."""
        return self

    def step(self, *, clip_norm: float | None = None) -> None:
        """Update every parameter that has a gradient.

        Parameters
        ----------
        clip_norm : float, optional
            The largest joint norm of the gradients. They are scaled down first if necessary, as
            `clip_grad_norm` does. With several ranks, this is the norm of the mean gradients.

        Raises
        ------
        GraphError
            If no parameter has a gradient, because backward was not called or did not reach any.
        """
        if self.ranks.size > 1:
            self.ranks.average_gradients(self.params)
        if clip_norm is not None:
            clip_grad_norm(self.params, clip_norm)
        self.update()

    def update(self) -> None:
        """Update every parameter from its gradient, without averaging or clipping it first."""
        moved, own = False, vars(self)
        try:
            for group, states in zip(self.param_groups, self._state, strict=True):
                settings = group.settings
                own.update(settings)  # so that _update can read self.lr and the others
                slots = self._name_slots(settings)
                if slots and states and not all(name in states[0] for name in slots):
                    self._add_slots(group, states)
                decay = 0.0 if self.decoupled else settings.get("weight_decay", 0.0)
                for p, state in zip(group.params, states, strict=True):
                    g = p.grad
                    if g is None:
                        continue
                    moved, w = True, p.data
                    if slots:
                        if state[slots[0]].dtype != w.dtype:
                            self._refuse(w.dtype, state[slots[0]].dtype)
                        state["steps"] += 1
                    if decay:
                        decayed = np.multiply(w, decay, out=self._buffer(w, 1))
                        g = np.add(g, decayed, out=decayed)
                    self._update(w, g, state)
                    mark_changed(w)  # graphs that saved it must not go backward any more
        finally:
            for name in self.param_groups[0].settings:
                own.pop(name, None)
        if not moved:
            raise GraphError(
                f"{type(self).__name__}: none of {len(self.params)} parameters has a gradient; "
                "call backward first"
            )

    def _update(self, w: Array, g: Array, state: dict[str, Array]) -> None:
        raise NotImplementedError(
            f"{type(self).__name__} has no _update(); an Optimizer's subclass writes one"
        )

    def _name_slots(self, settings: Mapping[str, Any]) -> tuple[str, ...]:
        slots = self.slots
        for slot, name in self.optional_slots.items():
            if settings[name]:
                slots = (*slots, slot)
        return slots

    def _add_slots(self, group: Group, states: list[dict[str, Array]]) -> None:
        """Give each parameter of a group the slots that it lacks, filled with zeros."""
        slots = self._name_slots(group.settings)
        for p, state in zip(group.params, states, strict=True):
            for name in slots:
                if name not in state:
                    state[name] = np.zeros_like(p.data)
            if slots:
                state.setdefault("steps", np.zeros((), np.int64))

    def _refuse(self, dtype: Any, made_for: Any) -> None:
        raise TypeError(
            f"{type(self).__name__}: a parameter is {dtype}, but the optimizer was made for "
            f"{made_for}; make the optimizer after astype()"
        )

    def _buffer(self, like: Array, number: int = 0) -> Array:
        """Return scratch memory of the shape and dtype of `like`, so that a step allocates nothing.

        All parameters of a dtype share this memory. A captured step has its own buffers.
        """
        if isinstance(like, Recorded):
            return np.empty_like(like)
        key = (number, like.dtype, like.shape)
        if key not in self._scratch:
            whole = (number, like.dtype)
            if whole not in self._scratch:
                self._scratch[whole] = np.empty(max(p.size for p in self.params), like.dtype)
            self._scratch[key] = self._scratch[whole][: like.size].reshape(like.shape)
        return self._scratch[key]

    def forget_scratch(self) -> None:
        """Free the scratch memory that `step` uses; the next step allocates it again."""
        self._scratch = {}

    def zero_grad(self, **foreign: Never) -> None:
        """Set the gradient of every parameter to None."""
        if foreign:
            refuse("zero_grad", foreign)
        for p in self.params:
            p.zero_grad()

    def __repr__(self) -> str:
        name, groups = type(self).__name__, self.param_groups
        if len(groups) == 1:
            return f"{name}({groups[0]!r})"
        lines = "".join(f"  ({i}): {group!r}\n" for i, group in enumerate(groups))
        return f"{name}(\n{lines})"

    def named_slots(self) -> Iterator[tuple[Tensor, dict[str, Array]]]:
        """Yield each parameter with the arrays that are kept for it, by their names."""
        return zip(self.params, chain(*self._state), strict=True)

    # Its state, for a checkpoint

    def state_dict(self) -> dict[str, Any]:
        """Return everything that the optimizer needs to continue.

        "arrays" holds copies of the slots of each parameter that has taken a step. JSON can hold
        the rest. "hyperparameters" is a dict, or a list with a dict for each of several groups.
        """
        return {
            "optimizer": type(self).__name__,
            "shapes": [list(p.shape) for p in self.params],
            "hyperparameters": self._hyperparameters(),
            "arrays": {
                f"{i}.{name}": a.copy()
                for i, state in enumerate(chain(*self._state))
                if state and state["steps"] > 0
                for name, a in state.items()
            },
        }

    def _hyperparameters(self) -> dict[str, Any] | list[dict[str, Any]]:
        if len(self.param_groups) == 1:
            return dict(self.param_groups[0].settings)
        return [{"size": len(group.params), **group.settings} for group in self.param_groups]

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned; the slots are written in place.

        Raises
        ------
        ValueError
            If something does not fit; the message lists everything. Then nothing has changed.
        """
        kind = type(self).__name__
        parts = state if isinstance(state, Mapping) else {}
        hyper, arrays = parts.get("hyperparameters"), parts.get("arrays")
        if not isinstance(hyper, (Mapping, list)) or not isinstance(arrays, Mapping):
            raise ValueError(f"{kind} cannot load this state: expected what state_dict() returns")
        own = {"optimizer": kind, "shapes": [list(p.shape) for p in self.params]}
        wrong = [
            f"{part} {parts.get(part)}, expected {mine}"
            for part, mine in own.items()
            if parts.get(part) != mine
        ]
        settings = self._read_settings(hyper if isinstance(hyper, list) else [hyper], wrong)
        slots = self._read_slots(arrays, wrong)
        if wrong:
            raise ValueError(f"{kind} cannot load this state: {'; '.join(wrong)}")
        for group, values in zip(self.param_groups, settings, strict=True):
            group.settings.update(values)
        for mine, new in zip(chain(*self._state), slots, strict=True):
            for name, array in mine.items():
                array[...] = new.pop(name, 0)
            mine.update(new)
        for group, states in zip(self.param_groups, self._state, strict=True):
            self._add_slots(group, states)

    def _read_settings(self, saved: list[Any], wrong: list[str]) -> list[dict[str, Any]]:
        """Check and return the hyper-parameters of each group; add what does not fit to `wrong`."""
        if len(saved) != len(self.param_groups):
            wrong.append(f"{len(saved)} groups, expected {len(self.param_groups)}")
            return []
        settings = []
        for group, values in zip(self.param_groups, map(dict, saved), strict=True):
            if len(saved) > 1 and values.pop("size", None) != len(group.params):
                wrong.append(f"a group of other parameters, expected {len(group.params)} of them")
            if values.keys() != group.settings.keys():
                names = ", ".join(map(str, values))
                wrong.append(f"hyper-parameters {names}, expected {', '.join(group.settings)}")
            for name in filter(values.__contains__, group.settings):
                try:
                    values[name] = group.check(name, values[name])
                except (TypeError, ValueError) as error:
                    wrong.append(str(error))
            settings.append(values)
        return settings

    def _read_slots(self, arrays: Mapping[str, Any], wrong: list[str]) -> list[dict[str, Array]]:
        """Check and return the slots of each parameter; add what does not fit to `wrong`."""
        expected = {}
        for i, p in enumerate(self.params):
            for slot in (*self.slots, *self.optional_slots):
                expected[f"{i}.{slot}"] = f"{p.dtype.newbyteorder('=')}{list(p.shape)}"
            expected[f"{i}.steps"] = "int64[]"
        slots: list[dict[str, Array]] = [{} for _ in self.params]
        for key, value in arrays.items():
            array = np.array(value)
            dtype = array.dtype.newbyteorder("=")  # either byte order is fine
            got, due = f"{dtype}{list(array.shape)}", expected.get(key, "nothing")
            if got == due:
                place, name = key.split(".")
                slots[int(place)][name] = array
            else:
                wrong.append(f"{key} {got}, expected {due}")
        for i, new in enumerate(slots):
            if new and not new.keys() >= {*self.slots, "steps"}:
                wrong.append(f"of parameter {i} only {', '.join(new)}")
            if new.get("steps", np.int64(0)) < 0:
                wrong.append(f"{i}.steps {new['steps']}, expected at least 0")
        return slots


def clip_grad_norm(params: Iterable[Tensor], max_norm: float) -> float:
    """Scale all gradients in place by one factor, so that their joint norm is at most `max_norm`.

    The norm is Euclidean.

    Parameters
    ----------
    params : iterable of Tensors
    max_norm : float

    Returns
    -------
    float
        The norm before clipping; 0 if there is no gradient. If the norm is not finite, the result
        is as in PyTorch: a nan makes all gradients nan; an infinity becomes nan, and all other
        elements become 0.

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
    found = [g for p in list_tensors("clip_grad_norm", params) if (g := p.grad) is not None]
    with np.errstate(over="ignore", invalid="ignore"):
        squares = [np.square(g, dtype=np.float64).sum() for g in found]
        norm = np.sqrt(sum(squares, np.float64(0)))
        factor = np.minimum(max_norm / (norm + 1e-6), 1.0)
        for g in found:  # always, because a captured step cannot ask whether the factor is 1
            np.multiply(g, factor.astype(g.dtype), out=g)
    return norm.item()
