"""Showers from an exported generator, without Keras: its compiled C++, asked from Python."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hepml_root.data.conditions import condition_table
from hepml_root.data.finite import all_finite
from hepml_root.data.geometry import Geometry, geometry, same_cells
from hepml_root.data.shower_conditions import check_labels
from hepml_root.data.showers import Showers
from hepml_root.errors import ModelFileError, SettingError, ShapeError
from hepml_root.inference.compile import read_model
from hepml_root.inference.session import Session
from hepml_root.inference.trained_ranges import ranges_of


class ShowerGenerator:
    """The file of an exported generator of showers, ready to be asked.

    Arguments
    ---------
    path
        The ``.onnx`` file.

    Attributes
    ----------
    path, name, kind
        The file, the generator's name, and a word for what it is: "flow", "gan", …
    geometry
        The :class:`~hepml_root.data.geometry.Geometry` of the showers.
    labels, ranges
        The conditions in their order, and ``{label: (lowest, highest)}`` of its training.
    manifest
        All that the file says.
    sha256
        Hash of the file.

    Raises
    ------
    SourceNotFoundError
        There is no such file.
    ModelFileError
        It is no generator of showers, or what it says of its calorimeter cannot be.
    UnsupportedOperationError, CompilerError, ParityError
        As :func:`hepml_root.compile`: showers are made by compiled C++ only, since random numbers of ONNX
        Runtime are not the same in another run.

    Example
    -------
    >>> generator = ShowerGenerator("gen.onnx")  # doctest: +SKIP
    >>> generator.sample({"energy": np.full(1000, 50.0)}, seed=1)  # doctest: +SKIP
    1000 showers in lar-3 (504 cells); energy 50 to 50 GeV
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.manifest = self._manifest()
        made = self.manifest.get("generator")
        if not isinstance(made, dict):
            outputs = ", ".join(output["name"] for output in self.manifest["outputs"])
            raise ModelFileError(
                f"'{path}' is no generator of showers: it gives {outputs}, and its manifest says of no "
                "calorimeter. hr.export of a generator (hr.models.shower_flow, …) writes one."
            )
        self.name, self.kind = str(self.manifest.get("name", "")), str(made.get("kind", ""))
        self.ranges = ranges_of(self.manifest)
        self.labels = tuple(self.ranges)
        try:
            check_labels(self.labels)
            self.geometry = Geometry.from_dict(made["geometry"])
        except (KeyError, TypeError, AttributeError, SettingError) as error:
            raise ModelFileError(f"'{path}' does not describe its showers: {error}") from error
        shapes = [list(output["shape"]) for output in self.manifest["outputs"]]
        if shapes != [[self.geometry.cells]]:
            raise ModelFileError(
                f"'{path}' gives arrays of the shapes {shapes}, but its geometry '{self.geometry.name}' has "
                f"{self.geometry.cells} cells."
            )
        self._session = Session(self.path, engine="cpp")

    def _manifest(self) -> dict[str, Any]:
        """Read it from the file: what is no generator is not compiled first."""
        from hepml_root.export.manifest import load_onnx, manifest_in

        self.sha256 = hashlib.sha256(read_model(self.path)).hexdigest()
        return manifest_in(load_onnx(self.path))

    def require_geometry(self, wanted: str | Geometry) -> None:
        """Raise ShapeError unless the showers are of this calorimeter, given by itself or its name."""
        other = geometry(wanted)
        if not same_cells(other, self.geometry):
            raise ShapeError(f"'{self.path}' makes showers of {self.geometry}; not of {other}.")

    def table(self, conditions: Any, allow_extrapolation: bool = False) -> NDArray[np.float32]:
        """Return conditions as ``(showers, conditions)``, checked as :meth:`sample` does."""
        return condition_table(conditions, self.labels, self.ranges, allow_extrapolation=allow_extrapolation)

    def sample(
        self,
        conditions: Any,
        seed: int = 1,
        *,
        first_event: int = 0,
        allow_extrapolation: bool = False,
    ) -> Showers:
        """Make showers.

        The random numbers of a shower are a function of the seed and of its number: a second call with
        ``first_event`` goes on where the first ended, and the same numbers give the same showers in
        :func:`hepml_root.define`, in C++ and in the files of ``hepml-root generate``.

        Arguments
        ---------
        conditions
            One row for each shower: ``{"energy": (showers,) [GeV], …}`` (numbers are the same for all), an
            array ``(showers, conditions)``, for a single condition ``(showers,)``, or other
            :class:`~hepml_root.data.showers.Showers`, whose conditions are taken.
        seed
            From 0 to 2^64 - 1.
        first_event
            Number of the first shower.
        allow_extrapolation
            Take conditions outside of the trained range, too.

        Raises
        ------
        SettingError, ShapeError, NonFiniteInputError, EmptySelectionError
            As :func:`hepml_root.data.conditions.condition_table`; a seed out of its range; showers of another
            geometry.
        ModelFileError
            The network gives energies that cannot be.
        """
        if isinstance(conditions, Showers):
            self.require_geometry(conditions.geometry)
        table = self.table(conditions, allow_extrapolation)
        energies = self.energies(table, seed, first_event)
        provenance = {**self.provenance(), "seed": int(seed), "first_event": int(first_event)}
        return Showers(energies, table, self.geometry, self.labels, provenance=provenance)

    def energies(self, table: NDArray[np.float32], seed: int, first_event: int) -> NDArray[np.float32]:
        """Return cells ``(showers, cells)`` [GeV] of conditions that :meth:`table` gave.

        Raises
        ------
        ModelFileError
            A cell is negative, NaN or infinite.
        """
        cells = self._session.infer(table, seed=seed, first_event=first_event)
        assert isinstance(cells, np.ndarray)
        if not all_finite(cells) or cells.min() < 0:
            shower, cell = (int(one[0]) for one in np.nonzero(~(np.isfinite(cells) & (cells >= 0))))
            given = ", ".join(f"{label}={x:g}" for label, x in zip(self.labels, table[shower], strict=True))
            raise ModelFileError(
                f"'{self.path}' gives {cells[shower, cell]:g} GeV in cell {cell} for {given}: no energy."
            )
        return cells

    def provenance(self) -> dict[str, Any]:
        """Return what a file of its showers has to say of it, JSON-able."""
        return {"generator": self.name, "kind": self.kind, "model": self.path.name, "sha256": self.sha256}

    def __repr__(self) -> str:
        ranges = ", ".join(f"{label} {low:g} to {high:g}" for label, (low, high) in self.ranges.items())
        return f"generator '{self.name}' ({self.kind}) of showers in {self.geometry.name}; {ranges}"


def generate_showers(
    model: str | os.PathLike[str] | ShowerGenerator,
    conditions: Any,
    seed: int = 1,
    *,
    first_event: int = 0,
    allow_extrapolation: bool = False,
) -> Showers:
    """Make showers by an exported generator; arguments and errors are those of :class:`ShowerGenerator`.

    Many of them go into a file by ``hepml-root generate --model`` or :func:`shower_sample`.

    Example
    -------
    >>> showers = generate_showers("gen.onnx", {"energy": np.full(1000, 50.0)}, seed=1)  # doctest: +SKIP
    """
    generator = model if isinstance(model, ShowerGenerator) else ShowerGenerator(model)
    return generator.sample(
        conditions, seed, first_event=first_event, allow_extrapolation=allow_extrapolation
    )
