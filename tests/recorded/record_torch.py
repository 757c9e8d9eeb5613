"""Record what PyTorch does, for the tests that read it: python tests/recorded/record_torch.py (needs torch).

torch.json is for test_optim.py, test_schedules.py and test_checkpoint.py, torch_operations.json for test_recorded.py.
"""

import json
from math import inf, nan
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

HERE = Path(__file__).parent
STEPS = 100
OPTIMIZERS = {
    "SGD": [
        {"lr": 0.05},
        {"lr": 0.02, "momentum": 0.9},
        {"lr": 0.02, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
    ],
    "Adam": [{"lr": 0.05}, {"lr": 0.05, "betas": (0.8, 0.99), "eps": 1e-6, "weight_decay": 0.1}],
    "AdamW": [{"lr": 0.05}, {"lr": 0.05, "weight_decay": 0.3}],
    "RMSprop": [
        {"lr": 0.01},
        {"lr": 0.003, "alpha": 0.9, "eps": 1e-6, "weight_decay": 0.1},
        {"lr": 0.003, "alpha": 0.9, "momentum": 0.8, "centered": True},
    ],
}
SCHEDULES = {
    "StepLR": ("StepLR", {"step_size": 7, "gamma": 0.5}, {}),
    "CosineLR": (
        "CosineAnnealingLR",
        {"T_max": STEPS, "eta_min": 0.001},
        {"total_steps": STEPS, "min_lr": 0.001},
    ),
    "OneCycleLR": (
        "OneCycleLR",
        {"max_lr": 0.3, "total_steps": STEPS + 1, "cycle_momentum": False},
        {"max_lr": 0.3, "total_steps": STEPS + 1},
    ),
}


def start():
    rng = np.random.default_rng(0)
    return [
        torch.tensor(rng.standard_normal(s), requires_grad=True) for s in ((3, 2), (2,))
    ], torch.tensor(rng.standard_normal((4, 3)))


def loss(params, x):
    w, b = params
    return torch.tanh(x @ w + b).square().sum() + 0.1 * (w**4).sum()


def trajectory(kind, options, intermittent=False):
    """Where intermittent, the second parameter has a gradient in every third step only."""
    params, x = start()
    optimizer = getattr(torch.optim, kind)(params, **options)
    rows = []
    for i in range(STEPS):
        optimizer.zero_grad()
        loss(params, x).backward()
        if intermittent and i % 3:
            params[1].grad = None
        optimizer.step()
        rows.append([v for p in params for v in p.detach().reshape(-1).tolist()])
    return [rows[i] for i in range(9, STEPS, 10)]


def clipped(max_norm, last=None):
    """Return the norm and the gradients after clipping; `last` replaces the last of them before it."""
    params, x = start()
    loss(params, x).backward()
    if last is not None:
        params[1].grad[1] = last
    norm = torch.nn.utils.clip_grad_norm_(params, max_norm)
    return norm.item(), [v for p in params for v in p.grad.reshape(-1).tolist()]


def rates(kind, options):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    schedule = getattr(torch.optim.lr_scheduler, kind)(optimizer, **options)
    out = [optimizer.param_groups[0]["lr"]]
    for _ in range(STEPS):
        optimizer.step()
        schedule.step()
        out.append(optimizer.param_groups[0]["lr"])
    return out


def network():
    """Save a network of PyTorch's with what it answers."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(1, 3, 3, padding=1), torch.nn.BatchNorm2d(3), torch.nn.ReLU(), torch.nn.MaxPool2d(2), torch.nn.Flatten(),
        torch.nn.Linear(48, 5), torch.nn.LayerNorm(5), torch.nn.GELU(), torch.nn.Linear(5, 2),
    )  # fmt: skip
    x = torch.randn(2, 1, 8, 8)
    model(torch.randn(6, 1, 8, 8))  # moves the running statistics
    model.eval()
    save_file(model.state_dict(), HERE / "torch_network.safetensors")
    return {"x": x.tolist(), "y": model(x).tolist()}


F = torch.nn.functional
LABELS, IGNORED = [0, 2, 1, 2], [0, -100, 1, 2]
WEIGHT = [0.5, 2.0, 1.0]
BLIND = [[True, False, True, True], [False] * 4, [False, True, True, False]]


def classes_last(loss):
    """PyTorch wants the classes on the second axis."""
    return lambda x, labels, **options: loss(x.movedim(-1, 1), labels, **options)


# our name, PyTorch's function, shapes of what is differentiated by, our options, PyTorch's where they differ
OPERATIONS = [
    *(
        ("softmax_cross_entropy", lambda x, labels, **options: F.cross_entropy(x, labels, **options), [(4, 3)], {"labels": labels, **options}, {})
        for labels, options in (
            (LABELS, {}), (LABELS, {"reduction": "sum"}), (LABELS, {"reduction": "none"}), (LABELS, {"label_smoothing": 0.1}),
            (LABELS, {"weight": WEIGHT}), (LABELS, {"weight": WEIGHT, "label_smoothing": 0.2}), (IGNORED, {"ignore_index": -100}),
            (IGNORED, {"ignore_index": -100, "weight": WEIGHT}), (IGNORED, {"ignore_index": -100, "weight": WEIGHT, "label_smoothing": 0.1}),
            (IGNORED, {"ignore_index": -100, "reduction": "none"}),
        )
    ),
    ("softmax_cross_entropy", classes_last(F.cross_entropy), [(2, 4, 3)], {"labels": [LABELS, IGNORED], "ignore_index": -100}, {}),
    ("sigmoid_cross_entropy", F.binary_cross_entropy_with_logits, [(2, 3), (2, 3)], {}, {}),
    ("sigmoid_cross_entropy", F.binary_cross_entropy_with_logits, [(2, 3), (2, 3)], {"reduction": "sum", "pos_weight": WEIGHT}, {}),
    ("sigmoid_cross_entropy", F.binary_cross_entropy_with_logits, [(2, 3), (2, 3)], {"reduction": "none", "pos_weight": WEIGHT}, {}),
    *((name, loss, [(2, 3), (2, 3)], {"reduction": r}, {}) for name, loss in (("mse", F.mse_loss), ("l1", F.l1_loss), ("huber", F.huber_loss)) for r in ("mean", "sum", "none")),
    ("huber", F.huber_loss, [(2, 3), (2, 3)], {"delta": 0.3}, {}),
    ("scaled_dot_product_attention", F.scaled_dot_product_attention, [(2, 1, 3, 2), (2, 1, 4, 2), (2, 1, 4, 3)], {}, {}),
    ("scaled_dot_product_attention", F.scaled_dot_product_attention, [(2, 3, 5), (2, 4, 5), (2, 4, 2)], {"causal": True}, {"is_causal": True}),
    ("scaled_dot_product_attention", F.scaled_dot_product_attention, [(2, 4, 5), (2, 3, 5), (2, 3, 2)], {"causal": True}, {"is_causal": True}),
    ("scaled_dot_product_attention", F.scaled_dot_product_attention, [(2, 3, 5), (2, 4, 5), (2, 4, 2)], {"mask": BLIND}, {"attn_mask": BLIND}),
    ("scaled_dot_product_attention", lambda q, k, v, b: F.scaled_dot_product_attention(q, k, v, attn_mask=b), [(2, 3, 5), (2, 4, 5), (2, 4, 2), (3, 4)], {}, {}),
    *(
        ("conv2d", F.conv2d, [(1, 4, 5, 4), (4, 4 // options.get("groups", 1), 2, 2), (4,)], options, {})
        for options in (
            {}, {"stride": (2, 1), "padding": (1, 2)}, {"dilation": 2, "padding": 1}, {"dilation": (1, 3)}, {"groups": 2},
            {"groups": 2, "dilation": (2, 1), "stride": 2, "padding": 2},
        )
    ),
    *(
        ("conv1d", F.conv1d, [(1, 4, 7), (4, 4 // options.get("groups", 1), 2), (4,)], options, {})
        for options in ({}, {"stride": 2, "padding": 1}, {"dilation": 2}, {"groups": 2, "dilation": 3, "padding": 2})
    ),
    ("conv2d", F.conv2d, [(2, 3, 3, 3), (6, 1, 2, 2)], {"groups": 3}, {}),
    ("gelu", F.gelu, [(7,)], {}, {}),
    ("gelu", F.gelu, [(7,)], {"approximate": "tanh"}, {}),
    ("log_sigmoid", F.logsigmoid, [(7,)], {}, {}),
    ("erf", torch.erf, [(7,)], {}, {}),
    ("logaddexp", torch.logaddexp, [(2, 3), (3,)], {}, {}),
    ("arctan2", torch.atan2, [(2, 3), (3,)], {}, {}),
    ("norm", lambda x, axis=None, keepdims=False: x.norm(dim=axis, keepdim=keepdims), [(2, 3)], {}, {}),
    ("norm", lambda x, axis=None, keepdims=False: x.norm(dim=axis, keepdim=keepdims), [(2, 3)], {"axis": 1, "keepdims": True}, {}),
]  # fmt: skip


def as_torch(value):
    """Lists among the options are labels, weights or masks."""
    if not isinstance(value, list):
        return value
    tensor = torch.tensor(value)
    return tensor.double() if tensor.dtype.is_floating_point else tensor


def rounded(tensors, digits=13):
    """Return nested lists of numbers that are short to write."""

    def shorten(x):
        return [shorten(y) for y in x] if isinstance(x, list) else float(f"{x:.{digits}g}")

    return [shorten((torch.zeros(t.shape) + t.detach()).tolist()) for t in tensors]


def operation(name, f, shapes, ours, theirs):
    """Return inputs, a cotangent, directions; and the value, its gradients, and theirs along the directions."""
    rng = np.random.default_rng(0)
    draw = [rng.standard_normal(shape) for shape in shapes]
    if name == "sigmoid_cross_entropy":
        draw[1] = rng.uniform(0.1, 0.9, shapes[1])
    inputs = [torch.tensor(np.round(x, 2), requires_grad=True) for x in draw]
    options = {key: as_torch(value) for key, value in (theirs or ours).items()}
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        y = f(*inputs, **options)
        cotangent = torch.tensor(np.round(rng.standard_normal(tuple(y.shape)), 2))
        directions = [torch.tensor(np.round(rng.standard_normal(shape), 2)) for shape in shapes]
        first = torch.autograd.grad((y * cotangent).sum(), inputs, create_graph=True)
        along = sum((g * d).sum() for g, d in zip(first, directions, strict=True))
        second = [None] * len(inputs)
        if along.requires_grad:
            second = torch.autograd.grad(along, inputs, allow_unused=True)
    second = [torch.zeros_like(x) if g is None else g for g, x in zip(second, inputs, strict=True)]
    return {
        "name": name, "options": ours, "inputs": rounded(inputs), "cotangent": rounded([cotangent])[0],
        "directions": rounded(directions), "y": rounded([y])[0], "first": rounded(first), "second": rounded(second),
    }  # fmt: skip


def record_operations():
    recorded = {
        "torch": torch.__version__.split("+")[0],
        "operations": [operation(*row) for row in OPERATIONS],
    }
    (HERE / "torch_operations.json").write_text(json.dumps(recorded))


if __name__ == "__main__":
    record_operations()
    recorded = {
        "torch": torch.__version__.split("+")[0],
        "optimizers": [
            [kind, options, trajectory(kind, options)]
            for kind, all_ in OPTIMIZERS.items()
            for options in all_
        ],
        "intermittent": [
            [kind, options[-1], trajectory(kind, options[-1], True)]
            for kind, options in OPTIMIZERS.items()
        ],
        "clipped": [
            [max_norm, last, *clipped(max_norm, last)]
            for max_norm, last in (
                (0.5, None),
                (100.0, None),
                (0.0, None),
                *((m, v) for m in (1.0, inf) for v in (inf, nan)),
            )
        ],
        "schedules": {
            ours: [mine or options, rates(kind, options)]
            for ours, (kind, options, mine) in SCHEDULES.items()
        },
        "network": network(),
    }
    (HERE / "torch.json").write_text(json.dumps(recorded))
