"""Compiling models into cached libraries: what is kept, what is refused; nothing half-made is used."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import onnx
import pytest
from model_files import runtime_scores, write_deep_sets, write_mlp
from onnx import TensorProto, helper

from hepml_root.errors import (
    CompilerError,
    ModelFileError,
    OutputExistsError,
    OutputWriteError,
    ParityError,
    SourceNotFoundError,
    UnsupportedOperationError,
)
from hepml_root.export.cpp import generator
from hepml_root.export.manifest import manifest_in, write_model
from hepml_root.inference.compile import compile

COLUMNS = ("a", "b", "c")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HEPML_ROOT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CXX", raising=False)
    return tmp_path / "cache"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_mlp(tmp_path / "small.onnx", COLUMNS, hidden=(5,))


def scores(compiled: object, x: np.ndarray, outputs: int = 1) -> np.ndarray:
    y = np.empty((len(x), outputs), np.float32)
    compiled.infer([x], [y])  # type: ignore[attr-defined]
    return y


def test_the_library_is_cached_and_changes_with_what_it_is_made_of(model: Path, tmp_path: Path) -> None:
    first = compile(model)
    made = first.library.stat().st_mtime_ns
    again = compile(model)
    assert again == first
    assert again.library.stat().st_mtime_ns == made
    other_flags = compile(model, compiler="g++ -DSOMETHING")
    other_model = compile(write_mlp(tmp_path / "other" / "small.onnx", COLUMNS, hidden=(5,), seed=2))
    assert len({first.library, other_flags.library, other_model.library}) == 3
    x = np.random.default_rng(1).normal(size=(33, 3)).astype(np.float32)
    assert np.array_equal(scores(first, x), scores(other_flags, x))
    # Two models of one name in one process each give their own scores.
    assert np.abs(scores(first, x) - scores(other_model, x)).max() > 1e-3
    np.testing.assert_allclose(scores(first, x), runtime_scores(model, features=x), atol=1e-6)


@pytest.mark.parametrize("lost", ["manifest.json", "small.hxx", "small.so", "small.weights"])
def test_what_lost_a_file_in_the_cache_is_made_again(
    model: Path, cache: Path, lost: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cleaners of temporary folders delete single files by their age."""
    if lost == "small.weights":  # as of a network of many weights
        monkeypatch.setattr(generator, "MOST_WEIGHTS_IN_HEADER", 0)
    folder = compile(model).library.parent
    (folder / lost).unlink()
    compiled = compile(model)
    assert compiled.library.parent == folder
    assert (folder / lost).is_file()
    assert [path.name for path in cache.iterdir()] == [folder.name]
    x = np.random.default_rng(1).normal(size=(33, 3)).astype(np.float32)
    np.testing.assert_allclose(scores(compiled, x), runtime_scores(model, features=x), atol=1e-6)


def test_output_gets_library_and_header(model: Path, tmp_path: Path) -> None:
    compiled = compile(model, tmp_path / "out" / "libsmall.so")
    assert compiled.library == tmp_path / "out" / "libsmall.so"
    assert "namespace TMVA_SOFIE_small" in compiled.header.read_text()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["libsmall.hxx", "libsmall.so"]
    with pytest.raises(OutputExistsError, match=r"libsmall\.so"):
        compile(model, tmp_path / "out" / "libsmall.so")
    assert compile(model, tmp_path / "out" / "libsmall", overwrite=True).library == compiled.library


def test_masks_and_several_inputs(tmp_path: Path) -> None:
    path = write_deep_sets(tmp_path / "sets.onnx", ("pt", "eta"), 4)
    compiled = compile(path)
    r = np.random.default_rng(3)
    jets = r.normal(size=(50, 4, 2)).astype(np.float32)
    mask = (r.uniform(size=(50, 4)) < 0.6).astype(np.float32)
    y = np.empty((50, 1), np.float32)
    compiled.infer([jets, mask], [y])
    np.testing.assert_allclose(y, runtime_scores(path, jets=jets, jets_mask=mask), atol=1e-6)


def test_a_missing_compiler_says_what_to_install(
    model: Path, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    with pytest.raises(CompilerError, match="apt install"):
        compile(model, compiler="no-such-compiler")
    monkeypatch.setenv("CXX", "no-such-compiler-either")
    with pytest.raises(CompilerError, match="no-such-compiler-either"):
        compile(model)
    monkeypatch.delenv("CXX")
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(CompilerError, match=r"looked for g\+\+"):
        compile(model)
    assert not cache.exists()


def test_a_failing_compiler_shows_its_first_errors(model: Path, cache: Path) -> None:
    with pytest.raises(CompilerError, match="unrecognized command-line option") as caught:
        compile(model, compiler="g++ --no-such-option-for-anyone")
    assert "exit code 1" in str(caught.value) or "no C++ compiler" in str(caught.value)
    with pytest.raises(CompilerError, match="error") as caught:
        compile(model, compiler="g++ -include no_such_header.h")
    assert "no_such_header.h" in str(caught.value)
    assert not cache.exists() or list(cache.iterdir()) == []


def test_files_that_are_no_models(tmp_path: Path, model: Path) -> None:
    with pytest.raises(SourceNotFoundError):
        compile(tmp_path / "absent.onnx")
    truncated = tmp_path / "truncated.onnx"
    truncated.write_bytes(model.read_bytes()[:200])
    with pytest.raises(ModelFileError):
        compile(truncated)
    (tmp_path / "text.onnx").write_text("not a model")
    with pytest.raises(ModelFileError):
        compile(tmp_path / "text.onnx")


def test_unsupported_operators_are_named(tmp_path: Path) -> None:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3])
    for operator, attributes in (("Det", {}), ("CumSum", {}), ("Softmax", {"axis": 0})):
        inputs = ["x", "axis"] if operator == "CumSum" else ["x"]
        axis = [helper.make_tensor("axis", TensorProto.INT64, [], [0])] if operator == "CumSum" else []
        node = helper.make_node(operator, inputs, ["y"], name="culprit", **attributes)
        graph = helper.make_graph([node], "g", [x], [y], axis)
        path = tmp_path / f"{operator}.onnx"
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
        with pytest.raises(UnsupportedOperationError, match=f"'culprit'.*{operator}"):
            compile(path)


def test_a_network_that_misses_its_probe_events_is_not_used(model: Path, tmp_path: Path, cache: Path) -> None:
    proto = onnx.load(model)
    manifest = manifest_in(proto)
    right = np.frombuffer(base64.b64decode(manifest["probe"]["outputs"]["score"]["data"]), "<f4").copy()
    right[7] += 1e-3
    manifest["probe"]["outputs"]["score"]["data"] = base64.b64encode(right.tobytes()).decode()
    wrong = write_model(proto, manifest, tmp_path / "wrong.onnx")
    with pytest.raises(ParityError, match="'score'"):
        compile(wrong)
    assert list(cache.iterdir()) == []


def test_a_cache_that_cannot_be_written(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HEPML_ROOT_CACHE", str(tmp_path / "file"))
    with pytest.raises(OutputWriteError, match="HEPML_ROOT_CACHE"):
        compile(model)


def run(code: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_processes_may_build_the_same_model_at_once(model: Path, cache: Path) -> None:
    code = f"""
        import hepml_root as hr
        print(float(hr.Session({str(model)!r}, "cpp").infer([[1.0, 2.0, 3.0]])[0, 0]))
    """
    processes = [run(code) for _ in range(3)]
    outputs = [process.communicate(timeout=300) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], outputs
    assert len({output for output, _ in outputs}) == 1
    assert len(list(cache.iterdir())) == 1


def test_a_cached_model_needs_neither_onnx_nor_root_nor_keras(model: Path) -> None:
    compile(model)
    process = run(f"""
        import sys, hepml_root as hr
        hr.Session({str(model)!r}, "cpp").infer([[1.0, 2.0, 3.0]])
        print(sorted({{"onnx", "ROOT", "keras", "tensorflow"}} & set(sys.modules)))
    """)
    output, errors = process.communicate(timeout=120)
    assert output.strip() == "[]", errors


def test_without_a_compiler_the_interpreter_takes_over_with_a_warning(model: Path, tmp_path: Path) -> None:
    pytest.importorskip("ROOT")
    second = write_mlp(tmp_path / "again" / "small.onnx", COLUMNS, hidden=(5,), seed=9)
    process = run(
        f"""
        import warnings, numpy as np
        from hepml_root.inference.compile import compile_or_interpret
        x = np.random.default_rng(1).normal(size=(33, 3)).astype(np.float32)
        for path in ({str(model)!r}, {str(second)!r}, {str(model)!r}):
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                model = compile_or_interpret(path)
            assert any("interpreter" in str(w.message) for w in caught)
            assert model.library is None
            y = np.empty((33, 1), np.float32)
            model.infer([x], [y])
            print(*y[:, 0])
        """,
        CXX="no-such-compiler",
    )
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    x = np.random.default_rng(1).normal(size=(33, 3)).astype(np.float32)
    found = [np.array(line.split(), np.float32) for line in output.strip().splitlines()]
    for row, path in zip(found, (model, second, model), strict=True):
        np.testing.assert_allclose(row, runtime_scores(path, features=x)[:, 0], atol=1e-6)
