"""Compiled networks inside ROOT's interpreter, and the interpreter as the compiler where there is no other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hepml_root.errors import CompilerError

if TYPE_CHECKING:
    from hepml_root.inference.compile import CompiledModel


def declare(compiled: CompiledModel) -> None:
    """Make ``<symbol>_infer``, ``_manifest`` and ``_abi`` callable from code that ROOT's interpreter compiles."""
    if compiled.library is None:
        return  # the interpreter has compiled it and knows it
    import ROOT

    if ROOT.gSystem.Load(str(compiled.library)) < 0:
        raise CompilerError(f"ROOT cannot load the library '{compiled.library}'. Compile the model again.")
    symbol = compiled.symbol
    ROOT.gInterpreter.Declare(
        f"""#ifndef {symbol}_DECLARED
#define {symbol}_DECLARED
#include <cstddef>
extern "C" void {symbol}_infer(const float *const *, std::size_t, float *const *);
extern "C" const char *{symbol}_manifest();
extern "C" int {symbol}_abi();
#endif"""
    )
