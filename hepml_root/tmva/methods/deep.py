"""kDL: a deep network from TMVA's Layout and TrainingStrategy."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import Any, ClassVar

import keras
import numpy as np

from hepml_root.errors import SettingError
from hepml_root.layers.linear import TargetScale
from hepml_root.output import writing
from hepml_root.tmva.console import Console
from hepml_root.tmva.data_sets.events import DataSet
from hepml_root.tmva.methods.deep_network import Built, Input, build
from hepml_root.tmva.methods.keras_events import (
    Arrays,
    arrays,
    check_validation_size,
    own_graph,
    training_sample,
    validation_events,
)
from hepml_root.tmva.methods.layout import parse_input_layout, parse_layout
from hepml_root.tmva.methods.method import Booking, Method, Trained
from hepml_root.tmva.methods.training_strategy import Phase, parse_strategy
from hepml_root.tmva.options.declaration import Option
from hepml_root.tmva.options.networks import DL

_STEPS = 32  # of one call into the backend
_VALIDATION_BATCH = 4096


class DeepNetwork(Method):
    """A deep network: dense, convolutional and recurrent layers in TMVA's strings, trained by Keras.

    The response of a classifier is the sigmoid of the last layer, of several classes the softmax, of a
    regression the last layer itself. Variables and targets of regressions are brought to mean 0 and spread 1
    inside the model (the pixels of an image together, the features of a sequence over all steps).
    Training goes through the phases of the strategy; a phase ends when ConvergenceSteps epochs bring nothing
    better for the training events that ValidationSize sets aside, and the best weights are kept.

    Raises
    ------
    SettingError
        A string cannot be read, or layers do not fit to one another.

    Reference: A. Hoecker et al., TMVA users guide, arXiv:physics/0703039, section 8.11.
    """

    type_name: ClassVar[str] = "DL"
    own_options: ClassVar[tuple[Option, ...]] = DL
    analyses: ClassVar[tuple[str, ...]] = ("Classification", "Multiclass", "Regression")
    summary: ClassVar[str] = "deep network of a Layout"

    def __init__(self, booking: Booking) -> None:
        super().__init__(booking)
        options = self.options
        self._what = f"{self.type_name} '{booking.title}'"
        self._layers = parse_layout(options["Layout"], self._what)
        self._input = parse_input_layout(options["InputLayout"], self._what)
        self._phases = parse_strategy(options["TrainingStrategy"], self._what)
        check_validation_size(options["ValidationSize"], self._what)
        if options["RandomSeed"] < 0:
            raise SettingError(f"{self._what}: RandomSeed={options['RandomSeed']}: at least 0 is needed.")
        if options["WeightInitialization"] == "ZERO":
            raise SettingError(
                f"{self._what}: WeightInitialization=ZERO: neurons that begin alike stay alike. Take XAVIER."
            )
        batch = options["BatchLayout"].split("|")
        if len(batch) != 3 or not all(part.strip().isdigit() for part in batch):
            raise SettingError(
                f"{self._what}: BatchLayout={options['BatchLayout']}: three numbers are needed, as 128|1|28, "
                "or leave it out."
            )
        self._loss = {
            "SUMOFSQUARES": "mean_squared_error",
            "CROSSENTROPY": "crossentropy",
            "MUTUALEXCLUSIVE": "crossentropy",
        }[options["ErrorStrategy"]]
        if self._loss == "crossentropy":
            self._loss = {
                "Classification": "binary_crossentropy",
                "Multiclass": "categorical_crossentropy",
                "Regression": "mean_squared_error",
            }[booking.analysis]

    def train(self, data: DataSet, console: Console) -> Trained:
        """Train; monitors: "Convergence" with the losses where the validation was looked at."""
        options = self.options
        if data.analysis == "Regression" and options["ErrorStrategy"] != "SUMOFSQUARES":
            console.line("ErrorStrategy=SUMOFSQUARES is taken, that of regressions")
        sample = training_sample(data, options["IgnoreNegWeightsInTraining"], self._what)
        seed = int(options["RandomSeed"])
        if seed:
            keras.utils.set_random_seed(seed)
        drops = [max(parts) for parts in zip_longest(*(phase.drop for phase in self._phases), fillvalue=0.0)]
        built = build(
            self._layers,
            Input(sample.variables, sample.weights, self._input),
            data.analysis,
            data.outputs,
            drops=drops,
            initializer=str(options["WeightInitialization"]),
            seed=seed or None,
            what=self._what,
        )
        console.line(f"Network of {built.model.count_params()} parameters")
        events = arrays(sample, data, built.model.outputs[0].shape[-1])
        scale = None
        wanted = events.wanted
        if data.analysis == "Regression":
            scale = TargetScale(name="target_scale").adapt(wanted, np.maximum(sample.weights, 0.0))
            wanted = np.asarray(scale.inverse(wanted), np.float32)
        events = Arrays(events.inputs, wanted, events.weights / np.float32(sample.weights.mean()))
        aside = validation_events(options["ValidationSize"], len(events), self._what)
        order = np.random.default_rng(seed or None).permutation(len(events))
        held, train = events.take(order[:aside]), events.take(order[aside:])
        console.line(f"Training on {len(train)} events, validation on {len(held)}")
        table = self._run(built, train, held, console)
        model = built.model
        if scale is not None:
            inputs = keras.Input(model.input_shape[1:], name="features")
            model = keras.Model(inputs, scale(model(inputs)), name="regression")
        path = self.booking.folder / f"{self.booking.job}_{self.booking.title}.keras"
        with writing(path, overwrite=True) as temporary:
            model.save(temporary)
        graph = own_graph(model, len(data.variables), None, path)
        return Trained(graph, {"Convergence": table})

    def _run(self, built: Built, train: Arrays, held: Arrays, console: Console) -> dict[str, Any]:
        watch = _Watch(console)
        for number, phase in enumerate(self._phases, start=1):
            console.line(
                f"Phase {number} of {len(self._phases)}: {phase.optimizer}, rate {phase.learning_rate:g}"
            )
            for place, drop in enumerate(built.drops):
                if drop is not None:
                    drop.rate = phase.drop[place] if place < len(phase.drop) else 0.0
            for penalty in built.penalties:
                penalty.l1 = phase.weight_decay if phase.regularization == "L1" else 0.0
                penalty.l2 = phase.weight_decay if phase.regularization == "L2" else 0.0
            batch = min(phase.batch_size, len(train))
            steps = -(-len(train) // batch)
            built.model.compile(
                optimizer=_optimizer(phase),
                loss=self._loss,
                steps_per_execution=min(steps, _STEPS),
                jit_compile=False,
            )
            start = np.inf
            if number > 1:
                start = built.model.evaluate(
                    held.inputs,
                    held.wanted,
                    sample_weight=held.weights,
                    batch_size=_VALIDATION_BATCH,
                    verbose=0,
                )
            watch.begin(phase, float(start), built.model)
            built.model.fit(
                train.inputs,
                train.wanted,
                sample_weight=train.weights,
                batch_size=batch,
                epochs=phase.epochs,
                validation_data=(held.inputs, held.wanted, held.weights),
                validation_batch_size=_VALIDATION_BATCH,
                validation_freq=min(phase.every, phase.epochs),
                verbose=0,
                callbacks=[watch],
            )
        return watch.table()


class _Watch(keras.callbacks.Callback):
    """Ends a phase without a better validation, and keeps the best weights of all phases."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console
        self._rows: list[tuple[int, float, float]] = []
        self._before = 0
        self._best = np.inf
        self._weights: Sequence[Any] | None = None

    def begin(self, phase: Phase, loss: float, model: keras.Model) -> None:
        """Begin a phase with the validation's loss that the one before it has reached."""
        self._phase = phase
        self._without = 0
        self._best = loss
        self._weights = model.get_weights() if np.isfinite(loss) else None

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._epoch = self._before + epoch + 1
        value = (logs or {}).get("val_loss")
        if value is None:
            return
        self._rows.append((self._epoch, float(logs["loss"]), float(value)))
        self._console.line(f"epoch {self._epoch}: loss {logs['loss']:.5f}, validation {value:.5f}")
        if value < self._best:
            self._best, self._without = float(value), 0
            self._weights = self.model.get_weights()
            return
        self._without += self._phase.every
        if self._without >= self._phase.patience:
            self.model.stop_training = True

    def on_train_end(self, logs: Any = None) -> None:  # noqa: ARG002
        self._before = self._epoch
        if self._weights is None:
            raise SettingError(
                "the loss of the validation was never a finite number: take a smaller LearningRate."
            )
        self.model.set_weights(self._weights)

    def table(self) -> dict[str, Any]:
        values = np.array(self._rows, float).reshape(-1, 3)
        return {"epoch": values[:, 0].astype(np.int32), "train": values[:, 1], "test": values[:, 2]}


def _optimizer(phase: Phase) -> keras.optimizers.Optimizer:
    rate, constants = phase.learning_rate, dict(phase.constants)
    if phase.optimizer == "SGD":
        return keras.optimizers.SGD(rate, momentum=phase.momentum)
    if phase.optimizer == "RMSPROP":
        return keras.optimizers.RMSprop(rate, momentum=phase.momentum, **constants)
    made = {
        "ADAM": keras.optimizers.Adam,
        "ADAGRAD": keras.optimizers.Adagrad,
        "ADADELTA": keras.optimizers.Adadelta,
    }
    return made[phase.optimizer](rate, **constants)
