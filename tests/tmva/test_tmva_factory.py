"""The Factory, from trees to files: what is booked, trained, tested and written, on ROOT's own example."""

from __future__ import annotations

import numpy as np
import pytest
import uproot

from hepml_root import tmva as TMVA
from hepml_root.data.shipped import shipped_file
from hepml_root.errors import IgnoredOptionWarning, OutputWriteError, SettingError, UnsupportedOperationError
from hepml_root.evaluation.roc import auc
from hepml_root.tmva.factory import type_name
from hepml_root.tmva.weights.graph import Graph

ROOT = pytest.importorskip("ROOT")
VARIABLES = ("myvar1 := var1+var2", "myvar2 := var1-var2", "var3", "var4")
LABELS = ("myvar1", "myvar2", "var3", "var4")


@pytest.fixture(scope="module")
def example():
    file = ROOT.TFile.Open(str(shipped_file("tmva_class_example.root")))
    yield file
    file.Close()


def loader_of(file, options: str = "nTrain_Signal=1000:nTrain_Background=1000:NormMode=NumEvents:!V"):
    loader = TMVA.DataLoader("dataset")
    for variable in VARIABLES:
        loader.AddVariable(variable, "F")
    loader.AddSpectator("spec1 := var1*2", "Spectator 1", "units")
    loader.AddSignalTree(file.Get("TreeS"), 1.0)
    loader.AddBackgroundTree(file.Get("TreeB"), 1.0)
    loader.SetBackgroundWeightExpression("weight")
    loader.PrepareTrainingAndTestTree(ROOT.TCut(""), ROOT.TCut(""), options)
    return loader


@pytest.fixture(scope="module")
def trained(example, tmp_path_factory):
    """A Factory with four methods, its output file, and what it printed; in a folder of its own."""
    import contextlib
    import io
    import os

    folder = tmp_path_factory.mktemp("factory")
    here = os.getcwd()
    os.chdir(folder)
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            output = ROOT.TFile.Open("TMVA.root", "RECREATE")
            factory = TMVA.Factory(
                "TMVAClassification",
                output,
                "!V:!Silent:!Color:Transformations=I;D:AnalysisType=Classification",
            )
            loader = loader_of(example)
            factory.BookMethod(
                loader, TMVA.Types.kFisher, "Fisher",
                "H:!V:Fisher:CreateMVAPdfs:PDFInterpolMVAPdf=Spline2:NbinsMVAPdf=50:NsmoothMVAPdf=10",
            )  # fmt: skip
            factory.BookMethod(loader, TMVA.Types.kLD, "LD", H=False, VarTransform="D,N")
            factory.BookMethod(
                loader, "MLP", "MLP", "!H:VarTransform=N:NCycles=100:HiddenLayers=N:NeuronType=tanh"
            )
            factory.BookMethod(
                loader, TMVA.Types.kPyRandomForest, ROOT.TString("Forest"), NEstimators=20, MaxDepth=5
            )
            factory.TrainAllMethods()
            factory.TestAllMethods()
            factory.EvaluateAllMethods()
            output.Close()
    finally:
        os.chdir(here)
    return factory, loader, folder, printed.getvalue()


def test_what_is_printed(trained):
    *_, printed = trained
    for line in (
        "Factory                  : Booking method: Fisher",
        "Factory                  : Train method: MLP for Classification",
        "Fisher                   : Creating xml weight file: dataset/weights/TMVAClassification_Fisher.",
        "Factory                  : Evaluation results ranked by best signal efficiency and purity (area)",
    ):
        assert line in printed
    assert printed.index("Train all methods") < printed.index("Test all methods")


def test_files(trained):
    *_, folder, _ = trained
    found = {path.name for path in (folder / "dataset" / "weights").iterdir()}
    expected = {
        f"TMVAClassification_{title}.{end}"
        for title in ("Fisher", "LD", "MLP", "Forest")
        for end in ("weights.xml", "onnx", "hxx")
    }
    assert found == expected


def test_roc_integrals_are_those_of_the_output_file(trained):
    """The trees of the file hold the responses; the area is computed from them once more, by other code."""
    factory, loader, folder, _ = trained
    with uproot.open(folder / "TMVA.root") as file:
        tree = file["dataset/TestTree"].arrays(library="np")
    assert len(tree["weight"]) == 10_000
    signal = tree["classID"] == 0
    for title in ("Fisher", "LD", "MLP", "Forest"):
        area = auc(tree[title], signal, tree["weight"], bootstrap=0).value
        assert factory.GetROCIntegral(loader, title) == pytest.approx(area, abs=1e-9)
        # ROOT's own TMVA has 0.919 (Fisher, LD), 0.914 (MLP), and 0.874 to 0.900 with trees, which see only
        # 2000 events of very different weights; 5000 test events of each class.
        assert area > (0.84 if title == "Forest" else 0.89)
    assert np.allclose(tree["spec1"], tree["myvar1"] + tree["myvar2"], atol=1e-5)


def test_the_reader_gives_what_the_test_tree_has(trained):
    from array import array

    *_, folder, _ = trained
    with uproot.open(folder / "TMVA.root") as file:
        tree = file["dataset/TestTree"].arrays(library="np", entry_stop=20)
    reader = TMVA.Reader("!Color:Silent", engine="onnxruntime")
    values = [array("f", [0.0]) for _ in VARIABLES]
    for variable, value in zip(VARIABLES, values, strict=True):
        reader.AddVariable(variable, value)
    reader.AddSpectator("spec1:=var1 * 2", array("f", [0.0]))
    weights = folder / "dataset" / "weights"
    for title in ("Fisher", "LD", "MLP", "Forest"):
        reader.BookMVA(title, str(weights / f"TMVAClassification_{title}.weights.xml"))
    for event in range(20):
        for label, value in zip(LABELS, values, strict=True):
            value[0] = tree[label][event]
        for title in ("Fisher", "LD", "MLP", "Forest"):
            assert reader.EvaluateMVA(title) == pytest.approx(tree[title][event], abs=2e-6)
        assert reader.GetProba("Fisher") == pytest.approx(tree["prob_Fisher"][event], abs=1e-5)
        assert 0.0 <= reader.GetRarity("Fisher") <= 1.0
    with pytest.raises(SettingError, match="CreateMVAPdfs"):
        reader.GetProba("MLP")


def test_roc_curves(trained):
    factory, loader, *_ = trained
    graph = factory.GetROCCurve(loader, "Fisher")
    points = np.array([(graph.GetPointX(i), graph.GetPointY(i)) for i in range(graph.GetN())])
    points = points[np.argsort(points[:, 0], kind="stable")]
    area = np.trapezoid(points[:, 1], points[:, 0])
    assert area == pytest.approx(factory.GetROCIntegral(loader, "Fisher"), abs=1e-3)
    assert factory.GetROCCurveAsMultiGraph(loader).GetListOfGraphs().GetSize() == 4
    canvas = factory.GetROCCurve(loader)
    assert [item.ClassName() for item in canvas.GetListOfPrimitives()][-1] == "TLegend"
    with pytest.raises(SettingError, match="Nearest: 'Fisher'"):
        factory.GetROCCurve(loader, "Fischer")


def test_results_and_names(trained):
    factory, loader, *_ = trained
    result = factory.result(loader, "LD")
    assert result.test.shape == (10_000, 1)
    assert result.probability_test is None
    assert factory.HasMethod("dataset", "LD")
    assert not factory.HasMethod("dataset", "BDT")
    assert factory.GetMethod(loader, "LD").type_name == "LD"


def test_methods_are_named_in_many_ways():
    assert [type_name(name) for name in (TMVA.Types.kBDT, 9, "BDT", "kBDT", ROOT.TString("BDT"))] == [
        "BDT"
    ] * 5
    with pytest.raises(SettingError, match="99"):
        type_name(99)


def test_what_booking_refuses(example):
    factory = TMVA.Factory("job", "Silent:AnalysisType=Classification")
    loader = loader_of(example)
    with pytest.raises(SettingError, match=r"no option .NTress.\. Nearest: .NTrees."):
        factory.BookMethod(loader, TMVA.Types.kBDT, "BDT", "NTress=100")
    with pytest.raises(SettingError, match=r"no method .BTD.\. Nearest: .BDT."):
        factory.BookMethod(loader, "BTD", "BDT")
    with pytest.raises(SettingError, match="searches the training events"):
        factory.BookMethod(loader, TMVA.Types.kPDERS, "PDERS")
    with pytest.raises(SettingError, match="a DataLoader is needed"):
        factory.BookMethod(TMVA.Types.kBDT, "BDT", "")
    with pytest.raises(AttributeError, match=r"It is of the DataLoader: .*\.AddVariable"):
        factory.AddVariable("x", "F")
    with pytest.raises(AttributeError, match=r"no attribute 'AddVariabel'$"):
        factory.AddVariabel("x", "F")
    with pytest.raises(SettingError, match="the title 'My Fisher/2' cannot be the name of a file"):
        factory.BookMethod(loader, "Fisher", "My Fisher/2")
    factory.BookMethod(loader, "Fisher", "Fisher")
    with pytest.raises(SettingError, match="booked already"):
        factory.BookMethod(loader, "LD", "Fisher")
    with pytest.raises(SettingError, match="two DataLoaders are called 'dataset'"):
        factory.BookMethod(loader_of(example), "LD", "LD")
    with pytest.raises(SettingError, match="is not trained"):
        factory.TestAllMethods()
    with pytest.raises(SettingError, match="is not tested"):
        factory.EvaluateAllMethods()
    regression = TMVA.Factory("job", "Silent:AnalysisType=Regression")
    assert regression.BookMethod(loader, "Fisher", "Fisher") is None  # a warning, as in TMVA
    assert not regression.HasMethod(loader, "Fisher")
    with pytest.raises(SettingError, match="AnalysisType"):
        TMVA.Factory("job", "AnalysisType=Clustering")


def test_options_that_change_nothing_warn_once(example):
    factory = TMVA.Factory("job", "Silent:AnalysisType=Classification")
    loader = loader_of(example)
    with pytest.warns(IgnoredOptionWarning, match="TempScale"):
        factory.BookMethod(loader, "Cuts", "Cuts1", TempScale=2.0)


def test_a_failure_in_training_leaves_no_file(example, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    factory = TMVA.Factory("job", "Silent:AnalysisType=Classification")
    loader = loader_of(example)
    factory.BookMethod(loader, "Fisher", "Fisher", VarTransform="Q")
    with pytest.raises(SettingError, match="VarTransform"):
        factory.TrainAllMethods()
    assert not list(tmp_path.rglob("*.xml"))


def test_a_folder_that_cannot_be(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dataset").write_text("a file has this name")
    rng = np.random.default_rng(1)
    loader = TMVA.DataLoader("dataset")
    loader.AddVariable("x")
    loader.AddSignalTree({"x": rng.normal(1, 1, 50)})
    loader.AddBackgroundTree({"x": rng.normal(-1, 1, 50)})
    factory = TMVA.Factory("Job", "Silent")
    factory.BookMethod(loader, "Fisher", "Fisher", "")
    with pytest.raises(OutputWriteError, match="cannot write 'dataset/weights"):
        factory.TrainAllMethods()
    assert (tmp_path / "dataset").read_text() == "a file has this name"


def test_negative_weights_are_left_out_if_asked(tmp_path, monkeypatch):
    """With negative weights the background is centred at −0.5 instead of −1: the constant tells."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(3)
    signal = {"x": rng.normal(1, 1, 2000), "w": np.ones(2000)}
    background = {
        "x": np.concatenate([rng.normal(-1, 1, 2000), rng.normal(-3, 0.3, 400)]),
        "w": np.concatenate([np.ones(2000), np.full(400, -1.0)]),
    }
    found = {}
    for title, option in (("all", "!IgnoreNegWeightsInTraining"), ("positive", "IgnoreNegWeightsInTraining")):
        loader = TMVA.DataLoader(title)
        loader.AddVariable("x")
        loader.AddSignalTree(signal)
        loader.AddBackgroundTree(background)
        loader.SetWeightExpression("w")
        loader.PrepareTrainingAndTestTree("", "SplitMode=Alternate:NormMode=NumEvents")
        factory = TMVA.Factory("job", "Silent:AnalysisType=Classification")
        factory.BookMethod(loader, "Fisher", "Fisher", option)
        factory.TrainAllMethods()
        weights = TMVA.read_weights(f"{title}/weights/job_Fisher.weights.xml").weights
        offset, slope = weights.coefficients[0]
        found[title] = -offset / slope  # where the response is 0: in the middle of both means
    assert found["positive"] == pytest.approx(0.0, abs=0.1)
    assert found["all"] > 0.15  # the mean of the background is −0.5 then


def test_embedded_graphs_are_those_of_one_input():
    inner = Graph("x")
    model = inner.model("inner", 2, inner.add("Relu", "x"), "y", 2)
    model.graph.input.append(model.graph.input[0])
    model.graph.input[1].name = "second"
    with pytest.raises(UnsupportedOperationError, match="2 inputs"):
        Graph("features").embed(model, "features")
    model = inner.model("inner", 2, "x", "y", 2)
    model.opset_import[0].version = 11
    with pytest.raises(UnsupportedOperationError, match="opset 11"):
        Graph("features").embed(model, "features")


def test_weight_files_are_kept_and_that_is_said():
    with pytest.warns(IgnoredOptionWarning, match="ModelPersistence changes nothing here"):
        TMVA.Factory("without_files", "Silent:!ModelPersistence")
