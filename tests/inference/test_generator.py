"""Exported generators of showers in Python: files, data frames, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
import ROOT
import uproot
from model_files import CELLS, GEOMETRY, write_generator, write_mlp

import hepml_root as hr
from hepml_root.cli.commands import main
from hepml_root.errors import (
    ColumnNotFoundError,
    EmptySelectionError,
    HepmlError,
    ModelFileError,
    NonFiniteInputError,
    SettingError,
    ShapeError,
    SourceNotFoundError,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("generator")


@pytest.fixture(scope="module")
def model(folder):
    return write_generator(folder / "gen.onnx")


@pytest.fixture(scope="module")
def truth(folder):
    """Particles that are called differently, with a number of their own."""
    options = ROOT.RDF.RSnapshotOptions()
    options.fAutoFlush, options.fOutputFormat = 100, ROOT.RDF.ESnapshotOutputFormat.kTTree
    frame = ROOT.RDataFrame(3000).Define("truth_energy", "1000. * (10 + rdfentry_ % 90)")
    frame = frame.Define("eta", "0.0005f * rdfentry_ - 0.75f").Define("event_number", "(ULong64_t)rdfentry_")
    path = str(folder / "truth.root")
    frame.Snapshot("events", path, ["truth_energy", "eta", "event_number"], options)
    return path


def test_showers_have_the_distribution_of_the_model(model):
    energy = np.repeat([20.0, 90.0], 4000)
    showers = hr.generate_showers(model, {"energy": energy, "eta": 0.5}, seed=1)
    assert showers.geometry == hr.data.Geometry.from_dict(GEOMETRY)
    assert showers.geometry.cells == CELLS
    assert showers.labels == ("energy", "eta")
    assert showers.provenance["model"] == "gen.onnx"
    for value in (20.0, 90.0):
        mean = value / 50
        # The mean of max(0, m + z) is m Φ(m) + φ(m); its error is below 1/√56 000 = 0.0042.
        expected = mean * 0.5 * math.erfc(-mean / math.sqrt(2)) + math.exp(-(mean**2) / 2) / math.sqrt(
            2 * math.pi
        )
        found = showers[energy == value].energies.mean(dtype=np.float64)
        assert found == pytest.approx(expected, abs=4 * 0.0042)
    # Exact zeros, as many as Φ(-0.4) says: 0.3446 ± 0.002.
    empty = np.mean(showers[energy == 20].energies == 0)
    assert empty == pytest.approx(0.5 * math.erfc(0.4 / math.sqrt(2)), abs=0.008)


def test_a_shower_is_a_function_of_seed_and_number(model):
    generator = hr.ShowerGenerator(model)
    conditions = np.random.default_rng(1).uniform([10, -1], [100, 1], (300, 2)).astype(np.float32)
    whole = generator.sample(conditions, seed=2**64 - 1)
    parts = [
        generator.sample(conditions[first:last], seed=2**64 - 1, first_event=first).energies
        for first, last in ((0, 1), (1, 70), (70, 300))
    ]
    np.testing.assert_array_equal(np.concatenate(parts), whole.energies)
    again = generator.sample(whole, seed=2**64 - 1)  # conditions of other showers
    np.testing.assert_array_equal(again.energies, whole.energies)
    assert np.mean(generator.sample(conditions, seed=3).energies == whole.energies) < 0.3  # both are 0
    assert "gen' (noise) of showers in tiny; energy 10 to 100, eta -1 to 1" in repr(generator)


def test_files_do_not_depend_on_processes_and_agree_with_data_frames(model, folder):
    sample = hr.shower_sample(model, {"energy": (10, 100), "eta": 0.25}, spectrum="log")
    made = {
        name: hr.Showers.from_root(
            hr.simulation.generate(sample, folder / f"{name}.root", events, 5, processes=processes)
        )
        for name, events, processes in (("whole", 3000, 0), ("shorter", 2500, 1))
    }
    whole = made["whole"]
    np.testing.assert_array_equal(made["shorter"].energies, whole.energies[:2500])
    np.testing.assert_array_equal(made["shorter"].conditions, whole.conditions[:2500])
    assert whole.labels == ("energy", "eta")
    energy, eta = whole.conditions.T
    assert set(eta) == {np.float32(0.25)}
    assert energy.min() >= 10
    assert energy.max() <= 100
    # Even in log E: half of them below √1000 = 31.6 GeV, 1500 ± 27.
    assert abs(np.count_nonzero(energy < math.sqrt(1000)) - 1500) < 4 * 27
    # What is in the file, once more: from its conditions, its event numbers and the seed.
    frame = ROOT.RDataFrame("showers", str(folder / "whole.root"))
    frame = hr.define(frame, model, "cells[]", seed=5, event="event_number")
    cells = np.stack([np.asarray(one) for one in frame.AsNumpy(["cells"])["cells"]])
    np.testing.assert_array_equal(cells, whole.energies)
    said = hr.simulation.provenance(folder / "whole.root")
    assert said["model"]["sha256"] == hr.ShowerGenerator(model).sha256
    assert said["model"]["kind"] == "noise"
    assert said["seed"] == 5
    assert said["options"] == {"energy": "10:100", "eta": "0.25:0.25", "spectrum": "log"}
    assert str(folder) not in str(said)


def test_a_sample_is_known_by_all_digits_of_its_ranges(model):
    """By its options a generation is known that is to be resumed: others must not look the same."""
    options = [hr.shower_sample(model, {"energy": (10, end), "eta": 0.25}).options for end in (50, 50.000004)]
    assert options[0]["energy"] == "10:50"
    assert options[1]["energy"] == "10:50.000004"


def test_conditions_of_a_tree(model, truth, folder, capsys):
    path = folder / "of_truth.root"
    arguments = ["generate", "--model", str(model), "--conditions", f"{truth}:events", "-o", str(path)]
    assert main([*arguments, "--input", "energy=truth_energy / 1000", "--seed", "9"]) == 0
    assert "3,000 events of gen-showers in tree 'showers'" in capsys.readouterr().out
    made = hr.Showers.from_root(path)
    assert made.condition("energy")[:3].tolist() == [10, 11, 12]
    right = hr.generate_showers(model, made.conditions, seed=9)
    np.testing.assert_array_equal(made.energies, right.energies)
    # Threads share out the entries as they like; so do the blocks of apply.
    inputs = {"energy": "truth_energy / 1000"}
    ROOT.EnableImplicitMT(3)
    try:
        frame = hr.define(
            ROOT.RDataFrame("events", truth), model, "cells[]", inputs=inputs, seed=9, event="event_number"
        )
        found = frame.AsNumpy(["event_number", "cells"])
    finally:
        ROOT.DisableImplicitMT()
    order = np.argsort(found["event_number"])
    cells = np.stack([np.asarray(found["cells"][place]) for place in order])
    np.testing.assert_array_equal(cells, right.energies)
    hr.apply(model, f"{truth}:events", folder / "friend.root", column="cells[]", inputs=inputs, seed=9)
    with uproot.open(folder / "friend.root") as file:
        np.testing.assert_array_equal(file["scores"]["cells"].array(library="np"), right.energies)
    sample = hr.shower_sample(model, f"{truth}:events", inputs=inputs)
    with pytest.raises(SettingError, match="3001 showers are asked for, and conditions are given for 3000"):
        hr.simulation.generate(sample, folder / "more.root", 3001)
    with pytest.raises(ColumnNotFoundError, match="energy"):
        hr.shower_sample(model, f"{truth}:events")
    assert main([*arguments, "--overwrite"]) == 2  # 10 000 GeV and more, if MeV are taken for GeV
    assert main([*arguments, "--input", "energy=truth_energy", "--overwrite"]) == 2
    assert "energy=10000 of shower 0 is outside of 10 to 100" in capsys.readouterr().err


def test_the_event_loop_refuses_what_was_not_trained_for(model):
    # A column that is called as a word of the message, or of the code, is no trap.
    frame = ROOT.RDataFrame(20).Define("energy", "5.f * rdfentry_").Define("require", "1")
    for expression, said in (
        ("energy", "energy = 0 is no energy of a particle"),
        ("energy + 1", "energy = 1 is outside of 10 to 100"),
        ("20 + 5 * energy", "energy = 120 is outside of 10 to 100"),
        ("-energy - 20", "energy = -20 is no energy"),
        ("std::sqrt(-1.f - energy)", "is no energy"),
    ):
        node = hr.define(frame, model, "cells[]", inputs={"energy": expression}, parameters={"eta": 0})
        with pytest.raises(Exception, match=f"generator 'gen': {said}|{said}"):
            node.Sum("cells").GetValue()
    node = hr.define(frame, model, "cells[]", inputs={"energy": "50"}, parameters={"eta": 1.5})
    with pytest.raises(Exception, match=r"eta = 1\.5 is outside of -1 to 1"):
        node.Sum("cells").GetValue()
    settings = {"inputs": {"energy": "energy + 1"}, "parameters": {"eta": 1.5}, "allow_extrapolation": True}
    cells = hr.define(frame, model, "cells[]", seed=3, **settings).AsNumpy(["cells"])["cells"]
    conditions = {"energy": 5 * np.arange(20.0) + 1, "eta": 1.5}
    right = hr.generate_showers(model, conditions, seed=3, allow_extrapolation=True)
    np.testing.assert_array_equal(np.stack([np.asarray(one) for one in cells]), right.energies)
    # The ends of the range are inside.
    node = hr.define(frame, model, "cells[]", inputs={"energy": "rdfentry_ % 2 ? 10 : 100", "eta": "1"})
    assert node.Sum("cells").GetValue() > 0


def test_conditions_that_cannot_be(model):
    for conditions, error, said in (
        ({"energy": 200.0, "eta": 0.0}, SettingError, "energy=200 of shower 0 is outside of 10 to 100"),
        ({"energy": -5.0, "eta": 0.0}, SettingError, "outside of 10 to 100"),
        ({"energy": [50, math.nan], "eta": 0.0}, NonFiniteInputError, "energy of shower 1 is nan"),
        ({"energy": 50.0}, SettingError, "also needs eta"),
        ({"energy": 50.0, "etta": 0.0}, SettingError, "Nearest: 'eta'"),
        (np.ones((4, 3)), ShapeError, r"\(showers, 2\) is needed"),
        (np.ones((0, 2)), EmptySelectionError, "no shower"),
        ([[20.0, 0.0], [30.0]], ShapeError, "energy, eta: a number, or as many as showers"),
        ([["much", 0.0]], ShapeError, "could not convert"),
    ):
        with pytest.raises(error, match=said):
            hr.generate_showers(model, conditions)
    with pytest.raises(SettingError, match="must be above 0"):
        hr.generate_showers(model, {"energy": -5.0, "eta": 0.0}, allow_extrapolation=True)
    with pytest.raises(SettingError, match="seed=-1"):
        hr.generate_showers(model, {"energy": 50.0, "eta": 0.0}, seed=-1)
    others = hr.Showers(np.ones((2, 504)), [[20, 0], [30, 0]], "lar-3", ("energy", "eta"))
    with pytest.raises(ShapeError, match=r"'.*gen\.onnx' makes showers of tiny.* not of lar-3"):
        hr.generate_showers(model, others)
    for conditions, said in (
        ({"energy": (100, 10), "eta": 0}, "from the least to the largest"),
        ({"energy": (10, 200), "eta": 0}, "energy=200 of shower 0 is outside"),
        ({"energy": "much", "eta": 0}, "a number, or a range of two"),
    ):
        with pytest.raises(SettingError, match=said):
            hr.shower_sample(model, conditions)


def test_files_that_are_no_generator(folder):
    mlp = write_mlp(folder / "mlp.onnx", ["energy"], hidden=(3,))
    wrong = GEOMETRY | {"layers": GEOMETRY["layers"][:1]}
    cases = {
        "mlp.onnx": (mlp, "is no generator of showers: it gives score"),
        "cells.onnx": (write_generator(folder / "cells.onnx", geometry=wrong), r"has 6 cells"),
        "bare.onnx": (write_generator(folder / "bare.onnx", geometry={"name": "x"}), "does not describe"),
        "range.onnx": (write_generator(folder / "range.onnx", ranges={"energy": [1, 2]}), "trained range"),
        "mass.onnx": (write_generator(folder / "mass.onnx", ["energy", "mass"]), "no condition of showers"),
    }
    for path, said in cases.values():
        with pytest.raises(ModelFileError, match=said):
            hr.ShowerGenerator(path)
    with pytest.raises(SourceNotFoundError):
        hr.ShowerGenerator(folder / "missing.onnx")
    text = folder / "text.onnx"
    text.write_text("no model")
    with pytest.raises(HepmlError):
        hr.ShowerGenerator(text)


def test_energies_that_cannot_be_and_a_model_that_changes_meanwhile(folder):
    path = write_generator(folder / "negative.onnx", positive=False)
    sample = hr.shower_sample(path, {"energy": 50, "eta": 0})
    with pytest.raises(ModelFileError, match=r"gives -\S+ GeV in cell \d+ for energy=50, eta=0: no energy"):
        hr.simulation.generate(sample, folder / "negative.root", 30, processes=0)
    path.unlink()
    with pytest.raises(ModelFileError, match="cannot be read any more"):
        hr.simulation.generate(sample, folder / "gone.root", 10, processes=0)
    write_generator(path, positive=False, kind="other")
    with pytest.raises(ModelFileError, match="has changed"):
        hr.simulation.generate(sample, folder / "changed.root", 10, processes=0)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--energy", "50"], ["also needs eta"]),
        (["--energy", "5:50", "--set", "eta=0"], ["energy=5", "10 to 100", "--allow-extrapolation"]),
        (["--energy", "-3", "--set", "eta=0", "--allow-extrapolation"], ["must be above 0"]),
        (["--energy", "1:2:3", "--set", "eta=0"], ["a range as 10:100"]),
        (["--energy", "50", "--set", "energy=50"], ["say the same"]),
        (["--energy", "50", "--set", "eta=0", "--set", "spectrum=power"], ["no spectrum 'power'"]),
        (["--energy", "50", "--set", "eta=0", "--geometry", "lar-3"], ["makes showers of tiny"]),
        (["--energy", "50", "--set", "eta=0", "--input", "eta=1"], ["--input belongs to --conditions"]),
        (["--energy", "50", "--conditions", "truth.root:events"], ["leave out energy"]),
        (["--conditions", "truth.root:events"], ["truth.root"]),
        (["photon-showers", "--energy", "50"], ["'photon-showers' or a --model, not both"]),
    ],
)
def test_bad_requests_on_the_command_line(model, arguments, words, tmp_path, capfd):
    capfd.readouterr()
    output = tmp_path / "showers.root"
    assert main(["generate", "--model", str(model), "-n", "3", "-o", str(output), *arguments]) == 2
    said = capfd.readouterr().err
    assert said.startswith("hepml-root: ")
    assert [word for word in words if word not in said] == []
    assert list(tmp_path.iterdir()) == []


def test_options_of_a_model_belong_to_one(tmp_path, capfd):
    arguments = ["generate", "photon-showers", "-n", "3", "-o", str(tmp_path / "x.root"), "--energy", "5"]
    assert main([*arguments, "--allow-extrapolation"]) == 2
    assert "--allow-extrapolation belongs to --model" in capfd.readouterr().err
