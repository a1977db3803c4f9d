"""Cuts before the trees of a BDT: found, applied, written and read."""

from __future__ import annotations

import numpy as np
import pytest

from hepml_root import tmva as TMVA
from hepml_root.errors import EmptySelectionError
from hepml_root.tmva.weights.preselection import PreselectionCut, decided, find_cuts


def samples(seed: int = 1) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Only background below x = 0, only signal above x = 0.8; y is the same for both."""
    rng = np.random.default_rng(seed)
    return (
        {"x": rng.uniform(0, 1, 1000), "y": rng.normal(size=1000)},
        {"x": rng.uniform(-0.4, 0.8, 1000), "y": rng.normal(size=1000)},
    )


def test_what_is_found():
    signal, background = samples()
    variables = np.stack([np.concatenate([signal[n], background[n]]) for n in ("x", "y")], axis=1)
    flags = np.repeat([True, False], 1000)
    cuts = find_cuts(variables, flags, np.ones(2000))
    assert [(cut.variable, cut.above, cut.answer) for cut in cuts] == [(0, False, -1.0), (0, True, 1.0)]
    # At the last event of the other class, and a hundredth of the range of 1.4 further in.
    assert cuts[0].cut == pytest.approx(-0.014, abs=0.005)
    assert cuts[1].cut == pytest.approx(0.814, abs=0.005)
    answers = decided(cuts, variables)
    assert set(answers[flags]) == {0.0, 1.0}
    assert set(answers[~flags]) == {0.0, -1.0}
    # Less than 5 % of a class alone is no cut.
    assert find_cuts(variables, flags, np.where(np.abs(variables[:, 0] - 0.4) > 0.4, 1e-3, 1.0)) == ()


def test_the_last_cut_counts():
    cuts = (PreselectionCut(0, False, 1.0, -1.0), PreselectionCut(1, True, 2.0, 1.0))
    assert decided(cuts, np.array([[0.0, 3.0], [0.0, 0.0], [5.0, 0.0]])).tolist() == [1.0, -1.0, 0.0]


@pytest.mark.parametrize("boost", ["AdaBoost", "Grad"])
def test_the_factory_trains_writes_and_reads_them(boost, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    loader = TMVA.DataLoader("dataset")
    loader.AddVariable("x")
    loader.AddVariable("y")
    signal, background = samples()
    loader.AddSignalTree(signal)
    loader.AddBackgroundTree(background)
    loader.PrepareTrainingAndTestTree("", "SplitMode=Alternate:!V")
    factory = TMVA.Factory("job", "Silent:AnalysisType=Classification")
    factory.BookMethod(loader, "BDT", "BDT", f"NTrees=10:BoostType={boost}:DoPreselection")
    factory.TrainAllMethods()
    factory.TestAllMethods()
    cuts = TMVA.read_weights("dataset/weights/job_BDT.weights.xml").weights.preselection
    assert len(cuts) == 2
    result = factory.result(loader, "BDT")
    x = result.data.test.variables[:, 0].astype(np.float64)
    assert (result.test[x < cuts[0].cut, 0] == -1).all()
    assert (result.test[x > cuts[1].cut, 0] == 1).all()
    between = (x > cuts[0].cut) & (x < cuts[1].cut)
    assert np.abs(result.test[between, 0]).max() < 1


def test_classes_that_cuts_tell_apart_leave_nothing_to_learn(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(1)
    loader = TMVA.DataLoader("dataset")
    loader.AddVariable("x")
    loader.AddSignalTree({"x": rng.uniform(5, 6, 100)})
    loader.AddBackgroundTree({"x": rng.uniform(0, 1, 100)})
    factory = TMVA.Factory("job", "Silent:AnalysisType=Classification")
    factory.BookMethod(loader, "BDT", "BDT", "NTrees=10:DoPreselection")
    with pytest.raises(EmptySelectionError, match="DoPreselection tells the classes apart"):
        factory.TrainAllMethods()
