"""Draw a digit and watch a saved model see it: python examples/draw_digit.py runs/mnist_mlp."""

import argparse
import errno
import html
import json
import os
import signal
import sys
import threading
import webbrowser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
from runner.data import prepare_inputs
from runner.models import find_probabilities, load_model
from runner.photo import SeveralDigitsError, cut_digit

from tinygrad_mnist import CheckpointError, DataError, from_numpy, nn, no_grad

# Of the drawing that the page sends: coarse enough to send at each stroke, and fine enough to
# shrink well.
SIDE = 140
# Bytes of a request: a pixel is at most three digits, a comma and perhaps spaces.
LARGEST = 8 * SIDE * SIDE
ACTIVATIONS = (nn.ReLU, nn.LeakyReLU, nn.Sigmoid, nn.Tanh, nn.GELU)
PAGE = Path(__file__).with_name("draw_digit.html")
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "connect-src 'self'; img-src data:"
)


class RequestError(Exception):
    """What is wrong with a request, and its HTTP status."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


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

    Without exactly one digit it has a message, and no probabilities, which would say nothing.
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


def read_drawing(body):
    """Return the pixels (SIDE, SIDE) of a request's body, from 0, the ground, to 255, the ink."""
    expected = (
        f'expected JSON as {{"pixels": [...]}} with {SIDE * SIDE} whole numbers from 0 to 255'
    )
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        raise RequestError(400, f"{expected}, got {len(body)} bytes that are no JSON") from None
    pixels = content.get("pixels") if isinstance(content, dict) else None
    if not isinstance(pixels, list):
        raise RequestError(400, f"{expected}, got JSON without such a list")
    if len(pixels) != SIDE * SIDE:
        raise RequestError(400, f"{expected}, got {len(pixels)}")
    try:
        return np.frombuffer(bytes(pixels), np.uint8).reshape(SIDE, SIDE)
    except (TypeError, ValueError):
        raise RequestError(400, f"{expected}, got other values") from None


class Handler(BaseHTTPRequestHandler):
    """`/` is the page, and `/predict` answers what it draws."""

    timeout = 30  # seconds that a silent client may keep its thread

    def do_GET(self):
        self._respond({"/": lambda: self.server.page})

    def do_POST(self):
        self._respond({"/predict": self._predict})

    def _predict(self):
        return json.dumps(answer(*self.server.model, read_drawing(self._body()))).encode()

    def _respond(self, pages):
        path = urlsplit(self.path).path
        try:
            self._check_origin()
            if path not in pages:
                raise RequestError(
                    404, f"expected one of {', '.join(pages)}, got {self.command} {path}"
                )
            status, content = 200, pages[path]()
        except RequestError as error:
            status, content = error.status, json.dumps({"error": str(error)}).encode()
        self.send_response(status)
        self.send_header(
            "Content-Type",
            "text/html; charset=utf-8" if content is self.server.page else "application/json",
        )
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Content-Security-Policy", POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(content)

    def _check_origin(self):
        # A strange name that leads here belongs to another site (DNS rebinding), and so does a
        # strange origin.
        host, origin = self.headers.get("Host", ""), self.headers.get("Origin")
        if host.rsplit(":", 1)[0].lower() not in ("127.0.0.1", "localhost"):
            raise RequestError(403, f"expected the host 127.0.0.1 or localhost, got {host!r}")
        if origin is not None and origin.lower() != f"http://{host}".lower():
            raise RequestError(
                403, f"expected a request of this server's own page, got one of {origin!r}"
            )

    def _body(self):
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdecimal()):
            raise RequestError(411, f"expected a Content-Length, got {length!r}")
        if len(length) > 9 or int(length) > LARGEST:
            # A client that is still sending does not listen, so take a little more of it first.
            self.rfile.read(min(int(length[:9]), 16 * LARGEST))
            raise RequestError(413, f"expected at most {LARGEST} bytes, got {length}")
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            raise RequestError(400, f"expected {length} bytes, got {len(body)}")
        return body

    def log_message(self, *args):
        """Say nothing: a line for each stroke would hide what matters."""


class Server(ThreadingHTTPServer):
    """The page and the model behind it, for this machine alone.

    It has threads because browsers open connections that they do not use at once.
    """

    allow_reuse_address = os.name != "nt"  # where it would let two servers share a port

    def __init__(self, model, settings, name, port=0):
        self.model = model, settings
        page = PAGE.read_text(encoding="utf-8")
        names = [str(i) for i in range(settings["classes"])]
        for field, value in (
            ("{{model}}", html.escape(str(name))),
            ("{{side}}", str(SIDE)),
            ("{{classes}}", json.dumps(names).replace("<", r"\u003c")),
        ):
            page = page.replace(field, value)
        self.page = page.encode()
        super().__init__(("127.0.0.1", port), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}/"

    def handle_error(self, request, client_address):
        """Pass over clients that went away."""
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "model",
        type=Path,
        help="a run's folder, or a model.safetensors of mnist_mlp.py or mnist_cnn.py",
    )
    parser.add_argument(
        "--port", type=int, default=8000, help="where to listen (default: 8000; 0: any free one)"
    )
    parser.add_argument("--no-browser", action="store_true", help="only print the address")
    options = parser.parse_args(arguments)
    if not 0 <= options.port <= 65535:
        parser.error(f"--port: expected a number from 0 to 65535, got {options.port}")
    model, settings = load_model(options.model)
    # Ctrl-C ends it also where a shell started it in the background.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        server = Server(model, settings, options.model, options.port)
    except OSError as error:
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        parser.error(
            f"--port: expected a free one, got {options.port}: {error.strerror}; "
            f"try --port {options.port + 1} or 0"
        )
    with server:
        try:
            print(f"draw at {server.url} (Ctrl-C ends it)", flush=True)
            if not options.no_browser:  # in a thread, because a text browser returns when it ends
                threading.Thread(target=webbrowser.open, args=(server.url,), daemon=True).start()
            server.serve_forever()
        except KeyboardInterrupt:
            print()
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (DataError, CheckpointError) as problem:
        sys.exit(f"{type(problem).__name__}: {problem}")
