"""Named exceptions: every one says what was asked, what exists and what to do.

All of them derive from :class:`HepmlError`; the command line prints the message of any of them and
ends with exit code 2, without a traceback.

>>> nearest("m_bbb", ["m_bb", "m_wwbb", "lepton_pT"])
['m_bb', 'm_wwbb']
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class HepmlError(Exception):
    """Base of all errors that a user can cause and mend."""


class SourceNotFoundError(HepmlError, FileNotFoundError):
    """A file, or a tree in a file, does not exist."""


class CorruptFileError(HepmlError, OSError):
    """A file exists but cannot be read to its end (truncated, no ROOT file, damaged baskets)."""


class ColumnNotFoundError(HepmlError, KeyError):
    """A column or expression names something the data do not have."""

    def __str__(self) -> str:  # KeyError would print the repr of the message
        return str(self.args[0]) if self.args else ""


class ColumnTypeError(HepmlError, TypeError):
    """A column has a type that the asked use cannot take (text, objects, a jagged column without length)."""


class ExpressionError(HepmlError, ValueError):
    """A ROOT expression does not compile or a column declaration cannot be read."""


class EmptySelectionError(HepmlError, ValueError):
    """No event is left: of a class, after a cut, or in a split."""


class NonFiniteInputError(HepmlError, ValueError):
    """An input column holds NaN or infinity."""


class WeightError(HepmlError, ValueError):
    """The weights cannot be used: zero or negative sum, not finite, wrong length."""


class ShapeError(HepmlError, ValueError):
    """Arrays or inputs do not have the shape that is asked for."""


class NotInMemoryError(HepmlError, AttributeError):
    """The arrays of a lazy dataset were asked for."""


class SettingError(HepmlError, ValueError):
    """A setting is unknown or has a value out of its range."""


class JobFileError(SettingError):
    """A job file cannot be read or has an unknown key or a wrong value."""


class OutputExistsError(HepmlError, FileExistsError):
    """The output is there already and overwriting was not asked for."""


class OutputWriteError(HepmlError, OSError):
    """The output cannot be written: the disk is full, the folder is missing or not writable."""


class ModelFileError(HepmlError, ValueError):
    """A model file is no ONNX file, is damaged, or carries no hepml_root manifest."""


class UnsupportedOperationError(HepmlError, ValueError):
    """A layer or operator cannot be exported, generated or inverted; nothing is miscomputed in its place."""


class ParityError(HepmlError, ArithmeticError):
    """Two runtimes do not agree on the same events."""


class CompilerError(HepmlError, RuntimeError):
    """The C++ compiler is missing or fails."""


class MissingDependencyError(HepmlError, ImportError):
    """A package that the asked feature needs is not installed."""


class InterruptedTrainingError(HepmlError, RuntimeError):
    """A checkpoint cannot be resumed: absent, of another model, or of other data."""


class SlowerWarning(RuntimeWarning):
    """What was asked works, but slower than it could: the message says why and what to install."""


class StatisticsWarning(RuntimeWarning):
    """An estimate rests on too few effective events, or on counts of events that have no weights."""


class IgnoredOptionWarning(UserWarning):
    """An option of TMVA was given that changes nothing here; the message names it."""


class CollapseWarning(RuntimeWarning):
    """A generator makes nearly always the same, or its training no longer has finite losses."""


def nearest(name: str, names: Iterable[str], most: int = 3) -> list[str]:
    """Return up to ``most`` of ``names`` that look most like ``name``, best first."""
    names = [str(candidate) for candidate in names]
    folded = {candidate.casefold(): candidate for candidate in names}
    found = difflib.get_close_matches(name.casefold(), list(folded), n=most, cutoff=0.5)
    return [folded[candidate] for candidate in found]


def unknown(kind: str, name: str, names: Iterable[str], remedy: str = "") -> str:
    """Return the message for something asked for by a name that does not exist.

    >>> unknown("column", "m_bbb", ["m_bb", "m_jj"])
    "no column 'm_bbb'. Nearest: 'm_bb'. Available: m_bb, m_jj."
    """
    names = [str(candidate) for candidate in names]
    text = f"no {kind} '{name}'."
    close = nearest(name, names)
    if close:
        text += " Nearest: " + ", ".join(f"'{candidate}'" for candidate in close) + "."
    if names:
        shown = ", ".join(names[:40]) + (f" and {len(names) - 40} more" if len(names) > 40 else "")
        text += f" Available: {shown}."
    return text + (f" {remedy}" if remedy else "")
