"""Several ONNX models compiled into one library, without much optimisation, and what ONNX Runtime says."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

from hepml_root.export.cpp import generate
from hepml_root.inference.compiler import FLAGS, INSTRUCTIONS, find_compiler
from hepml_root.inference.interface import INFER, library_source

Infer = Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]]


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
    flags = [*FLAGS, *INSTRUCTIONS["native"], "-O1", *flags, "-shared"]
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
