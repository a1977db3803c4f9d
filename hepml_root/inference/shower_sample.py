"""Files of showers from an exported generator, made as those of all samples: in chunks, by processes."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hepml_root.data.feed import Request, read
from hepml_root.data.geometry import Geometry
from hepml_root.data.rdataframe import Frame
from hepml_root.data.shower_conditions import CONDITIONS
from hepml_root.data.shower_file import GEOMETRY, TREE, Sparse
from hepml_root.errors import EmptySelectionError, ModelFileError, SettingError, unknown
from hepml_root.inference.bindings import bind
from hepml_root.inference.shower_generator import ShowerGenerator
from hepml_root.simulation.samples import Branch, Rows, Sample

SPECTRA = ("uniform", "log")
# Showers of a chunk, and of one call of the network. The second changes nothing but the memory.
_CHUNK = 2048
_BLOCK = 256


@dataclass(frozen=True)
class GeneratedShowers(Sample):
    """Showers that an exported generator makes; :func:`shower_sample` builds it.

    Attributes
    ----------
    model
        The ``.onnx`` file.
    sha256
        Its hash: a file that has changed meanwhile is refused.
    ranges
        ``{condition: (least, largest)}`` of conditions that are drawn.
    table
        Given conditions, ``(showers, conditions)``, instead.
    calorimeter, facts
        The geometry, and what the provenance says of the model, JSON-able.
    """

    model: Path = Path()
    sha256: str = ""
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    table: NDArray[np.float32] | None = field(default=None, compare=False)
    calorimeter: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def packages(self) -> tuple[str, ...]:
        """The distributions whose versions are recorded."""
        return ("numpy",)

    def with_settings(self, settings: Mapping[str, Any]) -> Sample:
        """Return the sample itself: its settings are arguments of :func:`shower_sample`."""
        for key in settings:
            raise SettingError(f"'{key}' cannot be set afterwards: shower_sample takes the conditions.")
        return self

    def check_events(self, events: int) -> None:
        """Raise SettingError if conditions are given, and for fewer showers than these."""
        if self.table is not None and events > len(self.table):
            raise SettingError(
                f"{events} showers are asked for, and conditions are given for {len(self.table)}."
            )

    def recipe(self) -> dict[str, Any]:
        """Return what the content depends on besides options and seed."""
        return {"geometry": self.calorimeter, "model": dict(self.facts)}

    def texts(self) -> dict[str, str]:
        """Return texts that the file holds besides the provenance."""
        return {GEOMETRY: json.dumps(self.calorimeter)}

    def conditions(self, seed: int, number: int, rows: int) -> NDArray[np.float32]:
        """Return the conditions of the first ``rows`` showers of chunk ``number``, (showers, conditions)."""
        first = number * self.chunk
        if self.table is not None:
            return self.table[first : first + rows]
        sequence = np.random.SeedSequence([seed, number, zlib.crc32(b"conditions of showers")])
        random = np.random.default_rng(sequence)
        columns = []
        for label, (least, largest) in self.ranges.items():
            part = random.random(self.chunk)[:rows]  # of whole chunks: a shorter sample is the beginning
            if label == "energy" and self.options["spectrum"] == "log":
                columns.append(least * (largest / least) ** part)
            else:
                columns.append(least + (largest - least) * part)
        table = np.stack(columns, axis=1).astype(np.float32)
        ends = np.array(list(self.ranges.values()), dtype=np.float32)
        return np.clip(table, ends[:, 0], ends[:, 1])

    def own_rows(self, seed: int, number: int, rows: int) -> Mapping[str, Any]:
        """Return the first ``rows`` showers of chunk ``number``.

        Raises
        ------
        ModelFileError
            The model is gone, is not the one that the sample was made for, or gives energies that cannot be.
        """
        try:
            changed = self.model.stat().st_mtime_ns
        except OSError as error:
            raise ModelFileError(
                f"'{self.model}' was there when the generation began, and cannot be read any more "
                f"({error.strerror}). Put it back and call again with --resume."
            ) from error
        generator = _opened(str(self.model), changed)
        if generator.sha256 != self.sha256:
            raise ModelFileError(f"'{self.model}' has changed since the generation began.")
        table = self.conditions(seed, number, rows)
        parts = []
        for begin in range(0, rows, _BLOCK):
            part = table[begin : begin + _BLOCK]
            first = number * self.chunk + begin
            parts.append(Sparse.of(generator.energies(part, seed, first), part))
        columns: dict[str, Any] = {label: table[:, place] for place, label in enumerate(generator.labels)}
        columns["ncell"] = np.concatenate([part.counts for part in parts])
        columns["cell_index"] = np.concatenate([part.index for part in parts])
        columns["cell_energy"] = np.concatenate([part.energy for part in parts])
        return columns


@functools.lru_cache(maxsize=2)
def _opened(path: str, changed: int) -> ShowerGenerator:  # noqa: ARG001 (a file that changes is read again)
    return ShowerGenerator(path)


def shower_sample(
    model: str | os.PathLike[str],
    conditions: Any,
    *,
    spectrum: str = "uniform",
    geometry: str | Geometry | None = None,
    inputs: Mapping[str, str] | None = None,
    allow_extrapolation: bool = False,
) -> GeneratedShowers:
    """Return showers of an exported generator as a sample, for :func:`hepml_root.simulation.generate`.

    That writes them as ``hepml-root generate --model`` does: chunk by chunk, in as many processes as asked
    for, resumed after Ctrl-C, into the file that :meth:`hepml_root.data.showers.Showers.from_root` reads. The
    shower in row i has the draws of event i: :func:`hepml_root.define` gives the same cells for
    ``event="event_number"`` and the same seed. The content depends on nothing but model, conditions and seed.

    Arguments
    ---------
    model
        The ``.onnx`` file.
    conditions
        ``{label: number or (least, largest)}``, of which the latter are drawn; an array
        ``(showers, conditions)`` or :class:`~hepml_root.data.showers.Showers`; or a source of events, as
        "truth.root:events", that has the conditions of each shower.
    spectrum
        Of energies that are drawn: "uniform" or "log".
    geometry
        Refuse a model of another calorimeter than this.
    inputs
        {condition: branch or expression} of a source that calls them differently.
    allow_extrapolation
        Take conditions outside of the trained range, too.

    Raises
    ------
    SettingError
        A condition is unknown or missing, outside of the trained range, or no range.
    ModelFileError, SourceNotFoundError, UnsupportedOperationError, CompilerError
        As :class:`hepml_root.inference.shower_generator.ShowerGenerator`.
    ShapeError
        The model is one of another geometry.
    ColumnNotFoundError, ColumnTypeError, ExpressionError, EmptySelectionError
        The source does not give the conditions, or has no events.

    Example
    -------
    >>> sample = shower_sample("gen.onnx", {"energy": (10, 100)})  # doctest: +SKIP
    >>> hr.simulation.generate(sample, "showers.root", 100_000, seed=1)  # doctest: +SKIP
    """
    if spectrum not in SPECTRA:
        raise SettingError(unknown("spectrum", spectrum, SPECTRA))
    generator = ShowerGenerator(model)
    if geometry is not None:
        generator.require_geometry(geometry)
    table, ranges, source = None, {}, ""
    if isinstance(conditions, Mapping):
        ranges = _ranges(generator, conditions, allow_extrapolation)
    elif hasattr(conditions, "labels") or isinstance(conditions, np.ndarray):
        table = generator.table(conditions, allow_extrapolation)
    else:
        table = generator.table(_read(generator, conditions, inputs), allow_extrapolation)
        source = _name(conditions)
    facts = generator.provenance()
    if allow_extrapolation:
        facts["allow_extrapolation"] = True
    if table is not None:
        facts["conditions"] = {
            "source": source, "inputs": dict(inputs or {}), "showers": len(table),
            "sha256": hashlib.sha256(table.tobytes()).hexdigest(),
        }  # fmt: skip
    options: dict[str, Any] = {
        label: f"{_exactly(low)}:{_exactly(high)}" for label, (low, high) in ranges.items()
    }
    if ranges:
        options["spectrum"] = spectrum
    own = [Branch(label, "of the particle", CONDITIONS[label]) for label in generator.labels]
    return GeneratedShowers(
        name=f"{generator.name}-showers",
        title=f"showers in {generator.geometry.name} from {generator.path.name}, a generator of kind "
        f"'{generator.kind}'",
        pythia=(),
        branches=(
            *own,
            Branch("cell_index", "number of a cell that is not 0", dtype="int32", group="cell"),
            Branch("cell_energy", "its energy, on the scale of the geometry", "GeV", group="cell"),
        ),
        columns=_no_collisions,
        tree=TREE,
        options=options,
        chunk=_CHUNK,
        model=generator.path.resolve(),
        sha256=generator.sha256,
        ranges=ranges,
        table=table,
        calorimeter=generator.geometry.to_dict(),
        facts=facts,
    )


def _exactly(number: float) -> str:
    """A number with all its digits: by these a generation is known that is to be resumed."""
    return repr(number).removesuffix(".0")


def _name(source: Any) -> str:
    """Return what a provenance calls a source: file names without their folders."""
    if isinstance(source, str | os.PathLike):
        return os.path.basename(os.fspath(source))
    return type(source).__name__


def _ranges(
    generator: ShowerGenerator, given: Mapping[str, Any], allow_extrapolation: bool
) -> dict[str, tuple[float, float]]:
    ends: dict[str, tuple[float, float]] = {}
    for label, value in given.items():
        try:
            low, high = value if isinstance(value, tuple | list) else (value, value)
            ends[label] = float(low), float(high)
        except (TypeError, ValueError):
            raise SettingError(f"{label}={value!r}: a number, or a range of two, is needed.") from None
        if not ends[label][0] <= ends[label][1]:
            raise SettingError(f"{label}={low:g}:{high:g}: a range goes from the least to the largest.")
    for place in (0, 1):  # refuses what is missing, unknown or outside
        generator.table({label: one[place] for label, one in ends.items()}, allow_extrapolation)
    return {label: ends[label] for label in generator.labels}


def _read(generator: ShowerGenerator, source: Any, inputs: Mapping[str, str] | None) -> NDArray[np.float32]:
    """Return the conditions of all events of a source, (events, conditions)."""
    frame = Frame.open(source)
    (block,) = bind(generator.manifest, inputs)
    request = Request(matrix=tuple(str(column.expression) for column in block.columns))
    rows, _ = read([(frame, request)])
    if not len(rows):
        raise EmptySelectionError(f"{frame.name} has no events.")
    return rows.matrix


def _no_collisions(batch: object, options: Mapping[str, Any]) -> Rows:
    raise NotImplementedError  # the rows are the sample's own
