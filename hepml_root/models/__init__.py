"""Models: each takes a dataset and gives something that predicts by named blocks and carries a manifest.

The functions are named as their modules; importing them here, first, makes the names mean the functions.
"""

from hepml_root.models.boosted import BoostedModel, boosted
from hepml_root.models.dense import dense

__all__ = ["BoostedModel", "boosted", "dense"]
