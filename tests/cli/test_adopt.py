"""``hepml-root adopt``: networks of other programs, with the inputs of a job."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import hepml_root as hr
from hepml_root.cli.commands import main

WEIGHTS = np.random.default_rng(1).normal(size=(3, 2)).astype(np.float32)


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """Two probabilities of three inputs, background last."""
    x = helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 3])
    y = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", 2])
    nodes = [helper.make_node("MatMul", ["input", "w"], ["z"]),
             helper.make_node("Softmax", ["z"], ["probabilities"], axis=1)]  # fmt: skip
    graph = helper.make_graph(nodes, "g", [x], [y], [numpy_helper.from_array(WEIGHTS, "w")])
    path = tmp_path / "foreign.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return path


def test_inputs_are_those_of_the_job(foreign, job_file, tmp_path, capsys):
    adopted = tmp_path / "mine.onnx"
    command = ["adopt", str(foreign), "--job", str(job_file), "-o", str(adopted), "--no-certify"]
    command += ["--labels", "signal", "background", "--working-point", "tight=0.75"]
    assert main(command) == 0
    assert "ONNX Runtime" in capsys.readouterr().out
    manifest = hr.export.read_manifest(adopted)
    columns = manifest["inputs"][0]["columns"]
    assert [column["label"] for column in columns] == ["m_bb", "jet1_b-tag", "dphi"]
    assert columns[2]["expression"] == "abs(lepton_phi - jet1_phi)"
    x = np.random.default_rng(2).normal(size=(50, 3)).astype(np.float32)
    z = x.astype(float) @ WEIGHTS
    session = hr.Session(adopted, engine="onnxruntime")
    np.testing.assert_allclose(session.infer(x)[:, 0], 1 / (1 + np.exp(z[:, 1] - z[:, 0])), rtol=1e-5)
    assert session.working_points["tight"].threshold == 0.75
    assert main(command) == 2  # it exists now
    assert "--overwrite" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ([], "2 values per event"),
        (["--labels", "sig", "background"], "signal"),
        (["--labels", "signal", "background", "--input", "inpt=features"], "input"),
        (["--scores", "probability"], "probabilities"),
    ],
)
def test_what_does_not_fit(more, words, foreign, job_file, tmp_path, capsys):
    adopted = tmp_path / "mine.onnx"
    assert main(["adopt", str(foreign), "--job", str(job_file), "-o", str(adopted), *more]) == 2
    assert words in capsys.readouterr().err
    assert not adopted.exists()
