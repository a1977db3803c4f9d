"""Permutation ranking: the useful input is found, errors are right, jagged blocks, bad input."""

from __future__ import annotations

import numpy as np
import pytest

from hepml_root import errors
from hepml_root.evaluation.ranking import rank_inputs


def toy(events=4000, seed=1):
    """Return three inputs, of which only the middle one tells the classes apart."""
    generator = np.random.default_rng(seed)
    labels = np.arange(events) % 2
    x = generator.normal(size=(events, 3)).astype(np.float32)
    x[:, 1] += labels
    return {"features": x}, labels


def total(blocks):
    """Return a score that looks at all inputs, though only one is useful."""
    return blocks["features"] @ np.array([0.1, 1.0, 0.0], dtype=np.float32)


COLUMNS = {"features": ["noise", "useful", "unused"]}


def test_the_only_useful_input_is_first():
    blocks, labels = toy()
    ranking = rank_inputs(total, blocks, labels, columns=COLUMNS)
    assert ranking.inputs[0].column == "useful"
    useful, by_name = ranking.inputs[0], {item.column: item.importance for item in ranking.inputs}
    # Φ(1/√2) without, 1/2 with shuffling; 4000 events know an AUC to 0.008, and the noise costs little.
    assert useful.importance.value == pytest.approx(0.26, abs=0.04)
    assert useful.importance.low > 0.2
    assert by_name["unused"].value == 0.0
    assert abs(by_name["noise"].value) < 4 * by_name["noise"].error
    assert ranking.events == 4000


def test_errors_cover_over_samples():
    """The importance in many samples has the spread that each of them states."""
    values, stated = [], []
    for seed in range(60):
        ranking = rank_inputs(total, *toy(800, seed), columns=COLUMNS, seed=seed)
        values.append(ranking.inputs[0].importance.value)
        stated.append(ranking.inputs[0].importance.error)
    # The spread of 60 values is known to 9 %; four of them.
    assert np.mean(stated) == pytest.approx(np.std(values, ddof=1), rel=0.37)


def test_it_is_reproducible_and_bounded():
    blocks, labels = toy()
    seen = []

    def counted(given):
        seen.append(len(given["features"]))
        return total(given)

    first = rank_inputs(counted, blocks, labels, columns=COLUMNS, max_events=1000, repeats=2, seed=4)
    again = rank_inputs(total, blocks, labels, columns=COLUMNS, max_events=1000, repeats=2, seed=4)
    assert first == again
    assert seen == [1000] * (1 + 2 * 3)
    assert first.events == 1000


def test_the_inputs_are_left_as_they_were():
    blocks, labels = toy(200)
    before = blocks["features"].copy()
    rank_inputs(total, blocks, labels, columns=COLUMNS)
    np.testing.assert_array_equal(blocks["features"], before)


def test_weights_enter():
    """Where the weights leave only events without information, nothing is important."""
    blocks, labels = toy()
    half = np.arange(4000) < 2000
    blocks["features"][half, 1] = np.random.default_rng(2).normal(size=2000)
    ranking = rank_inputs(total, blocks, labels, np.where(half, 1.0, 1e-9), columns=COLUMNS)
    importance = {item.column: item.importance for item in ranking.inputs}["useful"]
    assert abs(importance.value) < 5 * importance.error


def test_jagged_blocks_shuffle_real_constituents_only():
    generator = np.random.default_rng(3)
    events = 1500
    labels = np.arange(events) % 2
    mask = np.arange(6)[None, :] < generator.integers(1, 7, events)[:, None]
    jets = np.where(mask[..., None], generator.normal(1, 1, (events, 6, 2)), 0.0).astype(np.float32)
    jets[..., 1] += np.where(mask, labels[:, None], 0)

    def model(given):
        assert not given["jets"][~given["jets_mask"]].any()  # padding stays zero
        return given["jets"][..., 1].sum(axis=1) / given["jets_mask"].sum(axis=1)

    ranking = rank_inputs(model, {"jets": jets, "jets_mask": mask}, labels, columns={"jets": ["eta", "pt"]})
    assert [(item.block, item.column) for item in ranking.inputs] == [("jets", "pt"), ("jets", "eta")]
    assert ranking.inputs[0].importance.low > 0.2
    assert ranking.inputs[1].importance.value == 0.0


def test_multiclass_and_regression():
    generator = np.random.default_rng(5)
    labels = generator.integers(0, 3, 2000)
    x = generator.normal(size=(2000, 3)).astype(np.float32)
    x[:, 1] += 2 * labels

    def classes(given):
        return -((given["features"][:, 1:2] - 2 * np.arange(3)) ** 2)

    ranking = rank_inputs(classes, {"features": x}, labels, columns=COLUMNS, task="multiclass")
    assert ranking.inputs[0].column == "useful"
    assert ranking.nominal > 0.8
    assert 0 < ranking.inputs[0].importance.error < 0.05

    def value(given):
        return given["features"][:, 1]

    ranking = rank_inputs(value, {"features": x}, x[:, 1:2], columns=COLUMNS, task="regression")
    assert ranking.nominal == 0.0
    # Independent prediction and truth of unit relative spread differ by √2.
    assert ranking.inputs[0].importance.value == pytest.approx(np.sqrt(2), abs=0.1)


def test_bad_input():
    blocks, labels = toy(100)
    with pytest.raises(errors.SettingError, match="ranking knows"):
        rank_inputs(total, blocks, labels, columns=COLUMNS, task="clustering")
    with pytest.raises(errors.ShapeError, match="100 events"):
        rank_inputs(total, blocks, labels[:50], columns=COLUMNS)
    with pytest.raises(errors.ShapeError, match="2 column labels"):
        rank_inputs(total, blocks, labels, columns={"features": ["a", "b"]})
    with pytest.raises(errors.EmptySelectionError, match="no background"):
        rank_inputs(total, blocks, np.ones(100), columns=COLUMNS)
    with pytest.raises(errors.SettingError, match="repeats"):
        rank_inputs(total, blocks, labels, columns=COLUMNS, repeats=0)
