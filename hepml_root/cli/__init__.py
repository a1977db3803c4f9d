"""The command ``hepml-root``: its commands, job files, and the demo."""
