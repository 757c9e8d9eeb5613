"""Names of layers, initialisers and methods in PyTorch and Keras, and what to write instead."""

from collections.abc import Callable, Iterable, Mapping
from inspect import signature

from ..ops import OPS
from ..ops.foreign import FUNCTIONS, KEYWORDS

__all__ = ["INITIALISERS", "LAYERS", "MODULE", "advice_for_layer", "check_keywords"]

_OWN_OPERATION = "an operation of your own: the manual's page 'An operation of your own' says how"
_FIT = "tinygrad_mnist.train.fit(model, loss, optimizer, data)"
_MEMORY = "the model as it is, because all Tensors are in main memory"

# What to write instead of nn.name.
LAYERS = {
    # losses are functions
    "BCELoss": "tinygrad_mnist.sigmoid_cross_entropy(logits, targets), without a Sigmoid before it",
    "BCEWithLogitsLoss": "the function tinygrad_mnist.sigmoid_cross_entropy(logits, targets)",
    "CrossEntropyLoss": "the function tinygrad_mnist.softmax_cross_entropy(logits, labels)",
    "HuberLoss": "the function tinygrad_mnist.huber(prediction, target)",
    "L1Loss": "the function tinygrad_mnist.l1(prediction, target)",
    "MSELoss": "the function tinygrad_mnist.mse(prediction, target)",
    "NLLLoss": "tinygrad_mnist.softmax_cross_entropy(logits, labels), without a LogSoftmax before",
    "SmoothL1Loss": "the function tinygrad_mnist.huber(prediction, target)",
    # other names, or other ways to say it
    "AdaptiveAvgPool2d": "x.mean(axis=(2, 3)) for the mean over whole images",
    "AveragePooling2D": "nn.AvgPool2d(size)",
    "BatchNormalization": "nn.BatchNorm1d(features) or nn.BatchNorm2d(channels)",
    "CELU": "nn.ELU()",
    "Conv1D": "nn.Conv1d(in_channels, out_channels, kernel_size)",
    "Conv2D": "nn.Conv2d(in_channels, out_channels, kernel_size)",
    "Dense": "nn.Linear(in_features, out_features)",
    "Dropout1d": "nn.Dropout(p)",
    "Dropout2d": "nn.Dropout(p)",
    "EmbeddingBag": "nn.Embedding(count, size), and the sum over an axis of its output",
    "GRUCell": "nn.GRU(input_size, hidden_size), with a sequence of one step",
    "GlobalAveragePooling2D": "x.mean(axis=(2, 3))",
    "GroupNorm": "tinygrad_mnist.layer_norm(x, shape), with the groups as an axis of their own",
    "Hardtanh": "tinygrad_mnist.clip(x, -1, 1)",
    "InstanceNorm2d": "tinygrad_mnist.layer_norm(x, x.shape[2:])",
    "LSTMCell": "nn.LSTM(input_size, hidden_size), with a sequence of one step",
    "LayerNormalization": "nn.LayerNorm(size)",
    "LazyLinear": "nn.Linear(in_features, out_features), with its number of inputs",
    "LogSigmoid": "the function tinygrad_mnist.log_sigmoid(x)",
    "LogSoftmax": "the function tinygrad_mnist.log_softmax(x)",
    "MaxPooling2D": "nn.MaxPool2d(size)",
    "Mish": "x * tinygrad_mnist.tanh(tinygrad_mnist.softplus(x))",
    "ModuleDict": "a dict of modules, as an attribute",
    "ModuleList": "a list of modules, as an attribute",
    "MultiHeadAttention": "nn.MultiheadAttention(size, heads)",
    "Parameter": "tinygrad_mnist.Tensor(data, requires_grad=True), as an attribute",
    "ParameterDict": "a dict of Tensors with requires_grad=True, as an attribute",
    "ParameterList": "a list of Tensors with requires_grad=True, as an attribute",
    "RNN": "nn.GRU(input_size, hidden_size) or nn.LSTM(input_size, hidden_size)",
    "ReLU6": "tinygrad_mnist.clip(x, 0, 6)",
    "Swish": "nn.SiLU()",
    "Transformer": "nn.MultiheadAttention in a block like that of examples/char_gpt.py",
    "TransformerEncoderLayer": "nn.MultiheadAttention in a block like that of examples/char_gpt.py",
    "Unflatten": "x.reshape(shape)",
    "Upsample": "x.repeat(scale, axis)",
    "ZeroPad2d": "tinygrad_mnist.pad(x, widths)",
    # other rooms
    "functional": "the functions of the package itself, such as tinygrad_mnist.relu(x)",
    "utils": "optim.clip_grad_norm(parameters, max_norm) for what it clips",
    # what does not exist
    **dict.fromkeys(
        ("AvgPool1d", "AvgPool3d", "BatchNorm3d", "Bilinear", "Conv3d", "ConvTranspose1d",
         "ConvTranspose2d", "Conv2DTranspose", "CTCLoss", "Hardsigmoid", "Hardswish", "MaxPool1d",
         "MaxPool3d", "PReLU", "PixelShuffle"),
        _OWN_OPERATION,
    ),
}  # fmt: skip

# What to write instead of nn.init.name. Ours return arrays; PyTorch's change a weight in place.
INITIALISERS = {
    "constant_": "weight.data[...] = value",
    "eye_": "weight.data[...] = np.eye(size)",
    "glorot_normal": "xavier_normal(shape, rng)",
    "glorot_uniform": "xavier_uniform(shape, rng)",
    "kaiming_normal": "he_normal(shape, rng)",
    "kaiming_normal_": "weight.data[...] = nn.init.he_normal(weight.shape, rng)",
    "kaiming_uniform": "he_uniform(shape, rng)",
    "kaiming_uniform_": "weight.data[...] = nn.init.he_uniform(weight.shape, rng)",
    "normal_": "weight.data[...] = nn.init.normal(weight.shape, rng)",
    "ones_": "weight.data[...] = 1",
    "orthogonal_": "weight.data[...] = np.linalg.qr(rng.normal(size=(n, n)))[0]",
    "uniform_": "weight.data[...] = rng.uniform(low, high, weight.shape)",
    "xavier_normal_": "weight.data[...] = nn.init.xavier_normal(weight.shape, rng)",
    "xavier_uniform_": "weight.data[...] = nn.init.xavier_uniform(weight.shape, rng)",
    "zeros_": "weight.data[...] = 0",
}

# What to write instead of model.name.
MODULE = {
    "add_module": "an attribute, by setattr(model, name, module)",
    "append": "Sequential(*model, layer)",
    "apply": "a loop over model.modules()",
    "buffers": "model.named_buffers()",
    "build": "model(x), because layers know their sizes from the start",
    "children": "model.modules(), which gives the model itself and all that it holds",
    "compile": f"{_FIT}, which takes loss and optimizer",
    "cpu": _MEMORY,
    "cuda": _MEMORY,
    "double": "model.astype(np.float64)",
    "evaluate": "tinygrad_mnist.train.evaluate(model, loss, data)",
    "fit": _FIT,
    "float": "model.astype(np.float32)",
    "get_submodule": "the attribute itself, or model[i] of a Sequential",
    "get_weights": "model.state_dict()",
    "half": "model.astype(np.float16)",
    "layers": "list(model.modules())",
    "load": "tinygrad_mnist.checkpoint.load(path, model)",
    "load_weights": "tinygrad_mnist.checkpoint.load(path, model)",
    "named_children": "model.modules(), which gives the model itself and all that it holds",
    "named_modules": "model.modules()",
    "predict": "tinygrad_mnist.train.predict(model, inputs)",
    "register_buffer": "an attribute: every array is a buffer",
    "register_module": "an attribute, by setattr(model, name, module)",
    "register_parameter": "an attribute: every Tensor that requires grad is a parameter",
    "requires_grad_": "p.requires_grad = False for each p of model.parameters()",
    "save": "tinygrad_mnist.checkpoint.save(path, model)",
    "save_weights": "tinygrad_mnist.checkpoint.save(path, model)",
    "set_weights": "model.load_state_dict(state)",
    "to": f"model.astype(dtype) for another dtype, or {_MEMORY}",
    "trainable_variables": "list(model.parameters())",
    "trainable_weights": "list(model.parameters())",
    "type": "model.astype(dtype)",
    "variables": "list(model.parameters())",
    "weights": "list(model.parameters())",
    **dict.fromkeys(
        ("register_forward_hook", "register_forward_pre_hook", "register_full_backward_hook"),
        "a subclass whose forward does what the hook shall do",
    ),
}  # fmt: skip

# Keywords of layers in PyTorch and Keras.
_KEYWORDS = KEYWORDS | {
    "activation": "a layer of its own, such as nn.ReLU()",
    "affine": "tinygrad_mnist.layer_norm or batch_norm, whose weight and bias may be None",
    "device": "no device, because all Tensors are in main memory",
    "dtype": "layer.astype(dtype)",
    "filters": "out_channels",
    "inplace": "no such argument, because every layer makes a new Tensor",
    "input_dim": "in_features, the first argument",
    "input_shape": "the number of inputs, the first argument",
    "padding_mode": "tinygrad_mnist.pad(x, widths) before the layer",
    "units": "out_features",
    "use_bias": "bias",
}


def advice_for_layer(name: str) -> Mapping[str, str]:
    """Return a table with the advice for nn.name, which may also be the name of a function."""
    if name in OPS:
        return {name: f"tinygrad_mnist.{name}"}
    if name in FUNCTIONS and name not in LAYERS:
        return {name: f"{FUNCTIONS[name]} of tinygrad_mnist"}
    return LAYERS


def check_keywords(name: str, init: Callable[..., None], given: Iterable[str]) -> None:
    """Raise a TypeError for a keyword of PyTorch or Keras that says what to write instead."""
    for keyword in given:
        if keyword in _KEYWORDS and keyword not in signature(init).parameters:
            raise TypeError(f"{name} has no argument {keyword!r}; use {_KEYWORDS[keyword]}")
