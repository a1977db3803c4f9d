"""TMVA's Reader: its calls, how it matches variables, and what it refuses."""

from __future__ import annotations

import subprocess
import sys
from array import array

import numpy as np
import pytest
from weight_files import fisher, forest, leaf, weight_file

from hepml_root import tmva as TMVA
from hepml_root.errors import ColumnNotFoundError, ColumnTypeError, SettingError, ShapeError

VARIABLES = ("myvar1 := var1+var2", "myvar2 := var1-var2", "var3", "var4")
SPECTATORS = ("spec1 := var1*2", "spec2 := var1*3")


def filled(reader, variables=VARIABLES, spectators=SPECTATORS):
    addresses = [array("f", [0.0]) for _ in variables]
    for name, address in zip(variables, addresses, strict=True):
        reader.AddVariable(name, address)
    for name in spectators:
        reader.AddSpectator(name, array("f", [0.0]))
    return addresses


def test_the_loop_of_the_tutorial(reference, events, expected):
    reader = TMVA.Reader("!Color:!Silent", engine="onnxruntime")
    addresses = filled(reader)
    for method in ("Fisher", "MLP", "Cuts"):
        reader.BookMVA(f"{method} method", reference / f"{method}.weights.xml")
    for i in range(20):
        for address, value in zip(addresses, events[i], strict=True):
            address[0] = value
        assert reader.EvaluateMVA("Fisher method") == pytest.approx(expected["Fisher"][i], abs=1e-5)
        assert reader.EvaluateMVA("MLP method") == pytest.approx(expected["MLP"][i], abs=1e-5)
        assert reader.EvaluateMVA("Cuts method", 0.0) == 0.0
        assert reader.EvaluateMVA(events[i], "MLP method") == reader.EvaluateMVA("MLP method")
    box = TMVA.read_weights(reference / "Cuts.weights.xml").weights
    inside = ((events > box.least[71]) & (events <= box.most[71])).all(axis=1)
    found = [reader.EvaluateMVA(event.tolist(), "Cuts method", 0.705) for event in events[:40]]
    assert found == inside[:40].astype(float).tolist()
    with pytest.raises(SettingError, match="needs the signal efficiency"):
        reader.EvaluateMVA("Cuts method")


def test_spaces_and_labels(reference):
    reader = TMVA.Reader()
    filled(
        reader, ("other := var1 + var2", " var1 -var2", "var3 ", "label:=var4"), ("var1*2", "spec2:=var1 * 3")
    )
    reader.BookMVA("Cuts", reference / "Cuts.weights.xml")
    box = TMVA.read_weights(reference / "Cuts.weights.xml").weights
    centre = (np.maximum(box.least[71], -100) + np.minimum(box.most[71], 100)) / 2
    assert reader.EvaluateMVA(centre.tolist(), "Cuts", 0.705) == 1.0


@pytest.mark.parametrize(
    ("variables", "spectators", "says"),
    [
        (
            ("var1+var2", "var3", "var1-var2", "var4"),
            SPECTATORS,
            "is variable 2: call AddVariable in the order",
        ),
        (("var1+var2", "var1-var2", "var3", "var5"), SPECTATORS, "no variable 'var5'. Nearest: 'var4'"),
        (("var1+var2", "var1-var2", "var3"), SPECTATORS, "has 4 variables, and 3 are declared"),
        ((*VARIABLES, "var5"), SPECTATORS, "has 4 variables, and 5 are declared"),
        (VARIABLES, (), "has 2 spectators, and 0 are declared"),
        (VARIABLES, ("var1*2", "var1*4"), "no spectator 'var1*4'"),
    ],
)
def test_wrong_variables(reference, variables, spectators, says):
    reader = TMVA.Reader(engine="onnxruntime")
    filled(reader, variables, spectators)
    with pytest.raises(ColumnNotFoundError) as raised:
        reader.BookMVA("Fisher", reference / "Fisher.weights.xml")
    assert says in str(raised.value)
    assert "Fisher::Fisher" in str(raised.value)


def test_what_is_refused(tmp_path):
    path = weight_file(tmp_path, "Fisher", fisher(1, 2, 3))
    with pytest.raises(SettingError, match="Reader: no option 'Colour'"):
        TMVA.Reader("!Colour")
    reader = TMVA.Reader(engine="onnxruntime")
    filled(reader, ("x", "y"), ())
    with pytest.raises(SettingError, match="declared twice"):
        reader.AddVariable("z := x", array("f", [0.0]))
    for address in (None, "text", [], object()):
        with pytest.raises(ColumnTypeError, match="holds no number"):
            reader.AddVariable("z", address)
    reader.BookMVA("Fisher", path)
    with pytest.raises(SettingError, match="booked already"):
        reader.BookMVA("Fisher", path)
    with pytest.raises(SettingError, match="comes after BookMVA"):
        reader.AddVariable("z", array("f", [0.0]))
    with pytest.raises(SettingError, match=r"no method 'Fischer'\. Nearest: 'Fisher'"):
        reader.EvaluateMVA("Fischer")
    with pytest.raises(ShapeError, match="2 numbers are needed"):
        reader.EvaluateMVA([1.0, 2.0, 3.0], "Fisher")
    with pytest.raises(SettingError, match="call EvaluateMVA"):
        reader.EvaluateRegression("Fisher")
    with pytest.raises(SettingError, match=r"EvaluateMVA\(tag"):
        reader.EvaluateMVA()


def test_an_event_with_nan(tmp_path):
    path = weight_file(tmp_path, "Fisher", fisher(1, 2, 3))
    reader = TMVA.Reader(engine="onnxruntime")
    x, y = np.zeros(1, np.float32), np.zeros(1, np.float32)
    reader.AddVariable("x", x)
    reader.AddVariable("y", y)
    reader.BookMVA("Fisher", path)
    y[0] = 2.0
    assert reader.EvaluateMVA("Fisher") == 7.0
    x[0] = np.nan
    assert reader.EvaluateMVA("Fisher") == -999.0
    assert reader.EvaluateMVA([np.nan, 1.0], "Fisher") == -999.0


def test_regression_and_classes(tmp_path):
    trees = [(2.0, leaf("s", response=r)) for r in (0.5, 0.25, 0.0)]
    grad = {"BoostType": "Grad"}
    one = weight_file(
        tmp_path, "BDT", forest(trees, 1), options=grad, analysis="Regression", targets=["t"], classes=["R"]
    )
    reader = TMVA.Reader(engine="onnxruntime")
    filled(reader, ("x", "y"), ())
    reader.BookMVA("energy", one)
    assert reader.EvaluateRegression("energy") == [2.75]
    assert reader.EvaluateRegression(0, "energy") == 2.75  # a number, as in TMVA
    assert reader.EvaluateRegression([1.0, 2.0], "energy") == [2.75]
    with pytest.raises(SettingError, match="target 1"):
        reader.EvaluateRegression(1, "energy")
    three = weight_file(
        tmp_path, "BDT", forest(trees, 1), options=grad, analysis="Multiclass", classes=["a", "b", "c"]
    )
    reader.BookMVA("classes", three)
    found = reader.EvaluateMulticlass("classes")
    assert found == pytest.approx(np.exp([0.5, 0.25, 0.0]) / np.exp([0.5, 0.25, 0.0]).sum(), abs=1e-6)
    assert [reader.EvaluateMulticlass(which, "classes") for which in np.arange(3)] == found
    with pytest.raises(SettingError, match="class 3"):
        reader.EvaluateMulticlass(3, "classes")
    with pytest.raises(SettingError, match="call EvaluateMulticlass"):
        reader.EvaluateMVA("classes")


def test_import_is_lazy():
    code = (
        "import sys; from hepml_root import tmva as TMVA; dir(TMVA); "
        "loaded = {'keras', 'ROOT', 'onnx', 'hepml_root.tmva.reader'} & set(sys.modules); "
        "assert not loaded, loaded; TMVA.Reader, TMVA.convert; assert 'keras' not in sys.modules; "
        "assert 'ROOT' not in sys.modules"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
