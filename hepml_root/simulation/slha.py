"""Spectra in the SUSY Les Houches Accord: simplified models, in which few particles are light."""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from typing import Any

from hepml_root.errors import SettingError

NEUTRALINO, STOP = 1000022, 1000006
TOP = 6
# All that a simplified model leaves out is this heavy [GeV], beyond what 14 TeV can make.
DECOUPLED = 10_000.0
HEAVY = (
    *(1_000_000 + kind for kind in (1, 2, 3, 4, 5, 6, 11, 12, 13, 14, 15, 16, 21, 22, 23, 24, 25, 35, 37)),
    *(2_000_000 + kind for kind in (1, 2, 3, 4, 5, 6, 11, 13, 15)),
    35,
    36,
    37,
)  # fmt: skip
# A fermion or scalar is one interaction's eigenstate, not a mixture.
_UNMIXED = {"NMIX": 4, "UMIX": 2, "VMIX": 2, "STOPMIX": 2, "SBOTMIX": 2, "STAUMIX": 2}

# (share of the decays, types of the products)
Decay = tuple[float, Sequence[int]]


def spectrum(
    masses: Mapping[int, float],
    decays: Mapping[int, Sequence[Decay]],
    widths: Mapping[int, float] | None = None,
) -> str:
    """Return the text of an SLHA file with these masses and decays; all other sparticles are decoupled.

    Arguments
    ---------
    masses
        ``{type of the particle (Particle Data Group): mass [GeV]}``.
    decays
        ``{type: decays}``, each decay its share and the types of its products. Particles without an entry
        are stable.
    widths
        ``{type: total width [GeV]}`` of those that decay; 1 by default.

    Raises
    ------
    SettingError
        A particle decays to more than its mass, or the shares of its decays do not add up to 1.

    Reference
    ---------
    Skands et al., hep-ph/0311123.

    Example
    -------
    >>> text = spectrum({STOP: 900.0, NEUTRALINO: 100.0}, {STOP: [(1.0, (TOP, NEUTRALINO))]})
    >>> [line for line in text.splitlines() if line.startswith("DECAY") and "1000006" in line]
    ['DECAY 1000006 1.000000E+00']
    """
    # The Standard Model's particles that decays of sparticles are checked against.
    known = {TOP: 172.5, 5: 4.8, 23: 91.19, 24: 80.38, 25: 125.0, **masses}
    lines = [
        "BLOCK MODSEL",
        "    1  0  # no model: a simplified spectrum",
        "BLOCK MASS",
        *(f"    {kind}  {mass:.6E}" for kind, mass in sorted(_masses(masses).items())),
    ]
    for block, size in _UNMIXED.items():
        lines.append(f"BLOCK {block}")
        numbers = range(1, size + 1)
        lines += [f"    {row}  {column}  {float(row == column):.6E}" for row in numbers for column in numbers]
    lines += ["BLOCK ALPHA", f"    {0.0:.6E}"]
    for kind, channels in decays.items():
        if abs(sum(share for share, _ in channels) - 1) > 1e-6:
            raise SettingError(f"the shares of the decays of {kind} add up to {sum(s for s, _ in channels)}.")
        lines.append(f"DECAY {kind} {(widths or {}).get(kind, 1.0):.6E}")
        for share, products in channels:
            lightest = sum(known.get(abs(product), 0.0) for product in products)
            if lightest > masses[kind]:
                raise SettingError(
                    f"a particle of {masses[kind]:g} GeV (type {kind}) cannot decay to {lightest:g} GeV "
                    f"(types {', '.join(map(str, products))})."
                )
            lines.append(f"    {share:.6E}  {len(products)}  {'  '.join(map(str, products))}")
    lines += [f"DECAY {kind} {0.0:.6E}" for kind in masses if kind not in decays]
    return "\n".join(lines) + "\n"


def _masses(light: Mapping[int, float]) -> dict[int, float]:
    return {**dict.fromkeys(HEAVY, DECOUPLED), 25: 125.0, **light}


def stop_pair_spectrum(stop: float, neutralino: float) -> str:
    """Return the spectrum of the simplified model T2tt: a stop that decays to a top quark and a neutralino.

    Arguments
    ---------
    stop, neutralino
        Their masses [GeV].

    Raises
    ------
    SettingError
        The stop is not heavier than a top quark and the neutralino.
    """
    return spectrum({STOP: stop, NEUTRALINO: neutralino}, {STOP: [(1.0, (TOP, NEUTRALINO))]})


def use_spectrum(pythia: Any, text: str, owner: object) -> None:
    """Have Pythia read a spectrum in its ``init``; ``owner`` has to live until then.

    Pythia takes it from a file only, which is removed with the owner.
    """
    handle, path = tempfile.mkstemp(suffix=".slha", text=True)
    weakref.finalize(owner, os.unlink, path)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    pythia.readString(f"SLHA:file = {path}")
