"""The commands that take a model file: evaluate, export, compile, apply."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hepml_root.cli.job import Job
from hepml_root.cli.job_file import read_job
from hepml_root.cli.quiet import import_keras
from hepml_root.errors import ModelFileError, SettingError, SourceNotFoundError
from hepml_root.output import refuse_existing


def evaluate_file(
    model: str,
    output: str,
    *,
    job_file: str | None = None,
    everything: bool = False,
    changes: Sequence[str] = (),
    overwrite: bool = False,
) -> None:
    """Write the report of a run's folder or a model file on the events of a job."""
    from hepml_root import evaluate
    from hepml_root.cli.job_run import dataset_of, headline, split_of, validation_of
    from hepml_root.evaluation.roc import WORKING_POINTS

    refuse_existing(output, overwrite, folder=True)
    file, job = _model_and_job(Path(model), job_file, changes)
    subject: Any = str(file)
    if file.suffix == ".keras":
        import_keras()
    elif file.suffix == ".trees":
        from hepml_root.models.boosted import BoostedModel

        subject = BoostedModel.load(file)
    data = dataset_of(job)
    train, test = (None, data) if everything else split_of(job, data)
    report = evaluate(
        subject, test, train, bootstrap=job.evaluation.bootstrap, seed=job.evaluation.seed,
        systematic=job.evaluation.systematic,
        validation=None if train is None else validation_of(job, train),
        working_points=sorted({*WORKING_POINTS, *job.export.working_points}),
    )  # fmt: skip
    page = report.save(output, overwrite=overwrite, formats=job.evaluation.formats)
    print(f"{headline(report)} ({len(test):,} events)")
    if report.best_cut is not None and report.best_cut.applied is not None:
        found = report.best_cut.applied
        print(
            f"best cut {found.threshold:.6g}, chosen on {report.best_cut.chosen_on}: Z_A {found.asimov} with "
            f"{100 * found.systematic:g} % background uncertainty (s {found.signal}, b {found.background})"
        )
    print(page)


def _model_and_job(model: Path, job_file: str | None, changes: Sequence[str]) -> tuple[Path, Job]:
    """Return the model file and the job whose events it is evaluated on; a run's folder has both."""
    if not model.is_dir():
        if job_file is None:
            raise SettingError(f"evaluate: --job says on which events; '{model}' alone does not.")
        return model, read_job(job_file, changes)
    if not (model / "job.yaml").exists():
        raise ModelFileError(f"'{model}' is no folder of `hepml-root train`: it has no job.yaml.")
    job = read_job(job_file or model / "job.yaml", changes)
    name = read_job(model / "job.yaml").name
    for file in (model / f"{name}.onnx", model / f"{name}.keras", model / f"{name}.trees"):
        if file.exists():
            return file, job
    raise ModelFileError(f"'{model}' has none of {name}.onnx, {name}.keras and {name}.trees.")


def export_file(
    model: str,
    output: str,
    *,
    working_points: Mapping[str, float] | None = None,
    report: str | None = None,
    overwrite: bool = False,
    certify: bool = True,
) -> None:
    """Write a saved Keras model as an ONNX file, with the best cut of a report among its working points."""
    refuse_existing(output, overwrite)
    if Path(output).suffix != ".onnx":
        raise SettingError(f"export: '{output}' must end in .onnx.")
    import_keras()
    from hepml_root.export import export, read_manifest
    from hepml_root.export.certificate import lines

    points: Any = working_points
    if report is not None:
        chosen = working_points_in(report)
        points = [
            {"name": name, "threshold": value} for name, value in (working_points or {}).items()
        ] + chosen
    file = export(model, output, working_points=points, overwrite=overwrite, certify=certify)
    print(file, *lines(read_manifest(file)["parity"]), sep="\n  ")


def adopt_file(
    model: str,
    output: str,
    *,
    job_file: str | None,
    inputs: Mapping[str, str],
    signal_efficiency: float | None = None,
    scores: str | None = None,
    labels: Sequence[str] | None = None,
    working_points: Mapping[str, float] | None = None,
    overwrite: bool = False,
    certify: bool = True,
) -> None:
    """Give a file of another program a manifest; the inputs of an ONNX file are those of a job's events,
    and a weight file of TMVA says its own."""
    refuse_existing(output, overwrite)
    if Path(output).suffix != ".onnx":
        raise SettingError(f"adopt: '{output}' must end in .onnx.")
    if Path(model).suffix == ".xml":
        _adopt_weights(
            model, output, {"--job": job_file, "--input": inputs, "--scores": scores, "--labels": labels},
            signal_efficiency=signal_efficiency, working_points=working_points, overwrite=overwrite,
            certify=certify,
        )  # fmt: skip
        return
    if job_file is None:
        raise SettingError(
            f"adopt: '{model}' does not say what its inputs are. Name a job file: --job JOB.yaml."
        )
    if signal_efficiency is not None:
        raise SettingError("adopt: --signal-efficiency is for weight files of TMVA's method Cuts.")
    from hepml_root.cli.job_run import dataset_of
    from hepml_root.export import adopt, read_manifest
    from hepml_root.export.certificate import lines

    data = dataset_of(read_job(job_file))
    file = adopt(
        model, output, data=data, inputs=inputs, output=scores, labels=labels, overwrite=overwrite,
        working_points=working_points, certify=certify,
    )  # fmt: skip
    print(file, *lines(read_manifest(file)["parity"]), sep="\n  ")


def _adopt_weights(model: str, output: str, others: Mapping[str, Any], **settings: Any) -> None:
    for name, value in others.items():
        if value:
            raise SettingError(f"adopt: {name} is for ONNX files; '{model}' says itself what its inputs are.")
    from hepml_root.export import read_manifest
    from hepml_root.export.certificate import lines
    from hepml_root.tmva import convert

    file = convert(model, output, **settings)
    print(file, *lines(read_manifest(file)["parity"]), sep="\n  ")


def working_points_in(report: str) -> list[dict[str, Any]]:
    """Return the working points that a report holds: a folder that `evaluate` wrote, or its report.json.

    Raises
    ------
    SourceNotFoundError
        There is no such report.
    SettingError
        It is none, or no cut of it keeps enough background.
    """
    path = Path(report)
    path = path / "report.json" if path.is_dir() else path
    if not path.is_file():
        raise SourceNotFoundError(f"there is no report '{path}'. `hepml-root evaluate` writes one.")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise SettingError(f"'{path}' is no report: {error}.") from error
    if not isinstance(content, dict) or content.get("format") != "hepml_root report":
        raise SettingError(f"'{path}' is no report of hepml_root.")
    if not content.get("working_points"):
        raise SettingError(
            f"'{path}' has no best cut: the model has not two classes, or no cut keeps enough background. "
            "Give the cut by --working-point NAME=THRESHOLD."
        )
    return content["working_points"]


def compile_file(
    model: str,
    output: str | None,
    *,
    compiler: str | None = None,
    isa: str | None = None,
    overwrite: bool = False,
) -> None:
    """Generate the C++ header of a model file, or compile its library."""
    if output is not None and Path(output).suffix == ".hxx":
        from hepml_root.export.cpp import generate

        path = refuse_existing(output, overwrite)
        print(generate(model, path.stem).save(path.parent, overwrite=overwrite))
        return
    if output is not None and Path(output).suffix != ".so":
        raise SettingError(
            f"compile: '{output}' must end in .hxx (the header) or .so (the library and its header)."
        )
    from hepml_root import compile
    from hepml_root.export.certificate import lines

    compiled = compile(model, output, overwrite=overwrite, compiler=compiler, isa=isa)
    print(compiled.library)
    print(compiled.header)
    for line in lines(compiled.certificate):
        print(f"  {line}")


def apply_file(model: str, source: Sequence[str], output: str, **settings: Any) -> None:
    """Write the scores of all events of ROOT files."""
    from hepml_root import apply

    print(apply(model, list(source) if len(source) > 1 else source[0], output, **settings))
