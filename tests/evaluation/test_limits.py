"""CLs limits: closed forms for one bin, arXiv:1007.1727's formulas, and pyhf where it is installed."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import norm

from hepml_root import errors
from hepml_root.evaluation.binned_likelihood import BinnedLikelihood, solve_rising
from hepml_root.evaluation.limits import cls_value, upper_limit

MODELS = {
    "one bin": BinnedLikelihood([10.0], [100.0]),
    "one bin, own": BinnedLikelihood([10.0], [100.0], 0.1),
    "one bin, common": BinnedLikelihood([10.0], [100.0], 0.0, 0.1, "lognormal"),
    "bins": BinnedLikelihood([2.0, 6.0, 14.0], [400.0, 60.0, 8.0]),
    "bins, own": BinnedLikelihood([2.0, 6.0, 14.0], [400.0, 60.0, 8.0], [0.05, 0.1, 0.3]),
    "bins, both": BinnedLikelihood([2.0, 6.0, 14.0], [400.0, 60.0, 8.0], [0.05, 0.1, 0.3], 0.2, "lognormal"),
}


def test_one_bin_without_uncertainty():
    """q_A = 2 [μ s − b ln(1 + μ s / b)], and the median limit is where its root is Φ⁻¹(0.975)."""
    s, b = 10.0, 100.0

    def root(strength):
        return math.sqrt(2 * (strength * s - b * math.log1p(strength * s / b)))

    limit = upper_limit(MODELS["one bin"])
    assert limit.expected == pytest.approx(brentq(lambda x: root(x) - norm.isf(0.025), 0.1, 10), rel=1e-6)
    for shift, value in zip((-2, -1, 0, 1, 2), limit.bands, strict=True):
        assert root(value) == pytest.approx(norm.isf(0.05 * norm.cdf(shift)) + shift, rel=1e-6)
    assert limit.expected == limit.bands[2]
    assert "at 95 % CL" in str(limit)


def test_many_background_events_are_gaussian():
    """μ < 1.96 σ/s with σ² = b + (δ b)²: the usual estimate, with relative corrections of s/b."""
    b, relative = 1e6, 0.003
    sigma = math.sqrt(b + (relative * b) ** 2)
    for model in (BinnedLikelihood([1e3], [b], relative), BinnedLikelihood([1e3], [b], 0.0, relative)):
        assert upper_limit(model).expected == pytest.approx(1.96 * sigma / 1e3, rel=0.01)
        assert upper_limit(model, level=0.9).expected == pytest.approx(1.645 * sigma / 1e3, rel=0.01)


def test_uncertainties_weaken_limits_and_signal_strengthens_them():
    order = [upper_limit(MODELS[name]).expected for name in ("bins", "bins, own", "bins, both")]
    assert order == sorted(order)
    doubled = BinnedLikelihood(2 * MODELS["bins"].signal, MODELS["bins"].background)
    assert upper_limit(doubled).expected == pytest.approx(0.5 * order[0], rel=1e-6)


def test_observed_limits():
    model = MODELS["bins, both"]
    median = upper_limit(model)
    # What is expected is observed: the median limit.
    assert upper_limit(model, model.background).observed == pytest.approx(median.expected, rel=1e-4)
    few, many = (upper_limit(model, model.background + sign * model.signal).observed for sign in (-0.5, 1.0))
    assert few < median.expected < many
    # CLs never excludes what the experiment cannot see: no events at all leave a limit above 0.
    assert upper_limit(BinnedLikelihood([3.0], [2.0]), [0.0]).observed > 0.3


def test_cls_of_the_asymptotic_formulas():
    assert cls_value(1.6449, 1.6449) == pytest.approx(0.1, abs=1e-4)  # p_b = 1/2
    assert cls_value(0.0, 2.0) == pytest.approx(0.5 / norm.sf(-2.0))
    # Both branches meet where the best fit is 0.
    assert cls_value(2.0 - 1e-9, 2.0) == pytest.approx(cls_value(2.0 + 1e-9, 2.0), rel=1e-6)
    assert cls_value(0.0, 0.0) == 1.0
    assert solve_rising(lambda x: -1.0 / (1.0 + x), start=1.0) == math.inf


def pyhf_agrees(name, counts, bands):
    """The same likelihood and asymptotic formulas, by another program's minimiser.

    pyhf finds the limit on μ to 1e-4 or so; its normalisation uncertainty is no exact lognormal inside one
    standard deviation (a polynomial joins the exponentials), which moves the limit by a few in 10³.
    """
    pytest.importorskip("pyhf", reason="pyhf is not installed: pip install 'hepml_root[limits]'")
    own, other = (upper_limit(MODELS[name], counts, backend=backend) for backend in ("asymptotic", "pyhf"))
    tolerance = 0.01 if MODELS[name].correlated else 0.002
    assert own.observed == pytest.approx(other.observed, rel=tolerance)
    assert (own.backend, other.backend) == ("asymptotic", "pyhf")
    if bands:
        np.testing.assert_allclose(own.bands, other.bands, rtol=tolerance)


@pytest.mark.parametrize("name", ["one bin, common", pytest.param("bins, own", marks=pytest.mark.slow)])
def test_pyhf_agrees_on_what_is_expected(name):
    pyhf_agrees(name, MODELS[name].background, bands=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_pyhf_agrees_on_what_is_observed(name):
    # pyhf's bands stand for the background as it was fitted to the counts, ours for what was expected before.
    pyhf_agrees(name, np.round(MODELS[name].background + 0.3 * MODELS[name].signal), bands=False)
    pyhf_agrees(name, MODELS[name].background, bands=True)


def test_bad_input(monkeypatch):
    with pytest.raises(errors.SettingError, match="'pyhf'"):
        upper_limit(MODELS["one bin"], backend="phyf")
    with pytest.raises(errors.SettingError, match="level=95"):
        upper_limit(MODELS["one bin"], level=95)
    with pytest.raises(errors.SettingError, match="no limit"):
        upper_limit(BinnedLikelihood([0.0], [1.0]))
    with pytest.raises(errors.ShapeError, match="the counts"):
        upper_limit(MODELS["one bin"], [1.0, 2.0])
    with pytest.raises(errors.SettingError, match="1 events are observed in bin 1, where neither"):
        upper_limit(BinnedLikelihood([1.0, 0.0], [10.0, 0.0]), [3.0, 1.0])
    monkeypatch.setitem(__import__("sys").modules, "pyhf", None)
    with pytest.raises(errors.MissingDependencyError, match=r"hepml_root\[limits\]"):
        upper_limit(MODELS["one bin"], backend="pyhf")
