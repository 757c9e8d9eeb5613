"""Draw a digit and see a saved model recognize it: python examples/draw_digit.py runs/mnist_mlp."""

import argparse
import html
import json
import sys
from pathlib import Path

import numpy as np
from runner.data import list_classes, prepare_inputs
from runner.models import find_probabilities, load_model
from runner.photo import SeveralDigitsError, cut_digit
from runner.web import LocalServer, add_flags, read_pixels, refuse_port, serve_until_stopped

from tinygrad_mnist import CheckpointError, DataError, from_numpy, nn, no_grad

# The side of the drawing that the page sends, in pixels. It is small enough to be sent at each
# stroke, and large enough to be shrunk well.
SIDE = 140
# The most bytes of a request: a pixel takes at most three digits, a comma and some spaces.
LARGEST = 8 * SIDE * SIDE
ACTIVATIONS = (nn.ReLU, nn.LeakyReLU, nn.Sigmoid, nn.Tanh, nn.GELU)
PAGE = Path(__file__).with_name("draw_digit.html")


def look(model, settings, image):
    """Show the model one of MNIST's images; return the probabilities and the hidden activations."""
    x = from_numpy(prepare_inputs(image[np.newaxis], settings))
    model.eval()
    hidden = []
    with no_grad():
        *layers, last = model
        for layer in layers:
            x = layer(x)
            if isinstance(layer, ACTIVATIONS):
                hidden.append(describe(layer, x.data[0]))
        outputs = last(x).data
    return find_probabilities(outputs, settings)[0], hidden


def describe(layer, values):
    """Return what the page shows of a layer: its name, and the values as maps (units, H, W)."""
    maps = values if values.ndim == 3 else values[:, np.newaxis, np.newaxis]
    numbers = maps.ravel().astype(float).round(4).tolist()
    return {"name": type(layer).__name__, "shape": maps.shape, "values": numbers}


def answer(model, settings, drawing):
    """Return what the page shows for a drawing (SIDE, SIDE).

    If there is not exactly one digit, the answer is a message without probabilities, because these
    would be meaningless.
    """
    try:
        image, message = cut_digit(drawing.astype(np.float32) / 255), None
    except SeveralDigitsError as several:
        image, message = None, f"These look like {several.count} digits. Draw one."
    except DataError:
        image, message = None, "Draw a digit."
    p, hidden = look(model, settings, np.zeros((28, 28), np.uint8) if image is None else image)
    return {
        "empty": image is None,
        "message": message,
        "probabilities": None if image is None else p.astype(float).tolist(),
        "seen": None if image is None else image.ravel().tolist(),
        "layers": hidden,
    }


class Server(LocalServer):
    """The server of the page and of the model that answers it."""

    def __init__(self, model, settings, name, port=0):
        self.model = model, settings
        page = PAGE.read_text(encoding="utf-8")
        for field, value in (
            ("{{model}}", html.escape(str(name))),
            ("{{side}}", str(SIDE)),
            ("{{classes}}", json.dumps(list_classes(settings)).replace("<", r"\u003c")),
        ):
            page = page.replace(field, value)
        super().__init__({"/": page}, {"/predict": self._predict}, {}, port=port, largest=LARGEST)

    def _predict(self, content):
        return answer(*self.model, read_pixels(content, SIDE))


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "model",
        type=Path,
        help="a run's folder, or a model.safetensors of mnist_mlp.py or mnist_cnn.py",
    )
    add_flags(parser)
    options = parser.parse_args(arguments)
    model, settings = load_model(options.model)
    try:
        server = Server(model, settings, options.model, options.port)
    except OSError as error:
        refuse_port(parser, options.port, error)
        raise
    serve_until_stopped(server, "draw", opens_browser=not options.no_browser)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (DataError, CheckpointError) as problem:
        sys.exit(f"{type(problem).__name__}: {problem}")
