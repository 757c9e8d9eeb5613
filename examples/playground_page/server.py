"""The playground's server. It says which function answers which request."""

from pathlib import Path

from runner.web import LocalServer, RequestError, read_pixels

from .checks import read_choice, read_number, read_whole
from .data import load_data
from .events import Hub
from .expression import read_expression
from .inside import SIDE, Reader, look, look_at_unit
from .settings import PRESETS, read_rate, read_settings, read_speed
from .steps import trace_expression, trace_model
from .training import Trainer

PAGE = Path(__file__).with_name("page.html")


class Playground(LocalServer):
    """The server of the page, its training, and a saved model of digits if there is one."""

    def __init__(self, host=None, port=0, *, mnist=None, saved=None, name=""):
        self.saved, self.name = saved, name  # a Reader, and where it comes from
        self.mnist, self.digits = mnist, None
        answers = {
            "/start": lambda body: self.trainer.start(),
            "/pause": lambda body: self.trainer.pause(),
            "/step": lambda body: self.trainer.take_step(),
            "/reset": lambda body: self.trainer.reset(read_settings(body)),
            "/change": lambda body: self.trainer.change(read_settings(body)),
            "/rate": lambda body: self.trainer.set_rate(read_rate(body)),
            "/speed": lambda body: self.trainer.set_speed(read_speed(body)),
            "/digit": self._find_digit,
            "/look": self._look,
            "/unit": self._look_at_unit,
            "/graph": self._trace,
        }
        self.hub = Hub()
        self.trainer = Trainer(self.hub, mnist)
        page = PAGE.read_text(encoding="utf-8")
        streams = {"/events": self.hub.stream}
        super().__init__({"/": page}, answers, streams, host=host, port=port)
        if saved is not None:
            self.hub.publish("saved", {"name": name})

    def server_close(self):
        """Close the server, and end the training and all streams."""
        super().server_close()
        self.hub.close()
        self.trainer.close()

    def _find_reader(self, body):
        """Return the model that a request is about: the saved model or the one in training."""
        if body.get("model") == "saved":
            if self.saved is None:
                raise RequestError("expected a saved model, but the program was given none")
            return self.saved
        snapshot = self.trainer.snapshot()
        if snapshot.settings.kind != "digits":
            raise RequestError("the model under Learn has not learned digits; choose digits there")
        return Reader(snapshot.model)

    def _find_digit(self, body):
        """Answer with a held-out digit, by its number in a fixed random order."""
        data = self._find_digits()
        number = read_whole(body, "number", 0, 10**9) % len(data.images)
        return {
            "number": number,
            "of": len(data.images),
            "label": int(data.test.labels[number]),
            "pixels": data.images[number].ravel().tolist(),
        }

    def _find_digits(self):
        """Return the digits of the training if it has digits, otherwise MNIST or the sample."""
        if self.trainer.settings.kind == "digits":
            return self.trainer.data
        if self.digits is None:
            self.digits = load_digits(self.mnist)
        return self.digits

    def _look(self, body):
        chosen = None if body.get("digit") is None else read_whole(body, "digit", 0, 999)
        return look(self._find_reader(body), read_pixels(body, SIDE), chosen)

    def _look_at_unit(self, body):
        layer, unit = read_whole(body, "layer", 0, 99), read_whole(body, "unit", 0, 10**6)
        return look_at_unit(self._find_reader(body), layer, unit)

    def _trace(self, body):
        """Answer with the graph of an expression, or of the model in training for one example."""
        if read_choice(body, "of", ("expression", "model")) == "model":
            return trace_model(self.trainer.snapshot(), read_whole(body, "example", 0, 10**9))
        expression = read_expression(body.get("expression"))
        given = body.get("values")
        if not isinstance(given, dict):
            raise RequestError(f"values: expected an object, got {given!r}")
        values = {
            name: read_number(given, name, -1e6, 1e6) if name in given else 1.0
            for name in expression.variables
        }
        return {"values": values, **trace_expression(expression, values)}


def load_digits(mnist):
    """Return MNIST if it is on this machine, otherwise the sample."""
    try:
        return load_data(PRESETS["mnist"], mnist)
    except RequestError:
        return load_data(PRESETS["sample"])
