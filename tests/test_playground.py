"""The playground: its server and its training, and the three views in a real browser."""

import base64
import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from helpers import ROOT

import tinygrad_mnist as tg
from tinygrad_mnist import Tensor, checkpoint, nn, optim
from tinygrad_mnist.train import fit, predict

CHROMIUM = Path("/usr/bin/chromium")
PAGE = (ROOT / "examples" / "playground" / "page.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module", autouse=True)
def examples():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "examples"))
        yield


@contextlib.contextmanager
def serving(**options):
    from playground.server import Playground

    with Playground(**options) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def server(examples):
    with serving() as server:
        yield server


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


@pytest.fixture
def trainer(examples):
    from playground.training import Trainer

    trainer = Trainer(Silent())
    yield trainer
    trainer.close()


def step(trainer, count):
    """Take steps one at a time, as the button does."""
    for _ in range(count):
        due = trainer.step + 1
        trainer.take_step()
        wait_until(lambda due=due: trainer.hub.newest["scores"]["step"] == due)
        assert trainer.step == due


def weights_of(model):
    return [p.data.copy() for p in model.parameters()]


# ---- What a page may ask for


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({}, "data: expected one of spirals"),
        ({"data": "faces"}, "data: expected one of spirals, circles, moons, xor, sample, mnist, got 'faces'"),
        ({"data": ["xor"]}, "data: expected one of"),
        ({"data": "xor", "hidden": 4}, "hidden: expected at most 5 layers, got 4"),
        ({"data": "xor", "hidden": [4] * 6}, "hidden: expected at most 5 layers"),
        ({"data": "xor", "hidden": [0]}, "width: expected a number from 1 to 64, got 0"),
        ({"data": "xor", "hidden": [100]}, "width: expected a number from 1 to 64, got 100"),
        ({"data": "xor", "hidden": [2.5]}, "width: expected a whole number, got 2.5"),
        ({"data": "xor", "hidden": [None]}, "width: expected a number"),
        ({"data": "xor", "activation": "sin"}, "activation: expected one of relu"),
        ({"data": "xor", "optimizer": "adamax"}, "optimizer: expected one of sgd"),
        ({"data": "xor", "rate": 0}, "rate: expected a number from 1e-05 to 10.0, got 0"),
        ({"data": "xor", "rate": "fast"}, "rate: expected a number"),
        ({"data": "xor", "rate": float("nan")}, "rate: expected a number"),
        ({"data": "xor", "batch": 0}, "batch: expected a number from 1 to 1024, got 0"),
        ({"data": "xor", "batch": True}, "batch: expected a number"),
        ({"data": "xor", "dropout": 1}, "dropout: expected a number from 0 to 0.9, got 1"),
        ({"data": "xor", "speed": 3}, "speed: expected one of 2, 20, 200, 0"),
        ({"data": "xor", "depth": 3}, "expected settings of hidden"),
    ],
)  # fmt: skip
def test_settings_out_of_range_hear_what_was_expected(content, words):
    from playground.checks import RequestError
    from playground.settings import read_settings

    with pytest.raises(RequestError) as error:
        read_settings(content)
    assert words in str(error.value)


def test_settings_that_are_left_out_are_those_of_the_data_set():
    from playground.settings import PRESETS, read_settings

    assert read_settings({"data": "moons"}) == PRESETS["moons"]
    settings = read_settings({"data": "mnist", "hidden": [], "rate": 1, "speed": "20"})
    assert (settings.hidden, settings.rate, settings.speed, settings.batch) == ((), 1, 20, 64)


PIXELS = [0] * 784


@pytest.mark.parametrize(
    ("path", "options", "status", "words"),
    [
        ("/look", {"raw": ""}, 400, "got 0 bytes that are not JSON"),
        ("/look", {"raw": b"\xff\xfe\x00"}, 400, "not JSON"),
        ("/look", {"raw": "[" * 10_000}, 400, "not JSON"),
        ("/look", {"raw": "[1]"}, 400, "expected a JSON object, got list"),
        ("/look", {"body": {"pixels": PIXELS}}, 400, "has not learned digits"),
        ("/look", {"body": {"pixels": PIXELS, "model": "saved"}}, 400, "the program was given none"),
        ("/rate", {"body": {}}, 400, "rate: expected a number"),
        ("/rate", {"body": {"rate": 11}}, 400, "got 11"),
        ("/rate", {"raw": '{"rate": Infinity}'}, 400, "rate: expected a number"),
        ("/speed", {"body": {"speed": -1}}, 400, "speed: expected one of"),
        ("/reset", {"body": {"data": "nothing"}}, 400, "data: expected one of"),
        ("/unit", {"body": {"layer": 0}}, 400, "unit: expected a number"),
        ("/graph", {"body": {"of": "everything"}}, 400, "of: expected one of"),
        ("/graph", {"body": {"of": "model", "example": 400}}, 400, "from 0 to 132, got 400"),
        ("/graph", {"body": {"of": "expression", "expression": "a"}}, 400, "values: expected an object"),
        ("/look", {"raw": "0" * 20_000}, 413, "at most 16384 bytes, got 20000"),
        ("/look", {"Content_Length": "-5"}, 411, "expected a Content-Length"),
        ("/nowhere", {}, 404, "got POST /nowhere"),
        ("/start", {"method": "GET"}, 404, "got GET /start"),
        ("/../../etc/passwd", {"method": "GET"}, 404, "expected one of /"),
        ("/", {"method": "GET", "Host": "evil.example"}, 403, "got 'evil.example'"),
        ("/", {"method": "GET", "Host": "10.0.0.1"}, 403, "an address of this machine"),
        ("/events", {"method": "GET", "Host": "127.0.0.1.evil.example"}, 403, "this machine"),
        ("/events", {"method": "GET", "Origin": "http://evil.example"}, 403, "evil.example"),
        ("/start", {"Origin": "http://evil.example"}, 403, "a request of this page"),
        ("/start", {"Origin": "null"}, 403, "a request of this page"),
    ],
)  # fmt: skip
def test_bad_requests_hear_what_was_expected(server, path, options, status, words):
    got, _, content = ask(server, path, **options)
    assert (got, words in content["error"]) == (status, True), content
    assert not server.trainer.is_running
    assert get(server, "/pause") is None  # and it goes on


@pytest.mark.parametrize("pixels", [None, "ink", [1, 2], [256] * 784, [0.5] * 784, [True] * 784])
def test_a_digit_is_784_whole_numbers(pixels):
    from playground.checks import RequestError, read_pixels

    with pytest.raises(RequestError, match="784 whole numbers from 0 to 255"):
        read_pixels({"pixels": pixels})


def test_an_error_of_the_program_is_told_and_ends_nothing(server, monkeypatch, capfd):
    monkeypatch.setitem(server.answers, "/pause", lambda body: 1 / 0)
    status, _, content = ask(server, "/pause")
    assert (status, content["error"]) == (500, "the program failed: ZeroDivisionError: division by zero")  # fmt: skip
    assert "ZeroDivisionError" in capfd.readouterr().err
    assert get(server, "/start") is None


# ---- The rules that keep others out


def test_the_page_may_run_its_own_script_and_asks_nobody_else(server):
    import hashlib

    status, headers, content = ask(server, "/?again", method="GET")
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    [script] = re.findall(rb"<script>(.*?)</script>", content, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in policy
    assert not re.findall(rb"https?://|<script src|<link rel=.stylesheet|@import", content)


def test_an_open_server_wants_its_token_and_no_foreign_name():
    with serving(host="127.0.0.1") as server:
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/\?token=[\w-]{16}", server.url)
        token = server.token
        for query in ("", "?token=", "?token=wrong", f"?token={token}x", "?token=é"):
            for path, method in (("/", "GET"), ("/events", "GET"), ("/start", "POST")):
                query = query.replace("é", "%C3%A9")
                status, _, content = ask(server, path + query, method=method)
                assert (status, "token" in content["error"]) == (403, True)
        assert not server.trainer.is_running
        for host in ("127.0.0.1:1", "192.168.7.7:8000", socket.gethostname(), "LOCALHOST"):
            assert ask(server, f"/?token={token}", method="GET", Host=host)[0] == 200
        for host in ("evil.example", "192.168.7.7.evil.example", "", "999.1.1.1"):
            assert ask(server, f"/?token={token}", method="GET", Host=host)[0] == 403
        with listening(server, f"/events?token={token}") as read:
            assert read()[0] == "state"


def test_tokens_differ():
    with serving(host="127.0.0.1") as one, serving(host="127.0.0.1") as other:
        assert one.token != other.token
        assert ask(other, f"/?token={one.token}", method="GET")[0] == 403


def test_a_client_that_leaves_disturbs_nobody(server, capfd):
    for path in ("/look", "/events"):
        with socket.create_connection(server.server_address[:2], timeout=20) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            method = "GET" if path == "/events" else "POST"
            connection.sendall(f"{method} {path} HTTP/1.0\r\nHost: localhost\r\nContent-Length: 50\r\n\r\n".encode())  # fmt: skip
    get(server, "/start")
    with listening(server) as read:
        assert next_of(read, "frame", lambda frame: frame["step"] > 2)
    wait_until(lambda: len(server.hub.boxes) <= 1)
    assert "Traceback" not in capfd.readouterr().err


# ---- Events


def test_a_mailbox_keeps_the_newest_event_of_each_kind_and_the_state_comes_first():
    from playground.events import Mailbox

    box = Mailbox({"frame": "F0"})
    for kind, text in (("frame", "F1"), ("scores", "C1"), ("state", "S1"), ("frame", "F2")):
        box.put(kind, text)
    assert box.take(1) == ["S1", "F2", "C1"]
    assert box.take(0.01) == []
    threading.Timer(0.05, box.put, ("frame", "F3")).start()
    assert box.take(30) == ["F3"]
    threading.Timer(0.05, box.close).start()
    assert box.take(30) == []


def test_a_page_that_does_not_read_neither_slows_training_nor_fills_the_memory(server):
    get(server, "/reset", {"data": "spirals", "speed": 0})
    with socket.create_connection(server.server_address[:2], timeout=20) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(b"GET /events HTTP/1.0\r\nHost: localhost\r\n\r\n")
        wait_until(lambda: server.hub.boxes)
        get(server, "/start")
        [box] = server.hub.boxes
        for _ in range(5):
            before = server.trainer.step
            wait_until(lambda before=before: server.trainer.step > before + 20)
            assert len(box.waiting) <= 3
        get(server, "/pause")


def test_there_is_a_limit_to_the_pages_at_once(server):
    from playground.events import MOST_PAGES

    with contextlib.ExitStack() as stack:
        for _ in range(MOST_PAGES):
            assert stack.enter_context(listening(server))()[0] == "state"
        status, _, content = ask(server, "/events", method="GET")
        assert (status, "close one" in content["error"]) == (503, True)


def test_a_new_page_is_told_everything_and_a_training_that_runs_goes_on(server):
    with listening(server) as read:
        state = next_of(read, "state")
        assert (state["running"], state["settings"]["data"], state["kind"]) == (False, "spirals", "plane")  # fmt: skip
        assert next_of(read, "frame")["step"] == 0
        assert next_of(read, "scores")["step"] == 0
        get(server, "/start")
        assert next_of(read, "state")["running"]
        next_of(read, "frame", lambda frame: frame["step"] > 5 and frame["loss"] > 0)
        next_of(read, "scores", lambda scores: scores["step"] > 5)
        get(server, "/pause")
        next_of(read, "state", lambda state: not state["running"])
    with listening(server) as read:
        kinds = {}
        while len(kinds) < 3:
            kind, content = read()
            kinds[kind] = content
    assert kinds["frame"]["step"] == kinds["scores"]["step"] == server.trainer.step
    assert kinds["state"]["curve"][0][0] == 0
    assert len(kinds["state"]["curve"]) >= 2


# ---- Training


def test_steps_are_those_of_fit(trainer):
    """The thread, the pauses and the frames change no bit, and neither does the rate's own place."""
    from playground.data import load_data
    from playground.settings import read_settings
    from playground.training import build

    settings = read_settings(
        {"data": "moons", "optimizer": "momentum", "rate": 0.1, "dropout": 0.2, "batch": 50}
    )
    trainer.reset(settings)
    step(trainer, 3)
    trainer.set_rate(0.5)
    step(trainer, 4)
    assert (trainer.step, trainer.epoch) == (7, 2)

    model = build(settings)
    optimizer = optim.SGD(model.parameters(), 0.1, momentum=0.9)

    def on_step(run):
        if run.step == 3:
            run.optimizer.lr = 0.5
        if run.step == 7:
            run.stop()

    fit(model, tg.softmax_cross_entropy, optimizer, load_data(settings).train, epochs=2,
        batch_size=50, progress=False, rng=0, on_step=on_step)  # fmt: skip
    for mine, expected in zip(weights_of(trainer.model), weights_of(model), strict=True):
        np.testing.assert_array_equal(mine, expected)


def test_reset_starts_over_and_a_seed_gives_the_same_bits(trainer):
    from playground.settings import read_settings

    first = weights_of(trainer.model)
    step(trainer, 3)
    third = weights_of(trainer.model)
    assert any((a != b).any() for a, b in zip(first, third, strict=True))
    trainer.reset(read_settings({"data": "spirals"}))
    assert (trainer.step, trainer.hub.newest["frame"]["step"]) == (0, 0)
    for now, before in zip(weights_of(trainer.model), first, strict=True):
        np.testing.assert_array_equal(now, before)
    step(trainer, 3)
    for now, before in zip(weights_of(trainer.model), third, strict=True):
        np.testing.assert_array_equal(now, before)
    trainer.reset(read_settings({"data": "spirals", "seed": 1}))
    assert (trainer.model[0].weight.data != first[0]).any()


def test_it_pauses_goes_on_and_learns(trainer):
    from playground.settings import read_settings

    trainer.reset(read_settings({"data": "circles", "speed": 0}))
    before = trainer.hub.newest["scores"]["test"]
    trainer.start()
    wait_until(lambda: trainer.step > 50)
    trainer.pause()
    wait_until(lambda: trainer.hub.newest["frame"]["step"] > 50)
    paused = trainer.step
    weights = weights_of(trainer.model)
    time.sleep(0.1)
    assert trainer.step == paused
    for now, then in zip(weights_of(trainer.model), weights, strict=True):
        np.testing.assert_array_equal(now, then)
    trainer.start()
    wait_until(lambda: trainer.step > paused + 500)
    trainer.pause()
    wait_until(lambda: trainer.hub.newest["scores"]["step"] == trainer.step)
    after = trainer.hub.newest["scores"]["test"]
    assert after["loss"] < before["loss"] / 2
    assert after["accuracy"] > 0.95


def test_a_change_starts_over_and_what_was_running_goes_on(trainer):
    from playground.settings import read_settings

    trainer.change(read_settings({"data": "moons"}))
    assert (trainer.step, trainer.is_running) == (0, False)
    trainer.start()
    wait_until(lambda: trainer.step > 5)
    trainer.change(read_settings({"data": "xor", "hidden": [3]}))
    assert trainer.is_running
    assert trainer.model[0].weight.shape == (3, 2)
    wait_until(lambda: trainer.step > 5)
    trainer.reset(read_settings({"data": "xor"}))
    assert not trainer.is_running


def test_it_waits_between_steps_when_it_is_to_go_slowly(trainer):
    from playground.settings import read_settings

    trainer.reset(read_settings({"data": "xor", "speed": 2}))
    trainer.start()
    wait_until(lambda: trainer.step >= 2)
    trainer.set_speed(0)  # wakes it at once
    wait_until(lambda: trainer.step > 100)
    trainer.set_speed(2)
    now = trainer.step
    time.sleep(0.2)
    assert trainer.step <= now + 2
    trainer.pause()


def test_weights_that_explode_are_told_and_reset_mends_it(trainer):
    from playground.settings import read_settings

    step(trainer, 1)
    trainer.model[0].weight.data = np.inf  # as after steps that were much too large
    trainer.start()
    wait_until(lambda: trainer.error)
    state = trainer.hub.newest["state"]
    assert "Choose a lower rate" in state["error"]
    assert not state["running"]
    trainer.start()
    trainer.take_step()
    assert not trainer.is_running
    trainer.reset(read_settings({"data": "spirals"}))
    assert trainer.hub.newest["state"]["error"] == ""
    step(trainer, 2)


def test_data_that_are_not_there_change_nothing(trainer, tmp_path):
    from playground.checks import RequestError
    from playground.settings import read_settings

    trainer.mnist = tmp_path
    step(trainer, 2)
    with pytest.raises(RequestError, match="MNIST cannot be read"):
        trainer.reset(read_settings({"data": "mnist"}))
    assert (trainer.step, trainer.settings.data) == (2, "spirals")
    step(trainer, 1)


def test_nobody_is_shown_anything_where_nobody_listens(trainer):
    from playground.settings import read_settings

    trainer.reset(read_settings({"data": "xor", "speed": 0}))
    trainer.start()
    wait_until(lambda: trainer.step > 300)
    assert trainer.hub.newest["frame"]["step"] == 0
    trainer.hub.has_listeners = True
    wait_until(lambda: trainer.hub.newest["frame"]["step"] > 300)
    trainer.pause()


def test_a_page_left_open_does_not_fill_the_memory(trainer):
    from playground.frames import Curve
    from playground.training import forget_history

    from tinygrad_mnist.train import History

    curve = Curve()
    for i in range(10_000):
        curve.add(i, {part: {"loss": 1.0, "accuracy": 0.5} for part in ("train", "test")})
    assert 300 <= len(curve.points) <= 600
    steps = [point[0] for point in curve.points]
    assert steps == sorted(steps)
    assert steps[0] < 40
    assert steps[-1] > 9900

    class Run:
        history = History({"train_loss": [3.0, 2.0, 1.0]})

    forget_history(Run)
    assert Run.history["train_loss"] == [1.0]


def test_work_is_due_again_when_it_was_a_small_share_of_the_time(monkeypatch):
    from playground import pace

    clock = {"wall": 100.0, "worked": 50.0}
    monkeypatch.setattr(pace.time, "perf_counter", lambda: clock["wall"])
    monkeypatch.setattr(pace.time, "thread_time", lambda: clock["worked"])
    monkeypatch.setattr(pace, "CREDIT", 0.0)

    def spend(wall, worked):
        clock["wall"] += wall
        clock["worked"] += worked

    turn = pace.Turn(a_second=20, share=0.02)
    assert turn.is_due()
    turn.take(lambda: spend(0.004, 0.002))
    assert not turn.is_due()
    spend(0.08, 0.05)  # enough time has passed, but it has not worked enough
    assert not turn.is_due()
    spend(0.02, 0)
    assert turn.is_due(waits=True)
    spend(0.08, 0.05)
    assert turn.is_due()


def test_a_new_training_shows_much_at_first(monkeypatch):
    from playground import pace

    clock = {"wall": 100.0, "worked": 0.0}
    monkeypatch.setattr(pace.time, "perf_counter", lambda: clock["wall"])
    monkeypatch.setattr(pace.time, "thread_time", lambda: clock["worked"])
    turn = pace.Turn(a_second=20, share=0.02)
    taken = []

    def work():
        taken.append(clock["worked"])
        clock["wall"] += 0.01
        clock["worked"] += 0.01

    while clock["worked"] < 20:
        if turn.is_due():
            turn.take(work)
        clock["wall"] += 0.01
        clock["worked"] += 0.01
    early, late = sum(t < 1 for t in taken), sum(t >= 10 for t in taken)
    assert 6 <= early <= 8  # three seconds are paid for, at half a second each
    assert late == pytest.approx(20, abs=1)  # two a second


# ---- What the page is shown


def test_the_plane_is_what_the_model_answers_there(trainer):
    from playground.frames import GRID, REACH, UNIT_GRID

    step(trainer, 20)
    frame = trainer.hub.newest["frame"]
    shown = np.frombuffer(base64.b64decode(frame["plane"]), np.uint8).reshape(GRID, GRID)
    along = np.linspace(-REACH, REACH, GRID)
    for row, column in ((0, 0), (3, 40), (GRID - 1, GRID - 1), (20, 22)):
        point = np.float32([[along[column], -along[row]]])  # the first row is the top
        p = tg.softmax(Tensor(predict(trainer.model, point))).numpy()[0, 1]
        assert shown[row, column] == int(p * 255)
    first = np.frombuffer(base64.b64decode(frame["units"][3]), np.int8)
    assert (len(frame["units"]), len(first), np.abs(first).max()) == (16, UNIT_GRID**2, 127)


def test_points_are_what_it_learns_from_and_what_is_held_out(trainer):
    state = trainer.hub.newest["state"]
    points = np.array(state["points"])
    assert state["examples"] == [267, 133]
    assert points[:, 3].sum() == 133
    np.testing.assert_allclose(points[:267, :2], trainer.data.train.inputs, atol=1e-3)


@pytest.mark.parametrize("name", ["spirals", "circles", "moons", "xor"])
def test_plane_data_are_two_classes_within_sight(name):
    from playground.data import make_plane
    from playground.frames import REACH

    data = make_plane(name, 0)
    inputs = np.concatenate([data.train.inputs, data.test.inputs])
    labels = np.concatenate([data.train.labels, data.test.labels])
    assert inputs.dtype == np.float32
    assert np.abs(inputs).max() < REACH
    assert np.bincount(labels).tolist() == [200, 200]
    # no line tells them apart, which is why they want a hidden layer
    x = np.c_[inputs, np.ones(400)]
    line = np.linalg.lstsq(x, 2 * labels - 1, rcond=None)[0]
    assert np.mean((x @ line > 0) == labels) < 0.95


@pytest.fixture(scope="module")
def on_digits(examples, digits):
    """A server whose model has learned made-up digits a little."""
    with serving(mnist=digits) as server:
        get(server, "/reset", {"data": "mnist", "hidden": [16, 8], "rate": 0.01, "seed": 3})
        get(server, "/start")
        wait_until(lambda: server.trainer.step > 60)
        get(server, "/pause")
        wait_until(lambda: json.loads(server.hub.newest["scores"].split("data: ")[1])["step"] == server.trainer.step)  # fmt: skip
        yield server


def newest(server, kind):
    return json.loads(server.hub.newest[kind].split("data: ")[1])


def test_scores_of_digits_are_what_the_model_gets_right_and_wrong(on_digits):
    trainer, scores = on_digits.trainer, newest(on_digits, "scores")
    inputs, labels = trainer.data.test
    outputs = predict(trainer.model, inputs)
    answers = outputs.argmax(axis=1)
    assert scores["test"]["accuracy"] == pytest.approx((answers == labels).mean())
    loss = tg.softmax_cross_entropy(outputs, labels).item()
    assert scores["test"]["loss"] == pytest.approx(loss, rel=1e-5)
    confusion = np.zeros((10, 10), int)
    np.add.at(confusion, (labels, answers), 1)
    assert scores["confusion"] == confusion.tolist()


def test_the_worst_mistakes_are_wrong_and_the_surest_come_first():
    from playground.frames import WORST, find_worst

    rng = np.random.default_rng(0)
    outputs, labels = rng.normal(size=(40, 10)).astype(np.float32), rng.integers(0, 10, 40)
    images = rng.integers(0, 256, (40, 28, 28)).astype(np.uint8)
    found = find_worst(outputs, labels, images)
    p = tg.softmax(Tensor(outputs)).numpy()
    wrong = [i for i in range(40) if p[i].argmax() != labels[i]]
    expected = sorted(wrong, key=lambda i: -p[i].max())[:WORST]
    assert [one["number"] for one in found] == expected
    assert [one["sure"] for one in found] == [pytest.approx(p[i].max(), abs=1e-4) for i in expected]
    assert [(one["label"], one["answer"]) for one in found] == [(labels[i], p[i].argmax()) for i in expected]  # fmt: skip
    shown = np.frombuffer(base64.b64decode(found[0]["image"]), np.uint8)
    np.testing.assert_array_equal(shown, images[expected[0]].ravel())
    assert find_worst(np.eye(10, dtype=np.float32), np.arange(10), images[:10]) == []


def test_weights_are_shown_on_one_scale(on_digits):
    frame = newest(on_digits, "frame")
    shown = np.frombuffer(base64.b64decode(frame["weights"]), np.int8).reshape(16, 784)
    weights = on_digits.trainer.model[0].weight.data
    np.testing.assert_allclose(shown * np.abs(weights).max() / 127, weights, atol=np.abs(weights).max() / 127)  # fmt: skip


# ---- Look inside


def a_seven():
    image = np.zeros((28, 28), np.uint8)
    image[5:8, 7:21] = 255
    image[5:24, 17:20] = 200
    return image


def test_it_answers_as_predict_does_and_names_every_layer(on_digits):
    model = on_digits.trainer.snapshot().model
    x = (a_seven() / 255).astype(np.float32).reshape(1, 784)
    answer = get(on_digits, "/look", {"pixels": a_seven().ravel().tolist()})
    p = tg.softmax(Tensor(predict(model, x))).numpy()[0]
    np.testing.assert_allclose(answer["probabilities"], p, atol=1e-4)
    assert answer["answer"] == answer["chosen"] == p.argmax()
    assert [layer["name"] for layer in answer["layers"]] == [
        "Linear 784 → 16", "ReLU", "Linear 16 → 8", "ReLU", "Linear 8 → 10",
    ]  # fmt: skip
    hidden = x @ model[0].weight.data.T + model[0].bias.data
    np.testing.assert_allclose(answer["layers"][0]["values"], hidden[0], atol=1e-4)
    np.testing.assert_allclose(answer["layers"][1]["values"], np.maximum(hidden[0], 0), atol=1e-4)
    assert [layer["shape"] for layer in answer["layers"]] == [[n, 1, 1] for n in (16, 16, 8, 8, 10)]


def test_slopes_are_the_gradient_of_the_chosen_digit_by_the_pixels(on_digits):
    model = on_digits.trainer.snapshot().model
    x = (a_seven() / 255).astype(np.float64).reshape(1, 784)
    answer = get(on_digits, "/look", {"pixels": a_seven().ravel().tolist(), "digit": 4})
    assert answer["chosen"] == 4
    model.astype(np.float64)
    for pixel in (0, 200, 409, 600):
        more, less = x.copy(), x.copy()
        more[0, pixel] += 1e-5
        less[0, pixel] -= 1e-5
        slope = (predict(model, more)[0, 4] - predict(model, less)[0, 4]) / 2e-5
        assert answer["slopes"][pixel] == pytest.approx(slope, abs=1e-4)


def test_a_unit_of_the_first_layer_shows_its_weights_and_what_excites_it(on_digits):
    model = on_digits.trainer.snapshot().model
    for layer in (0, 1):  # its sums, and its answers after the activation
        found = get(on_digits, "/unit", {"layer": layer, "unit": 5})
        np.testing.assert_allclose(found["weights"], model[0].weight.data[5], atol=1e-5)
        image = np.float32(found["image"]).reshape(1, 784)
        assert image.min() >= 0
        assert image.max() <= 1
        rows = [image, np.full_like(image, 0.25), (a_seven() / 255).astype(np.float32).reshape(1, -1)]  # fmt: skip
        excited = model[0](tg.from_numpy(np.concatenate(rows))).data[:, 5]
        assert excited.argmax() == 0
    deep = get(on_digits, "/unit", {"layer": 4, "unit": 9})
    assert deep["weights"] is None
    outputs = predict(model, np.float32([deep["image"], [0.25] * 784]))
    assert outputs[0, 9] > outputs[1, 9]
    for body, words in (
        ({"layer": 5, "unit": 0}, "from 0 to 4, got 5"),
        ({"layer": 2, "unit": 8}, "from 0 to 7, got 8"),
    ):
        status, _, content = ask(on_digits, "/unit", body)
        assert (status, words in content["error"]) == (400, True), content


def test_looking_inside_leaves_the_training_alone(trainer, digits):
    """Dropout goes on in the model that trains, whatever others do with copies of it."""
    from playground.inside import Reader, look
    from playground.settings import read_settings

    settings = read_settings({"data": "mnist", "hidden": [8], "dropout": 0.5, "batch": 10})
    trainer.mnist = digits
    results = []
    for looks in (False, True):
        trainer.reset(settings)
        for _ in range(5):
            step(trainer, 1)
            if looks:
                look(Reader(trainer.snapshot().model), a_seven())
        results.append(weights_of(trainer.model))
    for without, with_looks in zip(*results, strict=True):
        np.testing.assert_array_equal(without, with_looks)
    assert trainer.model.training
    assert all(p.grad is not None for p in trainer.model.parameters())


def test_held_out_digits_come_by_number(on_digits):
    data = on_digits.trainer.data
    for number, at in ((0, 0), (49, 49), (50, 0), (123, 23)):
        digit = get(on_digits, "/digit", {"number": number})
        assert (digit["number"], digit["of"], digit["label"]) == (at, 50, data.test.labels[at])
        assert digit["pixels"] == data.images[at].ravel().tolist()
        np.testing.assert_allclose(np.array(digit["pixels"]) / 255, data.test.inputs[at], atol=1e-6)


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
        settings.update(classes=26)
    model = build(settings, 0)
    checkpoint.save(folder / "model.safetensors", model, metadata={"settings": settings})
    return folder


@pytest.mark.parametrize("kind", ["mlp", "mse", "cnn", "letters"])
def test_a_saved_model_is_looked_into(kind, tmp_path, digits):
    from playground.saved import open_run
    from runner.data import prepare_inputs
    from runner.models import load_model

    folder = a_run(kind, tmp_path)
    model, settings = load_model(folder)
    with serving(saved=open_run(folder)[0], name=str(folder), mnist=digits) as server:
        with listening(server) as read:
            assert next_of(read, "saved") == {"name": str(folder)}
        body = {"pixels": a_seven().ravel().tolist(), "model": "saved"}
        answer = get(server, "/look", body)
        found = get(server, "/unit", {"layer": 0, "unit": 2, "model": "saved"})
        assert get(server, "/digit", {"number": 3})["of"] == 50
    outputs = predict(model, prepare_inputs(a_seven()[None], settings))[0]
    expected = outputs / outputs.sum() if kind == "mse" else np.exp(outputs) / np.exp(outputs).sum()
    np.testing.assert_allclose(answer["probabilities"], expected, atol=1e-4)
    assert len(answer["probabilities"]) == (26 if kind == "letters" else 10)
    assert len(answer["slopes"]) == 784
    if kind == "cnn":
        assert [layer["shape"] for layer in answer["layers"]][:3] == [[8, 24, 24], [8, 12, 12], [8, 12, 12]]  # fmt: skip
        assert (found["side"], len(found["weights"])) == (5, 25)
    else:
        assert (found["side"], len(found["weights"])) == (28, 784)


# ---- Graphs


@pytest.mark.parametrize(
    ("text", "values", "result", "gradients"),
    [
        ("a*b + tanh(c)", {"a": 2, "b": -3, "c": 0.0}, -6, {"a": -3, "b": 2, "c": 1}),
        ("a", {"a": 4}, 4, {"a": 1}),
        ("-a**2", {"a": 3}, -9, {"a": -6}),
        ("a / b - 2*a", {"a": 3, "b": 2}, -4.5, {"a": -1.5, "b": -0.75}),
        ("(a + b)*(a - b)", {"a": 5, "b": 2}, 21, {"a": 10, "b": -4}),
        ("maximum(a, 1) + relu(b)", {"a": 0, "b": 7}, 8, {"a": 0, "b": 1}),
        ("a*a*a", {"a": 2}, 8, {"a": 12}),
        ("2 ** x1", {"x1": 3}, 8, {"x1": 8 * np.log(2)}),
        ("sqrt(a)", {"a": 0}, 0, {"a": np.inf}),
        ("1/a", {"a": 0}, np.inf, {"a": -np.inf}),
    ],
)
def test_an_expression_has_its_value_and_its_gradients(text, values, result, gradients):
    from playground.expression import read_expression

    expression = read_expression(text)
    assert expression.variables == list(values)
    with np.errstate(all="ignore"):
        y, leaves = expression.evaluate(values)
        y.backward()
    assert y.item() == pytest.approx(result)
    for name, expected in gradients.items():
        assert leaves[name].grad == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "expected an expression of 1 to 200 letters"),
        ("   ", "expected an expression of 1 to 200 letters"),
        (None, "expected an expression"),
        ("a" * 201, "expected an expression"),
        ("(((", "not an expression"),
        ("a b", "not an expression near letter"),
        ("a; b", "not an expression"),
        ("a = 3", "not an expression"),
        ("1 + 2", "use a variable"),
        ("a^2", "two stars"),
        ("exp", "exp is a function"),
        ("f(a)", "expected one of the functions"),
        ("exp(a, b)", "expected 1 argument of exp"),
        ("maximum(a)", "expected 2 arguments of maximum"),
        ("exp(x=a)", "expected 1 argument of exp"),
        ("exp(*a)", "got *a"),
        ("__import__('os').system('true')", "expected one of the functions"),
        ("__import__", "short names"),
        ("_a", "short names"),
        ("é * 2", "short names"),
        ("a.real", "got a.real"),
        ("a[0]", "got a[0]"),
        ("'a'", "got 'a'"),
        ("True * a", "got True"),
        ("1j * a", "got 1j"),
        ("a if b else c", "expected numbers, variables"),
        ("lambda: a", "expected numbers, variables"),
        ("[a for a in b]", "expected numbers, variables"),
        ("a < b", "expected numbers, variables"),
        ("a @ b", "expected numbers, variables"),
        ("not a", "expected numbers, variables"),
        ("(a := 3)", "expected numbers, variables"),
        ("a+b+c+d+e+f+g+h+i", "at most 8 variables"),
        ("-" * 60 + "a", "at most 40 operations"),
    ],
)
def test_what_is_not_listed_is_refused(text, words):
    from playground.checks import RequestError
    from playground.expression import read_expression

    with pytest.raises(RequestError) as error:
        read_expression(text)
    assert words in str(error.value)


def test_a_deep_nest_of_parentheses_is_refused_or_read():
    from playground.checks import RequestError
    from playground.expression import read_expression

    with contextlib.suppress(RequestError):
        assert read_expression("(" * 99 + "a" + ")" * 99).variables == ["a"]


def test_every_function_of_an_expression_has_a_rule_in_words():
    from playground.expression import FUNCTIONS, read_expression
    from playground.steps import trace_expression

    texts = [f"{name}({', '.join('ab'[:count])})" for name, (_, count) in FUNCTIONS.items()]
    for text in [*texts, "a + b", "a - b", "a * b", "a / b", "a ** b", "-a"]:
        traced = trace_expression(read_expression(text), {"a": 0.5, "b": 0.25})
        assert all(step["rule"] for step in traced["steps"]), text


def test_the_walk_back_comes_one_node_at_a_time_and_ends_with_the_gradients(server):
    traced = get(server, "/graph", {"of": "expression", "expression": "a*b + a*a", "values": {"a": 3, "b": 4}})  # fmt: skip
    assert traced["result"]["value"] == "21"
    assert [one["name"] for one in traced["steps"]] == ["add", "multiply", "multiply"]
    numbers = [one["node"] for one in traced["steps"]]
    assert numbers == sorted(numbers, reverse=True)
    assert numbers[0] == traced["result"]["node"]
    # a comes to its gradient in three parts: twice from a*a, once from a*b
    sent = [(s["gradient"], s["adds"]) for one in traced["steps"] for s in one["sends"]]
    assert sent == [("1", False), ("1", False), ("3", False), ("6", True), ("10", True), ("3", False)]  # fmt: skip
    assert ">gradient 10<" in traced["svg"]
    boxes = set(re.findall(r'data-node="(-?\d+)"', traced["svg"]))
    arrows = set(re.findall(r'data-from="(-?\d+)" data-to="(-?\d+)"', traced["svg"]))
    for one in traced["steps"]:
        assert str(one["node"]) in boxes
        for s in one["sends"]:
            assert (str(s["node"]), str(one["node"])) in arrows


def test_a_variable_without_a_value_is_one_and_constants_are_shown(server):
    traced = get(server, "/graph", {"of": "expression", "expression": "2.5*k", "values": {}})
    assert traced["values"] == {"k": 1.0}
    assert re.search(r'class="constant".*?>2\.5<', traced["svg"], re.DOTALL)
    status, _, content = ask(server, "/graph", {"of": "expression", "expression": "k", "values": {"k": "x"}})  # fmt: skip
    assert (status, content["error"]) == (400, "k: expected a number from -1000000.0 to 1000000.0, got 'x'")  # fmt: skip


def test_the_graph_of_a_model_has_its_parameters_and_their_gradients(on_digits):
    traced = get(on_digits, "/graph", {"of": "model", "example": 7})
    snapshot = on_digits.trainer.snapshot()
    x, labels = (part[7:8] for part in snapshot.data.test)
    loss = tg.softmax_cross_entropy(snapshot.model(tg.from_numpy(x)), labels)
    loss.backward()
    assert traced["label"] == labels[0]
    assert traced["result"]["value"] == f"{loss.item():.4g}"
    for name, p in snapshot.model.named_parameters():
        assert f">{name}<" in traced["svg"]
        assert f"gradient {p.grad.min():.3g} … {p.grad.max():.3g}" in traced["svg"]
    assert ">example<" in traced["svg"]
    assert [one["name"] for one in traced["steps"]] == [
        "cross_entropy_of_labels", "linear", "relu", "linear", "relu", "linear",
    ]  # fmt: skip
    assert all(one["rule"] for one in traced["steps"])


def test_the_graph_of_a_model_on_the_plane(server):
    get(server, "/reset", {"data": "xor", "hidden": []})
    traced = get(server, "/graph", {"of": "model", "example": 0})
    assert [one["name"] for one in traced["steps"]] == ["cross_entropy_of_labels", "linear"]


# ---- The program


@contextlib.contextmanager
def start(*arguments):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error", "OPENBLAS_NUM_THREADS": "1"}  # fmt: skip
    command = [sys.executable, str(ROOT / "examples" / "playground.py"), *map(str, arguments)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:  # fmt: skip
        try:
            yield process
        except BaseException:
            process.kill()
            raise


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_the_program_prints_its_address_names_a_taken_port_and_ends_quietly():
    with start("--no-browser", "--port", 0) as first:
        address = re.search(r"http://127\.0\.0\.1:(\d+)/ ", first.stdout.readline())
        with start("--no-browser", "--port", address[1]) as second:
            _, errors = second.communicate(timeout=60)
        assert second.returncode == 2
        assert f"--port: expected a free one, got {address[1]}: Address already in use; try --port" in errors  # fmt: skip
        assert "Traceback" not in errors
        first.send_signal(signal.SIGINT)
        _, errors = first.communicate(timeout=60)
    assert (first.returncode, errors) == (0, "")


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_host_opens_it_with_a_warning_and_a_token():
    with start("--no-browser", "--port", 0, "--host", "127.0.0.1") as process:
        assert re.search(r"http://127\.0\.0\.1:\d+/\?token=[\w-]{16} ", process.stdout.readline())
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 0
    assert errors.startswith("warning: --host opens this page to the network.")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "expected a checkpoint"),
        (["--port", "70000"], "expected a number from 0 to 65535, got 70000"),
        (["--host", "203.0.113.7", "--port", "0"], "--host: expected an address of this machine"),
        (["--data", "nowhere", "--export", "/nowhere/page.html"], "/nowhere/page.html"),
    ],
)
def test_wrong_flags_say_what_was_expected(arguments, words, digits):
    if "--export" in arguments:
        arguments = ["--data", digits, *arguments[2:]]
    with start("--no-browser", *arguments) as process:
        _, errors = process.communicate(timeout=120)
    assert process.returncode
    assert words in errors
    assert "Traceback" not in errors


# ---- The exported page


@pytest.fixture(scope="module")
def exported(examples, digits, tmp_path_factory):
    """A page as `--export` writes it, the model in it, and the data."""
    from playground.export import train_small, write_page
    from playground.server import load_digits

    data = load_digits(digits)
    model, accuracy = train_small(data)
    assert accuracy > 0.7
    path = tmp_path_factory.mktemp("exported") / "page.html"
    path.write_text(write_page(PAGE, model, data, about="</script>A network"), encoding="utf-8")
    return path, model, data


def test_the_exported_page_is_small_and_asks_nobody(exported):
    text = exported[0].read_text(encoding="utf-8")
    assert len(text) < 300_000
    assert not re.findall(r"https?://|<script src|<link rel=.stylesheet", text)
    assert text.count("</script>") == 2  # what the model's text says ends no script
    assert "default-src 'none'; script-src 'sha256-" in text
    assert "connect-src 'none'" in text


def test_a_model_of_other_layers_cannot_be_exported(tmp_path):
    from playground.checks import RequestError
    from playground.export import pack_layers
    from playground.saved import open_run

    with pytest.raises(
        RequestError, match="dense layers and activations alone, got one with Conv2d"
    ):
        pack_layers(open_run(a_run("cnn", tmp_path))[0].model)
    twice = nn.Sequential(nn.Linear(784, 10, rng=0), nn.ReLU(), nn.ReLU())
    with pytest.raises(RequestError, match="got one with ReLU"):
        pack_layers(twice)


def test_a_saved_run_is_exported(tmp_path, digits):
    with start("--data", digits, "--export", tmp_path / "page.html", a_run("mse", tmp_path)) as process:  # fmt: skip
        output, errors = process.communicate(timeout=120)
    assert (process.returncode, errors) == (0, "")
    assert "bytes; open it in a browser" in output
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    content = json.loads(re.search(r'id="exported">(.*?)</script>', text)[1])
    assert (content["outputs"], content["pixels"]) == ("share", [0.01, 1.0])
    assert [layer["activation"] for layer in content["layers"]] == ["sigmoid"] * 3


def test_the_page_of_the_manual_is_made_of_the_present_page():
    """If this fails: python examples/playground.py --export docs/_static/playground.html."""
    text = (ROOT / "docs" / "_static" / "playground.html").read_text(encoding="utf-8")
    model = re.search(r'<script type="application/json" id="exported">.*?</script>', text)[0]
    rule = re.search(r'\n<meta http-equiv="Content-Security-Policy" content="[^"]*">', text)[0]
    page = text.replace(model, "<!-- The exported model stands here. -->").replace(rule, "")
    assert page == PAGE
    assert len(text) < 300_000


# ---- In the browser


@pytest.fixture(scope="module")
def browser():
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


@pytest.fixture
def page(browser):
    troubles = []
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.on("pageerror", lambda error: troubles.append(str(error)))

    def hear(said):
        if said.type == "error" and "status of 400" not in said.text:  # which the page has to tell
            troubles.append(said.text)

    page.on("console", hear)
    page.set_default_timeout(30_000)
    yield page
    page.close()
    assert not troubles


def until(page, expression, argument=None):
    """Wait for a truth of the page; playwright's own way needs eval, which the policy forbids."""
    deadline = time.monotonic() + 30
    while not page.evaluate(expression, argument):
        assert time.monotonic() < deadline, expression
        page.wait_for_timeout(10)


def text_of(page, name):
    return page.locator(f"#{name}").inner_text()


def number_in(page, name):
    return int(text_of(page, name).replace(",", ""))


def last_points(page, name):
    """The numbers at the right end of a curve's lines."""
    return json.loads(page.locator(f"#{name}").get_attribute("data-last"))


def colours_on(page, selector):
    """How many colours a canvas has."""
    return page.evaluate(
        """selector => { const c = document.querySelector(selector), d = c.getContext('2d')
        .getImageData(0, 0, c.width, c.height).data, seen = new Set();
        for (let i = 0; i < d.length; i += 4) seen.add(d[i] << 16 | d[i + 1] << 8 | d[i + 2]);
        return seen.size }""",
        selector,
    )


def test_a_network_learns_pauses_and_goes_on(page, server):
    page.goto(server.url)
    until(page, "state && frame && scores")
    assert (text_of(page, "steps"), text_of(page, "go")) == ("0", "Start")
    blank = page.evaluate("frame.plane")
    page.click("#go")
    until(page, "state.running && frame.step > 30 && curve.length > 4")
    assert text_of(page, "go") == "Pause"
    page.click("#go")
    until(page, "!state.running && scores.step === frame.step")
    paused = number_in(page, "steps")
    assert paused == server.trainer.step > 30
    assert page.evaluate("frame.plane") != blank
    assert colours_on(page, "#plane") > 100
    assert len(last_points(page, "loss")) == 3
    held_out = page.evaluate("scores.test.accuracy")
    assert last_points(page, "accuracy")[1] == held_out
    assert text_of(page, "right") == f"{100 * held_out:.1f}%"
    page.click("#step")
    until(page, "step => frame.step === step + 1", paused)
    assert number_in(page, "steps") == paused + 1
    page.click("#go")
    until(page, "step => frame.step > step + 30", paused)
    page.click("#reset")
    until(page, "frame && frame.step === 0 && !state.running")
    assert (text_of(page, "steps"), text_of(page, "go")) == ("0", "Start")


def test_the_rate_changes_while_it_runs_and_settings_start_over(page, server):
    page.goto(server.url)
    until(page, "state && frame")
    page.click("#go")
    until(page, "frame.step > 5")
    page.focus("#rate")
    page.keyboard.press("ArrowRight")
    until(page, "state.settings.rate === 0.02")
    assert server.trainer.rate == 0.02
    step = server.trainer.step
    until(page, "step => frame.step > step", step)
    assert server.trainer.optimizer.lr == 0.02
    run = server.trainer.run

    page.click("text='+'")  # a third layer; it goes on running
    until(page, "state.settings.hidden.length === 3 && state.running && frame && frame.step > 2")
    assert server.trainer.run == run + 1
    assert server.trainer.settings.hidden == (16, 16, 16)
    assert server.trainer.rate == 0.02
    page.select_option("#activation", "relu")
    page.select_option("#speed", "0")
    until(page, "state.settings.activation === 'relu' && state.settings.speed === 0")
    page.fill("#batch", "7")
    page.keyboard.press("Enter")
    until(page, "state.settings.batch === 7")
    page.fill("#batch", "5000")
    page.keyboard.press("Enter")
    until(page, "document.getElementById('trouble').textContent.includes('batch: expected')")
    page.select_option("#data", "moons")
    until(page, "state.settings.data === 'moons' && frame && frame.step > 0")
    assert text_of(page, "trouble") == ""
    assert server.trainer.settings.hidden == (8,)
    assert page.locator("#widths input").count() == 1


@pytest.fixture(scope="module")
def reader(examples):
    """A server whose network has learned real digits."""
    with serving() as server:
        status, _, content = ask(server, "/reset", {"data": "sample"})
        if status != 200:
            pytest.skip(f"needs real digits: {content['error']}")
        get(server, "/start")
        wait_until(lambda: server.trainer.step > 1500)
        get(server, "/pause")
        yield server


def test_digits_show_weights_confusion_and_mistakes_that_lead_inside(page, reader):
    page.goto(reader.url)
    until(page, "scores && scores.worst")
    assert page.locator("#weights canvas").count() == 32
    assert colours_on(page, "#weights canvas") > 20
    counts = page.locator("#confusion tbody tr").first.locator("td").all_inner_texts()
    assert [int(count or 0) for count in counts] == page.evaluate("scores.confusion[0]")
    assert page.locator("#plane").is_hidden()
    worst = page.evaluate("scores.worst[2]")
    button = page.locator("#worst button").nth(2)
    said = f"a {worst['label']}, said {worst['answer']}, {round(100 * worst['sure'])}%"
    assert button.inner_text().strip() == said
    button.click()
    until(page, "view === 'inside' && seenBy && image && seenBy.answer !== null")
    until(page, "answer => document.getElementById('digit').textContent === String(answer)", worst["answer"])  # fmt: skip
    assert f"somebody wrote a {worst['label']}" in text_of(page, "taken")


def draw(page, points):
    """Draw straight lines through points, in shares of the pad."""
    box = page.locator("#pad").bounding_box()
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=8)
    page.mouse.up()


SEVEN = [(0.3, 0.2), (0.7, 0.2), (0.45, 0.85)]


def test_a_drawing_is_read_and_every_layer_looked_into(page, reader):
    page.goto(reader.url + "#/inside")
    until(page, "view === 'inside' && seenBy")
    assert text_of(page, "digit") == ""
    draw(page, SEVEN)
    until(page, "document.getElementById('digit').textContent === '7'")
    seen = np.array(page.evaluate("image")).reshape(28, 28)
    rows, columns = np.nonzero(seen)
    assert max(np.ptp(rows), np.ptp(columns)) + 1 == 20
    centre = np.array([(seen.sum(axis=1) @ np.arange(28)), (seen.sum(axis=0) @ np.arange(28))])
    np.testing.assert_allclose(centre / seen.sum(), 13.5, atol=0.51)
    answer = get(reader, "/look", {"pixels": seen.ravel().tolist()})
    shown = page.locator("#bars em").all_inner_texts()
    assert shown == [f"{100 * p:.1f}%" for p in answer["probabilities"]]
    assert page.locator("#activations figure").count() == 3
    assert text_of(page, "for-digit") == "for 7, and which against"

    page.locator("#bars button").nth(1).click()  # what speaks for a 1?
    until(page, "seenBy.chosen === 1")
    until(page, "document.getElementById('for-digit').textContent.startsWith('for 1')")
    assert text_of(page, "digit") == "7"
    expected = get(reader, "/look", {"pixels": seen.ravel().tolist(), "digit": 1})["slopes"]
    assert page.evaluate("seenBy.slopes") == expected

    layer = page.locator("#activations canvas").first
    layer.hover(position={"x": 30, "y": 10})
    unit = page.evaluate("drawnLayers[0].at")
    value = answer["layers"][0]["values"][unit]
    reading = page.locator("#activations output").first.inner_text()
    assert reading == f"layer 1 (Linear 784 → 32), unit {unit}: {value:.3f}"
    layer.click(position={"x": 30, "y": 10})
    until(page, "unit && unit.unit === drawnLayers[0].at")
    assert page.locator("#unit-weights").is_visible()
    assert page.locator("#unit-image").is_visible()
    weights = reader.trainer.model[0].weight.data[unit]
    np.testing.assert_allclose(page.evaluate("unit.weights"), weights, atol=1e-5)

    page.click("#clear")
    until(page, "document.getElementById('digit').textContent === ''")
    assert shown != page.locator("#bars em").all_inner_texts() == [""] * 10


def test_an_answer_that_comes_after_clear_is_not_shown(page, reader):
    page.goto(reader.url + "#/inside")
    until(page, "seenBy")
    held = []
    page.route("**/look", lambda route: route.continue_() if held else held.append(route))
    draw(page, SEVEN)
    until(page, "image !== null")
    while not held:
        page.wait_for_timeout(10)
    page.click("#clear")
    held[0].continue_()
    page.wait_for_timeout(200)
    assert page.locator("#bars em").all_inner_texts() == [""] * 10
    page.unroute("**/look")


def test_the_keyboard_takes_draws_and_reads(page, reader):
    page.goto(reader.url)
    until(page, "state")
    page.focus("#tab-learn")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("[view, document.activeElement.id]") == ["inside", "tab-inside"]
    page.focus("#pad")
    page.keyboard.press("Space")
    for _ in range(18):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    until(page, "document.getElementById('digit').textContent === '1'")
    assert text_of(page, "taken").startswith("The pen is up")
    page.focus("#activations canvas")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert ", unit 1: " in page.locator("#activations output").first.inner_text()
    page.keyboard.press("Enter")
    until(page, "unit && unit.layer === 0 && unit.unit === 1")
    page.focus("#after")
    page.keyboard.press("Enter")
    until(page, "taken && taken.number === 0")
    assert "Number 0 of 1,000 held-out digits" in text_of(page, "taken")


def test_a_saved_model_of_other_classes_in_the_browser(page, tmp_path, digits):
    from playground.saved import open_run

    folder = a_run("letters", tmp_path)
    with serving(saved=open_run(folder)[0], name="<run>", mnist=digits) as server:
        page.goto(server.url + "#/inside")
        until(page, "saved && seenBy")
        assert page.locator("#model option").first.inner_text() == "<run>"
        draw(page, SEVEN)
        until(page, "document.querySelectorAll('#bars .best').length === 1")
        assert page.locator("#bars button").count() == 26
        page.locator("#bars button").nth(25).click()
        until(page, "seenBy.chosen === 25")
        page.select_option("#model", "learn")
        until(page, "!document.getElementById('no-digits').hidden")


def test_a_finger_draws_and_does_not_scroll(browser, reader):
    with browser.new_context(viewport={"width": 390, "height": 600}, has_touch=True) as context:
        page = context.new_page()
        page.goto(reader.url + "#/inside")
        until(page, "seenBy")
        box = page.locator("#pad").bounding_box()
        touch = context.new_cdp_session(page)
        moves = [("touchStart", 0.2), *(("touchMove", y) for y in (0.4, 0.6, 0.8)), ("touchEnd", None)]  # fmt: skip
        for kind, y in moves:
            points = [] if y is None else [{"x": box["x"] + box["width"] / 2, "y": box["y"] + y * box["height"]}]  # fmt: skip
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        until(page, "document.getElementById('digit').textContent === '1'")
        assert page.evaluate("scrollY") == 0


def test_a_finger_taps_buttons_tabs_and_units(browser, reader):
    with browser.new_context(viewport={"width": 390, "height": 800}, has_touch=True) as context:
        page = context.new_page()
        page.goto(reader.url)
        until(page, "state && frame")
        step = reader.trainer.step
        page.tap("#step")
        until(page, "step => frame.step === step + 1", step)
        page.tap("#tab-inside")
        page.tap("#after")
        until(page, "seenBy && image")
        page.tap("#activations canvas >> nth=1", position={"x": 30, "y": 10})
        until(page, "unit && unit.layer === 1")
        page.tap("#tab-graphs")
        until(page, "graph.answer")
        page.tap("#back")
        until(page, "graph.cursor === graph.answer.steps.length")


def test_without_a_network_for_digits_one_can_be_trained(page, server):
    page.goto(server.url + "#/inside")
    until(page, "!document.getElementById('no-digits').hidden")
    page.click("#learn-digits")
    if ask(server, "/reset", {"data": "sample"})[0] != 200:
        pytest.skip("needs real digits")
    until(page, "document.getElementById('no-digits').hidden && seenBy")


def test_while_it_learns_what_is_inside_moves(page, reader):
    page.goto(reader.url + "#/inside")
    page.click("#after")
    until(page, "seenBy && image")
    before = page.evaluate("seenBy.layers[0].values")
    get(reader, "/start")
    until(page, "before => String(seenBy.layers[0].values) !== String(before)", before)
    get(reader, "/pause")


def test_the_gradient_flows_back_through_an_expression(page, server):
    page.goto(server.url + "#/graphs")
    until(page, "graph.answer")
    texts = "name => [...document.querySelectorAll('#drawing g[data-node]')].filter(g => g.querySelector('text').textContent === name).map(g => [...g.querySelectorAll('text:not(.later)')].map(t => t.textContent))[0]"  # fmt: skip
    assert page.evaluate(texts, "a") == ["a", "value 2", "gradient -3"]
    page.click("#first")
    assert page.evaluate(texts, "a") == ["a", "value 2"]
    assert page.evaluate(texts, "add") == ["add", "value -5.538"]
    page.click("#next")
    assert page.evaluate(texts, "add") == ["add", "value -5.538", "gradient 1"]
    page.click("#next")
    assert "A sum hands the gradient on unchanged" in text_of(page, "story")
    assert page.locator("#drawing .gets").count() == 2
    assert page.locator("#drawing path.flows").count() == 4  # two arrows, each a line and a head
    assert page.evaluate(texts, "a") == ["a", "value 2"]
    page.focus("#cursor")
    page.keyboard.press("End")
    assert page.evaluate(texts, "c") == ["c", "value 0.5", "gradient 0.7864"]
    assert "The walk is done" in text_of(page, "story")
    assert page.locator("#next").is_disabled()

    page.fill("#variables input[name=a]", "10")
    until(page, "document.getElementById('drawing').textContent.includes('value 10')")
    page.fill("#expression", "x*x + 3*x")
    page.keyboard.press("Enter")
    until(page, "document.querySelectorAll('#variables input').length === 1")
    assert page.evaluate(texts, "x") == ["x", "value 3", "gradient 9"]
    assert page.evaluate(texts, "constant") == ["constant", "3"]
    page.fill("#expression", "__import__('os')")
    page.keyboard.press("Enter")
    until(page, "document.getElementById('trouble').textContent.includes('expected one of the functions')")  # fmt: skip
    page.click("text='relu(a*b) + a'")
    until(page, "document.getElementById('trouble').textContent === ''")
    page.click("#play")
    until(page, "graph.cursor > 1 && graph.cursor < graph.answer.steps.length + 1")
    page.click("#play")


def test_the_gradient_flows_back_through_the_network_that_learns(page, server):
    page.goto(server.url + "#/graphs")
    until(page, "graph.answer")
    page.click("#of-model")
    until(page, "graph.answer.label !== undefined")
    drawn = page.locator("#drawing").inner_html()
    for name in ("0.weight", "4.bias", "example", "tanh", "cross_entropy_of_labels"):
        assert f">{name}<" in drawn
    page.fill("#example", "5")
    page.keyboard.press("Enter")
    until(page, "before => document.getElementById('drawing').innerHTML !== before", drawn)
    before = text_of(page, "drawing")
    get(server, "/start")
    until(page, "before => document.getElementById('drawing').innerText !== before", before)
    get(server, "/pause")


def test_a_server_that_is_gone_is_named_and_the_page_goes_on_when_it_is_back(browser):
    page = browser.new_page()
    with serving() as server:
        port = server.server_address[1]
        page.goto(server.url)
        until(page, "state && frame")
    until(page, "document.getElementById('trouble').textContent.includes('still running?')")
    page.click("#go")
    until(page, "document.getElementById('trouble').textContent.includes('still running?')")
    with serving(port=port) as server:
        until(page, "document.getElementById('trouble').textContent === ''")
        page.click("#go")
        until(page, "state.running && frame.step > 5")
    page.close()


def test_two_pages_show_one_training(page, browser, server):
    other = browser.new_page()
    page.goto(server.url)
    other.goto(server.url)
    until(page, "state && frame")
    page.click("#go")
    until(other, "state && state.running && frame.step > 10")
    other.click("#go")
    until(page, "!state.running")
    page.reload()
    until(page, "frame && frame.step > 10 && curve.length > 1")
    other.close()


def test_an_open_server_serves_the_page_with_its_token(page):
    with serving(host="127.0.0.1") as server:
        page.goto(server.url)
        until(page, "state && frame")
        page.click("#step")
        until(page, "frame.step === 1")
        page.click("#tab-graphs")
        until(page, "graph.answer")
        assert page.evaluate("location.search") == f"?token={server.token}"


@pytest.mark.parametrize("view", ["learn", "inside", "graphs"])
def test_views_fit_their_window_in_light_and_dark(page, reader, view):
    page.goto(f"{reader.url}#/{view}")
    until(page, "frame && scores")
    if view == "inside":
        draw(page, SEVEN)
        until(page, "document.getElementById('digit').textContent === '7'")
    if view == "graphs":
        until(page, "graph.answer")
    for width, height in ((320, 600), (390, 800), (800, 600), (1280, 900)):
        page.set_viewport_size({"width": width, "height": height})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.emulate_media(color_scheme="dark")
    until(page, "ground => getComputedStyle(document.body).backgroundColor !== ground", ground)
    if view == "inside":
        assert text_of(page, "digit") == "7"
        assert page.evaluate("image.reduce((a, b) => a + b)") > 0


def test_the_exported_page_answers_as_the_model_does_without_a_server(page, exported):
    path, model, data = exported
    page.goto(path.as_uri())
    until(page, "seenBy && image")
    assert page.locator("#top .tabs").is_hidden()
    assert text_of(page, "about-model") == "</script>A network"
    p = tg.softmax(Tensor(predict(model, data.test.inputs[:3]))).numpy()
    for number in range(3):
        if number:
            page.click("#after")
        until(page, "number => taken.number === number && seenBy", number)
        answer = page.evaluate("seenBy")
        np.testing.assert_allclose(answer["probabilities"], p[number], atol=1e-3)
        assert text_of(page, "digit") == str(p[number].argmax())
        x = data.test.inputs[number : number + 1]
        slopes = tg.grad(lambda x, k=answer["answer"]: model(x)[0, k])(x)
        np.testing.assert_allclose(answer["slopes"], slopes[0], atol=2e-3 * np.abs(slopes).max())
    names = [layer["name"] for layer in answer["layers"]]
    assert names == ["Linear 784 → 32", "ReLU", "Linear 32 → 16", "ReLU", "Linear 16 → 10"]
    draw(page, SEVEN)
    until(page, "!taken && image")
    page.locator("#activations canvas").nth(2).click(position={"x": 10, "y": 10})
    until(page, "unit && unit.layer === 2 && unit.image.length === 784")
    assert page.locator("#unit-weights").is_hidden()
    page.locator("#activations canvas").first.click(position={"x": 10, "y": 10})
    until(page, "unit.layer === 0")
    np.testing.assert_allclose(page.evaluate("unit.weights"), model[0].weight.data[0], atol=1e-4)


def test_a_unit_of_the_exported_page_is_excited_as_the_server_does_it(page, exported):
    from playground.inside import Reader, look_at_unit

    path, model, _ = exported
    page.goto(path.as_uri())
    until(page, "seenBy && image")
    for layer, unit in ((0, 3), (3, 7), (4, 9)):
        found = page.evaluate("([layer, unit]) => exportedUnit(layer, unit)", [layer, unit])
        expected = look_at_unit(Reader(model.eval()), layer, unit)
        np.testing.assert_allclose(found["image"], expected["image"], atol=0.05)


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid", "gelu"])
def test_the_exported_page_knows_every_activation(page, examples, digits, activation, tmp_path):
    from playground.export import write_page
    from playground.server import load_digits
    from playground.training import ACTIVATIONS

    data = load_digits(digits)
    model = nn.Sequential(
        nn.Linear(784, 8, rng=0), ACTIVATIONS[activation](), nn.Linear(8, 10, rng=1)
    )
    path = tmp_path / "page.html"
    path.write_text(write_page(PAGE, model, data, about=""), encoding="utf-8")
    page.goto(path.as_uri())
    until(page, "seenBy && image")
    answer = page.evaluate("seenBy")
    x = data.test.inputs[:1]
    np.testing.assert_allclose(answer["layers"][-1]["values"], predict(model, x)[0], atol=1e-3)
    slopes = tg.grad(lambda x: model(x)[0, answer["answer"]])(x)
    np.testing.assert_allclose(answer["slopes"], slopes[0], atol=2e-3 * np.abs(slopes).max())


def test_the_page_of_the_manual_reads_a_drawn_seven(page):
    page.goto((ROOT / "docs" / "_static" / "playground.html").as_uri())
    until(page, "seenBy && image")
    draw(page, SEVEN)
    until(page, "document.getElementById('digit').textContent === '7'")
