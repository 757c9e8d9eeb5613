"""The playground in a real browser: its three views, and the exported page."""

import json
import re

import numpy as np
import pytest
from helpers import ROOT
from served import PAGE, a_browser, a_run, ask, get, serving, start, until, wait_until

import tinygrad_mnist as tg
from tinygrad_mnist import Tensor, nn
from tinygrad_mnist.train import predict

pytestmark = pytest.mark.usefixtures("examples")


@pytest.fixture
def server(examples):
    with serving() as server:
        yield server


# ---- The exported page


@pytest.fixture(scope="module")
def exported(examples, digits, tmp_path_factory):
    """A page as `--export` writes it, the model in it, and the data."""
    from playground_page.export import train_small, write_page
    from playground_page.server import load_digits

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
    from playground_page.export import pack_layers
    from playground_page.saved import open_run
    from runner.web import RequestError

    with pytest.raises(
        RequestError, match="dense layers and activations alone, got one with Conv2d"
    ):
        pack_layers(open_run(a_run("cnn", tmp_path))[0].model)
    twice = nn.Sequential(nn.Linear(784, 10, rng=0), nn.ReLU(), nn.ReLU())
    with pytest.raises(RequestError, match="got one with ReLU"):
        pack_layers(twice)


def test_a_saved_run_is_exported(tmp_path, digits):
    with start("playground.py", "--data", digits, "--export", tmp_path / "page.html", a_run("mse", tmp_path)) as process:  # fmt: skip
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
    with a_browser() as browser:
        yield browser


@pytest.fixture
def page(browser):
    troubles = []
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.on("pageerror", lambda error: troubles.append(str(error)))

    def hear(said):
        # A refusal (400) is for the page to tell, and a server may end before its page does.
        if said.type == "error" and not re.search(r"status of 400|net::ERR_", said.text):
            troubles.append(said.text)

    page.on("console", hear)
    page.set_default_timeout(30_000)
    yield page
    page.close()
    assert not troubles


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
def reader(examples, browser):  # the browser first: without it, nothing need be learned
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
    said = f"a {worst['label']}, read as {worst['answer']}: {round(100 * worst['sure'])}%"
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
    from playground_page.saved import open_run

    folder = a_run("letters", tmp_path)
    with serving(saved=open_run(folder)[0], name="<run>", mnist=digits) as server:
        page.goto(server.url + "#/inside")
        until(page, "saved && seenBy")
        assert page.locator("#model option").first.inner_text() == "<run>"
        draw(page, SEVEN)
        until(page, "document.querySelectorAll('#bars .best').length === 1")
        assert page.locator("#bars b").all_inner_texts() == [*"ABCDEFGHIJKLMNOPQRSTUVWXYZ"]
        assert (
            text_of(page, "digit") == "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[page.evaluate("seenBy.answer")]
        )
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
    assert "A sum passes the gradient on unchanged" in text_of(page, "story")
    assert page.locator("#drawing .gets").count() == 2
    assert page.locator("#drawing path.flows").count() == 4  # two arrows, each a line and a head
    assert page.evaluate(texts, "a") == ["a", "value 2"]
    page.focus("#cursor")
    page.keyboard.press("End")
    assert page.evaluate(texts, "c") == ["c", "value 0.5", "gradient 0.7864"]
    assert "The backward pass is done" in text_of(page, "story")
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
    for name in ("0.weight", "4.bias", "example", "tanh", "softmax_cross_entropy_of_labels"):
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
    from playground_page.inside import Reader, look_at_unit

    path, model, _ = exported
    page.goto(path.as_uri())
    until(page, "seenBy && image")
    for layer, unit in ((0, 3), (3, 7), (4, 9)):
        found = page.evaluate("([layer, unit]) => exportedUnit(layer, unit)", [layer, unit])
        expected = look_at_unit(Reader(model.eval()), layer, unit)
        np.testing.assert_allclose(found["image"], expected["image"], atol=0.05)


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid", "gelu"])
def test_the_exported_page_knows_every_activation(page, examples, digits, activation, tmp_path):
    from playground_page.export import write_page
    from playground_page.server import load_digits
    from playground_page.training import ACTIVATIONS

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
