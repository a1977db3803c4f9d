"""Contracts that every variable transform keeps, and what each of them means, on known answers."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from hepml_root import layers
from hepml_root.errors import (
    ColumnNotFoundError,
    EmptySelectionError,
    NonFiniteInputError,
    SettingError,
    ShapeError,
    UnsupportedOperationError,
    WeightError,
)

EVERY = ["standardise", "N", "D", "decorrelate", "P", "U", "G", "log", "clip", "impute"]
INVERTIBLE = ["standardise", "N", "D", "decorrelate", "P", "U", "G", "log"]


def momenta(events: int = 2000, seed: int = 1) -> np.ndarray:
    """Positive, correlated, of different units: like momenta in GeV and a ratio."""
    random = np.random.default_rng(seed)
    first = random.exponential(50.0, size=events) + 20.0
    second = 0.5 * first + random.exponential(10.0, size=events)
    third = random.gamma(2.0, 0.01, size=events)
    return np.stack([first, second, third], axis=1).astype(np.float32)


def one(name: str) -> layers.Transform:
    return layers.chain(name)[0]


@pytest.mark.parametrize("name", EVERY)
def test_builds_saves_and_takes_any_batch_size(name, tmp_path):
    x = momenta()
    layer = one(name).adapt(x)
    inputs = keras.Input((3,))
    model = keras.Model(inputs, layer(inputs))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    everything = model.predict(x, verbose=0)
    for events in (1, 7, 256):
        np.testing.assert_allclose(np.asarray(layer(x[:events])), everything[:events], rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), everything)
    assert layer.trainable_weights == []


@pytest.mark.parametrize("name", INVERTIBLE)
def test_inverse_gives_the_inputs_back(name):
    x = momenta()
    layer = one(name).adapt(x)
    back = np.asarray(layer.inverse(layer(x)))
    np.testing.assert_allclose(back, x, atol=2e-5 * x.std(axis=0).max(), rtol=2e-4)


@pytest.mark.parametrize("name", ["standardise", "D", "P", "U", "G", "impute"])
def test_a_weight_of_two_is_the_event_twice(name):
    x = momenta(400)
    weight = np.where(x[:, 0] > 60.0, 2.0, 1.0)
    twice = np.concatenate([x, x[weight == 2.0]])
    weighted = np.asarray(one(name).adapt(x, weight)(x))
    doubled = np.asarray(one(name).adapt(twice)(x))
    unweighted = np.asarray(one(name).adapt(x)(x))
    # U and G end at a quantile that depends on the effective number of events, which weights make smaller.
    tolerance = {"U": 0.003, "G": 0.1}.get(name, 1e-4)
    if name == "G":
        weighted, doubled = weighted.clip(-2.5, 2.5), doubled.clip(-2.5, 2.5)
    np.testing.assert_allclose(weighted, doubled, atol=tolerance, rtol=1e-4)
    if name != "impute":
        assert np.abs(weighted - unweighted).max() > 3 * tolerance


@pytest.mark.parametrize("name", ["standardise", "N", "D", "P", "U", "G", "log", "clip"])
def test_order_of_events_and_scale_of_weights_do_not_matter(name):
    x = momenta(500)
    weight = np.random.default_rng(2).uniform(0.5, 2.0, size=500)
    order = np.random.default_rng(3).permutation(500)
    first = np.asarray(one(name).adapt(x, weight)(x))
    second = np.asarray(one(name).adapt(x[order], 1000.0 * weight[order])(x))
    np.testing.assert_allclose(first, second, atol=2e-5, rtol=2e-5)


@pytest.mark.parametrize("name", ["standardise", "D", "P", "U", "G", "impute"])
def test_negative_weights_subtract_events(name):
    """An event and its copy of weight -1 cancel, as in samples from next-to-leading order generators."""
    x = momenta(600)
    extra = momenta(100, seed=9)
    both = np.concatenate([x, extra, extra])
    weight = np.concatenate([np.ones(600), np.ones(100), -np.ones(100)])
    cancelled = np.asarray(one(name).adapt(both, weight)(x))
    without = np.asarray(one(name).adapt(x)(x))
    tolerance = 0.15 if name in "UG" else 2e-4
    np.testing.assert_allclose(cancelled, without, atol=tolerance, rtol=1e-3)


def test_standardise_by_hand():
    layer = layers.Standardise().adapt(np.array([[1.0], [3.0]]), weight=np.array([3.0, 1.0]))
    # mean 1.5, variance (3 * 0.25 + 2.25) / 4 = 0.75
    np.testing.assert_allclose(np.asarray(layer(np.array([[2.25]])))[0, 0], np.sqrt(0.75), rtol=1e-6)


def test_a_constant_column_is_centred_only():
    x = np.stack([np.full(10, 91.1876), np.arange(10.0)], axis=1)
    for name in ("standardise", "N"):
        assert np.abs(np.asarray(one(name).adapt(x)(x))[:, 0]).max() < 1e-5
    # No direction in D is divided by zero, and a column that follows from another one is no trouble.
    x = np.concatenate([x, 2.0 * x[:, 1:]], axis=1)
    assert np.isfinite(np.asarray(one("D").adapt(x)(x))).all()


def test_letters_mean_what_tmva_means():
    x = momenta()
    n = np.asarray(one("N").adapt(x)(x))
    np.testing.assert_allclose([n.min(axis=0), n.max(axis=0)], [[-1.0] * 3, [1.0] * 3], atol=1e-6)
    d = np.asarray(one("D").adapt(x)(x))
    np.testing.assert_allclose(np.cov(d.T, bias=True), np.eye(3), atol=2e-3)
    # TMVA multiplies by the root of the inverse covariance and does not centre.
    values, vectors = np.linalg.eigh(np.cov(x.T.astype(np.float64), bias=True))
    expected = x @ (vectors / np.sqrt(values)) @ vectors.T
    np.testing.assert_allclose(d, expected, rtol=1e-3, atol=1e-3)
    p = np.asarray(one("P").adapt(x)(x)).astype(np.float64)
    covariance = np.cov(p.T, bias=True)
    np.testing.assert_allclose(np.diag(covariance), values[::-1], rtol=1e-3)
    assert np.abs(covariance[0, 1]) < 1e-3 * np.sqrt(values[-1] * values[-2])


def test_uniform_and_gauss_have_their_distributions():
    x = momenta(20000)
    u = np.asarray(one("U").adapt(x)(x))
    for quantile in (0.01, 0.1, 0.5, 0.9, 0.99):
        np.testing.assert_allclose((u < quantile).mean(axis=0), quantile, atol=0.01)
    g = np.asarray(one("G").adapt(x)(x)).astype(np.float64)
    np.testing.assert_allclose(g.mean(axis=0), 0.0, atol=0.01)
    np.testing.assert_allclose(g.std(axis=0), 1.0, atol=0.01)
    np.testing.assert_allclose((g**4).mean(axis=0), 3.0, atol=0.15)  # kurtosis: the tails are right too


def test_gauss_and_uniform_rise_and_end_at_the_range_of_the_data():
    x = momenta()
    grid = np.linspace(-100.0, 1000.0, 5001, dtype=np.float32)[:, None] * np.ones(3, dtype=np.float32)
    for name in ("U", "G"):
        layer = one(name).adapt(x)
        y = np.asarray(layer(grid))
        assert (np.diff(y, axis=0) >= -1e-6).all()
        np.testing.assert_allclose(y[-1], np.asarray(layer(x.max(axis=0, keepdims=True)))[0], atol=1e-5)


def test_discrete_columns_keep_their_values_apart():
    x = np.repeat([0.0, 1.09, 2.17], [50, 30, 20])[:, None].astype(np.float32)
    y = np.asarray(one("U").adapt(x)(np.array([[0.0], [1.09], [2.17]], dtype=np.float32)))[:, 0]
    np.testing.assert_allclose(y, [0.25, 0.65, 0.9], atol=1e-6)


def test_log_clip_and_impute_by_hand():
    x = np.array([[1.0], [10.0], [0.0], [100.0]], dtype=np.float32)
    np.testing.assert_allclose(np.asarray(one("log").adapt(x)(x))[:, 0], np.log([1.0, 10.0, 1.0, 100.0]))
    clip = layers.Clip(low=5.0, quantile=0.25).adapt(x)
    assert np.asarray(clip(x))[0, 0] == 5.0
    assert np.asarray(clip(x))[-1, 0] < 100.0
    holes = np.array([[1.0, np.nan], [2.0, -999.0], [30.0, 4.0]], dtype=np.float32)
    filled = np.asarray(layers.Impute(sentinel=-999.0).adapt(holes)(holes))
    np.testing.assert_allclose(filled, [[1.0, 4.0], [2.0, 4.0], [30.0, 4.0]])
    mean = layers.Impute("mean").adapt(holes[:, :1], weight=[1.0, 1.0, 2.0])
    assert float(np.asarray(mean(np.array([[np.nan]])))[0, 0]) == pytest.approx(63.0 / 4.0)
    assert float(np.asarray(layers.Impute(-1.0).adapt(holes[:, :1])(np.array([[np.nan]])))[0, 0]) == -1.0


def test_constituents_are_adapted_to_where_the_mask_says():
    random = np.random.default_rng(5)
    x = random.normal(3.0, 2.0, size=(500, 6, 2)).astype(np.float32)
    mask = random.random((500, 6)) > 0.4
    spoiled = np.where(mask[..., None], x, 1e6).astype(np.float32)
    for name in ("standardise", "G", "D"):
        first = one(name).adapt(spoiled, mask=mask)
        second = one(name).adapt(x[mask])
        np.testing.assert_allclose(np.asarray(first(x)), np.asarray(second(x)), atol=1e-5)


def test_chains_and_columns():
    assert [type(layer) for layer in layers.chain("D+N, impute")] == [
        layers.Decorrelate, layers.MinMax, layers.Impute,
    ]  # fmt: skip
    assert layers.chain(None) == layers.chain("I") == []
    x = momenta()
    by_column = layers.by_column({"pt": "log,G", "*": "N"}, ["mass", "pt", "ratio"]).adapt(x)
    y = np.asarray(by_column(x))
    np.testing.assert_allclose(y[:, [0, 2]], np.asarray(one("N").adapt(x)(x))[:, [0, 2]], atol=1e-6)
    assert abs(y[:, 1].std() - 1.0) < 0.02
    np.testing.assert_allclose(np.asarray(by_column.inverse(y)), x, rtol=1e-3, atol=1e-3)


def test_chain_by_column_is_saved(tmp_path):
    x = momenta()
    inputs = keras.Input((3,))
    layer = layers.by_column({"b": "log,G", "*": "impute,N"}, ["a", "b", "c"]).adapt(x)
    model = keras.Model(inputs, layer(inputs))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))


def test_bad_input_is_named():
    x = momenta(20)
    with pytest.raises(SettingError, match="standardise"):
        layers.chain("standardize")
    with pytest.raises(ColumnNotFoundError, match="'m_bb'"):
        layers.by_column({"m_b": "N"}, ["m_bb"])
    with pytest.raises(SettingError, match="mixes columns"):
        layers.by_column({"a": "D"}, ["a", "b", "c"])
    with pytest.raises(NonFiniteInputError, match="column 1: 1"):
        one("standardise").adapt(np.array([[1.0, np.nan], [2.0, 3.0]]))
    with pytest.raises(WeightError, match="positive sum"):
        one("standardise").adapt(x, -np.ones(20))
    with pytest.raises(WeightError, match="NaN"):
        one("standardise").adapt(x, np.full(20, np.nan))
    with pytest.raises(WeightError, match="negative weights dominate"):
        one("standardise").adapt(np.array([[0.0], [10.0], [-10.0]]), [3.0, -1.0, -1.0])
    with pytest.raises(ShapeError, match="20 events"):
        one("standardise").adapt(x, np.ones(3))
    with pytest.raises(EmptySelectionError):
        one("standardise").adapt(x, np.zeros(20))
    with pytest.raises(NonFiniteInputError, match="no positive value"):
        one("log").adapt(-x)
    with pytest.raises(SettingError, match="median"):
        layers.Impute("medium")
    with pytest.raises(SettingError, match="not below"):
        layers.Clip(low=2.0, high=1.0)
    with pytest.raises(SettingError, match="at least 2"):
        layers.Uniform(knots=1)


def test_float32_is_enough_where_the_mean_is_far_from_zero():
    """Columns such as a mass of 91 ± 0.01, where float32 keeps four digits of the spread."""
    x = (91.0 + 0.01 * np.random.default_rng(7).normal(size=(5000, 2))).astype(np.float32)
    for name in ("standardise", "decorrelate"):
        y = np.asarray(one(name).adapt(x)(x)).astype(np.float64)
        np.testing.assert_allclose([y.mean(), y.std()], [0.0, 1.0], atol=2e-3)


def test_a_transform_without_an_inverse_says_so():
    """Imputed values cannot be told from real ones, so there is nothing to give back."""
    with pytest.raises(UnsupportedOperationError, match="Impute has no inverse"):
        layers.Impute("median").inverse(np.zeros((2, 1)))
