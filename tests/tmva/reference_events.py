"""The events that the reference files were trained on: TMVA's own choice from ROOT's tutorial file.

TMVA of 2015 shuffled the events of each class with ``std::random_shuffle`` and ROOT's generator
(SplitSeed=100) and took the first thousand; weights of a class were scaled to a mean of 1
(NormMode=NumEvents).
"""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np
import ROOT
import uproot

from hepml_root.tmva.data_sets.events import DataSet, Sample
from hepml_root.tmva.weights.header import Variable

FOLDER = f"{ROOT.gROOT.GetTutorialDir()}/machine_learning/data/"
LABELS = ("myvar1", "myvar2", "var3", "var4")
EXPRESSIONS = ("var1+var2", "var1-var2", "var3", "var4")


def _shuffled(generator, count: int) -> np.ndarray:
    places = list(range(count))
    for i in range(1, count):
        j = generator.Integer(i + 1)
        places[i], places[j] = places[j], places[i]
    return np.array(places)


@functools.cache
def _columns() -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """Variables and weights of signal and background."""
    file = uproot.open(FOLDER + "tmva_class_example.root")
    found = []
    for name in ("TreeS", "TreeB"):
        columns = file[name].arrays(library="np")
        var1, var2 = columns["var1"].astype(np.float32), columns["var2"].astype(np.float32)
        variables = np.stack([var1 + var2, var1 - var2, columns["var3"], columns["var4"]], axis=1)
        weights = columns.get("weight", np.ones(len(var1)))
        found.append((variables.astype(np.float32), np.asarray(weights, np.float64)))
    return tuple(found)


def _sample(variables, weights) -> Sample:
    counts = [len(part) for part in weights]
    scaled = [part / part.mean() for part in weights]
    nothing = np.zeros((sum(counts), 0), np.float32)
    return Sample(
        np.concatenate(variables),
        nothing,
        nothing,
        np.repeat(np.arange(len(counts), dtype=np.int32), counts),
        np.concatenate(scaled),
    )


def _described(labels, expressions, values) -> tuple[Variable, ...]:
    low, high = values.min(axis=0).tolist(), values.max(axis=0).tolist()
    return tuple(
        Variable(expression, label, label, "", label, "F", *ends)
        for expression, label, *ends in zip(expressions, labels, low, high, strict=True)
    )


@functools.cache
def toy(train: int = 1000, seed: int = 100) -> DataSet:
    """ROOT's toy sample; with the defaults the training events of the reference."""
    generator = ROOT.TRandom3(seed)
    orders = [_shuffled(generator, len(weights)) for _, weights in _columns()]
    parts = [
        [(variables[order[rows]], weights[order[rows]]) for rows in (slice(train), slice(train, None))]
        for (variables, weights), order in zip(_columns(), orders, strict=True)
    ]
    training, test = (_sample([part[i][0] for part in parts], [part[i][1] for part in parts]) for i in (0, 1))
    described = _described(LABELS, EXPRESSIONS, training.variables)
    return DataSet("dataset", "Classification", described, (), (), ("Signal", "Background"), training, test)


@functools.cache
def toy_in_order() -> Sample:
    """The training events of the reference in TMVA's order: shuffled once more, all together."""
    generator = ROOT.TRandom3(100)
    for _, weights in _columns():
        _shuffled(generator, len(weights))
    events = toy().training
    return events.take(_shuffled(generator, len(events)))


def bagged(fraction: float, events: int, seed: int = 1234) -> np.ndarray:
    """The rows of TMVA's first random sample for trees."""
    generator = ROOT.TRandom3(seed)
    times = [int(generator.PoissonD(fraction)) for _ in range(events)]
    return np.repeat(np.arange(events, dtype=np.int32), times)


def toy_regression(train: int = 1000) -> DataSet:
    """ROOT's regression sample: the target "fvalue" of var1 and var2."""
    file = uproot.open(FOLDER + "tmva_reg_example.root")
    columns = file["TreeR"].arrays(library="np")
    values = np.stack([columns["var1"], columns["var2"]], axis=1).astype(np.float32)
    targets = columns["fvalue"].astype(np.float32)[:, None]
    rows = np.random.default_rng(1).permutation(len(values))

    def sample(chosen) -> Sample:
        count = len(chosen)
        nothing = np.zeros((count, 0), np.float32)
        return Sample(values[chosen], nothing, targets[chosen], np.zeros(count, np.int32), np.ones(count))

    variables = _described(("var1", "var2"), ("var1", "var2"), values)
    target = _described(("fvalue",), ("fvalue",), targets)
    return DataSet(
        "dataset", "Regression", variables, (), target, ("Regression",),
        sample(rows[:train]), sample(rows[train:]),
    )  # fmt: skip


def higgs(names, train: int = 7000, seed: int = 100) -> DataSet:
    """ROOT's Higgs sample with some of its variables; events are chosen as in :func:`toy`."""
    file = uproot.open(FOLDER + "Higgs_data.root")
    generator = ROOT.TRandom3(seed)
    parts = []
    for tree in ("sig_tree", "bkg_tree"):
        columns = file[tree].arrays(list(names), library="np")
        values = np.stack([columns[name] for name in names], axis=1).astype(np.float32)
        parts.append(values[_shuffled(generator, len(values))])
    training, test = (
        _sample([part[rows] for part in parts], [np.ones(len(part[rows])) for part in parts])
        for rows in (slice(train), slice(train, None))
    )
    variables = _described(names, names, training.variables)
    return DataSet("dataset", "Classification", variables, (), (), ("Signal", "Background"), training, test)


def with_training(data: DataSet, **changes) -> DataSet:
    """The same data with other training events."""
    return replace(data, training=replace(data.training, **changes))


def area(response, sample: Sample) -> float:
    """Area under the ROC curve with weights, unbinned; equal responses count half."""
    order = np.argsort(response, kind="stable")
    values, classes, weights = np.asarray(response)[order], sample.classes[order], sample.weights[order]
    starts = np.unique(values, return_index=True)[1]
    signal = np.add.reduceat(np.where(classes == 0, weights, 0.0), starts)
    background = np.add.reduceat(np.where(classes == 0, 0.0, weights), starts)
    below = np.cumsum(background) - background / 2
    return float(signal @ below / (signal.sum() * background.sum()))
