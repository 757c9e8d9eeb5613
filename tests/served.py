"""Pages that are served to a browser, and what their tests ask of them."""

import contextlib
import http.client
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from helpers import ROOT

from tinygrad_mnist import checkpoint

CHROMIUM = Path("/usr/bin/chromium")
PAGE = (ROOT / "examples" / "playground_page" / "page.html").read_text(encoding="utf-8")


@contextlib.contextmanager
def in_thread(server):
    """Serve in a thread of its own."""
    with server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def serving(**options):
    """Serve a playground."""
    from playground_page.server import Playground

    return in_thread(Playground(**options))


@contextlib.contextmanager
def a_browser():
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="drives the browser: pip install 'tinygrad-mnist[browser]'"
    )
    if not CHROMIUM.exists():
        pytest.skip(f"needs Chromium as {CHROMIUM}")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--headless"]
        )
        yield browser
        browser.close()


def until(page, expression, argument=None):
    """Wait for a truth of the page; playwright's own way needs eval, which the policy forbids."""
    deadline = time.monotonic() + 30
    while not page.evaluate(expression, argument):
        assert time.monotonic() < deadline, expression
        page.wait_for_timeout(10)


def ask(server, path, body=None, method="POST", raw=None, **headers):
    """Return the status, the headers and the content of an answer, JSON as an object."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=30)
    with contextlib.closing(connection):
        sent = json.dumps({} if body is None else body) if raw is None else raw
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, sent if method == "POST" else None, names)
        response = connection.getresponse()
        content = response.read()
    if response.headers["Content-Type"] == "application/json":
        content = json.loads(content)
    return response.status, response.headers, content


def get(server, path, body=None):
    """Return the answer to a request that must go well."""
    status, _, content = ask(server, path, body)
    assert status == 200, content
    return content


@contextlib.contextmanager
def listening(server, path="/events"):
    """Yield a function that returns the next event: its kind and its content."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=30)
    with contextlib.closing(connection):
        connection.request("GET", path)
        response = connection.getresponse()
        assert response.headers["Content-Type"] == "text/event-stream"

        def read():
            kind = None
            while True:
                line = response.readline().decode().rstrip("\n")
                if line.startswith("event: "):
                    kind = line.removeprefix("event: ")
                elif line.startswith("data: "):
                    return kind, json.loads(line.removeprefix("data: "))

        yield read


def next_of(read, kind, holds=lambda content: True):
    """Return the next event of a kind that holds something true."""
    while True:
        found, content = read()
        if found == kind and holds(content):
            return content


def wait_until(holds):
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class Silent:
    """A hub that nobody listens to, which keeps what was published last."""

    def __init__(self):
        self.has_listeners, self.newest = False, {}

    def publish(self, kind, content):
        self.newest[kind] = content

    def forget(self, *kinds):
        for kind in kinds:
            self.newest.pop(kind, None)


def step(trainer, count):
    """Take steps one at a time, as the button does."""
    for _ in range(count):
        due = trainer.step + 1
        trainer.take_step()
        assert trainer.hub.newest["scores"]["step"] == trainer.step == due


def weights_of(model):
    return [p.data.copy() for p in model.parameters()]


def newest(server, kind):
    return json.loads(server.hub.newest[kind].split("data: ")[1])


def a_seven():
    image = np.zeros((28, 28), np.uint8)
    image[5:8, 7:21] = 255
    image[5:24, 17:20] = 200
    return image


def a_run(kind, folder):
    """Save a random model of each kind that the examples train."""
    from runner.models import build
    from runner.recipes import DEFAULT

    settings = {**DEFAULT, "recipe": None, "classes": 10, "hidden": [12, 8], "augment": True}
    if kind == "cnn":
        settings.update(recipe="cnn")
    elif kind == "mse":
        settings.update(loss="mse", activation="sigmoid", pixels=[0.01, 1.0], augment=False)
    elif kind == "letters":
        settings.update(classes=26, class_names=[*"ABCDEFGHIJKLMNOPQRSTUVWXYZ"])
    model = build(settings, 0)
    checkpoint.save(folder / "model.safetensors", model, metadata={"settings": settings})
    return folder


@contextlib.contextmanager
def start(program, *arguments):
    """Start a program of the examples that serves a page."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error", "OPENBLAS_NUM_THREADS": "1"}  # fmt: skip
    command = [sys.executable, str(ROOT / "examples" / program), *map(str, arguments)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:  # fmt: skip
        try:
            yield process
        except BaseException:
            process.kill()
            raise
