"""One training of the study: which loss for which signal, its settings, and what is kept of it.

All trainings see the same events the same number of times. A cross entropy is a mean over events and learns
most from many small steps; a significance needs large batches for its sums. From random weights it often
finds nothing better than to keep all events, so it begins with a cross entropy, whose output is then made
steep around the best cut on it. The best epoch is that with the smallest cross entropy of the validation
events, or with the largest significance of a cut on them, at the uncertainty of the loss.

Where a network leaves no background event of its training sample, a significance is as large as one likes,
and 23 neurons find such holes. The losses therefore count at least as much background as a cut has to leave
that is chosen in the end; one of the studies shows what happens else. How much that is, is read off a cross
entropy, which is trained before: events that look like a signal have other weights than most.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.susy.samples import Samples, parts
from hepml_root.output import writing

LOSSES = {"cross_entropy": "cross entropy", "significance": "s/√(s+b)", "asimov": "Asimov"}
SYSTEMATICS = (0.1, 0.3, 0.5)
# A momentum or a mass has a long tail upwards, an angle or a number of jets has none.
_NO_TAIL = ("_eta", "_phi", "n_jets", "n_bjets")
# Effective background events that a cut has to leave among the validation events; and as much background, of
# the training events, is the least that a loss counts.
LEAST_BACKGROUND = 10.0
_LEAST_SIGNAL = 8.0
# The epoch that is kept has the largest of many significances: with as few events as a cut may leave, it
# would be the one of the largest fluctuation.
_MONITORED_BACKGROUND = 25.0
_SCHEDULE = "cosine"


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
    """How trainings with one loss are made: ``pretraining`` epochs of cross entropy first."""

    batch_size: int
    learning_rate: float
    epochs: int
    pretraining: int = 0


SETTINGS = {
    "cross_entropy": Settings(batch_size=256, learning_rate=5e-3, epochs=60),
    "significance": Settings(batch_size=1024, learning_rate=1.5e-3, epochs=40, pretraining=20),
    "asimov": Settings(batch_size=1024, learning_rate=1.5e-3, epochs=40, pretraining=20),
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
    least
        Whether the loss counts a least background: not in the study of holes.
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
    least: bool = True

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
        if not self.least:
            words.append("holes")
        return "_".join([*words, str(self.seed)])


def recipe(settings: Mapping[str, Settings]) -> dict[str, Any]:
    """Return what all trainings with these settings have in common, as JSON holds it."""
    found = {
        "settings": {name: asdict(one) for name, one in settings.items()},
        "networks": {name: asdict(one) for name, one in NETWORKS.items()},
        "schedule": _SCHEDULE,
        "monitored_background": _MONITORED_BACKGROUND,
        "least_background": LEAST_BACKGROUND,
        "least_signal": _LEAST_SIGNAL,
    }
    return dict(json.loads(json.dumps(found)))


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
    history = fitted(model, learn, validation, training, samples, settings[training.loss], folder)
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
        "recipe": recipe(settings),
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


def loss_of(training: Training, samples: Samples, folder: Path) -> Any:
    """Return the loss of a training, with its expected events and the least background that it counts."""
    import hepml_root as hr

    if training.loss == "cross_entropy":
        return "binary_crossentropy"
    signal, background = samples.counts(training.signal, training.yields)
    least = background * least_share(training, samples, folder) if training.least else None
    if training.loss == "significance":
        return hr.losses.Significance(signal, background, least_background=least)
    return hr.losses.AsimovSignificance(
        signal, background, training.systematic, form=training.form, least_background=least
    )


def reference(training: Training) -> Training:
    """Return the cross entropy that tells how much background the losses count at least."""
    return Training(training.signal, "shallow", "cross_entropy", 1, share=training.share)


def least_share(training: Training, samples: Samples, folder: Path) -> float:
    """Return the share of the expected background that is left by the tightest cut on the cross entropy
    which leaves enough validation events.
    """
    import numpy as np

    _, validation, _ = parts(samples.folder, training.signal, training.share)
    with np.load(folder / f"{reference(training).name}.npz") as kept:
        score = kept["validation"]
    background = validation.target[:, 0] < 0.5
    return share_of_tightest(validation.weight[background], score[background])


def share_of_tightest(weight: Any, score: Any, effective: float = LEAST_BACKGROUND) -> float:
    """Return the share of the weights above the tightest cut that leaves so many effective events.

    >>> import numpy as np
    >>> share_of_tightest(np.array([4.0, 1.0, 1.0, 2.0]), np.array([0.1, 0.9, 0.7, 0.3]), effective=2.0)
    0.25
    """
    import numpy as np

    falling = np.argsort(-score, kind="stable")
    above, squares = np.cumsum(weight[falling]), np.cumsum(weight[falling] ** 2)
    enough = np.flatnonzero(above**2 >= effective * squares * (1 - 1e-9))
    return float(above[enough[0]] / above[-1]) if len(enough) else 1.0


def fitted(
    model: Any,
    learn: Any,
    validation: Any,
    training: Training,
    samples: Samples,
    settings: Settings,
    folder: Path,
) -> Any:
    """Train a model, and return the history."""
    import warnings

    import hepml_root as hr
    from hepml_root.errors import StatisticsWarning

    more: dict[str, Any] = {}
    epochs, rate = settings.epochs, settings.learning_rate
    if settings.pretraining:
        first = SETTINGS["cross_entropy"]
        if training.pretrained:
            more["pretrain"] = hr.training.Pretraining(
                "binary_crossentropy", epochs=settings.pretraining, batch_size=first.batch_size,
                learning_rate=first.learning_rate, sharpen=True,
            )  # fmt: skip
        else:
            epochs, rate = epochs + settings.pretraining, first.learning_rate
    if training.loss != "cross_entropy":
        more["monitor"] = hr.training.ValidationSignificance(
            minimum_background=_MONITORED_BACKGROUND, minimum_signal=_LEAST_SIGNAL
        )
    size = training.batch_size or settings.batch_size
    with warnings.catch_warnings():
        # That small batches bias the loss is what one of the studies shows.
        warnings.simplefilter("ignore", StatisticsWarning)
        return hr.fit(
            model, learn, validation=validation, loss=loss_of(training, samples, folder), epochs=epochs,
            batch_size=min(size, len(learn)), learning_rate=rate, schedule=_SCHEDULE,
            patience=None, seed=training.seed, verbose=False, **more,
        )  # fmt: skip


def read(training: Training, folder: Path) -> dict[str, Any]:
    """Return what is kept of a training."""
    return dict(json.loads((folder / f"{training.name}.json").read_text()))


def finite(values: list[float | None]) -> list[float]:
    """Return numbers of a history, with NaN for what JSON could not hold."""
    return [math.nan if value is None else value for value in values]
