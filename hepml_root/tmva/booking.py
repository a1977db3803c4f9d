"""What BookMethod makes of a type, a title and options: a method, or one that boosts it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hepml_root.errors import SettingError, unknown
from hepml_root.tmva.configuration import gConfig
from hepml_root.tmva.methods.method import Booking, Method
from hepml_root.tmva.methods.registry import method_class
from hepml_root.tmva.options.declaration import keyword_text, parse
from hepml_root.tmva.options.shared import SHARED
from hepml_root.tmva.types import EMVA

_PLAIN = (bool, int, float, str, np.integer, np.floating)
_BOOST = "boost_"
# What the boosting method does for the methods that it boosts.
_OF_BOOST = ("vartransform", "createmvapdfs", "pdfinterpolmvapdf", "nbinsmvapdf", "nsmoothmvapdf")


def book(
    type_name: str,
    title: str,
    options: Any = "",
    keywords: Mapping[str, Any] | None = None,
    *,
    job: str,
    dataset: str,
    analysis: str,
) -> Method:
    """Make a method; its options are read and checked.

    With ``Boost_Num=…`` among its options, this method is boosted: the type is then ``Boost``.

    Arguments
    ---------
    type_name, title
        Such as ``BDT``, and a name of one's own.
    options, keywords
        TMVA's option string, and PyROOT's keyword options; what is no text or number is an argument of the
        method itself.
    job, dataset, analysis
        Of the Factory and the DataLoader.

    Raises
    ------
    SettingError
        There is no such method or option (the nearest are named), or the method does not do this analysis.

    Example
    -------
    >>> method = book("SVM", "mine", "C=2", job="job", dataset="d", analysis="Classification")
    >>> method.options["C"], method.booking.folder.as_posix()
    (2.0, 'd/weights')
    """
    keywords = keywords or {}
    plain = {name: value for name, value in keywords.items() if value is None or isinstance(value, _PLAIN)}
    plain |= {name: str(value) for name, value in keywords.items() if hasattr(value, "Data")}  # TString
    extra = {name: value for name, value in keywords.items() if name not in plain}
    parts = [*str(options).split(":"), *(keyword_text(name, value) for name, value in plain.items())]
    parts = [part.strip() for part in parts if part.strip()]

    def made(name: str, texts: list[str], objects: Mapping[str, Any]) -> Method:
        found, names = method_class(name), gConfig().GetIONames()
        folder = Path(names.fWeightFileDirPrefix) / dataset / names.fWeightFileDir
        values = parse((*SHARED, *found.own_options), ":".join(texts), f"{name} '{title}'")
        return found(Booking(job, dataset, title, name, values, analysis, folder, dict(objects)))

    of_boost = [part for part in parts if part.lower().lstrip("! ").startswith(_BOOST)]
    if type_name == "Boost" or not any(part.lower().startswith("boost_num") for part in of_boost):
        return made(type_name, parts, extra)
    shared = {option.name.lower() for option in SHARED}
    rest = [part for part in parts if part not in of_boost]
    names = [part.partition("=")[0].strip().lstrip("! ").lower() for part in rest]
    inside = [part for part, name in zip(rest, names, strict=True) if name not in _OF_BOOST]
    around = [part for part, name in zip(rest, names, strict=True) if name in shared]
    return made("Boost", [*of_boost, *around], {"boosted": made(type_name, inside, extra)})


def type_name(method: Any) -> str:
    """Return the name of a method given by TMVA's constant, its number, or its name.

    Raises
    ------
    SettingError
        There is no method of this number.

    Example
    -------
    >>> type_name(EMVA.kBDT), type_name(9), type_name("kBDT"), type_name("HepML")
    ('BDT', 'BDT', 'BDT', 'HepML')
    """
    if isinstance(method, EMVA):
        return method.method
    text = str(method)
    if text.lstrip("-").isdigit():
        numbers = {int(one): one.method for one in EMVA}
        if int(text) not in numbers:
            raise SettingError(unknown("method of the number", text, [str(number) for number in numbers]))
        return numbers[int(text)]
    return text[1:] if text[:1] == "k" and text[1:2].isupper() else text
