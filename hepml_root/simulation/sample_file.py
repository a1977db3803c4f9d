"""The ROOT file of a sample: one TTree with jagged branches, and its provenance as JSON in a TObjString."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import uproot
from numpy.typing import NDArray

from hepml_root.errors import CorruptFileError, SourceNotFoundError
from hepml_root.simulation.chunks import Chunk
from hepml_root.simulation.samples import Sample

EVENT_NUMBER = "event_number"
PROVENANCE = "provenance"
# Rows in one basket of each branch. Large baskets are what makes reading in bulk fast.
BASKET = 8192


def write_sample(path: Path, sample: Sample, chunks: Iterable[Chunk], provenance: dict[str, Any]) -> None:
    """Write the chunks in their order, as one tree, to a file that does not exist yet.

    A row's event number is its position among all rows of the sample.
    """
    # LZ4: it is unpacked about ten times faster than zlib, and floats hardly shrink with either.
    with uproot.recreate(path, compression=uproot.LZ4(1)) as file:
        tree = file.mktree(
            sample.tree, _types(sample), title=sample.title, counter_name=lambda group: f"n{group}"
        )
        first = 0
        for columns in _baskets(chunks):
            rows = len(next(iter(columns.values())))
            tree.extend(_block(sample, columns, rows, first))
            first += rows
        for name, text in sample.texts().items():
            file[name] = text
        file[PROVENANCE] = json.dumps(provenance, indent=1)


def _types(sample: Sample) -> dict[str, Any]:
    types: dict[str, Any] = {EVENT_NUMBER: np.dtype("uint64")}
    groups: dict[str, dict[str, str]] = {}
    for branch in sample.branches:
        if branch.group:
            groups.setdefault(branch.group, {})[_field(branch.name, branch.group)] = branch.dtype
        else:
            types[branch.name] = np.dtype((branch.dtype, branch.shape))
    for group, fields in groups.items():
        inner = ", ".join(f'"{name}": {dtype}' for name, dtype in fields.items())
        types[group] = f"var * {{{inner}}}"
    return types


def _field(name: str, group: str) -> str:
    return name.removeprefix(f"{group}_")


def _baskets(chunks: Iterable[Chunk]) -> Iterable[dict[str, NDArray[Any]]]:
    """Give the chunks' columns, joined to at least BASKET rows (the last ones may be fewer)."""
    held: list[Chunk] = []

    def joined() -> dict[str, NDArray[Any]]:
        return {name: np.concatenate([one.columns[name] for one in held]) for name in held[0].columns}

    for chunk in chunks:
        held.append(chunk)
        if sum(one.counts["rows"] for one in held) >= BASKET:
            yield joined()
            held = []
    if held:
        yield joined()


def _block(sample: Sample, columns: dict[str, NDArray[Any]], rows: int, first: int) -> dict[str, Any]:
    block: dict[str, Any] = {EVENT_NUMBER: np.arange(first, first + rows, dtype=np.uint64)}
    groups: dict[str, dict[str, Any]] = {}
    for branch in sample.branches:
        if branch.group:
            groups.setdefault(branch.group, {})[_field(branch.name, branch.group)] = columns[branch.name]
        else:
            block[branch.name] = columns[branch.name]
    for group, fields in groups.items():
        block[group] = ak.unflatten(ak.zip(fields), columns[f"n{group}"])
    return block


def provenance(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return what a sample's file says about how it was made.

    Keys: ``sample``, ``title``, ``tree``, ``events``, ``seed``, ``generated`` (collisions),
    ``filter_efficiency`` (rows by collisions), ``cross_section_pb`` and ``cross_section_error_pb`` (leading
    order, of the collisions that no filter of the sample gave up while Pythia made them, before the
    selection), ``cross_section_factor`` (by which Pythia's were multiplied), ``selected_cross_section_pb``
    (of the rows), ``pythia`` (settings), ``options``, ``detector`` (parameters) and ``versions``.

    In ROOT the same text is ``((TObjString*)file->Get("provenance"))->GetString()``.

    Raises
    ------
    SourceNotFoundError
        There is no such file.
    CorruptFileError
        It is no ROOT file, or not one that this package generated.
    """
    try:
        with uproot.open(path) as file:
            text = str(file[PROVENANCE])
        return dict(json.loads(text))
    except FileNotFoundError as error:
        raise SourceNotFoundError(f"there is no file '{os.fspath(path)}'.") from error
    except (OSError, ValueError, KeyError) as error:
        raise CorruptFileError(
            f"'{os.fspath(path)}' is no file that `hepml-root generate` wrote: {error}."
        ) from error
