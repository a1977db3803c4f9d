"""Generate a sample of simulated events as a ROOT file; samples that are kept in a cache."""

from __future__ import annotations

import dataclasses
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hepml_root import __version__
from hepml_root.errors import OutputExistsError, OutputWriteError, SettingError
from hepml_root.output import cache_folder, refuse_existing, writing
from hepml_root.simulation.chunks import SLICE, Chunk, make_chunk, quiet_libraries
from hepml_root.simulation.progress import GenerationProgress
from hepml_root.simulation.pythia import require, versions
from hepml_root.simulation.sample_file import write_sample
from hepml_root.simulation.samples import Sample, find
from hepml_root.simulation.workers import Task, run_workers
from hepml_root.simulation.yields import totals

_RECIPE = "recipe.json"


def generate(
    sample: str | Sample,
    path: str | os.PathLike[str],
    events: int,
    seed: int = 1,
    *,
    settings: Mapping[str, Any] | None = None,
    processes: int | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = True,
) -> Path:
    """Generate a sample and write it to a ROOT file.

    The same sample, settings and seed give the same events, whatever the number of processes, on the same
    versions of Pythia and FastJet; a shorter sample is the beginning of a longer one. The work is kept, chunk
    by chunk, in ``PATH.unfinished`` until the file is there.

    Arguments
    ---------
    sample
        Name of a sample (:func:`names` lists them), or a :class:`Sample` of your own.
    path
        The file to write.
    events
        Number of selected events (of jets, where a sample consists of jets).
    seed
        Any whole number from 0; another seed gives independent events.
    settings
        Changes: ``{"PartonLevel:MPI": "on"}`` for Pythia, ``{"detector.magnetic_field": 2.0}`` for the
        detector, others for the sample's own options.
    processes
        How many processes share the work; by default one for each core. 0 stays in this process, so that no
        other one is started.
    resume
        Continue what a stopped generation with the same settings left; begin if there is nothing.
    overwrite
        Whether an existing file, or what a stopped generation left, may be replaced.
    progress
        Whether to show a progress bar (on terminals only).

    Returns
    -------
    Path
        ``path``.

    Raises
    ------
    SettingError
        The sample, a setting or a number is wrong.
    OutputExistsError
        The file exists; or a stopped generation left something and neither ``resume`` nor ``overwrite`` is
        given, or it had other settings than those to resume with.
    OutputWriteError
        The folder cannot be written, or the disk is full.
    EmptySelectionError
        The selection keeps none of very many collisions.
    MissingDependencyError
        Pythia or FastJet is not installed.
    KeyboardInterrupt
        Ctrl-C; the finished chunks are kept for ``resume``.

    Example
    -------
    >>> import tempfile
    >>> import hepml_root as hr
    >>> path = hr.simulation.generate("qcd-jets", tempfile.mkdtemp() + "/qcd.root", events=2, processes=0)
    >>> hr.simulation.provenance(path)["events"]
    2
    """
    sample = find(sample).with_settings(settings or {})
    _check(events, seed, processes)
    sample.check_events(events)
    for module in sample.packages:
        require(module)
    path = refuse_existing(path, overwrite)
    recipe = _recipe(sample, events, seed)
    folder = _claim(path, recipe, resume, overwrite)
    task = Task(sample, seed, folder)
    chunks = list(enumerate(_chunk_rows(events, sample.chunk)))
    try:
        with GenerationProgress(sample.name, events, progress) as shown:
            missing = [chunk for chunk in chunks if not task.part(chunk[0]).exists()]
            shown.had(events - sum(rows for _, rows in missing))
            _make(task, missing, _cores() if processes is None else processes, shown)
        with writing(path, overwrite) as temporary:
            parts = [task.part(number) for number, _ in chunks]
            made = _provenance(sample, recipe, parts)
            write_sample(temporary, sample, _load(parts, made.get("weight_scales")), made)
    except KeyboardInterrupt:
        if _is_bare(folder):
            shutil.rmtree(folder)
            raise KeyboardInterrupt("stopped; nothing was finished that could be resumed") from None
        raise KeyboardInterrupt(
            f"stopped; '{folder}' has what is finished, --resume (resume=True) continues it"
        ) from None
    except BaseException:
        if _is_bare(folder):
            shutil.rmtree(folder)
        raise
    shutil.rmtree(folder)
    return path


def sample(
    name: str | Sample,
    events: int,
    seed: int = 1,
    *,
    settings: Mapping[str, Any] | None = None,
    processes: int | None = None,
) -> Path:
    """Return the ROOT file of a sample, from the cache if it was generated before.

    The cache is ``$HEPML_ROOT_CACHE/samples`` (``~/.cache/hepml_root/samples`` by default). The name of a
    file there has a hash of all that its content depends on. Whoever asks for a sample that another process
    is generating waits for it; what was stopped is continued.

    Arguments and errors are those of :func:`generate`.
    """
    chosen = find(name).with_settings(settings or {})
    _check(events, seed, processes)
    folder = cache_folder() / "samples"
    key = hashlib.sha256(json.dumps(_recipe(chosen, events, seed), sort_keys=True).encode()).hexdigest()[:16]
    path = folder / f"{chosen.name}-{events}-{seed}-{key}.root"
    if path.exists():
        return path
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = open(path.with_suffix(".lock"), "w")  # noqa: SIM115 (closed below, its descriptor is the lock)
    except OSError as error:
        raise OutputWriteError(
            f"the cache '{folder}' cannot be written: {error.strerror or error}. "
            "Set HEPML_ROOT_CACHE to a folder that can."
        ) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            generate(chosen, path, events, seed, processes=processes, resume=True)
    return path


def _check(events: int, seed: int, processes: int | None) -> None:
    for name, value, least in (("events", events, 1), ("seed", seed, 0), ("processes", processes, 0)):
        if value is not None and (isinstance(value, bool) or int(value) != value or value < least):
            raise SettingError(f"{name} must be a whole number from {least}; got {value!r}.")


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _chunk_rows(events: int, chunk: int) -> Iterator[int]:
    for first in range(0, events, chunk):
        yield min(chunk, events - first)


def _recipe(sample: Sample, events: int, seed: int) -> dict[str, Any]:
    """Return all that the content of the file depends on."""
    return {
        "sample": sample.name,
        "title": sample.title,
        "events": int(events),
        "seed": int(seed),
        "pythia": list(sample.pythia),
        "slices": [[*one.pythia, f"share {one.share:g}"] for one in sample.slices],
        "options": dict(sample.options),
        "detector": None if sample.detector is None else dataclasses.asdict(sample.detector),
        "chunk": sample.chunk,
        "batch": sample.batch,
        "version": sample.version,
        "branches": [branch.name for branch in sample.branches],
        "reference": sample.reference,
        "versions": {"hepml_root": __version__, **versions(sample.packages)},
        **sample.recipe(),
    }


def _claim(path: Path, recipe: Mapping[str, Any], resume: bool, overwrite: bool) -> Path:
    """Return the folder for the part files: a new one, or the one to resume."""
    folder = path.with_name(path.name + ".unfinished")
    text = json.dumps(recipe, indent=1)
    try:
        if folder.exists() and resume:
            if not (folder / _RECIPE).exists() or (folder / _RECIPE).read_text(encoding="utf-8") != text:
                raise OutputExistsError(
                    f"'{folder}' holds an unfinished sample of other settings. Give those that it was begun "
                    "with, or leave --resume out and give --overwrite."
                )
            return folder
        if folder.exists() and not overwrite:
            raise OutputExistsError(
                f"'{folder}' holds an unfinished sample. --resume (resume=True) continues it, --overwrite "
                "(overwrite=True) starts again."
            )
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
        (folder / _RECIPE).write_text(text, encoding="utf-8")
    except OSError as error:
        if isinstance(error, OutputExistsError):
            raise
        raise OutputWriteError(f"cannot write '{path}': {error.strerror or error}.") from error
    return folder


def _is_bare(folder: Path) -> bool:
    return not any(folder.glob("chunk-*.npz"))


def _make(task: Task, missing: list[tuple[int, int]], processes: int, shown: GenerationProgress) -> None:
    if processes:
        run_workers(task, missing, processes, shown.chunk)
        return
    with quiet_libraries():
        for number, rows in missing:
            chunk = make_chunk(task.sample, task.seed, number, rows, partial(shown.chunk, number))
            chunk.save(task.part(number))


def _load(parts: list[Path], weight_scales: list[float] | None) -> Iterator[Chunk]:
    for part in parts:
        chunk = Chunk.load(part)
        if weight_scales is not None:
            weight = chunk.columns["weight"]
            scale = np.array(weight_scales)[chunk.columns.pop(SLICE)]
            chunk.columns["weight"] = (scale * weight).astype(weight.dtype)
        yield chunk


def _provenance(sample: Sample, recipe: Mapping[str, Any], parts: list[Path]) -> dict[str, Any]:
    """Return the recipe with what is known after the generation."""
    counts = [Chunk.load_counts(part) for part in parts]
    return {**recipe, "tree": sample.tree, **totals(sample, counts)}
