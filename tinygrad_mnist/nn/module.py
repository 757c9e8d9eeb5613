"""Module: a function with parameters, which it finds among its own attributes."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Never, Protocol, Self, TypeVar

import numpy as np
import numpy.typing as npt

from ..arrays import Array
from ..ops.foreign import missing, refuse
from ..tensor import Tensor, from_numpy, no_grad, unwrap
from . import display
from .foreign import MODULE, check_keywords
from .holder import Contents, Holder, entries, is_buffer, is_parameter
from .state import copy_in, copy_out, place

__all__ = ["Module", "evaluating"]

R = TypeVar("R", covariant=True)

_NUMBERS = (int, float, np.number, type(None))  # `repr` shows these, and tuples of them

# Context variables hold one value for each thread, and for each asyncio task.
_in_evaluation: ContextVar[bool] = ContextVar("in_evaluation", default=False)
_observer: "ContextVar[Callable[[Module, Any], None] | None]" = ContextVar("observer", default=None)


@contextmanager
def evaluating() -> Iterator[None]:
    """Make `training` of every module False in the `with` block, in this thread or task only.

    `evaluate` and `predict` use it. Other threads may train or evaluate the same modules at the
    same time, because the modules themselves do not change.

    Examples
    --------
    >>> model = Module()
    >>> with evaluating():
    ...     model.training
    False
    >>> model.training
    True
    """
    token = _in_evaluation.set(True)
    try:
        yield
    finally:
        _in_evaluation.reset(token)


class _Forward(Protocol[R]):  # so that model(x) has the type that the model's own forward declares
    _filled: tuple[str, ...]

    def _settle_contents(self, names: tuple[str, ...], before: Contents) -> None: ...

    def forward(self, *args: Any, **kwargs: Any) -> R: ...


class Module(Holder):
    """A function with parameters; a subclass writes only `__init__` and `forward`.

    A module finds its contents in its attributes, in order of assignment, and also looks into
    lists, tuples, dicts and sub-modules. A Tensor that requires grad, or did so until it was
    frozen, is a parameter. Any other Tensor leaf, or an ndarray, is a buffer. A
    `numpy.random.Generator` is part of the state that a checkpoint keeps. Attributes whose names
    begin with an underscore are private and are ignored.

    Values that first appear while `forward` runs are not state, for example an activation that it
    keeps, or a hidden state. A parameter or a module that first appears there is an error, because
    optimizers and checkpoints would not know of it.

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

    _training = True

    if not TYPE_CHECKING:  # a type checker knows from `object` that these take no arguments

        def __new__(cls, *args: Any, **kwargs: Any) -> Self:
            if (args or kwargs) and cls.__init__ is object.__init__:
                name = cls.__name__
                raise TypeError(
                    f"{name} takes no arguments when it is made; to call one, write {name}()(x)"
                )
            if kwargs and cls.__module__.startswith(__package__):  # a layer of the library
                check_keywords(cls.__name__, cls.__init__, kwargs)
            return super().__new__(cls)

        def __getattr__(self, name: str) -> Any:
            """Raise the error for an attribute; Python calls this only if it did not find one."""
            if name in MODULE:
                where = f"{type(self).__name__!r} object"
                raise AttributeError(missing(where, name, MODULE), name=name, obj=self)
            return object.__getattribute__(self, name)  # for Python's own error

    @property
    def training(self) -> bool:
        """Whether the module is in training mode, which `train()` and `eval()` set.

        Inside `evaluate` and `predict` it is False, but only in the thread or asyncio task that
        runs them.
        """
        return self._training and not _in_evaluation.get()

    @training.setter
    def training(self, mode: bool) -> None:
        self._training = bool(mode)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the outputs; a subclass writes this."""
        raise NotImplementedError(
            f"{type(self).__name__} has no forward(); a Module's subclass writes one"
        )

    def __call__(self: _Forward[R], *args: Any, **kwargs: Any) -> R:
        """Compute the outputs, by calling `forward`.

        Raises
        ------
        TypeError
            If `forward` returns None.
        GraphError
            If a parameter or a module first appears while `forward` runs.
        """
        if self._filled or _observer.get() is not None:
            y: R = _watched_forward(self, args, kwargs)
        else:
            y = self.forward(*args, **kwargs)
            if self._filled:  # forward has given the module its first list or dict
                self._settle_contents((), [])
        if y is None:
            raise TypeError(
                f"{type(self).__name__}.forward returned None; end it with a return statement"
            )
        return y

    # What it holds

    def modules(self) -> Iterator["Module"]:
        """Yield this module and every module below it."""
        yield self
        yield from (value for *_, value in self._walk() if isinstance(value, Module))

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        """Yield each parameter once, with its first name, such as `blocks.0.weight`."""
        return ((name, value) for name, *_, value in self._walk() if is_parameter(value))

    def parameters(self) -> Iterator[Tensor]:
        """Yield each parameter once, frozen ones (`requires_grad = False`) too."""
        return (parameter for _, parameter in self.named_parameters())

    def named_buffers(self) -> Iterator[tuple[str, Array]]:
        """Yield each buffer's array once, with its first name.

        A buffer is state that is not a parameter, such as running statistics.
        """
        return ((name, unwrap(value)) for name, *_, value in self._walk() if is_buffer(value))

    def named_generators(self) -> Iterator[tuple[str, "np.random.Generator"]]:
        """Yield each random generator once, with its name, so that a checkpoint can keep it."""
        return (
            (name, value)
            for name, *_, value in self._walk()
            if isinstance(value, np.random.Generator)
        )

    # State

    def _arrays(self) -> dict[str, Array]:
        """Return the arrays of parameters and then buffers, without copies, under every name."""
        held = [(name, value) for name, *_, value in self._walk(every_name=True)]
        return {
            **{name: value.data for name, value in held if is_parameter(value)},
            **{name: unwrap(value) for name, value in held if is_buffer(value)},
        }

    def state_dict(self) -> dict[str, Array]:
        """Return a copy of every parameter and buffer, by name.

        A shared parameter appears under each of its names, as in PyTorch. Its copy is shared, too.
        """
        return copy_out(self._arrays())

    def load_state_dict(self, state: Mapping[str, npt.ArrayLike], strict: bool = True) -> None:
        """Copy arrays into the parameters and buffers of the same names, cast to their dtypes.

        Parameters
        ----------
        state : mapping of names to arrays
            One of a shared parameter's names is enough.
        strict : bool
            Whether missing and unexpected names are errors. A wrong shape is always an error, and
            so are two different values for one shared parameter.

        Raises
        ------
        TypeError
            If the state is not a mapping.
        ValueError
            If the state does not fit. The message lists the missing and unexpected names, wrong
            shapes, and arrays that cannot be written to. In that case nothing has changed.
        """
        copy_in(type(self).__name__, self._arrays(), state, strict)

    def astype(self, dtype: npt.DTypeLike) -> Self:
        """Convert floating-point parameters and buffers to another dtype, in place.

        Gradients are dropped. Make the optimizer afterwards, because what it keeps for each
        parameter has the old dtype.

        Raises
        ------
        TypeError
            If the dtype is not a floating-point one, or a tuple holds a buffer. In that case
            nothing has changed.
        """
        if np.dtype(dtype).kind not in "fc":
            raise TypeError(f"astype: expected a floating-point dtype, got {np.dtype(dtype)}")
        held = [
            entry
            for entry in self._walk(every_name=True)
            if (is_parameter(entry[-1]) or is_buffer(entry[-1])) and entry[-1].dtype.kind in "fc"
        ]
        for name, container, _, value in held:
            if isinstance(container, tuple) and isinstance(value, np.ndarray):
                raise TypeError(
                    f"astype: the buffer {name} is in a tuple, which cannot change; "
                    "put it in a list"
                )
        converted: dict[Any, Array] = {}  # by place, so that shared arrays stay shared
        tensors = {id(value): value for *_, value in held if isinstance(value, Tensor)}
        for tensor in tensors.values():
            old = place(tensor.data)
            tensor.convert_(dtype)
            converted[old] = tensor.data
        for _, container, key, value in held:
            if isinstance(value, np.ndarray):
                if place(value) not in converted:
                    converted[place(value)] = value.astype(dtype)
                container[key] = converted[place(value)]
        return self

    # Modes

    def train(self, mode: bool = True) -> Self:
        """Put this module and all modules below it in training mode."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Put this module and all modules below it in evaluation mode.

        `Dropout` then changes nothing, and batch normalisation uses its running statistics.
        """
        return self.train(False)

    def zero_grad(self, **foreign: Never) -> None:
        """Set the gradient of every parameter to None."""
        refuse("zero_grad", foreign)
        for parameter in self.parameters():
            parameter.zero_grad()

    # How it looks

    def extra_repr(self) -> str:
        """Return what `repr` shows for a module without sub-modules: its numbers and shapes."""
        shown = {name: v for name, v in list(vars(self).items()) if name[:1] != "_"}
        return ", ".join(
            f"{name}={value}"
            for name, value in shown.items()
            if all(isinstance(v, _NUMBERS) for v in (value if type(value) is tuple else (value,)))
        )

    def _children(self) -> list[tuple[str, "Module"]]:
        """Return the modules directly below this one, with names; a shared one comes each time."""
        return [(path, value) for path, *_, value in entries(self) if isinstance(value, Module)]

    def _shown(self) -> list[tuple[str, Any]]:
        """Return what `repr` shows below this module, with names."""
        return list(self._children())

    def _own_parameters(self) -> list[Tensor]:
        """Return the parameters that this module itself holds, without its sub-modules."""
        return [value for path, *_, value in entries(self) if is_parameter(value)]

    def __repr__(self) -> str:
        return display.tree(self)

    def _repr_html_(self) -> str:
        return display.html(self)

    def summary(self, *inputs: Any) -> "display.Text":
        """Return a table of the layers, with their output shapes and numbers of parameters.

        Parameters
        ----------
        *inputs : arrays or Tensors
            Example inputs for `forward`. The model runs on them once, in evaluation mode, without
            recording a graph. Without inputs, the table does not show outputs.

        Returns
        -------
        str
            A notebook or Python's prompt shows it as a table. A parameter counts once, in the first
            layer that has it.

        Raises
        ------
        TypeError
            If an input is a shape rather than an array.

        Examples
        --------
        >>> from tinygrad_mnist import nn
        >>> model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
        >>> model.summary(np.zeros((5, 4), np.float32))
        layer          output  parameters
        Sequential     (5, 2)           0
          0: Linear    (5, 3)          15
          1: ReLU      (5, 3)           0
          2: Linear    (5, 2)           8
        23 parameters, 23 of them trained, 92 bytes
        """
        outputs: dict[int, str] = {}

        def observe(module: "Module", y: Any) -> None:
            outputs[id(module)] = display.describe(y)

        if inputs:
            arguments = [_as_input(value) for value in inputs]
            token = _observer.set(observe)
            try:
                with evaluating(), no_grad():
                    self(*arguments)
            finally:
                _observer.reset(token)
        return display.summary(self, outputs if inputs else None)


# For each module whose forward is running and may fill containers: the contents before, and one
# item for each running call. Calls in other threads use the contents that the first call saw,
# because otherwise they would mistake what the first call has stored for state.
_watched: dict[int, tuple[tuple[str, ...], Contents, list[None]]] = {}


def _watched_forward(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Run forward; note what it puts into containers, and pass its result to the observer."""
    names, before, calls = _watched.setdefault(id(module), (module._filled, module._contents(), []))
    calls.append(None)
    try:
        y = module.forward(*args, **kwargs)
    finally:
        calls.pop()
        if not calls:
            _watched.pop(id(module), None)
        module._settle_contents(names, before)
    observer = _observer.get()
    if observer is not None:
        observer(module, y)
    return y


def _as_input(value: Any) -> Any:
    if isinstance(value, (tuple, list)) and value and all(type(v) is int for v in value):
        raise TypeError(
            f"summary: expected example inputs, got the shape {value}; pass an array, "
            f"as np.zeros({value}, np.float32)"
        )
    return from_numpy(value) if isinstance(value, np.ndarray) else value
