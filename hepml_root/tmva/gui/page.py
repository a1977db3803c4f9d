"""The page of an output file: every plot of TMVAGui in one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hepml_root import __version__
from hepml_root.evaluation.page import render
from hepml_root.evaluation.pictures import write_pictures
from hepml_root.output import refuse_existing, writing
from hepml_root.tmva.gui.classifier_pictures import DEFAULT_EVENTS, ClassifierPictures
from hepml_root.tmva.gui.multiclass_pictures import add_multiclass, add_regression
from hepml_root.tmva.gui.output_content import Dataset, read_output
from hepml_root.tmva.gui.pictures import Missing, Pictures
from hepml_root.tmva.gui.plot_responses import Efficiencies
from hepml_root.tmva.gui.training_pictures import TrainingPictures

_SECTIONS = {
    "variables": "Input variables",
    "correlations": "Correlations of variables",
    "matrices": "Linear correlation coefficients",
    "output": "Classifier output",
    "deviations": "Deviations of the regression",
    "cuts": "Cut efficiencies",
    "roc": "ROC curves",
    "parallel": "Parallel coordinates",
    "densities": "Densities",
    "networks": "Networks",
    "trees": "Decision trees and boosting",
}


def write_gui(
    file: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    *,
    dataset: str = "",
    trees: Sequence[int] | None = None,
    overwrite: bool = False,
) -> Path:
    """Write the page with every plot of TMVAGui that an output file has the content for.

    The file may be written by this package or by the real TMVA; networks and trees are also read from the
    weight files that it names. What is on TMVA's list and cannot be drawn is said on the page.

    Arguments
    ---------
    file
        The ROOT file.
    output
        The page; beside the file, with the ending .html, if None.
    dataset
        Only this one; all of the file if empty.
    trees
        Which decision trees to draw, from 0; the first, one in the middle and the last if None.
    overwrite
        Replace an earlier page.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    SourceNotFoundError, CorruptFileError
        The file is not there, or is no ROOT file, or damaged.
    SettingError
        It holds nothing of TMVA, not this dataset, or not these trees.
    OutputExistsError, OutputWriteError
        The page exists and is not to be replaced, or cannot be written.

    Reference: A. Hoecker et al., TMVA users guide, arXiv:physics/0703039, section 3.1.7.

    Example
    -------
    >>> write_gui("missing.root")
    Traceback (most recent call last):
    hepml_root.errors.SourceNotFoundError: there is no file 'missing.root'.
    """
    path, datasets = read_output(file, dataset)
    page = Path(output) if output is not None else path.with_suffix(".html")
    refuse_existing(page, overwrite)
    collections, cuts = [], {}
    for one in datasets:
        prefix = f"{one.name}: " if len(datasets) > 1 else ""
        collection, efficiencies = pictures_of(one, path, prefix, trees)
        collections.append(collection)
        if efficiencies:
            cuts[f"{collection.key}cuts"] = efficiencies
    _write(page, path, datasets, collections, cuts, overwrite)
    return page


def pictures_of(
    dataset: Dataset, file: Path, prefix: str = "", trees: Sequence[int] | None = None
) -> tuple[Pictures, list[Efficiencies]]:
    """Return all pictures of a dataset, and the efficiencies of its classifiers."""
    collection = Pictures(dataset, file, prefix, trees)
    collection.variables()
    efficiencies: list[Efficiencies] = []
    if not dataset.methods:
        collection.lack("Plots of methods", "the file has no directory Method_…")
    elif dataset.analysis == "Classification":
        classifiers = ClassifierPictures(collection)
        classifiers.add_all()
        collection.parallel()
        classifiers.densities()
        efficiencies = classifiers.efficiencies
    elif dataset.analysis == "Multiclass":
        add_multiclass(collection)
    else:
        add_regression(collection)
    TrainingPictures(collection).add_all()
    return collection, efficiencies


def _write(
    page: Path,
    file: Path,
    datasets: Sequence[Dataset],
    collections: Sequence[Pictures],
    cuts: dict[str, list[Efficiencies]],
    overwrite: bool,
) -> None:
    pictures = [picture for collection in collections for picture in collection.pictures]
    sections = {
        f"{collection.key}{key}": f"{collection.prefix}{title}"
        for collection in collections
        for key, title in _SECTIONS.items()
    }
    methods = [
        [one.name or "–", method.title, method.type_name, method.folder.text("WeightFileName") or "–"]
        for one in datasets
        for method in one.methods
    ]
    number = len(pictures)
    with writing(page, overwrite) as temporary:
        sources = write_pictures(pictures, temporary.parent, ())
        render(
            "tmva_gui.html", temporary, sections, pictures, sources, {},
            templates=Path(__file__).parent / "templates",
            name=file.name,
            lead=f"{', '.join(dict.fromkeys(one.analysis for one in datasets))} · {number} pictures",
            version=__version__,
            tiles=_tiles(datasets, collections),
            methods=methods,
            missing=_missing(collections),
            cuts={key: [item.title for item in items] for key, items in cuts.items()},
            efficiencies=_json({key: [_packed(item) for item in items] for key, items in cuts.items()}),
            default_signal=f"{DEFAULT_EVENTS[0]:g}",
            default_background=f"{DEFAULT_EVENTS[1]:g}",
            facts=[
                ("ROOT file", f"{file.resolve()}, {file.stat().st_size:,} bytes"),
                ("made", time.strftime("%Y-%m-%d %H:%M:%S %Z")),
            ],
            formats=[],
        )  # fmt: skip


def _tiles(datasets: Sequence[Dataset], collections: Sequence[Pictures]) -> list[tuple[str, str, str]]:
    """Return the numbers shown first: (name, value, remark)."""
    tiles = []
    for one, collection in zip(datasets, collections, strict=True):
        prefix = collection.prefix
        tiles.append((f"{prefix}methods", str(len(one.methods)), one.analysis))
        tiles.append((f"{prefix}variables", str(len(one.variables)), ", ".join(one.inputs) or "none"))
        for tree, text in (("TrainTree", "training events"), ("TestTree", "test events")):
            found = one.folder.tree(tree)
            if found is not None:
                tiles.append((f"{prefix}{text}", f"{found.num_entries:,}".replace(",", "\u202f"), tree))
    return tiles


def _missing(collections: Sequence[Pictures]) -> list[Missing]:
    """Return what is missing, with the methods of one plot on one line."""
    return list(dict.fromkeys(entry for collection in collections for entry in collection.missing))


def _packed(item: Efficiencies) -> dict[str, Any]:
    """Return efficiencies for the page: float32 in base64."""
    half = 0.5 * (item.cuts[1] - item.cuts[0]) if len(item.cuts) > 1 else 0.5
    return {
        "title": item.title,
        "low": float(item.cuts[0] - half),
        "high": float(item.cuts[-1] + half),
        **{
            key: base64.b64encode(np.ascontiguousarray(values, "<f4").tobytes()).decode()
            for key, values in (("signal", item.signal), ("background", item.background))
        },
    }


def _json(content: Any) -> str:
    """Return JSON that can stand inside a script element."""
    return json.dumps(content).replace("<", "\\u003c").replace("&", "\\u0026")
