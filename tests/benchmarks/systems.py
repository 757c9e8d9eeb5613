"""One training step of a ReLU network with softmax cross-entropy, in each system of steps.py.

Each function takes the initial weights, the inputs, the labels and the name of the optimizer ("sgd"
or "adam"), and returns a function that makes one step and one that returns the present loss as a
float.
"""

import itertools

import numpy as np

LR = {"sgd": 0.01, "adam": 0.001}


def initial(sizes, seed=0):
    rng = np.random.default_rng(seed)
    return [
        (
            rng.standard_normal((out, into)).astype(np.float32) / np.float32(into**0.5),
            np.zeros(out, np.float32),
        )
        for into, out in itertools.pairwise(sizes)
    ]


def ours(weights, x, labels, optimizer):
    import tinygrad_mnist as tg
    from tinygrad_mnist import nn, optim

    layers = []
    for i, (w, b) in enumerate(weights):
        layers += [nn.ReLU()] * (i > 0) + [nn.Linear(w.shape[1], w.shape[0], rng=0)]
        layers[-1].load_state_dict({"weight": w, "bias": b})
    model = nn.Sequential(*layers)
    opt = (
        optim.SGD(model.parameters(), LR["sgd"])
        if optimizer == "sgd"
        else optim.Adam(model.parameters(), LR["adam"])
    )
    inputs = tg.from_numpy(x)

    def step():
        loss = tg.softmax_cross_entropy(model(inputs), labels)
        opt.zero_grad()
        loss.backward()
        opt.step()

    def value():
        with tg.no_grad():
            return tg.softmax_cross_entropy(model(inputs), labels).item()

    return step, value


def captured(weights, x, labels, optimizer):
    """The step of `ours` as a program, with all of its checks."""
    import tinygrad_mnist as tg
    from tinygrad_mnist import nn, optim

    layers = []
    for i, (w, b) in enumerate(weights):
        layers += [nn.ReLU()] * (i > 0) + [nn.Linear(w.shape[1], w.shape[0], rng=0)]
        layers[-1].load_state_dict({"weight": w, "bias": b})
    model = nn.Sequential(*layers)
    make = {"sgd": optim.SGD, "adam": optim.Adam}[optimizer]
    opt = make(model.parameters(), LR[optimizer])

    def step(x, y):
        loss = tg.softmax_cross_entropy(model(x), y)
        opt.zero_grad()
        loss.backward()
        opt.step()
        return loss

    def value():
        with tg.no_grad():
            return tg.softmax_cross_entropy(model(x), labels).item()

    program = tg.program(step, x, labels)
    return lambda: program(x, labels), value


def by_hand(weights, x, labels, optimizer):
    """NumPy written for this one network, every buffer reused: the ratio is a framework's cost."""
    assert optimizer == "sgd"
    weights = [(w.copy(), b.copy()) for w, b in weights]
    n, rows = len(x), np.arange(len(x))
    sizes = [w.shape[0] for w, _ in weights]
    h = [np.empty((n, s), np.float32) for s in sizes]
    g = [np.empty((n, s), np.float32) for s in sizes]
    gw = [np.empty_like(w) for w, _ in weights]
    gb = [np.empty_like(b) for _, b in weights]
    mask = [np.empty((n, s), bool) for s in sizes]
    lr = np.float32(LR["sgd"])

    def forward():
        a = x
        for i, (w, b) in enumerate(weights):
            np.matmul(a, w.T, out=h[i])
            h[i] += b
            if i < len(weights) - 1:
                np.maximum(h[i], 0, out=h[i])
            a = h[i]

    def step():
        forward()
        z = g[-1]
        np.subtract(h[-1], h[-1].max(axis=1, keepdims=True), out=z)
        np.exp(z, out=z)
        z /= z.sum(axis=1, keepdims=True)
        z[rows, labels] -= 1
        z /= n
        for i in range(len(weights) - 1, -1, -1):
            w, b = weights[i]
            a = h[i - 1] if i else x
            if n == 1:
                np.multiply(g[i].T, a, out=gw[i])
            else:
                np.matmul(g[i].T, a, out=gw[i])
            g[i].sum(axis=0, out=gb[i])
            if i:
                np.matmul(g[i], w, out=g[i - 1])
                np.greater(h[i - 1], 0, out=mask[i - 1])
                g[i - 1] *= mask[i - 1]
            gw[i] *= lr
            w -= gw[i]
            gb[i] *= lr
            b -= gb[i]

    def value():
        forward()
        z = h[-1] - h[-1].max(axis=1, keepdims=True)
        return float((np.log(np.exp(z).sum(axis=1)) - z[rows, labels]).mean())

    return step, value


def products(weights, x, labels, optimizer):
    """The matrix products of a step alone, into buffers: the limit."""
    n = len(x)
    a = [x] + [np.ones((n, w.shape[0]), np.float32) for w, _ in weights[:-1]]
    out = [np.empty((n, w.shape[0]), np.float32) for w, _ in weights]
    g = [np.ones((n, w.shape[0]), np.float32) for w, _ in weights]
    gw = [np.empty_like(w) for w, _ in weights]

    def step():
        for i, (w, _) in enumerate(weights):
            np.matmul(a[i], w.T, out=out[i])
        for i in range(len(weights) - 1, -1, -1):
            if n == 1:
                np.multiply(g[i].T, a[i], out=gw[i])
            else:
                np.matmul(g[i].T, a[i], out=gw[i])
            if i:
                np.matmul(g[i], weights[i][0], out=out[i - 1])

    return step, lambda: float("nan")


def jax(weights, x, labels, optimizer):
    import jax
    from jax import numpy as jnp

    params = [(jnp.array(w.T), jnp.array(b)) for w, b in weights]
    moments = [
        jax.tree.map(jnp.zeros_like, params),
        jax.tree.map(jnp.zeros_like, params),
        jnp.zeros(()),
    ]
    inputs, y = jnp.array(x), jnp.array(labels)

    def loss(params, x):
        for i, (w, b) in enumerate(params):
            x = (jnp.maximum(x, 0) if i else x) @ w + b
        return -jnp.take_along_axis(jax.nn.log_softmax(x), y[:, None], 1).mean()

    @jax.jit
    def sgd(params, x):
        return jax.tree.map(lambda p, g: p - LR["sgd"] * g, params, jax.grad(loss)(params, x))

    @jax.jit
    def adam(params, moments, x):
        m, v, t = moments
        g, t = jax.grad(loss)(params, x), t + 1
        m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, g)
        v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, g)
        new = jax.tree.map(
            lambda p, m, v: (
                p - LR["adam"] * (m / (1 - 0.9**t)) / (jnp.sqrt(v / (1 - 0.999**t)) + 1e-8)
            ),
            params,
            m,
            v,
        )
        return new, [m, v, t]

    def step():
        nonlocal params, moments
        if optimizer == "sgd":
            params = sgd(params, inputs)
        else:
            params, moments = adam(params, moments, inputs)
        jax.block_until_ready(params)

    return step, lambda: float(loss(params, inputs))


def torch(weights, x, labels, optimizer):
    import torch

    torch.set_num_threads(2)
    layers = []
    for i, (w, b) in enumerate(weights):
        layers += [torch.nn.ReLU()] * (i > 0) + [torch.nn.Linear(w.shape[1], w.shape[0])]
        layers[-1].load_state_dict({"weight": torch.tensor(w), "bias": torch.tensor(b)})
    model, loss = torch.nn.Sequential(*layers), torch.nn.CrossEntropyLoss()
    opt = (
        torch.optim.SGD(model.parameters(), LR["sgd"])
        if optimizer == "sgd"
        else torch.optim.Adam(model.parameters(), LR["adam"])
    )
    inputs, y = torch.from_numpy(x), torch.from_numpy(labels)

    def step():
        value = loss(model(inputs), y)
        opt.zero_grad()
        value.backward()
        opt.step()

    return step, lambda: loss(model(inputs), y).item()


def mygrad(weights, x, labels, optimizer):
    import mygrad as mg
    from mygrad.nnet import relu, softmax_crossentropy

    assert optimizer == "sgd"
    params = [(mg.tensor(w), mg.tensor(b)) for w, b in weights]

    def loss():
        a = x
        for i, (w, b) in enumerate(params):
            a = mg.matmul(relu(a) if i else a, w.T) + b
        return softmax_crossentropy(a, labels)

    def step():
        loss().backward()
        for pair in params:
            for p in pair:
                p.data -= np.float32(LR["sgd"]) * p.grad
                p.null_grad()

    return step, lambda: float(loss().item())


def autograd(weights, x, labels, optimizer):
    import autograd.numpy as anp
    from autograd import grad

    assert optimizer == "sgd"
    params = [[w.copy(), b.copy()] for w, b in weights]
    rows = np.arange(len(x))

    def loss(params):
        a = x
        for i, (w, b) in enumerate(params):
            a = anp.dot(anp.maximum(a, 0) if i else a, w.T) + b
        z = a - anp.max(a, axis=1, keepdims=True)
        return anp.mean(anp.log(anp.sum(anp.exp(z), axis=1)) - z[rows, labels])

    derivative = grad(loss)

    def step():
        for pair, slopes in zip(params, derivative(params), strict=True):
            for p, g in zip(pair, slopes, strict=True):
                p -= np.float32(LR["sgd"]) * g.astype(np.float32)

    return step, lambda: float(loss(params))


def sklearn(weights, x, labels, optimizer):
    import warnings

    from sklearn.neural_network import MLPClassifier

    assert (
        optimizer == "sgd"
    )  # its Adam has its eps elsewhere, so that losses would differ by a thousandth
    warnings.simplefilter("ignore")
    model = MLPClassifier(
        [w.shape[0] for w, _ in weights[:-1]], solver=optimizer, alpha=0, batch_size=len(x),
        momentum=0, shuffle=False,
        learning_rate_init=LR[optimizer],
    )  # fmt: skip
    classes = np.arange(weights[-1][0].shape[0])
    model.partial_fit(x, labels, classes=classes)  # it makes its weights in its first step
    for mine, given in zip(
        [*model.coefs_, *model.intercepts_],
        [*(w.T for w, _ in weights), *(b for _, b in weights)],
        strict=True,
    ):
        mine[...] = given

    def value():
        p = model.predict_proba(x)
        return float(-np.log(p[np.arange(len(x)), labels]).mean())

    return lambda: model.partial_fit(x, labels), value


SYSTEMS = {
    "products": products, "by hand": by_hand, "ours": ours, "captured": captured, "jax": jax, "torch": torch,
    "mygrad": mygrad, "autograd": autograd, "sklearn": sklearn,
}  # fmt: skip
