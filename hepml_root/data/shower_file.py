"""The ROOT file of showers: sparse cells in a TTree, geometry and provenance as JSON."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import awkward as ak
import numpy as np
import uproot
from numpy.typing import NDArray

from hepml_root.data.geometry import Geometry, same_cells
from hepml_root.data.shower_conditions import CONDITIONS, check_labels
from hepml_root.errors import (
    ColumnNotFoundError,
    ColumnTypeError,
    CorruptFileError,
    EmptySelectionError,
    HepmlError,
    SettingError,
    ShapeError,
    SourceNotFoundError,
    unknown,
)
from hepml_root.output import refuse_existing, writing

if TYPE_CHECKING:
    from hepml_root.data.showers import Showers

TREE = "showers"
EVENT_NUMBER = "event_number"
GEOMETRY, PROVENANCE = "geometry", "provenance"
# Showers that are put into one basket, and read at once.
_BASKET = 2048
_UNITS = {"GeV": 1.0, "MeV": 1e-3}


@dataclass(frozen=True)
class Read:
    """What was read: arrays (showers, cells) and (showers, conditions), and what they are."""

    energies: NDArray[np.float32]
    conditions: NDArray[np.float32]
    geometry: Geometry
    labels: tuple[str, ...]
    provenance: dict[str, Any]


@dataclass(frozen=True)
class Sparse:
    """Some showers without their empty cells.

    Attributes
    ----------
    counts:
        Number of cells with energy of each shower, (showers,).
    index, energy:
        Of all of them in order: number of the cell, and its energy [GeV], (cells with energy,).
    conditions:
        (showers, conditions).
    """

    counts: NDArray[np.int32]
    index: NDArray[np.int32]
    energy: NDArray[np.float32]
    conditions: NDArray[np.float32]

    @classmethod
    def of(cls, energies: NDArray[np.float32], conditions: NDArray[np.float32]) -> Sparse:
        """Leave out the empty cells of (showers, cells)."""
        flat = energies.reshape(-1)
        where = np.flatnonzero(flat)
        counts = np.count_nonzero(energies, axis=1).astype(np.int32)
        index = (where % energies.shape[1]).astype(np.int32)
        return cls(counts, index, flat[where], conditions)


def write_showers(showers: Showers, path: str | os.PathLike[str], overwrite: bool) -> Path:
    """Write showers; see :meth:`hepml_root.data.showers.Showers.write`."""
    path = refuse_existing(path, overwrite)
    parts = (
        Sparse.of(showers.energies[first : first + _BASKET], showers.conditions[first : first + _BASKET])
        for first in range(0, len(showers), _BASKET)
    )
    with writing(path, overwrite) as temporary:
        write_sparse(temporary, parts, showers.labels, showers.geometry, showers.provenance)
    return path


def write_sparse(
    path: Path,
    parts: Iterable[Sparse],
    labels: tuple[str, ...],
    geometry: Geometry,
    provenance: Mapping[str, Any],
) -> None:
    """Write showers in their order, as one tree, to a file that does not exist yet."""
    types: dict[str, Any] = {EVENT_NUMBER: np.dtype("uint64")}
    types |= {label: np.dtype("float32") for label in labels}
    types["cell"] = 'var * {"index": int32, "energy": float32}'
    # LZ4: it is unpacked about ten times faster than zlib, and floats hardly shrink with either.
    with uproot.recreate(path, compression=uproot.LZ4(1)) as file:
        tree = file.mktree(TREE, types, title=geometry.title, counter_name=lambda group: f"n{group}")
        first = 0
        for part in parts:
            rows = len(part.counts)
            block: dict[str, Any] = {EVENT_NUMBER: np.arange(first, first + rows, dtype=np.uint64)}
            block |= {label: part.conditions[:, number] for number, label in enumerate(labels)}
            block["cell"] = ak.unflatten(ak.zip({"index": part.index, "energy": part.energy}), part.counts)
            tree.extend(block)
            first += rows
        file[GEOMETRY] = json.dumps(geometry.to_dict())
        file[PROVENANCE] = json.dumps(dict(provenance), indent=1)


def read_showers(
    path: str | os.PathLike[str],
    geometry: Geometry | None,
    *,
    tree: str | None,
    cells: str | tuple[str, str] | None,
    conditions: Mapping[str, str] | None,
    unit: str,
    first: int,
    last: int | None,
) -> Read:
    """Read showers; see :meth:`hepml_root.data.showers.Showers.from_root`."""
    if unit not in _UNITS:
        raise SettingError(unknown("unit of energy", unit, _UNITS))
    with _opened(path) as file:
        own = _json(file, path, GEOMETRY)
        chosen = _chosen(path, geometry, own)
        found = _tree(file, path, tree)
        branches = dict(conditions or {label: label for label in CONDITIONS if label in found})
        check_labels(tuple(branches))
        start, stop, _ = slice(first, last).indices(found.num_entries)
        if start >= stop:
            raise EmptySelectionError(
                f"'{path}' has {found.num_entries} showers; none of them was asked for."
            )
        known = [name.removesuffix(".") for name in found.keys()]  # noqa: SIM118 (a tree is no dictionary)
        sparse = ("cell_index", "cell_energy") if cells is None else cells
        wanted = [sparse] if isinstance(sparse, str) else list(sparse)
        if len(wanted) > 2:
            raise SettingError(f"cells={cells!r}: name one branch, or a pair (numbers of cells, energies).")
        for name in (*branches.values(), *wanted):
            if name not in known:
                remedy = (
                    ""
                    if cells is not None
                    else "Of a file that is not ours, cells= names the branch with all cells."
                )
                raise ColumnNotFoundError(unknown("branch", name, known, remedy))
        energies = np.zeros((stop - start, chosen.cells), dtype=np.float32)
        values = np.empty((stop - start, len(branches)), dtype=np.float64)
        for begin in range(start, stop, _BASKET):
            end = min(begin + _BASKET, stop)
            block = _arrays(found, path, [*branches.values(), *wanted], begin, end)
            rows = slice(begin - start, end - start)
            for number, name in enumerate(branches.values()):
                values[rows, number] = _numbers(block, name, "")
            lists = [_numbers(block, name, "vector") for name in wanted]
            if len(lists) == 1:
                energies[rows] = _all_cells(path, lists[0], wanted[0], chosen)
            else:
                _add_cells(energies[rows], path, lists[0], lists[1], wanted, chosen)
        # Ours are in GeV, by whatever names they are read.
        if own is None or cells is not None:
            energies *= np.float32(_UNITS[unit])
            values[:, list(branches).index("energy")] *= _UNITS[unit]
        made = _json(file, path, PROVENANCE) or {"file": Path(path).name}
    return Read(energies, values.astype(np.float32), chosen, tuple(branches), made)


@contextlib.contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[Any]:
    try:
        with uproot.open(path) as file:
            yield file
    except HepmlError:
        raise
    except FileNotFoundError as error:
        raise SourceNotFoundError(f"there is no file '{os.fspath(path)}'.") from error
    except (OSError, uproot.exceptions.KeyInFileError, uproot.deserialization.DeserializationError) as error:
        raise CorruptFileError(f"'{os.fspath(path)}' cannot be read: {error}.") from error


def _json(file: Any, path: Any, name: str) -> dict[str, Any] | None:
    if name not in file or file.classname_of(name) != "TObjString":
        return None
    try:
        return dict(json.loads(str(file[name])))
    except (ValueError, RuntimeError, EOFError) as error:
        raise CorruptFileError(f"'{path}' is damaged: its '{name}' cannot be read ({error}).") from error


def _chosen(path: Any, geometry: Geometry | None, own: dict[str, Any] | None) -> Geometry:
    if own is None:
        if geometry is None:
            raise SettingError(f"'{path}' does not say of which geometry its showers are: give geometry=….")
        return geometry
    of_file = Geometry.from_dict(own)
    if geometry is not None and not same_cells(geometry, of_file):
        raise SettingError(
            f"'{path}' has showers of the geometry '{of_file.name}' ({of_file.cells} cells), not of "
            f"'{geometry.name}' ({geometry.cells} cells)."
        )
    if geometry is not None and geometry.scale != of_file.scale:
        raise SettingError(
            f"'{path}' has energies on the scale '{of_file.scale}', the geometry '{geometry.name}' is of the "
            f"scale '{geometry.scale}'."
        )
    return of_file if geometry is None else geometry


def _tree(file: Any, path: Any, name: str | None) -> Any:
    trees = sorted(set(file.keys(cycle=False, filter_classname="TTree")))
    if name is None:
        name = TREE if TREE in trees or len(trees) != 1 else trees[0]
    if name not in trees:
        raise SourceNotFoundError(unknown("tree", name, trees, f"In '{path}'."))
    return file[name]


def _numbers(block: Any, name: str, kind: str) -> Any:
    """The values of a branch: (showers,), or of a "vector" (showers, var) or (showers, n)."""
    values = block[name]
    depth = 2 if kind else 1
    try:
        number = values.ndim == depth and np.dtype(str(values.type.content).split(" ")[-1]).kind in "fiub"
    except TypeError:
        number = False
    if not number:
        shape = "a list of numbers" if kind else "one number"
        raise ColumnTypeError(
            f"the branch '{name}' does not hold {shape} in each event, but {values.type.content}."
        )
    return values


def _all_cells(path: Any, values: Any, name: str, geometry: Geometry) -> NDArray[Any]:
    lengths = np.unique(ak.to_numpy(ak.num(values, axis=1)))
    if lengths.tolist() != [geometry.cells]:
        found = f"{lengths[0]}" if len(lengths) == 1 else f"{lengths[0]} to {lengths[-1]}"
        raise ShapeError(
            f"'{name}' of '{path}' has {found} values in an event, the geometry '{geometry.name}' "
            f"{geometry.cells} cells."
        )
    return np.asarray(ak.to_numpy(ak.flatten(values, axis=1)).reshape(-1, geometry.cells))


def _add_cells(
    energies: NDArray[np.float32], path: Any, numbers: Any, values: Any, names: list[str], geometry: Geometry
) -> None:
    """Add lists of cells to ``energies`` (showers, cells); a cell may come several times."""
    counts = ak.to_numpy(ak.num(numbers, axis=1))
    if not np.array_equal(counts, ak.to_numpy(ak.num(values, axis=1))):
        raise ShapeError(f"'{path}': {names[0]} and {names[1]} have not the same lengths.")
    index = ak.to_numpy(ak.flatten(numbers, axis=1))
    if index.size and (index.min() < 0 or index.max() >= geometry.cells):
        raise ShapeError(
            f"'{path}' has cells from {index.min()} to {index.max()}; the geometry '{geometry.name}' has "
            f"{geometry.cells}, from 0."
        )
    if index.dtype.kind not in "iu":
        raise ColumnTypeError(f"'{names[0]}' of '{path}' are no numbers of cells; they are {index.dtype}.")
    energy = ak.to_numpy(ak.flatten(values, axis=1)).astype(np.float32)
    np.add.at(energies, (np.repeat(np.arange(len(counts)), counts), index), energy)


def _arrays(tree: Any, path: Any, branches: list[str], first: int, last: int) -> Any:
    try:
        return tree.arrays(branches, entry_start=first, entry_stop=last)
    except (ValueError, RuntimeError, EOFError) as error:  # from the libraries that unpack baskets
        raise CorruptFileError(f"'{path}' is damaged in its entries {first} to {last}: {error}.") from error
