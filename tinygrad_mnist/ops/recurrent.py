"""Sweeps of GRU and LSTM through a sequence: all steps in one kernel, and back through time.

Shapes: L steps of N sequences, H numbers in a state. `x` is what the inputs add to the gates,
(L, N, gates * H). `weight` (gates * H, H) and `bias` belong to the states. The step that comes
first is the last one if `backward` is true.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..arrays import Array
from ..graph import Forward, Grads, Needs
from ..tensor import Tensor, TensorLike
from .activation import logistic
from .dtype import apply_wide

__all__ = ["gru", "lstm"]


def _in_order(count: int, backward: bool) -> list[int]:
    """Return the numbers of the steps in the order in which a sweep makes them."""
    return list(range(count))[::-1] if backward else list(range(count))


def _gru(
    x: Array, h: Array, weight: Array, bias: Array | None = None, *, backward: bool
) -> Forward:
    order, size = _in_order(x.shape[0], backward), weight.shape[1]
    saved = []
    for t in order:
        from_h = _apply_weight(h, weight, bias)
        gates = logistic(x[t][:, : 2 * size] + from_h[:, : 2 * size])
        r, z = gates[:, :size], gates[:, size:]
        h_n = from_h[:, 2 * size :]
        n = np.tanh(x[t][:, 2 * size :] + r * h_n)
        saved.append((h, r, z, n, h_n))
        h = n + z * (h - n)
    states = [step[0] for step in saved[1:]] + [h]

    def vjp(g: Array, needs: Needs) -> Grads:
        # Back through time: what reaches a state comes from the output and from the step after it.
        to_x: list[Any] = []
        to_gates: list[Any] = []  # of h, where x has to_x
        g_h: Any = 0
        for t, (before, r, z, n, h_n) in zip(reversed(order), reversed(saved), strict=True):
            g_h = g_h + g[t]
            g_n = g_h * (1 - z) * (1 - n * n)
            g_r = g_n * h_n * r * (1 - r)
            g_z = g_h * (before - n) * z * (1 - z)
            to_x.append(np.concatenate([g_r, g_z, g_n], axis=1))
            to_gates.append(np.concatenate([g_r, g_z, g_n * r], axis=1))
            g_h = g_h * z + to_gates[-1] @ weight
        gx = _stack(to_x, not backward) if needs[0] else None
        befores = [step[0] for step in reversed(saved)]
        return gx, g_h if needs[1] else None, *_to_weight(to_gates, befores, bias, needs[2:])

    return _stack(states, backward), vjp


def _lstm(
    x: Array, h: Array, c: Array, weight: Array, bias: Array | None = None, *, backward: bool
) -> Forward:
    order, size = _in_order(x.shape[0], backward), weight.shape[1]
    saved, states = [], []
    for t in order:
        total = x[t] + _apply_weight(h, weight, bias)
        i_and_f = logistic(total[:, : 2 * size])
        i, f = i_and_f[:, :size], i_and_f[:, size:]
        cell, o = np.tanh(total[:, 2 * size : 3 * size]), logistic(total[:, 3 * size :])
        before = (h, c)
        c = f * c + i * cell
        bent = np.tanh(c)
        h = o * bent
        saved.append((*before, i, f, cell, o, bent))
        states.append(h)

    def vjp(g: Array, needs: Needs) -> Grads:
        to_gates: list[Any] = []
        g_h: Any = 0
        g_c = g[len(order)]
        for t, (_, before, i, f, cell, o, bent) in zip(
            reversed(order), reversed(saved), strict=True
        ):
            g_h = g_h + g[t]
            g_c = g_c + g_h * o * (1 - bent * bent)
            parts = [
                g_c * cell * i * (1 - i),
                g_c * before * f * (1 - f),
                g_c * i * (1 - cell * cell),
                g_h * bent * o * (1 - o),
            ]
            to_gates.append(np.concatenate(parts, axis=1))
            g_c = g_c * f
            g_h = to_gates[-1] @ weight
        gx = _stack(to_gates, not backward) if needs[0] else None
        befores = [step[0] for step in reversed(saved)]
        to_states = (g_h if needs[1] else None, g_c if needs[2] else None)
        return gx, *to_states, *_to_weight(to_gates, befores, bias, needs[3:])

    return np.stack([*(states[::-1] if backward else states), c]), vjp


def _apply_weight(h: Array, weight: Array, bias: Array | None) -> Array:
    total: Array = h @ weight.swapaxes(0, 1)
    return total if bias is None else total + bias


def _stack(steps: list[Any], is_reversed: bool) -> Any:
    return np.stack(steps[::-1] if is_reversed else steps)


def _to_weight(
    to_gates: Sequence[Any], befores: Sequence[Any], bias: Array | None, needs: Needs
) -> list[Any]:
    """Return the gradients of the weight, and of the bias if there is one: one product for all."""
    rows = np.concatenate(to_gates)
    gradients = [rows.swapaxes(0, 1) @ np.concatenate(befores) if needs[0] else None]
    if bias is not None:
        gradients.append(rows.sum(axis=0) if needs[1] else None)
    return gradients


def gru(
    x: TensorLike, h: TensorLike, weight: TensorLike, bias: TensorLike | None, *, backward: bool
) -> Tensor:
    """Return the state after each step of a GRU, of shape (L, N, H), from the state h (N, H)."""
    inputs = (x, h, weight) if bias is None else (x, h, weight, bias)
    return apply_wide(_gru, *inputs, backward=backward)


def lstm(
    x: TensorLike,
    h: TensorLike,
    c: TensorLike,
    weight: TensorLike,
    bias: TensorLike | None,
    *,
    backward: bool,
) -> Tensor:
    """Return the state h after each step of an LSTM and, behind them, the last c: (L + 1, N, H)."""
    inputs = (x, h, c, weight) if bias is None else (x, h, c, weight, bias)
    return apply_wide(_lstm, *inputs, backward=backward)
