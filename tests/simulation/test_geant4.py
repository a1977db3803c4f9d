"""Geant4 as a second source of showers: what can be known without it, and its geometry where it is."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest

from hepml_root.data.geometry import Geometry, geometry
from hepml_root.data.materials import MATERIALS
from hepml_root.errors import MissingDependencyError, SettingError
from hepml_root.simulation import geant4_process, geant4_showers

INSTALLED = importlib.util.find_spec("geant4_pybind") is not None


def has_data() -> bool:
    """Tell whether Geant4's data sets are there: without them, its import asks whether to download them."""
    places = [os.environ.get("GEANT4_DATA_DIR"), Path.home() / ".geant4_pybind"]
    return "G4LEDATA" in os.environ or any(one and Path(one).is_dir() for one in places)


def test_steps_are_summed_in_cells_on_the_scale_of_the_geometry():
    visible = dataclasses.replace(geometry("si-w-10"), scale="visible", threshold=0.0)
    steps = np.array(
        [
            (0, -49.0, -49.0, 2.0),  # MeV, in the first cell of the first layer
            (0, -41.0, -41.0, 1.0),  # in the same cell
            (0, -39.0, -41.0, 4.0),  # in the next column
            (3, 49.0, 49.0, 8.0),  # in the last cell of the fourth layer
            (3, 51.0, 49.0, 16.0),  # beside it
        ]
    )
    energies = np.zeros(visible.cells, dtype=np.float32)
    geant4_process.fill(energies, visible, steps, straight=False)
    assert {int(cell): float(energies[cell]) for cell in np.flatnonzero(energies)} == pytest.approx(
        {0: 3e-3, 1: 4e-3, 399: 8e-3}
    )
    electromagnetic = dataclasses.replace(visible, scale="electromagnetic", threshold=0.12)
    energies[:] = 0.0
    geant4_process.fill(energies, electromagnetic, steps, straight=False)
    fraction = visible.layers[0].medium.sampling_fraction
    # 3 MeV are 0.106 GeV on that scale, below the threshold.
    assert np.flatnonzero(energies).tolist() == [1, 399]
    assert energies[399] == pytest.approx(8e-3 / fraction)
    energies[:] = 0.0
    geant4_process.fill(energies, electromagnetic, steps, straight=True)
    assert energies.sum() == 15


def test_every_material_has_its_name_in_geant4():
    assert set(geant4_process.MATERIALS) == set(MATERIALS)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"particle": "muon"}, "no particle 'muon'"),
        ({"physics": "FTFP"}, "'FTFP_BERT'"),
        ({"cut": 0.0}, "above 0"),
        ({"conditions": [0.1]}, "from 1 to 1000 GeV"),
        ({"calorimeter": "lar"}, "'lar-3'"),
        (
            {"calorimeter": Geometry.from_dict({"name": "a", "layers": [{"grid": [1, 1, 9.0, 9.0]}]})},
            "says nothing of the layers' material",
        ),
    ],
)
def test_bad_requests(settings, words):
    with pytest.raises(SettingError) as caught:
        geant4_showers(**{"calorimeter": "lar-3", "conditions": [10.0], **settings})
    assert words in str(caught.value)


@pytest.mark.skipif(INSTALLED, reason="geant4-pybind is installed")
def test_without_the_package():
    with pytest.raises(MissingDependencyError, match=r"hepml_root\[geant4\]"):
        geant4_showers("lar-3", [10.0])


@pytest.mark.skipif(not INSTALLED or not has_data(), reason="needs geant4-pybind and Geant4's data sets")
@pytest.mark.parametrize("name", ["si-w-30", "lar-3", "cylinder"])
def test_geometry_in_geant4(name):
    """A straight line crosses all active plates: known lengths and places."""
    angle = 0.1
    conditions = [[10.0, 0.1, 0.1, 0.0], [10.0, 1.0, 0.1, angle]]
    made = geant4_showers(name, conditions, ("energy", "x", "y", "angle"), particle="geantino")
    plates = np.array([layer.gaps * layer.active_mm for layer in geometry(name).layers])
    np.testing.assert_allclose(made.layer_energies()[0], plates, rtol=1e-4)
    x = 1.0 + np.tan(angle) * made.geometry.centres[:, 2]
    inside = np.abs(x) < 40  # within the narrowest calorimeter
    crossed = made.energies[1] > 0
    centres = made.geometry.centres[crossed & inside]
    assert len(centres) >= 3
    # Within a cell of the line; those of a cylinder are curved.
    width = {"si-w-30": 5, "lar-3": 80, "cylinder": 30}[name]
    assert np.abs(centres[:, 0] - 1.0 - np.tan(angle) * centres[:, 2]).max() < width
    np.testing.assert_allclose(
        made.layer_energies()[1][:10], plates[:10] / np.cos(angle), rtol=0.05 if name == "lar-3" else 1e-4
    )


@pytest.mark.slow
@pytest.mark.skipif(not INSTALLED or not has_data(), reason="needs geant4-pybind and Geant4's data sets")
def test_photons_in_geant4_are_near_the_parametrisation():
    made = geant4_showers("si-w-30", np.full(100, 10.0))
    hits = (made.energies > 0).sum(axis=1)
    assert hits.mean() == pytest.approx(220, rel=0.1)
    assert made.total_energies().mean() / 10 == pytest.approx(1.0, abs=0.15)
