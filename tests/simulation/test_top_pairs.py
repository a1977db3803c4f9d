"""The background of the search for stops: its slices and targets add up to top pairs as they occur."""

from __future__ import annotations

import math
from dataclasses import replace

import awkward as ak
import numpy as np
import pytest

from hepml_root.errors import SettingError
from hepml_root.simulation import find
from hepml_root.simulation.chunks import make_chunk
from hepml_root.simulation.importance import Worth, importance_hook
from hepml_root.simulation.pythia import cross_section, require, start
from hepml_root.simulation.top_pairs import HARD, LEPTONIC, Seen, after_process, top_pairs

# The hard process and its decays only; with PartonLevel:all = off, Pythia gives no events to nextBatch.
BARE = (*(f"PartonLevel:{part} = off" for part in ("MPI", "ISR", "FSR")), "HadronLevel:all = off")


def hard_processes(settings, events, seed, at_process):
    """Weight, leptons, neutrinos' pt and p̂T of hard processes that are kept; sum of weights drawn; σ."""
    sample = find("ttbar-1l")

    def noting(process):
        worth = at_process(process, sample.options)
        return replace(worth, notes=(*worth.notes, process[5].pT()))

    pythia, hook = start((*sample.pythia, *settings, *BARE), seed, lambda p: importance_hook(p, noting))
    trials = hook.trials(pythia.nextBatch(events))
    return trials.weight, trials.notes.T, trials.drawn_weight[-1], cross_section(pythia, before_vetoes=True)


def untouched(process, options):
    particles = [process[i] for i in range(7, process.size()) if process[i].isFinal()]
    seen = Seen.of([(one.idAbs(), one) for one in particles], options)
    return Worth(1e-9, 1.0, (seen.leptons, seen.neutrinos))


def test_slices_and_targets_give_what_occurs():
    """Shares of all top pairs, by the number of leptons, the neutrinos' pt and p̂T.

    Within 4 errors of Pythia without slices, bias or targets; the number of leptons also of the binomial.
    """
    weight, (leptons, neutrinos, pt), whole, (sigma, error) = hard_processes((), 4000, 1, untouched)
    sample = find("ttbar-1l")
    parts = [
        hard_processes(one.pythia, 500, 2 + number, after_process) for number, one in enumerate(sample.slices)
    ]
    total = sum(part[3][0] for part in parts)
    its_error = math.sqrt(sum(part[3][1] ** 2 for part in parts)) * sample.cross_section_factor
    assert abs(sample.cross_section_factor * total - sigma) < 4 * math.hypot(error, its_error)
    assert error < 0.03 * sigma
    # (Two leptons, or one), in slices; hard and soft.
    for number, (_, (its_leptons, _, its_pt), _, _) in enumerate(parts):
        assert set(its_leptons) == {2 if number < 2 else 1}
        assert (its_pt > HARD).all() if number % 2 == 0 else (its_pt < HARD).all()

    def shares(number, above, harder):
        plain = weight[(leptons == number) & (neutrinos > above) & (pt > harder)] / whole
        pieces = [
            w[(n == number) & (x > above) & (p > harder)] * s / total / drawn
            for w, (n, x, p), drawn, (s, _) in parts
        ]
        sliced = np.concatenate(pieces)
        return plain.sum(), np.sqrt((plain**2).sum()), sliced.sum(), np.sqrt((sliced**2).sum())

    for number, expected in ((2, LEPTONIC**2), (1, 2 * LEPTONIC * (1 - LEPTONIC))):
        for above, harder in ((0, 0), (60, 0), (120, 0), (0, 60), (0, 200), (60, 200)):
            plain, error, sliced, its_error = shares(number, above, harder)
            assert abs(plain - sliced) < 4 * math.hypot(error, its_error), (number, above, harder)
        _, _, sliced, its_error = shares(number, 0, 0)
        assert abs(sliced - expected) < 4 * its_error
        assert its_error < 0.12 * expected


def momentum(px, py, pz=0.0):
    return require("pythia8mc").Vec4(px, py, pz, math.hypot(px, py, pz))


def test_what_is_seen_of_partons():
    options = find("ttbar-1l").options
    muon, tau, neutrino = momentum(50, 0), momentum(0, 40), momentum(-100, 0)
    partons = [(5, momentum(60, 0)), (21, momentum(10, 0))]
    seen = Seen.of([(13, muon), (15, tau), (14, neutrino), *partons], options)
    assert (seen.leptons, seen.near, seen.light, seen.jets) == (2, 2, 1, 2)
    assert seen.neutrinos == pytest.approx(100)
    assert seen.missing == pytest.approx(math.hypot(100, 0.45 * 40))
    # m_T² = 2 (pt·missing − pt⃗·missing⃗), of the muon at (50, 0) and (−100, 18).
    assert seen.mt == pytest.approx(math.sqrt(2 * (50 * math.hypot(100, 18) + 50 * 100)))
    alone = Seen.of([(11, momentum(50, 0, 500)), (12, neutrino)], options)
    assert (alone.leptons, alone.near, alone.mt) == (1, 0, 0.0)


def test_a_chunk_has_rows_of_each_slice():
    with pytest.raises(SettingError, match=r"chunks of 40 rows .* 1480, 90, 1190, 20"):
        make_chunk(replace(find("ttbar-1l"), chunk=40), 1, 0, 40)


PARTONS = ("PartonLevel:MPI = off", "HadronLevel:all = off")


def seen_of_events(settings, prepare, events, seed):
    """Of events of partons that `prepare` keeps: weight over the whole that was drawn, missing pt, m_T of the
    lepton if there is one above 40 GeV, and number of quarks and gluons above 30 GeV, ``(events, 4)``."""
    sample = find("ttbar-1l")
    pythia, hook = start((*sample.pythia, *settings, *PARTONS), seed, lambda p: prepare(p, sample.options))
    found, weight, drawn = [], [], 1.0
    for _ in range(0, events, 2000):
        batch = pythia.nextBatch(2000)
        trials = hook.trials(batch)
        final = batch.prt[batch.prt.status > 0]
        kind, px, py = abs(final.id), final.p.px, final.p.py
        pt = np.hypot(px, py)
        central = abs(np.arcsinh(final.p.pz / np.maximum(pt, 1e-9))) < 2.5
        hidden = (kind == 12) | (kind == 14) | (kind == 16)
        x, y = ak.sum(px[hidden], axis=1), ak.sum(py[hidden], axis=1)
        lepton = ((kind == 11) | (kind == 13)) & (pt > 40) & central
        single = ak.to_numpy(ak.num(pt[lepton]) == 1)
        missing = ak.to_numpy(np.hypot(x, y))
        along = ak.to_numpy(ak.sum(px[lepton] * x + py[lepton] * y, axis=1))
        square = 2 * (ak.to_numpy(ak.sum(pt[lepton], axis=1)) * missing - along)
        mt = np.where(single, np.sqrt(np.maximum(square, 0)), -1)
        jets = ak.to_numpy(ak.sum(((kind < 6) | (kind == 21)) & (pt > 30) & central, axis=1))
        found.append(np.stack([missing, mt, jets], axis=1))
        weight.append(trials.weight)
        drawn = trials.drawn_weight[-1]
    return np.column_stack([np.concatenate(weight) / drawn, np.concatenate(found)])


def unfavoured(pythia, options):
    """All collisions as Pythia draws them, with the weights of the slice."""
    return importance_hook(pythia, lambda process: replace(after_process(process, options), target=1e-12))


@pytest.mark.slow
@pytest.mark.parametrize("number", [0, 1, 2])
def test_targets_at_all_stages_do_not_bias(number):
    """With and without targets the same sums over what looks selected, within 4 errors of 6 to 30 %, in bins
    of missing momentum, m_T and jets; the soft slice of one lepton has too few such events."""
    settings = find("ttbar-1l").slices[number].pythia
    plain = seen_of_events(settings, unfavoured, 40_000, 5)
    targets = seen_of_events(settings, top_pairs, 20_000, 6)
    compared = 0
    for low, high in ((100, 150), (150, 200), (200, 300), (300, 1e9)):
        for jets in (0, 3, 4):
            for least, most in ((0, 95), (95, 1e9)):
                sums = []
                for weight, missing, mt, found in (plain.T, targets.T):
                    here = (missing > low) & (missing < high) & (mt >= least) & (mt < most) & (found >= jets)
                    sums.append((weight[here].sum(), (weight[here] ** 2).sum(), here.sum()))
                (one, its, many), (other, others, _) = sums
                if many > 60:
                    assert abs(one - other) < 4 * math.sqrt(its + others), (low, jets, least)
                    compared += 1
    assert compared >= 9
