"""PyAdaBoost: trees, each trained on weights that are higher where the last ones were wrong.

With probabilities (SAMME.R), of K classes, clipped to be above ε:

    w → w exp(−η (K−1)/K y·log pₜ(x)),  y = 1 for the class of the event and −1/(K−1) for others
    D = 1/T Σₜ (K−1) (log pₜ − mean over the classes)

With classes (SAMME): D = Σₜ αₜ y(hₜ(x)) / Σₜ αₜ. The response is softmax(D / (K−1)). scikit-learn trains the
trees; it has taken SAMME.R out, so that this boosting is done here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hepml_root.tmva.console import Console
from hepml_root.tmva.data_sets.events import DataSet
from hepml_root.tmva.methods.checks import (
    at_least,
    check_classes,
    positive,
    refuse_negative_weights,
    refused,
    whole_or_none,
)
from hepml_root.tmva.methods.method import Booking, Method, Trained, ranked
from hepml_root.tmva.methods.scikit_trees import add_tree, own_graph, probabilities, tree_of_text
from hepml_root.tmva.options.scikit import ADA_BOOST
from hepml_root.tmva.weights.conversion import INPUT
from hepml_root.tmva.weights.graph import Forest, Graph

_LEAST = float(np.finfo(np.float64).eps)
_Boosted = tuple[list[Any], NDArray[np.float64], NDArray[np.float64]]  # trees, their weights, their errors


class AdaBoost(Method):
    """AdaBoost; see the module. Reference: J. Zhu et al., Statistics and Its Interface 2 (2009) 349."""

    type_name = "PyAdaBoost"
    own_options = ADA_BOOST
    analyses = ("Classification", "Multiclass")
    summary = "Small trees, each trained with more weight where the last ones were wrong (scikit-learn)."
    help = """Each tree is trained with more weight for events that the trees before it took wrong. Trees
of one cut (BaseEstimator=None) cannot use correlations: take DecisionTreeClassifier(max_depth=2) or 3,
with fewer of them, or a smaller LearningRate."""

    def __init__(self, booking: Booking) -> None:
        super().__init__(booking)
        self._ranking: list[tuple[str, float]] | None = None
        from sklearn.tree import DecisionTreeClassifier

        self._rate = positive(booking, "LearningRate")
        self._count = int(at_least(booking, "NEstimators", 1))
        self._seed = whole_or_none(booking, "RandomState", 0)
        self._tree = tree_of_text(booking, "BaseEstimator", DecisionTreeClassifier().get_params())
        try:
            DecisionTreeClassifier(**self._tree).fit([[0.0], [1.0]], [0, 1])
        except (ValueError, TypeError) as error:
            text = booking.options["BaseEstimator"]
            raise refused(booking, "BaseEstimator", text, f"another value ({str(error)[:120]})") from error

    def ranking(self) -> list[tuple[str, float]] | None:
        """Return the variables by how much their cuts have lowered the impurity, the best first."""
        return self._ranking

    def train(self, data: DataSet, console: Console) -> Trained:
        check_classes(self.booking, data)
        refuse_negative_weights(
            self.booking, data, "Boosting multiplies weights, and takes them as probabilities."
        )
        trees, factors, errors = self._with_probabilities(data) if self._real else self._with_classes(data)
        classes = len(data.classes)
        # Of trees that are near guessing as little as they tell: SAMME.R gives all the same weight.
        inside = np.clip(errors, _LEAST, 0.5)
        told = np.log((1.0 - inside) / inside)
        importance = told @ np.array([tree.feature_importances_ for tree in trees])
        self._ranking = ranked(data.labels, importance / max(importance.sum(), _LEAST))
        forest = Forest(classes)
        for tree, factor in zip(trees, factors / factors.sum(), strict=True):
            shares = probabilities(tree.tree_)
            if self._real:
                logs = np.log(np.clip(shares, _LEAST, None))
                answers = (logs - logs.mean(axis=1, keepdims=True)) * factor
            else:
                chosen = np.eye(classes)[shares.argmax(axis=1)]
                answers = (chosen - (1.0 - chosen) / (classes - 1)) * factor / (classes - 1)
            add_tree(forest, tree.tree_, answers)
        console.line(f"{len(trees)} trees of at most {self._count} were needed.")
        graph = Graph(INPUT)
        decision = forest.add_to(graph, INPUT)
        result = own_graph(graph, self.booking.title, data, graph.add("Softmax", decision, axis=1))
        boosting = {"iTree": np.arange(len(trees)), "boostWeight": factors, "errorFraction": errors}
        return Trained(result, {"MonitorNtuple": boosting})

    @property
    def _real(self) -> bool:
        return bool(self.options["Algorithm"] == "SAMME.R")

    def _with_probabilities(self, data: DataSet) -> _Boosted:
        from sklearn.tree import DecisionTreeClassifier

        sample, classes = data.training, len(data.classes)
        weights = sample.weights / sample.weights.sum()
        codes = np.where(np.eye(classes)[sample.classes] > 0, 1.0, -1.0 / (classes - 1))
        random = np.random.RandomState(self._seed)
        trees: list[Any] = []
        errors = []
        for _ in range(self._count):
            tree = DecisionTreeClassifier(**{"random_state": random.randint(2**31 - 1)} | self._tree)
            tree.fit(sample.variables, sample.classes, weights)
            trees.append(tree)
            shares = np.clip(probabilities(tree.tree_)[tree.apply(sample.variables)], _LEAST, None)
            errors.append(float(weights[shares.argmax(axis=1) != sample.classes].sum()))
            if not errors[-1] > 0.0:
                break  # nothing is left to learn
            score = (codes * np.log(shares)).sum(axis=1)
            weights = weights * np.exp(-self._rate * (classes - 1.0) / classes * score)
            weights /= weights.sum()
        return trees, np.ones(len(trees)), np.array(errors)

    def _with_classes(self, data: DataSet) -> _Boosted:
        from sklearn.ensemble import AdaBoostClassifier
        from sklearn.tree import DecisionTreeClassifier

        sample = data.training
        model = AdaBoostClassifier(
            DecisionTreeClassifier(**self._tree), n_estimators=self._count, learning_rate=self._rate,
            random_state=self._seed,
        ).fit(sample.variables, sample.classes, sample.weights)  # fmt: skip
        trees = model.estimators_
        return trees, model.estimator_weights_[: len(trees)], model.estimator_errors_[: len(trees)]
