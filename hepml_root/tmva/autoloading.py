"""TMVA's C++ names in ROOT's interpreter when code first uses them, as ROOT loads its own libraries.

Where ROOT has TMVA, ``gInterpreter.Declare("TMVA::Reader reader;")`` needs no header. The headers that stand
for TMVA's here take seconds, so they are included when C++ code that Python hands to the interpreter, or a
macro that it loads, has one of their names.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

ALL = "tmva.h"
# The calls of Python that hand C++ to the interpreter: class of ROOT, methods with a text or a file first.
_CALLS = {
    "TInterpreter": ("Declare", "ProcessLine", "ProcessLineSynch", "Calc", "LoadMacro", "ExecuteMacro"),
    "TROOT": ("ProcessLine", "ProcessLineSync", "ProcessLineFast", "LoadMacro", "Macro"),
}

_SOURCES = (".C", ".cxx", ".cpp", ".h", ".hxx")
_KNOWN = ("SofieFunctor", "SOFIE", "Experimental")
_FURTHER = ("AsTensor", "Compute", "gConfig", "gTools", "MemoryLayout")


def needs_headers(text: str, names: frozenset[str]) -> bool:
    """Return whether C++ code uses one of TMVA's names.

    >>> names = frozenset({"Reader", "RReader"})
    >>> needs_headers("TMVA::Reader r;", names), needs_headers("TMVA::Experimental::RReader r(f);", names)
    (True, True)
    >>> needs_headers("auto f = TMVA::Experimental::SofieFunctor<7, S>(0);", names)
    False
    """
    if re.search(r"\busing\s+namespace\s+TMVA\b", text):
        return True
    return bool(names.intersection(re.findall(r"\bTMVA::(?:Experimental::)?(\w+)", text)))


def names_of(folder: Path) -> frozenset[str]:
    """Return the names that headers declare: those of their files, and a few more."""
    stems = {path.stem for path in (folder / "TMVA").glob("*.h*")}
    return frozenset({*stems, *_FURTHER} - {*_KNOWN})


def code_of(command: str) -> str:
    """Return the code of a command, with that of the macro that it loads.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "macro.C"
    >>> _ = path.write_text("void macro() {}")
    >>> code_of(f".x {path}+(1)").splitlines()[1]
    'void macro() {}'
    """
    name = re.sub(r"^\s*\.[LxX]\s+", "", command).strip()
    name = re.sub(r"\+{0,2}[a-z]*(?:\(.*\))?;?\Z", "", name, flags=re.S) if "\n" not in name else ""
    found = [command]
    for candidate in (name, re.sub(r"\(.*\)\Z", "", command.strip()).rstrip("+")):
        path = Path(candidate)
        if len(candidate) < 1000 and path.suffix in _SOURCES and path.is_file():
            found.append(path.read_text(encoding="utf-8", errors="replace"))
            break
    return "\n".join(found)


def load_when_used(ROOT: Any, folder: Path) -> None:
    """Have the headers in ``folder`` included before the first code that uses their names.

    Arguments
    ---------
    ROOT
        The module, started.
    folder
        With ``tmva.h``, and ``TMVA/`` with the single headers.
    """
    names, done = names_of(folder), list[bool]()
    declare = ROOT.TInterpreter.Declare

    def prepare(command: Any) -> None:
        if not done and needs_headers(code_of(str(command)), names):
            done.append(True)  # before, since it declares
            declare(ROOT.gInterpreter, f'#include "{folder / ALL}"')

    def prepared(original: Any, name: str) -> Callable[..., Any]:
        @functools.wraps(original, assigned=("__doc__",), updated=())
        def call(self: Any, command: Any, *arguments: Any, **keywords: Any) -> Any:
            prepare(command)
            return original(self, command, *arguments, **keywords)

        call.__name__ = name
        return call

    for kind, methods in _CALLS.items():
        owner = getattr(ROOT, kind)
        for name in methods:
            original = getattr(owner, name, None)
            if original is not None:
                setattr(owner, name, prepared(original, name))
