"""Areas under the ROC curve of TMVA's methods here, on samples where the real TMVA was measured.

Every method is booked with the options of the reference and trained on several splits (``SplitSeed``). The
figure is the mean of the areas of the test events, weighted and not binned, with the error of this mean; of
the real TMVA there is one training of each (TMVA of 2015, on ROOT 6.40).
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from benchmarks.result_page import put_table

_HIGH_LEVEL = ("m_jj", "m_jjj", "m_lv", "m_jlv", "m_bb", "m_wbb", "m_wwbb")


@dataclass(frozen=True)
class Sample:
    """Trees of a file of ROOT's tutorials, the variables, and the training events of each class."""

    title: str
    file: str
    trees: tuple[str, str]
    variables: tuple[str, ...]
    training: int
    background_weight: str = ""


@dataclass(frozen=True)
class Row:
    """A method with its options, and the area that the real TMVA has on each sample."""

    title: str
    kind: str
    options: str
    reference: Mapping[str, float] = field(default_factory=dict)


def _samples() -> dict[str, Sample]:
    from hepml_root.data.shipped import shipped_file

    higgs = str(shipped_file("Higgs_data.root"))
    import uproot

    with uproot.open(higgs) as file:
        everything = tuple(name for name in file["sig_tree"].keys(recursive=False) if name != "Type")
    return {
        "example": Sample(
            "tmva_class_example, 4 variables, 1000 + 1000 events",
            str(shipped_file("tmva_class_example.root")), ("TreeS", "TreeB"),
            ("myvar1 := var1+var2", "myvar2 := var1-var2", "var3", "var4"), 1000, "weight",
        ),
        "higgs7": Sample(
            "Higgs_data, 7 masses, 7000 + 7000 events", higgs, ("sig_tree", "bkg_tree"), _HIGH_LEVEL, 7000
        ),
        "higgs28": Sample(
            "Higgs_data, all 28 variables, 7000 + 7000 events", higgs, ("sig_tree", "bkg_tree"), everything,
            7000,
        ),
    }  # fmt: skip


_BDT = "!H:!V:MinNodeSize=2.5%:BoostType=AdaBoost:AdaBoostBeta=0.5:UseBaggedBoost:BaggedSampleFraction=0.5"
_GRADIENT = "!H:!V:NTrees=1000:MinNodeSize=2.5%:BoostType=Grad:Shrinkage=0.10:UseBaggedBoost"
_LAYOUT = "DENSE|64|TANH,DENSE|64|TANH,DENSE|64|TANH,DENSE|64|TANH,DENSE|1|LINEAR"
_STRATEGY = (
    "LearningRate=1e-3,ConvergenceSteps=10,BatchSize=128,TestRepetitions=1,MaxEpochs=20,WeightDecay=1e-4,"
    "Regularization=None,Optimizer=ADAM,DropConfig=0.0+0.0+0.0+0."
)
ROWS: tuple[Row, ...] = (
    Row("Fisher", "Fisher", "!H:!V:Fisher", {"example": 0.9190, "higgs7": 0.6584, "higgs28": 0.6920}),
    Row("LD", "LD", "!H:!V", {"example": 0.9190}),
    Row(
        "Likelihood",
        "Likelihood",
        "!H:!V:TransformOutput:PDFInterpol=Spline2:NSmoothSig[0]=20:NSmoothBkg[0]=20:NSmoothBkg[1]=10:NSmooth=1:"
        "NAvEvtPerBin=50",
        {"example": 0.7608, "higgs7": 0.6996, "higgs28": 0.7129},
    ),
    Row(
        "MLP, 600 cycles",
        "MLP",
        "!H:!V:NeuronType=tanh:VarTransform=N:NCycles=600:HiddenLayers=N+5:TestRate=5:!UseRegulator",
        {"example": 0.9138},
    ),
    Row(
        "MLP, 100 cycles",
        "MLP",
        "!H:!V:NeuronType=tanh:VarTransform=N:NCycles=100:HiddenLayers=N+5:TestRate=5:!UseRegulator",
        {"higgs7": 0.7055, "higgs28": 0.6826},
    ),
    Row(
        "BDT, 850 trees",
        "BDT",
        f"{_BDT}:NTrees=850:MaxDepth=3:SeparationType=GiniIndex:nCuts=20",
        {"example": 0.8738, "higgs7": 0.7569, "higgs28": 0.7661},
    ),
    Row(
        "BDT, 200 trees",
        "BDT",
        f"{_BDT}:NTrees=200:MaxDepth=2:SeparationType=GiniIndex:nCuts=20",
        {"higgs7": 0.7515, "higgs28": 0.7643},
    ),
    Row(
        "BDTG, 1000 trees",
        "BDT",
        f"{_GRADIENT}:BaggedSampleFraction=0.5:nCuts=20:MaxDepth=2",
        {"example": 0.8996, "higgs7": 0.7554, "higgs28": 0.7702},
    ),
    Row(
        "DL, 4 layers of 64",
        "DL",
        f"!H:!V:ErrorStrategy=CROSSENTROPY:VarTransform=N:WeightInitialization=XAVIER:Layout={_LAYOUT}:"
        f"TrainingStrategy={_STRATEGY}:Architecture=CPU",
        {},
    ),
    Row("HepML dense", "HepML", "!H:!V:Model=dense", {}),
)


def run(arguments: list[str]) -> Iterator[dict[str, Any]]:
    """Give the area of each method on each sample; the options are in ``--help``."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks tmva_methods", description=__doc__)
    parser.add_argument("--samples", nargs="+", choices=("example", "higgs7", "higgs28"), help="only these")
    parser.add_argument(
        "--methods", nargs="+", metavar="TITLE", help="only rows that begin with one of these"
    )
    parser.add_argument("--splits", type=int, default=5, help="trainings of each, on splits of their own (5)")
    parser.add_argument("--page", type=Path, help="write the table into this page")
    chosen = parser.parse_args(arguments)
    samples = {name: s for name, s in _samples().items() if not chosen.samples or name in chosen.samples}
    rows = [row for row in ROWS if not chosen.methods or row.title.startswith(tuple(chosen.methods))]
    found: dict[tuple[str, str], tuple[list[float], list[float]]] = {}
    for name, sample in samples.items():
        # What has no reference at all stands on every sample.
        wanted = [row for row in rows if name in row.reference or not row.reference]
        for seed in range(100, 100 + chosen.splits):
            for row, (area, seconds) in zip(wanted, _trained(sample, wanted, seed), strict=True):
                areas, times = found.setdefault((name, row.title), ([], []))
                areas.append(area)
                times.append(seconds)
        for row in wanted:
            areas, times = found[name, row.title]
            reference = row.reference.get(name)
            yield {
                "name": f"{row.title}, {sample.title}",
                "value": round(float(np.mean(areas)), 4),
                "error": round(_error(areas), 4),
                "unit": "AUC of the test",
                "seconds": round(float(np.median(times)), 2),
                "reference": reference,
                "ratio": None if reference is None else round(float(np.mean(areas)) / reference, 4),
            }
    if chosen.page is not None:
        put_table(chosen.page, _table(samples, rows, found, chosen.splits), "TMVA's methods")


def _trained(sample: Sample, rows: Sequence[Row], seed: int) -> list[tuple[float, float]]:
    """Train all methods on one split; return area and seconds of training of each."""
    import ROOT

    from hepml_root import tmva as TMVA

    file = ROOT.TFile.Open(sample.file)
    loader = TMVA.DataLoader("dataset")
    for variable in sample.variables:
        loader.AddVariable(variable)
    loader.AddSignalTree(file.Get(sample.trees[0]))
    loader.AddBackgroundTree(file.Get(sample.trees[1]))
    if sample.background_weight:
        loader.SetBackgroundWeightExpression(sample.background_weight)
    loader.PrepareTrainingAndTestTree(
        "", nTrain_Signal=sample.training, nTrain_Background=sample.training, SplitMode="Random",
        NormMode="NumEvents", SplitSeed=seed, V=False,
    )  # fmt: skip
    here = Path.cwd()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        os.chdir(folder)
        try:
            factory = TMVA.Factory("benchmark", "!V:Silent:!Color:AnalysisType=Classification")
            answers = []
            for number, row in enumerate(rows):
                title = f"method{number}"
                factory.BookMethod(loader, row.kind, title, row.options)
            factory.TrainAllMethods()
            factory.TestAllMethods()
            for number in range(len(rows)):
                result = factory.result(loader, f"method{number}")
                answers.append((factory.GetROCIntegral(loader, f"method{number}"), result.seconds))
        finally:
            os.chdir(here)
    file.Close()
    return answers


def _error(areas: Sequence[float]) -> float:
    """Error of the mean, from the scatter."""
    return float(np.std(areas, ddof=1) / np.sqrt(len(areas))) if len(areas) > 1 else float("nan")


def _table(
    samples: Mapping[str, Sample],
    rows: Sequence[Row],
    found: Mapping[tuple[str, str], tuple[list[float], list[float]]],
    splits: int,
) -> str:
    lines = []
    for name, sample in samples.items():
        lines += [f"**{sample.title}**, {splits} splits", ""]
        lines += [
            "| method | AUC of the test | one training of the real TMVA | difference |",
            "|---|---:|---:|---:|",
        ]
        for row in rows:
            if (name, row.title) not in found:
                continue
            areas, _ = found[name, row.title]
            reference = row.reference.get(name)
            area = f"{np.mean(areas):.4f} ± {_error(areas):.4f}"
            ends = "| |"
            if reference is not None:
                ends = f"{reference:.4f} | {np.mean(areas) - reference:+.4f} |".replace("-", "−")
            lines.append(f"| {row.title} | {area} | {ends}")
        lines.append("")
    return "\n".join(lines)
