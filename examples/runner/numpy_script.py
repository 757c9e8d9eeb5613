"""Write a NumPy script that does the work of mnist_mlp.py: load, train, evaluate, plot."""

import inspect
import textwrap

from tinygrad_mnist import no_grad, program

# How the initial weights are drawn; `i` and `o` are the sizes of inputs and outputs.
WEIGHTS = {
    "he_normal": "rng.standard_normal((o, i)) * (2 / i) ** 0.5",
    "he_uniform": "rng.uniform(-1, 1, (o, i)) * (6 / i) ** 0.5",
    "xavier_normal": "rng.standard_normal((o, i)) * (2 / (i + o)) ** 0.5",
    "xavier_uniform": "rng.uniform(-1, 1, (o, i)) * (6 / (i + o)) ** 0.5",
    "normal": "rng.standard_normal((o, i)) / i**0.5",
}
CONSTANT, COSINE, ONE_CYCLE = (
    """
    def rate(t):
        return LR
    """,
    """
    def rate(t):
        return LR / 2 * (1 + np.cos(np.pi * t / STEPS))
    """,
    """
    def rate(t):
        # Up from LR / 25 to LR in 30 % of the steps, then down to next to nothing.
        peak = 0.3 * STEPS - 1
        start, end, share = LR / 25, LR, t / peak
        if t > peak:
            start, end, share = LR, LR / 250_000, (t - peak) / (STEPS - 1 - peak)
        return end + (start - end) / 2 * (1 + np.cos(np.pi * share))
    """,
)
RATES = {"constant": CONSTANT, "cosine": COSINE, "onecycle": ONE_CYCLE}

SCRIPT = '''
"""A perceptron learns MNIST, in NumPy alone: load, train, evaluate, plot.

python {name} FOLDER, where FOLDER holds the four IDX files (.gz or not); or an .npz file of Keras.
"""

import gzip
import sys
from pathlib import Path

import numpy as np

EPOCHS, BATCH, LR = {epochs}, {batch}, {lr}
DATA = sys.argv[1] if len(sys.argv) > 1 else {data!r}
{constants}

# One step of training: forward, backward, update. It was captured from the library, which computes
# the same bits.


{step}

# The scores of the digits, for any number of images


{predict}

# Load


def read_idx(folder, stem):
    found = [path for path in sorted(Path(folder).glob(f"{{stem}}*")) if path.is_file()]
    if not found:
        sys.exit(f"{{folder}}: expected a file {{stem}}*, found none")
    content = found[0].read_bytes()
    content = gzip.decompress(content) if content[:2] == b"\\x1f\\x8b" else content
    shape = np.frombuffer(content, ">i4", content[3], 4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * len(shape)).reshape(shape)


def load(place):
    if place.endswith(".npz"):
        with np.load(place) as file:
            return [file[name] for name in ("x_train", "y_train", "x_test", "y_test")]
    stems = ("train-images", "train-labels", "t10k-images", "t10k-labels")
    return [read_idx(place, stem) for stem in stems]


def as_inputs(images):
    low, high = {pixels}
    return images.reshape(len(images), -1) * np.float32((high - low) / 255) + np.float32(low)


def as_targets(labels):
    {targets}


# Train

train_images, train_labels, test_images, test_labels = load(DATA)
rng = np.random.default_rng({seed})
order = rng.permutation(len(train_images))
held_out, kept = np.split(order, [int({validation} * len(order))])
x, y = as_inputs(train_images[kept]), as_targets(train_labels[kept].astype(np.int64))
x_test, digits = as_inputs(test_images), test_labels.astype(np.int64)
STEPS = EPOCHS * (len(x) // BATCH)
{rate}

def weights(o, i):
    return ({weights}).astype(np.float32)


{state}
parameters = [{parameters}]
state = [{arguments}]  # in the order of the step's arguments


def accuracy(x, digits):
    return (predict(x, *parameters).argmax(axis=1) == digits).mean()


losses, accuracies, t = [], [], 0
for epoch in range(EPOCHS):
    order = rng.permutation(len(x))
    total = 0.0
    for start in range(0, len(x) - BATCH + 1, BATCH):  # a last shorter batch is left out
        batch = order[start : start + BATCH]
        total += float(step(x[batch], y[batch], *state, lr=rate(t)))
        t += 1
    losses.append(total / (len(x) // BATCH))
    accuracies.append(accuracy(x_test, digits))
    print(f"epoch {{epoch + 1:3}}  loss {{losses[-1]:.4f}}  test accuracy {{accuracies[-1]:.4f}}")

# Evaluate

if len(held_out):
    known = train_labels[held_out]
    print(f"validation accuracy {{accuracy(as_inputs(train_images[held_out]), known):.4f}}")
print(f"test accuracy {{accuracy(x_test, digits):.4f}}")

# Plot

try:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt
except ImportError:
    sys.exit()
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.5))
left.plot(losses)
left.set(xlabel="epoch", title="training loss")
right.plot(accuracies)
right.set(xlabel="epoch", title="test accuracy")
figure.savefig("learning_curves.png")
guesses = predict(x_test[:25], *parameters).argmax(axis=1)
figure, axes = plt.subplots(5, 5, figsize=(6, 6.5))
for ax, image, guess, digit in zip(axes.flat, test_images, guesses, digits):
    ax.imshow(image, cmap="gray_r")
    ax.set_title(f"{{guess}}", color="black" if guess == digit else "red")
    ax.axis("off")
figure.savefig("predictions.png")
'''


def write_numpy(path, model, loss, optimizer, training, settings):
    """Write the script to a file."""
    if settings["augment"]:
        raise ValueError("--write-numpy: distorted images are left out; add --no-augment")
    inputs, targets = training
    size = settings["batch_size"] or len(inputs)
    step = capture_step(model, loss, optimizer, inputs[:size], targets[:size])
    predict = capture_prediction(model, inputs[: min(len(inputs), 1000)])
    path.write_text(fill_in(step, predict, optimizer, size, path.name, settings))


def capture_step(model, loss, optimizer, inputs, targets):
    def step(x, y):
        optimizer.zero_grad()
        value = loss(model(x), y)
        value.backward()
        optimizer.step()
        return value

    model.train()
    return program(step, inputs, targets)


def capture_prediction(model, inputs):
    def predict(x):
        with no_grad():
            return model(x)

    model.eval()
    captured = program(predict, inputs)
    model.train()
    return captured


def fill_in(step, predict, optimizer, size, name, settings):
    names = list_arguments(step)
    parameters = list_arguments(predict)
    top, body = split_source(step.source, "step")
    _, forward = split_source(predict.source, "predict")
    return SCRIPT.lstrip().format(
        name=name,
        epochs=settings["epochs"],
        batch=size,
        lr=settings["lr"],
        data=settings["data"] or "mnist",
        constants=top,
        step=body,
        predict=forward,
        pixels=tuple(settings["pixels"]),
        targets=write_targets(settings),
        seed=settings["seed"],
        validation=settings["validation"],
        rate=textwrap.dedent(RATES[settings["schedule"]]),
        weights=WEIGHTS[settings["init"]],
        state="\n".join(write_state(names, optimizer)),
        parameters=", ".join(parameters),
        arguments=", ".join(names),
    )


def list_arguments(captured):
    """Return the names of a program's arguments other than its inputs: arrays and generators."""
    scope = {}
    exec(captured.source, scope)
    arguments = inspect.signature(scope["step"]).parameters.values()
    names = [a.name for a in arguments if a.default is inspect.Parameter.empty]
    return [name for name in names if name not in ("x", "y")]


def split_source(source, name):
    """Return the constants of a program, and its function under another name."""
    top, _, body = source.partition("def step(")
    constants = top.partition("import numpy as np")[2].strip()
    return constants, f"def {name}({body}".rstrip()


def write_targets(settings):
    if settings["loss"] == "cross-entropy" and not settings["one_hot"]:
        return "return labels"
    low, high = settings["targets"]
    classes = settings["classes"]
    return f"return np.where(np.eye({classes})[labels] > 0, {high}, {low}).astype(np.float32)"


def write_state(names, optimizer):
    """Yield a line for each array: weights are drawn at random, everything else starts at 0."""
    shapes = iter(p.shape for p in optimizer.params)
    for name in names:
        if name == "rng":
            continue
        if name.startswith("steps"):
            yield f"{name} = np.zeros((), np.int64)"
        elif "_" in name:
            yield f"{name} = np.zeros_like({name.rpartition('_')[2]})"
        else:
            shape = next(shapes)
            made = f"weights{shape}" if len(shape) == 2 else f"np.zeros({shape[0]}, np.float32)"
            yield f"{name} = {made}"
