"""Models: each takes a dataset and gives something that predicts by named blocks and carries a manifest.

The functions are named as their modules, or stand in one with their kin; importing them here, first, makes
the names mean the functions. ``hepml-root models`` lists them with their presets.
"""

from hepml_root.models.boosted import BoostedModel, boosted
from hepml_root.models.conv import cnn, residual_cnn
from hepml_root.models.dense import dense
from hepml_root.models.presets import preset, zoo
from hepml_root.models.recurrent import gru, lstm

__all__ = ["BoostedModel", "boosted", "cnn", "dense", "gru", "lstm", "preset", "residual_cnn", "zoo"]
