"""The comparison of low-level and high-level inputs runs, resumes, and writes its table."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import higgs, result_page


@pytest.mark.slow
def test_the_fast_comparison_is_complete_and_resumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{result_page.BEGIN}\nold\n{result_page.END}\nafter\n")
    arguments = ["--fast", "--seeds", "1", "--folder", str(tmp_path / "runs"), "--output", str(page)]
    results = list(higgs.run(arguments))
    assert len(results) == len(higgs.INPUTS) * len(higgs.NETWORKS)
    assert all(set(result) == {"name", "value", "unit", "reference", "ratio"} for result in results)
    of = {result["name"]: result["value"] for result in results}
    # 120 test events: an error of 0.05 for each; on all events it is 0.76 and 0.79.
    assert of["HIGGS shipped, 7 high-level inputs, boosted"] > 0.55
    assert of["HIGGS shipped, all 28 inputs, boosted"] > 0.55
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert text.count("\n| ") == 4  # the head and three rows

    def never(*_: object) -> None:
        raise AssertionError("a finished training is not repeated")

    monkeypatch.setattr(higgs, "_train", never)
    assert list(higgs.run(arguments)) == results
