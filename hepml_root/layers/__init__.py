"""Keras layers of this field: variable transforms with weighted, exported state, and the model's manifest.

See :mod:`hepml_root.layers.transforms` for the names that chains of transforms are written with.
"""

from hepml_root.layers.elementwise import Clip, Impute, Log
from hepml_root.layers.image import ScaleImage
from hepml_root.layers.linear import PCA, Decorrelate, MinMax, Standardise, TargetScale
from hepml_root.layers.manifest import ManifestLayer, attach, manifest_of
from hepml_root.layers.quantiles import Gauss, Uniform
from hepml_root.layers.transform import Transform
from hepml_root.layers.transforms import PerColumn, by_column, chain

__all__ = [
    "PCA",
    "Clip",
    "Decorrelate",
    "Gauss",
    "Impute",
    "Log",
    "ManifestLayer",
    "MinMax",
    "PerColumn",
    "ScaleImage",
    "Standardise",
    "TargetScale",
    "Transform",
    "Uniform",
    "attach",
    "by_column",
    "chain",
    "manifest_of",
]
