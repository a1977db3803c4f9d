"""fit: what it learns, when it stops, what it keeps, and what it refuses."""

from __future__ import annotations

import json
import os
import signal
from types import SimpleNamespace

import keras
import numpy as np
import pytest

import hepml_root as hr
from hepml_root import losses
from hepml_root.errors import OutputExistsError, SettingError, ShapeError
from hepml_root.layers import manifest_of
from hepml_root.training import epochs
from hepml_root.training.loop import InputNames, KerasLoop
from hepml_root.training.tensorflow_loop import TensorFlowLoop


def binary(events: int = 600, seed: int = 1, **settings) -> hr.Dataset:
    random = np.random.default_rng(seed)
    x = random.normal(size=(events, 4)).astype(np.float32)
    return hr.Dataset.from_arrays(
        x, x[:, 0] + x[:, 1] ** 2 + 0.5 * random.normal(size=events) > 1.0, **settings
    )


def small(data: hr.Dataset, **settings) -> keras.Model:
    return hr.models.dense(data, **{"hidden": (8,), "l1": 0.0, **settings})


def values(model: keras.Model) -> list[np.ndarray]:
    return [variable.numpy() for variable in model.trainable_variables]


def same(first: keras.Model, second: keras.Model, tolerance: float = 0.0) -> None:
    for a, b in zip(values(first), values(second), strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


FAST = {"learning_rate": 0.01, "batch_size": 64, "jit": False}


def test_the_speed_is_that_of_all_epochs_but_the_first(monkeypatch):
    """By a clock whose every tick takes twice as long as the one before."""
    ticks = [0.0]

    def clock():
        ticks.append(2.0 * ticks[-1] + 1.0)
        return ticks[-1]

    monkeypatch.setattr(epochs, "time", SimpleNamespace(perf_counter=clock))
    data = binary(320)
    history = hr.fit(small(data), data, validation=None, epochs=4, **FAST)
    # One tick at the start, then three in each epoch: its begin, its end, and the seconds so far.
    spent = [ticks[2 + 3 * epoch + 1] - ticks[2 + 3 * epoch] for epoch in range(4)]
    assert history.events_per_second == pytest.approx(3 * 320 / sum(spent[1:]))
    monkeypatch.undo()


def test_learns_and_records_itself(tmp_path):
    data = binary(2000)
    model = small(data, hidden=(16,))
    history = hr.fit(model, data, epochs=8, **FAST)
    assert history.best["val_auc"] > 0.9
    assert history.stopped == "epochs"
    assert history.epochs == 8
    assert history.events_per_second > 0
    recorded = manifest_of(model)["training"]
    assert recorded["best"]["val_auc"] == history.best["val_auc"]
    assert recorded["seed"] == 1
    assert recorded["events"] == 1600
    json.dumps(recorded)
    saved = json.loads(history.save(tmp_path / "history.json").read_text())
    assert saved["metrics"]["val_loss"] == history.metrics["val_loss"]
    with pytest.raises(OutputExistsError):
        history.save(tmp_path / "history.json")
    for suffix in ("png", "pdf"):
        history.plot(tmp_path / f"history.{suffix}")
        assert (tmp_path / f"history.{suffix}").stat().st_size > 5000
    with pytest.raises(SettingError, match="png"):
        history.plot(tmp_path / "history.pngg")


def test_multiclass_and_regression_in_physical_units():
    random = np.random.default_rng(2)
    x = random.normal(size=(1500, 3)).astype(np.float32)
    data = hr.Dataset.from_arrays(x, np.digitize(x[:, 0], [-0.5, 0.5]), classes=["a", "b", "c"])
    assert hr.fit(small(data), data, epochs=12, **FAST).best["val_accuracy"] > 0.85
    mass = 91_000.0 + 2_500.0 * (x[:, 0] + 0.1 * random.normal(size=1500))  # MeV
    data = hr.Dataset.from_arrays(x, target=mass, targets=["mass"])
    model = small(data)
    history = hr.fit(model, data, epochs=20, **FAST)
    assert history.metrics["loss"][0] < 3.0  # in units of the spread squared, not MeV squared
    residual = model.predict(data.X, verbose=0) - data.target
    assert 200.0 < residual.std() < 500.0
    assert abs(residual.mean()) < 100.0


def test_best_weights_are_kept_and_early_stopping_counts():
    data = binary(400)
    model = small(data, hidden=(64, 64))
    held = binary(200, seed=9)
    history = hr.fit(
        model, data, validation=held, epochs=60, patience=3, learning_rate=0.03, batch_size=32, jit=False
    )
    losses_seen = history.metrics["val_loss"]
    assert history.stopped == "early"
    assert history.best_epoch == int(np.argmin(losses_seen))
    assert history.epochs == history.best_epoch + 4
    loss = keras.losses.BinaryCrossentropy()
    now = float(loss(held.target, model.predict(held.X, verbose=0), sample_weight=held.training_weight))
    assert now == pytest.approx(min(losses_seen), rel=1e-5)
    by_auc = hr.fit(small(data), data, validation=held, epochs=6, monitor="val_auc", **FAST)
    assert by_auc.best_epoch == int(np.argmax(by_auc.metrics["val_auc"]))


def test_validation_goes_by_event_number_where_the_split_did():
    """Entries of one event are not trained on and validated with."""
    data, _ = binary(event_number=np.arange(600) // 4).split(0.3, by="event_number")
    _, held = data.split(0.2, seed=1, by="event_number")
    assert len(held) != round(0.2 * len(data))
    history = hr.fit(small(data), data, epochs=1, **FAST)
    assert history.settings["validation_events"] == len(held)


def test_without_validation_the_last_epoch_stands():
    data = binary()
    history = hr.fit(small(data), data, validation=None, epochs=3, patience=1, **FAST)
    assert (history.best_epoch, history.epochs, set(history.metrics)) == (2, 3, {"loss", "learning_rate"})


def test_seeds_make_trainings_reproducible():
    data = binary()
    runs = []
    for seed in (3, 3, 4):
        model = small(data, dropout=0.2)
        runs.append((model, hr.fit(model, data, validation=None, epochs=3, seed=seed, **FAST)))
    same(runs[0][0], runs[1][0])
    assert runs[0][1].metrics == runs[1][1].metrics
    assert np.abs(values(runs[0][0])[0] - values(runs[2][0])[0]).max() > 1e-4


def test_an_event_of_weight_two_is_the_event_twice():
    """One batch of all events: the gradient is that of the doubled sample, whatever the order."""
    plain = binary(200)
    x, y = plain.X["features"], plain.labels
    twice = np.arange(200) % 4 == 0
    keep = {"classes": plain.classes, "balance": False}
    weighted = hr.Dataset.from_arrays(x, y, weight=np.where(twice, 2.0, 1.0), **keep)
    doubled = hr.Dataset.from_arrays(np.concatenate([x, x[twice]]), np.concatenate([y, y[twice]]), **keep)
    unweighted = hr.Dataset.from_arrays(x, y, **keep)
    models = []
    for data in (weighted, doubled, unweighted):
        model = small(unweighted)
        hr.fit(
            model,
            data,
            validation=None,
            epochs=5,
            batch_size=len(data),
            learning_rate=0.05,
            optimizer="sgd",
            jit=False,
        )
        models.append(model)
    same(models[0], models[1], 1e-5)
    assert np.abs(values(models[0])[0] - values(models[2])[0]).max() > 1e-4


def test_the_scale_of_the_physics_weights_does_not_matter():
    models = []
    for scale in (1.0, 1e-6):
        data = binary(weight=scale * np.random.default_rng(1).uniform(0.5, 2.0, 600))
        models.append(small(data))
        hr.fit(models[-1], data, epochs=3, **FAST)
    same(models[0], models[1], 1e-4)


def test_negative_weights_train():
    weight = np.where(np.random.default_rng(1).random(2000) < 0.2, -1.0, 1.0)
    data = binary(2000, weight=weight)
    assert hr.fit(small(data), data, epochs=8, **FAST).best["val_auc"] > 0.85


def test_both_loops_do_the_same_steps():
    """The compiled loop, with and without XLA, against Keras's own fit on the same batches."""
    data = binary(512)
    stepped = []
    for kind in ("keras", "tensorflow", "xla"):
        model = small(data, l2=1e-2, batch_norm=True)
        optimizer, loss = keras.optimizers.Adam(0.01), keras.losses.BinaryCrossentropy()
        names = InputNames(model, data.X)
        if kind == "keras":
            loop = KerasLoop(model, optimizer, loss, names, 64, False, 1)
        else:
            loop = TensorFlowLoop(model, optimizer, loss, names, 64, kind == "xla")
        loop.run(data.X, data.target, data.training_weight, np.full(8, 0.01, dtype=np.float32))
        stepped.append((model, loop.predict(data.X)))
    for model, score in stepped[1:]:
        same(stepped[0][0], model, 1e-4)
        np.testing.assert_allclose(score, stepped[0][1], atol=1e-4)
    untouched = small(data, l2=1e-2, batch_norm=True)
    assert np.abs(values(stepped[0][0])[0] - values(untouched)[0]).max() > 0.02


@pytest.mark.slow
def test_jit_gives_the_same_training():
    data = binary()
    models = []
    for jit in (False, True):
        models.append(small(data))
        hr.fit(models[-1], data, epochs=3, learning_rate=0.01, batch_size=64, jit=jit)
    same(models[0], models[1], 1e-3)


def test_significance_losses_train_and_see_batches():
    data = binary(4000, weight=np.where(np.arange(4000) % 2, 0.01, 3.0))
    loss = losses.AsimovSignificance(signal=30.0, background=3000.0, systematic=0.1)
    model = hr.models.dense(data, hidden=(16,))  # with the penalty that dense adds on its own
    history = hr.fit(model, data, loss=loss, epochs=15, learning_rate=0.01, batch_size=1024, jit=False)
    before = -float(losses.asimov_significance(30.0, 3000.0, 0.1))
    assert history.best["val_loss"] < 2.5 * before


def test_masks_and_parameters_are_fed():
    random = np.random.default_rng(4)
    X = {
        "parameters": random.choice([0.0, 1.0], size=(800, 1)),
        "jets": random.normal(size=(800, 3, 2)).astype(np.float32),
        "jets_mask": random.random((800, 3)) < 0.7,
    }
    total = np.where(X["jets_mask"], X["jets"][..., 0], 0.0).sum(axis=1)
    data = hr.Dataset.from_arrays(X, total > 0)
    assert hr.fit(small(data, hidden=(32,)), data, epochs=15, **FAST).best["val_auc"] > 0.95


def test_a_model_of_ones_own_with_one_input():
    data = binary()
    own = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(8, "tanh"), keras.layers.Dense(1, "sigmoid")]
    )
    before = own.predict(data.X["features"], verbose=0)
    hr.fit(own, data, epochs=2, **FAST)
    assert np.abs(own.predict(data.X["features"], verbose=0) - before).max() > 1e-3
    X = {"features": np.ones((40, 4)), "parameters": np.ones((40, 1))}
    with pytest.raises(ShapeError, match="blocks"):
        hr.fit(own, hr.Dataset.from_arrays(X, np.arange(40) % 2))


class Stop(keras.callbacks.Callback):
    """Asks to stop in the second epoch, and notes what it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[int, list[str]]] = []

    def on_epoch_end(self, epoch, logs=None):
        self.seen.append((epoch, sorted(logs)))
        if epoch == 1:
            self.model.stop_training = True


def test_callbacks():
    data = binary()
    stop = Stop()
    history = hr.fit(small(data), data, epochs=5, callbacks=[stop], **FAST)
    assert history.stopped == "callback"
    assert stop.seen == [(epoch, ["learning_rate", "loss", "val_auc", "val_loss"]) for epoch in (0, 1)]

    class EachBatch(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            pass

    with pytest.raises(SettingError, match="single batches"):
        hr.fit(small(data), data, callbacks=[EachBatch()])


class Interrupt(keras.callbacks.Callback):
    """Ctrl-C during the third epoch."""

    def on_epoch_begin(self, epoch, logs=None):  # noqa: ARG002 - Keras's signature
        if epoch == 2:
            os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_keeps_the_best_so_far():
    data = binary()
    model = small(data)
    history = hr.fit(model, data, epochs=50, callbacks=[Interrupt()], **FAST)
    assert history.stopped == "interrupted"
    assert history.epochs == 2
    reference = small(data)
    hr.fit(reference, data, epochs=2, **FAST)
    same(model, reference)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"loss": "asimof"}, "asimov"),
        ({"optimizer": "adamm"}, "adam"),
        ({"schedule": "cosin"}, "cosine"),
        ({"monitor": "auc"}, "val_auc"),
        ({"epochs": 0}, "epochs=0"),
        ({"batch_size": "large"}, "batch_size"),
        ({"patience": -1}, "patience"),
        ({"validation": 1.5}, "between 0 and 1"),
        ({"learning_rate": -1.0}, "learning_rate"),
        ({"jit": "yes"}, "jit"),
        ({"resume": True}, "checkpoint"),
        ({"callbacks": [print]}, "callback"),
        ({"optimizer": keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(1e-3, 10))}, "schedule"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_settings_that_make_no_sense(settings, message):
    data = binary(100)
    with pytest.raises(SettingError, match=message):
        hr.fit(small(data), data, **settings)
