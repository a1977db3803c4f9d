"""Models of many cases, several of them compiled into one library, and what ONNX Runtime says to them."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from hepml_root.data.feed_library import SHARED
from hepml_root.export.cpp import generate
from hepml_root.inference.compiler import FLAGS, INSTRUCTIONS, find_compiler
from hepml_root.inference.interface import INFER, library_source

Infer = Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]]

# One event, part of a register of events, a register, three registers and more.
BATCHES = (1, 5, 16, 67)
TOLERANCE = 1e-5  # of the largest output


class Cases:
    """A model that is built node by node, with an output for each case."""

    def __init__(self, inputs: Mapping[str, Sequence[int]], batch: Any = "N", opset: int = 23) -> None:
        self.inputs, self.batch, self.opset = inputs, batch, opset
        self.nodes, self.weights, self.outputs = [], [], []  # type: ignore[var-annotated]
        self.random = np.random.default_rng(3)

    def weight(self, *shape: int) -> str:
        return self.constant(self.random.normal(size=shape).astype(np.float32))

    def positive(self, *shape: int) -> str:
        return self.constant(self.random.uniform(0.5, 2, size=shape).astype(np.float32))

    def constant(self, values: Any, dtype: Any = np.float32) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def axes(self, *axes: int) -> str:
        return self.constant(axes, np.int64)

    def add(self, operator: str, *inputs: str, count: int = 1, **attributes: Any) -> Any:
        names = [f"v{len(self.nodes)}_{i}" for i in range(count)]
        self.nodes.append(helper.make_node(operator, list(inputs), names, **attributes))
        return names[0] if count == 1 else names

    def out(self, operator: str, *inputs: str, count: int = 1, **attributes: Any) -> None:
        names = self.add(operator, *inputs, count=count, **attributes)
        self.outputs += [names] if count == 1 else names

    def output(self, name: str) -> onnx.ValueInfoProto:
        (node,) = [node for node in self.nodes if name in node.output]
        if node.op_type == "GroupNormalization":  # onnx does not infer its shape
            return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", *self.inputs[node.input[0]]])
        return helper.make_empty_tensor_value_info(name)

    def model(self) -> onnx.ModelProto:
        batch = [] if self.batch is None else [self.batch]
        graph = helper.make_graph(
            self.nodes,
            "cases",
            [
                helper.make_tensor_value_info(name, TensorProto.FLOAT, [*batch, *shape])
                for name, shape in self.inputs.items()
            ],
            [self.output(name) for name in self.outputs],
            self.weights,
        )
        opset = helper.make_opsetid("", self.opset)
        model = helper.make_model(graph, opset_imports=[opset], ir_version=10)
        return onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)


def values_of(inputs: Mapping[str, Sequence[int]], batch: int, scale: float = 1.0) -> dict[str, np.ndarray]:
    """Return normal numbers for ``{input: shape of one event}``, the same in every call."""
    random = np.random.default_rng(5)
    return {
        name: random.normal(scale=scale, size=(batch, *shape)).astype(np.float32)
        for name, shape in inputs.items()
    }


def assert_near(found: Mapping[str, np.ndarray], right: Mapping[str, np.ndarray], what: Any) -> None:
    """Every output, by how much it differs of its largest value."""
    wrong = {}
    for name, wanted in right.items():
        error = np.abs(found[name] - wanted).max() / max(np.abs(wanted).max(), 1e-30)
        if not error < TOLERANCE:
            wrong[name] = (error, wanted.shape)
    assert not wrong, f"{what}: {wrong}"


def compiled(
    models: Mapping[str, onnx.ModelProto],
    folder: Path,
    *,
    static: Sequence[str] = (),
    flags: Sequence[str] = (),
    accumulate: str = "float32",
) -> dict[str, Infer]:
    """Return each model as a function of arrays by name; those in ``static`` have no batch axis."""
    text, functions = [], {}
    for name, model in models.items():
        source = generate(model, name, batched=name not in static, accumulate=accumulate)
        source.save(folder)
        text.append(library_source(source.name, f"symbol_{name}"))
    (folder / "library.cxx").write_text("\n".join(text))
    flags = [*FLAGS, *INSTRUCTIONS["native"], "-O1", *flags, *SHARED]
    find_compiler().run([*flags, "library.cxx", "-o", "library.so"], folder)
    library = ctypes.CDLL(str(folder / "library.so"))
    for name, model in models.items():
        functions[name] = _function(library, name, model, name in static)
    return functions


def _function(library: ctypes.CDLL, name: str, model: onnx.ModelProto, static: bool) -> Infer:
    function = INFER((f"symbol_{name}_infer", library))

    def shape(value: Any) -> tuple[int, ...]:
        return tuple(d.dim_value for d in value.type.tensor_type.shape.dim)[0 if static else 1 :]

    def infer(given: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        inputs = [np.ascontiguousarray(given[value.name], np.float32) for value in model.graph.input]
        events = 1 if static else len(inputs[0])
        batch = () if static else (events,)
        results = {v.name: np.full(batch + shape(v), 7e7, np.float32) for v in model.graph.output}
        pointers = [
            (ctypes.c_void_p * len(arrays))(*(a.ctypes.data for a in arrays))
            for arrays in (inputs, list(results.values()))
        ]
        function(pointers[0], events, pointers[1])
        return results

    return infer


def runtime(model: onnx.ModelProto, given: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return what ONNX Runtime computes, each operator as it stands."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return dict(zip([o.name for o in session.get_outputs()], session.run(None, dict(given)), strict=True))
