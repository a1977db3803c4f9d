"""From an ONNX model to steps: inputs are declared, nodes are folded or given to their rules, in order."""

from __future__ import annotations

import importlib
import math
from collections import ChainMap
from collections.abc import Iterable, Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hepml_root.errors import HepmlError, ModelFileError, UnsupportedOperationError
from hepml_root.export.cpp.batch import aligns, before_rule
from hepml_root.export.cpp.bodies import body, filled
from hepml_root.export.cpp.control import control
from hepml_root.export.cpp.elementwise import constant
from hepml_root.export.cpp.folding import fold
from hepml_root.export.cpp.graph import (
    RULES,
    Dimensions,
    Graph,
    Lowering,
    Node,
    Repeated,
    Result,
    Rule,
    Tensor,
)
from hepml_root.export.cpp.types import dtype_of, kind_of, output_types

if TYPE_CHECKING:
    import onnx

# The meaning of Softmax, Reduce* and others differs below.
OLDEST_OPSET = 13


MOST_NODES = 20_000
DEEPEST = 30

Typed = tuple["Result | None", "np.dtype | None"]


def _typed(node: Node, results: Sequence[Typed]) -> list[Result | None]:
    """Return values, and let the node know their types."""
    node.output_types = [dtype for _, dtype in results][: len(node.outputs)]
    return [value for value, _ in results]


@contextmanager
def _well_formed(node: Node) -> Iterator[None]:
    """Refuse a node that breaks its operator's own rules: a missing input, shapes that do not fit."""
    try:
        yield
    except (ArithmeticError, AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, HepmlError):
            raise
        raise node.refuse(f"it is malformed ({type(error).__name__}: {error}).") from error


@cache
def load_rules() -> None:
    """Import every module of this package: the rules register themselves."""
    for path in sorted(Path(__file__).parent.glob("[!_]*.py")):
        importlib.import_module(f"hepml_root.export.cpp.{path.stem}")


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


@dataclass
class Scope:
    """The values of a graph by name, with their types; that of a subgraph sees those around it."""

    values: MutableMapping[str, Result | None]
    types: MutableMapping[str, np.dtype | None]
    opsets: dict[str, int]
    own: set[str] = field(default_factory=set)
    absent: set[str] = field(default_factory=set)  # outputs that no rule gives

    def inner(self) -> Scope:
        return Scope(
            ChainMap({}, self.values), ChainMap({}, self.types), self.opsets, absent=set(self.absent)
        )

    def set(self, name: str, value: Result | None, dtype: np.dtype | None) -> None:
        self.own.add(name)
        self.values[name] = value
        self.types[name] = dtype


def lower(model: onnx.ModelProto, *, batched: bool = True) -> Graph:
    """Return the steps of an ONNX model, read as batched or static.

    Raises
    ------
    UnsupportedOperationError
        A node, type or shape that no rule covers; the message names it.
    """
    return Reader(model, batched).graph()


def _domain(name: str) -> str:
    return "" if name == "ai.onnx" else name


def _opsets(entries: Iterable[onnx.OperatorSetIdProto]) -> dict[str, int]:
    return {_domain(entry.domain): entry.version for entry in entries}


class Reader:
    """Reads one model."""

    def __init__(self, model: onnx.ModelProto, batched: bool) -> None:
        import onnx

        load_rules()
        self.model = model
        self.lowering = Lowering(batched=batched)
        self.fixed_batch = False  # whether a batch of 1 is written out in the file
        self.functions = {(_domain(f.domain), f.name, f.overload): f for f in model.functions}
        self.nodes_read = 0
        self.depth = 0
        self.opsets = _opsets(model.opset_import)
        for domain, version in self.opsets.items():
            if domain and not 1 <= version < 1 << 31:
                raise UnsupportedOperationError(f"the model uses version {version} of {domain!r}.")
        newest, opset = onnx.defs.onnx_opset_version(), self.opsets.get("", 0)
        only_others = bool(self.opsets) and "" not in self.opsets
        if not OLDEST_OPSET <= opset <= newest and not only_others:
            raise UnsupportedOperationError(
                f"the model uses opset {opset}; opsets {OLDEST_OPSET} to {newest} are taken. "
                "Convert it with onnx.version_converter.convert_version."
            )

    def graph(self) -> Graph:
        """Return the lowered graph."""
        graph = self.model.graph
        names = (graph.name, *(entry.name for entry in (*graph.input, *graph.output)))
        if not all(isinstance(name, str) for name in names):  # protobuf gives the bytes of what is no text
            raise ModelFileError("a name in the model is no UTF-8 text: the file is damaged.")
        scope = Scope({}, {}, self.opsets)
        self._initialise(graph, scope)
        inputs = []
        for declared in graph.input:
            if declared.name in scope.values:
                continue
            shape, dtype = self._input_type(declared)
            if math.prod(shape):
                from hepml_root.export.cpp.steps import Input

                kind = kind_of(dtype) or "float"
                tensor = self.lowering.add(Input(math.prod(shape)), shape, kind)
                scope.set(declared.name, tensor, dtype)
                inputs.append((declared.name, tensor))
            else:
                scope.set(declared.name, np.zeros(shape, dtype), dtype)
        if not inputs:
            raise UnsupportedOperationError("the model has no inputs.")
        self.read(graph.node, scope)
        outputs = [(declared.name, self._output(declared.name, scope)) for declared in graph.output]
        if not outputs:
            raise UnsupportedOperationError("the model has no outputs.")
        return Graph(graph.name, inputs, outputs, self.lowering.steps, self.lowering.batched)

    def read(self, entries: Iterable[onnx.NodeProto], scope: Scope) -> None:
        """Compute nodes, in their order, into the values of ``scope``."""
        for entry in entries:
            node = self._node(entry, scope)
            self.nodes_read += 1
            if self.nodes_read > MOST_NODES:
                raise node.refuse(f"more than {MOST_NODES:,} nodes, with loops and functions written out.")
            with _well_formed(node):
                results = self._results(entry, node, scope)
            for name, value, dtype in zip(entry.output, results, node.output_types, strict=False):
                if name and value is not None:
                    self._keep(node, name, value, dtype, scope)
            scope.absent.update(name for name in entry.output if name and name not in scope.values)

    def subgraph(
        self, graph: onnx.GraphProto, scope: Scope, given: Sequence[Typed], node: Node
    ) -> list[Typed]:
        """Return what the subgraph of a node gives for some inputs."""
        if len(given) != len(graph.input):
            raise node.refuse(f"its subgraph takes {len(graph.input)} inputs, not {len(given)}.")
        inner = scope.inner()
        self._initialise(graph, inner)
        for declared, (value, dtype) in zip(graph.input, given, strict=True):
            inner.set(declared.name, value, value.dtype if isinstance(value, np.ndarray) else dtype)
        return self._inside(graph.node, inner, [value.name for value in graph.output], node)

    def _inside(
        self, entries: Iterable[onnx.NodeProto], inner: Scope, outputs: Sequence[str], node: Node
    ) -> list[Typed]:
        """Read nodes that belong to ``node`` and return some of their values."""
        self.depth += 1
        if self.depth > DEEPEST:
            raise node.refuse(f"subgraphs or functions in each other, more than {DEEPEST} deep.")
        self.read(entries, inner)
        self.depth -= 1
        missing = [name for name in outputs if name not in inner.values and name not in inner.absent]
        if missing:
            raise node.refuse(f"no node inside it gives {missing[0]!r}.")
        return [(inner.values.get(name), inner.types.get(name)) for name in outputs]

    def _by_body(self, entry: onnx.NodeProto, node: Node, function: onnx.FunctionProto) -> list[Typed]:
        """Return what a function gives for a node's inputs."""
        opsets = self.opsets | _opsets(function.opset_import)
        # ONNX's own definitions of old versions keep to operators that still mean the same.
        own = (node.domain, node.operator, entry.overload) in self.functions
        if own and opsets.get("", OLDEST_OPSET) < OLDEST_OPSET:
            raise node.refuse(
                f"its function is of opset {opsets['']}; those from {OLDEST_OPSET} on are taken."
            )
        inner = Scope({}, {}, opsets)
        for index, name in enumerate(function.input):
            inner.set(name, node.optional(index), node.dtype(index))
        wanted = [name for name, output in zip(function.output, node.outputs, strict=False) if output]
        found = iter(self._inside(filled(entry, function, node), inner, wanted, node))
        return [next(found) if output else (None, None) for output in node.outputs]

    def _initialise(self, graph: onnx.GraphProto, scope: Scope) -> None:
        if graph.sparse_initializer:
            raise UnsupportedOperationError("sparse initialisers are not supported; store them dense.")
        for tensor in graph.initializer:
            array = _array(tensor)
            scope.set(tensor.name, array, array.dtype)

    def _node(self, entry: onnx.NodeProto, scope: Scope) -> Node:
        import onnx

        if not isinstance(entry.op_type, str) or not isinstance(entry.domain, str):
            raise ModelFileError(f"the operator {entry.op_type!r} is no UTF-8 text: the file is damaged.")
        domain = "" if entry.domain == "ai.onnx" else entry.domain
        name = entry.name or next((output for output in entry.output if output), "?")
        node = Node(
            entry.op_type, name, [], {}, list(entry.output), scope.opsets.get(domain, 0), domain,
            self.lowering.batched,
        )  # fmt: skip
        given: list[Result | None] = []
        for source in entry.input:
            if source in scope.absent:
                raise node.refuse(
                    f"reads {source!r}, an output that is not supported by its operator's rule."
                )
            if source and source not in scope.values:
                raise node.refuse(f"reads {source!r}, which nothing before it gives.")
            given.append(scope.values[source] if source else None)
            node.input_types.append(scope.types.get(source) if source else None)
        tensors = [value for value in given if isinstance(value, Tensor)]
        for value in given:
            if isinstance(value, Repeated):
                aligned = not node.domain and aligns(node.operator, value, tensors)
                node.inputs.append(value.array if aligned else self._of_events(node, value))
            else:
                node.inputs.append(value)
        for attribute in entry.attribute:
            try:
                node.attributes[attribute.name] = onnx.helper.get_attribute_value(attribute)
            except ValueError as error:
                raise node.refuse(f"its attribute {attribute.name!r} is malformed ({error}).") from error
        node.output_types = output_types(entry, node.opset, node.input_types, node.attributes)
        return node

    def _of_events(self, node: Node, value: Repeated) -> Tensor:
        """Return a constant that is repeated for every event as a value of the events."""
        constant(node, value.array)  # refuses what floats do not hold
        tensor = self.lowering.constant(value.array.squeeze(value.batch_axis))
        return replace(tensor, batch_axis=value.batch_axis)

    def _keep(self, node: Node, name: str, value: Result, dtype: np.dtype | None, scope: Scope) -> None:
        if isinstance(value, np.ndarray):
            dtype = value.dtype
        elif isinstance(value, Repeated):
            dtype = value.array.dtype
        elif isinstance(value, Dimensions):
            dtype = np.dtype(np.int64) if dtype is None else dtype
        elif dtype is not None:
            kind = kind_of(dtype)
            if kind is None:
                raise node.refuse(f"gives {dtype} for the events; float32, bool and integers are computed.")
            if kind != value.kind:
                value = replace(value, kind=kind)
        if name in scope.own:
            raise node.refuse(f"gives {name!r} a second time.")
        scope.set(name, value, dtype)

    def _results(self, entry: onnx.NodeProto, node: Node, scope: Scope) -> list[Any]:
        """Return the values of a node's outputs: computed now if they are known, as steps otherwise."""
        known = fold(entry, node)
        if known is not None:
            return known
        chosen = control(node, self, scope)
        if chosen is not None:
            return _typed(node, chosen)
        found = RULES.get((node.domain, node.operator))
        refused: HepmlError | None = None
        if found is not None:
            steps, inputs = len(self.lowering.steps), list(node.inputs)
            try:
                return self._by_rule(found, node)
            except UnsupportedOperationError as error:
                refused = error
                del self.lowering.steps[steps:]
                node.inputs, node.batch_axis = inputs, 0
        function = body(entry, node, self.functions)
        if function is not None:
            try:
                return _typed(node, self._by_body(entry, node, function))
            except UnsupportedOperationError as error:
                refused = refused or node.refuse(f"it is computed by its definition, and there {error}")
        if refused is not None:
            raise refused
        of = f"of the domain {node.domain!r} " if node.domain else ""
        raise node.refuse(
            f"the C++ engine has no rule for this operator {of}yet. ONNX Runtime computes the model: "
            "hr.Session(file, engine='onnxruntime'), hr.apply(..., engine='onnxruntime')."
        )

    def _by_rule(self, found: Rule, node: Node) -> list[Any]:
        with _well_formed(node):
            batch_axis = before_rule(node, self.fixed_batch)
            return [
                replace(value, batch_axis=batch_axis)
                if isinstance(value, Tensor) and batch_axis is not None
                else value
                for value in found(node, self.lowering)
            ]

    def _output(self, name: str, scope: Scope) -> Tensor:
        value = scope.values.get(name)
        if isinstance(value, np.ndarray) and value.size == 0:
            raise UnsupportedOperationError(f"output {name!r} is empty.")
        if isinstance(value, Repeated):
            value = self.lowering.constant(value.array.squeeze(value.batch_axis))
        if isinstance(value, np.ndarray) and not self.lowering.batched:
            if kind_of(value.dtype) is None:
                raise UnsupportedOperationError(f"output {name!r} is {value.dtype}, which is not supported.")
            value = self.lowering.constant(value)
        if name in scope.absent:
            raise UnsupportedOperationError(
                f"output {name!r} is one that its operator's rule does not give (names of classes, for one)."
            )
        if not isinstance(value, Tensor):
            raise UnsupportedOperationError(f"output {name!r} does not depend on any input.")
        if value.size == 0:
            raise UnsupportedOperationError(f"output {name!r} is empty.")
        if value.batch_axis:
            raise UnsupportedOperationError(
                f"output {name!r} has the batch at axis {value.batch_axis}; it must be the first: put a "
                "Transpose before it."
            )
        return value

    def _input_type(self, declared: onnx.ValueInfoProto) -> tuple[tuple[int, ...], np.dtype]:
        """Return the shape of one event and the type of a graph input."""
        import onnx

        tensor = declared.type.tensor_type
        dtype = dtype_of(tensor.elem_type) if tensor.elem_type else None
        if dtype is None or kind_of(dtype) is None:
            types = onnx.TensorProto.DataType
            known = tensor.elem_type in types.values()
            name = types.Name(tensor.elem_type) if tensor.elem_type and known else "no tensor"
            raise UnsupportedOperationError(
                f"input {declared.name!r} is {name}; float, bool and integer inputs are taken."
            )
        dimensions = list(tensor.shape.dim)
        batched = self.lowering.batched
        if not tensor.HasField("shape") or (batched and not dimensions):
            raise UnsupportedOperationError(f"input {declared.name!r} has no batch axis.")
        if batched and dimensions[0].HasField("dim_value") and dimensions[0].dim_value != 1:
            raise UnsupportedOperationError(
                f"input {declared.name!r} has a fixed batch of {dimensions[0].dim_value}; "
                "leave its first axis free, or read the model as static (batched=False)."
            )
        shape = []
        for axis, dimension in enumerate(dimensions):
            if batched and axis == 0:
                self.fixed_batch |= dimension.HasField("dim_value")
                continue
            if not dimension.HasField("dim_value") or dimension.dim_value < (1 if batched else 0):
                free = "; only the first one, the batch, may be free" if batched else " (static model)"
                raise UnsupportedOperationError(
                    f"input {declared.name!r}: axis {axis} has no fixed length{free}."
                )
            shape.append(dimension.dim_value)
        return tuple(shape), dtype


def _array(tensor: onnx.TensorProto) -> np.ndarray:
    """Return the numbers of an initialiser."""
    from onnx import numpy_helper

    try:
        return numpy_helper.to_array(tensor)
    except Exception as error:  # dimensions, type or bytes that do not fit: whatever numpy or onnx raise
        raise ModelFileError(
            f"the initialiser {tensor.name!r} is damaged ({type(error).__name__}: {error})."
        ) from error
