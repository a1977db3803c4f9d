"""The output file: what ROOT wrote, read by uproot, against names of TMVA and contents worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import uproot
from method_results import data_set, gaussian_classes, result, sample, variable

from hepml_root import tmva as TMVA
from hepml_root.errors import NonFiniteInputError, OutputWriteError, SettingError, ShapeError
from hepml_root.tmva.output.file import write_output
from hepml_root.tmva.output.root_objects import folder, loose_histograms
from hepml_root.tmva.output.variables import TransformedVariables, correlation, write_input_variables

ROOT = pytest.importorskip("ROOT")


@pytest.fixture
def written(tmp_path):
    """Write with a function of the open file; return what uproot reads."""

    def write(function):
        path = tmp_path / "TMVA.root"
        file = ROOT.TFile.Open(str(path), "RECREATE")
        try:
            function(file)
        finally:
            file.Close()
        return uproot.open(path)

    return write


def names(directory) -> set[str]:
    return {key.split(";")[0] for key in directory.keys(recursive=False)}


@pytest.fixture(scope="module")
def classification(tmp_path_factory):
    """Two methods on 2000 + 2000 events, one with probabilities, one with the tables of a BDT."""
    training, test = gaussian_classes(2000, 1), gaussian_classes(2000, 2)
    data = data_set(
        training, test, [variable("x", unit="GeV"), variable("y", kind="I", title="Y")],
        spectators=[variable("s")],
    )  # fmt: skip
    trees = {"iTree": np.arange(5), "boostWeight": np.arange(5) + 1.5, "errorFraction": np.arange(5) / 10}
    half = np.full(2000, 0.25, np.float32)
    results = [
        result(data, test.variables.sum(1), training.variables.sum(1), monitors={"MonitorNtuple": trees}),
        result(
            data, -test.variables[:, 0], -training.variables[:, 0], title="Anti", type_name="Fisher",
            probability_test=half, probability_training=half, rarity_test=half, rarity_training=half,
        ),
    ]  # fmt: skip
    path = tmp_path_factory.mktemp("output") / "TMVA.root"
    file = ROOT.TFile.Open(str(path), "RECREATE")
    separations = write_output(file, data, results)
    assert file.IsOpen()  # it is the user's
    file.Close()
    return uproot.open(path)["dataset"], data, results, separations


def test_the_directories(classification):
    file, *_ = classification
    assert names(file) == {
        *("CorrelationMatrixS", "CorrelationMatrixB", "InputVariables_Id", "Method_BDT", "Method_Fisher"),
        *("TestTree", "TrainTree"),
    }
    assert names(file["Method_BDT"]) == {"BDT"}
    curves = {"effBvsS", "rejBvsS", "invBeffvsSeff", "trainingEffBvsS", "trainingRejBvsS"}
    curves |= {f"{kind}{side}" for kind in ("eff", "trainingEff") for side in "SB"}
    curves |= {f"{kind}{side}" for kind in ("", "Train_") for side in "SB"} | {"S_high", "B_high"}
    both = {"TrainingPath", "WeightFileName"}
    monitors = {"MonitorNtuple", "BoostWeight", "BoostWeightVsTree", "ErrFractHist"}
    assert names(file["Method_BDT/BDT"]) == {f"MVA_BDT_{name}" for name in curves} | both | monitors
    wanted = curves | {f"{kind}_{side}" for kind in ("Proba", "Rarity") for side in "SB"}
    assert names(file["Method_Fisher/Anti"]) == {f"MVA_Anti_{name}" for name in wanted} | both
    assert file["Method_BDT/BDT/WeightFileName"] == "dataset/weights/none.weights.xml"


def test_the_variables(classification):
    file, data, _, separations = classification
    plots = file["InputVariables_Id"]
    assert names(plots) == {f"{v}__{c}_Id" for v in "xy" for c in data.classes} | {"CorrelationPlots"}
    training = data.training
    chosen = training.classes == 0
    histogram = plots["x__Signal_Id"]
    x = training.variables[:, 0]
    width = histogram.axis().edges()[1] - histogram.axis().edges()[0]
    assert histogram.classname == "TH1F"
    assert len(histogram.values()) == 40
    assert histogram.axis().low == pytest.approx(x.min())
    # 8 standard deviations take no event away; the margin at the top is one part in 40.
    assert histogram.axis().high == pytest.approx(x.max() + (x.max() - x.min()) / 40)
    assert histogram.member("fXaxis").member("fTitle") == "x  [GeV]"
    assert histogram.member("fYaxis").member("fTitle") == f"dN_{{ }}/^{{ }}{width:.3g} GeV"
    assert histogram.values().sum() == pytest.approx(training.weights[chosen].sum())
    background = plots["x__Background_Id"]
    assert background.values().sum() == pytest.approx(training.weights[~chosen].sum())
    assert background.variances().sum() == pytest.approx((training.weights[~chosen] ** 2).sum())
    whole = plots["y__Signal_Id"]  # an integer: a bin a number
    low, high = round(float(training.variables[:, 1].min())), round(float(training.variables[:, 1].max()) + 1)
    assert (whole.axis().low, whole.axis().high, len(whole.values())) == (low, high, high - low)
    scatter = plots["CorrelationPlots/scat_y_vs_x_Signal_Id"]
    assert scatter.values().shape == (300, 300)
    assert scatter.member("fTitle") == "Y versus x (Signal)_Id"
    # The largest value of a class lies on the upper edge, and is counted above it.
    assert scatter.values(flow=True).sum() == pytest.approx(1000)
    assert plots["CorrelationPlots/prof_y_vs_x_Background_Id"].classname == "TProfile"
    assert [name for name, _ in separations["Id"]] == sorted(
        ["x", "Y"], key=lambda name: -dict(separations["Id"])[name]
    )


def test_the_responses(classification):
    file, data, results, _ = classification
    method = file["Method_BDT/BDT"]
    values = results[0].test[:, 0]
    for side, chosen in (("S", data.test.classes == 0), ("B", data.test.classes == 1)):
        for name, bins, response, sample_of in (
            (f"MVA_BDT_{side}", 40, values, data.test),
            (f"MVA_BDT_{side}_high", 10_000, values, data.test),
            (f"MVA_BDT_Train_{side}", 40, results[0].training[:, 0], data.training),
        ):
            histogram = method[name]
            assert histogram.classname == "TH1D"
            edges = histogram.axis().edges()
            assert len(edges) == bins + 1
            assert edges[0] == pytest.approx(values.min())
            assert edges[-1] == pytest.approx(values.max() + 1e-5)
            chosen_of = sample_of.classes == (0 if side == "S" else 1)
            contents = np.histogram(
                np.float64(response[chosen_of]), edges, weights=sample_of.weights[chosen_of]
            )[0]
            # A value within rounding of an edge may lie on either side of it.
            scale = contents.sum() * (edges[1] - edges[0])
            assert np.abs(histogram.values() - contents / scale).sum() * scale <= 6.1
            assert histogram.values().sum() * (edges[1] - edges[0]) == pytest.approx(1.0)
        shares = method[f"MVA_BDT_eff{side}"].values()
        assert shares[0] == 1.0
        assert (np.diff(shares) <= 0).all()
        cut = method[f"MVA_BDT_eff{side}"].axis().edges()[6000]
        passed = data.test.weights[chosen & (values >= cut)].sum() / data.test.weights[chosen].sum()
        assert shares[6000] == pytest.approx(passed, abs=0.004)  # of 1000 events, one in such a narrow bin


def test_roc_of_both_orientations(classification):
    """The response turned round has cuts that keep what is below; its ROC curve is that of the variable."""
    file, data, results, _ = classification
    anti = file["Method_Fisher/Anti"]
    assert anti["MVA_Anti_effS"].values()[-1] == pytest.approx(1.0, abs=0.003)
    assert anti["MVA_Anti_effS"].values()[0] == 0.0
    background = anti["MVA_Anti_effBvsS"].values()
    assert len(background) == 100
    x, test = -results[1].test[:, 0], data.test
    signal = np.sort(x[test.classes == 0])[::-1]
    weights = test.weights[test.classes == 1]
    for place in (20, 50, 80):
        cut = signal[int(10 * (place + 0.5)) - 1]  # 1000 signal events: the cut that keeps that many
        passed = weights[x[test.classes == 1] >= cut].sum() / weights.sum()
        assert background[place] == pytest.approx(passed, abs=0.005)
    assert anti["MVA_Anti_rejBvsS"].values() == pytest.approx(1 - background)
    inverse = anti["MVA_Anti_invBeffvsSeff"].values()
    assert inverse[60] == pytest.approx(1 / background[60])
    assert anti["MVA_Anti_rejBvsS"].member("fYaxis").member("fTitle") == "Backgr rejection (1-eff)"


def test_probabilities(classification):
    """All events have the probability ¼, which is in bin 10 of 40; the bins have the width 1/40."""
    file, *_ = classification
    for name in ("MVA_Anti_Proba_S", "MVA_Anti_Rarity_B"):
        contents = file["Method_Fisher/Anti"][name].values()
        assert contents[10] == pytest.approx(40.0)
        assert np.count_nonzero(contents) == 1


def test_the_trees(classification):
    file, data, results, _ = classification
    for name, of, part in (("TestTree", data.test, "test"), ("TrainTree", data.training, "training")):
        tree = file[name]
        assert tree.keys() == ["classID", "className", "x", "y", "s", "weight", "Anti", "BDT", "prob_Anti"]
        types = {branch.name: branch.typename for branch in tree.branches}
        assert types.pop("classID") == "int32_t"
        assert types.pop("className") == "char*"
        assert set(types.values()) == {"float"}
        columns = tree.arrays(library="np")
        assert (columns["classID"] == of.classes).all()
        assert list(columns["className"][:4]) == ["Signal", "Background"] * 2
        assert (columns["x"] == of.variables[:, 0]).all()
        assert (columns["s"] == of.spectators[:, 0]).all()
        assert (columns["weight"] == np.float32(of.weights)).all()
        assert (columns["BDT"] == getattr(results[0], part)[:, 0]).all()
        assert (columns["prob_Anti"] == 0.25).all()


def test_boosting(classification):
    method = classification[0]["Method_BDT/BDT"]
    table = method["MonitorNtuple"].arrays(library="np")
    assert table["iTree"].tolist() == [0, 1, 2, 3, 4]
    assert table["boostWeight"].tolist() == [1.5, 2.5, 3.5, 4.5, 5.5]
    assert method["BoostWeightVsTree"].values().tolist() == [1.5, 2.5, 3.5, 4.5, 5.5]
    assert method["ErrFractHist"].values() == pytest.approx(np.arange(5) / 10)
    weights = method["BoostWeight"]  # 100 bins from 0 to 30
    assert np.flatnonzero(weights.values()).tolist() == [int(w / 0.3) for w in np.arange(5) + 1.5]


def test_boosting_with_small_weights_and_without_errors(written):
    """Weights of 0.2 to 0.4 do not lie in one bin; what is not there is not written."""
    events = gaussian_classes(20, 5)
    data = data_set(events, events, [variable("x"), variable("y")])
    tables = {"MonitorNtuple": {"boostWeight": np.array([0.4, 0.2])}}
    found = result(data, events.variables[:, 0], events.variables[:, 0], monitors=tables)
    method = written(lambda file: write_output(file, data, [found]))["dataset/Method_BDT/BDT"]
    assert np.flatnonzero(method["BoostWeight"].values()).tolist() == [45, 90]  # of 100 up to 0.44
    assert method["MonitorNtuple"].keys() == ["iTree", "boostWeight"]
    assert "ErrFractHist" not in names(method)


def test_efficiencies_by_hand(written):
    """Signal at 4, 3, 1 and background at 2, 0 (weight 3): signal ⅓, ⅔ without background, then ¼."""
    events = sample(np.zeros((5, 1)), [0, 0, 1, 0, 1], [1, 1, 1, 1, 3])
    data = data_set(events, events, [variable("x", kind="F")])
    response = np.float32([4, 3, 2, 1, 0])
    file = written(lambda file: write_output(file, data, [result(data, response, response)], variables=False))
    assert names(file["dataset"]) == {"Method_BDT", "TestTree", "TrainTree"}
    curve = file["dataset/Method_BDT/BDT/MVA_BDT_effBvsS"].values()
    # At the tightest cut that keeps so much signal; bin 66 (0.665) lies before the third signal event.
    assert curve[:66] == pytest.approx(np.zeros(66), abs=1e-3)
    assert curve[68:] == pytest.approx(np.full(32, 0.25), abs=1e-3)


def test_transformed_variables_have_their_own_names(written):
    training = gaussian_classes(200, 3)
    data = data_set(training, training, [variable("x", unit="cm"), variable("y")])

    def write(file):
        with loose_histograms():
            for _ in range(2):  # a second one gets a name of its own
                transformed = TransformedVariables("Gauss_Deco", training.variables)
                write_input_variables(folder(file, "dataset"), data, transformed)

    file = written(write)["dataset"]
    assert names(file) == {"InputVariables_Gauss_Deco", "InputVariables_Gauss_Deco_0"}
    histogram = file["InputVariables_Gauss_Deco/x__Signal_Gauss_Deco"]
    assert histogram.member("fXaxis").member("fTitle") == "x (Gauss_Deco)  [cm]"


def test_correlations(written):
    """y = −x of signal, and a constant y of background."""
    x = np.float32([-1, 0, 1, 2] * 2)
    y = np.where(np.arange(8) < 4, -x, 5)
    events = sample(np.stack([x, y], 1), np.arange(8) // 4)
    data = data_set(events, events, [variable("x"), variable("y", title="Y")])
    file = written(lambda file: write_output(file, data, []))["dataset"]
    signal = file["CorrelationMatrixS"]
    assert signal.classname == "TH2F"
    assert signal.values().tolist() == [[100, -100], [-100, 100]]
    assert file["CorrelationMatrixB"].values().tolist() == [[100, 0], [0, 100]]
    assert list(signal.member("fXaxis").labels()) == ["x", "Y"]
    assert correlation(np.array([[0, 1], [1, 3], [2, 5]]), np.array([1, 2, 3]))[0, 1] == pytest.approx(1)


def test_many_variables_have_no_scatter_plots(written):
    training = gaussian_classes(50, 4, variables=21)
    data = data_set(training, training, [variable(f"x{i}") for i in range(21)])
    file = written(lambda file: write_output(file, data, []))["dataset"]
    assert "CorrelationPlots" not in names(file["InputVariables_Id"])


def test_bins_of_gconfig(written):
    training = gaussian_classes(200, 4)
    data = data_set(training, training, [variable("x"), variable("y")])
    found = result(data, training.variables[:, 0], training.variables[:, 0])
    plotting = TMVA.gConfig().GetVariablePlotting()
    try:
        plotting.fNbins1D, plotting.fTimesRMS, plotting.fNbins2D = 17, 1.5, 50
        plotting.fNbinsMVAoutput, plotting.fNbinsXOfROCCurve = 12, 10
        file = written(lambda file: write_output(file, data, [found]))["dataset"]
        x, weights = np.float64(training.variables[:, 0]), training.weights
        histogram = file["InputVariables_Id/x__Signal_Id"]
        assert len(histogram.values()) == 17
        mean = np.average(x, weights=weights)
        spread = np.sqrt(np.average((x - mean) ** 2, weights=weights))
        assert histogram.axis().low == pytest.approx(mean - 1.5 * spread)
        below = weights[(training.classes == 0) & (x < mean - 1.5 * spread)].sum()
        assert histogram.values(flow=True)[0] == pytest.approx(below)
        assert file["InputVariables_Id/CorrelationPlots/scat_y_vs_x_Signal_Id"].values().shape == (50, 50)
        assert len(file["Method_BDT/BDT/MVA_BDT_S"].values()) == 12
        assert len(file["Method_BDT/BDT/MVA_BDT_rejBvsS"].values()) == 10
        plotting.fMaxNumOfAllowedVariablesForScatterPlots = 1
        without = written(lambda file: write_output(file, data, [found]))["dataset"]
        assert "CorrelationPlots" not in names(without["InputVariables_Id"])
    finally:
        TMVA.gConfig().DestroyInstance()


def test_several_classes(written):
    classes = np.repeat([0, 1, 2], 10)
    events = sample(np.arange(30)[:, None], classes)
    names_of = ("Signal", "bg0", "bg1")
    data = data_set(events, events, [variable("x")], analysis="Multiclass", classes=names_of)
    values = np.eye(3, dtype=np.float32)[classes]
    found = result(data, values, values, title="MLP", type_name="MLP")
    file = written(lambda file: write_output(file, data, [found]))["dataset"]
    assert {name for name in names(file) if name.startswith("Corr")} == {
        f"CorrelationMatrix{n}" for n in names_of
    }
    assert {f"x__{n}_Id" for n in names_of} <= names(file["InputVariables_Id"])
    method = file["Method_MLP/MLP"]
    pairs = [(a, b) for a in names_of for b in names_of]
    responses = {f"MVA_MLP_{part}_{a}_prob_for_{b}" for part in ("Test", "Train") for a, b in pairs}
    assert responses <= names(method)
    for a, b in pairs:
        contents = method[f"MVA_MLP_Test_{a}_prob_for_{b}"].values()
        assert np.flatnonzero(contents).tolist() == [39 if a == b else 0]
    curve = method["MVA_MLP_Test_rejBvsS_bg0"]
    assert curve.values() == (pytest.approx([0, 1, 1]), pytest.approx([1, 1, 0]))
    assert "MVA_MLP_Train_1v1rejBvsS_Signal_vs_bg1" in names(method)
    tree = file["TestTree"]
    assert (
        tree["MLP"].typename == "struct {float Signal; float bg0; float bg1}"
        or "float" in tree["MLP"].typename
    )
    assert tree["MLP"].array(library="np")["bg0"].tolist() == values[:, 1].tolist()


def test_regression(written):
    """The regression is the target plus 1 for the first half, plus 3 for the second."""
    target = np.arange(100, dtype=np.float32)[:, None]
    deviation = np.where(np.arange(100) < 50, 1, 3)[:, None]
    events = sample(target * 2, np.zeros(100), np.where(np.arange(100) < 50, 2.0, 1.0), targets=target)
    data = data_set(
        events, events, [variable("x")], analysis="Regression", classes=("Regression",),
        targets=[variable("fvalue")],
    )  # fmt: skip
    found = result(data, target + deviation, target + deviation, title="LD", type_name="LD")
    file = written(lambda file: write_output(file, data, [found]))["dataset"]
    assert {"x__Regression_Id", "fvalue__Regression_target_Id"} <= names(file["InputVariables_Id"])
    assert "CorrelationMatrix" in names(file)
    method = file["Method_LD/LD"]
    prefixes = ("MVA_LDtest", "MVA_LDtrain")
    endings = (
        "reg_var0_rtgt0",
        "reg_tgt0_rtgt0",
        "Quadr_Deviation_target_0_",
        "Quadr_Dev_best90perc_target_0_",
    )
    assert {f"{p}_{e}" for p in prefixes for e in endings} <= names(method)
    plane = method["MVA_LDtest_reg_tgt0_rtgt0"]
    assert plane.values().shape == (50, 50)
    assert plane.member("fYaxis").member("fTitle") == "fvalue_{regression} - fvalue_{true}"
    assert plane.values().sum() == 100  # no weights
    edges = plane.axis(1).edges()
    low = np.searchsorted(edges, 1) - 1
    assert plane.values()[:, low].sum() == 50
    squares = method["MVA_LDtest_Quadr_Deviation_target_0_"]
    assert squares.axis().high == pytest.approx(9.9)
    assert np.flatnonzero(squares.values()).tolist() == [int(1 / 9.9 * 500), int(9 / 9.9 * 500)]
    assert squares.values().sum() == 150
    assert file["TestTree"].keys()[:4] == ["classID", "className", "x", "fvalue"]
    leaf = file["TestTree/LD"].array(library="np")
    assert np.asarray(leaf["fvalue"] if leaf.dtype.names else leaf).ravel()[0] == 1.0


def test_convergence(written):
    events = gaussian_classes(20, 5)
    data = data_set(events, events, [variable("x"), variable("y")])
    table = {"epoch": np.arange(10, 51, 10), "train": np.linspace(5, 1, 5), "test": np.linspace(6, 2, 5)}
    found = result(data, events.variables[:, 0], events.variables[:, 0], monitors={"Convergence": table})
    method = written(lambda file: write_output(file, data, [found]))["dataset/Method_BDT/BDT"]
    # As TMVA has it with TestRate=10: bins of 10 epochs around them.
    assert method["estimatorHistTrain"].axis().edges().tolist() == [5, 15, 25, 35, 45, 55]
    assert method["estimatorHistTest"].values().tolist() == [6, 5, 4, 3, 2]


@pytest.mark.parametrize(
    ("method", "wanted"),
    [
        ("BDT", {"NodesBeforePruning", "NodesAfterPruning"}),
        ("MLP", {"weights_hist01", "weights_hist12"}),
        ("Likelihood", {"myvar1_sig_nice", "myvar1_bgd_smoothed_hist_from_spline2"}),
    ],
)
def test_monitors_from_weight_files_of_tmva(written, reference, events, expected, method, wanted):
    events = sample(events, expected["classID"], expected["weight"])
    data = data_set(events, events, [variable(name) for name in ("myvar1", "myvar2", "var3", "var4")])
    found = result(
        data, expected[method], expected[method], title=method, type_name=method,
        weight_file=reference / f"{method}.weights.xml",
    )  # fmt: skip
    file = written(lambda file: write_output(file, data, [found], variables=False))
    directory = file[f"dataset/Method_{method}/{method}"]
    assert wanted <= names(directory)
    if method == "BDT":
        assert len(directory["NodesBeforePruning"].values()) == 850
    if method == "MLP":  # 4 inputs and bias; 9 hidden neurons and bias; 1 output
        assert directory["weights_hist01"].values().shape == (5, 10)
        assert (directory["weights_hist01"].values()[:, 9] == 0).all()
        assert directory["weights_hist12"].values().shape == (10, 1)
    if method == "Likelihood":
        density = directory["myvar1_sig_smoothed_hist_from_spline2"]
        width = np.diff(density.axis().edges())[0]
        assert density.values().sum() * width == pytest.approx(1.0, rel=1e-4)
        # As many bins as in the weight file.
        assert len(directory["myvar1_bgd"].values()) == 20


def test_cuts_have_the_curve_of_their_boxes(written, reference, events, expected):
    events = sample(events, expected["classID"], expected["weight"])
    data = data_set(events, events, [variable(name) for name in ("myvar1", "myvar2", "var3", "var4")])
    found = result(
        data, expected["Cuts"], expected["Cuts"], title="Cuts", type_name="Cuts",
        weight_file=reference / "Cuts.weights.xml",
    )  # fmt: skip
    file = written(lambda file: write_output(file, data, [found], variables=False))
    method = file["dataset/Method_Cuts/Cuts"]
    assert "MVA_Cuts_S" not in names(method)  # it has no response
    curve = method["MVA_Cuts_rejBvsS"].values()
    assert curve[0] > 0.97
    assert curve[-1] < 0.3
    # On its training events the file's boxes have the area 0.808; of 500 weighted events it is known to 0.02.
    assert curve.mean() == pytest.approx(0.79, abs=0.06)


def test_names_that_collide_or_end_a_leaf(written):
    """A method called like a variable; a class with a slash and a colon."""
    events = sample(np.arange(4)[:, None], [0, 1, 0, 1])
    data = data_set(events, events, [variable("x")])
    found = result(data, [5, 6, 7, 8], [5, 6, 7, 8], title="x")
    tree = written(lambda file: write_output(file, data, [found], variables=False))["dataset/TestTree"]
    assert tree["x"].array(library="np").tolist() == [0, 1, 2, 3]
    assert tree["MVA_x"].array(library="np").tolist() == [5, 6, 7, 8]
    several = data_set(events, events, [variable("x")], analysis="Multiclass", classes=("a/b", "c:d"))
    found = result(several, np.ones((4, 2)), np.zeros((4, 2)), title="DL", type_name="DL")
    tree = written(lambda file: write_output(file, several, [found], variables=False))["dataset/TestTree"]
    assert tree["DL"].array(library="np").dtype.names == ("a_b", "c_d")
    assert tree["className"].array(library="np").tolist() == ["a/b", "c:d", "a/b", "c:d"]


def test_a_second_writing_replaces(written):
    events = gaussian_classes(40, 6)
    data = data_set(events, events, [variable("x"), variable("y")])

    def write(file):
        file.WriteTObject(ROOT.TObjString("mine"), "mine")
        for title in ("A", "B"):
            write_output(
                file, data, [result(data, events.variables[:, 0], events.variables[:, 0], title=title)],
                variables=title == "A",
            )  # fmt: skip

    file = written(write)
    assert file["mine"] == "mine"
    assert names(file["dataset/Method_BDT"]) == {"A", "B"}
    assert [key for key in file["dataset"].keys(recursive=False) if "TestTree" in key] == ["TestTree;1"]
    assert file["dataset/TestTree"].keys()[-1] == "B"


def test_the_current_directory_stays(tmp_path):
    events = gaussian_classes(20, 7)
    data = data_set(events, events, [variable("x"), variable("y")])
    file = ROOT.TFile.Open(str(tmp_path / "TMVA.root"), "RECREATE")
    ROOT.gROOT.cd()
    before = ROOT.TH1.AddDirectoryStatus()
    write_output(file, data, [])
    assert ROOT.gDirectory.GetPath() == ROOT.gROOT.GetPath()
    assert ROOT.TH1.AddDirectoryStatus() == before
    file.Close()


def test_errors(tmp_path):
    events = gaussian_classes(20, 8)
    data = data_set(events, events, [variable("x"), variable("y")])
    x = events.variables[:, 0]
    path = str(tmp_path / "TMVA.root")
    with pytest.raises(SettingError, match=r"open ROOT\.TFile"):
        write_output(path, data, [])
    file = ROOT.TFile.Open(path, "RECREATE")
    with pytest.raises(SettingError, match="'BDT'"):
        write_output(file, data, [result(data, x, x), result(data, x, x)])
    with pytest.raises(ShapeError, match=r"\(19, 1\); \(20, 1\)"):
        write_output(file, data, [result(data, x[1:], x)])
    with pytest.raises(NonFiniteInputError, match="'BDT': 1 of 20 responses"):
        write_output(file, data, [result(data, np.where(np.arange(20) == 3, np.nan, x), x)])
    with pytest.raises(SettingError, match="transformation"):
        write_output(file, data, [], "X")
    file.Close()
    with pytest.raises(OutputWriteError, match="not open"):
        write_output(file, data, [])
    file = ROOT.TFile.Open(path)
    with pytest.raises(OutputWriteError, match="reading only"):
        write_output(file, data, [])
    file.Close()
