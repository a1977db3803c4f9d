"""kPyKeras: a compiled Keras model of the user's own, from a file."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any, ClassVar

import keras
import numpy as np

from hepml_root.errors import (
    HepmlError,
    MissingDependencyError,
    ModelFileError,
    SettingError,
    ShapeError,
    SourceNotFoundError,
)
from hepml_root.output import writing
from hepml_root.tmva.console import Console
from hepml_root.tmva.data_sets.events import DataSet
from hepml_root.tmva.methods.keras_events import (
    arrays,
    check_validation_size,
    convergence,
    own_graph,
    training_sample,
    validation_events,
)
from hepml_root.tmva.methods.method import Booking, Method, Trained
from hepml_root.tmva.options.declaration import Option
from hepml_root.tmva.options.networks import PYKERAS

_ENDINGS = (".keras", ".h5", ".hdf5")


class KerasFile(Method):
    """A compiled Keras model from a ``.keras`` or ``.h5`` file, trained as TMVA's kPyKeras trains it.

    The model has one input ``(events, variables)`` and gives ``(events, classes)``: signal first, as its
    class has the index 0; of a classification it may give one column instead, that of the signal. Of a
    regression ``(events, targets)``. Loss, optimizer and metrics are those that it was compiled with, event
    weights are its sample weights, and the last training events are its validation. The trained model is
    written to FilenameTrainedModel, by default ``TrainedModel_<title>.keras`` beside the weights.

    UserCode names a Python file that is **executed** before the model is loaded, with whatever it does: name
    only files that you trust. It may register layers with Keras, or set ``load_model_custom_objects``.

    Raises
    ------
    SettingError
        FilenameModel is missing, the model is not compiled, or an option cannot be read.
    SourceNotFoundError
        A file does not exist.
    ModelFileError
        Keras cannot read the file.
    MissingDependencyError
        TensorBoard is asked for and not installed.
    ShapeError
        The model does not take the variables, or does not give what the analysis needs.

    Reference: F. Chollet et al., https://keras.io
    """

    type_name: ClassVar[str] = "PyKeras"
    own_options: ClassVar[tuple[Option, ...]] = PYKERAS
    analyses: ClassVar[tuple[str, ...]] = ("Classification", "Multiclass", "Regression")
    summary: ClassVar[str] = "a compiled Keras model from a file"

    def __init__(self, booking: Booking) -> None:
        super().__init__(booking)
        options = self.options
        self._what = f"{self.type_name} '{booking.title}'"
        for name, least in (("NumEpochs", 1), ("BatchSize", 1), ("Verbose", 0)):
            if options[name] < least:
                raise SettingError(f"{self._what}: {name}={options[name]}: at least {least} is needed.")
        check_validation_size(options["ValidationSize"], self._what)
        self._schedule = learning_rates(options["LearningRateSchedule"], self._what)
        self._trained_file = Path(
            options["FilenameTrainedModel"] or booking.folder / f"TrainedModel_{booking.title}.keras"
        )
        if self._trained_file.suffix not in _ENDINGS:
            raise SettingError(
                f"{self._what}: FilenameTrainedModel={self._trained_file}: a name ending with .keras or .h5 "
                "is needed."
            )
        if not options["FilenameModel"] and not options["ContinueTraining"]:
            raise SettingError(
                f"{self._what}: FilenameModel is missing: the .keras or .h5 file of a compiled model."
            )
        if options["TensorBoard"] and importlib.util.find_spec("tensorboard") is None:
            raise MissingDependencyError(
                f"{self._what}: TensorBoard={options['TensorBoard']}: install it: pip install tensorboard."
            )
        self._custom = _executed(options["UserCode"], self._what)
        self._loaded()

    def _loaded(self) -> keras.Model:
        """Return the model as its file has it."""
        continued = self.options["ContinueTraining"]
        path = self._trained_file if continued else Path(self.options["FilenameModel"])
        name = "FilenameTrainedModel" if continued else "FilenameModel"
        if not path.is_file():
            raise SourceNotFoundError(f"{self._what}: {name}: there is no file '{path}'.")
        try:
            model = keras.models.load_model(path, custom_objects=self._custom)
        except Exception as error:  # Keras raises whatever a layer's constructor raises
            said = _reason(error)
            raise ModelFileError(
                f"{self._what}: Keras cannot read '{path}' ({type(error).__name__}: {said}). Layers of your "
                "own have to be known first: name the file that defines them with UserCode=…"
            ) from error
        if not getattr(model, "compiled", False) or model.optimizer is None:
            raise SettingError(
                f"{self._what}: the model in '{path}' is not compiled: call model.compile(loss=…, "
                "optimizer=…) before it is saved."
            )
        if path.suffix != ".keras":
            # Keras reads the optimizer of an HDF5 file for other variables than those of the model.
            model.compile_from_config(model.get_compile_config())
        return model

    def train(self, data: DataSet, console: Console) -> Trained:
        """Train; monitors: "Convergence" with the losses of every epoch, validation as test."""
        options = self.options
        model = self._loaded()
        outputs = self._check_shapes(model, data)
        sample = training_sample(data, options["IgnoreNegWeightsInTraining"], self._what)
        events = arrays(sample, data, outputs)
        aside = validation_events(options["ValidationSize"], len(events), self._what)
        console.line(f"Training on {len(events) - aside} events, validation on {aside}")
        train, held = events.take(slice(None, -aside)), events.take(slice(-aside, None))
        try:
            history = model.fit(
                train.inputs,
                train.wanted,
                sample_weight=train.weights,
                validation_data=(held.inputs, held.wanted, held.weights),
                epochs=int(options["NumEpochs"]),
                batch_size=int(options["BatchSize"]),
                verbose=0 if console.silent else int(options["Verbose"]),
                callbacks=self._callbacks(model),
            ).history
        except (ValueError, TypeError) as error:
            if isinstance(error, HepmlError):
                raise
            raise ShapeError(
                f"{self._what}: Keras cannot train the model: {str(error).strip()[:400]} The targets are "
                "one-hot, (events, classes), those of a regression (events, targets)."
            ) from error
        self._trained_file.parent.mkdir(parents=True, exist_ok=True)
        with writing(self._trained_file, overwrite=True) as temporary:
            model.save(temporary)
        console.line(f"Trained model: {self._trained_file}")
        column = data.signal if data.analysis == "Classification" else None
        graph = own_graph(model, len(data.variables), column, self._trained_file)
        return Trained(graph, {"Convergence": convergence(history)})

    def _check_shapes(self, model: keras.Model, data: DataSet) -> int:
        """Return how many values the model gives."""
        takes = [tuple(tensor.shape) for tensor in model.inputs]
        if len(takes) != 1 or len(takes[0]) != 2 or takes[0][1] not in (None, len(data.variables)):
            raise ShapeError(
                f"{self._what}: the model takes {takes}; it has to take (None, {len(data.variables)}), the "
                "variables. Begin a model of images or sequences with keras.layers.Reshape."
            )
        gives = [tuple(tensor.shape) for tensor in model.outputs]
        wanted = {
            "Classification": {2, 1},
            "Multiclass": {len(data.classes)},
            "Regression": {len(data.targets)},
        }[data.analysis]
        if len(gives) != 1 or len(gives[0]) != 2 or gives[0][1] not in wanted:
            raise ShapeError(
                f"{self._what}: the model gives {gives}; {data.analysis} needs (None, {max(wanted)})."
            )
        return int(gives[0][1])

    def _callbacks(self, model: keras.Model) -> list[keras.callbacks.Callback]:
        options = self.options
        tries = int(options["TriesEarlyStopping"])
        found: list[keras.callbacks.Callback] = []
        if tries >= 0 or options["SaveBestOnly"]:
            patience = tries if tries >= 0 else int(options["NumEpochs"]) + 1
            found.append(
                keras.callbacks.EarlyStopping(
                    monitor="val_loss",
                    patience=patience,
                    restore_best_weights=options["SaveBestOnly"],
                    mode="min",
                )
            )
        if self._schedule:
            found.append(
                keras.callbacks.LearningRateScheduler(lambda epoch, rate: self._schedule.get(epoch, rate))
            )
            if not hasattr(model.optimizer.learning_rate, "assign"):
                raise SettingError(
                    f"{self._what}: LearningRateSchedule: the model's optimizer has a schedule of its own."
                )
        if options["TensorBoard"]:
            found.append(keras.callbacks.TensorBoard(log_dir=options["TensorBoard"]))
        return found


def learning_rates(text: str, what: str = "PyKeras") -> dict[int, float]:
    """Return a LearningRateSchedule as ``{epoch: rate from there on}``.

    Raises
    ------
    SettingError
        It cannot be read.

    Example
    -------
    >>> learning_rates("50,0.01;70,0.005")
    {50: 0.01, 70: 0.005}
    """
    found: dict[int, float] = {}
    for part in filter(None, (part.strip() for part in text.split(";"))):
        epoch, comma, rate = part.partition(",")
        try:
            found[int(epoch)] = float(rate)
        except ValueError:
            comma = ""
        if not comma or not 0 < found[int(epoch)] < np.inf or int(epoch) < 0:
            raise SettingError(
                f"{what}: LearningRateSchedule={text}: '{part}': epoch,rate is needed, as 50,0.01;70,0.005."
            )
    return found


def _reason(error: Exception) -> str:
    """Return the line of Keras's message that says what is wrong; it shows whole configurations before."""
    lines = str(error).strip().splitlines() or [""]
    causes = [line.strip() for line in lines if line.strip().startswith("Exception encountered:")]
    return (causes or lines)[-1 if causes else 0].removeprefix("Exception encountered:").strip()[:300]


def _executed(name: str, what: str) -> dict[str, Any] | None:
    """Execute a user's file, and return the custom objects that it names."""
    if not name:
        return None
    path = Path(name)
    if not path.is_file():
        raise SourceNotFoundError(f"{what}: UserCode: there is no file '{path}'.")
    names: dict[str, Any] = {"__name__": path.stem, "__file__": str(path), "load_model_custom_objects": None}
    exec(compile(path.read_text(), str(path), "exec"), names)
    return names["load_model_custom_objects"]
