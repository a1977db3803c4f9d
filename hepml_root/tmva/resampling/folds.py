"""Folds: every training event is in one of them, at random, or by a formula of its event number."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from hepml_root.errors import EmptySelectionError, ExpressionError, SettingError, StatisticsWarning
from hepml_root.tmva.composite import named_columns
from hepml_root.tmva.data_sets.events import DataSet, Sample
from hepml_root.tmva.weights.formula import Formula, read_formula

# What TMVA's expressions call the number of folds.
COUNTS = ("NumFolds", "numFolds")
_EXACT = float(2**24)


def check_folds(folds: int, events: int) -> None:
    """Raise a SettingError where there cannot be so many folds."""
    if folds < 2:
        raise SettingError(f"NumFolds={folds}: at least 2 folds are needed.")
    if folds > events:
        raise SettingError(f"NumFolds={folds} of {events} training events: a fold would be empty.")


def random_folds(sample: Sample, folds: int, seed: int, stratified: bool) -> NDArray[np.int64]:
    """Return the fold of each event, from 0: equal shares of all events, or of each class.

    Example
    -------
    >>> events = np.zeros((6, 1), np.float32)
    >>> classes = np.array([0, 0, 0, 0, 1, 1], np.int32)
    >>> sample = Sample(events, events, events, classes, np.ones(6))
    >>> found = random_folds(sample, 2, 1, stratified=True)
    >>> np.bincount(found[:4]).tolist(), np.bincount(found[4:]).tolist()
    ([2, 2], [1, 1])
    """
    check_folds(folds, len(sample))
    random = np.random.default_rng(seed)
    found = np.zeros(len(sample), np.int64)
    groups = [np.flatnonzero(sample.classes == which) for which in np.unique(sample.classes)]
    for rows in groups if stratified else [np.arange(len(sample))]:
        found[random.permutation(rows)] = np.arange(len(rows)) % folds
    return found


def formula_of_folds(text: str, data: DataSet) -> Formula:
    """Read an expression SplitExpr.

    Raises
    ------
    ExpressionError
        It is no formula, or names what is neither a spectator nor a variable.
    """
    formula = read_formula(text)
    known = [*named_columns(data), *COUNTS]
    for name in formula.names:
        if name not in known:
            raise ExpressionError(
                f"SplitExpr={text}: '{name}' is neither a spectator nor a variable: AddSpectator adds it. "
                f"There are {', '.join(dict.fromkeys(known))}."
            )
    return formula


def folds_of_formula(formula: Formula, data: DataSet, folds: int) -> NDArray[np.int64]:
    """Return the fold of each training event.

    Raises
    ------
    SettingError
        The formula gives something else than whole numbers from 0 to folds − 1.
    EmptySelectionError
        A fold has no event.
    """
    sample = data.training
    check_folds(folds, len(sample))
    table = np.hstack([sample.variables, sample.spectators])
    columns = {name: table[:, place] for name, place in named_columns(data).items()}
    columns |= {name: np.full(len(sample), folds, np.float32) for name in COUNTS}
    for name in formula.names:
        if name not in COUNTS and float(np.abs(columns[name]).max()) >= _EXACT:
            warnings.warn(
                f"SplitExpr={formula.text}: '{name}' is up to {np.abs(columns[name]).max():.3g}. Numbers of "
                f"events are float32, whole up to {_EXACT:.0f}: neighbouring events fall into the same fold. "
                f"Take AddSpectator('{name} := {name} % 4096').",
                StatisticsWarning, 3,
            )  # fmt: skip
    values = formula.values(columns)
    found = np.round(values).astype(np.int64)
    wrong = ~(np.abs(values - found) < 1e-5) | (found < 0) | (found >= folds)
    if wrong.any():
        raise SettingError(
            f"SplitExpr={formula.text} gives {values[wrong][0]:g} for event {int(np.flatnonzero(wrong)[0])}; "
            f"whole numbers from 0 to {folds - 1} are needed. End it with %int([NumFolds])."
        )
    counts = np.bincount(found, minlength=folds)
    if not counts.all():
        raise EmptySelectionError(
            f"SplitExpr={formula.text}: no event is in fold {int(np.flatnonzero(counts == 0)[0])} of {folds}."
        )
    return found
