"""The settings on the page's tab Learn, and the defaults for each data set."""

from dataclasses import dataclass, replace

from runner.web import RequestError

from .checks import read_choice, read_number, read_whole

PLANES = ("spirals", "circles", "moons", "xor")
DIGITS = ("sample", "mnist")

# The choices on the page: the values, and their names on the page.
CHOICES = {
    "data": {
        "spirals": "Two spirals",
        "circles": "Circle in a ring",
        "moons": "Two moons",
        "xor": "Four corners (XOR)",
        "sample": "Digits: sample of 5,000",
        "mnist": "Digits: MNIST, 70,000",
    },
    "activation": {"relu": "ReLU", "tanh": "tanh", "sigmoid": "sigmoid", "gelu": "GELU"},
    "optimizer": {
        "sgd": "SGD",
        "momentum": "SGD, momentum",
        "adam": "Adam",
        "rmsprop": "RMSprop",
    },
    "speed": {
        "2": "2 steps a second",
        "20": "20 steps a second",
        "200": "200 steps a second",
        "0": "as fast as it can",
    },
}
MOST_LAYERS, WIDEST = 5, {"plane": 64, "digits": 512}
RATES = (1e-5, 10.0)


@dataclass(frozen=True)
class Settings:
    """The settings of a training. Rate and speed may change while it runs."""

    data: str
    hidden: tuple[int, ...]
    activation: str = "tanh"
    optimizer: str = "adam"
    rate: float = 0.01
    batch: int = 32
    dropout: float = 0.0
    seed: int = 0
    speed: int = 200
    """Steps per second, or 0 for as fast as possible."""

    @property
    def kind(self):
        """The kind of the data: "plane" (points) or "digits"."""
        return "plane" if self.data in PLANES else "digits"


PRESETS = {
    "spirals": Settings("spirals", (16, 16)),
    "circles": Settings("circles", (6,)),
    "moons": Settings("moons", (8,)),
    "xor": Settings("xor", (4,)),
    "sample": Settings("sample", (32,), "relu", rate=0.002, speed=0),
    "mnist": Settings("mnist", (64,), "relu", rate=0.002, batch=64, speed=0),
}


def read_settings(content):
    """Return the settings that a page asks for. Missing settings get the data set's defaults."""
    settings = PRESETS[read_choice(content, "data", PRESETS)]
    readers = {
        "hidden": lambda: read_hidden(content, WIDEST[settings.kind]),
        "activation": lambda: read_choice(content, "activation", CHOICES["activation"]),
        "optimizer": lambda: read_choice(content, "optimizer", CHOICES["optimizer"]),
        "rate": lambda: read_rate(content),
        "batch": lambda: read_whole(content, "batch", 1, 1024),
        "dropout": lambda: read_number(content, "dropout", 0, 0.9),
        "seed": lambda: read_whole(content, "seed", 0, 9999),
        "speed": lambda: read_speed(content),
    }
    unknown = content.keys() - {"data", *readers}
    if unknown:
        raise RequestError(f"expected settings of {', '.join(readers)}, got {min(unknown)!r}")
    return replace(settings, **{name: readers[name]() for name in readers if name in content})


def read_hidden(content, widest):
    """Return the widths of the hidden layers."""
    widths = content["hidden"]
    if not isinstance(widths, list) or len(widths) > MOST_LAYERS:
        raise RequestError(f"hidden: expected at most {MOST_LAYERS} layers, got {widths!r}")
    return tuple(read_whole({"width": width}, "width", 1, widest) for width in widths)


def read_rate(content):
    """Return the learning rate."""
    return read_number(content, "rate", *RATES)


def read_speed(content):
    """Return the speed in steps per second."""
    return int(read_choice({"speed": str(content.get("speed"))}, "speed", CHOICES["speed"]))
