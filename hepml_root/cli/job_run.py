"""Carrying a job out: read, train, evaluate, export, compile; each result written only when it is whole.

A training works in ``OUTPUT.unfinished`` beside its output folder, and that folder gets the final name when
everything in it is done. What was stopped is continued from there.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hepml_root.cli.job import Boosted, Events, Job, Network
from hepml_root.cli.job_file import dump, read_job
from hepml_root.cli.job_representations import representations_of
from hepml_root.cli.job_training import fit_settings
from hepml_root.cli.quiet import import_keras
from hepml_root.errors import (
    CompilerError,
    InterruptedTrainingError,
    MissingDependencyError,
    OutputExistsError,
    UnsupportedOperationError,
)
from hepml_root.output import refuse_existing, writing

if TYPE_CHECKING:
    from hepml_root.data.dataset import Dataset

_MADE_BY_A_JOB = ("summary.json", "job.yaml")


class Stages:
    """Says which stage of a job is at work, and how long each took.

    >>> stages = Stages(1)
    >>> with stages.stage("read", "reading the events") as note:
    ...     note("20 events")  # doctest: +ELLIPSIS
    [1/1] reading the events ...
          20 events ... s
    >>> list(stages.seconds)
    ['read']
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self.seconds: dict[str, float] = {}
        self._notes: list[str] = []

    @contextlib.contextmanager
    def stage(self, name: str, words: str) -> Iterator[Any]:
        print(f"[{len(self.seconds) + 1}/{self.total}] {words} ...", flush=True)
        notes: list[str] = []
        start = time.perf_counter()
        yield notes.append
        self.seconds[name] = round(time.perf_counter() - start, 3)
        print(f"      {', '.join(notes) + ' ' if notes else ''}in {self.seconds[name]:.1f} s", flush=True)


# ------------------------------------------------------------------------------------------------ the parts


def dataset_of(job: Job) -> Dataset:
    """Return the events of a job, read into memory.

    >>> from hepml_root.cli.job_file import parse
    >>> from hepml_root.cli.job_schema import schema_example
    >>> data = dataset_of(parse(schema_example(), changes=["data.max_events=100"]))
    >>> data.X["features"].shape, data.classes
    ((200, 4), ('signal', 'background'))
    """
    from hepml_root import Dataset

    data = job.data
    if data.source is not None:
        sources: Any = _source(data.source)
    else:
        sources = {name: _source(events) for name, events in data.classes.items()}
    return Dataset.from_root(
        sources,
        [*data.inputs, *representations_of(data.representations)],
        targets=data.targets,
        parameters=data.parameters,
        weight=data.weight,
        training_weight=data.training_weight,
        balance=data.balance,
        cut=data.cut,
        spectators=data.spectators,
        event_number=data.event_number,
        units=data.units or None,
        max_length=data.max_length or None,
        luminosity=data.luminosity,
        signal=data.signal,
        missing=data.missing,
        max_events=data.max_events,
        threads=data.threads,
    )


def split_of(job: Job, data: Dataset) -> tuple[Dataset, Dataset]:
    """Return the training and the test events of a job."""
    split = job.data.split
    train, test = data.split(test=split.test, seed=split.seed, by=split.by, mode=split.mode)
    return train, test


def validation_of(job: Job, train: Dataset) -> Dataset | None:
    """Return the training events that `fit` sets aside for the early stopping; None if none are."""
    from hepml_root.data.split import set_aside

    if isinstance(job.model, Boosted):
        return set_aside(train, 0.2, job.model.seed)[1]
    if not job.training.validation:
        return None
    return set_aside(train, job.training.validation, job.training.seed)[1]


def model_of(job: Job, train: Dataset) -> Any:
    """Return the job's model, untrained, for the columns of ``train``."""
    from hepml_root import models

    chosen = job.model
    if isinstance(chosen, Network):
        settings = {"seed": job.training.seed, **chosen.settings}
        return models.preset(chosen.kind, chosen.preset, train, name=job.name, **settings)
    settings = {field.name: getattr(chosen, field.name) for field in dataclasses.fields(chosen)}
    kind = settings.pop("kind")
    if kind == "dense":
        settings["seed"] = job.training.seed
    return getattr(models, kind)(train, name=job.name, **settings)


def _source(events: str | list[str] | Events) -> Any:
    from hepml_root import Source

    if not isinstance(events, Events):
        events = Events(files=events)
    files = [_shipped(file) for file in ([events.files] if isinstance(events.files, str) else events.files)]
    return Source(
        files,
        tree=events.tree,
        friends=tuple(_shipped(friend) for friend in events.friends),
        cut=events.cut,
        weight=events.weight,
        cross_section=events.cross_section,
        generated=events.generated,
    )


def _shipped(file: str) -> str:
    """Return the path of a ``shipped:`` file inside the ROOT installation; other files stay as they are."""
    if not file.startswith("shipped:"):
        return file
    from hepml_root.data import shipped_file

    name, colon, tree = file.removeprefix("shipped:").partition(":")
    return f"{shipped_file(name)}{colon}{tree}"


# ---------------------------------------------------------------------------------------------- the training


@dataclass(frozen=True)
class Trained:
    """What a job has made so far: the working folder, the model and its file, and the events."""

    folder: Path
    model: Any
    file: Path | None
    train: Dataset
    test: Dataset


def run_job(
    job: Job,
    *,
    overwrite: bool = False,
    resume: bool = False,
    stages: Stages | None = None,
    further: Callable[[Trained], dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """Train, evaluate and export as ``job`` says, and return the summary that is also written.

    ``further`` is called before the output folder gets its name; what it returns joins the summary.

    Raises
    ------
    OutputExistsError
        The output folder exists, or an unfinished run of this job does, and neither ``overwrite`` nor
        ``resume`` is given.
    InterruptedTrainingError
        ``resume`` is given and there is nothing to resume, or what there is belongs to another job.
    KeyboardInterrupt
        Ctrl-C; what was reached is kept for ``resume``.
    """
    output = Path(job.output)
    work = _claim(job, output, overwrite, resume)
    stages = stages or Stages(number_of_stages(job))
    try:
        trained, summary = _train_in(work, job, stages, resume)
        for key, value in (further(trained) if further else {}).items():
            summary[key] = summary[key] | value if isinstance(value, dict) and key in summary else value
        summary["seconds"] = stages.seconds | {"total": round(sum(stages.seconds.values()), 3)}
        with writing(work / "summary.json", overwrite=True) as temporary:
            temporary.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    except KeyboardInterrupt:
        if (work / "checkpoint").exists():
            raise KeyboardInterrupt(
                f"stopped; '{work}' has what was reached, --resume continues it"
            ) from None
        raise
    finally:
        if work.exists() and not (work / "checkpoint").exists() and not (work / "summary.json").exists():
            shutil.rmtree(work)  # nothing was reached that could be resumed
    if output.exists():
        shutil.rmtree(output)
    os.replace(work, output)
    return summary


def number_of_stages(job: Job) -> int:
    """Return how many stages a job has: reading, training and the report, and what belongs to a network."""
    network = not isinstance(job.model, Boosted)
    return 3 + _has_baseline(job) + network + (network and job.export.compile)


def _has_baseline(job: Job) -> bool:
    return job.evaluation.baseline and not isinstance(job.model, Boosted) and bool(job.data.classes)


def _claim(job: Job, output: Path, overwrite: bool, resume: bool) -> Path:
    """Return the folder to work in, with the job in it, after every refusal that can be made early."""
    work = output.with_name(output.name + ".unfinished")
    if output.exists() and overwrite and not all((output / name).exists() for name in _MADE_BY_A_JOB):
        raise OutputExistsError(
            f"'{output}' was not made by hepml-root and is not replaced. Name another output."
        )
    refuse_existing(output, overwrite, folder=True)
    if resume:
        if not (work / "job.yaml").exists():
            raise InterruptedTrainingError(f"nothing to resume: there is no '{work}'. Leave --resume out.")
        before = read_job(work / "job.yaml")
        for section in ("data", "model", "training"):
            if getattr(before, section) != getattr(job, section):
                raise InterruptedTrainingError(
                    f"'{work}' was trained with another '{section}' section (see its job.yaml). "
                    "Put the job back as it was, or leave --resume out and give --overwrite."
                )
        return work
    if (work / "checkpoint").exists() and not overwrite:
        raise OutputExistsError(
            f"'{work}' holds an unfinished run. --resume continues it, --overwrite starts again."
        )
    shutil.rmtree(work, ignore_errors=True)
    with writing(work / "job.yaml") as temporary:
        temporary.write_text("# As it was run: all paths absolute.\n" + dump(job), encoding="utf-8")
    return work


def _train_in(work: Path, job: Job, stages: Stages, resume: bool) -> tuple[Trained, dict[str, Any]]:
    """Run all stages of a job in its working folder, and return what they made and the summary."""
    from hepml_root import evaluate
    from hepml_root.evaluation.roc import WORKING_POINTS
    from hepml_root.export import export, read_manifest

    if not isinstance(job.model, Boosted):
        import_keras()
        fit_settings(job.training)  # what it refuses is said before the events are read
    with stages.stage("read", "reading the events") as note:
        data = dataset_of(job)
        train, test = split_of(job, data)
        note(f"{len(train):,} events to train on, {len(test):,} to test on")
    with stages.stage("train", f"training the {job.model.kind} model") as note:
        model, speed = _trained(work, job, train, resume)
        if speed:  # none for trees, and if a resumed training was complete
            note(f"{speed:,.0f} events/s")
    others = {}
    if _has_baseline(job):
        with stages.stage("baseline", "training boosted trees on the same events, to compare") as note:
            others = _baseline(train, note)
    with stages.stage("evaluate", "writing the report") as note:
        report = evaluate(
            model, test, train, compare=others, bootstrap=job.evaluation.bootstrap, seed=job.evaluation.seed,
            systematic=job.evaluation.systematic, history=_history(work),
            validation=validation_of(job, train),
            working_points=sorted({*WORKING_POINTS, *job.export.working_points}),
        )  # fmt: skip
        report.save(work / "report", overwrite=True, formats=job.evaluation.formats)
        note(headline(report))
    summary: dict[str, Any] = {
        "name": job.name,
        "task": train.task,
        "events": {"train": len(train), "test": len(test)},
        **_figures(report),
        "events_per_second": {"training": round(speed)} if speed else {},
    }
    file = None
    if not isinstance(job.model, Boosted):
        with stages.stage("export", "exporting to ONNX, and comparing with Keras") as note:
            file = export(
                model, work / f"{job.name}.onnx", data=test, overwrite=True,
                working_points=working_points(report, job.export.working_points),
            )  # fmt: skip
            summary["parity_onnxruntime"] = read_manifest(file)["parity"]["onnxruntime"]["max_abs_difference"]
            note(f"largest difference {summary['parity_onnxruntime']:.1e}")
        if job.export.compile:
            with stages.stage("compile", "generating and compiling C++") as note:
                summary["parity_cpp"] = _compiled(file, model, test, note)
    return Trained(work, model, file, train, test), summary


def _history(work: Path) -> dict[str, Any] | None:
    """Return the course of the training as it was saved; None for a model that has no epochs."""
    file = work / "history.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else None


def _trained(work: Path, job: Job, train: Dataset, resume: bool) -> tuple[Any, float]:
    """Return the trained model and the training events per second; keep model and history in ``work``."""
    import_keras()
    from hepml_root import fit

    model = model_of(job, train)
    if isinstance(job.model, Boosted):
        model.save(work / f"{job.name}.trees", overwrite=True)
        return model, 0.0
    history = fit(
        model, train, **fit_settings(job.training), checkpoint=work / "checkpoint",
        resume="auto" if resume else False,
    )  # fmt: skip
    history.save(work / "history.json", overwrite=True)
    model.save(work / f"{job.name}.keras")
    if history.stopped == "interrupted":
        raise KeyboardInterrupt
    return model, history.events_per_second


def _baseline(train: Dataset, note: Any) -> dict[str, Any]:
    from hepml_root import models

    try:
        return {"boosted trees": models.boosted(train)}
    except MissingDependencyError as error:
        note(f"left out: {error}")
        return {}


def _compiled(file: Path, model: Any, test: Dataset, note: Any) -> float | None:
    """Write the C++ header beside the model, compile it, and return its largest difference from Keras."""
    import numpy as np

    from hepml_root import Session
    from hepml_root.evaluation import predict
    from hepml_root.export.cpp import generate

    try:
        generate(file).save(file.parent)
        session = Session(file, engine="cpp")
    except (CompilerError, UnsupportedOperationError) as error:
        note(f"not compiled: {error}")
        return None
    difference = float(np.abs(np.asarray(session.infer(test.X)) - predict(model, test)).max())
    note(f"largest difference from Keras {difference:.1e}")
    return difference


def headline(report: Any) -> str:
    """Return the one figure that a report is looked at for first."""
    if report.auc is not None:
        return f"AUC on test events {report.auc}"
    return "; ".join(f"resolution of {study.target} {study.resolution}" for study in report.residuals)


def working_points(report: Any, wanted: Sequence[float]) -> list[dict[str, Any]] | None:
    """Return the wanted working points of a two-class report and its best cut, as the manifest has them."""
    if report.task != "binary":
        return None
    points = [
        {
            "name": f"signal_efficiency_{point.signal_efficiency:g}",
            "threshold": float(point.threshold),
            "signal_efficiency": float(point.signal_efficiency),
            "background_efficiency": float(point.background_efficiency.value),
        }
        for point in report.roc[report.signal].working_points
        if point.signal_efficiency in wanted
    ]
    return points + report.working_points()


def _figures(report: Any) -> dict[str, Any]:
    """Return the figures of a report that a summary holds, as JSON-able numbers."""
    if report.auc is None:
        return {
            "residuals": {
                study.target: {"bias": study.bias.value, "resolution": study.resolution.value}
                for study in report.residuals
            }
        }
    figures = {"auc_test": report.auc.value, "auc_test_interval": [report.auc.low, report.auc.high]}
    if report.best_cut is not None:
        figures["best_cut"] = report.best_cut.working_point()
    figures["auc_train"] = None if report.auc_train is None else report.auc_train.value
    figures["auc_bdt"] = None  # not asked for, or LightGBM is missing
    for roc in report.compared.values():
        figures["auc_bdt"] = roc.auc.value
        figures["auc_bdt_interval"] = [roc.auc.low, roc.auc.high]
    return figures
