"""Showers in memory: energies of all cells, what is known of the particle, and the calorimeter."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hepml_root.data.calochallenge import read_calochallenge
from hepml_root.data.columns import Column
from hepml_root.data.finite import all_finite
from hepml_root.data.geometry import Geometry, geometry, require_same_scale, same_cells
from hepml_root.data.schema import Block, Schema
from hepml_root.data.shower_conditions import CONDITIONS, check_labels
from hepml_root.data.shower_file import read_showers, write_showers
from hepml_root.data.split import SplitRule, parts_by_position
from hepml_root.errors import (
    EmptySelectionError,
    NonFiniteInputError,
    SettingError,
    ShapeError,
    unknown,
)

if TYPE_CHECKING:
    from hepml_root.data.dataset import Dataset


class Showers:
    """Calorimeter showers, each with the energies of all cells and with what is known of its particle.

    Index them with a slice (a view), a mask or an array of positions; ``split`` them; make a ``dataset`` of
    them to train any network on. All cells are kept, also those that are 0: 100 000 showers of 504 cells take
    200 MB, of 27 000 cells 11 GB. Files are sparse, and :meth:`from_root` reads parts of them.

    Arguments
    ---------
    energies:
        (showers, cells), or (showers, layers, rows, columns) where all layers are alike [GeV, on the scale of
        the geometry].
    conditions:
        (showers, conditions), or (showers,) for a single one, in the order of ``labels``.
    geometry:
        A :class:`~hepml_root.data.geometry.Geometry`, or the name of a shipped one.
    labels:
        What the conditions are: "energy" [GeV], "eta", "x" and "y" [mm], "angle" [rad]. "energy" has to be
        among them.
    provenance:
        JSON-able: how they came about.

    Attributes
    ----------
    energies:
        (showers, cells), float32.
    conditions:
        (showers, conditions), float32.
    labels, geometry, provenance:
        As given.

    Raises
    ------
    ShapeError
        The arrays do not fit one another or the geometry.
    SettingError
        A label is unknown, given twice, or "energy" is missing; an energy of a particle is not above 0, or
        one of a cell is negative.
    NonFiniteInputError
        NaN or infinity.
    EmptySelectionError
        There is no shower.

    Example
    -------
    >>> import numpy as np
    >>> energies = np.random.default_rng(1).exponential(0.05, size=(10, 504))
    >>> showers = Showers(energies, np.full(10, 20.0), "lar-3")
    >>> len(showers), showers.layer_energies().shape, [image.shape for image in showers.images()]
    (10, (10, 3), [(10, 3, 96), (10, 12, 12), (10, 12, 6)])
    >>> train, test = showers.split(test=0.3, seed=1)
    >>> len(train), len(test), showers.condition("energy")[0]
    (7, 3, np.float32(20.0))
    """

    def __init__(
        self,
        energies: ArrayLike,
        conditions: ArrayLike,
        geometry: str | Geometry,
        labels: Sequence[str] = ("energy",),
        *,
        provenance: Mapping[str, Any] | None = None,
    ) -> None:
        chosen = _geometry(geometry)
        cells = np.asarray(energies)
        given = np.asarray(conditions)
        for name, array in (("energies", cells), ("conditions", given)):
            if array.dtype.kind not in "fiub":
                raise ShapeError(f"the {name} must be numbers; they are {array.dtype}.")
        if cells.ndim == 4 and len(set(chosen.shapes)) == 1:
            if cells.shape[1:] != (len(chosen.layers), *chosen.shapes[0]):
                raise ShapeError(_wrong_cells(cells.shape, chosen))
            cells = cells.reshape(len(cells), -1)
        if cells.ndim != 2 or cells.shape[1] != chosen.cells:
            raise ShapeError(_wrong_cells(cells.shape, chosen))
        labels = (labels,) if isinstance(labels, str) else tuple(labels)
        check_labels(labels)
        given = given[:, None] if given.ndim == 1 else given
        if given.shape != (len(cells), len(labels)):
            raise ShapeError(
                f"the conditions have the shape {given.shape}; {len(cells)} showers with the labels "
                f"{', '.join(labels)} need ({len(cells)}, {len(labels)})."
            )
        if not len(cells):
            raise EmptySelectionError("there is no shower.")
        self.energies: NDArray[np.float32] = np.ascontiguousarray(cells, dtype=np.float32)
        self.conditions: NDArray[np.float32] = np.ascontiguousarray(given, dtype=np.float32)
        self.labels = labels
        self.geometry = chosen
        self.provenance = dict(provenance or {})
        self.split_depth = 0
        self._check()

    def _check(self) -> None:
        if not all_finite(self.energies):
            shower, cell = (int(one[0]) for one in np.nonzero(~np.isfinite(self.energies)))
            raise NonFiniteInputError(f"shower {shower} has {self.energies[shower, cell]} in cell {cell}.")
        if not all_finite(self.conditions):
            shower, number = (int(one[0]) for one in np.nonzero(~np.isfinite(self.conditions)))
            raise NonFiniteInputError(
                f"shower {shower} has the {self.labels[number]} {self.conditions[shower, number]}."
            )
        if self.energies.min() < 0:
            negative = self.energies < 0
            shower, cell = (int(one[0]) for one in np.nonzero(negative))
            raise SettingError(
                f"{int(negative.sum())} cells have a negative energy, the first is cell {cell} of shower "
                f"{shower} with {self.energies[shower, cell]:.4g} GeV. Cut noise at the threshold first."
            )
        lowest = float(self.condition("energy").min())
        if lowest <= 0:
            raise SettingError(f"a particle has the energy {lowest:g} GeV; it must be above 0.")

    # ---------------------------------------------------------------- from and to files

    @classmethod
    def from_root(
        cls,
        path: str | os.PathLike[str],
        geometry: str | Geometry | None = None,
        *,
        tree: str | None = None,
        cells: str | tuple[str, str] | None = None,
        conditions: Mapping[str, str] | None = None,
        energy_unit: str = "GeV",
        first: int = 0,
        last: int | None = None,
    ) -> Showers:
        """Read showers from a ROOT file: one that :meth:`write` or ``hepml-root generate`` made, or another.

        Files of ours are sparse and know their geometry; nothing but ``path`` is needed. Of others, as those
        made with Geant4, say which branch is the vector of the energies of all cells.

        Arguments
        ---------
        path:
            The file.
        geometry:
            A geometry or the name of a shipped one; None takes that of the file.
        tree:
            Name of the tree; "showers" by default, or the only one.
        cells:
            Branch with the energies of all cells in the geometry's order, an array or a vector of one length;
            or a pair of branches with lists: numbers of cells, and energies, which are added up.
        conditions:
            {label: branch}, as ``{"energy": "E0"}``; branches that are called as the labels by default.
        energy_unit:
            "GeV" or "MeV": of cells and of the particle's energy, in files that are not ours.
        first, last:
            Showers from ``first`` to before ``last``; all by default.

        Raises
        ------
        SourceNotFoundError, CorruptFileError
            There is no such file or tree, or it cannot be read.
        ColumnNotFoundError, ColumnTypeError
            A branch is missing, or holds no numbers.
        ShapeError
            The cells are not as many as those of the geometry, or their numbers are outside.
        SettingError
            The geometry is not known, or another one than that of the file.
        EmptySelectionError
            There is no such shower.
        NonFiniteInputError
            NaN or infinity.

        Example
        -------
        >>> import pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "showers.root"
        >>> _ = Showers(np.eye(504), np.full(504, 20.0), "lar-3").write(path)
        >>> Showers.from_root(path, last=100)
        100 showers in lar-3 (504 cells); energy 20 to 20 GeV
        """
        wanted = None if geometry is None else _geometry(geometry)
        found = read_showers(
            path,
            wanted,
            tree=tree,
            cells=cells,
            conditions=conditions,
            unit=energy_unit,
            first=first,
            last=last,
        )
        return cls(
            found.energies, found.conditions, found.geometry, found.labels, provenance=found.provenance
        )

    @classmethod
    def from_hdf5(
        cls,
        path: str | os.PathLike[str],
        geometry: str | Geometry,
        *,
        first: int = 0,
        last: int | None = None,
    ) -> Showers:
        """Read showers of public HDF5 files: those of the CaloChallenge, and of CaloGAN.

        The first have "incident_energies" (showers, 1) and "showers" (showers, voxels) [MeV], with the voxels
        layer by layer, angle by angle: datasets 2 and 3; of dataset 1,
        :func:`~hepml_root.data.calochallenge.calochallenge_geometry` reads the geometry. The second have
        "energy" (showers, 1) [GeV] and "layer_0", "layer_1", … (showers, rows, columns) [MeV].

        Arguments
        ---------
        path:
            The file.
        geometry:
            A geometry, or the name of a shipped one: "cylinder" for dataset 2, "lar-3" for CaloGAN.
        first, last:
            Showers from ``first`` to before ``last``; all by default.

        Raises
        ------
        SourceNotFoundError, CorruptFileError
            There is no such file, it is no HDF5 file, or it is damaged.
        ColumnNotFoundError
            It has neither layout.
        ShapeError
            It has another number of cells than the geometry.
        EmptySelectionError
            There is no such shower.
        NonFiniteInputError, SettingError
            Energies that cannot be, or an unknown geometry.

        Reference
        ---------
        CaloChallenge, arXiv:2410.21611; CaloGAN, arXiv:1705.02355.

        Example
        -------
        >>> showers = Showers.from_hdf5("dataset_2_1.hdf5", "cylinder", last=1000)  # doctest: +SKIP
        """
        chosen = _geometry(geometry)
        energies, incident = read_calochallenge(path, chosen, first, last)
        return cls(energies, incident, chosen, provenance={"file": Path(path).name})

    def write(self, path: str | os.PathLike[str], overwrite: bool = False) -> Path:
        """Write the showers to a ROOT file, and return its path.

        The tree "showers" has, for each shower, the branches "event_number", the conditions (float), "ncell",
        and the jagged "cell_index" (int) and "cell_energy" (float, [GeV]) of the cells that are not 0. The
        geometry and the provenance are in the file as JSON: ``root> geometry->GetString()``.

        Raises
        ------
        OutputExistsError
            ``path`` exists and ``overwrite`` is False.
        OutputWriteError
            It cannot be written.
        """
        return write_showers(self, path, overwrite)

    # ---------------------------------------------------------------- what they are

    def __len__(self) -> int:
        return len(self.energies)

    def condition(self, label: str) -> NDArray[np.float32]:
        """Return one of the conditions, (showers,).

        Raises
        ------
        SettingError
            There is no such condition.
        """
        if label not in self.labels:
            raise SettingError(unknown("condition", label, self.labels))
        return np.asarray(self.conditions[:, self.labels.index(label)])

    def total_energies(self) -> NDArray[np.float32]:
        """Return the sum of all cells [GeV, on the scale of the geometry], (showers,)."""
        return np.asarray(self.energies.sum(axis=1, dtype=np.float64).astype(np.float32))

    def layer_energies(self) -> NDArray[np.float32]:
        """Return the sum of the cells of each layer [GeV], (showers, layers)."""
        sums = [self.energies[:, where].sum(axis=1, dtype=np.float64) for where in self.geometry.slices]
        return np.stack(sums, axis=1).astype(np.float32)

    def images(self) -> list[NDArray[np.float32]]:
        """Return, for each layer, the energies of its cells, (showers, rows, columns)."""
        pairs = zip(self.geometry.slices, self.geometry.shapes, strict=True)
        return [self.energies[:, where].reshape(len(self), *shape) for where, shape in pairs]

    def dataset(self) -> Dataset:
        """Return a :class:`Dataset` with the flat block "cells" and the parameter block "conditions".

        What a network learns by default is the energy of the particle [GeV]; generators do not look at it.
        """
        from hepml_root.data.dataset import Dataset

        cells = tuple(
            Column(f"cell_{cell}", f"cells[{cell}]", units="GeV") for cell in range(self.geometry.cells)
        )
        conditions = tuple(
            Column(label, label, role="parameter", units=CONDITIONS[label]) for label in self.labels
        )
        blocks = (
            Block("cells", "flat", (len(cells),), cells),
            Block("conditions", "parameter", (len(conditions),), conditions),
        )
        target = (Column("particle_energy", "energy", role="target", units="GeV"),)
        return Dataset(
            Schema(blocks, targets=target),
            {"cells": self.energies, "conditions": self.conditions},
            labels=None,
            regression_target=np.ascontiguousarray(self.condition("energy"))[:, None],
            weight=np.ones(len(self)),
            provenance={"geometry": self.geometry.to_dict(), "showers": self.provenance},
            split_depth=self.split_depth,
            counts_as_yields=True,
        )

    def __str__(self) -> str:
        ranges = ", ".join(
            f"{label} {values.min():.4g} to {values.max():.4g} {CONDITIONS[label]}".rstrip()
            for label, values in zip(self.labels, self.conditions.T, strict=True)
        )
        return f"{len(self)} showers in {self.geometry.name} ({self.geometry.cells} cells); {ranges}"

    __repr__ = __str__

    # ---------------------------------------------------------------- parts of them

    def __getitem__(self, index: Any) -> Showers:
        """Return some of the showers: a slice gives views, a mask or positions (showers,) copies."""
        if isinstance(index, int | np.integer):
            if not -len(self) <= index < len(self):
                raise IndexError(f"shower {index} of {len(self)}")
            index = slice(int(index) % len(self), int(index) % len(self) + 1)
        if not isinstance(index, slice):
            index = np.asarray(index)
            if index.dtype == bool:
                if index.shape != (len(self),):
                    raise ShapeError(
                        f"a mask of shape {index.shape} does not select from {len(self)} showers."
                    )
                index = np.flatnonzero(index)
            elif index.ndim != 1 or (index.size and index.dtype.kind not in "iu"):
                raise ShapeError(
                    "showers are selected by a slice, a mask or positions, not by "
                    f"{index.dtype} of shape {index.shape}."
                )
            index = index.astype(np.intp, copy=False)
        part = object.__new__(type(self))  # what was checked once needs no check again
        part.energies, part.conditions = self.energies[index], self.conditions[index]
        if not len(part.energies):
            raise EmptySelectionError(f"no shower of {len(self)} is selected.")
        part.labels, part.geometry = self.labels, self.geometry
        part.provenance, part.split_depth = self.provenance, self.split_depth
        return part

    def split(
        self, test: float | int = 0.3, seed: int = 1, *, validation: float | int = 0.0
    ) -> tuple[Showers, ...]:
        """Divide into (train, test), or (train, validation, test) if a validation part is asked for.

        By the hash of the position, as :meth:`Dataset.split` does: the same seed gives the same parts on any
        machine, with exact sizes.

        Raises
        ------
        SettingError
            A fraction out of range, or more showers than there are.
        EmptySelectionError
            A part would have no shower.
        """
        rule = SplitRule(test, validation, seed, depth=self.split_depth)
        parts = parts_by_position(None, (), len(self), rule)
        result = []
        for number in (0, 1, 2) if validation else (0, 2):
            part = self[parts == number]
            part.split_depth = self.split_depth + 1
            part.provenance = {**self.provenance, "split": rule.to_dict()}
            result.append(part)
        return tuple(result)

    @classmethod
    def concatenate(cls, parts: Sequence[Showers]) -> Showers:
        """Join showers of one geometry with the same conditions.

        Raises
        ------
        ShapeError
            Their geometries or conditions differ.
        SettingError
            The energies of their cells are on different scales.
        EmptySelectionError
            There are none.
        """
        if not parts:
            raise EmptySelectionError("there are no showers to join.")
        for part in parts:
            if part.labels != parts[0].labels or not same_cells(part.geometry, parts[0].geometry):
                raise ShapeError(
                    f"showers of {part.geometry.name} with {', '.join(part.labels)} cannot be joined to "
                    f"those of {parts[0].geometry.name} with {', '.join(parts[0].labels)}."
                )
            require_same_scale(part.geometry, parts[0].geometry)
        return cls(
            np.concatenate([part.energies for part in parts]),
            np.concatenate([part.conditions for part in parts]),
            parts[0].geometry,
            parts[0].labels,
            provenance=parts[0].provenance,
        )


# `geometry` is also the name of an argument.
def _geometry(name: str | Geometry) -> Geometry:
    return geometry(name)


def _wrong_cells(shape: tuple[int, ...], chosen: Geometry) -> str:
    layers = sorted(set(chosen.shapes), key=chosen.shapes.index)
    sizes = ", ".join(f"{rows} × {columns}" for rows, columns in layers)
    return (
        f"the energies have the shape {shape}; {chosen.name} needs (showers, {chosen.cells}), with "
        f"{len(chosen.layers)} layers of {sizes} cells."
    )
