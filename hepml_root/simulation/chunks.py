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
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from hepml_root.errors import ColumnNotFoundError, EmptySelectionError, HepmlError, ShapeError
from hepml_root.output import writing
from hepml_root.simulation.batch import Batch
from hepml_root.simulation.pythia import cross_section, start
from hepml_root.simulation.samples import Sample

# A selection that keeps nothing of so many collisions is taken for one that keeps nothing at all.
HOPELESS = 100_000


@dataclass(frozen=True)
class Chunk:
    """The rows of one chunk.

    Attributes
    ----------
    columns
        ``{branch: array}``: ``(rows,)`` or ``(rows, *shape)``; a jagged branch is one flat array, its lengths
        are under ``n<group>``.
    counts
        ``rows``; ``generated``, the collisions up to that of the last row; Pythia's ``tried``, and its cross
        section ``sigma_pb`` with ``sigma_error_pb``. Of weighted samples, ``generated`` are all that were
        drawn, ``drawn_weight`` is the sum of their weights, ``weight`` and ``weight_squared`` are sums over
        the rows.
    """

    columns: dict[str, NDArray[Any]]
    counts: dict[str, float]

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
    def load_counts(path: Path) -> dict[str, float]:
        """Read only the counts of a part file."""
        with np.load(path) as file:
            return dict(json.loads(str(file["/counts"])))


def seeds(sample: Sample, seed: int, number: int) -> tuple[int, np.random.Generator]:
    """Return Pythia's seed and the generator for the detector, of chunk ``number`` of a sample."""
    # The sample's name takes part, so that two samples with the same seed share no random numbers.
    sequence = np.random.SeedSequence([seed, number, zlib.crc32(sample.name.encode())])
    for_pythia, for_detector = sequence.spawn(2)
    return int(for_pythia.generate_state(1)[0]) % 900_000_000 + 1, np.random.default_rng(for_detector)


def make_chunk(
    sample: Sample, seed: int, number: int, rows: int, progress: Callable[[int], None] | None = None
) -> Chunk:
    """Make chunk ``number`` of a sample: its first ``rows`` rows, at most ``sample.chunk``.

    ``progress`` is told how many rows there are after every batch.

    Raises
    ------
    EmptySelectionError
        The selection keeps nothing.
    ColumnNotFoundError, ShapeError
        The sample's function does not give a branch, or not for all objects of its group.
    SettingError, MissingDependencyError
        Pythia refuses the settings, or is not installed.
    """
    pythia_seed, random = seeds(sample, seed, number)
    prepare = sample.prepare
    pythia, kept = start(
        sample.pythia,
        pythia_seed,
        None if prepare is None else lambda pythia: prepare(pythia, sample.options),
    )
    parts: list[Mapping[str, Any]] = []
    found = generated = 0
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
        # The collisions after that of the last row were not needed: they would bias the efficiency.
        last = int(origin[wanted - 1]) if found == rows else len(events) - 1
        if trials is None:
            generated += last + 1
        else:
            generated, drawn_weight = int(trials.drawn[last]), float(trials.drawn_weight[last])
        if not found and generated >= HOPELESS:
            raise EmptySelectionError(
                f"sample '{sample.name}': {generated} collisions, and none is selected."
            )
        if progress is not None:
            progress(found)
    filled = _flat(sample, parts)
    sigma, error = cross_section(pythia, before_vetoes=sample.expected is not None)
    counts = {
        "rows": rows,
        "generated": generated,
        "tried": pythia.infoPython().nTried(),
        "sigma_pb": sigma,
        "sigma_error_pb": error,
    }
    if sample.expected is not None:
        weight = filled["weight"].astype(float)
        counts |= {"drawn_weight": drawn_weight, "weight": weight.sum(), "weight_squared": (weight**2).sum()}
    del kept  # lives as long as Pythia does
    return Chunk(filled, counts)


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
