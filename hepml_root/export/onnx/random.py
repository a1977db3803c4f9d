"""Export rules of random numbers: keras.random.normal and uniform become RandomNormalLike, RandomUniformLike.

Such a network gives other numbers each time. What is compared is its twin, in which all draws are the middle
of their distribution, in Keras (:func:`middle_draws`) and in ONNX (:func:`without_draws`) alike.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import keras

from hepml_root.errors import UnsupportedOperationError
from hepml_root.export.onnx.graph import Graph, Tensor
from hepml_root.export.onnx.rules import Call, op_rule

if TYPE_CHECKING:
    import onnx


class Draw(keras.Operation):
    """A call of keras.random with the arguments of the ONNX operator that it becomes."""

    def __init__(self, operator: str, shape: Sequence[Any], numbers: dict[str, Any]) -> None:
        super().__init__()
        if not all(isinstance(number, int | float) for number in numbers.values()):
            raise UnsupportedOperationError(
                "random numbers whose distribution depends on the inputs: scale and shift standard ones."
            )
        self.operator = operator
        self.shape = tuple(shape)
        self.numbers = {name: float(number) for name, number in numbers.items()}

    def compute_output_spec(self) -> keras.KerasTensor:
        return keras.KerasTensor(self.shape, dtype="float32")

    def call(self) -> Any:
        raise NotImplementedError


@contextlib.contextmanager
def _replaced(functions: dict[str, Any]) -> Iterator[None]:
    before = {name: getattr(keras.random, name) for name in functions}
    for name, function in functions.items():
        setattr(keras.random, name, function)
    try:
        yield
    finally:
        for name, function in before.items():
            setattr(keras.random, name, function)


def recorded() -> contextlib.AbstractContextManager[None]:
    """Let keras.random give symbolic tensors, for as long as a model is traced."""

    def normal(shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = None, seed: Any = None) -> Any:  # noqa: ARG001
        return Draw("RandomNormalLike", shape, {"mean": mean, "scale": stddev}).symbolic_call()

    def uniform(shape: Any, minval: Any = 0.0, maxval: Any = 1.0, dtype: Any = None, seed: Any = None) -> Any:  # noqa: ARG001
        return Draw("RandomUniformLike", shape, {"low": minval, "high": maxval}).symbolic_call()

    return _replaced({"normal": normal, "uniform": uniform})


def middle_draws() -> contextlib.AbstractContextManager[None]:
    """Let keras.random give the middle of the distribution, everywhere."""

    def normal(shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = None, seed: Any = None) -> Any:  # noqa: ARG001
        return keras.ops.full(shape, mean, dtype=dtype or "float32")

    def uniform(shape: Any, minval: Any = 0.0, maxval: Any = 1.0, dtype: Any = None, seed: Any = None) -> Any:  # noqa: ARG001
        return keras.ops.full(shape, 0.5 * (minval + maxval), dtype=dtype or "float32")

    return _replaced({"normal": normal, "uniform": uniform})


@op_rule(Draw)
def draw(graph: Graph, call: Call) -> Tensor:
    operation = call.operation
    shape = tuple(graph.batch if size is None else int(size) for size in operation.shape)
    if not shape or shape[0] != graph.batch:
        raise UnsupportedOperationError(
            f"{graph.where()}: random numbers of the shape {shape} are the same for all events. Draw one row "
            "for each: keras.random.normal(keras.ops.shape(x))."
        )
    made = [tensor for node in reversed(graph.nodes) for tensor in node.outputs] + list(graph.inputs)
    fits = (t for t in made if t.shape == shape and t.dtype == "float32" and t.value is None)
    like = next(fits, None) or _rows(graph, shape)
    return graph.node(operation.operator, like, shape=shape, dtype="float32", **operation.numbers)


def _rows(graph: Graph, shape: tuple[int, ...]) -> Tensor:
    """Return any value of the shape, made of the first input."""
    value = graph.cast(graph.inputs[0], "float32")
    for axis in range(1, value.rank):
        value = graph.slice(value, axis, 0, 1)
    value = graph.reshape(value, [graph.batch, *[1] * (len(shape) - 1)])
    wanted = graph.constant([1, *shape[1:]], "int64")
    return graph.node("Expand", value, wanted, shape=shape, dtype="float32")


def without_draws(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Return a model with the middle of the distribution for every draw; or the model if it draws none."""
    import onnx

    if not any(node.op_type.startswith("Random") for node in proto.graph.node):
        return proto
    twin = onnx.ModelProto()
    twin.CopyFrom(proto)
    for node in twin.graph.node:
        if node.op_type not in ("RandomNormalLike", "RandomUniformLike"):
            continue
        numbers = {"mean": 0.0, "low": 0.0, "high": 1.0}  # where a file does not say
        numbers |= {attribute.name: attribute.f for attribute in node.attribute}
        normal = node.op_type == "RandomNormalLike"
        middle = numbers["mean"] if normal else 0.5 * (numbers["low"] + numbers["high"])
        at = list(twin.graph.node).index(node)
        shape, output = f"{node.output[0]}/shape", node.output[0]
        value = onnx.helper.make_tensor("value", onnx.TensorProto.FLOAT, [1], [middle])
        made = onnx.helper.make_node("ConstantOfShape", [shape], [output], name=node.name, value=value)
        twin.graph.node.insert(at, onnx.helper.make_node("Shape", [node.input[0]], [shape]))
        twin.graph.node[at + 1].CopyFrom(made)
    return twin
