"""What the playground tells of the inside of a network, and of a graph."""

import contextlib
import re

import numpy as np
import pytest
from served import (
    a_run,
    a_seven,
    ask,
    get,
    listening,
    next_of,
    serving,
    step,
    wait_until,
    weights_of,
)

import tinygrad_mnist as tg
from tinygrad_mnist import Tensor
from tinygrad_mnist.train import predict

pytestmark = pytest.mark.usefixtures("examples")


@pytest.fixture
def server(examples):
    with serving() as server:
        yield server


# ---- Look inside


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
    from playground_page.inside import Reader, look
    from playground_page.settings import read_settings

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


def test_a_snapshot_is_a_copy_also_while_the_network_learns(trainer):
    from playground_page.settings import read_settings

    trainer.reset(read_settings({"data": "moons", "hidden": [8] * 5, "dropout": 0.2, "speed": 0}))
    trainer.start()
    wait_until(lambda: trainer.step > 5)
    for _ in range(100):
        snapshot = trainer.snapshot()
        assert not any(module.training for module in snapshot.model.modules())
    trainer.pause()
    snapshot = trainer.snapshot()
    for copied, live in zip(snapshot.model.parameters(), trainer.model.parameters(), strict=True):
        np.testing.assert_array_equal(copied.data, live.data)
        assert not np.shares_memory(copied.data, live.data)


def test_held_out_digits_come_by_number(on_digits):
    data = on_digits.trainer.data
    for number, at in ((0, 0), (49, 49), (50, 0), (123, 23)):
        digit = get(on_digits, "/digit", {"number": number})
        assert (digit["number"], digit["of"], digit["label"]) == (at, 50, data.test.labels[at])
        assert digit["pixels"] == data.images[at].ravel().tolist()
        np.testing.assert_allclose(np.array(digit["pixels"]) / 255, data.test.inputs[at], atol=1e-6)


@pytest.mark.parametrize("kind", ["mlp", "mse", "cnn", "letters"])
def test_a_saved_model_is_looked_into(kind, tmp_path, digits):
    from playground_page.saved import open_run
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
    from playground_page.expression import read_expression

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
    from playground_page.expression import read_expression
    from runner.web import RequestError

    with pytest.raises(RequestError) as error:
        read_expression(text)
    assert words in str(error.value)


def test_a_deep_nest_of_parentheses_is_refused_or_read():
    from playground_page.expression import read_expression
    from runner.web import RequestError

    with contextlib.suppress(RequestError):
        assert read_expression("(" * 99 + "a" + ")" * 99).variables == ["a"]


def test_every_function_of_an_expression_has_a_rule_in_words():
    from playground_page.expression import FUNCTIONS, read_expression
    from playground_page.steps import trace_expression

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
        "softmax_cross_entropy_of_labels", "linear", "relu", "linear", "relu", "linear",
    ]  # fmt: skip
    assert all(one["rule"] for one in traced["steps"])


def test_the_graph_of_a_model_on_the_plane(server):
    get(server, "/reset", {"data": "xor", "hidden": []})
    traced = get(server, "/graph", {"of": "model", "example": 0})
    assert [one["name"] for one in traced["steps"]] == ["softmax_cross_entropy_of_labels", "linear"]
