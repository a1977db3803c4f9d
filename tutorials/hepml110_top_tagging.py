"""hepml110: top quark or not? Jets as numbers, as an image and as a set of particles.

Shows      simulated jets in ROOT files; three representations of the same jet and a network for each:
           observables and a dense network, an image and a CNN, constituents and a particle flow network;
           the one that is chosen, exported with its representation inside the file
Prints     what was lost in the representations, the area under the ROC curve and the background rejection
           at 30 % signal efficiency of each
Run it     python tutorials/hepml110_top_tagging.py          (ten minutes, of which six make the jets, once;
           --fast: a few hundred jets, half a minute). The comparison of all networks of the zoo on 200 000
           jets, with errors, is `python -m benchmarks top_tagging`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import ROOT

import hepml_root as hr

FAST = "--fast" in sys.argv or os.environ.get("HEPML_FAST") == "1"
JETS = 500 if FAST else 20_000
OUT = Path("runs/tutorials")


def main() -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    sources = {
        "top": f"{hr.simulation.sample('top-jets', JETS, seed=1)}:jets",
        "qcd": f"{hr.simulation.sample('qcd-jets', JETS, seed=1)}:jets",
    }
    where = {"pt": "constituent_pt", "eta": "constituent_eta", "phi": "constituent_phi"}
    representations = {
        "observables": hr.representations.jet_observables(),
        "image": [hr.representations.image("image", **where, pixels=40, half_width=0.8)],
        "particles": [
            hr.representations.constituents(
                "particles",
                **where,
                mass="constituent_mass",
                features=("delta_eta", "delta_phi", "log_pt", "log_pt_fraction", "delta_r"),
                max_length=40,
            )
        ],
    }
    networks = {
        "observables": lambda train: hr.models.dense(train, hidden=(64, 64)),
        "image": lambda train: hr.models.cnn(train),
        "particles": lambda train: hr.models.pfn(train),
    }
    trained = {}
    for name, inputs in representations.items():
        data = hr.Dataset.from_root(sources, inputs=inputs, signal="top")
        if name == "particles":
            print(data)  # its last lines say what the representation left out
        train, test = data.split(test=0.3, seed=1)
        model = networks[name](train)
        hr.fit(model, train, epochs=3 if FAST else 12, verbose=not FAST)
        report = hr.evaluate(model, test, bootstrap=100, ranking=False)
        rejection = report.roc["top"].working_points[0]
        print(
            f"{name}: AUC {report.auc}, background rejection {rejection.background_rejection} "
            f"at {rejection.signal_efficiency:.0%} signal efficiency"
        )
        trained[name] = model

    # The file holds the representation too: what a data frame has are the branches of the particles.
    path = hr.export(trained["observables"], OUT / "top_observables.onnx", overwrite=True)
    for name, source in sources.items():
        frame = hr.define(ROOT.RDataFrame("jets", source.removesuffix(":jets")), path, column="score")
        passed = frame.Filter("score > 0.5").Count().GetValue()
        print(f"{name:3s} jets with a score above 0.5: {passed} of {frame.Count().GetValue()}")
    hr.export(trained["particles"], OUT / "top_particles.onnx", overwrite=True)


if __name__ == "__main__":
    main()
