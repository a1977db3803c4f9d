"""TMVA: weight files that its Factory wrote, evaluated by the same compiled code as networks of our own.

``from hepml_root import tmva as TMVA`` loads nothing else; names are resolved when first used.

- :func:`convert` a ``*.weights.xml`` becomes an ONNX file with a manifest
- :func:`read_weights` what a weight file says, as plain dataclasses
- :class:`Reader` TMVA's Reader: AddVariable, BookMVA, EvaluateMVA
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_PUBLIC = {
    "Reader": "hepml_root.tmva.reader",
    "TMVAGui": "hepml_root.tmva.gui",
    "TMVAMultiClassGui": "hepml_root.tmva.gui",
    "TMVARegGui": "hepml_root.tmva.gui",
    "WeightFile": "hepml_root.tmva.weights_xml",
    "convert": "hepml_root.tmva.conversion",
    "read_weights": "hepml_root.tmva.weights_xml",
}

__all__ = ["Reader", "WeightFile", "convert", "read_weights"]

if TYPE_CHECKING:  # what type checkers and editors see
    from hepml_root.tmva.conversion import convert
    from hepml_root.tmva.reader import Reader
    from hepml_root.tmva.weights_xml import WeightFile, read_weights


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'hepml_root.tmva' has no attribute '{name}'")
    value = getattr(importlib.import_module(_PUBLIC[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
