"""TMVA's enumerations: the methods and whatever else its programs name by a constant."""

from __future__ import annotations

import enum
from typing import Any, ClassVar

from hepml_root.errors import SettingError, unknown


class EMVA(enum.IntEnum):
    """The methods, with TMVA's numbers.

    >>> EMVA.kBDT.method, int(EMVA.kBDT)
    ('BDT', 9)
    """

    kVariable = 0
    kCuts = 1
    kLikelihood = 2
    kPDERS = 3
    kHMatrix = 4
    kFisher = 5
    kKNN = 6
    kCFMlpANN = 7
    kTMlpANN = 8
    kBDT = 9
    kDT = 10
    kRuleFit = 11
    kSVM = 12
    kMLP = 13
    kBayesClassifier = 14
    kFDA = 15
    kBoost = 16
    kPDEFoam = 17
    kLD = 18
    kPlugins = 19
    kCategory = 20
    kDNN = 21
    kDL = 22
    kPyRandomForest = 23
    kPyAdaBoost = 24
    kPyGTB = 25
    kPyKeras = 26
    kPyTorch = 27
    kC50 = 28
    kRSNNS = 29
    kRSVM = 30
    kRXGB = 31
    kCrossValidation = 32
    kMaxMethod = 33

    @property
    def method(self) -> str:
        """The name that weight files and option strings have for it, such as ``BDT``."""
        return self.name[1:]


class EVariableTransform(enum.IntEnum):
    """The transformations of variables."""

    kIdentity = 0
    kDecorrelated = 1
    kNormalized = 2
    kPCA = 3
    kRearranged = 4
    kGauss = 5
    kUniform = 6
    kMaxVariableTransform = 7


class EAnalysisType(enum.IntEnum):
    """What a method is trained for."""

    kClassification = 0
    kRegression = 1
    kMulticlass = 2
    kNoAnalysisType = 3
    kMaxAnalysisType = 4


class ESBType(enum.IntEnum):
    """Signal and background."""

    kSignal = 0
    kBackground = 1
    kSBBoth = 2
    kMaxSBType = 3
    kTrueType = 4


class ETreeType(enum.IntEnum):
    """The samples that a DataLoader's events are divided into."""

    kTraining = 0
    kTesting = 1
    kMaxTreeType = 2
    kValidation = 3
    kTrainingOriginal = 4


class EMsgType(enum.IntEnum):
    """Kinds of messages."""

    kDEBUG = 1
    kVERBOSE = 2
    kINFO = 3
    kWARNING = 4
    kERROR = 5
    kFATAL = 6
    kSILENT = 7
    kHEADER = 8


class VIType(enum.IntEnum):
    """Ways of VariableImportance to choose subsets of the variables."""

    kShort = 0
    kAll = 1
    kRandom = 2


_Method = EMVA  # the class below has EMVA as a name of its own


class _Constants(type):
    """Says which constants there are where one is asked for that does not exist."""

    def __getattr__(cls, name: str) -> Any:
        names = [entry for entry in vars(cls) if entry.startswith("k")]
        raise AttributeError(unknown("constant of TMVA.Types", name, names))


class Types(metaclass=_Constants):
    """TMVA's class of constants: ``TMVA.Types.kBDT``, ``TMVA.Types.kTraining`` and so on.

    Raises
    ------
    AttributeError
        There is no such constant; the nearest are named.

    Example
    -------
    >>> Types.Instance().GetMethodName(Types.kBDT), Types.Instance().GetMethodType("Fisher").name
    ('BDT', 'kFisher')
    >>> Types.EMVA.kMLP is Types.kMLP
    True
    """

    EMVA = EMVA
    EVariableTransform = EVariableTransform
    EAnalysisType = EAnalysisType
    ESBType = ESBType
    ETreeType = ETreeType

    _one: ClassVar[Types | None] = None

    @classmethod
    def Instance(cls) -> Types:
        """Return the one object there is."""
        if cls._one is None:
            cls._one = cls()
        return cls._one

    @staticmethod
    def DestroyInstance() -> None:
        """Nothing is to be destroyed."""

    @staticmethod
    def GetMethodName(method: int) -> str:
        """Return the name of a method, such as ``BDT``.

        Raises
        ------
        SettingError
            There is no method with this number.
        """
        try:
            return EMVA(int(method)).method
        except ValueError:
            raise SettingError(f"no method has the number {method} in TMVA.Types.") from None

    @staticmethod
    def GetMethodType(method: str) -> _Method:
        """Return the constant of a method's name.

        Raises
        ------
        SettingError
            There is no such method.
        """
        by_name = {entry.method: entry for entry in EMVA}
        if str(method) not in by_name:
            raise SettingError(unknown("method", str(method), by_name))
        return by_name[str(method)]


for _enumeration in (EMVA, EVariableTransform, EAnalysisType, ESBType, ETreeType):
    for _entry in _enumeration:
        setattr(Types, _entry.name, _entry)
