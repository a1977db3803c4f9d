"""hepml_root: modern machine learning inside ROOT.

ROOT files → RDataFrame → dataset → Keras network → evaluation → ONNX → C++ inside ROOT's event loop.
The public names are loaded when first used, so that importing the package loads neither Keras nor ROOT.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# Public name -> (module, attribute); an attribute of None means the module itself.
_PUBLIC: dict[str, tuple[str, str | None]] = {
    "data": ("hepml_root.data", None),
    "layers": ("hepml_root.layers", None),
    "losses": ("hepml_root.losses", None),
    "models": ("hepml_root.models", None),
    "representations": ("hepml_root.representations", None),
    "simulation": ("hepml_root.simulation", None),
    "training": ("hepml_root.training", None),
    "evaluation": ("hepml_root.evaluation", None),
    "errors": ("hepml_root.errors", None),
    "Column": ("hepml_root.data.columns", "Column"),
    "Source": ("hepml_root.data.rdataframe", "Source"),
    "Dataset": ("hepml_root.data.dataset", "Dataset"),
    "Showers": ("hepml_root.data.showers", "Showers"),
    "attach": ("hepml_root.layers.manifest", "attach"),
    "fit": ("hepml_root.training.fit", "fit"),
    "load_model": ("hepml_root.models.saved", "load_model"),
    "evaluate": ("hepml_root.evaluation.report", "evaluate"),
    # The package `export` is callable: `hr.export(model, path)` and `hepml_root.export.onnx` both work.
    "export": ("hepml_root.export", None),
    "compile": ("hepml_root.inference.compile", "compile"),
    "Session": ("hepml_root.inference.session", "Session"),
    "define": ("hepml_root.inference.define", "define"),
    "apply": ("hepml_root.inference.apply", "apply"),
    "ShowerGenerator": ("hepml_root.inference.shower_generator", "ShowerGenerator"),
    "generate_showers": ("hepml_root.inference.shower_generator", "generate_showers"),
    "shower_sample": ("hepml_root.inference.shower_sample", "shower_sample"),
    "tmva": ("hepml_root.tmva", None),
}

__all__ = [
    "Column",
    "Dataset",
    "Session",
    "ShowerGenerator",
    "Showers",
    "Source",
    "__version__",
    "apply",
    "attach",
    "compile",
    "data",
    "define",
    "errors",
    "evaluate",
    "evaluation",
    "export",
    "fit",
    "generate_showers",
    "layers",
    "load_model",
    "losses",
    "models",
    "representations",
    "shower_sample",
    "simulation",
    "tmva",
    "training",
]

if TYPE_CHECKING:  # what type checkers and editors see
    from hepml_root import (
        data,
        errors,
        evaluation,
        layers,
        losses,
        models,
        representations,
        simulation,
        tmva,
        training,
    )
    from hepml_root.data.columns import Column
    from hepml_root.data.dataset import Dataset
    from hepml_root.data.rdataframe import Source
    from hepml_root.data.showers import Showers
    from hepml_root.evaluation.report import evaluate
    from hepml_root.export import export
    from hepml_root.inference.apply import apply
    from hepml_root.inference.compile import compile
    from hepml_root.inference.define import define
    from hepml_root.inference.session import Session
    from hepml_root.inference.shower_generator import ShowerGenerator, generate_showers
    from hepml_root.inference.shower_sample import shower_sample
    from hepml_root.layers.manifest import attach
    from hepml_root.models.saved import load_model
    from hepml_root.training.fit import fit


def __getattr__(name: str) -> Any:
    try:
        module_name, attribute = _PUBLIC[name]
    except KeyError:
        raise AttributeError(f"module 'hepml_root' has no attribute '{name}'") from None
    module = importlib.import_module(module_name)
    value = module if attribute is None else getattr(module, attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
