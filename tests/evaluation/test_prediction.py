"""Scores of every kind of model: Keras, files, boosted trees, arrays."""

from __future__ import annotations

import numpy as np
import pytest

import hepml_root as hr
from hepml_root import errors
from hepml_root.evaluation.prediction import predict


def test_keras_models_give_what_keras_gives(trained, binary):
    model, _ = trained
    _, test = binary
    expected = model.predict(test.X, verbose=0)
    np.testing.assert_allclose(predict(model, test), expected, atol=1e-6)
    # Batches that do not divide the events, one event a batch, and blocks instead of a dataset.
    np.testing.assert_allclose(predict(model, test, batch_size=500), expected, atol=1e-6)
    few = {name: array[:3] for name, array in test.X.items()}
    np.testing.assert_allclose(predict(model, few, batch_size=1), expected[:3], atol=1e-6)


def test_a_plain_keras_model_takes_the_only_block():
    import keras

    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(4), keras.layers.Dense(1)])
    x = np.random.default_rng(1).normal(size=(7, 2)).astype(np.float32)
    np.testing.assert_allclose(predict(model, {"features": x}), model.predict(x, verbose=0), atol=1e-6)
    assert predict(model, {"features": x[:0]}).shape == (0, 1)
    with pytest.raises(errors.ShapeError, match="the data have the blocks"):
        predict(model, {"jets": x, "leptons": x})


def test_files_give_the_scores_of_their_model(trained, binary, tmp_path):
    model, _ = trained
    _, test = binary
    expected = predict(model, test)
    model.save(tmp_path / "toy.keras")
    np.testing.assert_allclose(predict(tmp_path / "toy.keras", test), expected, atol=1e-6)
    path = hr.export(model, tmp_path / "toy.onnx", data=test)
    # Two runtimes in float32: a few rounding steps of numbers of order one.
    np.testing.assert_allclose(predict(str(path), test), expected, atol=1e-5)
    session = hr.Session(path, engine="onnxruntime")
    np.testing.assert_allclose(predict(session, test), expected, atol=1e-5)


def test_boosted_trees(binary):
    pytest.importorskip("lightgbm")
    train, test = binary
    model = hr.models.boosted(train)
    scores = predict(model, test)
    assert scores.shape == (len(test), 1)
    np.testing.assert_array_equal(scores, model.predict(test).astype(np.float32))


def test_arrays_are_checked(binary):
    _, test = binary
    assert predict(np.zeros(len(test)), test).shape == (len(test), 1)
    with pytest.raises(errors.ShapeError, match=r"for 1200 events"):
        predict(np.zeros(5), test)
    with pytest.raises(errors.NonFiniteInputError, match="1 of 1200 scores"):
        predict(np.where(np.arange(len(test)) == 7, np.nan, 0.5), test)


def test_what_is_no_model(binary, tmp_path):
    _, test = binary
    with pytest.raises(errors.SourceNotFoundError, match="nowhere"):
        predict(tmp_path / "nowhere.onnx", test)
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(errors.ModelFileError, match=r"neither a \.keras nor an \.onnx"):
        predict(tmp_path / "notes.txt", test)
    (tmp_path / "broken.keras").write_text("hello")
    with pytest.raises(errors.ModelFileError, match=r"broken\.keras"):
        predict(tmp_path / "broken.keras", test)
    with pytest.raises(errors.ModelFileError, match="is no model"):
        predict(object(), test)
