"""Models: each takes a dataset and returns something that :func:`hepml_root.fit` trains and that predicts by
name.

The functions are named as their modules; importing them here, first, makes the names mean the functions.
"""

from hepml_root.models.dense import dense

__all__ = ["dense"]
