"""What is looked at in a shower: energies, profiles, centres and widths, hits, the spectrum of the cells."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hepml_root.errors import SettingError
from hepml_root.evaluation.arrays import Floats
from hepml_root.evaluation.observable_comparison import Observable

if TYPE_CHECKING:
    from hepml_root.data.geometry import Geometry
    from hepml_root.data.showers import Showers

# Elements of a block of cells: 64 MB as float64.
_BLOCK = 1 << 23
_RADII = 30
_DECADE = 10  # bins of the cell spectrum in a decade
_LARGEST = 3  # log10 of a cell's energy in GeV that no cell reaches


def shower_observables(showers: Showers, *, threshold: float | None = None) -> list[Observable]:
    r"""Return the high-level quantities of every shower.

    With the energy :math:`E_c` of cell c, at depth :math:`t_c` and lateral position :math:`(x_c, y_c)`:

    - ``energy`` :math:`E = \sum_c E_c`, ``response`` E over that of the particle, ``energy_layer_…``;
    - ``depth`` :math:`\bar t = \sum_c E_c t_c / E` and ``depth_width``, its root mean square;
    - ``centre_x``, ``centre_y``, ``width`` of the shower, and the same ``…_layer_…``: energy-weighted means,
      and
      :math:`\sqrt{\langle (x - \bar x)^2 + (y - \bar y)^2 \rangle}`;
    - ``brightest``, the largest cell's share of E; ``hits``, the number of cells with energy;
      ``sparsity_layer_…``, the fraction of a layer's cells without;
    - the spectra ``longitudinal`` (energy per layer against depth), ``radial`` (energy against the distance
      from the shower's centre), and ``cells`` (number of cells against the logarithm of their energy).

    What a shower does not have (the centre of a layer without energy) is NaN.

    Arguments
    ---------
    showers
        The showers.
    threshold
        Cells below count as empty [GeV]; that of the geometry if None.

    Raises
    ------
    SettingError
        The threshold is negative or not finite.

    Reference: arXiv:2410.21611.

    Example
    -------
    >>> from hepml_root.data.showers import Showers
    >>> cells = np.zeros((1, 504))
    >>> cells[0, 0], cells[0, 300] = 1.0, 3.0
    >>> found = {item.name: item.values for item in shower_observables(Showers(cells, [5.0], "lar-3"))}
    >>> float(found["energy"][0]), float(found["response"][0]), float(found["hits"][0])
    (4.0, 0.8, 2.0)
    """
    geometry = showers.geometry
    cut = geometry.threshold if threshold is None else float(threshold)
    if not (np.isfinite(cut) and cut >= 0):
        raise SettingError(f"threshold={threshold!r}: the energy of a cell [GeV], not negative.")
    parts = [_Block(geometry, block, cut) for block in _blocks(showers.energies)]

    def joined(name: str) -> Floats:
        return np.concatenate([getattr(part, name) for part in parts])

    total, layers = joined("total"), joined("layer_energy")
    scale = "visible energy" if geometry.scale == "visible" else "energy"
    found = [Observable("energy", total, f"Total {scale}", "GeV", "energy")]
    if "energy" in showers.labels:
        incident = np.asarray(showers.condition("energy"), dtype=np.float64)
        title = f"{scale.capitalize()} over that of the particle"
        found.append(Observable("response", total / incident, title, "", "energy"))
    found.append(Observable("brightest", joined("brightest"), "Share of the brightest cell", "", "energy"))
    found.append(Observable("longitudinal", layers, "Depth", "X₀", "profiles", np.asarray(geometry.edges)))
    found.append(Observable("radial", joined("radial"), "Distance from the centre", "mm", "profiles",
                            radial_edges(geometry), logarithmic=True))  # fmt: skip
    found.append(Observable("cells", joined("spectrum"), "log₁₀ of the cell's energy in GeV", "", "cells",
                            spectrum_edges(cut), logarithmic=True))  # fmt: skip
    found.append(Observable("hits", joined("hits").sum(axis=1), "Cells with energy", "", "cells"))
    for name, title, unit in (
        ("depth", "Mean depth", "X₀"),
        ("depth_width", "Longitudinal width", "X₀"),
        ("centre_x", "Centre x", "mm"),
        ("centre_y", "Centre y", "mm"),
        ("width", "Lateral width", "mm"),
    ):
        found.append(Observable(name, joined(name), title, unit, "shape"))
    number = layers.shape[1]
    shares = 1.0 - joined("hits") / np.array([rows * columns for rows, columns in geometry.shapes])
    tables = (
        ("energy", layers, "Energy", "GeV", "energy per layer"),
        ("centre_x", joined("layer_x"), "Centre x", "mm", "centre per layer"),
        ("centre_y", joined("layer_y"), "Centre y", "mm", "centre per layer"),
        ("width", joined("layer_width"), "Width", "mm", "width per layer"),
        ("sparsity", shares, "Fraction of empty cells", "", "sparsity per layer"),
    )
    for name, table, title, unit, group in tables:
        for layer in range(number):
            column = Observable(
                f"{name}_layer_{layer}", table[:, layer], f"{title}, layer {layer}", unit, group
            )
            if not np.isnan(column.values).all():  # a layer that no shower reaches
                found.append(column)
    return found


def radial_edges(geometry: Geometry) -> Floats:
    """Return the edges of the radial profile's bins [mm], finer near the axis; the last holds all beyond."""
    reach = float(np.hypot(*np.abs(geometry.centres[:, :2]).max(axis=0)))
    return (reach or 1.0) * np.linspace(0.0, 1.0, _RADII + 1) ** 1.5


def spectrum_edges(threshold: float) -> Floats:
    """Return the edges of the cell spectrum's bins, in log₁₀ of the energy in GeV."""
    lowest = int(np.floor(np.log10(max(threshold, 1e-7))))
    return np.linspace(lowest, _LARGEST, (_LARGEST - lowest) * _DECADE + 1)


def feature_table(observables: Sequence[Observable], most: int | None = None) -> tuple[list[str], Floats]:
    """Return names and values (events, features) of the quantities that are single numbers.

    What an event does not have is 0, as in the CaloChallenge.

    Arguments
    ---------
    observables
        Those of :func:`shower_observables`.
    most
        Leave the ones of single layers out if there are more quantities than this.

    Example
    -------
    >>> feature_table([Observable("x", np.array([1.0, np.nan]))])
    (['x'], array([[1.],
           [0.]]))
    """
    chosen = [item for item in observables if not item.is_spectrum]
    if most is not None and len(chosen) > most:
        chosen = [item for item in chosen if not item.group.endswith("per layer")]
    table = np.stack([item.values for item in chosen], axis=1)
    return [item.name for item in chosen], np.nan_to_num(table, nan=0.0)


def _blocks(energies: NDArray[np.float32]) -> Iterator[Floats]:
    rows = max(1, _BLOCK // energies.shape[1])
    for begin in range(0, len(energies), rows):
        yield energies[begin : begin + rows].astype(np.float64)


class _Block:
    """The quantities of some of the showers."""

    def __init__(self, geometry: Geometry, energies: Floats, threshold: float) -> None:
        energies[energies < threshold] = 0.0
        self.total = energies.sum(axis=1)
        self.brightest = _ratio(energies.max(axis=1), self.total)
        self._layers(geometry, energies)
        depths = np.asarray(geometry.depths)
        self.depth = _ratio(self.layer_energy @ depths, self.total)
        away = (depths - self.depth[:, None]) ** 2
        self.depth_width = np.sqrt(_ratio(np.nansum(self.layer_energy * away, axis=1), self.total))
        self._hits(geometry, energies, threshold)

    def _layers(self, geometry: Geometry, energies: Floats) -> None:
        columns: dict[str, list[Any]] = {name: [] for name in ("energy", "x", "y", "width", "hits")}
        first = np.zeros((len(energies), 2))
        second = np.zeros(len(energies))
        for where in geometry.slices:
            e = energies[:, where]
            place = geometry.centres[where, :2]
            energy, moments = e.sum(axis=1), e @ place
            square = e @ np.sum(place**2, axis=1)
            centre = _ratio(moments, energy[:, None])
            width = np.sqrt(np.maximum(_ratio(square, energy) - np.sum(centre**2, axis=1), 0.0))
            first += moments
            second += square
            values = energy, centre[:, 0], centre[:, 1], width, np.count_nonzero(e, axis=1)
            for column, value in zip(columns.values(), values, strict=True):
                column.append(value)
        self.layer_energy = np.stack(columns["energy"], axis=1)
        self.layer_x, self.layer_y = np.stack(columns["x"], axis=1), np.stack(columns["y"], axis=1)
        self.layer_width = np.stack(columns["width"], axis=1)
        self.hits = np.stack(columns["hits"], axis=1).astype(np.float64)
        centre = _ratio(first, self.total[:, None])
        self.centre_x, self.centre_y = centre[:, 0], centre[:, 1]
        variance = _ratio(second, self.total) - np.sum(centre**2, axis=1)
        self.width = np.sqrt(np.maximum(variance, 0.0))

    def _hits(self, geometry: Geometry, energies: Floats, threshold: float) -> None:
        shower, cell = np.nonzero(energies)
        energy, place = energies[shower, cell], geometry.centres[:, :2][cell]
        distance = np.hypot(place[:, 0] - self.centre_x[shower], place[:, 1] - self.centre_y[shower])
        self.radial = _filled(len(energies), shower, distance, radial_edges(geometry), energy)
        self.spectrum = _filled(len(energies), shower, np.log10(energy), spectrum_edges(threshold), None)


def _ratio(numerator: Floats, denominator: Floats) -> Floats:
    """Return the ratio, NaN where there is no energy."""
    return np.divide(numerator, denominator, out=np.full_like(numerator, np.nan), where=denominator > 0)


def _filled(events: int, event: Any, values: Floats, edges: Floats, weights: Floats | None) -> Floats:
    """Return what each event puts into each bin (events, bins); values outside go to the bin at the end."""
    bins = len(edges) - 1
    index = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, bins - 1)
    return np.bincount(event * bins + index, weights, events * bins).reshape(events, bins).astype(np.float64)
