"""Numbers and tables of EvaluateAllMethods, against values worked out by hand and from distributions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from method_results import data_set, result, sample, variable
from scipy.stats import norm

from hepml_root.errors import EmptySelectionError, SettingError
from hepml_root.tmva.output.classifier_evaluation import (
    evaluate_classifier,
    roc_arrays,
    roc_curve,
    roc_integral,
    signal_efficiency_at,
)
from hepml_root.tmva.output.evaluation_table import confusion, evaluation_lines
from hepml_root.tmva.output.regression_evaluation import evaluate_regression
from hepml_root.tmva.output.response_curves import cut_efficiency, response_statistics, smooth_separation

EVENTS = 40_000


@pytest.fixture(scope="module")
def gaussians():
    """A response with unit Gaussians at +1 (signal) and −1 (background, half its events with weight 3)."""
    generator = np.random.default_rng(1)
    classes = np.arange(EVENTS) % 2
    x = generator.normal(np.where(classes == 0, 1.0, -1.0), 1.0).astype(np.float32)
    events = sample(x[:, None], classes, np.where(np.arange(EVENTS) % 4 == 1, 3.0, 1.0))
    data = data_set(events, events, [variable("x")])
    return data, x, result(data, x, x)


def test_gaussians(gaussians):
    """ε_S at ε_B is Φ(2 − Φ⁻¹(1 − ε_B)); errors of 20 000 events with weights are 0.004 at most."""
    _, _, booked = gaussians
    found = evaluate_classifier(booked)
    truth = [norm.sf(norm.isf(background) - 2) for background in (0.01, 0.1, 0.3)]
    assert found.signal_efficiencies == pytest.approx(truth, abs=0.02)
    assert found.training_efficiencies_at == found.signal_efficiencies
    errors = [math.sqrt(e * (1 - e) / (EVENTS / 2)) for e in found.signal_efficiencies]
    assert found.errors == pytest.approx(errors)
    assert found.roc_integral == pytest.approx(norm.cdf(math.sqrt(2)), abs=0.004)
    assert found.area == pytest.approx(found.roc_integral, abs=0.002)  # 100 bins
    assert found.significance == pytest.approx(2 / math.sqrt(2), abs=0.02)
    x = np.linspace(-6, 6, 10_001)
    s, b = norm.pdf(x, 1), norm.pdf(x, -1)
    truth = 0.5 * np.sum((s - b) ** 2 / (s + b)) * (x[1] - x[0])
    assert found.separation == pytest.approx(truth, abs=0.01)
    assert found.reference_cut == pytest.approx(0.0, abs=0.03)  # half way between the two


def test_the_response_turned_round(gaussians):
    data, x, booked = gaussians
    turned = result(data, -x, -x)
    assert roc_integral(turned) == pytest.approx(1 - roc_integral(booked))
    found, wanted = evaluate_classifier(turned), evaluate_classifier(booked)
    # Its cuts keep what is below, so that the efficiencies are the same but for the bins.
    assert found.signal_efficiencies == pytest.approx(wanted.signal_efficiencies, abs=0.003)
    assert found.significance == pytest.approx(wanted.significance)
    assert not found.statistics.upwards


def test_by_hand():
    """Signal 4, 2, 1; background 3 (weight 3), 0 (weight 1): of 3·4 weighted pairs 3·1 + 1·3 are right."""
    events = sample(np.zeros((5, 1)), [0, 1, 0, 0, 1], [1, 3, 1, 1, 1])
    data = data_set(events, events, [variable("x")])
    booked = result(data, [4, 3, 2, 1, 0], [4, 3, 2, 1, 0])
    assert roc_integral(booked) == pytest.approx(6 / 12)
    assert roc_integral(booked, "Background") == pytest.approx(6 / 12)
    signal, rejection = roc_arrays(booked)
    assert signal.tolist() == pytest.approx([0, 1 / 3, 1 / 3, 2 / 3, 1, 1])
    assert rejection.tolist() == pytest.approx([1, 1, 0.25, 0.25, 0.25, 0])
    statistics = response_statistics(np.array([4.0, 3, 2, 1, 0]), events.classes == 0, events.weights)
    assert statistics.mean_signal == pytest.approx(7 / 3)
    assert statistics.mean_background == pytest.approx(9 / 4)
    # Unbiased with 16/10 effective events: (27/4 − 81/16) · 1.6/0.6.
    assert statistics.rms_background == pytest.approx(math.sqrt(27 / 16 * 1.6 / 0.6))
    assert (statistics.low, statistics.high) == (0, 4)


def test_equal_responses_count_one_half():
    events = sample(np.zeros((4, 1)), [0, 0, 1, 1])
    data = data_set(events, events, [variable("x")])
    assert roc_integral(result(data, [1, 1, 1, 1], [1, 2, 0, 0])) == 0.5
    assert roc_integral(result(data, [1, 1, 1, 1], [1, 2, 0, 0]), part="training") == 1.0


def test_the_graph():
    ROOT = pytest.importorskip("ROOT")
    events = sample(np.zeros((4, 1)), [0, 0, 1, 1])
    data = data_set(events, events, [variable("x")])
    graph = roc_curve(result(data, [3, 1, 2, 0], [3, 1, 2, 0]))
    assert isinstance(graph, ROOT.TGraph)
    assert [graph.GetPointX(i) for i in range(graph.GetN())] == [0, 0.5, 0.5, 1, 1]
    assert [graph.GetPointY(i) for i in range(graph.GetN())] == [1, 1, 0.5, 0.5, 0]
    assert graph.GetTitle() == "BDT"


def test_events_outside_the_range_of_cuts():
    """Below the range they pass the first cut; above it they do not count; so TMVA has it."""
    shares = cut_efficiency(np.array([-5.0, 0.2, 0.7, 9.0]), np.ones(4), 0.0, 1.0, True)
    assert shares[[0, 1000, 5000, 9999]].tolist() == pytest.approx([1, 2 / 3, 1 / 3, 0])


def test_smooth_separation_of_the_same_and_of_apart():
    same = np.random.default_rng(1).uniform(1, 2, 40)
    assert smooth_separation(same, same, -1, 1) == 0.0
    first = np.where(np.arange(40) < 10, 1.0, 0.0)
    # A sum of 100 steps, over densities that fall between two bins.
    assert smooth_separation(first, first[::-1], -1, 1) == pytest.approx(1.0, abs=1e-3)


def test_lines_of_classifiers(gaussians):
    data, x, booked = gaussians
    noise = np.random.default_rng(2).normal(size=EVENTS)
    worse = result(data, x + noise, x + noise, title="Worse")
    lines = evaluation_lines([worse, booked])
    first = lines.index("Name:         Method:          ROC-integ")
    integral = f"{roc_integral(booked):.3f}"
    assert lines[first + 1] == f"dataset       BDT            : {integral}"
    assert lines[first + 2].startswith("dataset       Worse          : 0.8")
    found = evaluate_classifier(booked)
    quoted = "  ".join(
        f"{e:.3f}({int(1000 * error):02d})"
        for e, error in zip(found.signal_efficiencies, found.errors, strict=True)
    )
    wanted = f"dataset              BDT            : {quoted}    {integral}    | {found.separation:.3f}    "
    assert wanted + f"{found.significance:.3f}" in lines
    a, b, c = (f"{e:.3f} ({e:.3f})" for e in found.signal_efficiencies)
    assert f"dataset              BDT            : {a}       {b}      {c}" in lines
    assert evaluation_lines([booked], roc=False) == []


def test_lines_of_correlations(gaussians):
    data, x, booked = gaussians
    lines = evaluation_lines([booked, result(data, -x, -x, title="Anti")], correlations=True, roc=False)
    start = lines.index("Inter-MVA correlation matrix (signal):")
    assert lines[start + 3].split() == ["BDT:", "+1.000", "-1.000"]
    start = lines.index("Correlations between input variables and MVA response (background):")
    assert lines[start + 3].split() == ["x:", "+1.000", "-1.000"]
    start = lines.index("Inter-MVA overlap matrix (signal):")
    assert lines[start + 3].split()[:2] == ["BDT:", "+1.000"]
    assert float(lines[start + 3].split()[2]) < 0.05  # never of one opinion but within a bin of the cut


def test_several_classes():
    """The response names the class but for one of four events of each, which is taken for the next class."""
    classes = np.repeat([0, 1, 2], 4)
    said = np.where(np.arange(12) % 4 == 3, (classes + 1) % 3, classes)
    values = np.eye(3)[said]
    events = sample(np.zeros((12, 1)), classes)
    data = data_set(events, events, [variable("x")], analysis="Multiclass", classes=("a", "b", "c"))
    booked = result(data, values, values, title="MLP", type_name="MLP")
    # Of 4 · 8 pairs of a and others: 3 · 7 are right, and 3 · 1 + 1 · 7 equal.
    assert roc_integral(booked, "a") == pytest.approx((21 + 0.5 * 10) / 32)
    assert roc_integral(booked, 1) == roc_integral(booked, "b")
    assert signal_efficiency_at(booked, 1 / 8, "a") == pytest.approx(3 / 4)
    matrix = confusion(booked, 0.25)
    # No event of b is taken for a, one of four of c is.
    assert matrix[0, 1] == pytest.approx(3 / 4 + 1 / 4 * 0.25)
    assert matrix[0, 2] == pytest.approx(3 / 4)
    assert math.isnan(matrix[0, 0])
    lines = evaluation_lines([booked])
    row = next(line for line in lines if line.split()[:1] == ["a"])
    assert row.split()[1:3] == ["0.812", "(0.812)"]
    assert any(line.startswith("=== Showing confusion matrix for method : MLP") for line in lines)


def test_regression():
    """The regression is 1 too large for 99 events and 31 for the last one."""
    target = np.linspace(0, 10, 100)
    deviation = np.where(np.arange(100) == 99, 31.0, 1.0)
    events = sample(np.zeros((100, 1)), np.zeros(100), targets=target[:, None])
    data = data_set(
        events, events, [variable("x")], analysis="Regression", classes=("Regression",),
        targets=[variable("t")],
    )  # fmt: skip
    booked = result(data, target + deviation, target + 1, title="LD", type_name="LD")
    found = evaluate_regression(booked)
    assert found.bias == pytest.approx(1.3, abs=1e-6)
    assert found.deviation == pytest.approx(1.3, abs=1e-6)
    assert found.rms == pytest.approx(math.sqrt((99 + 31**2) / 100 - 1.3**2), abs=1e-6)
    assert found.truncated_bias == pytest.approx(1.0, abs=1e-6)
    assert found.truncated_rms == pytest.approx(0.0, abs=1e-6)
    train = evaluate_regression(booked, "training")
    assert train.correlation == pytest.approx(1.0)
    lines = evaluation_lines([booked])
    assert next(line for line in lines if " LD " in line).startswith(
        "dataset              LD             :     1.30     1.00     2.98"
    )
    with pytest.raises(SettingError, match="target 1 of 'LD'"):
        evaluate_regression(booked, target=1)


def test_errors(gaussians):
    data, x, booked = gaussians
    with pytest.raises(SettingError, match="'Signol'"):
        roc_integral(booked, "Signol")
    with pytest.raises(SettingError, match="class 2"):
        roc_integral(booked, 2)
    with pytest.raises(SettingError, match="'train'"):
        roc_integral(booked, part="train")
    with pytest.raises(SettingError, match="Classification"):
        evaluate_regression(booked)
    only = sample(x[:4, None], [0, 0, 0, 0])
    alone = data_set(data.training, only, [variable("x")])
    with pytest.raises(EmptySelectionError, match="method 'BDT': there is no background event"):
        evaluate_classifier(result(alone, x[:4], x))
