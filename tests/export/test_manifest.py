"""The manifest in a file: what is read back, and what is said about files that are not right."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from hepml_root.errors import ModelFileError, OutputExistsError, SettingError, SourceNotFoundError
from hepml_root.export import manifest as manifests


def graph() -> onnx.ModelProto:
    weight = onnx.numpy_helper.from_array(np.eye(2, dtype=np.float32), "w")
    body = onnx.helper.make_graph(
        [onnx.helper.make_node("MatMul", ["features", "w"], ["score"])],
        "small",
        [onnx.helper.make_tensor_value_info("features", 1, ["events", 2])],
        [onnx.helper.make_tensor_value_info("score", 1, ["events", 2])],
        [weight],
    )
    return onnx.helper.make_model(body, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)


def valid() -> dict[str, Any]:
    columns = [{"label": name, "expression": name, "units": ""} for name in ("pt", "eta")]
    values = np.arange(6, dtype=np.float32).reshape(3, 2)
    return {
        "format": "hepml_root",
        "version": 1,
        "task": "multiclass",
        "name": "small",
        "inputs": [{"name": "features", "kind": "flat", "shape": [2], "columns": columns}],
        "outputs": [{"name": "score", "shape": [2], "labels": ["top", "w"]}],
        "classes": ["top", "w"],
        "signal": None,
        "targets": [],
        "working_points": [],
        "provenance": {"versions": {}, "created": "2026-01-01T00:00:00Z"},
        "probe": {
            "inputs": {"features": manifests.encode_array(values)},
            "outputs": {"score": manifests.encode_array(values)},
        },
        "parity": {},
    }


def test_it_comes_back_as_it_was_written(tmp_path: Path) -> None:
    manifest = {**valid(), "note": 'τ → μ, "quoted"\n', "numbers": [1, 2.5, None, True]}
    path = manifests.write_model(graph(), manifest, tmp_path / "m.onnx")
    proto, found = manifests.read_model(path)
    assert found == manifest
    assert [node.op_type for node in proto.graph.node] == ["MatMul"]
    onnx.checker.check_model(proto, full_check=True)
    inputs, outputs = manifests.probe_arrays(found)
    np.testing.assert_array_equal(inputs["features"], outputs["score"])
    with pytest.raises(OutputExistsError):
        manifests.write_model(graph(), manifest, path)


def test_arrays_keep_every_bit() -> None:
    values = np.array([[0.0, -0.0, 1e-41], [np.inf, -np.inf, np.nan]], np.float32)
    back = manifests.decode_array(json.loads(json.dumps(manifests.encode_array(values))))
    assert back.tobytes() == values.tobytes()
    assert manifests.decode_array(manifests.encode_array(np.zeros((0, 3)))).shape == (0, 3)


def changed(path: str, value: Any) -> dict[str, Any]:
    """A valid manifest with one entry replaced, or removed if the value is Ellipsis."""
    manifest = valid()
    *parents, last = path.split(".")
    entry: Any = manifest
    for key in parents:
        entry = entry[int(key) if key.isdigit() else key]
    if value is ...:
        del entry[last]
    else:
        entry[last] = value
    return manifest


INVALID = {
    "format": ("other", "written by something else"),
    "version": (2, "Update hepml_root"),
    "task": ("guessing", "guessing.*binary"),
    "name": (..., "lacks the key 'name'"),
    "inputs": ({}, "inputs is no list"),
    "inputs.0.name": ("particles", r"inputs are \['particles'\].*\['features'\]"),
    "inputs.0.kind": ("odd", "odd.*jagged"),
    "inputs.0.shape": ([3], "2 columns"),
    "inputs.0.columns": ([{"label": "pt"}], r"columns\[0\] lacks the key 'expression'"),
    "outputs.0.shape": ([5], r"'score' has the shape \[5\]"),
    "outputs.0.name": ("probability", "outputs are"),
    "outputs.0.labels": ([1, 2], "int instead of str"),
    "working_points": ([{"name": "tight"}], "lacks the key 'threshold'"),
    "provenance.created": (3, "int instead of str"),
    "probe": (..., "lacks the key 'probe'"),
    "classes": ("top", "no list"),
}


@pytest.mark.parametrize("path", INVALID)
def test_an_invalid_manifest_is_neither_written_nor_read(path: str, tmp_path: Path) -> None:
    value, message = INVALID[path]
    with pytest.raises(ModelFileError, match=message):
        manifests.write_model(graph(), changed(path, value), tmp_path / "m.onnx")
    assert not (tmp_path / "m.onnx").exists()
    proto = graph()
    entry = proto.metadata_props.add()
    entry.key, entry.value = manifests.KEY, json.dumps(changed(path, value))
    onnx.save(proto, tmp_path / "forced.onnx")
    with pytest.raises(ModelFileError, match=message):
        manifests.read_manifest(tmp_path / "forced.onnx")


def test_a_jagged_input_names_its_mask() -> None:
    manifest = valid()
    jagged = {"name": "jets", "kind": "jagged", "shape": [6, 2], "columns": manifest["inputs"][0]["columns"]}
    manifest["inputs"].append({**jagged, "mask": "features"})
    with pytest.raises(ModelFileError, match="'jets' does not name an input of kind mask"):
        manifests.validate(manifest)
    manifest["inputs"][1]["mask"] = "jets_mask"
    manifest["inputs"].append({"name": "jets_mask", "kind": "mask", "shape": [6], "columns": []})
    assert manifests.validate(manifest) is manifest
    manifest["inputs"].append(manifest["inputs"][0])
    with pytest.raises(ModelFileError, match="twice"):
        manifests.validate(manifest)


@pytest.mark.parametrize(
    ("shape", "mask", "said"),
    [
        ([6, 2], [2], r"its mask 'jets_mask' has \[2\]"),
        ([6, 1, 2], [6], "2 columns but the shape"),
        ([-6, 2], [-6], r"the shape \[-6, 2\]"),
        ([], [], "2 columns but the shape"),
    ],
)
def test_what_is_filled_in_has_the_shape_of_its_columns(shape: list[int], mask: list[int], said: str) -> None:
    """Columns are written one by one into arrays of these shapes: they must fit, and fill them."""
    manifest = valid()
    columns = manifest["inputs"][0]["columns"]
    manifest["inputs"] += [
        {"name": "jets", "kind": "jagged", "shape": shape, "columns": columns, "mask": "jets_mask"},
        {"name": "jets_mask", "kind": "mask", "shape": mask, "columns": []},
    ]
    with pytest.raises(ModelFileError, match=said):
        manifests.validate(manifest)
    manifest["inputs"] = [{**manifest["inputs"][0], "shape": [3, 2]}]
    with pytest.raises(ModelFileError, match="2 columns but the shape"):
        manifests.validate(manifest)


def test_files_that_are_no_model(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFoundError, match=r"absent\.onnx"):
        manifests.read_manifest(tmp_path / "absent.onnx")
    for name, content in {
        "empty": b"",
        "text": b"hello world\n" * 20,
        "root": b"root\x00\x00\xf7\xea" + bytes(500),
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ModelFileError, match=name):
            manifests.read_manifest(tmp_path / name)
    with pytest.raises(SourceNotFoundError):
        manifests.read_manifest(tmp_path)
    onnx.save(graph(), tmp_path / "plain.onnx")
    with pytest.raises(ModelFileError, match="adopt"):
        manifests.read_manifest(tmp_path / "plain.onnx")


def test_a_truncated_file_is_refused_wherever_it_ends(tmp_path: Path) -> None:
    content = manifests.write_model(graph(), valid(), tmp_path / "m.onnx").read_bytes()
    damaged = tmp_path / "damaged.onnx"
    for end in range(0, len(content), 7):
        damaged.write_bytes(content[:end])
        with pytest.raises(ModelFileError):
            manifests.read_manifest(damaged)


def test_a_file_with_flipped_bits_is_read_or_refused(tmp_path: Path) -> None:
    content = bytearray(manifests.write_model(graph(), valid(), tmp_path / "m.onnx").read_bytes())
    rng = np.random.default_rng(1)
    damaged, refused = tmp_path / "damaged.onnx", 0
    for _ in range(500):
        changed = bytearray(content)
        for position in rng.integers(0, len(content), 3):
            changed[position] ^= 1 << rng.integers(8)
        damaged.write_bytes(changed)
        try:
            _, manifest = manifests.read_model(damaged)
        except ModelFileError:
            refused += 1
        else:
            assert manifest["outputs"][0]["name"]
    assert refused > 100


def test_damaged_arrays_are_refused() -> None:
    for entry in (
        {"shape": [2], "data": "####"},
        {"shape": [3], "data": "AAAA"},
        {"shape": [1]},
        {"shape": "x", "data": ""},
    ):
        with pytest.raises(ModelFileError, match="damaged"):
            manifests.decode_array(entry)
    manifest = valid()
    manifest["probe"]["outputs"]["score"] = manifests.encode_array(np.zeros((2, 2)))
    with pytest.raises(ModelFileError, match="length"):
        manifests.probe_arrays(manifest)


def test_working_points() -> None:
    assert manifests.working_points(None, []) == []
    points = [{"name": "a", "threshold": np.float32(0.5), "output": "top", "efficiency": 0.1}]
    assert manifests.working_points(points, ["top"]) == [
        {"name": "a", "threshold": 0.5, "output": "top", "efficiency": 0.1}
    ]
    for wrong in (
        [{"name": "a"}],
        [{"threshold": 1.0}],
        {"a": float("inf")},
        [{"name": "a", "threshold": "high"}],
    ):
        with pytest.raises(SettingError, match="working point"):
            manifests.working_points(wrong, [])
    with pytest.raises(SettingError, match="same name"):
        manifests.working_points([{"name": "a", "threshold": 1}, {"name": "a", "threshold": 2}], [])
    with pytest.raises(SettingError, match="'bottom'"):
        manifests.working_points([{"name": "a", "threshold": 1, "output": "bottom"}], ["top"])
