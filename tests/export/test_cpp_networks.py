"""Dense networks of odd and even sizes, fused and not, against ONNX Runtime at many batch sizes."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from hepml_root.inference.session import Session

BATCHES = (1, 2, 15, 16, 17, 1000)
SIZES = (1, 3, 17, 64, 300)
# The last bits of float32 add up over layers: allowed of the largest output.
TOLERANCE = 1e-5


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEPML_ROOT_CACHE", str(tmp_path_factory.getbasetemp() / "hepml_root_cache"))


def chains() -> list[tuple[int, ...]]:
    """Return chains of layers in which every pair of sizes follows each other once."""
    pairs = list(itertools.product(SIZES, SIZES))
    r = np.random.default_rng(1)
    r.shuffle(pairs)
    result: list[list[int]] = []
    for a, b in pairs:
        for chain in result:
            if chain[-1] == a and len(chain) < 7:
                chain.append(b)
                break
        else:
            result.append([a, b])
    return [tuple(chain) for chain in result]


def write(path: Path, chain: tuple[int, ...], seed: int) -> Path:
    r = np.random.default_rng(seed)
    activations = ("Relu", "Tanh", "Sigmoid", "Elu", "Softplus", "LeakyRelu", "Gelu", None)
    nodes, weights, value = [], [], "features"
    before = value
    for i, (a, b) in enumerate(itertools.pairwise(chain)):
        weights.append(
            numpy_helper.from_array((r.normal(size=(a, b)) / np.sqrt(a)).astype(np.float32), f"w{i}")
        )
        weights.append(numpy_helper.from_array(r.normal(size=b).astype(np.float32), f"b{i}"))
        if r.integers(2):
            nodes.append(helper.make_node("Gemm", [value, f"w{i}", f"b{i}"], [f"s{i}"]))
        else:
            nodes.append(helper.make_node("MatMul", [value, f"w{i}"], [f"m{i}"]))
            nodes.append(helper.make_node("Add", [f"m{i}", f"b{i}"], [f"s{i}"]))
        value = f"s{i}"
        activation = activations[r.integers(len(activations))]
        if activation:
            nodes.append(helper.make_node(activation, [value], [f"a{i}"]))
            value = f"a{i}"
        if a == b:  # a residual connection
            nodes.append(helper.make_node("Add", [value, before], [f"r{i}"]))
            value = f"r{i}"
        before = value
    nodes.append(helper.make_node("Identity", [value], ["score"]))
    graph = helper.make_graph(
        nodes,
        "chain",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", chain[0]])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["N", chain[-1]])],
        weights,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    return path


@pytest.mark.parametrize("chain", chains(), ids=lambda chain: "-".join(map(str, chain)))
def test_sizes(chain: tuple[int, ...], tmp_path: Path) -> None:
    path = write(tmp_path / "chain.onnx", chain, seed=sum(chain))
    x = np.random.default_rng(2).normal(size=(1000, chain[0])).astype(np.float32)
    x[::10] *= 100
    right = onnxruntime.InferenceSession(str(path)).run(None, {"features": x})[0]
    session = Session(path, "cpp")
    scale = max(1.0, float(np.abs(right).max()))
    for batch in BATCHES:
        found = session.infer(x[:batch])
        np.testing.assert_allclose(found, right[:batch], rtol=TOLERANCE, atol=TOLERANCE * scale)
