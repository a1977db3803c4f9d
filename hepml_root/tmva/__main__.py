"""``python -m hepml_root.tmva SCRIPT.py``: run a script of TMVA's users with ``ROOT.TMVA`` provided.

The script needs no change: it finds ``ROOT.TMVA`` of this package where ROOT has none, its own ``sys.argv``
and ``__name__ == "__main__"``. Its exit code is passed on; an error ends with its own traceback and 1.
"""

from __future__ import annotations

import argparse
import runpy
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from hepml_root.errors import HepmlError, SourceNotFoundError
from hepml_root.tmva.root_module import install, root_has_tmva


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    found = argparse.ArgumentParser(
        prog="python -m hepml_root.tmva",
        description="Run a Python script with ROOT.TMVA provided where ROOT has none.",
    )
    found.add_argument("--replace", action="store_true", help="take the place of a TMVA that ROOT has")
    found.add_argument("--batch", action="store_true", help="draw nothing on the screen, as root -b")
    found.add_argument("script", help="the script")
    found.add_argument("arguments", nargs=argparse.REMAINDER, help="the script's own arguments")
    return found


def run(script: str, arguments: Sequence[str]) -> int:
    """Run a script as Python would, in this process.

    Arguments
    ---------
    script
        Its path.
    arguments
        What follows it in ``sys.argv``.

    Returns
    -------
    int
        0, or 1 after an error, of which the traceback was printed. ``SystemExit`` passes through.

    Raises
    ------
    SourceNotFoundError
        There is no such file.
    """
    if not Path(script).is_file():
        raise SourceNotFoundError(f"there is no script '{script}'.")
    sys.argv = [script, *arguments]
    sys.path.insert(0, str(Path(script).resolve().parent))
    try:
        runpy.run_path(script, run_name="__main__")
    except Exception as error:
        sys.stdout.flush()
        traceback.print_exception(type(error), error, _own_frames(error.__traceback__, script))
        return 1
    return 0


def _own_frames(frames: TracebackType | None, script: str) -> TracebackType | None:
    """Leave out the frames before the script's first; of an error of syntax there are none."""
    found = frames
    while found is not None and found.tb_frame.f_code.co_filename != script:
        found = found.tb_next
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line, and run the script; see the module."""
    asked = parser().parse_args(arguments)
    try:
        if not install(asked.replace):
            print(
                "hepml_root.tmva: this ROOT has TMVA, and the script gets it; --replace gives it ours.",
                file=sys.stderr,
            )
        elif asked.replace and root_has_tmva():
            print("hepml_root.tmva: ROOT.TMVA is this package's, not ROOT's own.", file=sys.stderr)
        if asked.batch:
            import ROOT

            ROOT.gROOT.SetBatch(True)
        return run(asked.script, asked.arguments)
    except HepmlError as error:
        print(f"hepml_root.tmva: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
