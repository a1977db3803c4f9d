"""The compiled part of the feed: built with the machine's compiler into a cache, or by ROOT's interpreter."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import os
import shlex
import shutil
import subprocess
import tempfile
import threading
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hepml_root.errors import (
    CorruptFileError,
    HepmlError,
    MissingDependencyError,
    NonFiniteInputError,
    SettingError,
    ShapeError,
    SlowerWarning,
)
from hepml_root.output import cache_folder

HEADERS = Path(__file__).resolve().parent.parent / "include"

# The order is that of `enum class Type` in feed/types.hxx.
TYPES = (
    "bool",
    "int8",
    "uint8",
    "int16",
    "uint16",
    "int32",
    "uint32",
    "int64",
    "uint64",
    "float32",
    "float64",
)
CPP_TYPES = (
    "bool", "std::int8_t", "std::uint8_t", "std::int16_t", "std::uint16_t", "std::int32_t", "std::uint32_t",
    "std::int64_t", "std::uint64_t", "float", "double",
)  # fmt: skip

_MESSAGE_BYTES = 4096
# A library calls its own functions, whatever others of their names are in the process: ROOT makes the symbols
# of every library in it, also of those that Python loaded for itself, visible to all that come later.
SHARED = ("-shared", "-Wl,-Bsymbolic")
_FLAGS = ("-std=c++17", "-O3", "-march=native", "-fPIC", *SHARED, "-w")

_pointer = ctypes.c_void_p
_pointers = ctypes.POINTER(ctypes.c_void_p)
_ints = ctypes.POINTER(ctypes.c_int)
_number = ctypes.c_ulonglong
_size = ctypes.c_size_t
_text = ctypes.c_char_p
_result = ctypes.c_longlong


class ColumnPlace(ctypes.Structure):
    """Branch (field), leaf and element of a fixed-size array; the C++ struct of the same name."""

    _fields_ = (("branch", _text), ("leaf", _text), ("element", ctypes.c_int))


class KernelPlace(ctypes.Structure):
    """A compiled expression and the columns it takes; the C++ struct of the same name."""

    _fields_ = (("run", _pointer), ("inputs", _ints), ("size", _size), ("type", ctypes.c_int))


class GroupPlace(ctypes.Structure):
    """Jagged columns that become tensors together; the C++ struct of the same name."""

    _fields_ = (
        ("representation", _pointer),
        ("columns", _ints),
        ("column_count", _size),
        ("scalars", _ints),
        ("scalar_count", _size),
        ("masks", ctypes.POINTER(ctypes.c_ubyte)),
        ("length", _size),
    )


class RowPlaces(ctypes.Structure):
    """Where rows are written; the C++ struct of the same name."""

    _fields_ = (("matrix", _pointer), ("exact", _pointers), ("tensors", _pointers), ("losses", _pointers))


_texts = ctypes.POINTER(_text)
_OPEN = (_result, (_text, _text, ctypes.POINTER(ColumnPlace), _size, _texts, _size, _pointers, _text, _size))
_TABLE: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "hepml_table_close": (None, (_pointer,)),
    "hepml_table_entries": (_result, (_pointer,)),
    "hepml_table_clusters": (_result, (_pointer, ctypes.POINTER(_number), _size)),
    "hepml_table_types": (None, (_pointer, _ints)),
    "hepml_filler_open": (
        _result,
        (
            _pointer,
            ctypes.POINTER(KernelPlace),
            _size,
            ctypes.c_int,
            _ints,
            _size,
            _ints,
            _size,
            ctypes.POINTER(GroupPlace),
            _size,
            _pointers,
            _text,
            _size,
        ),
    ),
    "hepml_filler_fill": (
        _result,
        (_pointer, _number, _number, _number, ctypes.POINTER(RowPlaces), _text, _size),
    ),
    "hepml_filler_gather": (
        _result,
        (_pointer, _pointer, _size, ctypes.POINTER(RowPlaces), _text, _size),
    ),
    "hepml_filler_close": (None, (_pointer,)),
}
_LOOP: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "hepml_loop_start": (_result, (_pointer, _pointer, _pointer, _pointers, _text, _size)),
    "hepml_loop_next": (_result, (_pointer, _pointer, ctypes.c_int, _text, _size)),
    "hepml_loop_release": (None, (_pointer,)),
    "hepml_loop_close": (None, (_pointer,)),
}
_SCORE: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "hepml_score_define": (_result, (_pointer, _text, _pointer, _pointer, _text, _size)),
}
_REPRESENT: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "hepml_represent_make": (_result, (_text, _pointers, _text, _size)),
    "hepml_represent_sizes": (None, (_pointer, ctypes.POINTER(_number))),
    "hepml_represent_fill": (
        _result,
        (_pointer, _pointers, _pointer, _number, _pointers, _pointers, _pointer, _text, _size),
    ),
    "hepml_represent_event": (
        _result,
        (_pointer, _pointers, _number, _pointer, _pointers, _text, _size),
    ),
}
# Name of a library -> its C functions (result, arguments) and the ROOT libraries it needs.
_LIBRARIES: dict[str, tuple[dict[str, tuple[Any, tuple[Any, ...]]], tuple[str, ...]]] = {
    "tree": ({"hepml_tree_open": _OPEN, **_TABLE}, ("Core", "RIO", "Tree")),
    "ntuple": ({"hepml_ntuple_open": _OPEN, **_TABLE}, ("Core", "RIO", "ROOTNTuple")),
    "loop": (_LOOP, ("Core", "RIO", "Tree", "TreePlayer", "ROOTVecOps", "ROOTDataFrame")),
    "score": (_SCORE, ("Core", "RIO", "Tree", "TreePlayer", "ROOTVecOps", "ROOTDataFrame")),
    "represent": (_REPRESENT, ()),
}
_lock = threading.Lock()


@functools.cache
def import_root() -> Any:
    """Import ROOT, or say how to get it.

    Raises
    ------
    MissingDependencyError
        ROOT is not installed.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="(?s).*alpha stage.*")
        try:
            import ROOT
        except ImportError as error:
            raise MissingDependencyError(
                f"ROOT cannot be imported ({error}). Install it with pip install 'hepml_root[pyroot]', "
                "or see https://root.cern/install."
            ) from error
    return ROOT


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep ROOT from printing errors that our exceptions state."""
    ROOT = import_root()
    before = ROOT.gErrorIgnoreLevel
    ROOT.gErrorIgnoreLevel = ROOT.kFatal
    try:
        yield
    finally:
        ROOT.gErrorIgnoreLevel = before


class Library:
    """The functions of one compiled library; `compiled` is False where ROOT's interpreter made them."""

    def __init__(self, name: str) -> None:
        functions, needs = _LIBRARIES[name]
        path, problem = build(name, needs)
        self.path = path
        self.compiled = path is not None
        if path is not None:
            loaded = ctypes.CDLL(str(path))
            addresses = {key: ctypes.cast(getattr(loaded, key), _pointer).value or 0 for key in functions}
            self._loaded = loaded
        else:
            _tell(problem)
            addresses = _interpreted(name, functions)
        for key, (result, arguments) in functions.items():
            setattr(self, key, ctypes.CFUNCTYPE(result, *arguments)(addresses[key]))

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"the feed library has no function '{name}'")

    def checked(self, name: str, *arguments: Any, about: str = "") -> int:
        """Call a function that reports errors by message, and raise them."""
        message = ctypes.create_string_buffer(_MESSAGE_BYTES)
        code = getattr(self, name)(*arguments, message, _MESSAGE_BYTES)
        if code >= 0:
            return int(code)
        text = message.value.decode(errors="replace")
        if code == -1:
            raise CorruptFileError(
                f"{about}{text}. The file is damaged or was not written to its end; copy it again."
            )
        if code == -2:
            raise NotPlainError(text)
        raise _ERRORS.get(code, HepmlError)(f"{about}{text}")


class NotPlainError(HepmlError):
    """A column is stored in a way that only the event loop reads."""


# What guard.hxx gives for the exceptions of C++.
_ERRORS: dict[int, type[HepmlError]] = {-4: NonFiniteInputError, -5: ShapeError, -6: SettingError}


def library(name: str) -> Library:
    """Return the library "tree", "ntuple", "loop", "score" or "represent", built when first asked for."""
    with _lock:
        return _load(name)


@functools.cache
def _load(name: str) -> Library:
    return Library(name)


@functools.cache
def _tell(problem: str) -> None:
    """Warn once that the feed is not compiled."""
    warnings.warn(
        f"the feed runs in ROOT's interpreter, several times slower than compiled: {problem}. "
        "Install g++, or set CXX to a C++ compiler.",
        SlowerWarning,
        stacklevel=2,
    )


def build(name: str, needs: tuple[str, ...]) -> tuple[Path | None, str]:
    """Return the path of a library, compiled if it is not in the cache; or None, and why there is none."""
    # The libraries that read know representations by their interface only.
    made = ("representations/*.hxx", "engine/*.hxx", "json.hxx")
    included = ("feed/*.hxx", *(made if name == "represent" else ("representations/representation.hxx",)))
    headers = sorted(path for pattern in included for path in (HEADERS / "hepml_root").glob(pattern))
    version, flags = "", []
    if needs:
        ROOT = import_root()
        include, libraries = str(ROOT.TROOT.GetIncludeDir()), str(ROOT.TROOT.GetSharedLibDir())
        version = str(ROOT.gROOT.GetVersion())
        # The library finds ROOT's own libraries beside it.
        flags = [
            f"-I{include}",
            f"-L{libraries}",
            f"-Wl,-rpath,{libraries}",
            *(f"-l{need}" for need in needs),
        ]
    source = HEADERS / "hepml_root" / "feed" / f"{name}_library.hxx"
    return compile_library(f"feed_{name}", source, headers, flags, version)


def compile_library(
    name: str, source: Path, headers: Sequence[Path], flags: Sequence[str] = (), version: str = ""
) -> tuple[Path | None, str]:
    """Return the path of a library, compiled if it is not in the cache; or None, and why there is none.

    Arguments
    ---------
    name:
        Its file name in the cache begins so.
    source:
        The header that is compiled.
    headers:
        All that it is made of: when one of them changes, it is compiled again.
    flags:
        Of the compiler, besides those that all libraries have.
    version:
        Of other libraries it needs.
    """
    compiler = next(
        (found for asked in (os.environ.get("CXX", ""), "g++", "c++") if (found := _there(asked))), []
    )
    if not compiler:
        return None, "no C++ compiler is there"
    told = subprocess.run([*compiler, "--version"], capture_output=True, text=True, check=False).stdout
    parts = [path.read_bytes() for path in headers]
    parts += [text.encode() for text in (name, told, version, *compiler, *_FLAGS, *flags, _processor())]
    path = cache_folder() / f"{name}_{hashlib.sha256(bytes(1).join(parts)).hexdigest()[:20]}.so"
    if path.exists():
        return path, ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Compiled under another name, then renamed: processes that start together do not disturb each other.
        with tempfile.TemporaryDirectory(dir=path.parent, prefix="library-") as folder:
            result = Path(folder) / "library.so"
            command = [
                *compiler,
                *_FLAGS,
                "-x",
                "c++",
                f"-I{HEADERS}",
                str(source),
                "-o",
                str(result),
                *flags,
            ]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                first = next(
                    (line for line in done.stderr.splitlines() if "error" in line), done.stderr[:300]
                )
                return None, f"{shlex.join(compiler)} failed: {first.strip()}"
            os.replace(result, path)
    except OSError as error:
        return None, f"the cache folder '{path.parent}' cannot be used ({error.strerror})"
    return path, ""


def _there(command: str) -> list[str]:
    """Return a compiler's command, which may have options, in parts; none where there is no such program."""
    parts = shlex.split(command)
    return parts if parts and shutil.which(parts[0]) else []


def _processor() -> str:
    """What -march=native depends on."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return os.uname().machine
    return " ".join(
        next((line for line in lines if line.startswith(start)), "") for start in ("model name", "flags")
    )


def _interpreted(name: str, functions: dict[str, Any]) -> dict[str, int]:
    ROOT = import_root()
    ROOT.gInterpreter.AddIncludePath(str(HEADERS))
    if not ROOT.gInterpreter.Declare(f'#include "hepml_root/feed/{name}_library.hxx"'):
        raise HepmlError(f"ROOT's interpreter cannot take the feed's header {name}_library.hxx.")
    return {key: address_of(key) for key in functions}


def address_of(function: str) -> int:
    """Address of a function that ROOT's interpreter knows."""
    return int(import_root().gInterpreter.Calc(f"(long long)(void*)&{function}"))


def text_array(texts: list[str]) -> Any:
    """C array of C strings."""
    return (ctypes.c_char_p * max(len(texts), 1))(*[text.encode() for text in texts])


def pointer_array(addresses: Sequence[int | None]) -> Any:
    """C array of addresses; None is the null pointer."""
    return (ctypes.c_void_p * max(len(addresses), 1))(*addresses)


def int_array(values: list[int]) -> Any:
    """C array of ints."""
    return (ctypes.c_int * max(len(values), 1))(*values)


def exact_type(type_name: str) -> np.dtype:
    """NumPy type in which a column of this type is kept exactly: float64, int64 or uint64."""
    if type_name.startswith("float"):
        return np.dtype(np.float64)
    return np.dtype(np.uint64 if type_name.startswith("uint") else np.int64)
