"""Files of PyTorch and scikit-learn, built node by node as torch.onnx.export and skl2onnx write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import hepml_root as hr
from hepml_root.errors import ModelFileError, SettingError, ShapeError
from hepml_root.export import parity

value = helper.make_tensor_value_info
FEATURES = 3


@pytest.fixture(scope="module")
def data() -> hr.Dataset:
    x = np.random.default_rng(1).normal(size=(400, FEATURES))
    return hr.Dataset.from_arrays(x, x[:, 0] > 0, columns=["pt", "eta", "mass"])


def weights(**shapes: tuple[int, ...]) -> list[onnx.TensorProto]:
    rng = np.random.default_rng(2)
    return [
        numpy_helper.from_array(rng.normal(size=shape).astype(np.float32), name.replace("__", "."))
        for name, shape in shapes.items()
    ]


def save(
    path: Path, nodes: list[Any], inputs: list[Any], outputs: list[Any], initial: list[Any], **opsets: int
) -> Path:
    graph = helper.make_graph(nodes, "main_graph", inputs, outputs, initial)
    domains = [helper.make_opsetid("", 17)]
    domains += [helper.make_opsetid(f"ai.onnx.{name}", version) for name, version in opsets.items()]
    model = helper.make_model(graph, opset_imports=domains, ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


def torch_network(path: Path, squeezed: bool = False) -> Path:
    """``nn.Linear``, ``nn.ReLU``, ``nn.Linear``, ``nn.Sigmoid``; dynamic axis `batch_size`."""
    node = helper.make_node
    nodes = [
        node("Gemm", ["x.1", "0.weight", "0.bias"], ["/0/Gemm_output_0"], alpha=1.0, beta=1.0, transB=1),
        node("Relu", ["/0/Gemm_output_0"], ["/1/Relu_output_0"]),
        node("Gemm", ["/1/Relu_output_0", "2.weight", "2.bias"], ["/2/Gemm_output_0"], transB=1),
        node("Sigmoid", ["/2/Gemm_output_0"], ["/3/Sigmoid_output_0" if squeezed else "output"]),
    ]
    if squeezed:
        axis = numpy_helper.from_array(np.array([1], np.int64))
        nodes.append(node("Constant", [], ["/Constant_output_0"], value=axis))
        nodes.append(node("Squeeze", ["/3/Sigmoid_output_0", "/Constant_output_0"], ["output"]))
    shape = ["batch_size"] if squeezed else ["batch_size", 1]
    initial = weights(**{"0__weight": (8, FEATURES), "0__bias": (8,), "2__weight": (1, 8), "2__bias": (1,)})
    inputs = [value("x.1", TensorProto.FLOAT, ["batch_size", FEATURES])]
    return save(path, nodes, inputs, [value("output", TensorProto.FLOAT, shape)], initial)


def sklearn_network(path: Path, zipped: bool = True) -> Path:
    """A logistic regression: probabilities of both classes, and the class as a whole number."""
    node = helper.make_node
    nodes = [
        node("MatMul", ["X", "coefficient"], ["mul_result"]),
        node("Add", ["mul_result", "intercepts"], ["add_result"]),
        node("Sigmoid", ["add_result"], ["positive"]),
        node("Sub", ["unity", "positive"], ["negative"]),
        node("Concat", ["negative", "positive"], ["probabilities"], axis=1),
        node("ArgMax", ["probabilities"], ["argmax_output"], axis=1, keepdims=1),
        node("ArrayFeatureExtractor", ["classes", "argmax_output"], ["class"], domain="ai.onnx.ml"),
        node("Reshape", ["class", "flat"], ["output_label"]),
    ]
    outputs = [value("output_label", TensorProto.INT64, [None])]
    if zipped:
        nodes.append(
            node("ZipMap", ["probabilities"], ["output_probability"], domain="ai.onnx.ml",
                 classlabels_int64s=[0, 1])
        )  # fmt: skip
        tensor = helper.make_tensor_type_proto(TensorProto.FLOAT, None)
        dictionaries = helper.make_sequence_type_proto(helper.make_map_type_proto(TensorProto.INT64, tensor))
        outputs.append(helper.make_value_info("output_probability", dictionaries))
    else:
        outputs.append(value("probabilities", TensorProto.FLOAT, [None, 2]))
    initial = [
        numpy_helper.from_array(np.array([[4.0], [0.0], [0.5]], np.float32), "coefficient"),
        numpy_helper.from_array(np.array([[0.25]], np.float32), "intercepts"),
        numpy_helper.from_array(np.array([1.0], np.float32), "unity"),
        numpy_helper.from_array(np.array([0, 1]), "classes"),
        numpy_helper.from_array(np.array([-1]), "flat"),
    ]
    inputs = [value("X", TensorProto.FLOAT, [None, FEATURES])]
    return save(path, nodes, inputs, outputs, initial, ml=3)


def positive(x: np.ndarray) -> np.ndarray:
    """The probability of class 1 of `sklearn_network`."""
    return 1 / (1 + np.exp(-(4.0 * x[:, 0] + 0.5 * x[:, 2] + 0.25)))


@pytest.mark.filterwarnings("ignore:the score is lower")  # its weights are random
@pytest.mark.parametrize("squeezed", [False, True])
def test_a_network_of_pytorch(data: hr.Dataset, tmp_path: Path, squeezed: bool) -> None:
    """One score per event, whether it is written as (events, 1) or as (events,)."""
    source = torch_network(tmp_path / "torch.onnx", squeezed)
    path = hr.export.adopt(source, tmp_path / "network.onnx", data=data)
    manifest = hr.export.read_manifest(path)
    assert manifest["outputs"] == [{"name": "output", "shape": [1], "labels": ["signal"]}]
    (right,) = parity.onnxruntime_predict(source.read_bytes(), ["x.1"])({"x.1": data.X["features"]})
    found = hr.Session(path, "onnxruntime").infer(data.X)
    np.testing.assert_allclose(found[:, 0], right.ravel(), atol=1e-6)


@pytest.mark.parametrize("zipped", [False, True])
def test_a_classifier_of_scikit_learn(data: hr.Dataset, tmp_path: Path, zipped: bool) -> None:
    """The label and the dictionaries are left out, and the signal's probability is taken."""
    source = sklearn_network(tmp_path / "sklearn.onnx", zipped)
    with pytest.raises(ShapeError, match=r"2 values per event.*labels=\['background', 'signal'\]"):
        hr.export.adopt(source, tmp_path / "bare.onnx", data=data)
    path = hr.export.adopt(source, tmp_path / "first.onnx", data=data, labels=["background", "signal"])
    # Nothing of the label is left that the C++ engine would have to know.
    graph = onnx.load(path).graph
    assert "classes" not in {tensor.name for tensor in graph.initializer}
    assert {node.op_type for node in graph.node}.isdisjoint({"ArgMax", "ArrayFeatureExtractor", "ZipMap"})
    right = positive(data.X["features"])
    found = hr.Session(path, "onnxruntime").infer(data.X)
    np.testing.assert_allclose(found[:, 0], right, atol=1e-6)
    with pytest.warns(UserWarning, match="as if it were that of the other class"):
        path = hr.export.adopt(source, tmp_path / "other.onnx", data=data, labels=["signal", "background"],
                               certify=False)  # fmt: skip
    np.testing.assert_allclose(hr.Session(path, "onnxruntime").infer(data.X)[:, 0], 1 - right, atol=1e-6)


def test_classes_in_another_order(tmp_path: Path) -> None:
    x = np.random.default_rng(3).normal(size=(90, 3))
    data = hr.Dataset.from_arrays(x, np.array(["qcd", "top", "w"])[np.arange(90) % 3])
    nodes = [helper.make_node("Softmax", ["x"], ["y"], axis=-1)]
    ends = [[value(name, TensorProto.FLOAT, ["batch_size", 3])] for name in "xy"]
    source = save(tmp_path / "three.onnx", nodes, *ends, [])
    path = hr.export.adopt(source, tmp_path / "three_.onnx", data=data, labels=["w", "qcd", "top"])
    assert hr.export.read_manifest(path)["outputs"][0]["labels"] == list(data.classes)
    right = np.exp(data.X["features"]) / np.exp(data.X["features"]).sum(axis=1, keepdims=True)
    order = [["w", "qcd", "top"].index(name) for name in data.classes]
    found = hr.Session(path, "onnxruntime").infer(data.X)
    np.testing.assert_allclose(found, right[:, order], atol=1e-6)


def test_constituents_and_a_boolean_mask_by_other_names(tmp_path: Path) -> None:
    """Sum over the constituents that are there, as ``(x * mask.unsqueeze(-1)).sum(1)``."""
    rng = np.random.default_rng(4)
    there = np.arange(5) < rng.integers(0, 6, 200)[:, None]
    x = rng.normal(size=(200, 5, 2)) * there[..., None]
    data = hr.Dataset.from_arrays(
        {"jets": x, "jets_mask": there}, rng.integers(0, 2, 200), columns={"jets": ["pt", "eta"]}
    )
    node = helper.make_node
    nodes = [
        node("Unsqueeze", ["mask", "last"], ["/Unsqueeze_output_0"]),
        node("Cast", ["/Unsqueeze_output_0"], ["/Cast_output_0"], to=TensorProto.FLOAT),
        node("Mul", ["x", "/Cast_output_0"], ["/Mul_output_0"]),
        node("ReduceSum", ["/Mul_output_0", "first"], ["/ReduceSum_output_0"], keepdims=0),
        node("Gemm", ["/ReduceSum_output_0", "weight", "bias"], ["/Gemm_output_0"], transB=1),
        node("Sigmoid", ["/Gemm_output_0"], ["score"]),
    ]
    inputs = [
        value("mask", TensorProto.BOOL, ["batch_size", 5]),
        value("x", TensorProto.FLOAT, ["batch_size", 5, 2]),
    ]
    axes = [
        numpy_helper.from_array(np.array([n], np.int64), name) for n, name in ((-1, "last"), (1, "first"))
    ]
    initial = [*weights(weight=(1, 2), bias=(1,)), *axes]
    source = save(
        tmp_path / "sets.onnx", nodes, inputs, [value("score", TensorProto.FLOAT, ["batch_size", 1])], initial
    )
    with pytest.raises(ShapeError, match=r"inputs=\{'mask': 'jets', …\}"):
        hr.export.adopt(source, tmp_path / "bare.onnx", data=data)
    names = {"x": "jets", "mask": "jets_mask"}
    path = hr.export.adopt(source, tmp_path / "adopted.onnx", data=data, inputs=names)
    assert [block["name"] for block in hr.export.read_manifest(path)["inputs"]] == ["jets", "jets_mask"]
    weight, bias = (numpy_helper.to_array(tensor) for tensor in initial[:2])
    right = 1 / (1 + np.exp(-(x.sum(axis=1) @ weight.T + bias)))
    np.testing.assert_allclose(hr.Session(path, "cpp").infer(data.X), right, atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "error", "said"),
    [
        ({"labels": ["bkg", "signal_"]}, SettingError, "no label 'signal'. Nearest: 'signal_'"),
        ({"labels": ["a", "b", "signal"]}, ShapeError, "gives 2 values per event, and 3 labels"),
        ({"labels": ["signal", "signal"]}, SettingError, "each label once"),
        ({"output": "probability"}, SettingError, "no output 'probability'. Nearest: 'probabilities'"),
        ({"output": "output_label"}, ModelFileError, "'output_label' is INT64.*output=…"),
        ({"inputs": {"x": "features"}}, SettingError, "no input of the graph 'x'. Nearest: 'X'"),
        ({"inputs": {"X": "feature"}}, SettingError, "no block of the data 'feature'. Nearest: 'features'"),
    ],
)
def test_settings_that_do_not_fit(
    data: hr.Dataset, tmp_path: Path, settings: Any, error: type[Exception], said: str
) -> None:
    source = sklearn_network(tmp_path / "sklearn.onnx")
    with pytest.raises(error, match=said):
        hr.export.adopt(source, tmp_path / "out.onnx", data=data, **settings)
    assert not (tmp_path / "out.onnx").exists()


def test_a_network_that_draws(data: hr.Dataset, tmp_path: Path) -> None:
    """``torch.randn_like`` is exported without the mean and width, and no two runs of it agree."""
    nodes = [
        helper.make_node("RandomNormalLike", ["x"], ["z"]),
        helper.make_node("Add", ["x", "z"], ["y"]),
        helper.make_node("ReduceSum", ["y", "axis"], ["score"], keepdims=1),
    ]
    ends = [[value(n, TensorProto.FLOAT, ["N", size])] for n, size in (("x", FEATURES), ("score", 1))]
    axis = numpy_helper.from_array(np.array([1], np.int64), "axis")
    source = save(tmp_path / "noise.onnx", nodes, *ends, [axis])
    path = hr.export.adopt(source, tmp_path / "adopted.onnx", data=data)
    assert hr.export.read_manifest(path)["probe"] == {"inputs": {}, "outputs": {}}


def test_a_file_for_one_event_at_a_time(data: hr.Dataset, tmp_path: Path) -> None:
    """What PyTorch writes when nobody says that the first axis is free."""
    ends = [[value(name, TensorProto.FLOAT, [1, FEATURES])] for name in "xy"]
    source = save(tmp_path / "fixed.onnx", [helper.make_node("Relu", ["x"], ["y"])], *ends, [])
    with pytest.raises(ModelFileError, match=r"1 event.*dynamic_axes"):
        hr.export.adopt(source, tmp_path / "out.onnx", data=data)
