"""The compiled part of learning: built by the machine's compiler into the cache, or interpreted by ROOT."""

from __future__ import annotations

import ctypes
import threading
import warnings
from pathlib import Path
from typing import Any

import hepml_root
from hepml_root.data.feed_library import address_of, compile_library, import_root
from hepml_root.errors import CompilerError, SlowerWarning

_HEADERS = Path(hepml_root.__file__).parent / "include"
_FOLDER = _HEADERS / "hepml_root" / "tmva"
_lock = threading.Lock()


def compiled_function(library: str, header: str, function: str, prototype: Any, doing: str) -> Any:
    """Return a C function of ``include/hepml_root/tmva/<header>_library.hxx``.

    Arguments
    ---------
    library
        Name of the library in the cache.
    header
        The header with the code; that of its C functions has ``_library`` behind its name.
    function, prototype
        The function, and its ``ctypes.CFUNCTYPE``.
    doing
        What is slower without a compiler, such as "trees are grown".

    Raises
    ------
    CompilerError
        ROOT's interpreter cannot take the header; its messages are above.
    """
    name = f"{header}_library.hxx"
    with _lock:
        path, problem = compile_library(library, _FOLDER / name, [_FOLDER / name, _FOLDER / f"{header}.hxx"])
    if path is not None:
        address = ctypes.cast(getattr(ctypes.CDLL(str(path)), function), ctypes.c_void_p).value
        return prototype(address)
    warnings.warn(
        f"{doing} in ROOT's interpreter, several times slower than compiled: {problem}. Install g++, or set "
        "CXX to a C++ compiler.",
        SlowerWarning,
        stacklevel=5,
    )
    root = import_root()
    root.gInterpreter.AddIncludePath(str(_HEADERS))
    if not root.gInterpreter.Declare(f'#include "hepml_root/tmva/{name}"'):
        raise CompilerError(f"ROOT's interpreter cannot take '{_FOLDER / name}'; see the lines above.")
    return prototype(address_of(function))
