"""Showers with known energies, centres and widths; the whole comparison, its page, and the command line."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from hepml_root.cli.commands import main
from hepml_root.data.geometry import geometry
from hepml_root.data.showers import Showers
from hepml_root.errors import SettingError, ShapeError, StatisticsWarning
from hepml_root.evaluation.shower_observables import feature_table, radial_edges, shower_observables
from hepml_root.evaluation.shower_page import _distances, _tiles
from hepml_root.evaluation.two_sample import compare_showers


def toy(showers: int, seed: int, scale: float = 1.0, width: float = 1.0, low: float = 10.0) -> Showers:
    """Showers of about 10 % / √(E / 10 GeV) in three layers, with exponential lateral profiles."""
    generator, calorimeter = np.random.default_rng(seed), geometry("lar-3")
    energy = generator.uniform(low, 100.0, showers)
    total = energy * scale * (1 + 0.1 * width / np.sqrt(energy / 10) * generator.normal(size=showers))
    cells = np.zeros((showers, calorimeter.cells), dtype=np.float32)
    x, y = generator.normal(0.0, 10.0, (2, showers, 1))
    for where, share in zip(calorimeter.slices, (0.1, 0.75, 0.15), strict=True):
        place = calorimeter.centres[where]
        distance = np.hypot(place[:, 0] - x, place[:, 1] - y)
        shape = np.exp(-distance / (15.0 * width)) * generator.gamma(2.0, 0.5, distance.shape)
        cells[:, where] = shape / shape.sum(axis=1, keepdims=True) * (share * total)[:, None]
    cells[cells < 1e-3] = 0.0
    return Showers(cells, energy, calorimeter)


def test_observables_of_a_shower_by_hand():
    calorimeter = geometry("lar-3")
    cells = np.zeros((2, calorimeter.cells))
    # Layer 0 has 3 × 96 cells of 160 mm × 5 mm; layer 1 has 12 × 12 cells of 40 mm.
    first, second = 96 + 48, 96 + 50  # middle row, centres at x = 2.5 and 12.5 mm
    third = 288 + 6 * 12 + 6  # centre at x = y = 20 mm
    cells[0, [first, second, third]] = 1.0, 3.0, 4.0
    cells[1, third] = 5e-4  # below the threshold of 1 MeV
    found = {item.name: item.values for item in shower_observables(Showers(cells, [10.0, 10.0], calorimeter))}
    assert found["energy"].tolist() == [8.0, 0.0]
    assert found["response"][0] == pytest.approx(0.8)
    assert found["hits"].tolist() == [3.0, 0.0]
    assert found["brightest"][0] == 0.5
    assert found["sparsity_layer_0"].tolist() == [1 - 2 / 288, 1.0]
    assert found["centre_x_layer_0"][0] == pytest.approx((2.5 + 3 * 12.5) / 4)
    assert found["width_layer_0"][0] == pytest.approx(np.sqrt(3 / 16) * 10)  # two points 10 mm apart, ¼ and ¾
    assert found["centre_x"][0] == pytest.approx((10 * 4 + 20 * 4) / 8)
    assert found["centre_y"][0] == pytest.approx(10.0)
    depths = calorimeter.depths
    assert found["depth"][0] == pytest.approx((depths[0] + depths[1]) / 2)
    assert found["depth_width"][0] == pytest.approx((depths[1] - depths[0]) / 2)
    assert np.isnan([found[name][1] for name in ("depth", "centre_x", "width_layer_0", "brightest")]).all()
    assert found["longitudinal"][0].tolist() == [4.0, 4.0, 0.0]
    assert found["radial"].sum(axis=1).tolist() == [8.0, 0.0]
    distances = np.hypot(np.array([2.5, 12.5, 20.0]) - 15.0, np.array([0.0, 0.0, 20.0]) - 10.0)
    expected = np.histogram(distances, radial_edges(calorimeter), weights=[1.0, 3.0, 4.0])[0]
    assert found["radial"][0] == pytest.approx(expected)
    assert found["cells"].sum(axis=1).tolist() == [3.0, 0.0]
    everything = {
        item.name: item for item in shower_observables(Showers(cells, [10.0, 10.0], calorimeter), threshold=0)
    }
    assert everything["hits"].values.tolist() == [3.0, 1.0]
    names, table = feature_table(list(everything.values()))
    assert np.isfinite(table).all()
    assert "longitudinal" not in names
    with pytest.raises(SettingError, match="threshold"):
        shower_observables(Showers(cells, [10.0, 10.0], calorimeter), threshold=-1)


def test_the_same_source_is_not_told_apart():
    report = compare_showers(
        toy(1500, 1), toy(1500, 2), train=toy(1500, 3), classifiers=("high level, boosted",)
    )
    auc = report.classifiers["high level, boosted"].auc
    assert abs(auc.value - 0.5) < 3.5 * auc.error
    summary = report.summary()
    assert summary["mean_wasserstein"] == pytest.approx(summary["mean_wasserstein_floor"], rel=0.5)
    assert summary["above_floor"] < 0.3  # 5 % on average, of correlated quantities
    assert abs(report.frechet.estimate.value) < 4 * report.frechet.estimate.error
    assert abs(report.kernel.value) < 4 * report.kernel.error
    (response, error), _ = report.response.worst()
    assert abs(response) < 4 * error  # the largest of eight
    assert summary["memorised"] == {"observables": False, "cells": False}
    assert not report.coverage.collapsed
    assert report.notes == []


def test_wrong_showers_are_found():
    source, generated = toy(600, 1), toy(600, 2, scale=1.05, width=1.3)
    settings = {"hidden": (16,), "epochs": 3, "threads": 1, "trees": 100}
    report = compare_showers(source, generated, classifier_settings=settings, bootstrap=20)
    assert set(report.classifiers) == {"low level, network", "high level, network", "high level, boosted"}
    assert report.classifiers["high level, boosted"].auc.value > 0.8
    by_name = {item.name: item for item in report.observables}
    assert not by_name["width"].wasserstein.at_the_floor
    assert not by_name["response"].wasserstein.at_the_floor
    ratio, error = report.response.response_ratio, report.response.response_ratio_error
    assert abs(ratio.mean() - 1.05) < 4 * np.sqrt(np.sum(error**2)) / len(error)


def test_copies_of_training_showers_are_found():
    train = toy(500, 3)
    report = compare_showers(toy(500, 1), train[:400], train=train, classifiers=(), bootstrap=0)
    assert report.summary()["memorised"] == {"observables": True, "cells": True}
    assert report.copying["cells"].copies == 1


def test_without_replicas_nothing_is_said_of_the_floor():
    report = compare_showers(toy(200, 1), toy(200, 2), classifiers=(), bootstrap=0)
    assert np.isnan(report.summary()["above_floor"])
    assert report.to_dict()["summary"]["above_floor"] is None
    assert not [name for name, _, _ in _tiles(report) if "floor" in name]
    assert {row[-1] for row in _distances(report.observables).rows} == {""}


def test_one_threshold_counts_for_both_samples():
    """Of the same cells with other thresholds, as a generator of its own may have it."""
    made = toy(200, 2)
    other = dataclasses.replace(made.geometry, threshold=0.5)
    same, changed = (
        compare_showers(
            toy(200, 1), Showers(made.energies, made.conditions, one), classifiers=(), bootstrap=0
        )
        for one in (made.geometry, other)
    )
    assert changed.summary()["mean_wasserstein"] == same.summary()["mean_wasserstein"]
    assert changed.settings["threshold"] == made.geometry.threshold


def test_samples_that_cannot_be_compared():
    source = toy(100, 1)
    visible = dataclasses.replace(source.geometry, scale="visible")
    with pytest.raises(
        SettingError, match="on the scale 'electromagnetic' and those of 'lar-3' on 'visible'"
    ):
        compare_showers(source, Showers(source.energies, source.conditions, visible))
    cells = np.ones((100, geometry("si-w-10").cells))
    with pytest.raises(ShapeError, match="si-w-10"):
        compare_showers(source, Showers(cells, np.full(100, 10.0), "si-w-10"))
    two = Showers(
        source.energies, np.stack([source.condition("energy"), np.zeros(100)], 1), "lar-3", ("energy", "eta")
    )
    with pytest.raises(ShapeError, match="same conditions"):
        compare_showers(source, two)
    with pytest.raises(SettingError, match="Nearest: 'high level, boosted'"):
        compare_showers(source, source, classifiers=("high level, boost",))
    with pytest.warns(StatisticsWarning, match="condition 'energy'"):
        report = compare_showers(toy(400, 1), toy(400, 2, low=40.0), classifiers=(), bootstrap=20)
    assert "generate for the conditions" in report.notes[0]


def test_the_command_writes_the_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    source, generated = (toy(200, seed).write(tmp_path / f"{seed}.root") for seed in (1, 2))
    out = tmp_path / "report"
    command = ["compare", str(source), str(generated), "-o", str(out), "--classifier", "none"]
    assert main([*command, "--held-out", "40:60", "--train", str(source)]) == 0
    printed = capsys.readouterr().out
    assert "mean Wasserstein distance" in printed
    text = (out / "report.html").read_text(encoding="utf-8")
    assert text.count("<figure") == len(list((out / "plots").glob("*.png"))) >= 12
    for part in ("Fréchet physics distance", "not in the training", "Wasserstein", "no sign of memorising"):
        assert part in text
    content = json.loads((out / "report.json").read_text())
    assert content["copying"]["cells"]["memorised"] is False
    assert content["summary"]["mean_wasserstein"] > 0

    assert main(command) == 2  # it is there already, said before any work
    assert "--overwrite" in capsys.readouterr().err
    assert main([*command, "--held-out", "forty", "--overwrite"]) == 2
    assert "LOW:HIGH" in capsys.readouterr().err
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("mine")
    command[4] = str(tmp_path / "mine")
    assert main([*command, "--overwrite"]) == 2
    assert "no earlier report" in capsys.readouterr().err
