"""TMVA's words for this project: Factory, DataLoader, Reader, and weight files of TMVA itself.

``from hepml_root import tmva as TMVA`` loads nothing else; names are resolved when first used.

- :class:`Factory`, :class:`DataLoader`, :class:`Types`: methods are booked, trained, compared
- :class:`CrossValidation`, :class:`HyperParameterOptimisation`, :class:`VariableImportance`
- :func:`convert` a ``*.weights.xml`` becomes an ONNX file with a manifest
- :func:`read_weights` what a weight file says, as plain dataclasses
- :class:`Reader` TMVA's Reader: AddVariable, BookMVA, EvaluateMVA
- :func:`TMVAGui` the plots of an output file as a page
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_PUBLIC = {
    "Config": "hepml_root.tmva.configuration",
    "CrossValidation": "hepml_root.tmva.resampling.cross_validation",
    "DataLoader": "hepml_root.tmva.data_sets.dataloader",
    "EMsgType": "hepml_root.tmva.types",
    "Experimental": "hepml_root.tmva.experimental",
    "Factory": "hepml_root.tmva.factory",
    "HyperParameterOptimisation": "hepml_root.tmva.resampling.hyper_parameters",
    "PyMethodBase": "hepml_root.tmva.configuration",
    "Python_Executable": "hepml_root.tmva.configuration",
    "ROCCurve": "hepml_root.tmva.output.roc_curve",
    "Reader": "hepml_root.tmva.reader",
    "TMVAGui": "hepml_root.tmva.gui",
    "TMVAMultiClassGui": "hepml_root.tmva.gui",
    "TMVARegGui": "hepml_root.tmva.gui",
    "Tools": "hepml_root.tmva.configuration",
    "Types": "hepml_root.tmva.types",
    "VIType": "hepml_root.tmva.types",
    "VariableImportance": "hepml_root.tmva.resampling.variable_importance",
    "WeightFile": "hepml_root.tmva.weights.weights_xml",
    "convert": "hepml_root.tmva.weights.conversion",
    "gConfig": "hepml_root.tmva.configuration",
    "gTools": "hepml_root.tmva.configuration",
    "install": "hepml_root.tmva.root_module",
    "read_weights": "hepml_root.tmva.weights.weights_xml",
}

__all__ = [
    "Config",
    "CrossValidation",
    "DataLoader",
    "EMsgType",
    "Experimental",
    "Factory",
    "HyperParameterOptimisation",
    "PyMethodBase",
    "Python_Executable",
    "ROCCurve",
    "Reader",
    "TMVAGui",
    "TMVAMultiClassGui",
    "TMVARegGui",
    "Tools",
    "Types",
    "VIType",
    "VariableImportance",
    "WeightFile",
    "convert",
    "gConfig",
    "gTools",
    "install",
    "read_weights",
]

if TYPE_CHECKING:  # what type checkers and editors see
    from hepml_root.tmva import experimental as Experimental
    from hepml_root.tmva.configuration import Config, PyMethodBase, Python_Executable, Tools, gConfig, gTools
    from hepml_root.tmva.data_sets.dataloader import DataLoader
    from hepml_root.tmva.factory import Factory
    from hepml_root.tmva.gui import TMVAGui, TMVAMultiClassGui, TMVARegGui
    from hepml_root.tmva.output.roc_curve import ROCCurve
    from hepml_root.tmva.reader import Reader
    from hepml_root.tmva.resampling.cross_validation import CrossValidation
    from hepml_root.tmva.resampling.hyper_parameters import HyperParameterOptimisation
    from hepml_root.tmva.resampling.variable_importance import VariableImportance
    from hepml_root.tmva.root_module import install
    from hepml_root.tmva.types import EMsgType, Types, VIType
    from hepml_root.tmva.weights.conversion import convert
    from hepml_root.tmva.weights.weights_xml import WeightFile, read_weights


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'hepml_root.tmva' has no attribute '{name}'")
    module = importlib.import_module(_PUBLIC[name])
    value = module if name == "Experimental" else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
