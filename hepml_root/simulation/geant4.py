"""The same calorimeters in Geant4, where geant4-pybind and Geant4's data sets are installed."""

from __future__ import annotations

import importlib.util
import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from hepml_root.data.geometry import Geometry, geometry
from hepml_root.data.showers import Showers
from hepml_root.errors import HepmlError, MissingDependencyError, SettingError, unknown
from hepml_root.simulation.calorimeter import check_request, particle_angles
from hepml_root.simulation.geant4_process import MATERIALS, MISSING, Task

PARTICLES = {"photon": "gamma", "electron": "e-", "positron": "e+", "pion": "pi-", "geantino": "geantino"}
PHYSICS = ("FTFP_BERT", "FTFP_BERT_ATL", "FTFP_BERT_HP", "QGSP_BERT", "QBBC")
INSTALL = (
    "Install it with: pip install 'hepml_root[geant4]'. Its data sets (2 GB) are found where GEANT4_DATA_DIR "
    "says, or are downloaded to ~/.geant4_pybind by: python -c 'import geant4_pybind'"
)


def geant4_showers(
    calorimeter: str | Geometry,
    conditions: ArrayLike,
    labels: Sequence[str] = ("energy",),
    *,
    particle: str = "photon",
    seed: int = 1,
    physics: str = "FTFP_BERT",
    cut: float = 0.7,
) -> Showers:
    """Simulate one shower for each given particle with Geant4, in a process of its own.

    The calorimeter is a stack of plates as the geometry says; what is deposited in active plates counts. On
    the scale "electromagnetic" it is divided by the sampling fraction that the parametrisation has for the
    layer. Showers take from 6 ms (1 GeV) to 250 ms (50 GeV).

    Arguments
    ---------
    calorimeter, conditions, labels:
        As for :func:`hepml_root.simulation.simulate_showers`.
    particle:
        "photon", "electron", "positron", "pion" (negative), or "geantino": a particle without interactions,
        for which the cells hold the length of its path in the active plates [mm], as a check of the geometry.
    seed:
        The same conditions and seed give the same showers with the same version of Geant4.
    physics:
        One of Geant4's physics lists.
    cut:
        Production cut [mm].

    Raises
    ------
    MissingDependencyError
        geant4-pybind or Geant4's data sets are not installed.
    SettingError, ShapeError, NonFiniteInputError
        As for :func:`hepml_root.simulation.simulate_showers`; or an unknown physics list.
    HepmlError
        Geant4 stopped with an error, which the message has.

    Reference
    ---------
    Geant4, doi:10.1016/S0168-9002(03)01368-8.

    Example
    -------
    >>> showers = geant4_showers("si-w-30", [10.0] * 100)  # doctest: +SKIP
    """
    chosen = geometry(calorimeter)
    if particle not in PARTICLES:
        raise SettingError(unknown("particle", str(particle), PARTICLES))
    if physics not in PHYSICS:
        raise SettingError(unknown("physics list", str(physics), PHYSICS))
    if not 0 < cut < float("inf"):
        raise SettingError(f"cut={cut} must be a length above 0 [mm].")
    values, labels, table = check_request(chosen, conditions, labels, seed)
    for layer in chosen.layers:
        layer.medium  # noqa: B018 (unknown materials are refused here)
        for name in filter(None, (layer.passive, layer.active)):
            if name not in MATERIALS:
                raise SettingError(unknown("material of Geant4", name, MATERIALS))
    if importlib.util.find_spec("geant4_pybind") is None:
        raise MissingDependencyError(f"the package geant4-pybind is not installed. {INSTALL}")
    origin = np.zeros(len(values))
    with tempfile.TemporaryDirectory() as folder:
        task = Task(
            geometry=chosen,
            particle=PARTICLES[particle],
            seed=int(seed) % 2**31 + 1,
            physics=physics,
            energy=table["energy"],
            x=table.get("x", origin),
            y=table.get("y", origin),
            angle=particle_angles(table),
            cut=cut,
            result=Path(folder) / "energies.npy",
        )
        done = subprocess.run(
            [sys.executable, "-m", "hepml_root.simulation.geant4_process"],
            input=pickle.dumps(task),
            capture_output=True,
            check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        if done.returncode == MISSING:
            said = (done.stdout + done.stderr).decode(errors="replace").strip().splitlines()
            raise MissingDependencyError(f"Geant4 cannot start ({' '.join(said[-2:])}). {INSTALL}")
        if done.returncode or not task.result.exists():
            text = (done.stdout + done.stderr).decode(errors="replace").strip()
            raise HepmlError(f"Geant4 stopped with the code {done.returncode}: {text[-2000:]}")
        energies = np.load(task.result)
    made = {"source": "Geant4", "particle": particle, "seed": int(seed), "physics": physics, "cut": cut}
    return Showers(energies, values, chosen, labels, provenance=made)
