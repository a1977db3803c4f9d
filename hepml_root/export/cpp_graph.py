"""From an ONNX graph to a list of steps: shapes are known, constants folded, the batch axis taken away.

A value that depends on the events is a :class:`Tensor`: its shape is that of one event, and it is a piece of
the storage of one step. Everything else is a numpy array. One rule per operator (``@rule("Relu")``, in
``cpp_elementwise``, ``cpp_dense``, ``cpp_shape`` and ``cpp_reduction``) turns a node into steps; an operator
without a rule is refused by the node's name. To add an operator, add a rule.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hepml_root.errors import HepmlError, ModelFileError, UnsupportedOperationError

if TYPE_CHECKING:
    import onnx

    from hepml_root.export.cpp_steps import Step

# The meaning of Softmax, Reduce* and others differs below.
OLDEST_OPSET = 13
LARGEST_VALUE = 1 << 22  # numbers per event: a block of 48 events then takes 800 MB


@dataclass(frozen=True)
class Tensor:
    """A value that depends on the event: ``shape`` without the batch axis, a piece of a step's storage."""

    step: Step
    shape: tuple[int, ...]
    kind: str = "float"  # float, bool (held as 0 and 1) or int (held as a float without fraction)
    offset: int = 0

    @property
    def size(self) -> int:
        return math.prod(self.shape)


Value = Tensor | np.ndarray


@dataclass
class Node:
    """One ONNX node with its resolved inputs (``None`` for an optional input that is left out)."""

    operator: str
    name: str
    inputs: list[Value | None]
    attributes: dict[str, Any]
    outputs: list[str]
    opset: int

    def refuse(self, why: str) -> UnsupportedOperationError:
        """Return the error that names this node and says ``why`` it cannot be generated."""
        return UnsupportedOperationError(f"node {self.name!r} (operator {self.operator}): {why}")

    def optional(self, index: int) -> Value | None:
        return self.inputs[index] if index < len(self.inputs) else None

    def tensor(self, index: int = 0) -> Tensor:
        """Return an input that depends on the events."""
        value = self.optional(index)
        if not isinstance(value, Tensor):
            raise self.refuse(f"input {index} must depend on the events; here it is constant or absent.")
        return value

    def constant(self, index: int, what: str) -> np.ndarray:
        """Return an input that must be known when the code is generated."""
        value = self.optional(index)
        if not isinstance(value, np.ndarray):
            raise self.refuse(f"{what} must be constant; here it depends on the events or is absent.")
        return value

    def axis(self, axis: int, rank: int) -> int:
        """Return ``axis`` counted without the batch axis; ``rank`` is the one without it, too."""
        full = rank + 1
        if not -full <= axis < full:
            raise self.refuse(f"axis {axis} of a value with {full} axes.")
        axis %= full
        if axis == 0:
            raise self.refuse("works along the batch axis; every event must be computed on its own.")
        return axis - 1


def check_size(size: int) -> None:
    """Refuse a value that is too large to be computed in blocks of events."""
    if size > LARGEST_VALUE:
        raise UnsupportedOperationError(
            f"a value of {size:,} numbers per event; up to {LARGEST_VALUE:,} are supported."
        )


Rule = Callable[[Node, "Lowering"], "list[Tensor]"]
RULES: dict[str, Rule] = {}


def rule(*operators: str) -> Callable[[Rule], Rule]:
    """Register a function as the rule for some operators."""

    def register(function: Rule) -> Rule:
        for operator in operators:
            RULES[operator] = function
        return function

    return register


@dataclass
class Lowering:
    """The steps found so far; rules add to them."""

    steps: list[Step] = field(default_factory=list)

    def add(self, step: Step, shape: Iterable[int], kind: str = "float") -> Tensor:
        """Append a step and return its whole storage as a value of ``shape``."""
        check_size(step.size)
        self.steps.append(step)
        return Tensor(step, tuple(shape), kind)


@dataclass
class Graph:
    """The lowered network: inputs and outputs in the file's order, steps in the order of computing."""

    name: str
    inputs: list[tuple[str, Tensor]]
    outputs: list[tuple[str, Tensor]]
    steps: list[Step]


def load(path: Path) -> onnx.ModelProto:
    """Return the checked ONNX model in a file.

    Raises
    ------
    SourceNotFoundError
        There is no such file.
    ModelFileError
        It is no valid ONNX model.
    """
    import onnx

    from hepml_root.export.manifest import load_onnx

    model = load_onnx(path)
    try:
        onnx.checker.check_model(model)
    except Exception as error:  # the checker raises its own class, protobuf's and plain ones
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise ModelFileError(f"'{path}' is no valid ONNX model: {reason[0]} Export it again.") from error
    return model


def lower(model: onnx.ModelProto) -> Graph:
    """Return the steps of an ONNX model.

    Raises
    ------
    UnsupportedOperationError
        A node, type or shape that no rule covers; the message names it.
    """
    import onnx
    from onnx import numpy_helper

    from hepml_root.export import cpp_dense, cpp_elementwise, cpp_reduction, cpp_shape  # noqa: F401 (rules)
    from hepml_root.export.cpp_steps import Input

    newest = onnx.defs.onnx_opset_version()
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    opset = opsets.get("", opsets.get("ai.onnx", 0))
    if not OLDEST_OPSET <= opset <= newest:
        raise UnsupportedOperationError(
            f"the model uses opset {opset}; opsets {OLDEST_OPSET} to {newest} are taken. "
            "Convert it with onnx.version_converter.convert_version."
        )

    graph = model.graph
    lowering = Lowering()
    values: dict[str, Value] = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    if graph.sparse_initializer:
        raise UnsupportedOperationError("sparse initialisers are not supported; store them dense.")

    inputs = []
    for declared in [entry for entry in graph.input if entry.name not in values]:
        shape, kind = _input_type(declared)
        source = Input(math.prod(shape))
        tensor = lowering.add(source, shape, kind)
        values[declared.name] = tensor
        inputs.append((declared.name, tensor))
    if not inputs:
        raise UnsupportedOperationError("the model has no inputs.")

    for entry in graph.node:
        node = Node(
            entry.op_type,
            entry.name or (entry.output[0] if entry.output else "?"),
            [values[name] if name else None for name in entry.input],
            {a.name: onnx.helper.get_attribute_value(a) for a in entry.attribute},
            list(entry.output),
            opset,
        )
        for name, value in zip(entry.output, _results(entry, node, lowering, opset), strict=False):
            if name:
                values[name] = value

    outputs = []
    for declared in graph.output:
        value = values.get(declared.name)
        if not isinstance(value, Tensor):
            raise UnsupportedOperationError(f"output {declared.name!r} does not depend on any input.")
        if value.kind == "int" or value.size == 0:
            raise UnsupportedOperationError(
                f"output {declared.name!r} is an integer or empty; cast it to float."
            )
        outputs.append((declared.name, value))
    return Graph(graph.name, inputs, outputs, lowering.steps)


def _input_type(declared: onnx.ValueInfoProto) -> tuple[tuple[int, ...], str]:
    """Return the shape of one event and the kind of a graph input."""
    import onnx

    tensor = declared.type.tensor_type
    kinds = {int(onnx.TensorProto.FLOAT): "float", int(onnx.TensorProto.BOOL): "bool"}
    if tensor.elem_type not in kinds:
        name = onnx.TensorProto.DataType.Name(tensor.elem_type) if tensor.elem_type else "no tensor"
        raise UnsupportedOperationError(
            f"input {declared.name!r} is {name}; float and bool inputs are taken."
        )
    dimensions = list(tensor.shape.dim)
    if not dimensions:
        raise UnsupportedOperationError(f"input {declared.name!r} has no batch axis.")
    if dimensions[0].HasField("dim_value") and dimensions[0].dim_value != 1:
        raise UnsupportedOperationError(
            f"input {declared.name!r} has a fixed batch of {dimensions[0].dim_value}; "
            "leave its first axis free."
        )
    shape = []
    for axis, dimension in enumerate(dimensions[1:], start=1):
        if not dimension.HasField("dim_value") or dimension.dim_value < 1:
            raise UnsupportedOperationError(
                f"input {declared.name!r}: axis {axis} has no fixed length; only the first one, the batch, "
                "may be free."
            )
        shape.append(dimension.dim_value)
    return tuple(shape), kinds[tensor.elem_type]


def _results(entry: onnx.NodeProto, node: Node, lowering: Lowering, opset: int) -> list[Any]:
    """Return the values of a node's outputs: computed now if all inputs are constant, as steps otherwise."""
    if entry.domain not in ("", "ai.onnx"):
        raise node.refuse(f"operators of the domain {entry.domain!r} are not supported.")
    if not any(isinstance(value, Tensor) for value in node.inputs):
        return _fold(entry, node, opset)
    if node.operator not in RULES:
        raise node.refuse(
            "the C++ engine has no rule for this operator yet. ONNX Runtime computes the model: "
            "hr.Session(file, engine='onnxruntime'), hr.apply(..., engine='onnxruntime')."
        )
    try:
        results = RULES[node.operator](node, lowering)
    except (ArithmeticError, AttributeError, IndexError, KeyError, TypeError) as error:
        # A node that breaks its operator's own rules: a missing input or attribute, shapes that do not fit.
        raise node.refuse(f"it is malformed ({type(error).__name__}: {error}).") from error
    except ValueError as error:
        if isinstance(error, HepmlError):
            raise
        raise node.refuse(f"it is malformed ({error}).") from error
    for name in node.outputs[len(results) :]:
        if name:
            raise node.refuse(f"output {name!r} beyond the first is not supported.")
    return results


def _fold(entry: onnx.NodeProto, node: Node, opset: int) -> list[Any]:
    """Compute a node whose inputs are all constant, with ONNX's reference implementation."""
    import onnx
    from onnx.reference import ReferenceEvaluator

    if entry.op_type.startswith("Random") or entry.op_type in ("Bernoulli", "Multinomial"):
        raise node.refuse("random numbers are not supported.")
    if any(a.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS) for a in entry.attribute):
        raise node.refuse("control flow is not supported.")
    names = [name for name in entry.input if name]
    given = {
        name: value
        for name, value in zip(entry.input, node.inputs, strict=True)
        if isinstance(value, np.ndarray)
    }
    make = onnx.helper
    graph = make.make_graph(
        [entry],
        "constant",
        [
            make.make_tensor_value_info(n, make.np_dtype_to_tensor_dtype(given[n].dtype), None)
            for n in dict.fromkeys(names)
        ],
        [make.make_empty_tensor_value_info(name) for name in entry.output if name],
    )
    alone = make.make_model(graph, opset_imports=[make.make_opsetid("", opset)])
    try:
        computed = iter(ReferenceEvaluator(alone).run(None, given))
    except Exception as error:  # the reference implementation raises whatever numpy or Python does
        raise node.refuse(f"its constant inputs cannot be evaluated: {error}") from error
    return [np.asarray(next(computed)) if name else None for name in entry.output]
