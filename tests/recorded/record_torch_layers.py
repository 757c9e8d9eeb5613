"""Record what PyTorch's layers give, for test_sequences.py (needs torch): parameters, inputs, outputs, gradients."""

import json
from pathlib import Path

import torch

HERE = Path(__file__).parent
torch.manual_seed(0)


def listed(x):
    return x.detach().double().numpy().round(7).tolist()


def record(layer, inputs, outputs_of, **call):
    """One case: the layer's state, its inputs, its outputs, and the gradients of their sum of squares."""
    leaves = [x.clone().requires_grad_() for x in inputs]
    outputs = outputs_of(layer(*leaves, **call))
    sum((y * y).sum() for y in outputs).backward()
    return {
        "state": {name: listed(p) for name, p in layer.state_dict().items()},
        "inputs": [listed(x) for x in inputs],
        "outputs": [listed(y) for y in outputs],
        "slopes": [listed(x.grad) for x in leaves],
        "parameter_slopes": {name: listed(p.grad) for name, p in layer.named_parameters()},
    }


def randn(*shape):
    return torch.randn(*shape).mul(1e4).round().div(1e4)


def rounded(layer):
    with torch.no_grad():
        for p in layer.parameters():
            p.copy_(p.mul(1e5).round().div(1e5))
    return layer.eval()


cases = {}
for kind, options, shape in [
    ("GRU", {}, (5, 2, 3)),
    ("GRU", {"num_layers": 2, "bidirectional": True, "batch_first": True}, (2, 4, 3)),
    ("GRU", {"bias": False}, (4, 3)),
    ("LSTM", {}, (5, 2, 3)),
    ("LSTM", {"num_layers": 2, "bidirectional": True}, (4, 2, 3)),
    ("LSTM", {"batch_first": True}, (2, 4, 3)),
]:
    layer = rounded(getattr(torch.nn, kind)(3, 4, **options))
    flat = (lambda y: (y[0], y[1])) if kind == "GRU" else (lambda y: (y[0], *y[1]))
    cases[f"{kind} {options}"] = {
        "kind": kind, "options": options, **record(layer, [randn(*shape)], flat),
    }  # fmt: skip
for options, call, shapes in [
    ({}, {}, [(5, 2, 6), (3, 2, 6), (3, 2, 6)]),
    ({"batch_first": True}, {"causal": True}, [(2, 4, 6)] * 3),
    ({"batch_first": True, "bias": False}, {"mask": True}, [(2, 4, 6), (2, 3, 6), (2, 3, 6)]),
]:
    layer = rounded(torch.nn.MultiheadAttention(6, 2, **options))
    masks, kept = {}, None
    if "causal" in call:
        masks = {"attn_mask": torch.triu(torch.ones(4, 4, dtype=torch.bool), 1)}
    if "mask" in call:
        kept = torch.tensor([[1, 0, 1], [0, 1, 1], [1, 1, 1], [1, 0, 0]], dtype=torch.bool)
        masks = {"attn_mask": ~kept}
    case = record(
        layer, [randn(*s) for s in shapes], lambda y: (y[0],), need_weights=False, **masks
    )
    cases[f"MultiheadAttention {options} {call}"] = {
        "kind": "MultiheadAttention", "options": options, **case,
        "causal": "causal" in call, "mask": None if kept is None else kept.tolist(),
    }  # fmt: skip
(HERE / "torch_layers.json").write_text(json.dumps(cases))
