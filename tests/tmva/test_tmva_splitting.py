"""TMVA's split: how many events go where, in which order, and what is normalised."""

from __future__ import annotations

import numpy as np
import pytest

from hepml_root.errors import WeightError
from hepml_root.tmva.data_sets.splitting import Available, normalisation, split
from hepml_root.tmva.options.declaration import parse
from hepml_root.tmva.options.factory import split_options

pytest.importorskip("ROOT")
CLASSES = ("Signal", "Background")


def test_normalisation_needs_positive_sums():
    with pytest.raises(WeightError, match="'Background'"):
        normalisation("NumEvents", [np.ones(3), np.array([1.0, -1.0])], CLASSES)


def available(training: int, test: int, either: int) -> Available:
    places = np.arange(training + test + either)
    return Available(
        "Signal", places[:training], places[training : training + test], places[training + test :]
    )


@pytest.mark.parametrize(
    ("there", "options", "training", "test"),
    [
        ((0, 0, 10), "", 5, 5),
        ((0, 0, 11), "", 5, 5),  # one is left out, as in TMVA
        ((3, 1, 4), "", 4, 4),
        ((9, 1, 2), "", 9, 3),  # trees for both cannot make them equal
        ((0, 0, 10), "nTrain_Signal=7", 7, 3),
        ((0, 0, 10), "nTest_Signal=7", 3, 7),
        ((4, 0, 6), "nTrain_Signal=2", 2, 6),  # events of training trees are never for the test
        ((0, 0, 10), "nTrain_Signal=3:nTest_Signal=2", 3, 2),
        ((0, 0, 10), "TrainTestSplit_Signal=0.8", 8, 2),
        ((0, 0, 10), "nTrain_Signal=5:ScaleWithPreselEff", 5, 5),
    ],
)
@pytest.mark.parametrize("mode", ["Random", "Block"])
def test_sizes_of_the_samples(there, options, training, test, mode):
    chosen = parse(split_options(["Signal"]), f"{options}:SplitMode={mode}")
    for_training, for_test = split([available(*there)], chosen)
    assert (len(for_training.rows), len(for_test.rows)) == (training, test)
    both = [*for_training.rows, *for_test.rows]
    assert len(set(both)) == len(both)
    only_training, only_test = there[0], there[0] + there[1]
    assert not any(row < only_training for row in for_test.rows)
    assert not any(only_training <= row < only_test for row in for_training.rows)


def test_scale_with_the_efficiency_of_the_cuts():
    one = Available("Signal", np.arange(0), np.arange(0), np.arange(10), cut_efficiency=0.4)
    chosen = parse(split_options(["Signal"]), "nTrain_Signal=5:ScaleWithPreselEff")
    assert len(split([one], chosen)[0].rows) == 2


def test_order_of_the_classes():
    classes = [available(0, 0, 6), available(0, 0, 4)]
    alternate = parse(split_options(["Signal"]), "SplitMode=Alternate")
    training, test = split(classes, alternate)
    assert training.classes.tolist() == [0, 1, 0, 1, 0]
    assert training.rows.tolist() == [0, 0, 2, 2, 4]
    assert test.rows.tolist() == [1, 1, 3, 3, 5]
    block = parse(split_options(["Signal"]), "SplitMode=Block")
    assert split(classes, block)[0].classes.tolist() == [0, 0, 0, 1, 1]
    mixed = parse(split_options(["Signal"]), "SplitMode=Block:MixMode=Random:SplitSeed=3")
    assert sorted(split(classes, mixed)[0].classes.tolist()) == [0, 0, 0, 1, 1]


def test_seeds_choose_the_same_events():
    def chosen(seed: int) -> list[int]:
        options = parse(split_options(["Signal"]), f"SplitSeed={seed}")
        return split([available(0, 0, 100)], options)[0].rows.tolist()

    assert chosen(100) == chosen(100)
    assert chosen(100) != chosen(101)
    assert chosen(0) != chosen(0)  # another seed each time
