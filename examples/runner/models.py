"""The networks that the examples train, and how a saved network is built again."""

import itertools

from tinygrad_mnist import CheckpointError, Tensor, checkpoint, nn, softmax

from .augment import Distort

ACTIVATIONS = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "gelu": nn.GELU}
INITIALISERS = {
    "he_normal": nn.init.he_normal,
    "he_uniform": nn.init.he_uniform,
    "xavier_normal": nn.init.xavier_normal,
    "xavier_uniform": nn.init.xavier_uniform,
    "normal": nn.init.normal,
}


def build_perceptron(settings, rng):
    """Return the multi-layer perceptron that the settings describe."""
    sizes = [784, *settings["hidden"], settings["classes"]]
    init = INITIALISERS[settings["init"]]
    layers = [Distort(rng=rng)] if settings["augment"] else []
    for i, (inputs, outputs) in enumerate(itertools.pairwise(sizes)):
        if i > 0:
            layers.append(ACTIVATIONS[settings["activation"]]())
            if settings["dropout"]:
                layers.append(nn.Dropout(settings["dropout"], rng=rng))
        layers.append(nn.Linear(inputs, outputs, settings["bias"], rng=rng, weight_init=init))
    if settings["loss"] == "mse":
        layers.append(nn.Sigmoid())
    return nn.Sequential(*layers)


def build_cnn(settings, rng):
    """Return two convolutions with pooling and two dense layers, about the size of LeNet."""
    he = nn.init.he_normal
    return nn.Sequential(
        nn.Conv2d(1, 8, 5, rng=rng, weight_init=he),  # 28 x 28 -> 24 x 24
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Conv2d(8, 24, 5, rng=rng, weight_init=he),  # 12 x 12 -> 8 x 8
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(24 * 4 * 4, 96, rng=rng, weight_init=he),
        nn.ReLU(),
        nn.Dropout(settings["dropout"], rng=rng),
        nn.Linear(96, settings["classes"], rng=rng),
    )


def build(settings, rng):
    """Return the network of a run with these settings."""
    return (build_cnn if settings["recipe"] == "cnn" else build_perceptron)(settings, rng)


def load_model(run):
    """Return the model of a run's folder, or of its model.safetensors, and the run's settings."""
    path = run / "model.safetensors" if run.is_dir() else run
    settings = checkpoint.read(path)[1].get("metadata", {}).get("settings")
    if settings is None:
        raise CheckpointError(
            f"{path}: expected a model that mnist_mlp.py saved, got one without its settings"
        )
    try:
        model = build(settings, 0)
    except (KeyError, TypeError) as error:
        raise CheckpointError(
            f"{path}: expected a model of mnist_mlp.py or mnist_cnn.py, got one of other settings"
        ) from error
    checkpoint.load(path, model)
    return model, settings


def find_probabilities(outputs, settings):
    """Convert a model's outputs (N, C) to probabilities of the classes."""
    if settings["loss"] == "mse":
        return outputs / outputs.sum(axis=1, keepdims=True)
    return softmax(Tensor(outputs)).numpy()
