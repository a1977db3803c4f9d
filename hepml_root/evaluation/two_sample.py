"""A sample of generated showers against one of the source: every comparison of the field in one object."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hepml_root.data.geometry import require_same_scale, same_cells
from hepml_root.errors import MissingDependencyError, SettingError, ShapeError, StatisticsWarning, unknown
from hepml_root.evaluation.arrays import Floats
from hepml_root.evaluation.classifier_test import classifier_test
from hepml_root.evaluation.correlation_comparison import compare_correlations
from hepml_root.evaluation.distances import effective, positive_weights
from hepml_root.evaluation.frechet import frechet_physics_distance, kernel_physics_distance
from hepml_root.evaluation.memorising import copying_test, coverage_test, some_rows
from hepml_root.evaluation.model_card import now, software
from hepml_root.evaluation.observable_comparison import Observable, compare_observables
from hepml_root.evaluation.response import study_response
from hepml_root.evaluation.shower_observables import feature_table, shower_observables
from hepml_root.evaluation.shower_report import TwoSampleReport

if TYPE_CHECKING:
    from hepml_root.data.showers import Showers

#: Classifiers by name: which inputs they get, and which kind they are.
CLASSIFIERS: dict[str, tuple[str, str]] = {
    "low level, network": ("low", "network"),
    "high level, network": ("high", "network"),
    "high level, boosted": ("high", "boosted"),
}
# Numbers in a table of cells that is made for a classifier or for neighbours: 400 MB.
_ELEMENTS = 50_000_000
# Cells are projected at random onto so many directions before neighbours are looked for.
_DIRECTIONS = 512
_FEATURES = 60
_CORRELATED = 24


def compare_showers(
    source: Showers,
    generated: Showers,
    *,
    train: Showers | None = None,
    again: Showers | None = None,
    source_weights: ArrayLike | None = None,
    generated_weights: ArrayLike | None = None,
    threshold: float | None = None,
    held_out: Sequence[tuple[float, float]] = (),
    classifiers: Sequence[str] | None = None,
    classifier_settings: Mapping[str, Any] | None = None,
    max_events: int = 20_000,
    bins: int = 40,
    bootstrap: int = 50,
    seed: int = 1,
    names: tuple[str, str] = ("source", "generated"),
) -> TwoSampleReport:
    """Compare generated showers with showers of the source in every way, and return the report.

    Both samples need the same distribution of the conditions: generate for the conditions of the source's
    showers. What two samples of the same source give is quoted beside each distance (see
    :func:`hepml_root.evaluation.observable_comparison.compare_observables`).

    Arguments
    ---------
    source
        Showers of the source that the generator was not trained on.
    generated
        Showers of the generator, in the same calorimeter.
    train
        The generator's training showers, all of them: for the tests against memorising.
    again
        A further sample of the source, independent of the first, if there is one: for the floor of the
        distances.
    source_weights, generated_weights
        Weights (showers,); 1 if None.
    threshold
        Cells below count as empty in the quantities [GeV]; that of the source's geometry if None.
    held_out
        Ranges (lowest, highest) of the particle's energy that the training did not see [GeV].
    classifiers
        Names of :data:`CLASSIFIERS`; all that can run if None.
    classifier_settings
        Arguments of :func:`hepml_root.evaluation.classifier_test.classifier_test`, such as its ``CHALLENGE``.
    max_events
        Showers of each sample for classifiers and neighbours, at most.
    bins, bootstrap, seed
        Bins of histograms, bootstrap replicas, and the seed of everything random.
    names
        Of the two samples, for the report.

    Raises
    ------
    ShapeError
        The samples have different calorimeters or conditions.
    SettingError
        A classifier is unknown, a setting out of range, or the samples' energies are on different scales.
    EmptySelectionError
        There are too few showers.
    WeightError
        Weights cannot be used.
    MissingDependencyError
        LightGBM was asked for and is not installed.

    Reference: arXiv:2410.21611 and the references of the parts.

    Example
    -------
    >>> from hepml_root.data.showers import Showers
    >>> generator = np.random.default_rng(1)
    >>> def toy(scale):
    ...     energy = generator.uniform(10, 100, 400)
    ...     return Showers(energy[:, None] * generator.dirichlet(np.ones(504), 400) * scale, energy, "lar-3")
    >>> report = compare_showers(toy(1.0), toy(0.9), classifiers=(), bootstrap=10)
    >>> round(report.summary()["response_deviation"], 2)
    -0.1
    """
    started = time.perf_counter()
    _check_same(source, generated, train, again)
    chosen = _chosen(classifiers)
    if threshold is None:  # one for all: the geometry of the others may be of the same cells with another
        threshold = source.geometry.threshold
    notes: list[str] = []
    w_source = positive_weights("the source", source_weights, len(source))
    w_generated = positive_weights("the generated showers", generated_weights, len(generated))
    first, second = (shower_observables(showers, threshold=threshold) for showers in (source, generated))
    first, second = _common(first, second, notes)
    conditions = [_conditions(showers) for showers in (source, generated)]
    further = None
    if again is not None:
        by_name = {item.name: item for item in shower_observables(again, threshold=threshold)}
        further = [by_name[item.name] for item in (*first,) if item.name in by_name]
        if len(further) != len(first):
            further = None
            notes.append(
                "The further sample of the source lacks a quantity; the floor is that of the bootstrap."
            )
    weighted: dict[str, Any] = {"first_weights": w_source, "second_weights": w_generated}
    common: dict[str, Any] = {"bootstrap": bootstrap, "seed": seed}
    compared = compare_observables(first, second, **weighted, again=further, bins=bins, **common)
    for item in compare_observables(conditions[0], conditions[1], **weighted, bins=bins, **common):
        # Half as much again as 95 % of pairs: fewer than one pair of good samples in a hundred.
        if bootstrap and item.wasserstein.estimate.value > 1.5 * item.wasserstein.floor_high:
            text = (
                f"The samples differ in the condition '{item.name}' (Wasserstein distance "
                f"{item.wasserstein}, "
                f"expected {item.wasserstein.floor:.2g}): generate for the conditions of the source's "
                f"showers, "
                "otherwise every comparison shows that difference."
            )
            notes.append(text)
            warnings.warn(text, StatisticsWarning, stacklevel=2)

    labels, one, two = _features((first, second), conditions, _FEATURES)
    few = [place for place, name in enumerate(labels) if "_layer_" not in name][:_CORRELATED]
    correlations = compare_correlations(
        one[:, few], two[:, few], [labels[k] for k in few], **weighted, **common
    )
    distances = _feature_distances(one, two, w_source, w_generated, seed, notes)
    scale = np.where(one.std(axis=0) > 0, one.std(axis=0), 1.0)
    coverage = coverage_test(
        one / scale, two / scale, source_weights=w_source, max_events=min(max_events, 5000), seed=seed
    )
    report = TwoSampleReport(
        names=names,
        geometry=source.geometry.to_dict(),
        samples={
            name: _described(showers, w)
            for name, showers, w in zip(names, (source, generated), (w_source, w_generated), strict=True)
        },
        settings={
            "threshold": threshold, "bins": bins,
            "bootstrap": bootstrap, "seed": seed, "max_events": max_events,
            "held_out": [list(pair) for pair in held_out], "floor": "bootstrap" if further is None else
            "second sample", "classifier": dict(classifier_settings or {}), "features": labels,
        },
        observables=compared,
        correlations=correlations,
        **distances,
        coverage=coverage,
        software=software(),
        created=now(),
        shapes=tuple(source.geometry.shapes),
        mean_cells=np.stack(
            [w @ showers.energies / w.sum() for showers, w in ((source, w_source), (generated, w_generated))]
        ),
    )  # fmt: skip
    for name in chosen:
        inputs, kind = CLASSIFIERS[name]
        tables: Sequence[Any] = (one, two)
        weights = w_source, w_generated
        if inputs == "low":
            rows = [_rows(showers, max_events, seed + k) for k, showers in enumerate((source, generated))]
            tables = [low_level(showers, at) for showers, at in zip((source, generated), rows, strict=True)]
            weights = w_source[rows[0]], w_generated[rows[1]]
        settings = {"max_events": max_events, "seed": seed, **(classifier_settings or {})}
        try:
            report.classifiers[name] = classifier_test(
                *tables, first_weights=weights[0], second_weights=weights[1], kind=kind, **settings
            )
        except MissingDependencyError:
            if classifiers is not None:
                raise
            notes.append(f"The classifier '{name}' was left out: LightGBM is not installed.")
    if "energy" in source.labels:
        report.response = study_response(
            (source.condition("energy"), first[0].values), (generated.condition("energy"), second[0].values),
            source_weights=w_source, generated_weights=w_generated, held_out=held_out,
            bootstrap=max(bootstrap, 20), seed=seed,
        )  # fmt: skip
    if train is not None:
        _study_copying(
            report, source, generated, train, threshold, (one, two), w_source, w_generated, max_events
        )
    report.notes = notes
    report.seconds = time.perf_counter() - started
    return report


def _check_same(source: Showers, *others: Showers | None) -> None:
    for other in others:
        if other is None:
            continue
        if not same_cells(source.geometry, other.geometry):
            raise ShapeError(
                f"the showers are in the calorimeters {source.geometry.name} ({source.geometry.cells} "
                f"cells) and "
                f"{other.geometry.name} ({other.geometry.cells} cells): only those of one can be compared."
            )
        require_same_scale(source.geometry, other.geometry)
        if tuple(source.labels) != tuple(other.labels):
            raise ShapeError(
                f"the showers have the conditions {', '.join(source.labels)} and {', '.join(other.labels)}: "
                "only those with the same conditions can be compared."
            )


def _chosen(classifiers: Sequence[str] | None) -> list[str]:
    chosen = list(CLASSIFIERS if classifiers is None else classifiers)
    for name in chosen:
        if name not in CLASSIFIERS:
            raise SettingError(unknown("classifier", name, CLASSIFIERS))
    return chosen


def _common(
    first: list[Observable], second: list[Observable], notes: list[str]
) -> tuple[list[Observable], list[Observable]]:
    """Return the quantities that both samples have: a layer that one never reaches has no centre there."""
    names = {item.name for item in first} & {item.name for item in second}
    lost = [item.name for item in (*first, *second) if item.name not in names]
    if lost:
        notes.append(f"Only one of the samples has {', '.join(lost)}; these quantities are left out.")
    return [item for item in first if item.name in names], [item for item in second if item.name in names]


def _conditions(showers: Showers) -> list[Observable]:
    return [
        Observable(label, np.asarray(showers.condition(label), dtype=np.float64)) for label in showers.labels
    ]


def _features(
    samples: tuple[list[Observable], list[Observable]], conditions: list[list[Observable]], most: int
) -> tuple[list[str], Floats, Floats]:
    """Return names and tables (showers, features) of quantities and conditions, the energy as logarithm."""
    tables = []
    labels: list[str] = []
    for items, given in zip(samples, conditions, strict=True):
        names, table = feature_table(items, most)
        columns = [np.log10(item.values) if item.name == "energy" else item.values for item in given]
        labels = names + [f"particle_{item.name}" for item in given]
        tables.append(np.column_stack([table, *columns]))
    return labels, tables[0], tables[1]


def _feature_distances(
    one: Floats, two: Floats, w_one: Floats, w_two: Floats, seed: int, notes: list[str]
) -> dict[str, Any]:
    """Return Fréchet and kernel distances with their floors, None where there are too few showers."""
    half = np.arange(len(one)) % 2 == 0
    found: dict[str, Any] = dict.fromkeys(("frechet", "frechet_floor", "kernel", "kernel_floor"))
    if min(half.sum(), len(two)) < 80:
        notes.append("There are too few showers for the Fréchet and the kernel distance.")
        return found
    if min(len(one), len(two)) < 20 * one.shape[1]:
        notes.append(
            f"The Fréchet distance of {one.shape[1]} features is extrapolated from few showers; give more "
            f"of them."
        )
    for name, distance in (("frechet", frechet_physics_distance), ("kernel", kernel_physics_distance)):
        found[name] = distance(one, two, w_one, w_two, seed=seed)
        found[f"{name}_floor"] = distance(one[half], one[~half], w_one[half], w_one[~half], seed=seed)
    return found


def low_level(showers: Showers, rows: NDArray[np.intp] | slice = slice(None)) -> NDArray[np.float32]:
    """Return the inputs (showers, cells + conditions) of a low-level classifier.

    Energies of the cells over that of the particle, and the conditions, the energy as its logarithm; as they
    are if the energy is no condition.
    """
    cells, conditions = showers.energies[rows], showers.conditions[rows].copy()
    if "energy" in showers.labels:
        at = list(showers.labels).index("energy")
        cells = cells / conditions[:, at : at + 1]
        conditions[:, at] = np.log10(conditions[:, at])
    return np.concatenate([cells, conditions], axis=1)


def _rows(showers: Showers, most: int, seed: int) -> NDArray[np.intp]:
    most = max(100, min(most, _ELEMENTS // showers.geometry.cells))
    return some_rows(len(showers), most, np.random.default_rng(seed))


def _study_copying(
    report: TwoSampleReport, source: Showers, generated: Showers, train: Showers, threshold: float | None,
    tables: tuple[Floats, Floats], w_source: Floats, w_generated: Floats, max_events: int,
) -> None:  # fmt: skip
    """Fill in the tests against memorising, in the high-level quantities and in the cells."""
    seed = report.settings["seed"]
    names, values = feature_table(shower_observables(train, threshold=threshold))
    column = dict(zip(names, values.T, strict=True))
    labels = [name for name in report.settings["features"] if name in column]
    at = [report.settings["features"].index(name) for name in labels]
    learnt = np.stack([column[name] for name in labels], axis=1)
    scale = np.where(learnt.std(axis=0) > 0, learnt.std(axis=0), 1.0)
    settings: dict[str, Any] = {"max_events": min(max_events, 5000), "seed": seed}
    report.copying["observables"] = copying_test(
        learnt / scale, tables[0][:, at] / scale, tables[1][:, at] / scale,
        test_weights=w_source, generated_weights=w_generated, **settings,
    )  # fmt: skip
    rows = [some_rows(len(showers), settings["max_events"], np.random.default_rng((seed, k)))
            for k, showers in enumerate((source, generated))]  # fmt: skip
    projected = [
        _projected(showers, at, seed)
        for showers, at in ((train, None), (source, rows[0]), (generated, rows[1]))
    ]
    report.copying["cells"] = copying_test(
        *projected, test_weights=w_source[rows[0]], generated_weights=w_generated[rows[1]], **settings
    )


def _projected(showers: Showers, rows: NDArray[np.intp] | None, seed: int) -> NDArray[np.float32]:
    """Return cells over the particle's energy, many cells projected at random, which keeps distances."""
    cells = showers.geometry.cells
    matrix = None
    if cells > _DIRECTIONS:
        matrix = (
            np.random.default_rng(seed).normal(0, _DIRECTIONS**-0.5, (cells, _DIRECTIONS)).astype(np.float32)
        )
    places = np.arange(len(showers)) if rows is None else rows
    step = max(1, _ELEMENTS // cells)
    parts = []
    for begin in range(0, len(places), step):
        block = low_level(showers, places[begin : begin + step])[:, :cells]
        parts.append(block if matrix is None else block @ matrix)
    return np.concatenate(parts)


def _described(showers: Showers, weights: Floats) -> dict[str, Any]:
    return {
        "showers": len(showers),
        "effective": effective(weights),
        "conditions": {
            label: [float(showers.condition(label).min()), float(showers.condition(label).max())]
            for label in showers.labels
        },
        "provenance": showers.provenance,
    }
