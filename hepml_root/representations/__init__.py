"""Representations of jets and events: constituents, images, sequences, graphs, and observables."""
