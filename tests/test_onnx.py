"""The ONNX export, run by onnxruntime where it is installed."""

import sys

import numpy as np
import pytest
from helpers import ROOT

from tinygrad_mnist import Tensor, nn


@pytest.fixture
def to_onnx(monkeypatch):
    pytest.importorskip("onnx", reason="builds the ONNX model: pip install onnx")
    monkeypatch.setattr(sys, "path", [str(ROOT / "examples"), *sys.path])
    from export_onnx import to_onnx

    return to_onnx


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        (nn.Sequential(nn.Linear(5, 8, rng=0), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 3, bias=False, rng=1), nn.Sigmoid()), (5,)),
        (
            nn.Sequential(
                nn.Conv2d(2, 4, 3, stride=2, padding=1, rng=0), nn.BatchNorm2d(4), nn.LeakyReLU(0.2), nn.MaxPool2d(2), nn.Flatten(),
                nn.Linear(36, 6, rng=0), nn.LayerNorm(6), nn.GELU(), nn.BatchNorm1d(6), nn.Tanh(),
            ),
            (2, 12, 12),
        ),
        (nn.Sequential(nn.AvgPool2d(3, 2, 1), nn.Flatten()), (1, 7, 7)),
    ],
)  # fmt: skip
def test_onnxruntime_gives_our_outputs(to_onnx, model, shape, rng):
    onnxruntime = pytest.importorskip(
        "onnxruntime", reason="runs the ONNX model: pip install onnxruntime"
    )
    for _ in range(3):
        model(
            Tensor(rng.standard_normal((6, *shape)).astype(np.float32))
        )  # moves the running statistics
    model.eval()
    x = rng.standard_normal((4, *shape)).astype(np.float32)
    session = onnxruntime.InferenceSession(to_onnx(model, list(shape)).SerializeToString())
    np.testing.assert_allclose(
        session.run(None, {"input": x})[0], model(Tensor(x)).numpy(), rtol=1e-5, atol=1e-5
    )


def test_a_layer_of_ones_own_is_named(to_onnx):
    with pytest.raises(TypeError, match="got Sequential at position 0"):
        to_onnx(nn.Sequential(nn.Sequential()), [1])
