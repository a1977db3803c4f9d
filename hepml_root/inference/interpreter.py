"""A compiled model made known to ROOT's interpreter, here and on the workers of a distributed frame."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hepml_root.data.feed_library import import_root
from hepml_root.errors import CompilerError

_INCLUDE = Path(__file__).resolve().parent.parent / "include"


def make_known(compiled: Any, distributed: bool = False) -> None:
    """Declare the functions of a compiled model to ROOT's interpreter, once per process.

    Arguments
    ---------
    compiled:
        What :func:`hepml_root.inference.compile.compile` gives.
    distributed:
        Also have the workers of distributed frames do so before their first task.

    Raises
    ------
    CompilerError
        The interpreter cannot load or compile the model.
    """
    ROOT = import_root()
    code = declaration(compiled)
    if not ROOT.gInterpreter.Declare(code):
        raise CompilerError(
            f"ROOT's interpreter cannot take the compiled model {compiled.library or compiled.header}; "
            "the lines above say why."
        )
    if distributed:
        ROOT.RDF.Distributed.DistributeCppCode(code)


def declaration(compiled: Any) -> str:
    """Return C++ that makes a model's functions usable where it is interpreted.

    It loads the compiled library where that file can be seen, and else interprets the model's header, whose
    text it holds: a worker on another machine needs neither the file nor this package.
    """
    symbol = compiled.symbol
    padding = (_INCLUDE / "hepml_root" / "rdf" / "padding.hxx").read_text()
    guard = f"HEPML_ROOT_KNOWN_{symbol}"
    return f"{padding}\n#ifndef {guard}\n#define {guard}\n{_functions(compiled)}\n#endif\n"


def _functions(compiled: Any) -> str:
    prototype = (
        f'extern "C" void {compiled.symbol}_infer(const float *const *inputs, std::size_t events, '
        "float *const *outputs);"
    )
    if compiled.library is None:
        return compiled.interpreted
    return (
        f'#if __has_include("{compiled.library}")\n{prototype}\n'
        f'#pragma cling load("{compiled.library}")\n#else\n{compiled.interpreted}\n#endif'
    )
