"""Classifier two-sample test: what a network or boosted trees see that one distribution would not have."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hepml_root.errors import EmptySelectionError, SettingError, unknown
from hepml_root.evaluation.distances import positive_weights
from hepml_root.evaluation.estimate import Estimate, to_json
from hepml_root.evaluation.frechet import checked_features
from hepml_root.evaluation.roc import Roc, roc_curve

KINDS = ("network", "boosted")
#: The classifier of the CaloChallenge, arXiv:2410.21611: for :func:`classifier_test` as keyword arguments.
CHALLENGE: dict[str, Any] = {
    "hidden": (512, 512),
    "activation": "leaky_relu",
    "learning_rate": 2e-4,
    "batch_size": 1000,
    "epochs": 50,
    "patience": 50,
}
_FEWEST = 50


@dataclasses.dataclass(frozen=True)
class ClassifierTest:
    """What a classifier reached on events that it was not trained on.

    Attributes
    ----------
    auc
        Area under the ROC curve: 0.5 if the samples cannot be told apart, 1 if each event can. Its error is
        that of the held-out events.
    roc
        The curve, generated events being the signal.
    kind, features
        Which classifier, and how many inputs it had.
    training, test
        Numbers of events, both samples together.
    """

    auc: Estimate
    roc: Roc
    kind: str
    features: int
    training: int
    test: int

    def to_dict(self) -> dict[str, Any]:
        return to_json(self)


def classifier_test(
    first: ArrayLike,
    second: ArrayLike,
    *,
    first_weights: ArrayLike | None = None,
    second_weights: ArrayLike | None = None,
    kind: str = "network",
    hidden: Sequence[int] = (128, 128),
    activation: str = "relu",
    learning_rate: float = 1e-3,
    batch_size: int = 250,
    epochs: int = 30,
    patience: int = 6,
    trees: int = 400,
    max_events: int | None = 20_000,
    threads: int | None = None,
    bootstrap: int = 100,
    seed: int = 1,
) -> ClassifierTest:
    r"""Train a classifier to tell two samples apart, and return its AUC on events that were held out.

    60 % of the events of each sample train, 20 % choose the epoch (or the number of trees), 20 % are the
    test, as in the CaloChallenge. If p and q are the densities, no classifier is better than the one of p/q;
    so a value of 0.5 says that this classifier, with so many events, found nothing, and a larger one that
    there is something. Values can be compared only for the same classifier and number of events.

    Arguments
    ---------
    first, second
        Inputs (events, features) of the source and of the generator. Networks standardise them.
    first_weights, second_weights
        Weights (events,); 1 if None. Both samples are scaled to the same sum for the training.
    kind
        "network", a multilayer perceptron, or "boosted", LightGBM.
    hidden, activation, learning_rate, batch_size, epochs, patience
        Of the network; the defaults take seconds to a minute, ``**CHALLENGE`` are the published ones.
    trees
        Of the boosted trees, at most.
    max_events
        Of each sample, at most; None for all.
    threads
        Of LightGBM; all cores if None.
    bootstrap, seed
        Replicas for the error, and seed of the split, the weights and the replicas.

    Raises
    ------
    SettingError
        The kind is unknown, or a setting out of range.
    EmptySelectionError
        A sample has fewer than 50 events.
    MissingDependencyError
        LightGBM is not installed.
    ShapeError, NonFiniteInputError, WeightError
        The arrays cannot be used.

    Reference: arXiv:1610.06545 (classifier tests), arXiv:2106.05285 (for showers), arXiv:2410.21611.

    Example
    -------
    >>> generator = np.random.default_rng(1)
    >>> one, two = generator.normal(size=(2, 2000, 1))
    >>> found = classifier_test(one, two + 1.0, kind="boosted", trees=30, threads=1)
    >>> abs(found.auc.value - 0.760) < 4 * found.auc.error  # the truth is Φ(1/√2)
    True
    """
    if kind not in KINDS:
        raise SettingError(unknown("classifier", kind, KINDS))
    one, two = checked_features(first, second)
    if min(len(one), len(two)) < _FEWEST:
        raise EmptySelectionError(
            f"{len(one)} and {len(two)} events: a classifier test needs at least {_FEWEST} of each sample."
        )
    if max_events is not None and max_events < _FEWEST:
        raise SettingError(
            f"max_events={max_events}: a classifier test needs at least {_FEWEST} of each sample."
        )
    generator = np.random.default_rng(seed)
    tables, flags, weights, parts = [], [], [], []
    for label, (name, table, given) in enumerate(
        (("the first sample", one, first_weights), ("the second sample", two, second_weights))
    ):
        w = positive_weights(name, given, len(table))
        rows = generator.permutation(len(table))[:max_events]
        tables.append(table[rows])
        weights.append(w[rows])
        flags.append(np.full(len(rows), label))
        # Positions are random already: 60 % training, 20 % validation, 20 % test.
        parts.append(np.searchsorted([0.6, 0.8], (np.arange(len(rows)) + 0.5) / len(rows)))
    x, y = np.concatenate(tables).astype(np.float32), np.concatenate(flags)
    w, part = np.concatenate(weights), np.concatenate(parts)
    settings = {
        "hidden": tuple(hidden), "activation": activation, "learning_rate": learning_rate,
        "batch_size": batch_size, "epochs": epochs, "patience": patience, "trees": trees, "threads": threads,
    }  # fmt: skip
    scores = _scores(kind, x, y, w, part, settings, seed)
    test = part == 2
    roc = roc_curve(scores, y[test], w[test], bootstrap=bootstrap, seed=seed)
    return ClassifierTest(roc.auc, roc, kind, x.shape[1], int((part == 0).sum()), int(test.sum()))


def _scores(kind: str, x: Any, y: Any, w: Any, part: Any, settings: dict[str, Any], seed: int) -> Any:
    """Train on part 0, choose on part 1, and return the scores (events,) of part 2."""
    from hepml_root.data.dataset import Dataset

    data = Dataset.from_arrays(x, y, weight=w, classes=("source", "generated"), signal="generated")
    train, validation, test = (data[part == number] for number in (0, 1, 2))
    if kind == "boosted":
        from hepml_root.models.boosted import boosted

        model: Any = boosted(
            train, validation, trees=settings["trees"], seed=seed, threads=settings["threads"]
        )
        return model.predict(test)[:, 0]
    from hepml_root.evaluation.prediction import predict
    from hepml_root.models.dense import dense
    from hepml_root.training.fit import fit

    model = dense(train, settings["hidden"], activation=settings["activation"], seed=seed, name="two_sample")
    fit(
        model, train, validation=validation, learning_rate=settings["learning_rate"],
        epochs=settings["epochs"], batch_size=settings["batch_size"], patience=settings["patience"],
        seed=seed, verbose=False,
    )  # fmt: skip
    return predict(model, test)[:, 0]
