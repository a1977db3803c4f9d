"""What a comparison of two samples of showers found, and its folder on disk."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hepml_root.errors import OutputExistsError, SettingError, unknown
from hepml_root.evaluation.classifier_test import ClassifierTest
from hepml_root.evaluation.correlation_comparison import ComparedCorrelations
from hepml_root.evaluation.estimate import Estimate, to_json
from hepml_root.evaluation.frechet import FrechetDistance
from hepml_root.evaluation.memorising import CopyingTest, Coverage
from hepml_root.evaluation.observable_comparison import ComparedObservable
from hepml_root.evaluation.response import ResponseStudy

FORMAT = "hepml_root two-sample report"


@dataclasses.dataclass
class TwoSampleReport:
    """Everything that was compared; :func:`hepml_root.evaluation.two_sample.compare_showers` makes it.

    Attributes
    ----------
    names
        Of the two samples.
    geometry
        The calorimeter, as a dictionary.
    samples
        For each sample its showers, effective showers, and the range of each condition.
    observables
        Histograms, separation power and Wasserstein distance of each quantity.
    correlations
        Of the high-level quantities and the conditions.
    classifiers
        ``{name: result}``, the names being those of ``two_sample.CLASSIFIERS``.
    frechet, frechet_floor, kernel, kernel_floor
        Fréchet and kernel physics distance, and those of two samples of the source.
    response
        Response and resolution against the particle's energy.
    copying
        ``{space: result}``: nearest training showers, in "cells" and in "observables"; empty without training
        showers.
    coverage
        Whether all kinds of showers of the source are generated.
    notes
        What a reader should know: what was left out, or looks wrong with the samples.
    mean_cells
        Mean energy of each cell (2, cells), for the pictures.
    """

    names: tuple[str, str]
    geometry: dict[str, Any]
    samples: dict[str, Any]
    settings: dict[str, Any]
    observables: list[ComparedObservable]
    correlations: ComparedCorrelations
    frechet: FrechetDistance | None
    frechet_floor: FrechetDistance | None
    kernel: Estimate | None
    kernel_floor: Estimate | None
    coverage: Coverage
    classifiers: dict[str, ClassifierTest] = dataclasses.field(default_factory=dict)
    response: ResponseStudy | None = None
    copying: dict[str, CopyingTest] = dataclasses.field(default_factory=dict)
    notes: list[str] = dataclasses.field(default_factory=list)
    software: dict[str, str] = dataclasses.field(default_factory=dict)
    created: str = ""
    seconds: float = 0.0
    shapes: tuple[tuple[int, int], ...] = ()
    mean_cells: NDArray[np.float64] | None = dataclasses.field(default=None, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Return all numbers as strict JSON's types (None for what is not finite), without the mean cells."""
        content = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name not in ("mean_cells", "copying", "coverage")
        }
        return {
            "format": FORMAT,
            "version": 1,
            **to_json(content),
            "summary": to_json(self.summary()),
            "coverage": self.coverage.to_dict(),
            "copying": {space: result.to_dict() for space, result in self.copying.items()},
        }

    def summary(self) -> dict[str, Any]:
        """Return the figures by which generators are ranked.

        Keys: ``auc`` (by classifier), ``mean_wasserstein`` (mean over the quantities, in standard deviations
        of the source) and its ``mean_wasserstein_floor``, ``mean_separation``, ``above_floor`` (fraction of
        quantities whose distance is above what two samples of the source give; NaN without replicas, which
        say what that is), ``frechet``, ``kernel``,
        ``response_deviation`` and ``resolution_deviation`` (largest, with sign), ``coverage``, ``memorised``.
        """
        single = self.observables
        response = None if self.response is None else self.response.worst()
        above = [not item.wasserstein.at_the_floor for item in single]
        floor_known = all(np.isfinite(item.wasserstein.floor_high) for item in single)
        return {
            "auc": {name: test.auc for name, test in self.classifiers.items()},
            "mean_wasserstein": float(np.mean([item.relative.estimate.value for item in single])),
            "mean_wasserstein_floor": float(np.mean([item.relative.floor for item in single])),
            "mean_separation": float(np.mean([item.separation.estimate.value for item in single])),
            "above_floor": float(np.mean(above)) if floor_known else float("nan"),
            "frechet": None if self.frechet is None else self.frechet.estimate,
            "kernel": self.kernel,
            "response_deviation": None if response is None else response[0][0],
            "resolution_deviation": None if response is None else response[1][0],
            "coverage": self.coverage.coverage,
            "memorised": {space: result.memorised for space, result in self.copying.items()},
        }

    def save(
        self, folder: str | os.PathLike[str], overwrite: bool = False, *, formats: Sequence[str] = ("png",)
    ) -> Path:
        """Write ``report.html`` (one page with all pictures inside), ``report.json`` and ``plots/`` to a
        folder.

        The folder appears under its name when all of it is written; the path of the page is returned.

        Arguments
        ---------
        folder
            A folder that does not exist or is empty.
        overwrite
            Replace an earlier report there. A folder that holds something else is never removed.
        formats
            Of the files in ``plots/``: "pdf", "png", "svg"; the page needs none of them.

        Raises
        ------
        OutputExistsError
            The folder exists and is not empty (and is no earlier report, if ``overwrite``).
        OutputWriteError
            The disk is full or the place is not writable.
        SettingError
            A picture format is unknown.
        """
        from hepml_root.evaluation.pictures import FORMATS, write_pictures
        from hepml_root.evaluation.shower_page import shower_pictures, write_shower_page
        from hepml_root.output import writing

        for form in formats:
            if form not in FORMATS:
                raise SettingError(unknown("picture format", form, FORMATS))
        folder = refuse_other_folder(folder, overwrite)
        empty = folder.is_dir() and not any(folder.iterdir())
        with writing(folder, overwrite=overwrite or empty, folder=True) as temporary:
            temporary.mkdir()
            (temporary / "report.json").write_text(json.dumps(self.to_dict(), indent=1, allow_nan=False))
            pictures = shower_pictures(self)
            sources = write_pictures(pictures, temporary / "plots", formats)
            write_shower_page(self, pictures, sources, temporary / "report.html", formats)
        return folder / "report.html"


def refuse_other_folder(folder: str | os.PathLike[str], overwrite: bool) -> Path:
    """Return the folder for a report; raise OutputExistsError if it holds what is not to be replaced."""
    path = Path(folder)
    if path.exists() and not path.is_dir():
        raise OutputExistsError(f"'{path}' is a file; a report needs a folder. Choose another name.")
    if not path.is_dir() or not any(path.iterdir()):
        return path
    ours = {"report.html", "report.json", "plots"}
    if not overwrite:
        raise OutputExistsError(
            f"'{path}' exists already and is not empty. Choose another name, or ask for an earlier report "
            f"to be "
            "replaced (--overwrite on the command line, overwrite=True in Python)."
        )
    if not {entry.name for entry in path.iterdir()} <= ours or not (path / "report.json").is_file():
        raise OutputExistsError(
            f"'{path}' exists and is no earlier report, so it is not replaced. Choose another folder."
        )
    return path
