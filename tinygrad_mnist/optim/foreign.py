"""Names of optimizers, schedules and methods in PyTorch and Keras, and what to write instead."""

__all__ = ["METHODS", "OPTIMIZERS"]

# What to write instead of optim.name.
OPTIMIZERS = {
    "Adadelta": "optim.Adam(parameters)",
    "Adagrad": "optim.Adam(parameters)",
    "Adamax": "optim.Adam(parameters)",
    "CosineAnnealingLR": "optim.CosineLR(optimizer, steps)",
    "ExponentialLR": "optim.StepLR(optimizer, 1, gamma)",
    "LBFGS": "optim.Adam(parameters), or an optimizer of scipy on the gradients of grad(f)",
    "LRScheduler": "optim.Schedule",
    "LambdaLR": "a subclass of optim.Schedule that writes rate(steps)",
    "LinearLR": "the argument warmup= of a schedule",
    "NAdam": "optim.Adam(parameters)",
    "RAdam": "optim.AdamW(parameters), with the argument warmup= of a schedule",
    "ReduceLROnPlateau": "train.EarlyStopping, or on_epoch= of train.fit",
    "RMSProp": "optim.RMSprop(parameters)",
    "clip_grad_norm_": "optim.clip_grad_norm(parameters, max_norm)",
    "lr_scheduler": "optim.StepLR, optim.CosineLR or optim.OneCycleLR",
}

# What to write instead of optimizer.name.
METHODS = {
    "add_param_group": "a list of dicts when the optimizer is made",
    "apply_gradients": "loss.backward() and optimizer.step()",
    "defaults": "optimizer.param_groups",
    "learning_rate": "optimizer.lr",
    "minimize": "loss.backward() and optimizer.step()",
    "state": "optimizer.state_dict()",
}
