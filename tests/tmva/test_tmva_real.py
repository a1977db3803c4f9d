"""A real TMVA reads the weight files that the Factory here writes, and answers the same.

Runs where ROOT has TMVA, or where ``HEPML_ROOT_TMVA_LIBRARY`` names a libTMVA that was built for this ROOT
(with its headers in ``ROOT_INCLUDE_PATH``); elsewhere it is skipped.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hepml_root import tmva as TMVA
from hepml_root.data.shipped import shipped_file

ROOT = pytest.importorskip("ROOT")
LIBRARY = os.environ.get("HEPML_ROOT_TMVA_LIBRARY", "")
pytestmark = pytest.mark.skipif(
    not LIBRARY and "tmva" not in str(ROOT.gROOT.GetConfigFeatures()).split(),
    reason="this ROOT has no TMVA, and HEPML_ROOT_TMVA_LIBRARY names none",
)

VARIABLES = ("myvar1 := var1+var2", "myvar2 := var1-var2", "var3", "var4")
TREES = "NTrees=50:MaxDepth=3:nCuts=20"
KDE = "!TransformOutput:PDFInterpol=KDE:KDEtype=Gauss:KDEiter=Adaptive:KDEFineFactor=0.3:NAvEvtPerBin=50"
METHODS = {
    "Fisher": ("Fisher", "CreateMVAPdfs"),
    "Mahalanobis": ("Fisher", "Mahalanobis:VarTransform=N,P,U"),
    "LDGauss": ("LD", "VarTransform=D,G"),
    "LDSome": ("LD", "VarTransform=G(_V0_,_V2_),N"),
    "AdaBoost": ("BDT", f"{TREES}:BoostType=AdaBoost:CreateMVAPdfs"),
    "RealAdaBoost": ("BDT", f"{TREES}:BoostType=RealAdaBoost:UseYesNoLeaf=F"),
    "Bagging": ("BDT", f"{TREES}:BoostType=Bagging"),
    "Grad": ("BDT", f"{TREES}:BoostType=Grad:Shrinkage=0.1:VarTransform=G"),
    "LikelihoodD": ("Likelihood", "!TransformOutput:PDFInterpol=Spline3:NSmooth=5:VarTransform=D"),
    "LikelihoodKDE": ("Likelihood", KDE),
    "Cuts": ("Cuts", "FitMethod=MC:EffSel:SampleSize=20000"),
    "MLP": ("MLP", "NeuronType=sigmoid:VarTransform=N:NCycles=50:HiddenLayers=N"),
    "KNN": ("KNN", "nkNN=20"),
    "SVM": ("SVM", "Gamma=0.25:VarTransform=Norm"),
}
READ = """
import sys
from array import array
import numpy as np
import ROOT

library, folder, variables = sys.argv[1], sys.argv[2], sys.argv[3].split("|")
if library and ROOT.gSystem.Load(library) < 0:
    sys.exit(f"{library} cannot be loaded")
ROOT.TMVA.Tools.Instance()
events = np.load(f"{folder}/events.npy")
answers = {}
for title in sys.argv[4:]:
    reader = ROOT.TMVA.Reader("!Color:Silent")
    places = [array("f", [0.0]) for _ in variables]
    for variable, place in zip(variables, places):
        reader.AddVariable(variable, place)
    reader.BookMVA(title, f"{folder}/dataset/weights/real_{title}.weights.xml")
    answers[title] = []
    for event in events:
        for place, value in zip(places, event):
            place[0] = value
        answers[title].append(reader.EvaluateMVA(title, 0.7))
np.savez(f"{folder}/answers.npz", **{title: np.array(values) for title, values in answers.items()})
"""


@pytest.fixture(scope="module")
def answers(tmp_path_factory) -> tuple[Path, np.ndarray, dict[str, np.ndarray]]:
    """The folder of the weight files, 300 events, and what the real TMVA answers to them."""
    folder = tmp_path_factory.mktemp("real")
    here = os.getcwd()
    os.chdir(folder)
    try:
        file = ROOT.TFile.Open(str(shipped_file("tmva_class_example.root")))
        loader = TMVA.DataLoader("dataset")
        for variable in VARIABLES:
            loader.AddVariable(variable)
        loader.AddSignalTree(file.Get("TreeS"))
        loader.AddBackgroundTree(file.Get("TreeB"))
        loader.PrepareTrainingAndTestTree("", "nTrain_Signal=600:nTrain_Background=600:NormMode=NumEvents")
        factory = TMVA.Factory("real", "Silent:AnalysisType=Classification")
        for title, (kind, options) in METHODS.items():
            factory.BookMethod(loader, kind, title, options)
        factory.TrainAllMethods()
        events = loader.prepared("Classification").test.variables[:300]
        file.Close()
    finally:
        os.chdir(here)
    np.save(folder / "events.npy", events)
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-c",
        READ,
        LIBRARY,
        str(folder),
        "|".join(VARIABLES),
        *METHODS,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    with np.load(folder / "answers.npz") as stored:
        return folder, events, dict(stored)


@pytest.mark.parametrize("title", METHODS)
def test_the_real_reader_answers_the_same(answers, title):
    """To 1e-5, as files of the real TMVA are read here; cuts exactly."""
    folder, events, expected = answers
    reader = TMVA.Reader("Silent", engine="onnxruntime")
    for variable in VARIABLES:
        reader.AddVariable(variable, np.zeros(1, np.float32))
    reader.BookMVA(title, folder / "dataset" / "weights" / f"real_{title}.weights.xml")
    aux = [0.7] if title == "Cuts" else []
    found = np.array([reader.EvaluateMVA(event.tolist(), title, *aux) for event in events])
    assert np.ptp(found) > 0.1
    assert np.abs(found - expected[title]).max() < (0.5 if title == "Cuts" else 1e-5)
