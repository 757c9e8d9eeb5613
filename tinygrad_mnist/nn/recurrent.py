"""Recurrent layers: GRU and LSTM, with PyTorch's formulas, names and shapes."""

from typing import Any

import numpy as np

from ..arrays import Rng
from ..errors import ShapeError, check_size
from ..ops.linear import linear
from ..ops.norm import dropout
from ..ops.recurrent import gru, lstm
from ..ops.shape import concatenate, expand_dims, squeeze, stack, swapaxes
from ..tensor import Tensor
from .module import Module
from .parameters import check_probability, check_switch, make_parameter

__all__ = ["GRU", "LSTM"]


class _Recurrent(Module):
    """The base of GRU and LSTM: stacked layers, both directions, batches and single sequences.

    A subclass sets `gates`, the number of blocks in a weight, and `states`, the number of states
    that go from step to step. It also writes `_sweep`, which goes through a sequence.
    """

    gates = 0
    states = 0

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        rng: Rng = None,
    ) -> None:
        kind = type(self).__name__
        self.input_size = check_size(kind, "input_size", input_size)
        self.hidden_size = check_size(kind, "hidden_size", hidden_size)
        self.num_layers = check_size(kind, "num_layers", num_layers)
        self.bias = check_switch(kind, "bias", bias)
        self.batch_first = check_switch(kind, "batch_first", batch_first)
        self.bidirectional = check_switch(kind, "bidirectional", bidirectional)
        self.dropout = check_probability(kind, "dropout", dropout)
        self.rng = np.random.default_rng(rng)
        for layer in range(num_layers):
            size = input_size if layer == 0 else hidden_size * (1 + bidirectional)
            for suffix in self._suffixes(layer):
                self._make_parameters(suffix, size)

    def _suffixes(self, layer: int) -> list[str]:
        """Return the suffixes of a layer's parameter names, one for each direction."""
        forward = f"_l{layer}"
        return [forward, f"{forward}_reverse"] if self.bidirectional else [forward]

    def _make_parameters(self, suffix: str, input_size: int) -> None:
        rows, bound = self.gates * self.hidden_size, self.hidden_size**-0.5
        shapes: dict[str, tuple[int, ...]] = {
            "weight_ih": (rows, input_size),
            "weight_hh": (rows, self.hidden_size),
        }
        if self.bias:
            shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
        for name, shape in shapes.items():
            parameter = make_parameter(self.rng.uniform(-bound, bound, shape))
            setattr(self, name + suffix, parameter)

    def _parameter(self, name: str) -> Tensor | None:
        parameter: Tensor | None = vars(self).get(name)
        return parameter

    def _sweep(
        self,
        x: Tensor,
        states: tuple[Tensor, ...],
        weight: Tensor,
        bias: Tensor | None,
        backward: bool,
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return the state h after each step, and the last states.

        x has already been multiplied by its own weight. `weight` and `bias` belong to the state.
        """
        raise NotImplementedError(f"{type(self).__name__} has no _sweep()")

    def _run(self, x: Tensor, initial: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return the outputs (L, N, D * H) and last states (layers * D, N, H) for x (L, N, I)."""
        directions = 1 + self.bidirectional
        last: list[tuple[Tensor, ...]] = []
        for layer in range(self.num_layers):
            outputs = []
            for k, suffix in enumerate(self._suffixes(layer)):
                states = tuple(state[layer * directions + k] for state in initial)
                y, states = self._go_through(x, states, suffix, backward=k == 1)
                outputs.append(y)
                last.append(states)
            x = outputs[0] if directions == 1 else concatenate(outputs, axis=-1)
            if self.dropout and layer < self.num_layers - 1:
                x = dropout(x, self.dropout, self.training, rng=self.rng)
        return x, tuple(stack(states) for states in zip(*last, strict=True))

    def _go_through(
        self, x: Tensor, states: tuple[Tensor, ...], suffix: str, backward: bool
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Go through a sequence, in one direction."""
        weight_ih = self._parameter(f"weight_ih{suffix}")
        weight_hh = self._parameter(f"weight_hh{suffix}")
        assert weight_ih is not None
        assert weight_hh is not None
        # The contribution of x does not depend on the states, so one product serves all steps.
        from_x = linear(x, weight_ih, self._parameter(f"bias_ih{suffix}"))
        return self._sweep(from_x, states, weight_hh, self._parameter(f"bias_hh{suffix}"), backward)

    def _forward(self, x: Tensor, initial: tuple[Any, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Reshape x and the states to a batch, run, and reshape the results back."""
        kind, single = type(self).__name__, x.ndim == 2
        if x.ndim not in (2, 3) or x.shape[-1] != self.input_size or 0 in x.shape[:-1]:
            batch = "(N, L, " if self.batch_first else "(L, N, "
            raise ShapeError(
                f"{kind}: expected an input of shape {batch}{self.input_size}) or "
                f"(L, {self.input_size}) with at least one step, got {x.shape}"
            )
        if single:
            x = expand_dims(x, 1)
        elif self.batch_first:
            x = swapaxes(x, 0, 1)
        states = (self.num_layers * (1 + self.bidirectional), x.shape[1], self.hidden_size)
        expected = states[::2] if single else states
        if not initial:
            zeros = Tensor(np.zeros(states, x.dtype))
            initial = (zeros,) * self.states
        else:
            for state in initial:
                if np.shape(state) != expected:
                    raise ShapeError(
                        f"{kind}: expected an initial state of shape {expected}, got "
                        f"{np.shape(state)}"
                    )
            initial = tuple(s if isinstance(s, Tensor) else Tensor(s) for s in initial)
            if single:
                initial = tuple(expand_dims(state, 1) for state in initial)
        y, last = self._run(x, initial)
        if single:
            return squeeze(y, 1), tuple(squeeze(state, 1) for state in last)
        return swapaxes(y, 0, 1) if self.batch_first else y, last


class GRU(_Recurrent):
    """Gated recurrent unit: h' = (1 - z) * n + z * h, step by step through a sequence.

    r = sigmoid(W_ir x + b_ir + W_hr h + b_hr), z likewise, and
    n = tanh(W_in x + b_in + r * (W_hn h + b_hn)). The weights hold the blocks r, z, n in this
    order, under PyTorch's names `weight_ih_l0`, `weight_hh_l0`, `bias_ih_l0`, `bias_hh_l0`, ...

    Parameters
    ----------
    input_size, hidden_size : int
        The sizes I of an input and H of a state.
    num_layers : int
        The number of stacked layers. Each reads the states of the layer below.
    bias : bool
    batch_first : bool
        Whether inputs and outputs are (N, L, ...) rather than (L, N, ...). States never are.
    dropout : float in [0, 1)
        Probability of dropping an element between the layers, in training.
    bidirectional : bool
        Whether a second set of weights reads the sequence backward.
    rng : numpy Generator or seed

    References
    ----------
    Cho et al. (2014), Learning phrase representations using RNN encoder-decoder, in PyTorch's form.

    Examples
    --------
    >>> y, h = GRU(3, 4, rng=0)(Tensor(np.zeros((5, 2, 3), np.float32)))
    >>> y.shape, h.shape
    ((5, 2, 4), (1, 2, 4))
    """

    gates, states = 3, 1

    def _sweep(
        self,
        x: Tensor,
        states: tuple[Tensor, ...],
        weight: Tensor,
        bias: Tensor | None,
        backward: bool,
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        (h,) = states
        y = gru(x, h, weight, bias, backward=backward)
        return y, (y[0 if backward else -1],)

    def forward(self, x: Tensor, hx: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return all states of the last layer, and the last state of every layer.

        Parameters
        ----------
        x : Tensor of shape (L, N, I), (N, L, I) with `batch_first`, or (L, I)
        hx : Tensor of shape (num_layers * directions, N, H), optional
            The states before the first step; zeros by default.
        """
        y, (h,) = self._forward(x, () if hx is None else (hx,))
        return y, h


class LSTM(_Recurrent):
    """Long short-term memory: c' = f * c + i * g and h' = o * tanh(c'), step by step.

    i, f and o are sigmoids, and g a tanh, of W_i x + b_i + W_h h + b_h. The weights hold the blocks
    i, f, g, o in this order, under PyTorch's names. Parameters are those of `GRU`.

    References
    ----------
    Hochreiter & Schmidhuber (1997), Long short-term memory, in PyTorch's form.

    Examples
    --------
    >>> y, (h, c) = LSTM(3, 4, rng=0)(Tensor(np.zeros((5, 2, 3), np.float32)))
    >>> y.shape, h.shape, c.shape
    ((5, 2, 4), (1, 2, 4), (1, 2, 4))
    """

    gates, states = 4, 2

    def _sweep(
        self,
        x: Tensor,
        states: tuple[Tensor, ...],
        weight: Tensor,
        bias: Tensor | None,
        backward: bool,
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        h, c = states
        both = lstm(x, h, c, weight, bias, backward=backward)
        y = both[:-1]
        return y, (y[0 if backward else -1], both[-1])

    def forward(
        self, x: Tensor, hx: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Return all states h of the last layer, and the last (h, c) of every layer.

        Parameters
        ----------
        x : Tensor of shape (L, N, I), (N, L, I) with `batch_first`, or (L, I)
        hx : pair of Tensors of shape (num_layers * directions, N, H), optional
            The states (h, c) before the first step; zeros by default.
        """
        if hx is not None and (not isinstance(hx, (tuple, list)) or len(hx) != 2):
            raise TypeError(f"LSTM: expected the states as a pair (h, c), got {type(hx).__name__}")
        y, (h, c) = self._forward(x, () if hx is None else tuple(hx))
        return y, (h, c)
