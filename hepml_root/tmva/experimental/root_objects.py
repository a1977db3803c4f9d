"""Objects of TMVA's classes in ROOT files, written and read by ROOT itself without ROOT's TMVA.

The classes are declared to the interpreter with TMVA's names and members (``include/tmva_shim/TMVA``), and
ROOT stores them with a description of these members, by which a ROOT with TMVA finds them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hepml_root.errors import (
    CorruptFileError,
    OutputWriteError,
    SourceNotFoundError,
    UnsupportedOperationError,
    unknown,
)
from hepml_root.tmva.root_module import SHIM, root_has_tmva

_GET = """
#include <TFile.h>
#include <memory>
#include <string>
#include <vector>
namespace hepml_root_tmva {
// A copy, or nothing: PyROOT's own Get() ends the process at std::vector and std::string.
template <class T> std::vector<T> Get(TFile& file, const char* name) {
   const std::unique_ptr<T> found(file.Get<T>(name));
   return found ? std::vector<T>{*found} : std::vector<T>{};
}
template <class T> int Write(TFile& file, T& object, const char* name) {
   return file.WriteObject(&object, name);
}
}
"""


def tmva_class(header: str, name: str) -> Any:
    """Return one of TMVA's classes in the interpreter.

    Arguments
    ---------
    header
        Name of the header in ``TMVA/`` that declares it.
    name
        C++ name of the class.

    Raises
    ------
    UnsupportedOperationError
        This ROOT has TMVA, whose own class keeps its members to itself.
    """
    import cppyy
    import ROOT

    if root_has_tmva():
        raise UnsupportedOperationError(
            f"this ROOT has TMVA: read and write {name} by ROOT.TMVA itself, not by hepml_root."
        )
    guard = "HEPML_ROOT_TMVA_OBJECTS"
    ROOT.gInterpreter.Declare(
        f'#include "{SHIM}/TMVA/{header}"\n#ifndef {guard}\n#define {guard}\n{_GET}#endif\n'
    )
    scope: Any = cppyy.gbl
    plain, _, argument = name.partition("<")
    for part in plain.split("::"):
        scope = getattr(scope, part)
    return scope[argument.rstrip(">")] if argument else scope


@contextmanager
def open_file(path: str | os.PathLike[str], mode: str) -> Iterator[Any]:
    """Open a ROOT file, and close it.

    Raises
    ------
    SourceNotFoundError, CorruptFileError
        There is no such file, or it is no ROOT file.
    OutputWriteError
        It cannot be written.
    """
    import ROOT

    path = str(path)
    if mode == "READ" and not Path(path).is_file() and "://" not in path:
        raise SourceNotFoundError(f"there is no file '{path}'.")
    level, ROOT.gErrorIgnoreLevel = ROOT.gErrorIgnoreLevel, ROOT.kFatal
    folder = ROOT.TDirectory.CurrentDirectory().load()
    try:
        file = ROOT.TFile.Open(path, mode)
    except OSError:
        file = None
    finally:
        ROOT.gErrorIgnoreLevel = level
    if not file or file.IsZombie():
        if mode == "READ":
            raise CorruptFileError(f"'{path}' is no ROOT file that can be read.")
        raise OutputWriteError(f"cannot write '{path}': is the folder there, and writable?")
    try:
        yield file
    finally:
        file.Close()
        if folder:
            folder.cd()


def read_object(file: Any, name: str, kind: Any) -> Any:
    """Return an object of a file.

    Raises
    ------
    SourceNotFoundError
        The file has no object of that name and class.
    """
    import cppyy

    key = file.GetKey(name)
    found = []
    if key and str(key.GetClassName()) == kind.__cpp_name__:
        found = cppyy.gbl.hepml_root_tmva.Get[kind](file, name)
    if not len(found):
        names = [str(entry.GetName()) for entry in file.GetListOfKeys()]
        raise SourceNotFoundError(
            f"'{file.GetName()}': {unknown(kind.__cpp_name__ + ' called', name, names)}"
        )
    return found[0]


def read_standard(file: Any, name: str, kind: str) -> Any:
    """Return a ``std::vector`` or ``std::string`` of a file, or None if it has none of that name and type.

    Arguments
    ---------
    name
        With the folders that it is in.
    kind
        C++ name of the type. :func:`tmva_class` has to be called before.
    """
    import cppyy

    found = cppyy.gbl.hepml_root_tmva.Get[kind](file, name)
    return found[0] if len(found) else None


def write_object(file: Any, thing: Any, name: str) -> None:
    """Write an object into a file.

    Raises
    ------
    OutputWriteError
        ROOT writes nothing.
    """
    import cppyy

    if cppyy.gbl.hepml_root_tmva.Write[type(thing)](file, thing, name) <= 0:
        raise OutputWriteError(f"'{name}' cannot be written to '{file.GetName()}'.")
