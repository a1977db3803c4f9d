"""One training of the study: which loss for which signal, its settings, and what is kept of it.

All trainings see the same events the same number of times. A cross entropy is a mean over events and learns
most from many small steps; a significance needs batches of thousands of events for its sums. So each has the
batch size and the learning rate that suit it. The best epoch is that with the smallest cross entropy of the
validation events, or with the largest significance of a cut on them, at the uncertainty of the loss.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.susy.samples import Samples, parts
from hepml_root.output import writing

LOSSES = {"cross_entropy": "cross entropy", "significance": "s/√(s+b)", "asimov": "Asimov"}
SYSTEMATICS = (0.1, 0.3, 0.5)
# A momentum or a mass has a long tail upwards, an angle or a number of jets has none.
_NO_TAIL = ("_eta", "_phi", "n_jets", "n_bjets")
_FEW_EVENTS = 8.0


@dataclass(frozen=True)
class Network:
    """``prior`` is the l1 penalty times the training events (:func:`hepml_root.models.dense`)."""

    title: str
    hidden: tuple[int, ...]
    dropout: float = 0.0
    prior: float = 0.0


NETWORKS = {
    "shallow": Network("one hidden layer of 23", (23,), prior=2.0),
    "deep": Network("three hidden layers of 64", (64, 64, 64), dropout=0.2, prior=2.0),
}


@dataclass(frozen=True)
class Settings:
    """How trainings with one loss are made."""

    batch_size: int
    learning_rate: float
    epochs: int
    pretraining: int = 0


SETTINGS = {
    "cross_entropy": Settings(batch_size=256, learning_rate=1e-3, epochs=120),
    "significance": Settings(batch_size=4096, learning_rate=5e-3, epochs=120),
    "asimov": Settings(batch_size=4096, learning_rate=5e-3, epochs=90, pretraining=30),
}


@dataclass(frozen=True)
class Training:
    """What distinguishes a training from all others; what does not concern its loss is left at its default.

    Attributes
    ----------
    systematic, yields
        Of the Asimov loss; of s/√(s+b) the yields; a cross entropy knows of neither.
    share
        Of the background events.
    batch_size, pretrained, form
        None: as usual. Those of the studies of the batch size and of small gradients.
    """

    signal: str
    network: str
    loss: str
    seed: int
    systematic: float = 0.0
    yields: str = ""
    share: float = 1.0
    batch_size: int | None = None
    pretrained: bool = True
    form: str = "negative"

    @property
    def name(self) -> str:
        words = [self.signal, self.network, self.loss]
        if self.loss == "asimov":
            words.append(f"{self.systematic:g}")
        if self.yields:
            words.append(self.yields)
        if self.share < 1:
            words.append(f"share{self.share:g}")
        if self.batch_size:
            words.append(f"batch{self.batch_size}")
        if not self.pretrained:
            words.append("random")
        if self.form != "negative":
            words.append(self.form)
        return "_".join([*words, str(self.seed)])


def perform(
    training: Training, samples: Samples, settings: Mapping[str, Settings], folder: Path, keep: bool
) -> None:
    """Train, score validation and test events, and write NAME.npz, NAME.keras (``keep``) and NAME.json."""
    import keras
    import numpy as np

    import hepml_root as hr

    learn, validation, test = parts(samples.folder, training.signal, training.share)
    keras.utils.clear_session()
    model = network(training.network, learn, training.seed)
    began, began_processor = time.perf_counter(), time.process_time()
    history = fitted(model, learn, validation, training, samples, settings[training.loss])
    seconds, processor = time.perf_counter() - began, time.process_time() - began_processor
    scores = {
        name: hr.evaluation.predict(model, part)[:, 0].astype(np.float32)
        for name, part in (("validation", validation), ("test", test))
    }
    if keep:
        with writing(folder / f"{training.name}.keras", overwrite=True) as path:
            model.save(path)
    with writing(folder / f"{training.name}.npz", overwrite=True) as path, path.open("wb") as file:
        np.savez_compressed(file, **scores)
    result = asdict(training) | {
        "events": {"train": len(learn), "validation": len(validation), "test": len(test)},
        "settings": history.settings,
        "epochs": history.epochs,
        "best_epoch": history.best_epoch,
        "stopped": history.stopped,
        "metrics": history.to_dict()["metrics"],
        "parameters": model.count_params(),
        "seconds": seconds,
        "processor_seconds": processor,
    }
    # Last: a training whose JSON is there is complete.
    with writing(folder / f"{training.name}.json", overwrite=True) as path:
        path.write_text(json.dumps(result, indent=1, default=_plain))


def _plain(value: Any) -> Any:
    """Return what JSON does not know, as numbers of NumPy, as Python's."""
    return value.item() if hasattr(value, "item") else str(value)


def network(name: str, data: Any, seed: int) -> Any:
    """Return one of the networks for a dataset, untrained."""
    import hepml_root as hr

    design = NETWORKS[name]
    labels = [column.label for column in data.schema.blocks[0].columns]
    tails = [label for label in labels if not label.endswith(_NO_TAIL)]
    return hr.models.dense(
        data,
        design.hidden,
        transforms=dict.fromkeys(tails, "log,N") | {"*": "N"},
        dropout=design.dropout,
        l1=min(design.prior / len(data), 1e-3),
        seed=seed,
        name="search",
    )


def loss_of(training: Training, samples: Samples) -> Any:
    """Return the loss of a training, with its expected events."""
    import hepml_root as hr

    if training.loss == "cross_entropy":
        return "binary_crossentropy"
    signal, background = samples.counts(training.signal, training.yields)
    if training.loss == "significance":
        return hr.losses.Significance(signal, background)
    return hr.losses.AsimovSignificance(signal, background, training.systematic, form=training.form)


def fitted(
    model: Any, learn: Any, validation: Any, training: Training, samples: Samples, settings: Settings
) -> Any:
    """Train a model, and return the history."""
    import warnings

    import hepml_root as hr
    from hepml_root.errors import StatisticsWarning

    more: dict[str, Any] = {}
    epochs = settings.epochs
    if training.loss == "asimov":
        first = replace(training, loss="significance")
        if training.pretrained:
            more["pretrain"] = hr.training.Pretraining(loss_of(first, samples), epochs=settings.pretraining)
        else:
            epochs += settings.pretraining
    if training.loss != "cross_entropy":
        more["monitor"] = hr.training.ValidationSignificance(
            minimum_background=_FEW_EVENTS, minimum_signal=_FEW_EVENTS
        )
    size = training.batch_size or settings.batch_size
    with warnings.catch_warnings():
        # That small batches bias the loss is what one of the studies shows.
        warnings.simplefilter("ignore", StatisticsWarning)
        return hr.fit(
            model, learn, validation=validation, loss=loss_of(training, samples), epochs=epochs,
            batch_size=min(size, len(learn)), learning_rate=settings.learning_rate, patience=None,
            seed=training.seed, verbose=False, **more,
        )  # fmt: skip


def read(training: Training, folder: Path) -> dict[str, Any]:
    """Return what is kept of a training."""
    return dict(json.loads((folder / f"{training.name}.json").read_text()))


def finite(values: list[float | None]) -> list[float]:
    """Return numbers of a history, with NaN for what JSON could not hold."""
    return [math.nan if value is None else value for value in values]
