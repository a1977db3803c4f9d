"""Methods that scikit-learn trains: the graph answers as scikit-learn does."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from booked_methods import booked, normal_data, response, trained
from sklearn.metrics import roc_auc_score

import hepml_root as hr
from hepml_root.errors import EmptySelectionError, SettingError, WeightError
from hepml_root.tmva.console import Console

ROUNDING = 2e-6  # of probabilities: 50 trees add up float32 leaves


def area(data, values):
    """Weighted area under the ROC curve of the test events."""
    return roc_auc_score(data.test.classes == data.signal, values, sample_weight=data.test.weights)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("type_name", ["PyRandomForest", "PyGTB"])
def test_the_graph_answers_as_the_library(type_name, classes):
    data = normal_data(classes=classes)
    method = booked(type_name, "RandomState=3:MaxDepth=4:NEstimators=20", data)
    model = method.fit(data)
    wanted = model.predict_proba(data.test.variables)
    if classes == 2:
        wanted = wanted[:, [list(model.classes_).index(0 if type_name == "PyRandomForest" else 1)]]
    found = response(method.train(data, Console(type_name)), data.test.variables)
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() < ROUNDING
    assert np.ptp(found[:, 0]) > 0.5


def test_events_at_a_threshold_go_left():
    """Thresholds are halfway between float32 values of events; both sides of each are tried."""
    data = normal_data(variables=1, events=60)
    method = booked("PyRandomForest", "RandomState=1:NEstimators=1:Bootstrap=False", data)
    model = method.fit(data)
    cuts = model.estimators_[0].tree_.threshold
    edges = np.float32(cuts[model.estimators_[0].tree_.children_left >= 0])
    events = np.concatenate([np.nextafter(edges, np.float32(way)) for way in (-np.inf, np.inf)] + [edges])[
        :, None
    ]
    found = response(method.train(data, Console("f")), events)
    assert np.abs(found[:, 0] - model.predict_proba(events)[:, 0]).max() < 1e-6


@pytest.mark.parametrize("classes", [2, 3])
def test_boosting_of_classes_is_that_of_the_library(classes):
    from sklearn.ensemble import AdaBoostClassifier
    from sklearn.tree import DecisionTreeClassifier

    data = normal_data(classes=classes)
    options = "Algorithm=SAMME:LearningRate=0.5:NEstimators=30:RandomState=2"
    found = response(
        trained("PyAdaBoost", options + ":BaseEstimator=DecisionTreeClassifier(max_depth=2)", data),
        data.test.variables,
    )
    model = AdaBoostClassifier(
        DecisionTreeClassifier(max_depth=2), n_estimators=30, learning_rate=0.5, random_state=2
    ).fit(data.training.variables, data.training.classes, data.training.weights)
    wanted = model.predict_proba(data.test.variables)
    assert np.abs(found - (wanted[:, :1] if classes == 2 else wanted)).max() < ROUNDING


def test_boosting_of_probabilities_by_hand():
    """Two rounds of cuts on one variable, weights and answers computed from the formula.

    Signal at 0, 1, 3 and background at 2, 4, 5: the first cut, at 1.5, leaves 1/4 of signal above it.
    """
    data = normal_data(events=6, variables=1)
    x = np.float32([[0], [1], [3], [2], [4], [5]])
    classes = np.int32([0, 0, 0, 1, 1, 1])
    sample = type(data.training)(x, x, x[:, :0], classes, np.ones(6))
    data = type(data)(**{**data.__dict__, "training": sample, "test": sample})
    found = response(trained("PyAdaBoost", "NEstimators=2", data), x)[:, 0]

    weights = np.full(6, 1 / 6)
    logs = np.zeros((6, 2))
    for cut in (1.5, 3.5):  # the second: weights of the misclassified event at 3 grew
        for side in (x[:, 0] <= cut, x[:, 0] > cut):
            shares = np.array([weights[side & (classes == c)].sum() for c in (0, 1)]) / weights[side].sum()
            logs[side] += np.log(np.clip(shares, np.finfo(float).eps, None)) / 2
            if cut == 1.5:
                log = np.log(np.clip(shares, np.finfo(float).eps, None))
                for c in (0, 1):
                    rows = side & (classes == c)
                    weights[rows] *= np.exp(-0.5 * (log[c] - log[1 - c]))
        weights /= weights.sum()
    wanted = 1.0 / (1.0 + np.exp(logs[:, 1] - logs[:, 0]))
    assert found == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize(
    ("type_name", "options"),
    [
        ("PyRandomForest", "NEstimators=50:MinSamplesLeaf=5:RandomState=1"),
        ("PyAdaBoost", "RandomState=1"),
        ("PyGTB", "RandomState=1:Loss=exponential:Subsample=0.5"),
        ("SVM", "Gamma=0.25:Tol=0.001"),
        ("KNN", ""),
    ],
)
def test_what_is_learned(type_name, options):
    """Means one sigma apart in 3 variables: no method is better than Φ(√(3/2)) = 0.890, all come near."""
    data = normal_data(events=2000)
    found = area(data, response(trained(type_name, options, data), data.test.variables)[:, 0])
    assert 0.84 < found < 0.91


@pytest.mark.parametrize("type_name", ["PyRandomForest", "PyGTB", "PyAdaBoost"])
def test_the_ranking(type_name):
    """Only the second variable separates."""
    data = normal_data(events=600)
    data.training.variables[:, [0, 2]] = np.random.default_rng(5).normal(size=(600, 2))
    method = booked(type_name, "RandomState=1:NEstimators=20", data)
    assert method.ranking() is None
    method.train(data, Console("m", silent=True))
    ranking = method.ranking()
    assert ranking[0][0] == "x1"
    assert sum(value for _, value in ranking) == pytest.approx(1.0)
    assert method.help.count("\n") >= 2


def test_the_compiled_engine(tmp_path):
    data = normal_data()
    found = trained("PyGTB", "RandomState=1", data)
    onnx.save(found.weights.model, tmp_path / "gtb.onnx")
    scores = hr.Session(tmp_path / "gtb.onnx", engine="cpp").infer(data.test.variables)
    assert np.abs(scores - response(found, data.test.variables)).max() < ROUNDING


@pytest.mark.parametrize(
    ("type_name", "options", "needed"),
    [
        ("PyRandomForest", "NEstimators=0", "at least 1"),
        ("PyRandomForest", "MaxDepth=deep", "None, or a whole number"),
        ("PyRandomForest", "MaxFeatures=1.5", "a share such as 0.5"),
        ("PyRandomForest", "OoBScore:Bootstrap=False", "Bootstrap"),
        ("PyRandomForest", "Criterion=ginny", "gini"),
        ("PyRandomForest", "NEstimator=5", "NEstimators"),
        ("PyAdaBoost", "BaseEstimator=SVC()", "DecisionTreeClassifier"),
        ("PyAdaBoost", "BaseEstimator=DecisionTreeClassifier(depth=2)", "DecisionTreeClassifier"),
        ("PyAdaBoost", "BaseEstimator=DecisionTreeClassifier(max_depth=exit())", "plain values"),
        ("PyAdaBoost", "BaseEstimator=DecisionTreeClassifier(max_depth=-2)", "max_depth"),
        ("PyAdaBoost", "LearningRate=0", "above 0"),
        ("PyGTB", "Subsample=1.5", "above 0 to 1"),
        ("PyGTB", "MinWeightFractionLeaf=0.7", "from 0 to 0.5"),
    ],
)
def test_wrong_options_are_refused_when_booked(type_name, options, needed):
    with pytest.raises(SettingError, match=needed):
        booked(type_name, options, normal_data())


def test_analyses_that_are_not_there():
    for type_name in ("PyRandomForest", "PyAdaBoost", "PyGTB"):
        with pytest.raises(SettingError, match="Regression"):
            booked(type_name, "", normal_data(regression=True))
    with pytest.raises(SettingError, match="deviance"):
        booked("PyGTB", "Loss=exponential", normal_data(classes=3))


def test_samples_that_cannot_be_learned():
    data = normal_data()
    signal = type(data)(**{**data.__dict__, "training": data.training.take(data.training.classes == 0)})
    for type_name in ("PyRandomForest", "PyAdaBoost", "PyGTB", "SVM"):
        with pytest.raises(EmptySelectionError, match="Background"):
            trained(type_name, "", signal)
    data.training.weights[3] = -1.0
    for type_name in ("PyAdaBoost", "SVM"):
        with pytest.raises(WeightError, match=r"1 of 400 .* IgnoreNegWeightsInTraining"):
            trained(type_name, "", data)
