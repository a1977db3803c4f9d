"""The DataLoader: what trees give, how TMVA divides events, and how it weighs them."""

from __future__ import annotations

import numpy as np
import pytest

from hepml_root import tmva as TMVA
from hepml_root.data.shipped import shipped_file
from hepml_root.errors import (
    ColumnNotFoundError,
    ColumnTypeError,
    EmptySelectionError,
    ExpressionError,
    NonFiniteInputError,
    SettingError,
    ShapeError,
    SourceNotFoundError,
)
from hepml_root.tmva.data_sets.declared_columns import internal_name

ROOT = pytest.importorskip("ROOT")
CLASSES = ("Signal", "Background")


def arrays(events: int, first: float = 0.0) -> dict[str, np.ndarray]:
    x = first + np.arange(events, dtype=np.float64)
    return {"x": x, "y": 2 * x, "w": np.full(events, 0.5)}


def memory_tree(name: str, columns: dict[str, np.ndarray]) -> ROOT.TTree:
    """A tree that is in no file."""
    from array import array

    tree = ROOT.TTree(name, name)
    tree.SetDirectory(ROOT.nullptr)
    places = {key: array("d", [0.0]) for key in columns}
    for key, place in places.items():
        tree.Branch(key, place, f"{key}/D")
    for row in zip(*columns.values(), strict=True):
        for place, value in zip(places.values(), row, strict=True):
            place[0] = value
        tree.Fill()
    tree.ResetBranchAddresses()
    return tree


def loader_of(signal, background, *, options: str = "SplitMode=Block:NormMode=None:!V", cut: str = ""):
    loader = TMVA.DataLoader("dataset")
    loader.AddVariable("x")
    loader.AddVariable("sum := x + y", "The sum", "GeV")
    loader.AddSpectator("y")
    loader.AddSignalTree(signal)
    loader.AddBackgroundTree(background)
    loader.PrepareTrainingAndTestTree(cut, options)
    return loader


def test_all_kinds_of_trees_give_the_same(tmp_path):
    """A tree in memory, a file by its name, a chain, a data frame, a table: the same events."""
    columns = arrays(10)
    path = str(tmp_path / "events.root")
    frame = ROOT.RDF.FromNumpy(columns)
    frame.Snapshot("events", path)
    chain = ROOT.TChain("events")
    chain.Add(path)
    chain.Add(path)
    twice = {name: np.concatenate([values, values]) for name, values in columns.items()}
    sources = [memory_tree("t", columns), path, f"{path}:events", frame, columns]
    expected = loader_of(columns, columns).prepared("Classification")
    assert expected.training.variables[:, 1].tolist() == [0, 3, 6, 9, 12] * 2
    assert expected.training.spectators[:, 0].tolist() == [0, 2, 4, 6, 8] * 2
    for source in sources:
        found = loader_of(source, columns).prepared("Classification")
        assert np.array_equal(found.training.variables, expected.training.variables)
        assert np.array_equal(found.test.spectators, expected.test.spectators)
    doubled = loader_of(chain, twice).prepared("Classification")
    assert np.array_equal(doubled.test.variables[:10], doubled.test.variables[10:])


def test_expressions_of_trees_are_formulas():
    """1/2 is 0.5 in a tree, as in TTree.Draw; a label, blanks and C++ names of mathematics are read."""
    tree = memory_tree("t", arrays(6, 1.0))
    loader = TMVA.DataLoader("dataset")
    loader.AddVariable("half := 1/2 * x", "F")
    loader.AddVariable(" TMath::Log( x ) ", "Logarithm", "", "F")
    loader.AddSignalTree(tree)
    loader.AddBackgroundTree(tree)
    data = loader.prepared("Classification")
    both = np.concatenate([data.training.variables, data.test.variables])
    both = both[np.argsort(both[:, 0])]
    x = np.repeat(np.arange(1.0, 7.0), 2)
    assert both[:, 0] == pytest.approx(x / 2)
    assert both[:, 1] == pytest.approx(np.log(x), abs=1e-7)
    assert data.variables[0].label == "half"
    assert data.variables[1].expression == "TMath::Log(x)"
    assert data.variables[1].internal == "TMath_Log_x_"
    half = data.training.variables[:, 0]
    assert (data.variables[0].minimum, data.variables[0].maximum) == (half.min(), half.max())


def test_arrays_give_an_event_for_each_element(tmp_path):
    """A scalar beside an array is repeated; arrays that were declared as such stay one event."""
    path = str(tmp_path / "jagged.root")
    frame = ROOT.RDataFrame(4).Define("n", "int(rdfentry_)").Define("pt", "ROOT::RVecF(n, 10.f + n)")
    frame = frame.Define("image", "ROOT::RVecF{1.f * n, 2.f * n, 3.f * n}")
    options = ROOT.RDF.RSnapshotOptions()
    frame.Snapshot("events", path, {"n", "pt", "image"}, options)
    loader = TMVA.DataLoader("dataset")
    loader.AddVariable("pt")
    loader.AddVariable("n", "I")
    loader.AddSignalTree(path)
    loader.AddBackgroundTree(path)
    loader.PrepareTrainingAndTestTree("pt > 11.5", "SplitMode=Block:NormMode=None:nTrain_Signal=3")
    data = loader.prepared("Classification")
    signal = data.training.variables[data.training.classes == 0]
    assert signal.tolist() == [[12, 2], [12, 2], [13, 3]]
    images = TMVA.DataLoader("images")
    images.AddVariablesArray("image", 3)
    images.AddSignalTree(path)
    images.AddBackgroundTree(path)
    images.PrepareTrainingAndTestTree("", "SplitMode=Block:NormMode=None")
    found = images.prepared("Classification")
    assert found.labels == ["image[0]", "image[1]", "image[2]"]
    assert found.training.variables.tolist() == [[0, 0, 0], [1, 2, 3]] * 2
    short = TMVA.DataLoader("short")
    short.AddVariablesArray("pt", 3)
    short.AddSignalTree(path)
    short.AddBackgroundTree(path)
    with pytest.raises(ExpressionError, match="the array pt has 0 elements in entry 0; 3 were declared"):
        short.prepared("Classification")


def test_arrays_of_different_length_are_refused(tmp_path):
    path = str(tmp_path / "two.root")
    frame = ROOT.RDataFrame(2).Define("a", "ROOT::RVecF(2, 1.f)").Define("b", "ROOT::RVecF(3, 1.f)")
    frame.Snapshot("events", path)
    loader = TMVA.DataLoader("dataset")
    loader.AddVariable("a")
    loader.AddVariable("b")
    loader.AddSignalTree(path)
    loader.AddBackgroundTree(path)
    with pytest.raises(ExpressionError, match="a has 2 elements, b has 3"):
        loader.prepared("Classification")


def test_weights_and_cuts_of_trees_and_classes():
    """Tree weight x expression; cuts of all, of a class, and of a tree are combined."""
    loader = TMVA.DataLoader("dataset")
    loader.AddVariable("x")
    loader.AddTree(memory_tree("s", arrays(10)), "Signal", 4.0, ROOT.TCut("x < 8"))
    loader.AddBackgroundTree(memory_tree("b", arrays(10)), 1.0)
    loader.SetWeightExpression("w", "Signal")
    loader.SetBackgroundWeightExpression("w*x")
    loader.PrepareTrainingAndTestTree(
        ROOT.TCut("x > 1"), ROOT.TCut("x > 5"), nTrain_Signal=3, nTrain_Background=2, SplitMode="Block",
        NormMode=None,
    )  # fmt: skip
    data = loader.prepared("Classification")
    assert data.training.variables[:, 0].tolist() == [2, 3, 4, 6, 7]
    assert data.training.weights.tolist() == [2, 2, 2, 3, 3.5]
    assert data.test.variables[:, 0].tolist() == [5, 6, 7, 8, 9]


@pytest.mark.parametrize(
    ("mode", "signal", "background"),
    [("None", 0.5, 0.5), ("NumEvents", 1.0, 1.0), ("EqualNumEvents", 1.0, 0.5)],
)
def test_norm_modes(mode, signal, background):
    """4 signal and 8 background events of weight 0.5 are for training; the test keeps its weights."""
    columns = arrays(8), arrays(16)
    loader = loader_of(
        *columns, options=f"SplitMode=Block:NormMode={mode}:nTrain_Signal=4:nTrain_Background=8"
    )
    loader.SetWeightExpression("w")
    data = loader.prepared("Classification")
    training = data.training
    assert training.weights[training.classes == 0] == pytest.approx(signal)
    assert training.weights[training.classes == 1] == pytest.approx(background)
    assert data.test.weights == pytest.approx(0.5)


def test_more_events_than_there_are():
    columns = arrays(10)
    for options in ("nTrain_Signal=11", "nTrain_Signal=6:nTest_Signal=6"):
        with pytest.raises(SettingError, match="there are 10"):
            loader_of(columns, columns, options=options).prepared("Classification")
    for options, asked in (
        ("nTrain_Signal=11", "11 events for training and 0 for the test"),
        ("nTest_Signal=12", "0 events for training and 12 for the test"),
    ):
        with pytest.raises(SettingError, match=asked):
            loader_of(columns, columns, options=options).prepared("Classification")
    with pytest.raises(EmptySelectionError, match="no event for the test"):
        loader_of(columns, columns, options="nTrain_Signal=10:nTrain_Background=10:SplitMode=Block").prepared(
            "Classification"
        )


def test_events_one_by_one():
    loader = TMVA.DataLoader("dataset")
    loader.AddVariable("a")
    loader.AddVariable("b")
    loader.AddSpectator("c")
    for value in range(3):
        loader.AddSignalTrainingEvent([value, 1.0 - value, 7.0], 2.0)
        loader.AddBackgroundTrainingEvent([value + 10, value, 8.0])
        loader.AddSignalTestEvent([value, value, 7.0])
        loader.AddEvent("Background", "Test", [value, value, 8.0])
    loader.PrepareTrainingAndTestTree("", "NormMode=None:SplitMode=Block")
    data = loader.prepared("Classification")
    assert data.training.variables[:3].tolist() == [[0, 1], [1, 0], [2, -1]]
    assert data.training.weights.tolist() == [2, 2, 2, 1, 1, 1]
    assert data.test.spectators[:, 0].tolist() == [7] * 3 + [8] * 3
    with pytest.raises(ShapeError, match="3 are needed"):
        loader.AddSignalTestEvent([1.0])


def test_regression_and_multiclass():
    tree = memory_tree("t", arrays(10))
    loader = TMVA.DataLoader("dataset")
    loader.AddVariable("x")
    loader.AddTarget("fvalue := y")
    loader.AddRegressionTree(tree, 1.0)
    loader.PrepareTrainingAndTestTree("", "nTrain_Regression=4:nTest_Regression=0:SplitMode=Block")
    assert loader.analysis == "Regression"
    data = loader.prepared("Regression")
    assert data.training.targets[:, 0].tolist() == [0, 2, 4, 6]
    assert data.targets[0].label == "fvalue"
    assert data.classes == ("Regression",)
    with pytest.raises(SettingError, match="AnalysisType=Regression"):
        loader.prepared("Classification")
    with pytest.raises(SettingError, match="AddRegressionTree"):
        loader.AddSignalTree(tree)
    several = TMVA.DataLoader("dataset")
    several.AddVariable("x")
    for name in ("Signal", "bg0", "bg1"):
        several.AddTree(tree, name)
    several.PrepareTrainingAndTestTree("", "SplitMode=Block:NormMode=NumEvents")
    assert several.analysis == "Multiclass"
    assert several.prepared("Multiclass").classes == ("Signal", "bg0", "bg1")
    alone = TMVA.DataLoader("dataset")
    alone.AddVariable("x")
    alone.AddSignalTree(tree)
    with pytest.raises(SettingError, match=r"there are Signal\. Add the other one with AddSignalTree"):
        alone.prepared("Classification")
    with pytest.raises(SettingError, match="AnalysisType=Multiclass"):
        several.prepared("Classification")


def test_signal_comes_first():
    columns = arrays(6)
    loader = TMVA.DataLoader("dataset")
    loader.AddVariable("x")
    loader.AddBackgroundTree(columns)
    loader.AddSignalTree(columns)
    assert loader.prepared("Classification").classes == CLASSES


def test_correlation_matrix():
    rng = np.random.default_rng(1)
    a = rng.normal(size=4000)
    b = 0.6 * a + 0.8 * rng.normal(size=4000)
    loader = TMVA.DataLoader("dataset")
    loader.AddVariable("a")
    loader.AddVariable("b")
    loader.AddSignalTree({"a": a, "b": b})
    loader.AddBackgroundTree({"a": a, "b": -b})
    # The error of a correlation of 0.6 with 2000 events is 0.014.
    assert loader.GetCorrelationMatrix("Signal").GetBinContent(1, 2) == pytest.approx(60, abs=6)
    assert loader.GetCorrelationMatrix("Background").GetBinContent(1, 2) == pytest.approx(-60, abs=6)
    with pytest.raises(SettingError, match="Signal, Background"):
        loader.GetCorrelationMatrix("signal_")


def test_variables_are_chosen_by_their_variance():
    rng = np.random.default_rng(1)
    columns = {"narrow": rng.normal(0, 1, 500), "wide": rng.normal(0, 3, 500)}
    loader = TMVA.DataLoader("dataset")
    loader.AddVariable("narrow")
    loader.AddVariable("wide")
    loader.AddSignalTree(columns)
    loader.AddBackgroundTree(columns)
    chosen = loader.VarTransform("VT(2.5)")
    assert chosen.prepared("Classification").labels == ["wide"]
    assert loader.prepared("Classification").labels == ["narrow", "wide"]
    with pytest.raises(SettingError, match="the largest variance is"):
        loader.VarTransform("VT(100)")
    with pytest.raises(SettingError, match=r"VT\(2.5\)"):
        loader.VarTransform("PCA")


def test_what_is_refused():
    columns = arrays(10)
    loader = TMVA.DataLoader("dataset")
    with_trees = TMVA.DataLoader("d")
    with_trees.AddSignalTree(columns)
    with_trees.AddBackgroundTree(columns)
    with pytest.raises(SettingError, match="no variable"):
        with_trees.prepared("Classification")
    loader.AddVariable("x")
    with pytest.raises(SettingError, match="no events"):
        loader.prepared("Classification")
    with pytest.raises(SettingError, match="added twice"):
        loader.AddVariable("x")
    with pytest.raises(SettingError, match="type 'D'"):
        loader.AddVariable("z", "", "", "D")
    with pytest.raises(SourceNotFoundError, match="null pointer"):
        loader.AddSignalTree(ROOT.TFile.Open(shipped_file("Higgs_data.root")).Get("no_tree"))
    with pytest.raises(SourceNotFoundError):
        loader.AddSignalTree("nothing_here.root")
    with pytest.raises(ColumnTypeError, match="holds no events"):
        loader.AddSignalTree(3.5)
    with pytest.raises(SettingError, match="Training"):
        loader.AddSignalTree(columns, 1.0, "Validation")
    loader.AddSignalTree(columns)
    loader.AddBackgroundTree(columns)
    loader.PrepareTrainingAndTestTree("", "nTrain_Sig=3")
    with pytest.raises(SettingError, match="Nearest: 'nTrain_Signal'"):
        loader.prepared("Classification")


def test_bad_expressions_name_the_nearest():
    tree = memory_tree("t", {"momentum": np.ones(4) * np.arange(4)})
    loader = TMVA.DataLoader("dataset")
    loader.AddVariable("sqrt(momentun)")
    loader.AddSignalTree(tree)
    loader.AddBackgroundTree(tree)
    with pytest.raises(ColumnNotFoundError, match=r"no branch 'momentun'\. Nearest: 'momentum'"):
        loader.prepared("Classification")
    syntax = TMVA.DataLoader("dataset")
    syntax.AddVariable("momentum*")
    syntax.AddSignalTree(tree)
    syntax.AddBackgroundTree(tree)
    with pytest.raises(ExpressionError, match="momentum\\*"):
        syntax.prepared("Classification")


@pytest.mark.parametrize("kind", ["tree", "frame"])
def test_nan_is_refused_unless_it_is_cut_away(kind):
    columns = {"x": np.array([1.0, np.nan, 3.0, 4.0]), "ok": np.array([1.0, 0.0, 1.0, 1.0])}

    def made(cut: str):
        source = memory_tree("t", columns) if kind == "tree" else columns
        loader = TMVA.DataLoader("dataset")
        loader.AddVariable("x")
        loader.AddSignalTree(source)
        loader.AddBackgroundTree(source)
        loader.PrepareTrainingAndTestTree(cut, "SplitMode=Block:nTrain_Signal=2:nTrain_Background=2")
        return loader.prepared("Classification")

    assert len(made("ok > 0.5").training) == 4
    with pytest.raises(NonFiniteInputError, match="'x'"):
        made("")


def test_constant_variables_are_named_and_constant_targets_refused(capsys):
    columns = {"x": np.ones(6), "y": np.arange(6.0)}
    loader = TMVA.DataLoader("dataset")
    loader.AddVariable("x")
    loader.AddSignalTree(columns)
    loader.AddBackgroundTree(columns)
    loader.prepared("Classification")
    assert "<WARNING> 1 variables are the same in every training event: 'x' (1)." in capsys.readouterr().out
    loader = TMVA.DataLoader("dataset")
    loader.AddVariable("y")
    loader.AddTarget("x")
    loader.AddRegressionTree(columns)
    with pytest.raises(EmptySelectionError, match=r"the same target in every training event: 'x' \(1\)"):
        loader.prepared("Regression")


def test_internal_names():
    """As TMVA names its histograms and C++ variables."""
    assert internal_name("var1-var2") == "var1_M_var2"
    assert internal_name("a*b/c") == "a_T_b_D_c"
    assert internal_name("abs(eta)") == "abs_eta_"
    assert internal_name("x>1&&y") == "x_1__y"


@pytest.mark.parametrize("weight", ["w", "w * 1.0"])
def test_the_preselection_of_frames_scales_by_weights(weight):
    """Half of the events are left with three quarters of the weight."""
    columns = {"x": np.arange(100.0), "w": np.where(np.arange(100) < 50, 3.0, 1.0)}
    loader = TMVA.DataLoader("dataset")
    loader.AddVariable("x")
    loader.AddSignalTree(columns)
    loader.AddBackgroundTree(columns)
    loader.SetWeightExpression(weight)
    numbers = ":".join(f"{which}_{name}=20" for which in ("nTrain", "nTest") for name in CLASSES)
    loader.PrepareTrainingAndTestTree("x < 50", f"ScaleWithPreselEff:{numbers}")
    assert len(loader.prepared("Classification").training) == 30


def test_a_second_call_replaces_the_options_of_the_split():
    loader = loader_of(arrays(10), arrays(10, 5.0))
    loader.PrepareTrainingAndTestTree("x > 1", NormMode="None", nTrain_Signal=2, nTrain_Background=2)
    loader.PrepareTrainingAndTestTree("", "SplitMode=Block:NormMode=None:nTrain_Signal=3")
    data = loader.prepared("Classification")
    assert np.bincount(data.training.classes).tolist() == [3, 5]
    assert data.training.variables[:, 0].min() == 2.0  # cuts are added


def test_what_a_transformed_loader_is_told_stays_with_it():
    loader = loader_of(arrays(10), arrays(10, 5.0))
    other = loader.VarTransform("VT(0.1)")
    other.AddTree(arrays(10), "Third")
    other.AddSignalTree(arrays(10))
    other.AddSpectator("w")
    other.SetSignalWeightExpression("w")
    data = loader.prepared("Classification")
    assert (loader.analysis, other.analysis) == ("Classification", "Multiclass")
    assert len(data.training) + len(data.test) == 20
    assert len(data.spectators) == 1
    assert set(data.training.weights) == {1.0}


def test_single_events_are_finite():
    loader = TMVA.DataLoader("dataset")
    loader.AddVariable("x")
    for value, weight in ((np.nan, 1.0), (np.inf, 1.0), (1.0, np.nan)):
        with pytest.raises(NonFiniteInputError, match="an event of 'Signal' has NaN or infinity"):
            loader.AddSignalTrainingEvent([value], weight)


def test_weights_and_cuts_of_a_class_without_events_are_refused():
    for call in (lambda one: one.SetWeightExpression("w", "Signl"), lambda one: one.AddCut("x > 1", "Signl")):
        loader = loader_of(arrays(10), arrays(10, 5.0))
        call(loader)
        with pytest.raises(SettingError, match=r"no class 'Signl'. Nearest: 'Signal'"):
            loader.prepared("Classification")
    # Empty cuts of the classes that TMVA names are none: they do not make two classes four.
    loader = TMVA.DataLoader("dataset")
    loader.AddVariable("x")
    for name, first in (("A", 0.0), ("B", 5.0)):
        loader.AddTree(arrays(10, first), name)
    loader.PrepareTrainingAndTestTree(ROOT.TCut(""), ROOT.TCut(""), "!V")
    assert loader.analysis == "Classification"
    assert loader.prepared("Classification").classes == ("A", "B")


def test_a_cut_that_is_set_for_all_takes_the_place_of_others():
    loader = loader_of(arrays(10), arrays(10, 5.0))
    loader.AddCut("x > 7", "Signal")
    loader.SetCut("x > 3")
    data = loader.prepared("Classification")
    classes = np.concatenate([data.training.classes, data.test.classes])
    assert np.bincount(classes).tolist() == [6, 10]


def test_ranges_are_those_of_training():
    data = loader_of(arrays(10), arrays(10)).prepared("Classification")
    assert data.test.variables[:, 0].max() == 9.0
    assert (data.variables[0].minimum, data.variables[0].maximum) == (0.0, 4.0)
    assert (data.spectators[0].minimum, data.spectators[0].maximum) == (0.0, 8.0)
