"""Pictures of training from an output file and the weight files it names: networks, trees, boosting."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hepml_root.errors import HepmlError, SettingError
from hepml_root.evaluation.pictures import file_name
from hepml_root.tmva.gui.output_content import MethodContent
from hepml_root.tmva.gui.pictures import Pictures
from hepml_root.tmva.gui.plot_training import (
    can_be_drawn,
    plot_convergence,
    plot_monitors,
    plot_network,
    plot_tree,
    tree_depth,
)
from hepml_root.tmva.weights.network import Network
from hepml_root.tmva.weights.trees import BoostedTrees
from hepml_root.tmva.weights.weights_xml import WeightFile, read_weights

_PANELS = 6
_CONTROL = (
    ("BoostMonitor", "ROC integral against number of trees"),
    ("BoostWeight", "Boost weights"),
    ("BoostWeightVsTree", "Boost weight of each tree"),
    ("ErrFractHist", "Error fraction of each tree"),
    ("NodesBeforePruning", "Nodes before and after pruning"),
)
_ANSWERS = {
    "kind": "Leaves answer signal (S) or background (B).",
    "purity": "Leaves answer their purity.",
    "response": "Leaves answer a number.",
}


class TrainingPictures:
    """Adds what training left behind to a collection."""

    def __init__(self, collection: Pictures) -> None:
        self.collection = collection
        self.methods = collection.dataset.methods
        self._files: dict[str, WeightFile | str] = {}

    def add_all(self) -> None:
        """Add networks, convergence, trees and boosting, in the order of TMVA's list."""
        self.networks()
        self.convergence()
        self.trees()
        self.boosting()
        if any("PDEFoam" in method.type_name for method in self.methods):
            self.collection.lack("Foams", "weight files of PDE-Foam are not read")

    def _file(self, method: MethodContent) -> WeightFile | str:
        """Return what the weight file says, or why it cannot be read."""
        if method.title not in self._files:
            found: WeightFile | str
            path = method.weight_file(self.collection.file.parent)
            if path is None:
                name = method.folder.text("WeightFileName")
                found = f"the weight file '{name}' is not there" if name else "the file names no weight file"
            else:
                try:
                    found = read_weights(path)
                except HepmlError as error:
                    found = f"the weight file is not read: {error}"
            self._files[method.title] = found
        return self._files[method.title]

    def networks(self) -> None:
        found = False
        for method in self.methods:
            layers = _layers(method)
            if not layers and "MLP" not in method.type_name:
                continue
            found = True
            file = None
            if not layers or len(self.collection.dataset.variables) + 1 != len(layers[0]):
                file = self._file(method)
            if not layers and isinstance(file, WeightFile) and isinstance(file.weights, Network):
                layers = [np.asarray(table, np.float64) for table in file.weights.layers]
            name = f"Network architecture, {method.title}"
            if not layers:
                why = file if isinstance(file, str) else "it has no weights of a perceptron"
                self.collection.lack(name, str(why))
                continue
            if not can_be_drawn(layers):
                sizes = " – ".join(str(len(table)) for table in layers)
                self.collection.lack(name, f"layers of {sizes} neurons are too large to be drawn")
                continue
            inputs = self._inputs(layers, file)
            outputs = self._outputs(layers)
            self.collection.add(
                f"network_{method.title}", "networks", name,
                "Red weights are positive, blue ones negative; width and shade are relative to the largest "
                "of their layer. Dotted circles are biases.",
                plot_network(layers, inputs, outputs), wide=True,
            )  # fmt: skip
        if not found:
            self.collection.lack("Network architecture", "no network of TMVA's form (MLP) was booked")

    def _inputs(self, layers: list[NDArray[np.float64]], file: WeightFile | str | None) -> list[str]:
        wanted = len(layers[0]) - 1
        names = list(self.collection.dataset.variables)
        if len(names) != wanted and isinstance(file, WeightFile):
            names = [variable.label for variable in file.header.variables]
        return names if len(names) == wanted else [f"input {i + 1}" for i in range(wanted)]

    def _outputs(self, layers: list[NDArray[np.float64]]) -> list[str]:
        number = layers[-1].shape[1]
        classes = self.collection.dataset.classes
        if self.collection.dataset.analysis == "Multiclass" and number == len(classes):
            return list(classes)
        return ["response"] if number == 1 else [f"output {i + 1}" for i in range(number)]

    def convergence(self) -> None:
        items = []
        for method in self.methods:
            lines = []
            for name in method.folder.names("TH1"):
                label = {"estimatorHistTrain": "training", "estimatorHistTest": "test"}.get(name, "")
                if match := re.match(r"TrainingHistory_.*?_?([A-Za-z]+)\Z", name):
                    label = match[1]
                histogram = method.folder.histogram(name) if label else None
                if histogram is not None and len(histogram.values):
                    lines.append((label, histogram))
            if lines:
                items.append((method.title, lines))
        if not items:
            self.collection.lack(
                "Network convergence", "no method has estimatorHistTrain or TrainingHistory_…"
            )
        self.collection.in_pages(
            items, _PANELS, "convergence", "networks", "Convergence",
            "The loss after epochs of training, on training events and on those that only watch.",
            plot_convergence,
        )  # fmt: skip

    def trees(self) -> None:
        found = False
        for method in self.methods:
            if "BDT" not in method.type_name and "NodesBeforePruning" not in method.folder:
                continue
            file = self._file(method)
            name = f"Decision trees, {method.title}"
            if not isinstance(file, WeightFile) or not isinstance(file.weights, BoostedTrees):
                found = True
                self.collection.lack(name, file if isinstance(file, str) else "its weight file has no trees")
                continue
            found = True
            self._draw_trees(method, file, file.weights)
        if not found:
            self.collection.lack("Decision trees", "no BDT was booked")

    def _draw_trees(self, method: MethodContent, file: WeightFile, weights: BoostedTrees) -> None:
        number = len(weights.trees)
        chosen = self.collection.trees
        if chosen is None:
            chosen = sorted({0, number // 2, number - 1})
        for place in chosen:
            if not 0 <= place < number:
                raise SettingError(f"tree {place} of '{method.title}': there are {number} trees, from 0.")
            tree = weights.trees[place]
            labels = [variable.label for variable in file.header.variables]
            caption = f"Tree {place} of {number}, boost weight {tree.weight:.4g}. Events for which the "
            caption += "condition holds go to the right. "
            caption += _ANSWERS[weights.leaf]
            if tree_depth(tree) > 5:
                caption += " Below the fifth cut it is left out."
            self.collection.add(
                f"tree_{file_name(method.title)}_{place}", "trees", f"Tree {place} of {method.title}",
                caption,
                plot_tree(tree, labels, weights.leaf, file.header.analysis == "Regression"),
                wide=tree_depth(tree) > 2,
            )  # fmt: skip

    def boosting(self) -> None:
        found = False
        for method in self.methods:
            items: list[tuple[str, list[tuple[str, Any]]]] = []
            for name, title in _CONTROL:
                histogram = method.folder.histogram(name)
                graph = method.folder.graph(f"{name}Graph")
                lines: list[tuple[str, Any]] = [(title, graph)] if graph is not None else []
                if histogram is not None and graph is None:
                    after = method.folder.histogram("NodesAfterPruning")
                    both = name == "NodesBeforePruning" and after is not None
                    lines = [("before" if both else title, histogram)]
                    if both and after is not None:
                        same = np.array_equal(after.values, histogram.values)
                        lines = [("the same", after)] if same else [*lines, ("after", after)]
                if lines:
                    items.append((title, lines))
            items += [
                (name.removeprefix("Booster_"), [(name, method.folder.histogram(name))])
                for name in method.folder.names("TH1")
                if name.startswith("Booster_")
            ]
            if items:
                found = True
                self.collection.add(
                    f"boosting_{method.title}", "trees", f"Boosting of {method.title}",
                    "What was monitored while the method was boosted.", plot_monitors(items),
                )  # fmt: skip
        if not found:
            self.collection.lack("Boost control plots", "no method has BoostWeight, ErrFractHist and so on")


def _layers(method: MethodContent) -> list[NDArray[np.float64]]:
    """Return the weights of a network from the histograms weights_hist01, weights_hist12, …"""
    found: list[NDArray[np.float64]] = []
    while True:
        number = len(found)
        plane = method.folder.plane(f"weights_hist{number}{number + 1}")
        if plane is None:
            break
        found.append(plane.values)
    # All but the last layer have a bias neuron, into which no weights go.
    return [table[:, :-1] if place + 1 < len(found) else table for place, table in enumerate(found)]
