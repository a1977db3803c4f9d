"""Output files as the real TMVA writes them, built by ROOT alone: its names, and nothing of this package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

VARIABLES = ("myvar1", "var3")
CLASSES = ("Signal", "Background")


def _filled(item: Any, values: Any) -> Any:
    for value in values:
        item.Fill(*value) if isinstance(value, tuple) else item.Fill(float(value))
    return item


def _step(name: str, bins: int, low: float, high: float, contents: Any) -> Any:
    import ROOT

    item = ROOT.TH1D(name, name, bins, low, high)
    for place, content in enumerate(contents):
        item.SetBinContent(place + 1, float(content))
    return item


def input_variables(top: Any, transformation: str, classes: tuple[str, ...] = CLASSES) -> None:
    import ROOT

    generator = np.random.default_rng(1)
    folder = top.mkdir(f"InputVariables_{transformation}")
    folder.cd()
    for of_class in classes:
        for variable in VARIABLES:
            name = f"{variable}__{of_class}_{transformation}"
            item = ROOT.TH1F(name, variable, 40, -4, 4)
            item.GetXaxis().SetTitle(f"{variable}  [GeV]")
            _filled(item, generator.normal(0, 1, 200)).Write()
    folder.mkdir("CorrelationPlots").cd()
    for of_class in classes:
        ending = f"var3_vs_myvar1_{of_class}_{transformation}"
        x = generator.normal(0, 1, 300)
        pairs = [(float(a), float(a + b)) for a, b in zip(x, generator.normal(0, 1, 300), strict=True)]
        _filled(ROOT.TH2F(f"scat_{ending}", ending, 300, -4, 4, 300, -4, 4), pairs).Write()
        _filled(ROOT.TProfile(f"prof_{ending}", ending, 40, -4, 4), pairs).Write()


def classifier(top: Any, type_name: str, title: str, *, pdfs: bool = False, text: str = "") -> Any:
    """One method with responses, efficiencies and ROC histograms; signal lies at 0.7, background at 0.3."""
    import ROOT

    generator = np.random.default_rng(2)
    folder = top.mkdir(f"Method_{type_name}").mkdir(title)
    folder.cd()
    ROOT.TObjString("/no/such/place").Write("TrainingPath")
    ROOT.TObjString(text or f"dataset/weights/TMVAClassification_{title}.weights.xml").Write("WeightFileName")
    for side, centre in (("S", 0.7), ("B", 0.3)):
        for name, bins in ((side, 40), (f"{side}_high", 10_000), (f"Train_{side}", 40)):
            _filled(
                ROOT.TH1D(f"MVA_{title}_{name}", "", bins, 0, 1), generator.normal(centre, 0.1, 400)
            ).Write()
        cuts = (np.arange(10_000) + 0.5) / 10_000
        for name in (f"eff{side}", f"trainingEff{side}"):
            _step(f"MVA_{title}_{name}", 10_000, 0, 1, np.clip((centre + 0.2 - cuts) / 0.4, 0, 1)).Write()
        if pdfs:
            for kind in ("Proba", "Rarity"):
                _filled(
                    ROOT.TH1D(f"MVA_{title}_{kind}_{side}", "", 40, 0, 1), generator.uniform(0, 1, 90)
                ).Write()
            _filled(ROOT.TH1D(f"{title}_tr_{side}", "", 60, 0, 1), generator.normal(centre, 0.1, 400)).Write()
            x = (np.arange(10_000) + 0.5) / 10_000
            density = np.exp(-0.5 * ((x - centre) / 0.1) ** 2)
            _step(f"{title}_tr_{side}_smoothed_hist_from_spline2", 10_000, 0, 1, density).Write()
    signal = (np.arange(100) + 0.5) / 100
    background = signal**4
    for name, contents in (
        ("effBvsS", background), ("rejBvsS", 1 - background), ("invBeffvsSeff", 1 / background),
        ("trainingEffBvsS", background), ("trainingRejBvsS", 1 - background),
    ):  # fmt: skip
        _step(f"MVA_{title}_{name}", 100, 0, 1, contents).Write()
    return folder


def classification(path: Path, dataset: str = "dataset") -> Path:
    """A file with BDT, MLP (with PDFs), Likelihood and Cuts; transformations Id and Gauss_Deco; TestTree."""
    import ROOT

    file = ROOT.TFile(str(path), "RECREATE")
    top = file.mkdir(dataset) if dataset else file
    top.cd()
    for side, text in (("S", "signal"), ("B", "background")):
        item = ROOT.TH2F(f"CorrelationMatrix{side}", f"Correlation Matrix ({text})", 2, 0, 2, 2, 0, 2)
        for column in (1, 2):
            item.GetXaxis().SetBinLabel(column, VARIABLES[column - 1])
            item.GetYaxis().SetBinLabel(column, VARIABLES[column - 1])
            for row in (1, 2):
                item.SetBinContent(column, row, 100 if row == column else 71)
        item.Write()
    for transformation in ("Id", "Gauss_Deco"):
        input_variables(top, transformation)
    folder = classifier(top, "BDT", "BDTG")
    table = ROOT.TTree("MonitorNtuple", "BDT variables")
    table.Write()
    for name, bins, low, high in (
        ("BoostWeight", 100, 1, 30), ("BoostWeightVsTree", 10, 0, 10), ("ErrFractHist", 10, 0, 10),
    ):  # fmt: skip
        _filled(ROOT.TH1F(name, name, bins, low, high), [1.5, 2.5, 2.5]).Write()
    for name in ("NodesBeforePruning", "NodesAfterPruning"):
        _filled(ROOT.TH1I(name, name, 10, 0, 10), [1.5, 2.5, 2.5]).Write()
    folder = classifier(top, "MLP", "MLP", pdfs=True)
    for name in ("estimatorHistTrain", "estimatorHistTest"):
        _step(name, 10, 5, 105, np.exp(-np.arange(10))).Write()
    for name, shape in (("weights_hist01", (3, 4)), ("weights_hist12", (4, 1))):
        item = ROOT.TH2F(name, name, shape[0], 0, shape[0], shape[1], 0, shape[1])
        for column in range(shape[0]):
            for row in range(shape[1] - (name == "weights_hist01")):
                item.SetBinContent(column + 1, row + 1, column - row)
        item.Write()
    folder = classifier(top, "Likelihood", "Likelihood")
    folder.cd()
    for variable in VARIABLES:
        for ending in ("sig", "bgd"):
            values = np.random.default_rng(3).normal(0, 1, 300)
            _filled(ROOT.TH1F(f"{variable}_{ending}_nice", "", 30, -4, 4), values).Write()
            name = f"{variable}_{ending}_smoothed_hist_from_spline2"
            x = -4 + 8 * (np.arange(10_000) + 0.5) / 10_000
            _step(name, 10_000, -4, 4, np.exp(-0.5 * x**2)).Write()
    top.mkdir("Method_Cuts").mkdir("CutsGA").cd()
    signal = (np.arange(100) + 0.5) / 100
    _step("MVA_CutsGA_effBvsS", 100, 0, 1, signal**2).Write()
    _step("MVA_CutsGA_rejBvsS", 100, 0, 1, 1 - signal**2).Write()
    tree_of(top, "TestTree")
    file.Close()
    return path


def tree_of(top: Any, name: str) -> None:
    """A tree as TMVA's, with classes, variables, weight and the responses of two methods."""
    import ROOT

    top.cd()
    tree = ROOT.TTree(name, name)
    number, text = np.zeros(1, np.int32), bytearray(b"Background\0")
    tree.Branch("classID", number, "classID/I")
    buffer = np.zeros(16, np.int8)
    tree.Branch("className", buffer, "className/C")
    columns = {
        column: np.zeros(1, np.float32) for column in (*VARIABLES, "weight", "BDTG", "MLP", "prob_MLP")
    }
    for column, place in columns.items():
        tree.Branch(column, place, f"{column}/F")
    generator = np.random.default_rng(4)
    for event in range(200):
        number[0] = event % 2
        text = CLASSES[event % 2].encode() + b"\0"
        buffer[: len(text)] = np.frombuffer(text, np.int8)
        for column, place in columns.items():
            place[0] = 1.0 if column == "weight" else generator.normal(event % 2)
        tree.Fill()
    tree.Write()


def regression(path: Path) -> Path:
    """A file with one regression, as TMVA names its histograms."""
    import ROOT

    generator = np.random.default_rng(5)
    file = ROOT.TFile(str(path), "RECREATE")
    top = file.mkdir("dataset")
    input_variables(top, "Id", ("Regression",))
    top.Get("InputVariables_Id").cd()
    values = generator.normal(0, 1, 200)
    _filled(ROOT.TH1F("fvalue__Regression_target_Id", "fvalue", 40, -4, 4), values).Write()
    top.cd()
    ROOT.TH2F("CorrelationMatrix", "Correlation Matrix", 2, 0, 2, 2, 0, 2).Write()
    top.mkdir("Method_LD").mkdir("LD").cd()
    for part in ("test", "train"):
        for name in ("reg_var0_rtgt0", "reg_var1_rtgt0", "reg_tgt0_rtgt0"):
            pairs = [(float(a), float(b)) for a, b in generator.normal(0, 1, (200, 2))]
            _filled(ROOT.TH2F(f"MVA_LD{part}_{name}", name, 50, -4, 4, 50, -4, 4), pairs).Write()
        _step(f"MVA_LD{part}_Quadr_Deviation_target_0_", 500, 0, 100, [1] + [0] * 499).Write()
        _step(f"MVA_LD{part}_Quadr_Dev_best90perc_target_0_", 500, 0, 50, [1] + [0] * 499).Write()
    file.Close()
    return path


def multiclass(path: Path) -> Path:
    """A file with one method of three classes."""
    import ROOT

    generator = np.random.default_rng(6)
    names = ("Signal", "bg0", "bg1")
    file = ROOT.TFile(str(path), "RECREATE")
    top = file.mkdir("dataset")
    input_variables(top, "Id", names)
    top.cd()
    for name in names:
        ROOT.TH2F(f"CorrelationMatrix{name}", "", 2, 0, 2, 2, 0, 2).Write()
    top.mkdir("Method_BDT").mkdir("BDTG").cd()
    for part in ("Test", "Train"):
        for of in names:
            for true in names:
                name = f"MVA_BDTG_{part}_{of}_prob_for_{true}"
                values = generator.beta(5 if of == true else 2, 3, 200)
                _filled(ROOT.TH1F(name, name, 40, -0.0002, 1.0002), values).Write()
            x = np.array([1.0, 0.6, 0.0])  # the real TMVA's points begin at 1
            graph = ROOT.TGraph(3, x, np.array([0.0, 0.8, 1.0]))
            graph.SetName(f"MVA_BDTG_{part}_rejBvsS_{of}")
            graph.Write()
    file.Close()
    return path
