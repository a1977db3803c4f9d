"""hepml111: can a deep network find by itself what physicists compute for it?

Shows      the question of Baldi, Sadowski and Whiteson (arXiv:1402.4735): the HIGGS benchmark with its 21
           momenta, its 7 invariant masses, and both, for a shallow and a deep network and for boosted trees;
           events of one's own, made with Pythia 8, that have the same branches as the file ROOT ships
Prints     the area under the ROC curve of each, what the masses know that the momenta do not, and where the
           Higgs boson's mass is in the generated events
Run it     python tutorials/hepml111_deep_networks_and_high_level_variables.py     (five minutes; --fast: half
           a minute). With all errors, several seeds and 100 000 events it is `python -m benchmarks higgs`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import ROOT

import hepml_root as hr
from hepml_root.simulation.higgs import HIGH_LEVEL, LOW_LEVEL

FAST = "--fast" in sys.argv or os.environ.get("HEPML_FAST") == "1"
OUT = Path("runs/tutorials")
INPUTS = {"momenta": LOW_LEVEL, "masses": HIGH_LEVEL, "both": (*LOW_LEVEL, *HIGH_LEVEL)}
NETWORKS = {"shallow": (64,), "deep": (64, 64) if FAST else (300,) * 5}


def main() -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    shipped = hr.data.shipped_file("Higgs_data.root")
    areas = {}
    for name, inputs in INPUTS.items():
        data = hr.Dataset.from_root(
            {"signal": f"{shipped}:sig_tree", "background": f"{shipped}:bkg_tree"}, inputs=list(inputs)
        )
        train, test = data.split(test=0.3, seed=1)
        models = {"trees": hr.models.boosted(train, threads=1)}
        for kind, hidden in NETWORKS.items():
            if FAST and (name, kind) != ("masses", "shallow") and (name, kind) != ("both", "deep"):
                continue
            models[kind] = hr.models.dense(train, hidden, dropout=0.2 if kind == "deep" else 0.0)
            hr.fit(models[kind], train, epochs=8 if FAST else 60, patience=15, verbose=not FAST)
        for kind, model in models.items():
            report = hr.evaluate(model, test, bootstrap=50 if FAST else 200, ranking=False)
            areas[kind, name] = report.auc
            print(f"{kind:8s} {name:8s} AUC {report.auc}")
    gain = areas["trees", "both"].value - areas["trees", "momenta"].value
    print(f"the masses add {gain:.3f} to the area that trees get from the momenta")

    # Events of one's own: the same branches, in GeV. The shipped file's values have no units.
    path = hr.simulation.sample("higgs", 100 if FAST else 5000, seed=1, processes=0 if FAST else None)
    frame = ROOT.RDataFrame("sig_tree", str(path))
    picture = frame.Histo1D(("m_bb", ";m_{bb} [GeV];events", 25, 0, 250), "m_bb")
    canvas = ROOT.TCanvas()
    picture.Draw()
    canvas.SaveAs(str(OUT / "m_bb.png"))
    events = frame.Count().GetValue()
    near = frame.Filter("m_bb > 90 && m_bb < 140").Count().GetValue()
    print(f"{near} of {events} generated signal events have 90 < m_bb < 140 GeV")


if __name__ == "__main__":
    main()
