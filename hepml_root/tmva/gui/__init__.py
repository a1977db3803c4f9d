"""TMVAGui's plots as one HTML page.

``TMVAGui``, ``TMVARegGui`` and ``TMVAMultiClassGui`` are TMVA's three names of the same: what a file holds
decides.
"""

from __future__ import annotations

import os
from pathlib import Path

from hepml_root.tmva.console import Console

__all__ = ["TMVAGui", "TMVAMultiClassGui", "TMVARegGui"]


def TMVAGui(
    file: str | os.PathLike[str] = "TMVA.root",
    dataset: str = "",
    *,
    output: str | os.PathLike[str] | None = None,
) -> Path:
    """Write all plots of an output file as a page, say where it is, and return its path.

    Arguments
    ---------
    file, dataset
        As TMVA has them: the ROOT file, and which of its datasets (all of them if empty).
    output
        The page; ``FILE.html`` beside the file if None. An earlier page is replaced.

    Raises
    ------
    SourceNotFoundError, CorruptFileError, SettingError, OutputWriteError
        As :func:`hepml_root.tmva.gui.page.write_gui` does.

    Example
    -------
    >>> TMVAGui("missing.root")
    Traceback (most recent call last):
    hepml_root.errors.SourceNotFoundError: there is no file 'missing.root'.
    """
    from hepml_root.tmva.gui.page import write_gui

    page = write_gui(str(file), output, dataset=str(dataset), overwrite=True)
    Console("TMVAGui").line(f"Plots of {file}: open {page.resolve().as_uri()} in a browser")
    return page


TMVARegGui = TMVAGui
TMVAMultiClassGui = TMVAGui
