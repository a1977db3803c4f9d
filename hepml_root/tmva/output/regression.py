"""A regression in the output file: deviations from the target, against variables and targets."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hepml_root.tmva.data_sets.events import DataSet, Sample
from hepml_root.tmva.output.results import MethodResult
from hepml_root.tmva.output.root_objects import histogram, histogram_2d, keep

_BINS = 50
_QUADRATIC_BINS = 500
_QUANTILE = 0.9


def write_regression(directory: Any, result: MethodResult) -> None:
    """Write the histograms of one method.

    ``MVA_<T>{test,train}_reg_var<i>_rtgt<j>`` and ``…_reg_tgt<i>_rtgt<j>``: regression minus target j,
    against variable or target i, events counted without weights. ``…_Quadr_Deviation_target_<j>_`` and
    ``…_Quadr_Dev_best90perc_target_<j>_``: the square of it, with weights, of all events and of the 90 % with
    the smallest.
    """
    data = result.data
    for part, sample, values in (
        ("test", data.test, result.test),
        ("train", data.training, result.training),
    ):
        if len(sample):
            _write_part(directory, f"MVA_{result.title}{part}", data, sample, np.asarray(values, np.float64))


def _write_part(
    directory: Any, prefix: str, data: DataSet, sample: Sample, values: NDArray[np.float64]
) -> None:
    groups = (("var", data.variables, sample.variables), ("tgt", data.targets, sample.targets))
    for target, variable in enumerate(data.targets):
        deviation = values[:, target] - sample.targets[:, target]
        title = variable.title or variable.label
        y_title = f"{title}_{{regression}} - {title}_{{true}}"
        y_binning = _wide(float(deviation.min()), float(deviation.max()))
        for short, columns, table in groups:
            for place, column in enumerate(columns):
                x = np.asarray(table[:, place], np.float64)
                ends = [float(x.min()), float(x.max())]
                if column.minimum is not None and column.maximum is not None:  # those of training
                    ends = [min(ends[0], column.minimum), max(ends[1], column.maximum)]
                name = f"{prefix}_reg_{short}{place}_rtgt{target}"
                labels = (column.title or column.label, y_title)
                keep(
                    directory,
                    histogram_2d(name, name, _wide(*ends), y_binning, x, deviation, labels=labels),
                )
        _write_quadratic(directory, prefix, target, deviation**2, sample.weights)


def _wide(low: float, high: float) -> tuple[int, float, float]:
    """Fifty bins of a range that is a little wider than the values."""
    step = 1.01 * (high - low if high > low else 1.0) / (_BINS - 1)
    return _BINS, low - step, high + step


def _write_quadratic(
    directory: Any, prefix: str, target: int, squares: NDArray[np.float64], weights: NDArray[np.float64]
) -> None:
    labels = ("Quadratic Deviation", "Weighted Entries")
    largest = 1.1 * float(squares.max()) or 1.0
    name = f"{prefix}_Quadr_Deviation_target_{target}_"
    item = histogram(name, name, (_QUADRATIC_BINS, 0.0, largest), squares, weights, kind="F", labels=labels)
    keep(directory, item)
    limit = quantile(squares, weights, _QUANTILE)
    kept = squares <= limit
    name = f"{prefix}_Quadr_Dev_best90perc_target_{target}_"
    item = histogram(
        name, name, (_QUADRATIC_BINS, 0.0, 1.1 * limit or 1.0), squares[kept], weights[kept], kind="F",
        labels=labels,
    )  # fmt: skip
    keep(directory, item)


def quantile(values: NDArray[np.float64], weights: NDArray[np.float64], share: float) -> float:
    """Return the smallest value below which, or at which, a share of the weight lies.

    >>> quantile(np.array([4.0, 1.0, 3.0, 2.0]), np.ones(4), 0.75)
    3.0
    """
    order = np.argsort(values, kind="stable")
    running = np.cumsum(weights[order])
    # Rounding of the sum must not push a share that is met exactly to the next value.
    place = int(np.searchsorted(running, share * running[-1] * (1.0 - 1e-12)))
    return float(values[order][min(place, len(values) - 1)])
