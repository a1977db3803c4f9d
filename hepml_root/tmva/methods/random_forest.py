"""PyRandomForest: trees trained on samples drawn with replacement, by scikit-learn.

    y = 1/T Σₜ p_signal,t(x)

with p the share of the signal's weights in the leaf of tree t; of several classes each has its share.
"""

from __future__ import annotations

from typing import Any

from hepml_root.tmva.console import Console
from hepml_root.tmva.data_sets.events import DataSet
from hepml_root.tmva.methods.checks import check_classes, refused
from hepml_root.tmva.methods.method import Booking, Method, Trained, ranked
from hepml_root.tmva.methods.scikit_trees import add_tree, own_graph, probabilities, tree_settings
from hepml_root.tmva.options.scikit import RANDOM_FOREST
from hepml_root.tmva.weights.conversion import INPUT
from hepml_root.tmva.weights.graph import Forest, Graph

_CLASS_WEIGHTS = {
    "None": None,
    "auto": "balanced",
    "balanced": "balanced",
    "subsample": "balanced_subsample",
    "balanced_subsample": "balanced_subsample",
}


class RandomForest(Method):
    """A random forest; see the module. Reference: L. Breiman, Machine Learning 45 (2001) 5."""

    type_name = "PyRandomForest"
    own_options = RANDOM_FOREST
    analyses = ("Classification", "Multiclass")
    summary = "The mean of trees that are trained on samples drawn with replacement (scikit-learn)."
    help = """Each tree is trained on a sample drawn from the events with replacement, and with some of
the variables at each cut; the response is the mean of their purities. It needs little tuning: take 100
trees or more (NEstimators), and MinSamplesLeaf of 5 or more where training is much better than test."""

    def __init__(self, booking: Booking) -> None:
        super().__init__(booking)
        self._ranking: list[tuple[str, float]] | None = None
        if self.options["OoBScore"] and not self.options["Bootstrap"]:
            raise refused(
                booking, "OoBScore", True, "Bootstrap: without it every tree sees all events, so that it"
            )
        if not self.options["NJobs"] >= -1 or not self.options["NJobs"]:
            raise refused(booking, "NJobs", self.options["NJobs"], "-1, or a number from 1")
        self._settings: dict[str, Any] = tree_settings(booking) | {
            "criterion": self.options["Criterion"],
            "bootstrap": self.options["Bootstrap"],
            "oob_score": self.options["OoBScore"],
            "n_jobs": self.options["NJobs"],
            "class_weight": _CLASS_WEIGHTS[self.options["ClassWeight"]],
        }

    def fit(self, data: DataSet) -> Any:
        """Return scikit-learn's forest, trained."""
        from sklearn.ensemble import RandomForestClassifier

        check_classes(self.booking, data)
        sample = data.training
        return RandomForestClassifier(**self._settings).fit(sample.variables, sample.classes, sample.weights)

    def ranking(self) -> list[tuple[str, float]] | None:
        """Return the variables by how much their cuts have lowered the impurity, the best first."""
        return self._ranking

    def train(self, data: DataSet, console: Console) -> Trained:
        model = self.fit(data)
        if self._settings["oob_score"]:
            console.line(f"Out-of-bag events that are classified rightly: {model.oob_score_:.4f}")
        self._ranking = ranked(data.labels, model.feature_importances_)
        forest = Forest(len(data.classes))
        for tree in model.estimators_:
            add_tree(forest, tree.tree_, probabilities(tree.tree_) / len(model.estimators_))
        graph = Graph(INPUT)
        return Trained(own_graph(graph, self.booking.title, data, forest.add_to(graph, INPUT)))
