"""``hepml-root gui``: the plots of TMVAGui from an output file, as one page."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

EXAMPLES = """\
FILE.root is what a Factory wrote, ours or the real TMVA's. The page holds every plot of TMVAGui that the file
has the content for: variables, correlations, responses, overtraining, efficiencies of cuts with the optimal
cut for numbers of events that are chosen in the page, ROC curves, parallel coordinates, densities, networks,
trees; and for what it has not, why. Nothing else is needed to look at it.

examples:
  hepml-root gui TMVA.root                              -> TMVA.html
  hepml-root gui TMVA.root -o plots.html --overwrite
  hepml-root gui TMVA.root --dataset dataset --trees 0 1 2"""


def add_gui(command: Callable[..., argparse.ArgumentParser], overwriting: Callable[[Any], None]) -> None:
    """Add the command to the command line."""
    added = command(
        "gui", run, "write the plots of TMVAGui from a Factory's output file, as one page", EXAMPLES
    )
    added.add_argument("file", metavar="FILE.root", help="the output file of a Factory")
    added.add_argument("-o", "--output", metavar="PAGE.html", help="default: FILE.html")
    added.add_argument("--dataset", default="", metavar="NAME", help="only this one, where there are several")
    added.add_argument("--trees", nargs="+", type=int, metavar="N",
                       help="decision trees to draw, from 0 (default: first, middle, last)")  # fmt: skip
    overwriting(added)


def run(options: argparse.Namespace) -> int:
    """Run the command with its parsed options."""
    from hepml_root.tmva.gui.page import write_gui

    page = write_gui(
        options.file,
        options.output,
        dataset=options.dataset,
        trees=options.trees,
        overwrite=options.overwrite,
    )
    print(f"wrote {page}")
    return 0
