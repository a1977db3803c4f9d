"""The page of a comparison of showers: its pictures, tiles and tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hepml_root.evaluation import plot_showers
from hepml_root.evaluation.estimate import Estimate
from hepml_root.evaluation.observable_comparison import ComparedObservable
from hepml_root.evaluation.page import render
from hepml_root.evaluation.page_tables import Table
from hepml_root.evaluation.pictures import Picture, file_name
from hepml_root.evaluation.plot_style import pages

if TYPE_CHECKING:
    from hepml_root.evaluation.shower_report import TwoSampleReport

_SECTIONS = {
    "overview": "Overview",
    "energy": "Energy and profiles",
    "cells": "Cells",
    "shape": "Centre and width",
    "layers": "Layer by layer",
    "correlations": "Correlations",
    "response": "Response and resolution",
    "classifiers": "Classifiers",
    "memorising": "Memorising and coverage",
}
_A_PICTURE = 9
# Layers that are drawn of each quantity, at most; the table has them all.
_LAYERS = 9


def shower_pictures(report: TwoSampleReport) -> list[Picture]:
    """Return the pictures of a comparison, in the order of its page."""
    found: list[Picture] = []
    names = report.names

    def add(name: str, section: str, title: str, caption: str, figure: object, wide: bool = False) -> None:
        found.append(Picture(name, section, title, caption, figure, wide))  # type: ignore[arg-type]

    add(
        "distances", "overview", "Distances of all quantities",
        "Wasserstein distance of each quantity in standard deviations of the source, with the bootstrap "
        "error; the "
        "bars are what 95 % of pairs of samples of the source stay below. The forty largest are shown.",
        plot_showers.plot_distances(report.observables),
    )  # fmt: skip
    if report.mean_cells is not None:
        add(
            "mean_images", "overview", "Mean images",
            "Mean energy of the cells, rows and columns of a layer as they are stored.",
            plot_showers.plot_mean_images(report.mean_cells, report.shapes, names=names), True,
        )  # fmt: skip
    caption = (
        "Unit area; spectra and profiles are means per shower. S is the separation power, W₁/σ the "
        "Wasserstein "
        "distance in standard deviations of the source, with what two samples of the source give."
    )
    for section, groups in (("energy", ("energy", "profiles")), ("cells", ("cells",)), ("shape", ("shape",))):
        items = [item for item in report.observables if item.group in groups]
        shown = list(pages(items, _A_PICTURE))
        for number, part in enumerate(shown):
            more = f" ({number + 1} of {len(shown)})" if len(shown) > 1 else ""
            figure = plot_showers.plot_observables(part, names=names)
            add(f"{section}_{number + 1}", section, f"{_SECTIONS[section]}{more}", caption, figure, True)
    layered = [item.group for item in report.observables if item.group.endswith("per layer")]
    for group in dict.fromkeys(layered):
        items = [item for item in report.observables if item.group == group]
        chosen = np.unique(np.linspace(0, len(items) - 1, min(_LAYERS, len(items))).round().astype(int))
        figure = plot_showers.plot_observables([items[k] for k in chosen], names=names)
        add(file_name(group), "layers", group.capitalize(), caption, figure, True)
    add(
        "correlations", "correlations", "Correlations of all pairs",
        "Linear correlation coefficients in percent, with weights; right: generated minus source.",
        plot_showers.plot_correlations(report.correlations, names=names), True,
    )  # fmt: skip
    if report.response is not None:
        add(
            "response", "response", "Response and resolution against energy",
            "Mean and relative standard deviation of the energy in the calorimeter over that of the "
            "particle, with "
            "bootstrap errors. Lines: a/√E ⊕ b/E ⊕ c. Bands: 1 % for the response, 5 % for the resolution.",
            plot_showers.plot_response(report.response, names=names), True,
        )  # fmt: skip
    if report.classifiers:
        add(
            "classifiers", "classifiers", "ROC curves of the classifiers",
            "On showers that neither trained nor chose the classifier.",
            plot_showers.plot_classifiers(report.classifiers),
        )  # fmt: skip
    if report.frechet is not None:
        add(
            "frechet", "classifiers", "Fréchet physics distance",
            "At finite sample sizes, and extrapolated to infinite ones (squares, with the jackknife error).",
            plot_showers.plot_frechet(report.frechet, report.frechet_floor),
        )  # fmt: skip
    if report.copying:
        add(
            "neighbours", "memorising", "Nearest training showers",
            "Distances of source showers that were not in the training, and of generated ones, to the "
            "nearest "
            "training shower: the same distribution for a generator that makes new showers.",
            plot_showers.plot_neighbours(report.copying), True,
        )  # fmt: skip
    return found


def write_shower_page(
    report: TwoSampleReport,
    pictures: list[Picture],
    sources: dict[str, str],
    path: Path,
    formats: Sequence[str] = (),
) -> None:
    """Write the page; ``sources`` holds each picture as a data URI, by name."""
    sections = dict(_SECTIONS)
    facts = [
        (
            "settings",
            "; ".join(f"{key}: {value}" for key, value in report.settings.items() if key != "features"),
        ),
        ("features of distances and high-level classifiers", ", ".join(report.settings["features"])),
        *(
            (f"showers, {name}", str(sample["provenance"] or "unknown"))
            for name, sample in report.samples.items()
        ),
        ("software", ", ".join(f"{name} {version}" for name, version in report.software.items())),
        ("comparison", f"{report.created}, {report.seconds:.0f} s"),
    ]
    first = next(iter(report.samples.values()))
    render(
        "showers.html", path, sections, pictures, sources, _tables(report),
        report=report, tiles=_tiles(report), facts=facts, formats=list(formats),
        conditions=list(first["conditions"]),
    )  # fmt: skip


def _tiles(report: TwoSampleReport) -> list[tuple[str, str, str]]:
    """Return the numbers shown first: (name, value with error, remark)."""
    summary = report.summary()
    tiles = [
        (f"AUC, {name}", str(test.auc), "0.5: cannot be told apart")
        for name, test in report.classifiers.items()
    ]
    for title, value, floor in (
        ("Fréchet physics distance", report.frechet and report.frechet.estimate,
         report.frechet_floor and report.frechet_floor.estimate),
        ("Kernel physics distance", report.kernel, report.kernel_floor),
    ):  # fmt: skip
        if value is not None:
            tiles.append((title, str(value), f"same source {floor}"))
    floor_known = bool(np.isfinite(summary["mean_wasserstein_floor"]))
    tiles.append((
        "Mean Wasserstein distance", f"{summary['mean_wasserstein']:.3g} σ",
        f"same source {summary['mean_wasserstein_floor']:.2g} σ" if floor_known else "same source unknown",
    ))  # fmt: skip
    if floor_known:
        above = f"{100 * summary['above_floor']:.0f} %"
        tiles.append(("Quantities above the floor", above, "5 % for a perfect generator"))
    if report.response is not None:
        for title, (deviation, error) in zip(
            ("Response", "Resolution"), report.response.worst(), strict=True
        ):
            tiles.append((f"{title}, largest deviation", _percent(deviation, error), "of all energies"))
    coverage = report.coverage
    tiles.append(("Coverage", str(coverage.coverage), f"same source {coverage.expected_coverage:.3g}"))
    for space, test in report.copying.items():
        verdict = "memorised" if test.memorised else "no sign of memorising"
        tiles.append(
            (f"Nearer to the training, {space}", str(test.nearer), f"0.5 for new showers: {verdict}")
        )
    return tiles


def _percent(value: float, error: float) -> str:
    return str(Estimate(100 * value, 100 * (value - error), 100 * (value + error))) + " %"


def _tables(report: TwoSampleReport) -> dict[str, list[Table]]:
    """Return the page's tables by section."""
    found = {
        "overview": [_distances(report.observables)],
        "correlations": [_correlations(report)],
        "response": [_responses(report)],
        "classifiers": [_classifiers(report)],
        "memorising": [_coverage(report), _copying(report)],
    }
    return {section: [table for table in several if table.rows] for section, several in found.items()}


def _distances(items: Sequence[ComparedObservable]) -> Table:
    rows = []
    for item in sorted(items, key=lambda one: -one.relative.estimate.value):
        known = np.isfinite(item.wasserstein.floor_high)  # without replicas there is no floor
        verdict = "above" if known and not item.wasserstein.at_the_floor else ""
        rows.append([
            item.name.replace("_", " "), str(item.separation), f"{item.separation.floor:.2g}",
            item.wasserstein.estimate.format(item.unit), f"{item.wasserstein.floor:.2g}", str(item.relative),
            verdict,
        ])  # fmt: skip
    head = [
        "quantity",
        "separation",
        "same source",
        "Wasserstein",
        "same source",
        "over σ",
        "95 % of the same source",
    ]
    note = "Largest distance first. A separation power of 0 means equal histograms, of 1 no overlap."
    return Table("Distances of all quantities", head, rows, note)


def _correlations(report: TwoSampleReport) -> Table:
    compared = report.correlations
    first, second, difference = compared.largest
    rows = [[
        str(compared.distance), f"{compared.distance.floor:.2g}",
        f"{first.replace('_', ' ')}, {second.replace('_', ' ')}", f"{difference:+.3f}",
    ]]  # fmt: skip
    head = ["rms difference", "same source", "largest for", "difference"]
    return Table(
        "Differences of correlations", head, rows, "Over all pairs of the quantities that are drawn."
    )


def _responses(report: TwoSampleReport) -> Table:
    study = report.response
    rows = []
    if study is not None:
        for k, (low, high) in enumerate(study.edges):
            energies = f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"
            rows.append([
                energies + (" (not in the training)" if study.held_out[k] else ""),
                _pair(study.response[0, k], study.response_error[0, k]),
                _pair(study.response_ratio[k], study.response_ratio_error[k]),
                _pair(study.resolution[0, k], study.resolution_error[0, k]),
                _pair(study.resolution_ratio[k], study.resolution_ratio_error[k]),
            ])  # fmt: skip
    head = ["energy [GeV]", "response, source", "ratio", "resolution, source", "ratio"]
    return Table("Response and resolution", head, rows, "Ratios are generated over source.")


def _pair(value: float, error: float) -> str:
    return str(Estimate(float(value), float(value - error), float(value + error)))


def _classifiers(report: TwoSampleReport) -> Table:
    rows = [
        [name, str(test.auc), str(test.features), str(test.training), str(test.test)]
        for name, test in report.classifiers.items()
    ]
    head = ["classifier", "AUC", "inputs", "training showers", "test showers"]
    note = (
        "AUCs are comparable for the same classifier and numbers of showers only: more training finds more."
    )
    return Table("Classifier two-sample tests", head, rows, note)


def _coverage(report: TwoSampleReport) -> Table:
    found = report.coverage
    verdict = "collapsed" if found.collapsed else "complete"
    rows = [[
        str(found.coverage), f"{found.expected_coverage:.4g}", str(found.density), str(found.self_nearer),
        verdict
    ]]  # fmt: skip
    head = ["coverage", "same source", "density (1)", "nearer to each other (0.5)", "verdict"]
    note = (
        f"Fraction of source showers with a generated one nearer than their neighbour number "
        f"{found.neighbours}; in "
        "brackets what the same source gives."
    )
    return Table("Coverage of the source", head, rows, note)


def _copying(report: TwoSampleReport) -> Table:
    rows = [
        [
            space,
            str(test.nearer),
            str(test.close),
            f"{test.copies:.4g}",
            f"{test.expected_copies:.4g}",
            "memorised" if test.memorised else "new",
        ]
        for space, test in report.copying.items()
    ]
    head = ["space", "nearer to the training (0.5)", "very near (0.01)", "copies", "same source", "verdict"]
    note = "In brackets what new showers of the source give. Cells are over the particle's energy."
    return Table("Tests against memorising", head, rows, note)
