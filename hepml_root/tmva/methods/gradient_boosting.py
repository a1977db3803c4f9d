"""PyGTB: boosting along the gradient of a loss, by scikit-learn.

F(x) = F₀ + η Σₜ hₜ(x)
y = 1 / (1 + exp(−F))     deviance;  exponential: 1 / (1 + exp(−2F));  several classes: softmax of their F
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hepml_root.tmva.console import Console
from hepml_root.tmva.data_sets.events import DataSet
from hepml_root.tmva.methods.checks import at_least, check_classes, positive, refused, share
from hepml_root.tmva.methods.method import Booking, Method, OwnGraph, Trained, ranked
from hepml_root.tmva.methods.scikit_trees import add_tree, own_graph, tree_settings
from hepml_root.tmva.options.scikit import GRADIENT_BOOSTING
from hepml_root.tmva.weights.conversion import INPUT, OUTPUT
from hepml_root.tmva.weights.graph import Forest, Graph


class GradientBoosting(Method):
    """Gradient boosting; see the module. Reference: J. Friedman, Annals of Statistics 29 (2001) 1189."""

    type_name = "PyGTB"
    own_options = GRADIENT_BOOSTING
    analyses = ("Classification", "Multiclass")
    summary = "Small trees that are added along the gradient of a loss (scikit-learn)."
    help = """Each tree is fitted to what the sum of the trees before it leaves over. A LearningRate of
0.1 or less with more trees (NEstimators), MaxDepth of 2 to 4 and Subsample of 0.5 or so are good places
to begin. Compare training and test: where training is much better, take fewer trees."""

    def __init__(self, booking: Booking) -> None:
        super().__init__(booking)
        self._ranking: list[tuple[str, float]] | None = None
        exponential = self.options["Loss"] == "exponential"
        if exponential and booking.analysis == "Multiclass":
            raise refused(booking, "Loss", "exponential", "for several classes deviance")
        self._settings: dict[str, Any] = tree_settings(booking) | {
            "loss": "exponential" if exponential else "log_loss",
            "learning_rate": positive(booking, "LearningRate"),
            "subsample": share(booking, "Subsample", 0.0, 1.0),
            "max_depth": at_least(booking, "MaxDepth", 1),
        }

    def fit(self, data: DataSet) -> Any:
        """Return scikit-learn's ensemble, trained; of two classes the signal is 1."""
        from sklearn.ensemble import GradientBoostingClassifier

        check_classes(self.booking, data)
        sample = data.training
        classes = sample.classes
        if data.analysis == "Classification":
            classes = (classes == data.signal).astype(np.int32)
        return GradientBoostingClassifier(**self._settings).fit(sample.variables, classes, sample.weights)

    def ranking(self) -> list[tuple[str, float]] | None:
        """Return the variables by how much their cuts have lowered the impurity, the best first."""
        return self._ranking

    def train(self, data: DataSet, console: Console) -> Trained:
        model = self.fit(data)
        console.line(
            f"Loss in training, first and last: {model.train_score_[0]:.4f}, {model.train_score_[-1]:.4f}"
        )
        self._ranking = ranked(data.labels, model.feature_importances_)
        trees = model.estimators_  # (stages, classes), or one column of two classes
        targets = trees.shape[1]
        forest, rate = Forest(targets), self._settings["learning_rate"]
        for stage in trees:
            for target, tree in enumerate(stage):
                answers = np.zeros((tree.tree_.node_count, targets))
                answers[:, target] = rate * tree.tree_.value[:, 0, 0]
                add_tree(forest, tree.tree_, answers)
        # What boosting began with: the sum at any event without its trees.
        event = data.training.variables[:1]
        grown = np.array([[tree.predict(event)[0] for tree in stage] for stage in trees]).sum(axis=0)
        start = np.ravel(model.decision_function(event)) - rate * grown
        graph = Graph(INPUT)
        total = graph.add("Add", forest.add_to(graph, INPUT), graph.constant(start))
        if data.analysis == "Multiclass":
            return Trained(own_graph(graph, self.booking.title, data, graph.add("Softmax", total, axis=1)))
        if self.options["Loss"] == "exponential":
            total = graph.add("Mul", total, graph.constant(2.0))
        result = graph.add("Sigmoid", total)
        model_proto = graph.model(self.booking.title, len(data.variables), result, OUTPUT, 1)
        losses = {"stage": np.arange(1, len(trees) + 1), "train": np.asarray(model.train_score_)}
        return Trained(OwnGraph(model_proto), {"Loss": losses})
