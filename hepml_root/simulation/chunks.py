"""One chunk of a sample: a fixed number of rows from one seed, made in one go and kept in one part file.

A sample is cut into chunks of rows, not of collisions, so that what a chunk holds depends on the sample, the
seed and the chunk's number alone. The rows of a shorter sample are the first rows of a longer one.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from hepml_root.errors import (
    ColumnNotFoundError,
    EmptySelectionError,
    HepmlError,
    SettingError,
    ShapeError,
)
from hepml_root.output import writing
from hepml_root.simulation.batch import Batch
from hepml_root.simulation.pythia import cross_section, start
from hepml_root.simulation.samples import Sample

# A selection that keeps nothing of so many collisions is taken for one that keeps nothing at all.
HOPELESS = 100_000
MOST_SEEDS = 900_000_000
# Of weighted samples, part files have the slice that each row is of, under this name.
SLICE = "/slice"


@dataclass(frozen=True)
class Chunk:
    """The rows of one chunk.

    Attributes
    ----------
    columns
        ``{branch: array}``: ``(rows,)`` or ``(rows, *shape)``; a jagged branch is one flat array, its lengths
        are under ``n<group>``.
    counts
        ``rows``. Of collisions, ``generated``, those up to that of the last row; Pythia's ``tried``, and its
        cross section ``sigma_pb`` with ``sigma_error_pb``. Of weighted samples, ``generated`` are all that
        were drawn, and ``slices`` has such counts of each slice, with ``drawn_weight``, the sum of their
        weights, and ``weight`` and ``weight_squared``, sums over the rows.
    """

    columns: dict[str, NDArray[Any]]
    counts: dict[str, Any]

    def save(self, path: Path) -> None:
        """Write the chunk to a part file, all or nothing."""
        with writing(path, overwrite=True) as temporary, open(temporary, "wb") as file:
            np.savez(file, **self.columns, **{"/counts": np.array(json.dumps(self.counts))})  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: Path) -> Chunk:
        """Read a part file."""
        with np.load(path) as file:
            columns = {name: file[name] for name in file.files if name != "/counts"}
            return cls(columns, json.loads(str(file["/counts"])))

    @staticmethod
    def load_counts(path: Path) -> dict[str, Any]:
        """Read only the counts of a part file."""
        with np.load(path) as file:
            return dict(json.loads(str(file["/counts"])))


def seeds(sample: Sample, seed: int, number: int) -> tuple[int, np.random.Generator]:
    """Return Pythia's seed and the generator for the detector, of chunk ``number`` of a sample."""
    # The sample's name takes part, so that two samples with the same seed share no random numbers.
    sequence = np.random.SeedSequence([seed, number, zlib.crc32(sample.name.encode())])
    for_pythia, for_detector = sequence.spawn(2)
    return int(for_pythia.generate_state(1)[0]) % MOST_SEEDS + 1, np.random.default_rng(for_detector)


def make_chunk(
    sample: Sample, seed: int, number: int, rows: int, progress: Callable[[int], None] | None = None
) -> Chunk:
    """Make chunk ``number`` of a sample: its first ``rows`` rows, at most ``sample.chunk``.

    ``progress`` is told how many rows there are after every batch. A sample with slices is made in whole
    chunks, whose rows are mixed.

    Raises
    ------
    EmptySelectionError
        The selection keeps nothing.
    ColumnNotFoundError, ShapeError
        The sample's function does not give a branch, or not for all objects of its group.
    SettingError
        Pythia refuses the settings, or chunks are too small to have a row of each slice.
    MissingDependencyError
        Pythia is not installed.
    """
    own = sample.own_rows(seed, number, rows)
    if own is not None:
        if progress is not None:
            progress(rows)
        return Chunk(dict(own), {"rows": rows})
    pythia_seed, random = seeds(sample, seed, number)
    if not sample.slices:
        part, counts = _rows_of(sample, (), pythia_seed, random, rows, progress)
        if sample.expected is not None:
            part[SLICE] = np.zeros(rows, dtype=np.int32)
            counts = _of_chunk(part, [counts])
        return Chunk(part, counts)
    parts: list[dict[str, NDArray[Any]]] = []
    of_slices: list[dict[str, Any]] = []
    shares = np.cumsum([one.share for one in sample.slices])
    ends = np.round(shares / shares[-1] * sample.chunk).astype(int)
    if np.diff(ends, prepend=0).min() < 1:
        raise SettingError(
            f"sample '{sample.name}': chunks of {sample.chunk} rows have none of one of its slices, whose "
            f"shares are {', '.join(f'{one.share:g}' for one in sample.slices)}. Take larger chunks."
        )
    for one, first, end in zip(sample.slices, [0, *ends[:-1]], ends, strict=True):
        its_seed = (pythia_seed + 104_729 * len(parts)) % MOST_SEEDS + 1
        told = None if progress is None else partial(_tell, progress, int(first), rows)
        part, counts = _rows_of(sample, one.pythia, its_seed, random, int(end - first), told)
        part[SLICE] = np.full(end - first, len(parts), dtype=np.int32)
        parts.append(part)
        of_slices.append(counts)
    order = random.permutation(sample.chunk)[:rows]
    joined = {name: np.concatenate([part[name] for part in parts])[order] for name in parts[0]}
    # The rows that are left stand for their share of what was drawn.
    for counts in of_slices:
        for name in ("generated", "drawn_weight"):
            counts[name] *= rows / sample.chunk
    return Chunk(joined, _of_chunk(joined, of_slices))


def _tell(progress: Callable[[int], None], before: int, most: int, found: int) -> None:
    progress(min(before + found, most))


def _of_chunk(columns: dict[str, NDArray[Any]], slices: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the counts of a chunk of a weighted sample, from those of its slices."""
    weight = columns["weight"].astype(float)
    for number, counts in enumerate(slices):
        its = weight[columns[SLICE] == number]
        counts |= {"rows": len(its), "weight": its.sum(), "weight_squared": (its**2).sum()}
    return {
        "rows": len(weight),
        "generated": sum(one["generated"] for one in slices),
        "tried": sum(one["tried"] for one in slices),
        "slices": slices,
    }


def _rows_of(
    sample: Sample,
    settings: tuple[str, ...],
    pythia_seed: int,
    random: np.random.Generator,
    rows: int,
    progress: Callable[[int], None] | None,
) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Return the columns and the counts of the first rows that Pythia gives with these settings."""
    prepare = sample.prepare
    pythia, kept = start(
        (*sample.pythia, *settings),
        pythia_seed,
        None if prepare is None else lambda pythia: prepare(pythia, sample.options),
    )
    parts: list[Mapping[str, Any]] = []
    found = generated = seen = 0
    drawn_weight = 0.0
    while found < rows:
        events = pythia.nextBatch(sample.batch)
        if not len(events):
            raise HepmlError(f"Pythia stopped after {generated} collisions of sample '{sample.name}'.")
        trials = kept.trials(events) if sample.expected is not None else None  # type: ignore[attr-defined]
        batch = Batch(events, pythia, sample.detector, random, trials)
        columns, origin = sample.columns(batch, sample.options)
        origin = np.asarray(origin)
        wanted = min(rows - found, len(origin))
        if wanted:
            parts.append({name: values[:wanted] for name, values in columns.items()})
        found += wanted
        seen += len(events)
        # The collisions after that of the last row were not needed: they would bias the efficiency.
        last = int(origin[wanted - 1]) if found == rows else len(events) - 1
        if trials is None:
            generated += last + 1
        else:
            generated, drawn_weight = int(trials.drawn[last]), float(trials.drawn_weight[last])
        if not found and seen >= HOPELESS:
            raise EmptySelectionError(f"sample '{sample.name}': {seen} collisions, and none is selected.")
        if progress is not None:
            progress(found)
    sigma, error = cross_section(pythia, before_vetoes=sample.expected is not None)
    counts = {
        "rows": rows,
        "generated": generated,
        "tried": pythia.infoPython().nTried(),
        "sigma_pb": sigma,
        "sigma_error_pb": error,
    }
    if sample.expected is not None:
        counts["drawn_weight"] = drawn_weight
    del kept  # lives as long as Pythia does
    return _flat(sample, parts), counts


def _flat(sample: Sample, parts: list[Mapping[str, Any]]) -> dict[str, NDArray[Any]]:
    """Join the columns of batches; jagged ones become flat arrays beside their lengths."""
    columns: dict[str, NDArray[Any]] = {}
    for branch in sample.branches:
        if branch.name not in parts[0]:
            raise ColumnNotFoundError(
                f"sample '{sample.name}' has a branch '{branch.name}', which its function 'columns' does not "
                f"give; it gives: {', '.join(parts[0])}."
            )
        pieces = [part[branch.name] for part in parts]
        if branch.group:
            lengths = np.concatenate([ak.to_numpy(ak.num(piece, axis=1)) for piece in pieces]).astype(
                np.int32
            )
            known = columns.setdefault(f"n{branch.group}", lengths)
            if not np.array_equal(known, lengths):
                raise ShapeError(
                    f"sample '{sample.name}': '{branch.name}' has not as many values in each row as the "
                    f"other branches of the group '{branch.group}'. Others need another group."
                )
            pieces = [ak.to_numpy(ak.flatten(piece, axis=1)) for piece in pieces]
        columns[branch.name] = np.concatenate([np.asarray(piece, dtype=branch.dtype) for piece in pieces])
    return columns


@contextlib.contextmanager
def quiet_libraries() -> Iterator[None]:
    """Send what libraries print to the file descriptor of stdout (FastJet's banner) nowhere, meanwhile."""
    sys.stdout.flush()
    kept = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)
