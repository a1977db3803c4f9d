"""``TMVA.Experimental``: RReader, RStandardScaler, RBDT, SOFIE and what belongs to them.

Arrays of numpy stand for TMVA's RTensor; names are resolved when first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_PUBLIC = {
    "AsRTensor": "hepml_root.tmva.experimental.tensors",
    "AsTensor": "hepml_root.tmva.experimental.tensors",
    "MemoryLayout": "hepml_root.tmva.experimental.tensors",
    "Compute": "hepml_root.tmva.experimental.tensors",
    "RBDT": "hepml_root.tmva.experimental.forest",
    "RReader": "hepml_root.tmva.experimental.weight_file_reader",
    "RSofieReader": "hepml_root.tmva.experimental.sofie_reader",
    "RStandardScaler": "hepml_root.tmva.experimental.standard_scaler",
    "RTensor": "hepml_root.tmva.experimental.tensors",
    "SaveXGBoost": "hepml_root.tmva.experimental.xgboost_model",
}

__all__ = [
    "RBDT",
    "SOFIE",
    "AsRTensor",
    "AsTensor",
    "Compute",
    "MemoryLayout",
    "RReader",
    "RSofieReader",
    "RStandardScaler",
    "RTensor",
    "SaveXGBoost",
]

if TYPE_CHECKING:
    from hepml_root.tmva.experimental import sofie as SOFIE
    from hepml_root.tmva.experimental.forest import RBDT
    from hepml_root.tmva.experimental.sofie_reader import RSofieReader
    from hepml_root.tmva.experimental.standard_scaler import RStandardScaler
    from hepml_root.tmva.experimental.tensors import AsRTensor, AsTensor, Compute, MemoryLayout, RTensor
    from hepml_root.tmva.experimental.weight_file_reader import RReader
    from hepml_root.tmva.experimental.xgboost_model import SaveXGBoost


def __getattr__(name: str) -> Any:
    if name == "SOFIE":
        value: Any = importlib.import_module("hepml_root.tmva.experimental.sofie")
    elif name in _PUBLIC:
        value = getattr(importlib.import_module(_PUBLIC[name]), name)
    else:
        raise AttributeError(f"TMVA.Experimental has no '{name}'; it has {', '.join(__all__)}.")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
