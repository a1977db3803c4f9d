"""HepML: every model and loss of this project, booked as a method of TMVA."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from hepml_root import losses, models
from hepml_root.data.dataset import Dataset
from hepml_root.errors import SettingError, UnsupportedOperationError, unknown
from hepml_root.export.trees import emit_boosted
from hepml_root.layers.manifest import manifest_layer
from hepml_root.losses.batch_loss import BatchLoss
from hepml_root.models.boosted import BoostedModel
from hepml_root.models.generators import generators
from hepml_root.models.presets import zoo
from hepml_root.output import writing
from hepml_root.tmva.console import Console
from hepml_root.tmva.data_sets.events import DataSet, Sample
from hepml_root.tmva.methods.keras_events import (
    INPUT,
    OUTPUT,
    check_validation_size,
    own_graph,
    training_sample,
    validation_events,
)
from hepml_root.tmva.methods.layout import parse_input_layout
from hepml_root.tmva.methods.method import Booking, Method, OwnGraph, Trained
from hepml_root.tmva.methods.model_settings import known_model, model_options, settings_of
from hepml_root.tmva.methods.shower_generator import check_generator, train_generator
from hepml_root.tmva.options.declaration import Option
from hepml_root.tmva.options.networks import HEPML
from hepml_root.training.fit import fit
from hepml_root.training.schedule import schedule_of

_CROSS_ENTROPY = {
    "Classification": "binary_crossentropy",
    "Multiclass": "categorical_crossentropy",
    "Regression": None,
}
_OF_NETWORKS = ("Optimizer", "Schedule", "Epochs", "BatchSize", "Pretrain", "Transforms", "Class")


class HepML(Method):
    """Models of the zoo (``Model=dense``, ``cnn``, ``lstm``, ``pfn``, ``particle_net``, ``boosted``, …) with
    the losses of this project, trained by :func:`hepml_root.fit`.

    Settings of a model are options, ``Hidden=64,64:Dropout=0.1:BatchNorm``; a Preset is a set of them. Losses
    that count events (significance, asimov, …) need ``Signal`` and ``Background``, the expected events, as
    the Factory normalises the weights; ``Systematic`` is the relative uncertainty of the background. Variable
    transforms are inside the model. Images take ``InputLayout=channels|height|width``, sequences and sets
    ``InputLayout=constituents|features`` with ``Columns=pt,eta,phi,…``: a constituent is there where any of
    its features is not zero, or the one that ``Padding`` names. An autoencoder learns one class, the
    background or ``Class``, and its response is its error.

    Generators of showers (``Model=shower_flow``, ``shower_gan``, ``shower_vae``, …) are booked likewise with
    ``Geometry``: the variables are the energies of its cells, in its order, and ``Conditions`` are spectators
    (``energy=E_true,eta``). They are trained on one class and written as ``.keras`` file, ONNX file and C++
    generator; they have no response, so that nothing is tested, and no weight file of TMVA.

    Raises
    ------
    SettingError
        There is no such model, setting or loss (the nearest are named), or they do not suit the analysis.

    Reference: docs/models.md and docs/losses.md name that of every model and loss.
    """

    type_name: ClassVar[str] = "HepML"
    own_options: ClassVar[tuple[Option, ...]] = (*HEPML, *model_options())
    analyses: ClassVar[tuple[str, ...]] = ("Classification", "Multiclass", "Regression")
    summary: ClassVar[str] = "models and losses of hepml_root"

    def __init__(self, booking: Booking) -> None:
        super().__init__(booking)
        options = self.options
        self._what = f"{self.type_name} '{booking.title}'"
        self._model = known_model(options["Model"], self._what)
        extra = dict(booking.extra)
        calorimeter = extra.pop("Geometry", None)
        self._settings = settings_of(self._model, options, extra, self._what)
        for name, least in (("Epochs", 1), ("BatchSize", 0), ("RandomSeed", 0), ("Patience", -1)):
            if options[name] < least:
                raise SettingError(f"{self._what}: {name}={options[name]}: at least {least} is needed.")
        check_validation_size(options["ValidationSize"], self._what)
        schedule_of(options["Schedule"] or None)
        self.makes_events = self._model in generators()
        if self.makes_events:
            self._calorimeter = check_generator(options, calorimeter, self._model, self._what)
            return
        self._entry = zoo()[self._model]
        if options["Preset"] not in self._entry.presets:
            raise SettingError(
                f"{self._what}: {unknown(f'preset of {self._model}', options['Preset'], self._entry.presets)}"
            )
        for name in ("Geometry", "Conditions"):
            if name in options.given or name in booking.extra:
                raise SettingError(f"{self._what}: {name} belongs to generators; {self._model} is none.")
        for name in _OF_NETWORKS if self._model == "boosted" else ():
            if name in options.given:
                raise SettingError(
                    f"{self._what}: {name} belongs to networks; boosted trees take Trees, Leaves, "
                    "LearningRate and Patience."
                )
        self._layout = self._input_layout()
        self._loss = self._booked_loss()

    # -- what is checked when it is booked -------------------------------------------------------------------

    def _input_layout(self) -> tuple[int, ...]:
        options, kind = self.options, self._entry.data
        text = str(options["InputLayout"])
        layout = parse_input_layout(text, self._what) if text else ()
        wanted = {"image": 3, "jagged": 2}.get(kind, 0)
        forms = {3: "channels|height|width", 2: "constituents|features", 0: ""}
        if len(layout) != wanted:
            raise SettingError(
                f"{self._what}: InputLayout={text}: {self._model} takes "
                + (f"{forms[wanted]}." if wanted else "a row of variables: leave InputLayout out.")
            )
        for name in ("Columns", "Padding"):
            if options[name] and kind != "jagged":
                raise SettingError(
                    f"{self._what}: {name} belongs to sequences and sets; {self._model} is none."
                )
        if kind == "jagged":
            columns = self._columns(layout[1])
            if options["Padding"] and options["Padding"] not in columns:
                raise SettingError(f"{self._what}: Padding: {unknown('column', options['Padding'], columns)}")
            if options["VarTransform"] not in ("None", "I"):
                raise SettingError(
                    f"{self._what}: VarTransform={options['VarTransform']} would hide which constituents are "
                    "there; the model has transforms of its own (Transforms)."
                )
        return layout

    def _columns(self, features: int) -> list[str]:
        text = str(self.options["Columns"])
        names = [part.strip() for part in text.split(",")] if text else [f"f{i}" for i in range(features)]
        if len(names) != features or len(set(names)) < features:
            raise SettingError(
                f"{self._what}: Columns={text}: {features} different names are needed, one for each feature."
            )
        return names

    def _booked_loss(self) -> Any:
        options = self.options
        name = str(options["Loss"])
        settings = {
            setting.lower(): float(options[setting])
            for setting in ("Signal", "Background", "Systematic")
            if setting in options.given
        }
        if self._model == "boosted" and (name or settings):
            raise SettingError(f"{self._what}: boosted trees have a loss of their own: leave Loss out.")
        if name.replace("_", "").lower() in ("", "crossentropy"):
            if settings:
                given = ", ".join(setting.capitalize() for setting in settings)
                raise SettingError(
                    f"{self._what}: {given}: of losses that count events; name one, as Loss=asimov."
                )
            if name and self.booking.analysis == "Regression":
                raise SettingError(f"{self._what}: Loss={name}: a regression has no classes. Leave Loss out.")
            return _CROSS_ENTROPY[self.booking.analysis] if name else None
        try:
            loss = losses.get(name, **settings)
        except SettingError as error:
            raise SettingError(f"{self._what}: {error}") from error
        if isinstance(loss, BatchLoss):
            if self.booking.analysis != "Classification":
                raise SettingError(
                    f"{self._what}: Loss={name} counts signal over background; the analysis is "
                    f"{self.booking.analysis}."
                )
            if loss.needs_yields:
                raise SettingError(
                    f"{self._what}: Loss={name} needs the expected events, Signal= and Background=: the "
                    "weights of a Factory are normalised."
                )
        return loss

    # -- training --------------------------------------------------------------------------------------------

    def train(self, data: DataSet, console: Console) -> Trained:
        """Train; monitors: "Convergence" with the losses of every epoch, validation as test."""
        options = self.options
        if self.makes_events:
            raise UnsupportedOperationError(
                f"{self._what}: {self._model} makes showers; it gives no response to events, and one "
                "is needed here."
            )
        sample = training_sample(data, options["IgnoreNegWeightsInTraining"], self._what)
        seed = int(options["RandomSeed"]) or int(np.random.default_rng().integers(1, 1 << 31))
        events = self._dataset(sample, data)
        aside = validation_events(options["ValidationSize"], len(events), self._what)
        validation = aside / len(events)
        if self._model == "boosted":
            return self._boosted(events, validation, seed, console)
        settings = dict(self._settings)
        if options["Transforms"] != "auto":
            settings["transforms"] = None if options["Transforms"] == "None" else options["Transforms"]
        model = self._entry.build(events, options["Preset"], seed=seed, name=self._model, **settings)
        events = self._of_one_class(events, data, model)
        console.line(f"{self._model} with {model.count_params()} parameters, {len(events)} events")
        pretrain = str(options["Pretrain"]) or None
        if pretrain is not None and pretrain.replace("_", "").lower() == "crossentropy":
            pretrain = _CROSS_ENTROPY[data.analysis]
        history = fit(
            model,
            events,
            validation=validation,
            loss=self._loss,
            optimizer=str(options["Optimizer"]),
            learning_rate=float(options["LearningRate"]),
            schedule=str(options["Schedule"]) or None,
            epochs=int(options["Epochs"]),
            batch_size=int(options["BatchSize"]) or "auto",
            pretrain=pretrain,
            patience=None if options["Patience"] < 0 else int(options["Patience"]),
            seed=seed,
            callbacks=[_Lines(console)],
            verbose=False,
        )
        path = self.booking.folder / f"{self.booking.job}_{self.booking.title}.keras"
        with writing(path, overwrite=True) as temporary:
            model.save(temporary)
        graph = own_graph(self._of_variables(model, len(data.variables)), len(data.variables), None, path)
        losses_of = history.metrics
        train = np.array(losses_of["loss"])
        table = {
            "epoch": np.arange(1, history.epochs + 1, dtype=np.int32),
            "train": train,
            "test": np.array(losses_of.get("val_loss", np.full(len(train), np.nan))),
        }
        return Trained(graph, {"Convergence": table})

    def train_generator(self, data: DataSet, console: Console) -> list[Path]:
        """Train a generator; return its ``.keras`` file, its ONNX file, and the C++ header."""
        if not self.makes_events:
            return super().train_generator(data, console)
        aside = validation_events(self.options["ValidationSize"], len(data.training), self._what)
        validation = aside / len(data.training)
        return train_generator(
            self._model, self._settings, self._calorimeter, validation, data, self.booking, console
        )

    def _dataset(self, sample: Sample, data: DataSet) -> Dataset:
        """Return the events as the models take them; their weights are physics weights."""
        columns: Any = [f"x{number}" for number in range(len(data.variables))]
        blocks: dict[str, NDArray[Any]] = {"features": sample.variables}
        if self._layout:
            if int(np.prod(self._layout)) != len(data.variables):
                raise SettingError(
                    f"{self._what}: InputLayout={self.options['InputLayout']} holds {np.prod(self._layout)} "
                    f"values; there are {len(data.variables)} variables."
                )
            table = sample.variables.reshape(-1, *self._layout)
            if len(self._layout) == 3:
                blocks = {"image": np.ascontiguousarray(np.moveaxis(table, 1, -1))}
                columns = {"image": [f"channel{number}" for number in range(self._layout[0])]}
            else:
                names = self._columns(self._layout[1])
                there = np.abs(table[..., self._padding(names)]).max(axis=-1) > 0
                blocks = {"particles": table, "particles_mask": there}
                columns = {"particles": names}
        if data.analysis == "Regression":
            return Dataset.from_arrays(
                blocks, target=sample.targets, columns=columns, weight=sample.weights, balance=False
            )
        return Dataset.from_arrays(
            blocks,
            sample.classes,
            classes=data.classes,
            signal=data.classes[data.signal] if data.analysis == "Classification" else None,
            columns=columns,
            weight=sample.weights,
            balance=False,
        )

    def _padding(self, names: list[str]) -> list[int]:
        """Return the features one of which is not zero where a constituent is there."""
        chosen = str(self.options["Padding"])
        return [names.index(chosen)] if chosen else list(range(len(names)))

    def _of_one_class(self, events: Dataset, data: DataSet, model: keras.Model) -> Dataset:
        """Return what an autoencoder learns; all events for the others."""
        own = manifest_layer(model).manifest.get("loss")
        chosen = str(self.options["Class"])
        if own is None:
            if chosen:
                raise SettingError(f"{self._what}: Class belongs to autoencoders; {self._model} is none.")
            return events
        if self._loss is not None:
            raise SettingError(f"{self._what}: {self._model} has a loss of its own: leave Loss out.")
        if data.analysis != "Classification":
            raise SettingError(f"{self._what}: {self._model} gives one value; book it for a Classification.")
        if chosen and chosen not in data.classes:
            raise SettingError(f"{self._what}: {unknown('class', chosen, data.classes)}")
        index = data.classes.index(chosen) if chosen else 1 - data.signal
        return events[events.labels == index]

    def _boosted(self, events: Dataset, validation: float, seed: int, console: Console) -> Trained:
        settings = dict(self._settings)
        if "LearningRate" in self.options.given:
            settings["learning_rate"] = float(self.options["LearningRate"])
        if "Patience" in self.options.given:
            settings["patience"] = int(self.options["Patience"])
        model: BoostedModel = models.boosted(events, validation, seed=seed, name="boosted", **settings)
        console.line(f"{model.booster.num_trees()} trees")
        return Trained(OwnGraph(emit_boosted(model.booster, model.manifest["inputs"], OUTPUT, "boosted")))

    def _of_variables(self, model: keras.Model, variables: int) -> keras.Model:
        """Return the model with the row of variables as its input."""
        row = keras.Input((variables,), name=INPUT)
        if not self._layout:
            return keras.Model(row, model({"features": row}))
        table = keras.layers.Reshape(self._layout)(row)
        if len(self._layout) == 3:
            return keras.Model(row, model({"image": keras.layers.Permute((2, 3, 1))(table)}))
        places = self._padding(self._columns(self._layout[1]))
        seen = table if len(places) == self._layout[1] else table[..., places[0] : places[0] + 1]
        mask = ops.cast(ops.max(ops.abs(seen), axis=-1) > 0, "float32")
        return keras.Model(row, model({"particles": table, "particles_mask": mask}))


class _Lines(keras.callbacks.Callback):
    """Says how training goes."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        words = ", ".join(f"{name} {value:.5g}" for name, value in (logs or {}).items())
        self._console.line(f"epoch {epoch + 1}: {words}")
