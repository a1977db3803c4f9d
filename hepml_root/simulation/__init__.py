"""Simulated events: collisions with Pythia 8, a parametrised detector and FastJet, written as ROOT files."""
