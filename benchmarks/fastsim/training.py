"""One generator: trained for so many minutes of one core, exported, judged.

The budget is what makes generators comparable: each may use the same number of seconds of one processor core
for its gradient steps. A short training of a copy measures the seconds that an epoch takes; the number of
epochs is what fits, and the learning rate falls along a cosine over these. The best epoch is kept, by the
validation loss or, for generators with a critic, by the distance of what they make. Loading, tracing and
validating do not count. XLA takes no part: it would have to be won back in each of the trainings.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.fastsim import entries, judging
from benchmarks.fastsim.entries import GENERATORS, REFERENCES, Entry
from benchmarks.fastsim.sample import Parts, parts
from hepml_root.output import writing

_PROBE_SHOWERS = 4096
_MOST_EPOCHS = 400
_SEED = 1


@dataclass(frozen=True)
class Study:
    """What all rows have in common: the showers, the budget, and where results are kept."""

    sample: Path
    folder: Path
    minutes: float
    showers: int | None = None
    fast: bool = False

    def file(self, name: str, ending: str) -> Path:
        """Return the path of a result of a row."""
        return self.folder / f"{name}{ending}"

    def parts(self) -> Parts:
        return parts(self.sample, self.showers)

    def has(self, name: str) -> bool:
        """Whether a row has been trained and, where it can be, judged."""
        judged = self.file(name, "_judged.json").exists()
        if name in REFERENCES:
            return judged
        return self.file(name, ".json").exists() and (judged or not GENERATORS[name].sampled)


def perform(name: str, study: Study) -> None:
    """Make what is missing of a row: NAME.json, NAME.keras, NAME.onnx, and NAME_judged.json."""
    data = study.parts()
    if name in GENERATORS and not study.file(name, ".json").exists():
        train(GENERATORS[name], data, study)
    if study.file(name, "_judged.json").exists() or not (name in REFERENCES or GENERATORS[name].sampled):
        return
    made, seconds = _showers_of(name, data, study)
    found = judging.judge(data, made, study.fast) | {"generating_seconds": seconds}
    _write(study.file(name, "_judged.json"), found)


def train(entry: Entry, data: Parts, study: Study) -> None:
    """Train and export a generator; NAME.json is written last."""
    import hepml_root as hr

    teacher = None
    if entry.teacher is not None:
        teacher = hr.load_model(study.file(entry.teacher, ".keras"))
    model, record = _trained(entry, data, study, teacher)
    with writing(study.file(entry.name, ".keras"), overwrite=True) as path:
        model.save(path)
    if entry.sampled:
        hr.export(model, study.file(entry.name, ".onnx"), overwrite=True)
    _write(study.file(entry.name, ".json"), {"entry": entry.to_dict(), **record})


def _trained(entry: Entry, data: Parts, study: Study, teacher: Any) -> tuple[Any, dict[str, Any]]:
    import keras

    import hepml_root as hr

    class Clock(keras.callbacks.Callback):
        """Processor seconds of each epoch, with its validation."""

        def __init__(self) -> None:
            super().__init__()
            self.seconds: list[float] = []

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002 - Keras's hook
            self.began = time.process_time()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002 - Keras's hook
            self.seconds.append(time.process_time() - self.began)

    def fitted(showers: Any, held: Any, epochs: int) -> tuple[Any, Any, Clock]:
        model, clock = entry.make(showers, study.fast, teacher), Clock()
        history = hr.fit(
            model, showers, validation=held, epochs=epochs, schedule="cosine", patience=None, jit=False,
            callbacks=[clock], seed=_SEED, verbose=False, **entry.fit,
        )  # fmt: skip
        return model, history, clock

    of_an_epoch, epochs = None, 2
    if not study.fast:
        # The first epoch traces, the others are measured. Without validation, which does not count.
        few = data.train[: min(_PROBE_SHOWERS, len(data.train))]
        clock = fitted(few, None, 3)[2]
        of_an_epoch = min(clock.seconds[1:]) / len(few) * len(data.train)
        epochs = int(np.clip(round(60 * study.minutes / of_an_epoch), 1, _MOST_EPOCHS))
    began, began_processor = time.perf_counter(), time.process_time()
    model, history, clock = fitted(data.train, data.validation, epochs)
    return model, {
        "minutes": study.minutes,
        "showers": len(data.train),
        "epochs": history.epochs,
        "best_epoch": history.best_epoch,
        "stopped": history.stopped,
        "metrics": history.to_dict()["metrics"],
        "settings": history.settings,
        # Of the gradient steps; where that was not measured, with validation.
        "seconds": sum(clock.seconds) if of_an_epoch is None else of_an_epoch * history.epochs,
        "seconds_with_validation": sum(clock.seconds),
        # With compiling, and what a generator trains besides.
        "seconds_of_all": time.process_time() - began_processor,
        "wall_seconds": time.perf_counter() - began,
        "parameters": int(model.count_params()),
    }


def _showers_of(name: str, data: Parts, study: Study) -> tuple[Any, float]:
    """Return showers for the particles of the test, and the processor seconds that they took."""
    import hepml_root as hr

    if name == entries.SOURCE:
        return data.again, 0.0
    began = time.process_time()
    if name in REFERENCES:
        made = getattr(entries, name)(data.train, data.test)
    else:
        made = hr.ShowerGenerator(study.file(name, ".onnx")).sample(data.test, seed=_SEED)
    return made, time.process_time() - began


def _write(path: Path, record: dict[str, Any]) -> None:
    with writing(path, overwrite=True) as temporary:
        temporary.write_text(json.dumps(record, indent=1, default=_plain))


def _plain(value: Any) -> Any:
    """Return what JSON does not know, as numbers of NumPy, as Python's."""
    return value.item() if hasattr(value, "item") else str(value)
