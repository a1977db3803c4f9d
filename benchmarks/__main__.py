"""`python -m benchmarks NAME [options]`: run a benchmark and print one JSON object per line.

Each line has name, value, unit, reference (what it is compared with) and ratio (how many times as much).
"""

from __future__ import annotations

import importlib
import json
import sys

NAMES = (
    "feed",
    "train",
    "losses",
    "inference",
    "trees",
    "tmva_reader",
    "representations",
    "top_tagging",
    "higgs",
    "higgs_sample",
    "susy",
    "showers",
    "ganplification",
    "fastsim",
    "bayesflow",
    "tmva_methods",
)


def main(arguments: list[str]) -> int:
    """Dispatch to the module of that name, whose `run(arguments)` gives the results one by one."""
    if not arguments or arguments[0] not in NAMES:
        print(f"usage: python -m benchmarks {{{'|'.join(NAMES)}}} [options]", file=sys.stderr)
        return 2
    for result in importlib.import_module(f"benchmarks.{arguments[0]}").run(arguments[1:]):
        print(json.dumps(result), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
