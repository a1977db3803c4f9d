"""SOFIE's parsers and RModel: the headers they write, compiled and interpreted, against Keras."""

from __future__ import annotations

import shutil
import subprocess
import sys
import textwrap

import keras
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hepml_root import tmva as TMVA
from hepml_root.errors import (
    MissingDependencyError,
    ModelFileError,
    SettingError,
    ShapeError,
    SourceNotFoundError,
    UnsupportedOperationError,
)

SOFIE = TMVA.Experimental.SOFIE
ROOT = pytest.importorskip("ROOT")


def keras_file(path, inputs, seed, batch=None, outputs=2):
    """Write a small network; return the model."""
    keras.utils.set_random_seed(seed)
    x = keras.Input((inputs,), batch_size=batch)
    y = keras.layers.Dense(outputs, activation="softmax")(keras.layers.Dense(8, activation="relu")(x))
    model = keras.Model(x, y)
    model.save(path)
    return model


def dense_onnx(path, first="N", inputs=3):
    """Write y = relu(x W + b) with named weights; return W and b."""
    rng = np.random.default_rng(4)
    weights, bias = rng.normal(size=(inputs, 2)).astype(np.float32), np.float32([0.5, -0.25])
    ends = [
        helper.make_tensor_value_info("x:0", TensorProto.FLOAT, [first, inputs]),
        helper.make_tensor_value_info("y", TensorProto.FLOAT, [first, 2]),
    ]
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x:0", "0.weight"], ["product"]),
            helper.make_node("Add", ["product", "0.bias"], ["sum"]),
            helper.make_node("Relu", ["sum"], ["y"]),
        ],
        "g",
        ends[:1],
        ends[1:],
        [numpy_helper.from_array(weights, "0.weight"), numpy_helper.from_array(bias, "0.bias")],
    )
    opset = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), str(path))
    return weights, bias


def compiled(folder, code):
    """Compile and run a program; return the numbers that it prints."""
    (folder / "main.cxx").write_text(code)
    subprocess.run(["g++", "-std=c++17", "-O1", "main.cxx", "-o", "main"], cwd=folder, check=True)
    done = subprocess.run([str(folder / "main")], cwd=folder, capture_output=True, text=True, check=True)
    return [float(number) for number in done.stdout.split()]


@pytest.mark.skipif(shutil.which("g++") is None, reason="no g++")
def test_several_models_in_one_header(tmp_path):
    """Each with its namespace; one takes two events at a time, as its input says, and one has a function."""
    first = keras_file(tmp_path / "First.keras", 4, 1, batch=2)
    second = keras_file(tmp_path / "Second_2L.h5", 3, 2, outputs=3)
    header = str(tmp_path / "models.hxx")
    for file, options in (
        ("First.keras", SOFIE.Options.kDefault),
        ("Second_2L.h5", SOFIE.Options.kNoSession | SOFIE.Options.kNoWeightFile),
    ):
        model = SOFIE.PyKeras.Parse(str(tmp_path / file))
        model.Generate(options)
        model.OutputGenerated(ROOT.TString(header), True)
    assert (tmp_path / "models.dat").is_file()  # of the first
    x = np.random.default_rng(1).normal(size=(2, 4)).astype(np.float32)
    found = compiled(
        tmp_path,
        f"""#include "models.hxx"
        #include <cstdio>
        int main() {{
           const float x[] = {{{", ".join(map(repr, x.ravel().tolist()))}}};
           TMVA_SOFIE_First::Session session("models.root");
           for (float y : session.infer(x)) std::printf("%.9g ", y);
           for (float y : TMVA_SOFIE_Second_2L::infer(x)) std::printf("%.9g ", y);
           for (float y : TMVA_SOFIE_Second_2L::Session().infer(2, x)) std::printf("%.9g ", y);
        }}""",
    )
    expected = np.concatenate(
        [
            np.asarray(first(x)).ravel(),
            np.asarray(second(x.ravel()[None, :3]))[0],
            np.asarray(second(x.ravel()[:6].reshape(2, 3))).ravel(),
        ]
    )
    assert np.abs(np.array(found) - expected).max() < 1e-6


def test_the_header_in_the_interpreter(tmp_path):
    """As TMVA_SOFIE_Keras.py does, with arrays of numpy, in a process of its own."""
    keras_file(tmp_path / "Net.keras", 4, 5, batch=2)
    script = """
        import numpy as np
        from ROOT import TMVA
        import ROOT
        model = ROOT.TMVA.Experimental.SOFIE.PyKeras.Parse("Net.keras")
        model.Generate()
        model.OutputGenerated()
        assert ROOT.gInterpreter.Declare('#include "Net.hxx"')
        session = ROOT.TMVA_SOFIE_Net.Session()
        x = np.linspace(-1, 1, 8).astype(np.float32).reshape(2, 4)
        y = session.infer(x)
        assert len(y) == 4
        import keras
        expected = np.asarray(keras.saving.load_model("Net.keras")(x)).ravel()
        assert np.abs(np.asarray(y.data())[:4] - expected).max() < 1e-6
        # The functor, in a data frame with slots, by its name in C++.
        assert ROOT.gInterpreter.Declare(
            "auto f = TMVA::Experimental::SofieFunctor<4, TMVA_SOFIE_Net::Session>(0, \\"Net.dat\\");")
        frame = ROOT.RDF.FromNumpy({f"x{i}": np.ascontiguousarray(x[:, i]) for i in range(4)})
        column = frame.Define("y", "f(rdfslot_, x0, x1, x2, x3)").AsNumpy(["y"])["y"]
        assert np.abs(column - expected[::2]).max() < 1e-6, (column, expected)
        print("DONE")
    """
    (tmp_path / "script.py").write_text(textwrap.dedent(script))
    done = subprocess.run(
        [sys.executable, "-m", "hepml_root.tmva", "--batch", "script.py"], cwd=tmp_path, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "DONE"


def test_an_onnx_file_and_what_its_model_says(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    weights, bias = dense_onnx("my-model.onnx")
    model = SOFIE.RModelParser_ONNX().Parse("my-model.onnx", True)
    assert model.GetName() == "my_model"
    assert model.GetInputTensorNames() == ["x0"]
    assert model.GetOutputTensorNames() == ["y"]
    assert model.GetDynamicTensorShape("x:0") == ["N", 3]
    assert model.GetTensorShape("0.weight") == [3, 2]
    assert SOFIE.ConvertTypeToString(model.GetTensorType("0weight")) == "float"
    assert model.CheckIfTensorAlreadyExist("0weight")
    assert not model.CheckIfTensorAlreadyExist("2weight")
    assert np.array_equal(model.GetTensorData["float"]("0weight"), weights.ravel())
    said = capsys.readouterr().out
    assert "x0   type: float   shape: { N , 3 }" in said
    assert "0bias   type: float   shape: { 2 }" in said
    model.PrintIntermediateTensors()
    model.PrintOutputTensors()
    model.PrintDynamicTensors()
    model.HeadInitializedTensors("0bias")
    said = capsys.readouterr().out
    assert "product   type: float   shape: { N , 2 }" in said
    assert "0.5, -0.25" in said
    with pytest.raises(ShapeError, match="Initialize"):
        model.GetTensorShape("x0")
    with pytest.raises(SettingError, match=r"no tensor '0weights'\. Nearest: '0weight'"):
        model.GetTensorShape("0weights")
    with pytest.raises(SettingError, match="call Generate"):
        model.OutputGenerated()
    model.Generate(SOFIE.Options.kDefault, 1)
    model.OutputGenerated()
    assert "namespace TMVA_SOFIE_my_model" in (tmp_path / "my_model.hxx").read_text()
    model.PrintGenerated()
    assert "struct Session" in capsys.readouterr().out
    del bias


def test_free_lengths_are_fixed_by_name(tmp_path):
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["N", "width"]) for n in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", ends[:1], ends[1:])
    opset = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), str(tmp_path / "relu.onnx"))
    model = SOFIE.RModelParser_ONNX().Parse(str(tmp_path / "relu.onnx"))
    with pytest.raises(UnsupportedOperationError):
        model.Generate()
    with pytest.raises(SettingError, match=r"no free length 'widht'\. Nearest: 'width'"):
        model.Initialize({"widht": 3})
    model.Initialize({"N": 4, "width": 3})
    model.Generate()
    assert model.GetDynamicTensorShape("x") == ["N", 3]
    assert "std::vector<float> y(12);" in model.ReturnGenerated()


def test_a_batch_that_the_file_fixes(tmp_path):
    """Where the file says 2 events, code for 2 events is made, and no other number is."""
    dense_onnx(tmp_path / "two.onnx", first=2)
    model = SOFIE.RModelParser_ONNX().Parse(str(tmp_path / "two.onnx"))
    model.Generate()
    assert "output_sizes[] = {4}" in model.ReturnGenerated()
    with pytest.raises(SettingError, match="fixed batch of 2"):
        model.Generate(SOFIE.Options.kDefault, 3)


def test_what_cannot_be_done_is_named(tmp_path):
    with pytest.raises(SourceNotFoundError, match="no Keras model file"):
        SOFIE.PyKeras.Parse(str(tmp_path / "none.keras"))
    (tmp_path / "text.keras").write_text("no model")
    with pytest.raises(ModelFileError):
        SOFIE.PyKeras.Parse(str(tmp_path / "text.keras"))
    with pytest.raises(MissingDependencyError, match=r"torch\.onnx\.export"):
        SOFIE.PyTorch.Parse("model.pt")
    with pytest.raises(SettingError, match="operator by operator"):
        SOFIE.ROperator_Transpose  # noqa: B018
    dense_onnx(tmp_path / "one.onnx")
    model = SOFIE.RModelParser_ONNX().Parse(str(tmp_path / "one.onnx"))
    with pytest.raises(UnsupportedOperationError, match="operator by operator"):
        model.AddOperator(None)
    with pytest.raises(SettingError, match="graph_nets"):
        model.Generate(SOFIE.Options.kGNN)
    with pytest.raises(SettingError, match="no such combination"):
        model.Generate(64)


def test_the_reader_of_model_files(tmp_path):
    weights, bias = dense_onnx(tmp_path / "dense.onnx")
    reader = TMVA.Experimental.RSofieReader(str(tmp_path / "dense.onnx"), engine="onnxruntime")
    x = np.random.default_rng(2).normal(size=(5, 3)).astype(np.float32)
    expected = np.maximum(x @ weights + bias, 0)
    assert np.abs(reader.Compute(x) - expected).max() < 1e-6
    assert np.abs(reader.Compute(x[2]) - expected[2]).max() < 1e-6
    network = keras_file(tmp_path / "net.keras", 3, 3)
    reader = TMVA.Experimental.RSofieReader(str(tmp_path / "net.keras"), engine="onnxruntime")
    assert np.abs(reader.Compute(x) - np.asarray(network(x))).max() < 1e-6
    with pytest.raises(ShapeError, match="takes 3 values"):
        reader.Compute([1.0])
