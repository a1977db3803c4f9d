"""Sessions of generated headers: shared, copied, moved, in threads of small stacks; what they allocate."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from model_files import write_mlp
from onnx import TensorProto, helper

from hepml_root.export.cpp import generate
from hepml_root.inference.compiler import find_compiler

CPP = Path(__file__).parents[1] / "cpp"


@pytest.fixture(scope="module")
def headers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sharing")
    generate(write_mlp(folder / "narrow.onnx", hidden=(40, 21))).save(folder)
    # 20 000 values and as many again, for one event: more than the stack of a thread should hold.
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 20000])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 2])
    nodes = [
        helper.make_node("Relu", ["x"], ["positive"]),
        helper.make_node("Concat", ["positive", "x"], ["both"], axis=1),
        helper.make_node("ReduceSum", ["both", "axes"], ["sum"], keepdims=1),
        helper.make_node("ReduceMax", ["both", "axes"], ["largest"], keepdims=1),
        helper.make_node("Concat", ["sum", "largest"], ["y"], axis=1),
    ]
    axes = helper.make_tensor("axes", TensorProto.INT64, [1], [1])
    graph = helper.make_graph(nodes, "wide", [x], [y], [axes])
    generate(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])).save(folder)
    return folder


def test_sessions_may_be_shared_copied_and_moved_and_do_not_allocate(headers: Path) -> None:
    arguments = [
        "-std=c++17",
        "-O1",
        "-march=native",
        "-Wall",
        "-Wextra",
        "-pthread",
        f"-I{CPP}",
        f"-I{headers}",
    ]
    find_compiler().run([*arguments, str(CPP / "sharing.cxx"), "-o", "sharing"], headers)
    done = subprocess.run([str(headers / "sharing")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.fullmatch(r"narrow: 0 allocations\nwide: [01] allocations\n", done.stdout)
