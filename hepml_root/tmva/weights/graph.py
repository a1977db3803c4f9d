"""An ONNX graph while it is written: nodes and constants with names of their own, and trees of
comparisons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import ArrayLike, NDArray
from onnx import TensorProto, helper, numpy_helper

from hepml_root.errors import UnsupportedOperationError

OPSETS = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
IR_VERSION = 9


class Graph:
    """Collects nodes; values are known by their names.

    Example
    -------
    >>> graph = Graph("features")
    >>> doubled = graph.add("Mul", "features", graph.constant([2.0, 2.0]))
    >>> [node.op_type for node in graph.model("small", 2, doubled, "score", 2).graph.node]
    ['Mul', 'Identity']
    """

    def __init__(self, features: str) -> None:
        self.features = features
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, NDArray[Any]] = {}
        self.opset = OPSETS[0].version

    def add(self, operator: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Add a node with one output; return the name of the output."""
        name = f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(
            helper.make_node(operator, list(inputs), [name], name=name, domain=domain, **attributes)
        )
        return name

    def add_several(self, operator: str, count: int, *inputs: str, **attributes: Any) -> list[str]:
        """Add a node with several outputs; return their names."""
        names = [f"{operator.lower()}_{len(self.nodes)}_{i}" for i in range(count)]
        self.nodes.append(helper.make_node(operator, list(inputs), names, name=names[0], **attributes))
        return names

    def constant(self, values: ArrayLike, dtype: Any = np.float32) -> str:
        """Add a constant; numbers become float32 by rounding to the nearest."""
        name = f"constant_{len(self.constants)}"
        with np.errstate(over="ignore"):
            self.constants[name] = np.asarray(values, dtype)
        return name

    def columns(self, values: str, places: Sequence[int]) -> str:
        """Return some columns of a value ``(events, columns)``."""
        return self.add("Gather", values, self.constant(list(places), np.int64), axis=1)

    def affine(self, values: str, matrix: NDArray[Any], offset: NDArray[Any] | None = None) -> str:
        """Return ``values @ matrix + offset``."""
        product = self.add("MatMul", values, self.constant(matrix))
        return product if offset is None else self.add("Add", product, self.constant(offset))

    def clipped(self, values: str, least: float, most: float) -> str:
        return self.add("Clip", values, self.constant(least), self.constant(most))

    def embed(self, model: onnx.ModelProto, values: str) -> str:
        """Add all nodes of a model with one input and one output; return the name of its output.

        Raises
        ------
        UnsupportedOperationError
            The model has another number of inputs or outputs, or an opset that does not fit this graph.
        """
        inner, opsets = model.graph, {entry.domain: entry.version for entry in model.opset_import}
        kept = {initializer.name for initializer in inner.initializer}
        inputs = [entry.name for entry in inner.input if entry.name not in kept]
        if len(inputs) != 1 or len(inner.output) != 1 or len(model.functions):
            raise UnsupportedOperationError(
                f"the graph '{inner.name}' has {len(inputs)} inputs and {len(inner.output)} outputs; one of "
                "each is needed."
            )
        own = {entry.domain: entry.version for entry in OPSETS}
        for domain, version in opsets.items():
            if domain not in own or version < own[domain] or (domain and version != own[domain]):
                raise UnsupportedOperationError(
                    f"the graph '{inner.name}' uses opset {version} of '{domain or 'ai.onnx'}'; "
                    f"{own.get(domain, 'none')} is what it can be joined with."
                )
        self.opset = max(self.opset, opsets.get("", 0))
        prefix = f"embedded_{len(self.nodes)}_"
        names = {"": "", inputs[0]: values}
        for initializer in inner.initializer:
            names[initializer.name] = self.constant(
                (array := numpy_helper.to_array(initializer)), array.dtype
            )
        for node in inner.node:
            copy = onnx.NodeProto()
            copy.CopyFrom(node)
            names |= {name: prefix + name for name in node.output if name}
            copy.name = prefix + (node.name or str(len(self.nodes)))
            del copy.input[:], copy.output[:]
            copy.input.extend(names[name] for name in node.input)
            copy.output.extend(names[name] for name in node.output)
            self.nodes.append(copy)
        return names[inner.output[0].name]

    def model(self, name: str, inputs: int, result: str, output: str, outputs: int) -> onnx.ModelProto:
        """Return the model with one input ``(events, inputs)`` and one output ``(events, outputs)``."""
        self.nodes.append(helper.make_node("Identity", [result], [output], name="result"))
        ends = [
            helper.make_tensor_value_info(self.features, TensorProto.FLOAT, ["events", inputs]),
            helper.make_tensor_value_info(output, TensorProto.FLOAT, ["events", outputs]),
        ]
        weights = [numpy_helper.from_array(array, label) for label, array in self.constants.items()]
        graph = helper.make_graph(self.nodes, name, ends[:1], ends[1:], weights)
        opsets = [helper.make_opsetid("", self.opset), *OPSETS[1:]]
        return helper.make_model(
            graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="hepml_root"
        )


@dataclass
class Forest:
    """Trees of comparisons ``x < threshold`` as the attributes of one TreeEnsembleRegressor.

    Events with NaN go the way of ``x < threshold``.
    """

    targets: int
    trees: int = 0
    nodes: dict[str, list[Any]] = field(
        default_factory=lambda: {
            name: []
            for name in (
                *("treeids", "nodeids", "featureids", "modes", "values", "truenodeids", "falsenodeids"),
                "missing_value_tracks_true",
            )
        }
    )
    leaves: dict[str, list[Any]] = field(
        default_factory=lambda: {name: [] for name in ("treeids", "nodeids", "ids", "weights")}
    )

    def split(self, name: int, feature: int, threshold: float, below: int, above: int) -> None:
        """Add a comparison to the tree at hand; ``below`` and ``above`` are the nodes it leads to."""
        self._node(name, feature, "BRANCH_LT", threshold, below, above)

    def leaf(self, name: int, values: Sequence[tuple[int, float]]) -> None:
        """Add a leaf with (target, value)."""
        self._node(name, 0, "LEAF", 0.0, 0, 0)
        for target, value in values:
            for key, entry in zip(
                self.leaves, (self.trees, name, target, float(np.float32(value))), strict=True
            ):
                self.leaves[key].append(entry)

    def _node(self, name: int, feature: int, mode: str, value: float, true: int, false: int) -> None:
        entries = (self.trees, name, feature, mode, float(np.float32(value)), true, false, mode != "LEAF")
        for key, entry in zip(self.nodes, entries, strict=True):
            self.nodes[key].append(int(entry) if isinstance(entry, bool) else entry)

    def finish_tree(self) -> None:
        self.trees += 1

    def steps(self, feature: int, edges: NDArray[np.float32], values: NDArray[Any], target: int) -> None:
        """Add a balanced tree for a step function: ``values[i]`` where i of the ascending ``edges`` are ≤
        x."""
        count = 0
        waiting = [(0, 0, len(edges))]  # node, and the values it chooses among: first and last
        while waiting:
            name, first, last = waiting.pop()
            if first == last:
                self.leaf(name, [(target, float(values[first]))])
                continue
            middle = (first + last) // 2
            self.split(name, feature, float(edges[middle]), count + 1, count + 2)
            waiting += [(count + 1, first, middle), (count + 2, middle + 1, last)]
            count += 2
        self.finish_tree()

    def add_to(self, graph: Graph, values: str) -> str:
        """Add the ensemble to a graph; return the name of its output ``(events, targets)``."""
        attributes = {f"nodes_{name}": entries for name, entries in self.nodes.items()}
        attributes |= {f"target_{name}": entries for name, entries in self.leaves.items()}
        return graph.add(
            "TreeEnsembleRegressor", values, domain="ai.onnx.ml", n_targets=self.targets, **attributes
        )
