"""Training of a Keras model on a dataset."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from hepml_root import losses
from hepml_root.data.split import set_aside
from hepml_root.errors import (
    ModelFileError,
    OutputExistsError,
    SettingError,
    UnsupportedOperationError,
    unknown,
)
from hepml_root.layers.linear import TargetScale
from hepml_root.layers.manifest import manifest_layer
from hepml_root.models.cost import flops
from hepml_root.training.blocks import Plan
from hepml_root.training.callbacks import EpochCallbacks
from hepml_root.training.checkpoint import Checkpoint, State, assign, fingerprint, values_of
from hepml_root.training.history import History
from hepml_root.training.interruption import interruptible
from hepml_root.training.loop import InputNames, KerasLoop, Loop
from hepml_root.training.progress import TrainingProgress
from hepml_root.training.schedule import Cosine, Schedule, schedule_of
from hepml_root.training.validation import Validation

# Measured with `python -m benchmarks train --scan [--hidden ...]`. Compiling with XLA costs half a second
# more than without, and saves 2 microseconds an event in small batches; in large ones TensorFlow's own
# products are faster. Processor time an event without and with XLA, batches of 128, on one core: LSTM of 32
# units on 30 constituents 186 and 79 µs, GRU 174 and 91, PFN 397 and 299, ParticleNet-Lite 2430 and 1620,
# small Particle Transformer 3210 and 2750, where compiling costs 3 to 17 s more. Convolutions are compiled to
# plain loops: the small CNN 260 and 8030, the residual CNN 320 and 1040.
_JIT_EVENTS = 250_000
_JIT_BATCH = 256
_SMALL_NETWORK = 50_000
# Weights that are used this often in an event, as those of convolutions and of sets, need no large batches.
_SHARED = 8
_PREDICT_EVENTS = 8192
# Of a call to predict: bounds its memory, also for networks of pairs of constituents.
_PREDICT_OPERATIONS = 4e9


def fit(
    model: keras.Model,
    train: Any,
    *,
    validation: Any = 0.2,
    loss: Any = None,
    optimizer: str | keras.optimizers.Optimizer = "adam",
    learning_rate: float = 1e-3,
    schedule: str | Schedule | None = None,
    epochs: int = 100,
    batch_size: int | str = "auto",
    patience: int | None = 10,
    monitor: str = "val_loss",
    seed: int = 1,
    steps_per_execution: int | str = "auto",
    jit: bool | str = "auto",
    checkpoint: str | os.PathLike[str] | None = None,
    resume: bool | str = False,
    callbacks: Sequence[Any] = (),
    verbose: bool = True,
) -> History:
    """Train a model on a dataset's training weights, and leave it with the weights of its best epoch.

    Every epoch is a new random order of the events, a function of seed and epoch only. Ctrl-C stops after the
    current block of events, keeps the best epoch so far and returns normally. The training is recorded in the
    model's manifest.

    Arguments
    ---------
    model
        A Keras model whose inputs are named after the dataset's blocks, or with one input for the only block.
    train
        The :class:`Dataset` to train on, in memory or lazy.
    validation
        The fraction of ``train`` to set aside (by event number, if ``train`` came about by that), or a
        dataset of its own, to measure each epoch on; None: no validation, no early stopping. The test events
        have no place here.
    loss
        A name (:mod:`hepml_root.losses` or Keras), a Keras loss, or a function. By default, the task's cross
        entropy; for regression the squared error in units of the targets' spread; for autoencoders their
        reconstruction error.
    optimizer, learning_rate
        A name of Keras and its rate, or an optimizer with a rate of its own.
    schedule
        Of the learning rate: "cosine", "exponential", "plateau", or a :class:`Schedule` with settings.
    epochs
        At most.
    batch_size
        Events of a step; "auto": 128, or 256 from 200 000 events on; for dense networks of more than 50 000
        parameters more in proportion to the events, up to 1024.
    patience
        Epochs without a better value of ``monitor`` before the training ends; None: never.
    monitor
        "val_loss", "val_auc" (binary) or "val_accuracy" (multiclass).
    seed
        Of the validation events, the order of events, and dropped neurons.
    steps_per_execution
        Steps for each call into the backend; "auto": as many as take about a second at most.
    jit
        Compile with XLA; "auto": for batches up to 256, when there is enough to train on to win back the
        time, and no convolution, which XLA makes slow on CPUs.
    checkpoint
        Folder in which the state is kept after each epoch.
    resume
        True: continue the training in ``checkpoint``, with the same result as if it had not stopped; it may
        be given more epochs (but not under a cosine schedule) or more patience. "auto": continue it if there
        is one, else start.
    callbacks
        Keras callbacks; their epoch and training hooks are called, not those of single batches.
    verbose
        Show a progress bar, if standard error is a terminal.

    Raises
    ------
    SettingError
        A setting is unknown or out of its range.
    ShapeError
        The dataset does not have the model's inputs.
    OutputExistsError
        ``checkpoint`` holds a training and ``resume`` is False.
    InterruptedTrainingError
        The training to resume does not exist or is another one.

    Example
    -------
    >>> import numpy as np, hepml_root as hr
    >>> x = np.random.default_rng(1).normal(size=(1000, 3))
    >>> data = hr.Dataset.from_arrays(x, x[:, 0] > 0)
    >>> history = hr.fit(hr.models.dense(data, hidden=(8,)), data, epochs=5, learning_rate=0.01)
    >>> history.best["val_auc"] > 0.9
    True
    """
    schedule = schedule_of(schedule)
    _check(epochs, batch_size, patience, steps_per_execution, jit, resume, checkpoint)
    train, held = _parts(train, validation, seed)
    loss = losses.get(_default_loss(model, train.task) if loss is None else loss)
    optimizer, learning_rate = _optimizer(optimizer, learning_rate)

    parameters = sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)
    operations = _operations(model, parameters)
    size = _auto_batch(len(train), parameters, operations) if batch_size == "auto" else int(batch_size)
    most_steps = None if steps_per_execution == "auto" else int(steps_per_execution)
    plan = Plan.of(len(train), size, operations, most_steps)
    worth_it = plan.batch_size <= _JIT_BATCH and len(train) * epochs > _JIT_EVENTS and not _convolves(model)
    use_jit = worth_it if jit == "auto" else bool(jit)
    names = InputNames(model, {block.name: block for block in train.blocks})
    most = 2 ** int(math.log2(max(64.0, min(_PREDICT_EVENTS, _PREDICT_OPERATIONS / max(operations, 1)))))
    loop = _loop(model, optimizer, loss, names, plan, use_jit, jit == "auto", most)
    measured = Validation(held, loss) if held is not None else None
    if measured is None:
        monitor = "loss"
    elif monitor not in measured.names:
        raise SettingError(unknown("metric to monitor", monitor, measured.names))

    settings = {
        "loss": keras.saving.serialize_keras_object(loss)["config"] | {"class": type(loss).__name__},
        "optimizer": type(optimizer).__name__,
        "learning_rate": learning_rate,
        "schedule": repr(schedule),
        "epochs": epochs,
        "batch_size": plan.batch_size,
        "patience": patience,
        "monitor": monitor,
        "seed": seed,
        "events": len(train),
        "validation_events": len(held) if held is not None else 0,
    }
    history = History(monitor=monitor, settings=settings)
    store = None
    state = None
    if checkpoint is not None:
        # A training may be resumed for more epochs or with more patience, unless the schedule looks at its
        # end.
        may_grow = {"patience"} if isinstance(schedule, Cosine) else {"patience", "epochs"}
        fixed = {name: value for name, value in settings.items() if name not in may_grow}
        store = Checkpoint(checkpoint, fingerprint(model, train, fixed))
        if store.exists and not resume:
            raise OutputExistsError(
                f"'{store.path}' holds a training already. Continue it with resume=True, "
                "or name another folder."
            )
        if resume is True or (resume and store.exists):
            state = store.load()

    _Training(model, train, measured, loop, optimizer, plan, schedule, learning_rate, store, history).run(
        epochs, patience, seed, state, EpochCallbacks(callbacks, model), verbose
    )
    try:
        layer = manifest_layer(model)
    except ModelFileError:  # a Keras model of one's own, trained before it is attached to its data
        return history
    layer.manifest = {**layer.manifest, "training": history.summary()}
    return history


class _Training:
    """One training: its parts, and the epochs."""

    def __init__(
        self,
        model: keras.Model,
        train: Any,
        measured: Validation | None,
        loop: Loop,
        optimizer: keras.optimizers.Optimizer,
        plan: Plan,
        schedule: Schedule,
        learning_rate: float,
        store: Checkpoint | None,
        history: History,
    ) -> None:
        self.model, self.loop, self.optimizer, self.measured = model, loop, optimizer, measured
        self.plan, self.schedule, self.learning_rate = plan, schedule, learning_rate
        self.store, self.history = store, history
        self.train = train
        self.best: list[Any] = []

    def run(
        self,
        epochs: int,
        patience: int | None,
        seed: int,
        state: State | None,
        callbacks: EpochCallbacks,
        verbose: bool,
    ) -> None:
        history = self.history
        if state is not None:
            self._restore(state)
        stream = self.train.stream(batch_size=self.plan.batch_size, seed=seed)
        done, spent = 0, 0.0
        started = time.perf_counter() - history.seconds
        ended = self._end(patience, asked=False, wish=False)
        with interruptible() as wish, TrainingProgress(epochs, self.plan.blocks, verbose) as progress:
            callbacks.begin()
            while history.epochs < epochs and ended is None:
                epoch = history.epochs
                callbacks.epoch_begin(epoch)
                reseed(self.model, seed, epoch)
                clock = time.perf_counter()
                metrics = self._epoch(stream, epoch, epochs, wish, progress)
                if metrics is None:
                    ended = "interrupted"
                    break
                elapsed = time.perf_counter() - clock
                # The first epoch compiles; its time says nothing about the speed, unless it is the only one.
                if done == self.plan.epoch_events:
                    done, spent = 0, 0.0
                done, spent = done + self.plan.epoch_events, spent + elapsed
                if self.measured is not None:
                    metrics |= self.measured.metrics(self.loop)
                self._record(metrics)
                history.events_per_second = done / spent
                progress.epoch(metrics, history.events_per_second)
                history.seconds = time.perf_counter() - started
                ended = self._end(patience, callbacks.epoch_end(epoch, metrics), bool(wish))
                if self.store is not None:
                    self.store.save(self._state())
            callbacks.end()
        history.stopped = ended or "epochs"
        history.seconds = time.perf_counter() - started
        if self.best:
            assign(self.model.variables, self.best)

    def _epoch(self, stream: Any, epoch: int, epochs: int, wish: Any, progress: TrainingProgress) -> Any:
        """Train one epoch; return its metrics, or None if it was interrupted."""
        plan, history = self.plan, self.history
        monitored = self._signed(history.metrics.get(history.monitor, []))
        rates = self.schedule.rates(self.learning_rate, epoch, epochs, plan.steps * plan.blocks, monitored)
        total = 0.0
        for number, (X, target, weight) in enumerate(plan.cut(stream.epoch(epoch))):
            if wish:
                return None
            total += self.loop.run(X, target, weight, rates[number * plan.steps : (number + 1) * plan.steps])
            progress.block(epoch)
        return {"loss": total / plan.blocks, "learning_rate": float(rates[-1])}

    def _signed(self, values: Sequence[float]) -> list[float]:
        """Return values of the monitored metric so that less is better, NaN worst."""
        sign = 1.0 if self.history.monitor.endswith("loss") else -1.0
        return [math.inf if math.isnan(value) else sign * value for value in values]

    def _record(self, metrics: dict[str, float]) -> None:
        history = self.history
        for name, value in metrics.items():
            history.metrics.setdefault(name, []).append(value)
        values = self._signed(history.metrics[history.monitor])
        # Without validation there is nothing to choose by: the last epoch stands.
        if self.measured is None or history.best_epoch is None or values[-1] < values[history.best_epoch]:
            history.best_epoch = history.epochs - 1
            self.best = values_of(self.model.variables)

    def _waited(self) -> int:
        """Return the number of epochs since the best one."""
        best = self.history.best_epoch
        return 0 if best is None else self.history.epochs - 1 - best

    def _end(self, patience: int | None, asked: bool, wish: bool) -> str | None:
        """Return why the training ends after this epoch, or None."""
        if self.measured is not None and patience is not None and self._waited() >= patience:
            return "early"
        if asked:
            return "callback"
        return "interrupted" if wish else None

    def _state(self) -> State:
        return State(
            variables=values_of(self.model.variables),
            optimizer=values_of(self.optimizer.variables),
            best=self.best,
            metrics=self.history.metrics,
            best_epoch=self.history.best_epoch,
            seconds=self.history.seconds,
        )

    def _restore(self, state: State) -> None:
        assign(self.model.variables, state.variables)
        assign(self.optimizer.variables, state.optimizer)
        self.best = state.best
        self.history.metrics = state.metrics
        self.history.best_epoch = state.best_epoch
        self.history.seconds = state.seconds


def reseed(model: keras.Model, seed: int, epoch: int) -> None:
    """Set the random state of dropout and its like to a function of seed, layer and epoch."""
    number = 0
    for layer in model._flatten_layers():
        for generator in getattr(layer, "_seed_generators", []):
            value = np.random.SeedSequence([seed, epoch, number]).generate_state(2) & 0x7FFFFFFF
            generator.state.assign(value.astype(np.dtype(generator.state.dtype)))
            number += 1


def _check(
    epochs: int, batch_size: Any, patience: Any, steps: Any, jit: Any, resume: Any, checkpoint: Any
) -> None:
    for name, value, words in (
        ("epochs", epochs, ()),
        ("batch_size", batch_size, ("auto",)),
        ("steps_per_execution", steps, ("auto",)),
        ("patience", patience, (None,)),
    ):
        if value not in words and (isinstance(value, (str, bool)) or int(value) != value or value < 1):
            also = f" or {words[0]!r}" if words else ""
            raise SettingError(f"{name}={value!r}: a whole number from 1{also} is needed.")
    if jit not in (True, False, "auto"):
        raise SettingError(f"jit={jit!r}: True, False or 'auto'.")
    if resume not in (True, False, "auto"):
        raise SettingError(f"resume={resume!r}: True, False or 'auto'.")
    if resume and checkpoint is None:
        raise SettingError("resume needs the folder of the training to continue: checkpoint=FOLDER.")


def _parts(train: Any, validation: Any, seed: int) -> tuple[Any, Any]:
    """Return training and validation events."""
    if (
        validation is None
        or validation is False
        or (isinstance(validation, (int, float)) and validation == 0)
    ):
        return train, None
    if isinstance(validation, (int, float)):
        if not 0.0 < validation < 1.0:
            raise SettingError(f"validation={validation}: a fraction between 0 and 1, a dataset, or None.")
        return set_aside(train, float(validation), seed)
    return train, validation


def _default_loss(model: keras.Model, task: str) -> Any:
    own = _manifest(model).get("loss")
    if own is not None:  # an autoencoder's, which has nothing to do with the classes
        return own
    if task == "binary":
        return "binary_crossentropy"
    if task == "multiclass":
        return "categorical_crossentropy"
    for layer in model._flatten_layers(include_self=False, recursive=True):
        if isinstance(layer, TargetScale):
            return losses.ScaledSquaredError(keras.ops.convert_to_numpy(layer.factor).tolist())
    return "mean_squared_error"


def _manifest(model: keras.Model) -> dict[str, Any]:
    """Return a model's manifest; empty for a Keras model of one's own, not yet attached to its data."""
    try:
        return manifest_layer(model).manifest
    except ModelFileError:
        return {}


def _optimizer(
    optimizer: str | keras.optimizers.Optimizer, learning_rate: float
) -> tuple[keras.optimizers.Optimizer, float]:
    """Return an optimizer and its base learning rate."""
    if isinstance(optimizer, str):
        known = {
            name.casefold(): made
            for name, made in vars(keras.optimizers).items()
            if isinstance(made, type) and issubclass(made, keras.optimizers.Optimizer)
        }
        made = known.get(optimizer.casefold())
        if made is None or made is keras.optimizers.Optimizer:
            raise SettingError(
                unknown("optimizer", optimizer, [name for name in known if name != "optimizer"])
            )
        optimizer = made(learning_rate=learning_rate)
    if isinstance(
        getattr(optimizer, "_learning_rate", None), keras.optimizers.schedules.LearningRateSchedule
    ):
        raise SettingError(
            "the optimizer brings a schedule of its own; give a plain rate, and schedule=… to fit."
        )
    rate = float(keras.ops.convert_to_numpy(optimizer.learning_rate))
    if not (math.isfinite(rate) and rate > 0):
        raise SettingError(f"learning_rate={rate}: a positive number is needed.")
    return optimizer, rate


def _operations(model: keras.Model, parameters: int) -> int:
    """Return the operations with which the model scores an event; a guess for one that cannot be traced."""
    try:
        return flops(model)
    except (UnsupportedOperationError, AttributeError, ValueError):
        return 2 * parameters


def _convolves(model: keras.Model) -> bool:
    """Whether there is a convolution in the model."""
    kinds = tuple(
        kind
        for name, kind in vars(keras.layers).items()
        if isinstance(kind, type) and name.startswith(("Conv", "Depthwise", "Separable"))
    )
    return any(isinstance(layer, kinds) for layer in model._flatten_layers())


def _auto_batch(events: int, parameters: int, operations: int) -> int:
    """Return the batch size that learns and runs well for a number of events and a network.

    Small networks run fastest at 128 to 256, where XLA keeps a batch in the cache, and learn most from many
    steps; so do those that use each weight many times in an event. In large ones the matrix products decide,
    and they want 512 or more once there are steps enough.
    """
    if parameters <= _SMALL_NETWORK or operations >= _SHARED * parameters:
        return 128 if events <= 200_000 else 256
    return int(min(max(128, 2 ** math.floor(math.log2(max(events, 1) / 400))), 1024))


def _loop(
    model: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    loss: keras.losses.Loss,
    names: InputNames,
    plan: Plan,
    jit: bool,
    may_fall_back: bool,
    predict_events: int,
) -> Loop:
    if keras.backend.backend() == "tensorflow":
        from hepml_root.training.tensorflow_loop import TensorFlowLoop

        return TensorFlowLoop(
            model, optimizer, loss, names, plan.batch_size, jit, may_fall_back, predict_events
        )
    return KerasLoop(model, optimizer, loss, names, plan.batch_size, jit, min(plan.steps, 64), predict_events)
