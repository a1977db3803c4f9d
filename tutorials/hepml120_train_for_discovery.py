"""hepml120: a search for stops, trained for the significance that is quoted in the end.

Shows      a search with one lepton, jets and missing momentum: samples with yields of their own, the cross
           entropy against the Asimov significance with an uncertain background, the cut that validation
           events choose, its yields on test events, and the cut inside the model file, applied in
           RDataFrame and in a compiled C++ program
Prints     the expected events, Z_A of both trainings with the difference and its error, and the yields behind
           the cut as Python, RDataFrame and C++ count them
Writes     runs/tutorials/search.onnx, search.hxx, significance.png and search_events.root
Run it     python tutorials/hepml120_train_for_discovery.py     (makes 20 000 events first, once, which takes
           some core hours; --samples FOLDER takes NAME.root from there; --fast: few events of a looser
           search, a minute). With five seeds, two networks and all errors it is `python -m benchmarks susy`.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import ROOT
import uproot

import hepml_root as hr
from hepml_root.errors import CompilerError
from hepml_root.export.cpp import generate
from hepml_root.inference.compiler import find_compiler
from hepml_root.simulation.one_lepton import FEATURES

FAST = "--fast" in sys.argv or os.environ.get("HEPML_FAST") == "1"
OUT = Path("runs/tutorials")
SYSTEMATIC = 0.3
# The fast search keeps what has little missing momentum: far more background, which is made faster.
LOOSE = {"PartonLevel:MPI": "off"} | ({"met": 60, "jets": 3} if FAST else {})
EVENTS = {"stop-900-100": 100 if FAST else 10_000, "ttbar-1l": 200 if FAST else 10_000}

PROGRAM = r"""
#include "search.hxx"
#include "hepml_root/manifest.hxx"
#include <cstdio>
#include <vector>
int main(int, char **name) {
   const auto manifest = hepml_root::Manifest::Parse(TMVA_SOFIE_search::Session::manifest());
   const auto &cut = manifest.GetWorkingPoint(name[1]);
   const TMVA_SOFIE_search::Session session;
   std::vector<float> event(hepml_root::Size(manifest.inputs.at(0).shape));
   double weight, sum = 0;
   while (std::fread(event.data(), sizeof(float), event.size(), stdin) == event.size() &&
          std::fread(&weight, sizeof(double), 1, stdin) == 1)
      if (cut.Passes(session.infer(event.data())[0])) sum += weight;
   std::printf("%.10g\n", sum);
}
"""


def main() -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    sources = {"signal": made("stop-900-100"), "background": made("ttbar-1l")}
    data = hr.Dataset.from_root(
        {name: f"{path}:events" for name, path in sources.items()}, inputs=list(FEATURES), weight="weight"
    )
    print(data.yields())  # sums of weights: expected events at 30/fb
    train, validation, test = data.split(test=0.3, validation=0.3, seed=1)

    print(f"\n--- Two trainings, for an uncertainty of the background of {SYSTEMATIC:.0%} ---")
    # The Asimov loss fills in the expected events from the weights. It begins badly on a network that knows
    # nothing, so some epochs of cross entropy come first, whose output is then made steep around the best
    # cut; and an epoch is good where a cut is.
    epochs = 5 if FAST else 150
    few = 3.0 if FAST else 10.0  # effective events that a cut has to leave
    trainings = {
        "cross entropy": {"loss": "binary_crossentropy", "epochs": epochs},
        "Asimov": {
            "loss": hr.losses.AsimovSignificance(systematic=SYSTEMATIC),
            "epochs": epochs,
            "pretrain": hr.training.Pretraining(
                "binary_crossentropy", epochs=2 if FAST else 30, learning_rate=5e-3, sharpen=True
            ),
            "monitor": hr.training.ValidationSignificance(minimum_background=few, minimum_signal=few),
            "learning_rate": 2e-3,
            "batch_size": min(4096, len(train)),
            "patience": None,
        },
    }
    models = {}
    scores: dict[str, dict[str, object]] = {"validation": {}, "test": {}}
    for name, settings in trainings.items():
        models[name] = hr.models.dense(train, hidden=(23,), name="search")
        hr.fit(models[name], train, validation=validation, verbose=not FAST, **settings)
        scores["validation"][name] = hr.evaluation.predict(models[name], validation)[:, 0]
        scores["test"][name] = hr.evaluation.predict(models[name], test)[:, 0]
    comparison = hr.evaluation.compare_significance(
        scores["test"],
        test.target[:, 0],
        test.weight,
        validation=(scores["validation"], validation.target[:, 0], validation.weight),
        systematic=SYSTEMATIC,
        minimum_background=few,
    )
    print(comparison)
    hr.evaluation.plot_significance_comparison(comparison).savefig(OUT / "significance.png")

    print("\n--- The cut goes with the network ---")
    cut = comparison["Asimov"].cuts[0]
    point = cut.working_point()
    path = hr.export(models["Asimov"], OUT / "search.onnx", data=test, working_points=[point], overwrite=True)
    print(f"{path.name}: '{point['name']}' is score >= {point['threshold']:.4f}, {point['chosen_on']} events")

    # The test events as a file: two trees, with weights whose sum is the yield of the whole sample.
    events = {name: test[test.labels == label] for label, name in enumerate(test.classes)}
    with uproot.recreate(OUT / "search_events.root") as file:
        for name, part in events.items():
            tree = file.mktree(name, dict.fromkeys(FEATURES, "float32") | {"weight": "float64"})
            tree.extend({label: part.column(label) for label in FEATURES} | {"weight": part.weight})
    counted = {"Python": {"signal": cut.applied.signal.value, "background": cut.applied.background.value}}
    counted["RDataFrame"] = {
        name: hr.define(ROOT.RDataFrame(name, str(OUT / "search_events.root")), path, select=point["name"])
        .Sum("weight")
        .GetValue()
        for name in events
    }
    try:
        program = compiled(path)
        counted["C++"] = {name: passing(program, point["name"], part) for name, part in events.items()}
    except CompilerError as error:
        print(error)
    for engine, found in counted.items():
        print(f"{engine:<11} s = {found['signal']:.6g}  b = {found['background']:.6g}")


def made(name: str) -> Path:
    """Return the file of a sample: from --samples, or generated (once)."""
    if "--samples" in sys.argv:
        return Path(sys.argv[sys.argv.index("--samples") + 1]) / f"{name}.root"
    sample = hr.simulation.find(name).with_settings(LOOSE)
    if FAST:  # in chunks of as many events as are asked for
        sample = replace(sample, chunk=EVENTS[name])
    return hr.simulation.sample(sample, EVENTS[name], seed=1, processes=0 if FAST else None)


def compiled(path: Path) -> Path:
    """Return a program that counts what passes a working point, with nothing but the standard library."""
    header = generate(path, "search").save(OUT, overwrite=True)
    (OUT / "search_count.cxx").write_text(PROGRAM)
    include = Path(hr.__file__).parent / "include"
    options = ["-std=c++17", "-O1", f"-I{header.parent.resolve()}", f"-I{include}"]
    find_compiler().run([*options, "search_count.cxx", "-o", "search_count"], OUT)
    return (OUT / "search_count").resolve()


def passing(program: Path, point: str, data: hr.Dataset) -> float:
    """Return the expected events that pass, as the program counts them."""
    import subprocess

    import numpy as np

    rows = np.empty(len(data), dtype=[("inputs", "f4", data.X["features"].shape[1]), ("weight", "f8")])
    rows["inputs"], rows["weight"] = data.X["features"], data.weight
    done = subprocess.run([program, point], input=rows.tobytes(), capture_output=True, check=True)
    return float(done.stdout)


if __name__ == "__main__":
    main()
