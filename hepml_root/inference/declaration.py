"""A compiled model made known to ROOT's interpreter, here and on the workers of a distributed frame."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hepml_root.data.feed_library import import_root
from hepml_root.data.feed_rows import Represented
from hepml_root.errors import CompilerError
from hepml_root.inference import representing
from hepml_root.inference.trained_ranges import ranges_code

if TYPE_CHECKING:
    from hepml_root.inference.compile import CompiledModel

_PADDING = Path(__file__).resolve().parent.parent / "include" / "hepml_root" / "rdf" / "padding.hxx"


def declare(
    compiled: CompiledModel, distributed: bool = False, representations: Sequence[Represented] = ()
) -> None:
    """Make a model's functions callable from the code of RDataFrame nodes.

    Arguments
    ---------
    compiled:
        What :func:`hepml_root.inference.compile.compile` gives.
    distributed:
        Also have the workers of distributed frames do so before their first task.
    representations:
        Those that fill the model's inputs.

    Raises
    ------
    CompilerError
        The interpreter cannot load or compile the model.
    """
    ROOT = import_root()
    code = representing.portable_code(representations) + portable_code(compiled)
    if not ROOT.gInterpreter.Declare(code):
        raise CompilerError(
            f"ROOT's interpreter cannot take the model '{compiled.name}' of "
            f"{compiled.library or compiled.header}; the lines above say why."
        )
    if distributed:
        ROOT.RDF.Distributed.DistributeCppCode(code)


def portable_code(compiled: CompiledModel) -> str:
    """Return C++ that makes a model's functions known wherever it is interpreted, once.

    It loads the compiled library where that file can be seen, and else interprets the model's header, whose
    text it holds: a worker on another machine needs neither the file nor this package.
    """
    functions = compiled.interpreted
    if compiled.library is not None:
        functions = (
            f'#if __has_include("{compiled.library}")\n'
            f'extern "C" void {compiled.symbol}_infer(const float *const *, std::size_t, float *const *);\n'
            f'extern "C" void {compiled.symbol}_infer_seeded(const float *const *, std::size_t, '
            "float *const *, std::uint64_t, std::uint64_t);\n"
            f'#pragma cling load("{compiled.library}")\n'
            f"#else\n{functions}\n#endif"
        )
    guard = f"HEPML_ROOT_KNOWN_{compiled.symbol}"
    ranges = ranges_code(compiled.manifest, compiled.symbol)
    return f"{_PADDING.read_text()}\n#ifndef {guard}\n#define {guard}\n{functions}\n#endif\n{ranges}"
