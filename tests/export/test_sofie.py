"""Graphs written for ROOT's SOFIE compute the same; where there is SOFIE, so does its code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from benchmarks.inference import networks
from hepml_root.errors import UnsupportedOperationError
from hepml_root.export import sofie
from hepml_root.export.sofie_rewrites import OPERATORS, REWRITES, acceptable

SHAPE = (2, 3, 4)


def model(
    nodes: list[onnx.NodeProto], output: int = TensorProto.FLOAT, opset: int = 22, **weights: np.ndarray
) -> onnx.ModelProto:
    """A model from x (events, 2, 3, 4) to y."""
    graph = helper.make_graph(
        nodes,
        "nodes",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", *SHAPE])],
        [onnx.ValueInfoProto(name="y")],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in weights.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    inferred = onnx.shape_inference.infer_shapes(made, strict_mode=True)
    assert inferred.graph.output[0].type.tensor_type.elem_type == output
    return inferred


def node(operator: str, *inputs: str, **attributes: object) -> list[onnx.NodeProto]:
    return [helper.make_node(operator, inputs or ["x"], ["y"], name="node", **attributes)]


def through_bool(*nodes: onnx.NodeProto) -> list[onnx.NodeProto]:
    """Two conditions of x, a and b; then the nodes on them; then a number."""
    return [
        helper.make_node("Greater", ["x", "zero"], ["a"]),
        helper.make_node("Less", ["x", "one"], ["b"]),
        *nodes,
        helper.make_node("Cast", ["c"], ["y"], to=TensorProto.FLOAT),
    ]


ZERO, ONE = np.float32([0]), np.float32([1])
AXES = np.int64([1, 3])
CASES: dict[str, onnx.ModelProto] = {
    "Clip": model(node("Clip", "x", "low", "high"), low=np.float32(-0.5), high=np.float32(0.7)),
    "Clip from 0": model(node("Clip", "x", "low"), low=np.float32(0)),
    "Clip to 1": model(node("Clip", "x", "", "high"), high=np.float32(1)),
    "Clip nothing": model(node("Clip")),
    "Softplus": model(node("Softplus")),
    "PRelu": model(node("PRelu", "x", "slope"), slope=np.float32([[[0.1]], [[0.2]], [[-0.3]]])[:2]),
    "Gelu": model(node("Gelu")),
    "Gelu by tanh": model(node("Gelu", approximate="tanh")),
    "HardSigmoid": model(node("HardSigmoid", alpha=0.3, beta=0.4)),
    "HardSwish": model(node("HardSwish")),
    "Mish": model(node("Mish")),
    "Softsign": model(node("Softsign")),
    "Celu": model(node("Celu", alpha=0.7)),
    "LogSoftmax": model(node("LogSoftmax", axis=2)),
    "ReduceMax": model(node("ReduceMax", "x", "axes", keepdims=0), axes=AXES),
    "ReduceMin": model(node("ReduceMin", "x", "axes"), axes=AXES),
    "ReduceMax of old": model(node("ReduceMax", axes=[2], keepdims=0), opset=13),
    "ReduceL1": model(node("ReduceL1", "x", "axes", keepdims=0), axes=AXES),
    "ReduceL2": model(node("ReduceL2", "x", "axes"), axes=AXES),
    "ArgMax": model(node("ArgMax", axis=-1, keepdims=0), TensorProto.INT64),
    "ArgMin": model(node("ArgMin", axis=1), TensorProto.INT64),
    "GlobalMaxPool": model(node("GlobalMaxPool")),
    "Not": model(through_bool(helper.make_node("Not", ["a"], ["c"])), zero=ZERO, one=ONE),
    "And": model(through_bool(helper.make_node("And", ["a", "b"], ["c"])), zero=ZERO, one=ONE),
    "Or": model(through_bool(helper.make_node("Or", ["a", "b"], ["c"])), zero=ZERO, one=ONE),
    "Xor": model(through_bool(helper.make_node("Xor", ["a", "b"], ["c"])), zero=ZERO, one=ONE),
    "Sign": model(node("Sign")),
    "Dropout": model(node("Dropout")),
    "Swish": model(node("Swish", alpha=1.5), opset=24),
}


def run(given: onnx.ModelProto, blocks: dict[str, np.ndarray]) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(given.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, blocks)


def one_by_one(given: onnx.ModelProto, blocks: dict[str, np.ndarray]) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(given.SerializeToString(), providers=["CPUExecutionProvider"])
    events = len(next(iter(blocks.values())))
    rows = [session.run(None, {name: a[i : i + 1] for name, a in blocks.items()}) for i in range(events)]
    return [np.concatenate(column) for column in zip(*rows, strict=True)]


def test_every_rewrite_is_tested() -> None:
    assert set(REWRITES) <= {node.op_type for case in CASES.values() for node in case.graph.node}


@pytest.mark.parametrize("name", CASES)
def test_a_rewritten_operator_computes_the_same(name: str) -> None:
    case = CASES[name]
    if name == "Swish" and onnx.defs.onnx_opset_version() < 24:
        pytest.skip("onnx has no Swish yet")
    x = np.random.default_rng(1).normal(size=(7, *SHAPE)).astype(np.float32)
    x[0], x[1], x[2, :, 0], x[3] = 0.0, 90.0, -90.0, np.round(x[3])
    rewritten = acceptable(case)
    onnx.checker.check_model(rewritten, full_check=True)
    assert {node.op_type for node in rewritten.graph.node} <= OPERATORS
    (wanted,) = one_by_one(case, {"x": x})
    (found,) = one_by_one(rewritten, {"x": x})
    assert found.dtype == wanted.dtype
    np.testing.assert_allclose(found, wanted, rtol=2e-6, atol=2e-6)


def test_what_cannot_be_written_is_refused_by_name() -> None:
    nodes = [
        helper.make_node("GatherND", ["x", "index"], ["picked"], name="picking", batch_dims=1),
        helper.make_node("CumSum", ["picked", "axis"], ["y"], name="summing"),
    ]
    case = model(nodes, index=np.int64([[0]]), axis=np.int64(1))
    with pytest.raises(UnsupportedOperationError, match=r"'picking' \(GatherND\), 'summing' \(CumSum\)"):
        acceptable(case)


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("sofie")
    return {name: networks.file(name, folder, small=True) for name in networks.NETWORKS}


REFUSED = {"edge-conv": "GatherND", "lightgbm": "TreeEnsembleRegressor"}


@pytest.mark.parametrize("name", networks.NETWORKS)
def test_the_zoo_is_acceptable(name: str, zoo: dict[str, Path]) -> None:
    case = onnx.load(str(zoo[name]))
    if name in REFUSED:
        with pytest.raises(UnsupportedOperationError, match=REFUSED[name]):
            acceptable(case)
        return
    rewritten = acceptable(case)
    onnx.checker.check_model(rewritten, full_check=True)
    blocks = networks.events(case, 20)
    for found, wanted in zip(one_by_one(rewritten, blocks), run(case, blocks), strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-5 * np.abs(wanted).max())


@pytest.mark.skipif(sofie.why_not() == "", reason="there is SOFIE")
def test_without_sofie_it_says_so(zoo: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(UnsupportedOperationError, match=r"SOFIE|ROOT is not installed"):
        sofie.generate(zoo["mlp"], tmp_path / "mlp.hxx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sofie.why_not() != "", reason=sofie.why_not())
@pytest.mark.parametrize("name", [name for name in networks.NETWORKS if name not in REFUSED])
def test_sofie_computes_the_same(name: str, zoo: dict[str, Path]) -> None:
    case = onnx.load(str(zoo[name]))
    blocks = networks.events(case, 100)
    found, _ = sofie.evaluate(zoo[name], blocks)
    for ours, wanted in zip(found, run(case, blocks), strict=True):
        np.testing.assert_allclose(ours, wanted, atol=1e-5 * np.abs(wanted).max())


@pytest.mark.skipif(sofie.why_not() != "", reason=sofie.why_not())
def test_sofie_writes_its_header(zoo: dict[str, Path], tmp_path: Path) -> None:
    header = sofie.generate(zoo["mlp"], tmp_path / "mlp.hxx")
    assert "TMVA_SOFIE_mlp" in header.read_text()
