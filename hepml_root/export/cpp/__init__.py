"""ONNX → one C++ header: ``reading.py`` makes steps, ``passes.py`` fuses them, ``generator.py`` writes them.

The rules of operators are in a module for each family.
"""

from hepml_root.export.cpp.generator import (
    ENGINE,
    INCLUDE,
    TEMPLATE,
    CppSource,
    checksum,
    engine_hash,
    generate,
    identifier,
    string_literal,
)

__all__ = [
    "ENGINE",
    "INCLUDE",
    "TEMPLATE",
    "CppSource",
    "checksum",
    "engine_hash",
    "generate",
    "identifier",
    "string_literal",
]
