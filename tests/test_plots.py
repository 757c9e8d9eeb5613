"""The pictures: what is drawn, titled and labelled, of images, layers and training."""

import subprocess
import sys
import types

import numpy as np
import pytest

from tinygrad_mnist import ShapeError, Tensor, nn, plots

IMAGES = np.random.default_rng(0).integers(0, 256, (12, 28, 28)).astype(np.uint8)
COLOURS = np.random.default_rng(1).integers(0, 256, (4, 8, 6, 3)).astype(np.uint8)
NAN = float("nan")


def shown(figure):
    return [axes for axes in figure.axes if axes.get_visible() and axes.images]


def texts(figure):
    return [axes.get_title() for axes in figure.axes if axes.get_title()]


def pixels(figure, place=0):
    return np.asarray(figure.axes[place].images[0].get_array())


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


def test_grey_images_share_one_scale_so_that_a_faint_one_looks_faint():
    images = np.stack([IMAGES[0], IMAGES[1] // 8])
    figure = plots.samples(images)
    assert figure.axes[0].images[0].get_clim() == figure.axes[1].images[0].get_clim()


@pytest.mark.parametrize("blank", [np.zeros((1, 4, 4)), np.full((1, 4, 4), NAN)])
def test_an_image_without_contrast_is_drawn(blank):
    low, high = plots.samples(blank).axes[0].images[0].get_clim()
    assert low < high


@pytest.mark.parametrize(
    "images",
    [COLOURS, np.moveaxis(COLOURS, 3, 1), COLOURS / 255, COLOURS.astype(np.int64), COLOURS - 128.0],
    ids=["bytes", "channels first", "floats", "int64", "centred"],
)
def test_colour_images(images):
    figure = plots.samples(images, range(4))
    drawn = pixels(figure, 1).astype(float)
    drawn = drawn / 255 if drawn.max() > 1 else drawn
    assert drawn.shape == (8, 6, 3)
    np.testing.assert_allclose(drawn, COLOURS[1] / 255, atol=0.01)


def test_a_single_channel_is_grey():
    for images in (IMAGES[:, np.newaxis], IMAGES[..., np.newaxis]):
        np.testing.assert_array_equal(pixels(plots.samples(images)), IMAGES[0])


def test_colours_with_nan_are_drawn_without_a_warning():
    images = COLOURS / 255
    images[0, 0, 0, 0] = NAN
    plots.samples(images)._repr_png_()


def test_predictions_mark_errors_in_words():
    figure = plots.predictions(IMAGES[:3], [1, 2, 3], [1, 5, 3])
    assert texts(figure) == ["1 = 1", "2, not 5", "3 = 3"]
    assert "1 of these 3 wrong" in figure.get_suptitle()
    assert texts(plots.predictions(IMAGES[:2], [1, 2])) == ["1", "2"]


def test_class_names_stand_in_the_titles():
    names = ["cat", "dog", "a fish with an uncommonly long name"]
    assert texts(plots.samples(IMAGES[:2], [1, 0], class_names=names)) == ["dog", "cat"]
    titles = texts(plots.predictions(IMAGES[:2], [0, 0], [1, 2], class_names=names))
    assert titles == ["cat, not dog", "cat,\nnot a fish wi…ong name"]
    p = np.eye(3)[[0, 1]]
    titles = texts(plots.mistakes(IMAGES[:2], p, [1, 1], class_names=names))
    assert titles == ["cat (100%),\nnot dog"]
    assert texts(plots.samples(IMAGES[:2], ["left", "right"])) == ["left", "right"]


def test_an_error_between_classes_whose_names_look_alike_in_a_title_is_an_error():
    names = [f"a very long name of class {i} in two words" for i in range(2)]
    figure = plots.predictions(IMAGES[:1], [0], [1], class_names=names)
    assert "1 of these 1 wrong" in figure.get_suptitle()


@pytest.mark.parametrize("label", [3, -1])
def test_a_label_without_a_class_name(label):
    with pytest.raises(ValueError, match=f"labels from 0 to 2.* got {label}"):
        plots.samples(IMAGES[:1], [label], class_names=["a", "b", "c"])


def test_labels_that_are_no_classes():
    with pytest.raises(ValueError, match=r"whole numbers, got 2\.5"):
        plots.samples(IMAGES[:1], [2.5])
    with pytest.raises(ShapeError, match=r"argmax\(axis=1\)"):
        plots.samples(IMAGES[:1], np.eye(10)[:1])


def test_mistakes_are_the_most_confident_first():
    p = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.3, 0.7]])
    figure = plots.mistakes(IMAGES[:4], p, [0, 0, 0, 1])
    assert texts(figure) == ["1 (80%), not 0", "1 (60%), not 0"]
    with pytest.raises(ValueError, match="at least one wrong"):
        plots.mistakes(IMAGES[:1], p[:1], [0])


def curves(figure):
    """Of each panel: its title, its legend, and whether its axis is logarithmic."""
    return {
        axes.get_title(): (
            [text.get_text() for text in axes.get_legend().get_texts()],
            axes.get_yscale() == "log",
        )
        for axes in figure.axes
    }


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


def test_a_regression_has_no_panel_of_accuracy():
    history = {"train_loss": [3.0, 2.0], "train_accuracy": [NAN] * 2, "val_accuracy": [None] * 2}
    assert list(curves(plots.learning_curves(history))) == ["Loss"]


def test_each_metric_has_a_panel_whatever_the_order():
    history = {
        "val_mean_error": [NAN, 3.0],
        "train_top_5": [0.5, 0.6],
        "val_top_5": [0.4, 0.5],
        "train_accuracy": [0.1, 0.2],
        "train_loss": [2.0, 1.0],
        "lr": [0.1, 0.1],
    }
    assert curves(plots.learning_curves(history)) == {
        "Loss": (["training"], False),
        "Accuracy": (["training"], False),
        "Mean error": (["validation"], False),
        "Top 5": (["training", "validation"], False),
    }


def test_a_log_axis_where_values_span_much_and_where_it_is_wanted():
    falls, steady = {"train_loss": [10.0, 0.1]}, {"train_loss": [2.0, 1.0]}
    assert curves(plots.learning_curves(falls))["Loss"][1]
    assert not curves(plots.learning_curves(steady))["Loss"][1]
    assert not curves(plots.learning_curves({"train_loss": [10.0, 0.0]}))["Loss"][1]
    assert not curves(plots.learning_curves({"train_loss": [10.0, -1.0]}))["Loss"][1]
    assert not curves(plots.learning_curves(falls, log=False))["Loss"][1]
    assert curves(plots.learning_curves(steady, log=True))["Loss"][1]
    accuracy = {"train_loss": [1.0], "train_accuracy": [0.01, 0.9]}
    assert not curves(plots.learning_curves(accuracy))["Accuracy"][1]


def test_gaps_are_bridged_and_infinities_left_out():
    history = {"train_loss": [np.inf, 2.0, None, 1.0], "val_loss": [NAN, 4.0, NAN, NAN]}
    training, validation, best = plots.learning_curves(history).axes[0].lines
    assert (list(training.get_xdata()), list(training.get_ydata())) == ([2, 4], [2, 1])
    assert (list(validation.get_xdata()), list(best.get_xdata())) == ([2], [2])
    with pytest.raises(ValueError, match="finite values"):
        plots.learning_curves({"train_loss": [NAN]})


def test_one_epoch_has_one_tick():
    figure = plots.learning_curves({"train_loss": [2.0]})
    figure.savefig("/dev/null", format="png")
    low, high = figure.axes[0].get_xlim()
    assert [t for t in figure.axes[0].get_xticks() if low <= t <= high] == [1]


class Notebook:
    """What IPython offers to `live`, and what it was shown."""

    def __init__(self, monkeypatch):
        self.execution_count, self.shown, self.updates = 1, [], []
        display = types.ModuleType("IPython.display")
        display.display = self.display
        ipython = types.ModuleType("IPython")
        ipython.get_ipython = lambda: self
        ipython.display = display
        monkeypatch.setitem(sys.modules, "IPython", ipython)
        monkeypatch.setitem(sys.modules, "IPython.display", display)

    def display(self, figure, display_id):
        assert display_id
        self.shown.append(figure)
        return self

    def update(self, figure):
        self.updates.append(figure)


def test_live_shows_one_figure_and_then_updates_it(monkeypatch):
    notebook = Notebook(monkeypatch)
    history = {"train_loss": []}
    for epoch in range(3):
        history["train_loss"].append(3.0 - epoch)
        figure = plots.live(history)
    assert (len(notebook.shown), len(notebook.updates)) == (1, 2)
    assert notebook.updates[-1] is figure
    assert len(figure.axes[0].lines[0].get_xdata()) == 3
    notebook.execution_count = 2  # another cell shows it again, and another history too
    plots.live(history)
    plots.live({"train_loss": [1.0]})
    assert (len(notebook.shown), len(notebook.updates)) == (3, 2)


def test_live_outside_a_notebook_returns_the_figure(monkeypatch):
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    assert plots.live({"train_loss": [1.0]}).axes
    ipython = types.ModuleType("IPython")
    ipython.get_ipython = lambda: None
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    assert plots.live({"train_loss": [1.0]}).axes


def test_confusion_matrix_shows_counts_and_the_accuracy():
    figure = plots.confusion_matrix([[3, 1], [0, 4]], ["cat", "dog"])
    assert "87.50% of 8 right" in figure.get_suptitle()
    assert "cat taken for dog" in figure.get_suptitle()
    assert {t.get_text() for t in figure.axes[0].texts} == {"3", "1", "4"}
    assert (figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()) == ("predicted", "true")


def saturation(picture, row, column):
    from matplotlib.colors import rgb_to_hsv

    value = picture.get_array()[row, column]
    return rgb_to_hsv(picture.cmap(picture.norm(value))[:3])[1]


def test_errors_are_seen_however_few_they_are():
    counts = np.full((10, 10), 1) + np.diag([10_000] * 10)
    counts[3, 5] = 40
    right, wrong = plots.confusion_matrix(counts).axes[0].images
    assert right.get_array().mask[3, 5]
    assert wrong.get_array().mask[3, 3]
    assert saturation(wrong, 3, 5) > 0.8
    assert saturation(right, 3, 3) > 0.8


def test_a_large_confusion_matrix_writes_its_errors_alone():
    counts = np.diag([400] * 47)
    counts[1, 2], counts[40, 3] = 7, 11
    figure = plots.confusion_matrix(counts, [f"class number {i}" for i in range(47)])
    assert {t.get_text() for t in figure.axes[0].texts} == {"7", "11"}
    figure.savefig("/dev/null", format="png")
    axes, width = figure.axes[0], figure.bbox.width
    assert 0 <= axes.get_tightbbox().x0 < axes.get_tightbbox().x1 <= width, "labels are not cut off"


@pytest.mark.parametrize(
    ("counts", "title"),
    [
        ([[0, 0], [0, 0]], "of no predictions"), ([[5]], "100.00% of 5 right"),
        ([[0.75, 0.25], [0.5, 0.5]], "62.50% right"), (np.eye(3), "100.00% of 3 right"),
        ([[0, 2], [3, 0]], "0.00% of 5 right\nmost frequent error: 1 taken for 0"),
    ],
)  # fmt: skip
def test_the_title_of_a_confusion_matrix(counts, title):
    assert title in plots.confusion_matrix(counts).get_suptitle()


@pytest.mark.parametrize("bad", [-1, NAN, np.inf])
def test_counts_are_finite_and_not_negative(bad):
    with pytest.raises(ValueError, match=f"at least 0, got {float(bad)}"):
        plots.confusion_matrix([[1.0, bad], [0.0, 1.0]])


def test_first_layer_weights_are_symmetric_about_zero():
    figure = plots.first_layer_weights(np.random.default_rng(0).standard_normal((5, 784)), count=3)
    assert len(shown(figure)) >= 3
    low, high = figure.axes[0].images[0].get_clim()
    assert low == -high


@pytest.mark.parametrize("shape", [(4, 5, 3), (3, 4, 5)])
def test_first_layer_weights_of_colours(shape):
    figure = plots.first_layer_weights(np.zeros((2, 60)), shape)
    assert pixels(figure).shape == (4, 5, 3)
    assert (pixels(figure) == 0.5).all(), "a weight of 0 is grey"


@pytest.mark.parametrize(
    ("shape", "columns", "titles"),
    [
        ((2, 1, 3, 3), 8, ["1", "0"]),
        ((2, 3, 3, 3), 8, ["1", "0"]),
        ((2, 4, 3, 3), 2, ["1, from 0", "1, from 1", "0, from 0", "0, from 1"]),
        ((2, 1, 5), 8, ["1", "0"]),
    ],
)
def test_filters(shape, columns, titles):
    weight = np.ones(shape)
    weight[1] = 2  # the strongest comes first
    figure = plots.filters(weight, columns=columns)
    assert texts(figure) == titles
    assert len(figure.axes[0].images) == 1


def test_filters_of_colours_keep_their_channels():
    weight = np.zeros((1, 3, 2, 2))
    weight[0, 0] = 1.0
    np.testing.assert_array_equal(pixels(plots.filters(weight))[0, 0], [1, 0.5, 0.5])


@pytest.mark.parametrize("image", [None, IMAGES[0], COLOURS[0], np.moveaxis(COLOURS[0], 2, 0)])
def test_feature_maps_of_one_image(image):
    layer = nn.Conv2d(1, 4, 3, rng=0)
    maps = layer(Tensor(IMAGES[:1, np.newaxis] / np.float32(255))).data
    figure = plots.feature_maps(maps, image)
    first = [] if image is None else ["the image"]
    assert texts(figure) == [*first, *(f"channel {i}" for i in range(4))]
    np.testing.assert_array_equal(pixels(figure, len(first)), maps[0, 0])
    assert "4 feature maps, 26 x 26" in figure.get_suptitle()
    assert len(shown(plots.feature_maps(maps, count=2))) == 2


def test_feature_maps_of_a_relu_are_grey():
    relu = plots.feature_maps(np.ones((2, 3, 3)))
    assert relu.axes[0].images[0].get_cmap().name == "gray_r"


def test_probabilities_name_the_prediction():
    figure = plots.probabilities(IMAGES[0], np.eye(10)[3])
    assert texts(figure)[-1] == "predicted: 3 (100.0%)"


def test_probabilities_of_many_classes_show_the_likeliest():
    p = np.arange(47) / 1081
    figure = plots.probabilities(COLOURS[0], p, class_names=[f"letter {i}" for i in range(47)])
    assert texts(figure) == ["input, 8 x 6", "predicted: letter 46 (4.3%)"]
    labels = [text.get_text() for text in figure.axes[1].get_yticklabels()]
    assert labels == [f"letter {i}" for i in range(46, 36, -1)]


@pytest.mark.parametrize(
    "shape", [(28, 28), (784,), (1, 784), (1, 28, 28), (28, 28, 1), (1, 1, 28, 28)]
)
def test_one_image_in_every_shape(shape):
    figure = plots.probabilities(IMAGES[0].reshape(shape), np.eye(10)[3])
    np.testing.assert_array_equal(pixels(figure), IMAGES[0])


@pytest.mark.parametrize(
    "call",
    [
        lambda: plots.samples(np.zeros((0, 28, 28))), lambda: plots.samples(np.zeros((3, 3))), lambda: plots.samples(IMAGES, [1, 2]),
        lambda: plots.samples(np.zeros((2, 5, 8, 8))), lambda: plots.samples(np.zeros((2, 3, 8, 3))), lambda: plots.samples(np.zeros((1, 1, 1, 8, 8))),
        lambda: plots.predictions(IMAGES, [1]), lambda: plots.confusion_matrix(np.zeros((2, 3))), lambda: plots.first_layer_weights(np.zeros((3, 5))),
        lambda: plots.confusion_matrix(np.eye(3), ["a", "b"]), lambda: plots.confusion_matrix(np.eye(2), ["a", "b", "c"]),
        lambda: plots.mistakes(IMAGES, np.zeros(12), np.zeros(12)), lambda: plots.mistakes(IMAGES, np.zeros((12, 10)), None),
        lambda: plots.probabilities(IMAGES[0, :5], np.ones(10)), lambda: plots.probabilities(IMAGES[0], np.ones((10, 10))),
        lambda: plots.probabilities(IMAGES[0], np.ones(3), class_names=["a", "b"]), lambda: plots.probabilities(COLOURS, np.ones(3)),
        lambda: plots.filters(np.zeros((3, 5))), lambda: plots.filters(np.zeros((0, 1, 3, 3))),
        lambda: plots.feature_maps(np.zeros((2, 4, 5, 5))), lambda: plots.feature_maps(np.zeros((5, 5))),
    ],
)  # fmt: skip
def test_wrong_shapes(call):
    with pytest.raises(ShapeError, match="expected"):
        call()


def test_no_rows():
    with pytest.raises(ValueError, match="rows of at least 1, got 0"):
        plots.samples(IMAGES, rows=0)
    with pytest.raises(ValueError, match="count of at least 1, got 0"):
        plots.filters(np.zeros((1, 1, 3, 3)), count=0)


def test_a_notebook_shows_a_figure():
    assert plots.samples(IMAGES)._repr_png_().startswith(b"\x89PNG")


def test_importing_the_pictures_imports_no_matplotlib():
    code = "import sys, tinygrad_mnist.plots; assert 'matplotlib' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_log_axis_has_plain_numbers():
    figure = plots.learning_curves({"train_loss": [2.0, 0.02]})
    figure.savefig("/dev/null", format="png")
    low, high = figure.axes[0].get_ylim()
    labels = {
        t.get_text(): y
        for t, y in zip(figure.axes[0].get_yticklabels(), figure.axes[0].get_yticks(), strict=True)
    }
    assert {t for t, y in labels.items() if low <= y <= high} == {
        "0.02",
        "0.05",
        "0.1",
        "0.2",
        "0.5",
        "1",
        "2",
    }
