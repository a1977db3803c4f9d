"""How Keras layers are called on symbolic tensors, and left as they were.

A layer without a rule is called on stand-ins of its tensors. Some of Keras's own steps do not take these;
here they are made to, for as long as a model is traced.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import keras
from keras import tree

from hepml_root.export.onnx.activations import traceable

_ARITHMETIC = {
    "__add__": "add", "__sub__": "subtract", "__mul__": "multiply", "__truediv__": "true_divide",
    "__floordiv__": "floor_divide", "__mod__": "mod", "__pow__": "power", "__matmul__": "matmul",
    "__lt__": "less", "__le__": "less_equal", "__gt__": "greater", "__ge__": "greater_equal",
}  # fmt: skip


@contextlib.contextmanager
def followed() -> Iterator[None]:
    """Let Keras's variables and layers take symbolic tensors where they do not.

    A variable times a symbolic tensor is an operation of `keras.ops`, and EinsumDense knows its output's
    shape, not only the number of axes.
    """
    replaced: list[tuple[type, str, Any]] = []

    def replace(owner: type, name: str, function: Any) -> None:
        replaced.append((owner, name, vars(owner).get(name)))
        setattr(owner, name, function)

    for name, operation in _ARITHMETIC.items():
        replace(keras.Variable, name, _symbolic(getattr(keras.Variable, name), getattr(keras.ops, operation)))
    shape_of = keras.layers.EinsumDense.compute_output_shape
    replace(
        keras.layers.EinsumDense,
        "compute_output_shape",
        lambda layer, shape: _completed(layer.equation, shape, shape_of(layer, shape)),
    )
    try:
        yield
    finally:
        for owner, name, before in reversed(replaced):
            if before is None:
                delattr(owner, name)
            else:
                setattr(owner, name, before)


def _symbolic(method: Callable[..., Any], operation: Callable[..., Any]) -> Callable[..., Any]:
    def apply(variable: Any, other: Any) -> Any:
        if isinstance(other, keras.KerasTensor):
            return operation(variable, other)
        return method(variable, other)

    return apply


def _completed(equation: str, given: Any, found: Any) -> tuple[Any, ...]:
    """The output's shape with the sizes that Keras leaves open, though the input has them."""
    shape = list(found)
    sources, target = equation.split("->")
    letters = sources.split(",")[0]
    behind = letters.endswith("...")  # then the letters count from the front, else from the end
    letters, target = letters.replace("...", ""), target.replace("...", "")
    for place, letter in enumerate(target):
        position = place if behind else place - len(target)
        if shape[position] is None and letter in letters:
            index = letters.index(letter)
            shape[position] = given[index if behind else index - len(letters)]
    return tuple(shape)


@contextlib.contextmanager
def undisturbed(model: keras.Model) -> Iterator[None]:
    """Calling layers on symbolic tensors writes into their call history: put that back afterwards."""
    operations = list(model._flatten_layers())
    for layer in list(operations):
        operations += [op for op in getattr(layer, "_operations", ()) if op not in operations]
    before = [(len(op._inbound_nodes), len(op._outbound_nodes)) for op in operations]
    try:
        yield
    finally:
        for op, (inbound, outbound) in zip(operations, before, strict=True):
            del op._inbound_nodes[inbound:]
            del op._outbound_nodes[outbound:]


@contextlib.contextmanager
def traceable_activations(layer: Any) -> Iterator[None]:
    """Give a layer activations that take symbolic tensors, for as long as it is traced."""
    swapped = {}
    for name in ("activation", "recurrent_activation"):
        function = vars(layer).get(name)
        if function is not None and traceable(function) is not function:
            swapped[name] = function
            vars(layer)[name] = traceable(function)
    try:
        yield
    finally:
        vars(layer).update(swapped)


def arguments_of(node: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of a Keras call, with the masks that Keras passes to a layer unrecorded."""
    args, kwargs = node.arguments.args, dict(node.arguments.kwargs)
    if not isinstance(node.operation, keras.layers.Layer):
        return args, kwargs
    parameters = inspect.signature(node.operation.call).parameters
    given = dict(zip(parameters, args, strict=False)) | kwargs
    tensors = {
        key: value
        for key, value in given.items()
        if any(isinstance(x, keras.KerasTensor) for x in tree.flatten(value)) and not key.endswith("mask")
    }
    for key, value in tensors.items():
        argument = "mask" if len(tensors) == 1 else f"{key}_mask"
        if argument in parameters and given.get(argument) is None:
            masks = tree.map_structure(lambda x: getattr(x, "_keras_mask", None), value)
            if any(mask is not None for mask in tree.flatten(masks)):
                kwargs[argument] = masks
    return args, kwargs
