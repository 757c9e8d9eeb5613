"""A model in training and the requests that a page may make. `fit` runs in its own thread."""

import itertools
import math
import threading
import time
import traceback
from typing import Any, NamedTuple

import numpy as np

from tinygrad_mnist import AnomalyError, nn, optim, softmax_cross_entropy
from tinygrad_mnist.train import fit

from .data import load_data
from .frames import Curve, make_frame, make_scores
from .pace import Pace, Turn
from .settings import CHOICES, PRESETS

ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "gelu": nn.GELU}
OPTIMIZERS = {
    "sgd": optim.SGD,
    "momentum": lambda params, rate: optim.SGD(params, rate, momentum=0.9),
    "adam": optim.Adam,
    "rmsprop": optim.RMSprop,
}
# The most frames and scores per second, and their largest share of the training thread's time.
FRAMES, SCORES = (20, 0.008), (10, 0.008)
ENDLESS = 10**9  # epochs


def build(settings):
    """Return the network that the settings describe: dense layers with activations in between."""
    rng = np.random.default_rng(settings.seed)
    inputs, outputs = (2, 2) if settings.kind == "plane" else (784, 10)
    layers = []
    for i, (into, out) in enumerate(itertools.pairwise([inputs, *settings.hidden, outputs])):
        if i > 0:
            layers.append(ACTIVATIONS[settings.activation]())
            if settings.dropout:
                layers.append(nn.Dropout(settings.dropout, rng=rng))
        layers.append(nn.Linear(into, out, rng=rng))
    return nn.Sequential(*layers)


class Snapshot(NamedTuple):
    """A copy of a model at one moment, which training does not change, and its data."""

    model: Any
    settings: Any
    data: Any
    step: int


class Trainer:
    """One model, its training, and the events that report on it.

    The training thread calls `_on_step` after each step. In that call it publishes frames, and
    waits while training is paused. The other methods are for other threads.
    """

    def __init__(self, hub, mnist=None):
        self.hub, self.mnist = hub, mnist
        self.commands = threading.RLock()  # held while a request changes the training
        self.changed = threading.Condition()  # guards the attributes below, up to `error`
        self.allowed = 0.0  # how many steps the thread may take; infinity while it runs
        self.ending = False
        self.is_idle = False  # whether the thread waits for steps that it may take
        self.rate, self.speed = 0.0, 0
        self.thread = None
        self.error = ""
        self.run = 0  # counts models, so that a page can drop late events of an old model
        self.reset(PRESETS["spirals"])

    # ---- what a page may ask for

    def reset(self, settings):
        """Start over with a new model, paused. If the data cannot be loaded, nothing changes."""
        with self.commands:
            data = load_data(settings, self.mnist)
            self._end_thread()
            self.is_idle = False
            self.settings, self.data, self.model = settings, data, build(settings)
            self.parameters = list(self.model.parameters())
            self.optimizer = OPTIMIZERS[settings.optimizer](self.parameters, settings.rate)
            self.rate, self.speed, self.allowed = settings.rate, settings.speed, 0.0
            self.error, self.step, self.epoch = "", 0, 0
            self.run += 1
            self.curve = Curve()
            self.pace = Pace()
            self.frame_turn, self.scores_turn = Turn(*FRAMES), Turn(*SCORES)
            self.hub.forget("frame", "scores")
            self._publish_state()
            self._publish_frame()
            self._publish_scores()

    def change(self, settings):
        """Start over with other settings. If training was running, it continues."""
        with self.commands:
            was_running = self.is_running
            self.reset(settings)
            if was_running:
                self.start()

    def start(self):
        """Train until `pause` is called."""
        self._allow(math.inf)

    def pause(self):
        """Stop after the current step, and return when it has ended."""
        self._allow(0.0)

    def take_step(self):
        """Take one step, pause, and return when the step has ended."""
        self._allow(1.0)

    def set_rate(self, rate):
        """Change the learning rate, starting with the next step."""
        with self.commands, self.changed:
            self.rate = rate
            self.changed.notify_all()
            self._publish_state()

    def set_speed(self, speed):
        """Change the number of steps per second. 0 means as fast as possible."""
        with self.commands, self.changed:
            self.speed = speed
            self.changed.notify_all()
            self._publish_state()

    def snapshot(self):
        """Return a copy of the model for other threads.

        Training may continue during the copy. Then some arrays are one step newer than others, but
        this does not matter for showing the model.
        """
        with self.commands:
            model = build(self.settings).eval()
            for copied, parameter in zip(model.parameters(), self.parameters, strict=True):
                copied.data = parameter.data
            return Snapshot(model, self.settings, self.data, self.step)

    def close(self):
        """End the training."""
        with self.commands:
            self._end_thread()

    @property
    def is_running(self):
        """Whether training runs until `pause` is called."""
        return self.allowed == math.inf

    def _allow(self, steps):
        with self.commands:
            if self.error:
                return  # there is no model to continue with, and the page says so
            with self.changed:
                self.allowed = steps
                self.is_idle = self.is_idle and not steps
                self.changed.notify_all()
                self._publish_state()
            if steps and self.thread is None:
                self.thread = threading.Thread(target=self._train, name="training", daemon=True)
                self.thread.start()
            if steps < math.inf and self.thread is not None:
                with self.changed:
                    self.changed.wait_for(lambda: self.is_idle or self.error)

    def _end_thread(self):
        if self.thread is not None:
            with self.changed:
                self.ending = True
                self.changed.notify_all()
            self.thread.join()
        self.thread, self.ending = None, False

    # ---- in the training thread

    def _train(self):
        try:
            # If the rate is too high, numbers overflow. Later `fit` reports this from the loss.
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                fit(
                    self.model,
                    softmax_cross_entropy,
                    self.optimizer,
                    self.data.train,
                    epochs=ENDLESS,
                    batch_size=min(self.settings.batch, len(self.data.train.inputs)),
                    progress=False,
                    rng=self.settings.seed,
                    on_step=self._on_step,
                    on_epoch=forget_history,
                )
        except AnomalyError:
            self._fail(
                "The loss is no longer a finite number: the steps were so large that they made the "
                "weights explode. Choose a lower rate, then Reset."
            )
        except Exception as error:
            traceback.print_exc()
            self._fail(f"Training ended with an error: {error}")

    def _on_step(self, run):
        self.step, self.epoch = run.step, run.epoch
        self.pace.count(run.loss)
        with self.changed:
            self.allowed -= 1
            self._show()
            if self.allowed <= 0 and not self.ending:
                self._wait_while_paused()
            elif self.speed:
                self._wait_for_turn()
            if run.optimizer.lr != self.rate:
                run.optimizer.lr = self.rate
            if self.ending:
                run.stop()

    def _show(self):
        """Publish what is due, unless no page is connected."""
        if not self.hub.has_listeners:
            return
        for turn, publish in (
            (self.frame_turn, self._publish_frame),
            (self.scores_turn, self._publish_scores),
        ):
            if turn.is_due(self.speed > 0 and self.pace.is_on_time(self.speed)):
                turn.take(publish)

    def _wait_while_paused(self):
        """Show the current model, and wait until there is a step to take."""
        self._publish_frame()
        self._publish_scores()
        self._publish_state()
        self.is_idle = True
        self.changed.notify_all()
        self.changed.wait_for(lambda: self.allowed > 0 or self.ending)
        self.pace.resume()

    def _wait_for_turn(self):
        """Wait until the next step is due at this speed, or something has changed."""
        speed = self.speed
        self.pace.plan(speed)
        while (left := self.pace.due - time.perf_counter()) > 0:
            self.changed.wait(left)
            if self.allowed <= 0 or self.ending or self.speed != speed:
                break
        if self.allowed <= 0 and not self.ending:
            self._wait_while_paused()

    def _fail(self, message):
        with self.changed:
            self.error, self.allowed = message, 0.0
            self.changed.notify_all()
            self._publish_state()

    # ---- events for the pages

    def _publish_frame(self):
        frame = {
            "run": self.run,
            "step": self.step,
            "epoch": self.epoch,
            "loss": self.pace.take_loss(),
            "speed": self.pace.speed,
            **make_frame(self.model, self.settings.kind),
        }
        self.hub.publish("frame", frame)

    def _publish_scores(self):
        scores = make_scores(self.model, self.data)
        self.curve.add(self.step, scores)
        self.hub.publish("scores", {"run": self.run, "step": self.step, **scores})

    def _publish_state(self):
        settings = self.settings
        self.hub.publish(
            "state",
            {
                "run": self.run,
                "running": self.is_running,
                "error": self.error,
                "settings": {**vars(settings), "rate": self.rate, "speed": self.speed},
                "kind": settings.kind,
                "choices": CHOICES,
                "data": self.data.name,
                "examples": [len(self.data.train.labels), len(self.data.test.labels)],
                "points": list_points(self.data) if settings.kind == "plane" else None,
                "parameters": sum(p.size for p in self.parameters),
                "curve": self.curve.points,
            },
        )


def forget_history(run):
    """Keep only the last epoch, because a page that stays open must not fill the memory."""
    for column in run.history.values():
        del column[:-1]


def list_points(data):
    """Return the points of the plane as [x, y, class, whether it is held out]."""
    return [
        [round(float(x), 3), round(float(y), 3), int(label), held_out]
        for held_out, part in enumerate((data.train, data.test))
        for (x, y), label in zip(part.inputs, part.labels, strict=True)
    ]
