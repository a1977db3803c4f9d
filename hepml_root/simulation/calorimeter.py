"""Showers of photons and electrons in calorimeters, by the parametrisation of hep-ex/0001020."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hepml_root.data.geometry import Geometry, geometry
from hepml_root.data.shower_conditions import check_labels
from hepml_root.data.showers import Showers
from hepml_root.data.split import check_seed
from hepml_root.errors import NonFiniteInputError, SettingError, ShapeError, unknown
from hepml_root.simulation.shower_profiles import (
    Constants,
    average_profile,
    deposited,
    fluctuations,
    number_of_spots,
    radial_profile,
    relative_depth,
    spot_profile,
)
from hepml_root.simulation.shower_spots import MORE_SPOTS, Spots

PARTICLES = ("photon", "electron")
SPECTRA = ("uniform", "log")
# [GeV] The range of the showers that the parametrisation was fitted to, and that it is used for in practice.
ENERGIES = (1.0, 1000.0)
# Showers that are made at once, with random numbers of their own.
BLOCK = 64
LARGEST_ANGLE = 1.2

# Steps along the shower are at most so long [X0], and photons convert after 9/7 X0 on the mean.
_STEP = 1.0
_CONVERSION = 9 / 7
# Energy [GeV] of the shower whose profile says what each layer's material counts for in the whole.
_TYPICAL = 30.0


@dataclass(frozen=True)
class _Steps:
    """Steps along the depth at normal incidence: where they are and what is there.

    Attributes
    ----------
    edges:
        Depths [X0] at which profiles are needed, (edges,).
    first, last:
        For each step, which of them it is between, (steps,).
    layer:
        Number of its layer, (steps,), ascending.
    depth, extent:
        Middle of a step, and within what the active plates are around it [mm], (steps,).
    local, moliere_radius, resolution, response:
        Of each step: constants of its medium, R_M [mm], the layer's c, and what its energy is read as.
    whole, critical_energy:
        Of the calorimeter; E_c in GeV.
    """

    edges: NDArray[np.float64]
    first: NDArray[np.intp]
    last: NDArray[np.intp]
    layer: NDArray[np.intp]
    depth: NDArray[np.float64]
    extent: NDArray[np.float64]
    local: Constants
    moliere_radius: NDArray[np.float64]
    resolution: NDArray[np.float64]
    response: NDArray[np.float64]
    whole: Constants
    critical_energy: float


@lru_cache(maxsize=8)
def _steps(chosen: Geometry) -> _Steps:
    # Per layer: number of steps, and half a pair of plates, by which what an active plate sees is further on.
    media = [layer.medium for layer in chosen.layers]
    lengths = np.diff(chosen.edges)
    gaps = np.array([layer.gaps for layer in chosen.layers])
    behind = np.array([0.5 if layer.passive else 0.0 for layer in chosen.layers]) / gaps
    counts = np.maximum(np.ceil(lengths / _STEP), 1).astype(int)
    counts = np.where(behind > 0, np.minimum(counts, gaps), counts)
    layer = np.repeat(np.arange(len(counts)), counts)
    number = np.arange(len(layer)) - np.repeat(np.cumsum(counts) - counts, counts)

    def of_layer(values: Any) -> NDArray[np.float64]:
        return np.asarray(values, dtype=float)[layer]

    begin = chosen.edges[layer] + lengths[layer] * (number / counts[layer] + behind[layer])
    end = chosen.edges[layer] + lengths[layer] * ((number + 1) / counts[layer] + behind[layer])
    edges, places = np.unique(np.concatenate([begin, end]).round(9), return_inverse=True)
    thickness = of_layer([one.thickness for one in chosen.layers])
    front = of_layer(np.cumsum([0.0, *(one.thickness for one in chosen.layers[:-1])]))
    visible = chosen.scale == "visible"
    whole, critical_energy = _whole(chosen)
    return _Steps(
        edges=edges,
        first=places[: len(layer)],
        last=places[len(layer) :],
        layer=layer,
        depth=front + thickness * ((number + 0.5) / counts[layer] + behind[layer]),
        extent=np.where((counts == gaps) & (behind > 0), 0.0, 1.0)[layer] * thickness / counts[layer],
        local=Constants(
            of_layer([one.atomic_number for one in media]),
            of_layer([1 / one.sampling_frequency for one in media]),
            of_layer([one.electron_to_mip for one in media]),
        ),
        moliere_radius=of_layer([one.moliere_radius for one in media]),
        resolution=of_layer([one.resolution for one in chosen.layers]),
        response=of_layer([one.sampling_fraction if visible else 1.0 for one in media]),
        whole=whole,
        critical_energy=critical_energy,
    )


def _whole(chosen: Geometry) -> tuple[Constants, float]:
    """Means over the layers, weighted with what a typical shower leaves in each; E_c in GeV."""
    media = [layer.medium for layer in chosen.layers]
    values = np.array(
        [
            (one.atomic_number, 1 / one.sampling_frequency, one.electron_to_mip, one.critical_energy)
            for one in media
        ]
    )
    weights = np.diff(chosen.edges)
    for _ in range(2):  # from a mean over the depth to one over the shower
        *constants, critical_energy = (float(mean) for mean in np.average(values, axis=0, weights=weights))
        whole = Constants(*constants)
        profile = average_profile(np.log(_TYPICAL / (critical_energy * 1e-3)), whole)
        weights = np.diff(deposited(chosen.edges, *profile))
    return whole, critical_energy * 1e-3


def showers(
    calorimeter: str | Geometry,
    events: int,
    *,
    energy: float | tuple[float, float] = (10.0, 100.0),
    particle: str = "photon",
    spectrum: str = "uniform",
    seed: int = 1,
    **others: float | tuple[float, float],
) -> Showers:
    """Simulate showers of particles whose energies, positions and directions are drawn.

    A smaller number of showers is the beginning of a larger one with the same seed.

    Arguments
    ---------
    calorimeter:
        A geometry with known materials, or the name of a shipped one.
    events:
        Number of showers.
    energy:
        Range (least, largest), or one energy of all [GeV].
    particle:
        "photon" or "electron".
    spectrum:
        "uniform" in the energy, or "log": uniform in its logarithm.
    seed:
        Any whole number from 0.
    others:
        Ranges, drawn from uniformly, or numbers for "x", "y" [mm], "angle" [rad] or "eta"; those that are
        given become conditions of the showers.

    Raises
    ------
    SettingError
        As for :func:`simulate_showers`; or a range that does not ascend, or a number of events below 1.

    Example
    -------
    >>> showers("si-w-10", 100, energy=(10, 100), x=(-5, 5)).labels
    ('energy', 'x')
    """
    if isinstance(events, bool) or int(events) != events or events < 1:
        raise SettingError(f"events must be a whole number from 1; got {events!r}.")
    if spectrum not in SPECTRA:
        raise SettingError(unknown("spectrum", str(spectrum), SPECTRA))
    check_seed(seed)
    ranges = {label: _range(label, given) for label, given in {"energy": energy, **others}.items()}
    check_labels(tuple(ranges))
    # Whole blocks, so that the showers of the last one are the same in a longer sample.
    rows = -(-int(events) // BLOCK) * BLOCK
    random = np.random.default_rng(np.random.SeedSequence([seed, 2**32]))
    drawn = random.random((rows, len(ranges)))
    for number, (label, (least, largest)) in enumerate(ranges.items()):
        if label == "energy" and spectrum == "log":
            drawn[:, number] = least * (largest / least) ** drawn[:, number]
        else:
            drawn[:, number] = least + (largest - least) * drawn[:, number]
    made = simulate_showers(calorimeter, drawn, tuple(ranges), particle=particle, seed=seed)[: int(events)]
    made.provenance["ranges"] = {label: list(one) for label, one in ranges.items()}
    made.provenance["spectrum"] = spectrum
    return made


def _range(label: str, given: Any) -> tuple[float, float]:
    ends = np.asarray(given, dtype=float) if not isinstance(given, str) else np.array([np.nan] * 2)
    ends = np.repeat(ends, 2) if ends.ndim == 0 else ends
    positive = label != "energy" or ends[:1] > 0
    if ends.shape != (2,) or not np.isfinite(ends).all() or ends[0] > ends[1] or not positive:
        raise SettingError(
            f"{label}={given!r}: give a number or a range (least, largest)"
            + (", above 0." if label == "energy" else ".")
        )
    return float(ends[0]), float(ends[1])


def simulate_showers(
    calorimeter: str | Geometry,
    conditions: ArrayLike,
    labels: Sequence[str] = ("energy",),
    *,
    particle: str = "photon",
    seed: int = 1,
) -> Showers:
    """Simulate one shower for each given particle.

    A photon converts after a depth that is exponential with the mean 9/7 X0, into an electron and a positron,
    which share its energy as a fraction u with dN/du ∝ 1 - 4/3 u (1 - u). Each of them makes a shower by the
    parametrisation (:mod:`hepml_root.simulation.shower_profiles`):

    1. T and α are drawn, correlated; the energy in each step of the depth follows.
    2. Sampling fluctuations: the energy dE of a step becomes gamma distributed, with the mean dE and the
       variance c² dE.
    3. The energy of a step is shared by spots with exponential energies, twice as many as the N spots of
       equal energy of the parametrisation, which gives the same fluctuations of radial profiles. Their
       number is Poisson distributed and follows the sampling fluctuations.
    4. Each spot has a distance to the axis from the core or from the tail, r = R √(v/(1-v)) (equation 28),
       and falls into a cell, or beside the calorimeter.

    On the scale "visible", the energies are multiplied with the layers' sampling fractions. A layer counts
    the shower at the depth of its active plates. Cells below the threshold of the geometry read 0.

    Hadrons are not in this parametrisation.

    Arguments
    ---------
    calorimeter:
        A geometry with known materials, or the name of a shipped one.
    conditions:
        (showers, conditions), or (showers,): "energy" [GeV], from 1 to 1000; "x", "y" [mm], where the
        particle meets the front face; "angle" [rad] between its direction and the normal, towards +x; or
        instead "eta", its pseudorapidity, in a calorimeter that is parallel to the beam:
        tan(angle) = sinh(eta).
    labels:
        What the conditions are.
    particle:
        "photon" or "electron" (or positron).
    seed:
        The same conditions and seed give the same showers.

    Returns
    -------
    Showers
        (showers, cells) [GeV].

    Raises
    ------
    SettingError
        An energy, a position or an angle out of range, an unknown particle, label or geometry, or a geometry
        whose materials are not known.
    ShapeError, NonFiniteInputError
        Conditions that do not fit the labels, or are no numbers.

    Reference
    ---------
    Grindhammer and Peters, The Parameterized Simulation of Electromagnetic Showers in Homogeneous and
    Sampling Calorimeters, hep-ex/0001020.

    Example
    -------
    >>> showers = simulate_showers("lar-3", [10.0, 20.0, 50.0], seed=1)
    >>> showers
    3 showers in lar-3 (504 cells); energy 10 to 50 GeV
    >>> bool(abs(showers.total_energies()[2] / 50 - 1) < 0.1)
    True
    """
    chosen = geometry(calorimeter)
    check_particle(particle)
    values, labels, table = check_request(chosen, conditions, labels, seed)
    energies = np.zeros((len(values), chosen.cells), dtype=np.float32)
    for number, first in enumerate(range(0, len(values), BLOCK)):
        part = {label: column[first : first + BLOCK] for label, column in table.items()}
        random = np.random.Generator(np.random.SFC64(np.random.SeedSequence([seed, number])))
        _fill(energies[first : first + BLOCK], chosen, part, particle, random)
    made = {"source": "parametrisation hep-ex/0001020", "particle": particle, "seed": int(seed)}
    return Showers(energies, values, chosen, labels, provenance=made)


def check_request(
    chosen: Geometry, conditions: ArrayLike, labels: Sequence[str], seed: int
) -> tuple[NDArray[np.float64], tuple[str, ...], dict[str, NDArray[np.float64]]]:
    """Return conditions (showers, conditions), labels, and {label: (showers,)}, checked.

    See :func:`simulate_showers` for the errors.
    """
    labels = (labels,) if isinstance(labels, str) else tuple(labels)
    values = np.asarray(conditions, dtype=np.float64)
    values = values[:, None] if values.ndim == 1 else values
    check_labels(labels)
    if values.ndim != 2 or values.shape[1] != len(labels):
        raise ShapeError(
            f"the conditions have the shape {values.shape}; the labels {', '.join(labels)} need "
            f"(showers, {len(labels)})."
        )
    check_seed(seed)
    table = dict(zip(labels, values.T, strict=True))
    _check_conditions(table)
    _check_positions(table, chosen)
    return values, labels, table


def check_particle(particle: str) -> None:
    """Raise SettingError unless the parametrisation has this particle."""
    if particle in ("pion", "hadron", "proton", "neutron", "kaon", "pi+", "pi-"):
        raise SettingError(
            f"particle='{particle}': the parametrisation hep-ex/0001020 is of electromagnetic showers. "
            f"Available: {', '.join(PARTICLES)}."
        )
    if particle not in PARTICLES:
        raise SettingError(unknown("particle", str(particle), PARTICLES))


def _check_conditions(table: Mapping[str, NDArray[np.float64]]) -> None:
    for label, column in table.items():
        if not np.isfinite(column).all():
            raise NonFiniteInputError(f"the condition '{label}' has NaN or infinity.")
    if "eta" in table and "angle" in table:
        raise SettingError("'eta' and 'angle' say the same: give one of them.")
    energy = table["energy"]
    if len(energy) and not (energy.min() >= ENERGIES[0] and energy.max() <= ENERGIES[1]):
        raise SettingError(
            f"energies from {energy.min():g} to {energy.max():g} GeV: showers are simulated from "
            f"{ENERGIES[0]:g} to {ENERGIES[1]:g} GeV."
        )
    angle = np.abs(particle_angles(table))
    if angle.max(initial=0.0) > LARGEST_ANGLE:
        raise SettingError(
            f"an angle of {angle.max():.3g} rad to the normal is more than the {LARGEST_ANGLE} rad up to "
            "which a shower crosses the layers one after the other."
        )


def _check_positions(table: Mapping[str, NDArray[np.float64]], chosen: Geometry) -> None:
    origin = np.zeros(len(table["energy"]))
    x, y = table.get("x", origin), table.get("y", origin)
    beside = np.flatnonzero(chosen.layers[0].segmentation.locate(x, y) < 0)
    if len(beside):
        raise SettingError(
            f"{len(beside)} particles do not meet the front face of '{chosen.name}', the first of them at "
            f"x = {x[beside[0]]:g} mm, y = {y[beside[0]]:g} mm."
        )


def particle_angles(table: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the angle of each particle to the normal of the front face [rad], from "angle" or "eta"."""
    if "eta" in table:
        return np.arctan(np.sinh(table["eta"]))
    return np.asarray(table.get("angle", np.zeros(len(table["energy"]))))


def _fill(
    energies: NDArray[np.float32],
    chosen: Geometry,
    table: Mapping[str, NDArray[np.float64]],
    particle: str,
    random: np.random.Generator,
) -> None:
    """Make the showers of one block; ``energies`` (showers, cells) are zeros that are filled."""
    steps = _steps(chosen)
    owner, energy, start = _electrons(table["energy"], particle, random)
    slant = 1 / np.cos(particle_angles(table))
    # All that follows is (electrons, steps); depths are along the direction of the particle.
    stretch = slant[owner][:, None]
    edges = steps.edges * stretch - start[:, None]
    ln_energy = np.log(energy)
    spread = fluctuations(ln_energy - np.log(steps.critical_energy), steps.whole)
    drawn = spread.draw(random.standard_normal(len(energy)), random.standard_normal(len(energy)))
    maximum, alpha = (one[:, None] for one in drawn)
    mean = energy[:, None] * _between(steps, deposited(edges, maximum, alpha))
    lost = _sampled(mean, np.square(steps.resolution) * stretch, random)
    # Plates that are crossed at an angle are thicker.
    local = dataclasses.replace(steps.local, plates=steps.local.plates * stretch)
    middle = (edges[:, steps.first] + edges[:, steps.last]) / 2
    tau = relative_depth(middle, maximum, alpha, spread.ln_alpha[:, None])
    radial = radial_profile(np.maximum(tau, 0.0), ln_energy[:, None], local)
    spots = number_of_spots(energy[:, None], steps.whole, steps.resolution)
    spots = spots * _between(steps, deposited(edges, *spot_profile(maximum, alpha, steps.whole)))
    # As many spots as there is energy: what fluctuates is the number of particles that cross the plates.
    spots *= MORE_SPOTS * np.divide(lost, mean, out=np.zeros_like(lost), where=mean > 0)
    counts = np.where(lost > 0, np.maximum(random.poisson(spots), 1), 0)
    showers = Spots(
        owner=owner,
        energy=lost * steps.response,
        in_core=random.binomial(counts, radial.weight),
        counts=counts,
        core=(radial.core * steps.moliere_radius).astype(np.float32),
        tail=(radial.tail * steps.moliere_radius).astype(np.float32),
        x=table.get("x", np.zeros(len(energies))),
        y=table.get("y", np.zeros(len(energies))),
        slant=slant,
        tangent=np.tan(particle_angles(table)),
    )
    for number, layer in enumerate(chosen.layers):
        here = slice(*np.searchsorted(steps.layer, [number, number + 1]))
        cells = showers.cells(layer.segmentation, here, steps.depth, steps.extent, random)
        np.multiply(
            cells, cells >= chosen.threshold, out=energies[:, chosen.slices[number]], casting="same_kind"
        )


def _electrons(
    energy: NDArray[np.float64], particle: str, random: np.random.Generator
) -> tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.float64]]:
    """Electrons and positrons that shower: number of the particle they come from, energy, start [X0]."""
    owner = np.arange(len(energy))
    if particle == "electron":
        return owner, energy, np.zeros(len(energy))
    start = random.exponential(_CONVERSION, len(energy))
    # 1 - 4/3 u (1 - u) is (2 + v²)/3 with v = 2u - 1: 6/7 of it uniform, 1/7 as v².
    v = random.uniform(-1, 1, len(energy))
    v = np.where(random.random(len(energy)) < 6 / 7, v, np.cbrt(v))
    # An electron has its mass at least.
    share = np.clip((1 + v) / 2, 1e-3, 1 - 1e-3)
    return (
        np.concatenate([owner, owner]),
        np.concatenate([energy * share, energy * (1 - share)]),
        np.concatenate([start, start]),
    )


def _between(steps: _Steps, up_to: NDArray[np.float64]) -> NDArray[np.float64]:
    """What is in each step, of what is in front of the edges: (electrons, edges) to (electrons, steps)."""
    return np.asarray(up_to[:, steps.last] - up_to[:, steps.first])


def _sampled(
    energy: NDArray[np.float64], variance: NDArray[np.float64], random: np.random.Generator
) -> NDArray[np.float64]:
    """Energy E with sampling fluctuations: gamma distributed, with mean E and variance c² E [GeV]."""
    if not variance.any():
        return energy
    # Of the layers of a calorimeter some may sample and others not.
    samples = variance > 0
    shape = np.divide(energy, variance, out=np.zeros_like(energy), where=samples)
    return np.where(samples, random.standard_gamma(shape) * variance, energy)
