"""ONNX's node tests: what is refused is listed with a reason, and all else computes what is expected.

``python -m tests.nodes`` prints the tally.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from hepml_root.export.cpp_graph import RULES
from hepml_root.export.cpp_reading import load_rules
from tests.nodes.cases import Case, all_cases
from tests.nodes.tally import complaint, not_applicable, results


def sample() -> list[Case]:
    """Return a test of every operator: the one with the shortest name that applies."""
    cases = sorted(all_cases(), key=lambda case: (len(case.name), case.name))
    applying = [case for case in cases if case.name not in not_applicable()]
    return list({case.operator: case for case in reversed(applying)}.values())


def test_what_is_refused_is_listed() -> None:
    complaints = [complaint(result) for result in results(all_cases(), compile=False)]
    assert not [text for text in complaints if text]
    assert not set(not_applicable()) - {case.name for case in all_cases()}, "listed, but no test of ONNX"


def test_one_case_of_every_operator() -> None:
    assert not [text for text in map(complaint, results(sample())) if text]


@pytest.mark.slow
def test_every_case() -> None:
    assert not [text for text in map(complaint, results(all_cases())) if text]


def test_every_rule_is_tested() -> None:
    """A new rule without a node test, or a case in one of the tests of operators, makes this fail."""
    load_rules()
    tested = {node.op_type for case in all_cases() for node in case.model.graph.node}
    folder = Path(__file__).parent.parent / "export"
    source = "".join(path.read_text() for path in folder.glob("test_cpp_*.py"))
    missing = [name for _, name in RULES if name not in tested and f'"{name}"' not in source]
    assert not missing
