"""One training of the comparison: a network, a seed, a budget of processor time.

The budget is what makes the networks comparable: every network may use the same number of seconds of one
processor core for its gradient steps. A short training of a copy measures the seconds that an epoch takes;
the number of epochs is what fits, and the learning rate falls to zero over these epochs along a cosine. The
epoch with the best validation AUC is kept. Loading, compiling and validating do not count.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.top_tagging.entries import Entry
from hepml_root.output import writing

_PROBE_EVENTS = 4096
_MOST_EPOCHS = 40


def datasets(entry: Entry, samples: dict[str, str], most: int | None) -> tuple[Any, Any, Any]:
    """Return training (60 %), validation (20 %) and test jets (20 %), the same for all networks."""
    import hepml_root as hr

    data = hr.Dataset.from_root(
        samples,
        inputs=entry.inputs(),
        signal="top",
        max_events=most,
    )
    train, validation, test = data.split(test=0.2, validation=0.2, seed=1)
    return train, validation, test


def train(
    entry: Entry, seed: int, budget: float, samples: dict[str, str], most: int | None, out: Path
) -> None:
    """Train, score the test jets, and write `NAME_SEED.json`, `.npz` and `.onnx` into the folder ``out``."""
    learn, validation, test = datasets(entry, samples, most)
    result: dict[str, Any] = {
        "name": entry.name,
        "title": entry.title,
        "seed": seed,
        "budget": budget,
        "jets": {"train": len(learn), "validation": len(validation), "test": len(test)},
    }
    if entry.model is None:
        model, more = _boosted(learn, validation, seed)
    else:
        model, more = _network(entry, learn, validation, seed, budget)
    result |= more
    scores = _scores(model, test)
    if entry.model:
        import hepml_root as hr

        hr.export(model, out / f"{entry.name}_{seed}.onnx", data=test, overwrite=True)
    result |= {"accuracy": float(np.mean((scores > 0.5) == (test.target[:, 0] > 0.5)))}
    with writing(out / f"{entry.name}_{seed}.npz", overwrite=True) as path, path.open("wb") as file:
        np.savez_compressed(file, scores=scores, labels=test.target[:, 0] > 0.5)
    with writing(out / f"{entry.name}_{seed}.json", overwrite=True) as path:
        path.write_text(json.dumps(result, indent=1))


def _boosted(learn: Any, validation: Any, seed: int) -> tuple[Any, dict[str, Any]]:
    import hepml_root as hr

    began = time.process_time()
    model = hr.models.boosted(learn, validation, trees=1000, seed=seed, threads=1)
    return model, {"seconds": time.process_time() - began, "trees": model.booster.num_trees()}


def _network(
    entry: Entry, learn: Any, validation: Any, seed: int, budget: float
) -> tuple[Any, dict[str, Any]]:
    import keras

    import hepml_root as hr
    from hepml_root.models.cost import flops, parameters

    class Clock(keras.callbacks.Callback):
        """Processor seconds of each epoch's gradient steps."""

        def __init__(self) -> None:
            super().__init__()
            self.seconds: list[float] = []

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002 - Keras's hook
            self.began = time.process_time()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002 - Keras's hook
            self.seconds.append(time.process_time() - self.began)

    def made(data: Any, number: int) -> Any:
        return hr.models.preset(entry.model, entry.preset, data, seed=number, **entry.settings)

    settings: dict[str, Any] = {
        "batch_size": entry.batch_size,
        "learning_rate": entry.learning_rate,
        "jit": entry.jit,
        "verbose": False,
    }
    # The same compiled steps as in the training proper; the first epoch compiles, the second is measured.
    few = learn[: min(_PROBE_EVENTS, len(learn))]
    clock = Clock()
    hr.fit(made(few, 0), few, validation=None, epochs=3, callbacks=[clock], seed=seed, **settings)
    of_an_epoch = min(clock.seconds[1:]) / len(few) * len(learn)
    epochs = int(np.clip(round(budget / of_an_epoch), 1, _MOST_EPOCHS))

    model = made(learn, seed)
    clock = Clock()
    began = time.perf_counter()
    history = hr.fit(
        model,
        learn,
        validation=validation,
        epochs=epochs,
        patience=None,
        schedule="cosine",
        monitor="val_auc",
        callbacks=[clock],
        seed=seed,
        **settings,
    )
    return model, {
        "epochs": history.epochs,
        "best_epoch": history.best_epoch,
        "val_auc": history.metrics["val_auc"],
        "val_loss": history.metrics["val_loss"],
        "loss": history.metrics["loss"],
        "seconds": of_an_epoch * history.epochs,
        "seconds_with_validation": sum(clock.seconds),
        "wall_seconds": time.perf_counter() - began,
        "parameters": parameters(model),
        "flops": flops(model),
        "batch_size": entry.batch_size,
        "learning_rate": entry.learning_rate,
    }


def _scores(model: Any, test: Any) -> Any:
    from hepml_root.evaluation.prediction import predict

    return predict(model, test)[:, 0]
