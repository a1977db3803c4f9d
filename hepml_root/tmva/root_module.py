"""``ROOT.TMVA`` where ROOT has none: this package under TMVA's name, in Python and in the interpreter.

    import hepml_root.tmva
    hepml_root.tmva.install()
    import ROOT
    factory = ROOT.TMVA.Factory(...)

``python -m hepml_root.tmva SCRIPT.py`` does it for a script that knows nothing of this package.
"""

from __future__ import annotations

import importlib
import re
import types
from pathlib import Path
from typing import Any

from hepml_root.errors import MissingDependencyError, SettingError, unknown
from hepml_root.tmva.autoloading import load_when_used

SHIM = Path(__file__).resolve().parents[1] / "include" / "tmva_shim"

# What ROOT's configuration says of a build with TMVA, and what is provided here of it.
FEATURES = {"tmva": True, "tmva-cpu": True, "tmva-gpu": False, "tmva-pymva": True, "tmva-sofie": True}


class _Namespace(types.ModuleType):
    """A C++ namespace as PyROOT has it: names of a Python package, and what the interpreter knows."""

    def __init__(self, name: str, package: str, cpp_name: str) -> None:
        super().__init__(name, f"{cpp_name}, provided by {package}.")
        self.__dict__.update(_package=package, _cpp_name=cpp_name)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        package = importlib.import_module(self._package)
        if name in dir(package):
            return getattr(package, name)
        found = self._declared(name)
        if found is None:
            raise AttributeError(unknown(f"name in {self._cpp_name}", name, dir(package)))
        return found

    def _declared(self, name: str) -> Any:
        """What C++ code that was declared put into the namespace."""
        import cppyy

        scope: Any = cppyy.gbl
        for part in self._cpp_name.split("::"):
            scope = getattr(scope, part, None)
            if scope is None:
                return None
        return getattr(scope, name, None)

    def __dir__(self) -> list[str]:
        return dir(importlib.import_module(self._package))


def install(replace: bool = False) -> bool:
    """Provide ``ROOT.TMVA`` in this program.

    ROOT says then that it is built with TMVA (``gROOT.GetConfigFeatures``, ``root-config --has-tmva`` through
    ``gSystem.GetFromPipe``), and its interpreter knows ``TMVA::Experimental::SofieFunctor``. Calling it again
    changes nothing.

    Arguments
    ---------
    replace
        Take the place of a TMVA that ROOT has.

    Returns
    -------
    bool
        Whether ``ROOT.TMVA`` is this package's; False where ROOT has its own, and ``replace`` is not set.

    Raises
    ------
    MissingDependencyError
        There is no ROOT.
    SettingError
        ``ROOT.TMVA`` was used already, so that parts of the program have ROOT's own.

    Example
    -------
    >>> import ROOT
    >>> install(), ROOT.TMVA.Types.kBDT.name
    (True, 'kBDT')
    """
    try:
        import ROOT
    except ImportError as error:
        raise MissingDependencyError(f"there is no ROOT in this Python: {error}.") from error
    if isinstance(vars(ROOT).get("TMVA"), _Namespace):
        return True
    if root_has_tmva():
        if not replace:
            return False
        if "TMVA" not in vars(type(ROOT)) and hasattr(type(ROOT), "RDataFrame"):
            raise SettingError("ROOT.TMVA was used already: install() has to come before.")
    if "TMVA" in vars(type(ROOT)):
        del type(ROOT).TMVA  # a property, which would come before the entry below
    tmva = _Namespace("ROOT.TMVA", "hepml_root.tmva", "TMVA")
    tmva.__dict__["Experimental"] = _Namespace(
        "ROOT.TMVA.Experimental", "hepml_root.tmva.experimental", "TMVA::Experimental"
    )
    vars(ROOT)["TMVA"] = tmva
    _after_setup(ROOT, _prepare)
    return True


def root_has_tmva() -> bool:
    """Whether ROOT was built with TMVA; found out without starting ROOT.

    >>> root_has_tmva()
    False
    """
    from hepml_root.export.sofie import has_library

    return has_library("libTMVA")


def _after_setup(ROOT: Any, action: Any) -> None:
    """Do something when ROOT has started: a script may still want to say how it is to start."""
    start = getattr(type(ROOT), "_finalSetup", None)
    if start is None or "_cppyy" in vars(ROOT):
        action(ROOT)
        return

    def start_and_act() -> None:
        vars(ROOT).pop("_finalSetup", None)
        start(ROOT)
        action(ROOT)

    vars(ROOT)["_finalSetup"] = start_and_act


def _prepare(ROOT: Any) -> None:
    """Tell ROOT's interpreter, and what asks ROOT for its features, of TMVA."""
    ROOT.gInterpreter.AddIncludePath(str(SHIM))
    ROOT.gInterpreter.Declare(f'#include "{SHIM}/TMVA/SOFIEHelpers.hxx"')
    load_when_used(ROOT, SHIM)
    classes = type(ROOT.gROOT), type(ROOT.gSystem)
    features, pipe = classes[0].GetConfigFeatures, classes[1].GetFromPipe
    ours = " ".join(name for name, there in FEATURES.items() if there)

    def get_config_features(self: Any) -> str:
        return f"{features(self)} {ours}"

    def get_from_pipe(self: Any, command: Any, *arguments: Any) -> Any:
        asked = re.fullmatch(r"\s*root-config\s+--has-(tmva[a-z-]*)\s*", str(command))
        if asked and asked[1] in FEATURES:
            return "yes" if FEATURES[asked[1]] else "no"
        return pipe(self, command, *arguments)

    classes[0].GetConfigFeatures = get_config_features
    classes[1].GetFromPipe = get_from_pipe
