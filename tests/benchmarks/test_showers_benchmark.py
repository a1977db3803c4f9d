"""The benchmark of the shower source runs and gives what it promises."""

from __future__ import annotations

from benchmarks import showers


def test_showers_benchmark():
    results = list(
        showers.run(
            ["--showers", "64", "--physics", "500", "--repeats", "1", "--geometry", "si-w-10", "si-w-30"]
        )
    )
    assert all(set(result) == {"name", "value", "unit", "reference", "ratio"} for result in results)
    by_name = {result["name"]: result for result in results}
    for name in ("si-w-10", "si-w-30"):
        assert f"source, {name}, photons of 10 to 100 GeV" in by_name
        # A sparse file of showers, most cells of which are empty, is smaller than all cells.
        assert by_name[f"file, {name}, size"]["ratio"] < 1
    assert 0.9 < by_name["photons of 10 GeV, mean number of hits"]["ratio"] < 1.1
    assert 0.9 < by_name["photons of 100 GeV, response"]["value"] < 1.0
