"""A training that stops and goes on ends as one that never stopped."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import hepml_root as hr
from hepml_root.errors import InterruptedTrainingError, OutputExistsError, SettingError

SCRIPT = """
import sys
import numpy as np
import hepml_root as hr

def dataset():
    random = np.random.default_rng(1)
    x = random.normal(size=(3000, 6)).astype(np.float32)
    return hr.Dataset.from_arrays(x, x[:, 0] * x[:, 1] + 0.3 * random.normal(size=3000) > 0)

def train(folder=None, resume=False, epochs=12, **settings):
    data = dataset()
    model = hr.models.dense(data, hidden=(32, 32), dropout=0.2, batch_norm=True)
    history = hr.fit(model, data, epochs=epochs, batch_size=64, jit=False, schedule="plateau", patience=None,
                     checkpoint=folder, resume=resume, **settings)
    return model, history
"""
exec(SCRIPT)  # the same functions here and in the child process


def assert_same(first, second):
    for a, b in zip(first[0].variables, second[0].variables, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    assert first[1].metrics == second[1].metrics
    assert first[1].best_epoch == second[1].best_epoch


@pytest.fixture(scope="module")
def uninterrupted():
    return train()  # noqa: F821 - defined by SCRIPT


def test_resume_after_a_kill_is_the_same_training(tmp_path, uninterrupted):
    """Ctrl-C in a child process while it trains; then the rest here."""
    folder = tmp_path / "checkpoint"
    code = SCRIPT + (
        "import json, time, keras\n"
        "class Slow(keras.callbacks.Callback):\n"
        "    def on_epoch_end(self, epoch, logs=None): print(epoch, flush=True); time.sleep(0.3)\n"
        "model, history = train(sys.argv[1], callbacks=[Slow()])\n"
        "print(json.dumps({'stopped': history.stopped, 'epochs': history.epochs}))\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    for line in child.stdout:
        if line.strip() == "2":
            break
    time.sleep(0.1)
    child.send_signal(signal.SIGINT)
    rest, _ = child.communicate(timeout=120)
    told = json.loads(rest.strip().splitlines()[-1])
    assert child.returncode == 0
    assert told["stopped"] == "interrupted"
    assert 3 <= told["epochs"] < 12
    assert_same(train(folder, resume=True), uninterrupted)  # noqa: F821


def test_resume_in_steps(tmp_path, uninterrupted):
    class Stop(hr_callback()):
        def on_epoch_end(self, epoch, logs=None):  # noqa: ARG002 - Keras's signature
            if epoch in (1, 6):
                self.model.stop_training = True

    for resume in (False, True):
        history = train(tmp_path, resume=resume, callbacks=[Stop()])[1]  # noqa: F821
        assert history.stopped == "callback"
    finished = train(tmp_path, resume="auto")  # noqa: F821
    assert finished[1].stopped == "epochs"
    assert_same(finished, uninterrupted)
    # The same in two trainings, the second asked for more epochs.
    train(tmp_path / "longer", epochs=5)  # noqa: F821
    assert_same(train(tmp_path / "longer", resume=True), uninterrupted)  # noqa: F821
    # Nothing is left to do; the best epoch is what the model gets.
    assert_same(train(tmp_path, resume=True), uninterrupted)  # noqa: F821


def hr_callback():
    import keras

    return keras.callbacks.Callback


def test_an_early_stop_stays_an_early_stop(tmp_path):
    settings = {"checkpoint": tmp_path, "epochs": 200, "patience": 2, "learning_rate": 0.05, "jit": False}
    data = dataset()[:600]  # noqa: F821
    first = hr.models.dense(data)
    history = hr.fit(first, data, **settings)
    assert history.stopped == "early"
    second = hr.models.dense(data)
    again = hr.fit(second, data, resume=True, **settings)
    assert again.stopped == "early"
    assert_same((first, history), (second, again))


def test_a_checkpoint_of_another_training_is_refused(tmp_path):
    data = dataset()[:500]  # noqa: F821
    settings = {"checkpoint": tmp_path, "epochs": 2, "jit": False, "batch_size": 64}
    hr.fit(hr.models.dense(data), data, **settings)
    with pytest.raises(OutputExistsError, match="resume=True"):
        hr.fit(hr.models.dense(data), data, **settings)
    with pytest.raises(InterruptedTrainingError, match="model was"):
        hr.fit(hr.models.dense(data, hidden=(5,)), data, resume=True, **settings)
    cosine = {**settings, "checkpoint": tmp_path / "cosine", "schedule": "cosine"}
    hr.fit(hr.models.dense(data), data, **cosine)
    with pytest.raises(InterruptedTrainingError, match="epochs was 2 and is 3"):
        hr.fit(hr.models.dense(data), data, resume=True, **{**cosine, "epochs": 3})
    with pytest.raises(InterruptedTrainingError, match="seed was 1 and is 2"):
        hr.fit(hr.models.dense(data), data, resume=True, seed=2, **settings)
    other = hr.Dataset.from_arrays(data.X["features"] + 1.0, data.labels)
    with pytest.raises(InterruptedTrainingError, match="data was"):
        hr.fit(hr.models.dense(other), other, resume=True, **settings)
    (tmp_path / "training.npz").write_bytes(b"damaged")
    with pytest.raises(InterruptedTrainingError, match="cannot be read"):
        hr.fit(hr.models.dense(data), data, resume=True, **settings)
    with pytest.raises(InterruptedTrainingError, match="no training to resume"):
        hr.fit(hr.models.dense(data), data, resume=True, **{**settings, "checkpoint": tmp_path / "none"})
    with pytest.raises(SettingError, match="checkpoint=FOLDER"):
        hr.fit(hr.models.dense(data), data, resume=True)
