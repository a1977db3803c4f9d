"""Columns: what may be written, and what is refused."""

from __future__ import annotations

import pytest

from hepml_root.data.columns import Column
from hepml_root.data.feed_expressions import find_columns
from hepml_root.errors import ExpressionError, SettingError


def test_name_is_label_and_expression():
    column = Column.parse("  m_bb ", role="spectator", units="GeV")
    assert (column.label, column.expression, column.role, column.units) == (
        "m_bb",
        "m_bb",
        "spectator",
        "GeV",
    )
    assert str(column) == "m_bb"


def test_label_and_expression():
    column = Column.parse("dphi := abs(a - b)")
    assert (column.label, column.expression) == ("dphi", "abs(a - b)")
    assert str(column) == "dphi := abs(a - b)"


def test_scope_operator_is_no_separator():
    assert Column.parse("TMath::Abs(x)").expression == "TMath::Abs(x)"
    assert Column.parse("y := TMath::Abs(x)").expression == "TMath::Abs(x)"


def test_column_passes_through_and_takes_settings():
    column = Column("a", "b", units="cm")
    assert Column.parse(column) is column
    assert Column.parse(column, role="target") == Column("a", "b", role="target", units="cm")


def test_jagged_column_gets_a_group():
    assert Column("pt", "jet_pt", max_length=4).group == "constituents"
    assert Column("pt", "jet_pt", max_length=4, group="jets").jagged
    assert not Column("pt", "pt").jagged


@pytest.mark.parametrize("text", ["", " := x", "x := ", ":= :="])
def test_unreadable_declaration(text):
    with pytest.raises(ExpressionError, match="label := expression"):
        Column.parse(text)


def test_wrong_settings():
    with pytest.raises(SettingError, match="Did you mean 'spectator'"):
        Column("a", "a", role="spectators")
    with pytest.raises(SettingError, match="at least 1"):
        Column("a", "a", max_length=0)
    with pytest.raises(SettingError, match="max_length"):
        Column("a", "a", group="jets")


NAMES = dict.fromkeys(["jet1_b-tag", "jet1_b", "tag", "pair.x", "v", "x"])


@pytest.mark.parametrize(
    ("expression", "columns"),
    [
        ("jet1_b-tag > 1", ["jet1_b-tag"]),
        ("jet1_b - tag", ["jet1_b", "tag"]),
        ("x*jet1_b-tag*x", ["x", "jet1_b-tag"]),
        ("pair.x + v.size()", ["pair.x", "v"]),
        ("v[x] + ROOT::VecOps::Max(v)", ["v", "x"]),
        ("x(3) + TMath::x", []),
        ('std::string("tag").size() > v.size()', ["v"]),
        ("1e5 + 2.x + xx + other.x", []),
    ],
)
def test_columns_of_an_expression(expression, columns):
    assert list(find_columns(expression, NAMES).columns) == columns


def test_text_literals_stay():
    assert find_columns("f(\"tag x\", 'x', x)", NAMES).text == "f(\"tag x\", 'x', column0_)"
