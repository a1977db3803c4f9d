"""From a trained model to its file: what models.dense builds, parity, the manifest, what is refused."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import onnx
import pytest

import hepml_root as hr
from hepml_root.errors import (
    ModelFileError,
    OutputExistsError,
    OutputWriteError,
    ParityError,
    SettingError,
    ShapeError,
    SourceNotFoundError,
    UnsupportedOperationError,
)
from hepml_root.export import manifest as manifests
from hepml_root.export import parity
from hepml_root.export.onnx import predict
from hepml_root.layers.transforms import LETTERS, NAMES


def physics_like(events: int, columns: int, seed: int = 1) -> np.ndarray:
    """Falling momenta, angles and a discrete column, in units that differ by orders of magnitude."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(events, columns))
    x[:, 0] = 30.0 + rng.exponential(50.0, events)
    x[:, 1] = rng.uniform(-np.pi, np.pi, events)
    x[:, 2] = rng.choice([0.0, 1.1, 2.2], events)
    return x.astype(np.float32)


def binary(missing: float = 0.0, events: int = 1200) -> hr.Dataset:
    x = physics_like(events, 5)
    rng = np.random.default_rng(2)
    labels = (x[:, 0] + 20.0 * rng.normal(size=events) > 70.0).astype(int)
    x[rng.random(x.shape) < missing] = np.nan
    return hr.Dataset.from_arrays(
        x, labels, columns=["pt", "phi", "btag", "a", "b"], missing="keep" if missing else "error"
    )


def multiclass() -> hr.Dataset:
    labels = np.random.default_rng(3).choice(["top", "w", "qcd"], 900)
    return hr.Dataset.from_arrays(physics_like(900, 4), labels)


def regression() -> hr.Dataset:
    x = physics_like(900, 4)
    target = np.stack([1000.0 + 3.0 * x[:, 0], 0.01 * x[:, 3]], axis=1)
    return hr.Dataset.from_arrays(x, target=target, targets=["mass", "asymmetry"], units={"mass": "GeV"})


def blocks() -> hr.Dataset:
    rng = np.random.default_rng(4)
    mask = np.arange(6) < rng.integers(0, 7, 900)[:, None]
    jets = np.where(mask[..., None], rng.exponential(30.0, (900, 6, 3)), 0.0)
    inputs = {
        "features": physics_like(900, 4),
        "parameters": rng.choice([500.0, 750.0, 1000.0], (900, 1)),
        "jets": jets,
        "jets_mask": mask,
    }
    return hr.Dataset.from_arrays(inputs, rng.integers(0, 2, 900))


def randomise(model: keras.Model) -> keras.Model:
    """Biases and moving statistics that are not those of an untrained network."""
    rng = np.random.default_rng(5)
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dense) and layer.use_bias:
            layer.bias.assign(rng.normal(size=layer.bias.shape))
        if isinstance(layer, keras.layers.BatchNormalization):
            for weight in (layer.gamma, layer.beta, layer.moving_mean, layer.moving_variance):
                weight.assign(rng.uniform(0.5, 2.0, size=weight.shape))
    return model


MODELS = {
    "binary": lambda: hr.models.dense(binary(), hidden=(16, 16)),
    "no hidden layer": lambda: hr.models.dense(binary(), hidden=()),
    "no transform": lambda: hr.models.dense(binary(), hidden=(8,), transforms=None),
    "missing values": lambda: hr.models.dense(binary(missing=0.1), hidden=(8,)),
    "batch normalisation, dropout, penalties": lambda: hr.models.dense(
        binary(), hidden=(16, 8), batch_norm=True, dropout=0.3, l1=1e-4, l2=1e-4, activation="silu"
    ),
    "residual": lambda: hr.models.dense(binary(), hidden=(16, 16, 16), residual=True, activation="selu"),
    "multiclass": lambda: hr.models.dense(multiclass(), hidden=(16,), activation="gelu"),
    "regression": lambda: hr.models.dense(regression(), hidden=(16,), activation="tanh"),
    "all kinds of blocks": lambda: hr.models.dense(blocks(), hidden=(16,), activation="mish"),
    "by column": lambda: hr.models.dense(binary(), (8,), transforms={"pt": "log,N", "btag": None, "*": "U"}),
    **{
        f"transform {name}": (lambda name=name: hr.models.dense(binary(), hidden=(8,), transforms=name))
        for name in [*NAMES, *LETTERS, "log,G,D,P,N"]
        if not name.startswith("log")
    },
    "transform log": lambda: hr.models.dense(binary(), (8,), transforms={"pt": "log", "*": "I"}),
}


@pytest.mark.parametrize("name", MODELS)
def test_every_dense_model_exports(name: str, tmp_path: Path) -> None:
    model = randomise(MODELS[name]())
    path = hr.export(model, tmp_path / "model.onnx")
    manifest = hr.export.read_manifest(path)
    agreement = manifest["parity"]["onnxruntime"]
    assert agreement["events"] == 256
    assert agreement["events_from"] == "model"
    assert agreement["edge_events"] >= 9
    scale = 1.0 if manifest["task"] != "regression" else 1500.0
    assert agreement["max_abs_difference"] < 1e-5 * scale
    operators = {node.op_type for node in onnx.load(path).graph.node}
    assert not operators & {"Shape", "Loop", "If", "Scan", "Identity", "Expand"}
    # The file stands on its own: its probe gives its stored outputs, at any batch size.
    runtime = parity.onnxruntime_predict(path.read_bytes(), [block["name"] for block in manifest["inputs"]])
    assert parity.verify(manifest, runtime).max_abs < 1e-5 * scale
    inputs, outputs = manifests.probe_arrays(manifest)
    for batch in (1, 7):
        found = runtime({key: array[:batch] for key, array in inputs.items()})[0]
        np.testing.assert_allclose(found, outputs["score"][:batch], rtol=1e-5, atol=1e-5 * scale)


@pytest.mark.slow
def test_no_false_alarm_on_a_hundred_random_networks(tmp_path: Path) -> None:
    """Weights up to three times the usual, inputs and targets over ten orders of magnitude."""
    rng = np.random.default_rng(7)
    x = physics_like(800, 6, 9)
    x[:, 0] *= 1e4
    x[:, 3] *= 1e-5
    wide = hr.Dataset.from_arrays(x, target=x[:, :1] * x[:, 4:5] ** 2 + 1e6)
    samples = [binary(), multiclass(), regression(), blocks(), wide]
    for seed in range(100):
        data = samples[rng.integers(len(samples))]
        model = hr.models.dense(
            data,
            hidden=[(8,), (32, 32), (16, 16, 16)][rng.integers(3)],
            activation=str(rng.choice(["relu", "tanh", "gelu", "silu", "elu", "selu", "softplus", "mish"])),
            transforms=str(rng.choice(["auto", "N", "D", "P", "U", "G", "clip,N", "G,D"])),
            batch_norm=bool(rng.random() < 0.4),
            seed=seed,
        )
        for weight in randomise(model).trainable_weights:
            weight.assign(weight * rng.choice([1.0, 3.0]))
        hr.export(model, tmp_path / "model.onnx", data=data, overwrite=True)


def test_a_thousand_events_at_once(tmp_path: Path) -> None:
    data = blocks()
    model = randomise(hr.models.dense(data, hidden=(16,)))
    path = hr.export(model, tmp_path / "model.onnx", data=data)
    manifest = hr.export.read_manifest(path)
    assert manifest["parity"]["onnxruntime"]["events_from"] == "data"
    names = [block["name"] for block in manifest["inputs"]]
    assert names == ["features", "parameters", "jets", "jets_mask"]
    scores = parity.onnxruntime_predict(path.read_bytes(), names)(data.X)[0]
    np.testing.assert_allclose(scores, predict(model, data.X)[0], atol=1e-6)


def test_a_lazy_dataset_gives_a_sample(tmp_path: Path) -> None:
    higgs = hr.data.shipped_file("Higgs_data.root")
    sources = {"signal": f"{higgs}:sig_tree", "background": f"{higgs}:bkg_tree"}
    settings = {"inputs": ["m_bb", "btag := jet1_b-tag > 1"], "max_events": 3000}
    model = hr.models.dense(hr.Dataset.from_root(sources, **settings), hidden=(4,))
    lazy = hr.Dataset.from_root(sources, **settings, lazy=True)
    entry = hr.export.read_manifest(hr.export(model, tmp_path / "m.onnx", data=lazy))["parity"]["onnxruntime"]
    assert 1500 < entry["events"] <= 2048


def test_the_manifest_says_what_the_network_takes(tmp_path: Path) -> None:
    data = binary()
    path = hr.export(
        hr.models.dense(data, hidden=(4,), name="higgs"),
        tmp_path / "higgs.onnx",
        working_points=[{"name": "tight", "threshold": 0.9, "signal_efficiency": 0.4}],
    )
    manifest = hr.export.read_manifest(path)
    assert manifest["name"] == "higgs"
    assert manifest["task"] == "binary"
    assert manifest["signal"] == "signal"
    assert manifest["classes"] == ["background", "signal"]
    assert [column["label"] for column in manifest["inputs"][0]["columns"]] == ["pt", "phi", "btag", "a", "b"]
    assert manifest["outputs"] == [{"name": "score", "shape": [1], "labels": ["signal"]}]
    assert manifest["working_points"] == [{"name": "tight", "threshold": 0.9, "signal_efficiency": 0.4}]
    assert manifest["provenance"]["versions"]["keras"] == keras.__version__
    assert manifest["provenance"]["versions"]["keras_backend"] == keras.backend.backend()
    inputs, outputs = manifests.probe_arrays(manifest)
    assert inputs["features"].shape == (64, 5)
    assert outputs["score"].shape == (64, 1)
    assert any(np.array_equal(inputs["features"][1], row) for row in data.X["features"])


def test_the_same_model_gives_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    model = randomise(hr.models.dense(binary(), hidden=(8, 8), batch_norm=True))
    first = hr.export(model, tmp_path / "a.onnx")
    second = hr.export(model, tmp_path / "b.onnx")
    model.save(tmp_path / "model.keras")
    third = hr.export(tmp_path / "model.keras", tmp_path / "c.onnx")
    assert first.read_bytes() == second.read_bytes() == third.read_bytes()
    assert hr.export.read_manifest(first)["provenance"]["created"] == "2023-11-14T22:13:20Z"
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    with pytest.raises(SettingError, match="SOURCE_DATE_EPOCH"):
        hr.export(model, tmp_path / "d.onnx")


def own_model(inputs: dict[str, tuple[int, ...]], units: int = 1) -> keras.Model:
    tensors = {name: keras.Input(shape, name=name) for name, shape in inputs.items()}
    flat = [keras.layers.Flatten()(tensor) for tensor in tensors.values()]
    x = flat[0] if len(flat) == 1 else keras.layers.Concatenate()(flat)
    return keras.Model(tensors, keras.layers.Dense(units, activation="sigmoid")(x), name="own")


def test_a_model_from_elsewhere_takes_its_manifest_from_the_data(tmp_path: Path) -> None:
    data = binary()
    model = own_model({"features": (5,)})
    with pytest.raises(ModelFileError, match=r"'own' carries no hepml_root manifest.*data=dataset"):
        hr.export(model, tmp_path / "own.onnx")
    manifest = hr.export.read_manifest(hr.export(model, tmp_path / "own.onnx", data=data))
    assert manifest["name"] == "own"
    assert manifest["outputs"][0]["labels"] == ["signal"]
    description = hr.export(model, tmp_path / "described.onnx", data=data.describe())
    entry = hr.export.read_manifest(description)["parity"]["onnxruntime"]
    assert entry["events_from"] == "random numbers"


def test_several_outputs_are_named(tmp_path: Path) -> None:
    x = keras.Input((5,), name="features")
    model = keras.Model(
        x,
        {
            "score": keras.layers.Dense(1)(x),
            "mass": keras.layers.Dense(2)(x),
            "map": keras.layers.Reshape((5, 1))(x),
        },
    )
    manifest = hr.export.read_manifest(hr.export(model, tmp_path / "several.onnx", data=binary()))
    assert manifest["outputs"] == [
        {"name": "map", "shape": [5, 1], "labels": [f"map_{i}" for i in range(5)]},
        {"name": "mass", "shape": [2], "labels": ["mass_0", "mass_1"]},
        {"name": "score", "shape": [1], "labels": ["score"]},
    ]


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    data = binary()
    path = tmp_path / "model.onnx"
    with pytest.raises(ShapeError, match="particles"):
        hr.export(own_model({"particles": (5,)}), path, data=data)
    with pytest.raises(ShapeError, match=r"\(4,\)"):
        hr.export(own_model({"features": (4,)}), path, data=data)
    with pytest.raises(ShapeError, match="has 2 output"):
        hr.export(own_model({"features": (5,)}, units=2), path, data=data)
    with pytest.raises(ShapeError, match="other inputs"):
        hr.export(hr.models.dense(data, hidden=(4,)), path, data=blocks())
    with pytest.raises(SettingError, match="working point"):
        hr.export(hr.models.dense(data, hidden=(4,)), path, working_points={"tight": float("nan")})
    with pytest.raises(UnsupportedOperationError, match="dict cannot be exported"):
        hr.export({}, path)
    with pytest.raises(SourceNotFoundError, match=r"absent\.keras"):
        hr.export(tmp_path / "absent.keras", path)
    (tmp_path / "text.keras").write_text("no zip archive")
    with pytest.raises(ModelFileError, match=r"text\.keras"):
        hr.export(tmp_path / "text.keras", path)
    assert not path.exists()


class Sorted(keras.layers.Layer):
    """Uses an operation that has no counterpart in ONNX."""

    def call(self, x):
        return keras.ops.nanmedian(x, axis=-1, keepdims=True)

    def compute_output_shape(self, shape):
        return (*shape[:-1], 1)


def test_an_operation_without_counterpart_leaves_nothing_behind(tmp_path: Path) -> None:
    x = keras.Input((5,), name="features")
    model = keras.Model(x, Sorted(name="middle")(x))
    with pytest.raises(UnsupportedOperationError, match=r"middle.*Nanmedian"):
        hr.export(model, tmp_path / "model.onnx", data=binary())
    assert list(tmp_path.iterdir()) == []


class Undecided(keras.layers.Layer):
    """Computes something else for symbolic tensors than for real ones: only parity can find that."""

    def call(self, x):
        return x * (1.0 if isinstance(x, keras.KerasTensor) else 1.001)

    def compute_output_shape(self, shape):
        return shape


def test_graphs_and_their_positions_export(tmp_path: Path) -> None:
    """Positions of neighbours stay positions in edge events; masks of edges come along."""
    shapes = {"particles": (6, 3), "particles_neighbours": (6, 2), "particles_edges": (6, 2, 2)}
    model = hr.models.interaction_network(shapes, relation=[4], objects=[4], hidden=[3])
    manifest = hr.export.read_manifest(hr.export(model, tmp_path / "graph.onnx"))
    assert [block["kind"] for block in manifest["inputs"]] == ["jagged", "mask", "index", "edges", "mask"]
    assert manifest["parity"]["onnxruntime"]["edge_events"] == 10
    positions = hr.export.manifest.probe_arrays(manifest)[0]["particles_neighbours"]
    assert set(np.unique(positions)) <= set(range(6))


def test_masks_with_holes_are_read_step_by_step(tmp_path: Path) -> None:
    """The short form of a recurrent layer is for masks without holes; the data say which they are."""
    rng = np.random.default_rng(1)
    blocks = {"particles": rng.normal(size=(60, 5, 2)), "particles_mask": np.ones((60, 5))}
    found = []
    for name, mask in (
        ("prefix", np.arange(5) < (np.arange(60) % 6)[:, None]), ("holes", rng.random((60, 5)) < 0.6),
    ):  # fmt: skip
        blocks["particles_mask"] = mask.astype(np.float32)
        data = hr.Dataset.from_arrays(blocks, np.arange(60) % 2, classes=["background", "signal"])
        model = hr.models.gru(data, units=(3,), hidden=(), name=name)
        path = hr.export(model, tmp_path / f"{name}.onnx", data=data)
        found.append({node.op_type for node in onnx.load(path).graph.node})
    assert "GRU" in found[0] & found[1]
    assert "GatherND" not in found[0]
    assert "GatherND" in found[1]


def test_a_difference_stops_the_export(tmp_path: Path) -> None:
    x = keras.Input((5,), name="features")
    small = keras.initializers.RandomNormal(stddev=0.01, seed=1)
    model = keras.Model(
        x, keras.layers.Dense(1, activation="sigmoid", kernel_initializer=small)(Undecided()(x))
    )
    with pytest.raises(ParityError, match=r"Keras and ONNX Runtime do not agree: output 'score'"):
        hr.export(model, tmp_path / "model.onnx", data=binary())
    assert list(tmp_path.iterdir()) == []
    assert hr.export(model, tmp_path / "model.onnx", data=binary(), tolerance=0.5).exists()


def test_nothing_is_overwritten_unasked(tmp_path: Path) -> None:
    model = hr.models.dense(binary(), hidden=(4,))
    path = tmp_path / "model.onnx"
    path.write_text("precious")
    with pytest.raises(OutputExistsError, match=r"model\.onnx"):
        hr.export(model, path)
    assert path.read_text() == "precious"
    hr.export(model, path, overwrite=True)
    assert hr.export.read_manifest(path)["task"] == "binary"
    with pytest.raises(OutputWriteError):
        hr.export(model, path / "inside" / "model.onnx")


def test_reading_and_checking_files_needs_no_keras() -> None:
    """Whoever applies a network has no Keras loaded: inference takes manifests and parity from here."""
    script = (
        "import sys, hepml_root.export.manifest, hepml_root.export.parity; sys.exit('keras' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_the_emitter_names_no_backend() -> None:
    folder = Path(manifests.__file__).parent
    for path in [*(folder / "onnx").glob("*.py"), folder / "parity.py", folder / "model_file.py"]:
        names = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names.add(str(node.module).split(".")[0])
        assert not names & {"tensorflow", "jax", "torch"}, path.name


# -- files from elsewhere --------------------------------------------------------------------------------


def foreign(path: Path, features: int = 5, units: int = 1, free: bool = True, name: str = "input_1") -> Path:
    """An ONNX file as another exporter writes it."""
    rng = np.random.default_rng(6)
    weights = [
        onnx.numpy_helper.from_array(rng.normal(size=(features, units)).astype(np.float32), "w"),
        onnx.numpy_helper.from_array(rng.normal(size=units).astype(np.float32), "b"),
    ]
    batch = "N" if free else 3
    graph = onnx.helper.make_graph(
        [
            onnx.helper.make_node("Gemm", [name, "w", "b"], ["z"]),
            onnx.helper.make_node("Sigmoid", ["z"], ["probability"]),
        ],
        "foreign",
        [onnx.helper.make_tensor_value_info(name, 1, [batch, features])],
        [onnx.helper.make_tensor_value_info("probability", 1, [batch, units])],
        weights,
    )
    onnx.save(
        onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8), path
    )
    return path


def test_a_file_from_elsewhere_is_adopted(tmp_path: Path) -> None:
    source = foreign(tmp_path / "torch.onnx")
    with pytest.raises(ModelFileError, match=r"torch\.onnx.*carries no hepml_root manifest.*adopt"):
        hr.export.read_manifest(source)
    data = binary()
    path = hr.export.adopt(source, tmp_path / "adopted.onnx", data=data, working_points={"loose": 0.2})
    manifest = hr.export.read_manifest(path)
    assert manifest["inputs"][0]["name"] == "features"
    assert manifest["outputs"] == [{"name": "probability", "shape": [1], "labels": ["signal"]}]
    runtime = parity.onnxruntime_predict(path.read_bytes(), ["features"])
    before = parity.onnxruntime_predict(source.read_bytes(), ["input_1"])
    found, wanted = runtime(data.X)[0], before({"input_1": data.X["features"]})[0]
    np.testing.assert_array_equal(found, wanted)
    assert parity.verify(manifest, runtime).max_abs < 1e-6


def test_files_that_cannot_be_adopted(tmp_path: Path) -> None:
    out = tmp_path / "adopted.onnx"
    with pytest.raises(ModelFileError, match=r"takes 3 event.*a free first axis"):
        hr.export.adopt(foreign(tmp_path / "fixed.onnx", free=False), out, data=binary())
    with pytest.raises(ModelFileError, match=r"shape \[5\]"):
        hr.export.adopt(foreign(tmp_path / "narrow.onnx", features=4), out, data=binary())
    with pytest.raises(ShapeError, match="input_1"):
        hr.export.adopt(foreign(tmp_path / "one.onnx"), out, data=blocks())
    with pytest.raises(ShapeError, match="gives 2 values per event, and a binary task has one"):
        hr.export.adopt(foreign(tmp_path / "two.onnx", units=2), out, data=binary())
    with pytest.raises(SourceNotFoundError):
        hr.export.adopt(tmp_path / "absent.onnx", out, data=binary())
    doubled = onnx.load(foreign(tmp_path / "double.onnx"))
    doubled.graph.node.append(
        onnx.helper.make_node("Cast", ["probability"], ["wide"], to=onnx.TensorProto.DOUBLE)
    )
    del doubled.graph.output[:]
    doubled.graph.output.append(onnx.helper.make_tensor_value_info("wide", onnx.TensorProto.DOUBLE, ["N", 1]))
    onnx.save(doubled, tmp_path / "double.onnx")
    with pytest.raises(ModelFileError, match="'wide' is DOUBLE"):
        hr.export.adopt(tmp_path / "double.onnx", out, data=binary())
    assert not out.exists()
