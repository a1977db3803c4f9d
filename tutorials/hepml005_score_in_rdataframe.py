"""hepml005: the score as a column of an RDataFrame.

Shows      define: compiled C++ inside the event loop, inputs found by the names in the model file; systematic
           variations with Vary; many threads; apply: a friend tree with the scores, at the speed of reading
Prints     yields after a cut on the score, nominal and varied; the scores of the friend tree
Writes     runs/tutorials/higgs.onnx, scores.root and score.png under the working directory
Run it     python tutorials/hepml005_score_in_rdataframe.py          (half a minute; --fast: a few epochs)
C++        hepml-root compile runs/tutorials/higgs.onnx -o higgs.so
           root -l -b -q 'tutorials/hepml005_score_in_rdataframe.C("higgs.so")'
Next       hepml006_kfold_and_streaming.py
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import ROOT

import hepml_root as hr

FAST = "--fast" in sys.argv or os.environ.get("HEPML_FAST") == "1"


def main() -> None:
    out = Path("runs/tutorials")
    higgs = hr.data.shipped_file("Higgs_data.root")
    model_file = train(higgs, out / "higgs.onnx")

    ROOT.gROOT.SetBatch(True)
    ROOT.EnableImplicitMT(2)  # the score is safe in any number of threads

    print("--- A column like any other ---")
    frames = {
        name: hr.define(ROOT.RDataFrame(tree, higgs), model_file, column="score")
        for name, tree in (("signal", "sig_tree"), ("background", "bkg_tree"))
    }
    # All results are booked before the first is asked for, so each file is read once.
    passed = {name: frame.Filter("score > 0.5").Count() for name, frame in frames.items()}
    total = {name: frame.Count() for name, frame in frames.items()}
    histograms = {
        name: frame.Histo1D((f"score_{name}", ";score;events", 50, 0, 1), "score")
        for name, frame in frames.items()
    }
    for name in frames:
        print(f"{name:<10} score > 0.5: {passed[name].GetValue() / total[name].GetValue():.1%} of the events")
    draw(histograms, out / "score.png")

    print("\n--- A systematic variation of an input goes through the network ---")
    # m_bb 3 % up and down: the score is computed again for each, in the same loop.
    varied = ROOT.RDataFrame("sig_tree", higgs).Vary(
        "m_bb", "ROOT::RVecF{m_bb * 0.97f, m_bb * 1.03f}", ["down", "up"], "scale"
    )
    selected = hr.define(varied, model_file, column="score").Filter("score > 0.5").Count()
    results = ROOT.RDF.Experimental.VariationsFor(selected)
    nominal = results["nominal"]
    for variation in ("scale:down", "scale:up"):
        print(f"m_bb {variation:<11} {results[variation]:>6} events, {results[variation] / nominal - 1:+.2%}")

    print("\n--- Whole files: a friend tree with the scores ---")
    applied = hr.apply(model_file, f"{higgs}:sig_tree", out / "scores.root", overwrite=True, verbose=False)
    print(applied)
    chain = ROOT.TChain("sig_tree")
    chain.Add(higgs)
    chain.AddFriend(applied.tree, str(applied.path))
    print(
        "mean m_bb where score > 0.8:",
        round(ROOT.RDataFrame(chain).Filter("score > 0.8").Mean("m_bb").GetValue(), 3),
    )


def train(higgs: str, path: Path) -> Path:
    """Train a small network and export it."""
    data = hr.Dataset.from_root(
        {"signal": f"{higgs}:sig_tree", "background": f"{higgs}:bkg_tree"},
        inputs=["m_jj", "m_jjj", "m_jlv", "m_bb", "m_wbb", "m_wwbb", "dphi := abs(lepton_phi - jet1_phi)"],
    )
    events, _ = data.split(test=0.3, seed=1)
    model = hr.models.dense(events, hidden=(64, 64), name="higgs")
    hr.fit(model, events, epochs=3 if FAST else 40, verbose=False)
    return hr.export(model, path, overwrite=True)


def draw(histograms: dict[str, object], path: Path) -> None:
    """Draw the score of both classes, normalised, with ROOT."""
    canvas = ROOT.TCanvas("canvas", "", 700, 500)
    for colour, (name, histogram) in zip((ROOT.kRed + 1, ROOT.kBlue + 1), histograms.items(), strict=True):
        histogram.Scale(1 / histogram.Integral())
        histogram.SetLineColor(colour)
        histogram.SetLineWidth(2)
        histogram.SetStats(False)
        histogram.SetTitle(name)
        histogram.DrawCopy("hist" if name == "signal" else "hist same")
    canvas.BuildLegend(0.4, 0.75, 0.6, 0.88)
    canvas.SaveAs(str(path))


if __name__ == "__main__":
    main()
