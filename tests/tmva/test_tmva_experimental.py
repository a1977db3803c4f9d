"""TMVA.Experimental, ROCCurve, constants and settings: known answers, files, and what is refused."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from hepml_root import tmva as TMVA
from hepml_root.errors import (
    CorruptFileError,
    IgnoredOptionWarning,
    ModelFileError,
    SettingError,
    ShapeError,
    SourceNotFoundError,
    UnsupportedOperationError,
)
from hepml_root.tmva.experimental import forest, xgboost_model
from hepml_root.tmva.experimental.root_objects import tmva_class

Experimental = TMVA.Experimental
PACKED = Path(__file__).resolve().parents[1] / "reference" / "tmva"
ROOT = pytest.importorskip("ROOT")


def xgboost_reference(name: str) -> dict:
    return json.loads(gzip.decompress((PACKED / f"xgboost_{name}.json.gz").read_bytes()))


class Booster:
    """What SaveXGBoost asks of a model of XGBoost, with what XGBoost itself saved."""

    def __init__(self, document: dict) -> None:
        self.document = document

    def get_booster(self) -> Booster:
        return self

    def save_raw(self, raw_format: str) -> bytearray:
        assert raw_format == "json"
        return bytearray(json.dumps(self.document).encode())


# -- constants and settings ----------------------------------------------------------------------------


def test_the_constants_have_the_numbers_of_tmva():
    # From TMVA/Types.h of ROOT 6.30; old files and macros hold the numbers.
    numbers = {"kCuts": 1, "kFisher": 5, "kBDT": 9, "kMLP": 13, "kLD": 18, "kDL": 22, "kPyKeras": 26}
    assert {name: int(getattr(TMVA.Types, name)) for name in numbers} == numbers
    with pytest.raises(AttributeError, match=r"no constant of TMVA\.Types 'kBDTT'\. Nearest: 'kBDT'"):
        TMVA.Types.kBDTT  # noqa: B018
    with pytest.raises(SettingError, match="Nearest: 'Fisher'"):
        TMVA.Types.GetMethodType("Fischer")


def test_settings_of_gconfig_reach_the_methods_or_say_that_they_do_not():
    from hepml_root.tmva.booking import book

    names = TMVA.gConfig().GetIONames()
    try:
        names.fWeightFileDir, names.fWeightFileDirPrefix = ROOT.TString("w"), "before"
        method = book("Fisher", "F", job="j", dataset="d", analysis="Classification")
        assert method.booking.folder == Path("before/d/w")
        with pytest.raises(AttributeError, match="Nearest: 'fWeightFileDir'"):
            names.fWeightFilesDir = "x"
        with pytest.warns(IgnoredOptionWarning, match="fUsePaperStyle changes nothing"):
            TMVA.gConfig().GetVariablePlotting().fUsePaperStyle = True
    finally:
        TMVA.Config.DestroyInstance()
    assert TMVA.gConfig().GetIONames().fWeightFileDir == "weights"


# -- ROCCurve ------------------------------------------------------------------------------------------


def test_the_roc_curve_of_weighted_events():
    # Signal 0.5 at 4, 0.25 at 2, 0.25 at 1; background 0.4 at 3, 0.6 at 1, where it ties with signal:
    # area = 0.4 × 0.5 + 0.6 × (0.75 + 0.25 / 2)
    curve = TMVA.ROCCurve([4, 2, 1], [3, 1], [2, 1, 1], [0.4, 0.6])
    assert curve.GetROCIntegral() == pytest.approx(0.725, abs=1e-12)
    assert curve.GetEffSForEffB(0.0) == pytest.approx(0.5)
    assert curve.GetEffSForEffB(0.4) == pytest.approx(0.75)
    assert curve.GetEffSForEffB(0.7) == pytest.approx(0.875)
    graph = curve.GetROCCurve(5)
    assert [graph.GetPointX(i) for i in range(5)] == [0, 0.25, 0.5, 0.75, 1]
    assert [graph.GetPointY(i) for i in range(5)] == pytest.approx([1, 1, 1, 0.6, 0])


def test_the_roc_curve_takes_vectors_of_root_and_truth_values():
    floats, bools = ROOT.std.vector["float"], ROOT.std.vector["bool"]
    assert TMVA.ROCCurve(floats([0.1, 0.5]), bools([True, False])).GetROCIntegral() == 0
    assert TMVA.ROCCurve([0.1, 0.5], [False, True], [1, 2]).GetROCIntegral() == 1
    with pytest.raises(ShapeError, match="1 weights for 2 scores"):
        TMVA.ROCCurve([0.1, 0.5], [0.2], [1], [1])
    with pytest.raises(SettingError, match="at least 2"):
        TMVA.ROCCurve([0.1], [0.2]).GetROCCurve(1)


# -- RStandardScaler -----------------------------------------------------------------------------------


def test_a_scaler_is_saved_beside_others_and_read_back(tmp_path):
    x = np.random.default_rng(3).normal([1, -2, 30], [1, 2, 3], (500, 3)).astype(np.float32)
    scaler = Experimental.RStandardScaler["float"]()
    with pytest.raises(SettingError, match="call Fit"):
        scaler.Compute(x)
    scaler.Fit(x)
    y = scaler.Compute(x)
    assert np.abs(y.mean(axis=0)).max() < 1e-4
    assert np.abs(y.std(axis=0, ddof=1) - 1).max() < 1e-4
    file = str(tmp_path / "scalers.root")
    other = Experimental.RStandardScaler()
    other.Fit(x[:100])
    other.Save("other", file)
    scaler.Save("mine", file)
    again = Experimental.RStandardScaler("mine", file)
    assert again.GetMeans().tolist() == scaler.GetMeans().tolist()
    assert again.Compute(x[0]).tolist() == y[0].tolist()
    with pytest.raises(SourceNotFoundError, match="Nearest: 'mine"):
        Experimental.RStandardScaler("mines", file)
    with pytest.raises(ShapeError, match="fitted were 3"):
        again.Compute([1.0, 2.0])
    with pytest.raises(SourceNotFoundError, match="no file"):
        Experimental.RStandardScaler("mine", str(tmp_path / "none.root"))
    (tmp_path / "text.root").write_text("no ROOT file")
    with pytest.raises(CorruptFileError, match="no ROOT file that can be read"):
        Experimental.RStandardScaler("mine", str(tmp_path / "text.root"))


# -- RBDT ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["binary", "multiclass", "regression"])
def test_trees_of_xgboost_answer_as_xgboost_does(name, tmp_path):
    """Also on the cuts themselves; and the C++ class that macros use reads the same file."""
    reference = xgboost_reference(name)
    events, expected = np.float32(reference["events"]), np.array(reference["expected"])
    file = str(tmp_path / "trees.root")
    Experimental.SaveXGBoost(Booster(reference["model"]), "myBDT", file, num_inputs=4)
    bdt = Experimental.RBDT("myBDT", file, engine="onnxruntime")
    found = bdt.Compute(events)
    assert found.shape == (len(events), expected[0].size)
    assert (
        np.abs(found - expected.reshape(found.shape)).max() < 2e-6
    )  # float32 sums of twelve numbers up to 3
    assert bdt.Compute(*events[0].tolist()).tolist() == found[0].tolist()
    in_cpp = tmva_class("RBDT.hxx", "TMVA::Experimental::RBDT")("myBDT", file)
    compute = getattr(in_cpp, "_OriginalCompute", in_cpp.Compute)  # where PyROOT wraps it
    for event, values in zip(events, found, strict=True):
        assert np.array(compute(ROOT.std.vector["float"](event))) == pytest.approx(values, abs=2e-6)


def test_xgboost_itself(tmp_path):
    xgboost = pytest.importorskip("xgboost")
    x = np.random.default_rng(1).normal(size=(300, 3)).astype(np.float32)
    model = xgboost.XGBClassifier(n_estimators=5, max_depth=2).fit(x, x[:, 0] > 0)
    Experimental.SaveXGBoost(model, "bdt", tmp_path / "trees.root", 3)
    bdt = Experimental.RBDT("bdt", str(tmp_path / "trees.root"), engine="onnxruntime")
    assert bdt.Compute(x)[:, 0] == pytest.approx(model.predict_proba(x)[:, 1], abs=1e-6)


def old_file(path, thresholds=(0.5, 2.0, 0.0, 10.0, 20.0, 0.0, 0.0), objective="identity"):
    """Write trees as SaveXGBoost did before ROOT 6.32: of depth 2, with one branch that ends early."""
    file = ROOT.TFile(str(path), "RECREATE")
    folder = file.mkdir("myBDT")
    ints = {"max_depth": [2], "num_trees": [1], "num_inputs": [2], "num_outputs": [1], "outputs": [0]}
    for name, values in {**ints, "inputs": [0, 1, -1]}.items():
        folder.WriteObject(ROOT.std.vector["int"](values), name)
    folder.WriteObject(ROOT.std.vector["float"](thresholds), "thresholds")
    folder.WriteObject(ROOT.std.string(objective), "objective")
    file.Close()


def test_trees_of_the_layout_before_root_6_32(tmp_path):
    """They went to the right where x > cut: an event on the cut goes to the left."""
    old_file(tmp_path / "old.root", thresholds=(0.5, 2.0, -7.0, 10.0, 20.0, 0.0, 0.0))
    bdt = Experimental.RBDT("myBDT", str(tmp_path / "old.root"), engine="onnxruntime")
    events = [[0.5, 2.0], [0.5, 2.5], [0.6, 0.0]]
    assert bdt.Compute(events)[:, 0].tolist() == [10.0, 20.0, -7.0]
    old_file(tmp_path / "logistic.root", (0.5, 2.0, -7.0, 10.0, 20.0, 0.0, 0.0), "logistic")
    bdt = Experimental.RBDT("myBDT", str(tmp_path / "logistic.root"), engine="onnxruntime")
    assert bdt.Compute([0.6, 0.0])[0] == pytest.approx(1 / (1 + np.exp(7)), rel=1e-5)
    old_file(tmp_path / "short.root", thresholds=(0.5, 2.0))
    with pytest.raises(CorruptFileError, match="2 thresholds, 7 are needed"):
        Experimental.RBDT("myBDT", str(tmp_path / "short.root"))
    with pytest.raises(SourceNotFoundError, match="Available: myBDT"):
        Experimental.RBDT("yourBDT", str(tmp_path / "old.root"))


def test_damaged_trees_are_refused(tmp_path):
    kind = tmva_class("RBDT.hxx", "TMVA::Experimental::RBDT")
    from hepml_root.tmva.experimental.root_objects import open_file, write_object

    def written(left: int, right: int) -> str:
        made = kind()
        for values, number in (
            (made.fRootIndices, 0), (made.fCutIndices, 0), (made.fCutValues, 1.0), (made.fTreeNumbers, 0),
            (made.fLeftIndices, left), (made.fRightIndices, right), (made.fResponses, 1.0),
            (made.fBaseResponses, 0.0),
        ):  # fmt: skip
            values.push_back(number)
        file = tmp_path / f"{left}_{right}.root"
        with open_file(file, "RECREATE") as opened:
            write_object(opened, made, "bdt")
        return str(file)

    assert forest.read_model("bdt", written(0, 0)).trees[0].value.tolist() == [0.0, 1.0, 1.0]
    for left, right in ((0, 5), (-3, 0)):  # a node and a response that are not there
        with pytest.raises(CorruptFileError, match="trees of the model are damaged"):
            forest.read_model("bdt", written(left, right))


def test_what_an_rbdt_cannot_hold_is_refused(tmp_path):
    model = xgboost_reference("binary")["model"]

    def changed(**entries):
        learner = {**model["learner"], **entries}
        return {**model, "learner": learner}

    with pytest.raises(ShapeError, match="takes 4 variables, and num_inputs=3"):
        Experimental.SaveXGBoost(Booster(model), "bdt", tmp_path / "x.root", 3)
    with pytest.raises(UnsupportedOperationError, match="rank:pairwise"):
        xgboost_model.trees_of_json(changed(objective={"name": "rank:pairwise"}))
    booster = {**model["learner"]["gradient_booster"], "name": "dart"}
    with pytest.raises(UnsupportedOperationError, match="booster 'dart'"):
        xgboost_model.trees_of_json(changed(gradient_booster=booster))
    trees = [dict(tree) for tree in model["learner"]["gradient_booster"]["model"]["trees"]]
    trees[0]["split_type"] = [1] * len(trees[0]["split_type"])
    inner = {**model["learner"]["gradient_booster"]["model"], "trees": trees}
    with pytest.raises(UnsupportedOperationError, match="category"):
        xgboost_model.trees_of_json(changed(gradient_booster={"name": "gbtree", "model": inner}))
    (tmp_path / "model.ubj").write_bytes(b"\x7b\x4c")
    with pytest.raises(ModelFileError, match="no JSON"):
        Experimental.RBDT.LoadXGBoost(tmp_path / "model.ubj")
    (tmp_path / "model.json").write_text(json.dumps(model))
    loaded = Experimental.RBDT.LoadXGBoost(tmp_path / "model.json", engine="onnxruntime")
    reference = xgboost_reference("binary")
    assert loaded.Compute(reference["events"])[:, 0] == pytest.approx(reference["expected"], abs=1e-6)


# -- RReader, tensors, Compute -------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["BDTG", "Fisher", "MLP"])
def test_rreader_gives_what_tmva_gives(method, reference, expected, events):
    reader = Experimental.RReader(str(reference / f"{method}.weights.xml"), engine="onnxruntime")
    found = reader.Compute(events)
    assert found.shape == (len(events),)
    assert np.abs(found - expected[method]).max() < 1e-5
    assert reader.Compute(events[7])[0] == pytest.approx(found[7], abs=1e-6)
    assert reader.GetVariables() == ["var1+var2", "var1-var2", "var3", "var4"]
    assert reader.Compute(1.0, 2.0, np.nan, 4.0).tolist() == [-999.0]
    with pytest.raises(ShapeError, match="takes 4 values"):
        reader.Compute([1.0, 2.0])


def test_rreader_refuses_cuts(reference):
    with pytest.raises(UnsupportedOperationError, match="signal efficiency"):
        Experimental.RReader(str(reference / "Cuts.weights.xml"))


def test_a_model_in_a_data_frame(reference, expected, events):
    """Compute in Define, by compiled code, and AsTensor of the same columns."""
    reader = Experimental.RReader(str(reference / "Fisher.weights.xml"))
    columns = {f"v{i}": np.ascontiguousarray(events[:, i]) for i in range(4)}
    frame = ROOT.RDF.FromNumpy(columns)
    x = Experimental.AsTensor["float"](frame, list(columns))
    assert x.GetShape() == [len(events), 4]
    assert np.array_equal(x, events)
    scored = frame.Define("y", Experimental.Compute[4, "float"](reader), list(columns)).Define("y0", "y[0]")
    assert np.abs(scored.AsNumpy(["y0"])["y0"] - expected["Fisher"]).max() < 1e-5
    with pytest.raises(SettingError, match="takes 4 values"):
        Experimental.Compute[3, "float"](reader)
    with pytest.raises(SettingError, match="an RReader, RBDT or RSofieReader"):
        Experimental.Compute[3, "float"]("model")


def test_rtensor_has_the_calls_of_tmva():
    x = Experimental.RTensor["float"](np.arange(6), [2, 3])
    assert x.dtype == np.float32
    assert (x.GetShape(), x.GetStrides(), x.GetSize()) == ([2, 3], [3, 1], 6)
    assert x.Slice([[0, 2], [1, 2]]).tolist() == [[1.0], [4.0]]
    assert x.Reshape([1, 6]).Squeeze().tolist() == [0, 1, 2, 3, 4, 5]
    columns = Experimental.RTensor["double"](np.arange(6), [2, 3], Experimental.MemoryLayout.ColumnMajor)
    assert columns.tolist() == [[0, 2, 4], [1, 3, 5]]
    assert columns.GetMemoryLayout() == Experimental.MemoryLayout.ColumnMajor
    with pytest.raises(ShapeError, match="6 numbers"):
        Experimental.RTensor["float"](np.arange(6), [4])
    with pytest.raises(SettingError, match="type of tensors 'half'"):
        Experimental.RTensor["half"]


def test_what_is_not_there_is_named():
    with pytest.raises(AttributeError, match="RStandardScaler"):
        Experimental.RScaler  # noqa: B018
