"""Optimizer, schedule, and a fit that can be interrupted."""

import signal

from tinygrad_mnist import checkpoint, optim
from tinygrad_mnist.train import History, fit

OPTIMIZERS = {
    "sgd": lambda params, lr, l2: optim.SGD(params, lr, weight_decay=l2),
    "momentum": lambda params, lr, l2: optim.SGD(params, lr, momentum=0.9, weight_decay=l2),
    "nesterov": lambda params, lr, l2: optim.SGD(
        params, lr, momentum=0.9, nesterov=True, weight_decay=l2
    ),
    "adam": lambda params, lr, l2: optim.Adam(params, lr, weight_decay=l2),
    "adamw": lambda params, lr, l2: optim.AdamW(params, lr, weight_decay=l2),
    "rmsprop": lambda params, lr, l2: optim.RMSprop(params, lr, weight_decay=l2),
}
SCHEDULES = {
    "constant": lambda optimizer, steps: None,
    "cosine": lambda optimizer, steps: optim.CosineLR(optimizer, steps),
    "onecycle": lambda optimizer, steps: optim.OneCycleLR(optimizer, optimizer.lr, steps),
}


def make_optimizer(model, settings, examples):
    """Return the optimizer and the schedule (or None) that the settings name."""
    optimizer = OPTIMIZERS[settings["optimizer"]](
        model.parameters(), settings["lr"], settings["l2"]
    )
    batches = -(-examples // (settings["batch_size"] or examples))  # rounded up
    steps = max(settings["epochs"] * batches, 1)
    return optimizer, SCHEDULES[settings["schedule"]](optimizer, steps)


def train(model, loss, optimizer, schedule, training, validation, settings, rng):
    """Fit the model. Ctrl-C and SIGTERM stop the training, and what was trained is kept.

    Return the history, and whether it was interrupted.
    """
    # Both signals raise KeyboardInterrupt, even if a shell started the program in the background.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    path = settings["out"] / "checkpoint.safetensors"
    try:
        history = fit(
            model,
            loss,
            optimizer,
            training,
            validation=validation,
            epochs=settings["epochs"],
            batch_size=settings["batch_size"] or None,
            schedule=schedule,
            checkpoint=path,
            resume=bool(settings["resume"]),
            progress=settings["print_every"],
            capture=settings["capture"],
            rng=rng,
        )
        return history, False
    except KeyboardInterrupt:
        history = History()
        if path.exists():
            about = checkpoint.load(path, model, optimizer=optimizer, schedule=schedule)
            history = History(about["history"])
        print(f"\ninterrupted after {len(history['lr'])} whole epochs; keeping what they trained")
        return history, True
