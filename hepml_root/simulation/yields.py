"""What a sample stands for: cross sections, efficiencies, expected events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hepml_root.simulation.samples import Sample


def totals(sample: Sample, counts: Iterable[Mapping[str, float]]) -> dict[str, Any]:
    """Return what is known after a generation, for the provenance; ``counts`` are those of all chunks.

    The efficiency of n rows out of N collisions has the error √(n (1 − n/N)) / N; with weights w, of N drawn
    ones with the sum W, it is Σw / W with the error √(Σw²) / W.
    """
    counts = list(counts)
    total = {name: sum(one[name] for one in counts) for name in counts[0]}
    # Every chunk estimates the same cross section: the mean, weighted by the tries that it is made of.
    factor = sample.cross_section_factor / total["tried"]
    sigma = factor * sum(one["tried"] * one["sigma_pb"] for one in counts)
    error = factor * sum((one["tried"] * one["sigma_error_pb"]) ** 2 for one in counts) ** 0.5
    rows, generated = total["rows"], total["generated"]
    if sample.expected is None:
        efficiency = rows / generated
        efficiency_error = (rows * (1 - efficiency)) ** 0.5 / generated
    else:
        efficiency = total["weight"] / total["drawn_weight"]
        efficiency_error = total["weight_squared"] ** 0.5 / total["drawn_weight"]
    found = {
        "generated": int(generated),
        "filter_efficiency": efficiency,
        "filter_efficiency_error": efficiency_error,
        "cross_section_pb": sigma,
        "cross_section_error_pb": error,
        "selected_cross_section_pb": sigma * efficiency,
        "cross_section_order": "leading order, as Pythia gives it, times cross_section_factor; of the "
        "collisions that no filter of the sample gave up, before the selection",
        "cross_section_factor": sample.cross_section_factor,
    }
    if sample.expected is not None:
        collisions = sample.expected(sample.options)
        found |= {
            "cross_section_order": "leading order, as Pythia gives it, of all collisions; the weights have "
            "the quoted cross section of the options",
            "expected_collisions": collisions,
            "expected_events": collisions * efficiency,
            "expected_events_error": collisions * efficiency_error,
            "effective_events": total["weight"] ** 2 / total["weight_squared"],
            "weight_scale": collisions / total["drawn_weight"],
        }
    return found
