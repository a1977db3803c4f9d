"""Several trainings on the same events: whose cut is worth more, and is the difference more than chance?"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hepml_root.errors import SettingError, ShapeError, unknown
from hepml_root.evaluation.arrays import Bools, Floats, checked_binary, weights_of_yields
from hepml_root.evaluation.best_cut import ChosenCut, choose_cut, passes
from hepml_root.evaluation.estimate import ONE_SIGMA, Estimate, poisson_replicas, to_json
from hepml_root.evaluation.significance import SignificanceScan, asimov_significance, scan_significance

AXES = ("signal_efficiency", "threshold")


@dataclasses.dataclass(frozen=True)
class ComparedTraining:
    """One way to train, repeated with as many seeds as there are scans.

    Attributes
    ----------
    name
        What it is called.
    scans
        The scan over the test events of each repetition.
    cuts
        The cut of each repetition, chosen on validation events, with its yields on the test events.
    asimov
        Z_A at those cuts, mean of the repetitions, with the interval that the statistics of the test events
        leave; undefined where no background of the test events passes one of the cuts.
    spread
        Standard deviation of Z_A between repetitions; NaN of a single one. It holds what changes with the
        seed: initial weights, order of events, chosen cut.
    difference
        ``asimov`` minus that of the first training, both on the same test events, so that their common
        fluctuations cancel; None for the first.
    """

    name: str
    scans: tuple[SignificanceScan, ...]
    cuts: tuple[ChosenCut, ...]
    asimov: Estimate
    spread: float
    difference: Estimate | None

    def curve(self, against: str = "signal_efficiency", points: int = 200) -> tuple[Floats, ...]:
        """Return x, Z_A, low and high (points,) for a picture.

        Z_A is the mean of the repetitions; the band joins the statistical error (linear, the same events in
        all repetitions) with their standard deviation. NaN where a repetition has no allowed cut.

        Raises
        ------
        SettingError
            ``against`` is neither "signal_efficiency" nor "threshold".
        """
        if against not in AXES:
            raise SettingError(unknown("axis", against, AXES))
        kept = [scan.allowed & np.isfinite(scan.asimov) for scan in self.scans]
        axes = [getattr(scan, against)[good] for scan, good in zip(self.scans, kept, strict=True)]
        if any(len(axis) < 2 for axis in axes):
            return tuple(np.full(points, np.nan) for _ in range(4))
        x = np.linspace(min(axis.min() for axis in axes), max(axis.max() for axis in axes), points)

        def on_grid(name: str) -> Floats:
            rows = []
            for scan, good, axis in zip(self.scans, kept, axes, strict=True):
                order = np.argsort(axis, kind="stable")
                values = getattr(scan, name)[good][order]
                rows.append(np.interp(x, axis[order], values, left=np.nan, right=np.nan))
            return np.array(rows)

        values, errors = on_grid("asimov"), on_grid("asimov_error")
        spread = values.std(axis=0, ddof=1) if len(values) > 1 else 0.0
        half = np.hypot(errors.mean(axis=0), spread)
        mean = values.mean(axis=0)
        return x, mean, mean - half, mean + half


@dataclasses.dataclass(frozen=True)
class SignificanceComparison:
    """What :func:`compare_significance` found; the first training is what the others are compared with."""

    trainings: tuple[ComparedTraining, ...]
    systematic: float
    chosen_on: str

    def __getitem__(self, name: str) -> ComparedTraining:
        for training in self.trainings:
            if training.name == name:
                return training
        raise SettingError(unknown("training", name, [training.name for training in self.trainings]))

    def rows(self) -> list[dict[str, Any]]:
        """Return one dictionary for each training, as a table: means over the repetitions.

        Keys: ``training``, ``repetitions``, ``threshold``, ``signal``, ``background``, ``asimov`` (an
        Estimate), ``spread``, ``difference`` (an Estimate or None), ``optimism``.
        """
        table = []
        for training in self.trainings:
            applied = [cut.applied for cut in training.cuts if cut.applied is not None]
            table.append(
                {
                    "training": training.name,
                    "repetitions": len(training.cuts),
                    "threshold": float(np.mean([cut.threshold for cut in training.cuts])),
                    "signal": float(np.mean([cut.signal.value for cut in applied])),
                    "background": float(np.mean([cut.background.value for cut in applied])),
                    "asimov": training.asimov,
                    "spread": training.spread,
                    "difference": training.difference,
                    "optimism": float(np.mean([cut.optimism for cut in training.cuts])),
                }
            )
        return table

    def __str__(self) -> str:
        head = f"{'training':<28}{'s':>10}{'b':>12}  {'Z_A':<16}{'seeds ±':>8}  difference"
        lines = [head]
        for row in self.rows():
            spread = f"{row['spread']:.2g}" if np.isfinite(row["spread"]) else ""
            lines.append(
                f"{row['training']:<28}{row['signal']:>10.4g}{row['background']:>12.4g}  "
                f"{row['asimov']!s:<16}{spread:>8}  {'' if row['difference'] is None else row['difference']}"
            )
        return "\n".join(line.rstrip() for line in lines)

    def to_dict(self) -> dict[str, Any]:
        return {
            "systematic": self.systematic,
            "chosen_on": self.chosen_on,
            "table": to_json(self.rows()),
            "trainings": {training.name: to_json(training.scans) for training in self.trainings},
        }


def compare_significance(
    trainings: Mapping[str, ArrayLike],
    labels: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    validation: tuple[Any, ...],
    signal_events: float | None = None,
    background_events: float | None = None,
    systematic: float = 0.1,
    minimum_background: float = 10.0,
    cuts: int = 200,
    bootstrap: int = 200,
    seed: int = 1,
    level: float = ONE_SIGMA,
) -> SignificanceComparison:
    """Compare trainings by Z_A at the cut that validation events choose, read on the same test events.

    The errors come from one bootstrap of the test events, in which all trainings meet the same replicas:
    differences are much better known than the values. The cuts stay fixed in it.

    Arguments
    ---------
    trainings
        ``{name: scores}``; scores of the test events (events,), or (repetitions, events) of the same
        training with other seeds.
    labels, weights
        Of the test events (events,); labels are 1 for signal.
    validation
        ``(trainings, labels)`` or ``(trainings, labels, weights)`` of the validation events, with the same
        names and repetitions.
    signal_events, background_events, systematic, minimum_background, cuts
        As in :func:`hepml_root.evaluation.significance.scan_significance`; the sums of the
        test weights if None.
    bootstrap, seed, level
        Replicas, seed and coverage of the intervals.

    Raises
    ------
    SettingError
        There is no training, or validation has others.
    ShapeError, NonFiniteInputError, EmptySelectionError, WeightError
        The arrays cannot be used.

    Example
    -------
    >>> generator = np.random.default_rng(1)
    >>> labels = np.arange(8000) % 2
    >>> truth = generator.normal(labels, 1.0, (2, 8000))
    >>> scores = {"good": truth, "noisy": truth + generator.normal(0, 1, (2, 8000))}
    >>> first, second = ({name: array[part] for name, array in scores.items()} for part in (0, 1))
    >>> found = compare_significance(second, labels, validation=(first, labels),
    ...                              signal_events=50, background_events=1000, bootstrap=50)
    >>> bool(found["noisy"].difference.high < 0)
    True
    """
    if not trainings:
        raise SettingError("name at least one training: {'cross entropy': scores, ...}.")
    if len(validation) not in (2, 3):
        raise ShapeError("validation is (trainings, labels) or (trainings, labels, weights).")
    others, other_labels = validation[:2]
    if list(others) != list(trainings):
        raise SettingError(
            f"validation has the trainings {', '.join(others)}; needed are {', '.join(trainings)}, "
            "in this order."
        )
    tested = {name: _repetitions(scores, name) for name, scores in trainings.items()}
    chosen = {name: _repetitions(scores, name) for name, scores in others.items()}
    first = next(iter(tested.values()))[0]
    _, signal, used = checked_binary(first, labels, weights)
    totals = (signal_events, background_events)
    scaled = weights_of_yields(signal, used, *totals)
    settings: dict[str, Any] = {
        "signal_events": signal_events, "background_events": background_events, "systematic": systematic,
        "minimum_background": minimum_background, "cuts": cuts, "seed": seed, "level": level,
    }  # fmt: skip
    found: dict[str, tuple[list[SignificanceScan], list[ChosenCut]]] = {}
    passing: list[Bools] = []
    for name, repetitions in tested.items():
        if len(chosen[name]) != len(repetitions):
            raise ShapeError(
                f"'{name}' has {len(repetitions)} repetitions on test and {len(chosen[name])} on validation."
            )
        scans, best = [], []
        for scores, before in zip(repetitions, chosen[name], strict=True):
            scans.append(scan_significance(scores, labels, weights, bootstrap=0, **settings))
            best.append(
                choose_cut(
                    (before, other_labels, *validation[2:]), (scores, labels, used), bootstrap=0, **settings
                )
            )
            passing.append(passes(scores, best[-1].threshold))
        found[name] = scans, best
    central, replicas = _significances(np.array(passing), signal, scaled, totals, systematic, bootstrap, seed)
    result: list[ComparedTraining] = []
    reference, start = None, 0
    for name, (scans, best) in found.items():
        members = slice(start, start + len(best))
        start += len(best)
        values, many = central[members], replicas[:, members].mean(axis=1)
        mean = float(values.mean())
        difference = None
        if reference is None:
            reference = mean, many
        else:
            difference = _estimate(mean - reference[0], many - reference[1], level)
        spread = float(values.std(ddof=1)) if len(values) > 1 else float("nan")
        estimate = _estimate(mean, many, level)
        result.append(ComparedTraining(name, tuple(scans), tuple(best), estimate, spread, difference))
    return SignificanceComparison(tuple(result), float(systematic), "validation")


def _estimate(value: float, replicas: Floats, level: float) -> Estimate:
    """Return a value with the interval of the replicas in which it is known, if it is known itself."""
    known = replicas[np.isfinite(replicas)] if np.isfinite(value) else replicas[:0]
    return Estimate.from_replicas(value, known, level)


def _repetitions(scores: ArrayLike, name: str) -> NDArray[np.float32]:
    """Return scores (repetitions, events) as float32."""
    array = np.asarray(scores, dtype=np.float32)
    if array.ndim == 1:
        array = array[None]
    if array.ndim != 2:
        raise ShapeError(f"'{name}': scores are (events,) or (repetitions, events), not {array.shape}.")
    return array


def _significances(
    passing: Bools,
    signal: Bools,
    weights: Floats,
    totals: Sequence[float | None],
    systematic: float,
    bootstrap: int,
    seed: int,
) -> tuple[Floats, Floats]:
    """Return Z_A (cuts,) of events that pass (cuts, events), and that of each replica (replicas, cuts).

    NaN where no background passes: what such a cut is worth is unknown, not infinite.
    """
    classes = (signal, ~signal)
    # Columns: the events that pass each cut, and at the end all events.
    kept = np.concatenate([passing, np.ones((1, len(signal)), dtype=bool)]).T
    tables = [np.where(kept[members], weights[members, None], 0.0) for members in classes]

    def value(sums: list[Floats]) -> Floats:
        with np.errstate(divide="ignore", invalid="ignore"):
            s, b = (
                # A total that was given does not fluctuate.
                part[..., :-1] * (1.0 if total is None else total / part[..., -1:])
                for part, total in zip(sums, totals, strict=True)
            )
        return np.where(b > 0, asimov_significance(s, b, systematic), np.nan)

    central = value([table.sum(axis=0) for table in tables])
    replicas = [
        value([counts[:, members] @ table for members, table in zip(classes, tables, strict=True)])
        for counts in poisson_replicas(len(signal), bootstrap, seed)
    ]
    return central, np.concatenate(replicas) if replicas else np.empty((0, len(central)))
