"""Train methods with the real TMVA, and keep its weight files with the responses that its Factory wrote.

    python tests/reference/tmva_trained/make_reference.py /path/to/libTMVA.so

needs a ROOT with TMVA, or a library of TMVA's sources built for the ROOT at hand (2015 sources made the
files here; these take the variables by the Factory, before there was a DataLoader). Files beside this one:
``<job>_<title>.weights.xml.gz`` and ``<job>.csv.gz`` with variables and responses of test events.
"""

from __future__ import annotations

import gzip
import os
import sys
import tempfile
from pathlib import Path

import uproot

HERE = Path(__file__).resolve().parent
EVENTS = 100
BDT = "!H:!V:NTrees=20:MaxDepth=3:nCuts=20"
MLP = "!H:!V:VarTransform=N:NCycles=30"
KDE = "!H:!V:!TransformOutput:PDFInterpol=KDE:KDEtype=Gauss:NAvEvtPerBin=50"
LIKELIHOOD = "!H:!V:!TransformOutput"
CLASSIFICATION = {
    "BDTU": ("BDT", f"{BDT}:BoostType=AdaBoost:VarTransform=U"),
    "BDTP": ("BDT", f"{BDT}:BoostType=Grad:Shrinkage=0.2:VarTransform=P"),
    "BDTReal": ("BDT", f"{BDT}:BoostType=RealAdaBoost:UseYesNoLeaf=F"),
    "BDTBagging": ("BDT", f"{BDT}:BoostType=Bagging:UseYesNoLeaf=F"),
    "BDTPruned": ("BDT", f"{BDT}:BoostType=AdaBoost:PruneMethod=CostComplexity:PruneStrength=30"),
    "FisherGD": ("Fisher", "!H:!V:VarTransform=G_Signal,D_Background"),
    "Mahalanobis": ("Fisher", "!H:!V:Mahalanobis:VarTransform=N,P,U"),
    "LDSome": ("LD", "!H:!V:VarTransform=G(_V0_,_V2_),N"),
    "MLPSigmoid": ("MLP", f"{MLP}:NeuronType=sigmoid:HiddenLayers=5,3:EstimatorType=MSE"),
    "MLPRadial": ("MLP", f"{MLP}:NeuronType=radial:HiddenLayers=4:LearningRate=0.005"),
    "MLPReLU": ("MLP", f"{MLP}:NeuronType=ReLU:HiddenLayers=4:LearningRate=0.002"),
    "LikelihoodD": (
        "Likelihood",
        f"{LIKELIHOOD}:PDFInterpol=Spline3:NSmooth=3:NAvEvtPerBin=50:VarTransform=D",
    ),
    "LikelihoodG": (
        "Likelihood",
        f"{LIKELIHOOD}:PDFInterpol=Spline5:NSmooth=1:NAvEvtPerBin=30:VarTransform=G",
    ),
    "Likelihood0": ("Likelihood", f"{LIKELIHOOD}:PDFInterpol=Spline0:NSmooth=1:NAvEvtPerBin=30"),
    "LikelihoodKDE": ("Likelihood", f"{KDE}:KDEiter=Adaptive:KDEFineFactor=0.3:KDEborder=None"),
    "LikelihoodRenorm": ("Likelihood", f"{KDE}:KDEiter=Nonadaptive:KDEFineFactor=1.0:KDEborder=Renorm"),
    "LikelihoodMirror": ("Likelihood", f"{KDE}:KDEiter=Adaptive:KDEFineFactor=0.5:KDEborder=Mirror"),
}
REGRESSION = {
    "LD": ("LD", "!H:!V:VarTransform=None"),
    "MLP": ("MLP", f"{MLP}:NeuronType=sigmoid:HiddenLayers=8:EstimatorType=MSE"),
    "BDT": (
        "BDT",
        "!H:!V:NTrees=15:BoostType=AdaBoostR2:SeparationType=RegressionVariance:nCuts=20:MaxDepth=4",
    ),
    "BDTG": ("BDT", "!H:!V:NTrees=20:BoostType=Grad:Shrinkage=0.1:nCuts=20:MaxDepth=4"),
}
PRESELECTION = {
    "BDT": ("BDT", f"{BDT}:BoostType=AdaBoost:DoPreselection"),
    "BDTG": ("BDT", f"{BDT}:BoostType=Grad:Shrinkage=0.2:DoPreselection:VarTransform=N"),
}
MULTICLASS = {
    "BDTG": ("BDT", "!H:!V:NTrees=15:BoostType=Grad:Shrinkage=0.1:nCuts=20:MaxDepth=2"),
    "MLP": ("MLP", f"{MLP}:NeuronType=sigmoid:HiddenLayers=N+3:EstimatorType=MSE"),
}


def trained(ROOT, job, analysis, methods, prepare, variables):
    """Train, and keep the weight files and a table of the first test events."""
    output = ROOT.TFile.Open(f"{job}.root", "RECREATE")
    factory = ROOT.TMVA.Factory(job, output, f"!V:Silent:!Color:!DrawProgressBar:AnalysisType={analysis}")
    kept = prepare(factory)
    for title, (method, options) in methods.items():
        factory.BookMethod(method, title, options)
    factory.TrainAllMethods()
    factory.TestAllMethods()
    factory.EvaluateAllMethods()
    output.Close()
    assert kept
    with uproot.open(f"{job}.root") as file:
        events = file["TestTree"].arrays([*variables, *methods], library="np", entry_stop=EVENTS)
    table = {}
    for name, values in events.items():
        leaves = values.dtype.names  # of several classes
        table |= {f"{name}:{leaf}": values[leaf] for leaf in leaves} if leaves else {name: values}
    rows = [",".join(table)] + [
        ",".join(f"{value:.9g}" for value in row) for row in zip(*table.values(), strict=True)
    ]
    (HERE / f"{job}.csv.gz").write_bytes(gzip.compress(("\n".join(rows) + "\n").encode(), 9, mtime=0))
    for title in methods:
        text = Path(f"weights/{job}_{title}.weights.xml").read_bytes()
        (HERE / f"{job}_{title}.weights.xml.gz").write_bytes(gzip.compress(text, 9, mtime=0))


def main() -> None:
    import ROOT

    ROOT.gROOT.SetBatch(True)
    if ROOT.gSystem.Load(sys.argv[1]) < 0:
        sys.exit(f"{sys.argv[1]} cannot be loaded")
    ROOT.TMVA.Tools.Instance()
    data = f"{ROOT.gROOT.GetTutorialDir()}/machine_learning/data"
    cut = ROOT.TCut("")

    def classification(factory):
        file = ROOT.TFile.Open(f"{data}/tmva_class_example.root")
        for expression in ("myvar1 := var1+var2", "myvar2 := var1-var2", "var3", "var4"):
            factory.AddVariable(expression, "F")
        factory.AddSignalTree(file.Get("TreeS"), 1.0)
        factory.AddBackgroundTree(file.Get("TreeB"), 1.0)
        factory.SetBackgroundWeightExpression("weight")
        factory.PrepareTrainingAndTestTree(
            cut, cut, "nTrain_Signal=600:nTrain_Background=600:nTest_Signal=200:nTest_Background=200:"
            "SplitMode=Random:NormMode=NumEvents:!V",
        )  # fmt: skip
        return file

    def regression(factory):
        file = ROOT.TFile.Open(f"{data}/tmva_reg_example.root")
        factory.AddVariable("var1", "F")
        factory.AddVariable("var2", "F")
        factory.AddTarget("fvalue")
        factory.AddRegressionTree(file.Get("TreeR"), 1.0)
        factory.PrepareTrainingAndTestTree(
            cut, "nTrain_Regression=800:nTest_Regression=300:SplitMode=Random:NormMode=NumEvents:!V"
        )
        return file

    def multiclass(factory):
        file = ROOT.TFile.Open(f"{data}/tmva_multiclass_example.root")
        for name in ("var1", "var2", "var3", "var4"):
            factory.AddVariable(name, "F")
        for tree, name in (("TreeS", "Signal"), ("TreeB0", "bg0"), ("TreeB1", "bg1"), ("TreeB2", "bg2")):
            factory.AddTree(file.Get(tree), name)
        factory.PrepareTrainingAndTestTree(cut, "SplitMode=Random:NormMode=NumEvents:!V")
        return file

    def preselection(factory):
        """Signal alone at large x, background alone at small x and large y."""
        trees = []
        for name, x, y in (
            ("s", "r.Uniform(0, 1)", "r.Uniform(-1, 1)"),
            ("b", "r.Uniform(-0.4, 0.8)", "r.Uniform(-1, 1.5)"),
        ):
            ROOT.gInterpreter.Declare(f"namespace of_{name} {{ TRandom3 r(7); }}")
            frame = ROOT.RDataFrame(800).Define("x", f"of_{name}::{x}").Define("y", f"of_{name}::{y}")
            frame.Snapshot("tree", f"preselection_{name}.root")
            trees.append(ROOT.TFile.Open(f"preselection_{name}.root"))
        for variable in ("x", "y"):
            factory.AddVariable(variable, "F")
        factory.AddSignalTree(trees[0].Get("tree"), 1.0)
        factory.AddBackgroundTree(trees[1].Get("tree"), 1.0)
        factory.PrepareTrainingAndTestTree(cut, cut, "SplitMode=Random:NormMode=NumEvents:!V")
        return trees

    four = ("var1", "var2", "var3", "var4")
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        trained(
            ROOT, "classification", "Classification", CLASSIFICATION, classification,
            ("myvar1", "myvar2", "var3", "var4"),
        )  # fmt: skip
        trained(ROOT, "regression", "Regression", REGRESSION, regression, ("var1", "var2"))
        trained(ROOT, "preselection", "Classification", PRESELECTION, preselection, ("x", "y"))
        trained(ROOT, "multiclass", "Multiclass", MULTICLASS, multiclass, four)


if __name__ == "__main__":
    main()
