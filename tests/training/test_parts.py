"""The parts of a training: blocks, schedules, the weighted AUC."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

import hepml_root as hr
from hepml_root.errors import SettingError
from hepml_root.models.cost import flops
from hepml_root.training.automatic import auto_batch, compiles_well, operations_of
from hepml_root.training.blocks import Plan
from hepml_root.training.history import History
from hepml_root.training.schedule import Cosine, Exponential, Plateau, Schedule, schedule_of
from hepml_root.training.validation import weighted_auc


@pytest.mark.parametrize("events", [1, 5, 127, 128, 129, 1000, 4321])
@pytest.mark.parametrize(("batch_size", "most_steps"), [(128, None), (128, 3), (10, 7), (1000, 1)])
def test_every_event_comes_in_every_epoch(events, batch_size, most_steps):
    number = np.arange(events, dtype=np.float32)
    data = hr.Dataset.from_arrays(number[:, None], target=number)
    plan = Plan.of(events, batch_size, 1000, most_steps)
    blocks = list(plan.cut(data.stream(batch_size=plan.batch_size, seed=1).epoch(0)))
    assert len(blocks) == plan.blocks
    assert {len(target) for _, target, _ in blocks} == {plan.block_events}
    seen = np.concatenate([X["features"][:, 0] for X, _, _ in blocks])
    target = np.concatenate([target[:, 0] for _, target, _ in blocks])
    np.testing.assert_array_equal(seen, target)
    times = np.bincount(seen.astype(int), minlength=events)
    assert times.min() == 1
    assert times.max() <= 2
    assert plan.epoch_events - events < plan.batch_size * (plan.blocks + 1)


def test_large_networks_get_small_blocks():
    assert Plan.of(10**6, 128, 5_000).block_events > 60_000
    assert Plan.of(10**6, 128, 10_000_000).block_events < 1_000


def test_schedules_by_hand():
    rates = Cosine(warmup=2, floor=0.0).rates(1.0, epoch=0, epochs=10, steps=4, monitored=[])
    np.testing.assert_allclose(rates, [0.0, 0.125, 0.25, 0.375])
    assert Cosine(floor=0.1).rates(1.0, 10, 10, 1, [])[0] == pytest.approx(0.1)
    assert Cosine(floor=0.0).rates(2.0, 5, 10, 1, [])[0] == pytest.approx(1.0)
    assert Exponential(half_life=3).rates(1.0, 6, 10, 1, [])[0] == pytest.approx(0.25)
    plateau = Plateau(drop=0.1, patience=2, floor=0.05)
    assert plateau.factor(0, 10, [3.0, 2.0, 2.1]) == 1.0
    assert plateau.factor(0, 10, [3.0, 2.0, 2.1, 2.2]) == pytest.approx(0.1)
    assert plateau.factor(0, 10, [3.0] + [4.0] * 6) == 0.05
    assert schedule_of(None).rates(1e-3, 3, 10, 2, []).tolist() == pytest.approx([1e-3, 1e-3])
    with pytest.raises(SettingError, match="plateau"):
        schedule_of("plato")
    with pytest.raises(SettingError, match="negative"):
        Schedule(warmup=-1)


def test_schedules_are_followed():
    x = np.random.default_rng(1).normal(size=(256, 2))
    data = hr.Dataset.from_arrays(x, x[:, 0] > 0)
    history = hr.fit(
        hr.models.dense(data, hidden=(4,)), data, validation=None, epochs=4, batch_size=64,
        learning_rate=0.01, schedule=Exponential(half_life=1), jit=False,
    )  # fmt: skip
    expected = 0.01 * 0.5 ** (np.arange(4) + 0.75)
    np.testing.assert_allclose(history.metrics["learning_rate"], expected, rtol=1e-5)


def test_weighted_auc():
    random = np.random.default_rng(1)
    truth = random.random(3000) < 0.4
    score = np.round(random.normal(size=3000) + truth, 1)  # with ties
    weight = random.uniform(0.1, 3.0, 3000)
    assert weighted_auc(truth, score, weight) == pytest.approx(
        roc_auc_score(truth, score, sample_weight=weight)
    )
    # An event and its negative copy cancel.
    both = [np.concatenate([array, array[:100]]) for array in (truth, score)]
    signed = np.concatenate([weight, -weight[:100]])
    assert weighted_auc(*both, signed) == pytest.approx(weighted_auc(truth[100:], score[100:], weight[100:]))
    assert np.isnan(weighted_auc([1, 1], [0.1, 0.2], [1.0, 1.0]))


def test_a_history_without_epochs():
    history = History(stopped="interrupted")
    assert history.best == {}
    assert history.summary()["epochs_done"] == 0
    history.plot()


def test_what_fit_chooses_by_itself():
    """No XLA with convolutions or large recurrent layers, no large batches where an event shares weights."""
    plain, image = hr.models.dense({"features": (4,)}), {"jet_image": (8, 8, 1)}
    sequence = {"particles": (30, 7)}
    assert compiles_well(plain)
    assert not compiles_well(hr.models.cnn(image))
    assert not compiles_well(hr.models.fusion({**image, "features": (4,)}))
    assert compiles_well(hr.models.preset("gru", "default", sequence))
    assert not compiles_well(hr.models.preset("gru", "deep", sequence))
    assert auto_batch(400_000, parameters=400_000, operations=800_000) == 512
    assert auto_batch(400_000, parameters=400_000, operations=80_000_000) == 256
    assert auto_batch(4_000, parameters=400_000, operations=80_000_000) == 128
    assert operations_of(plain, 5) == flops(plain) > 10
    own = keras.Sequential([keras.Input((None, 4)), keras.layers.GlobalAveragePooling1D()])
    assert operations_of(own, 5) == 10  # a free length cannot be counted
