"""kPyKeras: model files as users write them, their own loss and optimizer, TMVA's options."""

from __future__ import annotations

import importlib.util

import keras
import numpy as np
import pytest
from trained_methods import auc, book, class_example, data_set, quiet, response, sample

from hepml_root.errors import (
    IgnoredOptionWarning,
    MissingDependencyError,
    ModelFileError,
    SettingError,
    ShapeError,
    SourceNotFoundError,
)
from hepml_root.tmva.methods.keras_events import validation_events
from hepml_root.tmva.methods.keras_file import learning_rates


def saved(path, outputs=2, inputs=4, *, loss="categorical_crossentropy", activation="softmax", rate=0.01):
    """A file as ROOT's Keras tutorials write them."""
    keras.utils.set_random_seed(1)
    model = keras.models.Sequential()
    model.add(keras.layers.Input((inputs,)))
    model.add(keras.layers.Dense(16, activation="relu"))
    model.add(keras.layers.Dense(outputs, activation=activation))
    optimizer = keras.optimizers.Adam(rate)
    model.compile(loss=loss, optimizer=optimizer, weighted_metrics=["accuracy"], jit_compile=False)
    model.save(path)
    return path


@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_a_classifier_learns_and_gives_the_signal_column(tmp_path, ending: str) -> None:
    path = saved(tmp_path / f"model.{ending}")
    data = class_example()
    method = book("PyKeras", f"FilenameModel={path}:NumEpochs=8:BatchSize=50:Verbose=0", tmp_path)
    trained = method.train(data, quiet())
    # The real TMVA's perceptron reaches .9138 with all of the events; .9 leaves room for 8 epochs.
    assert auc(trained, data) > 0.90
    kept = keras.models.load_model(tmp_path / "TrainedModel_Tested.keras")
    assert trained.weights.keras_file == tmp_path / "TrainedModel_Tested.keras"
    own = kept.predict(data.test.variables, verbose=0)
    np.testing.assert_allclose(response(trained, data)[:, 0], own[:, 0], atol=1e-6)
    assert isinstance(kept.optimizer, keras.optimizers.Adam)
    table = trained.monitors["Convergence"]
    assert table["epoch"].tolist() == list(range(1, 9))
    assert table["train"][-1] < table["train"][0]


@pytest.mark.slow
def test_a_single_output_is_that_of_the_signal(tmp_path) -> None:
    path = saved(tmp_path / "model.keras", 1, loss="binary_crossentropy", activation="sigmoid")
    data = class_example()
    trained = book("PyKeras", f"FilenameModel={path}:NumEpochs=5:Verbose=0", tmp_path).train(data, quiet())
    assert auc(trained, data) > 0.88


@pytest.mark.slow
def test_weights_of_events_count(tmp_path) -> None:
    """Events with the wrong class and the weight 0 teach nothing."""
    data = class_example()
    rows = data.training
    wrong = sample(
        np.concatenate([rows.variables, rows.variables]),
        np.concatenate([rows.classes, 1 - rows.classes]),
        np.concatenate([rows.weights, np.zeros(len(rows))]),
    )
    mixed = wrong.take(np.random.default_rng(1).permutation(len(wrong)))
    path = saved(tmp_path / "model.keras")
    method = book("PyKeras", f"FilenameModel={path}:NumEpochs=5:Verbose=0", tmp_path)
    assert auc(method.train(data_set(mixed, data.test), quiet()), data) > 0.88


def test_regression_with_the_users_own_loss(tmp_path) -> None:
    rng = np.random.default_rng(3)
    x = rng.uniform(-1, 1, (1200, 2))
    whole = sample(x, np.zeros(1200), targets=np.stack([x[:, 0] + x[:, 1], x[:, 0] * 2], axis=1))
    data = data_set(whole.take(slice(0, 1000)), whole.take(slice(1000, None)), analysis="Regression")
    path = saved(tmp_path / "model.keras", 2, 2, loss="mean_absolute_error", activation="linear")
    text = f"FilenameModel={path}:NumEpochs=20:BatchSize=20:Verbose=0"
    trained = book("PyKeras", text, tmp_path, analysis="Regression").train(data, quiet())
    assert np.abs(response(trained, data) - data.test.targets).mean() < 0.1  # the targets' spread is 1
    kept = keras.models.load_model(tmp_path / "TrainedModel_Tested.keras")
    assert kept.loss == "mean_absolute_error"


@pytest.mark.slow
def test_multiclass(tmp_path) -> None:
    rng = np.random.default_rng(9)
    classes = rng.integers(0, 3, 900)
    x = rng.normal(size=(900, 2)) + np.array([[0, 0], [3, 0], [0, 3]])[classes]
    whole = sample(x, classes)
    data = data_set(
        whole.take(slice(0, 600)), whole.take(slice(600, None)), analysis="Multiclass", classes="abc"
    )
    path = saved(tmp_path / "model.keras", 3, 2)
    text = f"FilenameModel={path}:NumEpochs=15:BatchSize=20:Verbose=0"
    found = response(book("PyKeras", text, tmp_path, analysis="Multiclass").train(data, quiet()), data)
    assert np.mean(found.argmax(axis=1) == data.test.classes) > 0.85  # the best possible is .91


def test_training_is_continued_from_the_trained_model(tmp_path) -> None:
    data = class_example(200)
    first = saved(tmp_path / "model.keras")
    words = f"NumEpochs=2:Verbose=0:FilenameTrainedModel={tmp_path / 'kept.keras'}"
    before = book("PyKeras", f"FilenameModel={first}:{words}", tmp_path).train(data, quiet())
    after = book("PyKeras", f"ContinueTraining:{words}", tmp_path).train(data, quiet())
    assert after.monitors["Convergence"]["train"][0] < before.monitors["Convergence"]["train"][0]
    with pytest.raises(SourceNotFoundError, match="FilenameTrainedModel: there is no file"):
        book("PyKeras", "ContinueTraining:FilenameTrainedModel=none.keras", tmp_path)


def test_the_best_epoch_is_kept_and_the_schedule_is_followed(tmp_path) -> None:
    """The rate 10 from epoch 3 on spoils the network: only the epochs before it can be the best."""
    data = class_example(200)
    path = saved(tmp_path / "model.keras")
    words = f"FilenameModel={path}:NumEpochs=8:BatchSize=20:Verbose=0:LearningRateSchedule=3,10"
    best = book("PyKeras", words, tmp_path).train(data, quiet())
    losses = best.monitors["Convergence"]["test"]
    assert losses.argmin() < 3
    assert losses[3:].min() > 1.5 * losses.min()
    last = book("PyKeras", f"{words}:!SaveBestOnly", tmp_path).train(data, quiet())
    assert auc(best, data) > auc(last, data)
    stopped = book("PyKeras", f"{words}:TriesEarlyStopping=2", tmp_path).train(data, quiet())
    assert len(stopped.monitors["Convergence"]["epoch"]) == losses.argmin() + 1 + 2


def test_user_code_is_executed_before_the_model_is_loaded(tmp_path) -> None:
    code = tmp_path / "own_layers.py"
    code.write_text(
        "import keras\n"
        "class Doubled(keras.layers.Layer):\n"
        "    def call(self, x):\n"
        "        return 2.0 * x\n"
        "load_model_custom_objects = {'Doubled': Doubled}\n"
    )
    names: dict = {}
    exec(code.read_text(), names)
    model = keras.Sequential(
        [keras.layers.Input((4,)), names["Doubled"](), keras.layers.Dense(2, activation="softmax")]
    )
    model.compile(loss="categorical_crossentropy", optimizer="sgd")
    model.save(tmp_path / "own.keras")
    words = f"FilenameModel={tmp_path / 'own.keras'}:NumEpochs=1:Verbose=0"
    with pytest.raises(ModelFileError, match=r"Doubled.*UserCode="):
        book("PyKeras", words, tmp_path)
    data = class_example(100)
    trained = book("PyKeras", f"{words}:UserCode={code}", tmp_path).train(data, quiet())
    assert response(trained, data).shape == (len(data.test), 1)
    with pytest.raises(SourceNotFoundError, match="UserCode: there is no file"):
        book("PyKeras", f"{words}:UserCode=missing.py", tmp_path)


def test_a_log_for_tensorboard(tmp_path) -> None:
    path = saved(tmp_path / "model.keras")
    words = f"FilenameModel={path}:NumEpochs=1:Verbose=0:TensorBoard={tmp_path / 'log'}"
    if importlib.util.find_spec("tensorboard") is None:
        with pytest.raises(MissingDependencyError, match="pip install tensorboard"):
            book("PyKeras", words, tmp_path)
        return
    book("PyKeras", words, tmp_path).train(class_example(100), quiet())
    assert list((tmp_path / "log").rglob("events.out.*"))


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("", SettingError, "FilenameModel is missing"),
        ("FilenameModel=missing.keras", SourceNotFoundError, "there is no file 'missing.keras'"),
        ("FilenameModel=m.keras:NumEpochs=0", SettingError, "NumEpochs=0: at least 1"),
        ("FilenameModel=m.keras:ValidationSize=100%", SettingError, "ValidationSize=100%"),
        ("FilenameModel=m.keras:ValidationSize=0.5.1", SettingError, "ValidationSize=0.5.1"),
        ("FilenameModel=m.keras:LearningRateSchedule=50", SettingError, "'50': epoch,rate"),
        ("FilenameModel=m.keras:FilenameTrainedModel=out.pb", SettingError, "ending with .keras"),
        ("FilenameModell=m.keras", SettingError, "Nearest: 'FilenameModel'"),
    ],
)
def test_mistakes_are_said_when_booked(tmp_path, text: str, error, said: str) -> None:
    with pytest.raises(error, match=said):
        book("PyKeras", text, tmp_path)


def test_damaged_and_uncompiled_files(tmp_path) -> None:
    (tmp_path / "damaged.keras").write_bytes(b"PK\x03\x04 not a model")
    with pytest.raises(ModelFileError, match="Keras cannot read"):
        book("PyKeras", f"FilenameModel={tmp_path / 'damaged.keras'}", tmp_path)
    keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(2)]).save(tmp_path / "bare.keras")
    with pytest.raises(SettingError, match="is not compiled: call"):
        book("PyKeras", f"FilenameModel={tmp_path / 'bare.keras'}", tmp_path)


def test_shapes_that_do_not_fit(tmp_path) -> None:
    data = class_example(100)
    wide = saved(tmp_path / "wide.keras", inputs=7)
    with pytest.raises(ShapeError, match=r"takes .*7.*has to take \(None, 4\)"):
        book("PyKeras", f"FilenameModel={wide}:Verbose=0", tmp_path).train(data, quiet())
    three = saved(tmp_path / "three.keras", outputs=3)
    with pytest.raises(ShapeError, match=r"gives .*3.*needs \(None, 2\)"):
        book("PyKeras", f"FilenameModel={three}:Verbose=0", tmp_path).train(data, quiet())
    sparse = saved(tmp_path / "sparse.keras", loss="sparse_categorical_crossentropy")
    with pytest.raises(ShapeError, match="one-hot"):
        book("PyKeras", f"FilenameModel={sparse}:Verbose=0", tmp_path).train(data, quiet())


def test_what_changes_nothing_is_said(tmp_path) -> None:
    path = saved(tmp_path / "model.keras")
    with pytest.warns(IgnoredOptionWarning, match="TF_FORCE_GPU_ALLOW_GROWTH"):
        book("PyKeras", f"FilenameModel={path}:tf.keras:GpuOptions=allow_growth=True", tmp_path)


def test_numbers_of_options() -> None:
    assert learning_rates("") == {}
    assert validation_events("0.25", 40, "DL") == 10
    with pytest.raises(SettingError, match="sets 40 of 40 training events aside"):
        validation_events("40", 40, "DL")
    with pytest.raises(SettingError, match="sets 0 of 3"):
        validation_events("1%", 3, "DL")
