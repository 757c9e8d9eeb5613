"""Record PyTorch's layers without a state over time, for test_recorded.py (needs torch), in float64."""

import json
from pathlib import Path

import torch

HERE = Path(__file__).parent
torch.manual_seed(0)


def listed(x):
    return x.detach().numpy().tolist()


def randn(*shape):
    return torch.randn(*shape, dtype=torch.float64).mul(1e3).round().div(1e3)


def record(kind, arguments, options, x, training=True):
    """One case: state before, input, output, gradients of sum(y * y), and buffers after."""
    layer = getattr(torch.nn, kind)(*arguments, **options).double().train(training)
    with torch.no_grad():
        for p in layer.parameters():
            p.copy_(randn(*p.shape))
    state = {name: listed(p) for name, p in layer.state_dict().items()}
    if x.is_floating_point():
        x.requires_grad_()
    y = layer(x)
    if y.requires_grad:
        (y * y).sum().backward()
    return {
        "kind": kind, "arguments": arguments, "options": options, "training": training,
        "state": state, "x": listed(x), "y": listed(y),
        "slope": listed(x.grad) if x.is_floating_point() else None,
        "parameter_slopes": {name: listed(p.grad) for name, p in layer.named_parameters()},
        "after": {name: listed(b) for name, b in layer.named_buffers()},
    }  # fmt: skip


cases = [
    record("Linear", [3, 2], {}, randn(4, 3)),
    record("Linear", [3, 2], {"bias": False}, randn(2, 4, 3)),
    record("Conv1d", [4, 6, 3], {"stride": 2, "padding": 2, "dilation": 2, "groups": 2}, randn(2, 4, 9)),
    record("Conv2d", [2, 4, [3, 2]], {"stride": [1, 2], "padding": 1, "groups": 2}, randn(2, 2, 5, 6)),
    record("Conv2d", [2, 3, 2], {"dilation": 2, "bias": False}, randn(2, 2, 5, 6)),
    record("BatchNorm1d", [3], {}, randn(5, 3)),
    record("BatchNorm1d", [3], {"momentum": 0.3}, randn(4, 3, 5)),
    record("BatchNorm1d", [3], {}, randn(5, 3), training=False),
    record("BatchNorm2d", [3], {"eps": 1e-3}, randn(4, 3, 2, 5)),
    record("LayerNorm", [4], {}, randn(3, 4)),
    record("LayerNorm", [[2, 4]], {"eps": 1e-3}, randn(3, 2, 4)),
    record("Dropout", [0.5], {}, randn(3, 4), training=False),
    record("MaxPool2d", [2], {}, randn(2, 3, 5, 6)),
    record("MaxPool2d", [3], {"stride": 2, "padding": 1}, randn(2, 3, 5, 6)),
    record("AvgPool2d", [2], {}, randn(2, 3, 5, 6)),
    record("AvgPool2d", [3], {"stride": 2, "padding": 1}, randn(2, 3, 5, 6)),
    record("Flatten", [], {}, randn(2, 3, 4)),
    record("ReLU", [], {}, randn(3, 4)),
    record("LeakyReLU", [0.2], {}, randn(3, 4)),
    record("ELU", [1.5], {}, randn(3, 4)),
    record("Sigmoid", [], {}, randn(3, 4)),
    record("Tanh", [], {}, randn(3, 4)),
    record("GELU", [], {}, randn(3, 4)),
    record("GELU", ["tanh"], {}, randn(3, 4)),
    record("SiLU", [], {}, randn(3, 4)),
    record("Softplus", [], {}, randn(3, 4)),
    record("Softmax", [-1], {}, randn(3, 4)),
    record("Softmax", [0], {}, randn(3, 4)),
    record("Identity", [], {}, randn(3, 4)),
    record("Embedding", [5, 3], {}, torch.tensor([[1, 4, 1], [0, 2, 1]])),
    record("Embedding", [5, 3], {"padding_idx": 1}, torch.tensor([[1, 4, 1], [0, 2, 1]])),
]  # fmt: skip
(HERE / "torch_plain_layers.json").write_text(json.dumps(cases))
