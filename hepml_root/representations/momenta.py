"""What the representations of jets read of each constituent, and the features they can give of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hepml_root.data.columns import Column
from hepml_root.errors import SettingError, unknown

# Feature -> its units. C++ has the same names (include/hepml_root/representations/quantities.hxx).
FEATURES: Mapping[str, str] = {
    "pt": "GeV",
    "eta": "",
    "phi": "rad",
    "mass": "GeV",
    "energy": "GeV",
    "px": "GeV",
    "py": "GeV",
    "pz": "GeV",
    "rapidity": "",
    "delta_eta": "",
    "delta_phi": "rad",
    "delta_r": "",
    "log_pt": "",
    "log_energy": "",
    "pt_fraction": "",
    "energy_fraction": "",
    "log_pt_fraction": "",
    "log_energy_fraction": "",
}
AXES = ("sum", "centroid", "hardest", "none", "hardest_phi")
FRAMES = ("lab", "beam", "jet")
ROTATIONS = ("principal", "subjets")
Axis = str | tuple[str | None, str | None]


@dataclass(frozen=True)
class Preparation:
    """What is done to the momenta of a jet before anything is computed of them, in this order.

    Attributes
    ----------
    trim, trim_radius:
        Constituents with less than this fraction of ΣpT are left out; with a radius, kT subjets of that size
        with less than this fraction of the pT of the jet are (arXiv:0912.1342).
    frame, frame_mass, frame_energy:
        "lab"; "beam": boosted along the beam to where the rapidity of the jet is 0; "jet": all momenta are
        scaled so that the mass of the jet is ``frame_mass``, the jet is turned onto the x axis (about the
        beam, then in the plane of beam and jet) and boosted along it to the energy ``frame_energy`` [GeV].
    axis:
        What Δη and Δφ are relative to: "sum" of the four-momenta, "centroid" (the mean of η and φ with
        weights pT), "hardest" constituent, "none" for (0, 0), or "hardest_phi" for η = 0 and the φ of the
        hardest; "given" where columns with one value per event hold it.
    rotation:
        None; "principal": Δη and Δφ are turned so that the principal axis of pT about (0, 0) lies along Δφ,
        with more pT at Δφ > 0; "subjets": so that the line from the softer to the harder of the two last kT
        subjets points along Δφ.
    reflection:
        Change the sign of Δη, and of Δφ, where more pT lies at negative values.

    Raises
    ------
    SettingError
        A setting is unknown or out of its range.
    """

    trim: float = 0.0
    trim_radius: float | None = None
    frame: str = "lab"
    frame_mass: float | None = None
    frame_energy: float | None = None
    axis: str = "sum"
    rotation: str | None = None
    reflection: bool = False

    def __post_init__(self) -> None:
        one_of("frame", self.frame, FRAMES)
        one_of("axis", self.axis, (*AXES, "given"))
        one_of("rotation", self.rotation, (None, *ROTATIONS))
        if not 0 <= self.trim < 1:
            raise SettingError(f"trim={self.trim}: give a fraction of pT, at least 0 and below 1.")
        if self.trim_radius is not None and not (self.trim > 0 and 0 < self.trim_radius < np.inf):
            raise SettingError(
                f"trim_radius={self.trim_radius}: give a radius above 0, and a fraction to trim."
            )
        if self.frame != "lab" and self.axis == "given":
            raise SettingError(
                f"frame='{self.frame}' is taken from the constituents, and the axis with it: leave the "
                "columns of an axis out."
            )
        mass, energy = self.frame_mass, self.frame_energy
        if self.frame == "jet":
            if mass is None or energy is None or not 0 < mass <= energy < np.inf:
                raise SettingError(
                    f"frame='jet' with frame_mass={mass} and frame_energy={energy}: give 0 < mass <= energy, "
                    "in GeV."
                )
        elif mass is not None or energy is not None:
            raise SettingError("frame_mass and frame_energy belong to frame='jet'.")

    def settings(self) -> dict[str, Any]:
        """Return what C++ needs, without what is not asked for."""
        settings: dict[str, Any] = {
            "trim": self.trim or None,
            "trim_radius": self.trim_radius,
            "frame": self.frame if self.frame != "lab" else None,
            "frame_mass": self.frame_mass,
            "frame_energy": self.frame_energy,
            "axis": self.axis if self.axis in AXES[1:] else None,
            "rotation": self.rotation,
            "reflection": self.reflection or None,
        }
        return {key: value for key, value in settings.items() if value is not None}


def momentum_columns(
    pt: str, eta: str, phi: str, mass: str | None, extra: Sequence[str | Column] = ()
) -> tuple[Column, ...]:
    """Return the columns to read: momenta under the labels that C++ knows them by, then the user's own.

    Raises
    ------
    SettingError
        A label is given twice, or is that of a feature.
    """
    columns = [Column("pt", pt, units="GeV"), Column("eta", eta), Column("phi", phi, units="rad")]
    if mass is not None:
        columns.append(Column("mass", mass, units="GeV"))
    for text in (extra,) if isinstance(extra, str) else extra:
        column = Column.parse(text)
        if column.label in FEATURES or column.label in {other.label for other in columns}:
            raise SettingError(
                f"the extra column '{column.label}' has the name of a feature or of another column: give it "
                "its own, 'label := expression'."
            )
        columns.append(column)
    return tuple(columns)


def axis_columns(axis: Axis) -> tuple[str, tuple[Column, ...]]:
    """Return the axis as :class:`Preparation` takes it, and the columns that hold it, if any do.

    Raises
    ------
    SettingError
        The axis is neither a name nor a pair of expressions.
    """
    if isinstance(axis, str):
        one_of("axis", axis, AXES)
        return axis, ()
    if len(axis) != 2 or all(expression is None for expression in axis):
        raise SettingError(f"axis={axis!r}: give a pair of columns (eta, phi), as ('jet_eta', 'jet_phi').")
    eta, phi = axis
    columns = [] if eta is None else [Column("axis_eta", eta)]
    columns += [] if phi is None else [Column("axis_phi", phi, units="rad")]
    return "given", tuple(columns)


def own_columns(columns: Iterable[Column]) -> tuple[Column, ...]:
    """Return the columns that the user added."""
    return tuple(column for column in columns if column.label not in FEATURES)


def feature_columns(
    features: Sequence[str], columns: Sequence[Column], group: str, length: int
) -> tuple[Column, ...]:
    """Return the columns along the last axis of a tensor of constituents.

    Raises
    ------
    SettingError
        A feature is unknown or given twice.
    """
    own = {column.label: column for column in own_columns(columns)}
    result = []
    for feature in features:
        if feature not in FEATURES and feature not in own:
            raise SettingError(unknown("feature", feature, [*FEATURES, *own]))
        units = own[feature].units if feature in own else FEATURES[feature]
        expression = own[feature].expression if feature in own else feature
        result.append(Column(feature, expression, units=units, max_length=length, group=group))
    if len(set(features)) != len(features) or not features:
        raise SettingError(f"features={tuple(features)}: give at least one, and each once.")
    return tuple(result)


def positive(name: str, value: Any) -> int:
    """Return a whole number from 1 on.

    Raises
    ------
    SettingError
        It is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise SettingError(f"{name}={value!r}: give a whole number from 1 on.")
    return int(value)


def one_of(name: str, value: Any, names: Sequence[str | None]) -> None:
    """Raise SettingError, with the nearest names, if a setting is none of ``names``."""
    if value not in names:
        known = [str(candidate) for candidate in names]
        raise SettingError(f"{name}={value!r}: " + unknown(name, str(value), known))
