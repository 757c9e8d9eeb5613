"""Record what PyTorch does, for test_optim.py and test_interop.py: python tests/recorded/record_torch.py (needs torch)."""

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


if __name__ == "__main__":
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
