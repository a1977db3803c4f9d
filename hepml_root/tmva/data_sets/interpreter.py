"""The C++ of this package in ROOT's interpreter, declared when first used."""

from __future__ import annotations

import functools
from typing import Any

from hepml_root.data.feed_library import HEADERS, import_root
from hepml_root.errors import CompilerError


@functools.cache
def declared(header: str) -> Any:
    """Include ``hepml_root/tmva/<header>`` and return the C++ namespace ``hepml_root::tmva``.

    Raises
    ------
    MissingDependencyError
        ROOT is not installed.
    CompilerError
        The interpreter refuses the header; its messages are above.
    """
    ROOT = import_root()
    ROOT.gInterpreter.AddIncludePath(str(HEADERS))
    if not ROOT.gInterpreter.Declare(f'#include "hepml_root/tmva/{header}"'):
        raise CompilerError(
            f"ROOT's interpreter cannot read hepml_root/tmva/{header}; its messages are above."
        )
    return ROOT.hepml_root.tmva
