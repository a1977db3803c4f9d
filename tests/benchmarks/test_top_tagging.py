"""The top-tagging comparison trains, scores and writes its table, and goes on where it was stopped."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT_FOLDER = Path(__file__).resolve().parents[2]
JETS = ROOT_FOLDER / "tests" / "reference" / "jets.root"


def compare(output: Path, *arguments: str) -> list[dict]:
    command = [sys.executable, "-m", "benchmarks", "top_tagging", "--fast", "--output", str(output)]
    command += ["--top", f"{JETS}:top", "--qcd", f"{JETS}:qcd", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT_FOLDER)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


@pytest.mark.slow
def test_one_network_is_trained_and_kept(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("Before\n<!-- table -->\nold\n<!-- end of table -->\nafter\n")
    results = compare(tmp_path / "out", "--only", "dense", "--seeds", "1", "--page", str(page))
    assert [result["unit"] for result in results] == ["validation AUC", "AUC"]
    # 600 jets are enough for masses and N-subjettiness: the literature's AUC is 0.98 for large samples.
    assert results[-1]["value"] > 0.85

    kept = json.loads((tmp_path / "out" / "dense_1.json").read_text())
    assert kept["jets"] == {"train": 360, "validation": 120, "test": 120}
    with np.load(tmp_path / "out" / "dense_1.npz") as stored:
        right = (stored["scores"] > 0.5) == stored["labels"]
    assert right.mean() == pytest.approx(kept["accuracy"])
    assert (tmp_path / "out" / "roc.svg").read_text().count("<path") > 5
    text = page.read_text()
    assert "dense on observables" in text
    assert "old" not in text
    assert text.startswith("Before")
    assert text.endswith("after\n")

    # Nothing is trained twice.
    again = compare(tmp_path / "out", "--only", "dense", "--seeds", "1", "--rates")
    assert [result["unit"] for result in again] == ["jets/s in C++", "AUC"]
    assert json.loads((tmp_path / "out" / "rates.json").read_text())["dense"]["cpp"] > 0
    assert again[-1] == results[-1]


@pytest.mark.slow
def test_all_networks_train(tmp_path: Path) -> None:
    from benchmarks.top_tagging.entries import ENTRIES

    results = compare(tmp_path, "--only", *(entry.name for entry in ENTRIES), "--seeds", "1")
    table = {result["name"]: result["value"] for result in results if result["unit"] == "AUC"}
    assert len(table) == len(ENTRIES)
    assert min(table.values()) > 0.7
