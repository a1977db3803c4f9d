"""Files in place of those that come from the network, or from a package that is not there."""

from __future__ import annotations

from pathlib import Path

import numpy as np

VARIABLES = ("Muon_pt_1", "Muon_pt_2", "Electron_pt_1", "Electron_pt_2")


def four_leptons(folder: Path) -> None:
    """Write made-up momenta of four leptons: those of the signal are a little harder."""
    import ROOT

    for sample, seed in (("train", 1), ("test", 2)):
        for label, shift in (("signal", 0.35), ("background", 0.0)):
            rng = np.random.default_rng([seed, int(10 * shift)])
            leading = np.exp(rng.normal(3.4 + shift, 0.4, (2000, 2)))
            second = leading * rng.uniform(0.2, 1.0, (2000, 2))
            columns = [leading[:, 0], second[:, 0], leading[:, 1], second[:, 1]]
            arrays = {
                name: np.ascontiguousarray(column, np.float32)
                for name, column in zip(VARIABLES, columns, strict=True)
            }
            ROOT.RDF.FromNumpy(arrays).Snapshot("Events", str(folder / f"{sample}_{label}.root"))


def four_leptons_and_trees(folder: Path) -> None:
    """Write these events, and trees of scikit-learn in the file that SaveXGBoost would write."""
    import ROOT
    from sklearn.ensemble import GradientBoostingClassifier

    from hepml_root.tmva.experimental.forest import Tree, TreeModel, write_model

    four_leptons(folder)
    samples = [
        np.stack(
            list(ROOT.RDataFrame("Events", str(folder / f"train_{label}.root")).AsNumpy(VARIABLES).values()),
            1,
        )
        for label in ("signal", "background")
    ]
    target = np.repeat([1, 0], [len(sample) for sample in samples])
    model = GradientBoostingClassifier(n_estimators=50, max_depth=3, init="zero", random_state=1)
    model.fit(np.concatenate(samples), target)
    trees = []
    for tree in (stage[0].tree_ for stage in model.estimators_):
        leaf = tree.children_left < 0
        # scikit-learn goes to the left where x ≤ cut; the next float32 is the same cut for x < cut.
        cut = np.nextafter(tree.threshold.astype(np.float32), np.float32(np.inf))
        value = np.where(leaf, model.learning_rate * tree.value[:, 0, 0], 0).astype(np.float32)
        feature = np.where(leaf, 0, tree.feature)
        trees.append(Tree(feature, cut, tree.children_left, tree.children_right, value))
    found = TreeModel(tuple(trees), np.zeros(1, np.float32), "logistic", len(VARIABLES))
    write_model(found, "myBDT", folder / "tmva101.root")
