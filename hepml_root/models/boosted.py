"""Boosted decision trees from LightGBM: the baseline that every network should be held against."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hepml_root.data.split import set_aside
from hepml_root.errors import MissingDependencyError, ModelFileError, SettingError, ShapeError
from hepml_root.layers.manifest import describe
from hepml_root.output import writing

_MANIFEST = "\nhepml_root_manifest:"


def _lightgbm() -> Any:
    try:
        import lightgbm
    except (ImportError, OSError) as error:
        raise MissingDependencyError(
            f"models.boosted needs LightGBM, which cannot be imported ({error}). "
            "Install it with: pip install 'hepml_root[boosted]'"
        ) from error
    return lightgbm


class BoostedModel:
    """Boosted trees with the interface of the networks: predictions by named blocks, and a manifest.

    Make one with :func:`boosted`, or read one with :meth:`load`.

    Attributes
    ----------
    manifest
        As that of a network: task, inputs, outputs, classes, training.
    importance
        {column label: summed gain of its splits}; constituents and masks by position.
    """

    def __init__(self, booster: Any, manifest: Mapping[str, Any]) -> None:
        self.booster = booster
        self.manifest = dict(manifest)

    @property
    def name(self) -> str:
        """Name of the model."""
        return str(self.manifest.get("name", "boosted"))

    @property
    def importance(self) -> dict[str, float]:
        """Summed gain of each input."""
        gains = self.booster.feature_importance(importance_type="gain").tolist()
        return dict(zip(labels_of(self.manifest), gains, strict=True))

    def predict(self, X: Any, **_: Any) -> NDArray[np.float32]:
        """Return the scores ``(events, outputs)`` of a dataset, or of ``{block: array}``.

        The signal's probability, the classes' probabilities, or the targets in their units. Further keyword
        arguments, such as Keras's ``verbose`` and ``batch_size``, have no meaning for trees.

        Raises
        ------
        ShapeError
            A block is missing or has another shape than in training.
        """
        score = self.booster.predict(flat(X, self.manifest))
        return np.asarray(score, dtype=np.float32).reshape(len(score), -1)

    def save(self, path: str | os.PathLike[str], overwrite: bool = False) -> Path:
        """Write LightGBM's own text format, readable by any LightGBM, with the manifest as its last line.

        Raises
        ------
        OutputExistsError
            The file exists and ``overwrite`` is not set.
        """
        with writing(path, overwrite) as temporary:
            temporary.write_text(
                self.booster.model_to_string() + _MANIFEST + json.dumps(self.manifest) + "\n"
            )
        return Path(path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> BoostedModel:
        """Return the model that :meth:`save` wrote.

        Raises
        ------
        ModelFileError
            The file does not exist or is something else.
        MissingDependencyError
            LightGBM is not installed.
        """
        lightgbm = _lightgbm()
        try:
            text, _, manifest = Path(path).read_text().rpartition(_MANIFEST)
            return cls(lightgbm.Booster(model_str=text), json.loads(manifest))
        except (OSError, ValueError, lightgbm.basic.LightGBMError) as error:
            raise ModelFileError(
                f"'{path}' holds no boosted trees that this package saved ({error})."
            ) from error


def boosted(
    data: Any,
    validation: Any = 0.2,
    *,
    trees: int = 400,
    leaves: int = 15,
    learning_rate: float = 0.05,
    patience: int = 30,
    seed: int = 1,
    threads: int | None = None,
    name: str = "boosted",
) -> BoostedModel:
    """Train gradient-boosted decision trees on a dataset with its training weights.

    The task decides the loss: binary or multiclass cross entropy, or the squared error. NaN goes its own way
    at each split, so missing values need no filling in. Padded constituents enter flattened, with NaN where
    nothing is. Negative weights are used as they are.

    Arguments
    ---------
    data
        The :class:`Dataset` to train on; a lazy one is read into memory.
    validation
        The fraction of it, or a dataset, on which the number of trees is chosen; None or 0: all trees are
        grown.
    trees
        At most.
    leaves
        Of each tree.
    learning_rate
        Shrinkage of each tree.
    patience
        Trees without a better validation loss before the training ends.
    seed
        Of the validation events and of the sampling of columns and events.
    threads
        Of the training; else all cores.
    name
        Of the model.

    Raises
    ------
    MissingDependencyError
        LightGBM is not installed.
    SettingError
        A setting is out of its range, or a regression has several targets.

    Reference: LightGBM, proceedings of NIPS 2017; as a baseline on these data arXiv:1402.4735.

    Example
    -------
    >>> import numpy as np, hepml_root as hr
    >>> x = np.random.default_rng(1).normal(size=(1000, 3))
    >>> data = hr.Dataset.from_arrays(x, x[:, 0] > 0)
    >>> model = hr.models.boosted(data, trees=20)
    >>> model.predict(data).shape
    (1000, 1)
    """
    lightgbm = _lightgbm()
    if trees < 1 or leaves < 2 or not learning_rate > 0 or patience < 1:
        raise SettingError(
            f"boosted: trees={trees}, leaves={leaves}, learning_rate={learning_rate}, patience={patience}: "
            "at least 1, 2, more than 0, and 1 are needed."
        )
    # Trees look at all events at once.
    data = data.load() if data.lazy else data
    if data.task == "regression" and data.target.shape[1] > 1:
        raise SettingError("boosted trees predict one target; train one model for each.")
    train, held = data, validation.load() if getattr(validation, "lazy", False) else validation
    if isinstance(validation, (int, float)):
        train, held = set_aside(data, float(validation), seed) if validation else (data, None)
    manifest = describe(data)
    objective = {"binary": "binary", "multiclass": "multiclass", "regression": "regression"}[data.task]
    settings: dict[str, Any] = {
        "objective": objective,
        "num_leaves": leaves,
        "learning_rate": learning_rate,
        "feature_fraction": 0.8,
        "bagging_fraction": 0.8,
        "bagging_freq": 1,
        "seed": seed,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": threads or 0,
        "verbosity": -1,
    }
    if data.task == "multiclass":
        settings["num_class"] = len(data.classes)

    def table(part: Any, reference: Any = None) -> Any:
        target = part.target.argmax(axis=1) if part.task == "multiclass" else part.target[:, 0]
        return lightgbm.Dataset(
            flat(part, manifest), target, weight=part.training_weight, reference=reference
        )

    learned = table(train)
    held_out = [table(held, learned)] if held is not None else []
    stopping = [lightgbm.early_stopping(patience, verbose=False)] if held is not None else []
    booster = lightgbm.train(settings, learned, trees, valid_sets=held_out, callbacks=stopping)
    if held is not None:  # the trees after the best one are dropped from predictions and files alike
        booster = lightgbm.Booster(model_str=booster.model_to_string(num_iteration=booster.best_iteration))
    training = {"trees": booster.num_trees(), "leaves": leaves, "learning_rate": learning_rate, "seed": seed}
    return BoostedModel(booster, {**manifest, "name": name, "training": training})


def labels_of(manifest: Mapping[str, Any]) -> list[str]:
    """Return a label for each number that the trees see."""
    labels = []
    for block in manifest["inputs"]:
        columns = [column["label"] for column in block["columns"]]
        if block["kind"] == "jagged":
            labels += [f"{label}[{i}]" for i in range(block["shape"][0]) for label in columns]
        elif block["kind"] != "mask":
            labels += columns or [f"{block['name']}[{i}]" for i in range(block["shape"][0])]
    return labels


def flat(X: Any, manifest: Mapping[str, Any]) -> NDArray[np.float32]:
    """Return all blocks side by side ``(events, numbers)``, NaN where a constituent is absent.

    Raises
    ------
    ShapeError
        A block is missing or has another shape than in the manifest.
    """
    blocks = X if isinstance(X, Mapping) else X.X
    parts = []
    for block in manifest["inputs"]:
        if block["kind"] == "mask":
            continue
        for wanted in (block["name"], block.get("mask", block["name"])):
            if wanted not in blocks:
                raise ShapeError(f"the model needs the block '{wanted}'; there are {list(blocks)}.")
        array = np.asarray(blocks[block["name"]], dtype=np.float32)
        if array.shape[1:] != tuple(block["shape"]):
            raise ShapeError(
                f"the block '{block['name']}' has {array.shape[1:]} numbers an event, not {block['shape']}."
            )
        if block["kind"] == "jagged":
            there = np.asarray(blocks[block["mask"]])[..., None] > 0.5
            array = np.where(there, array, np.float32(np.nan))
        parts.append(array.reshape(len(array), -1))
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
