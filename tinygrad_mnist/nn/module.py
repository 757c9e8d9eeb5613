"""Module: a function with parameters, which it finds among its own attributes."""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol, Self, TypeVar

import numpy as np
import numpy.typing as npt

from ..arrays import Array
from ..graph import mark_changed
from ..tensor import Tensor

__all__ = ["Module"]

R = TypeVar("R", covariant=True)

_NUMBERS = (int, float, np.number, type(None))  # what repr shows of a module, and tuples of them


class _Forward(Protocol[R]):  # so that the type of model(x) is what the model's own forward says
    def forward(self, *args: Any, **kwargs: Any) -> R: ...


class Module:
    """A function with parameters; a subclass writes `__init__` and `forward`, and no more.

    What a module holds is read off its attributes, through lists, tuples, dicts and sub-modules, in
    order of assignment: a Tensor that requires grad, or did until it was frozen, is a parameter;
    another Tensor leaf, or an ndarray, is a buffer; a `numpy.random.Generator` is part of the state
    that a checkpoint keeps. Attributes whose names begin with an underscore are private and left
    alone.

    Examples
    --------
    >>> class Line(Module):
    ...     def __init__(self):
    ...         self.slope = Tensor(2.0, requires_grad=True)
    ...     def forward(self, x):
    ...         return x * self.slope
    >>> line = Line()
    >>> line(Tensor([1.0, 3.0]))
    Tensor([2., 6.], made by multiply)
    >>> [name for name, _ in line.named_parameters()]
    ['slope']
    """

    training = True

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the outputs; a subclass writes this."""
        raise NotImplementedError(
            f"{type(self).__name__} has no forward(); a Module's subclass writes one"
        )

    def __call__(self: _Forward[R], *args: Any, **kwargs: Any) -> R:
        """Compute the outputs: `forward`."""
        return self.forward(*args, **kwargs)

    def _walk(self) -> Iterator[tuple[str, Any, Any, Any]]:
        """Yield (name, container, key, value) of all that is held, depth first, each shared thing once."""
        return _below("", self, {id(self)})

    def modules(self) -> Iterator["Module"]:
        """Yield this module and every module below it."""
        yield self
        yield from (value for *_, value in self._walk() if isinstance(value, Module))

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        """Yield each parameter once, with its name, such as `blocks.0.weight`."""
        return (
            (name, value)
            for name, *_, value in self._walk()
            if isinstance(value, Tensor) and value.is_parameter
        )

    def parameters(self) -> Iterator[Tensor]:
        """Yield each parameter once, frozen ones (`requires_grad = False`) too."""
        return (parameter for _, parameter in self.named_parameters())

    def named_buffers(self) -> Iterator[tuple[str, Array]]:
        """Yield each buffer's array, with its name: state that is no parameter, such as running statistics."""
        for name, *_, value in self._walk():
            if isinstance(value, np.ndarray):
                yield name, value
            elif isinstance(value, Tensor) and value.is_leaf and not value.is_parameter:
                yield name, value.data

    def named_generators(self) -> Iterator[tuple[str, "np.random.Generator"]]:
        """Yield each random generator, with its name, so that a checkpoint can keep its state."""
        return (
            (name, value)
            for name, *_, value in self._walk()
            if isinstance(value, np.random.Generator)
        )

    def state_dict(self) -> dict[str, Array]:
        """Return a copy of every parameter and buffer, by name."""
        return {name: array.copy() for name, array in self._state().items()}

    def _state(self) -> dict[str, Array]:
        return {
            **{name: p.data for name, p in self.named_parameters()},
            **dict(self.named_buffers()),
        }

    def load_state_dict(self, state: Mapping[str, npt.ArrayLike], strict: bool = True) -> None:
        """Copy arrays into the parameters and buffers of the same names, cast to their dtypes.

        Parameters
        ----------
        state : mapping of names to arrays
        strict : bool
            Whether missing and unexpected names are errors too; a wrong shape always is.

        Raises
        ------
        ValueError
            Listing the missing, unexpected and misshapen names; nothing has changed then.
        """
        own = self._state()
        new = {name: np.asarray(value) for name, value in state.items()}
        complaints = []
        if strict:
            complaints += [f"missing {name}" for name in own if name not in new]
            complaints += [f"unexpected {name}" for name in sorted(new) if name not in own]
        for name, mine, array in ((name, own[name], new[name]) for name in own if name in new):
            if array.shape != mine.shape:
                complaints.append(f"{name} of shape {array.shape}, expected {mine.shape}")
            elif array.dtype.kind not in "iub" and not np.can_cast(
                array.dtype, mine.dtype, "same_kind"
            ):
                complaints.append(f"{name} of dtype {array.dtype}, expected {mine.dtype}")
        if complaints:
            raise ValueError(
                f"{type(self).__name__} cannot load this state: {'; '.join(complaints)}"
            )
        for name in own.keys() & new.keys():
            own[name][...] = new[name]
            mark_changed(own[name])  # graphs that saved it must not go backward any more

    def astype(self, dtype: npt.DTypeLike) -> Self:
        """Convert floating-point parameters and buffers to another dtype, in place; gradients are dropped.

        Make the optimizer afterwards: what it keeps for each parameter has the old dtype.

        Raises
        ------
        TypeError
            If the dtype is none of floating point, or a tuple holds a buffer; nothing has changed
            then.
        """
        if np.dtype(dtype).kind not in "fc":
            raise TypeError(f"astype: expected a floating-point dtype, got {np.dtype(dtype)}")
        held = list(self._walk())
        for name, container, _, value in held:
            if (
                isinstance(container, tuple)
                and isinstance(value, np.ndarray)
                and value.dtype.kind in "fc"
            ):
                raise TypeError(
                    f"astype: the buffer {name} is in a tuple, which cannot change; put it in a list"
                )
        for _, container, key, value in held:
            if isinstance(value, Tensor) and value.is_leaf and value.dtype.kind in "fc":
                requires_grad, value.requires_grad = value.requires_grad, False
                value._array = value._array.astype(dtype)
                value.requires_grad = requires_grad
            elif isinstance(value, np.ndarray) and value.dtype.kind in "fc":
                container[key] = value.astype(dtype)
        return self

    def train(self, mode: bool = True) -> Self:
        """Put this module and all below it in training mode."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Put this module and all below it in evaluation mode: no dropout, running statistics."""
        return self.train(False)

    def zero_grad(self) -> None:
        """Set the gradient of every parameter to None."""
        for parameter in self.parameters():
            parameter.zero_grad()

    def extra_repr(self) -> str:
        """Return what `repr` shows between the parentheses of a module without sub-modules: its numbers and shapes."""
        shown = {
            name: value
            for name, value in vars(self).items()
            if name != "training" and not name.startswith("_")
        }
        parts = {name: value if type(value) is tuple else (value,) for name, value in shown.items()}
        return ", ".join(
            f"{name}={shown[name]}"
            for name in shown
            if all(isinstance(v, _NUMBERS) for v in parts[name])
        )

    def __repr__(self) -> str:
        children = [
            f"({name}): {module!r}".replace("\n", "\n  ") for name, module in _children("", self)
        ]
        inside = "\n  " + "\n  ".join(children) + "\n" if children else self.extra_repr()
        return f"{type(self).__name__}({inside})"


_PLAIN = {
    int,
    float,
    bool,
    str,
    type(None),
}  # settings, passed over first, for most attributes are such


def _items(prefix: str, holder: Any) -> Iterator[tuple[str, Any, Any, Any]]:
    container = vars(holder) if isinstance(holder, Module) else holder
    for key, value in list(
        container.items() if isinstance(container, dict) else enumerate(container)
    ):
        if type(value) not in _PLAIN and not (
            isinstance(holder, Module) and str(key).startswith("_")
        ):
            yield f"{prefix}{key}", container, key, value


def _below(prefix: str, holder: Any, seen: set[int]) -> Iterator[tuple[str, Any, Any, Any]]:
    for name, container, key, value in _items(prefix, holder):
        if (
            isinstance(value, (Module, Tensor, np.ndarray, np.random.Generator, list, tuple, dict))
            and id(value) not in seen
        ):
            seen.add(id(value))
            yield name, container, key, value
            if isinstance(value, (Module, list, tuple, dict)):
                yield from _below(name + ".", value, seen)


def _children(prefix: str, holder: Any) -> Iterator[tuple[str, Module]]:
    for name, *_, value in _items(prefix, holder):
        if isinstance(value, Module):
            yield name, value
        elif isinstance(value, (list, tuple, dict)):
            yield from _children(name + ".", value)
