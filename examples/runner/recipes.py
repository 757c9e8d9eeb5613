"""The recipes of mnist_mlp.py: each is a named set of its flags, as plain data.

Flags on the command line override them.
"""

# The settings that every recipe starts from. They train a good classifier in two minutes.
DEFAULT = {
    "hidden": [512, 256],
    "activation": "relu",
    "loss": "cross-entropy",
    "one_hot": False,
    "bias": True,
    "init": "he_normal",
    "epochs": 10,
    "batch_size": 128,
    "optimizer": "adam",
    "lr": 0.002,
    "schedule": "onecycle",
    "l2": 0.0,
    "dropout": 0.2,
    "label_smoothing": 0.0,
    "augment": False,
    "pixels": [0.0, 1.0],
    "targets": [0.0, 1.0],
    "validation": 0.05,
    "print_every": 1,
    "capture": False,
}

_PLAIN = {"dropout": 0.0, "schedule": "constant", "optimizer": "sgd"}

RECIPES = {
    # 784-128-10, full-batch gradient descent with L2, a held-out development set
    "relu-l2": {
        **_PLAIN, "hidden": [128], "epochs": 300, "batch_size": 0, "lr": 1.0, "l2": 1e-4,
        "validation": 0.1, "print_every": 20,
    },
    # several ReLU layers, Xavier, full batch, a random split, progress every 100 epochs
    "deep-xavier": {
        **_PLAIN, "hidden": [128, 64], "init": "xavier_uniform", "epochs": 500, "batch_size": 0,
        "optimizer": "adam", "lr": 0.003, "validation": 0.1, "print_every": 100,
    },
    # gradient descent, accuracy plotted over the iterations, parameters saved for another process
    "saved-params": {
        **_PLAIN, "hidden": [64], "epochs": 300, "batch_size": 0, "optimizer": "nesterov",
        "lr": 0.3, "validation": 0.1, "print_every": 30,
    },
    # sigmoids on both layers, no bias, squared error, one example at a time; the rate is high
    # because the error is a mean over ten outputs
    "sigmoid-mse": {
        **_PLAIN, "hidden": [100], "activation": "sigmoid", "loss": "mse", "bias": False,
        "init": "normal", "epochs": 10, "batch_size": 1, "lr": 0.5, "pixels": [0.01, 1.0],
        "targets": [0.01, 0.99], "validation": 0.0, "capture": True,
    },
    # 784-128-10 on one-hot labels, in mini-batches
    "minibatch": {
        **_PLAIN, "hidden": [128], "one_hot": True, "epochs": 15, "batch_size": 32,
        "optimizer": "nesterov", "lr": 0.05, "schedule": "cosine", "l2": 1e-4, "validation": 0.05,
    },
    # the best multi-layer perceptron without convolution: distorted digits, dropout, smoothing
    "best": {
        "hidden": [1024, 1024], "epochs": 36, "batch_size": 128, "optimizer": "adamw",
        "lr": 0.002, "schedule": "onecycle", "l2": 1e-3, "dropout": 0.15, "label_smoothing": 0.05,
        "augment": True, "validation": 0.0,
    },
}  # fmt: skip
