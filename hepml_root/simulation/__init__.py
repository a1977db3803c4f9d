"""Simulated events: collisions with Pythia 8, a parametrised detector and FastJet, written as ROOT files."""

from hepml_root.simulation.collisions import generate, sample
from hepml_root.simulation.sample_file import provenance
from hepml_root.simulation.samples import Branch, Sample, find, names

__all__ = ["Branch", "Sample", "find", "generate", "names", "provenance", "sample"]
