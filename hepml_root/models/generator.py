"""The interface of all generators of calorimeter showers.

A generator is asked for particles and gives showers. Everything between, preprocessing, thresholds and random
numbers, is in one graph, which :func:`hepml_root.export` writes and compiles.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, ClassVar

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from hepml_root.data.conditions import condition_table
from hepml_root.data.geometry import Geometry, require_same_scale, same_cells
from hepml_root.data.showers import Showers
from hepml_root.data.split import check_seed
from hepml_root.errors import EmptySelectionError, ShapeError, UnsupportedOperationError
from hepml_root.layers.manifest import FORMAT, PROBE_EVENTS, VERSION, ManifestLayer

# Numbers of one call of the sampler, in cells: part of what a seed means.
_BLOCK_NUMBERS = 1 << 20
# How far conditions may be outside of their range, in its half widths: only there to keep garbage finite.
_FARTHEST = 3.0


def describe_showers(showers: Showers) -> dict[str, Any]:
    """Return what a generator has to know of the showers that it learns from, JSON-able.

    ``{"geometry": …, "conditions": the input block of the manifest, "ranges": {label: [lowest, highest]},
    "provenance": …}``.

    Raises
    ------
    EmptySelectionError
        No shower has any energy.
    """
    if not showers.energies.any():
        raise EmptySelectionError("all showers are empty: not a single cell has any energy.")
    blocks = showers.dataset().describe()["inputs"]
    return {
        "geometry": showers.geometry.to_dict(),
        "conditions": next(block for block in blocks if block["name"] == "conditions"),
        "ranges": {
            label: [float(values.min()), float(values.max())]
            for label, values in zip(showers.labels, showers.conditions.T, strict=True)
        },
        "provenance": showers.provenance,
    }


class _Untracked:
    """Holds a model that is made of the generator's layers: Keras would take it for a part of it."""

    def __init__(self) -> None:
        self.models: dict[str, keras.Model] = {}


class Generator(keras.Model):
    r"""The base of all generators: :math:`x = G(z; c)`, from noise z and a particle c to the cells x.

    **What it is for a user.** Made by a function of :mod:`hepml_root.models` from the showers to learn
    (geometry, conditions and ranges are theirs, and the preprocessing is adapted to them), it is trained,
    asked, saved and exported alike, whatever is inside::

        generator = hr.models.shower_flow(showers)
        hr.fit(generator, showers)
        new = generator.sample({"energy": np.full(1000, 50.0)}, seed=1)  # Showers
        generator.save("flow.keras")                                     # for hr.load_model
        hr.export(generator, "flow.onnx")                                # the sampler, with its certificate
        cells = hr.Session("flow.onnx").infer(energies, seed=1)          # the same in C++

    **Units and shapes.** ``conditions (events, conditions)`` are in the units of :class:`Showers` ("energy"
    [GeV], …), ``cells (events, cells)`` are energies [GeV] on the scale of the geometry, ordered layer by
    layer, row by row; a cell without a hit is exactly 0. Nothing else goes in or out.

    **What a new generator writes.** A child class that is registered with Keras, with

    ``kind``
        A word for the manifest: "flow", "diffusion", "gan", "vae", …
    ``__init__(self, source, *, …settings…, **kwargs)``
        Calls ``super().__init__(source, **kwargs)``, makes its layers, whose weights exist from then on or
        from their first call, and calls :meth:`complete` last. ``source`` is :func:`describe_showers`.
    ``get_config``
        ``{**super().get_config(), …settings…}``. The graphs are not saved, only settings and weights.
    ``generate(conditions)``
        Tensors in, tensors out, in `keras.ops`, what exports (docs/export_inference.md). Noise is drawn by
        ``keras.random.normal`` or ``uniform`` of standard distributions with a
        ``keras.random.SeedGenerator`` that is an attribute of the generator or of one of its layers, one row
        for each event. Steps (thresholds) should be steep rather than sharp, as the certificate compares
        Keras and C++ to 1e-5.
    ``objective(cells, conditions)``
        ``(events, 1)``, whose mean is minimised by ``hr.fit``; in `keras.ops`, may draw noise as well.
        Generators that several networks fight over have none: they have a training of their own.
    ``density(cells, conditions)``
        The log-density ``(events,)``, where there is one.
    ``adapt(showers)``
        Sets the state of the preprocessing; the function that makes the generator calls it.

    **What it gets.** ``self.geometry``, ``self.labels``, ``self.ranges``, and :meth:`scaled`; from them
    :meth:`sample`, :meth:`log_prob`, :meth:`sampler`, :meth:`learner`, saving and exporting. Layers that keep
    a state and are not trained have non-trainable weights, so that they are saved. Every trainable weight has
    to matter to the objective.

    Arguments
    ---------
    source
        :func:`describe_showers`.

    Raises
    ------
    SettingError
        The description of the geometry cannot be read.
    ShapeError
        ``generate`` does not give the geometry's cells.

    Reference: arXiv:1705.02355 (GAN), arXiv:2106.05285 (flow), arXiv:2206.11898 (score), the CaloChallenge
    arXiv:2410.21611 compares them.
    """

    kind: ClassVar[str] = "generator"

    def __init__(self, source: Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # Keras wraps dictionaries in attributes to track layers in them; text stays what it is.
        self._source_text = json.dumps(dict(source))
        self._training_text = json.dumps({})
        self._settings_of_geometry = _Fixed(source)
        self._untracked = _Untracked()

    # ------------------------------------------------------------------------------ what a child writes

    def generate(self, conditions: Any) -> Any:
        """Draw cells ``(events, cells)`` [GeV] for ``(events, conditions)`` in physical units."""
        raise NotImplementedError

    def objective(self, cells: Any, conditions: Any) -> Any:  # noqa: ARG002
        """Return ``(events, 1)``, whose mean a training minimises."""
        raise UnsupportedOperationError(
            f"a generator of the kind '{self.kind}' is not trained by minimising one number of each shower."
        )

    def density(self, cells: Any, conditions: Any) -> Any:  # noqa: ARG002
        """Return the log-density ``(events,)`` of cells."""
        raise UnsupportedOperationError(
            f"a generator of the kind '{self.kind}' has no density: log_prob is not to be had of it."
        )

    def adapt(self, showers: Showers) -> Generator:  # noqa: ARG002
        """Learn the state of the preprocessing; nothing by default."""
        return self

    def complete(self) -> None:
        """Make all weights, by calling the generator once on two particles."""
        self.built = True
        conditions = ops.convert_to_tensor(self._probe()[:2])
        cells = self.generate(conditions)
        if tuple(cells.shape) != (2, self.geometry.cells):
            raise ShapeError(
                f"the generator '{self.name}' gives the shape {tuple(cells.shape)} for two particles; "
                f"(2, {self.geometry.cells}) is needed."
            )
        if type(self).objective is not Generator.objective:
            self.objective(cells, conditions)

    # ------------------------------------------------------------------------------ what it knows

    @property
    def source(self) -> dict[str, Any]:
        """A copy of what is known of the training's showers (:func:`describe_showers`)."""
        return json.loads(self._source_text)

    @property
    def geometry(self) -> Geometry:
        """The calorimeter."""
        return self._settings_of_geometry.geometry

    @property
    def labels(self) -> tuple[str, ...]:
        """What the conditions are, in their order."""
        return self._settings_of_geometry.labels

    @property
    def ranges(self) -> dict[str, tuple[float, float]]:
        """``{label: (lowest, highest)}`` of the showers that it learnt from."""
        return dict(self._settings_of_geometry.ranges)

    @property
    def training(self) -> dict[str, Any]:
        """What the last training recorded, JSON-able."""
        return json.loads(self._training_text)

    @training.setter
    def training(self, value: Mapping[str, Any]) -> None:
        self._training_text = json.dumps(dict(value))

    def scaled(self, conditions: Any) -> Any:
        """Return conditions brought to [-1, 1] over the trained range: energies by their logarithm.

        Far outside they stay at three times that, so that nothing overflows on garbage.
        """
        columns = []
        for number, label in enumerate(self.labels):
            low, high = self.ranges[label]
            value = conditions[:, number : number + 1]
            if label == "energy":
                value = ops.log(ops.maximum(value, 1e-3 * low))
                low, high = math.log(low), math.log(high)
            half = 0.5 * (high - low) or 1.0
            columns.append(ops.clip((value - 0.5 * (low + high)) / half, -_FARTHEST, _FARTHEST))
        return ops.concatenate(columns, axis=-1) if len(columns) > 1 else columns[0]

    def log_energy(self, conditions: Any) -> Any:
        """Return the logarithm of the particle's energy [GeV], ``(events, 1)``, clipped as :meth:`scaled`."""
        low, high = (math.log(end) for end in self.ranges["energy"])
        place = self.labels.index("energy")
        half = 0.5 * (high - low) or 1.0
        return 0.5 * (low + high) + half * self.scaled(conditions)[:, place : place + 1]

    @property
    def rounding(self) -> float:
        """Energy [GeV] by which a cell may differ from one runtime to the other, 0 for what all models keep.

        It goes to the manifest, for a generator that lets roundings of float32 grow: by steps that count.
        """
        return 0.0

    # ------------------------------------------------------------------------------ its graphs

    def sampler(self) -> keras.Model:
        """Return the model from "conditions" ``(events, conditions)`` to "cells" ``(events, cells)`` [GeV].

        It draws its own random numbers, shares the generator's weights and carries the manifest that makes
        the exported file complete.
        """
        if "sampler" not in self._untracked.models:
            conditions = keras.Input((len(self.labels),), name="conditions")
            cells = _Part(self, "generate", (self.geometry.cells,), name="generate")(conditions)
            end = ManifestLayer(name="cells")
            self._untracked.models["sampler"] = keras.Model(
                {"conditions": conditions}, end(cells), name=self.name
            )
        model = self._untracked.models["sampler"]
        layer = model.get_layer("cells")
        layer.manifest, layer.probe = self.manifest(), {"conditions": self._probe()}
        return model

    def learner(self) -> keras.Model:
        """Return the model from "cells" and "conditions" to the objective ``(events, 1)``, for ``hr.fit``."""
        if "learner" not in self._untracked.models:
            inputs = {
                "cells": keras.Input((self.geometry.cells,), name="cells"),
                "conditions": keras.Input((len(self.labels),), name="conditions"),
            }
            score = _Part(self, "objective", (1,), name="objective")(inputs["cells"], inputs["conditions"])
            words = {**self.manifest(), "loss": "mean_score"}
            score = ManifestLayer(words, name="score")(score)
            self._untracked.models["learner"] = keras.Model(inputs, score, name=self.name)
        return self._untracked.models["learner"]

    def manifest(self) -> dict[str, Any]:
        """Return the manifest of the sampler."""
        source = self.source
        cells = self.geometry.cells
        return {
            "format": FORMAT,
            "version": VERSION,
            "task": "regression",
            "name": self.name,
            "inputs": [source["conditions"]],
            "outputs": [
                {"name": "cells", "shape": [cells], "labels": [f"cell_{cell}" for cell in range(cells)]}
            ],
            "classes": [],
            "signal": None,
            "targets": [],
            "training": self.training,
            "provenance": {"showers": source.get("provenance") or {}},
            "generator": {
                "geometry": source["geometry"], "ranges": source["ranges"], "kind": self.kind,
                **({"rounding": self.rounding} if self.rounding else {}),
            },
        }  # fmt: skip

    def _probe(self) -> NDArray[np.float32]:
        """Return conditions that are spread evenly over the trained ranges, each in an order of its own."""
        steps = np.arange(PROBE_EVENTS)
        columns = []
        for number, label in enumerate(self.labels):
            low, high = self.ranges[label]
            part = ((steps * (2 * number + 1) * 0.6180339887) % 1.0) if number else steps / (len(steps) - 1)
            if label == "energy":
                columns.append(low * (high / low) ** part)
            else:
                columns.append(low + (high - low) * part)
        return np.stack(columns, axis=-1).astype(np.float32)

    # ------------------------------------------------------------------------------ what it does

    def sample(self, conditions: Any, seed: int = 1, *, allow_extrapolation: bool = False) -> Showers:
        """Make showers with Keras.

        The same seed gives the same showers for the same conditions, and the first of more. (Compiled C++
        has random numbers of its own, so the same seed gives other showers there; they do not depend on
        threads or blocks.)

        Arguments
        ---------
        conditions
            One row for each shower: ``{"energy": (showers,) [GeV], …}``, an array ``(showers, conditions)``,
            for a single condition ``(showers,)``, or other :class:`Showers`, whose conditions are taken.
        seed
            Of all random numbers.
        allow_extrapolation
            Take conditions outside of the trained range, too.

        Raises
        ------
        SettingError, ShapeError, NonFiniteInputError, EmptySelectionError
            As :func:`hepml_root.data.conditions.condition_table`.
        """
        check_seed(seed)
        self._require_same(conditions)
        table = condition_table(conditions, self.labels, self.ranges, allow_extrapolation=allow_extrapolation)
        self._seeded(seed)
        energies = self._in_blocks(self.sampler(), {"conditions": table})
        provenance = {"generator": self.name, "kind": self.kind, "seed": int(seed)}
        return Showers(energies, table, self.geometry, self.labels, provenance=provenance)

    def log_prob(self, showers: Showers, seed: int = 1) -> NDArray[np.float32]:
        """Return the log-density of showers in units of GeV^-cells, ``(showers,)``.

        Cells without a hit hold no number that a density could have, so they are given noise below the
        threshold (``seed``), as in the training: the density is that of the showers with it.

        Raises
        ------
        UnsupportedOperationError
            A generator of this kind has none.
        ShapeError
            The showers are of another calorimeter.
        SettingError
            They lack a condition, are outside of the trained range, or their energies are on another scale.
        """
        check_seed(seed)
        self._require_same(showers, energies=True)
        table = condition_table(showers, self.labels, self.ranges)
        if "density" not in self._untracked.models:
            inputs = {
                "cells": keras.Input((self.geometry.cells,), name="cells"),
                "conditions": keras.Input((len(self.labels),), name="conditions"),
            }
            density = _Part(self, "density", (), name="density")(inputs["cells"], inputs["conditions"])
            self._untracked.models["density"] = keras.Model(inputs, density)
        self._seeded(seed)
        given = {"cells": showers.energies, "conditions": table}
        return self._in_blocks(self._untracked.models["density"], given)

    def _in_blocks(self, model: keras.Model, given: dict[str, NDArray[Any]]) -> NDArray[np.float32]:
        """Run a model in blocks of one size: it is traced once, and fewer showers are the first of more."""
        block = int(np.clip(_BLOCK_NUMBERS // self.geometry.cells, 64, 1024))
        showers = len(given["conditions"])
        missing = -showers % block
        padded = {name: np.concatenate([a, np.repeat(a[-1:], missing, axis=0)]) for name, a in given.items()}
        return np.asarray(model.predict(padded, batch_size=block, verbose=0))[:showers]

    def _require_same(self, showers: Any, energies: bool = False) -> None:
        if not isinstance(showers, Showers):
            return
        if not same_cells(showers.geometry, self.geometry):
            raise ShapeError(
                f"the showers are of {showers.geometry}; the generator '{self.name}' makes those of "
                f"{self.geometry}."
            )
        if energies:
            require_same_scale(showers.geometry, self.geometry)

    def training_data(self, showers: Showers) -> Any:
        """Return showers as the :class:`Dataset` that ``hr.fit`` trains on, after checking what they are.

        Raises
        ------
        ShapeError
            They are of another calorimeter.
        SettingError
            They lack a condition, are outside of the range of those that the generator was made for, or their
            energies are on another scale.
        """
        if not isinstance(showers, Showers):
            return showers
        self._require_same(showers, energies=True)
        condition_table(showers, self.labels, self.ranges)
        return showers.dataset()

    def _seeded(self, seed: int) -> None:
        """Set the state of every source of noise in the generator."""
        number = 0
        for layer in self._flatten_layers():
            for noise in getattr(layer, "_seed_generators", []):
                words = np.random.SeedSequence([int(seed), number]).generate_state(2)
                noise.state.assign(words.astype(noise.state.dtype))
                number += 1

    # ------------------------------------------------------------------------------ as a Keras model

    def call(self, conditions: Any) -> Any:
        """Draw cells, as :meth:`sampler` does."""
        if isinstance(conditions, Mapping):
            conditions = conditions["conditions"]
        return self.generate(conditions)

    def get_config(self) -> dict[str, Any]:
        return {"source": self.source, "training": self.training, "name": self.name}

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Any = None) -> Generator:  # noqa: ARG003
        config = dict(config)
        training = config.pop("training", {})
        generator = cls(**config)
        generator.training = training
        return generator

    def get_build_config(self) -> None:
        """Nothing is built after the constructor."""
        return None


class _Fixed:
    """What a generator reads from its source once."""

    def __init__(self, source: Mapping[str, Any]) -> None:
        self.geometry = Geometry.from_dict(source["geometry"])
        self.labels = tuple(column["label"] for column in source["conditions"]["columns"])
        self.ranges = {label: (float(low), float(high)) for label, (low, high) in source["ranges"].items()}


class _Part(keras.layers.Layer):
    """One of a generator's functions as a layer of a functional model; its weights are the generator's."""

    def __init__(self, generator: Generator, function: str, shape: tuple[int, ...], **kwargs: Any) -> None:
        super().__init__(dtype="float32", **kwargs)
        self.generator, self.function, self.shape = generator, function, shape

    def build(self, *shapes: Any) -> None:  # noqa: ARG002
        self.built = True

    def call(self, *tensors: Any) -> Any:
        return getattr(self.generator, self.function)(*tensors)

    def compute_output_spec(self, *tensors: Any, **settings: Any) -> keras.KerasTensor:  # noqa: ARG002
        return keras.KerasTensor((tensors[0].shape[0], *self.shape), dtype="float32")
