"""Data files that come inside the ROOT installation."""

from __future__ import annotations

from pathlib import Path

from hepml_root.errors import MissingDependencyError, SourceNotFoundError, unknown


def shipped_file(name: str) -> str:
    """Return the path of a data file that ROOT ships with its machine-learning tutorials.

    The most useful is `Higgs_data.root`: 10 000 signal (`sig_tree`) and 10 000 background (`bkg_tree`) events
    of the HIGGS benchmark with 28 inputs.

    Arguments
    ---------
    name:
        File name, for instance "Higgs_data.root" or "tmva_class_example.root".

    Raises
    ------
    SourceNotFoundError
        ROOT ships no such file; the message lists those it ships.
    MissingDependencyError
        ROOT is not installed.

    Reference
    ---------
    Baldi, Sadowski, Whiteson, arXiv:1402.4735 (the HIGGS benchmark).

    Example
    -------
    >>> Path(shipped_file("Higgs_data.root")).name
    'Higgs_data.root'
    """
    from hepml_root.data.feed_library import import_root

    folder = Path(str(import_root().gROOT.GetTutorialDir())) / "machine_learning" / "data"
    path = folder / name
    if path.is_file():
        return str(path)
    if not folder.is_dir():
        raise MissingDependencyError(
            f"this ROOT installation comes without its tutorials ('{folder}' is missing), so '{name}' is not "
            "there. ROOT from pip has them."
        )
    raise SourceNotFoundError(
        unknown("shipped file", name, sorted(item.name for item in folder.glob("*.root")))
    )
