"""ROOT files and arrays to datasets: columns, the feed, weights, splits and streams.

The names are loaded when first used; ROOT is imported only when a ROOT file is opened.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

# Public name -> module.
_PUBLIC: dict[str, str] = {
    "Block": "schema",
    "Column": "columns",
    "Dataset": "dataset",
    "Frame": "rdataframe",
    "KFold": "split",
    "LazyDataset": "lazy",
    "Schema": "schema",
    "Source": "rdataframe",
    "Stream": "stream",
    "Yields": "weights",
    "declare_observables": "observables_library",
    "effective_events": "weights",
    "read_top_tagging": "top_tagging",
    "shipped_file": "shipped",
    "top_tagging_to_root": "top_tagging",
}

__all__ = [
    "Block",
    "Column",
    "Dataset",
    "Frame",
    "KFold",
    "LazyDataset",
    "Schema",
    "Source",
    "Stream",
    "Yields",
    "declare_observables",
    "effective_events",
    "read_top_tagging",
    "shipped_file",
    "top_tagging_to_root",
]

if TYPE_CHECKING:
    from hepml_root.data.columns import Column
    from hepml_root.data.dataset import Dataset
    from hepml_root.data.lazy import LazyDataset
    from hepml_root.data.observables_library import declare_observables
    from hepml_root.data.rdataframe import Frame, Source
    from hepml_root.data.schema import Block, Schema
    from hepml_root.data.shipped import shipped_file
    from hepml_root.data.split import KFold
    from hepml_root.data.stream import Stream
    from hepml_root.data.top_tagging import read_top_tagging, top_tagging_to_root
    from hepml_root.data.weights import Yields, effective_events


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'hepml_root.data' has no attribute '{name}'")
    value = getattr(importlib.import_module(f"hepml_root.data.{_PUBLIC[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
