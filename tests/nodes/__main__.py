"""The tally of ONNX's node tests: ``python -m tests.nodes [operators or names of tests]``.

For every operator: how many tests pass, how many are not applicable, and why; ``-v`` shows what each form
does, ``--generate`` stops after generating.
"""

from __future__ import annotations

import argparse

from tests.nodes.tally import tally


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.nodes", description=__doc__)
    parser.add_argument("operators", nargs="*", help="operators or names of tests; all of them by default")
    parser.add_argument("-v", "--verbose", action="store_true", help="show every test")
    parser.add_argument("--generate", action="store_true", help="only generate, do not compile")
    given = parser.parse_args()
    return tally(given.operators, given.verbose, given.generate)


if __name__ == "__main__":
    raise SystemExit(main())
