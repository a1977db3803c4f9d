"""A parametrised detector: what a general-purpose LHC experiment would have seen of a collision, vectorised.

Tracks with an efficiency and a resolution, calorimeter cells with a resolution, their combination into
energy-flow objects, isolated leptons and photons, missing transverse momentum, b-tagging. The scheme is that
of Delphes (arXiv:1307.6346), the default numbers are like those of its CMS card; the code is independent.
There are no showers, no vertices, no trigger, no pile-up: see ``docs/simulation.md`` for what it is not.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from hepml_root.errors import SettingError
from hepml_root.simulation.energy_flow import Cells, Excess, bending, cell_excess, log_normal
from hepml_root.simulation.isolation import relative_isolation

Floats = NDArray[np.float64]

PION, ELECTRON, MUON = 0.13957, 0.000511, 0.10566  # masses in GeV
_INVISIBLE = (12, 14, 16, 1000022, 1000039)
# Tables with one row for each range of |η|, and the parameter with the ranges.
_ROWS = {
    "hadron_efficiency": "track_eta",
    "electron_efficiency": "track_eta",
    "muon_efficiency": "track_eta",
    "hadron_resolution": "resolution_eta",
    "electron_resolution": "resolution_eta",
    "muon_resolution": "resolution_eta",
}
_ANY_LENGTH = ("track_eta", "resolution_eta", "ecal_cells", "hcal_cells")


def parameter(default: Any, meaning: str, unit: str = "") -> Any:
    """Declare one parameter of the detector, with its row in the table."""
    return field(default=default, metadata={"meaning": meaning, "unit": unit})


class Response(NamedTuple):
    """What the detector has of a batch of collisions; all arrays are ``(events, objects)``, by falling pt.

    Attributes
    ----------
    flow
        Energy-flow objects: tracks and what the calorimeters have beyond them. Fields ``pt``, ``mass`` [GeV],
        ``eta``, ``phi`` [rad], ``charge`` [e], ``pdg`` (±211 charged hadron, ±11, ±13, 22 photon, 130 neutral
        hadron) and ``index``: the row of a track's particle in the input, -1 for calorimeter objects.
    electrons, muons, photons
        Identified ones, with the same fields and ``isolation`` (sum of pt around it, by its pt).
    missing_pt, missing_phi
        Missing transverse momentum ``(events,)`` [GeV], [rad].
    """

    flow: ak.Array
    electrons: ak.Array
    muons: ak.Array
    photons: ak.Array
    missing_pt: Floats
    missing_phi: Floats


@dataclass(frozen=True)
class Detector:
    """A parametrised detector with tracker, magnet, electromagnetic and hadronic calorimeter.

    Formulas, with E, pt in GeV: a track's resolution is σ(pt)/pt = sqrt(a² + (b pt)²); a cell's is σ(E) =
    f(η) sqrt((c E)² + s² E + n²), with f = 1 except in the electromagnetic barrel and endcap; what is
    measured is log-normal with that mean and width. The excess of a cell over the tracks that point to it
    becomes a photon (electromagnetic) or a neutral hadron (hadronic) if it is larger than a threshold and
    than so many σ. An electron is measured by tracker and calorimeter together.

    Every parameter is a field; :meth:`table` lists them. Tables of numbers have a row for each range of |η|.

    Raises
    ------
    SettingError
        A table has more or fewer rows than there are ranges of |η|, or a formula more or fewer numbers.

    Example
    -------
    >>> Detector().magnetic_field
    3.8
    >>> Detector(magnetic_field=2.0).table().splitlines()[0]
    '| parameter | value | unit | meaning |'
    """

    magnetic_field: float = parameter(3.8, "solenoid's field", "T")
    tracker_radius: float = parameter(1.29, "radius of the calorimeters' surface", "m")
    tracker_half_length: float = parameter(3.0, "half length of the tracker", "m")
    track_pt_min: float = parameter(0.1, "no track below", "GeV")
    track_eta: tuple[float, ...] = parameter((1.5, 2.5), "upper ends of the ranges of |η| for efficiencies")
    hadron_efficiency: tuple[tuple[float, float], ...] = parameter(
        ((0.70, 0.95), (0.60, 0.85)), "tracks of charged hadrons found, below and above 1 GeV"
    )
    electron_efficiency: tuple[tuple[float, float, float], ...] = parameter(
        ((0.73, 0.95, 0.99), (0.50, 0.83, 0.90)),
        "tracks of electrons found, below 1, below and above 100 GeV",
    )
    muon_efficiency: tuple[tuple[float, float], ...] = parameter(
        ((0.75, 0.99), (0.70, 0.98)), "tracks of muons found, below and above 1 GeV"
    )
    resolution_eta: tuple[float, ...] = parameter((0.5, 1.5, 2.5), "upper ends of |η| for track resolutions")
    hadron_resolution: tuple[tuple[float, float], ...] = parameter(
        ((0.01, 1.5e-4), (0.015, 2.5e-4), (0.025, 5.5e-4)), "charged hadrons: a, b", "1, 1/GeV"
    )
    electron_resolution: tuple[tuple[float, float], ...] = parameter(
        ((0.03, 1.3e-3), (0.05, 1.7e-3), (0.15, 3.1e-3)), "electrons, tracker alone: a, b", "1, 1/GeV"
    )
    muon_resolution: tuple[tuple[float, float], ...] = parameter(
        ((0.01, 1.0e-4), (0.015, 1.5e-4), (0.025, 3.5e-4)), "muons: a, b", "1, 1/GeV"
    )
    ecal_cells: tuple[tuple[float, int, int], ...] = parameter(
        ((3.0, 172, 360), (5.0, 12, 36)), "electromagnetic cells: up to |η|, number in |η|, number in φ"
    )
    hcal_cells: tuple[tuple[float, int, int], ...] = parameter(
        ((1.74, 20, 72), (3.0, 8, 36), (5.0, 12, 36)), "hadronic cells: up to |η|, number in |η|, number in φ"
    )
    ecal_resolution: tuple[float, float, float] = parameter(
        (0.008, 0.11, 0.40), "electromagnetic, |η| < 2.5: c, s, n", "1, √GeV, GeV"
    )
    ecal_barrel_slope: float = parameter(0.64, "f = 1 + slope η² for |η| < 1.5")
    ecal_endcap_shape: tuple[float, float] = parameter(
        (2.16, 5.6), "f = p + q (|η| - 2)² for 1.5 < |η| < 2.5"
    )
    ecal_forward_resolution: tuple[float, float, float] = parameter(
        (0.107, 2.08, 0.0), "electromagnetic, |η| > 2.5: c, s, n", "1, √GeV, GeV"
    )
    hcal_resolution: tuple[float, float, float] = parameter(
        (0.05, 1.5, 0.0), "hadronic, |η| < 3: c, s, n", "1, √GeV, GeV"
    )
    hcal_forward_resolution: tuple[float, float, float] = parameter(
        (0.13, 2.7, 0.0), "hadronic, |η| > 3: c, s, n", "1, √GeV, GeV"
    )
    ecal_min: float = parameter(0.5, "least excess of an electromagnetic cell", "GeV")
    hcal_min: float = parameter(1.0, "least excess of a hadronic cell", "GeV")
    significance_min: float = parameter(2.0, "least excess of a cell", "σ(E)")
    strange_ecal_fraction: float = parameter(
        0.3, "part of a K0S's or Λ's energy in the electromagnetic cells"
    )
    lepton_pt_min: float = parameter(10.0, "identified leptons and photons: least pt", "GeV")
    lepton_eta: tuple[float, float] = parameter((1.5, 2.5), "their ranges of |η|")
    electron_identification: tuple[float, float] = parameter((0.95, 0.85), "electrons identified, of tracks")
    muon_identification: tuple[float, float] = parameter((0.95, 0.95), "muons identified, of tracks")
    photon_identification: tuple[float, float] = parameter((0.95, 0.85), "photons identified")
    isolation_radius: float = parameter(0.5, "ΔR in which pt is summed for the isolation")
    isolation_pt_min: float = parameter(0.5, "objects below do not count for the isolation", "GeV")
    b_efficiency: tuple[float, float, float, float] = parameter(
        (0.85, 0.0025, 25.0, 0.063), "b jets tagged: p tanh(q pt) r / (1 + s pt)", "1, 1/GeV, 1, 1/GeV"
    )
    c_mistag: tuple[float, float, float] = parameter(
        (0.25, 0.018, 0.0013), "c jets tagged: p tanh(q pt) / (1 + r pt)", "1, 1/GeV, 1/GeV"
    )
    light_mistag: tuple[float, float] = parameter((0.01, 3.8e-5), "other jets tagged: p + q pt", "1, 1/GeV")
    b_tag_eta: float = parameter(2.5, "no b-tags beyond |η|")

    def __post_init__(self) -> None:
        for one in dataclasses.fields(self):
            value, ranges = getattr(self, one.name), _ROWS.get(one.name)
            if not isinstance(value, tuple) or one.name in _ANY_LENGTH:
                continue
            like: Any = one.default if ranges is None else getattr(self, ranges)
            expected = len(like)
            if len(value) != expected:
                wanted = f"one for each range in '{ranges}'" if ranges else one.metadata["meaning"]
                raise SettingError(
                    f"parameter '{one.name}' of the detector has {len(value)} entries; it takes {expected}: "
                    f"{wanted}."
                )

    @classmethod
    def perfect(cls) -> Detector:
        """Return a detector without field, losses, thresholds and resolution; cells and ranges remain."""
        ones = ((1.0, 1.0), (1.0, 1.0))
        exact, none = ((0.0, 0.0),) * 3, (0.0, 0.0, 0.0)
        return cls(
            magnetic_field=0.0, track_pt_min=0.0, hadron_efficiency=ones, muon_efficiency=ones,
            electron_efficiency=((1.0,) * 3,) * 2, hadron_resolution=exact, electron_resolution=exact,
            muon_resolution=exact, ecal_resolution=none, ecal_forward_resolution=none, hcal_resolution=none,
            hcal_forward_resolution=none, ecal_min=0.0, hcal_min=0.0, significance_min=0.0,
            electron_identification=(1.0, 1.0), muon_identification=(1.0, 1.0),
            photon_identification=(1.0, 1.0),
        )  # fmt: skip

    def table(self) -> str:
        """Return all parameters as a table in Markdown."""
        lines = ["| parameter | value | unit | meaning |", "|---|---|---|---|"]
        for one in dataclasses.fields(self):
            value, unit, meaning = getattr(self, one.name), one.metadata["unit"], one.metadata["meaning"]
            # A bar would end the cell.
            lines.append(f"| `{one.name}` | {_text(value)} | {unit} | {meaning} |".replace("|η|", "\\|η\\|"))
        return "\n".join(lines)

    # ------------------------------------------------------------------------------- the response to events

    def respond(self, particles: ak.Array, random: np.random.Generator) -> Response:
        """Return what the detector has of the particles ``(events, particles)`` that leave a collision.

        ``particles`` are those of :attr:`Batch.final`: ``pt``, ``mass`` [GeV], ``eta``, ``phi`` [rad],
        ``charge``, ``pdg``; others of their fields are not used. The same generator in the same state gives
        the same response. Particles without a known interaction (neutrinos, neutralino, gravitino) are not
        seen.
        """
        objects = self.flow(particles, random)
        electrons, muons, photons = (self.identify(objects, kind, random) for kind in (11, 13, 22))
        return Response(objects, electrons, muons, photons, *missing_momentum(objects))

    def flow(self, particles: ak.Array, random: np.random.Generator) -> ak.Array:
        """Return only the energy-flow objects of :meth:`respond`: the same ones, in less time."""
        sizes = ak.to_numpy(ak.num(particles))
        flat = _flat(particles, sizes)
        tracks = self._tracks(flat, random)
        return _Objects.join([tracks, *self._towers(flat, tracks, random)]).jagged(sizes)

    def calorimeter(self, particles: ak.Array, random: np.random.Generator) -> ak.Array:
        """Return all that the calorimeter's cells measure, whether or not tracks account for it.

        ``(events, cells)`` by falling transverse energy: ``pt`` (the transverse energy) [GeV], ``eta`` and
        ``phi`` [rad] of the cell's centre, ``pdg`` 22 for electromagnetic and 130 for hadronic cells. Cells
        below ``ecal_min`` and ``hcal_min`` are left out; muons leave nothing.
        """
        sizes = ak.to_numpy(ak.num(particles))
        flat = _flat(particles, sizes)
        cells = self._cells(flat, np.zeros(len(flat.pt)), 0.0, random)
        return _Objects.join(cells).jagged(sizes)

    def track_efficiency(self, pt: Floats, eta: Floats, pdg: NDArray[Any]) -> Floats:
        """Return the probability that a charged particle's track is found."""
        row = np.searchsorted(self.track_eta, np.abs(eta))
        inside = (row < len(self.track_eta)) & (pt > self.track_pt_min)
        row = np.minimum(row, len(self.track_eta) - 1)
        above = (pt > 1).astype(int)
        kind = np.abs(pdg)
        efficiency = np.array(self.hadron_efficiency)[row, above]
        efficiency = np.where(kind == 13, np.array(self.muon_efficiency)[row, above], efficiency)
        electrons = np.array(self.electron_efficiency)[row, above + (pt > 100)]
        return np.where(inside, np.where(kind == 11, electrons, efficiency), 0.0)

    def track_resolution(self, pt: Floats, eta: Floats, pdg: NDArray[Any]) -> Floats:
        """Return σ(pt)/pt; for electrons, of tracker and calorimeter together."""
        row = np.minimum(np.searchsorted(self.resolution_eta, np.abs(eta)), len(self.resolution_eta) - 1)

        def tracker(table: tuple[tuple[float, float], ...]) -> Floats:
            a, b = np.array(table)[row].T
            return np.hypot(a, b * pt)

        kind = np.abs(pdg)
        energy = pt * np.cosh(eta)
        electrons = _combined(tracker(self.electron_resolution), self.ecal_sigma(energy, eta) / energy)
        others = np.where(kind == 13, tracker(self.muon_resolution), tracker(self.hadron_resolution))
        return np.where(kind == 11, electrons, others)

    def ecal_sigma(self, energy: Floats, eta: Floats) -> Floats:
        """Return the width of the measured energy [GeV] in electromagnetic cells."""
        size = np.abs(eta)
        p, q = self.ecal_endcap_shape
        shape = np.where(size < 1.5, 1 + self.ecal_barrel_slope * size**2, p + q * (size - 2) ** 2)
        central, forward = _sigma(energy, self.ecal_resolution), _sigma(energy, self.ecal_forward_resolution)
        return np.where(size < 2.5, shape * central, forward)

    def hcal_sigma(self, energy: Floats, eta: Floats) -> Floats:
        """Return the width of the measured energy [GeV] in hadronic cells."""
        central, forward = _sigma(energy, self.hcal_resolution), _sigma(energy, self.hcal_forward_resolution)
        return np.where(np.abs(eta) < 3, central, forward)

    def b_tag_probability(self, pt: Floats, eta: Floats, flavour: NDArray[Any]) -> Floats:
        """Return the probability that a jet is tagged; ``flavour`` 5 for b, 4 for c, anything else for light.

        The parametrisation of arXiv:1211.4462 as in the CMS card of Delphes.
        """
        p, q, r, s = self.b_efficiency
        b = p * np.tanh(q * pt) * r / (1 + s * pt)
        p, q, r = self.c_mistag
        c = p * np.tanh(q * pt) / (1 + r * pt)
        light = self.light_mistag[0] + self.light_mistag[1] * pt
        flavour = np.abs(flavour)
        probability = np.where(flavour == 5, b, np.where(flavour == 4, c, light))
        return np.where(np.abs(eta) < self.b_tag_eta, np.clip(probability, 0, 1), 0.0)

    def b_tag(
        self, pt: Floats, eta: Floats, flavour: NDArray[Any], random: np.random.Generator
    ) -> NDArray[np.bool_]:
        """Return which of the jets (flat arrays) are tagged as b jets."""
        return random.random(len(pt)) < self.b_tag_probability(pt, eta, flavour)

    # ------------------------------------------------------------------------------------------- its parts

    def _tracks(self, flat: _Objects, random: np.random.Generator) -> _Objects:
        charged = flat.take(np.flatnonzero((flat.charge != 0) & ~np.isin(np.abs(flat.pdg), _INVISIBLE)))
        found = random.random(len(charged.pt)) < self.track_efficiency(charged.pt, charged.eta, charged.pdg)
        tracks = charged.take(np.flatnonzero(found))
        kind = np.abs(tracks.pdg)
        relative = self.track_resolution(tracks.pt, tracks.eta, tracks.pdg)
        pt = log_normal(tracks.pt, relative * tracks.pt, random)
        leptons = (kind == 11) | (kind == 13)
        return dataclasses.replace(
            tracks,
            pt=pt,
            mass=np.where(kind == 11, ELECTRON, np.where(kind == 13, MUON, PION)),
            charge=np.sign(tracks.charge),
            pdg=np.where(leptons, tracks.pdg, 211 * np.sign(tracks.charge).astype(int)),
        )

    def _towers(self, flat: _Objects, tracks: _Objects, random: np.random.Generator) -> list[_Objects]:
        """Return photons and neutral hadrons: what is in the cells beyond the tracks."""
        # Where the found tracks point to, and what they account for.
        measured = np.zeros(len(flat.pt))
        measured[tracks.index] = np.hypot(tracks.pt * np.cosh(tracks.eta), tracks.mass)
        return self._cells(flat, measured, self.significance_min, random)

    def _cells(
        self, flat: _Objects, measured: Floats, significance: float, random: np.random.Generator
    ) -> list[_Objects]:
        """Return electromagnetic and hadronic cells above threshold, beyond what tracks account for."""
        kind = np.abs(flat.pdg)
        visible = ~np.isin(kind, (*_INVISIBLE, 13)) & (np.abs(flat.eta) < 5)
        shift, reaches = bending(
            flat.pt, flat.eta, flat.charge, self.magnetic_field, self.tracker_radius, self.tracker_half_length
        )
        at = np.flatnonzero(visible & reaches)
        particle = flat.take(at)
        kind = np.abs(particle.pdg)
        # Of charged hadrons, whatever they are, the tracker assumes that they are pions; so does the energy
        # here: a proton's mass is not left over as a neutral hadron.
        mass = np.where((particle.charge != 0) & (kind != 11), PION, particle.mass)
        energy = np.hypot(particle.pt * np.cosh(particle.eta), mass)
        electromagnetic = np.where(np.isin(kind, (11, 22)), 1.0, 0.0)
        electromagnetic[np.isin(kind, (310, 3122))] = self.strange_ecal_fraction
        measured = measured[at]
        phi = particle.phi + shift[at]
        photons = cell_excess(
            Cells(self.ecal_cells), particle.event, particle.eta, phi, energy * electromagnetic,
            measured * electromagnetic, self.ecal_sigma, self.ecal_min, significance, random,
        )  # fmt: skip
        hadrons = cell_excess(
            Cells(self.hcal_cells), particle.event, particle.eta, phi, energy * (1 - electromagnetic),
            measured * (1 - electromagnetic), self.hcal_sigma, self.hcal_min, significance, random,
        )  # fmt: skip
        return [_towers(photons, 22), _towers(hadrons, 130)]

    def identify(self, flow: ak.Array, pdg: int, random: np.random.Generator) -> ak.Array:
        """Return the objects of one kind that are identified, with their isolation.

        ``flow`` are energy-flow objects; ``pdg`` is 11 for electrons, 13 for muons, 22 for photons.
        """
        efficiency = {
            11: self.electron_identification,
            13: self.muon_identification,
            22: self.photon_identification,
        }[pdg]
        size = abs(flow.eta)
        chosen = (abs(flow.pdg) == pdg) & (flow.pt > self.lepton_pt_min) & (size < self.lepton_eta[1])
        candidates, size = flow[chosen], size[chosen]
        luck = ak.unflatten(random.random(int(ak.sum(ak.num(candidates)))), ak.num(candidates))
        candidates = candidates[luck < ak.where(size < self.lepton_eta[0], *efficiency)]
        isolation = relative_isolation(candidates, flow, self.isolation_radius, self.isolation_pt_min)
        return ak.with_field(candidates, isolation, "isolation")


def missing_momentum(flow: ak.Array) -> tuple[Floats, Floats]:
    """Return pt [GeV] and phi [rad] of what balances the energy-flow objects, ``(events,)`` each."""
    px = ak.to_numpy(ak.sum(flow.pt * np.cos(flow.phi), axis=1))
    py = ak.to_numpy(ak.sum(flow.pt * np.sin(flow.phi), axis=1))
    return np.hypot(px, py), np.arctan2(-py, -px)


@dataclass(frozen=True)
class _Objects:
    """Particles or reconstructed objects of all events, flat; ``event`` says whose they are."""

    event: NDArray[np.int64]
    pt: Floats
    eta: Floats
    phi: Floats
    mass: Floats
    charge: Floats
    pdg: NDArray[np.int64]
    index: NDArray[np.int64]

    def take(self, rows: NDArray[Any]) -> _Objects:
        return _Objects(*(getattr(self, one.name)[rows] for one in dataclasses.fields(self)))

    @classmethod
    def join(cls, parts: list[_Objects]) -> _Objects:
        names = [one.name for one in dataclasses.fields(cls)]
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    def jagged(self, sizes: NDArray[Any]) -> ak.Array:
        """Return the objects as ``(events, objects)``, by falling pt; a track's index is that in its event.

        ``sizes`` are the numbers of particles in each event.
        """
        ordered = self.take(np.lexsort((-self.pt, self.event)))
        first = np.concatenate([[0], np.cumsum(sizes)])[ordered.event]
        ordered = dataclasses.replace(ordered, index=np.where(ordered.index < 0, -1, ordered.index - first))
        fields = {one.name: getattr(ordered, one.name) for one in dataclasses.fields(ordered)}
        counts = np.bincount(fields.pop("event"), minlength=len(sizes))
        return ak.unflatten(ak.zip(fields), counts)


def _flat(particles: ak.Array, sizes: NDArray[Any]) -> _Objects:
    """Return jagged particles as flat arrays; ``index`` is the row among all of them."""
    event = np.repeat(np.arange(len(sizes)), sizes)
    names = ("pt", "eta", "phi", "mass", "charge", "pdg")
    columns = [ak.to_numpy(ak.flatten(particles[name], axis=1)) for name in names]
    return _Objects(*[event, *columns, np.arange(len(event))])


def _towers(cells: Excess, pdg: int) -> _Objects:
    """Return what cells have beyond the tracks as massless objects in the cells' centres."""
    number = len(cells.energy)
    return _Objects(
        event=cells.event,
        pt=cells.energy / np.cosh(cells.eta),
        eta=cells.eta,
        phi=cells.phi,
        mass=np.zeros(number),
        charge=np.zeros(number),
        pdg=np.full(number, pdg),
        index=np.full(number, -1),
    )


def _sigma(energy: Floats, terms: tuple[float, float, float]) -> Floats:
    constant, stochastic, noise = terms
    return np.sqrt((constant * energy) ** 2 + stochastic**2 * energy + noise**2)


def _combined(first: Floats, second: Floats) -> Floats:
    """Return the width of the weighted mean of two measurements."""
    both = np.hypot(first, second)
    return np.divide(first * second, both, out=np.zeros_like(both), where=both > 0)


def _text(value: Any) -> str:
    """Return a parameter's value as text; the rows of a table of numbers are divided by semicolons."""
    if not isinstance(value, tuple):
        return f"{value:g}"
    return ("; " if isinstance(value[0], tuple) else ", ").join(map(_text, value))
