"""The parity certificate: what it holds, that a mismatch leaves nothing behind, and that it costs once."""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import hepml_root as hr
from hepml_root.errors import CompilerError, ParityError, SettingError, UnsupportedOperationError
from hepml_root.export import certificate, parity, sofie
from hepml_root.export.identity import identity
from hepml_root.inference import probe
from hepml_root.inference.compiler import Compiler

compile_module = importlib.import_module("hepml_root.inference.compile")


@pytest.fixture(autouse=True)
def _certified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEPML_ROOT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv(certificate.VARIABLE, raising=False)
    quick = tuple("-O1" if flag == "-O3" else flag for flag in compile_module.FLAGS)
    monkeypatch.setattr(compile_module, "FLAGS", quick)


@pytest.fixture(scope="module")
def data() -> hr.Dataset:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, 300)
    return hr.Dataset.from_arrays(rng.normal(size=(300, 3)), labels, classes=["background", "signal"])


@pytest.fixture(scope="module")
def model(data: hr.Dataset) -> Any:
    return hr.models.dense(data, hidden=(4,))


@pytest.fixture
def not_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise CompilerError("the compiler was called")

    monkeypatch.setattr(Compiler, "run", refuse)


def agreement(file: Path) -> dict[str, Any]:
    return hr.export.read_manifest(file)["parity"]


def entries(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_the_same_events_through_all_runtimes(
    model: Any, data: hr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = hr.export(model, tmp_path / "small.onnx", data=data)
    found = agreement(file)
    assert found["reference"] == "Keras"
    for runtime in ("onnxruntime", "cpp"):
        entry = found[runtime]
        assert entry["events"] == 300
        assert {"zeros", "denormal", "1000 times the largest"} < set(entry["edges"])
        assert max(entry["edges"].values()) == entry["edge_max_abs_difference"] < 1e-5
        assert entry["max_abs_difference"] < 1e-5
    assert found["cpp"]["instruction_set"] in ("avx512", "avx2", "avx", "plain")
    assert found["cpp"]["compiler"]
    lines = certificate.lines(found)
    assert len(lines) == 3
    assert lines[1].startswith("Keras and C++ (")

    # What was compiled for the certificate is what users get, though the file has changed since.
    monkeypatch.setattr(Compiler, "run", lambda *_: pytest.fail("compiled again"))
    compiled = hr.compile(file)
    np.testing.assert_allclose(
        hr.Session(file, "cpp").infer(data.X["features"]),
        model.predict({"features": data.X["features"]}, verbose=0),
        atol=1e-5,
    )
    # The library was held to the scores in the file, and to ONNX Runtime.
    assert compiled.certificate["probe"]["max_abs_difference"]["score"] < 1e-5
    assert compiled.certificate["cpp"]["edge_events"] == found["cpp"]["edge_events"]
    assert certificate.lines(compiled.certificate)[0].startswith("ONNX Runtime and C++")


def test_masked_constituents_hold_garbage(tmp_path: Path) -> None:
    network = hr.models.pfn({"particles": (3, 2)}, phi=(3,), hidden=(2,))
    found = agreement(hr.export(network, tmp_path / "set.onnx"))["cpp"]
    assert {"garbage behind the mask", "no constituent", "one constituent"} < set(found["edges"])
    assert found["edge_max_abs_difference"] < 1e-5


def test_a_mismatch_stops_the_export(
    model: Any, data: hr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here of single events alone."""
    right: Callable[..., parity.Predict] = certificate.compiled_predict

    def wrong(compiled: Any) -> parity.Predict:
        predict = right(compiled)

        def run(blocks: parity.Blocks) -> list[np.ndarray]:
            outputs = predict(blocks)
            alone = len(outputs[0]) == 1
            return [output + np.float32(1e-3) if alone else output for output in outputs]

        return run

    monkeypatch.setattr(certificate, "compiled_predict", wrong)
    with pytest.raises(
        ParityError, match=r"Keras and C\+\+ do not agree: output 'score' of .*batches of 1\)"
    ):
        hr.export(model, tmp_path / "small.onnx", data=data)
    assert entries(tmp_path) == []


def test_without_a_compiler_the_file_says_so(
    model: Any, data: hr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    found = agreement(hr.export(model, tmp_path / "small.onnx", data=data))
    assert "no-such-compiler" in found["cpp"]["skipped"]
    assert found["onnxruntime"]["events"] == 300
    assert "not compared" in certificate.lines(found)[1]


def test_a_network_that_the_engine_refuses_says_so(
    model: Any, data: hr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise UnsupportedOperationError("node 'a' (operator Loop): not yet.")

    monkeypatch.setattr("hepml_root.export.cpp.generate", refuse)
    found = agreement(hr.export(model, tmp_path / "small.onnx", data=data))
    assert found["cpp"] == {"skipped": "node 'a' (operator Loop): not yet."}


@pytest.mark.usefixtures("not_compiled")
def test_it_can_be_left_out(
    model: Any, data: hr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left_out = {"skipped": "not asked for."}
    file = hr.export(model, tmp_path / "a.onnx", data=data, certify=False)
    assert agreement(file)["cpp"] == agreement(file)["sofie"] == left_out
    monkeypatch.setenv(certificate.VARIABLE, "0")
    assert agreement(hr.export(model, tmp_path / "b.onnx", data=data))["cpp"] == left_out
    monkeypatch.setenv(certificate.VARIABLE, "sofie")
    found = agreement(hr.export.adopt(file, tmp_path / "c.onnx", data=data))
    assert found["reference"] == "ONNX Runtime"
    assert found["cpp"] == left_out
    assert found["sofie"] != left_out
    with pytest.raises(SettingError, match=r"'spc'.*cpp"):
        hr.export(model, tmp_path / "d.onnx", data=data, certify=["spc"])


def test_sofie_is_held_to_the_same(
    model: Any, data: hr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def score(path: Path, blocks: parity.Blocks, shift: float = 0.0) -> tuple[list[np.ndarray], str]:
        outputs = parity.onnxruntime_predict(onnx.load(str(path)), list(blocks))(blocks)
        return [output + np.float32(shift) for output in outputs], "6.99"

    monkeypatch.setattr(sofie, "evaluate", score)
    entry = agreement(hr.export(model, tmp_path / "a.onnx", data=data, certify=["sofie"]))["sofie"]
    assert entry["version"] == "ROOT 6.99"
    assert entry["events"] == 300
    monkeypatch.setattr(sofie, "evaluate", lambda path, blocks: score(path, blocks, 0.1))
    with pytest.raises(ParityError, match=r"Keras and SOFIE do not agree.*certify=\['cpp'\]"):
        hr.export(model, tmp_path / "b.onnx", data=data, certify=["sofie"])
    assert not (tmp_path / "b.onnx").exists()


def foreign(path: Path, *operators: str) -> Path:
    """A chain of operators as a file without a manifest."""
    values = [*(f"v{i}" for i in range(len(operators))), "y"]
    graph = helper.make_graph(
        [
            helper.make_node(operator, [before], [after])
            for operator, (before, after) in zip(operators, itertools.pairwise(values), strict=True)
        ],
        "chain",
        [helper.make_tensor_value_info("v0", TensorProto.FLOAT, ["N", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3])],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return path


def test_a_model_from_elsewhere_is_held_to_onnx_runtime(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = foreign(tmp_path / "chain.onnx", "Softplus", "Tanh")
    found = hr.compile(path).certificate
    assert found["cpp"]["events_from"] == "random numbers"
    assert found["cpp"]["edge_max_abs_difference"] < 1e-6
    wrong = lambda *arguments: [output * 1.01 for output in right(*arguments)]  # noqa: E731
    right = probe.predict
    monkeypatch.setattr(probe, "predict", wrong)
    other = foreign(tmp_path / "other.onnx", "Tanh")
    before = entries(tmp_path / "cache")
    with pytest.raises(ParityError, match=r"ONNX Runtime and C\+\+ do not agree"):
        hr.compile(other)
    assert entries(tmp_path / "cache") == before


def test_random_numbers_are_not_compared(tmp_path: Path) -> None:
    assert probe.draws_random_numbers(onnx.load(foreign(tmp_path / "a.onnx", "Tanh", "RandomNormalLike")))
    assert not probe.draws_random_numbers(onnx.load(foreign(tmp_path / "b.onnx", "Tanh")))
    inside = onnx.load(foreign(tmp_path / "c.onnx", "Tanh"))
    node = helper.make_node("RandomNormalLike", ["a"], ["b"])
    inside.functions.append(helper.make_function("own", "Noise", ["a"], ["b"], [node], []))
    assert probe.draws_random_numbers(inside)
    branch = helper.make_graph([node], "branch", [], [helper.make_empty_tensor_value_info("b")])
    choice = helper.make_node("If", ["c"], ["d"], then_branch=branch, else_branch=branch)
    del inside.functions[:]
    inside.graph.node.append(choice)
    assert probe.draws_random_numbers(inside)


def test_a_list_of_dictionaries_is_not_compared(tmp_path: Path) -> None:
    """ONNX Runtime gives what a ZipMap makes as dictionaries, in the order of their keys."""
    path = foreign(tmp_path / "zip.onnx", "Tanh")
    proto = onnx.load(path)
    proto.graph.node[0].output[0] = "t"
    proto.graph.node.append(
        helper.make_node("ZipMap", ["t"], ["y"], domain="ai.onnx.ml", classlabels_int64s=[3, 5, 7])
    )
    proto.opset_import.append(helper.make_opsetid("ai.onnx.ml", 1))
    dictionaries = helper.make_sequence_type_proto(
        helper.make_map_type_proto(TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, []))
    )
    proto.graph.output[0].CopyFrom(helper.make_value_info("y", dictionaries))
    onnx.save(proto, path)
    assert "no array of numbers" in hr.compile(path).certificate["cpp"]["skipped"]


def test_the_certificate_does_not_change_what_a_model_is(tmp_path: Path) -> None:
    model = onnx.load(foreign(tmp_path / "a.onnx", "Tanh"))

    def bytes_with(**properties: str) -> bytes:
        helper.set_model_props(model, properties)
        return model.SerializeToString()

    plain = bytes_with(note="n", hepml_root='{"name": "a", "parity": {}}')
    certified = bytes_with(note="n", hepml_root='{"parity": {"cpp": {"events": 3}}, "name": "a"}')
    assert identity(plain) == identity(certified)
    assert identity(plain) != identity(bytes_with(note="n", hepml_root='{"name": "b", "parity": {}}'))
    assert identity(plain) != identity(bytes_with(note="m", hepml_root='{"name": "a", "parity": {}}'))
    broken = bytes_with(hepml_root="{no json")
    assert identity(broken) == broken
    for length in range(len(certified)):  # no prefix of a file breaks it
        identity(certified[:length])
    assert identity(b"\xff" * 20) == b"\xff" * 20
