"""Representations of jets and events: constituents, images, sequences, graphs, and observables."""

from hepml_root.representations import observables
from hepml_root.representations.constituents import Constituents, constituents
from hepml_root.representations.jet_observables import JET_OBSERVABLES, jet_observables

__all__ = [
    "JET_OBSERVABLES",
    "Constituents",
    "constituents",
    "jet_observables",
    "observables",
]
