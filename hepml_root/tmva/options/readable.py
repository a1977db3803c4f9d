"""The methods that are read, and the options that each of them writes into its file.

An option that is not listed is refused: nobody knows what it does to the response. The tables of the methods
say what there is today; what only older files have is named here.
"""

from __future__ import annotations

from collections.abc import Sequence

from hepml_root.tmva.options.classical import CUTS, FISHER, LD, LIKELIHOOD
from hepml_root.tmva.options.declaration import Option
from hepml_root.tmva.options.neighbours import NEIGHBOURS, SUPPORT_VECTORS
from hepml_root.tmva.options.networks import MLP
from hepml_root.tmva.options.shared import SHARED
from hepml_root.tmva.options.trees import BDT

_OLD_SHARED = (
    *("VarTransformType", "TxtWeightFilesOnly", "NormTree", "Normalise", "UseDecorr", "D", "Silent", "Color"),
    # Of densities, which older files of any method have.
    *("PDFInterpol", "NSmooth", "MinNSmooth", "MaxNSmooth", "NAvEvtPerBin", "Nbins", "CheckHist"),
    *("KDEtype", "KDEiter", "KDEFineFactor", "KDEborder", "TransformOutput"),
)
_OLD_TREES = (
    *("PruneBeforeBoost", "RenormByClass", "UseWeightedTrees", "SampleFraction", "NoNegWeightsInTraining"),
    *("BaggedGrad", "UseWeightedTreesForMVA"),
)
_OLD_NETWORK = ("PopSize", "Steps", "CalculateErrorsOfMVA")

METHODS = ("BDT", "MLP", "Fisher", "LD", "Likelihood", "Cuts", "KNN", "SVM")


def _known(declared: Sequence[Option], old: Sequence[str] = ()) -> frozenset[str]:
    return frozenset((*(option.name for option in (*SHARED, *declared)), *_OLD_SHARED, *old))


KNOWN_OPTIONS: dict[str, frozenset[str]] = {
    "BDT": _known(BDT, _OLD_TREES),
    "MLP": _known(MLP, _OLD_NETWORK),
    "Fisher": _known(FISHER),
    "LD": _known(LD),
    "Likelihood": _known(LIKELIHOOD),
    "Cuts": _known(CUTS),
    "KNN": _known(NEIGHBOURS, ("TreeOptDepth",)),
    "SVM": _known(SUPPORT_VECTORS, ("NSubSets", "Sigma", "Kappa")),
}

# Why others are not read, as the end of a sentence that begins with their name.
NOT_READ = {
    "PDEFoam": "keeps its cells in a ROOT file beside the XML.",
    "PDERS": "searches the training events themselves, which no network can do.",
    "DNN": "is not read; train the network with hepml_root, or export it from TMVA with SOFIE.",
    "DL": "is not read; train the network with hepml_root, or export it from TMVA with SOFIE.",
    "PyKeras": "keeps its network in a Keras file, which hr.attach and hr.export take.",
    "Plugins": "is code of somebody else.",
}
