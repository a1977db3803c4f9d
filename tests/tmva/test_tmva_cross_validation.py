"""Cross validation, and searches that train a method many times."""

from __future__ import annotations

from array import array

import numpy as np
import pytest
import uproot

from hepml_root import tmva as TMVA
from hepml_root.errors import (
    EmptySelectionError,
    ExpressionError,
    IgnoredOptionWarning,
    SettingError,
    StatisticsWarning,
)
from hepml_root.tmva.booking import book
from hepml_root.tmva.data_sets.events import Sample
from hepml_root.tmva.resampling.folds import folds_of_formula, formula_of_folds, random_folds
from hepml_root.tmva.resampling.tuning import Range, ranges_of, search

ROOT = pytest.importorskip("ROOT")
SPLIT = "int(fabs([eventID]))%int([NumFolds])"


def loader_of(events: int = 600, name: str = "datasetcv", regression: bool = False) -> TMVA.DataLoader:
    """Two normal distributions, two sigma apart in x and y, with an event number; all for training."""
    rng = np.random.default_rng(1)
    loader = TMVA.DataLoader(name)
    loader.AddVariable("x", "F")
    loader.AddVariable("y", "F")
    loader.AddSpectator("eventID", "I")

    def columns(mean):
        table = {name: rng.normal(mean, 1.0, events) for name in ("x", "y")}
        return table | {"eventID": np.arange(1.0, events + 1), "t": table["x"] ** 2}

    if regression:
        loader.AddTarget("t")
        loader.AddRegressionTree(columns(0.0))
        loader.PrepareTrainingAndTestTree("", "nTest_Regression=1:SplitMode=Block:NormMode=NumEvents:!V")
        return loader
    loader.AddSignalTree(columns(1.0))
    loader.AddBackgroundTree(columns(-1.0))
    loader.PrepareTrainingAndTestTree(
        "", "", "nTest_Signal=1:nTest_Background=1:SplitMode=Random:NormMode=NumEvents:!V"
    )
    return loader


# ---- cross validation ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    """ROOT's TMVACrossValidation with Fisher and KNN, and three folds."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cv")
        patch.chdir(folder)
        output = ROOT.TFile.Open("TMVACV.root", "RECREATE")
        cv = TMVA.CrossValidation(
            "TMVACrossValidation", loader_of(), output,
            "!V:Silent:ModelPersistence:AnalysisType=Classification:SplitType=Deterministic:NumFolds=3:"
            f"FoldFileOutput:SplitExpr={SPLIT}",
        )  # fmt: skip
        cv.BookMethod(TMVA.Types.kFisher, "Fisher", "!H:!V:Fisher:VarTransform=None")
        cv.BookMethod(TMVA.Types.kKNN, "KNN", "!H:nkNN=1:VarTransform=N")
        cv.Evaluate()
        output.Close()
        yield folder, cv


def test_results_of_folds(evaluated):
    """x + y is the best that there is, and what Fisher finds but for its fluctuations: so are its numbers."""
    from sklearn.metrics import roc_auc_score, roc_curve

    _, cv = evaluated
    fisher, neighbours = cv.GetResults()
    assert cv.GetNumFolds() == 3
    assert list(fisher.GetROCValues()) == [0, 1, 2]
    sample = loader_of().prepared("Classification").training
    best, signal = sample.variables.sum(axis=1), sample.classes == 0
    for fold in range(3):
        rows = sample.spectators[:, 0].astype(int) % 3 == fold
        assert fisher.GetROCValues()[fold] == pytest.approx(
            roc_auc_score(signal[rows], best[rows]), abs=0.005
        )
        assert fisher.GetEffAreaValues()[fold] == pytest.approx(fisher.GetROCValues()[fold], abs=0.01)
        false, true, _ = roc_curve(signal[rows], best[rows])
        for at, values in (
            (0.01, fisher.GetEff01Values()),
            (0.10, fisher.GetEff10Values()),
            (0.30, fisher.GetEff30Values()),
        ):
            # 200 background events: one of them more or less, and for 0.01 the binned curve's first bins.
            low, high = np.interp([max(at - 0.01, 0), at + 0.01], false, true)
            assert low - 0.03 <= values[fold] <= high + 0.03
        means = [best[rows & chosen].mean() for chosen in (signal, ~signal)]
        spreads = [best[rows & chosen].std() for chosen in (signal, ~signal)]
        wanted = (means[0] - means[1]) / np.hypot(*spreads)
        assert fisher.GetSigValues()[fold] == pytest.approx(wanted, rel=0.03)
        assert 0.6 < fisher.GetSepValues()[fold] < 0.9
    values = list(fisher.GetROCValues().values())
    assert fisher.GetROCAverage() == pytest.approx(np.mean(values))
    assert fisher.GetROCStandardDeviation() == pytest.approx(np.std(values, ddof=1))
    # One neighbour knows its own training events by heart, and no others; efficiencies have steps of 0.001.
    assert neighbours.GetTrainEff10Values() == pytest.approx([1.0] * 3, abs=0.0011)
    assert neighbours.GetROCAverage() < fisher.GetROCAverage() - 0.02
    assert [entry.GetValue("MethodName") for entry in cv.GetMethods()] == ["Fisher", "KNN"]


def test_curves(evaluated):
    _, cv = evaluated
    result = cv.GetResults()[0]
    assert len(list(result.GetROCCurves().GetListOfGraphs())) == 3
    mean = result.GetAvgROCCurve(101)
    assert mean.GetN() == 101
    x, y = (np.array(list(values)) for values in (mean.GetX(), mean.GetY()))
    assert np.trapezoid(y, x) == pytest.approx(result.GetROCAverage(), abs=0.005)
    assert result.DrawAvgROCCurve(True, "mean").GetListOfPrimitives().GetSize() >= 2
    assert result.Draw("folds").GetName() == "folds"


def test_the_weight_file_takes_the_method_of_the_fold(evaluated):
    """Every event gets what the method answers that was not trained on it."""
    folder, _ = evaluated
    variables = {name: array("f", [0.0]) for name in ("x", "y", "eventID")}

    def reader_of(title):
        reader = TMVA.Reader("Silent", engine="onnxruntime")
        reader.AddVariable("x", variables["x"])
        reader.AddVariable("y", variables["y"])
        reader.AddSpectator("eventID", variables["eventID"])
        reader.BookMVA("method", folder / f"datasetcv/weights/TMVACrossValidation_{title}.weights.xml")
        return reader

    for title in ("Fisher", "KNN"):
        every = reader_of(title)
        folds = [reader_of(f"{title}_fold{number}") for number in (1, 2, 3)]
        for event in range(1, 31):
            variables["x"][0], variables["y"][0] = 0.1 * event - 1.5, 0.7
            variables["eventID"][0] = -event if event % 2 else event
            wanted = folds[event % 3].EvaluateMVA("method")
            assert every.EvaluateMVA("method") == pytest.approx(wanted, abs=1e-6)


def test_the_output_file(evaluated):
    folder, cv = evaluated
    with uproot.open(folder / "TMVACV.root") as file:
        tree = file["datasetcv/TestTree"].arrays(library="np")
        assert len(tree["x"]) == 1198  # all but the one test event of each class
    from sklearn.metrics import roc_auc_score

    signal = tree["classID"] == 0
    for title, result in zip(("Fisher", "KNN"), cv.GetResults(), strict=True):
        rows = tree["eventID"].astype(int) % 3 == 1
        area = roc_auc_score(signal[rows], tree[title][rows])
        assert area == pytest.approx(result.GetROCValues()[1], abs=1e-6)
    for title in ("Fisher", "KNN"):
        for fold in (1, 2, 3):
            with uproot.open(folder / f"{title}_fold{fold}.root") as file:
                assert file["datasetcv/TestTree"].num_entries == pytest.approx(400, abs=2)


def test_the_mean_of_all_folds(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cv = TMVA.CrossValidation(
        "job", loader_of(200), "Silent:NumFolds=2:SplitType=RandomStratified:OutputEnsembling=Avg"
    )
    cv.BookMethod("LD", "LD", "VarTransform=N")
    cv.Evaluate()
    readers = []
    for title in ("LD", "LD_fold1", "LD_fold2"):
        reader = TMVA.Reader("Silent", engine="onnxruntime")
        for name in ("x", "y"):
            reader.AddVariable(name, array("f", [0.0]))
        reader.AddSpectator("eventID")
        reader.BookMVA("method", f"datasetcv/weights/job_{title}.weights.xml")
        readers.append(reader.EvaluateMVA([0.3, -1.2], "method"))
    assert readers[0] == pytest.approx(0.5 * (readers[1] + readers[2]), abs=1e-6)


def test_random_folds_have_no_weight_file(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    cv = TMVA.CrossValidation("job", loader_of(100), "!V:AnalysisType=Classification:NumFolds=2")
    cv.BookMethod("Fisher", "Fisher")
    cv.Evaluate()
    assert "nobody knows the fold of a new event" in capsys.readouterr().out
    assert not (tmp_path / "datasetcv/weights/job_Fisher.weights.xml").exists()
    assert (tmp_path / "datasetcv/weights/job_Fisher_fold2.weights.xml").exists()


def test_a_regression(tmp_path, monkeypatch, capsys):
    """x² of a normal distribution has a spread of √2; neighbours follow it, the mean of all does not."""
    monkeypatch.chdir(tmp_path)
    cv = TMVA.CrossValidation(
        "job", loader_of(800, regression=True), "!V:AnalysisType=Regression:!FoldFileOutput:SplitExpr="
    )
    cv.BookMethod(TMVA.Types.kKNN, "KNN", "nkNN=5")
    cv.Evaluate()
    (result,) = cv.GetResults()
    assert len(result.GetDeviationValues()) == 2
    assert all(deviation < 0.8 for deviation in result.GetDeviationValues())
    with pytest.raises(SettingError, match="no ROC curves"):
        result.GetROCCurves()
    result.Print()
    assert "Fold  1 deviation" in capsys.readouterr().out


def test_folds_at_random():
    nothing = np.zeros((10, 0), np.float32)
    sample = Sample(nothing, nothing, nothing, np.int32([0] * 7 + [1] * 3), np.ones(10))
    found = random_folds(sample, 3, 5, stratified=False)
    assert sorted(np.bincount(found)) == [3, 3, 4]
    assert (found == random_folds(sample, 3, 5, stratified=False)).all()
    assert (found != random_folds(sample, 3, 6, stratified=False)).any()
    stratified = random_folds(sample, 3, 5, stratified=True)
    assert sorted(np.bincount(stratified[:7])) == [2, 2, 3]
    assert np.bincount(stratified[7:]).tolist() == [1, 1, 1]


def test_event_numbers_that_floats_do_not_hold():
    loader = TMVA.DataLoader("large")
    loader.AddVariable("x")
    loader.AddSpectator("eventID")
    for name in ("Signal", "Background"):
        loader.AddTree({"x": np.arange(40.0), "eventID": 1e9 + 16 * np.arange(40.0)}, name)
    loader.PrepareTrainingAndTestTree("", "!V")
    data = loader.prepared("Classification")
    formula = formula_of_folds("int([eventID] / 64) % int([NumFolds])", data)
    with pytest.warns(StatisticsWarning, match="eventID := eventID % 4096"):
        folds_of_formula(formula, data, 2)


def test_several_classes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(3)
    loader = TMVA.DataLoader("classes")
    loader.AddVariable("x")
    for number, name in enumerate(("Signal", "First", "Second")):
        loader.AddTree({"x": rng.normal(2.0 * number, 1, 200)}, name)
    loader.PrepareTrainingAndTestTree("", "nTest_Signal=1:nTest_First=1:nTest_Second=1:!V")
    cv = TMVA.CrossValidation(
        "job",
        loader,
        "Silent:AnalysisType=Multiclass:NumFolds=2:OutputEnsembling=Avg:SplitType=RandomStratified",
    )
    cv.BookMethod(TMVA.Types.kPyGTB, "GTB", "NEstimators=20:RandomState=1")
    cv.Evaluate()
    # Signal against the others, two and four sigma away: Φ(√2) = 0.921 of one, 0.998 of the other.
    assert all(0.9 < area < 1.0 for area in cv.GetResults()[0].GetROCValues().values())
    reader = TMVA.Reader("Silent", engine="onnxruntime")
    reader.AddVariable("x", array("f", [0.0]))
    reader.BookMVA("GTB", "classes/weights/job_GTB.weights.xml")
    assert int(np.argmax(reader.EvaluateMulticlass([4.0], "GTB"))) == 2


def test_what_cross_validation_refuses(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    loader = loader_of(60)

    def cv(options):
        return TMVA.CrossValidation("job", loader, f"Silent:{options}")

    for options, needed in (
        ("NumFolds=1", "at least 2"),
        ("NumFold=3", "NumFolds"),
        ("SplitType=Deterministic", "needs SplitExpr"),
        ("SplitType=Stratified", "RandomStratified"),
        ("FoldFileOutput", "needs an output file"),
    ):
        with pytest.raises(SettingError, match=needed):
            cv(options)
    with pytest.raises(SettingError, match="a DataLoader is needed"):
        TMVA.CrossValidation("job", "dataset", "")
    with pytest.warns(IgnoredOptionWarning, match="NumWorkerProcs"):
        cv("NumWorkerProcs=4")
    with pytest.raises(SettingError, match="no method is booked"):
        cv("").Evaluate()
    with pytest.raises(SettingError, match="call Evaluate before"):
        cv("").GetResults()
    booked = cv("")
    booked.BookMethod("Fisher", "Fisher")
    with pytest.raises(SettingError, match="booked already"):
        booked.BookMethod("LD", "Fisher")
    with pytest.raises(SettingError, match="Nearest: 'nkNN'"):
        booked.BookMethod("KNN", "KNN", "nkN=3")
    with pytest.raises(SettingError, match="AddMethod"):
        booked.BookMethod("Category", "Cat")
    for expression, error, needed in (
        ("int([event])%2", ExpressionError, "'event' is neither"),
        ("[eventID]/2", SettingError, "whole numbers from 0 to 1"),
        ("int([eventID])%3", SettingError, "gives 2 for event"),
        ("0*[eventID]", EmptySelectionError, "no event is in fold 1"),
    ):
        booked.SetSplitExpr(expression)
        with pytest.raises(error, match=needed):
            booked.Evaluate()


# ---- searches --------------------------------------------------------------------------------------------


def test_hyper_parameters(capsys):
    """One neighbour is the worst number of neighbours there is for overlapping distributions."""
    found = TMVA.HyperParameterOptimisation(loader_of(200))
    found.SetNumFolds(2)
    found.SetFOMType("ROCIntegral")
    found.SetFitter("Scan")
    found.SetRange("nkNN", 1, 41, 3)
    found.BookMethod(TMVA.Types.kKNN, "KNN", "!V:nkNN=7:UseWeight=F")
    found.Evaluate()
    result = found.GetResults()
    assert result.GetMethodName() == "KNN"
    assert [values["nkNN"] in (21, 41) for values in result.GetFoldParameters()] == [True, True]
    assert all(0.95 < value < 1.0 for value in result.GetFOMValues())
    assert result.tried == [3, 3]
    result.Print()
    assert "Optimisation for KNN fold 2: ROCIntegral" in capsys.readouterr().out
    # The same settings again give the same figure of merit.
    for name in ("Separation", "SigEffAtBkgEff01", "BkgRejAtSigEff05"):
        found.SetFOMType(name)
        found.Evaluate()
        assert all(0.3 < value <= 1.0 for value in found.GetResults("KNN").GetFOMValues())


def test_a_search_varies_what_a_keyword_gives():
    """What was booked as a keyword is not what is tried."""
    figures = []
    for neighbours in (7, 31):
        found = TMVA.HyperParameterOptimisation(loader_of(200))
        found.SetNumFolds(2)
        found.SetFOMType("ROCIntegral")
        found.SetFitter("Scan")
        found.SetRange("nkNN", 1, 41, 3)
        found.SetSilent()
        found.BookMethod(TMVA.Types.kKNN, "KNN", nkNN=neighbours, UseWeight=False)
        found.Evaluate()
        result = found.GetResults()
        assert [values["nkNN"] in (21, 41) for values in result.GetFoldParameters()] == [True, True]
        figures.append(result.GetFOMValues())
    assert figures[0] == figures[1]


def test_the_ranges_of_tmva():
    def ranges(type_name, options):
        method = book(type_name, "m", options, job="j", dataset="d", analysis="Classification")
        return {one.name: (one.low, one.high, one.steps) for one in ranges_of(method)}

    assert ranges("SVM", "") == {"Gamma": (0.01, 1.0, 100), "C": (0.01, 1.0, 100)}
    assert ranges("SVM", "Tune=Gamma[0.1;1.0;4],C[1;9;3]") == {"Gamma": (0.1, 1.0, 4), "C": (1, 9, 3)}
    assert ranges("Fisher", "") == {}
    for wrong in ("Gamma[1;2]", "Gamma", "Gamma[2;1;5]", "Gamma[1;2;1]"):
        with pytest.raises(SettingError, match="Gamma"):
            ranges("SVM", f"Tune={wrong}")


@pytest.mark.parametrize("fitter", ["Minuit", "FitGA"])
def test_searches_find_a_hill_in_few_steps(fitter):
    """20³ places; what is found is near the top, (5, 12, 17), and no place was asked for twice."""
    asked = []

    def worth(place):
        asked.append(place)
        return -sum((a - b) ** 2 for a, b in zip(place, (5, 12, 17), strict=True))

    _, value = search((20, 20, 20), worth, fitter, 150)
    assert len(asked) == len(set(asked)) <= 150
    assert value >= -3  # at most one step off in each direction; a random place is 200 below


def test_what_searches_refuse():
    found = TMVA.HyperParameterOptimisation(loader_of(60))
    for call, needed in (
        (lambda: found.SetFOMType("Area"), "ROCIntegral"),
        (lambda: found.SetFitter("Newton"), "FitGA"),
        (lambda: found.SetNumFolds(1), "at least 2"),
        (lambda: found.SetRange("C", 2, 1, 5), "smaller one"),
        (lambda: found.SetMaxEvaluations(0), "at least 1"),
        (lambda: found.GetResults(), "call Evaluate"),
        (lambda: search((200, 200), len, "Scan", 1), "40000 settings"),
    ):
        with pytest.raises(SettingError, match=needed):
            call()
    found.SetSilent()
    found.BookMethod("Fisher", "Fisher")
    with pytest.raises(SettingError, match="varies nothing of Fisher"):
        found.Evaluate()
    found.SetRange("Method", 1, 2, 2)
    with pytest.raises(SettingError, match="option that is a number"):
        found.Evaluate()
    assert Range("x", 1, 3, 5, whole=True).texts() == ["1", "2", "3"]


def importance_loader(events: int = 500) -> TMVA.DataLoader:
    rng = np.random.default_rng(2)
    loader = TMVA.DataLoader("importance")
    for name in ("strong", "weak", "none"):
        loader.AddVariable(name)
    for name, sign in (("Signal", 1.0), ("Background", -1.0)):
        loader.AddTree(
            {
                "strong": rng.normal(sign, 1, events),
                "weak": rng.normal(0.3 * sign, 1, events),
                "none": rng.normal(0, 1, events),
            },
            name,
        )
    loader.PrepareTrainingAndTestTree("", "NormMode=NumEvents:!V")
    return loader


@pytest.mark.parametrize(("kind", "trainings"), [("kShort", 4), ("kAll", 7), ("kRandom", 7)])
def test_importance(kind, trainings, capsys):
    found = TMVA.VariableImportance(importance_loader())
    found.SetType(getattr(TMVA.VIType, kind))
    found.BookMethod(TMVA.Types.kFisher, "Fisher", "!H:!V")
    found.Evaluate()
    result = found.GetResults()
    assert sum(result.importance.values()) == pytest.approx(100)
    assert sorted(result.importance, key=result.importance.get, reverse=True) == ["strong", "weak", "none"]
    assert result.importance["strong"] > 70
    assert len(result.areas) - 1 <= trainings  # one is that of no variable
    assert result.areas[()] == 0.5
    assert result.GetImportanceValues().GetValue("strong").endswith(" % ")
    histogram = result.GetImportanceHist()
    assert histogram.GetXaxis().GetBinLabel(1) == "strong"
    assert histogram.GetBinContent(1) == pytest.approx(result.importance["strong"], rel=1e-6)
    assert result.Draw("c").GetName() == "c"
    result.Print()
    assert f"Variable Importance Results ({kind[1:]})" in capsys.readouterr().out


def test_the_importance_is_the_formula():
    """kAll, by hand from the areas of all seven subsets."""
    found = TMVA.VariableImportance(importance_loader(200))
    found.SetSilent()
    found.SetType(1)
    found.BookMethod("LD", "LD")
    found.Evaluate()
    areas = {frozenset(labels): area for labels, area in found.GetResults().areas.items()}
    sums = {
        label: sum(area - areas[labels - {label}] for labels, area in areas.items() if label in labels)
        for label in ("strong", "weak", "none")
    }
    wanted = {label: 100 * value / sum(sums.values()) for label, value in sums.items()}
    assert found.GetResults().importance == pytest.approx(wanted)


def test_what_importance_refuses():
    loader = TMVA.DataLoader("many")
    rng = np.random.default_rng(1)
    for number in range(13):
        loader.AddVariable(f"x{number}")
    for name in ("Signal", "Background"):
        loader.AddTree({f"x{number}": rng.normal(0, 1, 100) for number in range(13)}, name)
    loader.PrepareTrainingAndTestTree("", "!V")
    found = TMVA.VariableImportance(loader)
    found.SetSilent()
    found.BookMethod("Fisher", "Fisher")
    found.SetType(TMVA.VIType.kAll)
    with pytest.raises(SettingError, match="8192 trainings"):
        found.Evaluate()
    with pytest.raises(SettingError, match="kShort"):
        found.SetType(7)
    with pytest.raises(SettingError, match="call Evaluate"):
        found.GetResults()


def test_importance_that_is_negative_in_all():
    from hepml_root.tmva.resampling.variable_importance import _per_cent

    with pytest.warns(StatisticsWarning, match="absolute values"):
        assert _per_cent("m", np.array([0.01, -0.03])) == [25.0, -75.0]
