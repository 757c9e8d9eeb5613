"""The flags of mnist_mlp.py, and the settings of a run that is resumed."""

import argparse
import json
from pathlib import Path

from .models import ACTIVATIONS, INITIALISERS
from .recipes import DEFAULT, RECIPES
from .threads import add_threads
from .training import OPTIMIZERS, SCHEDULES

# The settings that may differ when a run is resumed: the path of the same data, how often it
# prints, and the number of threads.
MAY_CHANGE = ("resume", "data", "print_every", "threads")


def make_parser(description):
    """Return a parser of the flags of mnist_mlp.py."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    on_or_off = argparse.BooleanOptionalAction

    model = parser.add_argument_group("the model")
    model.add_argument("--hidden", type=int, nargs="*", help="sizes of the hidden layers")
    model.add_argument("--activation", choices=ACTIVATIONS)
    model.add_argument("--bias", action=on_or_off)
    model.add_argument("--init", choices=INITIALISERS)
    model.add_argument("--dropout", type=float)

    loss = parser.add_argument_group("the loss")
    loss.add_argument("--loss", choices=("cross-entropy", "mse"))
    loss.add_argument("--one-hot", action=on_or_off, help="one-hot labels for the cross-entropy")
    loss.add_argument("--label-smoothing", type=float)
    loss.add_argument(
        "--targets", type=float, nargs=2, help="the targets of wrong and right classes for mse"
    )
    loss.add_argument(
        "--l2", type=float, help="weight decay: the factor of the L2 penalty's gradient"
    )

    training = parser.add_argument_group("the training")
    training.add_argument("--epochs", type=int)
    training.add_argument("--batch-size", type=int, help="0 for all examples at once")
    training.add_argument("--optimizer", choices=OPTIMIZERS)
    training.add_argument("--lr", type=float, help="the learning rate, or its highest value")
    training.add_argument("--schedule", choices=SCHEDULES)
    training.add_argument("--seed", type=int, default=0)
    training.add_argument("--capture", action=on_or_off, help="capture the step as a program")

    data = parser.add_argument_group("the data")
    data.add_argument(
        "--data", help="a folder or file of MNIST; see tinygrad_mnist.datasets.load_mnist"
    )
    data.add_argument(
        "--limit", type=int, default=0, help="how many training examples to use (0: all)"
    )
    data.add_argument("--validation", type=float, help="share of the training data held out")
    data.add_argument("--pixels", type=float, nargs=2, help="the range that pixels are mapped to")
    data.add_argument("--augment", action=on_or_off, help="distort the training images")

    run = parser.add_argument_group("the run")
    run.add_argument(
        "--recipe", choices=RECIPES, help="a named set of these flags, see runner/recipes.py"
    )
    run.add_argument("--print-every", type=int, help="epochs between progress lines")
    add_threads(run)
    run.add_argument("--out", type=Path, help="the folder for the results (default: runs/<recipe>)")
    run.add_argument(
        "--write-numpy",
        type=Path,
        metavar="FILE",
        help="do not train, but write this run as a script that needs only NumPy",
    )
    run.add_argument(
        "--resume",
        type=Path,
        metavar="RUN",
        help="continue the run in this folder as if it had never stopped",
    )
    parser.set_defaults(**DEFAULT)
    return parser


def parse(description, arguments=None):
    """Return the settings: the defaults, then the recipe's, then the command line's.

    With --resume they are the settings of the run that is resumed.
    """
    parser = make_parser(description)
    given = find_given(parser, arguments)
    if "resume" in given:
        return resume(parser, given)
    recipe = RECIPES.get(given.get("recipe"), {})
    settings = {**vars(parser.parse_args([])), **recipe, **given}
    settings["out"] = settings["out"] or Path("runs") / (settings["recipe"] or "mnist_mlp")
    return settings


def find_given(parser, arguments):
    """Return the flags given on the command line, without flags that keep their defaults."""
    unset = object()
    names = vars(parser.parse_args([]))
    found = parser.parse_args(arguments, argparse.Namespace(**dict.fromkeys(names, unset)))
    return {name: value for name, value in vars(found).items() if value is not unset}


def resume(parser, given):
    """Return the settings of the run in the folder given["resume"].

    If a flag differs from the setting of that run, the program ends with an error that names the
    flag. If it were ignored, the program would train something that nobody asked for.
    """
    run = given["resume"]
    try:
        saved = json.loads((run / "settings.json").read_text())
        missing = {"data_sha256", *vars(parser.parse_args([]))} - {"resume", *saved}
        if missing:
            raise ValueError(f"it lacks {', '.join(sorted(missing))}")
    except (OSError, ValueError, TypeError) as error:
        parser.error(f"--resume {run}: expected a run's folder with its settings.json: {error}")
    refused = find_refused(saved, given)
    if refused:
        parser.error(
            f"--resume {run}: that run goes on with its own settings and cannot honour "
            f"{', '.join(refused)}; leave them out, or start a new run"
        )
    return {**saved, **given, "out": run}


def find_refused(saved, given):
    """Return the flags that differ from the settings of the saved run, in words."""
    refused = []
    for name, value in given.items():
        flag = "--" + name.replace("_", "-")
        if name == "out":
            if value.resolve() != given["resume"].resolve():
                refused.append(f"--out {value}")
        elif name == "epochs" and saved["schedule"] == "constant":
            continue  # without a schedule, the first epochs do not depend on the number
        elif name not in MAY_CHANGE and value != saved[name]:
            refused.append(f"{flag} (the run had {saved[name]})")
    return refused


def as_json(settings):
    """Return the settings in the form in which they are saved: paths as text, no --resume."""
    return {
        name: str(value) if isinstance(value, Path) else value
        for name, value in settings.items()
        if name != "resume"
    }
