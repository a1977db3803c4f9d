"""What a sample stands for: cross sections, efficiencies, expected events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hepml_root.errors import EmptySelectionError
from hepml_root.simulation.samples import Sample


def totals(sample: Sample, counts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what is known after a generation, for the provenance; ``counts`` are those of all chunks.

    Nothing of samples that are no collisions.

    The efficiency of n rows out of N collisions has the error √(n (1 − n/N)) / N. With weights w, of drawn
    collisions with the sum of weights W, it is Σw / W with the error √(Σw²) / W; with slices, the mean of
    theirs, weighted by their cross sections.

    Raises
    ------
    EmptySelectionError
        There are no rows of one of the slices, so that the sample is not complete.
    """
    counts = list(counts)
    if "generated" not in counts[0]:  # not collisions, but particles that are given
        return {}
    found = _unweighted(counts) if sample.expected is None else _weighted(sample, counts)
    sigma = found["cross_section_pb"] = sample.cross_section_factor * found["cross_section_pb"]
    found["cross_section_error_pb"] *= sample.cross_section_factor
    return {
        "generated": round(sum(one["generated"] for one in counts)),
        **found,
        "selected_cross_section_pb": sigma * found["filter_efficiency"],
        "cross_section_factor": sample.cross_section_factor,
    }


def _unweighted(counts: list[Mapping[str, Any]]) -> dict[str, Any]:
    rows, generated = (sum(one[name] for one in counts) for name in ("rows", "generated"))
    efficiency = rows / generated
    sigma, error = _mean_cross_section(counts)
    return {
        "filter_efficiency": efficiency,
        "filter_efficiency_error": (rows * (1 - efficiency)) ** 0.5 / generated,
        "cross_section_pb": sigma,
        "cross_section_error_pb": error,
        "cross_section_order": "leading order, as Pythia gives it, times cross_section_factor; of the "
        "collisions that no filter of the sample gave up, before the selection",
    }


def _weighted(sample: Sample, counts: list[Mapping[str, Any]]) -> dict[str, Any]:
    assert sample.expected is not None
    slices = [[chunk["slices"][number] for chunk in counts] for number in range(len(counts[0]["slices"]))]
    sigmas = [_mean_cross_section(one) for one in slices]
    sigma, variance = sum(one for one, _ in sigmas), sum(error**2 for _, error in sigmas)
    collisions = sample.expected(sample.options)
    efficiency = squared = weight = weight_squared = 0.0
    scales = []
    for (its_sigma, _), chunks in zip(sigmas, slices, strict=True):
        its = {
            name: sum(one[name] for one in chunks) for name in ("weight", "weight_squared", "drawn_weight")
        }
        if not its["weight"]:
            raise EmptySelectionError(
                f"sample '{sample.name}' has {len(slices)} slices, and no row of one of them among so few "
                f"events. Ask for more; {sample.chunk} always do."
            )
        share = its_sigma / sigma / its["drawn_weight"]
        scales.append(collisions * share)
        efficiency += share * its["weight"]
        squared += share**2 * its["weight_squared"]
        weight += scales[-1] * its["weight"]
        weight_squared += scales[-1] ** 2 * its["weight_squared"]
    return {
        "filter_efficiency": efficiency,
        "filter_efficiency_error": squared**0.5,
        "cross_section_pb": sigma,
        "cross_section_error_pb": variance**0.5,
        "cross_section_order": "leading order, as Pythia gives it, times cross_section_factor, of all "
        "collisions; the weights have the quoted cross section of the options",
        "expected_collisions": collisions,
        "expected_events": collisions * efficiency,
        "expected_events_error": collisions * squared**0.5,
        "effective_events": weight**2 / weight_squared,
        "weight_scales": scales,
    }


def _mean_cross_section(counts: list[Mapping[str, Any]]) -> tuple[float, float]:
    """Return the mean of what the chunks found, weighted by the tries that it is made of, and its error."""
    tried = sum(one["tried"] for one in counts)
    sigma = sum(one["tried"] * one["sigma_pb"] for one in counts) / tried
    return sigma, sum((one["tried"] * one["sigma_error_pb"]) ** 2 for one in counts) ** 0.5 / tried
