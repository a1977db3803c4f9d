"""Category and Boost: methods made of methods, from booking to what Reader, RDataFrame and C++ answer."""

from __future__ import annotations

from array import array
from dataclasses import replace

import numpy as np
import pytest
from booked_methods import normal_data, response, variable

import hepml_root as hr
from hepml_root import tmva as TMVA
from hepml_root.data.shipped import shipped_file
from hepml_root.errors import (
    EmptySelectionError,
    ExpressionError,
    ModelFileError,
    SettingError,
    ShapeError,
    WeightError,
)
from hepml_root.tmva.booking import book
from hepml_root.tmva.console import Console
from hepml_root.tmva.methods.boost import best_cut
from hepml_root.tmva.weights.own_model import OwnModel

ROOT = pytest.importorskip("ROOT")
VARIABLES = ("var1", "var2", "var3", "var4")


def made(type_name: str, options: str = "", title: str = "one", analysis: str = "Classification"):
    return book(type_name, title, options, job="job", dataset="normal", analysis=analysis)


def shifted(events: int = 600):
    """Signal lies above the background where the spectator is even, and below where it is odd."""
    data = normal_data(events=events, variables=2)

    def turned(sample):
        # Classes alternate with the event number; the spectator is 0, 0, 1, 1, 0, 0, …
        region = (np.arange(len(sample)) // 2 % 2).astype(np.float32)
        x = np.where(region[:, None] == 1, -sample.variables, sample.variables)
        return replace(sample, variables=x, spectators=region[:, None])

    return replace(
        data, spectators=(variable("region"),), training=turned(data.training), test=turned(data.test)
    )


# ---- category --------------------------------------------------------------------------------------------


def two_regions(first="region < 0.5", second="region > 0.5", variables="x0:x1"):
    method = made("Category", title="Cat")
    method.AddMethod(first, variables, "Fisher", "Even", "!H:!V:Fisher")
    method.AddMethod(second, variables, TMVA.Types.kLD, "Odd", "!H:VarTransform=N")
    return method


def test_each_region_has_its_own_method():
    """A region's answer is that of its method trained on its events alone; outside it is 0."""
    data = shifted()
    found = two_regions().train(data, Console("Cat", silent=True))
    assert found.weights.spectators == (0,)
    events = np.hstack([data.test.variables, data.test.spectators])
    answers = response(found, events)[:, 0]
    for region, (type_name, options) in enumerate((("Fisher", ""), ("LD", "VarTransform=N"))):
        rows = [sample.spectators[:, 0] == region for sample in (data.training, data.test)]
        part = replace(data, training=data.training.take(rows[0]), test=data.test.take(rows[1]))
        from hepml_root.tmva import training

        method = made(type_name, options)
        fitted = training.fit(method, part, Console("one", silent=True))
        alone = training.graph_responses(training.graph(method.booking, part, fitted), part.test.variables)
        assert np.abs(answers[rows[1]] - alone[:, 0]).max() < 1e-6
    signal = data.test.classes == 0
    assert answers[signal].mean() > answers[~signal].mean() + 0.3
    events[:, 2] = 0.5  # in no region
    assert (response(found, events) == 0).all()


def test_regions_of_variables_and_spectators_as_variables():
    data = shifted()
    method = made("Category", title="Cat")
    method.AddMethod("x0 > 0 && [region] < 9", "x1:region", "LD", "Above")
    method.AddMethod("x0 <= 0", "", "LD", "Below")
    found = method.train(data, Console("Cat", silent=True))
    assert found.weights.spectators == (0,)
    assert np.isfinite(response(found, np.hstack([data.test.variables, data.test.spectators]))).all()


def test_several_classes_and_regressions():
    for analysis, data in (
        ("Multiclass", normal_data(classes=3)),
        ("Regression", normal_data(regression=True, events=800)),
    ):
        method = made("Category", analysis=analysis)
        type_name, options = ("PyRandomForest", "RandomState=1") if analysis == "Multiclass" else ("KNN", "")
        for number, cut in enumerate(("x0 > 0", "x0 <= 0")):
            method.AddMethod(cut, "", type_name, f"m{number}", options)
        answers = response(method.train(data, Console("c", silent=True)), data.test.variables)
        assert answers.shape == (len(data.test), data.outputs)
        if analysis == "Multiclass":
            assert (answers.argmax(axis=1) == data.test.classes).mean() > 0.5  # by chance: a third
        else:
            assert np.std(answers - data.test.targets) < 0.7 * np.std(data.test.targets)


def test_categories_that_cannot_be():
    data, console = shifted(), Console("Cat", silent=True)
    with pytest.raises(SettingError, match="no region"):
        made("Category").train(data, console)
    with pytest.raises(SettingError, match=r"300 training events are in two regions"):
        two_regions("region < 0.5", "region < 9").train(data, console)
    with pytest.raises(SettingError, match="Nearest: 'region'"):
        two_regions("regoin < 0.5").train(data, console)
    with pytest.raises(SettingError, match="no variable or spectator 'x7'"):
        two_regions(variables="x7").train(data, console)
    with pytest.raises(EmptySelectionError, match="0 training events"):
        two_regions("region > 2").train(data, console)
    with pytest.raises(ExpressionError, match="missing at its end"):
        two_regions("region <")
    method = two_regions()
    with pytest.raises(SettingError, match="there already"):
        method.AddMethod("x0 > 0", "", "Fisher", "Even")
    with pytest.raises(SettingError, match="box for each"):
        method.AddMethod("x0 > 0", "", TMVA.Types.kCuts, "Cuts")
    with pytest.raises(SettingError, match="combine the cuts"):
        method.AddMethod("x0 > 0", "", "Category", "Cat2")
    with pytest.raises(SettingError, match="AddMethod"):
        made("Category", "VarTransform=N")


def test_events_outside_are_counted(capsys):
    method = made("Category", title="Cat")
    method.AddMethod("region < 0.5", "", "Fisher", "Even")
    method.train(shifted(), Console("Cat"))
    assert "300 training events are in no region; they get 0." in capsys.readouterr().out


@pytest.fixture(scope="module")
def tutorial(tmp_path_factory):
    """ROOT's TMVAClassificationCategory: the variables are shifted where |eta| > 1.3."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("category")
        patch.chdir(folder)
        file = ROOT.TFile.Open(str(shipped_file("toy_sigbkg_categ_offset.root")))
        factory = TMVA.Factory("TMVAClassificationCategory", "!V:Silent:AnalysisType=Classification")
        loader = TMVA.DataLoader("dataset")
        for name in VARIABLES:
            loader.AddVariable(name, "F")
        loader.AddSpectator("eta")
        loader.AddSignalTree(file.Get("TreeS"), 1.0)
        loader.AddBackgroundTree(file.Get("TreeB"), 1.0)
        loader.PrepareTrainingAndTestTree(
            "", "", "nTrain_Signal=0:nTrain_Background=0:SplitMode=Random:NormMode=NumEvents:!V"
        )
        factory.BookMethod(loader, TMVA.Types.kFisher, "Fisher", "!H:!V:Fisher")
        category = factory.BookMethod(loader, TMVA.Types.kCategory, "FisherCat", "")
        for number, cut in ((1, ROOT.TCut("abs(eta)<=1.3")), (2, "abs(eta)>1.3")):
            category.AddMethod(
                cut, "var1:var2:var3:var4", TMVA.Types.kFisher, f"Category_Fisher_{number}", "!H:!V:Fisher"
            )
        factory.TrainAllMethods()
        factory.TestAllMethods()
        factory.EvaluateAllMethods()
        yield folder, factory, loader
        file.Close()


def test_the_tutorial(tutorial):
    """Signal and background are moved by as much as they differ: one Fisher for all events loses a lot."""
    _, factory, loader = tutorial
    plain, category = (factory.GetROCIntegral(loader, title) for title in ("Fisher", "FisherCat"))
    assert plain < 0.83
    assert category > 0.90


def test_the_reader_of_a_category(tutorial):
    folder, factory, _ = tutorial
    result = factory.result("dataset", "FisherCat")
    path = folder / "dataset/weights/TMVAClassificationCategory_FisherCat.weights.xml"
    reader = TMVA.Reader("!Color:Silent", engine="onnxruntime")
    values = {name: array("f", [0.0]) for name in (*VARIABLES, "eta")}
    for name in VARIABLES:
        reader.AddVariable(name, values[name])
    reader.AddSpectator("eta", values["eta"])
    reader.BookMVA("FisherCat method", path)
    test = result.data.test
    for event in range(20):
        row = [*test.variables[event], test.spectators[event, 0]]
        for name, value in zip(values, row, strict=True):
            values[name][0] = value
        found = reader.EvaluateMVA("FisherCat method")
        assert found == pytest.approx(float(result.test[event, 0]), abs=1e-6)
        assert reader.EvaluateMVA([float(value) for value in row], "FisherCat method") == found
    with pytest.raises(ShapeError, match="var1, var2, var3, var4, eta"):
        reader.EvaluateMVA([0.0] * 4, "FisherCat method")
    other = TMVA.Reader("Silent", engine="onnxruntime")
    for name in VARIABLES:
        other.AddVariable(name, values[name])
    other.AddSpectator("eta")
    with pytest.raises(SettingError, match=r"spectator 'eta'.*AddSpectator"):
        other.BookMVA("FisherCat method", path)


def test_the_file_of_a_category(tutorial):
    folder, _, _ = tutorial
    path = folder / "dataset/weights/TMVAClassificationCategory_FisherCat.weights.xml"
    weights = TMVA.read_weights(path)
    assert isinstance(weights.weights, OwnModel)
    assert weights.weights.spectators == (0,)
    session = hr.Session(path.parent / "TMVAClassificationCategory_FisherCat.onnx", engine="onnxruntime")
    columns = session.manifest["inputs"][0]["columns"]
    assert [column["expression"] for column in columns] == [*VARIABLES, "eta"]
    text = path.read_text()
    for wrong in ("7", "0 0", "-1", "eta"):
        path.with_name("wrong.weights.xml").write_text(
            text.replace('Spectators="0"', f'Spectators="{wrong}"')
        )
        with pytest.raises(ModelFileError, match="no numbers of spectators; the file has 1"):
            TMVA.read_weights(path.with_name("wrong.weights.xml"))


@pytest.mark.slow
def test_a_category_in_the_event_loop(tutorial):
    """The spectator is read like a variable."""
    folder, _, _ = tutorial
    path = folder / "dataset/weights/TMVAClassificationCategory_FisherCat.onnx"
    session = hr.Session(path, engine="onnxruntime")
    frame = hr.define(
        ROOT.RDataFrame("TreeS", str(shipped_file("toy_sigbkg_categ_offset.root"))).Range(200),
        path, column="score",
    )  # fmt: skip
    found = frame.AsNumpy(["score", *VARIABLES, "eta"])
    wanted = session.infer(np.stack([found[name] for name in (*VARIABLES, "eta")], axis=1))
    assert np.abs(np.array(list(found["score"])).ravel() - wanted[:, 0]).max() < 1e-5


# ---- boost -----------------------------------------------------------------------------------------------


def boosted(options: str, data, type_name: str = "Fisher"):
    method = made(type_name, options)
    assert method.booking.type_name == "Boost"
    return method.train(data, Console("Boost", silent=True))


def test_adaboost_by_hand():
    """Two trainings of Fisher with steps: errors, weights and answers from the formulas."""
    data = normal_data(events=400, variables=2)
    found = boosted("Boost_Num=2:Boost_Transform=step:Boost_AdaBoostBeta=0.5", data)
    monitor = found.monitors["MonitorBoost"]
    assert monitor["iMethod"].tolist() == [0, 1]

    from hepml_root.tmva import training

    signal, weights = data.training.classes == 0, data.training.weights.copy()
    answers = 0.0
    for number in range(2):
        part = replace(data, training=replace(data.training, weights=weights))
        method = made("Fisher")
        fitted = training.fit(method, part, Console("one", silent=True))
        model = training.graph(method.booking, part, fitted)
        y = training.graph_responses(model, data.training.variables)[:, 0]
        # The best cut, by trying all of them.
        ordered = np.unique(y)
        cuts = 0.5 * (ordered[1:] + ordered[:-1])

        def impurity(cut, y=y, weights=weights):
            total = 0.0
            for side in (y > cut, y <= cut):
                p = weights[side & signal].sum() / weights[side].sum()
                total += weights[side].sum() * p * (1 - p)
            return total

        cut = min(cuts, key=impurity)
        wrong = (y > cut) != signal
        error = weights[wrong].sum() / weights.sum()
        alpha = 0.5 * np.log((1 - error) / error)
        assert monitor["errorFraction"][number] == pytest.approx(error, abs=1e-6)
        assert monitor["boostWeight"][number] == pytest.approx(alpha, abs=1e-5)
        answers = answers + alpha * np.where(
            training.graph_responses(model, data.test.variables)[:, 0] > cut, 1.0, -1.0
        )
        total = weights.sum()
        weights = weights * np.where(wrong, np.exp(alpha), 1.0)
        for rows in (signal, ~signal):
            weights[rows] *= 0.5 * total / weights[rows].sum()
    wanted = answers / monitor["boostWeight"].sum()
    assert np.abs(response(found, data.test.variables)[:, 0] - wanted).max() < 1e-5


def test_boosting_finds_what_a_line_cannot():
    """Signal on both sides of the background: one linear cut takes one side at best, several take both."""
    from sklearn.metrics import roc_auc_score

    data = normal_data(events=1000, variables=1)
    side = np.where(np.arange(1000) % 4 < 2, 2.0, -2.0)
    x = np.where(data.training.classes == 0, side, 0.0)[:, None] + 0.7 * (
        data.training.variables + data.training.classes[:, None]
    )
    sample = data.training.with_variables(x)
    data = replace(data, training=sample, test=sample)
    areas = [
        roc_auc_score(sample.classes == 0, response(boosted(options, data), sample.variables)[:, 0])
        for options in ("Boost_Num=1:Boost_Transform=linear", "Boost_Num=30")
    ]
    assert areas[0] < 0.6
    assert areas[1] > 0.85


@pytest.mark.parametrize("transform", ["linear", "log", "step", "gauss"])
def test_bagging(transform):
    """The same seed gives the same samples; the mean of 20 Fishers separates as well as one does."""
    from sklearn.metrics import roc_auc_score

    data = normal_data(events=1000)
    options = f"Boost_Num=20:Boost_Type=Bagging:Boost_RandomSeed=4:Boost_Transform={transform}"
    answers = [response(boosted(options, data), data.test.variables)[:, 0] for _ in range(2)]
    assert (answers[0] == answers[1]).all()
    # Φ(√(3/2)) = 0.890 is the best there is; gauss falls on both sides of its peak.
    assert roc_auc_score(data.test.classes == 0, answers[0]) > (0.6 if transform == "gauss" else 0.85)


def test_trees_and_neighbours_are_boosted_as_well():
    data = normal_data(events=300)
    for type_name, options in (("PyRandomForest", "MaxDepth=2:RandomState=1"), ("LD", "VarTransform=D")):
        found = boosted(f"{options}:Boost_Num=3:Boost_AdaBoostBeta=0.3", data, type_name)
        assert np.isfinite(response(found, data.test.variables)).all()


def test_a_method_that_is_never_wrong_decides_alone():
    data = normal_data(events=200, variables=1, distance=50.0)
    found = boosted("Boost_Num=10", data)
    assert len(found.monitors["MonitorBoost"]["iMethod"]) == 1
    answers = response(found, data.test.variables)[:, 0]
    assert (answers == np.where(data.test.classes == 0, 1.0, -1.0)).all()


def test_the_output_file_of_boosted_methods(tmp_path):
    """Their monitors are in the output file: the tree of TMVA's Boost, and that of boosted trees."""
    from hepml_root.tmva.output.file import write_output
    from hepml_root.tmva.resampling.envelope import tried

    data = normal_data(events=200)
    results = []
    for type_name, title, options in (
        ("Fisher", "Boosted", "Boost_Num=4:Boost_AdaBoostBeta=0.2:Boost_Transform=linear"),
        ("PyAdaBoost", "Ada", "NEstimators=5:RandomState=1"),
        ("PyAdaBoost", "Samme", "NEstimators=5:RandomState=1:Algorithm=SAMME"),
    ):
        results.append(tried(made(type_name, options, title), data, Console(title, silent=True))[1])
    file = ROOT.TFile.Open(str(tmp_path / "out.root"), "RECREATE")
    write_output(file, data, results)
    monitor = file.Get("normal/Method_Boost/Boosted/MonitorBoost")
    assert monitor.GetEntries() == len(results[0].monitors["MonitorBoost"]["iMethod"]) >= 2
    errors = file.Get("normal/Method_Boost/Boosted/ErrFraction")
    for number, (weight, error) in enumerate(
        zip(
            *(results[0].monitors["MonitorBoost"][name] for name in ("boostWeight", "errorFraction")),
            strict=True,
        )
    ):
        monitor.GetEntry(number)
        assert (monitor.boostWeight, monitor.errorFraction) == (weight, error)
        assert errors.GetBinContent(number + 1) == pytest.approx(error, rel=1e-6)
    for result in results[1:]:
        tree = file.Get(f"normal/Method_PyAdaBoost/{result.title}/MonitorNtuple")
        assert tree.GetEntries() == 5
        assert all(0.0 < entry.errorFraction < 0.5 for entry in tree)
    file.Close()


def test_the_best_cut_of_equal_answers():
    assert best_cut(np.zeros(4), np.array([True, True, False, False]), np.ones(4)) == (-1.0, 1.0)


def test_what_cannot_be_boosted():
    for type_name, options, needed in (
        ("Boost", "Boost_Num=3", "book what is boosted"),
        ("Cuts", "Boost_Num=3", "Cuts cannot be boosted"),
        ("Fisher", "Boost_Num=0", "at least 1"),
        ("Fisher", "Boost_Num=3:Boost_Type=RealAdaBoost", "RealAdaBoost is not there"),
        ("Fisher", "Boost_Num=3:Boost_AdaBoostBeta=-1", "above 0"),
        ("Fisher", "Boost_Num=3:Boost_Tranform=log", "Boost_Transform"),
        ("Fisher", "Boost_Num=3:Metod=Fisher", "Method"),
    ):
        with pytest.raises(SettingError, match=needed):
            made(type_name, options)
    data = normal_data()
    data.training.weights[0] = -1
    with pytest.raises(WeightError, match="Boosting multiplies"):
        boosted("Boost_Num=3", data)
