"""The usual observables of jets, as a list of inputs that a dataset computes from their constituents."""

from __future__ import annotations

from collections.abc import Sequence

from hepml_root.data.columns import Column
from hepml_root.errors import SettingError, unknown

# Label -> C++ of the constituents' columns and the radius, and units.
_OBSERVABLES: dict[str, tuple[str, str]] = {
    "mass": ("hepml::invariant_mass({pt}, {eta}, {phi}, {mass})", "GeV"),
    "softdrop_mass": ("hepml::soft_drop_mass({pt}, {eta}, {phi}, {mass}, 0.1, 0., {radius})", "GeV"),
    "softdrop_fraction": ("hepml::soft_drop_fraction({pt}, {eta}, {phi}, {mass}, 0.1, 0., {radius})", ""),
    "softdrop_radius": ("hepml::soft_drop_radius({pt}, {eta}, {phi}, {mass}, 0.1, 0., {radius})", ""),
    "tau1": ("hepml::nsubjettiness(1, {pt}, {eta}, {phi}, {radius})", ""),
    "tau21": ("hepml::nsubjettiness_ratio(2, {pt}, {eta}, {phi})", ""),
    "tau32": ("hepml::nsubjettiness_ratio(3, {pt}, {eta}, {phi})", ""),
    "tau43": ("hepml::nsubjettiness_ratio(4, {pt}, {eta}, {phi})", ""),
    "e2": ("hepml::energy_correlator2({pt}, {eta}, {phi})", ""),
    "c2": ("hepml::c2({pt}, {eta}, {phi})", ""),
    "d2": ("hepml::d2({pt}, {eta}, {phi})", ""),
    "width": ("hepml::jet_width({pt}, {eta}, {phi})", ""),
    "ptd": ("hepml::pt_dispersion({pt})", ""),
    "multiplicity": ("hepml::multiplicity({pt})", ""),
    "charge": ("hepml::jet_charge({pt}, {charge})", ""),
}
JET_OBSERVABLES = tuple(_OBSERVABLES)


def jet_observables(
    prefix: str = "jet_",
    *,
    constituent: str = "constituent_",
    observables: Sequence[str] | None = None,
    radius: float = 0.8,
) -> list[Column]:
    r"""Return the usual observables of a jet as inputs, computed in C++ from the constituents.

    They are: mass [GeV]; after soft drop with z_cut = 0.1 and β = 0, softdrop_mass [GeV] and z_g and R_g as
    softdrop_fraction and softdrop_radius; tau1 and the ratios tau21, tau32, tau43 (winner-take-all kT axes,
    β = 1); e2, c2, d2 (β = 1); width, ptd, multiplicity; and charge (κ = 0.5), which is left out unless
    asked for. :mod:`hepml_root.representations.observables` has their definitions. A jet without
    constituents has 0 in all of them.

    Arguments
    ---------
    prefix
        What the labels begin with.
    constituent
        What the jagged columns pt, eta, phi, mass and charge of the constituents begin with.
    observables
        Those that are wanted; by default all but the charge.
    radius
        R of the jets, for the normalisation of tau1.

    Raises
    ------
    SettingError
        An observable is unknown, or the radius is not positive.

    Example
    -------
    >>> [column.label for column in jet_observables(observables=["mass", "tau32"])]
    ['jet_mass', 'jet_tau32']
    >>> jet_observables("", observables=["ptd"])[0].expression
    'hepml::pt_dispersion(constituent_pt)'
    """
    if not radius > 0:
        raise SettingError(f"radius={radius}: the radius of the jets must be positive.")
    names = [name for name in JET_OBSERVABLES if name != "charge"] if observables is None else observables
    columns = []
    for name in names:
        if name not in _OBSERVABLES:
            raise SettingError(unknown("jet observable", name, JET_OBSERVABLES))
        code, units = _OBSERVABLES[name]
        lists = {quantity: constituent + quantity for quantity in ("pt", "eta", "phi", "mass", "charge")}
        columns.append(Column(prefix + name, code.format(**lists, radius=float(radius)), units=units))
    return columns
