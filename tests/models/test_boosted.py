"""Boosted trees through the networks' interface."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import hepml_root as hr
from hepml_root.errors import ModelFileError, OutputExistsError, SettingError, ShapeError
from hepml_root.models import BoostedModel
from hepml_root.training.validation import weighted_auc


def classes(events: int = 1200, number: int = 2, seed: int = 1):
    random = np.random.default_rng(seed)
    x = random.normal(size=(events, 4)).astype(np.float32)
    return x, np.digitize(x[:, 0] + 0.3 * random.normal(size=events), [0.0, 0.8][: number - 1])


def test_binary_learns_and_is_read_back(tmp_path):
    x, y = classes()
    data = hr.Dataset.from_arrays(x, y, columns=["a", "b", "c", "d"])
    train, test = data.split(test=0.3, seed=1)
    model = hr.models.boosted(train, trees=50)
    score = model.predict(test)
    assert score.shape == (len(test), 1)
    assert score.dtype == np.float32
    assert weighted_auc(test.target[:, 0], score[:, 0], test.weight) > 0.9
    assert max(model.importance, key=model.importance.get) == "a"
    np.testing.assert_array_equal(model.predict(test.X, verbose=0), score)
    path = model.save(tmp_path / "trees.txt")
    again = BoostedModel.load(path)
    np.testing.assert_array_equal(again.predict(test.X), score)
    assert again.manifest == model.manifest
    with pytest.raises(OutputExistsError):
        model.save(path)


def test_same_seed_same_trees():
    x, y = classes(600)
    data = hr.Dataset.from_arrays(x, y)
    first, second = (hr.models.boosted(data, trees=20, threads=1).predict(data) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_multiclass_and_regression():
    x, y = classes(number=3)
    data = hr.Dataset.from_arrays(x, y, classes=["low", "middle", "high"])
    score = hr.models.boosted(data, trees=30).predict(data)
    np.testing.assert_allclose(score.sum(axis=1), 1.0, rtol=1e-5)
    assert (score.argmax(axis=1) == y).mean() > 0.75
    data = hr.Dataset.from_arrays(x, target=100.0 + 20.0 * x[:, 1], targets=["mass"])
    fitted = hr.models.boosted(data, trees=150).predict(data)
    assert np.std(fitted - data.target) < 5.0
    two = hr.Dataset.from_arrays(x, target=x[:, :2], targets=["a", "b"])
    with pytest.raises(SettingError, match="one target"):
        hr.models.boosted(two)


def test_weights_matter():
    x, y = classes(1000)
    y = np.where(np.random.default_rng(5).random(1000) < 0.5, y, 1 - y)  # half of the labels are noise
    right = (x[:, 0] > 0) == (y == 1)
    for weight, sign in ((np.where(right, 5.0, 1.0), 1), (np.where(right, 1.0, 5.0), -1)):
        data = hr.Dataset.from_arrays(x, y, weight=weight)
        score = hr.models.boosted(data, None, trees=30, leaves=4).predict(data)[:, 0]
        assert sign * (score[x[:, 0] > 0.5].mean() - score[x[:, 0] < -0.5].mean()) > 0.2


def test_missing_values_and_constituents():
    x, y = classes()
    x = x.copy()
    x[::5, 1] = np.nan
    random = np.random.default_rng(2)
    jets = random.exponential(size=(len(x), 3, 2)).astype(np.float32)
    mask = random.random((len(x), 3)) < 0.5
    X = {"features": x, "jets": jets, "jets_mask": mask}
    data = hr.Dataset.from_arrays(X, y, missing="keep")
    model = hr.models.boosted(data, trees=20)
    score = model.predict(data)
    assert np.isfinite(score).all()
    spoiled = {**data.X, "jets": np.where(mask[..., None], data.X["jets"], 1e9)}
    np.testing.assert_array_equal(model.predict(spoiled), score)
    assert len(model.importance) == 4 + 6
    with pytest.raises(ShapeError, match="jets_mask"):
        model.predict({"features": x, "jets": jets})
    with pytest.raises(ShapeError, match="features"):
        model.predict({**data.X, "features": x[:, :2]})


def test_no_validation_events():
    data = hr.Dataset.from_arrays(*classes(100))
    scores = [hr.models.boosted(data, none, trees=5).predict(data) for none in (None, 0, 0.0)]
    np.testing.assert_array_equal(scores[0], scores[1])
    np.testing.assert_array_equal(scores[0], scores[2])


def test_bad_settings_and_files(tmp_path):
    x, y = classes(100)
    with pytest.raises(SettingError, match="leaves=1"):
        hr.models.boosted(hr.Dataset.from_arrays(x, y), leaves=1)
    (tmp_path / "text.txt").write_text("no trees here")
    for name in ("text.txt", "absent.txt"):
        with pytest.raises(ModelFileError, match=name):
            BoostedModel.load(tmp_path / name)


def test_without_lightgbm_the_extra_is_named():
    code = (
        "import sys; sys.modules['lightgbm'] = None\n"
        "import numpy as np, hepml_root as hr\n"
        "from hepml_root.errors import MissingDependencyError\n"
        "data = hr.Dataset.from_arrays(np.eye(4), [0, 1, 0, 1])\n"
        "try: hr.models.boosted(data)\n"
        "except MissingDependencyError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'hepml_root[boosted]'" in done.stdout
