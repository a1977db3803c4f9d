"""The benchmark of inference: operations are counted right, events fit a network, refusals are lines."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from benchmarks.inference import Row, networks, table
from benchmarks.inference.operations import operations


def model(shape: tuple[int, ...], node: onnx.NodeProto, **weights: tuple[int, ...]) -> onnx.ModelProto:
    graph = helper.make_graph(
        [node],
        "one",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", *shape])],
        [onnx.ValueInfoProto(name="y")],
        [numpy_helper.from_array(np.zeros(size, np.float32), name) for name, size in weights.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    return onnx.shape_inference.infer_shapes(made)


def test_operations() -> None:
    node = helper.make_node
    assert operations(model((3,), node("MatMul", ["x", "w"], ["y"]), w=(3, 5))) == 2 * 3 * 5
    assert operations(model((7, 3), node("MatMul", ["x", "w"], ["y"]), w=(3, 5))) == 7 * 2 * 3 * 5
    gemm = node("Gemm", ["x", "w"], ["y"], transB=1)
    assert operations(model((3,), gemm, w=(5, 3))) == 2 * 3 * 5
    conv = node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])
    assert operations(model((4, 8, 9), conv, w=(6, 4, 3, 3))) == 2 * 6 * 8 * 9 * 4 * 3 * 3
    grouped = node("Conv", ["x", "w"], ["y"], group=2)
    assert operations(model((4, 8, 9), grouped, w=(6, 2, 3, 3))) == 2 * 6 * 6 * 7 * 2 * 3 * 3
    transposed = node("ConvTranspose", ["x", "w"], ["y"], strides=[2, 2])
    assert operations(model((4, 3, 3), transposed, w=(4, 5, 2, 2))) == 2 * 4 * 9 * 5 * 4
    # With layout=1 the batch stands first: 20 steps of 4 features, 64 units of 4 gates.
    lstm = node("LSTM", ["x", "w", "r"], ["y"], layout=1, hidden_size=64)
    assert operations(model((20, 4), lstm, w=(1, 256, 4), r=(1, 256, 64))) == 2 * 20 * 256 * (4 + 64)
    einsum = node("Einsum", ["x", "w"], ["y"], equation="bij,jk->bik")
    assert operations(model((7, 3), einsum, w=(3, 5))) == 7 * 2 * 3 * 5
    assert operations(model((3,), node("Relu", ["x"], ["y"]))) == 0


def test_events_fit_the_inputs() -> None:
    inputs = [
        helper.make_tensor_value_info("jets", TensorProto.FLOAT, ["N", 5, 2]),
        helper.make_tensor_value_info("jets_mask", TensorProto.BOOL, ["N", 5]),
        helper.make_tensor_value_info("number", TensorProto.INT64, ["N", 1]),
    ]
    graph = helper.make_graph([], "inputs", inputs, [])
    blocks = networks.events(helper.make_model(graph), 100)
    assert {name: (array.shape, array.dtype.name) for name, array in blocks.items()} == {
        "jets": ((100, 5, 2), "float32"),
        "jets_mask": ((100, 5), "bool"),
        "number": ((100, 1), "int64"),
    }
    mask = blocks["jets_mask"]
    assert not np.any(mask[:, 1:] & ~mask[:, :-1])
    assert set(mask.sum(axis=1)) == set(range(6))


def test_the_table() -> None:
    refused = Row("a", "network a", 1000, refused="node 'n' (operator Det)")
    measured = Row("b", "network b", 2000, peak=1e9, batch=64, compiling=3.0, difference=1e-7)
    measured.rates = {"block": 4e5, "single": 3e4, "runtime best": 2e5, "runtime single": 1e4}
    lines = table([refused, measured]).splitlines()
    assert "refused: node 'n' (operator Det)" in lines[2]
    assert "| 400 k | 80 % | 200 k (64) | 2.00 | 30 k | 10 k | 3.0 |" in lines[3]
    assert len({line.count("|") for line in lines}) == 1
    assert [line["ratio"] for line in measured.lines()][1:4] == [0.8, 2.0, 3.0]
    assert next(refused.lines())["value"] == 0.0
