"""The contract of every layer of this package: it exports, and gives what Keras gives at any batch size."""

from __future__ import annotations

import importlib
import pkgutil

import keras
import numpy as np
import pytest

import hepml_root.layers
import hepml_root.models
from hepml_root import layers
from hepml_root.models.inputs import ZeroMasked

RNG = np.random.default_rng(1)
TRAINING = np.stack(
    [30.0 + RNG.exponential(50.0, 2000), RNG.choice([1.0, 2.0, 3.0], 2000), 4.0 + RNG.normal(size=2000)],
    axis=1,
).astype(np.float32)
WEIGHT = RNG.uniform(0.5, 1.5, 2000)

TRANSFORMS = {
    "Clip": lambda: layers.Clip(),
    "Decorrelate": lambda: layers.Decorrelate(),
    "Gauss": lambda: layers.Gauss(),
    "Impute": lambda: layers.Impute(sentinel=-999.0),
    "Log": lambda: layers.Log(),
    "MinMax": lambda: layers.MinMax(),
    "PCA": lambda: layers.PCA(),
    "PerColumn": lambda: layers.PerColumn([([0, 2], "log,N"), ([1], "U")]),
    "Standardise": lambda: layers.Standardise(),
    "TargetScale": lambda: layers.TargetScale(),
    "Uniform": lambda: layers.Uniform(),
}
# In at least one model of the zoo: tests/models/test_contract.py.
TESTED_BY_MODELS = {
    "ClassAttentionBlock", "ClassToken", "Columns", "EdgeConv", "InducedSetBlock", "ManifestLayer",
    "MaskBias", "MaskedBatchNormalization", "MaskedGRU", "MaskedLSTM", "MaskedPooling", "Messages",
    "NearestNeighbours", "PairBias", "PairKinematics", "ParticleAttentionBlock", "ScaleImage", "SetAttention",
    "SetBlock", "SetDistance", "WeightedPooling", "ZeroMasked",
}  # fmt: skip
# Of flows and generators: tests/layers/test_flows.py and test_hurdle.py; tests/models/test_generators.py,
# test_gan_vae.py, test_bib_ae.py and test_shower_shape.py.
TESTED_BY_GENERATORS = {
    "AdversarialGenerator", "Autoregressive", "Bijection", "CellSpectrum", "ConditionalStandardisation",
    "Conditioner", "Coupling",
    "EmptyCells", "Generator", "GeneratorBank", "HurdleCells", "LinearMap", "LocallyConnected",
    "MarginalSplines", "MaskedDense", "NormalizingFlow", "Permutation", "ShapeFlow", "ShapeGenerator",
    "ShowerBIBAE", "ShowerDiffusion", "ShowerFlow", "ShowerGAN", "ShowerImages", "ShowerShape",
    "ShowerShares", "ShowerStudent", "ShowerVAE", "SpectrumCorrection", "Standardisation", "Velocity",
}  # fmt: skip
POOLINGS = {"AttentionPooling": lambda: layers.AttentionPooling(heads=3)}
NO_INVERSE = {"Impute"}


def test_every_layer_of_the_package_has_a_case() -> None:
    found: dict[str, type] = {}
    for package in (hepml_root.layers, hepml_root.models):
        for module in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
            members = vars(importlib.import_module(module.name)).values()
            for member in members:
                if (
                    isinstance(member, type)
                    and issubclass(member, keras.layers.Layer)
                    and member.__module__.startswith("hepml_root.")
                    and not member.__name__.startswith("_")
                ):
                    # Keras finds the classes of a file by their names: two of one name break all files.
                    assert found.setdefault(member.__name__, member) is member, member.__name__
    cases = set(TRANSFORMS) | TESTED_BY_MODELS | TESTED_BY_GENERATORS | set(POOLINGS)
    assert found.keys() - {"Transform"} == cases


def checked_events() -> np.ndarray:
    """Events from training, events far beyond it, and missing ones."""
    far = np.array([[0, 0, 0], [-1e4, -1e4, -1e4], [1e4, 1e4, 1e4], [1e-30, 1, 1]], np.float32)
    return np.concatenate([far, TRAINING[:1000]])


@pytest.mark.parametrize("name", TRANSFORMS)
def test_transforms(name: str, same_as_keras) -> None:
    layer = TRANSFORMS[name]().adapt(TRAINING, WEIGHT)
    values = checked_events()
    if name == "Impute":
        values[:2, 1:] = np.nan, -999.0
    x = keras.Input((3,), name="features")
    same_as_keras(keras.Model(x, layer(x)), {"features": values}, tolerance=1e-5)
    if name not in NO_INVERSE:
        transformed = np.array(layer(TRAINING[:1000]))
        same_as_keras(keras.Model(x, layer.inverse(x)), {"features": transformed}, tolerance=1e-5)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_transforms_of_constituents(name: str, same_as_keras) -> None:
    mask = np.arange(4) < RNG.integers(1, 5, 500)[:, None]
    particles = TRAINING.reshape(500, 4, 3)
    layer = TRANSFORMS[name]().adapt(particles, WEIGHT[:500], mask)
    x, there = keras.Input((4, 3), name="particles"), keras.Input((4,), name="particles_mask")
    model = keras.Model({"particles": x, "particles_mask": there}, ZeroMasked()([layer(x), there]))
    blocks = {
        "particles": np.where(mask[..., None], particles, np.nan),
        "particles_mask": mask.astype(np.float32),
    }
    same_as_keras(model, blocks, tolerance=1e-5)


def test_poolings_of_constituents(same_layers_as_keras) -> None:
    """Padding counts for nothing, and an event without constituents gives what Keras gives."""
    values = RNG.normal(size=(30, 5, 3)).astype(np.float32)
    mask = (np.arange(5) < (np.arange(30) % 6)[:, None]).astype(np.float32)
    values[mask == 0.0] = np.nan
    pools = {name: lambda x, m, make=make: make()([x, m]) for name, make in POOLINGS.items()}
    pools |= {
        kind: lambda x, m, kind=kind: layers.MaskedPooling(kind)([x, m]) for kind in ("mean", "max", "sum")
    }
    same_layers_as_keras(pools, {"x": values, "m": mask})
