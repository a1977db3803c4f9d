"""KNN and SVM: the graphs answer as their formulas, computed in double precision, and as scikit-learn."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from booked_methods import booked, normal_data, response, trained
from weight_files import weight_file

import hepml_root as hr
from hepml_root import tmva as TMVA
from hepml_root.errors import EmptySelectionError, ModelFileError, SettingError, UnsupportedOperationError
from hepml_root.tmva import training
from hepml_root.tmva.console import Console
from hepml_root.tmva.weights import conversion
from hepml_root.tmva.weights.own_model import OwnGraph
from hepml_root.tmva.weights.vector_kernels import Kernel


def share(data, events, k, kernel="", scale_to=0.8, sigma=1.0):
    """KNN's formula, event by event."""
    x = data.training.variables.astype(np.float64)
    count = len(x)
    scale = np.ones(x.shape[1])
    if scale_to:
        edge = round(100 * (1 - scale_to)) // 2
        low, high = (int(np.ceil(count * p / 100)) for p in (edge, 100 - edge))
        ordered = np.sort(x, axis=0)
        scale = ordered[min(high, count - 1)] - ordered[low]
    found = []
    for event in events.astype(np.float64):
        differences = (x - event) / scale
        distance = (differences**2).sum(axis=1)
        order = np.argsort(distance, kind="stable")
        nearest, apart = order[:k], [i for i in order if distance[i] > 0][:k]
        weights = data.training.weights[nearest]
        if kernel == "Gaus":
            width = sigma * np.sqrt((differences[apart] ** 2).mean(axis=0))
            weights = weights * np.exp(-0.5 * (differences[nearest] ** 2 / width**2).sum(axis=1))
        if kernel == "Poln":
            weights = weights * (1 - (distance[nearest] / distance[apart[-1]]) ** 1.5).clip(0) ** 3
        found.append(weights[data.training.classes[nearest] == data.signal].sum() / weights.sum())
    return np.array(found)


@pytest.mark.parametrize(
    ("options", "settings"),
    [
        ("", {}),
        ("ScaleFrac=0", {"scale_to": 0}),
        ("ScaleFrac=1", {"scale_to": 1.0}),
        ("UseKernel:SigmaFact=0.7", {"kernel": "Gaus", "sigma": 0.7}),
        ("UseKernel:Kernel=Poln", {"kernel": "Poln"}),
    ],
)
def test_the_share_of_neighbours(options, settings):
    """Test events, and training events, which are their own first neighbour."""
    data = normal_data(variables=4)
    found = trained("KNN", f"nkNN=15:{options}", data)
    for events in (data.test.variables, data.training.variables):
        assert np.abs(response(found, events)[:, 0] - share(data, events, 15, **settings)).max() < 3e-6


def test_neighbours_of_the_library():
    from sklearn.neighbors import KNeighborsClassifier

    data = normal_data(variables=4)
    found = response(trained("KNN", "nkNN=9:ScaleFrac=0:UseWeight=False", data), data.test.variables)
    model = KNeighborsClassifier(9, algorithm="brute").fit(data.training.variables, data.training.classes)
    assert np.abs(found[:, 0] - model.predict_proba(data.test.variables)[:, 0]).max() < 1e-6


def test_far_from_0_neighbours_are_the_same():
    """Distances are of differences: a variable at 1000 ± 1 is as good as one at 0 ± 1."""
    data = normal_data(variables=2)
    near = response(trained("KNN", "", data), data.test.variables)
    moved = data.training.with_variables(data.training.variables + 1024)
    far = response(
        trained("KNN", "", type(data)(**{**data.__dict__, "training": moved})), data.test.variables + 1024
    )
    # The variables themselves are rounded to 1e-4: the k-th neighbour of a few events is another one.
    assert (np.abs(near - far) > 1e-5).mean() < 0.05


def test_a_regression_is_the_mean_of_neighbours():
    data = normal_data(regression=True, events=1000)
    found = response(trained("KNN", "ScaleFrac=0:nkNN=5", data), data.test.variables)
    for event in range(20):
        distance = ((data.training.variables - data.test.variables[event]) ** 2).sum(axis=1)
        nearest = np.argsort(distance)[:5]
        wanted = np.average(data.training.targets[nearest, 0], weights=data.training.weights[nearest])
        assert found[event, 0] == pytest.approx(wanted, rel=1e-5, abs=1e-5)


def test_trim_takes_equal_numbers():
    data = normal_data()
    less = np.flatnonzero((data.training.classes == 0) | (np.arange(400) < 100))
    data = type(data)(**{**data.__dict__, "training": data.training.take(less)})
    found = trained("KNN", "Trim:ScaleFrac=0:nkNN=5", data).weights.model
    kept = next(
        array for array in found.graph.initializer if list(array.dims)[-1:] == [3] and len(array.dims) == 2
    )
    assert kept.dims[0] == 100  # 50 background events, and as many of the signal


def test_what_neighbours_cannot_do():
    data = normal_data()
    with pytest.raises(SettingError, match="UseLDA"):
        booked("KNN", "UseLDA", data)
    with pytest.raises(SettingError, match="no kernel"):
        booked("KNN", "UseKernel", normal_data(regression=True))
    with pytest.raises(SettingError, match="ScaleFrac"):
        booked("KNN", "ScaleFrac=2", data)
    with pytest.raises(EmptySelectionError, match="402 are needed"):
        trained("KNN", "nkNN=400", data)
    with pytest.raises(EmptySelectionError, match="ScaleFrac needs 100"):
        trained("KNN", "", normal_data(events=50))
    data.training.variables[:, 1] = 3.0
    with pytest.raises(SettingError, match="same x1"):
        trained("KNN", "", data)


# ---- support vectors -------------------------------------------------------------------------------------


def cost(data):
    """Weights of mean 1 in each class; both classes have as many events here."""
    weights = data.training.weights.copy()
    for which in (0, 1):
        weights[data.training.classes == which] /= weights[data.training.classes == which].mean()
    return weights


@pytest.mark.parametrize(
    ("options", "kernel"),
    [
        ("Gamma=0.25", "rbf"),
        ("Kernel=Polynomial:Theta=0.5:Order=2", lambda x, z: (x @ z.T + 0.5) ** 2),
        ("Kernel=MultiGauss:GammaList=0.1,0.2,0.3", None),
        ("Kernel=Prod:KernelList=RBF*Polynomial:Gamma=0.1:Order=1", None),
        ("Kernel=Prod:KernelList=RBF*MultiGauss:Gamma=0.1", None),
        ("Kernel=Sum:KernelList=RBF+Polynomial:Gamma=0.1:Order=3", None),
    ],
)
def test_support_vectors_of_the_library(options, kernel):
    """The graph is the sigmoid of scikit-learn's decision function with the same kernel."""
    from sklearn.svm import SVC

    data = normal_data()
    x = data.training.variables.astype(np.float64)
    gaussian = lambda gammas: lambda a, b: np.exp(-(((a[:, None] - b) ** 2) * gammas).sum(axis=2))  # noqa: E731
    formulas = {
        "Kernel=MultiGauss": gaussian([0.1, 0.2, 0.3]),
        "RBF*Polynomial": lambda a, b: gaussian(0.1)(a, b) * (a @ b.T + 1.0),
        "RBF*MultiGauss": gaussian(1.1),
        "RBF+Polynomial": lambda a, b: gaussian(0.1)(a, b) + (a @ b.T + 1.0) ** 3,
    }
    kernel = kernel or next(formula for name, formula in formulas.items() if name in options)
    settings = {"gamma": 0.25} if kernel == "rbf" else {}
    machine = SVC(kernel=kernel, tol=1e-3, **settings).fit(x, data.training.classes == 0, cost(data))
    wanted = 1.0 / (1.0 + np.exp(-machine.decision_function(data.test.variables.astype(np.float64))))
    found = response(trained("SVM", f"Tol=0.001:{options}", data), data.test.variables)
    # Both stop at a tolerance of 1e-3; float32 sums of 200 kernels.
    assert np.abs(found[:, 0] - wanted).max() < 5e-4


def test_a_polynomial_is_multiplied_out():
    """(x·z + θ)³ of two variables by hand: its coefficient of x0² x1 is 3 z0² z1."""
    from hepml_root.tmva.weights.graph import Graph

    kernel = Kernel(("Polynomial",), False, 1.0, np.ones(2), 3, 1.0)
    vectors, alphas = np.array([[1.0, 2.0], [-2.0, 0.5]]), np.array([2.0, -0.5])
    graph = Graph("features")
    model = graph.model("p", 2, kernel.add_decision(graph, "features", vectors, alphas), "score", 1)
    import onnxruntime

    events = np.float32([[0, 0], [1, 0], [0, 1], [2, -3]])
    session = onnxruntime.InferenceSession(model.SerializeToString())
    found = session.run(None, {"features": events})[0][:, 0]
    assert found == pytest.approx(
        [1.5, 2 * 8 + 0.5, 2 * 27 - 0.5 * 1.5**3, 2 * -27 - 0.5 * -(4.5**3)], rel=1e-5
    )


def test_a_regression_of_support_vectors():
    """x0² + x1 has a spread of √3; the error that costs nothing is 1 % of half its range."""
    data = normal_data(regression=True, events=1000)
    found = response(trained("SVM", "C=10:Gamma=0.2", data), data.test.variables)
    assert np.std(found - data.test.targets) < 0.5 < 1.5 < np.std(data.test.targets)


def test_the_compiled_engine_takes_both(tmp_path):
    data = normal_data(events=150, variables=2)
    for type_name, options in (("KNN", "nkNN=7:UseKernel"), ("SVM", "")):
        found = trained(type_name, options, data)
        onnx.save(found.weights.model, tmp_path / f"{type_name}.onnx")
        scores = hr.Session(tmp_path / f"{type_name}.onnx", engine="cpp").infer(data.test.variables)
        assert np.abs(scores - response(found, data.test.variables)).max() < 1e-5


def test_what_support_vectors_cannot_do():
    data = normal_data()
    with pytest.raises(SettingError, match="RBF, MultiGauss, Polynomial"):
        booked("SVM", "Kernel=Sum:KernelList=RBF+Cauchy", data)
    with pytest.raises(SettingError, match="GammaList"):
        booked("SVM", "Kernel=MultiGauss:GammaList=1,-1,1", data)
    with pytest.raises(SettingError, match="each of 3 variables"):
        trained("SVM", "Kernel=MultiGauss:GammaList=1,1", data)
    with pytest.raises(SettingError, match="Classification, Regression"):
        booked("SVM", "", normal_data(classes=3))


# ---- files -----------------------------------------------------------------------------------------------


def scores(path, events):
    file = TMVA.convert(path, path.with_suffix(".onnx"), overwrite=True)
    return hr.Session(file, engine="onnxruntime").infer(np.float32(events))[:, 0]


def neighbours_of(events, targets=0):
    rows = "".join(
        f'<Event Type="{kind}" Weight="{weight}">{text}</Event>\n' for kind, weight, text in events
    )
    return f'<Weights NEvents="{len(events)}" NVar="2" NTgt="{targets}">\n{rows}</Weights>'


THREE = neighbours_of([(1, 1.0, "0 0"), (2, 3.0, "1 0"), (1, 2.0, "5 5.0e+00")])


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"nkNN": "1"}, 1.0),
        ({"nkNN": "1", "UseWeight": "False"}, 1.0),
    ],
)
def test_a_file_of_neighbours_by_hand(tmp_path, options, wanted):
    path = weight_file(tmp_path, "KNN", THREE, options={"ScaleFrac": "0", **options})
    assert scores(path, [[0.2, 0.0]])[0] == pytest.approx(wanted, abs=1e-6)


def test_two_neighbours_by_hand(tmp_path):
    """1 of 1 + 3 in weight, 1 of 2 in number; Poln with d = 0.2 and 0.8 = d_k: only the first counts."""
    events = neighbours_of([(1, 1.0, "0 0"), (2, 3.0, "1 0"), (1, 2.0, "5 5"), (2, 1.0, "6 6")])
    for options, wanted in (
        ({}, 0.25),
        ({"UseWeight": "False"}, 0.5),
        ({"UseKernel": "True", "Kernel": "Poln"}, 1.0),
    ):
        path = weight_file(tmp_path, "KNN", events, options={"nkNN": "2", "ScaleFrac": "0", **options})
        assert scores(path, [[0.2, 0.0]])[0] == pytest.approx(wanted, abs=1e-6)
    gaus = weight_file(
        tmp_path, "KNN", events,
        options={"nkNN": "2", "ScaleFrac": "0", "UseKernel": "True", "Kernel": "Gaus", "SigmaFact": "2"},
    )  # fmt: skip
    # σx² = 4 (0.04 + 0.64) / 2; y is the same for both and does not count.
    first, second = (np.exp(-0.5 * square / (4 * 0.34)) for square in (0.04, 0.64))
    assert scores(gaus, [[0.2, 0.0]])[0] == pytest.approx(first / (first + 3 * second), abs=1e-6)


def test_neighbours_of_a_regression_by_hand(tmp_path):
    events = neighbours_of(
        [(1, 1.0, "0 0 10"), (1, 3.0, "1 0 20"), (1, 2.0, "5 5 30"), (1, 1.0, "6 6 40")], 1
    )
    path = weight_file(
        tmp_path, "KNN", events, options={"nkNN": "2", "ScaleFrac": "0"}, analysis="Regression",
        targets=["t"], classes=["Regression"],
    )  # fmt: skip
    assert scores(path, [[0.2, 0.0]])[0] == pytest.approx((10 + 3 * 20) / 4, rel=1e-6)


SUPPORT = (
    '<Weights fBparm="0.1" fGamma="{gamma}" fGammaList="{gammas}" fTheta="1.0" fOrder="2" NSupVec="2">'
    '<SupportVector Rows="1" Columns="6">0 -1 {first} 0 0 0 </SupportVector>'
    '<SupportVector Rows="1" Columns="6">0 1 0.5 0 1 2 </SupportVector>'
    '<Maxima Var0="1" Var1="1"/><Minima Var0="0" Var1="0"/></Weights>'
)


@pytest.mark.parametrize("first", [0.5, 0.2])  # the sum of α is 0, and is not
@pytest.mark.parametrize(
    ("options", "kernels"),
    [
        ({}, (np.exp(-0.5 * 1.25), np.exp(-0.5 * 1.25))),
        ({"Kernel": "MultiGauss"}, (np.exp(-0.25 - 2.0), np.exp(-0.25 - 2.0))),
        ({"Kernel": "Polynomial"}, (1.0, 3.5**2)),
        ({"Kernel": "Sum", "KernelList": "RBF+Polynomial"}, (np.exp(-0.625) + 1, np.exp(-0.625) + 3.5**2)),
    ],
)
def test_a_file_of_support_vectors_by_hand(tmp_path, first, options, kernels):
    """v = α₁ t₁ K₁ + α₂ t₂ K₂ − B with t = −1 of signal, y = 1/(1 + exp(v)), at (0.5, 1)."""
    path = weight_file(tmp_path, "SVM", SUPPORT.format(first=first, gamma=0.5, gammas="1,2"), options=options)
    value = -first * kernels[0] + 0.5 * kernels[1] - 0.1
    assert scores(path, [[0.5, 1.0]])[0] == pytest.approx(1 / (1 + np.exp(value)), abs=2e-6)


@pytest.mark.parametrize(
    ("type_name", "options"),
    [
        ("KNN", "nkNN=7:VarTransform=N"),
        ("KNN", "nkNN=7:Trim:UseWeight=F:UseKernel:Kernel=Poln"),
        ("KNN", "UseKernel:ScaleFrac=0"),
        ("SVM", "Gamma=0.3:VarTransform=N"),
        ("SVM", "Kernel=MultiGauss:GammaList=0.1,0.2,0.3"),
        ("SVM", "Kernel=Sum:KernelList=RBF+Polynomial:Order=2:Theta=0.5"),
    ],
)
@pytest.mark.parametrize("regression", [False, True])
def test_written_and_read(tmp_path, monkeypatch, type_name, options, regression):
    """TMVA's form holds all: what is read answers as what was trained."""
    if regression:  # which has no kernel
        options = options.replace("UseKernel:", "")
    monkeypatch.chdir(tmp_path)
    data = normal_data(regression=regression)
    method = booked(type_name, options, data)
    console = Console("m", silent=True)
    fitted = training.fit(method, data, console)
    files = training.write(method.booking, data, fitted)
    assert "Model=" not in files.weights.read_text()
    read = TMVA.read_weights(files.weights)
    assert type(read.weights) is type(fitted.trained.weights)
    wanted = training.graph_responses(training.graph(method.booking, data, fitted), data.test.variables)
    spread = max(1.0, float(np.ptp(wanted)))
    assert np.abs(training.responses(files.model, data.test.variables) - wanted).max() < 1e-6 * spread
    found = training.graph_responses(conversion.emit(read), data.test.variables)
    assert np.abs(found - wanted).max() < 2e-6 * spread


def test_what_tmva_would_misread_is_our_own_file():
    data = normal_data()
    for type_name, options in (("KNN", "UseKernel"), ("SVM", "Kernel=Prod:KernelList=RBF*Polynomial")):
        method = booked(type_name, options, data)
        assert isinstance(method.train(data, Console("m", silent=True)).weights, OwnGraph)


def test_files_that_are_not_read(tmp_path):
    many = neighbours_of([(1 + i % 2, 1.0, f"{i} {i * i}") for i in range(100)])
    for weights, options, error, needed in (
        (THREE, {"nkNN": "2"}, ModelFileError, "3 events for nkNN=2"),
        (THREE, {"nkNN": "many"}, ModelFileError, "nkNN='many' is no number"),
        (THREE.replace('NEvents="3"', 'NEvents="4"'), {}, ModelFileError, "4"),
        (THREE.replace('NVar="2"', 'NVar="3"'), {}, ModelFileError, "NVar=3"),
        (THREE.replace(">0 0<", ">0<"), {}, ModelFileError, "Event"),
        (THREE.replace(">0 0<", ">0 nan<"), {}, ModelFileError, "finite"),
        (THREE.replace('Type="2"', 'Type="3"'), {}, ModelFileError, "Type"),
        (many, {"UseKernel": "True", "Kernel": "Gaus"}, UnsupportedOperationError, "not scaled"),
        (many, {"UseLDA": "True"}, UnsupportedOperationError, "UseLDA"),
    ):
        options = {"nkNN": "1", "ScaleFrac": "0" if weights is not many else "0.8", **options}
        with pytest.raises(error, match=needed):
            TMVA.read_weights(weight_file(tmp_path, "KNN", weights, options=options))
    good = SUPPORT.format(first=0.5, gamma=0.5, gammas="1,2")
    for weights, options, error, needed in (
        (good.replace('NSupVec="2"', 'NSupVec="3"'), {}, ModelFileError, "3"),
        (good.replace('Columns="6"', 'Columns="5"'), {}, ModelFileError, "6 are needed"),
        (good.replace('fGamma="0.5"', 'fGamma="-1"'), {}, ModelFileError, "above 0"),
        (good.replace('"1,2"', '"1"'), {"Kernel": "MultiGauss"}, ModelFileError, "2 numbers above 0"),
        (good, {"Kernel": "Prod", "KernelList": "RBF*RBF"}, UnsupportedOperationError, "sums of them"),
        (good, {"Kernel": "Gauss"}, UnsupportedOperationError, "RBF"),
    ):
        with pytest.raises(error, match=needed):
            TMVA.read_weights(weight_file(tmp_path, "SVM", weights, options=options))
