"""Write a Sequential as an ONNX file, which other programs can run.

For a perceptron that mnist_mlp.py saved: python examples/export_onnx.py runs/mnist_mlp model.onnx.
For a model of your own, call `to_onnx`.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from tinygrad_mnist import CheckpointError, Tensor, checkpoint, nn


def _window(layer):
    return {"kernel_shape": layer.kernel_size, "strides": layer.stride, "pads": layer.padding * 2}


def _weights(layer):
    return [layer.weight.data] + ([] if layer.bias is None else [layer.bias.data])


# For each layer: the ONNX operator, its attributes, and the arrays it takes after the input.
RULES = {
    nn.Linear: lambda m: ("Gemm", {"transB": 1}, _weights(m)),
    nn.Conv2d: lambda m: ("Conv", _window(m), _weights(m)),
    nn.BatchNorm1d: lambda m: (
        "BatchNormalization", {"epsilon": m.eps}, [*_weights(m), m.running_mean, m.running_var]
    ),
    nn.BatchNorm2d: lambda m: RULES[nn.BatchNorm1d](m),
    nn.LayerNorm: lambda m: (
        "LayerNormalization", {"epsilon": m.eps, "axis": -m.weight.ndim}, _weights(m)
    ),
    nn.MaxPool2d: lambda m: ("MaxPool", _window(m), []),
    nn.AvgPool2d: lambda m: ("AveragePool", {**_window(m), "count_include_pad": 1}, []),
    nn.Flatten: lambda m: ("Flatten", {"axis": 1}, []),
    nn.ReLU: lambda m: ("Relu", {}, []),
    nn.LeakyReLU: lambda m: ("LeakyRelu", {"alpha": m.negative_slope}, []),
    nn.Sigmoid: lambda m: ("Sigmoid", {}, []),
    nn.Tanh: lambda m: ("Tanh", {}, []),
    nn.GELU: lambda m: ("Gelu", {}, []),
    nn.Dropout: lambda m: ("Identity", {}, []),
}  # fmt: skip


def to_onnx(model, shape):
    """Return an ONNX model of a Sequential in evaluation mode, for inputs of shape (N, *shape)."""
    from onnx import TensorProto, checker, helper, numpy_helper

    nodes, arrays, name = [], [], "input"
    for i, layer in enumerate(model):
        rule = RULES.get(type(layer))
        if rule is None:
            raise TypeError(
                f"to_onnx: expected layers of tinygrad_mnist.nn, got {type(layer).__name__} "
                f"at position {i}"
            )
        kind, attributes, weights = rule(layer)
        names = [f"{i}.{k}" for k in range(len(weights))]
        arrays += [
            numpy_helper.from_array(np.ascontiguousarray(w), n)
            for w, n in zip(weights, names, strict=True)
        ]
        nodes.append(helper.make_node(kind, [name, *names], [f"{i}"], **attributes))
        name = f"{i}"
    nodes.append(helper.make_node("Identity", [name], ["output"]))
    inputs = helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", *shape])
    width = model.eval()(Tensor(np.zeros((2, *shape), np.float32))).shape[1:]
    outputs = helper.make_tensor_value_info("output", TensorProto.FLOAT, ["N", *width])
    graph = helper.make_graph(nodes, "tinygrad_mnist", [inputs], [outputs], arrays)
    onnx_model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    checker.check_model(onnx_model)
    return onnx_model


ACTIVATIONS = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "gelu": nn.GELU}


def load_perceptron(path):
    """Return the saved perceptron as a Sequential, without layers that are only for training."""
    path = path / "model.safetensors" if path.is_dir() else path
    arrays, about = checkpoint.read(path)
    settings = about.get("metadata", {}).get("settings", {})
    weights = [name for name in arrays if name.endswith("weight")]
    weights.sort(key=lambda name: int(name.split(".")[0]))  # in the order of the layers
    if "activation" not in settings or any(arrays[name].ndim != 2 for name in weights):
        raise CheckpointError(f"{path}: expected a perceptron that mnist_mlp.py saved")
    layers = []
    for name in weights:
        if layers:
            layers.append(ACTIVATIONS[settings["activation"]]())
        bias = arrays.get(name.removesuffix("weight") + "bias")
        layers.append(nn.Linear(*arrays[name].shape[::-1], bias=bias is not None))
        state = {"weight": arrays[name]} if bias is None else {"weight": arrays[name], "bias": bias}
        layers[-1].load_state_dict(state)
    return nn.Sequential(*layers, *([nn.Sigmoid()] if settings["loss"] == "mse" else []))


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "model", type=Path, help="a run's folder, or a model.safetensors that mnist_mlp.py saved"
    )
    parser.add_argument("path", type=Path, help="the ONNX file to write")
    options = parser.parse_args(arguments)
    model = load_perceptron(options.model)
    linear = [layer for layer in model if isinstance(layer, nn.Linear)]
    inputs, outputs = linear[0].weight.shape[1], linear[-1].weight.shape[0]
    options.path.write_bytes(to_onnx(model, [inputs]).SerializeToString())
    print(f"wrote {options.path}: inputs (N, {inputs}), outputs (N, {outputs})")


if __name__ == "__main__":
    try:
        main()
    except CheckpointError as problem:
        sys.exit(f"CheckpointError: {problem}")
