"""Pictures of graphs: what stands in the boxes, before and after backward, and where boxes and arrows go."""

import re
import weakref
from itertools import pairwise
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_mnist as tg
from tinygrad_mnist import AnomalyError, GraphError, Tensor, from_numpy, nn, optim, plots
from tinygrad_mnist.plots.layout import lay_out

SVG = "{http://www.w3.org/2000/svg}"


def boxes(tensor, **options):
    """What stands in each box of the SVG, as (class, lines of text)."""
    root = ElementTree.fromstring(plots.graph_svg(tensor, **options))
    return [
        (group.get("class"), [text.text for text in group.iter(f"{SVG}text")])
        for group in root.iter(f"{SVG}g")
    ]


def arrows(tensor, **options):
    return re.findall(r"c?n?\d+ -> n\d+", plots.graph_dot(tensor, **options))


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


def test_dot_with_values():
    x, _, y = expression()
    assert r'label="x\n(2,)\nvalue [1, 2]"' in plots.graph_dot(y, names={"x": x}, values=True)


def test_dot_escapes_quotes():
    x = Tensor(1.0, requires_grad=True)
    assert r'label="the \"x\"\nscalar"' in plots.graph_dot(x * x, names={'the "x"': x})


def test_a_graph_that_was_not_recorded_has_the_values_that_are_known():
    x, _, y = expression()
    assert boxes(y, names={"x": x}) == [
        ("leaf", ["x", "(2,)", "value [1, 2]"]),
        ("leaf", ["leaf", "(2,)"]),
        ("operation", ["multiply", "(2,)"]),
        ("operation", ["add", "(2,)"]),
        ("operation", ["sum", "value 22"]),
    ]


def test_constants_that_were_not_recorded_stand_in_the_name_of_the_operation():
    x = Tensor(4.0, requires_grad=True)
    assert boxes(1.0 - x)[1] == ("operation", ["subtract(constant, ·)", "value -3"])
    assert len(arrows(1.0 - x)) == 1


def recorded():
    """The example of the manual: relu(3 w) - 5, squared, at w = 2."""
    with plots.recording():
        w = Tensor(2.0, requires_grad=True)
        loss = (tg.relu(w * 3.0) - 5.0) ** 2
        loss.backward()
    return w, loss


def test_after_backward_a_recorded_graph_has_values_gradients_and_constants():
    w, loss = recorded()
    assert boxes(loss, names={"w": w, "loss": loss}) == [
        ("leaf", ["w", "value 2", "gradient 6"]),
        ("constant", ["constant", "3"]),
        ("operation", ["multiply", "value 6", "gradient 2"]),
        ("operation", ["relu", "value 6", "gradient 2"]),
        ("constant", ["constant", "5"]),
        ("operation", ["subtract", "value 1", "gradient 2"]),
        ("constant", ["constant", "2"]),
        ("operation", ["loss = power", "value 1", "gradient 1"]),
    ]
    assert len(arrows(loss)) == 7


def test_an_arrow_of_the_svg_says_which_boxes_it_joins():
    w, loss = recorded()
    root = ElementTree.fromstring(plots.graph_svg(loss, names={"w": w}))
    titles = {
        group.get("data-node"): group.find(f"{SVG}text").text for group in root.iter(f"{SVG}g")
    }
    joined = [
        (titles[path.get("data-from")], titles[path.get("data-to")])
        for path in root.iter(f"{SVG}path")
        if path.get("class") == "arrow" and path.get("fill") == "none"
    ]
    assert joined == [
        ("w", "multiply"), ("constant", "multiply"), ("multiply", "relu"), ("relu", "subtract"),
        ("constant", "subtract"), ("subtract", "power"), ("constant", "power"),
    ]  # fmt: skip


def test_the_figure_shows_what_the_svg_shows():
    w, loss = recorded()
    drawn = [text.get_text() for text in plots.graph_figure(loss, names={"w": w}).axes[0].texts]
    assert drawn == [line for _, lines in boxes(loss, names={"w": w}) for line in lines]


def test_a_seed_of_its_own_is_the_gradient_of_the_result():
    with plots.recording():
        x = Tensor([1.0, 2.0], requires_grad=True)
        y = x * 3.0
        y.backward(np.array([1.0, 10.0]))
    assert boxes(y)[-1] == ("operation", ["multiply", "(2,)", "value [3, 6]", "gradient [1, 10]"])
    assert boxes(y)[0] == ("leaf", ["leaf", "(2,)", "value [1, 2]", "gradient [3, 30]"])


def test_gradients_add_up_over_uses_and_over_calls():
    with plots.recording():
        x = Tensor(3.0, requires_grad=True)
        square = x * x
        y = square + square
        y.backward(retain_graph=True)
        y.backward()
    assert [lines[-1] for _, lines in boxes(y)] == ["gradient 24", "gradient 4", "gradient 2"]
    assert x.grad == 24


def test_the_recording_may_end_before_backward():
    with plots.recording():
        x = Tensor(3.0, requires_grad=True)
        y = (x * 2.0).exp()
    before = boxes(y)
    assert before[2] == ("operation", ["multiply", "value 6"])
    y.backward()
    assert [kind for kind, _ in boxes(y)] == [kind for kind, _ in before]
    assert boxes(y)[0][1][-1] == f"gradient {x.grad.item():.4g}"


def test_what_was_made_before_the_recording_is_drawn_as_far_as_it_is_known():
    x = Tensor(3.0, requires_grad=True)
    early = x * 2.0
    with plots.recording():
        y = early + early.exp()
        assert boxes(y)[1] == ("operation", ["multiply(·, constant)", "value 6"])
        del early
        y.backward()
    assert boxes(y) == [
        ("operation", ["… multiply", "value 6", "gradient 404.4"]),
        ("operation", ["exp", "value 403.4", "gradient 1"]),
        ("operation", ["add", "value 409.4", "gradient 1"]),
    ]


def test_a_leaf_that_is_gone_is_still_a_leaf():
    with plots.recording():
        y = Tensor(3.0, requires_grad=True).exp()
        y.backward()
    assert boxes(y)[0] == ("leaf", ["leaf", "value 3", "gradient 20.09"])


def test_each_step_shows_the_values_that_it_saw():
    with plots.recording():
        w = Tensor(1.0, requires_grad=True)
        optimizer = optim.SGD([w], lr=0.25)
        losses = []
        for _ in range(2):
            optimizer.zero_grad()
            losses.append(w * w)
            losses[-1].backward()
            optimizer.step()
    assert boxes(losses[0], names={"w": w})[0] == ("leaf", ["w", "value 1", "gradient 2"])
    assert boxes(losses[1], names={"w": w})[0] == ("leaf", ["w", "value 0.5", "gradient 1"])


def test_a_constant_that_is_used_twice_has_one_box_and_its_name():
    x, c = Tensor(2.0, requires_grad=True), Tensor(5.0)
    with plots.recording():
        y = x * c + c
    assert [lines for kind, lines in boxes(y, names={"c": c}) if kind == "constant"] == [["c", "5"]]
    a = np.array([1.0, 2.0], np.float32)
    with plots.recording():
        y = x * a
    assert boxes(y, names={"data": a})[1] == ("constant", ["data", "(2,)", "[1, 2]"])


def test_a_constant_that_changes_has_a_box_for_each_value():
    x, c = Tensor(2.0, requires_grad=True), Tensor(5.0)
    with plots.recording():
        y = x * c
        c.data = 6.0
        y = y + c
    assert [lines for kind, lines in boxes(y) if kind == "constant"] == [
        ["constant", "5"],
        ["constant", "6"],
    ]


def test_a_recording_lives_no_longer_than_its_results():
    array = np.ones(3, np.float32)
    gone = weakref.ref(array)
    with plots.recording():
        y = Tensor(2.0, requires_grad=True) * array
        y.sum().backward()
    del array
    assert gone() is not None
    del y
    assert gone() is None


def test_a_long_recorded_chain_goes_without_recursion():
    with plots.recording():
        y = Tensor(1.0, requires_grad=True)
        for _ in range(3000):
            y = y + 1.0
        y.backward()
    assert plots.graph_dot(y).count("->") == 6000
    del y


def test_a_recording_ends_with_its_block_also_by_an_error():
    with pytest.raises(KeyError), plots.recording():
        raise KeyError
    x = Tensor(1.0, requires_grad=True)
    y = x * 2.0
    y.backward()
    assert y.grad is None
    with pytest.raises(GraphError, match=r"backward has freed this graph.*plots.recording"):
        plots.graph_svg(y)


@pytest.mark.parametrize("draw", [plots.graph_figure, plots.graph_svg, plots.graph_dot])
def test_a_freed_graph_says_what_to_do(draw):
    x = Tensor(1.0, requires_grad=True)
    y = x * 2.0
    z = y + 1.0
    z.backward()
    with pytest.raises(GraphError, match=r"retain_graph=True.*recording"):
        draw(z)
    draw(x)  # a leaf is drawn at any time


def test_a_part_that_is_freed_says_so():
    x = Tensor(1.0, requires_grad=True)
    y = x * 2.0
    z = y.exp()
    y.backward()
    assert boxes(z)[0] == ("operation", ["multiply (freed)", "scalar"])


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([1.5], "value 1.5"), ([1.0, 2.0, NAN := float("nan")], "value [1, 2, nan]"), (np.arange(6.0), "value 0 … 5"),
        (np.full((2, 3), 7.0), "value all 7"), (np.full((2, 3), NAN), "value not finite"),
        ([[NAN, 1.0], [2.0, 3.0]], "value 1 … 3, some not finite"), (np.float16([[1], [2]]), "value 1 … 2"),
    ],
)  # fmt: skip
def test_values_in_a_few_letters(values, text):
    assert boxes(Tensor(values, requires_grad=True))[0][1][-1] == text


def test_an_empty_tensor_has_no_value():
    assert boxes(Tensor(np.zeros((0, 3)), requires_grad=True)) == [("leaf", ["leaf", "(0, 3)"])]


def test_equal_operations_in_a_row_are_folded():
    with plots.recording():
        x = Tensor(1.0, requires_grad=True)
        y = x
        for _ in range(3000):
            y = y + 1.0
        y.backward()
    assert boxes(y) == [
        ("leaf", ["leaf", "value 1", "gradient 1"]),
        ("constant", ["constant", "1"]),
        ("operation", ["add × 3,000", "value 3001", "gradient 1"]),
    ]
    assert plots.graph_dot(y).count("->") == 6000, "text is complete"
    with pytest.raises(ValueError, match=r"at most 300 boxes, got 6,001"):
        plots.graph_figure(y, fold=False)


def test_neighbours_that_differ_or_are_used_elsewhere_are_not_folded():
    x = Tensor(1.0, requires_grad=True)
    with plots.recording():
        different = x + 1.0 + 2.0 + 3.0 + 4.0
        shapes = (x + np.ones(2)).tanh().sum().tanh().tanh().tanh()
        y = x.tanh().tanh()
        branch = y.tanh().tanh() + y
        few = x.tanh().tanh().tanh()
        enough = few.tanh()
    for graph in (different, shapes, branch, few):
        assert not [lines for _, lines in boxes(graph) if "×" in lines[0]]
    assert boxes(enough)[-1][1][0] == "tanh × 4"


def test_a_deep_graph_is_walked_without_recursion():
    y = Tensor(1.0, requires_grad=True)
    for _ in range(3000):
        y = y + 1.0
    assert plots.graph_dot(y).count("->") == 3000


def test_a_model_names_its_leaves():
    model = nn.Linear(2, 1, rng=0)
    assert r'label="weight\n1x2"' in plots.graph_dot(
        model(Tensor([[1.0, 2.0]])), names=dict(model.named_parameters())
    )


def titles(tensor, model):
    """Each box's title, and of a module what it holds."""
    return [
        (lines[0], [re.split("  ", line)[0] for line in lines[1:] if not line.startswith("    ")])
        if kind == "module"
        else lines[0]
        for kind, lines in boxes(tensor, model=model)
    ]


def test_a_model_groups_its_operations_by_module():
    model = nn.Sequential(nn.Linear(2, 3, rng=0), nn.Tanh(), nn.Linear(3, 1, bias=False, rng=0))
    with plots.recording():
        loss = model(from_numpy(np.ones((4, 2), np.float32))).sum()
        loss.backward()
    assert titles(loss, model) == [
        "constant",
        ("0: Linear", ["weight", "bias", "linear"]),
        "tanh",
        ("2: Linear", ["weight", "linear"]),
        "sum",
    ]
    lines = boxes(loss, model=model)[1][1]
    assert lines[:2] == ["0: Linear", "weight  (3, 2)"]
    gradient = model[0].weight.grad
    assert f"    gradient {gradient.min():.3g} … {gradient.max():.3g}" in lines
    assert len(arrows(loss, model=model)) == 4


class Block(nn.Module):
    """Several operations between its own parameters, a part with a name, and a list."""

    def __init__(self):
        self.scale, self.shift = Tensor(2.0, requires_grad=True), Tensor(1.0, requires_grad=True)
        self.parts = [nn.Linear(2, 2, rng=0)]

    def forward(self, x):
        return self.parts[0]((x * self.scale).tanh() + self.shift)


def test_what_lies_between_a_modules_operations_belongs_to_it():
    model = nn.Sequential(Block(), Block())
    assert titles(model(Tensor([[1.0, 2.0]])), model) == [
        ("0: Block", ["scale", "shift", "multiply(constant, ·)", "tanh", "add"]),
        ("0.parts.0: Linear", ["weight", "bias", "linear"]),
        ("1: Block", ["scale", "shift", "multiply", "tanh", "add"]),
        ("1.parts.0: Linear", ["weight", "bias", "linear"]),
    ]
    alone = Block()  # a model's own parameters belong to no part of it
    assert titles(alone(Tensor([[1.0, 2.0]])), alone)[:2] == ["scale", "shift"]


def test_a_module_that_others_interrupt_is_not_one_box():
    first, second = nn.Linear(2, 2, rng=0), nn.Linear(2, 2, rng=0)
    model = nn.Sequential(first, second)
    h = first(second(first(Tensor([[1.0, 2.0]]))))  # first is used before and after second
    found = titles(h, model)
    assert found.count(("1: Linear", ["weight", "bias", "linear"])) == 1
    assert [title for title in found if isinstance(title, str)] == [
        "0.weight",
        "0.bias",
        "linear(constant, ·, ·)",
        "linear",
    ]


def test_a_cell_over_a_long_sequence_keeps_its_operations_apart():
    cell = nn.Sequential(nn.Linear(2, 2, rng=0))
    h = Tensor([[1.0, 2.0]])
    for _ in range(12):
        h = cell(h).tanh()
    found = titles(h, cell)
    assert found[:2] == ["0.weight", "0.bias"]
    assert len(found) == 26


def test_a_frozen_parameter_is_a_constant_with_its_name():
    model = nn.Sequential(nn.Linear(2, 2, rng=0))
    model[0].weight.requires_grad = False
    with plots.recording():
        y = model(Tensor([[1.0, 2.0]]))
    assert titles(y, model) == ["constant", "0.weight", ("0: Linear", ["bias", "linear"])]


def test_wrong_arguments():
    x = Tensor(1.0, requires_grad=True)
    for draw in (plots.graph_dot, plots.graph_figure, plots.graph_svg):
        with pytest.raises(TypeError, match="expected a Tensor, got float"):
            draw(2.0)
        with pytest.raises(TypeError, match="Tensors or ndarrays, got float for 'x'"):
            draw(x * x, names={"x": 2.0})


def test_draw_graph_writes_the_svg(tmp_path):
    _, _, y = expression()
    plots.draw_graph(y, tmp_path / "g.svg")
    assert (tmp_path / "g.svg").read_text(encoding="utf-8") == plots.graph_svg(y)
    with pytest.raises(FileNotFoundError):
        plots.draw_graph(y, tmp_path / "no" / "g.svg")


def test_markup_in_a_name_is_text():
    x = Tensor(1.0, requires_grad=True)
    assert boxes(x * x, names={"<b>&": x})[0][1][0] == "<b>&"


def test_a_notebook_shows_a_small_graph_below_the_values():
    x = Tensor([1.0, 2.0], requires_grad=True)
    shown = (x * 2.0)._repr_html_()
    assert shown.startswith("<pre>Tensor([2., 4.], made by multiply)</pre>\n<svg")
    big = x
    for i in range(30):
        big = big * x if i % 2 else big + x
    freed = x.sum()
    freed.backward()
    for tensor in (x, Tensor(1.0), big, freed):
        assert tensor._repr_html_() is None, "repr will do"


def test_pictures_of_a_constant_and_of_a_leaf():
    assert plots.graph_figure(Tensor(1.0)).get_suptitle() == "A constant has no graph"
    assert boxes(Tensor(1.0)) == []
    assert boxes(Tensor(1.0, requires_grad=True)) == [("leaf", ["leaf", "value 1"])]


def test_a_figure_is_drawn_without_a_warning():
    _, loss = recorded()
    assert plots.graph_figure(loss)._repr_png_().startswith(b"\x89PNG")


def test_a_long_graph_runs_downwards():
    x = Tensor(1.0, requires_grad=True)
    wide, tall = x.exp().tanh(), x
    for _ in range(8):
        tall = tall.exp().tanh()

    def size(tensor):
        root = ElementTree.fromstring(plots.graph_svg(tensor))
        return int(root.get("width")), int(root.get("height"))

    assert size(wide)[0] > size(wide)[1]
    assert size(tall)[0] < size(tall)[1]


def curve(arrow):
    """Points along an arrow, which is straight, curved, straight, and so on."""
    for i, ((x, y), (end_x, end_y)) in enumerate(pairwise(arrow)):
        for t in np.linspace(0, 1, 21):
            if i % 2 == 0:
                yield x + t * (end_x - x), y + t * (end_y - y)
            else:  # a cubic that leaves and arrives along
                s = 1 - t
                middle = (x + end_x) / 2
                yield (
                    s**3 * x + 3 * s * t * middle + t**3 * end_x,
                    (s**3 + 3 * s * s * t) * y + (3 * s * t * t + t**3) * end_y,
                )


@st.composite
def graphs(draw):
    """Sizes of boxes, and edges from earlier ones to later ones, some of them twice."""
    count = draw(st.integers(1, 12))
    size = st.tuples(st.integers(20, 150), st.integers(20, 80))
    sizes = {key: draw(size) for key in range(1, count + 1)}
    edges = []
    for key in range(2, count + 1):
        edges += [(start, key) for start in draw(st.lists(st.integers(1, key - 1), max_size=3))]
    return sizes, edges


@given(graphs())
def test_boxes_do_not_overlap_and_no_arrow_runs_through_one(graph):
    sizes, edges = graph
    layout = lay_out(sizes, edges)
    corners = {
        key: (x - w / 2, y - h / 2, x + w / 2, y + h / 2)
        for key, (x, y) in layout.places.items()
        for w, h in [sizes[key]]
    }
    for key, (left, top, right, bottom) in corners.items():
        assert left >= -0.01
        assert top >= -0.01
        assert right <= layout.along + 0.01
        assert bottom <= layout.across + 0.01
        for other in range(key + 1, len(sizes) + 1):
            a, b, c, d = corners[other]
            assert right < a or c < left or bottom < b or d < top, (key, other)
    for arrow, (start, end) in zip(layout.arrows, edges, strict=True):
        assert arrow[0] == pytest.approx((corners[start][2], layout.places[start][1]))
        assert arrow[-1][0] == pytest.approx(corners[end][0])
        assert corners[end][1] <= arrow[-1][1] <= corners[end][3]
        for x, y in curve(arrow):
            for key, (left, top, right, bottom) in corners.items():
                inside = left + 0.01 < x < right - 0.01 and top + 0.01 < y < bottom - 0.01
                assert not inside, (start, end, key)


def test_operands_stand_in_their_order_and_a_chain_is_straight():
    sizes = dict.fromkeys(range(1, 6), (50.0, 20.0))
    layout = lay_out(sizes, [(2, 3), (1, 3), (3, 4), (4, 5)])
    assert layout.places[2][1] < layout.places[1][1], "2 is the first operand"
    assert layout.places[3][1] == pytest.approx(layout.places[5][1])
    assert layout.places[3][1] == pytest.approx((layout.places[1][1] + layout.places[2][1]) / 2)


@pytest.mark.parametrize("requires_grad", [False, True])
def test_a_derivative_in_the_graph_adds_nothing_to_the_gradients(requires_grad):
    with plots.recording():
        p, x = Tensor(2.0, requires_grad=True), Tensor(3.0, requires_grad=requires_grad)
        slope = tg.grad(lambda x: p * x * x * x)(x)
        loss = slope**2
        loss.backward()
    assert (slope.item(), p.grad) == (54, 2916)
    leaves = [lines for kind, lines in boxes(loss, names={"p": p}) if kind == "leaf"]
    assert sorted(leaves) == [
        ["leaf", "value 3", "gradient 3888"],  # 2 * 54 * 36
        ["p", "value 2", "gradient 2916"],
    ]


def test_detect_anomaly_around_a_recording_goes_on():
    with tg.detect_anomaly(), plots.recording():
        x = Tensor([1.0, 0.0], requires_grad=True)
        with pytest.raises(AnomalyError, match="log: forward gave -inf"):
            x.log()
        y = x.sqrt().sum()
        with pytest.raises(AnomalyError, match="sqrt: backward gave inf"):
            y.backward()


def test_a_recording_within_another_is_a_part_of_it():
    with plots.recording():
        x = Tensor(3.0, requires_grad=True)
        y = x * x
        with plots.recording():
            z = y + y
        z.backward()
    assert [lines[-1] for _, lines in boxes(z)] == ["gradient 12", "gradient 2", "gradient 1"]


@pytest.mark.parametrize("wrong", [None, (), (np.ones(()), np.ones(()))])
def test_a_recording_leaves_the_error_of_a_wrong_vjp_to_the_walk(wrong):
    def _twice(x):
        return 2 * x, lambda g, needs: wrong

    with plots.recording():
        y = tg.apply(_twice, Tensor(1.0, requires_grad=True))
        with pytest.raises(GraphError, match="twice: its vjp"):
            y.backward()
