"""From the trainings to the rows of the table: yields behind the cut, significances, differences, errors."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.susy.plan import Case
from benchmarks.susy.samples import SIGNALS, Samples, parts
from benchmarks.susy.training import LEAST_BACKGROUND, LOSSES, Training
from hepml_root.evaluation import asimov_significance, compare_significance
from hepml_root.evaluation.best_cut import ChosenCut, yields_above
from hepml_root.evaluation.comparison import SignificanceComparison

_BOOTSTRAP = 200


@dataclass(frozen=True)
class Cut:
    """The cut of one training: chosen on validation events, its yields on test events.

    ``tied`` is the share of the test events that have the largest score: no cut divides them. ``at_half`` is
    Z_A of the test events with a score above 0.5, where nobody has chosen; NaN without background there.
    """

    seed: int
    threshold: float
    chosen_on: str
    signal: float
    signal_error: float
    background: float
    background_error: float
    effective_background: float
    asimov: float
    optimism: float
    tied: float
    at_half: float


@dataclass(frozen=True)
class Row:
    """One loss in one case: means over the seeds.

    Attributes
    ----------
    statistical, spread
        Errors of ``asimov``: of the finite test sample, and the standard deviation over the seeds.
    difference, difference_error
        To the cross entropy on the same test events, with the statistical error of the difference and the
        error of both means over the seeds in quadrature; None of the cross entropy itself.
    """

    case: Case
    loss: str
    cuts: tuple[Cut, ...]
    asimov: float
    statistical: float
    spread: float
    difference: float | None
    difference_error: float | None

    @property
    def seeds(self) -> int:
        return len(self.cuts)

    @property
    def error(self) -> float:
        """Of ``asimov``: statistical, and of the mean over the seeds."""
        return math.hypot(self.statistical, _of_mean(self.spread, self.seeds))

    def mean(self, name: str) -> float:
        """Return the mean over the seeds of a field of the cuts."""
        return float(np.mean([getattr(cut, name) for cut in self.cuts]))

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def line(self, reference: Row) -> dict[str, Any]:
        """Return the row as the benchmarks print it."""
        case = self.case
        words = f"{SIGNALS[case.signal]}, {case.network}, syst. {case.systematic:g}, yields: {case.yields}"
        share = "" if case.share == 1 else f", {case.share:g} of the background"
        spread = f"spread over {self.seeds} seeds {self.spread:.3f}" if self.seeds > 1 else "one seed"
        return {
            "name": f"susy {words}{share}: {LOSSES[self.loss]}",
            "value": round(self.asimov, 4),
            "unit": "Z_A",
            "reference": f"s {self.mean('signal'):.4g}, b {self.mean('background'):.4g}, statistical "
            f"{self.statistical:.3f}, {spread}; "
            f"cross entropy {reference.asimov:.3f}",
            "ratio": round(self.asimov / reference.asimov, 4),
        }


def _of_mean(spread: float, seeds: int) -> float:
    return 0.0 if math.isnan(spread) else spread / math.sqrt(seeds)


def finished(case: Case, losses: Sequence[str], folder: Path) -> list[int]:
    """Return the seeds of which the trainings of a case are all there."""
    found = []
    seed = 1
    while all((folder / f"{case.training(loss, seed).name}.json").exists() for loss in losses):
        found.append(seed)
        seed += 1
    return found


def rows(
    case: Case, samples: Samples, folder: Path, losses: Sequence[str] = (*LOSSES,), seeds: int | None = None
) -> list[Row]:
    """Return the rows of a case, the cross entropy first; none where no seed is finished."""
    there = finished(case, losses, folder)[:seeds]
    if not there:
        return []
    found = compared(case, samples, folder, losses, there)
    reference = found.trainings[0]
    result = []
    for loss, training in zip(losses, found.trainings, strict=True):
        cuts = tuple(
            _cut(seed, cut, scores_of(case.training(loss, seed), folder)["test"], case, samples)
            for seed, cut in zip(there, training.cuts, strict=True)
        )
        difference = error = None
        if training.difference is not None:
            difference = training.difference.value
            error = math.hypot(
                training.difference.error,
                _of_mean(training.spread, len(there)),
                _of_mean(reference.spread, len(there)),
            )
        result.append(
            Row(
                case=case,
                loss=loss,
                cuts=cuts,
                asimov=training.asimov.value,
                statistical=training.asimov.error,
                spread=training.spread,
                difference=difference,
                difference_error=error,
            )
        )
    return result


def compared(
    case: Case, samples: Samples, folder: Path, losses: Sequence[str], seeds: Sequence[int]
) -> SignificanceComparison:
    """Return the comparison of the losses of a case on its test events."""
    _, validation, test = parts(samples.folder, case.signal, case.share)
    scores: Mapping[str, list[dict[str, Any]]] = {
        LOSSES[loss]: [scores_of(case.training(loss, seed), folder) for seed in seeds] for loss in losses
    }
    on_validation, on_test = (
        {name: np.stack([one[part] for one in several]) for name, several in scores.items()}
        for part in ("validation", "test")
    )
    signal, background = samples.counts(case.signal, case.yields)
    return compare_significance(
        on_test,
        _labels(test),
        test.weight,
        validation=(on_validation, _labels(validation), validation.weight),
        signal_events=signal,
        background_events=background,
        systematic=case.systematic,
        minimum_background=LEAST_BACKGROUND,
        bootstrap=_BOOTSTRAP,
    )


def scores_of(training: Training, folder: Path) -> dict[str, Any]:
    """Return the scores of a training, ``{"validation": (events,), "test": (events,)}``."""
    with np.load(folder / f"{training.name}.npz") as stored:
        return {name: stored[name] for name in stored.files}


def _labels(data: Any) -> Any:
    return data.target[:, 0] > 0.5


def _cut(seed: int, cut: ChosenCut, score: Any, case: Case, samples: Samples) -> Cut:
    applied = cut.applied
    assert applied is not None
    test = parts(samples.folder, case.signal, case.share)[2]
    signal, background = samples.counts(case.signal, case.yields)
    half = yields_above(
        0.5, score, _labels(test), test.weight, signal_events=signal, background_events=background,
        systematic=case.systematic,
    )  # fmt: skip
    return Cut(
        seed=seed,
        threshold=cut.threshold,
        chosen_on=cut.chosen_on,
        signal=applied.signal.value,
        signal_error=applied.signal.error,
        background=applied.background.value,
        background_error=applied.background.error,
        effective_background=applied.effective_background,
        asimov=float(asimov_significance(applied.signal.value, applied.background.value, applied.systematic)),
        optimism=cut.optimism,
        tied=float(np.mean(score == score.max())),
        at_half=half.asimov.value,
    )
