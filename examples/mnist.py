"""Learn to read handwritten digits: load them, define a model, fit, evaluate, plot."""

from pathlib import Path

import numpy as np

from tinygrad_mnist import nn, optim, plots, softmax_cross_entropy
from tinygrad_mnist.datasets import load_mnist, normalize, train_val_split
from tinygrad_mnist.train import evaluate, fit, predict

# Load: an image of 28 x 28 bytes becomes a row of 784 numbers from 0 to 1.
data = load_mnist()
images = normalize(data.train.images).reshape(-1, 784)
training, validation = train_val_split(images, data.train.labels, fraction=0.1, rng=0)
test = normalize(data.test.images).reshape(-1, 784), data.test.labels

# Define: two layers of weights with a ReLU between them; the ten outputs score the ten digits.
rng = np.random.default_rng(0)
model = nn.Sequential(nn.Linear(784, 256, rng=rng), nn.ReLU(), nn.Linear(256, 10, rng=rng))
loss = softmax_cross_entropy  # small if the true digit has the highest score
optimizer = optim.Adam(model.parameters(), lr=0.002)

# Fit: go through the shuffled digits five times, with a hundred digits at each step.
history = fit(
    model, loss, optimizer, training, validation=validation, epochs=5, batch_size=100, rng=0
)

# Evaluate: measure the accuracy on digits that the model has never seen.
print(f"test accuracy {evaluate(model, loss, test).accuracy:.4f}")

# Plot: how the model learned, and what it predicts for the first of those digits.
folder = Path("runs/mnist")
folder.mkdir(parents=True, exist_ok=True)
digits = predict(model, test[0]).argmax(axis=1)
plots.learning_curves(history).savefig(folder / "learning_curves.png")
plots.predictions(data.test.images, digits, data.test.labels).savefig(folder / "predictions.png")
print(f"pictures are in {folder}/")
