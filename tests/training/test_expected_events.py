"""What fit fills in from the data: expected events, the batch size of a significance, and the warning."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import tensorflow as tf

import hepml_root as hr
from hepml_root import losses
from hepml_root.errors import SettingError, StatisticsWarning
from hepml_root.losses.batch_statistics import assess_batch, propose_batch_size
from hepml_root.training import Pretraining


@pytest.fixture(autouse=True, scope="module")
def _eagerly():
    """Without compiling, which takes longer than the few steps of a test: the operations are the same."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def dataset(events: int = 4000, **settings) -> hr.Dataset:
    random = np.random.default_rng(1)
    x = random.normal(size=(events, 3)).astype(np.float32)
    is_signal = x[:, 0] + random.normal(size=events) > 0.0
    weight = np.where(is_signal, 0.02, 1.5)
    return hr.Dataset.from_arrays(x, is_signal, **{"weight": weight, **settings})


def trained(data, **settings):
    model = hr.models.dense(data, hidden=(4,))
    return hr.fit(model, data, **{"epochs": 1, "jit": False, "batch_size": 2000, **settings})


def test_yields_are_the_sums_of_weights_of_all_events_given():
    """Of the training part of a split too, which stands for the whole sample."""
    data = dataset()
    train, _ = data.split(0.5)
    rows = data.yields()
    for given in (data, train):
        kept = trained(given, loss="asimov", pretrain="significance").settings
        for name in ("signal", "background"):
            expected = rows[str(data.signal) if name == "signal" else "background"].sum
            assert kept["loss"][name] == pytest.approx(expected, rel=1e-6)
            assert kept["pretrain"]["loss"][name] == pytest.approx(expected, rel=1e-6)


def test_yields_that_are_given_stay():
    loss = losses.AsimovSignificance(background=123.0, systematic=0.3)
    kept = trained(dataset(), loss=loss).settings["loss"]
    assert (kept["background"], kept["systematic"]) == (123.0, 0.3)
    assert kept["signal"] == pytest.approx(dataset().yields()[str(dataset().signal)].sum)


def test_of_a_lazy_dataset_too():
    file = hr.data.shipped_file("Higgs_data.root")
    sources = {
        "signal": hr.Source(f"{file}:sig_tree", weight="0.1"),
        "background": hr.Source(f"{file}:bkg_tree", weight="2.0"),
    }
    lazy = hr.Dataset.from_root(sources, inputs=["m_bb", "m_wbb"], max_events=2000, lazy=True)
    kept = trained(lazy, loss="asimov", batch_size="auto", monitor="val_significance")
    assert kept.settings["loss"]["signal"] == pytest.approx(200.0, rel=1e-5)
    assert kept.settings["loss"]["background"] == pytest.approx(4000.0, rel=1e-5)
    assert kept.settings["batch_size"] >= 256
    assert kept.best["val_significance"] > 0


def test_counts_are_taken_with_a_warning():
    with pytest.warns(StatisticsWarning, match="the data have no weights"):
        trained(dataset(weight=None), loss="asimov")


def test_three_classes_have_no_significance():
    data = hr.Dataset.from_arrays(np.zeros((300, 2)), np.arange(300) % 3, classes=["a", "b", "c"])
    with pytest.raises(SettingError, match="multiclass"):
        trained(data, loss="asimov")


def test_a_biased_batch_is_warned_of_and_the_automatic_one_is_not():
    data = dataset(20_000)
    loss = losses.AsimovSignificance(systematic=0.1)
    with pytest.warns(StatisticsWarning, match=r"a batch of 32 events.*biased by") as caught:
        trained(dataset(1000), loss=loss, batch_size=32)
    (told,) = (warning for warning in caught if warning.category is StatisticsWarning)
    assert told.filename.endswith("test_expected_events.py")
    with warnings.catch_warnings():
        warnings.simplefilter("error", StatisticsWarning)
        found = trained(data, loss=loss, batch_size="auto").settings["batch_size"]
        accumulated = trained(data, loss=loss, batch_size="auto", accumulate=4).settings
        # What a step holds counts: as many events in small batches, accumulated.
        trained(data, loss=loss, batch_size=found // 8, accumulate=8)
    train, _ = data.split(0.2, seed=1)
    weight = [train.training_weight[train.labels == which] for which in (1, 0)]
    full = loss.with_yields(*(data.yields()[name].sum for name in (str(data.signal), "background")))
    assert found == propose_batch_size(*weight, loss=full)
    assert abs(assess_batch(full, *weight, batch_size=found).bias) <= 5.0
    assert accumulated["batch_size"] * 4 == found


def test_a_cross_entropy_has_the_batch_that_suits_the_network():
    assert trained(dataset(), batch_size="auto").settings["batch_size"] == 128
    kept = trained(
        dataset(),
        loss="asimov",
        batch_size=1024,
        pretrain=Pretraining("binary_crossentropy", 1, batch_size="auto"),
    )
    assert kept.settings["pretrain"]["batch_size"] == 128
