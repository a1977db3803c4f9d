"""The variables in the output file: distributions of the training events, correlations, rankings.

``InputVariables_<T>/`` holds for each transformation ``<T>`` one histogram per variable and class, and in
``CorrelationPlots/`` scatter and profile plots of all pairs; the linear correlation matrices lie beside it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hepml_root.errors import SettingError, unknown
from hepml_root.evaluation import correlations
from hepml_root.tmva.configuration import gConfig
from hepml_root.tmva.data_sets.events import DataSet
from hepml_root.tmva.output.response_curves import separation
from hepml_root.tmva.output.root_objects import folder, histogram, histogram_2d, keep, matrix, profile
from hepml_root.tmva.weights.header import Variable

_MOST_WHOLE_NUMBERS = 10_000
_SHORT = {"I": "Id", "N": "Norm", "D": "Deco", "P": "PCA", "U": "Uniform", "G": "Gauss"}
_SUFFIX = re.compile(r"(?:_[^,(]*)?(?:\(.*\))?\Z", re.S)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class TransformedVariables:
    """Training events after a chain of transformations.

    Arguments
    ---------
    name
        As in the names of directories and histograms: ``Id``, ``Deco``, ``Gauss_Deco``.
    variables
        ``(events, variables)``.
    """

    name: str
    variables: NDArray[np.float32]


def chains(specification: str) -> list[str]:
    """Return the chains of an option ``Transformations``, identity first, each once.

    >>> chains("D;I;G,D;D"), chains("None")
    (['I', 'D', 'G,D'], ['I'])
    """
    parts = [part.strip() for part in re.split(r";", specification)]
    return list(dict.fromkeys(["I", *(part for part in parts if part and part.lower() != "none")]))


def chain_name(chain: str) -> str:
    """Return the name of a chain in directories and histograms.

    Raises
    ------
    SettingError
        A letter is no transformation.

    Example
    -------
    >>> chain_name("G_Signal,D")
    'Gauss_Deco'
    """
    names = []
    for step in re.split(r",(?![^(]*\))", chain):
        letter = step.strip()[:1]
        rest = _SUFFIX.sub("", step.strip()[1:])
        if letter not in _SHORT or rest:
            raise SettingError(f"Transformations={chain}: " + unknown("transformation", step, _SHORT))
        names.append(_SHORT[letter])
    return "_".join(names)


def transformed_variables(specification: str, data: DataSet) -> list[TransformedVariables]:
    """Return the training events after each chain of an option such as ``I;D;P;G,D``.

    Raises
    ------
    SettingError
        A letter is no transformation, or it cannot be fitted (constant variables).
    """
    found = []
    for chain in chains(specification):
        variables = data.training.variables
        name = chain_name(chain)
        if name != "Id":
            from hepml_root.tmva.data_sets.fitting import fit_transformations, transform

            variables = transform(fit_transformations(chain, data), variables)
        found.append(TransformedVariables(name, variables))
    return found


@dataclass(frozen=True)
class _Column:
    """A variable or target with its values, and the range that all classes share."""

    variable: Variable
    values: Floats
    title: str
    target: bool
    mean: float
    rms: float

    @property
    def name(self) -> str:
        return self.variable.internal or self.variable.label

    @property
    def axis(self) -> str:
        return f"{self.title}  [{self.variable.unit}]" if self.variable.unit else self.title

    @property
    def plain_title(self) -> str:
        return self.variable.title or self.variable.label

    @property
    def range(self) -> tuple[float, float]:
        low, high = float(self.values.min()), float(self.values.max())
        return (low, high) if high > low else (low, low + 1.0)

    @property
    def binning(self) -> tuple[int, float, float]:
        low, high = float(self.values.min()), float(self.values.max())
        if self.variable.kind == "I":
            first, last = round(low), round(high + 1)
            if 0 < last - first <= _MOST_WHOLE_NUMBERS:
                return last - first, float(first), float(last)
        plotting = gConfig().GetVariablePlotting()
        low = max(low, self.mean - plotting.fTimesRMS * self.rms)
        high = min(high, self.mean + plotting.fTimesRMS * self.rms)
        if low >= high:
            high = low * 1.1
        if low >= high:
            high = low + 1.0
        bins = plotting.fNbins1D
        return bins, low, high + (high - low) / bins  # the largest value lies inside


def _columns(data: DataSet, transformed: TransformedVariables) -> list[_Column]:
    weights = data.training.weights
    found = []
    for group, table in ((data.variables, transformed.variables), (data.targets, data.training.targets)):
        for place, variable in enumerate(group):
            values = np.asarray(table[:, place], np.float64)
            total = float(weights.sum())
            mean = float(weights @ values) / total
            rms = float(np.sqrt(max(0.0, float(weights @ values**2) / total - mean**2)))
            title = variable.title or variable.label
            title += "" if transformed.name == "Id" else f" ({transformed.name})"
            found.append(_Column(variable, values, title, group is data.targets, mean, rms))
    return found


def write_input_variables(
    parent: Any, data: DataSet, transformed: TransformedVariables
) -> list[tuple[str, float]]:
    """Write ``InputVariables_<T>`` into the directory of a dataset; return the separation of each variable.

    The separation, in falling order, is there for signal against background only.
    """
    columns = _columns(data, transformed)
    suffix = f"_{transformed.name}"
    name, number = f"InputVariables{suffix}", 0
    while parent.GetListOfKeys().FindObject(name):
        name, number = f"InputVariables{suffix}_{number}", number + 1
    directory = folder(parent, name)
    members = [data.training.classes == index for index in range(len(data.classes))]
    weights = [data.training.weights[chosen] for chosen in members]
    separations = []
    for column in columns:
        binning = column.binning
        step = (binning[2] - binning[1]) / binning[0]
        y_title = f"dN_{{ }}/^{{ }}{step:.3g} {column.variable.unit}"
        contents = []
        for index, chosen in enumerate(members):
            item = histogram(
                f"{column.name}__{_class_name(data, index, column)}{suffix}", column.plain_title, binning,
                column.values[chosen], weights[index], kind="F", labels=(column.axis, y_title),
            )  # fmt: skip
            keep(directory, item)
            contents.append(np.array([item.GetBinContent(i) for i in range(1, binning[0] + 1)]))
        if data.analysis == "Classification" and not column.target:
            value = separation(contents[0], contents[1], binning[1], binning[2])
            separations.append((column.plain_title, value))
    if len(columns) <= gConfig().GetVariablePlotting().fMaxNumOfAllowedVariablesForScatterPlots:
        _write_pairs(folder(directory, "CorrelationPlots"), data, columns, members, weights, suffix)
    return sorted(separations, key=lambda entry: -entry[1])


def _class_name(data: DataSet, index: int, column: _Column) -> str:
    return data.classes[index] + ("_target" if column.target and len(data.targets) == 1 else "")


def _write_pairs(
    directory: Any,
    data: DataSet,
    columns: Sequence[_Column],
    members: Sequence[NDArray[np.bool_]],
    weights: Sequence[Floats],
    suffix: str,
) -> None:
    """Scatter and profile plots: variables against those before them, and against the targets."""
    plotting = gConfig().GetVariablePlotting()
    bins, fine = plotting.fNbins1D, plotting.fNbins2D
    pairs = [(x, y) for place, x in enumerate(columns) for y in columns[place + 1 :] if x.target == y.target]
    pairs += [(x, y) for x in columns if x.target for y in columns if not y.target]
    for x, y in pairs:
        for index, chosen in enumerate(members):
            of_class = _class_name(data, index, x)
            named = f"{y.name}_vs_{x.name}_{of_class}{suffix}"
            title = f"{y.plain_title} versus {x.plain_title} ({of_class}){suffix}"
            labels = (x.axis, y.axis)
            first, second = x.values[chosen], y.values[chosen]
            keep(directory, histogram_2d(
                f"scat_{named}", title, (fine, *x.range), (fine, *y.range),
                first, second, weights[index], labels=labels,
            ))  # fmt: skip
            keep(directory, profile(
                f"prof_{named}", f"profile {title}", (bins, *x.range), first, second, weights[index],
                labels=labels,
            ))  # fmt: skip


def correlation(values: NDArray[Any], weights: Floats) -> Floats:
    """Return the weighted linear correlation coefficients of columns ``(events, columns)``.

    A constant column has the coefficient 0 with all others.

    Example
    -------
    >>> correlation(np.array([[0.0, 1.0, 3.0], [1.0, -1.0, 3.0]]), np.ones(2)).round(6).tolist()
    [[1.0, -1.0, 0.0], [-1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    found = np.nan_to_num(correlations.correlation(values, weights).matrix)
    np.fill_diagonal(found, 1.0)
    return np.clip(found, -1.0, 1.0)


def write_correlations(parent: Any, data: DataSet) -> None:
    """Write the linear correlation matrices of the variables.

    ``CorrelationMatrixS`` and ``…B``, ``CorrelationMatrix<class>`` of several classes, ``CorrelationMatrix``
    of a regression.
    """
    for index in range(1 if data.analysis == "Regression" else len(data.classes)):
        keep(parent, correlation_matrix(data, index))


def correlation_matrix(data: DataSet, index: int) -> Any:
    """Return the linear correlations of the variables in a class, weighted, as a TH2F: in percent, cut off to
    whole numbers."""
    training = data.training
    labels = [variable.title or variable.label for variable in data.variables]
    if data.analysis == "Regression":
        names = ("CorrelationMatrix", "Correlation Matrix")
        chosen = np.ones(len(training), bool)
    else:
        ending = text = data.classes[index]
        if data.analysis == "Classification":
            ending, text = ("S", "signal") if index == data.signal else ("B", "background")
        names = (f"CorrelationMatrix{ending}", f"Correlation Matrix ({text})")
        chosen = training.classes == index
    coefficients = correlation(training.variables[chosen], training.weights[chosen])
    # A coefficient of 1 is 0.99999… after sums and roots.
    percent = np.trunc(100.0 * coefficients + np.copysign(1e-9, coefficients))
    item = matrix(*names, percent, labels)
    item.SetMinimum(-100.0)
    item.SetMaximum(100.0)
    return item
