"""The studies of how one trains with the Asimov loss: holes, the batch size, and gradients at the start."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.susy import plan
from benchmarks.susy.plan import Case
from benchmarks.susy.samples import Samples, parts
from benchmarks.susy.table import scores_of
from benchmarks.susy.training import (
    LEAST_BACKGROUND,
    Settings,
    Training,
    finite,
    fitted,
    loss_of,
    network,
    read,
)
from hepml_root.output import writing

# Systematic uncertainties at which the gradient is looked at.
_SYSTEMATICS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0)
_PRETRAINING = (0, 1, 3, 10, 30)


@dataclass(frozen=True)
class Holes:
    """What a training made of the holes in its background sample: Z_A of the soft counts in the batches of
    its last epoch, and behind the cut on test events; means over the seeds."""

    least: bool
    training: float
    test: float
    statistical: float
    spread: float
    seeds: int


def holes(samples: Samples, folder: Path, seeds: int) -> list[Holes]:
    """Return the study of the least background, as far as its trainings are there."""
    case = Case(plan.COMPRESSED, "shallow", "sample", plan.TIGHTEST)
    several = _there([plan.hole_trainings(seed) for seed in range(1, seeds + 1)], folder)
    if not several:
        return []
    found = _cut_on(several, [str(one.least) for one in several[0]], case, samples, folder)
    return [
        Holes(
            least=one.least,
            training=-float(
                np.mean([finite(read(ones[place], folder)["metrics"]["loss"])[-1] for ones in several])
            ),
            test=training.asimov.value,
            statistical=training.asimov.error,
            spread=training.spread,
            seeds=len(several),
        )
        for place, (one, training) in enumerate(zip(several[0], found.trainings, strict=True))
    ]


def _there(several: list[list[Training]], folder: Path) -> list[list[Training]]:
    """Return the seeds of which all trainings are there."""
    return [ones for ones in several if all((folder / f"{one.name}.json").exists() for one in ones)]


def _cut_on(
    several: list[list[Training]], names: Sequence[str], case: Case, samples: Samples, folder: Path
) -> Any:
    """Return the comparison of trainings, each with the cut that its validation events ask for."""
    import hepml_root as hr

    _, validation, test = parts(samples.folder, case.signal)
    signal, background = samples.counts(case.signal, case.yields)
    scores = [[scores_of(one, folder) for one in ones] for ones in several]
    on_validation, on_test = (
        {name: np.stack([ones[place][part] for ones in scores]) for place, name in enumerate(names)}
        for part in ("validation", "test")
    )
    return hr.evaluation.compare_significance(
        on_test, test.target[:, 0] > 0.5, test.weight,
        validation=(on_validation, validation.target[:, 0] > 0.5, validation.weight),
        signal_events=signal, background_events=background, systematic=case.systematic,
        minimum_background=LEAST_BACKGROUND,
    )  # fmt: skip


@dataclass(frozen=True)
class BatchSize:
    """Z_A on test events of trainings with one batch size; ``bias`` and ``scatter`` of the loss in a batch
    are in per cent, as :func:`hepml_root.losses.assess_batch` says from the weights of the training events
    and the efficiencies of the chosen cuts."""

    size: int
    asimov: float
    statistical: float
    spread: float
    seeds: int
    background_selected: float
    bias: float
    scatter: float
    seconds: float


def batch_sizes(samples: Samples, folder: Path, seeds: int, sizes: Sequence[int]) -> list[BatchSize]:
    """Return the study of the batch size, as far as its trainings are there."""
    import hepml_root as hr

    case = Case(plan.COMPRESSED, "shallow", "sample", plan.BATCH_SYSTEMATIC)
    several = _there([plan.batch_trainings(seed, sizes) for seed in range(1, seeds + 1)], folder)
    if not several:
        return []
    learn, _, _ = parts(samples.folder, case.signal)
    found = _cut_on(several, [f"{size}" for size in sizes], case, samples, folder)
    is_signal = learn.target[:, 0] > 0.5
    result = []
    for place, (size, training) in enumerate(zip(sizes, found.trainings, strict=True)):
        cuts = [cut.applied for cut in training.cuts if cut.applied is not None]
        batch = hr.losses.assess_batch(
            loss_of(several[0][place], samples, folder), learn.weight[is_signal], learn.weight[~is_signal],
            min(size, len(learn)),
            signal_efficiency=float(np.mean([cut.signal_efficiency for cut in cuts])),
            background_efficiency=float(np.mean([cut.background_efficiency for cut in cuts])),
        )  # fmt: skip
        result.append(
            BatchSize(
                size=min(size, len(learn)),
                asimov=training.asimov.value,
                statistical=training.asimov.error,
                spread=training.spread,
                seeds=len(several),
                background_selected=batch.background_selected,
                bias=batch.bias,
                scatter=batch.spread,
                seconds=float(np.mean([read(ones[place], folder)["processor_seconds"] for ones in several])),
            )
        )
    return result


@dataclass(frozen=True)
class Gradients:
    """How large the gradient of the Asimov loss by the weights of the network is, and what becomes of it.

    Attributes
    ----------
    systematics, pretraining
        Where: relative uncertainties, and epochs of the cross entropy before.
    norms
        Euclidean norm of the gradient of Z_A over all training events, ``(pretraining, systematics)``, mean
        over the seeds.
    values
        Z_A of the soft counts there.
    curves
        For each way to begin, its title and for each seed the significance on the validation events after
        each epoch.
    """

    systematics: tuple[float, ...]
    pretraining: tuple[int, ...]
    norms: list[list[float]]
    values: list[list[float]]
    curves: dict[str, list[list[float]]]
    seeds: int


def title_of(training: Training) -> str:
    """Return what a way to begin is called."""
    form = {"negative": "−Z", "inverse": "1/Z"}[training.form]
    return f"loss {form}, {'pretrained' if training.pretrained else 'from random weights'}"


def gradients(
    samples: Samples, settings: Mapping[str, Settings], folder: Path, seeds: int
) -> Gradients | None:
    """Return the study of the gradients; None while its trainings are not there. It is kept in the folder."""
    several = _there([plan.start_trainings(seed) for seed in range(1, seeds + 1)], folder)
    if not several:
        return None
    curves: dict[str, list[list[float]]] = {}
    for ones in several:
        for one in ones:
            metrics = read(one, folder)["metrics"]
            curves.setdefault(title_of(one), []).append(finite(metrics["val_significance"]))
    path = folder / "gradients.json"
    if path.exists():
        kept = json.loads(path.read_text())
        if kept["seeds"] == len(several):
            return Gradients(**(kept | {"curves": curves}))
    epochs = tuple(number for number in _PRETRAINING if number <= settings["asimov"].pretraining)
    norms, values = _norms(samples, settings["cross_entropy"], len(several), epochs, folder)
    found = Gradients(_SYSTEMATICS, epochs, norms, values, curves, len(several))
    with writing(path, overwrite=True) as temporary:
        temporary.write_text(json.dumps(asdict(found), indent=1))
    return found


def _norms(
    samples: Samples, settings: Settings, seeds: int, epochs: Sequence[int], folder: Path
) -> tuple[list[list[float]], list[list[float]]]:
    """Return norms of gradients and values, (pretraining, systematics), means over the seeds."""
    import keras

    case = Case(plan.UNCOMPRESSED, "shallow", "sample", plan.TIGHTEST)
    learn, validation, _ = parts(samples.folder, case.signal)
    norms = np.zeros((seeds, len(epochs), len(_SYSTEMATICS)))
    values = np.zeros_like(norms)
    for seed in range(1, seeds + 1):
        keras.utils.clear_session()
        model = network(case.network, learn, seed)
        done = 0
        for place, wanted in enumerate(epochs):
            if wanted > done:
                one = replace(settings, epochs=wanted - done)
                usual = case.training("cross_entropy", seed)
                fitted(model, learn, validation, usual, samples, one, folder)
                done = wanted
            for column, systematic in enumerate(_SYSTEMATICS):
                training = replace(case.training("asimov", seed), systematic=systematic)
                norms[seed - 1, place, column], values[seed - 1, place, column] = _gradient(
                    model, loss_of(training, samples, folder), learn
                )
    return norms.mean(axis=0).tolist(), values.mean(axis=0).tolist()


def _gradient(model: Any, loss: Any, data: Any) -> tuple[float, float]:
    """Return the norm of the gradient of a loss of all events by a network's weights, and minus the loss."""
    import tensorflow as tf

    with tf.GradientTape() as tape:
        value = loss(data.target, model(data.X, training=False), sample_weight=data.training_weight)
    squares = [
        float(tf.reduce_sum(one * one)) for one in tape.gradient(value, model.trainable_variables)
    ]  # fmt: skip
    return math.sqrt(sum(squares)), -float(value)
