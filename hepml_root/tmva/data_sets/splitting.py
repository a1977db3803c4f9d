"""Training and test events: TMVA's split, its order of events, and its renormalisation of weights.

The events of a class are those of trees for training, of trees for the test, and of trees for both; the last
are divided. With SplitMode=Random they are shuffled first; the generator goes on from class to class, then
to what is left out, then to the order of the whole sample, as in TMVA, so that SplitSeed chooses the same
events as there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hepml_root.data.feed_library import import_root
from hepml_root.errors import EmptySelectionError, SettingError, WeightError
from hepml_root.tmva.data_sets.interpreter import declared
from hepml_root.tmva.options.declaration import Options

_Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Available:
    """The events of one class: which are for training, for the test, and for either; how many the cut left.

    Rows count the events of the class from 0.
    """

    name: str
    training: _Rows
    test: _Rows
    either: _Rows
    cut_efficiency: float = 1.0


class _Shuffle:
    def __init__(self, seed: int) -> None:
        self._shuffle = declared("shuffle.hxx").Shuffle(seed)

    def __call__(self, rows: _Rows) -> _Rows:
        if not len(rows):
            return rows
        shuffled: _Rows = rows[np.array(self._shuffle.order(len(rows)), np.int64)]
        return shuffled

    def without(self, rows: _Rows, keep: int) -> _Rows:
        """Return ``keep`` of the rows, in their order: the others are chosen at random."""
        if len(rows) <= keep:
            return rows
        places = self(np.arange(len(rows)))
        kept: _Rows = rows[np.sort(places[len(rows) - keep :])]
        return kept


@dataclass(frozen=True)
class Order:
    """The events of a sample, in its order: the class of each, and its row in that class."""

    classes: NDArray[np.int32]
    rows: _Rows


def split(classes: Sequence[Available], options: Options) -> tuple[Order, Order]:
    """Divide the events of all classes.

    Arguments
    ---------
    classes
        In the order of their indices.
    options
        Those of PrepareTrainingAndTestTree (``options.factory.split_options``).

    Returns
    -------
    The order of the training events, and that of the test events.

    Raises
    ------
    SettingError
        More events are asked for than there are.
    EmptySelectionError
        A class has no event for training, or the test has none at all.
    """
    shuffle = _Shuffle(seeded(int(options["SplitSeed"])))
    mode = options["SplitMode"]
    mix = mode if options["MixMode"] == "SameAsSplitMode" else options["MixMode"]
    unassigned = [shuffle(one.either) if mode == "Random" else one.either for one in classes]
    divided = [
        _divided(one, either, options, shuffle) for one, either in zip(classes, unassigned, strict=True)
    ]
    training, test = [found for found, _ in divided], [found for _, found in divided]
    for one, rows in zip(classes, training, strict=True):
        if not len(rows):
            raise EmptySelectionError(f"the class '{one.name}' has no event for training.")
    if not sum(len(rows) for rows in test):
        raise EmptySelectionError("there is no event for the test: take fewer for training (nTrain_<class>).")
    return _mixed(training, mix, shuffle), _mixed(test, mix, shuffle)


def _divided(one: Available, either: _Rows, options: Options, shuffle: _Shuffle) -> tuple[_Rows, _Rows]:
    scale = one.cut_efficiency if options["ScaleWithPreselEff"] else 1.0
    there = len(one.training) + len(one.test) + len(either)
    share = float(options[f"TrainTestSplit_{one.name}"])
    wanted_training = int(options[f"nTrain_{one.name}"] * scale)
    wanted_test = int(options[f"nTest_{one.name}"] * scale)
    if min(wanted_training, wanted_test) < 0:
        raise SettingError(f"class '{one.name}': a negative number of events was asked for.")
    if share:
        if not 0.0 < share < 1.0:
            raise SettingError(f"TrainTestSplit_{one.name}={share}: a number between 0 and 1 is needed.")
        wanted_training, wanted_test = int(share * there * scale), 0
    use_training, use_test, wanted_training, wanted_test = _numbers(
        len(one.training), len(one.test), len(either), wanted_training, wanted_test
    )
    more = max(use_training - len(one.training), 0) + max(use_test - len(one.test), 0)
    if options["SplitMode"] == "Alternate":
        training, test = _alternately(one, either, wanted_training)
    else:
        if more > len(either) or use_training < wanted_training or use_test < wanted_test:
            raise SettingError(
                f"class '{one.name}': {max(wanted_training, 0)} events for training and "
                f"{max(wanted_test, 0)} for the test "
                f"were asked for; there are {there} ({len(one.training)} for training only, "
                f"{len(one.test)} for the test only)."
            )
        first = max(use_training - len(one.training), 0)
        second = max(use_test - len(one.test), 0)
        training = np.concatenate([one.training, either[:first]])
        test = np.concatenate([one.test, either[first : first + second]])
    if options["SplitMode"] == "Random":
        return shuffle.without(training, wanted_training), shuffle.without(test, wanted_test)
    return training[:wanted_training], test[:wanted_test]


def _numbers(
    training: int, test: int, either: int, wanted: int, wanted_test: int
) -> tuple[int, int, int, int]:
    """Return the sizes to choose from, and the sizes wanted: 0 asked for is all the rest."""
    there = training + test + either
    if not wanted and not wanted_test:
        if either >= abs(training - test):
            wanted = wanted_test = there // 2
        elif training < test:
            wanted, wanted_test = training + either, test
        else:
            wanted, wanted_test = training, test + either
        return wanted, wanted_test, wanted, wanted_test
    if not wanted_test:
        use = max(wanted, training)
        return use, there - use, wanted, there - use
    if not wanted:
        use = max(wanted_test, test)
        return there - use, use, there - use, wanted_test
    free = max(either - max(wanted - training, 0) - max(wanted_test - test, 0), 0)
    use = max(wanted, training) + free // 2
    return use, there - use, wanted, wanted_test


def _alternately(one: Available, either: _Rows, wanted_training: int) -> tuple[_Rows, _Rows]:
    """One for training, one for the test, until training has what it wants."""
    room = max(wanted_training - len(one.training), 0)
    turns = min(room, (len(either) + 1) // 2)
    first = np.zeros(len(either), bool)
    first[: 2 * turns : 2] = True
    return np.concatenate([one.training, either[first]]), np.concatenate([one.test, either[~first]])


def _mixed(rows: Sequence[_Rows], mode: str, shuffle: _Shuffle) -> Order:
    """Put the classes into one order."""
    which = np.repeat(np.arange(len(rows), dtype=np.int32), [len(found) for found in rows])
    row = np.concatenate(rows)
    if mode == "Random":
        order = shuffle(np.arange(len(row)))
    elif mode == "Alternate":
        place = np.concatenate([np.arange(len(found)) for found in rows])
        # Turns go on while every class has events; then come the rest, class by class.
        turns = min(map(len, rows))
        order = np.lexsort(
            (np.where(place < turns, which, place), np.where(place < turns, place, turns + which))
        )
    else:
        order = np.arange(len(row))
    return Order(which[order], row[order])


def normalisation(mode: str, weights: Sequence[NDArray[np.float64]], names: Sequence[str]) -> list[float]:
    """Return the factor of each class for the weights of its training events.

    Arguments
    ---------
    mode
        ``None``; ``NumEvents``: mean 1 in each class; ``EqualNumEvents``: mean 1 in the first class, and
        the sum of all others as large.
    weights
        Those of the training events of each class.

    Raises
    ------
    WeightError
        The weights of a class have a sum that is not positive.
    """
    factors = []
    for name, found in zip(names, weights, strict=True):
        if mode == "None":
            factors.append(1.0)
            continue
        total = float(found.sum())
        if total <= 0:
            raise WeightError(
                f"class '{name}': the weights of its training events have the sum {total:g}, which cannot be "
                "normalised. Take NormMode=None, or more events."
            )
        events = len(found) if mode == "NumEvents" else len(weights[0])
        factors.append(events / total)
    return factors


def seeded(seed: int) -> int:
    """Return a seed: TMVA takes 0 for one of its own."""
    return int(import_root().TRandom3(0).GetSeed()) if seed == 0 else seed
