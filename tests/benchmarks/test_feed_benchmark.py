"""The feed's benchmark runs and prints what it promises: one JSON object per line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_feed_benchmark():
    command = [sys.executable, "-m", "benchmarks", "feed", "--events", "20000", "--repeats", "1"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=Path(__file__).resolve().parents[2]
    )
    assert done.returncode == 0, done.stderr[-2000:]
    results = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert all(set(result) == {"name", "value", "unit", "reference", "ratio"} for result in results)
    compared = {(result["name"], result["reference"]) for result in results}
    for form in ("zlib", "uncompressed", "rntuple"):
        for reference in ("ROOT bulk read", "uproot", "AsNumpy", "RDataLoader.as_tensorflow"):
            assert (f"feed {form}", reference) in compared
    assert ("feed zlib Define+Filter, data frame", "AsNumpy") in compared
    assert ("feed zlib: memory of stream, whole process", "data") in compared


def test_unknown_benchmark_is_refused():
    command = [sys.executable, "-m", "benchmarks", "fed"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=Path(__file__).resolve().parents[2]
    )
    assert done.returncode == 2
    assert "feed|train|" in done.stderr
