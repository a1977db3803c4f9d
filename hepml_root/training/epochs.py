"""The epochs of a training: its phases one after the other, the best epoch, and where it may stop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from hepml_root.training.blocks import Plan
from hepml_root.training.callbacks import EpochCallbacks
from hepml_root.training.checkpoint import Checkpoint, State, assign, values_of
from hepml_root.training.history import History
from hepml_root.training.interruption import interruptible
from hepml_root.training.loop import Loop, seed_states
from hepml_root.training.progress import TrainingProgress
from hepml_root.training.schedule import Schedule
from hepml_root.training.sharpening import sharpen
from hepml_root.training.significance_monitor import SIGNIFICANCE
from hepml_root.training.validation import Validation

# Of the metrics that may decide which epoch is best. Of all others, losses and distances, less is better.
_MORE_IS_BETTER = frozenset({"val_auc", "val_accuracy", SIGNIFICANCE})


@dataclass(frozen=True)
class Phase:
    """Some epochs of a training with one loss.

    Attributes
    ----------
    loss
        What is made small.
    first, epochs
        Its first epoch, and how many they are at most.
    plan
        How its epochs are cut into batches.
    learning_rate
        Its base rate, before schedule and warm-up.
    loop
        Makes what runs the batches; called when the phase begins.
    measured
        What measures its epochs, if there are validation events.
    warmup
        Epochs over which its rate rises from 0.
    optimizer
        The optimizer's variables at its beginning; None: as they are.
    sharpen
        Whether the output is scaled and shifted at its beginning.
    """

    loss: keras.losses.Loss
    first: int
    epochs: int
    plan: Plan
    learning_rate: float
    loop: Callable[[], Loop]
    measured: Validation | None
    warmup: float = 0.0
    optimizer: list[NDArray[Any]] | None = None
    sharpen: bool = False


class Training:
    """One training: its parts, and the epochs."""

    def __init__(
        self,
        model: keras.Model,
        train: Any,
        phases: Sequence[Phase],
        optimizer: keras.optimizers.Optimizer,
        schedule: Schedule,
        store: Checkpoint | None,
        history: History,
    ) -> None:
        self.model, self.train, self.optimizer = model, train, optimizer
        self.phases, self.phase = list(phases), phases[0]
        self.schedule, self.store, self.history = schedule, store, history
        self.epochs = phases[-1].first + phases[-1].epochs
        self.loop: Loop
        self.best: list[Any] = []

    def run(
        self,
        patience: int | None,
        seed: int,
        state: State | None,
        callbacks: EpochCallbacks,
        verbose: bool,
    ) -> None:
        """Train to the end of the last phase, or until something stops it; leave the model at its best epoch.

        ``state`` is where an interrupted training stood.
        """
        history = self.history
        if state is not None:
            self._restore(state)
        done, spent, timed = 0, 0.0, 0
        started = time.perf_counter() - history.seconds
        ended = self._end(patience, asked=False, wish=False)
        blocks = sum(phase.epochs * phase.plan.blocks for phase in self.phases)
        stream: Any = None
        with interruptible() as wish, TrainingProgress(self.epochs, blocks, verbose) as progress:
            callbacks.begin()
            while history.epochs < self.epochs and ended is None:
                epoch = history.epochs
                if stream is None or epoch == self.phase.first + self.phase.epochs:
                    self._enter(epoch)
                    stream = self.train.stream(batch_size=self.phase.plan.step_events, seed=seed)
                    if epoch == self.phase.first and self.phase.sharpen:
                        sharpen(self.model, self.loop, stream.epoch(epoch), self.phase.loss)
                    done, spent, timed = 0, 0.0, 0
                callbacks.epoch_begin(epoch)
                reseed(self.model, seed, epoch)
                clock = time.perf_counter()
                metrics = self._epoch(stream, epoch, wish, progress)
                if metrics is None:
                    ended = "interrupted"
                    break
                elapsed = time.perf_counter() - clock
                events = self.phase.plan.epoch_events
                # A first epoch compiles; its time says nothing about the speed, unless it is the only one.
                if timed == 1:
                    done, spent = 0, 0.0
                done, spent, timed = done + events, spent + elapsed, timed + 1
                if self.phase.measured is not None:
                    metrics |= self.phase.measured.metrics(self.loop)
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

    def _enter(self, epoch: int) -> None:
        """Make ready for the phase of an epoch; at its first, the optimizer may begin anew."""
        self.phase = next(phase for phase in reversed(self.phases) if phase.first <= epoch)
        self.loop = self.phase.loop()
        if epoch == self.phase.first and self.phase.optimizer is not None:
            assign(self.optimizer.variables, self.phase.optimizer)

    def _epoch(self, stream: Any, epoch: int, wish: Any, progress: TrainingProgress) -> Any:
        """Train one epoch; return its metrics, or None if it was interrupted."""
        plan, rates = self.phase.plan, self._rates(epoch)
        total = 0.0
        for number, (X, target, weight) in enumerate(plan.cut(stream.epoch(epoch))):
            if wish:
                return None
            total += self.loop.run(X, target, weight, rates[number * plan.steps : (number + 1) * plan.steps])
            progress.block(epoch)
        return {"loss": total / plan.blocks, "learning_rate": float(rates[-1])}

    def _rates(self, epoch: int) -> NDArray[np.float32]:
        """Return the learning rate of each step of an epoch, ``(steps,)``."""
        phase, history = self.phase, self.history
        steps = phase.plan.steps * phase.plan.blocks
        # What another loss was like before says nothing about a plateau of this one.
        monitored = self._signed(history.metrics.get(history.monitor, [])[phase.first :])
        rates = self.schedule.rates(phase.learning_rate, epoch, self.epochs, steps, monitored)
        if not phase.warmup:
            return rates
        at = epoch - phase.first + np.arange(steps) / steps
        return (rates * np.minimum(at / phase.warmup, 1.0)).astype(np.float32)

    def _signed(self, values: Sequence[float]) -> list[float]:
        """Return values of the monitored metric so that less is better, NaN worst."""
        sign = -1.0 if self.history.monitor in _MORE_IS_BETTER else 1.0
        return [math.inf if math.isnan(value) else sign * value for value in values]

    def _record(self, metrics: dict[str, float]) -> None:
        history = self.history
        for name, value in metrics.items():
            history.metrics.setdefault(name, []).append(value)
        values = self._signed(history.metrics[history.monitor])
        best = history.best_epoch
        # Without validation there is nothing to choose by, and of epochs before the last phase the newest
        # stands until there is one of that phase.
        if (
            self.phase.measured is None
            or best is None
            or best < self.phases[-1].first
            or values[-1] < values[best]
        ):
            history.best_epoch = history.epochs - 1
            self.best = values_of(self.model.variables)

    def _waited(self) -> int:
        """Return the number of epochs since the best one."""
        best = self.history.best_epoch
        return 0 if best is None else self.history.epochs - 1 - best

    def _end(self, patience: int | None, asked: bool, wish: bool) -> str | None:
        """Return why the training ends after this epoch, or None."""
        if self.phase.measured is not None and patience is not None and self._waited() >= patience:
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
    for number, state in enumerate(seed_states(model)):
        value = np.random.SeedSequence([seed, epoch, number]).generate_state(2) & 0x7FFFFFFF
        state.assign(value.astype(np.dtype(state.dtype)))
