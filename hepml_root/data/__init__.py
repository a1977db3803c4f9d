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
    "Geometry": "geometry",
    "KFold": "split",
    "LazyDataset": "lazy",
    "Schema": "schema",
    "Showers": "showers",
    "Source": "rdataframe",
    "Stream": "stream",
    "Yields": "weights",
    "calochallenge_geometry": "calochallenge",
    "declare_observables": "observables_library",
    "effective_events": "weights",
    "geometry_names": "geometry",
    "read_top_tagging": "top_tagging",
    "shipped_file": "shipped",
    "top_tagging_to_root": "top_tagging",
}

__all__ = [
    "Block",
    "Column",
    "Dataset",
    "Frame",
    "Geometry",
    "KFold",
    "LazyDataset",
    "Schema",
    "Showers",
    "Source",
    "Stream",
    "Yields",
    "calochallenge_geometry",
    "declare_observables",
    "effective_events",
    "geometry_names",
    "read_top_tagging",
    "shipped_file",
    "top_tagging_to_root",
]

if TYPE_CHECKING:
    from hepml_root.data.calochallenge import calochallenge_geometry
    from hepml_root.data.columns import Column
    from hepml_root.data.dataset import Dataset
    from hepml_root.data.geometry import Geometry, geometry_names
    from hepml_root.data.lazy import LazyDataset
    from hepml_root.data.observables_library import declare_observables
    from hepml_root.data.rdataframe import Frame, Source
    from hepml_root.data.schema import Block, Schema
    from hepml_root.data.shipped import shipped_file
    from hepml_root.data.showers import Showers
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
