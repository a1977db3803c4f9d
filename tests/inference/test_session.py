"""Scores from Python through the compiled network, and what happens with wrong input."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest
from model_files import write_deep_sets, write_mlp

from hepml_root.errors import (
    ColumnNotFoundError,
    ColumnTypeError,
    ModelFileError,
    SettingError,
    ShapeError,
    SlowerWarning,
    UnsupportedOperationError,
)
from hepml_root.inference.session import Session


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("session")


@pytest.fixture(autouse=True)
def _cache(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEPML_ROOT_CACHE", str(folder / "cache"))


@pytest.fixture(scope="module")
def mlp(folder: Path) -> Path:
    return write_mlp(folder / "mlp.onnx", hidden=(40, 21), labels=("a", "b", "c"))


@pytest.fixture(scope="module")
def parametric(folder: Path) -> Path:
    return write_mlp(folder / "parametric.onnx", ("x", "y"), parameters=("mass",))


def events(count: int, columns: int = 28) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(count, columns)).astype(np.float32)


def test_engines_agree(mlp: Path) -> None:
    x = events(1000)
    cpp, runtime = Session(mlp, "cpp"), Session(mlp, "onnxruntime")
    assert (cpp.engine, runtime.engine, Session(mlp).engine) == ("cpp", "onnxruntime", "cpp")
    assert cpp.manifest["inputs"] == runtime.manifest["inputs"]
    for count in (0, 1, 2, 47, 48, 49, 1000):
        found, right = cpp.infer(x[:count]), runtime.infer(x[:count])
        assert found.shape == right.shape == (count, 3)
        np.testing.assert_allclose(found, right, rtol=2e-6, atol=1e-7)


def test_events_do_not_see_each_other(mlp: Path) -> None:
    """In any block of at least two, an event has the same score to the last bit; alone, to 1e-6."""
    session = Session(mlp, "cpp")
    x = events(200)
    together = session.infer(x)
    for size in (2, 3, 16, 31, 48, 100):
        parts = np.concatenate([session.infer(x[i : i + size]) for i in range(0, 200 - 200 % size, size)])
        assert np.array_equal(parts, together[: len(parts)])
    assert np.array_equal(session.infer(x[::-1])[::-1], together)
    alone = np.concatenate([session.infer(x[i : i + 1]) for i in range(200)])
    np.testing.assert_allclose(alone, together, rtol=1e-6, atol=1e-7)
    spoilt = x.copy()
    spoilt[::2] = np.nan
    assert np.array_equal(session.infer(spoilt)[1::2], together[1::2])
    assert np.isnan(session.infer(spoilt)[::2]).all()


def test_threads_share_one_network(mlp: Path) -> None:
    session = Session(mlp, "cpp")
    x = events(5000)
    right = session.infer(x)

    def work(thread: int) -> bool:
        sizes = (1 + thread, 48, 500)
        return all(
            np.array_equal(session.infer(x[first : first + size + 1]), right[first : first + size + 1])
            for size in sizes
            for first in range(0, 4000, 211)
        )

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(16)))


def test_several_inputs_by_name(parametric: Path) -> None:
    session = Session(parametric, "cpp")
    runtime = Session(parametric, "onnxruntime")
    inputs = {"parameters": np.ones((7, 1)), "features": events(7, 2).astype(np.float64)}
    np.testing.assert_allclose(session.infer(inputs), runtime.infer(inputs), rtol=2e-6)
    with pytest.raises(ShapeError, match="features, parameters"):
        session.infer(events(7, 2))
    with pytest.raises(ColumnNotFoundError, match="'parameters' is missing"):
        session.infer({"features": events(7, 2)})
    with pytest.raises(ColumnNotFoundError, match="Nearest: 'parameters'"):
        session.infer({"features": events(7, 2), "parameter": np.ones((7, 1))})
    with pytest.raises(ShapeError, match="different numbers of events"):
        session.infer({"features": events(7, 2), "parameters": np.ones((6, 1))})


def test_wrong_arrays(mlp: Path) -> None:
    session = Session(mlp, "cpp")
    with pytest.raises(ShapeError, match=r"\(events, 28\) is needed"):
        session.infer(events(5, 27))
    with pytest.raises(ShapeError, match=r"\(28,\)"):
        session.infer(events(1)[0])
    with pytest.raises(ShapeError, match="rectangular"):
        session.infer([[1.0] * 28, [2.0]])
    with pytest.raises(ColumnTypeError, match="numbers"):
        session.infer(np.full((2, 28), "1.0"))
    with pytest.raises(ColumnTypeError, match="complex"):
        session.infer(events(2) * 1j)
    with pytest.raises(SettingError, match="Nearest: 'cpp'"):
        Session(mlp, "cp")


def test_masks_may_be_bool(folder: Path) -> None:
    session = Session(write_deep_sets(folder / "sets.onnx", ("pt", "eta"), 4), "cpp")
    r = np.random.default_rng(3)
    jets, mask = r.normal(size=(9, 4, 2)), r.uniform(size=(9, 4)) < 0.5
    one = session.infer({"jets": jets, "jets_mask": mask})
    other = session.infer({"jets": jets, "jets_mask": mask.astype(np.int8)})
    assert np.array_equal(one, other)


def test_an_operator_that_has_no_cpp_is_left_to_onnxruntime(folder: Path) -> None:
    x = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["N", 3, 3])
    y = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["N"])
    node = onnx.helper.make_node("Det", ["x"], ["y"], name="volume")
    proto = onnx.helper.make_model(
        onnx.helper.make_graph([node], "det", [x], [y]),
        opset_imports=[onnx.helper.make_opsetid("", 20)],
        ir_version=9,
    )
    path = folder / "det.onnx"
    onnx.save(proto, path)
    with pytest.raises(UnsupportedOperationError, match=r"'volume' \(operator Det\).*engine='onnxruntime'"):
        Session(path, "cpp")
    with pytest.warns(SlowerWarning, match="operator Det"):
        session = Session(path)
    assert session.engine == "onnxruntime"
    matrices = np.random.default_rng(1).normal(size=(5, 3, 3)).astype(np.float32)
    np.testing.assert_allclose(session.infer(matrices), np.linalg.det(matrices), rtol=1e-4, atol=1e-5)


def foreign(path: Path, nodes: Sequence[onnx.NodeProto], kind: int, *shapes: Sequence[int | str]) -> Path:
    """A model from elsewhere: input x of a type and shape, output y."""
    x = onnx.helper.make_tensor_value_info("x", kind, list(shapes[0]))
    y = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, list(shapes[1]))
    onnx.save(
        onnx.helper.make_model(
            onnx.helper.make_graph(list(nodes), "foreign", [x], [y]),
            opset_imports=[onnx.helper.make_opsetid("", 20)],
            ir_version=9,
        ),
        path,
    )
    return path


@pytest.mark.parametrize("engine", ["cpp", "onnxruntime"])
def test_integer_inputs_are_taken(folder: Path, engine: str) -> None:
    nodes = [
        onnx.helper.make_node("Neg", ["x"], ["minus"]),
        onnx.helper.make_node("Cast", ["minus"], ["y"], to=onnx.TensorProto.FLOAT),
    ]
    path = foreign(folder / "whole.onnx", nodes, onnx.TensorProto.INT64, ["N", 3], ["N", 3])
    x = np.array([[1, -2, 3], [4, 5, -6]])
    np.testing.assert_array_equal(Session(path, engine).infer(x), -x)


def test_what_onnxruntime_cannot_give_is_named(folder: Path) -> None:
    node = onnx.helper.make_node("Relu", ["x"], ["y"])
    path = foreign(folder / "free.onnx", [node], onnx.TensorProto.FLOAT, ["N", "K"], ["N", "K"])
    with pytest.raises(ModelFileError, match=r"'x' of .*free.onnx.* must have fixed lengths"):
        Session(path, "onnxruntime")
    path = foreign(folder / "one.onnx", [node], onnx.TensorProto.FLOAT, [1, 3], [1, 3])
    with pytest.raises(ModelFileError, match=r"one.onnx' on 2 events"):
        Session(path, "onnxruntime").infer(np.zeros((2, 3)))
