"""hepml006: every event scored by a network that has not seen it, and data larger than memory.

Shows      k folds by a hash of the event number, a network each, the right one applied to each event;
           a lazy dataset that is read from its files in shuffled batches; a parameterised network
Prints     the areas under the ROC curves: of each fold, of all events together, at each mass
Run it     python tutorials/hepml006_kfold_and_streaming.py          (a minute; --fast: a few epochs)
"""

from __future__ import annotations

import os
import sys
import tempfile

import numpy as np
import ROOT

import hepml_root as hr

FAST = "--fast" in sys.argv or os.environ.get("HEPML_FAST") == "1"
INPUTS = ["m_jj", "m_jjj", "m_jlv", "m_bb", "m_wbb", "m_wwbb"]


def main() -> None:
    higgs = hr.data.shipped_file("Higgs_data.root")
    sources = {"signal": f"{higgs}:sig_tree", "background": f"{higgs}:bkg_tree"}
    k_folds(sources)
    streaming(sources)
    parameterised()


def k_folds(sources: dict[str, str]) -> None:
    """Train one network a fold, and give every event the score of the one that has not seen it."""
    print("--- Three folds: no event is wasted, none is scored by a network that knows it ---")
    data = hr.Dataset.from_root(sources, inputs=INPUTS, event_number="rdfentry_")
    folds = data.folds(3, seed=1, by="event_number")
    models = []
    for number, (train, test) in enumerate(folds):
        model = hr.models.dense(train, hidden=(32, 32), name=f"fold{number}")
        hr.fit(model, train, epochs=2 if FAST else 25, verbose=False)
        report = hr.evaluate(model, test, bootstrap=50, ranking=False)
        print(f"fold {number}: {len(train)} events to train on, {len(test)} to test on, AUC {report.auc}")
        models.append(model)
    scores = folds.predict(models)
    print("all events together: AUC", hr.evaluate(scores, data, bootstrap=50).auc)
    # The fold of an event depends on its number alone: data taken tomorrow find their network too.
    print("the first five events belong to folds", folds.fold_of(np.arange(5)))


def streaming(sources: dict[str, str]) -> None:
    """Train on files that are never in memory as a whole."""
    print("\n--- A dataset that stays in its files ---")
    lazy = hr.Dataset.from_root(sources, inputs=INPUTS, lazy=True)
    train, test = lazy.split(test=0.3, seed=1)
    X, target, weight = next(iter(train.stream(batch_size=1024, buffer_events=5000, seed=1)))
    print(f"a batch: {X['features'].shape}, {target.mean():.1%} signal, weights from {weight.min():.2f}")
    model = hr.models.dense(train, hidden=(32, 32), name="streamed")
    history = hr.fit(model, train, epochs=2 if FAST else 15, verbose=False)
    print(f"{history.epochs} epochs, best validation loss {min(history.metrics['val_loss']):.4f}")
    some = test.sample(3000)  # as many as fit into memory
    print("AUC on test events", hr.evaluate(model, some, bootstrap=50, ranking=False).auc)


def parameterised() -> None:
    """Train one network for all values of a parameter."""
    print("\n--- One network for all masses: the mass is an input (arXiv:1601.07913) ---")
    ROOT.gRandom.SetSeed(1)
    with tempfile.TemporaryDirectory() as folder:
        signal, background = f"{folder}/signal.root", f"{folder}/background.root"
        peak = ROOT.RDataFrame(15_000).Define("mass", "1.f + gRandom->Integer(3)")
        peak = peak.Define("x", "float(gRandom->Gaus(mass, 0.3))").Define("y", "float(gRandom->Gaus(0.5, 1))")
        peak.Snapshot("events", signal, ["mass", "x", "y"])
        flat = ROOT.RDataFrame(15_000).Define("x", "float(gRandom->Uniform(0, 4))")
        flat.Define("y", "float(gRandom->Gaus(0, 1))").Snapshot("events", background, ["x", "y"])
        # The background has no mass: its masses are drawn from those of the signal and give nothing away.
        data = hr.Dataset.from_root(
            {"signal": f"{signal}:events", "background": f"{background}:events"},
            inputs=["x", "y"],
            parameters={"mass": {"signal": "mass", "background": None}},
        )
    train, test = data.split(test=0.3, seed=1)
    model = hr.models.dense(train, hidden=(32, 32), name="parameterised")
    hr.fit(model, train, epochs=3 if FAST else 20, verbose=False)
    for mass in (1, 2, 3):
        at_mass = test[test.column("mass") == mass]
        print(f"mass {mass}: AUC {hr.evaluate(model, at_mass, bootstrap=50, ranking=False).auc}")


if __name__ == "__main__":
    main()
