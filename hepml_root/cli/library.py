"""``hepml-root library``: the compiled library of a weight file, for the Reader in C++."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable

from hepml_root.errors import UnsupportedOperationError

EXAMPLES = """\
It is made at the first call and kept in the cache; hepml_root/Reader.hxx calls this command.

examples:
  hepml-root library TMVAClassification_BDT.weights.xml          the path of the library
  hepml-root library TMVAClassification_BDT.weights.xml --json   with its variables and outputs"""


def add_library(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    added = command("library", run, "compile a TMVA weight file, and say where its library is", EXAMPLES)
    added.add_argument("weights", metavar="FILE", help="a *.weights.xml file, or an ONNX file")
    added.add_argument("--json", action="store_true", help="print what it takes and gives, too")


def run(options: argparse.Namespace) -> int:
    """Run the command with its parsed options."""
    from hepml_root.tmva.library import library

    found = library(options.weights)
    if options.json:
        print(json.dumps(found))
        return 0
    if found["library"] is None:
        raise UnsupportedOperationError(
            f"'{options.weights}' is of the method Cuts, which has a box for each signal efficiency and no "
            "library: write one box by hepml-root adopt FILE -o cuts.onnx --signal-efficiency 0.7."
        )
    print(found["library"])
    return 0
