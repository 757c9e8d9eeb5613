"""The pictures: what is drawn, titled and labelled; and graphs as DOT."""

import shutil

import numpy as np
import pytest

from tinygrad_mnist import ShapeError, Tensor, nn, plots

IMAGES = np.random.default_rng(0).integers(0, 256, (12, 28, 28)).astype(np.uint8)


def shown(figure):
    return [axes for axes in figure.axes if axes.get_visible() and axes.images]


def texts(figure):
    return [axes.get_title() for axes in figure.axes if axes.get_title()]


@pytest.mark.parametrize("images", [IMAGES, IMAGES.reshape(12, 784), IMAGES / 255])
def test_samples_draws_each_with_its_label(images):
    figure = plots.samples(images, np.arange(12), rows=2, columns=5)
    assert len(shown(figure)) == 10
    assert texts(figure) == [str(i) for i in range(10)]
    assert len(shown(plots.samples(images[:3]))) == 3
    assert texts(plots.samples(images, [1, 2, *[None] * 10], rows=1, columns=2)) == [
        "1",
        "2",
    ]  # no label but the drawn ones'


def test_predictions_mark_errors_in_words():
    figure = plots.predictions(IMAGES[:3], [1, 2, 3], [1, 5, 3])
    assert texts(figure) == ["1 = 1", "2, not 5", "3 = 3"]
    assert "1 of these 3 wrong" in figure.get_suptitle()
    assert texts(plots.predictions(IMAGES[:2], [1, 2])) == ["1", "2"]


def test_mistakes_are_the_most_confident_first():
    p = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.3, 0.7]])
    figure = plots.mistakes(IMAGES[:4], p, [0, 0, 0, 1])
    assert texts(figure) == ["1 (80%), not 0", "1 (60%), not 0"]
    with pytest.raises(ValueError, match="at least one wrong"):
        plots.mistakes(IMAGES[:1], p[:1], [0])


def test_learning_curves_have_labels_legends_and_the_best_epoch():
    history = {
        "train_loss": [3, 2, 1],
        "val_loss": [3, 1, 2],
        "train_accuracy": [0.1, 0.2, 0.3],
        "val_accuracy": [np.nan] * 3,
    }
    loss, accuracy = plots.learning_curves(history).axes
    assert (loss.get_xlabel(), loss.get_ylabel(), accuracy.get_ylabel()) == (
        "epoch",
        "loss",
        "accuracy",
    )
    assert [t.get_text() for t in loss.get_legend().get_texts()] == [
        "training",
        "validation",
        "best, epoch 2: 1",
    ]
    assert [t.get_text() for t in accuracy.get_legend().get_texts()] == ["training"]
    with pytest.raises(ValueError, match="at least one epoch"):
        plots.learning_curves({"train_loss": []})


def test_confusion_matrix_shows_counts_and_the_accuracy():
    figure = plots.confusion_matrix([[3, 1], [0, 4]], ["cat", "dog"])
    assert "87.50% of 8 right" in figure.get_suptitle()
    assert {t.get_text() for t in figure.axes[0].texts} == {"3", "1", "4"}
    assert (figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()) == ("predicted", "true")


def test_first_layer_weights_are_symmetric_about_zero():
    figure = plots.first_layer_weights(np.random.default_rng(0).standard_normal((5, 784)), count=3)
    assert len(shown(figure)) >= 3
    low, high = figure.axes[0].images[0].get_clim()
    assert low == -high


def test_probabilities_name_the_prediction():
    figure = plots.probabilities(IMAGES[0], np.eye(10)[3])
    assert texts(figure)[-1] == "predicted: 3 (100.0%)"


@pytest.mark.parametrize(
    "call",
    [
        lambda: plots.samples(np.zeros((0, 28, 28))), lambda: plots.samples(np.zeros((3, 3))), lambda: plots.samples(IMAGES, [1, 2]),
        lambda: plots.predictions(IMAGES, [1]), lambda: plots.confusion_matrix(np.zeros((2, 3))), lambda: plots.first_layer_weights(np.zeros((3, 5))),
        lambda: plots.confusion_matrix(np.eye(3), ["a", "b"]), lambda: plots.confusion_matrix(np.eye(2), ["a", "b", "c"]),
        lambda: plots.mistakes(IMAGES, np.zeros(12), np.zeros(12)), lambda: plots.mistakes(IMAGES, np.zeros((12, 10)), None),
        lambda: plots.probabilities(IMAGES[0, :5], np.ones(10)), lambda: plots.probabilities(IMAGES[0], np.ones((10, 10))),
    ],
)  # fmt: skip
def test_wrong_shapes(call):
    with pytest.raises(ShapeError, match="expected"):
        call()


def test_no_rows_and_no_tensor():
    with pytest.raises(ValueError, match="rows of at least 1, got 0"):
        plots.samples(IMAGES, rows=0)
    for draw in (plots.graph_dot, plots.graph_figure):
        with pytest.raises(TypeError, match="expected a Tensor, got float"):
            draw(2.0)


def test_a_notebook_shows_a_figure():
    assert plots.samples(IMAGES)._repr_png_().startswith(b"\x89PNG")


def expression():
    x, w = Tensor([1.0, 2.0], requires_grad=True), Tensor([3.0, 4.0], requires_grad=True)
    shared = x * w
    return x, w, (shared + shared).sum()


def test_a_graph_as_dot_has_each_node_once_and_every_edge():
    x, w, y = expression()
    text = plots.graph_dot(y, names={"x": x, "w": w})
    assert text.count("shape=ellipse") == 2
    assert text.count("shape=box") == 3
    assert text.count("->") == 5  # x and w into multiply, multiply twice into add, add into sum
    assert r'label="x\n2"' in text
    assert r'label="sum\nscalar"' in text
    assert plots.graph_dot(Tensor(1.0)).count("label") == 0


def test_a_graph_as_a_figure_has_each_node_once():
    x, _, y = expression()
    labels = [
        t.get_text() for t in plots.graph_figure(y, names={"x": x}).axes[0].texts if t.get_text()
    ]
    assert sorted(labels) == ["add\n2", "leaf\n2", "multiply\n2", "sum\nscalar", "x\n2"]


def test_a_deep_graph_is_walked_without_recursion():
    y = Tensor(1.0, requires_grad=True)
    for _ in range(3000):
        y = y + 1.0
    assert plots.graph_dot(y).count("->") == 3000


def test_draw_graph_needs_graphviz(tmp_path, monkeypatch):
    _, _, y = expression()
    if shutil.which("dot"):
        plots.draw_graph(y, tmp_path / "g.svg")
        assert "<svg" in (tmp_path / "g.svg").read_text()
    monkeypatch.setattr(plots.shutil, "which", lambda name: None)
    with pytest.raises(FileNotFoundError, match="graphviz"):
        plots.draw_graph(y, tmp_path / "h.svg")


def test_a_model_names_its_leaves():
    model = nn.Linear(2, 1, rng=0)
    assert r'label="weight\n1x2"' in plots.graph_dot(
        model(Tensor([[1.0, 2.0]])), names=dict(model.named_parameters())
    )
