"""What a network costs: its trainable parameters, and the floating-point operations of one event."""

from __future__ import annotations

import contextlib
import inspect
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras
from keras import tree

from hepml_root.errors import UnsupportedOperationError

# Operations that only move or reinterpret numbers.
_FREE = {
    "Append", "Arange", "ArraySplit", "BroadcastTo", "Cast", "Concatenate", "ConvertToTensor", "Copy",
    "DepthToSpace", "Diag", "Diagonal", "ExpandDims", "Eye", "Flip", "Fliplr", "Flipud", "Full",
    "FullLike", "GatherConstituents", "GetItem", "Hstack", "Identity", "Meshgrid", "Moveaxis", "OneHot",
    "Ones", "OnesLike",
    "Pad", "Ravel", "Repeat", "Reshape", "Roll", "SaturateCast", "Scatter", "ScatterUpdate", "Shape",
    "Slice", "SliceUpdate", "SpaceToDepth", "Split", "Squeeze", "Stack", "StopGradient", "Swapaxes",
    "Take", "TakeAlongAxis", "Tile", "Transpose", "Tril", "Triu", "Unstack", "View", "Vstack", "Zeros",
    "ZerosLike",
}  # fmt: skip
# Operations of several steps per element.
_STEPS = {"BatchNorm": 2, "Softmax": 3, "LogSoftmax": 3, "LayerNorm": 6, "RMSNorm": 4, "Normalize": 3}
_CONVOLUTIONS = (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)
# Symbolic tensors have so many events, by which the counts are divided: Keras loses axes of length 1.
_EVENTS = 7919
# Gates of a recurrent cell, and its element-wise operations for each unit.
_CELLS = {keras.layers.SimpleRNN: (1, 3), keras.layers.GRU: (3, 20), keras.layers.LSTM: (4, 17)}


def parameters(model: keras.Model) -> int:
    """Return the number of trainable parameters.

    Example
    -------
    >>> parameters(keras.Sequential([keras.Input((28,)), keras.layers.Dense(64)]))
    1856
    """
    return sum(math.prod(weight.shape) for weight in model.trainable_weights)


def flops(model: keras.Model) -> int:
    r"""Return the floating-point operations with which a network scores one event, transforms included.

    The network is called once on symbolic tensors, and every operation that this gives is counted:

    ====================================  ===============================================================
    matrix product, einsum                2 × (output elements) × (length of the sum): a multiplication
                                          and an addition each
    convolution                           2 × (output elements) × (kernel area) × (channels in a group)
    recurrent layer                       steps × (2 × gates × units × (features + units) + element-wise)
    pooling                               (output elements) × (window)
    softmax, normalisations               2 to 6 for each element
    sorting, top-k                        :math:`n \lceil\log_2 n\rceil` for each row of length n
    every other operation                 1 for each element of the largest tensor that goes in or out: also
                                          exp, tanh, comparisons, sums over an axis
    reshaping, gathering, padding         0
    ====================================  ===============================================================

    Sequences and sets count at their full length, padding included, which is what is computed.

    Arguments
    ---------
    model
        A functional Keras model, or any layer structure that can be traced on symbolic tensors.

    Raises
    ------
    UnsupportedOperationError
        A layer's call cannot be traced, or an input has a free axis besides the events.

    Example
    -------
    >>> flops(keras.Sequential([keras.Input((28,)), keras.layers.Dense(64, activation="relu")]))
    3712
    """
    structure = getattr(model, "_inputs_struct", None)
    if any(None in tensor.shape[1:] for tensor in model.inputs):
        raise UnsupportedOperationError(
            f"the inputs of '{model.name}' have free lengths; FLOPs are counted for fixed ones."
        )
    if structure is None:
        structure = model.inputs[0] if len(model.inputs) == 1 else model.inputs
    inputs = tree.map_structure(_stand_in, structure)
    count = _Count()
    with _undisturbed(model):
        count.traced(lambda given: model.call(given, training=False), (inputs,))
    return count.total // _EVENTS


def _stand_in(tensor: Any) -> Any:
    """Return a new symbolic tensor in place of one, with a fixed number of events."""
    if not isinstance(tensor, keras.KerasTensor):
        return tensor
    events = tensor.shape[:1] and (tensor.shape[0] or _EVENTS,)
    return keras.KerasTensor((*events, *tensor.shape[1:]), dtype=tensor.dtype)


@contextlib.contextmanager
def _undisturbed(model: keras.Model) -> Iterator[None]:
    """Calling layers on symbolic tensors is written into their histories: take it out again afterwards."""
    layers = list(model._flatten_layers())
    for layer in list(layers):
        layers += [operation for operation in getattr(layer, "_operations", ()) if operation not in layers]
    before = [(len(layer._inbound_nodes), len(layer._outbound_nodes)) for layer in layers]
    try:
        yield
    finally:
        for layer, (inbound, outbound) in zip(layers, before, strict=True):
            del layer._inbound_nodes[inbound:]
            del layer._outbound_nodes[outbound:]


class _Count:
    """Counts the operations behind symbolic results, layer by layer, in ``total``.

    Shapes are followed as well, since the shapes that Keras notes for a layer's results may have gaps.
    """

    def __init__(self) -> None:
        self.total = 0

    def traced(self, function: Callable[..., Any], args: Any, what: str = "the model") -> Any:
        """Count what ``function`` does with the symbolic tensors in ``args``, and return what it gives."""
        known = {id(x): x for x in tree.flatten(args) if isinstance(x, keras.KerasTensor)}
        try:
            results = function(*args)
        except UnsupportedOperationError:
            raise
        except Exception as error:
            raise UnsupportedOperationError(
                f"the FLOPs of {what} cannot be counted: its call cannot be traced on symbolic tensors "
                f"({type(error).__name__}: {error})."
            ) from error
        alive: list[Any] = []  # tensors are known by identity, so they have to live as long as that

        def resolved(result: Any) -> Any:
            stack = [result] if isinstance(result, keras.KerasTensor) else []
            while stack:
                tensor = stack[-1]
                history = getattr(tensor, "_keras_history", None)
                if id(tensor) in known or history is None or history.operation is None:
                    known.setdefault(id(tensor), tensor)
                    stack.pop()
                    continue
                node = history.operation._inbound_nodes[history.node_index]
                given = (node.arguments.args, node.arguments.kwargs)
                parents = [x for x in tree.flatten(given) if isinstance(x, keras.KerasTensor)]
                waiting = [x for x in parents if id(x) not in known]
                if waiting:
                    stack += waiting
                    continue
                filled = tree.map_structure(
                    lambda x: known[id(x)] if isinstance(x, keras.KerasTensor) else x, given
                )
                outputs = tree.flatten(self.operation(history.operation, *filled))
                known.update({id(old): new for old, new in zip(node.outputs, outputs, strict=True)})
                alive.extend([*node.outputs, *outputs])
            return known[id(result)] if isinstance(result, keras.KerasTensor) else result

        return tree.map_structure(resolved, results)

    def operation(self, operation: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Count one operation, or what a layer is made of, and return its results."""
        if not isinstance(operation, keras.layers.Layer):
            outputs = operation.compute_output_spec(*args, **kwargs)
            self.total += _elementary(operation, args, kwargs, tree.flatten(outputs))
            return outputs
        recurrent = isinstance(operation, (keras.layers.RNN, keras.layers.Bidirectional))
        convolution = isinstance(operation, _CONVOLUTIONS) and operation.groups > 1
        if recurrent or convolution:
            outputs = operation.compute_output_spec(*args, **kwargs)
            first = tree.flatten(outputs)[0]
            self.total += _recurrent(operation, args[0].shape) if recurrent else _grouped(operation, first)
            return outputs
        kwargs = dict(kwargs)
        if "training" in inspect.signature(operation.call).parameters:
            kwargs["training"] = False
        else:
            kwargs.pop("training", None)
        given = tree.map_structure(_stand_in, (tuple(args), kwargs))
        what = f"the layer '{operation.name}' ({type(operation).__name__})"
        return self.traced(lambda a, k: operation.call(*a, **k), given, what)


def _size(tensor: Any) -> int:
    return math.prod(int(length) for length in getattr(tensor, "shape", ()))


def _elementary(
    operation: Any, args: Sequence[Any], kwargs: Mapping[str, Any], outputs: Sequence[Any]
) -> int:
    """Return the count of one operation of ``keras.ops``."""
    name = type(operation).__name__
    given = [x for x in tree.flatten((args, kwargs)) if hasattr(x, "shape")]
    out = sum(_size(output) for output in outputs)
    if name in _FREE:
        return 0
    if name == "Matmul":
        return 2 * out * int(given[0].shape[-1])
    if name in ("Dot", "Tensordot", "Inner"):
        # Each element of the result is a sum; its length follows from the elements of all three.
        return 2 * out * math.isqrt(_size(given[0]) * _size(given[1]) // max(out, 1))
    if name == "Einsum":
        return _einsum(operation.subscripts, given)
    if name == "Conv":
        kernel = given[1].shape  # (…window, channels in a group, filters)
        return 2 * out * math.prod(int(length) for length in kernel[:-1])
    if name == "SeparableConv":
        # A depthwise kernel (…window, channels, filters of each), and a product (1…, both, filters) behind.
        between, filters = (int(length) for length in given[2].shape[-2:])
        area = math.prod(int(length) for length in given[1].shape[:-2])
        return 2 * (out // filters) * between * area + 2 * out * between
    if name == "DepthwiseConv":
        return 2 * out * math.prod(int(length) for length in given[1].shape[:-2])
    if name == "ConvTranspose":
        return 2 * _size(given[0]) * math.prod(int(length) for length in given[1].shape[:-1])
    if name in ("MaxPool", "AveragePool"):
        window = operation.pool_size
        area = math.prod(window) if isinstance(window, (tuple, list)) else window ** (len(given[0].shape) - 2)
        return out * area
    if name in ("TopK", "Sort", "Argsort"):
        return _size(given[0]) * max(1, math.ceil(math.log2(max(2, int(given[0].shape[-1])))))
    if name == "DotProductAttention":
        (events, queries, heads, width), keys = given[0].shape, int(given[1].shape[1])
        return events * heads * queries * keys * (4 * width + _STEPS["Softmax"])
    return _STEPS.get(name, 1) * max([out, *(_size(x) for x in given)])


def _einsum(subscripts: str, given: Sequence[Any]) -> int:
    """Return the products and sums over all indices, with "..." for the axes that are left."""
    lengths: dict[str, int] = {}
    terms = subscripts.replace(" ", "").partition("->")[0].split(",")
    for term, tensor in zip(terms, given, strict=True):
        shape = [int(length) for length in tensor.shape]
        before, dots, after = term.partition("...")
        free = len(shape) - len(before) - len(after)
        names = [*before, *(f"...{i - free}" for i in range(free if dots else 0)), *after]
        for index, length in zip(names, shape, strict=True):
            lengths[index] = max(length, lengths.get(index, 1))
    return max(1, 2 * (len(terms) - 1)) * math.prod(lengths.values())


def _grouped(layer: Any, output: Any) -> int:
    """Return the count of a convolution with groups, which ``keras.ops.conv`` does not trace."""
    further = layer.use_bias + (layer.activation is not keras.activations.linear)
    return _size(output) * (2 * math.prod(layer.kernel.shape[:-1]) + further)


def _recurrent(layer: Any, shape: Sequence[Any]) -> int:
    """Return the count of a recurrent layer on ``(events, steps, features)``."""
    if isinstance(layer, keras.layers.Bidirectional):
        return 2 * _recurrent(layer.forward_layer, shape)
    for kind, (gates, others) in _CELLS.items():
        if isinstance(layer, kind):
            events, steps, features = shape
            each = 2 * gates * (int(features) + layer.units) + others
            return int(events) * int(steps) * layer.units * each
    raise UnsupportedOperationError(
        f"the FLOPs of the recurrent layer '{layer.name}' ({type(layer).__name__}) cannot be counted."
    )
