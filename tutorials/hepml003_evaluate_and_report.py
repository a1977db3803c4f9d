"""hepml003: evaluate a network and write the report.

Shows      the report: ROC with errors, overtraining, calibration, significance, ranking of the inputs;
           boosted trees on the same events beside the network; four classes; a regression with its residuals
Prints     the areas under the ROC curves with their intervals, the rejection at working points, the ranking
Writes     runs/tutorials/report/ under the working directory: open report.html
Run it     python tutorials/hepml003_evaluate_and_report.py          (half a minute; --fast: a few epochs)
Next       hepml004_export_and_compare.py
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import hepml_root as hr

FAST = "--fast" in sys.argv or os.environ.get("HEPML_FAST") == "1"
INPUTS = [
    "lepton_pT",
    "missing_energy_magnitude",
    "jet1_pt",
    "m_jj",
    "m_jjj",
    "m_lv",
    "m_jlv",
    "m_bb",
    "m_wbb",
    "m_wwbb",
]


def main() -> None:
    out = Path("runs/tutorials")
    epochs, bootstrap = (3, 50) if FAST else (40, 200)

    print("--- Two classes ---")
    higgs = hr.data.shipped_file("Higgs_data.root")
    data = hr.Dataset.from_root(
        {"signal": f"{higgs}:sig_tree", "background": f"{higgs}:bkg_tree"},
        inputs=INPUTS,
        spectators=["lepton_eta"],
    )
    train, test = data.split(test=0.3, seed=1)
    model = hr.models.dense(train, hidden=(64, 64), name="higgs")
    hr.fit(model, train, epochs=epochs, verbose=False)
    trees = hr.models.boosted(train)

    report = hr.evaluate(model, test, train, compare={"boosted trees": trees}, bootstrap=bootstrap)
    print(f"AUC: network {report.auc} (training events {report.auc_train})")
    print(f"     boosted trees {report.compared['boosted trees'].auc}")
    for point in report.roc["signal"].working_points[:3]:
        print(
            f"at {point.signal_efficiency:.0%} signal efficiency: cut at {point.threshold:.3f}, "
            f"background rejection {point.background_rejection}"
        )
    print("loss of AUC when an input is shuffled:")
    for ranked in report.ranking.inputs[:4]:
        print(f"  {ranked.column:<10} {ranked.importance}")
    page = report.save(out / "report", overwrite=True)
    print(f"the whole report: {page}")

    print("\n--- Three backgrounds and a signal: a score for each ---")
    toy = hr.data.shipped_file("tmva_multiclass_example.root")
    trees_of = {"signal": "TreeS", "bkg0": "TreeB0", "bkg1": "TreeB1", "bkg2": "TreeB2"}
    many = hr.Dataset.from_root(
        {name: f"{toy}:{tree}" for name, tree in trees_of.items()}, inputs=["var1", "var2", "var3", "var4"]
    )
    train, test = many.split(test=0.3, seed=1)
    classifier = hr.models.dense(train, hidden=(32, 32), name="multiclass")
    hr.fit(classifier, train, epochs=epochs, verbose=False)
    result = hr.evaluate(classifier, test, train, bootstrap=bootstrap, ranking=False)
    print(f"mean AUC of one class against the rest: {result.auc}")
    for name, curve in result.roc.items():
        print(f"  {name:<7} {curve.auc}")

    print("\n--- A regression: the target in its own units ---")
    regression = hr.data.shipped_file("tmva_reg_example.root")
    values = hr.Dataset.from_root(f"{regression}:TreeR", inputs=["var1", "var2"], targets=["fvalue"])
    train, test = values.split(test=0.3, seed=1)
    regressor = hr.models.dense(train, hidden=(32, 32), name="regression")
    hr.fit(regressor, train, epochs=epochs, verbose=False)
    residuals = hr.evaluate(regressor, test, train, bootstrap=bootstrap, ranking=False).residuals[0]
    print(
        f"target fvalue spreads by {test.target.std():.1f}; bias {residuals.bias}, "
        f"resolution {residuals.resolution}"
    )


if __name__ == "__main__":
    main()
