"""Methods that the reference lacks, with answers worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from weight_files import cut, fisher, forest, leaf, linear, network, normalize, weight_file

import hepml_root as hr
from hepml_root import tmva as TMVA
from hepml_root.errors import ModelFileError, UnsupportedOperationError
from hepml_root.tmva.weights.cuts import Cuts, box_at

REGRESSION = {"analysis": "Regression", "targets": ["t"], "classes": ["Regression"]}
THREE = {"analysis": "Multiclass", "classes": ["a", "b", "c"]}


def scores(path, events, engine="onnxruntime", **settings):
    file = TMVA.convert(path, path.with_suffix(f".{engine}.onnx"), **settings)
    return hr.Session(file, engine=engine).infer(np.float32(events))


# ---- trees -----------------------------------------------------------------------------------------------

STUMP = cut(
    "s", 0, 1.0, leaf("l", kind=-1, purity=0.25, response=-0.25), leaf("r", kind=1, purity=0.9, response=0.5)
)


def test_a_cut_and_its_direction(tmp_path):
    """cType 1: right at x >= cut; cType 0: right at x < cut. The cut itself is float32."""
    just_below = np.nextafter(np.float32(1.0), np.float32(0.0))
    events = [[1.0, 0.0], [just_below, 0.0], [5.0, 0.0], [-5.0, 0.0]]
    other = STUMP.replace('cType="1"', 'cType="0"', 1)
    for root, wanted in ((STUMP, [1, -1, 1, -1]), (other, [-1, 1, -1, 1])):
        path = weight_file(tmp_path, "BDT", forest([(0.7, root)], 0), options={"BoostType": "AdaBoost"})
        assert scores(path, events, overwrite=True)[:, 0].tolist() == wanted


@pytest.mark.parametrize(
    ("options", "at_two"),
    [
        ({"BoostType": "AdaBoost"}, (0.5 * 1 + 1.5 * -1) / 2.0),
        ({"BoostType": "AdaBoost", "UseYesNoLeaf": "False"}, (0.5 * 0.9 + 1.5 * 0.3) / 2.0),
        ({"BoostType": "RealAdaBoost"}, (0.5 * 0.9 + 1.5 * 0.3) / 2.0),
        ({"BoostType": "Bagging"}, (0.5 * 1 + 1.5 * -1) / 2.0),
        ({"BoostType": "AdaBoost", "UseWeightedTrees": "False"}, 0.0),
    ],
)
def test_boosting(tmp_path, options, at_two):
    trees = [(0.5, STUMP), (1.5, leaf("s", kind=-1, purity=0.3))]
    path = weight_file(tmp_path, "BDT", forest(trees, 0), options=options)
    assert scores(path, [[2.0, 0.0]])[0, 0] == pytest.approx(at_two, abs=1e-7)


def test_a_forest_without_weight(tmp_path):
    path = weight_file(tmp_path, "BDT", forest([(0.0, STUMP)], 0))
    assert scores(path, [[2.0, 0.0]])[0, 0] == 0.0


def test_gradient_boosting_of_two_classes(tmp_path):
    trees = [(1.0, STUMP), (1.0, leaf("s", response=0.125))]
    path = weight_file(tmp_path, "BDT", forest(trees, 1), options={"BoostType": "Grad"})
    wanted = 2 / (1 + math.exp(-2 * 0.625)) - 1
    assert scores(path, [[2.0, 0.0]])[0, 0] == pytest.approx(wanted, abs=1e-6)


def test_regression_with_trees(tmp_path):
    """The sum, and the boost weight of the first tree, which is where the training began."""
    trees = [(2.5, STUMP), (7.0, leaf("s", response=0.125))]
    path = weight_file(tmp_path, "BDT", forest(trees, 1), options={"BoostType": "Grad"}, **REGRESSION)
    assert scores(path, [[0.0, 0.0], [1.0, 0.0]])[:, 0].tolist() == [2.375, 3.125]
    manifest = hr.export.read_manifest(path.with_suffix(".onnxruntime.onnx"))
    assert manifest["task"] == "regression"
    assert manifest["outputs"][0]["labels"] == ["t"]
    path = weight_file(tmp_path, "BDT", forest(trees, 1), options={"BoostType": "AdaBoost"}, **REGRESSION)
    found = scores(path, [[0.0, 0.0]], overwrite=True)
    assert found[0, 0] == pytest.approx((2.5 * -0.25 + 7.0 * 0.125) / 9.5, abs=1e-7)


def test_a_normalised_target_is_taken_back(tmp_path):
    """t' = 2 (t - 4) / 10 - 1, so that t = 4 + 5 (t' + 1); the variable x is normalised to x - 1, too."""
    trees = [(0.5, STUMP)]
    change = normalize([[(0.0, 2.0), (4.0, 14.0)]], "x", "target t")
    path = weight_file(
        tmp_path,
        "BDT",
        forest(trees, 1),
        options={"BoostType": "Grad"},
        transformations=[change],
        **REGRESSION,
    )
    found = scores(path, [[1.9, 0.0], [2.0, 0.0]], engine="cpp")
    assert found[:, 0].tolist() == [4 + 5 * (0.25 + 1), 4 + 5 * (1.0 + 1)]


def test_several_classes_with_trees(tmp_path):
    """Tree t belongs to class t modulo the number of classes."""
    trees = [(1.0, leaf("s", response=r)) for r in (0.5, 0.0, -1.0)] + [(1.0, STUMP)]
    trees += [(1.0, leaf("s", response=r)) for r in (0.25, 0.0)]
    path = weight_file(tmp_path, "BDT", forest(trees, 1), options={"BoostType": "Grad"}, **THREE)
    wanted = np.exp([1.0, 0.25, -1.0]) / np.exp([1.0, 0.25, -1.0]).sum()
    assert scores(path, [[2.0, 0.0]])[0] == pytest.approx(wanted, abs=1e-6)
    manifest = hr.export.read_manifest(path.with_suffix(".onnxruntime.onnx"))
    assert manifest["outputs"][0]["labels"] == ["a", "b", "c"]


# ---- networks --------------------------------------------------------------------------------------------

FIRST = np.array([[0.5, -1.0, 2.0], [0.25, 1.5, -0.5], [0.1, -0.2, 0.3]])  # x, y, bias → three neurons
LAST = np.array([[1.0], [-0.5], [0.25], [0.125]])
FUNCTIONS = {
    "linear": lambda t: t,
    "sigmoid": lambda t: 1 / (1 + np.exp(-t)),
    "tanh": np.tanh,
    "radial": lambda t: np.exp(-t * t / 2),
    "ReLU": lambda t: np.maximum(t, 0),
}
COMBINED = {
    "sum": lambda x, w: x @ w[:-1] + w[-1],
    "sqsum": lambda x, w: ((x[:, :, None] * w[None, :-1]) ** 2).sum(1) + w[-1] ** 2,
    "abssum": lambda x, w: np.abs(x[:, :, None] * w[None, :-1]).sum(1) + np.abs(w[-1]),
}
EVENTS = np.array([[0.3, -0.7], [1.5, 2.0], [-2.0, 0.5], [0.0, 0.0]])


@pytest.mark.parametrize("neuron", FUNCTIONS)
@pytest.mark.parametrize("combined", COMBINED)
def test_neurons(tmp_path, neuron, combined):
    """In a release whose tanh is tanh."""
    options = {"NeuronType": neuron, "NeuronInputType": combined, "EstimatorType": "CE"}
    path = weight_file(tmp_path, "MLP", network(FIRST, LAST), options=options, release="4.2.0 [262656]")
    hidden = FUNCTIONS[neuron](COMBINED[combined](EVENTS, FIRST))
    wanted = FUNCTIONS["sigmoid"](COMBINED[combined](hidden, LAST))
    assert scores(path, EVENTS) == pytest.approx(wanted, abs=2e-6)


def test_the_tanh_of_newer_releases(tmp_path):
    """From 4.2.1 on it is a fraction, cut at 4.97: 1 from there, and 3.8e-5 away from tanh just before."""
    options = {"NeuronType": "tanh", "EstimatorType": "MSE"}
    weights = network([[1.0], [0.0], [0.0]], [[1.0], [0.0]])
    path = weight_file(tmp_path, "MLP", weights, options=options)
    x = np.array([-6.0, -4.96, -1.0, 0.0, 0.5, 4.9, 5.0])
    s = x * x
    fraction = x * (135135 + s * (17325 + s * (378 + s))) / (135135 + s * (62370 + s * (3150 + 28 * s)))
    wanted = np.where(np.abs(x) > 4.97, np.sign(x), fraction)
    found = scores(path, np.stack([x, x], axis=1))[:, 0]
    assert found == pytest.approx(wanted, abs=3e-7)
    assert 1e-6 < np.abs(found - np.tanh(x)).max() < 1e-4


def test_several_outputs(tmp_path):
    table = np.array([[1.0, 0.0, -1.0], [0.5, 0.5, 0.5], [0.1, 0.2, 0.3], [0.0, 1.0, 0.0]])
    options = {"NeuronType": "sigmoid", "EstimatorType": "MSE"}
    path = weight_file(tmp_path, "MLP", network(FIRST, table), options=options, **THREE)
    raw = COMBINED["sum"](FUNCTIONS["sigmoid"](COMBINED["sum"](EVENTS, FIRST)), table)
    wanted = np.exp(raw) / np.exp(raw).sum(axis=1, keepdims=True)
    assert scores(path, EVENTS) == pytest.approx(wanted, abs=1e-6)


def test_regression_with_a_network(tmp_path):
    change = normalize([[(-1.0, 1.0), (-1.0, 1.0), (10.0, 30.0)]], "x", "y", "target t")
    options = {"NeuronType": "sigmoid", "EstimatorType": "MSE"}
    path = weight_file(
        tmp_path, "MLP", network(FIRST, LAST), options=options, transformations=[change], **REGRESSION
    )
    raw = COMBINED["sum"](FUNCTIONS["sigmoid"](COMBINED["sum"](EVENTS, FIRST)), LAST)
    assert scores(path, EVENTS) == pytest.approx(10 + 10 * (raw + 1), abs=2e-5)


# ---- the others ------------------------------------------------------------------------------------------


def test_linear_discriminants(tmp_path):
    path = weight_file(tmp_path, "Fisher", fisher(0.5, 2.0, -1.0))
    assert scores(path, [[1.0, 3.0]])[0, 0] == 0.5 + 2 - 3
    two = {**REGRESSION, "targets": ["t", "u"]}
    path = weight_file(tmp_path, "LD", linear([1, 2, 3], [0, -1, 4]), **two)
    assert scores(path, [[1.0, 3.0]])[0].tolist() == [12.0, 11.0]


def test_cuts(tmp_path):
    """Four boxes: the efficiency 0.3 is in the second bin and takes the third box; 1 takes the last."""
    rows = ""
    for i in range(4):
        rows += (
            f'<Bin ibin="{i + 1}" effS="{i / 4}" effB="0.1"><Cuts cutMin_0="{-i}" cutMax_0="1e30" '
            'cutMin_1="-1e30" '
            f'cutMax_1="{i + 0.1}"/></Bin>'
        )
    weights = f'<Weights OptimisationMethod="0" FitMethod="0" nbins="4">{rows}</Weights>'
    path = weight_file(tmp_path, "Cuts", weights)
    # x > -2 and y <= 2.1, which no float32 is: the one below passes, the one above does not.
    edge = np.float32(2.1)
    inside, outside = sorted([edge, np.nextafter(edge, np.float32(3 if float(edge) < 2.1 else 0))])
    events = [[0.0, 0.0], [-2.0, 0.0], [-1.999, inside], [0.0, outside], [-2.5, 0.0]]
    third = scores(path, events, signal_efficiency=0.3)
    assert third[:, 0].tolist() == [1, 0, 1, 0, 0]
    last = scores(path, events, signal_efficiency=1.0, overwrite=True)
    assert last[:, 0].tolist() == [1, 1, 1, 1, 1]
    nothing = scores(path, events, signal_efficiency=0.0, overwrite=True)
    assert nothing[:, 0].tolist() == [0] * 5


@pytest.mark.parametrize(
    ("method", "why"),
    [
        ("PDEFoam", "ROOT file"),
        ("PDERS", "training events"),
        ("RuleFit", "no method 'RuleFit'"),
        ("bdt", "Nearest: 'BDT'"),
    ],
)
def test_methods_that_are_not_read(tmp_path, method, why):
    path = weight_file(tmp_path, method, "<Weights/>")
    with pytest.raises(UnsupportedOperationError, match=why):
        TMVA.read_weights(path)


def test_cuts_before_trees_that_are_missing(tmp_path):
    path = weight_file(tmp_path, "BDT", forest([(1.0, STUMP)], 0), options={"DoPreselection": "True"})
    with pytest.raises(ModelFileError, match="the cuts of DoPreselection are missing"):
        TMVA.read_weights(path)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"BoostType": "RegBoost"}, "BoostType=RegBoost is not read"),
        ({"BoostType": "LogitBoost"}, "LogitBoost"),
        ({"Colour": "red"}, "no option 'Colour'"),
    ],
)
def test_options_that_are_not_read(tmp_path, options, why):
    path = weight_file(tmp_path, "BDT", forest([(1.0, STUMP)], 0), options=options)
    with pytest.raises(UnsupportedOperationError, match=why):
        TMVA.read_weights(path)
    fisher_cut = STUMP.replace('NCoef="0"', 'NCoef="3" fC0="1" fC1="1" fC2="0"', 1)
    path = weight_file(tmp_path, "BDT", forest([(1.0, fisher_cut)], 0))
    with pytest.raises(UnsupportedOperationError, match="UseFisherCuts"):
        TMVA.read_weights(path)


def test_functions_that_are_not_read(tmp_path):
    for options in ({"NeuronType": "softplus"}, {"NeuronInputType": "product"}, {"EstimatorType": "MAE"}):
        path = weight_file(tmp_path, "MLP", network(FIRST, LAST), options=options)
        with pytest.raises(UnsupportedOperationError, match=next(iter(options))):
            TMVA.read_weights(path)
    path = weight_file(tmp_path, "MLP", network(FIRST, LAST), release="4.0.7 [262151]")
    with pytest.raises(UnsupportedOperationError, match=r"4\.1\.0"):
        TMVA.read_weights(path)


@pytest.mark.parametrize("steps", [40, 100])
def test_boxes_are_those_of_roots_axis(steps):
    """An efficiency such as 0.7 is an edge, and on which side of it ROOT's axis puts it is a rounding."""
    ROOT = pytest.importorskip("ROOT")
    axis = ROOT.TAxis(steps, 0.0, 1.0)
    nothing = np.zeros((steps, 1))
    boxes = Cuts(nothing, nothing, nothing[:, 0], nothing[:, 0])
    for efficiency in [*(i / steps for i in range(1, steps + 1)), 0.005, 0.705, 0.999]:
        assert box_at(boxes, efficiency) == min(int(axis.FindBin(efficiency)), steps - 1)
