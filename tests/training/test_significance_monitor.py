"""The best significance on validation events: against all cuts by hand, and as what picks the best epoch."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

import hepml_root as hr
from hepml_root import losses
from hepml_root.errors import SettingError
from hepml_root.training import ValidationSignificance
from hepml_root.training.significance_monitor import best_significance

LOOSE = ValidationSignificance(systematic=0.1, minimum_background=0.0, minimum_signal=0.0)


@pytest.fixture(autouse=True, scope="module")
def _eagerly():
    """Without compiling, which takes longer than the few steps of a test: the operations are the same."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def dataset(events: int = 2000, **settings) -> hr.Dataset:
    random = np.random.default_rng(1)
    x = random.normal(size=(events, 4)).astype(np.float32)
    is_signal = x[:, 0] + x[:, 1] ** 2 + random.normal(size=events) > 1.0
    return hr.Dataset.from_arrays(x, is_signal, **{"weight": np.where(is_signal, 0.1, 4.0), **settings})


def all_cuts(score, is_signal, weight, signal, background, systematic, least):
    """Return the best of the cuts at each score, in plain loops."""
    best = np.nan
    for cut in np.unique(score):
        kept = score >= cut
        s, b = weight[kept & is_signal], weight[kept & ~is_signal]
        if not (len(s) and len(b) and s.sum() > 0 and b.sum() > 0):
            continue
        if s.sum() ** 2 < least * (s**2).sum() or b.sum() ** 2 < least * (b**2).sum():
            continue
        s = signal * s.sum() / weight[is_signal].sum()
        b = background * b.sum() / weight[~is_signal].sum()
        best = np.fmax(best, float(losses.asimov_significance(s, b, systematic)))
    return best


@pytest.mark.parametrize("least", [0.0, 10.0])
@pytest.mark.parametrize("negative", [False, True])
def test_it_is_the_best_of_all_cuts(least, negative):
    """With 40 values of the score, of which the steps in efficiency leave none out."""
    random = np.random.default_rng(2)
    is_signal = random.random(3000) < 0.5
    score = np.round(random.beta(np.where(is_signal, 4, 2), 2) * 40) / 40
    weight = random.uniform(0.5, 2.0, 3000)
    if negative:
        weight[random.random(3000) < 0.1] *= -0.3
    monitor = ValidationSignificance(0.1, minimum_background=least, minimum_signal=least)
    expected = all_cuts(score, is_signal, weight, 20.0, 300.0, 0.1, least)
    found = best_significance(score, is_signal, weight, 20.0, 300.0, monitor)
    assert found == pytest.approx(expected, rel=1e-5)


def test_a_lucky_tail_does_not_count():
    """Noise as a score, but for a tail with 5 % of the signal and by chance 2 of 2000 background events: a
    cut there has s = 2.5 and b = 5, so 1.040, and no other is better than none by more than chance."""
    random = np.random.default_rng(3)
    is_signal = np.arange(4000) < 2000
    score = np.where(np.arange(4000) < 100, 1.5, random.random(4000))
    score[2000:2002] = 2.0
    arguments = (score, is_signal, np.ones(4000), 50.0, 5000.0)
    uncut = float(losses.asimov_significance(50.0, 5000.0, 0.0))
    lucky = best_significance(*arguments, ValidationSignificance(0.0, 0.0, 0.0))
    assert lucky == pytest.approx(1.040, abs=1e-3)
    assert best_significance(*arguments, ValidationSignificance(0.0)) < 1.1 * uncut


def test_no_cut_and_broken_scores_have_no_significance():
    is_signal = np.arange(20) < 10
    assert np.isnan(
        best_significance(np.arange(20.0), is_signal, np.ones(20), 1.0, 1.0, ValidationSignificance())
    )
    assert np.isnan(best_significance(np.full(20, np.nan), is_signal, np.ones(20), 1.0, 1.0, LOOSE))
    assert np.isnan(best_significance(np.arange(20.0), is_signal, -np.ones(20), 1.0, 1.0, LOOSE))


def test_it_picks_the_best_epoch():
    data = dataset()
    train, held = data.split(0.3, seed=1)
    model = hr.models.dense(train, hidden=(16,))
    history = hr.fit(
        model, train, validation=held, loss="binary_crossentropy", epochs=4, learning_rate=0.03,
        batch_size=200, jit=False, monitor=ValidationSignificance(systematic=0.2),
    )  # fmt: skip
    seen = history.metrics["val_significance"]
    assert history.monitor == "val_significance"
    assert history.best_epoch == int(np.argmax(seen))
    # The model has that epoch's weights, and the expected events are the sums of weights.
    rows = train.yields()
    signal, background = rows[str(train.signal)].sum, rows["background"].sum
    found = best_significance(
        model.predict(held.X, verbose=0)[:, 0], held.target[:, 0] > 0.5, held.weight, signal, background,
        ValidationSignificance(0.2),
    )  # fmt: skip
    assert found == pytest.approx(max(seen), rel=1e-4)
    assert history.settings["significance"]["background"] == pytest.approx(background)


def test_the_systematic_is_that_of_the_loss():
    data = dataset()
    loss = losses.AsimovSignificance(signal=70.0, background=5000.0, systematic=0.3)
    model = hr.models.dense(data, hidden=(8,))
    history = hr.fit(model, data, loss=loss, epochs=2, monitor="val_significance", jit=False, batch_size=400)
    kept = history.settings["significance"]
    assert (kept["systematic"], kept["signal"], kept["background"]) == (0.3, 70.0, 5000.0)
    model = hr.models.dense(data, hidden=(8,))
    history = hr.fit(model, data, epochs=1, monitor="val_significance", jit=False)
    assert history.settings["significance"]["systematic"] == 0.0


def test_the_physics_weights_count_not_the_training_weights():
    """Two kinds of background with the same training weight: only one of them is expected."""
    score = np.repeat([0.9, 0.9, 0.1, 0.1], 100)
    labels = np.tile(np.repeat([1, 0], 100), 2)
    weight = np.where(score > 0.5, np.where(labels == 1, 1.0, 0.01), np.where(labels == 1, 1.0, 10.0))
    data = hr.Dataset.from_arrays(score[:, None], labels, weight=weight, training_weight=np.ones(400))
    import keras

    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    model.set_weights([np.ones((1, 1))])
    history = hr.fit(
        model, data, validation=data, loss="mse", epochs=1, learning_rate=1e-12,
        monitor=ValidationSignificance(0.0),
    )  # fmt: skip
    expected = float(losses.asimov_significance(100.0, 1.0, 0.0))
    assert history.metrics["val_significance"][0] == pytest.approx(expected, rel=1e-4)


def test_refusals():
    data = dataset(200)
    with pytest.raises(SettingError, match=r"effective validation events.*minimum_signal"):
        hr.fit(
            hr.models.dense(data, hidden=(4,)),
            data,
            monitor=ValidationSignificance(0.1, 0.0, 1000.0),
            epochs=1,
        )
    three = hr.Dataset.from_arrays(data.X["features"], np.arange(200) % 3, classes=["a", "b", "c"])
    with pytest.raises(SettingError, match="two classes"):
        hr.fit(hr.models.dense(three, hidden=(4,)), three, monitor="val_significance", epochs=1)
    with pytest.raises(SettingError, match="val_significance"):
        hr.fit(hr.models.dense(data, hidden=(4,)), data, monitor="val_significanc", epochs=1)
    with pytest.raises(SettingError, match="minimum_background"):
        ValidationSignificance(minimum_background=-1.0)
