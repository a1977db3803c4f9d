"""Columns: what is read from each event, under which label, for which role."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from hepml_root.errors import ExpressionError, SettingError, nearest

ROLES = ("input", "parameter", "target", "weight", "spectator", "event_number")
DEFAULT_GROUP = "constituents"

_LABEL = re.compile(r"[^\s:=][^:=]*")


@dataclass(frozen=True)
class Column:
    """One quantity of an event: a branch, or a C++ expression of branches.

    Arguments
    ---------
    label:
        Name in tables, plots and the model's manifest.
    expression:
        A branch (or a column of a data frame) by its name, whatever characters that has, or a C++
        expression as RDataFrame takes it. Inside an expression, a branch whose name is no C++ identifier is
        written as it is, too: of the names that fit at a place, the longest is meant, so that
        `jet1_b-tag > 1` asks for the branch `jet1_b-tag` where there is one.
    role:
        "input", "parameter", "target", "weight", "spectator" or "event_number".
    units:
        Units of the value, for axes and the manifest ("GeV"); empty if it has none.
    max_length:
        For a jagged column (one value per particle): the number of particles that are kept.
        (events, max_length) values, padded with 0.
    group:
        Jagged columns of one group form one tensor (events, constituents, features) and share one mask.

    Raises
    ------
    SettingError
        An unknown role, a max_length below 1, or a group without max_length.
    ExpressionError
        An empty label or expression.

    Example
    -------
    >>> Column("pt", "lepton_pT", units="GeV").units
    'GeV'
    >>> Column.parse("dphi := abs(lepton_phi - jet1_phi)").expression
    'abs(lepton_phi - jet1_phi)'
    >>> Column.parse("jet_pt", max_length=10).group
    'constituents'
    """

    label: str
    expression: str
    role: str = "input"
    units: str = ""
    max_length: int | None = None
    group: str | None = None

    def __post_init__(self) -> None:
        if not self.label.strip() or not self.expression.strip():
            raise ExpressionError(
                f"a column needs a label and an expression; got label '{self.label}' and expression "
                f"'{self.expression}'. Write 'name' or 'label := expression'."
            )
        if self.role not in ROLES:
            close = nearest(self.role, ROLES)
            hint = f" Did you mean '{close[0]}'?" if close else ""
            raise SettingError(
                f"no role '{self.role}' for column '{self.label}'.{hint} Roles: {', '.join(ROLES)}."
            )
        if self.max_length is not None and self.max_length < 1:
            raise SettingError(
                f"max_length of column '{self.label}' is {self.max_length}; it must be at least 1."
            )
        if self.group is not None and self.max_length is None:
            raise SettingError(
                f"column '{self.label}' is in group '{self.group}' but has no max_length: "
                "say how many values per event are kept."
            )
        if self.max_length is not None and self.group is None:
            object.__setattr__(self, "group", DEFAULT_GROUP)

    @classmethod
    def parse(cls, text: str | Column, **settings: Any) -> Column:
        """Read "name" or "label := expression"; a Column is taken as it is, with ``settings`` replaced in it.

        >>> Column.parse("m_bb", role="target", units="GeV")
        Column(label='m_bb', expression='m_bb', role='target', units='GeV', max_length=None, group=None)
        """
        if isinstance(text, Column):
            return replace(text, **settings) if settings else text
        label, separator, expression = str(text).partition(":=")
        if not separator:
            return cls(str(text).strip(), str(text).strip(), **settings)
        label = label.strip()
        if not _LABEL.fullmatch(label) or not expression.strip():
            raise ExpressionError(f"cannot read the column '{text}'. Write 'name' or 'label := expression'.")
        return cls(label, expression.strip(), **settings)

    @property
    def jagged(self) -> bool:
        """True for a column that has several values per event."""
        return self.max_length is not None

    def __str__(self) -> str:
        if self.label == self.expression:
            return self.label
        return f"{self.label} := {self.expression}"
