"""Response and resolution of a calorimeter against the energy of the particle, source against generator."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hepml_root.errors import EmptySelectionError, SettingError
from hepml_root.evaluation.arrays import Bools, Floats, checked_vector
from hepml_root.evaluation.distances import positive_weights
from hepml_root.evaluation.estimate import ONE_SIGMA, central_interval, poisson_replicas, to_json

#: The issue's aims for a generator: response within 1 %, resolution within 5 % of the source.
AIMS = (0.01, 0.05)
_FEWEST = 20
_ROUNDING = 1e-6  # of an energy, relative


@dataclasses.dataclass(frozen=True)
class ResponseStudy:
    r"""Response and resolution in bins of the particle's energy (bins,).

    Attributes
    ----------
    edges
        Limits of the bins (bins, 2) in the particle's energy; both are the same for a single energy.
    energy
        Mean energy of the source's particles in each bin.
    response, response_error
        :math:`\langle E / E_0 \rangle` of source and generator (2, bins).
    resolution, resolution_error
        :math:`\sigma(E / E_0) / \langle E / E_0 \rangle` of source and generator (2, bins).
    response_ratio, response_ratio_error, resolution_ratio, resolution_ratio_error
        Generator over source (bins,).
    held_out
        Whether a bin's energies were left out of the training (bins,).
    showers
        Numbers of showers (2, bins).
    stochastic, noise, constant
        a [√GeV], b [GeV] and c of :math:`\sigma / E = a / \sqrt{E} \oplus b / E \oplus c`, of both
        (2,); NaN with fewer than three bins.
    """

    edges: Floats
    energy: Floats
    response: Floats
    response_error: Floats
    resolution: Floats
    resolution_error: Floats
    response_ratio: Floats
    response_ratio_error: Floats
    resolution_ratio: Floats
    resolution_ratio_error: Floats
    held_out: Bools
    showers: Floats
    stochastic: Floats
    noise: Floats
    constant: Floats

    def worst(self, held_out: bool | None = None) -> tuple[tuple[float, float], tuple[float, float]]:
        """Return the largest deviations of response and resolution from the source, each with its error.

        ``held_out`` asks for the bins left out of the training only (True), or for the others (False).
        """
        chosen = np.ones(len(self.energy), dtype=bool) if held_out is None else self.held_out == held_out
        found = []
        for ratio, error in (
            (self.response_ratio, self.response_ratio_error),
            (self.resolution_ratio, self.resolution_ratio_error),
        ):
            known = chosen & np.isfinite(ratio)
            if not known.any():
                found.append((float("nan"), float("nan")))
                continue
            at = int(np.argmax(np.abs(ratio[known] - 1.0)))
            found.append((float(ratio[known][at] - 1.0), float(error[known][at])))
        return found[0], found[1]

    def to_dict(self) -> dict[str, Any]:
        return to_json(self)


def study_response(
    source: tuple[ArrayLike, ArrayLike],
    generated: tuple[ArrayLike, ArrayLike],
    *,
    source_weights: ArrayLike | None = None,
    generated_weights: ArrayLike | None = None,
    bins: int = 8,
    held_out: Sequence[tuple[float, float]] = (),
    bootstrap: int = 100,
    seed: int = 1,
) -> ResponseStudy:
    """Return response and resolution of source and generator in bins of the particle's energy, with ratios.

    Where the source has at most twenty energies, each is a bin; else the bins are equal in the logarithm of
    the energy, and borders of ``held_out`` are borders of bins. In a bin E/E₀ is used, not E, so that the
    bin's width does not widen the distribution. Errors are from Poisson bootstraps.

    Arguments
    ---------
    source, generated
        Energy of the particles and energy in the calorimeter, each (showers,).
    source_weights, generated_weights
        Weights (showers,); 1 if None.
    bins
        How many, if energies are continuous.
    held_out
        Ranges (lowest, highest) of the particle's energy that the training did not see.
    bootstrap, seed
        Of the errors.

    Raises
    ------
    ShapeError, NonFiniteInputError, WeightError
        The arrays cannot be used.
    EmptySelectionError
        No energy has enough showers in both samples.
    SettingError
        A setting is out of range, or an energy is not positive.

    Reference: C. Fabjan and F. Gianotti, Rev. Mod. Phys. 75 (2003) 1243.

    Example
    -------
    >>> generator = np.random.default_rng(1)
    >>> energy = np.repeat([10.0, 40.0], 4000)
    >>> source, wider = (energy * (1 + width * generator.normal(size=8000)) for width in (0.10, 0.12))
    >>> study = study_response((energy, source), (energy, wider))
    >>> study.resolution_ratio.round(1)
    array([1.2, 1.2])
    """
    if bins < 1 or bootstrap < 2:
        raise SettingError(f"a response study needs bins ≥ 1 and bootstrap ≥ 2, got {bins} and {bootstrap}.")
    for low, high in held_out:
        if not 0 < low <= high:
            raise SettingError(f"held_out has ranges (lowest, highest) of energies; got ({low}, {high}).")
    samples = []
    for name, pair, weights in (
        ("source", source, source_weights),
        ("generated", generated, generated_weights),
    ):
        particle = checked_vector(f"the particle's energy ({name})", pair[0])
        seen = checked_vector(f"the energy in the calorimeter ({name})", pair[1], len(particle))
        if len(particle) == 0 or particle.min() <= 0:
            raise SettingError(f"{name}: particles need energies above 0.")
        samples.append(
            (particle, seen / particle, positive_weights(f"the {name} showers", weights, len(particle)))
        )
    edges = _edges(samples[0][0], bins, held_out)
    rows: list[dict[str, Any]] = []
    for number, (low, high) in enumerate(edges):
        inside = [_inside(particle, low, high, number == len(edges) - 1) for particle, _, _ in samples]
        if min(int(part.sum()) for part in inside) < _FEWEST:
            continue
        found = [
            _moments(ratio[part], w[part], bootstrap, seed + 2 * number + which)
            for which, ((_, ratio, w), part) in enumerate(zip(samples, inside, strict=True))
        ]
        if any(item is None for item in found):
            continue
        particle, _, w = samples[0]
        row: dict[str, Any] = {
            "edges": (low, high),
            "energy": float(w[inside[0]] @ particle[inside[0]] / w[inside[0]].sum()),
            "showers": [int(part.sum()) for part in inside],
            # Energies may have been float32: 45.1 is then a little less.
            "held_out": any(
                a * (1 - _ROUNDING) <= 0.5 * (low + high) <= b * (1 + _ROUNDING) for a, b in held_out
            ),
        }
        for place, key in enumerate(("response", "resolution")):
            values = [item[0][place] for item in found if item is not None]
            replicas = [item[1][:, place] for item in found if item is not None]
            row[key] = values
            row[f"{key}_error"] = [_half(column) for column in replicas]
            with np.errstate(divide="ignore", invalid="ignore"):  # a sample without any width has no ratio
                row[f"{key}_ratio"] = float(np.divide(values[1], values[0]))
                row[f"{key}_ratio_error"] = _half(replicas[1] / replicas[0])
        rows.append(row)
    if not rows:
        raise EmptySelectionError(
            f"no energy has {_FEWEST} showers in both samples: give showers of the same energies."
        )
    columns = {key: np.array([row[key] for row in rows]) for key in rows[0]}
    for key in ("response", "response_error", "resolution", "resolution_error", "showers"):
        columns[key] = columns[key].T.astype(np.float64)
    terms = np.array(
        [_terms(columns["energy"], columns["resolution"][k], columns["resolution_error"][k]) for k in (0, 1)]
    )
    return ResponseStudy(**columns, stochastic=terms[:, 0], noise=terms[:, 1], constant=terms[:, 2])


def _edges(energy: Floats, bins: int, held_out: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the limits of the bins; single energies have both limits the same."""
    distinct = np.unique(energy)
    if len(distinct) <= 20:
        return [(float(value), float(value)) for value in distinct]
    lowest, highest = float(distinct[0]), float(distinct[-1])
    edges = list(np.geomspace(lowest, highest, bins + 1))
    borders = [value for pair in held_out for value in pair if lowest < value < highest]
    for border in borders:
        # It takes the place of an edge that is near, so that no bin gets narrow, and of no other border.
        near = int(np.argmin(np.abs(np.log(np.array(edges) / border))))
        if 0 < near < len(edges) - 1 and border not in edges and edges[near] not in borders:
            edges[near] = border
        elif border not in edges:
            edges.append(border)
        edges.sort()
    return list(itertools.pairwise(edges))


def _inside(energy: Floats, low: float, high: float, last: bool) -> Bools:
    if low == high:
        return np.isclose(energy, low, rtol=_ROUNDING, atol=0.0)
    return (energy >= low) & ((energy <= high) if last else (energy < high))


def _moments(values: Floats, weights: Floats, bootstrap: int, seed: int) -> tuple[Floats, Floats] | None:
    """Return mean and relative width (2,), those of replicas (replicas, 2); None without a positive sum."""

    def figures(w: Floats) -> Floats:
        total = w.sum(axis=1)
        mean = w @ values / total
        # About the sample's mean, so that few digits are lost.
        offset = w @ (values - centre) / total
        variance = w @ (values - centre) ** 2 / total - offset**2
        size = total**2 / np.sum(w**2, axis=1)
        return np.stack([mean, np.sqrt(np.maximum(variance * size / (size - 1.0), 0.0)) / mean], axis=1)

    if not weights.sum() > 0:
        return None
    centre = float(weights @ values / weights.sum())
    if not centre > 0:
        return None
    value = figures(weights[None])[0]
    counts = [figures(block * weights) for block in poisson_replicas(len(values), bootstrap, seed)]
    return value, np.concatenate(counts)


def _half(replicas: Floats) -> float:
    low, high = central_interval(replicas[np.isfinite(replicas)], ONE_SIGMA)
    return 0.5 * float(high - low)


def _terms(energy: Floats, resolution: Floats, error: Floats) -> Floats:
    """Return a, b, c of the resolution: a non-negative least-squares fit of the squares."""
    from scipy.optimize import nnls

    if len(energy) < 3:
        return np.full(3, np.nan)
    weight = 1.0 / np.maximum(2.0 * resolution * error, 1e-12)
    columns = np.stack([1.0 / energy, 1.0 / energy**2, np.ones_like(energy)], axis=1)
    squares, _ = nnls(columns * weight[:, None], resolution**2 * weight)
    return np.sqrt(squares)
