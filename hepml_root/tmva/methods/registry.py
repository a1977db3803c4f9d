"""Which methods there are: the one place where a new one is entered."""

from __future__ import annotations

import importlib

from hepml_root.errors import SettingError, unknown
from hepml_root.tmva.methods.method import Method

# Type name of TMVA: module and class.
METHODS: dict[str, tuple[str, str]] = {
    "Fisher": ("fisher", "Fisher"),
    "LD": ("linear_discriminant", "LinearDiscriminant"),
    "Likelihood": ("projective_likelihood", "ProjectiveLikelihood"),
    "Cuts": ("rectangular_cuts", "RectangularCuts"),
    "BDT": ("boosted_trees", "BoostedDecisionTrees"),
    "KNN": ("nearest_neighbours", "NearestNeighbours"),
    "SVM": ("support_vectors", "SupportVectors"),
    "PyRandomForest": ("random_forest", "RandomForest"),
    "PyAdaBoost": ("ada_boost", "AdaBoost"),
    "PyGTB": ("gradient_boosting", "GradientBoosting"),
    "Category": ("category", "Category"),
    "Boost": ("boost", "Boost"),
    "MLP": ("perceptron", "Perceptron"),
    "DL": ("deep", "DeepNetwork"),
    "PyKeras": ("keras_file", "KerasFile"),
    "HepML": ("hepml", "HepML"),
}

# What TMVA has and this does not, as the end of a sentence that begins with the name.
NOT_THERE = {
    "CrossValidation": "is what TMVA.CrossValidation makes of the methods that it books.",
    "PDERS": "searches the training events for every event; kKNN does the like.",
    "PDEFoam": "is not trained here; kLikelihood and kKNN estimate densities.",
    "HMatrix": "is not trained here; kFisher is the same idea with the right covariance.",
    "CFMlpANN": "is a network of before 1990; book kMLP.",
    "TMlpANN": "is ROOT's old network; book kMLP.",
    "DT": "is one tree of a BDT; book kBDT with NTrees=1.",
    "RuleFit": "is not trained here; book kBDT.",
    "BayesClassifier": "was never written in TMVA itself.",
    "FDA": "is not trained here; book kLD, or a network.",
    "DNN": "became kDL in TMVA; book kDL.",
    "PyTorch": "is not trained here; export the network to ONNX and read it with hr.define.",
}


def method_class(type_name: str) -> type[Method]:
    """Return the class of a method.

    Raises
    ------
    SettingError
        There is no such method.
    """
    if type_name not in METHODS:
        why = NOT_THERE.get(type_name)
        raise SettingError(unknown("method", type_name, METHODS, f"{type_name} {why}" if why else ""))
    module, name = METHODS[type_name]
    found: type[Method] = getattr(importlib.import_module(f"hepml_root.tmva.methods.{module}"), name)
    return found
