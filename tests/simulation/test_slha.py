"""Spectra in the SLHA format: their content, and what Pythia makes of it."""

from __future__ import annotations

import numpy as np
import pytest

from hepml_root.errors import SettingError
from hepml_root.simulation import find
from hepml_root.simulation.pythia import start
from hepml_root.simulation.slha import DECOUPLED, NEUTRALINO, STOP, TOP, spectrum, stop_pair_spectrum


def blocks(text: str) -> dict[str, list[list[str]]]:
    """The rows of each block, without comments."""
    found: dict[str, list[list[str]]] = {}
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if words[0] == "BLOCK":
            rows = found.setdefault(words[1], [])
        elif words[0] == "DECAY":
            rows = found.setdefault(f"DECAY {words[1]}", [words[2:]])
        else:
            rows.append(words)
    return found


def test_what_is_light_and_what_it_decays_to():
    found = blocks(stop_pair_spectrum(600.0, 400.0))
    masses = {int(kind): float(mass) for kind, mass in found["MASS"]}
    assert {kind for kind, mass in masses.items() if mass < DECOUPLED} == {25, STOP, NEUTRALINO}
    assert (masses[STOP], masses[NEUTRALINO]) == (600.0, 400.0)
    assert found[f"DECAY {STOP}"] == [["1.000000E+00"], ["1.000000E+00", "2", str(TOP), str(NEUTRALINO)]]
    assert found[f"DECAY {NEUTRALINO}"] == [["0.000000E+00"]]
    # Unit matrices: the stop is the partner of the left-handed top quark, the neutralino the bino.
    for name, size in (("NMIX", 4), ("STOPMIX", 2)):
        matrix = np.zeros((size, size))
        for row, column, value in found[name]:
            matrix[int(row) - 1, int(column) - 1] = float(value)
        assert np.array_equal(matrix, np.eye(size))


def test_what_is_refused():
    with pytest.raises(SettingError, match=r"550 GeV \(type 1000006\) cannot decay to 572\.5 GeV"):
        stop_pair_spectrum(550.0, 400.0)
    with pytest.raises(SettingError, match=r"add up to 0\.5"):
        spectrum({STOP: 900.0, NEUTRALINO: 100.0}, {STOP: [(0.5, (TOP, NEUTRALINO))]})


@pytest.mark.parametrize(("name", "stop", "neutralino", "picobarn"), [
    ("stop-900-100", 900.0, 100.0, 0.0117),
    ("stop-600-400", 600.0, 400.0, 0.148),
])  # fmt: skip
def test_pythia_makes_these_stops(name, stop, neutralino, picobarn):
    """Masses, two-body decays, and the cross section at leading order."""
    sample = find(name)
    settings = (*sample.pythia, "PartonLevel:all = off", "HadronLevel:all = off")
    pythia, hook = start(settings, 1, lambda pythia: sample.prepare(pythia, sample.options))
    stops = []
    for _ in range(100):
        assert pythia.next()
        process = pythia.process
        for i in range(process.size()):
            if process[i].idAbs() == STOP:
                stops.append(process[i].m())
                products = [process[k] for k in (process[i].daughter1(), process[i].daughter2())]
                assert sorted(one.idAbs() for one in products) == [TOP, NEUTRALINO]
                momentum = products[0].p() + products[1].p()
                assert momentum.mCalc() == pytest.approx(process[i].m(), rel=1e-6)
                assert next(one.m() for one in products if one.idAbs() == NEUTRALINO) == neutralino
    # A Breit-Wigner distribution of 1 GeV: the median of 200 is within 0.2 GeV.
    assert len(stops) == 200
    assert np.median(stops) == pytest.approx(stop, abs=0.5)
    info = pythia.infoPython()
    # 5 % of statistics (events that no lepton veto took: 12 %) and of the choice of the parton densities.
    assert hook.drawn > 100
    assert info.sigmaGen() * 1e9 * hook.drawn / 100 == pytest.approx(picobarn, rel=0.3)
