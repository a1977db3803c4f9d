"""The compiled observables: for arrays in Python, and in ROOT's interpreter for expressions of columns."""

from __future__ import annotations

import ctypes
import functools
import re
import threading
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hepml_root.data.feed_library import HEADERS, address_of, compile_library, import_root
from hepml_root.errors import HepmlError, SettingError, SlowerWarning

_FOLDER = HEADERS / "hepml_root" / "observables"
_HEADER = HEADERS / "hepml_root" / "observables.hxx"
_MENTION = re.compile(r"\bhepml\s*::")
_MESSAGE_BYTES = 1024
_lock = threading.Lock()

_pointers = ctypes.POINTER(ctypes.c_void_p)
_text, _size, _pointer = ctypes.c_char_p, ctypes.c_size_t, ctypes.c_void_p
_FUNCTIONS: dict[str, Any] = {
    "hepml_observable_of_lists": ctypes.CFUNCTYPE(
        ctypes.c_int, _text, _pointers, _size, _pointer, _size, _pointer, _pointer, _text, _size
    ),
    "hepml_observable_of_numbers": ctypes.CFUNCTYPE(
        ctypes.c_int, _text, _pointers, _size, _size, _pointer, _text, _size
    ),
}


def mentions_observables(expression: str) -> bool:
    """Whether an expression calls one of the observables, ``hepml::…``.

    >>> mentions_observables("hepml::c2(pt, eta, phi)"), mentions_observables("pt / mass")
    (True, False)
    """
    return _MENTION.search(expression) is not None


@functools.cache
def declare_observables(distributed: bool = False) -> None:
    """Make ``hepml::…`` known to ROOT's interpreter, for the Defines and Filters of your own data frames.

    Inputs and cuts of a Dataset, of :func:`hepml_root.define` and of :func:`hepml_root.apply` need no such
    call: it is made when an expression mentions an observable.

    Arguments
    ---------
    distributed:
        Also on the workers of distributed frames, before their first task.

    Raises
    ------
    HepmlError
        The interpreter does not take the header.

    Example
    -------
    >>> import ROOT
    >>> declare_observables()
    >>> frame = ROOT.RDataFrame(1).Define("mt", "hepml::transverse_mass(40., 0., 40., hepml::pi)")
    >>> round(frame.Mean("mt").GetValue(), 6)
    80.0
    """
    ROOT = import_root()
    code = interpreted_observables()
    if not ROOT.gInterpreter.Declare(code):
        raise HepmlError(f"ROOT's interpreter cannot take '{_HEADER}'; the lines above say why.")
    if distributed:
        ROOT.RDF.Distributed.DistributeCppCode(code)


def interpreted_observables() -> str:
    """Return C++ that makes ``hepml::…`` known wherever it is interpreted: from the compiled library where
    that can be seen, and else from the text of the headers, which it holds.
    """
    with _lock:
        path, _ = _build()
    text = observables_text()
    if path is None:
        return text
    return (
        "#ifndef HEPML_ROOT_OBSERVABLES_HXX\n"
        f'#if __has_include("{path}")\n#pragma cling load("{path}")\n'
        "#define HEPML_ROOT_OBSERVABLES_COMPILED\n#define HEPML_ROOT_OBSERVABLES_FUNCTION\n#endif\n#endif\n"
        f"{text}"
    )


@functools.cache
def observables_text() -> str:
    """Return all headers of the observables as one piece of C++."""
    seen: set[Path] = set()

    def of(path: Path) -> str:
        if path in seen:
            return ""
        seen.add(path)
        return re.sub(
            r'^#include "([^"]+)"$',
            lambda match: of((path.parent / match.group(1)).resolve()),
            path.read_text(),
            flags=re.M,
        )

    return of(_HEADER)


def of_lists(
    name: str, columns: Sequence[NDArray[Any]], offsets: NDArray[np.int64], settings: Sequence[float]
) -> NDArray[np.float64]:
    """Return an observable of each event, from the lists of its particles.

    Arguments
    ---------
    name:
        As the C++ function is called.
    columns:
        Its lists, the events one after the other: shape (particles,).
    offsets:
        Where each event begins, and the end of the last: shape (events + 1,).
    settings:
        The numbers that follow the lists among the arguments of the C++ function (or come first there).

    Raises
    ------
    SettingError
        A setting is out of its range.
    """
    result = np.empty(len(offsets) - 1)
    values = [np.ascontiguousarray(column, np.float64) for column in columns]
    offsets = np.ascontiguousarray(offsets, np.int64)
    given = np.asarray([*settings, 0.0], np.float64)
    message = ctypes.create_string_buffer(_MESSAGE_BYTES)
    code = _functions()["hepml_observable_of_lists"](
        name.encode(), _addresses(values), len(values), offsets.ctypes.data, len(result), given.ctypes.data,
        result.ctypes.data, message, _MESSAGE_BYTES,
    )  # fmt: skip
    _check(code, name, message)
    return result


def of_numbers(name: str, columns: Sequence[NDArray[Any]]) -> NDArray[np.float64]:
    """Return an observable of each event, from numbers of the event: ``columns`` of shape (events,)."""
    values = [np.ascontiguousarray(column, np.float64) for column in columns]
    result = np.empty(len(values[0]))
    message = ctypes.create_string_buffer(_MESSAGE_BYTES)
    code = _functions()["hepml_observable_of_numbers"](
        name.encode(), _addresses(values), len(values), len(result), result.ctypes.data, message,
        _MESSAGE_BYTES,
    )  # fmt: skip
    _check(code, name, message)
    return result


def _check(code: int, name: str, message: Any) -> None:
    if code:
        text = message.value.decode(errors="replace").removeprefix("hepml: ")
        raise SettingError(f"{name}: {text}.")


def _addresses(arrays: list[NDArray[Any]]) -> Any:
    return (ctypes.c_void_p * len(arrays))(*[array.ctypes.data for array in arrays])


@functools.cache
def _functions() -> dict[str, Any]:
    with _lock:
        path, problem = _build()
    if path is not None:
        loaded = ctypes.CDLL(str(path))
        return {
            name: kind(ctypes.cast(getattr(loaded, name), _pointer).value)
            for name, kind in _FUNCTIONS.items()
        }
    warnings.warn(
        f"the observables run in ROOT's interpreter, several times slower than compiled: {problem}. "
        "Install g++, or set CXX to a C++ compiler.",
        SlowerWarning,
        stacklevel=4,
    )
    ROOT = import_root()
    ROOT.gInterpreter.AddIncludePath(str(HEADERS))
    if not ROOT.gInterpreter.Declare('#include "hepml_root/observables/library.hxx"'):
        raise HepmlError(f"ROOT's interpreter cannot take '{_FOLDER / 'library.hxx'}'; see the lines above.")
    return {name: kind(address_of(name)) for name, kind in _FUNCTIONS.items()}


@functools.cache
def _build() -> tuple[Path | None, str]:
    """Return the path of the library, or None and why there is none. It needs no other, not even ROOT."""
    return compile_library("observables", _FOLDER / "library.hxx", [_HEADER, *sorted(_FOLDER.glob("*.hxx"))])
