"""Representations of jets and events: constituents, images, sequences, graphs, and observables."""

from hepml_root.representations import observables
from hepml_root.representations.constituents import Constituents, constituents
from hepml_root.representations.graph import Graph, graph
from hepml_root.representations.image import Image, image
from hepml_root.representations.jet_observables import JET_OBSERVABLES, jet_observables
from hepml_root.representations.jetclass import JETCLASS_CLASSES, jetclass_particles, jetclass_sources
from hepml_root.representations.sequence import LundPlane, lund, sequence

__all__ = [
    "JETCLASS_CLASSES",
    "JET_OBSERVABLES",
    "Constituents",
    "Graph",
    "Image",
    "LundPlane",
    "constituents",
    "graph",
    "image",
    "jet_observables",
    "jetclass_particles",
    "jetclass_sources",
    "lund",
    "observables",
    "sequence",
]
