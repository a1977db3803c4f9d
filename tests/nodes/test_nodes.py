"""ONNX's node tests: what is refused is listed with a reason, and all else computes what is expected.

``python -m tests.nodes`` prints the tally.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import onnx
import pytest

from hepml_root.errors import UnsupportedOperationError
from hepml_root.export.cpp import generate
from hepml_root.export.cpp.graph import RULES
from hepml_root.export.cpp.reading import OLDEST_OPSET, load_rules
from tests.nodes.cases import Case, all_cases
from tests.nodes.tally import complaint, not_applicable, results

# Operators that are large graphs, by their definitions, of others: their tests take minutes to compile.
LARGE = {"Attention", "CausalConvWithState", "FlexAttention", "LinearAttention", "RotaryEmbedding"}

# All cases take ten minutes to compile: in parts, so that a test that hangs is told from one that works.
PARTS = 12


def sample() -> list[Case]:
    """Return a test of every operator: the one with the shortest name that applies."""
    cases = sorted(all_cases(), key=lambda case: (len(case.name), case.name))
    applying = [case for case in cases if case.name not in not_applicable() and case.operator not in LARGE]
    return list({case.operator: case for case in reversed(applying)}.values())


@pytest.mark.slow
def test_what_is_refused_is_listed() -> None:
    complaints = [complaint(result) for result in results(all_cases(), compile=False)]
    assert not [text for text in complaints if text]
    assert not set(not_applicable()) - {case.name for case in all_cases()}, "listed, but no test of ONNX"


def test_one_case_of_every_sixth_operator() -> None:
    """Compiling takes long: the others are in the slow test, and in those of the networks that have them."""
    assert not [text for text in map(complaint, results(sample()[::6], every_form=False)) if text]


@pytest.mark.slow
def test_every_form_of_one_case_of_every_operator() -> None:
    assert not [text for text in map(complaint, results(sample())) if text]


def test_older_opsets() -> None:
    """A model that is valid in an older opset becomes the same code there."""
    assert compare_opsets(sample()) > 100


@pytest.mark.slow
def test_older_opsets_of_every_case() -> None:
    assert compare_opsets(all_cases()) > 1000


def compare_opsets(cases: Iterable[Case]) -> int:
    """Return how many models of older opsets have been compared."""
    compared = 0
    for case in cases:
        now = generated(case.model)
        for version in versions(case):
            older = onnx.ModelProto()
            older.CopyFrom(case.model)
            older.opset_import[0].version = version
            try:
                onnx.checker.check_model(older, full_check=True)
            except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError):
                continue  # it uses what came later
            assert generated(older) == now, (case.name, version)
            compared += 1
    return compared


# Operators whose same attributes mean something else in an older version.
MEANING_CHANGED = {"GroupNormalization"}


def versions(case: Case) -> list[int]:
    """Return the newest opset of every older version of a test's operator."""
    if len(case.model.graph.node) > 1 or case.operator in MEANING_CHANGED:
        return []
    name = (case.model.graph.node[0].domain, case.operator)
    history = [s for s in onnx.defs.get_all_schemas_with_history() if (s.domain, s.name) == name]
    newest = case.model.opset_import[0].version
    return [s.since_version - 1 for s in history if OLDEST_OPSET < s.since_version <= newest]


def generated(model: onnx.ModelProto) -> str:
    """Return the code of a model without what names it, or why it is refused."""
    try:
        source = generate(model, "same", batched=False)
    except UnsupportedOperationError as error:
        return str(error)
    return re.sub(r"HEPML_ROOT_MODEL_\w+", "", source.header)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_every_case(part: int) -> None:
    cases = all_cases()
    assert len(cases) > PARTS
    assert not [text for text in map(complaint, results(cases[part::PARTS])) if text]


def test_every_rule_is_tested() -> None:
    """A new rule without a node test, or a case in one of the tests of operators, makes this fail."""
    load_rules()
    tested = {node.op_type for case in all_cases() for node in case.model.graph.node}
    folder = Path(__file__).parent.parent / "export"
    source = "".join(path.read_text() for path in folder.glob("test_cpp_*.py"))
    # Tests of the documentation register rules of their own.
    ours = [name for (_, name), rule in RULES.items() if rule.__module__.startswith("hepml_root.")]
    missing = [name for name in ours if name not in tested and f'"{name}"' not in source]
    assert not missing
