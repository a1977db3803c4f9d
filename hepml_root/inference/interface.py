"""The C interface of a network: as the source of a library, and as text for ROOT's interpreter."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

TEMPLATE = Path(__file__).resolve().parent.parent / "export" / "templates" / "library.cxx"

INFER = ctypes.CFUNCTYPE(
    None, ctypes.POINTER(ctypes.c_void_p), ctypes.c_size_t, ctypes.POINTER(ctypes.c_void_p)
)

# The same with the seed of random operators and the number of the first event.
INFER_SEEDED = ctypes.CFUNCTYPE(
    None,
    ctypes.POINTER(ctypes.c_void_p),
    ctypes.c_size_t,
    ctypes.POINTER(ctypes.c_void_p),
    ctypes.c_uint64,
    ctypes.c_uint64,
)
ISA = ctypes.CFUNCTYPE(ctypes.c_char_p)


def call(
    function: Any, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray], seeds: tuple[int, ...] = ()
) -> None:
    """Call ``<symbol>_infer`` with numpy arrays; Python's global lock is released meanwhile.

    ``seeds`` are the seed and the number of the first event, for ``<symbol>_infer_seeded``.
    """
    pointers = [
        (ctypes.c_void_p * len(arrays))(*(a.ctypes.data for a in arrays)) for arrays in (inputs, outputs)
    ]
    function(pointers[0], len(inputs[0]), pointers[1], *seeds)


def library_source(name: str, symbol: str, weights: str | None = None) -> str:
    """Return the C++ file of the library of the model ``name``; it includes ``<name>.hxx``.

    ``weights`` is a file that becomes part of the library as it is, in place of the weights in the header:
    compilers need much longer to read numbers.
    """
    text = TEMPLATE.read_text(encoding="ascii")
    text = text.replace('"model.hxx"', f'"{name}.hxx"').replace("TMVA_SOFIE_model", f"TMVA_SOFIE_{name}")
    apart = "" if weights is None else _WEIGHTS.replace("WEIGHTS_FILE", weights)
    return text.replace(_NO_WEIGHTS, apart).replace("hepml_root_symbol", symbol)


_NO_WEIGHTS = "// begin weights\n// end weights\n"
_WEIGHTS = """\
#define HEPML_ROOT_WEIGHTS_APART
extern "C" __attribute__((visibility("hidden"))) const float hepml_root_symbol_weights[];
#ifndef HEPML_ROOT_KERNEL
asm(".section .rodata\\n.balign 64\\n.globl hepml_root_symbol_weights\\n"
    ".hidden hepml_root_symbol_weights\\nhepml_root_symbol_weights:\\n"
    ".incbin \\"WEIGHTS_FILE\\"\\n.previous\\n");
#endif
"""


# What the interpreter may be told to compile for, best first: processor features and floats per register. By
# itself it compiles for the oldest processors.
TARGETS: tuple[tuple[tuple[str, ...], int], ...] = (
    (("avx512f", "avx512vl", "avx512dq", "avx512bw", "avx2", "fma"), 16),
    (("avx2", "fma"), 8),
)


def interpreted_source(header: Path, symbol: str, features: frozenset[str] = frozenset()) -> str:
    """Return self-contained C++ with the same functions, for ROOT's interpreter.

    The namespace of the model is made unique too: to the interpreter all models are one program.
    ``features`` are those of the processor that will run it; without them the code runs on any.
    """
    name = header.stem
    text = library_source(name, symbol)
    text = text.replace(f'#include "{name}.hxx"', header.read_text(encoding="ascii"))
    side_file = header.with_suffix(".weights")
    if side_file.is_file():
        path = str(side_file.resolve()).replace("\\", "\\\\").replace('"', '\\"')
        text = text.replace(f"TMVA_SOFIE_{name}::Session()", f'TMVA_SOFIE_{name}::Session("{path}")')
    text = text.replace(f"TMVA_SOFIE_{name}", f"TMVA_SOFIE_{name}_{symbol}")
    for needed, lanes in TARGETS:
        if features.issuperset(needed):
            return _for_target(_renamed(text, f"for_{lanes}_lanes"), needed, lanes)
    return _renamed(text, "interpreted")


def _renamed(text: str, suffix: str) -> str:
    """Give engine and guards names of their own.

    The interpreter is one program: headers that were included before, also of the same model, would else
    leave this one out, and may be for another target.
    """
    return re.sub(r"\b(engine_[0-9a-f]{12}|HEPML_ROOT_(?:ENGINE|MODEL)_\w+)\b", rf"\1_{suffix}", text)


# What a header says about the target, for those that follow it in the same process.
_ABOUT_THE_TARGET = tuple(f"HEPML_ROOT_{name}" for name in ("LANES", "AVX512", "FEATURES", "TARGET"))


def _for_target(text: str, features: tuple[str, ...], lanes: int) -> str:
    """Let every function in ``text`` be compiled for a processor; the standard's headers stay as they are.

    What is said about the target is for this text alone, not for headers that follow.
    """
    lines = text.splitlines()
    includes = [line for line in lines if line.startswith("#include <")]
    own = "avx512f" in features
    target = f'__attribute__((target("{",".join(features)}")))'
    return "\n".join(
        [
            *includes,
            *(["#include <immintrin.h>"] if own else []),
            *(f'#pragma push_macro("{name}")\n#undef {name}' for name in _ABOUT_THE_TARGET),
            f"#define HEPML_ROOT_LANES {lanes}",
            *(["#define HEPML_ROOT_AVX512 1"] if own else []),
            f"#pragma clang attribute push({target}, apply_to = function)",
            *lines,
            "#pragma clang attribute pop",
            *(f'#pragma pop_macro("{name}")' for name in _ABOUT_THE_TARGET),
            "",
        ]
    )
