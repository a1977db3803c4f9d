"""Pythia 8 and FastJet: their import, a generator that is ready to run, versions."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import Any

import awkward as ak
import numpy as np

from hepml_root.errors import MissingDependencyError, SettingError

_PB_PER_MB = 1e9
INSTALL = "Install it with: pip install 'hepml_root[physics]'"


def require(module: str) -> Any:
    """Import ``pythia8mc`` or ``fastjet``.

    Raises
    ------
    MissingDependencyError
        It is not installed.
    """
    try:
        return importlib.import_module(module)
    except (ImportError, OSError) as error:
        raise MissingDependencyError(
            f"simulation needs the package {module}, which cannot be imported ({error}). {INSTALL}"
        ) from error


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Return the versions of what makes the events."""
    from importlib.metadata import version

    return {name: version(name) for name in packages}


def start(settings: Iterable[str], seed: int, prepare: Any = None) -> tuple[Any, object]:
    """Return a Pythia object that is ready for ``nextBatch``, and what ``prepare`` wants kept alive.

    Arguments
    ---------
    settings
        Lines as ``"Beams:eCM = 14000."``; later ones win.
    seed
        1 … 900 000 000.
    prepare
        Called with the Pythia object before its ``init``.

    Raises
    ------
    SettingError
        Pythia does not know a setting, refuses its value, or cannot start with them.
    """
    pythia = require("pythia8mc").Pythia("", False)
    pythia.readString("Print:quiet = on")
    for line in settings:
        if not pythia.readString(line):
            raise SettingError(
                f"Pythia does not take the setting '{line}'. Their names and values are listed in Pythia's "
                "manual, https://pythia.org/latest-manual."
            )
    pythia.readString("Random:setSeed = on")
    pythia.readString(f"Random:seed = {seed}")
    kept = prepare(pythia) if prepare is not None else None
    if not pythia.init():
        raise SettingError("Pythia cannot start with these settings: " + "; ".join(settings))
    return pythia, kept


def cross_section(pythia: Any, before_vetoes: bool = False) -> tuple[float, float]:
    """Return Pythia's cross section so far and its statistical error [pb].

    Pythia takes what user hooks veto for another process; ``before_vetoes`` counts it in.
    """
    info = pythia.infoPython()
    if not before_vetoes:
        return info.sigmaGen() * _PB_PER_MB, info.sigmaErr() * _PB_PER_MB
    sigma = variance = 0.0
    for code in info.codesHard():
        selected, accepted = info.nSelected(code), info.nAccepted(code)
        if accepted:
            whole = info.sigmaGen(code) * selected / accepted
            # Pythia's error has that of the share that was not vetoed, which plays no part here.
            relative = (info.sigmaErr(code) / info.sigmaGen(code)) ** 2 - 1 / accepted + 1 / selected
            sigma += whole
            variance += max(relative, 1 / selected) * whole**2
    return sigma * _PB_PER_MB, variance**0.5 * _PB_PER_MB


def charges(pythia: Any, pdg: ak.Array) -> ak.Array:
    """Return the electric charge, in units of e, of each particle of the jagged array ``pdg``."""
    flat = ak.flatten(pdg, axis=None).to_numpy()
    values, inverse = np.unique(flat, return_inverse=True)
    of_value = np.array([pythia.particleData.chargeType(int(value)) / 3 for value in values])
    return ak.unflatten(of_value[inverse], ak.num(pdg)) if len(flat) else ak.values_astype(pdg, float)
