"""The constituents of a jet, or the particles of an event, as a padded tensor and its mask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hepml_root.data.columns import Column
from hepml_root.data.representation import Representation
from hepml_root.data.schema import Block, mask_of
from hepml_root.errors import SettingError, UnsupportedOperationError, unknown
from hepml_root.representations.momenta import (
    FEATURES,
    Axis,
    Preparation,
    axis_columns,
    feature_columns,
    momentum_columns,
    one_of,
    own_columns,
    positive,
)

ALGORITHMS = ("cambridge", "kt", "antikt")
STANDARD_FEATURES = (
    "delta_eta",
    "delta_phi",
    "log_pt",
    "log_pt_fraction",
    "log_energy",
    "log_energy_fraction",
    "delta_r",
)


def constituents(
    name: str = "particles",
    *,
    pt: str,
    eta: str,
    phi: str,
    mass: str | None = None,
    features: Sequence[str] = STANDARD_FEATURES,
    extra: Sequence[str | Column] = (),
    max_length: int = 64,
    sort: str | None = "pt",
    descending: bool | None = None,
    algorithm: str = "cambridge",
    axis: Axis = "sum",
    trim: float = 0.0,
    trim_radius: float | None = None,
    frame: str = "lab",
    frame_mass: float | None = None,
    frame_energy: float | None = None,
    rotation: str | None = None,
    reflection: bool = False,
) -> Constituents:
    r"""Return the constituents of a jet as one tensor: sorted, cut to a length, padded with zeros, masked.

    .. math:: \Delta\eta = \eta - \eta_J, \quad \Delta\phi = \phi - \phi_J \in [-\pi, \pi], \quad
              \Delta R = \sqrt{\Delta\eta^2 + \Delta\phi^2}

    Blocks: ``name`` (events, constituents, features) and ``name_mask`` (events, constituents), 1 for a
    constituent and 0 for padding, with constituents = ``max_length``. The axis (η_J, φ_J) is by default that
    of the sum of the four-momenta of all constituents (E-scheme), also of those beyond ``max_length``, with
    pseudorapidities.

    What is lost: constituents beyond ``max_length``, those without positive pT and those trimmed away (all
    counted), the order in the file, and whatever the features do not hold; :meth:`Constituents.inverse` gives
    the four-momenta of the others back. Computed in single precision: 2e-6 for angles in jets, 2e-6
    relative otherwise. Constituents with NaN or infinite values are an error; an event without any gives
    zeros.

    Arguments
    ---------
    name
        Of the block.
    pt, eta, phi, mass
        Jagged columns, or expressions of them: transverse momentum [GeV], pseudorapidity, azimuth [rad], and
        mass [GeV], without which constituents have none.
    features
        pt, mass, energy, px, py, pz [GeV]; eta, rapidity, phi; delta_eta, delta_phi, delta_r; log_pt =
        ln(pT/GeV), log_energy; pt_fraction = pT/ΣpT, energy_fraction = E/ΣE with sums over all constituents,
        and their logarithms log_pt_fraction, log_energy_fraction.
    extra
        More jagged columns, "label := expression", that follow the features as they are.
    max_length
        Constituents that are kept of each event.
    sort
        Feature or extra column by which they are sorted, "pt" or "delta_r" for instance, equal ones in the
        order of the file; "clustering" for the order of a clustering history, the harder side of each
        splitting first (arXiv:1711.09059); None keeps the order of the file.
    descending
        Largest first; by default so, but for "delta_r".
    algorithm
        Of the order "clustering": "cambridge", "kt" or "antikt".
    axis
        "sum", "centroid" (of pT), "hardest" constituent, "none" for (0, 0), "hardest_phi" for η = 0 and the φ
        of the hardest; or a pair of columns (η, φ) with one value per event, either of them None for 0.
    trim, trim_radius
        Leave out constituents with less than this fraction of ΣpT; with a radius, kT subjets of that size
        with less than this fraction of the pT of the jet (arXiv:0912.1342).
    frame
        "lab"; "beam": boosted along the beam to where the rapidity of the jet is 0; or "jet": all momenta are
        scaled so that the mass of the jet is ``frame_mass``, the jet is turned onto the x axis (about the
        beam, then in the plane of beam and jet) and boosted along it to the energy ``frame_energy``, as in
        arXiv:1903.02032; equal values give the rest frame. All features are those in that frame. Jets without
        mass cannot be boosted so: they come out empty, their constituents counted as dropped.
    frame_mass, frame_energy
        Of the jet in the frame "jet", 0 < mass <= energy [GeV].
    rotation
        "principal": (Δη, Δφ) is turned about the axis so that the principal axis of pT lies along Δφ, with
        more pT at Δφ > 0 (arXiv:1704.02124); "subjets": so that the line from the softer to the harder of the
        two last kT subjets points along Δφ. Other features stay.
    reflection
        Change the sign of Δη, and of Δφ, where more pT lies at negative values.

    Raises
    ------
    SettingError
        A feature, a sort key or another setting is unknown or out of its range.

    Example
    -------
    >>> from hepml_root.representations.constituents import constituents
    >>> particles = constituents(pt="constituent_pt", eta="constituent_eta", phi="constituent_phi",
    ...                          features=("delta_eta", "delta_phi", "pt"), max_length=2)
    >>> arrays = {"pt": [[1.0, 3.0, 0.5], []], "eta": [[0.1, 0.0, 0.0], []], "phi": [[3.1, -3.1, 0.0], []]}
    >>> blocks = particles(arrays)
    >>> blocks["particles"].shape, blocks["particles_mask"].tolist()
    ((2, 2, 3), [[1.0, 1.0], [0.0, 0.0]])
    """
    columns = momentum_columns(pt, eta, phi, mass, extra)
    chosen, scalars = axis_columns(axis)
    return Constituents(
        name=name,
        columns=columns,
        scalars=scalars,
        features=(*features, *(column.label for column in own_columns(columns))),
        max_length=max_length,
        sort=sort,
        descending=sort != "delta_r" if descending is None else descending,
        algorithm=algorithm,
        preparation=Preparation(
            trim, trim_radius, frame, frame_mass, frame_energy, chosen, rotation, reflection
        ),
    )


@dataclass(frozen=True)
class Constituents(Representation):
    """What :func:`constituents` returns: a padded tensor of constituents and its mask.

    Attributes
    ----------
    columns:
        Jagged columns labelled "pt", "eta", "phi", perhaps "mass", and the extra ones.
    scalars:
        None, or "axis_eta" and "axis_phi".
    features:
        Along the last axis; extra columns are among them by their labels.
    max_length, sort, descending, algorithm:
        As in :func:`constituents`.
    preparation:
        The other settings of :func:`constituents`.

    Raises
    ------
    SettingError
        As :func:`constituents`.
    """

    name: str
    columns: tuple[Column, ...]
    scalars: tuple[Column, ...]
    features: tuple[str, ...]
    max_length: int
    sort: str | None = "pt"
    descending: bool = True
    algorithm: str = "cambridge"
    preparation: Preparation = field(default_factory=Preparation)

    kind: ClassVar[str] = "constituents"

    def __post_init__(self) -> None:
        object.__setattr__(self, "max_length", positive("max_length", self.max_length))
        feature_columns(self.features, self.columns, self.name, self.max_length)
        keys = ["clustering", *FEATURES, *(column.label for column in own_columns(self.columns))]
        if self.sort is not None and self.sort not in keys:
            raise SettingError(unknown("feature to sort by", str(self.sort), keys))
        one_of("algorithm", self.algorithm, ALGORITHMS)

    def blocks(self) -> tuple[Block, ...]:
        columns = feature_columns(self.features, self.columns, self.name, self.max_length)
        return (
            Block(self.name, "jagged", (self.max_length, len(self.features)), columns),
            Block(mask_of(self.name), "mask", (self.max_length,)),
        )

    def settings(self) -> dict[str, Any]:
        settings: dict[str, Any] = {
            "features": list(self.features),
            "sort": self.sort,
            "descending": self.descending,
        }
        if self.sort == "clustering":
            settings["algorithm"] = self.algorithm
        return settings | self.preparation.settings()

    def inverse(
        self,
        values: ArrayLike,
        mask: ArrayLike,
        *,
        axis: ArrayLike | None = None,
        total_pt: ArrayLike | None = None,
    ) -> NDArray[np.float64]:
        """Return the four-momenta (E, px, py, pz) of the constituents, (events, constituents, 4) in GeV.

        Padding gives zeros. The momentum comes from px, py and pz, or from pt or log_pt (or a fraction, with
        ``total_pt``) and eta and phi (or delta_eta and delta_phi, with ``axis``). The energy comes from
        energy or log_energy where the momentum is absolute, else from mass, else constituents are massless.
        Boosts, rotations and reflections stay.

        Arguments
        ---------
        values, mask
            The two blocks: (events, constituents, features) and (events, constituents).
        axis
            (events, 2): η and φ of the axis, without which relative angles are taken about (0, 0).
        total_pt
            (events,): ΣpT in GeV, without which fractions are of 1 GeV.

        Raises
        ------
        UnsupportedOperationError
            The features do not determine the momenta.
        """
        rows = np.asarray(values, np.float64)
        keep = np.asarray(mask, bool)
        feature = {name: np.where(keep, rows[..., i], 0.0) for i, name in enumerate(self.features)}
        if {"px", "py", "pz"} <= feature.keys():
            momentum, relative = [feature["px"], feature["py"], feature["pz"]], False
        else:
            pt = self._transverse(feature, np.ones(len(rows)) if total_pt is None else np.asarray(total_pt))
            eta, phi, relative = self._directions(feature, axis)
            pt = np.where(keep, pt, 0.0)
            momentum = [pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)]
        square = momentum[0] ** 2 + momentum[1] ** 2 + momentum[2] ** 2
        if not relative and "energy" in feature:
            energy = feature["energy"]
        elif not relative and "log_energy" in feature:
            energy = np.exp(feature["log_energy"])
        else:
            energy = np.sqrt(square + feature.get("mass", np.zeros(keep.shape)) ** 2)
        return np.where(keep[..., None], np.stack([energy, *momentum], axis=-1), 0.0)

    def _transverse(self, feature: dict[str, Any], total: NDArray[np.float64]) -> NDArray[np.float64]:
        if "pt" in feature:
            return np.asarray(feature["pt"])
        if "log_pt" in feature:
            return np.asarray(np.exp(feature["log_pt"]))
        if "pt_fraction" in feature:
            return np.asarray(feature["pt_fraction"] * total[:, None])
        if "log_pt_fraction" in feature:
            return np.asarray(np.exp(feature["log_pt_fraction"]) * total[:, None])
        raise self._lost("pt, log_pt, pt_fraction or log_pt_fraction")

    def _directions(self, feature: dict[str, Any], axis: ArrayLike | None) -> tuple[Any, Any, bool]:
        if {"eta", "phi"} <= feature.keys():
            return feature["eta"], feature["phi"], False
        if not {"delta_eta", "delta_phi"} <= feature.keys():
            raise self._lost("eta and phi, or delta_eta and delta_phi")
        eta, phi = feature["delta_eta"], feature["delta_phi"]
        if axis is None:
            return eta, phi, True
        place = np.asarray(axis, np.float64)
        turned = self.preparation.rotation is not None or self.preparation.reflection
        return eta + place[:, :1], phi + place[:, 1:], turned

    def _lost(self, needed: str) -> UnsupportedOperationError:
        return UnsupportedOperationError(
            f"the features {', '.join(self.features)} do not determine the momenta: they lack {needed}."
        )
