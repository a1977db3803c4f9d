"""Importance sampling: sums of weights are what they are without it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hepml_root.errors import HepmlError
from hepml_root.simulation import find
from hepml_root.simulation.importance import Worth, importance_hook
from hepml_root.simulation.pythia import cross_section, start

TOP_PAIRS = ("Beams:eCM = 14000.", "Top:gg2ttbar = on", "Top:qqbar2ttbar = on")
BIASED = ("PhaseSpace:bias2Selection = on", "PhaseSpace:bias2SelectionPow = 2.")
# The hard process and its decays only; with PartonLevel:all = off, Pythia gives no events to nextBatch.
BARE = (*(f"PartonLevel:{part} = off" for part in ("MPI", "ISR", "FSR")), "HadronLevel:all = off")


def drawn(settings, events, target=None, seed=1):
    """Weights and p̂T of top pairs that are kept, and the sum of weights of all that were drawn."""
    found = []

    def after_process(process):
        pt = process[5].pT()
        return Worth(1e-9 if target is None else target(pt), 1.0, (pt,))

    pythia, hook = start((*TOP_PAIRS, *settings, *BARE), seed, lambda p: importance_hook(p, after_process))
    trials = hook.trials(pythia.nextBatch(events))
    found = trials.weight, trials.notes[:, 0], trials.drawn_weight[-1], trials.drawn[-1]
    return (*found, cross_section(pythia, before_vetoes=True))


def share(weight, pt, whole, low, high):
    """Share of events in a range of p̂T, and its error."""
    inside = weight[(pt > low) & (pt < high)]
    return inside.sum() / whole, math.sqrt((inside**2).sum()) / whole


def test_shares_and_the_cross_section_do_not_depend_on_what_is_drawn_and_kept():
    plain = drawn((), 2000)
    assert np.all(plain[0] == 1)
    assert plain[2] == plain[3] == 2000
    kept = drawn((), 1000, target=lambda pt: 1.0 if pt > 200 else 8.0, seed=2)
    assert set(kept[0]) == {1.0, 8.0}
    assert kept[3] > 3000  # drawn ones
    biased = drawn(BIASED, 1000, target=lambda pt: 2.0 if pt > 400 else 0.5, seed=3)
    # Within 4 errors; the relative errors are 3 % to 15 %.
    for low, high in ((50, 120), (200, 300), (300, 1e9)):
        expected, error = share(*plain[:3], low, high)
        for other in (kept, biased):
            found, its_error = share(*other[:3], low, high)
            assert abs(found - expected) < 4 * math.hypot(error, its_error), (low, found, expected)
    for other in (kept, biased):
        (first, error), (second, its_error) = plain[4], other[4]
        assert abs(first - second) < 4 * math.hypot(error, its_error)
        assert its_error < 0.05 * second


@pytest.mark.parametrize("stage", ["before_hadrons", "after_radiation"])
def test_what_is_decided_later_is_counted(stage):
    def trials(target):
        def decide(event, worth):
            assert worth.notes == (7.0,)
            # After radiation, the top quarks are not decayed.
            assert (event[event[5].iBotCopyId()].daughter1() == 0) == (stage == "after_radiation")
            return target(event.size())

        pythia, hook = start(
            (*TOP_PAIRS, "PartonLevel:MPI = off", "HadronLevel:all = off"),
            1,
            lambda p: importance_hook(p, lambda _: Worth(1e-9, 1.0, (7.0,)), **{stage: decide}),
        )
        return hook.trials(pythia.nextBatch(60))

    plain = trials(lambda _: 1e-9)
    assert plain.drawn.tolist() == list(range(1, 61))
    halved = trials(lambda _: 2.0)
    assert set(halved.weight) == {2.0}
    # 60 kept with probability 1/2: 120 ± 11 were drawn.
    assert abs(halved.drawn[-1] - 120) < 4 * 11
    odd = trials(lambda size: None if size % 2 else 1e-9)
    assert odd.drawn[-1] > 75
    assert np.all(np.diff(odd.drawn) >= 1)


def test_events_of_another_run_are_refused():
    pythia, hook = start((*TOP_PAIRS, *BARE), 1, lambda p: importance_hook(p, lambda _: Worth(1.0)))
    events = pythia.nextBatch(3)
    assert len(hook.trials(events).weight) == 3
    with pytest.raises(HepmlError, match="not seen"):
        hook.trials(events)


def test_the_branching_fractions_are_pythias():
    """Those of its slices, two leptons or one of the W+, add up to the share that the sample is of all."""
    sample = find("ttbar-1l")
    open_share = 0.0
    for number in (0, 2):
        settings = (*sample.pythia, *sample.slices[number].pythia, *BARE)
        pythia, hook = start(settings, 1, lambda p: sample.prepare(p, sample.options))
        open_share += pythia.particleData.resOpenFrac(24, -24)
        del hook
    assert open_share == pytest.approx(1 / sample.cross_section_factor, rel=1e-3)
