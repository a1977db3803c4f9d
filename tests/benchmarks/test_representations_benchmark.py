"""The benchmark of representations runs, compares what agrees, and prints what it promises."""

from __future__ import annotations

import pytest

from benchmarks.representations import FORMATS, run


@pytest.mark.slow
def test_representations_benchmark(tmp_path):
    results = list(run(["--jets", "300", "--repeats", "1", "--folder", str(tmp_path)]))
    assert all(set(result) == {"name", "value", "unit", "reference", "ratio"} for result in results)
    assert all(result["value"] > 0 for result in results)
    compared = {(result["name"], result["reference"]) for result in results}
    for kind in ("constituents", "images"):
        assert (f"{kind} from arrays", "awkward and numpy") in compared
        for form in FORMATS:
            assert (f"{kind} from {form} file", "uproot, awkward and numpy") in compared
