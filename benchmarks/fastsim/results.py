"""What is kept in the folder of the study, as rows of numbers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.fastsim.entries import GENERATORS, REFERENCES
from benchmarks.fastsim.judging import HIGH, LOW, TREES
from benchmarks.fastsim.rates import GEANT4_RATE
from benchmarks.fastsim.training import Study


@dataclass(frozen=True)
class Row:
    """One row: what was found by the comparison, by the training, and by the stopwatch.

    Attributes
    ----------
    judged
        What :func:`benchmarks.fastsim.judging.judge` found.
    trained, rates
        None of the references; ``rates`` also where they have not been measured.
    """

    name: str
    title: str
    judged: dict[str, Any]
    trained: dict[str, Any] | None = None
    rates: dict[str, Any] | None = None

    @property
    def is_generator(self) -> bool:
        return self.name in GENERATORS

    def auc(self, classifier: str) -> tuple[float, float] | None:
        """Return value and error, or None where this classifier could not run."""
        found = self.judged["auc"].get(classifier)
        return None if found is None else (found["value"], found["error"])

    @property
    def high_level(self) -> float:
        """The largest AUC of the high-level classifiers."""
        return max(found[0] for name in (HIGH, TREES) if (found := self.auc(name)) is not None)

    def worst(self, what: str, which: str = "trained") -> tuple[float, float] | None:
        """Return the largest deviation of "response" or "resolution" with its error, of energies that were
        "trained" or "held_out"; None where there is no such energy."""
        value, error = self.judged["worst"][which][what]
        return None if value is None else (value, error)

    @property
    def farthest(self) -> dict[str, float]:
        """The largest absolute deviations of response and resolution, over all energies."""
        found = {}
        for what in ("response", "resolution"):
            pairs = [self.worst(what, which) for which in ("trained", "held_out")]
            found[what] = max(abs(pair[0]) for pair in pairs if pair is not None)
        return found

    def lines(self) -> Iterator[dict[str, Any]]:
        """Give the figures as the benchmarks print them."""
        for name in (LOW, HIGH, TREES):
            if (found := self.auc(name)) is not None:
                yield _line(f"fastsim, {self.name}: AUC, {name}", found[0], "", "0.5", found[0] / 0.5)
        for what, value in self.farthest.items():
            yield _line(f"fastsim, {self.name}: largest deviation of the {what}", value, "", "0", None)
        value, floor = self.judged["wasserstein"], self.judged["wasserstein_floor"]
        reference = f"two samples of the source: {floor:.3g}"
        yield _line(f"fastsim, {self.name}: mean Wasserstein distance", value, "σ", reference, value / floor)
        if self.trained is not None:
            yield _line(f"fastsim, {self.name}: training", self.trained["seconds"], "s", None, None)
        if self.rates is not None:
            source = self.rates["source"]
            for engine in ("keras", "onnxruntime", "cpp"):
                rate = self.rates[engine]
                reference = f"the source, in turns: {source:.4g}"
                yield _line(
                    f"fastsim, {self.name}: {engine}", rate, "showers/s a core", reference, rate / source
                )
            reference = f"Geant4 at 50 GeV: {GEANT4_RATE:g}"
            rate = self.rates["cpp"]
            yield _line(
                f"fastsim, {self.name}: cpp, and Geant4", rate, "showers/s a core", reference,
                rate / GEANT4_RATE,
            )  # fmt: skip


@dataclass(frozen=True)
class Results:
    """All rows that are there, those of generators first; of how many generators that were asked for."""

    study: Study
    rows: list[Row]
    kept: dict[str, Any]
    wanted: int

    @property
    def generators(self) -> list[Row]:
        return [row for row in self.rows if row.is_generator]


def read(names: Sequence[str], study: Study) -> Results:
    """Return what is finished of some rows."""

    def record(name: str, ending: str) -> dict[str, Any] | None:
        path = study.file(name, ending)
        return json.loads(path.read_text()) if path.exists() else None

    found = []
    for name in names:
        judged = record(name, "_judged.json")
        if judged is None or not study.has(name):
            continue
        title = REFERENCES.get(name) or GENERATORS[name].title
        found.append(Row(name, title, judged, record(name, ".json"), record(name, "_rates.json")))
    found.sort(key=lambda row: not row.is_generator)  # stable
    kept = json.loads((study.folder / "study.json").read_text())
    return Results(study, found, kept, sum(name in GENERATORS and GENERATORS[name].sampled for name in names))


def _line(name: str, value: float, unit: str, reference: str | None, ratio: float | None) -> dict[str, Any]:
    rounded = None if ratio is None else float(f"{ratio:.3g}")
    return {
        "name": name, "value": float(f"{value:.4g}"), "unit": unit, "reference": reference, "ratio": rounded
    }  # fmt: skip
