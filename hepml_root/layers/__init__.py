"""Keras layers of this field: variable transforms with weighted, exported state, the model's manifest, and
layers on sets of particles: pooling, neighbours, edge convolution, messages, pairs, attention.

See :mod:`hepml_root.layers.transforms` for the names that chains of transforms are written with.
"""

from hepml_root.layers.attention import MaskBias, SetAttention
from hepml_root.layers.edge_conv import EdgeConv
from hepml_root.layers.elementwise import Clip, Impute, Log
from hepml_root.layers.image import ScaleImage
from hepml_root.layers.linear import PCA, Decorrelate, MinMax, Standardise, TargetScale
from hepml_root.layers.locally_connected import LocallyConnected
from hepml_root.layers.manifest import ManifestLayer, attach, manifest_of
from hepml_root.layers.masked_normalization import MaskedBatchNormalization
from hepml_root.layers.message_passing import Messages
from hepml_root.layers.neighbours import NearestNeighbours
from hepml_root.layers.pairwise import PairBias, PairKinematics
from hepml_root.layers.particle_attention import ClassAttentionBlock, ClassToken, ParticleAttentionBlock
from hepml_root.layers.pooling import AttentionPooling, MaskedPooling, WeightedPooling
from hepml_root.layers.quantiles import Gauss, Uniform
from hepml_root.layers.set_attention import InducedSetBlock, SetBlock
from hepml_root.layers.transform import Transform
from hepml_root.layers.transforms import PerColumn, by_column, chain

__all__ = [
    "PCA",
    "AttentionPooling",
    "ClassAttentionBlock",
    "ClassToken",
    "Clip",
    "Decorrelate",
    "EdgeConv",
    "Gauss",
    "Impute",
    "InducedSetBlock",
    "LocallyConnected",
    "Log",
    "ManifestLayer",
    "MaskBias",
    "MaskedBatchNormalization",
    "MaskedPooling",
    "Messages",
    "MinMax",
    "NearestNeighbours",
    "PairBias",
    "PairKinematics",
    "ParticleAttentionBlock",
    "PerColumn",
    "ScaleImage",
    "SetAttention",
    "SetBlock",
    "Standardise",
    "TargetScale",
    "Transform",
    "Uniform",
    "WeightedPooling",
    "attach",
    "by_column",
    "chain",
    "manifest_of",
]
