"""Transformations fitted on TMVA's own training events are those that TMVA wrote, class by class."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from reference_events import toy, toy_regression, with_training

from hepml_root import tmva as TMVA
from hepml_root.errors import EmptySelectionError, SettingError, UnsupportedOperationError
from hepml_root.tmva.data_sets.fitting import fit_transformations, transform, transform_data


def test_a_chain_is_that_of_tmva(reference):
    """Decorrelation to rounding of doubles; bins of the distributions the same, their edges to the nine
    digits of the file; contents to the last bit or two of float32; ranges to that of what went before."""
    fitted = fit_transformations("D,G,N", toy())
    wanted = TMVA.read_weights(reference / "MLP_GDP.weights.xml").transformations
    assert [one.kind for one in fitted] == ["Decorrelation", "Gauss", "Normalize"]
    for found, expected in zip(fitted, wanted, strict=True):
        assert (found.takes, found.puts, found.sets) == (expected.takes, expected.puts, 3)
    for found, expected in zip(fitted[0].matrices, wanted[0].matrices, strict=True):
        assert found == pytest.approx(expected, abs=1e-12)
    for found, expected in zip(fitted[1].cumulative, wanted[1].cumulative, strict=True):
        for ours, theirs in zip(found, expected, strict=True):
            assert len(ours.source.contents) == len(theirs.source.contents)
            assert ours.source.edges == pytest.approx(theirs.source.edges, abs=1e-6)
            assert ours.source.contents == pytest.approx(theirs.source.contents, abs=2e-7)
    for found, expected in zip(fitted[2].ranges, wanted[2].ranges, strict=True):
        # The quantile of a Gaussian turns a bit of F into 1e-3 in the outermost bins.
        assert found == pytest.approx(expected, abs=2e-3)


def test_normalised_ranges_are_those_of_tmva(reference):
    (fitted,) = fit_transformations("N", toy())
    (wanted,) = TMVA.read_weights(reference / "MLP.weights.xml").transformations
    for found, expected in zip(fitted.ranges, wanted.ranges, strict=True):
        assert np.float32(found).tolist() == np.float32(expected).tolist()


def test_what_the_steps_do():
    """Weighted covariance 1, means of components 0, uniform values, a Gaussian."""
    data = toy()
    x, w = data.training.variables, data.training.weights
    decorrelated = transform(fit_transformations("D", data), x).astype(np.float64)
    covariance = np.cov(decorrelated.T, aweights=w, ddof=0)
    assert covariance == pytest.approx(np.eye(4), abs=1e-4)
    components = transform(fit_transformations("P", data), x).astype(np.float64)
    assert components.mean(axis=0) == pytest.approx(np.zeros(4), abs=1e-5)
    spread = np.cov(components.T)
    assert spread == pytest.approx(np.diag(np.diag(spread)), abs=1e-4)
    assert (np.diff(np.diag(spread)) < 0).all()
    # Bins of one event each are smoothed by medians, which moves F by up to 0.025: here as in TMVA, whose
    # numbers the test above has. Ranks are reproduced to that.
    uniform = transform(fit_transformations("U", data), x)
    for column in range(4):
        order = np.argsort(x[:, column])
        expected = np.cumsum(w[order]) / w.sum()
        assert uniform[order, column] == pytest.approx(expected, abs=0.03)
    gauss = transform(fit_transformations("G", data), x)
    assert np.average(gauss, axis=0, weights=w) == pytest.approx(np.zeros(4), abs=0.05)
    assert np.sqrt(np.average(gauss**2, axis=0, weights=w)) == pytest.approx(np.ones(4), abs=0.1)


def test_a_class_of_its_own():
    """N_Signal maps the signal to -1 … 1 when it is applied, and keeps the set of the background."""
    data = toy()
    (fitted,) = fit_transformations("N_Signal", data)
    signal = data.training.classes == 0
    found = transform([fitted], data.training.variables[signal])
    assert found.min(axis=0).tolist() == [-1] * 4
    assert found.max(axis=0) == pytest.approx(np.ones(4), abs=1e-6)
    background = transform([fitted], data.training.variables[~signal], which=1)
    assert background.min(axis=0).tolist() == [-1] * 4
    (together,) = fit_transformations("N_AllClasses", data)
    assert together.ranges[-1].tolist() == fit_transformations("N", data)[0].ranges[-1].tolist()
    # The chain goes on with what D_Background makes of all events.
    first, second = fit_transformations("D_Background,N", data)
    after = transform([first], data.training.variables)
    assert second.ranges[-1][:, 0] == pytest.approx(after.min(axis=0), abs=1e-6)


def test_a_selection_of_variables():
    data = toy()
    (by_number,) = fit_transformations("N(_V0_,_V2_)", data)
    (by_name,) = fit_transformations("N(var3,myvar1)", data)
    assert by_number.takes == by_name.takes == (0, 2)
    found = transform([by_number], data.training.variables)
    assert found[:, [1, 3]].tolist() == data.training.variables[:, [1, 3]].tolist()
    assert np.abs(found[:, [0, 2]]).max() == pytest.approx(1.0, abs=1e-6)
    assert fit_transformations("None", data) == fit_transformations("I", data) == ()
    assert [one.kind for one in fit_transformations("I+D_Signal+Norm", data)] == [
        "Decorrelation",
        "Normalize",
    ]


def test_targets_of_a_regression():
    """N takes them along once, and the file's graph takes them back."""
    data = toy_regression()
    first, second = fit_transformations("N,N", data)
    assert first.targets == ((0, 2),)
    assert second.targets == ()
    assert first.sets == 1
    changed = transform_data([first], data)
    assert changed.training.targets.min() == -1
    assert changed.training.targets.max() == pytest.approx(1.0, abs=1e-6)
    low, high = data.training.targets.min(), data.training.targets.max()
    expected = 2 * (data.test.targets - low) / (high - low) - 1
    assert changed.test.targets == pytest.approx(expected, abs=1e-5)
    for spec in ("U", "D(_V_,_T_)"):
        with pytest.raises(UnsupportedOperationError, match="which no weight file can take back"):
            fit_transformations(spec, data)
    assert fit_transformations("U(_V_)", data)[0].kind == "Uniform"


@pytest.mark.parametrize(
    ("spec", "what"),
    [
        ("X", "no transformation 'X'"),
        ("D_Signl", "no class 'Signl'. Nearest: 'Signal'"),
        ("N(_V7_)", "'_V7_', but there are 4"),
        ("N(var5)", "no variable 'var5'. Nearest: 'var4'"),
        ("N(var3", "is not closed"),
        ("P(var3)", "two variables"),
    ],
)
def test_strings_that_mean_nothing(spec, what):
    with pytest.raises(SettingError, match=what):
        fit_transformations(spec, toy())


def test_spectators_are_refused():
    with pytest.raises(UnsupportedOperationError, match="_S_"):
        fit_transformations("N(_S_)", toy())


def test_events_that_cannot_be_transformed():
    data = toy()
    twice = data.training.variables.copy()
    twice[:, 1] = 2 * twice[:, 0]
    with pytest.raises(SettingError, match="linear function of others"):
        fit_transformations("D", with_training(data, variables=twice))
    same = data.training.variables.copy()
    same[:, 1] = 3
    for spec in ("N", "G", "D"):
        with pytest.raises(SettingError, match="'myvar2' is 3 in all training events"):
            fit_transformations(spec, with_training(data, variables=same))
    lone = replace(data, training=data.training.take(data.training.classes == 0))
    with pytest.raises(EmptySelectionError, match="'Background' has no training events"):
        fit_transformations("N", lone)
    # Constant in one class only: that class has the range of all.
    same = data.training.variables.copy()
    same[data.training.classes == 1, 1] = 3
    (fitted,) = fit_transformations("N", with_training(data, variables=same))
    assert fitted.ranges[1][1].tolist() == fitted.ranges[2][1].tolist()


def test_weights_count():
    """Events that weigh nothing change neither covariance nor distribution."""
    data = toy()
    added = replace(
        data.training,
        variables=np.concatenate([data.training.variables, np.full((50, 4), 7, np.float32)]),
        classes=np.concatenate([data.training.classes, np.zeros(50, np.int32)]),
        weights=np.concatenate([data.training.weights, np.zeros(50)]),
        spectators=np.zeros((2050, 0), np.float32),
        targets=np.zeros((2050, 0), np.float32),
    )
    more = replace(data, training=added)
    assert fit_transformations("D", more)[0].matrices[2] == pytest.approx(
        fit_transformations("D", data)[0].matrices[2], abs=1e-9
    )
