"""``hepml-root inspect`` says what a file holds, and no more."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import hepml_root as hr
from hepml_root.cli.commands import main


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(1)
    data = hr.Dataset.from_arrays(rng.normal(size=(200, 3)), rng.integers(0, 2, 200), columns=["a", "b", "c"])
    points = [{"name": "tight", "threshold": 0.75, "chosen_on": "validation", "signal": 12.5}]
    file = tmp_path_factory.mktemp("inspect") / "small.onnx"
    return hr.export(
        hr.models.dense(data, hidden=(5,)), file, data=data, working_points=points, certify=False
    )


def test_a_file_of_ours(exported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(exported)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:5] == [
        "dense: binary, of background, signal",
        "input features: flat, (events, 3)",
        "  a",
        "  b",
        "  c",
    ]
    assert lines[5:7] == [
        "output score: (events, 1): signal",
        "working point tight: score >= 0.75 (chosen_on validation, signal 12.5)",
    ]
    # Mean and scale of 3 columns; 3 × 5 + 5 weights and 5 + 1.
    assert lines[-1].startswith(f"{3 + 3 + 3 * 5 + 5 + 5 + 1} numbers in weights; ")
    assert any("ONNX Runtime" in line and "200 events" in line for line in lines)


def test_for_programs(exported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(exported), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    manifest = hr.export.read_manifest(exported)
    assert printed == {key: value for key, value in manifest.items() if key != "probe"}


def test_a_file_of_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 5])
    matrix = numpy_helper.from_array(np.ones((3, 5), np.float32), "w")
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "g", [x], [y], [matrix])
    file = tmp_path / "foreign.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), file)
    assert main(["inspect", str(file)]) == 0
    shown = capsys.readouterr().out
    assert "hepml-root adopt" in shown
    assert (
        "input x: float (N, 3)\noutput y: float (N, 5)\n15 numbers in weights; opset 18; 1 nodes: MatMul 1"
        in shown
    )
    assert main(["inspect", str(file), "--json"]) == 2
    assert "no manifest" in capsys.readouterr().err


def test_what_is_no_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.onnx").write_text("no model")
    for name in ("x.onnx", "absent.onnx"):
        assert main(["inspect", str(tmp_path / name)]) == 2
        assert name in capsys.readouterr().err
