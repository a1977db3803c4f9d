"""Simulated events as ROOT files: collisions with a parametrised detector, and calorimeter showers."""

from hepml_root.simulation.calorimeter import showers, simulate_showers
from hepml_root.simulation.collisions import generate, sample
from hepml_root.simulation.geant4 import geant4_showers
from hepml_root.simulation.sample_file import provenance
from hepml_root.simulation.samples import Branch, Sample, find, names

__all__ = [
    "Branch",
    "Sample",
    "find",
    "geant4_showers",
    "generate",
    "names",
    "provenance",
    "sample",
    "showers",
    "simulate_showers",
]
