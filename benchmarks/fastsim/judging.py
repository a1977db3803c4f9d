"""Showers of a generator against those of the source: the project's own comparison, and what is kept."""

from __future__ import annotations

from typing import Any

from benchmarks.fastsim.sample import HELD_OUT, Parts
from hepml_root.data.showers import Showers
from hepml_root.evaluation.estimate import to_json
from hepml_root.evaluation.response import ResponseStudy
from hepml_root.evaluation.two_sample import compare_showers

LOW, HIGH, TREES = "low level, network", "high level, network", "high level, boosted"
#: Quantities whose histograms are drawn.
DRAWN = ("response", "energy_layer_0", "hits", "cells")
_SETTINGS: dict[str, Any] = {"threads": 1}
_FAST: dict[str, Any] = {"threads": 1, "epochs": 2, "hidden": (8,), "trees": 20, "bootstrap": 10}


def judge(data: Parts, made: Showers, fast: bool = False) -> dict[str, Any]:
    """Compare showers with the test showers of the source, and return the figures of a row, JSON-able."""
    report = compare_showers(
        data.test, made, held_out=[HELD_OUT], classifiers=[LOW, TREES] if fast else [LOW, HIGH, TREES],
        classifier_settings=_FAST if fast else _SETTINGS, bootstrap=5 if fast else 20,
    )  # fmt: skip
    assert report.response is not None
    found = {item.name: item for item in report.observables}
    summary = report.summary()
    return to_json(
        {
            "showers": len(made),
            "auc": {
                name: {"value": test.auc.value, "error": test.auc.error}
                for name, test in report.classifiers.items()
            },
            "classifier": {
                name: {"training": test.training, "test": test.test}
                for name, test in report.classifiers.items()
            },
            "wasserstein": summary["mean_wasserstein"],
            "wasserstein_floor": summary["mean_wasserstein_floor"],
            "quantities": {item.name: item.relative.estimate.value for item in report.observables},
            "frechet": None if report.frechet is None else report.frechet.estimate.value,
            "coverage": report.coverage.coverage.value,
            "worst": _worst(report.response),
            "response": report.response.to_dict(),
            "histograms": {
                name: {
                    "title": item.title, "unit": item.unit, "logarithmic": item.logarithmic,
                    "first": item.first, "second": item.second,
                }
                for name, item in found.items() if name in DRAWN
            },
            "notes": report.notes,
            "seconds": report.seconds,
        }
    )  # fmt: skip


def _worst(study: ResponseStudy) -> dict[str, Any]:
    """Return the largest deviations of response and resolution, with errors: of trained energies and of those
    left out."""
    kinds = {"trained": False, "held_out": True}
    return {
        name: dict(zip(("response", "resolution"), study.worst(which), strict=True))
        for name, which in kinds.items()
    }
