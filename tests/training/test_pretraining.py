"""A few epochs with another loss first: the switch, the learning rate, the best epoch, and resuming."""

from __future__ import annotations

import os
import signal

import keras
import numpy as np
import pytest
import tensorflow as tf

import hepml_root as hr
from hepml_root import losses
from hepml_root.errors import InterruptedTrainingError, SettingError
from hepml_root.training import Cosine, Plateau, Pretraining

FAST = {"learning_rate": 0.01, "batch_size": 200, "jit": False, "validation": 0.2}


@pytest.fixture(autouse=True, scope="module")
def _eagerly():
    """Without compiling, which takes longer than the few steps of a test: the operations are the same."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def dataset(events: int = 1000) -> hr.Dataset:
    random = np.random.default_rng(1)
    x = random.normal(size=(events, 4)).astype(np.float32)
    is_signal = x[:, 0] + x[:, 1] ** 2 + random.normal(size=events) > 1.0
    return hr.Dataset.from_arrays(x, is_signal, weight=np.where(is_signal, 0.1, 4.0))


def asimov() -> losses.AsimovSignificance:
    return losses.AsimovSignificance(signal=40.0, background=2000.0, systematic=0.2)


def trained(data=None, model=None, **settings):
    data = dataset() if data is None else data
    model = hr.models.dense(data, hidden=(8,), dropout=0.2) if model is None else model
    defaults = {"loss": asimov(), "pretrain": Pretraining("binary_crossentropy", 3), "epochs": 4}
    return model, hr.fit(model, data, **{**FAST, **defaults, **settings})


def same(first, second) -> None:
    for a, b in zip(first[0].variables, second[0].variables, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    assert first[1].metrics == second[1].metrics
    assert first[1].best_epoch == second[1].best_epoch


def test_the_history_shows_both_phases(tmp_path):
    model, history = trained()
    assert (history.epochs, history.pretraining_epochs) == (7, 3)
    # Cross entropies are positive, this loss is minus a significance.
    signs = [np.sign(history.metrics[name]).tolist() for name in ("loss", "val_loss")]
    assert signs == [[1.0] * 3 + [-1.0] * 4] * 2
    assert history.best_epoch >= 3
    pretrain = history.settings["pretrain"]
    assert (pretrain["loss"]["class"], pretrain["epochs"]) == ("BinaryCrossentropy", 3)
    assert history.settings["loss"]["class"] == "AsimovSignificance"
    assert history.settings["epochs"] == 4
    assert len(history.plot(tmp_path / "history.png").axes) == 4  # two losses, AUC, learning rate
    assert hr.layers.manifest_of(model)["training"]["pretraining_epochs"] == 3


def test_the_first_phase_is_a_training_with_its_loss():
    """The epochs of a pretraining are those of a training with that loss alone."""
    data = dataset()
    alone = hr.models.dense(data, hidden=(8,))
    history = hr.fit(alone, data, epochs=3, **FAST)
    _, both = trained(data, hr.models.dense(data, hidden=(8,)))
    for name in ("loss", "val_loss", "val_auc"):
        assert both.metrics[name][:3] == history.metrics[name]


@pytest.mark.parametrize(("state", "steps"), [("reset", 2 * 4), ("keep", 3 * 4)])
def test_the_optimizer_forgets_or_goes_on(state, steps):
    """800 events to train on are 4 steps an epoch, which Adam counts."""
    optimizer = keras.optimizers.Adam(0.01)
    pretrain = Pretraining("binary_crossentropy", 1, optimizer_state=state)
    trained(pretrain=pretrain, epochs=2, optimizer=optimizer)
    assert int(optimizer.iterations.numpy()) == steps


def test_after_a_reset_the_first_step_is_adams_first():
    """Without a memory Adam's first step is the learning rate in every weight. With three steps of gradients
    1000 times larger in mind, it goes on where those pointed: by m̂ / √v̂ = 0.9 (1 - 0.9³) / (1 - 0.9⁴)
    over the root of 0.999 (1 - 0.999³) / (1 - 0.999⁴), which is 0.819 of the rate.
    """
    data, moved = dataset(), {}

    def large(y_true, y_pred):
        return 1000.0 * keras.losses.binary_crossentropy(y_true, y_pred)

    class Note(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):  # noqa: ARG002 - Keras's signature
            self.seen = [*getattr(self, "seen", []), self.model.get_weights()]

    for state in ("reset", "keep"):
        note = Note()
        hr.fit(
            hr.models.dense(data, hidden=(8,), l1=0.0), data, loss="binary_crossentropy", epochs=2,
            pretrain=Pretraining(large, 3, optimizer_state=state, warmup=0.0), validation=None,
            batch_size=len(data), learning_rate=1e-3, jit=False, callbacks=[note],
        )  # fmt: skip
        steps = [np.abs(new - old).ravel() for old, new in zip(note.seen[3], note.seen[4], strict=True)]
        moved[state] = np.concatenate(steps)
    assert np.median(moved["reset"][moved["reset"] > 0]) == pytest.approx(1e-3, rel=0.01)
    assert np.median(moved["keep"][moved["keep"] > 0]) == pytest.approx(0.819e-3, rel=0.03)


def test_learning_rates_at_the_switch():
    """The schedule runs over both phases; after the switch the rate rises over `warmup` epochs."""
    _, history = trained(
        schedule=Cosine(floor=0.0),
        pretrain=Pretraining("binary_crossentropy", 2, learning_rate=0.05, warmup=2),
    )
    at = np.arange(6) + 3 / 4  # the last of 4 steps
    base = np.array([0.05] * 2 + [0.01] * 4)
    rise = np.array([1, 1, 3 / 8, 7 / 8, 1, 1])
    expected = base * rise * 0.5 * (1 + np.cos(np.pi * at / 6))
    np.testing.assert_allclose(history.metrics["learning_rate"], expected, rtol=1e-5)


def test_a_plateau_is_one_of_the_loss_at_hand():
    """Minus a significance is less than any cross entropy, which would look like a plateau from there on."""
    _, history = trained(
        loss="binary_crossentropy", pretrain=Pretraining(asimov(), 2, warmup=0.0),
        schedule=Plateau(patience=1), epochs=2,
    )  # fmt: skip
    assert history.metrics["val_loss"][3] < history.metrics["val_loss"][2]
    assert history.metrics["learning_rate"][2:] == pytest.approx([0.01, 0.01])


def test_phases_have_batches_of_their_own():
    _, history = trained(
        pretrain=Pretraining("binary_crossentropy", 1, batch_size=50, accumulate=1), batch_size=200,
        accumulate=2, epochs=1,
    )  # fmt: skip
    sizes = [
        (found["batch_size"], found["accumulate"])
        for found in (history.settings["pretrain"], history.settings)
    ]
    assert sizes == [(50, 1), (200, 2)]


def test_early_stopping_waits_for_the_switch():
    """Patience 1 while the pretraining does nothing: its epochs do not count."""
    idle = Pretraining("binary_crossentropy", 5, learning_rate=1e-12)
    _, history = trained(pretrain=idle, patience=1, epochs=2)
    assert history.epochs > 5


class Interrupt(keras.callbacks.Callback):
    """Ctrl-C in an epoch, before its first step."""

    def __init__(self, epoch: int) -> None:
        super().__init__()
        self.epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):  # noqa: ARG002 - Keras's signature
        if epoch == self.epoch:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture(scope="module")
def uninterrupted():
    return trained(accumulate=2)


@pytest.mark.parametrize(
    "epoch", [pytest.param(1, marks=pytest.mark.slow), 3, pytest.param(4, marks=pytest.mark.slow)]
)
def test_resume_on_either_side_of_the_switch(tmp_path, uninterrupted, epoch):
    """Bitwise, also if it was stopped in the first epoch after the switch."""
    settings = {"accumulate": 2, "checkpoint": tmp_path}
    _, history = trained(callbacks=[Interrupt(epoch)], **settings)
    assert (history.stopped, history.epochs) == ("interrupted", epoch)
    same(trained(resume=True, **settings), uninterrupted)


def test_a_training_stopped_in_its_pretraining_has_its_last_epoch():
    model, history = trained(callbacks=[Interrupt(2)])
    assert (history.best_epoch, history.stopped) == (1, "interrupted")
    alone, reference = trained(loss="binary_crossentropy", pretrain=None, epochs=2)
    assert reference.best_epoch == 1
    for a, b in zip(model.trainable_variables, alone.trainable_variables, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_another_pretraining_is_another_training(tmp_path):
    trained(checkpoint=tmp_path, epochs=1)
    with pytest.raises(InterruptedTrainingError, match="pretrain was"):
        trained(checkpoint=tmp_path, epochs=1, pretrain=Pretraining("binary_crossentropy", 2), resume=True)
    with pytest.raises(InterruptedTrainingError, match="accumulate was 1 and is 2"):
        trained(checkpoint=tmp_path, epochs=1, accumulate=2, resume=True)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 0}, "pretrain: epochs=0"),
        ({"batch_size": "large"}, "pretrain: batch_size='large'.*'auto'"),
        ({"accumulate": 0.5}, "pretrain: accumulate"),
        ({"learning_rate": -1.0}, "pretrain: learning_rate"),
        ({"warmup": -1.0}, "pretrain: warmup"),
        ({"optimizer_state": "rest"}, "Nearest: 'reset'"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_settings_that_make_no_sense(settings, message):
    with pytest.raises(SettingError, match=message):
        Pretraining("significance", **settings)


def test_an_unknown_loss_is_refused():
    with pytest.raises(SettingError, match="binarycrossentropy"):
        trained(pretrain="binary_crossentrpy")
