"""The table of operators is that of the rules, on the command line and in the documentation."""

from __future__ import annotations

from pathlib import Path

import pytest

from hepml_root.cli.commands import main
from hepml_root.cli.operators import DOMAINS, families, how, operators_markdown
from hepml_root.export.cpp.graph import RULES
from hepml_root.export.cpp.reading import load_rules

PAGE = Path(__file__).resolve().parents[2] / "docs" / "engine.md"


def test_every_rule_is_in_the_table_once() -> None:
    load_rules()
    listed = [name for module, _, operators in families()[:-2] for name in operators]
    assert sorted(listed) == sorted(name for domain, name in RULES if domain in DOMAINS)
    assert all(f"`{name}`" in operators_markdown() for name in listed)
    assert all(about and "\n" not in about for _, about, _ in families())


def test_the_page_takes_the_table() -> None:
    assert PAGE.read_text(encoding="utf-8").count("<!-- the operators -->") == 1


def test_single_operators(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["operators", "Conv", "Scan", "GroupNormalization", "NonMaxSuppression"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Conv: a rule in export/cpp/convolution.py"
    assert "decided when the code is generated" in lines[1]
    assert "definition" in lines[2] or "a rule" in lines[2]
    assert "no rule" in lines[3]
    assert how("Conv") in lines[0]
    assert main(["operators"]) == 0
    assert "GRU, LSTM, RNN" in capsys.readouterr().out
