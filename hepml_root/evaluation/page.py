"""The report's page: one HTML file with everything inside."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hepml_root.evaluation.estimate import Estimate

if TYPE_CHECKING:
    from hepml_root.evaluation.pictures import Picture
    from hepml_root.evaluation.report import Report

_SECTIONS = {
    "performance": "Performance",
    "scores": "Scores on test and training events",
    "calibration": "Calibration",
    "significance": "Significance",
    "inputs": "Inputs",
    "training": "Training",
}


def write_page(
    report: Report, pictures: list[Picture], sources: dict[str, str], path: Path, *, root_file: bool = True
) -> None:
    """Write the page; ``sources`` holds each picture as a data URI, by name."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["symbols"] = _symbols
    shown: dict[str, list[dict[str, Any]]] = {}
    for number, picture in enumerate(pictures, start=1):
        entry = {
            "number": number,
            "picture": picture,
            "source": sources[picture.name],
        }
        shown.setdefault(picture.section, []).append(entry)
    page = environment.get_template("report.html").render(
        report=report,
        sections=[(key, title, shown[key]) for key, title in _SECTIONS.items() if key in shown],
        tiles=key_numbers(report),
        tables=tables(report),
        level=f"{100 * report.settings['level']:.1f} %",
        root_file=root_file,
        model_facts=model_facts(report),
        provenance_facts=provenance_facts(report),
        files=[
            {key: str(file.get(key, "")) for key in ("path", "size", "hash")}
            for file in report.provenance.get("files", [])
        ],
    )
    path.write_text(page, encoding="utf-8")


def _symbols(text: str) -> Any:
    """Return text as HTML, with the indices of ε_s, ε_b and Z_A set below the line."""
    from markupsafe import Markup, escape

    return Markup(re.sub(r"(ε|Z)_([sbA])\b", r"\1<sub>\2</sub>", str(escape(text))))


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
    if report.significance is not None and report.significance.best_asimov is not None:
        best = report.significance.best_asimov
        tiles.append(
            (
                "Best Z_A",
                str(best.significance),
                f"cut at {best.threshold.value:.3g}, {100 * report.significance.systematic:.3g} % syst.",
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


def tables(report: Report) -> dict[str, dict[str, Any]]:
    """Return the page's tables: {section: {"title", "head", "rows", "texts", "note"}}.

    The first column is text, and the second one as well if ``texts``.
    """
    found: dict[str, dict[str, Any]] = {}
    rows = []
    for name, roc in report.roc.items():
        for point in roc.working_points:
            rows.append(
                [
                    *([name] if report.task == "multiclass" else []),
                    f"{point.signal_efficiency:g}",
                    f"{point.threshold:.4g}",
                    str(point.background_efficiency),
                    str(point.background_rejection),
                    *(
                        str(other.background_rejection)
                        for roc_other in report.compared.values()
                        if report.task == "binary"
                        for other in roc_other.working_points
                        if other.signal_efficiency == point.signal_efficiency
                    ),
                ]
            )
    if rows:
        head = ["ε_s", "cut", "ε_b", "1/ε_b"]
        if report.task == "multiclass":
            head = ["class", *head]
        else:
            head += [f"1/ε_b of {name}" for name in report.compared]
        found["performance"] = {
            "title": "Working points",
            "head": head,
            "rows": rows,
            "note": (
                "Signal efficiency, smallest score that passes, background efficiency and its inverse, on "
                "the test events."
            ),
        }
    ks_rows = [
        [
            scores.score,
            name,
            f"{ks.distance:.4f}",
            f"{ks.p_value:.3g}",
            *(_thousands(n) for n in ks.effective_events),
        ]
        for scores in report.scores
        for name, ks in scores.ks.items()
    ]
    if ks_rows:
        found["scores"] = {
            "title": "Kolmogorov–Smirnov tests, training against test",
            "head": [
                "score",
                "class",
                "distance",
                "p-value",
                "effective training events",
                "effective test events",
            ],
            "rows": ks_rows,
            "texts": True,
            "note": "",
        }
    if report.significance is not None:
        rows = []
        for name, best in (
            ("s/√(s+b)", report.significance.best_simple),
            ("Z_A", report.significance.best_asimov),
        ):
            if best is not None:
                rows.append(
                    [
                        name,
                        str(best.significance),
                        str(best.threshold),
                        str(best.signal),
                        str(best.background),
                        _thousands(best.effective_background),
                    ]
                )
        found["significance"] = {
            "title": "Best cuts",
            "head": ["measure", "significance", "cut", "s", "b", "effective background events"],
            "rows": rows,
            "note": "The error of the cut is the spread of the optimum over the bootstrap replicas; the "
            "others are at the fixed cut.",
        }
    if report.residuals:
        found["performance"] = {
            "title": "Residuals",
            "head": [
                "target",
                "bias",
                "resolution",
                "RMS",
                "explained variance",
                "beyond 3 resolutions",
                "pull mean",
                "pull width",
            ],
            "rows": [
                [
                    s.target,
                    s.bias.format(s.unit),
                    s.resolution.format(s.unit),
                    s.rms.format(s.unit),
                    str(s.explained),
                    f"{100 * s.tail_fraction.value:.2f} %",
                    str(s.pull_mean),
                    str(s.pull_width),
                ]
                for s in report.residuals
            ],
            "note": "",
        }
    return found
