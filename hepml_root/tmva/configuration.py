"""TMVA's global objects: ``gConfig()``, ``Tools.Instance()``, ``PyMethodBase.PyInitialize()``.

Programs call them before anything else. A setting of ``gConfig()`` that changes nothing here says so when it
is set.
"""

from __future__ import annotations

import sys
import warnings
from typing import Any, ClassVar

from hepml_root.errors import IgnoredOptionWarning, unknown


class _Settings:
    """Named values with their defaults; other names are refused, and those that change nothing warn."""

    _defaults: ClassVar[dict[str, Any]] = {}
    _ignored: ClassVar[frozenset[str]] = frozenset()

    def __init__(self) -> None:
        self.__dict__.update(self._defaults)

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self._defaults:
            raise AttributeError(unknown("setting of gConfig()", name, self._defaults))
        if name in self._ignored:
            warnings.warn(f"gConfig(): {name} changes nothing here.", IgnoredOptionWarning, stacklevel=2)
        kind = type(self._defaults[name])
        self.__dict__[name] = kind(str(value)) if kind is not bool else bool(value)


class IONames(_Settings):
    """Names of folders: weight files are in ``fWeightFileDirPrefix/<dataset>/fWeightFileDir``."""

    fWeightFileDirPrefix: str
    fWeightFileDir: str
    fWeightFileExtension: str
    _defaults: ClassVar = {
        "fWeightFileDirPrefix": "",
        "fWeightFileDir": "weights",
        "fWeightFileExtension": "weights",
        "fOptionsReferenceFileDir": "optionInfo",
    }
    _ignored = frozenset({"fOptionsReferenceFileDir", "fWeightFileExtension"})


class VariablePlotting(_Settings):
    """Bins of the histograms in the output file.

    ``fTimesRMS``: how many standard deviations from the mean the distributions of variables end.
    """

    fTimesRMS: float
    fNbins1D: int
    fNbins2D: int
    fMaxNumOfAllowedVariablesForScatterPlots: int
    fNbinsMVAoutput: int
    fNbinsXOfROCCurve: int

    _defaults: ClassVar = {
        "fTimesRMS": 8.0,
        "fNbins1D": 40,
        "fNbins2D": 300,
        "fMaxNumOfAllowedVariablesForScatterPlots": 20,
        "fNbinsMVAoutput": 40,
        "fNbinsXOfROCCurve": 100,
        "fUsePaperStyle": False,
    }
    _ignored = frozenset({"fUsePaperStyle"})


class Config:
    """Settings of all Factories to come; there is one object, ``gConfig()``.

    Example
    -------
    >>> gConfig() is Config.Instance()
    True
    >>> gConfig().GetIONames().fWeightFileDir
    'weights'
    """

    _one: ClassVar[Config | None] = None

    def __init__(self) -> None:
        self.fIONames = IONames()
        self.fVariablePlotting = VariablePlotting()
        self._switches = {"UseColor": True, "IsSilent": False, "DrawProgressBar": True}

    @classmethod
    def Instance(cls) -> Config:
        """Return the one object there is."""
        if cls._one is None:
            cls._one = cls()
        return cls._one

    @classmethod
    def DestroyInstance(cls) -> None:
        """Forget all that was set."""
        cls._one = None

    def GetIONames(self) -> IONames:
        """Return the names of files."""
        return self.fIONames

    def GetVariablePlotting(self) -> VariablePlotting:
        """Return the bins of histograms."""
        return self.fVariablePlotting

    def UseColor(self) -> bool:
        """Whether a Factory whose options do not say it uses colours."""
        return self._switches["UseColor"]

    def SetUseColor(self, use: bool) -> None:
        """Say whether a Factory whose options do not say it uses colours."""
        self._switches["UseColor"] = bool(use)

    def IsSilent(self) -> bool:
        """Whether a Factory whose options do not say it is silent."""
        return self._switches["IsSilent"]

    def SetSilent(self, silent: bool) -> None:
        """Say whether a Factory whose options do not say it is silent."""
        self._switches["IsSilent"] = bool(silent)

    def DrawProgressBar(self) -> bool:
        """Whether a Factory whose options do not say it shows progress."""
        return self._switches["DrawProgressBar"]

    def SetDrawProgressBar(self, draw: bool) -> None:
        """Say whether a Factory whose options do not say it shows progress."""
        self._switches["DrawProgressBar"] = bool(draw)


def gConfig() -> Config:
    """Return the settings of all Factories to come."""
    return Config.Instance()


class Tools:
    """TMVA's toolbox, which programs load by ``TMVA.Tools.Instance()``; nothing needs to be loaded here.

    Example
    -------
    >>> Tools.Instance() is gTools()
    True
    """

    _one: ClassVar[Tools | None] = None

    @classmethod
    def Instance(cls) -> Tools:
        """Return the one object there is."""
        if cls._one is None:
            cls._one = cls()
        return cls._one

    @classmethod
    def DestroyInstance(cls) -> None:
        """Forget the one object there is."""
        cls._one = None


def gTools() -> Tools:
    """Return TMVA's toolbox."""
    return Tools.Instance()


class PyMethodBase:
    """The Python inside TMVA, which is the one that runs here.

    Example
    -------
    >>> PyMethodBase.PyInitialize()
    >>> PyMethodBase.PyIsInitialized()
    1
    """

    @staticmethod
    def PyInitialize() -> None:
        """Nothing is to be done: Python runs."""

    @staticmethod
    def PyIsInitialized() -> int:
        """Return 1: Python runs."""
        return 1


def Python_Executable() -> str:
    """Return the path of the Python that runs.

    >>> Python_Executable() == sys.executable
    True
    """
    return sys.executable
