"""A process that makes showers with Geant4: ``python -m hepml_root.simulation.geant4_process``.

Started by geant4.py, which sends a pickled :class:`Task` to its stdin. Geant4 takes one geometry in a
process, prints to stdout, and ends the process where it finds a fault: so it has one of its own.
"""

from __future__ import annotations

import os
import pickle
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hepml_root.data.geometry import Geometry, Layer, Polar

# Exit code that says that Geant4 or its data sets are not there.
MISSING = 3
# Name in Geant4's data base of each of our materials.
MATERIALS = {
    "silicon": "G4_Si",
    "liquid argon": "G4_lAr",
    "scintillator": "G4_PLASTIC_SC_VINYLTOLUENE",
    "iron": "G4_Fe",
    "copper": "G4_Cu",
    "tungsten": "G4_W",
    "lead": "G4_Pb",
    "lead tungstate": "G4_PbWO4",
}
_MEV_PER_GEV = 1000.0


@dataclass(frozen=True)
class Task:
    """What is to be simulated.

    Attributes
    ----------
    geometry, particle, seed, physics:
        The calorimeter, Geant4's name of the particle, the seed, the name of a physics list.
    energy, x, y, angle:
        Of each shower [GeV, mm, rad], (showers,).
    cut:
        Geant4's production cut [mm].
    result:
        Where the energies (showers, cells) are written, as a NumPy file.
    """

    geometry: Geometry
    particle: str
    seed: int
    physics: str
    energy: NDArray[np.float64]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    angle: NDArray[np.float64]
    cut: float
    result: Path


def main() -> None:
    """Read a task from stdin, simulate, write the result."""
    task: Task = pickle.load(sys.stdin.buffer)
    try:
        import geant4_pybind as g4
    except (ImportError, EOFError) as error:
        print(error, file=sys.stderr)
        sys.exit(MISSING)
    energies = simulate(g4, task)
    with open(task.result, "wb") as file:
        np.save(file, energies)
    sys.stdout.flush()
    # Geant4's own end, in no certain order with Python's, may crash when all is done.
    os._exit(0)


def simulate(g4: Any, task: Task) -> NDArray[np.float32]:
    """Return the energies of the cells, (showers, cells); of geantinos, the lengths of their paths [mm]."""
    straight = task.particle == "geantino"
    geometry = task.geometry
    energies = np.zeros((len(task.energy), geometry.cells), dtype=np.float32)
    steps: list[tuple[int, float, float, float]] = []

    class ActivePlates(g4.G4VSensitiveDetector):
        def ProcessHits(self, step: Any, history: Any) -> bool:  # noqa: ARG002
            value = step.GetStepLength() if straight else step.GetTotalEnergyDeposit()
            if value > 0:
                before, after = step.GetPreStepPoint(), step.GetPostStepPoint()
                one, other = before.GetPosition(), after.GetPosition()
                layer = before.GetTouchable().GetCopyNumber()
                steps.append((layer, (one.x + other.x) / 2, (one.y + other.y) / 2, value))
            return True

    class Calorimeter(g4.G4VUserDetectorConstruction):
        def Construct(self) -> Any:
            self.kept, self.active = build(g4, geometry)
            return self.kept[0]

        def ConstructSDandField(self) -> None:
            self.plates = ActivePlates("active")
            g4.G4SDManager.GetSDMpointer().AddNewDetector(self.plates)
            for volume in self.active:
                volume.SetSensitiveDetector(self.plates)

    class Particles(g4.G4VUserPrimaryGeneratorAction):
        def __init__(self) -> None:
            super().__init__()
            self.gun = g4.G4ParticleGun(1)
            self.gun.SetParticleByName(task.particle)

        def GeneratePrimaries(self, event: Any) -> None:
            number = event.GetEventID()
            tangent = float(np.tan(task.angle[number]))
            # From 1 mm in front of the face, so that the particle enters it at (x, y).
            start = float(task.x[number]) - tangent, float(task.y[number])
            self.gun.SetParticlePosition(g4.G4ThreeVector(*start, -1.0))
            self.gun.SetParticleMomentumDirection(g4.G4ThreeVector(tangent, 0.0, 1.0).unit())
            self.gun.SetParticleEnergy(float(task.energy[number]) * _MEV_PER_GEV)
            self.gun.GeneratePrimaryVertex(event)

    class Collect(g4.G4UserEventAction):
        def EndOfEventAction(self, event: Any) -> None:
            if steps:
                fill(energies[event.GetEventID()], geometry, np.array(steps), straight)
            steps.clear()

    class Actions(g4.G4VUserActionInitialization):
        def Build(self) -> None:
            self.particles, self.collect = Particles(), Collect()
            self.SetUserAction(self.particles)
            self.SetUserAction(self.collect)

    class NoInteractions(g4.G4VModularPhysicsList):
        def ConstructParticle(self) -> None:
            g4.G4Geantino.GeantinoDefinition()

    manager = g4.G4RunManagerFactory.CreateRunManager(g4.G4RunManagerType.Serial)
    physics = NoInteractions() if straight else getattr(g4, task.physics)()
    physics.SetDefaultCutValue(task.cut)
    held = Calorimeter(), physics, Actions()
    for one in held:
        manager.SetUserInitialization(one)
    g4.G4Random.setTheSeed(task.seed)
    manager.Initialize()
    manager.BeamOn(len(task.energy))
    return energies


def build(g4: Any, geometry: Geometry) -> tuple[list[Any], list[Any]]:
    """Place the plates; return all that Geant4 needs alive, the world first, and the active volumes.

    A plate of layer i has the copy number i.
    """
    nist = g4.G4NistManager.Instance()
    width, height = (
        max(2 * size for size in sizes)
        for sizes in zip(*(half_size(layer) for layer in geometry.layers), strict=True)
    )
    depth = sum(layer.thickness for layer in geometry.layers)
    solid = g4.G4Box("world", width, height, depth + 100.0)
    logical = g4.G4LogicalVolume(solid, nist.FindOrBuildMaterial("G4_Galactic"), "world")
    world = g4.G4PVPlacement(None, g4.G4ThreeVector(), logical, "world", None, False, 0)
    kept: list[Any] = [world, solid, logical]
    active: list[Any] = []
    shapes: dict[tuple[str, float], Any] = {}
    front = 0.0
    for number, layer in enumerate(geometry.layers):
        assert layer.active is not None  # the caller has asked for the medium
        # Which plates measure is their place, not their material: both may be of one.
        passive = [(layer.passive, layer.passive_mm, False)] if layer.passive else []
        thickness = layer.active_mm if layer.passive else layer.gaps * layer.active_mm
        plates = [*passive, (layer.active, thickness, True)]
        for name, mm, is_active in plates * (layer.gaps if layer.passive else 1):
            key = f"{'active' if is_active else 'passive'} {name}", mm
            if key not in shapes:
                box = g4.G4Box(key[0], width / 2, height / 2, mm / 2)
                volume = g4.G4LogicalVolume(box, nist.FindOrBuildMaterial(MATERIALS[str(name)]), key[0])
                shapes[key] = volume
                kept += [box, volume]
                if is_active:
                    active.append(volume)
            place = g4.G4ThreeVector(0.0, 0.0, front + mm / 2)
            kept.append(g4.G4PVPlacement(None, place, shapes[key], key[0], logical, False, number))
            front += mm
    return kept, active


def half_size(layer: Layer) -> tuple[float, float]:
    """Return half the width and half the height of a layer [mm]."""
    cells = layer.segmentation
    if isinstance(cells, Polar):
        return cells.edges[-1], cells.edges[-1]
    return cells.columns * cells.width / 2, cells.rows * cells.height / 2


def fill(
    energies: NDArray[np.float32], geometry: Geometry, steps: NDArray[np.float64], straight: bool
) -> None:
    """Add steps (layer, x, y, MeV) to the cells of one shower, on the scale of the geometry."""
    for number in np.unique(steps[:, 0]).astype(int):
        layer, (_, x, y, value) = geometry.layers[number], steps[steps[:, 0] == number].T
        if not straight:
            value = value / _MEV_PER_GEV
            if geometry.scale == "electromagnetic":
                value = value / layer.medium.sampling_fraction
        cell = layer.segmentation.locate(x, y)
        inside = cell >= 0
        where = geometry.slices[number]
        sums = np.bincount(cell[inside], value[inside], minlength=where.stop - where.start)
        energies[where] = sums if straight else np.where(sums >= geometry.threshold, sums, 0.0)


if __name__ == "__main__":
    main()
