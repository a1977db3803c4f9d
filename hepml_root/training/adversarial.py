"""Training of two networks that fight: a generator, and a critic that tells its events from real ones.

The scheme is ping-pong. Epochs, checkpoints, Ctrl-C, schedules and the choice of the best epoch are those of
every training (:mod:`hepml_root.training.epochs`); what differs is the loop, what is measured, and that the
optimizer is a pair.
"""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np
from numpy.typing import NDArray

from hepml_root.errors import (
    CollapseWarning,
    EmptySelectionError,
    OutputExistsError,
    SettingError,
    UnsupportedOperationError,
)
from hepml_root.losses.critic import AdversarialLoss, adversarial_loss
from hepml_root.output import writing
from hepml_root.training.blocks import Plan
from hepml_root.training.callbacks import EpochCallbacks
from hepml_root.training.checkpoint import Checkpoint, fingerprint
from hepml_root.training.collapse import Diversity, DiversityTest
from hepml_root.training.epochs import Phase, Training, reseed
from hepml_root.training.history import History
from hepml_root.training.optimizer import optimizer_of
from hepml_root.training.schedule import Cosine, Schedule

MONITOR = "val_distance"
_BATCH = 128
_MEASURED_EVENTS = 2000
_MEASURED_CELLS = 20_000_000
_KEPT_SAMPLES = 16
_PATIENCE = 3  # epochs that a collapse has to last
_FIXED = 2**31  # the epoch whose random numbers samples are always drawn with
# Momentum makes two networks circle around one another: arXiv:1511.06434, arXiv:1704.00028.
_BETAS = {"beta_1": 0.5, "beta_2": 0.9}


class TwoNetworks(Protocol):
    r"""What a model has to offer to be trained by :func:`fit_adversarial`, besides being a `keras.Model`.

    ``generate(conditions)``
        Events ``(events, cells)`` for conditions ``(events, conditions)``; tensors.
    ``sides(cells, conditions)``
        What the critic sees of real events and of generated ones, both ``(events, features)``, and what the
        generator makes small besides, ``(events, 1)`` or None; tensors.
    ``criticise(features, conditions)``
        The critic's scores ``(events, 1)``; of several critics ``(events, critics)``.
    ``observables(cells, conditions)``
        {name: (events,)}, numbers by which generated and real events are compared; arrays.
    ``critic_features``
        Only where there are several critics: how many of the features each of them sees. The first so many
        are the first one's, and so on; no score depends on the features of another.

    **Several critics.** Each has the loss that it would have alone, and the penalty on its own gradient, and
    they are added up. For the Wasserstein loss each slope is held at 1 by that, and the generator makes
    the sum of the distances :math:`\sum_k W_k` small. One penalty on the gradient of the summed scores would
    hold :math:`\sum_k |\nabla D_k|^2` at 1, which makes :math:`\sqrt{\sum_k W_k^2}` of it: the generator
    would hear of each distance with the factor :math:`W_k / W`, of small ones hardly at all. As the
    features are apart, the parts of the gradient of the sum are the gradients of all. A distance is in
    the units of its features, so a factor on those is the weight of their critic.
    """

    def generate(self, conditions: Any) -> Any: ...

    def sides(self, cells: Any, conditions: Any) -> tuple[Any, Any, Any]: ...

    def criticise(self, features: Any, conditions: Any) -> Any: ...

    def observables(
        self, cells: NDArray[np.float32], conditions: NDArray[np.float32]
    ) -> Mapping[str, NDArray[np.floating]]: ...

    @property
    def generator_variables(self) -> list[Any]:
        """What the generator learns."""

    @property
    def critic_variables(self) -> list[Any]:
        """What the critic learns."""


class OptimizerPair:
    """The two optimizers as one, for checkpoints: generator's variables first."""

    def __init__(self, generator: keras.optimizers.Optimizer, critic: keras.optimizers.Optimizer) -> None:
        self.generator, self.critic = generator, critic

    @property
    def variables(self) -> list[Any]:
        """All variables."""
        return [*self.generator.variables, *self.critic.variables]


class Judge:
    """Measures an epoch on held-out events: generates for their conditions, and compares."""

    def __init__(self, model: Any, held: Any, seed: int) -> None:
        self.model, self.seed = model, seed
        cells, conditions, found = [], [], 0
        for X, _, _ in held.stream(batch_size=_MEASURED_EVENTS, seed=0).epoch(0):
            cells.append(np.asarray(X["cells"], np.float32))
            conditions.append(np.asarray(X["conditions"], np.float32))
            found += len(cells[-1])
            if found >= _MEASURED_EVENTS:
                break
        if found < 2:
            raise EmptySelectionError("two validation events are the least to measure a generator on.")
        most = max(2, min(_MEASURED_EVENTS, _MEASURED_CELLS // cells[0].shape[1]))
        real, self.conditions = np.concatenate(cells)[:most], np.concatenate(conditions)[:most]
        self.test = DiversityTest(real, self.conditions, model.observables(real, self.conditions))
        self.last: Diversity | None = None
        self.samples: NDArray[np.float32] = real[:0]

    def metrics(self, loop: Any) -> dict[str, float]:
        """Return "val_distance", "val_spread" and "val_diversity"."""
        reseed(self.model, self.seed, _FIXED)
        cells = loop.predict({"conditions": self.conditions})
        self.samples = cells[:_KEPT_SAMPLES]
        observables = self.model.observables(cells, self.conditions)
        self.last = self.test.measure(cells, observables)
        return {
            MONITOR: self.last.distance,
            "val_spread": self.last.spread,
            "val_diversity": self.last.diversity,
        }


class AdversarialTraining(Training):
    """The epochs of two networks: adds the critic's metrics, samples, and the look-out for a collapse."""

    def _epoch(self, stream: Any, epoch: int, wish: Any, progress: Any) -> Any:
        metrics = super()._epoch(stream, epoch, wish, progress)
        return None if metrics is None else metrics | self.loop.epoch_metrics()  # type: ignore[attr-defined]

    def _record(self, metrics: dict[str, float]) -> None:
        super()._record(metrics)
        judge: Any = self.phase.measured
        if judge is None:
            return
        if self.store is not None:
            self._keep(self.store.path.parent, judge)
        self._look_out(judge)

    def _keep(self, folder: Path, judge: Judge) -> None:
        """Write some samples of the epoch beside the checkpoint: always the same noise and conditions."""
        path = folder / f"samples_{self.history.epochs:04d}.npz"
        with writing(path, overwrite=True) as temporary:
            conditions = judge.conditions[:_KEPT_SAMPLES]
            np.savez_compressed(temporary, cells=judge.samples, conditions=conditions)

    def _look_out(self, judge: Judge) -> None:
        """Warn when a collapse has lasted for some epochs, once each time that it begins."""
        last = judge.last
        assert last is not None
        newest = self.history.epochs
        spreads = zip(self.history.metrics["val_spread"], self.history.metrics["val_diversity"], strict=True)
        alike = [Diversity(0.0, spread, diversity, last.narrowest).collapsed for spread, diversity in spreads]
        lasted = next((count for count, one in enumerate(reversed(alike)) if not one), len(alike))
        if lasted == _PATIENCE or (lasted and newest == self.epochs and lasted < _PATIENCE):
            warnings.warn(
                f"the generator '{self.model.name}' has collapsed, for {lasted} epochs up to epoch {newest}: "
                f"{last.reason}. Try a smaller learning_rate, more critic_steps, the Wasserstein loss, or "
                "larger batches.",
                CollapseWarning,
                stacklevel=2,
            )

    def _end(self, patience: int | None, asked: bool, wish: bool) -> str | None:
        ended = super()._end(patience, asked, wish)
        newest = [self.history.metrics[name][-1:] for name in ("loss", "critic_loss") if self.history.epochs]
        if any(not math.isfinite(value[0]) for value in newest):
            warnings.warn(
                f"the losses of '{self.model.name}' are no longer finite after epoch {self.history.epochs}: "
                "the training ends, and the best epoch before stands. Try a smaller learning_rate.",
                CollapseWarning,
                stacklevel=2,
            )
            return "diverged"
        return ended


def fit_adversarial(
    model: Any,
    train: Any,
    held: Any,
    *,
    loss: str | AdversarialLoss = "wasserstein",
    optimizer: str | keras.optimizers.Optimizer = "adam",
    learning_rate: float = 1e-3,
    critic_rate: float = 1.0,
    schedule: Schedule | None = None,
    epochs: int = 100,
    batch_size: int | str = "auto",
    patience: int | None = None,
    seed: int = 1,
    steps_per_execution: int | str = "auto",
    jit: bool | str = "auto",
    checkpoint: str | os.PathLike[str] | None = None,
    resume: bool | str = False,
    callbacks: Sequence[Any] = (),
    verbose: bool = True,
) -> History:
    r"""Train a generator and its critic, and leave the model at its best epoch.

    ``hr.fit`` calls it for generators of this kind; here it takes any :class:`TwoNetworks`.

    **Ping-pong.** The critic makes ``loss.critic_steps`` steps, each on events of its own, then the generator
    makes one. An epoch shows every event to the critic once. Generated events have the conditions of the real
    ones beside them. Training weights multiply both sides, since conditions are drawn as often as the events
    are.

    **What is best.** Losses of two networks say little, so each epoch generates for the conditions of
    held-out events. The metrics are, besides "loss" (the generator's), "critic_loss", "critic_distance"
    (mean score of real less that of generated events: the Wasserstein distance, for that loss) and
    "gradient_penalty"; "val_distance", the mean over observables of the Wasserstein distance to the
    held-out events in units of their spread, by which the best epoch is chosen; "val_spread"
    and "val_diversity", see :class:`hepml_root.training.collapse.Diversity`. Without ``held`` the last epoch
    stands.

    **Collapse.** A generator that makes always the same for three epochs, or at the end, is reported by a
    :class:`hepml_root.errors.CollapseWarning` with these numbers. Losses that are no longer finite end the
    training ("diverged").

    **Checkpoints** hold both networks and both optimizers; a resumed training ends, on the same machine, bit
    for bit as one that never stopped. ``samples_0001.npz`` and so on beside it hold 16 samples of each epoch.

    Arguments
    ---------
    model
        A :class:`TwoNetworks`.
    train, held
        Datasets with the blocks "cells" and "conditions"; ``held`` may be None.
    loss
        "wasserstein", "least_squares", or an :class:`hepml_root.losses.AdversarialLoss` with settings.
    optimizer, learning_rate
        Of both networks; "adam" has the decays 0.5 and 0.9 here. An optimizer object is the generator's, and
        the critic gets one with the same settings.
    critic_rate
        The critic's learning rate over the generator's.
    schedule, epochs, patience, seed, steps_per_execution, checkpoint, resume, callbacks, verbose
        As in :func:`hepml_root.fit`.
    batch_size
        "auto": 128, or fewer where the events are few.
    jit
        Compile with XLA; "auto": no, since it takes long for two networks.

    Raises
    ------
    SettingError
        A setting is unknown or out of its range.
    EmptySelectionError
        There are too few events for the critic's steps, or fewer than two held out.
    OutputExistsError, InterruptedTrainingError
        As in :func:`hepml_root.fit`.
    UnsupportedOperationError
        The Keras backend is not TensorFlow.

    Reference: arXiv:1406.2661, arXiv:1704.00028.

    Example
    -------
    >>> import numpy as np, hepml_root as hr
    >>> random = np.random.default_rng(1)
    >>> showers = hr.data.Showers(random.exponential(0.1, (200, 504)), random.uniform(10, 100, 200), "lar-3")
    >>> generator = hr.models.shower_gan(showers, hidden=(8,), channels=2, critic_hidden=(8,))
    >>> history = hr.fit(generator, showers, epochs=1, batch_size=20)
    >>> sorted(history.best)[:3]
    ['critic_distance', 'critic_loss', 'gradient_penalty']
    """
    if keras.backend.backend() != "tensorflow":
        raise UnsupportedOperationError(
            f"two networks are trained with the TensorFlow backend only; this is {keras.backend.backend()}. "
            "Set KERAS_BACKEND=tensorflow."
        )
    if not (math.isfinite(critic_rate) and critic_rate > 0):
        raise SettingError(f"critic_rate={critic_rate}: a positive number is needed.")
    loss, schedule = adversarial_loss(loss), schedule or Schedule()
    pair, learning_rate = _optimizers(model, optimizer, learning_rate)
    plan = _plan(model, train, loss, batch_size, steps_per_execution)
    settings: dict[str, Any] = {
        "loss": loss.describe(),
        "learning_rate": learning_rate,
        "critic_rate": critic_rate,
        "epochs": int(epochs),
        "batch_size": plan.batch_size,
        "optimizer": type(pair.generator).__name__,
        "schedule": repr(schedule),
        "patience": patience,
        "monitor": MONITOR if held is not None else "loss",
        "seed": seed,
        "events": len(train),
        "validation_events": 0 if held is None else len(held),
    }
    history = History(monitor=settings["monitor"], settings=settings)
    judge: Any = None if held is None else Judge(model, held, seed)

    def loop() -> Any:
        from hepml_root.training.tensorflow_adversarial import TensorFlowAdversarialLoop

        return TensorFlowAdversarialLoop(
            model, loss, pair.generator, pair.critic, critic_rate, plan.batch_size, seed, jit is True
        )

    unused: Any = None
    phase = Phase(unused, 0, int(epochs), plan, learning_rate, loop, judge)
    store, state = None, None
    if checkpoint is not None:
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
    both: Any = pair
    AdversarialTraining(model, train, [phase], both, schedule, store, history).run(
        patience, seed, state, EpochCallbacks(callbacks, model), verbose
    )
    return history


def _optimizers(model: Any, optimizer: Any, learning_rate: float) -> tuple[OptimizerPair, float]:
    if isinstance(optimizer, str) and optimizer.casefold() == "adam":
        optimizer = keras.optimizers.Adam(learning_rate=learning_rate, **_BETAS)
    generator, learning_rate = optimizer_of(optimizer, learning_rate)
    critic = type(generator).from_config(generator.get_config())
    for one, variables in ((generator, model.generator_variables), (critic, model.critic_variables)):
        if not one.built:
            one.build(variables)
    return OptimizerPair(generator, critic), learning_rate


def _plan(model: Any, train: Any, loss: AdversarialLoss, batch_size: int | str, steps: int | str) -> Plan:
    """Return the batches: a step of the plan is one of the generator with the critic's before it."""
    most = len(train) // loss.critic_steps
    if most < 2:
        raise EmptySelectionError(
            f"{len(train)} events to train on are too few for {loss.critic_steps} steps of the critic before "
            "each one of the generator."
        )
    size = min(_BATCH if batch_size == "auto" else int(batch_size), most)
    parameters = sum(
        int(np.prod(variable.shape)) for variable in [*model.generator_variables, *model.critic_variables]
    )
    # Real, generated, and between, and the generator once more: some three times one pass.
    most_steps = None if steps == "auto" else int(steps)
    return Plan.of(len(train), size, 6 * parameters, most_steps, loss.critic_steps)
