"""The numbers on a report's page: tiles, tables and lists of facts, as text."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from hepml_root.evaluation.estimate import Estimate

if TYPE_CHECKING:
    from hepml_root.evaluation.report import Report


@dataclasses.dataclass(frozen=True)
class Table:
    """A table of text; the first column is aligned to the left, and the first two if ``two_texts``."""

    title: str
    head: list[str]
    rows: list[list[str]]
    note: str = ""
    two_texts: bool = False


def _thousands(number: float) -> str:
    return f"{number:,.0f}".replace(",", "\u202f")


def key_numbers(report: Report) -> list[tuple[str, str, str]]:
    """Return the numbers shown first: (name, value with error, remark)."""
    tiles = []
    if report.auc is not None:
        mean = "mean of one against rest, " if report.task == "multiclass" else ""
        tiles.append(("AUC, test", str(report.auc), f"{mean}physics weights"))
    if report.auc_train is not None:
        tiles.append(("AUC, training", str(report.auc_train), "seen by the training"))
    for name, difference in report.auc_differences.items():
        tiles.append((f"AUC minus {name}", _signed(difference), "on the same events"))
    if report.task == "binary":
        point = min(
            next(iter(report.roc.values())).working_points,
            key=lambda p: abs(p.signal_efficiency - 0.5),
            default=None,
        )
        if point is not None:
            tiles.append(
                ("Rejection 1/ε_b", str(point.background_rejection), f"at ε_s = {point.signal_efficiency:g}")
            )
    if report.best_cut is not None and report.best_cut.applied is not None:
        cut = report.best_cut
        remark = f"cut at {cut.threshold:.3g}, {100 * cut.chosen.systematic:.3g} % syst."
        tiles.append(("Z_A of the best cut", str(report.best_cut.applied.asimov), remark))
    elif report.significance is not None and report.significance.best_asimov is not None:
        best = report.significance.best_asimov
        tiles.append(
            (
                "Best Z_A",
                str(best.significance),
                f"cut at {best.threshold.value:.3g}, {100 * report.significance.systematic:.3g} % syst.",
            )
        )
    if report.binned is not None:
        tiles.append(
            (
                "Z of the binned score",
                str(report.binned.correlated),
                f"{len(report.binned.signal)} bins, common syst.",
            )
        )
    if report.confusion is not None:
        tiles.append(("Mean accuracy", str(report.confusion.accuracy), "each class counts the same"))
    for study in report.residuals:
        tiles.append(
            (f"Resolution, {study.target}", study.resolution.format(study.unit), "68.3 % half-width")
        )
        tiles.append((f"Bias, {study.target}", study.bias.format(study.unit), "mean residual"))
    if len(report.calibration) == 1:
        curve = next(iter(report.calibration.values()))
        tiles.append(
            (
                "Calibration error",
                str(curve.ece),
                f"{curve.ece_if_calibrated.value:.2g} expected from fluctuations",
            )
        )
    return tiles


def _signed(estimate: Estimate) -> str:
    text = str(estimate)
    return text if text.startswith("−") else f"+{text}"


def model_facts(report: Report) -> list[tuple[str, str]]:
    """Return the rows of the table about the model: (name, value)."""
    facts = [("kind", str(report.model["kind"]))]
    if report.model["parameters"] is not None:
        facts.append(("trainable parameters", _thousands(report.model["parameters"])))
    if report.events_per_second is not None:
        speed = _thousands(float(f"{report.events_per_second:.2g}"))
        facts.append(("speed of prediction", f"{speed} events/s on this machine"))
    for key, value in (report.model["manifest"].get("training") or {}).items():
        if isinstance(value, (str, int, float)):
            shown = f"{value:.5g}" if isinstance(value, float) else str(value)
            facts.append((key.replace("_", " "), shown))
    return facts


def provenance_facts(report: Report) -> list[tuple[str, str]]:
    """Return the rows of the table about data, settings and software: (name, value)."""
    facts = []
    for key, value in report.provenance.items():
        if key != "files" and value:
            facts.append((key.replace("_", " "), _flat(value)))
    facts.append(
        ("settings", _flat({key: value for key, value in report.settings.items() if value is not None}))
    )
    facts.append(("software", ", ".join(f"{name} {version}" for name, version in report.software.items())))
    facts.append(("evaluation", f"{report.created}, {report.seconds:.1f} s"))
    return facts


def _flat(value: Any) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{key}: {_flat(item)}" for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(_flat(item) for item in value)
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def tables(report: Report) -> dict[str, list[Table]]:
    """Return the page's tables by section."""
    made = {
        "performance": [_residuals(report) if report.residuals else _working_points(report)],
        "scores": [_ks_tests(report)],
        "significance": [_chosen_cut(report), _best_cuts(report), _bins(report)],
    }
    filled = {section: [table for table in several if table.rows] for section, several in made.items()}
    return {section: several for section, several in filled.items() if several}


def _working_points(report: Report) -> Table:
    head, rows = ["ε_s", "cut", "ε_b", "1/ε_b"], []
    if report.task == "multiclass":
        head = ["class", *head]
    else:
        head += [f"1/ε_b of {name}" for name in report.compared]
    for name, roc in report.roc.items():
        for position, point in enumerate(roc.working_points):
            row = [
                f"{point.signal_efficiency:g}",
                f"{point.threshold:.4g}",
                str(point.background_efficiency),
                str(point.background_rejection),
            ]
            if report.task == "multiclass":
                row = [name, *row]
            else:
                others = (other.working_points[position] for other in report.compared.values())
                row += [str(other.background_rejection) for other in others]
            rows.append(row)
    note = (
        "Signal efficiency, smallest score that passes, background efficiency and its inverse; test events."
    )
    return Table("Working points", head, rows, note)


def _ks_tests(report: Report) -> Table:
    rows = []
    for scores in report.scores:
        for name, ks in scores.ks.items():
            sizes = [_thousands(number) for number in ks.effective_events]
            rows.append([scores.score, name, f"{ks.distance:.4f}", f"{ks.p_value:.3g}", *sizes])
    head = ["score", "class", "distance", "p-value", "effective training events", "effective test events"]
    return Table("Kolmogorov–Smirnov tests, training against test", head, rows, two_texts=True)


def _best_cuts(report: Report) -> Table:
    rows, scan = [], report.significance
    if scan is not None:
        for name, best in (("s/√(s+b)", scan.best_simple), ("Z_A", scan.best_asimov)):
            if best is not None:
                estimates = best.significance, best.threshold, best.signal, best.background
                rows.append([name, *map(str, estimates), _thousands(best.effective_background)])
    note = (
        "The error of the cut is the spread of the optimum over the bootstrap replicas; the others are at "
        "the fixed cut."
    )
    head = ["measure", "significance", "cut", "s", "b", "effective background events"]
    return Table("Best cuts on the test events themselves (optimistic)", head, rows, note)


def _chosen_cut(report: Report) -> Table:
    rows, cut = [], report.best_cut
    note = ""
    if cut is not None:
        for where, found in ((cut.chosen_on, cut.chosen), (cut.applied_on, cut.applied)):
            if found is not None:
                estimates = found.asimov, found.simple, found.signal, found.background
                rows.append([where, *map(str, estimates), _thousands(found.effective_background)])
        note = (
            f"The cut score ≥ {cut.threshold:.6g} has the largest Z_A on {cut.chosen_on} (where the largest "
            f"of many is optimistic: {cut.optimism:+.2g}); what counts is the other row. Errors are "
            "statistical. report.json keeps it as a working point for the model file."
        )
    head = ["events", "Z_A", "s/√(s+b)", "s", "b", "effective background events"]
    return Table("Best cut, chosen on other events", head, rows, note)


def _bins(report: Report) -> Table:
    rows, binned = [], report.binned
    note = ""
    if binned is not None:
        last = len(binned.signal) - 1
        for index, z in enumerate(binned.asimov):
            low, high = binned.edges[index], binned.edges[index + 1]
            name = f"{'≥ ' if index == last else ''}{low:.4g}" + ("" if index == last else f" … {high:.4g}")
            pairs = (
                (binned.signal[index], binned.signal_error[index]),
                (binned.background[index], binned.background_error[index]),
            )
            yields = [str(Estimate(value, value - error, value + error)) for value, error in pairs]
            rows.append([name if index else f"< {high:.4g}", *yields,
                         _thousands(binned.effective_background[index]), f"{z:.3g}"])  # fmt: skip
        note = (
            f"All bins: {binned.quadrature} with independent uncertainties, {binned.correlated} with one "
            f"common scale, {binned.with_statistics:.3g} with that and each bin's statistical uncertainty."
        )
        if report.limit is not None:
            note += f" Signal strength: {report.limit}."
    head = ["bin of the score", "s", "b", "effective background events", "Z_A"]
    return Table("Bins of the score, chosen on other events", head, rows, note)


def _residuals(report: Report) -> Table:
    head = ["target", "bias", "resolution", "RMS", "explained variance", "beyond 3 σ", "pull mean"]
    rows = []
    for study in report.residuals:
        lengths = [item.format(study.unit) for item in (study.bias, study.resolution, study.rms)]
        tail = f"{100 * study.tail_fraction.value:.2f} %"
        rows.append([study.target, *lengths, str(study.explained), tail, str(study.pull_mean)])
    return Table("Residuals", head, rows)
