"""All pictures of an output file, in the order of TMVA's list, and what cannot be drawn and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hepml_root.errors import CorruptFileError
from hepml_root.evaluation.correlations import Correlation
from hepml_root.evaluation.pictures import Picture, file_name
from hepml_root.evaluation.plot_inputs import plot_correlation
from hepml_root.evaluation.plot_style import pages
from hepml_root.tmva.gui import plot_variables
from hepml_root.tmva.gui.output_content import Dataset, Folder, Histogram1D, parted
from hepml_root.tmva.gui.panels import plot_class_histograms
from hepml_root.tmva.gui.tlatex import shown
from hepml_root.tmva.output.response_curves import separation

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_VARIABLES_A_PICTURE = 12
_MOST_VARIABLES = 120
_MOST_LABELS = 100  # of a matrix; more would lie on one another
_PAIRS_A_PICTURE = 12
_MOST_PAIRS = 24
_LINES = 150  # of a class in parallel coordinates
_MOST_AXES = 24


@dataclass(frozen=True)
class Missing:
    """What is on TMVA's list and not on the page: its name there, and why."""

    name: str
    why: str


class Pictures:
    """Collects pictures of one dataset, section by section; ``missing`` is what could not be drawn.

    Arguments
    ---------
    dataset
        What the file holds.
    file
        The ROOT file: weight files are looked for beside it.
    prefix
        Put before titles of sections, where a file has several datasets, such as ``dataset: ``.
    trees
        Which decision trees of each method to draw, from 0; the first, one in the middle and the last if
        None.
    """

    def __init__(
        self, dataset: Dataset, file: Path, prefix: str = "", trees: Sequence[int] | None = None
    ) -> None:
        self.dataset, self.file, self.prefix, self.trees = dataset, file, prefix, trees
        self.key = f"{file_name(prefix)}_" if prefix else ""
        self.pictures: list[Picture] = []
        self.missing: list[Missing] = []

    def add(
        self, name: str, section: str, title: str, caption: str, figure: Figure, wide: bool = True
    ) -> None:
        key = f"{self.key}{file_name(name)}"
        self.pictures.append(Picture(key, f"{self.key}{section}", title, caption, figure, wide))

    def lack(self, name: str, why: str) -> None:
        self.missing.append(Missing(f"{self.prefix}{name}", why))

    def in_pages(
        self,
        items: Sequence[Any],
        most: int,
        name: str,
        section: str,
        title: str,
        caption: str,
        draw: Callable[[Sequence[Any]], Figure],
    ) -> None:
        """Add pictures with ``most`` items each."""
        parts = list(pages(items, most))
        for number, part in enumerate(parts):
            more = f" ({number + 1} of {len(parts)})" if len(parts) > 1 else ""
            self.add(f"{name}_{number + 1}", section, f"{title}{more}", caption, draw(part))

    # ---- variables ---------------------------------------------------------------------------------------

    def variables(self) -> None:
        """Input variables, scatter plots and correlation matrices."""
        if not self.dataset.inputs:
            self.lack("Input variables", "the file has no directory InputVariables_…")
        for transformation, folder in self.dataset.inputs.items():
            self._distributions(transformation, folder)
        for transformation, folder in self.dataset.inputs.items():
            self._scatter(transformation, folder)
        self._matrices()

    def _distributions(self, transformation: str, folder: Folder) -> None:
        found: dict[str, dict[str, Histogram1D]] = {}
        for name in folder.names("TH1"):
            variable, of_class = parted(name, transformation)
            histogram = folder.histogram(name)
            if variable and histogram is not None:
                found.setdefault(variable, {})[of_class.removesuffix("_target")] = histogram
        if not found:
            self.lack(f"Input variables ({transformation})", "its directory has no histograms of variables")
            return
        regression = self.dataset.analysis == "Regression"
        title = f"Input variables{' and targets' if regression else ''}"
        title += "" if transformation == "Id" else f", {_words(transformation)}"
        caption = "Training events with their weights" + (
            "." if regression else ", each class scaled to unit area."
        )
        caption += " Bins end at eight standard deviations from the mean; what lies outside is said."
        if len(found) > _MOST_VARIABLES:
            caption += (
                f" Of {len(found)} variables the {_MOST_VARIABLES} whose classes differ most are shown."
            )
            most = sorted(found, key=lambda name: -_difference(found[name]))[:_MOST_VARIABLES]
            found = {name: histograms for name, histograms in found.items() if name in most}
        items = [("", histograms) for histograms in found.values()]
        self.in_pages(
            items, _VARIABLES_A_PICTURE, f"variables_{transformation}", "variables", title, caption,
            lambda part: plot_class_histograms(
                part, classes=self.dataset.classes, signal=self.dataset.signal
            ),
        )  # fmt: skip

    def _scatter(self, transformation: str, folder: Folder) -> None:
        title = "Correlations" + ("" if transformation == "Id" else f", {_words(transformation)}")
        plots = folder.folder("CorrelationPlots")
        if plots is None:
            number = len(self.dataset.variables)
            self.lack(
                f"{title} (scatter plots and profiles)",
                "the file has none; TMVA writes them for 20 variables at most"
                + (f", there are {number}" if number else ""),
            )
            return
        # A regression with one target has plots against the target under a class of their own.
        classes = [*self.dataset.classes, *(f"{one}_target" for one in self.dataset.classes)]
        of_classes: dict[str, list[str]] = {of_class: [] for of_class in classes}
        for name in plots.names("TH2"):
            fitting = [one for one in classes if name.endswith(f"_{one}_{transformation}")]
            if name.startswith("scat_") and fitting:
                of_classes[max(fitting, key=len)].append(name)
        for of_class, names in of_classes.items():
            planes = [plane for name in names if (plane := plots.plane(name)) is not None]
            if not planes:
                continue
            planes.sort(key=lambda plane: -abs(plot_variables.correlation_of(plane)))
            strongest = planes[:_MOST_PAIRS]
            pairs = [(plane, plots.histogram(plane.name.replace("scat_", "prof_", 1))) for plane in strongest]
            caption = "Density of training events; crosses: mean of y in bins of x, with its error."
            if len(strongest) < len(planes):
                caption += (
                    f" Of {len(planes)} pairs the {len(strongest)} with the strongest linear correlation are "
                    "shown; the file has them all."
                )
            name = of_class.removesuffix("_target") + (" with target" if of_class.endswith("_target") else "")
            self.in_pages(
                pairs, _PAIRS_A_PICTURE, f"scatter_{transformation}_{of_class}", "correlations",
                f"{title}, {name}", caption, plot_variables.plot_scatter,
            )  # fmt: skip

    def _matrices(self) -> None:
        folder = self.dataset.folder
        names = [name for name in folder.names("TH2") if name.startswith("CorrelationMatrix")]
        if not names:
            self.lack("Linear correlation coefficients", "the file has no CorrelationMatrix…")
        for name in names:
            plane = folder.plane(name)
            if plane is None or plane.values.shape[0] != plane.values.shape[1]:
                continue
            ending = name.removeprefix("CorrelationMatrix")
            of = {"S": "signal", "B": "background"}.get(ending, ending or "all events")
            labels = plane.labels or tuple(f"variable {i + 1}" for i in range(len(plane.values)))
            named = tuple(map(shown, labels)) if len(labels) <= _MOST_LABELS else ("",) * len(labels)
            matrix = Correlation(named, np.asarray(plane.values.T / 100.0))
            self.add(
                name, "matrices", f"Linear correlation coefficients, {of}",
                "Of the training events, in percent, cut off to whole numbers as TMVA keeps them."
                + ("" if len(labels) <= _MOST_LABELS else " Variables are in the file's order."),
                plot_correlation(matrix, title=of), wide=False,
            )  # fmt: skip

    # ---- parallel coordinates ----------------------------------------------------------------------------

    def parallel(self) -> None:
        """Parallel coordinates of every method, from the tree of test events."""
        name = "Parallel coordinates"
        tree = self.dataset.folder.tree("TestTree")
        if tree is None:
            self.lack(name, "the file has no TestTree")
            return
        columns = [one for one in self.dataset.variables if one in tree.keys()]  # noqa: SIM118
        titles = [method.title for method in self.dataset.methods if method.title in tree.keys()]  # noqa: SIM118
        if not columns or not titles or "classID" not in tree.keys():  # noqa: SIM118
            self.lack(name, "TestTree has no branches of variables and methods")
            return
        axes = columns[:_MOST_AXES]
        try:
            table = tree.arrays([*titles, *axes, "classID", "className"], library="np")
        except Exception as error:
            raise CorruptFileError(f"'{self.file}': TestTree cannot be read: {error}.") from error
        generator = np.random.default_rng(1)
        caption = f"""At most {_LINES} test events of each class, chosen at random: a line is an event, its
            colour the response. Numbers are the ends of the axes."""
        caption = " ".join(caption.split())
        if len(axes) < len(columns):
            caption += f" The first {len(axes)} of {len(columns)} variables are shown."
        for title in titles:
            tables = []
            response = np.asarray(table[title])
            if response.dtype == object or response.dtype.names:
                continue
            for number in np.unique(table["classID"]):
                rows = np.flatnonzero(table["classID"] == number)
                rows = generator.permutation(rows)[:_LINES]
                values = np.stack(
                    [np.asarray(table[column][rows], np.float64) for column in [title, *axes]], axis=1
                )
                tables.append((str(table["className"][rows[0]]), values))
            self.add(
                f"parallel_{title}", "parallel", f"Parallel coordinates, {title}", caption,
                plot_variables.plot_parallel([title, *axes], tables),
            )  # fmt: skip


def _difference(histograms: Mapping[str, Histogram1D]) -> float:
    """Return the largest separation of two classes."""
    values = [histogram.values for histogram in histograms.values()]
    pairs = [(a, b) for place, a in enumerate(values) for b in values[:place] if len(a) == len(b)]
    return max((separation(a, b, 0.0, 1.0) for a, b in pairs), default=0.0)


def _words(transformation: str) -> str:
    known = {
        "Deco": "decorrelated", "PCA": "principal components", "Gauss": "Gaussian", "Uniform": "uniform",
        "Norm": "normalised", "Id": "unchanged",
    }  # fmt: skip
    return ", then ".join(known.get(part, part) for part in transformation.split("_"))
