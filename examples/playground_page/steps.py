"""A graph as a picture, and the backward pass through it one node at a time."""

import numpy as np
from runner.web import RequestError

from tinygrad_mnist import from_numpy, plots, softmax_cross_entropy
from tinygrad_mnist.graph import Watch, watching

from .frames import encode_bytes

# One sentence for each operation: what it does with the gradient that arrives.
RULES = {
    "abs": "The slope of abs is 1 above 0 and -1 below, so the gradient keeps or flips its sign.",
    "add": "A sum passes the gradient on unchanged to each of its terms.",
    "cos": "The slope of cos is -sin.",
    "divide": "The slope of a/b with respect to a is 1/b; with respect to b it is -a/b².",
    "exp": "The slope of exp is exp itself.",
    "gelu": "The gradient is multiplied by the slope of GELU.",
    "linear": "The gradient goes back through the weights to the inputs; each weight gets its "
    "input times the gradient, and each bias the gradient.",
    "log": "The slope of log(x) is 1/x.",
    "maximum": "The larger input gets the whole gradient, the other one gets nothing.",
    "minimum": "The smaller input gets the whole gradient, the other one gets nothing.",
    "multiply": "The slope of a product with respect to one factor is the other factor.",
    "negative": "The gradient flips its sign.",
    "power": "The slope of a**n with respect to a is n·a**(n-1).",
    "relu": "Where the input was above 0 the gradient passes, elsewhere it stops.",
    "sigmoid": "The slope of the sigmoid s is s·(1 - s).",
    "sin": "The slope of sin is cos.",
    "softmax_cross_entropy_of_labels": "Each output gets its probability, "
    "minus 1 for the true class.",
    "softplus": "The slope of softplus is the sigmoid.",
    "sqrt": "The slope of the square root r is 1/(2r).",
    "square": "The slope of a² is 2a.",
    "subtract": "The first term gets the gradient unchanged, the second one with its sign flipped.",
    "tanh": "The slope of tanh is 1 - tanh².",
}


class Steps(Watch):
    """Records what each node receives and sends in the backward pass.

    If gradients arrive over several paths, they are summed, as in the engine.
    """

    def __init__(self):
        self.steps = []
        self.arrived = {}  # the sum of the gradients sent to each node, by its number

    def after_vjp(self, node, gradients):
        """Record one node: its name, and the gradient sums of its inputs after its vjp."""
        sends = []
        for parent, gradient in zip(node.parents, gradients, strict=True):
            if parent is not None and gradient is not None:
                before = self.arrived.get(parent.number, 0.0)
                self.arrived[parent.number] = before + np.array(gradient)
                sends.append(
                    {
                        "node": parent.number,
                        "gradient": describe(self.arrived[parent.number]),
                        "adds": bool(np.any(before)),
                    }
                )
        step = {"node": node.number, "name": node.name, "sends": sends}
        self.steps.append({**step, "rule": RULES.get(node.name, "")})


def describe(array):
    """Return a gradient as short text: its value, or its smallest and largest elements."""
    if np.size(array) == 1:
        return f"{float(np.ravel(array)[0]):.4g}"
    return f"{array.min():.3g} … {array.max():.3g}"


def trace_expression(expression, values):
    """Return the graph of an expression for values of its variables, and the backward pass."""
    watch = Steps()
    with np.errstate(all="ignore"), watching(watch), plots.recording():
        result, leaves = expression.evaluate(values)
        result.backward()
    return make_picture(result, leaves, watch)


def trace_model(snapshot, number):
    """Return the graph of a model's loss for one held-out example, and the backward pass."""
    inputs, labels = snapshot.data.test
    if not 0 <= number < len(labels):
        raise RequestError(f"example: expected a number from 0 to {len(labels) - 1}, got {number}")
    x, label = inputs[number : number + 1], labels[number : number + 1]
    watch = Steps()
    with np.errstate(all="ignore"), watching(watch), plots.recording():
        loss = softmax_cross_entropy(snapshot.model(from_numpy(x)), label)
        loss.backward()
    names = {**dict(snapshot.model.named_parameters()), "example": x}
    images = snapshot.data.images
    return {
        **make_picture(loss, names, watch),
        "label": int(label[0]),
        "image": None if images is None else encode_bytes(images[number]),
    }


def make_picture(result, names, watch):
    """Return the picture of a graph, and the steps of the backward pass."""
    return {
        "svg": plots.graph_svg(result, names=names, fold=False),
        "result": {"node": result.node.number, "value": describe(result.data)},
        "steps": watch.steps,
    }
