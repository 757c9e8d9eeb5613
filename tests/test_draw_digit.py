"""The page to draw digits on: what its server answers, and the page itself in a real browser."""

import contextlib
import http.client
import json
import re
import signal
import socket
import sys
import warnings

import numpy as np
import pytest
from served import a_browser, in_thread, start, until

import tinygrad_mnist as tg
from tinygrad_mnist import DataError, checkpoint, optim
from tinygrad_mnist.datasets import load_mnist
from tinygrad_mnist.train import fit, predict

pytestmark = pytest.mark.usefixtures("examples")


def save(folder, model, settings):
    checkpoint.save(folder / "model.safetensors", model, metadata={"settings": settings})
    return folder


def a_model(kind, folder):
    """Save a random model of each kind that the examples train."""
    from runner.models import build
    from runner.recipes import DEFAULT

    settings = {**DEFAULT, "recipe": None, "classes": 10, "class_names": None, "hidden": [16, 8]}
    if kind == "cnn":
        settings.update(recipe="cnn")
    if kind == "mse":
        settings.update(loss="mse", activation="sigmoid", hidden=[12])
    if kind == "letters":
        settings.update(classes=26, class_names=[*"<ABCDEFGHIJKLMNOPQRSTUVWXY"])
    return save(folder, build(settings, 0), settings)


def serving(folder):
    from draw_digit import Server
    from runner.models import load_model

    return in_thread(Server(*load_model(folder), folder))


@pytest.fixture(scope="module")
def server(examples, tmp_path_factory):
    with serving(a_model("mlp", tmp_path_factory.mktemp("<mlp>"))) as server:
        yield server


def ask(server, body=b"", path="/predict", method="POST", **headers):
    """Return the status, the headers and the content of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=20)
    with contextlib.closing(connection):
        connection.request(method, path, body, {k.replace("_", "-"): v for k, v in headers.items()})
        response = connection.getresponse()
        return response.status, response.headers, response.read()


def body_of(drawing):
    return json.dumps({"pixels": drawing.ravel().tolist()}).encode()


def a_seven():
    drawing = np.zeros((140, 140), np.uint8)
    drawing[20:32, 30:100] = 255
    drawing[20:120, 88:100] = 200
    return drawing


@pytest.mark.parametrize(
    ("kind", "shapes"),
    [
        ("mlp", [[16, 1, 1], [8, 1, 1]]),
        ("mse", [[12, 1, 1]]),
        ("cnn", [[8, 12, 12], [24, 4, 4], [96, 1, 1]]),
        ("letters", [[16, 1, 1], [8, 1, 1]]),
    ],
)
def test_it_answers_as_predict_does(kind, shapes, tmp_path):
    import predict as example
    from PIL import Image
    from runner.photo import read_photo

    folder = a_model(kind, tmp_path)
    with serving(folder) as server:
        status, _, content = ask(server, body_of(a_seven()))
    assert status == 200
    answer = json.loads(content)
    Image.fromarray(a_seven()).save(tmp_path / "digit.png")
    example.main([str(folder), str(tmp_path / "digit.png")])
    predicted = json.loads((tmp_path / "predicted.json").read_text())
    np.testing.assert_allclose(
        answer["probabilities"], predicted["probabilities"][0], rtol=0, atol=1e-6
    )
    assert answer["seen"] == read_photo(tmp_path / "digit.png").ravel().tolist()
    assert [layer["shape"] for layer in answer["layers"]] == shapes
    assert [len(layer["values"]) for layer in answer["layers"]] == [
        np.prod(shape) for shape in shapes
    ]


def test_activations_are_those_that_the_next_layer_gets(server):
    from draw_digit import look
    from runner.data import prepare_inputs
    from runner.photo import cut_digit

    model, settings = server.model
    image = cut_digit(a_seven().astype(np.float32) / 255)
    p, hidden = look(model, settings, image)
    first, last = model[0], model[-1]
    by_hand = np.maximum(
        prepare_inputs(image[None], settings) @ first.weight.numpy().T + first.bias.numpy(), 0
    )
    np.testing.assert_allclose(hidden[0]["values"], by_hand[0], atol=1e-4)
    logits = np.array(hidden[-1]["values"]) @ last.weight.numpy().T + last.bias.numpy()
    np.testing.assert_allclose(p, np.exp(logits) / np.exp(logits).sum(), atol=1e-3)


def test_the_page_names_the_model_and_asks_nobody_else(server):
    status, headers, content = ask(server, path="/?again", method="GET")
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    page = content.decode()
    assert "&lt;mlp&gt;" in page
    assert "{{" not in page
    assert not re.findall(r"https?://|<script src|<link rel=.stylesheet", page)


def test_an_empty_drawing_gets_an_answer_without_probabilities(server):
    for level in (0, 255, 9):
        status, _, content = ask(server, body_of(np.full((140, 140), level, np.uint8)))
        answer = json.loads(content)
        assert (status, answer["empty"], answer["probabilities"]) == (200, True, None)
        assert [layer["shape"][0] for layer in answer["layers"]] == [16, 8]


def test_two_digits_in_one_drawing_are_said_to_be_two(server):
    drawing = np.zeros((140, 140), np.uint8)
    drawing[30:42, 15:60] = drawing[30:110, 48:60] = 255
    drawing[30:110, 90:100] = 255
    answer = json.loads(ask(server, body_of(drawing))[2])
    assert (answer["empty"], answer["probabilities"], answer["seen"]) == (True, None, None)
    assert "2 digits" in answer["message"]


def test_a_drawing_may_touch_the_border(server):
    for shift in ((-20, 0), (20, 0), (0, -30), (0, 40)):
        drawing = np.roll(a_seven(), shift, (0, 1))
        assert not json.loads(ask(server, body_of(drawing))[2])["empty"], shift


@pytest.mark.parametrize(
    ("body", "options", "status", "words"),
    [
        (b"", {}, 400, "got 0 bytes that are not JSON"),
        (b"{pixels", {}, 400, "got 7 bytes that are not JSON"),
        (b"\xff\xfe\x00", {}, 400, "not JSON"),
        (b"[" * 100_000, {}, 400, "not JSON"),
        (b"[1, 2]", {}, 400, "expected a JSON object, got list"),
        (b'{"pixels": "ink"}', {}, 400, "numbers from 0 to 255, got 'ink'"),
        (b'{"pixels": [1, 2]}', {}, 400, "19600 whole numbers from 0 to 255, got 2"),
        (json.dumps({"pixels": [256] * 19600}).encode(), {}, 400, "other values"),
        (json.dumps({"pixels": [0.5] * 19600}).encode(), {}, 400, "other values"),
        (json.dumps({"pixels": [None] * 19600}).encode(), {}, 400, "other values"),
        (b"0" * 200_000, {}, 413, "at most 156800 bytes, got 200000"),
        (b"", {"Content_Length": "9" * 30}, 413, "at most"),
        (b"", {"Content_Length": "-5"}, 411, "expected a Content-Length"),
        (b"", {"Content_Length": "²"}, 411, "expected a Content-Length"),
        (b"", {"path": "/elsewhere"}, 404, "expected one of /predict, got POST /elsewhere"),
        (b"", {"path": "/../../etc/passwd", "method": "GET"}, 404, "got GET"),
        (b"", {"path": "/predict", "method": "GET"}, 404, "expected one of /"),
        (b"", {"Host": "evil.example", "path": "/", "method": "GET"}, 403, "got 'evil.example'"),
        (b"", {"Host": "127.0.0.1.evil.example:80"}, 403, "an address of this machine"),
        (b"", {"Host": ""}, 403, "an address of this machine"),
        (b"", {"Origin": "http://evil.example"}, 403, "got one of 'http://evil.example'"),
        (b"", {"Origin": "null"}, 403, "a request of this page"),
    ],
)  # fmt: skip
def test_bad_requests_hear_what_was_expected(server, body, options, status, words):
    if "²" in options.get("Content_Length", "") or len(options.get("Content_Length", "")) > 20:
        got, content = raw(server, options["Content_Length"])
    else:
        got, _, content = ask(server, body, **options)
    assert got == status
    assert words in json.loads(content)["error"]
    assert ask(server, body_of(a_seven()))[0] == 200  # and it goes on


def raw(server, length):
    """Send a header that http.client would not, and no body."""
    with socket.create_connection(server.server_address[:2], timeout=20) as connection:
        connection.sendall(
            b"POST /predict HTTP/1.0\r\nHost: localhost\r\nContent-Length: "
            + length.encode("latin-1")
            + b"\r\n\r\n"
        )
        connection.shutdown(socket.SHUT_WR)
        answer = connection.makefile("rb").read()
    head, _, content = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), content


def test_a_body_that_ends_early_is_named_and_a_client_that_leaves_disturbs_nobody(server, capfd):
    with socket.create_connection(server.server_address[:2], timeout=20) as connection:
        connection.sendall(
            b"POST /predict HTTP/1.0\r\nHost: localhost\r\nContent-Length: 50\r\n\r\n{"
        )
        connection.shutdown(socket.SHUT_WR)
        assert b"expected 50 bytes, got 1" in connection.makefile("rb").read()
    for _ in range(5):
        with socket.create_connection(server.server_address[:2], timeout=20) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            connection.sendall(
                b"POST /predict HTTP/1.0\r\nHost: localhost\r\nContent-Length: 50\r\n\r\n{"
            )
    assert ask(server, body_of(a_seven()), Host="localhost:1")[0] == 200
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_the_program_prints_its_address_names_a_taken_port_and_ends_quietly(tmp_path):
    folder = a_model("mlp", tmp_path)
    with start("draw_digit.py", "--no-browser", folder, "--port", 0) as first:
        address = re.search(r"http://127\.0\.0\.1:(\d+)/", first.stdout.readline())
        with start("draw_digit.py", "--no-browser", folder, "--port", address[1]) as second:
            _, errors = second.communicate(timeout=30)
        assert second.returncode == 2
        assert (
            f"--port: expected a free one, got {address[1]}: Address already in use; try --port"
            in errors
        )
        assert "Traceback" not in errors
        first.send_signal(signal.SIGINT)
        _, errors = first.communicate(timeout=30)
    assert (first.returncode, errors) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "expected a checkpoint"),
        (["nowhere", "--port", "70000"], "expected a number from 0 to 65535, got 70000"),
    ],
)
def test_wrong_flags_say_what_was_expected(arguments, words):
    with start("draw_digit.py", "--no-browser", *arguments) as process:
        _, errors = process.communicate(timeout=30)
    assert process.returncode
    assert words in errors
    assert "Traceback" not in errors


@pytest.fixture(scope="module")
def reader(examples, tmp_path_factory):
    """A folder with a model that has seen real digits."""
    from runner.data import prepare
    from runner.models import build
    from runner.recipes import DEFAULT

    settings = {**DEFAULT, "recipe": None, "classes": 10, "class_names": None}
    settings.update(hidden=[48, 24], dropout=0.0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it may be the sample
            data = load_mnist(download=False)
    except (DataError, ImportError) as error:
        pytest.skip(f"needs real digits: {error}")
    inputs, labels = (array[::5][:4000] for array in prepare(data.train, settings))
    model = build(settings, np.random.default_rng(0))
    optimizer = optim.Adam(model.parameters(), 0.003)
    fit(
        model,
        tg.softmax_cross_entropy,
        optimizer,
        (inputs, labels),
        epochs=15,
        batch_size=100,
        progress=False,
        rng=0,
    )
    return save(tmp_path_factory.mktemp("reader"), model, settings)


@pytest.fixture(scope="module")
def browser():
    with a_browser() as browser:
        yield browser


@pytest.fixture
def page(browser):
    troubles = []
    page = browser.new_page(viewport={"width": 390, "height": 800})
    page.on("pageerror", lambda error: troubles.append(str(error)))

    def note(message):
        # The server of a test ends before its page, which may ask once more.
        if message.type == "error" and "ERR_CONNECTION_REFUSED" not in message.text:
            troubles.append(message.text)

    page.on("console", note)
    yield page
    page.close()
    assert not troubles


def draw_a_one(page):
    box = page.locator("#pad").bounding_box()
    x, top = box["x"] + box["width"] / 2, box["y"] + box["height"] * 0.2
    page.mouse.move(x, top)
    page.mouse.down()
    page.mouse.move(x, top + box["height"] * 0.6, steps=8)
    page.mouse.up()


def ink_on(page, canvas):
    return page.evaluate("id => { const c = document.getElementById(id); return c.getContext('2d')"
                         ".getImageData(0, 0, c.width, c.height).data.reduce((a, v, i) => a + (i % 4 == 3 ? v : 0), 0) }", canvas)  # fmt: skip


def shown_on(page):
    return page.locator("#bars em").all_inner_texts()


def test_a_stroke_in_the_browser_is_a_one_and_clear_is_blank(page, reader):
    from runner.data import prepare_inputs
    from runner.models import find_probabilities
    from runner.photo import cut_digit
    from runner.web import read_object, read_pixels

    with serving(reader) as server:
        page.goto(server.url)
        page.wait_for_selector(
            "#layers figure:nth-child(2)"
        )  # the layers are there before anything is drawn
        assert shown_on(page) == [""] * 10
        bodies = []
        page.on("request", lambda request: bodies.append(request.post_data))
        draw_a_one(page)
        until(page, "document.querySelector('#bars .best em')?.textContent")
        until(page, "!asking && !changed")
        drawing = read_pixels(read_object(bodies[-1]), 140)
        _, settings = server.model
        inputs = prepare_inputs(cut_digit(drawing.astype(np.float32) / 255)[None], settings)
        p = find_probabilities(predict(server.model[0], inputs), settings)[0]
        assert shown_on(page) == [f"{100 * value:.1f}%" for value in p]
        assert page.locator("#digit").inner_text() == "1"
        widths = page.locator("#bars i").evaluate_all(
            "bars => bars.map(bar => parseFloat(bar.style.width))"
        )
        np.testing.assert_allclose(widths, 100 * p, atol=0.01)
        answer = json.loads(ask(server, bodies[-1].encode())[2])
        active = sum(value > 0 for value in answer["layers"][1]["values"])
        label = page.locator("#layers canvas").nth(1).get_attribute("aria-label")
        assert label == f"Hidden layer 2: {active} of 24 activations above zero"

        page.keyboard.press("Tab")  # the first stop is Clear
        assert page.evaluate("document.activeElement.id") == "clear"
        page.keyboard.press("Enter")
        assert shown_on(page) == [""] * 10
        assert page.locator("#digit").inner_text() == ""
        assert (ink_on(page, "pad"), ink_on(page, "seen")) == (0, 0)
        draw_a_one(page)  # and once more
        until(page, "document.getElementById('digit').textContent === '1'")


def test_an_answer_that_comes_after_clear_is_not_shown(page, reader):
    with serving(reader) as server:
        page.goto(server.url)
        until(page, "!!shown")
        held = []
        page.route("**/predict", lambda route: held.append(route))
        page.locator("#pad").click()  # a dot, one question
        until(page, "asking")
        assert ink_on(page, "pad") > 0
        page.locator("#clear").click()
        held[0].continue_()
        until(page, "!asking")
        assert shown_on(page) == [""] * 10


def test_a_finger_draws_and_does_not_scroll(browser, reader):
    with (
        serving(reader) as server,
        browser.new_context(viewport={"width": 390, "height": 500}, has_touch=True) as context,
    ):
        page = context.new_page()
        page.goto(server.url)
        box = page.locator("#pad").bounding_box()
        touch = context.new_cdp_session(page)
        for kind, share in (
            ("touchStart", 0.8),
            ("touchMove", 0.6),
            ("touchMove", 0.4),
            ("touchMove", 0.2),
            ("touchEnd", None),
        ):
            points = (
                []
                if share is None
                else [{"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] * share}]
            )
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        until(page, "document.getElementById('digit').textContent === '1'")
        assert page.evaluate("scrollY") == 0


def test_it_fits_its_window_and_keeps_the_drawing_in_the_dark(page, reader):
    with serving(reader) as server:
        page.goto(server.url)
        draw_a_one(page)
        until(page, "document.getElementById('digit').textContent === '1'")
        until(page, "!asking && !changed")
        before = shown_on(page), ink_on(page, "pad")
        for width, height in ((320, 600), (390, 800), (800, 600), (1200, 800)):
            page.set_viewport_size({"width": width, "height": height})
            assert page.evaluate("document.documentElement.scrollWidth") <= width
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        page.emulate_media(color_scheme="dark")
        until(page, "ground => getComputedStyle(document.body).backgroundColor !== ground", ground)
        assert (shown_on(page), ink_on(page, "pad")) == before


def test_a_server_that_is_gone_is_named(browser, reader):
    page = browser.new_page()
    with serving(reader) as server:
        page.goto(server.url)
        page.wait_for_selector("#layers figure")
    draw_a_one(page)
    until(page, "document.getElementById('trouble').textContent.includes('still running')")
    page.close()
