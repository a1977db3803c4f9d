"""The code that the design promises a user, as it is written there.

Only three things differ: the list of inputs ends where the design has an ellipsis, the files are written here
(with the weight `w` and a data file to apply to), and the signal and background yields belong to them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

CODE = """
import hepml_root as hr

data = hr.Dataset.from_root(
    {"signal": "Higgs_data.root:sig_tree", "background": "Higgs_data.root:bkg_tree"},
    inputs=["lepton_pT", "m_bb", "dphi := abs(lepton_phi - jet1_phi)"],
    weight="w", spectators=["m_wwbb"], cut="lepton_pT > 0.5")      # RDataFrames are taken as well as files
train, test = data.split(test=0.3, seed=1)
model = hr.models.dense(train, hidden=(64, 64))                     # a keras.Model, transforms inside
hr.fit(model, train, loss=hr.losses.AsimovSignificance(signal=31.2, background=20762, systematic=0.3))
report = hr.evaluate(model, test); report.save("report/")           # one HTML page, JSON, plots, a ROOT file
hr.export(model, "stop.onnx")                                       # one self-contained file
df = hr.define(ROOT.RDataFrame("events", "data.root"), "stop.onnx", column="score")   # C++ inside the loop
"""

CPP = """
#include "stop.hxx"
#include <vector>
bool agrees(const float* x, std::size_t n, const float* expected) {
   TMVA_SOFIE_stop::Session session;                    // one per slot
   std::vector<float> out(n);
   session.infer(x, n, out.data());                     // n events at once
   for (std::size_t i = 0; i < n; ++i) {
      std::vector<float> score = session.infer(x + 3 * i);   // SOFIE's own signature
      if (std::abs(score[0] - expected[i]) > 1e-5f || std::abs(out[i] - expected[i]) > 1e-5f) return false;
   }
   return true;
}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write weighted signal and background trees, and a tree "events" to apply the network to."""
    import ROOT

    from hepml_root.data import shipped_file

    folder = tmp_path_factory.mktemp("design")
    columns = ["lepton_pT", "lepton_phi", "jet1_phi", "m_bb", "m_wwbb"]
    options = ROOT.RDF.RSnapshotOptions()
    options.fMode = "UPDATE"
    for tree, weight in (("sig_tree", "0.0031"), ("bkg_tree", "2.1f")):
        frame = ROOT.RDataFrame(tree, shipped_file("Higgs_data.root")).Define("w", f"float({weight})")
        frame.Snapshot(tree, str(folder / "Higgs_data.root"), [*columns, "w"], options)
    ROOT.RDataFrame("sig_tree", shipped_file("Higgs_data.root")).Range(2000).Snapshot(
        "events", str(folder / "data.root"), columns
    )
    return folder


def test_the_python_of_the_design_runs(folder, monkeypatch):
    import ROOT

    monkeypatch.chdir(folder)
    names: dict = {"ROOT": ROOT}
    exec(compile(CODE, "design.py", "exec"), names)
    hr, model, report = names["hr"], names["model"], names["report"]
    assert (folder / "report" / "report.html").exists()
    assert 0.5 < report.auc.value < 1
    yields = names["data"].yields()
    assert yields["background"].sum == pytest.approx(2.1 * yields["background"].events, rel=1e-6)

    got = names["df"].AsNumpy(["score", "lepton_pT", "m_bb", "lepton_phi", "jet1_phi"])
    dphi = np.abs(got["lepton_phi"] - got["jet1_phi"])
    inputs = np.stack([got["lepton_pT"], got["m_bb"], dphi], axis=1).astype(np.float32)
    expected = hr.evaluation.predict(model, {"features": inputs})[:, 0]
    np.testing.assert_allclose(got["score"], expected, atol=1e-5)

    # The C++ of the design, interpreted by ROOT, on the same events.
    from hepml_root.export.cpp import generate

    generate("stop.onnx").save(folder)
    ROOT.gInterpreter.AddIncludePath(str(folder))
    assert ROOT.gInterpreter.Declare(CPP)
    inputs = np.ascontiguousarray(inputs[:200])
    assert ROOT.agrees(inputs.ravel(), len(inputs), np.ascontiguousarray(expected[:200]))
