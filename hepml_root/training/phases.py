"""From what is asked of each loss of a training to its phases: batches, the loop that runs them, measures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras

from hepml_root import losses
from hepml_root.training import automatic
from hepml_root.training.batch_size import batch_size_of, warn_of_bias
from hepml_root.training.blocks import Plan
from hepml_root.training.epochs import Phase
from hepml_root.training.expected_events import with_yields
from hepml_root.training.loop import InputNames, KerasLoop, Loop
from hepml_root.training.optimizer import fresh_state
from hepml_root.training.pretraining import Pretraining
from hepml_root.training.validation import Validation

Measure = Callable[[keras.losses.Loss], Validation | None]


@dataclass(frozen=True)
class Asked:
    """What is asked of the epochs with one loss, as in :func:`fit`."""

    loss: keras.losses.Loss
    epochs: int
    learning_rate: float
    batch_size: int | str
    accumulate: int

    def before(self, pretraining: Pretraining, data: Any) -> Asked:
        """Return what is asked of the epochs before these; what they leave open is as here."""
        own = pretraining
        return Asked(
            with_yields(losses.get(own.loss), data),
            int(own.epochs),
            self.learning_rate if own.learning_rate is None else own.learning_rate,
            self.batch_size if own.batch_size is None else own.batch_size,
            self.accumulate if own.accumulate is None else own.accumulate,
        )


class PhaseMaker:
    """Makes the phases of one training.

    Arguments
    ---------
    model, train, optimizer
        What to train, on what, and how.
    measure
        Makes what measures the epochs with a loss.
    most_steps
        Steps of a call into the backend at most; None: as many as take about a second.
    jit
        Compile with XLA, or "auto".
    epochs
        Of all phases, which decide what is worth compiling.
    """

    def __init__(
        self,
        model: keras.Model,
        train: Any,
        optimizer: keras.optimizers.Optimizer,
        measure: Measure,
        most_steps: int | None,
        jit: bool | str,
        epochs: int,
    ) -> None:
        self.model, self.train, self.optimizer, self.measure = model, train, optimizer, measure
        self.most_steps, self.jit = most_steps, jit
        self.trained_events = len(train) * epochs
        self.names = InputNames(model, {block.name: block for block in train.blocks})
        self.parameters = automatic.parameters_of(model)
        self.operations = automatic.operations_of(model, self.parameters)

    def all(self, asked: Asked, pretraining: Pretraining | None, data: Any) -> list[Phase]:
        """Return the phases of a training: that of the loss, and a pretraining before it."""
        if pretraining is None:
            return [self.phase(asked, 0)]
        reset = pretraining.optimizer_state == "reset"
        return [
            self.phase(asked.before(pretraining, data), 0),
            self.phase(
                asked,
                int(pretraining.epochs),
                pretraining.warmup,
                fresh_state(self.optimizer, self.model) if reset else None,
                pretraining.sharpen,
            ),
        ]

    def phase(
        self,
        asked: Asked,
        first: int,
        warmup: float = 0.0,
        optimizer: list[Any] | None = None,
        sharpen: bool = False,
    ) -> Phase:
        """Return one phase, from epoch ``first`` on."""
        if asked.batch_size == "auto":
            size = batch_size_of(asked.loss, self.train, self.parameters, self.operations, asked.accumulate)
        else:
            size = int(asked.batch_size)
        plan = Plan.of(len(self.train), size, self.operations, self.most_steps, int(asked.accumulate))
        warn_of_bias(asked.loss, self.train, plan)
        return Phase(
            asked.loss,
            first,
            int(asked.epochs),
            plan,
            asked.learning_rate,
            lambda: self._loop(asked.loss, plan),
            self.measure(asked.loss),
            warmup,
            optimizer,
            sharpen,
        )

    def _loop(self, loss: keras.losses.Loss, plan: Plan) -> Loop:
        worth_it = automatic.worth_compiling(self.model, loss, plan.batch_size, self.trained_events)
        jit = worth_it if self.jit == "auto" else bool(self.jit)
        predict_events = automatic.predict_events(self.operations)
        if keras.backend.backend() == "tensorflow":
            from hepml_root.training.tensorflow_loop import TensorFlowLoop

            return TensorFlowLoop(
                self.model, self.optimizer, loss, self.names, plan.batch_size, jit, self.jit == "auto",
                predict_events, plan.accumulate,
            )  # fmt: skip
        return KerasLoop(
            self.model, self.optimizer, loss, self.names, plan.step_events, jit, min(plan.steps, 64),
            predict_events,
        )  # fmt: skip


def describe(phase: Phase) -> dict[str, Any]:
    """Return what a phase does, for the history and the fingerprint of a checkpoint."""
    return {
        "loss": keras.saving.serialize_keras_object(phase.loss)["config"]
        | {"class": type(phase.loss).__name__},
        "learning_rate": phase.learning_rate,
        "epochs": phase.epochs,
        "batch_size": phase.plan.batch_size,
        "accumulate": phase.plan.accumulate,
    }


def describe_pretraining(phase: Phase, pretraining: Pretraining) -> dict[str, Any]:
    """Return what a pretraining does, what it left open filled in."""
    switch = {
        "optimizer_state": pretraining.optimizer_state, "warmup": pretraining.warmup,
        "sharpen": pretraining.sharpen,
    }  # fmt: skip
    return describe(phase) | switch
