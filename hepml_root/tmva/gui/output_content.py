"""What an output file of TMVA holds: datasets, transformations, methods, read with uproot.

The file may be one of this package, or of the real TMVA: nothing but names and histograms counts. Newer TMVA
keeps a method in ``Method_<Title>/<Title>``, older in ``Method_<Type>/<Title>``; before the DataLoader came
there was no directory of a dataset.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import uproot
from numpy.typing import NDArray

from hepml_root.errors import CorruptFileError, SettingError, SourceNotFoundError, unknown

Floats = NDArray[np.float64]
_MARKS = ("InputVariables_", "Method_")


@dataclass(frozen=True)
class Histogram1D:
    """A histogram of ROOT.

    Arguments
    ---------
    edges, values, errors
        ``(bins + 1,)``, ``(bins,)``, ``(bins,)``.
    below, above
        Contents of underflow and overflow.
    title, x_title, y_title
        As ROOT keeps them.
    """

    name: str
    edges: Floats
    values: Floats
    errors: Floats
    below: float
    above: float
    title: str
    x_title: str
    y_title: str

    @property
    def centres(self) -> Floats:
        return 0.5 * (self.edges[1:] + self.edges[:-1])

    def normalised(self) -> tuple[Floats, Floats]:
        """Return contents and errors per unit of x, with unit area."""
        widths = np.diff(self.edges)
        total = float(self.values.sum())
        scale = 1.0 / (total * widths) if total > 0 else np.zeros_like(widths)
        return self.values * scale, self.errors * scale


@dataclass(frozen=True)
class Plane:
    """A two-dimensional histogram: contents ``(x bins, y bins)``."""

    name: str
    x_edges: Floats
    y_edges: Floats
    values: Floats
    x_title: str
    y_title: str
    labels: tuple[str, ...] = ()


class Folder:
    """One directory of the file, whose objects are read when they are asked for."""

    def __init__(self, directory: Any) -> None:
        self._directory = directory
        self.classes: dict[str, str] = {}
        for key, kind in directory.classnames(recursive=False).items():
            self.classes.setdefault(key.split(";")[0], kind)

    def __contains__(self, name: str) -> bool:
        return name in self.classes

    def names(self, kind: str = "") -> list[str]:
        """Return names of objects whose class begins with ``kind``, in the file's order."""
        return [name for name, found in self.classes.items() if found.startswith(kind)]

    def folders(self) -> dict[str, Folder]:
        """Return the directories in it."""
        return {name: Folder(self._read(name)) for name in self.names("TDirectory")}

    def folder(self, name: str) -> Folder | None:
        return Folder(self._read(name)) if self.classes.get(name, "").startswith("TDirectory") else None

    def _read(self, name: str) -> Any:
        try:
            return self._directory[name]
        except Exception as error:  # uproot raises many kinds for damaged files
            raise CorruptFileError(
                f"'{name}' in '{self._directory.file_path}' cannot be read: {error}. The file is damaged, or "
                "was not closed."
            ) from error

    def histogram(self, name: str) -> Histogram1D | None:
        """Return a TH1 or TProfile; None if there is none of that name."""
        if not re.match(r"TH1|TProfile\Z", self.classes.get(name, "")):
            return None
        item = self._read(name)
        values = np.asarray(item.values(flow=True), np.float64)
        errors = np.asarray(item.errors(flow=True), np.float64)
        return Histogram1D(
            name, np.asarray(item.axis().edges(), np.float64), values[1:-1], errors[1:-1], float(values[0]),
            float(values[-1]), item.title, *(item.member(f"f{axis}axis").member("fTitle") for axis in "XY"),
        )  # fmt: skip

    def plane(self, name: str) -> Plane | None:
        """Return a TH2; None if there is none of that name."""
        if not self.classes.get(name, "").startswith("TH2"):
            return None
        item = self._read(name)
        labels = item.axis(0).labels()
        x_edges, y_edges = (np.asarray(item.axis(i).edges(), np.float64) for i in (0, 1))
        x_title, y_title = (str(item.member(f"f{axis}axis").member("fTitle")) for axis in "XY")
        values = np.asarray(item.values(), np.float64)
        return Plane(name, x_edges, y_edges, values, x_title, y_title, tuple(labels) if labels else ())

    def graph(self, name: str) -> tuple[Floats, Floats] | None:
        """Return x and y of a TGraph; None if there is none of that name."""
        if not self.classes.get(name, "").startswith("TGraph"):
            return None
        item = self._read(name)
        return np.asarray(item.member("fX"), np.float64), np.asarray(item.member("fY"), np.float64)

    def tree(self, name: str) -> Any:
        """Return a TTree of uproot; None if there is none of that name."""
        return self._read(name) if self.classes.get(name) == "TTree" else None

    def text(self, name: str) -> str:
        """Return a TObjString, "" if there is none of that name."""
        return str(self._read(name)) if self.classes.get(name) == "TObjString" else ""


@dataclass(frozen=True)
class MethodContent:
    """One method: type as the file says it, title, and its directory."""

    type_name: str
    title: str
    folder: Folder

    def weight_file(self, beside: Path) -> Path | None:
        """Return the weight file, looked for where training ran, beside the ROOT file, and here."""
        name = self.folder.text("WeightFileName")
        if not name:
            return None
        places = [Path(self.folder.text("TrainingPath") or "."), beside, Path(".")]
        for place in places:
            if (place / name).is_file():
                return place / name
        return None


@dataclass(frozen=True)
class Dataset:
    """One dataset of the file.

    Arguments
    ---------
    name
        "" in files that were written before TMVA had datasets.
    analysis
        ``Classification``, ``Regression`` or ``Multiclass``.
    classes
        Names, signal first where there is one.
    variables
        Internal names of the variables, in the file's order.
    inputs
        {name of a transformation: directory}.
    methods
        In the file's order.
    """

    name: str
    folder: Folder
    analysis: str
    classes: tuple[str, ...]
    variables: tuple[str, ...]
    inputs: dict[str, Folder] = field(default_factory=dict)
    methods: tuple[MethodContent, ...] = ()

    @property
    def signal(self) -> str | None:
        """Name of the signal, of a classification."""
        return self.classes[0] if self.analysis == "Classification" and self.classes else None


def read_output(path: str | os.PathLike[str], dataset: str = "") -> tuple[Path, list[Dataset]]:
    """Read what a file holds; return its path and its datasets.

    Raises
    ------
    SourceNotFoundError
        There is no such file.
    CorruptFileError
        It is no ROOT file, or a damaged one.
    SettingError
        It holds nothing of TMVA, or not the dataset that was asked for.
    """
    path = Path(path)
    if not path.is_file():
        raise SourceNotFoundError(f"there is no file '{path}'.")
    try:
        root = Folder(uproot.open(path))
    except Exception as error:
        raise CorruptFileError(f"'{path}' is no ROOT file, or a damaged one: {error}.") from error
    found = list(_datasets(root))
    if not found:
        names = ", ".join(list(root.classes)[:8]) or "nothing"
        raise SettingError(
            f"'{path}' is no output file of TMVA: no directory has InputVariables_… or Method_… in it. It "
            f"holds {names}."
        )
    if dataset:
        chosen = [one for one in found if one.name == dataset]
        if not chosen:
            raise SettingError(unknown("dataset", dataset, [one.name for one in found]))
        found = chosen
    return path, found


def _datasets(root: Folder) -> Iterator[Dataset]:
    if any(name.startswith(_MARKS) for name in root.names("TDirectory")):
        yield _dataset("", root)
    for name, folder in root.folders().items():
        if not name.startswith(_MARKS) and any(
            inner.startswith(_MARKS) for inner in folder.names("TDirectory")
        ):
            yield _dataset(name, folder)


def _dataset(name: str, folder: Folder) -> Dataset:
    inputs, methods = {}, []
    for entry, inner in folder.folders().items():
        if entry.startswith("InputVariables_"):
            inputs[entry.removeprefix("InputVariables_")] = inner
        elif entry.startswith("Method_"):
            type_name = entry.removeprefix("Method_")
            methods += [MethodContent(type_name, title, own) for title, own in inner.folders().items()]
    classes, variables = _classes_and_variables(inputs)
    analysis = _analysis(folder, classes, methods)
    if analysis == "Classification":
        classes = tuple(sorted(classes, key=lambda one: one != "Signal"))
    return Dataset(name, folder, analysis, classes, variables, inputs, tuple(methods))


def _classes_and_variables(inputs: dict[str, Folder]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of histograms are <variable>__<class>_<transformation>."""
    classes: dict[str, None] = {}
    variables: dict[str, None] = {}
    for transformation, folder in inputs.items():
        for name in folder.names("TH1"):
            variable, class_name = parted(name, transformation)
            if not variable:
                continue
            if class_name.endswith("_target"):
                continue
            classes[class_name] = None
            variables[variable] = None
        if classes:
            break
    return tuple(classes), tuple(variables)


def parted(name: str, transformation: str) -> tuple[str, str]:
    """Return variable and class of a histogram's name; ("", "") if it is another.

    >>> parted("var1__Signal_Gauss_Deco", "Gauss_Deco")
    ('var1', 'Signal')
    """
    # A directory whose name was taken has a number behind it, which its histograms lack.
    for suffix in (transformation, re.sub(r"_\d+\Z", "", transformation)):
        if name.endswith(f"_{suffix}"):
            variable, separator, class_name = name.removesuffix(f"_{suffix}").rpartition("__")
            return (variable, class_name) if separator else ("", "")
    return "", ""


def _analysis(folder: Folder, classes: Sequence[str], methods: Sequence[MethodContent]) -> str:
    if "CorrelationMatrix" in folder or list(classes) == ["Regression"]:
        return "Regression"
    if "CorrelationMatrixS" in folder:
        return "Classification"
    names = [name for method in methods for name in method.folder.classes]
    if any(re.search(r"_reg_(var|tgt)\d+_rtgt\d+\Z", name) for name in names):
        return "Regression"
    several = len(classes) > 2 or any("_prob_for_" in name for name in names)
    return "Multiclass" if several else "Classification"
