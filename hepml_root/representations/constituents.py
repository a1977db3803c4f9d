"""The constituents of a jet, or the particles of an event, as a padded tensor and its mask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hepml_root.data.columns import Column
from hepml_root.data.representation import Representation
from hepml_root.data.schema import Block, mask_of
from hepml_root.errors import SettingError, UnsupportedOperationError, unknown
from hepml_root.representations.momenta import (
    FEATURES,
    FRAMES,
    ROTATIONS,
    axis_columns,
    feature_columns,
    momentum_columns,
    one_of,
    own_columns,
    positive,
)

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
    axis: tuple[str, str] | None = None,
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
    constituent and 0 for padding, with constituents = ``max_length``. The axis (η_J, φ_J) is that of the sum
    of the four-momenta of all constituents (E-scheme), also of those beyond ``max_length``, with
    pseudorapidities throughout; or columns that are given.

    What is lost: constituents beyond ``max_length`` and those without positive pT (both counted), the order
    in the file, and whatever the features do not hold; :meth:`Constituents.inverse` gives the four-momenta
    of the others back. Computed in single precision: 1e-6 for angles, 2e-6 relative otherwise.

    Arguments
    ---------
    name
        Of the block.
    pt, eta, phi, mass
        Jagged columns, or expressions of them: transverse momentum [GeV], pseudorapidity, azimuth [rad], and
        mass [GeV], without which constituents have none.
    features
        pt, mass, energy, px, py, pz [GeV]; eta, phi; delta_eta, delta_phi, delta_r; log_pt = ln(pT/GeV),
        log_energy; pt_fraction = pT/ΣpT, energy_fraction = E/ΣE with sums over all constituents, and their
        logarithms log_pt_fraction, log_energy_fraction.
    extra
        More jagged columns, "label := expression", that follow the features as they are.
    max_length
        Constituents that are kept of each event.
    sort
        Feature or extra column by which they are sorted, "pt" or "delta_r" for instance; None keeps the order
        of the file. Equal ones keep it too.
    descending
        Largest first; by default so, but for "delta_r".
    axis
        Columns of the axis (η, φ), with one value per event; without it, the sum of the constituents.
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
        more pT at Δφ > 0 (arXiv:1704.02124). Other features stay.
    reflection
        Change the signs of Δη and Δφ where more pT lies at negative values.

    Raises
    ------
    SettingError
        A feature, a sort key or another setting is unknown or out of its range.

    Example
    -------
    >>> from hepml_root.representations import constituents
    >>> particles = constituents(pt="constituent_pt", eta="constituent_eta", phi="constituent_phi",
    ...                          features=("delta_eta", "delta_phi", "pt"), max_length=2)
    >>> arrays = {"pt": [[1.0, 3.0, 0.5], []], "eta": [[0.1, 0.0, 0.0], []], "phi": [[3.1, -3.1, 0.0], []]}
    >>> blocks = particles(arrays)
    >>> blocks["particles"].shape, blocks["particles_mask"].tolist()
    ((2, 2, 3), [[1.0, 1.0], [0.0, 0.0]])
    """
    columns = momentum_columns(pt, eta, phi, mass, extra)
    labels = (*features, *(column.label for column in own_columns(columns)))
    return Constituents(
        name=name,
        columns=columns,
        scalars=axis_columns(axis),
        features=labels,
        max_length=max_length,
        sort=sort,
        descending=sort != "delta_r" if descending is None else descending,
        frame=frame,
        frame_mass=frame_mass,
        frame_energy=frame_energy,
        rotation=rotation,
        reflection=reflection,
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
    max_length, sort, descending, frame, frame_mass, frame_energy, rotation, reflection:
        As in :func:`constituents`.

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
    frame: str = "lab"
    frame_mass: float | None = None
    frame_energy: float | None = None
    rotation: str | None = None
    reflection: bool = False

    kind: ClassVar[str] = "constituents"

    def __post_init__(self) -> None:
        object.__setattr__(self, "max_length", positive("max_length", self.max_length))
        feature_columns(self.features, self.columns, self.name, self.max_length)
        keys = [*FEATURES, *(column.label for column in own_columns(self.columns))]
        if self.sort is not None and self.sort not in keys:
            raise SettingError(unknown("feature to sort by", str(self.sort), keys))
        one_of("frame", self.frame, FRAMES)
        one_of("rotation", self.rotation, (None, *ROTATIONS))
        if self.frame != "lab" and self.scalars:
            raise SettingError(
                f"frame='{self.frame}' is taken from the constituents, and the axis with it: leave axis out."
            )
        if self.frame == "jet":
            mass, energy = self.frame_mass, self.frame_energy
            if mass is None or energy is None or not 0 < mass <= energy < np.inf:
                raise SettingError(
                    f"frame='jet' with frame_mass={mass} and frame_energy={energy}: give 0 < mass <= energy, "
                    "in GeV."
                )
        elif self.frame_mass is not None or self.frame_energy is not None:
            raise SettingError("frame_mass and frame_energy belong to frame='jet'.")

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
            "frame": self.frame,
            "rotation": self.rotation,
            "reflection": self.reflection,
        }
        if self.frame == "jet":
            settings |= {"frame_mass": self.frame_mass, "frame_energy": self.frame_energy}
        return settings

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
        turned = self.rotation is not None or self.reflection
        return eta + place[:, :1], phi + place[:, 1:], turned

    def _lost(self, needed: str) -> UnsupportedOperationError:
        return UnsupportedOperationError(
            f"the features {', '.join(self.features)} do not determine the momenta: they lack {needed}."
        )
