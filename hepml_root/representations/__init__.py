"""Representations of jets and events: constituents, images, sequences, graphs, and observables."""

from hepml_root.representations.constituents import Constituents, constituents

__all__ = [
    "Constituents",
    "constituents",
]
