"""Names that PyTorch and TensorFlow give to what is called otherwise here, and the errors for them.

A foreign name is an error that says ours. Nothing is wrapped for it, so signatures stay as they
are. Python asks `__getattr__` for a missing attribute, of a Tensor or of the package. For keywords
there is no such hook, so a function with an `axis` takes `**foreign` and hands it to `refuse`. Its
type is Never, so type checkers refuse a foreign keyword, too.
"""

from collections.abc import Mapping
from typing import Never

__all__ = ["FUNCTIONS", "KEYWORDS", "METHODS", "missing", "refuse"]

# What to write instead of t.name.
METHODS = {
    # operations under another name
    "absolute": "t.abs()",
    "acos": "t.arccos()",
    "amax": "t.max(axis)",
    "amin": "t.min(axis)",
    "asin": "t.arcsin()",
    "atan": "t.arctan()",
    "atan2": "t.arctan2(x)",
    "bmm": "t @ y",
    "clamp": "t.clip(low, high)",
    "diag": "t.diagonal()",
    "div": "t / y",
    "expand": "t.broadcast_to(shape)",
    "expand_as": "t.broadcast_to(y.shape)",
    "gather": "t.take_along_axis(indices, axis)",
    "ger": "t.outer(y)",
    "index_select": "t.take(indices, axis)",
    "inner": "t.dot(y)",
    "logsigmoid": "t.log_sigmoid()",
    "masked_select": "t[mask]",
    "mm": "t @ y",
    "movedim": "t.moveaxis(source, destination)",
    "mul": "t * y",
    "mv": "t @ y",
    "narrow": "t[start:stop]",
    "neg": "-t",
    "permute": "t.transpose(axes)",
    "pow": "t**p",
    "reduce_max": "t.max(axis)",
    "reduce_mean": "t.mean(axis)",
    "reduce_sum": "t.sum(axis)",
    "repeat_interleave": "t.repeat(repeats, axis)",
    "rsqrt": "1 / t.sqrt()",
    "select": "t[index]",
    "sub": "t - y",
    "swapdims": "t.swapaxes(axis1, axis2)",
    "t": "t.T",
    "take_along_dim": "t.take_along_axis(indices, axis)",
    "topk": "t.sort(axis)",
    "true_divide": "t / y",
    "unbind": "list(t)",
    "unflatten": "t.reshape(shape)",
    "unsqueeze": "t.expand_dims(axis)",
    "view": "t.reshape(shape)",
    "view_as": "t.reshape(y.shape)",
    # functions of the package
    "batch_norm": "tinygrad_mnist.batch_norm(t, running_mean, running_var)",
    "cat": "tinygrad_mnist.concatenate([t, y], axis)",
    "chunk": "tinygrad_mnist.split(t, parts, axis)",
    "concat": "tinygrad_mnist.concatenate([t, y], axis)",
    "concatenate": "tinygrad_mnist.concatenate([t, y], axis)",
    "dropout": "tinygrad_mnist.dropout(t, p)",
    "einsum": "tinygrad_mnist.einsum(subscripts, t, y)",
    "layer_norm": "tinygrad_mnist.layer_norm(t, normalized_shape)",
    "masked_fill": "tinygrad_mnist.where(mask, value, t)",
    "split": "tinygrad_mnist.split(t, sections, axis), which counts parts rather than their size",
    "stack": "tinygrad_mnist.stack([t, y], axis)",
    "where": "tinygrad_mnist.where(condition, t, y)",
    # values without a gradient
    "all": "t.numpy().all()",
    "any": "t.numpy().any()",
    "argmax": "np.argmax(t, axis)",
    "argmin": "np.argmin(t, axis)",
    "argsort": "t.numpy().argsort(axis)",
    "eq": "t == y",
    "ge": "t >= y",
    "gt": "t > y",
    "isfinite": "np.isfinite(t)",
    "isinf": "np.isinf(t)",
    "isnan": "np.isnan(t)",
    "le": "t <= y",
    "lt": "t < y",
    "ne": "t != y",
    "nonzero": "t.numpy().nonzero()",
    "tolist": "t.numpy().tolist()",
    # dtypes, devices and the graph
    "bool": "t.astype(bool)",
    "clone": "t.copy()",
    "contiguous": "t.copy(), if it is needed at all",
    "cpu": "t, because all Tensors are in main memory",
    "cuda": "t, because all Tensors are in main memory",
    "device": "t, because all Tensors are in main memory",
    "dim": "t.ndim",
    "double": "t.astype(np.float64)",
    "float": "t.astype(np.float32)",
    "grad_fn": "t.node",
    "half": "t.astype(np.float16)",
    "int": "t.astype(int)",
    "long": "t.astype(int)",
    "nbytes": "t.data.nbytes",
    "nelement": "t.size",
    "numel": "t.size",
    "requires_grad_": "t.requires_grad = True",
    "to": "t.astype(dtype)",
    "type": "t.astype(dtype)",
    # changes in place
    "assign": "t.data = y",
    "assign_add": "t.data += y",
    "assign_sub": "t.data -= y",
    "copy_": "t.data = y",
    "fill": "t.data = value",
    "fill_": "t.data = value",
    "zero_": "t.data = 0",
}

# What to write instead of tinygrad_mnist.name.
FUNCTIONS = {
    # operations under another name
    "absolute": "abs(x)",
    "acos": "arccos(x)",
    "amax": "max(x, axis)",
    "amin": "min(x, axis)",
    "asin": "arcsin(x)",
    "atan": "arctan(x)",
    "atan2": "arctan2(y, x)",
    "binary_cross_entropy_with_logits": "sigmoid_cross_entropy(logits, targets)",
    "bmm": "matmul(x, y)",
    "cat": "concatenate(tensors, axis)",
    "chunk": "split(x, sections, axis)",
    "clamp": "clip(x, low, high)",
    "concat": "concatenate(tensors, axis)",
    "cross_entropy": "softmax_cross_entropy(logits, labels)",
    "div": "divide(x, y)",
    "expand": "broadcast_to(x, shape)",
    "gather": "take_along_axis(x, indices, axis), or take(x, indices, axis) for TensorFlow's",
    "ger": "outer(x, y)",
    "huber_loss": "huber(prediction, target)",
    "index_select": "take(x, indices, axis)",
    "inner": "dot(x, y)",
    "l1_loss": "l1(prediction, target)",
    "logsigmoid": "log_sigmoid(x)",
    "masked_fill": "where(mask, value, x)",
    "mm": "matmul(x, y)",
    "movedim": "moveaxis(x, source, destination)",
    "mse_loss": "mse(prediction, target)",
    "mul": "multiply(x, y)",
    "mv": "matmul(x, y)",
    "neg": "negative(x)",
    "permute": "transpose(x, axes)",
    "pow": "power(x, p)",
    "reduce_logsumexp": "logsumexp(x, axis)",
    "reduce_max": "max(x, axis)",
    "reduce_mean": "mean(x, axis)",
    "reduce_min": "min(x, axis)",
    "reduce_prod": "prod(x, axis)",
    "reduce_sum": "sum(x, axis)",
    "repeat_interleave": "repeat(x, repeats, axis)",
    "rsqrt": "1 / sqrt(x)",
    "sigmoid_cross_entropy_with_logits": "sigmoid_cross_entropy(logits, targets)",
    "smooth_l1_loss": "huber(prediction, target)",
    "sparse_softmax_cross_entropy_with_logits": "softmax_cross_entropy(logits, labels)",
    "sub": "subtract(x, y)",
    "swapdims": "swapaxes(x, axis1, axis2)",
    "swish": "silu(x)",
    "take_along_dim": "take_along_axis(x, indices, axis)",
    "topk": "sort(x, axis)",
    "true_divide": "divide(x, y)",
    "unbind": "list(x)",
    "unsqueeze": "expand_dims(x, axis)",
    "view": "reshape(x, shape)",
    # making Tensors: NumPy makes the array
    "Parameter": "Tensor(data, requires_grad=True)",
    "Variable": "Tensor(data, requires_grad=True)",
    "arange": "Tensor(np.arange(n, dtype=np.float32))",
    "array": "Tensor(data)",
    "as_tensor": "from_numpy(array)",
    "asarray": "from_numpy(array)",
    "constant": "Tensor(data)",
    "convert_to_tensor": "Tensor(data)",
    "eye": "Tensor(np.eye(n, dtype=np.float32))",
    "full": "Tensor(np.full(shape, value, np.float32))",
    "linspace": "Tensor(np.linspace(start, stop, n, dtype=np.float32))",
    "ones": "Tensor(np.ones(shape, np.float32))",
    "rand": "Tensor(rng.random(shape, np.float32)), with rng a numpy Generator",
    "randn": "Tensor(rng.standard_normal(shape, np.float32)), with rng a numpy Generator",
    "zeros": "Tensor(np.zeros(shape, np.float32))",
    # dtypes, the graph, training
    "GradientTape": "grad(f)",
    "Module": "nn.Module",
    "Sequential": "nn.Sequential",
    "argmax": "np.argmax(x, axis)",
    "cast": "Tensor.astype(dtype)",
    "inference_mode": "no_grad()",
    "load": "checkpoint.load(path, model)",
    "manual_seed": "rng = np.random.default_rng(seed), which all that is random takes as rng=",
    "one_hot": "datasets.one_hot(labels, classes)",
    "save": "checkpoint.save(path, model)",
}

# What to write instead of a keyword.
KEYWORDS = {
    "correction": "ddof",
    "dim": "axis",
    "dim0": "axis1",
    "dim1": "axis2",
    "dims": "axis",
    "dtype": "x.astype(dtype)",
    "keep_dims": "keepdims",
    "keepdim": "keepdims",
    "unbiased": "ddof",
}


def missing(where: str, name: str, table: Mapping[str, str]) -> str:
    """Return the message for a missing attribute, with what it is called here if that is known."""
    advice = table.get(name)
    if advice is None and name.endswith("_") and not name.startswith("_"):
        advice = "an operation that makes a new Tensor: none works in place, but t.data -= ... does"
    return f"{where} has no attribute {name!r}" + (f"; use {advice}" if advice else "")


def refuse(op: str, foreign: Mapping[str, Never]) -> None:
    """Raise a TypeError that says what the first of some unknown keywords is called here."""
    for name in foreign:
        advice = f"; use {KEYWORDS[name]}" if name in KEYWORDS else ""
        raise TypeError(f"{op} has no argument {name!r}{advice}")
