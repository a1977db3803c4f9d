"""Models: each takes a dataset and gives something that predicts by named blocks and carries a manifest.

The functions are named as their modules, or stand in one with their kin; importing them here, first, makes
the names mean the functions. ``hepml-root models`` lists them with their presets.
"""

from hepml_root.models.autoencoder import (
    autoencoder,
    conv_autoencoder,
    decoder_of,
    encoder_of,
    reconstruction_of,
    set_autoencoder,
)
from hepml_root.models.bib_ae import ShowerBIBAE, shower_bib_ae
from hepml_root.models.boosted import BoostedModel, boosted
from hepml_root.models.conv import cnn, residual_cnn
from hepml_root.models.deep_sets import efn, pfn
from hepml_root.models.dense import dense
from hepml_root.models.diffusion import ShowerDiffusion, shower_diffusion
from hepml_root.models.flow import ShowerFlow, flow, shower_flow
from hepml_root.models.fusion import fusion
from hepml_root.models.gan import ShowerGAN, shower_gan
from hepml_root.models.generator import Generator
from hepml_root.models.generator_bank import GeneratorBank, generator_bank
from hepml_root.models.generators import generators
from hepml_root.models.interaction_network import interaction_network
from hepml_root.models.particle_net import particle_net
from hepml_root.models.particle_transformer import particle_transformer
from hepml_root.models.presets import preset, zoo
from hepml_root.models.recurrent import gru, lstm
from hepml_root.models.set_transformer import set_transformer
from hepml_root.models.shape_flow import ShapeFlow, shape_flow
from hepml_root.models.student import ShowerStudent, student
from hepml_root.models.vae import ShowerVAE, shower_vae

__all__ = [
    "BoostedModel",
    "Generator",
    "GeneratorBank",
    "ShapeFlow",
    "ShowerBIBAE",
    "ShowerDiffusion",
    "ShowerFlow",
    "ShowerGAN",
    "ShowerStudent",
    "ShowerVAE",
    "autoencoder",
    "boosted",
    "cnn",
    "conv_autoencoder",
    "decoder_of",
    "dense",
    "efn",
    "encoder_of",
    "flow",
    "fusion",
    "generator_bank",
    "generators",
    "gru",
    "interaction_network",
    "lstm",
    "particle_net",
    "particle_transformer",
    "pfn",
    "preset",
    "reconstruction_of",
    "residual_cnn",
    "set_autoencoder",
    "set_transformer",
    "shape_flow",
    "shower_bib_ae",
    "shower_diffusion",
    "shower_flow",
    "shower_gan",
    "shower_vae",
    "student",
    "zoo",
]
