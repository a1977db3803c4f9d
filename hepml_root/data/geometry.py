"""Calorimeters as data: layers, their cells, where these are and what they are made of.

>>> geometry("lar-3").cells
504
>>> try:
...     geometry("si-w")
... except SettingError as error:
...     print(str(error).partition(" Available")[0])
no geometry 'si-w'. Nearest: 'si-w-30', 'si-w-10'.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml
from numpy.typing import NDArray

from hepml_root.data.materials import Medium
from hepml_root.errors import SettingError, unknown

_SHIPPED = Path(__file__).with_name("geometries.yaml")
SCALES = ("visible", "electromagnetic")


@dataclass(frozen=True)
class Grid:
    """Rectangular cells of a layer, centred on the axis: rows along y, columns along x.

    Attributes
    ----------
    rows, columns:
        Number of cells along y and along x.
    height, width:
        Size of a cell along y and along x [mm].
    """

    rows: int
    columns: int
    height: float
    width: float

    def __post_init__(self) -> None:
        _above_zero("grid", rows=self.rows, columns=self.columns, height=self.height, width=self.width)

    def centres(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return x and y [mm] of the centres, each (rows, columns)."""
        x = (np.arange(self.columns) - (self.columns - 1) / 2) * self.width
        y = (np.arange(self.rows) - (self.rows - 1) / 2) * self.height
        grid = np.meshgrid(x, y)
        return grid[0], grid[1]

    def areas(self) -> NDArray[np.float64]:
        """Return the cells' areas [mm²], (rows, columns)."""
        return np.full((self.rows, self.columns), self.height * self.width)

    def locate(self, x: NDArray[Any], y: NDArray[Any]) -> NDArray[np.int32]:
        """Return the cell, row by row, of each point [mm], and -1 outside."""
        column = np.floor(x * (1 / self.width) + self.columns / 2)
        row = np.floor(y * (1 / self.height) + self.rows / 2)
        # Compared as floats: a radius has no upper limit, and integers have.
        inside = (column >= 0) & (column < self.columns) & (row >= 0) & (row < self.rows)
        return np.where(inside, row * self.columns + column, -1).astype(np.int32)

    def to_dict(self) -> dict[str, Any]:
        """Return ``{"grid": [rows, columns, height, width]}``."""
        return {"grid": [self.rows, self.columns, self.height, self.width]}


@dataclass(frozen=True)
class Polar:
    """Cells of a layer in polar coordinates around the axis: rows along the angle, columns along the radius.

    Attributes
    ----------
    rows:
        Number of equal angles, from -π to π.
    edges:
        Edges of the radii [mm], ascending; the first is mostly 0.
    """

    rows: int
    edges: tuple[float, ...]

    def __post_init__(self) -> None:
        _above_zero("polar", angles=self.rows)
        if len(self.edges) < 2 or self.edges[0] < 0 or not (np.diff(self.edges) > 0).all():
            raise SettingError(f"polar: the edges of the radii must ascend from 0 or more; got {self.edges}.")

    @property
    def columns(self) -> int:
        """Number of radii."""
        return len(self.edges) - 1

    def centres(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return x and y [mm] of the points in the middle of angle and radius, each (rows, columns)."""
        edges = np.array(self.edges)
        radius = (edges[1:] + edges[:-1]) / 2
        angle = -np.pi + (np.arange(self.rows) + 0.5) * 2 * np.pi / self.rows
        if self.rows == 1:  # rings: their middle is the axis
            return np.zeros((1, self.columns)), np.zeros((1, self.columns))
        return np.cos(angle)[:, None] * radius, np.sin(angle)[:, None] * radius

    def areas(self) -> NDArray[np.float64]:
        """Return the cells' areas [mm²], (rows, columns)."""
        rings = np.pi * np.diff(np.square(self.edges)) / self.rows
        return np.broadcast_to(rings, (self.rows, self.columns)).copy()

    def locate(self, x: NDArray[Any], y: NDArray[Any]) -> NDArray[np.int32]:
        """Return the cell, row by row, of each point [mm], and -1 outside."""
        radius = np.hypot(x, y)
        column = np.searchsorted(np.asarray(self.edges, dtype=radius.dtype), radius, side="right") - 1
        inside = (column >= 0) & (column < self.columns)
        row = np.floor((np.arctan2(y, x) + np.pi) * (self.rows / (2 * np.pi)))
        row = np.clip(row, 0, self.rows - 1)
        return np.where(inside, row * self.columns + column, -1).astype(np.int32)

    def to_dict(self) -> dict[str, Any]:
        """Return ``{"polar": [angles, edges]}``."""
        return {"polar": [self.rows, list(self.edges)]}


@dataclass(frozen=True)
class Layer:
    """One layer of cells, read out as a whole in depth.

    Attributes
    ----------
    segmentation:
        Its cells.
    gaps:
        Number of pairs of a passive and an active plate in the layer, passive first.
    passive, passive_mm, active, active_mm:
        Materials (names of :data:`hepml_root.data.materials.MATERIALS`) and thicknesses of one plate [mm].
        ``passive`` None: all is active. ``active`` None: nothing is known of the material, as in public data.
    resolution:
        Stochastic term c of the sampling fluctuations: σ/E = c/√E, E in GeV deposited in the layer.
    """

    segmentation: Grid | Polar
    gaps: int = 1
    passive: str | None = None
    passive_mm: float = 0.0
    active: str | None = None
    active_mm: float = 0.0
    resolution: float = 0.0

    def __post_init__(self) -> None:
        _above_zero("layer", gaps=self.gaps)
        if self.active is not None:
            Medium.of(self.passive, self.passive_mm, self.active, self.active_mm)
        if not 0 <= self.resolution < 10:
            raise SettingError(f"layer: resolution={self.resolution} must be from 0 to 10 √GeV.")

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self.segmentation.rows, self.segmentation.columns

    @property
    def thickness(self) -> float:
        """Of the whole layer [mm]; 1 where the material is unknown."""
        if self.active is None:
            return 1.0
        return self.gaps * (self.active_mm + (self.passive_mm if self.passive else 0.0))

    @cached_property
    def medium(self) -> Medium:
        """What its plates are to a shower.

        Raises
        ------
        SettingError
            The material of the layer is unknown.
        """
        if self.active is None:
            raise SettingError(
                "the geometry says nothing of the layers' material (as those made of public data): "
                "give 'active' and 'active_mm', and 'passive' and 'passive_mm' of a sampling calorimeter."
            )
        return Medium.of(self.passive, self.passive_mm, self.active, self.active_mm)

    def to_dict(self) -> dict[str, Any]:
        """Return what the layer is, JSON-able."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)[1:]}
        known = {name: value for name, value in fields.items() if value not in (None, 0.0)}
        return {**self.segmentation.to_dict(), **known}

    @classmethod
    def from_dict(cls, entry: Mapping[str, Any]) -> Layer:
        """Return the layer that :meth:`to_dict` described.

        Raises
        ------
        SettingError
            A key is unknown, or a value cannot be taken.
        """
        entry = dict(entry)
        names = [field.name for field in dataclasses.fields(cls)[1:]]
        for key in entry:
            if key not in ("grid", "polar", *names):
                raise SettingError(unknown("setting of a layer", key, ["grid", "polar", *names]))
        try:
            segmentation: Grid | Polar
            if "grid" in entry:
                segmentation = Grid(*entry.pop("grid"))
            else:
                angles, edges = entry.pop("polar")
                segmentation = Polar(angles, tuple(edges))
            return cls(segmentation, **entry)
        except (KeyError, TypeError, ValueError) as error:
            if isinstance(error, SettingError):
                raise
            raise SettingError(
                "a layer needs 'grid: [rows, columns, height, width]' or 'polar: [angles, edges of radii]', "
                f"and numbers; {error}."
            ) from error


@dataclass(frozen=True)
class Geometry:
    """A calorimeter: layers of cells one behind the other.

    The front face is at z = 0, and z goes into the calorimeter; x is along the columns of a grid, y along
    its rows, and the axis x = y = 0 goes through the middle of all layers. The cells are flat and ordered
    layer by layer, row by row, everywhere.

    Attributes
    ----------
    name, title:
        Its name, and one line for people.
    layers:
        The :class:`Layer` from the front to the back.
    scale:
        What the energy of a cell is: "visible", deposited in the active plates [GeV]; "electromagnetic", that
        divided by the sampling fraction, so that the cells add up to the energy of the particle [GeV].
    threshold:
        A cell below it [GeV] reads 0, and from it on counts as hit.
    reference:
        Where the numbers come from.

    Raises
    ------
    SettingError
        There is no layer, or a value is out of its range.

    Reference
    ---------
    CaloGAN, arXiv:1705.02355 (lar-3); Getting High, arXiv:2005.05334 (si-w-30); CaloChallenge,
    arXiv:2410.21611 (cylinder).

    Example
    -------
    >>> calorimeter = geometry("lar-3")
    >>> calorimeter.shapes, calorimeter.slices[1]
    (((3, 96), (12, 12), (12, 6)), slice(288, 432, None))
    >>> calorimeter.centres[:2].round(1)
    array([[-237.5, -160. ,   45. ],
           [-232.5, -160. ,   45. ]])
    >>> calorimeter.depths.round(1)
    array([ 2.9, 16.9, 29.4])
    >>> Geometry.from_dict(calorimeter.to_dict()) == calorimeter
    True
    """

    name: str
    layers: tuple[Layer, ...]
    title: str = ""
    scale: Literal["visible", "electromagnetic"] = "visible"
    threshold: float = 0.0
    reference: str = ""

    def __post_init__(self) -> None:
        if not self.layers:
            raise SettingError(f"geometry '{self.name}' has no layer.")
        if self.scale not in SCALES:
            raise SettingError(unknown("scale", self.scale, SCALES, f"In geometry '{self.name}'."))
        if not 0 <= self.threshold < float("inf"):
            raise SettingError(f"geometry '{self.name}': threshold={self.threshold} must be 0 or more [GeV].")

    # ---------------------------------------------------------------- cells

    @cached_property
    def cells(self) -> int:
        """Number of all cells."""
        return sum(rows * columns for rows, columns in self.shapes)

    @cached_property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """(rows, columns) of each layer."""
        return tuple(layer.shape for layer in self.layers)

    @cached_property
    def slices(self) -> tuple[slice, ...]:
        """For each layer, where its cells are on the axis of all cells."""
        ends = list(itertools.accumulate(rows * columns for rows, columns in self.shapes))
        return tuple(slice(first, last) for first, last in zip([0, *ends[:-1]], ends, strict=True))

    @cached_property
    def layer_of_cell(self) -> NDArray[np.int32]:
        """Number of the layer of each cell, (cells,)."""
        sizes = [rows * columns for rows, columns in self.shapes]
        return _frozen(np.repeat(np.arange(len(sizes), dtype=np.int32), sizes))

    @cached_property
    def centres(self) -> NDArray[np.float64]:
        """x, y and z [mm] of the centre of each cell, (cells, 3), in Cartesian coordinates for all kinds.

        z is the middle of the layer; where the material is unknown, layers count as 1 mm thick.
        """
        middles = np.cumsum([layer.thickness for layer in self.layers])
        parts = []
        for layer, end in zip(self.layers, middles, strict=True):
            x, y = layer.segmentation.centres()
            parts.append(np.stack([x, y, np.full_like(x, end - layer.thickness / 2)], axis=-1).reshape(-1, 3))
        return _frozen(np.concatenate(parts))

    @cached_property
    def areas(self) -> NDArray[np.float64]:
        """Area of each cell [mm²], (cells,)."""
        return _frozen(np.concatenate([layer.segmentation.areas().reshape(-1) for layer in self.layers]))

    # ---------------------------------------------------------------- depth

    @cached_property
    def edges(self) -> NDArray[np.float64]:
        """Depth of the layers' faces in radiation lengths, (layers + 1,), at normal incidence.

        Where the material is unknown, a layer counts as one radiation length.
        """
        lengths = [
            1.0 if layer.active is None else layer.thickness / layer.medium.radiation_length
            for layer in self.layers
        ]
        return _frozen(np.concatenate([[0.0], np.cumsum(lengths)]))

    @cached_property
    def depths(self) -> NDArray[np.float64]:
        """Depth of the middle of each layer in radiation lengths, (layers,), at normal incidence."""
        return _frozen((self.edges[1:] + self.edges[:-1]) / 2)

    # ---------------------------------------------------------------- as JSON

    def to_dict(self) -> dict[str, Any]:
        """Return the geometry, JSON-able; equal layers that follow one another are one entry with a count."""
        layers: list[dict[str, Any]] = []
        for layer, group in itertools.groupby(self.layers):
            count = len(list(group))
            layers.append({**({"count": count} if count > 1 else {}), **layer.to_dict()})
        return {
            "name": self.name,
            "title": self.title,
            "scale": self.scale,
            "threshold": self.threshold,
            "reference": self.reference,
            "layers": layers,
        }

    @classmethod
    def from_dict(cls, entry: Mapping[str, Any]) -> Geometry:
        """Return the geometry that :meth:`to_dict` described.

        Raises
        ------
        SettingError
            A key is missing or unknown, or a value cannot be taken.
        """
        entry = dict(entry)
        names = [field.name for field in dataclasses.fields(cls)]
        for key in entry:
            if key not in names:
                raise SettingError(unknown("setting of a geometry", key, names))
        for key in ("name", "layers"):
            if not entry.get(key):
                raise SettingError(f"a geometry needs '{key}'; got {', '.join(entry) or 'nothing'}.")
        layers: list[Layer] = []
        for one in entry.pop("layers"):
            one = dict(one)
            count = one.pop("count", 1)
            _above_zero("layer", count=count)
            layers += [Layer.from_dict(one)] * int(count)
        entry["threshold"] = float(entry.get("threshold", 0.0))
        return cls(layers=tuple(layers), **entry)

    def __str__(self) -> str:
        return f"{self.name}: {self.title or f'{len(self.layers)} layers'}, {self.cells} cells"


def geometry_names() -> list[str]:
    """Return the names of the geometries that are shipped."""
    return list(_shipped())


def geometry(name: str | Geometry) -> Geometry:
    """Return the shipped calorimeter of that name, or what is given, if that is a geometry.

    "si-w-30": silicon and tungsten, 30 layers of 30 × 30 cells of 5 mm; "si-w-10": 10 layers of 10 × 10
    cells of 10 mm, for small machines; "lar-3": liquid argon and lead, 3 layers of 3 × 96, 12 × 12 and
    12 × 6 cells; "cylinder": 45 layers of 16 angles × 9 radii.

    Raises
    ------
    SettingError
        There is none; the message has the nearest ones.
    """
    if isinstance(name, Geometry):
        return name
    shipped = _shipped()
    if name not in shipped:
        raise SettingError(unknown("geometry", str(name), shipped))
    return shipped[name]


@cache
def _shipped() -> dict[str, Geometry]:
    entries = yaml.safe_load(_SHIPPED.read_text(encoding="utf-8"))
    return {name: Geometry.from_dict({"name": name, **entry}) for name, entry in entries.items()}


def _above_zero(what: str, **values: Any) -> None:
    for name, value in values.items():
        whole = name in ("rows", "columns", "angles", "gaps", "count")
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
            raise SettingError(f"{what}: {name}={value!r} must be a number above 0.")
        if whole and value != int(value):
            raise SettingError(f"{what}: {name}={value!r} must be a whole number.")


def _frozen(values: NDArray[Any]) -> NDArray[Any]:
    """The arrays of a geometry are shared by all who use it."""
    values.flags.writeable = False
    return values


def same_cells(one: Geometry, other: Geometry) -> bool:
    """Tell whether two geometries have the same cells in the same order, whatever they are made of."""
    return [layer.segmentation for layer in one.layers] == [layer.segmentation for layer in other.layers]


def require_same_scale(one: Geometry, other: Geometry) -> None:
    """Raise SettingError unless energies of the cells of two geometries are the same thing.

    >>> require_same_scale(geometry("lar-3"), dataclasses.replace(geometry("lar-3"), scale="visible"))
    Traceback (most recent call last):
    hepml_root.errors.SettingError: the cells of 'lar-3' are on the scale 'electromagnetic' and those of \
'lar-3' on 'visible': their energies cannot be put side by side.
    """
    if one.scale != other.scale:
        raise SettingError(
            f"the cells of '{one.name}' are on the scale '{one.scale}' and those of '{other.name}' on "
            f"'{other.scale}': their energies cannot be put side by side."
        )
