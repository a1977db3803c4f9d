"""Training of a Keras model on a dataset."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras

from hepml_root import losses
from hepml_root.data.split import set_aside
from hepml_root.errors import ModelFileError, OutputExistsError, SettingError, unknown
from hepml_root.layers.manifest import manifest_layer
from hepml_root.models.adversarial_generator import AdversarialGenerator
from hepml_root.models.generator import Generator
from hepml_root.training.adversarial import MONITOR, fit_adversarial
from hepml_root.training.automatic import default_loss
from hepml_root.training.callbacks import EpochCallbacks
from hepml_root.training.checkpoint import Checkpoint, fingerprint
from hepml_root.training.epochs import Training
from hepml_root.training.expected_events import expected_events, with_yields
from hepml_root.training.history import History
from hepml_root.training.optimizer import optimizer_of
from hepml_root.training.phases import Asked, PhaseMaker, describe, describe_pretraining
from hepml_root.training.pretraining import check_whole, pretraining_of
from hepml_root.training.schedule import Cosine, Schedule, schedule_of
from hepml_root.training.significance_monitor import SIGNIFICANCE, ValidationSignificance, check_events
from hepml_root.training.validation import Validation


def fit(
    model: keras.Model | Generator,
    train: Any,
    *,
    validation: Any = 0.2,
    loss: Any = None,
    optimizer: str | keras.optimizers.Optimizer = "adam",
    learning_rate: float = 1e-3,
    schedule: str | Schedule | None = None,
    epochs: int = 100,
    batch_size: int | str = "auto",
    accumulate: int = 1,
    pretrain: Any = None,
    patience: int | str | None = "auto",
    monitor: str | ValidationSignificance = "val_loss",
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
        A Keras model whose inputs are named after the dataset's blocks, or with one input for the only block;
        or a generator of showers (:class:`hepml_root.models.generator.Generator`).
    train
        The :class:`Dataset` to train on, in memory or lazy; for a generator its :class:`Showers`.
    validation
        The fraction of ``train`` to set aside (by event number, if ``train`` came about by that), or a
        dataset of its own, to measure each epoch on; None: no validation, no early stopping. The test events
        have no place here.
    loss
        A name (:mod:`hepml_root.losses` or Keras), a Keras loss, or a function. By default, the task's cross
        entropy; for regression the squared error in units of the targets' spread; for autoencoders their
        reconstruction error. For generators with a critic "wasserstein", "least_squares" or an
        :class:`hepml_root.losses.AdversarialLoss`, trained as
        :func:`hepml_root.training.fit_adversarial` says, and then the correction that some of them have
        (:func:`hepml_root.models.shower_bib_ae`).
    optimizer, learning_rate
        A name of Keras and its rate, or an optimizer with a rate of its own.
    schedule
        Of the learning rate: "cosine", "exponential", "plateau", or a :class:`Schedule` with settings.
    epochs
        At most.
    batch_size
        Events of a batch; "auto": 128, or 256 from 200 000 events on; for dense networks of more than 50 000
        parameters more in proportion to the events, up to 1024. For a significance, as many as its estimate
        needs (:mod:`hepml_root.losses.batch_statistics`); with fewer there is a warning that says by how much
        the loss is biased.
    accumulate
        Batches of a step: the gradient is that of the loss of all their events together, exactly, in the
        memory of one batch (:mod:`hepml_root.training.accumulation`). Where the memory allows, batches as
        many times larger are the same step in three quarters of the time.
    pretrain
        A loss for a few epochs before those of ``loss``, or a :class:`Pretraining` that says how many, at
        what rate, and what becomes of the optimizer at the switch. The schedule runs over both.
    patience
        Epochs without a better value of ``monitor`` before the training ends; None: never; "auto": 10, and
        never for generators with a critic. Those of a pretraining do not count.
    monitor
        What is best: "val_loss", "val_auc" or "val_significance" (binary), "val_accuracy" (multiclass), or a
        :class:`ValidationSignificance` with an uncertainty of its own. For generators with a critic it is
        "val_distance".
    seed
        Of the validation events, the order of events, and dropped neurons.
    steps_per_execution
        Steps for each call into the backend; "auto": as many as take about a second at most.
    jit
        Compile with XLA; "auto": for batches up to 256 (2048 with a loss of sums over the batch), when there
        is enough to train on to win back the time, and no convolution, which XLA makes slow on CPUs.
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
        A setting is unknown or out of its range, or the loss does not suit the data or the accumulation.
    WeightError
        Expected events are needed, and the weights of a class have no positive sum.
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
    generator = model if isinstance(model, Generator) else None
    if generator is not None:
        train, validation = generator.training_data(train), generator.training_data(validation)
    if patience == "auto":
        patience = None if isinstance(model, AdversarialGenerator) else 10
    schedule, pretraining = schedule_of(schedule), pretraining_of(pretrain)
    _check(epochs, batch_size, accumulate, patience, steps_per_execution, jit, resume, checkpoint)
    patience = None if patience is None else int(patience)
    if isinstance(model, AdversarialGenerator):
        _refuse_for_two_networks(accumulate, pretraining, monitor)
        train, held = _parts(train, validation, seed)
        history = fit_adversarial(
            model, train, held, loss=model.default_loss if loss is None else loss,
            optimizer=optimizer, learning_rate=learning_rate, schedule=schedule, epochs=epochs,
            batch_size=batch_size, patience=patience, seed=seed, steps_per_execution=steps_per_execution,
            jit=jit, checkpoint=checkpoint, resume=resume, callbacks=callbacks, verbose=verbose,
        )  # fmt: skip
        model.training = history.summary()
        if model.correction_epochs and history.stopped not in ("interrupted", "diverged"):
            _fit_correction(model, train, history, checkpoint, resume, verbose)
        return history
    if generator is not None:
        model = generator.learner()
    whole = train
    train, held = _parts(train, validation, seed)
    loss = with_yields(losses.get(default_loss(model, train.task) if loss is None else loss), whole)
    optimizer, learning_rate = optimizer_of(optimizer, learning_rate)
    if not optimizer.built:
        optimizer.build(model.trainable_variables)
    monitor, significance = _monitored(monitor, loss, whole, held)
    maker = PhaseMaker(
        model,
        train,
        optimizer,
        lambda its_loss: None if held is None else Validation(held, its_loss, significance),
        None if steps_per_execution == "auto" else int(steps_per_execution),
        jit,
        int(epochs) + (0 if pretraining is None else int(pretraining.epochs)),
    )
    asked = Asked(loss, int(epochs), learning_rate, batch_size, accumulate)
    phases = maker.all(asked, pretraining, whole)

    settings = {
        **describe(phases[-1]),
        "optimizer": type(optimizer).__name__,
        "schedule": repr(schedule),
        "patience": patience,
        "monitor": monitor,
        "seed": seed,
        "events": len(train),
        "validation_events": len(held) if held is not None else 0,
    }
    if pretraining is not None:
        settings["pretrain"] = describe_pretraining(phases[0], pretraining)
    if significance is not None:
        of_cuts, signal, background = significance
        settings["significance"] = asdict(of_cuts) | {"signal": signal, "background": background}
    history = History(monitor=monitor, settings=settings, pretraining_epochs=phases[-1].first)
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

    Training(model, train, phases, optimizer, schedule, store, history).run(
        patience, seed, state, EpochCallbacks(callbacks, model), verbose
    )
    try:
        layer = manifest_layer(model)
    except ModelFileError:  # a Keras model of one's own, trained before it is attached to its data
        return history
    layer.manifest = {**layer.manifest, "training": history.summary()}
    if generator is not None:
        generator.training = history.summary()
    return history


def _check(
    epochs: int,
    batch_size: Any,
    accumulate: Any,
    patience: Any,
    steps: Any,
    jit: Any,
    resume: Any,
    checkpoint: Any,
) -> None:
    check_whole("epochs", epochs)
    check_whole("batch_size", batch_size, ("auto",))
    check_whole("accumulate", accumulate)
    check_whole("steps_per_execution", steps, ("auto",))
    check_whole("patience", patience, (None,))
    if jit not in (True, False, "auto"):
        raise SettingError(f"jit={jit!r}: True, False or 'auto'.")
    if resume not in (True, False, "auto"):
        raise SettingError(f"resume={resume!r}: True, False or 'auto'.")
    if resume and checkpoint is None:
        raise SettingError("resume needs the folder of the training to continue: checkpoint=FOLDER.")


def _refuse_for_two_networks(accumulate: int, pretraining: Any, monitor: Any) -> None:
    """Raise SettingError for what a training of two networks cannot do."""
    if accumulate != 1 or pretraining is not None:
        raise SettingError("generators with a critic take neither accumulate nor pretrain.")
    if monitor not in ("val_loss", MONITOR):
        raise SettingError(unknown("metric to monitor", str(monitor), [MONITOR]))


def _fit_correction(
    generator: AdversarialGenerator,
    train: Any,
    first: History,
    checkpoint: str | os.PathLike[str] | None,
    resume: bool | str,
    verbose: bool,
) -> None:
    """Train what corrects a generator's showers, after its two networks, and record it with them.

    Its folder is named after the epochs of those, since more of them are to be corrected anew.
    """
    folder = None if checkpoint is None else Path(checkpoint) / f"correction_{first.epochs:04d}"
    same = {name: first.settings[name] for name in ("learning_rate", "batch_size", "seed")}
    second = fit(
        generator.correction_learner(), train, validation=None, schedule="cosine", jit=False,
        epochs=generator.correction_epochs, checkpoint=folder, resume="auto" if resume else False,
        verbose=verbose, **same,
    )  # fmt: skip
    generator.training = {**generator.training, "correction": second.summary()}


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


def _monitored(
    monitor: str | ValidationSignificance, loss: keras.losses.Loss, data: Any, held: Any
) -> tuple[str, tuple[ValidationSignificance, float, float] | None]:
    """Return the name of the metric that decides, and how the significance is measured, if it is.

    Without validation there is none, and the last epoch stands.
    """
    if held is None:
        return "loss", None
    wanted = isinstance(monitor, ValidationSignificance) or monitor == SIGNIFICANCE
    if not wanted:
        known = Validation(held, loss).names
        if monitor not in known:
            offered = [*known, *([SIGNIFICANCE] if data.task == "binary" else [])]
            raise SettingError(unknown("metric to monitor", str(monitor), offered))
        return str(monitor), None
    of_cuts = monitor if isinstance(monitor, ValidationSignificance) else ValidationSignificance()
    of_cuts = of_cuts.with_systematic_of(loss)
    if getattr(loss, "signal", None) and getattr(loss, "background", None):
        signal, background = float(loss.signal), float(loss.background)
    else:
        signal, background = expected_events(data, f"monitor='{SIGNIFICANCE}'")
    check_events(held, of_cuts)
    return SIGNIFICANCE, (of_cuts, signal, background)
