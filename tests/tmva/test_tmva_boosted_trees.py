"""Boosted decision trees: single trees against those of TMVA node by node, boosting against its areas."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from booked import Trained, method
from reference_events import area, bagged, higgs, toy, toy_in_order, toy_regression, with_training
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from hepml_root import tmva as TMVA
from hepml_root.errors import IgnoredOptionWarning, SettingError, WeightError
from hepml_root.tmva.data_sets.events import DataSet, Sample
from hepml_root.tmva.learning.negative_weights import paired
from hepml_root.tmva.learning.tree_boosting import AdaBoostSettings, Bagging, _newton, ada_boost
from hepml_root.tmva.learning.tree_growing import Forester, Growth
from hepml_root.tmva.learning.tree_regression import Loss, quantiles

ADA = (
    "NTrees=850:MinNodeSize=2.5%:MaxDepth=3:BoostType=AdaBoost:AdaBoostBeta=0.5:UseBaggedBoost:"
    "BaggedSampleFraction=0.5:SeparationType=GiniIndex:nCuts=20"
)
GRAD = (
    "NTrees=1000:MinNodeSize=2.5%:BoostType=Grad:Shrinkage=0.10:UseBaggedBoost:BaggedSampleFraction=0.5:"
    "nCuts=20:MaxDepth=2"
)
HIGH_LEVEL = ("m_jj", "m_jjj", "m_lv", "m_jlv", "m_bb", "m_wbb", "m_wwbb")


def balanced(events: Sample) -> tuple[np.ndarray, np.ndarray]:
    signal, weights = events.classes == 0, events.weights.copy()
    for mask in (signal, ~signal):
        weights[mask] *= len(weights) / 2 / weights[mask].sum()
    return signal, weights


# ---- single trees ----------------------------------------------------------------------------------------


def test_the_first_tree_is_that_of_tmva(reference):
    """On the same events, in TMVA's order, with its random sample: the same nodes, cuts to the last bit of
    float32, purities to that of its sums."""
    events = toy_in_order()
    signal, weights = balanced(events)
    forester = Forester(events.variables, [False] * 4, Growth(3, 0.025, 20, "GiniIndex", clean=True))
    grown = forester.grow(weights, signal=signal, rows=bagged(0.5, len(events)))
    wanted = TMVA.read_weights(reference / "BDT.weights.xml").weights.trees[0]
    assert grown.variable.tolist() == list(wanted.variable)
    assert grown.kind.tolist() == list(wanted.kind)
    assert grown.left.tolist() == list(wanted.left)
    assert grown.right.tolist() == list(wanted.right)
    inner = grown.kind == 0
    assert np.float32(grown.cut)[inner].tolist() == np.array(wanted.cut)[inner].tolist()
    assert grown.right_if_above[inner].tolist() == np.array(wanted.right_if_above)[inner].tolist()
    assert grown.purity == pytest.approx(list(wanted.purity), abs=1e-7)


def test_the_first_tree_of_gradients_is_that_of_tmva(reference):
    events = toy_in_order()
    signal, weights = balanced(events)
    rows, target = bagged(0.5, len(events)), signal - 0.5
    forester = Forester(events.variables, [False] * 4, Growth(2, 0.025, 20, "RegressionVariance"))
    grown = forester.grow(weights, targets=target, rows=rows)
    _newton(grown, target, weights, rows, 0.1 / 2)
    wanted = TMVA.read_weights(reference / "BDTG.weights.xml").weights.trees[0]
    assert grown.variable.tolist() == list(wanted.variable)
    inner = grown.kind == 0
    assert np.float32(grown.cut)[inner].tolist() == np.array(wanted.cut)[inner].tolist()
    assert grown.response[~inner] == pytest.approx(np.array(wanted.response)[~inner], rel=1e-5)


@pytest.mark.parametrize("target", [False, True])
def test_all_cuts_against_scikit_learn(target):
    """nCuts=-1 is an exact tree: the same partition of the events as scikit-learn's."""
    rng = np.random.default_rng(5)
    x = rng.normal(size=(400, 3)).astype(np.float32)
    signal = rng.random(400) < 1 / (1 + np.exp(-3 * x[:, 0] * x[:, 1] - x[:, 2]))
    weights = rng.uniform(0.5, 1.5, 400)
    weights *= 400 / weights.sum()
    values = x[:, 0] ** 2 + np.sin(2 * x[:, 1])
    kind = DecisionTreeRegressor if target else DecisionTreeClassifier
    wanted = kind(max_depth=4, min_samples_leaf=1).fit(x, values if target else signal, sample_weight=weights)
    separation = "RegressionVariance" if target else "GiniIndex"
    forester = Forester(x, [False] * 3, Growth(4, 1e-9, -1, separation))
    grown = forester.grow(weights, signal=signal, targets=values.astype(np.float64) if target else None)
    answers = grown.response if target else grown.purity
    theirs = wanted.predict(x) if target else wanted.predict_proba(x)[:, 1]
    assert answers[grown.leaf] == pytest.approx(theirs, abs=1e-6)


def _index(separation: str, part: np.ndarray) -> float:
    p = part.mean()
    if separation == "CrossEntropy":
        return 0.0 if p in (0, 1) else -(p * np.log(p) + (1 - p) * np.log(1 - p))
    if separation == "GiniIndexWithLaplace":
        q = (part.sum() + 1) / (len(part) + 2)
        return 2 * q * (1 - q)
    if separation == "SDivSqrtSPlusB":
        return part.sum() / np.sqrt(len(part))
    return 1 - max(p, 1 - p) if separation == "MisClassificationError" else p * (1 - p)


@pytest.mark.parametrize(
    "separation",
    [*("CrossEntropy", "GiniIndex", "GiniIndexWithLaplace", "MisClassificationError", "SDivSqrtSPlusB")],
)
def test_separations(separation):
    """The cut between ten whole numbers is the one with the largest gain, worked out for each of them."""
    x = np.arange(10, dtype=np.float32)[:, None]
    signal = np.isin(np.arange(10), [4, 6, 7, 8, 9])
    grown = Forester(x, [True], Growth(1, 0.01, 20, separation)).grow(np.ones(10), signal=signal)
    gains = [
        10 * _index(separation, signal)
        - c * _index(separation, signal[:c])
        - (10 - c) * _index(separation, signal[c:])
        for c in range(1, 10)
    ]
    assert gains[int(grown.cut[0]) - 1] == pytest.approx(max(gains), abs=1e-12)


def test_small_nodes_are_not_split():
    """MinNodeSize counts events and weights of both daughters."""
    rng = np.random.default_rng(6)
    x = rng.normal(size=(500, 2)).astype(np.float32)
    signal = x[:, 0] > 0
    weights = np.where(signal, 0.4, 1.6)
    weights *= 500 / weights.sum()
    grown = Forester(x, [False] * 2, Growth(10, 0.1, 20)).grow(weights, signal=signal)
    leaves = np.bincount(grown.leaf, minlength=len(grown.kind))[grown.kind != 0]
    sums = np.bincount(grown.leaf, weights, len(grown.kind))[grown.kind != 0]
    assert leaves.min() >= 50
    assert sums.min() >= 50 - 1e-9
    assert len(leaves) > 1


def test_whole_numbers_are_cut_between_each_other():
    x = np.repeat(np.arange(40), 5).astype(np.float32)[:, None]
    signal = x[:, 0] >= 27
    steps = Forester(x, [False], Growth(1, 0.01, 3)).grow(np.ones(200), signal=signal)
    assert steps.cut[0] == 29.25  # the nearest of 9.75, 19.5, 29.25
    whole = Forester(x, [True], Growth(1, 0.01, 3)).grow(np.ones(200), signal=signal)
    assert whole.cut[0] == 27


def test_random_variables():
    """With one of three variables a node, different trees begin with different ones; the same seed gives the
    same tree."""
    rng = np.random.default_rng(8)
    x = rng.normal(size=(300, 3)).astype(np.float32)
    signal = x.sum(axis=1) > 0
    forester = Forester(x, [False] * 3, Growth(2, 0.05, 20, random_variables=1))
    first = {int(forester.grow(np.ones(300), signal=signal, seed=s).variable[0]) for s in range(30)}
    assert first == {0, 1, 2}
    again = [forester.grow(np.ones(300), signal=signal, seed=4).cut.tolist() for _ in range(2)]
    assert again[0] == again[1]


# ---- boosting --------------------------------------------------------------------------------------------


def test_ada_boost_by_hand():
    """Five events 0 … 4, signal 0, 1 and 3: the first cut leaves 3 wrong (0.2 of the weights), so that its
    tree has the weight β log 4, and event 3 the weight 4^β times that of the others, renormalised."""
    x = np.arange(5, dtype=np.float32)[:, None]
    signal = np.array([True, True, False, True, False])
    forester = Forester(x, [True], Growth(1, 0.01, 20, clean=True))
    found = ada_boost(forester, 1, signal, np.ones(5), AdaBoostSettings("AdaBoost", 2, 1.0), Bagging(0.0))
    assert found.errors[0] == pytest.approx(0.2)
    assert found.weights[0] == pytest.approx(np.log(4))
    # Weights 5/8 (1, 1, 1, 4, 1): the best cut has {2} wrong alone with those below 4 called signal.
    assert found.errors[1] == pytest.approx(1 / 8)
    assert found.weights[1] == pytest.approx(np.log(7))


def test_monitors_say_what_happened():
    found = Trained("BDT", "NTrees=20:MaxDepth=2", toy())
    table = found.fitted.trained.monitors["MonitorNtuple"]
    assert table["iTree"].tolist() == list(range(20))
    error = table["errorFraction"]
    assert ((error > 0) & (error < 0.5)).all()
    assert table["boostWeight"] == pytest.approx(0.5 * np.log((1 - error) / error))
    assert [tree.weight for tree in found.weights.trees] == pytest.approx(
        table["boostWeight"].tolist(), rel=1e-6
    )
    assert found.method.ranking()[0][0] == "var4"
    assert sum(value for _, value in found.method.ranking()) == pytest.approx(1.0)


@pytest.mark.parametrize(("options", "wanted"), [(ADA, 0.8738), (GRAD, 0.8996)])
def test_areas_of_tmva(options, wanted):
    """TMVA's areas on the same events; its trees see other random samples, which is worth 0.003."""
    data = toy()
    found = Trained("BDT", options, data)
    assert len(found.weights.trees) in (850, 1000)
    assert area(found.answers(data.test.variables), data.test) > wanted - 0.005


@pytest.mark.parametrize(
    "options",
    [
        "NTrees=200:BoostType=RealAdaBoost",
        "NTrees=200:BoostType=AdaCost:Cts_sb=0.9",
        "NTrees=200:BoostType=Bagging:MaxDepth=6:MinNodeSize=1%:!UseYesNoLeaf",
        "NTrees=200:UseRandomisedTrees:UseNvars=2:MinNodeSize=2%",
        "NTrees=100:nCuts=-1:MinNodeSize=2.5%",
        "NTrees=50:nEventsMin=150:VarTransform=Decorrelate",
        "NTrees=200:UseYesNoLeaf=False:SeparationType=CrossEntropy",
        "NTrees=200:BoostType=Grad:Shrinkage=0.2:UseBaggedGrad:GradBaggingFraction=0.5:NNodesMax=5",
    ],
)
def test_other_ways_of_boosting(options, tmp_path):
    """All of them are above a single variable's 0.83 on the test, and the file answers what training said."""
    data = toy()
    found = Trained("BDT", options, data, tmp_path)
    response = found.answers(data.test.variables)
    assert area(response, data.test) > 0.84
    found.model = None
    assert found.answers(data.test.variables[:200]).tolist() == response[:200].tolist()


def test_the_same_events_give_the_same_trees():
    one, other = (Trained("BDT", "NTrees=10:UseBaggedBoost", toy()).weights.trees for _ in range(2))
    assert [tree.cut.tolist() for tree in one] == [tree.cut.tolist() for tree in other]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "wanted"),
    [(ADA, 0.7569), (ADA.replace("850", "200"), 0.7515), (GRAD, 0.7554)],
)
def test_areas_on_the_higgs_sample(options, wanted):
    data = higgs(HIGH_LEVEL)
    found = Trained("BDT", options, data)
    assert area(found.answers(data.test.variables), data.test) > wanted - 0.005


# ---- several classes, targets ----------------------------------------------------------------------------


def three_classes() -> DataSet:
    """Gaussians around three points."""
    data, rng = toy(), np.random.default_rng(9)
    centres = np.array([[1.5, 0, 0, 0], [-1, 1.5, 0, 0], [-1, -1.5, 0, 0]])

    def sample(count: int) -> Sample:
        classes = rng.integers(0, 3, count).astype(np.int32)
        x = (centres[classes] + rng.normal(size=(count, 4))).astype(np.float32)
        nothing = np.zeros((count, 0), np.float32)
        return Sample(x, nothing, nothing, classes, np.ones(count))

    return replace(
        data, analysis="Multiclass", classes=("a", "b", "c"), training=sample(1500), test=sample(1500)
    )


def test_several_classes(tmp_path):
    """The best rule, the nearest centre, is right in 90 % of the events."""
    data = three_classes()
    found = Trained("BDT", "NTrees=100:BoostType=Grad:Shrinkage=0.3:MaxDepth=2", data, tmp_path)
    answers = found.answers(data.test.variables)
    assert answers.sum(axis=1) == pytest.approx(np.ones(1500), abs=1e-5)
    right = (answers.argmax(axis=1) == data.test.classes).mean()
    centres = np.array([[1.5, 0], [-1, 1.5], [-1, -1.5]])
    distance = ((data.test.variables[:, None, :2] - centres) ** 2).sum(axis=2)
    best = (distance.argmin(axis=1) == data.test.classes).mean()
    assert right > best - 0.03
    assert len(found.file.weights.trees) == 300
    with pytest.raises(SettingError, match="in a multiclass: Grad is possible"):
        method("BDT", "", "Multiclass")


@pytest.mark.parametrize(
    "options",
    [
        "NTrees=100",
        "NTrees=100:AdaBoostR2Loss=Linear:MaxDepth=8",
        "NTrees=200:BoostType=Grad:Shrinkage=0.1:MaxDepth=4",
        "NTrees=200:BoostType=Grad:Shrinkage=0.1:MaxDepth=4:RegressionLossFunctionBDTG=LeastSquares:VarTransform=N",
        "NTrees=200:BoostType=Grad:Shrinkage=0.1:MaxDepth=4:RegressionLossFunctionBDTG=AbsoluteDeviation",
        "NTrees=50:BoostType=Bagging",
    ],
)
def test_targets(options, tmp_path):
    """A straight line leaves 21 of the target's spread of 85; trees leave less than 8."""
    data = toy_regression(3000)
    found = Trained("BDT", options, data, tmp_path)
    answers = found.answers(data.test.variables)
    assert np.sqrt(np.mean((answers - data.test.targets[:, 0]) ** 2)) < 8
    kind = found.file.header.options["BoostType"].value
    assert kind == ("Grad" if "Grad" in options else "Bagging" if "Bagging" in options else "AdaBoostR2")


def test_the_median_of_trees():
    """AdaBoostR2: answers of 30 trees in ascending order; where their weights reach half, ± a sixth."""
    data = toy_regression(500)
    found = Trained("BDT", "NTrees=30:MaxDepth=3", data)
    trees = found.weights.trees
    x = data.test.variables[:50]
    answers = np.zeros((len(x), len(trees)))
    for t, tree in enumerate(trees):
        for i, event in enumerate(x):
            row = 0
            while tree.kind[row] == 0:
                above = event[tree.variable[row]] >= np.float32(tree.cut[row])
                row = (tree.right if above == bool(tree.right_if_above[row]) else tree.left)[row]
            answers[i, t] = tree.response[row]
    weights = np.array([tree.weight for tree in trees])
    wanted = []
    for row in answers:
        order = np.argsort(row, kind="stable")
        t, total = 0, 0.0
        while total <= weights.sum() / 2:
            total += weights[order[t]]
            t += 1
        count, sixth = len(trees), len(trees) // 6
        wanted.append(row[order][max(0, t - sixth - 1) : min(count, t + sixth)].mean())
    assert found.answers(x) == pytest.approx(np.array(wanted), rel=1e-5)


def test_losses():
    """Medians and quantiles of leaves; Huber's fit goes to the mean for a wide core and to the median for a
    narrow one."""
    rng = np.random.default_rng(2)
    values, weights = rng.normal(size=999), np.ones(999)
    leaf = np.zeros(999, np.int32)
    assert quantiles(leaf, values, weights, 1, 0.5)[0] == np.sort(values)[499]
    assert quantiles(leaf, values, weights * 3, 1, 0.9)[0] == np.sort(values)[899]
    assert Loss("LeastSquares").fitted(leaf, values, weights, 1)[0] == pytest.approx(values.mean())
    assert Loss("Huber").fitted(leaf, values, weights, 1, 1e9)[0] == pytest.approx(values.mean())
    assert Loss("Huber").fitted(leaf, values, weights, 1, 1e-9)[0] == pytest.approx(
        np.median(values), abs=1e-8
    )
    assert Loss("AbsoluteDeviation").targets(values, weights).tolist() == np.sign(values).tolist()
    heavy = np.where(values > 1, 1000.0, 0.001)
    assert quantiles(leaf, values, heavy, 1, 0.5)[0] > 1


# ---- negative weights, and what cannot be ----------------------------------------------------------------


@pytest.mark.parametrize(
    "treatment", ["InverseBoostNegWeights", "IgnoreNegWeightsInTraining", "PairNegWeightsGlobal", "Pray"]
)
def test_negative_weights(treatment):
    """A tenth of the events count negative; the area stays that of the same events without them, but for
    what they take away."""
    data = toy()
    rng = np.random.default_rng(11)
    weights = np.where(rng.random(2000) < 0.1, -0.5, 1.0) * data.training.weights
    for boost in ("AdaBoost", "Grad:Shrinkage=0.1"):
        options = f"NTrees=60:BoostType={boost}:NegWeightTreatment={treatment}"
        found = Trained("BDT", options, with_training(data, weights=weights))
        assert area(found.answers(data.test.variables), data.test) > 0.86


def test_pairs():
    """Nothing negative is left, each class keeps its sum, and the closest events pay."""
    events = toy().training
    rng = np.random.default_rng(12)
    weights = np.where(rng.random(2000) < 0.1, -0.5, 1.0)
    found = paired(replace(events, weights=weights))
    assert found.weights.min() > 0
    for one in (0, 1):
        assert found.weights[found.classes == one].sum() == pytest.approx(
            weights[events.classes == one].sum()
        )
    with pytest.raises(WeightError, match="cannot be paired away"):
        paired(replace(events, weights=np.where(events.classes == 0, -1.0, 1.0)))


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ("MinNodeSize=60%", "less than 50 percent"),
        ("MinNodeSize=some", "a number in percent"),
        ("NTrees=0", "NTrees=0: a number above 0"),
        ("BoostType=AdaBoostR2", "in a classification: AdaBoost, RealAdaBoost"),
        ("BoostType=Ada", "no value for BoostType 'Ada'. Nearest: 'AdaCost'"),
        ("NTree=50", "no option 'NTree'. Nearest: 'NTrees'"),
        ("HuberQuantile=2", "not from 0 to 1"),
    ],
)
def test_options_that_cannot_be(options, what):
    with pytest.raises(SettingError, match=what):
        method("BDT", options)


def test_what_is_not_done_is_said():
    with pytest.warns(IgnoredOptionWarning, match="PruneMethod=CostComplexity changes nothing here"):
        method("BDT", "PruneMethod=CostComplexity:PruneStrength=30")
    two = replace(toy_regression(), targets=toy_regression().targets * 2)
    with pytest.raises(SettingError, match="2 targets; a BDT learns one"):
        Trained("BDT", "NTrees=5", two)
    data = toy()
    with pytest.raises(WeightError, match="for the background in training"):
        Trained(
            "BDT", "NTrees=5", with_training(data, weights=np.where(data.training.classes == 0, 1.0, -0.1))
        )
