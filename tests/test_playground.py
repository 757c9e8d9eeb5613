"""The playground: what it answers, whom it keeps out, its events, its training and the program."""

import base64
import contextlib
import re
import signal
import socket
import sys
import threading
import time

import numpy as np
import pytest
from served import (
    ask,
    get,
    listening,
    newest,
    next_of,
    serving,
    start,
    step,
    wait_until,
    weights_of,
)

import tinygrad_mnist as tg
from tinygrad_mnist import Tensor, optim
from tinygrad_mnist.train import fit, predict

pytestmark = pytest.mark.usefixtures("examples")


@pytest.fixture
def server(examples):
    with serving() as server:
        yield server


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
    from playground_page.settings import read_settings
    from runner.web import RequestError

    with pytest.raises(RequestError) as error:
        read_settings(content)
    assert words in str(error.value)


def test_settings_that_are_left_out_are_those_of_the_data_set():
    from playground_page.settings import PRESETS, read_settings

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
    from runner.web import RequestError, read_pixels

    with pytest.raises(RequestError, match="784 whole numbers from 0 to 255"):
        read_pixels({"pixels": pixels}, 28)


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
    from playground_page.events import Mailbox

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
    from playground_page.events import MOST_PAGES

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
    from playground_page.data import load_data
    from playground_page.settings import read_settings
    from playground_page.training import build

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
    from playground_page.settings import read_settings

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
    from playground_page.settings import read_settings

    trainer.reset(read_settings({"data": "circles", "speed": 0}))
    before = trainer.hub.newest["scores"]["test"]
    trainer.start()
    wait_until(lambda: trainer.step > 50)
    trainer.pause()
    paused = trainer.step
    assert trainer.hub.newest["frame"]["step"] == trainer.hub.newest["scores"]["step"] == paused
    weights = weights_of(trainer.model)
    time.sleep(0.1)
    assert trainer.step == paused
    for now, then in zip(weights_of(trainer.model), weights, strict=True):
        np.testing.assert_array_equal(now, then)
    trainer.start()
    wait_until(lambda: trainer.step > paused + 500)
    trainer.pause()
    after = trainer.hub.newest["scores"]["test"]
    assert after["loss"] < before["loss"] / 2
    assert after["accuracy"] > 0.95


def test_a_change_starts_over_and_what_was_running_goes_on(trainer):
    from playground_page.settings import read_settings

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
    from playground_page.settings import read_settings

    trainer.reset(read_settings({"data": "xor", "speed": 2}))
    trainer.start()
    wait_until(lambda: trainer.step >= 2)
    trainer.set_speed(0)  # wakes it at once
    wait_until(lambda: trainer.step > 100)
    trainer.set_speed(2)
    now, started = trainer.step, time.monotonic()
    time.sleep(0.2)
    trainer.pause()
    assert trainer.step <= now + 2 + 2 * (time.monotonic() - started)


def test_weights_that_explode_are_told_and_reset_mends_it(trainer):
    from playground_page.settings import read_settings

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
    from playground_page.settings import read_settings
    from runner.web import RequestError

    trainer.mnist = tmp_path
    step(trainer, 2)
    with pytest.raises(RequestError, match="MNIST cannot be read"):
        trainer.reset(read_settings({"data": "mnist"}))
    assert (trainer.step, trainer.settings.data) == (2, "spirals")
    step(trainer, 1)


def test_nobody_is_shown_anything_where_nobody_listens(trainer):
    from playground_page.settings import read_settings

    trainer.reset(read_settings({"data": "xor", "speed": 0}))
    trainer.start()
    wait_until(lambda: trainer.step > 300)
    assert trainer.hub.newest["frame"]["step"] == 0
    trainer.hub.has_listeners = True
    wait_until(lambda: trainer.hub.newest["frame"]["step"] > 300)
    trainer.pause()


def test_a_page_left_open_does_not_fill_the_memory(trainer):
    from playground_page.frames import Curve
    from playground_page.training import forget_history

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
    from playground_page import pace

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


def test_late_steps_are_made_up_for_and_a_thread_that_is_too_slow_is_never_on_time(monkeypatch):
    from playground_page import pace

    clock = {"wall": 100.0}
    monkeypatch.setattr(pace.time, "perf_counter", lambda: clock["wall"])

    def run(*lengths):  # of steps, of which there should be 20 a second
        measured, on_time = pace.Pace(), []
        measured.resume()
        for seconds in lengths:
            clock["wall"] = max(clock["wall"], measured.due) + seconds
            on_time.append(measured.is_on_time(speed=20))
            measured.plan(speed=20)
        return on_time

    assert run(0.01, 0.01, 0.12, 0.01, 0.01, 0.01, 0.01) == [True, True, False, False, True, True, True]  # fmt: skip
    assert not any(run(*[0.06] * 30, *[0.04, 0.06, 0.06] * 30)[1:])


def test_a_new_training_shows_much_at_first(monkeypatch):
    from playground_page import pace

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
    from playground_page.frames import GRID, REACH, UNIT_GRID

    step(trainer, 20)
    frame = trainer.hub.newest["frame"]
    shown = np.frombuffer(base64.b64decode(frame["plane"]), np.uint8).reshape(GRID, GRID)
    along = np.linspace(-REACH, REACH, GRID)
    for row, column in ((0, 0), (3, 40), (GRID - 1, GRID - 1), (20, 22)):
        point = np.float32([[along[column], -along[row]]])  # the first row is the top
        p = tg.softmax(Tensor(predict(trainer.model, point))).numpy()[0, 1]
        assert shown[row, column] == int(p * 255)
    units = np.frombuffer(base64.b64decode(frame["units"]), np.int8)
    each = units.reshape(frame["count"], UNIT_GRID**2).astype(int)
    np.testing.assert_array_equal(np.abs(each).max(axis=1), [127] * 16)


def test_points_are_what_it_learns_from_and_what_is_held_out(trainer):
    state = trainer.hub.newest["state"]
    points = np.array(state["points"])
    assert state["examples"] == [267, 133]
    assert points[:, 3].sum() == 133
    np.testing.assert_allclose(points[:267, :2], trainer.data.train.inputs, atol=1e-3)


@pytest.mark.parametrize("name", ["spirals", "circles", "moons", "xor"])
def test_plane_data_are_two_classes_within_sight(name):
    from playground_page.data import make_plane
    from playground_page.frames import REACH

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
    from playground_page.frames import WORST, find_worst

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


# ---- The program


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_the_program_prints_its_address_names_a_taken_port_and_ends_quietly():
    with start("playground.py", "--no-browser", "--port", 0) as first:
        address = re.search(r"http://127\.0\.0\.1:(\d+)/ ", first.stdout.readline())
        with start("playground.py", "--no-browser", "--port", address[1]) as second:
            _, errors = second.communicate(timeout=60)
        assert second.returncode == 2
        assert f"--port: expected a free one, got {address[1]}: Address already in use; try --port" in errors  # fmt: skip
        assert "Traceback" not in errors
        first.send_signal(signal.SIGINT)
        _, errors = first.communicate(timeout=60)
    assert (first.returncode, errors) == (0, "")


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_host_opens_it_with_a_warning_and_a_token():
    with start("playground.py", "--no-browser", "--port", 0, "--host", "127.0.0.1") as process:
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
    with start("playground.py", "--no-browser", *arguments) as process:
        _, errors = process.communicate(timeout=120)
    assert process.returncode
    assert words in errors
    assert "Traceback" not in errors
