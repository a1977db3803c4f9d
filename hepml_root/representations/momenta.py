"""What the representations of jets read of each constituent, and the features they can give of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

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
FRAMES = ("lab", "beam", "jet")
ROTATIONS = ("principal",)


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


def axis_columns(axis: tuple[str, str] | None) -> tuple[Column, ...]:
    """Return the columns of the axis of a jet, or none where it is the sum of the constituents.

    Raises
    ------
    SettingError
        The axis is no pair of expressions.
    """
    if axis is None:
        return ()
    if isinstance(axis, str) or len(axis) != 2:
        raise SettingError(
            f"axis={axis!r}: give a pair of columns, (eta, phi), such as ('jet_eta', 'jet_phi')."
        )
    return (Column("axis_eta", axis[0]), Column("axis_phi", axis[1], units="rad"))


def own_columns(columns: Iterable[Column]) -> tuple[Column, ...]:
    """Return the columns that the user added."""
    return tuple(column for column in columns if column.label not in FEATURES)


def feature_columns(features: Sequence[str], columns: Sequence[Column], group: str, length: int) -> Any:
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
    if isinstance(value, bool) or value != int(value) or value < 1:
        raise SettingError(f"{name}={value!r}: give a whole number from 1 on.")
    return int(value)


def one_of(name: str, value: Any, names: Sequence[str | None]) -> None:
    """Raise SettingError, with the nearest names, if a setting is none of ``names``."""
    if value not in names:
        known = [str(candidate) for candidate in names]
        raise SettingError(f"{name}={value!r}: " + unknown(name, str(value), known))
