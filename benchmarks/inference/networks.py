"""The architectures of the field as ONNX files, for the benchmark and for the test of parity.

Each is a Keras network with random weights, biases and statistics, none of them zero, exported by the
package's own emitter: those of the model zoo where it has them, plain Keras where it has not (transformer,
VAE, generator, coupling flow). A "full" network is as large as those that are trained; a "small" one has the
same operators and compiles in a second or two.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

import hepml_root

Blocks = dict[str, np.ndarray]
PAIRS = ["pt", "delta_eta", "delta_phi"]
LITE = ["delta_eta", "delta_phi", "log_pt", "log_energy", "log_pt_fraction", "log_energy_fraction", "delta_r"]


@dataclass(frozen=True)
class Network:
    """One architecture: what it is, and the functions that build it, in Keras or LightGBM, in both sizes."""

    about: str
    full: Callable[[], Any]
    small: Callable[[], Any]

    @property
    def masked(self) -> bool:
        """Whether it takes padded particles and their mask."""
        return "masked" in self.about


def dense(features: int, hidden: tuple[int, ...], activation: str) -> Any:
    """A multilayer perceptron of standardised inputs, with one sigmoid output."""
    import keras

    x = inputs = keras.Input((features,), name="features")
    x = keras.layers.Normalization(mean=np.linspace(-1, 1, features), variance=np.linspace(0.5, 2, features))(
        x
    )
    for units in hidden:
        x = keras.layers.Dense(units, activation=activation)(x)
    return keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid", name="score")(x))


def transformer(particles: int, features: int, units: int, blocks: int, heads: int) -> Any:
    """Self-attention with normalisation and a feed-forward network, and the mean over the particles."""
    import keras

    layers = keras.layers
    inputs = keras.Input((particles, features), name="particles")
    x = layers.Dense(units)(inputs)
    for _ in range(blocks):
        attended = layers.MultiHeadAttention(heads, units // heads)(x, x)
        x = layers.LayerNormalization()(layers.Add()([x, attended]))
        forward = layers.Dense(units)(layers.Dense(2 * units, activation="gelu")(x))
        x = layers.LayerNormalization()(layers.Add()([x, forward]))
    x = layers.GlobalAveragePooling1D()(x)
    return keras.Model(inputs, layers.Dense(1, activation="sigmoid", name="score")(x))


def lstm(steps: int, features: int, units: int) -> Any:
    """An LSTM over all steps, and one output."""
    import keras

    inputs = keras.Input((steps, features), name="particles")
    x = keras.layers.LSTM(units)(inputs)
    return keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid", name="score")(x))


def vae(features: int, hidden: int, latent: int) -> Any:
    """Encoder, reparametrised sampling with the noise as an input, decoder; and the divergence."""
    import keras
    from keras import ops

    layers = keras.layers
    inputs = keras.Input((features,), name="features")
    noise = keras.Input((latent,), name="noise")
    x = layers.Dense(hidden, activation="relu")(inputs)
    x = layers.Dense(hidden, activation="relu")(x)
    mean, log_variance = layers.Dense(latent)(x), layers.Dense(latent)(x)
    z = mean + ops.exp(0.5 * log_variance) * noise
    x = layers.Dense(hidden, activation="relu")(z)
    x = layers.Dense(hidden, activation="relu")(x)
    reconstruction = layers.Dense(features)(x)
    divergence = -0.5 * ops.sum(1 + log_variance - mean**2 - ops.exp(log_variance), axis=1, keepdims=True)
    return keras.Model(
        {"features": inputs, "noise": noise}, {"reconstruction": reconstruction, "divergence": divergence}
    )


def generator(latent: int, channels: tuple[int, int, int]) -> Any:
    """A generator of 12×12 calorimeter images for an energy: Conv2DTranspose, normalisation, LeakyReLU."""
    import keras

    layers = keras.layers
    noise, energy = keras.Input((latent,), name="noise"), keras.Input((1,), name="energy")
    x = layers.Concatenate()([noise, energy])
    x = layers.Reshape((3, 3, channels[0]))(layers.Dense(9 * channels[0])(x))
    for width in channels[1:]:
        x = layers.LeakyReLU(0.2)(layers.BatchNormalization()(x))
        x = layers.Conv2DTranspose(width, 4, strides=2, padding="same")(x)
    x = layers.LeakyReLU(0.2)(layers.BatchNormalization()(x))
    image = layers.Conv2D(1, 3, padding="same", activation="relu", name="image")(x)
    return keras.Model({"noise": noise, "energy": energy}, image)


def coupling_flow(features: int, hidden: tuple[int, ...], couplings: int) -> Any:
    """An affine coupling flow: the logarithm of the density of an event, with permutations in between."""
    import keras
    from keras import ops

    layers = keras.layers
    inputs = keras.Input((features,), name="features")
    order = np.random.default_rng(7)
    half = features // 2
    x, log_volume = inputs, 0.0
    for _ in range(couplings):
        x = ops.take(x, order.permutation(features), axis=1)
        kept, moved = x[:, :half], x[:, half:]
        h = kept
        for units in hidden:
            h = layers.Dense(units, activation="relu")(h)
        scale = layers.Dense(features - half, activation="tanh")(h)
        moved = (moved - layers.Dense(features - half)(h)) * ops.exp(-scale)
        log_volume = log_volume - ops.sum(scale, axis=1, keepdims=True)
        x = ops.concatenate([kept, moved], axis=1)
    normal = -0.5 * ops.sum(x**2, axis=1, keepdims=True) - 0.5 * features * math.log(2 * math.pi)
    return keras.Model(inputs, normal + log_volume)


def trees(features: int, count: int, leaves: int) -> Any:
    """Boosted trees on random events, with missing values among them."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(100 * leaves, features)).astype(np.float32)
    labels = x[:, 0] * x[:, 1] + np.sin(x).sum(axis=1) + rng.normal(size=len(x)) > 0
    x[rng.random(x.shape) < 0.02] = np.nan
    data = hepml_root.Dataset.from_arrays(x, labels, missing="keep")
    return hepml_root.models.boosted(data, None, trees=count, leaves=leaves, threads=1)


def _zoo(name: str, shapes: Mapping[str, Any], **settings: Any) -> Callable[[], Any]:
    return lambda: getattr(hepml_root.models, name)(dict(shapes), **settings)


def _keras(function: Callable[..., Any], *arguments: Any) -> Callable[[], Any]:
    return lambda: function(*arguments)


NETWORKS: dict[str, Network] = {
    "mlp": Network(
        "MLP 28-64-64-1 relu", _keras(dense, 28, (64, 64), "relu"), _keras(dense, 9, (17, 16), "relu")
    ),
    "mlp-tanh": Network(
        "MLP 28-64-64-1 tanh", _keras(dense, 28, (64, 64), "tanh"), _keras(dense, 5, (8,), "tanh")
    ),
    "mlp-300": Network(
        "MLP 28-300×5-1 relu", _keras(dense, 28, (300,) * 5, "relu"), _keras(dense, 7, (50, 50), "relu")
    ),
    "mlp-300-tanh": Network(
        "MLP 28-300×5-1 tanh", _keras(dense, 28, (300,) * 5, "tanh"), _keras(dense, 7, (35,), "tanh")
    ),
    "cnn": Network(
        "CNN 40×40, conv16 conv16 conv32",
        _zoo("cnn", {"jet_image": (40, 40, 1)}, filters=((16, 16), (32,))),
        _zoo("cnn", {"jet_image": (9, 8, 1)}, filters=((3, 4), (5,)), hidden=(6,)),
    ),
    "lstm": Network("LSTM 20×4, 64 units", _keras(lstm, 20, 4, 64), _keras(lstm, 5, 3, 7)),
    "lstm-masked": Network(
        "LSTM 20×4, 64 units, masked",
        _zoo("lstm", {"particles": (20, 4)}, hidden=()),
        _zoo("lstm", {"particles": (5, 3)}, units=(7,), hidden=(4,)),
    ),
    "gru": Network(
        "GRU 20×4, 64 units, masked",
        _zoo("gru", {"particles": (20, 4)}, hidden=()),
        _zoo("gru", {"particles": (5, 3)}, units=(7,), hidden=(4,), bidirectional=True),
    ),
    "deep-sets": Network(
        "DeepSets 30×4, 64-64-64, masked",
        _zoo("pfn", {"particles": (30, 4)}, phi=(64, 64), hidden=(64,)),
        _zoo("pfn", {"particles": (6, 4)}, phi=(9, 8), hidden=(7,)),
    ),
    "efn": Network(
        "EFN 48×3, 100-100-256, 100×3, masked",
        _zoo("efn", {"particles": (48, PAIRS)}),
        _zoo("efn", {"particles": (6, PAIRS)}, phi=(9, 8), hidden=(7,)),
    ),
    "edge-conv": Network(
        "ParticleNet-Lite 48×7, masked",
        _zoo("particle_net", {"particles": (48, LITE)}),
        _zoo("particle_net", {"particles": (7, LITE)}, channels=((4, 5), (6,)), k=3, hidden=(5,)),
    ),
    "transformer": Network(
        "transformer 30×4, 2 blocks of 64",
        _keras(transformer, 30, 4, 64, 2, 4),
        _keras(transformer, 6, 4, 8, 1, 2),
    ),
    "particle-transformer": Network(
        "Particle Transformer (small) 48×7, pair bias, masked",
        _zoo(
            "particle_transformer",
            {"particles": (48, LITE)},
            units=32,
            heads=4,
            blocks=2,
            embedding=(32,),
            pair_widths=(8,),
        ),
        _zoo(
            "particle_transformer",
            {"particles": (6, LITE)},
            units=8,
            heads=2,
            blocks=1,
            embedding=(5,),
            pair_widths=(4,),
        ),
    ),
    "conv-autoencoder": Network(
        "convolutional autoencoder 40×40",
        _zoo("conv_autoencoder", {"jet_image": (40, 40, 1)}),
        _zoo("conv_autoencoder", {"jet_image": (7, 6, 1)}, filters=(3, 4), latent=2, hidden=(5,)),
    ),
    "vae": Network("VAE 28-64-64-8", _keras(vae, 28, 64, 8), _keras(vae, 6, 7, 3)),
    "generator": Network(
        "generator 12×12, Conv2DTranspose",
        _keras(generator, 32, (64, 32, 16)),
        _keras(generator, 5, (4, 6, 5)),
    ),
    "flow": Network(
        "coupling flow of 10, 6 couplings 64-64",
        _keras(coupling_flow, 10, (64, 64), 6),
        _keras(coupling_flow, 5, (8,), 3),
    ),
    "lightgbm": Network(
        "LightGBM, 850 trees of 31 leaves", _keras(trees, 28, 850, 31), _keras(trees, 5, 12, 7)
    ),
}


def build(name: str, small: bool = False) -> onnx.ModelProto:
    """Return a network as an ONNX model (this starts Keras, which takes its time)."""
    import keras

    from hepml_root.export.onnx import emit, input_names

    keras.utils.clear_session()  # the names of layers count from 1 again
    keras.utils.set_random_seed(1)
    network = NETWORKS[name]
    model = network.small() if small else network.full()
    if isinstance(model, hepml_root.models.BoostedModel):
        from hepml_root.export.trees import emit_boosted

        return emit_boosted(model.booster, model.manifest["inputs"], "score", name)
    _randomise(model)
    masks = [block for block in input_names(model) if block.endswith("_mask")]
    return emit(model, prefix_masks=masks, name=name)


def _randomise(model: Any) -> None:
    """Give biases, gains and statistics random values; kernels keep the spread they were made with."""
    rng = np.random.default_rng(3)
    for weight in model.weights:
        shape = tuple(weight.shape)
        if "variance" in weight.path:
            weight.assign(rng.uniform(0.5, 2.0, shape))
        elif "gamma" in weight.path:
            weight.assign(rng.uniform(0.7, 1.3, shape))
        elif any(part in weight.path for part in ("bias", "beta", "mean")) and "float" in weight.dtype:
            weight.assign(0.2 * rng.normal(size=shape) + np.asarray(weight))


def file(name: str, folder: Path, small: bool = False) -> Path:
    """Return the .onnx file of a network in ``folder``, built if it is not there or of an older emitter."""
    path = folder / f"networks-{_sources()}" / f"{name}{'-small' if small else ''}.onnx"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        onnx.save(build(name, small), path)
    return path


def _sources() -> str:
    """A hash of all that a network's file is made by."""
    package = Path(hepml_root.__file__).parent
    files = [
        Path(__file__),
        *package.glob("layers/*.py"),
        *package.glob("models/*.py"),
        *package.glob("export/onnx/*.py"),
        package / "export" / "trees.py",
    ]
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def events(model: onnx.ModelProto, count: int, seed: int = 2, garbage: float = 1.0) -> Blocks:
    """Return random events for any network, as its input types are, by the kinds in its manifest or by names.

    Masks hold ones and then zeros, all lengths from 0 on equally often, in whole numbers; what stands behind
    them is ``garbage`` times a random number. Momenta are positive.
    """
    rng = np.random.default_rng(seed)
    blocks: Blocks = {}
    weights = {tensor.name for tensor in model.graph.initializer}
    kinds = _kinds(model)
    for value in model.graph.input:
        if value.name in weights:
            continue
        elem_type = value.type.tensor_type.elem_type
        shape = (count, *(d.dim_value for d in list(value.type.tensor_type.shape.dim)[1:]))
        kind = kinds.get(value.name, "mask" if value.name.endswith("_mask") else "")
        kind = "mask" if elem_type == onnx.TensorProto.BOOL else kind
        if kind == "mask":
            there = rng.integers(0, shape[1] + 1, count)
            array = np.arange(shape[1]) < there[:, None]
            array = np.broadcast_to(array.reshape(array.shape + (1,) * (len(shape) - 2)), shape)
        elif kind == "index" or elem_type in _INTEGERS:
            array = rng.integers(0, shape[1] if kind == "index" else 4, shape)
        else:
            array = rng.normal(size=shape)
            if len(shape) == 3:  # the first column of PAIRS is a momentum
                array[..., 0] = np.exp(array[..., 0])
            if len(shape) == 4:  # images: few pixels are hit
                array = np.abs(array) * (rng.random(shape) < 0.2)
        blocks[value.name] = np.ascontiguousarray(array, onnx.helper.tensor_dtype_to_np_dtype(elem_type))
    for name, array in blocks.items():
        mask = blocks.get(f"{name}_mask")
        if mask is not None and array.ndim == 3 and garbage != 1.0:
            array[mask == 0] *= np.float32(garbage)
    return blocks


_INTEGERS = {int(onnx.TensorProto.INT64), int(onnx.TensorProto.INT32)}


def _kinds(model: onnx.ModelProto) -> dict[str, str]:
    for entry in model.metadata_props:
        if entry.key == "hepml_root":
            return {block["name"]: block["kind"] for block in json.loads(entry.value)["inputs"]}
    return {}
